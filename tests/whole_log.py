"""A tenant's whole log as the API tells it, and what must be true of every log."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Protocol

from heliograph.app import make_engine
from heliograph.ids import Secret
from heliograph.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from heliograph.storage.engine import Row
    from tests.conftest import StoreUrl
    from tests.server import Response

    Record = dict[str, Any]
    Predicate = Callable[[Record], bool]

BEGINNING = "2020-01-01T00:00:00Z"
END = "2100-01-01T00:00:00Z"
MOST_PAGES = 10_000
"""A listing with more pages than that goes round in circles."""


class Asker(Protocol):
    """A server or client."""

    def request(self, method: str, path: str, *, query: Mapping[str, Any]) -> Response:
        """Send a request."""


def pages(asker: Asker, query: Mapping[str, Any]) -> Iterator[list[Record]]:
    """Yield the pages of a listing that has an end."""
    cursor: dict[str, str] = {}
    for _ in range(MOST_PAGES):
        answer = asker.request("GET", "/v1/events", query={"from": BEGINNING, "limit": 1000, **query, **cursor})
        assert answer.status == 200, answer.body
        yield answer.json["data"]
        if answer.json["nextCursor"] is None:
            return
        cursor = {"cursor": answer.json["nextCursor"]}
    raise AssertionError(f"The listing does not end: {query}")


def listed(asker: Asker, query: Mapping[str, Any]) -> list[Record]:
    """Read all pages of a listing that has an end."""
    return [event for page in pages(asker, query) for event in page]


class Follower:
    """Reads upward with one cursor that never ends, and keeps what it read."""

    def __init__(self, query: Mapping[str, Any] | None = None) -> None:
        self.events: list[Record] = []
        self._query = {"from": BEGINNING, "order": "asc", "limit": 1000, **(query or {})}

    def poll(self, asker: Asker) -> bool:
        """Read one page; tell whether it led any further."""
        answer = asker.request("GET", "/v1/events", query=self._query)
        assert answer.status == 200, answer.body
        self.events += answer.json["data"]
        before, self._query["cursor"] = self._query.get("cursor"), answer.json["nextCursor"]
        return bool(before != self._query["cursor"])

    def drain(self, asker: Asker) -> None:
        """Read on to the end of the log, which nobody is writing to."""
        for _ in range(MOST_PAGES):
            if not self.poll(asker):
                return
        raise AssertionError("The log does not end.")


def assert_sound(events: Sequence[Record]) -> None:
    """Check that these are a whole log from its beginning: gapless, rising, each event once."""
    assert [event["seq"] for event in events] == list(range(len(events)))
    assert all(earlier < later for earlier, later in pairwise(event["recordedAt"] for event in events))
    assert len({event["id"] for event in events}) == len(events)
    tokens = Counter(event["payload"]["token"] for event in events if "token" in event.get("payload", {}))
    assert [token for token, count in tokens.items() if count > 1] == []


def rows_of(store: StoreUrl, *statements: str) -> list[list[Row]]:
    """Ask the database itself, past the server, for the rows of several statements in one snapshot."""
    url = None if store.database_url is None else Secret(store.database_url)
    engine = make_engine(Settings(data=store.data, database_url=url))
    connection = engine.connect(write=False)
    try:
        with connection.transaction(0, write=False) as tx:
            return [tx.all(statement) for statement in statements]
    finally:
        connection.close()


def assert_stored_whole(store: StoreUrl) -> None:
    """Check the tables themselves: every place below each head holds one event and one payload, and no other does."""
    heads, events, payloads = rows_of(
        store,
        "select tenant_id, next_seq, next_seq, last_recorded_at from head order by tenant_id",
        "select tenant_id, count(*), max(seq) + 1, max(recorded_at) from event group by tenant_id order by tenant_id",
        "select tenant_id, count(*), max(seq) + 1 from payload group by tenant_id order by tenant_id",
    )
    assert events == heads
    assert payloads == [row[:3] for row in heads]


def assert_filters_agree(asker: Asker, events: Sequence[Record], tenant: Mapping[str, Any] | None = None) -> None:
    """Check that every filter, in both orders, finds what a plain look through the whole log finds."""
    tenant = tenant or {}
    for query, fits in questions(events):
        _assert_lists(asker, {**query, **tenant}, [event["id"] for event in events if fits(event)])
    timed = sorted((event["occurredAt"], event["seq"], event["id"]) for event in events if event["occurredAt"])
    _assert_lists(asker, {"timeField": "occurredAt", **tenant}, [uid for _, _, uid in timed])
    urgent = {event["id"] for event in events if event["criticality"] == 1}
    query = {"timeField": "occurredAt", "criticality": 1, **tenant}
    _assert_lists(asker, query, [uid for _, _, uid in timed if uid in urgent])


def _assert_lists(asker: Asker, query: Mapping[str, Any], ids: list[str]) -> None:
    limit = min(1000, max(10, len(ids) // 5))
    for order, expected in (("asc", ids), ("desc", ids[::-1])):
        asked = {"to": END, "limit": limit, "order": order, **query}
        assert [event["id"] for event in listed(asker, asked)] == expected, asked


_FIELDS: dict[str, Callable[[Record], Sequence[Any]]] = {
    "type": lambda event: [event["type"]],
    "eventCode": lambda event: [event["eventCode"]],
    "criticality": lambda event: [event["criticality"]],
    "targetEntityType": lambda event: [event["targetEntityType"]],
    "targetEntityId": lambda event: [event["targetEntityId"]],
    "actorUid": lambda event: [event["actor"].get("uid")],
    "relatedEntityId": lambda event: [
        event["targetEntityId"],
        *(entity["id"] for entity in event.get("relatedEntities", ())),
    ],
}


def questions(events: Sequence[Record]) -> Iterator[tuple[dict[str, Any], Predicate]]:
    """Yield queries made of the values that these events have, each with its meaning in plain words."""
    for name, values_of in _FIELDS.items():
        present = Counter(value for event in events for value in values_of(event) if value is not None)
        ranked = [value for value, _ in present.most_common()]
        for values in ([ranked[0]], [ranked[-1]], ranked[:3]):
            yield {name: values}, _has(name, values)
    yield {"type": "no.such.type"}, lambda event: False
    yield {"internal": "true"}, lambda event: bool(event["internal"])
    yield {"internal": "false"}, lambda event: not event["internal"]
    yield {"maxCriticality": 2}, lambda event: event["criticality"] in (1, 2)
    middle, later = events[len(events) // 3], events[2 * len(events) // 3]
    for one, other in (("type", "targetEntityId"), ("eventCode", "criticality"), ("targetEntityType", "type")):
        both = {name: _FIELDS[name](middle)[0] for name in (one, other)}
        if None not in both.values():
            yield both, _both(_has(one, [both[one]]), _has(other, [both[other]]))
    span = {"from": middle["recordedAt"], "to": later["recordedAt"]}
    yield span, _between(middle, later)
    yield {**span, "criticality": 3}, _both(_between(middle, later), _has("criticality", [3]))


def _has(name: str, values: Sequence[Any]) -> Predicate:
    return lambda event: any(value in values for value in _FIELDS[name](event))


def _both(one: Predicate, other: Predicate) -> Predicate:
    return lambda event: one(event) and other(event)


def _between(first: Record, last: Record) -> Predicate:
    return lambda event: bool(first["recordedAt"] <= event["recordedAt"] < last["recordedAt"])
