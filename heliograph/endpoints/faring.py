"""How endpoints fare, as the worker that sends to them sees it: it reads them, notes it, warns and disables."""

from __future__ import annotations

from collections.abc import Callable, Collection

import msgspec
from msgspec import UNSET

from heliograph.endpoints import events, store
from heliograph.endpoints.actions import record
from heliograph.endpoints.model import DisabledReason, Endpoint, Health
from heliograph.endpoints.switching import disable
from heliograph.storage.engine import Transaction
from heliograph.tenancy.access import as_system, tenants_below
from heliograph.tenancy.model import Scope
from heliograph.times import print_time


def find(tx: Transaction, owner: Scope, uid: bytes) -> Endpoint | None:
    """Return an endpoint of its owner, if it is still there."""
    return store.find(tx, owner, uid)


def note(
    tx: Transaction, owner: Scope, uid: bytes, change: Callable[[Health], Health], url: str | None = None
) -> Health | None:
    """Change what is known of how an endpoint fares, from what is stored; None when the endpoint is no more.

    With `url`, what is to be noted is about the receiver there, and None also means that the endpoint has another by
    now.
    """
    endpoint = store.find(tx, owner, uid, lock=True)
    if endpoint is None or url not in (None, endpoint.url):
        return None
    health = change(endpoint.health)
    if health != endpoint.health:
        store.save_health(tx, owner, uid, health)
    return health


def warn(tx: Transaction, owner: Scope, uid: bytes) -> Health | None:
    """Tell once that nothing has reached an endpoint for long; nothing when it was told, or something did."""
    endpoint = store.find(tx, owner, uid, lock=True)
    if endpoint is None or endpoint.state == "disabled":
        return None
    health = endpoint.health
    if health.failing_since is None or health.warned_at is not None:
        return health
    health = msgspec.structs.replace(health, warned_at=tx.now)
    store.save_health(tx, owner, uid, health)
    record(
        tx, owner, events.WARNED, endpoint,
        failing_since=print_time(endpoint.health.failing_since or tx.now), last_error=health.last_error or UNSET,
    )  # fmt: skip
    return health


def give_up(tx: Transaction, owner: Scope, uid: bytes, tenants: Collection[int], reason: DisabledReason) -> bool:
    """Disable an endpoint that wants nothing more, or that nothing reaches; tell whether it is disabled now."""
    endpoint = store.find(tx, owner, uid, lock=True)
    if endpoint is None:
        return True
    if (endpoint.health.gone_at if reason == "gone" else endpoint.health.failing_since) is None:
        return False
    disable(tx, owner, uid, None, sorted(tenants), reason)
    return True


def touched(tx: Transaction, owner_id: int) -> list[int]:
    """Return the tenants whose logs are to be locked before an endpoint of that owner is disabled."""
    return tenants_below(tx, as_system(tx, owner_id))
