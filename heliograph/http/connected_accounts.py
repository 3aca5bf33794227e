"""`/v1/connected-accounts`: the vendors' accounts through which devices are reached."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import msgspec
from msgspec import UNSET, UnsetType

from heliograph.connected_accounts import actions
from heliograph.connected_accounts.model import (
    ACCOUNT_DISCONNECTED,
    LONGEST_NAME,
    LONGEST_PROVIDER,
    AccountFilter,
    ConnectedAccount,
    State,
)
from heliograph.devices.model import Condition, CustomMetadata, GivenMetadata, fold_prefix
from heliograph.errors import Invalid
from heliograph.http.lists import (
    ListQuery,
    TenantQuery,
    etag,
    resume_after_uid,
    uid_list_response,
    wanted_version,
)
from heliograph.http.messages import Request, Response, json_response
from heliograph.http.reports import Complaints, Message, ShortText, repeated
from heliograph.http.services import change
from heliograph.http.tenants import Name
from heliograph.ids import Uid, as_hex, parse_uid
from heliograph.presence.model import Complaint
from heliograph.provisioning import releasing
from heliograph.storage.engine import Transaction
from heliograph.strict_json import END_OF_TEXT
from heliograph.tenancy.model import Scope
from heliograph.times import print_time

CREATE, READ = "create connected_account.tenant", "read connected_account.tenant"
UPDATE, DELETE = "update connected_account.tenant", "delete connected_account.tenant"

_encode = msgspec.json.Encoder().encode

_WORD = r"^[0-9A-Za-z._-]+" + END_OF_TEXT
Provider = Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST_PROVIDER, pattern=_WORD)]
"""The name of a vendor in one word, such as `august`."""


class NewConnectedAccount(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """An account to add. `provider` names the vendor in one word; it never changes."""

    name: Name
    provider: Provider
    custom_metadata: GivenMetadata = {}


class ConnectedAccountPatch(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """What to change; what is left out stays, the others are replaced as a whole.

    An error or warning that was there before keeps the time at which it began.
    """

    name: Name | UnsetType = UNSET
    custom_metadata: GivenMetadata | UnsetType = UNSET
    errors: Complaints | UnsetType = UNSET
    warnings: Complaints | UnsetType = UNSET


class Disconnection(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """Why the connection was lost; `errorCode` is any code, `account_disconnected` when none is given."""

    error_code: ShortText = ACCOUNT_DISCONNECTED.code
    message: Message = ACCOUNT_DISCONNECTED.message


class ConnectedAccountsQuery(ListQuery, frozen=True, kw_only=True, rename="camel"):
    """Which accounts to list: those that pass every filter. One named several times is passed by any of its values.

    Names are compared whatever their case.
    """

    state: tuple[State, ...] = ()
    provider: tuple[str, ...] = ()
    name_prefix: Annotated[str, msgspec.Meta(max_length=LONGEST_NAME)] | None = None


class ConnectedAccountBody(msgspec.Struct, frozen=True, rename="camel"):
    """An account at a vendor, to which devices belong."""

    uid: str
    name: str
    provider: str
    state: State
    custom_metadata: CustomMetadata
    errors: tuple[Condition, ...]
    warnings: tuple[Condition, ...]
    created_at: str
    updated_at: str


class ConnectedAccountList(msgspec.Struct, frozen=True, rename="camel"):
    """A page of connected accounts."""

    data: list[ConnectedAccountBody]
    next_cursor: str | None


def body_of(account: ConnectedAccount) -> ConnectedAccountBody:
    """Render an account."""
    return ConnectedAccountBody(
        uid=as_hex(account.uid),
        name=account.name,
        provider=account.provider,
        state=account.state,
        custom_metadata=account.custom_metadata,
        errors=account.errors,
        warnings=account.warnings,
        created_at=print_time(account.created_at),
        updated_at=print_time(account.updated_at),
    )


def _response(account: ConnectedAccount) -> Response:
    return json_response(200, body_of(account), [etag(account.version)])


# -- reading requests -----------------------------------------------------------------------------------------------


def _patch(body: ConnectedAccountPatch) -> actions.AccountPatch:
    faults = [
        fault
        for place, complaints in (("errors", body.errors), ("warnings", body.warnings))
        for fault in repeated(f"/{place}/{{}}/code", (one.code for one in complaints or ()))
    ]
    if faults:
        raise Invalid("A code is given twice.", tuple(faults))
    return actions.AccountPatch(
        name=body.name,
        custom_metadata=body.custom_metadata,
        errors=_complaints(body.errors),
        warnings=_complaints(body.warnings),
    )


def _complaints(bodies: Complaints | UnsetType) -> tuple[Complaint, ...] | UnsetType:
    return UNSET if bodies is UNSET else tuple(Complaint(body.code, body.message) for body in bodies)


def _filter(given: ConnectedAccountsQuery) -> AccountFilter:
    return AccountFilter(
        states=given.state,
        providers=given.provider,
        name_prefix=None if given.name_prefix is None else fold_prefix(given.name_prefix),
    )


def _uid(request: Request) -> Uid:
    return parse_uid(request.parameters["uid"], "path/uid")


async def _scope(request: Request, permission: str) -> Scope:
    return await request.services.scope(request.known, permission, request.query(TenantQuery).tenant_uid)


# -- handlers -------------------------------------------------------------------------------------------------------


async def list_accounts(request: Request) -> Response:
    """List the organization's accounts in the order in which they were added."""
    given = request.query(ConnectedAccountsQuery)
    scope = await request.services.scope(request.known, READ, given.tenant_uid)
    after, wanted = resume_after_uid(request, given), _filter(given)
    step = partial(actions.list_accounts, scope=scope, wanted=wanted, after=after, limit=given.limit)
    return uid_list_response(request, given, await request.services.read(step), body_of)


async def create_account(request: Request) -> Response:
    """Add an account, which is connected."""
    scope = await _scope(request, CREATE)
    fields = msgspec.structs.asdict(request.json(NewConnectedAccount))

    def act(tx: Transaction) -> tuple[bytes, bytes]:
        body = _encode(body_of(actions.create(tx, scope, **fields)))
        return body, body

    return await change(request, scope, act)


async def show_account(request: Request) -> Response:
    """Return one account."""
    scope = await _scope(request, READ)
    return _response(await request.services.read(partial(actions.get, scope=scope, uid=_uid(request))))


async def update_account(request: Request) -> Response:
    """Change an account's name, custom metadata, errors or warnings."""
    scope = await _scope(request, UPDATE)
    uid, version = _uid(request), wanted_version(request)
    patch = _patch(request.json(ConnectedAccountPatch))
    step = partial(actions.update, scope=scope, uid=uid, version=version, patch=patch)
    return _response(await request.services.write(step, [scope.tenant_id]))


async def disconnect_account(request: Request) -> Response:
    """Note that an account lost its connection."""
    scope = await _scope(request, UPDATE)
    uid, version = _uid(request), wanted_version(request)
    given = request.json(Disconnection) if request.body else Disconnection()
    reason = Complaint(given.error_code, given.message)
    step = partial(actions.disconnect, scope=scope, uid=uid, version=version, reason=reason)
    return _response(await request.services.write(step, [scope.tenant_id]))


async def reconnect_account(request: Request) -> Response:
    """Note that an account has its connection again."""
    scope = await _scope(request, UPDATE)
    step = partial(actions.reconnect, scope=scope, uid=_uid(request), version=wanted_version(request))
    return _response(await request.services.write(step, [scope.tenant_id]))


async def delete_account(request: Request) -> Response:
    """Remove an account, and take it from its devices."""
    scope = await _scope(request, DELETE)
    uid, version = _uid(request), wanted_version(request)
    step = partial(releasing.delete_connected_account, scope=scope, uid=uid, version=version)
    await request.services.write(step, [scope.tenant_id])
    return Response(204)
