"""`heliograph recipes import`: a spreadsheet of devices, its progress, and what became of each row."""

from __future__ import annotations

from contextlib import ExitStack
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from heliograph.cli.client import Call, Query, Refused, encode_query, path_of
from heliograph.cli.jobs import State, finished, why
from heliograph.cli.load import opened
from heliograph.cli.output import print_item, print_table, say
from heliograph.cli.reports import draft_of, write_rows
from heliograph.cli.session import Session, Tenant, with_session

if TYPE_CHECKING:
    from typing import BinaryIO

FAILED = ("rejected", "conflict")
"""The outcomes of rows that were not taken."""

TOLD_ROWS = 10


class FileFormat(StrEnum):
    """What a file consists of."""

    CSV = "csv"
    JSONL = "jsonl"


class Existing(StrEnum):
    """What becomes of a recipe that is there already."""

    KEEP = "keep"
    UPDATE = "update"


CONTENT_TYPES = {FileFormat.CSV: "text/csv", FileFormat.JSONL: "application/x-ndjson"}


@with_session
def import_recipes(
    session: Session,
    file: Annotated[Path, typer.Argument(metavar="FILE", allow_dash=True, help="The file; - is standard input.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Change nothing; tell what would happen.")] = False,
    keep_invalid: Annotated[
        bool, typer.Option("--keep-invalid", help="Store rows with faults as recipes to be repaired, where possible.")
    ] = False,
    mapping: Annotated[
        list[str] | None,
        typer.Option("--map", metavar="COLUMN=FIELD", help="What a column means; - as the field ignores it."),
    ] = None,
    file_format: Annotated[
        FileFormat | None, typer.Option("--format", help="By default jsonl for *.jsonl and *.ndjson, else csv.")
    ] = None,
    delimiter: Annotated[
        str | None, typer.Option("--delimiter", metavar="CHAR", help="Between cells, or tab; by default found out.")
    ] = None,
    existing: Annotated[Existing, typer.Option("--existing", help="What to do with recipes that are there.")] = (
        Existing.KEEP
    ),
    report: Annotated[
        Path | None,
        typer.Option("--report", metavar="FILE", help="Where to write rows that fail, as CSV to be corrected."),
    ] = None,
    tenant: Tenant = None,
) -> None:
    """Register the devices of a spreadsheet in advance.

    CSV in UTF-8, with comma, semicolon, tab or pipe, and a header in any order: brand, model, serialNumber,
    macAddress, deviceName, tags, policy, location, confirmedOwnership, onRepeat, claimCode, claimCodeExpiresAt,
    customMetadata.KEY, or what spreadsheets usually call these. Tags, policies and locations are names or uids.
    JSONL has an object with these fields on each line.

    Importing a file again does no harm. Exit code 1 means that rows failed; the others are done.
    """
    if dry_run and _is_same(file, report):
        words = "a dry run imports no row, so its report would lose those of FILE; name another file"
        raise typer.BadParameter(words, param_hint="--report")
    suffixed = FileFormat.JSONL if file.suffix.lower() in (".jsonl", ".ndjson") else FileFormat.CSV
    query: Query = {
        "dryRun": dry_run or None, "keepInvalid": keep_invalid or None, "existing": existing, "delimiter": delimiter,
        "map": [_pair(text) for text in mapping or ()], "tenantUid": tenant,
    }  # fmt: skip
    with ExitStack() as files:
        # Opened before anything is sent: a report that cannot be written is no reason to import without one.
        draft = None if report is None else files.enter_context(draft_of(report))
        with opened(file) as (stream, _):
            job = _upload(session, stream, query, CONTENT_TYPES[file_format or suffixed])
        job = finished(session, job, tenant)
        failed = _failed(job)
        if draft is not None and failed:
            write_rows(session, job["uid"], FAILED, draft.text, tenant)
            # Rows that the job never came to are in the file and nowhere else.
            draft.wanted = job["state"] == State.SUCCEEDED or not _is_same(file, report)
            if not draft.wanted:
                say(f"{report} was left as it was: heliograph jobs rows {job['uid']} --report FILE has what failed.")
    _print(session, job, failed, tenant)
    if failed or job["state"] != State.SUCCEEDED:
        raise typer.Exit(1)


def _pair(text: str) -> str:
    column, sign, field_name = text.rpartition("=")
    if not sign or not column:
        raise typer.BadParameter(f"expected COLUMN=FIELD, not {text}", param_hint="--map")
    return f"{column}:{field_name}"


def _is_same(file: Path, report: Path | None) -> bool:
    return report is not None and file.exists() and report.exists() and file.samefile(report)


def _upload(session: Session, stream: BinaryIO, query: Query, content_type: str) -> dict[str, Any]:
    path = "/v1/provisioning-recipes/import"
    answer = session.client.transport.send(Call("POST", path, encode_query(query), stream, content_type))
    if answer.status >= 400:
        raise Refused(answer)
    job: dict[str, Any] = answer.document
    return job


def _failed(job: dict[str, Any]) -> int:
    outcomes: dict[str, int] = (job["result"] or {}).get("outcomes", {})
    return sum(outcomes.get(outcome, 0) for outcome in FAILED)


def _print(session: Session, job: dict[str, Any], failed: int, tenant: str | None) -> None:
    """Say what became of the rows; of those that failed, the first with their faults."""
    result = job["result"] or {}
    if failed:
        _tell_first(session, job, failed, tenant)
    if job["state"] != State.SUCCEEDED:
        reason = job["error"] or f"It was {job['state']}."
        say(f"The import ended before its time, after {result.get('rows', 0)} rows. {reason}")
    if session.as_json:
        print_item(job, as_json=True)
        return
    if result.get("ignoredColumns"):
        say(f"Ignored columns: {', '.join(result['ignoredColumns'])}")
    columns = {"outcome": lambda pair: pair[0], "rows": lambda pair: pair[1]}
    print_table([*result.get("outcomes", {}).items()], columns)


def _tell_first(session: Session, job: dict[str, Any], failed: int, tenant: str | None) -> None:
    chosen = {"outcome": FAILED, "limit": TOLD_ROWS, "tenantUid": tenant}
    rows = session.client.request("GET", path_of("jobs", job["uid"], "rows"), chosen).document["data"]
    for row in rows:
        for text in why(row["detail"]):
            say(f"row {row['number']} (line {row['detail']['line']}): {text}")
    if failed > len(rows):
        say(f"... and {failed - len(rows)} rows more; --report FILE keeps them all.")
