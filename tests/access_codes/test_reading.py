"""What a report may say of codes, and where it is told when it may not."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.access_codes.model import (
    FURTHEST_OFF,
    MOST_CODES,
    CodeReport,
    GivenCode,
    ReportedCode,
    read_report,
    report_time,
)
from heliograph.errors import Invalid
from tests.access_codes.locks import HOUR, NOON, pin_index

START, END = "2026-03-02T12:00:00Z", "2026-03-02T13:00:00Z"


def read(*given: GivenCode) -> CodeReport:
    return read_report(True, NOON, given, pin_index, received_at=NOON)


def faults_of(*given: GivenCode) -> list[tuple[str, str]]:
    """Return the faults, by place and rule; none when the report is accepted."""
    try:
        read(*given)
    except Invalid as refusal:
        return [(fault.pointer, fault.rule) for fault in refusal.faults]
    return []


def test_code_is_read_with_all_that_is_said_of_it() -> None:
    (code,) = read(
        GivenCode(
            external_id="7",
            code="0123",
            name="Guest",
            type="time_bound",
            starts_at=START,
            ends_at=END,
            cannot_be_managed=True,
            cannot_delete=True,
        )
    ).codes
    assert code.pin is not None
    assert code.pin.reveal() == "0123"
    assert code == ReportedCode(
        external_id="7",
        pin=code.pin,
        pin_index=pin_index("0123"),
        name="Guest",
        type="time_bound",
        starts_at=NOON,
        ends_at=NOON + HOUR,
        cannot_be_managed=True,
        cannot_delete=True,
    )


def test_code_is_time_bound_when_it_has_a_start_or_an_end_and_unsaid_when_neither() -> None:
    codes = read(GivenCode(external_id="1", ends_at=END), GivenCode(external_id="2")).codes
    assert [code.type for code in codes] == ["time_bound", None]


def test_blank_texts_count_as_absent() -> None:
    (code,) = read(GivenCode(external_id=" ", code="1234", name="")).codes
    assert (code.external_id, code.name) == (None, None)


def test_code_without_id_and_pin_is_refused_alone() -> None:
    report = read(GivenCode(code="1234"), GivenCode(name="Guest"), GivenCode(external_id=" ", code=""))
    assert len(report.codes) == 1
    assert [(fault.pointer, fault.rule) for fault in report.refused] == [
        ("/codes/1", "identifier-required"),
        ("/codes/2", "identifier-required"),
    ]


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        (GivenCode(code="12a4"), ("/codes/0/code", "pin")),
        (GivenCode(code="1" * 21), ("/codes/0/code", "pin")),
        (GivenCode(code="12 34"), ("/codes/0/code", "pin")),
        (GivenCode(code="1234\n"), ("/codes/0/code", "pin")),
        (GivenCode(code="١٢٣٤"), ("/codes/0/code", "pin")),  # digits, but no keypad has them
        (GivenCode(external_id="x" * 256), ("/codes/0/externalId", "max-length")),
        (GivenCode(external_id="a\x00b"), ("/codes/0/externalId", "control-characters")),
        (GivenCode(external_id="1", name="x" * 256), ("/codes/0/name", "max-length")),
        (GivenCode(external_id="1", name="a\tb"), ("/codes/0/name", "control-characters")),
        (GivenCode(external_id="1", starts_at="noon"), ("/codes/0/startsAt", "time")),
        (GivenCode(external_id="1", starts_at=END, ends_at=START), ("/codes/0/endsAt", "time-order")),
        (GivenCode(external_id="1", starts_at=START, ends_at=START), ("/codes/0/endsAt", "time-order")),
        (GivenCode(external_id="1", type="ongoing", ends_at=END), ("/codes/0/type", "time-frame")),
        (GivenCode(external_id="1", type="time_bound"), ("/codes/0/type", "time-frame")),
    ],
)
def test_broken_rule_is_named_at_its_place(given: GivenCode, fault: tuple[str, str]) -> None:
    assert faults_of(given) == [fault]


@pytest.mark.parametrize("pin", ["1", "0" * 20])
def test_pin_of_any_usual_length_is_accepted(pin: str) -> None:
    assert faults_of(GivenCode(code=pin)) == []


def test_repeated_ids_and_pins_are_named_at_every_place_but_the_first() -> None:
    given = [
        GivenCode(external_id="1", code="1234"),
        GivenCode(name="nobody"),
        GivenCode(external_id="2", code="1234"),
        GivenCode(external_id="1"),
        GivenCode(code="1234"),
    ]
    assert faults_of(*given) == [
        ("/codes/2/code", "repeated"),
        ("/codes/3/externalId", "repeated"),
        ("/codes/4/code", "repeated"),
    ]


def test_all_faults_are_named_in_the_order_of_the_codes() -> None:
    assert faults_of(
        GivenCode(external_id="1"), GivenCode(code="x", name="\n."), GivenCode(external_id="1"), GivenCode(code="y")
    ) == [
        ("/codes/1/code", "pin"),
        ("/codes/1/name", "control-characters"),
        ("/codes/2/externalId", "repeated"),
        ("/codes/3/code", "pin"),
    ]


def test_report_of_too_many_codes_is_refused() -> None:
    with pytest.raises(Invalid) as refusal:
        read(*[GivenCode(external_id="1")] * (MOST_CODES + 1))
    assert [(fault.pointer, fault.rule) for fault in refusal.value.faults] == [("/codes", "max-items")]


def test_no_more_than_a_hundred_faults_are_named() -> None:
    assert len(faults_of(*[GivenCode(code="x")] * 1_000)) == 100


@given(st.text("0123456789", min_size=8, max_size=20).map(lambda digits: f"{digits}x"))
def test_no_fault_and_no_repr_shows_a_pin(pin: str) -> None:
    given = GivenCode(code=pin)
    with pytest.raises(Invalid) as refusal:
        read(given)
    assert pin not in repr([refusal.value.detail, refusal.value.faults, given, [given]])
    report = read(GivenCode(code=pin[:-1]))
    assert pin[:-1] not in repr(report.codes)


def test_code_of_a_report_needs_an_identity() -> None:
    with pytest.raises(ValueError, match="an id or a PIN"):
        ReportedCode(name="Guest")
    with pytest.raises(ValueError, match="come together"):
        ReportedCode(external_id="1", pin_index=b"x")


def test_given_codes_are_read_from_json() -> None:
    code = msgspec.json.decode(b'{"externalId":"1","startsAt":"x","cannotBeManaged":true}', type=GivenCode)
    assert code == GivenCode(external_id="1", starts_at="x", cannot_be_managed=True)


@pytest.mark.parametrize(
    ("reported_at", "counts"),
    [
        (None, None),
        (NOON - HOUR, NOON - HOUR),
        (NOON + FURTHEST_OFF, NOON + FURTHEST_OFF),
        (NOON + FURTHEST_OFF + 1, None),
    ],
)
def test_time_of_a_report_is_the_lock_s_unless_its_clock_is_far_ahead(
    reported_at: int | None, counts: int | None
) -> None:
    assert report_time(reported_at, NOON) == counts
