"""Certificates of the tests' own making."""

from __future__ import annotations

import datetime as dt
import ipaddress
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

if TYPE_CHECKING:
    from pathlib import Path

BEGINNING = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
END = dt.datetime(2099, 1, 1, tzinfo=dt.UTC)
PAST = dt.datetime(2020, 2, 1, tzinfo=dt.UTC)


@dataclass(frozen=True)
class Pair:
    """A certificate and its private key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()

    @property
    def key_pem(self) -> str:
        return self._key_pem(serialization.NoEncryption())

    @property
    def encrypted_key_pem(self) -> str:
        return self._key_pem(serialization.BestAvailableEncryption(b"password"))

    def _key_pem(self, encryption: serialization.KeySerializationEncryption) -> str:
        form = serialization.PrivateFormat.PKCS8
        return self.key.private_bytes(serialization.Encoding.PEM, form, encryption).decode()


def authority(name: str = "Test CA") -> Pair:
    """Make a certificate that can sign others."""
    key = ec.generate_private_key(ec.SECP256R1())
    return Pair(_sign(name, key, name, key, END, x509.BasicConstraints(ca=True, path_length=None), None), key)


def issue(by: Pair, name: str, end: dt.datetime = END) -> Pair:
    """Make a certificate for a host name, an address, or a client."""
    key = ec.generate_private_key(ec.SECP256R1())
    try:
        subject: x509.GeneralName = x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        subject = x509.DNSName(name)
    issuer = by.certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value
    plain = x509.BasicConstraints(ca=False, path_length=None)
    return Pair(_sign(name, key, str(issuer), by.key, end, plain, x509.SubjectAlternativeName([subject])), key)


def _sign(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: str,
    issuer_key: ec.EllipticCurvePrivateKey,
    end: dt.datetime,
    constraints: x509.BasicConstraints,
    names: x509.SubjectAlternativeName | None,
) -> x509.Certificate:
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(BEGINNING)
        .not_valid_after(end)
        .add_extension(constraints, critical=True)
    )
    if names is not None:
        builder = builder.add_extension(names, critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


def server_context(pair: Pair, folder: Path, clients: Pair | None = None) -> ssl.SSLContext:
    """Make what a TLS server needs; with `clients` it demands a certificate that they issued."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    file = folder / f"{pair.certificate.serial_number}.pem"
    file.write_text(pair.pem + pair.key_pem)
    context.load_cert_chain(file)
    if clients is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(cadata=clients.pem)
    return context
