"""`/workspaces/get`."""

from __future__ import annotations

from functools import partial

import msgspec

from heliograph.dialects.seam.answers import done
from heliograph.dialects.seam.parameters import Parameters, read_parameters
from heliograph.dialects.seam.routes import reading
from heliograph.dialects.seam.workspace import scope_of
from heliograph.http.messages import Request, Response
from heliograph.ids import as_uuid
from heliograph.tenancy import actions
from heliograph.tenancy.model import Tenant

READ = "read tenant.tenant"


class WorkspaceBody(msgspec.Struct, frozen=True, kw_only=True):
    """A tenant as Seam shows a workspace."""

    workspace_id: str
    name: str
    company_name: str
    connect_partner_name: None = None
    organization_id: None = None
    publishable_key: None = None
    is_publishable_key_auth_enabled: bool = False
    is_sandbox: bool = False
    is_suspended: bool = False


def body_of(tenant: Tenant) -> WorkspaceBody:
    """Render a tenant."""
    return WorkspaceBody(workspace_id=as_uuid(tenant.uid), name=tenant.name, company_name=tenant.name)


async def get_workspace(request: Request) -> Response:
    """Return the workspace that the key is for."""
    scope = await scope_of(request, READ)
    read_parameters(request, Parameters)
    tenant = await request.services.read(partial(actions.get_tenant, scope=scope))
    return done(workspace=body_of(tenant))


WORKSPACES = reading("/workspaces/get", get_workspace, READ, Parameters, "Get the workspace")
"""The routes of workspaces."""
