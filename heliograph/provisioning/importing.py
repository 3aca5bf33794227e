"""Bulk import as a job: the rows of a file become recipes, a few at a time, and each is told what became of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from typing import NamedTuple

import msgspec
from msgspec import UNSET, UnsetType

from heliograph.errors import Denied
from heliograph.jobs import actions as jobs
from heliograph.jobs.model import Advance, Chunk, JobContext, JobKind, JobRow
from heliograph.provisioning.claims import hash_code
from heliograph.provisioning.columns import MOST_COLUMNS
from heliograph.provisioning.importready import Ready, make_ready
from heliograph.provisioning.importrows import CONFIRM, Order, RowRules, Wanted, read
from heliograph.provisioning.importwork import Work
from heliograph.provisioning.recipes import Demands
from heliograph.provisioning.spreadsheet import BadRow, Row, read_rows
from heliograph.storage.engine import Transaction
from heliograph.storage.sealing import Sealer
from heliograph.tenancy.access import resumed
from heliograph.tenancy.model import Scope

CREATE, UPDATE = "create recipe.tenant", "update recipe.tenant"

ROWS_AT_ONCE = 20
"""Rows of one transaction, for which everybody else waits.

With 20, the 99th percentile of single events meanwhile is less than half of what it is with 50, and an import takes a
third longer (`python -m bench 6`).
"""

TAGS_AT_ONCE = 200
"""When the rows of a transaction have so many tags, it is long enough: each is a row of the database as well."""

LONGEST_COLUMN = 100
COLUMNS_BYTES = 8192
"""The names of members that a report of JSON lines has columns for: characters of each, and bytes of all."""

PART_BYTES = 256 * 1024
"""Length of the parts in which a file is kept."""


class Place(msgspec.Struct, frozen=True):
    """Where the next chunk begins: byte, row and line of the file."""

    offset: int
    number: int
    line: int


class Summary(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What an import has come to so far; the result of its job.

    The columns of a CSV file, which do not change, are told at its end: until then they are in the job's parameters.
    """

    dry_run: bool
    rows: int
    outcomes: dict[str, int]
    columns: tuple[str, ...] | UnsetType = UNSET
    ignored_columns: tuple[str, ...] | UnsetType = UNSET


IMPORT = "recipe-import"


def import_kind(demands: Demands, sealer: Sealer) -> JobKind:
    """Return the job that imports recipes; its progress is counted in bytes of the file."""

    def open_import(context: JobContext) -> Iterator[Chunk]:
        return _chunks(context, demands, sealer)

    return JobKind(name=IMPORT, read="read recipe.tenant", change=CREATE, open=open_import)


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
        Summary(dry_run=order.dry_run, rows=0, outcomes={})
        if context.job.result is None
        else msgspec.convert(context.job.result, Summary)
    )
    parts = _from_byte(context, sealer, place.offset)
    rows = read_rows(parts, layout, place.offset, place.number, place.line)
    rules = RowRules(layout=layout, demands=demands, now=context.job.created_at)
    # A chunk may leave rows to the next.
    taken: list[_Taken] = []
    while True:
        _fill(taken, rows, rules)
        ready = make_ready([row.wanted for row in taken], context, order.keep_invalid, partial(hash_code, sealer))
        places = [place, *(row.after for row in taken)]
        chunk = _ImportChunk(context.job.uid, order, ready, summary, places)
        yield chunk
        if not taken:
            return
        summary, place = chunk.summary, places[chunk.done]
        del taken[: chunk.done]


class _Taken(NamedTuple):
    wanted: Wanted
    after: Place


def _fill(taken: list[_Taken], rows: Iterator[Row | BadRow], rules: RowRules) -> None:
    """Read as many rows as one transaction has."""
    while len(taken) < ROWS_AT_ONCE and sum(len(row.wanted.wish.tags) for row in taken) < TAGS_AT_ONCE:
        row = next(rows, None)
        if row is None:
            return
        taken.append(_Taken(read(row, rules), Place(row.offset_after, row.number + 1, row.line_after)))


def _from_byte(context: JobContext, sealer: Sealer, offset: int) -> Iterator[bytes]:
    """Yield the file from a byte on; its parts, but for the last, all have the same length."""
    first = offset // PART_BYTES
    for number, sealed in context.inputs(first):
        content = sealer.unseal(sealed, _place_of(context.job.uid, number))
        yield content[offset - first * PART_BYTES :] if number == first else content


class _UndoError(Exception):
    """Ends the savepoint of a dry run."""


class _ImportChunk:
    """Some rows, to be carried out in one transaction; `done` is how many of them were.

    `places` are where the work goes on when so many are done.
    """

    def __init__(
        self, job_uid: bytes, order: Order, rows: Sequence[Ready], summary: Summary, places: Sequence[Place]
    ) -> None:
        self._job_uid = job_uid
        self._order = order
        self._rows = rows
        self._before = summary
        self._places = places
        self.summary = summary
        self.done = 0

    def apply(self, tx: Transaction, scope: Scope) -> Advance:
        """Import the rows; a dry run does the same and takes it back, keeping only what it would have come to.

        Raises:
            Denied: when the account may no longer update, and the order is to update.
        """
        if self._order.existing == "update":
            resumed(tx, scope.tenant_id, UPDATE, scope.actor)
        may_confirm = self._order.may_confirm and _may_confirm(tx, scope)
        work = Work(tx, scope, self._job_uid, self._order, self._rows, may_confirm)
        try:
            with tx.savepoint():
                work.run()
                if self._order.dry_run:
                    raise _UndoError
        except _UndoError:
            jobs.put_marks(tx, scope, self._job_uid, work.marks())
        jobs.report(tx, scope, self._job_uid, work.told)
        self.done = len(work.told)
        place = self._places[self.done]
        counted = Counter(self._before.outcomes) + Counter(row.outcome for row in work.told)
        self.summary = msgspec.structs.replace(
            self._before,
            rows=self._before.rows + len(work.told),
            outcomes=dict(counted),
            columns=self._columns(work.told),
            ignored_columns=UNSET if self._rows else self._order.layout.ignored,
        )
        return Advance(
            position=msgspec.to_builtins(place),
            # What follows the last row is nothing but blank lines.
            done=place.offset if self._rows else self._order.size,
            total=self._order.size,
            result=msgspec.to_builtins(self.summary),
        )

    def _columns(self, told: Sequence[JobRow]) -> tuple[str, ...] | UnsetType:
        """Return the columns of the report: those of the file, or the members that refused objects had."""
        if self._order.layout.format == "csv":
            return UNSET if self._rows else self._order.layout.columns
        columns = dict.fromkeys(() if self._before.columns is UNSET else self._before.columns)
        left = COLUMNS_BYTES - sum(len(name.encode()) for name in columns)
        for name in (name for row in told for name in row.detail.get("cells", ())):
            if name in columns or len(name) > LONGEST_COLUMN or len(columns) == MOST_COLUMNS:
                continue
            size = len(name.encode())
            if size <= left:
                columns[name] = None
                left -= size
        return tuple(columns)


def _may_confirm(tx: Transaction, scope: Scope) -> bool:
    try:
        resumed(tx, scope.tenant_id, CONFIRM, scope.actor)
    except Denied:
        return False
    return True
