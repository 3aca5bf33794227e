"""`/v1/events`: list events, get one."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any, Literal

import msgspec

from heliograph.errors import Fault, Invalid, NotFound
from heliograph.eventlog.cursors import Cursor, read_cursor, write_cursor
from heliograph.eventlog.filters import EventQuery
from heliograph.eventlog.paging import Page, get_event, list_page
from heliograph.eventlog.render import RENDERERS, Format
from heliograph.eventlog.submission import Code, Criticality, EntityId, EntityType, TypeName
from heliograph.http.lists import UidText
from heliograph.http.messages import Request, Response, fields_of
from heliograph.ids import Uid, parse_uid
from heliograph.storage.engine import Transaction
from heliograph.tenancy.model import Scope
from heliograph.times import parse_time

READ = "read event.tenant"

TimeText = Annotated[str, msgspec.Meta(extra_json_schema={"format": "date-time"})]
"""Documents what `parse_time` checks."""


class EventsQuery(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A range of time, filters and a page.

    At least one of `from` and `to` is needed; one alone begins a range that ends now (rule R4). Every filter may be
    repeated: one of its values must fit. `maxCriticality=2` means 1 and 2.
    """

    from_: TimeText | None = msgspec.field(default=None, name="from")
    to: TimeText | None = None
    time_field: Literal["recordedAt", "occurredAt"] = "recordedAt"
    criticality: tuple[Criticality, ...] = ()
    max_criticality: Annotated[int, msgspec.Meta(ge=1, le=5)] | None = None
    event_code: tuple[Code, ...] = ()
    type: tuple[TypeName, ...] = ()
    target_entity_type: tuple[EntityType, ...] = ()
    target_entity_id: tuple[EntityId, ...] = ()
    related_entity_id: tuple[EntityId, ...] = ()
    actor_uid: tuple[UidText, ...] = ()
    internal: bool | None = None
    order: Literal["asc", "desc"] = "desc"
    limit: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 100
    cursor: Annotated[str, msgspec.Meta(max_length=16_384)] | None = None
    include: Literal["subtree"] | None = None
    format: Format = "record"
    tenant_uid: UidText | None = None


MOST_VALUES = 50
"""Values that one filter may list."""


async def list_events(request: Request) -> Response:
    """List events in a range of time, newest first unless asked otherwise."""
    services = request.services
    given = request.query(EventsQuery)
    scope = await services.scope(request.known, READ, given.tenant_uid, subtree=given.include == "subtree")
    query = event_query(given, services.store.clock.now())
    digest = query.digest(scope.tenant_uid)
    cursor = read_cursor(given.cursor, digest, services.sealer) if given.cursor is not None else None
    page = await services.read(partial(_list, scope=scope, query=query, limit=given.limit, cursor=cursor))
    render = RENDERERS[given.format]
    following = b"null" if page.cursor is None else b'"%s"' % write_cursor(page.cursor, services.sealer).encode()
    body = b'{"data":[%s],"nextCursor":%s}' % (b",".join(map(render, page.events)), following)
    return Response(200, body)


def _list(tx: Transaction, scope: Scope, query: EventQuery, limit: int, cursor: Cursor | None) -> Page:
    return list_page(tx, scope, query, limit, cursor)


def event_query(given: EventsQuery, now: int) -> EventQuery:
    """Apply the rules R3 to R6 to what was asked.

    Raises:
        Invalid: naming the parameters and the rule.
    """
    since, until = _range(given, now)
    criticalities = given.criticality
    if given.max_criticality is not None:
        if criticalities:
            raise Invalid.at("query/maxCriticality", "one-of", "Give criticality or maxCriticality, not both.")
        criticalities = tuple(range(1, given.max_criticality + 1))
    _refuse_long_lists(given)
    return EventQuery(
        since=since,
        until=until,
        time_field=given.time_field,
        ascending=given.order == "asc",
        criticalities=tuple(sorted(set(criticalities))),
        codes=tuple(sorted(set(given.event_code))),
        types=tuple(sorted(set(given.type))),
        target_types=tuple(sorted(set(given.target_entity_type))),
        target_ids=tuple(sorted(set(given.target_entity_id))),
        related_ids=tuple(sorted(set(given.related_entity_id))),
        actor_uids=tuple(sorted({parse_uid(uid, "query/actorUid").hex() for uid in given.actor_uid})),
        internal=given.internal,
        subtree=given.include == "subtree",
    )


def _refuse_long_lists(given: EventsQuery) -> None:
    words = f"A filter lists at most {MOST_VALUES} values."
    names = {field.name: field.encode_name for field in fields_of(EventsQuery)}
    values = msgspec.structs.asdict(given)
    long = [name for name, value in values.items() if isinstance(value, tuple) and len(value) > MOST_VALUES]
    if long:
        raise Invalid(words, tuple(Fault(f"query/{names[name]}", "max-items", words) for name in long))


def _range(given: EventsQuery, now: int) -> tuple[int, int | None]:
    if given.from_ is None and given.to is None:
        fault = "At least one of 'from' and 'to' is needed."
        raise Invalid(fault, (Fault("query/from", "required", fault), Fault("query/to", "required", fault)))
    since = None if given.from_ is None else read_time(given.from_, "query/from")
    until = None if given.to is None else read_time(given.to, "query/to")
    if since is None:
        # One date alone begins the range, whichever parameter carried it (rule R4).
        assert until is not None
        since, until = until, None
    name = "query/to" if given.from_ is None else "query/from"
    if since > now:
        raise Invalid.at(name, "future", "The range begins in the future.")
    if until is not None and since > until:
        raise Invalid.at("query/from", "range", "'from' lies after 'to'.")
    return since, until


def read_time(text: str, pointer: str) -> int:
    """Read an RFC 3339 time as microseconds UTC, also one from a query whose "+" was not escaped.

    Raises:
        Invalid: as `parse_time`.
    """
    # An unescaped "+" of an offset arrives as a blank; no RFC 3339 time has one at that place.
    if len(text) > 6 and text[-6] == " ":
        text = f"{text[:-6]}+{text[-5:]}"
    return parse_time(text, pointer)


# -- GET /v1/events/{id} --------------------------------------------------------------------------------------------


class EventQueryString(msgspec.Struct, frozen=True, rename="camel"):
    """The format of the answer, and the tenant when it is not the key's own."""

    format: Format = "record"
    tenant_uid: UidText | None = None


async def show_event(request: Request) -> Response:
    """Return one event of the tenant."""
    given = request.query(EventQueryString)
    scope = await request.services.scope(request.known, READ, given.tenant_uid)
    uid = parse_uid(request.parameters["id"], "path/id")
    event = await request.services.read(partial(_get, scope=scope, uid=uid))
    if event is None:
        raise NotFound("There is no such event.")
    return Response(200, RENDERERS[given.format](event))


def _get(tx: Transaction, scope: Scope, uid: Uid) -> Any:
    return get_event(tx, scope, uid)
