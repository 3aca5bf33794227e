"""What is told of a recipe's changes: from the recipe before and after to the event that goes into the log."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec import UNSET

from heliograph.catalog.definition import EventDefinition
from heliograph.devices.ownership import originator_of, owner_of
from heliograph.eventlog.model import RelatedEntity
from heliograph.ids import as_hex
from heliograph.provisioning import events
from heliograph.provisioning.recipes import Recipe
from heliograph.publish import Occurrence
from heliograph.tenancy.model import Scope

_FIELDS: dict[str, Callable[[Recipe], Any]] = {
    "status": lambda recipe: recipe.status,
    "confirmed_ownership": lambda recipe: recipe.confirmed_ownership,
    "serial_number": lambda recipe: recipe.identity.serial_number,
    "mac_address": lambda recipe: recipe.identity.mac_address,
    "model": lambda recipe: recipe.identity.model,
    "brand": lambda recipe: recipe.identity.brand,
    "tag_uids": lambda recipe: tuple(as_hex(uid) for uid in recipe.settings.tag_uids),
    "device_name": lambda recipe: recipe.settings.name,
    "policy_uid": lambda recipe: recipe.settings.policy_uid and as_hex(recipe.settings.policy_uid),
    "location_uid": lambda recipe: recipe.settings.location_uid and as_hex(recipe.settings.location_uid),
    "unsuccessful_register_attempt_status": lambda recipe: (
        recipe.warning_message and events.UnsuccessfulRegisterAttempt(warning_message=recipe.warning_message)
    ),
    "error_message": lambda recipe: recipe.error_message,
}
"""The fields of a recipe that its events carry, in the order of the documented shape."""


def created(scope: Scope, recipe: Recipe) -> Occurrence:
    """Tell of a new recipe: all that it has."""
    fields = {name: value for name, read in _FIELDS.items() if (value := read(recipe)) not in (None, ())}
    body = events.RecipeCreated(
        owner=owner_of(scope), type="Device.ProvisioningRecipeCreated", originator=originator_of(scope),
        uid=as_hex(recipe.uid), organization_uid=scope.tenant_uid, **fields,
    )  # fmt: skip
    return _occurrence(events.RECIPE_CREATED, recipe, body)


def updated(scope: Scope, before: Recipe, after: Recipe) -> Occurrence:
    """Tell of changed fields; what has no value any more is null."""
    pairs = {name: (read(before), read(after)) for name, read in _FIELDS.items()}
    body = events.RecipeUpdated(
        owner=owner_of(scope), type="Device.ProvisioningRecipeUpdated", originator=originator_of(scope),
        uid=as_hex(after.uid), organization_uid=scope.tenant_uid,
        **{name: new for name, (old, new) in pairs.items() if old != new},
    )  # fmt: skip
    return _occurrence(events.RECIPE_UPDATED, after, body)


def status_changed(scope: Scope, before: Recipe, after: Recipe) -> Occurrence:
    """Tell of a new status; the device is named when it is known, which the documented event demands (rule R9)."""
    if after.device_uid is None:
        return updated(scope, before, after)
    body = events.RecipeStatusUpdated(
        owner=owner_of(scope), type="Device.ProvisioningRecipeStatusUpdated", originator=originator_of(scope),
        uid=as_hex(after.uid), device_identity_hash=as_hex(after.device_uid), status=after.status,
    )  # fmt: skip
    return _occurrence(events.RECIPE_STATUS_UPDATED, after, body)


def deleted(scope: Scope, recipe: Recipe) -> Occurrence:
    """Tell what the recipe was when it went."""
    identity = recipe.identity
    body = events.RecipeDeleted(
        owner=owner_of(scope), type="Device.ProvisioningRecipeDeleted", originator=originator_of(scope),
        uid=as_hex(recipe.uid), organization_uid=scope.tenant_uid, status=recipe.status,
        serial_number=identity.serial_number or UNSET, mac_address=identity.mac_address or UNSET,
        model=identity.model or UNSET, brand=identity.brand,
    )  # fmt: skip
    return _occurrence(events.RECIPE_DELETED, recipe, body)


def _occurrence(definition: EventDefinition, recipe: Recipe, body: Any) -> Occurrence:
    device = () if recipe.device_uid is None else (RelatedEntity(id=as_hex(recipe.device_uid), type="Device"),)
    return Occurrence(definition=definition, target_id=as_hex(recipe.uid), build=lambda _: body, related=device)
