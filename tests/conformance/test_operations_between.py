"""Operations on both databases, and what comes between: reports, other requests, locks that leave, and time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from heliograph.access_codes import actions, completing, requests
from heliograph.access_codes.actions import Late, Postponed
from heliograph.access_codes.applying import Counts
from heliograph.access_codes.changes import CodeWish, read_request
from heliograph.connected_accounts import actions as accounts
from heliograph.devices.actions import SettingsPatch
from heliograph.errors import Conflict
from heliograph.ids import Secret, as_uuid
from heliograph.operations import actions as operations
from heliograph.operations.model import Completion
from heliograph.provisioning import releasing
from tests.conformance.locks import CONNECTOR, PATIENCE, SECOND, Locksmith, plain
from tests.conformance.provisioned import of_system
from tests.conformance.stores import PATIENCE as SAFETY_SECONDS
from tests.conformance.stores import Gate, Waiters, queue

if TYPE_CHECKING:
    from collections.abc import Callable

    from heliograph.access_codes.model import AccessCode
    from heliograph.devices.model import Device
    from heliograph.operations.model import Operation
    from heliograph.storage.engine import Engine, Transaction
    from heliograph.storage.store import Store
    from tests.conformance.stores import HandClock

DAY = 86_400 * SECOND
CLEANING = {"externalId": "17", "code": "4711", "name": "Cleaning"}


@pytest.fixture
def engine(shared_engine: Engine) -> Engine:
    return shared_engine


@pytest.fixture
def smith(store: Store, time: HandClock) -> Locksmith:
    return Locksmith(store, time)


def ended(smith: Locksmith, *asked: Operation | None) -> set[tuple[str, bytes | None]]:
    """Return state and kept PIN of operations, which nobody is offered any more."""
    assert smith.take() == []
    found = [smith.operation(one.uid) for one in asked if one is not None]
    return {(one.state, read_request(one.request).code.sealed_pin) for one in found}


CANCELLED: set[tuple[str, bytes | None]] = {("cancelled", None)}


# -- what it was about goes -----------------------------------------------------------------------------------------


def test_operations_about_codes_that_vanish_are_cancelled(smith: Locksmith) -> None:
    lock = smith.lock()
    codes = [smith.a_code(lock, externalId=f"{n}", code=f"{n}000") for n in (1, 2)]
    asked = [smith.convert(codes[0]), smith.remove(codes[1])]
    smith.take()
    assert smith.report(lock) == Counts(vanished=2)
    assert ended(smith, *asked) == CANCELLED
    with pytest.raises(Conflict, match="was cancelled"):
        smith.complete(asked[0])
    assert smith.types() == ["unmanaged.created"] * 2 + ["unmanaged.removed"] * 2


def a_deprovisioned(smith: Locksmith, lock: Device) -> None:
    smith.fleet.write(releasing.deprovision, smith.here, lock.uid, None)


def a_deleted(smith: Locksmith, lock: Device) -> None:
    smith.fleet.write(releasing.delete, smith.here, lock.uid, None)


def a_moved(smith: Locksmith, lock: Device) -> None:
    smith.fleet.write(releasing.move, smith.here, smith.fleet.there, lock.uid, None)


def an_orphaned(smith: Locksmith, lock: Device) -> None:
    smith.fleet.write(releasing.update, smith.here, lock.uid, None, SettingsPatch(connected_account_uid=None))


def a_cut_off(smith: Locksmith, lock: Device) -> None:
    del lock
    smith.fleet.write(releasing.delete_connected_account, smith.here, smith.account.uid, None)


LEAVE = [a_deprovisioned, a_deleted, a_moved, an_orphaned, a_cut_off]


def many(smith: Locksmith, lock: Device, count: int) -> list[Operation | None]:
    """Have as much under way about so many codes as can be: conversions, removals, and a code that is being set."""
    report = [{"externalId": f"id-{n:06}", "code": f"{100_000 + n}"} for n in range(count)]
    smith.report(lock, *report)
    smith.runner().run_pending()
    codes = smith.codes(lock)
    return [smith.create(lock)[1], *(smith.convert(one) for one in codes[:2]), *map(smith.remove, codes[-2:])]


@pytest.mark.parametrize("count", [4, 230])
@pytest.mark.parametrize("leave", LEAVE)
def test_operations_of_a_lock_that_leaves_are_cancelled(
    smith: Locksmith, leave: Callable[..., None], count: int
) -> None:
    smith.account = smith.an_account()
    lock = smith.lock()
    asked = many(smith, lock, count)
    smith.take()
    leave(smith, lock)
    smith.runner().run_pending()
    assert ended(smith, *asked) == CANCELLED
    assert smith.codes(lock) == []
    assert smith.types()[-count - 1 :].count("deleted") == 1
    smith.time.wall += PATIENCE
    assert smith.expire() == 0


@pytest.mark.parametrize("end", ["completed", "overdue"])
@pytest.mark.parametrize("leave", [a_deleted, an_orphaned, a_cut_off])
def test_operation_that_ends_while_the_codes_are_being_removed_is_cancelled(
    smith: Locksmith, leave: Callable[..., None], end: str
) -> None:
    smith.account = smith.an_account()
    lock = smith.lock()
    setting, *_, removing = many(smith, lock, 110)
    smith.take()
    leave(smith, lock)
    assert smith.codes(lock) != []
    before = len(smith.told())
    for asked in (setting, removing):
        assert asked is not None
        assert (smith.complete(asked) if end == "completed" else smith.silent(asked)).state == "cancelled"
    assert smith.told()[before:] == []
    smith.runner().run_pending()
    assert smith.codes(lock) == []
    assert set(smith.types()[before:]) == {"unmanaged.removed", "deleted"}
    assert ended(smith, setting, removing) == CANCELLED


def test_operation_of_a_lock_with_a_new_account_ends_though_the_old_one_is_deleted(smith: Locksmith) -> None:
    old, new = smith.account, smith.an_account(region="south")
    lock = smith.lock()
    code, asked = smith.create(lock)
    smith.fleet.write(releasing.update, smith.here, lock.uid, None, SettingsPatch(connected_account_uid=new.uid))
    smith.fleet.write(releasing.delete_connected_account, smith.here, old.uid, None)
    smith.silent(asked)
    assert smith.code(code.uid).status == "unset"
    body = smith.told()[-1]
    assert (body["event_type"], body["connected_account_id"]) == (
        "access_code.failed_to_set_on_device", as_uuid(new.uid),
    )  # fmt: skip
    assert body["connected_account_custom_metadata"] == {"region": "south"}


# -- reports --------------------------------------------------------------------------------------------------------


def test_report_that_comes_before_the_completion_says_nothing_of_what_is_under_way(smith: Locksmith) -> None:
    lock = smith.lock()
    code = smith.managed_code(lock, name="Guest")
    _, asked = smith.update(code, name="Night", pin="0815")
    smith.take()
    assert smith.report(lock, {"externalId": "1", "code": "4711", "name": "Mine"}) == Counts(changed=1)
    assert smith.report(lock) == Counts()
    assert asked is not None
    smith.complete(asked)
    after = smith.code(code.uid)
    assert (after.external_id, after.name, smith.pin_of(after), after.status) == ("1", "Night", "0815", "set")
    assert "modified_external_to_seam" not in smith.types()


@pytest.mark.parametrize("what", ["convert", "update", "remove"])
def test_report_from_before_a_completion_is_late(smith: Locksmith, what: str) -> None:
    lock = smith.lock()
    code = smith.a_code(lock) if what == "convert" else smith.managed_code(lock, name="Guest")
    asks: dict[str, Callable[[], Operation | None]] = {
        "convert": lambda: smith.convert(code),
        "update": lambda: smith.update(code, name="Night")[1],
        "remove": lambda: smith.remove(code),
    }
    asked = asks[what]()
    seen = smith.time.wall
    smith.done(asked)
    settled, told, codes = smith.time.wall, smith.told(), smith.codes(lock)
    assert smith.report(lock, CLEANING | {"name": "Guest"}, at=seen) == Late(settled)
    assert smith.report(lock, at=settled - 1) == Late(settled)
    assert (smith.told(), smith.codes(lock)) == (told, codes)
    assert not isinstance(smith.report(lock, at=settled), Late)


def test_failure_makes_no_report_late(smith: Locksmith) -> None:
    lock = smith.lock()
    code = smith.a_code(lock)
    asked = smith.convert(code)
    seen = smith.time.wall
    smith.done(asked, errors=["device_rejected"])
    assert smith.report(lock, at=seen) == Counts(vanished=1)


@pytest.mark.parametrize("reported_first", [False, True])
def test_report_and_conversion_that_cross_leave_one_history(smith: Locksmith, reported_first: bool) -> None:
    lock = smith.lock()
    code = smith.a_code(lock)
    asked = smith.convert(code)
    smith.take()
    plan = smith.plan(lock, smith.read(lock, CLEANING | {"name": "Mine"}))
    if reported_first:
        assert smith.apply(lock, plan) == Counts(changed=1)
        smith.complete(asked)
        assert smith.types() == ["unmanaged.created", "unmanaged.converted_to_managed"]
    else:
        smith.complete(asked)
        assert isinstance(smith.apply(lock, plan), Late)
        assert smith.report(lock, CLEANING | {"name": "Mine"}) == Counts(changed=1)
        assert smith.types()[1:] == ["unmanaged.converted_to_managed", "modified_external_to_seam"]
    assert (smith.code(code.uid).name, smith.code(code.uid).managed) == ("Mine", True)


@pytest.mark.parametrize("reported_first", [False, True])
def test_vanished_code_and_its_conversion_that_cross_leave_one_history(smith: Locksmith, reported_first: bool) -> None:
    lock = smith.lock()
    code = smith.a_code(lock)
    asked = smith.convert(code)
    smith.take()
    if reported_first:
        smith.report(lock)
        with pytest.raises(Conflict, match="was cancelled"):
            smith.complete(asked)
        assert smith.types()[1:] == ["unmanaged.removed"]
    else:
        smith.complete(asked)
        smith.report(lock)
        assert smith.types()[1:] == ["unmanaged.converted_to_managed", "deleted_external_to_seam"]


def test_report_that_was_compared_before_a_request_is_compared_again(smith: Locksmith) -> None:
    lock = smith.lock()
    code = smith.managed_code(lock)
    smith.time.wall += SECOND
    plan = smith.plan(lock, smith.read(lock, {"code": "4711", "name": "Mine"}))
    smith.update(code, name="Night")
    assert smith.apply(lock, plan) == Postponed(comparison_is_stale=True)


def test_job_of_an_older_report_does_not_undo_what_was_settled_since(smith: Locksmith) -> None:
    lock = smith.lock()
    code = smith.managed_code(lock, name="Guest")
    more = [{"externalId": f"id-{n:06}"} for n in range(150)]
    job = smith.report(lock, {"externalId": "1", "code": "4711", "name": "Guest"}, *more)
    _, asked = smith.update(code, name="Night")
    smith.done(asked)
    smith.runner().run_pending()
    assert smith.job(job).state == "succeeded"
    after = smith.code(code.uid)
    assert (after.name, after.external_id, after.status) == ("Night", "1", "set")
    assert "modified_external_to_seam" not in smith.types()


@pytest.mark.parametrize(
    ("shown", "said"),
    [({"externalId": "42"}, {"external_id": "42"}), ({"externalId": "42", "code": "0815"}, {}), ({"code": "0815"}, {})],
)
def test_code_that_a_lock_showed_as_another_before_the_completion_is_one(
    smith: Locksmith, shown: dict[str, str], said: dict[str, Any]
) -> None:
    lock = smith.lock()
    code = smith.managed_code(lock)
    _, asked = smith.update(code, pin="0815")
    smith.take()
    assert smith.report(lock, shown, complete=False) == Counts(discovered=1)
    assert asked is not None
    smith.complete(asked, **said)
    (after,) = smith.codes(lock)
    assert (after.uid, smith.pin_of(after)) == (code.uid, "0815")
    assert smith.balance() == set()
    smith.report(lock, shown)
    assert [one.uid for one in smith.codes(lock)] == [code.uid]
    assert "deleted_external_to_seam" not in smith.types()


def test_id_of_another_managed_code_is_refused(smith: Locksmith) -> None:
    lock = smith.lock()
    _, first = smith.create(lock, pin="1000")
    smith.done(first, external_id="1")
    code, second = smith.create(lock, pin="2000")
    with pytest.raises(Conflict, match="has this externalId"):
        smith.done(second, external_id="1")
    assert smith.complete(second, external_id="2").state == "succeeded"
    assert smith.code(code.uid).external_id == "2"


# -- requests that race, groups that fail ---------------------------------------------------------------------------


def convert(smith: Locksmith, code: AccessCode) -> Callable[[Transaction], Operation]:
    return lambda tx: requests.convert(
        tx, smith.here, code.uid, force=False, external_modification_allowed=False, patience=PATIENCE
    )


def test_two_requests_to_convert_one_code_in_one_group_are_one_operation(smith: Locksmith) -> None:
    code = smith.a_code(smith.lock())
    waiters, tenants = Waiters(), [smith.here.tenant_id]
    gate = Gate(smith.fleet.store, waiters, tenants)
    asked = [queue(smith.fleet.store, waiters, convert(smith, code), tenants) for _ in range(2)]
    gate.open()
    first, second = (future.result(SAFETY_SECONDS) for future in asked)
    assert first == second
    assert [one.uid for one in smith.take()] == [first.uid]


def test_two_codes_with_the_same_digits_in_one_group_are_one(smith: Locksmith) -> None:
    lock = smith.lock()
    waiters, tenants = Waiters(), [smith.here.tenant_id]
    wish = CodeWish(pin=Secret("4711"))

    def create(tx: Transaction) -> Any:
        return requests.create(tx, smith.here, lock.uid, wish, smith.pins, PATIENCE)

    gate = Gate(smith.fleet.store, waiters, tenants)
    asked = [queue(smith.fleet.store, waiters, create, tenants) for _ in range(2)]
    gate.open()
    assert asked[0].result(SAFETY_SECONDS)[0].status == "setting"
    with pytest.raises(Conflict, match="these digits"):
        asked[1].result(SAFETY_SECONDS)
    assert len(smith.codes(lock)) == len(smith.take()) == 1
    assert smith.types() == ["created"]


def test_function_that_fails_leaves_neither_event_nor_operation(smith: Locksmith) -> None:
    lock = smith.lock()
    code, blocked = smith.a_code(lock), smith.a_code(lock, externalId="18", code="1", cannotBeManaged=True)
    before = (smith.told(), smith.codes(lock))

    def fails(tx: Transaction) -> None:
        convert(smith, code)(tx)
        assert convert(smith, blocked)(tx).state == "failed"
        requests.create(tx, smith.here, lock.uid, CodeWish(), smith.pins, PATIENCE)
        raise ValueError("something broke")

    with pytest.raises(ValueError, match="something broke"):
        smith.fleet.write(fails)
    assert (smith.told(), smith.codes(lock)) == before
    assert smith.take() == []
    for one in (code, blocked):
        assert smith.fleet.read(operations.list_about, smith.here, one.uid, b"", 9) == ([], None)


def test_completion_that_is_rolled_back_can_be_made_again(smith: Locksmith) -> None:
    code = smith.a_code(smith.lock())
    asked = smith.convert(code)
    smith.take()
    done = Completion(outcome="succeeded")

    def fails(tx: Transaction) -> None:
        completing.complete(tx, smith.here, asked.uid, CONNECTOR, done, smith.pins)
        raise ValueError("something broke")

    with pytest.raises(ValueError, match="something broke"):
        smith.fleet.write(fails)
    assert (smith.operation(asked.uid).state, smith.code(code.uid).managed) == ("pending", False)
    assert smith.complete(asked).state == "succeeded"
    assert smith.types() == ["unmanaged.created", "unmanaged.converted_to_managed"]


# -- time -----------------------------------------------------------------------------------------------------------


def test_operations_run_out_of_time_some_at_once(smith: Locksmith, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(completing, "EXPIRED_AT_ONCE", 3)
    lock = smith.lock()
    asked = [smith.create(lock, pin=f"{n}000")[1] for n in range(1, 8)]
    smith.time.wall = asked[6].deadline
    assert smith.expire() == 3
    assert {smith.operation(one.uid).state for one in asked} == {"failed"}
    told = [plain(one["access_code_id"]) for one in smith.told() if "failed" in one["event_type"]]
    assert told == [one.subject_uid.hex() for one in asked]


def test_step_of_the_chore_says_whether_more_is_overdue(smith: Locksmith, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(completing, "EXPIRED_AT_ONCE", 2)
    lock = smith.lock()
    asked = [smith.create(lock, pin=f"{n}000")[1] for n in range(1, 4)]
    smith.time.wall = asked[2].deadline
    assert [smith.fleet.write(completing.expire, of_system(smith.here)) for _ in range(2)] == [True, False]


def test_operations_that_ended_are_forgotten_after_their_days_and_no_others(
    smith: Locksmith, monkeypatch: pytest.MonkeyPatch
) -> None:
    uids = iter(range(1, 100))

    def at(day: int) -> None:
        """Let uids be as of this day: their first 48 bits are its milliseconds."""
        smith.time.wall = (30_000 + day) * DAY
        milliseconds = smith.time.wall // 1000
        monkeypatch.setattr(
            operations, "new_uid", lambda: milliseconds.to_bytes(6, "big") + bytes(9) + bytes([next(uids)])
        )

    lock = smith.lock()
    codes = [smith.a_code(lock, externalId=f"{n}", code=f"{n}000") for n in range(5)]
    at(0)
    old = [smith.convert(code) for code in codes[:4]]
    smith.take()
    smith.complete(old[0])
    smith.complete(old[1], errors=["device_rejected"])
    smith.fleet.write(
        actions.apply, smith.here, lock.uid, smith.plan(lock, _without(smith, lock, codes[2])), smith.pins
    )
    assert [smith.operation(one.uid).state for one in old] == ["succeeded", "failed", "cancelled", "pending"]
    at(1)
    young = smith.convert(codes[4])
    smith.done(young)
    at(31)

    def forget(limit: int) -> bool:
        more: bool = smith.fleet.write(operations.forget, of_system(smith.here), kept_days=30, limit=limit)
        return more

    assert [forget(2), forget(2), forget(2)] == [True, False, False]
    left = smith.fleet.read(lambda tx: [operations.list_about(tx, smith.here, code.uid, b"", 9)[0] for code in codes])
    assert [[one.uid for one in some] for some in left] == [[], [], [], [old[3].uid], [young.uid]]
    at(32)
    assert not forget(2)
    assert smith.fleet.read(operations.list_about, smith.here, codes[4].uid, b"", 9) == ([], None)


def _without(smith: Locksmith, lock: Device, gone: AccessCode) -> Any:
    rest = [{"externalId": code.external_id} for code in smith.codes(lock) if code.uid != gone.uid]
    return smith.read(lock, *rest)


def test_operations_about_a_code_are_listed_newest_first_in_pages(smith: Locksmith) -> None:
    code = smith.a_code(smith.lock())
    asked = []
    for _ in range(5):
        asked.append(smith.convert(code))
        smith.done(asked[-1], errors=["device_rejected"])
    pages, before = [], b""
    while True:
        page, last = smith.fleet.read(requests.list_operations, smith.here, code.uid, before, 2)
        pages.append([one.uid for one in page])
        if last is None:
            break
        before = last
    uids = [one.uid for one in asked][::-1]
    assert pages == [uids[:2], uids[2:4], uids[4:]]


# -- the PIN --------------------------------------------------------------------------------------------------------


def test_digits_are_nowhere_in_what_is_kept_of_operations(smith: Locksmith) -> None:
    canary = "7351984620"
    code = smith.managed_code(smith.lock(), pin=canary)
    _, asked = smith.update(code, pin=canary[::-1])
    kept = msgspec.json.encode([smith.operation(one.uid) for one in smith.take()] + [asked])
    smith.complete(asked, warnings=[("slow", f"It was {canary}.")])
    page = smith.fleet.read(requests.list_operations, smith.here, code.uid, b"", 10)[0]
    kept += msgspec.json.encode(page) + msgspec.json.encode(smith.told())
    for digits in (canary, canary[::-1]):
        assert digits.encode() not in kept
    assert {read_request(one.request).code.pin_index for one in page} == {None}


def test_reconnected_account_lets_a_conversion_go_on(smith: Locksmith) -> None:
    code = smith.a_code(smith.lock())
    smith.fleet.write(accounts.disconnect, smith.here, smith.account.uid, None)
    assert smith.convert(code).state == "failed"
    smith.fleet.write(accounts.reconnect, smith.here, smith.account.uid, None)
    assert smith.convert(code).state == "pending"
