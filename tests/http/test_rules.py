"""The rules R1 to R8 and what belongs to them, at their edges, as callers meet them."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

import pytest

from tests.http.inprocess import SINCE

if TYPE_CHECKING:
    from tests.http.inprocess import Answer, Api

EVENTS = "/v1/events"
LARGEST_CODE = 2**31 - 1


class Log(NamedTuple):
    """A tenant's log and the key of its owner."""

    api: Api
    tenant: str
    key: str

    def add(self, **event: Any) -> Any:
        """Put an event on record; return its receipt."""
        return self.api.made(EVENTS, {"eventCode": 10001, **event}, self.key)

    def refused(self, status: int = 400, **event: Any) -> list[tuple[str, str]]:
        """Try an event; return place and rule of each fault, after checking that nothing was stored."""
        before = self.api.head(self.tenant)
        answer = self.api.post(EVENTS, self.key, event)
        assert answer.status == status, answer
        assert self.api.head(self.tenant) == before
        return answer.faults()

    def ask(self, query: str) -> Answer:
        return self.api.get(f"{EVENTS}?{query}", self.key)

    def list(self, query: str = "", since: str = SINCE) -> list[Any]:
        """List the callers' events, newest first unless asked otherwise."""
        answer = self.ask(f"internal=false&{since}&{query}" if query else f"internal=false&{since}")
        assert answer.status == 200, answer
        events: list[Any] = answer.json()["data"]
        return events

    def show(self, receipt: Any) -> Any:
        """Get one event by its receipt."""
        answer = self.api.get(f"{EVENTS}/{receipt['id']}", self.key)
        assert answer.status == 200, answer
        return answer.json()


@pytest.fixture
def log(api: Api, tenant: str, owner: str) -> Log:
    return Log(api, tenant, owner)


# -- R1, R2: codes --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [0, 1200, 9999, 10000, LARGEST_CODE])
def test_code_is_accepted_and_found_and_never_makes_an_event_internal(log: Log, code: int) -> None:
    receipt = log.add(eventCode=code)
    event = log.show(receipt)
    assert (event["eventCode"], event["internal"], event["type"]) == (code, False, None)
    assert [found["id"] for found in log.list(f"eventCode={code}")] == [receipt["id"]]


@pytest.mark.parametrize(
    ("code", "rule"), [(-1, "minimum"), (LARGEST_CODE + 1, "maximum"), (2**64, "maximum"), (1.5, "type"),
                       ("10000", "type"), (True, "type"), ([1], "type")],
)  # fmt: skip
def test_code_is_refused_when_it_is_no_code(log: Log, code: object, rule: str) -> None:
    assert log.refused(eventCode=code) == [("/eventCode", rule)]


@pytest.mark.parametrize("code", ["-1", "2147483648", "1.5", "x", "", "1e3", " 1", "+1", "null", "0x10"])
def test_filter_by_code_is_refused_when_it_is_no_code(log: Log, code: str) -> None:
    answer = log.ask(f"{SINCE}&eventCode={quote(code)}")
    assert (answer.status, answer.faults()) == (400, [("query/eventCode", "value")])


def test_event_is_refused_when_it_has_neither_code_nor_type(log: Log) -> None:
    assert log.refused() == [("/eventCode", "required")]
    assert log.refused(eventCode=None, type=None) == [("/eventCode", "required")]


def test_event_needs_no_code_when_it_has_a_type(log: Log) -> None:
    receipt = log.api.made(EVENTS, {"type": "door.opened"}, log.key)
    event = log.show(receipt)
    assert (event["type"], event["eventCode"]) == ("door.opened", None)


def test_reserved_codes_are_refused_when_the_tenant_says_so(log: Log) -> None:
    log.add(eventCode=9999)
    log.api.made("/v1/event-types", {"type": "by.default", "defaultCode": 9999}, log.key)
    setting = f"/v1/tenants/{log.tenant}"
    assert log.api.patch(setting, log.key, {"rejectReservedCodes": True}).status == 200
    reserved = [("/eventCode", "reserved-code")]
    assert log.refused(422, eventCode=9999) == reserved
    assert log.refused(422, eventCode=0) == reserved
    assert log.refused(422, type="by.default") == reserved
    log.add(eventCode=10000)
    log.add(type="by.default", eventCode=10000)
    mixed = log.api.post(EVENTS, log.key, [{"eventCode": 9999}, {"eventCode": 10000}])
    assert mixed.status == 207
    assert [item["status"] for item in mixed.json()["results"]] == [422, 201]
    assert mixed.json()["results"][0]["errors"][0]["pointer"] == "/0/eventCode"
    assert log.api.patch(setting, log.key, {"rejectReservedCodes": False}).status == 200
    log.add(eventCode=9999)


@pytest.mark.parametrize(
    "type", ["Tenant.Created", "Device.ProvisioningRecipeCreated", "access_code.unmanaged.created"]
)
def test_types_of_the_platform_are_refused_from_callers(log: Log, type: str) -> None:
    assert log.refused(type=type, eventCode=10001) == [("/type", "reserved-type")]
    assert log.api.post("/v1/event-types", log.key, {"type": type}).status == 409
    for method in ("PATCH", "DELETE"):
        assert log.api.send(method, f"/v1/event-types/{type}", log.key, {"defaultCode": 10001}).status == 403


# -- R3: criticality ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("criticality", [None, 0, 1, 2, 3, 4, 5])
def test_criticality_is_accepted_and_null_is_kept_as_zero(log: Log, criticality: int | None) -> None:
    receipt = log.add(criticality=criticality)
    assert log.show(receipt)["criticality"] == (criticality or 0)


def test_criticality_is_zero_when_it_is_left_out(log: Log) -> None:
    assert log.show(log.add())["criticality"] == 0


@pytest.mark.parametrize(("criticality", "rule"), [(-1, "minimum"), (6, "maximum"), (1.5, "type"), ("1", "type")])
def test_criticality_is_refused_when_there_is_no_such_level(log: Log, criticality: object, rule: str) -> None:
    assert log.refused(eventCode=10001, criticality=criticality) == [("/criticality", rule)]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("maxCriticality=1", [1]), ("maxCriticality=2", [2, 1]), ("maxCriticality=5", [5, 4, 3, 2, 1]),
        ("criticality=0", [0]), ("criticality=0&criticality=5", [5, 0]), ("criticality=2", [2]),
        ("criticality=2&criticality=2", [2]), ("", [5, 4, 3, 2, 1, 0]),
    ],
)  # fmt: skip
def test_filter_by_criticality(log: Log, query: str, expected: list[int]) -> None:
    for criticality in range(6):
        log.add(criticality=criticality)
    assert [event["criticality"] for event in log.list(query)] == expected


@pytest.mark.parametrize(
    ("query", "place", "rule"),
    [
        ("maxCriticality=0", "query/maxCriticality", "value"), ("maxCriticality=6", "query/maxCriticality", "value"),
        ("criticality=6", "query/criticality", "value"), ("criticality=-1", "query/criticality", "value"),
        ("criticality=", "query/criticality", "value"), ("criticality=1&criticality=x", "query/criticality", "value"),
        ("maxCriticality=1&criticality=1", "query/maxCriticality", "one-of"),
        ("maxCriticality=1&maxCriticality=2", "query/maxCriticality", "single"),
    ],
)  # fmt: skip
def test_filter_by_criticality_is_refused(log: Log, query: str, place: str, rule: str) -> None:
    answer = log.ask(f"{SINCE}&{query}")
    assert (answer.status, answer.faults()) == (400, [(place, rule)])


# -- R4, R5, R6: time and order -------------------------------------------------------------------------------------


def _times(log: Log, count: int) -> list[str]:
    return [log.add()["recordedAt"] for _ in range(count)]


def _later(time: str, **delta: float) -> str:
    moment = datetime.fromisoformat(time) + timedelta(**delta)
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def test_range_includes_its_beginning_and_not_its_end(log: Log) -> None:
    first, second, third = _times(log, 3)
    assert [event["recordedAt"] for event in log.list(since=f"from={first}&to={third}")] == [second, first]
    just_after = _later(first, microseconds=1)
    assert [event["recordedAt"] for event in log.list(since=f"from={just_after}&to={third}")] == [second]
    assert [event["recordedAt"] for event in log.list(since=f"from={third}")] == [third]


@pytest.mark.parametrize("name", ["from", "to"])
def test_one_date_begins_a_range_that_ends_now_whichever_parameter_carried_it(log: Log, name: str) -> None:
    _, second, third = _times(log, 3)
    assert [event["recordedAt"] for event in log.list(since=f"{name}={second}")] == [third, second]


def test_range_is_empty_when_its_bounds_are_equal(log: Log) -> None:
    [time] = _times(log, 1)
    answer = log.ask(f"from={time}&to={time}")
    assert (answer.status, answer.json()) == (200, {"data": [], "nextCursor": None})


def test_range_may_end_in_the_future(log: Log) -> None:
    [time] = _times(log, 1)
    assert [event["recordedAt"] for event in log.list(since=f"from={time}&to={_later(time, days=1)}")] == [time]


def test_list_is_refused_without_a_date_naming_both_parameters(log: Log) -> None:
    answer = log.ask("eventCode=1")
    assert answer.status == 400
    assert answer.faults() == [("query/from", "required"), ("query/to", "required")]


@pytest.mark.parametrize(
    ("since", "until", "fault"),
    [
        (1, None, ("query/from", "future")), (None, 1, ("query/to", "future")), (1, 2, ("query/from", "future")),
        (-1, -2, ("query/from", "range")), (2, 1, ("query/from", "future")),
    ],
)  # fmt: skip
def test_range_is_refused(log: Log, since: int | None, until: int | None, fault: tuple[str, str]) -> None:
    now = _times(log, 1)[0]
    bounds = {name: _later(now, days=days) for name, days in (("from", since), ("to", until)) if days is not None}
    answer = log.ask("&".join(f"{name}={time}" for name, time in bounds.items()))
    assert (answer.status, answer.faults()) == (400, [fault])


@pytest.mark.parametrize("plus", ["+", "%2B", "%2b"])
def test_date_may_have_an_offset_with_the_plus_escaped_or_not(log: Log, plus: str) -> None:
    [time] = _times(log, 1)
    local = (datetime.fromisoformat(time) + timedelta(hours=5, minutes=30)).strftime("%Y-%m-%dT%H:%M:%S.%f")
    assert [event["recordedAt"] for event in log.list(since=f"from={local}{plus}05:30")] == [time]
    local = (datetime.fromisoformat(time) - timedelta(hours=5, minutes=30)).strftime("%Y-%m-%dT%H:%M:%S.%f")
    assert [event["recordedAt"] for event in log.list(since=f"from={local}-05:30")] == [time]


def test_list_is_newest_first_unless_asked_otherwise(log: Log) -> None:
    times = _times(log, 3)
    assert [event["recordedAt"] for event in log.list()] == times[::-1]
    assert [event["recordedAt"] for event in log.list("order=desc")] == times[::-1]
    assert [event["recordedAt"] for event in log.list("order=asc")] == times
    assert log.ask(f"{SINCE}&order=ascending").faults() == [("query/order", "value")]


def test_list_by_the_sources_own_time_holds_only_events_that_carry_one(log: Log) -> None:
    base = _times(log, 1)[0]
    stamps = [_later(base, hours=-hours) for hours in (1, 3, 2)]
    for stamp in stamps:
        log.add(occurredAt=stamp)
    log.add()
    query = f"timeField=occurredAt&order=asc&from={min(stamps)}&to={max(stamps)}"
    assert [event["occurredAt"] for event in log.list(since=query)] == sorted(stamps)[:-1]
    by_recorded = [event["occurredAt"] for event in log.list()]
    assert by_recorded == [None, *stamps[::-1], None]


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("2026-01-31T23:59:59Z", "2026-01-31T23:59:59.000000Z"),
        ("2026-01-31t23:59:59.1234567z", "2026-01-31T23:59:59.123456Z"),
        ("2026-02-01T01:29:59.5+01:30", "2026-01-31T23:59:59.500000Z"),
    ],
)
def test_occurred_at_is_kept_in_utc_with_microseconds(log: Log, given: str, kept: str) -> None:
    assert log.show(log.add(occurredAt=given))["occurredAt"] == kept


@pytest.mark.parametrize(("delta", "rule"), [({"minutes": 6}, "skew"), ({"days": -3651}, "skew")])
def test_occurred_at_is_refused_when_it_is_too_far_from_now(log: Log, delta: dict[str, float], rule: str) -> None:
    now = _times(log, 1)[0]
    assert log.refused(eventCode=10001, occurredAt=_later(now, **delta)) == [("/occurredAt", rule)]


@pytest.mark.parametrize(("delta"), [{"minutes": 4}, {"days": -3649}])
def test_occurred_at_may_be_a_little_ahead_or_long_ago(log: Log, delta: dict[str, float]) -> None:
    log.add(occurredAt=_later(_times(log, 1)[0], **delta))


# -- R7: payload ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "payload",
    [b'{"b" : 1,  "a":[1.50, 1e2, -0]}', b"[]", b"{}", b'"text"', b"0", b"false", b'"\\u00e9\\u0000"', b'""',
     '"é \U0001f600"'.encode(), b"123456789012345678901234567890", b"0.1234567890123456789"],
)  # fmt: skip
def test_inline_payload_keeps_its_very_bytes(log: Log, payload: bytes) -> None:
    sent = b'{"eventCode":10001,"payload":' + payload + b"}"
    answer = log.api.request("POST", EVENTS, log.key, sent, [("content-type", "application/json")])
    assert answer.status == 201, answer
    shown = log.api.get(f"{EVENTS}/{answer.json()['id']}", log.key)
    assert shown.body.endswith(b'"payloadContentType":"application/json","payload":' + payload + b"}")


ALL_BYTES = bytes(range(256)) * 3


@pytest.mark.parametrize("payload", [ALL_BYTES, b"\x00", b"\xff\xfe", b"plain", b"{not json"])
@pytest.mark.parametrize("content_type", [None, "image/png", 'text/plain; charset="utf-8"', "x/y"])
def test_binary_payload_comes_back_byte_for_byte(log: Log, payload: bytes, content_type: str | None) -> None:
    data = base64.b64encode(payload).decode()
    event = log.show(log.add(payloadData=data, payloadContentType=content_type))
    assert event["payloadContentType"] == content_type or "application/octet-stream"
    assert base64.b64decode(event["payloadData"]) == payload
    assert "payload" not in event
    assert log.list()[0] == event


def test_json_in_payload_data_comes_back_inline(log: Log) -> None:
    data = base64.b64encode(b'{"a": 1}').decode()
    for content_type in ("application/json", "application/vnd.x+json; a=b", "TEXT/JSON"):
        event = log.show(log.add(payloadData=data, payloadContentType=content_type))
        assert (event["payload"], event["payloadContentType"]) == ({"a": 1}, content_type)
        assert "payloadData" not in event


@pytest.mark.parametrize(
    "absent", [{}, {"payload": None}, {"payloadData": None}, {"payload": None, "payloadData": None}]
)
def test_event_may_have_no_payload(log: Log, absent: dict[str, None]) -> None:
    event = log.show(log.add(**absent))
    assert event["payloadContentType"] is None
    assert not {"payload", "payloadData"} & event.keys()


def test_empty_payload_data_is_a_payload_of_no_bytes(log: Log) -> None:
    event = log.show(log.add(payloadData="", payloadContentType="image/png"))
    assert (event["payloadData"], event["payloadContentType"]) == ("", "image/png")


@pytest.mark.parametrize(
    ("event", "place", "rule"),
    [
        ({"payload": 1, "payloadData": "AA=="}, "/payloadData", "one-payload"),
        ({"payload": {}, "payloadData": ""}, "/payloadData", "one-payload"),
        ({"payload": 1, "payloadContentType": "image/png"}, "/payloadContentType", "payload-json"),
        ({"payloadContentType": "image/png"}, "/payloadContentType", "payload-missing"),
        ({"payload": None, "payloadContentType": "application/json"}, "/payloadContentType", "payload-missing"),
        ({"payloadData": "A"}, "/payloadData", "base64"),
        ({"payloadData": "AA"}, "/payloadData", "base64"),
        ({"payloadData": "AA=="}, "", ""),
        ({"payloadData": "AA== "}, "/payloadData", "base64"),
        ({"payloadData": "A-_="}, "/payloadData", "base64"),
        ({"payloadData": "é"}, "/payloadData", "base64"),
        ({"payloadData": 1}, "/payloadData", "type"),
        ({"payloadData": "e30", "payloadContentType": "application/json"}, "/payloadData", "base64"),
        ({"payloadData": "ew==", "payloadContentType": "application/json"}, "/payloadData", "payload-json"),
        ({"payloadData": "", "payloadContentType": "application/json"}, "/payloadData", "payload-json"),
        ({"payloadData": "TmFO", "payloadContentType": "a/b+json"}, "/payloadData", "payload-json"),
        ({"payload": 1, "payloadContentType": "json"}, "/payloadContentType", "media-type"),
        ({"payload": 1, "payloadContentType": ""}, "/payloadContentType", "media-type"),
        ({"payload": 1, "payloadContentType": "a/b\n"}, "/payloadContentType", "media-type"),
    ],
)
def test_payload_is_refused(log: Log, event: dict[str, Any], place: str, rule: str) -> None:
    if not place:
        log.add(**event)
        return
    assert log.refused(eventCode=10001, **event) == [(place, rule)]


# -- R8: what only the platform sets --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["internal", "actor", "recordedAt", "seq", "id", "tenantUid", "family", "kind", "relatedEntities", "extensions",
     "event_code", "EventCode", "payload ", "", "é", "a/b~c", "constructor"],
)  # fmt: skip
def test_field_that_callers_cannot_set_is_refused_by_name(log: Log, name: str) -> None:
    place = "/" + name.replace("~", "~0").replace("/", "~1")
    assert log.refused(**{"eventCode": 10001, name: True}) == [(place, "unknown-field")]


def test_every_unknown_field_is_named_at_once(log: Log) -> None:
    faults = log.refused(eventCode=-1, internal=True, seq=5)
    assert sorted(faults) == [("/eventCode", "minimum"), ("/internal", "unknown-field"), ("/seq", "unknown-field")]


def test_actor_is_the_account_and_key_of_the_caller(api: Api, tenant: str) -> None:
    account = api.account(tenant, "owner")
    key = api.key_for(account, tenant, "owner")
    number = api.get(f"/v1/accounts/{account}", key["token"]).json()["accountId"]
    receipt = api.made(EVENTS, {"eventCode": 10001}, key["token"])
    event = api.get(f"{EVENTS}/{receipt['id']}", key["token"]).json()
    assert event["actor"] == {"kind": "account", "uid": account, "accountId": number, "keyUid": key["uid"]}
    hyphenated = f"{account[:8]}-{account[8:12]}-{account[12:16]}-{account[16:20]}-{account[20:]}".upper()
    for uid in (account, hyphenated):
        found = api.get(f"{EVENTS}?{SINCE}&actorUid={uid}", key["token"]).json()["data"]
        assert [event["id"] for event in found] == [receipt["id"]]


# -- texts ----------------------------------------------------------------------------------------------------------

TEXTS = {"type": 255, "targetEntityType": 100, "targetEntityId": 1024}


@pytest.mark.parametrize("name", TEXTS)
def test_text_is_kept_and_found_up_to_its_longest(log: Log, name: str) -> None:
    for text in ("x" * TEXTS[name], "Ünïcödé \U0001f600"[: TEXTS[name]], "%41&=+#?/ x", "null", "'\";--"):
        receipt = log.add(**{name: text})
        assert log.show(receipt)[name] == text
        assert [event["id"] for event in log.list(f"{name}={quote(text, safe='')}")] == [receipt["id"]]


@pytest.mark.parametrize("name", [*TEXTS, "sourceId"])
@pytest.mark.parametrize("text", ["", "a\x00b", "a\n", "\n", "\x7f", "\x85", "a\tb"])
def test_text_is_refused_when_it_is_empty_or_not_printable(log: Log, name: str, text: str) -> None:
    event: dict[str, Any] = {"source": "/s", "sourceId": "1", name: text} if name == "sourceId" else {name: text}
    [(place, rule)] = log.refused(eventCode=10001, **event)
    assert place == f"/{name}"
    assert rule in ("minLength", "pattern", "control-characters", "characters")


@pytest.mark.parametrize("name", TEXTS)
def test_text_is_refused_when_it_is_too_long(log: Log, name: str) -> None:
    event: dict[str, Any] = {"eventCode": 10001, name: "x" * (TEXTS[name] + 1)}
    assert log.refused(**event) == [(f"/{name}", "maxLength")]
    answer = log.ask(f"{SINCE}&{name}={'x' * (TEXTS[name] + 1)}")
    assert (answer.status, answer.faults()) == (400, [(f"query/{name}", "value")])


# -- own types ------------------------------------------------------------------------------------------------------

SCHEMA = {
    "type": "object",
    "required": ["by"],
    "properties": {"by": {"type": "string"}, "list": {"items": {"type": "integer"}}, "a/b": {"const": 1}},
    "additionalProperties": False,
}


def test_type_lends_its_defaults_to_events_without_a_value(log: Log) -> None:
    log.api.made("/v1/event-types", {"type": "door", "defaultCode": 10010, "defaultCriticality": 2}, log.key)
    events = [
        log.show(log.api.made(EVENTS, {"type": "door", **given}, log.key))
        for given in ({}, {"eventCode": 10011}, {"criticality": 5}, {"criticality": None}, {"criticality": 0})
    ]
    assert [(event["eventCode"], event["criticality"]) for event in events] == [
        (10010, 2), (10011, 2), (10010, 5), (10010, 2), (10010, 0),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("payload", "faults"),
    [
        ({}, [("/payload/by", "required")]),
        ({"by": 1}, [("/payload/by", "type")]),
        ({"by": "x", "list": [1, "2"]}, [("/payload/list/1", "type")]),
        ({"by": "x", "a/b": 2}, [("/payload/a~1b", "const")]),
        ({"by": "x", "more": 1}, [("/payload/more", "unknown-field")]),
        ([], [("/payload", "type")]),
        (None, [("/payload", "payload-json")]),
    ],
)
def test_schema_of_a_type_refuses_a_payload_at_its_place(
    log: Log, payload: object, faults: list[tuple[str, str]]
) -> None:
    log.api.made("/v1/event-types", {"type": "door", "schema": SCHEMA, "defaultCode": 10010}, log.key)
    assert log.refused(422, type="door", payload=payload) == faults
    log.add(type="door", payload={"by": "x", "list": [1], "a/b": 1})
    log.add(type="another", payload=payload)
    batch = log.api.post(EVENTS, log.key, [{"type": "door", "payload": payload}])
    assert (batch.status, batch.json()["results"][0]["status"]) == (207, 422)
    assert batch.json()["results"][0]["errors"][0]["pointer"] == f"/0{faults[0][0]}"


def test_schema_refuses_a_payload_that_is_no_json(log: Log) -> None:
    log.api.made("/v1/event-types", {"type": "door", "schema": SCHEMA}, log.key)
    assert log.refused(422, type="door", payloadData="AA==") == [("/payload", "payload-json")]


def test_changed_type_holds_for_the_next_event(log: Log) -> None:
    made = log.api.post("/v1/event-types", log.key, {"type": "door", "schema": SCHEMA})
    assert made.status == 201
    target = "/v1/event-types/door"
    assert log.refused(422, type="door", payload={})
    assert log.api.patch(target, log.key, {"schema": None}).status == 200
    log.api.made(EVENTS, {"type": "door", "payload": {}}, log.key)
    assert log.api.patch(target, log.key, {"schema": SCHEMA}).status == 200
    assert log.refused(422, type="door", payload={})
    assert log.api.delete(target, log.key).status == 204
    log.api.made(EVENTS, {"type": "door", "payload": {}}, log.key)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "strong"}, {"properties": []}, {"required": "by"}, {"$ref": "https://example.com/schema"},
        {"$ref": "#/$defs/nowhere"}, {"pattern": "("}, {"$schema": "https://example.com/meta"},
        {"$ref": "file:///etc/passwd"}, {"minimum": "1"}, {"multipleOf": 0},
    ],
)  # fmt: skip
def test_schema_is_refused_when_it_cannot_be_used(log: Log, schema: object) -> None:
    before = log.api.head(log.tenant)
    answer = log.api.post("/v1/event-types", log.key, {"type": "door", "schema": schema})
    assert answer.status == 400
    assert all(place.startswith("/schema") for place, _ in answer.faults())
    assert log.api.head(log.tenant) == before


@pytest.mark.parametrize("name", ["door", "a", "a.b_c-d:e", "A" * 255, "9"])
def test_type_name_is_accepted(log: Log, name: str) -> None:
    log.api.made("/v1/event-types", {"type": name}, log.key)
    assert log.api.get(f"/v1/event-types/{name}", log.key).json()["type"] == name


@pytest.mark.parametrize("name", ["", ".", "a.", "-a", "a b", "a/b", "é", "A" * 256, "a\n", "a\x00", "a\nb"])
def test_type_name_is_refused(log: Log, name: str) -> None:
    answer = log.api.post("/v1/event-types", log.key, {"type": name})
    assert answer.status == 400
    assert {place for place, _ in answer.faults()} == {"/type"}


# -- formats, subtree, one event ------------------------------------------------------------------------------------


def test_event_in_each_format(log: Log) -> None:
    receipt = log.add(type="door", targetEntityId="d-7", targetEntityType="Door", criticality=1, payload={"by": "x"})
    target = f"{EVENTS}/{receipt['id']}"
    record = log.show(receipt)
    assert log.api.get(f"{target}?format=record", log.key).json() == record
    assert log.api.get(f"{target}?format=wire", log.key).json() == record, "the wire body of this family"
    cloud = log.api.get(f"{target}?format=cloudevents", log.key).json()
    assert cloud == {
        "specversion": "1.0", "id": receipt["id"], "source": f"/tenants/{log.tenant}", "type": "door",
        "subject": "d-7", "targettype": "Door", "time": receipt["recordedAt"], "recordedtime": receipt["recordedAt"],
        "datacontenttype": "application/json", "data": {"by": "x"}, "sequence": f"{receipt['seq']:020d}",
        "criticality": 1, "severitynumber": 21, "severitytext": "CRITICAL", "eventcode": 10001,
    }  # fmt: skip
    for format, shown in (("record", record), ("wire", record), ("cloudevents", cloud)):
        assert log.list(f"format={format}")[0] == shown
    assert log.ask(f"{SINCE}&format=xml").faults() == [("query/format", "value")]


def test_event_is_found_by_its_id_in_both_printed_forms(log: Log) -> None:
    receipt = log.add()
    identifier = receipt["id"]
    for form in (identifier, identifier.upper(), identifier.replace("-", ""), identifier.replace("-", "").upper()):
        assert log.api.get(f"{EVENTS}/{form}", log.key).json()["seq"] == receipt["seq"]


@pytest.mark.parametrize("id", ["1", "x" * 32, "0" * 31, "0" * 33, "-" * 36, "%00" * 32, "%ff", "a%0Ab", "é"])
def test_event_is_refused_by_what_is_no_id(log: Log, id: str) -> None:
    answer = log.api.get(f"{EVENTS}/{quote(id, safe='%')}", log.key)
    assert (answer.status, answer.faults()) == (400, [("path/id", "uid")])


def test_subtree_lists_the_events_of_all_tenants_below_by_time(api: Api) -> None:
    region = api.tenant(kind="company")
    shops = [api.tenant(region), api.tenant(region)]
    key = api.key(region, "owner")
    sent = [
        api.made(f"{EVENTS}?tenantUid={uid}", {"eventCode": 10001, "criticality": n % 3}, key)["id"]
        for n, uid in enumerate([*shops, region] * 3)
    ]
    query = f"{EVENTS}?{SINCE}&eventCode=10001&include=subtree"
    assert [event["id"] for event in api.get(query, key).json()["data"]] == sent[::-1]
    assert [event["id"] for event in api.get(f"{query}&order=asc", key).json()["data"]] == sent
    assert [event["id"] for event in api.get(f"{query}&maxCriticality=1&order=asc", key).json()["data"]] == sent[1::3]
    paged: list[str] = []
    cursor = ""
    while True:
        page = api.get(f"{query}&limit=2{cursor}", key).json()
        paged += [event["id"] for event in page["data"]]
        if page["nextCursor"] is None:
            break
        cursor = f"&cursor={page['nextCursor']}"
    assert paged == sent[::-1]
    one = api.get(f"{query}&tenantUid={shops[0]}", key).json()["data"]
    assert [event["id"] for event in one] == sent[::3][::-1]


def test_subtree_is_refused_when_it_has_more_than_200_tenants(api: Api) -> None:
    region = api.tenant(kind="company")
    key = api.key(region, "owner")
    for _ in range(199):
        api.tenant(region)
    query = f"{EVENTS}?{SINCE}&include=subtree&type=Tenant.Created&limit=1000"
    assert len(api.get(query, key).json()["data"]) == 200
    api.tenant(region)
    answer = api.get(query, key)
    assert (answer.status, answer.faults()) == (400, [("query/include", "subtree-too-large")])
    assert api.get(query.replace("&include=subtree", ""), key).status == 200


def test_head_is_answered_like_get_without_a_body(log: Log) -> None:
    receipt = log.add()
    for path in (f"{EVENTS}/{receipt['id']}", f"{EVENTS}?{SINCE}", "/v1/keys", "/healthz", "/openapi.json"):
        got, headed = (log.api.request(method, path, log.key) for method in ("GET", "HEAD"))
        assert (headed.status, headed.body) == (got.status, b"")
        assert headed.headers["content-length"] == got.headers["content-length"]
        assert headed.headers["content-type"] == got.headers["content-type"]
    missing = log.api.request("HEAD", f"{EVENTS}/{'0' * 32}", log.key)
    assert (missing.status, missing.body) == (404, b"")


# -- versions and pages of small lists ------------------------------------------------------------------------------

RESOURCES = ["tenant", "account", "event type"]


def _resource(log: Log, kind: str) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """Return the address of a resource and two different changes to it."""
    if kind == "tenant":
        return f"/v1/tenants/{log.tenant}", {"name": "one"}, {"name": "two"}
    if kind == "account":
        return f"/v1/accounts/{log.api.account(log.tenant)}", {"name": "one"}, {"name": "two"}
    log.api.made("/v1/event-types", {"type": "door"}, log.key)
    return "/v1/event-types/door", {"defaultCode": 1}, {"defaultCode": 2}


@pytest.mark.parametrize("kind", RESOURCES)
def test_change_is_refused_when_the_resource_has_changed_since(log: Log, kind: str) -> None:
    target, one, two = _resource(log, kind)
    old = log.api.get(target, log.key).headers["etag"]
    changed = log.api.patch(target, log.key, one, headers=[("if-match", old)])
    assert changed.status == 200
    assert changed.headers["etag"] == log.api.get(target, log.key).headers["etag"] != old
    before = log.api.head(log.tenant)
    late = log.api.patch(target, log.key, two, headers=[("if-match", old)])
    assert (late.status, log.api.head(log.tenant)) == (412, before)
    assert log.api.patch(target, log.key, two, headers=[("if-match", "*")]).status == 200
    if kind == "event type":
        assert log.api.delete(target, log.key, headers=[("if-match", old)]).status == 412
        assert log.api.delete(target, log.key, headers=[("if-match", '"v3"')]).status == 204


@pytest.mark.parametrize("kind", RESOURCES)
def test_version_stays_when_nothing_changes(log: Log, kind: str) -> None:
    target, one, _ = _resource(log, kind)
    assert log.api.patch(target, log.key, one).headers["etag"] == log.api.patch(target, log.key, one).headers["etag"]


@pytest.mark.parametrize("value", ["v1", '"1"', 'W/"v1"', '"v1", "v2"', "", '"v-1"', '"v' + "9" * 19 + '"'])
def test_if_match_is_refused_when_it_is_no_etag_of_ours(log: Log, value: str) -> None:
    answer = log.api.patch(f"/v1/tenants/{log.tenant}", log.key, {"name": "x"}, headers=[("if-match", value)])
    assert (answer.status, answer.faults()) == (400, [("header/if-match", "etag")])


@pytest.mark.parametrize("kind", ["tenants", "accounts", "keys"])
def test_small_list_is_read_page_by_page(api: Api, kind: str) -> None:
    region = api.tenant(kind="company")
    key = api.key(region, "owner")
    for _ in range(5):
        api.tenant(region)
        api.key(region, "viewer")
    listed = api.get(f"/v1/{kind}?limit=1000", key).json()
    everything = [item["uid"] for item in listed["data"]]
    assert listed["nextCursor"] is None
    assert len(everything) == 6
    for limit in (1, 2, 3, 6):
        paged: list[str] = []
        cursor = ""
        while True:
            page = api.get(f"/v1/{kind}?limit={limit}{cursor}", key).json()
            assert 0 < len(page["data"]) <= limit
            paged += [item["uid"] for item in page["data"]]
            if page["nextCursor"] is None:
                break
            cursor = f"&cursor={page['nextCursor']}"
        assert paged == everything


def test_cursor_of_a_small_list_fits_however_the_tenant_is_named(log: Log) -> None:
    log.api.account(log.tenant)
    uid = log.tenant
    hyphenated = f"{uid[:8]}-{uid[8:12]}-{uid[12:16]}-{uid[16:20]}-{uid[20:]}"
    cursor = log.api.get("/v1/accounts?limit=1", log.key).json()["nextCursor"]
    for name in ("", f"&tenantUid={uid}", f"&tenantUid={uid.upper()}", f"&tenantUid={hyphenated}"):
        assert log.api.get(f"/v1/accounts?limit=1&cursor={cursor}{name}", log.key).status == 200
