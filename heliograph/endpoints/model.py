"""Endpoints: where events go, which of them, and how they are sent."""

from __future__ import annotations

import base64
from typing import Literal

import msgspec

from heliograph.devices.model import CustomMetadata
from heliograph.eventlog.model import Family
from heliograph.ids import Secret

State = Literal["active", "paused", "disabled"]
"""A paused endpoint holds what is for it, a disabled one gets nothing of what happens meanwhile."""

Format = Literal["wire", "record", "cloudevents", "cloudevents-binary"]
Ordering = Literal["none", "entity"]
"""`entity`: one after the other for each target entity, in the order of the log (rule R11)."""

HeaderFamily = Literal["webhook", "svix", "both", "sos"]
"""Names of the headers: `webhook-*` (Standard Webhooks), `svix-*`, both, or signageOS's `X-SOS-*`."""

Consent = Literal["required", "bestEffort", "off"]
"""Whether the receiver is asked before anything is sent (CloudEvents "HTTP 1.1 Web Hooks for Event Delivery")."""

DisabledReason = Literal["caller", "gone", "failing"]

MOST_ENDPOINTS = 1000
"""Endpoints of one tenant."""

MOST_REACHED = 500
"""Tenants that may stand below a company when it gets an endpoint."""

MOST_PATTERNS = 500
LONGEST_PATTERN = 255
MOST_FILTER_VALUES = 100
MOST_HEADERS = 20
LONGEST_HEADER = 4096
"""Bytes of one header's name and value."""

LONGEST_PEM = 65_536
LONGEST_KEY = 4096
"""Characters of a private key: enough for RSA of 4,096 bits. To check a longer one would hold up everybody."""

MOST_TRIES = 20
LONGEST_WAIT = 7 * 86_400
"""Seconds before one attempt."""

MOST_OLD_KEYS = 10
"""Keys of one kind that were replaced and still sign."""

LONGEST_DESCRIPTION = 500
HIGHEST_RATE = 10_000
HIGHEST_CONCURRENCY = 100
LONGEST_TIMEOUT = 30
LONGEST_OVERLAP = 7 * 86_400
USUAL_OVERLAP = 86_400
"""Seconds for which a key that was replaced goes on to sign beside the new one."""


class EndpointSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What a caller may choose. `rate` is in events per second, `timeout` in seconds, for one attempt as a whole.

    `event_types` are exact types, prefixes such as `access_code.*`, or `*`, which also stands for events without a
    type. An empty filter accepts everything. `retry_schedule` are the seconds before each attempt, None standing for
    the platform's.
    """

    event_types: tuple[str, ...]
    families: tuple[Family, ...] = ()
    criticalities: tuple[int, ...] = ()
    target_types: tuple[str, ...] = ()
    codes: tuple[int, ...] = ()
    format: Format = "wire"
    ordering: Ordering = "none"
    header_family: HeaderFamily = "webhook"
    asymmetric: bool = False
    rate: int | None = None
    concurrency: int = 10
    timeout: int = 15
    consent: Consent = "off"
    retry_schedule: tuple[int, ...] | None = None
    description: str | None = None
    custom_metadata: CustomMetadata = {}


class SigningKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key with which deliveries are signed; `secret` are raw bytes: 24 to 64, or the 32 of an Ed25519 seed.

    `expires_at` is there once the key was replaced; microseconds UTC.
    """

    kind: Literal["hmac", "ed25519"]
    secret: bytes
    created_at: int
    expires_at: int | None = None

    def __repr__(self) -> str:
        return f"SigningKey({self.kind})"


class EndpointSecrets(msgspec.Struct, frozen=True, kw_only=True):
    """What is sealed at rest: signing keys, the newest first, the caller's own headers, and TLS material as PEM."""

    keys: tuple[SigningKey, ...]
    headers: tuple[tuple[str, str], ...] = ()
    ca: str | None = None
    client_certificate: str | None = None
    client_key: str | None = None

    def __repr__(self) -> str:
        return "EndpointSecrets(...)"

    def keys_at(self, now: int) -> tuple[SigningKey, ...]:
        """Return the keys that sign at that time."""
        return tuple(key for key in self.keys if key.expires_at is None or key.expires_at > now)


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """How an endpoint fares; times in microseconds UTC.

    `failing_since` is the first failure after the last success. `slowed_until` is when the next attempt of any
    delivery may begin after the receiver asked for less; `slow_step` counts how often it did in a row. `gone_at` is
    there once it answered 410, until the endpoint has been disabled for that and enabled again.
    """

    failing_since: int | None = None
    warned_at: int | None = None
    last_success_at: int | None = None
    last_failure_at: int | None = None
    last_error: str | None = None
    slowed_until: int | None = None
    slow_step: int = 0
    gone_at: int | None = None
    disabled_at: int | None = None
    disabled_reason: DisabledReason | None = None
    consented_at: int | None = None
    allowed_rate: int | None = None

    def forgiven(self) -> Health:
        """Return it without the failures, and what followed from them."""
        return msgspec.structs.replace(
            self, failing_since=None, warned_at=None, slowed_until=None, slow_step=0, gone_at=None
        )


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """A place where events go. Times in microseconds UTC; `version` rises with every change that a caller makes.

    `sealed_secrets` open as `EndpointSecrets`, for this endpoint alone.
    """

    uid: bytes
    url: str
    state: State = "active"
    settings: EndpointSettings
    sealed_secrets: bytes
    health: Health = Health()
    created_at: int
    updated_at: int
    version: int = 1

    @property
    def is_flat(self) -> bool:
        """Whether it is one that Seam's clients see as a webhook, wherever it was made: see `endpoints.kinds`."""
        wanted = self.settings
        return wanted.families == ("flat",) and wanted.format == "wire" and wanted.header_family != "sos"


class Reach(msgspec.Struct, frozen=True):
    """An endpoint as one tenant's log sees it: the tenant that owns it, and the seq from which on it gets events."""

    endpoint_uid: bytes
    owner_id: int
    from_seq: int


class Gap(msgspec.Struct, frozen=True):
    """Events of one log that came while an endpoint was disabled: from one seq up to, not including, another.

    `to_seq` is None while it goes on.
    """

    from_seq: int
    to_seq: int | None


def secret_text(key: SigningKey) -> Secret:
    """Return a key as it is shown once, by the notation of Standard Webhooks."""
    prefix = "whsec_" if key.kind == "hmac" else "whsk_"
    return Secret(prefix + base64.b64encode(key.secret).decode())
