"""Locks for the tests: what they report, and a plain memory of what is known of one."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from itertools import count

import msgspec
from hypothesis import strategies as st

from heliograph.access_codes.model import AccessCode, CodeReport, CodeType, ReportedCode, Status, found
from heliograph.access_codes.reconcile import Change, Diff, changed_code, diff
from heliograph.ids import Secret

LOCK = b"lock".ljust(16, b"\0")
NOON = 1_772_452_800_000_000
HOUR = 3_600_000_000

Identity = tuple[str, str | bytes | None]


def pin_index(pin: str) -> bytes:
    """Stand in for the keyed index of the platform."""
    return hashlib.sha256(pin.encode()).digest()[:16]


def reported(
    external_id: str | None = None,
    pin: str | None = None,
    *,
    name: str | None = None,
    type: CodeType | None = None,
    frame: tuple[int | None, int | None] = (None, None),
    cannot_be_managed: bool = False,
    cannot_delete: bool = False,
) -> ReportedCode:
    """Return a code as a lock reports it."""
    return ReportedCode(
        external_id=external_id,
        pin=None if pin is None else Secret(pin),
        pin_index=None if pin is None else pin_index(pin),
        name=name,
        type=type,
        starts_at=frame[0],
        ends_at=frame[1],
        cannot_be_managed=cannot_be_managed,
        cannot_delete=cannot_delete,
    )


def known(
    external_id: str | None = None,
    pin: str | None = None,
    *,
    number: int = 1,
    managed: bool = False,
    status: Status = "set",
    name: str | None = None,
    type: CodeType = "ongoing",
    frame: tuple[int | None, int | None] = (None, None),
    cannot_be_managed: bool = False,
) -> AccessCode:
    """Return a code as it is known."""
    return AccessCode(
        uid=number.to_bytes(16, "big"),
        device_uid=LOCK,
        managed=managed,
        status=status,
        type=type,
        name=name,
        external_id=external_id,
        sealed_pin=None if pin is None else b"sealed " + pin_index(pin),
        pin_index=None if pin is None else pin_index(pin),
        starts_at=frame[0],
        ends_at=frame[1],
        cannot_be_managed=cannot_be_managed,
        created_at=NOON,
        updated_at=NOON,
    )


def report(*codes: ReportedCode, complete: bool = True) -> CodeReport:
    """Return a report of these codes."""
    return CodeReport(complete=complete, reported_at=NOON, received_at=NOON, codes=codes)


def identity(code: AccessCode | ReportedCode) -> Identity:
    """Return what tells a code from the others of its lock."""
    return ("pin", code.pin_index) if code.external_id is None else ("id", code.external_id)


_numbers = count(1_000)


def applied(codes: Iterable[AccessCode], change: Diff) -> list[AccessCode]:
    """Return what is known after a report was applied."""
    gone = {code.uid for code in change.vanished}
    new = {one.known.uid: _changed(one) for one in change.changed}
    kept = [new.get(code.uid, code) for code in codes if code.uid not in gone]
    return kept + [
        found(
            code,
            uid=next(_numbers).to_bytes(16, "big"),
            device_uid=LOCK,
            sealed_pin=_sealed(code),
            found_at=NOON,
            now=NOON,
        )
        for code in change.discovered
    ]


def _changed(change: Change) -> AccessCode:
    code = changed_code(change, sealed_pin=_sealed(change.reported), now=NOON + HOUR)
    return msgspec.structs.replace(code, status="set", wanted_pin_index=None) if change.returned else code


def after(codes: Iterable[AccessCode], *reports: CodeReport) -> list[AccessCode]:
    """Return what is known after reports were applied one after the other."""
    codes = list(codes)
    for one in reports:
        codes = applied(codes, diff(codes, one))
    return codes


def _sealed(code: ReportedCode) -> bytes | None:
    return None if code.pin_index is None else b"sealed " + code.pin_index


# Few ids and PINs, so that reports meet what is known in every way.
_IDS = st.sampled_from([None, "1", "2", "3", "4"])
_PINS = st.sampled_from([None, "1000", "2000", "3000", "4000"])
_FRAMES: st.SearchStrategy[tuple[CodeType | None, tuple[int | None, int | None]]] = st.sampled_from(
    [
        (None, (None, None)),
        ("ongoing", (None, None)),
        ("time_bound", (NOON, NOON + HOUR)),
        ("time_bound", (NOON, None)),
    ]
)


@st.composite
def reported_codes(draw: st.DrawFn) -> ReportedCode:
    """Draw a code that has an id, a PIN or both."""
    external_id, pin = draw(st.tuples(_IDS, _PINS).filter(any))
    type_, frame = draw(_FRAMES)
    return reported(
        external_id,
        pin,
        name=draw(st.sampled_from([None, "Guest", "Cleaner"])),
        type=type_,
        frame=frame,
        cannot_be_managed=draw(st.booleans()),
    )


@st.composite
def contents(draw: st.DrawFn) -> tuple[ReportedCode, ...]:
    """Draw what a lock holds: no id and no PIN is there twice."""
    taken: set[str | bytes] = set()
    codes = []
    for code in draw(st.lists(reported_codes(), max_size=6)):
        own = {value for value in (code.external_id, code.pin_index) if value is not None}
        if not own & taken:
            codes.append(code)
            taken |= own
    return tuple(codes)


@st.composite
def reports(draw: st.DrawFn) -> CodeReport:
    """Draw a report."""
    return report(*draw(contents()), complete=draw(st.booleans()))


@st.composite
def histories(draw: st.DrawFn, *, under_way: bool = True, renumbered: bool = False) -> list[AccessCode]:
    """Draw what is known of a lock after some reports, some codes having been taken over meanwhile.

    `under_way` lets some of these have operations under way, or be away; `renumbered` lets some be asked to have
    other digits.
    """
    statuses: list[Status] = ["set", "unknown", *(("setting", "removing", "unset") if under_way else ())]
    codes: list[AccessCode] = []
    for one in draw(st.lists(reports(), max_size=3)):
        codes = [_managed(draw, code, statuses) for code in after(codes, one)]
        if renumbered:
            codes = _renumbered(draw, codes)
    return codes


def _managed(draw: st.DrawFn, code: AccessCode, statuses: list[Status]) -> AccessCode:
    if not draw(st.booleans()):
        return code
    status = draw(st.sampled_from(statuses))
    return msgspec.structs.replace(code, managed=True, status=status, wanted_pin_index=None)


def _renumbered(draw: st.DrawFn, codes: list[AccessCode]) -> list[AccessCode]:
    taken = {code.pin_index for code in codes}
    free = [index for index in map(pin_index, ("1000", "2000", "3000", "4000")) if index not in taken]
    wanted = {
        code.uid: free.pop()
        for code in codes
        if free and code.managed and code.status in ("setting", "unknown") and draw(st.booleans())
    }
    return [msgspec.structs.replace(code, wanted_pin_index=wanted.get(code.uid)) for code in codes]
