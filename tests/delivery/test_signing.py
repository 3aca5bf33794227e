"""Signatures of deliveries, held against the published vectors and against what is known of receivers."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import assume, given
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook

from heliograph.delivery.signing import (
    LONGEST_SECRET,
    SHORTEST_SECRET,
    public_key,
    read_secret,
    signature_headers,
    signatures,
)
from heliograph.endpoints.keys import KEY_BYTES, new_key
from heliograph.endpoints.model import SigningKey, secret_text
from heliograph.errors import Invalid
from heliograph.ids import as_uuid, new_uid

SIGNATURES = re.compile(r"v1,[A-Za-z0-9+/]{43}=( v1,[A-Za-z0-9+/]{43}=)*( v1a,[A-Za-z0-9+/]{86}==)*")
"""What every verifier reads: one space, one comma, base64 of the standard alphabet with its padding."""

TIMES = st.integers(1_600_000_000, 4_000_000_000)
SECRETS = st.binary(min_size=SHORTEST_SECRET, max_size=LONGEST_SECRET)
SYMMETRIC = st.builds(SigningKey, kind=st.just("hmac"), secret=SECRETS, created_at=st.just(0))
ASYMMETRIC = st.builds(
    SigningKey, kind=st.just("ed25519"), secret=st.binary(min_size=32, max_size=32), created_at=st.just(0)
)
KEYS = st.lists(SYMMETRIC, min_size=1, max_size=4).flatmap(
    lambda some: st.lists(ASYMMETRIC, max_size=3).flatmap(lambda others: st.permutations([*some, *others]))
)


def hmac_key(secret: bytes) -> SigningKey:
    return SigningKey(kind="hmac", secret=secret, created_at=0)


def sos(keys: list[SigningKey], **changes: Any) -> dict[str, str]:
    given: dict[str, Any] = {
        "id": "any", "timestamp": 1649367553, "body": b"{}", "url": "https://hooks.example.com/", "endpoint_uid": "e1",
        "seq": 17, **changes,
    }  # fmt: skip
    return dict(signature_headers("sos", keys, **given))


# -- vectors --------------------------------------------------------------------------------------------------------


def test_symmetric_vector_that_svix_published() -> None:
    key = hmac_key(read_secret("whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD", "/secret"))
    body = b'{"email":"test@example.com","username":"test_user"}'
    signed = signatures([key], "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk", 1649367553, body)
    assert signed == "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw="


def test_asymmetric_vector_that_standard_webhooks_published() -> None:
    both = base64.b64decode("6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg==")
    seed, public = both[:32], both[32:]
    key = SigningKey(kind="ed25519", secret=seed, created_at=0)
    assert public_key(key) == "whpk_" + base64.b64encode(public).decode()
    signed = signatures([key, hmac_key(bytes(32))], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    expected = "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg=="
    assert signed.split(" ")[1] == expected


def test_vector_of_our_own_for_x_sos() -> None:
    """Computed by `openssl dgst -sha256 -mac HMAC`; the address counts whole, query included."""
    headers = sos(
        [hmac_key(bytes(range(32)))], url="https://hooks.example.com/sos?floor=2",
        body='{"type":"Device.Removed","payload":{"name":"Tür"}}'.encode(),
    )  # fmt: skip
    assert headers == {
        "X-SOS-Exporter-Config-Uid": "e1",
        "X-SOS-Timestamp": "1649367553",
        "X-SOS-Signature": "v1=GUu1fGZioGzg3Oa8+Jwiqd5EXBiVpFhCihkDWfFGgzI=",
        "X-SOS-Sequence-Number": "17",
    }


# -- what holds for every message -----------------------------------------------------------------------------------


@given(KEYS, TIMES, st.binary(max_size=200))
def test_header_is_of_the_form_that_every_verifier_reads(keys: list[SigningKey], now: int, body: bytes) -> None:
    signed = signatures(keys, as_uuid(new_uid()), now, body)
    assert SIGNATURES.fullmatch(signed)
    assert len(signed.split(" ")) == len(keys)


@given(KEYS, TIMES, st.text(max_size=200))
def test_every_key_has_signed(keys: list[SigningKey], now: int, body: str) -> None:
    """Each signature is held against the specification's own library, or against the public key."""
    id = as_uuid(new_uid())
    signed = signatures(keys, id, now, body.encode()).split(" ")
    at = datetime.fromtimestamp(now, UTC)
    symmetric = [Webhook(key.secret).sign(id, at, body) for key in keys if key.kind == "hmac"]
    assert signed[: len(symmetric)] == symmetric
    for key, one in zip([key for key in keys if key.kind == "ed25519"], signed[len(symmetric) :], strict=True):
        public = Ed25519PublicKey.from_public_bytes(base64.b64decode(public_key(key).removeprefix("whpk_")))
        content = f"{id}.{now}.{body}".encode()
        public.verify(base64.b64decode(one.removeprefix("v1a,")), content)
        with pytest.raises(InvalidSignature):
            public.verify(base64.b64decode(one.removeprefix("v1a,")), content + b" ")


@given(SYMMETRIC, TIMES, st.binary(max_size=50), st.binary(max_size=50))
def test_nothing_can_be_exchanged_without_another_signature(
    key: SigningKey, now: int, body: bytes, other: bytes
) -> None:
    assume(body != other)
    first, second = as_uuid(new_uid()), as_uuid(new_uid())
    variants = [(first, now, body), (first, now, other), (first, now + 1, body), (second, now, body)]
    assert len({signatures([key], *variant) for variant in variants}) == len(variants)


@given(SYMMETRIC, TIMES, st.binary(max_size=50))
def test_x_sos_binds_method_address_time_and_body(key: SigningKey, now: int, body: bytes) -> None:
    url = "https://hooks.example.com/a"
    headers = sos([key], timestamp=now, body=body, url=url)
    mac = hmac.new(key.secret, b"POST" + url.encode() + str(now).encode() + body, hashlib.sha256)
    assert headers["X-SOS-Signature"] == "v1=" + base64.b64encode(mac.digest()).decode()
    others = [sos([key], timestamp=now + 1, body=body, url=url), sos([key], timestamp=now, body=body + b" ", url=url),
              sos([key], timestamp=now, body=body, url=url + "b")]  # fmt: skip
    assert headers["X-SOS-Signature"] not in {other["X-SOS-Signature"] for other in others}


def test_x_sos_is_signed_by_the_newest_symmetric_key_alone() -> None:
    """The public description knows one signature."""
    new, old = hmac_key(b"n" * 32), hmac_key(b"o" * 32)
    asymmetric = new_key("ed25519", 0)
    assert sos([asymmetric, new, old]) == sos([new])
    assert sos([old]) != sos([new])


# -- families -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("family", "names"),
    [
        ("webhook", ["webhook-id", "webhook-timestamp", "webhook-signature"]),
        ("svix", ["svix-id", "svix-timestamp", "svix-signature"]),
        (
            "both",
            ["webhook-id", "webhook-timestamp", "webhook-signature", "svix-id", "svix-timestamp", "svix-signature"],
        ),
    ],
)
def test_family_decides_the_names_and_nothing_else(family: Any, names: list[str]) -> None:
    keys, id = [hmac_key(bytes(32))], as_uuid(new_uid())
    headers = signature_headers(family, keys, id=id, timestamp=1649367553, body=b"{}", url="", endpoint_uid="", seq=0)
    assert [name for name, _ in headers] == names
    values = [value for _, value in headers]
    assert values[:3] == [id, "1649367553", signatures(keys, id, 1649367553, b"{}")]
    assert values[3:] in ([], values[:3])


# -- what a sender must never do ------------------------------------------------------------------------------------


@given(KEYS, TIMES)
def test_no_entry_is_empty_or_without_a_comma(keys: list[SigningKey], now: int) -> None:
    """Libraries for Python end with a ValueError at either, which is a 500 at the receiver."""
    signed = signatures(keys, as_uuid(new_uid()), now, b"{}")
    assert "  " not in signed
    assert signed == signed.strip()
    assert [entry.count(",") for entry in signed.split(" ")] == [1] * len(keys)


def test_symmetric_signatures_stand_first() -> None:
    keys = [new_key("ed25519", 0), hmac_key(bytes(32)), new_key("ed25519", 0), hmac_key(b"1" * 32)]
    versions = [entry.split(",")[0] for entry in signatures(keys, "id", 0, b"").split(" ")]
    assert versions == ["v1", "v1", "v1a", "v1a"]


@pytest.mark.parametrize("keys", [[], [new_key("ed25519", 0)]])
def test_nothing_leaves_without_a_symmetric_signature(keys: list[SigningKey]) -> None:
    """Most libraries know no other."""
    with pytest.raises(ValueError, match="symmetric"):
        signatures(keys, "id", 0, b"")


def test_ids_of_messages_have_no_dot() -> None:
    """A dot parts what is signed: with one in the id, two messages could share a signature."""
    ids = [as_uuid(new_uid()) for _ in range(100)]
    assert all(re.fullmatch(r"[0-9a-f-]{36}", id) for id in ids)
    assert all(first < second for first, second in pairwise(ids))


# -- secrets --------------------------------------------------------------------------------------------------------


@given(SECRETS)
def test_secret_is_read_as_it_was_shown(secret: bytes) -> None:
    shown = secret_text(hmac_key(secret)).reveal()
    assert re.fullmatch(r"whsec_[A-Za-z0-9+/]+={0,2}", shown)
    assert read_secret(shown, "/secret") == secret
    assert read_secret(shown.removeprefix("whsec_"), "/secret") == secret


@pytest.mark.parametrize("size", [0, 1, 16, SHORTEST_SECRET - 1, LONGEST_SECRET + 1, 1000])
def test_secret_that_is_too_short_or_too_long_is_refused(size: int) -> None:
    """Libraries take secrets of 16 bytes, so the platform must not."""
    with pytest.raises(Invalid) as refusal:
        read_secret("whsec_" + base64.b64encode(bytes(size)).decode(), "/secret")
    assert [(fault.pointer, fault.rule) for fault in refusal.value.faults] == [("/secret", "length")]


@pytest.mark.parametrize(
    "text", ["whsec_" + "A" * 33, "whsec_" + "A-_B" * 9, "whsec_" + "AAAA\n" * 9, "mySecret!", "whsec_ü"]
)
def test_secret_in_another_notation_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(Invalid) as refusal:
        read_secret(text, "/secret")
    assert [fault.rule for fault in refusal.value.faults] == ["base64"]
    assert "with or without `whsec_`" in refusal.value.detail
    assert text.removeprefix("whsec_") not in str(refusal.value.faults)


def test_keys_that_the_platform_makes_are_random_and_long_enough() -> None:
    made = {new_key(kind, 0).secret for kind in ("hmac", "ed25519") for _ in range(50)}
    assert len(made) == 100
    assert {len(secret) for secret in made} == {KEY_BYTES}
    assert SHORTEST_SECRET <= KEY_BYTES <= LONGEST_SECRET


@given(st.one_of(SYMMETRIC, ASYMMETRIC))
def test_key_hides_its_secret_wherever_it_is_printed(key: SigningKey) -> None:
    assert repr(key) == f"SigningKey({key.kind})"
    assert str(key) == repr(key)
