"""One row of an import as pure functions: what it asks for, what is wrong with it, how it differs from what is there.

Nothing here reads storage, clock or network.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Literal

import msgspec
from msgspec import UNSET

from heliograph.devices.model import LONGEST_NAME, Identity, Settings, check_metadata, fold, read_identity
from heliograph.errors import Fault, Invalid
from heliograph.ids import parse_uid
from heliograph.provisioning.claims import LONGEST_CODE, SHORTEST_CODE
from heliograph.provisioning.columns import Layout
from heliograph.provisioning.model import Draft, RecipePatch
from heliograph.provisioning.recipes import Demands, Recipe, missing_demands
from heliograph.provisioning.spreadsheet import BadRow, Row
from heliograph.provisioning.wishes import RowWish, wish_of
from heliograph.references.model import Kind

OnExisting = Literal["keep", "update"]
"""What happens to a recipe that is there already and differs: it stays and the row is a conflict, or it is changed."""

Outcome = Literal["created", "updated", "unchanged", "invalid", "conflict", "rejected"]
"""What became of a row. `invalid`: kept as an Invalid recipe; `rejected`: not kept, for its faults."""

MOST_TAGS = 100
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_CODE = re.compile(rf"[0-9A-Za-z -]{{{SHORTEST_CODE},{LONGEST_CODE}}}")


class RowRules(msgspec.Struct, frozen=True, kw_only=True):
    """What all rows of an import are held against; `now` in microseconds UTC."""

    layout: Layout
    demands: Demands
    may_confirm: bool
    now: int


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """A row once read: where it stands, what it asks for, and what is wrong with it.

    `identity` is None when the row has no usable brand.
    """

    number: int
    line: int
    cells: dict[str, Any]
    wish: RowWish = RowWish()
    identity: Identity | None = None
    faults: tuple[Fault, ...] = ()


def read(row: Row | BadRow, rules: RowRules) -> Wanted:
    """Find out what a row asks for."""
    if isinstance(row, BadRow):
        return Wanted(number=row.number, line=row.line, cells=row.cells or {"text": row.text}, faults=row.faults)
    wish, faults = wish_of(row, rules.layout)
    if wish is None:
        return Wanted(number=row.number, line=row.line, cells=row.cells, faults=tuple(faults))
    identity, wrong = read_identity(wish.brand, wish.model, wish.serial_number, wish.mac_address)
    faults += wrong
    if identity is not None and not wrong:
        faults += missing_demands(identity, rules.demands)
    faults += _other_faults(wish, rules)
    return Wanted(
        number=row.number, line=row.line, cells=row.cells, wish=wish, identity=identity, faults=tuple(faults)
    )  # fmt: skip


def _other_faults(wish: RowWish, rules: RowRules) -> list[Fault]:
    faults = []
    if wish.device_name is not None and len(wish.device_name) > LONGEST_NAME:
        faults.append(Fault("/deviceName", "max-length", f"At most {LONGEST_NAME} characters."))
    if wish.device_name is not None and _CONTROLS.search(wish.device_name):
        faults.append(Fault("/deviceName", "control-characters", "Control characters are not accepted."))
    if len(wish.tags) > MOST_TAGS:
        faults.append(Fault("/tags", "max-items", f"At most {MOST_TAGS} tags."))
    if wish.claim_code is not None and not _CODE.fullmatch(wish.claim_code):
        words = f"A claim code has {SHORTEST_CODE} to {LONGEST_CODE} letters, digits, hyphens and spaces."
        faults.append(Fault("/claimCode", "claim-code", words))
    if wish.claim_code_expires_at is not None and wish.claim_code_expires_at <= rules.now:
        faults.append(Fault("/claimCodeExpiresAt", "future", "The expiry must lie in the future."))
    if wish.confirmed_ownership and not rules.may_confirm:
        words = "To confirm the ownership needs the permission 'confirm recipe.tenant'."
        faults.append(Fault("/confirmedOwnership", "permission", words))
    try:
        check_metadata(wish.metadata)
    except Invalid as refusal:
        faults += refusal.faults
    return faults


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
        metadata=wish.metadata,
    )
    return settings, tuple(faults)


# -- against what is there ------------------------------------------------------------------------------------------


def draft_of(uid: bytes, identity: Identity, settings: Settings, wish: RowWish, claim_hash: bytes | None) -> Draft:
    """Return the recipe that a row makes."""
    return Draft(
        uid=uid, identity=identity, settings=settings, confirmed_ownership=bool(wish.confirmed_ownership),
        on_repeat=wish.on_repeat or "keep", claim_hash=claim_hash, claim_expires_at=wish.claim_code_expires_at,
    )  # fmt: skip


def differences(recipe: Recipe, identity: Identity, settings: Settings, wish: RowWish) -> dict[str, Any]:
    """Return what the row says otherwise than a recipe that is there, by field of `RecipePatch`.

    A blank cell says nothing. Nor does a claim code: only its hash is known.
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
        "metadata": ({**recipe.settings.metadata, **settings.metadata}, recipe.settings.metadata),
        "confirmed_ownership": (wish.confirmed_ownership, recipe.confirmed_ownership),
        "on_repeat": (wish.on_repeat, recipe.on_repeat),
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
