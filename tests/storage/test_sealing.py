"""Sealed values open only with their key, for their context and unchanged; marks cannot be made by others."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.storage.sealing import Sealer, WrongMasterKey, make_key_file, new_master_key, parse_master_key

if TYPE_CHECKING:
    from pathlib import Path

SEALER = Sealer(bytes(range(32)))
OTHER = Sealer(bytes(range(1, 33)))


def _flip(value: bytes, bit: int) -> bytes:
    """Return `value` with one bit changed."""
    place, shift = divmod(bit % (8 * len(value)), 8)
    return value[:place] + bytes([value[place] ^ (1 << shift)]) + value[place + 1 :]


@given(st.binary(max_size=300), st.binary(max_size=40))
def test_sealed_value_comes_back_whole(value: bytes, context: bytes) -> None:
    assert SEALER.unseal(SEALER.seal(value, context), context) == value


@given(st.binary(max_size=100), st.integers(min_value=0))
def test_sealed_value_with_any_bit_changed_is_refused(value: bytes, bit: int) -> None:
    sealed = SEALER.seal(value, b"here")
    with pytest.raises(WrongMasterKey):
        SEALER.unseal(_flip(sealed, bit), b"here")


@given(st.binary(max_size=40), st.integers(min_value=0, max_value=71))
def test_sealed_value_that_was_cut_short_is_refused(value: bytes, length: int) -> None:
    sealed = SEALER.seal(value, b"here")
    with pytest.raises(WrongMasterKey):
        SEALER.unseal(sealed[: min(length, len(sealed) - 1)], b"here")


def test_sealed_value_does_not_open_in_another_place_or_with_another_key() -> None:
    sealed = SEALER.seal(b"value", b"here")
    with pytest.raises(WrongMasterKey):
        SEALER.unseal(sealed, b"there")
    with pytest.raises(WrongMasterKey):
        OTHER.unseal(sealed, b"here")


def test_value_sealed_twice_looks_different_and_shows_nothing_of_itself() -> None:
    first, second = SEALER.seal(b"a secret word", b""), SEALER.seal(b"a secret word", b"")
    assert first != second
    assert b"secret" not in first


def test_sealed_value_begins_with_the_id_of_its_key() -> None:
    assert SEALER.seal(b"", b"").startswith(SEALER.key_id)
    assert SEALER.key_id != OTHER.key_id


@given(st.binary(max_size=100), st.integers(min_value=0), st.booleans())
def test_mark_fits_only_the_bytes_it_was_made_for(value: bytes, bit: int, in_mark: bool) -> None:
    mark = SEALER.mark(value)
    assert len(mark) == 16
    assert SEALER.has_mark(value, mark)
    assert not OTHER.has_mark(value, mark)
    if in_mark:
        assert not SEALER.has_mark(value, _flip(mark, bit))
    else:
        assert not SEALER.has_mark(_flip(value, bit) if value else b"x", mark)


def test_proof_is_accepted_by_its_own_key_only() -> None:
    SEALER.check(SEALER.proof())
    with pytest.raises(WrongMasterKey):
        OTHER.check(SEALER.proof())
    with pytest.raises(WrongMasterKey):
        SEALER.check(SEALER.seal(b"another word", b"proof"))


@pytest.mark.parametrize("length", [0, 16, 31, 33])
def test_key_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        Sealer(bytes(length))


# -- how a key is written -------------------------------------------------------------------------------------------


@given(st.binary(min_size=32, max_size=32))
def test_master_key_is_read_in_each_notation(key: bytes) -> None:
    notations = (key.hex(), key.hex().upper(), base64.b64encode(key).decode(), base64.urlsafe_b64encode(key).decode())
    for text in notations:
        assert parse_master_key(text) == key
        assert parse_master_key(f" {text}\n") == key


@pytest.mark.parametrize(
    "text",
    [
        "",
        "secret",
        "00" * 31,
        "00" * 33,
        "zz" * 32,
        "0 " * 32,
        base64.b64encode(bytes(31)).decode(),
        base64.b64encode(bytes(33)).decode(),
        base64.b64encode(bytes(32)).decode()[:20] + "!?!" + base64.b64encode(bytes(32)).decode()[20:],
        "é" * 44,
        "A" * 44,
    ],
)
def test_text_that_is_no_master_key_is_refused_without_being_repeated(text: str) -> None:
    with pytest.raises(ValueError, match="32 bytes") as refusal:
        parse_master_key(text)
    assert not text or text not in str(refusal.value)
    assert refusal.value.__suppress_context__ or refusal.value.__context__ is None


def test_new_master_keys_are_readable_and_differ() -> None:
    first, second = new_master_key(), new_master_key()
    assert parse_master_key(first) != parse_master_key(second)


def test_key_file_is_made_once_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "master.key"
    make_key_file(path)
    text = path.read_text()
    assert len(parse_master_key(text)) == 32
    assert path.stat().st_mode & 0o077 == 0
    make_key_file(path)
    assert path.read_text() == text
