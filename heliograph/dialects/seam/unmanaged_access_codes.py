"""`/access_codes/unmanaged/list` and `/access_codes/unmanaged/get`: codes that somebody set at the lock."""

from __future__ import annotations

from heliograph.access_codes.model import CodeFilter
from heliograph.dialects.seam.code_reading import LARGEST_LIMIT, CodeQuery, Limit, Search, codes_for, get_code
from heliograph.dialects.seam.pages import Paged
from heliograph.dialects.seam.parameters import Id, read_parameters
from heliograph.dialects.seam.routes import reading
from heliograph.http.access_codes import READ
from heliograph.http.messages import Request, Response


class UnmanagedCodesQuery(Paged, frozen=True, kw_only=True):
    """The lock whose codes to list."""

    device_id: Id
    search: Search | None = None
    limit: Limit = LARGEST_LIMIT


async def list_unmanaged_codes(request: Request) -> Response:
    """List the unmanaged codes of a lock."""
    codes = await codes_for(request)
    given = read_parameters(request, UnmanagedCodesQuery)
    wanted = CodeFilter(device_uids=(given.device_id,), managed=False, search=given.search)
    return await codes.list_page(given, wanted, given.limit)


async def show_unmanaged_code(request: Request) -> Response:
    """Return one unmanaged code."""
    return await get_code(request, managed=False)


UNMANAGED_ACCESS_CODES = (
    *reading(
        "/access_codes/unmanaged/list", list_unmanaged_codes, READ, UnmanagedCodesQuery,
        "List unmanaged access codes",
    ),
    *reading("/access_codes/unmanaged/get", show_unmanaged_code, READ, CodeQuery, "Get an unmanaged access code"),
)  # fmt: skip
"""The routes that read unmanaged codes."""
