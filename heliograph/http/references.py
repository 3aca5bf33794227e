"""`/v1/tags`, `/v1/locations`, `/v1/policies`: what devices and recipes refer to; the same handlers serve all three."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, UnsetType

from heliograph.devices.model import LONGEST_NAME
from heliograph.http.fields import path_uid
from heliograph.http.lists import (
    ListQuery,
    TenantQuery,
    UidText,
    etag,
    resume_after_uid,
    uid_list_response,
    wanted_version,
)
from heliograph.http.messages import Request, Response, json_response
from heliograph.http.services import change
from heliograph.http.tenants import Name
from heliograph.ids import as_hex, parse_uid
from heliograph.provisioning import releasing
from heliograph.references import actions
from heliograph.references.model import LONGEST_ADDRESS, AnyReference, Kind, Location, Policy, Tag
from heliograph.storage.engine import Transaction
from heliograph.strict_json import END_OF_TEXT
from heliograph.tenancy.model import Scope
from heliograph.times import print_time

_encode = msgspec.json.Encoder().encode

_LINES = r"^[^\x00-\x09\x0b-\x1f\x7f-\x9f]+" + END_OF_TEXT
Address = Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST_ADDRESS, pattern=_LINES)]
"""Text of one or more lines."""


class NamedQuery(ListQuery, frozen=True, kw_only=True, rename="camel"):
    """A page of those whose names begin with `namePrefix`, whatever its case."""

    name_prefix: Annotated[str, msgspec.Meta(max_length=LONGEST_NAME)] | None = None


class TagsQuery(NamedQuery, frozen=True, kw_only=True, rename="camel"):
    """A page of tags whose names begin with `namePrefix`, directly below the tag `parentUid`."""

    parent_uid: UidText | None = None


class NewTag(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """A tag to add: at the top, or below the tag `parentUid`."""

    name: Name
    parent_uid: UidText | None = None


class TagPatch(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """What to change; null moves the tag to the top, what is left out stays."""

    name: Name | UnsetType = UNSET
    parent_uid: UidText | UnsetType | None = UNSET


class TagBody(msgspec.Struct, frozen=True, rename="camel"):
    """A tag; one at the top has no `parentUid`."""

    uid: str
    name: str
    parent_uid: str | None
    created_at: str


class TagList(msgspec.Struct, frozen=True, rename="camel"):
    """A page of tags."""

    data: list[TagBody]
    next_cursor: str | None


class NewLocation(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """A location to add; `metadata` is any JSON object of at most 50 names and 16 KiB."""

    name: Name
    address: Address | None = None
    metadata: dict[str, Any] = {}


class LocationPatch(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """What to change; null removes the address, `metadata` is replaced as a whole, what is left out stays."""

    name: Name | UnsetType = UNSET
    address: Address | UnsetType | None = UNSET
    metadata: dict[str, Any] | UnsetType = UNSET


class LocationBody(msgspec.Struct, frozen=True, rename="camel"):
    """A location."""

    uid: str
    name: str
    address: str | None
    metadata: dict[str, Any]
    created_at: str


class LocationList(msgspec.Struct, frozen=True, rename="camel"):
    """A page of locations."""

    data: list[LocationBody]
    next_cursor: str | None


class NewPolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """A device policy to add; `items` are any JSON, at most 64 KiB of it."""

    name: Name
    items: list[Any] = []


class PolicyPatch(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """What to change; `items` are replaced as a whole, what is left out stays."""

    name: Name | UnsetType = UNSET
    items: list[Any] | UnsetType = UNSET


class PolicyBody(msgspec.Struct, frozen=True, rename="camel"):
    """A device policy."""

    uid: str
    name: str
    items: list[Any]
    created_at: str


class PolicyList(msgspec.Struct, frozen=True, rename="camel"):
    """A page of device policies."""

    data: list[PolicyBody]
    next_cursor: str | None


def body_of(reference: AnyReference) -> TagBody | LocationBody | PolicyBody:
    """Render a tag, location or policy."""
    uid, name, created_at = as_hex(reference.uid), reference.name, print_time(reference.created_at)
    match reference:
        case Tag():
            parent_uid = None if reference.parent_uid is None else as_hex(reference.parent_uid)
            return TagBody(uid, name, parent_uid, created_at)
        case Location():
            return LocationBody(uid, name, reference.address, reference.metadata, created_at)
        case Policy():
            return PolicyBody(uid, name, reference.items, created_at)


class Resource:
    """The handlers of one kind; `new`, `patch` and `query` are what its requests are checked by."""

    def __init__(
        self, kind: Kind, new: type[msgspec.Struct], patch: type[msgspec.Struct], query: type[NamedQuery]
    ) -> None:
        self.kind = kind
        self.new = new
        self.patch = patch
        self.query = query

    def permission(self, action: str) -> str:
        """Return what an action needs, such as `read tag.tenant`."""
        return f"{action} {self.kind}.tenant"

    async def list(self, request: Request) -> Response:
        """List in the order of their uids, which is that of their creation."""
        given = request.query(self.query)
        scope = await self._scope(request, "read", given)
        filters: dict[str, Any] = {"name_prefix": given.name_prefix}
        if isinstance(given, TagsQuery) and given.parent_uid is not None:
            filters["parent_uid"] = parse_uid(given.parent_uid, "query/parentUid")
        after = resume_after_uid(request, given)
        step = partial(
            actions.list_references, scope=scope, kind=self.kind, after=after, limit=given.limit, **filters
        )  # fmt: skip
        return uid_list_response(request, given, await request.services.read(step), body_of)

    async def create(self, request: Request) -> Response:
        """Add one."""
        scope = await self._scope(request, "create", request.query(TenantQuery))
        fields = _fields(request.json(self.new))

        def act(tx: Transaction) -> tuple[bytes, bytes]:
            body = _encode(body_of(actions.create(tx, scope, self.kind, **fields)))
            return body, body

        return await change(request, scope, act)

    async def show(self, request: Request) -> Response:
        """Return one."""
        scope = await self._scope(request, "read", request.query(TenantQuery))
        found = await request.services.read(partial(actions.get, scope=scope, kind=self.kind, uid=path_uid(request)))
        return json_response(200, body_of(found), [etag(found.version)])

    async def update(self, request: Request) -> Response:
        """Change one."""
        scope = await self._scope(request, "update", request.query(TenantQuery))
        uid, version = path_uid(request), wanted_version(request)
        fields = _fields(request.json(self.patch))
        step = partial(actions.update, scope=scope, kind=self.kind, uid=uid, version=version, **fields)
        changed = await request.services.write(step, [scope.tenant_id])
        return json_response(200, body_of(changed), [etag(changed.version)])

    async def delete(self, request: Request) -> Response:
        """Remove one, and take it from the devices and recipes that have it."""
        scope = await self._scope(request, "delete", request.query(TenantQuery))
        uid, version = path_uid(request), wanted_version(request)
        step = partial(releasing.delete_reference, scope=scope, kind=self.kind, uid=uid, version=version)
        await request.services.write(step, [scope.tenant_id])
        return Response(204)

    async def _scope(self, request: Request, action: str, given: TenantQuery | NamedQuery) -> Scope:
        return await request.services.scope(request.known, self.permission(action), given.tenant_uid)


TAGS = Resource("tag", NewTag, TagPatch, TagsQuery)
LOCATIONS = Resource("location", NewLocation, LocationPatch, NamedQuery)
POLICIES = Resource("policy", NewPolicy, PolicyPatch, NamedQuery)


def _fields(given: msgspec.Struct) -> dict[str, Any]:
    """Return what a body gives, by the names of the fields."""
    fields = {name: value for name, value in msgspec.structs.asdict(given).items() if value is not UNSET}
    if fields.get("parent_uid") is not None:
        fields["parent_uid"] = parse_uid(fields["parent_uid"], "/parentUid")
    return fields
