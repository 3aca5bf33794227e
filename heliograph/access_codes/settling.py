"""What becomes of a code when an operation about it ends, and what the log then says; pure decisions.

A change counts from the moment at which the lock confirms it: until then the code is known as it was. When nobody
knows whether the lock made the change, its status is `unknown`, and its next report tells.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from heliograph.access_codes import events, managed_events
from heliograph.access_codes.causes import Arrays, Cause, Remark, arrays_of
from heliograph.access_codes.changes import (
    OperationKind,
    Request,
    changed_properties,
    shown_time,
    target_of,
    with_target,
)
from heliograph.access_codes.model import AccessCode, Standing, Status
from heliograph.catalog.definition import EventDefinition
from heliograph.devices.model import Condition
from heliograph.times import print_time

NOT_SET = "failed_to_set_on_device"
NOT_REMOVED = "failed_to_remove_from_device"
MODIFIED_AT_LOCK = "conflicting_external_modification"
"""Errors of a code, by Seam's names: what was asked for failed, or somebody else had a hand in it."""

_OVER_WITH_SUCCESS = frozenset((NOT_SET, NOT_REMOVED, MODIFIED_AT_LOCK))


class Fact(msgspec.Struct, frozen=True):
    """Something that the log is to say of a code; `more` are the fields that not all such events have."""

    definition: EventDefinition
    more: dict[str, Any] = {}


class Settled(msgspec.Struct, frozen=True):
    """The code after an operation, None when it is gone, and what to tell, in that order.

    `late_before`, when there is one, is the time from which on the lock's reports are news again.
    """

    code: AccessCode | None
    facts: tuple[Fact, ...]
    late_before: int | None = None


def succeeded(
    code: AccessCode, kind: OperationKind, request: Request, *, external_id: str | None, at: int, now: int
) -> Settled:
    """Return what becomes of a code when the lock did what was asked for, at the time `at`; microseconds UTC."""
    if kind == "remove_access_code":
        if not code.managed:
            return Settled(None, (Fact(events.UNMANAGED_REMOVED),), at)
        gone = (Fact(managed_events.ACCESS_CODE_REMOVED_FROM_DEVICE), deleted())
        return Settled(None, gone, at)
    confirmed: dict[str, Any] = {
        "status": "set",
        "errors": tuple(one for one in code.errors if one.code not in _OVER_WITH_SUCCESS),
        "external_id": external_id or code.external_id,
        "wanted_pin_index": None,
        "found_at": at if code.found_at is None else code.found_at,
        "settled_at": at,
        "updated_at": now,
        "version": code.version + 1,
    }
    if kind == "convert_access_code":
        allowed = request.external_modification_allowed
        managed = msgspec.structs.replace(
            code, managed=True, external_modification_allowed=allowed, cannot_be_managed=False, **confirmed
        )  # fmt: skip
        return Settled(managed, (Fact(events.UNMANAGED_CONVERTED),), at)
    after = with_target(code, request.code, **confirmed)
    return Settled(after, (*changes(code, after), on_lock(after, at)), at)


def failed(
    code: AccessCode, kind: OperationKind, causes: Sequence[Cause], remarks: Sequence[Remark], standing: Standing,
    *, in_doubt: bool, at: int, now: int,
) -> Settled:  # fmt: skip
    """Return what becomes of a code when the lock did not do what was asked for, or nobody knows (`in_doubt`)."""
    arrays = arrays_of(causes, at, remarks, standing)
    if kind == "convert_access_code":
        return Settled(code, (_failure(events.UNMANAGED_CONVERSION_FAILED, arrays),))
    setting = kind != "remove_access_code"
    error = Condition(NOT_SET if setting else NOT_REMOVED, causes[0].message, print_time(at))
    after = msgspec.structs.replace(
        code,
        errors=(*(one for one in code.errors if one.code != error.code), error),
        settled_at=at if in_doubt else code.settled_at,
        updated_at=now,
        version=code.version + 1,
    )
    late_before = at if in_doubt else None
    if not code.managed:
        return Settled(after, (), late_before)
    if in_doubt:
        # A lock that shows the code, as it was or as it was to be, says so with its next report.
        after = msgspec.structs.replace(after, status="unknown")
    else:
        status: Status = "unset" if kind == "set_access_code" else "set"
        after = msgspec.structs.replace(after, status=status, wanted_pin_index=None)
    told = managed_events.ACCESS_CODE_FAILED_TO_SET_ON_DEVICE
    if not setting:
        told = managed_events.ACCESS_CODE_FAILED_TO_REMOVE_FROM_DEVICE
    return Settled(after, (_failure(told, arrays),), late_before)


def changes(before: AccessCode, after: AccessCode, reason: str | None = None) -> Iterator[Fact]:
    """Yield what to tell of the difference between a managed code and what it was."""
    old, new = target_of(before), target_of(after)
    properties = changed_properties(old, new)
    if not properties:
        return
    because = {} if reason is None else {"change_reason": reason}
    yield Fact(managed_events.ACCESS_CODE_CHANGED, {"changed_properties": properties} | because)
    if old.name != new.name:
        names = {"from_": managed_events.NameThen(name=old.name), "to": managed_events.NameThen(name=new.name)}
        yield Fact(managed_events.ACCESS_CODE_NAME_CHANGED, {"description": "The name was changed."} | names)
    if old.pin_index != new.pin_index:
        withheld = managed_events.PinThen(code=None)
        pins = {"description": "The PIN was changed.", "from_": withheld, "to": withheld}
        yield Fact(managed_events.ACCESS_CODE_CODE_CHANGED, pins)
    frames = [
        managed_events.TimeFrameThen(starts_at=shown_time(one.starts_at), ends_at=shown_time(one.ends_at))
        for one in (old, new)
    ]
    if frames[0] != frames[1]:
        frame = {"description": "The time frame was changed.", "from_": frames[0], "to": frames[1]}
        yield Fact(managed_events.ACCESS_CODE_TIME_FRAME_CHANGED, frame)


def on_lock(code: AccessCode, at: int) -> Fact:
    """Return what to tell of a managed code that the lock holds since `at`."""
    if code.starts_at is not None and code.starts_at > at:
        return Fact(managed_events.ACCESS_CODE_SCHEDULED_ON_DEVICE, {"code": None})
    return Fact(managed_events.ACCESS_CODE_SET_ON_DEVICE, {"code": None})


def deleted() -> Fact:
    """Return what to tell of a managed code that is gone from the platform."""
    return Fact(managed_events.ACCESS_CODE_DELETED, {"code": None})


def _failure(definition: EventDefinition, arrays: Arrays) -> Fact:
    return Fact(definition, dict(arrays))
