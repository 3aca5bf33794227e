"""`/access_codes/list` and `/access_codes/get`: the codes that Heliograph manages."""

from __future__ import annotations

from heliograph.access_codes.model import CodeFilter
from heliograph.dialects.seam.code_reading import CodeQuery, Limit, Search, codes_for, get_code
from heliograph.dialects.seam.devices import Ids
from heliograph.dialects.seam.pages import Paged, uid_page
from heliograph.dialects.seam.parameters import NOT_HERE, Id, invalid_parameters, read_parameters
from heliograph.dialects.seam.routes import reading
from heliograph.errors import Fault
from heliograph.http.access_codes import READ
from heliograph.http.messages import Request, Response

MOST_CODES = 55_000
"""Codes of a page, unless another number is asked for; Seam's own."""


class CodesQuery(Paged, frozen=True, kw_only=True):
    """Which codes to list: those of a lock, those that are named, or those of the lock that are named."""

    unavailable = NOT_HERE | {"access_grant_key"}

    device_id: Id | None = None
    access_code_ids: Ids | None = None
    search: Search | None = None
    limit: Limit = MOST_CODES


async def list_codes(request: Request) -> Response:
    """List the managed codes of a lock, or those that are named."""
    codes = await codes_for(request)
    given = read_parameters(request, CodesQuery)
    if given.device_id is None and given.access_code_ids is None:
        words = "Specify device_id or access_code_ids."
        raise invalid_parameters([Fault("/device_id", "required", words)])
    if given.access_code_ids == ():
        return uid_page(request, codes.scope, given, "access_codes", [], None)
    wanted = CodeFilter(
        uids=given.access_code_ids or (),
        device_uids=() if given.device_id is None else (given.device_id,),
        managed=True,
        search=given.search,
    )
    return await codes.list_page(given, wanted, given.limit)


async def show_code(request: Request) -> Response:
    """Return one managed code."""
    return await get_code(request, managed=True)


ACCESS_CODES = (
    *reading("/access_codes/list", list_codes, READ, CodesQuery, "List managed access codes"),
    *reading("/access_codes/get", show_code, READ, CodeQuery, "Get a managed access code"),
)
"""The routes that read managed codes."""
