"""What is to be told of access codes beside themselves, read for all of them at once."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from heliograph.access_codes import actions
from heliograph.access_codes.model import AccessCode, CodeFilter
from heliograph.connected_accounts import actions as connected_accounts
from heliograph.connected_accounts.model import ConnectedAccount
from heliograph.devices import actions as devices
from heliograph.devices.model import Device
from heliograph.operations import actions as operations
from heliograph.operations.model import Operation
from heliograph.storage.engine import Transaction
from heliograph.tenancy.model import Scope


class CodeSurroundings(msgspec.Struct, frozen=True):
    """The locks that codes are on and the accounts that these belong to, by uid, and what is to be done about codes."""

    devices: dict[bytes, Device]
    accounts: dict[bytes, ConnectedAccount]
    operations: dict[bytes, Operation]

    def account_of(self, device: Device) -> ConnectedAccount | None:
        """Return the account that a lock belongs to, if any."""
        uid = device.settings.connected_account_uid
        return None if uid is None else self.accounts.get(uid)


def list_around(
    tx: Transaction, scope: Scope, wanted: CodeFilter, after: bytes, limit: int
) -> tuple[tuple[list[AccessCode], CodeSurroundings], bytes | None]:
    """Return a page of codes with their surroundings, and the uid to go on after, as `actions.list_codes`."""
    page, last = actions.list_codes(tx, scope, wanted, after, limit)
    return (page, around(tx, scope, page)), last


def around(tx: Transaction, scope: Scope, codes: Iterable[AccessCode]) -> CodeSurroundings:
    """Read the surroundings of some codes."""
    codes = list(codes)
    locks = devices.by_uid(tx, scope, {code.device_uid for code in codes})
    settings = [lock.settings for lock in locks.values()]
    owners = {one.connected_account_uid for one in settings if one.connected_account_uid is not None}
    pending = operations.pending_about(tx, scope, [code.uid for code in codes if code.managed])
    return CodeSurroundings(locks, connected_accounts.by_uid(tx, scope, owners), pending)
