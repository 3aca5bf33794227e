"""What is done for the rows of an import before their transaction, because it is slow: the hashes of claim codes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from functools import partial

import msgspec

from heliograph.ids import new_uid
from heliograph.jobs.model import JobContext
from heliograph.provisioning import actions
from heliograph.provisioning.importrows import Wanted
from heliograph.provisioning.rehearsal import rehearsed, row_mark
from heliograph.storage.engine import Transaction
from heliograph.tenancy.model import Scope

HashCode = Callable[[bytes, str], bytes]


class Ready(msgspec.Struct, frozen=True):
    """A row with the uid of the recipe that it may make, and the digest by which its cells are known again.

    `hashes` holds its claim code as each recipe would keep it, by uid: the one it may make, and those it may meet.
    """

    wanted: Wanted
    uid: bytes
    digest: bytes
    hashes: dict[bytes, bytes]


def make_ready(rows: Sequence[Wanted], context: JobContext, keep_invalid: bool, hashed: HashCode) -> list[Ready]:
    """Do what is slow; what others change meanwhile can only leave hashes missing."""
    keyed = [(row, _digest_of(row)) for row in rows]
    coded = [(row, digest) for row, digest in keyed if row.wish.claim_code is not None]
    step = partial(_recipes_behind, scope=context.scope, job_uid=context.job.uid, rows=coded)
    behind = context.read(step) if coded else {}
    ready = []
    for row, digest in keyed:
        uid, code, hashes = new_uid(), row.wish.claim_code, {}
        if code is not None and (keep_invalid or not row.faults):
            met = {uid}.union(*(behind.get(name, ()) for name in _names_of(row, digest)))
            hashes = {recipe: hashed(recipe, code) for recipe in met}
        ready.append(Ready(row, uid, digest, hashes))
    return ready


def _digest_of(row: Wanted) -> bytes:
    return hashlib.sha256(b"invalid row\0" + msgspec.json.encode(row.cells, order="deterministic")).digest()


def _names_of(row: Wanted, digest: bytes) -> tuple[str, ...]:
    return (row_mark(digest), *(row.identity.identifiers if row.identity is not None else ()))


def _recipes_behind(
    tx: Transaction, scope: Scope, job_uid: bytes, rows: Sequence[tuple[Wanted, bytes]]
) -> dict[str, set[bytes]]:
    """Return the recipes that have a row's identifiers or were made of it, now or by what a dry run has come to."""
    names = {name for row, digest in rows for name in _names_of(row, digest)}
    behind = {name: {uid} for name, uid in rehearsed(tx, scope, job_uid, names).items()}
    for digest, recipe in actions.kept_rows(tx, scope, {digest for _, digest in rows}).items():
        behind.setdefault(row_mark(digest), set()).add(recipe.uid)
    for name, (kind, uid) in actions.taken_here(tx, scope, sorted(names)).items():
        if kind == "recipe":
            behind.setdefault(name, set()).add(uid)
    return behind
