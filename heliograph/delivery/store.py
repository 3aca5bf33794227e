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
