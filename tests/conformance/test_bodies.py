"""Bodies alone: from the list of flat events, from a cache where nothing has happened since, by plans that hold."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from heliograph.access_codes.events import UNMANAGED_CREATED
from heliograph.eventlog import bodies, store
from heliograph.eventlog.bodies import BodyCache, list_bodies, list_cached
from heliograph.eventlog.events import CLOCK_BEHIND
from heliograph.eventlog.filters import EntityFilter, EventQuery
from heliograph.eventlog.model import EventDraft
from heliograph.publish import Preparer, record
from heliograph.storage import migrate
from heliograph.storage.postgres import PostgresTransaction
from heliograph.storage.sqlite import SqliteTransaction
from tests.conformance.stores import START_OF_TIME, engine_of, open_log

if TYPE_CHECKING:
    from collections.abc import Iterator

    from heliograph.eventlog.bodies import Bodies
    from heliograph.publish import Stamp
    from heliograph.storage.engine import Connection, Engine, Row, Transaction
    from heliograph.tenancy.model import Scope
    from tests.conftest import StoreUrl

FLAT = EventQuery(since=0, until=None, ascending=True, flat=True)
OF_A = EventQuery(since=0, until=None, ascending=True, flat=True, entities=(EntityFilter("AccessCode", ("a",)),))
PREPARER = Preparer()


@pytest.fixture
def connection(shared_engine: Engine) -> Iterator[Connection]:
    connection = shared_engine.connect(write=True)
    yield connection
    connection.close()


def _named(name: str, stamp: Stamp) -> str:
    del stamp
    return name


def _happen(tx: Transaction, scope: Scope, *names: str) -> None:
    """Record one flat event for each name, between an event of a caller's and one of the platform's."""
    for name in names:
        store.append(tx, scope, [PREPARER.prepare(EventDraft(target_type="AccessCode", target_id=name), scope.actor)])
        record(tx, scope, UNMANAGED_CREATED, name, partial(_named, name))
        record(tx, scope, CLOCK_BEHIND, name, lambda _: {})


def _index(tx: Transaction, scope: Scope, limit: int = 100_000) -> None:
    for follower in store.FOLLOWERS:
        store.index_next(tx, scope, follower, limit)


def _all(tx: Transaction, scope: Scope, query: EventQuery, limit: int) -> list[bytes]:
    head = store.head_of(tx, scope)
    page = list_bodies(tx, scope, query, limit, None, head)
    found = list(page.payloads)
    while page.rest is not None:
        page = list_bodies(tx, scope, query, limit, page.rest, head)
        found += page.payloads
    return found


@pytest.mark.parametrize("indexed", [0, 4, 5, 100])
@pytest.mark.parametrize("limit", [1, 2, 3, 50])
@pytest.mark.parametrize("ascending", [False, True], ids=["desc", "asc"])
def test_every_flat_body_is_listed_once_in_order_wherever_the_index_ends(
    connection: Connection, indexed: int, limit: int, ascending: bool
) -> None:
    names = ["a", "b", "c", "a"]
    with connection.transaction(START_OF_TIME, write=True) as tx:
        scope = open_log(tx)
        _happen(tx, scope, *names)
        if indexed:
            _index(tx, scope, indexed)
        query = EventQuery(since=0, until=None, ascending=ascending, flat=True)
        in_order = names if ascending else names[::-1]
        assert _all(tx, scope, query, limit) == [b'"%s"' % name.encode() for name in in_order]
        assert _all(tx, scope, OF_A, limit) == [b'"a"', b'"a"']


def test_only_flat_events_have_rows_in_their_list(connection: Connection) -> None:
    with connection.transaction(START_OF_TIME, write=True) as tx:
        scope = open_log(tx)
        _happen(tx, scope, "a", "b")
        _index(tx, scope)
        rows = tx.all(
            "select seq from event_facet where tenant_id = :tenant_id and facet = :facet order by seq",
            tenant_id=scope.tenant_id, facet=store.FACETS["flat"],
        )  # fmt: skip
    assert rows == [(1,), (4,)]


@pytest.mark.parametrize("query", [FLAT, OF_A], ids=["flat", "of an entity"])
def test_erased_body_is_passed_over(connection: Connection, query: EventQuery) -> None:
    with connection.transaction(START_OF_TIME, write=True) as tx:
        scope = open_log(tx)
        _happen(tx, scope, "a", "a", "a")
        _index(tx, scope)
        tx.run("delete from payload where tenant_id = :tenant_id and seq = 4", tenant_id=scope.tenant_id)
        for limit in (1, 2, 3):
            assert _all(tx, scope, query, limit) == [b'"a"', b'"a"']


# -- the cache ------------------------------------------------------------------------------------------------------


class Reads:
    """A log, a cache, and how often a page had to be read from the log."""

    def __init__(self, tx: Transaction, patch: pytest.MonkeyPatch) -> None:
        self.tx = tx
        self.cache = BodyCache(2**20)
        self.from_log = 0

        def counted(*given: Any) -> Bodies:
            self.from_log += 1
            return list_bodies(*given)

        patch.setattr(bodies, "list_bodies", counted)

    def read(self, scope: Scope, query: EventQuery = FLAT, limit: int = 10, rest: Any = None) -> tuple[bytes, ...]:
        return list_cached(self.tx, self.cache, scope, query, limit, rest).payloads


@pytest.fixture
def reads(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> Iterator[Reads]:
    with connection.transaction(START_OF_TIME, write=True) as tx:
        yield Reads(tx, monkeypatch)


def test_same_question_is_read_once_until_anything_happens(reads: Reads) -> None:
    scope = open_log(reads.tx)
    _happen(reads.tx, scope, "a")
    assert [reads.read(scope), reads.read(scope), reads.from_log] == [(b'"a"',), (b'"a"',), 1]
    _happen(reads.tx, scope, "b")
    assert [reads.read(scope), reads.read(scope), reads.from_log] == [(b'"a"', b'"b"'), (b'"a"', b'"b"'), 2]
    _index(reads.tx, scope)
    assert [reads.read(scope), reads.from_log] == [(b'"a"', b'"b"'), 2]


def test_tenants_whose_logs_are_as_long_are_never_shown_each_others(reads: Reads) -> None:
    scopes = [open_log(reads.tx) for _ in range(3)]
    for scope, name in zip(scopes, "abc", strict=True):
        _happen(reads.tx, scope, name)
    for _ in range(2):
        assert [reads.read(scope) for scope in scopes] == [(b'"a"',), (b'"b"',), (b'"c"',)]
    assert reads.from_log == 3


def test_every_part_of_a_question_tells_pages_apart(reads: Reads) -> None:
    scope = open_log(reads.tx)
    _happen(reads.tx, scope, "a", "b")
    whole = reads.read(scope)
    rest = list_cached(reads.tx, reads.cache, scope, FLAT, 1, None).rest
    asked = [
        reads.read(scope, limit=1),
        reads.read(scope, limit=1, rest=rest),
        reads.read(scope, OF_A),
        reads.read(scope, EventQuery(since=0, until=None, flat=True)),
        reads.read(scope, EventQuery(since=2**61, until=None, ascending=True, flat=True)),
        reads.read(scope, EventQuery(since=0, until=1, ascending=True, flat=True)),
        reads.read(scope, EventQuery(since=0, until=None, ascending=True, types=("never",))),
    ]
    assert [whole, *asked] == [
        (b'"a"', b'"b"'), (b'"a"',), (b'"b"',), (b'"a"',), (b'"b"', b'"a"'), (), (), ()
    ]  # fmt: skip


# -- plans ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("analysed", [False, True], ids=["without statistics", "with statistics"])
@pytest.mark.parametrize("query", [FLAT, OF_A], ids=["flat", "of an entity"])
def test_no_table_is_read_from_end_to_end_for_a_page(
    connection: Connection, query: EventQuery, analysed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    with connection.transaction(START_OF_TIME, write=True) as tx:
        scope = open_log(tx)
        drafts = [EventDraft(target_type="AccessCode", target_id=f"{n % 50}", payload=bytes(500)) for n in range(3_000)]
        store.append(tx, scope, [PREPARER.prepare(draft, scope.actor) for draft in drafts])
        _happen(tx, scope, "a", *(f"{n % 50}" for n in range(300)))
        _index(tx, scope)
        # PostgreSQL gathers statistics by itself, and plans by them alone.
        if analysed or tx.dialect == "postgres":
            for table in ("event", "payload", "event_facet", "follower", "head"):
                tx.run(f"analyze {table}")
        assert [plan for plan in _plans(tx, scope, query, monkeypatch) if _reads_all(plan)] == []


def _plans(tx: Transaction, scope: Scope, query: EventQuery, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    statements: dict[str, dict[str, Any]] = {}
    with monkeypatch.context() as patch:
        for transaction in (SqliteTransaction, PostgresTransaction):
            execute = transaction.all

            def noted(self: Any, sql: str, *, execute: Any = execute, **values: Any) -> list[Row]:
                statements[sql] = values
                rows: list[Row] = execute(self, sql, **values)
                return rows

            patch.setattr(transaction, "all", noted)
        assert list_bodies(tx, scope, query, 20, None, store.head_of(tx, scope)).payloads
    assert len(statements) >= 3
    explain = "explain query plan" if tx.dialect == "sqlite" else "explain"
    return [[str(row[-1]) for row in tx.all(f"{explain} {sql}", **values)] for sql, values in statements.items()]


def _reads_all(plan: list[str]) -> bool:
    """Tell whether rows of a table are read that nothing but its tenant leads to; a tenant has few followers."""
    scans = [line for line in plan if line.startswith("SCAN ") and "json_each" not in line and "SCAN p" not in line]
    return bool(scans) or any("Seq Scan" in line and " on follower" not in line for line in plan)


# -- logs from before the list --------------------------------------------------------------------------------------


def test_flat_events_from_before_they_had_a_list_are_found_before_and_after_it_is_written(
    store_url: StoreUrl, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = engine_of(store_url)
    steps = migrate.migrations()
    list_them = next(step for step in steps if "flat" in step.name)
    others = [step for step in steps if step is not list_them]
    with monkeypatch.context() as patch:
        patch.setattr(migrate, "migrations", lambda: others)
        migrate.migrate(engine, START_OF_TIME)
        patch.setattr(store, "FOLLOWERS", tuple(name for name in store.FOLLOWERS if name != "flat"))
        connection = engine.connect(write=True)
        with connection.transaction(START_OF_TIME, write=True) as tx:
            scope = open_log(tx)
            _happen(tx, scope, "a", "b")
            _index(tx, scope)
        # As if it came last, for today's code needs whatever came after it.
        last = replace(list_them, number=others[-1].number + 1)
        patch.setattr(migrate, "migrations", lambda: [*others, last])
        migrate.migrate(engine, START_OF_TIME)
    with connection.transaction(START_OF_TIME, write=True) as tx:
        assert _all(tx, scope, FLAT, 5) == [b'"a"', b'"b"']
        assert store.index_next(tx, scope, "flat", 2) == store.head_of(tx, scope) - 2
        assert _all(tx, scope, FLAT, 5) == [b'"a"', b'"b"']
        _index(tx, scope)
        assert _all(tx, scope, FLAT, 5) == [b'"a"', b'"b"']
    connection.close()
    engine.close()
