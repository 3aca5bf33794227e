"""`/access_codes/unmanaged/update`, `/access_codes/unmanaged/convert_to_managed`, `/access_codes/unmanaged/delete`."""

from __future__ import annotations

from functools import partial

from heliograph.access_codes import kinds
from heliograph.dialects.seam.answers import done, missing
from heliograph.dialects.seam.code_writing import RemoveCode, one_flag, remove_code
from heliograph.dialects.seam.parameters import Id, Parameters, invalid_parameters, read_parameters
from heliograph.dialects.seam.routes import writing
from heliograph.dialects.seam.workspace import scope_of
from heliograph.errors import Fault
from heliograph.http.code_changes import DELETE, UPDATE, patience_of
from heliograph.http.messages import Request, Response
from heliograph.tenancy.model import Scope


class ConvertCode(Parameters, frozen=True, kw_only=True):
    """The code to take over, with `force` also from somebody else who manages it.

    `sync` is read and has no effect: the answer never waits for the lock.
    """

    access_code_id: Id
    force: bool = False
    is_external_modification_allowed: bool | None = None
    allow_external_modification: bool | None = None
    sync: bool = False


class UpdateUnmanagedCode(ConvertCode, frozen=True, kw_only=True):
    """As `ConvertCode`: that a code becomes managed is the only change that there is."""

    is_managed: bool


async def convert_code(request: Request) -> Response:
    """Ask the lock's connector to take an unmanaged code over."""
    scope = await scope_of(request, UPDATE)
    return await _convert(request, scope, read_parameters(request, ConvertCode))


async def update_unmanaged_code(request: Request) -> Response:
    """Ask the lock's connector to take an unmanaged code over."""
    scope = await scope_of(request, UPDATE)
    given = read_parameters(request, UpdateUnmanagedCode)
    if not given.is_managed:
        words = "An unmanaged access code can only become managed; to change a managed one, use /access_codes/update."
        raise invalid_parameters([Fault("/is_managed", "unavailable", words)])
    return await _convert(request, scope, given)


async def _convert(request: Request, scope: Scope, given: ConvertCode) -> Response:
    allowed = one_flag(given.is_external_modification_allowed, given.allow_external_modification)
    step = partial(
        kinds.convert, scope=scope, uid=given.access_code_id, force=given.force,
        external_modification_allowed=bool(allowed), patience=patience_of(request),
    )  # fmt: skip
    with missing("access_code"):
        await request.services.write(step, [scope.tenant_id])
    request.services.operations.notice(scope.tenant_id)
    return done()


async def delete_unmanaged_code(request: Request) -> Response:
    """Have an unmanaged code removed from its lock."""
    return await remove_code(request, managed=False)


UNMANAGED_CHANGES = (
    *writing(
        "PATCH", "/access_codes/unmanaged/update", update_unmanaged_code, UPDATE, UpdateUnmanagedCode,
        "Make an unmanaged access code managed",
    ),
    *writing(
        "PATCH", "/access_codes/unmanaged/convert_to_managed", convert_code, UPDATE, ConvertCode,
        "Convert an unmanaged access code to a managed one",
    ),
    *writing(
        "DELETE", "/access_codes/unmanaged/delete", delete_unmanaged_code, DELETE, RemoveCode,
        "Delete an unmanaged access code",
    ),
)  # fmt: skip
"""The routes that change unmanaged codes."""
