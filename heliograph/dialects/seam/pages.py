"""Seam's pages: `pagination` beside the items, and a `page_cursor` that fits only the parameters it was made for."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from heliograph.dialects.seam.answers import SeamError, done
from heliograph.dialects.seam.parameters import Parameters, given_values
from heliograph.dialects.seam.queries import write_query
from heliograph.errors import Fault, Invalid
from heliograph.eventlog.cursors import Cursor, read_cursor, write_cursor
from heliograph.http.messages import Request, Response, fields_of
from heliograph.tenancy.model import Scope

_CURSOR = "page_cursor"
_encode = msgspec.json.Encoder(order="deterministic", enc_hook=repr).encode


class Paged(Parameters, frozen=True, kw_only=True):
    """The parameters of a list that has pages: every further page repeats all others."""

    page_cursor: str | None = None


class Pagination(msgspec.Struct, frozen=True):
    """Where a list goes on; `next_page_url` is for `GET`."""

    has_next_page: bool
    next_page_cursor: str | None
    next_page_url: str | None


def place_of(request: Request, scope: Scope, given: Paged) -> Cursor | None:
    """Return where the page begins, or None for the first one.

    Raises:
        SeamError: `mismatched_page_parameters`, when the cursor came with other parameters or another tenant.
        Invalid: when it is no cursor of ours.
    """
    if given.page_cursor is None:
        return None
    try:
        return read_cursor(given.page_cursor, _question(request, scope, given), request.services.sealer)
    except Invalid as refusal:
        if refusal.faults[0].rule == "cursor-mismatch":
            words = "A page_cursor needs the parameters of the page that it came with."
            faults = (Fault(f"/{_CURSOR}", "cursor-mismatch", words),)
            raise SeamError(400, "mismatched_page_parameters", words, faults) from None
        raise Invalid.at(f"/{_CURSOR}", "cursor", refusal.detail) from None


def uid_after(request: Request, scope: Scope, given: Paged) -> bytes:
    """Return the uid behind which the page begins, of a list in the order of uids; empty for the first page.

    Raises:
        SeamError, Invalid: as `place_of`.
    """
    cursor = place_of(request, scope, given)
    if cursor is None:
        return b""
    high, low = cursor.places[0]
    return high.to_bytes(8, "big") + low.to_bytes(8, "big")


def pagination(request: Request, scope: Scope, given: Paged, places: tuple[tuple[int, ...], ...] | None) -> Pagination:
    """Describe the next page, which begins at `places`, or that there is none."""
    if places is None:
        return Pagination(False, None, None)
    text = write_cursor(Cursor(_question(request, scope, given), places), request.services.sealer)
    return Pagination(True, text, _url(request, given, text))


def uid_page(request: Request, scope: Scope, given: Paged, name: str, items: list[Any], last: bytes | None) -> Response:
    """Answer with a page of a list in the order of uids; `last` is the page's last uid when another page follows."""
    places = None if last is None else ((int.from_bytes(last[:8], "big"), int.from_bytes(last[8:], "big")),)
    return done(**{name: items, "pagination": pagination(request, scope, given, places)})


def _question(request: Request, scope: Scope, given: Paged) -> bytes:
    """Return what a cursor is bound to: the route, the tenant and every parameter but the cursor itself."""
    values = {name: value for name, value in msgspec.structs.asdict(given).items() if name != _CURSOR}
    return hashlib.blake2b(_encode((request.scope["path"], scope.tenant_uid, values)), digest_size=8).digest()


def _url(request: Request, given: Paged, cursor: str) -> str:
    known = {field.encode_name for field in fields_of(type(given))}
    values = {name: value for name, value in given_values(request, type(given)).items() if name in known}
    return f"{_origin(request)}{request.scope['path']}?{write_query({**values, _CURSOR: cursor})}"


def _origin(request: Request) -> str:
    """Return by what scheme and host the client asked, which behind trusted proxies only they know."""
    scheme, host = request.scope["scheme"], request.header(b"host") or ""
    peer = request.scope["client"]
    if peer and request.services.addresses.is_trusted(peer[0]):
        scheme = _last(request.header(b"x-forwarded-proto")) or scheme
        host = _last(request.header(b"x-forwarded-host")) or host
    return f"{scheme}://{host}"


def _last(texts: str | None) -> str:
    return (texts or "").rpartition(",")[2].strip()
