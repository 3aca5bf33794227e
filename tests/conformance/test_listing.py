"""Whatever is asked, and whatever happens between two pages, a listing shows what a plain scan would."""

from __future__ import annotations

import sys
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from heliograph.eventlog import store
from heliograph.eventlog.events import CLOCK_BEHIND
from heliograph.eventlog.filters import EventQuery
from heliograph.eventlog.model import EventDraft, RelatedEntity
from heliograph.eventlog.paging import list_page
from heliograph.publish import Preparer, record
from tests.conformance.logs import Logs
from tests.conformance.stores import START_OF_TIME, open_log

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from heliograph.eventlog.paging import Page
    from heliograph.storage.engine import Connection, Engine
    from heliograph.tenancy.model import Scope

LISTINGS = 40
"""How many listings walk through the logs of one example."""


def _bound_searches(patch: pytest.MonkeyPatch, rows: int | None) -> None:
    """Let a step of a search examine a few rows only, so that pages end early."""
    if rows is not None:
        patch.setattr("heliograph.eventlog.query.SCAN_BUDGET", rows)
        patch.setattr("heliograph.eventlog.query.TAIL_BUDGET", rows)


def _collide_keys(patch: pytest.MonkeyPatch, values: int | None) -> None:
    """Let all texts and ids share a few keys, in every module, so that only the exact comparison tells them apart."""
    if values is None:
        return
    replacements: dict[str, Any] = {
        "key_of": lambda text: sum(text.encode()) % values,
        "id_key_of": lambda uid: uid[-1] % values,
    }
    modules = [module for name, module in sys.modules.items() if name.startswith("heliograph.")]
    for name, replacement in replacements.items():
        for module in modules:
            if hasattr(module, name):
                patch.setattr(module, name, replacement)


@pytest.mark.parametrize("analysed", [False, True], ids=["unplanned", "analysed"])
def test_listing_shows_what_a_plain_scan_shows(engine: Engine, analysed: bool) -> None:
    writer, reader = engine.connect(write=True), engine.connect(write=False)

    # The seed of the random choices cannot be shrunk to anything simpler.
    @settings(
        max_examples=60 if engine.dialect == "sqlite" else 10,
        deadline=None,
        phases=(Phase.explicit, Phase.reuse, Phase.generate),
    )
    @given(
        seed=st.integers(0, 2**32),
        tenants=st.integers(1, 3),
        events=st.integers(0, 100),
        rows=st.sampled_from((None, 1, 3)),
        keys=st.sampled_from((None, 1, 3)),
    )
    def check(seed: int, tenants: int, events: int, rows: int | None, keys: int | None) -> None:
        logs = Logs(Random(seed), writer, reader, analysed=analysed)
        with pytest.MonkeyPatch.context() as patch:
            _bound_searches(patch, rows)
            _collide_keys(patch, keys)
            _walk_through(logs, tenants, events)

    check()
    writer.close()
    reader.close()


def _walk_through(logs: Logs, tenants: int, events: int) -> None:
    """Fill the logs, then list them again and again while they go on growing."""
    for _ in range(tenants):
        logs.join()
    for _ in range(events // 4):
        logs.something_happens()
    walks = []
    for _ in range(LISTINGS):
        walk = logs.ask()
        for _ in range(logs.random.choice((1, 2, 5))):
            if not walk.ended:
                logs.turn_page(walk)
            if logs.random.random() < 0.2:
                logs.something_happens()
            logs.read_bodies()
        walks.append(walk)
    logs.get_each()
    for walk in walks:
        logs.finish(walk)


# -- what the walks above would rarely meet -------------------------------------------------------------------------


@pytest.fixture
def connection(shared_engine: Engine) -> Iterator[Connection]:
    connection = shared_engine.connect(write=True)
    yield connection
    connection.close()


def _log(connection: Connection, drafts: Sequence[EventDraft], related: Sequence[str] = ()) -> Scope:
    """Make one log: events of a caller's, then internal ones about `a`, each with one related entity; all indexed."""
    preparer = Preparer()
    with connection.transaction(START_OF_TIME, write=True) as tx:
        scope = open_log(tx)
        if drafts:
            store.append(tx, scope, [preparer.prepare(draft, scope.actor) for draft in drafts])
        for id in related:
            entities = (RelatedEntity(id, "Device"),)
            record(tx, scope, CLOCK_BEHIND, "a", lambda _: CLOCK_BEHIND.sample, related=entities)
        for follower in store.FOLLOWERS:
            store.index_next(tx, scope, follower, 10_000)
    return scope


def _page(connection: Connection, scope: Scope, limit: int, **query: Any) -> Page:
    with connection.transaction(START_OF_TIME, write=False) as tx:
        return list_page(tx, scope, EventQuery(since=0, until=None, **query), limit, None)


@pytest.mark.parametrize("ascending", [False, True], ids=["desc", "asc"])
def test_events_that_fit_a_filter_twice_take_no_others_place(connection: Connection, ascending: bool) -> None:
    scope = _log(connection, [], ["a", "b", "a", "b", "c"])
    page = _page(connection, scope, 5, related_ids=("a", "b", "c"), ascending=ascending)
    assert [event.seq for event in page.events] == (list(range(5)) if ascending else list(range(4, -1, -1)))


@pytest.mark.parametrize("time_field", ["recordedAt", "occurredAt"])
@pytest.mark.parametrize("ascending", [False, True], ids=["desc", "asc"])
@pytest.mark.parametrize("filters", [{}, {"codes": (1, 2)}], ids=["all", "filtered"])
def test_page_that_holds_the_last_event_says_that_it_is_the_last(
    connection: Connection, time_field: Any, ascending: bool, filters: dict[str, Any]
) -> None:
    scope = _log(connection, [EventDraft(code=1 + n % 2, occurred_at=START_OF_TIME + n) for n in range(10)])
    query = {"time_field": time_field, "ascending": ascending, **filters}
    with connection.transaction(START_OF_TIME, write=False) as tx:
        # With an end given, an ascending listing ends too.
        asked = EventQuery(since=0, until=START_OF_TIME + 1000, **query)
        pages = [list_page(tx, scope, asked, limit, None) for limit in (9, 10, 11)]
    assert [(len(page.events), page.cursor is None) for page in pages] == [(9, False), (10, True), (10, True)]


@pytest.mark.parametrize("time_field", ["recordedAt", "occurredAt"])
def test_every_filter_at_once_may_list_fifty_values(connection: Connection, time_field: Any) -> None:
    texts = tuple(f"{number:032}" for number in range(50))
    events = [
        EventDraft(type=texts[n], code=n, criticality=n % 6, target_type=texts[n], target_id=texts[n], occurred_at=n)
        for n in range(50)
    ]
    scope = _log(connection, events)
    filters: dict[str, Any] = {name: texts for name in ("types", "target_types", "target_ids", "related_ids")}
    filters |= {"codes": tuple(range(50)), "criticalities": (0, 1, 2, 3, 4, 5), "time_field": time_field}
    assert [event.seq for event in _page(connection, scope, 100, **filters).events] == list(range(49, -1, -1))
    assert _page(connection, scope, 100, **filters, actor_uids=texts).events == []


def test_thousand_events_fit_on_one_page(connection: Connection) -> None:
    scope = _log(connection, [EventDraft(code=n) for n in range(1001)])
    page = _page(connection, scope, 1000)
    assert [event.seq for event in page.events] == list(range(1000, 0, -1))
    assert page.cursor is not None
