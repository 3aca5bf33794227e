"""A tenant's own event types: a name, defaults, and a JSON Schema that its payloads must obey."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

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


LARGEST_COST = 2000
"""Subschemas that checking one value may visit, a referenced one counted at every use of it."""

_NO_SCHEMAS = ("$defs", "definitions", "enum", "const", "default", "examples")
_OPEN_REFERENCES = ("$dynamicRef", "$recursiveRef")


class _Cost:
    """Counts what a schema can cost; without it, a few hundred bytes of nested references take minutes to check."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._document = document
        self._known: dict[str, int] = {}
        self._open: set[str] = set()

    def of(self, node: Any) -> int:
        """Return how many subschemas there are below `node`.

        Raises:
            Invalid: when there are too many, or a reference leads back to itself.
        """
        if isinstance(node, list):
            return sum(map(self.of, node))
        if not isinstance(node, dict):
            return 0
        if any(name in node for name in _OPEN_REFERENCES):
            raise Invalid.at("/schema", "reference", "Only $ref is supported, to a place in the same schema.")
        total = 1 + sum(self._of_field(name, value) for name, value in node.items())
        if total > LARGEST_COST:
            raise Invalid.at("/schema", "cost", f"Checking one value would visit more than {LARGEST_COST} subschemas.")
        return total

    def _of_field(self, name: str, value: Any) -> int:
        if name == "$ref" and isinstance(value, str):
            return self._of_reference(value)
        return 0 if name in _NO_SCHEMAS else self.of(value)

    def _of_reference(self, reference: str) -> int:
        if reference in self._open or reference == "#":
            raise Invalid.at("/schema", "recursive", f"The reference {reference!r} leads back to itself.")
        if reference not in self._known:
            self._open.add(reference)
            self._known[reference] = self.of(self._target(reference))
            self._open.remove(reference)
        return self._known[reference]

    def _target(self, reference: str) -> Any:
        if not reference.startswith("#/"):
            raise Invalid.at(
                "/schema", "reference", f"The reference {reference!r} is not to a place in the schema (#/...)."
            )
        node: Any = self._document
        for step in unquote(reference[2:]).split("/"):
            step = step.replace("~1", "/").replace("~0", "~")
            if isinstance(node, list) and step.isdecimal() and int(step) < len(node):
                node = node[int(step)]
            elif isinstance(node, dict) and step in node:
                node = node[step]
            else:
                raise Invalid.at("/schema", "reference", f"The reference {reference!r} leads nowhere.")
        return node


def compile_schema(schema: bytes) -> jsonschema_rs.Validator:
    """Compile a schema of the JSON Schema drafts 4 to 2020-12 for checking payloads.

    References to other documents are refused, because looking one up would let a tenant make the server send
    requests; patterns run in time linear in their input, because a tenant writes both pattern and input; and what
    one value can cost is bounded, see `LARGEST_COST`, because all tenants share the time.

    Raises:
        Invalid: naming the place in the schema.
    """
    if len(schema) > LARGEST_SCHEMA:
        raise Invalid.at("/schema", "max-length", f"A schema has at most {LARGEST_SCHEMA} bytes.")
    document: Any = msgspec.json.decode(schema)
    if not isinstance(document, dict):
        raise Invalid.at("/schema", "type", "A JSON Schema is an object here.")
    try:
        _Cost(document).of(document)
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
