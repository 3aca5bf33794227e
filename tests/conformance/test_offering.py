"""Which operations a connector is offered, on both databases: of which account, in which order, and which never."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from heliograph.devices.actions import SettingsPatch
from heliograph.errors import Conflict, Invalid
from heliograph.operations import actions as operations
from heliograph.provisioning import releasing
from tests.conformance.locks import LEASE, SECOND, Locksmith

if TYPE_CHECKING:
    from heliograph.connected_accounts.model import ConnectedAccount
    from heliograph.devices.model import Device
    from heliograph.storage.engine import Engine
    from heliograph.storage.store import Store
    from tests.conformance.stores import HandClock

OTHER = b"the other account's key".ljust(32, b"\0")


@pytest.fixture
def engine(shared_engine: Engine) -> Engine:
    return shared_engine


@pytest.fixture
def smith(store: Store, time: HandClock) -> Locksmith:
    return Locksmith(store, time)


def give(smith: Locksmith, lock: Device, account: ConnectedAccount) -> None:
    """Give a lock to another account."""
    patch = SettingsPatch(connected_account_uid=account.uid)
    smith.fleet.write(releasing.update, smith.here, lock.uid, None, patch)


def taken(smith: Locksmith, account: ConnectedAccount, holder: bytes = OTHER) -> list[bytes]:
    return [one.uid for one in smith.take(holder, account_uids=(account.uid,))]


# -- a lock that is given to another account ------------------------------------------------------------------------


def test_what_is_to_be_done_goes_with_the_lock_to_its_new_account(smith: Locksmith) -> None:
    lock, other = smith.lock(), smith.an_account()
    code, asked = smith.create(lock)
    _, elsewhere = smith.create(smith.lock())
    give(smith, lock, other)
    assert smith.operation(asked.uid).account_uid == other.uid
    assert taken(smith, smith.account, b"k" * 32) == [elsewhere.uid]
    assert taken(smith, other) == [asked.uid]
    smith.complete(asked, OTHER)
    assert smith.code(code.uid).status == "set"


def test_connector_that_has_taken_it_may_still_say_how_it_went(smith: Locksmith) -> None:
    lock, other = smith.lock(), smith.an_account()
    code, asked = smith.create(lock)
    smith.take()
    give(smith, lock, other)
    assert taken(smith, other) == []
    smith.complete(asked)
    assert smith.code(code.uid).status == "set"


def test_new_account_is_offered_what_the_old_one_gave_up(smith: Locksmith) -> None:
    lock, other = smith.lock(), smith.an_account()
    _, asked = smith.create(lock)
    smith.take()
    give(smith, lock, other)
    smith.time.wall += LEASE
    assert taken(smith, smith.account) == []
    assert taken(smith, other) == [asked.uid]


def test_what_has_ended_stays_with_the_account_that_did_it(smith: Locksmith) -> None:
    lock, other = smith.lock(), smith.an_account()
    _, asked = smith.create(lock)
    smith.done(asked)
    give(smith, lock, other)
    assert smith.operation(asked.uid).account_uid == smith.account.uid


def test_lock_stays_where_it_is_while_too_much_is_to_be_done(smith: Locksmith, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operations, "MOST_MOVED", 1)
    lock, other = smith.lock(), smith.an_account()
    _, first = smith.create(lock)
    _, second = smith.create(lock, pin="4712")
    with pytest.raises(Conflict):
        give(smith, lock, other)
    assert {smith.operation(one.uid).account_uid for one in (first, second)} == {smith.account.uid}
    give(smith, lock, smith.account)
    smith.done(first)
    give(smith, lock, other)
    assert smith.operation(second.uid).account_uid == other.uid


# -- order ----------------------------------------------------------------------------------------------------------


def test_given_up_operations_come_before_younger_ones(smith: Locksmith) -> None:
    lock = smith.lock()
    asked = [smith.create(lock, pin=str(1000 + number))[1].uid for number in range(4)]
    assert [one.uid for one in smith.take(limit=2)] == asked[:2]
    assert [one.uid for one in smith.take(limit=1)] == asked[2:3]
    smith.time.wall += LEASE
    assert [one.uid for one in smith.take(limit=3)] == asked[:3]
    assert [one.uid for one in smith.take(limit=3)] == asked[3:]
    assert smith.take() == []


def test_several_locks_and_accounts_are_asked_for_together(smith: Locksmith) -> None:
    other = smith.an_account()
    locks = [smith.lock(), smith.lock(other), smith.lock(smith.an_account())]
    asked = [smith.create(lock)[1].uid for lock in locks]

    def offered(**wanted: Any) -> list[bytes]:
        found = [one.uid for one in smith.take(**wanted)]
        smith.time.wall += LEASE
        return found

    assert offered(account_uids=(other.uid, smith.account.uid)) == asked[:2]
    assert offered(device_uids=(locks[2].uid, locks[0].uid)) == [asked[0], asked[2]]
    assert offered(device_uids=(locks[1].uid, locks[0].uid), account_uids=(other.uid,)) == [asked[1]]


# -- a time that is over --------------------------------------------------------------------------------------------


def test_code_whose_time_is_over_is_not_set(smith: Locksmith) -> None:
    lock = smith.lock()
    for early in (0, 10 * SECOND):
        # The clock goes on by a second before the code is asked for.
        with pytest.raises(Invalid) as refusal:
            smith.create(lock, ends_at=smith.time.wall + SECOND - early)
        assert [(fault.pointer, fault.rule) for fault in refusal.value.faults] == [("/endsAt", "past")]
    assert smith.codes(lock) == []
    code, _ = smith.create(lock, ends_at=smith.time.wall + 2 * SECOND)
    assert code.status == "setting"


def test_code_does_not_end_in_the_past(smith: Locksmith) -> None:
    code = smith.managed_code(smith.lock())
    with pytest.raises(Invalid) as refusal:
        smith.update(code, ends_at=smith.time.wall - SECOND)
    assert [(fault.pointer, fault.rule) for fault in refusal.value.faults] == [("/endsAt", "past")]
    assert smith.code(code.uid).status == "set"


def test_code_whose_time_is_over_can_be_renamed_and_asked_for_again(smith: Locksmith) -> None:
    ends = smith.time.wall + 10 * SECOND
    code = smith.managed_code(smith.lock())
    _, asked = smith.update(code, ends_at=ends)
    smith.time.wall = ends + SECOND
    ask_again = partial(smith.update, code, ends_at=ends)
    assert ask_again()[1] == asked
    smith.done(asked)
    _, renamed = smith.update(smith.code(code.uid), name="Guest", ends_at=ends)
    assert renamed is not None
