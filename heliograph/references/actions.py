"""What can be done to tags, locations and policies; each change is an audit event in the organization's log."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, NamedTuple

import msgspec
from msgspec import UNSET

from heliograph import publish
from heliograph.catalog.definition import Body, EventDefinition
from heliograph.devices.model import Settings, check_document, fold, fold_prefix
from heliograph.errors import Conflict, Fault, Invalid, NotFound, require_version
from heliograph.ids import as_hex, new_uid
from heliograph.references import events, store
from heliograph.references.model import (
    LARGEST_ITEMS,
    MOST_LEVELS,
    STRUCTS,
    AnyReference,
    Kind,
    Location,
    Missing,
    Policy,
    Tag,
    check_metadata,
)
from heliograph.storage.engine import Transaction
from heliograph.tenancy.access import require_organization
from heliograph.tenancy.model import Scope


class _Audit(NamedTuple):
    """The events of one kind, and the struct inside the second that names what changed."""

    created: EventDefinition
    updated: EventDefinition
    deleted: EventDefinition
    changes: type[Body]


_AUDIT: dict[Kind, _Audit] = {
    "tag": _Audit(events.TAG_CREATED, events.TAG_UPDATED, events.TAG_DELETED, events.TagChanges),
    "location": _Audit(
        events.LOCATION_CREATED, events.LOCATION_UPDATED, events.LOCATION_DELETED, events.LocationChanges
    ),
    "policy": _Audit(events.POLICY_CREATED, events.POLICY_UPDATED, events.POLICY_DELETED, events.PolicyChanges),
}
_CHANGES: dict[str, type[Body]] = {
    "name": events.NameChange,
    "parent_uid": events.ParentChange,
    "address": events.AddressChange,
    "metadata": events.MetadataChange,
    "items": events.ItemsChange,
}


# -- one tag, location or policy ------------------------------------------------------------------------------------


def create(tx: Transaction, scope: Scope, kind: Kind, **fields: Any) -> AnyReference:
    """Add a tag, location or policy; `fields` are those of its struct that a caller chooses.

    Raises:
        Conflict: when the tenant is a company, or another tag has the name at the same place.
        Invalid: when the tag above does not exist here or is too deep, or a value breaks a rule.
    """
    require_organization(scope)
    made = STRUCTS[kind](uid=new_uid(), created_at=tx.now, **fields)
    _check(tx, scope, made)
    store.insert(tx, scope, made)
    definition = _AUDIT[kind].created
    _record(tx, scope, made, definition, {name: getattr(made, name) for name in definition.struct.__struct_fields__})
    return made


def get(tx: Transaction, scope: Scope, kind: Kind, uid: bytes) -> AnyReference:
    """Return one tag, location or policy.

    Raises:
        NotFound: when the organization has no such one.
    """
    found = store.find(tx, scope, kind, uid)
    if found is None:
        raise NotFound(f"There is no such {kind}.")
    return found


def list_references(
    tx: Transaction,
    scope: Scope,
    kind: Kind,
    after: bytes,
    limit: int,
    *,
    name_prefix: str | None = None,
    parent_uid: bytes | None = None,
) -> tuple[list[AnyReference], bytes | None]:
    """Return a page in the order of uids, and the uid after which to go on, or None at the end.

    A prefix is compared whatever its case; `parent_uid` keeps the tags directly below that one.
    """
    prefix = None if name_prefix is None else fold_prefix(name_prefix)
    found = store.list_page(tx, scope, kind, after, limit + 1, prefix, parent_uid)
    page = found[:limit]
    return page, page[-1].uid if len(found) > limit else None


def update(tx: Transaction, scope: Scope, kind: Kind, uid: bytes, version: int | None, **fields: Any) -> AnyReference:
    """Change the given fields; the others stay.

    Raises:
        NotFound, PreconditionFailed: as for every change of a resource.
        Conflict, Invalid: as for `create`, and when a tag would stand below itself.
    """
    before = get(tx, scope, kind, uid)
    require_version(version, before.version)
    after = msgspec.structs.replace(before, **fields)
    if after == before:
        return before
    _check(tx, scope, after)
    store.update(tx, scope, after)
    audit = _AUDIT[kind]
    changes = {
        name: _CHANGES[name](from_=_printed(getattr(before, name)), to=_printed(getattr(after, name)))
        for name in audit.changes.__struct_fields__
        if getattr(before, name) != getattr(after, name)
    }
    _record(tx, scope, after, audit.updated, {"uid": uid, "changes": audit.changes(**changes)})
    return msgspec.structs.replace(after, version=before.version + 1)


def delete(tx: Transaction, scope: Scope, kind: Kind, uid: bytes, version: int | None) -> None:
    """Remove a tag, location or policy; what refers to it is for the caller to change.

    Raises:
        NotFound, PreconditionFailed: as for every change of a resource.
        Conflict: when other tags stand below the tag.
    """
    found = get(tx, scope, kind, uid)
    require_version(version, found.version)
    if kind == "tag" and store.has_children(tx, scope, uid):
        raise Conflict("Other tags stand below this tag; move or delete them first.")
    store.delete(tx, scope, kind, uid)
    _record(tx, scope, found, _AUDIT[kind].deleted, {"uid": uid, "name": found.name})


def _check(tx: Transaction, scope: Scope, wanted: AnyReference) -> None:
    match wanted:
        case Tag():
            _check_place(tx, scope, wanted)
        case Location():
            check_metadata(wanted.metadata)
        case Policy():
            check_document(wanted.items, "/items", LARGEST_ITEMS)


def _check_place(tx: Transaction, scope: Scope, tag: Tag) -> None:
    """Make sure that a tag, new or moved with all below it, may stand where it is wanted."""
    path = [] if tag.parent_uid is None else store.above(tx, scope, tag.parent_uid)
    if tag.parent_uid is not None and not path:
        raise Invalid.at("/parentUid", "unknown-tag", "There is no such tag.")
    if tag.uid in path:
        raise Invalid.at("/parentUid", "cycle", "A tag cannot stand below itself.")
    own_levels = max((level for _, level in store.below(tx, scope, tag.uid)), default=1)
    if len(path) + own_levels > MOST_LEVELS:
        raise Invalid.at("/parentUid", "levels", f"Tags are nested at most {MOST_LEVELS} levels deep.")
    namesakes = [uid for uid in store.siblings_named(tx, scope, tag.name, tag.parent_uid) if uid != tag.uid]
    if namesakes:
        raise Conflict(f"The tag {as_hex(namesakes[0])} has this name at the same place.")


def _record(
    tx: Transaction, scope: Scope, concerned: AnyReference, definition: EventDefinition, fields: dict[str, Any]
) -> None:
    body = definition.struct(**{name: _printed(value) for name, value in fields.items()})
    publish.record(tx, scope, definition, as_hex(concerned.uid), lambda _: body)


def _printed(value: Any) -> Any:
    """Return a field's value as events carry it."""
    if isinstance(value, bytes):
        return as_hex(value)
    return UNSET if value is None else value


# -- for those that refer to them -----------------------------------------------------------------------------------


def missing(tx: Transaction, scope: Scope, settings: Settings) -> tuple[Missing, ...]:
    """Return which references of a device's settings lead nowhere: tags, then the policy, then the location."""
    wanted = [
        *(Missing("tag", uid, index) for index, uid in enumerate(settings.tag_uids)),
        *(Missing("policy", uid) for uid in (settings.policy_uid,) if uid is not None),
        *(Missing("location", uid) for uid in (settings.location_uid,) if uid is not None),
    ]
    present = {
        (kind, uid)
        for kind in STRUCTS
        for uid in store.existing(tx, scope, kind, [one.uid for one in wanted if one.kind == kind])
    }
    return tuple(one for one in wanted if (one.kind, one.uid) not in present)


def require(tx: Transaction, scope: Scope, settings: Settings, place: str = "") -> None:
    """Make sure that all references of a device's settings exist in the organization.

    Raises:
        Invalid: with a fault for each that does not; another organization's is as unknown as any. `place` is the
            pointer of the object that holds the settings.
    """
    faults = tuple(_fault(one, place) for one in missing(tx, scope, settings))
    if faults:
        raise Invalid("A tag, policy or location does not exist.", faults)


def _fault(one: Missing, place: str) -> Fault:
    match one.kind:
        case "tag":
            return Fault(f"{place}/tagUids/{one.index}", "unknown-tag", "There is no such tag.")
        case "policy":
            return Fault(f"{place}/policyUid", "unknown-policy", "There is no such policy.")
        case "location":
            return Fault(f"{place}/locationUid", "unknown-location", "There is no such location.")


def existing(tx: Transaction, scope: Scope, kind: Kind, uids: Collection[bytes]) -> set[bytes]:
    """Return which of the uids exist in the organization."""
    return store.existing(tx, scope, kind, uids)


def names_of(tx: Transaction, scope: Scope, kind: Kind, uids: Collection[bytes]) -> dict[bytes, str]:
    """Return the names of those of the uids that the organization has."""
    return store.names_of(tx, scope, kind, uids)


def by_name(tx: Transaction, scope: Scope, kind: Kind, names: Collection[str]) -> dict[str, list[bytes]]:
    """Return for each name, folded, the uids of all that have it, in their order; empty when none has."""
    found: dict[str, list[bytes]] = {fold(name): [] for name in names}
    for key, uid in store.by_name(tx, scope, kind, found):
        found[key].append(uid)
    return found


def nested(tx: Transaction, scope: Scope, tag_uids: Collection[bytes], limit: int) -> list[bytes]:
    """Return those of the tags that exist, and all tags below them; at most `limit`, in no order."""
    return store.below_any(tx, scope, tag_uids, limit)
