"""What the log says about the platform itself: its failures and its clock."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from heliograph.catalog.definition import CamelBody, EventDefinition

Microseconds = Annotated[int, Meta(ge=1)]


class TechnicalError(CamelBody, frozen=True, kw_only=True):
    """Payload of `Platform.TechnicalError`.

    `suppressed` counts the errors of the same `kind` that were not recorded since the last one that was.
    """

    kind: str
    detail: str
    request_id: str | UnsetType = UNSET
    suppressed: Annotated[int, Meta(ge=0)]


class ClockBehind(CamelBody, frozen=True, kw_only=True):
    """Payload of `Platform.ClockBehind`: how far the clock is behind the latest event's time."""

    behind_microseconds: Microseconds


class ClockJumped(CamelBody, frozen=True, kw_only=True):
    """Payload of `Platform.ClockJumped`: how far the clock is ahead of what the elapsed time explains."""

    ahead_microseconds: Microseconds


TECHNICAL_ERROR = EventDefinition(
    type="Platform.TechnicalError",
    family="record",
    code=100,
    criticality=2,
    target="Tenant",
    struct=TechnicalError,
    sample=TechnicalError(
        kind="storage",
        detail="The disk is full.",
        request_id="0197b3d1527578a1b2c3d4e5f6071829",
        suppressed=17,
    ),
    meaning="Something failed inside the platform; at most one event per kind and interval tells of it.",
)

CLOCK_BEHIND = EventDefinition(
    type="Platform.ClockBehind",
    family="record",
    code=101,
    criticality=3,
    target="Tenant",
    struct=ClockBehind,
    sample=ClockBehind(behind_microseconds=2_500_000),
    meaning="The clock is behind the log, whose times go on rising by a microsecond per event.",
)

CLOCK_JUMPED = EventDefinition(
    type="Platform.ClockJumped",
    family="record",
    code=102,
    criticality=2,
    target="Tenant",
    struct=ClockJumped,
    sample=ClockJumped(ahead_microseconds=86_400_000_000),
    meaning="The clock jumped forward and is not followed until somebody confirms it.",
)

EVENTS: tuple[EventDefinition, ...] = (TECHNICAL_ERROR, CLOCK_BEHIND, CLOCK_JUMPED)
