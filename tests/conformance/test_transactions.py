"""A transaction keeps its contract on both databases: all or nothing, parts undone alone, one SQL text."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from heliograph.storage.engine import Table
from tests.conformance.stores import START_OF_TIME

if TYPE_CHECKING:
    from collections.abc import Iterator

    from heliograph.storage.engine import Connection, Engine, Transaction

NOTE = Table("note", {"id": "bigint", "word": "text", "data": "bytes"})


class _Undo(Exception):
    pass


class _Undone:
    """A block that must end by `_Undo`."""

    def __enter__(self) -> None: ...

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> bool:
        return kind is _Undo


@pytest.fixture
def engine(shared_engine: Engine) -> Engine:
    return shared_engine


@pytest.fixture
def writer(connection: Connection, engine: Engine) -> Iterator[Connection]:
    """A writing connection, and an empty table to scribble in."""
    kind = "blob" if engine.dialect == "sqlite" else "bytea"
    with connection.transaction(START_OF_TIME, write=True) as tx:
        tx.run(f"create table note (id bigint primary key, word text, data {kind})")
    yield connection
    with connection.transaction(START_OF_TIME, write=True) as tx:
        tx.run("drop table note")


@pytest.fixture
def reader(engine: Engine) -> Iterator[Connection]:
    connection = engine.connect(write=False)
    yield connection
    connection.close()


def _note(tx: Transaction, number: int) -> None:
    tx.run("insert into note (id, word) values (:id, :word)", id=number, word="w")


def _ids(connection: Connection) -> list[int]:
    with connection.transaction(START_OF_TIME, write=False) as tx:
        return [row[0] for row in tx.all("select id from note order by id")]


def test_transaction_knows_its_dialect_and_its_time(writer: Connection, engine: Engine) -> None:
    with writer.transaction(42, write=True) as tx:
        assert (tx.now, tx.dialect) == (42, engine.dialect)


def test_committed_rows_are_seen_by_another_connection(writer: Connection, reader: Connection) -> None:
    with writer.transaction(START_OF_TIME, write=True) as tx:
        _note(tx, 1)
        assert _ids(reader) == []
    assert _ids(reader) == [1]


def test_nothing_is_kept_when_the_block_raises(writer: Connection, reader: Connection) -> None:
    with _Undone(), writer.transaction(START_OF_TIME, write=True) as tx:
        _note(tx, 1)
        raise _Undo
    assert _ids(reader) == []
    with writer.transaction(START_OF_TIME, write=True) as tx:
        _note(tx, 2)
    assert _ids(reader) == [2]


def test_read_transaction_keeps_its_snapshot_while_others_commit(writer: Connection, reader: Connection) -> None:
    with reader.transaction(START_OF_TIME, write=False) as tx:
        assert tx.one("select count(*) from note") == (0,)
        with writer.transaction(START_OF_TIME, write=True) as other:
            _note(other, 1)
        assert tx.one("select count(*) from note") == (0,)
    assert _ids(reader) == [1]


def test_reading_connection_refuses_to_write(writer: Connection, reader: Connection) -> None:
    with pytest.raises(Exception, match=r"read-?only"), reader.transaction(START_OF_TIME, write=False) as tx:
        _note(tx, 1)
    assert _ids(reader) == []


def test_run_tells_how_many_rows_it_changed(writer: Connection) -> None:
    with writer.transaction(START_OF_TIME, write=True) as tx:
        _note(tx, 1)
        _note(tx, 2)
        assert tx.run("update note set word = :word", word="x") == 2
        assert tx.run("delete from note where id = :id", id=3) == 0


def test_one_returns_the_first_row_or_none(writer: Connection) -> None:
    with writer.transaction(START_OF_TIME, write=True) as tx:
        assert tx.one("select id from note") is None
        _note(tx, 1)
        _note(tx, 2)
        assert tx.one("select id, word from note order by id") == (1, "w")


# -- savepoints -----------------------------------------------------------------------------------------------------


def test_savepoint_is_undone_alone_when_it_raises(writer: Connection) -> None:
    with writer.transaction(START_OF_TIME, write=True) as tx:
        _note(tx, 1)
        with _Undone(), tx.savepoint():
            _note(tx, 2)
            raise _Undo
        _note(tx, 3)
    assert _ids(writer) == [1, 3]


def test_savepoint_is_undone_with_its_transaction_when_that_raises_later(writer: Connection) -> None:
    with _Undone(), writer.transaction(START_OF_TIME, write=True) as tx:
        with tx.savepoint():
            _note(tx, 1)
        raise _Undo
    assert _ids(writer) == []


def test_savepoint_is_not_durable_before_its_transaction_is(writer: Connection, reader: Connection) -> None:
    with writer.transaction(START_OF_TIME, write=True) as tx:
        with tx.savepoint():
            _note(tx, 1)
        assert _ids(reader) == []
    assert _ids(reader) == [1]


def test_inner_savepoint_is_undone_with_the_outer_one(writer: Connection) -> None:
    with writer.transaction(START_OF_TIME, write=True) as tx:
        with _Undone(), tx.savepoint():
            with tx.savepoint():
                _note(tx, 1)
            raise _Undo
        with tx.savepoint():
            with _Undone(), tx.savepoint():
                _note(tx, 2)
                raise _Undo
            _note(tx, 3)
    assert _ids(writer) == [3]


def test_transaction_goes_on_after_a_statement_failed_inside_a_savepoint(writer: Connection) -> None:
    with writer.transaction(START_OF_TIME, write=True) as tx:
        _note(tx, 1)
        with pytest.raises(Exception, match=r"(?i)unique"), tx.savepoint():
            _note(tx, 1)
        _note(tx, 2)
    assert _ids(writer) == [1, 2]


# -- effects --------------------------------------------------------------------------------------------------------


def test_effects_run_in_order_once_the_rows_are_durable(writer: Connection, reader: Connection) -> None:
    seen: list[object] = []
    with writer.transaction(START_OF_TIME, write=True) as tx:
        tx.after_commit(lambda: seen.append(_ids(reader)))
        _note(tx, 1)
        tx.after_commit(lambda: seen.append("second"))
        assert seen == []
    assert seen == [[1], "second"]


def test_effects_never_run_when_the_transaction_is_undone(writer: Connection) -> None:
    seen: list[str] = []
    with _Undone(), writer.transaction(START_OF_TIME, write=True) as tx:
        tx.after_commit(lambda: seen.append("no"))
        raise _Undo
    assert seen == []


def test_effects_of_an_undone_savepoint_never_run(writer: Connection) -> None:
    seen: list[str] = []
    with writer.transaction(START_OF_TIME, write=True) as tx:
        tx.after_commit(lambda: seen.append("before"))
        with _Undone(), tx.savepoint():
            tx.after_commit(lambda: seen.append("undone"))
            with tx.savepoint():
                tx.after_commit(lambda: seen.append("undone with it"))
            raise _Undo
        with tx.savepoint():
            tx.after_commit(lambda: seen.append("kept"))
    assert seen == ["before", "kept"]


def test_effect_that_raises_does_not_make_the_commit_look_failed(writer: Connection) -> None:
    seen: list[str] = []

    def broken() -> None:
        raise _Undo

    with writer.transaction(START_OF_TIME, write=True) as tx:
        _note(tx, 1)
        tx.after_commit(broken)
        tx.after_commit(lambda: seen.append("the next one"))
    assert _ids(writer) == [1]
    assert seen == ["the next one"]


# -- many rows, one text --------------------------------------------------------------------------------------------


def test_insert_keeps_every_value_of_many_rows(writer: Connection) -> None:
    rows = [
        (0, None, None),
        (1, "", b""),
        (2, "%s %% :id {} \\ ' \" , NULL null", bytes(range(256))),
        (-(2**63), "ünï\U0001f600", b"\\x00"),
        (2**63 - 1, "x" * 70_000, bytes(70_000)),
        *((number, str(number), str(number).encode()) for number in range(10, 3000)),
    ]
    with writer.transaction(START_OF_TIME, write=True) as tx:
        tx.insert(NOTE, rows)
    with writer.transaction(START_OF_TIME, write=False) as tx:
        assert sorted(tx.all("select id, word, data from note")) == sorted(rows)


def test_insert_of_rows_that_are_null_throughout_keeps_the_column_types(writer: Connection) -> None:
    with writer.transaction(START_OF_TIME, write=True) as tx:
        tx.insert(NOTE, [(1, None, None), (2, None, None)])
        assert tx.all("select word, data from note") == [(None, None)] * 2


def test_insert_of_no_rows_does_nothing(writer: Connection) -> None:
    with writer.transaction(START_OF_TIME, write=True) as tx:
        tx.insert(NOTE, [])
    assert _ids(writer) == []


def test_text_may_hold_percent_signs_colons_and_casts_beside_names(writer: Connection) -> None:
    with writer.transaction(START_OF_TIME, write=True) as tx:
        row = tx.one(
            "select '100%', '%s', 'a:b', ':', '12:30', ' :id', ':id', 'it''s :id',"
            " cast(:id as bigint) % 4, cast(:word as text) || ':id' || :word where 'heliograph' like '%lio%'",
            id=10, word="w",
        )  # fmt: skip
    assert row == ("100%", "%s", "a:b", ":", "12:30", " :id", ":id", "it's :id", 2, "w:idw")


def test_name_may_be_used_twice_and_begin_like_another(writer: Connection) -> None:
    with writer.transaction(START_OF_TIME, write=True) as tx:
        row = tx.one("select cast(:a as bigint) + :ab + :a_b * cast(:a as bigint) + :a1", a=1, ab=10, a_b=100, a1=1000)
    assert row == (1111,)
