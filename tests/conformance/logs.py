"""Logs that a test writes to, indexes bit by bit and lists, and all that it knows of them itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import msgspec

from heliograph import publish
from heliograph.access_codes.events import UNMANAGED_CREATED
from heliograph.eventlog import store
from heliograph.eventlog.bodies import BodyCache, list_cached
from heliograph.eventlog.cursors import read_cursor, write_cursor
from heliograph.eventlog.events import CLOCK_BEHIND
from heliograph.eventlog.filters import EntityFilter, EventQuery
from heliograph.eventlog.model import Actor, EventDraft, Receipt, RelatedEntity
from heliograph.eventlog.paging import get_event, list_page
from heliograph.ids import Uid, as_uuid, new_uid
from heliograph.provisioning.events import RECIPE_STATUS_UPDATED
from heliograph.storage.sealing import Sealer
from tests.conformance.plain_scan import Place, Told, fits, scan
from tests.conformance.stores import START_OF_TIME, open_log, over

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

    from heliograph.eventlog.paging import Page
    from heliograph.storage.engine import Connection, Transaction
    from heliograph.tenancy.model import Scope

SEALER = Sealer(bytes(32))
PREPARER = publish.Preparer()

# Few values each, so that filters meet events and each other; one of each kind is never met.
DEFINITIONS = (CLOCK_BEHIND, RECIPE_STATUS_UPDATED, UNMANAGED_CREATED)
IDS = ("a", "b", "c")
ACTORS = ("1" * 32, "2" * 32)
MOMENTS = range(START_OF_TIME, START_OF_TIME + 6)
FILTERS: dict[str, tuple[Any, ...]] = {
    "criticalities": (0, 1, 2, 3, 4, 5),
    "codes": (0, 9_999, 10_000, CLOCK_BEHIND.code, 77),
    "types": ("door.opened", "door.closed", RECIPE_STATUS_UPDATED.type, "never"),
    "target_types": ("Door", RECIPE_STATUS_UPDATED.target, "never"),
    "target_ids": (*IDS, "never"),
    "related_ids": (*IDS, "never"),
    "entities": (
        EntityFilter("Device", ("a", "b")),
        EntityFilter(RECIPE_STATUS_UPDATED.target, ("a", "c", "never")),
        EntityFilter("Device", ("c", "a")),
        EntityFilter("Device", ("never",)),
    ),
    "ids": ("0197b3a4-10c2-7d3e-8f40-5162738495a6", "0197b3a4-10c2-7d3e-8f40-5162738495a7"),
    "actor_uids": (*ACTORS, "never"),
}

CACHE_BYTES = 20_000
"""Little enough for pages to push each other out."""

LONGEST_WALK = 5_000
"""Pages after which a listing is taken to be endless."""


@dataclass(eq=False)
class Walk:
    """One listing on its way through its pages."""

    query: EventQuery
    tenants: tuple[int, ...]
    """Indexes of the tenants that it covered at first."""
    expected: list[Place]
    """What a plain scan found when the first page was asked for."""
    places: list[Place] = field(default_factory=list)
    starts: dict[int, int] = field(default_factory=dict)
    """The first seq in the range, of each tenant, when it was first seen."""
    cursor: str | None = None
    ended: bool = False


class Logs:
    """A few tenants' logs, written to, indexed and listed at random."""

    def __init__(self, random: Random, writer: Connection, reader: Connection, *, analysed: bool) -> None:
        self.random = random
        self.analysed = analysed
        self._writer = writer
        self._reader = reader
        self._now = START_OF_TIME
        self.scopes: list[Scope] = []
        self._told: list[list[Told]] = []
        self._cache = BodyCache(CACHE_BYTES)
        self._questions: list[tuple[int, EventQuery]] = []

    # -- writing ----------------------------------------------------------------------------------------------------

    def something_happens(self) -> None:
        """Write, index, add a tenant or gather statistics; the clock stands still, goes on or goes back."""
        self._now += self.random.choice((0, 0, 1, 5, 1000, -3))
        happenings = [self.publish] * 4 + [self.record] * 4 + [self.index] * 4 + [self.join]
        if self.analysed:
            happenings.append(self.analyse)
        self.random.choice(happenings)()

    def join(self) -> None:
        """Add a tenant with an empty log."""
        with self._writer.transaction(self._now, write=True) as tx:
            self.scopes.append(open_log(tx))
        self._told.append([])

    def publish(self, most: int = 6) -> None:
        """Store a few events of a caller's."""
        scope, told = self._some_tenant()
        drafts = [self._draft() for _ in range(self.random.randint(1, most))]
        actor = Actor(account_id=1, key_uid="f" * 32, uid=self.random.choice(ACTORS))
        submission = publish.Submission(scope, [PREPARER.prepare(draft, actor) for draft in drafts], lambda _: b"")
        with self._writer.transaction(self._now, write=True) as tx:
            (answer,) = publish.ingest(tx, scope.tenant_id, [submission])
        for draft, receipt in zip(drafts, answer.outcomes, strict=True):
            assert isinstance(receipt, Receipt)
            told.append(self._note(told, scope, draft, receipt, actor_uid=actor.uid))

    def record(self) -> None:
        """Store an event of the platform's own, which may concern more entities than its target."""
        scope, told = self._some_tenant()
        definition = self.random.choice(DEFINITIONS)
        draft = EventDraft(
            type=definition.type,
            code=definition.code,
            criticality=definition.criticality,
            target_type=definition.target,
            target_id=self.random.choice(IDS),
            occurred_at=self.random.choice((None, *MOMENTS)),
        )
        related = frozenset(self.random.sample(IDS, self.random.randint(0, 2)))
        with self._writer.transaction(self._now, write=True) as tx:
            receipt = publish.record(
                tx, scope, definition, draft.target_id or "", lambda stamp: {"event_id": as_uuid(stamp.uid)},
                related=tuple(RelatedEntity(id, "Device") for id in related), occurred_at=draft.occurred_at,
            )  # fmt: skip
        flat = definition is UNMANAGED_CREATED
        told.append(self._note(told, scope, draft, receipt, internal=True, related=related, flat=flat))

    def _some_tenant(self) -> tuple[Scope, list[Told]]:
        index = self.random.randrange(len(self.scopes))
        return self.scopes[index], self._told[index]

    def _draft(self) -> EventDraft:
        choose = self.random.choice
        return EventDraft(
            type=choose((None, *FILTERS["types"][:2])),
            code=choose((None, *FILTERS["codes"][:4])),
            criticality=choose((None, 0, 1, 2, 5)),
            target_type=choose((None, "Door")),
            target_id=choose((None, *IDS)),
            occurred_at=choose((None, *MOMENTS)),
            content_type="text/plain",
            payload=self.random.randbytes(8),
        )

    def _note(
        self,
        told: list[Told],
        scope: Scope,
        draft: EventDraft,
        receipt: Receipt,
        *,
        actor_uid: str | None = None,
        internal: bool = False,
        related: frozenset[str] = frozenset(),
        flat: bool = False,
    ) -> Told:
        assert receipt.seq == len(told)
        assert receipt.recorded_at == max(self._now, told[-1].recorded_at + 1 if told else 0)
        return Told(
            tenant_id=scope.tenant_id,
            seq=receipt.seq,
            recorded_at=receipt.recorded_at,
            id=receipt.id,
            type=draft.type,
            code=draft.code,
            criticality=draft.criticality or 0,
            internal=internal,
            target_type=draft.target_type,
            target_id=draft.target_id,
            related=related,
            actor_uid=actor_uid,
            flat=flat,
            occurred_at=draft.occurred_at,
        )

    def index(self) -> None:
        """Let some followers go on with one log, by a few events or to its end."""
        scope, told = self._some_tenant()
        with self._writer.transaction(self._now, write=True) as tx:
            for follower in self.random.sample(store.FOLLOWERS, self.random.randint(1, len(store.FOLLOWERS))):
                left = store.index_next(tx, scope, follower, self.random.choice((1, 3, 10, 1000)))
                assert 0 <= left <= len(told)

    def analyse(self) -> None:
        """Let the database gather the statistics by which it plans."""
        with self._writer.transaction(self._now, write=True) as tx:
            tx.run("analyze")

    # -- asking -----------------------------------------------------------------------------------------------------

    def ask(self) -> Walk:
        """Begin a listing with up to two filters."""
        subtree = self.random.random() < 0.5
        tenants = tuple(range(len(self.scopes))) if subtree else (self.random.randrange(len(self.scopes)),)
        events = [event for index in tenants for event in self._told[index]]
        by_occurred = self.random.random() < 0.3
        since, until = self._range(events, by_occurred)
        names = self.random.choices(tuple(FILTERS), k=self.random.choice((0, 1, 1, 2)))
        filters = {name: self._values_of(name) for name in names}
        query = EventQuery(
            since=since,
            until=until,
            time_field="occurredAt" if by_occurred else "recordedAt",
            ascending=self.random.random() < 0.5,
            internal=self.random.choice((None, None, None, False, True)),
            flat=self.random.random() < 0.2,
            subtree=subtree,
            **filters,
        )
        return Walk(query, tenants, scan(query, events))

    def _values_of(self, name: str) -> tuple[Any, ...]:
        if name == "criticalities" and self.random.random() < 0.3:
            return (1, 2)
        known: Sequence[Any] = FILTERS[name]
        if name == "ids":
            known = [*known, *(event.id for told in self._told for event in told[:20])]
        return tuple(sorted(self.random.sample(known, min(len(known), self.random.randint(1, 3))), key=str))

    def _range(self, events: list[Told], by_occurred: bool) -> tuple[int, int | None]:
        """Choose bounds on, just before and just behind times that there are, or far from all."""
        times: list[int] = list(MOMENTS) if by_occurred else [event.recorded_at for event in events]
        near = [time + beside for time in times for beside in (-1, 0, 1)] or [START_OF_TIME]
        since = self.random.choice((0, 0, self.random.choice(near)))
        until = self.random.choice((None, START_OF_TIME + 10**9, self.random.choice(near)))
        return since, None if until is None else max(since, until)

    def turn_page(self, walk: Walk) -> Page:
        """Read one more page as a client would, and compare it."""
        query = walk.query
        # Who asks for a subtree asks for the tenants that are there now.
        tenants = tuple(range(len(self.scopes))) if query.subtree else walk.tenants
        for index in tenants:
            walk.starts.setdefault(index, sum(event.recorded_at < query.since for event in self._told[index]))
        scope = over([self.scopes[index] for index in tenants])
        digest = query.digest(scope.tenant_uid)
        cursor = None if walk.cursor is None else read_cursor(walk.cursor, digest, SEALER)
        limit = self.random.choice((1, 2, 3, 7, 20))
        with self._reader.transaction(self._now, write=False) as tx:
            page = list_page(tx, scope, query, limit, cursor)
        assert len(page.events) <= limit
        walk.cursor = None if page.cursor is None else write_cursor(page.cursor, SEALER)
        walk.ended = page.cursor is None
        self._compare(walk, page)
        return page

    def _compare(self, walk: Walk, page: Page) -> None:
        numbers = {scope.tenant_uid: index for index, scope in enumerate(self.scopes)}
        told = [self._told[numbers[event.tenant_uid]][event.seq] for event in page.events]
        assert [(event.recorded_at, event.envelope.id) for event in page.events] == [
            (t.recorded_at, t.id) for t in told
        ]
        walk.places += [event.place for event in told]
        if walk.query.follows:
            assert not walk.ended
            assert all(one.recorded_at <= other.recorded_at for one, other in pairwise(told))
        else:
            assert walk.places == walk.expected[: len(walk.places)], walk.query
            assert not walk.ended or walk.places == walk.expected, walk.query

    def finish(self, walk: Walk) -> None:
        """Read on to the end or, where there is none, until the cursor stays where it is."""
        for _ in range(LONGEST_WALK):
            before = walk.cursor
            if not walk.ended:
                self.turn_page(walk)
            if walk.ended:
                return
            if walk.query.follows and walk.cursor == before:
                self._compare_followed(walk)
                return
        raise AssertionError(f"The listing has no end: {walk.query}")

    def _compare_followed(self, walk: Walk) -> None:
        for index, start in walk.starts.items():
            tenant_id = self.scopes[index].tenant_id
            meant = [event.place for event in self._told[index][start:] if fits(walk.query, event)]
            assert [place for place in walk.places if place[0] == tenant_id] == meant, walk.query

    def read_bodies(self) -> None:
        """List bodies only, by a new question or by one that was asked before, and read each on its own to compare."""
        index = self.random.randrange(len(self.scopes))
        new = msgspec.structs.replace(self.ask().query, time_field="recordedAt", subtree=False)
        # Of the same words are questions to different tenants, too.
        self._questions.append((index, new))
        self._questions.append((index, self.random.choice(self._questions)[1]))
        index, query = self.random.choice(self._questions)
        scope, told = self.scopes[index], self._told[index]
        limit = self.random.choice((1, 3, 20))
        found: list[bytes] = []
        with self._reader.transaction(self._now, write=False) as tx:
            page = list_cached(tx, self._cache, scope, query, limit, None)
            for _ in range(LONGEST_WALK):
                assert len(page.payloads) <= limit
                found += page.payloads
                if page.rest is None:
                    break
                page = list_cached(tx, self._cache, scope, query, limit, page.rest)
            each = [self._body(tx, scope, seq) for _, seq in scan(query, told)]
        assert found == each, query

    @staticmethod
    def _body(tx: Transaction, scope: Scope, seq: int) -> bytes:
        row = tx.one("select content from payload where tenant_id = :t and seq = :s", t=scope.tenant_id, s=seq)
        assert row is not None
        return bytes(row[0])

    def get_each(self) -> None:
        """Get every event of one log by its id, and one that does not exist."""
        scope, told = self._some_tenant()
        with self._reader.transaction(self._now, write=False) as tx:
            assert get_event(tx, scope, new_uid()) is None
            for wanted in told:
                found = get_event(tx, scope, Uid(bytes.fromhex(wanted.id.replace("-", ""))))
                assert found is not None
                assert (found.seq, found.recorded_at) == (wanted.seq, wanted.recorded_at)
