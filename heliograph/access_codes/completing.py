"""What follows when an operation about a code ends: done by its connector, failed, or out of time."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import cast

import msgspec

from heliograph import publish
from heliograph.access_codes import settling, store
from heliograph.access_codes.actions import footing_on, raise_version
from heliograph.access_codes.applying import occurrences, remove_codes
from heliograph.access_codes.causes import (
    OPERATION_TIMED_OUT,
    Cause,
    Remark,
    causes_of_failure,
    reported_cause,
)
from heliograph.access_codes.changes import OperationKind, read_request
from heliograph.access_codes.model import AccessCode, Footing, Standing, report_time
from heliograph.access_codes.pins import Pins
from heliograph.connected_accounts import actions as connected_accounts
from heliograph.devices import actions as devices
from heliograph.devices.model import Condition
from heliograph.operations import actions as operations
from heliograph.operations.model import Completion, Operation, Said, is_repeat
from heliograph.storage.engine import Transaction
from heliograph.tenancy.model import Scope
from heliograph.times import print_time

EXPIRED_AT_ONCE = 50
"""Operations that run out of time in one transaction."""


def complete(tx: Transaction, scope: Scope, uid: bytes, holder: bytes, completion: Completion, pins: Pins) -> Operation:
    """Take what a connector says about an operation that it was given; the same again returns the first result.

    Raises:
        NotFound: when the organization has no such operation.
        Conflict: when somebody else was given it, or it ended in another way.
    """
    operation, mark = operations.get(tx, scope, uid), pins.mark(completion.digest())
    if is_repeat(operation, holder, mark):
        return operation
    at = report_time(completion.occurred_at, tx.now)
    completion = _without_pins(completion, _pins_of(tx, scope, operation, pins))
    if completion.outcome == "succeeded":
        return _succeed(tx, scope, operation, completion, mark, at)
    causes = [reported_cause(said.code, said.message) for said in completion.errors]
    remarks = [Remark(warning_code=said.code, message=said.message or "") for said in completion.warnings]
    return fail(
        tx, scope, operation, causes_of_failure(causes), remarks, at=at, completion=mark, in_doubt=False
    )  # fmt: skip


def expire(tx: Transaction, scope: Scope) -> bool:
    """Let some operations fail that nobody completed in time; tell whether there may be more."""
    overdue = operations.overdue(tx, scope, EXPIRED_AT_ONCE)
    for operation in overdue:
        # A connector that never took it has not touched the lock.
        fail(tx, scope, operation, (OPERATION_TIMED_OUT,), at=None, in_doubt=operation.attempts > 0)
    return len(overdue) == EXPIRED_AT_ONCE


def fail(
    tx: Transaction, scope: Scope, operation: Operation, causes: Sequence[Cause], remarks: Sequence[Remark] = (), *,
    at: int | None, completion: bytes | None = None, in_doubt: bool = False,
) -> Operation:  # fmt: skip
    """End an operation that failed, with all that follows; `at` is when, None for now."""
    there = _surroundings(tx, scope, operation)
    if there is None:
        return _cancel(tx, scope, operation)
    code, footing, standing = there
    moment = tx.now if at is None else at
    kind = cast("OperationKind", operation.kind)
    settled = settling.failed(code, kind, causes, remarks, standing, in_doubt=in_doubt, at=moment, now=tx.now)
    if settled.code is not None and settled.code != code:
        store.update_code(tx, scope, settled.code)
        raise_version(tx, scope, code.device_uid)
    publish.record_all(tx, scope, occurrences(scope, settled.facts, code.uid, footing, at))
    since = print_time(moment)
    return operations.end(
        tx, scope, operation, "failed", occurred_at=at, completion=completion,
        errors=tuple(Condition(cause.error_code, cause.message, since) for cause in causes),
        warnings=tuple(Condition(remark.warning_code, remark.message, since) for remark in remarks),
        request=read_request(operation.request).without_pin().to_keep(),
    )  # fmt: skip


def _succeed(
    tx: Transaction, scope: Scope, operation: Operation, completion: Completion, mark: bytes, at: int | None
) -> Operation:
    there = _surroundings(tx, scope, operation)
    if there is None:
        return _cancel(tx, scope, operation)
    code, footing, _ = there
    moment = tx.now if at is None else at
    request = read_request(operation.request)
    kind = cast("OperationKind", operation.kind)
    settled = settling.succeeded(code, kind, request, external_id=completion.external_id, at=moment, now=tx.now)
    ended = operations.end(
        tx, scope, operation, "succeeded", occurred_at=at, completion=mark,
        warnings=tuple(Condition(one.code, one.message or "", print_time(moment)) for one in completion.warnings),
        request=request.without_pin().to_keep(),
    )  # fmt: skip
    if settled.code is None:
        remove_codes(tx, scope, [code.uid])
    else:
        store.update_code(tx, scope, settled.code)
    raise_version(tx, scope, code.device_uid, settled_at=moment)
    publish.record_all(tx, scope, occurrences(scope, settled.facts, code.uid, footing, at))
    return ended


def _cancel(tx: Transaction, scope: Scope, operation: Operation) -> Operation:
    kept = read_request(operation.request).without_pin().to_keep()
    return operations.end(tx, scope, operation, "cancelled", request=kept)


def _surroundings(tx: Transaction, scope: Scope, operation: Operation) -> tuple[AccessCode, Footing, Standing] | None:
    """Return the code of a pending operation, where it is, and what is wrong there now.

    None when the account or the device is gone, so that a job is about to remove the code.
    """
    code = store.find_code(tx, scope, operation.subject_uid)
    device = devices.find(tx, scope, operation.device_uid)
    account = connected_accounts.find(tx, scope, operation.account_uid)
    if code is None or device is None or account is None:
        return None
    presence = device.presence
    standing = Standing(
        code_errors=code.errors,
        code_warnings=code.warnings,
        device_errors=() if presence is None else presence.errors,
        device_warnings=() if presence is None else presence.warnings,
        account_errors=account.errors,
        account_warnings=account.warnings,
    )
    return code, footing_on(device, account.uid, account.custom_metadata), standing


# -- PINs in a connector's words ------------------------------------------------------------------------------------


def _pins_of(tx: Transaction, scope: Scope, operation: Operation, pins: Pins) -> tuple[str, ...]:
    """Return the digits that the operation is about: those the code has, and those it was to have."""
    code = store.find_code(tx, scope, operation.subject_uid)
    sealed = {read_request(operation.request).code.sealed_pin, None if code is None else code.sealed_pin}
    opened = (pins.open(operation.subject_uid, one) for one in sealed)
    return tuple(pin.reveal() for pin in opened if pin is not None)


def _without_pins(completion: Completion, pins: Sequence[str]) -> Completion:
    """Return what a connector said without the digits that it may have put there: nothing that is kept tells them."""

    def hide(text: str) -> str:
        for pin in pins:
            text = re.sub(rf"(?<!\d){pin}(?!\d)", "*" * len(pin), text)
        return text

    def told(said: Sequence[Said]) -> tuple[Said, ...]:
        return tuple(Said(hide(one.code), None if one.message is None else hide(one.message)) for one in said)

    return msgspec.structs.replace(completion, errors=told(completion.errors), warnings=told(completion.warnings))
