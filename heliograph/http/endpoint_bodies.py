"""The bodies of `/v1/endpoints`: what is asked for, by the limits of the model, and what is shown."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import UNSET, Meta, UnsetType

from heliograph.delivery.signing import public_key, read_secret
from heliograph.devices.model import CustomMetadata, GivenMetadata
from heliograph.endpoints import model
from heliograph.endpoints.keys import Kind
from heliograph.endpoints.model import (
    Consent,
    DisabledReason,
    Endpoint,
    EndpointSecrets,
    EndpointSettings,
    Format,
    HeaderFamily,
    Ordering,
    State,
)
from heliograph.endpoints.tls import Tls, read_ca, read_client
from heliograph.endpoints.wishes import (
    HIDDEN,
    EndpointPatch,
    EndpointWish,
    SettingsPatch,
    each_once,
    plain_url,
    read_headers,
    read_schedule,
)
from heliograph.errors import Invalid
from heliograph.eventlog.model import LEAST_CRITICALITY, Family
from heliograph.eventlog.submission import EntityType
from heliograph.ids import as_hex
from heliograph.strict_json import END_OF_TEXT
from heliograph.times import print_optional_time, print_time

T = TypeVar("T")

_PATTERN = r"^(\*|[^\x00-\x1f\x7f-\x9f*]+(\.\*)?)" + END_OF_TEXT
EventTypePattern = Annotated[str, Meta(min_length=1, max_length=model.LONGEST_PATTERN, pattern=_PATTERN)]
"""An event type, `prefix.*` for all types that begin with `prefix.`, or `*` for all events."""

_Filter = Meta(max_length=model.MOST_FILTER_VALUES)
EventTypes = Annotated[list[EventTypePattern], Meta(min_length=1, max_length=model.MOST_PATTERNS)]
Families = Annotated[list[Family], _Filter]
Criticalities = Annotated[list[Annotated[int, Meta(ge=0, le=LEAST_CRITICALITY)]], _Filter]
TargetTypes = Annotated[list[EntityType], _Filter]
Codes = Annotated[list[Annotated[int, Meta(ge=0, le=2**31 - 1)]], _Filter]
Rate = Annotated[int, Meta(ge=1, le=model.HIGHEST_RATE)]
Concurrency = Annotated[int, Meta(ge=1, le=model.HIGHEST_CONCURRENCY)]
Timeout = Annotated[int, Meta(ge=1, le=model.LONGEST_TIMEOUT)]
_Wait = Annotated[int, Meta(ge=0, le=model.LONGEST_WAIT)]
Schedule = Annotated[list[_Wait], Meta(min_length=1, max_length=model.MOST_TRIES)]
_TEXT = r"^[^\x00-\x1f\x7f-\x9f]*" + END_OF_TEXT
Description = Annotated[str, Meta(max_length=model.LONGEST_DESCRIPTION, pattern=_TEXT)]
Overlap = Annotated[int, Meta(ge=0, le=model.LONGEST_OVERLAP)]


class NewEndpoint(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """An endpoint to add. `secret` is base64 of 24 to 64 bytes, with or without `whsec_` before it; else one is
    made.

    `rate` is in requests per second, `timeout` in seconds. `retrySchedule` has the seconds before each attempt, counted
    from the one before, the first being 0; without it, the platform's holds. Certificates and key are PEM.
    """

    url: str
    event_types: EventTypes = msgspec.field(default_factory=lambda: ["*"])
    families: Families = []
    criticalities: Criticalities = []
    target_entity_types: TargetTypes = []
    event_codes: Codes = []
    format: Format = "wire"
    ordering: Ordering = "none"
    header_family: HeaderFamily = "webhook"
    asymmetric: bool = False
    secret: str | None = None
    headers: dict[str, str] = {}
    rate: Rate | None = None
    concurrency: Concurrency = 10
    timeout: Timeout = 15
    consent: Consent = "off"
    retry_schedule: Schedule | None = None
    ca: str | None = None
    client_certificate: str | None = None
    client_key: str | None = None
    description: Description | None = None
    custom_metadata: GivenMetadata = {}


class EndpointChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """What to change; null removes a value, lists and headers are replaced as a whole, what is left out stays.

    `********` as the value of a header stands for the value that it has. A client certificate and its key are given,
    or removed, together.
    """

    url: str | UnsetType = UNSET
    event_types: EventTypes | UnsetType = UNSET
    families: Families | UnsetType = UNSET
    criticalities: Criticalities | UnsetType = UNSET
    target_entity_types: TargetTypes | UnsetType = UNSET
    event_codes: Codes | UnsetType = UNSET
    format: Format | UnsetType = UNSET
    ordering: Ordering | UnsetType = UNSET
    header_family: HeaderFamily | UnsetType = UNSET
    asymmetric: bool | UnsetType = UNSET
    headers: dict[str, str] | UnsetType = UNSET
    rate: Rate | UnsetType | None = UNSET
    concurrency: Concurrency | UnsetType = UNSET
    timeout: Timeout | UnsetType = UNSET
    consent: Consent | UnsetType = UNSET
    retry_schedule: Schedule | UnsetType | None = UNSET
    ca: str | UnsetType | None = UNSET
    client_certificate: str | UnsetType | None = UNSET
    client_key: str | UnsetType | None = UNSET
    description: Description | UnsetType | None = UNSET
    custom_metadata: GivenMetadata | UnsetType = UNSET


class KeyItem(msgspec.Struct, frozen=True, rename="camel"):
    """A key that signs, until `expiresAt` when it was replaced.

    `publicKey` is there for an Ed25519 key, and verifies what it signed.
    """

    kind: Kind
    created_at: str
    expires_at: str | None
    public_key: str | None


class EndpointBody(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An endpoint; the values of its headers and all secrets are hidden."""

    uid: str
    url: str
    state: State
    disabled_reason: DisabledReason | None
    event_types: tuple[str, ...]
    families: tuple[Family, ...]
    criticalities: tuple[int, ...]
    target_entity_types: tuple[str, ...]
    event_codes: tuple[int, ...]
    format: Format
    ordering: Ordering
    header_family: HeaderFamily
    asymmetric: bool
    keys: list[KeyItem]
    headers: dict[str, str]
    rate: int | None
    concurrency: int
    timeout: int
    consent: Consent
    retry_schedule: tuple[int, ...] | None
    ca: str | None
    client_certificate: str | None
    description: str | None
    custom_metadata: CustomMetadata
    created_at: str
    updated_at: str


class NewEndpointBody(EndpointBody, frozen=True, kw_only=True, rename="camel"):
    """An endpoint with its secret, which is null when the answer is repeated: it is shown once."""

    secret: str | None


class EndpointList(msgspec.Struct, frozen=True, rename="camel"):
    """A page of endpoints."""

    data: list[EndpointBody]
    next_cursor: str | None


def body_of(endpoint: Endpoint, secrets: EndpointSecrets) -> EndpointBody:
    """Render an endpoint; of its secrets only what is public."""
    wanted = endpoint.settings
    return EndpointBody(
        uid=as_hex(endpoint.uid),
        url=endpoint.url,
        state=endpoint.state,
        disabled_reason=endpoint.health.disabled_reason,
        event_types=wanted.event_types,
        families=wanted.families,
        criticalities=wanted.criticalities,
        target_entity_types=wanted.target_types,
        event_codes=wanted.codes,
        format=wanted.format,
        ordering=wanted.ordering,
        header_family=wanted.header_family,
        asymmetric=wanted.asymmetric,
        keys=[
            KeyItem(
                kind=key.kind,
                created_at=print_time(key.created_at),
                expires_at=print_optional_time(key.expires_at),
                public_key=public_key(key) if key.kind == "ed25519" else None,
            )
            for key in secrets.keys
        ],
        headers={name: HIDDEN for name, _ in secrets.headers},
        rate=wanted.rate,
        concurrency=wanted.concurrency,
        timeout=wanted.timeout,
        consent=wanted.consent,
        retry_schedule=wanted.retry_schedule,
        ca=secrets.ca,
        client_certificate=secrets.client_certificate,
        description=wanted.description,
        custom_metadata=wanted.custom_metadata,
        created_at=print_time(endpoint.created_at),
        updated_at=print_time(endpoint.updated_at),
    )


# -- reading requests -----------------------------------------------------------------------------------------------


def wish_of(new: NewEndpoint, now: int) -> EndpointWish:
    """Read an endpoint to make; `now` is the time at which its certificates must be valid.

    Raises:
        Invalid: naming the first field that breaks a rule.
    """
    settings = EndpointSettings(
        event_types=each_once(new.event_types),
        families=each_once(new.families),
        criticalities=each_once(new.criticalities),
        target_types=each_once(new.target_entity_types),
        codes=each_once(new.event_codes),
        retry_schedule=None if new.retry_schedule is None else read_schedule(new.retry_schedule),
        **_same(new),
    )
    client = _client(new.client_certificate, new.client_key, now) or (None, None)
    return EndpointWish(
        url=plain_url(new.url),
        settings=settings,
        headers=read_headers(new.headers),
        secret=None if new.secret is None else read_secret(new.secret, "/secret"),
        tls=Tls(
            ca=None if new.ca is None else read_ca(new.ca, now), client_certificate=client[0], client_key=client[1]
        ),
    )


def patch_of(given: EndpointChange, now: int) -> EndpointPatch:
    """Read what to change of an endpoint; `now` is the time at which its certificates must be valid.

    Raises:
        Invalid: naming the first field that breaks a rule; headers are checked when the present ones are known.
    """
    settings = SettingsPatch(
        event_types=_each_once(given.event_types),
        families=_each_once(given.families),
        criticalities=_each_once(given.criticalities),
        target_types=_each_once(given.target_entity_types),
        codes=_each_once(given.event_codes),
        retry_schedule=read_schedule(given.retry_schedule)
        if isinstance(given.retry_schedule, list)
        else given.retry_schedule,
        **_same(given),
    )
    if (given.client_certificate is UNSET) != (given.client_key is UNSET):
        raise _unpaired("/clientKey" if given.client_key is UNSET else "/clientCertificate")
    return EndpointPatch(
        url=UNSET if given.url is UNSET else plain_url(given.url),
        settings=settings,
        headers=given.headers,
        ca=read_ca(given.ca, now) if isinstance(given.ca, str) else given.ca,
        client=UNSET
        if given.client_certificate is UNSET or given.client_key is UNSET
        else _client(given.client_certificate, given.client_key, now),
    )


_SAME = (
    "format", "ordering", "header_family", "asymmetric", "rate", "concurrency", "timeout", "consent", "description",
    "custom_metadata",
)  # fmt: skip
"""Fields that mean in a body what they mean in the model."""


def _same(given: NewEndpoint | EndpointChange) -> dict[str, Any]:
    return {name: getattr(given, name) for name in _SAME}


def _each_once(values: list[T] | UnsetType) -> tuple[T, ...] | UnsetType:
    return UNSET if isinstance(values, UnsetType) else each_once(values)


def _client(certificate: str | None, key: str | None, now: int) -> tuple[str, str] | None:
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        raise _unpaired("/clientKey" if key is None else "/clientCertificate")
    return read_client(certificate, key, now)


def _unpaired(pointer: str) -> Invalid:
    return Invalid.at(pointer, "pair", "A client certificate and its key belong together.")
