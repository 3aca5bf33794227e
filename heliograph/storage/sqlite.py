"""SQLite through apsw, which brings its own SQLite: one writer, many readers, write-ahead log."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import apsw

from heliograph.errors import CannotStart
from heliograph.storage.engine import Row, Table, run_effects

FIRST_SAFE_VERSION = (3, 51, 3)
"""Older SQLite releases can corrupt a write-ahead log that two connections check-point at once."""

PAGE_BYTES = 8192
AUTOCHECKPOINT_PAGES = 1000
CACHE_KIB = 32 * 1024

BUSY_MILLISECONDS = 10_000
"""How long to wait for a foreign process that holds the file."""

_OUTAGES = (
    apsw.FullError, apsw.IOError, apsw.CantOpenError, apsw.ReadOnlyError, apsw.CorruptError, apsw.NotADBError,
)  # fmt: skip


class SqliteEngine:
    """An engine over one database file."""

    dialect: Literal["sqlite"] = "sqlite"
    parallel_writers = 1

    def __init__(self, path: Path, synchronous: str = "FULL") -> None:
        version = tuple(int(part) for part in apsw.sqlite_lib_version().split("."))
        if version < FIRST_SAFE_VERSION:
            raise CannotStart(f"SQLite {apsw.sqlite_lib_version()} is too old; at least 3.51.3 is needed.")
        self._path = path
        self._synchronous = synchronous
        self._memory: dict[Any, Any] = {}

    def connect(self, *, write: bool) -> SqliteConnection:
        """Open a connection; the writer's is the only one that may change the file."""
        connection = apsw.Connection(str(self._path))
        connection.set_busy_timeout(BUSY_MILLISECONDS)
        connection.pragma("page_size", PAGE_BYTES)
        connection.pragma("journal_mode", "wal")
        connection.pragma("synchronous", self._synchronous)
        connection.pragma("wal_autocheckpoint", AUTOCHECKPOINT_PAGES)
        connection.pragma("foreign_keys", 1)
        connection.pragma("cache_size", -CACHE_KIB)
        if not write:
            connection.pragma("query_only", 1)
        return SqliteConnection(connection, self._memory)

    def is_transient(self, error: BaseException) -> bool:
        """With one writer nothing collides; only a foreign process holding the file makes it busy."""
        return isinstance(error, apsw.BusyError)

    def is_outage(self, error: BaseException) -> bool:
        """A full or failing disk, a file that cannot be opened or written, or is no database."""
        return isinstance(error, _OUTAGES)

    def version(self) -> str:
        """Return "SQLite" and the version of the library in use."""
        return f"SQLite {apsw.sqlite_lib_version()}"

    def close(self) -> None:
        """Nothing is held beside the connections."""


class SqliteConnection:
    """One apsw connection, used by one thread."""

    def __init__(self, connection: apsw.Connection, memory: dict[Any, Any]) -> None:
        self._connection = connection
        self._memory = memory

    @contextmanager
    def transaction(self, now: int, *, write: bool) -> Iterator[SqliteTransaction]:
        """Begin at once for writing, or fix one snapshot for reading."""
        connection = self._connection
        transaction = SqliteTransaction(connection, now, self._memory)
        connection.execute("begin immediate" if write else "begin")
        try:
            yield transaction
            connection.execute("commit")
        except BaseException:
            # A full disk may already have ended the transaction by itself.
            if connection.in_transaction:
                connection.execute("rollback")
            raise
        run_effects(transaction.effects)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()


class SqliteTransaction:
    """A transaction on SQLite; see `heliograph.storage.engine.Transaction`."""

    __slots__ = ("_connection", "effects", "inserted", "memory", "now")
    dialect: Literal["sqlite"] = "sqlite"

    def __init__(self, connection: apsw.Connection, now: int, memory: dict[Any, Any]) -> None:
        self._connection = connection
        self.now = now
        self.memory = memory
        self.inserted = 0
        self.effects: list[Callable[[], None]] = []

    def all(self, sql: str, **values: Any) -> list[Row]:
        """Run a statement and return its rows."""
        return self._connection.execute(sql, values).fetchall()

    def one(self, sql: str, **values: Any) -> Row | None:
        """Run a statement and return its first row, if any."""
        rows = self._connection.execute(sql, values).fetchall()
        return rows[0] if rows else None

    def run(self, sql: str, **values: Any) -> int:
        """Run a statement and return how many rows it changed."""
        self._connection.execute(sql, values)
        return self._connection.changes()

    def insert(self, table: Table, rows: Sequence[Row]) -> None:
        """Insert row by row with one prepared statement, which beats one long VALUES list (measured)."""
        self._connection.executemany(_insert_text(table.name, tuple(table.columns)), rows)
        self.inserted += len(rows)

    def run_many(self, sql: str, rows: Sequence[dict[str, Any]]) -> list[Row]:
        """Run a statement for each of the rows, prepared once."""
        return self._connection.executemany(sql, rows).fetchall()

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """Open a part that is undone alone when it raises."""
        mark = len(self.effects)
        self._connection.execute("savepoint part")
        try:
            yield
        except BaseException:
            del self.effects[mark:]
            # A full disk may already have ended the whole transaction; then that error is what must be seen.
            if self._connection.in_transaction:
                self._connection.execute("rollback to part")
                self._connection.execute("release part")
            raise
        self._connection.execute("release part")

    def after_commit(self, effect: Callable[[], None]) -> None:
        """Note an effect for the time after the commit."""
        self.effects.append(effect)


@lru_cache(maxsize=64)
def _insert_text(table: str, columns: tuple[str, ...]) -> str:
    marks = ", ".join("?" * len(columns))
    return f"insert into {table} ({', '.join(columns)}) values ({marks})"
