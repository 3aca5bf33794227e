"""The routes of deliveries."""

from __future__ import annotations

from heliograph.http import deliveries
from heliograph.http.routes import Example, Route

_PATH = "/v1/deliveries"
_ITEM = _PATH + "/{deliveryId}"
_TAG = "deliveries"

DELIVERIES = (
    Route(
        method="GET", path=_PATH, handler=deliveries.list_deliveries, permission=deliveries.READ, tag=_TAG,
        summary="List deliveries",
        description=(
            "Lists what is or was delivered of the tenant's events, by its own endpoints and those of companies above."
            " `include=subtree` adds the tenants below, one after the other. Without `state` and `errorClass` every"
            " page is full; with them, a page may be short, or empty, and still have a `nextCursor`."
        ),
        query=deliveries.DeliveriesQuery, answers={200: deliveries.DeliveryList},
        example=Example(query="state=exhausted&errorClass=timeout&errorClass=connect_refused&limit=50"),
    ),
    Route(
        method="GET", path=_ITEM, handler=deliveries.show_delivery, permission=deliveries.READ, tag=_TAG,
        summary="Get a delivery", answers={200: deliveries.DeliveryBody},
    ),
    Route(
        method="GET", path=_ITEM + "/attempts", handler=deliveries.list_attempts, permission=deliveries.READ, tag=_TAG,
        summary="List the attempts at a delivery", query=deliveries.AttemptsQuery,
        answers={200: deliveries.DeliveryAttemptList},
    ),
    Route(
        method="POST", path=_ITEM + "/resend", handler=deliveries.resend_delivery, permission=deliveries.RESEND,
        tag=_TAG, summary="Send a delivery again",
        description=(
            "It is tried again by the whole schedule, under the same event id; also one that was delivered. With a"
            " paused or disabled endpoint it waits."
        ),
        answers={202: deliveries.DeliveryBody, 200: deliveries.DeliveryBody}, idempotent_by_key=True,
    ),
)  # fmt: skip
