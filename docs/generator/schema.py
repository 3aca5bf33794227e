"""JSON Schemas in words: a type for a table's cell, an object's rows, and the shape notation."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any, NamedTuple

from docs.generator import markdown
from heliograph.catalog.definition import HexUid

Schema = dict[str, Any]

_UID_PATTERN = HexUid.__metadata__[0].pattern  # type: ignore[attr-defined]  # of typing.Annotated
_TIME_LENGTHS = {24: "time, milliseconds", 27: "time, microseconds"}
_PLAIN = {"string": "string", "integer": "integer", "number": "number", "boolean": "boolean", "null": "null"}


class Field(NamedTuple):
    """A row of a field table; names of inner objects are dotted, with `[]` after that of an array."""

    name: str
    type: str
    required: bool
    meaning: str


def summary(schema: Schema) -> str:
    """Return a schema's description as running text."""
    return " ".join(inspect.cleandoc(schema.get("description", "")).split())


class Reader:
    """Reads the schemas of one document, whose references all lead into `components`."""

    def __init__(self, components: dict[str, Schema]) -> None:
        self._components = components

    def resolve(self, schema: Schema) -> Schema:
        """Follow a reference."""
        while "$ref" in schema:
            schema = self._components[schema["$ref"].rpartition("/")[2]]
        return schema

    def words(self, schema: Schema) -> str:
        """Say of which type a value is."""
        schema = self.resolve(schema)
        if "anyOf" in schema:
            return markdown.either(map(self.words, schema["anyOf"]))
        if "const" in schema or "enum" in schema:
            return markdown.either(f"`{value}`" for value in schema.get("enum", [schema.get("const")]))
        match schema.get("type"):
            case None:
                return "any JSON"
            case "array" if "items" not in schema:
                return "list of: any JSON"
            case "array":
                return f"list of: {self.words(schema['items'])}"
            case "object":
                values = schema.get("additionalProperties")
                return f"object of: {self.words(values)}" if isinstance(values, dict) and values else "object"
            case word:
                return _PLAIN[word] + _constraints(schema)

    def fields(self, schema: Schema, prefix: str = "") -> Iterator[Field]:
        """List the fields of an object and of the objects inside it."""
        schema = self.resolve(schema)
        for name, inner in schema.get("properties", {}).items():
            resolved = self._unless_null(inner)
            nested = self.resolve(resolved.get("items", resolved))
            required = name in schema.get("required", ())
            yield Field(prefix + name, self.words(inner), required, summary(nested) if "properties" in nested else "")
            if "properties" in nested:
                yield from self.fields(nested, f"{prefix}{name}{'[]' if 'items' in resolved else ''}.")

    def shape(self, schema: Schema) -> Any:
        """Write the shape notation: `?` after an optional name, a type's name or the allowed literals, `| null`."""
        schema = self.resolve(schema)
        if "properties" in schema:
            required = schema.get("required", ())
            return {
                name + ("" if name in required else "?") + self._null_mark(inner): self.shape(inner)
                for name, inner in schema["properties"].items()
            }
        if "items" in schema:
            return [self.shape(schema["items"])]
        if "const" in schema or "enum" in schema:
            return " | ".join(map(str, schema.get("enum", [schema.get("const")])))
        if self._null_mark(schema):
            return self.shape(self._unless_null(schema))
        if "anyOf" in schema:
            return " | ".join(str(self.shape(inner)) for inner in schema["anyOf"])
        values = schema.get("additionalProperties")
        if isinstance(values, dict) and values:
            return {"*": self.shape(values)}
        return "number" if schema.get("type") == "integer" else schema.get("type", "any")

    def _unless_null(self, schema: Schema) -> Schema:
        """Return what a value is that may be null besides; any other schema as it is."""
        schema = self.resolve(schema)
        others = [inner for inner in map(self.resolve, schema.get("anyOf", ())) if inner.get("type") != "null"]
        return others[0] if len(others) == 1 else schema

    def _null_mark(self, schema: Schema) -> str:
        """Return what stands behind the name of an object that may be null; other values say it themselves."""
        schema = self.resolve(schema)
        return " | null" if "anyOf" in schema and "properties" in self._unless_null(schema) else ""


def _constraints(schema: Schema) -> str:
    if schema.get("pattern") == _UID_PATTERN:
        return " (uid)"
    if schema.get("format") == "uuid":
        return " (UUID)"
    if schema.get("format") == "date-time":
        return f" ({_TIME_LENGTHS.get(schema.get('maxLength', 0), 'time')})"
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and high is not None:
        return f", {low} to {high}"
    if low is not None:
        return f", at least {low}"
    if "maxLength" in schema:
        return f", {schema.get('minLength', 0)} to {schema['maxLength']} characters"
    return ""
