"""`/v1/endpoints`: where events are delivered to."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import UNSET

from heliograph.delivery import backlog
from heliograph.delivery.signing import read_secret
from heliograph.endpoints import actions, switching
from heliograph.endpoints.model import USUAL_OVERLAP, DisabledReason, Endpoint, State, secret_text
from heliograph.endpoints.sealed import unseal
from heliograph.endpoints.wishes import EndpointPatch, EndpointWish
from heliograph.errors import Invalid
from heliograph.http.endpoint_bodies import (
    EndpointBody,
    EndpointChange,
    NewEndpoint,
    NewEndpointBody,
    Overlap,
    body_of,
    patch_of,
    wish_of,
)
from heliograph.http.fields import path_uid
from heliograph.http.lists import ListQuery, TenantQuery, etag, resume_after_uid, uid_list_response, wanted_version
from heliograph.http.messages import Request, Response, json_response
from heliograph.http.services import change
from heliograph.ids import as_hex
from heliograph.storage.engine import Transaction
from heliograph.tenancy.access import tenants_below
from heliograph.tenancy.model import Scope
from heliograph.times import print_optional_time

CREATE, READ = "create endpoint.tenant", "read endpoint.tenant"
UPDATE, DELETE = "update endpoint.tenant", "delete endpoint.tenant"

RECEIVE = "read event.tenant"
"""Needed besides to say where events go: whoever names that address can read there what it gets."""

TRIES = 5
"""How often a change is begun again because tenants were added below the endpoint's own meanwhile."""

T = TypeVar("T")
_encode = msgspec.json.Encoder().encode


class EndpointsQuery(ListQuery, frozen=True, kw_only=True, rename="camel"):
    """A page of the endpoints in any of these states."""

    state: tuple[State, ...] = ()


class NewSecret(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """Which key to replace, and for how many seconds the one before goes on to sign beside the new one.

    `secret` is the new symmetric one, base64 of 24 to 64 bytes, with or without `whsec_` before it; else one is made.
    The Ed25519 key is always made.
    """

    key: Literal["symmetric", "asymmetric"] = "symmetric"
    overlap: Overlap = USUAL_OVERLAP
    secret: str | None = None


class TestBody(msgspec.Struct, frozen=True, rename="camel"):
    """The event that was recorded, and its delivery."""

    event_id: str
    delivery_id: str


Counts = dict[str, Annotated[int, msgspec.Meta(ge=0)]]


class EndpointHealthBody(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How an endpoint fares, over all tenants whose events it gets.

    `backlog` is what is still to be delivered, 10,000 standing for that many or more, and `oldestDueAt` when the first
    of that is due. `lastHour` and `lastDay` count attempts by how they ended, in whole periods of five minutes. Until
    `slowedUntil` nothing is sent, because the receiver asked for less.
    """

    uid: str
    state: State
    disabled_reason: DisabledReason | None
    disabled_at: str | None
    backlog: Annotated[int, msgspec.Meta(ge=0, le=backlog.MOST_COUNTED)]
    oldest_due_at: str | None
    last_hour: Counts
    last_day: Counts
    last_success_at: str | None
    last_failure_at: str | None
    last_error: str | None
    failing_since: str | None
    warned_at: str | None
    slowed_until: str | None


# -- what the handlers share ----------------------------------------------------------------------------------------


async def _scope(request: Request, permission: str) -> Scope:
    return await request.services.scope(request.known, permission, request.query(TenantQuery).tenant_uid)


async def on_all_logs(request: Request, scope: Scope, write: Callable[[list[int]], Awaitable[T]]) -> T:
    """Carry out a change that locks the log of every tenant at or below the scope's, again when some were added."""
    for _ in range(TRIES - 1):
        with suppress(actions.TenantsAdded):
            return await write(await request.services.read(partial(tenants_below, scope=scope)))
    return await write(await request.services.read(partial(tenants_below, scope=scope)))


def read_wish(request: Request, new: NewEndpoint) -> EndpointWish:
    """Read an endpoint to make, by the rules of this installation too.

    Raises:
        Invalid: naming the first field that breaks a rule.
    """
    wish = wish_of(new, request.services.store.clock.now())
    _require_https(request, wish.url)
    return wish


def _require_https(request: Request, url: str) -> None:
    if request.services.settings.delivery_https == "required" and not url.startswith("https:"):
        raise Invalid.at("/url", "https", "Only https is allowed here.")


def _body(request: Request, scope: Scope, endpoint: Endpoint) -> EndpointBody:
    return body_of(endpoint, unseal(request.services.sealer, scope.tenant_id, endpoint))


def _response(request: Request, scope: Scope, endpoint: Endpoint) -> Response:
    return json_response(200, _body(request, scope, endpoint), [etag(endpoint.version)])


def _with_secret(body: EndpointBody, secret: str | None) -> bytes:
    return _encode(NewEndpointBody(**msgspec.structs.asdict(body), secret=secret))


# -- handlers -------------------------------------------------------------------------------------------------------


async def list_endpoints(request: Request) -> Response:
    """List the tenant's own endpoints in the order in which they were added."""
    given = request.query(EndpointsQuery)
    scope = await request.services.scope(request.known, READ, given.tenant_uid)
    after = resume_after_uid(request, given)
    step = partial(actions.list_endpoints, scope=scope, states=given.state, after=after, limit=given.limit)
    return uid_list_response(request, given, await request.services.read(step), partial(_body, request, scope))


async def create_endpoint(request: Request) -> Response:
    """Add an endpoint and show its secret, once."""
    scope = await _scope(request, CREATE)
    await _scope(request, RECEIVE)
    wish = read_wish(request, request.json(NewEndpoint))

    async def write(tenants: Sequence[int]) -> Response:
        def act(tx: Transaction) -> tuple[bytes, bytes]:
            endpoint, secret = actions.create(tx, scope, request.services.sealer, wish, tenants)
            body = _body(request, scope, endpoint)
            return _with_secret(body, secret.reveal()), _with_secret(body, None)

        return await change(request, scope, act, tenants)

    return await on_all_logs(request, scope, write)


async def show_endpoint(request: Request) -> Response:
    """Return one endpoint."""
    scope = await _scope(request, READ)
    endpoint = await request.services.read(partial(actions.get, scope=scope, uid=path_uid(request)))
    return _response(request, scope, endpoint)


def read_patch(request: Request, given: EndpointChange) -> EndpointPatch:
    """Read what to change of an endpoint, by the rules of this installation too.

    Raises:
        Invalid: naming the first field that breaks a rule.
    """
    patch = patch_of(given, request.services.store.clock.now())
    if isinstance(patch.url, str):
        _require_https(request, patch.url)
    return patch


async def update_endpoint(request: Request) -> Response:
    """Change an endpoint."""
    scope = await _scope(request, UPDATE)
    uid, version = path_uid(request), wanted_version(request)
    services = request.services
    patch = read_patch(request, request.json(EndpointChange))
    if patch.url is not UNSET:
        await _scope(request, RECEIVE)

    async def write(tenants: Sequence[int]) -> Endpoint:
        step = partial(
            actions.update, scope=scope, sealer=services.sealer, uid=uid, version=version, patch=patch, tenants=tenants
        )
        return await services.write(step, tenants)

    return _response(request, scope, await on_all_logs(request, scope, write))


async def delete_endpoint(request: Request) -> Response:
    """Remove an endpoint, and cancel what it had yet to get."""
    scope = await _scope(request, DELETE)
    uid, version = path_uid(request), wanted_version(request)

    async def write(tenants: Sequence[int]) -> None:
        step = partial(actions.delete, scope=scope, uid=uid, version=version, tenants=tenants)
        await request.services.write(step, tenants)

    await on_all_logs(request, scope, write)
    request.services.runner.notice()
    return Response(204)


async def rotate_secret(request: Request) -> Response:
    """Give an endpoint a new key and show it, once."""
    scope = await _scope(request, UPDATE)
    uid, version = path_uid(request), wanted_version(request)
    given = request.json(NewSecret) if request.body else NewSecret()
    if given.secret is not None and given.key == "asymmetric":
        raise Invalid.at("/secret", "made-by-platform", "An Ed25519 key is made by the platform.")
    secret = None if given.secret is None else read_secret(given.secret, "/secret")
    sealer = request.services.sealer

    def act(tx: Transaction) -> tuple[bytes, bytes]:
        kind: Literal["hmac", "ed25519"] = "hmac" if given.key == "symmetric" else "ed25519"
        endpoint, key = actions.rotate(tx, scope, sealer, uid, version, kind, given.overlap, secret)
        body = _body(request, scope, endpoint)
        # Of an Ed25519 key only the public half is anybody's business, and that is in the body.
        shown = secret_text(key).reveal() if key.kind == "hmac" else None
        return _with_secret(body, shown), _with_secret(body, None)

    return await change(request, scope, act, status=200)


async def send_test(request: Request) -> Response:
    """Record an event that this endpoint alone gets."""
    scope = await _scope(request, UPDATE)
    uid = path_uid(request)

    def act(tx: Transaction) -> tuple[bytes, bytes]:
        receipt = actions.send_test(tx, scope, uid)
        delivery_id = f"{as_hex(uid)}-{scope.tenant_uid}-{receipt.seq}"
        body = _encode(TestBody(event_id=receipt.id, delivery_id=delivery_id))
        return body, body

    return await change(request, scope, act, status=202)


async def pause_endpoint(request: Request) -> Response:
    """Hold back what is for an endpoint."""
    return await _switch(request, switching.pause)


async def resume_endpoint(request: Request) -> Response:
    """Let a paused endpoint have what was held back."""
    return await _switch(request, switching.resume)


async def _switch(request: Request, switch: Callable[..., Endpoint]) -> Response:
    scope = await _scope(request, UPDATE)
    step = partial(switch, scope=scope, uid=path_uid(request), version=wanted_version(request))
    return _response(request, scope, await request.services.write(step, [scope.tenant_id]))


async def disable_endpoint(request: Request) -> Response:
    """Let an endpoint get nothing of what comes from now on."""
    return await _switch_on_all_logs(request, switching.disable)


async def enable_endpoint(request: Request) -> Response:
    """Let a disabled endpoint have what comes from now on."""
    return await _switch_on_all_logs(request, switching.enable)


async def _switch_on_all_logs(request: Request, switch: Callable[..., Endpoint]) -> Response:
    scope = await _scope(request, UPDATE)
    uid, version = path_uid(request), wanted_version(request)

    async def write(tenants: Sequence[int]) -> Endpoint:
        step = partial(switch, scope=scope, uid=uid, version=version, tenants=tenants)
        return await request.services.write(step, tenants)

    return _response(request, scope, await on_all_logs(request, scope, write))


async def show_health(request: Request) -> Response:
    """Tell how an endpoint fares."""
    scope = await _scope(request, READ)
    body = await request.services.read(partial(_health, scope=scope, uid=path_uid(request)))
    return json_response(200, body)


def _health(tx: Transaction, scope: Scope, uid: bytes) -> EndpointHealthBody:
    endpoint = actions.get(tx, scope, uid)
    health, figures = endpoint.health, backlog.figures(tx, scope, uid)
    return EndpointHealthBody(
        uid=as_hex(uid),
        state=endpoint.state,
        disabled_reason=health.disabled_reason,
        disabled_at=print_optional_time(health.disabled_at),
        backlog=figures.backlog,
        oldest_due_at=print_optional_time(figures.oldest_due),
        last_hour=figures.last_hour,
        last_day=figures.last_day,
        last_success_at=print_optional_time(health.last_success_at),
        last_failure_at=print_optional_time(health.last_failure_at),
        last_error=health.last_error,
        failing_since=print_optional_time(health.failing_since),
        warned_at=print_optional_time(health.warned_at),
        slowed_until=print_optional_time(health.slowed_until),
    )
