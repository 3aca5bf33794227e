"""What callers may ask for in an endpoint, and the rules that bodies alone cannot state; pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from heliograph.delivery.guard import read_url
from heliograph.devices.model import CustomMetadata
from heliograph.endpoints.model import (
    LONGEST_HEADER,
    MOST_HEADERS,
    Consent,
    EndpointSettings,
    Format,
    HeaderFamily,
    Ordering,
)
from heliograph.endpoints.tls import Tls
from heliograph.errors import Fault, Invalid
from heliograph.eventlog.model import Family
from heliograph.strict_json import pointer_to

T = TypeVar("T")

HIDDEN = "********"
"""Stands for the value of a header wherever an endpoint is shown; sent back, it means the value that is there."""

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""A field name (RFC 9110 sections 5.1 and 5.6.2)."""

_VALUE = re.compile(r"[!-~]([ \t!-~]*[!-~])?")
"""A field value (RFC 9110 section 5.5), of ASCII alone: what lies beyond has no agreed meaning."""

FORBIDDEN_HEADERS = frozenset(
    (
        "accept-encoding", "connection", "cookie", "date", "expect", "forwarded", "host", "http2-settings",
        "keep-alive", "origin", "te", "trailer", "transfer-encoding", "upgrade", "user-agent", "via",
    )
)  # fmt: skip
FORBIDDEN_BEGINNINGS = (
    "access-control-", "ce-", "content-", "proxy-", "sec-", "svix-", "webhook-", "x-forwarded-", "x-sos-",
)  # fmt: skip
"""What the platform sets itself, what belongs to one connection, and what would make a receiver trust the sender."""


class EndpointWish(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint to make. `secret` are the bytes of the symmetric key, None standing for random ones."""

    url: str
    settings: EndpointSettings
    headers: tuple[tuple[str, str], ...] = ()
    secret: bytes | None = None
    tls: Tls = Tls()

    def __repr__(self) -> str:
        return "EndpointWish(...)"


class SettingsPatch(msgspec.Struct, frozen=True, kw_only=True):
    """What to change of an endpoint's settings; what is UNSET stays."""

    event_types: tuple[str, ...] | UnsetType = UNSET
    families: tuple[Family, ...] | UnsetType = UNSET
    criticalities: tuple[int, ...] | UnsetType = UNSET
    target_types: tuple[str, ...] | UnsetType = UNSET
    codes: tuple[int, ...] | UnsetType = UNSET
    format: Format | UnsetType = UNSET
    ordering: Ordering | UnsetType = UNSET
    header_family: HeaderFamily | UnsetType = UNSET
    asymmetric: bool | UnsetType = UNSET
    rate: int | UnsetType | None = UNSET
    concurrency: int | UnsetType = UNSET
    timeout: int | UnsetType = UNSET
    consent: Consent | UnsetType = UNSET
    retry_schedule: tuple[int, ...] | UnsetType | None = UNSET
    description: str | UnsetType | None = UNSET
    custom_metadata: CustomMetadata | UnsetType = UNSET

    def onto(self, settings: EndpointSettings) -> EndpointSettings:
        """Return settings with these changes."""
        given = {name: value for name, value in msgspec.structs.asdict(self).items() if value is not UNSET}
        return msgspec.structs.replace(settings, **given)


class EndpointPatch(msgspec.Struct, frozen=True, kw_only=True):
    """What to change of an endpoint; headers are replaced as a whole.

    `ca` and `client`, the certificate and its key, are PEM texts as `tls` found them good; None removes them.
    """

    url: str | UnsetType = UNSET
    settings: SettingsPatch = SettingsPatch()
    headers: dict[str, str] | UnsetType = UNSET
    ca: str | UnsetType | None = UNSET
    client: tuple[str, str] | UnsetType | None = UNSET

    def __repr__(self) -> str:
        return "EndpointPatch(...)"


def plain_url(text: str) -> str:
    """Read a URL and return it as requests to it are made.

    Raises:
        Invalid: see `delivery.guard.read_url`.
    """
    return read_url(text, "/url").url


def read_schedule(waits: Iterable[int]) -> tuple[int, ...]:
    """Read the seconds before each attempt.

    Raises:
        Invalid: when the first is not 0: what is recorded is sent at once.
    """
    schedule = tuple(waits)
    if schedule[0] != 0:
        raise Invalid.at("/retrySchedule/0", "first-wait", "The first attempt is made at once: its wait is 0.")
    return schedule


def each_once(values: Iterable[T]) -> tuple[T, ...]:
    """Return the values without repeats, in their order."""
    return tuple(dict.fromkeys(values))


def read_headers(given: Mapping[str, str], present: Iterable[tuple[str, str]] = ()) -> tuple[tuple[str, str], ...]:
    """Read a caller's own headers; `HIDDEN` stands for the value that a header of the same name has at present.

    Raises:
        Invalid: with a fault for every name that is no token, is forbidden or comes twice, and for every value that
            is empty, too long, or has a control character or one beyond ASCII; values are not repeated.
    """
    known = {name.lower(): value for name, value in present}
    faults: list[Fault] = []
    if len(given) > MOST_HEADERS:
        faults.append(Fault("/headers", "max-items", f"An endpoint has at most {MOST_HEADERS} headers."))
    seen: set[str] = set()
    read = []
    for name, text in given.items():
        value = known.get(name.lower(), text) if text == HIDDEN else text
        fault = _fault_of(name, value, seen)
        if fault is not None:
            faults.append(Fault(pointer_to("headers", name[:100]), *fault))
        seen.add(name.lower())
        read.append((name, value))
    if faults:
        raise Invalid("The headers cannot be sent.", tuple(faults[: MOST_HEADERS + 1]))
    return tuple(read)


def _fault_of(name: str, value: str, seen: set[str]) -> tuple[str, str] | None:
    """Return rule and words of the first rule that a header breaks."""
    if not _TOKEN.fullmatch(name):
        return "header-name", "The name of a header is letters, digits and some signs (RFC 9110, section 5.6.2)."
    folded = name.lower()
    if folded in FORBIDDEN_HEADERS or folded.startswith(FORBIDDEN_BEGINNINGS):
        return "forbidden-header", "The platform sets this header itself, or no endpoint may."
    if folded in seen:
        return "duplicate-name", "The header is given twice; its name means the same in either case."
    if len(name) + len(value) > LONGEST_HEADER:
        return "length", f"A header has at most {LONGEST_HEADER} bytes, its name included."
    if not _VALUE.fullmatch(value):
        return "header-value", "The value is printable ASCII, without line breaks and not blank at either end."
    return None if value != HIDDEN else ("hidden-value", "This is how a value is hidden; there is none to keep.")


def differences(before: Any, after: Any) -> list[str]:
    """Return the names of the fields in which two structs of one type differ."""
    return [name for name in before.__struct_fields__ if getattr(before, name) != getattr(after, name)]
