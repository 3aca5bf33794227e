"""The compiled matcher finds what a look at every endpoint finds, and nothing else."""

from __future__ import annotations

from typing import get_args

from hypothesis import given
from hypothesis import strategies as st

from heliograph.endpoints.matching import MOST_ANSWERS, Matcher, Question
from heliograph.endpoints.model import Endpoint, EndpointSettings
from heliograph.eventlog.model import Family, key_of
from heliograph.ids import as_hex

_SEGMENTS = st.sampled_from(("door", "open", "doors", "", "a"))
TYPES = st.lists(_SEGMENTS, min_size=1, max_size=4).map(".".join).filter(bool)
PATTERNS = st.one_of(st.just("*"), TYPES, TYPES.map(lambda prefix: f"{prefix}.*"))
FAMILIES = st.sampled_from(get_args(Family))
TARGETS = st.sampled_from(("Device", "Lock"))
SETTINGS = st.builds(
    EndpointSettings,
    event_types=st.lists(PATTERNS, min_size=1, max_size=4).map(tuple),
    families=st.lists(FAMILIES, max_size=2).map(tuple),
    criticalities=st.lists(st.integers(0, 5), max_size=3).map(tuple),
    codes=st.lists(st.integers(0, 3), max_size=2).map(tuple),
    target_types=st.lists(TARGETS, max_size=2).map(tuple),
    ordering=st.sampled_from(("none", "entity")),
)
QUESTIONS = st.tuples(
    st.none() | TYPES, FAMILIES, st.integers(0, 5), st.none() | st.integers(0, 3), st.none() | TARGETS
)  # fmt: skip


def endpoint(number: int, settings: EndpointSettings) -> Endpoint:
    return Endpoint(
        uid=number.to_bytes(16, "big"), url="https://example.com/", settings=settings, sealed_secrets=b"",
        created_at=0, updated_at=0,
    )  # fmt: skip


def wants(settings: EndpointSettings, question: Question) -> bool:
    """Tell by the words of the documentation whether an endpoint wants an event."""
    type, family, criticality, code, target_type = question
    by_type = any(
        pattern == "*"
        or (type is not None and (type == pattern or (pattern[-2:] == ".*" and type.startswith(pattern[:-1]))))
        for pattern in settings.event_types
    )
    return (
        by_type
        and family in (settings.families or (family,))
        and criticality in (settings.criticalities or (criticality,))
        and code in (settings.codes or (code,))
        and target_type in (settings.target_types or (target_type,))
    )


@given(st.lists(SETTINGS, max_size=6), st.lists(QUESTIONS, min_size=1, max_size=5))
def test_matcher_finds_what_a_look_at_every_endpoint_finds(
    settings: list[EndpointSettings], questions: list[Question]
) -> None:
    endpoints = [endpoint(number, one) for number, one in enumerate(settings)]
    matcher = Matcher(endpoints)
    # Asked twice, for answers are remembered.
    for question in questions * 2:
        found = matcher.match(question)
        assert len({one.uid for one in found}) == len(found)
        assert {one.uid for one in found} == {one.uid for one in endpoints if wants(one.settings, question)}
        ordered = {one.uid for one in endpoints if one.settings.ordering == "entity"}
        assert all(one.keeps_order == (one.uid in ordered) for one in found)


def test_test_event_finds_its_endpoint_alone_whatever_that_asks_for() -> None:
    endpoints = [endpoint(number, EndpointSettings(event_types=("nothing",))) for number in range(3)]
    matcher = Matcher(endpoints)
    assert [one.uid for one in matcher.only(key_of(as_hex(endpoints[1].uid)))] == [endpoints[1].uid]
    assert matcher.only(key_of("another")) == ()
    assert matcher.only(None) == ()


def test_answers_stay_right_when_more_were_asked_for_than_are_remembered() -> None:
    matcher = Matcher([endpoint(1, EndpointSettings(event_types=("door.*",)))])
    for number in range(MOST_ANSWERS + 10):
        assert len(matcher.match((f"door.{number}", "record", 0, None, None))) == 1
        assert matcher.match((f"window.{number}", "record", 0, None, None)) == ()
