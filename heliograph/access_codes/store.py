"""The tables of access codes, and of how far the reports of each lock have come."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from heliograph.access_codes.model import AccessCode, CodeFilter, Lock
from heliograph.devices.model import Condition, fold
from heliograph.storage.engine import Row, Table, Transaction
from heliograph.storage.statements import batches, begins_with, placeholders
from heliograph.tenancy.model import Scope

_CODES = Table(
    "access_code",
    {
        "tenant_id": "bigint", "uid": "bytes", "device_uid": "bytes", "managed": "bigint", "status": "text",
        "type": "text", "name": "text", "name_key": "text", "external_id": "text", "pin": "bytes", "pin_index": "bytes",
        "starts_at": "bigint", "ends_at": "bigint", "cannot_be_managed": "bigint", "cannot_delete": "bigint",
        "external_modification_allowed": "bigint", "errors": "bytes", "warnings": "bytes", "found_at": "bigint",
        "settled_at": "bigint", "created_at": "bigint", "updated_at": "bigint", "version": "bigint",
    },
)  # fmt: skip
_CODE = (
    "select uid, device_uid, managed, status, type, name, external_id, pin, pin_index, starts_at, ends_at,"
    " cannot_be_managed, cannot_delete, external_modification_allowed, errors, warnings, found_at, settled_at,"
    " created_at, updated_at, version from access_code where tenant_id = :tenant_id"
)

_encode = msgspec.json.Encoder().encode
_conditions = msgspec.json.Decoder(tuple[Condition, ...]).decode


# -- codes ----------------------------------------------------------------------------------------------------------


def insert_codes(tx: Transaction, scope: Scope, codes: Sequence[AccessCode]) -> None:
    """Add codes, with one write for all."""
    tx.insert(_CODES, [_row(scope, code) for code in codes])


def update_code(tx: Transaction, scope: Scope, code: AccessCode) -> None:
    """Replace what is stored of a code."""
    values = dict(zip(_CODES.columns, _row(scope, code), strict=True))
    fixed = {"tenant_id", "uid", "device_uid", "created_at"}
    changed = {name: value for name, value in values.items() if name not in fixed}
    tx.run(
        f"update access_code set {', '.join(f'{name} = :{name}' for name in changed)}"
        " where tenant_id = :tenant_id and uid = :uid",
        tenant_id=scope.tenant_id, uid=code.uid, **changed,
    )  # fmt: skip


def delete_codes(tx: Transaction, scope: Scope, uids: Sequence[bytes]) -> None:
    """Remove codes."""
    for batch in batches(uids):
        names, values = placeholders("uid", batch)
        tx.run(
            f"delete from access_code where tenant_id = :tenant_id and uid in ({names})",
            tenant_id=scope.tenant_id, **values,
        )  # fmt: skip


def find_code(tx: Transaction, scope: Scope, uid: bytes) -> AccessCode | None:
    """Read one code."""
    row = tx.one(f"{_CODE} and uid = :uid", tenant_id=scope.tenant_id, uid=uid)
    return None if row is None else _code(row)


def codes_on(tx: Transaction, scope: Scope, device_uid: bytes) -> list[AccessCode]:
    """Read all codes of one lock, up to some hundred thousand, in no particular order."""
    sql = f"{_CODE} and device_uid = :device_uid"
    return [_code(row) for row in tx.all(sql, tenant_id=scope.tenant_id, device_uid=device_uid)]


def codes_with_pin(tx: Transaction, scope: Scope, device_uid: bytes, pin_index: bytes) -> list[AccessCode]:
    """Read the codes of one lock that have a PIN, in the order of their uids."""
    # Asked for the order, SQLite would go through all codes of the lock.
    sql = f"{_CODE} and device_uid = :device_uid and pin_index = :pin_index"
    rows = tx.all(sql, tenant_id=scope.tenant_id, device_uid=device_uid, pin_index=pin_index)
    return sorted((_code(row) for row in rows), key=lambda code: code.uid)


def codes_with_id(tx: Transaction, scope: Scope, device_uid: bytes, external_id: str) -> list[AccessCode]:
    """Read the codes of one lock to which it gave an id, in no particular order."""
    sql = f"{_CODE} and device_uid = :device_uid and external_id = :external_id"
    rows = tx.all(sql, tenant_id=scope.tenant_id, device_uid=device_uid, external_id=external_id)
    return [_code(row) for row in rows]


def some_codes_on(tx: Transaction, scope: Scope, device_uid: bytes, limit: int) -> list[AccessCode]:
    """Read the first codes of one lock, however many it has."""
    sql = f"{_CODE} and device_uid = :device_uid order by uid limit :limit"
    return [_code(row) for row in tx.all(sql, tenant_id=scope.tenant_id, device_uid=device_uid, limit=limit)]


def list_codes(tx: Transaction, scope: Scope, wanted: CodeFilter, after: bytes, limit: int) -> list[AccessCode]:
    """Read the codes that pass every filter, in the order of their uids."""
    conditions, values = _conditions_of(wanted)
    rows = tx.all(
        f"{_CODE} and uid > :after{conditions} order by uid limit :limit",
        tenant_id=scope.tenant_id, after=after, limit=limit, **values,
    )  # fmt: skip
    return [_code(row) for row in rows]


def _conditions_of(wanted: CodeFilter) -> tuple[str, dict[str, Any]]:
    """Return the filters as SQL, each beginning with `and`, and the values that they name."""
    conditions = ""
    values: dict[str, Any] = {}
    if wanted.uids:
        names, values = placeholders("uid", wanted.uids)
        conditions += f" and uid in ({names})"
    if len(wanted.device_uids) == 1:
        # All codes of one lock are read in many pages: its index has them in the order of the list.
        conditions += " and device_uid = :device_uid"
        values["device_uid"] = wanted.device_uids[0]
    elif wanted.device_uids:
        # By itself SQLite would go through the whole tenant in the order of the list.
        names, more = placeholders("device", wanted.device_uids)
        on_devices = f"select uid from access_code where tenant_id = :tenant_id and device_uid in ({names})"
        conditions += f" and uid in ({on_devices} and uid > :after)"
        values |= more
    if wanted.statuses:
        names, more = placeholders("status", wanted.statuses)
        conditions += f" and status in ({names})"
        values |= more
    if wanted.managed is not None:
        conditions += " and managed = :managed"
        values["managed"] = int(wanted.managed)
    if wanted.name_prefix:
        condition, more = begins_with("access_code", "name_key", wanted.name_prefix)
        conditions += f" and {condition}"
        values |= more
    return conditions, values


def _row(scope: Scope, code: AccessCode) -> Row:
    return (
        scope.tenant_id, code.uid, code.device_uid, int(code.managed), code.status, code.type, code.name,
        None if code.name is None else fold(code.name), code.external_id, code.sealed_pin, code.pin_index,
        code.starts_at, code.ends_at, int(code.cannot_be_managed), int(code.cannot_delete),
        int(code.external_modification_allowed), _encode(code.errors), _encode(code.warnings), code.found_at,
        code.settled_at, code.created_at, code.updated_at, code.version,
    )  # fmt: skip


def _code(row: Row) -> AccessCode:
    return AccessCode(
        uid=row[0], device_uid=row[1], managed=bool(row[2]), status=row[3], type=row[4], name=row[5],
        external_id=row[6], sealed_pin=row[7], pin_index=row[8], starts_at=row[9], ends_at=row[10],
        cannot_be_managed=bool(row[11]), cannot_delete=bool(row[12]), external_modification_allowed=bool(row[13]),
        errors=_conditions(row[14]), warnings=_conditions(row[15]), found_at=row[16], settled_at=row[17],
        created_at=row[18], updated_at=row[19], version=row[20],
    )  # fmt: skip


# -- locks ----------------------------------------------------------------------------------------------------------


def find_lock(tx: Transaction, scope: Scope, device_uid: bytes) -> Lock | None:
    """Read how far the reports of a lock have come; None when it has never reported."""
    row = tx.one(
        "select reported_at, version, complete_version from lock_report"
        " where tenant_id = :tenant_id and device_uid = :device_uid",
        tenant_id=scope.tenant_id, device_uid=device_uid,
    )  # fmt: skip
    return None if row is None else Lock(reported_at=row[0], version=row[1], complete_version=row[2])


def save_lock(tx: Transaction, scope: Scope, device_uid: bytes, lock: Lock) -> None:
    """Write how far the reports of a lock have come."""
    tx.run(
        "insert into lock_report (tenant_id, device_uid, reported_at, version, complete_version)"
        " values (:tenant_id, :device_uid, :reported_at, :version, :complete_version)"
        " on conflict (tenant_id, device_uid) do update set reported_at = excluded.reported_at,"
        " version = excluded.version, complete_version = excluded.complete_version",
        tenant_id=scope.tenant_id, device_uid=device_uid, reported_at=lock.reported_at, version=lock.version,
        complete_version=lock.complete_version,
    )  # fmt: skip


def delete_lock(tx: Transaction, scope: Scope, device_uid: bytes) -> None:
    """Forget how far the reports of a lock have come."""
    tx.run(
        "delete from lock_report where tenant_id = :tenant_id and device_uid = :device_uid",
        tenant_id=scope.tenant_id, device_uid=device_uid,
    )  # fmt: skip
