"""Why a code could not be taken over: the platform's closed list, and how it is told in Seam's six arrays (rule R10).

Seam documents no causes of its own for this. Where its resources have a code for the same thing, ours is that one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypedDict

import msgspec

from heliograph.access_codes.model import AccessCode, Standing
from heliograph.connected_accounts.conditions import ErrorItem, WarningItem, error_items, warning_items
from heliograph.connected_accounts.model import ConnectedAccount
from heliograph.devices.model import Condition, Device
from heliograph.times import print_milliseconds

Subject = Literal["access_code", "connected_account", "device"]
"""What is at fault: it decides in which array a cause stands."""


class Cause(msgspec.Struct, frozen=True, kw_only=True):
    """One reason why a conversion failed; `checked_before` when it can be told without asking the lock.

    `error_code` is for programs and open: connectors may name codes that the platform does not know.
    """

    error_code: str
    subject: Subject
    message: str
    checked_before: bool = False


class Remark(msgspec.Struct, frozen=True, kw_only=True):
    """Something that a connector found worth a look while it tried; never the only thing said of a failure."""

    warning_code: str
    message: str


class Arrays(TypedDict):
    """The six arrays of a failure, as fields of its event."""

    access_code_errors: tuple[ErrorItem, ...]
    access_code_warnings: tuple[WarningItem, ...]
    connected_account_errors: tuple[ErrorItem, ...]
    connected_account_warnings: tuple[WarningItem, ...]
    device_errors: tuple[ErrorItem, ...]
    device_warnings: tuple[WarningItem, ...]


CANNOT_BE_MANAGED = Cause(
    error_code="cannot_be_managed",
    subject="access_code",
    message="The lock does not let this code be managed by anybody else.",
    checked_before=True,
)
CODE_UNREADABLE = Cause(
    error_code="code_unreadable",
    subject="access_code",
    message="The lock does not show this code's digits.",
    checked_before=True,
)
DUPLICATE_CODE_ON_DEVICE = Cause(
    error_code="duplicate_code_on_device",
    subject="access_code",
    message="Another managed code on the lock has the same digits.",
    checked_before=True,
)
MANAGED_BY_OTHER_WORKSPACE = Cause(
    error_code="managed_by_other_workspace",
    subject="access_code",
    message="Somebody else manages this code; only a forced conversion takes it over.",
)
ACCOUNT_DISCONNECTED = Cause(
    error_code="account_disconnected",
    subject="connected_account",
    message="The connected account is disconnected; connect it again first.",
    checked_before=True,
)
DEVICE_OFFLINE = Cause(
    error_code="device_offline",
    subject="device",
    message="The lock is offline.",
    checked_before=True,
)
DEVICE_REJECTED = Cause(
    error_code="device_rejected",
    subject="access_code",
    message="The lock refused the change.",
)
OPERATION_TIMED_OUT = Cause(
    error_code="operation_timed_out",
    subject="access_code",
    message="The lock did not confirm the change in time.",
)
NO_SPACE_FOR_ACCESS_CODE_ON_DEVICE = Cause(
    error_code="no_space_for_access_code_on_device",
    subject="access_code",
    message="The lock has no room for another code.",
)
CODE_CONSTRAINTS_VIOLATED = Cause(
    error_code="code_constraints_violated",
    subject="access_code",
    message="The digits break a rule of the lock, such as how many there must be.",
)

CAUSES: tuple[Cause, ...] = (
    CANNOT_BE_MANAGED,
    CODE_UNREADABLE,
    DUPLICATE_CODE_ON_DEVICE,
    MANAGED_BY_OTHER_WORKSPACE,
    ACCOUNT_DISCONNECTED,
    DEVICE_OFFLINE,
    DEVICE_REJECTED,
    OPERATION_TIMED_OUT,
    NO_SPACE_FOR_ACCESS_CODE_ON_DEVICE,
    CODE_CONSTRAINTS_VIOLATED,
)
"""All that the platform itself ever says, in the order in which it says it."""

_NOTHING = Standing()
_BY_CODE = {cause.error_code: cause for cause in CAUSES}

# Further codes that Seam's resources show for accounts and devices; any other is about the code itself.
ACCOUNT_CODES = frozenset(
    (
        "bridge_disconnected",
        "dormakaba_sites_disconnected",
        "insufficient_permissions",
        "salto_ks_subscription_limit_exceeded",
    )
)
"""Codes that connectors may name, and that are about the account."""

DEVICE_CODES = frozenset(
    (
        "august_lock_not_authorized",
        "auxiliary_heat_running",
        "device_disconnected",
        "device_removed",
        "empty_backup_access_code_pool",
        "hub_disconnected",
        "missing_device_credentials",
        "subscription_required",
    )
)
"""Codes that connectors may name, and that are about the device."""


def checks_before(
    code: AccessCode, device: Device, account: ConnectedAccount | None, others: Sequence[AccessCode]
) -> tuple[Cause, ...]:
    """Return what keeps an unmanaged code from being converted as far as it is known without asking the lock.

    `others` are codes on the same lock; `code` itself may be among them. A lock that never said whether it is
    connected is taken to be.
    """
    pin = code.pin_index
    found = {
        CANNOT_BE_MANAGED: code.cannot_be_managed,
        CODE_UNREADABLE: pin is None,
        DUPLICATE_CODE_ON_DEVICE: pin is not None and any(other.managed and other.pin_index == pin for other in others),
        ACCOUNT_DISCONNECTED: account is None or account.state == "disconnected",
        DEVICE_OFFLINE: device.presence is not None and device.presence.connection_uid is None,
    }
    return tuple(cause for cause in CAUSES if found.get(cause))


def reported_cause(error_code: str, message: str | None = None) -> Cause:
    """Return the cause that a connector names; a code that is not known is kept, and is about the access code.

    The connector's own words, when it has any, replace ours.
    """
    cause = _BY_CODE.get(error_code)
    if cause is None:
        subject: Subject = "access_code"
        if error_code in ACCOUNT_CODES:
            subject = "connected_account"
        elif error_code in DEVICE_CODES:
            subject = "device"
        cause = Cause(error_code=error_code, subject=subject, message="The connector said no more than the code.")
    return msgspec.structs.replace(cause, message=message) if message and message.strip() else cause


def causes_of_failure(reported: Sequence[Cause]) -> tuple[Cause, ...]:
    """Return what a connector named, or that the lock refused when it named nothing (rule R10)."""
    return tuple(reported) or (DEVICE_REJECTED,)


def arrays_of(
    causes: Sequence[Cause], created_at: int, remarks: Sequence[Remark] = (), standing: Standing = _NOTHING
) -> Arrays:
    """Return the six arrays that say `causes`, and after them what else is wrong; `created_at` in microseconds UTC.

    Raises:
        ValueError: when there is no cause, for a failure without a reason helps nobody (rule R10).
    """
    if not causes:
        raise ValueError("A failure has at least one cause.")
    since = print_milliseconds(created_at)
    said = {cause.error_code for cause in causes} | {remark.warning_code for remark in remarks}

    def errors(subject: Subject, others: Sequence[Condition]) -> tuple[ErrorItem, ...]:
        named = tuple(
            ErrorItem(created_at=since, error_code=cause.error_code, message=cause.message)
            for cause in causes
            if cause.subject == subject
        )
        return named + error_items(one for one in others if one.code not in said)

    noticed = tuple(
        WarningItem(created_at=since, message=remark.message, warning_code=remark.warning_code) for remark in remarks
    )
    return Arrays(
        access_code_errors=errors("access_code", standing.code_errors),
        access_code_warnings=noticed + warning_items(one for one in standing.code_warnings if one.code not in said),
        connected_account_errors=errors("connected_account", standing.account_errors),
        connected_account_warnings=warning_items(standing.account_warnings),
        device_errors=errors("device", standing.device_errors),
        device_warnings=warning_items(standing.device_warnings),
    )
