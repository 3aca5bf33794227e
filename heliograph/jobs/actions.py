"""What can be done with jobs: begin, watch and cancel them, keep their input, and tell of their rows."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from msgspec import UNSET

from heliograph import publish
from heliograph.clock import MICROSECONDS
from heliograph.errors import Conflict, NotFound, TooMany
from heliograph.ids import as_hex, new_uid
from heliograph.jobs import events, store
from heliograph.jobs.model import Ending, Job, JobRow, Read, State
from heliograph.storage.engine import Transaction
from heliograph.tenancy.model import Scope

MOST_UNFINISHED = 100
"""Jobs of one tenant that may wait or run at the same time."""

CHUNK = 500
"""Rows that one transaction removes, at most."""

CHUNK_OF_INPUT = 10
"""Parts of an input that one transaction removes; each may have a megabyte."""

UPLOAD_SECONDS = 86_400
"""After this time, input whose job was never begun is removed."""


def start(
    tx: Transaction,
    scope: Scope,
    kind: str,
    parameters: Mapping[str, Any],
    *,
    total: int | None = None,
    uid: bytes | None = None,
    limited: bool = True,
) -> Job:
    """Begin a job; the runner takes it up after the commit.

    `uid` is the one under which its input was put before. What the platform itself has to finish is not `limited`:
    the change that needs it must not be refused because callers have much to do.

    Raises:
        TooMany: when too many jobs of the tenant wait or run, and this one is limited.
        Conflict: when the uid is that of a job that was begun before.
    """
    if limited and store.count_unfinished(tx, scope, MOST_UNFINISHED) >= MOST_UNFINISHED:
        raise TooMany(f"At most {MOST_UNFINISHED} jobs of a tenant wait or run at the same time.", retry_after=30)
    job = Job(
        uid=new_uid() if uid is None else uid, tenant_id=scope.tenant_id, kind=kind, state="queued", actor=scope.actor,
        parameters=dict(parameters), total=total, created_at=tx.now, updated_at=tx.now,
    )  # fmt: skip
    if not store.insert_job(tx, scope, job):
        raise Conflict("This job was begun before.")
    body = events.JobStarted(uid=as_hex(job.uid), kind=kind, total=UNSET if total is None else total)
    publish.record(tx, scope, events.JOB_STARTED, body.uid, lambda _: body)
    return job


def get(tx: Transaction, scope: Scope, uid: bytes) -> Job:
    """Return a job of the tenant.

    Raises:
        NotFound: when the tenant has no such job.
    """
    job = store.find_job(tx, scope, uid)
    if job is None:
        raise NotFound("There is no such job.")
    return job


def list_jobs(
    tx: Transaction, scope: Scope, kinds: Sequence[str], states: Sequence[State], after: bytes, limit: int
) -> tuple[list[Job], bytes | None]:
    """Return jobs of these kinds (and states, if any) in the order of their uids, and where to go on, if anywhere."""
    jobs = store.list_jobs(tx, scope, kinds, states, after, limit + 1) if kinds else []
    return jobs[:limit], jobs[limit - 1].uid if len(jobs) > limit else None


def unfinished(tx: Transaction, scope: Scope, kinds: Sequence[str]) -> list[Job]:
    """Return all jobs of these kinds that wait or run; those that are not limited may be many."""
    return store.unfinished(tx, scope, kinds)


def cancel(tx: Transaction, scope: Scope, uid: bytes) -> Job:
    """End a job that waits, and ask for the end of one that runs: it ends before its next chunk.

    What its chunks have done stays. Again, nothing changes.

    Raises:
        NotFound: when the tenant has no such job.
        Conflict: when it has succeeded or failed.
    """
    job = get(tx, scope, uid)
    if job.state in ("succeeded", "failed"):
        raise Conflict(f"The job has {job.state} already.")
    if job.state == "queued":
        return finish(tx, scope, job, "cancelled")
    if job.state == "running" and not job.cancel_requested:
        store.request_cancel(tx, scope, uid)
    return get(tx, scope, uid)


def finish(tx: Transaction, scope: Scope, job: Job, state: Ending, error: str | None = None) -> Job:
    """Write that a job is over, and tell the log."""
    store.save_end(tx, scope, job.uid, state, error)
    body = events.JobFinished(
        uid=as_hex(job.uid),
        kind=job.kind,
        state=state,
        done=job.done,
        total=UNSET if job.total is None else job.total,
        error=UNSET if error is None else error,
    )
    publish.record(tx, scope, events.JOB_FINISHED, body.uid, lambda _: body)
    return get(tx, scope, job.uid)


# -- input, rows and marks ------------------------------------------------------------------------------------------


def put_input(tx: Transaction, scope: Scope, job_uid: bytes, part: int, content: bytes) -> None:
    """Keep one part of a job's input, also before the job is begun; the same part again replaces it."""
    store.put_input(tx, scope, job_uid, part, content)


def read_inputs(read: Read, scope: Scope, job_uid: bytes, first: int) -> Iterator[tuple[int, bytes]]:
    """Yield the parts of a job's input in their order from `first` on; only one at a time is in memory."""
    while (found := read(partial(store.next_input, scope=scope, job_uid=job_uid, first=first))) is not None:
        yield found
        first = found[0] + 1


def drop_input(tx: Transaction, scope: Scope, job_uid: bytes) -> bool:
    """Remove some of a job's input; tell whether there may be more."""
    return store.delete_inputs(tx, scope, job_uid, CHUNK_OF_INPUT) == CHUNK_OF_INPUT


def abandon_input(tx: Transaction, scope: Scope, job_uid: bytes) -> bool:
    """Remove some of the input of a job that was never begun; tell whether there may be more."""
    return store.find_job(tx, scope, job_uid) is None and drop_input(tx, scope, job_uid)


def clear(tx: Transaction, scope: Scope, job_uid: bytes) -> bool:
    """Remove some of what a job needs no more once it is over, its input and marks; tell whether there may be more."""
    job = store.find_job(tx, scope, job_uid)
    if job is None or job.finished_at is None:
        return False
    return drop_input(tx, scope, job_uid) or store.delete_marks(tx, scope, job_uid, CHUNK) == CHUNK


def report(tx: Transaction, scope: Scope, job_uid: bytes, rows: Sequence[JobRow]) -> None:
    """Keep what became of rows of the input; each is told of once, by the chunk that treats it."""
    store.insert_rows(tx, scope, job_uid, rows)


def rows(
    tx: Transaction, scope: Scope, job_uid: bytes, outcomes: Collection[str] | None, after: int, limit: int
) -> tuple[list[JobRow], int | None]:
    """Return rows numbered above `after` with one of these outcomes (None: any), and where to go on, if anywhere."""
    found = store.list_rows(tx, scope, job_uid, outcomes or (), after, limit + 1)
    return found[:limit], found[limit - 1].number if len(found) > limit else None


def put_marks(tx: Transaction, scope: Scope, job_uid: bytes, marks: Mapping[str, bytes]) -> None:
    """Remember values under names that belong to one job alone; the same name again replaces its value."""
    present = store.find_marks(tx, scope, job_uid, marks)
    store.insert_marks(tx, scope, job_uid, {mark: value for mark, value in marks.items() if mark not in present})
    for mark, value in present.items():
        if marks[mark] != value:
            store.update_mark(tx, scope, job_uid, mark, marks[mark])


def find_marks(tx: Transaction, scope: Scope, job_uid: bytes, marks: Collection[str]) -> dict[str, bytes]:
    """Return the values of those of the names that were put."""
    return store.find_marks(tx, scope, job_uid, marks)


# -- forgetting -----------------------------------------------------------------------------------------------------


def take_over(tx: Transaction) -> None:
    """Let go on at once what a process was doing that is known to be gone: only one at a time has the database."""
    store.end_leases(tx)


def forget(tx: Transaction, scope: Scope, *, kept_days: int) -> bool:
    """Remove some of what jobs left that ended longer ago, or were never begun; tell whether there is more."""
    finished = store.oldest_finished(tx, scope, tx.now - kept_days * 86_400 * MICROSECONDS)
    if finished is not None:
        if _empty(tx, scope, finished):
            store.delete_job(tx, scope, finished)
        return True
    useless = store.useless_input(tx, scope, _first_uid(tx.now - UPLOAD_SECONDS * MICROSECONDS))
    if useless is not None:
        drop_input(tx, scope, useless)
        return True
    return False


def _empty(tx: Transaction, scope: Scope, job_uid: bytes) -> bool:
    """Remove some of what belongs to a job; tell whether nothing is left."""
    if drop_input(tx, scope, job_uid):
        return False
    removed = store.delete_rows(tx, scope, job_uid, CHUNK)
    return removed < CHUNK and store.delete_marks(tx, scope, job_uid, CHUNK - removed) < CHUNK - removed


def _first_uid(moment: int) -> bytes:
    """Return what no uid made at that time or later is below: a UUIDv7 begins with its milliseconds (RFC 9562)."""
    return (moment // 1000).to_bytes(6, "big")
