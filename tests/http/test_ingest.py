"""Events on their way in: one or many, native or CloudEvents, once however often they are sent, up to the limits."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from cloudevents.core.bindings.http import HTTPMessage, from_structured_event, to_binary_event, to_structured_event
from cloudevents.core.v1.event import CloudEvent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.http.inprocess import Answer, Api

EVENTS = "/v1/events"
JSON = "application/json"
NDJSON = "application/x-ndjson"
CLOUDEVENT = "application/cloudevents+json"
CLOUDEVENTS = "application/cloudevents-batch+json"
WAYS = (JSON, NDJSON, CLOUDEVENTS)
"""Content types of batches."""

MIB = 1024 * 1024


class Door(NamedTuple):
    """A tenant's log, and the key of somebody who puts events into it."""

    api: Api
    tenant: str
    key: str

    def post(self, content_type: str, body: bytes | Sequence[bytes], **headers: str) -> Answer:
        named = [(name.replace("_", "-"), value) for name, value in headers.items()]
        return self.api.request("POST", EVENTS, self.key, body, [("content-type", content_type), *named])

    def events(self) -> list[Any]:
        """Return the callers' events in the order of the log."""
        return self.api.log(self.tenant, "&internal=false")


@pytest.fixture
def door(api: Api, tenant: str, owner: str) -> Door:
    return Door(api, tenant, owner)


def written(way: str, events: Sequence[dict[str, Any]]) -> bytes:
    """Write events in one of the ways; those that are CloudEvents are made from codes and sources."""
    if way == NDJSON:
        return b"\n".join(json.dumps(event).encode() for event in events)
    return json.dumps(events).encode()


def event(way: str, code: int, **more: Any) -> dict[str, Any]:
    """Return an event with a code, in the notation of one of the ways."""
    if way == CLOUDEVENTS:
        return {"specversion": "1.0", "id": f"{code}", "source": "/test", "type": "t", "eventcode": code, **more}
    return {"eventCode": code, "type": "t", **more}


# -- batches --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
def test_batch_is_stored_in_its_order_with_a_receipt_for_each_event(door: Door, way: str) -> None:
    answer = door.post(way, written(way, [event(way, 10000 + n) for n in range(5)]))
    assert answer.status == 201
    batch = answer.json()
    assert (batch["accepted"], batch["repeated"], batch["refused"]) == (5, 0, 0)
    stored = door.events()
    assert [found["eventCode"] for found in stored] == [10000, 10001, 10002, 10003, 10004]
    shown = [{name: found[name] for name in ("id", "seq", "recordedAt")} for found in stored]
    assert batch["results"] == [{"index": n, "status": 201, **receipt} for n, receipt in enumerate(shown)]


@pytest.mark.parametrize("way", WAYS)
def test_batch_may_have_1000_events_and_no_more(door: Door, way: str) -> None:
    answer = door.post(way, written(way, [event(way, 10000 + n) for n in range(1000)]))
    assert (answer.status, answer.json()["accepted"]) == (201, 1000)
    before = door.api.head(door.tenant)
    answer = door.post(way, written(way, [event(way, 20000 + n) for n in range(1001)]))
    assert answer.status == 413
    assert [place for place, _ in answer.faults()] == [""]
    assert "1000" in answer.json()["detail"]
    assert door.api.head(door.tenant) == before


@pytest.mark.parametrize("way", WAYS)
def test_batch_that_would_make_too_many_deliveries_stores_nothing(
    door: Door, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("heliograph.delivery.fanout.MOST_DELIVERIES", 1)
    door.api.made("/v1/endpoints", {"url": "https://hooks.example.com/"}, door.key)
    answer = door.post(way, written(way, [event(way, 1), event(way, 2)]))
    assert answer.status == 413
    assert answer.faults() == [("", "max-deliveries")]
    assert "send fewer events at a time" in answer.json()["detail"]
    assert door.events() == []
    assert door.post(way, written(way, [event(way, 1)])).status == 201


@pytest.mark.parametrize("way", WAYS)
def test_empty_batch_stores_nothing(door: Door, way: str) -> None:
    before = door.api.head(door.tenant)
    for headers in ({}, {"idempotency_key": "empty"}):
        answer = door.post(way, b"[]" if way != NDJSON else b"\n \r\n", **headers)
        assert (answer.status, answer.json()) == (201, {"accepted": 0, "repeated": 0, "refused": 0, "results": []})
    assert door.api.head(door.tenant) == before


@pytest.mark.parametrize("way", WAYS)
def test_events_of_a_batch_are_accepted_or_refused_each_on_its_own(door: Door, way: str) -> None:
    events = [event(way, 10000), event(way, -1), event(way, 10001), event(way, 10002, unknown={}), event(way, 10003)]
    answer = door.post(way, written(way, events))
    assert answer.status == 207
    batch = answer.json()
    assert (batch["accepted"], batch["repeated"], batch["refused"]) == (3, 0, 2)
    assert [(item["index"], item["status"]) for item in batch["results"]] == [
        (0, 201), (1, 400), (2, 201), (3, 400), (4, 201),
    ]  # fmt: skip
    places = [item["errors"][0]["pointer"] for item in batch["results"] if "errors" in item]
    assert places == ["/1/eventcode" if way == CLOUDEVENTS else "/1/eventCode", "/3/unknown"]
    assert all(item["detail"] for item in batch["results"] if "errors" in item)
    stored = door.events()
    assert [found["eventCode"] for found in stored] == [10000, 10001, 10003]
    assert [item["id"] for item in batch["results"] if "id" in item] == [found["id"] for found in stored]


@pytest.mark.parametrize("way", WAYS)
def test_batch_of_which_nothing_is_accepted_stores_nothing(door: Door, way: str) -> None:
    before = door.api.head(door.tenant)
    answer = door.post(way, written(way, [event(way, -1), event(way, 2**31)]))
    assert (answer.status, answer.json()["refused"]) == (207, 2)
    assert door.api.head(door.tenant) == before


BAD_ITEMS = {
    "a number": (b"5", "/1", 400),
    "null": (b"null", "/1", 400),
    "an array": (b"[]", "/1", 400),
    "a name twice": (b'{"eventCode":10001,"eventCode":10002}', "/1/eventCode", 400),
    "a name twice in the payload": (b'{"eventCode":10001,"payload":{"a":[{"b":1,"b":2}]}}', "/1/payload/a/0/b", 400),
    "half a surrogate pair": (b'{"eventCode":10001,"type":"\\ud800"}', "/1", 400),
    "bytes that are no UTF-8": (b'{"eventCode":10001,"type":"\xff"}', "/1", 400),
    "deep nesting": (b'{"eventCode":10001,"payload":' + b"[" * 5000 + b"]" * 5000 + b"}", "/1", 400),
    "too many bytes": (b'{"eventCode":10001' + b" " * MIB + b"}", "/1", 413),
    "too large a payload": (b'{"eventCode":10001,"payload":"' + b"x" * 256 * 1024 + b'"}', "/1/payload", 413),
}

BREAKS_AN_ARRAY = ("half a surrogate pair", "deep nesting")
"""What keeps a reader from finding where the events of an array begin and end."""


@pytest.mark.parametrize("name", BAD_ITEMS)
@pytest.mark.parametrize("way", [JSON, NDJSON])
def test_event_that_cannot_be_read_leaves_the_rest_of_its_batch_alone(door: Door, way: str, name: str) -> None:
    item, place, status = BAD_ITEMS[name]
    items = [b'{"eventCode":10000}', item, b'{"eventCode":10002}']
    answer = door.post(way, b"[" + b",".join(items) + b"]" if way == JSON else b"\n".join(items))
    if way == JSON and name in BREAKS_AN_ARRAY:
        assert (answer.status, door.events()) == (400, [])
        return
    assert answer.status == 207
    assert [found["status"] for found in answer.json()["results"]] == [201, status, 201]
    assert [fault["pointer"] for fault in answer.json()["results"][1]["errors"]] == [place]
    assert [found["eventCode"] for found in door.events()] == [10000, 10002]


def test_cloudevent_of_a_batch_that_is_too_large_is_refused_alone(door: Door) -> None:
    big, large = event(CLOUDEVENTS, 1), event(CLOUDEVENTS, 2, data="x" * 256 * 1024)
    items = [json.dumps(big).encode()[:-1] + b" " * MIB + b"}", json.dumps(large).encode()]
    items.append(json.dumps(event(CLOUDEVENTS, 3)).encode())
    answer = door.post(CLOUDEVENTS, b"[" + b",".join(items) + b"]")
    assert [found["status"] for found in answer.json()["results"]] == [413, 413, 201]
    assert [found["errors"][0]["pointer"] for found in answer.json()["results"][:2]] == ["/0", "/1/data"]


def test_lines_may_end_in_any_way_and_may_be_blank(door: Door) -> None:
    answer = door.post(NDJSON, b'\n{"eventCode":1}\r\n\r\n  {"eventCode":2}  \n\n{"eventCode":3}')
    assert [(item["index"], item["status"]) for item in answer.json()["results"]] == [(0, 201), (1, 201), (2, 201)]


@pytest.mark.parametrize("content_type", ["application/x-ndjson", "application/ndjson", "application/jsonl"])
def test_lines_have_three_content_types(door: Door, content_type: str) -> None:
    assert door.post(f"{content_type}; charset=utf-8", b'{"eventCode":1}\n{"eventCode":2}').status == 201


def test_one_line_is_a_batch_of_one(door: Door) -> None:
    assert door.post(NDJSON, b'{"eventCode":1}').json()["accepted"] == 1


# -- CloudEvents ----------------------------------------------------------------------------------------------------


def _cloudevent(**more: Any) -> dict[str, Any]:
    return {
        "specversion": "1.0", "id": "a-1", "source": "/stores/12", "type": "com.example.opened", "subject": "door-7",
        "time": "2026-03-02T08:15:28.5+01:00", "targettype": "Door", "eventcode": 12001, "criticality": 2,
        "store": "Köln", **more,
    }  # fmt: skip


def _assert_kept(found: dict[str, Any]) -> None:
    kept = {
        "sourceId": "a-1", "source": "/stores/12", "type": "com.example.opened", "targetEntityId": "door-7",
        "targetEntityType": "Door", "occurredAt": "2026-03-02T07:15:28.500000Z", "eventCode": 12001, "criticality": 2,
        "extensions": {"store": "Köln"}, "internal": False, "family": "record",
    }  # fmt: skip
    assert {name: found[name] for name in kept} == kept


def test_cloudevent_is_stored_in_structured_mode(door: Door) -> None:
    body = json.dumps(_cloudevent(data={"by": "x"})).encode()
    assert door.post(f"{CLOUDEVENT}; charset=UTF-8", body).status == 201
    [found] = door.events()
    _assert_kept(found)
    assert (found["payload"], found["payloadContentType"]) == ({"by": "x"}, JSON)


def test_cloudevent_is_stored_in_binary_mode_with_its_very_bytes(door: Door) -> None:
    attributes = {f"ce_{name}": str(value) for name, value in _cloudevent(store="K%C3%B6ln").items()}
    assert door.post("image/gif", b"GIF89a\x00\xff", **attributes).status == 201
    [found] = door.events()
    _assert_kept(found)
    assert found["payloadContentType"] == "image/gif"
    assert base64.b64decode(found["payloadData"]) == b"GIF89a\x00\xff"


def test_the_same_cloudevent_in_another_mode_is_the_same_event(door: Door) -> None:
    structured = door.post(CLOUDEVENT, json.dumps(_cloudevent(data={"by": "x"})).encode())
    attributes = {f"ce_{name}": str(value) for name, value in _cloudevent(store="K%C3%B6ln").items()}
    binary = door.post(JSON, b'{"by": "x"}', **attributes)
    batch = door.post(CLOUDEVENTS, b"[" + json.dumps(_cloudevent(data={"by": "x"})).encode() + b"]")
    assert (structured.status, binary.status, batch.status) == (201, 200, 200)
    assert structured.json() == binary.json()
    assert batch.json()["results"][0]["id"] == structured.json()["id"]
    assert len(door.events()) == 1


@pytest.mark.parametrize("mode", ["structured", "binary"])
def test_message_of_another_library_is_stored_and_read_back_by_it(door: Door, mode: str) -> None:
    attributes = {"id": "a b", "source": "/s", "type": "t", "specversion": "1.0", "note": 'Euro "€" 100%'}
    sent = CloudEvent(attributes | {"datacontenttype": JSON}, {"by": "x", "n": [1, 2]})
    message = to_structured_event(sent) if mode == "structured" else to_binary_event(sent)
    answer = door.api.request("POST", EVENTS, door.key, message.body, [*message.headers.items()])
    assert answer.status == 201, answer
    shown = door.api.get(f"{EVENTS}/{answer.json()['id']}?format=cloudevents", door.key)
    read = from_structured_event(HTTPMessage({"content-type": CLOUDEVENT}, shown.body))
    assert {name: read.get_attributes()[name] for name in attributes} == attributes
    assert read.get_data() == sent.get_data()


BAD_CLOUDEVENTS: list[tuple[str, dict[str, Any], str]] = [
    *((f"C1 {name} is missing", {name: None}, name) for name in ("id", "source", "specversion", "type")),
    *((f"C1 {name} is empty", {name: ""}, name) for name in ("id", "source", "specversion", "type")),
    ("C2 another version", {"specversion": "2.0"}, "specversion"),
    ("C4 a capital letter", {"fooBar": "x"}, "fooBar"),
    ("C4 an underscore", {"foo_bar": "x"}, "foo_bar"),
    ("C5 a time without offset", {"time": "2026-01-01T00:00:00"}, "time"),
    ("C5 a day that does not exist", {"time": "2026-02-30T00:00:00Z"}, "time"),
    ("C6 an empty subject", {"subject": ""}, "subject"),
    ("C6 a relative schema", {"dataschema": "schema.json"}, "dataschema"),
    ("C6 a content type that is none", {"datacontenttype": "json"}, "datacontenttype"),
    ("C7 an object", {"extra": {}}, "extra"),
    ("C7 an array", {"extra": []}, "extra"),
    ("C7 a fraction", {"extra": 1.5}, "extra"),
    ("C8 data twice", {"data": 1, "data_base64": "AA=="}, "data_base64"),
    ("C8 data that is no base64", {"data_base64": "%"}, "data_base64"),
    ("a code that is none", {"eventcode": -1}, "eventcode"),
    ("a level that does not exist", {"criticality": 6}, "criticality"),
    ("a type of the platform", {"type": "Tenant.Created"}, "type"),
    ("a time far ahead", {"time": "2250-01-01T00:00:00Z"}, "time"),
]


@pytest.mark.parametrize(("changes", "place"), [pytest.param(c, p, id=name) for name, c, p in BAD_CLOUDEVENTS])
def test_bad_cloudevent_is_refused_at_its_place_in_every_mode(door: Door, changes: dict[str, Any], place: str) -> None:
    document = {"specversion": "1.0", "id": "a", "source": "/s", "type": "t", **changes}
    document = {name: value for name, value in document.items() if value is not None}
    before = door.api.head(door.tenant)
    structured = door.post(CLOUDEVENT, json.dumps(document).encode())
    assert (structured.status, [where for where, _ in structured.faults()]) == (400, [f"/{place}"])
    batch = door.post(CLOUDEVENTS, json.dumps([document]).encode())
    assert batch.status == 207
    assert [fault["pointer"] for fault in batch.json()["results"][0]["errors"]] == [f"/0/{place}"]
    in_headers = all(isinstance(value, str | int) for value in document.values()) and "data" not in place
    if in_headers and "specversion" in document and place == place.lower():
        headers = {f"ce_{name}": str(value) for name, value in document.items()}
        binary = door.post("text/plain", b"x", **headers)
        assert binary.status == 400
        assert [where.replace("_", "-") for where, _ in binary.faults()] == [f"header/ce-{place.replace('_', '-')}"]
    assert door.api.head(door.tenant) == before


@pytest.mark.parametrize(
    ("header", "value", "place"),
    [
        ("ce-datacontenttype", "text/plain", "header/ce-datacontenttype"),  # C10
        ("ce-note", "%C0%A0", "header/ce-note"),  # C11
        ("ce-note", "100%", "header/ce-note"),
        ("ce-note", '"open', "header/ce-note"),
    ],
)
def test_bad_header_of_a_cloudevent_is_refused_by_its_name(door: Door, header: str, value: str, place: str) -> None:
    required = {"ce_specversion": "1.0", "ce_id": "a", "ce_source": "/s", "ce_type": "t"}
    answer = door.post("text/plain", b"x", **required, **{header.replace("-", "_"): value})
    assert (answer.status, [where for where, _ in answer.faults()]) == (400, [place])


def test_null_attributes_count_as_absent(door: Door) -> None:  # C7
    document = {"specversion": "1.0", "id": "a", "source": "/s", "type": "t", "subject": None, "extra": None}
    assert door.post(CLOUDEVENT, json.dumps(document).encode()).status == 201
    [found] = door.events()
    assert found["targetEntityId"] is None
    assert "extensions" not in found


def test_string_data_of_a_json_content_type_stays_a_string(door: Door) -> None:  # C8
    document = {"specversion": "1.0", "id": "a", "source": "/s", "type": "t", "data": '{"a":1}'}
    assert door.post(CLOUDEVENT, json.dumps(document).encode()).status == 201
    assert door.events()[0]["payload"] == '{"a":1}'


def test_cloudevent_of_64_kib_is_forwarded(door: Door) -> None:  # C13
    document = {"specversion": "1.0", "id": "a", "source": "/s", "type": "t", "data": ""}
    document["data"] = "x" * (65536 - len(json.dumps(document)))
    assert door.post(CLOUDEVENT, json.dumps(document).encode()).status == 201
    assert door.events()[0]["payload"] == document["data"]


@pytest.mark.parametrize(
    "content_type",
    ["application/cloudevents+avro", "application/cloudevents-batch+protobuf", "application/cloudevents", "text/plain",
     "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "json", "", "application/json-seq"],
)  # fmt: skip
def test_content_type_that_is_not_read_is_refused(door: Door, content_type: str) -> None:
    before = door.api.head(door.tenant)
    headers = [("content-type", content_type)] if content_type else []
    answer = door.api.request("POST", EVENTS, door.key, b'{"eventCode":1}', headers)
    assert answer.status == 415
    assert JSON in answer.json()["detail"] or "cloudevents" in answer.json()["detail"]
    assert door.api.head(door.tenant) == before


# -- the same again -------------------------------------------------------------------------------------------------


def test_event_with_source_and_id_is_stored_once(door: Door) -> None:
    body = {"eventCode": 10001, "source": "/gateways/7", "sourceId": "a-1", "payload": {"n": 1}}
    first, second = (door.api.post(EVENTS, door.key, body) for _ in range(2))
    assert (first.status, second.status) == (201, 200)
    assert first.json() == second.json()
    other = door.api.post(EVENTS, door.key, {**body, "payload": {"n": 2}})
    assert other.status == 409
    assert [found["id"] for found in door.events()] == [first.json()["id"]]


def test_source_and_id_name_an_event_within_its_tenant_only(door: Door) -> None:
    body = {"eventCode": 10001, "source": "/gateways/7", "sourceId": "a-1"}
    another = door.api.tenant()
    here, there = (door.api.made(f"{EVENTS}?tenantUid={uid}", body) for uid in (door.tenant, another))
    assert here["id"] != there["id"]
    for changed in ({"source": "/gateways/8"}, {"sourceId": "a-2"}, {"source": "/gateways/7/a", "sourceId": "-1"}):
        door.api.made(EVENTS, {**body, **changed}, door.key)


def test_same_event_is_known_though_the_defaults_of_its_type_have_changed(door: Door) -> None:
    door.api.made("/v1/event-types", {"type": "door", "defaultCode": 10010}, door.key)
    body = {"type": "door", "source": "/s", "sourceId": "1"}
    first = door.api.post(EVENTS, door.key, body)
    assert door.api.patch("/v1/event-types/door", door.key, {"defaultCode": 10011}).status == 200
    again = door.api.post(EVENTS, door.key, body)
    batch = door.api.post(EVENTS, door.key, [body])
    assert (again.status, again.json()) == (200, first.json())
    assert (batch.status, batch.json()["repeated"]) == (200, 1)


@pytest.mark.parametrize("name", ["source", "sourceId"])
def test_source_and_id_go_together(door: Door, name: str) -> None:
    answer = door.api.post(EVENTS, door.key, {"eventCode": 1, name: "x"})
    missing = {"source": "/sourceId", "sourceId": "/source"}[name]
    assert (answer.status, answer.faults()) == (400, [(missing, "required")])


@pytest.mark.parametrize("way", WAYS)
def test_repeated_events_of_a_batch_are_told_from_new_and_refused_ones(door: Door, way: str) -> None:
    def named(code: int, identifier: str) -> dict[str, Any]:
        return event(way, code, id=identifier) if way == CLOUDEVENTS else event(
            way, code, source="/test", sourceId=identifier
        )  # fmt: skip

    first = door.post(way, written(way, [named(1, "a"), named(2, "b"), named(1, "a"), named(9, "b")]))
    assert (first.status, [item["status"] for item in first.json()["results"]]) == (207, [201, 201, 200, 409])
    assert first.json()["results"][0]["id"] == first.json()["results"][2]["id"]

    again = door.post(way, written(way, [named(1, "a"), named(2, "b")]))
    assert (again.status, [item["status"] for item in again.json()["results"]]) == (200, [200, 200])
    assert again.json()["results"] == [{**item, "status": 200} for item in first.json()["results"][:2]]

    partly = door.post(way, written(way, [named(1, "a"), named(3, "c")]))
    assert (partly.status, [item["status"] for item in partly.json()["results"]]) == (201, [200, 201])

    mixed = door.post(way, written(way, [named(1, "a"), named(-1, "d")]))
    assert (mixed.status, [item["status"] for item in mixed.json()["results"]]) == (207, [200, 400])
    assert mixed.json()["accepted"] == 0
    assert [found["eventCode"] for found in door.events()] == [1, 2, 3]


BODIES = {
    JSON: b'{"eventCode":10001}',
    NDJSON: b'{"eventCode":10001}\n{"eventCode":-1}',
    CLOUDEVENT: json.dumps(event(CLOUDEVENTS, 10001)).encode(),
    CLOUDEVENTS: json.dumps([event(CLOUDEVENTS, 10001), {}]).encode(),
}


@pytest.mark.parametrize("content_type", BODIES)
def test_request_with_an_idempotency_key_is_carried_out_once(door: Door, content_type: str) -> None:
    first, second = (door.post(content_type, BODIES[content_type], idempotency_key="k 1") for _ in range(2))
    assert first.status in (201, 207)
    assert (second.status, second.body) == (200, first.body)
    assert len(door.events()) == 1
    for body, type in ((BODIES[content_type] + b" ", content_type), (BODIES[content_type], content_type + ";a=b")):
        changed = door.post(type, body, idempotency_key="k 1")
        assert changed.status == 409
    assert door.post(content_type, b"\xff", idempotency_key="k 2").status in (207, 400)
    assert len(door.events()) == 1


def test_idempotency_key_is_of_one_key_one_route_and_one_tenant(door: Door) -> None:
    api, same = door.api, [("idempotency-key", "same")]
    colleague = api.key(door.tenant, "owner")
    another = api.tenant()
    targets = [
        (EVENTS, door.key, {"eventCode": 1}),
        (EVENTS, colleague, {"eventCode": 1}),
        (f"{EVENTS}?tenantUid={another}", api.root, {"eventCode": 1}),
        (f"{EVENTS}?tenantUid={door.tenant}", api.root, {"eventCode": 1}),
        ("/v1/accounts", door.key, {"name": "n"}),
        ("/v1/event-types", door.key, {"type": "t"}),
    ]
    for _ in range(2):
        statuses = [api.post(target, key, body, headers=same).status for target, key, body in targets]
        assert statuses in ([201] * 6, [200] * 6)
    assert statuses == [200] * 6
    assert api.post(f"{EVENTS}?tenantUid={door.tenant}", door.key, {"eventCode": 1}, headers=same).status == 409


def test_refused_request_does_not_use_its_idempotency_key_up(door: Door) -> None:
    api, same = door.api, [("idempotency-key", "same")]
    assert api.post(EVENTS, door.key, {"eventCode": -1}, headers=same).status == 400
    assert api.post(EVENTS, door.key, {"eventCode": 1}, headers=same).status == 201
    api.made(EVENTS, {"eventCode": 1, "source": "/s", "sourceId": "1"}, door.key)
    other = [("idempotency-key", "other")]
    contradiction = {"eventCode": 2, "source": "/s", "sourceId": "1"}
    for _ in range(2):
        assert api.post(EVENTS, door.key, contradiction, headers=other).status == 409
    assert api.post(EVENTS, door.key, {"eventCode": 3}, headers=other).status == 201
    assert api.post("/v1/event-types", door.key, {"type": "Tenant.Created"}, headers=other).status == 409
    assert api.post("/v1/event-types", door.key, {"type": "free"}, headers=other).status == 201


POSTS: dict[str, dict[str, Any]] = {
    "accounts": {"name": "n", "grants": [{"grant": "viewer"}]},
    "keys": {"name": "n", "grants": [{"grant": "viewer"}]},
    "event-types": {"type": "t"},
}


@pytest.mark.parametrize("kind", POSTS)
def test_resource_is_made_once_with_an_idempotency_key(door: Door, kind: str) -> None:
    api, same = door.api, [("idempotency-key", "same")]
    first, second = (api.post(f"/v1/{kind}", door.key, POSTS[kind], headers=same) for _ in range(2))
    assert (first.status, second.status) == (201, 200)
    assert {**first.json(), "token": None} == {"token": None, **second.json()}
    before = api.head(door.tenant)
    changed = {**POSTS[kind], "type": "other"} if kind == "event-types" else {**POSTS[kind], "name": "other"}
    assert api.post(f"/v1/{kind}", door.key, changed, headers=same).status == 409
    assert api.head(door.tenant) == before


# -- limits ---------------------------------------------------------------------------------------------------------

EVENT_BYTES, PAYLOAD_BYTES, BATCH_BYTES = MIB, 256 * 1024, 8 * MIB


def _padded(event: bytes, size: int) -> bytes:
    """Fill a document up with blanks before its last byte."""
    return event[:-1] + b" " * (size - len(event)) + event[-1:]


@pytest.mark.parametrize(("over", "status"), [(-1, 201), (0, 201), (1, 413)])
@pytest.mark.parametrize("content_type", [JSON, CLOUDEVENT])
def test_event_may_have_one_mebibyte(door: Door, content_type: str, over: int, status: int) -> None:
    body = _padded(BODIES[content_type], EVENT_BYTES + over)
    assert door.post(content_type, body).status == status
    assert len(door.events()) == (status == 201)


@pytest.mark.parametrize(("over", "status"), [(-1, 201), (0, 201), (1, 413)])
@pytest.mark.parametrize("way", ["payload", "payloadData", "structured", "base64", "binary"])
def test_payload_may_have_256_kibibytes(door: Door, way: str, over: int, status: int) -> None:
    size = PAYLOAD_BYTES + over
    cloudevent = {"specversion": "1.0", "id": "a", "source": "/s", "type": "t"}
    encoded = base64.b64encode(bytes(size)).decode()
    if way == "binary":
        answer = door.post("a/b", bytes(size), **{f"ce_{name}": value for name, value in cloudevent.items()})
    elif way in ("structured", "base64"):
        data = {"data": "x" * (size - 2)} if way == "structured" else {"data_base64": encoded}
        answer = door.post(CLOUDEVENT, json.dumps({**cloudevent, **data}).encode())
    else:
        data = {"payload": "x" * (size - 2)} if way == "payload" else {"payloadData": encoded}
        answer = door.post(JSON, json.dumps({"eventCode": 1, **data}).encode())
    assert answer.status == status
    if status == 413:
        place = {"structured": "/data", "base64": "/data", "binary": ""}.get(way, "/payload")
        assert answer.faults() == [(place, "max-bytes")]


@pytest.mark.parametrize(("over", "status"), [(0, 201), (1, 413)])
@pytest.mark.parametrize("way", [*WAYS, "in parts"])
def test_batch_may_have_8_mebibytes(door: Door, way: str, over: int, status: int) -> None:
    content_type = JSON if way == "in parts" else way
    items = [json.dumps(event(content_type, n)).encode() for n in range(9)]
    size = BATCH_BYTES + over
    if content_type == NDJSON:
        body = b"\n".join(items) + b"\n" * (size - len(b"\n".join(items)))
    else:
        body = _padded(b"[" + b",".join(items) + b"]", size)
    assert len(body) == size
    parts = [body[start : start + MIB] for start in range(0, size, MIB)]
    answer = door.post(content_type, parts if way == "in parts" else body)
    assert answer.status == status
    assert len(door.events()) == (9 if status == 201 else 0)


@pytest.mark.parametrize(("over", "status"), [(0, 201), (1, 413)])
def test_other_bodies_may_have_one_mebibyte(door: Door, over: int, status: int) -> None:
    body = _padded(b'{"name":"n"}', MIB + over)
    answer = door.api.request("POST", "/v1/accounts", door.key, body, [("content-type", JSON)])
    assert answer.status == status
