"""One tree for two notations, so that a documented shape and a JSON Schema can be compared for equality.

The shape notation is JSON: a name ending in `?` is optional; a text is a type's name, or the allowed literals
with ` | ` between them; an array holds the shape of its items.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

_ANNOTATIONS = {"$schema", "$defs", "title", "description"}
# The notation knows only `number`; ours are all integers, for no stored event contains a float.
_WORDS = {"string": "string", "number": "number", "boolean": "boolean", "integer": "number"}


@dataclass(frozen=True)
class Field:
    """A field of an object."""

    required: bool
    tree: Tree


@dataclass(frozen=True)
class Items:
    """An array of alike items."""

    tree: Tree


Tree = str | frozenset[str] | Items | dict[str, Field]
"""The name of a type, a set of literals, an array, or an object that has these fields and no other."""


def from_notation(shape: object) -> Tree:
    """Read the shape notation."""
    if isinstance(shape, dict):
        return {
            name.removesuffix("?"): Field(not name.endswith("?"), from_notation(inner)) for name, inner in shape.items()
        }
    if isinstance(shape, list):
        (item,) = shape
        return Items(from_notation(item))
    assert isinstance(shape, str)
    return _WORDS.get(shape) or frozenset(shape.split(" | "))


def resolved(schema: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    """Follow a node's `$ref` into the `$defs` of its own document."""
    while "$ref" in node:
        node = schema["$defs"][node["$ref"].removeprefix("#/$defs/")]
    return node


def from_schema(schema: dict[str, Any], node: dict[str, Any] | None = None) -> Tree:
    """Read a JSON Schema, refusing every keyword that the shape notation could not have said."""
    node = resolved(schema, schema if node is None else node)
    rest = {keyword: value for keyword, value in node.items() if keyword not in _ANNOTATIONS}
    match rest:
        case {"const": str(literal), **others} if not others:
            return frozenset([literal])
        case {"enum": literals, **others} if not others:
            return frozenset(literals)
        case {"type": "array", "items": items, **others} if not others:
            return Items(from_schema(schema, items))
        case {
            "type": "object",
            "properties": fields,
            "required": required,
            "additionalProperties": False,
            **others,
        } if not others:
            return {name: Field(name in required, from_schema(schema, fields[name])) for name in fields}
        case {"type": str(word), **others} if not others and word in _WORDS:
            return _WORDS[word]
    raise AssertionError(f"The shape notation has no words for {rest}.")


def rows_of(tree: Tree, prefix: str = "") -> list[tuple[str, str, str]]:
    """List an object's fields as a field table does: dotted name, type, mark."""
    assert isinstance(tree, dict)
    rows = []
    for name, field in tree.items():
        rows.append((prefix + name, _type_cell(field.tree), "required" if field.required else "optional"))
        if isinstance(field.tree, dict):
            rows += rows_of(field.tree, f"{prefix}{name}.")
    return rows


def _type_cell(tree: Tree) -> str:
    match tree:
        case str():
            return tree
        case Items(tree=inner):
            return _type_cell(inner) + "[]"
        case frozenset():
            return " | ".join(sorted(tree))
        case _:
            return "object"
