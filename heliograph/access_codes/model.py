"""Access codes: what a lock says that it holds, what is known about it, and the rules for such reports.

A PIN in clear is only ever a `Secret`; what is kept of it is sealed, beside a blind index to compare it by.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import msgspec

from heliograph.devices.model import Condition, CustomMetadata, mentions
from heliograph.errors import Fault, Invalid
from heliograph.ids import Secret
from heliograph.strict_json import MOST_FAULTS
from heliograph.times import parse_time

CodeType = Literal["ongoing", "time_bound"]

Status = Literal["setting", "set", "unset", "removing", "unknown"]
"""As in Seam's resource: `setting` and `removing` while an operation is under way, `unset` when the lock does not hold
it, `unknown` when nobody knows. A code that is not managed is always `set`."""

MOST_CODES = 100_000
"""Codes of one report."""

LONGEST_NAME = 255
LONGEST_EXTERNAL_ID = 255
FURTHEST_AHEAD = 300_000_000
"""Microseconds by which a lock's clock may be ahead of ours."""

_PIN = re.compile(r"[0-9]{1,20}")
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]")

PinIndex = Callable[[str], bytes]
"""Makes the blind index of a PIN; equal PINs of one lock have equal indexes."""


# Reports have many codes, and none refers to itself: without `gc` the collector, which holds up every other request,
# has nothing to look at.
class GivenCode(msgspec.Struct, frozen=True, gc=False, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """One code of a report as it was sent; it does not show itself, for it holds a PIN in clear."""

    external_id: str | None = None
    code: str | None = None
    name: str | None = None
    type: CodeType | None = None
    starts_at: str | None = None
    ends_at: str | None = None
    cannot_be_managed: bool | None = None
    cannot_delete: bool | None = None

    def __repr__(self) -> str:
        return "GivenCode(...)"


class ReportedCode(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A code that a lock says it holds; times in microseconds UTC.

    It has the lock's own id, a PIN with its blind index, or both. What is None was not said: many locks hide their
    PINs, know no names, or leave the time frame to somebody else. `type` None stands for the whole time frame.
    """

    external_id: str | None = None
    pin: Secret | None = None
    pin_index: bytes | None = None
    name: str | None = None
    type: CodeType | None = None
    starts_at: int | None = None
    ends_at: int | None = None
    cannot_be_managed: bool | None = None
    cannot_delete: bool | None = None

    def __post_init__(self) -> None:
        if self.external_id is None and self.pin_index is None:
            raise ValueError("A reported code has an id or a PIN.")
        if (self.pin is None) != (self.pin_index is None):
            raise ValueError("A PIN and its index come together.")


class CodeReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a lock holds: all of it, or some of it. No id and no PIN is there twice.

    `reported_at` is the lock's time, microseconds UTC, and None when that of the platform counts.
    `refused` has a fault for every code that was left out, because nothing tells it from others.
    """

    complete: bool
    reported_at: int | None
    codes: tuple[ReportedCode, ...]
    refused: tuple[Fault, ...] = ()

    def precedes(self, code: AccessCode) -> bool:
        """Whether the lock has done something about the code since it reported."""
        return self.reported_at is not None and code.settled_at is not None and self.reported_at < code.settled_at


class AccessCode(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """An access code as it is known; times in microseconds UTC.

    `found_at` is when a lock first showed it; a code that was made here has none until then. `settled_at` is when a
    lock last did what was asked of it: what it said of the code before that is out of date.
    """

    uid: bytes
    device_uid: bytes
    managed: bool
    status: Status
    type: CodeType
    name: str | None = None
    external_id: str | None = None
    sealed_pin: bytes | None = None
    pin_index: bytes | None = None
    starts_at: int | None = None
    ends_at: int | None = None
    cannot_be_managed: bool = False
    cannot_delete: bool = False
    external_modification_allowed: bool = False
    errors: tuple[Condition, ...] = ()
    warnings: tuple[Condition, ...] = ()
    found_at: int | None = None
    settled_at: int | None = None
    created_at: int
    updated_at: int
    version: int = 1

    @property
    def is_under_way(self) -> bool:
        """Whether an operation of ours is changing it, so that the lock may show it as it was or as it will be."""
        return self.managed and self.status in ("setting", "removing")

    @property
    def is_scheduled(self) -> bool:
        """Whether the lock holds it, and lets it work only in its time."""
        return self.type == "time_bound" and self.status == "set"

    @property
    def is_missed(self) -> bool:
        """Whether it is managed and not known to be on the lock, so that it is news when the lock shows it."""
        return self.managed and self.status in ("unset", "unknown")

    @property
    def is_expected(self) -> bool:
        """Whether the lock must hold it, so that it was taken away when a complete report lacks it."""
        return not self.managed or self.status in ("set", "unknown")


class CodeFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which codes a list shows: those that pass every filter given; `name_prefix` as `fold_prefix` returns it.

    `search` is a part of a uid or of the name. PINs are found only whole, and only by who asks for that: a code whose
    blind index is among `pin_indexes` passes the search too.
    """

    uids: tuple[bytes, ...] = ()
    device_uids: tuple[bytes, ...] = ()
    managed: bool | None = None
    statuses: tuple[Status, ...] = ()
    name_prefix: str | None = None
    search: str | None = None
    pin_indexes: tuple[bytes, ...] = ()

    @property
    def sieve(self) -> Callable[[AccessCode], bool] | None:
        """Tells which codes pass the search, which the database does not answer; None when there is none."""
        return self._passes if self.search else None

    def _passes(self, code: AccessCode) -> bool:
        return code.pin_index in self.pin_indexes or mentions(self.search or "", (code.uid,), (code.name,), {})


class Lock(msgspec.Struct, frozen=True, kw_only=True):
    """How far the reports of one lock have come.

    `reported_at` is the time of the latest that was taken, microseconds UTC. `version` rises with everything that
    changes what is known of the lock's codes; `complete_version` is the one with which the latest complete report was
    taken, which overtakes all that was taken before.
    """

    reported_at: int
    version: int
    complete_version: int


class Footing(msgspec.Struct, frozen=True, kw_only=True):
    """The lock that codes are on and the account that it belongs to, each with its custom metadata at one moment."""

    device_uid: bytes
    device_metadata: CustomMetadata
    account_uid: bytes
    account_metadata: CustomMetadata


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """The errors and warnings that a code, its lock and its account have at one moment."""

    code_errors: tuple[Condition, ...] = ()
    code_warnings: tuple[Condition, ...] = ()
    device_errors: tuple[Condition, ...] = ()
    device_warnings: tuple[Condition, ...] = ()
    account_errors: tuple[Condition, ...] = ()
    account_warnings: tuple[Condition, ...] = ()


def report_time(reported_at: int | None, now: int) -> int | None:
    """Return the lock's own time of a report, or None when it has none or its clock is far ahead."""
    return None if reported_at is None or reported_at > now + FURTHEST_AHEAD else reported_at


def read_report(complete: bool, reported_at: int | None, given: Sequence[GivenCode], index: PinIndex) -> CodeReport:
    """Read the codes of a report; one with neither id nor PIN is left out and named in `refused`.

    Raises:
        Invalid: with a fault, by pointer, for every other broken rule (the first 100); no message repeats a PIN.
    """
    if len(given) > MOST_CODES:
        raise Invalid.at("/codes", "max-items", f"At most {MOST_CODES} codes.")
    codes: list[ReportedCode] = []
    places: list[int] = []
    refused: list[Fault] = []
    faults: list[Fault] = []
    for position, one in enumerate(given):
        place = f"/codes/{position}"
        if not (one.external_id and one.external_id.strip()) and not one.code:
            refused.append(Fault(place, "identifier-required", "The lock's own id or the PIN is required."))
            continue
        code = read_code(one, place, index, faults)
        if code is not None:
            codes.append(code)
            places.append(position)
    faults += _repeated("externalId", [code.external_id for code in codes], places)
    faults += _repeated("code", [code.pin_index for code in codes], places)
    if faults:
        faults.sort(key=lambda fault: int(fault.pointer.split("/")[2]))
        raise Invalid("The report has codes that break the rules.", tuple(faults[:MOST_FAULTS]))
    return CodeReport(complete=complete, reported_at=reported_at, codes=tuple(codes), refused=tuple(refused))


def read_code(given: GivenCode, place: str, index: PinIndex, faults: list[Fault]) -> ReportedCode | None:
    """Read one code with an id or a PIN, as `read_parts` does."""
    parts = read_parts(given, place, faults)
    if parts is None:
        return None
    return ReportedCode(
        external_id=parts.external_id,
        pin=parts.pin,
        pin_index=None if parts.pin is None else index(parts.pin.reveal()),
        name=parts.name,
        type=parts.type,
        starts_at=parts.starts_at,
        ends_at=parts.ends_at,
        cannot_be_managed=given.cannot_be_managed,
        cannot_delete=given.cannot_delete,
    )


class CodeParts(msgspec.Struct, frozen=True, kw_only=True):
    """What was said of a code, by the rules; times in microseconds UTC."""

    external_id: str | None
    pin: Secret | None
    name: str | None
    type: CodeType | None
    starts_at: int | None
    ends_at: int | None


def read_parts(given: GivenCode, place: str, faults: list[Fault]) -> CodeParts | None:
    """Read what was said of a code; texts of nothing but space count as absent.

    Returns None after it has added a fault for every broken rule; `place` is the pointer of the code.
    """
    before = len(faults)
    pin = given.code or None
    if pin is not None and not _PIN.fullmatch(pin):
        faults.append(Fault(f"{place}/code", "pin", "A PIN has 1 to 20 digits and nothing else."))
    external_id = _text(given.external_id, f"{place}/externalId", LONGEST_EXTERNAL_ID, faults)
    name = _text(given.name, f"{place}/name", LONGEST_NAME, faults)
    starts_at = _time(given.starts_at, f"{place}/startsAt", faults)
    ends_at = _time(given.ends_at, f"{place}/endsAt", faults)
    if starts_at is not None and ends_at is not None and starts_at >= ends_at:
        faults.append(Fault(f"{place}/endsAt", "time-order", "The end must be later than the start."))
    bounded = given.starts_at is not None or given.ends_at is not None
    if given.type is not None and bounded != (given.type == "time_bound"):
        words = "A time_bound code has a start or an end, an ongoing one has neither."
        faults.append(Fault(f"{place}/type", "time-frame", words))
    if len(faults) > before:
        return None
    return CodeParts(
        external_id=external_id,
        pin=None if pin is None else Secret(pin),
        name=name,
        type="time_bound" if bounded else given.type,
        starts_at=starts_at,
        ends_at=ends_at,
    )


def found(
    code: ReportedCode, *, uid: bytes, device_uid: bytes, sealed_pin: bytes | None, found_at: int, now: int
) -> AccessCode:
    """Return the unmanaged code that a lock was found to hold at `found_at`."""
    return AccessCode(
        uid=uid,
        device_uid=device_uid,
        managed=False,
        status="set",
        type=code.type or "ongoing",
        name=code.name,
        external_id=code.external_id,
        sealed_pin=sealed_pin,
        pin_index=code.pin_index,
        starts_at=code.starts_at,
        ends_at=code.ends_at,
        cannot_be_managed=bool(code.cannot_be_managed),
        cannot_delete=bool(code.cannot_delete),
        found_at=found_at,
        created_at=now,
        updated_at=now,
    )


def _text(text: str | None, pointer: str, longest: int, faults: list[Fault]) -> str | None:
    # Kept as it was sent: to a lock, an id with a space at its end is another one.
    if text is None or not text.strip():
        return None
    if len(text) > longest:
        faults.append(Fault(pointer, "max-length", f"At most {longest} characters."))
    elif _CONTROLS.search(text):
        faults.append(Fault(pointer, "control-characters", "Control characters are not accepted."))
    else:
        return text
    return None


def _time(text: str | None, pointer: str, faults: list[Fault]) -> int | None:
    if text is None:
        return None
    try:
        return parse_time(text, pointer)
    except Invalid as refusal:
        faults.extend(refusal.faults)
        return None


def _repeated(field: str, values: Sequence[str | bytes | None], places: Sequence[int]) -> Iterator[Fault]:
    seen: set[str | bytes] = set()
    for value, position in zip(values, places, strict=True):
        if value in seen:
            yield Fault(f"/codes/{position}/{field}", "repeated", "An earlier code of the report has the same.")
        elif value is not None:
            seen.add(value)
