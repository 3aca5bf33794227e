"""`/v1/jobs`: longer work that was begun elsewhere: how far it is, its end, and what became of each row."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from functools import partial
from typing import Annotated, Any, Literal
from urllib.parse import parse_qsl, urlencode

import msgspec

from heliograph.errors import Conflict, Denied, Invalid, NotFound
from heliograph.http.lists import (
    ListQuery,
    TenantQuery,
    cursor_after_uid,
    etag,
    resume_after_uid,
    uid_list_response,
)
from heliograph.http.messages import Request, Response, json_response
from heliograph.ids import as_hex, parse_uid
from heliograph.jobs import actions
from heliograph.jobs.model import Job, JobKind, JobRow, State, guarded
from heliograph.tenancy.model import Scope
from heliograph.times import print_optional_time, print_time

CSV = b"text/csv; charset=utf-8"
OWN_COLUMNS = ("heliograph_row", "heliograph_outcome", "heliograph_reason", "heliograph_message", "heliograph_text")
"""Stand behind the columns of the input, which can be corrected and sent again with them."""

MOST_OUTCOMES = 20
_NUMBER_BYTES = 16  # a row's number takes the place of a uid in cursors

Word = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]


class JobBody(msgspec.Struct, frozen=True, rename="camel"):
    """A piece of longer work; `done` and `total` count in the unit of its kind, `error` says why it failed."""

    uid: str
    kind: str
    state: State
    done: int
    total: int | None
    parameters: dict[str, Any]
    result: Any
    error: str | None
    cancel_requested: bool
    created_at: str
    updated_at: str
    finished_at: str | None


class JobList(msgspec.Struct, frozen=True, rename="camel"):
    """A page of jobs."""

    data: list[JobBody]
    next_cursor: str | None


class JobsQuery(ListQuery, frozen=True, kw_only=True, rename="camel"):
    """Which jobs; several values of one name are alternatives."""

    state: tuple[State, ...] = ()
    kind: tuple[Word, ...] = ()


class JobRowBody(msgspec.Struct, frozen=True, rename="camel"):
    """What became of one row of the input; `detail` depends on the kind of job."""

    number: int
    outcome: str
    detail: dict[str, Any]


class JobRowList(msgspec.Struct, frozen=True, rename="camel"):
    """A page of rows."""

    data: list[JobRowBody]
    next_cursor: str | None


class JobRowsQuery(ListQuery, frozen=True, kw_only=True, rename="camel"):
    """Which rows, and as what; several outcomes are alternatives."""

    outcome: tuple[Word, ...] = ()
    format: Literal["json", "csv"] = "json"


def body_of(job: Job) -> JobBody:
    """Return a job as it is shown."""
    return JobBody(
        uid=as_hex(job.uid), kind=job.kind, state=job.state, done=job.done, total=job.total,
        parameters=job.parameters, result=job.result, error=job.error, cancel_requested=job.cancel_requested,
        created_at=print_time(job.created_at), updated_at=print_time(job.updated_at),
        finished_at=print_optional_time(job.finished_at),
    )  # fmt: skip


async def list_jobs(request: Request) -> Response:
    """List the jobs of the kinds that the caller may see."""
    given = request.query(JobsQuery)
    kinds, scope = await _allowed(request, _wanted(request, given.kind), _read_of, given.tenant_uid)
    after = resume_after_uid(request, given)
    names = [kind.name for kind in kinds]
    page = partial(actions.list_jobs, kinds=names, states=given.state, after=after, limit=given.limit)
    return uid_list_response(request, given, await request.services.read(partial(page, scope=scope)), body_of)


async def show_job(request: Request) -> Response:
    """Return one job."""
    job, _ = await _job(request, request.query(TenantQuery).tenant_uid, _read_of)
    return json_response(200, body_of(job), [etag(job.version)])


async def cancel_job(request: Request) -> Response:
    """End a job before its next chunk."""
    job, scope = await _job(request, request.query(TenantQuery).tenant_uid, _change_of)
    if not request.services.jobs[job.kind].cancellable:
        raise Conflict(f"A job of the kind {job.kind} cannot be cancelled: what it finishes has begun to hold already.")
    job = await request.services.write(partial(actions.cancel, scope=scope, uid=job.uid), [scope.tenant_id])
    clear = partial(actions.clear, scope=scope, job_uid=job.uid)
    while await request.services.write(clear, [scope.tenant_id]):
        pass
    return json_response(200, body_of(job), [etag(job.version)])


async def list_job_rows(request: Request) -> Response:
    """List what became of the rows of a job's input, as JSON or as a table."""
    given = request.query(JobRowsQuery)
    if len(given.outcome) > MOST_OUTCOMES:
        raise Invalid.at("query/outcome", "max-items", f"At most {MOST_OUTCOMES} outcomes can be asked for at once.")
    job, scope = await _job(request, given.tenant_uid, _read_of)
    after = int.from_bytes(resume_after_uid(request, given), "big")
    page = partial(actions.rows, scope=scope, job_uid=job.uid, outcomes=given.outcome, after=after, limit=given.limit)
    rows, last = await request.services.read(page)
    place = None if last is None else last.to_bytes(_NUMBER_BYTES, "big")
    if given.format == "json":
        return uid_list_response(request, given, (rows, place), lambda row: row)
    cursor = cursor_after_uid(request, given, place)
    return Response(200, table(job, rows), CSV, [] if cursor is None else [_link(request, cursor)])


def table(job: Job, rows: Sequence[JobRow]) -> bytes:
    """Render rows as CSV (RFC 4180): the cells as they were sent, and behind them what became of the row.

    No cell is a formula for a spreadsheet; see `heliograph.jobs.model.guarded`.
    """
    columns = _columns(job)
    text = io.StringIO()
    writer = csv.writer(text, quoting=csv.QUOTE_ALL)
    writer.writerow([guarded(cell) for cell in (*columns, *OWN_COLUMNS)])
    for row in rows:
        cells = row.detail.get("cells", {})
        sent = [str(cells.get(column, "")) for column in columns]
        told = (str(row.number), row.outcome, *_why(row.detail), row.detail.get("text", ""))
        writer.writerow([guarded(cell) for cell in (*sent, *told)])
    return text.getvalue().encode()


def _why(detail: dict[str, Any]) -> tuple[str, str]:
    """Return the reason and the message: those of the row, else those of each of its faults."""
    faults = detail.get("errors", ())
    reason = detail.get("reason") or "; ".join(fault["rule"] for fault in faults)
    return reason, detail.get("message") or " ".join(fault["message"] for fault in faults)


def _columns(job: Job) -> list[str]:
    """Return the columns of the input: those that the work found, else those that it was begun with."""
    known = (job.result, job.parameters, job.parameters.get("layout"))
    found = next((kept["columns"] for kept in known if isinstance(kept, dict) and "columns" in kept), ())
    return [str(column) for column in found]


def _link(request: Request, cursor: str) -> tuple[bytes, bytes]:
    """Return the header that leads to the next page (RFC 8288): this request with another cursor."""
    given = parse_qsl(request.scope["query_string"].decode("ascii"), keep_blank_values=True)
    query = urlencode([*((name, value) for name, value in given if name != "cursor"), ("cursor", cursor)])
    return (b"link", f'<{request.scope["path"]}?{query}>; rel="next"'.encode("ascii"))


# -- rights ---------------------------------------------------------------------------------------------------------


def _read_of(kind: JobKind) -> str:
    return kind.read


def _change_of(kind: JobKind) -> str:
    return kind.change


def _wanted(request: Request, names: Sequence[str]) -> list[JobKind]:
    """Return the kinds of these names, or all."""
    kinds = request.services.jobs
    for name in names:
        if name not in kinds:
            raise Invalid.at("query/kind", "unknown-kind", f"There is no kind of job {name!r}.")
    return [kind for name, kind in kinds.items() if not names or name in names]


async def _allowed(
    request: Request, kinds: Sequence[JobKind], permission: Callable[[JobKind], str], tenant_uid: str | None
) -> tuple[list[JobKind], Scope]:
    """Return those of the kinds for which the caller holds the permission, and the right for the first of them.

    Raises:
        Denied: when there is none; it names what the first kind needs.
    """
    allowed: list[tuple[JobKind, Scope]] = []
    refusal: Denied | NotFound = NotFound("There are no jobs here.")
    for kind in reversed(kinds):
        try:
            allowed.append((kind, await request.services.scope(request.known, permission(kind), tenant_uid)))
        except Denied as denied:
            refusal = denied
    if not allowed:
        raise refusal
    allowed.reverse()
    return [kind for kind, _ in allowed], allowed[0][1]


async def _job(request: Request, tenant_uid: str | None, permission: Callable[[JobKind], str]) -> tuple[Job, Scope]:
    """Find the job that the path names, and the caller's right for its kind.

    Raises:
        Denied: when the caller lacks the permission for its kind, or for every kind there is.
        NotFound: when the tenant has no such job.
    """
    uid = parse_uid(request.parameters["uid"], "path/uid")
    kinds = request.services.jobs
    _, scope = await _allowed(request, list(kinds.values()), permission, tenant_uid)
    job = await request.services.read(partial(actions.get, scope=scope, uid=uid))
    if job.kind not in kinds:
        raise NotFound("There is no such job.")
    return job, await request.services.scope(request.known, permission(kinds[job.kind]), tenant_uid)
