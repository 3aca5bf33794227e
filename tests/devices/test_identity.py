"""How what identifies a device is read: one spelling is compared, whatever spelling was given."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.devices.model import LONGEST_SERIAL, LONGEST_WORD, Identity, fold, normal_mac, read_identity

MAC = "00:1B:44:11:3A:B7"


@pytest.mark.parametrize(
    "notation",
    [
        "00:1B:44:11:3A:B7",
        "00:1b:44:11:3a:b7",
        "00-1B-44-11-3A-B7",
        "00 1b 44 11 3a b7",
        "001B44113AB7",
        "001b44113ab7",
        "001b.4411.3ab7",
        "001B-4411-3AB7",
        "001B:4411:3AB7",
        "  00:1B:44:11:3A:B7\t\r\n",
        "\u00a000:1B:44:11:3A:B7\u2003",
    ],
)
def test_usual_notation_of_a_mac_address_is_understood(notation: str) -> None:
    assert normal_mac(notation) == MAC


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "00:1B:44:11:3A",
        "00:1B:44:11:3A:B7:00",
        "001B44113AB",
        "001B44113AB70",
        "001B44FFFE113AB7",
        "0:1B:44:11:3A:B7",
        "000:1B:44:11:3A:B",
        "00:1B:44:11:3A:",
        ":00:1B:44:11:3A:B7",
        "00:1B:44:11:3A:B7:",
        "00:1B:44:11:3A:G7",
        "00:1B:44:11:3A:_7",
        "0x001B44113AB7",
        "00:1B-44:11-3A:B7",
        "00:1B:44-11-3A-B7",
        "001B.4411-3AB7",
        "001B4411.3AB7",
        "001B 4411 3AB7",
        "00::1B:44:11:3A:B7",
        "00 : 1B:44:11:3A:B7",
        "00_1B_44_11_3A_B7",
        "00.1B.44.11.3A.B7",
        "00:1B:44:11:3A:B7\x00",
        "00:1B:44:11:3A:B7\u200b",
        "00:1B:44\n11:3A:B7",
        "\u0660\u0660:1B:44:11:3A:B7",  # Arabic-Indic digits
        "\uff10\uff10\uff1a\uff11\uff22:44:11:3A:B7",  # full-width characters
        "\uff10\uff10\uff11\uff22\uff14\uff14\uff11\uff11\uff13\uff21\uff22\uff17",
        "\u0430\u0430:1B:44:11:3A:B7",  # Cyrillic letters that look like Latin ones
        "00:1B:44:11:3A:B7, 00:1B:44:11:3A:B8",
        "001B44113AB7" * 10_000,
        "192.168.0.1",
    ],
)
def test_what_is_no_mac_address_is_not_taken_for_one(text: str) -> None:
    assert normal_mac(text) is None


@pytest.mark.parametrize("digit", ["0", "f", "F"])
@pytest.mark.parametrize("notation", ["{0}:{0}:{0}:{0}:{0}:{0}", "{0}-{0}-{0}-{0}-{0}-{0}", "{0}{0}.{0}{0}.{0}{0}"])
def test_address_of_all_zeros_or_all_ones_is_no_device_s(digit: str, notation: str) -> None:
    assert normal_mac(notation.format(digit * 2)) is None


def test_address_that_only_begins_with_zeros_or_ones_is_a_device_s() -> None:
    assert normal_mac("000000000001") == "00:00:00:00:00:01"
    assert normal_mac("fffffffffffe") == "FF:FF:FF:FF:FF:FE"


ADDRESSES = st.binary(min_size=6, max_size=6).filter(lambda address: address not in (bytes(6), b"\xff" * 6))


@given(ADDRESSES, st.sampled_from(["", ":", "-", " "]), st.sampled_from([".", "-", ":"]), st.data())
def test_every_notation_of_an_address_is_normalised_alike(
    address: bytes, pairs: str, groups: str, data: st.DataObject
) -> None:
    digits = address.hex()
    by_pairs = pairs.join(digits[n : n + 2] for n in range(0, 12, 2))
    by_groups = groups.join(digits[n : n + 4] for n in range(0, 12, 4))
    mixed_case = "".join(data.draw(st.sampled_from([char.lower(), char.upper()])) for char in by_pairs)
    expected = ":".join(f"{byte:02X}" for byte in address)
    assert {normal_mac(text) for text in (by_pairs, by_groups, mixed_case, f" {by_pairs}\n")} == {expected}
    assert normal_mac(expected) == expected


@given(st.text(alphabet="0123456789abcdefABCDEFgG:-. _\n\u0660\uff10", max_size=20) | st.text(max_size=20))
def test_what_is_understood_as_an_address_has_just_its_digits(text: str) -> None:
    normal = normal_mac(text)
    if normal is not None:
        assert re.fullmatch(r"[0-9A-F]{2}(:[0-9A-F]{2}){5}", normal)
        assert re.sub(r"[:\-. ]", "", text.strip()).upper() == normal.replace(":", "")


@pytest.mark.parametrize("text", ["SN-1", " sn-1", "Sn-1 ", "\tSN-1\n", "\u00a0sN-1"])
def test_texts_are_compared_whatever_their_case_and_the_space_around_them(text: str) -> None:
    assert fold(text) == "sn-1"


def test_space_within_a_text_counts() -> None:
    assert len({fold("SN 1"), fold("SN  1"), fold("SN1")}) == 3


def test_case_is_folded_not_merely_lowered() -> None:
    assert fold("STRASSE") == fold("straße")


@given(st.text())
def test_folding_twice_is_folding_once(text: str) -> None:
    assert fold(fold(text)) == fold(text)


def faults_of(
    brand: str | None = "Samsung", model: str | None = None, serial: str | None = "SN-1", mac: str | None = None
) -> list[tuple[str, str]]:
    _, faults = read_identity(brand, model, serial, mac)
    return [(fault.pointer, fault.rule) for fault in faults]


def test_identity_is_kept_as_written_but_for_the_space_around_it_and_the_mac_address() -> None:
    identity, faults = read_identity("  Samsung ", "\tQM55C\n", " sn-1 ", "001b.4411.3ab7")
    assert identity == Identity(brand="Samsung", model="QM55C", serial_number="sn-1", mac_address=MAC)
    assert faults == []


def test_identifiers_are_the_mac_address_and_the_serial_number_under_its_brand() -> None:
    identity, _ = read_identity("Samsung", None, "SN-1", MAC)
    same, _ = read_identity(" SAMSUNG", "QM55C", "sn-1 ", "00-1b-44-11-3a-b7")
    other_brand, _ = read_identity("Philips", None, "SN-1", MAC)
    assert identity is not None
    assert same is not None
    assert other_brand is not None
    assert identity.identifiers == same.identifiers
    assert list(identity.identifiers) == sorted(identity.identifiers)
    assert set(identity.identifiers) & set(other_brand.identifiers) == {f"mac:{MAC}"}


def test_brand_and_serial_number_never_run_into_each_other() -> None:
    one, other = Identity(brand="ab", serial_number="c"), Identity(brand="a", serial_number="bc")
    assert one.identifiers != other.identifiers


@pytest.mark.parametrize("nothing", [None, "", " ", "\t \n", "\u00a0\u2003"])
def test_text_of_nothing_but_space_counts_as_absent(nothing: str | None) -> None:
    identity, faults = read_identity("Samsung", nothing, "SN-1", nothing)
    assert (identity, faults) == (Identity(brand="Samsung", serial_number="SN-1"), [])
    assert faults_of(brand=nothing) == [("/brand", "required")]
    assert faults_of(serial=nothing, mac=nothing) == [("", "identifier-required")]
    assert faults_of(serial=nothing, mac=MAC) == []


def test_identity_without_identifiers_is_returned_beside_its_fault() -> None:
    identity, faults = read_identity("Samsung", None, None, None)
    assert identity == Identity(brand="Samsung")
    assert len(faults) == 1


@pytest.mark.parametrize("mac", ["00:1B:44", "ff:ff:ff:ff:ff:ff", "\u0660" * 12])
def test_unusable_mac_address_is_refused_and_left_out(mac: str) -> None:
    identity, faults = read_identity("Samsung", None, "SN-1", mac)
    assert identity == Identity(brand="Samsung", serial_number="SN-1")
    assert [(fault.pointer, fault.rule) for fault in faults] == [("/macAddress", "mac-address")]
    assert faults_of(serial=None, mac=mac) == [("/macAddress", "mac-address")]


@pytest.mark.parametrize(
    "serial",
    ["n/a", " N/A ", "NA", "None", "NULL", "Unknown", "-", "0", "#N/A", "#REF!", "#VALUE!", "TBD", "x",
     "4.06023E+12", "4,06023e+12", "4E+12"],
)  # fmt: skip
def test_serial_number_that_stands_for_none_is_refused_and_left_out(serial: str) -> None:
    identity, (fault,) = read_identity("Samsung", None, serial, MAC)
    assert identity == Identity(brand="Samsung", mac_address=MAC)
    assert (fault.pointer, fault.rule) == ("/serialNumber", "placeholder")
    assert serial.strip() in fault.message
    assert ("rounded" in fault.message) == ("+" in serial)
    assert faults_of(serial=serial) == [("/serialNumber", "placeholder")]


@pytest.mark.parametrize("serial", ["00", "x1", "NA-7", "4E12", "4.0E+", "E+12", "40.6E+12", "4.06E+12-A", "1"])
def test_serial_number_that_only_looks_a_little_like_none_is_one(serial: str) -> None:
    assert faults_of(serial=serial) == []


@pytest.mark.parametrize(
    ("mac", "words"),
    [("00:00:00:00:00:00", "belongs to no device"), ("ffff.ffff.ffff", "belongs to no device"),
     ("00:00:00:00:00", "12 hexadecimal digits"), ("0" * 12 + " no", "12 hexadecimal digits")],
)  # fmt: skip
def test_words_about_a_mac_address_say_what_is_wrong_with_it(mac: str, words: str) -> None:
    _, (fault,) = read_identity("Samsung", None, "SN-1", mac)
    assert words in fault.message


def test_words_about_a_long_mac_address_stay_short() -> None:
    _, (fault,) = read_identity("Samsung", None, "SN-1", "0" * 100_000)
    assert len(fault.message) < 200


@pytest.mark.parametrize("char", ["\x00", "\x07", "\x1f", "\x7f", "\x85", "\x9b", "\n", "\t"])
def test_control_character_within_a_text_is_refused(char: str) -> None:
    text = f"a{char}b"
    broken = faults_of(brand=text, model=text, serial=text)
    assert broken == [(place, "control-characters") for place in ("/brand", "/model", "/serialNumber")]


def test_text_may_be_as_long_as_its_limit_and_no_longer() -> None:
    word, serial = "w" * LONGEST_WORD, "s" * LONGEST_SERIAL
    assert faults_of(brand=f" {word} ", model=word, serial=serial) == []
    broken = faults_of(brand=word + "w", model=word + "w", serial=serial + "s")
    assert broken == [(place, "max-length") for place in ("/brand", "/model", "/serialNumber")]


def test_every_broken_rule_is_named_at_its_place() -> None:
    _, faults = read_identity("a\x00b", "m" * 101, "s" * 201, "nonsense", "/rows/3")
    assert [(fault.pointer, fault.rule) for fault in faults] == [
        ("/rows/3/brand", "control-characters"),
        ("/rows/3/model", "max-length"),
        ("/rows/3/serialNumber", "max-length"),
        ("/rows/3/macAddress", "mac-address"),
    ]


def test_missing_identifier_is_named_beside_other_faults() -> None:
    assert faults_of(brand=None, serial=None) == [("/brand", "required"), ("", "identifier-required")]
    assert faults_of(model="m" * 101, serial=None) == [("/model", "max-length"), ("", "identifier-required")]


TEXTS = st.none() | st.text(max_size=210)


@given(TEXTS, TEXTS, TEXTS, TEXTS | st.just(MAC))
def test_identity_that_was_read_is_read_again_unchanged(
    brand: str | None, model: str | None, serial: str | None, mac: str | None
) -> None:
    identity, faults = read_identity(brand, model, serial, mac)
    assert identity is not None or faults
    if identity is not None and not faults:
        again = read_identity(identity.brand, identity.model, identity.serial_number, identity.mac_address)
        assert again == (identity, [])
