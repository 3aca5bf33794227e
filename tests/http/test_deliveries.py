"""Deliveries over HTTP: found by every filter, page by page; what was exchanged is for whose endpoint it was."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from heliograph.delivery.model import AttemptDetail, Timing
from heliograph.delivery.store import PERIOD
from heliograph.ids import new_uid
from tests.http.test_endpoints import ENDPOINTS, URL, Owner

if TYPE_CHECKING:
    from heliograph.storage.engine import Transaction
    from tests.http.inprocess import Answer, Api

DELIVERIES = "/v1/deliveries"
DETAIL = AttemptDetail(
    message="The receiver answered 5xx: it failed.",
    url=URL,
    request_headers=(("content-type", "application/json"), ("x-key", "(hidden)")),
    response_headers=(("server", "nginx"),),
    body=b"out of order",
    address="203.0.113.7",
    http_version="2",
    timing=Timing(total=1500),
)


class Post(Owner):
    """An organization with deliveries that no worker touches: the endpoints are paused."""

    def paused(self, tenant: str | None = None, key: str | None = None) -> str:
        """Add an endpoint for doors that holds back what it gets, of this organization or another tenant."""
        query = f"?tenantUid={tenant or self.uid}"
        made = self.api.made(ENDPOINTS + query, {"url": URL, "eventTypes": ["door.opened"]}, key or self.key)
        answer = self.api.request("POST", f"{ENDPOINTS}/{made['uid']}/pause{query}", key or self.key)
        assert answer.status == 200, answer
        return str(made["uid"])

    def opened(self, times: int = 1) -> list[str]:
        """Record events, and return their ids."""
        return [self.api.made("/v1/events", {"type": "door.opened"}, self.key)["id"] for _ in range(times)]

    def listed(self, query: str = "", key: str | None = None) -> list[dict[str, Any]]:
        """Return all pages of a list."""
        found: list[dict[str, Any]] = []
        cursor = ""
        while True:
            answer = self.api.get(f"{DELIVERIES}?{query}{cursor}", key or self.key)
            assert answer.status == 200, answer
            page = answer.json()
            found += page["data"]
            if page["nextCursor"] is None:
                return found
            cursor = f"&cursor={page['nextCursor']}"

    def attempted(self, delivery_id: str, detail: AttemptDetail = DETAIL, times: int = 1) -> None:
        """Write down attempts at a delivery, after which it is given up."""
        endpoint_uid, tenant_uid, seq = delivery_id.split("-")

        def write(tx: Transaction) -> None:
            values = {"uid": bytes.fromhex(endpoint_uid), "tenant": bytes.fromhex(tenant_uid), "seq": int(seq)}
            for number in range(1, times + 1):
                tx.run(
                    "insert into delivery_attempt (tenant_id, endpoint_uid, seq, number, started_at, error_class,"
                    " status, detail) select tenant_id, :uid, :seq, :number, :now, 'server_error', 500, :detail"
                    " from delivery where endpoint_uid = :uid and seq = :seq"
                    " and tenant_id = (select id from tenant where uid = :tenant)",
                    number=number, now=tx.now, detail=msgspec.json.encode(detail), **values,
                )  # fmt: skip
            tx.run(
                "insert into delivery_count (tenant_id, period, endpoint_uid, error_class, attempts)"
                " select id, :period, :uid, 'server_error', :times from tenant where uid = :tenant",
                period=tx.now // PERIOD, times=times, **values,
            )  # fmt: skip
            tx.run(
                "update delivery set state = 2, error_class = 'server_error', attempts = :times, settled_at = :now"
                " where endpoint_uid = :uid and seq = :seq and tenant_id = (select id from tenant where uid = :tenant)",
                times=times, now=tx.now, **values,
            )  # fmt: skip

        self.api.run(write)

    def of(self, delivery_id: str, path: str = "", key: str | None = None) -> Answer:
        return self.api.get(f"{DELIVERIES}/{delivery_id}{path}", key or self.key)

    def resend(self, delivery_id: str, key: str | None = None, **more: Any) -> Answer:
        return self.api.request("POST", f"{DELIVERIES}/{delivery_id}/resend", key or self.key, **more)


@pytest.fixture
def post(api: Api) -> Post:
    return Post(api)


def test_deliveries_are_listed_newest_first_and_in_pages(post: Post) -> None:
    first, second = post.paused(), post.paused()
    events = post.opened(5)
    whole = post.listed()
    assert [one["eventId"] for one in whole] == [event for event in reversed(events) for _ in range(2)]
    assert {one["endpointUid"] for one in whole} == {first, second}
    assert post.listed("limit=3") == whole
    newest = whole[0]
    assert newest == {
        "id": f"{newest['endpointUid']}-{post.uid}-{newest['seq']}",
        "tenantUid": post.uid,
        "endpointUid": max(first, second),
        "eventId": events[-1],
        "seq": newest["seq"],
        "state": "pending",
        "attempts": 0,
        "errorClass": None,
        "dueAt": newest["dueAt"],
        "createdAt": newest["createdAt"],
        "settledAt": None,
    }
    assert post.of(newest["id"]).json() == newest


def test_every_filter_finds_what_it_names(post: Post) -> None:
    first, second = post.paused(), post.paused()
    events = post.opened(3)
    (failed,) = post.listed(f"endpointUid={first}&eventId={events[1]}")
    post.attempted(failed["id"])
    record = post.api.get(f"/v1/events/{events[1]}", post.key).json()
    since = record["recordedAt"].replace(":", "%3A")
    expected = {
        f"endpointUid={second}": 3,
        f"eventId={events[0]}": 2,
        f"eventId={new_uid().hex()}": 0,
        f"endpointUid={new_uid().hex()}": 0,
        "state=exhausted": 1,
        "state=exhausted&state=pending": 6,
        "state=pending": 5,
        "errorClass=server_error": 1,
        "errorClass=timeout&errorClass=dns_failed": 0,
        f"from={since}": 4,
        f"to={since}": 2,
        f"to={since}&from={since}": 0,
        "from=2026-01-01T01:00:00+01:00": 6,
        f"from={since}&endpointUid={first}&state=exhausted&errorClass=server_error": 1,
    }
    assert {query: len(post.listed(f"limit=2&{query}")) for query in expected} == expected


@pytest.mark.parametrize(
    ("query", "place"),
    [
        ("endpointUid=x", "query/endpointUid"),
        ("eventId=x", "query/eventId"),
        ("state=lost", "query/state"),
        ("errorClass=nonsense", "query/errorClass"),
        ("from=yesterday", "query/from"),
        ("to=2026-13-01", "query/to"),
        ("from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z", "query/from"),
        ("limit=0", "query/limit"),
        ("include=all", "query/include"),
        ("cursor=abc", "query/cursor"),
        ("order=asc", "query/order"),
    ],
)
def test_filter_that_cannot_be_read_is_named(post: Post, query: str, place: str) -> None:
    refused = post.api.get(f"{DELIVERIES}?{query}", post.key)
    assert (refused.status, [pointer for pointer, _ in refused.faults()]) == (400, [place])


def test_cursor_fits_its_own_list_alone(post: Post) -> None:
    post.paused()
    post.opened(2)
    cursor = post.api.get(f"{DELIVERIES}?limit=1", post.key).json()["nextCursor"]
    refused = post.api.get(f"{DELIVERIES}?limit=1&state=pending&cursor={cursor}", post.key)
    assert refused.faults() == [("query/cursor", "cursor-mismatch")]


@pytest.mark.parametrize("name", ["x", "a-b-c", "0" * 32, f"{'0' * 32}-{'0' * 32}-", f"{'0' * 32}-{'0' * 32}-9"])
def test_delivery_that_is_not_there_is_not_found(post: Post, name: str) -> None:
    answers = [post.of(name), post.of(name, "/attempts"), post.resend(name)]
    assert [(answer.status, answer.json()["detail"]) for answer in answers] == [(404, "There is no such delivery.")] * 3


def test_attempts_tell_what_was_sent_and_what_came_back(post: Post) -> None:
    post.paused()
    post.opened()
    (delivery,) = post.listed()
    post.attempted(delivery["id"], times=3)
    page = post.of(delivery["id"], "/attempts?limit=2").json()
    rest = post.of(delivery["id"], f"/attempts?limit=2&cursor={page['nextCursor']}").json()
    assert [one["number"] for one in page["data"] + rest["data"]] == [1, 2, 3]
    assert rest["nextCursor"] is None
    one = page["data"][0]
    assert (one["status"], one["errorClass"], one["timing"]["total"]) == (500, "server_error", 1500)
    assert one["exchange"] == {
        "url": URL,
        "address": "203.0.113.7",
        "httpVersion": "2",
        "requestHeaders": [
            {"name": "content-type", "value": "application/json"},
            {"name": "x-key", "value": "(hidden)"},
        ],
        "responseHeaders": [{"name": "server", "value": "nginx"}],
        "body": "out of order",
        "truncated": False,
    }


def test_answer_that_is_no_text_is_shown_as_base64(post: Post) -> None:
    post.paused()
    post.opened()
    (delivery,) = post.listed()
    post.attempted(delivery["id"], msgspec.structs.replace(DETAIL, body=b"\xff\x00"))
    (one,) = post.of(delivery["id"], "/attempts").json()["data"]
    assert (one["exchange"]["bodyData"], "body" in one["exchange"]) == ("/wA=", False)


def test_delivery_is_sent_again_once_for_each_idempotency_key(post: Post) -> None:
    endpoint = post.paused()
    post.opened()
    (delivery,) = post.listed()
    post.attempted(delivery["id"])
    sent = post.resend(delivery["id"], headers=[("idempotency-key", "one")])
    again = post.resend(delivery["id"], headers=[("idempotency-key", "one")])
    assert (sent.status, again.status) == (202, 200)
    assert (sent.json()["state"], sent.json()["settledAt"]) == ("pending", None)
    assert again.json() == sent.json()
    assert post.api.delete(f"{ENDPOINTS}/{endpoint}", post.key).status == 204
    assert post.of(delivery["id"]).json()["state"] == "cancelled"
    assert post.resend(delivery["id"]).status == 409


def test_what_was_exchanged_with_a_company_s_endpoint_is_not_for_those_below(post: Post) -> None:
    company = post.api.tenant(kind="company")
    shop = Post(post.api, company)
    shop.paused(company, post.api.root)
    shop.opened()
    (delivery,) = shop.listed()
    shop.attempted(delivery["id"])
    (seen_below,) = shop.of(delivery["id"], "/attempts").json()["data"]
    (seen_above,) = shop.of(delivery["id"], "/attempts", key=post.api.root).json()["data"]
    assert (seen_below["status"], seen_below["exchange"]) == (500, None)
    assert seen_above["exchange"]["url"] == URL
    assert shop.resend(delivery["id"]).status == 403
    assert shop.of(delivery["id"]).json()["state"] == "exhausted"
    assert shop.resend(delivery["id"], key=post.api.root).status == 202


def test_company_lists_the_deliveries_of_all_below_it_when_asked_to(post: Post) -> None:
    company = post.api.tenant(kind="company")
    first, second = Post(post.api, company), Post(post.api, company)
    first.paused(company, post.api.root)
    first.opened(2)
    second.opened(2)
    key = post.api.key(company, "auditor")
    assert post.listed("", key) == []
    for limit in (1, 3, 100):
        found = post.listed(f"include=subtree&limit={limit}", key)
        assert [one["tenantUid"] for one in found] == [first.uid, first.uid, second.uid, second.uid]


def test_health_of_an_endpoint_counts_the_attempts_in_all_its_logs(post: Post) -> None:
    company = post.api.tenant(kind="company")
    first, second = Post(post.api, company), Post(post.api, company)
    endpoint = first.paused(company, post.api.root)
    for shop in (first, second):
        shop.opened(2)
        shop.attempted(shop.listed()[0]["id"], times=2)
    health = post.api.get(f"{ENDPOINTS}/{endpoint}/health?tenantUid={company}", post.api.root).json()
    assert (health["backlog"], health["lastHour"], health["lastDay"]) == (2, {"server_error": 4}, {"server_error": 4})
    oldest = min(shop.listed("state=pending")[0]["dueAt"] for shop in (first, second))
    assert health["oldestDueAt"] == oldest
