"""Pages of events: one tenant's or a merged subtree's, forward and back, stable while events arrive."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Protocol

import msgspec

from heliograph.eventlog import query as search
from heliograph.eventlog import store
from heliograph.eventlog.criteria import criteria_of
from heliograph.eventlog.cursors import Cursor
from heliograph.eventlog.filters import EventQuery
from heliograph.eventlog.model import Event, Span, id_key_of
from heliograph.eventlog.query import Moment
from heliograph.ids import Uid, as_uuid
from heliograph.storage.engine import Transaction
from heliograph.storage.statements import batches
from heliograph.tenancy.model import Scope

STEPS_PER_PAGE = 2
"""Searches that run into their budget which a page may spend, beside one for each tenant; then it ends early."""

_END_OF_TIME = 2**62
_FOLLOW = -1

Key = tuple[int, int, int]
"""(time, tenant, seq): the order of a merged listing."""


class Page(msgspec.Struct, frozen=True):
    """Events in order, and where to go on; `cursor` is None when nothing can follow."""

    events: list[Event]
    cursor: Cursor | None


class _Steps:
    """How many more searches of the whole page may come back with less than they were asked for."""

    def __init__(self, left: int) -> None:
        self.left = left

    def note(self, wanted: int, found: int) -> None:
        if found < wanted:
            self.left -= 1


class _Scan(Protocol):
    """One tenant's part of a page: a buffer of events, and what is left behind it."""

    tenant_id: int
    buffer: deque[Event]

    def refill(self, want: int, steps: _Steps) -> None:
        """Put events into the empty buffer, unless the scan is at its end or the steps are used up."""

    def key(self, event: Event) -> Key:
        """Return the event's place in the merged order."""

    def barrier(self) -> Key | None:
        """Return the place up to which nothing is known yet, or None when the scan is at its end."""

    def place(self) -> tuple[int, ...]:
        """Return what the cursor has to keep of this scan."""

    def at_end(self) -> bool:
        """Tell whether neither buffer nor log holds anything more."""


class _RecordedScan:
    """By recordedAt, which is by seq."""

    def __init__(self, tx: Transaction, scope: Scope, query: EventQuery, span: Span) -> None:
        self.tenant_id = scope.tenant_id
        self.buffer: deque[Event] = deque()
        self._tx = tx
        self._scope = scope
        self._query = query
        self._criteria = criteria_of(query)
        self._ahead = span

    def refill(self, want: int, steps: _Steps) -> None:
        ascending = self._query.ascending
        while not self.buffer and not self._ahead.empty and steps.left > 0:
            found = search.find(self._tx, self._scope, self._criteria, self._ahead, ascending, want)
            steps.note(want, len(found.seqs))
            events = store.fetch(self._tx, self._scope, found.seqs)
            fits = self._query.accepts
            self.buffer.extend(events if found.certain else (event for event in events if fits(event.envelope)))
            self._ahead = self._ahead.rest(found.examined, ascending)

    def key(self, event: Event) -> Key:
        return (event.recorded_at, self.tenant_id, event.seq)

    def barrier(self) -> Key | None:
        if self._ahead.empty:
            return None
        seq = self._ahead.low if self._query.ascending else self._ahead.high - 1
        return (store.recorded_at(self._tx, self._scope, seq), self.tenant_id, seq)

    def place(self) -> tuple[int, ...]:
        low, high = self._ahead.low, self._ahead.high
        if self.buffer and self._query.ascending:
            low = self.buffer[0].seq
        elif self.buffer:
            high = self.buffer[0].seq + 1
        return (self.tenant_id, low, _FOLLOW if self._query.follows else high)

    def at_end(self) -> bool:
        return not self.buffer and self._ahead.empty


class _OccurredScan:
    """By (occurredAt, seq), over the events that carry one and were there when the first page was asked for."""

    def __init__(
        self, tx: Transaction, scope: Scope, query: EventQuery, span: tuple[Moment, Moment], head: int
    ) -> None:
        self.tenant_id = scope.tenant_id
        self.buffer: deque[Event] = deque()
        self._tx = tx
        self._scope = scope
        self._query = query
        self._criteria = criteria_of(query)
        self._span = span
        self._head = head
        self._done = False

    def refill(self, want: int, steps: _Steps) -> None:
        ascending = self._query.ascending
        while not self.buffer and not self._done and steps.left > 0:
            found = search.find_by_time(self._tx, self._scope, self._criteria, self._span, self._head, ascending, want)
            steps.note(want, len(found.moments))
            events = store.fetch(self._tx, self._scope, [seq for _, seq in found.moments])
            self.buffer.extend(event for event in events if self._query.accepts(event.envelope))
            if found.edge is None:
                self._done = True
            else:
                self._span = self._beyond(found.edge)

    def _beyond(self, edge: Moment) -> tuple[Moment, Moment]:
        return (edge, self._span[1]) if self._query.ascending else (self._span[0], edge)

    def key(self, event: Event) -> Key:
        return (event.envelope.occurred_at or 0, self.tenant_id, event.seq)

    def barrier(self) -> Key | None:
        if self._done:
            return None
        at, seq = self._span[0] if self._query.ascending else self._span[1]
        return (at, self.tenant_id, seq)

    def place(self) -> tuple[int, ...]:
        span = self._span
        if self.buffer:
            at, _, seq = self.key(self.buffer[0])
            span = self._beyond((at, seq - 1 if self._query.ascending else seq + 1))
        elif self._done:
            span = (span[1], span[1])
        return (self.tenant_id, *span[0], *span[1], self._head)

    def at_end(self) -> bool:
        return not self.buffer and self._done


def list_page(tx: Transaction, scope: Scope, query: EventQuery, limit: int, cursor: Cursor | None) -> Page:
    """Return one page of at most `limit` events, and fewer where finding them takes too long.

    The first page fixes its upper bound, so that pages neither repeat nor skip while events arrive. A cursor of a
    query that `follows` never ends: its pages are empty while there is nothing new.
    """
    scans = _scans(tx, scope, query, cursor)
    events = _merge(scans, limit, query.ascending)
    if not query.follows and all(scan.at_end() for scan in scans):
        return Page(events, None)
    return Page(events, Cursor(query.digest(scope.tenant_uid), tuple(scan.place() for scan in scans)))


def get_event(tx: Transaction, scope: Scope, uid: Uid) -> Event | None:
    """Return the event with that id, if the tenant's log holds it."""
    span = Span(0, store.head_of(tx, scope))
    criteria = (((store.FACETS["id_key"], id_key_of(uid)),),)
    while not span.empty:
        found = search.find(tx, scope, criteria, span, ascending=False, limit=10)
        for event in store.fetch(tx, scope, found.seqs):
            if event.envelope.id == as_uuid(uid):
                return event
        span = span.rest(found.examined, ascending=False)
    return None


def events_at(tx: Transaction, scope: Scope, seqs: Iterable[int]) -> dict[int, Event]:
    """Return the events at these places of the tenant's log, by their places."""
    return {event.seq: event for some in batches(seqs) for event in store.fetch(tx, scope, some)}


def _merge(scans: Sequence[_Scan], limit: int, ascending: bool) -> list[Event]:
    """Take events in the merged order; stop where a scan does not yet know what comes next."""
    steps = _Steps(STEPS_PER_PAGE + len(scans))
    if len(scans) == 1:
        return _take(scans[0], limit, steps)
    sign = 1 if ascending else -1
    # Each tenant gives little at a time.
    want = max(8, 2 * limit // len(scans))
    heap: list[tuple[tuple[int, ...], int]] = []

    def offer(number: int) -> None:
        scan = scans[number]
        if not scan.buffer:
            scan.refill(want, steps)
        key = scan.key(scan.buffer[0]) if scan.buffer else scan.barrier()
        if key is not None:
            heapq.heappush(heap, (tuple(sign * part for part in key), number))

    for number in range(len(scans)):
        offer(number)
    events: list[Event] = []
    while heap and len(events) < limit:
        scan = scans[heap[0][1]]
        if not scan.buffer:
            break
        _, number = heapq.heappop(heap)
        events.append(scan.buffer.popleft())
        offer(number)
    return events


def _take(scan: _Scan, limit: int, steps: _Steps) -> list[Event]:
    """Take events of one tenant's, which are in order as they are; see `_merge`."""
    events: list[Event] = []
    while True:
        if not scan.buffer:
            # One more than fits, to learn whether anything follows.
            scan.refill(limit + 1, steps)
        count = min(limit - len(events), len(scan.buffer))
        if not count:
            return events
        events += [scan.buffer.popleft() for _ in range(count)]


def _scans(tx: Transaction, scope: Scope, query: EventQuery, cursor: Cursor | None) -> list[_Scan]:
    places = {place[0]: place[1:] for place in cursor.places} if cursor else {}
    scans: list[_Scan] = []
    for tenant_id, tenant_uid in scope.tenants:
        part = scope.narrowed(tenant_id, tenant_uid)
        place = places.get(tenant_id)
        if place is None and cursor is not None and not query.follows:
            continue  # a tenant made after the first page
        make = _recorded_scan if query.time_field == "recordedAt" else _occurred_scan
        scans.append(make(tx, part, query, place))
    return scans


def _recorded_scan(tx: Transaction, scope: Scope, query: EventQuery, place: tuple[int, ...] | None) -> _Scan:
    if place is None:
        return _RecordedScan(tx, scope, query, search.span_of(tx, scope, query, store.head_of(tx, scope)))
    low, high = place
    if high == _FOLLOW:
        high = store.head_of(tx, scope)
    return _RecordedScan(tx, scope, query, Span(low, high))


def _occurred_scan(tx: Transaction, scope: Scope, query: EventQuery, place: tuple[int, ...] | None) -> _Scan:
    if place is not None:
        low_at, low_seq, high_at, high_seq, head = place
        return _OccurredScan(tx, scope, query, ((low_at, low_seq), (high_at, high_seq)), head)
    until = _END_OF_TIME if query.until is None else query.until
    span = ((query.since, -1), (until, -1))
    return _OccurredScan(tx, scope, query, span, store.head_of(tx, scope))
