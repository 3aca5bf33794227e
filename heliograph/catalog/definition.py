"""Event definitions: which types of event the platform raises, and the exact shape of each as data."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING, Annotated, Any, Generic, TypeVar

import msgspec

from heliograph import strict_json
from heliograph.errors import Invalid
from heliograph.eventlog.model import FIRST_FREE_CODE, LEAST_CRITICALITY, Family

if TYPE_CHECKING:
    from collections.abc import Iterator

T = TypeVar("T")

StructType = type[msgspec.Struct]

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def _time_pattern(digits: int) -> str:
    date = "[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
    return rf"^{date}T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]\.[0-9]{{{digits}}}Z$"


# The lengths are not idle: in Python's expressions `$` also matches before a final line feed.
HexUid = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{32}$", max_length=32)]
"""An entity's uid as the native JSON prints it."""

UuidText = Annotated[
    str,
    msgspec.Meta(
        pattern="^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$",
        max_length=36,
        extra_json_schema={"format": "uuid"},
    ),
]
"""A hyphenated UUID (RFC 9562 section 4, which lets readers accept either case)."""

MillisecondTime = Annotated[
    str,
    msgspec.Meta(pattern=_time_pattern(3), max_length=24, extra_json_schema={"format": "date-time"}),
]
"""A time in UTC as the public families print it: RFC 3339 with milliseconds."""

MicrosecondTime = Annotated[
    str,
    msgspec.Meta(pattern=_time_pattern(6), max_length=27, extra_json_schema={"format": "date-time"}),
]
"""A time in UTC as the native JSON prints it: RFC 3339 with microseconds."""


class Body(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A JSON object with the documented fields and no other; an absent field is left out, never null."""


class CamelBody(Body, frozen=True, rename="camel"):
    """A `Body` whose names are camelCase on the wire."""


class Change(CamelBody, Generic[T], frozen=True, kw_only=True):
    """A value before and after; to be subclassed, for the published schema prints the subclass's name."""

    from_: T = msgspec.field(name="from")
    to: T


class OptionalChange(CamelBody, Generic[T], frozen=True, kw_only=True):
    """As `Change`, for what may have no value: `from` or `to` is then left out."""

    from_: T | msgspec.UnsetType = msgspec.field(name="from", default=msgspec.UNSET)
    to: T | msgspec.UnsetType = msgspec.UNSET


@dataclass(frozen=True, slots=True, kw_only=True)
class EventDefinition:
    """A type of event that the platform itself raises.

    `struct` is the shape of the stored payload: the inner `payload` of the domain family, the whole body of
    the flat family, the JSON payload of a record. `kind` belongs to the domain family only. `criticality` is
    the default (1 the most serious, 5 the least, 0 not applicable), `target` the type of the entity
    concerned, `sample` a documented instance of `struct`.

    Raises:
        ValueError: when the fields contradict each other.
    """

    type: str
    family: Family
    kind: str | None = None
    code: int
    criticality: int
    target: str
    struct: StructType
    sample: msgspec.Struct
    meaning: str

    def __post_init__(self) -> None:
        if (self.kind is not None) != (self.family == "domain"):
            raise ValueError(f"{self.type}: the domain family has a kind, the others have none.")
        if not 0 <= self.code < FIRST_FREE_CODE:
            raise ValueError(f"{self.type}: code {self.code} is not one of the platform's.")
        if not 0 <= self.criticality <= LEAST_CRITICALITY:
            raise ValueError(f"{self.type}: {self.criticality} is no criticality.")
        if not isinstance(self.sample, self.struct):
            raise ValueError(f"{self.type}: the sample is not an instance of the struct.")


class Catalog:
    """Event definitions, found by type and listed by rising code.

    Raises:
        ValueError: when two definitions share a type or a code.
    """

    def __init__(self, definitions: tuple[EventDefinition, ...]) -> None:
        for name in ("type", "code"):
            counts = Counter(getattr(definition, name) for definition in definitions)
            repeated = sorted(value for value, count in counts.items() if count > 1)
            if repeated:
                raise ValueError(f"Several definitions have the same {name}: {repeated}.")
        by_code = sorted(definitions, key=attrgetter("code"))
        self._by_type = {definition.type: definition for definition in by_code}

    def __iter__(self) -> Iterator[EventDefinition]:
        return iter(self._by_type.values())

    def __len__(self) -> int:
        return len(self._by_type)

    def get(self, type: str) -> EventDefinition | None:
        """Return the definition of a type, if it is one of the platform's."""
        return self._by_type.get(type)

    def check(self, type: str, payload: bytes) -> None:
        """Refuse a payload that is not what its type stores.

        Raises:
            Invalid: with a fault, by RFC 6901 pointer, for every broken rule; also when the type is unknown.
        """
        definition = self.get(type)
        if definition is None:
            raise Invalid.at("/type", "unknown-type", f"The platform has no event type {type!r}.")
        strict_json.read(payload, definition.struct)

    @staticmethod
    def schema(definition: EventDefinition) -> dict[str, Any]:
        """Describe the stored payload as a self-contained JSON Schema (draft 2020-12)."""
        return _document(definition, msgspec.json.schema(definition.struct))

    @staticmethod
    def wire_schema(definition: EventDefinition) -> dict[str, Any]:
        """Describe the body that receivers get as a self-contained JSON Schema (draft 2020-12).

        Of the native record only what the definition fixes is described; it has further fields.
        """
        payload = msgspec.json.schema(definition.struct)
        if definition.family == "flat":
            return _document(definition, payload)
        definitions = payload.pop("$defs")
        if definition.family == "domain":
            fields: dict[str, Any] = {
                "id": {"type": "string"},
                "kind": {"const": definition.kind},
                "type": {"const": definition.type},
                "payload": payload,
            }
        else:
            fields = {
                "type": {"const": definition.type},
                "family": {"const": definition.family},
                "eventCode": {"const": definition.code},
                "internal": {"const": True},
                "payloadContentType": {"const": "application/json"},
                "payload": payload,
            }
        shape = {
            "type": "object",
            "properties": fields,
            "required": list(fields),
            "additionalProperties": definition.family == "record",
            "$defs": definitions,
        }
        return _document(definition, shape)


def _document(definition: EventDefinition, shape: dict[str, Any]) -> dict[str, Any]:
    return {"$schema": DIALECT, "title": definition.type, "description": definition.meaning, **shape}
