"""What a device says of itself, and the rules by which that changes what is known of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from heliograph.devices.model import Condition, Presence
from heliograph.times import print_time

BATTERY_LOW = "battery_low"
"""The code of the one warning that is the platform's own; what a device reports never touches it."""

RECOVERY_MARGIN = 10
"""Percent above the limit at which a low battery counts as recovered, so that a wavering level is told only once."""

LARGEST_LEAD = 300_000_000
"""Microseconds by which a device's clock may be ahead of ours before it is not believed (design section 6.3)."""

MOST_MEASUREMENTS = 400
"""Names under which one device keeps telemetry; they are forgotten with it in one transaction."""

IgnoredReason = Literal["ahead_of_time", "late_report", "late_measurement", "other_session", "reserved_code"]
"""Why a part of a report had no effect.

`ahead_of_time`: the device's time is more than 5 minutes ahead, ours was taken instead. `late_report`,
`late_measurement`: something newer came before. `other_session`: the session that ended is not the present one.
`reserved_code`: the platform itself raises that warning.
"""


class Options(msgspec.Struct, frozen=True):
    """The process that takes reports, and the percentage down to which a battery is low."""

    server_instance_uid: str
    low_battery: int


class SessionReport(msgspec.Struct, frozen=True):
    """Whether the device is connected; `session_id` is its own name for the connection."""

    state: Literal["online", "offline"]
    session_id: str | None = None


class BatteryReport(msgspec.Struct, frozen=True):
    """The charge in percent, and whether it is rising."""

    percent: int
    charging: bool | None = None


class Measurement(msgspec.Struct, frozen=True):
    """One reading; `data` is JSON with sorted names, so that equal readings are equal bytes."""

    name: str
    data: bytes


class Reading(msgspec.Struct, frozen=True):
    """A stored measurement; `updated_at` in microseconds UTC."""

    data: bytes
    updated_at: int


class Complaint(msgspec.Struct, frozen=True):
    """An error or warning as a device reports it."""

    code: str
    message: str


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What a device says at one moment; None where it says nothing. `reported_at` in microseconds UTC."""

    reported_at: int | None = None
    session: SessionReport | None = None
    battery: BatteryReport | None = None
    telemetry: tuple[Measurement, ...] = ()
    errors: tuple[Complaint, ...] | None = None
    warnings: tuple[Complaint, ...] | None = None


class Ignored(msgspec.Struct, frozen=True):
    """A part of a report, by its RFC 6901 pointer, that had no effect."""

    pointer: str
    reason: IgnoredReason


class Connection(msgspec.Struct, frozen=True):
    """An online session of a device, and the process that took it up; `began_at` in microseconds UTC."""

    uid: bytes
    session: str | None
    began_at: int
    server_instance_uid: str


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """All that is known of a device's presence; times in microseconds UTC, `battery_level` in percent.

    `last_seen_at` is when its last report came, by our clock: silence is measured by it. `reported_at` is when that
    was made, by the device's own clock as far as it is believed, and tells only which of two reports is the newer.
    `says_connected` once it has said that it is connected, or that it is not: many never do.
    """

    last_seen_at: int
    reported_at: int
    connection: Connection | None = None
    says_connected: bool = False
    battery_level: int | None = None
    errors: tuple[Condition, ...] = ()
    warnings: tuple[Condition, ...] = ()

    @property
    def presence(self) -> Presence:
        """The same as other features see it."""
        return Presence(
            last_seen_at=self.last_seen_at,
            connection_uid=self.connection.uid if self.connection else None,
            session=self.connection.session if self.connection else None,
            connected_at=self.connection.began_at if self.connection else None,
            says_connected=self.says_connected,
            battery_level=self.battery_level,
            errors=self.errors,
            warnings=self.warnings,
        )


class Applied(msgspec.Struct, frozen=True):
    """What a report led to, and which of its parts had no effect."""

    presence: Presence
    ignored: tuple[Ignored, ...]


class Timing(msgspec.Struct, frozen=True):
    """When a report counts as made; `occurred_at` is the device's own word for it, where that is believed."""

    at: int
    occurred_at: int | None
    late: bool


def timing_of(reported_at: int | None, newest: int | None, now: int) -> Timing:
    """Decide when a report was made, and whether a newer one, made at `newest`, came before it.

    By our own clock a report is never late: a device whose clock is a little ahead may have left a time that we
    have yet to reach.
    """
    if reported_at is None or reported_at > now + LARGEST_LEAD:
        return Timing(now if newest is None else max(now, newest), None, late=False)
    return Timing(reported_at, reported_at, late=newest is not None and reported_at < newest)


def ends(connection: Connection, session: SessionReport) -> bool:
    """Tell whether a device's word on its session ends the connection that is known."""
    if session.state == "online":
        return session.session_id not in (None, connection.session)
    return session.session_id in (None, connection.session)


def battery_turn(standing: Standing, percent: int, low_battery: int) -> Literal["low", "recovered"] | None:
    """Tell whether a level makes the battery low, or ends that it was."""
    is_low = any(warning.code == BATTERY_LOW for warning in standing.warnings)
    if not is_low and percent <= low_battery:
        return "low"
    if is_low and percent >= min(100, low_battery + RECOVERY_MARGIN):
        return "recovered"
    return None


def low_battery_warning(percent: int, at: int) -> Condition:
    """Return the platform's own warning."""
    return Condition(BATTERY_LOW, f"The battery is down to {percent} percent.", print_time(at))


def without_low_battery(conditions: Sequence[Condition]) -> tuple[Condition, ...]:
    """Return what the device itself reported."""
    return tuple(condition for condition in conditions if condition.code != BATTERY_LOW)


def replaced(before: Sequence[Condition], reported: Sequence[Complaint], at: int) -> tuple[Condition, ...]:
    """Return the conditions after a device has listed its own; one that goes on keeps the time at which it began."""
    began = {condition.code: condition.created_at for condition in before}
    kept = tuple(condition for condition in before if condition.code == BATTERY_LOW)
    return kept + tuple(
        Condition(complaint.code, complaint.message, began.get(complaint.code, print_time(at)))
        for complaint in reported
        if complaint.code != BATTERY_LOW
    )


def late_parts(report: Report) -> list[Ignored]:
    """Name the parts of a late report that something newer has overtaken; its measurements are judged one by one."""
    parts = {"session": report.session, "battery": report.battery, "errors": report.errors, "warnings": report.warnings}
    return [Ignored(f"/{name}", "late_report") for name, part in parts.items() if part is not None]


def reserved_parts(report: Report) -> list[Ignored]:
    """Name the warnings that only the platform raises."""
    return [
        Ignored(f"/warnings/{number}", "reserved_code")
        for number, complaint in enumerate(report.warnings or ())
        if complaint.code == BATTERY_LOW
    ]
