"""Every way to break exactly one rule of a schema in a body that keeps them all."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from heliograph.strict_json import pointer_to
from tests.contract.shape import resolved, unless_null

if TYPE_CHECKING:
    from collections.abc import Iterator

Steps = tuple[str | int, ...]

_OTHER_TYPE: dict[str, list[object]] = {
    "string": [7, ["text"]],
    "integer": ["7", 7.5, True],
    "boolean": ["true", 1],
    "array": [{}, "text"],
    "object": [[], "text"],
    "null": ["", "0000", 0, False],
}


@dataclass(frozen=True)
class Place:
    """A value in a body, and the part of the schema that rules it; `steps` lead there from the root.

    `optional` says that the object around it may do without it, `nullable` that it may be null; `node` then rules
    the other values.
    """

    steps: Steps
    node: dict[str, Any]
    value: object
    optional: bool
    nullable: bool = False

    def fields(self) -> dict[str, Any]:
        """Return the documented fields, if the place is a closed object."""
        fields: dict[str, Any] = self.node.get("properties", {})
        return fields


@dataclass(frozen=True)
class Mutation:
    """A body with one rule broken, and the pointer that has to be named for it."""

    name: str
    pointer: str
    body: dict[str, Any]


def places(schema: dict[str, Any], body: dict[str, Any]) -> Iterator[Place]:
    """List the root and every value below it that the schema rules."""
    return _places(schema, Place((), resolved(schema, schema), body, optional=False))


def _places(schema: dict[str, Any], place: Place) -> Iterator[Place]:
    yield place
    node = place.node
    if isinstance(place.value, dict):
        required = node.get("required", ())
        for name, inner in place.value.items():
            rule = place.fields().get(name, node.get("additionalProperties"))
            if isinstance(rule, dict):
                steps = (*place.steps, name)
                otherwise = unless_null(rule)
                rule = resolved(schema, otherwise or rule)
                nullable = otherwise is not None
                yield from _places(schema, Place(steps, rule, inner, name not in required, nullable))
    if isinstance(place.value, list) and "items" in node:
        items = resolved(schema, node["items"])
        for index, inner in enumerate(place.value):
            yield from _places(schema, Place((*place.steps, index), items, inner, optional=False))


def without(body: dict[str, Any], *paths: Steps) -> dict[str, Any]:
    """Copy a body, leaving out what the paths lead to."""
    changed = copy.deepcopy(body)
    for path in sorted(paths, key=len, reverse=True):
        _container(changed, path).pop(path[-1])
    return changed


def with_value(body: dict[str, Any], path: Steps, value: object) -> dict[str, Any]:
    """Copy a body, with another value where the path leads."""
    changed = copy.deepcopy(body)
    _container(changed, path)[path[-1]] = value
    return changed


def _container(body: Any, path: Steps) -> Any:
    for step in path[:-1]:
        body = body[step]
    return body


def mutations(schema: dict[str, Any], body: dict[str, Any]) -> Iterator[Mutation]:
    """Break each rule at each place: one at a time."""
    for place in places(schema, body):
        if place.fields() and isinstance(place.value, dict):
            yield from _of_object(place, body)
        any_json = not place.node
        if place.steps and not any_json:
            for name, value in _values_against(place):
                pointer = pointer_to(*place.steps)
                yield Mutation(f"{name} at {pointer}", pointer, with_value(body, place.steps, value))


def _of_object(place: Place, body: dict[str, Any]) -> Iterator[Mutation]:
    unknown = (*place.steps, "unexpected")
    yield Mutation(f"unknown {unknown}", pointer_to(*unknown), with_value(body, unknown, "text"))
    for name in place.node["required"]:
        path = (*place.steps, name)
        yield Mutation(f"missing {path}", pointer_to(*path), without(body, path))


def _values_against(place: Place) -> Iterator[tuple[str, object]]:
    node = place.node
    if not place.nullable and node.get("type") != "null":
        yield "null", None
    if "enum" in node:
        yield "wrong literal", "no such literal"
        yield "wrong case", node["enum"][0].swapcase()
        yield "wrong type", 7
    elif "anyOf" in node:
        yield "wrong type", 7
    else:
        for value in _OTHER_TYPE[node["type"]]:
            yield f"wrong type {value!r}", value
    if "pattern" in node:
        yield "final line feed", f"{place.value}\n"
        yield "cut short", str(place.value)[1:]
    if "minimum" in node:
        yield "below the minimum", node["minimum"] - 1
    if "maximum" in node:
        yield "above the maximum", node["maximum"] + 1
