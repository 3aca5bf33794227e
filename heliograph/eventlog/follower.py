"""What is derived from the log is written behind it: the filter index follows each tenant's log in sorted chunks."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable
from functools import partial

from heliograph.errors import Unavailable
from heliograph.eventlog import store
from heliograph.storage.engine import Transaction
from heliograph.storage.store import Store
from heliograph.tenancy.access import system_scope
from heliograph.tenancy.model import Scope

log = logging.getLogger(__name__)

SMALL_CHUNK = 2_000
LARGE_CHUNK = 20_000
"""A large chunk costs less for each event and delays a commit for longer: only for a log far ahead."""


class IndexFollower:
    """Keeps every tenant's filter index close behind its log.

    While a log is at most `soft_lag` events ahead, indexing takes no more than `share` of the time, so that a burst
    is stored first; beyond it, indexing alternates with every commit, which slows ingest down to what it can follow.
    """

    def __init__(self, database: Store, *, share: float, soft_lag: int, linger: float, poll: float) -> None:
        self._database = database
        self._share = share
        self._soft_lag = soft_lag
        self._linger = linger
        self._poll = poll
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="index-follower", daemon=True)
        self.lag = 0
        """Events of all tenants that are stored and not yet indexed, when last looked."""

    def start(self) -> None:
        """Begin; what an earlier process left behind is caught up first."""
        self._wake.set()
        self._thread.start()

    def notice(self, tenant_ids: Iterable[int]) -> None:
        """Take note that something was committed."""
        del tenant_ids
        if not self._wake.is_set():
            self._wake.set()

    def stop(self) -> None:
        """End after the chunk at hand."""
        self._stop.set()
        self._wake.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            self._wake.wait(self._poll)
            if self._stop.wait(self._linger):
                return
            self._wake.clear()
            try:
                self._catch_up()
            except Unavailable:
                self._stop.wait(1.0)
            except Exception:
                log.exception("the filter index could not be written")
                self._stop.wait(1.0)

    def _catch_up(self) -> None:
        while not self._stop.is_set():
            behind = self._database.read(store.backlogs)
            self.lag = sum(count for _, _, count in behind)
            if not behind:
                return
            for tenant_id, tenant_uid, count in behind:
                if self._stop.is_set():
                    return
                began = time.monotonic()
                chunk = LARGE_CHUNK if count > 2 * LARGE_CHUNK else SMALL_CHUNK
                step = partial(_index, scope=system_scope(tenant_id, tenant_uid), limit=chunk)
                self._database.execute(step, lane=("index", tenant_id))
                if self.lag < self._soft_lag and self._database.waiting:
                    self._stop.wait((time.monotonic() - began) * (1 / self._share - 1))


def _index(tx: Transaction, scope: Scope, limit: int) -> int:
    return store.index_next(tx, scope, limit)


def clock_lag(tx: Transaction) -> int:
    """Return by how many microseconds the clock is behind the newest event; negative when it is not."""
    return store.newest_time(tx) - tx.now
