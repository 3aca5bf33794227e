"""Identifiers: one 128-bit UUIDv7 (RFC 9562) per entity, held as 16 bytes, printed in two ways."""

from __future__ import annotations

import re
import secrets
from typing import NewType

import uuid_utils

from heliograph.errors import Invalid

Uid = NewType("Uid", bytes)
"""A UUIDv7 as 16 bytes, the way it is stored."""

_HEX = re.compile(r"[0-9a-fA-F]{32}\Z")
_HYPHENATED = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\Z")


def new_uid() -> Uid:
    """Make a UUIDv7; rising within one process."""
    return Uid(uuid_utils.uuid7().bytes)


def as_hex(uid: bytes) -> str:
    """Print as 32 lower-case hex digits: the form of `uid`, `...Uid` and `deviceIdentityHash`."""
    return uid.hex()


def as_optional_hex(uid: bytes | None) -> str | None:
    """Print a uid that may be absent."""
    return None if uid is None else uid.hex()


def as_uuid(uid: bytes) -> str:
    """Print as a hyphenated UUID: the form of an event's `id` and of every `..._id`."""
    digits = uid.hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def parse_uid(text: str, pointer: str) -> Uid:
    """Read either printed form, in either case.

    Raises:
        Invalid: naming `pointer`, when `text` is neither form.
    """
    if _HEX.match(text) or _HYPHENATED.match(text):
        return Uid(bytes.fromhex(text.replace("-", "")))
    raise Invalid.at(pointer, "uid", "Expected 32 hexadecimal digits or a hyphenated UUID.")


class Secret:
    """A text that does not show itself in logs, reprs or tracebacks; `reveal()` is the only way to it."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the text."""
        return self._text

    def __repr__(self) -> str:
        return "Secret(...)"

    __str__ = __repr__


def new_token(prefix: str) -> Secret:
    """Make a bearer token: `prefix` followed by 256 random bits in base64url."""
    return Secret(prefix + secrets.token_urlsafe(32))
