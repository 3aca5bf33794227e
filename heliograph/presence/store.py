"""The tables of what devices say of themselves."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from heliograph.devices.model import Condition
from heliograph.presence.model import Connection, Reading, Standing
from heliograph.storage.engine import Row, Transaction
from heliograph.storage.statements import placeholders
from heliograph.tenancy.model import Scope

_STANDING = (
    "select last_seen_at, reported_at, connection_uid, session, connected_at, server_instance_uid, battery_level,"
    " errors, warnings, says_connected from device_presence where tenant_id = :tenant_id"
)
_encode = msgspec.json.Encoder().encode
_decode_conditions = msgspec.json.Decoder(tuple[Condition, ...]).decode


def find_standing(tx: Transaction, scope: Scope, device_uid: bytes) -> Standing | None:
    """Read what is known of a device, if it has ever reported."""
    row = tx.one(f"{_STANDING} and device_uid = :device_uid", tenant_id=scope.tenant_id, device_uid=device_uid)
    return _standing(row) if row else None


def put_standing(tx: Transaction, scope: Scope, device_uid: bytes, standing: Standing) -> None:
    """Keep what is known of a device in place of what was."""
    connection = standing.connection
    tx.run(
        "insert into device_presence (tenant_id, device_uid, last_seen_at, reported_at, connection_uid, session,"
        " connected_at, server_instance_uid, battery_level, errors, warnings, says_connected) values (:tenant_id,"
        " :device_uid, :last_seen_at, :reported_at, :connection_uid, :session, :connected_at, :server_instance_uid,"
        " :battery_level, :errors, :warnings, :says_connected)"
        " on conflict (tenant_id, device_uid) do update set last_seen_at = excluded.last_seen_at,"
        " reported_at = excluded.reported_at, connection_uid = excluded.connection_uid,"
        " session = excluded.session, connected_at = excluded.connected_at,"
        " server_instance_uid = excluded.server_instance_uid, battery_level = excluded.battery_level,"
        " errors = excluded.errors, warnings = excluded.warnings, says_connected = excluded.says_connected",
        tenant_id=scope.tenant_id, device_uid=device_uid, last_seen_at=standing.last_seen_at,
        reported_at=standing.reported_at, connection_uid=connection.uid if connection else None,
        session=connection.session if connection else None,
        connected_at=connection.began_at if connection else None,
        server_instance_uid=bytes.fromhex(connection.server_instance_uid) if connection else None,
        battery_level=standing.battery_level, errors=_encode(standing.errors), warnings=_encode(standing.warnings),
        says_connected=int(standing.says_connected),
    )  # fmt: skip


def end_connection(tx: Transaction, scope: Scope, device_uid: bytes) -> None:
    """Note that a device is not connected; all else that is known of it stays."""
    tx.run(
        "update device_presence set connection_uid = null, session = null, connected_at = null,"
        " server_instance_uid = null where tenant_id = :tenant_id and device_uid = :device_uid",
        tenant_id=scope.tenant_id, device_uid=device_uid,
    )  # fmt: skip


def silent_tenants(tx: Transaction, before: int) -> list[int]:
    """Return the tenants that have a connected device last seen before that time."""
    rows = tx.all(
        "select t.id from tenant t where exists (select 1 from device_presence p where p.tenant_id = t.id"
        " and p.connection_uid is not null and p.last_seen_at < :before) order by t.id",
        before=before,
    )
    return [row[0] for row in rows]


def find_silent(tx: Transaction, scope: Scope, before: int, limit: int) -> list[tuple[bytes, Connection]]:
    """Read the connected devices last seen before that time, the longest silent first."""
    rows = tx.all(
        "select device_uid, connection_uid, session, connected_at, server_instance_uid from device_presence"
        " where tenant_id = :tenant_id and connection_uid is not null and last_seen_at < :before"
        " order by last_seen_at, device_uid limit :limit",
        tenant_id=scope.tenant_id, before=before, limit=limit,
    )  # fmt: skip
    return [(row[0], Connection(row[1], row[2], row[3], row[4].hex())) for row in rows]


def delete_standing(tx: Transaction, scope: Scope, device_uid: bytes) -> None:
    """Forget what is known of a device."""
    for table in ("device_presence", "device_telemetry"):
        tx.run(
            f"delete from {table} where tenant_id = :tenant_id and device_uid = :device_uid",
            tenant_id=scope.tenant_id, device_uid=device_uid,
        )  # fmt: skip


def find_readings(tx: Transaction, scope: Scope, device_uid: bytes, names: Sequence[str]) -> dict[str, Reading]:
    """Read what a device measured under some names."""
    if not names:
        return {}
    listed, named = placeholders("name", names)
    rows = tx.all(
        "select name, data, updated_at from device_telemetry where tenant_id = :tenant_id"
        f" and device_uid = :device_uid and name in ({listed})",
        tenant_id=scope.tenant_id, device_uid=device_uid, **named,
    )  # fmt: skip
    return {row[0]: Reading(row[1], row[2]) for row in rows}


def count_readings(tx: Transaction, scope: Scope, device_uid: bytes) -> int:
    """Count the names under which a device measures."""
    row = tx.one(
        "select count(*) from device_telemetry where tenant_id = :tenant_id and device_uid = :device_uid",
        tenant_id=scope.tenant_id, device_uid=device_uid,
    )  # fmt: skip
    assert row is not None
    return int(row[0])


def put_reading(tx: Transaction, scope: Scope, device_uid: bytes, name: str, reading: Reading) -> None:
    """Keep a measurement in place of the one under that name."""
    tx.run(
        "insert into device_telemetry (tenant_id, device_uid, name, data, updated_at)"
        " values (:tenant_id, :device_uid, :name, :data, :updated_at)"
        " on conflict (tenant_id, device_uid, name) do update set data = excluded.data,"
        " updated_at = excluded.updated_at",
        tenant_id=scope.tenant_id, device_uid=device_uid, name=name, data=reading.data, updated_at=reading.updated_at,
    )  # fmt: skip


def _standing(row: Row) -> Standing:
    connection = None if row[2] is None else Connection(row[2], row[3], row[4], row[5].hex())
    return Standing(
        last_seen_at=row[0], reported_at=row[1], connection=connection, battery_level=row[6],
        errors=_decode_conditions(row[7]), warnings=_decode_conditions(row[8]), says_connected=bool(row[9]),
    )  # fmt: skip
