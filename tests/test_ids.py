"""Ids are 128-bit UUIDv7, printed in two ways and read in both; secrets do not show themselves."""

from __future__ import annotations

import logging
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.errors import Invalid
from heliograph.ids import Secret, as_hex, as_uuid, new_token, new_uid, parse_uid

UIDS = st.binary(min_size=16, max_size=16)


@given(UIDS)
def test_id_is_read_in_each_notation_and_case(uid: bytes) -> None:
    for text in (as_hex(uid), as_uuid(uid)):
        assert parse_uid(text, "/id") == uid
        assert parse_uid(text.upper(), "/id") == uid


@given(UIDS)
def test_notations_are_those_of_the_standard_library(uid: bytes) -> None:
    assert (as_hex(uid), as_uuid(uid)) == (uuid.UUID(bytes=uid).hex, str(uuid.UUID(bytes=uid)))


@given(st.text(max_size=40))
def test_text_of_any_kind_is_read_or_refused_at_its_place(text: str) -> None:
    faults = []
    uid = b""
    try:
        uid = parse_uid(text, "query/actorUid")
    except Invalid as refusal:
        faults = [(fault.pointer, fault.rule) for fault in refusal.faults]
    assert faults == [("query/actorUid", "uid")] or text.lower() in (as_hex(uid), as_uuid(uid))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0" * 31,
        "0" * 33,
        "g" * 32,
        "0" * 32 + "\n",
        " " + "0" * 32,
        "00000000-0000-0000-0000-00000000000",
        "00000000-0000-0000-0000000000000000",
        "000000000000-0000-0000-0000-00000000",
        "{00000000-0000-0000-0000-000000000000}",
        "urn:uuid:00000000-0000-0000-0000-000000000000",
        "\uff10" * 32,
    ],
)  # fmt: skip
def test_other_text_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        parse_uid(text, "/id")


def test_new_ids_are_version_7_and_rise() -> None:
    uids = [new_uid() for _ in range(5_000)]
    assert uids == sorted(set(uids))
    assert {uuid.UUID(bytes=uid).version for uid in uids} == {7}
    assert {uuid.UUID(bytes=uid).variant for uid in uids} == {uuid.RFC_4122}


def test_secret_shows_itself_only_when_asked_to(caplog: pytest.LogCaptureFixture) -> None:
    secret = Secret("open sesame")
    caplog.set_level(logging.INFO)
    logging.getLogger("test").info("%s %r %s", secret, secret, {"key": secret})
    shown = [str(secret), repr(secret), f"{secret}", f"{secret!r}", f"{[secret]}", caplog.text]
    assert not any("sesame" in text for text in shown)
    assert secret.reveal() == "open sesame"


def test_tokens_carry_their_prefix_and_256_random_bits() -> None:
    tokens = {new_token("hg_").reveal() for _ in range(100)}
    assert len(tokens) == 100
    assert all(token.startswith("hg_") and len(token) == len("hg_") + 43 for token in tokens)
