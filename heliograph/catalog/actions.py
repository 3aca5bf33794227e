"""What can be done to a tenant's own event types, and the check that every caller's event passes."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from heliograph import publish
from heliograph.catalog import events, store
from heliograph.catalog.model import OwnType, compile_schema
from heliograph.catalog.system import SYSTEM
from heliograph.errors import Conflict, NotFound, require_version
from heliograph.storage.engine import Transaction
from heliograph.tenancy.model import Scope

LARGEST_TYPE_COUNT = 1000
"""Own types of one tenant."""


class TypeWish(msgspec.Struct, frozen=True):
    """What a tenant wants of a type; `schema` is JSON, checked before."""

    schema: bytes | None
    default_code: int | None
    default_criticality: int | None


def create_type(tx: Transaction, scope: Scope, type: str, wish: TypeWish) -> OwnType:
    """Register one of the tenant's own types.

    Raises:
        Conflict: when the platform or the tenant has the type already, or the tenant has too many.
        Invalid: when the schema cannot be used.
    """
    if SYSTEM.get(type) is not None or store.find_type(tx, scope, type) is not None:
        raise Conflict(f"The type {type!r} exists already.")
    if len(store.list_types(tx, scope, "", LARGEST_TYPE_COUNT)) >= LARGEST_TYPE_COUNT:
        raise Conflict(f"A tenant has at most {LARGEST_TYPE_COUNT} types of its own.")
    _check_schema(wish.schema)
    own = OwnType(
        type=type, schema=wish.schema, default_code=wish.default_code, default_criticality=wish.default_criticality,
        created_at=tx.now, updated_at=tx.now, version=1,
    )  # fmt: skip
    store.insert_type(tx, scope, own)
    body = events.EventTypeCreated(
        type=type,
        schema=_document(own.schema),
        default_code=_given(own.default_code),
        default_criticality=_given(own.default_criticality),
    )
    publish.record(tx, scope, events.EVENT_TYPE_CREATED, type, lambda _: body)
    return own


def get_type(tx: Transaction, scope: Scope, type: str) -> OwnType:
    """Return one of the tenant's own types.

    Raises:
        NotFound: when the tenant has no such type.
    """
    own = store.find_type(tx, scope, type)
    if own is None:
        raise NotFound("There is no such event type.")
    return own


def update_type(tx: Transaction, scope: Scope, type: str, version: int | None, wish: TypeWish) -> OwnType:
    """Replace a type's schema and defaults; events published before stay as they are.

    Raises:
        NotFound, PreconditionFailed: as for every change of a resource.
        Invalid: when the schema cannot be used.
    """
    before = get_type(tx, scope, type)
    require_version(version, before.version)
    _check_schema(wish.schema)
    after = msgspec.structs.replace(
        before, schema=wish.schema, default_code=wish.default_code, default_criticality=wish.default_criticality
    )
    if after == before:
        return before
    store.update_type(tx, scope, after)
    body = events.EventTypeUpdated(type=type, changes=_changes(before, after))
    publish.record(tx, scope, events.EVENT_TYPE_UPDATED, type, lambda _: body)
    return msgspec.structs.replace(after, version=before.version + 1, updated_at=tx.now)


def delete_type(tx: Transaction, scope: Scope, type: str, version: int | None) -> None:
    """Remove a type; its events stay, and new ones are accepted as those of an unregistered type.

    Raises:
        NotFound, PreconditionFailed: as for every change of a resource.
    """
    require_version(version, get_type(tx, scope, type).version)
    store.delete_type(tx, scope, type)
    body = events.EventTypeDeleted(type=type)
    publish.record(tx, scope, events.EVENT_TYPE_DELETED, type, lambda _: body)


def own_types(tx: Transaction, scope: Scope) -> list[OwnType]:
    """Return all of the tenant's own types."""
    return store.list_types(tx, scope, "", LARGEST_TYPE_COUNT)


def _check_schema(schema: bytes | None) -> None:
    if schema is not None:
        compile_schema(schema)


def _changes(before: OwnType, after: OwnType) -> events.EventTypeChanges:
    """Name what changed; a value that is missing on one side is left out there."""
    schema: events.SchemaChange | UnsetType = UNSET
    code: events.CodeChange | UnsetType = UNSET
    criticality: events.CriticalityChange | UnsetType = UNSET
    if before.schema != after.schema:
        schema = events.SchemaChange(from_=_document(before.schema), to=_document(after.schema))
    if before.default_code != after.default_code:
        code = events.CodeChange(from_=_given(before.default_code), to=_given(after.default_code))
    if before.default_criticality != after.default_criticality:
        criticality = events.CriticalityChange(
            from_=_given(before.default_criticality), to=_given(after.default_criticality)
        )
    return events.EventTypeChanges(schema=schema, default_code=code, default_criticality=criticality)


def _given(value: int | None) -> int | UnsetType:
    return UNSET if value is None else value


def _document(schema: bytes | None) -> dict[str, Any] | UnsetType:
    return UNSET if schema is None else msgspec.json.decode(schema, type=dict[str, Any])
