"""What one row of an import file asks for, whatever the format of the file.

Pure: nothing here reads storage, clock or network.
"""

from __future__ import annotations

import re
from typing import Any, Literal

import msgspec

from heliograph import strict_json
from heliograph.errors import Fault, Invalid
from heliograph.provisioning.columns import METADATA_PREFIX, OWN_PREFIX, Layout
from heliograph.provisioning.recipes import OnRepeat
from heliograph.provisioning.spreadsheet import Row
from heliograph.times import parse_time

_BOOLEANS = {
    "yes": True, "y": True, "true": True, "1": True, "x": True,
    "no": False, "n": False, "false": False, "0": False,
}  # fmt: skip
_ON_REPEAT: dict[str, OnRepeat] = {"keep": "keep", "reset": "reset", "reject": "reject"}
_TAG_SEPARATORS = re.compile(r"[;|,]")


class RowWish(msgspec.Struct, frozen=True, kw_only=True):
    """A recipe as a row asks for it, nothing of it checked against what is stored; blank texts are None.

    Tags, policy and location are uids or names. `claim_code_expires_at` is in microseconds UTC.
    """

    brand: str | None = None
    model: str | None = None
    serial_number: str | None = None
    mac_address: str | None = None
    device_name: str | None = None
    tags: tuple[str, ...] = ()
    policy: str | None = None
    location: str | None = None
    confirmed_ownership: bool | None = None
    on_repeat: OnRepeat | None = None
    claim_code: str | None = None
    claim_code_expires_at: int | None = None
    custom_metadata: dict[str, Any] = {}


class _Line(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """A line of JSONL: the fields with which a recipe is created, and references by name beside those by uid."""

    brand: str | None = None
    model: str | None = None
    serial_number: str | None = None
    mac_address: str | None = None
    device_name: str | None = None
    tags: list[str] | None = None
    tag_uids: list[str] | None = None
    policy: str | None = None
    policy_uid: str | None = None
    location: str | None = None
    location_uid: str | None = None
    confirmed_ownership: bool | None = None
    on_repeat: Literal["keep", "reset", "reject"] | None = None
    claim_code: str | None = None
    claim_code_expires_at: str | None = None
    custom_metadata: dict[str, Any] | None = None


def wish_of(row: Row, layout: Layout) -> tuple[RowWish | None, list[Fault]]:
    """Return what a row asks for, and a fault for every cell that cannot mean anything.

    Such a cell counts as blank. There is no wish when a JSON object has other fields or types than a recipe has.
    """
    return _of_json(row.cells, layout) if layout.format == "jsonl" else _of_texts(row.cells, layout)


# -- CSV ------------------------------------------------------------------------------------------------------------


def _of_texts(cells: dict[str, Any], layout: Layout) -> tuple[RowWish, list[Fault]]:
    faults: list[Fault] = []
    given: dict[str, str] = {}
    metadata: dict[str, Any] = {}
    for column, field in layout.mapping.items():
        text = cells[column].strip()
        if text and field.startswith(METADATA_PREFIX):
            metadata[field.removeprefix(METADATA_PREFIX)] = text
        elif text and field == "customMetadata":
            metadata |= _object(text, faults)
        elif text:
            given[field] = text
    wish = RowWish(
        brand=given.get("brand"),
        model=given.get("model"),
        serial_number=given.get("serialNumber"),
        mac_address=given.get("macAddress"),
        device_name=given.get("deviceName"),
        tags=_distinct(_TAG_SEPARATORS.split(given.get("tags", ""))),
        policy=given.get("policy"),
        location=given.get("location"),
        confirmed_ownership=_boolean(given.get("confirmedOwnership"), faults),
        on_repeat=_on_repeat(given.get("onRepeat"), faults),
        claim_code=given.get("claimCode"),
        claim_code_expires_at=_time(given.get("claimCodeExpiresAt"), faults),
        custom_metadata=metadata,
    )
    return wish, faults


def _boolean(text: str | None, faults: list[Fault]) -> bool | None:
    if text is not None and text.casefold() not in _BOOLEANS:
        faults.append(Fault("/confirmedOwnership", "boolean", "Expected yes or no, true or false, 1 or 0, or x."))
        return None
    return None if text is None else _BOOLEANS[text.casefold()]


def _on_repeat(text: str | None, faults: list[Fault]) -> OnRepeat | None:
    if text is not None and text.casefold() not in _ON_REPEAT:
        faults.append(Fault("/onRepeat", "enum", f"Expected one of {', '.join(_ON_REPEAT)}."))
        return None
    return None if text is None else _ON_REPEAT[text.casefold()]


def _time(text: str | None, faults: list[Fault]) -> int | None:
    if text is None:
        return None
    try:
        return parse_time(text, "/claimCodeExpiresAt")
    except Invalid as refusal:
        faults.extend(refusal.faults)
        return None


def _object(text: str, faults: list[Fault]) -> dict[str, Any]:
    try:
        document = strict_json.check_unambiguous(text.encode())
    except Invalid:
        document = None
    if isinstance(document, dict):
        return document
    faults.append(Fault("/customMetadata", "object", 'Expected a JSON object, such as {"floor": "3"}.'))
    return {}


def _distinct(texts: list[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(text.strip() for text in texts if text.strip()))


# -- JSONL ----------------------------------------------------------------------------------------------------------


def _of_json(cells: dict[str, Any], layout: Layout) -> tuple[RowWish | None, list[Fault]]:
    named = {layout.mapping.get(name, name): value for name, value in cells.items() if not name.startswith(OWN_PREFIX)}
    # What is mapped to "" or "-" is ignored.
    document = {name: value for name, value in named.items() if name not in ("", "-")}
    try:
        line = strict_json.convert(msgspec.json.encode(document), _Line)
    except Invalid as refusal:
        return None, list(refusal.faults)
    faults = [
        Fault(f"/{name}Uid{plural}", "exclusive", f"Give {name}{plural} or {name}Uid{plural}, not both.")
        for name, plural, values in (
            ("tag", "s", (line.tags, line.tag_uids)),
            ("policy", "", (line.policy, line.policy_uid)),
            ("location", "", (line.location, line.location_uid)),
        )
        if None not in values
    ]
    wish = RowWish(
        brand=_text(line.brand),
        model=_text(line.model),
        serial_number=_text(line.serial_number),
        mac_address=_text(line.mac_address),
        device_name=_text(line.device_name),
        tags=_distinct(line.tags or line.tag_uids or []),
        policy=_text(line.policy) or _text(line.policy_uid),
        location=_text(line.location) or _text(line.location_uid),
        confirmed_ownership=line.confirmed_ownership,
        on_repeat=line.on_repeat,
        claim_code=_text(line.claim_code),
        claim_code_expires_at=_time(line.claim_code_expires_at, faults),
        custom_metadata=line.custom_metadata or {},
    )
    return wish, faults


def _text(value: str | None) -> str | None:
    return value.strip() or None if value is not None else None
