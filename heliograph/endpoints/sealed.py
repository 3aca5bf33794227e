"""What of an endpoint is sealed at rest; a sealed value opens for its own endpoint and owner alone."""

from __future__ import annotations

import msgspec

from heliograph.endpoints.model import Endpoint, EndpointSecrets
from heliograph.storage.sealing import Sealer

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(EndpointSecrets).decode


def seal(sealer: Sealer, owner_id: int, endpoint_uid: bytes, secrets: EndpointSecrets) -> bytes:
    """Encrypt the secrets of an endpoint, whose owner is the tenant with that number."""
    return sealer.seal(_encode(secrets), _context(owner_id, endpoint_uid))


def unseal(sealer: Sealer, owner_id: int, endpoint: Endpoint) -> EndpointSecrets:
    """Decrypt the secrets of an endpoint.

    Raises:
        WrongMasterKey: when they were sealed with another key, or for another endpoint or owner.
    """
    return _decode(sealer.unseal(endpoint.sealed_secrets, _context(owner_id, endpoint.uid)))


def _context(owner_id: int, endpoint_uid: bytes) -> bytes:
    return b"endpoint %d %b" % (owner_id, endpoint_uid)
