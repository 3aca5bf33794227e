"""Signatures of deliveries: Standard Webhooks `v1` and `v1a` (specification 1.0.0), and signageOS's `X-SOS-*`; pure."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from heliograph.endpoints.model import HeaderFamily, SigningKey
from heliograph.errors import Invalid

SHORTEST_SECRET, LONGEST_SECRET = 24, 64
"""Bytes of a symmetric secret (specification, "Signature scheme")."""

SEED_BYTES = 32
Headers = tuple[tuple[str, str], ...]


def read_secret(text: str, pointer: str) -> bytes:
    """Read a symmetric secret in its notation: base64, with `whsec_` before it or without, as libraries take it.

    Raises:
        Invalid: when it is not that, or has fewer than 24 or more than 64 bytes; the text is not repeated.
    """
    try:
        secret = base64.b64decode(text.removeprefix("whsec_"), validate=True)
    except (binascii.Error, ValueError):
        raise Invalid.at(pointer, "base64", "A secret is base64, with or without `whsec_` before it.") from None
    if not SHORTEST_SECRET <= len(secret) <= LONGEST_SECRET:
        words = f"A secret has {SHORTEST_SECRET} to {LONGEST_SECRET} bytes."
        raise Invalid.at(pointer, "length", words)
    return secret


def public_key(key: SigningKey) -> str:
    """Return what verifies the signatures of an Ed25519 key: `whpk_` and base64."""
    raw = Ed25519PrivateKey.from_private_bytes(key.secret).public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return "whpk_" + base64.b64encode(raw).decode()


def signatures(keys: Sequence[SigningKey], id: str, timestamp: int, body: bytes) -> str:
    """Return the signature header: one signature for each key, `v1` before `v1a`, one space between them.

    `timestamp` is that of this attempt, in Unix seconds. Verifiers that know only `v1` skip the others.

    Raises:
        ValueError: when no key is symmetric, for then most verifiers would find nothing that they know.
    """
    content = b"%b.%d.%b" % (id.encode(), timestamp, body)
    symmetric = [b"v1," + base64.b64encode(hmac.digest(key.secret, content, "sha256")) for key in _of("hmac", keys)]
    if not symmetric:
        raise ValueError("A delivery has at least one symmetric signature.")
    asymmetric = [
        b"v1a," + base64.b64encode(Ed25519PrivateKey.from_private_bytes(key.secret).sign(content))
        for key in _of("ed25519", keys)
    ]
    return b" ".join(symmetric + asymmetric).decode()


def signature_headers(
    family: HeaderFamily, keys: Sequence[SigningKey], *, id: str, timestamp: int, body: bytes, url: str,
    endpoint_uid: str, seq: int,
) -> Headers:  # fmt: skip
    """Return the headers that prove where a delivery comes from, by the family that the endpoint chose."""
    if family == "sos":
        return _sos_headers(keys, timestamp, body, url, endpoint_uid, seq)
    signature = signatures(keys, id, timestamp, body)
    prefixes = {"webhook": ("webhook",), "svix": ("svix",), "both": ("webhook", "svix")}[family]
    values = (("id", id), ("timestamp", str(timestamp)), ("signature", signature))
    return tuple((f"{prefix}-{name}", value) for prefix in prefixes for name, value in values)


def _sos_headers(
    keys: Sequence[SigningKey], timestamp: int, body: bytes, url: str, endpoint_uid: str, seq: int
) -> Headers:
    """Sign as signageOS's Event Stream Distributor does: method, address, time and body, without separators."""
    content = b"POST%b%d%b" % (url.encode(), timestamp, body)
    # The newest key alone: the public description knows one signature. During an overlap the old one is not used.
    key = _of("hmac", keys)[0]
    signature = base64.b64encode(hmac.new(key.secret, content, hashlib.sha256).digest()).decode()
    return (
        ("X-SOS-Exporter-Config-Uid", endpoint_uid),
        ("X-SOS-Timestamp", str(timestamp)),
        ("X-SOS-Signature", f"v1={signature}"),
        ("X-SOS-Sequence-Number", str(seq)),
    )


def _of(kind: str, keys: Sequence[SigningKey]) -> list[SigningKey]:
    return [key for key in keys if key.kind == kind]
