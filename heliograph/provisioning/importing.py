"""Bulk import as a job: the rows of a file become recipes, a few at a time, and each is told what became of it."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any

import msgspec

from heliograph import publish
from heliograph.devices.model import Identity, Settings, fold
from heliograph.errors import Fault, Refusal
from heliograph.ids import as_hex, new_uid
from heliograph.jobs import actions as jobs
from heliograph.jobs.model import Advance, Chunk, JobContext, JobKind, JobRow
from heliograph.provisioning import actions
from heliograph.provisioning.columns import MOST_COLUMNS, Layout
from heliograph.provisioning.importrows import (
    Find,
    OnExisting,
    Outcome,
    RowRules,
    Wanted,
    differences,
    draft_of,
    patch_of,
    read,
    settings_of,
    uid_in,
    words_for,
)
from heliograph.provisioning.model import Draft
from heliograph.provisioning.recipes import Demands, Recipe
from heliograph.provisioning.spreadsheet import BadRow, Row, read_rows
from heliograph.references import actions as references
from heliograph.references.model import Kind
from heliograph.storage.engine import Transaction
from heliograph.tenancy.model import Scope

ROWS_AT_ONCE = 50
"""Rows of one transaction: few enough that others, who wait for it, hardly notice."""

LONGEST_MESSAGE = 1000

HashCode = Callable[[bytes, str], bytes]
_encode = msgspec.msgpack.Encoder().encode
_decode_recipe = msgspec.msgpack.Decoder(Recipe).decode


class Order(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How an import is to be done; the parameters of its job. `size` is the file's, in bytes."""

    layout: Layout
    size: int
    dry_run: bool = False
    keep_invalid: bool = False
    existing: OnExisting = "keep"
    may_confirm: bool = False


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


def import_kind(demands: Demands, hash_code: HashCode) -> JobKind:
    """Return the job that imports recipes; its progress is counted in bytes of the file."""

    def open_import(context: JobContext) -> Iterator[Chunk]:
        return _chunks(context, demands, hash_code)

    return JobKind(name=IMPORT, read="read recipe.tenant", change="create recipe.tenant", open=open_import)


def _chunks(context: JobContext, demands: Demands, hash_code: HashCode) -> Iterator[Chunk]:
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
    parts = _from_byte(context, place.offset)
    rows = read_rows(parts, layout, place.offset, place.number, place.line)
    rules = RowRules(
        layout=layout, demands=demands, may_confirm=order.may_confirm, now=context.job.created_at
    )  # fmt: skip
    while True:
        taken = list(islice(rows, ROWS_AT_ONCE))
        if taken:
            place = Place(taken[-1].offset_after, taken[-1].number + 1, taken[-1].line_after)
        ready = [_ready(row, rules, hash_code) for row in taken]
        chunk = _ImportChunk(context.job.uid, order, ready, summary, place)
        yield chunk
        if not taken:
            return
        summary = chunk.summary


def _from_byte(context: JobContext, offset: int) -> Iterator[bytes]:
    """Yield the file from a byte on; its parts, but for the last, all have the same length."""
    first = offset // PART_BYTES
    for number, content in context.inputs(first):
        yield content[offset - first * PART_BYTES :] if number == first else content


PART_BYTES = 256 * 1024
"""Length of the parts in which a file is kept."""


class _Ready(msgspec.Struct, frozen=True):
    """A row with what is too slow to be done inside a transaction: the hash of its claim code."""

    wanted: Wanted
    uid: bytes
    claim_hash: bytes | None


def _ready(row: Row | BadRow, rules: RowRules, hash_code: HashCode) -> _Ready:
    wanted = read(row, rules)
    uid = new_uid()
    code = wanted.wish.claim_code
    return _Ready(wanted, uid, None if code is None or wanted.faults else hash_code(uid, code))


class _UndoError(Exception):
    """Ends the savepoint of a dry run."""


class _ImportChunk:
    """Some rows, to be carried out in one transaction."""

    def __init__(
        self, job_uid: bytes, order: Order, rows: Sequence[_Ready], summary: Summary, place: Place
    ) -> None:
        self._job_uid = job_uid
        self._order = order
        self._rows = rows
        self._before = summary
        self._place = place
        self.summary = summary

    def apply(self, tx: Transaction, scope: Scope) -> Advance:
        """Import the rows; a dry run does the same and takes it back, keeping only what it would have come to."""
        work = _Work(tx, scope, self._job_uid, self._order, self._rows)
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


class _Work:
    """The rows of a chunk against what the organization has; `told` is what became of each."""

    def __init__(self, tx: Transaction, scope: Scope, job_uid: bytes, order: Order, rows: Sequence[_Ready]) -> None:
        self._tx = tx
        self._scope = scope
        self._job_uid = job_uid
        self._order = order
        self._rows = rows
        self._find = _finder(tx, scope, [row.wanted for row in rows])
        self._recipes: dict[bytes, Recipe] = {}
        self._taken: dict[str, tuple[str, bytes]] = {}
        self._drafts: list[Draft] = []
        self._changed: set[bytes] = set()
        self.told: list[JobRow] = []

    def run(self) -> None:
        """Import every row."""
        self._look_around()
        for row in self._rows:
            self._settle(row)
        actions.create_all(self._tx, self._scope, self._drafts)

    def marks(self) -> dict[str, bytes]:
        """Return the recipes that a dry run would have made or changed, by what they would be found by."""
        return {
            identifier: _encode(self._recipes[uid])
            for identifier, (_, uid) in self._taken.items()
            if uid in self._changed
        }

    def _look_around(self) -> None:
        """Find out once for all rows which of their identifiers are in use."""
        identities = [row.wanted.identity for row in self._rows if row.wanted.identity is not None]
        identifiers = sorted({name for identity in identities for name in identity.identifiers})
        self._taken = actions.taken_here(self._tx, self._scope, identifiers)
        uids = {uid for kind, uid in self._taken.values() if kind == "recipe"}
        self._recipes = actions.get_all(self._tx, self._scope, sorted(uids))
        if self._order.dry_run:
            for name, encoded in jobs.find_marks(self._tx, self._scope, self._job_uid, identifiers).items():
                recipe = _decode_recipe(encoded)
                self._taken[name] = ("recipe", recipe.uid)
                self._recipes[recipe.uid] = recipe

    def _settle(self, row: _Ready) -> None:
        wanted = row.wanted
        settings, lost = settings_of(wanted, self._find)
        faults = wanted.faults + lost
        if faults:
            self._refuse(row, settings, faults)
            return
        assert wanted.identity is not None
        users = {self._taken[name] for name in wanted.identity.identifiers if name in self._taken}
        own = {("device", self._recipes[uid].device_uid) for kind, uid in users if kind == "recipe"}
        if not users:
            self._create(row, wanted.identity, settings)
        elif len(users - own) == 1 and (user := next(iter(users - own)))[0] == "recipe":
            self._meet(wanted, wanted.identity, settings, self._recipes[user[1]])
        else:
            names = ", ".join(sorted(f"{kind} {as_hex(uid)}" for kind, uid in users))
            self._tell(wanted, "conflict", reason="identifiers_taken", message=f"In use already: {names}.")

    def _create(self, row: _Ready, identity: Identity, settings: Settings) -> None:
        draft = draft_of(row.uid, identity, settings, row.wanted.wish, row.claim_hash)
        self._drafts.append(draft)
        self._know(
            Recipe(
                uid=draft.uid, status="Pending", identity=identity, settings=settings,
                confirmed_ownership=draft.confirmed_ownership, on_repeat=draft.on_repeat, created_at=self._tx.now,
                updated_at=self._tx.now,
            )
        )  # fmt: skip
        self._tell(row.wanted, "created", recipe=draft.uid)

    def _know(self, recipe: Recipe) -> None:
        self._recipes[recipe.uid] = recipe
        self._taken |= dict.fromkeys(recipe.identity.identifiers, ("recipe", recipe.uid))
        self._changed.add(recipe.uid)

    def _meet(self, wanted: Wanted, identity: Identity, settings: Settings, recipe: Recipe) -> None:
        """Treat a row for which there is a recipe."""
        different = differences(recipe, identity, settings, wanted.wish)
        if not different:
            self._tell(wanted, "unchanged", recipe=recipe.uid)
        elif self._order.existing == "keep":
            message = f"The recipe is there already, with another {words_for(different)}."
            self._tell(wanted, "conflict", recipe=recipe.uid, reason="recipe_exists", message=message)
        else:
            self._update(wanted, recipe, different)

    def _update(self, wanted: Wanted, recipe: Recipe, different: dict[str, Any]) -> None:
        self._make_drafts_real()
        if (
            recipe.uid in self._changed
            and self._order.dry_run
            and actions.find(self._tx, self._scope, recipe.uid) is None
        ):
            # Made by an earlier chunk of this dry run, which was taken back.
            actions.create_all(self._tx, self._scope, [_draft_again(recipe)])
        try:
            with self._tx.savepoint():
                changed = actions.update(self._tx, self._scope, recipe.uid, None, patch_of(different), {})
        except Refusal as refusal:
            self._tell(
                wanted, "conflict", recipe=recipe.uid, reason="update_refused", message=refusal.detail,
                errors=refusal.faults,
            )  # fmt: skip
        else:
            self._know(changed)
            self._tell(wanted, "updated", recipe=recipe.uid)

    def _make_drafts_real(self) -> None:
        """Create what the rows before made, for one of them may be what the next row changes."""
        actions.create_all(self._tx, self._scope, self._drafts)
        self._drafts = []

    def _refuse(self, row: _Ready, settings: Settings, faults: tuple[Fault, ...]) -> None:
        wanted = row.wanted
        message = " ".join(fault.message for fault in faults)[:LONGEST_MESSAGE]
        if not self._order.keep_invalid or wanted.identity is None:
            self._tell(wanted, "rejected", reason=faults[0].rule, message=message, errors=faults)
            return
        draft = draft_of(row.uid, wanted.identity, settings, wanted.wish, None)
        draft = msgspec.structs.replace(draft, error_message=message, confirmed_ownership=False)
        fresh, uid = self._keep_once(wanted, draft)
        outcome: Outcome = "invalid" if fresh else "unchanged"
        self._tell(wanted, outcome, recipe=uid, reason=faults[0].rule, message=message, errors=faults)

    def _keep_once(self, wanted: Wanted, draft: Draft) -> tuple[bool, bytes]:
        """Keep an Invalid recipe, unless the very same row was kept before: it has nothing else to be known by."""
        cells = msgspec.json.encode(wanted.cells, order="deterministic")
        identity = publish.Identity(hashlib.sha256(b"invalid row\0" + cells).digest(), b"")

        def keep(tx: Transaction) -> tuple[bytes, bytes]:
            actions.create_all(tx, self._scope, [draft])
            return draft.uid, draft.uid

        return publish.once(self._tx, self._scope, identity, keep)

    def _tell(
        self, wanted: Wanted, outcome: Outcome, *, recipe: bytes | None = None,
        reason: str | None = None, message: str | None = None, errors: tuple[Fault, ...] = (),
    ) -> None:  # fmt: skip
        detail: dict[str, Any] = {"line": wanted.line}
        if recipe is not None:
            detail["recipeUid"] = as_hex(recipe)
        if reason is not None:
            faults = [{"pointer": fault.pointer, "rule": fault.rule, "message": fault.message} for fault in errors]
            detail |= {"reason": reason, "message": message, "errors": faults, "cells": _as_texts(wanted.cells)}
        self.told.append(JobRow(wanted.number, outcome, detail))


def _as_texts(cells: dict[str, Any]) -> dict[str, str]:
    """Return the members of a JSON object as cells of a table, from which they can be read back."""
    return {name: value if isinstance(value, str) else _as_text(value) for name, value in cells.items()}


def _as_text(value: Any) -> str:
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        return "; ".join(value)
    return msgspec.json.encode(value).decode()


def _draft_again(recipe: Recipe) -> Draft:
    return Draft(
        uid=recipe.uid, identity=recipe.identity, settings=recipe.settings,
        confirmed_ownership=recipe.confirmed_ownership, on_repeat=recipe.on_repeat,
    )  # fmt: skip


def _finder(tx: Transaction, scope: Scope, rows: Sequence[Wanted]) -> Find:
    """Look up, once for all rows, what they refer to by uid or by name."""
    texts: dict[Kind, set[str]] = {
        "tag": {text for row in rows for text in row.wish.tags},
        "policy": {row.wish.policy for row in rows if row.wish.policy is not None},
        "location": {row.wish.location for row in rows if row.wish.location is not None},
    }
    uids: dict[Kind, set[bytes]] = {}
    named: dict[Kind, dict[str, list[bytes]]] = {}
    for kind, wanted in texts.items():
        given = {uid for text in wanted if (uid := uid_in(text)) is not None}
        uids[kind] = references.existing(tx, scope, kind, given) if given else set()
        names = [text for text in wanted if uid_in(text) is None]
        named[kind] = references.by_name(tx, scope, kind, names) if names else {}

    def find(kind: Kind, text: str) -> list[bytes]:
        uid = uid_in(text)
        if uid is not None:
            return [uid] if uid in uids[kind] else []
        return named[kind][fold(text)]

    return find
