"""The tables of devices, and the control table that says who has enrolled an identifier."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import msgspec

from heliograph.devices.model import (
    Attachment,
    Condition,
    Device,
    DeviceFilter,
    Identity,
    Presence,
    Settings,
    fold,
    read_stored_metadata,
)
from heliograph.storage.engine import Row, Table, Transaction
from heliograph.storage.statements import batches, begins_with, placeholders
from heliograph.tenancy.model import Scope

_DEVICE_TAG = Table("device_tag", {"tenant_id": "bigint", "device_uid": "bytes", "tag_uid": "bytes"})
_DEVICE = (
    "select d.uid, d.state, d.brand, d.model, d.serial_number, d.mac_address, d.name, d.policy_uid, d.location_uid,"
    " d.custom_metadata, d.recipe_uid, d.verification_hash, d.enrolled_at, d.created_at, d.updated_at, d.version,"
    " d.connected_account_uid,"
    " p.last_seen_at, p.connection_uid, p.session, p.connected_at, p.battery_level, p.errors, p.warnings"
    " from device d left join device_presence p on p.tenant_id = d.tenant_id and p.device_uid = d.uid"
)

_encode = msgspec.json.Encoder().encode
_conditions = msgspec.json.Decoder(tuple[Condition, ...]).decode


# -- identifiers ----------------------------------------------------------------------------------------------------


def holders(tx: Transaction, identifiers: Sequence[str]) -> dict[str, tuple[int, bytes]]:
    """Return for each enrolled identifier the number of the tenant and the uid of the device that hold it."""
    found: dict[str, tuple[int, bytes]] = {}
    for batch in batches(identifiers):
        names, values = placeholders("i", batch)
        rows = tx.all(
            f"select identifier, tenant_id, device_uid from device_identifier where identifier in ({names})", **values
        )
        found.update((row[0], (row[1], row[2])) for row in rows)
    return found


def claim(tx: Transaction, scope: Scope, identifier: str, device_uid: bytes) -> bool:
    """Take an identifier for a device; tell whether it was free. Waits for a claim that is being committed."""
    inserted = tx.run(
        "insert into device_identifier (identifier, tenant_id, device_uid) values (:identifier, :tenant_id, :uid)"
        " on conflict (identifier) do nothing",
        identifier=identifier, tenant_id=scope.tenant_id, uid=device_uid,
    )  # fmt: skip
    return inserted == 1


def release(tx: Transaction, scope: Scope, device_uid: bytes) -> None:
    """Free the identifiers of a device."""
    tx.run(
        "delete from device_identifier where tenant_id = :tenant_id and device_uid = :uid",
        tenant_id=scope.tenant_id, uid=device_uid,
    )  # fmt: skip


# -- devices --------------------------------------------------------------------------------------------------------


def insert_device(tx: Transaction, scope: Scope, device: Device) -> None:
    """Add a device to the scope's organization."""
    tx.run(
        "insert into device (tenant_id, uid, state, brand, brand_key, model, serial_number, serial_key, mac_address,"
        " name, name_key, policy_uid, location_uid, connected_account_uid, custom_metadata, recipe_uid,"
        " verification_hash, enrolled_at, created_at, updated_at, version)"
        " values (:tenant_id, :uid, :state, :brand, :brand_key, :model, :serial_number, :serial_key, :mac_address,"
        " :name, :name_key, :policy_uid, :location_uid, :connected_account_uid, :custom_metadata, :recipe_uid,"
        " :verification_hash, :enrolled_at, :created_at, :updated_at, :version)",
        tenant_id=scope.tenant_id, created_at=device.created_at, **_changeable(device),
    )  # fmt: skip
    _insert_tags(tx, scope, device)


def update_device(tx: Transaction, scope: Scope, before: Device, after: Device) -> None:
    """Replace what is stored of a device, but not its presence."""
    tx.run(
        "update device set state = :state, brand = :brand, brand_key = :brand_key, model = :model,"
        " serial_number = :serial_number, serial_key = :serial_key, mac_address = :mac_address, name = :name,"
        " name_key = :name_key, policy_uid = :policy_uid, location_uid = :location_uid,"
        " connected_account_uid = :connected_account_uid, custom_metadata = :custom_metadata,"
        " recipe_uid = :recipe_uid, verification_hash = :verification_hash, enrolled_at = :enrolled_at,"
        " updated_at = :updated_at, version = :version where tenant_id = :tenant_id and uid = :uid",
        tenant_id=scope.tenant_id, **_changeable(after),
    )  # fmt: skip
    if before.settings.tag_uids != after.settings.tag_uids:
        _delete_tags(tx, scope, after.uid)
        _insert_tags(tx, scope, after)


def delete_device(tx: Transaction, scope: Scope, uid: bytes) -> None:
    """Remove a device and its tags."""
    _delete_tags(tx, scope, uid)
    tx.run("delete from device where tenant_id = :tenant_id and uid = :uid", tenant_id=scope.tenant_id, uid=uid)


def find_device(tx: Transaction, scope: Scope, uid: bytes) -> Device | None:
    """Read one device of the scope's organization."""
    rows = tx.all(f"{_DEVICE} where d.tenant_id = :tenant_id and d.uid = :uid", tenant_id=scope.tenant_id, uid=uid)
    return _devices(tx, scope, rows)[0] if rows else None


def find_waiting(tx: Transaction, scope: Scope, identity: Identity) -> Device | None:
    """Read the oldest device of the organization that waits under one of the identifiers of that identity."""
    columns = {"serial_key": identity.serial_key, "mac_address": identity.mac_address}
    for column, value in columns.items():
        if value is not None:
            rows = tx.all(
                f"{_DEVICE} where d.tenant_id = :tenant_id and d.{column} = :value and d.brand_key = :brand"
                " and d.state = 'waiting' order by d.uid limit 1",
                tenant_id=scope.tenant_id, value=value, brand=identity.brand_key,
            )  # fmt: skip
            if rows:
                return _devices(tx, scope, rows)[0]
    return None


def list_devices(tx: Transaction, scope: Scope, wanted: DeviceFilter, after: bytes, limit: int) -> list[Device]:
    """Read the devices that pass every filter, in the order of their uids."""
    conditions, values = _conditions_of(wanted)
    rows = tx.all(
        f"{_DEVICE} where d.tenant_id = :tenant_id and d.uid > :after{''.join(conditions)} order by d.uid limit :limit",
        tenant_id=scope.tenant_id, after=after, limit=limit, **values,
    )  # fmt: skip
    return _devices(tx, scope, rows)


def referring(tx: Transaction, scope: Scope, kind: Attachment, uid: bytes, limit: int) -> list[Device]:
    """Read devices that have the tag, policy, location or connected account, in the order of their uids."""
    wanted = {
        "tag": DeviceFilter(tag_uids=(uid,)),
        "policy": DeviceFilter(policy_uids=(uid,)),
        "location": DeviceFilter(location_uids=(uid,)),
        "connected_account": DeviceFilter(connected_account_uids=(uid,)),
    }[kind]
    return list_devices(tx, scope, wanted, b"", limit)


def detach(tx: Transaction, scope: Scope, kind: Attachment, uid: bytes, devices: Collection[bytes]) -> None:
    """Take a tag, policy, location or connected account from devices that have it; their versions rise."""
    names, values = placeholders("d", devices)
    cleared = "" if kind == "tag" else f", {kind}_uid = null"
    tx.run(
        f"update device set updated_at = :now, version = version + 1{cleared} where tenant_id = :tenant_id"
        f" and uid in ({names})",
        now=tx.now, tenant_id=scope.tenant_id, **values,
    )  # fmt: skip
    if kind == "tag":
        tx.run(
            "delete from device_tag where tenant_id = :tenant_id and tag_uid = :uid"
            f" and device_uid in ({names})",
            tenant_id=scope.tenant_id, uid=uid, **values,
        )  # fmt: skip


def _changeable(device: Device) -> dict[str, Any]:
    identity, settings = device.identity, device.settings
    return {
        "uid": device.uid,
        "state": device.state,
        "brand": identity.brand,
        "brand_key": identity.brand_key,
        "model": identity.model,
        "serial_number": identity.serial_number,
        "serial_key": identity.serial_key,
        "mac_address": identity.mac_address,
        "name": settings.name,
        "name_key": None if settings.name is None else fold(settings.name),
        "policy_uid": settings.policy_uid,
        "location_uid": settings.location_uid,
        "connected_account_uid": settings.connected_account_uid,
        "custom_metadata": _encode(settings.custom_metadata),
        "recipe_uid": device.recipe_uid,
        "verification_hash": device.verification_hash,
        "enrolled_at": device.enrolled_at,
        "updated_at": device.updated_at,
        "version": device.version,
    }


def _insert_tags(tx: Transaction, scope: Scope, device: Device) -> None:
    tx.insert(_DEVICE_TAG, [(scope.tenant_id, device.uid, tag) for tag in device.settings.tag_uids])


def _delete_tags(tx: Transaction, scope: Scope, uid: bytes) -> None:
    tx.run(
        "delete from device_tag where tenant_id = :tenant_id and device_uid = :uid", tenant_id=scope.tenant_id, uid=uid
    )


# -- reading --------------------------------------------------------------------------------------------------------


def _conditions_of(wanted: DeviceFilter) -> tuple[list[str], dict[str, Any]]:
    """Return each filter as SQL that begins with `and`, and the values that it names."""
    conditions: list[str] = []
    values: dict[str, Any] = {}
    for column, several in (
        ("uid", wanted.uids),
        ("policy_uid", wanted.policy_uids),
        ("location_uid", wanted.location_uids),
        ("connected_account_uid", wanted.connected_account_uids),
        ("state", wanted.states),
        ("name_key", [fold(name) for name in wanted.names]),
        ("brand_key", [fold(brand) for brand in wanted.brands]),
    ):
        if several:
            names, more = placeholders(column, several)
            conditions.append(f" and d.{column} in ({names})")
            values |= more
    if wanted.tag_uids:
        names, more = placeholders("tag", wanted.tag_uids)
        tagged = (
            "select device_uid from device_tag where tenant_id = :tenant_id"
            f" and tag_uid in ({names}) and device_uid > :after"
        )
        conditions.append(f" and d.uid in ({tagged})")
        values |= more
    if wanted.connected is not None:
        conditions.append(f" and p.connection_uid is {'not null' if wanted.connected else 'null'}")
    for column, prefix in (
        ("name_key", wanted.name_prefix),
        ("serial_key", wanted.serial_prefix),
        ("mac_address", wanted.mac_prefix),
    ):
        if prefix:
            condition, more = begins_with("device", column, prefix)
            conditions.append(f" and {condition}")
            values |= more
    return conditions, values


def _devices(tx: Transaction, scope: Scope, rows: Sequence[Row]) -> list[Device]:
    tags = _tags_of(tx, scope, [row[0] for row in rows])
    return [_device(row, tuple(tags.get(row[0], ()))) for row in rows]


def _tags_of(tx: Transaction, scope: Scope, uids: Sequence[bytes]) -> dict[bytes, list[bytes]]:
    found: dict[bytes, list[bytes]] = {}
    if uids:
        names, values = placeholders("d", uids)
        rows = tx.all(
            f"select device_uid, tag_uid from device_tag where tenant_id = :tenant_id and device_uid in ({names})"
            " order by device_uid, tag_uid",
            tenant_id=scope.tenant_id, **values,
        )  # fmt: skip
        for device_uid, tag_uid in rows:
            found.setdefault(device_uid, []).append(tag_uid)
    return found


def _device(row: Row, tag_uids: tuple[bytes, ...]) -> Device:
    return Device(
        uid=row[0],
        state=row[1],
        identity=Identity(brand=row[2], model=row[3], serial_number=row[4], mac_address=row[5]),
        settings=Settings(
            name=row[6],
            tag_uids=tag_uids,
            policy_uid=row[7],
            location_uid=row[8],
            connected_account_uid=row[16],
            custom_metadata=read_stored_metadata(row[9]),
        ),
        presence=None if row[17] is None else _presence(row[17:]),
        recipe_uid=row[10],
        verification_hash=row[11],
        enrolled_at=row[12],
        created_at=row[13],
        updated_at=row[14],
        version=row[15],
    )


def _presence(row: Row) -> Presence:
    return Presence(
        last_seen_at=row[0], connection_uid=row[1], session=row[2], connected_at=row[3], battery_level=row[4],
        errors=_conditions(row[5]), warnings=_conditions(row[6]),
    )  # fmt: skip
