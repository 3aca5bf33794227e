"""`/v1/event-types`: the platform's catalogue and the tenant's own types, in one list."""

from __future__ import annotations

import re
from functools import partial
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from heliograph.catalog import actions
from heliograph.catalog.actions import TypeWish
from heliograph.catalog.definition import Catalog, EventDefinition
from heliograph.catalog.model import OwnType
from heliograph.catalog.system import SYSTEM
from heliograph.errors import Denied, NotFound
from heliograph.eventlog.submission import Code, Criticality
from heliograph.http.lists import TenantQuery, etag, wanted_version
from heliograph.http.messages import Request, Response, json_response
from heliograph.http.services import change
from heliograph.storage.engine import Transaction
from heliograph.strict_json import END_OF_TEXT
from heliograph.tenancy.model import Scope

CREATE, READ = "create event_type.tenant", "read event_type.tenant"
UPDATE, DELETE = "update event_type.tenant", "delete event_type.tenant"

_encode = msgspec.json.Encoder().encode

_NAME = r"[A-Za-z0-9]([A-Za-z0-9._:-]*[A-Za-z0-9])?"
_TYPE_NAME = re.compile(_NAME)
OwnTypeName = Annotated[str, msgspec.Meta(min_length=1, max_length=255, pattern="^" + _NAME + END_OF_TEXT)]


class NewType(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """A type to register: its events obey `schema` (JSON Schema) and get the defaults where they lack a value."""

    type: OwnTypeName
    schema: dict[str, Any] | None = None
    default_code: Code | None = None
    default_criticality: Criticality | None = None


class TypePatch(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """What to change; null removes a value, what is left out stays."""

    schema: dict[str, Any] | UnsetType | None = UNSET
    default_code: Code | UnsetType | None = UNSET
    default_criticality: Criticality | UnsetType | None = UNSET


class TypeSummary(msgspec.Struct, frozen=True, rename="camel"):
    """A type in the list: one of the platform's (`internal`) or one of the tenant's own."""

    type: str
    internal: bool
    family: Literal["record", "domain", "flat"]
    kind: str | None
    event_code: int | None
    criticality: int | None
    target_entity_type: str | None
    meaning: str | None


class TypeBody(TypeSummary, frozen=True, rename="camel"):
    """A type with the JSON Schema of its stored payload and, for the platform's own, a sample of it."""

    schema: Any = None
    sample: Any = None


class TypeList(msgspec.Struct, frozen=True, rename="camel"):
    """All types that events of the tenant may have by name."""

    data: list[TypeSummary]
    next_cursor: str | None


def summary_of(definition: EventDefinition) -> dict[str, Any]:
    """Return the summary's fields for one of the platform's types."""
    return {
        "type": definition.type,
        "internal": True,
        "family": definition.family,
        "kind": definition.kind,
        "event_code": definition.code,
        "criticality": definition.criticality,
        "target_entity_type": definition.target,
        "meaning": definition.meaning,
    }


def _own_summary(own: OwnType) -> dict[str, Any]:
    return {
        "type": own.type,
        "internal": False,
        "family": "record",
        "kind": None,
        "event_code": own.default_code,
        "criticality": own.default_criticality,
        "target_entity_type": None,
        "meaning": None,
    }


def _own_body(own: OwnType) -> TypeBody:
    return TypeBody(**_own_summary(own), schema=None if own.schema is None else msgspec.Raw(own.schema))


async def list_types(request: Request) -> Response:
    """List the platform's types by code, then the tenant's own by name."""
    scope = await _scope(request, READ)
    own = await request.services.read(partial(actions.own_types, scope=scope))
    data = [TypeSummary(**summary_of(definition)) for definition in SYSTEM]
    data += [TypeSummary(**_own_summary(type)) for type in own]
    return json_response(200, TypeList(data, None))


async def show_type(request: Request) -> Response:
    """Return one type with its schema."""
    scope = await _scope(request, READ)
    definition = SYSTEM.get(_name(request))
    if definition is not None:
        body = TypeBody(**summary_of(definition), schema=Catalog.schema(definition), sample=definition.sample)
        return json_response(200, body)
    own = await request.services.read(partial(actions.get_type, scope=scope, type=_name(request)))
    return json_response(200, _own_body(own), [etag(own.version)])


async def create_type(request: Request) -> Response:
    """Register one of the tenant's own types."""
    scope = await _scope(request, CREATE)
    new = request.json(NewType)
    wish = TypeWish(_schema(new.schema), new.default_code, new.default_criticality)

    def act(tx: Transaction) -> tuple[bytes, bytes]:
        body = _encode(_own_body(actions.create_type(tx, scope, new.type, wish)))
        return body, body

    response = await change(request, scope, act)
    request.services.types.forget(scope)
    return response


async def update_type(request: Request) -> Response:
    """Change the schema or defaults of one of the tenant's own types."""
    scope = await _scope(request, UPDATE)
    name = _own_name(request)
    patch = request.json(TypePatch)
    step = partial(_update, scope=scope, name=name, version=wanted_version(request), patch=patch)
    own = await request.services.write(step, [scope.tenant_id])
    request.services.types.forget(scope)
    return json_response(200, _own_body(own), [etag(own.version)])


def _update(tx: Transaction, scope: Scope, name: str, version: int | None, patch: TypePatch) -> OwnType:
    own = actions.get_type(tx, scope, name)
    wish = TypeWish(
        own.schema if patch.schema is UNSET else _schema(patch.schema),
        own.default_code if patch.default_code is UNSET else patch.default_code,
        own.default_criticality if patch.default_criticality is UNSET else patch.default_criticality,
    )
    return actions.update_type(tx, scope, name, version, wish)


async def delete_type(request: Request) -> Response:
    """Remove one of the tenant's own types; its events stay."""
    scope = await _scope(request, DELETE)
    step = partial(actions.delete_type, scope=scope, type=_own_name(request), version=wanted_version(request))
    await request.services.write(step, [scope.tenant_id])
    request.services.types.forget(scope)
    return Response(204)


def _name(request: Request) -> str:
    """Return the type that the path names; what no type can be called does not exist."""
    name = request.parameters["type"]
    if not _TYPE_NAME.fullmatch(name):
        raise NotFound("There is no such event type.")
    return name


def _own_name(request: Request) -> str:
    name = _name(request)
    if SYSTEM.get(name) is not None:
        raise Denied(f"{name!r} is one of the platform's types, which nobody can change.")
    return name


def _schema(document: dict[str, Any] | None) -> bytes | None:
    return None if document is None else _encode(document)


async def _scope(request: Request, permission: str) -> Scope:
    return await request.services.scope(request.known, permission, request.query(TenantQuery).tenant_uid)
