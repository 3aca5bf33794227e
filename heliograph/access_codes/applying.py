"""Makes what a report says of a lock so: rows and events, a few codes at a time, in the caller's transaction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import msgspec

from heliograph import publish
from heliograph.access_codes import events, managed_events, settling, store
from heliograph.access_codes.model import AccessCode, Footing, ReportedCode, found
from heliograph.access_codes.pins import Pins
from heliograph.access_codes.reconcile import Change, Diff, changed_code
from heliograph.access_codes.settling import MODIFIED_AT_LOCK, Fact
from heliograph.access_codes.telling import occurrences, remove_codes
from heliograph.devices.model import Condition
from heliograph.ids import new_uid
from heliograph.storage.engine import Transaction
from heliograph.tenancy.model import Scope
from heliograph.times import print_time

MODIFIED_WITH_LEAVE = "external_modification_in_effect"
"""Warning of a managed code that somebody else modified at the lock, who may; Seam's code for the same thing."""

SEEN_AT_LOCK = "The lock shows it."


class Vanished(msgspec.Struct, frozen=True):
    """A code that the lock no longer holds."""

    code: AccessCode


Step = Vanished | Change | ReportedCode
"""One code to be changed; a ReportedCode is one that was discovered."""


class Counts(msgspec.Struct, frozen=True):
    """How many codes a report has come to be about, by what became of them."""

    discovered: int = 0
    vanished: int = 0
    changed: int = 0

    def plus(self, steps: Sequence[Step]) -> Counts:
        """Return the counts after further steps."""
        kinds = Counter(type(step) for step in steps)
        return Counts(
            discovered=self.discovered + kinds[ReportedCode],
            vanished=self.vanished + kinds[Vanished],
            changed=self.changed + kinds[Change],
        )


def steps_of(diff: Diff) -> tuple[Step, ...]:
    """Return what a diff asks for; what is gone comes first, so that no PIN is told to be there twice."""
    return (*(Vanished(code) for code in diff.vanished), *diff.changed, *diff.discovered)


def apply_steps(tx: Transaction, scope: Scope, footing: Footing, steps: Sequence[Step], pins: Pins, at: int) -> None:
    """Carry out some steps, at most a hundred, with their events; `at` is the lock's time of the report."""
    work = _Work(tx, scope, footing, pins, at)
    for step in steps:
        if isinstance(step, Vanished):
            work.lose(step.code)
        elif isinstance(step, Change):
            work.change(step)
        else:
            work.discover(step)
    remove_codes(tx, scope, work.gone)
    for code in work.changed:
        store.update_code(tx, scope, code)
    store.insert_codes(tx, scope, work.new)
    publish.record_all(tx, scope, work.told)


class _Work:
    """Steps on their way to rows and events."""

    def __init__(self, tx: Transaction, scope: Scope, footing: Footing, pins: Pins, at: int) -> None:
        self._now = tx.now
        self._scope = scope
        self._footing = footing
        self._pins = pins
        self._at = at
        self.gone: list[bytes] = []
        self.changed: list[AccessCode] = []
        self.new: list[AccessCode] = []
        self.told: list[publish.Occurrence] = []

    def discover(self, reported: ReportedCode) -> None:
        uid = new_uid()
        sealed = self._pins.seal(uid, reported.pin)
        device = self._footing.device_uid
        self.new.append(
            found(reported, uid=uid, device_uid=device, sealed_pin=sealed, found_at=self._at, now=self._now)
        )
        self._tell(uid, Fact(events.UNMANAGED_CREATED))

    def lose(self, code: AccessCode) -> None:
        if not code.managed:
            self.gone.append(code.uid)
            self._tell(code.uid, Fact(events.UNMANAGED_REMOVED))
            return
        # It stays ours to set again or to delete; `unset` keeps the next report from missing it once more.
        lost = msgspec.structs.replace(
            code, status="unset", wanted_pin_index=None, errors=_without(code.errors, MODIFIED_AT_LOCK),
            updated_at=self._now, version=code.version + 1,
        )  # fmt: skip
        if code.status == "unknown" or (code.ends_at is not None and code.ends_at <= self._at):
            # What was to be set, and is not there, was not removed.
            if code.found_at is not None:
                self._tell(code.uid, Fact(managed_events.ACCESS_CODE_REMOVED_FROM_DEVICE))
        else:
            error = Condition(MODIFIED_AT_LOCK, "The code was removed at the lock.", print_time(self._at))
            lost = msgspec.structs.replace(lost, errors=(*lost.errors, error))
            self._tell(code.uid, Fact(managed_events.ACCESS_CODE_DELETED_EXTERNALLY))
        self.changed.append(lost)

    def change(self, change: Change) -> None:
        known = change.known
        sealed = self._pins.seal(known.uid, change.reported.pin)
        after = changed_code(change, sealed_pin=sealed, now=self._now)
        if change.returned:
            # Nobody knew what the lock holds, so it cannot be said that somebody else changed it.
            found_at = self._at if known.found_at is None else known.found_at
            after = msgspec.structs.replace(after, status="set", errors=(), wanted_pin_index=None, found_at=found_at)
            facts = settling.changes(known, after, SEEN_AT_LOCK)
            self._tell(known.uid, *facts, settling.on_lock(after, self._at))
        elif known.managed and change.modifications:
            after = self._modified(after)
            self._tell(known.uid, Fact(managed_events.ACCESS_CODE_MODIFIED_EXTERNALLY))
        self.changed.append(after)

    def _modified(self, code: AccessCode) -> AccessCode:
        at = print_time(self._at)
        if code.external_modification_allowed:
            warning = Condition(MODIFIED_WITH_LEAVE, "The code was changed at the lock.", at)
            return msgspec.structs.replace(code, warnings=(*_without(code.warnings, MODIFIED_WITH_LEAVE), warning))
        error = Condition(MODIFIED_AT_LOCK, "The code was changed at the lock.", at)
        return msgspec.structs.replace(code, errors=(*_without(code.errors, MODIFIED_AT_LOCK), error))

    def _tell(self, uid: bytes, *facts: Fact) -> None:
        self.told += occurrences(self._scope, facts, uid, self._footing, self._at)


def _without(conditions: tuple[Condition, ...], code: str) -> tuple[Condition, ...]:
    return tuple(one for one in conditions if one.code != code)
