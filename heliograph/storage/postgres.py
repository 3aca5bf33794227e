"""PostgreSQL through psycopg 3: the same functions and SQL text; groups of different tenants commit in parallel."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, Literal

import psycopg
from psycopg import errors

from heliograph.errors import CannotStart
from heliograph.storage.engine import Row, Table, run_effects

FIRST_VERSION = 150000
PARALLEL_WRITERS = 4
_LITERAL_OR_NAME = re.compile(r"('[^']*')|(?<![:\w]):([a-z_]\w*)")
_ARRAY_TYPES = {"bigint": "bigint[]", "text": "text[]", "bytes": "bytea[]"}


class PostgresEngine:
    """An engine over one database address."""

    dialect: Literal["postgres"] = "postgres"
    parallel_writers = PARALLEL_WRITERS

    def __init__(self, url: str) -> None:
        try:
            psycopg.conninfo.conninfo_to_dict(url)
        except psycopg.ProgrammingError:
            # Its message repeats parts of the address, and so perhaps of the password.
            raise CannotStart("The database address is not one of PostgreSQL.") from None
        self._url = url
        self._memory: dict[Any, Any] = {}

    def connect(self, *, write: bool) -> PostgresConnection:
        """Open a connection; readers see one snapshot per transaction."""
        connection = psycopg.connect(
            self._url, application_name="heliograph", connect_timeout=10, client_encoding="UTF8"
        )
        if connection.info.server_version < FIRST_VERSION:
            connection.close()
            raise CannotStart("PostgreSQL 15 or newer is needed.")
        if connection.info.parameter_status("server_encoding") != "UTF8":
            connection.close()
            raise CannotStart(
                "The database must have the encoding UTF8; make one with:"
                " create database heliograph encoding 'UTF8' template template0"
            )
        if not write:
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            connection.read_only = True
        return PostgresConnection(connection, self._memory)

    def is_transient(self, error: BaseException) -> bool:
        """Deadlocks and serialization failures end the transaction, not the work."""
        return isinstance(error, errors.DeadlockDetected | errors.SerializationFailure | errors.LockNotAvailable)

    def is_outage(self, error: BaseException) -> bool:
        """The server is gone, starting, stopping, full or read-only."""
        return isinstance(error, psycopg.OperationalError | psycopg.InterfaceError | errors.ReadOnlySqlTransaction)

    def version(self) -> str:
        """Return "PostgreSQL" and the version of the server that answers."""
        with psycopg.connect(self._url, connect_timeout=10) as connection:
            return f"PostgreSQL {connection.info.parameter_status('server_version')}"

    def close(self) -> None:
        """Nothing is held beside the connections."""


class PostgresConnection:
    """One psycopg connection, used by one thread."""

    def __init__(self, connection: psycopg.Connection[Row], memory: dict[Any, Any]) -> None:
        self._connection = connection
        self._memory = memory

    @contextmanager
    def transaction(self, now: int, *, write: bool) -> Iterator[PostgresTransaction]:
        """Begin, so that a savepoint is never the outermost block, which would commit; commit at the end."""
        del write
        transaction = PostgresTransaction(self._connection, now, self._memory)
        with self._connection.transaction():
            yield transaction
        run_effects(transaction.effects)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


class PostgresTransaction:
    """A transaction on PostgreSQL; see `heliograph.storage.engine.Transaction`."""

    __slots__ = ("_connection", "_cursor", "effects", "inserted", "memory", "now")
    dialect: Literal["postgres"] = "postgres"

    def __init__(self, connection: psycopg.Connection[Row], now: int, memory: dict[Any, Any]) -> None:
        self._connection = connection
        self._cursor = connection.cursor(binary=True)
        self.memory = memory
        self.now = now
        self.inserted = 0
        self.effects: list[Callable[[], None]] = []

    def all(self, sql: str, **values: Any) -> list[Row]:
        """Run a statement and return its rows."""
        return self._execute(sql, values).fetchall()

    def one(self, sql: str, **values: Any) -> Row | None:
        """Run a statement and return its first row, if any."""
        return self._execute(sql, values).fetchone()

    def run(self, sql: str, **values: Any) -> int:
        """Run a statement and return how many rows it changed."""
        return self._execute(sql, values).rowcount

    def insert(self, table: Table, rows: Sequence[Row]) -> None:
        """Insert all rows with one statement over arrays, one array a column."""
        if rows:
            columns = [list(column) for column in zip(*rows, strict=True)]
            self._cursor.execute(_insert_text(table.name, tuple(table.columns.items())), columns)
            self.inserted += len(rows)

    def run_many(self, sql: str, rows: Sequence[dict[str, Any]]) -> list[Row]:
        """Run a statement for each of the rows, all sent at once (libpq's pipeline mode)."""
        if not rows:
            return []
        self._cursor.executemany(_with_percent_names(sql), rows, returning=True)
        return [row for result in self._cursor.results() if result.description for row in result]

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """Open a part that is undone alone when it raises."""
        mark = len(self.effects)
        with self._connection.transaction():
            try:
                yield
            except BaseException:
                del self.effects[mark:]
                raise

    def after_commit(self, effect: Callable[[], None]) -> None:
        """Note an effect for the time after the commit."""
        self.effects.append(effect)

    def _execute(self, sql: str, values: dict[str, Any]) -> psycopg.Cursor[Row]:
        return self._cursor.execute(_with_percent_names(sql), values)


@lru_cache(maxsize=1024)
def _with_percent_names(sql: str) -> bytes:
    return _LITERAL_OR_NAME.sub(lambda match: match[1] or f"%({match[2]})b", sql.replace("%", "%%")).encode()


@lru_cache(maxsize=64)
def _insert_text(table: str, columns: tuple[tuple[str, str], ...]) -> bytes:
    names = ", ".join(name for name, _ in columns)
    arrays = ", ".join(f"%b::{_ARRAY_TYPES[kind]}" for _, kind in columns)
    text = f"insert into {table} ({names}) select * from unnest({arrays})"
    return text.encode()
