"""Small work that comes round again: for every tenant that needs it, in one process at a time."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from heliograph.clock import MICROSECONDS
from heliograph.errors import Conflict, Refusal, Unavailable
from heliograph.ids import new_uid
from heliograph.jobs import store
from heliograph.storage.engine import Transaction
from heliograph.storage.store import Store
from heliograph.tenancy.access import as_system
from heliograph.tenancy.model import Scope

log = logging.getLogger(__name__)

LEASE_SECONDS = 30.0
"""How long a round is held without a step; then its owner is taken for dead."""


@dataclass(frozen=True, slots=True)
class Chore:
    """A piece of small work: `step` does some of it for one tenant, and tells whether more is left there.

    `due` returns the tenants in which there is something to do; only these are written to.
    """

    name: str
    every_seconds: float
    due: Callable[[Transaction], Sequence[int]]
    step: Callable[[Transaction, Scope], bool]


class _Lost(Conflict):
    """Another process has taken the round over."""

    def __init__(self) -> None:
        super().__init__("The chore is not held any more.")


class Recurring:
    """Runs chores, each as often as it wants; however many processes run, a round is done once."""

    def __init__(self, database: Store, chores: Sequence[Chore]) -> None:
        self._database = database
        self._chores = chores
        self._owner = new_uid()
        self._due = {chore.name: 0.0 for chore in chores}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="recurring", daemon=True)

    def start(self) -> None:
        """Begin; every chore is due at once."""
        self._thread.start()

    def stop(self) -> None:
        """End after the step at hand."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def run_due(self) -> None:
        """Do every chore that is due, in the calling thread."""
        for chore in self._chores:
            if not self._stop.is_set() and time.monotonic() >= self._due[chore.name]:
                self._due[chore.name] = time.monotonic() + self._attempt(chore)

    def run(self, chore: Chore) -> float:
        """Do a round of a chore, unless another process does or has just done it; return seconds until the next.

        Raises:
            Refusal: when the database cannot be used, or another process took over meanwhile.
        """
        lease = f"chore:{chore.name}"
        wait = self._database.execute(lambda tx: store.take_lease(tx, lease, self._owner, _after(tx, LEASE_SECONDS)))
        if wait:
            return wait / MICROSECONDS
        for tenant_id in self._database.read(chore.due):
            self._serve(chore, lease, tenant_id)
        # Whoever stops leaves the rest of the round to others at once.
        rest = 0.0 if self._stop.is_set() else chore.every_seconds
        self._database.execute(lambda tx: store.hold_lease(tx, lease, self._owner, _after(tx, rest)))
        return chore.every_seconds

    def _serve(self, chore: Chore, lease: str, tenant_id: int) -> None:
        """Do all that a chore finds in one tenant; a failure there must not keep it from the others."""
        step = self._step(chore, lease, tenant_id)
        try:
            while not self._stop.is_set() and self._database.execute(step, [tenant_id]):
                pass
        except (_Lost, Unavailable):
            raise
        except Exception:
            log.exception("the chore %s failed in tenant %d", chore.name, tenant_id)

    def _step(self, chore: Chore, lease: str, tenant_id: int) -> Callable[[Transaction], bool]:
        def step(tx: Transaction) -> bool:
            until = store.lease_end(tx, lease, self._owner)
            if until is None:
                raise _Lost
            # Most steps find nothing to do; then nothing is written, and the disk is left alone.
            if until < _after(tx, LEASE_SECONDS / 2):
                store.hold_lease(tx, lease, self._owner, _after(tx, LEASE_SECONDS))
            return chore.step(tx, as_system(tx, tenant_id))

        return step

    def _attempt(self, chore: Chore) -> float:
        try:
            return self.run(chore)
        except Refusal as refusal:
            log.warning("the chore %s was put off: %s", chore.name, refusal.detail)
        except Exception:
            log.exception("the chore %s failed", chore.name)
        return min(chore.every_seconds, LEASE_SECONDS)

    def _run(self) -> None:
        while not self._stop.is_set():
            self.run_due()
            if not self._due:
                return
            self._stop.wait(max(0.0, min(self._due.values()) - time.monotonic()))


def _after(tx: Transaction, seconds: float) -> int:
    return tx.now + int(seconds * MICROSECONDS)
