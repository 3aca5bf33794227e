"""The valid payloads of each type that the contract tests start from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from heliograph.catalog.system import SYSTEM
from tests.contract.documents import DOCUMENTS

if TYPE_CHECKING:
    from heliograph.catalog.definition import EventDefinition

ALL = [pytest.param(definition, id=definition.type) for definition in SYSTEM]
DOCUMENTED = [pytest.param(document, id=document.type) for document in DOCUMENTS.values()]


def defined(type_: str) -> EventDefinition:
    """Return the definition of a type that is known to exist."""
    definition = SYSTEM.get(type_)
    assert definition is not None, type_
    return definition


def sample_of(definition: EventDefinition) -> dict[str, Any]:
    """Return a definition's sample as the JSON object that is stored."""
    body: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(definition.sample))
    return body


def valid_bodies(definition: EventDefinition) -> list[dict[str, Any]]:
    """Return the documented example, where there is one, and our sample."""
    document = DOCUMENTS.get(definition.type)
    return ([document.payload] if document else []) + [sample_of(definition)]
