"""What the log says about tags, locations and policies."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET, UnsetType

from heliograph.catalog.definition import CamelBody, Change, EventDefinition, HexUid, OptionalChange


class NameChange(Change[str], frozen=True, kw_only=True):
    """The name before and after."""


class ParentChange(OptionalChange[HexUid], frozen=True, kw_only=True):
    """The tag above, before and after; left out on the side where the tag was topmost."""


class AddressChange(OptionalChange[str], frozen=True, kw_only=True):
    """The address before and after; left out on the side where there was none."""


class MetadataChange(Change[dict[str, Any]], frozen=True, kw_only=True):
    """The metadata before and after."""


class ItemsChange(Change[list[Any]], frozen=True, kw_only=True):
    """The items before and after."""


class ReferenceDeleted(CamelBody, frozen=True, kw_only=True):
    """Payload of `Tag.Deleted`, `Location.Deleted` and `Policy.Deleted`."""

    uid: HexUid
    name: str


class TagCreated(CamelBody, frozen=True, kw_only=True):
    """Payload of `Tag.Created`; a topmost tag has no `parentUid`."""

    uid: HexUid
    name: str
    parent_uid: HexUid | UnsetType = UNSET


class TagChanges(CamelBody, frozen=True, kw_only=True):
    """The fields that changed."""

    name: NameChange | UnsetType = UNSET
    parent_uid: ParentChange | UnsetType = UNSET


class TagUpdated(CamelBody, frozen=True, kw_only=True):
    """Payload of `Tag.Updated`."""

    uid: HexUid
    changes: TagChanges


class LocationCreated(CamelBody, frozen=True, kw_only=True):
    """Payload of `Location.Created`."""

    uid: HexUid
    name: str
    address: str | UnsetType = UNSET
    metadata: dict[str, Any]


class LocationChanges(CamelBody, frozen=True, kw_only=True):
    """The fields that changed."""

    name: NameChange | UnsetType = UNSET
    address: AddressChange | UnsetType = UNSET
    metadata: MetadataChange | UnsetType = UNSET


class LocationUpdated(CamelBody, frozen=True, kw_only=True):
    """Payload of `Location.Updated`."""

    uid: HexUid
    changes: LocationChanges


class PolicyCreated(CamelBody, frozen=True, kw_only=True):
    """Payload of `Policy.Created`."""

    uid: HexUid
    name: str
    items: list[Any]


class PolicyChanges(CamelBody, frozen=True, kw_only=True):
    """The fields that changed."""

    name: NameChange | UnsetType = UNSET
    items: ItemsChange | UnsetType = UNSET


class PolicyUpdated(CamelBody, frozen=True, kw_only=True):
    """Payload of `Policy.Updated`."""

    uid: HexUid
    changes: PolicyChanges


_TAG = "0197a1c9e1f27c3ab4d5e6f708192a3b"
_UPPER_TAG = "0197a1c9e1c07b29a3c4d5e6f708192a"
_OTHER_TAG = "0197a1c9e2047d3bb5c4d5e6f708192b"
_LOCATION = "0197a1ca02137d4b95e6f708192a3b4c"
_POLICY = "0197a1ca1e447e5c86f708192a3b4c5d"
_ADDRESS = "Quay 4, Hamburg"
_ITEMS = [{"type": "brightness", "value": 70}]

TAG_CREATED = EventDefinition(
    type="Tag.Created",
    family="record",
    code=2300,
    criticality=4,
    target="Tag",
    struct=TagCreated,
    sample=TagCreated(uid=_TAG, name="Lobby", parent_uid=_UPPER_TAG),
    meaning="A tag was added.",
)

TAG_UPDATED = EventDefinition(
    type="Tag.Updated",
    family="record",
    code=2301,
    criticality=4,
    target="Tag",
    struct=TagUpdated,
    sample=TagUpdated(
        uid=_TAG,
        changes=TagChanges(
            name=NameChange(from_="Lobby", to="Reception"), parent_uid=ParentChange(from_=_UPPER_TAG, to=_OTHER_TAG)
        ),
    ),
    meaning="A tag was renamed, or moved below another one.",
)

TAG_DELETED = EventDefinition(
    type="Tag.Deleted",
    family="record",
    code=2302,
    criticality=3,
    target="Tag",
    struct=ReferenceDeleted,
    sample=ReferenceDeleted(uid=_TAG, name="Reception"),
    meaning="A tag was removed, and taken from the devices that had it.",
)

LOCATION_CREATED = EventDefinition(
    type="Location.Created",
    family="record",
    code=2310,
    criticality=4,
    target="Location",
    struct=LocationCreated,
    sample=LocationCreated(uid=_LOCATION, name="Harbour Hotel", address=_ADDRESS, metadata={"floors": 6}),
    meaning="A location was added.",
)

LOCATION_UPDATED = EventDefinition(
    type="Location.Updated",
    family="record",
    code=2311,
    criticality=4,
    target="Location",
    struct=LocationUpdated,
    sample=LocationUpdated(
        uid=_LOCATION,
        changes=LocationChanges(
            name=NameChange(from_="Harbour Hotel", to="Harbour Hotel North"),
            address=AddressChange(from_="Quay 4", to=_ADDRESS),
            metadata=MetadataChange(from_={"floors": 6}, to={"floors": 7}),
        ),
    ),
    meaning="What is known of a location changed.",
)

LOCATION_DELETED = EventDefinition(
    type="Location.Deleted",
    family="record",
    code=2312,
    criticality=3,
    target="Location",
    struct=ReferenceDeleted,
    sample=ReferenceDeleted(uid=_LOCATION, name="Harbour Hotel North"),
    meaning="A location was removed, and taken from the devices that had it.",
)

POLICY_CREATED = EventDefinition(
    type="Policy.Created",
    family="record",
    code=2320,
    criticality=4,
    target="Policy",
    struct=PolicyCreated,
    sample=PolicyCreated(uid=_POLICY, name="Indoor screens", items=_ITEMS),
    meaning="A device policy was added.",
)

POLICY_UPDATED = EventDefinition(
    type="Policy.Updated",
    family="record",
    code=2321,
    criticality=4,
    target="Policy",
    struct=PolicyUpdated,
    sample=PolicyUpdated(
        uid=_POLICY,
        changes=PolicyChanges(
            name=NameChange(from_="Indoor screens", to="Screens in lobbies"), items=ItemsChange(from_=[], to=_ITEMS)
        ),
    ),
    meaning="A device policy was renamed, or its items changed.",
)

POLICY_DELETED = EventDefinition(
    type="Policy.Deleted",
    family="record",
    code=2322,
    criticality=3,
    target="Policy",
    struct=ReferenceDeleted,
    sample=ReferenceDeleted(uid=_POLICY, name="Screens in lobbies"),
    meaning="A device policy was removed, and taken from the devices that had it.",
)

EVENTS: tuple[EventDefinition, ...] = (
    TAG_CREATED,
    TAG_UPDATED,
    TAG_DELETED,
    LOCATION_CREATED,
    LOCATION_UPDATED,
    LOCATION_DELETED,
    POLICY_CREATED,
    POLICY_UPDATED,
    POLICY_DELETED,
)
