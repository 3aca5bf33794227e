"""What can be done with deliveries: find them and the attempts at them, have one sent again, forget old ones."""

from __future__ import annotations

from heliograph.clock import MICROSECONDS
from heliograph.delivery import store
from heliograph.delivery.due import store as due
from heliograph.delivery.fanout import wake_after_commit
from heliograph.delivery.model import AttemptRecord, Delivery, DeliveryFilter
from heliograph.errors import Conflict, NotFound
from heliograph.eventlog import query
from heliograph.eventlog.paging import get_event
from heliograph.ids import Uid
from heliograph.storage.engine import Transaction
from heliograph.tenancy.model import Scope

EXAMINED = 1000
"""Deliveries that one page looks at; it is shorter than asked for where few of them pass the filter."""

Place = tuple[int, int, bytes]
"""(tenant, seq, endpoint): the last delivery that a page looked at."""

COUNTS_KEPT = 2 * 86_400 * MICROSECONDS
"""How long attempts stay counted: a day is what is asked for."""

_NEWEST = 2**62


def list_deliveries(
    tx: Transaction, scope: Scope, wanted: DeliveryFilter, after: Place | None, limit: int
) -> tuple[list[Delivery], Place | None]:
    """Return a page of deliveries, and the place to go on after, None at the end.

    Those of one tenant stand together, the newest event first; the tenants of a subtree follow in their order. A page
    may be short, or empty, and still not be the last.
    """
    left = EXAMINED
    found: list[Delivery] = []
    for tenant_id, tenant_uid in sorted(scope.tenants):
        if after is not None and tenant_id < after[0]:
            continue
        before = (_NEWEST, b"")
        if after is not None and tenant_id == after[0]:
            before = (after[1], after[2])
        part = scope.narrowed(tenant_id, tenant_uid)
        seqs = _seqs(tx, part, wanted)
        if seqs is None or seqs[0] >= seqs[1]:
            continue
        while left > 0:
            step = min(left, max(2 * limit, 100))
            rows = store.list_some(tx, part, wanted, seqs, before, step)
            left -= max(1, len(rows))
            for row in rows:
                before = (row.seq, row.endpoint_uid)
                if _accepts(wanted, row):
                    found.append(row)
                    if len(found) == limit:
                        return found, (tenant_id, *before)
            if len(rows) < step:
                break
        else:
            return found, (tenant_id, *before)
    return found, None


def _seqs(tx: Transaction, scope: Scope, wanted: DeliveryFilter) -> tuple[int, int] | None:
    """Return the part of the log that the wanted deliveries' events stand in, or None where there is none."""
    if wanted.event_uid is not None:
        event = get_event(tx, scope, Uid(wanted.event_uid))
        return None if event is None else (event.seq, event.seq + 1)
    low = 0 if wanted.since is None else query.seq_at(tx, scope, wanted.since, store.head_of(tx, scope))
    high = _NEWEST if wanted.until is None else query.seq_at(tx, scope, wanted.until, store.head_of(tx, scope))
    return low, high


def _accepts(wanted: DeliveryFilter, one: Delivery) -> bool:
    return (not wanted.states or one.state in wanted.states) and (
        not wanted.error_classes or one.error_class in wanted.error_classes
    )


def get(tx: Transaction, scope: Scope, endpoint_uid: bytes, seq: int) -> Delivery:
    """Return one delivery of an event of the tenant.

    Raises:
        NotFound: when there is none.
    """
    delivery = store.find(tx, scope, endpoint_uid, seq)
    if delivery is None:
        raise NotFound("There is no such delivery.")
    return delivery


def list_attempts(
    tx: Transaction, scope: Scope, endpoint_uid: bytes, seq: int, after: int, limit: int
) -> tuple[list[AttemptRecord], int | None]:
    """Return a page of the attempts at a delivery, the first one first, and the number to go on after.

    Raises:
        NotFound: when there is no such delivery.
    """
    get(tx, scope, endpoint_uid, seq)
    found = store.list_attempts(tx, scope, endpoint_uid, seq, after, limit + 1)
    return found[:limit], found[limit - 1].number if len(found) > limit else None


def resend(tx: Transaction, scope: Scope, endpoint_uid: bytes, seq: int) -> Delivery:
    """Let a delivery be tried again from now on, by the whole schedule; also one that was delivered.

    One that is being tried at this moment is left as it is. With a paused or disabled endpoint it waits.

    Raises:
        NotFound: when there is no such delivery.
        Conflict: when its endpoint is no more, or does not get the tenant's events any more.
    """
    get(tx, scope, endpoint_uid, seq)
    if not store.is_reached(tx, scope, endpoint_uid):
        raise Conflict("The endpoint of this delivery was removed.")
    store.renew(tx, scope, endpoint_uid, seq)
    due.note_due(tx, scope, tx.now)
    wake_after_commit(tx, scope.tenant_id)
    return get(tx, scope, endpoint_uid, seq)


def forget(tx: Transaction, scope: Scope, *, kept_days: int, limit: int) -> bool:
    """Look at `limit` deliveries and remove those settled longer ago; tell whether there may be more.

    Where the next look goes on is remembered in this process only: whoever begins anew finds what is left.
    """
    store.forget_counts(tx, scope, tx.now - COUNTS_KEPT)
    name = ("deliveries looked at", scope.tenant_id)
    after = tx.memory.get(name, (-1, b""))
    place = store.forget(tx, scope, tx.now - kept_days * 86_400 * MICROSECONDS, after, limit)
    if place is None:
        tx.memory.pop(name, None)
        return False
    tx.memory[name] = place
    return True


def tenants_with_deliveries(tx: Transaction) -> list[int]:
    """Return the tenants in which there may be deliveries to forget."""
    return due.tenants_with_deliveries(tx)
