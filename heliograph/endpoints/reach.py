"""Which endpoints get the events of which logs; whoever publishes asks here, so nothing here publishes."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from heliograph.endpoints import store
from heliograph.endpoints.model import Endpoint
from heliograph.storage.engine import Transaction
from heliograph.tenancy.model import Scope


def receiving(tx: Transaction, scope: Scope) -> list[Endpoint]:
    """Return the endpoints that get the events of the tenant's log from now on: its own, and those above it."""
    return [one for one in store.reaching(tx, scope) if one.state != "disabled"]


def owner_of(tx: Transaction, scope: Scope, endpoint_uid: bytes) -> int | None:
    """Return the number of the tenant that owns an endpoint which gets the events of the scope's log."""
    return store.owner_of(tx, scope, endpoint_uid)


def begin(tx: Transaction, scope: Scope, endpoint_uid: bytes, tenant_ids: Sequence[int]) -> None:
    """Let an endpoint of the scope's tenant have the events of these tenants' logs, exactly from their next ones on."""
    store.insert_reaches(tx, scope, endpoint_uid, tenant_ids)
    renew(tx, scope, endpoint_uid)


def end(tx: Transaction, scope: Scope, endpoint_uid: bytes) -> None:
    """Let an endpoint of the scope's tenant have no more of any log."""
    renew(tx, scope, endpoint_uid)
    store.delete_reaches(tx, scope, endpoint_uid)


def renew(tx: Transaction, scope: Scope, endpoint_uid: bytes) -> None:
    """Give every log that an endpoint reaches a version of its set of endpoints that it never had.

    To be called right behind a change of what the endpoint gets, before anything else is published: what finds the
    endpoints is remembered under the version. A random one, for a version counted up by a transaction that is undone
    would come again for another set.
    """
    store.set_versions(tx, scope, endpoint_uid, _new_version())


def inherit(tx: Transaction, scope: Scope, parent: Scope) -> None:
    """Let the endpoints of all above a new tenant have its events from the first on."""
    store.inherit_reaches(tx, scope, parent)
    store.set_version(tx, scope, _new_version())


def _new_version() -> int:
    return secrets.randbits(62)
