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

CHUNK = 20_000
"""Events that one follower indexes in one transaction, at most: some ten milliseconds of the writer's time."""

LINGER_SECONDS = 0.1
SWEEP_SECONDS = 30.0
"""How often all tenants are looked at, for what another process left behind."""


class IndexFollower:
    """Keeps every tenant's filter index close behind its log.

    A chunk costs less for each event the larger it is, so a log is followed when it is `CHUNK` events ahead, or
    after `patience` seconds. While it is at most `soft_lag` events ahead, indexing takes no more than `share` of the
    time, so that a burst is stored first; beyond it, indexing alternates with every commit, which slows ingest down
    to what it can follow.
    """

    def __init__(self, database: Store, *, share: float, soft_lag: int, patience: float) -> None:
        self._database = database
        self._share = share
        self._soft_lag = soft_lag
        self._patience = patience
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._dirty: set[int] = set()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="index-follower", daemon=True)
        self.lag = 0
        """Events of all tenants that are stored and not yet indexed, when last looked."""

    def start(self) -> None:
        """Begin; what an earlier process left behind is caught up first."""
        self._thread.start()

    def notice(self, tenant_ids: Iterable[int]) -> None:
        """Take note that something was committed for these tenants."""
        with self._lock:
            self._dirty.update(tenant_ids)
            if self._dirty:
                self._wake.set()

    def stop(self) -> None:
        """End after the chunk at hand."""
        self._stop.set()
        self._wake.set()
        self._thread.join()

    def _run(self) -> None:
        next_sweep = 0.0
        while not self._stop.is_set():
            self._wake.wait(max(0.0, next_sweep - time.monotonic()))
            if self._stop.is_set():
                return
            dirty = self._take_dirty()
            sweep = time.monotonic() >= next_sweep
            try:
                self._follow(None if sweep else dirty)
                if sweep:
                    next_sweep = time.monotonic() + SWEEP_SECONDS
            except Exception as error:
                if not isinstance(error, Unavailable):
                    log.exception("the filter index could not be written")
                # Whose index was left behind is not known any more, so the next round looks at all.
                next_sweep = 0.0
                self._stop.wait(1.0)

    def _take_dirty(self) -> set[int]:
        with self._lock:
            self._wake.clear()
            dirty, self._dirty = self._dirty, set()
        return dirty

    def _follow(self, tenant_ids: set[int] | None) -> None:
        """Index what these tenants (None: all) have ahead of their indexes, once it is worth while."""
        for tenant_id, tenant_uid, count in self._worth_indexing(tenant_ids):
            scope = system_scope(tenant_id, tenant_uid)
            for _ in range(0, count, CHUNK):
                for name in store.FOLLOWERS:
                    if self._stop.is_set():
                        return
                    self._step(scope, name)
                self.lag = max(0, self.lag - CHUNK)
        self.lag = 0 if not self._dirty else self.lag

    def _worth_indexing(self, tenant_ids: set[int] | None) -> list[tuple[int, str, int]]:
        """Wait until a chunk has come together or patience is at its end; return what is ahead, by tenant."""
        deadline = time.monotonic() + self._patience
        while True:
            behind = self._database.read(partial(store.backlogs, tenant_ids=tenant_ids))
            self.lag = sum(count for _, _, count in behind)
            if self.lag >= CHUNK or time.monotonic() >= deadline or not behind:
                return behind
            if self._stop.wait(LINGER_SECONDS):
                return []

    def _step(self, scope: Scope, follower: str) -> None:
        began = time.monotonic()
        step = partial(_index, scope=scope, follower=follower)
        self._database.execute(step, lane=("index", scope.tenant_id))
        # Where nothing was stored meanwhile there is nobody to leave the time to.
        if self._dirty and self.lag < self._soft_lag:
            self._stop.wait((time.monotonic() - began) * (1 / self._share - 1))


def _index(tx: Transaction, scope: Scope, follower: str) -> int:
    return store.index_next(tx, scope, follower, CHUNK)
