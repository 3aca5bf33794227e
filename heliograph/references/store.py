"""The tables of tags, locations and policies: alike but for the columns of their own."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

import msgspec

from heliograph.devices.model import fold
from heliograph.references.model import STRUCTS, AnyReference, Kind
from heliograph.storage.engine import Row, Transaction
from heliograph.storage.statements import batches, begins_with, placeholders
from heliograph.tenancy.model import Scope

_COLUMNS: dict[Kind, tuple[str, ...]] = {
    "tag": ("parent_uid",), "location": ("address", "metadata"), "policy": ("items",)
}  # fmt: skip
"""For each table, which is named like the kind, its columns beside the shared ones; named like the fields."""

_SHARED = ("uid", "name", "created_at", "version")
_DOCUMENTS = ("metadata", "items")

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


def insert(tx: Transaction, scope: Scope, reference: AnyReference) -> None:
    """Add a tag, location or policy."""
    values = _values(reference)
    tx.run(
        f"insert into {reference.kind} (tenant_id, uid, created_at, version, {', '.join(values)})"
        f" values (:tenant_id, :uid, :created_at, 1, {', '.join(':' + name for name in values)})",
        tenant_id=scope.tenant_id, uid=reference.uid, created_at=reference.created_at, **values,
    )  # fmt: skip


def update(tx: Transaction, scope: Scope, reference: AnyReference) -> None:
    """Replace what can change; the version rises."""
    values = _values(reference)
    tx.run(
        f"update {reference.kind} set {', '.join(f'{name} = :{name}' for name in values)}, version = version + 1"
        " where tenant_id = :tenant_id and uid = :uid",
        tenant_id=scope.tenant_id, uid=reference.uid, **values,
    )  # fmt: skip


def delete(tx: Transaction, scope: Scope, kind: Kind, uid: bytes) -> None:
    """Remove one; what refers to it is not looked at."""
    tx.run(f"delete from {kind} where tenant_id = :tenant_id and uid = :uid", tenant_id=scope.tenant_id, uid=uid)


def find(tx: Transaction, scope: Scope, kind: Kind, uid: bytes) -> AnyReference | None:
    """Read one by its uid."""
    row = tx.one(f"{_select(kind)} where tenant_id = :tenant_id and uid = :uid", tenant_id=scope.tenant_id, uid=uid)
    return _reference(kind, row) if row else None


def list_page(
    tx: Transaction, scope: Scope, kind: Kind, after: bytes, limit: int, name_prefix: str | None, parent: bytes | None
) -> list[AnyReference]:
    """Read in the order of uids those whose name begins so, see `fold_prefix`, directly below the parent tag."""
    filters: dict[str, Any] = {}
    conditions = ["tenant_id = :tenant_id", "uid > :after"]
    if name_prefix:
        condition, filters = begins_with(kind, "name_key", name_prefix)
        conditions.append(condition)
    if parent is not None:
        conditions.append("parent_uid = :parent")
        filters["parent"] = parent
    rows = tx.all(
        f"{_select(kind)} where {' and '.join(conditions)} order by uid limit :limit",
        tenant_id=scope.tenant_id, after=after, limit=limit, **filters,
    )  # fmt: skip
    return [_reference(kind, row) for row in rows]


def existing(tx: Transaction, scope: Scope, kind: Kind, uids: Collection[bytes]) -> set[bytes]:
    """Return which of the uids exist."""
    return {row[0] for row in _rows_with(tx, scope, f"select uid from {kind}", "uid", uids)}


def names_of(tx: Transaction, scope: Scope, kind: Kind, uids: Collection[bytes]) -> dict[bytes, str]:
    """Return the names of those of the uids that exist."""
    return {row[0]: row[1] for row in _rows_with(tx, scope, f"select uid, name from {kind}", "uid", uids)}


def by_name(tx: Transaction, scope: Scope, kind: Kind, names: Collection[str]) -> list[tuple[str, bytes]]:
    """Return folded name and uid of all that have one of the folded names, in the order of uids for each name."""
    return sorted(
        (row[0], row[1]) for row in _rows_with(tx, scope, f"select name_key, uid from {kind}", "name_key", names)
    )


def siblings_named(tx: Transaction, scope: Scope, name: str, parent: bytes | None) -> list[bytes]:
    """Return the tags that stand directly below the parent, or at the top, and have that name once it is folded."""
    rows = tx.all(
        "select uid from tag where tenant_id = :tenant_id and name_key = :key"
        " and parent_uid is not distinct from :parent",
        tenant_id=scope.tenant_id, key=fold(name), parent=parent,
    )  # fmt: skip
    return [row[0] for row in rows]


def above(tx: Transaction, scope: Scope, tag_uid: bytes) -> list[bytes]:
    """Return a tag and the tags above it, itself first; empty when there is no such tag."""
    rows = tx.all(
        "with recursive path (uid, parent_uid, level) as ("
        " select uid, parent_uid, 1 from tag where tenant_id = :tenant_id and uid = :uid"
        " union all select t.uid, t.parent_uid, p.level + 1 from path p"
        " join tag t on t.tenant_id = :tenant_id and t.uid = p.parent_uid)"
        " select uid from path order by level",
        tenant_id=scope.tenant_id, uid=tag_uid,
    )  # fmt: skip
    return [row[0] for row in rows]


def has_children(tx: Transaction, scope: Scope, tag_uid: bytes) -> bool:
    """Tell whether other tags stand directly below a tag."""
    child = tx.one(
        "select 1 from tag where tenant_id = :tenant_id and parent_uid = :uid limit 1",
        tenant_id=scope.tenant_id, uid=tag_uid,
    )  # fmt: skip
    return child is not None


def below_any(tx: Transaction, scope: Scope, tag_uids: Collection[bytes], limit: int) -> list[bytes]:
    """Return those of the tags that exist and all tags below them, each once, `limit` of them at most."""
    names, named = placeholders("v", tag_uids)
    rows = tx.all(
        "with recursive tree (uid) as ("
        f" select uid from tag where tenant_id = :tenant_id and uid in ({names})"
        " union select t.uid from tree r join tag t on t.tenant_id = :tenant_id and t.parent_uid = r.uid)"
        " select uid from tree limit :limit",
        tenant_id=scope.tenant_id, limit=limit, **named,
    )  # fmt: skip
    return [row[0] for row in rows]


def below(tx: Transaction, scope: Scope, tag_uid: bytes) -> list[tuple[bytes, int]]:
    """Return a tag and all tags below it with their level, the tag itself first and on level 1."""
    rows = tx.all(
        "with recursive tree (uid, level) as ("
        " select uid, 1 from tag where tenant_id = :tenant_id and uid = :uid"
        " union all select t.uid, r.level + 1 from tree r"
        " join tag t on t.tenant_id = :tenant_id and t.parent_uid = r.uid)"
        " select uid, level from tree order by level, uid",
        tenant_id=scope.tenant_id, uid=tag_uid,
    )  # fmt: skip
    return [(row[0], row[1]) for row in rows]


def _select(kind: Kind) -> str:
    return f"select {', '.join(_SHARED + _COLUMNS[kind])} from {kind}"


def _rows_with(
    tx: Transaction, scope: Scope, select: str, column: str, values: Collection[bytes | str]
) -> Iterator[Row]:
    """Read the rows whose column has one of the values, some values at a time."""
    for batch in batches(set(values)):
        names, named = placeholders("v", batch)
        yield from tx.all(
            f"{select} where tenant_id = :tenant_id and {column} in ({names})", tenant_id=scope.tenant_id, **named
        )


def _values(reference: AnyReference) -> dict[str, Any]:
    """Return what can change of a row, by column."""
    own = {column: getattr(reference, column) for column in _COLUMNS[reference.kind]}
    kept = {column: _encode(value) if column in _DOCUMENTS else value for column, value in own.items()}
    return {"name": reference.name, "name_key": fold(reference.name), **kept}


def _reference(kind: Kind, row: Row) -> AnyReference:
    fields = dict(zip(_SHARED + _COLUMNS[kind], row, strict=True))
    return STRUCTS[kind](**{name: _decode(value) if name in _DOCUMENTS else value for name, value in fields.items()})
