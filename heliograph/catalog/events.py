"""What the log says about event types that tenants register."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import UNSET, Meta, UnsetType

from heliograph.catalog.definition import CamelBody, EventDefinition, OptionalChange
from heliograph.eventlog.model import LARGEST_CODE, LEAST_CRITICALITY

Code = Annotated[int, Meta(ge=0, le=LARGEST_CODE)]
Criticality = Annotated[int, Meta(ge=0, le=LEAST_CRITICALITY)]


class EventTypeCreated(CamelBody, frozen=True, kw_only=True):
    """Payload of `EventType.Created`."""

    type: str
    schema: dict[str, Any] | UnsetType = UNSET
    default_code: Code | UnsetType = UNSET
    default_criticality: Criticality | UnsetType = UNSET


class SchemaChange(OptionalChange[dict[str, Any]], frozen=True, kw_only=True):
    """The schema before and after; left out on the side where the type has none."""


class CodeChange(OptionalChange[Code], frozen=True, kw_only=True):
    """The default code before and after; left out on the side where the type has none."""


class CriticalityChange(OptionalChange[Criticality], frozen=True, kw_only=True):
    """The default criticality before and after; left out on the side where the type has none."""


class EventTypeChanges(CamelBody, frozen=True, kw_only=True):
    """The settings that changed."""

    schema: SchemaChange | UnsetType = UNSET
    default_code: CodeChange | UnsetType = UNSET
    default_criticality: CriticalityChange | UnsetType = UNSET


class EventTypeUpdated(CamelBody, frozen=True, kw_only=True):
    """Payload of `EventType.Updated`."""

    type: str
    changes: EventTypeChanges


class EventTypeDeleted(CamelBody, frozen=True, kw_only=True):
    """Payload of `EventType.Deleted`."""

    type: str


_TYPE = "coldstore.door.left_open"
_SCHEMA = {"type": "object", "properties": {"minutes": {"type": "integer"}}, "required": ["minutes"]}

EVENT_TYPE_CREATED = EventDefinition(
    type="EventType.Created",
    family="record",
    code=1400,
    criticality=4,
    target="EventType",
    struct=EventTypeCreated,
    sample=EventTypeCreated(type=_TYPE, schema=_SCHEMA, default_code=12_000, default_criticality=3),
    meaning="A tenant registered a type of event of its own.",
)

EVENT_TYPE_UPDATED = EventDefinition(
    type="EventType.Updated",
    family="record",
    code=1401,
    criticality=4,
    target="EventType",
    struct=EventTypeUpdated,
    sample=EventTypeUpdated(
        type=_TYPE,
        changes=EventTypeChanges(
            schema=SchemaChange(from_=_SCHEMA, to={**_SCHEMA, "additionalProperties": False}),
            default_code=CodeChange(from_=12_000, to=12_001),
            default_criticality=CriticalityChange(from_=3, to=2),
        ),
    ),
    meaning="The schema or the defaults of a tenant's own type changed.",
)

EVENT_TYPE_DELETED = EventDefinition(
    type="EventType.Deleted",
    family="record",
    code=1402,
    criticality=3,
    target="EventType",
    struct=EventTypeDeleted,
    sample=EventTypeDeleted(type=_TYPE),
    meaning="A tenant removed a type of its own; events of that type stay in the log.",
)

EVENTS: tuple[EventDefinition, ...] = (EVENT_TYPE_CREATED, EVENT_TYPE_UPDATED, EVENT_TYPE_DELETED)
