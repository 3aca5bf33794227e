"""Our schemas equal the documented shapes: neither looser nor stricter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from heliograph.catalog.system import SYSTEM
from tests.contract.bodies import DOCUMENTED, defined
from tests.contract.documents import DOCUMENTS
from tests.contract.shape import (
    Field,
    Items,
    Nullable,
    Tree,
    from_notation,
    from_schema,
    resolved,
    rows_of,
    unless_null,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from heliograph.catalog.definition import EventDefinition
    from tests.contract.documents import Document

WITH_SHAPE = [pytest.param(document, id=document.type) for document in DOCUMENTS.values() if document.shape]
FLAT = [pytest.param(document, id=document.type) for document in DOCUMENTS.values() if not document.shape]
NESTED = {
    "type": "object",
    "properties": {"a": {"type": "string"}},
    "required": [],
    "additionalProperties": False,
}


def sorted_literals(cell: str) -> str:
    return " | ".join(sorted(cell.split(" | ")))


def type_word(node: dict[str, Any]) -> str:
    """Say a schema's type in the words of the flat family's field lists."""
    if (otherwise := unless_null(node)) is not None:
        return f"{type_word(otherwise)} | null"
    match node:
        case {"enum": [literal]}:
            return str(literal)
        case {"type": "string", "format": "uuid"}:
            return "String (UUID)"
        case {"type": "string", "format": "date-time"}:
            return "String (ISO 8601)"
        case _:
            return str(node["type"]).capitalize()


def flat_rows(schema: dict[str, Any], document: Document) -> list[tuple[str, str, bool]]:
    """List a flat schema's fields as name, type and whether required; of inner objects only what is documented."""
    return list(_flat_rows(schema, resolved(schema, schema), {row.name for row in document.fields}, ""))


def _flat_rows(
    schema: dict[str, Any], node: dict[str, Any], documented: set[str], prefix: str
) -> Iterator[tuple[str, str, bool]]:
    for name, rule in node["properties"].items():
        rule = resolved(schema, rule)
        yield prefix + name, type_word(rule), name in node["required"]
        below = f"{prefix}{name}[]." if "items" in rule else f"{prefix}{name}."
        if any(other.startswith(below) for other in documented):
            yield from _flat_rows(schema, resolved(schema, rule.get("items", rule)), documented, below)


def test_all_twenty_nine_documented_types_are_at_hand_and_defined() -> None:
    assert len(DOCUMENTS) == 29
    assert {type_ for type_ in DOCUMENTS if SYSTEM.get(type_) is None} == set()


@pytest.mark.parametrize("document", WITH_SHAPE)
def test_wire_schema_equals_the_documented_shape(document: Document) -> None:
    assert from_schema(SYSTEM.wire_schema(defined(document.type))) == from_notation(document.shape)


@pytest.mark.parametrize("document", WITH_SHAPE)
def test_stored_schema_equals_the_payload_of_the_documented_shape(document: Document) -> None:
    assert document.shape is not None
    assert from_schema(SYSTEM.schema(defined(document.type))) == from_notation(document.shape["payload"])


@pytest.mark.parametrize("document", WITH_SHAPE)
def test_stored_schema_equals_the_documented_field_table(document: Document) -> None:
    ours = rows_of(from_schema(SYSTEM.schema(defined(document.type))))
    assert ours == [(row.name, sorted_literals(row.type), row.mark) for row in document.fields]


def test_statuses_are_the_documented_ones() -> None:
    tree = from_schema(SYSTEM.schema(defined("Device.ProvisioningRecipeStatusUpdated")))
    assert isinstance(tree, dict)
    assert tree["status"] == Field(True, frozenset({"Pending", "Applied", "Failed", "Invalid"}))


@pytest.mark.parametrize("document", FLAT)
def test_flat_schema_has_the_documented_fields_and_types(document: Document) -> None:
    schema = SYSTEM.schema(defined(document.type))
    root = resolved(schema, schema)
    ours = {name: word for name, word, _ in flat_rows(schema, document)}
    assert ours == {row.name: row.type for row in document.fields}
    assert root["additionalProperties"] is False


@pytest.mark.parametrize("document", FLAT)
def test_flat_field_is_required_unless_it_depends_on_an_optional_one(document: Document) -> None:
    schema = SYSTEM.schema(defined(document.type))
    certain = {row.name for row in document.fields if row.mark == "unmarked"}
    entailed = {row.name for row in document.fields if row.mark.removeprefix("present with ") in certain}
    assert {name for name, _, required in flat_rows(schema, document) if required} == certain | entailed


@pytest.mark.parametrize("document", FLAT)
def test_flat_body_goes_out_as_it_is_stored(document: Document) -> None:
    definition = defined(document.type)
    assert SYSTEM.wire_schema(definition) == SYSTEM.schema(definition)


@pytest.mark.parametrize("document", DOCUMENTED)
def test_type_literal_in_the_body_is_the_type_of_the_definition(document: Document) -> None:
    definition: EventDefinition = defined(document.type)
    schema = SYSTEM.schema(definition)
    name = "event_type" if definition.family == "flat" else "type"
    assert resolved(schema, schema)["properties"][name] == {"enum": [definition.type]}


def test_notation_tells_optional_literal_array_object_null_and_anything_apart() -> None:
    notation = {"a?": "string", "b": "x | y", "c": ["number"], "d": {"e": "one"}}
    nullable = {"f": "string | null", "g?": [{"e": "one"}, "null"], "h": "any"}
    assert from_notation(notation) == {
        "a": Field(False, "string"),
        "b": Field(True, frozenset({"x", "y"})),
        "c": Field(True, Items("number")),
        "d": Field(True, {"e": Field(True, frozenset({"one"}))}),
    }
    assert from_notation(nullable) == {
        "f": Field(True, Nullable("string")),
        "g": Field(False, Nullable({"e": Field(True, frozenset({"one"}))})),
        "h": Field(True, "any"),
    }


@pytest.mark.parametrize(
    ("rule", "tree"),
    [
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, Nullable("string")),
        ({"anyOf": [{"enum": ["x"]}, {"type": "null"}]}, Nullable(frozenset({"x"}))),
        ({"description": "Whatever it is."}, "any"),
    ],
)
def test_schema_tells_null_and_anything_apart_from_a_plain_type(rule: dict[str, Any], tree: Tree) -> None:
    assert from_schema({**NESTED, "properties": {"a": rule}}) == {"a": Field(False, tree)}


@pytest.mark.parametrize(
    "looser_or_stricter",
    [
        {**NESTED, "additionalProperties": True},
        {**NESTED, "minProperties": 1},
        {**NESTED, "properties": {"a": {"type": "string", "pattern": "^x"}}},
        {**NESTED, "properties": {"a": {"type": ["string", "null"]}}},
        {**NESTED, "properties": {"a": {"anyOf": [{"type": "string"}, {"type": "number"}]}}},
        {**NESTED, "properties": {"a": {"anyOf": [{"type": "string"}, {"type": "null"}], "minLength": 1}}},
    ],
)
def test_schema_that_says_more_or_less_than_a_shape_is_refused(looser_or_stricter: dict[str, Any]) -> None:
    assert from_schema(NESTED) == {"a": Field(False, "string")}
    with pytest.raises(AssertionError, match="no words for"):
        from_schema(looser_or_stricter)
