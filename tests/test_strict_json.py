"""JSON from outside is read in one way only, and every fault is named by its place."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Annotated, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.errors import Invalid
from heliograph.strict_json import check_unambiguous, pointer_to, read

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
NUMBERS = st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
DOCUMENTS = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


class Inner(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    level: Annotated[int, msgspec.Meta(ge=0, le=5)]
    note: Annotated[str, msgspec.Meta(max_length=3)] | None = None


class Outer(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    long_name: str
    inner: Inner | None = None
    many: list[Inner] = []
    raw: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


def _faults(body: bytes, model: Any = Outer) -> list[tuple[str, str]]:
    with pytest.raises(Invalid) as refusal:
        read(body, model)
    return [(fault.pointer, fault.rule) for fault in refusal.value.faults]


# -- what is read ---------------------------------------------------------------------------------------------------


@given(DOCUMENTS, st.sampled_from([(",", ":"), (" , ", " : "), (",\n", ":\t")]), st.booleans())
def test_document_is_read_however_it_is_laid_out(document: Any, separators: tuple[str, str], ascii_only: bool) -> None:
    body = json.dumps(document, separators=separators, ensure_ascii=ascii_only).encode()
    assert check_unambiguous(body) == document


@given(st.binary(max_size=40) | DOCUMENTS.map(lambda document: json.dumps(document).encode()).flatmap(
    lambda body: st.tuples(st.integers(0, len(body)), st.binary(max_size=2)).map(
        lambda cut: body[: cut[0]] + cut[1] + body[cut[0] + 1 :]
    )
))  # fmt: skip
def test_bytes_of_any_kind_are_read_or_refused_with_a_fault(body: bytes) -> None:
    try:
        document = check_unambiguous(body)
    except Invalid as refusal:
        faults = refusal.faults
    else:
        faults = ()
        assert json.loads(body) == document
    assert len(faults) <= 1


@given(DOCUMENTS)
def test_shape_is_met_or_refused_with_a_fault(document: Any) -> None:
    with suppress(Invalid):
        read(json.dumps(document).encode(), Outer)


# -- what is refused ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "rule"),
    [
        (b"", "json"),
        (b" ", "json"),
        (b"{", "json"),
        (b"nul", "json"),
        (b"1 2", "json"),
        (b"[1,]", "json"),
        (b"{'a':1}", "json"),
        (b'"\x00"', "json"),
        (b"\x00", "json"),
        (b"NaN", "json"),
        (b"[Infinity]", "json"),
        (b"-Infinity", "json"),
        (b"01", "json"),
        (b"\xef\xbb\xbf{}", "json"),
        (b"/* no */ 1", "json"),
        (b'"\xff"', "utf-8"),
        (b"\xff\xfe{\x00}\x00", "utf-8"),
        (b'"\xed\xa0\x80"', "utf-8"),
        (b'"\xc0\xaf"', "utf-8"),
        (rb'"\ud800"', "surrogate"),
        (rb'"\udc00"', "surrogate"),
        (rb'"\ud800A"', "surrogate"),
        (rb'{"\ud800": 1}', "surrogate"),
        (b"[" * 10_000 + b"]" * 10_000, "nesting"),
        (b"[" * 1_000_000, "nesting"),
        (b'{"a":' * 10_000, "nesting"),
        (b"1e400", "number-range"),
        (b"9" * 5_000, "number-range"),
    ],
    ids=lambda value: repr(value[:20]),
)
def test_body_that_is_no_json_is_refused_by_its_rule(body: bytes, rule: str) -> None:
    with pytest.raises(Invalid) as refusal:
        check_unambiguous(body)
    assert [(fault.pointer, fault.rule) for fault in refusal.value.faults] == [("", rule)]


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        (b'{"a":1,"a":1}', "/a"),
        (b'{"a":1,"b":2,"a":3}', "/a"),
        (rb'{"a":1,"\u0061":2}', "/a"),
        (b'{"x":{"y":[0,{"b":1,"b":2}]}}', "/x/y/1/b"),
        (b'{"":1,"":2}', "/"),
        (b'{"a~/":{"/":1,"/":2}}', "/a~0~1/~1"),
        (b'[[],[[{"k":null,"k":null}]]]', "/1/0/0/k"),
    ],
)
def test_name_that_occurs_twice_is_refused_at_its_place(body: bytes, pointer: str) -> None:
    with pytest.raises(Invalid) as refusal:
        check_unambiguous(body)
    assert [(fault.pointer, fault.rule) for fault in refusal.value.faults] == [(pointer, "duplicate-name")]


def test_name_that_occurs_twice_is_refused_inside_a_raw_part_too() -> None:
    assert _faults(b'{"longName":"x","raw":{"deep":[{"a":1,"a":2}]}}') == [("/raw/deep/0/a", "duplicate-name")]


def test_same_name_in_different_objects_is_no_repeat() -> None:
    assert check_unambiguous(b'[{"a":1}, {"a":{"a":2}}]') == [{"a": 1}, {"a": {"a": 2}}]


def test_repeat_among_very_many_names_is_found() -> None:
    names = [f'"{number:x}":0' for number in range(50_000)]
    body = ("{" + ",".join([*names, '"c34f":0']) + "}").encode()
    assert _faults(body) == [("/c34f", "duplicate-name")]


def test_wide_document_far_below_its_root_is_read() -> None:
    depth, width = 400, 200_000
    body = b"[" * depth + b", ".join([b"[]"] * width) + b"]" * depth
    document = check_unambiguous(body)
    for _ in range(depth - 1):
        (document,) = document
    assert len(document) == width


# -- shapes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "faults"),
    [
        (b"[]", [("", "type")]),
        (b"{}", [("/longName", "required")]),
        (b'{"longName":null}', [("/longName", "type")]),
        (b'{"longName":"x","long_name":"y"}', [("/long_name", "unknown-field")]),
        (b'{"longName":"x","inner":{}}', [("/inner/level", "required")]),
        (b'{"longName":"x","inner":{"level":6}}', [("/inner/level", "maximum")]),
        (b'{"longName":"x","inner":{"level":-1}}', [("/inner/level", "minimum")]),
        (b'{"longName":"x","inner":{"level":1.5}}', [("/inner/level", "type")]),
        (b'{"longName":"x","inner":{"level":true}}', [("/inner/level", "type")]),
        (b'{"longName":"x","inner":{"level":1,"note":"four"}}', [("/inner/note", "maxLength")]),
        (b'{"longName":"x","many":[{"level":1},{"level":"1"}]}', [("/many/1/level", "type")]),
        (b'{"longName":"x","a~b/c":1}', [("/a~0b~1c", "unknown-field")]),
    ],
)
def test_fault_of_a_shape_is_named_by_place_and_rule(body: bytes, faults: list[tuple[str, str]]) -> None:
    assert _faults(body) == faults


def test_all_faults_of_a_body_are_named_at_once() -> None:
    body = b'{"inner":{"level":9,"x":1},"many":[{"level":-1},{"note":7}],"unknown":0}'
    assert sorted(_faults(body)) == [
        ("/inner/level", "maximum"),
        ("/inner/x", "unknown-field"),
        ("/longName", "required"),
        ("/many/0/level", "minimum"),
        ("/many/1/level", "required"),
        ("/many/1/note", "type"),
        ("/unknown", "unknown-field"),
    ]


def test_faults_without_number_are_cut_off() -> None:
    body = b'{"longName":"x","many":[' + b",".join([b"{}"] * 5_000) + b"]}"
    assert 1 <= len(_faults(body)) <= 200


@given(st.lists(TEXTS | st.integers(0, 99), max_size=4))
def test_pointer_can_be_taken_apart_again(steps: list[str | int]) -> None:
    parts = pointer_to(*steps).split("/")[1:]
    assert [part.replace("~1", "/").replace("~0", "~") for part in parts] == [str(step) for step in steps]
