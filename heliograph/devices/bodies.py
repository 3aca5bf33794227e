"""The payloads of the events about devices, made from what the devices were and are."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import UNSET, UnsetType

from heliograph.devices import events
from heliograph.devices.model import Device
from heliograph.devices.ownership import originator_of, owner_of
from heliograph.eventlog.model import RelatedEntity
from heliograph.ids import as_hex
from heliograph.tenancy.model import Scope


def added(device: Device) -> events.DeviceAdded:
    """Tell of a device what it is and what it was given."""
    identity, settings = device.identity, device.settings
    return events.DeviceAdded(
        uid=as_hex(device.uid),
        brand=identity.brand,
        model=_given(identity.model),
        serial_number=_given(identity.serial_number),
        mac_address=_given(identity.mac_address),
        name=_given(settings.name),
        tag_uids=_hexes(settings.tag_uids),
        policy_uid=_hex(settings.policy_uid),
        location_uid=_hex(settings.location_uid),
        connected_account_uid=_hex(settings.connected_account_uid),
        custom_metadata=settings.custom_metadata,
        recipe_uid=_hex(device.recipe_uid),
    )


def updated(before: Device, after: Device) -> events.DeviceUpdated:
    """Name the settings that changed, and nothing else."""
    old, new = before.settings, after.settings
    name: events.DeviceNameChange | UnsetType = UNSET
    tags: events.TagsChange | UnsetType = UNSET
    metadata: events.CustomMetadataChange | UnsetType = UNSET
    if old.name != new.name:
        name = events.DeviceNameChange(from_=_given(old.name), to=_given(new.name))
    if old.tag_uids != new.tag_uids:
        tags = events.TagsChange(from_=_hexes(old.tag_uids), to=_hexes(new.tag_uids))
    if old.custom_metadata != new.custom_metadata:
        metadata = events.CustomMetadataChange(from_=old.custom_metadata, to=new.custom_metadata)
    changes = events.DeviceChanges(
        name=name,
        tag_uids=tags,
        policy_uid=_reference_change(old.policy_uid, new.policy_uid),
        location_uid=_reference_change(old.location_uid, new.location_uid),
        connected_account_uid=_reference_change(old.connected_account_uid, new.connected_account_uid),
        custom_metadata=metadata,
    )
    return events.DeviceUpdated(uid=as_hex(before.uid), changes=changes)


def removed(device: Device, reason: events.Reason) -> events.DeviceRemoved:
    """Tell what a device was when it went."""
    identity = device.identity
    return events.DeviceRemoved(
        uid=as_hex(device.uid),
        reason=reason,
        brand=identity.brand,
        model=_given(identity.model),
        serial_number=_given(identity.serial_number),
        mac_address=_given(identity.mac_address),
        name=_given(device.settings.name),
    )


def paired(scope: Scope, device: Device, verification_hash: str) -> events.DevicePaired:
    """Tell by the stored hash of which claim code a device was enrolled."""
    return events.DevicePaired(
        owner=owner_of(scope),
        type="Device.Verification.DevicePaired",
        originator=originator_of(scope),
        device_identity_hash=as_hex(device.uid),
        verification_hash=verification_hash,
    )


def unpaired(scope: Scope, device: Device, verification_hash: str) -> events.DeviceUnpaired:
    """Tell which claim code's proof ended."""
    return events.DeviceUnpaired(
        owner=owner_of(scope),
        type="Device.Verification.DeviceUnpaired",
        originator=originator_of(scope),
        device_identity_hash=as_hex(device.uid),
        verification_hash=verification_hash,
    )


def related(device: Device) -> tuple[RelatedEntity, ...]:
    """Name the recipe by which a device was enrolled, to whose history its events belong too."""
    if device.recipe_uid is None:
        return ()
    return (RelatedEntity(id=as_hex(device.recipe_uid), type="ProvisioningRecipe"),)


def _reference_change(before: bytes | None, after: bytes | None) -> events.ReferenceChange | UnsetType:
    return UNSET if before == after else events.ReferenceChange(from_=_hex(before), to=_hex(after))


def _given(text: str | None) -> str | UnsetType:
    return UNSET if text is None else text


def _hex(uid: bytes | None) -> str | UnsetType:
    return UNSET if uid is None else as_hex(uid)


def _hexes(uids: Sequence[bytes]) -> tuple[str, ...]:
    return tuple(as_hex(uid) for uid in uids)
