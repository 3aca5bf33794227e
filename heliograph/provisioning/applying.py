"""The step from a recipe to an enrolled device, and how a changed recipe is saved together with its event."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from heliograph import publish
from heliograph.devices import actions as devices
from heliograph.devices.model import Device, Identity
from heliograph.provisioning import changes, store
from heliograph.provisioning.recipes import EXPLANATIONS, REASON_OF_MISSING, Reason, Recipe
from heliograph.publish import Occurrence
from heliograph.references import actions as references
from heliograph.references.model import Missing
from heliograph.storage.engine import Transaction
from heliograph.tenancy.model import Scope

Tell = Callable[[Scope, Recipe, Recipe], Occurrence]


class Applied(msgspec.Struct, frozen=True):
    """The device is enrolled and has what the recipe says."""

    recipe: Recipe
    device: Device


class Failed(msgspec.Struct, frozen=True):
    """Something that the recipe refers to is gone; the device is known, but nobody's."""

    recipe: Recipe
    reason: Reason


class Taken(msgspec.Struct, frozen=True):
    """Somebody enrolled the device before; nothing was changed."""


def apply(
    tx: Transaction, scope: Scope, recipe: Recipe, presented: Identity, verification_hash: str | None = None
) -> Applied | Failed | Taken:
    """Enrol the device that a Pending recipe was matched with; the claim on its identifiers decides any race.

    `verification_hash` is given when the device presented the recipe's claim code, which is then used up. Of a device
    that cannot be enrolled yet the proof is kept.
    """
    identity = _united(presented, recipe.identity)
    known = devices.find_waiting(tx, scope, identity)
    lost = references.missing(tx, scope, recipe.settings)
    if lost:
        seen = devices.remember(
            tx, scope, identity, recipe_uid=recipe.uid, verification_hash=verification_hash, known=known
        )
        return _fail(tx, scope, recipe, seen, lost[0])
    if verification_hash is None and known is not None and known.recipe_uid == recipe.uid:
        verification_hash = known.verification_hash
    device = devices.enrol(
        tx, scope, identity, recipe.settings,
        recipe_uid=recipe.uid, verification_hash=verification_hash, known=known.uid if known else None,
    )  # fmt: skip
    if device is None:
        return Taken()
    after = msgspec.structs.replace(
        recipe,
        status="Applied",
        device_uid=device.uid,
        warning_message=None,
        error_message=None,
        confirmed_ownership=recipe.confirmed_ownership or verification_hash is not None,
        claim_used_at=tx.now if verification_hash is not None else recipe.claim_used_at,
    )
    return Applied(save(tx, scope, recipe, after, changes.status_changed), device)


def _united(presented: Identity, expected: Identity) -> Identity:
    """Return what the device says it is, with what only its recipe knows."""
    return Identity(
        brand=expected.brand,
        model=presented.model or expected.model,
        serial_number=presented.serial_number or expected.serial_number,
        mac_address=presented.mac_address or expected.mac_address,
    )


def _fail(tx: Transaction, scope: Scope, recipe: Recipe, device: Device, lost: Missing) -> Failed:
    reason = REASON_OF_MISSING[lost.kind]
    after = msgspec.structs.replace(
        recipe, status="Failed", device_uid=device.uid, warning_message=None, error_message=EXPLANATIONS[reason]
    )
    return Failed(save(tx, scope, recipe, after, changes.status_changed), reason)


def save(tx: Transaction, scope: Scope, before: Recipe, after: Recipe, tell: Tell | None) -> Recipe:
    """Store a changed recipe as its next version, with the event that tells of it."""
    saved = msgspec.structs.replace(after, version=before.version + 1, updated_at=tx.now)
    store.update_recipe(tx, scope, saved, tags=saved.settings.tag_uids != before.settings.tag_uids)
    if tell is not None:
        publish.record_all(tx, scope, [tell(scope, before, saved)])
    return saved
