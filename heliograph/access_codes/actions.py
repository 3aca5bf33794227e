"""What can be done about access codes: read them, and take a lock's report of what it holds.

A report is compared with what is known over a snapshot, outside any write; what then is written counts only while the
lock's version is still the one of the snapshot. Whoever changes codes of a lock raises that version.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import msgspec

from heliograph.access_codes import store
from heliograph.access_codes.applying import Counts, Step, apply_steps, steps_of
from heliograph.access_codes.model import AccessCode, CodeFilter, CodeReport, Footing, Lock
from heliograph.access_codes.pins import Pins
from heliograph.access_codes.reconcile import diff
from heliograph.connected_accounts import actions as connected_accounts
from heliograph.devices import actions as devices
from heliograph.devices.model import CustomMetadata, Device
from heliograph.errors import Conflict, NotFound, Unprocessable
from heliograph.ids import as_hex
from heliograph.jobs import actions as jobs
from heliograph.jobs.model import Job
from heliograph.storage.engine import Transaction
from heliograph.storage.pages import page_of
from heliograph.tenancy.model import Scope

MOST_AT_ONCE = 100
"""Changes that are made together with the request that reports them; a job makes more."""

REPORT_JOB = "access-code-report"
REMOVAL_JOB = "access-code-removal"


class Late(msgspec.Struct, frozen=True):
    """The report is older than the latest that was taken, so it says nothing; microseconds UTC."""

    latest: int


class Postponed(msgspec.Struct, frozen=True):
    """The report cannot be applied at once: other work is under way, or something changed since the comparison."""

    comparison_is_stale: bool


class Survey(msgspec.Struct, frozen=True):
    """What was known of a lock over one snapshot."""

    lock: Lock | None
    known: tuple[AccessCode, ...]


class Plan(msgspec.Struct, frozen=True):
    """What a report means for what was known, and at which version of the lock that was."""

    report: CodeReport
    version: int
    steps: tuple[Step, ...]

    @property
    def is_long(self) -> bool:
        """Whether it is more than one transaction should do, or one answer should tell."""
        return len(self.steps) + len(self.report.refused) > MOST_AT_ONCE


# -- reading --------------------------------------------------------------------------------------------------------


def get(tx: Transaction, scope: Scope, uid: bytes) -> AccessCode:
    """Return one of the organization's access codes.

    Raises:
        NotFound: when it has no such code.
    """
    code = store.find_code(tx, scope, uid)
    if code is None:
        raise NotFound("There is no such access code.")
    return code


def get_of_kind(tx: Transaction, scope: Scope, uid: bytes, device_uid: bytes | None, *, managed: bool) -> AccessCode:
    """Return a managed or an unmanaged code; `device_uid` is the lock that it must be on, None for any.

    Raises:
        NotFound: when there is no such code.
    """
    code = get(tx, scope, uid)
    if code.managed != managed or device_uid not in (None, code.device_uid):
        raise NotFound("There is no such access code.")
    return code


def list_codes(
    tx: Transaction, scope: Scope, wanted: CodeFilter, after: bytes, limit: int
) -> tuple[list[AccessCode], bytes | None]:
    """Return a page of the codes that pass every filter, and the uid to go on after when there are more.

    A page that is sifted (`CodeFilter.sieve`) may be short although there are more.
    """
    return page_of(partial(store.list_codes, tx, scope, wanted), after, limit, wanted.sieve)


def find_by_pin(tx: Transaction, scope: Scope, device_uid: bytes, pin_index: bytes, *, managed: bool) -> AccessCode:
    """Return the code of a lock that has a PIN, given by its blind index; the oldest when several have it.

    Raises:
        NotFound: when no such code has it.
    """
    for code in store.codes_with_pin(tx, scope, device_uid, pin_index):
        if code.managed == managed:
            return code
    raise NotFound("There is no such access code.")


# -- reports --------------------------------------------------------------------------------------------------------


def footing_of(tx: Transaction, scope: Scope, device_uid: bytes, pointer: str = "path/uid") -> Footing:
    """Return the lock and its account as they are now; `pointer` is where the request names the lock.

    Raises:
        NotFound: when the organization has no such device.
        Conflict: when it is not enrolled.
        Unprocessable: when it belongs to no connected account.
    """
    device = devices.get(tx, scope, device_uid)
    if device.state != "enrolled":
        raise Conflict("Only the access codes of an enrolled device are known and changed.")
    uid = device.settings.connected_account_uid
    account = None if uid is None else connected_accounts.find(tx, scope, uid)
    if account is None:
        words = "The device belongs to no connected account; give it one first."
        raise Unprocessable.at(pointer, "connected-account-required", words)
    return footing_on(device, account.uid, account.custom_metadata)


def footing_on(device: Device, account_uid: bytes, account_metadata: CustomMetadata) -> Footing:
    """Return the lock and its account, with what is noted on them at this moment."""
    return Footing(
        device_uid=device.uid, device_metadata=device.settings.custom_metadata, account_uid=account_uid,
        account_metadata=account_metadata,
    )  # fmt: skip


def raise_version(tx: Transaction, scope: Scope, device_uid: bytes, settled_at: int | None = None) -> None:
    """Note that something changed of what is known of a lock's codes.

    `settled_at` is when the lock did what it was asked for: a report from before that is late.
    """
    before = store.find_lock(tx, scope, device_uid) or Lock(reported_at=0, version=0, complete_version=0)
    reported_at = before.reported_at if settled_at is None else max(before.reported_at, settled_at)
    store.save_lock(
        tx, scope, device_uid, msgspec.structs.replace(before, version=before.version + 1, reported_at=reported_at)
    )  # fmt: skip


def survey(tx: Transaction, scope: Scope, device_uid: bytes) -> Survey:
    """Read what is known of a lock."""
    return Survey(store.find_lock(tx, scope, device_uid), tuple(store.codes_on(tx, scope, device_uid)))


def plan(surveyed: Survey, report: CodeReport) -> Plan:
    """Compare a report with what was known."""
    version = surveyed.lock.version if surveyed.lock else 0
    return Plan(report, version, steps_of(diff(surveyed.known, report)))


def apply(tx: Transaction, scope: Scope, device_uid: bytes, plan: Plan, pins: Pins) -> Counts | Late | Postponed:
    """Take a report whose plan is short, with all that follows from it.

    Raises:
        NotFound, Conflict, Unprocessable: as `footing_of`; Conflict also while codes of an earlier time are removed.
    """
    footing, before = footing_of(tx, scope, device_uid), store.find_lock(tx, scope, device_uid)
    at = _time_of(tx, plan.report, before)
    if before is not None and before.reported_at > at:
        return Late(before.reported_at)
    if plan.version != (before.version if before else 0):
        return Postponed(comparison_is_stale=True)
    # A complete report overtakes what is under way; of two partial ones each has its own to say, one after the other.
    if _work_under_way(tx, scope, device_uid) and not plan.report.complete:
        return Postponed(comparison_is_stale=False)
    _take(tx, scope, device_uid, plan.report, before, at)
    apply_steps(tx, scope, footing, plan.steps, pins, at)
    return Counts().plus(plan.steps)


class Order(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What the job of a report is to do; `version` is the lock's with which the report was taken."""

    device_uid: str
    complete: bool
    reported_at: int
    codes: int
    refused: int
    version: int


def begin(tx: Transaction, scope: Scope, device_uid: bytes, plan: Plan, job_uid: bytes) -> Job | Late | Postponed:
    """Take a report whose input was put under `job_uid`, and begin the job that applies it.

    Raises:
        NotFound, Conflict, Unprocessable: as for `apply`.
        TooMany: when too many jobs of the organization wait or run.
    """
    footing_of(tx, scope, device_uid)
    before = store.find_lock(tx, scope, device_uid)
    at = _time_of(tx, plan.report, before)
    if before is not None and before.reported_at > at:
        return Late(before.reported_at)
    # Jobs of one kind are done in the order of their uids, which must be that in which the reports were taken.
    if any(job.uid > job_uid for job in _work_under_way(tx, scope, device_uid)):
        return Postponed(comparison_is_stale=True)
    lock = _take(tx, scope, device_uid, plan.report, before, at)
    order = Order(
        device_uid=as_hex(device_uid), complete=plan.report.complete, reported_at=at,
        codes=len(plan.report.codes), refused=len(plan.report.refused), version=lock.version,
    )  # fmt: skip
    return jobs.start(tx, scope, REPORT_JOB, msgspec.to_builtins(order), total=len(plan.steps), uid=job_uid)


def _time_of(tx: Transaction, report: CodeReport, before: Lock | None) -> int:
    """Return the time of a report; one that has none of its own is the latest, whatever the lock's clock said before.

    Only here is it known behind which reports it comes.
    """
    if report.reported_at is not None:
        return report.reported_at
    return tx.now if before is None else max(tx.now, before.reported_at)


def _take(tx: Transaction, scope: Scope, device_uid: bytes, report: CodeReport, before: Lock | None, at: int) -> Lock:
    version = before.version + 1 if before else 1
    complete_version = version if report.complete else before.complete_version if before else 0
    lock = Lock(reported_at=at, version=version, complete_version=complete_version)
    store.save_lock(tx, scope, device_uid, lock)
    return lock


def _work_under_way(tx: Transaction, scope: Scope, device_uid: bytes) -> list[Job]:
    """Return the jobs that have reports of this lock still to apply.

    Raises:
        Conflict: when codes that it held before it was enrolled anew are still being removed.
    """
    uid = as_hex(device_uid)
    unfinished = jobs.unfinished(tx, scope, (REPORT_JOB, REMOVAL_JOB))
    found = [job for job in unfinished if job.parameters["deviceUid"] == uid]
    if any(job.kind == REMOVAL_JOB for job in found):
        raise Conflict("The codes that the lock held before are still being removed; report again in a minute.")
    return found


def go_on(
    tx: Transaction, scope: Scope, order: Order, version: int, steps: Sequence[Step], pins: Pins
) -> Late | Postponed | None:
    """Carry out some steps of a report that was taken before; None when they were.

    Raises:
        NotFound, Conflict, Unprocessable: as `footing_of`.
    """
    device_uid = bytes.fromhex(order.device_uid)
    lock = store.find_lock(tx, scope, device_uid)
    footing = footing_of(tx, scope, device_uid)
    if lock is None or lock.complete_version > order.version:
        return Late(order.reported_at if lock is None else lock.reported_at)
    if lock.version != version:
        return Postponed(comparison_is_stale=True)
    if steps:
        store.save_lock(tx, scope, device_uid, msgspec.structs.replace(lock, version=version + 1))
        apply_steps(tx, scope, footing, steps, pins, order.reported_at)
    return None
