"""Every event gets a delivery for each endpoint that wants it, in the transaction that stores the event."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from heliograph.delivery import store
from heliograph.delivery.due import store as due
from heliograph.endpoints import reach
from heliograph.endpoints.events import TEST_TYPE
from heliograph.endpoints.matching import Destination, Matcher
from heliograph.eventlog.model import Prepared
from heliograph.storage.engine import Transaction
from heliograph.tenancy.model import Scope

MOST_DELIVERIES = 50_000
"""What one request of several events may make of them: one transaction writes them all, and others wait for it."""

WAKE = "deliveries are due"
"""In the engine's memory: what to call with a tenant's number once something is due there."""


def fan_out(tx: Transaction, scope: Scope, version: int, seq: int, events: Sequence[Prepared]) -> None:
    """Write the deliveries of events that stand in the log from `seq` on, with one write for all.

    `version` is that of the tenant's set of endpoints, as it stood on the locked head of the log.
    """
    matcher = _matcher(tx, scope, version)
    if not matcher.size:
        return
    rows = [
        store.new_delivery(scope, destination.uid, seq + n, event, tx.now, keeps_order=destination.keeps_order)
        for n, event in enumerate(events)
        for destination in _destinations(matcher, event)
    ]
    if not rows:
        return
    store.insert_deliveries(tx, scope, rows)
    due.note_due(tx, scope, tx.now)
    wake_after_commit(tx, scope.tenant_id)


def is_too_much(tx: Transaction, scope: Scope, version: int, events: Sequence[Prepared]) -> bool:
    """Tell whether events that were sent together would make more than `MOST_DELIVERIES`; a single one never does."""
    if len(events) < 2:
        return False
    matcher = _matcher(tx, scope, version)
    if len(events) * matcher.size <= MOST_DELIVERIES:
        return False
    return sum(len(_destinations(matcher, event)) for event in events) > MOST_DELIVERIES


def wake_after_commit(tx: Transaction, tenant_id: int) -> None:
    """Tell the worker of this process, if there is one, that something will be due in a tenant."""
    wake = tx.memory.get(WAKE)
    if wake is not None:
        tx.after_commit(partial(wake, tenant_id))


def _destinations(matcher: Matcher, event: Prepared) -> tuple[Destination, ...]:
    # The type is the platform's own, so no caller can send an event to one endpoint past its filters.
    if event.type == TEST_TYPE:
        return matcher.only(event.target_id_key)
    return matcher.match((event.type, event.family, event.criticality, event.code, event.target_type))


def _matcher(tx: Transaction, scope: Scope, version: int) -> Matcher:
    """Return what finds the endpoints of the tenant's events; a version stands for one set, and never for another."""
    name = ("endpoints", scope.tenant_id)
    known = tx.memory.get(name)
    if known is None or known[0] != version:
        known = tx.memory[name] = (version, Matcher(reach.receiving(tx, scope)))
    matcher: Matcher = known[1]
    return matcher
