"""What is still to be delivered to one endpoint, for those who look after the endpoint: counted, woken, cancelled."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import msgspec

from heliograph.clock import MICROSECONDS
from heliograph.delivery import store
from heliograph.delivery.due import store as due
from heliograph.delivery.fanout import wake_after_commit
from heliograph.ids import as_hex
from heliograph.jobs import actions as jobs
from heliograph.jobs.model import Advance, Chunk, JobContext, JobKind
from heliograph.storage.engine import Transaction
from heliograph.tenancy.access import as_system, tenants_below
from heliograph.tenancy.model import Scope

AT_ONCE = 500
"""Deliveries that one transaction cancels."""

MOST_COUNTED = 10_000
"""Deliveries that one figure looks at."""

HOUR, DAY = 3600 * MICROSECONDS, 86_400 * MICROSECONDS


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """How much waits for an endpoint, and how the attempts of the last hour and day ended, by their class.

    A backlog that reached 10,000 stands for that many or more. Attempts are counted by periods of five minutes, of
    which the first counts whole. `oldest_due` in microseconds UTC.
    """

    backlog: int
    oldest_due: int | None
    last_hour: dict[str, int]
    last_day: dict[str, int]


def figures(tx: Transaction, scope: Scope, endpoint_uid: bytes) -> Figures:
    """Return the figures of an endpoint of the scope's tenant, over all logs whose events it gets."""
    return Figures(
        backlog=store.count_pending(tx, scope, endpoint_uid, MOST_COUNTED),
        oldest_due=store.oldest_due(tx, scope, endpoint_uid),
        last_hour=store.count_attempts(tx, scope, endpoint_uid, tx.now - HOUR),
        last_day=store.count_attempts(tx, scope, endpoint_uid, tx.now - DAY),
    )


def wake(tx: Transaction, scope: Scope, endpoint_uid: bytes, tenant_ids: Sequence[int]) -> None:
    """Let workers look at what was held back for an endpoint of the scope's tenant in these tenants."""
    due.note_due_for(tx, scope, endpoint_uid, tx.now)
    for tenant_id in tenant_ids:
        wake_after_commit(tx, tenant_id)


def cancel_some(tx: Transaction, scope: Scope, endpoint_uid: bytes, tenants: Sequence[int]) -> bool:
    """Cancel what is pending for an endpoint of the scope's tenant in these tenants, unless it is much.

    Tells whether it is, so that `cancel_rest` is to follow.
    """
    waiting = store.count_pending(tx, scope, endpoint_uid, AT_ONCE + 1)
    if waiting > AT_ONCE:
        return True
    for tenant_id in tenants if waiting else ():
        store.cancel_pending(tx, as_system(tx, tenant_id), endpoint_uid, AT_ONCE)
    return False


def cancel_rest(tx: Transaction, scope: Scope, endpoint_uid: bytes) -> None:
    """Begin the job that cancels what is pending for an endpoint that the scope's tenant has no more."""
    # The platform's own work: it must not stay half done when the account that deleted is revoked meanwhile.
    own = as_system(tx, scope.tenant_id)
    jobs.start(tx, own, CANCELLING.name, {"endpointUid": as_hex(endpoint_uid)}, limited=False)


class _Cancel:
    """One chunk of the job that cancels, in one tenant; `cancelled` tells afterwards how many it was."""

    def __init__(self, endpoint_uid: bytes, tenant_id: int, done: int) -> None:
        self._endpoint_uid = endpoint_uid
        self._tenant_id = tenant_id
        self._done = done
        self.cancelled = 0

    def apply(self, tx: Transaction, scope: Scope) -> Advance:
        """Cancel the next deliveries; a company's endpoint has them in the tenants below it."""
        del scope
        self.cancelled = store.cancel_pending(tx, as_system(tx, self._tenant_id), self._endpoint_uid, AT_ONCE)
        return Advance(position=self._tenant_id, done=self._done + self.cancelled)


def _chunks(context: JobContext) -> Iterator[Chunk]:
    endpoint_uid = bytes.fromhex(context.job.parameters["endpointUid"])
    position, done = context.job.position or 0, context.job.done
    # A tenant that was added since has nothing for the endpoint, and does no harm.
    for tenant_id in context.read(partial(tenants_below, scope=context.scope)):
        more = tenant_id >= position
        while more:
            chunk = _Cancel(endpoint_uid, tenant_id, done)
            yield chunk
            done += chunk.cancelled
            more = chunk.cancelled == AT_ONCE


CANCELLING = JobKind(
    name="cancel-deliveries",
    read="read endpoint.tenant",
    change="delete endpoint.tenant",
    open=_chunks,
    cancellable=False,
)
"""The job that cancels what was pending for an endpoint when it was removed."""
