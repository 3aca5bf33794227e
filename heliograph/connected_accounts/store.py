"""The table of connected accounts."""

from __future__ import annotations

from typing import Any

import msgspec

from heliograph.connected_accounts.model import AccountFilter, ConnectedAccount
from heliograph.devices.model import Condition, CustomMetadata, fold
from heliograph.storage.engine import Row, Transaction
from heliograph.storage.statements import begins_with, placeholders
from heliograph.tenancy.model import Scope

_ACCOUNT = (
    "select uid, name, provider, state, custom_metadata, errors, warnings, created_at, updated_at, version"
    " from connected_account"
)

_encode = msgspec.json.Encoder().encode
_conditions = msgspec.json.Decoder(tuple[Condition, ...]).decode
_metadata = msgspec.json.Decoder(CustomMetadata).decode


def insert(tx: Transaction, scope: Scope, account: ConnectedAccount) -> None:
    """Add an account."""
    tx.run(
        "insert into connected_account (tenant_id, uid, name, name_key, provider, state, custom_metadata, errors,"
        " warnings, created_at, updated_at, version) values (:tenant_id, :uid, :name, :name_key, :provider, :state,"
        " :custom_metadata, :errors, :warnings, :created_at, :updated_at, :version)",
        tenant_id=scope.tenant_id, provider=account.provider, created_at=account.created_at, **_changeable(account),
    )  # fmt: skip


def update(tx: Transaction, scope: Scope, account: ConnectedAccount) -> None:
    """Replace what can change of an account."""
    tx.run(
        "update connected_account set name = :name, name_key = :name_key, state = :state,"
        " custom_metadata = :custom_metadata, errors = :errors, warnings = :warnings, updated_at = :updated_at,"
        " version = :version where tenant_id = :tenant_id and uid = :uid",
        tenant_id=scope.tenant_id, **_changeable(account),
    )  # fmt: skip


def delete(tx: Transaction, scope: Scope, uid: bytes) -> None:
    """Remove an account; its devices are not looked at."""
    tx.run(
        "delete from connected_account where tenant_id = :tenant_id and uid = :uid",
        tenant_id=scope.tenant_id, uid=uid,
    )  # fmt: skip


def find(tx: Transaction, scope: Scope, uid: bytes) -> ConnectedAccount | None:
    """Read one account."""
    row = tx.one(f"{_ACCOUNT} where tenant_id = :tenant_id and uid = :uid", tenant_id=scope.tenant_id, uid=uid)
    return None if row is None else _account(row)


def list_page(tx: Transaction, scope: Scope, wanted: AccountFilter, after: bytes, limit: int) -> list[ConnectedAccount]:
    """Read the accounts that pass every filter, in the order of their uids."""
    conditions, values = _conditions_of(wanted)
    rows = tx.all(
        f"{_ACCOUNT} where tenant_id = :tenant_id and uid > :after{conditions} order by uid limit :limit",
        tenant_id=scope.tenant_id, after=after, limit=limit, **values,
    )  # fmt: skip
    return [_account(row) for row in rows]


def _conditions_of(wanted: AccountFilter) -> tuple[str, dict[str, Any]]:
    """Return the filters as SQL, each beginning with `and`, and the values that they name."""
    conditions = ""
    values: dict[str, Any] = {}
    if wanted.states:
        # By itself SQLite would go through the whole tenant in the order of the list.
        names, values = placeholders("state", wanted.states)
        in_state = f"select uid from connected_account where tenant_id = :tenant_id and state in ({names})"
        conditions += f" and uid in ({in_state} and uid > :after)"
    if wanted.uids:
        names, more = placeholders("uid", wanted.uids)
        conditions += f" and uid in ({names})"
        values |= more
    if wanted.providers:
        names, more = placeholders("provider", wanted.providers)
        conditions += f" and provider in ({names})"
        values |= more
    if wanted.name_prefix:
        condition, more = begins_with("connected_account", "name_key", wanted.name_prefix)
        conditions += f" and {condition}"
        values |= more
    return conditions, values


def _changeable(account: ConnectedAccount) -> dict[str, Any]:
    return {
        "uid": account.uid,
        "name": account.name,
        "name_key": fold(account.name),
        "state": account.state,
        "custom_metadata": _encode(account.custom_metadata),
        "errors": _encode(account.errors),
        "warnings": _encode(account.warnings),
        "updated_at": account.updated_at,
        "version": account.version,
    }


def _account(row: Row) -> ConnectedAccount:
    return ConnectedAccount(
        uid=row[0],
        name=row[1],
        provider=row[2],
        state=row[3],
        custom_metadata=_metadata(row[4]),
        errors=_conditions(row[5]),
        warnings=_conditions(row[6]),
        created_at=row[7],
        updated_at=row[8],
        version=row[9],
    )
