"""What a lock's report changes about what is known of it; nothing here reads storage, clock or network.

A code is told by the lock's own id, or by its PIN when it has none. A code is found again under an id that it did not
have before when nobody else has that id, the PIN is the same, and it was known without any: some locks give ids late.
It does not work the other way round, for two codes with ids may have had one PIN one after the other; so a connector
gives ids always or never. A code without an id is also told by the PIN that was asked for, until that is settled.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from heliograph.access_codes.model import AccessCode, CodeReport, ReportedCode
from heliograph.errors import Fault

Property = Literal["external_id", "code", "name", "type", "starts_at", "ends_at", "cannot_be_managed", "cannot_delete"]
"""What a report can change; `code` is the PIN."""

_MODIFICATIONS: frozenset[Property] = frozenset(("code", "name", "type", "starts_at", "ends_at"))


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """A known code, what the lock says of it, and in which properties that is news, in a fixed order.

    `returned` when it was not known to be on the lock, so that it is news that it is.
    """

    known: AccessCode
    reported: ReportedCode
    properties: tuple[Property, ...]
    returned: bool = False

    @property
    def modifications(self) -> tuple[Property, ...]:
        """What somebody did to the code at the lock; ids, flags and a PIN seen for the first time are not that."""
        first_pin = self.known.pin_index is None
        return tuple(one for one in self.properties if one in _MODIFICATIONS and not (one == "code" and first_pin))


class Diff(msgspec.Struct, frozen=True, kw_only=True):
    """What a report means, the same whatever the order of its codes.

    Sorted: what was discovered by identity, the rest by uid. `vanished` and `changed` hold managed codes too.
    """

    discovered: tuple[ReportedCode, ...] = ()
    vanished: tuple[AccessCode, ...] = ()
    changed: tuple[Change, ...] = ()
    unchanged: tuple[AccessCode, ...] = ()
    refused: tuple[Fault, ...] = ()


def diff(known: Sequence[AccessCode], report: CodeReport) -> Diff:
    """Compare what one lock is known to hold with what it reports.

    Only a complete report makes codes vanish, and only those that the lock must hold: not one that is still being set
    or removed, or of which it is known that it is not there. A code that the lock holds and lets work only later is one
    that it must report. Of a code with an operation under way nothing is believed but its id; the operation's outcome
    says the rest. Nor is anything else believed of one that an operation settled, or left in doubt, after the time of
    the report.
    """
    pairs, discovered = _paired(known, report)
    changed: list[Change] = []
    unchanged: list[AccessCode] = []
    for code, reported in pairs:
        out_of_date = report.precedes(code)
        properties = news(code, reported, out_of_date=out_of_date)
        returned = code.is_missed and not out_of_date
        if properties or returned:
            changed.append(Change(known=code, reported=reported, properties=properties, returned=returned))
        else:
            unchanged.append(code)
    met = {code.uid for code, _ in pairs}
    gone = [code for code in known if code.uid not in met] if report.complete else []
    return Diff(
        discovered=tuple(sorted(discovered, key=_identity)),
        vanished=tuple(sorted((code for code in gone if code.is_expected and not report.precedes(code)), key=_uid)),
        changed=tuple(sorted(changed, key=lambda change: change.known.uid)),
        unchanged=tuple(sorted(unchanged, key=_uid)),
        refused=report.refused,
    )


def _paired(
    known: Sequence[AccessCode], report: CodeReport
) -> tuple[list[tuple[AccessCode, ReportedCode]], list[ReportedCode]]:
    """Return the known codes that are reported, each with what is said of it, and the reported ones that are new."""
    by_id = {code.external_id: code for code in known if code.external_id is not None}
    nameless = [code for code in known if code.external_id is None]
    by_pin = {code.pin_index: code for code in nameless if code.pin_index is not None}
    by_wanted_pin = {code.wanted_pin_index: code for code in nameless if code.wanted_pin_index is not None}
    pairs: list[tuple[AccessCode, ReportedCode]] = []
    others: list[ReportedCode] = []
    for reported in report.codes:
        code = by_id.get(reported.external_id) if reported.external_id is not None else None
        if code is None and reported.pin_index is not None:
            code = by_pin.get(reported.pin_index)
        if code is not None:
            pairs.append((code, reported))
        else:
            others.append(reported)
    # A lock that shows the digits of before beside those that were asked for has not made the ones into the others.
    met = {code.uid for code, _ in pairs}
    discovered: list[ReportedCode] = []
    for reported in others:
        code = None if reported.pin_index is None else by_wanted_pin.get(reported.pin_index)
        if code is None or code.uid in met:
            discovered.append(reported)
        else:
            pairs.append((code, reported))
    return pairs, discovered


def news(known: AccessCode, reported: ReportedCode, *, out_of_date: bool = False) -> tuple[Property, ...]:
    """Return in which properties a report says something else; what it does not say has not changed."""
    found: list[Property] = []
    if reported.external_id is not None and reported.external_id != known.external_id:
        found.append("external_id")
    if known.is_under_way or out_of_date:
        return tuple(found)
    if reported.pin_index is not None and reported.pin_index != known.pin_index:
        found.append("code")
    if reported.name is not None and reported.name != known.name:
        found.append("name")
    if reported.type is not None:
        if reported.type != known.type:
            found.append("type")
        if reported.starts_at != known.starts_at:
            found.append("starts_at")
        if reported.ends_at != known.ends_at:
            found.append("ends_at")
    if reported.cannot_be_managed is not None and reported.cannot_be_managed != known.cannot_be_managed:
        found.append("cannot_be_managed")
    if reported.cannot_delete is not None and reported.cannot_delete != known.cannot_delete:
        found.append("cannot_delete")
    return tuple(found)


def changed_code(change: Change, *, sealed_pin: bytes | None, now: int) -> AccessCode:
    """Return the known code as the lock says it is; `sealed_pin` counts when the PIN is among what changed."""
    fields: dict[str, object] = {one: getattr(change.reported, one) for one in change.properties if one != "code"}
    if "code" in change.properties:
        fields |= {"sealed_pin": sealed_pin, "pin_index": change.reported.pin_index}
    return msgspec.structs.replace(change.known, **fields, updated_at=now, version=change.known.version + 1)


def names_in(report: CodeReport) -> tuple[set[str], set[bytes]]:
    """Return the ids and the blind indexes of PINs by which a report names codes; a partial one is about no others."""
    ids = {code.external_id for code in report.codes if code.external_id is not None}
    return ids, {code.pin_index for code in report.codes if code.pin_index is not None}


def _uid(code: AccessCode) -> bytes:
    return code.uid


def _identity(code: ReportedCode) -> tuple[str, bytes]:
    # Among codes with ids the ids differ, among those without the PINs do.
    return code.external_id or "", code.pin_index or b""
