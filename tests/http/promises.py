"""What the API promises of every answer, checked by third parties' readers of the document that it serves."""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any

import msgspec
from jsonschema import Draft202012Validator, FormatChecker
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from heliograph.http.app import ROUTES
from heliograph.http.openapi import document
from heliograph.http.problems import ProblemBody, all_problems

SLOW_TO_VALIDATE = 256 * 1024
"""Bytes of an answer from which on it is not held against its schema: the reference reader takes a second for them."""

_PROBLEMS = {f"/problems/{kind.slug}": kind for kind in all_problems()}
_POINTER = re.compile(r"(?:/(?:[^~/]|~[01])*)*|(?:query|header|path)(?:/.+)?", re.DOTALL)


class Problem(ProblemBody, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """A problem document and nothing else."""


@cache
def api_document() -> dict[str, Any]:
    """Return the description that the server would serve."""
    described: dict[str, Any] = json.loads(msgspec.json.encode(document(ROUTES.all)))
    return described


@cache
def _registry() -> Registry[Any]:
    resource: Resource[Any] = Resource.from_contents(api_document(), default_specification=DRAFT202012)
    registry: Registry[Any] = Registry().with_resource("urn:api", resource)
    return registry


def validator_at(*steps: str) -> Draft202012Validator:
    """Return a validator for the schema that stands at a place in the document."""
    pointer = "".join("/" + step.replace("~", "~0").replace("/", "~1") for step in steps)
    return Draft202012Validator({"$ref": f"urn:api#{pointer}"}, registry=_registry(), format_checker=FormatChecker())


@cache
def _answer_validator(method: str, path: str, status: int, media_type: str) -> Draft202012Validator | None:
    """Return the validator for an answer, after making sure that its status and media type are documented."""
    responses = api_document()["paths"][path][method.lower()]["responses"]
    assert str(status) in responses, f"{method} {path} does not document the status {status}"
    if "$ref" in responses[str(status)]:
        assert responses[str(status)]["$ref"] == "#/components/responses/Problem"
        place: tuple[str, ...] = ("components", "responses", "Problem")
        content = api_document()["components"]["responses"]["Problem"]["content"]
    else:
        place = ("paths", path, method.lower(), "responses", str(status))
        content = responses[str(status)].get("content", {})
    if not content:
        return None
    assert media_type in content, f"{method} {path} {status} does not document {media_type}"
    return validator_at(*place, "content", media_type, "schema")


_DIALECTS = ("/seam",)


def _native(target: str) -> bool:
    return not any(target == prefix or target.startswith((f"{prefix}/", f"{prefix}?")) for prefix in _DIALECTS)


def check_promises(method: str, target: str, status: int, headers: dict[str, str], body: bytes) -> None:
    """Check what holds for every answer: request id, problem document, documented status, type and shape.

    A dialect has the shapes of the platform that it imitates; its own tests check those.
    """
    shown = f"{method} {target[:200]} -> {status} {body[:2000]!r}"
    assert status < 500 or status == 503, shown
    assert re.fullmatch("[0-9a-f]{32}", headers["x-request-id"]), shown
    media_type = headers.get("content-type", "").partition(";")[0]
    if status == 204:
        assert (body, media_type, headers.get("content-length")) == (b"", "", None), shown
    elif method == "HEAD":
        assert body == b"", shown
    else:
        assert headers["content-length"] == str(len(body)), shown
    if not _native(target):
        assert media_type == "application/json", shown
        return
    if media_type == "application/problem+json" and method != "HEAD":
        check_problem(status, headers, body)
    else:
        assert status < 400 or method == "HEAD" or target.startswith("/readyz"), shown
    _check_against_the_document(method, target, status, media_type, body)


def check_problem(status: int, headers: dict[str, str], body: bytes) -> None:
    """Check a problem document: its fields, its kind, the places and rules that it names, its request id."""
    problem = msgspec.json.decode(body, type=Problem)
    kind = _PROBLEMS[problem.type]
    assert (problem.status, problem.title) == (status, kind.title) == (kind.status, kind.title)
    assert problem.detail.endswith("."), problem.detail
    assert problem.request_id == headers["x-request-id"]
    assert ("retry-after" in headers) == (status in (429, 503))
    assert ("www-authenticate" in headers) == (status == 401)
    assert ("allow" in headers) == (status == 405)
    if status == 400:
        assert problem.errors, problem
    for fault in problem.errors:
        assert fault.rule, problem
        assert fault.message.endswith((".", ".)")), fault
        assert _POINTER.fullmatch(fault.pointer), fault


def _check_against_the_document(method: str, target: str, status: int, media_type: str, body: bytes) -> None:
    route, _, _ = ROUTES.find(method, target.partition("?")[0])
    if route is None:
        assert status in (404, 405)
        return
    validator = _answer_validator(route.method, route.path, status, media_type)
    if method == "HEAD" or validator is None or len(body) > SLOW_TO_VALIDATE or "json" not in media_type:
        return
    faults = [error.message for error in validator.iter_errors(json.loads(body))]
    assert not faults, faults
