"""Tags, locations and policies: what devices and recipes refer to."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import msgspec

from heliograph.devices.model import check_document
from heliograph.errors import Invalid

Kind = Literal["tag", "policy", "location"]

LONGEST_ADDRESS = 500
MOST_LEVELS = 10
"""How deep tags may be nested, the topmost counted."""

MOST_METADATA_NAMES = 50
LARGEST_METADATA = 16 * 1024
"""Bytes of a location's metadata as JSON."""

LARGEST_ITEMS = 64 * 1024
"""Bytes of a policy's items as JSON."""


class Reference(msgspec.Struct, frozen=True, kw_only=True):
    """What the three kinds share. `created_at` in microseconds UTC; `version` rises with every change."""

    kind: ClassVar[Kind]

    uid: bytes
    name: str
    created_at: int
    version: int = 1


class Tag(Reference, frozen=True, kw_only=True):
    """A label for devices; it may stand below another tag."""

    kind = "tag"

    parent_uid: bytes | None = None


class Location(Reference, frozen=True, kw_only=True):
    """A place where devices are."""

    kind = "location"

    address: str | None = None
    metadata: dict[str, Any] = {}


class Policy(Reference, frozen=True, kw_only=True):
    """Settings for devices; the platform keeps the items and does not read them."""

    kind = "policy"

    items: list[Any] = []


AnyReference = Tag | Location | Policy

STRUCTS: dict[Kind, type[AnyReference]] = {"tag": Tag, "policy": Policy, "location": Location}


class Missing(msgspec.Struct, frozen=True):
    """A reference that leads nowhere; `index` is its place among the tags, 0 for the other kinds."""

    kind: Kind
    uid: bytes
    index: int = 0


def check_metadata(metadata: dict[str, Any]) -> None:
    """Make sure that the metadata of a location is small.

    Raises:
        Invalid: when there are more than 50 names, 16 KiB of JSON or 64 levels.
    """
    if len(metadata) > MOST_METADATA_NAMES:
        raise Invalid.at("/metadata", "max-properties", f"At most {MOST_METADATA_NAMES} names.")
    check_document(metadata, "/metadata", LARGEST_METADATA)
