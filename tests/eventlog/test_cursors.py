"""Cursors come back whole, fit only the question they came from, and cannot be made or changed by others."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from heliograph.errors import Invalid
from heliograph.eventlog.cursors import Cursor, read_cursor, write_cursor
from heliograph.eventlog.filters import EntityFilter, EventQuery
from heliograph.storage.sealing import Sealer

SEALER = Sealer(bytes(32))
OTHER = Sealer(bytes([1]) * 32)
TENANT = "a" * 32

NUMBERS = st.integers(-(2**63), 2**63 - 1)
DIGESTS = st.binary(min_size=8, max_size=8)
CURSORS = st.builds(
    Cursor, DIGESTS, st.lists(st.lists(NUMBERS, min_size=1, max_size=6).map(tuple), max_size=5).map(tuple)
)
URL_SAFE = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


def _refusal(text: str, digest: bytes, marker: Sealer = SEALER) -> list[tuple[str, str]]:
    """Read a cursor that must be refused, and return place and rule."""
    with pytest.raises(Invalid) as refusal:
        read_cursor(text, digest, marker)
    return [(fault.pointer, fault.rule) for fault in refusal.value.faults]


DAMAGED = [("query/cursor", "cursor")]
MISMATCH = [("query/cursor", "cursor-mismatch")]


@given(CURSORS)
def test_cursor_comes_back_whole_and_fits_into_an_address(cursor: Cursor) -> None:
    text = write_cursor(cursor, SEALER)
    assert set(text) <= URL_SAFE
    assert read_cursor(text, cursor.digest, SEALER) == cursor


def test_cursor_of_the_widest_listing_fits_into_the_longest_parameter() -> None:
    places = tuple((2**31 + tenant, 2**60, 2**60, 2**60, 2**60, 2**60) for tenant in range(200))
    assert len(write_cursor(Cursor(bytes(8), places), SEALER)) <= 16_384


@given(CURSORS, DIGESTS)
def test_cursor_of_another_question_is_refused(cursor: Cursor, digest: bytes) -> None:
    assume(digest != cursor.digest)
    assert _refusal(write_cursor(cursor, SEALER), digest) == MISMATCH


@given(CURSORS)
def test_cursor_of_another_installation_is_refused(cursor: Cursor) -> None:
    assert _refusal(write_cursor(cursor, OTHER), cursor.digest) == DAMAGED


@given(CURSORS, st.integers(min_value=0))
def test_cursor_with_any_bit_changed_is_refused(cursor: Cursor, bit: int) -> None:
    text = write_cursor(cursor, SEALER)
    raw = bytearray(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    place, shift = divmod(bit % (8 * len(raw)), 8)
    raw[place] ^= 1 << shift
    changed = base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
    assert _refusal(changed, cursor.digest) == DAMAGED


@given(CURSORS, st.integers(min_value=0))
def test_cursor_that_was_cut_short_is_refused(cursor: Cursor, length: int) -> None:
    text = write_cursor(cursor, SEALER)
    assert _refusal(text[: length % len(text)], cursor.digest) == DAMAGED


@given(CURSORS, st.text(min_size=1, max_size=5))
def test_cursor_with_something_behind_it_is_refused(cursor: Cursor, more: str) -> None:
    text = write_cursor(cursor, SEALER)
    assume(not set(more) <= {"="})
    assert _refusal(text + more, cursor.digest) == DAMAGED


@given(st.text(max_size=80) | st.text(sorted(URL_SAFE), max_size=80))
def test_text_of_any_kind_is_refused(text: str) -> None:
    assert _refusal(text, bytes(8)) == DAMAGED


@given(st.binary(max_size=60))
def test_bytes_of_any_kind_under_a_right_mark_are_refused(body: bytes) -> None:
    """As an older or newer version of the program may have written them."""
    text = base64.urlsafe_b64encode(SEALER.mark(body) + body).rstrip(b"=").decode()
    assert _refusal(text, b"12345678") in (DAMAGED, MISMATCH)


def test_cursor_of_another_version_is_refused() -> None:
    assert _refusal(write_cursor(Cursor(bytes(8), (), version=2), SEALER), bytes(8)) == MISMATCH


# -- what a question is ---------------------------------------------------------------------------------------------

CHANGES: dict[str, Any] = {
    "since": 1,
    "until": 9,
    "time_field": "occurredAt",
    "ascending": True,
    "criticalities": (1,),
    "codes": (1,),
    "types": ("x",),
    "target_types": ("x",),
    "target_ids": ("x",),
    "related_ids": ("x",),
    "actor_uids": ("x",),
    "ids": ("x",),
    "entities": (EntityFilter("Door", ("x",)),),
    "internal": False,
    "flat": True,
    "subtree": True,
}


def test_every_part_of_a_question_is_covered_here() -> None:
    assert set(CHANGES) == set(EventQuery.__struct_fields__)


@pytest.mark.parametrize("name", CHANGES)
def test_cursor_does_not_fit_once_any_part_of_the_question_changed(name: str) -> None:
    plain: dict[str, Any] = {"since": 0, "until": None}
    cursor = write_cursor(Cursor(EventQuery(**plain).digest(TENANT), ((1, 0, 5),)), SEALER)
    changed = EventQuery(**{**plain, name: CHANGES[name]})
    assert _refusal(cursor, changed.digest(TENANT)) == MISMATCH
    read_cursor(cursor, EventQuery(**plain).digest(TENANT), SEALER)


def test_cursor_does_not_fit_another_tenant() -> None:
    query = EventQuery(since=0, until=None)
    assert _refusal(write_cursor(Cursor(query.digest(TENANT), ()), SEALER), query.digest("b" * 32)) == MISMATCH


def test_values_cannot_move_from_one_filter_to_another_unnoticed() -> None:
    digests = {
        EventQuery(since=0, until=None, **filters).digest(TENANT)
        for filters in (
            {"types": ("a", "b")},
            {"types": ("a",), "target_types": ("b",)},
            {"types": ("ab",)},
            {"target_types": ("a", "b")},
            {"target_ids": ("a", "b")},
            {"related_ids": ("a", "b")},
        )
    }
    assert len(digests) == 6
