"""One tree for two notations, so that a documented shape and a JSON Schema can be compared for equality.

The shape notation is JSON: a name ending in `?` is optional; a text is a type's name, or the allowed literals
with ` | ` between them; an array holds the shape of its items. What may be null as well ends in ` | null`, or is an
array of the shape and `"null"`. `any` stands for any JSON.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

_ANNOTATIONS = {"$schema", "$defs", "title", "description"}
# The notation knows only `number`; ours are all integers, for no stored event contains a float.
_WORDS = {"string": "string", "number": "number", "boolean": "boolean", "integer": "number", "any": "any"}
_NULL = {"type": "null"}


@dataclass(frozen=True)
class Field:
    """A field of an object."""

    required: bool
    tree: Tree


@dataclass(frozen=True)
class Items:
    """An array of alike items."""

    tree: Tree


@dataclass(frozen=True)
class Nullable:
    """A value that may be null instead."""

    tree: Tree


Tree = str | frozenset[str] | Items | Nullable | dict[str, Field]
"""The name of a type, a set of literals, an array, null or something, or an object with these fields and no other."""


def from_notation(shape: object) -> Tree:
    """Read the shape notation."""
    if isinstance(shape, dict):
        return {
            name.removesuffix("?"): Field(not name.endswith("?"), from_notation(inner)) for name, inner in shape.items()
        }
    if isinstance(shape, list):
        item, *null = shape
        assert null in ([], ["null"])
        return Nullable(from_notation(item)) if null else Items(from_notation(item))
    assert isinstance(shape, str)
    if shape.endswith(" | null"):
        return Nullable(from_notation(shape.removesuffix(" | null")))
    return _WORDS.get(shape) or frozenset(shape.split(" | "))


def resolved(schema: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    """Follow a node's `$ref` into the `$defs` of its own document."""
    while "$ref" in node:
        node = schema["$defs"][node["$ref"].removeprefix("#/$defs/")]
    return node


def unless_null(node: dict[str, Any]) -> dict[str, Any] | None:
    """Return what rules a value that may be null when it is not, or None when it may not be null."""
    match node:
        case {"anyOf": [inner, null]} if null == _NULL:
            found: dict[str, Any] = inner
            return found
    return None


def from_schema(schema: dict[str, Any], node: dict[str, Any] | None = None) -> Tree:
    """Read a JSON Schema, refusing every keyword that the shape notation could not have said."""
    node = resolved(schema, schema if node is None else node)
    rest = {keyword: value for keyword, value in node.items() if keyword not in _ANNOTATIONS}
    if rest.keys() == {"anyOf"} and (inner := unless_null(rest)) is not None:
        return Nullable(from_schema(schema, inner))
    if not rest:
        return "any"
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
        case {"type": str(word), **others} if not others and word in _WORDS and word != "any":
            return _WORDS[word]
    raise AssertionError(f"The shape notation has no words for {rest}.")


def rows_of(tree: Tree, prefix: str = "") -> list[tuple[str, str, str]]:
    """List an object's fields as a field table does: dotted name, type, mark."""
    assert isinstance(tree, dict)
    rows = []
    for name, field in tree.items():
        rows.append((prefix + name, _type_cell(field.tree), "required" if field.required else "optional"))
        inner = field.tree.tree if isinstance(field.tree, Nullable) else field.tree
        if isinstance(inner, dict):
            rows += rows_of(inner, f"{prefix}{name}.")
    return rows


def _type_cell(tree: Tree) -> str:
    match tree:
        case str():
            return tree
        case Items(tree=inner):
            return _type_cell(inner) + "[]"
        case Nullable(tree=inner):
            return " | ".join(sorted(["null", _type_cell(inner)]))
        case frozenset():
            return " | ".join(sorted(tree))
        case _:
            return "object"
