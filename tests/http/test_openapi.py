"""The served description is valid, complete and true: its examples work, and no request that it allows breaks it."""

from __future__ import annotations

import json
import re
import uuid
from inspect import cleandoc
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from openapi_spec_validator import OpenAPIV31SpecValidator
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from heliograph.http.app import ROUTES
from heliograph.http.routes import Example
from tests.http.promises import api_document, validator_at

if TYPE_CHECKING:
    from collections.abc import Callable

    from schemathesis import Case

    from heliograph.http.routes import Route
    from tests.http.inprocess import Api
    from tests.server import Server

SCHEMA = schemathesis.openapi.from_dict(api_document())
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
EVENT = {"type": "lamp.lit", "criticality": 4, "payload": {}}


ALL = [pytest.param(route, id=f"{route.method} {route.path}") for route in ROUTES.all]
WITH_EXAMPLE = [pytest.param(route, id=f"{route.method} {route.path}") for route in ROUTES.all if route.example]


class Household(NamedTuple):
    """A company with one of everything in it, and a key that may do everything there and is not among these."""

    company: str
    key: str
    parameters: dict[str, dict[str, str]]
    """The path parameters that name what exists, by the resource that a path begins with."""

    def of(self, path: str) -> dict[str, str]:
        """Return the values of a path's parameters that name what exists."""
        names = re.findall(r"{(\w+)}", path)
        return {name: self.parameters[path.split("/")[2]][name] for name in names}

    def fill(self, path: str) -> str:
        """Return the path to what exists."""
        return path.format(**self.of(path))


def furnish(make: Callable[[str, Any, str | None], Any], company: str) -> Household:
    """Furnish a company; `make` posts a body, with a key or as an owner of all, and returns the answer's body."""

    def account_with_key() -> tuple[Any, Any]:
        grants = [{"grant": "owner"}]
        account = make(f"/v1/accounts?tenantUid={company}", {"name": "somebody", "grants": grants}, None)
        body = {"name": "some key", "accountUid": account["uid"], "grants": grants}
        return account, make(f"/v1/keys?tenantUid={company}", body, None)

    key = account_with_key()[1]["token"]
    account, other_key = account_with_key()
    make("/v1/event-types", {"type": EVENT["type"], "schema": {"type": "object"}}, key)
    child = {"kind": "organization", "name": "Stores", "shortName": f"stores-{company[-12:]}"}
    parameters = {
        "events": {"id": make("/v1/events", EVENT, key)["id"]},
        "event-types": {"type": EVENT["type"]},
        "tenants": {"uid": make("/v1/tenants", child, key)["uid"]},
        "accounts": {"uid": account["uid"], "grantUid": account["grants"][0]["uid"]},
        "keys": {"uid": other_key["uid"], "grantUid": other_key["grants"][0]["uid"]},
    }
    return Household(company, key, parameters)


def operations() -> list[tuple[Route, dict[str, Any]]]:
    """Return every route with its operation in the document."""
    return [(route, api_document()["paths"][route.path][route.method.lower()]) for route in ROUTES.all]


# -- the document ---------------------------------------------------------------------------------------------------


def test_document_is_valid_openapi_3_1() -> None:
    assert api_document()["openapi"].startswith("3.1")
    assert [str(error) for error in OpenAPIV31SpecValidator(api_document()).iter_errors()] == []


def test_document_is_served_when_no_key_is_sent(api: Api) -> None:
    answer = api.get("/openapi.json")
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    assert answer.json() == api_document()


def test_document_has_every_route_and_no_other() -> None:
    described = {(method.upper(), path) for path, item in api_document()["paths"].items() for method in item}
    assert described == {(route.method, route.path) for route in ROUTES.all}


def test_operation_ids_are_unique_and_plain_names() -> None:
    ids = [operation["operationId"] for _, operation in operations()]
    assert len(set(ids)) == len(ids)
    assert [name for name in ids if not re.fullmatch(r"[a-z]+(_[A-Za-z0-9]+)+", name)] == []


def test_every_operation_names_its_permission_and_whether_it_needs_a_key() -> None:
    for route, operation in operations():
        named = re.findall(r"Needs the permission `([^`]+)`", operation.get("description", ""))
        assert named == ([route.permission] if route.permission else []), operation["operationId"]
        assert operation.get("security", api_document()["security"]) == (
            [] if route.permission is None else [{"key": []}]
        )


def test_every_path_parameter_is_described() -> None:
    for route, operation in operations():
        described = {given["name"] for given in operation["parameters"] if given["in"] == "path"}
        assert described == set(re.findall(r"{(\w+)}", route.path)), operation["operationId"]


def test_descriptions_are_plain_text_when_they_come_from_docstrings() -> None:
    for name, schema in api_document()["components"]["schemas"].items():
        assert schema["description"] == cleandoc(schema["description"]), name


# -- its examples ---------------------------------------------------------------------------------------------------


def test_every_operation_that_reads_a_body_has_an_example() -> None:
    assert [route.path for route in ROUTES.all if route.body is not None and route.example is None] == []


@pytest.mark.parametrize("route", WITH_EXAMPLE)
def test_example_fits_the_schema_of_its_request(route: Route) -> None:
    example = route.example
    assert example is not None
    if example.body is None:
        assert route.body is None
        return
    place = ("paths", route.path, route.method.lower(), "requestBody", "content", example.content_type, "schema")
    assert [error.message for error in validator_at(*place).iter_errors(example.body)] == []


@pytest.mark.parametrize("route", ALL)
def test_request_is_answered_as_documented_when_it_follows_the_example(api: Api, route: Route) -> None:
    home = furnish(lambda target, body, key: api.made(target, body, key), api.tenant(kind="company"))
    # What has neither body nor needed query needs no example: the path says it all.
    example = route.example or Example(status=min(route.answers))
    target = f"{home.fill(route.path)}?{example.query.format(company=home.company)}"
    body = b"" if example.body is None else json.dumps(example.body).encode()
    headers = [*example.headers.items(), *([("content-type", example.content_type)] if body else [])]
    answer = api.request(route.method, target, None if route.permission is None else home.key, body, headers)

    assert answer.status == example.status, answer
    if answer.status == 204:
        assert route.answers[204] is None
        return
    media_type = answer.headers["content-type"].partition(";")[0]
    assert media_type in route.answer_types
    place = ("paths", route.path, route.method.lower(), "responses", str(example.status), "content", media_type)
    value = answer.json() if media_type == "application/json" else answer.body.decode()
    assert [error.message for error in validator_at(*place, "schema").iter_errors(value)] == []


# -- whatever it allows ---------------------------------------------------------------------------------------------


@pytest.fixture
def home(server: Server) -> Household:
    """A company of the test's own, for an operation to change or destroy; the key that asks is not part of it."""

    def make(target: str, body: Any, key: str | None) -> Any:
        answer = server.request("POST", target, body=body, key=key)
        assert answer.status == 201, answer
        return answer.json

    root = server.request("GET", "/v1/tenants").json["data"][0]["uid"]
    short_name = f"company-{uuid.uuid4().hex}"
    body = {"kind": "company", "name": "Company", "shortName": short_name}
    return furnish(make, make(f"/v1/tenants?tenantUid={root}", body, None)["uid"])


@schemathesis.serializer("application/x-ndjson")
def as_text(context: Any, value: Any) -> bytes:
    """Send what the generator made as lines: its texts as they are, and anything else as JSON."""
    del context
    return value if isinstance(value, bytes) else (value if isinstance(value, str) else json.dumps(value)).encode()


@SCHEMA.parametrize()
@settings(
    max_examples=15,
    deadline=None,
    derandomize=True,
    database=None,
    # One household serves all the requests to an operation: what the first has deleted, the others do not find.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.filter_too_much],
)
def test_any_request_is_answered_as_documented(case: Case[Any], server: Server, home: Household) -> None:
    headers = {"authorization": f"Bearer {home.key}"}
    case.call_and_validate(base_url=server.url, headers=headers, checks=CHECKS)
    if case.path_parameters:
        # Made-up names find nothing; with the names of what exists the same request gets further.
        case.path_parameters.update(home.of(case.path))
        case.call_and_validate(base_url=server.url, headers=headers, checks=CHECKS)
