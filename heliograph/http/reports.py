"""`/v1/devices/{uid}/reports`: what devices say of themselves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from heliograph.devices import actions as devices
from heliograph.devices.model import check_document
from heliograph.errors import Fault, Invalid, NotFound
from heliograph.http.lists import TenantQuery
from heliograph.http.messages import Request, Response, json_response
from heliograph.ids import as_hex, parse_uid
from heliograph.presence import actions
from heliograph.presence.model import (
    Applied,
    BatteryReport,
    Complaint,
    IgnoredReason,
    Measurement,
    Options,
    Report,
    SessionReport,
)
from heliograph.storage.engine import Transaction
from heliograph.strict_json import END_OF_TEXT
from heliograph.tenancy.model import Scope
from heliograph.times import parse_time, print_time

REPORT = "report device.tenant"

LARGEST_MEASUREMENT = 64 * 1024
"""Bytes of one measurement's data as compact JSON."""

# Equal data must be equal bytes, in whatever order a device names its parts.
_encode_sorted = msgspec.json.Encoder(order="sorted").encode

_PRINTABLE = r"^[^\x00-\x1f\x7f-\x9f]*" + END_OF_TEXT
ShortText = Annotated[str, msgspec.Meta(min_length=1, max_length=100, pattern=_PRINTABLE)]
SessionId = Annotated[str, msgspec.Meta(min_length=1, max_length=255, pattern=_PRINTABLE)]
Message = Annotated[str, msgspec.Meta(max_length=1000)]
TimeText = Annotated[str, msgspec.Meta(max_length=64, extra_json_schema={"format": "date-time"})]


class SessionBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """Whether the device is connected; another `sessionId` than before is another connection."""

    state: Literal["online", "offline"]
    session_id: SessionId | None = None


class BatteryBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """The charge, from 0 for empty to 1 for full."""

    level: Annotated[float, msgspec.Meta(ge=0, le=1)]
    charging: bool | None = None


class MeasurementBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """One measurement: `data` is any JSON of at most 64 KiB."""

    name: ShortText
    data: Any


class ComplaintBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """An error or warning that the device has now."""

    code: ShortText
    message: Message


Complaints = Annotated[list[ComplaintBody], msgspec.Meta(max_length=100)]


class ReportBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """What a device says of itself; one that says nothing says that it is alive.

    `errors` and `warnings` take the place of those reported before.
    """

    reported_at: TimeText | None = None
    session: SessionBody | None = None
    battery: BatteryBody | None = None
    telemetry: Annotated[list[MeasurementBody], msgspec.Meta(max_length=100)] | None = None
    errors: Complaints | None = None
    warnings: Complaints | None = None


class IgnoredPart(msgspec.Struct, frozen=True, rename="camel"):
    """A part of the report that had no effect, by its pointer, and why."""

    pointer: str
    reason: IgnoredReason


class PresenceBody(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What is known of the device's presence after the report; `connectionUid` only while it is connected."""

    connected: bool
    connection_uid: str | UnsetType = UNSET
    last_seen_at: str
    ignored: list[IgnoredPart]


async def create_report(request: Request) -> Response:
    """Take over what a device says of itself."""
    scope = await request.services.scope(request.known, REPORT, request.query(TenantQuery).tenant_uid)
    uid = parse_uid(request.parameters["uid"], "path/uid")
    if request.caller.device_uid not in (None, uid):
        raise NotFound("There is no such device.")
    report = _read(request.json(ReportBody))
    options = Options(request.services.instance_uid, request.services.settings.low_battery)
    step = partial(_apply, scope=scope, uid=uid, report=report, options=options)
    applied = await request.services.write(step, [scope.tenant_id])
    return json_response(200, _body_of(applied))


def _apply(tx: Transaction, scope: Scope, uid: bytes, report: Report, options: Options) -> Applied:
    return actions.apply(tx, scope, devices.get(tx, scope, uid), report, options)


def _body_of(applied: Applied) -> PresenceBody:
    presence = applied.presence
    return PresenceBody(
        connected=presence.connection_uid is not None,
        connection_uid=UNSET if presence.connection_uid is None else as_hex(presence.connection_uid),
        last_seen_at=print_time(presence.last_seen_at),
        ignored=[IgnoredPart(part.pointer, part.reason) for part in applied.ignored],
    )


def _read(body: ReportBody) -> Report:
    """Check what the types cannot say.

    Raises:
        Invalid: with a fault for every broken rule.
    """
    reported_at = None if body.reported_at is None else parse_time(body.reported_at, "/reportedAt")
    faults: list[Fault] = []
    for number, item in enumerate(body.telemetry or ()):
        try:
            check_document(item.data, f"/telemetry/{number}/data", LARGEST_MEASUREMENT)
        except Invalid as refusal:
            faults += refusal.faults
    faults += repeated("/telemetry/{}/name", (item.name for item in body.telemetry or ()))
    for place, complaints in (("errors", body.errors), ("warnings", body.warnings)):
        faults += repeated(f"/{place}/{{}}/code", (item.code for item in complaints or ()))
    if faults:
        raise Invalid("The report is not valid.", tuple(faults))
    return Report(
        reported_at=reported_at,
        session=None if body.session is None else SessionReport(body.session.state, body.session.session_id),
        battery=None if body.battery is None else BatteryReport(round(body.battery.level * 100), body.battery.charging),
        telemetry=tuple(Measurement(item.name, _encode_sorted(item.data)) for item in body.telemetry or ()),
        errors=_complaints(body.errors),
        warnings=_complaints(body.warnings),
    )


def repeated(pointer: str, words: Iterable[str]) -> list[Fault]:
    """Return a fault for each word that came before; `pointer` has `{}` where its number belongs."""
    seen: Counter[str] = Counter()
    faults = []
    for number, word in enumerate(words):
        seen[word] += 1
        if seen[word] > 1:
            faults.append(Fault(pointer.format(number), "unique", f"{word!r} is here more than once."))
    return faults


def _complaints(bodies: Sequence[ComplaintBody] | None) -> tuple[Complaint, ...] | None:
    return None if bodies is None else tuple(Complaint(body.code, body.message) for body in bodies)
