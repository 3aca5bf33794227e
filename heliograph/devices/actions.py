"""What can be done to devices: enrol, change, deprovision, move and delete them; each change is an event."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

import msgspec
from msgspec import UNSET, UnsetType

from heliograph import publish
from heliograph.catalog.definition import EventDefinition
from heliograph.connected_accounts import actions as connected_accounts
from heliograph.devices import bodies, events, store
from heliograph.devices.model import Attachment, CustomMetadata, Device, DeviceFilter, Identity, Settings
from heliograph.errors import Conflict, Invalid, NotFound, require_version
from heliograph.ids import Secret, as_hex, new_uid
from heliograph.presence import actions as presence
from heliograph.references import actions as references
from heliograph.storage.engine import Transaction
from heliograph.storage.pages import page_of
from heliograph.tenancy import device_tokens
from heliograph.tenancy.access import require_organization
from heliograph.tenancy.model import Scope

MOST_TAGS_ASKED = 1000
"""Tags that one list may be filtered by, those below included."""

MOST_TREES_ASKED = 20
"""Tags that one list may be filtered by together with all those below them."""

holders = store.holders


class SettingsPatch(msgspec.Struct, frozen=True, kw_only=True):
    """What to change of a device's settings; None removes a value, what is UNSET stays."""

    name: str | UnsetType | None = UNSET
    tag_uids: tuple[bytes, ...] | UnsetType = UNSET
    policy_uid: bytes | UnsetType | None = UNSET
    location_uid: bytes | UnsetType | None = UNSET
    connected_account_uid: bytes | UnsetType | None = UNSET
    custom_metadata: CustomMetadata | UnsetType = UNSET

    def onto(self, settings: Settings) -> Settings:
        """Return settings with these changes."""
        given = {name: value for name, value in msgspec.structs.asdict(self).items() if value is not UNSET}
        return msgspec.structs.replace(settings, **given)


# -- enrolling ------------------------------------------------------------------------------------------------------


class _TakenError(Exception):
    """One of a device's identifiers is enrolled already."""


def enrol(
    tx: Transaction,
    scope: Scope,
    identity: Identity,
    settings: Settings,
    *,
    recipe_uid: bytes | None = None,
    verification_hash: str | None = None,
    known: bytes | None = None,
) -> Device | None:
    """Give a device to the organization, or return None when one of its identifiers is enrolled already, anywhere.

    Its identifiers are claimed all or none; of two transactions that race for one, the second waits for the first.
    `known` is the uid under which the device was seen before: a row that it has here becomes the enrolled device.
    `verification_hash` is the stored hash of the claim code that proved whose device it is.
    """
    uid = known or new_uid()
    if not _claim(tx, scope, identity, uid):
        return None
    before = None if known is None else store.find_device(tx, scope, known)
    device = Device(
        uid=uid,
        state="enrolled",
        identity=identity,
        settings=_orderly(settings),
        presence=before.presence if before else None,
        recipe_uid=recipe_uid,
        verification_hash=verification_hash,
        enrolled_at=tx.now,
        created_at=before.created_at if before else tx.now,
        updated_at=tx.now,
        version=before.version + 1 if before else 1,
    )
    if before is None:
        store.insert_device(tx, scope, device)
    else:
        store.update_device(tx, scope, before, device)
    if verification_hash is not None:
        _record(tx, scope, events.DEVICE_PAIRED, device, bodies.paired(scope, device, verification_hash))
    _record(tx, scope, events.DEVICE_ADDED, device, bodies.added(device))
    return device


def _claim(tx: Transaction, scope: Scope, identity: Identity, uid: bytes) -> bool:
    try:
        with tx.savepoint():
            for identifier in identity.identifiers:
                if not store.claim(tx, scope, identifier, uid):
                    raise _TakenError
    except _TakenError:
        return False
    return True


def find_waiting(tx: Transaction, scope: Scope, identity: Identity) -> Device | None:
    """Return the device that was seen before under that identity and could not be enrolled, if there is one."""
    return store.find_waiting(tx, scope, identity)


def remember(
    tx: Transaction,
    scope: Scope,
    identity: Identity,
    *,
    recipe_uid: bytes,
    verification_hash: str | None = None,
    known: Device | None = None,
) -> Device:
    """Keep a device that was seen but could not be enrolled; it claims nothing, and nothing is recorded.

    `known` is its row from an earlier time. `verification_hash` is the proof that it brought, to be told of when it is
    enrolled.
    """
    device = Device(
        uid=known.uid if known else new_uid(),
        state="waiting",
        identity=identity,
        settings=Settings(),
        recipe_uid=recipe_uid,
        verification_hash=verification_hash,
        created_at=known.created_at if known else tx.now,
        updated_at=tx.now,
        version=known.version + 1 if known else 1,
    )
    if known is None:
        store.insert_device(tx, scope, device)
    else:
        store.update_device(tx, scope, known, device)
    return device


def pair(tx: Transaction, scope: Scope, device: Device, verification_hash: str) -> Device:
    """Note that an enrolled device was proved by a claim code, unless it was paired before."""
    if device.verification_hash is not None:
        return device
    after = msgspec.structs.replace(
        device, verification_hash=verification_hash, updated_at=tx.now, version=device.version + 1
    )
    store.update_device(tx, scope, device, after)
    _record(tx, scope, events.DEVICE_PAIRED, after, bodies.paired(scope, after, verification_hash))
    return after


def create(tx: Transaction, scope: Scope, identity: Identity, settings: Settings) -> tuple[Device, Secret]:
    """Enrol a device by hand, and return it with its token.

    Raises:
        Invalid: when a tag, policy, location or connected account is not one of the organization's.
        Conflict: when the tenant is a company, or one of the identifiers is enrolled already; the device that has it
            is named only when it is the organization's own.
    """
    require_organization(scope)
    references.require(tx, scope, settings)
    connected_accounts.require(tx, scope, settings.connected_account_uid)
    device = enrol(tx, scope, identity, settings)
    if device is None:
        raise _taken(tx, scope, identity)
    return device, device_tokens.issue(tx, scope, device.uid)


def _taken(tx: Transaction, scope: Scope, identity: Identity) -> Conflict:
    holding = store.holders(tx, identity.identifiers).values()
    own = sorted({as_hex(uid) for tenant_id, uid in holding if tenant_id == scope.tenant_id})
    named = f" It is {' and '.join(own)}." if own else ""
    return Conflict(f"A device with these identifiers is enrolled already.{named}")


# -- reading --------------------------------------------------------------------------------------------------------


def find(tx: Transaction, scope: Scope, uid: bytes) -> Device | None:
    """Return one of the organization's devices, if there is such a one."""
    return store.find_device(tx, scope, uid)


def get(tx: Transaction, scope: Scope, uid: bytes) -> Device:
    """Return one of the organization's devices, deprovisioned ones included.

    Raises:
        NotFound: when it has no such device.
    """
    device = store.find_device(tx, scope, uid)
    if device is None:
        raise NotFound("There is no such device.")
    return device


def by_uid(tx: Transaction, scope: Scope, uids: Iterable[bytes]) -> dict[bytes, Device]:
    """Return those of the uids' devices that the organization has."""
    asked = tuple(set(uids))
    found = store.list_devices(tx, scope, DeviceFilter(uids=asked), b"", len(asked)) if asked else []
    return {device.uid: device for device in found}


def list_devices(
    tx: Transaction, scope: Scope, wanted: DeviceFilter, after: bytes, limit: int
) -> tuple[list[Device], bytes | None]:
    """Return a page of the devices that pass every filter, and the uid to go on after when there are more.

    A page that is sifted (`DeviceFilter.sieve`) may be short although there are more.

    Raises:
        Invalid: when the tags to filter by are more than 1,000, those below them included, or more than 20 are named
            of which those below are wanted too.
    """
    tags = set(wanted.tag_uids)
    if wanted.nested_tags and tags:
        if len(tags) > MOST_TREES_ASKED:
            words = f"At most {MOST_TREES_ASKED} tags can be named together with nestedTags."
            raise Invalid.at("query/tagUid", "max-items", words)
        # A tag that does not exist has nothing below it, and no device either.
        tags.update(references.nested(tx, scope, tags, MOST_TAGS_ASKED + 1))
    if len(tags) > MOST_TAGS_ASKED:
        raise Invalid.at("query/tagUid", "max-items", f"These are more than {MOST_TAGS_ASKED} tags.")
    wanted = msgspec.structs.replace(wanted, tag_uids=tuple(sorted(tags)))
    return page_of(partial(store.list_devices, tx, scope, wanted), after, limit, wanted.sieve)


# -- changing -------------------------------------------------------------------------------------------------------


def update(tx: Transaction, scope: Scope, uid: bytes, version: int | None, patch: SettingsPatch) -> Device:
    """Change settings of an enrolled device.

    Raises:
        NotFound, PreconditionFailed: as for every change of a resource.
        Conflict: when the device is not enrolled.
        Invalid: when a new tag, policy, location or connected account is not one of the organization's.
    """
    device = get(tx, scope, uid)
    require_version(version, device.version)
    if device.state != "enrolled":
        raise Conflict("Only an enrolled device can be changed.")
    # What stays is not checked: a tag that was just deleted is on its way out of the devices that have it.
    new = patch.onto(Settings())
    references.require(tx, scope, new)
    connected_accounts.require(tx, scope, new.connected_account_uid)
    return reset(tx, scope, device, patch.onto(device.settings))


def reset(tx: Transaction, scope: Scope, device: Device, settings: Settings) -> Device:
    """Make these the settings of a device; nothing is recorded when they are that already."""
    settings = _orderly(settings)
    if settings == device.settings:
        return device
    after = msgspec.structs.replace(device, settings=settings, updated_at=tx.now, version=device.version + 1)
    store.update_device(tx, scope, device, after)
    _record(tx, scope, events.DEVICE_UPDATED, device, bodies.updated(device, after))
    return after


def detach(tx: Transaction, scope: Scope, kind: Attachment, uid: bytes, limit: int) -> bool:
    """Take a tag, policy, location or connected account that was deleted from at most `limit` devices.

    Tells whether more have it.
    """
    found = store.referring(tx, scope, kind, uid, limit + 1)
    devices = found[:limit]
    if devices:
        store.detach(tx, scope, kind, uid, [device.uid for device in devices])
        publish.record_all(tx, scope, [_detached(device, kind, uid) for device in devices])
    return len(found) > limit


def _detached(device: Device, kind: Attachment, uid: bytes) -> publish.Occurrence:
    if kind == "tag":
        left = tuple(tag for tag in device.settings.tag_uids if tag != uid)
        settings = msgspec.structs.replace(device.settings, tag_uids=left)
    else:
        settings = msgspec.structs.replace(device.settings, **{f"{kind}_uid": None})
    body = bodies.updated(device, msgspec.structs.replace(device, settings=settings))
    return publish.Occurrence(
        definition=events.DEVICE_UPDATED,
        target_id=as_hex(device.uid),
        build=lambda _: body,
        related=bodies.related(device),
    )


# -- removing -------------------------------------------------------------------------------------------------------


def deprovision(tx: Transaction, scope: Scope, uid: bytes, version: int | None) -> Device:
    """Return a device to nobody: its connection and its token end, and others may enrol it. Again changes nothing.

    Raises:
        NotFound, PreconditionFailed: as for every change of a resource.
        Conflict: when the device was never enrolled.
    """
    device = get(tx, scope, uid)
    require_version(version, device.version)
    if device.state == "deprovisioned":
        return device
    if device.state != "enrolled":
        raise Conflict("The device was never enrolled; it can be deleted.")
    return _deprovision(tx, scope, device, "deprovisioned")


def delete(tx: Transaction, scope: Scope, uid: bytes, version: int | None) -> None:
    """Remove a device and what is known of it, deprovisioning it first; its events stay.

    Of a device that only waited nothing was ever told, and nothing is told now.

    Raises:
        NotFound, PreconditionFailed: as for every change of a resource.
    """
    device = get(tx, scope, uid)
    require_version(version, device.version)
    if device.state == "enrolled":
        _deprovision(tx, scope, device, "deleted")
    elif device.state == "deprovisioned":
        _record(tx, scope, events.DEVICE_REMOVED, device, bodies.removed(device, "deleted"))
    presence.forget(tx, scope, uid)
    store.delete_device(tx, scope, uid)


def move(tx: Transaction, scope: Scope, to: Scope, uid: bytes, version: int | None) -> tuple[Device, Secret]:
    """Give a device to another organization of the same company, and return it as it is there, with a new token.

    It keeps its uid, name and custom metadata; tags, policy, location and connected account stay behind, as does what a
    claim code had proved.

    Raises:
        NotFound, PreconditionFailed: as for every change of a resource.
        Conflict: when the device is not enrolled, or the target is not another organization of the same company.
    """
    require_organization(to)
    device = get(tx, scope, uid)
    require_version(version, device.version)
    if device.state != "enrolled":
        raise Conflict("Only an enrolled device can be moved.")
    if to.tenant_id == scope.tenant_id:
        raise Conflict("The device is in this organization already.")
    if to.parent_uid != scope.parent_uid:
        raise Conflict("A device can only be moved to another organization of the same company.")
    _deprovision(tx, scope, device, "moved")
    carried = Settings(name=device.settings.name, custom_metadata=device.settings.custom_metadata)
    moved = enrol(tx, to, device.identity, carried, known=uid)
    # Its identifiers were freed in this very transaction, so nobody else can have them.
    assert moved is not None
    return moved, device_tokens.issue(tx, to, uid)


def _deprovision(tx: Transaction, scope: Scope, device: Device, reason: events.Reason) -> Device:
    presence.end_connection(tx, scope, device)
    device_tokens.end(tx, scope, device.uid)
    store.release(tx, scope, device.uid)
    after = msgspec.structs.replace(
        device,
        state="deprovisioned",
        settings=Settings(custom_metadata=device.settings.custom_metadata),
        verification_hash=None,
        updated_at=tx.now,
        version=device.version + 1,
    )
    store.update_device(tx, scope, device, after)
    if device.verification_hash is not None:
        _record(tx, scope, events.DEVICE_UNPAIRED, device, bodies.unpaired(scope, device, device.verification_hash))
    _record(tx, scope, events.DEVICE_REMOVED, device, bodies.removed(device, reason))
    return get(tx, scope, device.uid)


def _record(tx: Transaction, scope: Scope, definition: EventDefinition, device: Device, body: msgspec.Struct) -> None:
    publish.record(tx, scope, definition, as_hex(device.uid), lambda _: body, related=bodies.related(device))


def _orderly(settings: Settings) -> Settings:
    """Return the settings with every tag once, in the order in which they are stored."""
    return msgspec.structs.replace(settings, tag_uids=tuple(sorted(set(settings.tag_uids))))
