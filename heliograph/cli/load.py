"""`heliograph events import`: a file of events, its progress, and what became of each line."""

from __future__ import annotations

import contextlib
import hashlib
import sys
from collections.abc import Callable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import quote

import typer

from heliograph.cli.client import encode_query
from heliograph.cli.output import Failed, console, print_item, say
from heliograph.cli.session import Session, Tenant, with_session

if TYPE_CHECKING:
    from typing import BinaryIO

    from heliograph.cli.importing import Importer, RefusedRecord

SOURCE = "urn:heliograph:import:"
MOST_MESSAGES = 100
"""Refused lines that are told one by one."""


class FileFormat(StrEnum):
    """What a file consists of."""

    NDJSON = "ndjson"
    CSV = "csv"


@with_session
def load(
    session: Session,
    file: Annotated[Path, typer.Argument(metavar="FILE", allow_dash=True, help="The file; - is standard input.")],
    file_format: Annotated[
        FileFormat | None, typer.Option("--format", help="By default csv for *.csv and *.tsv, else ndjson.")
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(
            "--name", metavar="TEXT", help="What this import is known by, if not by the file's content; needed with -."
        ),
    ] = None,
    errors: Annotated[
        Path | None,
        typer.Option("--errors", metavar="FILE", help="Write refused lines there, with the reasons, as NDJSON."),
    ] = None,
    tenant: Tenant = None,
) -> None:
    """Load a file of events, in its order.

    NDJSON: an event in the native shape on each line, or a CloudEvent. CSV: a header of native field names (comma,
    semicolon or tab); an empty cell is an absent field, and a payload is JSON if it reads as JSON, else text.

    An import that was interrupted can simply be run again: an event without source and sourceId gets the import's
    name and its line number for them, and what was stored in the last 30 days is known by these. Exit code 1 means
    that lines were refused; the others are stored.
    """
    from heliograph.cli.importing import Importer, summary
    from heliograph.cli.records import records

    suffixed = FileFormat.CSV if file.suffix.lower() in (".csv", ".tsv") else FileFormat.NDJSON
    with opened(file) as (stream, size), _reporting(errors) as report, _progress(size) as progress:
        source = _source(file, name)
        importer = Importer(session.client.transport, encode_query({"tenantUid": tenant}), report, progress)
        with _explained(importer):
            importer.run(records(stream, (file_format or suffixed).value, source))
    print_item(summary(importer.totals), session.as_json)
    if importer.totals.refused:
        raise typer.Exit(1)


def _source(file: Path, name: str | None) -> str:
    """Return what stands for the import as the source of events that name none."""
    if name is not None:
        return SOURCE + quote(name, safe="")
    if not file.is_file():
        raise typer.BadParameter("only a file is known by its content; give a name", param_hint="--name")
    with file.open("rb") as content:
        return SOURCE + hashlib.file_digest(content, "sha256").hexdigest()


@contextlib.contextmanager
def opened(file: Path) -> Iterator[tuple[BinaryIO, int | None]]:
    """Open the file; its size is None where it cannot be known."""
    if str(file) == "-":
        yield sys.stdin.buffer, None
        return
    try:
        stream = file.open("rb")
    except OSError as error:
        raise typer.BadParameter(f"{file}: {error.strerror}", param_hint="FILE") from None
    with stream:
        yield stream, file.stat().st_size if file.is_file() else None


@contextlib.contextmanager
def _reporting(path: Path | None) -> Iterator[Callable[[RefusedRecord], None]]:
    """Tell each refused record on standard error, while they are few, and in the file, if there is one."""
    from heliograph.cli.importing import as_line, describe

    told = 0
    with contextlib.ExitStack() as resources:
        try:
            file = None if path is None else resources.enter_context(path.open("wb"))
        except OSError as error:
            raise typer.BadParameter(f"{path}: {error.strerror}", param_hint="--errors") from None

        def report(record: RefusedRecord) -> None:
            nonlocal told
            told += 1
            if file is not None:
                file.write(as_line(record))
            if told <= MOST_MESSAGES:
                say(describe(record))
            elif told == MOST_MESSAGES + 1:
                say("... and more; --errors FILE keeps them all.")

        yield report


@contextlib.contextmanager
def _progress(size: int | None) -> Iterator[Callable[[int], None]]:
    """Draw a bar on standard error, if that is a terminal; the result is told how many bytes are done."""
    if not sys.stderr.isatty():
        yield lambda done: None
        return
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console(stderr=True)) as bar:
        task = bar.add_task("import", total=size)
        yield lambda done: bar.update(task, completed=done)


@contextlib.contextmanager
def _explained(importer: Importer) -> Iterator[None]:
    """When the import breaks off, say what was done and how to go on."""
    try:
        yield
    except (Failed, KeyboardInterrupt):
        stored = importer.totals.stored + importer.totals.repeated
        say(f"The import broke off; {stored} events are stored. Run it again to go on: none is stored twice.")
        raise
