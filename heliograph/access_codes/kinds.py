"""Requests of those to whom managed and unmanaged codes are different things: neither stands in for the other."""

from __future__ import annotations

from heliograph.access_codes import actions, requests
from heliograph.access_codes.changes import CodePatch, CodeWish
from heliograph.access_codes.events import UNMANAGED_REMOVED
from heliograph.access_codes.managed_events import ACCESS_CODE_DELETED
from heliograph.access_codes.model import CodeType
from heliograph.access_codes.pins import Pins
from heliograph.access_codes.surroundings import Found, around, require_locks
from heliograph.errors import Invalid
from heliograph.eventlog.cursors import Cursor
from heliograph.eventlog.filters import EventQuery
from heliograph.eventlog.paging import list_page
from heliograph.ids import as_hex
from heliograph.operations.model import Operation
from heliograph.storage.engine import Transaction
from heliograph.tenancy.model import Scope

_END_OF_TIME = 2**62


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
    """Remove a code; see `requests.remove`."""
    actions.get_of_kind(tx, scope, uid, device_uid, managed=managed)
    return requests.remove(tx, scope, uid, None, patience)


def was_removed(tx: Transaction, scope: Scope, uid: bytes, *, managed: bool) -> bool:
    """Tell by the log whether there was such a code, removed as a managed or as an unmanaged one."""
    told = ACCESS_CODE_DELETED if managed else UNMANAGED_REMOVED
    query = EventQuery(since=0, until=_END_OF_TIME, types=(told.type,), target_ids=(as_hex(uid),))
    cursor: Cursor | None = None
    while True:
        page = list_page(tx, scope, query, 1, cursor)
        cursor = page.cursor
        if page.events or cursor is None:
            return bool(page.events)
