"""Attributes of a CloudEvent: the grammars that a table can pin down."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.eventlog.attributes import URI_REFERENCE, Attributes
from heliograph.strict_json import pointer_to
from heliograph.times import parse_time, print_time


@pytest.mark.parametrize(
    "source",
    [
        "https://user:pw@example.com:8080/a/b?c=d/e?#f",
        "//[2001:db8::1]:80",
        "urn:uuid:6e8bc430-9c3a-11d9-9669-0800200c9a66",
        "mailto:doors@example.com",
        "1-555-123-4567",
        "/sensors/tn-1234567/alerts",
        "./a:b",
        "#door",
        "%C3%A9t%C3%A9",
    ],
)
def test_any_uri_reference_is_a_source(source: str) -> None:
    assert Attributes({"source": source}, pointer_to).text("source", 1024, URI_REFERENCE) == source


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01t00:00:00.000001z", 1),
        ("1969-12-31T23:59:59.999999Z", -1),
        ("1970-01-01T00:00:00.1234569Z", 123_456),
        ("1970-01-01T01:00:00+01:00", 0),
        ("1969-12-31T18:30:00-05:30", 0),
        ("1970-01-01T00:00:00-00:00", 0),
        ("2255-06-05T23:47:34.740991Z", 2**53 - 1),
    ],
)
def test_time_is_read_to_the_microsecond(text: str, moment: int) -> None:
    assert parse_time(text, "/time") == moment


@given(st.integers(-(2**53) + 1, 2**53 - 1))
def test_printed_time_reads_back(moment: int) -> None:
    assert parse_time(print_time(moment), "/time") == moment
