"""Whatever is asked, and whatever happens between two pages, a listing shows what a plain scan would."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from itertools import count, pairwise
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)

from heliograph import publish
from heliograph.access_codes.events import UNMANAGED_CREATED
from heliograph.eventlog import store
from heliograph.eventlog.cursors import Cursor, read_cursor, write_cursor
from heliograph.eventlog.events import CLOCK_BEHIND
from heliograph.eventlog.filters import EventQuery
from heliograph.eventlog.model import Actor, EventDraft, Receipt, RelatedEntity
from heliograph.eventlog.paging import get_event, list_page
from heliograph.ids import Uid, new_uid
from heliograph.provisioning.events import RECIPE_STATUS_UPDATED
from heliograph.storage.sealing import Sealer
from heliograph.tenancy.access import system_scope
from tests.conformance.plain_scan import Place, Told, fits, scan
from tests.conformance.stores import START_OF_TIME, over

if TYPE_CHECKING:
    from collections.abc import Sequence

    from heliograph.catalog.definition import EventDefinition
    from heliograph.eventlog.model import Event
    from heliograph.storage.engine import Engine
    from heliograph.tenancy.model import Scope

SEALER = Sealer(bytes(32))
PREPARER = publish.Preparer()
TENANT_NUMBERS = count(1000)

# Few values each, so that filters meet events, each other, and now and then nothing.
DEFINITIONS: tuple[EventDefinition, ...] = (CLOCK_BEHIND, RECIPE_STATUS_UPDATED, UNMANAGED_CREATED)
TYPES = ("door.opened", "door.closed", RECIPE_STATUS_UPDATED.type)
CODES = (0, 9_999, 10_000, CLOCK_BEHIND.code)
TARGET_TYPES = ("Door", "Tenant", RECIPE_STATUS_UPDATED.target)
IDS = ("a", "b", "c")
ACTORS = ("1" * 32, "2" * 32)
MOMENTS = 6
NEVER = "never"

LONGEST_WALK = 3_000
"""Pages after which a listing is taken to be endless."""


def _some(*values: Any) -> st.SearchStrategy[Any]:
    return st.sampled_from((None, *values))


def _any_of(*values: Any) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(st.sampled_from(values), min_size=1, max_size=3, unique=True).map(lambda v: tuple(sorted(v)))


MOMENT = st.integers(0, MOMENTS).map(lambda step: START_OF_TIME + step)

DRAFTS = st.builds(
    EventDraft,
    type=_some(*TYPES[:2]),
    code=_some(*CODES),
    criticality=_some(0, 1, 2, 5),
    target_type=_some(*TARGET_TYPES[:2]),
    target_id=_some(*IDS),
    occurred_at=st.none() | MOMENT,
    payload=st.binary(max_size=3),
)

FILTERS: dict[str, st.SearchStrategy[Any]] = {
    "criticalities": st.one_of(_any_of(0, 1, 2, 3, 4, 5), st.just((1, 2))),
    "codes": _any_of(*CODES, 77),
    "types": _any_of(*TYPES, NEVER),
    "target_types": _any_of(*TARGET_TYPES, NEVER),
    "target_ids": _any_of(*IDS, NEVER),
    "related_ids": _any_of(*IDS, NEVER),
    "actor_uids": _any_of(*ACTORS, NEVER),
    "internal": st.booleans(),
}

FILTER_SETS = st.lists(st.sampled_from(sorted(FILTERS)), max_size=3, unique=True).flatmap(
    lambda names: st.fixed_dictionaries({name: FILTERS[name] for name in names})
)

BOUND = st.tuples(st.integers(0, 200), st.sampled_from((-1, 0, 1)))
"""Which of the times there are, and how far beside it."""

STEP = st.sampled_from((0, 0, 1, 5, 1000, -3))
"""How far the clock moves before something is written: it may stand still and go back."""

LIMIT = st.integers(1, 7)


@dataclass(eq=False)
class Walk:
    """One listing on its way through its pages."""

    query: EventQuery
    tenants: tuple[int, ...]
    """Indexes of the tenants; more may join a subtree later."""
    expected: list[Place]
    cursor: str | None = None
    places: list[Place] = field(default_factory=list)
    starts: dict[int, int] = field(default_factory=dict)
    """For a walk that follows: the first seq of each tenant that lies in the range."""


class Logs(RuleBasedStateMachine):
    """Logs of a few tenants, written to and indexed bit by bit while listings walk through them."""

    walks = Bundle("walks")

    def __init__(self, engine: Engine, *, analysed: bool) -> None:
        super().__init__()
        self._analysed = analysed
        self._patch = pytest.MonkeyPatch()
        self._writer = engine.connect(write=True)
        self._reader = engine.connect(write=False)
        self._now = START_OF_TIME
        self._scopes: list[Scope] = []
        self._told: list[list[Told]] = []
        self._open: list[Walk] = []

    @initialize(
        tenants=st.integers(1, 3),
        budget=st.sampled_from((None, 1, 3)),
        keys=st.sampled_from((None, None, 1, 3)),
        drafts=st.lists(DRAFTS, max_size=20),
        followers=st.sets(st.sampled_from(store.FOLLOWERS)),
    )
    def begin(
        self, tenants: int, budget: int | None, keys: int | None, drafts: list[EventDraft], followers: set[str]
    ) -> None:
        if budget is not None:
            self._patch.setattr("heliograph.eventlog.query.SCAN_BUDGET", budget)
            self._patch.setattr("heliograph.eventlog.query.TAIL_BUDGET", budget)
        if keys is not None:
            self._patch_everywhere("key_of", lambda text: sum(text.encode()) % keys)
            self._patch_everywhere("id_key_of", lambda uid: uid[-1] % keys)
        for _ in range(tenants):
            self.join()
        for number, definition in enumerate(DEFINITIONS):
            self.record(number, definition, IDS[number], ["a", "b"], None, 1)
        if drafts:
            self.publish(0, drafts, 0, 0)
        self.index_a_little(0, followers, len(drafts))

    def _patch_everywhere(self, name: str, function: Any) -> None:
        for module in [module for key, module in sys.modules.items() if key.startswith("heliograph.")]:
            if hasattr(module, name):
                self._patch.setattr(module, name, function)

    # -- what happens to the logs -----------------------------------------------------------------------------------

    @precondition(lambda self: len(self._scopes) < 5)
    @rule()
    def join(self) -> None:
        scope = system_scope(next(TENANT_NUMBERS), new_uid().hex())
        with self._writer.transaction(self._now, write=True) as tx:
            store.open_log(tx, scope)
        self._scopes.append(scope)
        self._told.append([])

    @rule(tenant=st.integers(0, 4), drafts=st.lists(DRAFTS, min_size=1, max_size=9), step=STEP, who=st.integers(0, 1))
    def publish(self, tenant: int, drafts: list[EventDraft], step: int, who: int) -> None:
        scope, told = self._tenant(tenant)
        self._now += step
        actor = Actor(account_id=who, key_uid="f" * 32, uid=ACTORS[who])
        events = [PREPARER.prepare(draft, actor) for draft in drafts]
        submission = publish.Submission(scope, events, lambda _: b"")
        with self._writer.transaction(self._now, write=True) as tx:
            (answer,) = publish.ingest(tx, scope.tenant_id, [submission])
        for draft, receipt in zip(drafts, answer.outcomes, strict=True):
            assert isinstance(receipt, Receipt)
            self._remember(told, scope, draft, receipt, actor.uid, internal=False, related=frozenset())

    @rule(
        tenant=st.integers(0, 4),
        definition=st.sampled_from(DEFINITIONS),
        target_id=st.sampled_from(IDS),
        related=st.lists(st.sampled_from(IDS), max_size=2),
        occurred_at=st.none() | MOMENT,
        step=STEP,
    )
    def record(
        self,
        tenant: int,
        definition: EventDefinition,
        target_id: str,
        related: list[str],
        occurred_at: int | None,
        step: int,
    ) -> None:
        scope, told = self._tenant(tenant)
        self._now += step
        entities = tuple(RelatedEntity(id, "Device") for id in related)
        with self._writer.transaction(self._now, write=True) as tx:
            receipt = publish.record(
                tx, scope, definition, target_id, lambda _: definition.sample, related=entities, occurred_at=occurred_at
            )
        draft = EventDraft(
            type=definition.type,
            code=definition.code,
            criticality=definition.criticality,
            target_type=definition.target,
            target_id=target_id,
            occurred_at=occurred_at,
        )
        self._remember(told, scope, draft, receipt, None, internal=True, related=frozenset(related))

    def _tenant(self, number: int) -> tuple[Scope, list[Told]]:
        index = number % len(self._scopes)
        return self._scopes[index], self._told[index]

    def _remember(
        self,
        told: list[Told],
        scope: Scope,
        draft: EventDraft,
        receipt: Receipt,
        actor_uid: str | None,
        *,
        internal: bool,
        related: frozenset[str],
    ) -> None:
        last = told[-1].recorded_at if told else 0
        assert receipt.seq == len(told)
        assert receipt.recorded_at == max(self._now, last + 1)
        told.append(
            Told(
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
                occurred_at=draft.occurred_at,
            )
        )

    @rule(tenant=st.integers(0, 4), followers=st.sets(st.sampled_from(store.FOLLOWERS)), limit=st.integers(1, 9))
    def index_a_little(self, tenant: int, followers: set[str], limit: int) -> None:
        scope, told = self._tenant(tenant)
        with self._writer.transaction(self._now, write=True) as tx:
            for follower in sorted(followers):
                left = store.index_next(tx, scope, follower, limit)
                assert 0 <= left <= len(told)

    @rule(tenant=st.integers(0, 4))
    def index_all(self, tenant: int) -> None:
        scope, _ = self._tenant(tenant)
        with self._writer.transaction(self._now, write=True) as tx:
            for follower in store.FOLLOWERS:
                assert store.index_next(tx, scope, follower, 1000) == 0

    @precondition(lambda self: self._analysed)
    @rule()
    def gather_statistics(self) -> None:
        with self._writer.transaction(self._now, write=True) as tx:
            tx.run("analyze")

    # -- what is asked of them --------------------------------------------------------------------------------------

    @rule(
        target=walks,
        tenant=st.integers(0, 4),
        subtree=st.booleans(),
        filters=FILTER_SETS,
        by_occurred=st.booleans(),
        ascending=st.booleans(),
        since=BOUND,
        until=st.none() | BOUND,
        limit=LIMIT,
    )
    def ask(
        self,
        tenant: int,
        subtree: bool,
        filters: dict[str, Any],
        by_occurred: bool,
        ascending: bool,
        since: tuple[int, int],
        until: tuple[int, int] | None,
        limit: int,
    ) -> Walk:
        tenants = tuple(range(len(self._scopes))) if subtree else (tenant % len(self._scopes),)
        bounds = sorted(self._time(bound, tenants, by_occurred) for bound in (since, until) if bound is not None)
        query = EventQuery(
            since=bounds[0],
            until=bounds[1] if until is not None else None,
            time_field="occurredAt" if by_occurred else "recordedAt",
            ascending=ascending,
            subtree=subtree,
            **filters,
        )
        walk = Walk(query, tenants, scan(query, [event for index in tenants for event in self._told[index]]))
        self._open.append(walk)
        return walk if self._turn(walk, limit) else multiple()

    def _time(self, bound: tuple[int, int], tenants: Sequence[int], by_occurred: bool) -> int:
        number, beside = bound
        if by_occurred:
            return START_OF_TIME + number % (MOMENTS + 2) + beside
        times = [event.recorded_at for index in tenants for event in self._told[index]]
        return (times[number % len(times)] if times else START_OF_TIME) + beside

    @rule(target=walks, walk=consumes(walks), limit=LIMIT)
    def turn_the_page(self, walk: Walk, limit: int) -> Walk:
        return walk if self._turn(walk, limit) else multiple()

    def _turn(self, walk: Walk, limit: int) -> bool:
        """Read one more page; tell whether another may follow."""
        query = walk.query
        self._open.remove(walk)
        if query.subtree and query.follows:
            walk.tenants = tuple(range(len(self._scopes)))
        scope = over([self._scopes[index] for index in walk.tenants])
        for index in walk.tenants:
            before = sum(event.recorded_at < query.since for event in self._told[index])
            walk.starts.setdefault(index, before)
        digest = query.digest(scope.tenant_uid)
        cursor = None if walk.cursor is None else read_cursor(walk.cursor, digest, SEALER)
        with self._reader.transaction(self._now, write=False) as tx:
            page = list_page(tx, scope, query, limit, cursor)
        self._compare(walk, page.events, page.cursor, limit)
        walk.cursor = None if page.cursor is None else write_cursor(page.cursor, SEALER)
        if walk.cursor is not None:
            self._open.append(walk)
        return walk.cursor is not None

    def _compare(self, walk: Walk, events: list[Event], cursor: Cursor | None, limit: int) -> None:
        assert len(events) <= limit
        numbers = {scope.tenant_uid: index for index, scope in enumerate(self._scopes)}
        told = [self._told[numbers[event.tenant_uid]][event.seq] for event in events]
        assert [(event.recorded_at, event.envelope.id) for event in events] == [(t.recorded_at, t.id) for t in told]
        walk.places += [event.place for event in told]
        if walk.query.follows:
            assert cursor is not None
            assert all(one.recorded_at <= other.recorded_at for one, other in pairwise(told))
            for index, places in self._by_tenant(walk).items():
                assert places == self._followed(walk, index)[: len(places)]
        elif cursor is None:
            assert walk.places == walk.expected
        else:
            assert walk.places == walk.expected[: len(walk.places)]

    def _by_tenant(self, walk: Walk) -> dict[int, list[Place]]:
        numbers = {self._scopes[index].tenant_id: index for index in walk.tenants}
        found: dict[int, list[Place]] = {index: [] for index in walk.tenants}
        for place in walk.places:
            found[numbers[place[0]]].append(place)
        return found

    def _followed(self, walk: Walk, index: int) -> list[Place]:
        return [event.place for event in self._told[index][walk.starts[index] :] if fits(walk.query, event)]

    @rule(tenant=st.integers(0, 4), number=st.integers(0, 200))
    def get_one(self, tenant: int, number: int) -> None:
        scope, told = self._tenant(tenant)
        with self._reader.transaction(self._now, write=False) as tx:
            assert get_event(tx, scope, new_uid()) is None
            if told:
                wanted = told[number % len(told)]
                found = get_event(tx, scope, Uid(bytes.fromhex(wanted.id.replace("-", ""))))
                assert found is not None
                assert (found.seq, found.recorded_at) == (wanted.seq, wanted.recorded_at)

    def teardown(self) -> None:
        try:
            for walk in list(self._open):
                self._finish(walk)
        finally:
            self._patch.undo()
            self._writer.close()
            self._reader.close()

    def _finish(self, walk: Walk) -> None:
        """Read on to the end; there is none for a walk that follows, but a cursor that stays where it is."""
        for _ in range(LONGEST_WALK):
            before = walk.cursor
            if not self._turn(walk, 5):
                return
            if walk.query.follows and walk.cursor == before:
                for index, places in self._by_tenant(walk).items():
                    assert places == self._followed(walk, index)
                return
        raise AssertionError("The listing has no end.")


@pytest.mark.parametrize("analysed", [False, True], ids=["plain", "analysed"])
def test_listing_shows_what_a_plain_scan_shows(engine: Engine, analysed: bool) -> None:
    run_state_machine_as_test(
        lambda: Logs(engine, analysed=analysed),
        settings=settings(
            max_examples=40,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=(Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink),
        ),
    )
