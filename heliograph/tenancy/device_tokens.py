"""A device's own token: shown once, stored hashed, good for its own reports and for nothing else."""

from __future__ import annotations

import hmac

from heliograph.ids import Secret, new_token
from heliograph.storage.engine import Transaction
from heliograph.tenancy import store
from heliograph.tenancy.access import hash_token
from heliograph.tenancy.model import Scope

TOKEN_PREFIX = "hgd_"  # noqa: S105 - the public beginning of every token


def issue(tx: Transaction, scope: Scope, device_uid: bytes) -> Secret:
    """Make the one token of a device of the scope's tenant; an older one ends."""
    end(tx, scope, device_uid)
    token = new_token(TOKEN_PREFIX)
    store.insert_device_token(tx, scope, device_uid, hash_token(token.reveal()))
    return token


def end(tx: Transaction, scope: Scope, device_uid: bytes) -> None:
    """End the device's token, if it has one."""
    store.delete_device_tokens(tx, scope, device_uid)


def is_token_of(tx: Transaction, scope: Scope, device_uid: bytes, token: str) -> bool:
    """Tell whether that is the device's present token."""
    presented = hash_token(token)
    return any(hmac.compare_digest(presented, kept) for kept in store.device_token_hashes(tx, scope, device_uid))


def exists(tx: Transaction, scope: Scope, device_uid: bytes) -> bool:
    """Tell whether the device has a token; an enrolled device has none only when it never was given one."""
    return bool(store.device_token_hashes(tx, scope, device_uid))
