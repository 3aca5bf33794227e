"""The table of tenants' own event types."""

from __future__ import annotations

from heliograph.catalog.model import OwnType
from heliograph.storage.engine import Row, Transaction
from heliograph.tenancy.model import Scope

_TYPE = "select type, schema, default_code, default_criticality, created_at, updated_at, version from event_type"


def insert_type(tx: Transaction, scope: Scope, own: OwnType) -> None:
    """Add a type to the scope's tenant."""
    tx.run(
        "insert into event_type (tenant_id, type, schema, default_code, default_criticality, created_at, updated_at,"
        " version) values (:tenant_id, :type, :schema, :code, :criticality, :created_at, :updated_at, 1)",
        tenant_id=scope.tenant_id, type=own.type, schema=own.schema, code=own.default_code,
        criticality=own.default_criticality, created_at=own.created_at, updated_at=own.updated_at,
    )  # fmt: skip


def update_type(tx: Transaction, scope: Scope, own: OwnType) -> None:
    """Replace what can change of a type; its version rises."""
    tx.run(
        "update event_type set schema = :schema, default_code = :code, default_criticality = :criticality,"
        " updated_at = :now, version = version + 1 where tenant_id = :tenant_id and type = :type",
        tenant_id=scope.tenant_id, type=own.type, schema=own.schema, code=own.default_code,
        criticality=own.default_criticality, now=tx.now,
    )  # fmt: skip


def delete_type(tx: Transaction, scope: Scope, type: str) -> None:
    """Remove a type; events that were published under it stay as they are."""
    tx.run("delete from event_type where tenant_id = :tenant_id and type = :type", tenant_id=scope.tenant_id, type=type)


def find_type(tx: Transaction, scope: Scope, type: str) -> OwnType | None:
    """Read one type of the scope's tenant."""
    row = tx.one(f"{_TYPE} where tenant_id = :tenant_id and type = :type", tenant_id=scope.tenant_id, type=type)
    return _own_type(row) if row else None


def list_types(tx: Transaction, scope: Scope, after: str, limit: int) -> list[OwnType]:
    """Read the tenant's types in the order of their names."""
    rows = tx.all(
        f"{_TYPE} where tenant_id = :tenant_id and type > :after order by type limit :limit",
        tenant_id=scope.tenant_id, after=after, limit=limit,
    )  # fmt: skip
    return [_own_type(row) for row in rows]


def _own_type(row: Row) -> OwnType:
    return OwnType(
        type=row[0], schema=row[1], default_code=row[2], default_criticality=row[3], created_at=row[4],
        updated_at=row[5], version=row[6],
    )  # fmt: skip
