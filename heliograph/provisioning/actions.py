"""What can be done to recipes; each change is an event in the organization's log, in the same transaction."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import msgspec
from msgspec import UNSET

from heliograph import publish
from heliograph.devices import actions as devices
from heliograph.devices.model import Device, Identity, Settings, check_custom_metadata, read_identity
from heliograph.errors import Conflict, Invalid, NotFound, require_version
from heliograph.ids import Secret, as_hex
from heliograph.provisioning import changes, store
from heliograph.provisioning.applying import Applied, Failed, apply, save
from heliograph.provisioning.model import Attempt, Draft, RecipeFilter, RecipePatch
from heliograph.provisioning.recipes import (
    EXPLANATIONS,
    REASON_OF_MISSING,
    Demands,
    Reason,
    Recipe,
    misfit,
    missing_demands,
)
from heliograph.references import actions as references
from heliograph.storage.engine import Transaction
from heliograph.tenancy.access import require_organization
from heliograph.tenancy.model import Scope

LIVE_BEFORE_ITS_DEVICE = ("Pending", "Failed")

IDENTITY_FIELDS = frozenset(("brand", "model", "serialNumber", "macAddress"))
CLAIM_FIELDS = ("claimCode", "claimCodeExpiresAt")
NULLABLE_FIELDS = frozenset(("model", "serialNumber", "macAddress", "deviceName", "policyUid", "locationUid"))

_UNUSABLE_CODE = (
    "The claim code could not be used when the recipe was imported, or not its expiry; make a new one, or do without"
    " by setting 'confirmedOwnership' to true."
)


# -- making ---------------------------------------------------------------------------------------------------------


def create(tx: Transaction, scope: Scope, draft: Draft) -> Recipe:
    """Register one device in advance.

    Raises:
        Invalid: when a tag, the policy or the location is not the organization's.
        Conflict: when the tenant is a company, or one of its live recipes or enrolled devices has the identifiers,
            naming it.
    """
    require_organization(scope)
    references.require(tx, scope, draft.settings)
    _refuse_taken(tx, scope, draft.identity)
    return create_all(tx, scope, [draft])[0]


def create_all(tx: Transaction, scope: Scope, drafts: Sequence[Draft]) -> list[Recipe]:
    """Make recipes from drafts that were checked: identifiers free, references there."""
    recipes = [made_of(draft, tx.now) for draft in drafts]
    store.insert_recipes(tx, scope, recipes)
    store.insert_identifiers(tx, scope, [recipe for recipe in recipes if recipe.status == "Pending"])
    publish.record_all(tx, scope, [changes.created(scope, recipe) for recipe in recipes])
    return recipes


def made_of(draft: Draft, now: int) -> Recipe:
    """Return the recipe that a draft becomes at that time, in microseconds UTC."""
    return Recipe(
        uid=draft.uid, status="Invalid" if draft.error_message else "Pending", identity=draft.identity,
        settings=draft.settings, confirmed_ownership=draft.confirmed_ownership, on_repeat=draft.on_repeat,
        error_message=draft.error_message, faulty_fields=draft.faulty_fields, row_digest=draft.row_digest,
        claim_hash=draft.claim_hash, claim_expires_at=draft.claim_expires_at, created_at=now, updated_at=now,
    )  # fmt: skip


def taken_here(tx: Transaction, scope: Scope, identifiers: Sequence[str]) -> dict[str, tuple[str, bytes]]:
    """Return which identifiers the organization itself uses already: identifier → (recipe or device, uid).

    What other organizations have is none of the answer.
    """
    taken = {
        identifier: ("device", uid)
        for identifier, (tenant_id, uid) in devices.holders(tx, identifiers).items()
        if tenant_id == scope.tenant_id
    }
    return taken | {name: ("recipe", uid) for name, uid in store.waiting_here(tx, scope, identifiers).items()}


def _refuse_taken(tx: Transaction, scope: Scope, identity: Identity, but: Recipe | None = None) -> None:
    own = () if but is None else (("recipe", but.uid), ("device", but.device_uid))
    for kind, uid in taken_here(tx, scope, identity.identifiers).values():
        if (kind, uid) not in own:
            raise Conflict(f"The {kind} {as_hex(uid)} has the same serial number or MAC address.")


def enrol_by_hand(tx: Transaction, scope: Scope, identity: Identity, settings: Settings) -> tuple[Device, Secret]:
    """Enrol a device for which no recipe waits, and return it with its token.

    Raises:
        Invalid, Conflict: see `devices.actions.create`; also when one of the organization's recipes waits for it,
            which is then named.
    """
    for uid in store.waiting_here(tx, scope, identity.identifiers).values():
        recipe = get(tx, scope, uid)
        if recipe.status in LIVE_BEFORE_ITS_DEVICE:
            raise Conflict(f"The recipe {as_hex(uid)} waits for this device; let the device register, or delete it.")
    return devices.create(tx, scope, identity, settings)


# -- reading --------------------------------------------------------------------------------------------------------


def find(tx: Transaction, scope: Scope, uid: bytes) -> Recipe | None:
    """Return one of the organization's recipes, if it is there."""
    return next(iter(store.find_recipes(tx, scope, [uid])), None)


def get(tx: Transaction, scope: Scope, uid: bytes) -> Recipe:
    """Return one of the organization's recipes.

    Raises:
        NotFound: when it has no such recipe.
    """
    recipe = find(tx, scope, uid)
    if recipe is None:
        raise NotFound("There is no such provisioning recipe.")
    return recipe


def get_all(tx: Transaction, scope: Scope, uids: Sequence[bytes]) -> dict[bytes, Recipe]:
    """Return those of the recipes that are there, by uid."""
    return {recipe.uid: recipe for recipe in store.find_recipes(tx, scope, uids)}


def kept_rows(tx: Transaction, scope: Scope, digests: Collection[bytes]) -> dict[bytes, Recipe]:
    """Return the recipes that were made of rows with faults, by the digests of the rows."""
    recipes = store.recipes_of_rows(tx, scope, digests)
    return {recipe.row_digest: recipe for recipe in recipes if recipe.row_digest is not None}


def list_recipes(
    tx: Transaction, scope: Scope, wanted: RecipeFilter, after: bytes, limit: int
) -> tuple[list[Recipe], bytes | None]:
    """Return a page of the organization's recipes, oldest first, and the uid after which to go on, or None."""
    found = store.list_recipes(tx, scope, wanted, after, limit + 1)
    return found[:limit], found[limit - 1].uid if len(found) > limit else None


def list_attempts(
    tx: Transaction, scope: Scope, recipe_uid: bytes | None, reasons: Sequence[str], after: bytes, limit: int
) -> tuple[list[Attempt], bytes | None]:
    """Return a page of unsuccessful attempts, of one recipe or of all, and the uid after which to go on, or None.

    Raises:
        NotFound: when the organization has no such recipe.
    """
    if recipe_uid is not None:
        get(tx, scope, recipe_uid)
    found = store.list_attempts(tx, scope, recipe_uid, reasons, after, limit + 1)
    return found[:limit], found[limit - 1].uid if len(found) > limit else None


# -- changing -------------------------------------------------------------------------------------------------------


def update(
    tx: Transaction, scope: Scope, uid: bytes, version: int | None, patch: RecipePatch, demands: Demands
) -> Recipe:
    """Change a recipe; one that this repairs waits again, and is applied at once when its device is known.

    Raises:
        NotFound, PreconditionFailed: as for every change of a resource.
        Invalid: when an identifier, reference or custom metadata cannot be used.
        Conflict: when the identifiers are another live recipe's, or the recipe is applied and they would change.
    """
    before = get(tx, scope, uid)
    require_version(version, before.version)
    return _change(tx, scope, before, patch, demands, _still_faulty(before, patch))


def repair(tx: Transaction, scope: Scope, uid: bytes, patch: RecipePatch) -> Recipe:
    """Change an Invalid recipe to what its row says, now that nothing is wrong with that any more: it waits.

    Raises:
        NotFound: when the organization has no such recipe.
        Conflict: when a live recipe or an enrolled device has the identifiers by now.
    """
    return _change(tx, scope, get(tx, scope, uid), patch, {}, ())


def _still_faulty(recipe: Recipe, patch: RecipePatch) -> tuple[str, ...]:
    """Return which faulty fields the change leaves alone; the word of an operator stands for a lost claim code."""
    settled = patch.given | (frozenset(CLAIM_FIELDS) if patch.confirmed_ownership is True else frozenset())
    return tuple(name for name in recipe.faulty_fields if name not in settled)


def _change(
    tx: Transaction, scope: Scope, before: Recipe, patch: RecipePatch, demands: Demands, faulty: tuple[str, ...]
) -> Recipe:
    identity = _patched_identity(before, patch, demands)
    settings = _patched_settings(before.settings, patch)
    references.require(tx, scope, _newly_named(before.settings, settings))
    after = msgspec.structs.replace(
        before,
        identity=identity,
        settings=settings,
        confirmed_ownership=_given(patch.confirmed_ownership, before.confirmed_ownership),
        on_repeat=_given(patch.on_repeat, before.on_repeat),
        faulty_fields=faulty,
    )
    if after == before:
        return before
    # A MAC address alone does not contain the brand, which a device is told apart by as well.
    if (identity.brand_key, identity.identifiers) != (before.identity.brand_key, before.identity.identifiers):
        _change_identifiers(tx, scope, before, after)
    return _save_repaired(tx, scope, before, after)


def _save_repaired(tx: Transaction, scope: Scope, before: Recipe, after: Recipe) -> Recipe:
    """Store a change; a recipe that has no flaws any more waits again."""
    repaired = before.status in ("Failed", "Invalid") and not flaws(tx, scope, after)
    if not repaired:
        return save(tx, scope, before, after, changes.updated)
    if after.device_uid is None:
        return wait_again(tx, scope, before, after)
    return reapply(tx, scope, save(tx, scope, before, after, changes.updated))


def _given(value: Any, present: Any) -> Any:
    return present if value is UNSET else value


def _patched_identity(recipe: Recipe, patch: RecipePatch, demands: Demands) -> Identity:
    before = recipe.identity
    texts = [
        _given(getattr(patch, name), getattr(before, name))
        for name in ("brand", "model", "serial_number", "mac_address")
    ]
    unchanged = tuple(texts) == (before.brand, before.model, before.serial_number, before.mac_address)
    # To do without a field that its row had wrong must not leave out what the brand demands.
    if unchanged and not patch.given & set(recipe.faulty_fields) & IDENTITY_FIELDS:
        return before
    identity, faults = read_identity(*texts)
    if identity is not None and not faults:
        faults = missing_demands(identity, demands)
    if identity is None or faults:
        raise Invalid("The recipe could not tell its device from others.", tuple(faults))
    return identity


def _patched_settings(before: Settings, patch: RecipePatch) -> Settings:
    if patch.custom_metadata is not UNSET:
        # A row of a file adds to what the recipe has, and both together may be too much.
        check_custom_metadata(patch.custom_metadata)
    return Settings(
        name=_given(patch.device_name, before.name),
        tag_uids=_given(patch.tag_uids, before.tag_uids),
        policy_uid=_given(patch.policy_uid, before.policy_uid),
        location_uid=_given(patch.location_uid, before.location_uid),
        custom_metadata=_given(patch.custom_metadata, before.custom_metadata),
    )


def _newly_named(before: Settings, after: Settings) -> Settings:
    """Return the references that the change brings in: one that was lost before must not forbid other changes."""
    return Settings(
        tag_uids=after.tag_uids if after.tag_uids != before.tag_uids else (),
        policy_uid=after.policy_uid if after.policy_uid != before.policy_uid else None,
        location_uid=after.location_uid if after.location_uid != before.location_uid else None,
    )


def _change_identifiers(tx: Transaction, scope: Scope, before: Recipe, after: Recipe) -> None:
    if before.status == "Applied":
        raise Conflict("The recipe was applied; its brand, serial number and MAC address can no longer change.")
    _refuse_taken(tx, scope, after.identity, before)
    if before.status in LIVE_BEFORE_ITS_DEVICE:
        store.release_identifiers(tx, scope, before.uid)
        store.insert_identifiers(tx, scope, [after])


def flaws(tx: Transaction, scope: Scope, recipe: Recipe) -> list[str]:
    """Return what keeps a recipe from being applied, in words for the operator."""
    found = [EXPLANATIONS[REASON_OF_MISSING[lost.kind]] for lost in references.missing(tx, scope, recipe.settings)]
    if not recipe.identity.identifiers:
        found.append("The recipe has no serial number and no MAC address.")
    for name in recipe.faulty_fields:
        if name not in CLAIM_FIELDS:
            way_out = ", or set it to null" if name in NULLABLE_FIELDS else ""
            found.append(f"The field '{name}' could not be used when the recipe was imported; set it{way_out}.")
    if set(CLAIM_FIELDS) & set(recipe.faulty_fields):
        found.append(_UNUSABLE_CODE)
    return found


def missing_reason(tx: Transaction, scope: Scope, recipe: Recipe) -> Reason | None:
    """Return why a recipe cannot be applied because of what it refers to, or None when all of that is there."""
    lost = references.missing(tx, scope, recipe.settings)
    return REASON_OF_MISSING[lost[0].kind] if lost else None


def wait_again(tx: Transaction, scope: Scope, before: Recipe, repaired: Recipe) -> Recipe:
    """Let a repaired recipe wait for its device once more; `before` is how the log last told of it."""
    after = msgspec.structs.replace(repaired, status="Pending", error_message=None, warning_message=None)
    if before.status == "Invalid":
        _refuse_taken(tx, scope, after.identity, before)
        store.insert_identifiers(tx, scope, [after])
    return save(tx, scope, before, after, changes.status_changed)


def reapply(tx: Transaction, scope: Scope, repaired: Recipe) -> Recipe:
    """Let a repaired recipe wait again, and apply it when the device that it met is still there."""
    pending = wait_again(tx, scope, repaired, repaired)
    device = devices.find(tx, scope, pending.device_uid) if pending.device_uid else None
    if device is None:
        return pending
    outcome = None if misfit(device.identity, pending.identity) else apply(tx, scope, pending, device.identity)
    if isinstance(outcome, Applied | Failed):
        return outcome.recipe
    # The recipe is another device's now, or somebody else has enrolled it: it waits as if it had never met it.
    devices.delete(tx, scope, device.uid, None)
    return save(tx, scope, pending, msgspec.structs.replace(pending, device_uid=None), None)


def retry(tx: Transaction, scope: Scope, uid: bytes, version: int | None) -> Recipe:
    """Let a Failed or Invalid recipe wait again, and apply it at once when its device is known.

    Raises:
        NotFound, PreconditionFailed: as for every change of a resource.
        Conflict: when it is neither Failed nor Invalid, or what made it so is not repaired.
    """
    recipe = get(tx, scope, uid)
    require_version(version, recipe.version)
    if recipe.status not in ("Failed", "Invalid"):
        raise Conflict(f"Only Failed and Invalid recipes are retried; this one is {recipe.status}.")
    found = flaws(tx, scope, recipe)
    if found:
        raise Conflict(" ".join(found))
    return reapply(tx, scope, recipe)


def set_claim_code(
    tx: Transaction, scope: Scope, uid: bytes, version: int | None, claim_hash: bytes, expires_at: int | None
) -> Recipe:
    """Give a recipe a new one-time claim code, in place of any other; one that this repairs waits again.

    Raises:
        NotFound, PreconditionFailed: as for every change of a resource.
        Invalid: when the expiry lies in the past.
        Conflict: when this repairs the recipe, and its identifiers are another live recipe's or a device's.
    """
    before = get(tx, scope, uid)
    require_version(version, before.version)
    if expires_at is not None and expires_at <= tx.now:
        raise Invalid.at("/expiresAt", "future", "The expiry must lie in the future.")
    faulty = tuple(name for name in before.faulty_fields if name not in CLAIM_FIELDS)
    after = msgspec.structs.replace(
        before, claim_hash=claim_hash, claim_expires_at=expires_at, claim_used_at=None, faulty_fields=faulty
    )
    if faulty != before.faulty_fields:
        return _save_repaired(tx, scope, before, after)
    return save(tx, scope, before, after, changes.updated)


def delete(tx: Transaction, scope: Scope, uid: bytes, version: int | None) -> None:
    """Remove a recipe; a device that it enrolled stays enrolled.

    Raises:
        NotFound, PreconditionFailed: as for every change of a resource.
    """
    recipe = get(tx, scope, uid)
    require_version(version, recipe.version)
    store.delete_recipe(tx, scope, uid)
    publish.record_all(tx, scope, [changes.deleted(scope, recipe)])


def tenants_with_old_attempts(tx: Transaction, before: int, keep: int) -> list[int]:
    """Return the tenants in which `forget_attempts` has something to do."""
    return store.tenants_with_old_attempts(tx, before, keep)


def forget_attempts(tx: Transaction, scope: Scope, before: int, keep: int, limit: int) -> bool:
    """Drop attempts last made before then or beyond the newest `keep`, `limit` at once; tell whether more are left."""
    return store.forget_attempts(tx, scope, before, keep, limit) == limit
