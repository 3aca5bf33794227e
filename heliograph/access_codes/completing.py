"""What follows when an operation about a code ends: done by its connector, failed, or out of time."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import cast

from heliograph import publish
from heliograph.access_codes import events, settling, store
from heliograph.access_codes.actions import footing_on, raise_version
from heliograph.access_codes.applying import occurrence, occurrences, remove_codes
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
from heliograph.errors import Conflict
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
        Conflict: when somebody else was given it, it ended in another way, or another managed code of the lock has
            the id that this one is said to have.
    """
    operation, mark = operations.get(tx, scope, uid), pins.mark(completion.digest())
    if is_repeat(operation, holder, mark):
        return operation
    at = report_time(completion.occurred_at, tx.now)
    digits = _pins_of(tx, scope, operation, pins)
    warnings = [_without_pin(said, digits) for said in completion.warnings]
    remarks = [Remark(warning_code=said.code, message=said.message or "") for said in warnings]
    if completion.outcome == "succeeded":
        return _succeed(tx, scope, operation, completion.external_id, remarks, at=at, completion=mark)
    errors = [_without_pin(said, digits) for said in completion.errors]
    causes = [reported_cause(said.code, said.message) for said in errors]
    return fail(tx, scope, operation, causes_of_failure(causes), remarks, at=at, completion=mark)


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
    kind, request = cast("OperationKind", operation.kind), read_request(operation.request)
    settled = settling.failed(
        code, kind, causes, remarks, standing, in_doubt=in_doubt or request.unsure, at=moment, now=tx.now
    )  # fmt: skip
    if settled.code is not None and settled.code != code:
        store.update_code(tx, scope, settled.code)
        raise_version(tx, scope, code.device_uid)
    publish.record_all(tx, scope, occurrences(scope, settled.facts, code.uid, footing, at))
    since = print_time(moment)
    return operations.end(
        tx, scope, operation, "failed", occurred_at=at, completion=completion,
        errors=tuple(Condition(cause.error_code, cause.message, since) for cause in causes),
        warnings=_noticed(remarks, moment), request=request.without_pin().to_keep(),
    )  # fmt: skip


def _noticed(remarks: Sequence[Remark], at: int) -> tuple[Condition, ...]:
    return tuple(Condition(remark.warning_code, remark.message, print_time(at)) for remark in remarks)


def _succeed(
    tx: Transaction, scope: Scope, operation: Operation, external_id: str | None, remarks: Sequence[Remark], *,
    at: int | None, completion: bytes,
) -> Operation:  # fmt: skip
    there = _surroundings(tx, scope, operation)
    if there is None:
        return _cancel(tx, scope, operation)
    code, footing, _ = there
    moment = tx.now if at is None else at
    request = read_request(operation.request)
    kind = cast("OperationKind", operation.kind)
    settled = settling.succeeded(code, kind, request, external_id=external_id, at=moment, now=tx.now)
    ended = operations.end(
        tx, scope, operation, "succeeded", occurred_at=at, completion=completion, warnings=_noticed(remarks, moment),
        request=request.without_pin().to_keep(),
    )  # fmt: skip
    if settled.code is None:
        remove_codes(tx, scope, [code.uid])
    else:
        for other in _taken_for_others(tx, scope, kind, code, settled.code):
            remove_codes(tx, scope, [other.uid])
            publish.record_all(tx, scope, [occurrence(scope, events.UNMANAGED_REMOVED, other.uid, footing, at)])
        store.update_code(tx, scope, settled.code)
    raise_version(tx, scope, code.device_uid, settled_at=moment)
    publish.record_all(tx, scope, occurrences(scope, settled.facts, code.uid, footing, at))
    return ended


def _taken_for_others(
    tx: Transaction, scope: Scope, kind: OperationKind, before: AccessCode, after: AccessCode
) -> list[AccessCode]:
    """Return the unmanaged codes as which the lock showed this one, before it was said under which id or digits.

    Raises:
        Conflict: when another managed code has that id.
    """
    found: dict[bytes, AccessCode] = {}
    if after.external_id is not None and after.external_id != before.external_id:
        for one in store.codes_with_id(tx, scope, after.device_uid, after.external_id):
            if one.managed:
                raise Conflict("Another managed code of the lock has this externalId.")
            found[one.uid] = one
    # When these digits were asked for no other code had them.
    if after.pin_index is not None and (kind == "set_access_code" or after.pin_index != before.pin_index):
        same = store.codes_with_pin(tx, scope, after.device_uid, after.pin_index)
        found |= {one.uid: one for one in same if not one.managed}
    found.pop(after.uid, None)
    return list(found.values())


def _cancel(tx: Transaction, scope: Scope, operation: Operation) -> Operation:
    kept = read_request(operation.request).without_pin().to_keep()
    return operations.end(tx, scope, operation, "cancelled", request=kept)


def _surroundings(tx: Transaction, scope: Scope, operation: Operation) -> tuple[AccessCode, Footing, Standing] | None:
    """Return the code of a pending operation, where it is, and what is wrong there now.

    None when the account or the device is gone, so that a job is about to remove the code.
    """
    code = store.find_code(tx, scope, operation.subject_uid)
    device = devices.find(tx, scope, operation.device_uid)
    # The lock may have been given to another account since, which has its codes now.
    account_uid = None if device is None else device.settings.connected_account_uid
    account = None if account_uid is None else connected_accounts.find(tx, scope, account_uid)
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


def _without_pin(said: Said, pins: Sequence[str]) -> Said:
    """Return a connector's words without the digits that it may have put there: events must not tell them."""
    code, message = said.code, said.message
    for pin in pins:
        shown, mask = re.compile(rf"(?<!\d){pin}(?!\d)"), "*" * len(pin)
        code, message = shown.sub(mask, code), None if message is None else shown.sub(mask, message)
    return Said(code, message)
