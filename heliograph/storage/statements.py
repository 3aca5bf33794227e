"""The parts that many statements have in common: lists of values, batches of them, and beginnings of texts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, TypeVar

T = TypeVar("T")

VALUES_AT_ONCE = 200
"""How many values one statement asks for by name."""

_LAST_CHARACTER = "\U0010ffff"


def placeholders(prefix: str, values: Iterable[Any]) -> tuple[str, dict[str, Any]]:
    """Return the names of one or more values as they stand between `in (` and `)`, and the values by these names."""
    named = {f"{prefix}{number}": value for number, value in enumerate(values)}
    return ", ".join(f":{name}" for name in named), named


def batches(values: Iterable[T]) -> Iterator[list[T]]:
    """Cut values into lists, each short enough for one statement."""
    left = iter(values)
    while batch := list(islice(left, VALUES_AT_ONCE)):
        yield batch


def behind(prefix: str) -> str:
    """Return a text that sorts behind all that begin with the prefix, compared by bytes."""
    return prefix + _LAST_CHARACTER


def begins_with(table: str, column: str, prefix: str) -> tuple[str, dict[str, Any]]:
    """Return the condition of a list ordered by uid, behind `:after`, that a column begins with the prefix.

    Also returned are its values. It finds the uids by the column's own index; with a plain comparison SQLite goes
    through the whole tenant by the primary key, because that saves it the sorting.
    """
    condition = (
        f"uid in (select uid from {table} where tenant_id = :tenant_id and uid > :after"
        f" and {column} >= :{column} and {column} < :{column}_end)"
    )
    return condition, {column: prefix, f"{column}_end": behind(prefix)}
