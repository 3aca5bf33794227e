"""What all small lists share: a page size, a cursor, and one shape of answer; and what all resources share: ETags."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypeVar

import msgspec

from heliograph.errors import Invalid
from heliograph.eventlog.cursors import Cursor, Marker, read_cursor, write_cursor
from heliograph.http.messages import Request, Response, json_response
from heliograph.ids import as_hex, parse_uid

T = TypeVar("T")

_encode = msgspec.json.Encoder(order="deterministic").encode
_ETAG = re.compile(r'"v(\d{1,18})"\Z')

Limit = Annotated[int, msgspec.Meta(ge=1, le=1000)]
CursorText = Annotated[str, msgspec.Meta(max_length=16_384)]


UID_PATTERN = "^([0-9a-fA-F]{32}|[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})$"
UidText = Annotated[str, msgspec.Meta(extra_json_schema={"pattern": UID_PATTERN})]
"""Documents what `parse_uid` checks."""


class TenantQuery(msgspec.Struct, frozen=True, rename="camel"):
    """`tenantUid` names the tenant when it is not the key's own."""

    tenant_uid: UidText | None = None


class ListQuery(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A page of a list, and the tenant when it is not the key's own."""

    limit: Limit = 100
    cursor: CursorText | None = None
    tenant_uid: UidText | None = None


def resume_after(request: Request, given: ListQuery) -> int:
    """Return the number after which the page begins.

    Raises:
        Invalid: when the cursor is damaged or belongs to another list.
    """
    if given.cursor is None:
        return 0
    cursor = read_cursor(given.cursor, _digest(request, given), request.services.sealer)
    return cursor.places[0][0]


def resume_after_uid(request: Request, given: ListQuery) -> bytes:
    """Return the uid after which the page begins; empty for the first page.

    Raises:
        Invalid: when the cursor is damaged or belongs to another list or filter.
    """
    if given.cursor is None:
        return b""
    cursor = read_cursor(given.cursor, _question(request, given), request.services.sealer)
    high, low = cursor.places[0]
    return high.to_bytes(8, "big") + low.to_bytes(8, "big")


def uid_list_response(
    request: Request, given: ListQuery, page: tuple[Sequence[T], bytes | None], render: Callable[[T], Any]
) -> Response:
    """Answer with a page of a list in the order of uids, and the cursor of the next one when there is one."""
    items, last = page
    cursor = cursor_after_uid(request, given, last)
    return json_response(200, {"data": [render(item) for item in items], "nextCursor": cursor})


def cursor_after_uid(request: Request, given: ListQuery, last: bytes | None) -> str | None:
    """Return the cursor of the page behind the item with that uid, or None when there is none."""
    if last is None:
        return None
    place = (int.from_bytes(last[:8], "big"), int.from_bytes(last[8:], "big"))
    return write_cursor(Cursor(_question(request, given), (place,)), request.services.sealer)


def _question(request: Request, given: ListQuery) -> bytes:
    """Return what a cursor is bound to: the list, the tenant and every filter."""
    filters = msgspec.to_builtins(given)
    del filters["limit"], filters["cursor"]
    filters["tenantUid"] = given.tenant_uid or request.caller.tenant_uid
    return hashlib.blake2b(_encode((request.scope["path"], filters)), digest_size=8).digest()


def list_response(
    request: Request, given: ListQuery, page: tuple[Sequence[T], int | None], render: Callable[[T], Any]
) -> Response:
    """Answer with a page, and the cursor of the next one when there is one."""
    items, last = page
    return json_response(200, {"data": [render(item) for item in items], "nextCursor": _next(request, given, last)})


def _next(request: Request, given: ListQuery, last: int | None) -> str | None:
    marker: Marker = request.services.sealer
    return None if last is None else write_cursor(Cursor(_digest(request, given), ((last,),)), marker)


def _digest(request: Request, given: ListQuery) -> bytes:
    tenant = request.caller.tenant_uid if given.tenant_uid is None else as_hex(parse_uid(given.tenant_uid, "query"))
    return hashlib.blake2b(f"{request.scope['path']}\0{tenant}".encode(), digest_size=8).digest()


def etag(version: int) -> tuple[bytes, bytes]:
    """Return the header that names a resource's version (RFC 9110 section 8.8.3)."""
    return (b"etag", b'"v%d"' % version)


def wanted_version(request: Request) -> int | None:
    """Return the version that `If-Match` demands, or None when any will do.

    Raises:
        Invalid: when the header is neither an ETag of ours nor `*`.
    """
    value = request.header(b"if-match")
    if value is None or value == "*":
        return None
    match = _ETAG.match(value)
    if match is None:
        raise Invalid.at("header/if-match", "etag", 'Expected the ETag of the resource, such as "v3", or *.')
    return int(match.group(1))
