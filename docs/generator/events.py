"""`reference/events.md`: every event type that the platform itself raises or will raise."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import msgspec

from docs.generator import markdown
from docs.generator.meanings import meaning_of
from docs.generator.schema import Reader
from docs.generator.source import used_names
from heliograph.access_codes import events as access_codes
from heliograph.access_codes import managed_events as managed_access_codes
from heliograph.catalog import events as catalog
from heliograph.catalog.definition import Catalog, EventDefinition
from heliograph.catalog.system import SYSTEM
from heliograph.connected_accounts import events as connected_accounts
from heliograph.delivery import events as deliveries
from heliograph.devices import events as devices
from heliograph.endpoints import events as endpoints
from heliograph.eventlog import events as eventlog
from heliograph.jobs import events as jobs
from heliograph.presence import events as presence
from heliograph.provisioning import events as provisioning
from heliograph.references import events as references
from heliograph.tenancy import events as tenancy

CRITICALITIES = {0: "not applicable", 1: "critical", 2: "high", 3: "medium", 4: "low", 5: "trivial"}

_SECTIONS: tuple[tuple[str, ModuleType], ...] = (
    ("The platform itself", eventlog),
    ("Tenants, accounts, keys and grants", tenancy),
    ("Event types", catalog),
    ("Longer work", jobs),
    ("Tags, locations and policies", references),
    ("Connected accounts", connected_accounts),
    ("Devices", devices),
    ("What devices say of themselves", presence),
    ("Provisioning recipes", provisioning),
    ("Access codes: managed", managed_access_codes),
    ("Access codes: unmanaged", access_codes),
    ("Endpoints", endpoints),
    ("Deliveries", deliveries),
)
_ID = "0197b3d1-5275-78a1-b2c3-d4e5f6071829"

_INTRODUCTION = """\
# Event types

The types that belong to the platform. Their events are *internal*: only the platform raises them, callers can
neither use these types nor set `internal`. They lie in the same log as the events of applications and are listed by
the same filters. A tenant's own types are not here; `GET /v1/event-types` lists both.

An event's **family** fixes its body in `format=wire`:

| Family | Body |
|---|---|
| `record` | the native record, with what is described here as its `payload` |
| `domain` | `{id, kind, type, payload}` around it, as signageOS documents its events |
| `flat` | what is described here and nothing around it, as Seam documents its events |

In a *shape* a `?` after a name means that the field may be left out. A field is null only where `| null` stands: in an
event that lists changes, it has no value any more. *Not yet raised* means that the type is fixed and published, and the
feature that raises it is still to come."""


def page() -> str:
    """Return the whole page."""
    raised = _raised()
    parts = [_INTRODUCTION, _overview(raised)]
    for title, module in _SECTIONS:
        parts.append(markdown.heading(2, title))
        parts += [part for definition in module.EVENTS for part in _section(definition, definition.type in raised)]
    return markdown.document("the catalogue (`heliograph/*/events.py`)", *parts)


def _raised() -> frozenset[str]:
    used = used_names()
    constants = {name: value for _, module in _SECTIONS for name, value in vars(module).items()}
    return frozenset(
        value.type for name, value in constants.items() if isinstance(value, EventDefinition) and name in used
    )


def _overview(raised: frozenset[str]) -> str:
    rows = [
        (
            str(definition.code),
            f"[{markdown.code(definition.type)}](#{markdown.anchor(definition.type)})",
            _criticality(definition),
            definition.meaning if definition.type in raised else f"{definition.meaning} *Not yet raised.*",
        )
        for definition in SYSTEM
    ]
    return markdown.table(("Code", "Type", "Criticality", "Meaning"), rows)


def _criticality(definition: EventDefinition) -> str:
    return f"{definition.criticality} {CRITICALITIES[definition.criticality]}"


def _section(definition: EventDefinition, raised: bool) -> list[str]:
    schema = Catalog.schema(definition)
    reader = Reader(schema["$defs"])
    rows = [
        (
            markdown.code(field.name),
            field.type,
            markdown.yes(field.required),
            meaning_of(definition.type, field.name),
        )
        for field in reader.fields(schema)
    ]
    facts = (str(definition.code), _criticality(definition), definition.target, definition.family)
    return [
        markdown.heading(3, markdown.code(definition.type)),
        definition.meaning if raised else f"{definition.meaning} *Not yet raised.*",
        markdown.table(("Code", "Criticality", "Target", "Family"), [facts]),
        markdown.table(("Field", "Type", "Required", "Meaning"), rows),
        "Example:",
        markdown.json_block(_body(definition, msgspec.to_builtins(definition.sample))),
        "Shape:",
        markdown.json_block(_body(definition, reader.shape(schema), of_shape=True)),
    ]


def _body(definition: EventDefinition, payload: Any, *, of_shape: bool = False) -> Any:
    if definition.family != "domain":
        return payload
    identifier = "string" if of_shape else _ID
    return {"id": identifier, "kind": definition.kind, "type": definition.type, "payload": payload}
