"""The rows of an import against what the organization has: each is carried out, and told of."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Sequence
from typing import Any

import msgspec

from heliograph import publish
from heliograph.devices import actions as devices
from heliograph.devices.model import Identity, Settings, fold
from heliograph.errors import Fault, Refusal
from heliograph.ids import as_hex, new_uid
from heliograph.jobs.model import JobRow
from heliograph.provisioning import actions
from heliograph.provisioning.importrows import (
    NEEDS_CONFIRM,
    Find,
    Order,
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
from heliograph.provisioning.recipes import Recipe
from heliograph.provisioning.rehearsal import Rehearsal
from heliograph.provisioning.spreadsheet import BadRow, Row
from heliograph.references import actions as references
from heliograph.references.model import Kind
from heliograph.storage.engine import Transaction
from heliograph.tenancy.model import Scope

LONGEST_MESSAGE = 1000

HashCode = Callable[[bytes, str], bytes]


class Ready(msgspec.Struct, frozen=True):
    """A row with what is too slow to be done inside a transaction: the hash of its claim code."""

    wanted: Wanted
    uid: bytes
    claim_hash: bytes | None


def make_ready(row: Row | BadRow, rules: RowRules, hashed: HashCode) -> Ready:
    """Read a row, and do what is slow."""
    wanted = read(row, rules)
    uid = new_uid()
    code = wanted.wish.claim_code
    return Ready(wanted, uid, None if code is None or wanted.faults else hashed(uid, code))


class Work:
    """The rows of a chunk against what the organization has; `told` is what became of each."""

    def __init__(self, tx: Transaction, scope: Scope, job_uid: bytes, order: Order, rows: Sequence[Ready]) -> None:
        self._tx = tx
        self._scope = scope
        self._order = order
        self._rows = rows
        self._find = _finder(tx, scope, [row.wanted for row in rows])
        self._rehearsal = Rehearsal(tx, scope, job_uid) if order.dry_run else None
        self._recipes: dict[bytes, Recipe] = {}
        self._taken: dict[str, tuple[str, bytes]] = {}
        self._drafts: list[Draft] = []
        self._touched: set[str] = set()
        self.told: list[JobRow] = []

    def run(self) -> None:
        """Import every row."""
        identities = [row.wanted.identity for row in self._rows if row.wanted.identity is not None]
        self._look({name for identity in identities for name in identity.identifiers})
        for row in self._rows:
            self._settle(row)
        self._make_drafts_real()

    def marks(self) -> dict[str, bytes]:
        """Return what the next chunks of a dry run must know of this one."""
        assert self._rehearsal is not None
        return self._rehearsal.marks({name: self._taken.get(name) for name in self._touched}, self._recipes)

    def _look(self, names: Collection[str]) -> None:
        """Find out which identifiers are in use, and read the recipes that wait by them."""
        identifiers = sorted(names)
        for name in identifiers:
            self._taken.pop(name, None)
        if self._rehearsal is not None:
            self._taken |= self._rehearsal.play(identifiers)
        self._taken |= actions.taken_here(self._tx, self._scope, identifiers)
        users = {self._taken[name] for name in identifiers if name in self._taken}
        uids = sorted(uid for kind, uid in users if kind == "recipe")
        self._recipes |= actions.get_all(self._tx, self._scope, uids)

    def _settle(self, row: Ready) -> None:
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
            names = ", ".join(sorted({self._name_of(kind, uid) for kind, uid in users}))
            self._tell(wanted, "conflict", reason="identifiers_taken", message=f"In use already: {names}.")

    def _name_of(self, kind: str, uid: bytes) -> str:
        return f"{kind} {as_hex(uid)}" if self._outlives(uid) else "the recipe of an earlier row"

    def _outlives(self, uid: bytes) -> bool:
        """Tell whether a recipe will be there after this run: those that a dry run makes will not."""
        return self._rehearsal is None or uid not in self._rehearsal.made

    def _create(self, row: Ready, identity: Identity, settings: Settings) -> None:
        draft = draft_of(row.uid, identity, settings, row.wanted.wish, row.claim_hash)
        self._drafts.append(draft)
        self._recipes[draft.uid] = Recipe(
            uid=draft.uid, status="Pending", identity=identity, settings=settings,
            confirmed_ownership=draft.confirmed_ownership, on_repeat=draft.on_repeat, created_at=self._tx.now,
            updated_at=self._tx.now,
        )  # fmt: skip
        self._taken |= dict.fromkeys(identity.identifiers, ("recipe", draft.uid))
        self._touched |= set(identity.identifiers)
        if self._rehearsal is not None:
            self._rehearsal.made.add(draft.uid)
        self._tell(row.wanted, "created", recipe=draft.uid)

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
        if "confirmed_ownership" in different and not self._order.may_confirm:
            self._tell(wanted, "conflict", recipe=recipe.uid, reason="update_refused", message=NEEDS_CONFIRM)
            return
        self._make_drafts_real()
        try:
            with self._tx.savepoint():
                changed = actions.update(self._tx, self._scope, recipe.uid, None, patch_of(different), {})
        except Refusal as refusal:
            self._tell(
                wanted, "conflict", recipe=recipe.uid, reason="update_refused", message=refusal.detail,
                errors=refusal.faults,
            )  # fmt: skip
        else:
            self._follow(recipe, changed)
            self._tell(wanted, "updated", recipe=recipe.uid)

    def _follow(self, before: Recipe, after: Recipe) -> None:
        """Take note of all that came with a change: identifiers that it freed, a device that it enrolled."""
        self._recipes[after.uid] = after
        self._taken |= dict.fromkeys(after.identity.identifiers, ("recipe", after.uid))
        names = {*before.identity.identifiers, *after.identity.identifiers}
        if before.status != after.status and after.device_uid is not None:
            device = devices.find(self._tx, self._scope, after.device_uid)
            names |= set(device.identity.identifiers if device else ())
        if before.status != after.status or before.identity != after.identity:
            self._look(names)
        self._touched |= names

    def _make_drafts_real(self) -> None:
        """Create what the rows before made, for one of them may be what the next row changes."""
        actions.create_all(self._tx, self._scope, self._drafts)
        self._drafts = []

    def _refuse(self, row: Ready, settings: Settings, faults: tuple[Fault, ...]) -> None:
        wanted = row.wanted
        message = " ".join(fault.message for fault in faults)[:LONGEST_MESSAGE]
        if not self._order.keep_invalid or wanted.identity is None:
            self._tell(wanted, "rejected", reason=faults[0].rule, message=message, errors=faults)
            return
        draft = draft_of(row.uid, wanted.identity, settings, wanted.wish, None)
        draft = msgspec.structs.replace(draft, error_message=message, confirmed_ownership=False)
        uid = self._keep_once(wanted, draft)
        outcome: Outcome = "invalid" if uid == draft.uid else "unchanged"
        self._tell(wanted, outcome, recipe=uid, reason=faults[0].rule, message=message, errors=faults)

    def _keep_once(self, wanted: Wanted, draft: Draft) -> bytes:
        """Keep an Invalid recipe, unless the very same row was kept before: it has nothing else to be known by."""
        cells = msgspec.json.encode(wanted.cells, order="deterministic")
        digest = hashlib.sha256(b"invalid row\0" + cells).digest()

        def keep(tx: Transaction) -> tuple[bytes, bytes]:
            del tx
            self._drafts.append(draft)
            return draft.uid, draft.uid

        if self._rehearsal is not None and (kept := self._rehearsal.kept(digest)) is not None:
            return kept
        fresh, uid = publish.once(self._tx, self._scope, publish.Identity(digest, b""), keep)
        if self._rehearsal is not None and fresh:
            self._rehearsal.keep(digest, uid)
        return uid

    def _tell(
        self, wanted: Wanted, outcome: Outcome, *, recipe: bytes | None = None,
        reason: str | None = None, message: str | None = None, errors: tuple[Fault, ...] = (),
    ) -> None:  # fmt: skip
        detail: dict[str, Any] = {"line": wanted.line}
        if recipe is not None and self._outlives(recipe):
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
