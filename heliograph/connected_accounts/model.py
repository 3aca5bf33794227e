"""Connected accounts: a vendor's account, through which the devices that belong to it are reached."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import msgspec

from heliograph.devices.model import Condition, CustomMetadata, WantedMetadata, mentions, notes
from heliograph.presence.model import Complaint
from heliograph.times import print_time

State = Literal["connected", "disconnected"]

LONGEST_NAME = 255
LONGEST_PROVIDER = 100

ACCOUNT_DISCONNECTED = Complaint("account_disconnected", "The account is disconnected.")
"""The error of an account that is disconnected without a word why; codes are open, this one is Seam's."""


class ConnectedAccount(msgspec.Struct, frozen=True, kw_only=True):
    """An account at a vendor, the `provider`. Times in microseconds UTC; `version` rises with every change."""

    uid: bytes
    name: str
    provider: str
    state: State = "connected"
    custom_metadata: CustomMetadata = {}
    errors: tuple[Condition, ...] = ()
    warnings: tuple[Condition, ...] = ()
    created_at: int
    updated_at: int
    version: int = 1


class AccountFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which accounts a list shows: those that pass every filter given; `name_prefix` as `fold_prefix` returns it.

    `search` is a part of a uid, the name, the provider or a text of the custom metadata.
    """

    uids: tuple[bytes, ...] = ()
    states: tuple[State, ...] = ()
    providers: tuple[str, ...] = ()
    name_prefix: str | None = None
    metadata_has: WantedMetadata = {}
    search: str | None = None

    @property
    def sieve(self) -> Callable[[ConnectedAccount], bool] | None:
        """Tells which accounts pass those filters that the database does not answer; None when none is given."""
        return self._passes if self.metadata_has or self.search else None

    def _passes(self, account: ConnectedAccount) -> bool:
        texts, metadata = (account.name, account.provider), account.custom_metadata
        return notes(metadata, self.metadata_has) and (
            not self.search or mentions(self.search, (account.uid,), texts, metadata)
        )


def conditions_of(before: Sequence[Condition], given: Sequence[Complaint], at: int) -> tuple[Condition, ...]:
    """Return the conditions after new ones took their place; one that goes on keeps the time at which it began."""
    began = {condition.code: condition.created_at for condition in before}
    return tuple(Condition(one.code, one.message, began.get(one.code, print_time(at))) for one in given)


def disconnected(account: ConnectedAccount, reason: Complaint, at: int) -> ConnectedAccount:
    """Return the account without its connection: the reason is one of its errors."""
    others = [Complaint(one.code, one.message) for one in account.errors if one.code != reason.code]
    errors = conditions_of(account.errors, [*others, reason], at)
    return msgspec.structs.replace(account, state="disconnected", errors=errors)


def reconnected(account: ConnectedAccount) -> ConnectedAccount:
    """Return the account with its connection: its errors are over, its warnings stay."""
    return msgspec.structs.replace(account, state="connected", errors=())
