"""One row of an import as pure functions: what it asks for, what is wrong with it, how it differs from what is there.

Nothing here reads storage, clock or network.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import msgspec
from msgspec import UNSET

from heliograph.devices.model import (
    LONGEST_NAME,
    MOST_TAGS,
    Identity,
    Settings,
    check_custom_metadata,
    fold,
    read_identity,
)
from heliograph.errors import Fault, Invalid
from heliograph.ids import parse_uid
from heliograph.provisioning.claims import CODE_PATTERN, LONGEST_CODE, SHORTEST_CODE
from heliograph.provisioning.columns import Layout, field_of
from heliograph.provisioning.model import Draft, RecipePatch
from heliograph.provisioning.recipes import Demands, Recipe, missing_demands
from heliograph.provisioning.spreadsheet import BadRow, Row
from heliograph.provisioning.wishes import RowWish, wish_of
from heliograph.references.model import Kind
from heliograph.strict_json import CONTROL_CHARACTERS

OnExisting = Literal["keep", "update"]
"""What happens to a recipe that is there already and differs: it stays and the row is a conflict, or it is changed."""

Outcome = Literal["created", "updated", "unchanged", "invalid", "conflict", "rejected"]
"""What became of a row. `invalid`: kept as an Invalid recipe; `rejected`: not kept, for its faults."""

HIDDEN = "***"
"""Stands for claim codes wherever a row is kept."""

CONFIRM = "confirm recipe.tenant"
NEEDS_CONFIRM = f"To confirm the ownership, to take that back or to replace a claim code needs '{CONFIRM}'."
_TELLS_OF_CODE = re.compile("claim|pairing", re.IGNORECASE)
_CODE = re.compile(CODE_PATTERN)


class Order(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How an import is to be done; the parameters of its job. `size` is the file's, in bytes."""

    layout: Layout
    size: int
    dry_run: bool = False
    keep_invalid: bool = False
    existing: OnExisting = "keep"
    may_confirm: bool = False


class RowRules(msgspec.Struct, frozen=True, kw_only=True):
    """What all rows of an import are held against; `now` in microseconds UTC."""

    layout: Layout
    demands: Demands
    now: int


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """A row once read: where it stands, what it asks for, and what is wrong with it.

    `cells` are those of the file but for claim codes. What is wrong is left out of `wish`, and `identity` is None
    when the row has no usable brand. `text` is the beginning of a row that cannot be read.
    """

    number: int
    line: int
    cells: dict[str, Any]
    wish: RowWish = RowWish()
    identity: Identity | None = None
    faults: tuple[Fault, ...] = ()
    text: str | None = None


def read(row: Row | BadRow, rules: RowRules) -> Wanted:
    """Find out what a row asks for."""
    if isinstance(row, BadRow):
        secret = _may_hold_code(row, rules.layout)
        return Wanted(
            number=row.number, line=row.line, cells={} if secret else row.cells, faults=row.faults,
            text=HIDDEN if secret else row.text,
        )  # fmt: skip
    wish, faults = wish_of(row, rules.layout)
    cells = {name: HIDDEN if value and _is_code(name, rules.layout) else value for name, value in row.cells.items()}
    if wish is None:
        return Wanted(number=row.number, line=row.line, cells=cells, faults=tuple(faults))
    identity, wrong = read_identity(wish.brand, wish.model, wish.serial_number, wish.mac_address)
    faults += wrong
    if identity is not None and not wrong:
        faults += missing_demands(identity, rules.demands)
    others = _other_faults(wish, rules)
    return Wanted(
        number=row.number, line=row.line, cells=cells, wish=_without(wish, others), identity=identity,
        faults=(*faults, *others),
    )  # fmt: skip


def _is_code(name: str, layout: Layout) -> bool:
    """Tell whether a column, read or not, may hold claim codes."""
    return "claimCode" in (layout.mapping.get(name), field_of(name))


def _may_hold_code(row: BadRow, layout: Layout) -> bool:
    """Tell whether a claim code may be anywhere in a row that cannot be read."""
    if layout.format == "csv":
        return any(_is_code(column, layout) for column in layout.columns)
    named = [name for name in layout.mapping if _is_code(name, layout)]
    return bool(_TELLS_OF_CODE.search(row.text)) or any(name in row.text for name in named)


def _without(wish: RowWish, faults: Sequence[Fault]) -> RowWish:
    """Return a wish without what is wrong in it: that may be too long, or no text that a database takes."""
    wrong = {fault.pointer.split("/")[1] for fault in faults}
    blank: dict[str, tuple[str, Any]] = {
        "deviceName": ("device_name", None), "tags": ("tags", ()), "policy": ("policy", None),
        "location": ("location", None), "customMetadata": ("custom_metadata", {}), "claimCode": ("claim_code", None),
        "claimCodeExpiresAt": ("claim_code_expires_at", None),
    }  # fmt: skip
    return msgspec.structs.replace(wish, **dict(value for name, value in blank.items() if name in wrong))


def _other_faults(wish: RowWish, rules: RowRules) -> list[Fault]:
    faults = []
    if wish.device_name is not None and len(wish.device_name) > LONGEST_NAME:
        faults.append(Fault("/deviceName", "max-length", f"At most {LONGEST_NAME} characters."))
    if wish.device_name is not None and CONTROL_CHARACTERS.search(wish.device_name):
        faults.append(Fault("/deviceName", "control-characters", "Control characters are not accepted."))
    for name, texts in (("tags", wish.tags), ("policy", (wish.policy,)), ("location", (wish.location,))):
        if any(text is not None and CONTROL_CHARACTERS.search(text) for text in texts):
            faults.append(Fault(f"/{name}", "control-characters", "Control characters are not accepted."))
    if len(wish.tags) > MOST_TAGS:
        faults.append(Fault("/tags", "max-items", f"At most {MOST_TAGS} tags."))
    code = wish.claim_code
    if code is not None and not (len(code) <= LONGEST_CODE and _CODE.fullmatch(code)):
        words = f"A claim code has {SHORTEST_CODE} letters and digits, or more up to {LONGEST_CODE} characters."
        faults.append(Fault("/claimCode", "claim-code", words))
    if wish.claim_code_expires_at is not None and code is None:
        words = "An expiry needs a claim code that expires."
        faults.append(Fault("/claimCodeExpiresAt", "claim-code-required", words))
    elif wish.claim_code_expires_at is not None and wish.claim_code_expires_at <= rules.now:
        faults.append(Fault("/claimCodeExpiresAt", "future", "The expiry must lie in the future."))
    try:
        check_custom_metadata(wish.custom_metadata)
    except Invalid as refusal:
        faults += refusal.faults
    return faults


_FIELDS = {"tags": "tagUids", "policy": "policyUid", "location": "locationUid"}


def faulty_fields(faults: Sequence[Fault]) -> tuple[str, ...]:
    """Return the fields of a recipe that the faults are about, as the API calls them."""
    names = [fault.pointer.split("/")[1] for fault in faults if fault.pointer]
    return tuple(dict.fromkeys(_FIELDS.get(name, name) for name in names))


# -- references, by uid or by name ----------------------------------------------------------------------------------


def uid_in(text: str) -> bytes | None:
    """Return the uid that a cell holds, or None when it holds a name."""
    try:
        return parse_uid(text, "")
    except Invalid:
        return None


Find = Callable[[Kind, str], list[bytes]]
"""Returns the uids that a cell may mean: none, one, or several that have the same name."""


def settings_of(wanted: Wanted, find: Find) -> tuple[Settings, tuple[Fault, ...]]:
    """Return the settings that a row asks for, without what cannot be found, and a fault for each such reference."""
    faults: list[Fault] = []

    def one(kind: Kind, text: str | None, pointer: str) -> bytes | None:
        if text is None:
            return None
        found = find(kind, text)
        if len(found) == 1:
            return found[0]
        if found:
            faults.append(Fault(pointer, f"ambiguous-{kind}", f"Several have the name {text[:100]!r}; use the uid."))
        else:
            faults.append(Fault(pointer, f"unknown-{kind}", f"There is no {kind} {text[:100]!r}."))
        return None

    wish = wanted.wish
    tags = [one("tag", text, f"/tags/{n}") for n, text in enumerate(wish.tags)]
    settings = Settings(
        name=wish.device_name,
        tag_uids=tuple(sorted({uid for uid in tags if uid is not None})),
        policy_uid=one("policy", wish.policy, "/policy"),
        location_uid=one("location", wish.location, "/location"),
        custom_metadata=wish.custom_metadata,
    )
    return settings, tuple(faults)


# -- against what is there ------------------------------------------------------------------------------------------


def draft_of(uid: bytes, identity: Identity, settings: Settings, wish: RowWish, claim_hash: bytes | None) -> Draft:
    """Return the recipe that a row makes."""
    return Draft(
        uid=uid, identity=identity, settings=settings, confirmed_ownership=bool(wish.confirmed_ownership),
        on_repeat=wish.on_repeat or "keep", claim_hash=claim_hash, claim_expires_at=wish.claim_code_expires_at,
    )  # fmt: skip


def differences(
    recipe: Recipe, identity: Identity, settings: Settings, wish: RowWish, claim_hash: bytes | None
) -> dict[str, Any]:
    """Return what the row says otherwise than a recipe that is there, by field; a blank cell says nothing.

    `claim_hash` is the row's claim code, hashed for this recipe. It and its expiry are no fields of `RecipePatch`.
    """
    stated: dict[str, tuple[Any, Any]] = {
        "brand": (identity.brand, recipe.identity.brand),
        "model": (identity.model, recipe.identity.model),
        "serial_number": (identity.serial_number, recipe.identity.serial_number),
        "mac_address": (identity.mac_address, recipe.identity.mac_address),
        "device_name": (settings.name, recipe.settings.name),
        "tag_uids": (settings.tag_uids or None, recipe.settings.tag_uids),
        "policy_uid": (settings.policy_uid, recipe.settings.policy_uid),
        "location_uid": (settings.location_uid, recipe.settings.location_uid),
        "custom_metadata": (
            {**recipe.settings.custom_metadata, **settings.custom_metadata},
            recipe.settings.custom_metadata,
        ),
        "confirmed_ownership": (wish.confirmed_ownership, recipe.confirmed_ownership),
        "on_repeat": (wish.on_repeat, recipe.on_repeat),
        "claim_code": (claim_hash, recipe.claim_hash),
        "claim_code_expires_at": (wish.claim_code_expires_at, recipe.claim_expires_at),
    }
    return {name: new for name, (new, present) in stated.items() if new is not None and not _same(name, new, present)}


def _same(name: str, new: Any, present: Any) -> bool:
    if name in ("brand", "model", "serial_number") and present is not None:
        return fold(new) == fold(present)
    return bool(new == present)


def patch_of(different: Mapping[str, Any]) -> RecipePatch:
    """Return the change that makes a recipe what its row says."""
    return RecipePatch(**{name: different.get(name, UNSET) for name in RecipePatch.__struct_fields__})


def words_for(different: Mapping[str, Any]) -> str:
    """Name the differing fields as the API calls them."""
    return ", ".join(re.sub("_(.)", lambda found: found[1].upper(), name) for name in sorted(different))
