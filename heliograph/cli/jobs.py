"""`heliograph jobs`: longer work that the platform does by itself, and how far it is."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from heliograph.cli.client import describe_fault, path_of
from heliograph.cli.output import console, field, print_item, print_list, say
from heliograph.cli.reports import draft_of, write_rows
from heliograph.cli.session import Session, Tenant, with_session

app = typer.Typer(name="jobs", help="Longer work, such as imports, and how far it is.", no_args_is_help=True)

Uid = Annotated[str, typer.Argument(metavar="UID", help="The job.")]

POLL_SECONDS = 0.25
COLUMNS = {name: field(name) for name in ("uid", "kind", "state", "done", "total", "createdAt", "error")}
ROWS = {
    "row": field("number"), "line": lambda row: row["detail"].get("line"), "outcome": field("outcome"),
    "why": lambda row: " ".join(why(row["detail"])),
}  # fmt: skip


class State(StrEnum):
    """How far a job is."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


@app.command("list")
@with_session
def list_jobs(
    session: Session,
    state: Annotated[list[State] | None, typer.Option("--state", help="In one of these states.")] = None,
    tenant: Tenant = None,
) -> None:
    """List jobs."""
    print_list(session.client.pages("/v1/jobs", {"state": state, "tenantUid": tenant}), COLUMNS, session.as_json)


@app.command()
@with_session
def get(session: Session, uid: Uid, tenant: Tenant = None) -> None:
    """Show one job."""
    print_item(find(session, uid, tenant), session.as_json)


@app.command()
@with_session
def cancel(session: Session, uid: Uid, tenant: Tenant = None) -> None:
    """End a job before it is done; what it has done stays."""
    answer = session.client.request("POST", path_of("jobs", uid, "cancel"), {"tenantUid": tenant})
    print_item(answer.document, session.as_json)


@app.command()
@with_session
def rows(
    session: Session,
    uid: Uid,
    outcome: Annotated[
        list[str] | None, typer.Option("--outcome", metavar="WORD", help="With one of these outcomes.")
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option("--report", metavar="FILE", help="Write them there as CSV, failed ones with their cells."),
    ] = None,
    tenant: Tenant = None,
) -> None:
    """Tell what became of the rows of a job's input."""
    if report is None:
        query = {"outcome": outcome, "tenantUid": tenant}
        print_list(session.client.pages(path_of("jobs", uid, "rows"), query), ROWS, session.as_json)
        return
    with draft_of(report) as draft:
        written = write_rows(session, uid, outcome or (), draft.text, tenant)
        draft.wanted = written > 0
    print_item({"rows": written}, session.as_json)


def why(detail: dict[str, Any]) -> list[str]:
    """Say why a row was not taken as it stands: each of its faults, else the reason; nothing when it was."""
    faults = [describe_fault(**fault) for fault in detail.get("errors", ())]
    if faults or not detail.get("reason"):
        return faults
    return [describe_fault("", detail["reason"], detail["message"])]


def find(session: Session, uid: str, tenant: str | None) -> dict[str, Any]:
    """Return a job as it is now."""
    job: dict[str, Any] = session.client.request("GET", path_of("jobs", uid), {"tenantUid": tenant}).document
    return job


def finished(session: Session, job: dict[str, Any], tenant: str | None) -> dict[str, Any]:
    """Wait for the end of a job, with a bar that shows how far it is, and return it as it then is."""
    with _bar(job["kind"]) as progress:
        try:
            while job["state"] in (State.QUEUED, State.RUNNING):
                progress(job["done"], job["total"])
                time.sleep(POLL_SECONDS)
                job = find(session, job["uid"], tenant)
            progress(job["done"], job["total"])
        except KeyboardInterrupt:
            say(f"The job goes on without you: heliograph jobs get {job['uid']} (or cancel).")
            raise
    return job


@contextmanager
def _bar(title: str) -> Iterator[Callable[[int, int | None], None]]:
    """Draw a bar on standard error, if that is a terminal; the result is told how much is done, and of how much."""
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    # In percent, for a job counts in the unit of its kind.
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console(stderr=True)) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
