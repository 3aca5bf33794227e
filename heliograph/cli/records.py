"""Files of events, one record at a time and in bounded memory: NDJSON and CSV.

An NDJSON line is an event in the native shape, or a CloudEvent when it has `specversion`. A CSV file has a header with
the native field names, separated by comma, semicolon or tab; an empty cell is an absent field. A `payload` cell is
JSON if it reads as JSON, otherwise text, unless `payloadContentType` says which. UTF-8, with or without a byte order
mark.
"""

from __future__ import annotations

import base64
import csv
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import msgspec
from msgspec import UNSET

from heliograph.cli.output import Failed
from heliograph.eventlog.model import is_json
from heliograph.eventlog.submission import NewEvent

if TYPE_CHECKING:
    from typing import BinaryIO

LONGEST_LINE = 8 * 1024 * 1024
"""Bytes; no event of the platform is larger unless its settings were changed."""

Format = Literal["ndjson", "csv"]

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_TEXT = "text/plain; charset=utf-8"
_DELIMITERS = (",", ";", "\t")
_NUMBERS = ("eventCode", "criticality")
_FIELDS = tuple(field.encode_name for field in msgspec.structs.fields(NewEvent))


class Unusable(Failed):
    """The file as a whole cannot be imported; the message says why."""


@dataclass(frozen=True, slots=True)
class Record:
    """One event of a file, as it stands there and as it is sent. `line` counts from 1; `end` is in bytes."""

    line: int
    end: int
    text: bytes
    event: bytes
    is_cloudevent: bool = False


@dataclass(frozen=True, slots=True)
class Unreadable:
    """One record that cannot even be sent, and the rule that it breaks."""

    line: int
    text: bytes
    rule: str
    message: str


class Lines:
    """The lines of a file with the place where each stands; a line that is too long comes cut off."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.number = 0
        self.end = 0
        self.is_cut = False

    def __iter__(self) -> Iterator[bytes]:
        while line := self._file.readline(LONGEST_LINE + 1):
            self.number += 1
            self.end += len(line)
            self.is_cut = len(line) > LONGEST_LINE
            rest = line
            while len(rest) > LONGEST_LINE and not rest.endswith(b"\n"):
                rest = self._file.readline(LONGEST_LINE + 1)
                self.end += len(rest)
            yield line.removeprefix(_BYTE_ORDER_MARK) if self.number == 1 else line


def records(file: BinaryIO, format: Format, source: str) -> Iterator[Record | Unreadable]:
    """Return each event of a file; one without source and sourceId gets `source` and its line number.

    So it is known again when the same file is imported a second time.

    Raises:
        Unusable: when the file as a whole is not of that format.
    """
    lines = Lines(file)
    return _of_csv(lines, source) if format == "csv" else _of_ndjson(lines, source)


# -- NDJSON ---------------------------------------------------------------------------------------------------------


class _Head(msgspec.Struct):
    specversion: Any = UNSET
    source: Any = UNSET
    source_id: Any = msgspec.field(default=UNSET, name="sourceId")


_read_head = msgspec.json.Decoder(_Head).decode
_read_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def _of_ndjson(lines: Lines, source: str) -> Iterator[Record | Unreadable]:
    for line in lines:
        text = line.strip()
        if lines.is_cut:
            yield Unreadable(lines.number, text[:1000], "too-long", f"A line has at most {LONGEST_LINE} bytes.")
        elif text:
            yield _of_line(text, lines, source)


def _of_line(text: bytes, lines: Lines, source: str) -> Record:
    try:
        head = _read_head(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        # The platform tells better than anybody what is wrong with it.
        return Record(lines.number, lines.end, text, text)
    if head.specversion is not UNSET:
        return Record(lines.number, lines.end, text, text, is_cloudevent=True)
    return Record(lines.number, lines.end, text, _with_identity(text, head, source, lines.number))


def _with_identity(text: bytes, head: _Head, source: str, number: int) -> bytes:
    named = [value for value in (head.source, head.source_id) if value is not UNSET]
    if any(value is not None for value in named):
        return text
    identity = {"source": source, "sourceId": str(number)}
    if named:
        return msgspec.json.encode({**_read_fields(text), **identity})
    # Put in front of the bytes that are there, which stay what they are: a payload is stored byte for byte.
    rest = text[1:].lstrip()
    return msgspec.json.encode(identity)[:-1] + (b"" if rest.startswith(b"}") else b",") + rest


# -- CSV ------------------------------------------------------------------------------------------------------------


def _of_csv(lines: Lines, source: str) -> Iterator[Record | Unreadable]:
    csv.field_size_limit(LONGEST_LINE)
    taken: list[bytes] = []

    def texts() -> Iterator[str]:
        for line in lines:
            if lines.is_cut:
                raise Unusable(f"Line {lines.number} has more than {LONGEST_LINE} bytes.")
            taken.append(line)
            yield line.decode("utf-8", "surrogateescape")

    feed = texts()
    header = next(feed, "")
    try:
        rows = csv.reader(feed, delimiter=max(_DELIMITERS, key=header.count))
        names = next(csv.reader([header], delimiter=max(_DELIMITERS, key=header.count)), [])
        _check_names(names)
        taken.clear()
        first = lines.number + 1
        for row in rows:
            text = b"".join(taken).strip()
            if row:
                yield _of_row(
                    dict(zip(names, row, strict=False)), len(row) - len(names), first, lines.end, text, source
                )
            taken.clear()
            first = lines.number + 1
    except csv.Error as error:
        raise Unusable(f"Line {lines.number} is no CSV: {error}.") from None


def _check_names(names: list[str]) -> None:
    if not names:
        raise Unusable("The file is empty; a CSV file begins with a header.")
    for name in names:
        if name not in _FIELDS:
            raise Unusable(f"The header names an unknown field: {name!r}. Known are {', '.join(_FIELDS)}.")
    if len(set(names)) < len(names):
        raise Unusable("The header names a field twice.")


def _of_row(cells: dict[str, str], excess: int, line: int, end: int, text: bytes, source: str) -> Record | Unreadable:
    if excess:
        return Unreadable(line, text, "columns", "The row has more or fewer cells than the header.")
    try:
        event = _event_of({name: cell for name, cell in cells.items() if cell})
        if "source" not in event and "sourceId" not in event:
            event |= {"source": source, "sourceId": str(line)}
        return Record(line, end, text, msgspec.json.encode(event))
    except (msgspec.DecodeError, RecursionError):
        return Unreadable(line, text, "payload-json", "By its content type the payload is JSON, but it is not.")
    except UnicodeEncodeError:
        return Unreadable(line, text, "utf-8", "The row is not valid UTF-8.")


def _event_of(cells: dict[str, str]) -> dict[str, Any]:
    event: dict[str, Any] = dict(cells)
    for name in _NUMBERS:
        if name in event and event[name].isdecimal():
            event[name] = int(event[name])
    if "payload" in cells:
        cell = cells["payload"].encode()
        content_type = cells.get("payloadContentType")
        if is_json(content_type) if content_type else _reads_as_json(cell):
            event["payload"] = msgspec.Raw(_on_one_line(cell))
        else:
            del event["payload"]
            event["payloadData"] = base64.b64encode(cell).decode()
            event["payloadContentType"] = content_type or _TEXT
    return event


def _on_one_line(document: bytes) -> bytes:
    msgspec.json.decode(document)
    return msgspec.json.format(document, indent=-1)


def _reads_as_json(cell: bytes) -> bool:
    try:
        msgspec.json.decode(cell)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True
