"""What is sent: body, content type and headers of a delivery, and the request for consent; pure."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from heliograph import __version__
from heliograph.delivery.events import OPERATIONAL_CODES
from heliograph.delivery.signing import Headers, signature_headers
from heliograph.endpoints.model import Endpoint, EndpointSecrets, Format
from heliograph.eventlog import cloudevents
from heliograph.eventlog.model import Event
from heliograph.eventlog.render import RENDERERS
from heliograph.ids import as_hex

USER_AGENT = f"Heliograph/{__version__}"
HIDDEN = "(hidden)"
"""Stands for the values of the caller's own headers wherever attempts are shown."""


class Message(msgspec.Struct, frozen=True):
    """An event as one format has it, the same for every endpoint and attempt; `id` is the event's (rule R12).

    `is_operational` tells of an event about an endpoint or a delivery, whose own deliveries raise none.
    """

    id: str
    type: str | None
    seq: int
    is_operational: bool
    content_type: str | None
    headers: Headers
    body: bytes


def render(event: Event, format: Format) -> Message:
    """Render an event; one whose payload was erased goes out without it."""
    envelope = event.envelope
    operational = envelope.internal and envelope.event_code in OPERATIONAL_CODES
    headers: Headers = ()
    content_type: str | None = "application/json"
    if format == "cloudevents-binary":
        headers = cloudevents.render_headers(event)
        body = event.payload or b""
        content_type = envelope.payload_content_type if body else None
    else:
        body = RENDERERS[format](event)
        if format == "cloudevents":
            content_type = "application/cloudevents+json"
        elif format == "wire" and envelope.family == "flat" and event.payload is not None:
            content_type = envelope.payload_content_type
    return Message(envelope.id, envelope.type, event.seq, operational, content_type, headers, body)


def request_headers(
    message: Message, endpoint: Endpoint, secrets: EndpointSecrets, now: int, origin: str
) -> Headers:  # fmt: skip
    """Return the headers of an attempt at that time, signed with the keys of that time.

    `origin` is told where the receiver was asked for its consent (CloudEvents web hooks, section 4).
    """
    settings = endpoint.settings
    headers: list[tuple[str, str]] = [("user-agent", USER_AGENT)]
    if message.content_type is not None:
        headers.append(("content-type", message.content_type))
    if settings.consent != "off":
        headers.append(("origin", origin))
    headers += message.headers
    headers += secrets.headers
    headers += signature_headers(
        settings.header_family, secrets.keys_at(now), id=message.id, timestamp=now // 1_000_000, body=message.body,
        url=endpoint.url, endpoint_uid=as_hex(endpoint.uid), seq=message.seq,
    )  # fmt: skip
    return tuple(headers)


def shown(headers: Headers, secrets: EndpointSecrets) -> Headers:
    """Return a request's headers as they may be kept: of the caller's own ones only the names."""
    own = {name.lower() for name, _ in secrets.headers}
    return tuple((name, HIDDEN if name.lower() in own else value) for name, value in headers) if own else headers


# -- consent (CloudEvents "HTTP 1.1 Web Hooks for Event Delivery", section 4) ---------------------------------------


def consent_headers(endpoint: Endpoint, origin: str) -> Headers:
    """Return the headers of the OPTIONS request that asks a receiver whether it wants what is sent to it."""
    headers = [("user-agent", USER_AGENT), ("webhook-request-origin", origin)]
    if endpoint.settings.rate is not None:
        headers.append(("webhook-request-rate", str(endpoint.settings.rate * 60)))
    return tuple(headers)


class Consent(msgspec.Struct, frozen=True):
    """A receiver's answer: whether it gave its consent, and to how many requests a minute, None being any number."""

    given: bool
    per_minute: int | None = None


def read_consent(headers: Sequence[tuple[str, str]], origin: str) -> Consent:
    """Read the answer to a request for consent; its status alone means nothing."""
    values = {name.lower(): value.strip() for name, value in headers}
    allowed = values.get("webhook-allowed-origin", "")
    if allowed != "*" and allowed.lower() != origin.lower():
        return Consent(given=False)
    rate = values.get("webhook-allowed-rate", "*")
    # A rate that cannot be read is no reason to send as much as possible.
    per_minute = None if rate == "*" else int(rate[:9]) if rate.isascii() and rate.isdigit() else 1
    return Consent(given=True, per_minute=None if per_minute is None else max(1, per_minute))
