"""What is kept of an attempt has its bounds."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from heliograph.delivery.model import HEADER_BYTES_KEPT, Headers, first_headers

HEADERS = st.lists(st.tuples(st.text(max_size=5), st.text(max_size=10)), max_size=20).map(tuple)


def size(headers: Headers) -> int:
    return sum(len((name + value).encode()) for name, value in headers)


@given(HEADERS, st.integers(0, 100))
def test_headers_are_kept_whole_and_in_their_order_until_the_next_does_not_fit(headers: Headers, most: int) -> None:
    kept = first_headers(headers, most)
    assert kept == headers[: len(kept)]
    assert size(kept) <= most
    assert kept == headers or size(headers[: len(kept) + 1]) > most


def test_eight_kibibytes_of_headers_are_kept() -> None:
    header = ("x" * 24, "y" * 1000)
    assert first_headers((header,) * 9) == (header,) * 8
    assert first_headers((("x", "y" * HEADER_BYTES_KEPT),)) == ()
