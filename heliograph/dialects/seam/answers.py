"""What Seam's clients are answered: bodies with `ok`, and one shape for everything that goes wrong."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec

from heliograph import errors
from heliograph.errors import Fault, NotFound, Refusal
from heliograph.http.access_codes import NOT_KEPT
from heliograph.http.edge import refusal_headers
from heliograph.http.messages import Headers, Response
from heliograph.ids import as_uuid

_encode = msgspec.json.Encoder().encode
_CAPITAL = re.compile("[A-Z]")

_KINDS: dict[type[Refusal], tuple[int, str]] = {
    errors.Invalid: (400, "invalid_input"),
    errors.Unauthenticated: (401, "unauthorized"),
    errors.Denied: (403, "forbidden"),
    errors.NotFound: (404, "not_found"),
    errors.Conflict: (409, "conflict"),
    errors.Gone: (410, "gone"),
    errors.PreconditionFailed: (412, "precondition_failed"),
    errors.TooLarge: (413, "payload_too_large"),
    errors.UnsupportedMediaType: (415, "unsupported_media_type"),
    errors.TooMany: (429, "too_many_requests"),
    errors.Unavailable: (503, "service_unavailable"),
}
"""Status and Seam's `error.type` for each kind of refusal; Seam has no 422, so what is unprocessable is invalid."""


class SeamError(Refusal):
    """A refusal for which Seam has a type of its own; `data` tells clients what they may act on."""

    def __init__(
        self, status: int, type: str, detail: str, faults: tuple[Fault, ...] = (), data: dict[str, Any] | None = None
    ) -> None:
        super().__init__(detail, faults)
        self.status = status
        self.type = type
        self.data = data


@contextmanager
def missing(resource: str) -> Iterator[None]:
    """Name what is not there, for the refusals of actions inside: `device` makes it `device_not_found`.

    Raises:
        SeamError: in place of a `NotFound`.
    """
    try:
        yield
    except NotFound:
        raise no_such(resource) from None


def no_such(resource: str) -> SeamError:
    """Return the refusal for a thing that does not exist, or that the caller may not know of."""
    words = resource.replace("_", " ")
    return SeamError(404, f"{resource}_not_found", f"{words.capitalize()} not found")


# -- success --------------------------------------------------------------------------------------------------------


def done(**fields: Any) -> Response:
    """Answer with fields, such as `device=...`, and `ok`."""
    return Response(200, _encode({**fields, "ok": True}))


# -- refusals -------------------------------------------------------------------------------------------------------


def headers_of_all(request_id: str) -> Headers:
    """Return the headers of every answer: the id of the request, and that nobody keeps what may have PINs in it."""
    return [(b"seam-request-id", _uuid(request_id).encode()), NOT_KEPT]


def refusal_response(refusal: Refusal, request_id: str) -> Response:
    """Turn a refusal into Seam's error object."""
    data = None
    if isinstance(refusal, SeamError):
        status, type, data = refusal.status, refusal.type, refusal.data
    else:
        status, type = next(_KINDS[kind] for kind in refusal.__class__.__mro__ if kind in _KINDS)
    tree = _tree(refusal.faults) if status == 400 else None
    response = _error(status, type, refusal.detail, request_id, tree, data)
    response.headers += refusal_headers(refusal)
    return response


def failure_response(request_id: str) -> Response:
    """Tell that the platform failed, and nothing of why."""
    return _error(500, "internal_server_error", "The request could not be answered.", request_id)


def no_such_path(request_id: str) -> Response:
    """Refuse a path that no route has."""
    return _error(404, "route_not_found", "There is no such route.", request_id)


def wrong_method(allowed: list[str], request_id: str) -> Response:
    """Refuse a method that the path does not know, naming those it knows (RFC 9110 section 15.5.6)."""
    methods = ", ".join(allowed)
    response = _error(405, "method_not_allowed", f"This route knows {methods}.", request_id)
    response.headers.append((b"allow", methods.encode()))
    return response


def _error(
    status: int,
    type: str,
    message: str,
    request_id: str,
    validation_errors: dict[str, Any] | None = None,
    data: dict[str, Any] | None = None,
) -> Response:
    error: dict[str, Any] = {"type": type, "message": message, "request_id": _uuid(request_id)}
    if validation_errors is not None:
        error["validation_errors"] = validation_errors
    if data is not None:
        error["data"] = data
    return Response(status, _encode({"error": error, "ok": False}))


def _tree(faults: tuple[Fault, ...]) -> dict[str, Any]:
    """Arrange faults as Zod formats its errors: `_errors` at every level, one level per step of the way."""
    tree: dict[str, Any] = {"_errors": []}
    for fault in faults:
        level = tree
        for step in _steps(fault.pointer):
            level = level.setdefault(step, {"_errors": []})
        level["_errors"].append(fault.message)
    return tree


def _steps(pointer: str) -> list[str]:
    """Return the way to a parameter: actions point at the names of the native API, which Seam writes otherwise."""
    place, slash, rest = pointer.partition("/")
    if not slash or place == "header":
        return []
    steps = [step.replace("~1", "/").replace("~0", "~") for step in rest.split("/")]
    return [_snake_case(steps[0]), *steps[1:]]


def _snake_case(name: str) -> str:
    words = _CAPITAL.sub(lambda capital: "_" + capital[0].lower(), name)
    return words[:-4] + "_id" if words.endswith("_uid") else words


def _uuid(request_id: str) -> str:
    return as_uuid(bytes.fromhex(request_id))
