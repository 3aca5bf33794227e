"""Errors and warnings as the flat events show them; the shapes are those of Seam's public event reference."""

from __future__ import annotations

from collections.abc import Iterable

from heliograph.catalog.definition import Body, MillisecondTime
from heliograph.devices.model import Condition
from heliograph.times import parse_time, print_milliseconds


class ErrorItem(Body, frozen=True, kw_only=True):
    """Something that is wrong with an access code, a connected account or a device."""

    created_at: MillisecondTime
    error_code: str
    message: str


class WarningItem(Body, frozen=True, kw_only=True):
    """Something to look at on an access code, a connected account or a device."""

    created_at: MillisecondTime
    message: str
    warning_code: str


def error_items(conditions: Iterable[Condition]) -> tuple[ErrorItem, ...]:
    """Render errors."""
    return tuple(
        ErrorItem(created_at=_began(one), error_code=one.code, message=one.message) for one in conditions
    )  # fmt: skip


def warning_items(conditions: Iterable[Condition]) -> tuple[WarningItem, ...]:
    """Render warnings."""
    return tuple(
        WarningItem(created_at=_began(one), message=one.message, warning_code=one.code) for one in conditions
    )  # fmt: skip


def _began(condition: Condition) -> str:
    return print_milliseconds(parse_time(condition.created_at, "/createdAt"))
