"""What the platform does with devices' reports, and with their silence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from heliograph import publish
from heliograph.catalog.definition import EventDefinition
from heliograph.devices.model import Condition, Device
from heliograph.devices.ownership import Owner, owner_of
from heliograph.errors import Conflict
from heliograph.ids import as_hex, new_uid
from heliograph.presence import events, model, store
from heliograph.presence.model import (
    Applied,
    BatteryReport,
    Connection,
    Ignored,
    Measurement,
    Options,
    Reading,
    Report,
    SessionReport,
    Standing,
    Timing,
)
from heliograph.storage.engine import Transaction
from heliograph.tenancy.model import Scope


def apply(tx: Transaction, scope: Scope, device: Device, report: Report, options: Options) -> Applied:
    """Take over what a device says of itself, and put on record what changed by it.

    Raises:
        Conflict: when the device is not enrolled, or measures under too many names.
    """
    if device.state != "enrolled":
        raise Conflict("Only an enrolled device can report.")
    known = store.find_standing(tx, scope, device.uid)
    timing = model.timing_of(report.reported_at, known.reported_at if known else None, tx.now)
    news = _News(scope, device.uid, timing)
    ignored = []
    if report.reported_at is not None and timing.occurred_at is None:
        ignored.append(Ignored("/reportedAt", "ahead_of_time"))
    if known is not None and timing.late:
        standing = known
        ignored += model.late_parts(report)
    else:
        standing = _seen(known, tx.now, timing.at)
        standing, overtaken = _with_session(standing, report.session, news, options)
        standing = _with_battery(standing, report.battery, news, options)
        standing = _with_conditions(standing, report, news)
        ignored += overtaken + model.reserved_parts(report)
        store.put_standing(tx, scope, device.uid, standing)
    ignored += _measure(tx, scope, device.uid, report.telemetry, news)
    publish.record_all(tx, scope, news.occurrences)
    return Applied(standing.presence, tuple(ignored))


def end_connection(tx: Transaction, scope: Scope, device: Device) -> None:
    """Put a device offline, when it is online, because it leaves the organization."""
    known = store.find_standing(tx, scope, device.uid)
    if known is not None and known.connection is not None:
        _disconnect(tx, scope, [(device.uid, known.connection)])


def silent_tenants(tx: Transaction, before: int) -> list[int]:
    """Return the tenants in which `end_silent` has something to do."""
    return store.silent_tenants(tx, before)


def end_silent(tx: Transaction, scope: Scope, before: int, limit: int) -> bool:
    """Put at most `limit` devices offline that were last seen before that time; return whether more are left."""
    silent = store.find_silent(tx, scope, before, limit + 1)
    _disconnect(tx, scope, silent[:limit])
    return len(silent) > limit


def forget(tx: Transaction, scope: Scope, device_uid: bytes) -> None:
    """Remove all that a device has said of itself; its events stay."""
    store.delete_standing(tx, scope, device_uid)


class _News:
    """What one report, or one chunk of silence, gives cause to put on record, in that order."""

    def __init__(self, scope: Scope, device_uid: bytes, timing: Timing) -> None:
        self.device = as_hex(device_uid)
        self.timing = timing
        self.owner = owner_of(scope)
        self.occurrences: list[publish.Occurrence] = []

    def tell(self, definition: EventDefinition, body: msgspec.Struct) -> None:
        """Add an event of the device."""
        self.occurrences.append(_occurrence(definition, self.device, body, self.timing.occurred_at))


def _occurrence(
    definition: EventDefinition, device: str, body: msgspec.Struct, occurred_at: int | None = None
) -> publish.Occurrence:
    return publish.Occurrence(definition=definition, target_id=device, build=lambda _: body, occurred_at=occurred_at)


def _seen(known: Standing | None, now: int, reported_at: int) -> Standing:
    if known is None:
        return Standing(last_seen_at=now, reported_at=reported_at)
    return msgspec.structs.replace(known, last_seen_at=now, reported_at=reported_at)


def _with_session(
    standing: Standing, session: SessionReport | None, news: _News, options: Options
) -> tuple[Standing, list[Ignored]]:
    if session is None:
        return standing, []
    connection = standing.connection
    if connection is not None and model.ends(connection, session):
        news.tell(events.CONNECTION_DELETED, _deleted(news.owner, news.device, connection))
        connection = None
    if session.state == "online" and connection is None:
        connection = Connection(new_uid(), session.session_id, news.timing.at, options.server_instance_uid)
        news.tell(events.CONNECTION_ADDED, _added(news.owner, news.device, connection))
    other = session.state == "offline" and connection is not None
    return (
        msgspec.structs.replace(standing, connection=connection, says_connected=True),
        [Ignored("/session", "other_session")] if other else [],
    )


def _added(owner: Owner, device: str, connection: Connection) -> events.DeviceConnectionAdded:
    return events.DeviceConnectionAdded(
        owner=owner,
        type="Device.DeviceConnectionAdded",
        device_uid=device,
        device_identity_hash=device,
        connection_uid=as_hex(connection.uid),
        server_instance_uid=connection.server_instance_uid,
    )


def _deleted(owner: Owner, device: str, connection: Connection) -> events.DeviceConnectionDeleted:
    return events.DeviceConnectionDeleted(
        owner=owner,
        type="Device.DeviceConnectionDeleted",
        device_uid=device,
        device_identity_hash=device,
        connection_uid=as_hex(connection.uid),
        server_instance_uid=connection.server_instance_uid,
    )


def _disconnect(tx: Transaction, scope: Scope, connected: Sequence[tuple[bytes, Connection]]) -> None:
    owner = owner_of(scope)
    occurrences = []
    for device_uid, connection in connected:
        store.end_connection(tx, scope, device_uid)
        device = as_hex(device_uid)
        occurrences.append(_occurrence(events.CONNECTION_DELETED, device, _deleted(owner, device, connection)))
    publish.record_all(tx, scope, occurrences)


def _with_battery(standing: Standing, battery: BatteryReport | None, news: _News, options: Options) -> Standing:
    if battery is None:
        return standing
    turn = model.battery_turn(standing, battery.percent, options.low_battery)
    warnings = standing.warnings
    if turn is not None:
        charging = UNSET if battery.charging is None else battery.charging
        definition = events.BATTERY_LOW if turn == "low" else events.BATTERY_RECOVERED
        news.tell(definition, events.BatteryLevel(uid=news.device, percent=battery.percent, charging=charging))
        warnings = model.without_low_battery(warnings)
        if turn == "low":
            warnings = (model.low_battery_warning(battery.percent, news.timing.at), *warnings)
    return msgspec.structs.replace(standing, battery_level=battery.percent, warnings=warnings)


def _with_conditions(standing: Standing, report: Report, news: _News) -> Standing:
    at = news.timing.at
    errors = standing.errors if report.errors is None else model.replaced(standing.errors, report.errors, at)
    warnings = standing.warnings if report.warnings is None else model.replaced(standing.warnings, report.warnings, at)
    changed = {"errors": _changes(standing.errors, errors), "warnings": _changes(standing.warnings, warnings)}
    if any(change is not UNSET for change in changed.values()):
        news.tell(events.CONDITIONS_CHANGED, events.ConditionsChanged(uid=news.device, **changed))
    return msgspec.structs.replace(standing, errors=errors, warnings=warnings)


def _changes(before: Sequence[Condition], after: Sequence[Condition]) -> events.CodeChanges | UnsetType:
    old, new = ({condition.code for condition in conditions} for conditions in (before, after))
    if old == new:
        return UNSET
    return events.CodeChanges(added=tuple(sorted(new - old)), removed=tuple(sorted(old - new)))


def _measure(
    tx: Transaction, scope: Scope, device_uid: bytes, measurements: Sequence[Measurement], news: _News
) -> list[Ignored]:
    known = store.find_readings(tx, scope, device_uid, [measurement.name for measurement in measurements])
    ignored = []
    for number, measurement in enumerate(measurements):
        before = known.get(measurement.name)
        if before is not None and news.timing.at < before.updated_at:
            ignored.append(Ignored(f"/telemetry/{number}", "late_measurement"))
            continue
        reading = Reading(measurement.data, news.timing.at)
        store.put_reading(tx, scope, device_uid, measurement.name, reading)
        if before is None or before.data != measurement.data:
            news.tell(events.TELEMETRY_UPDATED, _measured(news, measurement))
    if len(known) < len(measurements) and store.count_readings(tx, scope, device_uid) > model.MOST_MEASUREMENTS:
        raise Conflict(f"A device has telemetry under at most {model.MOST_MEASUREMENTS} names.")
    return ignored


def _measured(news: _News, measurement: Measurement) -> events.DeviceTelemetryRecordUpdated:
    data: Any = msgspec.Raw(measurement.data)
    return events.DeviceTelemetryRecordUpdated(
        owner=news.owner,
        type="Device.Telemetry.DeviceTelemetryRecordUpdated",
        device_uid=news.device,
        device_identity_hash=news.device,
        name=measurement.name,
        data=data,
    )
