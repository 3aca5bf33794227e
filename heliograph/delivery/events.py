"""What the log says about deliveries: that one was given up, and that it succeeded after all."""

from __future__ import annotations

from msgspec import UNSET, UnsetType

from heliograph.catalog.definition import CamelBody, EventDefinition, HexUid, UuidText

OPERATIONAL_CODES = range(4000, 4100)
"""Codes of the events about endpoints and deliveries; what becomes of their own deliveries raises no event."""


class DeliveryExhausted(CamelBody, frozen=True, kw_only=True):
    """Payload of `Delivery.Exhausted`; `lastStatus` is there when the receiver answered."""

    delivery_id: str
    endpoint_uid: HexUid
    tenant_uid: HexUid
    event_id: UuidText
    event_type: str | UnsetType = UNSET
    attempts: int
    last_error: str
    last_status: int | UnsetType = UNSET


class DeliveryRecovered(CamelBody, frozen=True, kw_only=True):
    """Payload of `Delivery.Recovered`."""

    delivery_id: str
    endpoint_uid: HexUid
    tenant_uid: HexUid
    event_id: UuidText
    event_type: str | UnsetType = UNSET
    attempts: int


_ENDPOINT = "0197b3a411c27e5d8f60a1b2c3d4e5f6"
_TENANT = "0197b3a3f0e17a4b9c2d3e4f50617283"
_EVENT = "0197b3a4-10c2-7d3e-8f40-5162738495a6"

EXHAUSTED = EventDefinition(
    type="Delivery.Exhausted",
    family="record",
    code=4010,
    criticality=2,
    target="Endpoint",
    struct=DeliveryExhausted,
    sample=DeliveryExhausted(
        delivery_id=f"{_ENDPOINT}-{_TENANT}-17", endpoint_uid=_ENDPOINT, tenant_uid=_TENANT, event_id=_EVENT,
        event_type="door.opened", attempts=10, last_error="server_error", last_status=500,
    ),
    meaning="An event could not be delivered to an endpoint; it is not tried again unless somebody asks for it.",
)  # fmt: skip

RECOVERED = EventDefinition(
    type="Delivery.Recovered",
    family="record",
    code=4011,
    criticality=4,
    target="Endpoint",
    struct=DeliveryRecovered,
    sample=DeliveryRecovered(
        delivery_id=f"{_ENDPOINT}-{_TENANT}-17", endpoint_uid=_ENDPOINT, tenant_uid=_TENANT, event_id=_EVENT,
        event_type="door.opened", attempts=11,
    ),
    meaning="An event that had been given up was delivered after somebody had it sent again.",
)  # fmt: skip

EVENTS: tuple[EventDefinition, ...] = (EXHAUSTED, RECOVERED)
