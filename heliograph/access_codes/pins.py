"""PINs at rest: sealed, and found by a blind index without being opened."""

from __future__ import annotations

from heliograph.ids import Secret
from heliograph.storage.sealing import Sealer
from heliograph.tenancy.model import Scope


class Pins:
    """Seals, opens and indexes the PINs of one organization's locks."""

    def __init__(self, sealer: Sealer, scope: Scope) -> None:
        self._sealer = sealer
        self._tenant = bytes.fromhex(scope.tenant_uid)

    def index(self, device_uid: bytes, pin: str) -> bytes:
        """Return the blind index of a PIN: the same for the same digits on the same lock, and nowhere else."""
        return self._sealer.mark(b"access code pin" + self._tenant + device_uid + pin.encode())

    def mark(self, digest: bytes) -> bytes:
        """Return what a text that may hold a PIN is known by; with the bare digest the PIN could be guessed."""
        return self._sealer.mark(b"access code text" + self._tenant + digest)

    def seal(self, code_uid: bytes, pin: Secret | None) -> bytes | None:
        """Return a code's PIN as it is kept; it opens for this code alone."""
        return None if pin is None else self._sealer.seal(pin.reveal().encode(), self._place(code_uid))

    def open(self, code_uid: bytes, sealed: bytes | None) -> Secret | None:
        """Return the PIN that was sealed for a code.

        Raises:
            WrongMasterKey: when it was sealed with another key or for another code.
        """
        return None if sealed is None else Secret(self._sealer.unseal(sealed, self._place(code_uid)).decode())

    def _place(self, code_uid: bytes) -> bytes:
        return b"access code pin" + self._tenant + code_uid
