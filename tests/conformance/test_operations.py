"""Operations on both databases: what connectors are given to do, and exactly what follows from what they say of it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from heliograph.access_codes import completing, requests
from heliograph.access_codes.applying import Counts
from heliograph.access_codes.causes import CAUSES
from heliograph.access_codes.changes import CodePatch, CodeWish, read_request
from heliograph.connected_accounts import actions as accounts
from heliograph.connected_accounts.actions import AccountPatch
from heliograph.devices.actions import SettingsPatch
from heliograph.errors import Conflict, Invalid, NotFound, PreconditionFailed, Unprocessable
from heliograph.ids import as_uuid, new_uid
from heliograph.operations import actions as operations
from heliograph.operations.model import Completion, Wanted
from heliograph.presence import actions as presence
from heliograph.presence.model import Complaint, Options, Report, SessionReport
from heliograph.provisioning import releasing
from heliograph.times import print_milliseconds
from tests.conformance.locks import CONNECTOR, LEASE, PATIENCE, SECOND, Locksmith

if TYPE_CHECKING:
    from collections.abc import Callable

    from heliograph.access_codes.model import AccessCode
    from heliograph.devices.model import Device
    from heliograph.operations.model import Operation
    from heliograph.storage.engine import Engine
    from heliograph.storage.store import Store
    from tests.conformance.stores import HandClock

OTHER = b"another connector's key".ljust(32, b"\0")
ARRAYS = (
    "access_code_errors", "access_code_warnings", "connected_account_errors", "connected_account_warnings",
    "device_errors", "device_warnings",
)  # fmt: skip
FAR = 100_000 * SECOND


@pytest.fixture
def engine(shared_engine: Engine) -> Engine:
    return shared_engine


@pytest.fixture
def smith(store: Store, time: HandClock) -> Locksmith:
    return Locksmith(store, time)


def news(smith: Locksmith, before: int) -> list[str]:
    """Return the types of the events about codes behind so many."""
    return smith.types()[before:]


def arrays(body: dict[str, Any]) -> dict[str, list[str]]:
    """Return the codes in those of the six arrays that are not empty."""
    assert set(ARRAYS) <= set(body)
    codes = {name: [one.get("error_code", one.get("warning_code")) for one in body[name]] for name in ARRAYS}
    return {name: found for name, found in codes.items() if found}


def goes_offline(smith: Locksmith, lock: Device, *errors: str, warnings: tuple[str, ...] = ()) -> None:
    said = Report(
        session=SessionReport("offline"),
        errors=tuple(Complaint(one, f"{one}.") for one in errors),
        warnings=tuple(Complaint(one, f"{one}.") for one in warnings),
    )
    device = smith.fleet.device(lock.uid)
    smith.fleet.write(presence.apply, smith.here, device, said, Options(low_battery=20, server_instance_uid="0" * 32))


# -- taking a code over ---------------------------------------------------------------------------------------------


def test_converted_code_is_managed_and_told_in_the_exact_body(smith: Locksmith) -> None:
    account = smith.an_account(region="north", vip=True)
    lock = smith.lock(account, door="B2-17", guests=True)
    code = smith.a_code(lock)
    asked = smith.convert(code, force=True, allowed=True)
    assert (asked.state, asked.kind, asked.attempts, asked.deadline) == (
        "pending", "convert_access_code", 0, asked.created_at + PATIENCE,
    )  # fmt: skip
    assert smith.types() == ["unmanaged.created"]
    patch = AccountPatch(custom_metadata={"region": "south"})
    smith.fleet.write(accounts.update, smith.here, account.uid, None, patch)
    patched = SettingsPatch(custom_metadata={"door": "B2-18"})
    smith.fleet.write(releasing.update, smith.here, lock.uid, None, patched)
    at = smith.time.wall - SECOND // 2
    ended = smith.done(asked, occurred_at=at, warnings=[("slow", "It took its time."), "quiet"])
    assert (ended.state, ended.occurred_at, ended.completed_at) == ("succeeded", at, smith.time.wall)
    assert [(one.code, one.message) for one in ended.warnings] == [("slow", "It took its time."), ("quiet", "")]
    assert smith.operation(asked.uid) == ended
    assert smith.told()[1:] == [
        {
            "access_code_id": as_uuid(code.uid),
            "connected_account_custom_metadata": {"region": "south"},
            "connected_account_id": as_uuid(account.uid),
            "device_custom_metadata": {"door": "B2-18"},
            "device_id": as_uuid(lock.uid),
            "event_type": "access_code.unmanaged.converted_to_managed",
            "occurred_at": print_milliseconds(at),
        }
    ]
    after = smith.code(code.uid)
    assert (after.managed, after.status, after.external_modification_allowed) == (True, "set", True)
    assert (after.settled_at, after.updated_at, after.version) == (at, smith.time.wall, code.version + 1)
    assert (after.external_id, after.name, smith.pin_of(after)) == ("17", "Cleaning", "4711")


def test_event_of_a_completion_without_a_time_has_that_of_its_record(smith: Locksmith) -> None:
    asked = smith.convert(smith.a_code(smith.lock()))
    assert smith.done(asked).occurred_at is None
    assert smith.told()[-1]["occurred_at"] == print_milliseconds(smith.time.wall)


def test_time_that_is_far_ahead_is_replaced_by_ours(smith: Locksmith) -> None:
    asked = smith.convert(smith.a_code(smith.lock()))
    smith.done(asked, occurred_at=smith.time.wall + FAR)
    assert smith.told()[-1]["occurred_at"] == print_milliseconds(smith.time.wall)


def cannot_be_managed(smith: Locksmith) -> AccessCode:
    return smith.a_code(smith.lock(), cannotBeManaged=True)


def unreadable(smith: Locksmith) -> AccessCode:
    return smith.a_code(smith.lock(), code=None)


def duplicate(smith: Locksmith) -> AccessCode:
    lock = smith.lock()
    smith.managed_code(lock)
    return smith.a_code(lock, externalId="18")


def disconnected(smith: Locksmith) -> AccessCode:
    smith.account = smith.an_account()
    code = smith.a_code(smith.lock())
    reason = Complaint("account_disconnected", "The password was changed.")
    smith.fleet.write(accounts.disconnect, smith.here, smith.account.uid, None, reason)
    return code


def offline(smith: Locksmith) -> AccessCode:
    lock = smith.lock()
    code = smith.a_code(lock)
    goes_offline(smith, lock)
    return code


@pytest.mark.parametrize(
    ("ground", "array", "cause"),
    [
        (cannot_be_managed, "access_code_errors", "cannot_be_managed"),
        (unreadable, "access_code_errors", "code_unreadable"),
        (disconnected, "connected_account_errors", "account_disconnected"),
        (offline, "device_errors", "device_offline"),
    ],
)
def test_conversion_fails_at_once_for_what_is_known_without_the_lock(
    smith: Locksmith, ground: Callable[[Locksmith], AccessCode], array: str, cause: str
) -> None:
    code = ground(smith)
    before = len(smith.told())
    failed = smith.convert(code)
    assert (failed.state, failed.attempts, failed.completed_at) == ("failed", 0, smith.time.wall)
    assert [one.code for one in failed.errors] == [cause]
    (body,) = smith.told()[before:]
    assert body["event_type"] == "access_code.unmanaged.failed_to_convert_to_managed"
    assert arrays(body) == {array: [cause]}
    assert body["occurred_at"] == print_milliseconds(smith.time.wall)
    assert smith.code(code.uid) == code
    assert smith.take() == []
    assert read_request(failed.request).code.sealed_pin is None


def test_conversion_of_digits_that_a_managed_code_has_fails_at_once(smith: Locksmith) -> None:
    lock = smith.lock()
    smith.report(lock, {"externalId": "1", "code": "4711"})
    ours = smith.managed_code(lock, pin="0815")
    (theirs,) = [one for one in smith.codes(lock) if one.uid != ours.uid]
    smith.report(lock, {"externalId": "1", "code": "0815"}, complete=False)
    failed = smith.convert(smith.code(theirs.uid))
    assert [one.code for one in failed.errors] == ["duplicate_code_on_device"]


def test_all_that_is_in_the_way_is_told_and_then_what_else_is_wrong(smith: Locksmith) -> None:
    account = smith.an_account()
    lock = smith.lock(account)
    code = smith.a_code(lock, cannotBeManaged=True, code=None)
    began = smith.time.wall
    patch = AccountPatch(
        errors=(Complaint("insufficient_permissions", "Ask for more."),),
        warnings=(Complaint("being_deleted", "Soon."),),
    )
    smith.fleet.write(accounts.update, smith.here, account.uid, None, patch)
    smith.fleet.write(accounts.disconnect, smith.here, account.uid, None)
    goes_offline(smith, lock, "hub_disconnected", "device_offline", warnings=("low_battery_soon",))
    failed = smith.convert(code)
    assert [one.code for one in failed.errors] == [
        "cannot_be_managed", "code_unreadable", "account_disconnected", "device_offline",
    ]  # fmt: skip
    body = smith.told()[-1]
    assert arrays(body) == {
        "access_code_errors": ["cannot_be_managed", "code_unreadable"],
        "connected_account_errors": ["account_disconnected", "insufficient_permissions"],
        "connected_account_warnings": ["being_deleted"],
        "device_errors": ["device_offline", "hub_disconnected"],
        "device_warnings": ["low_battery_soon"],
    }
    assert body["connected_account_errors"][1] == {
        "created_at": print_milliseconds(began), "error_code": "insufficient_permissions", "message": "Ask for more.",
    }  # fmt: skip
    assert body["device_errors"][0] == {
        "created_at": print_milliseconds(smith.time.wall), "error_code": "device_offline",
        "message": "The lock is offline.",
    }  # fmt: skip


@pytest.mark.parametrize("cause", CAUSES, ids=lambda cause: cause.error_code)
def test_cause_that_a_connector_names_stands_in_its_array(smith: Locksmith, cause: Any) -> None:
    code = smith.a_code(smith.lock(door="B2"))
    at = smith.time.wall
    ended = smith.done(smith.convert(code), errors=[cause.error_code], occurred_at=at)
    assert (ended.state, [(one.code, one.message) for one in ended.errors]) == (
        "failed", [(cause.error_code, cause.message)],
    )  # fmt: skip
    body = smith.told()[-1]
    item = {"created_at": print_milliseconds(at), "error_code": cause.error_code, "message": cause.message}
    assert body == {
        "access_code_id": as_uuid(code.uid),
        "connected_account_custom_metadata": {},
        "connected_account_id": as_uuid(smith.account.uid),
        "device_custom_metadata": {"door": "B2"},
        "device_id": as_uuid(code.device_uid),
        "event_type": "access_code.unmanaged.failed_to_convert_to_managed",
        "occurred_at": print_milliseconds(at),
        **{name: [] for name in ARRAYS},
        f"{cause.subject}_errors": [item],
    }
    assert smith.code(code.uid) == code


def test_unknown_cause_is_kept_with_the_connectors_words_and_warnings(smith: Locksmith) -> None:
    asked = smith.convert(smith.a_code(smith.lock()))
    smith.done(
        asked, errors=[("moon_phase", "It is waning."), "hub_disconnected"], warnings=[("sleepy", "It yawned.")]
    )  # fmt: skip
    body = smith.told()[-1]
    assert arrays(body) == {
        "access_code_errors": ["moon_phase"], "access_code_warnings": ["sleepy"], "device_errors": ["hub_disconnected"],
    }  # fmt: skip
    assert (body["access_code_errors"][0]["message"], body["access_code_warnings"][0]["message"]) == (
        "It is waning.", "It yawned.",
    )  # fmt: skip


def test_failure_without_an_error_counts_as_rejected(smith: Locksmith) -> None:
    ended = smith.done(smith.convert(smith.a_code(smith.lock())), outcome="failed")
    assert [one.code for one in ended.errors] == ["device_rejected"]
    assert arrays(smith.told()[-1]) == {"access_code_errors": ["device_rejected"]}


@pytest.mark.parametrize("taken", [False, True])
def test_conversion_that_nobody_completes_fails_after_its_time(smith: Locksmith, taken: bool) -> None:
    code = smith.a_code(smith.lock())
    asked = smith.convert(code)
    if taken:
        smith.take()
    smith.time.wall = asked.deadline - 1
    assert smith.expire() == 0
    ended = smith.silent(asked)
    assert (ended.state, [one.code for one in ended.errors]) == ("failed", ["operation_timed_out"])
    assert (ended.completion, ended.occurred_at) == (None, None)
    assert arrays(smith.told()[-1]) == {"access_code_errors": ["operation_timed_out"]}
    assert smith.code(code.uid) == code
    assert smith.convert(code).state == "pending"


def test_managed_code_is_not_converted_and_a_conversion_is_asked_for_once(smith: Locksmith) -> None:
    lock = smith.lock()
    code = smith.a_code(lock)
    asked = smith.convert(code)
    assert smith.convert(code) == asked
    with pytest.raises(Conflict, match="Another change"):
        smith.convert(code, force=True)
    with pytest.raises(Conflict, match="Another change"):
        smith.remove(code)
    smith.done(asked)
    with pytest.raises(Conflict, match="managed already"):
        smith.convert(code)


def test_same_request_is_known_though_the_lock_showed_the_code_otherwise_meanwhile(smith: Locksmith) -> None:
    lock = smith.lock()
    one, other = smith.a_code(lock), smith.a_code(lock, externalId="18", code="0815")
    asked, removal = smith.convert(one), smith.remove(other)
    names = ({"externalId": "17", "name": "Night"}, {"externalId": "18", "name": "Day"})
    assert smith.report(lock, *names) == Counts(changed=2)
    assert smith.convert(one) == asked
    assert smith.remove(other) == removal


# -- leases ---------------------------------------------------------------------------------------------------------


def test_operation_is_offered_to_one_until_its_lease_ends_and_then_again(smith: Locksmith) -> None:
    asked = smith.convert(smith.a_code(smith.lock()))
    (taken,) = smith.take()
    assert (taken.uid, taken.holder, taken.leased_until, taken.attempts) == (
        asked.uid, CONNECTOR, smith.time.wall + LEASE, 1,
    )  # fmt: skip
    assert smith.operation(asked.uid) == taken
    smith.time.wall += LEASE - 1
    assert smith.take(OTHER) == []
    assert not smith.fleet.read(operations.are_offered, smith.here, Wanted())
    smith.time.wall += 1
    assert smith.fleet.read(operations.are_offered, smith.here, Wanted())
    (again,) = smith.take(OTHER)
    assert (again.uid, again.holder, again.attempts) == (asked.uid, OTHER, 2)
    with pytest.raises(Conflict, match="not given to this key"):
        smith.complete(asked)
    assert smith.complete(asked, OTHER).state == "succeeded"


def test_lease_that_ended_is_still_good_while_nobody_else_took_it(smith: Locksmith) -> None:
    asked = smith.convert(smith.a_code(smith.lock()))
    smith.take()
    smith.time.wall += 2 * LEASE
    assert smith.complete(asked).state == "succeeded"


def test_nothing_is_offered_after_its_time(smith: Locksmith) -> None:
    asked = smith.convert(smith.a_code(smith.lock()))
    smith.time.wall = asked.deadline - 1
    assert smith.fleet.read(operations.are_offered, smith.here, Wanted())
    smith.time.wall = asked.deadline
    assert smith.take() == []


def test_oldest_come_first_and_as_many_as_are_wanted(smith: Locksmith) -> None:
    lock = smith.lock()
    asked = [smith.create(lock, pin=f"{n}000")[1].uid for n in range(1, 6)]
    assert [one.uid for one in smith.take(limit=2)] == asked[:2]
    assert [one.uid for one in smith.take(limit=100)] == asked[2:]


def test_connector_takes_what_is_to_be_done_at_its_own_locks(smith: Locksmith) -> None:
    elsewhere = smith.an_account()
    locks = [smith.lock(), smith.lock(), smith.lock(elsewhere)]
    asked = {lock.uid: smith.create(lock)[1].uid for lock in locks}
    assert smith.take(device_uids=(locks[0].uid,), account_uids=(elsewhere.uid,)) == []
    assert smith.take(device_uids=(new_uid(),)) == []
    assert [one.uid for one in smith.take(account_uids=(elsewhere.uid,))] == [asked[locks[2].uid]]
    assert [one.uid for one in smith.take(device_uids=(locks[1].uid, new_uid()))] == [asked[locks[1].uid]]
    assert [one.uid for one in smith.take()] == [asked[locks[0].uid]]


def test_operations_of_another_organization_are_out_of_reach(smith: Locksmith) -> None:
    asked = smith.convert(smith.a_code(smith.lock()))
    there = smith.fleet.there
    assert smith.fleet.write(operations.take, there, Wanted(), holder=OTHER, lease=LEASE, limit=9) == []
    done = Completion(outcome="succeeded")
    for scope, uid in ((there, asked.uid), (smith.here, new_uid())):
        with pytest.raises(NotFound, match=r"There is no such operation\."):
            smith.fleet.read(operations.get, scope, uid)
        with pytest.raises(NotFound, match=r"There is no such operation\."):
            smith.fleet.write(completing.complete, scope, uid, CONNECTOR, done, smith.pins)


def test_connectors_that_take_at_once_get_different_operations(smith: Locksmith) -> None:
    lock = smith.lock()
    asked = {smith.create(lock, pin=f"{1000 + n}")[1].uid for n in range(24)}
    connectors = [bytes([n]) * 32 for n in range(6)]
    with ThreadPoolExecutor(len(connectors)) as pool:
        taken = list(pool.map(lambda holder: smith.take(holder, limit=5), connectors))
    uids = [one.uid for some in taken for one in some]
    assert len(uids) == len(set(uids)) == 24
    assert set(uids) == asked
    assert all(one.holder == holder for holder, some in zip(connectors, taken, strict=True) for one in some)


# -- completing -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("said", [{}, {"errors": ["device_rejected"]}, {"occurred_at": 5, "warnings": ["slow"]}])
def test_same_completion_again_returns_the_first_result(smith: Locksmith, said: dict[str, Any]) -> None:
    asked = smith.convert(smith.a_code(smith.lock()))
    first = smith.done(asked, **dict(said))
    told = smith.told()
    assert smith.complete(asked, **dict(said)) == first
    assert smith.told() == told


@pytest.mark.parametrize(
    "other",
    [
        {"errors": ["device_rejected"]},
        {"occurred_at": 6, "warnings": ["slow"]},
        {"occurred_at": 5},
        {"occurred_at": 5, "warnings": ["slow"], "external_id": "9"},
        {"occurred_at": 5, "warnings": [("slow", "")]},
    ],
)
def test_other_completion_of_what_ended_is_refused(smith: Locksmith, other: dict[str, Any]) -> None:
    asked = smith.convert(smith.a_code(smith.lock()))
    first = smith.done(asked, occurred_at=5, warnings=["slow"])
    with pytest.raises(Conflict, match="another outcome"):
        smith.complete(asked, **other)
    with pytest.raises(Conflict, match="not given to this key"):
        smith.complete(asked, OTHER, occurred_at=5, warnings=["slow"])
    assert smith.operation(asked.uid) == first


def test_operation_is_completed_by_nobody_who_did_not_take_it(smith: Locksmith) -> None:
    asked = smith.convert(smith.a_code(smith.lock()))
    with pytest.raises(Conflict, match="fetch operations"):
        smith.complete(asked)
    smith.take(OTHER)
    with pytest.raises(Conflict, match="not given to this key"):
        smith.complete(asked)


def test_completion_after_the_time_is_refused(smith: Locksmith) -> None:
    asked = smith.convert(smith.a_code(smith.lock()))
    smith.take()
    ended = smith.silent(asked)
    with pytest.raises(Conflict, match="not completed in time"):
        smith.complete(asked)
    assert smith.operation(asked.uid) == ended
    assert smith.types() == ["unmanaged.created", "unmanaged.failed_to_convert_to_managed"]


@pytest.mark.parametrize("outcome", ["failed", "succeeded"])
def test_digits_in_a_connectors_words_are_masked(smith: Locksmith, outcome: str) -> None:
    code = smith.managed_code(smith.lock(), pin="47119")
    _, asked = smith.update(code, pin="081508")
    words = [("said_47119", "Changed 47119 to 081508; 4711 and 0471190 are others.")]
    errors = words if outcome == "failed" else []
    ended = smith.done(asked, outcome=outcome, errors=errors, warnings=words)
    masked = ("said_*****", "Changed ***** to ******; 4711 and 0471190 are others.")
    for noted in (ended.warnings, ended.errors if errors else ()):
        assert all((one.code, one.message) == masked for one in noted)
    assert smith.complete(asked, outcome=outcome, errors=errors, warnings=words) == ended
    everything = repr(smith.told()) + repr(smith.operation(ended.uid)) + repr(smith.code(code.uid))
    assert "47119" not in everything.replace("0471190", "")
    assert "081508" not in everything


# -- managed codes: create ------------------------------------------------------------------------------------------


def test_created_code_is_being_set_and_then_held_by_the_lock(smith: Locksmith) -> None:
    lock = smith.lock()
    code, _ = smith.create(lock, name="Guest")
    assert (code.managed, code.status, code.type, code.found_at) == (True, "setting", "ongoing", None)
    assert smith.types() == ["created"]
    (taken,) = smith.take()
    assert (taken.subject_uid, taken.kind) == (code.uid, "set_access_code")
    pin = smith.pins.open(code.uid, read_request(taken.request).code.sealed_pin)
    assert pin is not None
    assert pin.reveal() == "4711"
    at = smith.time.wall
    smith.complete(taken, external_id="42", occurred_at=at)
    after = smith.code(code.uid)
    assert (after.status, after.external_id, after.found_at, after.settled_at) == ("set", "42", at, at)
    assert smith.types() == ["created", "set_on_device"]
    assert smith.told()[1] == smith.told()[0] | {
        "event_type": "access_code.set_on_device", "code": None, "occurred_at": print_milliseconds(at),
    }  # fmt: skip
    assert smith.report(lock, {"externalId": "42", "code": "4711", "name": "Guest"}) == Counts()


def test_code_that_begins_later_is_scheduled(smith: Locksmith) -> None:
    starts = smith.time.wall + FAR
    code = smith.managed_code(smith.lock(), starts_at=starts)
    assert (code.type, code.starts_at, code.ends_at) == ("time_bound", starts, None)
    assert smith.types() == ["created", "scheduled_on_device"]


def test_code_without_digits_is_given_six_that_are_free(smith: Locksmith, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = smith.lock()
    drawn = iter([7, 7, 8, *([7] * requests.TRIES)])
    monkeypatch.setattr("secrets.randbelow", lambda _: next(drawn))
    assert smith.pin_of(smith.create(lock, pin=None)[0]) == "000007"
    assert smith.pin_of(smith.create(lock, pin=None)[0]) == "000008"
    with pytest.raises(Conflict, match="no free digits"):
        smith.create(lock, pin=None)


def test_code_with_digits_that_the_lock_holds_is_refused(smith: Locksmith) -> None:
    lock, other = smith.lock(), smith.lock()
    smith.report(lock, {"code": "4711"})
    with pytest.raises(Conflict, match="these digits"):
        smith.create(lock)
    smith.create(other)
    with pytest.raises(Conflict, match="these digits"):
        smith.create(other)


def test_code_is_created_only_on_a_lock_of_ours_with_an_account(smith: Locksmith) -> None:
    apart, gone = smith.lock(), smith.lock()
    smith.fleet.write(releasing.update, smith.here, apart.uid, None, SettingsPatch(connected_account_uid=None))
    smith.fleet.write(releasing.deprovision, smith.here, gone.uid, None)
    with pytest.raises(Unprocessable) as refusal:
        smith.create(apart)
    assert refusal.value.faults[0].pointer == "/deviceUid"
    with pytest.raises(Conflict, match="enrolled"):
        smith.create(gone)
    for scope, uid in ((smith.fleet.there, smith.lock().uid), (smith.here, new_uid())):
        with pytest.raises(NotFound, match=r"There is no such device\."):
            smith.fleet.write(requests.create, scope, uid, CodeWish(), smith.pins, PATIENCE)
    assert smith.told() == []


@pytest.mark.parametrize("taken", [False, True])
def test_code_that_is_not_set_in_time_is_unset_until_the_lock_shows_it(smith: Locksmith, taken: bool) -> None:
    lock = smith.lock()
    code, asked = smith.create(lock)
    if taken:
        smith.take()
    smith.silent(asked)
    after = smith.code(code.uid)
    assert (after.status, [one.code for one in after.errors]) == ("unset", ["failed_to_set_on_device"])
    assert smith.report(lock) == Counts()
    assert smith.report(lock, {"externalId": "1", "code": "4711"}) == Counts(changed=1)
    assert (smith.code(code.uid).status, smith.code(code.uid).errors) == ("set", ())
    assert smith.types() == ["created", "failed_to_set_on_device", "set_on_device"]
    assert arrays(smith.told()[1]) == {"access_code_errors": ["operation_timed_out"]}


def test_code_that_could_not_be_set_is_set_again_by_an_empty_change(smith: Locksmith) -> None:
    lock = smith.lock()
    code, asked = smith.create(lock)
    smith.done(asked, errors=["no_space_for_access_code_on_device"])
    waiting, again = smith.update(code)
    assert again is not None
    assert (waiting.status, again.kind) == ("setting", "set_access_code")
    assert smith.update(code)[1] == again
    assert smith.update(code, pin="4711")[1] == again
    with pytest.raises(Conflict, match="Another change"):
        smith.update(code, pin="0815")
    smith.done(again)
    after = smith.code(code.uid)
    assert (after.status, after.errors) == ("set", ())
    assert smith.types() == ["created", "failed_to_set_on_device", "set_on_device"]


# -- managed codes: change ------------------------------------------------------------------------------------------


def test_changed_code_is_told_by_its_properties_once_the_lock_has_confirmed(smith: Locksmith) -> None:
    code = smith.managed_code(smith.lock(), name="Guest")
    before, starts = len(smith.told()), smith.time.wall - SECOND
    ends = smith.time.wall + FAR
    waiting, asked = smith.update(code, name="Night", pin="0815", starts_at=starts, ends_at=ends)
    assert (waiting.name, waiting.status, waiting.type, smith.pin_of(waiting)) == (
        "Guest",
        "setting",
        "ongoing",
        "4711",
    )
    assert news(smith, before) == []
    assert smith.update(code, name="Night", pin="0815", starts_at=starts, ends_at=ends) == (waiting, asked)
    smith.done(asked)
    after = smith.code(code.uid)
    assert (after.name, after.status, after.type, smith.pin_of(after)) == ("Night", "set", "time_bound", "0815")
    changed, name, pin, frame, held = smith.told()[before:]
    assert news(smith, before) == ["changed", "name_changed", "code_changed", "time_frame_changed", "set_on_device"]
    shown = {"starts_at": print_milliseconds(starts), "ends_at": print_milliseconds(ends)}
    assert changed["changed_properties"] == [
        {"property": "name", "from": "Guest", "to": "Night"},
        {"property": "code", "from": None, "to": None},
        {"property": "type", "from": "ongoing", "to": "time_bound"},
        {"property": "starts_at", "from": None, "to": shown["starts_at"]},
        {"property": "ends_at", "from": None, "to": shown["ends_at"]},
    ]
    assert "change_reason" not in changed
    assert (name["from"], name["to"]) == ({"name": "Guest"}, {"name": "Night"})
    assert (pin["from"], pin["to"], held["code"]) == ({"code": None}, {"code": None}, None)
    assert (frame["from"], frame["to"]) == ({"starts_at": None, "ends_at": None}, shown)


def test_change_that_the_lock_refuses_leaves_the_code_as_it_was(smith: Locksmith) -> None:
    code = smith.managed_code(smith.lock(), name="Guest")
    before = len(smith.told())
    _, asked = smith.update(code, name="Night", pin="0815")
    smith.done(asked, errors=[("code_constraints_violated", "Too short.")])
    after = smith.code(code.uid)
    assert (after.name, after.status, smith.pin_of(after)) == ("Guest", "set", "4711")
    assert [(one.code, one.message) for one in after.errors] == [("failed_to_set_on_device", "Too short.")]
    assert news(smith, before) == ["failed_to_set_on_device"]
    assert arrays(smith.told()[-1]) == {"access_code_errors": ["code_constraints_violated"]}
    _, again = smith.update(code, name="Day")
    smith.done(again)
    assert smith.code(code.uid).errors == ()


def test_nobody_knows_what_the_lock_holds_when_a_change_was_taken_and_not_completed(smith: Locksmith) -> None:
    lock = smith.lock()
    code = smith.managed_code(lock, name="Guest")
    before = len(smith.told())
    _, asked = smith.update(code, name="Night")
    smith.take()
    assert asked is not None
    smith.silent(asked)
    assert smith.code(code.uid).status == "unknown"
    assert smith.report(lock, {"externalId": "1", "code": "4711", "name": "Night"}) == Counts(changed=1)
    after = smith.code(code.uid)
    assert (after.status, after.name, after.errors) == ("set", "Night", ())
    assert news(smith, before) == ["failed_to_set_on_device", "changed", "name_changed", "set_on_device"]
    assert smith.told()[before + 1]["change_reason"] == "The lock shows it."


@pytest.mark.parametrize("ask", [lambda smith, code: smith.update(code)[1], lambda smith, code: smith.remove(code)])
@pytest.mark.parametrize("refused", [False, True])
def test_code_of_which_nobody_knows_stays_so_when_a_further_try_fails(
    smith: Locksmith, ask: Callable[..., Operation | None], refused: bool
) -> None:
    lock = smith.lock()
    code = smith.managed_code(lock)
    _, first = smith.update(code, name="Night")
    smith.take()
    assert first is not None
    smith.silent(first)
    asked = ask(smith, code)
    assert asked is not None
    if refused:
        smith.done(asked, errors=["device_rejected"])
    else:
        smith.silent(asked)
    assert smith.code(code.uid).status == "unknown"
    assert smith.report(lock) == Counts(vanished=1)
    assert smith.types()[-1] == "removed_from_device"


def test_change_that_was_never_taken_leaves_the_code_on_the_lock(smith: Locksmith) -> None:
    code = smith.managed_code(smith.lock())
    _, asked = smith.update(code, name="Night")
    assert asked is not None
    smith.silent(asked)
    assert smith.code(code.uid).status == "set"


def test_change_that_the_lock_need_not_know_is_made_at_once(smith: Locksmith) -> None:
    code = smith.managed_code(smith.lock(), name="Guest")
    before = len(smith.told())
    assert smith.update(code) == (code, None)
    assert smith.update(code, name="Guest", pin="4711") == (code, None)
    assert news(smith, before) == []
    after, operation = smith.update(code, external_modification_allowed=True)
    assert (after.external_modification_allowed, after.version, operation) == (True, code.version + 1, None)
    (body,) = smith.told()[before:]
    assert body["changed_properties"] == [
        {"property": "is_external_modification_allowed", "from": "false", "to": "true"}
    ]


def test_code_is_changed_as_its_caller_knows_it(smith: Locksmith) -> None:
    code = smith.managed_code(smith.lock())
    for change in (partial(smith.update, name="Night"), smith.remove):
        with pytest.raises(PreconditionFailed):
            change(code, code.version + 1)
    changed, asked = smith.update(code, code.version, name="Night")
    assert smith.update(code, code.version, name="Night") == (changed, asked)


def test_change_that_cannot_be_is_refused(smith: Locksmith) -> None:
    lock = smith.lock()
    code = smith.managed_code(lock, ends_at=smith.time.wall + FAR)
    other = smith.a_code(lock, code="0815")
    with pytest.raises(Invalid, match="later than the start"):
        smith.update(code, starts_at=smith.time.wall + 2 * FAR)
    with pytest.raises(Conflict, match="these digits"):
        smith.update(code, pin="0815")
    with pytest.raises(Conflict, match="convert it first"):
        smith.update(other, name="Night")
    with pytest.raises(NotFound):
        smith.fleet.write(requests.update, smith.fleet.there, code.uid, None, CodePatch(), smith.pins, 1)
    assert smith.code(code.uid) == code
    assert smith.take() == []


def test_empty_change_of_a_code_that_is_being_removed_is_another_change(smith: Locksmith) -> None:
    code = smith.managed_code(smith.lock())
    smith.remove(code)
    with pytest.raises(Conflict, match="Another change"):
        smith.update(code)
    with pytest.raises(Conflict, match="Another change"):
        smith.update(code, external_modification_allowed=True)


# -- removing -------------------------------------------------------------------------------------------------------


def test_removed_managed_code_is_told_and_gone(smith: Locksmith) -> None:
    lock = smith.lock()
    code = smith.managed_code(lock)
    asked = smith.remove(code)
    assert asked is not None
    assert (asked.kind, smith.code(code.uid).status) == ("remove_access_code", "removing")
    assert smith.remove(code) == asked
    assert smith.report(lock) == Counts()
    smith.done(asked)
    assert smith.codes(lock) == []
    assert smith.types() == ["created", "set_on_device", "removed_from_device", "deleted"]
    assert smith.operation(asked.uid).state == "succeeded"
    assert smith.fleet.read(requests.list_operations, smith.here, code.uid, b"", 10)[0][0].uid == asked.uid
    with pytest.raises(NotFound):
        smith.fleet.read(requests.list_operations, smith.here, new_uid(), b"", 10)


def test_removed_unmanaged_code_is_told_and_gone(smith: Locksmith) -> None:
    lock = smith.lock()
    asked = smith.remove(smith.a_code(lock))
    smith.done(asked)
    assert smith.codes(lock) == []
    assert smith.types() == ["unmanaged.created", "unmanaged.removed"]


def test_code_that_the_lock_does_not_hold_is_gone_at_once(smith: Locksmith) -> None:
    lock = smith.lock()
    code, asked = smith.create(lock)
    smith.done(asked, errors=["device_rejected"])
    assert smith.remove(code) is None
    assert smith.codes(lock) == []
    assert smith.types() == ["created", "failed_to_set_on_device", "deleted"]
    assert smith.told()[-1]["code"] is None


def test_unmanaged_code_that_nobody_may_remove_stays(smith: Locksmith) -> None:
    code = smith.a_code(smith.lock(), cannotDelete=True)
    with pytest.raises(Conflict, match="does not let"):
        smith.remove(code)
    smith.done(smith.convert(code))
    assert smith.remove(code) is not None


@pytest.mark.parametrize(("taken", "status"), [(False, "set"), (True, "unknown")])
def test_managed_code_that_is_not_removed_in_time_may_still_be_there(
    smith: Locksmith, taken: bool, status: str
) -> None:
    code = smith.managed_code(smith.lock())
    asked = smith.remove(code)
    assert asked is not None
    if taken:
        smith.take()
    smith.silent(asked)
    after = smith.code(code.uid)
    assert (after.status, [one.code for one in after.errors]) == (status, ["failed_to_remove_from_device"])
    assert smith.types()[-1] == "failed_to_remove_from_device"
    smith.done(smith.remove(code))
    assert smith.types()[-2:] == ["removed_from_device", "deleted"]


def test_unmanaged_code_that_could_not_be_removed_says_so_in_its_errors_alone(smith: Locksmith) -> None:
    code = smith.a_code(smith.lock())
    smith.done(smith.remove(code), errors=["device_rejected"])
    assert [one.code for one in smith.code(code.uid).errors] == ["failed_to_remove_from_device"]
    assert smith.types() == ["unmanaged.created"]
