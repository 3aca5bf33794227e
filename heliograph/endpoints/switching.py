"""Endpoints are paused and resumed, disabled and enabled.

A paused endpoint goes on to get deliveries, which wait. A disabled one gets none: what comes meanwhile is kept as an
interval of each log, so that it can be told, and recovered.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec import UNSET

from heliograph.delivery import backlog
from heliograph.endpoints import events, reach, store
from heliograph.endpoints.actions import get, record, require_locked, save
from heliograph.endpoints.model import DisabledReason, Endpoint
from heliograph.errors import Conflict, require_version
from heliograph.storage.engine import Transaction
from heliograph.tenancy.model import Scope
from heliograph.times import print_time


def pause(tx: Transaction, scope: Scope, uid: bytes, version: int | None) -> Endpoint:
    """Hold back what is for an endpoint. Again changes nothing.

    Raises:
        NotFound, PreconditionFailed: as for every change of a resource.
        Conflict: when it is disabled.
    """
    endpoint = _present(tx, scope, uid, version)
    if endpoint.state == "disabled":
        raise Conflict("A disabled endpoint gets nothing that could be held back.")
    if endpoint.state == "paused":
        return endpoint
    endpoint = save(tx, scope, endpoint, state="paused")
    record(tx, scope, events.PAUSED, endpoint)
    return endpoint


def resume(tx: Transaction, scope: Scope, uid: bytes, version: int | None) -> Endpoint:
    """Let a paused endpoint have what was held back. Again changes nothing.

    Raises:
        NotFound, PreconditionFailed: as for every change of a resource.
        Conflict: when it is disabled.
    """
    endpoint = _present(tx, scope, uid, version)
    if endpoint.state == "disabled":
        raise Conflict("The endpoint is disabled, not paused; enable it.")
    if endpoint.state == "active":
        return endpoint
    endpoint = save(tx, scope, endpoint, state="active")
    record(tx, scope, events.RESUMED, endpoint)
    backlog.wake(tx, scope, uid, store.reached_by(tx, scope, uid))
    return endpoint


def disable(
    tx: Transaction,
    scope: Scope,
    uid: bytes,
    version: int | None,
    tenants: Sequence[int],
    reason: DisabledReason = "caller",
) -> Endpoint:
    """Let an endpoint get nothing from the next event of each log on. Again changes nothing.

    What it had to get before waits until it is enabled.

    Raises:
        NotFound, PreconditionFailed: as for every change of a resource.
        TenantsAdded: when `tenants` are not all that it reaches.
    """
    endpoint = _present(tx, scope, uid, version)
    if endpoint.state == "disabled":
        return endpoint
    require_locked(tx, scope, tenants)
    health = msgspec.structs.replace(endpoint.health, disabled_at=tx.now, disabled_reason=reason)
    store.save_health(tx, scope, uid, health)
    store.open_gaps(tx, scope, uid)
    endpoint = save(tx, scope, endpoint, state="disabled", health=health)
    reach.renew(tx, scope, uid)
    failing = reason != "caller" and health.failing_since is not None
    record(
        tx, scope, events.DISABLED, endpoint, reason=reason,
        failing_since=print_time(health.failing_since) if failing and health.failing_since else UNSET,
        last_error=(health.last_error or UNSET) if failing else UNSET,
    )  # fmt: skip
    return endpoint


def enable(tx: Transaction, scope: Scope, uid: bytes, version: int | None, tenants: Sequence[int]) -> Endpoint:
    """Let a disabled endpoint have what comes from the next event of each log on, and what it had to get before.

    Its failures are forgotten: it gets the whole time again before it is warned about and disabled. Again changes
    nothing.

    Raises:
        NotFound, PreconditionFailed: as for every change of a resource.
        TenantsAdded: when `tenants` are not all that it reaches.
    """
    endpoint = _present(tx, scope, uid, version)
    if endpoint.state != "disabled":
        return endpoint
    require_locked(tx, scope, tenants)
    health = msgspec.structs.replace(endpoint.health.forgiven(), disabled_at=None, disabled_reason=None)
    store.save_health(tx, scope, uid, health)
    endpoint = save(tx, scope, endpoint, state="active", health=health)
    store.close_gaps(tx, scope, uid)
    reach.renew(tx, scope, uid)
    record(tx, scope, events.ENABLED, endpoint)
    backlog.wake(tx, scope, uid, tenants)
    return endpoint


def _present(tx: Transaction, scope: Scope, uid: bytes, version: int | None) -> Endpoint:
    endpoint = get(tx, scope, uid, lock=True)
    require_version(version, endpoint.version)
    return endpoint
