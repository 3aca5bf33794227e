"""What the log says about endpoints. Their URLs are not in it beyond the host: path and query often are secrets."""

from __future__ import annotations

from typing import Literal

from msgspec import UNSET, UnsetType

from heliograph.catalog.definition import CamelBody, EventDefinition, HexUid, MicrosecondTime
from heliograph.endpoints.model import DisabledReason, Format

TEST_TYPE = "Endpoint.Test"
"""The type of the events that only the endpoint gets that they are about."""


class EndpointCreated(CamelBody, frozen=True, kw_only=True):
    """Payload of `Endpoint.Created`."""

    uid: HexUid
    host: str
    event_types: tuple[str, ...]
    format: Format


class EndpointUpdated(CamelBody, frozen=True, kw_only=True):
    """Payload of `Endpoint.Updated`: the fields that changed, without their values."""

    uid: HexUid
    host: str
    changed: tuple[str, ...]


class EndpointWarned(CamelBody, frozen=True, kw_only=True):
    """Payload of `Endpoint.Warned`."""

    uid: HexUid
    host: str
    failing_since: MicrosecondTime
    last_error: str | UnsetType = UNSET


class EndpointDisabled(CamelBody, frozen=True, kw_only=True):
    """Payload of `Endpoint.Disabled`; `failingSince` is there when it failed."""

    uid: HexUid
    host: str
    reason: DisabledReason
    failing_since: MicrosecondTime | UnsetType = UNSET
    last_error: str | UnsetType = UNSET


class EndpointState(CamelBody, frozen=True, kw_only=True):
    """Payload of what happens to an endpoint as a whole."""

    uid: HexUid
    host: str


class EndpointTest(CamelBody, frozen=True, kw_only=True):
    """Payload of `Endpoint.Test`."""

    uid: HexUid
    message: str


class EndpointSecretRotated(CamelBody, frozen=True, kw_only=True):
    """Payload of `Endpoint.SecretRotated`: until when the keys that were replaced go on to sign."""

    uid: HexUid
    host: str
    kind: Literal["symmetric", "asymmetric"]
    overlap_ends_at: MicrosecondTime


_ENDPOINT = "0197b3a411c27e5d8f60a1b2c3d4e5f6"
_HOST = "hooks.harbour.example"
_STATE = EndpointState(uid=_ENDPOINT, host=_HOST)

CREATED = EventDefinition(
    type="Endpoint.Created",
    family="record",
    code=4000,
    criticality=3,
    target="Endpoint",
    struct=EndpointCreated,
    sample=EndpointCreated(uid=_ENDPOINT, host=_HOST, event_types=("access_code.*",), format="wire"),
    meaning="An endpoint was added; it gets what is recorded from here on.",
)

UPDATED = EventDefinition(
    type="Endpoint.Updated",
    family="record",
    code=4001,
    criticality=4,
    target="Endpoint",
    struct=EndpointUpdated,
    sample=EndpointUpdated(uid=_ENDPOINT, host=_HOST, changed=("eventTypes", "rate")),
    meaning="An endpoint was changed.",
)

WARNED = EventDefinition(
    type="Endpoint.Warned",
    family="record",
    code=4002,
    criticality=2,
    target="Endpoint",
    struct=EndpointWarned,
    sample=EndpointWarned(
        uid=_ENDPOINT, host=_HOST, failing_since="2026-08-22T09:30:00.000000Z", last_error="connect_refused"
    ),
    meaning="Nothing has reached an endpoint for days; if that goes on, it is disabled.",
)

DISABLED = EventDefinition(
    type="Endpoint.Disabled",
    family="record",
    code=4003,
    criticality=2,
    target="Endpoint",
    struct=EndpointDisabled,
    sample=EndpointDisabled(
        uid=_ENDPOINT,
        host=_HOST,
        reason="failing",
        failing_since="2026-08-22T09:30:00.000000Z",
        last_error="connect_refused",
    ),
    meaning="An endpoint gets nothing any more: somebody disabled it, it answered 410, or it failed for too long.",
)

ENABLED = EventDefinition(
    type="Endpoint.Enabled",
    family="record",
    code=4004,
    criticality=4,
    target="Endpoint",
    struct=EndpointState,
    sample=_STATE,
    meaning="An endpoint that was disabled gets events again, from here on.",
)

TEST = EventDefinition(
    type=TEST_TYPE,
    family="record",
    code=4005,
    criticality=5,
    target="Endpoint",
    struct=EndpointTest,
    sample=EndpointTest(uid=_ENDPOINT, message="A test of this endpoint."),
    meaning="Somebody tries an endpoint; this endpoint alone gets it, whatever it asks for.",
)

DELETED = EventDefinition(
    type="Endpoint.Deleted",
    family="record",
    code=4006,
    criticality=3,
    target="Endpoint",
    struct=EndpointState,
    sample=_STATE,
    meaning="An endpoint was removed; what it had yet to get is cancelled.",
)

PAUSED = EventDefinition(
    type="Endpoint.Paused",
    family="record",
    code=4007,
    criticality=4,
    target="Endpoint",
    struct=EndpointState,
    sample=_STATE,
    meaning="What is for an endpoint is held back until it is resumed.",
)

RESUMED = EventDefinition(
    type="Endpoint.Resumed",
    family="record",
    code=4008,
    criticality=4,
    target="Endpoint",
    struct=EndpointState,
    sample=_STATE,
    meaning="An endpoint that was paused gets what was held back.",
)

SECRET_ROTATED = EventDefinition(
    type="Endpoint.SecretRotated",
    family="record",
    code=4009,
    criticality=3,
    target="Endpoint",
    struct=EndpointSecretRotated,
    sample=EndpointSecretRotated(
        uid=_ENDPOINT, host=_HOST, kind="symmetric", overlap_ends_at="2026-08-23T09:30:00.000000Z"
    ),
    meaning="An endpoint got a new key; the one before goes on to sign beside it for a while.",
)

EVENTS: tuple[EventDefinition, ...] = (
    CREATED,
    UPDATED,
    WARNED,
    DISABLED,
    ENABLED,
    TEST,
    DELETED,
    PAUSED,
    RESUMED,
    SECRET_ROTATED,
)
