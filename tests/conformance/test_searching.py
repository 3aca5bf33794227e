"""Searches of codes, devices and accounts find what a person would expect, and nothing of another organization."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from heliograph.access_codes import actions as access_codes
from heliograph.access_codes.model import CodeFilter
from heliograph.connected_accounts import actions as accounts
from heliograph.connected_accounts.model import AccountFilter
from heliograph.devices import actions as devices
from heliograph.devices.model import DeviceFilter, Identity, Settings
from heliograph.errors import NotFound
from heliograph.ids import as_uuid
from heliograph.storage import pages
from tests.conformance.locks import Locksmith
from tests.conformance.provisioned import somebody

if TYPE_CHECKING:
    from heliograph.access_codes.model import AccessCode
    from heliograph.devices.model import Device
    from heliograph.storage.engine import Engine
    from heliograph.storage.store import Store
    from tests.conformance.stores import HandClock


PIN = "73519846207"
"""So many digits that no uid has them by chance."""


@pytest.fixture
def engine(shared_engine: Engine) -> Engine:
    return shared_engine


@pytest.fixture
def smith(store: Store, time: HandClock) -> Locksmith:
    return Locksmith(store, time)


def a_device(smith: Locksmith, who: Identity | None = None, **settings: Any) -> Device:
    made: Device = smith.fleet.write(devices.create, smith.here, who or somebody(), Settings(**settings))[0]
    return made


def found(smith: Locksmith, listing: Any, wanted: Any, limit: int = 100) -> list[bytes]:
    """Return the uids on all pages, of which the first are short where few pass."""
    after, uids = b"", []
    while True:
        page, last = smith.fleet.read(listing, smith.here, wanted, after, limit)
        uids += [one.uid for one in page]
        if last is None:
            return uids
        after = last


def devices_found(smith: Locksmith, **wanted: Any) -> list[bytes]:
    return found(smith, devices.list_devices, DeviceFilter(**wanted))


def codes_found(smith: Locksmith, lock: Device, **wanted: Any) -> list[bytes]:
    return found(smith, access_codes.list_codes, CodeFilter(device_uids=(lock.uid,), **wanted))


# -- devices --------------------------------------------------------------------------------------------------------


def test_device_is_found_by_parts_of_its_name_uid_account_and_metadata(smith: Locksmith) -> None:
    door = a_device(smith, name="Front Door", connected_account_uid=smith.account.uid)
    wing = a_device(smith, name="Gate", custom_metadata={"wing": "Südflügel", "floor": True})
    assert devices_found(smith, search="ont dO") == [door.uid]
    assert devices_found(smith, search=as_uuid(wing.uid)[10:]) == [wing.uid]
    assert devices_found(smith, search=wing.uid.hex().upper()) == [wing.uid]
    assert devices_found(smith, search=as_uuid(smith.account.uid)) == [door.uid]
    assert devices_found(smith, search="DFLÜGEL") == [wing.uid]
    assert devices_found(smith, search="nothing like it") == []


def test_device_without_a_name_is_found_by_brand_and_model(smith: Locksmith) -> None:
    plain = a_device(smith, Identity(brand="Lockwood", model="X 2", serial_number="only-once-1"))
    assert devices_found(smith, search="wood x") == [plain.uid]


def test_device_is_found_by_its_whole_name_whatever_the_case(smith: Locksmith) -> None:
    door, _ = a_device(smith, name="Side Door"), a_device(smith, name="Side Door 2")
    assert devices_found(smith, names=(" side DOOR",)) == [door.uid]


def test_device_is_found_by_what_is_noted_on_it(smith: Locksmith) -> None:
    north = a_device(smith, custom_metadata={"region": "north", "spare": True})
    south = a_device(smith, custom_metadata={"region": "south", "spare": "true"})
    assert devices_found(smith, metadata_has={"region": ("north",)}) == [north.uid]
    assert devices_found(smith, metadata_has={"region": ("north", "south")}) == [north.uid, south.uid]
    assert devices_found(smith, metadata_has={"spare": (True,), "region": ("north",)}) == [north.uid]
    assert devices_found(smith, metadata_has={"spare": (True,), "region": ("south",)}) == []
    assert devices_found(smith, metadata_has={"spare": ("true",)}) == [south.uid]
    assert devices_found(smith, metadata_has={"spare": (None,)}) == []
    assert devices_found(smith, metadata_has={"floor": (None,)}) == [north.uid, south.uid]


def test_device_is_found_by_maker_type_and_age(smith: Locksmith) -> None:
    lock = a_device(
        smith, Identity(brand="Yale Home", serial_number="only-once-2"), connected_account_uid=smith.account.uid
    )
    smith.time.wall += 1_000_000
    player = a_device(smith, Identity(brand="YALE  home", serial_number="only-once-3"))
    assert devices_found(smith, makers=("yale_home",)) == [lock.uid, player.uid]
    assert devices_found(smith, type_names=("yale_home_lock",)) == [lock.uid]
    assert devices_found(smith, type_names=("yale_home_device",)) == [player.uid]
    assert devices_found(smith, created_before=player.created_at) == [lock.uid]


def test_devices_are_found_by_uid_in_their_order_and_only_here(smith: Locksmith) -> None:
    made = [a_device(smith) for _ in range(5)]
    there: Device = smith.fleet.write(devices.create, smith.fleet.there, somebody(), Settings(name="Front"))[0]
    asked = (made[3].uid, there.uid, made[1].uid)
    assert devices_found(smith, uids=asked) == [made[1].uid, made[3].uid]
    assert devices_found(smith, search="front") == []


def test_search_goes_on_behind_rows_that_do_not_pass(smith: Locksmith, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "ROWS_SIFTED", 2)
    made = [a_device(smith, name="Gate" if number % 4 == 3 else "Door") for number in range(9)]
    listing, wanted = devices.list_devices, DeviceFilter(search="gate")
    assert found(smith, listing, wanted, limit=1) == [made[3].uid, made[7].uid]
    assert found(smith, listing, wanted, limit=2) == [made[3].uid, made[7].uid]


# -- accounts -------------------------------------------------------------------------------------------------------


def test_account_is_found_by_parts_of_what_it_is_and_by_what_is_noted_on_it(smith: Locksmith) -> None:
    north, south = smith.an_account(region="north"), smith.an_account(region="south")

    def uids(**wanted: Any) -> list[bytes]:
        return found(smith, accounts.list_accounts, AccountFilter(**wanted))

    assert uids(metadata_has={"region": ("north",)}) == [north.uid]
    assert uids(search="SOUTH") == [south.uid]
    assert uids(search="bour hot") == [smith.account.uid, north.uid, south.uid]
    assert uids(search="augus") == [smith.account.uid, north.uid, south.uid]
    assert uids(search=as_uuid(south.uid)) == [south.uid]
    assert uids(uids=(south.uid, north.uid)) == [north.uid, south.uid]


# -- codes ----------------------------------------------------------------------------------------------------------


def named(smith: Locksmith, lock: Device) -> dict[str | None, AccessCode]:
    return {code.name: code for code in smith.codes(lock)}


def test_code_is_found_by_part_of_its_name_or_uid_and_by_its_whole_pin(smith: Locksmith) -> None:
    lock = smith.lock()
    smith.report(lock, {"code": PIN, "name": "Cleaning"}, {"code": "0815", "name": f"Guest {PIN}"})
    cleaning, guest = named(smith, lock)["Cleaning"], named(smith, lock)[f"Guest {PIN}"]
    index, part = smith.pins.index(lock.uid, PIN), PIN[:8]
    assert codes_found(smith, lock, search="EANI") == [cleaning.uid]
    assert codes_found(smith, lock, search=as_uuid(guest.uid)) == [guest.uid]
    assert codes_found(smith, lock, search=PIN) == [guest.uid]
    assert codes_found(smith, lock, search=PIN, pin_indexes=(index,)) == sorted((cleaning.uid, guest.uid))
    assert codes_found(smith, lock, search=part, pin_indexes=(smith.pins.index(lock.uid, part),)) == [guest.uid]


def test_codes_of_several_locks_are_found_by_uid(smith: Locksmith) -> None:
    one, other = smith.lock(), smith.lock()
    smith.report(one, {"code": "4711", "name": "a"}, {"code": "4712", "name": "b"})
    smith.report(other, {"code": "4711", "name": "c"})
    a, c = named(smith, one)["a"], named(smith, other)["c"]
    assert found(smith, access_codes.list_codes, CodeFilter(uids=(c.uid, a.uid))) == sorted((a.uid, c.uid))
    assert found(smith, access_codes.list_codes, CodeFilter(uids=(c.uid, a.uid), device_uids=(one.uid,))) == [a.uid]


def test_code_is_found_by_its_pin_on_its_own_lock_in_its_own_organization(smith: Locksmith) -> None:
    lock, other = smith.lock(), smith.lock()
    smith.report(lock, {"code": "4711"})
    code = smith.codes(lock)[0]
    index = smith.pins.index(lock.uid, "4711")
    fleet, find = smith.fleet, access_codes.find_by_pin
    assert fleet.read(find, smith.here, lock.uid, index, managed=False) == code
    for scope, uid, managed in (
        (smith.here, lock.uid, True), (smith.here, other.uid, False), (fleet.there, lock.uid, False)
    ):  # fmt: skip
        with pytest.raises(NotFound):
            fleet.read(find, scope, uid, index, managed=managed)
