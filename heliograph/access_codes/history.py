"""What the log still tells of codes that are gone."""

from __future__ import annotations

from heliograph.access_codes.events import UNMANAGED_REMOVED
from heliograph.access_codes.managed_events import ACCESS_CODE_DELETED
from heliograph.eventlog.cursors import Cursor
from heliograph.eventlog.filters import EventQuery
from heliograph.eventlog.paging import list_page
from heliograph.ids import as_hex
from heliograph.storage.engine import Transaction
from heliograph.tenancy.model import Scope

_END_OF_TIME = 2**62


def was_removed(tx: Transaction, scope: Scope, uid: bytes, *, managed: bool) -> bool:
    """Tell whether the organization had such a code, and it was removed as a managed or as an unmanaged one."""
    told = ACCESS_CODE_DELETED if managed else UNMANAGED_REMOVED
    query = EventQuery(since=0, until=_END_OF_TIME, types=(told.type,), target_ids=(as_hex(uid),))
    cursor: Cursor | None = None
    while True:
        page = list_page(tx, scope, query, 1, cursor)
        cursor = page.cursor
        if page.events or cursor is None:
            return bool(page.events)
