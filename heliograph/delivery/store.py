"""The tables of deliveries, of attempts at them, and of what is due where."""

from __future__ import annotations

from collections.abc import Sequence

from heliograph.eventlog.model import Prepared
from heliograph.storage.engine import Row, Table, Transaction
from heliograph.tenancy.model import Scope

PENDING, DELIVERED, EXHAUSTED, CANCELLED = range(4)
"""States of a delivery as they are stored."""

_DELIVERIES = Table(
    "delivery",
    {
        "tenant_id": "bigint", "endpoint_uid": "bytes", "seq": "bigint", "event_uid": "bytes", "state": "bigint",
        "due_at": "bigint", "entity_key": "bigint", "attempts": "bigint", "created_at": "bigint",
    },
)  # fmt: skip


def new_delivery(scope: Scope, endpoint_uid: bytes, seq: int, event: Prepared, now: int, *, keeps_order: bool) -> Row:
    """Return the row of a delivery that is due at once."""
    entity = event.target_id_key if keeps_order else None
    return (scope.tenant_id, endpoint_uid, seq, event.uid, PENDING, now, entity, 0, now)


def insert_deliveries(tx: Transaction, rows: Sequence[Row]) -> None:
    """Add deliveries, with one write for all."""
    tx.insert(_DELIVERIES, rows)


def note_due(tx: Transaction, scope: Scope, at: int) -> None:
    """Make sure that a worker looks at the tenant at that time, or sooner."""
    tx.run(
        "insert into due_tenant (tenant_id, next_due, leased_until) values (:tenant_id, :at, 0)"
        " on conflict (tenant_id) do update set next_due = case"
        " when excluded.next_due < due_tenant.next_due then excluded.next_due else due_tenant.next_due end",
        tenant_id=scope.tenant_id, at=at,
    )  # fmt: skip


# -- all that belongs to one endpoint -------------------------------------------------------------------------------


def note_due_for(tx: Transaction, scope: Scope, endpoint_uid: bytes, at: int) -> None:
    """Make sure that a worker looks at every tenant whose events an endpoint of this one gets; see `note_due`."""
    tx.run(
        "insert into due_tenant (tenant_id, next_due, leased_until) select tenant_id, :at, 0 from endpoint_reach"
        " where owner_id = :owner_id and endpoint_uid = :endpoint_uid"
        " on conflict (tenant_id) do update set next_due = case"
        " when excluded.next_due < due_tenant.next_due then excluded.next_due else due_tenant.next_due end",
        owner_id=scope.tenant_id, endpoint_uid=endpoint_uid, at=at,
    )  # fmt: skip


def cancel_pending(tx: Transaction, scope: Scope, endpoint_uid: bytes, limit: int) -> int:
    """Cancel at most `limit` pending deliveries of the tenant's events to one endpoint, and return how many."""
    return tx.run(
        "update delivery set state = :cancelled, claim = null, settled_at = :now where tenant_id = :tenant_id"
        " and endpoint_uid = :endpoint_uid and state = 0 and seq in (select seq from delivery where"
        " tenant_id = :tenant_id and endpoint_uid = :endpoint_uid and state = 0 order by due_at, seq limit :limit)",
        tenant_id=scope.tenant_id, endpoint_uid=endpoint_uid, cancelled=CANCELLED, now=tx.now, limit=limit,
    )  # fmt: skip


_OF_ENDPOINT = "from endpoint_reach r join {table} on {table}.tenant_id = r.tenant_id and {table}.endpoint_uid ="
_OF_ENDPOINT += " r.endpoint_uid where r.owner_id = :owner_id and r.endpoint_uid = :endpoint_uid"


def count_pending(tx: Transaction, scope: Scope, endpoint_uid: bytes, most: int) -> int:
    """Return how many deliveries to an endpoint of the tenant are pending in all its logs, at most `most`."""
    row = tx.one(
        f"select count(*) from (select 1 {_OF_ENDPOINT.format(table='delivery')} and state = 0 limit :most) as some",
        owner_id=scope.tenant_id, endpoint_uid=endpoint_uid, most=most,
    )  # fmt: skip
    return row[0] if row else 0


def oldest_due(tx: Transaction, scope: Scope, endpoint_uid: bytes) -> int | None:
    """Return when the delivery to an endpoint of the tenant is due that is due first, in all its logs."""
    row = tx.one(
        "select min(first) from (select (select due_at from delivery d where d.tenant_id = r.tenant_id"
        " and d.endpoint_uid = r.endpoint_uid and d.state = 0 order by d.due_at limit 1) as first"
        " from endpoint_reach r where r.owner_id = :owner_id and r.endpoint_uid = :endpoint_uid) as firsts",
        owner_id=scope.tenant_id, endpoint_uid=endpoint_uid,
    )  # fmt: skip
    return row[0] if row else None


def count_attempts(tx: Transaction, scope: Scope, endpoint_uid: bytes, since: int, most: int) -> dict[str, int]:
    """Return how many attempts at an endpoint of the tenant ended how since that time; it looks at most at `most`."""
    rows = tx.all(
        f"select error_class, count(*) from (select error_class {_OF_ENDPOINT.format(table='delivery_attempt')}"
        " and started_at >= :since limit :most) as some group by error_class order by error_class",
        owner_id=scope.tenant_id, endpoint_uid=endpoint_uid, since=since, most=most,
    )  # fmt: skip
    return dict(rows)
