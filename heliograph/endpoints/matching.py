"""Which endpoints an event is for: compiled once, then one look-up for each event; pure."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from heliograph.endpoints.model import Endpoint
from heliograph.eventlog.model import Family, key_of
from heliograph.ids import as_hex

Question = tuple[str | None, Family, int, int | None, str | None]
"""Type, family, criticality, code and target type of an event: all that endpoints filter by."""

MOST_ANSWERS = 10_000
"""Questions whose answers are remembered; past them they are worked out anew."""


class Destination(msgspec.Struct, frozen=True):
    """An endpoint that gets an event; `keeps_order` when it wants those of one entity one after the other."""

    uid: bytes
    keeps_order: bool


class _Rule(msgspec.Struct, frozen=True):
    destination: Destination
    families: frozenset[Family]
    criticalities: frozenset[int]
    codes: frozenset[int]
    target_types: frozenset[str]

    def accepts(self, family: Family, criticality: int, code: int | None, target_type: str | None) -> bool:
        return (
            (not self.families or family in self.families)
            and (not self.criticalities or criticality in self.criticalities)
            and (not self.codes or code in self.codes)
            and (not self.target_types or target_type in self.target_types)
        )


class Matcher:
    """Finds the endpoints of one tenant's events; belongs to one version of its endpoints."""

    def __init__(self, endpoints: Sequence[Endpoint]) -> None:
        self._everything: list[_Rule] = []
        self._exact: dict[str, list[_Rule]] = {}
        self._prefixes: dict[str, list[_Rule]] = {}
        self._answers: dict[Question, tuple[Destination, ...]] = {}
        self._by_key: dict[int, Destination] = {}
        for endpoint in endpoints:
            self._add(endpoint)
        self.size = len(endpoints)

    def _add(self, endpoint: Endpoint) -> None:
        wanted = endpoint.settings
        rule = _Rule(
            Destination(endpoint.uid, wanted.ordering == "entity"),
            frozenset(wanted.families), frozenset(wanted.criticalities), frozenset(wanted.codes),
            frozenset(wanted.target_types),
        )  # fmt: skip
        self._by_key[key_of(as_hex(endpoint.uid))] = rule.destination
        for pattern in wanted.event_types:
            if pattern == "*":
                self._everything.append(rule)
            elif pattern.endswith(".*"):
                self._prefixes.setdefault(pattern[:-1], []).append(rule)
            else:
                self._exact.setdefault(pattern, []).append(rule)

    def match(self, question: Question) -> tuple[Destination, ...]:
        """Return the endpoints that want an event, each once."""
        answer = self._answers.get(question)
        if answer is None:
            if len(self._answers) >= MOST_ANSWERS:
                self._answers.clear()
            answer = self._answers[question] = self._find(question)
        return answer

    def only(self, target_id_key: int | None) -> tuple[Destination, ...]:
        """Return the endpoint that an event is about, whatever it asks for; nothing when it gets no events here."""
        found = None if target_id_key is None else self._by_key.get(target_id_key)
        return () if found is None else (found,)

    def _find(self, question: Question) -> tuple[Destination, ...]:
        type, family, criticality, code, target_type = question
        rules = list(self._everything)
        if type is not None:
            rules += self._exact.get(type, ())
            # A prefix ends with its dot, so only places behind a dot can end one.
            rules += (
                rule
                for end, character in enumerate(type, start=1)
                if character == "."
                for rule in self._prefixes.get(type[:end], ())
            )
        accepted = {
            rule.destination.uid: rule.destination
            for rule in rules
            if rule.accepts(family, criticality, code, target_type)
        }
        return tuple(accepted.values())
