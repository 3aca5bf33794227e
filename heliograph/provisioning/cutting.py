"""Cuts the rows of a file, and the cells of CSV rows, out of bytes that come in parts.

Pure: nothing here reads storage, clock or network.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from heliograph.errors import Fault, Invalid
from heliograph.provisioning.columns import MOST_COLUMNS

LONGEST_ROW = 64 * 1024
"""Bytes of a row, the header included, without its line end."""

MOST_OPEN_QUOTES = 100
"""Rows with a quote that is never closed: each costs the search for it, and so many mean that this is no CSV."""

LINE_ENDS = b"\r\n"
LINE_END = re.compile(rb"\r\n?|\n")
LINE_FEED = re.compile(rb"\n")

_AHEAD = LONGEST_ROW + 2
_QUOTED = re.compile(rb'"((?:[^"]++|"")*+)"')
_QUOTE = ord('"')


class Window:
    """The bytes ahead of the reader: as many as the longest row has, or the rest of the file."""

    def __init__(self, parts: Iterable[bytes], offset: int) -> None:
        self.data = b""
        self.at = 0
        self._parts = iter(parts)
        self._base = offset
        self._ended = False

    @property
    def offset(self) -> int:
        """The place of the next byte in the file."""
        return self._base + self.at

    def fill(self) -> bool:
        """Look ahead far enough for one more row; tell whether any byte is left."""
        ahead = len(self.data) - self.at
        if ahead < _AHEAD and not self._ended:
            pieces = [self.data[self.at :]]
            self._base += self.at
            while ahead < _AHEAD and not self._ended:
                part = next(self._parts, None)
                self._ended = part is None
                pieces.append(part or b"")
                ahead += len(pieces[-1])
            self.data, self.at = b"".join(pieces), 0
        return ahead > 0

    def skip_line(self, line_end: re.Pattern[bytes]) -> None:
        """Go behind the next line end, however far away it is."""
        while self.fill():
            found = line_end.search(self.data, self.at)
            if found is None:
                self.at = len(self.data)
            elif found.end() < len(self.data) or self._ended:
                self.at = found.end()
                return
            else:
                # A carriage return at the very end: the line feed that belongs to it may come yet.
                self.at = found.start()


class Found(NamedTuple):
    """A row as it was cut out: where it ends, and where the next begins, None when that is not in sight."""

    cells: list[bytes]
    end: int
    after: int | None
    lines: int = 1
    fault: Fault | None = None


class Cutter:
    """Cuts rows out of bytes and into cells."""

    def __init__(self, delimiter: str) -> None:
        self._delimiter = delimiter.encode()
        self._plain = re.compile(b"[^\r\n" + re.escape(self._delimiter) + b"]*+")
        self._open_quotes = 0

    def cut(self, data: bytes, start: int) -> Found:
        """Cut out the row that begins at `start`; `data` goes on for the longest row, or ends with the file."""
        limit = min(len(data), start + _AHEAD)
        found = LINE_END.search(data, start, limit)
        end, after = (found.start(), found.end()) if found else (limit, limit)
        if data.find(b'"', start, end) >= 0:
            return self._cut_quoted(data, start, limit)
        if end - start > LONGEST_ROW:
            return self._too_long(data, start, end, limit)
        return Found(data[start:end].split(self._delimiter), end, after)

    def _cut_quoted(self, data: bytes, start: int, limit: int) -> Found:
        cells: list[bytes] = []
        at = start
        while True:
            if at < limit and data[at] == _QUOTE:
                quoted = _QUOTED.match(data, at, limit)
                if quoted is None:
                    return self._never_closed(data, start, limit)
                cells.append(quoted[1].replace(b'""', b'"'))
                at = quoted.end()
            else:
                plain = self._plain.match(data, at, limit)
                assert plain is not None  # the pattern also fits nothing
                cells.append(plain[0])
                at = plain.end()
            if at - start > LONGEST_ROW:
                return self._too_long(data, start, at, limit)
            if at == limit or data[at] in LINE_ENDS:
                break
            if data[at] != self._delimiter[0]:
                words = "A quote that closes a cell is not followed by the delimiter; double the quotes inside a cell."
                return self._rest_of_line(data, start, at, limit, Fault("", "quote", words))
            at += 1
        line_end = LINE_END.match(data, at, limit)
        after = line_end.end() if line_end else at
        return Found(cells, at, after, max(1, count_lines(data, start, after)))

    def _never_closed(self, data: bytes, start: int, limit: int) -> Found:
        self._open_quotes += 1
        if self._open_quotes > MOST_OPEN_QUOTES:
            words = f"More than {MOST_OPEN_QUOTES} quotes are never closed; this is no CSV file."
            raise Invalid.at("", "quote", words)
        words = f"A quote is opened and not closed again within {LONGEST_ROW // 1024} KiB."
        # The rows after it are not to be lost in it.
        return self._rest_of_line(data, start, start, limit, Fault("", "quote", words))

    def _too_long(self, data: bytes, start: int, at: int, limit: int) -> Found:
        fault = Fault("", "row-too-long", f"A row has at most {LONGEST_ROW // 1024} KiB.")
        # Enough to tell how many columns a header has, and no more.
        cells = data[start:limit].split(self._delimiter, MOST_COLUMNS)
        return self._rest_of_line(data, start, at, limit, fault)._replace(cells=cells)

    def _rest_of_line(self, data: bytes, start: int, at: int, limit: int, fault: Fault) -> Found:
        """Let an unreadable row end with the line that `at` is on."""
        line_end = LINE_END.search(data, at, limit)
        end = line_end.start() if line_end else limit
        lines = count_lines(data, start, end) + 1
        if limit == start + _AHEAD and (line_end is None or line_end.end() == limit):
            # The line end, or the line feed that belongs to it, may lie beyond what is in sight.
            return Found([], end, None, lines, fault)
        return Found([], end, line_end.end() if line_end else limit, lines, fault)


def count_lines(data: bytes, start: int, end: int) -> int:
    """Count the line ends between two places."""
    return len(LINE_END.findall(data, start, end))
