"""`POST /v1/events`: one event or many on their way in, and what is answered."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from functools import partial

import msgspec

from heliograph.catalog.actions import own_types
from heliograph.catalog.types import Compiled, check
from heliograph.errors import Conflict, Fault, Refusal, TooLarge, UnsupportedMediaType
from heliograph.eventlog import cloudevents
from heliograph.eventlog.cloudevents import Mode
from heliograph.eventlog.model import EventDraft
from heliograph.eventlog.submission import read_array, read_event, read_lines
from heliograph.http.lists import TenantQuery
from heliograph.http.messages import Request, Response
from heliograph.http.problems import FaultBody, problem_of
from heliograph.http.services import Services, request_identity
from heliograph.publish import Contradicted, Identity, Outcome, Repeated, Submission
from heliograph.settings import Settings
from heliograph.tenancy.model import Scope
from heliograph.times import print_time

CREATE = "create event.tenant"
NDJSON = ("application/x-ndjson", "application/ndjson", "application/jsonl")
Accept = Callable[[EventDraft], EventDraft]

_encode = msgspec.json.Encoder().encode


class ReceiptBody(msgspec.Struct, frozen=True, rename="camel"):
    """What the log answers for a stored event; `seq` is its place in the tenant's log."""

    id: str
    seq: int
    tenant_uid: str
    recorded_at: str


class ItemBody(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, gc=False):
    """What became of one event of a batch: 201 stored, 200 stored before, else refused for the faults in `errors`."""

    index: int
    status: int
    id: str | None = None
    seq: int | None = None
    recorded_at: str | None = None
    detail: str | None = None
    errors: list[FaultBody] = []


class BatchBody(msgspec.Struct, frozen=True, rename="camel"):
    """What became of a batch, with one result for each event, in their order."""

    accepted: int
    repeated: int
    refused: int
    results: list[ItemBody]


async def create_events(request: Request) -> Response:
    """Store one event or a batch, and answer after the commit."""
    query_string = request.scope["query_string"]
    tenant_uid = request.query(TenantQuery).tenant_uid if query_string else None
    services = request.services
    scope = request.known.scopes.get((CREATE, None, False)) if tenant_uid is None else None
    if scope is None:
        scope = await services.scope(request.known, CREATE, tenant_uid)
    types = services.types.find(scope)
    if types is None:
        changes = services.types.changes
        types = services.types.keep(scope, await services.read(partial(own_types, scope=scope)), changes)
    mode = _mode_of(request)
    drafts = _drafts_of(request, mode)
    accept = partial(_accept, services, types, scope, mode)
    identity = request_identity(request) if request.has_header(b"idempotency-key") else None
    if isinstance(drafts, EventDraft):
        return await _create_one(request, scope, drafts, accept, identity)
    return await _create_batch(request, scope, drafts, accept, identity)


def _mode_of(request: Request) -> Mode | None:
    if request.has_header(b"ce-specversion") or request.content_type.startswith("application/cloudevents"):
        return cloudevents.mode_of(request.scope["headers"])
    return None


def _drafts_of(request: Request, mode: Mode | None) -> EventDraft | list[EventDraft | Refusal]:
    """Read the body in whatever way its content type says."""
    settings = request.services.settings
    body = request.body
    content_type = request.content_type
    if mode is Mode.BATCH:
        return list(cloudevents.parse_batch(body, settings.batch_events, settings.event_bytes))
    if mode is None and content_type in NDJSON:
        return _read_items(read_lines(body), settings)
    if mode is None and content_type == "application/json" and body.lstrip()[:1] == b"[":
        return _read_items(read_array(body), settings)
    if len(body) > settings.event_bytes:
        raise TooLarge(f"An event has at most {settings.event_bytes} bytes; send many as a batch.")
    if mode is Mode.STRUCTURED:
        return cloudevents.parse_structured(body)
    if mode is Mode.BINARY:
        return cloudevents.parse_binary(request.scope["headers"], body)
    if content_type != "application/json":
        raise UnsupportedMediaType.at(
            "header/content-type",
            "media-type",
            "Send application/json, application/x-ndjson, application/cloudevents+json,"
            " application/cloudevents-batch+json, or a CloudEvent in ce- headers.",
        )
    return read_event(body)


def _read_items(items: Sequence[bytes], settings: Settings) -> list[EventDraft | Refusal]:
    if len(items) > settings.batch_events:
        raise TooLarge.at("", "max-items", f"A batch has at most {settings.batch_events} events.")
    return [_read_item(item, n, settings.event_bytes) for n, item in enumerate(items)]


def _read_item(item: bytes, index: int, largest: int) -> EventDraft | Refusal:
    try:
        if len(item) > largest:
            raise TooLarge.at("", "max-bytes", f"An event has at most {largest} bytes.")
        return read_event(item)
    except Refusal as refusal:
        return _in_batch(refusal, index)


def _in_batch(refusal: Refusal, index: int) -> Refusal:
    refusal.faults = tuple(Fault(f"/{index}{f.pointer}", f.rule, f.message) for f in refusal.faults)
    return refusal


def _accept(
    services: Services, types: dict[str, Compiled], scope: Scope, mode: Mode | None, draft: EventDraft
) -> EventDraft:
    """Complete an event by its type, or refuse it at the places where its sender wrote what is wrong."""
    try:
        services.event_limits.check(draft, services.store.clock)
        return check(draft, types, scope)
    except Refusal as refusal:
        if mode is not None:
            refusal.faults = cloudevents.relocated(refusal.faults, mode)
        raise


async def _create_one(
    request: Request, scope: Scope, draft: EventDraft, accept: Accept, identity: Identity | None
) -> Response:
    services = request.services
    event = services.preparer.prepare(accept(draft), scope.actor)
    own = None if draft.source is None else [_identity_of(draft)]
    submission = Submission(scope, [event], partial(_receipt, scope.tenant_uid), own, identity)
    answer = await services.submit(submission)
    if answer.conflict:
        raise Conflict("The Idempotency-Key was used before for a different request.")
    if answer.outcomes and isinstance(answer.outcomes[0], Contradicted):
        raise Conflict("Another event was stored before under the same source and id.")
    return Response(200 if answer.repeated else 201, answer.body)


def _identity_of(draft: EventDraft) -> Identity | None:
    """Name an event as it was sent: the defaults of its type may have changed when it is sent again."""
    pair = cloudevents.dedup_identity(draft)
    if pair is None:
        return None
    source, source_id = pair
    key = hashlib.sha256(f"event\0{len(source)}\0{source}\0{source_id}".encode()).digest()
    return Identity(key, cloudevents.fingerprint(draft))


def _receipt(tenant_uid: str, outcomes: Sequence[Outcome]) -> bytes:
    outcome = outcomes[0]
    if isinstance(outcome, Contradicted):
        return b""
    receipt = outcome.receipt if isinstance(outcome, Repeated) else outcome
    return _encode(ReceiptBody(receipt.id, receipt.seq, tenant_uid, print_time(receipt.recorded_at)))


async def _create_batch(
    request: Request,
    scope: Scope,
    drafts: list[EventDraft | Refusal],
    accept: Accept,
    identity: Identity | None,
) -> Response:
    services = request.services
    checked = [_check_item(draft, n, accept) for n, draft in enumerate(drafts)]
    accepted = [draft for draft in checked if isinstance(draft, EventDraft)]
    refused = {n: draft for n, draft in enumerate(checked) if isinstance(draft, Refusal)}
    as_sent = (sent for sent, kept in zip(drafts, checked, strict=True) if isinstance(kept, EventDraft))
    own = [_identity_of(draft) for draft in as_sent if isinstance(draft, EventDraft)]
    submission = Submission(
        scope,
        [services.preparer.prepare(draft, scope.actor) for draft in accepted],
        partial(_batch_body, len(drafts), refused),
        own if any(own) else None,
        identity,
    )
    answer = await services.submit(submission)
    if answer.conflict:
        raise Conflict("The Idempotency-Key was used before for a different request.")
    if answer.repeated and not answer.outcomes:
        return Response(200, answer.body)
    mixed = refused or any(isinstance(outcome, Contradicted) for outcome in answer.outcomes)
    return Response(207 if mixed else 200 if answer.repeated else 201, answer.body)


def _check_item(draft: EventDraft | Refusal, index: int, accept: Accept) -> EventDraft | Refusal:
    if isinstance(draft, Refusal):
        return draft
    try:
        return accept(draft)
    except Refusal as refusal:
        return _in_batch(refusal, index)


def _batch_body(count: int, refused: dict[int, Refusal], outcomes: Sequence[Outcome]) -> bytes:
    rest = iter(outcomes)
    results = [_refused_item(n, refused[n]) if n in refused else _item(n, next(rest)) for n in range(count)]
    stored = sum(result.status == 201 for result in results)
    repeated = sum(result.status == 200 for result in results)
    return _encode(BatchBody(stored, repeated, count - stored - repeated, results))


def _refused_item(index: int, refusal: Refusal) -> ItemBody:
    faults = [FaultBody(fault.pointer, fault.rule, fault.message) for fault in refusal.faults]
    return ItemBody(index, problem_of(refusal).status, detail=refusal.detail, errors=faults)


def _item(index: int, outcome: Outcome) -> ItemBody:
    if isinstance(outcome, Contradicted):
        return _refused_item(index, Conflict("Another event was stored before under the same source and id."))
    receipt = outcome.receipt if isinstance(outcome, Repeated) else outcome
    status = 200 if isinstance(outcome, Repeated) else 201
    return ItemBody(index, status, receipt.id, receipt.seq, print_time(receipt.recorded_at))
