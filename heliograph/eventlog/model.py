"""The event on its way: a caller's draft, an envelope that is never rewritten, an event with its place in the log."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import lru_cache
from typing import Literal

import msgspec

from heliograph.ids import Uid, as_uuid

FIRST_FREE_CODE = 10_000
"""Codes below are the platform's; this one and above are free for applications (rule R1)."""

LARGEST_CODE = 2**31 - 1
LEAST_CRITICALITY = 5

Family = Literal["domain", "flat", "record"]
"""What an event looks like on the wire: in an envelope, as its bare body, or as the native record."""

ActorKind = Literal["account", "device", "system"]

Scalar = str | int | bool
"""The values that a CloudEvents extension attribute can have here."""


def is_json(content_type: str) -> bool:
    """Tell whether a media type says that the data is JSON: `*/json` or `*/*+json` (CloudEvents JSON format 3.1.1)."""
    return content_type.partition(";")[0].strip().lower().endswith(("/json", "+json"))


class EventDraft(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What somebody asks to be put on record, already well formed but without id, place or time.

    `occurred_at` is in microseconds UTC. `payload` holds the bytes exactly as they came; `content_type` is None
    when there is no payload.
    """

    type: str | None = None
    code: int | None = None
    criticality: int | None = None
    target_type: str | None = None
    target_id: str | None = None
    source: str | None = None
    source_id: str | None = None
    occurred_at: int | None = None
    extensions: Mapping[str, Scalar] = {}
    content_type: str | None = None
    payload: bytes = b""


class Actor(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    """Who raised an event; fields in the order of their JSON names, as the envelope needs it."""

    account_id: int | None = None
    key_uid: str | None = None
    kind: ActorKind = msgspec.field(default_factory=lambda: "account")  # a factory, so that it is never left out
    uid: str | None = None


class RelatedEntity(msgspec.Struct, frozen=True):
    """One more entity, besides the target, whose history an event belongs to."""

    id: str
    type: str


class Envelope(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel", kw_only=True, gc=False):
    """All of an event but its place, time and payload; encoded once, and those bytes are what proofs cover.

    Fields stand in the order of their JSON names, integers stay below 2^53 and there are no floats, so the
    encoding is canonical JSON (RFC 8785). `occurred_at` is in microseconds UTC. `commitment` is the hex
    SHA-256 of salt and payload: erasing both leaves every proof valid.
    """

    actor: Actor
    commitment: str
    criticality: int
    event_code: int | None = None
    extensions: dict[str, Scalar] | None = None
    family: Family = "record"
    id: str
    internal: bool
    kind: str | None = None
    occurred_at: int | None = None
    payload_content_type: str | None = None
    payload_length: int
    related_entities: tuple[RelatedEntity, ...] = ()
    source: str | None = None
    source_id: str | None = None
    target_entity_id: str | None = None
    target_entity_type: str | None = None
    type: str | None = None


class Event(msgspec.Struct, frozen=True):
    """An event as the log holds it. `payload` is None once it has been erased. Times in microseconds UTC."""

    tenant_uid: str
    seq: int
    recorded_at: int
    envelope: Envelope
    payload: bytes | None


class Receipt(msgspec.Struct, frozen=True, rename="camel", gc=False):
    """What the log answers for one stored event. `recorded_at` in microseconds UTC."""

    id: str
    seq: int
    recorded_at: int


class Span(msgspec.Struct, frozen=True):
    """Seqs from `low` (included) to `high` (excluded)."""

    low: int
    high: int

    @property
    def empty(self) -> bool:
        """Whether it holds no seq."""
        return self.low >= self.high

    def before(self, seq: int) -> Span:
        """Return the part below `seq`."""
        return Span(self.low, min(self.high, seq))

    def onward(self, seq: int) -> Span:
        """Return the part from `seq` on."""
        return Span(max(self.low, seq), self.high)

    def rest(self, examined: Span, ascending: bool) -> Span:
        """Return what lies beyond a part that was examined from this span's beginning."""
        return self.onward(examined.high) if ascending else self.before(examined.low)


class Prepared(msgspec.Struct, frozen=True, gc=False):
    """An event with id and envelope, lacking only what the log assigns: seq and recordedAt.

    The keys are what filters compare; see `key_of`.
    """

    id: str
    uid: bytes
    id_key: int
    type: str | None
    family: Family
    target_type: str | None
    criticality: int
    occurred_at: int | None
    grade: int
    code: int | None
    type_key: int | None
    target_type_key: int | None
    target_id_key: int | None
    actor_key: int | None
    related: int
    envelope: bytes
    salt: bytes
    payload: bytes


_encode = msgspec.json.Encoder().encode
_decode_envelope = msgspec.json.Decoder(Envelope).decode


def decode_envelope(envelope: bytes) -> Envelope:
    """Read the bytes of a stored envelope."""
    return _decode_envelope(envelope)


@lru_cache(maxsize=1 << 16)
def key_of(text: str) -> int:
    """Reduce a text to the signed 64-bit number that the filter index compares.

    Two texts may share a number, so whoever filters by it compares the envelope's text as well.
    """
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big", signed=True)


def id_key_of(uid: bytes) -> int:
    """Reduce an event id to its first 64 bits, which rise with time and so keep the index's writes together."""
    return int.from_bytes(uid[:8], "big", signed=True)


def grade_of(criticality: int, internal: bool) -> int:
    """Put criticality and the internal flag into one number, so that one index row serves both filters."""
    return criticality + 8 if internal else criticality


def prepare(
    draft: EventDraft,
    *,
    uid: Uid,
    salt: bytes,
    actor: Actor,
    internal: bool = False,
    family: Family = "record",
    kind: str | None = None,
    related: tuple[RelatedEntity, ...] = (),
) -> Prepared:
    """Fix the bytes of an event: commitment, envelope and the keys that filters compare."""
    criticality = draft.criticality or 0
    envelope = Envelope(
        actor=actor,
        commitment=hashlib.sha256(salt + draft.payload).hexdigest(),
        criticality=criticality,
        event_code=draft.code,
        extensions=dict(sorted(draft.extensions.items())) if draft.extensions else None,
        family=family,
        id=as_uuid(uid),
        internal=internal,
        kind=kind,
        occurred_at=draft.occurred_at,
        payload_content_type=draft.content_type,
        payload_length=len(draft.payload),
        related_entities=related,
        source=draft.source,
        source_id=draft.source_id,
        target_entity_id=draft.target_id,
        target_entity_type=draft.target_type,
        type=draft.type,
    )
    return Prepared(
        id=envelope.id,
        uid=uid,
        id_key=id_key_of(uid),
        type=draft.type,
        family=family,
        target_type=draft.target_type,
        criticality=criticality,
        occurred_at=draft.occurred_at,
        grade=grade_of(criticality, internal),
        code=draft.code,
        type_key=None if draft.type is None else key_of(draft.type),
        target_type_key=None if draft.target_type is None else key_of(draft.target_type),
        target_id_key=None if draft.target_id is None else key_of(draft.target_id),
        actor_key=None if actor.uid is None else key_of(actor.uid),
        related=len(related),
        envelope=_encode(envelope),
        salt=salt,
        payload=draft.payload,
    )
