"""The tables of jobs, their inputs, rows and marks, and of the leases under which recurring work is done."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from heapq import merge
from itertools import islice
from operator import attrgetter
from typing import Any

import msgspec

from heliograph.eventlog.model import Actor
from heliograph.jobs.model import Job, JobRow, State
from heliograph.storage.engine import Row, Table, Transaction
from heliograph.storage.statements import batches, placeholders
from heliograph.tenancy.model import Scope

MOST_CANDIDATES = 1000

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode
_decode_actor = msgspec.json.Decoder(Actor).decode

_JOB = (
    "select uid, tenant_id, kind, state, actor, parameters, position, done, total, result, error, cancel_requested,"
    " created_at, updated_at, finished_at, version from job where tenant_id = :tenant_id"
)
_ROWS = Table(
    "job_row",
    {"tenant_id": "bigint", "job_uid": "bytes", "number": "bigint", "outcome": "text", "detail": "bytes"},
)  # fmt: skip
_MARKS = Table("job_mark", {"tenant_id": "bigint", "job_uid": "bytes", "mark": "text", "value": "bytes"})

# -- jobs -----------------------------------------------------------------------------------------------------------


def insert_job(tx: Transaction, scope: Scope, job: Job) -> bool:
    """Add a job that waits to be done; tell whether its uid was free."""
    return bool(
        tx.run(
            "insert into job (uid, tenant_id, kind, state, actor, parameters, position, done, total, cancel_requested,"
            " lease_until, created_at, updated_at, version) values (:uid, :tenant_id, :kind, :state, :actor,"
            " :parameters, :position, :done, :total, 0, 0, :created_at, :created_at, 1) on conflict do nothing",
            uid=job.uid, tenant_id=scope.tenant_id, kind=job.kind, state=job.state, actor=_encode(job.actor),
            parameters=_encode(job.parameters), position=_encode(job.position), done=job.done, total=job.total,
            created_at=job.created_at,
        )
    )  # fmt: skip


def find_job(tx: Transaction, scope: Scope, uid: bytes) -> Job | None:
    """Read a job of the scope's tenant."""
    row = tx.one(f"{_JOB} and uid = :uid", tenant_id=scope.tenant_id, uid=uid)
    return _job(row) if row else None


def find_held(tx: Transaction, scope: Scope, uid: bytes, owner: bytes) -> Job | None:
    """Read a running job, if it is still this owner's; it stays so while its tenant is locked."""
    row = tx.one(
        f"{_JOB} and uid = :uid and state = 'running' and lease_owner = :owner",
        tenant_id=scope.tenant_id, uid=uid, owner=owner,
    )  # fmt: skip
    return _job(row) if row else None


def list_jobs(
    tx: Transaction, scope: Scope, kinds: Sequence[str], states: Sequence[State], after: bytes, limit: int
) -> list[Job]:
    """Read jobs of these kinds, and of these states unless there are none, in the order of their uids."""
    names, values = placeholders("kind", kinds)
    wanted = f" and kind in ({names})"
    if states:
        names, more = placeholders("state", states)
        wanted += f" and state in ({names})"
        values |= more
    sql = f"{_JOB}{wanted} and uid > :after order by uid limit :limit"
    return [_job(row) for row in tx.all(sql, tenant_id=scope.tenant_id, after=after, limit=limit, **values)]


def unfinished(tx: Transaction, scope: Scope, kinds: Sequence[str]) -> list[Job]:
    """Read all jobs of these kinds that wait or run, in no particular order."""
    names, values = placeholders("kind", kinds)
    sql = f"{_JOB} and kind in ({names}) and state in ('queued', 'running')"
    return [_job(row) for row in tx.all(sql, tenant_id=scope.tenant_id, **values)]


def count_unfinished(tx: Transaction, scope: Scope, limit: int) -> int:
    """Count the tenant's jobs that wait or run, up to a limit."""
    row = tx.one(
        "select count(*) from (select 1 from job where tenant_id = :tenant_id and state in ('queued', 'running')"
        " limit :limit) unfinished",
        tenant_id=scope.tenant_id, limit=limit,
    )  # fmt: skip
    return int(row[0]) if row else 0


def waiting(tx: Transaction) -> list[tuple[int, str, bytes]]:
    """List what could be done now as (tenant, kind, uid), the oldest first: of each tenant and kind at most one job.

    A job that nobody holds any more goes before those that have not begun.
    """
    return [
        (tenant_id, kind, uid)
        for tenant_id, kind, uid in tx.all(
            "select tenant_id, kind, uid from (select tenant_id, kind, uid, lease_until, row_number() over"
            " (partition by tenant_id, kind order by case state when 'running' then 0 else 1 end, uid) as place"
            " from job where state in ('queued', 'running')) unfinished"
            " where place = 1 and lease_until <= :now order by uid limit :limit",
            now=tx.now, limit=MOST_CANDIDATES,
        )
    ]  # fmt: skip


def claim(tx: Transaction, scope: Scope, uid: bytes, owner: bytes, until: int) -> bool:
    """Make a job the owner's, unless somebody else holds it or runs another of its kind; tell whether it is."""
    return bool(
        tx.run(
            "update job set state = 'running', lease_owner = :owner, lease_until = :until, updated_at = :now,"
            " version = version + 1 where tenant_id = :tenant_id and uid = :uid and lease_until <= :now"
            " and (state = 'running' or state = 'queued' and not exists (select 1 from job other"
            " where other.tenant_id = :tenant_id and other.state = 'running' and other.kind = job.kind))",
            tenant_id=scope.tenant_id, uid=uid, owner=owner, until=until, now=tx.now,
        )
    )  # fmt: skip


def save_progress(tx: Transaction, scope: Scope, job: Job, until: int) -> None:
    """Write how far a job has come, and hold it until then."""
    tx.run(
        "update job set position = :position, done = :done, total = :total, result = :result, lease_until = :until,"
        " updated_at = :now, version = version + 1 where tenant_id = :tenant_id and uid = :uid",
        tenant_id=scope.tenant_id, uid=job.uid, position=_encode(job.position), done=job.done, total=job.total,
        result=_encode(job.result), until=until, now=tx.now,
    )  # fmt: skip


def save_end(tx: Transaction, scope: Scope, uid: bytes, state: State, error: str | None) -> None:
    """Write that a job is over."""
    tx.run(
        "update job set state = :state, error = :error, lease_owner = null, lease_until = 0, updated_at = :now,"
        " finished_at = :now, version = version + 1 where tenant_id = :tenant_id and uid = :uid",
        tenant_id=scope.tenant_id, uid=uid, state=state, error=error, now=tx.now,
    )  # fmt: skip


def give_back(tx: Transaction, scope: Scope, uid: bytes, owner: bytes) -> None:
    """Let others go on with a job that is this owner's."""
    tx.run(
        "update job set lease_owner = null, lease_until = 0"
        " where tenant_id = :tenant_id and uid = :uid and state = 'running' and lease_owner = :owner",
        tenant_id=scope.tenant_id, uid=uid, owner=owner,
    )  # fmt: skip


def end_leases(tx: Transaction) -> None:
    """Take every job and every chore from its owner, whoever that was."""
    tx.run("update job set lease_owner = null, lease_until = 0 where state = 'running'")
    tx.run("delete from lease")


def request_cancel(tx: Transaction, scope: Scope, uid: bytes) -> None:
    """Ask whoever does the job to end it."""
    tx.run(
        "update job set cancel_requested = 1, updated_at = :now, version = version + 1"
        " where tenant_id = :tenant_id and uid = :uid",
        tenant_id=scope.tenant_id, uid=uid, now=tx.now,
    )  # fmt: skip


def oldest_finished(tx: Transaction, scope: Scope, before: int) -> bytes | None:
    """Find a job of the tenant that ended before a time."""
    row = tx.one(
        "select uid from job where tenant_id = :tenant_id and finished_at < :before order by uid limit 1",
        tenant_id=scope.tenant_id, before=before,
    )  # fmt: skip
    return row[0] if row else None


def delete_job(tx: Transaction, scope: Scope, uid: bytes) -> None:
    """Remove a job whose parts are gone."""
    tx.run("delete from job where tenant_id = :tenant_id and uid = :uid", tenant_id=scope.tenant_id, uid=uid)


def _job(row: Row) -> Job:
    return Job(
        uid=row[0], tenant_id=row[1], kind=row[2], state=row[3], actor=_decode_actor(row[4]),
        parameters=_decode(row[5]), position=_decode(row[6]), done=row[7], total=row[8],
        result=None if row[9] is None else _decode(row[9]), error=row[10], cancel_requested=bool(row[11]),
        created_at=row[12], updated_at=row[13], finished_at=row[14], version=row[15],
    )  # fmt: skip


# -- inputs ---------------------------------------------------------------------------------------------------------


def put_input(tx: Transaction, scope: Scope, job_uid: bytes, part: int, content: bytes) -> None:
    """Keep one part of a job's input; the same part again replaces it."""
    tx.run(
        "insert into job_input (tenant_id, job_uid, part, content) values (:tenant_id, :job_uid, :part, :content)"
        " on conflict (tenant_id, job_uid, part) do update set content = excluded.content",
        tenant_id=scope.tenant_id, job_uid=job_uid, part=part, content=content,
    )  # fmt: skip


def next_input(tx: Transaction, scope: Scope, job_uid: bytes, first: int) -> tuple[int, bytes] | None:
    """Read the first part of a job's input that is numbered `first` or higher."""
    row = tx.one(
        "select part, content from job_input where tenant_id = :tenant_id and job_uid = :job_uid and part >= :first"
        " order by part limit 1",
        tenant_id=scope.tenant_id, job_uid=job_uid, first=first,
    )  # fmt: skip
    return (row[0], row[1]) if row else None


def useless_input(tx: Transaction, scope: Scope, before: bytes) -> bytes | None:
    """Find input whose job is over, or was never begun and has a uid made before another."""
    row = tx.one(
        "select job_uid from job_input where tenant_id = :tenant_id"
        " and (job_uid in (select uid from job where tenant_id = :tenant_id and finished_at is not null)"
        " or job_uid < :before and job_uid not in (select uid from job where tenant_id = :tenant_id))"
        " order by job_uid limit 1",
        tenant_id=scope.tenant_id, before=before,
    )  # fmt: skip
    return row[0] if row else None


def delete_inputs(tx: Transaction, scope: Scope, job_uid: bytes, limit: int) -> int:
    """Remove parts of a job's input; return how many."""
    return tx.run(
        "delete from job_input where tenant_id = :tenant_id and job_uid = :job_uid and part in (select part"
        " from job_input where tenant_id = :tenant_id and job_uid = :job_uid order by part limit :limit)",
        tenant_id=scope.tenant_id, job_uid=job_uid, limit=limit,
    )  # fmt: skip


# -- rows -----------------------------------------------------------------------------------------------------------


def insert_rows(tx: Transaction, scope: Scope, job_uid: bytes, rows: Sequence[JobRow]) -> None:
    """Keep what became of rows of a job's input."""
    tx.insert(_ROWS, [(scope.tenant_id, job_uid, row.number, row.outcome, _encode(row.detail)) for row in rows])


def list_rows(
    tx: Transaction, scope: Scope, job_uid: bytes, outcomes: Collection[str], after: int, limit: int
) -> list[JobRow]:
    """Read rows in their order, of these outcomes unless there are none."""
    sql = (
        "select number, outcome, detail from job_row where tenant_id = :tenant_id and job_uid = :job_uid{outcome}"
        " and number > :after order by number limit :limit"
    )
    values: dict[str, Any] = {"tenant_id": scope.tenant_id, "job_uid": job_uid, "after": after, "limit": limit}
    if not outcomes:
        return [_row(row) for row in tx.all(sql.format(outcome=""), **values)]
    # One ordered part for each outcome, so that none of them makes the database read rows that are not wanted.
    one = sql.format(outcome=" and outcome = :outcome")
    parts = [[_row(row) for row in tx.all(one, outcome=outcome, **values)] for outcome in sorted(set(outcomes))]
    return list(islice(merge(*parts, key=attrgetter("number")), limit))


def delete_rows(tx: Transaction, scope: Scope, job_uid: bytes, limit: int) -> int:
    """Remove rows of a job; return how many."""
    return tx.run(
        "delete from job_row where tenant_id = :tenant_id and job_uid = :job_uid and number in (select number"
        " from job_row where tenant_id = :tenant_id and job_uid = :job_uid order by number limit :limit)",
        tenant_id=scope.tenant_id, job_uid=job_uid, limit=limit,
    )  # fmt: skip


def _row(row: Row) -> JobRow:
    return JobRow(row[0], row[1], _decode(row[2]))


# -- marks ----------------------------------------------------------------------------------------------------------


def find_marks(tx: Transaction, scope: Scope, job_uid: bytes, marks: Collection[str]) -> dict[str, bytes]:
    """Read those of the marks that were put."""
    found: dict[str, bytes] = {}
    for batch in batches(marks):
        names, values = placeholders("mark", batch)
        sql = f"select mark, value from job_mark where tenant_id = :tenant_id and job_uid = :uid and mark in ({names})"
        found.update(tx.all(sql, tenant_id=scope.tenant_id, uid=job_uid, **values))
    return found


def insert_marks(tx: Transaction, scope: Scope, job_uid: bytes, marks: Mapping[str, bytes]) -> None:
    """Put marks that were not put before."""
    tx.insert(_MARKS, [(scope.tenant_id, job_uid, mark, value) for mark, value in marks.items()])


def update_mark(tx: Transaction, scope: Scope, job_uid: bytes, mark: str, value: bytes) -> None:
    """Change the value of a mark."""
    tx.run(
        "update job_mark set value = :value where tenant_id = :tenant_id and job_uid = :job_uid and mark = :mark",
        tenant_id=scope.tenant_id, job_uid=job_uid, mark=mark, value=value,
    )  # fmt: skip


def delete_marks(tx: Transaction, scope: Scope, job_uid: bytes, limit: int) -> int:
    """Remove marks of a job; return how many."""
    return tx.run(
        "delete from job_mark where tenant_id = :tenant_id and job_uid = :job_uid and mark in (select mark"
        " from job_mark where tenant_id = :tenant_id and job_uid = :job_uid order by mark limit :limit)",
        tenant_id=scope.tenant_id, job_uid=job_uid, limit=limit,
    )  # fmt: skip


# -- leases ---------------------------------------------------------------------------------------------------------


def take_lease(tx: Transaction, name: str, owner: bytes, until: int) -> int:
    """Take a lease that nobody holds now; return 0, or for how many more microseconds it is somebody else's."""
    taken = tx.run(
        "insert into lease (name, owner, held_until) values (:name, :owner, :until) on conflict (name) do update"
        " set owner = excluded.owner, held_until = excluded.held_until where lease.held_until <= :now",
        name=name, owner=owner, until=until, now=tx.now,
    )  # fmt: skip
    if taken:
        return 0
    row = tx.one("select held_until from lease where name = :name", name=name)
    return max(1, row[0] - tx.now) if row else 1


def lease_end(tx: Transaction, name: str, owner: bytes) -> int | None:
    """Return until when the owner holds the lease, or None when it is somebody else's."""
    row = tx.one("select held_until from lease where name = :name and owner = :owner", name=name, owner=owner)
    return row[0] if row else None


def hold_lease(tx: Transaction, name: str, owner: bytes, until: int) -> None:
    """Change until when the owner holds the lease."""
    tx.run(
        "update lease set held_until = :until where name = :name and owner = :owner",
        name=name, owner=owner, until=until,
    )  # fmt: skip
