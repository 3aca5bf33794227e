"""What follows for recipes and access codes when a device leaves, and for all three when what they refer to goes."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import msgspec
from msgspec import UNSET

from heliograph.access_codes import forgetting
from heliograph.access_codes.actions import footing_on
from heliograph.connected_accounts import actions as connected_accounts
from heliograph.devices import actions as devices
from heliograph.devices.model import Attachment, CustomMetadata, Device, DeviceFilter
from heliograph.ids import Secret, as_hex
from heliograph.jobs import actions as jobs
from heliograph.jobs.model import Advance, Chunk, JobContext, JobKind
from heliograph.operations import actions as operations
from heliograph.provisioning import changes, store
from heliograph.provisioning.applying import save
from heliograph.provisioning.recipes import EXPLANATIONS, REASON_OF_MISSING
from heliograph.references import actions as references
from heliograph.references.model import Kind
from heliograph.storage.engine import Transaction
from heliograph.tenancy.access import as_system
from heliograph.tenancy.model import Scope

AT_ONCE = 50
"""Devices and recipes that one transaction detaches from what was removed; a job does the others."""


def update(tx: Transaction, scope: Scope, uid: bytes, version: int | None, patch: devices.SettingsPatch) -> Device:
    """Change settings of an enrolled device; one that loses its connected account loses its access codes.

    Given another account it keeps them, and what is to be done about them is offered to that account's connector;
    unless its own was deleted, whose codes go.

    Raises:
        NotFound, PreconditionFailed: as for every change of a resource.
        Conflict, Invalid: see `devices.actions.update`; Conflict also when too much is to be done about its codes.
    """
    given = patch.connected_account_uid
    if given is UNSET:
        return devices.update(tx, scope, uid, version, patch)
    device = devices.get(tx, scope, uid)
    account = device.settings.connected_account_uid
    if given is None or (account and connected_accounts.find(tx, scope, account) is None):
        _forget_codes(tx, scope, device)
    elif account not in (None, given):
        operations.move(tx, scope, uid, given)
    return devices.update(tx, scope, uid, version, patch)


def deprovision(tx: Transaction, scope: Scope, uid: bytes, version: int | None) -> Device:
    """Return a device to nobody; its access codes go, its recipe is done, and others may wait for the same device.

    Raises:
        NotFound, PreconditionFailed: as for every change of a resource.
    """
    _forget_codes(tx, scope, devices.get(tx, scope, uid))
    device = devices.deprovision(tx, scope, uid, version)
    _finish_recipe(tx, scope, device)
    return device


def delete(tx: Transaction, scope: Scope, uid: bytes, version: int | None) -> None:
    """Remove a device, which is deprovisioned before; its history stays in the log.

    Raises:
        NotFound, PreconditionFailed: as for every change of a resource.
    """
    device = devices.get(tx, scope, uid)
    _forget_codes(tx, scope, device)
    forgetting.forget_lock(tx, scope, uid)
    devices.delete(tx, scope, uid, version)
    _finish_recipe(tx, scope, device)


def move(tx: Transaction, scope: Scope, to: Scope, uid: bytes, version: int | None) -> tuple[Device, Secret]:
    """Give a device to another organization of the same company.

    Raises:
        NotFound, PreconditionFailed: as for every change of a resource.
        Conflict: when it is not enrolled, or the organizations do not belong to one company.
    """
    before = devices.get(tx, scope, uid)
    _forget_codes(tx, scope, before)
    moved = devices.move(tx, scope, to, uid, version)
    _finish_recipe(tx, scope, before)
    return moved


def _forget_codes(tx: Transaction, scope: Scope, device: Device) -> None:
    """Remove the codes of a device that still has its account, even one that was deleted but not yet taken from it."""
    uid = device.settings.connected_account_uid
    if uid is None:
        return
    account = connected_accounts.find(tx, scope, uid)
    metadata = _metadata_left(tx, scope, uid) if account is None else account.custom_metadata
    forgetting.forget_codes(tx, scope, footing_on(device, uid, metadata))


def _metadata_left(tx: Transaction, scope: Scope, uid: bytes) -> CustomMetadata:
    """Return the custom metadata of a deleted account, which the job has that takes it from its devices."""
    for job in jobs.unfinished(tx, scope, (DETACHING.name,)):
        if job.parameters["uid"] == as_hex(uid):
            metadata: CustomMetadata = job.parameters.get("customMetadata", {})
            return metadata
    return {}


def _finish_recipe(tx: Transaction, scope: Scope, device: Device) -> None:
    """End what a recipe had with a device: an applied one is no longer live, another one waits as before they met."""
    if device.recipe_uid is None:
        return
    for recipe in store.find_recipes(tx, scope, [device.recipe_uid]):
        if recipe.device_uid != device.uid:
            continue
        if recipe.status == "Applied":
            store.release_identifiers(tx, scope, recipe.uid)
        elif device.state == "waiting":
            save(tx, scope, recipe, msgspec.structs.replace(recipe, device_uid=None), None)


def delete_reference(tx: Transaction, scope: Scope, kind: Kind, uid: bytes, version: int | None) -> None:
    """Remove a tag, policy or location, and take it from the devices that have it and the recipes that name it.

    Pending and Failed recipes become Invalid. Many of them are done by a job, behind this change.

    Raises:
        NotFound, PreconditionFailed: as for every change of a resource.
        Conflict: when it is a tag with tags below it.
    """
    references.delete(tx, scope, kind, uid, version)
    _detach_all(tx, scope, kind, uid)


def delete_connected_account(tx: Transaction, scope: Scope, uid: bytes, version: int | None) -> None:
    """Remove a connected account, and take it from its devices, whose access codes go.

    Many of them are done by a job, behind this change.

    Raises:
        NotFound, PreconditionFailed: as for every change of a resource.
    """
    account = connected_accounts.get(tx, scope, uid)
    connected_accounts.delete(tx, scope, uid, version)
    _detach_all(tx, scope, "connected_account", uid, account.custom_metadata)


def _detach_all(
    tx: Transaction, scope: Scope, kind: Attachment, uid: bytes, metadata: CustomMetadata | None = None
) -> None:
    if detach(tx, scope, kind, uid, AT_ONCE, metadata):
        parameters = {"kind": kind, "uid": as_hex(uid)} | ({} if metadata is None else {"customMetadata": metadata})
        # The platform's own work: it must not stay half done when the account that deleted is revoked meanwhile.
        jobs.start(tx, as_system(tx, scope.tenant_id), DETACHING.name, parameters, limited=False)


def detach(
    tx: Transaction, scope: Scope, kind: Attachment, uid: bytes, limit: int, metadata: CustomMetadata | None = None
) -> bool:
    """Take what was removed from at most `limit` devices and as many recipes; tell whether more are left.

    `metadata` is the custom metadata that a connected account had, for the events about the access codes that go.
    """
    if kind == "connected_account":
        return _detach_account(tx, scope, uid, metadata or {}, limit)
    recipes = _invalidate(tx, scope, kind, uid, limit)
    return devices.detach(tx, scope, kind, uid, limit) or recipes == limit


def _detach_account(tx: Transaction, scope: Scope, uid: bytes, metadata: CustomMetadata, limit: int) -> bool:
    """Remove at most `limit` access codes, and take the account from the first devices that have none left."""
    found, _ = devices.list_devices(tx, scope, DeviceFilter(connected_account_uids=(uid,)), b"", limit)
    emptied = 0
    left = limit
    for device in found:
        left -= forgetting.forget_some(tx, scope, footing_on(device, uid, metadata), left)
        if not left:
            break
        emptied += 1
    return devices.detach(tx, scope, "connected_account", uid, emptied)


def _invalidate(tx: Transaction, scope: Scope, kind: Kind, uid: bytes, limit: int) -> int:
    """Make recipes Invalid that name what was removed, and return how many."""
    reason = EXPLANATIONS[REASON_OF_MISSING[kind]]
    recipes = store.recipes_referring_to(tx, scope, kind, uid, limit)
    for recipe in recipes:
        invalid = msgspec.structs.replace(recipe, status="Invalid", error_message=reason)
        store.release_identifiers(tx, scope, recipe.uid)
        save(tx, scope, recipe, invalid, changes.status_changed)
    return len(recipes)


class _Detach:
    """One chunk of the job that detaches; `more` tells afterwards whether another one is needed."""

    def __init__(self, kind: Attachment, uid: bytes, metadata: CustomMetadata | None, number: int) -> None:
        self._kind = kind
        self._uid = uid
        self._metadata = metadata
        self._number = number
        self.more = True

    def apply(self, tx: Transaction, scope: Scope) -> Advance:
        """Detach the next devices and recipes; the chunks themselves are what is counted."""
        self.more = detach(tx, scope, self._kind, self._uid, AT_ONCE, self._metadata)
        return Advance(position=None, done=self._number)


def _detach_chunks(context: JobContext) -> Iterator[Chunk]:
    kind: Attachment = context.job.parameters["kind"]
    uid = bytes.fromhex(context.job.parameters["uid"])
    metadata: CustomMetadata | None = context.job.parameters.get("customMetadata")
    for number in count(context.job.done + 1):
        chunk = _Detach(kind, uid, metadata, number)
        yield chunk
        if not chunk.more:
            return


DETACHING = JobKind(
    name="detach",
    read="read device.tenant",
    change="update device.tenant",
    open=_detach_chunks,
    cancellable=False,
)
"""The job that goes on where `delete_reference` or `delete_connected_account` stopped."""
