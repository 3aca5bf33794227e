"""Makes what a report says of a lock so: rows and events, a few codes at a time, in the caller's transaction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec

from heliograph import publish
from heliograph.access_codes import events, managed_events, store
from heliograph.access_codes.model import AccessCode, Footing, ReportedCode, found
from heliograph.access_codes.pins import Pins
from heliograph.access_codes.reconcile import Change, Diff, changed_code
from heliograph.catalog.definition import EventDefinition
from heliograph.devices.model import Condition
from heliograph.eventlog.model import RelatedEntity
from heliograph.ids import as_hex, as_uuid, new_uid
from heliograph.storage.engine import Transaction
from heliograph.tenancy.model import Scope
from heliograph.times import print_milliseconds, print_time

REMOVED_AT_LOCK = "conflicting_external_modification"
"""Error of a managed code that somebody else took from the lock; Seam's code for the same thing."""


class Vanished(msgspec.Struct, frozen=True):
    """A code that the lock no longer holds."""

    code: AccessCode


class Returned(msgspec.Struct, frozen=True):
    """A managed code that is back on the lock after somebody else had taken it away."""

    code: AccessCode


Step = Vanished | Change | Returned | ReportedCode
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
            changed=self.changed + kinds[Change] + kinds[Returned],
        )


def steps_of(diff: Diff) -> tuple[Step, ...]:
    """Return what a diff asks for; what is gone comes first, so that no PIN is told to be there twice."""
    returned = [Returned(code) for code in diff.unchanged if _was_removed(code)]
    return (*(Vanished(code) for code in diff.vanished), *diff.changed, *returned, *diff.discovered)


def apply_steps(tx: Transaction, scope: Scope, footing: Footing, steps: Sequence[Step], pins: Pins, at: int) -> None:
    """Carry out some steps, at most a hundred, with their events; `at` is the lock's time of the report."""
    work = _Work(tx, scope, footing, pins, at)
    for step in steps:
        if isinstance(step, Vanished):
            work.lose(step.code)
        elif isinstance(step, Change):
            work.change(step)
        elif isinstance(step, Returned):
            work.accept(step.code)
        else:
            work.discover(step)
    store.delete_codes(tx, scope, work.gone)
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
        self._tell(events.UNMANAGED_CREATED, uid)

    def lose(self, code: AccessCode) -> None:
        if not code.managed:
            self.gone.append(code.uid)
            self._tell(events.UNMANAGED_REMOVED, code.uid)
            return
        # It stays ours to set again or to delete; `unset` keeps the next report from missing it once more.
        error = Condition(REMOVED_AT_LOCK, "The code was removed at the lock.", print_time(self._at))
        errors = (*(one for one in code.errors if one.code != REMOVED_AT_LOCK), error)
        self.changed.append(
            msgspec.structs.replace(
                code, status="unset", errors=errors, updated_at=self._now, version=code.version + 1
            )
        )  # fmt: skip
        self._tell(managed_events.ACCESS_CODE_DELETED_EXTERNALLY, code.uid)

    def change(self, change: Change) -> None:
        known = _present_again(change.known) if _was_removed(change.known) else change.known
        sealed = self._pins.seal(known.uid, change.reported.pin)
        change = msgspec.structs.replace(change, known=known)
        self.changed.append(changed_code(change, sealed_pin=sealed, now=self._now))
        if known.managed and change.modifications:
            self._tell(managed_events.ACCESS_CODE_MODIFIED_EXTERNALLY, known.uid)

    def accept(self, code: AccessCode) -> None:
        code = _present_again(code)
        self.changed.append(msgspec.structs.replace(code, updated_at=self._now, version=code.version + 1))

    def _tell(self, definition: EventDefinition, uid: bytes) -> None:
        self.told.append(occurrence(self._scope, definition, uid, self._footing, self._at))


def _was_removed(code: AccessCode) -> bool:
    return code.managed and code.status == "unset" and any(one.code == REMOVED_AT_LOCK for one in code.errors)


def _present_again(code: AccessCode) -> AccessCode:
    errors = tuple(one for one in code.errors if one.code != REMOVED_AT_LOCK)
    return msgspec.structs.replace(code, status="set", errors=errors)


def occurrence(
    scope: Scope, definition: EventDefinition, uid: bytes, footing: Footing, at: int | None, **more: Any
) -> publish.Occurrence:
    """Return an event about an access code; `at` is when it happened, None standing for when it is recorded.

    `more` are the fields that not all such events have.
    """

    def build(stamp: publish.Stamp) -> msgspec.Struct:
        return definition.struct(
            access_code_id=as_uuid(uid),
            connected_account_custom_metadata=footing.account_metadata,
            connected_account_id=as_uuid(footing.account_uid),
            created_at=print_milliseconds(stamp.recorded_at),
            device_custom_metadata=footing.device_metadata,
            device_id=as_uuid(footing.device_uid),
            event_id=as_uuid(stamp.uid),
            event_type=definition.type,
            occurred_at=print_milliseconds(stamp.recorded_at if at is None else at),
            workspace_id=as_uuid(bytes.fromhex(scope.tenant_uid)),
            **more,
        )

    return publish.Occurrence(
        definition=definition,
        target_id=as_hex(uid),
        build=build,
        related=(
            RelatedEntity(id=as_hex(footing.device_uid), type="Device"),
            RelatedEntity(id=as_hex(footing.account_uid), type="ConnectedAccount"),
        ),
        occurred_at=at,
    )
