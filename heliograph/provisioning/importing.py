"""Bulk import as a job: the rows of a file become recipes, a few at a time, and each is told what became of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import islice

import msgspec

from heliograph.jobs import actions as jobs
from heliograph.jobs.model import Advance, Chunk, JobContext, JobKind, JobRow
from heliograph.provisioning.claims import hash_code
from heliograph.provisioning.columns import MOST_COLUMNS
from heliograph.provisioning.importrows import Order, RowRules
from heliograph.provisioning.importwork import Ready, Work, make_ready
from heliograph.provisioning.recipes import Demands
from heliograph.provisioning.spreadsheet import read_rows
from heliograph.storage.engine import Transaction
from heliograph.storage.sealing import Sealer
from heliograph.tenancy.model import Scope

ROWS_AT_ONCE = 50
"""Rows of one transaction: few enough that others, who wait for it, hardly notice."""

PART_BYTES = 256 * 1024
"""Length of the parts in which a file is kept."""


class Place(msgspec.Struct, frozen=True):
    """Where the next chunk begins: byte, row and line of the file."""

    offset: int
    number: int
    line: int


class Summary(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What an import has come to so far; the result of its job."""

    dry_run: bool
    rows: int
    outcomes: dict[str, int]
    columns: tuple[str, ...]
    ignored_columns: tuple[str, ...]


IMPORT = "recipe-import"


def import_kind(demands: Demands, sealer: Sealer) -> JobKind:
    """Return the job that imports recipes; its progress is counted in bytes of the file."""

    def open_import(context: JobContext) -> Iterator[Chunk]:
        return _chunks(context, demands, sealer)

    return JobKind(name=IMPORT, read="read recipe.tenant", change="create recipe.tenant", open=open_import)


def seal_part(sealer: Sealer, job_uid: bytes, part: int, content: bytes) -> bytes:
    """Return a part of a file as it is kept: sealed, for there may be claim codes in it."""
    return sealer.seal(content, _place_of(job_uid, part))


def _place_of(job_uid: bytes, part: int) -> bytes:
    return b"import %b %d" % (job_uid, part)


def _chunks(context: JobContext, demands: Demands, sealer: Sealer) -> Iterator[Chunk]:
    order = msgspec.convert(context.job.parameters, Order)
    layout = order.layout
    place = (
        Place(layout.data_offset, 1, layout.data_line)
        if context.job.position is None
        else msgspec.convert(context.job.position, Place)
    )
    summary = (
        Summary(dry_run=order.dry_run, rows=0, outcomes={}, columns=layout.columns, ignored_columns=layout.ignored)
        if context.job.result is None
        else msgspec.convert(context.job.result, Summary)
    )
    parts = _from_byte(context, sealer, place.offset)
    rows = read_rows(parts, layout, place.offset, place.number, place.line)
    rules = RowRules(
        layout=layout, demands=demands, may_confirm=order.may_confirm, now=context.job.created_at
    )  # fmt: skip
    while True:
        taken = list(islice(rows, ROWS_AT_ONCE))
        if taken:
            place = Place(taken[-1].offset_after, taken[-1].number + 1, taken[-1].line_after)
        ready = [make_ready(row, rules, partial(hash_code, sealer)) for row in taken]
        chunk = _ImportChunk(context.job.uid, order, ready, summary, place)
        yield chunk
        if not taken:
            return
        summary = chunk.summary


def _from_byte(context: JobContext, sealer: Sealer, offset: int) -> Iterator[bytes]:
    """Yield the file from a byte on; its parts, but for the last, all have the same length."""
    first = offset // PART_BYTES
    for number, sealed in context.inputs(first):
        content = sealer.unseal(sealed, _place_of(context.job.uid, number))
        yield content[offset - first * PART_BYTES :] if number == first else content


class _UndoError(Exception):
    """Ends the savepoint of a dry run."""


class _ImportChunk:
    """Some rows, to be carried out in one transaction."""

    def __init__(self, job_uid: bytes, order: Order, rows: Sequence[Ready], summary: Summary, place: Place) -> None:
        self._job_uid = job_uid
        self._order = order
        self._rows = rows
        self._before = summary
        self._place = place
        self.summary = summary

    def apply(self, tx: Transaction, scope: Scope) -> Advance:
        """Import the rows; a dry run does the same and takes it back, keeping only what it would have come to."""
        work = Work(tx, scope, self._job_uid, self._order, self._rows)
        try:
            with tx.savepoint():
                work.run()
                if self._order.dry_run:
                    raise _UndoError
        except _UndoError:
            jobs.put_marks(tx, scope, self._job_uid, work.marks())
        jobs.report(tx, scope, self._job_uid, work.told)
        counted = Counter(self._before.outcomes) + Counter(row.outcome for row in work.told)
        self.summary = msgspec.structs.replace(
            self._before,
            rows=self._before.rows + len(self._rows),
            outcomes=dict(counted),
            columns=self._columns(work.told),
        )
        return Advance(
            position=msgspec.to_builtins(self._place),
            # What follows the last row is nothing but blank lines.
            done=self._place.offset if self._rows else self._order.size,
            total=self._order.size,
            result=msgspec.to_builtins(self.summary),
        )

    def _columns(self, told: Sequence[JobRow]) -> tuple[str, ...]:
        """Return the columns of the report: those of the file, or the members that refused objects had."""
        columns = dict.fromkeys(self._before.columns)
        if self._order.layout.format == "jsonl":
            columns |= dict.fromkeys(name for row in told for name in row.detail.get("cells", ()))
        return tuple(columns)[:MOST_COLUMNS]
