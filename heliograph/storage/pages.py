"""Pages of lists in the order of uids, whose filters the database can answer in part or in full."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

ROWS_SIFTED = 1_000
"""Rows that one page examines where the database cannot tell which of them pass."""


class Listed(Protocol):
    """What is listed in the order of its uid."""

    @property
    def uid(self) -> bytes:
        """By which the list goes on."""


T = TypeVar("T", bound=Listed)


def page_of(
    read: Callable[[bytes, int], Sequence[T]], after: bytes, limit: int, passes: Callable[[T], bool] | None = None
) -> tuple[list[T], bytes | None]:
    """Return at most `limit` rows behind `after`, and the uid to go on after when there are more.

    `read` returns as many rows as it is asked for, as long as there are so many. With `passes`, which tells what the
    database cannot, a page examines so few rows that it ends soon: then it may show less than `limit`, even nothing,
    and the uid to go on after says that more rows are to be examined, not that any of them passes.
    """
    if passes is None:
        rows = list(read(after, limit + 1))
        return rows[:limit], rows[limit - 1].uid if len(rows) > limit else None
    examined = max(limit, ROWS_SIFTED)
    rows = list(read(after, examined + 1))
    found = [row for row in rows[:examined] if passes(row)]
    if len(found) > limit:
        return found[:limit], found[limit - 1].uid
    return found, rows[examined - 1].uid if len(rows) > examined else None
