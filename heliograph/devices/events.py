"""What the log says about devices as such: that one was added, changed or removed, paired or unpaired.

The shapes of the two `Device.Verification.*` events are those of signageOS's public event reference.
"""

from __future__ import annotations

from typing import Literal

from msgspec import UNSET, UnsetType

from heliograph.catalog.definition import CamelBody, Change, EventDefinition, HexUid, OptionalChange
from heliograph.devices.model import CustomMetadata
from heliograph.devices.ownership import Originator, Owner

Reason = Literal["deprovisioned", "moved", "deleted"]
"""Why a device is no longer there; moved: to another organization of the same company."""


class DeviceAdded(CamelBody, frozen=True, kw_only=True):
    """Payload of `Device.Added`: what the device is and what it was given."""

    uid: HexUid
    brand: str
    model: str | UnsetType = UNSET
    serial_number: str | UnsetType = UNSET
    mac_address: str | UnsetType = UNSET
    name: str | UnsetType = UNSET
    tag_uids: tuple[HexUid, ...]
    policy_uid: HexUid | UnsetType = UNSET
    location_uid: HexUid | UnsetType = UNSET
    connected_account_uid: HexUid | UnsetType = UNSET
    custom_metadata: CustomMetadata
    recipe_uid: HexUid | UnsetType = UNSET


class DeviceNameChange(OptionalChange[str], frozen=True, kw_only=True):
    """The name before and after; left out on the side where the device has none."""


class ReferenceChange(OptionalChange[HexUid], frozen=True, kw_only=True):
    """The policy, location or connected account before and after; left out on the side where the device has none."""


class TagsChange(Change[tuple[HexUid, ...]], frozen=True, kw_only=True):
    """The tags before and after."""


class CustomMetadataChange(Change[CustomMetadata], frozen=True, kw_only=True):
    """The custom metadata before and after."""


class DeviceChanges(CamelBody, frozen=True, kw_only=True):
    """The settings that changed."""

    name: DeviceNameChange | UnsetType = UNSET
    tag_uids: TagsChange | UnsetType = UNSET
    policy_uid: ReferenceChange | UnsetType = UNSET
    location_uid: ReferenceChange | UnsetType = UNSET
    connected_account_uid: ReferenceChange | UnsetType = UNSET
    custom_metadata: CustomMetadataChange | UnsetType = UNSET


class DeviceUpdated(CamelBody, frozen=True, kw_only=True):
    """Payload of `Device.Updated`."""

    uid: HexUid
    changes: DeviceChanges


class DeviceRemoved(CamelBody, frozen=True, kw_only=True):
    """Payload of `Device.Removed`: what the device was when it went."""

    uid: HexUid
    reason: Reason
    brand: str
    model: str | UnsetType = UNSET
    serial_number: str | UnsetType = UNSET
    mac_address: str | UnsetType = UNSET
    name: str | UnsetType = UNSET


class DevicePaired(CamelBody, frozen=True, kw_only=True):
    """Payload of `Device.Verification.DevicePaired`: a device proved by a claim code whose it is."""

    owner: Owner
    type: Literal["Device.Verification.DevicePaired"]
    originator: Originator | UnsetType = UNSET
    device_identity_hash: str
    verification_hash: str


class DeviceUnpaired(CamelBody, frozen=True, kw_only=True):
    """Payload of `Device.Verification.DeviceUnpaired`: what the claim code had proved no longer holds."""

    owner: Owner
    type: Literal["Device.Verification.DeviceUnpaired"]
    originator: Originator | UnsetType = UNSET
    device_identity_hash: str
    verification_hash: str


_ORGANIZATION = "0197a1c2d3e47f508192a3b4c5d6e7f8"
_DEVICE = "0197a1d4c9da7e4f8a5b6c7d8e9fa0b1"
_TAG = "0197a1c9e1f27c3ab4d5e6f708192a3b"
_POLICY = "0197a1ca1b247e5ca6f708192a3b4c5d"
_LOCATION = "0197a1ca02137d4b95e6f708192a3b4c"
_ACCOUNT = "0197b39f77a07b1c9d2e3f4051627384"
_VERIFICATION = "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae"
_OWNER = Owner(
    ownership_type="organization",
    organization_uid=_ORGANIZATION,
    parent_company_uid="0197a1c2d3e07b119a2b3c4d5e6f7081",
)

DEVICE_ADDED = EventDefinition(
    type="Device.Added",
    family="record",
    code=2000,
    criticality=4,
    target="Device",
    struct=DeviceAdded,
    sample=DeviceAdded(
        uid=_DEVICE,
        brand="Samsung",
        model="QM55C",
        serial_number="SN-20417",
        mac_address="00:1B:44:11:3A:B7",
        name="Lobby, left of the lifts",
        tag_uids=(_TAG,),
        policy_uid=_POLICY,
        location_uid=_LOCATION,
        connected_account_uid=_ACCOUNT,
        custom_metadata={"floor": "0"},
        recipe_uid="0197a1d0b7c87a2d9f3e5b6c7d8e9fa0",
    ),
    meaning="A device was enrolled in the organization, by a recipe or by hand.",
)

DEVICE_UPDATED = EventDefinition(
    type="Device.Updated",
    family="record",
    code=2001,
    criticality=5,
    target="Device",
    struct=DeviceUpdated,
    sample=DeviceUpdated(
        uid=_DEVICE,
        changes=DeviceChanges(
            name=DeviceNameChange(from_="Lobby", to="Lobby, left of the lifts"),
            tag_uids=TagsChange(from_=(), to=(_TAG,)),
            policy_uid=ReferenceChange(from_=_POLICY),
            location_uid=ReferenceChange(to=_LOCATION),
            connected_account_uid=ReferenceChange(to=_ACCOUNT),
            custom_metadata=CustomMetadataChange(from_={}, to={"floor": "0"}),
        ),
    ),
    meaning="The name, tags, policy, location, connected account or custom metadata of a device changed.",
)

DEVICE_REMOVED = EventDefinition(
    type="Device.Removed",
    family="record",
    code=2002,
    criticality=3,
    target="Device",
    struct=DeviceRemoved,
    sample=DeviceRemoved(
        uid=_DEVICE,
        reason="deprovisioned",
        brand="Samsung",
        model="QM55C",
        serial_number="SN-20417",
        mac_address="00:1B:44:11:3A:B7",
        name="Lobby, left of the lifts",
    ),
    meaning="A device left the organization: it was deprovisioned, moved to another one, or deleted.",
)

DEVICE_PAIRED = EventDefinition(
    type="Device.Verification.DevicePaired",
    family="domain",
    kind="domain",
    code=2110,
    criticality=4,
    target="Device",
    struct=DevicePaired,
    sample=DevicePaired(
        owner=_OWNER,
        type="Device.Verification.DevicePaired",
        device_identity_hash=_DEVICE,
        verification_hash=_VERIFICATION,
    ),
    meaning="A device presented the claim code of its recipe and was enrolled by it.",
)

DEVICE_UNPAIRED = EventDefinition(
    type="Device.Verification.DeviceUnpaired",
    family="domain",
    kind="domain",
    code=2111,
    criticality=3,
    target="Device",
    struct=DeviceUnpaired,
    sample=DeviceUnpaired(
        owner=_OWNER,
        type="Device.Verification.DeviceUnpaired",
        originator=Originator(account_id=1042, organization_uid=_ORGANIZATION),
        device_identity_hash=_DEVICE,
        verification_hash=_VERIFICATION,
    ),
    meaning="A device that a claim code had enrolled left the organization.",
)

EVENTS: tuple[EventDefinition, ...] = (
    DEVICE_ADDED,
    DEVICE_UPDATED,
    DEVICE_REMOVED,
    DEVICE_PAIRED,
    DEVICE_UNPAIRED,
)
