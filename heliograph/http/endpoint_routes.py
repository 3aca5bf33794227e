"""The routes of endpoints."""

from __future__ import annotations

from collections.abc import Iterable

from heliograph.endpoints.wishes import FORBIDDEN_BEGINNINGS, FORBIDDEN_HEADERS
from heliograph.http import endpoints
from heliograph.http.endpoint_bodies import EndpointBody, EndpointChange, EndpointList, NewEndpoint, NewEndpointBody
from heliograph.http.lists import TenantQuery
from heliograph.http.routes import Example, Route

_PATH = "/v1/endpoints"
_ITEM = _PATH + "/{uid}"
_TAG = "endpoints"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in sorted(names))


ENDPOINTS = (
    Route(
        method="GET", path=_PATH, handler=endpoints.list_endpoints, permission=endpoints.READ, tag=_TAG,
        summary="List endpoints", query=endpoints.EndpointsQuery, answers={200: EndpointList},
        description="Lists the tenant's own endpoints, not those of companies above that get its events too.",
        example=Example(query="state=active&state=paused"),
    ),
    Route(
        method="POST", path=_PATH, handler=endpoints.create_endpoint, permission=endpoints.CREATE, tag=_TAG,
        summary="Add an endpoint",
        description=(
            "It gets what is recorded from here on: in the tenant, and if that is a company, in all tenants below it,"
            " those added later too. The secret is in this answer and never again. A tenant has at most 1,000"
            " endpoints; a company gets one only while at most 500 tenants are below it. `headers` may have any name"
            f" but {_listed(FORBIDDEN_HEADERS)} and those that begin with {_listed(FORBIDDEN_BEGINNINGS)}; values are"
            f" printable ASCII. This also needs the permission `{endpoints.RECEIVE}`."
        ),
        query=TenantQuery, body=NewEndpoint, answers={201: NewEndpointBody}, idempotent_by_key=True,
        example=Example(
            body={
                "url": "https://hooks.example.com/heliograph",
                "eventTypes": ["access_code.*", "Device.Removed"],
                "headers": {"Authorization": "Basic aGVsaW86Z3JhcGg="},
                "rate": 50,
            },
            status=201,
        ),
    ),
    Route(
        method="GET", path=_ITEM, handler=endpoints.show_endpoint, permission=endpoints.READ, tag=_TAG,
        summary="Get an endpoint", query=TenantQuery, answers={200: EndpointBody},
    ),
    Route(
        method="PATCH", path=_ITEM, handler=endpoints.update_endpoint, permission=endpoints.UPDATE, tag=_TAG,
        summary="Change an endpoint",
        description=(
            "What it gets changes exactly from the next event on; what it has yet to get stays. To give a `url` also"
            f" needs the permission `{endpoints.RECEIVE}`."
        ),
        query=TenantQuery, body=EndpointChange, answers={200: EndpointBody}, headers=("If-Match",),
        example=Example(body={"eventTypes": ["*"], "rate": None}),
    ),
    Route(
        method="DELETE", path=_ITEM, handler=endpoints.delete_endpoint, permission=endpoints.DELETE, tag=_TAG,
        summary="Delete an endpoint",
        description="What it had yet to get is cancelled. Its deliveries can be read until they expire.",
        query=TenantQuery, answers={204: None}, headers=("If-Match",),
    ),
    Route(
        method="POST", path=_ITEM + "/rotate-secret", handler=endpoints.rotate_secret, permission=endpoints.UPDATE,
        tag=_TAG, summary="Replace a key of an endpoint",
        description=(
            "Until the overlap ends, 24 hours unless another is given and at most 7 days, deliveries are signed with"
            " both keys. The new secret is in this answer and never again. At most 10 keys of a kind that were"
            " replaced sign at the same time. `X-SOS-*` headers know one signature: they use the new key at once."
        ),
        query=TenantQuery, body=endpoints.NewSecret, body_required=False, answers={200: NewEndpointBody},
        headers=("If-Match",), idempotent_by_key=True, example=Example(body={"overlap": 3600}),
    ),
    Route(
        method="POST", path=_ITEM + "/test", handler=endpoints.send_test, permission=endpoints.UPDATE, tag=_TAG,
        summary="Send an endpoint a test event",
        description=(
            "It gets an event of the type `Endpoint.Test`, whatever it asks for, and no other endpoint does. One whose"
            " `families` are `flat` alone, in `wire` format and without `X-SOS-*` headers, is what Seam's clients see"
            " as a webhook: it gets nothing else, and no test event (409)."
        ),
        query=TenantQuery, answers={202: endpoints.TestBody, 200: endpoints.TestBody}, idempotent_by_key=True,
        example=Example(status=202),
    ),
    Route(
        method="POST", path=_ITEM + "/pause", handler=endpoints.pause_endpoint, permission=endpoints.UPDATE, tag=_TAG,
        summary="Hold back what is for an endpoint", description="Again, it changes nothing.",
        query=TenantQuery, answers={200: EndpointBody}, headers=("If-Match",), example=Example(),
    ),
    Route(
        method="POST", path=_ITEM + "/resume", handler=endpoints.resume_endpoint, permission=endpoints.UPDATE,
        tag=_TAG, summary="Let a paused endpoint have what was held back", description="Again, it changes nothing.",
        query=TenantQuery, answers={200: EndpointBody}, headers=("If-Match",), example=Example(),
    ),
    Route(
        method="POST", path=_ITEM + "/disable", handler=endpoints.disable_endpoint, permission=endpoints.UPDATE,
        tag=_TAG, summary="Let an endpoint get nothing of what comes",
        description="What it had yet to get waits until it is enabled. Again, it changes nothing.",
        query=TenantQuery, answers={200: EndpointBody}, headers=("If-Match",), example=Example(),
    ),
    Route(
        method="POST", path=_ITEM + "/enable", handler=endpoints.enable_endpoint, permission=endpoints.UPDATE,
        tag=_TAG, summary="Let a disabled endpoint have what comes",
        description="What came while it was disabled is not sent. Again, it changes nothing.",
        query=TenantQuery, answers={200: EndpointBody}, headers=("If-Match",), example=Example(),
    ),
    Route(
        method="GET", path=_ITEM + "/health", handler=endpoints.show_health, permission=endpoints.READ, tag=_TAG,
        summary="See how an endpoint fares", query=TenantQuery, answers={200: endpoints.EndpointHealthBody},
    ),
)  # fmt: skip
