"""What a listing means, in plain words: look at every event in order and keep those that fit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from heliograph.eventlog.filters import EventQuery

Place = tuple[int, int]
"""(tenant's number, seq)."""


@dataclass(frozen=True, kw_only=True)
class Told:
    """One event as the test itself put it on record; times in microseconds UTC."""

    tenant_id: int
    seq: int
    recorded_at: int
    id: str
    type: str | None
    code: int | None
    criticality: int
    internal: bool
    target_type: str | None
    target_id: str | None
    related: frozenset[str]
    actor_uid: str | None
    flat: bool
    occurred_at: int | None

    @property
    def entities(self) -> set[tuple[str | None, str | None]]:
        """Type and id of all that it concerns; what is related is a device."""
        return {(self.target_type, self.target_id), *(("Device", id) for id in self.related)}

    @property
    def place(self) -> Place:
        return (self.tenant_id, self.seq)


def fits(query: EventQuery, event: Told) -> bool:
    """Tell whether the event passes every filter, whatever its time."""
    return (
        (not query.criticalities or event.criticality in query.criticalities)
        and (query.internal is None or event.internal == query.internal)
        and (not query.flat or event.flat)
        and (not query.codes or event.code in query.codes)
        and (not query.types or event.type in query.types)
        and (not query.target_types or event.target_type in query.target_types)
        and (not query.target_ids or event.target_id in query.target_ids)
        and (not query.actor_uids or event.actor_uid in query.actor_uids)
        and (not query.related_ids or not {event.target_id, *event.related}.isdisjoint(query.related_ids))
        and (not query.ids or event.id in query.ids)
        and all(any((wanted.type, id) in event.entities for id in wanted.ids) for wanted in query.entities)
    )


def scan(query: EventQuery, events: Iterable[Told]) -> list[Place]:
    """Return the places of all events that the query means, in its order."""
    by_log = query.time_field == "recordedAt"
    found = []
    for event in events:
        time = event.recorded_at if by_log else event.occurred_at
        if time is not None and query.since <= time and (query.until is None or time < query.until):
            found.append((time, event))
    found.sort(key=lambda pair: (pair[0], *pair[1].place), reverse=not query.ascending)
    return [event.place for _, event in found if fits(query, event)]
