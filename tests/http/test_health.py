"""What operators ask: is it alive, is it ready, what has it counted."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import pytest
from prometheus_client.parser import text_string_to_metric_families

from heliograph import __version__
from heliograph.http.app import ROUTES
from tests.conftest import StoreUrl
from tests.http.inprocess import SINCE, Api, settings_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.postgres import PostgresServer


def test_process_is_alive(api: Api) -> None:
    assert api.get("/healthz").json() == {"status": "ok", "version": __version__}


def test_platform_is_ready_when_its_database_answers(api: Api) -> None:
    answer = api.get("/readyz")
    assert answer.status == 200
    assert (answer.json()["status"], answer.json()["warnings"]) == ("ready", [])


class Bereft(NamedTuple):
    """A platform whose database has gone, and a key that it had known."""

    api: Api
    key: str


@pytest.fixture
def bereft(postgres_server: PostgresServer, tmp_path: Path) -> Iterator[Bereft]:
    dsn = postgres_server.create_database()
    api = Api(settings_for(StoreUrl(dsn, tmp_path)))
    api.start()
    key = api.key(api.main, "owner")
    assert api.get(f"/v1/events?{SINCE}", api.root).status == 200
    postgres_server.drop_database(dsn)
    yield Bereft(api, key)
    api.stop()


def test_platform_is_alive_and_not_ready_when_its_database_is_gone(bereft: Bereft) -> None:
    api = bereft.api
    ready = api.get("/readyz")
    assert (ready.status, ready.json()["status"]) == (503, "unavailable")
    assert ready.json()["warnings"]
    assert api.get("/healthz").status == 200
    assert api.get("/metrics").status == 200
    assert api.get("/openapi.json").status == 200


def test_requests_are_told_to_come_again_when_the_database_is_gone(bereft: Bereft) -> None:
    api = bereft.api
    for key in (api.root, bereft.key):
        answers = [
            api.get(f"/v1/events?{SINCE}", key),
            api.post("/v1/events", key, {"eventCode": 10001}),
            api.post("/v1/events", key, [{"eventCode": 10001}]),
            api.post("/v1/accounts", key, {"name": "n"}),
        ]
        for answer in answers:
            assert answer.status == 503
            assert int(answer.headers["retry-after"]) > 0
            assert "psycopg" not in answer.json()["detail"]
            assert "database" in answer.json()["detail"]


# -- metrics --------------------------------------------------------------------------------------------------------

Sample = tuple[str, tuple[tuple[str, str], ...]]


def _samples(api: Api) -> dict[Sample, float]:
    answer = api.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.body.decode())
        for sample in family.samples
    }


def _requests(method: str, route: str, status: int) -> Sample:
    return ("heliograph_http_requests_total", (("method", method), ("route", route), ("status", str(status))))


def test_requests_are_counted_by_route_and_status(api: Api, tenant: str, owner: str) -> None:
    before = _samples(api)
    api.get(f"/v1/tenants/{tenant}", owner)
    api.get("/v1/tenants/x", owner)
    api.request("HEAD", f"/v1/tenants/{tenant}", owner)
    api.get(f"/v1/tenants/{tenant}")
    api.get("/no/such/path")
    api.request("PUT", "/v1/events")
    after = _samples(api)
    moved = {name: after[name] - before.get(name, 0) for name in after if name[0].endswith("requests_total")}
    assert {name: count for name, count in moved.items() if count} == {
        _requests("GET", "/v1/tenants/{uid}", 200): 1,
        _requests("HEAD", "/v1/tenants/{uid}", 200): 1,
        _requests("GET", "/v1/tenants/{uid}", 400): 1,
        _requests("GET", "/v1/tenants/{uid}", 401): 1,
        _requests("GET", "", 404): 1,
        _requests("PUT", "", 405): 1,
        _requests("GET", "/metrics", 200): 1,
    }


def test_durations_are_counted_in_rising_buckets(api: Api, owner: str) -> None:
    name = "heliograph_http_request_seconds"
    before = _samples(api).get((f"{name}_count", (("route", "/v1/keys"),)), 0)
    for _ in range(3):
        api.get("/v1/keys", owner)
    samples = _samples(api)
    count = samples[f"{name}_count", (("route", "/v1/keys"),)]
    assert count - before == 3
    assert samples[f"{name}_sum", (("route", "/v1/keys"),)] > 0
    buckets = {
        float(dict(labels)["le"]): value
        for (found, labels), value in samples.items()
        if found == f"{name}_bucket" and dict(labels)["route"] == "/v1/keys"
    }
    counts = [buckets[bound] for bound in sorted(buckets)]
    assert counts == sorted(counts)
    assert counts[-1] == count


def test_commits_are_counted(api: Api, owner: str) -> None:
    name = ("heliograph_store_groups_total", ())
    before = _samples(api)[name]
    assert api.post("/v1/events", owner, {"eventCode": 10001}).status == 201
    assert _samples(api)[name] > before


def test_no_label_holds_what_a_client_wrote(api: Api, tenant: str, owner: str) -> None:
    marks = ("zebra", "ZEBRA", tenant, "x" * 50)
    for mark in marks:
        for method in ("GET", mark):
            api.request(method, f"/{mark}", owner)
            api.request(method, f"/v1/events/{mark}?{mark}={mark}", owner, headers=[("user-agent", mark)])
            api.request(method, f"/v1/event-types/{mark}", owner)
            api.request(method, "/v1/tenants/" + mark, owner)
    exposed = api.get("/metrics").body.decode()
    assert [mark for mark in marks if mark in exposed] == []
    labels = {label for _, labels in _samples(api) for label in labels if label[0] == "route"}
    assert labels <= {("route", route.path) for route in ROUTES.all} | {("route", "")}
