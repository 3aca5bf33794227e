"""The API described as OpenAPI 3.1, made from the route table and the types that requests are checked by."""

from __future__ import annotations

import re
from collections.abc import Iterable
from inspect import cleandoc
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from heliograph import __version__
from heliograph.eventlog.render import EventBody
from heliograph.http.lists import UID_PATTERN
from heliograph.http.messages import JSON, Request, Response
from heliograph.http.problems import CONNECTION_PROBLEMS, KINDS, ProblemBody
from heliograph.http.routes import Route

_PARAMETER = re.compile(r"{(\w+)}")
_WORD = re.compile("[A-Za-z0-9]+")
_REF = "#/components/schemas/{name}"
_encode = msgspec.json.Encoder().encode


class CloudEventBody(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An event as a CloudEvent 1.0; the extension attributes that it came with stand beside these."""

    specversion: Literal["1.0"]
    id: str
    source: str
    type: str
    time: str
    sequence: str
    recordedtime: str
    subject: str | UnsetType = UNSET
    targettype: str | UnsetType = UNSET
    criticality: int | UnsetType = UNSET
    eventcode: int | UnsetType = UNSET
    datacontenttype: str | UnsetType = UNSET
    data: Any = UNSET
    data_base64: str | UnsetType = UNSET


class DomainEventBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The wire body of the domain family."""

    id: str
    kind: str
    type: str
    payload: dict[str, Any]


class FlatEventBody(msgspec.Struct, frozen=True):
    """The wire body of the flat family; the fields of its type stand beside these."""

    event_id: str
    event_type: str
    workspace_id: str
    created_at: str
    occurred_at: str


EVENT_BODIES = (EventBody, CloudEventBody, DomainEventBody, FlatEventBody)
"""What an event can look like, by `format` and family."""

AnyEventBody = Annotated[
    Any, msgspec.Meta(extra_json_schema={"anyOf": [{"$ref": _REF.format(name=body.__name__)} for body in EVENT_BODIES]})
]


class EventList(msgspec.Struct, frozen=True, rename="camel"):
    """A page of events; `nextCursor` is null when nothing can follow."""

    data: list[AnyEventBody]
    next_cursor: str | None


async def show_openapi(request: Request) -> Response:
    """Return the OpenAPI description of this server."""
    services = request.services
    if services.openapi is None:
        services.openapi = _encode(document(services.routes))
    return Response(200, services.openapi, JSON)


def document(routes: Iterable[Route]) -> dict[str, Any]:
    """Describe the routes as an OpenAPI 3.1 document."""
    routes = tuple(routes)
    types = [kind for route in routes for kind in _types_of(route)]
    schemas, components = msgspec.json.schema_components([*types, ProblemBody], ref_template=_REF)
    for component in components.values():
        component["description"] = cleandoc(component["description"])
    of = iter(schemas)
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, [next(of) for _ in _types_of(route)])
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Heliograph",
            "version": __version__,
            "summary": "An event platform for connected devices.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"key": []}],
        "tags": [{"name": tag} for tag in dict.fromkeys(route.tag for route in routes)],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer", "description": "A key, hg_..."}},
            "responses": {
                "Problem": _content("A problem document (RFC 9457).", ("application/problem+json",), next(of))
            },
        },
    }  # fmt: skip


def _types_of(route: Route) -> list[Any]:
    """List the types of a route in the order in which `_operation` takes their schemas."""
    types = [] if route.query is None else [field.type for field in msgspec.structs.fields(route.query)]
    if route.body is not None:
        types.append(route.body)
    return [*types, *(kind for answer in _answers_of(route).values() for kind in _alternatives(answer))]


def _answers_of(route: Route) -> dict[int, Any]:
    """List what is answered when all goes well; a repeat by Idempotency-Key is answered 200 instead of 201."""
    if route.idempotent_by_key and 201 in route.answers:
        return {200: route.answers[201], **route.answers}
    return route.answers


def _alternatives(answer: Any) -> tuple[Any, ...]:
    if answer is None:
        return ()
    return answer if isinstance(answer, tuple) else (answer,)


def _operation(route: Route, schemas: list[dict[str, Any]]) -> dict[str, Any]:
    of = iter(schemas)
    operation: dict[str, Any] = {
        "operationId": "_".join([route.method.lower(), *_WORD.findall(route.path)]),
        "summary": route.summary,
        "tags": [route.tag],
        "parameters": [*_path_parameters(route), *_query_parameters(route, of), *_header_parameters(route)],
    }
    needs = f"Needs the permission `{route.permission}`." if route.permission else ""
    operation["description"] = " ".join(part for part in (route.description, needs) if part)
    if route.body is not None:
        schema = next(of)
        operation["requestBody"] = {
            "required": route.body_required,
            "content": {kind: _request_content(route, kind, schema) for kind in route.content_types},
        }
    operation["responses"] = {
        str(status): _answer(route, status, [next(of) for _ in _alternatives(answer)])
        for status, answer in _answers_of(route).items()
    }  # fmt: skip
    operation["responses"] |= {str(status): {"$ref": "#/components/responses/Problem"} for status in _refusals(route)}
    if route.permission is None:
        operation["security"] = []
    return operation


def _answer(route: Route, status: int, schemas: list[dict[str, Any]]) -> dict[str, Any]:
    if not schemas:
        return {"description": _MEANINGS[status]}
    schema = schemas[0] if len(schemas) == 1 else {"anyOf": schemas}
    return _content(_MEANINGS[status], route.answer_types, schema)


_MEANINGS = {
    200: "Done, or stored before.",
    201: "Stored.",
    202: "Taken on: a job or an operation, which the answer shows, does the rest.",
    204: "Done.",
    207: "Some events of the batch were refused; see each result.",
    503: "The platform cannot serve requests now.",
}


def _refusals(route: Route) -> list[int]:
    statuses = {problem.status for problem in KINDS.values()} - {410}
    if route.permission is None:
        statuses = {400, 503}
    elif route.method == "GET":
        statuses -= {409, 412, 413, 415, 422}
    # The connection refuses what it cannot read whatever the route would have been.
    statuses |= {problem.status for problem in CONNECTION_PROBLEMS}
    return sorted(statuses - _answers_of(route).keys())


def _content(description: str, types: tuple[str, ...], schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {kind: {"schema": schema} for kind in types}}


def _request_content(route: Route, kind: str, schema: dict[str, Any]) -> dict[str, Any]:
    if kind == "application/cloudevents-batch+json":
        return {"schema": {"type": "array", "items": _CLOUDEVENT}}
    if kind == "application/cloudevents+json":
        return {"schema": _CLOUDEVENT}
    content: dict[str, Any] = {"schema": schema if kind == "application/json" else {"type": "string"}}
    if route.example is not None and kind == route.example.content_type:
        content["example"] = route.example.body
    return content


_CLOUDEVENT = {
    "type": "object",
    "description": "A CloudEvent 1.0 in the JSON format.",
    "required": ["id", "source", "specversion", "type"],
    "properties": {
        "id": {"type": "string", "minLength": 1},
        "source": {"type": "string", "minLength": 1, "format": "uri-reference"},
        "specversion": {"const": "1.0"},
        "type": {"type": "string", "minLength": 1},
        "time": {"type": ["string", "null"], "format": "date-time"},
        "subject": {"type": ["string", "null"], "minLength": 1},
    },
}


_UID = {"type": "string", "pattern": UID_PATTERN}
_PATH_SCHEMAS = {
    "type": {"type": "string", "minLength": 1, "maxLength": 255},
    "uid": _UID,
    "grantUid": _UID,
    "id": _UID,
    "deliveryId": {"type": "string", "pattern": "^[0-9a-f]{32}-[0-9a-f]{32}-[0-9]{1,18}$"},
}
_HEADER_SCHEMAS = {
    "If-Match": {"type": "string", "pattern": r'^("v[0-9]{1,18}"|\*)$'},
    "Idempotency-Key": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]([ -~]*[!-~])?$"},
}


def _path_parameters(route: Route) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": _PATH_SCHEMAS[name]}
        for name in _PARAMETER.findall(route.path)
    ]


def _query_parameters(route: Route, schemas: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    fields = [] if route.query is None else msgspec.structs.fields(route.query)
    return [
        {"name": field.encode_name, "in": "query", "required": False, "schema": _sent(schema), "explode": True}
        for field, schema in zip(fields, schemas, strict=False)
    ]


def _sent(schema: dict[str, Any]) -> dict[str, Any]:
    """Leave null out: a query does not say it, what is absent is left out."""
    kept = [part for part in schema.get("anyOf", ()) if part != {"type": "null"}]
    return kept[0] if len(kept) == 1 else schema


def _header_parameters(route: Route) -> list[dict[str, Any]]:
    names = (*route.headers, *(("Idempotency-Key",) if route.idempotent_by_key else ()))
    return [{"name": name, "in": "header", "required": False, "schema": _HEADER_SCHEMAS[name]} for name in names]
