"""Reads the rows of an import file, CSV or JSONL, from parts of it, in bounded memory and from any row on.

CSV is RFC 4180 with any delimiter and any line end; a quote inside a cell that does not begin with one is taken as it
stands. A first line `sep=;` names the delimiter. JSONL is one JSON object on each line. UTF-8, with or without a byte
order mark. A row in which every cell is blank is no row. Pure: nothing here reads storage, clock or network.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import msgspec

from heliograph import strict_json
from heliograph.errors import Fault, Invalid
from heliograph.jobs.model import unguarded
from heliograph.provisioning.columns import (
    MOST_COLUMNS,
    Layout,
    Options,
    columns_of,
    field_of,
    map_columns,
    shown,
    too_many_columns,
)
from heliograph.provisioning.cutting import (
    LINE_END,
    LINE_ENDS,
    LINE_FEED,
    LONGEST_ROW,
    Cutter,
    Found,
    Window,
    count_lines,
)

MOST_ROWS = 1_000_000

HEAD_BYTES = 128 * 1024
"""How much of the beginning of a file `sniff` wants to see, unless the whole is shorter."""

_SHOWN_TEXT = 1000
_DELIMITERS = (",", ";", "\t", "|")
_DELIMITER_NAMES = {"comma": ",", "semicolon": ";", "tab": "\t", "\\t": "\t", "pipe": "|"}
# The marks of UTF-32 begin with those of UTF-16, so they are looked for first.
_FOREIGN_MARKS = {
    codecs.BOM_UTF32_LE: "UTF-32", codecs.BOM_UTF32_BE: "UTF-32", codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}  # fmt: skip
_FOREIGN_FORMATS = {
    b"PK\x03\x04": "This is a spreadsheet program's own format (or a zip archive), not text.",
    b"\xd0\xcf\x11\xe0": "This is a spreadsheet program's own format, not text.",
    b"\x1f\x8b": "The file is compressed with gzip; unpack it first.",
}
_SEPARATOR_LINE = re.compile(rb'("?)sep=([\t !#-/:-@[-`{-~])\1(?:\r\n?|\n|\Z)', re.IGNORECASE)
"""A line before the header that names the delimiter, as Excel reads and writes it."""

_SAVE_AS = 'Save the file as UTF-8; spreadsheet programs call it "CSV UTF-8".'


class Row(msgspec.Struct, frozen=True):
    """One row of data: `number` counts the rows from 1, `line` is where it begins in the file.

    The next row is looked for from byte `offset_after`, on line `line_after`. `cells` are by column, and texts for
    CSV; for JSONL they are the members of the object, as JSON has them.
    """

    number: int
    line: int
    offset_after: int
    line_after: int
    cells: dict[str, Any]


class BadRow(msgspec.Struct, frozen=True):
    """A row that cannot be read, and why; `cells` are those that could be told apart, `text` its first characters."""

    number: int
    line: int
    offset_after: int
    line_after: int
    cells: dict[str, Any]
    text: str
    faults: tuple[Fault, ...]


# -- what kind of file it is ----------------------------------------------------------------------------------------


def sniff(head: bytes, options: Options) -> Layout:
    """Find out how a file is to be read from its first `HEAD_BYTES`, or from all of it when it is shorter.

    Raises:
        Invalid: when it is empty, no text, not in UTF-8, or has no header from which devices could be told apart.
    """
    _refuse_foreign(head)
    begin = len(codecs.BOM_UTF8) if head.startswith(codecs.BOM_UTF8) else 0
    separator = _SEPARATOR_LINE.match(head, begin)
    first = separator.end() if separator else begin
    text = head[first:].lstrip()
    if not text:
        raise Invalid.at("", "empty", "The file is empty.")
    if (options.format or ("jsonl" if text[:1] in b"{[" else "csv")) == "jsonl":
        if text[:1] == b"[":
            raise Invalid.at("", "jsonl", "JSONL has one object on each line; this file begins with an array.")
        return Layout(format="jsonl", mapping=dict(options.mapping), data_offset=begin)
    # Blank lines may come before the header.
    start = len(head) - len(head[first:].lstrip(LINE_ENDS))
    line = 1 + count_lines(head, begin, start)
    named = separator[2].decode() if separator else None
    delimiter, header, found = _header(head, start, named if options.delimiter is None else options.delimiter)
    columns = columns_of(header)
    mapping = map_columns(columns, options.mapping)
    return Layout(
        format="csv",
        delimiter=delimiter,
        columns=columns,
        mapping=mapping,
        ignored=tuple(column for column in columns if column not in mapping),
        data_offset=found.after if found.after is not None else len(head),
        data_line=line + found.lines,
    )


def _refuse_foreign(head: bytes) -> None:
    for mark, words in _FOREIGN_FORMATS.items():
        if head.startswith(mark):
            raise Invalid.at("", "file-format", f"{words} {_SAVE_AS}")
    for mark, name in _FOREIGN_MARKS.items():
        if head.startswith(mark):
            words = f"The file is in {name}, as its first bytes say; UTF-8 is expected. {_SAVE_AS}"
            raise Invalid.at("", "encoding", words)
    try:
        # A character that the end of the head cuts in two is no fault.
        codecs.getincrementaldecoder("utf-8")().decode(head)
        at = head.find(b"\0")
    except UnicodeDecodeError as error:
        at = error.start
    if at >= 0:
        line = 1 + count_lines(head, 0, at)
        words = f"The file is not text in UTF-8: byte {at}, on line {line}, is 0x{head[at]:02x}. {_SAVE_AS}"
        raise Invalid.at("", "encoding", words)


def _header(head: bytes, start: int, given: str | None) -> tuple[str, list[str], Found]:
    """Read the header with the delimiter that is given, else with the one that makes the most sense of it."""
    fault: Fault | None = None
    read: list[tuple[tuple[int, int], str, list[str], Found]] = []
    for delimiter in _DELIMITERS if given is None else (_delimiter(given),):
        found = Cutter(delimiter).cut(head, start)
        cells = [cell.decode(errors="replace") for cell in found.cells[: MOST_COLUMNS + 1]]
        if len(cells) > MOST_COLUMNS:
            raise too_many_columns(cells)
        if found.fault is not None:
            fault = fault or found.fault
        else:
            known = sum(field_of(unguarded(cell).strip()) is not None for cell in cells)
            read.append(((known, len(cells)), delimiter, cells, found))
    (known, _), delimiter, cells, found = max(read, key=lambda way: way[0], default=((0, 0), ",", [], found))
    if fault is not None and not known:
        raise Invalid(fault.message, (fault,))
    return delimiter, cells, found


def _delimiter(given: str) -> str:
    delimiter = _DELIMITER_NAMES.get(given.lower(), given)
    if len(delimiter) != 1 or not delimiter.isascii() or delimiter.isalnum() or delimiter in '\0\r\n"':
        words = f"A delimiter is one character, such as a comma, or the word tab; not {shown(given)}."
        raise Invalid.at("query/delimiter", "delimiter", words)
    return delimiter


# -- its rows -------------------------------------------------------------------------------------------------------


def read_rows(
    parts: Iterable[bytes], layout: Layout, start_offset: int, start_number: int = 1, start_line: int | None = None
) -> Iterator[Row | BadRow]:
    """Return the rows from `start_offset` on, where a row begins; `parts` are the bytes of the file from there on.

    The first row gets the number `start_number`; `start_line` is the line of `start_offset`, by default the one on
    which the data begin. To go on behind a row, give its `offset_after`, its number plus one and its `line_after`.

    Raises:
        Invalid: for more than 1,000,000 rows, or 100 of which the quotes are never closed.
    """
    window = Window(parts, start_offset)
    line = layout.data_line if start_line is None else start_line
    rows = _csv_rows(window, layout, line) if layout.format == "csv" else _json_rows(window, line)
    for number, row in enumerate(rows, start_number):
        if number > MOST_ROWS:
            raise Invalid.at("", "too-many-rows", f"A file has at most {MOST_ROWS:,} rows; divide it.")
        if row.faults:
            yield BadRow(number, row.line, row.offset, row.line_after, row.cells, row.text, row.faults)
        else:
            yield Row(number, row.line, row.offset, row.line_after, row.cells)


class _Read(NamedTuple):
    line: int
    offset: int
    line_after: int
    cells: dict[str, Any]
    text: str = ""
    faults: tuple[Fault, ...] = ()


def _csv_rows(window: Window, layout: Layout, line: int) -> Iterator[_Read]:
    cutter = Cutter(layout.delimiter)
    columns = layout.columns
    while window.fill():
        data, start, offset = window.data, window.at, window.offset
        found = cutter.cut(data, start)
        if found.after is None:
            window.at = found.end
            window.skip_line(LINE_END)
        else:
            window.at = found.after
        begun, line = line, line + found.lines
        fault = found.fault
        texts: list[str] = []
        if fault is None:
            try:
                texts = [unguarded(cell.decode()) for cell in found.cells]
            except UnicodeDecodeError:
                fault = _not_utf8(data[start : found.end], offset, begun)
            else:
                if not any(map(str.strip, texts)):
                    continue
                if len(texts) != len(columns):
                    words = f"The row has {len(texts)} cells, but the header has {len(columns)}."
                    fault = Fault("", "cells", words)
        cells = dict(zip(columns, texts, strict=False))
        if fault is None:
            yield _Read(begun, window.offset, line, cells)
        else:
            yield _Read(begun, window.offset, line, cells, _text(data, start, found.end), (fault,))


def _not_utf8(row: bytes, offset: int, line: int) -> Fault:
    try:
        row.decode()
    except UnicodeDecodeError as error:
        line += count_lines(row, 0, error.start)
        place = f"Byte {offset + error.start} of the file, on line {line},"
        words = f"{place} is 0x{row[error.start]:02x}, which is no UTF-8. {_SAVE_AS}"
    return Fault("", "utf-8", words)


def _text(data: bytes, start: int, end: int) -> str:
    # Four bytes are the longest character.
    return data[start : min(end, start + 4 * _SHOWN_TEXT)].decode(errors="replace")[:_SHOWN_TEXT]


def _json_rows(window: Window, line: int) -> Iterator[_Read]:
    while window.fill():
        data, start, offset = window.data, window.at, window.offset
        found = LINE_FEED.search(data, start, start + LONGEST_ROW + 1)
        cells: dict[str, Any] = {}
        faults: tuple[Fault, ...]
        if found is None and len(data) - start > LONGEST_ROW:
            end = start + LONGEST_ROW
            window.skip_line(LINE_FEED)
            faults = (Fault("", "row-too-long", f"A row has at most {LONGEST_ROW // 1024} KiB."),)
        else:
            end, window.at = (found.start(), found.end()) if found else (len(data), len(data))
            text = data[start:end]
            if not text.strip():
                line += 1
                continue
            cells, faults = _object(text, offset, line)
        line += 1
        yield _Read(line - 1, window.offset, line, cells, _text(data, start, end) if faults else "", faults)


def _object(text: bytes, offset: int, line: int) -> tuple[dict[str, Any], tuple[Fault, ...]]:
    try:
        document = strict_json.check_unambiguous(text)
    except Invalid as refusal:
        if any(fault.rule == "utf-8" for fault in refusal.faults):
            return {}, (_not_utf8(text, offset, line),)
        words = [fault.message.replace("The body", "The line") for fault in refusal.faults]
        return {}, tuple(
            Fault(fault.pointer, fault.rule, word) for fault, word in zip(refusal.faults, words, strict=True)
        )
    if not isinstance(document, dict):
        return {}, (Fault("", "object", "Each line holds one JSON object."),)
    return document, ()
