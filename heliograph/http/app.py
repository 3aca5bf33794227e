"""The route table: every path of the API with what it needs, reads, answers and means. Nothing else."""

from __future__ import annotations

from heliograph.eventlog.submission import NewEvent
from heliograph.http import accounts, event_types, events, health, ingest, tenants
from heliograph.http.access_code_routes import ACCESS_CODES
from heliograph.http.connected_account_routes import CONNECTED_ACCOUNTS
from heliograph.http.delivery_routes import DELIVERIES
from heliograph.http.device_routes import DEVICES
from heliograph.http.edge import no_such_path, wrong_method
from heliograph.http.endpoint_routes import ENDPOINTS
from heliograph.http.events import EventQueryString, EventsQuery
from heliograph.http.ingest import BatchBody, ReceiptBody
from heliograph.http.job_routes import JOBS
from heliograph.http.lists import ListQuery, TenantQuery
from heliograph.http.openapi import EVENT_BODIES, EventList, show_openapi
from heliograph.http.recipe_routes import RECIPES
from heliograph.http.reference_routes import REFERENCES
from heliograph.http.report_routes import REPORTS
from heliograph.http.routes import Example, Route, Routes
from heliograph.tenancy.actions import GrantWish

_NEW_EVENT = {
    "type": "door.opened",
    "eventCode": 10001,
    "criticality": 4,
    "targetEntityType": "Device",
    "targetEntityId": "door-7",
    "payload": {"by": "badge 4711"},
}

EVENTS = (
    Route(
        method="POST",
        path="/v1/events",
        handler=ingest.create_events,
        permission=ingest.CREATE,
        summary="Generate events",
        description=(
            "Stores one event (a JSON object or a CloudEvent) or a batch of up to 1,000 (a JSON array, NDJSON or a"
            " CloudEvents batch), and answers after the commit. Every event of a batch is accepted or refused on its"
            " own: 201 when all were stored, 207 when some were not. A batch that would make more than 50,000"
            " deliveries to endpoints is refused as a whole (413, `max-deliveries`). A repeat, known by"
            " `Idempotency-Key` or by `source` and `sourceId`, is answered 200 with the first receipt, and 409 when its"
            " content differs."
        ),
        query=TenantQuery,
        body=NewEvent | list[NewEvent],
        content_types=(
            "application/json", "application/x-ndjson",
            "application/cloudevents+json", "application/cloudevents-batch+json",
        ),
        answers={201: (ReceiptBody, BatchBody), 200: (ReceiptBody, BatchBody), 207: BatchBody},
        idempotent_by_key=True,
        size="batch_bytes",
        example=Example(body=_NEW_EVENT, status=201),
    ),
    Route(
        method="GET",
        path="/v1/events",
        handler=events.list_events,
        permission=events.READ,
        summary="List events",
        description=(
            "Lists the events of a range of time, newest first. One date alone begins a range that ends now."
            " `nextCursor` goes on with the same parameters; a page may hold fewer events than `limit` and still have"
            " one. Ascending without an end, the cursor never runs out: ask again later for what came since."
        ),
        query=EventsQuery,
        answers={200: EventList},
        example=Example(query="from=2026-01-01T00:00:00Z&maxCriticality=2&limit=10"),
    ),
    Route(
        method="GET",
        path="/v1/events/{id}",
        handler=events.show_event,
        permission=events.READ,
        summary="Get an event",
        query=EventQueryString,
        answers={200: EVENT_BODIES},
    ),
)  # fmt: skip

TYPES = (
    Route(
        method="GET", path="/v1/event-types", handler=event_types.list_types, permission=event_types.READ,
        summary="List event types", tag="event types", query=TenantQuery, answers={200: event_types.TypeList},
        example=Example(),
    ),
    Route(
        method="POST", path="/v1/event-types", handler=event_types.create_type, permission=event_types.CREATE,
        summary="Register an event type", tag="event types", query=TenantQuery, body=event_types.NewType,
        answers={201: event_types.TypeBody}, idempotent_by_key=True,
        example=Example(
            body={"type": "door.opened", "schema": {"type": "object", "required": ["by"]}, "defaultCode": 10001},
            status=201,
        ),
    ),
    Route(
        method="GET", path="/v1/event-types/{type}", handler=event_types.show_type, permission=event_types.READ,
        summary="Get an event type", tag="event types", query=TenantQuery, answers={200: event_types.TypeBody},
    ),
    Route(
        method="PATCH", path="/v1/event-types/{type}", handler=event_types.update_type,
        permission=event_types.UPDATE, summary="Change an event type", tag="event types", query=TenantQuery,
        body=event_types.TypePatch, answers={200: event_types.TypeBody}, headers=("If-Match",),
        example=Example(body={"defaultCriticality": 3}),
    ),
    Route(
        method="DELETE", path="/v1/event-types/{type}", handler=event_types.delete_type,
        permission=event_types.DELETE, summary="Remove an event type", tag="event types", query=TenantQuery,
        answers={204: None}, headers=("If-Match",),
    ),
)  # fmt: skip

TENANTS = (
    Route(
        method="GET", path="/v1/tenants", handler=tenants.list_tenants, permission="", tag="tenants",
        summary="List tenants", description="Lists every tenant on which the key holds `read tenant.tenant`.",
        query=ListQuery, answers={200: tenants.TenantList}, example=Example(),
    ),
    Route(
        method="POST", path="/v1/tenants", handler=tenants.create_tenant, permission=tenants.CREATE, tag="tenants",
        summary="Add a tenant", description="`tenantUid` names the company below which the new tenant stands.",
        query=TenantQuery, body=tenants.NewTenant, answers={201: tenants.TenantBody}, idempotent_by_key=True,
        example=Example(
            body={"kind": "organization", "name": "North stores", "shortName": "north-stores"}, status=201,
            query="tenantUid={company}",
        ),
    ),
    Route(
        method="GET", path="/v1/tenants/{uid}", handler=tenants.show_tenant, permission=tenants.READ, tag="tenants",
        summary="Get a tenant", answers={200: tenants.TenantBody},
    ),
    Route(
        method="PATCH", path="/v1/tenants/{uid}", handler=tenants.update_tenant, permission=tenants.UPDATE,
        tag="tenants", summary="Change a tenant", body=tenants.TenantPatch, answers={200: tenants.TenantBody},
        headers=("If-Match",), example=Example(body={"name": "Stores in the north"}),
    ),
)  # fmt: skip

ACCOUNTS = (
    Route(
        method="GET", path="/v1/accounts", handler=accounts.list_accounts, permission="read account.tenant",
        tag="accounts", summary="List accounts", query=ListQuery, answers={200: accounts.AccountList},
        example=Example(),
    ),
    Route(
        method="POST", path="/v1/accounts", handler=accounts.create_account, permission="create account.tenant",
        tag="accounts", summary="Add an account", query=TenantQuery, body=accounts.NewAccount,
        answers={201: accounts.AccountBody}, idempotent_by_key=True,
        example=Example(body={"name": "Night shift", "grants": [{"grant": "viewer"}]}, status=201),
    ),
    Route(
        method="GET", path="/v1/accounts/{uid}", handler=accounts.show_account, permission="read account.tenant",
        tag="accounts", summary="Get an account", query=TenantQuery, answers={200: accounts.AccountBody},
    ),
    Route(
        method="PATCH", path="/v1/accounts/{uid}", handler=accounts.update_account,
        permission="update account.tenant", tag="accounts", summary="Rename an account", query=TenantQuery,
        body=accounts.AccountPatch, answers={200: accounts.AccountBody}, headers=("If-Match",),
        example=Example(body={"name": "Late shift"}),
    ),
    Route(
        method="DELETE", path="/v1/accounts/{uid}", handler=accounts.revoke_account,
        permission="delete account.tenant", tag="accounts", summary="Revoke an account and its keys",
        query=TenantQuery, answers={204: None},
    ),
    Route(
        method="POST", path="/v1/accounts/{uid}/grants", handler=accounts.add_account_grant,
        permission="update account.tenant", tag="accounts", summary="Grant an account a right", query=TenantQuery,
        body=GrantWish, answers={201: accounts.GrantBody}, idempotent_by_key=True,
        example=Example(body={"grant": "read event.tenant"}, status=201),
    ),
    Route(
        method="DELETE", path="/v1/accounts/{uid}/grants/{grantUid}", handler=accounts.remove_account_grant,
        permission="update account.tenant", tag="accounts", summary="Take a right back from an account",
        query=TenantQuery, answers={204: None},
    ),
)  # fmt: skip

KEYS = (
    Route(
        method="GET", path="/v1/keys", handler=accounts.list_keys, permission="read key.tenant", tag="keys",
        summary="List keys", query=ListQuery, answers={200: accounts.KeyList}, example=Example(),
    ),
    Route(
        method="POST", path="/v1/keys", handler=accounts.create_key, permission="create key.tenant", tag="keys",
        summary="Make a key", description="The token is in this answer and never again.", query=TenantQuery,
        body=accounts.NewKey, answers={201: accounts.NewKeyBody}, idempotent_by_key=True,
        example=Example(body={"name": "door gateway", "grants": [{"grant": "connector"}]}, status=201),
    ),
    Route(
        method="GET", path="/v1/keys/{uid}", handler=accounts.show_key, permission="read key.tenant", tag="keys",
        summary="Get a key", query=TenantQuery, answers={200: accounts.KeyBody},
    ),
    Route(
        method="DELETE", path="/v1/keys/{uid}", handler=accounts.revoke_key, permission="delete key.tenant",
        tag="keys", summary="Revoke a key", query=TenantQuery, answers={204: None},
    ),
    Route(
        method="POST", path="/v1/keys/{uid}/grants", handler=accounts.add_key_grant, permission="update key.tenant",
        tag="keys", summary="Grant a key a right", query=TenantQuery, body=GrantWish,
        answers={201: accounts.GrantBody}, idempotent_by_key=True,
        example=Example(body={"grant": "create event.tenant"}, status=201),
    ),
    Route(
        method="DELETE", path="/v1/keys/{uid}/grants/{grantUid}", handler=accounts.remove_key_grant,
        permission="update key.tenant", tag="keys", summary="Take a right back from a key", query=TenantQuery,
        answers={204: None},
    ),
)  # fmt: skip

PLATFORM = (
    Route(
        method="GET", path="/healthz", handler=health.health, permission=None, tag="platform",
        summary="Is the process alive?", answers={200: health.HealthBody}, example=Example(),
    ),
    Route(
        method="GET", path="/readyz", handler=health.ready, permission=None, tag="platform",
        summary="Can requests be served?", answers={200: health.ReadyBody, 503: health.ReadyBody}, example=Example(),
    ),
    Route(
        method="GET", path="/metrics", handler=health.metrics, permission=None, tag="platform",
        summary="Counters for Prometheus", answers={200: str}, answer_types=("text/plain",), example=Example(),
    ),
    Route(
        method="GET", path="/openapi.json", handler=show_openapi, permission=None, tag="platform",
        summary="This description (OpenAPI 3.1)", answers={200: dict}, example=Example(),
    ),
)  # fmt: skip

ROUTES = Routes(
    (
        *EVENTS, *TYPES, *REFERENCES, *CONNECTED_ACCOUNTS, *DEVICES, *REPORTS, *ACCESS_CODES, *RECIPES, *JOBS,
        *ENDPOINTS, *DELIVERIES, *TENANTS, *ACCOUNTS, *KEYS, *PLATFORM,
    ),
    no_such_path,
    wrong_method,
)  # fmt: skip
"""All routes of the API."""
