"""Times cross the border as RFC 3339 text and lose nothing on the way."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.errors import Invalid
from heliograph.times import parse_time, print_milliseconds, print_optional_time, print_time

MICROSECONDS = st.integers(1 - 2**53, 2**53 - 1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@given(MICROSECONDS)
def test_printed_time_is_read_back_exactly(moment: int) -> None:
    assert parse_time(print_time(moment), "/t") == moment


@given(MICROSECONDS, MICROSECONDS)
def test_printed_times_sort_as_the_times_do(first: int, second: int) -> None:
    assert (print_time(first) < print_time(second)) == (first < second)


@given(st.integers(1001 - 2**53, 2**53 - 1))
def test_milliseconds_are_rounded_down(moment: int) -> None:
    printed = print_milliseconds(moment)
    assert len(printed) == len("2026-01-31T23:59:59.999Z")
    assert parse_time(printed, "/t") == moment // 1000 * 1000


@given(MICROSECONDS, st.integers(-23 * 60 - 59, 23 * 60 + 59))
def test_offset_names_another_notation_of_the_same_moment(moment: int, minutes: int) -> None:
    local = (EPOCH + timedelta(microseconds=moment)).astimezone(timezone(timedelta(minutes=minutes)))
    assert parse_time(local.isoformat(timespec="microseconds"), "/t") == moment


@given(st.text(max_size=40) | st.from_regex(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]*)?Z?"))
def test_text_of_any_kind_is_read_or_refused_at_its_place(text: str) -> None:
    faults = []
    moment = 2**53
    try:
        moment = parse_time(text, "/t")
    except Invalid as refusal:
        faults = [fault.pointer for fault in refusal.faults]
    assert faults == ["/t"] or abs(moment) < 2**53


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01t00:00:00z", 0),
        ("1970-01-01T00:00:00.5Z", 500_000),
        ("1970-01-01T00:00:00.0000009Z", 0),
        ("1970-01-01T00:00:00.123456789123456789Z", 123_456),
        ("1969-12-31T23:59:59.9999999Z", -1),
        ("1970-01-01T01:30:00+01:30", 0),
        ("1969-12-31T23:00:00-01:00", 0),
        ("1970-01-01T00:00:00-00:00", 0),
        ("2024-02-29T00:00:00Z", 1_709_164_800_000_000),
        ("2255-06-05T23:47:34.740991Z", 2**53 - 1),
    ],
)
def test_notation_is_read(text: str, moment: int) -> None:
    assert parse_time(text, "/t") == moment


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("", "time"),
        ("now", "time"),
        ("2026-01-31", "time"),
        ("2026-01-31T23:59:59", "time"),
        ("2026-01-31 23:59:59Z", "time"),
        ("2026-01-31T23:59Z", "time"),
        ("2026-01-31T24:00:00Z", "time"),
        ("2026-01-31T23:60:00Z", "time"),
        ("2026-01-31T23:59:61Z", "time"),
        ("2026-01-31T23:59:59.Z", "time"),
        ("2026-01-31T23:59:59,5Z", "time"),
        ("2026-01-31T23:59:59+0100", "time"),
        ("2026-01-31T23:59:59+24:00", "time"),
        ("2026-02-29T00:00:00Z", "time"),
        ("2026-13-01T00:00:00Z", "time"),
        ("0000-01-01T00:00:00Z", "time"),
        ("20260131T235959Z", "time"),
        ("\uff12\uff10\uff12\uff16-01-31T23:59:59Z", "time"),
        ("2026-01-31T23:59:59Z\n", "time"),
        ("2026-W05-6T00:00:00Z", "time"),
        ("1790000000", "time"),
        ("2016-12-31T23:59:60Z", "leap-second"),
        ("0001-01-01T00:00:00Z", "time-range"),
        ("0001-01-01T00:00:00+01:00", "time-range"),
        ("9999-12-31T23:59:59-01:00", "time-range"),
        ("2255-06-05T23:47:34.740992Z", "time-range"),
    ],
)  # fmt: skip
def test_other_text_is_refused_by_its_rule(text: str, rule: str) -> None:
    with pytest.raises(Invalid) as refusal:
        parse_time(text, "query/from")
    assert [(fault.pointer, fault.rule) for fault in refusal.value.faults] == [("query/from", rule)]


def test_time_that_is_absent_stays_absent() -> None:
    assert print_optional_time(None) is None
    assert print_optional_time(0) == "1970-01-01T00:00:00.000000Z"
