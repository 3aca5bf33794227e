"""Makes what a report says of a lock so: rows and events, a few codes at a time, in the caller's transaction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from heliograph import publish
from heliograph.access_codes import events, managed_events, settling, store
from heliograph.access_codes.changes import read_request
from heliograph.access_codes.model import AccessCode, Footing, ReportedCode, found
from heliograph.access_codes.pins import Pins
from heliograph.access_codes.reconcile import Change, Diff, changed_code
from heliograph.access_codes.settling import MODIFIED_AT_LOCK, Fact
from heliograph.catalog.definition import EventDefinition
from heliograph.devices.model import Condition
from heliograph.eventlog.model import RelatedEntity
from heliograph.ids import as_hex, as_uuid, new_uid
from heliograph.operations import actions as operations
from heliograph.storage.engine import Transaction
from heliograph.tenancy.model import Scope
from heliograph.times import print_milliseconds, print_time

MODIFIED_WITH_LEAVE = "external_modification_in_effect"
"""Warning of a managed code that somebody else modified at the lock, who may; Seam's code for the same thing."""

SEEN_AT_LOCK = "The lock shows it."


class Vanished(msgspec.Struct, frozen=True):
    """A code that the lock no longer holds."""

    code: AccessCode


class Returned(msgspec.Struct, frozen=True):
    """A managed code that was not known to be on the lock, and is."""

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
    returned = [Returned(code) for code in diff.unchanged if code.is_missed]
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
    remove_codes(tx, scope, work.gone)
    for code in work.changed:
        store.update_code(tx, scope, code)
    store.insert_codes(tx, scope, work.new)
    publish.record_all(tx, scope, work.told)


def remove_codes(tx: Transaction, scope: Scope, uids: Sequence[bytes]) -> None:
    """Remove codes, and cancel what connectors were still to do about them."""
    store.delete_codes(tx, scope, uids)
    for operation in operations.pending_about(tx, scope, uids).values():
        kept = read_request(operation.request).without_pin().to_keep()
        operations.end(tx, scope, operation, "cancelled", request=kept)


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
        lost = msgspec.structs.replace(code, status="unset", errors=_without(code.errors, MODIFIED_AT_LOCK))
        if code.status == "unknown" or (code.ends_at is not None and code.ends_at <= self._at):
            self._change(lost)
            self._tell(managed_events.ACCESS_CODE_REMOVED_FROM_DEVICE, code.uid)
            return
        error = Condition(MODIFIED_AT_LOCK, "The code was removed at the lock.", print_time(self._at))
        self._change(msgspec.structs.replace(lost, errors=(*lost.errors, error)))
        self._tell(managed_events.ACCESS_CODE_DELETED_EXTERNALLY, code.uid)

    def change(self, change: Change) -> None:
        known = change.known
        sealed = self._pins.seal(known.uid, change.reported.pin)
        after = changed_code(change, sealed_pin=sealed, now=self._now)
        if known.is_missed:
            # Nobody knew what the lock holds, so it cannot be said that somebody else changed it.
            after = _present(after)
            self._tell_facts(
                known.uid, (*settling.changes(known, after, SEEN_AT_LOCK), settling.on_lock(after, self._at))
            )
        elif known.managed and change.modifications:
            after = self._modified(after)
            self._tell(managed_events.ACCESS_CODE_MODIFIED_EXTERNALLY, known.uid)
        self.changed.append(after)

    def accept(self, code: AccessCode) -> None:
        code = _present(code)
        self._change(code)
        self._tell_facts(code.uid, (settling.on_lock(code, self._at),))

    def _modified(self, code: AccessCode) -> AccessCode:
        at = print_time(self._at)
        if code.external_modification_allowed:
            warning = Condition(MODIFIED_WITH_LEAVE, "The code was changed at the lock.", at)
            return msgspec.structs.replace(code, warnings=(*_without(code.warnings, MODIFIED_WITH_LEAVE), warning))
        error = Condition(MODIFIED_AT_LOCK, "The code was changed at the lock.", at)
        return msgspec.structs.replace(code, errors=(*_without(code.errors, MODIFIED_AT_LOCK), error))

    def _change(self, code: AccessCode) -> None:
        self.changed.append(msgspec.structs.replace(code, updated_at=self._now, version=code.version + 1))

    def _tell(self, definition: EventDefinition, uid: bytes) -> None:
        self._tell_facts(uid, (Fact(definition),))

    def _tell_facts(self, uid: bytes, facts: Iterable[Fact]) -> None:
        self.told += occurrences(self._scope, facts, uid, self._footing, self._at)


def _present(code: AccessCode) -> AccessCode:
    """Return a managed code that the lock shows: what was wrong is over."""
    return msgspec.structs.replace(code, status="set", errors=())


def _without(conditions: tuple[Condition, ...], code: str) -> tuple[Condition, ...]:
    return tuple(one for one in conditions if one.code != code)


def occurrences(
    scope: Scope, facts: Iterable[Fact], uid: bytes, footing: Footing, at: int | None
) -> list[publish.Occurrence]:
    """Return the events that tell some facts of a code; `at` is when they happened, None for when they are recorded."""
    return [occurrence(scope, fact.definition, uid, footing, at, **fact.more) for fact in facts]


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
