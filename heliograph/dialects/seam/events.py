"""`/events/list` and `/events/get`: the events that have Seam's shape, as they were stored."""

from __future__ import annotations

from contextlib import AsyncExitStack
from functools import partial
from typing import Annotated, Any

import msgspec

from heliograph.catalog.system import SYSTEM
from heliograph.dialects.seam.answers import no_such
from heliograph.dialects.seam.gathering import LARGE
from heliograph.dialects.seam.pages import Paged, pagination, place_of
from heliograph.dialects.seam.parameters import Id, Moment, Parameters
from heliograph.dialects.seam.parameters import read_parameters as read
from heliograph.dialects.seam.routes import reading
from heliograph.dialects.seam.workspace import scope_of
from heliograph.errors import Fault, Invalid
from heliograph.eventlog.bodies import list_cached
from heliograph.eventlog.filters import EntityFilter, EventQuery
from heliograph.eventlog.model import Span
from heliograph.http.messages import Request, Response
from heliograph.ids import as_hex, as_uuid
from heliograph.tenancy.model import Scope

READ = "read event.tenant"

FLAT_TYPES = tuple(sorted(definition.type for definition in SYSTEM if definition.family == "flat"))
"""The types with Seam's shape. Callers cannot publish events of them, for all are the platform's own."""

MOST_EVENTS = 10_000
LARGEST_OFFSET = 100_000
EVENTS_AT_ONCE = 1000
"""Events that are read in one transaction."""

_encode = msgspec.json.Encoder().encode
Ids = Annotated[tuple[Id, ...], msgspec.Meta(max_length=100)]


class ListEvents(Paged, frozen=True, kw_only=True):
    """Events recorded after `since`, or between two times, both of them excluded. All filters must fit.

    None passes an array that is empty: whoever found no ids must not be shown everything.
    """

    since: Moment | None = None
    between: Annotated[tuple[Moment, ...], msgspec.Meta(min_length=2, max_length=2)] | None = None
    event_ids: Ids | None = None
    event_type: str | None = None
    event_types: tuple[str, ...] | None = None
    device_id: Id | None = None
    device_ids: Ids | None = None
    access_code_id: Id | None = None
    access_code_ids: Ids | None = None
    connected_account_id: Id | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=MOST_EVENTS)] = 500
    unstable_offset: Annotated[int, msgspec.Meta(ge=0, le=LARGEST_OFFSET)] = 0


class GetEvent(Parameters, frozen=True, kw_only=True):
    """The event that fits all that is given; the newest one where several do."""

    event_id: Id | None = None
    event_type: str | None = None
    device_id: Id | None = None


async def list_events(request: Request) -> Response:
    """List events in the order in which they were recorded, the oldest first."""
    scope = await scope_of(request, READ)
    given = read(request, ListEvents)
    query = event_query(given)
    place = place_of(request, scope, given)
    skip = given.unstable_offset if place is None else 0
    rest = None if place is None else Span(*place.places[0][1:])
    async with AsyncExitStack() as stack:
        if skip + given.limit > LARGE:
            await stack.enter_async_context(request.services.large_work)
        bodies, rest = await _gather(request, scope, query, given.limit, rest, skip)
    places = None if rest is None else ((scope.tenant_id, rest.low, rest.high),)
    following = _encode(pagination(request, scope, given, places))
    # The payloads are what was stored and proven; they are passed on, not read and written again.
    return Response(200, b'{"events":[%s],"pagination":%s,"ok":true}' % (b",".join(bodies), following))


async def get_event(request: Request) -> Response:
    """Return one event."""
    scope = await scope_of(request, READ)
    given = read(request, GetEvent)
    if given.event_id is None and given.event_type is None and given.device_id is None:
        raise _refused("", "An argument for event_id, event_type, or device_id is required")
    query = _flat_query(
        _types(given.event_type, None),
        since=0,
        until=None,
        ids=() if given.event_id is None else (as_uuid(given.event_id),),
        entities=_entities("Device", given.device_id, None),
    )
    bodies, _ = await _gather(request, scope, query, 1, None)
    if not bodies:
        raise no_such("event")
    return Response(200, b'{"event":%s,"ok":true}' % bodies[0])


async def _gather(
    request: Request, scope: Scope, query: EventQuery | None, count: int, rest: Span | None, skip: int = 0
) -> tuple[list[bytes], Span | None]:
    """Return up to `count` bodies behind the first `skip`, and where more may follow.

    A page that ends early is gone on from.
    """
    bodies: list[bytes] = []
    cache = request.services.bodies
    while query is not None:
        most = min(skip + count - len(bodies), EVENTS_AT_ONCE)
        step = partial(list_cached, cache=cache, scope=scope, query=query, limit=most, rest=rest)
        page = await request.services.read(step)
        bodies += page.payloads[skip:]
        skip = max(0, skip - len(page.payloads))
        rest = page.rest
        if rest is None or len(bodies) >= count:
            return bodies, rest
    return [], None


def event_query(given: ListEvents) -> EventQuery | None:
    """Translate the parameters into a question to the log, or None when they let nothing pass.

    Raises:
        Invalid: when there is no time, or more than one, or an interval is reversed.
    """
    since, until = _range(given)
    nothing = () in (given.event_ids, given.event_types, given.device_ids, given.access_code_ids)
    return _flat_query(
        () if nothing else _types(given.event_type, given.event_types),
        since=since,
        until=until,
        ascending=True,
        ids=tuple(sorted({as_uuid(uid) for uid in given.event_ids or ()})),
        entities=(
            *_entities("Device", given.device_id, given.device_ids),
            *_entities("AccessCode", given.access_code_id, given.access_code_ids),
            *_entities("ConnectedAccount", given.connected_account_id, None),
        ),
    )


def _flat_query(types: tuple[str, ...], **more: Any) -> EventQuery | None:
    """Ask for events of some of the types; for those of all together the index has one list."""
    if not types:
        return None
    every = types == FLAT_TYPES
    return EventQuery(types=() if every else types, flat=every, **more)


def _range(given: ListEvents) -> tuple[int, int | None]:
    if given.since is not None and given.between is not None:
        raise _refused("", "Cannot specify both since and between")
    if given.between is not None:
        begin, end = given.between
        if begin > end:
            raise _refused("/between", "The first time must not be after the second")
        return int(begin) + 1, int(end)
    if given.since is None:
        raise _refused("", "Must specify either since or between")
    return int(given.since) + 1, None


def _types(one: str | None, several: tuple[str, ...] | None) -> tuple[str, ...]:
    wanted = [accepted for accepted in (None if one is None else (one,), several) if accepted is not None]
    if not wanted:
        return FLAT_TYPES
    return tuple(type for type in FLAT_TYPES if all(type in accepted for accepted in wanted))


def _entities(type: str, one: Id | None, several: tuple[Id, ...] | None) -> tuple[EntityFilter, ...]:
    groups = [ids for ids in (None if one is None else (one,), several) if ids]
    return tuple(EntityFilter(type, tuple(sorted({as_hex(uid) for uid in ids}))) for ids in groups)


def _refused(pointer: str, words: str) -> Invalid:
    return Invalid(words, (Fault(pointer, "range", words),))


EVENTS = (
    *reading("/events/list", list_events, READ, ListEvents, "List events"),
    *reading("/events/get", get_event, READ, GetEvent, "Get an event"),
)
