"""Events as they leave the platform: the native record, the wire body of their family, or a CloudEvent."""

from __future__ import annotations

import base64
from typing import Any, Literal

import msgspec

from heliograph.eventlog import cloudevents
from heliograph.eventlog.model import ActorKind, Event, Family, RelatedEntity, Scalar, is_json
from heliograph.times import print_optional_time, print_time

Format = Literal["record", "wire", "cloudevents"]

_encode = msgspec.json.Encoder().encode


class ActorBody(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """Who raised the event: an account through a key, a device, or the platform itself."""

    kind: ActorKind
    uid: str | None = None
    account_id: int | None = None
    key_uid: str | None = None


class EventBody(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """An event of the log.

    `payload` holds the payload itself when its content type is JSON, `payloadData` its base64 otherwise; an event
    without payload, or whose payload was erased, has neither.
    """

    id: str
    seq: int
    tenant_uid: str
    type: str | None
    family: Family
    kind: str | None
    event_code: int | None
    criticality: int
    internal: bool
    target_entity_type: str | None
    target_entity_id: str | None
    related_entities: tuple[RelatedEntity, ...] | msgspec.UnsetType = msgspec.UNSET
    actor: ActorBody
    source: str | None
    source_id: str | None
    extensions: dict[str, Scalar] | msgspec.UnsetType = msgspec.UNSET
    occurred_at: str | None
    recorded_at: str
    payload_content_type: str | None
    payload: Any = msgspec.UNSET
    payload_data: str | msgspec.UnsetType = msgspec.UNSET


def record(event: Event) -> bytes:
    """Render the native record; the payload's bytes are spliced in as they were stored."""
    envelope = event.envelope
    body = EventBody(
        id=envelope.id,
        seq=event.seq,
        tenant_uid=event.tenant_uid,
        type=envelope.type,
        family=envelope.family,
        kind=envelope.kind,
        event_code=envelope.event_code,
        criticality=envelope.criticality,
        internal=envelope.internal,
        target_entity_type=envelope.target_entity_type,
        target_entity_id=envelope.target_entity_id,
        related_entities=envelope.related_entities or msgspec.UNSET,
        actor=ActorBody(
            kind=envelope.actor.kind,
            uid=envelope.actor.uid,
            account_id=envelope.actor.account_id,
            key_uid=envelope.actor.key_uid,
        ),
        source=envelope.source,
        source_id=envelope.source_id,
        extensions=envelope.extensions or msgspec.UNSET,
        occurred_at=print_optional_time(envelope.occurred_at),
        recorded_at=print_time(event.recorded_at),
        payload_content_type=envelope.payload_content_type,
        **_payload_of(event),
    )
    return _encode(body)


def _payload_of(event: Event) -> dict[str, Any]:
    if event.payload is None or event.envelope.payload_content_type is None:
        return {}
    if is_json(event.envelope.payload_content_type):
        return {"payload": msgspec.Raw(event.payload)}
    return {"payload_data": base64.b64encode(event.payload).decode()}


def wire(event: Event) -> bytes:
    """Render the body that a webhook of the event's family carries (design section 3)."""
    envelope = event.envelope
    if event.payload is None or envelope.family == "record":
        return record(event)
    if envelope.family == "flat":
        return event.payload
    return _encode(
        {"id": envelope.id, "kind": envelope.kind, "type": envelope.type, "payload": msgspec.Raw(event.payload)}
    )


RENDERERS = {"record": record, "wire": wire, "cloudevents": cloudevents.render}
"""How to render an event in each format."""
