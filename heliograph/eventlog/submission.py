"""Callers' events as they arrive: the native shape, one or many, and the rules R3, R7 and R8 on the way in."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import Annotated, Protocol

import msgspec

from heliograph.errors import Fault, Invalid, TooLarge
from heliograph.eventlog.attributes import MEDIA_TYPE, URI_REFERENCE
from heliograph.eventlog.model import LARGEST_CODE, LEAST_CRITICALITY, EventDraft, is_json
from heliograph.strict_json import CONTROL_CHARACTERS, check_unambiguous, convert
from heliograph.times import parse_time

_decode_items = msgspec.json.Decoder(list[msgspec.Raw]).decode

_PRINTABLE = {"pattern": r"^[^\x00-\x1f\x7f-\x9f]*$"}
"""Documents what `draft_of` checks once for all texts of an event, which costs less than a pattern for each."""

TypeName = Annotated[str, msgspec.Meta(min_length=1, max_length=255, extra_json_schema=_PRINTABLE)]
EntityType = Annotated[str, msgspec.Meta(min_length=1, max_length=100, extra_json_schema=_PRINTABLE)]
EntityId = Annotated[str, msgspec.Meta(min_length=1, max_length=1024, extra_json_schema=_PRINTABLE)]
Code = Annotated[int, msgspec.Meta(ge=0, le=LARGEST_CODE)]
Criticality = Annotated[int, msgspec.Meta(ge=0, le=LEAST_CRITICALITY)]


class NewEvent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel", gc=False):
    """An event to put on record.

    It has an `eventCode`, a `type`, or both. `criticality` 1 is the most serious, 0 or null is "not applicable".
    `payload` is any JSON; any other bytes go into `payloadData` as base64, described by `payloadContentType`.
    An event with `source` and `sourceId` is stored once, however often it is sent.
    """

    type: TypeName | None = None
    event_code: Code | None = None
    criticality: Criticality | None = None
    target_entity_type: EntityType | None = None
    target_entity_id: EntityId | None = None
    source: EntityId | None = None
    source_id: EntityId | None = None
    occurred_at: Annotated[str, msgspec.Meta(max_length=64)] | None = None
    payload: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    payload_data: str | None = None
    payload_content_type: Annotated[str, msgspec.Meta(max_length=255)] | None = None


class Now(Protocol):
    """Tells the time."""

    def now(self) -> int:
        """Return microseconds UTC."""


@dataclass(frozen=True, slots=True)
class EventLimits:
    """Bounds on one event: sizes in bytes, skew in microseconds."""

    event_bytes: int
    payload_bytes: int
    occurred_ahead: int
    occurred_behind: int

    def check(self, draft: EventDraft, clock: Now) -> None:
        """Refuse a payload that is too large, or a time too far from the clock's.

        Raises:
            TooLarge, Invalid: naming the limit.
        """
        if len(draft.payload) > self.payload_bytes:
            raise TooLarge(
                f"The payload has more than {self.payload_bytes} bytes.",
                (Fault("/payload", "max-bytes", f"At most {self.payload_bytes} bytes."),),
            )
        if draft.occurred_at is None:
            return
        if not -self.occurred_behind <= draft.occurred_at - clock.now() <= self.occurred_ahead:
            raise Invalid.at(
                "/occurredAt",
                "skew",
                f"occurredAt may lie at most {self.occurred_ahead // 1_000_000} s in the future"
                f" and {self.occurred_behind // 86_400_000_000} days in the past.",
            )


def read_event(body: bytes) -> EventDraft:
    """Read one event in the native shape.

    Raises:
        Invalid: naming each place and rule.
    """
    check_unambiguous(body)
    return draft_of(convert(body, NewEvent))


def read_array(body: bytes) -> list[bytes]:
    """Split a JSON array into its items' bytes, so that each can be accepted or refused on its own.

    What is ambiguous within an item is for its own reader to refuse.

    Raises:
        Invalid: when the whole is not a JSON array.
    """
    try:
        return [bytes(item) for item in _decode_items(body)]
    except (msgspec.DecodeError, RecursionError):
        check_unambiguous(body)
        raise Invalid.at("", "array", "A batch is a JSON array.") from None


def read_lines(body: bytes) -> list[bytes]:
    """Split NDJSON into its lines, without the blank ones."""
    return [line for line in (part.strip() for part in body.split(b"\n")) if line]


def draft_of(new: NewEvent) -> EventDraft:
    """Turn the native shape into a draft.

    Raises:
        Invalid: naming each place and rule.
    """
    _refuse_controls(new)
    content_type, payload = _payload_of(new)
    if new.source is not None and not URI_REFERENCE.pattern.fullmatch(new.source):
        raise Invalid.at("/source", URI_REFERENCE.rule, URI_REFERENCE.message)
    if (new.source is None) != (new.source_id is None):
        pointer = "/source" if new.source is None else "/sourceId"
        raise Invalid.at(pointer, "required", "source and sourceId go together.")
    return EventDraft(
        type=new.type,
        code=new.event_code,
        criticality=new.criticality,
        target_type=new.target_entity_type,
        target_id=new.target_entity_id,
        source=new.source,
        source_id=new.source_id,
        occurred_at=None if new.occurred_at is None else parse_time(new.occurred_at, "/occurredAt"),
        content_type=content_type,
        payload=payload,
    )


def _refuse_controls(new: NewEvent) -> None:
    texts = (new.type, new.target_entity_type, new.target_entity_id, new.source, new.source_id)
    if not CONTROL_CHARACTERS.search("".join(filter(None, texts))):
        return
    names = ("type", "targetEntityType", "targetEntityId", "source", "sourceId")
    for name, text in zip(names, texts, strict=True):
        if text is not None and CONTROL_CHARACTERS.search(text):
            raise Invalid.at(f"/{name}", "pattern", f"{name} has a control character.")


def _payload_of(new: NewEvent) -> tuple[str | None, bytes]:
    inline = b"" if new.payload is msgspec.UNSET else bytes(new.payload)
    has_inline = inline not in (b"", b"null")
    if has_inline and new.payload_data is not None:
        raise Invalid.at("/payloadData", "one-payload", "An event has either payload or payloadData, not both.")
    content_type = new.payload_content_type
    if content_type is not None and not MEDIA_TYPE.pattern.fullmatch(content_type):
        raise Invalid.at("/payloadContentType", MEDIA_TYPE.rule, MEDIA_TYPE.message)
    if has_inline:
        if content_type is not None and not is_json(content_type):
            raise Invalid.at("/payloadContentType", "payload-json", "payload is JSON; put other data into payloadData.")
        return content_type or "application/json", inline
    if new.payload_data is None:
        if content_type is not None:
            raise Invalid.at("/payloadContentType", "payload-missing", "There is no payload of that type.")
        return None, b""
    return _decoded(content_type or "application/octet-stream", new.payload_data)


def _decoded(content_type: str, text: str) -> tuple[str, bytes]:
    try:
        payload = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Invalid.at("/payloadData", "base64", "Expected base64 (RFC 4648 section 4) with padding.") from None
    if is_json(content_type):
        try:
            check_unambiguous(payload)
        except Invalid as error:
            raise Invalid.at("/payloadData", "payload-json", f"The payload is not JSON: {error.detail}") from None
    return content_type, payload
