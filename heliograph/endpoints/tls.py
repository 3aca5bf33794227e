"""The certificates of an endpoint, by value: whom its receiver must be vouched for by, and who we are there; pure."""

from __future__ import annotations

import datetime

import msgspec
from cryptography import x509
from cryptography.exceptions import InternalError, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from heliograph.clock import MICROSECONDS
from heliograph.endpoints.model import LONGEST_KEY, LONGEST_PEM
from heliograph.errors import Invalid

_UNREADABLE = (ValueError, UnsupportedAlgorithm, InternalError)
"""What cryptography raises for a text that is none, or whose numbers OpenSSL refuses."""

_KEY_FORM = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


class Tls(msgspec.Struct, frozen=True, kw_only=True):
    """PEM texts, as `read_ca` and `read_client` found them good."""

    ca: str | None = None
    client_certificate: str | None = None
    client_key: str | None = None

    def __repr__(self) -> str:
        return "Tls(...)"


def read_ca(text: str, now: int) -> str:
    """Read one or more certificates (RFC 7468), one of which must have issued the receiver's.

    Raises:
        Invalid: naming `/ca`, when it is none, too long, or one of them is not valid at that time.
    """
    _certificates(text, "/ca", now)
    return text


def read_client(certificate: str, key: str, now: int) -> tuple[str, str]:
    """Read a client certificate, those that it was issued by behind it, and its private key.

    Raises:
        Invalid: naming `/clientCertificate` or `/clientKey`, when they cannot be read, do not belong together, or a
            certificate is not valid at that time. Nothing of the key is repeated.
    """
    own = _certificates(certificate, "/clientCertificate", now)[0]
    public = _private_key(key).public_key().public_bytes(*_KEY_FORM)
    if public != own.public_key().public_bytes(*_KEY_FORM):
        words = "The key is not that of the first certificate."
        raise Invalid.at("/clientKey", "key-mismatch", words)
    return certificate, key


def _certificates(text: str, pointer: str, now: int) -> list[x509.Certificate]:
    _check_length(text, pointer, LONGEST_PEM)
    try:
        found = x509.load_pem_x509_certificates(text.encode())
        # Their keys are parsed only when they are asked for.
        for one in found:
            one.public_key()
    except _UNREADABLE:
        raise Invalid.at(pointer, "pem", "Expected certificates in PEM (RFC 7468).") from None
    moment = datetime.datetime.fromtimestamp(now / MICROSECONDS, datetime.UTC)
    for one in found:
        if moment > one.not_valid_after_utc:
            raise Invalid.at(pointer, "expired", "A certificate has expired.")
        if moment < one.not_valid_before_utc:
            raise Invalid.at(pointer, "not-yet-valid", "A certificate is not valid yet.")
    return found


def _private_key(text: str) -> PrivateKeyTypes:
    _check_length(text, "/clientKey", LONGEST_KEY)
    try:
        return load_pem_private_key(text.encode(), password=None)
    except TypeError:
        words = "The key is protected by a password; the platform seals it itself."
        raise Invalid.at("/clientKey", "encrypted", words) from None
    except _UNREADABLE:
        raise Invalid.at("/clientKey", "pem", "Expected a private key in PEM (RFC 7468).") from None


def _check_length(text: str, pointer: str, most: int) -> None:
    if len(text) > most:
        raise Invalid.at(pointer, "length", f"This PEM text has at most {most} characters.")
