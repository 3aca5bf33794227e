"""`/v1/access-codes`, and the reports by which connectors tell what a lock holds."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, UnsetType

from heliograph.access_codes import actions
from heliograph.access_codes.actions import Late, Plan, Postponed
from heliograph.access_codes.applying import Counts
from heliograph.access_codes.model import (
    LONGEST_NAME,
    MOST_CODES,
    AccessCode,
    CodeFilter,
    CodeReport,
    CodeType,
    GivenCode,
    Status,
    read_report,
    report_time,
)
from heliograph.access_codes.pins import Pins
from heliograph.access_codes.reporting import sealed_parts
from heliograph.devices.model import Condition, fold_prefix
from heliograph.errors import Fault, Invalid, Unavailable
from heliograph.http.jobs import body_of as job_body_of
from heliograph.http.lists import (
    ListQuery,
    TenantQuery,
    UidText,
    etag,
    resume_after_uid,
    uid_list_response,
)
from heliograph.http.messages import Request, Response, json_response
from heliograph.http.reports import TimeText
from heliograph.ids import Uid, as_hex, new_uid, parse_uid
from heliograph.jobs import actions as jobs
from heliograph.jobs.model import Job
from heliograph.strict_json import refuse_crowd
from heliograph.tenancy.model import Scope
from heliograph.times import parse_time, print_optional_time, print_time

NOT_KEPT = (b"cache-control", b"no-store")
"""Header of answers with PINs: nobody on the way is to keep them (RFC 9111 section 5.2.2.5)."""

READ, READ_PIN = "read access_code.tenant", "read_pin access_code.tenant"
REPORT = "report access_code.tenant"

LARGE_BODY = 1024 * 1024
"""Bytes from which on only one report is taken apart at a time."""

VALUES_PER_CODE, OBJECTS_PER_CODE = 12, 4
"""Far more than a code has, for its name may hold commas and braces too."""

TURNS = 5
"""How often a report is compared anew when something came between, until a job does it in peace."""


class AccessCodeReport(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """What a lock holds: all of it when `complete`, so that what is not there is gone, else some of it.

    Each code has an `externalId`, the lock's own id for it, or a `code`, its PIN, or both; a lock gives ids always or
    never. What is not said of a code has not changed.
    """

    complete: bool
    codes: Annotated[list[GivenCode], msgspec.Meta(max_length=MOST_CODES)]
    reported_at: TimeText | None = None


class RefusedCode(msgspec.Struct, frozen=True):
    """A code that was left out, by its pointer, and why."""

    pointer: str
    rule: str
    message: str


class AccessCodeReportBody(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What became of a report: the codes that are known to be `discovered`, `vanished`, `changed` or as before.

    One that is older than `latestReportedAt`, the latest that was taken, has no effect.
    """

    applied: bool
    reason: Literal["late_report"] | UnsetType = UNSET
    latest_reported_at: str | UnsetType = UNSET
    discovered: int = 0
    vanished: int = 0
    changed: int = 0
    unchanged: int = 0
    refused: list[RefusedCode] = []


class AccessCodesQuery(ListQuery, frozen=True, kw_only=True, rename="camel"):
    """Which codes to list: those that pass every filter. One named several times is passed by any of its values.

    Names are compared whatever their case.
    """

    device_uid: tuple[UidText, ...] = ()
    managed: bool | None = None
    status: tuple[Status, ...] = ()
    name_prefix: Annotated[str, msgspec.Meta(max_length=LONGEST_NAME)] | None = None


class AccessCodeQuery(TenantQuery, frozen=True, kw_only=True, rename="camel"):
    """`pin=true` shows the PIN, to those who hold `read_pin access_code.tenant`."""

    pin: bool = False


class AccessCodeBody(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An access code. `code` is its PIN, left out unless it is asked for, and null when the lock hides it."""

    uid: str
    device_uid: str
    managed: bool
    status: Status
    type: CodeType
    name: str | None
    external_id: str | None
    has_pin: bool
    code: str | UnsetType | None = UNSET
    starts_at: str | None
    ends_at: str | None
    cannot_be_managed: bool
    cannot_delete: bool
    is_external_modification_allowed: bool
    errors: tuple[Condition, ...]
    warnings: tuple[Condition, ...]
    found_at: str | None
    created_at: str
    updated_at: str

    def __repr__(self) -> str:
        return "AccessCodeBody(...)"


class AccessCodeList(msgspec.Struct, frozen=True, rename="camel"):
    """A page of access codes, without their PINs."""

    data: list[AccessCodeBody]
    next_cursor: str | None


def body_of(code: AccessCode, pin: str | UnsetType | None = UNSET) -> AccessCodeBody:
    """Render an access code; without its PIN unless that is given."""
    return AccessCodeBody(
        uid=as_hex(code.uid),
        device_uid=as_hex(code.device_uid),
        managed=code.managed,
        status=code.status,
        type=code.type,
        name=code.name,
        external_id=code.external_id,
        has_pin=code.sealed_pin is not None,
        code=pin,
        starts_at=print_optional_time(code.starts_at),
        ends_at=print_optional_time(code.ends_at),
        cannot_be_managed=code.cannot_be_managed,
        cannot_delete=code.cannot_delete,
        is_external_modification_allowed=code.external_modification_allowed,
        errors=code.errors,
        warnings=code.warnings,
        found_at=print_optional_time(code.found_at),
        created_at=print_time(code.created_at),
        updated_at=print_time(code.updated_at),
    )


# -- reading --------------------------------------------------------------------------------------------------------


async def list_access_codes(request: Request) -> Response:
    """List the organization's access codes in the order in which they became known."""
    given = request.query(AccessCodesQuery)
    scope = await request.services.scope(request.known, READ, given.tenant_uid)
    wanted = CodeFilter(
        device_uids=tuple(parse_uid(text, "query/deviceUid") for text in given.device_uid),
        managed=given.managed,
        statuses=given.status,
        name_prefix=None if given.name_prefix is None else fold_prefix(given.name_prefix),
    )
    after = resume_after_uid(request, given)
    step = partial(actions.list_codes, scope=scope, wanted=wanted, after=after, limit=given.limit)
    return uid_list_response(request, given, await request.services.read(step), body_of)


async def show_access_code(request: Request) -> Response:
    """Return one access code, with its PIN when that is asked for and allowed."""
    given = request.query(AccessCodeQuery)
    services = request.services
    scope = await services.scope(request.known, READ, given.tenant_uid)
    if given.pin:
        await services.scope(request.known, READ_PIN, given.tenant_uid)
    uid = parse_uid(request.parameters["id"], "path/id")
    code = await services.read(partial(actions.get, scope=scope, uid=uid))
    pin: str | UnsetType | None = UNSET
    if given.pin:
        opened = Pins(services.sealer, scope).open(code.uid, code.sealed_pin)
        pin = None if opened is None else opened.reveal()
    headers = [etag(code.version), *([NOT_KEPT] if given.pin else [])]
    return json_response(200, body_of(code, pin), headers)


# -- reporting ------------------------------------------------------------------------------------------------------


async def report_access_codes(request: Request) -> Response:
    """Take what a lock holds: a few changes at once, many as a job."""
    services = request.services
    scope = await services.scope(request.known, REPORT, request.query(TenantQuery).tenant_uid)
    uid = parse_uid(request.parameters["uid"], "path/uid")
    pins = Pins(services.sealer, scope)
    now, most = services.store.clock.now(), services.settings.report_codes
    report = await _taken_apart(request, partial(_read, request, uid, pins, now, most))
    await services.read(partial(actions.footing_of, scope=scope, device_uid=uid))
    for _ in range(TURNS):
        plan = await _compared(request, scope, uid, report)
        if plan.is_long:
            break
        step = partial(actions.apply, scope=scope, device_uid=uid, plan=plan, pins=pins)
        outcome = await services.write(step, [scope.tenant_id])
        if not isinstance(outcome, Postponed):
            return _answer(outcome, report)
        if not outcome.comparison_is_stale:
            break
    return await _begin(request, scope, uid, plan)


async def _taken_apart(request: Request, read: partial[CodeReport]) -> CodeReport:
    async with AsyncExitStack() as stack:
        if len(request.body) >= LARGE_BODY:
            await stack.enter_async_context(request.services.large_work)
        return await request.services.compute(read)


async def _compared(request: Request, scope: Scope, uid: Uid, report: CodeReport) -> Plan:
    services = request.services
    async with AsyncExitStack() as stack:
        if report.complete and await services.read(partial(actions.is_large, scope=scope, device_uid=uid)):
            await stack.enter_async_context(services.large_work)
        surveyed = await services.read(partial(actions.survey, scope=scope, device_uid=uid, report=report))
        return await services.compute(partial(actions.plan, surveyed, report))


def _read(request: Request, device_uid: Uid, pins: Pins, now: int, most: int) -> CodeReport:
    refuse_crowd(request.body, VALUES_PER_CODE * MOST_CODES, OBJECTS_PER_CODE * MOST_CODES)
    given = request.json(AccessCodeReport)
    if len(given.codes) > most:
        raise Invalid.at("/codes", "max-items", f"At most {most} codes.")
    reported_at = None if given.reported_at is None else parse_time(given.reported_at, "/reportedAt")
    index = partial(pins.index, device_uid)
    return read_report(given.complete, report_time(reported_at, now), given.codes, index, received_at=now)


def _answer(outcome: Counts | Late, report: CodeReport) -> Response:
    refused = [_refused(fault) for fault in report.refused]
    if isinstance(outcome, Late):
        latest = print_time(outcome.latest)
        body = AccessCodeReportBody(applied=False, reason="late_report", latest_reported_at=latest)
        return json_response(200, body)
    body = AccessCodeReportBody(
        applied=True,
        discovered=outcome.discovered,
        vanished=outcome.vanished,
        changed=outcome.changed,
        unchanged=len(report.codes) - outcome.discovered - outcome.changed,
        refused=refused,
    )
    return json_response(200, body)


def _refused(fault: Fault) -> RefusedCode:
    return RefusedCode(fault.pointer, fault.rule, fault.message)


async def _begin(request: Request, scope: Scope, uid: bytes, plan: Plan) -> Response:
    """Keep the report and begin the job that applies it."""
    services = request.services
    for _ in range(TURNS):
        job_uid = new_uid()
        parts = await services.compute(partial(sealed_parts, services.sealer, job_uid, plan.report))
        outcome: Job | Late | Postponed | None = None
        try:
            await _keep(request, scope, job_uid, parts)
            step = partial(actions.begin, scope=scope, device_uid=uid, plan=plan, job_uid=job_uid)
            outcome = await services.write(step, [scope.tenant_id])
        finally:
            if not isinstance(outcome, Job):
                # A request that is cut off while its job is being begun must not take the report from the job.
                drop = partial(jobs.abandon_input, scope=scope, job_uid=job_uid)
                while await services.write(drop, [scope.tenant_id]):
                    pass
        if isinstance(outcome, Job):
            services.runner.notice()
            return json_response(202, job_body_of(outcome))
        if isinstance(outcome, Late):
            return _answer(outcome, plan.report)
    raise Unavailable("Other reports of the same lock come too fast; send this one again.")


async def _keep(request: Request, scope: Scope, job_uid: bytes, parts: Sequence[bytes]) -> None:
    for number, part in enumerate(parts):
        step = partial(jobs.put_input, scope=scope, job_uid=job_uid, part=number, content=part)
        await request.services.write(step, [scope.tenant_id])
