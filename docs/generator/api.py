"""`reference/api.md`: every route, made from the route table and the OpenAPI description."""

from __future__ import annotations

from itertools import groupby
from operator import attrgetter
from typing import Any

import msgspec

from docs.generator import markdown
from docs.generator.schema import Reader, summary
from heliograph.http.app import ROUTES
from heliograph.http.openapi import document
from heliograph.http.routes import Example, Route

_INTRODUCTION = """\
# HTTP API

The same as a machine reads it: `GET /openapi.json` (OpenAPI 3.1), made from the same tables as this page.

- Send `Authorization: Bearer hg_...` with every request, but for those marked *no key*.
- The tenant is the key's own, unless `tenantUid` names another that the key reaches.
- A body is JSON (RFC 8259) with known fields only; duplicate names, NaN and lone surrogates are refused.
- Times are RFC 3339 with an offset; ours are printed in UTC with microseconds. A uid is 32 hexadecimal digits, the `id`
  of an event a hyphenated UUID; both forms are accepted wherever one is asked for.
- A query parameter that is a list is repeated: `eventCode=1&eventCode=2`.
- Lists come in pages: the same parameters with `nextCursor` as `cursor` ask for the next one; null, there is none.
- Where `Idempotency-Key` is listed, a request that is repeated with the same key and content is carried out once; see
  [R12 in the rules](../rules.md#r12-the-same-event-again).
- Where `If-Match` is listed, an answer's `ETag` makes the change fail with 412 if somebody else was faster.
- Refusals are [problem documents](errors.md)."""


def page() -> str:
    """Return the whole page."""
    description = document(ROUTES.all)
    components: dict[str, dict[str, Any]] = description["components"]["schemas"]
    reader = Reader(components)
    parts = [_INTRODUCTION, _overview()]
    for tag, routes in groupby(ROUTES.all, attrgetter("tag")):
        parts.append(markdown.heading(2, tag.capitalize()))
        for route in routes:
            parts += _section(route, description["paths"][route.path][route.method.lower()], reader)
    parts.append(markdown.heading(2, "Bodies"))
    for name in sorted(components):
        parts += _component(name, components[name], reader)
    return markdown.document("the route table (`heliograph/http/app.py`)", *parts)


def _title(route: Route) -> str:
    return f"{route.method} {route.path}"


def _needs(route: Route) -> str:
    if route.permission is None:
        return "no key"
    return markdown.code(route.permission) if route.permission else "any key"


def _overview() -> str:
    rows = [
        (f"[{markdown.code(_title(route))}](#{markdown.anchor(_title(route))})", route.summary, _needs(route))
        for route in ROUTES.all
    ]
    return markdown.table(("Route", "What it does", "Needs"), rows)


def _section(route: Route, operation: dict[str, Any], reader: Reader) -> list[str]:
    parts = [markdown.heading(3, markdown.code(_title(route))), f"{route.summary}. Needs: {_needs(route)}."]
    if route.description:
        parts.append(route.description)
    parts += [_query_note(route), _parameters(route, operation, reader), *_body(route, operation)]
    return [*parts, _answers(route, operation)]


def _query_note(route: Route) -> str:
    return "" if route.query is None else " ".join((route.query.__doc__ or "").split())


def _parameters(route: Route, operation: dict[str, Any], reader: Reader) -> str:
    defaults = {} if route.query is None else _defaults(route.query)
    rows = [
        (
            markdown.code(parameter["name"]),
            parameter["in"],
            _type(parameter, reader),
            defaults.get(parameter["name"], markdown.NOTHING),
        )
        for parameter in operation["parameters"]
    ]
    return markdown.table(("Parameter", "In", "Type", "Default"), rows) if rows else ""


def _type(parameter: dict[str, Any], reader: Reader) -> str:
    return reader.words(parameter["schema"]).removesuffix(" or null")


def _defaults(query: type[msgspec.Struct]) -> dict[str, str]:
    fields = msgspec.structs.fields(query)
    return {field.encode_name: markdown.code(str(field.default)) for field in fields if field.default not in (None, ())}


def _body(route: Route, operation: dict[str, Any]) -> list[str]:
    if "requestBody" not in operation:
        return []
    content = operation["requestBody"]["content"]
    types = markdown.codes(content)
    parts = [f"Body: {_schema_link(next(iter(content.values()))['schema'])}, as {types}."]
    if route.example is not None and route.example.body is not None:
        parts.append(_example(route.example))
    return parts


def _example(example: Example) -> str:
    if isinstance(example.body, str):
        return markdown.fence("csv", "\n".join(example.body.splitlines()))
    return markdown.json_block(example.body)


def _answers(route: Route, operation: dict[str, Any]) -> str:
    rows = []
    refusals = []
    for status, answer in sorted(operation["responses"].items()):
        if "$ref" in answer:
            refusals.append(status)
            continue
        content = list(answer.get("content", {}).items())
        body = _schema_link(content[0][1]["schema"]) if content else "no body"
        read = route.method == "GET" and status == "200"
        rows.append((status, body, "Done." if read else answer["description"]))
    lines = markdown.table(("Status", "Body", "Meaning"), rows)
    return f"{lines}\n\nRefusals: {', '.join(refusals)}."


def _schema_link(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{markdown.anchor(name)})"
    for word in ("anyOf", "oneOf"):
        if word in schema:
            return markdown.either(map(_schema_link, schema[word]))
    if schema.get("type") == "array":
        return f"a list of {_schema_link(schema['items'])}"
    return {"object": "a JSON object", "string": "text"}[schema["type"]]


def _component(name: str, schema: dict[str, Any], reader: Reader) -> list[str]:
    parts = [markdown.heading(3, name), summary(schema)]
    if "properties" in schema:
        rows = [
            (markdown.code(field), _field_type(inner, reader), markdown.yes(field in schema.get("required", ())))
            for field, inner in schema["properties"].items()
        ]
        return [*parts, markdown.table(("Field", "Type", "Required"), rows)]
    return [*parts, f"One of {markdown.codes(schema['enum'])}."]


def _field_type(schema: dict[str, Any], reader: Reader) -> str:
    """Name a component by its link, anything else by its words."""
    items = schema.get("items", {})
    if "$ref" in schema:
        return _schema_link(schema)
    if "$ref" in items:
        return f"list of {_schema_link(items)}"
    return reader.words(schema)
