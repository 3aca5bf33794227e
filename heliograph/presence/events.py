"""What the log says about the presence of devices.

Connections and telemetry have the shapes of signageOS's public event reference, which names the device by
`deviceUid` in its older copies and by `deviceIdentityHash` in its newer ones; here both are there and equal.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, UnsetType

from heliograph.catalog.definition import CamelBody, EventDefinition, HexUid
from heliograph.devices.ownership import Owner

Percent = Annotated[int, Meta(ge=0, le=100)]


class DeviceConnectionAdded(CamelBody, frozen=True, kw_only=True):
    """Payload of `Device.DeviceConnectionAdded`."""

    owner: Owner
    type: Literal["Device.DeviceConnectionAdded"]
    device_uid: str
    device_identity_hash: str
    connection_uid: str
    server_instance_uid: str


class DeviceConnectionDeleted(CamelBody, frozen=True, kw_only=True):
    """Payload of `Device.DeviceConnectionDeleted`; it names the process that had taken the connection up."""

    owner: Owner
    type: Literal["Device.DeviceConnectionDeleted"]
    device_uid: str
    device_identity_hash: str
    connection_uid: str
    server_instance_uid: str


class DeviceTelemetryRecordUpdated(CamelBody, frozen=True, kw_only=True):
    """Payload of `Device.Telemetry.DeviceTelemetryRecordUpdated`; `data` is whatever the device measures."""

    owner: Owner
    type: Literal["Device.Telemetry.DeviceTelemetryRecordUpdated"]
    device_uid: str
    device_identity_hash: str
    name: str
    data: Any


class BatteryLevel(CamelBody, frozen=True, kw_only=True):
    """Payload of `Device.BatteryLow` and `Device.BatteryRecovered`; `charging` as far as the device said."""

    uid: HexUid
    percent: Percent
    charging: bool | UnsetType = UNSET


class CodeChanges(CamelBody, frozen=True, kw_only=True):
    """The codes that came and those that went."""

    added: tuple[str, ...]
    removed: tuple[str, ...]


class ConditionsChanged(CamelBody, frozen=True, kw_only=True):
    """Payload of `Device.ConditionsChanged`; a kind of which nothing came or went is left out."""

    uid: HexUid
    errors: CodeChanges | UnsetType = UNSET
    warnings: CodeChanges | UnsetType = UNSET


_DEVICE = "0197a1d4c9da7e4f8a5b6c7d8e9fa0b1"
_CONNECTION = "0197a1d52ce17b908b6c7d8e9fa0b1c2"
_INSTANCE = "0197a1cf05b27d1e9c7d8e9fa0b1c2d3"
_OWNER = Owner(
    ownership_type="organization",
    organization_uid="0197a1c2d3e47f508192a3b4c5d6e7f8",
    parent_company_uid="0197a1c2d3e07b119a2b3c4d5e6f7081",
)

BATTERY_LOW = EventDefinition(
    type="Device.BatteryLow",
    family="record",
    code=2003,
    criticality=2,
    target="Device",
    struct=BatteryLevel,
    sample=BatteryLevel(uid=_DEVICE, percent=18, charging=False),
    meaning="A device's battery fell to the limit that counts as low; told once until it has recovered.",
)

BATTERY_RECOVERED = EventDefinition(
    type="Device.BatteryRecovered",
    family="record",
    code=2004,
    criticality=5,
    target="Device",
    struct=BatteryLevel,
    sample=BatteryLevel(uid=_DEVICE, percent=64, charging=True),
    meaning="The battery of a device that was low is well above the limit again.",
)

CONDITIONS_CHANGED = EventDefinition(
    type="Device.ConditionsChanged",
    family="record",
    code=2005,
    criticality=3,
    target="Device",
    struct=ConditionsChanged,
    sample=ConditionsChanged(
        uid=_DEVICE,
        errors=CodeChanges(added=("display_dark",), removed=()),
        warnings=CodeChanges(added=(), removed=("storage_nearly_full", "hot")),
    ),
    meaning="A device reports other errors or warnings than before.",
)

CONNECTION_ADDED = EventDefinition(
    type="Device.DeviceConnectionAdded",
    family="domain",
    kind="domain",
    code=2120,
    criticality=5,
    target="Device",
    struct=DeviceConnectionAdded,
    sample=DeviceConnectionAdded(
        owner=_OWNER,
        type="Device.DeviceConnectionAdded",
        device_uid=_DEVICE,
        device_identity_hash=_DEVICE,
        connection_uid=_CONNECTION,
        server_instance_uid=_INSTANCE,
    ),
    meaning="A device came online.",
)

CONNECTION_DELETED = EventDefinition(
    type="Device.DeviceConnectionDeleted",
    family="domain",
    kind="domain",
    code=2121,
    criticality=4,
    target="Device",
    struct=DeviceConnectionDeleted,
    sample=DeviceConnectionDeleted(
        owner=_OWNER,
        type="Device.DeviceConnectionDeleted",
        device_uid=_DEVICE,
        device_identity_hash=_DEVICE,
        connection_uid=_CONNECTION,
        server_instance_uid=_INSTANCE,
    ),
    meaning="A device went offline, by its own word or by its silence.",
)

TELEMETRY_UPDATED = EventDefinition(
    type="Device.Telemetry.DeviceTelemetryRecordUpdated",
    family="domain",
    kind="telemetry",
    code=2130,
    criticality=5,
    target="Device",
    struct=DeviceTelemetryRecordUpdated,
    sample=DeviceTelemetryRecordUpdated(
        owner=_OWNER,
        type="Device.Telemetry.DeviceTelemetryRecordUpdated",
        device_uid=_DEVICE,
        device_identity_hash=_DEVICE,
        name="temperature",
        data={"celsius": 41},
    ),
    meaning="A device measured something else than before.",
)

EVENTS: tuple[EventDefinition, ...] = (
    BATTERY_LOW,
    BATTERY_RECOVERED,
    CONDITIONS_CHANGED,
    CONNECTION_ADDED,
    CONNECTION_DELETED,
    TELEMETRY_UPDATED,
)
