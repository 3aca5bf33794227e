"""Who is asking and what for: the only module that makes a Caller or a Scope."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import replace

from heliograph.errors import Conflict, Denied, Invalid, NotFound, Unauthenticated
from heliograph.eventlog.model import Actor
from heliograph.ids import Uid
from heliograph.storage.engine import Transaction
from heliograph.tenancy import store
from heliograph.tenancy.model import Caller, Grant, Kind, Scope, Tenant, permissions_of

LARGEST_SUBTREE = 200
"""Tenants that one question may cover (design section 3)."""

MOST_TENANTS = 2**31
"""A limit where there is none."""

SYSTEM = Actor(kind="system")

DEVICE_RIGHTS = frozenset(("report device.tenant",))
"""What a device may do with its own token, and only for itself."""


def hash_token(token: str) -> bytes:
    """Return what is kept of a token: its SHA-256; 256 random bits need no slow hash."""
    return hashlib.sha256(token.encode()).digest()


def authenticate(tx: Transaction, token_hash: bytes) -> Caller:
    """Find out who holds the token with that hash.

    Raises:
        Unauthenticated: when the key does not exist, has expired, or it or its account was revoked; which of these
            is not told.
    """
    found = store.find_key_by_hash(tx, token_hash)
    if found is None:
        return _device(tx, token_hash)
    key, account, tenant_uid = found
    expired = key.expires_at is not None and key.expires_at <= tx.now
    if expired or key.revoked_at is not None or account.revoked_at is not None:
        raise Unauthenticated("The key is not valid.")
    return Caller(
        actor=Actor(account_id=account.id, key_uid=key.uid.hex(), uid=account.uid.hex()),
        tenant_uid=tenant_uid,
        rights=_rights(store.grants_of(tx, "key", key.id)),
        account_rights=_rights(store.grants_of(tx, "account", account.id)),
        key_uid=key.uid,
        account_uid=account.uid,
        account_id=account.id,
        expires_at=key.expires_at,
    )


def _device(tx: Transaction, token_hash: bytes) -> Caller:
    found = store.find_device_by_token(tx, token_hash)
    if found is None:
        raise Unauthenticated("The key is not valid.")
    tenant_id, tenant_uid, device_uid = found
    rights = {tenant_id: DEVICE_RIGHTS}
    actor = Actor(kind="device", uid=device_uid.hex())
    return Caller(actor=actor, tenant_uid=tenant_uid, rights=rights, account_rights=rights, device_uid=device_uid)


def renewed(tx: Transaction, caller: Caller) -> Caller:
    """Return the caller with the rights of this moment, for what outlives a right that was remembered too long.

    Raises:
        Unauthenticated: when the key or its account ended meanwhile.
    """
    if caller.key_uid is None:
        return caller
    found = store.working_key(tx, caller.key_uid)
    if found is None:
        raise Unauthenticated("The key is not valid.")
    key_id, account_id = found
    return replace(
        caller,
        rights=_rights(store.grants_of(tx, "key", key_id)),
        account_rights=_rights(store.grants_of(tx, "account", account_id)),
    )


def _rights(grants: Sequence[Grant]) -> dict[int, frozenset[str]]:
    rights: dict[int, frozenset[str]] = {}
    for grant in grants:
        rights[grant.tenant_id] = rights.get(grant.tenant_id, frozenset()) | permissions_of(grant.name)
    return rights


def require(
    tx: Transaction, caller: Caller, permission: str, tenant_uid: Uid | None = None, *, subtree: bool = False
) -> Scope:
    """Make sure that the caller may do that in the tenant (by default the key's own), and return the right to.

    Raises:
        NotFound: when there is no such tenant, or the caller holds nothing there.
        Denied: when the caller sees the tenant but lacks the permission, which the message names.
        Invalid: when the subtree has more than 200 tenants.
    """
    tenant, held = _visible(tx, caller, tenant_uid)
    if permission not in held:
        raise Denied(f"This needs the permission '{permission}' on tenant {tenant.uid.hex()}.")
    tenants = [(tenant.id, tenant.uid.hex())]
    if subtree:
        tenants = store.subtree_of(tx, tenant.id, LARGEST_SUBTREE + 1)
        if len(tenants) > LARGEST_SUBTREE:
            raise Invalid.at(
                "query/include", "subtree-too-large", f"The subtree has more than {LARGEST_SUBTREE} tenants."
            )
    return _scope(tenant, permission, caller.actor, tuple(tenants))


def _visible(tx: Transaction, caller: Caller, tenant_uid: Uid | None) -> tuple[Tenant, frozenset[str]]:
    tenant = store.find_tenant(tx, Uid(bytes.fromhex(caller.tenant_uid)) if tenant_uid is None else tenant_uid)
    held = caller.permissions_at(store.path_of(tx, tenant.id)) if tenant else frozenset()
    if tenant is None or not held:
        raise NotFound("There is no such tenant.")
    return tenant, held


def _scope(tenant: Tenant, permission: str, actor: Actor, tenants: tuple[tuple[int, str], ...]) -> Scope:
    return Scope(
        tenant_id=tenant.id,
        tenant_uid=tenant.uid.hex(),
        permission=permission,
        actor=actor,
        kind=tenant.kind,
        parent_uid=tenant.parent_uid.hex() if tenant.parent_uid else None,
        reject_reserved_codes=tenant.reject_reserved_codes,
        tenants=tenants,
    )


def require_held(tx: Transaction, caller: Caller, grant: str, scope: Scope, pointer: str) -> None:
    """Make sure that the caller holds all that a grant stands for: nobody gives more than they have.

    Raises:
        Invalid: naming `pointer`, when `grant` is neither a role nor a permission.
        Denied: naming what is missing.
    """
    try:
        wanted = permissions_of(grant)
    except KeyError:
        raise Invalid.at(pointer, "grant", f"{grant[:100]!r} is neither a role nor a permission.") from None
    missing = wanted - caller.permissions_at(store.path_of(tx, scope.tenant_id))
    if missing:
        raise Denied(f"You cannot give what you do not hold: '{min(missing)}' on tenant {scope.tenant_uid}.")


def visible_roots(caller: Caller, permission: str) -> list[int]:
    """Return the numbers of the tenants at whose level the caller was granted the permission."""
    by_key = {tenant_id for tenant_id, held in caller.rights.items() if permission in held}
    by_account = {tenant_id for tenant_id, held in caller.account_rights.items() if permission in held}
    return sorted(by_key | by_account)


def scope_of_new(tenant: Tenant, actor: Actor) -> Scope:
    """Return the right over a tenant that is being made in this transaction."""
    return _scope(tenant, "create tenant.tenant", actor, ((tenant.id, tenant.uid.hex()),))


def scope_on(tx: Transaction, scope: Scope, tenant_uid: bytes) -> Scope | None:
    """Return the scope's right for another tenant at or below it, or None when that tenant is not there."""
    tenant = store.find_tenant(tx, Uid(tenant_uid))
    if tenant is None or scope.tenant_id not in store.path_of(tx, tenant.id):
        return None
    return _scope(tenant, scope.permission, scope.actor, ((tenant.id, tenant.uid.hex()),))


def reach(
    tx: Transaction, caller: Caller, permission: str, tenant_ids: Iterable[int], below: int | None = None
) -> dict[int, Scope]:
    """Return the caller's right in those of the tenants where they hold the permission, by number.

    `below` narrows that to one tenant and what is below it.
    """
    scopes = {}
    for tenant_id in sorted(set(tenant_ids)):
        path = store.path_of(tx, tenant_id)
        if permission in caller.permissions_at(path) and (below is None or below in path):
            tenant = store.tenant_numbered(tx, tenant_id)
            scopes[tenant_id] = _scope(tenant, permission, caller.actor, ((tenant.id, tenant.uid.hex()),))
    return scopes


def require_anywhere(tx: Transaction, caller: Caller, permission: str) -> Scope:
    """Return the caller's right in the key's own tenant, else in the first tenant where they hold the permission.

    Raises:
        Denied: when there is no such tenant.
    """
    home = store.find_tenant(tx, Uid(bytes.fromhex(caller.tenant_uid)))
    own = [] if home is None else [home.id]
    for tenant_id in own + visible_roots(caller, permission):
        for scope in reach(tx, caller, permission, [tenant_id]).values():
            return scope
    raise Denied(f"This needs the permission '{permission}'.")


def tenants_below(tx: Transaction, scope: Scope) -> list[int]:
    """Return the numbers of the scope's tenant and of all below it, in their order."""
    return sorted(number for number, _ in store.subtree_of(tx, scope.tenant_id, MOST_TENANTS))


def require_organization(scope: Scope) -> None:
    """Make sure that the scope's tenant can own devices and what belongs to them.

    Raises:
        Conflict: when it is a company.
    """
    if scope.kind != Kind.ORGANIZATION:
        raise Conflict("Only organizations own devices, recipes and what they refer to; name one by tenantUid.")


def as_system(tx: Transaction, tenant_id: int) -> Scope:
    """Return the platform's own right in a tenant, for what nobody asked for at that moment."""
    tenant = store.tenant_numbered(tx, tenant_id)
    return _scope(tenant, "system", SYSTEM, ((tenant.id, tenant.uid.hex()),))


def resumed(tx: Transaction, tenant_id: int, permission: str, actor: Actor) -> Scope:
    """Return the right with which an account began a longer work, as long as the account still holds it.

    The key that it used then may have expired since: a key is for beginning, not for the time that the work takes.

    Raises:
        Unauthenticated: when the account or that key was revoked meanwhile.
        Denied: when it lost the permission meanwhile.
    """
    if actor.account_id is not None:
        if not store.account_works(tx, actor.account_id):
            raise Unauthenticated("The account that began this was revoked.")
        if actor.key_uid is not None and store.key_was_revoked(tx, bytes.fromhex(actor.key_uid)):
            raise Unauthenticated("The key that began this was revoked.")
        rights = _rights(store.grants_of(tx, "account", actor.account_id))
        if all(permission not in rights.get(number, ()) for number in store.path_of(tx, tenant_id)):
            raise Denied(f"The account that began this no longer holds the permission '{permission}'.")
    tenant = store.tenant_numbered(tx, tenant_id)
    return _scope(tenant, permission, actor, ((tenant.id, tenant.uid.hex()),))


def all_tenants(tx: Transaction) -> list[int]:
    """Return the numbers of all tenants, for work of the platform that visits each."""
    return store.all_tenants(tx)


def root_scopes(tx: Transaction) -> list[Scope]:
    """Return the platform's own right in the log of each root company, where it tells of itself."""
    return [system_scope(tenant_id, uid) for tenant_id, uid in store.root_companies(tx)]


def system_scope(tenant_id: int, tenant_uid: str) -> Scope:
    """Return the right of the platform's own workers in one tenant."""
    return Scope(
        tenant_id=tenant_id,
        tenant_uid=tenant_uid,
        permission="system",
        actor=SYSTEM,
        tenants=((tenant_id, tenant_uid),),
    )
