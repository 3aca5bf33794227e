"""CloudEvents 1.0: what is accepted, what is refused and where, and what comes out again."""

from __future__ import annotations

import base64
import contextlib
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import msgspec
import pytest
from cloudevents.core.bindings.http import (
    HTTPMessage,
    from_structured_event,
    to_binary_event,
    to_structured_event,
)
from cloudevents.core.v1.event import CloudEvent
from hypothesis import given
from hypothesis import strategies as st

from heliograph.errors import Invalid, TooLarge, UnsupportedMediaType
from heliograph.eventlog import cloudevents
from heliograph.eventlog.attributes import LARGEST_EXTENSIONS
from heliograph.eventlog.cloudevents import (
    Mode,
    fingerprint,
    mode_of,
    parse_batch,
    parse_binary,
    parse_structured,
    render,
)
from heliograph.eventlog.model import Actor, Event, EventDraft, decode_envelope, is_json, prepare
from heliograph.ids import Uid, as_uuid
from heliograph.times import print_time

if TYPE_CHECKING:
    from collections.abc import Callable

TENANT = "0197a000000070008000000000000001"
UID = Uid(bytes.fromhex("0197a000000070008000000000000abc"))
RECORDED_AT = 1_767_225_600_000_001  # 2026-01-01T00:00:00.000001Z

MINIMAL: dict[str, Any] = {"specversion": "1.0", "id": "A1", "source": "/doors", "type": "com.example.opened"}
FIELDS = [
    "time",
    "subject",
    "criticality",
    "datacontenttype",
    "dataschema",
    "data",
    "data_base64",
    "é",
    *MINIMAL,
]
HEADERS = [(b"ce-" + name.encode(), value.encode()) for name, value in MINIMAL.items()]


def structured(**attributes: object) -> bytes:
    """Encode the minimal event with changes; an attribute set to `...` is left out."""
    document = {name: value for name, value in (MINIMAL | attributes).items() if value is not ...}
    return json.dumps(document).encode()


def stored(draft: EventDraft, seq: int = 7) -> Event:
    """Return the event that the log would hold for a draft."""
    prepared = prepare(draft, uid=UID, salt=bytes(32), actor=Actor(uid="a" * 32))
    return Event(TENANT, seq, RECORDED_AT, decode_envelope(prepared.envelope), draft.payload)


def rendered(draft: EventDraft) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(render(stored(draft)))
    return document


def refusal(parse: Callable[[], object]) -> set[tuple[str, str]]:
    """Return the places and rules for which a message is refused."""
    with pytest.raises(Invalid) as caught:
        parse()
    return {(fault.pointer, fault.rule) for fault in caught.value.faults}


plain = st.characters(exclude_categories=["Cc", "Cs", "Cn"])
texts = st.text(plain, min_size=1, max_size=40)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS) | texts, inner, max_size=5),
    max_leaves=8,
)
ce_headers = st.sampled_from([b"content-type", b"ce-datacontenttype", *(b"ce-" + name.encode() for name in FIELDS)])


# --- which mode ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "mode"),
    [
        ([(b"content-type", b"application/cloudevents+json")], Mode.STRUCTURED),
        ([(b"content-type", b"Application/CloudEvents+JSON ; charset=UTF-8")], Mode.STRUCTURED),
        ([(b"content-type", b"application/cloudevents-batch+json")], Mode.BATCH),
        ([(b"ce-specversion", b"1.0"), (b"content-type", b"application/cloudevents+json")], Mode.STRUCTURED),
        ([(b"ce-specversion", b"1.0"), (b"content-type", b"image/png")], Mode.BINARY),
        ([(b"ce-specversion", b"")], Mode.BINARY),
        ([(b"content-type", b"application/json"), (b"ce-id", b"1")], None),
        ([], None),
    ],
)
def test_mode_is_told_by_the_headers(headers: cloudevents.Headers, mode: Mode | None) -> None:
    assert mode_of(headers) is mode


@pytest.mark.parametrize(
    "media_type",
    [b"application/cloudevents+xml", b"application/cloudevents-batch+avro", b"application/cloudevents"],
)
def test_formats_other_than_json_are_refused_as_media_types(media_type: bytes) -> None:
    with pytest.raises(UnsupportedMediaType) as caught:
        mode_of([(b"content-type", media_type), (b"ce-specversion", b"1.0")])
    assert caught.value.faults[0].pointer == "header/content-type"


# --- what is accepted ---------------------------------------------------------------------------------------


def test_every_attribute_of_a_structured_event_finds_its_field() -> None:
    draft = parse_structured(
        structured(
            subject="door/7",
            targettype="Device",
            time="2026-01-31T12:00:00.25+01:00",
            criticality=2,
            eventcode=10_000,
            dataschema="https://example.com/opened.json",
            traceparent="00-0af7-b7ad-01",
            retries=-3,
            dryrun=False,
            datacontenttype="application/json",
            data={"by": "key"},
        )
    )
    assert draft == EventDraft(
        type="com.example.opened",
        code=10_000,
        criticality=2,
        target_type="Device",
        target_id="door/7",
        source="/doors",
        source_id="A1",
        occurred_at=1_769_857_200_250_000,
        extensions={
            "traceparent": "00-0af7-b7ad-01",
            "retries": -3,
            "dryrun": False,
            "dataschema": "https://example.com/opened.json",
        },
        content_type="application/json",
        payload=b'{"by": "key"}',
    )
    assert cloudevents.dedup_identity(draft) == ("/doors", "A1")


def test_draft_without_a_source_has_no_identity() -> None:
    assert cloudevents.dedup_identity(EventDraft(source_id="A1")) is None
    assert cloudevents.dedup_identity(EventDraft(source="/doors")) is None


@pytest.mark.parametrize(
    ("members", "content_type", "payload"),
    [
        (
            '"data": {"b" : 1.0,\n "a":[1e3, "\\u00e9"] } ',
            "application/json",
            b'{"b" : 1.0,\n "a":[1e3, "\\u00e9"] }',
        ),
        ('"data": "just text"', "application/json", b'"just text"'),
        ('"data": null', "application/json", b"null"),
        ('"data": 1, "datacontenttype": null, "data_base64": null', "application/json", b"1"),
        ('"data": [], "datacontenttype": "text/vnd.x+JSON; v=1"', "text/vnd.x+JSON; v=1", b"[]"),
        (
            '"data": "<a é=\\"\\n\\"/>", "datacontenttype": "application/xml"',
            "application/xml",
            '<a é="\n"/>'.encode(),
        ),
        (
            '"data": "x", "datacontenttype": "text/plain; charset=\\"UTF-8\\""',
            'text/plain; charset="UTF-8"',
            b"x",
        ),
        (
            '"data": "x", "datacontenttype": "text/plain;charset=us-ascii"',
            "text/plain;charset=us-ascii",
            b"x",
        ),
        ('"data_base64": "AP8="', "application/octet-stream", b"\x00\xff"),
        (
            '"data_base64": "eyAiYSI6MX0=", "datacontenttype": "application/json"',
            "application/json",
            b'{ "a":1}',
        ),
        ('"data_base64": ""', None, b""),
    ],
)
def test_data_is_kept_as_the_bytes_that_came(members: str, content_type: str | None, payload: bytes) -> None:
    draft = parse_structured(structured()[:-1] + f", {members}}}".encode())
    assert (draft.content_type, draft.payload) == (content_type, payload)


def test_content_type_without_data_is_kept_as_an_attribute_and_repeated() -> None:
    draft = parse_structured(structured(datacontenttype="text/csv"))
    assert (draft.content_type, draft.payload) == (None, b"")
    assert rendered(draft)["datacontenttype"] == "text/csv"
    assert "data" not in rendered(draft)


def test_null_attributes_count_as_absent() -> None:
    optional = ("subject", "time", "criticality", "eventcode", "targettype", "dataschema", "other")
    assert parse_structured(structured(**dict.fromkeys(optional))) == parse_structured(structured())


def test_numbers_of_ours_may_be_written_as_digits_but_other_extensions_stay_as_they_are() -> None:
    draft = parse_structured(structured(criticality="0", eventcode="2147483647", retries="3"))
    assert (draft.criticality, draft.code, draft.extensions) == (0, 2**31 - 1, {"retries": "3"})


def test_names_longer_than_recommended_are_accepted() -> None:
    assert parse_structured(structured(**{"x" * 40: "y"})).extensions == {"x" * 40: "y"}


def test_event_of_64_kib_is_accepted_in_both_modes() -> None:
    data = "x" * (65_536 - 2)
    draft = parse_structured(structured(data=data))
    assert fingerprint(parse_binary([*HEADERS, (b"content-type", b"application/json")], draft.payload)) == (
        fingerprint(draft)
    )


# --- what is refused ----------------------------------------------------------------------------------------

BAD_ATTRIBUTES: list[tuple[str, object, str]] = [
    ("id", ..., "required"),
    ("id", None, "required"),
    ("id", "", "non-empty"),
    ("id", 5, "type"),
    ("id", "x" * 1025, "too-long"),
    ("id", "a\nb", "characters"),
    ("id", "a\x9fb", "characters"),
    ("id", "a\ufdd0b", "characters"),
    ("id", "a\U0010ffffb", "characters"),
    ("source", ..., "required"),
    ("source", "", "non-empty"),
    ("source", "x" * 1025, "too-long"),
    ("source", "two words", "uri-reference"),
    ("source", "été", "uri-reference"),
    ("source", "a%2", "uri-reference"),
    ("source", ":a", "uri-reference"),
    ("source", "1a:b", "uri-reference"),
    ("source", "//a b", "uri-reference"),
    ("source", "//host:port/", "uri-reference"),
    ("source", "#a#b", "uri-reference"),
    ("type", ..., "required"),
    ("type", "", "non-empty"),
    ("type", "x" * 256, "too-long"),
    ("type", ["x"], "type"),
    ("specversion", ..., "required"),
    ("specversion", "", "non-empty"),
    ("specversion", "2.0", "specversion"),
    ("specversion", "1.0.2", "specversion"),
    ("specversion", 1.0, "type"),
    ("subject", "", "non-empty"),
    ("subject", "x" * 1025, "too-long"),
    ("targettype", "x" * 256, "too-long"),
    ("dataschema", "", "non-empty"),
    ("dataschema", "schemas/1", "uri"),
    ("dataschema", "//example.com/1", "uri"),
    ("datacontenttype", "", "non-empty"),
    ("datacontenttype", "json", "media-type"),
    ("datacontenttype", "text/plain; charset", "media-type"),
    ("time", "", "non-empty"),
    ("time", 0, "type"),
    ("time", "2026-01-31T12:00:00", "time"),
    ("time", "2026-01-31 12:00:00Z", "time"),
    ("time", "2026-01-31", "time"),
    ("time", "2026-02-30T12:00:00Z", "time"),
    ("time", "2026-01-31T24:00:00Z", "time"),
    ("time", "2026-01-31T12:00:00+24:00", "time"),
    ("time", "\uff12026-01-31T12:00:00Z", "time"),  # a full-width digit
    ("time", "0000-01-01T00:00:00Z", "time"),
    ("time", "2016-12-31T23:59:60Z", "leap-second"),
    ("time", "2255-06-05T23:47:34.740992Z", "time-range"),
    ("time", "0001-01-01T00:00:00+23:59", "time-range"),
    ("criticality", -1, "range"),
    ("criticality", 6, "range"),
    ("criticality", "6", "range"),
    ("criticality", "05", "integer"),
    ("criticality", "CRITICAL", "integer"),
    ("criticality", "", "integer"),
    ("criticality", "9" * 5000, "integer"),
    ("criticality", 1.0, "integer"),
    ("criticality", True, "integer"),
    ("eventcode", -1, "range"),
    ("eventcode", 2**31, "range"),
    ("fooBar", "x", "attribute-name"),
    ("foo_bar", "x", "attribute-name"),
    ("foobär", "x", "attribute-name"),
    ("", "x", "attribute-name"),
    ("Id", None, "attribute-name"),
    ("extra", {"a": 1}, "scalar"),
    ("extra", [], "scalar"),
    ("extra", 1.5, "integer"),
    ("extra", 1.0, "integer"),
    ("extra", 2**31, "range"),
    ("extra", -(2**31) - 1, "range"),
    ("extra", "a\x7f", "characters"),
    ("extra", "x" * LARGEST_EXTENSIONS, "too-long"),
    ("extra", "é" * (LARGEST_EXTENSIONS // 2), "too-long"),
]


@pytest.mark.parametrize(("name", "value", "rule"), BAD_ATTRIBUTES)
def test_bad_attribute_is_refused_at_its_place(name: str, value: object, rule: str) -> None:
    assert refusal(lambda: parse_structured(structured(**{name: value}))) == {(f"/{name}", rule)}


@pytest.mark.parametrize(
    ("members", "place", "rule"),
    [
        ({"data": 1, "data_base64": "AA=="}, "/data_base64", "one-data"),
        ({"data": None, "data_base64": "AA=="}, "/data_base64", "one-data"),
        ({"data_base64": "AA"}, "/data_base64", "base64"),
        ({"data_base64": "AA==AA=="}, "/data_base64", "base64"),
        ({"data_base64": "A A="}, "/data_base64", "base64"),
        ({"data_base64": "_-8="}, "/data_base64", "base64"),
        ({"data_base64": "é"}, "/data_base64", "base64"),
        ({"data_base64": 5}, "/data_base64", "base64"),
        ({"data_base64": ["AA=="]}, "/data_base64", "base64"),
        ({"data_base64": "AA==", "datacontenttype": "application/json"}, "/data_base64", "data-json"),
        ({"data": {"a": 1}, "datacontenttype": "text/plain"}, "/data", "data-text"),
        ({"data": None, "datacontenttype": "text/plain"}, "/data", "data-text"),
        ({"data": "x", "datacontenttype": "text/plain; charset=utf-16"}, "/data", "data-charset"),
        ({"data": "é", "datacontenttype": "text/plain; charset=us-ascii"}, "/data", "data-charset"),
    ],
)
def test_bad_data_is_refused_at_its_place(members: dict[str, Any], place: str, rule: str) -> None:
    assert refusal(lambda: parse_structured(structured(**members))) == {(place, rule)}


@pytest.mark.parametrize(
    ("body", "place", "rule"),
    [
        (b"", "", "json"),
        (b"{", "", "json"),
        (b"[]", "", "object"),
        (b'"text"', "", "object"),
        (b"\xef\xbb\xbf" + structured(), "", "json"),
        (structured().replace(b"A1", b"\xff"), "", "utf-8"),
        (structured().replace(b"A1", b"\\ud800"), "", "surrogate"),
        (structured()[:-1] + b', "id": "A2"}', "/id", "duplicate-name"),
        (structured()[:-1] + b', "data": {"a": 1, "a": 2}}', "/data/a", "duplicate-name"),
        (structured()[:-1] + b', "data": NaN}', "", "json"),
    ],
)
def test_body_that_is_no_unambiguous_object_is_refused(body: bytes, place: str, rule: str) -> None:
    assert refusal(lambda: parse_structured(body)) == {(place, rule)}


def test_all_faults_of_an_event_are_reported_together() -> None:
    body = structured(id=..., type="", time="today", criticality=9, fooBar=1, data=1, data_base64="")
    assert refusal(lambda: parse_structured(body)) == {
        ("/id", "required"),
        ("/type", "non-empty"),
        ("/time", "time"),
        ("/criticality", "range"),
        ("/fooBar", "attribute-name"),
        ("/data_base64", "one-data"),
    }


def test_reported_faults_are_at_most_a_hundred() -> None:
    assert len(refusal(lambda: parse_structured(structured(**{f"X{n}": 1 for n in range(1000)})))) == 100


@given(st.binary() | json_values.map(msgspec.json.encode), st.lists(st.tuples(ce_headers, st.binary())))
def test_any_message_is_read_or_refused(body: bytes, headers: list[tuple[bytes, bytes]]) -> None:
    parsers: list[Callable[[], object]] = [
        lambda: parse_structured(body),
        lambda: parse_batch(body),
        lambda: parse_binary([*HEADERS, *headers], body),
    ]
    for parse in parsers:
        with contextlib.suppress(Invalid):
            parse()


# --- binary mode --------------------------------------------------------------------------------------------


def binary(*headers: tuple[bytes, bytes], body: bytes = b"") -> EventDraft:
    """Parse the minimal event with more headers, which replace those of the same name."""
    names = {name for name, _ in headers}
    return parse_binary([*(pair for pair in HEADERS if pair[0] not in names), *headers], body)


def test_binary_event_takes_attributes_from_headers_and_the_body_as_it_is() -> None:
    draft = binary(
        (b"host", b"localhost"),
        (b"ce-criticality", b"1"),
        (b"ce-retries", b"3"),
        (b"content-type", b"image/png"),
        body=b"\x89PNG\r\n\x00",
    )
    assert (draft.source_id, draft.criticality, draft.extensions) == ("A1", 1, {"retries": "3"})
    assert (draft.content_type, draft.payload) == ("image/png", b"\x89PNG\r\n\x00")


def test_binary_body_without_a_content_type_is_a_sequence_of_bytes() -> None:
    assert binary(body=b"{").content_type == "application/octet-stream"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (b"Euro%20%E2%82%AC%20%F0%9F%98%80", "Euro € 😀"),
        (b"%e2%82%ac", "€"),
        (b"%41%2F", "A/"),
        (b"%2541", "%41"),
        (b'"two words"', "two words"),
        (b'"a \\"b\\" \\\\ %22"', 'a "b" \\ "'),
        ("é".encode(), "é"),
        (b"in the 'middle' \"", "in the 'middle' \""),
        (b"  padded\t", "padded"),
    ],
)
def test_header_value_is_unquoted_and_decoded_once(value: bytes, text: str) -> None:
    assert binary((b"ce-subject", value)).target_id == text


@pytest.mark.parametrize(
    ("header", "value", "rule"),
    [
        (b"ce-subject", b"%C0%A0", "utf-8"),
        (b"ce-subject", b"%ED%A0%80", "utf-8"),
        (b"ce-subject", b"\xe9", "utf-8"),
        (b"ce-subject", b"100%", "percent-encoding"),
        (b"ce-subject", b"%zz", "percent-encoding"),
        (b"ce-subject", b'"open', "header-quotes"),
        (b"ce-subject", b'"a" b"', "header-quotes"),
        (b"ce-subject", b'"a\\"', "header-quotes"),
        (b"ce-subject", b"", "non-empty"),
        (b"ce-subject", b"a%0Ab", "characters"),
        (b"ce-id", b"%FF", "utf-8"),
        (b"ce-specversion", b"0.3", "specversion"),
        (b"ce-datacontenttype", b"text/plain", "binary-content-type"),
        (b"ce-data", b"x", "attribute-name"),
        (b"ce-data_base64", b"eA==", "attribute-name"),
        (b"ce-two-words", b"x", "attribute-name"),
        (b"ce-", b"x", "attribute-name"),
        (b"content-type", b"", "non-empty"),
        (b"content-type", b"png", "media-type"),
    ],
)
def test_bad_header_is_refused_by_its_name(header: bytes, value: bytes, rule: str) -> None:
    assert refusal(lambda: binary((header, value))) == {(f"header/{header.decode()}", rule)}


@pytest.mark.parametrize(("header", "value"), [*HEADERS, (b"ce-x", b"x"), (b"content-type", b"text/plain")])
def test_header_that_occurs_twice_is_refused(header: bytes, value: bytes) -> None:
    twice = [*(pair for pair in HEADERS if pair[0] != header), (header, value), (header, value)]
    name = f"header/{header.decode()}"
    assert refusal(lambda: parse_binary(twice, b"")) == {(name, "duplicate-header")}


@pytest.mark.parametrize("name", list(MINIMAL))
def test_binary_event_without_a_required_attribute_is_refused(name: str) -> None:
    left = [pair for pair in HEADERS if pair[0] != b"ce-" + name.encode()]
    assert refusal(lambda: parse_binary(left, b"")) == {(f"header/ce-{name}", "required")}


@pytest.mark.parametrize("body", [b"just text", b'{"a":1,"a":2}', b"\xff", b"{} {}"])
def test_binary_body_that_is_not_the_json_it_claims_is_refused(body: bytes) -> None:
    header = (b"content-type", b"application/json")
    assert refusal(lambda: binary(header, body=body)) == {("", "data-json")}


# --- batches ------------------------------------------------------------------------------------------------


def test_empty_batch_is_valid() -> None:
    assert parse_batch(b" [ ] ") == []


def test_events_of_a_batch_are_accepted_or_refused_one_by_one() -> None:
    bad = structured(time="now", subject="")
    items = [structured(), bad, b"5", b'{"id":1,"id":2}', structured(id="A2")]
    first, *refused, last = parse_batch(b"[" + b",".join(items) + b"]")
    assert isinstance(first, EventDraft)
    assert isinstance(last, EventDraft)
    assert (first.source_id, last.source_id) == ("A1", "A2")
    refusals = [item for item in refused if isinstance(item, Invalid)]
    assert [{(fault.pointer, fault.rule) for fault in item.faults} for item in refusals] == [
        {("/1/time", "time"), ("/1/subject", "non-empty")},
        {("/2", "object")},
        {("/3/id", "duplicate-name")},
    ]


def test_invalid_utf8_in_one_event_of_a_batch_leaves_the_others_alone() -> None:
    good, bad = parse_batch(b"[" + structured() + b"," + structured().replace(b"A1", b"\xff") + b"]")
    assert isinstance(good, EventDraft)
    assert isinstance(bad, Invalid)
    assert bad.faults[0].pointer == "/1"


@pytest.mark.parametrize(
    ("body", "rule"),
    [(structured(), "array"), (b"", "json"), (b"[{},]", "json"), (b"[" * 5000 + b"]" * 5000, "nesting")],
)
def test_body_that_is_no_array_is_refused_whole(body: bytes, rule: str) -> None:
    assert refusal(lambda: parse_batch(body)) == {("", rule)}


def test_batch_beyond_the_callers_limit_is_refused_before_its_events_are_read() -> None:
    assert len(parse_batch(b"[1,2,3]", most=3)) == 3
    with pytest.raises(TooLarge):
        parse_batch(b"[1,2,3,4]", most=3)


# --- the same event in another shape ------------------------------------------------------------------------

names = st.from_regex(r"x[a-z0-9]{1,12}", fullmatch=True)
scalars = st.text(plain, max_size=40) | st.booleans() | st.integers(-(2**31), 2**31 - 1)
documents = st.builds(
    lambda value, indent: json.dumps(value, indent=indent).encode(), json_values, st.none() | st.just(2)
)
payloads = st.one_of(
    st.just((None, b"")),
    st.tuples(st.just("image/png"), st.binary(min_size=1)),
    st.tuples(st.just("text/plain; charset=utf-8"), texts.map(str.encode)),
    st.tuples(st.sampled_from(["application/json", "application/vnd.x+json; v=1"]), documents),
)


@st.composite
def attributes(draw: st.DrawFn) -> dict[str, Any]:
    known = st.fixed_dictionaries(
        {
            "specversion": st.just("1.0"),
            "id": texts,
            "source": texts.map(lambda text: "/" + quote(text, safe="")),
            "type": texts,
        },
        optional={
            "subject": texts,
            "time": st.integers(-(2**53) + 1, 2**53 - 1).map(print_time),
            "dataschema": texts.map(lambda text: "urn:x:" + quote(text, safe="")),
            "targettype": texts,
            "criticality": st.integers(0, 5),
            "eventcode": st.integers(0, 2**31 - 1),
            "severitytext": texts,
        },
    )
    return draw(st.dictionaries(names, scalars, max_size=4)) | draw(known)


def as_structured(values: dict[str, Any], content_type: str | None, payload: bytes) -> bytes:
    body = msgspec.json.encode(values | ({"datacontenttype": content_type} if content_type else {}))
    if not payload:
        return body
    if content_type and is_json(content_type):
        return body[:-1] + b', "data": ' + payload + b" }"
    return body[:-1] + b', "data_base64": "' + base64.b64encode(payload) + b'"}'


def as_headers(values: dict[str, Any], content_type: str | None) -> list[tuple[bytes, bytes]]:
    canonical = {name: value if isinstance(value, str) else json.dumps(value) for name, value in values.items()}
    headers = [(f"ce-{name}".encode(), quote(text, safe="").encode()) for name, text in canonical.items()]
    return headers + ([(b"content-type", content_type.encode())] if content_type else [])


@given(attributes(), payloads)
def test_event_reads_back_from_its_rendering(values: dict[str, Any], data: tuple[str | None, bytes]) -> None:
    draft = parse_structured(as_structured(values, *data))
    again = parse_structured(render(stored(draft)))
    for field in (
        "source",
        "source_id",
        "type",
        "target_id",
        "target_type",
        "code",
        "content_type",
        "payload",
    ):
        assert getattr(again, field) == getattr(draft, field)
    assert again.occurred_at == (RECORDED_AT if draft.occurred_at is None else draft.occurred_at)
    assert (again.criticality or 0) == (draft.criticality or 0)
    ours = {"sequence", "recordedtime", "severitynumber", "severitytext"}
    assert again.extensions.items() >= draft.extensions.items()
    assert again.extensions.keys() - draft.extensions.keys() <= ours


@given(attributes(), payloads)
def test_both_modes_of_one_event_have_one_fingerprint(values: dict[str, Any], data: tuple[str | None, bytes]) -> None:
    content_type, payload = data
    assert fingerprint(parse_binary(as_headers(values, content_type), payload)) == (
        fingerprint(parse_structured(as_structured(values, content_type, payload)))
    )


def test_largest_event_has_an_envelope_of_less_than_64_kib() -> None:
    widest = {"id": "😀" * 1024, "subject": '"' * 1024, "source": "s" * 1024, "dataschema": "a:" + "s" * 1000}
    body = structured(**widest, type="😀" * 255, targettype="😀" * 255, note='"' * (LARGEST_EXTENSIONS - 4))
    draft = parse_structured(body)
    assert len(prepare(draft, uid=UID, salt=bytes(32), actor=Actor()).envelope) < 64 * 1024


def test_fingerprint_does_not_depend_on_order_spacing_or_offset() -> None:
    one = structured(time="2026-01-01T01:00:00+01:00", aa="x", bb=5)
    other = json.dumps(
        {"bb": 5, "aa": "x", "time": "2026-01-01T00:00:00Z", **MINIMAL, "subject": None}, indent=2
    ).encode()
    assert fingerprint(parse_structured(one)) == fingerprint(parse_structured(other))
    assert len(fingerprint(parse_structured(one))) == 32


def test_fingerprint_tells_any_two_drafts_apart() -> None:
    full = EventDraft(
        type="t", code=1, criticality=1, target_type="tt", target_id="ti", source="s", source_id="si",
        occurred_at=1, extensions={"a": "b"}, content_type="text/plain", payload=b"p",
    )  # fmt: skip
    defaults = EventDraft()
    less = [
        msgspec.structs.replace(full, **{field: getattr(defaults, field)}) for field in EventDraft.__struct_fields__
    ]
    shifted = [
        msgspec.structs.replace(full, extensions={"ab": ""}),
        msgspec.structs.replace(full, extensions={"a": "b", "c": ""}),
        msgspec.structs.replace(full, target_type="t", target_id="tti"),
        msgspec.structs.replace(full, payload=b"pp"),
        msgspec.structs.replace(full, criticality=0),
    ]
    drafts = [full, defaults, *less, *shifted]
    assert len({fingerprint(draft) for draft in drafts}) == len(drafts)


# --- rendering ----------------------------------------------------------------------------------------------


def test_event_of_the_platform_is_rendered_under_its_own_source_and_id() -> None:
    draft = EventDraft(code=10_000, criticality=1, target_type="Device", target_id="d1")
    assert rendered(draft) == {
        "specversion": "1.0",
        "id": as_uuid(UID),
        "source": f"/tenants/{TENANT}",
        "type": "heliograph.event.10000",
        "subject": "d1",
        "time": "2026-01-01T00:00:00.000001Z",
        "sequence": "00000000000000000007",
        "recordedtime": "2026-01-01T00:00:00.000001Z",
        "criticality": 1,
        "eventcode": 10_000,
        "targettype": "Device",
        "severitynumber": 21,
        "severitytext": "CRITICAL",
    }


def test_event_with_nothing_in_it_is_rendered_with_what_cloudevents_requires() -> None:
    assert rendered(EventDraft()).keys() == {
        "specversion", "id", "source", "type", "time", "sequence", "recordedtime",
    }  # fmt: skip
    assert rendered(EventDraft())["type"] == "heliograph.event"


def test_source_without_an_id_does_not_replace_ours() -> None:
    assert rendered(EventDraft(source="/doors"))["source"] == f"/tenants/{TENANT}"


@pytest.mark.parametrize(
    ("criticality", "severity"),
    [(1, (21, "CRITICAL")), (2, (17, "HIGH")), (3, (13, "MEDIUM")), (4, (9, "LOW")), (5, (5, "TRIVIAL"))],
)
def test_criticality_is_rendered_as_severity_too(criticality: int, severity: tuple[int, str]) -> None:
    document = rendered(EventDraft(criticality=criticality))
    assert (document["severitynumber"], document["severitytext"]) == severity


def test_criticality_that_does_not_apply_is_left_out() -> None:
    document = rendered(EventDraft(criticality=0))
    assert document.keys().isdisjoint({"criticality", "severitynumber", "severitytext"})


@pytest.mark.parametrize("sent", [{"severitynumber": 3}, {"severitytext": "FATAL"}])
def test_severity_that_the_caller_sent_stands_alone(sent: dict[str, Any]) -> None:
    document = rendered(parse_structured(structured(criticality=1, **sent)))
    assert {name: document[name] for name in document if name.startswith("severity")} == sent


def test_place_and_time_in_the_log_are_never_the_callers() -> None:
    document = rendered(parse_structured(structured(sequence="1", recordedtime="2000-01-01T00:00:00Z")))
    assert (document["sequence"], document["recordedtime"]) == ("0" * 19 + "7", "2026-01-01T00:00:00.000001Z")


@pytest.mark.parametrize(
    ("content_type", "payload", "member"),
    [
        ("application/json", b'{"b" : 1.0, "a":1e3}', b'"data":{"b" : 1.0, "a":1e3}'),
        ("application/problem+json;v=1", b"null", b'"data":null'),
        ("text/plain", b"null", b'"data_base64":"bnVsbA=="'),
        ("application/json", b"not JSON", b'"data_base64":"bm90IEpTT04="'),
        ("application/json", b'"\xff"', b'"data_base64":"Iv8i"'),
    ],
)
def test_payload_is_spliced_in_as_json_or_as_base64(content_type: str, payload: bytes, member: bytes) -> None:
    body = render(stored(EventDraft(content_type=content_type, payload=payload)))
    assert body.endswith(b"," + member + b"}")
    json.loads(body)


def test_erased_payload_leaves_an_event_without_data() -> None:
    event = stored(parse_structured(structured(data={"name": "Ada"})))
    document = json.loads(render(msgspec.structs.replace(event, payload=None)))
    assert document["datacontenttype"] == "application/json"
    assert document.keys().isdisjoint({"data", "data_base64"})


# --- another implementation ---------------------------------------------------------------------------------


@given(attributes(), payloads)
def test_other_library_reads_what_is_rendered(values: dict[str, Any], data: tuple[str | None, bytes]) -> None:
    event = stored(parse_structured(as_structured(values, *data)))
    body = render(event)
    theirs = from_structured_event(HTTPMessage({"content-type": "application/cloudevents+json"}, body))
    assert theirs.get_id() == event.envelope.source_id
    assert theirs.get_source() == event.envelope.source
    assert theirs.get_subject() == event.envelope.target_entity_id
    assert theirs.get_extension("sequence") == "00000000000000000007"
    content_type, payload = data
    if content_type and is_json(content_type):
        assert theirs.get_data() == json.loads(payload)
    elif content_type:
        assert theirs.get_data() == payload


@pytest.mark.parametrize(
    ("data", "content_type", "payload"),
    [
        ({"open": True, "by": "Zoë"}, "application/json", b'{"open": true, "by": "Zo\\u00eb"}'),
        ("<door/>", "application/xml", b"<door/>"),
        (b"\x00\xff", "image/png", b"\x00\xff"),
        (None, None, b""),
    ],
)
def test_what_the_other_library_writes_is_read_alike_in_both_modes(
    data: dict[str, Any] | str | bytes | None, content_type: str | None, payload: bytes
) -> None:
    values = MINIMAL | {"subject": 'Türe "7" 100%', "criticality": 3, "note": "Euro € 😀"}
    theirs = CloudEvent(values | ({"datacontenttype": content_type} if content_type else {}), data)
    whole, split = to_structured_event(theirs), to_binary_event(theirs)
    headers = [(name.lower().encode(), value.encode()) for name, value in split.headers.items()]
    draft = parse_structured(whole.body)
    assert (draft.content_type, draft.payload, draft.criticality) == (content_type, payload, 3)
    assert (draft.target_id, draft.extensions) == ('Türe "7" 100%', {"note": "Euro € 😀"})
    assert fingerprint(parse_binary(headers, split.body)) == fingerprint(draft)
