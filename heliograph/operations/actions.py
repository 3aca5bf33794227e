"""What can be done with operations, whatever they are about: begin, take under a lease, end.

What follows from an outcome is for the feature that began the operation; it calls `end` in the same transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from heliograph.clock import MICROSECONDS
from heliograph.devices.model import Condition
from heliograph.errors import Conflict, NotFound
from heliograph.ids import new_uid
from heliograph.operations import store
from heliograph.operations.model import Operation, State, Wanted
from heliograph.storage.engine import Transaction
from heliograph.tenancy.model import Scope

MOST_MOVED = 500
"""Pending operations with which a device can be given another account."""


def begin(
    tx: Transaction, scope: Scope, kind: str, *, device_uid: bytes, account_uid: bytes, subject_uid: bytes,
    request: dict[str, Any], patience: int,
) -> Operation:  # fmt: skip
    """Ask for something to be done; it has failed when nobody completes it within `patience` microseconds."""
    operation = Operation(
        uid=new_uid(), kind=kind, device_uid=device_uid, account_uid=account_uid, subject_uid=subject_uid,
        request=request, created_at=tx.now, deadline=tx.now + patience,
    )  # fmt: skip
    store.insert(tx, scope, operation)
    return operation


def get(tx: Transaction, scope: Scope, uid: bytes) -> Operation:
    """Return one of the organization's operations.

    Raises:
        NotFound: when it has no such operation.
    """
    operation = store.find(tx, scope, uid)
    if operation is None:
        raise NotFound("There is no such operation.")
    return operation


def list_about(
    tx: Transaction, scope: Scope, subject_uid: bytes, before: bytes, limit: int
) -> tuple[list[Operation], bytes | None]:
    """Return a page of the operations about one thing, the newest first, and the uid to go on after.

    `before` is empty for the first page.
    """
    found = store.list_about(tx, scope, subject_uid, before or None, limit + 1)
    return found[:limit], found[limit - 1].uid if len(found) > limit else None


def pending_about(tx: Transaction, scope: Scope, subject_uids: Sequence[bytes]) -> dict[bytes, Operation]:
    """Return the operation that is still to be completed about each of some things, where there is one."""
    return {one.subject_uid: one for one in store.pending_about(tx, scope, subject_uids)}


def are_offered(tx: Transaction, scope: Scope, wanted: Wanted) -> bool:
    """Tell whether there is something to take."""
    return bool(store.offered(tx, scope, wanted, tx.now, 1))


def take(tx: Transaction, scope: Scope, wanted: Wanted, *, holder: bytes, lease: int, limit: int) -> list[Operation]:
    """Give pending operations to a holder for `lease` microseconds, the oldest first; then they are offered again."""
    offered = store.offered(tx, scope, wanted, tx.now, limit)
    until = tx.now + lease
    store.lease(tx, scope, [one.uid for one in offered], holder, until)
    return [
        msgspec.structs.replace(one, holder=holder, leased_until=until, attempts=one.attempts + 1) for one in offered
    ]


def move(tx: Transaction, scope: Scope, device_uid: bytes, account_uid: bytes) -> None:
    """Give what is still to be done at a device to another account; who has taken some of it keeps that for the lease.

    Raises:
        Conflict: when it is more than one transaction should move.
    """
    if store.move_pending(tx, scope, device_uid, account_uid, MOST_MOVED) > MOST_MOVED:
        words = f"More than {MOST_MOVED} operations are pending at the device; wait until some of them have ended."
        raise Conflict(words)


def end(
    tx: Transaction, scope: Scope, operation: Operation, state: State, *, occurred_at: int | None = None,
    completion: bytes | None = None, errors: tuple[Condition, ...] = (), warnings: tuple[Condition, ...] = (),
    request: dict[str, Any] | None = None,
) -> Operation:  # fmt: skip
    """Note how an operation ended; `request`, when given, is what is kept of what was asked."""
    ended = msgspec.structs.replace(
        operation, state=state, completed_at=tx.now, occurred_at=occurred_at, completion=completion, errors=errors,
        warnings=warnings, request=operation.request if request is None else request, leased_until=0,
    )  # fmt: skip
    store.update(tx, scope, ended)
    return ended


def overdue_tenants(tx: Transaction) -> list[int]:
    """Return the tenants in which operations were not completed in time."""
    return store.overdue_tenants(tx, tx.now)


def overdue(tx: Transaction, scope: Scope, limit: int) -> list[Operation]:
    """Return operations that were not completed in time."""
    return store.overdue(tx, scope, tx.now, limit)


def forget(tx: Transaction, scope: Scope, *, kept_days: int, limit: int) -> bool:
    """Remove at most `limit` operations that ended and began longer ago; tell whether there may be more."""
    oldest = tx.now - kept_days * 86_400 * MICROSECONDS
    # A UUIDv7 begins with its milliseconds (RFC 9562 section 5.7).
    return store.delete_old(tx, scope, (oldest // 1000).to_bytes(6, "big"), limit) == limit
