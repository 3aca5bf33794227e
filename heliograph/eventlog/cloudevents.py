"""CloudEvents 1.0 as JSON and over HTTP: messages become drafts, events become messages.

Sources: the CloudEvents core specification 1.0 and its JSON format and HTTP binding ("core", "JSON", "HTTP").

| CloudEvents | Draft |
|---|---|
| id, source, type | source_id, source, type |
| subject | target_id, whole: `door/7` is not split |
| extension `targettype` | target_type |
| time | occurred_at; digits finer than a microsecond are cut off |
| extensions `criticality`, `eventcode` | criticality, code; decimal digits serve as well as a number |
| datacontenttype, data, data_base64 | content_type, payload: the caller's bytes; no bytes are no data |
| dataschema; datacontenttype where there is no data | extensions, under their own names |
| any other extension | extensions |
"""

from __future__ import annotations

import base64
import enum
import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote, unquote_to_bytes

import msgspec

from heliograph.errors import Fault, Invalid, TooLarge, UnsupportedMediaType
from heliograph.eventlog.attributes import (
    LONGEST_TEXT,
    LONGEST_TYPE,
    MEDIA_TYPE,
    URI,
    URI_REFERENCE,
    VERSION,
    Attributes,
    canonical,
)
from heliograph.eventlog.model import (
    LARGEST_CODE,
    LEAST_CRITICALITY,
    Envelope,
    Event,
    EventDraft,
    Scalar,
    is_json,
)
from heliograph.strict_json import check_unambiguous, pointer_to
from heliograph.times import print_time

Headers = Sequence[tuple[bytes, bytes]]
"""Names in lower case, and values, as in ASGI."""

# The severity extension: OpenTelemetry's numbers, here the first of each of its bands.
_SEVERITIES = {1: (21, "CRITICAL"), 2: (17, "HIGH"), 3: (13, "MEDIUM"), 4: (9, "LOW"), 5: (5, "TRIVIAL")}

_CHARSET = re.compile(r';\s*charset\s*=\s*"?([^\s";]+)', re.IGNORECASE)
_QUOTED = re.compile(rb'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_PLAIN = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in '"%')
_BROKEN_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")

_encode = msgspec.json.Encoder().encode
_decode_any = msgspec.json.Decoder().decode


class Mode(enum.Enum):
    """How an HTTP message carries CloudEvents; the values are media types, where one decides (HTTP 1.3)."""

    STRUCTURED = b"application/cloudevents+json"
    BATCH = b"application/cloudevents-batch+json"
    BINARY = None


def mode_of(headers: Headers) -> Mode | None:
    """Tell which kind of CloudEvents message these headers open, or None for any other message.

    The content type decides; a message of another type is in binary mode when it has `ce-specversion`.

    Raises:
        UnsupportedMediaType: for a CloudEvents format other than JSON.
    """
    media_type, mode = b"", None
    for name, value in headers:
        if name == b"content-type":
            media_type = value.partition(b";")[0].strip().lower()
        elif name == b"ce-specversion":
            mode = Mode.BINARY
    if not media_type.startswith(b"application/cloudevents"):
        return mode
    try:
        return Mode(media_type)
    except ValueError:
        message = "Of the CloudEvents formats only 'application/cloudevents[-batch]+json' is supported."
        raise UnsupportedMediaType.at("header/content-type", "media-type", message) from None


class _Data(msgspec.Struct):
    data: msgspec.Raw


def parse_structured(body: bytes) -> EventDraft:
    """Read one event in the JSON format; JSON data is kept as the very bytes that stand in `body`.

    Raises:
        Invalid: with a fault per broken rule, at `/<attribute>`.
    """
    document = check_unambiguous(body)
    if not isinstance(document, dict):
        raise Invalid.at("", "object", "A CloudEvent is a JSON object.")
    data = {name: document.pop(name) for name in ("data", "data_base64") if name in document}
    attributes = Attributes(document, pointer_to)
    content_type = attributes.text("datacontenttype", LONGEST_TYPE, MEDIA_TYPE)
    if data.get("data_base64") is not None:
        content_type = content_type or "application/octet-stream"
        payload = _base64_data(attributes, data, content_type)
    elif "data" not in data:
        payload = b""
    elif content_type is None or is_json(content_type):
        content_type = content_type or "application/json"
        payload = bytes(msgspec.json.decode(body, type=_Data).data)
    else:
        payload = _text_data(attributes, data["data"], content_type)
    return _draft(attributes, content_type, payload)


def _base64_data(attributes: Attributes, data: Mapping[str, Any], content_type: str) -> bytes:
    if "data" in data:
        attributes.refuse("data_base64", "one-data", "An event has either 'data' or 'data_base64'.")
        return b""
    try:
        payload = base64.b64decode(data["data_base64"], validate=True)
    except (TypeError, ValueError):
        attributes.refuse("data_base64", "base64", "Expected a string in padded base64 (RFC 4648, 4).")
        return b""
    _check_json(attributes, "/data_base64", payload, content_type)
    return payload


def _text_data(attributes: Attributes, text: object, content_type: str) -> bytes:
    """Turn a string into the bytes that its content type says it stands for."""
    charset = _CHARSET.search(content_type)
    encoding = charset[1].lower() if charset else "utf-8"
    if not isinstance(text, str):
        attributes.refuse("data", "data-text", "With a content type other than JSON, 'data' is a string.")
    elif encoding != "utf-8" and not (encoding == "us-ascii" and text.isascii()):
        attributes.refuse("data", "data-charset", "Only UTF-8 text goes into 'data'; send 'data_base64'.")
    else:
        return text.encode()
    return b""


def _check_json(attributes: Attributes, pointer: str, payload: bytes, content_type: str) -> None:
    """Refuse data that is not the JSON it is said to be: readers get such data inside a JSON document."""
    if payload and is_json(content_type):
        try:
            check_unambiguous(payload)
        except Invalid as refusal:
            message = f"By its content type the data is JSON, but it is not: {refusal.detail}"
            attributes.absorb(Invalid.at(pointer, "data-json", message))


def _draft(attributes: Attributes, content_type: str | None, payload: bytes) -> EventDraft:
    attributes.text("specversion", LONGEST_TEXT, VERSION, required=True)
    draft = EventDraft(
        source_id=attributes.text("id", LONGEST_TEXT, required=True),
        source=attributes.text("source", LONGEST_TEXT, URI_REFERENCE, required=True),
        type=attributes.text("type", LONGEST_TYPE, required=True),
        target_id=attributes.text("subject", LONGEST_TEXT),
        target_type=attributes.text("targettype", LONGEST_TYPE),
        occurred_at=attributes.time("time"),
        criticality=attributes.integer("criticality", 0, LEAST_CRITICALITY),
        code=attributes.integer("eventcode", 0, LARGEST_CODE),
        content_type=content_type if payload else None,
        payload=payload,
    )
    fieldless = {
        "dataschema": attributes.text("dataschema", LONGEST_TEXT, URI),
        "datacontenttype": None if payload else content_type,
    }
    extensions = attributes.extensions() | {name: value for name, value in fieldless.items() if value}
    attributes.settle()
    return msgspec.structs.replace(draft, extensions=extensions)


def parse_batch(body: bytes, most: int | None = None, largest: int | None = None) -> list[EventDraft | Invalid]:
    """Read a JSON array of events, each on its own: a refused one stands as its refusal, at `/<index>/...`.

    One of more than `largest` bytes is refused too.

    Raises:
        Invalid: when `body` is not a JSON array.
        TooLarge: when it has more than `most` items, before any of them is read.
    """
    try:
        items = msgspec.json.decode(body, type=list[msgspec.Raw])
    except (msgspec.DecodeError, RecursionError):
        check_unambiguous(body)
        raise Invalid.at("", "array", "A batch of CloudEvents is a JSON array.") from None
    if most is not None and len(items) > most:
        raise TooLarge.at("", "batch-size", f"A batch may have at most {most} events; this has {len(items)}.")
    return [_parse_item(bytes(item), index, largest) for index, item in enumerate(items)]


def _parse_item(item: bytes, index: int, largest: int | None) -> EventDraft | Invalid:
    if largest is not None and len(item) > largest:
        return TooLarge.at(pointer_to(index), "max-bytes", f"An event has at most {largest} bytes.")
    try:
        return parse_structured(item)
    except Invalid as refusal:
        prefix = pointer_to(index)
        moved = (Fault(prefix + fault.pointer, fault.rule, fault.message) for fault in refusal.faults)
        return Invalid(refusal.detail, tuple(moved))


def parse_binary(headers: Headers, body: bytes) -> EventDraft:
    """Read one event in binary mode: attributes in `ce-...` headers, its data in `body` as it is (HTTP 3.1).

    Raises:
        Invalid: with a fault per broken rule, at `header/ce-<attribute>` or `header/content-type`; a fault of
            the data has the empty pointer, which is the body.
    """
    attributes = Attributes({}, _place_of)
    for header, value in headers:
        if header == b"content-type":
            attributes.add("datacontenttype", value.decode("latin-1"))
        elif header == b"ce-datacontenttype":
            message = "In binary mode the content type stands in Content-Type alone."
            attributes.absorb(Invalid.at("header/ce-datacontenttype", "binary-content-type", message))
        elif header.startswith(b"ce-"):
            name = header[3:].decode("latin-1")
            attributes.add(name, _header_text(attributes, name, value))
    content_type = attributes.text("datacontenttype", LONGEST_TYPE, MEDIA_TYPE)
    if body:
        content_type = content_type or "application/octet-stream"
        _check_json(attributes, "", body, content_type)
    return _draft(attributes, content_type, body)


def _place_of(name: str) -> str:
    return "header/content-type" if name == "datacontenttype" else f"header/ce-{name}"


_NAMES = {"type": "type", "eventCode": "eventcode", "occurredAt": "time", "payload": "data"}


def relocated(faults: Sequence[Fault], mode: Mode) -> tuple[Fault, ...]:
    """Move faults that were found in a draft to the places of the message that it came from."""
    return tuple(Fault(_moved(fault.pointer, mode), fault.rule, fault.message) for fault in faults)


def _moved(pointer: str, mode: Mode) -> str:
    field, slash, rest = pointer.removeprefix("/").partition("/")
    name = _NAMES[field]
    if mode is not Mode.BINARY:
        return f"/{name}{slash}{rest}"
    return slash + rest if name == "data" else _place_of(name)


def _header_text(attributes: Attributes, name: str, value: bytes) -> str | None:
    """Undo a header's encoding: first the quotes, then one round of percent-encoding (HTTP 3.1.3.2)."""
    value = value.strip(b" \t")
    if value.startswith(b'"'):
        quoted = _QUOTED.fullmatch(value)
        if not quoted:
            attributes.refuse(name, "header-quotes", "The quotes do not match (RFC 9110, 5.6.4).")
            return None
        value = re.sub(rb"\\(.)", rb"\1", quoted[1], flags=re.DOTALL)
    if _BROKEN_ESCAPE.search(value):
        attributes.refuse(name, "percent-encoding", "A '%' must be followed by two hexadecimal digits.")
        return None
    try:
        return unquote_to_bytes(value).decode()
    except UnicodeDecodeError:
        attributes.refuse(name, "utf-8", "This is not valid UTF-8 once the percent-encoding is undone.")
        return None


def dedup_identity(draft: EventDraft) -> tuple[str, str] | None:
    """Return (source, id), by which retries of one event are known, if the draft has both (core, "id")."""
    return None if draft.source is None or draft.source_id is None else (draft.source, draft.source_id)


def fingerprint(draft: EventDraft) -> bytes:
    """Return 32 bytes (SHA-256) that are equal for equal drafts, whichever mode they came in.

    Extensions count by their canonical text: a header cannot tell 5 from "5". A JSON document marks its own
    end, so nothing can move between the attributes and the payload that follows them.
    """
    fields = {name: value for name, value in msgspec.structs.asdict(draft).items() if value is not None}
    fields["extensions"] = {name: canonical(value) for name, value in sorted(draft.extensions.items())}
    del fields["payload"]
    digest = hashlib.sha256(_encode(fields))
    digest.update(draft.payload)
    return digest.digest()


def render(event: Event) -> bytes:
    """Write an event in the JSON format, with a JSON payload inside it byte for byte and any other as base64.

    - An event that came as a CloudEvent keeps its `source` and `id`; others have `/tenants/<uid>` and our id.
    - An event without a type is called `heliograph.event.<code>`, or `heliograph.event` without a code.
    - `time` is when it occurred or, where that is unknown, when it was recorded.
    - `sequence` (20 digits, so that texts sort as numbers do) and `recordedtime` are always the log's own.
      `severitynumber` and `severitytext` follow from the criticality, unless the caller sent either of them.
    """
    return _with_data(_encode(_attributes_of(event)), event.envelope.payload_content_type, event.payload)


def render_headers(event: Event) -> tuple[tuple[str, str], ...]:
    """Write an event's attributes as the headers of a message in binary mode, whose body is the payload.

    Characters that no header may hold are percent-encoded (HTTP 3.1.3.2); `datacontenttype` is the content type.
    """
    attributes = _attributes_of(event)
    attributes.pop("datacontenttype", None)
    return tuple((f"ce-{name}", quote(canonical(value), safe=_PLAIN)) for name, value in attributes.items())


def _attributes_of(event: Event) -> dict[str, Scalar]:
    envelope = event.envelope
    kept = envelope.extensions or {}
    ours: dict[str, Scalar | None] = {
        "specversion": "1.0",
        "id": envelope.id,
        "source": f"/tenants/{event.tenant_uid}",
        "type": _type_of(envelope),
        "subject": envelope.target_entity_id,
        "time": print_time(event.recorded_at if envelope.occurred_at is None else envelope.occurred_at),
        "datacontenttype": envelope.payload_content_type,
        "sequence": f"{event.seq:020d}",
        "recordedtime": print_time(event.recorded_at),
        "criticality": envelope.criticality or None,
        "eventcode": envelope.event_code,
        "targettype": envelope.target_entity_type,
    }
    if envelope.source is not None and envelope.source_id is not None:
        ours |= {"id": envelope.source_id, "source": envelope.source}
    if envelope.criticality and kept.keys().isdisjoint(("severitynumber", "severitytext")):
        ours["severitynumber"], ours["severitytext"] = _SEVERITIES[envelope.criticality]
    attributes = {name: value for name, value in ours.items() if value is not None}
    attributes |= {name: value for name, value in kept.items() if name not in attributes}
    return attributes


def _type_of(envelope: Envelope) -> str:
    if envelope.type is not None:
        return envelope.type
    return "heliograph.event" if envelope.event_code is None else f"heliograph.event.{envelope.event_code}"


def _with_data(attributes: bytes, content_type: str | None, payload: bytes | None) -> bytes:
    if not payload:
        return attributes
    if content_type and is_json(content_type) and _is_document(payload):
        return attributes[:-1] + b',"data":' + payload + b"}"
    return attributes[:-1] + b',"data_base64":"' + base64.b64encode(payload) + b'"}'


def _is_document(payload: bytes) -> bool:
    """Tell whether the payload can stand inside a document: not everything that is called JSON is."""
    try:
        _decode_any(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True
