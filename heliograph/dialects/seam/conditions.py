"""Errors and warnings as Seam's resources show them: what is wrong with an account or a lock is so for all below it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from heliograph.connected_accounts.model import ConnectedAccount
from heliograph.devices.model import Condition, Device
from heliograph.times import parse_time, print_milliseconds

DEVICE_OFFLINE = "device_offline"


class ErrorBody(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is wrong, and whether with the access code, the device or the connected account."""

    error_code: str
    message: str
    created_at: str
    is_access_code_error: Literal[True] | UnsetType = UNSET
    is_device_error: bool | UnsetType = UNSET
    is_connected_account_error: Literal[True] | UnsetType = UNSET


class WarningBody(msgspec.Struct, frozen=True, kw_only=True):
    """Something to look at."""

    warning_code: str
    message: str
    created_at: str


def account_errors(account: ConnectedAccount) -> tuple[ErrorBody, ...]:
    """Render what is wrong with an account itself."""
    return tuple(
        ErrorBody(
            error_code=one.code, message=one.message, created_at=began(one), is_connected_account_error=True
        )
        for one in account.errors
    )  # fmt: skip


def device_errors(device: Device, account: ConnectedAccount | None) -> tuple[ErrorBody, ...]:
    """Render what is wrong with a device: its own errors, that it is offline, and those of its account."""
    presence = device.presence
    own = [] if presence is None else [
        ErrorBody(error_code=one.code, message=one.message, created_at=began(one), is_device_error=True)
        for one in presence.errors
    ]  # fmt: skip
    if presence is not None and not is_online(device) and all(one.error_code != DEVICE_OFFLINE for one in own):
        since = print_milliseconds(presence.last_seen_at)
        own.append(
            ErrorBody(
                error_code=DEVICE_OFFLINE, message="The device is offline.", created_at=since, is_device_error=True
            )
        )
    above = () if account is None else account_errors(account)
    return (*own, *(msgspec.structs.replace(one, is_device_error=False) for one in above))


def access_code_errors(errors: Iterable[Condition]) -> tuple[ErrorBody, ...]:
    """Render what is wrong with an access code itself."""
    return tuple(
        ErrorBody(error_code=one.code, message=one.message, created_at=began(one), is_access_code_error=True)
        for one in errors
    )


def warnings(conditions: Iterable[Condition]) -> tuple[WarningBody, ...]:
    """Render warnings."""
    return tuple(
        WarningBody(warning_code=one.code, message=one.message, created_at=began(one)) for one in conditions
    )  # fmt: skip


def is_online(device: Device) -> bool:
    """Tell whether a device is connected; one that never said so is taken to be, as when a conversion is checked."""
    return device.presence is None or device.presence.connection_uid is not None


def began(condition: Condition) -> str:
    """Return when an error or warning began."""
    return print_milliseconds(parse_time(condition.created_at, "/createdAt"))
