"""What a query means for one event, in its envelope's own words."""

from __future__ import annotations

from typing import Any

import pytest

from heliograph.eventlog.filters import EntityFilter, EventQuery
from heliograph.eventlog.model import Actor, Envelope, RelatedEntity

FIELDS: dict[str, Any] = {
    "actor": Actor(account_id=1, uid="1" * 32),
    "commitment": "",
    "criticality": 2,
    "event_code": 10_000,
    "family": "flat",
    "id": "0197b3a4-10c2-7d3e-8f40-5162738495a6",
    "internal": False,
    "payload_length": 0,
    "related_entities": (RelatedEntity("r1", "Device"), RelatedEntity("r2", "Device")),
    "target_entity_id": "t",
    "target_entity_type": "Door",
    "type": "door.opened",
}
ENVELOPE = Envelope(**FIELDS)
BARE = Envelope(
    **{name: FIELDS[name] for name in ("commitment", "id", "payload_length")},
    actor=Actor(kind="system"),
    criticality=0,
    internal=True,
)


def _query(**filters: Any) -> EventQuery:
    return EventQuery(since=0, until=None, **filters)


MATCHING: dict[str, Any] = {
    "criticalities": (1, 2),
    "codes": (1, 10_000),
    "types": ("door.closed", "door.opened"),
    "target_types": ("Door",),
    "target_ids": ("s", "t"),
    "related_ids": ("r2", "x"),
    "actor_uids": ("1" * 32,),
    "ids": ("0197b3a4-10c2-7d3e-8f40-5162738495a5", "0197b3a4-10c2-7d3e-8f40-5162738495a6"),
    "entities": (EntityFilter("Device", ("r2", "x")), EntityFilter("Door", ("t",))),
    "internal": False,
    "flat": True,
}
OTHER: dict[str, Any] = {
    "criticalities": (0, 1, 3, 4, 5),
    "codes": (0, 9_999),
    "types": ("door", "Door.opened", "door.opened "),
    "target_types": ("door",),
    "target_ids": ("r1", "T"),
    "related_ids": ("r", "1" * 32),
    "actor_uids": ("2" * 32,),
    "ids": ("0197b3a4-10c2-7d3e-8f40-5162738495a7",),
    "entities": (EntityFilter("Device", ("r1",)), EntityFilter("Device", ("x",))),
    "internal": True,
}


@pytest.mark.parametrize("name", MATCHING)
def test_filter_accepts_one_of_its_values(name: str) -> None:
    assert _query(**{name: MATCHING[name]}).accepts(ENVELOPE)


@pytest.mark.parametrize("name", OTHER)
def test_filter_refuses_every_other_value(name: str) -> None:
    assert not _query(**{name: OTHER[name]}).accepts(ENVELOPE)


@pytest.mark.parametrize("name", OTHER)
def test_all_filters_must_accept(name: str) -> None:
    assert _query(**MATCHING).accepts(ENVELOPE)
    assert not _query(**{**MATCHING, name: OTHER[name]}).accepts(ENVELOPE)


@pytest.mark.parametrize(
    "name", ["codes", "types", "target_types", "target_ids", "related_ids", "actor_uids", "entities", "flat"]
)  # fmt: skip
def test_event_without_the_field_passes_no_filter_on_it(name: str) -> None:
    assert _query().accepts(BARE)
    assert not _query(**{name: MATCHING[name]}).accepts(BARE)


def test_related_entities_include_the_target() -> None:
    assert _query(related_ids=("t",)).accepts(ENVELOPE)
    assert not _query(target_ids=("r1",)).accepts(ENVELOPE)


def test_entity_is_of_the_type_that_is_asked_for() -> None:
    assert _query(entities=(EntityFilter("Device", ("r1",)),)).accepts(ENVELOPE)
    assert not _query(entities=(EntityFilter("Door", ("r1",)),)).accepts(ENVELOPE)
    assert not _query(entities=(EntityFilter("Device", ("t",)),)).accepts(ENVELOPE)


# -- criticality and the internal flag share one list of the index --------------------------------------------------


@pytest.mark.parametrize(
    ("filters", "grades"),
    [
        ({}, set()),
        ({"criticalities": (1, 2)}, {(1, False), (1, True), (2, False), (2, True)}),
        ({"criticalities": (0,), "internal": True}, {(0, True)}),
        ({"internal": False}, {(criticality, False) for criticality in range(6)}),
    ],
)
def test_grades_are_the_pairs_that_are_accepted(filters: dict[str, Any], grades: set[tuple[int, bool]]) -> None:
    found = _query(**filters).grades()
    assert len(found) == len(set(found))
    assert set(found) == grades


# -- which listings go on for ever ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parts", "follows"),
    [
        ({"ascending": True, "until": None}, True),
        ({"ascending": True, "until": None, "types": ("a",), "subtree": True}, True),
        ({"ascending": True, "until": 5}, False),
        ({"ascending": False, "until": None}, False),
        ({"ascending": True, "until": None, "time_field": "occurredAt"}, False),
    ],
)
def test_only_an_ascending_listing_without_an_end_follows(parts: dict[str, Any], follows: bool) -> None:
    assert EventQuery(since=0, **parts).follows == follows
