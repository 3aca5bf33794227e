"""`/v1/deliveries`: events on their way to endpoints, and the attempts at them."""

from __future__ import annotations

import base64
import hashlib
from functools import partial
from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from heliograph.delivery import actions
from heliograph.delivery.model import AttemptRecord, Delivery, DeliveryFilter, State, Timing, parse_delivery_id
from heliograph.delivery.outcome import OutcomeClass
from heliograph.endpoints import reach
from heliograph.errors import Denied, Invalid, NotFound
from heliograph.eventlog.cursors import Cursor, read_cursor, write_cursor
from heliograph.http.events import read_time
from heliograph.http.lists import CursorText, Limit, ListQuery, UidText
from heliograph.http.messages import Request, Response, json_response
from heliograph.http.reports import TimeText
from heliograph.http.services import change
from heliograph.ids import as_hex, as_uuid, parse_uid
from heliograph.storage.engine import Transaction
from heliograph.tenancy import access
from heliograph.tenancy.model import Caller, Scope
from heliograph.times import print_optional_time, print_time

READ, RESEND = "read delivery.tenant", "resend delivery.tenant"

_encode = msgspec.json.Encoder().encode
_encode_sorted = msgspec.json.Encoder(order="deterministic").encode


class DeliveriesQuery(ListQuery, frozen=True, kw_only=True, rename="camel"):
    """Which deliveries to list: those that pass every filter. One named several times is passed by any of its values.

    `from` and `to` bound, half-open, when the event was recorded; either may be missing, and `to` alone means all
    before it. `errorClass` is that of the last attempt.
    """

    endpoint_uid: UidText | None = None
    event_id: UidText | None = None
    state: tuple[State, ...] = ()
    error_class: tuple[OutcomeClass, ...] = ()
    since: TimeText | None = msgspec.field(default=None, name="from")
    until: TimeText | None = msgspec.field(default=None, name="to")
    include: Literal["subtree"] | None = None


class AttemptsQuery(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A page of attempts."""

    limit: Limit = 100
    cursor: CursorText | None = None


class DeliveryBody(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An event on its way to an endpoint.

    `dueAt` is when it is tried next, null once it is settled. `attempts` counts those that were begun. `errorClass` is
    that of the last one, null when it succeeded.
    """

    id: str
    tenant_uid: str
    endpoint_uid: str
    event_id: str
    seq: int
    state: State
    attempts: int
    error_class: str | None
    due_at: str | None
    created_at: str
    settled_at: str | None


class DeliveryList(msgspec.Struct, frozen=True, rename="camel"):
    """A page of deliveries, those of the newest events first; it may be short and still not be the last."""

    data: list[DeliveryBody]
    next_cursor: str | None


class HeaderItem(msgspec.Struct, frozen=True):
    """A header as it was sent."""

    name: str
    value: str


class ExchangeBody(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What was sent and what came back; values of the endpoint's own headers are hidden.

    `responseHeaders` are the first of the answer's, whole ones of 8 KiB together at most. `body` is the first 16 KiB of
    the answer's as text, `bodyData` as base64 where it is none; it is `truncated` when there was more.
    """

    url: str
    address: str | None
    http_version: str | None
    request_headers: list[HeaderItem]
    response_headers: list[HeaderItem]
    body: str | UnsetType = UNSET
    body_data: str | UnsetType = UNSET
    truncated: bool


class DeliveryAttemptBody(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One attempt at a delivery. Of `timing`, in microseconds, `firstByte` and `total` count from its beginning.

    `exchange` is null when the endpoint belongs to a tenant whose deliveries the key may not read, or was removed.
    """

    number: int
    started_at: str
    error_class: str
    status: int | None
    message: str
    timing: Timing
    exchange: ExchangeBody | None


class DeliveryAttemptList(msgspec.Struct, frozen=True, rename="camel"):
    """A page of attempts, the first one first."""

    data: list[DeliveryAttemptBody]
    next_cursor: str | None


def body_of(one: Delivery) -> DeliveryBody:
    """Render a delivery."""
    return DeliveryBody(
        id=one.id,
        tenant_uid=one.tenant_uid,
        endpoint_uid=as_hex(one.endpoint_uid),
        event_id=as_uuid(one.event_uid),
        seq=one.seq,
        state=one.state,
        attempts=one.attempts,
        error_class=one.error_class,
        due_at=print_time(one.due_at) if one.state == "pending" else None,
        created_at=print_time(one.created_at),
        settled_at=print_optional_time(one.settled_at),
    )


def attempt_body_of(one: AttemptRecord, *, whole: bool) -> DeliveryAttemptBody:
    """Render an attempt, with what was exchanged or without."""
    detail = one.detail
    exchange = None
    if whole:
        text, data = _text_or_data(detail.body)
        exchange = ExchangeBody(
            url=detail.url,
            address=detail.address,
            http_version=detail.http_version,
            request_headers=[HeaderItem(*header) for header in detail.request_headers],
            response_headers=[HeaderItem(*header) for header in detail.response_headers],
            body=text,
            body_data=data,
            truncated=detail.truncated,
        )
    return DeliveryAttemptBody(
        number=one.number,
        started_at=print_time(one.started_at),
        error_class=one.error_class,
        status=one.status,
        message=detail.message,
        timing=detail.timing,
        exchange=exchange,
    )


def _text_or_data(body: bytes) -> tuple[str | UnsetType, str | UnsetType]:
    try:
        return body.decode(), UNSET
    except UnicodeDecodeError:
        return UNSET, base64.b64encode(body).decode()


# -- what the handlers share ----------------------------------------------------------------------------------------


async def _named(request: Request, permission: str) -> tuple[Scope, bytes, int]:
    """Return the right in the tenant that the delivery's id names, and its endpoint and seq.

    Raises:
        NotFound: when the id cannot be read, or names a tenant that the caller does not see.
    """
    endpoint_uid, tenant_uid, seq = parse_delivery_id(request.parameters["deliveryId"])
    try:
        scope = await request.services.scope(request.known, permission, tenant_uid)
    except NotFound:
        raise NotFound("There is no such delivery.") from None
    return scope, endpoint_uid, seq


def _reaches_owner(tx: Transaction, caller: Caller, scope: Scope, endpoint_uid: bytes) -> bool:
    """Tell whether the caller has the scope's right in the tenant that owns an endpoint, too: maybe one above."""
    owner_id = reach.owner_of(tx, scope, endpoint_uid)
    return owner_id is not None and bool(access.reach(tx, caller, scope.permission, [owner_id]))


def _question(request: Request, given: Any) -> bytes:
    filters = msgspec.to_builtins(given)
    del filters["limit"], filters["cursor"]
    filters["tenantUid"] = filters.get("tenantUid") or request.caller.tenant_uid
    return hashlib.blake2b(_encode_sorted((request.scope["path"], filters)), digest_size=8).digest()


# -- handlers -------------------------------------------------------------------------------------------------------


async def list_deliveries(request: Request) -> Response:
    """List deliveries of the tenant's events, the newest event first."""
    given = request.query(DeliveriesQuery)
    services = request.services
    scope = await services.scope(request.known, READ, given.tenant_uid, subtree=given.include is not None)
    question, after = _question(request, given), None
    if given.cursor is not None:
        tenant_id, seq, high, low = read_cursor(given.cursor, question, services.sealer).places[0]
        after = (tenant_id, seq, high.to_bytes(8, "big") + low.to_bytes(8, "big"))
    step = partial(actions.list_deliveries, scope=scope, wanted=_filter(given), after=after, limit=given.limit)
    found, place = await services.read(step)
    cursor = None
    if place is not None:
        # The first place of a log stands before every endpoint.
        uid = place[2].rjust(16, b"\0")
        where = (place[0], place[1], int.from_bytes(uid[:8], "big"), int.from_bytes(uid[8:], "big"))
        cursor = write_cursor(Cursor(question, (where,)), services.sealer)
    return json_response(200, DeliveryList([body_of(one) for one in found], cursor))


def _filter(given: DeliveriesQuery) -> DeliveryFilter:
    since = None if given.since is None else read_time(given.since, "query/from")
    until = None if given.until is None else read_time(given.until, "query/to")
    if since is not None and until is not None and since > until:
        raise Invalid.at("query/from", "range", "'from' lies after 'to'.")
    return DeliveryFilter(
        endpoint_uid=None if given.endpoint_uid is None else parse_uid(given.endpoint_uid, "query/endpointUid"),
        event_uid=None if given.event_id is None else parse_uid(given.event_id, "query/eventId"),
        states=given.state,
        error_classes=given.error_class,
        since=since,
        until=until,
    )


async def show_delivery(request: Request) -> Response:
    """Return one delivery."""
    scope, endpoint_uid, seq = await _named(request, READ)
    step = partial(actions.get, scope=scope, endpoint_uid=endpoint_uid, seq=seq)
    return json_response(200, body_of(await request.services.read(step)))


async def list_attempts(request: Request) -> Response:
    """List the attempts at a delivery, the first one first."""
    given = request.query(AttemptsQuery)
    scope, endpoint_uid, seq = await _named(request, READ)
    question, after = _question(request, given), 0
    if given.cursor is not None:
        after = read_cursor(given.cursor, question, request.services.sealer).places[0][0]
    caller = request.caller

    def read(tx: Transaction) -> tuple[list[AttemptRecord], int | None, bool]:
        found, last = actions.list_attempts(tx, scope, endpoint_uid, seq, after, given.limit)
        return found, last, _reaches_owner(tx, caller, scope, endpoint_uid)

    found, last, whole = await request.services.read(read)
    cursor = None if last is None else write_cursor(Cursor(question, ((last,),)), request.services.sealer)
    return json_response(200, DeliveryAttemptList([attempt_body_of(one, whole=whole) for one in found], cursor))


async def resend_delivery(request: Request) -> Response:
    """Let a delivery be tried again, by the whole schedule."""
    scope, endpoint_uid, seq = await _named(request, RESEND)
    caller = request.caller

    def act(tx: Transaction) -> tuple[bytes, bytes]:
        sent = actions.resend(tx, scope, endpoint_uid, seq)
        if not _reaches_owner(tx, caller, scope, endpoint_uid):
            raise Denied(f"This needs the permission '{RESEND}' on the tenant that owns the endpoint.")
        body = _encode(body_of(sent))
        return body, body

    return await change(request, scope, act, status=202)
