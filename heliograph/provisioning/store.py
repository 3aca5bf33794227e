"""The tables of recipes: who waits for which device, what was tried in vain, and how often a claim code was guessed."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import msgspec

from heliograph.devices.model import Identity, Settings, fold, read_stored_metadata
from heliograph.provisioning.model import Attempt, RecipeFilter
from heliograph.provisioning.recipes import Recipe
from heliograph.storage.engine import Row, Table, Transaction
from heliograph.storage.statements import batches, begins_with, placeholders
from heliograph.tenancy.model import Scope

_encode = msgspec.json.Encoder().encode
_decode_fields = msgspec.json.Decoder(tuple[str, ...]).decode

_COLUMNS = (
    "uid, status, brand, model, serial_number, mac_address, device_name, policy_uid, location_uid, custom_metadata,"
    " confirmed_ownership, on_repeat, warning_message, error_message, device_uid, claim_hash, claim_expires_at,"
    " claim_used_at, created_at, updated_at, version, faulty_fields, row_digest"
)
_RECIPE = f"select {_COLUMNS} from recipe"

RECIPE = Table(
    "recipe",
    {
        "tenant_id": "bigint", "uid": "bytes", "status": "text", "brand": "text", "brand_key": "text",
        "model": "text", "serial_number": "text", "serial_key": "text", "mac_address": "text", "device_name": "text",
        "name_key": "text", "policy_uid": "bytes", "location_uid": "bytes", "custom_metadata": "bytes",
        "confirmed_ownership": "bigint", "on_repeat": "text", "warning_message": "text", "error_message": "text",
        "faulty_fields": "bytes", "row_digest": "bytes",
        "device_uid": "bytes", "claim_hash": "bytes", "claim_expires_at": "bigint", "claim_used_at": "bigint",
        "created_at": "bigint", "updated_at": "bigint", "version": "bigint",
    },
)  # fmt: skip
RECIPE_TAG = Table("recipe_tag", {"tenant_id": "bigint", "recipe_uid": "bytes", "tag_uid": "bytes"})
RECIPE_IDENTIFIER = Table(
    "recipe_identifier", {"identifier": "text", "tenant_id": "bigint", "recipe_uid": "bytes"}
)  # fmt: skip

REFERENCE_COLUMNS = {"policy": "policy_uid", "location": "location_uid"}


# -- recipes --------------------------------------------------------------------------------------------------------


def insert_recipes(tx: Transaction, scope: Scope, recipes: Sequence[Recipe]) -> None:
    """Add recipes to the scope's organization."""
    tx.insert(RECIPE, [(scope.tenant_id, *_values(recipe)) for recipe in recipes])
    _insert_tags(tx, scope, recipes)


def _insert_tags(tx: Transaction, scope: Scope, recipes: Sequence[Recipe]) -> None:
    tx.insert(
        RECIPE_TAG, [(scope.tenant_id, recipe.uid, tag) for recipe in recipes for tag in recipe.settings.tag_uids]
    )


def _values(recipe: Recipe) -> tuple[Any, ...]:
    identity, settings = recipe.identity, recipe.settings
    return (
        recipe.uid, recipe.status, identity.brand, identity.brand_key, identity.model, identity.serial_number,
        identity.serial_key, identity.mac_address, settings.name,
        None if settings.name is None else fold(settings.name), settings.policy_uid, settings.location_uid,
        _encode(settings.custom_metadata), int(recipe.confirmed_ownership), recipe.on_repeat, recipe.warning_message,
        recipe.error_message, _encode(recipe.faulty_fields), recipe.row_digest, recipe.device_uid,
        recipe.claim_hash, recipe.claim_expires_at, recipe.claim_used_at, recipe.created_at,
        recipe.updated_at, recipe.version,
    )  # fmt: skip


def update_recipe(tx: Transaction, scope: Scope, recipe: Recipe, *, tags: bool) -> None:
    """Replace a recipe's row, and with `tags` its tags too."""
    columns = [name for name in RECIPE.columns if name not in ("tenant_id", "uid")]
    tx.run(
        f"update recipe set {', '.join(f'{name} = :{name}' for name in columns)}"
        " where tenant_id = :tenant_id and uid = :uid",
        tenant_id=scope.tenant_id,
        **dict(zip(["uid", *columns], _values(recipe), strict=True)),
    )
    if tags:
        _delete_tags(tx, scope, recipe.uid)
        _insert_tags(tx, scope, [recipe])


def _delete_tags(tx: Transaction, scope: Scope, uid: bytes) -> None:
    tx.run(
        "delete from recipe_tag where tenant_id = :tenant_id and recipe_uid = :uid", tenant_id=scope.tenant_id, uid=uid
    )


def delete_recipe(tx: Transaction, scope: Scope, uid: bytes) -> None:
    """Remove a recipe and all that hangs on it, but not the attempts that were made with it."""
    release_identifiers(tx, scope, uid)
    _delete_tags(tx, scope, uid)
    tx.run(
        "delete from claim_try where tenant_id = :tenant_id and recipe_uid = :uid", tenant_id=scope.tenant_id, uid=uid
    )
    tx.run("delete from recipe where tenant_id = :tenant_id and uid = :uid", tenant_id=scope.tenant_id, uid=uid)


def find_recipes(tx: Transaction, scope: Scope, uids: Sequence[bytes]) -> list[Recipe]:
    """Read some of the organization's recipes, in the order of their uids."""
    found: list[Recipe] = []
    for batch in batches(uids):
        names, named = placeholders("u", batch)
        rows = tx.all(
            f"{_RECIPE} where tenant_id = :tenant_id and uid in ({names}) order by uid",
            tenant_id=scope.tenant_id, **named,
        )  # fmt: skip
        found += _recipes(tx, scope, rows)
    return found


def recipes_of_rows(tx: Transaction, scope: Scope, digests: Collection[bytes]) -> list[Recipe]:
    """Read the recipes that were made of rows with faults, known by the digests of the rows; oldest first."""
    found: list[Recipe] = []
    for batch in batches(digests):
        names, named = placeholders("d", batch)
        # Were an order asked for here, SQLite would walk through all recipes in that order.
        rows = tx.all(
            f"{_RECIPE} where tenant_id = :tenant_id and row_digest in ({names})", tenant_id=scope.tenant_id, **named
        )
        found += _recipes(tx, scope, rows)
    return sorted(found, key=lambda recipe: recipe.uid)


def list_recipes(tx: Transaction, scope: Scope, wanted: RecipeFilter, after: bytes, limit: int) -> list[Recipe]:
    """Read the organization's recipes that fit, in the order of their uids."""
    conditions, values = _conditions(wanted)
    rows = tx.all(
        f"{_RECIPE} where tenant_id = :tenant_id and uid > :after{conditions} order by uid limit :limit",
        tenant_id=scope.tenant_id, after=after, limit=limit, **values,
    )  # fmt: skip
    return _recipes(tx, scope, rows)


def _conditions(wanted: RecipeFilter) -> tuple[str, dict[str, Any]]:
    """Return what narrows a listing, as text and values."""
    parts: list[str] = []
    values: dict[str, Any] = {}
    for column, accepted in (
        ("status", wanted.statuses),
        ("brand_key", wanted.brand_keys),
        ("location_uid", wanted.location_uids),
        ("policy_uid", wanted.policy_uids),
    ):
        if accepted:
            names, more = placeholders(column, accepted)
            parts.append(f"{column} in ({names})")
            values |= more
    if wanted.tag_uids:
        names, more = placeholders("tag", wanted.tag_uids)
        parts.append(
            "uid in (select recipe_uid from recipe_tag where tenant_id = :tenant_id"
            f" and tag_uid in ({names}) and recipe_uid > :after)"
        )
        values |= more
    for column, prefix in (
        ("serial_key", wanted.serial_prefix),
        ("mac_address", wanted.mac_prefix),
        ("name_key", wanted.name_prefix),
    ):
        if prefix:
            condition, more = begins_with("recipe", column, prefix)
            parts.append(condition)
            values |= more
    return "".join(f" and {part}" for part in parts), values


def recipes_referring_to(tx: Transaction, scope: Scope, kind: str, uid: bytes, limit: int) -> list[Recipe]:
    """Read Pending and Failed recipes that name that tag, policy or location, in the order of their uids."""
    if kind == "tag":
        which = "uid in (select recipe_uid from recipe_tag where tenant_id = :tenant_id and tag_uid = :uid)"
    else:
        which = f"{REFERENCE_COLUMNS[kind]} = :uid"
    rows = tx.all(
        f"{_RECIPE} where tenant_id = :tenant_id and {which} and status in ('Pending', 'Failed')"
        " order by uid limit :limit",
        tenant_id=scope.tenant_id, uid=uid, limit=limit,
    )  # fmt: skip
    return _recipes(tx, scope, rows)


def _recipes(tx: Transaction, scope: Scope, rows: Sequence[Row]) -> list[Recipe]:
    if not rows:
        return []
    tags: dict[bytes, list[bytes]] = {}
    for batch in batches(row[0] for row in rows):
        names, named = placeholders("u", batch)
        for recipe_uid, tag_uid in tx.all(
            "select recipe_uid, tag_uid from recipe_tag"
            f" where tenant_id = :tenant_id and recipe_uid in ({names}) order by tag_uid",
            tenant_id=scope.tenant_id, **named,
        ):  # fmt: skip
            tags.setdefault(recipe_uid, []).append(tag_uid)
    return [_recipe(row, tuple(tags.get(row[0], ()))) for row in rows]


def _recipe(row: Row, tag_uids: tuple[bytes, ...]) -> Recipe:
    return Recipe(
        uid=row[0], status=row[1],
        identity=Identity(brand=row[2], model=row[3], serial_number=row[4], mac_address=row[5]),
        settings=Settings(
            name=row[6], tag_uids=tag_uids, policy_uid=row[7], location_uid=row[8],
            custom_metadata=read_stored_metadata(row[9]),
        ),
        confirmed_ownership=bool(row[10]), on_repeat=row[11], warning_message=row[12], error_message=row[13],
        device_uid=row[14], claim_hash=row[15], claim_expires_at=row[16], claim_used_at=row[17], created_at=row[18],
        updated_at=row[19], version=row[20], faulty_fields=_faulty_fields(row[21]), row_digest=row[22],
    )  # fmt: skip


def _faulty_fields(stored: bytes) -> tuple[str, ...]:
    # Rows from before the field was renamed would else name one that nobody can set.
    return tuple("customMetadata" if name == "metadata" else name for name in _decode_fields(stored))


# -- the identifiers by which live recipes wait ---------------------------------------------------------------------


def insert_identifiers(tx: Transaction, scope: Scope, recipes: Sequence[Recipe]) -> None:
    """Let recipes wait by their identifiers; none of these may be another live recipe's (see `waiting_here`)."""
    rows = {(name, scope.tenant_id, recipe.uid) for recipe in recipes for name in recipe.identity.identifiers}
    tx.insert(RECIPE_IDENTIFIER, sorted(rows))


def release_identifiers(tx: Transaction, scope: Scope, recipe_uid: bytes) -> None:
    """Stop a recipe waiting; others may have its identifiers now."""
    tx.run(
        "delete from recipe_identifier where tenant_id = :tenant_id and recipe_uid = :recipe_uid",
        tenant_id=scope.tenant_id, recipe_uid=recipe_uid,
    )  # fmt: skip


def free_identifiers(tx: Transaction, scope: Scope, identifiers: Sequence[str]) -> None:
    """Let nobody of the organization wait by these identifiers any more."""
    for batch in batches(identifiers):
        names, named = placeholders("i", batch)
        tx.run(
            f"delete from recipe_identifier where tenant_id = :tenant_id and identifier in ({names})",
            tenant_id=scope.tenant_id, **named,
        )  # fmt: skip


def waiting_here(tx: Transaction, scope: Scope, identifiers: Sequence[str]) -> dict[str, bytes]:
    """Return which of the organization's live recipes have the identifiers: identifier → recipe."""
    found: dict[str, bytes] = {}
    for batch in batches(identifiers):
        names, named = placeholders("i", batch)
        rows = tx.all(
            "select identifier, recipe_uid from recipe_identifier"
            f" where tenant_id = :tenant_id and identifier in ({names})",
            tenant_id=scope.tenant_id, **named,
        )  # fmt: skip
        found |= dict(rows)
    return found


def waiting_below(
    tx: Transaction, roots: Sequence[int], identifiers: Sequence[str], limit: int
) -> list[tuple[int, bytes]]:
    """Return (tenant, recipe) of live recipes with one of a device's identifiers, at or below the given tenants."""
    if not roots:
        return []
    names, named = placeholders("i", identifiers)
    rows = tx.all(
        "select distinct r.tenant_id, r.recipe_uid from recipe_identifier r"
        f" where r.identifier in ({names}) and exists (select 1 from tenant_closure c"
        f" where c.descendant_id = r.tenant_id and c.ancestor_id in ({', '.join(map(str, map(int, roots)))}))"
        " order by r.tenant_id, r.recipe_uid limit :limit",
        limit=limit, **named,
    )  # fmt: skip
    return [(row[0], row[1]) for row in rows]


# -- guesses at claim codes -----------------------------------------------------------------------------------------


def claim_tries(tx: Transaction, scope: Scope, recipe_uid: bytes, caller_uid: bytes, since: int) -> int:
    """Return how often the caller has guessed wrong since then, microseconds UTC."""
    row = tx.one(
        "select tries from claim_try where tenant_id = :tenant_id and recipe_uid = :recipe_uid"
        " and caller_uid = :caller_uid and began_at >= :since",
        tenant_id=scope.tenant_id, recipe_uid=recipe_uid, caller_uid=caller_uid, since=since,
    )  # fmt: skip
    return row[0] if row else 0


def count_claim_try(tx: Transaction, scope: Scope, recipe_uid: bytes, caller_uid: bytes, since: int) -> None:
    """Count a wrong guess; guesses from before `since` are forgotten."""
    tx.run(
        "insert into claim_try (tenant_id, recipe_uid, caller_uid, tries, began_at)"
        " values (:tenant_id, :recipe_uid, :caller_uid, 1, :now)"
        " on conflict (tenant_id, recipe_uid, caller_uid) do update set"
        " tries = case when claim_try.began_at < :since then 1 else claim_try.tries + 1 end,"
        " began_at = case when claim_try.began_at < :since then :now else claim_try.began_at end",
        tenant_id=scope.tenant_id, recipe_uid=recipe_uid, caller_uid=caller_uid, since=since, now=tx.now,
    )  # fmt: skip


# -- attempts -------------------------------------------------------------------------------------------------------


def note_attempt(tx: Transaction, scope: Scope, attempt: Attempt, digest: bytes) -> None:
    """Keep an unsuccessful attempt; the same one again, known by its digest, is counted."""
    tx.run(
        "insert into registration_attempt (tenant_id, uid, digest, recipe_uid, reason, brand, model, serial_number,"
        " mac_address, caller_uid, first_at, last_at, tries) values (:tenant_id, :uid, :digest, :recipe_uid, :reason,"
        " :brand, :model, :serial_number, :mac_address, :caller_uid, :first_at, :last_at, 1)"
        " on conflict (tenant_id, digest) do update set last_at = :last_at, tries = registration_attempt.tries + 1",
        tenant_id=scope.tenant_id, uid=attempt.uid, digest=digest, recipe_uid=attempt.recipe_uid,
        reason=attempt.reason, brand=attempt.identity.brand, model=attempt.identity.model,
        serial_number=attempt.identity.serial_number, mac_address=attempt.identity.mac_address,
        caller_uid=attempt.caller_uid, first_at=attempt.first_at, last_at=attempt.last_at,
    )  # fmt: skip


def list_attempts(
    tx: Transaction, scope: Scope, recipe_uid: bytes | None, reasons: Sequence[str], after: bytes, limit: int
) -> list[Attempt]:
    """Read unsuccessful attempts, of one recipe or of all, in the order in which they were first made."""
    names, values = placeholders("r", reasons)
    conditions = f" and reason in ({names})" if reasons else ""
    if recipe_uid is not None:
        conditions += " and recipe_uid = :recipe_uid"
        values["recipe_uid"] = recipe_uid
    rows = tx.all(
        "select uid, recipe_uid, reason, brand, model, serial_number, mac_address, caller_uid, first_at, last_at,"
        " tries, (select k.uid from api_key k where k.uid = caller_uid and k.tenant_id = a.tenant_id) as own_key_uid"
        f" from registration_attempt a where tenant_id = :tenant_id and uid > :after{conditions}"
        " order by a.uid limit :limit",
        tenant_id=scope.tenant_id, after=after, limit=limit, **values,
    )  # fmt: skip
    return [_attempt(row) for row in rows]


def _attempt(row: Row) -> Attempt:
    return Attempt(
        uid=row[0], recipe_uid=row[1], reason=row[2],
        identity=Identity(brand=row[3], model=row[4], serial_number=row[5], mac_address=row[6]),
        caller_uid=row[7], first_at=row[8], last_at=row[9], tries=row[10], own_key_uid=row[11],
    )  # fmt: skip


def tenants_with_old_attempts(tx: Transaction, before: int, keep: int) -> list[int]:
    """Return the tenants that have attempts last made before then, or more than `keep`."""
    rows = tx.all(
        "select t.id from tenant t where exists (select 1 from registration_attempt a where a.tenant_id = t.id"
        " and a.last_at < :before) or exists (select 1 from registration_attempt a where a.tenant_id = t.id"
        " order by a.uid limit 1 offset :keep) order by t.id",
        before=before, keep=keep,
    )  # fmt: skip
    return [row[0] for row in rows]


def forget_attempts(tx: Transaction, scope: Scope, before: int, keep: int, limit: int) -> int:
    """Drop at most `limit` attempts last made before then, or beyond the newest `keep`; return how many."""
    newest = tx.one(
        "select uid from registration_attempt where tenant_id = :tenant_id order by uid desc limit 1 offset :keep",
        tenant_id=scope.tenant_id, keep=keep,
    )  # fmt: skip
    return tx.run(
        "delete from registration_attempt where tenant_id = :tenant_id and uid in (select uid from"
        " registration_attempt where tenant_id = :tenant_id and (last_at < :before or uid <= :newest)"
        " order by uid limit :limit)",
        tenant_id=scope.tenant_id, before=before, newest=newest[0] if newest else b"", limit=limit,
    )  # fmt: skip
