"""No page of a listing reads a table from end to end, with or without statistics, whatever is asked."""

from __future__ import annotations

from itertools import combinations
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from heliograph.eventlog import store
from heliograph.eventlog.bodies import list_bodies
from heliograph.eventlog.filters import EventQuery
from heliograph.eventlog.paging import get_event, list_page
from heliograph.ids import new_uid
from heliograph.storage import migrate
from heliograph.storage.sqlite import SqliteEngine, SqliteTransaction
from tests.conformance.logs import FILTERS, Logs
from tests.conformance.stores import START_OF_TIME, over

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from heliograph.storage.engine import Connection, Row

    Statements = dict[str, dict[str, Any]]

HARMLESS_SORTS = (
    # Each part of a filter with several values brings a page's worth of rows at most.
    ") p1 order by 1 ",
    ") p2 order by 1 ",
    ") p3 order by 1 ",
    ") p5 order by 1 ",
    # By occurredAt: a filter so rare that what it finds is gathered whole, and the tail that no index knows yet.
    " join event e on e.tenant_id = :tenant_id and e.seq = d.seq",
    " and seq >= :from_seq and seq < :to_seq",
)


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[Connection]:
    engine = SqliteEngine(tmp_path / "heliograph.db", "NORMAL")
    migrate.migrate(engine, START_OF_TIME)
    connection = engine.connect(write=True)
    yield connection
    connection.close()


@pytest.fixture
def logs(connection: Connection) -> Logs:
    """Logs of three tenants, long enough for a planner to be tempted."""
    logs = Logs(Random(1), connection, connection, analysed=False)
    for _ in range(3):
        logs.join()
    for _ in range(60):
        logs.publish(40)
        logs.record()
    return logs


@pytest.fixture
def statements(connection: Connection, logs: Logs, monkeypatch: pytest.MonkeyPatch) -> Statements:
    """All statements that pages are made of, with values, in every state of the index."""
    found: Statements = {}
    execute = SqliteTransaction.all

    def noted(self: SqliteTransaction, sql: str, **values: Any) -> list[Row]:
        found[sql] = values
        return execute(self, sql, **values)

    def list_everything() -> None:
        with monkeypatch.context() as patch:
            patch.setattr(SqliteTransaction, "all", noted)
            patch.setattr(SqliteTransaction, "one", lambda *call, **values: next(iter(noted(*call, **values)), None))
            _list_everything(connection, logs)

    list_everything()
    _index(connection, logs, 300)
    list_everything()
    monkeypatch.setattr("heliograph.eventlog.query.SCAN_BUDGET", 10)
    list_everything()
    return found


def _index(connection: Connection, logs: Logs, limit: int) -> None:
    with connection.transaction(START_OF_TIME, write=True) as tx:
        for scope in logs.scopes:
            for follower in store.FOLLOWERS:
                store.index_next(tx, scope, follower, limit)


def _list_everything(connection: Connection, logs: Logs) -> None:
    names = [(), *((name,) for name in FILTERS), *combinations(FILTERS, 2)]
    with connection.transaction(START_OF_TIME, write=False) as tx:
        for chosen in names:
            for ascending in (False, True):
                for values in (1, 2):
                    filters = {name: FILTERS[name][:values] for name in chosen}
                    _list_both_ways(tx, logs, ascending, filters)
                    _list_both_ways(tx, logs, ascending, filters | {"flat": True})
        get_event(tx, logs.scopes[0], new_uid())


def _list_both_ways(tx: Any, logs: Logs, ascending: bool, filters: dict[str, Any]) -> None:
    by_log = EventQuery(since=START_OF_TIME, until=START_OF_TIME + 500, ascending=ascending, **filters)
    by_source = EventQuery(since=0, until=None, time_field="occurredAt", ascending=ascending, **filters)
    for query in (by_log, by_source):
        scope = over(logs.scopes)
        page = list_page(tx, scope, query, 5, None)
        if page.cursor:
            list_page(tx, scope, query, 5, page.cursor)
    scope = logs.scopes[0]
    bodies = list_bodies(tx, scope, by_log, 5, None, store.head_of(tx, scope))
    if bodies.rest:
        list_bodies(tx, scope, by_log, 5, bodies.rest, 0)


def _plans(connection: Connection, statements: Statements) -> dict[str, list[str]]:
    with connection.transaction(START_OF_TIME, write=False) as tx:
        return {
            sql: [row[3] for row in tx.all(f"explain query plan {sql}", **values)] for sql, values in statements.items()
        }


def _scans(plan: list[str]) -> list[str]:
    """Return what is read from end to end, the results of inner selects and lists among the values left out."""
    inner = {line.removeprefix("CO-ROUTINE ") for line in plan if line.startswith("CO-ROUTINE ")} | {"CONSTANT ROW"}
    if "RECURSIVE STEP" in plan:
        inner.add("s")
    given = "SCAN json_each VIRTUAL TABLE"
    read = [line for line in plan if line.startswith("SCAN ") and not line.startswith(given)]
    return [line for line in read if line.removeprefix("SCAN ") not in inner]


def _sorts(sql: str, plan: list[str]) -> bool:
    return any("TEMP B-TREE" in line for line in plan) and not any(text in sql for text in HARMLESS_SORTS)


@pytest.mark.parametrize("analysed", [False, True], ids=["without statistics", "with statistics"])
def test_no_page_reads_a_whole_table_or_sorts_one(
    connection: Connection, logs: Logs, statements: Statements, analysed: bool
) -> None:
    assert len(statements) > 100
    if analysed:
        logs.analyse()
    plans = _plans(connection, statements)
    assert {sql: plan for sql, plan in plans.items() if _scans(plan)} == {}
    assert {sql: plan for sql, plan in plans.items() if _sorts(sql, plan)} == {}
    assert {sql: plan for sql, plan in plans.items() if any("AUTOMATIC" in line for line in plan)} == {}


def test_statistics_change_no_access_path(connection: Connection, logs: Logs, statements: Statements) -> None:
    before = _plans(connection, statements)
    logs.analyse()
    after = _plans(connection, statements)
    # Of two look-ups by a whole key, for one row of the leading list, either may come first.
    assert {sql: sorted(plan) for sql, plan in after.items()} == {sql: sorted(plan) for sql, plan in before.items()}
    assert {sql: _first_access(plan) for sql, plan in after.items()} == {
        sql: _first_access(plan) for sql, plan in before.items()
    }


def _first_access(plan: list[str]) -> str:
    return next(line for line in plan if line.startswith(("SEARCH ", "SCAN ")))


def test_whole_scan_and_sort_would_be_noticed(connection: Connection, logs: Logs) -> None:
    del logs
    unbounded: Statements = {"select seq from event order by recorded_at": {}, "select count(*) from payload": {}}
    plans = _plans(connection, unbounded)
    assert [bool(_scans(plan)) for plan in plans.values()] == [True, True]
    assert [_sorts(sql, plan) for sql, plan in plans.items()] == [True, False]
