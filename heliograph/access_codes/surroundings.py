"""What is to be told of access codes beside themselves, read for all of them at once."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import msgspec

from heliograph.access_codes import actions
from heliograph.access_codes.model import AccessCode, CodeFilter
from heliograph.connected_accounts import actions as connected_accounts
from heliograph.connected_accounts.model import ConnectedAccount
from heliograph.devices import actions as devices
from heliograph.devices.model import Device
from heliograph.errors import NotFound
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


Found = tuple[list[AccessCode], CodeSurroundings]


def list_around(
    tx: Transaction, scope: Scope, wanted: CodeFilter, after: bytes, limit: int
) -> tuple[Found, bytes | None]:
    """Return a page of codes with their surroundings, and the uid to go on after, as `actions.list_codes`.

    Raises:
        NotFound: when the organization has no such device as one that is named.
    """
    require_locks(tx, scope, wanted.device_uids)
    page, last = actions.list_codes(tx, scope, wanted, after, limit)
    return (page, around(tx, scope, page)), last


def show(tx: Transaction, scope: Scope, uid: bytes, device_uid: bytes | None, *, managed: bool) -> Found:
    """Return a code with its surroundings; `device_uid` is the lock that it must be on, None for any.

    Raises:
        NotFound: when there is no such code.
    """
    code = actions.get_of_kind(tx, scope, uid, device_uid, managed=managed)
    return [code], around(tx, scope, [code])


def show_with_pin(tx: Transaction, scope: Scope, device_uid: bytes, pin_index: bytes, *, managed: bool) -> Found:
    """Return the code of a lock that has a PIN, with its surroundings.

    Raises:
        NotFound: when there is no such code.
    """
    code = actions.find_by_pin(tx, scope, device_uid, pin_index, managed=managed)
    return [code], around(tx, scope, [code])


def require_locks(tx: Transaction, scope: Scope, uids: Collection[bytes]) -> None:
    """Make sure that devices belong to the organization.

    Raises:
        NotFound: when one does not, or no longer.
    """
    found = devices.by_uid(tx, scope, uids)
    if any(uid not in found or found[uid].state != "enrolled" for uid in uids):
        raise NotFound("There is no such device.")


def around(tx: Transaction, scope: Scope, codes: Iterable[AccessCode]) -> CodeSurroundings:
    """Read the surroundings of some codes."""
    codes = list(codes)
    locks = devices.by_uid(tx, scope, {code.device_uid for code in codes})
    settings = [lock.settings for lock in locks.values()]
    owners = {one.connected_account_uid for one in settings if one.connected_account_uid is not None}
    pending = operations.pending_about(tx, scope, [code.uid for code in codes if code.managed])
    return CodeSurroundings(locks, connected_accounts.by_uid(tx, scope, owners), pending)
