"""Requests of those to whom only some endpoints are there: those that get flat events, in the bytes that are stored.

What is sent there is a body of Seam's shape under a signature that Seam's SDKs verify, and never anything else.
"""

from __future__ import annotations

from collections.abc import Sequence

from heliograph.endpoints import actions
from heliograph.endpoints.model import MOST_ENDPOINTS, Endpoint
from heliograph.endpoints.wishes import EndpointPatch
from heliograph.errors import NotFound
from heliograph.storage.engine import Transaction
from heliograph.storage.sealing import Sealer
from heliograph.tenancy.model import Scope


def get(tx: Transaction, scope: Scope, uid: bytes) -> Endpoint:
    """Return one of them.

    Raises:
        NotFound: when the tenant has no such endpoint, or it is of another kind.
    """
    endpoint = actions.get(tx, scope, uid)
    if not endpoint.is_flat:
        raise NotFound("There is no such endpoint.")
    return endpoint


def list_all(tx: Transaction, scope: Scope) -> list[Endpoint]:
    """Return all of them, in the order in which they were added."""
    endpoints, _ = actions.list_endpoints(tx, scope, (), b"", MOST_ENDPOINTS)
    return [endpoint for endpoint in endpoints if endpoint.is_flat]


def update(
    tx: Transaction, scope: Scope, sealer: Sealer, uid: bytes, patch: EndpointPatch, tenants: Sequence[int]
) -> Endpoint:
    """Change one of them; see `actions.update`."""
    get(tx, scope, uid)
    return actions.update(tx, scope, sealer, uid, None, patch, tenants)


def delete(tx: Transaction, scope: Scope, uid: bytes, tenants: Sequence[int]) -> None:
    """Remove one of them; see `actions.delete`."""
    get(tx, scope, uid)
    actions.delete(tx, scope, uid, None, tenants)
