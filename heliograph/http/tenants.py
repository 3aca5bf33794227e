"""`/v1/tenants`: companies and organizations."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import msgspec

from heliograph.errors import Invalid
from heliograph.http.lists import ListQuery, TenantQuery, etag, list_response, resume_after, wanted_version
from heliograph.http.messages import Request, Response, json_response
from heliograph.http.services import change
from heliograph.ids import as_hex, parse_uid
from heliograph.storage.engine import Transaction
from heliograph.strict_json import END_OF_TEXT
from heliograph.tenancy import actions
from heliograph.tenancy.model import Caller, Kind, Scope, Tenant
from heliograph.times import print_time

CREATE, READ, UPDATE = "create tenant.tenant", "read tenant.tenant", "update tenant.tenant"

_encode = msgspec.json.Encoder().encode

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=255, pattern=r"^[^\x00-\x1f\x7f-\x9f]+" + END_OF_TEXT)]
ShortName = Annotated[str, msgspec.Meta(min_length=2, max_length=63, pattern=r"^[a-z0-9]+(-[a-z0-9]+)*" + END_OF_TEXT)]


class NewTenant(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """A tenant to add. `shortName` is unique within its root company and never changes."""

    kind: Kind
    name: Name
    short_name: ShortName


class TenantPatch(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """What to change; what is left out stays. With `rejectReservedCodes` callers cannot use codes below 10000."""

    name: Name | msgspec.UnsetType = msgspec.UNSET
    reject_reserved_codes: bool | msgspec.UnsetType = msgspec.UNSET


class TenantBody(msgspec.Struct, frozen=True, rename="camel"):
    """A tenant: a company, which contains others, or an organization, which owns devices."""

    uid: str
    parent_uid: str | None
    kind: Kind
    name: str
    short_name: str
    reject_reserved_codes: bool
    created_at: str


class TenantList(msgspec.Struct, frozen=True, rename="camel"):
    """A page of tenants."""

    data: list[TenantBody]
    next_cursor: str | None


def body_of(tenant: Tenant) -> TenantBody:
    """Render a tenant."""
    return TenantBody(
        uid=as_hex(tenant.uid),
        parent_uid=as_hex(tenant.parent_uid) if tenant.parent_uid else None,
        kind=Kind(tenant.kind),
        name=tenant.name,
        short_name=tenant.short_name,
        reject_reserved_codes=tenant.reject_reserved_codes,
        created_at=print_time(tenant.created_at),
    )


async def create_tenant(request: Request) -> Response:
    """Add a tenant below the company named by `tenantUid`."""
    scope = await request.services.scope(request.known, CREATE, request.query(TenantQuery).tenant_uid)
    new = request.json(NewTenant)

    def act(tx: Transaction) -> tuple[bytes, bytes]:
        body = _encode(body_of(actions.create_tenant(tx, scope, new.kind, new.name, new.short_name)))
        return body, body

    response = await change(request, scope, act)
    # A subtree that somebody may read has grown.
    request.services.rights_changed()
    return response


async def list_tenants(request: Request) -> Response:
    """List the tenants that the key may read, oldest first."""
    given = request.query(ListQuery)
    if given.tenant_uid is not None:
        raise Invalid.at("query/tenantUid", "unknown-parameter", "This list always covers all tenants of the key.")
    after = resume_after(request, given)
    page = await request.services.read(partial(_list, caller=request.caller, after=after, limit=given.limit))
    return list_response(request, given, page, body_of)


def _list(tx: Transaction, caller: Caller, after: int, limit: int) -> tuple[list[Tenant], int | None]:
    return actions.list_tenants(tx, caller, after, limit)


def _uid(request: Request) -> str:
    return as_hex(parse_uid(request.parameters["uid"], "path/uid"))


async def show_tenant(request: Request) -> Response:
    """Return one tenant."""
    scope = await request.services.scope(request.known, READ, _uid(request))
    tenant = await request.services.read(partial(actions.get_tenant, scope=scope))
    return json_response(200, body_of(tenant), [etag(tenant.version)])


async def update_tenant(request: Request) -> Response:
    """Change a tenant's name or settings."""
    scope = await request.services.scope(request.known, UPDATE, _uid(request))
    patch = request.json(TenantPatch)
    step = partial(_update, scope=scope, version=wanted_version(request), patch=patch)
    tenant = await request.services.write(step, [scope.tenant_id])
    request.services.rights_changed()
    return json_response(200, body_of(tenant), [etag(tenant.version)])


def _update(tx: Transaction, scope: Scope, version: int | None, patch: TenantPatch) -> Tenant:
    name = None if patch.name is msgspec.UNSET else patch.name
    reject = None if patch.reject_reserved_codes is msgspec.UNSET else patch.reject_reserved_codes
    return actions.update_tenant(tx, scope, version, name, reject)
