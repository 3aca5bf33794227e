"""The database goes away, or refuses: callers are told to come back, and the store works again by itself."""

from __future__ import annotations

from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg import sql

from heliograph.errors import Unavailable
from heliograph.eventlog import store as log
from heliograph.eventlog.model import EventDraft
from heliograph.publish import Preparer, Submission, ingest
from heliograph.storage import migrate
from heliograph.storage.engine import Table
from heliograph.storage.postgres import PostgresEngine
from heliograph.storage.sqlite import SqliteEngine
from heliograph.tenancy.access import SYSTEM
from tests.conformance.stores import (
    PATIENCE,
    START_OF_TIME,
    Gate,
    Waiters,
    open_logs,
    queue,
    store_on,
    whole_log,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from heliograph.storage.engine import Transaction
    from heliograph.storage.store import Store
    from heliograph.tenancy.model import Scope

PREPARER = Preparer()


def _append(scope: Scope, code: int) -> Callable[[Transaction], int]:
    event = PREPARER.prepare(EventDraft(code=code), SYSTEM)
    return lambda tx: log.append(tx, scope, [event]).seq


def _codes(store: Store, scope: Scope) -> list[int | None]:
    return [event.envelope.event_code for event in whole_log(store, scope)]


# -- PostgreSQL -----------------------------------------------------------------------------------------------------


class Administrator:
    """Somebody with a connection of their own, who ends others' and makes databases read-only."""

    def __init__(self, dsn: str) -> None:
        self._name = str(psycopg.conninfo.conninfo_to_dict(dsn)["dbname"])
        self._dsn = dsn.replace(f"/{self._name}?", "/postgres?")

    def cut(self) -> None:
        """End every connection to the database, and wait until they are gone."""
        self._execute(
            sql.SQL("select pg_terminate_backend(pid, 10000) from pg_stat_activity where datname = {}").format(
                sql.Literal(self._name)
            )
        )

    def set_read_only(self, word: str) -> None:
        """Decide what new connections may do."""
        self._execute(
            sql.SQL("alter database {} set default_transaction_read_only = {}").format(
                sql.Identifier(self._name), sql.SQL(word)
            )
        )

    def _execute(self, statement: sql.Composed) -> None:
        with psycopg.connect(self._dsn, autocommit=True) as connection:
            connection.execute(statement)


@pytest.fixture
def administrator(postgres_dsn: str) -> Administrator:
    return Administrator(postgres_dsn)


@pytest.fixture
def postgres(postgres_dsn: str) -> Iterator[Store]:
    engine = PostgresEngine(postgres_dsn)
    migrate.migrate(engine, START_OF_TIME)
    store = store_on(engine)
    yield store
    store.close()


def test_reader_whose_idle_connection_was_cut_takes_a_new_one(postgres: Store, administrator: Administrator) -> None:
    (scope,) = open_logs(postgres)
    for _ in range(2):
        assert postgres.read(lambda tx: log.head_of(tx, scope)) == 0
        administrator.cut()


def test_reader_cut_off_every_time_says_so_and_recovers(postgres: Store, administrator: Administrator) -> None:
    (scope,) = open_logs(postgres)

    def read(tx: Transaction) -> int:
        log.head_of(tx, scope)
        administrator.cut()
        return log.head_of(tx, scope)

    for _ in range(2):
        with pytest.raises(Unavailable):
            postgres.read(read)
    assert postgres.read(lambda tx: log.head_of(tx, scope)) == 0


def test_writer_whose_idle_connection_was_cut_takes_a_new_one(postgres: Store, administrator: Administrator) -> None:
    (scope,) = open_logs(postgres)
    for seq in range(2 * postgres.engine.parallel_writers):
        assert postgres.execute(_append(scope, seq), [scope.tenant_id]) == seq
        administrator.cut()
    assert _codes(postgres, scope) == list(range(2 * postgres.engine.parallel_writers))


def test_group_cut_off_at_its_commit_is_not_run_again(postgres_dsn: str, administrator: Administrator) -> None:
    """Whether such a commit arrived cannot be known; to run it again might store it twice."""
    engine = PostgresEngine(postgres_dsn)
    migrate.migrate(engine, START_OF_TIME)
    runs: list[int] = []

    def cut_after_writing(tx: Transaction, tenant_id: int, items: Sequence[Any]) -> list[Any]:
        runs.append(tenant_id)
        answers: list[Any] = ingest(tx, tenant_id, items)
        administrator.cut()
        return answers

    store = store_on(engine, append=cut_after_writing)
    scopes = open_logs(store, engine.parallel_writers)
    waiters = Waiters()
    # Every writer gets a connection to keep.
    gates = [Gate(store, waiters, [scope.tenant_id]) for scope in scopes]
    for gate in gates:
        gate.open()
        gate.passed.result(PATIENCE)
    scope = scopes[0]
    event = PREPARER.prepare(EventDraft(code=90), SYSTEM)
    future: Future[Any] = Future()
    store.append(scope.tenant_id, Submission(scope, [event], lambda _: b""), future, waiters)
    assert isinstance(future.exception(PATIENCE), Unavailable)
    assert (runs, _codes(store, scope)) == ([scope.tenant_id], [])
    store.close()


def test_writer_cut_off_in_the_middle_keeps_nothing_of_its_group(postgres: Store, administrator: Administrator) -> None:
    (scope,) = open_logs(postgres)
    waiters = Waiters()

    def cut(tx: Transaction) -> None:
        _append(scope, 90)(tx)
        administrator.cut()
        _append(scope, 91)(tx)

    gate = Gate(postgres, waiters, [scope.tenant_id])
    kept = queue(postgres, waiters, _append(scope, 92), [scope.tenant_id])
    failed = queue(postgres, waiters, cut, [scope.tenant_id])
    gate.open()
    assert isinstance(failed.exception(PATIENCE), Unavailable)
    assert isinstance(kept.exception(PATIENCE), Unavailable)
    assert postgres.execute(_append(scope, 1), [scope.tenant_id]) == 0
    assert _codes(postgres, scope) == [1]


def test_database_that_became_read_only_can_be_read_and_later_written(
    postgres: Store, administrator: Administrator
) -> None:
    (scope,) = open_logs(postgres)
    administrator.set_read_only("on")
    administrator.cut()
    for _ in range(2 * postgres.engine.parallel_writers):
        with pytest.raises(Unavailable):
            postgres.execute(_append(scope, 90), [scope.tenant_id])
    with pytest.raises(Unavailable):
        postgres.execute(lambda tx: log.open_log(tx, scope))
    assert _codes(postgres, scope) == []
    administrator.set_read_only("off")
    administrator.cut()
    assert postgres.execute(_append(scope, 1), [scope.tenant_id]) == 0
    assert _codes(postgres, scope) == [1]


def test_server_that_cannot_be_reached_is_an_outage_for_everybody(tmp_path: Path) -> None:
    store = store_on(PostgresEngine(f"postgresql:///nowhere?host={tmp_path}"))
    with pytest.raises(Unavailable):
        store.execute(lambda tx: tx.one("select 1"))
    with pytest.raises(Unavailable):
        store.read(lambda tx: tx.one("select 1"))
    store.close()


# -- SQLite ---------------------------------------------------------------------------------------------------------

FILLER = Table("payload", {"tenant_id": "bigint", "seq": "bigint", "salt": "bytes", "content": "bytes"})


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[Store]:
    engine = SqliteEngine(tmp_path / "heliograph.db", "NORMAL")
    migrate.migrate(engine, START_OF_TIME)
    store = store_on(engine)
    yield store
    store.close()


def _fill(tx: Transaction) -> None:
    """Write more than fits once the file may not grow any more."""
    pages = tx.one("pragma page_count")
    assert pages is not None
    tx.one(f"pragma max_page_count = {pages[0] + 10}")
    for number in range(100):
        tx.insert(FILLER, [(99, number, b"", bytes(100_000))])


def test_full_disk_undoes_the_whole_group_and_writing_goes_on_once_there_is_room(sqlite: Store) -> None:
    (scope,) = open_logs(sqlite)
    waiters = Waiters()
    gate = Gate(sqlite, waiters, [scope.tenant_id])
    first = queue(sqlite, waiters, _append(scope, 90), [scope.tenant_id])
    full = queue(sqlite, waiters, _fill, [scope.tenant_id])
    last = queue(sqlite, waiters, _append(scope, 91), [scope.tenant_id])
    gate.open()
    assert [type(future.exception(PATIENCE)) for future in (first, full, last)] == [Unavailable] * 3
    assert _codes(sqlite, scope) == []
    assert sqlite.read(lambda tx: tx.one("select count(*) from payload")) == (0,)
    assert sqlite.execute(_append(scope, 1), [scope.tenant_id]) == 0
    assert _codes(sqlite, scope) == [1]


def test_file_that_another_program_has_locked_is_an_outage_until_it_lets_go(
    sqlite: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("heliograph.storage.sqlite.BUSY_MILLISECONDS", 1)
    (scope,) = open_logs(sqlite)
    stranger = SqliteEngine(tmp_path / "heliograph.db", "NORMAL").connect(write=True)
    other = store_on(SqliteEngine(tmp_path / "heliograph.db", "NORMAL"))
    with stranger.transaction(START_OF_TIME, write=True), pytest.raises(Unavailable):
        other.execute(_append(scope, 90))
    assert other.execute(_append(scope, 1)) == 0
    other.close()
    stranger.close()
