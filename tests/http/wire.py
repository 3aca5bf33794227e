"""A real server on a loopback port and a client that speaks in bytes, for what no HTTP library would send."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import socket
import threading
from typing import TYPE_CHECKING, Any, NamedTuple

import uvicorn

from heliograph.http.protocol import ConnectionLimits, limited_protocol

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, MutableMapping

    Message = MutableMapping[str, Any]
    Scope = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]

SAFETY_SECONDS = 20.0
"""A test that waits this long has failed."""


class Answer(NamedTuple):
    """One HTTP response, as it was sent."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:  # whatever the document holds
        return json.loads(self.body)

    def assert_problem(self, status: int, slug: str) -> None:
        """Check every promise about a refusal by the connection."""
        document = self.json()
        assert self.status == status, document
        assert self.headers["content-type"] == "application/problem+json"
        assert self.headers["connection"] == "close"
        assert self.headers["date"]
        assert self.headers["x-request-id"] == document["requestId"]
        assert document["type"] == f"/problems/{slug}"
        assert document["status"] == status
        assert document["title"]
        assert document["detail"]
        assert document["errors"] == []


class Wire:
    """A client's end of one connection."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=SAFETY_SECONDS)
        self.reader = self.socket.makefile("rb")

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def read(self, method: str = "GET") -> Answer:
        """Read one response; `method` is the request's, which tells whether a body follows."""
        line = self.reader.readline()
        assert line.startswith(b"HTTP/1.1 "), line
        status = int(line.split()[1])
        headers: dict[str, str] = {}
        while (line := self.reader.readline()) != b"\r\n":
            name, value = line.decode("latin-1").split(":", 1)
            headers[name] = value.strip()
        return Answer(status, headers, self._body(status, headers, method))

    def _body(self, status: int, headers: dict[str, str], method: str) -> bytes:
        if method == "HEAD" or status in (100, 204, 304):
            return b""
        if headers.get("transfer-encoding") == "chunked":
            parts = []
            while size := int(self.reader.readline(), 16):
                parts.append(self.reader.read(size))
                assert self.reader.readline() == b"\r\n"
            assert self.reader.readline() == b"\r\n"
            return b"".join(parts)
        if "content-length" in headers:
            return self.reader.read(int(headers["content-length"]))
        return self.reader.read()

    def ask(self, data: bytes) -> Answer:
        self.send(data)
        return self.read(data.split(b" ", 1)[0].decode("latin-1"))

    def assert_closed(self) -> None:
        """Wait for the end of the connection, and check that nothing else comes before it."""
        assert self.reader.read(1) == b""

    def close(self) -> None:
        self.reader.close()
        self.socket.close()


class Application:
    """An ASGI application that shows what it was given; a path names the method that answers."""

    def __init__(self) -> None:
        self.served: list[str] = []
        self.disconnected = threading.Event()
        self.gate: asyncio.Event
        self.waiting = threading.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            self.gate = asyncio.Event()
            while (message := await receive())["type"] == "lifespan.startup":
                await send({"type": "lifespan.startup.complete"})
            await send({"type": f"{message['type']}.complete"})
            return
        self.served.append(scope["path"])
        routes = {route.__name__: route for route in (self.wait, self.open, self.early, self.parts)}
        routes |= {route.__name__: route for route in (self.flood, self.crash, self.short)}
        await routes.get(scope["path"].lstrip("/"), self.echo)(scope, receive, send)

    async def echo(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with the request: its body, and what the scope says of it."""
        body = b""
        while (message := await receive())["type"] == "http.request":
            body += message["body"]
            if not message["more_body"]:
                break
        else:
            self.disconnected.set()
            return
        shown = {name: scope[name] for name in ("method", "path", "http_version")}
        shown["query"] = scope["query_string"].decode()
        shown["headers"] = {name.decode(): value.decode("latin-1") for name, value in scope["headers"]}
        shown["body"] = body.decode("latin-1")
        await self.respond(send, 200, json.dumps(shown).encode())

    async def wait(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer when a request to `/open` has come."""
        self.waiting.set()
        await self.gate.wait()
        await self.respond(send, 200, b"waited")

    async def open(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the requests to `/wait` be answered, once the body has come."""
        while (await receive()).get("more_body"):
            pass
        self.gate.set()
        await self.respond(send, 200, b"opened")

    async def early(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer without a look at the body."""
        await self.respond(send, 413, b"too much")

    async def parts(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer in parts, without saying how long they are."""
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for part in (b"one ", b"", b"two"):
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body"})

    async def flood(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send without end, until the client is gone."""
        await send({"type": "http.response.start", "status": 200, "headers": []})
        watch = asyncio.ensure_future(self._until_disconnected(receive))
        while not watch.done():
            await send({"type": "http.response.body", "body": bytes(65536), "more_body": True})
            await asyncio.sleep(0)

    async def _until_disconnected(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self.disconnected.set()

    async def crash(self, scope: Scope, receive: Receive, send: Send) -> None:
        raise ZeroDivisionError

    async def short(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Promise more than is sent."""
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"9")]})
        await send({"type": "http.response.body", "body": b"short"})

    @staticmethod
    async def respond(send: Send, status: int, body: bytes) -> None:
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


class Errors(logging.Handler):
    """Keeps what the server and the event loop complain about."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.records: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record.getMessage())


class Loopback:
    """A running server; `connect` opens client connections that end with it."""

    def __init__(self, app: Application, server: uvicorn.Server, port: int, errors: Errors) -> None:
        self.app = app
        self.server = server
        self.port = port
        self.errors = errors
        self.wires: list[Wire] = []

    def connect(self) -> Wire:
        wire = Wire(self.port)
        self.wires.append(wire)
        return wire


@contextlib.contextmanager
def running_server(
    limits: ConnectionLimits,
    app: Application | None = None,
    **options: Any,  # uvicorn's
) -> Iterator[Loopback]:
    """Serve an `Application` on a free loopback port; afterwards nothing may have been logged as an error."""
    app, errors = app or Application(), Errors()
    listener = socket.create_server(("127.0.0.1", 0))
    http = limited_protocol(limits)
    config = uvicorn.Config(app, http=http, ws="none", log_config=None, lifespan="on", **options)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listener],))
    loggers = [logging.getLogger(name) for name in ("uvicorn.error", "asyncio")]
    for logger in loggers:
        logger.addHandler(errors)
    thread.start()
    loopback = Loopback(app, server, listener.getsockname()[1], errors)
    try:
        yield loopback
    finally:
        for wire in loopback.wires:
            wire.close()
        server.should_exit = True
        thread.join(SAFETY_SECONDS)
        for logger in loggers:
            logger.removeHandler(errors)
    assert not thread.is_alive()
