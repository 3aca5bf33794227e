"""Pages of any size hold every row that passes once, and end only when there is nothing more to examine."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.storage import pages
from heliograph.storage.pages import page_of


class Row(NamedTuple):
    uid: bytes


def walk(rows: list[Row], limit: int, wanted: frozenset[bytes] | None) -> list[bytes]:
    """Return what all pages together show."""
    after, shown = b"", []
    while True:
        page, last = page_of(
            lambda after, most: [row for row in rows if row.uid > after][:most],
            after, limit, None if wanted is None else lambda row: row.uid in wanted,
        )  # fmt: skip
        assert len(page) <= limit
        shown += [row.uid for row in page]
        if last is None:
            return shown
        assert last > after
        after = last


@given(uids=st.sets(st.binary(min_size=1, max_size=2), max_size=30), limit=st.integers(1, 8), data=st.data())
def test_pages_show_what_passes_once_and_in_order(uids: set[bytes], limit: int, data: st.DataObject) -> None:
    rows = [Row(uid) for uid in sorted(uids)]
    wanted = data.draw(st.none() | st.frozensets(st.sampled_from(sorted(uids)) if uids else st.nothing()))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pages, "ROWS_SIFTED", 3)
        assert walk(rows, limit, wanted) == [row.uid for row in rows if wanted is None or row.uid in wanted]


def test_page_is_short_where_few_rows_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "ROWS_SIFTED", 10)
    rows = [Row(bytes([number])) for number in range(30)]
    page, last = page_of(lambda after, most: rows[:most], b"", 5, lambda row: row.uid == b"\x0b")
    assert (page, last) == ([], b"\x09")
