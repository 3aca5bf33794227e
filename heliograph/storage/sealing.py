"""What the master key protects: sealed values (AES-256-GCM) and the marks on cursors (HMAC-SHA256)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import secrets
from contextlib import suppress
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from heliograph.errors import CannotStart

KEY_BYTES = 32
_NONCE_BYTES = 12
_KEY_ID_BYTES = 4
_PROOF = b"heliograph master key"


class WrongMasterKey(CannotStart):
    """The key is not the one that this database was made with."""


class Sealer:
    """Derives one key per purpose from the master key (HKDF, RFC 5869) and uses it.

    A sealed value is key id (4 bytes), nonce (12 bytes), ciphertext and tag; the context it was sealed for is
    authenticated too, so that a sealed value cannot be moved to another place.
    """

    def __init__(self, master_key: bytes) -> None:
        if len(master_key) != KEY_BYTES:
            raise ValueError("The master key must have 32 bytes.")
        self.key_id = hashlib.sha256(b"heliograph key id" + master_key).digest()[:_KEY_ID_BYTES]
        self._cipher = AESGCM(_derive(master_key, b"seal"))
        self._mark_key = _derive(master_key, b"mark")

    def seal(self, value: bytes, context: bytes) -> bytes:
        """Encrypt `value` for one `context`."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return self.key_id + nonce + self._cipher.encrypt(nonce, value, context)

    def unseal(self, sealed: bytes, context: bytes) -> bytes:
        """Decrypt what `seal` made.

        Raises:
            WrongMasterKey: when it was sealed with another key, for another context, or was changed.
        """
        nonce_end = _KEY_ID_BYTES + _NONCE_BYTES
        if sealed.startswith(self.key_id) and len(sealed) > nonce_end:
            with suppress(InvalidTag):
                return self._cipher.decrypt(sealed[_KEY_ID_BYTES:nonce_end], sealed[nonce_end:], context)
        raise WrongMasterKey("The value does not open with this master key.")

    def mark(self, value: bytes) -> bytes:
        """Return a 16-byte mark that only this installation can make."""
        return hmac.digest(self._mark_key, value, "sha256")[:16]

    def has_mark(self, value: bytes, mark: bytes) -> bool:
        """Check a mark in constant time."""
        return hmac.compare_digest(self.mark(value), mark)

    def proof(self) -> bytes:
        """Return a sealed word to keep in the database."""
        return self.seal(_PROOF, b"proof")

    def check(self, proof: bytes) -> None:
        """Make sure that the database's `proof` was made with this key.

        Raises:
            WrongMasterKey: when it was not.
        """
        try:
            known = self.unseal(proof, b"proof")
        except WrongMasterKey:
            known = b""
        if known != _PROOF:
            raise WrongMasterKey("The master key is not the one that this database was made with.")


def _derive(master_key: bytes, purpose: bytes) -> bytes:
    return HKDF(SHA256(), KEY_BYTES, salt=None, info=b"heliograph " + purpose).derive(master_key)


def parse_master_key(text: str) -> bytes:
    """Read a master key: 32 bytes as 64 hex digits or as base64 (either alphabet).

    Raises:
        ValueError: when it is neither; the message does not repeat the text.
    """
    text = text.strip().translate(_TO_STANDARD)
    try:
        key = bytes.fromhex(text) if len(text) == 2 * KEY_BYTES else base64.b64decode(text, validate=True)
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise ValueError("The master key must be 32 bytes, written as 64 hexadecimal digits or as base64.")
    return key


_TO_STANDARD = str.maketrans("-_", "+/")


def new_master_key() -> str:
    """Make a random master key, written as base64."""
    return base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()


def make_key_file(path: Path) -> None:
    """Write a new master key into a file that only its owner can read; one that is there already stays."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return
    with os.fdopen(descriptor, "w") as file:
        file.write(new_master_key() + "\n")
        file.flush()
        os.fsync(file.fileno())
