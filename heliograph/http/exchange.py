"""One request and its response on an HTTP/1.1 connection, as the application sees it through ASGI."""

from __future__ import annotations

import asyncio
from functools import lru_cache
from typing import TYPE_CHECKING

from uvicorn.protocols.http.httptools_impl import (
    HEADER_RE,
    HEADER_VALUE_RE,
    STATUS_LINE,
    RequestResponseCycle,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from uvicorn._types import ASGI3Application, ASGIReceiveEvent, ASGISendEvent, HTTPScope

    from heliograph.http.protocol import LimitedProtocol


@lru_cache(maxsize=256)
def _field_name(name: bytes) -> bytes:
    if HEADER_RE.search(name):
        raise RuntimeError("Invalid HTTP header name.")
    return name.lower() + b": "


class Exchange(RequestResponseCycle):
    """One request and its response: the HTTP part of ASGI 3.0 (asgi.readthedocs.io, "HTTP Connection Scope").

    As that page asks, nothing of the response is sent before its first body message (which may be empty). So
    a response of one message is one write, gets its `content-length`, and announces the connection's end if
    the request body is unfinished.
    """

    def __init__(self, protocol: LimitedProtocol, scope: HTTPScope, keep_alive: bool) -> None:
        # Not uvicorn's constructor: it makes an event per request, and hardly any has to wait for one.
        self.protocol = protocol
        self.scope = scope
        self.transport = protocol.transport
        self.flow = protocol.flow
        self.logger = protocol.logger
        self.keep_alive = keep_alive
        self.task: asyncio.Task[None] | None = None
        self.disconnected = False
        # The request: what has arrived of its body, and how much of that the application has taken.
        self.chunks: list[bytes] = []
        self.buffered = 0
        self.more_body = True
        self.end_taken = False
        self.changed: asyncio.Event | None = None
        self.waiting_for_100_continue = True
        # The response: its header lines until they are sent, and the bytes of its body that are still owed.
        self.head: list[bytes] | None = None
        self.on_wire = False
        self.response_started = False
        self.response_complete = False
        self.chunked = False
        self.bodiless = False
        self.owed: int | None = None

    async def run_asgi(self, app: ASGI3Application) -> None:
        """Run the application; one that fails before anything was sent is answered by a problem document."""
        try:
            await app(self.scope, self.receive, self.send)
        except BaseException as error:  # a cancelled application owes its client an answer too
            self.logger.error("Exception in ASGI application", exc_info=error)
            self.protocol.give_up(self)
        else:
            if not self.response_complete and not self.disconnected:
                self.logger.error("ASGI application returned without completing its response")
                self.protocol.give_up(self)
        finally:
            # Cheaper than a done callback, which costs one more turn of the event loop per request.
            if self.task is not None:
                self.protocol.tasks.discard(self.task)

    def add_body(self, body: bytes) -> None:
        """Take bytes of the request body from the parser."""
        self.chunks.append(body)
        self.buffered += len(body)
        if self.changed is not None:
            self.changed.set()

    def end_body(self) -> None:
        """Take the end of the request from the parser."""
        self.more_body = False
        if self.changed is not None:
            self.changed.set()

    def disconnect(self) -> None:
        """Tell the application that the client is gone."""
        self.disconnected = True
        if self.changed is not None:
            self.changed.set()

    async def receive(self) -> ASGIReceiveEvent:
        """Return what has arrived of the body, or wait for more of it or for the end of the connection."""
        if self.more_body and not self.disconnected:
            self.flow.resume_reading()
        while not (self.disconnected or self.response_complete):
            if self.chunks or not (self.more_body or self.end_taken):
                body = b"".join(self.chunks)
                self.chunks.clear()
                self.buffered = 0
                self.end_taken = not self.more_body
                return {"type": "http.request", "body": body, "more_body": self.more_body}
            await self._change()
        return {"type": "http.disconnect"}

    async def _change(self) -> None:
        self.flow.resume_reading()  # also what tells that the client has gone
        if self.waiting_for_100_continue and self.more_body and not self.response_started:
            self.waiting_for_100_continue = False
            expectations = [value.lower() for name, value in self.scope["headers"] if name == b"expect"]
            if b"100-continue" in expectations and self.scope["http_version"] == "1.1":
                self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if self.changed is None:
            self.changed = asyncio.Event()
        self.changed.clear()
        await self.changed.wait()

    async def send(self, message: ASGISendEvent) -> None:
        """Take one part of the response from the application.

        Raises:
            RuntimeError: a message out of order, an invalid header, or a body of another size than announced.
        """
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if self.disconnected:
            return
        if not self.response_started and message["type"] == "http.response.start":
            self._start(message["status"], message.get("headers", ()))
        elif self.response_started and not self.response_complete and message["type"] == "http.response.body":
            self._continue(message.get("body", b""), message.get("more_body", False))
        else:
            raise RuntimeError(f"ASGI message '{message['type']}' is out of order.")

    def _start(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
        head = [STATUS_LINE[status], self.protocol.common_lines()]
        for name, value in headers:
            field = _field_name(name)
            if HEADER_VALUE_RE.search(value):
                raise RuntimeError("Invalid HTTP header value.")
            if field == b"content-length: ":
                self.owed = int(value)
            elif field == b"transfer-encoding: " and value.lower() == b"chunked":
                self.chunked = True
            elif field == b"connection: " and b"close" in value.lower():
                self.keep_alive = False
                continue  # written with the first body message
            head += (field, value, b"\r\n")
        self.bodiless = status in (204, 304) or self.scope["method"] == "HEAD"
        self.head = head
        self.response_started = True

    def _finish_head(self, head: list[bytes], body: bytes, more: bool) -> bytes:
        """Add the lines that depend on the first body message (RFC 9112 sections 6.3 and 9.6)."""
        if not (self.bodiless or self.chunked or self.owed is not None):
            if not more:
                self.owed = len(body)
                head.append(b"content-length: %d\r\n" % len(body))
            elif self.scope["http_version"] == "1.1":
                self.chunked = True
                head.append(b"transfer-encoding: chunked\r\n")
        if not self.keep_alive or (self.more_body and not more):
            head.append(b"connection: close\r\n")
        head.append(b"\r\n")
        return b"".join(head)

    def _continue(self, body: bytes, more: bool) -> None:
        data = b"" if self.head is None else self._finish_head(self.head, body, more)
        if self.bodiless:
            pass
        elif self.chunked:
            data += b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            data += b"" if more else b"0\r\n\r\n"
        else:
            if self.owed is not None:
                self.owed -= len(body)
                if self.owed < 0 or (self.owed and not more):
                    raise RuntimeError("The response body differs in size from its Content-Length.")
            data += body
        self.head = None
        self.on_wire = True
        self.transport.write(data)
        if not more:
            self.response_complete = True
            if self.changed is not None:
                self.changed.set()
            self.protocol.on_response_complete()
