"""Devices: by what they are told apart, what they are assigned, and the rules for identifiers from outside."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal

import msgspec

from heliograph.errors import Fault, Invalid
from heliograph.ids import as_hex, as_uuid
from heliograph.strict_json import CONTROL_CHARACTERS, convert

State = Literal["enrolled", "waiting", "deprovisioned"]
"""`waiting`: seen, but its recipe could not be applied; `deprovisioned`: it belonged here and no longer does."""

Attachment = Literal["tag", "policy", "location", "connected_account"]
"""What devices refer to; when one is removed, they lose it."""

LONGEST_WORD = 100
"""Characters of a brand or model."""

LONGEST_SERIAL = 200
LONGEST_NAME = 255
MOST_TAGS = 100
MOST_METADATA_KEYS = 50
LONGEST_METADATA_KEY = 40
LONGEST_METADATA_TEXT = 500

CustomMetadata = dict[str, str | bool]
"""What callers note on a connected account, a device or a recipe: flat, and shown in the events about them."""

_MetadataKey = Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST_METADATA_KEY)]
_MetadataText = Annotated[str, msgspec.Meta(max_length=LONGEST_METADATA_TEXT)]
GivenMetadata = Annotated[dict[_MetadataKey, _MetadataText | bool], msgspec.Meta(max_length=MOST_METADATA_KEYS)]
"""Custom metadata as callers may give it; the bounds are those of Seam's `custom_metadata`."""

DEEPEST_DOCUMENT = 64
"""Objects and arrays inside one another, in any document that a caller may shape freely."""

_encode = msgspec.json.Encoder().encode
_decode_object = msgspec.json.Decoder(dict[str, Any]).decode

_MAC = re.compile(r"[0-9a-fA-F]{12}")
_MAC_NOTATIONS = re.compile(r"(?:\w\w([:\- ]))(?:\w\w\1){4}\w\w|\w{4}([.\-:])\w{4}\2\w{4}|\w{12}", re.ASCII)
_UNASSIGNED_MACS = {"000000000000", "FFFFFFFFFFFF"}
_PLACEHOLDERS = {
    "n/a", "na", "none", "null", "unknown", "-", "0", "#n/a", "#ref!", "#value!", "tbd", "x",
}  # fmt: skip
_NO_WORD = re.compile(r"[^a-z0-9]+")
_ROUNDED_NUMBER = re.compile(r"[0-9](?:[.,][0-9]+)?e\+[0-9]+", re.IGNORECASE)
"""As spreadsheets show long numbers, and save them in CSV: the digits that they left out are lost."""


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """What a device or a recipe says that the device is; as `read_identity` normalised it."""

    brand: str
    model: str | None = None
    serial_number: str | None = None
    mac_address: str | None = None

    @property
    def brand_key(self) -> str:
        """The brand as it is compared."""
        return fold(self.brand)

    @property
    def maker(self) -> str:
        """The brand as one word of letters, digits and underscores, in lower case."""
        return _NO_WORD.sub("_", self.brand_key).strip("_") or "unknown"

    @property
    def serial_key(self) -> str | None:
        """The serial number as it is compared."""
        return None if self.serial_number is None else fold(self.serial_number)

    @property
    def identifiers(self) -> tuple[str, ...]:
        """What one device alone can have: brand with serial number, and MAC; sorted, so that locks have one order."""
        found = []
        if self.mac_address is not None:
            found.append(f"mac:{self.mac_address}")
        if self.serial_key is not None:
            found.append(f"serial:{self.brand_key}\x1f{self.serial_key}")
        return tuple(found)


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What a device is given: its name, tags, policy, location and custom metadata, and whose account it belongs to.

    Recipes have settings too, but none of them names a connected account.
    """

    name: str | None = None
    tag_uids: tuple[bytes, ...] = ()
    policy_uid: bytes | None = None
    location_uid: bytes | None = None
    connected_account_uid: bytes | None = None
    custom_metadata: CustomMetadata = {}


class Condition(msgspec.Struct, frozen=True, rename="camel"):
    """An error or warning that a device has now; `created_at` is RFC 3339 text."""

    code: str
    message: str
    created_at: str


class Presence(msgspec.Struct, frozen=True, kw_only=True):
    """What a device last said of itself. Times in microseconds UTC, `battery_level` in percent.

    `last_seen_at` is when that came, by our clock; `connected_at` goes by the device's, where that is believed.
    `connection_uid` is there while the device is connected; `session` is its own name for that connection.
    """

    last_seen_at: int
    connection_uid: bytes | None = None
    session: str | None = None
    connected_at: int | None = None
    battery_level: int | None = None
    errors: tuple[Condition, ...] = ()
    warnings: tuple[Condition, ...] = ()


class Device(msgspec.Struct, frozen=True, kw_only=True):
    """A device of an organization. Times in microseconds UTC.

    `presence` is None until the device has reported. `verification_hash` is the stored hash of the claim code by
    which it was paired.
    """

    uid: bytes
    state: State
    identity: Identity
    settings: Settings
    presence: Presence | None = None
    recipe_uid: bytes | None = None
    verification_hash: str | None = None
    enrolled_at: int | None = None
    created_at: int
    updated_at: int
    version: int = 1

    @property
    def own_name(self) -> str:
        """What its maker calls it: brand and model."""
        return " ".join(filter(None, (self.identity.brand, self.identity.model)))

    @property
    def display_name(self) -> str:
        """The name that it was given, or else what its maker calls it."""
        return self.settings.name or self.own_name

    @property
    def type_name(self) -> str:
        """What it is in one word: whose make, and a lock when it belongs to a connected account."""
        return f"{self.identity.maker}_{'device' if self.settings.connected_account_uid is None else 'lock'}"


WantedMetadata = dict[str, tuple[str | bool | None, ...]]
"""For each name the values of which one must be noted under it; None stands for no value at all."""


class DeviceFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which devices a list shows: those that pass every filter given, by any one of its values.

    Prefixes are as `fold_prefix` and `mac_prefix` return them. `nested_tags` includes the tags below those named.
    `search` is a part of a uid, the account's uid, the display name or a text of the metadata. `created_before` is in
    microseconds UTC.
    """

    uids: tuple[bytes, ...] = ()
    tag_uids: tuple[bytes, ...] = ()
    nested_tags: bool = False
    location_uids: tuple[bytes, ...] = ()
    policy_uids: tuple[bytes, ...] = ()
    connected_account_uids: tuple[bytes, ...] = ()
    states: tuple[State, ...] = ()
    connected: bool | None = None
    brands: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    name_prefix: str | None = None
    serial_prefix: str | None = None
    mac_prefix: str | None = None
    makers: tuple[str, ...] = ()
    type_names: tuple[str, ...] = ()
    created_before: int | None = None
    metadata_has: WantedMetadata = {}
    search: str | None = None

    @property
    def sieve(self) -> Callable[[Device], bool] | None:
        """Tells which devices pass those filters that the database does not answer; None when none is given."""
        sifted = (self.makers, self.type_names, self.created_before is not None, self.metadata_has, self.search)
        return self._passes if any(sifted) else None

    def _passes(self, device: Device) -> bool:
        metadata, account = device.settings.custom_metadata, device.settings.connected_account_uid
        return (
            (not self.makers or device.identity.maker in self.makers)
            and (not self.type_names or device.type_name in self.type_names)
            and (self.created_before is None or device.created_at < self.created_before)
            and notes(metadata, self.metadata_has)
            and (not self.search or mentions(self.search, (device.uid, account), (device.display_name,), metadata))
        )


def notes(metadata: Mapping[str, Any], wanted: WantedMetadata) -> bool:
    """Tell whether metadata has one of the wanted values under each of the wanted names; 1 is not True."""
    return all(
        any(type(value) is type(noted) and value == noted for value in values)
        for noted, values in ((metadata.get(name), values) for name, values in wanted.items())
    )


def mentions(
    search: str, uids: Sequence[bytes | None], texts: Sequence[str | None], metadata: Mapping[str, Any]
) -> bool:
    """Tell whether a text is part of a uid, in either printed form, of a text or of a text in metadata.

    Case does not count.
    """
    part = search.casefold()
    printed = (form(uid) for uid in uids if uid is not None for form in (as_uuid, as_hex))
    noted = (value for value in metadata.values() if isinstance(value, str))
    return any(part in uid for uid in printed) or any(part in text.casefold() for text in (*texts, *noted) if text)


def fold(text: str) -> str:
    """Return a text as it is compared: without surrounding space, and whatever its case."""
    return text.strip().casefold()


def normal_mac(text: str) -> str | None:
    """Return a MAC address in upper case with colons, from any usual notation, or None when it is none.

    Understood are pairs with colons, hyphens or spaces, three groups of four, and twelve digits alone (IEEE 802
    section 8.1 calls the hyphenated one canonical). The addresses of all zeros and all ones belong to no device.
    """
    text = text.strip()
    digits = re.sub(r"[^0-9a-fA-F]", "", text).upper()
    if not _MAC_NOTATIONS.fullmatch(text) or not _MAC.fullmatch(digits) or digits in _UNASSIGNED_MACS:
        return None
    return ":".join(digits[n : n + 2] for n in range(0, 12, 2))


def fold_prefix(text: str) -> str:
    """Return the beginning of a text as it is compared; a space at its end counts, for more may follow it."""
    return text.lstrip().casefold()


def mac_prefix(text: str) -> str | None:
    """Return the beginning of a MAC address as `normal_mac` writes it, or None when no address begins so."""
    digits = re.sub(r"[:.\- ]", "", text).upper()
    if not re.fullmatch(r"[0-9A-F]{1,12}", digits):
        return None
    return ":".join(digits[n : n + 2] for n in range(0, len(digits), 2))


def check_custom_metadata(metadata: dict[str, Any]) -> None:
    """Make sure that an object is `GivenMetadata`, where it did not come in a body that demands it.

    Raises:
        Invalid: with a fault for each broken rule, at or below `/customMetadata`.
    """
    try:
        convert(_encode(metadata), GivenMetadata)
    except Invalid as refusal:
        faults = tuple(replace(fault, pointer=f"/customMetadata{fault.pointer}") for fault in refusal.faults)
        raise Invalid(refusal.detail, faults) from None


def read_stored_metadata(stored: bytes) -> CustomMetadata:
    """Return custom metadata from how a device or recipe is stored.

    Both once took any JSON object: what is neither text nor truth value there counts as the text of its JSON.
    """
    document = _decode_object(stored)
    return {key: value if isinstance(value, str | bool) else _encode(value).decode() for key, value in document.items()}


def check_document(document: Any, pointer: str, largest: int) -> None:
    """Make sure that a free document is small, and not so deep that it could not be shown inside lists and events.

    Raises:
        Invalid: naming `pointer`, when there are more than 64 levels or more than `largest` bytes of JSON.
    """
    if isinstance(document, dict | list) and not _is_shallow(document, DEEPEST_DOCUMENT):
        raise Invalid.at(pointer, "nesting", f"At most {DEEPEST_DOCUMENT} levels.")
    if len(msgspec.json.encode(document)) > largest:
        raise Invalid.at(pointer, "max-length", f"At most {largest} bytes of JSON.")


def _is_shallow(document: Any, levels: int) -> bool:
    level = [document]
    for _ in range(levels):
        inner = (value.values() if isinstance(value, dict) else value for value in level)
        level = [value for values in inner for value in values if isinstance(value, dict | list)]
        if not level:
            return True
    return False


def read_identity(
    brand: str | None, model: str | None, serial_number: str | None, mac_address: str | None, place: str = ""
) -> tuple[Identity | None, list[Fault]]:
    """Normalise what identifies a device; texts of nothing but space count as absent.

    Returns the identity, with an unusable serial number or MAC address left out, and a fault for every broken rule;
    there is no identity when the brand is missing or unusable. `place` is the pointer of the object that holds the
    fields.
    """
    faults: list[Fault] = []
    unidentified = not any(text and text.strip() for text in (serial_number, mac_address))
    brand = _word(brand, f"{place}/brand", LONGEST_WORD, faults)
    model = _word(model, f"{place}/model", LONGEST_WORD, faults)
    serial_number = _serial(serial_number, f"{place}/serialNumber", faults)
    mac = None
    if mac_address is not None and mac_address.strip():
        mac = normal_mac(mac_address)
        if mac is None:
            faults.append(_no_mac(mac_address, f"{place}/macAddress"))
    if brand is None and not any(fault.pointer == f"{place}/brand" for fault in faults):
        faults.append(Fault(f"{place}/brand", "required", "The brand is required."))
    if unidentified:
        faults.append(Fault(place, "identifier-required", "A serial number or a MAC address is required."))
    if brand is None:
        return None, faults
    return Identity(brand=brand, model=model, serial_number=serial_number, mac_address=mac), faults


def _serial(text: str | None, pointer: str, faults: list[Fault]) -> str | None:
    text = _word(text, pointer, LONGEST_SERIAL, faults)
    if text is None:
        return None
    if fold(text) in _PLACEHOLDERS:
        words = f"{text!r} stands for no serial number: leave it empty where there is none."
        faults.append(Fault(pointer, "placeholder", words))
        return None
    if _ROUNDED_NUMBER.fullmatch(text):
        words = f"{text[:40]!r} is a number that a spreadsheet has rounded: make its cell text and enter it again."
        faults.append(Fault(pointer, "placeholder", words))
        return None
    return text


def _no_mac(text: str, pointer: str) -> Fault:
    if re.sub(r"[^0-9a-fA-F]", "", text).upper() in _UNASSIGNED_MACS and _MAC_NOTATIONS.fullmatch(text.strip()):
        words = f"{text[:40]!r} belongs to no device: leave the MAC address empty where there is none."
        return Fault(pointer, "mac-address", words)
    words = f"{text[:40]!r} is no MAC address: one has 12 hexadecimal digits."
    return Fault(pointer, "mac-address", words)


def _word(text: str | None, pointer: str, longest: int, faults: list[Fault]) -> str | None:
    if text is None or not text.strip():
        return None
    text = text.strip()
    if len(text) > longest:
        faults.append(Fault(pointer, "max-length", f"At most {longest} characters."))
    elif CONTROL_CHARACTERS.search(text):
        faults.append(Fault(pointer, "control-characters", "Control characters are not accepted."))
    else:
        return text
    return None
