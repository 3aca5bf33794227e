"""What a database must offer: transactions with one SQL text for both engines, and the errors that mean "again"."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Literal, Protocol

log = logging.getLogger(__name__)

Row = tuple[Any, ...]
Dialect = Literal["sqlite", "postgres"]
ColumnType = Literal["bigint", "text", "bytes"]


@dataclass(frozen=True, slots=True)
class Table:
    """A table that is written in many rows at once: its name and its columns in the order of the row tuples."""

    name: str
    columns: dict[str, ColumnType]


class Transaction(Protocol):
    """One open transaction; statements name their values `:like_this`.

    Columns are text, bigint and bytes only, so that one SQL text serves SQLite and PostgreSQL.
    """

    now: int
    """The time of this transaction, microseconds UTC."""

    memory: dict[Any, Any]
    """What the process remembers between transactions of this engine; it is not undone with a transaction."""

    inserted: int
    """Rows that `insert` has written so far."""

    @property
    def dialect(self) -> Dialect:
        """Which of the two databases this is, for the few words in which they differ."""

    def all(self, sql: str, **values: Any) -> list[Row]:
        """Run a statement and return its rows."""

    def one(self, sql: str, **values: Any) -> Row | None:
        """Run a statement and return its first row, if any."""

    def run(self, sql: str, **values: Any) -> int:
        """Run a statement and return how many rows it changed."""

    def insert(self, table: Table, rows: Sequence[Row]) -> None:
        """Insert many rows in the engine's fastest way."""

    def run_many(self, sql: str, rows: Sequence[dict[str, Any]]) -> list[Row]:
        """Run a statement once for each of `rows`, which name its values, and return the rows that all returned."""

    def savepoint(self) -> AbstractContextManager[None]:
        """Open a part that is undone alone when it raises."""

    def after_commit(self, effect: Callable[[], None]) -> None:
        """Run `effect` once the transaction is durable; never when it is undone."""


class Connection(Protocol):
    """One connection of an engine; used by one thread at a time."""

    def transaction(self, now: int, *, write: bool) -> AbstractContextManager[Transaction]:
        """Begin; commit at the end of the block, or undo all of it when the block raises."""

    def close(self) -> None:
        """Give the connection back."""


class Engine(Protocol):
    """A database: hands out connections and knows which errors are worth a second try."""

    parallel_writers: int
    """How many groups may commit at once: 1 where the database has a single writer."""

    @property
    def dialect(self) -> Dialect:
        """Which of the two databases this is."""

    def connect(self, *, write: bool) -> Connection:
        """Open a connection for reading or for writing."""

    def is_transient(self, error: BaseException) -> bool:
        """Tell whether the same transaction may succeed when it is simply run again."""

    def is_outage(self, error: BaseException) -> bool:
        """Tell whether the database itself, not the statement, is at fault: gone, full, read-only."""

    def version(self) -> str:
        """Return the name and version of the database, as for a person."""

    def close(self) -> None:
        """Release what the engine holds."""


def run_effects(effects: Iterable[Callable[[], None]]) -> None:
    """Run what waited for a commit; one that fails is logged, for what is durable must not look undone."""
    for effect in effects:
        try:
            effect()
        except Exception:
            log.exception("an effect of a committed transaction failed")
