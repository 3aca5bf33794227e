"""`/webhooks/create`, `/webhooks/get`, `/webhooks/list`, `/webhooks/update` and `/webhooks/delete`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Annotated, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from heliograph.dialects.seam.answers import SeamError, done, missing
from heliograph.dialects.seam.events import FLAT_TYPES
from heliograph.dialects.seam.parameters import Id, Parameters, read_parameters
from heliograph.dialects.seam.routes import reading, writing
from heliograph.dialects.seam.workspace import scope_of
from heliograph.endpoints import actions, kinds
from heliograph.endpoints.model import Endpoint
from heliograph.errors import Fault
from heliograph.http.endpoint_bodies import EndpointChange, NewEndpoint
from heliograph.http.endpoints import CREATE, DELETE, READ, RECEIVE, UPDATE, on_all_logs, read_patch, read_wish
from heliograph.http.messages import Request, Response
from heliograph.ids import Secret, as_uuid

EVERYTHING = "*"
"""Stands for all types of Seam's shape, those of later versions too."""

SCHEDULE = (0, 5, 300, 1800, 7200, 18_000, 36_000, 36_000)
"""Seconds before each of the eight attempts that Seam makes, counted from the one before."""

T = TypeVar("T")
EventTypes = Annotated[tuple[str, ...], msgspec.Meta(min_length=1, max_length=100)]


class CreateWebhook(Parameters, frozen=True, kw_only=True):
    """Where to send events, and of which types; without any, those of all types."""

    url: str
    event_types: EventTypes | None = None


class WebhookQuery(Parameters, frozen=True, kw_only=True):
    """The webhook that is meant."""

    webhook_id: Id


class UpdateWebhook(WebhookQuery, frozen=True, kw_only=True):
    """The types of events that a webhook is to get from now on."""

    event_types: EventTypes


class WebhookBody(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint as Seam shows a webhook; `secret` is there when it has just been created, and never again."""

    webhook_id: str
    url: str
    event_types: tuple[str, ...]
    secret: str | UnsetType = UNSET


def body_of(endpoint: Endpoint, secret: Secret | None = None) -> WebhookBody:
    """Render an endpoint."""
    return WebhookBody(
        webhook_id=as_uuid(endpoint.uid),
        url=endpoint.url,
        event_types=endpoint.settings.event_types,
        secret=UNSET if secret is None else secret.reveal(),
    )


def read_types(given: Sequence[str]) -> list[str]:
    """Return types that there are, each once.

    Raises:
        SeamError: `invalid_event_types`, naming those that there are not.
    """
    known = {EVERYTHING, *FLAT_TYPES}
    faults = [
        Fault(f"/event_types/{place}", "event-type", "There is no such event type.")
        for place, type in enumerate(given)
        if type not in known
    ]
    if faults:
        unknown = ", ".join(repr(type[:100]) for type in dict.fromkeys(given) if type not in known)
        raise SeamError(400, "invalid_event_types", f"There are no such event types: {unknown}", tuple(faults))
    return list(dict.fromkeys(given))


async def create_webhook(request: Request) -> Response:
    """Add a webhook and show its secret, once."""
    scope = await scope_of(request, CREATE)
    await scope_of(request, RECEIVE)
    given = read_parameters(request, CreateWebhook)
    services = request.services
    new = NewEndpoint(
        url=given.url, event_types=read_types(given.event_types or (EVERYTHING,)), families=["flat"],
        header_family="svix", retry_schedule=list(SCHEDULE),
    )  # fmt: skip
    step = partial(actions.create, scope=scope, sealer=services.sealer, wish=read_wish(request, new))
    endpoint, secret = await on_all_logs(request, scope, _writing(request, step))
    return done(webhook=body_of(endpoint, secret))


async def get_webhook(request: Request) -> Response:
    """Return one webhook."""
    scope = await scope_of(request, READ)
    given = read_parameters(request, WebhookQuery)
    with missing("webhook"):
        endpoint = await request.services.read(partial(kinds.get, scope=scope, uid=given.webhook_id))
    return done(webhook=body_of(endpoint))


async def list_webhooks(request: Request) -> Response:
    """List the webhooks of the workspace."""
    scope = await scope_of(request, READ)
    read_parameters(request, Parameters)
    endpoints = await request.services.read(partial(kinds.list_all, scope=scope))
    return done(webhooks=[body_of(endpoint) for endpoint in endpoints])


async def update_webhook(request: Request) -> Response:
    """Change which types of events a webhook gets."""
    scope = await scope_of(request, UPDATE)
    given = read_parameters(request, UpdateWebhook)
    services = request.services
    change = EndpointChange(event_types=read_types(given.event_types))
    step = partial(
        kinds.update, scope=scope, sealer=services.sealer, uid=given.webhook_id,
        patch=read_patch(request, change),
    )  # fmt: skip
    with missing("webhook"):
        await on_all_logs(request, scope, _writing(request, step))
    return done()


async def delete_webhook(request: Request) -> Response:
    """Remove a webhook, and cancel what it had yet to get."""
    scope = await scope_of(request, DELETE)
    given = read_parameters(request, WebhookQuery)
    step = partial(kinds.delete, scope=scope, uid=given.webhook_id)
    with missing("webhook"):
        await on_all_logs(request, scope, _writing(request, step))
    request.services.runner.notice()
    return done()


def _writing(request: Request, step: Callable[..., T]) -> Callable[[list[int]], Awaitable[T]]:
    """Return what carries out a step that wants to know the tenants whose logs are locked."""
    return lambda tenants: request.services.write(partial(step, tenants=tenants), tenants)


WEBHOOKS = (
    *writing("POST", "/webhooks/create", create_webhook, CREATE, CreateWebhook, "Create a webhook"),
    *reading("/webhooks/get", get_webhook, READ, WebhookQuery, "Get a webhook"),
    *reading("/webhooks/list", list_webhooks, READ, Parameters, "List webhooks"),
    *writing("PUT", "/webhooks/update", update_webhook, UPDATE, UpdateWebhook, "Update a webhook"),
    *writing("DELETE", "/webhooks/delete", delete_webhook, DELETE, WebhookQuery, "Delete a webhook"),
)
"""The routes of webhooks."""
