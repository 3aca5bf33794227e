"""What surrounds a recipe: the draft it is made from, the change asked of it, attempts in vain, and list filters."""

from __future__ import annotations

import msgspec
from msgspec import UNSET, UnsetType

from heliograph.devices.model import CustomMetadata, Identity, Settings
from heliograph.provisioning.events import Status
from heliograph.provisioning.recipes import OnRepeat, Reason


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """A recipe to be made. With an `error_message` it is kept as Invalid and waits for nothing.

    `faulty_fields` and `row_digest` are as a recipe has them.
    """

    uid: bytes
    identity: Identity
    settings: Settings
    confirmed_ownership: bool = False
    on_repeat: OnRepeat = "keep"
    claim_hash: bytes | None = None
    claim_expires_at: int | None = None
    error_message: str | None = None
    faulty_fields: tuple[str, ...] = ()
    row_digest: bytes | None = None


class RecipePatch(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The changes asked of a recipe; what is UNSET stays, None takes a value away. Texts are not yet normalised."""

    brand: str | UnsetType = UNSET
    model: str | UnsetType | None = UNSET
    serial_number: str | UnsetType | None = UNSET
    mac_address: str | UnsetType | None = UNSET
    device_name: str | UnsetType | None = UNSET
    tag_uids: tuple[bytes, ...] | UnsetType = UNSET
    policy_uid: bytes | UnsetType | None = UNSET
    location_uid: bytes | UnsetType | None = UNSET
    custom_metadata: CustomMetadata | UnsetType = UNSET
    confirmed_ownership: bool | UnsetType = UNSET
    on_repeat: OnRepeat | UnsetType = UNSET

    @property
    def given(self) -> frozenset[str]:
        """The fields that are to be set or taken away, as the API calls them."""
        fields = msgspec.structs.fields(self)
        return frozenset(field.encode_name for field in fields if getattr(self, field.name) is not UNSET)


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """Registrations that did not succeed, all for one reason and with the same identity, from one caller.

    `recipe_uid` is None when no recipe was concerned. `own_key_uid` is the key that was used, when it is one of the
    tenant's own. Times in microseconds UTC.
    """

    uid: bytes
    recipe_uid: bytes | None
    reason: Reason
    identity: Identity
    caller_uid: bytes
    first_at: int
    last_at: int
    tries: int = 1
    own_key_uid: bytes | None = None


class RecipeFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which recipes a list holds; each is a set of accepted values or a prefix, empty meaning "any"."""

    statuses: tuple[Status, ...] = ()
    brand_keys: tuple[str, ...] = ()
    location_uids: tuple[bytes, ...] = ()
    policy_uids: tuple[bytes, ...] = ()
    tag_uids: tuple[bytes, ...] = ()
    serial_prefix: str = ""
    mac_prefix: str = ""
    name_prefix: str = ""
