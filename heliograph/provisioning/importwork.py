"""The rows of an import against what the organization has: each is carried out, and told of."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

import msgspec

from heliograph.devices import actions as devices
from heliograph.devices.model import Identity, Settings, fold
from heliograph.errors import Fault, Refusal
from heliograph.ids import as_hex
from heliograph.jobs.model import JobRow
from heliograph.provisioning import actions
from heliograph.provisioning.importready import Ready
from heliograph.provisioning.importrows import (
    NEEDS_CONFIRM,
    Find,
    Order,
    Outcome,
    Wanted,
    differences,
    draft_of,
    faulty_fields,
    patch_of,
    settings_of,
    uid_in,
    words_for,
)
from heliograph.provisioning.model import Draft, RecipePatch
from heliograph.provisioning.recipes import Recipe
from heliograph.provisioning.rehearsal import Rehearsal, row_mark
from heliograph.references import actions as references
from heliograph.references.model import Kind
from heliograph.storage.engine import Transaction
from heliograph.tenancy.model import Scope

LONGEST_MESSAGE = 1000

NOT_COMPARED = "The recipe came about at the same moment, so its claim code was not compared; send the row again."
CODE_USED = "The recipe's claim code was used, and is not replaced by that of a file; make a new one for the recipe."
TOUCHED = (
    "A recipe was kept for this row when it had faults, and was changed since; repair it, or import with"
    " existing=update."
)

Change = Callable[[Transaction, Scope, bytes, RecipePatch], Recipe]


def _update(tx: Transaction, scope: Scope, uid: bytes, patch: RecipePatch) -> Recipe:
    return actions.update(tx, scope, uid, None, patch, {})


class Work:
    """The rows of a chunk against what the organization has; `told` is what became of each.

    `may_confirm` is whether the ownership may be confirmed, and a claim code replaced.
    """

    def __init__(
        self, tx: Transaction, scope: Scope, job_uid: bytes, order: Order, rows: Sequence[Ready], may_confirm: bool
    ) -> None:
        self._tx = tx
        self._scope = scope
        self._order = order
        self._rows = rows
        self._may_confirm = may_confirm
        self._find = _finder(tx, scope, [row.wanted for row in rows])
        self._rehearsal = Rehearsal(tx, scope, job_uid) if order.dry_run else None
        self._recipes: dict[bytes, Recipe] = {}
        self._kept: dict[bytes, Recipe] = {}
        self._taken: dict[str, tuple[str, bytes]] = {}
        self._drafts: list[Draft] = []
        self._touched: set[str] = set()
        self._touched_rows: set[bytes] = set()
        self.told: list[JobRow] = []

    def run(self) -> None:
        """Import the rows, up to one whose claim code cannot be compared yet with what the rows before have made."""
        identities = [row.wanted.identity for row in self._rows if row.wanted.identity is not None]
        digests = {row.digest for row in self._rows}
        if self._rehearsal is not None:
            self._rehearsal.play([row_mark(digest) for digest in sorted(digests)])
        self._look({name for identity in identities for name in identity.identifiers})
        self._kept = actions.kept_rows(self._tx, self._scope, digests)
        for done, row in enumerate(self._rows):
            self._settle(row)
            if len(self.told) == done:
                break
        self._make_drafts_real()

    def marks(self) -> dict[str, bytes]:
        """Return what the next chunks of a dry run must know of this one."""
        assert self._rehearsal is not None
        touched = {name: self._taken.get(name) for name in self._touched}
        rows = {row_mark(digest): ("recipe", self._kept[digest].uid) for digest in self._touched_rows}
        return self._rehearsal.marks(touched | rows, self._recipes)

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
        if wanted.wish.confirmed_ownership and not self._may_confirm:
            faults += (Fault("/confirmedOwnership", "permission", NEEDS_CONFIRM),)
        if faults:
            self._refuse(row, settings, faults)
            return
        assert wanted.identity is not None
        users = {self._taken[name] for name in wanted.identity.identifiers if name in self._taken}
        own = {("device", self._recipes[uid].device_uid) for kind, uid in users if kind == "recipe"}
        kept = self._kept.get(row.digest)
        if not users and kept is not None and kept.status == "Invalid":
            self._meet(row, wanted.identity, settings, kept)
        elif not users:
            self._create(row, wanted.identity, settings)
        elif len(users - own) == 1 and (user := next(iter(users - own)))[0] == "recipe":
            self._meet(row, wanted.identity, settings, self._recipes[user[1]])
        else:
            self._tell_taken(wanted, users)

    def _tell_taken(self, wanted: Wanted, users: Collection[tuple[str, bytes]]) -> None:
        names = ", ".join(sorted({self._name_of(kind, uid) for kind, uid in users}))
        self._tell(wanted, "conflict", reason="identifiers_taken", message=f"In use already: {names}.")

    def _name_of(self, kind: str, uid: bytes) -> str:
        return f"{kind} {as_hex(uid)}" if self._outlives(uid) else "the recipe of an earlier row"

    def _outlives(self, uid: bytes) -> bool:
        """Tell whether a recipe will be there after this run: those that a dry run makes will not."""
        return self._rehearsal is None or uid not in self._rehearsal.made

    def _create(self, row: Ready, identity: Identity, settings: Settings) -> None:
        draft = draft_of(row.uid, identity, settings, row.wanted.wish, row.hashes.get(row.uid))
        self._take(draft)
        self._taken |= dict.fromkeys(identity.identifiers, ("recipe", draft.uid))
        self._touched |= set(identity.identifiers)
        self._tell(row.wanted, "created", recipe=draft.uid)

    def _take(self, draft: Draft) -> None:
        self._drafts.append(draft)
        self._note(actions.made_of(draft, self._tx.now))
        if self._rehearsal is not None:
            self._rehearsal.made.add(draft.uid)

    def _note(self, recipe: Recipe) -> None:
        """Take note of a recipe as it is now."""
        self._recipes[recipe.uid] = recipe
        if recipe.row_digest is not None:
            self._kept[recipe.row_digest] = recipe
            self._touched_rows.add(recipe.row_digest)

    def _meet(self, row: Ready, identity: Identity, settings: Settings, recipe: Recipe) -> None:
        """Treat a row for which there is a recipe, perhaps one that was made of this very row when it had faults."""
        wanted = row.wanted
        if wanted.wish.claim_code is not None and recipe.uid not in row.hashes:
            if self.told:
                return
            self._tell(wanted, "conflict", recipe=recipe.uid, reason="claim_code_not_compared", message=NOT_COMPARED)
            return
        different = differences(recipe, identity, settings, wanted.wish, row.hashes.get(recipe.uid))
        if recipe.status == "Invalid" and (self._order.existing == "update" or recipe.version == 1):
            # What nobody has touched since is a row that was not done yet: no decision of anybody's is in the way.
            self._change(wanted, recipe, different, actions.repair)
        elif recipe.status == "Invalid":
            self._tell(wanted, "conflict", recipe=recipe.uid, reason="recipe_exists", message=TOUCHED)
        elif not different:
            self._tell(wanted, "unchanged", recipe=recipe.uid)
        elif self._order.existing == "keep":
            message = f"The recipe is there already, with another {words_for(different)}."
            self._tell(wanted, "conflict", recipe=recipe.uid, reason="recipe_exists", message=message)
        else:
            self._change(wanted, recipe, different, _update)

    def _change(self, wanted: Wanted, recipe: Recipe, different: dict[str, Any], change: Change) -> None:
        code = {"claim_code", "claim_code_expires_at"} & different.keys()
        # To finish what the row itself began is no more than to create.
        begun = recipe.status == "Invalid" and recipe.version == 1
        if (code or "confirmed_ownership" in different) and not (self._may_confirm or begun):
            self._tell(wanted, "conflict", recipe=recipe.uid, reason="update_refused", message=NEEDS_CONFIRM)
            return
        if code and recipe.claim_used_at is not None:
            self._tell(wanted, "conflict", recipe=recipe.uid, reason="claim_code_used", message=CODE_USED)
            return
        self._make_drafts_real()
        others = self._in_the_way(recipe, different)
        if others:
            self._tell_taken(wanted, others)
            return
        try:
            with self._tx.savepoint():
                claim_hash = different.get("claim_code", recipe.claim_hash)
                if code and claim_hash is not None:
                    expires_at = wanted.wish.claim_code_expires_at
                    actions.set_claim_code(self._tx, self._scope, recipe.uid, None, claim_hash, expires_at)
                changed = change(self._tx, self._scope, recipe.uid, patch_of(different))
        except Refusal as refusal:
            self._tell(
                wanted, "conflict", recipe=recipe.uid, reason="update_refused", message=refusal.detail,
                errors=refusal.faults,
            )  # fmt: skip
        else:
            self._follow(recipe, changed)
            self._tell(wanted, "updated", recipe=recipe.uid)

    def _in_the_way(self, recipe: Recipe, different: dict[str, Any]) -> set[tuple[str, bytes]]:
        """Return who has an identifier that the change makes out of a part of the row and a part of the recipe."""
        parts = {name: different[name] for name in ("brand", "serial_number", "mac_address") if name in different}
        new = msgspec.structs.replace(recipe.identity, **parts)
        self._look(set(new.identifiers) - set(recipe.identity.identifiers))
        users = {self._taken[name] for name in new.identifiers if name in self._taken}
        return users - {("recipe", recipe.uid)} - {("device", recipe.device_uid)}

    def _follow(self, before: Recipe, after: Recipe) -> None:
        """Take note of all that came with a change: identifiers that it freed, a device that it enrolled."""
        self._note(after)
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
        kept = self._kept.get(row.digest)
        if kept is not None:
            self._tell(wanted, "unchanged", recipe=kept.uid, reason=faults[0].rule, message=message, errors=faults)
            return
        draft = draft_of(row.uid, wanted.identity, settings, wanted.wish, row.hashes.get(row.uid))
        wrong = faulty_fields(faults)
        draft = msgspec.structs.replace(
            draft, error_message=message, faulty_fields=wrong, row_digest=row.digest,
            confirmed_ownership=draft.confirmed_ownership and "confirmedOwnership" not in wrong,
        )  # fmt: skip
        self._take(draft)
        self._tell(wanted, "invalid", recipe=draft.uid, reason=faults[0].rule, message=message, errors=faults)

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
            detail |= {} if wanted.text is None else {"text": wanted.text}
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
