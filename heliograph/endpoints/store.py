"""The tables of endpoints, and of whose events each of them gets."""

from __future__ import annotations

from typing import Any

import msgspec

from heliograph.endpoints.model import Endpoint, EndpointSettings, Health, Reach, State
from heliograph.storage.engine import Row, Table, Transaction
from heliograph.storage.statements import placeholders
from heliograph.tenancy.model import Scope

_ENDPOINTS = Table(
    "endpoint",
    {
        "tenant_id": "bigint", "uid": "bytes", "url": "text", "state": "text", "settings": "bytes", "secrets": "bytes",
        "health": "bytes", "created_at": "bigint", "updated_at": "bigint", "version": "bigint",
    },
)  # fmt: skip
_COLUMNS = "uid, url, state, settings, secrets, health, created_at, updated_at, version"
_ENDPOINT = f"select {_COLUMNS} from endpoint where tenant_id = :tenant_id"

_encode = msgspec.json.Encoder().encode
_settings = msgspec.json.Decoder(EndpointSettings).decode
_health = msgspec.json.Decoder(Health).decode


# -- endpoints ------------------------------------------------------------------------------------------------------


def insert(tx: Transaction, scope: Scope, endpoint: Endpoint) -> None:
    """Add an endpoint."""
    tx.insert(_ENDPOINTS, [_row(scope, endpoint)])


def update(tx: Transaction, scope: Scope, endpoint: Endpoint) -> None:
    """Replace what is stored of an endpoint."""
    values = dict(zip(_ENDPOINTS.columns, _row(scope, endpoint), strict=True))
    changed = {name: value for name, value in values.items() if name not in {"tenant_id", "uid", "created_at"}}
    tx.run(
        f"update endpoint set {', '.join(f'{name} = :{name}' for name in changed)}"
        " where tenant_id = :tenant_id and uid = :uid",
        tenant_id=scope.tenant_id, uid=endpoint.uid, **changed,
    )  # fmt: skip


def delete(tx: Transaction, scope: Scope, uid: bytes) -> None:
    """Remove an endpoint."""
    tx.run("delete from endpoint where tenant_id = :tenant_id and uid = :uid", tenant_id=scope.tenant_id, uid=uid)


def find(tx: Transaction, scope: Scope, uid: bytes) -> Endpoint | None:
    """Read one endpoint that the tenant owns."""
    row = tx.one(f"{_ENDPOINT} and uid = :uid", tenant_id=scope.tenant_id, uid=uid)
    return None if row is None else _endpoint(row)


def list_page(tx: Transaction, scope: Scope, states: tuple[State, ...], after: bytes, limit: int) -> list[Endpoint]:
    """Read the tenant's own endpoints in the order of their uids."""
    condition = ""
    values: dict[str, Any] = {}
    if states:
        names, values = placeholders("state", states)
        condition = f" and state in ({names})"
    rows = tx.all(
        f"{_ENDPOINT} and uid > :after{condition} order by uid limit :limit",
        tenant_id=scope.tenant_id, after=after, limit=limit, **values,
    )  # fmt: skip
    return [_endpoint(row) for row in rows]


def count(tx: Transaction, scope: Scope, most: int) -> int:
    """Return how many endpoints the tenant owns, at most `most`."""
    rows = tx.all(
        "select 1 from endpoint where tenant_id = :tenant_id limit :most", tenant_id=scope.tenant_id, most=most
    )
    return len(rows)


# -- whose events they get ------------------------------------------------------------------------------------------


def reaching(tx: Transaction, scope: Scope) -> list[Endpoint]:
    """Read the endpoints that reach the tenant's log, whoever owns them."""
    columns = ", ".join(f"e.{name}" for name in _COLUMNS.split(", "))
    rows = tx.all(
        f"select {columns} from endpoint_reach r join endpoint e on e.tenant_id = r.owner_id"
        " and e.uid = r.endpoint_uid where r.tenant_id = :tenant_id order by r.endpoint_uid",
        tenant_id=scope.tenant_id,
    )
    return [_endpoint(row) for row in rows]


def reaches_of(tx: Transaction, scope: Scope) -> list[Reach]:
    """Read which endpoints get the events of the tenant's log."""
    rows = tx.all(
        "select endpoint_uid, owner_id, from_seq from endpoint_reach where tenant_id = :tenant_id"
        " order by endpoint_uid",
        tenant_id=scope.tenant_id,
    )
    return [Reach(*row) for row in rows]


def insert_reach(tx: Transaction, scope: Scope, owner_id: int, endpoint_uid: bytes) -> None:
    """Let an endpoint have the events of the tenant's log from the next one on."""
    tx.run(
        "insert into endpoint_reach (tenant_id, endpoint_uid, owner_id, from_seq)"
        " select :tenant_id, :endpoint_uid, :owner_id, next_seq from head where tenant_id = :tenant_id",
        tenant_id=scope.tenant_id, endpoint_uid=endpoint_uid, owner_id=owner_id,
    )  # fmt: skip


def delete_reach(tx: Transaction, scope: Scope, endpoint_uid: bytes) -> None:
    """Let an endpoint have no more events of the tenant's log."""
    tx.run(
        "delete from endpoint_reach where tenant_id = :tenant_id and endpoint_uid = :endpoint_uid",
        tenant_id=scope.tenant_id, endpoint_uid=endpoint_uid,
    )  # fmt: skip


def set_version(tx: Transaction, scope: Scope, version: int) -> None:
    """Name the set of endpoints that get the events of the tenant's log anew."""
    tx.run(
        "update head set endpoints = :version where tenant_id = :tenant_id",
        tenant_id=scope.tenant_id, version=version,
    )  # fmt: skip


def _row(scope: Scope, one: Endpoint) -> Row:
    return (
        scope.tenant_id, one.uid, one.url, one.state, _encode(one.settings), one.sealed_secrets, _encode(one.health),
        one.created_at, one.updated_at, one.version,
    )  # fmt: skip


def _endpoint(row: Row) -> Endpoint:
    return Endpoint(
        uid=row[0], url=row[1], state=row[2], settings=_settings(row[3]), sealed_secrets=row[4],
        health=_health(row[5]), created_at=row[6], updated_at=row[7], version=row[8],
    )  # fmt: skip
