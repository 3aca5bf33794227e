"""Does the jobs: one thread that claims them under a lease and carries them out chunk by chunk."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial

import msgspec
from msgspec import UNSET

from heliograph.clock import MICROSECONDS
from heliograph.errors import Conflict, Refusal, Unavailable
from heliograph.ids import new_uid
from heliograph.jobs import actions, store
from heliograph.jobs.model import Chunk, Ending, Job, JobContext, JobKind
from heliograph.storage.engine import Transaction
from heliograph.storage.store import Store
from heliograph.tenancy.access import as_system, resumed

log = logging.getLogger(__name__)

LEASE_SECONDS = 30.0
"""How long a job is held without a chunk; then its owner is taken for dead and others go on."""

TURN_SECONDS = 2.0
"""How long one job is done before others that wait get their turn: about what a small one waits for a large one."""

POLL_SECONDS = 2.0
"""How often to look for jobs of which nobody told: those of other processes, and those whose lease has ended."""

TRIES = 3
"""How often the same chunk may fail, for a reason that is no refusal, until its job has failed."""

TellOfError = Callable[[str, str], None]
"""Takes a technical error as kind and detail, both in our own words."""


class Lost(Conflict):
    """Somebody else owns the job now, or it is over."""

    def __init__(self) -> None:
        super().__init__("The job is not held any more.")


class _Run:
    """A job while it is this owner's; each claim makes an owner of its own."""

    def __init__(self, database: Store, kind: JobKind, tenant_id: int, uid: bytes, lease: int) -> None:
        self._database = database
        self.kind = kind
        self._tenant_id = tenant_id
        self.uid = uid
        self._owner = new_uid()
        self._lease = lease

    def claim(self) -> bool:
        """Become the owner, if nobody else is and no other job of its tenant and kind runs."""

        def step(tx: Transaction) -> bool:
            scope = as_system(tx, self._tenant_id)
            return store.claim(tx, scope, self.uid, self._owner, tx.now + self._lease)

        return self._database.execute(step, [self._tenant_id])

    def chunks(self) -> Iterator[Chunk]:
        """Yield the chunks from the stored position on.

        Raises:
            Lost: when the job is not the owner's.
            Unauthenticated: when the account that began it was revoked.
        """

        def step(tx: Transaction) -> JobContext:
            job = self._held(tx)
            scope = resumed(tx, job.tenant_id, self.kind.change, job.actor)
            read = self._database.read
            return JobContext(job, scope, read, partial(actions.read_inputs, read, scope, job.uid))

        return self.kind.open(self._database.read(step))

    def apply(self, chunk: Chunk) -> bool:
        """Carry out a chunk in one transaction with the job's new position; tell whether the job goes on.

        Raises:
            Lost: when the job is not the owner's any more; nothing was written.
            Refusal: when the chunk or the account's right refuses; nothing was written.
        """

        def step(tx: Transaction) -> bool:
            job = self._held(tx)
            if job.cancel_requested:
                actions.finish(tx, as_system(tx, job.tenant_id), job, "cancelled")
                return False
            scope = resumed(tx, job.tenant_id, self.kind.change, job.actor)
            advance = chunk.apply(tx, scope)
            job = msgspec.structs.replace(
                job,
                position=advance.position,
                done=advance.done,
                total=job.total if advance.total is None else advance.total,
                result=job.result if advance.result is UNSET else advance.result,
            )
            store.save_progress(tx, scope, job, tx.now + self._lease)
            return True

        return self._database.execute(step, [self._tenant_id])

    def finish(self, state: Ending, error: str | None = None) -> None:
        """End the job.

        Raises:
            Lost: when the job is not the owner's any more.
        """

        def step(tx: Transaction) -> None:
            job = self._held(tx)
            actions.finish(tx, as_system(tx, job.tenant_id), job, state, error)

        self._database.execute(step, [self._tenant_id])

    def give_back(self) -> None:
        """Let others go on at once."""

        def step(tx: Transaction) -> None:
            store.give_back(tx, as_system(tx, self._tenant_id), self.uid, self._owner)

        self._database.execute(step, [self._tenant_id])

    def clear(self) -> None:
        """Remove what the job needs no more, if it is over."""

        def step(tx: Transaction) -> bool:
            return actions.clear(tx, as_system(tx, self._tenant_id), self.uid)

        while self._database.execute(step, [self._tenant_id]):
            pass

    def _held(self, tx: Transaction) -> Job:
        job = store.find_held(tx, as_system(tx, self._tenant_id), self.uid, self._owner)
        if job is None:
            raise Lost
        return job


class Runner:
    """Does the jobs of all tenants whose kinds it knows, one at a time and each tenant in its turn.

    Any number of runners, in any number of processes, may share a database: a job has one owner at a time, and
    whoever lost it writes nothing. `tell` is told of jobs that failed for a technical reason.
    """

    def __init__(
        self,
        database: Store,
        kinds: Mapping[str, JobKind],
        tell: TellOfError,
        *,
        lease_seconds: float = LEASE_SECONDS,
        turn_seconds: float = TURN_SECONDS,
        pause_seconds: float = 1.0,
    ) -> None:
        self._database = database
        self._kinds = kinds
        self._tell = tell
        self._lease = int(lease_seconds * MICROSECONDS)
        self._turn = turn_seconds
        self._pause = pause_seconds
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._served: dict[int, int] = {}
        """When each tenant had its last turn, in turns; the one that waits longest is next."""
        self._turns = 0
        self._thread = threading.Thread(target=self._run, name="jobs", daemon=True)

    def start(self) -> None:
        """Begin; what an earlier process left behind is gone on with."""
        self._thread.start()

    def notice(self) -> None:
        """Look for jobs now, because one was begun."""
        self._wake.set()

    def stop(self) -> None:
        """End after the chunk at hand; the job goes on elsewhere, or after the next start."""
        self._stop.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()

    def run_pending(self) -> None:
        """Do all that waits, in the calling thread."""
        while not self._stop.is_set() and (run := self._claim()) is not None:
            self._serve(run)

    def _run(self) -> None:
        while not self._stop.is_set():
            self._wake.clear()
            try:
                self.run_pending()
            except Refusal as refusal:
                log.warning("jobs were put off: %s", refusal.detail)
            except Exception:
                log.exception("jobs could not be looked for")
            self._wake.wait(POLL_SECONDS)

    def _claim(self) -> _Run | None:
        """Claim the oldest job of the tenant that has waited longest for its turn."""
        found = [candidate for candidate in self._database.read(store.waiting) if candidate[1] in self._kinds]
        for tenant_id, kind, uid in sorted(found, key=lambda candidate: self._served.get(candidate[0], 0)):
            run = _Run(self._database, self._kinds[kind], tenant_id, uid, self._lease)
            if run.claim():
                self._turns += 1
                self._served[tenant_id] = self._turns
                return run
        return None

    def _serve(self, run: _Run) -> None:
        """Do a job until it is over, its turn ends, or it is somebody else's."""
        try:
            self._work(run)
            run.clear()
        except Lost:
            log.info("job %s is held by somebody else now", run.uid.hex())

    def _work(self, run: _Run) -> None:
        deadline = time.monotonic() + self._turn
        failures = 0
        while True:
            try:
                for chunk in run.chunks():
                    if not run.apply(chunk):
                        return
                    failures = 0
                    if self._stop.is_set() or time.monotonic() >= deadline:
                        run.give_back()
                        return
                run.finish("succeeded")
                return
            except (Lost, Unavailable):
                # Not the job's fault: whoever finds it when its lease has ended goes on.
                raise
            except Refusal as refusal:
                run.finish("failed", refusal.detail)
                return
            except Exception as error:
                failures += 1
                log.exception("job %s failed at a chunk", run.uid.hex())
                if failures == TRIES:
                    self._tell("job", f"A job of kind {run.kind.name} failed: {type(error).__name__}.")
                    run.finish("failed", "The platform failed to do this; its log has the reason under the job's uid.")
                    return
                self._stop.wait(self._pause)
