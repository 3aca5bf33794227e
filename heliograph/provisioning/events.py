"""What the log says about provisioning recipes; the shapes are those of signageOS's public event reference.

A recipe's status changes in `StatusUpdated` when its device is known, which that body names, and in `Updated`
otherwise.
"""

from __future__ import annotations

from typing import Literal

from msgspec import UNSET, UnsetType

from heliograph.catalog.definition import CamelBody, EventDefinition
from heliograph.devices.ownership import Originator, Owner

Status = Literal["Pending", "Applied", "Failed", "Invalid"]


class UnsuccessfulRegisterAttempt(CamelBody, frozen=True, kw_only=True):
    """Why the latest attempt of a device to register did not succeed."""

    warning_message: str


class RecipeCreated(CamelBody, frozen=True, kw_only=True):
    """Payload of `Device.ProvisioningRecipeCreated`: the whole recipe."""

    owner: Owner
    type: Literal["Device.ProvisioningRecipeCreated"]
    originator: Originator | UnsetType = UNSET
    uid: str
    organization_uid: str
    status: Status
    confirmed_ownership: bool | UnsetType = UNSET
    serial_number: str | UnsetType = UNSET
    mac_address: str | UnsetType = UNSET
    model: str | UnsetType = UNSET
    brand: str
    tag_uids: tuple[str, ...] | UnsetType = UNSET
    device_name: str | UnsetType = UNSET
    policy_uid: str | UnsetType = UNSET
    location_uid: str | UnsetType = UNSET
    unsuccessful_register_attempt_status: UnsuccessfulRegisterAttempt | UnsetType = UNSET
    error_message: str | UnsetType = UNSET


class RecipeUpdated(CamelBody, frozen=True, kw_only=True):
    """Payload of `Device.ProvisioningRecipeUpdated`: the fields that changed; null where a value was taken away."""

    owner: Owner
    type: Literal["Device.ProvisioningRecipeUpdated"]
    originator: Originator | UnsetType = UNSET
    uid: str
    organization_uid: str | UnsetType = UNSET
    status: Status | UnsetType = UNSET
    confirmed_ownership: bool | UnsetType = UNSET
    serial_number: str | UnsetType | None = UNSET
    mac_address: str | UnsetType | None = UNSET
    model: str | UnsetType | None = UNSET
    brand: str | UnsetType = UNSET
    tag_uids: tuple[str, ...] | UnsetType = UNSET
    device_name: str | UnsetType | None = UNSET
    policy_uid: str | UnsetType | None = UNSET
    location_uid: str | UnsetType | None = UNSET
    unsuccessful_register_attempt_status: UnsuccessfulRegisterAttempt | UnsetType | None = UNSET
    error_message: str | UnsetType | None = UNSET


class RecipeStatusUpdated(CamelBody, frozen=True, kw_only=True):
    """Payload of `Device.ProvisioningRecipeStatusUpdated`: the new status, and the device it came from."""

    owner: Owner
    type: Literal["Device.ProvisioningRecipeStatusUpdated"]
    originator: Originator | UnsetType = UNSET
    uid: str
    device_identity_hash: str
    status: Status


class RecipeDeleted(CamelBody, frozen=True, kw_only=True):
    """Payload of `Device.ProvisioningRecipeDeleted`: what the recipe was when it went."""

    owner: Owner
    type: Literal["Device.ProvisioningRecipeDeleted"]
    originator: Originator | UnsetType = UNSET
    uid: str
    organization_uid: str
    status: Status
    serial_number: str | UnsetType = UNSET
    mac_address: str | UnsetType = UNSET
    model: str | UnsetType = UNSET
    brand: str


_ORGANIZATION = "0197a1c2d3e47f508192a3b4c5d6e7f8"
_RECIPE = "0197a1d0b7c87a2d9f3e5b6c7d8e9fa0"
_OWNER = Owner(
    ownership_type="organization",
    organization_uid=_ORGANIZATION,
    parent_company_uid="0197a1c2d3e07b119a2b3c4d5e6f7081",
)
_ORIGINATOR = Originator(account_id=1042, organization_uid=_ORGANIZATION)

RECIPE_CREATED = EventDefinition(
    type="Device.ProvisioningRecipeCreated",
    family="domain",
    kind="domain",
    code=2100,
    criticality=4,
    target="ProvisioningRecipe",
    struct=RecipeCreated,
    sample=RecipeCreated(
        owner=_OWNER,
        type="Device.ProvisioningRecipeCreated",
        originator=_ORIGINATOR,
        uid=_RECIPE,
        organization_uid=_ORGANIZATION,
        status="Pending",
        confirmed_ownership=False,
        serial_number="SN-20417",
        mac_address="00:1B:44:11:3A:B7",
        model="QM55C",
        brand="Samsung",
        tag_uids=("0197a1c9e1f27c3ab4d5e6f708192a3b",),
        device_name="Lobby, left of the lifts",
        location_uid="0197a1ca02137d4b95e6f708192a3b4c",
    ),
    meaning="A device was registered in advance: a recipe now waits for it.",
)

RECIPE_UPDATED = EventDefinition(
    type="Device.ProvisioningRecipeUpdated",
    family="domain",
    kind="domain",
    code=2101,
    criticality=4,
    target="ProvisioningRecipe",
    struct=RecipeUpdated,
    sample=RecipeUpdated(
        owner=_OWNER,
        type="Device.ProvisioningRecipeUpdated",
        originator=_ORIGINATOR,
        uid=_RECIPE,
        organization_uid=_ORGANIZATION,
        mac_address="00:1B:44:11:3A:B8",
        unsuccessful_register_attempt_status=None,
    ),
    meaning="A recipe was changed, or a device tried to register with it and did not succeed.",
)

RECIPE_STATUS_UPDATED = EventDefinition(
    type="Device.ProvisioningRecipeStatusUpdated",
    family="domain",
    kind="domain",
    code=2102,
    criticality=3,
    target="ProvisioningRecipe",
    struct=RecipeStatusUpdated,
    sample=RecipeStatusUpdated(
        owner=_OWNER,
        type="Device.ProvisioningRecipeStatusUpdated",
        uid=_RECIPE,
        device_identity_hash="0197a1d4c9da7e4f8a5b6c7d8e9fa0b1",
        status="Applied",
    ),
    meaning="A recipe whose device is known took on another status.",
)

RECIPE_DELETED = EventDefinition(
    type="Device.ProvisioningRecipeDeleted",
    family="domain",
    kind="domain",
    code=2103,
    criticality=3,
    target="ProvisioningRecipe",
    struct=RecipeDeleted,
    sample=RecipeDeleted(
        owner=_OWNER,
        type="Device.ProvisioningRecipeDeleted",
        originator=_ORIGINATOR,
        uid=_RECIPE,
        organization_uid=_ORGANIZATION,
        status="Pending",
        serial_number="SN-20417",
        mac_address="00:1B:44:11:3A:B7",
        model="QM55C",
        brand="Samsung",
    ),
    meaning="A recipe was removed; a device that it had enrolled stays enrolled.",
)

EVENTS: tuple[EventDefinition, ...] = (
    RECIPE_CREATED,
    RECIPE_UPDATED,
    RECIPE_STATUS_UPDATED,
    RECIPE_DELETED,
)
