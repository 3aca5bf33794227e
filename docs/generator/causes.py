"""`reference/causes.md`: why an operation about an access code failed, and where that is told."""

from __future__ import annotations

from collections.abc import Mapping

from docs.generator import markdown
from heliograph.access_codes.applying import MODIFIED_WITH_LEAVE
from heliograph.access_codes.causes import ACCOUNT_CODES, CAUSES, DEVICE_CODES, OPERATION_TIMED_OUT, Cause
from heliograph.access_codes.settling import MODIFIED_AT_LOCK, NOT_REMOVED, NOT_SET

_INTRODUCTION = """\
# Causes of failed operations

An [operation](api.md#access-codes) that failed says why, and so does its event, one of
[`access_code.unmanaged.failed_to_convert_to_managed`](events.md#access_codeunmanagedfailed_to_convert_to_managed),
[`access_code.failed_to_set_on_device`](events.md#access_codefailed_to_set_on_device) and
[`access_code.failed_to_remove_from_device`](events.md#access_codefailed_to_remove_from_device). Each has six arrays,
three of errors and three of warnings, which say to whom the cause belongs: to the code, the lock or the account. At
least one of them has an entry. Behind the causes stand the other errors and warnings that code, lock and account had at
that moment.

Around it: [Take over access codes](../how-to/take-over-access-codes.md), and for those who report causes: [Write a
connector](../how-to/write-a-connector.md)."""

_CHECKED = """\
*At once* means that no lock needs to be asked: a conversion then comes back as `failed`. That is checked for
conversions only; the others are carried out or not as the connector finds. A connector may name each of these causes as
well, whatever it tried."""

_WHAT_TO_DO: Mapping[str, str] = {
    "cannot_be_managed": "leave it to whoever set it, or remove it and set one of your own",
    "code_unreadable": "have the connector report the digits if the lock shows them; else remove it and set a new one",
    "duplicate_code_on_device": "choose other digits, or remove the other code first",
    "managed_by_other_workspace": "ask the others, or convert with `force`",
    "account_disconnected": "give the connector access again, `reconnect` the account, repeat",
    "device_offline": "see to its power and network, repeat when it is back",
    "device_rejected": "look at the message and at the lock; the connector said no more",
    "operation_timed_out": "see whether the connector runs, repeat; the lock's next report tells what it holds",
    "no_space_for_access_code_on_device": "remove codes that nobody needs, repeat",
    "code_constraints_violated": "choose digits that the lock takes",
}

_OTHERS = """\
## Other codes that connectors name

A connector may name any code of its own. One that is not known is kept, with its message, among the errors of the
access code. These, which Seam's resources have too, are put where they belong:"""

_AFTERWARDS = """\
## What is then noted on the code

A code that is concerned has an entry in its own `errors` or `warnings`. The errors are over when an operation about it
succeeds, or when the lock shows a code that was missed."""

_CONDITIONS = (
    (NOT_SET, "error", "An operation to set or change it failed."),
    (NOT_REMOVED, "error", "An operation to remove it failed."),
    (MODIFIED_AT_LOCK, "error", "Somebody else changed or removed it at the lock."),
    (MODIFIED_WITH_LEAVE, "warning", "Somebody else changed it at the lock, who was allowed to."),
)


def page() -> str:
    """Return the whole page."""
    if _WHAT_TO_DO.keys() != {cause.error_code for cause in CAUSES}:
        raise LookupError("docs/generator/causes.py does not say what to do about each cause.")
    rows = [
        (
            markdown.code(cause.error_code),
            markdown.code(f"{cause.subject}_errors"),
            _checked(cause),
            cause.message,
            _WHAT_TO_DO[cause.error_code],
        )
        for cause in CAUSES
    ]
    others = [
        (markdown.code(array), markdown.codes(sorted(codes)))
        for array, codes in (("connected_account_errors", ACCOUNT_CODES), ("device_errors", DEVICE_CODES))
    ]
    conditions = [(markdown.code(code), *rest) for code, *rest in _CONDITIONS]
    return markdown.document(
        "`heliograph/access_codes/causes.py`",
        _INTRODUCTION,
        markdown.heading(2, "Causes"),
        markdown.table(("`error_code`", "Array of the event", "Found", "Meaning", "What to do"), rows),
        _CHECKED,
        _OTHERS,
        markdown.table(("Array", "Codes"), others),
        _AFTERWARDS,
        markdown.table(("Code", "Kind", "Meaning"), conditions),
    )


def _checked(cause: Cause) -> str:
    if cause.checked_before:
        return "at once"
    return "at the deadline" if cause == OPERATION_TIMED_OUT else "by the connector"
