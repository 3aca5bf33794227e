"""The one way in: every request passes here, from its bytes to the answer or the problem document."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from heliograph.errors import NotFound, Refusal, TooLarge, TooMany, Unauthenticated, Unavailable, UnsupportedMediaType
from heliograph.http.callers import KnownCaller
from heliograph.http.messages import Headers, Receive, Request, Response
from heliograph.http.problems import CONTENT_TYPE, INTERNAL, METHOD_NOT_ALLOWED, ProblemBody, body_of, describe
from heliograph.http.routes import Route, Routes
from heliograph.http.services import Services
from heliograph.ids import new_uid
from heliograph.tenancy.access import hash_token
from heliograph.tenancy.model import Caller

log = logging.getLogger(__name__)

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
_encode = msgspec.json.Encoder().encode
_BEARER = "bearer "
_ENCODING_RULE = "content-encoding"


class NoQuery(msgspec.Struct, frozen=True):
    """The query of routes that have none: every parameter is refused by name."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """A part of the paths with routes of its own, and its own words for what goes wrong there.

    It owns every path below `prefix`, whether a route has it or not, and every path that begins with one of `heads`:
    some clients know of an address nothing but the host. `refuse` renders a refusal and `fail` a failure of the
    platform; `headers` stand on every answer beside the platform's own. All three are given the request id.
    """

    prefix: str
    heads: frozenset[str]
    routes: Routes
    refuse: Callable[[Refusal, str], Response]
    fail: Callable[[str], Response]
    headers: Callable[[str], Headers]

    def path_of(self, path: str) -> str | None:
        """Return the path as the routes have it, or None when it is not answered in this dialect."""
        if path.startswith(self.prefix) and path[len(self.prefix) :][:1] in ("", "/"):
            return path
        return self.prefix + path if path[1:].partition("/")[0] in self.heads else None


class Edge:
    """The ASGI application: request id, limits, authentication, errors and metrics for every route."""

    def __init__(self, routes: Routes, open_services: Callable[[], Services], dialects: Sequence[Dialect] = ()) -> None:
        self._native = Dialect("", frozenset(), routes, problem_response, _failure, _no_headers)
        self._dialects = tuple(dialects)
        self._open_services = open_services
        self.services: Services

    def start(self) -> None:
        """Begin to answer requests, all of them on the event loop that runs now."""
        self.services = self._open_services()

    def end_waiting(self) -> None:
        """Answer all requests that wait for something to happen, because the server ends."""
        self.services.operations.close()

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Serve one request, or the life of the server."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        request_id = new_uid().hex()
        response = await self.handle(scope, receive, request_id)
        await _send(send, response, request_id, scope["method"])

    async def handle(
        self, scope: MutableMapping[str, Any], receive: Receive, request_id: str, caller: Caller | None = None
    ) -> Response:
        """Answer one request, whatever it came by; a refusal is an answer too.

        `caller` is who asks when this process itself vouches for them; without one the request needs a key.
        """
        began = time.perf_counter()
        dialect, path = self._dialect_of(scope["path"])
        if path != scope["path"]:
            scope = {**scope, "path": path}
        route, parameters, refusal = dialect.routes.find(scope["method"], path)
        try:
            if refusal is not None:
                response = refusal(request_id)
            else:
                assert route is not None
                request = Request(scope, request_id, self.services, parameters)
                response = await self._serve(route, request, receive, caller)
        except Refusal as error:
            response = dialect.refuse(error, request_id)
        except Exception as error:
            log.exception("request %s failed", request_id)
            self.services.tell_of(error, request_id)
            response = dialect.fail(request_id)
        response.headers += dialect.headers(request_id)
        self.services.metrics.count(
            scope["method"], route.path if route else "", response.status, time.perf_counter() - began
        )
        return response

    def _dialect_of(self, path: str) -> tuple[Dialect, str]:
        for dialect in self._dialects:
            own = dialect.path_of(path)
            if own is not None:
                return dialect, own
        return self._native, path

    async def _serve(self, route: Route, request: Request, receive: Receive, caller: Caller | None) -> Response:
        # Who is asking comes first: nobody without a key makes the server read a large body.
        if route.permission is not None:
            request.known = await self._authenticate(request) if caller is None else KnownCaller(caller, 0.0)
            request.caller = request.known.caller
        if route.body is not None:
            _refuse_encoded(request)
        if route.streams:
            request.receive = receive
        elif request.scope["method"] not in ("GET", "HEAD"):
            request.body = await _read_body(receive, request, route.largest_body(self.services.settings))
        if route.query is None and request.scope["query_string"]:
            request.query(NoQuery)
        return await route.handler(request)

    async def _authenticate(self, request: Request) -> KnownCaller:
        services = self.services
        token = _bearer_token(request)
        if token is None:
            raise Unauthenticated("No key was sent.")
        token_hash = hash_token(token)
        known = services.callers.find(token_hash)
        if known is None:
            peer = request.scope["client"]
            forwarded = b",".join(request.headers(b"x-forwarded-for")).decode("latin-1")
            address = services.addresses.of(peer[0] if peer else "", forwarded)
            services.wrong_keys.refuse_if_too_many(address)
            try:
                known = await services.known_caller(token_hash)
            except Unauthenticated:
                services.wrong_keys.note(address)
                raise
        services.callers.count(known)
        return known

    async def _live(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                self.start()
                await send({"type": "lifespan.startup.complete"})
            else:
                await send({"type": "lifespan.shutdown.complete"})
                return


def _bearer_token(request: Request) -> str | None:
    value = request.header(b"authorization")
    if value is None or value[:7].lower() != _BEARER:
        return None
    return value[7:].strip()


def _refuse_encoded(request: Request) -> None:
    encoding = request.header(b"content-encoding")
    if encoding and encoding.lower() != "identity":
        words = "Send the body as it is; a Content-Encoding is not undone here."
        raise UnsupportedMediaType.at("header/content-encoding", _ENCODING_RULE, words)


async def _read_body(receive: Receive, request: Request, limit: int) -> bytes:
    # Asked before the body is: a client that waits to be told to continue need not send it.
    length = request.header(b"content-length")
    if length is not None and int(length) > limit:
        raise TooLarge(f"The body has more than {limit} bytes.")
    message = await receive()
    if message["type"] == "http.disconnect":
        raise Unavailable("The client left.")
    body: bytes = message.get("body", b"")
    if not message.get("more_body"):
        if len(body) > limit:
            raise TooLarge(f"The body has more than {limit} bytes.")
        return body
    chunks = [body]
    size = len(body)
    while message.get("more_body"):
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Unavailable("The client left.")
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        if size > limit:
            raise TooLarge(f"The body has more than {limit} bytes.")
    return b"".join(chunks)


def problem_response(refusal: Refusal, request_id: str) -> Response:
    """Turn a refusal into its problem document."""
    response = _problem(body_of(refusal, request_id))
    response.headers += refusal_headers(refusal)
    return response


def refusal_headers(refusal: Refusal) -> Headers:
    """Return the headers by which HTTP itself tells of a refusal, in every dialect."""
    if isinstance(refusal, TooMany | Unavailable):
        return [(b"retry-after", str(refusal.retry_after).encode())]
    if isinstance(refusal, Unauthenticated):
        return [(b"www-authenticate", b"Bearer")]
    if any(fault.rule == _ENCODING_RULE for fault in refusal.faults):
        # What would be taken: RFC 9110 section 12.5.3.
        return [(b"accept-encoding", b"identity")]
    return []


def _failure(request_id: str) -> Response:
    detail = "The platform failed to answer; its log has the reason under this request id."
    return _problem(describe(INTERNAL, detail, request_id))


def _no_headers(request_id: str) -> Headers:
    return []


def _problem(body: ProblemBody) -> Response:
    return Response(body.status, _encode(body), CONTENT_TYPE)


def no_such_path(request_id: str) -> Response:
    """Refuse a path that no route has."""
    return problem_response(NotFound("There is no such path."), request_id)


def wrong_method(allowed: list[str], request_id: str) -> Response:
    """Refuse a method that the path does not know, naming those it knows (RFC 9110 section 15.5.6)."""
    response = _problem(describe(METHOD_NOT_ALLOWED, f"This path knows {', '.join(allowed)}.", request_id))
    response.headers.append((b"allow", ", ".join(allowed).encode()))
    return response


async def _send(send: Send, response: Response, request_id: str, method: str) -> None:
    headers = [
        (b"content-type", response.content_type),
        (b"content-length", b"%d" % len(response.body)),
        (b"x-request-id", request_id.encode()),
        *response.headers,
    ]
    if response.status in (204, 304):
        headers = headers[2:]
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if method == "HEAD" else response.body})
