"""One shape for every refusal: a problem document (RFC 9457) that names the place and the rule."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from heliograph import errors
from heliograph.errors import Refusal

CONTENT_TYPE = b"application/problem+json"


@dataclass(frozen=True, slots=True)
class Problem:
    """A kind of problem: the last part of its `type`, its status, and what the reader can do about it."""

    slug: str
    status: int
    title: str
    remedy: str


KINDS: dict[type[Refusal], Problem] = {
    errors.Invalid: Problem(
        "invalid-request", 400, "The request is not valid", "Correct each place that `errors` names and send it again."
    ),
    errors.Unauthenticated: Problem(
        "unauthenticated", 401, "A valid key is needed", "Send `Authorization: Bearer hg_...` with a key that works."
    ),
    errors.Denied: Problem(
        "permission-denied", 403, "The key may not do this", "Ask an owner to grant the permission that `detail` names."
    ),
    errors.NotFound: Problem(
        "not-found",
        404,
        "There is no such thing",
        "Check the path and the tenant; what you may not see looks the same.",
    ),
    errors.Conflict: Problem(
        "conflict", 409, "The request contradicts the present state", "Read the present state and decide anew."
    ),
    errors.Gone: Problem("gone", 410, "It was removed for good", "Stop asking for it."),
    errors.PreconditionFailed: Problem(
        "precondition-failed", 412, "The resource has changed", "Read it again and repeat the change with its new ETag."
    ),
    errors.TooLarge: Problem(
        "too-large", 413, "The request is too large", "Send less at once; `detail` names the limit."
    ),
    errors.UnsupportedMediaType: Problem(
        "unsupported-media-type", 415, "The content type is not read here", "Use one of the types that `detail` lists."
    ),
    errors.Unprocessable: Problem(
        "refused-by-tenant",
        422,
        "A rule of the tenant refuses it",
        "Follow the type's schema or the tenant's settings.",
    ),
    errors.TooMany: Problem("too-many-requests", 429, "Too many requests", "Wait for `Retry-After` seconds."),
    errors.Unavailable: Problem(
        "unavailable", 503, "The platform cannot do this now", "Send it again after `Retry-After` seconds."
    ),
}
"""Every refusal of the platform and its status; the only place that knows both."""

METHOD_NOT_ALLOWED = Problem(
    "method-not-allowed", 405, "The path does not know this method", "Use one of the methods in the `Allow` header."
)
INTERNAL = Problem(
    "internal-error", 500, "The platform failed", "Report the request id; the log of the server tells what happened."
)
CONNECTION_PROBLEMS = (
    Problem("malformed-http", 400, "The request is not HTTP", "Check the client or the proxy before the server."),
    Problem("request-timeout", 408, "The request took too long to arrive", "Send headers and body without pauses."),
    Problem("uri-too-long", 414, "The address is too long", "Use fewer or shorter parameters."),
    Problem("header-too-large", 431, "The headers are too large", "Send fewer or smaller headers."),
)
"""Refused before any route is known, by the connection itself."""


class FaultBody(msgspec.Struct, frozen=True):
    """One place of the input that breaks one rule."""

    pointer: str
    rule: str
    message: str


class ProblemBody(msgspec.Struct, frozen=True, rename="camel"):
    """A problem document (RFC 9457); `type` is relative to the server."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[FaultBody]
    request_id: str


def all_problems() -> tuple[Problem, ...]:
    """Return every kind of problem, for the documentation."""
    return (*KINDS.values(), METHOD_NOT_ALLOWED, INTERNAL, *CONNECTION_PROBLEMS)


def problem_of(refusal: Refusal) -> Problem:
    """Return the kind of a refusal: its own class or the nearest one above it."""
    return next(KINDS[kind] for kind in type(refusal).__mro__ if kind in KINDS)


def body_of(refusal: Refusal, request_id: str) -> ProblemBody:
    """Describe a refusal."""
    faults = [FaultBody(fault.pointer, fault.rule, fault.message) for fault in refusal.faults]
    return describe(problem_of(refusal), refusal.detail, request_id, faults)


def describe(problem: Problem, detail: str, request_id: str, faults: list[FaultBody] | None = None) -> ProblemBody:
    """Describe a problem of a given kind."""
    return ProblemBody(f"/problems/{problem.slug}", problem.title, problem.status, detail, faults or [], request_id)
