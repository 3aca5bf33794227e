"""The table of operations that connectors are asked to carry out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from heliograph.devices.model import Condition
from heliograph.operations.model import Operation, Wanted
from heliograph.storage.engine import Row, Table, Transaction
from heliograph.storage.statements import batches, placeholders
from heliograph.tenancy.model import Scope

_OPERATIONS = Table(
    "device_operation",
    {
        "tenant_id": "bigint", "uid": "bytes", "kind": "text", "state": "text", "device_uid": "bytes",
        "account_uid": "bytes", "subject_uid": "bytes", "request": "bytes", "created_at": "bigint",
        "deadline": "bigint", "leased_until": "bigint", "holder": "bytes", "attempts": "bigint",
        "completed_at": "bigint", "occurred_at": "bigint", "completion": "bytes", "errors": "bytes",
        "warnings": "bytes",
    },
)  # fmt: skip
_OPERATION = (
    "select uid, kind, state, device_uid, account_uid, subject_uid, request, created_at, deadline, leased_until,"
    " holder, attempts, completed_at, occurred_at, completion, errors, warnings from device_operation"
    " where tenant_id = :tenant_id"
)

_encode = msgspec.json.Encoder().encode
_request = msgspec.json.Decoder(dict[str, Any]).decode
_conditions = msgspec.json.Decoder(tuple[Condition, ...]).decode


def insert(tx: Transaction, scope: Scope, operation: Operation) -> None:
    """Add an operation."""
    tx.insert(_OPERATIONS, [_row(scope, operation)])


def update(tx: Transaction, scope: Scope, operation: Operation) -> None:
    """Replace what is stored of an operation."""
    values = dict(zip(_OPERATIONS.columns, _row(scope, operation), strict=True))
    fixed = {"tenant_id", "uid", "kind", "device_uid", "account_uid", "subject_uid", "created_at", "deadline"}
    changed = {name: value for name, value in values.items() if name not in fixed}
    tx.run(
        f"update device_operation set {', '.join(f'{name} = :{name}' for name in changed)}"
        " where tenant_id = :tenant_id and uid = :uid",
        tenant_id=scope.tenant_id, uid=operation.uid, **changed,
    )  # fmt: skip


def find(tx: Transaction, scope: Scope, uid: bytes) -> Operation | None:
    """Read one operation."""
    row = tx.one(f"{_OPERATION} and uid = :uid", tenant_id=scope.tenant_id, uid=uid)
    return None if row is None else _operation(row)


def list_about(tx: Transaction, scope: Scope, subject_uid: bytes, before: bytes | None, limit: int) -> list[Operation]:
    """Read the operations about one thing, the newest first, those older than `before` if that is given."""
    older = "" if before is None else " and uid < :before"
    values: dict[str, Any] = {} if before is None else {"before": before}
    sql = f"{_OPERATION} and subject_uid = :subject_uid{older} order by uid desc limit :limit"
    rows = tx.all(sql, tenant_id=scope.tenant_id, subject_uid=subject_uid, limit=limit, **values)
    return [_operation(row) for row in rows]


def pending_about(tx: Transaction, scope: Scope, subject_uids: Sequence[bytes]) -> list[Operation]:
    """Read the operations about some things that are still to be completed."""
    found: list[Operation] = []
    for batch in batches(subject_uids):
        names, values = placeholders("subject", batch)
        # Asked for the state, SQLite would go through all that is pending in the tenant.
        rows = tx.all(f"{_OPERATION} and subject_uid in ({names})", tenant_id=scope.tenant_id, **values)
        found += [_operation(row) for row in rows if row[2] == "pending"]
    return found


def offered(tx: Transaction, scope: Scope, wanted: Wanted, now: int, limit: int) -> list[Operation]:
    """Read pending operations that nobody holds, the oldest first."""
    conditions = ""
    values: dict[str, Any] = {}
    for column, uids in (("device_uid", wanted.device_uids), ("account_uid", wanted.account_uids)):
        if uids:
            names, more = placeholders(column, uids)
            conditions += f" and {column} in ({names})"
            values |= more
    rows = tx.all(
        # The difference keeps SQLite from the index of deadlines, by which it would sort all that is pending.
        f"{_OPERATION} and state = 'pending' and leased_until <= :now and deadline - :now > 0{conditions}"
        " order by uid limit :limit",
        tenant_id=scope.tenant_id, now=now, limit=limit, **values,
    )  # fmt: skip
    return [_operation(row) for row in rows]


def lease(tx: Transaction, scope: Scope, uids: Sequence[bytes], holder: bytes, until: int) -> None:
    """Give operations to a holder."""
    for batch in batches(uids):
        names, values = placeholders("uid", batch)
        tx.run(
            "update device_operation set holder = :holder, leased_until = :until, attempts = attempts + 1"
            f" where tenant_id = :tenant_id and uid in ({names})",
            tenant_id=scope.tenant_id, holder=holder, until=until, **values,
        )  # fmt: skip


def overdue_tenants(tx: Transaction, now: int) -> list[int]:
    """Return the tenants that have a pending operation whose time is over."""
    rows = tx.all(
        "select t.id from tenant t where exists (select 1 from device_operation o where o.tenant_id = t.id"
        " and o.state = 'pending' and o.deadline <= :now) order by t.id",
        now=now,
    )
    return [row[0] for row in rows]


def overdue(tx: Transaction, scope: Scope, now: int, limit: int) -> list[Operation]:
    """Read pending operations whose time is over."""
    rows = tx.all(
        f"{_OPERATION} and state = 'pending' and deadline <= :now order by deadline, uid limit :limit",
        tenant_id=scope.tenant_id, now=now, limit=limit,
    )  # fmt: skip
    return [_operation(row) for row in rows]


def delete_old(tx: Transaction, scope: Scope, before: bytes, limit: int) -> int:
    """Remove operations that ended and whose uids come before that; return how many."""
    removed = 0
    for state in ("succeeded", "failed", "cancelled"):
        rows = tx.all(
            "select uid from device_operation where tenant_id = :tenant_id and state = :state and uid < :before"
            " order by uid limit :limit",
            tenant_id=scope.tenant_id, state=state, before=before, limit=limit - removed,
        )  # fmt: skip
        for batch in batches([row[0] for row in rows]):
            names, values = placeholders("uid", batch)
            tx.run(
                f"delete from device_operation where tenant_id = :tenant_id and uid in ({names})",
                tenant_id=scope.tenant_id, **values,
            )  # fmt: skip
            removed += len(batch)
    return removed


def _row(scope: Scope, one: Operation) -> Row:
    return (
        scope.tenant_id, one.uid, one.kind, one.state, one.device_uid, one.account_uid, one.subject_uid,
        _encode(one.request), one.created_at, one.deadline, one.leased_until, one.holder, one.attempts,
        one.completed_at, one.occurred_at, one.completion, _encode(one.errors), _encode(one.warnings),
    )  # fmt: skip


def _operation(row: Row) -> Operation:
    return Operation(
        uid=row[0], kind=row[1], state=row[2], device_uid=row[3], account_uid=row[4], subject_uid=row[5],
        request=_request(row[6]), created_at=row[7], deadline=row[8], leased_until=row[9], holder=row[10],
        attempts=row[11], completed_at=row[12], occurred_at=row[13], completion=row[14], errors=_conditions(row[15]),
        warnings=_conditions(row[16]),
    )  # fmt: skip
