"""What can be done to tenants, accounts, keys and grants; each change is an audit event in the tenant concerned."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec import UNSET, UnsetType

from heliograph import publish
from heliograph.endpoints import reach
from heliograph.errors import Conflict, Denied, Invalid, NotFound, require_version
from heliograph.eventlog.model import Actor, RelatedEntity
from heliograph.ids import Secret, Uid, as_hex, new_token, new_uid, parse_uid
from heliograph.storage.engine import Transaction
from heliograph.tenancy import events, store
from heliograph.tenancy.access import hash_token, renewed, require, require_held, scope_of_new, scope_on, visible_roots
from heliograph.tenancy.model import KEY_PREFIXES, Account, Caller, Grant, Holder, Key, KeyFormat, Kind, Scope, Tenant
from heliograph.times import print_time

LARGEST_KEY_COUNT = 10_000
_HINTED = 4
"""Characters of a token, behind its prefix, that its hint shows."""


class GrantWish(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """A right to give: a role or a permission, on a tenant (by default the one concerned)."""

    grant: str
    tenant_uid: str | None = None


class Held(msgspec.Struct, frozen=True):
    """An account or key together with its grants."""

    holder: Account | Key
    grants: list[Grant]


# -- tenants --------------------------------------------------------------------------------------------------------


def create_tenant(tx: Transaction, scope: Scope, kind: Kind, name: str, short_name: str) -> Tenant:
    """Add a company or an organization below the scope's company.

    Raises:
        Conflict: when the parent is no company, or the short name is taken within the root company.
    """
    parent = store.tenant_of(tx, scope)
    if parent.kind != Kind.COMPANY:
        raise Conflict("Only companies contain companies and organizations; name the company by tenantUid.")
    return plant_tenant(tx, scope.actor, parent, kind, name, short_name)[0]


def plant_tenant(
    tx: Transaction, actor: Actor, parent: Tenant | None, kind: Kind, name: str, short_name: str
) -> tuple[Tenant, Scope]:
    """Add a node of the tree with its log, whose first event tells of it.

    Raises:
        Conflict: when the short name is taken within the root company, by a tenant visible to the caller or not.
    """
    number = store.next_number(tx, "tenant")
    tenant = Tenant(
        id=number, uid=new_uid(), parent_uid=parent.uid if parent else None,
        root_id=parent.root_id if parent else number,
        kind=kind, name=name, short_name=short_name, reject_reserved_codes=False, created_at=tx.now, version=1,
    )  # fmt: skip
    scope = scope_of_new(tenant, actor)
    if not store.insert_tenant(tx, tenant, parent.id if parent else None):
        raise Conflict(f"The short name {short_name!r} is taken within the root company.")
    publish.open_log(tx, scope)
    if parent is not None:
        reach.inherit(tx, scope, scope_of_new(parent, actor))
    body = events.TenantCreated(
        uid=as_hex(tenant.uid), name=name, short_name=short_name, kind=kind.value, parent_uid=scope.parent_uid or UNSET
    )
    publish.record(tx, scope, events.TENANT_CREATED, body.uid, lambda _: body)
    return tenant, scope


def list_tenants(tx: Transaction, caller: Caller, after: int, limit: int) -> tuple[list[Tenant], int | None]:
    """Return tenants that the caller may read, and the number after which to go on, or None at the end."""
    tenants = store.list_tenants(tx, visible_roots(caller, "read tenant.tenant"), after, limit + 1)
    page, more = tenants[:limit], len(tenants) > limit
    readable = [t for t in page if "read tenant.tenant" in caller.permissions_at(store.path_of(tx, t.id))]
    return readable, page[-1].id if more else None


def get_tenant(tx: Transaction, scope: Scope) -> Tenant:
    """Return the scope's own tenant."""
    return store.tenant_of(tx, scope)


def update_tenant(
    tx: Transaction, scope: Scope, version: int | None, name: str | None, reject_reserved_codes: bool | None
) -> Tenant:
    """Change name or settings; what is None stays.

    Raises:
        PreconditionFailed: when `version` is given and is not the present one.
    """
    before = store.tenant_of(tx, scope)
    require_version(version, before.version)
    after = msgspec.structs.replace(
        before,
        name=before.name if name is None else name,
        reject_reserved_codes=before.reject_reserved_codes if reject_reserved_codes is None else reject_reserved_codes,
    )
    if after == before:
        return before
    store.update_tenant(tx, scope, after.name, after.reject_reserved_codes)
    body = events.TenantUpdated(uid=scope.tenant_uid, changes=_tenant_changes(before, after))
    publish.record(tx, scope, events.TENANT_UPDATED, scope.tenant_uid, lambda _: body)
    return msgspec.structs.replace(after, version=before.version + 1)


def _tenant_changes(before: Tenant, after: Tenant) -> events.TenantChanges:
    name: events.NameChange | UnsetType = UNSET
    reject: events.SettingChange | UnsetType = UNSET
    if before.name != after.name:
        name = events.NameChange(from_=before.name, to=after.name)
    if before.reject_reserved_codes != after.reject_reserved_codes:
        reject = events.SettingChange(from_=before.reject_reserved_codes, to=after.reject_reserved_codes)
    return events.TenantChanges(name=name, reject_reserved_codes=reject)


# -- accounts -------------------------------------------------------------------------------------------------------


def create_account(tx: Transaction, caller: Caller, scope: Scope, name: str, wishes: Sequence[GrantWish]) -> Held:
    """Add an account at home in the scope's tenant, with rights that the caller holds too.

    Raises:
        Denied: when the caller would give more than they hold.
    """
    account = add_account(tx, scope, name, _granted(tx, renewed(tx, caller), scope, wishes))
    return Held(account, store.grants_of(tx, "account", account.id))


def add_account(tx: Transaction, scope: Scope, name: str, grants: Sequence[tuple[Scope, str]]) -> Account:
    """Add an account with rights that were checked before."""
    number = store.next_number(tx, "account")
    account = Account(
        id=number, uid=new_uid(), tenant_id=scope.tenant_id, name=name, created_at=tx.now, revoked_at=None, version=1
    )
    store.insert_account(tx, scope, account)
    body = events.AccountCreated(
        uid=as_hex(account.uid), account_id=number, name=name, grants=_insert_grants(tx, "account", number, grants)
    )
    publish.record(tx, scope, events.ACCOUNT_CREATED, body.uid, lambda _: body)
    return account


def get_account(tx: Transaction, scope: Scope, uid: Uid) -> Held:
    """Return one of the tenant's accounts.

    Raises:
        NotFound: when the tenant has no such account.
    """
    account = store.find_account(tx, scope, uid)
    if account is None:
        raise NotFound("There is no such account.")
    return Held(account, store.grants_of(tx, "account", account.id))


def list_accounts(tx: Transaction, scope: Scope, after: int, limit: int) -> tuple[list[Held], int | None]:
    """Return the tenant's accounts, and the number after which to go on, or None at the end."""
    accounts = store.list_accounts(tx, scope, after, limit + 1)
    page = [Held(account, store.grants_of(tx, "account", account.id)) for account in accounts[:limit]]
    return page, accounts[limit - 1].id if len(accounts) > limit else None


def rename_account(tx: Transaction, scope: Scope, uid: Uid, version: int | None, name: str) -> Held:
    """Change an account's name.

    Raises:
        NotFound, PreconditionFailed: as for every change of a resource.
    """
    held = get_account(tx, scope, uid)
    account = held.holder
    assert isinstance(account, Account)
    require_version(version, account.version)
    if name != account.name:
        store.rename_account(tx, scope, account.id, name)
        change = events.NameChange(from_=account.name, to=name)
        body = events.AccountUpdated(uid=as_hex(uid), changes=events.AccountChanges(name=change))
        publish.record(tx, scope, events.ACCOUNT_UPDATED, body.uid, lambda _: body)
    return get_account(tx, scope, uid)


def revoke_account(tx: Transaction, scope: Scope, uid: Uid) -> None:
    """End an account for good, and every key it has. Doing it again changes nothing.

    Raises:
        NotFound: when the tenant has no such account.
    """
    account = get_account(tx, scope, uid).holder
    assert isinstance(account, Account)
    if account.revoked_at is None:
        revoked = store.revoke_account(tx, scope, account.id)
        body = events.AccountRevoked(uid=as_hex(uid), account_id=account.id, revoked_keys=revoked)
        publish.record(tx, scope, events.ACCOUNT_REVOKED, body.uid, lambda _: body)


# -- keys -----------------------------------------------------------------------------------------------------------


def create_key(
    tx: Transaction, caller: Caller, scope: Scope, name: str,
    account_uid: Uid | None, wishes: Sequence[GrantWish], expires_at: int | None, format: KeyFormat = "native",
) -> tuple[Held, Secret]:  # fmt: skip
    """Make a key at home in the scope's tenant; its token is returned here and never again.

    Without `account_uid` the key acts for the caller's own account.

    Raises:
        Denied: when the key would hold more than the caller.
        Invalid: when the account is not one of the tenant's or was revoked, or the expiry lies in the past.
        Conflict: when the tenant has as many keys as it may have.
    """
    if expires_at is not None and expires_at <= tx.now:
        raise Invalid.at("/expiresAt", "future", "The expiry must lie in the future.")
    if not store.has_room_for_key(tx, scope, LARGEST_KEY_COUNT):
        raise Conflict(f"A tenant has at most {LARGEST_KEY_COUNT} keys.")
    grants = _granted(tx, renewed(tx, caller), scope, wishes)
    account = _account_for_key(tx, caller, scope, account_uid)
    key, token = issue_key(tx, scope, account, name, grants, expires_at, format)
    return Held(key, store.grants_of(tx, "key", key.id)), token


def _account_for_key(tx: Transaction, caller: Caller, scope: Scope, uid: Uid | None) -> Account:
    if uid is None or uid == caller.account_uid:
        assert caller.account_uid is not None
        assert caller.account_id is not None
        return Account(
            id=caller.account_id, uid=caller.account_uid, tenant_id=0, name="", created_at=0, revoked_at=None, version=0
        )
    account = store.find_account(tx, scope, uid)
    if account is None or account.revoked_at is not None:
        raise Invalid.at("/accountUid", "unknown-account", "The tenant has no such account that still works.")
    return account


def issue_key(
    tx: Transaction, scope: Scope, account: Account, name: str,
    grants: Sequence[tuple[Scope, str]], expires_at: int | None, format: KeyFormat = "native",
) -> tuple[Key, Secret]:  # fmt: skip
    """Add a key with rights that were checked before."""
    prefix = KEY_PREFIXES[format]
    token = new_token(prefix)
    key = Key(
        id=store.next_number(tx, "key"), uid=new_uid(), tenant_id=scope.tenant_id, account_id=account.id,
        account_uid=account.uid, name=name, hint=token.reveal()[: len(prefix) + _HINTED], created_at=tx.now,
        expires_at=expires_at, revoked_at=None,
    )  # fmt: skip
    store.insert_key(tx, scope, key, hash_token(token.reveal()))
    body = events.KeyCreated(
        uid=as_hex(key.uid), name=name, account_uid=as_hex(account.uid),
        expires_at=UNSET if expires_at is None else print_time(expires_at),
        grants=_insert_grants(tx, "key", key.id, grants),
    )  # fmt: skip
    publish.record(tx, scope, events.KEY_CREATED, body.uid, lambda _: body)
    return key, token


def get_key(tx: Transaction, scope: Scope, uid: Uid) -> Held:
    """Return one of the tenant's keys, without its token.

    Raises:
        NotFound: when the tenant has no such key.
    """
    key = store.find_key(tx, scope, uid)
    if key is None:
        raise NotFound("There is no such key.")
    return Held(key, store.grants_of(tx, "key", key.id))


def list_keys(tx: Transaction, scope: Scope, after: int, limit: int) -> tuple[list[Held], int | None]:
    """Return the tenant's keys, and the number after which to go on, or None at the end."""
    keys = store.list_keys(tx, scope, after, limit + 1)
    page = [Held(key, store.grants_of(tx, "key", key.id)) for key in keys[:limit]]
    return page, keys[limit - 1].id if len(keys) > limit else None


def revoke_key(tx: Transaction, scope: Scope, uid: Uid) -> None:
    """End a key for good. Doing it again changes nothing.

    Raises:
        NotFound: when the tenant has no such key.
    """
    key = get_key(tx, scope, uid).holder
    assert isinstance(key, Key)
    if key.revoked_at is None:
        store.revoke_key(tx, scope, key.id)
        body = events.KeyRevoked(uid=as_hex(uid), name=key.name, account_uid=as_hex(key.account_uid))
        publish.record(tx, scope, events.KEY_REVOKED, body.uid, lambda _: body)


# -- grants ---------------------------------------------------------------------------------------------------------


def _granted(tx: Transaction, caller: Caller, scope: Scope, wishes: Sequence[GrantWish]) -> list[tuple[Scope, str]]:
    """Check each wish against what the caller holds; return the scopes on which to grant."""
    return [_grantable(tx, caller, scope, wish, f"/grants/{n}") for n, wish in enumerate(wishes)]


def _grantable(tx: Transaction, caller: Caller, scope: Scope, wish: GrantWish, place: str = "") -> tuple[Scope, str]:
    tenant_uid = Uid(bytes.fromhex(scope.tenant_uid))
    if wish.tenant_uid is not None:
        tenant_uid = parse_uid(wish.tenant_uid, f"{place}/tenantUid")
    on = require(tx, caller, scope.permission, tenant_uid)
    require_held(tx, caller, wish.grant, on, f"{place}/grant")
    return on, wish.grant


def _insert_grants(
    tx: Transaction, holder: Holder, holder_id: int, grants: Sequence[tuple[Scope, str]]
) -> tuple[events.GrantedRight, ...]:
    for on, name in grants:
        _insert_grant(tx, holder, holder_id, on, name)
    return tuple(events.GrantedRight(tenant_uid=on.tenant_uid, grant=name) for on, name in grants)


def _insert_grant(tx: Transaction, holder: Holder, holder_id: int, on: Scope, name: str) -> Grant | None:
    grant = Grant(
        uid=new_uid(), tenant_id=on.tenant_id, tenant_uid=bytes.fromhex(on.tenant_uid), name=name, created_at=tx.now
    )
    return grant if store.insert_grant(tx, on, holder, holder_id, grant) else None


def add_grant(tx: Transaction, caller: Caller, scope: Scope, holder: Holder, uid: Uid, wish: GrantWish) -> Grant:
    """Give an account or key of the scope's tenant one more right; giving it again returns the one it has.

    Raises:
        NotFound: when the tenant has no such holder.
        Denied: when the caller does not hold the right.
        Conflict: when the holder was revoked.
    """
    held = _holder(tx, scope, holder, uid)
    if held.holder.revoked_at is not None:
        raise Conflict(f"The {holder} was revoked.")
    on, name = _grantable(tx, renewed(tx, caller), scope, wish)
    grant = _insert_grant(tx, holder, held.holder.id, on, name)
    if grant is None:
        return next(g for g in held.grants if g.tenant_id == on.tenant_id and g.name == name)
    body = events.GrantChanged(holder=holder, holder_uid=as_hex(uid), tenant_uid=on.tenant_uid, grant=name)
    publish.record(tx, on, events.GRANT_ADDED, on.tenant_uid, lambda _: body, related=_holder_entity(body))
    return grant


def remove_grant(tx: Transaction, caller: Caller, scope: Scope, holder: Holder, uid: Uid, grant_uid: Uid) -> None:
    """Take a right back from an account or key of the scope's tenant.

    Raises:
        NotFound: when there is no such holder, or it has no such grant.
        Denied: when the right reaches a tenant over which the caller has no such say.
    """
    grant = next((g for g in _holder(tx, scope, holder, uid).grants if g.uid == grant_uid), None)
    if grant is None:
        raise NotFound("There is no such grant.")
    on = scope_on(tx, scope, grant.tenant_uid) or _require_over(tx, caller, scope, grant)
    store.delete_grant(tx, on, grant.uid)
    body = events.GrantChanged(holder=holder, holder_uid=as_hex(uid), tenant_uid=on.tenant_uid, grant=grant.name)
    publish.record(tx, on, events.GRANT_REVOKED, on.tenant_uid, lambda _: body, related=_holder_entity(body))


def _holder_entity(change: events.GrantChanged) -> tuple[RelatedEntity, ...]:
    return (RelatedEntity(id=change.holder_uid, type=change.holder.capitalize()),)


def _require_over(tx: Transaction, caller: Caller, scope: Scope, grant: Grant) -> Scope:
    try:
        return require(tx, caller, scope.permission, Uid(grant.tenant_uid))
    except NotFound:
        raise Denied("The grant reaches a tenant that you cannot change.") from None


def _holder(tx: Transaction, scope: Scope, holder: Holder, uid: Uid) -> Held:
    return get_account(tx, scope, uid) if holder == "account" else get_key(tx, scope, uid)
