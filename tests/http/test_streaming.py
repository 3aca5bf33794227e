"""Bodies that a handler reads while they arrive: bounded, refused in time, and on a connection that stays sane."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from heliograph.errors import Invalid, Unavailable
from heliograph.http.edge import Edge, no_such_path, wrong_method
from heliograph.http.messages import Request, Response
from heliograph.http.metrics import HttpMetrics
from heliograph.http.protocol import ConnectionLimits
from heliograph.http.routes import Route, Routes
from heliograph.settings import Settings
from tests.http.wire import SAFETY_SECONDS, Application, Loopback, running_server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from heliograph.http.services import Services
    from tests.http.wire import Receive, Scope, Send

LIMIT = 1_000_000
CHUNKED = b"POST %b HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
PART = b"x" * 65536


class Uploads(Application):
    """The edge with routes that stream; keeps what their handlers saw."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []
        self.error: BaseException | None = None
        self.began = threading.Event()
        self.ended = threading.Event()
        routes = [
            Route(method="POST", path=path, handler=handler, permission=None, summary="", streams=True)
            for path, handler in (("/upload", self.upload), ("/picky", self.picky))
        ]
        services = SimpleNamespace(settings=Settings(), metrics=HttpMetrics())
        self.edge = Edge(Routes(routes, no_such_path, wrong_method), lambda: cast("Services", services))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.edge(scope, receive, send)

    async def upload(self, request: Request) -> Response:
        """Take all of the body."""
        self.began.set()
        try:
            async for part in request.chunks(LIMIT):
                self.sizes.append(len(part))
        except BaseException as error:
            self.error = error
            raise
        finally:
            self.ended.set()
        return Response(200, b"%d" % sum(self.sizes))

    async def picky(self, request: Request) -> Response:
        """Refuse the body at its first part."""
        async for _ in request.chunks(LIMIT):
            raise Invalid.at("/", "picky", "Not like this.")
        return Response(200)


@pytest.fixture
def uploads() -> Iterator[tuple[Uploads, Loopback]]:
    app = Uploads()
    with running_server(ConnectionLimits(), app) as server:
        yield app, server
    assert server.errors.records == []


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def test_body_is_read_in_bounded_parts_and_the_connection_goes_on(uploads: Any) -> None:
    app, server = uploads
    wire = server.connect()
    for _ in range(2):
        app.sizes.clear()
        answer = wire.ask(CHUNKED % b"/upload" + chunk(PART) * 15 + b"0\r\n\r\n")
        assert (answer.status, answer.body) == (200, b"%d" % (15 * len(PART)))
        assert "connection" not in answer.headers
        # Reading is paused at 64 KiB; one read of the transport, of at most 256 KiB, may lie above that.
        assert max(app.sizes) <= 65536 + 262_144


def test_empty_body_has_no_parts(uploads: Any) -> None:
    app, server = uploads
    assert server.connect().ask(b"POST /upload HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n").body == b"0"
    assert app.sizes == []


def test_body_over_the_limit_is_refused_when_it_is_sent_chunked(uploads: Any) -> None:
    app, server = uploads
    wire = server.connect()
    wire.send(CHUNKED % b"/upload")
    for _ in range(20):
        wire.send(chunk(PART))
    answer = wire.read()
    assert (answer.status, answer.json()["type"]) == (413, "/problems/too-large")
    assert answer.headers["connection"] == "close"
    wire.assert_closed()
    assert sum(app.sizes) <= LIMIT


def test_body_over_the_limit_is_refused_before_it_is_sent_when_it_is_announced(uploads: Any) -> None:
    app, server = uploads
    wire = server.connect()
    head = b"POST /upload HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n"
    assert wire.ask(head % (LIMIT + 1)).status == 413
    wire.assert_closed()
    assert app.sizes == []


@pytest.mark.parametrize("end", [b"", b"0\r\n\r\n"])
def test_handler_may_answer_before_the_body_ends(uploads: Any, end: bytes) -> None:
    _, server = uploads
    wire = server.connect()
    wire.send(CHUNKED % b"/picky" + chunk(b"brand;serial") + end)
    answer = wire.read()
    assert (answer.status, answer.json()["errors"][0]["rule"]) == (400, "picky")
    # What is left of an unfinished body is never taken for the next request.
    if not end:
        assert answer.headers["connection"] == "close"
        wire.assert_closed()
    assert server.connect().ask(CHUNKED % b"/upload" + b"0\r\n\r\n").status == 200


def test_handler_is_told_when_the_client_leaves(uploads: Any) -> None:
    app, server = uploads
    wire = server.connect()
    wire.send(CHUNKED % b"/upload" + chunk(PART))
    assert app.began.wait(SAFETY_SECONDS)
    wire.close()
    assert app.ended.wait(SAFETY_SECONDS)
    assert isinstance(app.error, Unavailable)
    assert sum(app.sizes) <= len(PART)
