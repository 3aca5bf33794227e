"""Requests of those to whom managed and unmanaged codes are different things: one is not there in place of the other.

A request that is sent again because its answer was lost finds done what it asked for.
"""

from __future__ import annotations

from heliograph.access_codes import actions, requests
from heliograph.access_codes.changes import CodePatch, CodeWish
from heliograph.access_codes.history import was_removed
from heliograph.access_codes.model import CodeType
from heliograph.access_codes.pins import Pins
from heliograph.access_codes.surroundings import Found, around, require_locks
from heliograph.errors import Invalid, NotFound
from heliograph.operations.model import Operation
from heliograph.storage.engine import Transaction
from heliograph.tenancy.model import Scope


def create(tx: Transaction, scope: Scope, device_uid: bytes, wish: CodeWish, pins: Pins, patience: int) -> Found:
    """Create a managed code, and return it with its surroundings; see `requests.create`.

    Raises:
        NotFound: when the organization has no such device, or no longer.
    """
    require_locks(tx, scope, (device_uid,))
    code, _ = requests.create(tx, scope, device_uid, wish, pins, patience)
    return [code], around(tx, scope, [code])


def convert(
    tx: Transaction, scope: Scope, uid: bytes, *, force: bool, external_modification_allowed: bool, patience: int
) -> Operation:
    """Convert an unmanaged code; see `requests.convert`."""
    actions.get_of_kind(tx, scope, uid, None, managed=False)
    return requests.convert(
        tx, scope, uid, force=force, external_modification_allowed=external_modification_allowed, patience=patience
    )


def update(
    tx: Transaction, scope: Scope, uid: bytes, device_uid: bytes | None, patch: CodePatch, type: CodeType | None,
    pins: Pins, patience: int,
) -> Operation | None:  # fmt: skip
    """Change a managed code; see `requests.update`. `type` is what the code is to be then, None for whatever follows.

    Raises:
        Invalid: when it will not be of that type.
    """
    code = actions.get_of_kind(tx, scope, uid, device_uid, managed=True)
    if type is not None and patch.onto(code, pins).type != type:
        words = "A time_bound access code has a start or an end, an ongoing one has neither."
        raise Invalid.at("/type", "time-frame", words)
    return requests.update(tx, scope, uid, None, patch, pins, patience)[1]


def remove(
    tx: Transaction, scope: Scope, uid: bytes, device_uid: bytes | None, *, managed: bool, patience: int
) -> Operation | None:
    """Remove a code; see `requests.remove`. None also when it was removed before.

    Raises:
        NotFound: when there is no such code and never was.
    """
    try:
        actions.get_of_kind(tx, scope, uid, device_uid, managed=managed)
    except NotFound:
        if was_removed(tx, scope, uid, managed=managed):
            return None
        raise
    return requests.remove(tx, scope, uid, None, patience)
