"""Two `heliograph serve` on one PostgreSQL database behave as one."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import StoreUrl
from tests.server import Response, Server

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from tests.postgres import PostgresServer

PATIENCE_SECONDS = 15.0
"""Far more than the 5 seconds for which a process may go by what it read of a key."""


@pytest.fixture(scope="module")
def pair(postgres_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Server]]:
    """Two servers of one database; the second learns the first one's key."""
    dsn = postgres_server.create_database()
    first = Server.start(StoreUrl(dsn, tmp_path_factory.mktemp("first")))
    second = Server.start(StoreUrl(dsn, tmp_path_factory.mktemp("second")))
    second.output += [f"key: {first.key}"]
    yield first, second
    first.stop()
    second.stop()
    postgres_server.drop_database(dsn)


def at_once(pair: tuple[Server, Server], calls: list[tuple[str, str, dict[str, Any]]]) -> list[Response]:
    """Send the requests in the same moment, to the two servers in turn; return their answers in order."""
    barrier = threading.Barrier(len(calls))

    def send(number: int) -> Response:
        method, path, rest = calls[number]
        with pair[number % 2].client() as client:
            client.request("GET", "/healthz")
            barrier.wait(PATIENCE_SECONDS)
            return client.request(method, path, **rest)

    with ThreadPoolExecutor(len(calls)) as threads:
        return list(threads.map(send, range(len(calls))))


def statuses(answers: list[Response]) -> list[int]:
    return sorted(answer.status for answer in answers)


def events_of(server: Server, query: Mapping[str, Any]) -> list[dict[str, Any]]:
    listed = server.request("GET", "/v1/events", query={"from": "2020-01-01T00:00:00Z", **query})
    assert listed.status == 200, listed.body
    found: list[dict[str, Any]] = listed.json["data"]
    return found


def company_of(server: Server) -> str:
    tenants = server.request("GET", "/v1/tenants").json["data"]
    return next(str(tenant["uid"]) for tenant in tenants if tenant["kind"] == "company")


def make_tenant(server: Server, parent: str, short_name: str, kind: str = "organization") -> str:
    new = {"kind": kind, "name": short_name, "shortName": short_name}
    made = server.request("POST", "/v1/tenants", query={"tenantUid": parent}, body=new)
    assert made.status == 201, made.body
    return str(made.json["uid"])


@pytest.mark.parametrize("attempt", range(3))
def test_empty_database_gets_one_key_when_two_processes_start_at_once(
    postgres_dsn: str, tmp_path: Path, attempt: int
) -> None:
    servers = [Server(StoreUrl(postgres_dsn, tmp_path / name), {}) for name in ("one", "other")]
    try:
        for server in servers:
            server.begin()
        for server in servers:
            server.wait_until_ready()
    finally:
        for server in servers:
            server.stop()
    printed = [line.removeprefix("key: ") for server in servers for line in server.output if line.startswith("key: ")]
    assert len(printed) == 1

    try:
        for server in servers:
            server.restart()
            answer = server.request("POST", "/v1/events", key=printed[0], body={"eventCode": 10_001 + attempt})
            assert answer.status == 201, answer.body
        assert len(servers[0].request("GET", "/v1/tenants", key=printed[0]).json["data"]) == 2
    finally:
        for server in servers:
            server.stop()


def test_event_is_stored_once_when_both_get_it_with_one_idempotency_key(pair: tuple[Server, Server]) -> None:
    for turn in range(15):
        request = {"body": {"type": "stored.once", "eventCode": turn}, "headers": {"idempotency-key": f"turn-{turn}"}}
        answers = at_once(pair, [("POST", "/v1/events", request)] * 6)
        assert statuses(answers) == [200] * 5 + [201], [answer.body for answer in answers]
        assert len({answer.body for answer in answers}) == 1
        assert [event["id"] for event in events_of(pair[0], {"type": "stored.once", "eventCode": turn})] == [
            answers[0].json["id"]
        ]


def test_first_event_wins_when_both_get_different_ones_with_one_idempotency_key(pair: tuple[Server, Server]) -> None:
    for turn in range(10):
        headers = {"idempotency-key": f"contested-{turn}"}
        bodies = [{"type": "contested", "eventCode": turn, "targetEntityId": f"sender-{n}"} for n in range(4)]
        answers = at_once(pair, [("POST", "/v1/events", {"body": body, "headers": headers}) for body in bodies])
        assert statuses(answers) == [201, 409, 409, 409], [answer.body for answer in answers]
        winner = next(body for body, answer in zip(bodies, answers, strict=True) if answer.status == 201)
        stored = events_of(pair[1], {"type": "contested", "eventCode": turn})
        assert [event["targetEntityId"] for event in stored] == [winner["targetEntityId"]]


def test_cloud_event_is_stored_once_when_both_get_it(pair: tuple[Server, Server]) -> None:
    for turn in range(10):
        event = {"specversion": "1.0", "id": str(turn), "source": "/pair", "type": "paired", "eventcode": turn}
        request = {"body": event, "headers": {"content-type": "application/cloudevents+json"}}
        answers = at_once(pair, [("POST", "/v1/events", request)] * 4)
        assert statuses(answers) == [200, 200, 200, 201], [answer.body for answer in answers]
        assert len(events_of(pair[1], {"type": "paired", "eventCode": turn})) == 1


def test_event_that_repeats_in_others_batches_is_stored_once(pair: tuple[Server, Server]) -> None:
    """The events around the repeated one must be stored whatever becomes of it."""
    for turn in range(10):
        repeated = {"type": "shared", "eventCode": turn, "source": "/batches", "sourceId": str(turn)}
        batches = [[{"type": "own", "eventCode": turn}, repeated, {"type": "own", "eventCode": turn}]] * 4
        answers = at_once(pair, [("POST", "/v1/events", {"body": batch}) for batch in batches])
        assert statuses(answers) == [201] * 4, [answer.body for answer in answers]
        results = [result["status"] for answer in answers for result in answer.json["results"]]
        assert sorted(results) == [200] * 3 + [201] * 9
        assert len(events_of(pair[0], {"type": "shared", "eventCode": turn})) == 1
        assert len(events_of(pair[0], {"type": "own", "eventCode": turn})) == 8


def test_tenant_is_made_once_when_both_get_it_with_one_idempotency_key(pair: tuple[Server, Server]) -> None:
    company = company_of(pair[0])
    for turn in range(5):
        new = {"kind": "organization", "name": "Once", "shortName": f"once-{turn}"}
        request = {"query": {"tenantUid": company}, "body": new, "headers": {"idempotency-key": f"tenant-{turn}"}}
        answers = at_once(pair, [("POST", "/v1/tenants", request)] * 4)
        assert statuses(answers) == [200, 200, 200, 201], [answer.body for answer in answers]
        assert len({answer.json["uid"] for answer in answers}) == 1


def test_short_name_goes_to_one_when_both_are_asked_for_it_below_different_companies(
    pair: tuple[Server, Server],
) -> None:
    root = company_of(pair[0])
    parents = [root, make_tenant(pair[0], root, "north", "company"), make_tenant(pair[0], root, "south", "company")]
    for turn in range(5):
        new = {"kind": "organization", "name": "Wanted", "shortName": f"wanted-{turn}"}
        calls = [("POST", "/v1/tenants", {"query": {"tenantUid": parent}, "body": new}) for parent in parents * 2]
        answers = at_once(pair, calls)
        assert statuses(answers) == [201] + [409] * 5, [answer.body for answer in answers]


def test_one_of_several_changes_is_made_when_all_name_the_same_version(pair: tuple[Server, Server]) -> None:
    tenant = make_tenant(pair[0], company_of(pair[0]), "versioned")
    for _ in range(5):
        etag = pair[0].request("GET", f"/v1/tenants/{tenant}").headers["etag"]
        names = [f"Name {n} of {etag}" for n in range(4)]
        answers = at_once(
            pair,
            [
                ("PATCH", f"/v1/tenants/{tenant}", {"body": {"name": name}, "headers": {"if-match": etag}})
                for name in names
            ],
        )
        assert statuses(answers) == [200, 412, 412, 412], [answer.body for answer in answers]
        assert pair[1].request("GET", f"/v1/tenants/{tenant}").json["name"] in names


def test_revocation_is_recorded_once_when_both_are_asked_for_it(pair: tuple[Server, Server]) -> None:
    for _ in range(5):
        made = pair[0].request("POST", "/v1/keys", body={"name": "short-lived", "grants": [{"grant": "viewer"}]}).json
        answers = at_once(pair, [("DELETE", f"/v1/keys/{made['uid']}", {})] * 4)
        assert statuses(answers) == [204] * 4, [answer.body for answer in answers]
        told = events_of(pair[0], {"type": "Key.Revoked", "targetEntityId": made["uid"]})
        assert len(told) == 1


def test_rights_are_granted_when_tenants_give_them_to_each_other_at_once(pair: tuple[Server, Server]) -> None:
    """Each grant is recorded in the log of the other tenant, so the logs are locked crosswise."""
    company = company_of(pair[0])
    tenants = [make_tenant(pair[0], company, name) for name in ("give", "take")]
    for _ in range(5):
        keys = [
            pair[0]
            .request(
                "POST",
                "/v1/keys",
                query={"tenantUid": tenant},
                body={"name": "crosswise", "grants": [{"grant": "viewer"}]},
            )
            .json["uid"]
            for tenant in tenants
        ]
        calls = []
        for n in range(4):
            wish = {"grant": "read event.tenant" if n < 2 else "connector", "tenantUid": tenants[1 - n % 2]}
            path = f"/v1/keys/{keys[n % 2]}/grants"
            calls.append(("POST", path, {"query": {"tenantUid": tenants[n % 2]}, "body": wish}))
        answers = at_once(pair, calls)
        assert statuses(answers) == [201] * 4, [answer.body for answer in answers]
        for n, tenant in enumerate(tenants):
            query = {"tenantUid": tenant, "type": "Grant.Added", "relatedEntityId": keys[1 - n]}
            assert len(events_of(pair[1], query)) == 2


def test_revoked_key_stops_working_at_once_here_and_soon_at_the_other_process(pair: tuple[Server, Server]) -> None:
    made = pair[0].request("POST", "/v1/keys", body={"name": "revoked", "grants": [{"grant": "viewer"}]}).json
    query = {"from": "2020-01-01T00:00:00Z", "limit": 1}
    for server in pair:
        assert server.request("GET", "/v1/events", key=made["token"], query=query).status == 200

    assert pair[0].request("DELETE", f"/v1/keys/{made['uid']}").status == 204

    assert pair[0].request("GET", "/v1/events", key=made["token"], query=query).status == 401
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (status := pair[1].request("GET", "/v1/events", key=made["token"], query=query).status) == 200:
        assert time.monotonic() < deadline, "the key still works"
    assert status == 401


def devices_added(server: Server, tenants: list[str]) -> list[str]:
    """Return the devices that were ever enrolled in these organizations."""
    found = [events_of(server, {"tenantUid": tenant, "type": "Device.Added", "limit": 1000}) for tenant in tenants]
    return [event["targetEntityId"] for events in found for event in events]


def test_device_that_both_register_at_once_is_enrolled_once(pair: tuple[Server, Server]) -> None:
    tenant = make_tenant(pair[0], company_of(pair[0]), "one-fleet")
    query: dict[str, Any] = {"query": {"tenantUid": tenant}}
    for turn in range(10):
        who = {"brand": "Samsung", "serialNumber": f"ONE-{turn}"}
        assert pair[0].request("POST", "/v1/provisioning-recipes", body=who, **query).status == 201
        answers = at_once(pair, [("POST", "/v1/devices/register", {"body": who, **query})] * 6)
        assert statuses(answers) == [200] * 5 + [201], [answer.body for answer in answers]
        assert {answer.json["result"] for answer in answers} == {"applied"}
        assert sum(answer.json["token"] is not None for answer in answers) == 1
        (device,) = {answer.json["deviceIdentityHash"] for answer in answers}
        assert devices_added(pair[1], [tenant]).count(device) == 1
        assert len(devices_added(pair[1], [tenant])) == turn + 1


def test_device_that_two_organizations_register_at_once_becomes_one_ones(pair: tuple[Server, Server]) -> None:
    company = company_of(pair[0])
    tenants = [make_tenant(pair[0], company, name) for name in ("rival-one", "rival-two")]
    for turn in range(10):
        who = {"brand": "Samsung", "serialNumber": f"TWO-{turn}", "macAddress": f"02:00:00:00:01:{turn:02X}"}
        for tenant in tenants:
            made = pair[0].request("POST", "/v1/provisioning-recipes", query={"tenantUid": tenant}, body=who)
            assert made.status == 201, made.body
        calls = [{"query": {"tenantUid": tenants[n // 2 % 2]}, "body": who} for n in range(8)]
        answers = at_once(pair, [("POST", "/v1/devices/register", call) for call in calls])
        assert statuses(answers) == [200] * 7 + [201], [answer.body for answer in answers]
        winner = next(answer.json["organizationUid"] for answer in answers if answer.status == 201)
        for call, answer in zip(calls, answers, strict=True):
            won = call["query"]["tenantUid"] == winner
            assert answer.json["result"] == ("applied" if won else "noRecipe")
            assert (answer.json["reason"], answer.json["organizationUid"]) == (
                (None, winner) if won else ("no_recipe", None)
            )
        assert len(devices_added(pair[1], tenants)) == turn + 1
