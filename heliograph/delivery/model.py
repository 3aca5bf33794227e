"""A delivery: one event on its way to one endpoint; and the attempts at it."""

from __future__ import annotations

from typing import Literal

import msgspec

from heliograph.errors import NotFound
from heliograph.ids import as_hex

State = Literal["pending", "delivered", "exhausted", "cancelled"]
STATES: tuple[State, ...] = ("pending", "delivered", "exhausted", "cancelled")
"""States in the order of the numbers that they are stored as."""

Headers = tuple[tuple[str, str], ...]

HEADER_BYTES_KEPT = 8 * 1024
"""Of the headers of an answer, names and values together."""


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """An event of one tenant's log on its way to one endpoint. Times in microseconds UTC.

    `due_at` is when it is tried next, and while it is being tried, when whoever tries it is taken for dead.
    `error_class` is that of the last attempt, None once it is delivered.
    """

    tenant_uid: str
    endpoint_uid: bytes
    seq: int
    event_uid: bytes
    state: State
    due_at: int
    attempts: int
    error_class: str | None
    created_at: int
    settled_at: int | None

    @property
    def id(self) -> str:
        """The delivery's id, opaque to callers."""
        return f"{as_hex(self.endpoint_uid)}-{self.tenant_uid}-{self.seq}"


class DeliveryFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which deliveries are wanted; empty and None accept everything. `since` and `until` bound the event's recordedAt,
    half-open, in microseconds UTC."""

    endpoint_uid: bytes | None = None
    event_uid: bytes | None = None
    states: tuple[State, ...] = ()
    error_classes: tuple[str, ...] = ()
    since: int | None = None
    until: int | None = None


class Timing(msgspec.Struct, frozen=True, rename="camel"):
    """Microseconds; see `heliograph.delivery.outcome.Timings`."""

    resolve: int = 0
    connect: int = 0
    tls: int = 0
    first_byte: int = 0
    total: int = 0


class AttemptDetail(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is kept of one request and of its answer; values of the caller's own headers are not."""

    message: str
    url: str
    request_headers: Headers
    response_headers: Headers = ()
    body: bytes = b""
    truncated: bool = False
    address: str | None = None
    http_version: str | None = None
    timing: Timing = Timing()


def first_headers(headers: Headers, most: int = HEADER_BYTES_KEPT) -> Headers:
    """Return the first headers that have `most` bytes together, each of them whole."""
    left = most
    for count, (name, value) in enumerate(headers):
        left -= len(name.encode()) + len(value.encode())
        if left < 0:
            return headers[:count]
    return headers


class AttemptRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt, numbered from 1; `started_at` in microseconds UTC."""

    number: int
    started_at: int
    error_class: str
    status: int | None
    detail: AttemptDetail


class Claimed(msgspec.Struct, frozen=True):
    """A delivery that a worker holds; `attempts` counts the one to come."""

    endpoint_uid: bytes
    seq: int
    attempts: int
    forgiven: int
    entity_key: int | None
    exhausted_at: int | None
    created_at: int


class Prospect(msgspec.Struct, frozen=True):
    """An endpoint that has yet to get events of a tenant, and when the first of these deliveries is due."""

    endpoint_uid: bytes
    owner_id: int
    state: str
    version: int
    first_due: int


class Settlement(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of a delivery after its attempt number `attempt`; it counts only while `claim` is its own."""

    endpoint_uid: bytes
    seq: int
    attempt: int
    claim: bytes
    state: State
    due_at: int
    error_class: str | None
    forgive: bool = False


def parse_delivery_id(text: str) -> tuple[bytes, str, int]:
    """Read a delivery's id: endpoint, the tenant's uid as hex, and seq.

    Raises:
        NotFound: when nothing can have this id.
    """
    try:
        endpoint, tenant, seq = text.split("-")
        if len(endpoint) != 32 or len(tenant) != 32 or not (seq.isascii() and seq.isdigit() and len(seq) < 19):
            raise ValueError
        return bytes.fromhex(endpoint), bytes.fromhex(tenant).hex(), int(seq)
    except ValueError:
        raise NotFound("There is no such delivery.") from None
