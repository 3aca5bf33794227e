"""Operations: what a connector is asked to do at a device, once, within a time."""

from __future__ import annotations

import hashlib
from typing import Any, Literal

import msgspec

from heliograph.devices.model import Condition
from heliograph.errors import Conflict

State = Literal["pending", "succeeded", "failed", "cancelled"]
"""`cancelled`: what it was about is gone, so it need not be done."""

Outcome = Literal["succeeded", "failed"]

MOST_AT_ONCE = 100
"""Operations that a connector takes with one request."""

LONGEST_WAIT = 60
"""Seconds for which a connector may wait for operations."""

MOST_CONDITIONS = 20
LONGEST_CODE = 100
LONGEST_MESSAGE = 500
LONGEST_EXTERNAL_ID = 255

_encode = msgspec.json.Encoder(order="deterministic").encode


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """A piece of work for a connector. Times in microseconds UTC.

    `request` says what is to be done, as JSON; its meaning is that of the `kind`. `holder` is the credential that
    took it last; until `leased_until` nobody else is offered it. `completion` is the mark of what was said when it was
    completed.
    """

    uid: bytes
    kind: str
    state: State = "pending"
    device_uid: bytes
    account_uid: bytes
    subject_uid: bytes
    request: dict[str, Any]
    created_at: int
    deadline: int
    leased_until: int = 0
    holder: bytes | None = None
    attempts: int = 0
    completed_at: int | None = None
    occurred_at: int | None = None
    completion: bytes | None = None
    errors: tuple[Condition, ...] = ()
    warnings: tuple[Condition, ...] = ()


class Said(msgspec.Struct, frozen=True):
    """An error or warning in a connector's words; `message` None when it gave the code alone.

    It does not show itself, for the words may hold a PIN.
    """

    code: str
    message: str | None = None

    def __repr__(self) -> str:
        return "Said(...)"


class Completion(msgspec.Struct, frozen=True, kw_only=True):
    """What a connector says about an operation; `occurred_at` in microseconds UTC, None when it named no time.

    `external_id` is the device's own id of what was made there.
    """

    outcome: Outcome
    occurred_at: int | None = None
    external_id: str | None = None
    errors: tuple[Said, ...] = ()
    warnings: tuple[Said, ...] = ()

    def digest(self) -> bytes:
        """Return 32 bytes that are the same for equal completions alone."""
        return hashlib.sha256(_encode(self)).digest()


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which operations a connector takes: those of any of these devices and of any of these accounts; empty is all."""

    device_uids: tuple[bytes, ...] = ()
    account_uids: tuple[bytes, ...] = ()


def is_repeat(operation: Operation, holder: bytes, completion: bytes) -> bool:
    """Tell whether a completion with this mark was made before; False when the operation waits for this very one.

    Raises:
        Conflict: when somebody else took the operation, or it ended in another way.
    """
    if operation.state == "cancelled":
        raise Conflict("The operation was cancelled: what it was about is no longer on the device.")
    if operation.holder != holder:
        raise Conflict("The operation was not given to this key; fetch operations before completing them.")
    if operation.state == "pending":
        return False
    if operation.completion is None:
        raise Conflict("The operation was not completed in time and counts as failed.")
    if operation.completion != completion:
        raise Conflict("The operation was completed before, with another outcome.")
    return True
