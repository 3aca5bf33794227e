"""Reports of locks on both databases: what is known afterwards, and exactly the events that the reports imply."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from heliograph.access_codes import actions
from heliograph.access_codes import store as store_of_codes
from heliograph.access_codes.actions import Late, Postponed
from heliograph.access_codes.applying import Counts
from heliograph.access_codes.model import AccessCode
from heliograph.access_codes.reporting import CHANGES_AT_ONCE
from heliograph.connected_accounts import actions as accounts
from heliograph.connected_accounts.actions import AccountPatch
from heliograph.devices.actions import SettingsPatch
from heliograph.errors import Conflict, NotFound, Unprocessable
from heliograph.ids import as_uuid, new_uid
from heliograph.jobs import actions as jobs
from heliograph.jobs.model import Job
from heliograph.jobs.runner import Runner, _Run
from heliograph.provisioning import releasing
from heliograph.times import print_milliseconds
from tests.conformance.locks import SECOND, Locksmith, plain
from tests.conformance.stores import START_OF_TIME

if TYPE_CHECKING:
    from collections.abc import Callable

    from heliograph.devices.model import Device
    from heliograph.storage.engine import Engine
    from heliograph.storage.store import Store
    from tests.conformance.stores import HandClock

NOON, ONE = "2026-03-02T12:00:00Z", "2026-03-02T13:00:00Z"
CLEANING = {"externalId": "17", "code": "4711", "name": "Cleaning"}
GUEST = {"externalId": "18", "name": "Guest", "startsAt": NOON, "endsAt": ONE}


@pytest.fixture
def engine(shared_engine: Engine) -> Engine:
    return shared_engine


@pytest.fixture
def smith(store: Store, time: HandClock) -> Locksmith:
    return Locksmith(store, time)


def several(count: int, start: int = 0, **fields: Any) -> list[dict[str, Any]]:
    return [{"externalId": f"id-{n:06}", "code": f"{100_000 + n}"} | fields for n in range(start, start + count)]


# -- exact events ---------------------------------------------------------------------------------------------------


def test_discovered_and_vanished_codes_are_told_in_exact_bodies(smith: Locksmith) -> None:
    account = smith.an_account(region="north", vip=True)
    lock = smith.lock(account, door="B2-17", guests=True)
    at = START_OF_TIME - 60 * SECOND
    assert smith.report(lock, CLEANING, GUEST, at=at) == Counts(discovered=2)
    first, second = smith.codes(lock)
    smith.fleet.write(accounts.update, smith.here, account.uid, None, AccountPatch(custom_metadata={"region": "south"}))
    smith.fleet.write(releasing.update, smith.here, lock.uid, None, SettingsPatch(custom_metadata={"door": "B2-18"}))
    gone_at = at + 30 * SECOND
    assert smith.report(lock, CLEANING, at=gone_at) == Counts(vanished=1)
    same = {"connected_account_id": as_uuid(account.uid), "device_id": as_uuid(lock.uid)}
    found = same | {
        "connected_account_custom_metadata": {"region": "north", "vip": True},
        "device_custom_metadata": {"door": "B2-17", "guests": True},
        "event_type": "access_code.unmanaged.created",
        "occurred_at": print_milliseconds(at),
    }
    assert smith.told() == [
        found | {"access_code_id": as_uuid(first.uid)},
        found | {"access_code_id": as_uuid(second.uid)},
        same
        | {
            "access_code_id": as_uuid(second.uid),
            "connected_account_custom_metadata": {"region": "south"},
            "device_custom_metadata": {"door": "B2-18"},
            "event_type": "access_code.unmanaged.removed",
            "occurred_at": print_milliseconds(gone_at),
        },
    ]
    assert smith.codes(lock) == [first]


def test_discovered_code_is_kept_as_the_lock_shows_it_with_its_pin_sealed(smith: Locksmith) -> None:
    lock = smith.lock()
    report = CLEANING | {"cannotBeManaged": True, "startsAt": NOON}
    smith.report(lock, report, GUEST | {"cannotDelete": True})
    first, second = smith.codes(lock)
    assert (first.managed, first.status, first.type, first.name, first.external_id) == (
        False, "set", "time_bound", "Cleaning", "17",
    )  # fmt: skip
    assert (first.cannot_be_managed, first.cannot_delete, first.ends_at) == (True, False, None)
    assert (second.cannot_be_managed, second.cannot_delete, second.sealed_pin) == (False, True, None)
    assert (first.found_at, first.created_at, first.version) == (smith.time.wall, smith.time.wall, 1)
    assert smith.pin_of(first) == "4711"
    assert smith.pin_of(second) is None
    assert b"4711" not in msgspec.msgpack.encode(first)


def test_same_report_again_changes_and_tells_nothing(smith: Locksmith) -> None:
    lock = smith.lock()
    smith.report(lock, CLEANING, GUEST, {"code": "0815"})
    before, told = smith.codes(lock), smith.told()
    for codes in ((CLEANING, GUEST, {"code": "0815"}), ({"code": "0815"}, GUEST, CLEANING)):
        assert smith.report(lock, *codes) == Counts()
        assert (smith.codes(lock), smith.told()) == (before, told)


@pytest.mark.parametrize(
    ("change", "field", "expected"),
    [
        ({"name": "Night shift"}, "name", "Night shift"),
        ({"startsAt": NOON, "endsAt": ONE}, "type", "time_bound"),
        ({"code": "1234"}, "pin", "1234"),
        ({"cannotDelete": True}, "cannot_delete", True),
        ({"cannotBeManaged": True}, "cannot_be_managed", True),
    ],
)
def test_changed_unmanaged_code_is_the_same_code_and_no_event(
    smith: Locksmith, change: dict[str, Any], field: str, expected: Any
) -> None:
    lock = smith.lock()
    smith.report(lock, CLEANING)
    (before,) = smith.codes(lock)
    assert smith.report(lock, CLEANING | change) == Counts(changed=1)
    (after,) = smith.codes(lock)
    assert (after.uid, after.version, after.updated_at) == (before.uid, 2, smith.time.wall)
    assert (smith.pin_of(after) if field == "pin" else getattr(after, field)) == expected
    assert smith.types() == ["unmanaged.created"]
    assert smith.report(lock, CLEANING | change) == Counts()


def test_what_cannot_be_done_with_a_code_stays_until_the_lock_says_otherwise(smith: Locksmith) -> None:
    lock = smith.lock()
    cannot = {"cannotBeManaged": True, "cannotDelete": True}
    smith.report(lock, CLEANING | cannot)
    assert smith.report(lock, CLEANING) == Counts()
    assert smith.report(lock, CLEANING | dict.fromkeys(cannot)) == Counts()
    (code,) = smith.codes(lock)
    assert (code.cannot_be_managed, code.cannot_delete) == (True, True)
    smith.report(lock, *several(150), CLEANING, complete=False)
    smith.runner().run_pending()
    assert code in smith.codes(lock)
    assert smith.report(lock, CLEANING | dict.fromkeys(cannot, False), complete=False) == Counts(changed=1)
    (code,) = (one for one in smith.codes(lock) if one.external_id == "17")
    assert (code.cannot_be_managed, code.cannot_delete) == (False, False)


def test_code_without_an_id_is_another_code_when_its_pin_changes(smith: Locksmith) -> None:
    lock = smith.lock()
    smith.report(lock, {"code": "1111"})
    (before,) = smith.codes(lock)
    assert smith.report(lock, {"code": "2222"}) == Counts(discovered=1, vanished=1)
    (after,) = smith.codes(lock)
    assert smith.history()[1:] == [("unmanaged.removed", before.uid.hex()), ("unmanaged.created", after.uid.hex())]


def test_same_pin_on_two_locks_is_two_codes_and_shows_no_likeness(smith: Locksmith) -> None:
    one, other = smith.lock(), smith.lock()
    for lock in (one, other):
        smith.report(lock, {"code": "4711"})
    (first,), (second,) = smith.codes(one), smith.codes(other)
    assert first.pin_index != second.pin_index
    assert first.sealed_pin != second.sealed_pin


def test_partial_report_makes_nothing_vanish(smith: Locksmith) -> None:
    lock = smith.lock()
    smith.report(lock, CLEANING, GUEST)
    assert smith.report(lock, {"externalId": "19"}, complete=False) == Counts(discovered=1)
    assert smith.report(lock, complete=False) == Counts()
    assert smith.names(lock) == ["17", "18", "19"]
    assert smith.report(lock) == Counts(vanished=3)
    assert smith.codes(lock) == []


def test_late_report_has_no_effect(smith: Locksmith) -> None:
    lock = smith.lock()
    latest = START_OF_TIME + 10 * SECOND
    smith.report(lock, CLEANING, at=latest)
    told = smith.told()
    for complete in (True, False):
        assert smith.report(lock, GUEST, complete=complete, at=latest - 1) == Late(latest)
    assert smith.report(lock, *several(200), at=latest - 1) == Late(latest)
    assert (smith.names(lock), smith.told()) == (["17"], told)
    assert smith.report(lock, CLEANING, GUEST, at=latest) == Counts(discovered=1)


@pytest.mark.parametrize("size", [3, 150])
def test_report_without_a_time_of_its_own_is_never_late(smith: Locksmith, size: int) -> None:
    lock = smith.lock()
    ahead = smith.time.wall + 60 * SECOND
    smith.report(lock, CLEANING, at=ahead)
    report = msgspec.structs.replace(smith.read(lock, *several(size)), reported_at=None)
    plan = smith.plan(lock, report)
    if plan.is_long:
        begun(smith.begin(lock, plan))
        smith.runner().run_pending()
    else:
        assert smith.apply(lock, plan) == Counts(discovered=size, vanished=1)
    assert smith.names(lock) == [f"id-{n:06}" for n in range(size)]
    assert {one["occurred_at"] for one in smith.told()} == {print_milliseconds(ahead)}
    smith.time.wall = ahead + SECOND
    untimed = msgspec.structs.replace(smith.read(lock, CLEANING, complete=False), reported_at=None)
    assert smith.apply(lock, smith.plan(lock, untimed)) == Counts(discovered=1)
    assert smith.told()[-1]["occurred_at"] == print_milliseconds(ahead + SECOND)


# -- managed codes --------------------------------------------------------------------------------------------------


def managed(smith: Locksmith, lock: Device, **fields: Any) -> AccessCode:
    smith.report(lock, CLEANING)
    (code,) = smith.codes(lock)
    return smith.manage(code, **fields)


def test_managed_code_that_somebody_changes_at_the_lock_is_told_once(smith: Locksmith) -> None:
    lock = smith.lock()
    code = managed(smith, lock)
    assert smith.report(lock, CLEANING | {"name": "Mine"}) == Counts(changed=1)
    assert smith.history()[1:] == [("modified_external_to_seam", code.uid.hex())]
    assert smith.report(lock, CLEANING | {"name": "Mine"}) == Counts()
    (after,) = smith.codes(lock)
    assert (after.name, after.managed, after.status) == ("Mine", True, "set")


def test_managed_code_that_somebody_removes_at_the_lock_is_told_once_and_stays(smith: Locksmith) -> None:
    lock = smith.lock()
    code = managed(smith, lock)
    assert smith.report(lock) == Counts(vanished=1)
    assert smith.report(lock) == Counts()
    assert smith.history()[1:] == [("deleted_external_to_seam", code.uid.hex())]
    (after,) = smith.codes(lock)
    assert (after.uid, after.managed, after.status) == (code.uid, True, "unset")
    assert [error.code for error in after.errors] == ["conflicting_external_modification"]
    assert smith.report(lock, CLEANING | {"name": "Back"}) == Counts(changed=1)
    (back,) = smith.codes(lock)
    assert (back.status, back.errors, back.name) == ("set", (), "Back")
    smith.report(lock)
    assert smith.report(lock, CLEANING) == Counts(changed=1)
    assert smith.report(lock, CLEANING) == Counts()
    assert [one.status for one in smith.codes(lock)] == ["set"]


@pytest.mark.parametrize("status", ["setting", "removing"])
def test_nothing_is_believed_of_a_code_that_an_operation_is_about(smith: Locksmith, status: str) -> None:
    lock = smith.lock()
    code = managed(smith, lock, status=status)
    assert smith.report(lock) == Counts()
    assert smith.report(lock, CLEANING | {"name": "Mine", "code": "0000"}) == Counts()
    assert smith.codes(lock) == [code]
    assert smith.types() == ["unmanaged.created"]


# -- whom it is asked about -----------------------------------------------------------------------------------------


def test_only_an_enrolled_device_with_an_account_can_report(smith: Locksmith) -> None:
    lock, apart, gone = smith.lock(), smith.lock(), smith.lock()
    smith.fleet.write(releasing.update, smith.here, apart.uid, None, SettingsPatch(connected_account_uid=None))
    smith.fleet.write(releasing.deprovision, smith.here, gone.uid, None)
    with pytest.raises(Unprocessable):
        smith.report(apart, CLEANING)
    with pytest.raises(Conflict):
        smith.report(gone, CLEANING)
    plan = smith.plan(lock, smith.read(lock, CLEANING))
    for scope, uid in ((smith.fleet.there, lock.uid), (smith.here, new_uid())):
        with pytest.raises(NotFound, match=r"There is no such device\."):
            smith.fleet.write(actions.apply, scope, uid, plan, smith.pins)
    assert smith.told() == []


def a_deprovisioned(smith: Locksmith, lock: Device) -> None:
    smith.fleet.write(releasing.deprovision, smith.here, lock.uid, None)


def a_deleted(smith: Locksmith, lock: Device) -> None:
    smith.fleet.write(releasing.delete, smith.here, lock.uid, None)


def a_moved(smith: Locksmith, lock: Device) -> None:
    smith.fleet.write(releasing.move, smith.here, smith.fleet.there, lock.uid, None)


def an_orphaned(smith: Locksmith, lock: Device) -> None:
    smith.fleet.write(releasing.update, smith.here, lock.uid, None, SettingsPatch(connected_account_uid=None))


def a_handed_over(smith: Locksmith, lock: Device) -> None:
    patch = SettingsPatch(connected_account_uid=smith.an_account(region="south").uid)
    smith.fleet.write(releasing.update, smith.here, lock.uid, None, patch)


def a_cut_off(smith: Locksmith, lock: Device) -> None:
    del lock
    smith.fleet.write(releasing.delete_connected_account, smith.here, smith.account.uid, None)


@pytest.mark.parametrize("count", [3, 230])
@pytest.mark.parametrize("end", [a_deprovisioned, a_deleted, a_moved, an_orphaned, a_cut_off])
def test_codes_of_a_lock_that_leaves_go_with_it(smith: Locksmith, end: Callable[..., None], count: int) -> None:
    smith.account = smith.an_account(region="north")
    lock, other = smith.lock(door="B2"), smith.lock(smith.an_account())
    for one in (lock, other):
        smith.report(one, *several(count))
        smith.runner().run_pending()
    smith.manage(smith.codes(lock)[0])
    codes = [code.uid.hex() for code in smith.codes(lock)]
    kept = {code.uid.hex() for code in smith.codes(other)}
    before = len(smith.told())
    end(smith, lock)
    smith.runner().run_pending()
    assert smith.codes(lock) == []
    told = smith.told()[before:]
    assert [(one["event_type"], plain(one["access_code_id"])) for one in told] == [
        ("access_code.deleted" if n == 0 else "access_code.unmanaged.removed", uid) for n, uid in enumerate(codes)
    ]
    assert {str(one["connected_account_custom_metadata"]) for one in told} == {"{'region': 'north'}"}
    assert {str(one["device_custom_metadata"]) for one in told} == {"{'door': 'B2'}"}
    assert {code.uid.hex() for code in smith.codes(other)} == kept
    kinds = ("access-code-report", "access-code-removal", "detach")
    assert smith.fleet.read(jobs.list_jobs, smith.here, kinds, ("failed",), b"", 10)[0] == []


@pytest.mark.parametrize("then", [a_deprovisioned, a_deleted, a_moved, an_orphaned, a_handed_over])
def test_codes_of_a_lock_go_that_leaves_while_its_account_is_being_deleted(
    smith: Locksmith, then: Callable[..., None]
) -> None:
    smith.account = smith.an_account(region="north")
    first, lock = smith.lock(), smith.lock(door="B2")
    for one in (first, lock):
        smith.report(one, *several(60))
    before = len(smith.told())
    a_cut_off(smith, lock)
    assert len(smith.codes(lock)) == 60
    then(smith, lock)
    smith.runner().run_pending()
    assert smith.codes(first) == smith.codes(lock) == []
    assert smith.balance() == set()
    told = smith.told()[before:]
    assert {str(one["connected_account_custom_metadata"]) for one in told} == {"{'region': 'north'}"}


def test_lock_that_is_given_another_account_keeps_its_codes(smith: Locksmith) -> None:
    lock = smith.lock()
    smith.report(lock, CLEANING)
    a_handed_over(smith, lock)
    assert smith.names(lock) == ["17"]
    assert smith.report(lock, CLEANING) == Counts()


def test_locks_leave_and_wait_for_their_codes_to_go_however_many_jobs_there_are(
    smith: Locksmith, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = smith.lock(), smith.lock()
    for lock in (one, other):
        smith.report(lock, *several(150))
    smith.runner().run_pending()
    monkeypatch.setattr(jobs, "MOST_UNFINISHED", 1)
    for lock in (one, other):
        an_orphaned(smith, lock)
    patch = SettingsPatch(connected_account_uid=smith.account.uid)
    smith.fleet.write(releasing.update, smith.here, other.uid, None, patch)
    with pytest.raises(Conflict, match="still being removed"):
        smith.report(other, CLEANING)
    smith.runner().run_pending()
    assert smith.codes(one) == smith.codes(other) == []
    assert smith.balance() == set()


def test_report_waits_until_the_codes_of_an_earlier_time_are_gone(smith: Locksmith) -> None:
    lock = smith.lock()
    smith.report(lock, *several(150))
    smith.runner().run_pending()
    an_orphaned(smith, lock)
    patch = SettingsPatch(connected_account_uid=smith.account.uid)
    smith.fleet.write(releasing.update, smith.here, lock.uid, None, patch)
    with pytest.raises(Conflict, match="still being removed"):
        smith.report(lock, *several(50, start=100))
    smith.runner().run_pending()
    assert smith.codes(lock) == []
    assert smith.report(lock, *several(50, start=100)) == Counts(discovered=50)
    assert smith.balance() == {code.uid.hex() for code in smith.codes(lock)}


# -- long reports ---------------------------------------------------------------------------------------------------


def begun(outcome: Any) -> Job:
    assert isinstance(outcome, Job), outcome
    return outcome


def test_long_report_is_a_job_that_comes_to_the_same(smith: Locksmith) -> None:
    lock = smith.lock()
    smith.report(lock, *several(50))
    at = smith.time.wall
    codes = [{"name": "no id"}, *several(40, name="new name"), *several(150, start=60)]
    job = begun(smith.report(lock, *codes, at=at))
    assert (job.kind, job.state, job.total) == ("access-code-report", "queued", 200)
    assert smith.names(lock) == [f"id-{n:06}" for n in range(50)]
    smith.runner().run_pending()
    done = smith.job(job)
    assert (done.state, done.done, done.total) == ("succeeded", 200, 200)
    assert done.result == {
        "discovered": 150, "vanished": 10, "changed": 40, "unchanged": 0, "refused": 1, "overtaken": False,
    }  # fmt: skip
    rows, _ = smith.fleet.read(jobs.rows, smith.here, job.uid, None, 0, 10)
    assert [(row.number, row.outcome, row.detail["reason"]) for row in rows] == [(1, "refused", "identifier-required")]
    assert sorted(filter(None, smith.names(lock))) == [f"id-{n:06}" for n in (*range(40), *range(60, 210))]
    assert smith.balance() == {code.uid.hex() for code in smith.codes(lock)}
    assert {body["occurred_at"] for body in smith.told()} == {print_milliseconds(at)}
    assert list(jobs.read_inputs(smith.fleet.store.read, smith.here, job.uid, 0)) == []


def test_report_of_nothing_but_refusals_tells_of_each_in_the_job(smith: Locksmith) -> None:
    lock = smith.lock()
    job = begun(smith.report(lock, *[{"name": f"{n}"} for n in range(1000)]))
    smith.runner().run_pending()
    assert smith.job(job).result["refused"] == 1000
    rows, more = smith.fleet.read(jobs.rows, smith.here, job.uid, None, 0, 10_000)
    assert ([row.number for row in rows], more) == (list(range(1, 1001)), None)


def cut_after(runner: Runner, chunks: int) -> None:
    """Let a runner die in front of the chunk behind so many, its lease being given back."""
    done = 0
    real = _Run.apply

    def apply(run: Any, chunk: Any) -> bool:
        nonlocal done
        if done == chunks:
            run.give_back()
            raise KeyboardInterrupt
        done += 1
        return real(run, chunk)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(_Run, "apply", apply)
        with pytest.raises(KeyboardInterrupt):
            runner.run_pending()


def test_job_that_is_cut_off_goes_on_and_counts_each_code_once(smith: Locksmith) -> None:
    lock = smith.lock()
    job = begun(smith.report(lock, *several(250)))
    cut_after(smith.runner(), 2)
    assert len(smith.codes(lock)) == 2 * CHANGES_AT_ONCE
    smith.runner().run_pending()
    done = smith.job(job)
    assert (done.state, done.done, done.result["discovered"], done.result["unchanged"]) == ("succeeded", 250, 250, 0)
    assert smith.balance() == {code.uid.hex() for code in smith.codes(lock)}


def test_newer_complete_report_overtakes_a_job(smith: Locksmith) -> None:
    lock = smith.lock()
    job = begun(smith.report(lock, *several(250)))
    cut_after(smith.runner(), 1)
    assert smith.report(lock, CLEANING) == Counts(discovered=1, vanished=CHANGES_AT_ONCE)
    smith.runner().run_pending()
    done = smith.job(job)
    assert (done.state, done.result["overtaken"], done.done) == ("succeeded", True, CHANGES_AT_ONCE)
    assert smith.names(lock) == ["17"]
    assert smith.balance() == {code.uid.hex() for code in smith.codes(lock)}


def test_partial_report_waits_behind_a_job_and_takes_nothing_from_it(smith: Locksmith) -> None:
    lock = smith.lock()
    first = begun(smith.report(lock, *several(150)))
    second = begun(smith.report(lock, *several(1, name="newer"), complete=False))
    smith.runner().run_pending()
    assert [smith.job(job).state for job in (first, second)] == ["succeeded"] * 2
    codes = smith.codes(lock)
    assert len(codes) == 150
    assert [code.name for code in codes if code.external_id == "id-000000"] == ["newer"]


def test_job_whose_input_came_before_that_of_an_earlier_report_begins_anew(smith: Locksmith) -> None:
    lock = smith.lock()
    early = new_uid()
    begun(smith.report(lock, *several(150)))
    late = smith.plan(lock, smith.read(lock, *several(150, name="newer")))
    assert smith.begin(lock, late, early) == Postponed(comparison_is_stale=True)


def test_job_fails_when_the_device_loses_its_account_meanwhile(smith: Locksmith) -> None:
    lock = smith.lock()
    job = begun(smith.report(lock, *several(150)))
    an_orphaned(smith, lock)
    smith.runner().run_pending()
    assert smith.job(job).state == "failed"
    assert smith.codes(lock) == []
    assert smith.balance() == set()


def test_plan_counts_only_while_nothing_came_between(smith: Locksmith) -> None:
    lock = smith.lock()
    stale = smith.plan(lock, smith.read(lock, CLEANING, GUEST))
    smith.report(lock, CLEANING, at=smith.time.wall)
    told = smith.told()
    assert smith.apply(lock, stale) == Postponed(comparison_is_stale=True)
    assert smith.told() == told


# -- races and sequences --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [5, 130])
def test_two_racing_reports_end_in_the_state_of_the_newer(smith: Locksmith, size: int) -> None:
    lock = smith.lock()
    older = smith.read(lock, *several(size), at=smith.time.wall)
    newer = smith.read(lock, *several(size, start=size // 2, name="newer"), at=smith.time.wall + SECOND)
    failures: list[BaseException] = []
    start = threading.Barrier(2)

    def send(report: Any) -> None:
        try:
            start.wait()
            while True:
                plan = smith.plan(lock, report)
                if plan.is_long:
                    outcome = smith.begin(lock, plan)
                    if not isinstance(outcome, Postponed):
                        return
                elif not isinstance(smith.apply(lock, plan), Postponed):
                    return
        except BaseException as error:
            failures.append(error)
            raise

    threads = [threading.Thread(target=send, args=(report,)) for report in (older, newer)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    smith.runner().run_pending()
    codes = smith.codes(lock)
    assert sorted(str(code.external_id) for code in codes) == [f"id-{n:06}" for n in range(size // 2, size // 2 + size)]
    assert {code.name for code in codes} == {"newer"}
    assert smith.balance() == {code.uid.hex() for code in codes}


_IDS = st.sampled_from("abcdef")
_HELD = st.dictionaries(_IDS, st.tuples(st.sampled_from(["1", "22", "333"]), st.sampled_from([None, "x", "y"])))
_REPORTS = st.lists(st.tuples(st.booleans(), _HELD, st.integers(-2, 3)), max_size=6)


@given(reports=_REPORTS, limit=st.sampled_from([0, 100]))
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
def test_created_minus_removed_is_what_the_lock_holds_whatever_it_reports(
    smith: Locksmith, reports: list[tuple[bool, dict[str, tuple[str, str | None]], int]], limit: int
) -> None:
    smith = Locksmith(smith.fleet.store, smith.time)
    lock = smith.lock()
    held: dict[str, str | None] = {}
    latest = 0
    with pytest.MonkeyPatch.context() as patched:
        # With 0 every report that changes anything is a job.
        patched.setattr("heliograph.access_codes.actions.MOST_AT_ONCE", limit)
        for complete, codes, hurry in reports:
            at = smith.time.wall + hurry * SECOND
            # One PIN for each: the same twice is refused before it gets here.
            sent = [
                {"externalId": id, "code": pin + str(ord(id))} | ({} if name is None else {"name": name})
                for id, (pin, name) in codes.items()
            ]
            smith.report(lock, *sent, complete=complete, at=at)
            smith.runner().run_pending()
            if at < latest:
                continue
            latest = at
            kept = {} if complete else held
            held = kept | {id: pin + str(ord(id)) for id, (pin, _) in codes.items()}
            known = smith.codes(lock)
            assert {code.external_id: smith.pin_of(code) for code in known} == held
            assert smith.balance() == {code.uid.hex() for code in known}


def test_partial_report_reads_no_codes_but_those_that_it_names(smith: Locksmith) -> None:
    lock, other = smith.lock(), smith.lock()
    held = [{"externalId": f"s{n}", "code": str(1000 + n)} for n in range(600)]
    put(smith, lock, held)
    smith.report(other, {"externalId": "s1", "code": "1002"}, {"code": "1003"})
    report = smith.read(lock, {"externalId": "s1", "name": "new"}, {"externalId": "x", "code": "1002"}, complete=False)
    survey = smith.fleet.read(actions.survey, smith.here, lock.uid, report)
    assert [code.external_id for code in survey.known] == ["s1", "s2"]
    code = smith.managed_code(lock, pin="9998")
    smith.update(code, pin="9999")
    asked = smith.read(lock, {"code": "9999"}, complete=False)
    assert [one.uid for one in smith.fleet.read(actions.survey, smith.here, lock.uid, asked).known] == [code.uid]
    many = smith.read(lock, *held[:450], complete=False)
    survey = smith.fleet.read(actions.survey, smith.here, lock.uid, many)
    assert {code.external_id for code in survey.known} == {code["externalId"] for code in held[:450]}
    assert actions.plan(survey, many).steps == ()
    assert len(smith.fleet.read(actions.survey, smith.here, lock.uid, smith.read(lock)).known) == 601


def put(smith: Locksmith, lock: Device, held: list[dict[str, str]]) -> None:
    """Let a lock hold codes, as if it had reported them long ago."""
    codes = [
        AccessCode(
            uid=new_uid(), device_uid=lock.uid, managed=False, status="set", type="ongoing", created_at=1, updated_at=1,
            external_id=one["externalId"], pin_index=smith.pins.index(lock.uid, one["code"]),
        )
        for one in held
    ]  # fmt: skip
    for start in range(0, len(codes), 300):
        smith.fleet.write(store_of_codes.insert_codes, smith.here, codes[start : start + 300])
