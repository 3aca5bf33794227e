"""`/v1/accounts` and `/v1/keys`: who may act, with which key, and what they were granted."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import msgspec

from heliograph.http.fields import path_uid
from heliograph.http.lists import ListQuery, TenantQuery, etag, list_response, resume_after, wanted_version
from heliograph.http.messages import Request, Response, json_response
from heliograph.http.services import change
from heliograph.http.tenants import Name
from heliograph.ids import Uid, as_hex, parse_uid
from heliograph.storage.engine import Transaction
from heliograph.tenancy import actions
from heliograph.tenancy.actions import GrantWish, Held
from heliograph.tenancy.model import Account, Caller, Grant, Holder, Key, KeyFormat, Scope
from heliograph.times import parse_time, print_optional_time, print_time

_encode = msgspec.json.Encoder().encode

Grants = Annotated[list[GrantWish], msgspec.Meta(max_length=100)]


class NewAccount(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An account to add, with the rights it begins with."""

    name: Name
    grants: Grants = []


class AccountPatch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The new name."""

    name: Name


class NewKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """A key to make. Without `accountUid` it acts for the account that makes it; without `expiresAt` it stays.

    `format` tells how the token begins: clients made for Seam take only what looks like a key of Seam's. A key works on
    the whole API whatever its format.
    """

    name: Name
    grants: Annotated[list[GrantWish], msgspec.Meta(min_length=1, max_length=100)]
    account_uid: str | None = None
    expires_at: str | None = None
    format: KeyFormat = "native"


class GrantBody(msgspec.Struct, frozen=True, rename="camel"):
    """A role or permission that is held on a tenant and on all below it."""

    uid: str
    grant: str
    tenant_uid: str
    created_at: str


class AccountBody(msgspec.Struct, frozen=True, rename="camel"):
    """An account; `accountId` is its number in event bodies."""

    uid: str
    account_id: int
    name: str
    grants: list[GrantBody]
    created_at: str
    revoked_at: str | None


class KeyBody(msgspec.Struct, frozen=True, rename="camel"):
    """A key without its token; `hint` is how the token begins."""

    uid: str
    account_uid: str
    name: str
    hint: str
    grants: list[GrantBody]
    created_at: str
    expires_at: str | None
    revoked_at: str | None


class NewKeyBody(msgspec.Struct, frozen=True, rename="camel"):
    """A key just made. `token` is shown this once; a repeat by Idempotency-Key has null in its place."""

    uid: str
    account_uid: str
    name: str
    hint: str
    grants: list[GrantBody]
    created_at: str
    expires_at: str | None
    revoked_at: str | None
    token: str | None


class AccountList(msgspec.Struct, frozen=True, rename="camel"):
    """A page of accounts."""

    data: list[AccountBody]
    next_cursor: str | None


class KeyList(msgspec.Struct, frozen=True, rename="camel"):
    """A page of keys."""

    data: list[KeyBody]
    next_cursor: str | None


def _grant_body(grant: Grant) -> GrantBody:
    return GrantBody(as_hex(grant.uid), grant.name, as_hex(grant.tenant_uid), print_time(grant.created_at))


def account_body(held: Held) -> AccountBody:
    """Render an account."""
    account = held.holder
    assert isinstance(account, Account)
    return AccountBody(
        uid=as_hex(account.uid),
        account_id=account.id,
        name=account.name,
        grants=[_grant_body(grant) for grant in held.grants],
        created_at=print_time(account.created_at),
        revoked_at=print_optional_time(account.revoked_at),
    )


def key_body(held: Held) -> KeyBody:
    """Render a key; nobody can render its token."""
    key = held.holder
    assert isinstance(key, Key)
    return KeyBody(
        uid=as_hex(key.uid),
        account_uid=as_hex(key.account_uid),
        name=key.name,
        hint=key.hint,
        grants=[_grant_body(grant) for grant in held.grants],
        created_at=print_time(key.created_at),
        expires_at=print_optional_time(key.expires_at),
        revoked_at=print_optional_time(key.revoked_at),
    )


async def _scope(request: Request, permission: str) -> Scope:
    return await request.services.scope(request.known, permission, request.query(TenantQuery).tenant_uid)


# -- accounts -------------------------------------------------------------------------------------------------------


async def create_account(request: Request) -> Response:
    """Add an account at home in the tenant."""
    scope = await _scope(request, "create account.tenant")
    new = request.json(NewAccount)

    def act(tx: Transaction) -> tuple[bytes, bytes]:
        body = _encode(account_body(actions.create_account(tx, request.caller, scope, new.name, new.grants)))
        return body, body

    return await change(request, scope, act)


async def list_accounts(request: Request) -> Response:
    """List the tenant's accounts, oldest first."""
    given = request.query(ListQuery)
    scope = await request.services.scope(request.known, "read account.tenant", given.tenant_uid)
    after = resume_after(request, given)
    page = await request.services.read(partial(actions.list_accounts, scope=scope, after=after, limit=given.limit))
    return list_response(request, given, page, account_body)


async def show_account(request: Request) -> Response:
    """Return one of the tenant's accounts."""
    scope = await _scope(request, "read account.tenant")
    held = await request.services.read(partial(actions.get_account, scope=scope, uid=path_uid(request)))
    return _account_response(held)


async def update_account(request: Request) -> Response:
    """Rename an account."""
    scope = await _scope(request, "update account.tenant")
    patch = request.json(AccountPatch)
    step = partial(
        actions.rename_account, scope=scope, uid=path_uid(request), version=wanted_version(request), name=patch.name
    )
    return _account_response(await request.services.write(step, [scope.tenant_id]))


def _account_response(held: Held) -> Response:
    account = held.holder
    assert isinstance(account, Account)
    return json_response(200, account_body(held), [etag(account.version)])


async def revoke_account(request: Request) -> Response:
    """End an account and all its keys for good."""
    scope = await _scope(request, "delete account.tenant")
    step = partial(actions.revoke_account, scope=scope, uid=path_uid(request))
    await request.services.write(step, [scope.tenant_id])
    request.services.rights_changed()
    return Response(204)


# -- keys -----------------------------------------------------------------------------------------------------------


async def create_key(request: Request) -> Response:
    """Make a key and show its token, once."""
    scope = await _scope(request, "create key.tenant")
    new = request.json(NewKey)
    expires_at = None if new.expires_at is None else parse_time(new.expires_at, "/expiresAt")
    account_uid = None if new.account_uid is None else parse_uid(new.account_uid, "/accountUid")

    def act(tx: Transaction) -> tuple[bytes, bytes]:
        held, token = actions.create_key(
            tx, request.caller, scope, new.name, account_uid, new.grants, expires_at, new.format
        )
        fields = msgspec.structs.asdict(key_body(held))
        return _encode(NewKeyBody(**fields, token=token.reveal())), _encode(NewKeyBody(**fields, token=None))

    return await change(request, scope, act)


async def list_keys(request: Request) -> Response:
    """List the tenant's keys, oldest first, revoked ones included."""
    given = request.query(ListQuery)
    scope = await request.services.scope(request.known, "read key.tenant", given.tenant_uid)
    after = resume_after(request, given)
    page = await request.services.read(partial(actions.list_keys, scope=scope, after=after, limit=given.limit))
    return list_response(request, given, page, key_body)


async def show_key(request: Request) -> Response:
    """Return one of the tenant's keys."""
    scope = await _scope(request, "read key.tenant")
    held = await request.services.read(partial(actions.get_key, scope=scope, uid=path_uid(request)))
    return json_response(200, key_body(held))


async def revoke_key(request: Request) -> Response:
    """End a key for good."""
    scope = await _scope(request, "delete key.tenant")
    step = partial(actions.revoke_key, scope=scope, uid=path_uid(request))
    await request.services.write(step, [scope.tenant_id])
    request.services.rights_changed()
    return Response(204)


# -- grants ---------------------------------------------------------------------------------------------------------


async def add_account_grant(request: Request) -> Response:
    """Grant an account one more role or permission."""
    return await _add_grant(request, "account")


async def remove_account_grant(request: Request) -> Response:
    """Take a grant back from an account."""
    return await _remove_grant(request, "account")


async def add_key_grant(request: Request) -> Response:
    """Grant a key one more role or permission."""
    return await _add_grant(request, "key")


async def remove_key_grant(request: Request) -> Response:
    """Take a grant back from a key."""
    return await _remove_grant(request, "key")


async def _add_grant(request: Request, holder: Holder) -> Response:
    scope = await _scope(request, f"update {holder}.tenant")
    wish = request.json(GrantWish)
    uid, caller = path_uid(request), request.caller
    on = await _granted_on(request, scope.permission, wish)

    def act(tx: Transaction) -> tuple[bytes, bytes]:
        body = _encode(_grant_body(actions.add_grant(tx, caller, scope, holder, uid, wish)))
        return body, body

    response = await change(request, scope, act, on)
    request.services.rights_changed()
    return response


async def _granted_on(request: Request, permission: str, wish: GrantWish) -> list[Scope]:
    """Return the tenant that a grant reaches, so that its log is locked in one order with the holder's."""
    if wish.tenant_uid is None:
        return []
    tenant_uid = parse_uid(wish.tenant_uid, "/tenantUid").hex()
    return [await request.services.scope(request.known, permission, tenant_uid)]


async def _remove_grant(request: Request, holder: Holder) -> Response:
    scope = await _scope(request, f"update {holder}.tenant")
    uid, grant = path_uid(request), path_uid(request, "grantUid")
    get = actions.get_account if holder == "account" else actions.get_key
    held = await request.services.read(partial(get, scope=scope, uid=uid))
    reached = [found.tenant_id for found in held.grants if found.uid == grant]
    step = partial(_remove, caller=request.caller, scope=scope, holder=holder, uid=uid, grant=grant)
    await request.services.write(step, [scope.tenant_id, *reached])
    request.services.rights_changed()
    return Response(204)


def _remove(tx: Transaction, caller: Caller, scope: Scope, holder: Holder, uid: Uid, grant: Uid) -> None:
    actions.remove_grant(tx, caller, scope, holder, uid, grant)
