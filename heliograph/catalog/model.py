"""A tenant's own event types: a name, defaults, and a JSON Schema that its payloads must obey."""

from __future__ import annotations

from typing import Any

import jsonschema_rs
import msgspec

from heliograph.errors import Fault, Invalid
from heliograph.strict_json import MASK, pointer_to, sentence

LARGEST_SCHEMA = 64 * 1024
"""Bytes of one schema."""


class OwnType(msgspec.Struct, frozen=True, kw_only=True):
    """One of a tenant's types. `schema` is JSON; times in microseconds UTC; `version` rises with every change."""

    type: str
    schema: bytes | None
    default_code: int | None
    default_criticality: int | None
    created_at: int
    updated_at: int
    version: int


def compile_schema(schema: bytes) -> jsonschema_rs.Validator:
    """Compile a schema of the JSON Schema drafts 4 to 2020-12 for checking payloads.

    References to other documents are refused, because looking one up would let a tenant make the server send
    requests; patterns run in time linear in their input, because a tenant writes both pattern and input.

    Raises:
        Invalid: naming the place in the schema.
    """
    if len(schema) > LARGEST_SCHEMA:
        raise Invalid.at("/schema", "max-length", f"A schema has at most {LARGEST_SCHEMA} bytes.")
    document: Any = msgspec.json.decode(schema)
    if not isinstance(document, dict):
        raise Invalid.at("/schema", "type", "A JSON Schema is an object here.")
    try:
        return jsonschema_rs.validator_for(
            document,
            validate_formats=True,
            offline=True,
            mask=MASK,
            pattern_options=jsonschema_rs.RegexOptions(size_limit=1 << 20, dfa_size_limit=1 << 21),
        )
    except jsonschema_rs.ValidationError as error:
        pointer = pointer_to("schema", *error.instance_path)
        raise Invalid(
            "The schema is not a valid JSON Schema.", (Fault(pointer, "schema", sentence(error.message)),)
        ) from None
    except (jsonschema_rs.ReferencingError, ValueError, RecursionError) as error:
        raise Invalid.at("/schema", "schema", f"The schema cannot be used: {str(error)[:300].rstrip('.')}.") from None
