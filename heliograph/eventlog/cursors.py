"""Opaque cursors: where a listing goes on, marked so that nobody else can make one, fit for one question only."""

from __future__ import annotations

import base64
import binascii
from typing import Protocol

import msgspec

from heliograph.errors import Invalid

_MARK_BYTES = 16
_VERSION = 1


class Marker(Protocol):
    """Makes and checks marks that only this installation can make."""

    def mark(self, value: bytes) -> bytes:
        """Return a 16-byte mark."""

    def has_mark(self, value: bytes, mark: bytes) -> bool:
        """Check a mark in constant time."""


class Cursor(msgspec.Struct, frozen=True, array_like=True):
    """The question's digest and, for each tenant, its number and what is left of its log."""

    digest: bytes
    places: tuple[tuple[int, ...], ...]
    version: int = _VERSION


def write_cursor(cursor: Cursor, marker: Marker) -> str:
    """Print a cursor as URL-safe text."""
    body = msgspec.msgpack.encode(cursor)
    return base64.urlsafe_b64encode(marker.mark(body) + body).rstrip(b"=").decode()


def read_cursor(text: str, digest: bytes, marker: Marker) -> Cursor:
    """Read a cursor that `write_cursor` made for the same question.

    Raises:
        Invalid: naming `query/cursor`, when it is damaged, foreign, or from another filter, order or tenant.
    """
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        mark, body = raw[:_MARK_BYTES], raw[_MARK_BYTES:]
        if not marker.has_mark(body, mark):
            raise ValueError("mark")
        cursor = msgspec.msgpack.decode(body, type=Cursor)
    except (binascii.Error, ValueError, msgspec.MsgspecError):
        raise Invalid.at("query/cursor", "cursor", "The cursor is damaged or was not made here.") from None
    if cursor.digest != digest or cursor.version != _VERSION:
        raise Invalid.at(
            "query/cursor",
            "cursor-mismatch",
            "The cursor belongs to another tenant, filter or order; repeat the parameters of the first page.",
        )
    return cursor
