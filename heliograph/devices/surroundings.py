"""What is to be told of devices beside themselves, read for all of them at once."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from heliograph.connected_accounts import actions as connected_accounts
from heliograph.connected_accounts.model import ConnectedAccount
from heliograph.devices import actions
from heliograph.devices.model import Device, DeviceFilter
from heliograph.references import actions as references
from heliograph.storage.engine import Transaction
from heliograph.tenancy.model import Scope


class DeviceSurroundings(msgspec.Struct, frozen=True):
    """The accounts that devices belong to and the names of the places where they are, by uid."""

    accounts: dict[bytes, ConnectedAccount]
    location_names: dict[bytes, str]

    def account_of(self, device: Device) -> ConnectedAccount | None:
        """Return the account that a device belongs to, if any."""
        uid = device.settings.connected_account_uid
        return None if uid is None else self.accounts.get(uid)

    def location_of(self, device: Device) -> str | None:
        """Return the name of the place where a device is, if it is known."""
        uid = device.settings.location_uid
        return None if uid is None else self.location_names.get(uid)


def list_around(
    tx: Transaction, scope: Scope, wanted: DeviceFilter, after: bytes, limit: int
) -> tuple[tuple[list[Device], DeviceSurroundings], bytes | None]:
    """Return a page of devices with their surroundings, and the uid to go on after, as `actions.list_devices`."""
    page, last = actions.list_devices(tx, scope, wanted, after, limit)
    return (page, around(tx, scope, page)), last


def around(tx: Transaction, scope: Scope, devices: Iterable[Device]) -> DeviceSurroundings:
    """Read the surroundings of some devices."""
    settings = [device.settings for device in devices]
    accounts = {one.connected_account_uid for one in settings if one.connected_account_uid is not None}
    locations = {one.location_uid for one in settings if one.location_uid is not None}
    return DeviceSurroundings(
        connected_accounts.by_uid(tx, scope, accounts), references.names_of(tx, scope, "location", locations)
    )
