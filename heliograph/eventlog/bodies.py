"""Pages of bodies: what a reader gets who needs nothing of an event but its stored payload."""

from __future__ import annotations

import threading
from collections import OrderedDict

import msgspec

from heliograph.eventlog import query as search
from heliograph.eventlog import store
from heliograph.eventlog.criteria import criteria_of
from heliograph.eventlog.filters import EventQuery
from heliograph.eventlog.model import Span
from heliograph.eventlog.paging import STEPS_PER_PAGE
from heliograph.eventlog.query import Found
from heliograph.storage.engine import Transaction
from heliograph.tenancy.model import Scope

_PAGE_COST = 512
_BODY_COST = 64
"""Bytes of memory that a cached page, and each body in it, takes beside what it holds."""

LARGEST_SHARE = 4
"""A page that would fill more than this part of the cache is not kept."""

_encode = msgspec.json.Encoder().encode


class Bodies(msgspec.Struct, frozen=True):
    """Stored payloads in order, and the part of the log in which more may follow; None when nothing can.

    Events whose payload was erased have no body.
    """

    payloads: tuple[bytes, ...]
    rest: Span | None


class BodyCache:
    """The pages read last, so that whoever asks again while nothing has happened is answered at once.

    A page is good for one tenant, one question and one head of that tenant's log: below its head a log does not change,
    and whatever removes events or payloads has to be put on record in the same log, which moves the head. At most
    `largest` bytes are kept. Used by all reading threads.
    """

    def __init__(self, largest: int) -> None:
        self._largest = largest
        self._pages: OrderedDict[bytes, tuple[int, Bodies, int]] = OrderedDict()
        self._lock = threading.Lock()
        self.size = 0
        """Bytes that the kept pages take."""

    def find(self, question: bytes, head: int) -> Bodies | None:
        """Return the page that was kept for a question at that head of the log."""
        with self._lock:
            entry = self._pages.get(question)
            if entry is None or entry[0] != head:
                return None
            self._pages.move_to_end(question)
            return entry[1]

    def keep(self, question: bytes, head: int, page: Bodies) -> None:
        """Keep a page in the place of an older one, and drop those that nobody has asked for the longest."""
        size = _PAGE_COST + len(question) + sum(map(len, page.payloads)) + _BODY_COST * len(page.payloads)
        with self._lock:
            self._drop(question)
            if size * LARGEST_SHARE > self._largest:
                return
            self._pages[question] = (head, page, size)
            self.size += size
            while self.size > self._largest:
                self._drop(next(iter(self._pages)))

    def _drop(self, question: bytes) -> None:
        entry = self._pages.pop(question, None)
        if entry is not None:
            self.size -= entry[2]


def list_cached(
    tx: Transaction, cache: BodyCache, scope: Scope, query: EventQuery, limit: int, rest: Span | None
) -> Bodies:
    """Return what `list_bodies` returns, from the cache when the tenant's log has not grown since."""
    question = _encode((scope.tenant_uid, query, limit, rest))
    head = store.head_of(tx, scope)
    page = cache.find(question, head)
    if page is None:
        page = list_bodies(tx, scope, query, limit, rest, head)
        cache.keep(question, head, page)
    return page


def list_bodies(tx: Transaction, scope: Scope, query: EventQuery, limit: int, rest: Span | None, head: int) -> Bodies:
    """Return the bodies of one tenant's events by recordedAt, at most `limit`, and fewer where that takes too long.

    `rest` is what the page before left; None begins with what lies below `head`, the log's end.
    """
    ahead = search.span_of(tx, scope, query, head) if rest is None else rest
    criteria = criteria_of(query)
    found: list[tuple[int, bytes]] = []
    steps = STEPS_PER_PAGE + 1
    # One more than fits, to learn whether anything follows.
    while len(found) <= limit and not ahead.empty and steps > 0:
        wanted = limit + 1 - len(found)
        step = search.find(tx, scope, criteria, ahead, query.ascending, wanted)
        found += _fitting(tx, scope, query, step)
        steps -= len(step.seqs) < wanted
        ahead = ahead.rest(step.examined, query.ascending)
    payloads = tuple(payload for _, payload in found[:limit])
    if len(found) > limit:
        # What was found beyond the page begins the next one.
        following = found[limit][0]
        ahead = Span(following, ahead.high) if query.ascending else Span(ahead.low, following + 1)
    return Bodies(payloads, None if ahead.empty else ahead)


def _fitting(tx: Transaction, scope: Scope, query: EventQuery, found: Found) -> list[tuple[int, bytes]]:
    if found.certain:
        return store.fetch_payloads(tx, scope, found.seqs)
    return [
        (event.seq, event.payload)
        for event in store.fetch(tx, scope, found.seqs)
        if event.payload is not None and query.accepts(event.envelope)
    ]
