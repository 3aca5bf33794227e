"""The API is what its OpenAPI document says: valid, complete, its examples true, its answers as described."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from openapi_spec_validator import OpenAPIV31SpecValidator
from schemathesis.config import SchemathesisConfig

from heliograph.http.app import ROUTES
from heliograph.http.problems import KINDS, METHOD_NOT_ALLOWED
from tests.conftest import StoreUrl
from tests.http.promises import api_document, validator_at
from tests.server import Server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from schemathesis import Case, SerializationContext

    from heliograph.http.routes import Example, Route
    from tests.http.inprocess import Api

# -- the document ---------------------------------------------------------------------------------------------------


def test_document_is_valid_openapi_3_1() -> None:
    assert api_document()["openapi"].startswith("3.1.")
    assert [error.message for error in OpenAPIV31SpecValidator(api_document()).iter_errors()] == []


def test_document_is_served_as_it_is_made_and_to_everybody(api: Api) -> None:
    answer = api.get("/openapi.json")
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    assert answer.json() == api_document()


def test_every_route_is_described_once_under_a_name_of_its_own() -> None:
    described = {
        (method.upper(), path): operation
        for path, operations in api_document()["paths"].items()
        for method, operation in operations.items()
    }
    assert described.keys() == {(route.method, route.path) for route in ROUTES.all}
    names = Counter(operation["operationId"] for operation in described.values())
    assert {name: count for name, count in names.items() if count > 1} == {}
    for operation in described.values():
        assert operation["summary"]
        assert operation["tags"]


@pytest.mark.parametrize("route", ROUTES.all, ids=lambda route: f"{route.method} {route.path}")
def test_route_is_described_with_its_parameters_permission_and_refusals(route: Route) -> None:
    operation = api_document()["paths"][route.path][route.method.lower()]
    in_path = [parameter["name"] for parameter in operation["parameters"] if parameter["in"] == "path"]
    assert in_path == re.findall(r"{(\w+)}", route.path)
    assert operation.get("security", api_document()["security"]) == ([] if route.permission is None else [{"key": []}])
    assert not route.permission or f"`{route.permission}`" in operation["description"]
    assert ("requestBody" in operation) == (route.body is not None)
    refusals = {status for status in operation["responses"] if status >= "4"}
    assert {"400", "503"} <= refusals
    if route.permission is not None:
        assert {"401", "403", "404", "429"} <= refusals
    if route.body is not None:
        assert {"409", "413", "415"} <= refusals


def test_every_kind_of_refusal_that_a_handler_can_make_is_described_somewhere() -> None:
    described = {
        status
        for operations in api_document()["paths"].values()
        for operation in operations.values()
        for status in operation["responses"]
    }
    # 405 belongs to no operation, and nothing is removed for good so far.
    assert {str(kind.status) for kind in KINDS.values()} - described == {"410"}
    assert str(METHOD_NOT_ALLOWED.status) not in described


# -- the examples ---------------------------------------------------------------------------------------------------

EXAMPLES = [route for route in ROUTES.all if route.example is not None]


@pytest.mark.parametrize("route", EXAMPLES, ids=lambda route: f"{route.method} {route.path}")
def test_documented_example_does_what_is_documented(api: Api, route: Route) -> None:
    example = route.example
    assert example is not None
    tenant = api.tenant()
    account = api.account(tenant, "owner")
    key = api.key_for(account, tenant, "owner")
    api.made(f"/v1/event-types?tenantUid={tenant}", {"type": "door.closed"})
    uids = {"/v1/tenants": tenant, "/v1/accounts": account, "/v1/keys": key["uid"]}
    collection = route.path.partition("/{")[0]
    if "{uid}" in route.path and collection not in uids:
        identity = {"brand": "Samsung", "serialNumber": tenant}
        vendor = {"name": "Harbour Hotel", "provider": "august"}
        vendor_uid = api.made("/v1/connected-accounts", vendor, key["token"])["uid"]
        body_of_it = {
            "/v1/connected-accounts": vendor,
            "/v1/devices": identity | {"connectedAccountUid": vendor_uid},
            "/v1/provisioning-recipes": identity,
            "/v1/endpoints": {"url": "https://hooks.example.com/"},
        }.get(collection, {"name": "Lobby"})
        uids[collection] = api.made(collection, body_of_it, key["token"])["uid"]
    path = route.path.replace("{uid}", uids.get(collection, "")).replace("{type}", "door.closed")
    query = f"?{example.query.replace('{company}', api.company)}" if example.query else ""
    token = api.root if "{company}" in example.query else key["token"]
    body = as_sent(example)
    headers = [("content-type", example.content_type), *example.headers.items()]
    answer = api.request(route.method, path + query, token, body, headers)
    # That the answer has the documented shape is checked of every answer.
    assert answer.status == example.status


def as_sent(example: Example) -> bytes:
    if example.body is None:
        return b""
    return (json.dumps(example.body) if example.content_type == "application/json" else example.body).encode()


@pytest.mark.parametrize("route", EXAMPLES, ids=lambda route: f"{route.method} {route.path}")
def test_example_of_a_body_obeys_its_schema(route: Route) -> None:
    if route.body is None:
        return
    assert route.example is not None
    kind = route.example.content_type
    place = ("paths", route.path, route.method.lower(), "requestBody", "content", kind)
    content: Any = api_document()
    for step in place:
        content = content[step]
    assert content["example"] == json.loads(json.dumps(route.example.body))
    assert [error.message for error in validator_at(*place, "schema").iter_errors(content["example"])] == []


# -- anything at all ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of which nothing is asked afterwards but that it did not fail."""
    store = StoreUrl(None, tmp_path_factory.mktemp("data"))
    running = Server.start(store, synchronous="NORMAL", wrong_keys_per_minute=1_000_000)
    yield running
    log = running.log
    running.stop()
    assert "Traceback" not in log


REFUSALS = ["400", "401", "403", "404", "405", "409", "412", "413", "414", "415", "422", "431"]
CONFIG = {
    "phases": {"coverage": {"enabled": True}, "stateful": {"enabled": False}},
    "generation": {"mode": "all", "deterministic": True},
    "checks": {
        "negative_data_rejection": {"expected-statuses": REFUSALS},
        # A schema cannot tell all that makes a request good: that one date of two is needed, for example.
        "positive_data_acceptance": {"enabled": False},
    },
}


@schemathesis.serializer("application/x-ndjson", "application/jsonl", "text/csv", "application/octet-stream")
def text(context: SerializationContext, value: Any) -> bytes:
    """Send a text as it is."""
    del context
    return str(value).encode()


described_api = schemathesis.openapi.from_dict(api_document(), config=SchemathesisConfig.from_dict(CONFIG))


@described_api.parametrize()
@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
def test_api_answers_anything_as_it_is_described(case: Case[Any], fuzzed: Server) -> None:
    case.call_and_validate(base_url=fuzzed.url, headers={"Authorization": f"Bearer {fuzzed.key}"})
