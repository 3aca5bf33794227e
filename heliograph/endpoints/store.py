"""The tables of endpoints, and of whose events each of them gets."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from heliograph.endpoints.model import Endpoint, EndpointSettings, Gap, Health, Reach, State
from heliograph.storage.engine import Row, Table, Transaction
from heliograph.storage.statements import batches, placeholders
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
_REACHED = "select tenant_id from endpoint_reach where owner_id = :owner_id and endpoint_uid = :endpoint_uid"

_encode = msgspec.json.Encoder().encode
_settings = msgspec.json.Decoder(EndpointSettings).decode
_health = msgspec.json.Decoder(Health).decode


# -- endpoints ------------------------------------------------------------------------------------------------------


def insert(tx: Transaction, scope: Scope, endpoint: Endpoint) -> None:
    """Add an endpoint."""
    tx.insert(_ENDPOINTS, [_row(scope, endpoint)])


def update(tx: Transaction, scope: Scope, endpoint: Endpoint) -> None:
    """Replace what callers change of an endpoint; how it fares is not touched."""
    tx.run(
        "update endpoint set url = :url, state = :state, settings = :settings, secrets = :secrets,"
        " updated_at = :updated_at, version = :version where tenant_id = :tenant_id and uid = :uid",
        tenant_id=scope.tenant_id, uid=endpoint.uid, url=endpoint.url, state=endpoint.state,
        settings=_encode(endpoint.settings), secrets=endpoint.sealed_secrets, updated_at=endpoint.updated_at,
        version=endpoint.version,
    )  # fmt: skip


def save_health(tx: Transaction, scope: Scope, uid: bytes, health: Health) -> None:
    """Replace what is known of how an endpoint fares."""
    tx.run(
        "update endpoint set health = :health where tenant_id = :tenant_id and uid = :uid",
        tenant_id=scope.tenant_id, uid=uid, health=_encode(health),
    )  # fmt: skip


def delete(tx: Transaction, scope: Scope, uid: bytes) -> None:
    """Remove an endpoint."""
    tx.run("delete from endpoint where tenant_id = :tenant_id and uid = :uid", tenant_id=scope.tenant_id, uid=uid)


def find(tx: Transaction, scope: Scope, uid: bytes, *, lock: bool = False) -> Endpoint | None:
    """Read one endpoint that the tenant owns; with `lock`, nobody else changes it before this transaction ends."""
    locked = " for update" if lock and tx.dialect == "postgres" else ""
    row = tx.one(f"{_ENDPOINT} and uid = :uid{locked}", tenant_id=scope.tenant_id, uid=uid)
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


def insert_reaches(tx: Transaction, scope: Scope, endpoint_uid: bytes, tenant_ids: Iterable[int]) -> None:
    """Let an endpoint of the tenant have the events of these tenants' logs, from the next one of each on."""
    for numbers in batches(tenant_ids):
        names, values = placeholders("number", numbers)
        tx.run(
            "insert into endpoint_reach (tenant_id, endpoint_uid, owner_id, from_seq)"
            f" select tenant_id, :endpoint_uid, :owner_id, next_seq from head where tenant_id in ({names})",
            endpoint_uid=endpoint_uid, owner_id=scope.tenant_id, **values,
        )  # fmt: skip


def inherit_reaches(tx: Transaction, scope: Scope, parent: Scope) -> None:
    """Let whatever gets the events of the parent's log have those of a new tenant; what is skipped there is so here."""
    tx.run(
        "insert into endpoint_reach (tenant_id, endpoint_uid, owner_id, from_seq)"
        " select h.tenant_id, r.endpoint_uid, r.owner_id, h.next_seq from endpoint_reach r, head h"
        " where r.tenant_id = :parent_id and h.tenant_id = :tenant_id",
        tenant_id=scope.tenant_id, parent_id=parent.tenant_id,
    )  # fmt: skip
    tx.run(
        "insert into endpoint_gap (tenant_id, endpoint_uid, from_seq)"
        " select h.tenant_id, g.endpoint_uid, h.next_seq from endpoint_gap g, head h"
        " where g.tenant_id = :parent_id and g.to_seq is null and h.tenant_id = :tenant_id",
        tenant_id=scope.tenant_id, parent_id=parent.tenant_id,
    )  # fmt: skip


def reached_by(tx: Transaction, scope: Scope, endpoint_uid: bytes) -> list[int]:
    """Read the numbers of the tenants whose events an endpoint of the tenant gets, in their order."""
    rows = tx.all(
        "select tenant_id from endpoint_reach where owner_id = :owner_id and endpoint_uid = :endpoint_uid"
        " order by tenant_id",
        owner_id=scope.tenant_id, endpoint_uid=endpoint_uid,
    )  # fmt: skip
    return [row[0] for row in rows]


def owner_of(tx: Transaction, scope: Scope, endpoint_uid: bytes) -> int | None:
    """Read the number of the tenant that owns an endpoint which gets the events of the tenant's log."""
    row = tx.one(
        "select owner_id from endpoint_reach where tenant_id = :tenant_id and endpoint_uid = :endpoint_uid",
        tenant_id=scope.tenant_id, endpoint_uid=endpoint_uid,
    )  # fmt: skip
    return None if row is None else row[0]


def delete_reaches(tx: Transaction, scope: Scope, endpoint_uid: bytes) -> None:
    """Let an endpoint of the tenant have no more events of any log, and forget which it skipped."""
    for table in ("endpoint_gap", "endpoint_reach"):
        tx.run(
            f"delete from {table} where endpoint_uid = :endpoint_uid and tenant_id in ({_REACHED})",
            owner_id=scope.tenant_id, endpoint_uid=endpoint_uid,
        )  # fmt: skip


def set_versions(tx: Transaction, scope: Scope, endpoint_uid: bytes, version: int) -> None:
    """Name anew the set of endpoints of every log that an endpoint of the tenant reaches."""
    tx.run(
        f"update head set endpoints = :version where tenant_id in ({_REACHED})",
        owner_id=scope.tenant_id, endpoint_uid=endpoint_uid, version=version,
    )  # fmt: skip


def set_version(tx: Transaction, scope: Scope, version: int) -> None:
    """Name the set of endpoints that get the events of the tenant's log anew."""
    tx.run(
        "update head set endpoints = :version where tenant_id = :tenant_id",
        tenant_id=scope.tenant_id, version=version,
    )  # fmt: skip


# -- what they skipped ----------------------------------------------------------------------------------------------


def open_gaps(tx: Transaction, scope: Scope, endpoint_uid: bytes) -> None:
    """Note that an endpoint skips the next events of every log that it reaches."""
    tx.run(
        "insert into endpoint_gap (tenant_id, endpoint_uid, from_seq)"
        " select r.tenant_id, r.endpoint_uid, h.next_seq from endpoint_reach r join head h on h.tenant_id = r.tenant_id"
        " where r.owner_id = :owner_id and r.endpoint_uid = :endpoint_uid",
        owner_id=scope.tenant_id, endpoint_uid=endpoint_uid,
    )  # fmt: skip


def close_gaps(tx: Transaction, scope: Scope, endpoint_uid: bytes) -> None:
    """Note that an endpoint skips no more from the next event of each log on; an interval without events goes."""
    next_seq = "(select next_seq from head where head.tenant_id = endpoint_gap.tenant_id)"
    is_open = f"endpoint_uid = :endpoint_uid and to_seq is null and tenant_id in ({_REACHED})"
    values = {"owner_id": scope.tenant_id, "endpoint_uid": endpoint_uid}
    tx.run(f"delete from endpoint_gap where {is_open} and from_seq = {next_seq}", **values)
    tx.run(f"update endpoint_gap set to_seq = {next_seq} where {is_open}", **values)


def gaps_of(tx: Transaction, scope: Scope, endpoint_uid: bytes) -> list[Gap]:
    """Read which events of the tenant's log an endpoint skipped, in their order."""
    rows = tx.all(
        "select from_seq, to_seq from endpoint_gap where tenant_id = :tenant_id and endpoint_uid = :endpoint_uid"
        " order by from_seq",
        tenant_id=scope.tenant_id, endpoint_uid=endpoint_uid,
    )  # fmt: skip
    return [Gap(*row) for row in rows]


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
