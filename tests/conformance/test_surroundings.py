"""What is told of codes and devices beside themselves is read at once, however many they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from heliograph.access_codes import requests
from heliograph.access_codes.history import was_removed
from heliograph.access_codes.model import CodeFilter
from heliograph.access_codes.surroundings import list_around as list_codes_around
from heliograph.devices import actions as devices
from heliograph.devices.model import DeviceFilter, Settings
from heliograph.devices.surroundings import list_around as list_devices_around
from heliograph.ids import new_uid
from heliograph.storage.postgres import PostgresTransaction
from heliograph.storage.sqlite import SqliteTransaction
from tests.conformance.locks import Locksmith
from tests.conformance.provisioned import somebody

if TYPE_CHECKING:
    from heliograph.storage.engine import Engine
    from heliograph.storage.store import Store
    from tests.conformance.stores import HandClock

HOUR = 3_600_000_000


@pytest.fixture
def engine(shared_engine: Engine) -> Engine:
    return shared_engine


@pytest.fixture
def smith(store: Store, time: HandClock) -> Locksmith:
    return Locksmith(store, time)


def remove(smith: Locksmith, uid: bytes) -> Any:
    return smith.fleet.write(requests.remove, smith.here, uid, None, HOUR)


def test_codes_come_with_their_locks_accounts_and_pending_operations(smith: Locksmith) -> None:
    one, other = smith.lock(), smith.lock(smith.an_account())
    smith.report(one, {"code": "4711"}, {"code": "4712"})
    smith.report(other, {"code": "4711"})
    removed = smith.manage(smith.codes(one)[0])
    operation = remove(smith, removed.uid)
    (codes, beside), last = smith.fleet.read(list_codes_around, smith.here, CodeFilter(), b"", 10)
    assert [code.uid for code in codes] == [code.uid for lock in (one, other) for code in smith.codes(lock)]
    assert last is None
    assert beside.devices == {lock.uid: smith.fleet.device(lock.uid) for lock in (one, other)}
    for lock in (one, other):
        assert beside.account_of(beside.devices[lock.uid]).uid == lock.settings.connected_account_uid
    assert beside.operations == {removed.uid: operation}


def test_devices_come_with_their_accounts_and_the_names_of_their_places(smith: Locksmith) -> None:
    place = smith.fleet.reference("location")
    settings = Settings(connected_account_uid=smith.account.uid, location_uid=place)
    there = smith.fleet.write(devices.create, smith.here, somebody(), settings)[0]
    nowhere = smith.fleet.write(devices.create, smith.here, somebody(), Settings())[0]
    (found, beside), _ = smith.fleet.read(list_devices_around, smith.here, DeviceFilter(), b"", 10)
    assert [device.uid for device in found] == [there.uid, nowhere.uid]
    assert beside.account_of(there) == smith.account
    assert beside.location_of(there).startswith("location ")
    assert (beside.account_of(nowhere), beside.location_of(nowhere)) == (None, None)


def test_number_of_statements_does_not_rise_with_what_is_listed(
    smith: Locksmith, monkeypatch: pytest.MonkeyPatch
) -> None:
    statements: list[str] = []
    for transaction in (SqliteTransaction, PostgresTransaction):
        execute = transaction.all

        def noted(self: Any, sql: str, *, execute: Any = execute, **values: Any) -> Any:
            statements.append(sql)
            return execute(self, sql, **values)

        monkeypatch.setattr(transaction, "all", noted)

    def needed(listing: Any, wanted: Any) -> int:
        statements.clear()
        smith.fleet.read(listing, smith.here, wanted, b"", 100)
        return len(statements)

    listings = ((list_codes_around, CodeFilter(managed=True)), (list_devices_around, DeviceFilter()))
    sizes = []
    for locks in (1, 20):
        for _ in range(locks):
            lock = smith.lock(smith.an_account())
            smith.report(lock, {"code": "4711"})
            smith.manage(smith.codes(lock)[0])
        sizes.append([needed(listing, wanted) for listing, wanted in listings])
    assert sizes[0] == sizes[1]


def test_code_that_was_removed_is_remembered_as_what_it_was_where_it_was(smith: Locksmith) -> None:
    lock = smith.lock()
    smith.report(lock, {"code": "4711"}, {"code": "4712"})
    plain, other = smith.codes(lock)
    made = smith.manage(other, status="unset")

    def known(uid: bytes, scope: Any = None) -> list[bool]:
        return [smith.fleet.read(was_removed, scope or smith.here, uid, managed=one) for one in (True, False)]

    assert [known(uid) for uid in (plain.uid, made.uid, new_uid())] == [[False, False]] * 3
    assert remove(smith, made.uid) is None
    smith.report(lock)
    assert [known(uid) for uid in (plain.uid, made.uid)] == [[False, True], [True, False]]
    assert known(plain.uid, smith.fleet.there) == [False, False]
