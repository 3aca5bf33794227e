"""What a reader asks of the log, and the exact answer whether one event is meant."""

from __future__ import annotations

import hashlib
from typing import Literal

import msgspec

from heliograph.eventlog.model import LEAST_CRITICALITY, Envelope

TimeField = Literal["recordedAt", "occurredAt"]


class EntityFilter(msgspec.Struct, frozen=True):
    """Demands that an event's target, or one of its related entities, has this type and one of these ids."""

    type: str
    ids: tuple[str, ...]

    def accepts(self, envelope: Envelope) -> bool:
        """Tell whether an event has such an entity."""
        if envelope.target_entity_type == self.type and envelope.target_entity_id in self.ids:
            return True
        return any(entity.type == self.type and entity.id in self.ids for entity in envelope.related_entities)


class EventQuery(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A range of time and filters; every filter is a set of accepted values, empty meaning "any".

    `since` is included, `until` excluded, both in microseconds UTC; `until` is None for "now and later". `ids` are the
    events' own, hyphenated. Each of `entities` must be met. `flat` leaves only events of the flat family.
    """

    since: int
    until: int | None
    time_field: TimeField = "recordedAt"
    ascending: bool = False
    criticalities: tuple[int, ...] = ()
    codes: tuple[int, ...] = ()
    types: tuple[str, ...] = ()
    target_types: tuple[str, ...] = ()
    target_ids: tuple[str, ...] = ()
    related_ids: tuple[str, ...] = ()
    actor_uids: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()
    entities: tuple[EntityFilter, ...] = ()
    internal: bool | None = None
    flat: bool = False
    subtree: bool = False

    @property
    def follows(self) -> bool:
        """Whether its cursors go on for ever: upward, with no end given, by the log's own time."""
        return self.ascending and self.until is None and self.time_field == "recordedAt"

    def digest(self, tenant_uid: str) -> bytes:
        """Return 8 bytes that stand for the whole question, so that a cursor fits only the one it came from.

        What is not asked for has no part in it, so that old cursors outlive new filters.
        """
        return hashlib.blake2b(msgspec.json.encode((tenant_uid, self)), digest_size=8).digest()

    def grades(self) -> tuple[tuple[int, bool], ...]:
        """Return the accepted pairs of criticality and internal flag, or none when neither is asked for."""
        if not self.criticalities and self.internal is None:
            return ()
        criticalities = self.criticalities or tuple(range(LEAST_CRITICALITY + 1))
        flags = (False, True) if self.internal is None else (self.internal,)
        return tuple((criticality, flag) for criticality in criticalities for flag in flags)

    def accepts(self, envelope: Envelope) -> bool:
        """Compare the texts themselves: the index compares only their 64-bit keys."""
        return (
            _fits(self.criticalities, envelope.criticality)
            and (self.internal is None or envelope.internal == self.internal)
            and (not self.flat or envelope.family == "flat")
            and _fits(self.codes, envelope.event_code)
            and _fits(self.types, envelope.type)
            and _fits(self.target_types, envelope.target_entity_type)
            and _fits(self.target_ids, envelope.target_entity_id)
            and _fits(self.actor_uids, envelope.actor.uid)
            and _fits(self.ids, envelope.id)
            and self._accepts_related(envelope)
            and all(wanted.accepts(envelope) for wanted in self.entities)
        )

    def _accepts_related(self, envelope: Envelope) -> bool:
        if not self.related_ids:
            return True
        ids = {entity.id for entity in envelope.related_entities}
        return not ids.isdisjoint(self.related_ids) or envelope.target_entity_id in self.related_ids


def _fits(accepted: tuple[object, ...], value: object) -> bool:
    return not accepted or value in accepted
