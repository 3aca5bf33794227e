"""What a dry run knows of its own earlier chunks, which were taken back: it puts their changes in place again."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import msgspec

from heliograph.jobs import actions as jobs
from heliograph.provisioning import store
from heliograph.provisioning.recipes import Recipe
from heliograph.storage.engine import Transaction
from heliograph.tenancy.model import Scope


class Use(msgspec.Struct, frozen=True):
    """Who has an identifier or a row by now: a recipe as it would be, a device, or, when both are None, nobody."""

    recipe: Recipe | None = None
    device_uid: bytes | None = None


_ROW = "row:"

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Use).decode


class Rehearsal:
    """One chunk of a dry run; all that it writes to recipes belongs into a savepoint that is undone.

    `made` are the recipes that only the dry run has.
    """

    def __init__(self, tx: Transaction, scope: Scope, job_uid: bytes) -> None:
        self._tx = tx
        self._scope = scope
        self._job_uid = job_uid
        self._played: set[str] = set()
        self._devices: dict[str, tuple[str, bytes]] = {}
        self.made: set[bytes] = set()

    def play(self, names: Sequence[str]) -> dict[str, tuple[str, bytes]]:
        """Make those recipes that have the identifiers, or were made of the rows, what the chunks before made of them.

        Return which of the identifiers a device would have by now that has them only in the dry run.
        """
        fresh = [name for name in names if name not in self._played]
        uses = _uses(self._tx, self._scope, self._job_uid, fresh)
        recipes = list({use.recipe.uid: use.recipe for use in uses.values() if use.recipe is not None}.values())
        live = [recipe for recipe in recipes if recipe.status != "Invalid"]
        theirs = {name for recipe in live for name in recipe.identity.identifiers}
        freed = {name for name in uses if not name.startswith(_ROW)}
        store.free_identifiers(self._tx, self._scope, sorted(freed | theirs))
        self._put(recipes)
        store.insert_identifiers(self._tx, self._scope, live)
        # A recipe that this chunk has changed must not be put back to what it was before.
        rows = {row_mark(recipe.row_digest) for recipe in recipes if recipe.row_digest is not None}
        self._played |= {*fresh, *theirs, *rows}
        self._devices |= {name: ("device", use.device_uid) for name, use in uses.items() if use.device_uid is not None}
        return {name: self._devices[name] for name in names if name in self._devices}

    def _put(self, recipes: Sequence[Recipe]) -> None:
        there = {found.uid for found in store.find_recipes(self._tx, self._scope, [recipe.uid for recipe in recipes])}
        for recipe in recipes:
            if recipe.uid in there:
                store.release_identifiers(self._tx, self._scope, recipe.uid)
                store.update_recipe(self._tx, self._scope, recipe, tags=True)
        new = [recipe for recipe in recipes if recipe.uid not in there]
        self.made |= {recipe.uid for recipe in new}
        store.insert_recipes(self._tx, self._scope, new)

    def marks(
        self, touched: Mapping[str, tuple[str, bytes] | None], recipes: Mapping[bytes, Recipe]
    ) -> dict[str, bytes]:
        """Return what is to be remembered of this chunk: who has the identifiers and rows that it touched."""
        return {name: _encode(_use(user, recipes)) for name, user in touched.items()}


def rehearsed(tx: Transaction, scope: Scope, job_uid: bytes, names: Collection[str]) -> dict[str, bytes]:
    """Return the recipes that a dry run has come to have behind identifiers and rows."""
    uses = _uses(tx, scope, job_uid, names)
    return {name: use.recipe.uid for name, use in uses.items() if use.recipe is not None}


def row_mark(digest: bytes) -> str:
    """Return the name under which the recipe that was made of a row is remembered."""
    return _ROW + digest.hex()


def _uses(tx: Transaction, scope: Scope, job_uid: bytes, names: Collection[str]) -> dict[str, Use]:
    return {name: _decode(mark) for name, mark in jobs.find_marks(tx, scope, job_uid, names).items()}


def _use(user: tuple[str, bytes] | None, recipes: Mapping[bytes, Recipe]) -> Use:
    if user is None:
        return Use()
    return Use(recipe=recipes[user[1]]) if user[0] == "recipe" else Use(device_uid=user[1])
