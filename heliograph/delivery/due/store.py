"""The control table of tenants that are due, and the leases of the workers that see to them."""

from __future__ import annotations

from heliograph.delivery.model import Prospect
from heliograph.storage.engine import Transaction
from heliograph.tenancy.model import Scope

MOST_TENANTS = 200
"""Tenants that one look finds; the others are found by the next."""

NEVER = 2**62
"""When a tenant is due in which nothing waits, or only for somebody to resume an endpoint."""


def note_due(tx: Transaction, scope: Scope, at: int) -> None:
    """Make sure that a worker looks at the tenant at that time, or sooner."""
    tx.run(
        "insert into due_tenant (tenant_id, next_due, leased_until) values (:tenant_id, :at, 0)"
        " on conflict (tenant_id) do update set next_due = case"
        " when excluded.next_due < due_tenant.next_due then excluded.next_due else due_tenant.next_due end",
        tenant_id=scope.tenant_id, at=at,
    )  # fmt: skip


def note_due_for(tx: Transaction, scope: Scope, endpoint_uid: bytes, at: int) -> None:
    """Make sure that a worker looks at every tenant whose events an endpoint of this one gets; see `note_due`."""
    tx.run(
        "insert into due_tenant (tenant_id, next_due, leased_until) select tenant_id, :at, 0 from endpoint_reach"
        " where owner_id = :owner_id and endpoint_uid = :endpoint_uid"
        " on conflict (tenant_id) do update set next_due = case"
        " when excluded.next_due < due_tenant.next_due then excluded.next_due else due_tenant.next_due end",
        owner_id=scope.tenant_id, endpoint_uid=endpoint_uid, at=at,
    )  # fmt: skip


def tenants_to_see_to(tx: Transaction, now: int, holder: bytes) -> list[int]:
    """Read the tenants in which something is due and nobody else sees to, what is due first first.

    Those that this worker sees to are among them when something came to be due there since it last held them.
    """
    new = tx.all(
        "select tenant_id from due_tenant where next_due <= :now and leased_until <= :now"
        " order by next_due, tenant_id limit :limit",
        now=now, limit=MOST_TENANTS,
    )  # fmt: skip
    renewed = tx.all(
        "select tenant_id from due_tenant where next_due <= :now and holder = :holder", now=now, holder=holder
    )
    return [row[0] for row in new + renewed]


def hold(tx: Transaction, scope: Scope, holder: bytes, until: int) -> bool:
    """See to a tenant until then, and keep others from it; tell whether nobody else does.

    Whatever comes to be due from here on is told apart by the time in the row, which is that of the lease meanwhile.
    """
    return bool(
        tx.run(
            "update due_tenant set holder = :holder, leased_until = :until, next_due = :until"
            " where tenant_id = :tenant_id and (leased_until <= :now or holder = :holder)",
            tenant_id=scope.tenant_id, holder=holder, until=until, now=tx.now,
        )
    )  # fmt: skip


def let_go(tx: Transaction, scope: Scope, holder: bytes, next_due: int) -> None:
    """Leave a tenant to whoever comes next, when something is due there."""
    tx.run(
        "update due_tenant set holder = null, leased_until = 0, next_due = :next_due"
        " where tenant_id = :tenant_id and holder = :holder",
        tenant_id=scope.tenant_id, holder=holder, next_due=next_due,
    )  # fmt: skip


def prospects(tx: Transaction, scope: Scope) -> list[Prospect]:
    """Read for every endpoint that has yet to get events of the tenant when the first of these deliveries is due.

    It goes from one endpoint to the next by the index of what is pending, so that those that wait for nothing, which
    may be many, cost nothing.
    """
    pending = "delivery d where d.tenant_id = :tenant_id and d.state = 0"
    rows = tx.all(
        "with recursive waiting (uid) as ("
        f" select uid from (select d.endpoint_uid as uid from {pending} order by d.endpoint_uid limit 1) as lowest"
        " union all"
        f" select (select d.endpoint_uid from {pending} and d.endpoint_uid > waiting.uid"
        " order by d.endpoint_uid limit 1) from waiting where waiting.uid is not null)"
        " select r.endpoint_uid, r.owner_id, e.state, e.version,"
        f" (select d.due_at from {pending} and d.endpoint_uid = waiting.uid order by d.due_at limit 1)"
        # SQLite keeps the order of what is joined like this.
        " from waiting cross join endpoint_reach r cross join endpoint e where r.tenant_id = :tenant_id"
        " and r.endpoint_uid = waiting.uid and e.tenant_id = r.owner_id and e.uid = r.endpoint_uid",
        tenant_id=scope.tenant_id,
    )
    return [Prospect(*row) for row in rows]


def tenants_with_deliveries(tx: Transaction) -> list[int]:
    """Return the tenants that ever had a delivery."""
    return [row[0] for row in tx.all("select tenant_id from due_tenant order by tenant_id")]
