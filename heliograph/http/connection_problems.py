"""The answers a connection gives by itself, when no application ever sees the request or none answers it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import msgspec
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from heliograph.ids import as_hex, new_uid

MAX_URL_BYTES: Final = 24 * 1024
"""Room for the longest cursor, that of a subtree, beside the filters that have to be repeated with it."""


@dataclass(frozen=True, slots=True)
class ConnectionProblem:
    """A problem (RFC 9457): `title` is the same for every occurrence, `detail` says what is wrong here."""

    status: int
    slug: str
    title: str
    detail: str


HEADER_TOO_LARGE = ConnectionProblem(
    431,
    "header-too-large",
    "The headers are too large",
    "Request line, headers and trailers together are too many or too long.",
)
URI_TOO_LONG = ConnectionProblem(
    414, "uri-too-long", "The address is too long", f"The request target exceeds {MAX_URL_BYTES} bytes."
)
REQUEST_TIMEOUT = ConnectionProblem(
    408, "request-timeout", "The request took too long to arrive", "The headers were not complete in time."
)
OVERLOADED = ConnectionProblem(
    503, "unavailable", "The platform cannot do this now", "The server handles all the requests it may."
)
INTERNAL_ERROR = ConnectionProblem(
    500, "internal-error", "The platform failed", "The request could not be answered; the log has the reason."
)


def malformed(detail: str) -> ConnectionProblem:
    """Refuse what is no HTTP/1.1 (RFC 9112), or none that this server speaks."""
    return ConnectionProblem(400, "malformed-http", "The request is not HTTP", detail)


def problem_response(problem: ConnectionProblem, common: bytes) -> bytes:
    """Render the whole HTTP response: a problem document (RFC 9457 section 3) that ends the connection.

    Args:
        problem: what is wrong.
        common: the header lines that every response of the server carries, each with its CRLF.
    """
    request_id = as_hex(new_uid())
    document = {
        "type": f"/problems/{problem.slug}",
        "title": problem.title,
        "status": problem.status,
        "detail": problem.detail,
        "errors": [],
        "requestId": request_id,
    }
    body = msgspec.json.encode(document)
    fields = (
        f"content-type: application/problem+json\r\ncontent-length: {len(body)}\r\n"
        f"x-request-id: {request_id}\r\nconnection: close\r\n\r\n"
    )
    return STATUS_LINE[problem.status] + common + fields.encode() + body
