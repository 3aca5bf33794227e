"""A job's rows as one CSV file, which takes its place only once it is whole."""

from __future__ import annotations

import csv
import io
import secrets
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import typer

from heliograph.cli.client import Call, Refused, encode_query, path_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from typing import TextIO

    from heliograph.cli.session import Session

LARGEST_PAGE = 1000


@dataclass
class Draft:
    """A file that is being written beside the one whose place it takes, if it is `wanted` in the end."""

    text: TextIO
    wanted: bool = False


@contextmanager
def draft_of(path: Path) -> Iterator[Draft]:
    """Write a file such that whatever stands in its place stays as it is until the new one is whole and wanted.

    Raises:
        BadParameter: when no file can be written there.
    """
    # What a link leads to is replaced, not the link.
    target = path.resolve()
    if target.exists() and not target.is_file():
        raise typer.BadParameter(f"{path} is there and is no file.", param_hint="--report")
    beside = target.with_name(f"{target.name}.{secrets.token_hex(4)}.part")
    try:
        text = beside.open("x", encoding="utf-8", newline="")
    except OSError as error:
        raise typer.BadParameter(f"{path}: {error.strerror}", param_hint="--report") from None
    try:
        with text:
            draft = Draft(text)
            yield draft
        if draft.wanted:
            beside.replace(target)
    finally:
        beside.unlink(missing_ok=True)


def write_rows(session: Session, uid: str, outcomes: Sequence[str], report: TextIO, tenant: str | None) -> int:
    """Write the rows of a job with these outcomes, or all when none is named, as one table; return how many.

    They come in pages, each with the same header.

    Raises:
        Refused, NoAnswer: as for every request.
    """
    query = encode_query({"format": "csv", "outcome": outcomes, "limit": LARGEST_PAGE, "tenantUid": tenant})
    next_page: str | None = query
    # In quotes for the same reason as what the platform sends: see heliograph.jobs.model.guarded.
    writer = csv.writer(report, quoting=csv.QUOTE_ALL)
    written = -1
    while next_page is not None:
        answer = session.client.transport.send(Call("GET", path_of("jobs", uid, "rows"), next_page))
        if answer.status >= 400:
            raise Refused(answer)
        rows = csv.reader(io.StringIO(answer.body.decode(), newline=""))
        for row in rows if next_page is query else islice(rows, 1, None):
            writer.writerow(row)
            written += 1
        next_page = answer.next_page
    return written
