"""What follows when an operation about a code ends: done by its connector, failed, or out of time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import msgspec

from heliograph.access_codes import events, settling, store
from heliograph.access_codes.actions import footing_on, raise_version
from heliograph.access_codes.causes import (
    OPERATION_TIMED_OUT,
    Cause,
    Remark,
    causes_of_failure,
    reported_cause,
)
from heliograph.access_codes.changes import OperationKind, read_request
from heliograph.access_codes.masking import without_pins
from heliograph.access_codes.model import AccessCode, Footing, Standing, report_time
from heliograph.access_codes.pins import Pins
from heliograph.access_codes.settling import Fact, Settled
from heliograph.access_codes.telling import cancel, remove_codes, tell
from heliograph.connected_accounts import actions as connected_accounts
from heliograph.devices import actions as devices
from heliograph.devices.model import Condition
from heliograph.errors import Conflict
from heliograph.operations import actions as operations
from heliograph.operations.model import Completion, Operation, is_repeat
from heliograph.storage.engine import Transaction
from heliograph.tenancy.model import Scope
from heliograph.times import print_time

EXPIRED_AT_ONCE = 50
"""Operations that run out of time in one transaction."""


class _Ending(msgspec.Struct, frozen=True, kw_only=True):
    """How an operation ended: with success, unless there are causes. `at` is when, None for now."""

    at: int | None = None
    completion: bytes | None = None
    external_id: str | None = None
    causes: tuple[Cause, ...] = ()
    remarks: tuple[Remark, ...] = ()
    in_doubt: bool = False


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
    said = without_pins(tx, scope, operation.device_uid, completion, pins)
    succeeded = said.outcome == "succeeded"
    causes = () if succeeded else causes_of_failure([reported_cause(one.code, one.message) for one in said.errors])
    ending = _Ending(
        at=report_time(said.occurred_at, tx.now, since=operation.created_at),
        completion=mark,
        # As in reports, nothing but space is no id.
        external_id=said.external_id if said.external_id and said.external_id.strip() else None,
        causes=causes,
        remarks=tuple(Remark(warning_code=one.code, message=one.message or "") for one in said.warnings),
    )
    return _end(tx, scope, operation, ending)


def expire(tx: Transaction, scope: Scope) -> bool:
    """Let some operations fail that nobody completed in time; tell whether there may be more."""
    overdue = operations.overdue(tx, scope, EXPIRED_AT_ONCE)
    for operation in overdue:
        # A connector that never took it has not touched the lock.
        _end(tx, scope, operation, _Ending(causes=(OPERATION_TIMED_OUT,), in_doubt=operation.attempts > 0))
    return len(overdue) == EXPIRED_AT_ONCE


def fail(tx: Transaction, scope: Scope, operation: Operation, causes: Sequence[Cause]) -> Operation:
    """End an operation that need not be tried, with all that follows."""
    return _end(tx, scope, operation, _Ending(causes=tuple(causes)))


def _end(tx: Transaction, scope: Scope, operation: Operation, ending: _Ending) -> Operation:
    there = _surroundings(tx, scope, operation)
    if there is None:
        return cancel(tx, scope, operation)
    code, footing, standing = there
    moment = tx.now if ending.at is None else ending.at
    kind, request = cast("OperationKind", operation.kind), read_request(operation.request)
    if ending.causes:
        settled = settling.failed(
            code, kind, ending.causes, ending.remarks, standing, in_doubt=ending.in_doubt or request.unsure, at=moment,
            now=tx.now,
        )  # fmt: skip
    else:
        settled = settling.succeeded(code, kind, request, external_id=ending.external_id, at=moment, now=tx.now)
        for other in _taken_for_others(tx, scope, kind, code, settled.code):
            remove_codes(tx, scope, [other.uid])
            tell(tx, scope, other.uid, [Fact(events.UNMANAGED_REMOVED)], footing, ending.at)
    since = print_time(moment)
    ended = operations.end(
        tx, scope, operation, "failed" if ending.causes else "succeeded", occurred_at=ending.at,
        completion=ending.completion,
        errors=tuple(Condition(cause.error_code, cause.message, since) for cause in ending.causes),
        warnings=tuple(Condition(remark.warning_code, remark.message, since) for remark in ending.remarks),
        request=request.without_pin().to_keep(),
    )  # fmt: skip
    _keep(tx, scope, code, settled)
    tell(tx, scope, code.uid, settled.facts, footing, ending.at)
    return ended


def _keep(tx: Transaction, scope: Scope, before: AccessCode, settled: Settled) -> None:
    if settled.code == before:
        return
    if settled.code is None:
        remove_codes(tx, scope, [before.uid])
    else:
        store.update_code(tx, scope, settled.code)
    raise_version(tx, scope, before.device_uid, settled_at=settled.late_before)


def _taken_for_others(
    tx: Transaction, scope: Scope, kind: OperationKind, before: AccessCode, after: AccessCode | None
) -> list[AccessCode]:
    """Return the unmanaged codes as which the lock showed this one, before it was said under which id or digits.

    Raises:
        Conflict: when another managed code has that id.
    """
    found: dict[bytes, AccessCode] = {}
    if after is None:
        return []
    if after.external_id is not None and after.external_id != before.external_id:
        for one in store.codes_with_id(tx, scope, after.device_uid, after.external_id):
            if one.managed:
                raise Conflict("Another managed code of the lock has this externalId.")
            found[one.uid] = one
    # When these digits were asked for no other code had them; one with an id of its own that came since is another one.
    if after.pin_index is not None and (kind == "set_access_code" or after.pin_index != before.pin_index):
        same = store.codes_with_pin(tx, scope, after.device_uid, after.pin_index)
        nameless = [one for one in same if None in (one.external_id, after.external_id)]
        found |= {one.uid: one for one in nameless if not one.managed}
    found.pop(after.uid, None)
    return list(found.values())


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
