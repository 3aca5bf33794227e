"""One-time claim codes: proof that whoever registers a device has it in hand."""

from __future__ import annotations

import hashlib
import hmac
import secrets

from heliograph.ids import Secret
from heliograph.storage.sealing import Sealer

SHORTEST_CODE = 8
LONGEST_CODE = 64
CODE_PATTERN = rf"[ -]*([0-9A-Za-z][ -]*){{{SHORTEST_CODE},}}"
"""The form of a code; only its letters and digits are compared, so only they make it long enough."""

MOST_TRIES = 10
TRIES_WINDOW_SECONDS = 3600
"""So many wrong guesses one caller has for one recipe in this time; what others guess does not count."""

_ALPHABET = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
"""Without what people mistake for each other on a label: 0 and O, 1 and I."""

_NEW_CODE_LENGTH = 12


def new_code() -> Secret:
    """Make a claim code of 60 random bits, in three groups for the eye."""
    code = "".join(secrets.choice(_ALPHABET) for _ in range(_NEW_CODE_LENGTH))
    return Secret("-".join(code[n : n + 4] for n in range(0, _NEW_CODE_LENGTH, 4)))


def hash_code(sealer: Sealer, recipe_uid: bytes, code: str) -> bytes:
    """Return what is kept of a recipe's code: scrypt (RFC 7914) under a salt that only the master key gives.

    Slow on purpose, some 10 ms: never to be called inside a writing transaction.
    """
    salt = sealer.mark(b"claim code" + recipe_uid)
    return hashlib.scrypt(_plain(code).encode(), salt=salt, n=2**12, r=8, p=1, dklen=32)


def _plain(code: str) -> str:
    """Return the code as it is compared: without the hyphens and spaces of its groups, whatever its case."""
    return code.replace("-", "").replace(" ", "").upper()


def is_right(kept: bytes, presented: bytes) -> bool:
    """Compare two hashes in constant time."""
    return hmac.compare_digest(kept, presented)
