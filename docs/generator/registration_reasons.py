"""`reference/registration-reasons.md`: what a device that registers is told, and why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import get_args

from docs.generator import markdown
from heliograph.provisioning.recipes import EXPLANATIONS, REASON_OF_MISSING, RESULT_OF, Result

_INTRODUCTION = """\
# Registration: results and reasons

A device that sends `POST /v1/devices/register` is answered with a `result`, which is all that it has to act on, and,
unless the result is `applied`, with a short `reason`. Neither tells it anything about what other tenants have. Around
it: [From spreadsheet to running fleet](../how-to/provision-a-fleet.md)."""

_MEANINGS: Mapping[Result, tuple[str, str]] = {
    "applied": ("It is enrolled: 201 when it was just now, 200 when it was before.", "keep the token, begin to report"),
    "pending": ("Somebody has to do something first.", "register again later"),
    "noRecipe": ("Nobody who is in reach of the key waits for it.", "register again later, less often"),
    "refused": ("It will not be enrolled as things are.", "stop, until somebody has looked at it"),
}

_WHERE = """\
The operator reads the text of the last column, or the `reason`, in these places:

- `unsuccessfulRegisterAttemptStatus.warningMessage` of the recipe, and the event
  [`Device.ProvisioningRecipeUpdated`](events.md#deviceprovisioningrecipeupdated) that brought it; a success clears it;
- `errorMessage` of a recipe that became Failed or Invalid because something it refers to is gone;
- `GET /v1/provisioning-recipes/{uid}/attempts` and `GET /v1/registration-attempts`, which keep every attempt in vain
  with its `reason`, `message`, what the device presented, how often, and when first and last."""


def page() -> str:
    """Return the whole page."""
    results = [
        (markdown.code(result), meaning, what_to_do)
        for result in get_args(Result)
        for meaning, what_to_do in [_MEANINGS[result]]
    ]
    reasons = [
        (markdown.code(reason), markdown.code(RESULT_OF[reason]), _told_by(reason), text)
        for reason, text in EXPLANATIONS.items()
    ]
    return markdown.document(
        "`heliograph/provisioning/recipes.py`",
        _INTRODUCTION,
        markdown.heading(2, "Results"),
        markdown.table(("`result`", "Meaning", "What the device does"), results),
        markdown.heading(2, "Reasons"),
        _WHERE,
        markdown.table(("`reason`", "`result`", "On the recipe", "What the operator reads"), reasons),
    )


def _told_by(reason: str) -> str:
    if reason in REASON_OF_MISSING.values():
        return "`errorMessage`"
    return markdown.NOTHING if reason in ("no_recipe", "rejected_repeat") else "warning"
