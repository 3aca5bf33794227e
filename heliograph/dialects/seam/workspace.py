"""A workspace of Seam's is a tenant: the key's own, or the one that `seam-workspace` names."""

from __future__ import annotations

from heliograph.dialects.seam.answers import missing
from heliograph.http.messages import Request
from heliograph.ids import as_hex, parse_uid
from heliograph.tenancy.model import Scope

_HEADER = "seam-workspace"


async def scope_of(request: Request, permission: str) -> Scope:
    """Return the caller's right in the workspace that a request is about.

    Raises:
        SeamError: `workspace_not_found`, when there is no such tenant or the caller holds nothing there.
        Denied: when the permission is missing.
        Invalid: when the header is no UUID.
    """
    named = request.header(_HEADER.encode())
    tenant = None if named is None else as_hex(parse_uid(named, f"header/{_HEADER}"))
    with missing("workspace"):
        return await request.services.scope(request.known, permission, tenant)
