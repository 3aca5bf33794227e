"""The keys that an endpoint's deliveries are signed with: made, replaced with an overlap, and ended; pure."""

from __future__ import annotations

import secrets
from typing import Literal

import msgspec

from heliograph.clock import MICROSECONDS
from heliograph.endpoints.model import MOST_OLD_KEYS, SigningKey
from heliograph.errors import Conflict, Invalid

Kind = Literal["hmac", "ed25519"]
Keys = tuple[SigningKey, ...]

KEY_BYTES = 32
"""Random bytes of a key that the platform makes: a symmetric secret, or the seed of an Ed25519 key (RFC 8032)."""


def new_key(kind: Kind, now: int, secret: bytes | None = None) -> SigningKey:
    """Return a key with that secret, or with a random one."""
    return SigningKey(kind=kind, secret=secret or secrets.token_bytes(KEY_BYTES), created_at=now)


def rotated(keys: Keys, kind: Kind, now: int, overlap: int, secret: bytes | None = None) -> Keys:
    """Return the keys with a new one of that kind in front, beside which the old ones sign for `overlap` seconds.

    A key that was replaced before ends when it was to end, or sooner. What has ended is left out.

    Raises:
        Invalid: when the secret is that of a key which still signs.
        Conflict: when too many keys that were replaced would still sign.
    """
    end = now + overlap * MICROSECONDS
    signing = [key for key in keys if key.expires_at is None or key.expires_at > now]
    if secret is not None and any(key.secret == secret for key in signing):
        raise Invalid.at("/secret", "same-secret", "This secret is in use already.")
    others = tuple(key for key in signing if key.kind != kind)
    old = tuple(_ending(key, end) for key in signing if key.kind == kind and end > now)
    if len(old) > MOST_OLD_KEYS:
        words = f"{MOST_OLD_KEYS} keys that were replaced still sign; wait until one ends, or rotate without overlap."
        raise Conflict(words)
    return (new_key(kind, now, secret), *old, *others)


def _ending(key: SigningKey, end: int) -> SigningKey:
    expires_at = end if key.expires_at is None else min(key.expires_at, end)
    return msgspec.structs.replace(key, expires_at=expires_at)


def with_asymmetric(keys: Keys, wanted: bool, now: int) -> Keys:
    """Return the keys with an Ed25519 key among them, made when there is none, or without any."""
    present = [key for key in keys if key.kind == "ed25519"]
    if not wanted:
        return tuple(key for key in keys if key.kind != "ed25519")
    return keys if present else (*keys, new_key("ed25519", now))
