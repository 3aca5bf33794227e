"""What can be done to connected accounts; each change is an event in the organization's log."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from heliograph import publish
from heliograph.catalog.definition import EventDefinition
from heliograph.connected_accounts import events, store
from heliograph.connected_accounts.conditions import error_items, warning_items
from heliograph.connected_accounts.model import (
    ACCOUNT_DISCONNECTED,
    AccountFilter,
    ConnectedAccount,
    conditions_of,
    disconnected,
    reconnected,
)
from heliograph.devices.model import CustomMetadata
from heliograph.errors import Invalid, NotFound, PreconditionFailed
from heliograph.ids import as_hex, as_uuid, new_uid
from heliograph.presence.model import Complaint
from heliograph.storage.engine import Transaction
from heliograph.storage.pages import page_of
from heliograph.tenancy.access import require_organization
from heliograph.tenancy.model import Scope
from heliograph.times import print_milliseconds


class AccountPatch(msgspec.Struct, frozen=True, kw_only=True):
    """What to change of an account; each is replaced as a whole, what is UNSET stays."""

    name: str | UnsetType = UNSET
    custom_metadata: CustomMetadata | UnsetType = UNSET
    errors: tuple[Complaint, ...] | UnsetType = UNSET
    warnings: tuple[Complaint, ...] | UnsetType = UNSET

    def onto(self, account: ConnectedAccount, at: int) -> ConnectedAccount:
        """Return the account with these changes, made at that time."""
        given = {name: value for name, value in msgspec.structs.asdict(self).items() if value is not UNSET}
        for name in given.keys() & {"errors", "warnings"}:
            given[name] = conditions_of(getattr(account, name), given[name], at)
        return msgspec.structs.replace(account, **given)


# -- one account ----------------------------------------------------------------------------------------------------


def create(
    tx: Transaction, scope: Scope, *, name: str, provider: str, custom_metadata: CustomMetadata
) -> ConnectedAccount:
    """Add an account, which is connected.

    Raises:
        Conflict: when the tenant is a company.
    """
    require_organization(scope)
    account = ConnectedAccount(
        uid=new_uid(),
        name=name,
        provider=provider,
        custom_metadata=custom_metadata,
        created_at=tx.now,
        updated_at=tx.now,
    )
    store.insert(tx, scope, account)
    _record(tx, scope, events.CONNECTED, account)
    return account


def get(tx: Transaction, scope: Scope, uid: bytes) -> ConnectedAccount:
    """Return one of the organization's accounts.

    Raises:
        NotFound: when it has no such account.
    """
    account = store.find(tx, scope, uid)
    if account is None:
        raise NotFound("There is no such connected account.")
    return account


def list_accounts(
    tx: Transaction, scope: Scope, wanted: AccountFilter, after: bytes, limit: int
) -> tuple[list[ConnectedAccount], bytes | None]:
    """Return a page of the accounts that pass every filter, and the uid to go on after when there are more.

    A page that is sifted (`AccountFilter.sieve`) may be short although there are more.
    """
    return page_of(partial(store.list_page, tx, scope, wanted), after, limit, wanted.sieve)


def update(tx: Transaction, scope: Scope, uid: bytes, version: int | None, patch: AccountPatch) -> ConnectedAccount:
    """Change an account; whether it is connected stays as it is, whatever its errors.

    Raises:
        NotFound, PreconditionFailed: as for every change of a resource.
    """
    before = _present(tx, scope, uid, version)
    after = patch.onto(before, tx.now)
    if after == before:
        return before
    after = _save(tx, scope, after)
    body = events.ConnectedAccountUpdated(uid=as_hex(uid), changes=_changes(before, after))
    publish.record(tx, scope, events.UPDATED, as_hex(uid), lambda _: body)
    return after


def disconnect(
    tx: Transaction, scope: Scope, uid: bytes, version: int | None, reason: Complaint = ACCOUNT_DISCONNECTED
) -> ConnectedAccount:
    """Note that an account lost its connection; the reason becomes one of its errors. Again changes nothing.

    Raises:
        NotFound, PreconditionFailed: as for every change of a resource.
    """
    account = _present(tx, scope, uid, version)
    if account.state == "disconnected":
        return account
    account = _save(tx, scope, disconnected(account, reason, tx.now))
    _record(
        tx, scope, events.DISCONNECTED, account,
        connected_account_errors=error_items(account.errors),
        connected_account_warnings=warning_items(account.warnings),
    )  # fmt: skip
    return account


def reconnect(tx: Transaction, scope: Scope, uid: bytes, version: int | None) -> ConnectedAccount:
    """Note that an account has its connection again, which ends its errors. Again changes nothing.

    Raises:
        NotFound, PreconditionFailed: as for every change of a resource.
    """
    account = _present(tx, scope, uid, version)
    if account.state == "connected":
        return account
    account = _save(tx, scope, reconnected(account))
    _record(tx, scope, events.CONNECTED, account)
    return account


def delete(tx: Transaction, scope: Scope, uid: bytes, version: int | None) -> None:
    """Remove an account; the devices that belong to it are for the caller to change.

    Raises:
        NotFound, PreconditionFailed: as for every change of a resource.
    """
    account = _present(tx, scope, uid, version)
    store.delete(tx, scope, uid)
    _record(tx, scope, events.DELETED, account)


def _present(tx: Transaction, scope: Scope, uid: bytes, version: int | None) -> ConnectedAccount:
    """Return the account that is to be changed."""
    account = get(tx, scope, uid)
    if version is not None and version != account.version:
        raise PreconditionFailed("The connected account has changed since; read it again.")
    return account


def _save(tx: Transaction, scope: Scope, account: ConnectedAccount) -> ConnectedAccount:
    changed = msgspec.structs.replace(account, updated_at=tx.now, version=account.version + 1)
    store.update(tx, scope, changed)
    return changed


# -- for those that refer to them -----------------------------------------------------------------------------------


def find(tx: Transaction, scope: Scope, uid: bytes) -> ConnectedAccount | None:
    """Return one of the organization's accounts, if there is such a one."""
    return store.find(tx, scope, uid)


def by_uid(tx: Transaction, scope: Scope, uids: Iterable[bytes]) -> dict[bytes, ConnectedAccount]:
    """Return those of the uids' accounts that the organization has."""
    asked = tuple(set(uids))
    found = store.list_page(tx, scope, AccountFilter(uids=asked), b"", len(asked)) if asked else []
    return {account.uid: account for account in found}


def require(tx: Transaction, scope: Scope, uid: bytes | None, place: str = "") -> None:
    """Make sure that the account that a device is to belong to, if any, exists in the organization.

    Raises:
        Invalid: when it does not; another organization's is as unknown as any. `place` is the pointer of the object
            that names it.
    """
    if uid is not None and store.find(tx, scope, uid) is None:
        words = "There is no such connected account."
        raise Invalid.at(f"{place}/connectedAccountUid", "unknown-connected-account", words)


# -- telling --------------------------------------------------------------------------------------------------------


def _record(tx: Transaction, scope: Scope, definition: EventDefinition, account: ConnectedAccount, **more: Any) -> None:
    """Put one of the flat events on record; `more` are the fields that not all of them have."""

    def build(stamp: publish.Stamp) -> msgspec.Struct:
        at = print_milliseconds(stamp.recorded_at)
        return definition.struct(
            connected_account_custom_metadata=account.custom_metadata,
            connected_account_id=as_uuid(account.uid),
            created_at=at,
            event_id=as_uuid(stamp.uid),
            event_type=definition.type,
            occurred_at=at,
            workspace_id=as_uuid(bytes.fromhex(scope.tenant_uid)),
            **more,
        )

    publish.record(tx, scope, definition, as_hex(account.uid), build)


def _changes(before: ConnectedAccount, after: ConnectedAccount) -> events.AccountChanges:
    """Name what changed, and nothing else."""
    name: events.AccountNameChange | UnsetType = UNSET
    metadata: events.AccountMetadataChange | UnsetType = UNSET
    errors: events.AccountErrorsChange | UnsetType = UNSET
    warnings: events.AccountWarningsChange | UnsetType = UNSET
    if before.name != after.name:
        name = events.AccountNameChange(from_=before.name, to=after.name)
    if before.custom_metadata != after.custom_metadata:
        metadata = events.AccountMetadataChange(from_=before.custom_metadata, to=after.custom_metadata)
    if before.errors != after.errors:
        errors = events.AccountErrorsChange(from_=_errors(before), to=_errors(after))
    if before.warnings != after.warnings:
        warnings = events.AccountWarningsChange(from_=_warnings(before), to=_warnings(after))
    return events.AccountChanges(name=name, custom_metadata=metadata, errors=errors, warnings=warnings)


def _errors(account: ConnectedAccount) -> tuple[events.AccountError, ...]:
    return tuple(
        events.AccountError(error_code=one.code, message=one.message, created_at=one.created_at)
        for one in account.errors
    )


def _warnings(account: ConnectedAccount) -> tuple[events.AccountWarning, ...]:
    return tuple(
        events.AccountWarning(warning_code=one.code, message=one.message, created_at=one.created_at)
        for one in account.warnings
    )
