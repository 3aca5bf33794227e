"""What a tenant's schema may cost: all tenants share the time that checking an event takes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from heliograph.catalog.model import LARGEST_COST, compile_schema
from heliograph.errors import Invalid


def doubling(levels: int) -> dict[str, Any]:
    """Nest references so that each level asks for the next one twice."""
    definitions: dict[str, Any] = {f"l{n}": {"anyOf": [{"$ref": f"#/$defs/l{n + 1}"}] * 2} for n in range(levels)}
    return {"$ref": "#/$defs/l0", "$defs": definitions | {f"l{levels}": {"type": "string"}}}


def rule_of(schema: dict[str, Any]) -> str:
    """Return the rule that refuses a schema."""
    with pytest.raises(Invalid) as refused:
        compile_schema(json.dumps(schema).encode())
    assert refused.value.faults[0].pointer == "/schema"
    return refused.value.faults[0].rule


def test_schema_whose_references_multiply_is_refused() -> None:
    assert rule_of(doubling(36)) == "cost"


def test_few_levels_of_the_same_are_accepted() -> None:
    assert compile_schema(json.dumps(doubling(4)).encode()).is_valid("text")


def test_schema_with_very_many_parts_is_refused() -> None:
    parts = {f"p{n}": {"type": "string"} for n in range(LARGEST_COST)}
    assert rule_of({"properties": parts}) == "cost"


@pytest.mark.parametrize(
    "schema",
    [
        {"properties": {"child": {"$ref": "#"}}},
        {"$ref": "#/$defs/a", "$defs": {"a": {"items": {"$ref": "#/$defs/a"}}}},
        {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"not": {"$ref": "#/$defs/a"}}}},
    ],
)
def test_schema_that_leads_back_to_itself_is_refused(schema: dict[str, Any]) -> None:
    assert rule_of(schema) == "recursive"


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "https://example.com/schema"},
        {"$ref": "#named", "$defs": {"n": {"$anchor": "named"}}},
        {"$ref": "#/$defs/missing"},
        {"items": {"$dynamicRef": "#node"}},
    ],
)
def test_reference_to_anything_but_a_place_in_the_schema_is_refused(schema: dict[str, Any]) -> None:
    assert rule_of(schema) == "reference"


def test_field_may_be_called_like_a_keyword() -> None:
    validator = compile_schema(b'{"properties": {"$ref": {"type": "integer"}, "a/b": {"$ref": "#/properties/$ref"}}}')
    assert validator.is_valid({"$ref": 1, "a/b": 2})
    assert not validator.is_valid({"a/b": "text"})
