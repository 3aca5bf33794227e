"""Whatever goes wrong below `/seam` is told in Seam's shape; `check` in `house` holds it against each answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from heliograph.dialects.seam.answers import SeamError, missing, no_such, refusal_response
from heliograph.dialects.seam.app import ROUTES, SEAM
from heliograph.errors import Conflict, Fault, Gone, Invalid, NotFound, Unavailable, Unprocessable
from heliograph.storage.engine import Transaction
from tests.conftest import StoreUrl
from tests.dialects.house import SINCE, House, check, hyphenated, seam
from tests.http.inprocess import Answer, Api, settings_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PATHS = sorted({route.path for route in ROUTES.all})
LIST = f"/seam/events/list?since={SINCE}"


def told(answer: Answer) -> tuple[int, str]:
    """Return status and type of an error, after checking its shape."""
    check(answer)
    return answer.status, answer.json()["error"]["type"]


@pytest.mark.parametrize("path", ["/seam", "/seam/", "/seam/nothing", "/seam/events", "/seam/events/list/", "/seam//x"])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_unknown_route_is_told_with_a_key_and_without(api: Api, method: str, path: str) -> None:
    for key in (None, api.root):
        assert told(api.request(method, path, key)) == (404, "route_not_found")


@pytest.mark.parametrize("path", ["/seamless", "/seam-less/events/list", "/v1/seam", "/SEAM/events/list"])
def test_other_paths_are_the_native_apis(api: Api, path: str) -> None:
    answer = api.get(path, api.root)
    assert (answer.status, answer.headers["content-type"]) == (404, "application/problem+json")
    assert "seam-request-id" not in answer.headers


@pytest.mark.parametrize("path", PATHS)
def test_method_that_a_route_does_not_know_is_told_with_those_it_knows(api: Api, path: str) -> None:
    known = {route.method for route in ROUTES.all if route.path == path}
    for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"} - known:
        answer = api.request(method, path, api.root)
        assert told(answer) == (405, "method_not_allowed")
        assert set(answer.headers["allow"].split(", ")) == known | ({"HEAD"} if "GET" in known else set())


@pytest.mark.parametrize("route", ROUTES.all, ids=lambda route: f"{route.method} {route.path}")
def test_every_route_needs_a_key_that_works_and_may(api: Api, tenant: str, route: Any) -> None:
    path = route.path.removeprefix(SEAM.prefix)
    assert route.permission
    assert told(seam(api, route.method, path, None)) == (401, "unauthorized")
    assert told(seam(api, route.method, path, "seam_hg_" + "x" * 43)) == (401, "unauthorized")
    other = "create event.tenant"
    denied = seam(api, route.method, path, api.key(tenant, other))
    assert told(denied) == (403, "forbidden")
    assert f"'{route.permission}'" in denied.json()["error"]["message"]


@pytest.mark.parametrize(
    "route",
    [route for route in ROUTES.all if route.query is not None and route.query.__struct_fields__],
    ids=lambda route: f"{route.method} {route.path}",
)
def test_parameters_of_the_wrong_type_are_refused_on_every_route(api: Api, owner: str, route: Any) -> None:
    junk = {name: {"not": ["so"]} for name in route.query.__struct_fields__}
    answer = api.post(route.path, owner, junk)
    assert told(answer) == (400, "invalid_input")
    assert answer.json()["error"]["validation_errors"].keys() - {"_errors"} <= junk.keys()


def test_head_is_answered_like_get_without_a_body(house: House) -> None:
    answers = [house.api.request(method, LIST, house.key) for method in ("GET", "HEAD")]
    assert [answer.status for answer in answers] == [200, 200]
    assert answers[1].body == b""
    assert answers[0].headers.keys() == answers[1].headers.keys()
    assert answers[0].headers["content-length"] == answers[1].headers["content-length"]


def test_body_that_is_not_json_is_refused(house: House) -> None:
    for headers in ([], [("content-type", "text/plain")], [("content-type", "application/x-www-form-urlencoded")]):
        answer = house.api.request("POST", "/seam/events/list", house.key, b"since=x", headers)
        assert told(answer) == (415, "unsupported_media_type")


def test_packed_body_is_refused(house: House) -> None:
    headers = [("content-type", "application/json"), ("content-encoding", "gzip")]
    answer = house.api.request("POST", "/seam/events/list", house.key, b"{}", headers)
    assert told(answer) == (415, "unsupported_media_type")
    assert answer.headers["accept-encoding"] == "identity"


def test_body_that_is_too_large_is_refused(house: House) -> None:
    body = b" " * (house.api.settings.request_bytes + 1)
    answer = house.api.request("POST", "/seam/events/list", house.key, body, [("content-type", "application/json")])
    assert told(answer) == (413, "payload_too_large")


# -- workspaces -----------------------------------------------------------------------------------------------------


def test_workspace_is_named_by_header_when_the_key_reaches_several(api: Api, house: House) -> None:
    for name in (house.workspace, house.tenant, house.workspace.upper()):
        answer = seam(api, "GET", "/events/list", api.root, {"since": SINCE}, (("seam-workspace", name),))
        assert {event["workspace_id"] for event in answer.json()["events"]} == {house.workspace}
    own = seam(api, "GET", "/events/list", api.root, {"since": SINCE})
    assert {event["workspace_id"] for event in own.json()["events"]} <= {hyphenated(api.main)}


@pytest.mark.parametrize("route", ROUTES.all, ids=lambda route: f"{route.method} {route.path}")
def test_workspace_of_others_looks_like_none(api: Api, house: House, owner: str, route: Any) -> None:
    path = route.path.removeprefix(SEAM.prefix)
    for name in (house.workspace, "00000000-0000-0000-0000-000000000000"):
        answer = seam(api, route.method, path, owner, headers=(("seam-workspace", name),))
        assert told(answer) == (404, "workspace_not_found")


def test_workspace_that_is_no_uuid_is_refused(house: House) -> None:
    answer = seam(house.api, "GET", "/events/list", house.key, {"since": SINCE}, (("seam-workspace", "mine"),))
    assert told(answer) == (400, "invalid_input")


# -- keys -----------------------------------------------------------------------------------------------------------


def test_keys_of_both_formats_work_on_both_apis(api: Api, tenant: str) -> None:
    body = {"name": "both", "grants": [{"grant": "viewer"}]}
    target = f"/v1/keys?tenantUid={tenant}"
    formats: tuple[dict[str, str], ...] = ({}, {"format": "native"}, {"format": "seam"})
    tokens = []
    for format in formats:
        made = api.made(target, body | format)
        assert made["token"].startswith(made["hint"])
        assert len(made["token"]) - len(made["hint"]) == 43 - 4
        tokens.append(made["token"])
        assert api.get("/v1/events?from=2020-01-01T00:00:00Z", made["token"]).status == 200
        assert seam(api, "GET", "/events/list", made["token"], {"since": SINCE}).status == 200
    assert [token[:-43] for token in tokens] == ["hg_", "hg_", "seam_hg_"]


def test_key_of_another_format_is_refused(api: Api, tenant: str) -> None:
    body = {"name": "odd", "grants": [{"grant": "viewer"}], "format": "seam_at"}
    assert api.post(f"/v1/keys?tenantUid={tenant}", api.root, body).faults() == [("/format", "enum")]


# -- limits and failures --------------------------------------------------------------------------------------------


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Api]]:
    """A function that starts a platform with settings of the test's own."""
    started: list[Api] = []

    def start_with(**changed: Any) -> Api:
        api = Api(settings_for(StoreUrl(None, tmp_path / str(len(started))), **changed))
        api.start()
        started.append(api)
        return api

    yield start_with
    for api in started:
        api.stop()


def test_too_many_requests_of_one_key_are_refused_with_the_time_to_wait(start: Callable[..., Api]) -> None:
    api = start(requests_per_key=1)
    answers = [api.get(LIST, api.root) for _ in range(20)]
    refused = next(answer for answer in answers if answer.status != 200)
    assert told(refused) == (429, "too_many_requests")
    assert refused.headers["retry-after"] == "1"


def test_wrong_keys_are_counted_as_everywhere(start: Callable[..., Api]) -> None:
    api = start(wrong_keys_per_minute=1)
    answers = [api.get(LIST, "seam_hg_wrong") for _ in range(2)]
    assert [told(answer) for answer in answers] == [(401, "unauthorized"), (429, "too_many_requests")]


def test_database_that_is_gone_is_told_with_the_time_to_wait(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    async def gone(self: Any, function: Callable[[Transaction], Any]) -> Any:
        raise Unavailable("The database does not answer.", retry_after=7)

    monkeypatch.setattr("heliograph.http.services.Services.read", gone)
    answer = house.get("/events/list", since=SINCE)
    assert told(answer) == (503, "service_unavailable")
    assert answer.headers["retry-after"] == "7"


def test_failure_of_ours_is_told_without_a_word_of_why(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(self: Any, function: Callable[[Transaction], Any]) -> Any:
        raise RuntimeError("a secret of the inside")

    house.get("/events/list", since=SINCE)
    monkeypatch.setattr("heliograph.http.services.Services.read", broken)
    monkeypatch.setattr("tests.http.inprocess.check_promises", lambda *answer: None)
    answer = house.get("/events/list", since=SINCE)
    assert told(answer) == (500, "internal_server_error")
    assert not any(word in answer.body.decode() for word in ("secret", "RuntimeError", "Traceback", ".py"))


# -- refusals of actions --------------------------------------------------------------------------------------------

ID = "0" * 32


@pytest.mark.parametrize(
    ("refusal", "expected"),
    [
        (NotFound("None."), (404, "not_found")),
        (no_such("access_code"), (404, "access_code_not_found")),
        (Conflict("Managed already."), (409, "conflict")),
        (Gone("Gone."), (410, "gone")),
        (Unprocessable.at("/name", "x", "No."), (400, "invalid_input")),
        (SeamError(409, "duplicate_access_code", "Twice."), (409, "duplicate_access_code")),
    ],
)
def test_refusals_of_actions_have_types_of_seams(refusal: Any, expected: tuple[int, str]) -> None:
    response = refusal_response(refusal, ID)
    answer = Answer(response.status, {}, response.body)
    assert (response.status, answer.json()["error"]["type"]) == expected
    assert answer.json()["error"]["message"] == refusal.detail


def test_places_of_the_native_api_are_told_by_seams_names() -> None:
    pointers = ("/startsAt", "/deviceUid", "query/connectedAccountUid", "/customMetadata/doorName", "", "header/x")
    refusal = Invalid("No.", tuple(Fault(pointer, "x", pointer or "all") for pointer in pointers))
    tree = Answer(400, {}, refusal_response(refusal, ID).body).json()["error"]["validation_errors"]
    assert tree == {
        "_errors": ["all", "header/x"],
        "starts_at": {"_errors": ["/startsAt"]},
        "device_id": {"_errors": ["/deviceUid"]},
        "connected_account_id": {"_errors": ["query/connectedAccountUid"]},
        "custom_metadata": {"_errors": [], "doorName": {"_errors": ["/customMetadata/doorName"]}},
    }


def test_data_goes_with_the_error() -> None:
    body = Answer(409, {}, refusal_response(SeamError(409, "x", "y", data={"ids": ["z"]}), ID).body).json()
    assert body["error"]["data"] == {"ids": ["z"]}


def test_what_is_missing_is_named() -> None:
    with pytest.raises(SeamError) as refused, missing("device"):
        raise NotFound("There is no such device.")
    assert (refused.value.status, refused.value.type, refused.value.detail) == (
        404,
        "device_not_found",
        "Device not found",
    )
