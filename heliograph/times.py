"""Times as they cross the border: RFC 3339 text outside, integer microseconds UTC inside."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from heliograph.errors import Invalid

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_LARGEST_TIME = 2**53  # the envelope holds no integer that JSON readers could round
_TIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt](?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-6][0-9](?:\.[0-9]+)?"
    r"(?:[Zz]|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
)


@lru_cache(maxsize=4096)
def _second(seconds: int) -> str:
    return (_EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S")


def print_time(microseconds: int) -> str:
    """Print as RFC 3339 in UTC with microseconds."""
    seconds, fraction = divmod(microseconds, 1_000_000)
    return f"{_second(seconds)}.{fraction:06d}Z"


def print_optional_time(microseconds: int | None) -> str | None:
    """Print a time that may be absent."""
    return None if microseconds is None else print_time(microseconds)


def print_milliseconds(microseconds: int) -> str:
    """Print as RFC 3339 in UTC with milliseconds, rounded down, as the seed families do."""
    seconds, fraction = divmod(microseconds, 1_000_000)
    return f"{_second(seconds)}.{fraction // 1000:03d}Z"


def parse_time(text: str, pointer: str) -> int:
    """Read an RFC 3339 time as microseconds UTC; finer digits are cut off.

    Raises:
        Invalid: naming `pointer`, for another notation, a date that does not exist, a leap second, or a time
            that is 2^53 microseconds or more away from 1970.
    """
    if not _TIME.fullmatch(text):
        raise Invalid.at(pointer, "time", "Expected an RFC 3339 time with offset: 2026-01-31T23:59:59.5Z.")
    if text[17:19] == "60":
        raise Invalid.at(pointer, "leap-second", "Leap seconds are not supported; send second 59 instead.")
    try:
        moment = (datetime.fromisoformat(text.upper()) - _EPOCH) // _MICROSECOND
    except (ValueError, OverflowError):
        raise Invalid.at(pointer, "time", "This date or time of day does not exist.") from None
    if abs(moment) >= _LARGEST_TIME:
        raise Invalid.at(pointer, "time-range", "The time must lie between the years 1685 and 2255.")
    return moment
