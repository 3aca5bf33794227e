"""`/v1/device-operations`: what connectors fetch, do at devices, and complete."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import Annotated

import msgspec

from heliograph.access_codes import completing, requests
from heliograph.access_codes.changes import OperationKind, needs_pin, read_request
from heliograph.access_codes.model import CodeType
from heliograph.access_codes.pins import Pins
from heliograph.clock import MICROSECONDS
from heliograph.devices.model import Condition
from heliograph.errors import Invalid
from heliograph.http.lists import ListQuery, TenantQuery, UidText, resume_after_uid, uid_list_response
from heliograph.http.messages import Request, Response, json_response
from heliograph.http.reports import TimeText
from heliograph.http.waiting import until_gone
from heliograph.ids import as_hex, parse_uid
from heliograph.operations import actions
from heliograph.operations.model import (
    LONGEST_CODE,
    LONGEST_EXTERNAL_ID,
    LONGEST_MESSAGE,
    LONGEST_WAIT,
    MOST_AT_ONCE,
    MOST_CONDITIONS,
    Completion,
    Operation,
    Outcome,
    Said,
    State,
    Wanted,
)
from heliograph.strict_json import END_OF_TEXT
from heliograph.tenancy.model import Scope
from heliograph.times import parse_time, print_optional_time, print_time

TAKE = "report access_code.tenant"
READ = "read access_code.tenant"

_PRINTABLE = r"^[^\x00-\x1f\x7f-\x9f]*" + END_OF_TEXT
ConditionCode = Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST_CODE, pattern=_PRINTABLE)]
ExternalId = Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST_EXTERNAL_ID, pattern=_PRINTABLE)]
Message = Annotated[str, msgspec.Meta(max_length=LONGEST_MESSAGE)]


class OperationsQuery(TenantQuery, frozen=True, kw_only=True, rename="camel"):
    """Which operations to take, and for how many seconds to wait for the first; of some devices or accounts only."""

    wait: Annotated[int, msgspec.Meta(ge=0, le=LONGEST_WAIT)] = 0
    limit: Annotated[int, msgspec.Meta(ge=1, le=MOST_AT_ONCE)] = 10
    device_uid: tuple[UidText, ...] = ()
    connected_account_uid: tuple[UidText, ...] = ()


class OperationCode(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """An access code as the lock should hold it, or as it holds the one to convert or remove.

    `code` is the PIN, there when operations are taken and the connector cannot do without it.
    """

    external_id: str | None
    name: str | None
    type: CodeType
    starts_at: str | None
    ends_at: str | None
    code: str | msgspec.UnsetType | None = msgspec.UNSET


class OperationError(msgspec.Struct, frozen=True, rename="camel"):
    """Why an operation failed."""

    error_code: str
    message: str
    created_at: str


class OperationWarning(msgspec.Struct, frozen=True, rename="camel"):
    """What a connector noticed."""

    warning_code: str
    message: str
    created_at: str


class OperationBody(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What a connector is asked to do at a device, and how it ended.

    It has failed when nobody completes it until `deadline`; until `leasedUntil` it is offered to nobody else.
    """

    uid: str
    kind: OperationKind
    state: State
    device_uid: str
    connected_account_uid: str
    access_code_uid: str
    access_code: OperationCode
    force: bool
    is_external_modification_allowed: bool
    created_at: str
    deadline: str
    leased_until: str | None
    attempts: int
    completed_at: str | None
    occurred_at: str | None
    errors: list[OperationError]
    warnings: list[OperationWarning]


class OperationBatch(msgspec.Struct, frozen=True):
    """Operations that were taken, the oldest first; none when nothing is to be done."""

    data: list[OperationBody]


class OperationList(msgspec.Struct, frozen=True, rename="camel"):
    """A page of the operations about an access code, the newest first."""

    data: list[OperationBody]
    next_cursor: str | None


class GivenError(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """Why the lock did not do it; codes are open, and those of the table of causes are understood."""

    error_code: ConditionCode
    message: Message | None = None


class GivenWarning(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """Something worth a look, whatever the outcome."""

    warning_code: ConditionCode
    message: Message | None = None


class CompletionGiven(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """How an operation ended. `externalId` is the lock's own id of the code; `occurredAt` is the lock's time."""

    outcome: Outcome
    occurred_at: TimeText | None = None
    external_id: ExternalId | None = None
    errors: Annotated[list[GivenError], msgspec.Meta(max_length=MOST_CONDITIONS)] = []
    warnings: Annotated[list[GivenWarning], msgspec.Meta(max_length=MOST_CONDITIONS)] = []


def body_of(operation: Operation, pin: str | msgspec.UnsetType | None = msgspec.UNSET) -> OperationBody:
    """Render an operation, without a PIN unless that is given."""
    asked = read_request(operation.request)
    code = asked.code
    return OperationBody(
        uid=as_hex(operation.uid),
        kind=msgspec.convert(operation.kind, OperationKind),
        state=operation.state,
        device_uid=as_hex(operation.device_uid),
        connected_account_uid=as_hex(operation.account_uid),
        access_code_uid=as_hex(operation.subject_uid),
        access_code=OperationCode(
            external_id=code.external_id,
            name=code.name,
            type=code.type,
            starts_at=print_optional_time(code.starts_at),
            ends_at=print_optional_time(code.ends_at),
            code=pin,
        ),
        force=asked.force,
        is_external_modification_allowed=asked.external_modification_allowed,
        created_at=print_time(operation.created_at),
        deadline=print_time(operation.deadline),
        leased_until=print_optional_time(operation.leased_until or None),
        attempts=operation.attempts,
        completed_at=print_optional_time(operation.completed_at),
        occurred_at=print_optional_time(operation.occurred_at),
        errors=[OperationError(*_parts(one)) for one in operation.errors],
        warnings=[OperationWarning(*_parts(one)) for one in operation.warnings],
    )


def _parts(condition: Condition) -> tuple[str, str, str]:
    return condition.code, condition.message, condition.created_at


# -- taking ---------------------------------------------------------------------------------------------------------


async def take_operations(request: Request) -> Response:
    """Give the connector what is to be done, as soon as there is something."""
    given = request.query(OperationsQuery)
    services = request.services
    scope = await services.scope(request.known, TAKE, given.tenant_uid)
    wanted = Wanted(
        device_uids=tuple(parse_uid(text, "query/deviceUid") for text in given.device_uid),
        account_uids=tuple(parse_uid(text, "query/connectedAccountUid") for text in given.connected_account_uid),
    )
    if request.scope["method"] == "HEAD":
        return json_response(200, OperationBatch([]))  # whoever does not read them must not hold them
    gone = asyncio.ensure_future(until_gone(request.receive))
    try:
        taken = await _taken(request, scope, wanted, given, gone)
    finally:
        gone.cancel()
    pins = Pins(services.sealer, scope)
    return json_response(200, OperationBatch([_for_connector(one, pins) for one in taken]))


async def _taken(
    request: Request, scope: Scope, wanted: Wanted, given: OperationsQuery, gone: asyncio.Task[None]
) -> list[Operation]:
    services = request.services
    end = time.monotonic() + given.wait
    lease = services.settings.operation_lease * MICROSECONDS
    take = partial(
        actions.take, scope=scope, wanted=wanted, holder=request.caller.credential, lease=lease, limit=given.limit
    )  # fmt: skip
    while not gone.done():
        signal = services.operations.signal(scope.tenant_id)
        # Looking costs no commit, and a connector looks often.
        if await services.read(partial(actions.are_offered, scope=scope, wanted=wanted)):
            taken = await services.write(take, [scope.tenant_id])
            if taken:
                return taken
        left = end - time.monotonic()
        if left <= 0 or services.operations.closing:
            break
        await services.operations.wait(signal, left, gone)
    return []


def _for_connector(operation: Operation, pins: Pins) -> OperationBody:
    request = read_request(operation.request)
    if not needs_pin(operation.kind, request):
        return body_of(operation)
    pin = pins.open(operation.subject_uid, request.code.sealed_pin)
    return body_of(operation, None if pin is None else pin.reveal())


# -- looking, completing --------------------------------------------------------------------------------------------


async def show_operation(request: Request) -> Response:
    """Return one operation."""
    scope = await request.services.scope(request.known, TAKE, request.query(TenantQuery).tenant_uid)
    uid = parse_uid(request.parameters["id"], "path/id")
    return json_response(200, body_of(await request.services.read(partial(actions.get, scope=scope, uid=uid))))


async def list_code_operations(request: Request) -> Response:
    """List the operations about one access code, the newest first."""
    given = request.query(ListQuery)
    services = request.services
    scope = await services.scope(request.known, READ, given.tenant_uid)
    uid = parse_uid(request.parameters["id"], "path/id")
    before = resume_after_uid(request, given)
    step = partial(requests.list_operations, scope=scope, uid=uid, before=before, limit=given.limit)
    return uid_list_response(request, given, await services.read(step), body_of)


async def complete_operation(request: Request) -> Response:
    """Take what the connector says about an operation that it was given."""
    services = request.services
    scope = await services.scope(request.known, TAKE, request.query(TenantQuery).tenant_uid)
    uid = parse_uid(request.parameters["id"], "path/id")
    step = partial(
        completing.complete, scope=scope, uid=uid, holder=request.caller.credential,
        completion=_completion_of(request.json(CompletionGiven)), pins=Pins(services.sealer, scope),
    )  # fmt: skip
    return json_response(200, body_of(await services.write(step, [scope.tenant_id])))


def _completion_of(given: CompletionGiven) -> Completion:
    if given.outcome == "succeeded" and given.errors:
        raise Invalid.at("/errors", "outcome", "An operation that succeeded has no errors; warnings say the rest.")
    return Completion(
        outcome=given.outcome,
        occurred_at=None if given.occurred_at is None else parse_time(given.occurred_at, "/occurredAt"),
        external_id=given.external_id,
        errors=tuple(Said(one.error_code, one.message) for one in given.errors),
        warnings=tuple(Said(one.warning_code, one.message) for one in given.warnings),
    )
