"""The rules of recipes as pure functions: what a recipe is, and which recipe a device that registers gets.

Nothing here reads storage, clock or network.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from heliograph.devices.model import Identity, Settings, fold
from heliograph.errors import Fault
from heliograph.provisioning.events import Status

OnRepeat = Literal["keep", "reset", "reject"]
"""What happens when an enrolled device registers again: nothing, its settings return to the recipe's, refusal."""

Reason = Literal[
    "no_recipe",
    "identifier_mismatch",
    "model_mismatch",
    "ambiguous",
    "ownership_unconfirmed",
    "claim_code_wrong",
    "policy_missing",
    "location_missing",
    "tag_missing",
    "rejected_repeat",
]
"""Why a device was not enrolled: short, for the device; `EXPLANATIONS` has the words for the operator."""

Result = Literal["applied", "pending", "noRecipe", "refused"]

CodeCheck = Literal["none", "absent", "right", "wrong"]
"""A recipe's claim code against the one presented; `none` when the recipe was given no code. A code that has expired
is still asked for: nothing presented is then right."""

EXPLANATIONS: dict[Reason, str] = {
    "no_recipe": "No recipe waits for a device with these identifiers.",
    "identifier_mismatch": (
        "A device presented one identifier of this recipe together with others that contradict it;"
        " correct the recipe's brand, serial number or MAC address, or find out which device it was."
    ),
    "model_mismatch": "The device has the recipe's identifiers but is of another model; correct or remove the model.",
    "ambiguous": (
        "The device's identifiers do not lead to exactly one recipe;"
        " compare brand, serial number and MAC address with the device's label."
    ),
    "ownership_unconfirmed": (
        "The device matches, but that it is yours is not confirmed;"
        " confirm the ownership, or let the device register with the recipe's claim code."
    ),
    "claim_code_wrong": "The device presented a claim code that is wrong, used, expired or was tried too often.",
    "policy_missing": "The recipe's policy no longer exists; choose another one.",
    "location_missing": "The recipe's location no longer exists; choose another one.",
    "tag_missing": "One of the recipe's tags no longer exists; remove it or choose another one.",
    "rejected_repeat": "The device is enrolled, and its recipe refuses that it registers again.",
}
"""What each reason means and what helps. No text may hint at what other tenants have."""

RESULT_OF: dict[Reason, Result] = {
    "no_recipe": "noRecipe",
    "identifier_mismatch": "refused",
    "model_mismatch": "refused",
    "ambiguous": "pending",
    "ownership_unconfirmed": "pending",
    "claim_code_wrong": "refused",
    "policy_missing": "pending",
    "location_missing": "pending",
    "tag_missing": "pending",
    "rejected_repeat": "refused",
}
"""What the device is told: `pending` asks it to try again later, `refused` not to."""


REASON_OF_MISSING: dict[str, Reason] = {
    "policy": "policy_missing",
    "location": "location_missing",
    "tag": "tag_missing",
}
"""Why a recipe cannot be applied when what it refers to is gone."""


class Recipe(msgspec.Struct, frozen=True, kw_only=True):
    """A device registered in advance: by what to know it, and what to give it. Times in microseconds UTC.

    `identity` may lack identifiers when the status is Invalid. `device_uid` is the device that the recipe met.
    A claim code counts from when it was given until `claim_expires_at` or its use.

    A row of a file that was kept with its faults is remembered by `row_digest`, and what of it could not be used by
    `faulty_fields`, as the API calls them, until each is set.
    """

    uid: bytes
    status: Status
    identity: Identity
    settings: Settings
    confirmed_ownership: bool = False
    on_repeat: OnRepeat = "keep"
    warning_message: str | None = None
    error_message: str | None = None
    faulty_fields: tuple[str, ...] = ()
    row_digest: bytes | None = None
    device_uid: bytes | None = None
    claim_hash: bytes | None = None
    claim_expires_at: int | None = None
    claim_used_at: int | None = None
    created_at: int
    updated_at: int
    version: int = 1


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """A live recipe within the registering caller's reach that has an identifier in common with the device."""

    recipe_uid: bytes
    tenant_id: int
    identity: Identity
    confirmed: bool
    code: CodeCheck = "none"


class Win(msgspec.Struct, frozen=True):
    """One recipe is to be applied; `by_code` when the device presented its claim code."""

    candidate: Candidate
    by_code: bool


class NoWin(msgspec.Struct, frozen=True):
    """Nobody gets the device. `reason` is for the device, `concerned` says for each recipe what its operator is told.

    Reasons about one recipe never depend on whether others belong to the same tenant or to another one, except that
    several recipes of one tenant are called ambiguous.
    """

    reason: Reason
    concerned: tuple[tuple[Candidate, Reason], ...] = ()


Verdict = Win | NoWin


def match(device: Identity, candidates: Sequence[Candidate]) -> Verdict:
    """Decide which recipe a device gets; the order of the candidates does not matter.

    A recipe fits when the brands are equal, every identifier known on both sides is equal and at least one is, and
    the models are equal if the recipe names one. A single candidate that fits wins, unless it waits for a claim code
    that was not presented. Of several candidates, fitting or not, nobody wins unless exactly one has confirmed its
    ownership, by an operator or by the claim code, and that one fits; the code counts more than the operator's word.
    """
    # Several candidates are told apart by what they are, never by the order in which they were found.
    judged = [(candidate, misfit(device, candidate.identity)) for candidate in sorted(candidates, key=_order)]
    if not judged:
        return NoWin("no_recipe")
    fitting = [candidate for candidate, wrong in judged if wrong is None]
    if len(judged) == 1 and fitting:
        return _alone(fitting[0])
    confirmed = [candidate for candidate, _ in judged if candidate.code == "right"] or [
        candidate for candidate, _ in judged if candidate.confirmed and candidate.code != "wrong"
    ]
    if len(confirmed) == 1 and confirmed[0] in fitting:
        return Win(confirmed[0], by_code=confirmed[0].code == "right")
    concerned = tuple((candidate, misfit or _unresolved(candidate, judged)) for candidate, misfit in judged)
    return NoWin(_gravest([reason for _, reason in concerned], bool(fitting)), concerned)


def _order(candidate: Candidate) -> tuple[int, bytes]:
    return candidate.tenant_id, candidate.recipe_uid


def misfit(device: Identity, recipe: Identity) -> Reason | None:
    """Return why a device is not the one that a recipe describes, or None when it is."""
    pairs = [
        (device.brand_key, recipe.brand_key),
        (device.serial_key, recipe.serial_key),
        (device.mac_address, recipe.mac_address),
    ]
    if any(ours != theirs for ours, theirs in pairs if ours is not None and theirs is not None):
        return "identifier_mismatch"
    if not set(device.identifiers) & set(recipe.identifiers):
        return "identifier_mismatch"
    if recipe.model is not None and (device.model is None or fold(device.model) != fold(recipe.model)):
        return "model_mismatch"
    return None


def _alone(candidate: Candidate) -> Verdict:
    if candidate.code == "right":
        return Win(candidate, by_code=True)
    if candidate.code == "wrong":
        return NoWin("claim_code_wrong", ((candidate, "claim_code_wrong"),))
    if candidate.code == "absent" and not candidate.confirmed:
        return NoWin("ownership_unconfirmed", ((candidate, "ownership_unconfirmed"),))
    return Win(candidate, by_code=False)


def _unresolved(candidate: Candidate, judged: Sequence[tuple[Candidate, Reason | None]]) -> Reason:
    if candidate.code == "wrong":
        return "claim_code_wrong"
    if sum(other.tenant_id == candidate.tenant_id for other, _ in judged) > 1:
        return "ambiguous"
    return "ambiguous" if candidate.confirmed or candidate.code == "right" else "ownership_unconfirmed"


def _gravest(reasons: Sequence[Reason], some_fit: bool) -> Reason:
    """Choose what the device is told; a device that fits somewhere is asked to wait rather than sent away."""
    order: tuple[Reason, ...] = ("claim_code_wrong", "ambiguous", "ownership_unconfirmed", "identifier_mismatch")
    if not some_fit:
        order = ("identifier_mismatch", "model_mismatch")
    return next(reason for reason in order if reason in reasons)


Demands = dict[str, tuple[str, ...]]
"""For a folded brand, the fields that its devices are told apart by, beside the usual rule: JSON names."""


_DEMANDABLE = ("model", "serialNumber", "macAddress")


def parse_demands(text: str) -> Demands:
    """Read demands written as `brand=field+field`, separated by commas: `Samsung=macAddress,LG=serialNumber+model`.

    Raises:
        ValueError: naming the part that is written otherwise.
    """
    demands: Demands = {}
    for part in text.split(","):
        if part.strip():
            brand, equals, names = part.partition("=")
            fields = tuple(name.strip() for name in names.split("+"))
            if not equals or not brand.strip() or any(name not in _DEMANDABLE for name in fields):
                raise ValueError(part.strip())
            demands[fold(brand)] = fields
    return demands


def missing_demands(identity: Identity, demands: Demands, place: str = "") -> list[Fault]:
    """Return a fault for every field that the brand demands and the identity lacks."""
    given = {
        "model": identity.model, "serialNumber": identity.serial_number, "macAddress": identity.mac_address
    }  # fmt: skip
    return [
        Fault(f"{place}/{name}", "brand-demands", f"Devices of the brand {identity.brand!r} need the field {name!r}.")
        for name in demands.get(identity.brand_key, ())
        if given[name] is None
    ]
