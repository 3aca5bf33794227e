"""The header of an import file: what each of its columns means to us, under the names that people give them.

Pure: nothing here reads storage, clock or network.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import msgspec

from heliograph.devices.model import LONGEST_METADATA_KEY
from heliograph.errors import Invalid
from heliograph.jobs.model import unguarded

Format = Literal["csv", "jsonl"]

MOST_COLUMNS = 200
OWN_PREFIX = "heliograph_"
"""Begins the names of the columns that our reports add; they are never read back."""

METADATA_PREFIX = "customMetadata."

SPELLINGS: dict[str, tuple[str, ...]] = {
    "brand": ("brand", "brand name", "device brand", "make", "maker", "manufacturer", "vendor"),
    "model": ("model", "device model", "model name", "model no", "model nr", "model number"),
    "serialNumber": (
        "serial number", "device serial", "device serial number", "serial", "serial no", "serial nr", "serial num",
        "s/n", "s no",
    ),
    "macAddress": (
        "mac address", "device mac", "device mac address", "ethernet mac", "ethernet mac address", "hardware address",
        "lan mac", "lan mac address", "mac", "mac addr", "mac id", "physical address", "wi-fi mac", "wi-fi mac address",
        "wireless mac", "wireless mac address", "wlan mac", "wlan mac address",
    ),
    "deviceName": ("device name", "device label", "display name", "label", "name"),
    "tags": ("tags", "device tags", "tag", "tag names", "tag uids"),
    "policy": ("policy", "device policy", "policy name", "policy uid"),
    "location": ("location", "location name", "location uid", "place", "site", "site name", "venue"),
    "confirmedOwnership": ("confirmed ownership", "confirmed", "ownership confirmed"),
    "onRepeat": ("on repeat", "repeat"),
    "claimCode": ("claim code", "claim", "pairing code"),
    "claimCodeExpiresAt": ("claim code expires at", "claim code expires", "claim code expiry"),
    "customMetadata": ("custom metadata", "metadata"),
}  # fmt: skip
"""Our fields, and what spreadsheets call them: case, spaces and punctuation do not matter. First comes our own name.

`customMetadata` is a JSON object in one cell; a column `customMetadata.<key>` is one text of it.
"""

_SHOWN_COLUMNS = 30
_SHOWN_CHARACTERS = 40


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What the caller says about a file; what is None is found out.

    `mapping` gives columns, by the names in the file, the fields they mean; "" or "-" ignores a column.
    """

    format: Format | None = None
    delimiter: str | None = None
    mapping: dict[str, str] = {}


class Layout(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How a file is to be read; made by `heliograph.provisioning.spreadsheet.sniff`, and kept as JSON.

    `mapping` holds the columns that are read, `ignored` the others. The first row of data begins at byte
    `data_offset`, on line `data_line`, counted from 1. JSONL has no columns; its mapping is the caller's.
    """

    format: Format
    delimiter: str = ","
    columns: tuple[str, ...] = ()
    mapping: dict[str, str] = {}
    ignored: tuple[str, ...] = ()
    data_offset: int = 0
    data_line: int = 1


def read_mapping(texts: Iterable[str]) -> dict[str, str]:
    """Read the mapping option: each text is `Column:field`, with `-` or nothing for a column to be ignored.

    Raises:
        Invalid: for a text without colon or without column, an unknown field, or a column that is named twice.
    """
    mapping: dict[str, str] = {}
    for text in texts:
        column, colon, field = (part.strip() for part in text.rpartition(":"))
        if not colon or not column:
            raise Invalid.at("query/map", "mapping", f"Expected Column:field, not {text[:100]!r}.")
        if column in mapping:
            raise Invalid.at("query/map", "duplicate-column", f"The column {shown(column)} is mapped twice.")
        mapping[column] = _known_field(field)
    return mapping


def columns_of(header: Sequence[str]) -> tuple[str, ...]:
    """Return the names of the columns; one without a name is called after its place, `column 7`.

    Raises:
        Invalid: when there is no name at all, when there are more than 200 columns, or when two have the same name.
    """
    if len(header) > MOST_COLUMNS:
        raise too_many_columns(header)
    if not any(name.strip() for name in header):
        raise Invalid.at("", "header", "The file has no header: its first line must name the columns.")
    columns = tuple(unguarded(name).strip() or f"column {place}" for place, name in enumerate(header, 1))
    repeated = sorted({column for column in columns if columns.count(column) > 1})
    if repeated:
        words = f"Each column needs a name of its own, but {_listed(repeated)} occurs twice."
        raise Invalid.at("", "duplicate-column", f"{words} {_seen(columns)}")
    return columns


def too_many_columns(header: Sequence[str]) -> Invalid:
    """Return the refusal of a file with more than 200 columns, of which the first are shown."""
    words = f"The file has more than {MOST_COLUMNS} columns."
    return Invalid.at("", "too-many-columns", f"{words} {_seen(header[:5])} ...")


def map_columns(columns: Sequence[str], explicit: Mapping[str, str]) -> dict[str, str]:
    """Return what each column means that is read; an explicit mapping wins over what the names suggest.

    Raises:
        Invalid: when the explicit mapping names a column that is not there or a field that does not exist, when two
            columns mean the same field, or when none is the brand, or none the serial number or MAC address.
    """
    given = {_column_named(name, columns): _known_field(field) for name, field in explicit.items()}
    taken = set(given.values())
    mapping: dict[str, str] = {}
    for column in columns:
        field = given[column] if column in given else field_of(column)
        if field is None or not field or (column not in given and field in taken):
            continue
        other = next((name for name, meant in mapping.items() if meant == field), None)
        if other is not None:
            words = f"The columns {shown(other)} and {shown(column)} both mean {field}; map one of them to '-'."
            raise Invalid.at("", "duplicate-field", words)
        mapping[column] = field
    _require(mapping, columns, ("brand",), "brand-column", "the brand")
    _require(mapping, columns, ("serialNumber", "macAddress"), "identifier-column", "a serial number or a MAC address")
    return mapping


def field_of(column: str) -> str | None:
    """Return the field that a column's name suggests, or None."""
    if column.casefold().startswith(OWN_PREFIX):
        return None
    name, dot, key = column.partition(".")
    if dot and _FIELD_BY_SPELLING.get(_plain(name)) == "customMetadata":
        key = key.strip()
        return METADATA_PREFIX + key if 0 < len(key) <= LONGEST_METADATA_KEY else None
    return _FIELD_BY_SPELLING.get(_plain(column))


def _plain(name: str) -> str:
    return "".join(filter(str.isalnum, name.casefold()))


_FIELD_BY_SPELLING = {_plain(spelling): field for field, names in SPELLINGS.items() for spelling in names}


def _known_field(field: str) -> str:
    """Return the field as we write it, "" for a column that is to be ignored."""
    if field in ("", "-"):
        return ""
    known = field if field in SPELLINGS else field_of(field)
    if known is None:
        fields = ", ".join([*SPELLINGS, f"{METADATA_PREFIX}<key>"])
        raise Invalid.at("query/map", "unknown-field", f"There is no field {shown(field)}. Known are {fields}.")
    return known


def _column_named(name: str, columns: Sequence[str]) -> str:
    if name in columns:
        return name
    alike = [column for column in columns if column.casefold() == name.strip().casefold()]
    if len(alike) != 1:
        words = f"The file has no column {shown(name)}. {_seen(columns)}"
        raise Invalid.at("query/map", "unknown-column", words)
    return alike[0]


def _require(
    mapping: Mapping[str, str], columns: Sequence[str], fields: Sequence[str], rule: str, meaning: str
) -> None:
    if not set(fields) & set(mapping.values()):
        help_ = f"Name it {' or '.join(fields)}, or map it."
        raise Invalid.at("", rule, f"No column of the file is {meaning}. {help_} {_seen(columns)}")


def _seen(columns: Sequence[str]) -> str:
    return f"The columns are {_listed(columns)}."


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN_COLUMNS} more" if len(names) > _SHOWN_COLUMNS else ""
    return ", ".join(map(shown, names[:_SHOWN_COLUMNS])) + more


def shown(name: str) -> str:
    """Quote a text of the file in a message, cut off when it is long."""
    return repr(name if len(name) <= _SHOWN_CHARACTERS else name[: _SHOWN_CHARACTERS - 3] + "...")
