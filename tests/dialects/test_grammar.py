"""Parameters mean the same however they are sent, and what is not understood is refused by name."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from urllib.parse import urlencode

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.dialects.seam.parameters import Id, Moment, Parameters, invalid_parameters, read_parameters
from heliograph.dialects.seam.queries import read_query, shapes_of, write_query
from heliograph.errors import Fault, Invalid
from tests.dialects.house import SINCE, House, faults, pairs_of, query_of

UID = "0197b3a4-10c2-7d3e-8f40-5162738495a6"


class Everything(Parameters, frozen=True, kw_only=True):
    """One parameter of each shape."""

    text: str = ""
    texts: tuple[str, ...] = ()
    number: int | float = 0
    numbers: tuple[int, ...] = ()
    truth: bool = False
    truths: tuple[bool, ...] = ()
    nullable: str | None = ""
    id: Id | None = None
    since: Moment | None = None
    table: dict[str, str | bool] = msgspec.field(default_factory=dict)


SHAPES = shapes_of(Everything)
TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
# What a query cannot tell from nothing at all: an empty text.
FULL_TEXT = TEXT.filter(bool)
WORDS = FULL_TEXT.filter(lambda text: text not in ("true", "false"))
VALUES = st.fixed_dictionaries(
    {},
    optional={
        "text": TEXT,
        "texts": st.lists(FULL_TEXT, max_size=4),
        "number": st.integers(-(10**15), 10**15) | st.floats(allow_nan=False, allow_infinity=False),
        "numbers": st.lists(st.integers(-1000, 1000), max_size=4),
        "truth": st.booleans(),
        "truths": st.lists(st.booleans(), max_size=4),
        "nullable": st.none() | FULL_TEXT,
        "table": st.dictionaries(FULL_TEXT, st.booleans() | WORDS, min_size=1, max_size=3),
    },
)


@given(VALUES)
def test_what_clients_write_is_read_back_as_it_was(values: dict[str, Any]) -> None:
    assert read_query(query_of(values).encode(), SHAPES) == {**values, **({"_strict": "true"} if values else {})}


@given(VALUES)
def test_without_strictness_only_single_elements_of_arrays_are_read_otherwise(values: dict[str, Any]) -> None:
    read = read_query(urlencode(pairs_of(values)).encode(), SHAPES)
    for name in values:
        if name == "texts" and len(values[name]) == 1:
            assert read[name] == values[name][0].split(",")
        else:
            assert read[name] == values[name]


@given(VALUES)
def test_query_of_the_next_page_is_written_as_clients_write_it(values: dict[str, Any]) -> None:
    assert read_query(write_query(values).encode(), SHAPES) == read_query(query_of(values).encode(), SHAPES)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("texts=a&texts=b", {"texts": ["a", "b"]}),
        ("texts=", {"texts": []}),
        ("texts[]=a", {"texts": ["a"]}),
        ("texts%5B%5D=a&texts%5B%5D=b", {"texts": ["a", "b"]}),
        ("texts=a,b", {"texts": ["a", "b"]}),
        ("texts=a,b&texts=c", {"texts": ["a,b", "c"]}),
        ("numbers=1,2", {"numbers": [1, 2]}),
        ("truth=yes", {"truth": True}),
        ("truth=no", {"truth": False}),
        ("truth=1", {"truth": True}),
        ("truth=0", {"truth": False}),
        ("truths=yes,0", {"truths": [True, False]}),
        ("nullable=", {"nullable": None}),
        ("text=", {"text": ""}),
        ("text=a,b", {"text": "a,b"}),
        ("text=1", {"text": "1"}),
        ("table.k=v&table.on=true", {"table": {"k": "v", "on": True}}),
        ("table.a.b=v", {"table": {"a.b": "v"}}),
        ("table=", {"table": {}}),
    ],
)
def test_lenient_query_is_read(query: str, expected: dict[str, Any]) -> None:
    assert read_query(query.encode(), SHAPES) == expected


def test_strict_query_takes_commas_literally_and_no_other_words_for_truth() -> None:
    read = read_query(b"texts=a,b&truth=yes&_strict=true", SHAPES)
    assert (read["texts"], read["truth"]) == (["a,b"], "yes")


@pytest.mark.parametrize("query", ["text=a&text=b", "text=a&text=a", "texts[]=a&_strict=true", "table.k=1&table.k=2"])
def test_query_is_refused_when_it_gives_too_much(query: str) -> None:
    with pytest.raises(Invalid) as refused:
        read_query(query.encode(), SHAPES)
    assert {fault.pointer for fault in refused.value.faults} <= {"/text", "/texts", "/table"}


# -- through the server ---------------------------------------------------------------------------------------------


def test_body_and_query_may_share_the_parameters(house: House) -> None:
    target = f"/seam/events/list?device_ids={house.locks[1]}"
    answer = house.api.post(target, house.key, {"since": SINCE})
    assert [event["device_id"] for event in answer.json()["events"]] == [house.locks[1]]


def test_parameter_in_query_and_body_is_refused(house: House) -> None:
    answer = house.api.post(f"/seam/events/list?since={SINCE}", house.key, {"since": SINCE})
    assert faults(answer) == {"_errors": [], "since": ["Given in the query and in the body."]}


def test_unknown_names_are_ignored(house: House) -> None:
    assert house.events(colour="red", nested={"a": {"b": 1}}) == house.events()


def test_empty_body_of_a_post_stands_for_no_parameters(house: House) -> None:
    answer = house.api.request("POST", "/seam/events/get", house.key)
    assert answer.json()["error"]["message"] == "An argument for event_id, event_type, or device_id is required"


@pytest.mark.parametrize("name", ["device_ids", "access_code_ids", "event_types", "event_ids"])
def test_nothing_passes_an_empty_array(house: House, name: str) -> None:
    assert house.events() != []
    assert house.events(**{name: []}) == []


@pytest.mark.parametrize("body", [b"[]", b"1", b"null", b'"text"', b"{", b'{"a":1,"a":2}', b"\xff", b"NaN"])
def test_body_that_is_no_json_object_is_refused(house: House, body: bytes) -> None:
    answer = house.api.request("POST", "/seam/events/list", house.key, body, [("content-type", "application/json")])
    assert answer.status == 400
    assert answer.json()["error"]["type"] == "invalid_input"


@pytest.mark.parametrize("query", ["since=%", "since=%ff", "since=%zz", "&".join(["a=1"] * 1001)])
def test_query_that_cannot_be_read_is_refused(house: House, query: str) -> None:
    answer = house.api.get(f"/seam/events/list?{query}", house.key)
    assert (answer.status, answer.json()["error"]["type"]) == (400, "invalid_input")


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"device_id": "lock"}, {"device_id": ["Expected 32 hexadecimal digits or a hyphenated UUID."]}),
        ({"device_ids": [UID, "x"]}, {"device_ids": ["Expected 32 hexadecimal digits or a hyphenated UUID (at [1])."]}),
        ({"limit": 0}, {"limit": ["Expected a whole number >= 1."]}),
        ({"limit": 10_001}, {"limit": ["Expected a whole number <= 10000."]}),
        ({"limit": 1.5}, {"limit": ["Expected a whole number, got a number."]}),
        ({"limit": "many"}, {"limit": ["Expected a whole number, got text."]}),
        ({"event_type": "a\nb"}, {"event_type": ["No control characters may stand here."]}),
        ({"device_id": "x", "limit": 0}, {"device_id": ["Expected 32 hexadecimal digits or a hyphenated UUID."],
                                          "limit": ["Expected a whole number >= 1."]}),
    ],
)  # fmt: skip
def test_every_parameter_that_is_wrong_is_named(
    house: House, parameters: dict[str, Any], expected: dict[str, list[str]]
) -> None:
    for ask in (house.get, house.post):
        answer = ask("/events/list", since=SINCE, **parameters)
        assert (answer.status, answer.json()["error"]["type"]) == (400, "invalid_input")
        assert faults(answer) == {"_errors": [], **expected}


@pytest.mark.parametrize("name", ["customer_key", "acs_user_id", "space_ids", "user_identity_id", "connect_webview_id"])
def test_parameter_for_what_is_not_here_is_refused_unless_it_says_nothing(house: House, name: str) -> None:
    for ask in (house.get, house.post):
        answer = ask("/events/list", since=SINCE, **{name: ["x"] if name.endswith("s") else "x"})
        assert faults(answer)[name] == [f"{name!r} is a parameter of Seam's that is not available here."]
        assert ask("/events/list", since=SINCE, **{name: None}).status == 200


def test_required_parameter_is_missed_by_name() -> None:
    class Needs(Parameters, frozen=True, kw_only=True):
        device_id: Id

    request = SimpleNamespace(scope={"query_string": b""}, body=b"")
    with pytest.raises(Invalid) as refused:
        read_parameters(request, Needs)  # type: ignore[arg-type]  # all that is asked of a request
    assert refused.value.faults == (Fault("/device_id", "required", "Required."),)
    assert refused.value.detail == "device_id: Required."


def test_refusal_of_several_parameters_names_each_once() -> None:
    refusal = invalid_parameters([Fault("/a", "x", "One."), Fault("/b", "x", "Two."), Fault("/a", "y", "Three.")])
    assert refusal.detail == "These parameters are not acceptable: a, b."
