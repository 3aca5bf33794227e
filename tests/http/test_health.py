"""What the platform tells about itself: alive, ready, its counters, and its own failures."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from heliograph.clock import MICROSECONDS, Clock, wall_microseconds
from heliograph.http import events
from tests.conftest import StoreUrl
from tests.http import inprocess
from tests.http.inprocess import Answer, Api, settings_for
from tests.http.promises import check_problem

if TYPE_CHECKING:
    from pathlib import Path

    from tests.postgres import PostgresServer

EVENT = {"eventCode": 10001, "criticality": 3, "targetEntityType": "Device", "targetEntityId": "door-7"}
HOUR = 3600 * MICROSECONDS

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


class HandClock(Clock):
    """A clock whose wall and steady time a test sets, both beginning with the present."""

    def __init__(self) -> None:
        self.wall = self.steady = wall_microseconds()
        super().__init__(wall=lambda: self.wall, steady=lambda: self.steady)


@pytest.fixture
def clock(api: Api, monkeypatch: pytest.MonkeyPatch) -> HandClock:
    """The platform's clock for one test."""
    clock = HandClock()
    monkeypatch.setattr(api.platform.store, "clock", clock)
    return clock


# -- /healthz and /readyz -------------------------------------------------------------------------------------------


def test_process_is_alive_without_a_key(api: Api) -> None:
    assert api.get("/healthz").json()["status"] == "ok"


def test_platform_is_ready_when_nothing_is_wrong(api: Api) -> None:
    answer = api.get("/readyz")
    assert (answer.status, answer.json()["status"], answer.json()["warnings"]) == (200, "ready", [])
    assert answer.json()["writesWaiting"] == 0


def test_platform_is_ready_with_a_warning_while_a_jump_of_the_clock_is_not_followed(api: Api, clock: HandClock) -> None:
    clock.wall += HOUR
    answer = api.get("/readyz")
    assert (answer.status, answer.json()["status"]) == (200, "ready")
    [warning] = answer.json()["warnings"]
    assert "jumped forward by 3600 s" in warning
    clock.confirm()
    assert api.get("/readyz").json()["warnings"] == []


def test_platform_is_ready_with_a_warning_while_its_clock_is_behind_the_log(
    api: Api, clock: HandClock, owner: str
) -> None:
    assert api.post("/v1/events", owner, EVENT).status == 201
    clock.wall -= 100 * MICROSECONDS
    answer = api.get("/readyz")
    assert (answer.status, answer.json()["status"]) == (200, "ready")
    [warning] = answer.json()["warnings"]
    assert " s behind the newest event" in warning
    assert api.post("/v1/events", owner, EVENT).status == 201


def test_platform_is_alive_and_not_ready_when_its_database_is_gone(
    postgres_server: PostgresServer, tmp_path: Path
) -> None:
    dsn = postgres_server.create_database()
    api = Api(settings_for(StoreUrl(dsn, tmp_path)))
    api.start()
    try:
        assert api.get("/readyz").status == 200
        postgres_server.drop_database(dsn)
        answer = api.get("/readyz")
        assert (answer.status, answer.json()["status"]) == (503, "unavailable")
        assert answer.json()["warnings"] == ["The database cannot be read now."]
        assert api.get("/healthz").status == 200
        assert api.get("/metrics").status == 200
        # The promises of every answer hold here too: problem documents with Retry-After.
        assert api.post("/v1/events", api.root, EVENT).status == 503
        assert api.get(f"/v1/events?{inprocess.SINCE}", api.root).status == 503
        assert api.get("/v1/tenants", "hg_" + "0" * 64).status == 503
    finally:
        api.stop()


# -- /metrics -------------------------------------------------------------------------------------------------------


def samples(api: Api) -> Samples:
    """Read the counters as Prometheus does."""
    answer = api.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.body.decode())
        for sample in family.samples
    }


def requests(found: Samples, method: str, route: str, status: int) -> float:
    labels = (("method", method), ("route", route), ("status", str(status)))
    return found.get(("heliograph_http_requests_total", labels), 0.0)


def label_values(found: Samples, name: str) -> set[str]:
    return {value for _, labels in found for label, value in labels if label == name}


def test_requests_are_counted_by_method_route_and_status(api: Api, tenant: str, owner: str) -> None:
    before = samples(api)
    asked: list[tuple[Answer, str, str, int]] = [
        (api.get(f"/v1/tenants/{tenant}", owner), "GET", "/v1/tenants/{uid}", 200),
        (api.get("/v1/tenants/nonsense", owner), "GET", "/v1/tenants/{uid}", 400),
        (api.get(f"/v1/tenants/{tenant}"), "GET", "/v1/tenants/{uid}", 401),
        (api.post("/v1/events", owner, EVENT), "POST", "/v1/events", 201),
        (api.request("HEAD", "/healthz"), "HEAD", "/healthz", 200),
        (api.get("/nowhere"), "GET", "", 404),
        (api.delete("/healthz"), "DELETE", "", 405),
    ]
    after = samples(api)
    for answer, method, route, status in asked:
        assert answer.status == status
        assert requests(after, method, route, status) == requests(before, method, route, status) + 1


def test_duration_buckets_are_cumulative_and_end_with_the_count(api: Api) -> None:
    for _ in range(5):
        api.get("/healthz")
    found = samples(api)
    name = "heliograph_http_request_seconds"
    bounds = {
        float(dict(labels)["le"]): value
        for (sample, labels), value in found.items()
        if sample == f"{name}_bucket" and ("route", "/healthz") in labels
    }
    counts = [bounds[bound] for bound in sorted(bounds)]
    assert len(counts) > 5
    assert counts == sorted(counts)
    labels = (("route", "/healthz"),)
    assert bounds[float("inf")] == found[f"{name}_count", labels] >= 5
    assert found[f"{name}_sum", labels] > 0


def test_no_word_of_a_client_becomes_a_label(api: Api, owner: str) -> None:
    api.get("/invented-path", owner)
    api.get("/v1/tenants/invented-uid?invented=query", owner)
    api.request("INVENTED", "/v1/events", owner)
    api.request("INVENTED", "/invented-path")
    # The same word in small letters is another method (RFC 9110 section 9.1).
    api.request("get", "/v1/events", owner)
    found = samples(api)
    values = {value for _, labels in found for _, value in labels}
    assert not [value for value in values if "invented" in value.lower()]
    assert "get" not in values
    assert "other" in label_values(found, "method")
    known = {route.path for route in api.edge.services.routes}
    assert label_values(found, "route") <= known | {""}


def test_gauges_and_counters_of_the_store_are_told(api: Api, owner: str, clock: HandClock) -> None:
    before = samples(api)
    assert api.post("/v1/events", owner, EVENT).status == 201
    clock.wall += HOUR
    api.get("/readyz")
    after = samples(api)
    assert after["heliograph_store_groups_total", ()] > before["heliograph_store_groups_total", ()]
    assert after["heliograph_store_waiting", ()] == 0
    assert after["heliograph_index_lag_events", ()] >= 0
    assert after["heliograph_clock_ignored_jump_seconds", ()] == 3600


# -- unexpected failures --------------------------------------------------------------------------------------------


def technical_errors(api: Api) -> list[Any]:
    """Return what the root company's log tells of failures, once it tells of one."""
    # The first company of the first start is the root of the tree.
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        found = api.log(api.company, "&internal=true&type=Platform.TechnicalError")
        if found:
            return [event["payload"] for event in found]
    return []


def test_handler_that_fails_is_answered_500_without_its_reason_and_recorded_once(
    api: Api, owner: str, tenant: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("the secret reason")

    def expect_500(method: str, target: str, status: int, headers: dict[str, str], body: bytes) -> None:
        assert status == 500, (method, target)
        check_problem(status, headers, body)

    target = f"/v1/events/{'0' * 32}"
    head = api.head(tenant)
    with monkeypatch.context() as broken:
        broken.setattr(events, "get_event", fail)
        # Elsewhere a 500 breaks the promise of every answer; here it is what is asked for.
        broken.setattr(inprocess, "check_promises", expect_500)
        answers = [api.get(target, owner) for _ in range(3)]
    assert api.get(target, owner).status != 500
    for answer in answers:
        assert answer.json()["type"] == "/problems/internal-error"
        assert not [word for word in (b"secret", b"Traceback", b"RuntimeError", b".py") if word in answer.body]
        assert f"request {answer.headers['x-request-id']} failed" in caplog.text
    assert "the secret reason" in caplog.text
    [told] = technical_errors(api)
    assert (told["kind"], told["detail"], told["suppressed"]) == ("request", "A request failed: RuntimeError.", 0)
    assert told["requestId"] in {answer.headers["x-request-id"] for answer in answers}
    assert api.head(tenant) == head
