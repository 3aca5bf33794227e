"""Connected accounts keep their rules on both databases, and tell of every change in exact bodies."""

from __future__ import annotations

from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from heliograph.catalog.system import SYSTEM as CATALOG
from heliograph.connected_accounts import actions
from heliograph.connected_accounts.actions import AccountPatch
from heliograph.connected_accounts.model import AccountFilter, ConnectedAccount
from heliograph.devices import actions as devices
from heliograph.devices.model import Condition, Device, DeviceFilter, Settings, fold_prefix
from heliograph.errors import Conflict, Invalid, NotFound, PreconditionFailed
from heliograph.ids import as_uuid, new_uid
from heliograph.jobs.runner import Runner
from heliograph.presence.model import Complaint
from heliograph.provisioning import releasing
from heliograph.times import print_milliseconds, print_time
from tests.conformance.provisioned import Fleet, somebody
from tests.conformance.stores import START_OF_TIME, whole_log

if TYPE_CHECKING:
    from collections.abc import Callable

    from heliograph.storage.engine import Engine
    from heliograph.storage.store import Store
    from heliograph.tenancy.model import Scope
    from tests.conformance.stores import HandClock

SECOND = 1_000_000
NO_PERMISSION = Complaint("insufficient_permissions", "The account may not set codes.")
MAINTENANCE = Complaint("scheduled_maintenance_window", "Tonight from ten to eleven.")


@pytest.fixture
def engine(shared_engine: Engine) -> Engine:
    return shared_engine


class Vendor:
    """The connected accounts of two organizations, and what is done with them."""

    def __init__(self, store: Store, time: HandClock) -> None:
        self.fleet = Fleet(store)
        self.here, self.there = self.fleet.here, self.fleet.there
        self.time = time

    def create(self, scope: Scope | None = None, **fields: Any) -> ConnectedAccount:
        given = {"name": "Harbour Hotel", "provider": "august", "custom_metadata": {}} | fields
        made: ConnectedAccount = self.fleet.write(actions.create, scope or self.here, **given)
        return made

    def get(self, uid: bytes, scope: Scope | None = None) -> ConnectedAccount:
        found: ConnectedAccount = self.fleet.read(actions.get, scope or self.here, uid)
        return found

    def change(self, action: Callable[..., Any], uid: bytes, *given: Any, version: int | None = None) -> Any:
        """Carry out one of the actions on an account, a second after what was done before."""
        self.time.wall += SECOND
        return self.fleet.write(action, self.here, uid, version, *given)

    def update(self, uid: bytes, **changes: Any) -> ConnectedAccount:
        changed: ConnectedAccount = self.change(actions.update, uid, AccountPatch(**changes))
        return changed

    def device(self, account: ConnectedAccount | None) -> Device:
        """Enrol a device that belongs to the account."""
        given = Settings(connected_account_uid=account.uid if account else None)
        made: Device = self.fleet.write(devices.create, self.here, somebody(), given)[0]
        return made

    def present(self, device: Device) -> Device:
        found = self.fleet.device(device.uid)
        assert found is not None
        return found

    def names(self, **filters: Any) -> list[str]:
        page, last = self.fleet.read(actions.list_accounts, self.here, AccountFilter(**filters), b"", 100)
        assert last is None
        return [account.name for account in page]

    def told(self) -> list[tuple[str, Any]]:
        """Return type and body of each event about accounts, after holding them against the catalogue and the log.

        What is different in each, the event's own id and time, is checked here and left out.
        """
        found = []
        for event in whole_log(self.fleet.store, self.here):
            envelope = event.envelope
            if envelope.target_entity_type != "ConnectedAccount":
                continue
            assert envelope.type is not None
            assert event.payload is not None
            CATALOG.check(envelope.type, event.payload)
            body = msgspec.json.decode(event.payload)
            if envelope.type != "ConnectedAccount.Updated":
                at = print_milliseconds(event.recorded_at)
                assert [body.pop(name) for name in ("created_at", "occurred_at")] == [at, at]
                assert body.pop("event_id").replace("-", "") == envelope.id.replace("-", "")
                assert body.pop("event_type") == envelope.type
                assert body.pop("workspace_id") == as_uuid(bytes.fromhex(self.here.tenant_uid))
                assert body["connected_account_id"].replace("-", "") == envelope.target_entity_id
            found.append((envelope.type, body))
        return found


@pytest.fixture
def vendor(store: Store, time: HandClock) -> Vendor:
    return Vendor(store, time)


def flat(account: ConnectedAccount, **more: Any) -> dict[str, Any]:
    """Return what the flat events say of an account, besides its errors and warnings."""
    return {
        "connected_account_custom_metadata": account.custom_metadata,
        "connected_account_id": as_uuid(account.uid),
    } | more


# -- keeping and telling --------------------------------------------------------------------------------------------


def test_account_is_kept_as_it_was_made_and_is_connected(vendor: Vendor) -> None:
    metadata: dict[str, str | bool] = {"region": "Nörd", "": "", "guests": True, "empty": False}
    made = vendor.create(name="Löbby ", provider="salto_ks", custom_metadata=metadata)
    assert made == ConnectedAccount(
        uid=made.uid, name="Löbby ", provider="salto_ks", state="connected", custom_metadata=metadata,
        created_at=START_OF_TIME, updated_at=START_OF_TIME, version=1,
    )  # fmt: skip
    assert vendor.get(made.uid) == made
    assert vendor.told() == [("connected_account.connected", flat(made))]


def test_account_is_disconnected_for_a_reason_and_connected_again_without_it(vendor: Vendor) -> None:
    made = vendor.create(custom_metadata={"region": "north"})
    vendor.update(made.uid, warnings=(MAINTENANCE,))
    gone = vendor.change(actions.disconnect, made.uid, Complaint("account_disconnected", "The password was changed."))
    warned, lost = START_OF_TIME + SECOND, START_OF_TIME + 2 * SECOND
    assert (gone.state, gone.version, gone.updated_at) == ("disconnected", 3, lost)
    assert gone.errors == (Condition("account_disconnected", "The password was changed.", print_time(lost)),)
    back = vendor.change(actions.reconnect, made.uid)
    assert (back.state, back.errors, back.version) == ("connected", (), 4)
    assert back.warnings == gone.warnings
    assert vendor.get(made.uid) == back
    type, body = vendor.told()[2]
    assert (type, body) == (
        "connected_account.disconnected",
        flat(
            made,
            connected_account_errors=[
                {
                    "created_at": print_milliseconds(lost),
                    "error_code": "account_disconnected",
                    "message": "The password was changed.",
                }
            ],
            connected_account_warnings=[
                {
                    "created_at": print_milliseconds(warned),
                    "message": MAINTENANCE.message,
                    "warning_code": MAINTENANCE.code,
                }
            ],
        ),
    )
    assert vendor.told()[3:] == [("connected_account.connected", flat(made))]


def test_disconnection_without_a_reason_is_an_error_all_the_same(vendor: Vendor) -> None:
    made = vendor.create()
    gone = vendor.change(actions.disconnect, made.uid)
    assert [error.code for error in gone.errors] == ["account_disconnected"]
    (error,) = vendor.told()[1][1]["connected_account_errors"]
    assert error["error_code"] == "account_disconnected"


def test_error_that_goes_on_keeps_its_beginning_when_the_account_is_disconnected(vendor: Vendor) -> None:
    made = vendor.create()
    vendor.update(made.uid, errors=(NO_PERMISSION, Complaint("other", "Another.")))
    gone = vendor.change(actions.disconnect, made.uid, Complaint(NO_PERMISSION.code, "Now it may do nothing."))
    began = print_time(START_OF_TIME + SECOND)
    assert gone.errors == (
        Condition("other", "Another.", began), Condition(NO_PERMISSION.code, "Now it may do nothing.", began),
    )  # fmt: skip


@pytest.mark.parametrize(("first", "again"), [(actions.disconnect, actions.disconnect), (None, actions.reconnect)])
def test_what_is_so_already_changes_nothing(vendor: Vendor, first: Any, again: Any) -> None:
    made = vendor.create()
    before = made if first is None else vendor.change(first, made.uid)
    told = vendor.told()
    assert vendor.change(again, made.uid) == before
    assert (vendor.get(made.uid), vendor.told()) == (before, told)


def test_change_names_what_changed_and_nothing_else(vendor: Vendor) -> None:
    made = vendor.create(custom_metadata={"region": "north"})
    vendor.update(made.uid, name="Quay")
    vendor.update(made.uid, custom_metadata={"region": True}, errors=(NO_PERMISSION,))
    vendor.update(made.uid, errors=(), warnings=(MAINTENANCE,))
    error = {
        "errorCode": NO_PERMISSION.code,
        "message": NO_PERMISSION.message,
        "createdAt": print_time(START_OF_TIME + 2 * SECOND),
    }
    warning = {
        "warningCode": MAINTENANCE.code,
        "message": MAINTENANCE.message,
        "createdAt": print_time(START_OF_TIME + 3 * SECOND),
    }
    changes: list[dict[str, Any]] = [
        {"name": {"from": "Harbour Hotel", "to": "Quay"}},
        {
            "customMetadata": {"from": {"region": "north"}, "to": {"region": True}},
            "errors": {"from": [], "to": [error]},
        },
        {"errors": {"from": [error], "to": []}, "warnings": {"from": [], "to": [warning]}},
    ]
    uid = made.uid.hex()
    assert vendor.told()[1:] == [("ConnectedAccount.Updated", {"uid": uid, "changes": each}) for each in changes]
    now = vendor.get(made.uid)
    assert (now.name, now.state, now.custom_metadata, now.errors, now.version) == (
        "Quay", "connected", {"region": True}, (), 4,
    )  # fmt: skip


def test_change_to_what_is_so_already_is_none(vendor: Vendor) -> None:
    made = vendor.create(custom_metadata={"a": "1"})
    vendor.update(made.uid, errors=(NO_PERMISSION,))
    before, told = vendor.get(made.uid), vendor.told()
    assert vendor.update(made.uid, name=made.name, custom_metadata={"a": "1"}, errors=(NO_PERMISSION,)) == before
    assert vendor.update(made.uid) == before
    assert (vendor.get(made.uid), vendor.told()) == (before, told)


def test_deleted_account_is_told_and_gone(vendor: Vendor) -> None:
    made = vendor.create(custom_metadata={"region": "north"})
    vendor.change(releasing.delete_connected_account, made.uid)
    assert vendor.told()[1:] == [("connected_account.deleted", flat(made))]
    with pytest.raises(NotFound):
        vendor.get(made.uid)


CHANGES: tuple[Callable[..., Any], ...] = (
    partial(actions.update, patch=AccountPatch(name="x")),
    actions.disconnect,
    actions.reconnect,
    releasing.delete_connected_account,
)


@pytest.mark.parametrize("action", CHANGES)
def test_nothing_changes_when_another_version_was_expected(vendor: Vendor, action: Any) -> None:
    made = vendor.create()
    with pytest.raises(PreconditionFailed):
        vendor.change(action, made.uid, version=2)
    assert vendor.get(made.uid) == made
    assert len(vendor.told()) == 1


@pytest.mark.parametrize("action", CHANGES)
def test_another_organization_s_is_as_unknown_as_any(vendor: Vendor, action: Any) -> None:
    theirs = vendor.create(vendor.there)
    for uid in (theirs.uid, new_uid()):
        with pytest.raises(NotFound, match=r"There is no such connected account\."):
            vendor.change(action, uid)
        with pytest.raises(NotFound):
            vendor.get(uid)
    assert vendor.get(theirs.uid, vendor.there) == theirs
    assert vendor.names() == []


def test_company_has_none(vendor: Vendor) -> None:
    with pytest.raises(Conflict):
        vendor.create(vendor.fleet.above)


# -- listing --------------------------------------------------------------------------------------------------------


def test_list_shows_those_that_pass_every_filter(vendor: Vendor) -> None:
    for name, provider in (("Äußerer Gang", "august"), ("Lobby", "august"), ("lobby two", "salto_ks"), ("Bar", "yale")):
        made = vendor.create(name=name, provider=provider)
        if name.lower().startswith("lobby"):
            vendor.change(actions.disconnect, made.uid)
    vendor.create(vendor.there, name="Lobby")
    assert vendor.names() == ["Äußerer Gang", "Lobby", "lobby two", "Bar"]
    assert vendor.names(states=("disconnected",)) == ["Lobby", "lobby two"]
    assert vendor.names(states=("disconnected", "connected"), providers=("yale", "august")) == [
        "Äußerer Gang", "Lobby", "Bar",
    ]  # fmt: skip
    assert vendor.names(providers=("August",)) == []
    assert vendor.names(name_prefix=fold_prefix("LOBBY")) == ["Lobby", "lobby two"]
    assert vendor.names(name_prefix=fold_prefix("lobby ")) == ["lobby two"]
    assert vendor.names(name_prefix=fold_prefix("äuSS"), states=("connected",)) == ["Äußerer Gang"]


def test_pages_hold_every_account_once_whatever_their_size(vendor: Vendor) -> None:
    made = [vendor.create(name=f"account {n}", provider="a" if n % 3 else "b").uid for n in range(13)]
    wanted = AccountFilter(providers=("a",))
    expected = [uid for n, uid in enumerate(made) if n % 3]
    for size in Random(4).sample(range(1, 12), 4):
        found: list[bytes] = []
        after: bytes | None = b""
        while after is not None:
            page, after = vendor.fleet.read(actions.list_accounts, vendor.here, wanted, after, size)
            assert len(page) <= size
            found += [account.uid for account in page]
        assert found == expected


# -- devices --------------------------------------------------------------------------------------------------------


def test_device_belongs_to_an_account_until_it_is_given_another(vendor: Vendor) -> None:
    one, other = vendor.create(), vendor.create()
    device, apart = vendor.device(one), vendor.device(None)
    assert vendor.present(device).settings.connected_account_uid == one.uid
    vendor.fleet.forget()
    for uid in (other.uid, other.uid, None):
        patch = devices.SettingsPatch(connected_account_uid=uid)
        vendor.fleet.write(devices.update, vendor.here, device.uid, None, patch)
    changes = [{"from": one.uid.hex(), "to": other.uid.hex()}, {"from": other.uid.hex()}]
    assert [told.body["changes"] for told in vendor.fleet.told()] == [{"connectedAccountUid": each} for each in changes]

    vendor.device(other)

    def found(*uids: bytes) -> int:
        wanted = DeviceFilter(connected_account_uids=uids)
        return len(vendor.fleet.read(devices.list_devices, vendor.here, wanted, b"", 10)[0])

    assert [found(), found(one.uid), found(other.uid), found(one.uid, other.uid)] == [3, 0, 1, 1]
    assert vendor.present(apart).settings.connected_account_uid is None


def test_device_cannot_belong_to_what_does_not_exist_here(vendor: Vendor) -> None:
    theirs, device = vendor.create(vendor.there), vendor.device(None)
    vendor.fleet.forget()
    for uid in (theirs.uid, new_uid()):
        for act in (
            partial(devices.create, identity=somebody(), settings=Settings(connected_account_uid=uid)),
            partial(
                devices.update, uid=device.uid, version=None, patch=devices.SettingsPatch(connected_account_uid=uid)
            ),
        ):
            with pytest.raises(Invalid) as refused:
                vendor.fleet.write(partial(act, scope=vendor.here))
            (fault,) = refused.value.faults
            assert (fault.pointer, fault.rule) == ("/connectedAccountUid", "unknown-connected-account")
    assert vendor.fleet.told() == []


def test_device_that_leaves_belongs_to_no_account(vendor: Vendor) -> None:
    account = vendor.create()
    device, moved = vendor.device(account), vendor.device(account)
    after = vendor.fleet.write(releasing.deprovision, vendor.here, device.uid, None)
    assert after.settings.connected_account_uid is None
    there, _ = vendor.fleet.write(releasing.move, vendor.here, vendor.there, moved.uid, None)
    assert there.settings.connected_account_uid is None


def test_device_keeps_its_account_when_it_registers_again_and_is_reset(vendor: Vendor) -> None:
    account = vendor.create()
    recipe = vendor.fleet.recipe(somebody(), name="Lobby", on_repeat="reset")
    uid = vendor.fleet.register(recipe.identity).device.uid  # type: ignore[union-attr]
    patch = devices.SettingsPatch(name="changed", connected_account_uid=account.uid)
    vendor.fleet.write(devices.update, vendor.here, uid, None, patch)
    vendor.fleet.register(recipe.identity)
    device = vendor.fleet.device(uid)
    assert device is not None
    assert (device.settings.name, device.settings.connected_account_uid) == ("Lobby", account.uid)


def test_devices_lose_a_deleted_account_at_once_or_by_a_job(vendor: Vendor) -> None:
    account, other = vendor.create(), vendor.create()
    of_other = vendor.device(other)
    several = [vendor.device(account) for _ in range(releasing.AT_ONCE + 3)]
    vendor.fleet.forget()
    vendor.change(releasing.delete_connected_account, account.uid)
    assert vendor.fleet.types() == [
        "connected_account.deleted", *["Updated"] * releasing.AT_ONCE, "Job.Started",
    ]  # fmt: skip
    failures: list[tuple[str, str]] = []
    kinds = {releasing.DETACHING.name: releasing.DETACHING}
    Runner(vendor.fleet.store, kinds, lambda *told: failures.append(told), pause_seconds=0.0).run_pending()
    assert failures == []
    told = [one.body for one in vendor.fleet.told() if one.type == "Device.Updated"]
    gone = {"connectedAccountUid": {"from": account.uid.hex()}}
    assert told == [{"uid": device.uid.hex(), "changes": gone} for device in several[releasing.AT_ONCE :]]
    left = [vendor.present(device) for device in several]
    assert {(device.settings.connected_account_uid, device.version) for device in left} == {(None, 2)}
    assert vendor.present(of_other) == of_other
