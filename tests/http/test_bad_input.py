"""Input that is wrong in every way: always a problem that names place and rule, and nothing half-stored."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from heliograph.http.app import ROUTES
from heliograph.http.connection_problems import MAX_URL_BYTES
from tests.conftest import StoreUrl
from tests.http.inprocess import SINCE
from tests.http.promises import check_problem
from tests.http.wire import Wire
from tests.server import Server

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.http.inprocess import Answer, Api

JSON = "application/json"
MIB = 1024 * 1024
EVENTS = "/v1/events"


class Desk(NamedTuple):
    """A tenant, its owner's key, and one resource of each kind."""

    api: Api
    tenant: str
    key: str
    account: str
    key_uid: str

    def path(self, route_path: str) -> str:
        """Fill in a route's path."""
        uid = {"/v1/tenants": self.tenant, "/v1/accounts": self.account, "/v1/keys": self.key_uid}
        filled = route_path.replace("{uid}", uid.get(route_path.partition("/{")[0], "0" * 32))
        filled = filled.replace("{deliveryId}", f"{'0' * 32}-{self.tenant}-0")
        return filled.replace("{grantUid}", "0" * 32).replace("{type}", "door").replace("{id}", "0" * 32)

    def refused(
        self,
        method: str,
        target: str,
        body: bytes | Sequence[bytes] = b"",
        headers: Sequence[tuple[str, str]] = (("content-type", JSON),),
    ) -> Answer:
        """Send what must be refused, and check that it left nothing behind."""
        before = self.api.head(self.tenant)
        answer = self.api.request(method, target, self.key, body, headers)
        assert 400 <= answer.status < 500, answer
        assert self.api.head(self.tenant) == before
        return answer


@pytest.fixture(scope="module")
def desk(api: Api) -> Desk:
    tenant = api.tenant()
    account = api.account(tenant, "owner")
    key = api.key_for(account, tenant, "owner")
    api.made(f"/v1/event-types?tenantUid={tenant}", {"type": "door"})
    return Desk(api, tenant, key["token"], account, key["uid"])


# -- bodies ---------------------------------------------------------------------------------------------------------

WITH_BODY = [(route.method, route.path) for route in ROUTES.all if route.body is not None and not route.streams]
BODY_REQUIRED = [(route.method, route.path) for route in ROUTES.all if route.body_required]

BAD_JSON: dict[str, tuple[bytes, str, str]] = {
    "nothing": (b"", "", "json"),
    "a blank": (b" ", "", "json"),
    "an open object": (b'{"a":', "", "json"),
    "a closing bracket": (b"}", "", "json"),
    "single quotes": (b"{'a':1}", "", "json"),
    "a comma too many": (b'{"a":1,}', "", "json"),
    "two documents": (b"{} {}", "", "json"),
    "a comment": (b"{}//", "", "json"),
    "a word": (b"hello", "", "json"),
    "a form": (b"a=1&b=2", "", "json"),
    "a NUL": (b'{"a":1}\x00', "", "json"),
    "a raw line feed in a text": (b'{"a":"\n"}', "", "json"),
    "an unknown escape": (b'{"a":"\\x"}', "", "json"),
    "a leading zero": (b'{"a":01}', "", "json"),
    "NaN": (b'{"a":NaN}', "", "json"),
    "Infinity": (b'{"a":Infinity}', "", "json"),
    "minus Infinity": (b'{"a":-Infinity}', "", "json"),
    "a number beyond all numbers": (b'{"a":1e999}', "", "number-range"),
    "10,000 open arrays": (b'{"a":' + b"[" * 10_000, "", "nesting"),
    "10,000 nested arrays": (b'{"a":' + b"[" * 10_000 + b"]" * 10_000 + b"}", "", "nesting"),
    "10,000 nested objects": (b'{"a":' * 10_000 + b"1" + b"}" * 10_000, "", "nesting"),
    "a byte that is no UTF-8": (b'{"a":"\xff"}', "", "utf-8"),
    "an overlong encoding": (b'{"a":"\xc0\xaf"}', "", "utf-8"),
    "an encoded surrogate": (b'{"a":"\xed\xa0\x80"}', "", "utf-8"),
    "UTF-16": ('{"a":1}'.encode("utf-16"), "", "utf-8"),
    "a byte order mark": (b'\xef\xbb\xbf{"a":1}', "", "json"),
    "a lone surrogate": (b'{"a":"\\ud800"}', "", "surrogate"),
    "a lone surrogate as a name": (b'{"\\udfff":1}', "", "surrogate"),
    "surrogates in the wrong order": (b'{"a":"\\udc00\\ud800"}', "", "surrogate"),
    "a name twice": (b'{"a":1,"a":1}', "/a", "duplicate-name"),
    "a name twice, once escaped": (b'{"a":1,"\\u0061":1}', "/a", "duplicate-name"),
    "a name twice, deep inside": (b'{"a":[0,{"b/c":{"d~":1,"d~":2}}]}', "/a/1/b~1c/d~0", "duplicate-name"),
}


@pytest.mark.parametrize("name", BAD_JSON)
def test_body_is_refused_by_every_route_when_it_is_no_unambiguous_json(desk: Desk, name: str) -> None:
    body, place, rule = BAD_JSON[name]
    for method, path in WITH_BODY:
        if not body and (method, path) not in BODY_REQUIRED:
            continue
        answer = desk.refused(method, desk.path(path), body)
        assert (answer.status, answer.faults()) == (400, [(place, rule)]), path


@pytest.mark.parametrize("body", [b"null", b"true", b"1", b"1.5", b'"text"', b"[]", b"[{}]"])
def test_body_is_refused_by_every_route_when_it_is_no_object(desk: Desk, body: bytes) -> None:
    for method, path in WITH_BODY:
        if path == EVENTS and body.startswith(b"["):
            continue  # a batch
        answer = desk.refused(method, desk.path(path), body)
        assert (answer.status, answer.faults()) == (400, [("", "type")]), path


def test_body_is_refused_by_every_route_naming_the_unknown_field(desk: Desk) -> None:
    for method, path in WITH_BODY:
        answer = desk.refused(method, desk.path(path), b'{"no such/field":1}')
        assert answer.status == 400
        assert ("/no such~1field", "unknown-field") in answer.faults(), path


def test_faults_of_a_body_are_named_up_to_a_hundred(desk: Desk) -> None:
    for count, named in ((600, 100), (20_000, 1)):
        # Of a large body the first is named, for all of them could take many seconds to find.
        body = json.dumps({f"field{n}": n for n in range(count)}).encode()
        for method, path in WITH_BODY:
            assert len(desk.refused(method, desk.path(path), body).faults()) == named


def test_large_body_of_nothing_but_faults_is_refused_by_its_first(desk: Desk) -> None:
    body = b'{"name":"n","grants":[%s]}' % b",".join([b"[]"] * 200_000)
    assert len(desk.refused("POST", "/v1/accounts", body).faults()) == 1


@pytest.mark.parametrize("crowd", [b"{}", b"[]", b'{"code":"1","externalId":"2","name":"3","a":1}'])
def test_report_of_more_than_is_ever_taken_is_refused_before_it_is_read(desk: Desk, crowd: bytes) -> None:
    body = b'{"complete":true,"codes":[%s]}' % b",".join([crowd] * 1_300_000)
    answer = desk.refused("PUT", f"/v1/devices/{'0' * 32}/access-code-report", body[: 32 * 1024 * 1024])
    assert (answer.status, answer.faults()[0][:2]) == (400, ("", "max-items"))


def test_value_that_is_refused_is_not_repeated_in_the_answer(desk: Desk) -> None:
    secret = "correct horse battery staple"
    for target, body in (
        ("/v1/keys", {"name": {"token": secret}, "grants": secret, "expiresAt": secret}),
        ("/v1/accounts", {"name": [secret]}),
        (EVENTS, {"eventCode": secret, "criticality": {"x": secret}, "payloadData": secret, "occurredAt": secret}),
        ("/v1/tenants", {"kind": secret, "name": 1, "shortName": secret}),
    ):
        assert secret.encode() not in desk.refused("POST", target, json.dumps(body).encode()).body


WRONG: list[tuple[str, str, dict[str, Any], list[tuple[str, str]]]] = [
    ("POST", "/v1/tenants", {}, [("/kind", "required"), ("/name", "required"), ("/shortName", "required")]),
    ("POST", "/v1/tenants", {"kind": "shop", "name": "n", "shortName": "nn"}, [("/kind", "enum")]),
    (
        "POST", "/v1/tenants", {"kind": "company", "name": "", "shortName": "n"},
        [("/name", "minLength"), ("/name", "pattern"), ("/shortName", "minLength")],
    ),
    (
        "POST", "/v1/tenants", {"kind": "company", "name": "n" * 256, "shortName": "n" * 64},
        [("/name", "maxLength"), ("/shortName", "maxLength")],
    ),
    *(
        ("POST", "/v1/tenants", {"kind": "company", "name": "n", "shortName": bad}, [("/shortName", "pattern")])
        for bad in ("Ab", "a_b", "-ab", "ab-", "a--b", "ab\n", "a b", "äb", "a\x00b")
    ),
    *(
        (method, path, {"name": bad}, [("/name", "pattern")])
        for bad in ("a\x00b", "a\n", "\n", "\x7f", "a\x85b")
        for method, path in (("POST", "/v1/accounts"), ("PATCH", "/v1/accounts/{uid}"), ("PATCH", "/v1/tenants/{uid}"))
    ),
    ("PATCH", "/v1/tenants/{uid}", {"name": None}, [("/name", "type")]),
    ("PATCH", "/v1/tenants/{uid}", {"rejectReservedCodes": "yes"}, [("/rejectReservedCodes", "type")]),
    ("PATCH", "/v1/tenants/{uid}", {"rejectReservedCodes": 1}, [("/rejectReservedCodes", "type")]),
    ("PATCH", "/v1/tenants/{uid}", {"shortName": "new"}, [("/shortName", "unknown-field")]),
    ("PATCH", "/v1/tenants/{uid}", {"kind": "company"}, [("/kind", "unknown-field")]),
    ("PATCH", "/v1/accounts/{uid}", {}, [("/name", "required")]),
    ("POST", "/v1/accounts", {"name": "n", "grants": {}}, [("/grants", "type")]),
    ("POST", "/v1/accounts", {"name": "n", "grants": [{}]}, [("/grants/0/grant", "required")]),
    (
        "POST", "/v1/accounts", {"name": "n", "grants": [{"grant": "viewer", "tenantUid": "x"}]},
        [("/grants/0/tenantUid", "uid")],
    ),
    ("POST", "/v1/accounts", {"name": "n", "grants": [{"grant": "viewer"}] * 101}, [("/grants", "maxItems")]),
    ("POST", "/v1/keys", {"name": "n"}, [("/grants", "required")]),
    ("POST", "/v1/keys", {"name": "n", "grants": []}, [("/grants", "minItems")]),
    *(
        ("POST", "/v1/keys", {"name": "n", "grants": [{"grant": "viewer"}], **bad}, [fault])
        for bad, fault in (
            ({"expiresAt": "tomorrow"}, ("/expiresAt", "time")),
            ({"expiresAt": "2020-01-01T00:00:00Z"}, ("/expiresAt", "future")),
            ({"expiresAt": "2100-02-30T00:00:00Z"}, ("/expiresAt", "time")),
            ({"expiresAt": 1}, ("/expiresAt", "type")),
            ({"accountUid": "me"}, ("/accountUid", "uid")),
            ({"token": "hg_mine"}, ("/token", "unknown-field")),
        )
    ),
    ("POST", "/v1/keys/{uid}/grants", {"grant": 1}, [("/grant", "type")]),
    ("POST", "/v1/keys/{uid}/grants", {"grant": "viewer", "tenantUid": "x\x00"}, [("/tenantUid", "uid")]),
    ("POST", "/v1/event-types", {}, [("/type", "required")]),
    ("POST", "/v1/event-types", {"type": "a", "defaultCode": -1}, [("/defaultCode", "minimum")]),
    ("POST", "/v1/event-types", {"type": "a", "defaultCriticality": 6}, [("/defaultCriticality", "maximum")]),
    ("POST", "/v1/event-types", {"type": "a", "schema": []}, [("/schema", "type")]),
    ("POST", "/v1/event-types", {"type": "a", "schema": {"title": "x" * 65_536}}, [("/schema", "max-length")]),
    ("PATCH", "/v1/event-types/{type}", {"type": "b"}, [("/type", "unknown-field")]),
    ("PATCH", "/v1/event-types/{type}", {"defaultCode": "1"}, [("/defaultCode", "type")]),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path", "body", "faults"), WRONG)
def test_field_is_refused_at_its_place(
    desk: Desk, method: str, path: str, body: dict[str, Any], faults: list[tuple[str, str]]
) -> None:
    answer = desk.refused(method, desk.path(path), json.dumps(body).encode())
    assert (answer.status, sorted(answer.faults())) == (400, sorted(faults))


@pytest.mark.parametrize(
    "content_type", ["", "text/plain", "application/x-www-form-urlencoded", "application/xml", "json", "application/*"]
)
def test_content_type_that_is_not_read_is_refused_by_every_route(desk: Desk, content_type: str) -> None:
    for method, path in WITH_BODY:
        headers = [("content-type", content_type)] if content_type else []
        answer = desk.refused(method, desk.path(path), b'{"name":"n","type":"t","eventCode":1}', headers)
        assert answer.status == 415, path
        assert JSON in answer.json()["detail"]
        assert answer.faults() == [("header/content-type", "media-type")]


@pytest.mark.parametrize("encoding", ["gzip", "br", "identity, gzip", "aws-chunked"])
def test_body_in_another_encoding_is_refused_by_every_route(desk: Desk, encoding: str) -> None:
    for method, path in WITH_BODY:
        headers = [("content-type", JSON), ("content-encoding", encoding)]
        answer = desk.refused(method, desk.path(path), b'{"name":"n","type":"t","eventCode":1}', headers)
        assert (answer.status, answer.headers["accept-encoding"]) == (415, "identity"), path
        assert answer.faults() == [("header/content-encoding", "content-encoding")]


@pytest.mark.parametrize("encoding", ["identity", "Identity", ""])
def test_body_that_is_said_to_be_as_it_is_is_read(desk: Desk, encoding: str) -> None:
    headers = [("content-type", JSON), ("content-encoding", encoding)]
    assert desk.api.request("PATCH", f"/v1/accounts/{desk.account}", desk.key, b'{"name":"a"}', headers).status == 200


@pytest.mark.parametrize("content_type", [JSON, "application/json; charset=utf-8", "Application/JSON ;charset=UTF-8"])
def test_json_has_its_content_type_with_or_without_parameters(desk: Desk, content_type: str) -> None:
    body = b'{"name":"renamed"}'
    headers = [("content-type", content_type)]
    assert desk.api.request("PATCH", f"/v1/accounts/{desk.account}", desk.key, body, headers).status == 200


def too_large_for(desk: Desk, size: int) -> list[tuple[str, str]]:
    """Return the routes that take bodies, but none of that size."""
    routes = [route for route in ROUTES.all if route.largest_body(desk.api.settings) < size]
    return [(route.method, route.path) for route in routes if (route.method, route.path) in WITH_BODY]


def test_body_of_10_megabytes_is_refused_unread_by_its_length(desk: Desk) -> None:
    for method, path in too_large_for(desk, 10_000_000):
        answer = desk.refused(method, desk.path(path), b"[" + b" " * 10_000_000 + b"]")
        assert answer.status == 413, path
        assert "bytes" in answer.json()["detail"]


def test_body_of_10_megabytes_in_parts_is_read_no_further_than_the_limit(desk: Desk) -> None:
    for method, path in too_large_for(desk, 10_000_000):
        parts = [b" " * 64 * 1024] * 160
        assert desk.refused(method, desk.path(path), parts).status == 413, path


def test_request_whose_client_left_is_not_carried_out(desk: Desk) -> None:
    uid = desk.api.account(desk.tenant)
    before = desk.api.head(desk.tenant)
    answer = desk.api.request("DELETE", f"/v1/accounts/{uid}", desk.key, [], [("content-length", "5")])
    assert (answer.status, desk.api.head(desk.tenant)) == (503, before)


# -- query ----------------------------------------------------------------------------------------------------------

LISTS = ["/v1/tenants", "/v1/accounts", "/v1/keys", f"{EVENTS}?{SINCE}"]


def _with(target: str, query: str) -> str:
    return f"{target}{'&' if '?' in target else '?'}{query}"


@pytest.mark.parametrize("target", LISTS)
@pytest.mark.parametrize(
    "limit", ["-1", "0", "1001", "99999999999999999999999999", "1.5", "1e2", "ten", "", "%201", "0x10", "NaN", "true",
              "null", "%D9%A3", "1_0", "--1"],
)  # fmt: skip
def test_limit_is_refused(desk: Desk, target: str, limit: str) -> None:
    answer = desk.refused("GET", _with(target, f"limit={limit}"))
    assert (answer.status, answer.faults()) == (400, [("query/limit", "value")])


@pytest.mark.parametrize("limit", [1, 1000])
@pytest.mark.parametrize("target", LISTS)
def test_limit_is_accepted_at_its_bounds(desk: Desk, target: str, limit: int) -> None:
    assert desk.api.get(_with(target, f"limit={limit}"), desk.key).status == 200


@pytest.mark.parametrize(("method", "path"), [(route.method, route.path) for route in ROUTES.all])
@pytest.mark.parametrize("name", ["unknown", "Limit", "limit ", "from%00", "%C3%A9", "tenantuid"])
def test_unknown_parameter_is_refused_by_every_route(desk: Desk, method: str, path: str, name: str) -> None:
    answer = desk.refused(method, f"{desk.path(path)}?{name.replace(' ', '+')}=1", b"{}")
    assert answer.status == 400
    decoded = name.replace("%00", "\x00").replace("%C3%A9", "é")
    assert (f"query/{decoded}", "unknown-parameter") in answer.faults()


@pytest.mark.parametrize(
    "query", ["limit=%", "limit=%1", "limit=%zz", "limit=1%G0", "%zz=1", "type=%ff", "type=%C0%AF", "type=%ED%A0%80",
              "%ff=1", "type=é", "type=\x7f%"],
)  # fmt: skip
@pytest.mark.parametrize("target", LISTS)
def test_query_is_refused_when_it_is_badly_encoded(desk: Desk, target: str, query: str) -> None:
    answer = desk.refused("GET", _with(target, query))
    assert (answer.status, answer.faults()) == (400, [("query", "encoding")])


@pytest.mark.parametrize("name", ["limit", "order", "cursor", "from", "format", "internal", "include", "timeField"])
def test_parameter_that_has_one_value_is_refused_when_it_is_repeated(desk: Desk, name: str) -> None:
    values = {"limit": "1", "order": "asc", "from": "2020-01-01T00:00:00Z", "format": "wire", "internal": "true",
              "include": "subtree", "timeField": "recordedAt", "cursor": "x"}  # fmt: skip
    answer = desk.refused("GET", f"{EVENTS}?to=2020-01-02T00:00:00Z&{name}={values[name]}&{name}={values[name]}")
    assert (answer.status, answer.faults()) == (400, [(f"query/{name}", "single")])


@pytest.mark.parametrize(
    "query",
    ["order=up", "order=", "internal=yes", "internal=1", "internal=TRUE", "format=xml", "include=all", "timeField=id",
     "eventCode=x", "criticality=9", "maxCriticality=x", "actorUid=x", "type=", "targetEntityId=", "tenantUid=x",
     "tenantUid=", "type=a%00b", "targetEntityId=%0A", "relatedEntityId=%7F", "targetEntityType=a%C2%85"],
)  # fmt: skip
def test_parameter_is_refused_at_its_place(desk: Desk, query: str) -> None:
    answer = desk.refused("GET", f"{EVENTS}?{SINCE}&{query}")
    assert answer.status == 400
    assert [place for place, _ in answer.faults()] == [f"query/{query.partition('=')[0]}"]


def test_every_fault_of_a_query_is_named_at_once(desk: Desk) -> None:
    answer = desk.refused("GET", f"{EVENTS}?limit=0&order=up&nonsense=1&cursor=a&cursor=b")
    assert sorted(place for place, _ in answer.faults()) == [
        "query/cursor", "query/limit", "query/nonsense", "query/order",
    ]  # fmt: skip


def test_filter_lists_at_most_fifty_values_and_a_query_at_most_a_thousand_parameters(desk: Desk) -> None:
    codes = [f"eventCode={code}" for code in range(1001)]
    assert desk.api.get(f"{EVENTS}?{SINCE}&{'&'.join(codes[:50])}", desk.key).status == 200
    many = desk.refused("GET", f"{EVENTS}?{SINCE}&{'&'.join(codes[:51])}")
    assert (many.status, many.faults()) == (400, [("query/eventCode", "max-items")])
    too_many = desk.refused("GET", f"{EVENTS}?{SINCE}&{'&'.join(codes)}")
    assert (too_many.status, too_many.faults()) == (400, [("query", "max-items")])


BAD_TIMES = [
    "now", "", "2026-01-01", "2026-01-01T00:00:00", "2026-01-01 00:00:00Z", "01/02/2026", "1767225600", "2026-W01-1",
    "2026-13-01T00:00:00Z", "2026-02-29T00:00:00Z", "2026-01-01T24:00:00Z", "2026-01-01T00:60:00Z",
    "2026-06-30T23:59:60Z", "2026-01-01T00:00:61Z", "0000-01-01T00:00:00Z", "9999-12-31T23:59:59Z",
    "0001-01-01T00:00:00Z", "2026-01-01T00:00:00%2B24:00", "2026-01-01T00:00:00%2B0100", "2026-01-01T00:00:00.Z",
    "-2026-01-01T00:00:00Z", "%EF%BC%92026-01-01T00:00:00Z", "2026-01-01T00:00:00Z%00", "2026-01-01T00:00:00Z%0A",
    "2026-01-01T00:00:00.00000000000000000000Zx", "10000-01-01T00:00:00Z",
]  # fmt: skip


@pytest.mark.parametrize("time", BAD_TIMES)
def test_date_is_refused_at_its_place(desk: Desk, time: str) -> None:
    for name in ("from", "to"):
        answer = desk.refused("GET", f"{EVENTS}?{name}={time}")
        assert answer.status == 400
        assert [place for place, _ in answer.faults()] == [f"query/{name}"]
    body = json.dumps({"eventCode": 10001, "occurredAt": time.replace("%2B", "+").replace("%00", "\x00")}).encode()
    answer = desk.refused("POST", EVENTS, body)
    assert (answer.status, [place for place, _ in answer.faults()]) == (400, ["/occurredAt"])


# -- cursors --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cursor(desk: Desk) -> str:
    """The cursor of `from=2020...&limit=1`."""
    for _ in range(3):
        desk.api.made(EVENTS, {"eventCode": 10001}, desk.key)
    return str(desk.api.get(f"{EVENTS}?{SINCE}&limit=1", desk.key).json()["nextCursor"])


@pytest.mark.parametrize(
    "query",
    ["eventCode=10001", "criticality=0", "maxCriticality=5", "type=t", "targetEntityType=t", "targetEntityId=t",
     "relatedEntityId=t", "internal=false", "order=asc", "timeField=occurredAt", "include=subtree",
     "to=2100-01-01T00:00:00Z", "actorUid=" + "0" * 32],
)  # fmt: skip
def test_cursor_of_another_question_is_refused(desk: Desk, cursor: str, query: str) -> None:
    answer = desk.refused("GET", f"{EVENTS}?{SINCE}&{query}&cursor={cursor}")
    assert (answer.status, answer.faults()) == (400, [("query/cursor", "cursor-mismatch")])


def test_cursor_of_another_beginning_or_tenant_or_list_is_refused(desk: Desk, cursor: str) -> None:
    api = desk.api
    mismatch = (400, [("query/cursor", "cursor-mismatch")])
    other = api.get(f"{EVENTS}?from=2020-01-01T00:00:00.000001Z&cursor={cursor}", desk.key)
    assert (other.status, other.faults()) == mismatch
    tenant = api.tenant()
    for target, key in (
        (f"{EVENTS}?{SINCE}&tenantUid={tenant}", api.root),
        (f"{EVENTS}?{SINCE}", api.key(tenant, "owner")),
        ("/v1/keys", desk.key),
        ("/v1/accounts", desk.key),
        ("/v1/tenants", desk.key),
    ):
        answer = api.get(_with(target, f"cursor={cursor}"), key)
        assert (answer.status, answer.faults()) == mismatch
    api.account(desk.tenant)
    accounts = api.get("/v1/accounts?limit=1", desk.key).json()["nextCursor"]
    for target in ("/v1/keys", "/v1/tenants", f"{EVENTS}?{SINCE}", f"/v1/accounts?tenantUid={api.company}"):
        answer = api.get(_with(target, f"cursor={accounts}"), api.root if "company" in target else desk.key)
        assert answer.status in (400, 404)


def test_cursor_goes_on_with_another_page_size_and_format(desk: Desk, cursor: str) -> None:
    for query in ("limit=2", "format=cloudevents", f"tenantUid={desk.tenant}", "order=desc", "timeField=recordedAt"):
        assert desk.api.get(f"{EVENTS}?{SINCE}&cursor={cursor}&{query}", desk.key).status == 200


@pytest.mark.parametrize(
    "damage",
    ["", "x", "%00", "=", "====", "null", "0", "ÿ", "%F0%9F%98%80", "A" * 22, "A" * 24, "A" * 1000, "a b", "-_-_"],
)  # fmt: skip
@pytest.mark.parametrize("target", LISTS)
def test_cursor_that_was_not_made_here_is_refused(desk: Desk, target: str, damage: str) -> None:
    answer = desk.refused("GET", _with(target, f"cursor={damage.replace('ÿ', '%C3%BF').replace(' ', '+')}"))
    assert (answer.status, answer.faults()[0][0]) == (400, "query/cursor")


def test_cursor_is_refused_when_any_of_its_characters_was_changed(desk: Desk, cursor: str) -> None:
    for place, old in enumerate(cursor):
        changed = cursor[:place] + ("A" if old != "A" else "B") + cursor[place + 1 :]
        for damaged in (changed, cursor[:place], cursor + cursor[: place + 1]):
            answer = desk.api.get(f"{EVENTS}?{SINCE}&cursor={damaged}", desk.key)
            # The last character of base64 may hold bits that mean nothing.
            assert answer.status == 400 or (place == len(cursor) - 1 and damaged == changed)


# -- paths, methods, headers ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "uid", ["x", "%00", "%FF", "%2e%2e", "0" * 31, "0" * 33, "g" * 32, "%20" + "0" * 31, "0" * 32 + "%0A",
            "0000000-00000-0000-0000-000000000000", "%D9%A3" * 32],
)  # fmt: skip
def test_uid_in_a_path_is_refused_at_its_place_when_it_is_none(desk: Desk, uid: str) -> None:
    for route in ROUTES.all:
        for name in ("uid", "id", "grantUid"):
            if f"{{{name}}}" not in route.path:
                continue
            target = desk.path(route.path.replace(f"{{{name}}}", uid))
            body = b'{"name":"n"}' if "grants" not in route.path else b'{"grant":"viewer"}'
            answer = desk.refused(route.method, target, body)
            assert (answer.status, answer.faults()) == (400, [(f"path/{name}", "uid")]), route.path


@pytest.mark.parametrize("type", ["%00", "a%00b", "%FF", "%ED%A0%80", "a%0A", "%20", "%F0%9F%98%80", "x" * 4000])
@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
def test_type_that_does_not_exist_is_not_found_however_odd_its_name(desk: Desk, method: str, type: str) -> None:
    assert desk.refused(method, f"/v1/event-types/{type}", b"{}").status == 404


@pytest.mark.parametrize(
    "path", ["/", "", "/v1", "/v1/", "/v2/events", "/v1/events/", "//v1/events", "/v1//events", "/V1/EVENTS",
             "/v1/event", "/v1/events/a/b", "/v1/events%2F", "/%00", "/v1/tenants/%2F", "/v1/keys/a/b",
             "/v1/../healthz", "/healthz/", "/metrics/x", "/%ff", "/v1/keys/a/grants/b/c", "/openapi.json%00"],
)  # fmt: skip
@pytest.mark.parametrize("method", ["GET", "POST", "NONSENSE"])
def test_path_that_does_not_exist_is_not_found(desk: Desk, method: str, path: str) -> None:
    answer = desk.refused(method, path)
    assert (answer.status, answer.json()["detail"]) == (404, "There is no such path.")


METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "QUERY", "get", "NONSENSE")


@pytest.mark.parametrize("path", sorted({route.path for route in ROUTES.all}))
def test_method_that_a_path_does_not_know_is_refused_naming_those_it_knows(desk: Desk, path: str) -> None:
    known = {route.method for route in ROUTES.all if route.path == path}
    known |= {"HEAD"} if "GET" in known else set()
    for method in METHODS:
        if method not in known:
            answer = desk.refused(method, desk.path(path), b"{}")
            assert answer.status == 405
            assert set(answer.headers["allow"].split(", ")) == known


@pytest.mark.parametrize("value", ["", " ", "x" * 256, "\x01", "a\tb", "a\x7f", "ä"])
def test_idempotency_key_is_refused_when_it_is_no_key(desk: Desk, value: str) -> None:
    for route in ROUTES.all:
        if route.idempotent_by_key and not route.streams:
            body = json.dumps(GOOD[route.path]).encode()
            answer = desk.refused(
                "POST", desk.path(route.path), body, [("content-type", JSON), ("idempotency-key", value)]
            )
            assert (answer.status, answer.faults()[0][0]) == (400, "header/idempotency-key"), route.path


GOOD: dict[str, dict[str, Any]] = {
    EVENTS: {"eventCode": 10001},
    "/v1/event-types": {"type": "window"},
    "/v1/tenants": {"kind": "organization", "name": "n", "shortName": "nn"},
    "/v1/accounts": {"name": "n"},
    "/v1/accounts/{uid}/grants": {"grant": "viewer"},
    "/v1/keys": {"name": "n", "grants": [{"grant": "viewer"}]},
    "/v1/keys/{uid}/grants": {"grant": "viewer"},
    "/v1/tags": {"name": "n"},
    "/v1/locations": {"name": "n"},
    "/v1/policies": {"name": "n"},
    "/v1/connected-accounts": {"name": "n", "provider": "p"},
    "/v1/access-codes": {"deviceUid": "0" * 32},
    "/v1/access-codes/{id}/convert": {},
    "/v1/devices": {"brand": "b", "serialNumber": "s"},
    "/v1/provisioning-recipes": {"brand": "b", "serialNumber": "s"},
    "/v1/endpoints": {"url": "https://receiver.example/"},
    "/v1/endpoints/{uid}/rotate-secret": {},
    "/v1/endpoints/{uid}/test": {},
    "/v1/deliveries/{deliveryId}/resend": {},
}
"""A body that each route accepts."""


@pytest.mark.parametrize("value", ["x" * 255, "!", "a b", "~", "8e03978e-40d5-43e8-bc93-6894a57f9324"])
def test_idempotency_key_may_be_any_printable_text(desk: Desk, value: str) -> None:
    answer = desk.api.post(EVENTS, desk.key, {"eventCode": 10001}, headers=[("idempotency-key", value)])
    assert answer.status == 201


@pytest.mark.parametrize("name", ["authorization", "content-type", "idempotency-key", "if-match"])
def test_header_that_has_one_value_is_refused_when_it_is_repeated(desk: Desk, name: str) -> None:
    values = {"authorization": f"Bearer {desk.key}", "content-type": JSON, "idempotency-key": "x", "if-match": '"v1"'}
    headers = [(other, value) for other, value in values.items() if other != "authorization"]
    method, target, body = "PATCH", f"/v1/accounts/{desk.account}", b'{"name":"twice"}'
    if name in ("idempotency-key", "content-type"):
        method, target, body = "POST", EVENTS, b'{"eventCode":1}'
    answer = desk.refused(method, target, body, [*headers, (name, values[name])])
    assert (answer.status, answer.faults()) == (400, [(f"header/{name}", "single")])


# -- anything at all ------------------------------------------------------------------------------------------------

_WORDS = [b'{"eventCode":10001', b"}", b"[", b"]", b",", b":", b'"payload"', b'"type"', b"null", b"-1", b'"\\ud800"',
          b"\xff", b"\n", b" ", b'"specversion":"1.0"', b'"data"', b'{"a":{"a":1}}', b"1e400"]  # fmt: skip
_TYPES = [JSON, "application/x-ndjson", "application/cloudevents+json", "application/cloudevents-batch+json", "a/b"]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=64) | st.lists(st.sampled_from(_WORDS), max_size=12).map(b"".join), st.sampled_from(_TYPES))
def test_any_bytes_are_stored_or_refused_with_a_reason(desk: Desk, body: bytes, content_type: str) -> None:
    before = desk.api.head(desk.tenant)
    answer = desk.api.request("POST", EVENTS, desk.key, body, [("content-type", content_type)])
    stored = desk.api.head(desk.tenant) - before
    if answer.status in (201, 207):
        assert stored == answer.json().get("accepted", 1)
    else:
        assert answer.status in (400, 413, 415)
        assert stored == 0


# -- through a real socket ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def real_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = Server.start(StoreUrl(None, tmp_path_factory.mktemp("data")), header_timeout=0.3, idle_timeout=5)
    yield running
    assert "Traceback" not in running.log
    running.stop()


@pytest.fixture
def wire(real_server: Server) -> Iterator[Wire]:
    """A connection to a server of whom nothing may be stored."""
    wire = Wire(real_server.port)
    before = _count(real_server)
    yield wire
    wire.close()
    assert _count(real_server) == before


def _count(server: Server) -> int:
    return len(server.request("GET", EVENTS, query={"from": "2020-01-01T00:00:00Z", "limit": 1000}).json["data"])


def _head(server: Server, *lines: str, request: str = "POST /v1/events HTTP/1.1") -> bytes:
    named = [request, "host: localhost", f"authorization: Bearer {server.key}", f"content-type: {JSON}", *lines]
    return "\r\n".join([*named, "", ""]).encode("latin-1")


def _assert_refused(wire: Wire, status: int, method: str = "POST") -> None:
    answer = wire.read(method)
    assert answer.status == status, answer
    assert answer.headers["content-type"] == "application/problem+json"
    check_problem(answer.status, answer.headers, answer.body)


def _assert_refused_or_closed(wire: Wire, status: int) -> None:
    """An answer is lost where the connection breaks while the client is still sending."""
    with contextlib.suppress(ConnectionError):
        if wire.reader.peek(1):
            _assert_refused(wire, status)


def test_header_of_20_megabytes_is_refused(wire: Wire, real_server: Server) -> None:
    line = b"x: " + b"x" * 20_000_000
    with contextlib.suppress(OSError):  # the server need not read what it has refused
        wire.send(_head(real_server)[:-2] + line + b"\r\n\r\n")
    _assert_refused_or_closed(wire, 431)


def test_header_that_stays_unfinished_is_refused(wire: Wire, real_server: Server) -> None:
    wire.send(_head(real_server)[:-2] + b"x: y")
    _assert_refused(wire, 408)
    wire.assert_closed()


def test_body_of_10_megabytes_is_refused_at_once(wire: Wire, real_server: Server) -> None:
    wire.send(_head(real_server, "content-length: 10000000"))
    _assert_refused(wire, 413)


def test_client_that_asks_first_is_spared_sending_a_body_of_10_megabytes(wire: Wire, real_server: Server) -> None:
    wire.send(_head(real_server, "content-length: 10000000", "expect: 100-continue"))
    _assert_refused(wire, 413)


def test_body_of_10_megabytes_in_chunks_is_refused(wire: Wire, real_server: Server) -> None:
    wire.send(_head(real_server, "transfer-encoding: chunked"))
    chunk = b"10000\r\n" + b" " * 65536 + b"\r\n"
    with contextlib.suppress(OSError):  # as above
        for _ in range(160):
            wire.send(chunk)
        wire.send(b"0\r\n\r\n")
    _assert_refused_or_closed(wire, 413)


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        ("GET /v1/events?type=%zz HTTP/1.1", 400), ("GET /v1/events?%ff HTTP/1.1", 400),
        ("GET /v1/event-types/%00 HTTP/1.1", 404), ("GET /v1/event-types/%ED%A0%80 HTTP/1.1", 404),
        ("GET /v1/event-types/%zz HTTP/1.1", 404), ("GET /v1/events/% HTTP/1.1", 400), ("GET /%2e%2e HTTP/1.1", 404),
        ("PUT /v1/events HTTP/1.1", 405), ("OPTIONS /v1/events HTTP/1.1", 405), ("GET /v1/events HTTP/1.1", 400),
        ("OPTIONS * HTTP/1.1", 404), ("GET /" + "x" * MAX_URL_BYTES + " HTTP/1.1", 414),
    ],
)  # fmt: skip
def test_request_is_refused(wire: Wire, real_server: Server, request_line: str, status: int) -> None:
    wire.send(_head(real_server, request=request_line))
    _assert_refused(wire, status, request_line.partition(" ")[0])


def test_request_is_not_carried_out_when_its_body_never_comes(wire: Wire, real_server: Server) -> None:
    wire.send(_head(real_server, "content-length: 100") + b'{"eventCode":10001}')
    wire.close()
    assert real_server.request("GET", "/healthz").status == 200
