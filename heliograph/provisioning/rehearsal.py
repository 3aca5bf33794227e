"""What a dry run knows of its own earlier chunks, which were taken back: it puts their changes in place again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from heliograph.jobs import actions as jobs
from heliograph.provisioning import store
from heliograph.provisioning.recipes import Recipe
from heliograph.storage.engine import Transaction
from heliograph.tenancy.model import Scope


class Use(msgspec.Struct, frozen=True):
    """Who has an identifier by now: a recipe as it would be, a device, or, when both are None, nobody any more."""

    recipe: Recipe | None = None
    device_uid: bytes | None = None


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
        self._kept: dict[str, bytes] = {}
        self.made: set[bytes] = set()

    def play(self, identifiers: Sequence[str]) -> dict[str, tuple[str, bytes]]:
        """Make those recipes that have the identifiers what the chunks before have made of them.

        Return which of the identifiers a device would have by now that has them only in the dry run.
        """
        fresh = [name for name in identifiers if name not in self._played]
        uses = {name: _decode(mark) for name, mark in self._marks(fresh).items()}
        recipes = list({use.recipe.uid: use.recipe for use in uses.values() if use.recipe is not None}.values())
        theirs = {name for recipe in recipes for name in recipe.identity.identifiers}
        store.free_identifiers(self._tx, self._scope, sorted({*uses, *theirs}))
        self._put(recipes)
        # A recipe that this chunk has changed must not be put back to what it was before.
        self._played |= {*fresh, *theirs}
        self._devices |= {name: ("device", use.device_uid) for name, use in uses.items() if use.device_uid is not None}
        return {name: self._devices[name] for name in identifiers if name in self._devices}

    def _put(self, recipes: Sequence[Recipe]) -> None:
        there = {found.uid for found in store.find_recipes(self._tx, self._scope, [recipe.uid for recipe in recipes])}
        for recipe in recipes:
            if recipe.uid in there:
                store.release_identifiers(self._tx, self._scope, recipe.uid)
                store.update_recipe(self._tx, self._scope, recipe, tags=True)
        new = [recipe for recipe in recipes if recipe.uid not in there]
        self.made |= {recipe.uid for recipe in new}
        store.insert_recipes(self._tx, self._scope, new)
        store.insert_identifiers(self._tx, self._scope, recipes)

    def kept(self, digest: bytes) -> bytes | None:
        """Return the Invalid recipe that the dry run has kept for such a row before."""
        name = _row(digest)
        before = self._kept.get(name) or self._marks([name]).get(name)
        if before is not None:
            self.made.add(before)
        return before

    def keep(self, digest: bytes, uid: bytes) -> None:
        """Remember the Invalid recipe that is kept for a row."""
        self._kept[_row(digest)] = uid
        self.made.add(uid)

    def marks(
        self, touched: Mapping[str, tuple[str, bytes] | None], recipes: Mapping[bytes, Recipe]
    ) -> dict[str, bytes]:
        """Return what is to be remembered of this chunk: who has the identifiers that it touched, and kept rows."""
        uses = {name: _use(user, recipes) for name, user in touched.items()}
        return {name: _encode(use) for name, use in uses.items()} | self._kept

    def _marks(self, names: Sequence[str]) -> dict[str, bytes]:
        return jobs.find_marks(self._tx, self._scope, self._job_uid, names)


def _row(digest: bytes) -> str:
    return f"row:{digest.hex()}"


def _use(user: tuple[str, bytes] | None, recipes: Mapping[bytes, Recipe]) -> Use:
    if user is None:
        return Use()
    return Use(recipe=recipes[user[1]]) if user[0] == "recipe" else Use(device_uid=user[1])
