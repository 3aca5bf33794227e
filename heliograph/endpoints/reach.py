"""Which endpoints get the events of which logs; whoever publishes asks here, so nothing here publishes."""

from __future__ import annotations

import secrets

from heliograph.endpoints import store
from heliograph.endpoints.model import Endpoint
from heliograph.storage.engine import Transaction
from heliograph.tenancy.model import Scope


def receiving(tx: Transaction, scope: Scope) -> list[Endpoint]:
    """Return the endpoints that get the events of the tenant's log from now on: its own, and those above it."""
    return [one for one in store.reaching(tx, scope) if one.state != "disabled"]


def extend(tx: Transaction, scope: Scope, owner: Scope, endpoint_uid: bytes) -> None:
    """Let an endpoint of `owner` have the events of the scope's log, exactly from its next one on."""
    store.insert_reach(tx, scope, owner.tenant_id, endpoint_uid)
    renew(tx, scope)


def withdraw(tx: Transaction, scope: Scope, endpoint_uid: bytes) -> None:
    """Let an endpoint have no more of the scope's log."""
    store.delete_reach(tx, scope, endpoint_uid)
    renew(tx, scope)


def renew(tx: Transaction, scope: Scope) -> None:
    """Give the set of endpoints that get the scope's log a version that it never had.

    A random one: a version counted up by a transaction that is undone would come again for another set.
    """
    store.set_version(tx, scope, secrets.randbits(62))


def inherit(tx: Transaction, scope: Scope, parent: Scope) -> None:
    """Let the endpoints of all above a new tenant have its events from the first on."""
    for reach in store.reaches_of(tx, parent):
        store.insert_reach(tx, scope, reach.owner_id, reach.endpoint_uid)
    renew(tx, scope)
