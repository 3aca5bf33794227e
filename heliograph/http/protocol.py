"""The HTTP/1.1 connection: uvicorn's, with limits on what a client may send and how slowly.

uvicorn bounds neither the header block nor the time a client needs for it, and answers bad input in plain
text. Here every refusal is a problem document (RFC 9457) after which the connection closes, and it keeps its
place behind the requests that were pipelined before it. Time limits cost next to nothing: a connection notes
its deadline, and one timer per server compares all of them with the clock. The access log of uvicorn is left
out: it prints query strings.
"""

from __future__ import annotations

import contextvars
import urllib.parse
from collections import deque
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, Final
from weakref import WeakKeyDictionary

import httptools
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from heliograph.http.connection_problems import (
    HEADER_TOO_LARGE,
    INTERNAL_ERROR,
    MAX_URL_BYTES,
    OVERLOADED,
    REQUEST_TIMEOUT,
    URI_TOO_LONG,
    ConnectionProblem,
    malformed,
    problem_response,
)
from heliograph.http.exchange import Exchange

if TYPE_CHECKING:
    import asyncio

    from uvicorn._types import HTTPScope
    from uvicorn.config import Config
    from uvicorn.server import ServerState

MAX_PIPELINED: Final = 100
"""Requests read ahead of the one being answered; the connection ends after them."""
_LINGER_SECONDS: Final = 2.0
_SWEEP_SECONDS: Final = 1.0

# What the next byte belongs to. Plain integers, since every request passes through all of them.
_BETWEEN: Final = 0
_NEW_HEAD: Final = 1  # begun in the chunk at hand, so that its deadline is still to be set
_HEAD: Final = 2
_BODY: Final = 3
_NOTHING: Final = 4  # it is thrown away: the connection ends after the answers that are due


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """What one connection may send, and how slowly.

    Attributes:
        header_bytes: size of request line, header fields and trailer fields together.
        header_count: number of header fields and trailer fields together.
        header_timeout: seconds from connecting to the first byte, and from there to the end of the headers.
        idle_timeout: seconds without a request, without a byte of a begun body, or without a byte read.
    """

    header_bytes: int = 32768
    header_count: int = 100
    header_timeout: float = 10.0
    idle_timeout: float = 60.0


class _StopParsing(Exception):
    """Raised in a parser callback; without a problem, what was read is answered and nothing more is said."""

    def __init__(self, problem: ConnectionProblem | None) -> None:
        self.problem = problem


@lru_cache(maxsize=256)
def _split_target(target: bytes) -> tuple[str, bytes, bytes]:
    """Split a request target (RFC 9112 section 3.2) into path, path as sent, and query."""
    try:
        url = httptools.parse_url(target)
        raw_path: bytes = url.path or b"/"
        path = raw_path.decode("ascii")
    except (httptools.HttpParserInvalidURLError, UnicodeDecodeError):
        raise _StopParsing(malformed("The request target is no URL.")) from None
    return urllib.parse.unquote(path) if "%" in path else path, raw_path, url.query or b""


class _Watch:
    """What the connections of one server share: their deadlines' timer, and the `date` and `server` lines."""

    def __init__(self, protocol: LimitedProtocol) -> None:
        self._loop = protocol.loop
        self._connections = protocol.connections
        limits = protocol.limits
        self._interval = min(_SWEEP_SECONDS, limits.header_timeout / 4, limits.idle_timeout / 4)
        self._timer: asyncio.TimerHandle | None = None
        self._default_headers: list[tuple[bytes, bytes]] = []
        self._lines = b""

    def start(self) -> None:
        if self._timer is None:
            self._timer = self._loop.call_later(self._interval, self._sweep)

    def _sweep(self) -> None:
        self._timer = None
        now = self._loop.time()
        for connection in tuple(self._connections):
            if isinstance(connection, LimitedProtocol):
                connection.check_deadlines(now)
        if self._connections:
            self.start()

    def common_lines(self, default_headers: list[tuple[bytes, bytes]]) -> bytes:
        # uvicorn makes a new list once a second, so its identity tells whether the lines still hold.
        if default_headers is not self._default_headers:
            self._default_headers = default_headers
            self._lines = b"".join(b"%b: %b\r\n" % pair for pair in default_headers)
        return self._lines


_watches: WeakKeyDictionary[ServerState, _Watch] = WeakKeyDictionary()


class LimitedProtocol(HttpToolsProtocol):
    """One client connection that obeys `limits`; made by uvicorn, see `limited_protocol`."""

    limits: ClassVar[ConnectionLimits] = ConnectionLimits()
    cycle: Exchange

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._watch = _watches.get(server_state) or _watches.setdefault(server_state, _Watch(self))
        self.headers = []
        self._stage = _BETWEEN
        self._uncounted = 0  # bytes that came after the last one that a callback has accounted for
        self._head_bytes = 0
        self._without_upgrade = b""
        self._answering: Exchange | None = None
        self._queue: deque[Exchange] = deque()
        self._due: ConnectionProblem | None = None
        self._deadline = 0.0
        self._unsent = -1
        self._unsent_deadline = 0.0

    # The transport's side

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        super().connection_made(transport)
        self._deadline = self.loop.time() + self.limits.header_timeout
        self._watch.start()

    def connection_lost(self, exc: Exception | None) -> None:
        self.connections.discard(self)
        self._stage = _NOTHING
        if self._answering is not None:
            self._answering.disconnect()
        self._queue.clear()
        self.flow.resume_writing()
        self.parser = None  # type: ignore[assignment]  # as in uvicorn: they hold each other

    def data_received(self, data: bytes) -> None:
        if self._stage == _NOTHING:
            return
        self._uncounted += len(data)
        while True:
            try:
                self.parser.feed_data(data)
                break
            except httptools.HttpParserUpgrade as offer:
                # A server may ignore the offer (RFC 9110 section 7.8), but this parser has skipped the body.
                self.parser = httptools.HttpRequestParser(self)
                self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
                data = self._without_upgrade + data[offer.args[0] :]
            except httptools.HttpParserError as error:
                self._refuse(self._problem_of(error))
                return
        if self._stage or self._uncounted:
            self._check_unfinished()

    def _problem_of(self, error: httptools.HttpParserError) -> ConnectionProblem | None:
        cause = error.__context__
        if isinstance(cause, _StopParsing):
            return cause.problem
        if cause is not None:
            self.logger.error("Exception while parsing HTTP", exc_info=cause)
        return malformed(f"{error}.")

    def _check_unfinished(self) -> None:
        """Bound what no callback has reported yet, and note until when the client must go on."""
        limits = self.limits
        if self._uncounted > limits.header_bytes or self._is_too_large():
            self._refuse(HEADER_TOO_LARGE)
        elif self._stage == _NEW_HEAD:
            self._stage = _HEAD
            self._deadline = self.loop.time() + limits.header_timeout
        elif self._stage == _BODY and not self._uncounted:
            self._deadline = self.loop.time() + limits.idle_timeout

    def pause_writing(self) -> None:
        super().pause_writing()
        self._unsent = -1

    # The parser's side

    def on_message_begin(self) -> None:
        if self.cycle is not None and not self.cycle.keep_alive:
            raise _StopParsing(None)
        self.url = b""
        self.headers = []
        self._head_bytes = 0
        self._stage = _NEW_HEAD

    def on_url(self, url: bytes) -> None:
        self.url += url
        if len(self.url) > MAX_URL_BYTES:
            raise _StopParsing(URI_TOO_LONG)

    def on_header(self, name: bytes, value: bytes) -> None:
        # Trailers come this way too; the application has its own copy of the list by then.
        self.headers.append((name.lower(), value))
        self._head_bytes += len(name) + len(value) + 4

    def on_chunk_complete(self) -> None:
        if self._is_too_large():  # trailers come just before the last chunk's end
            raise _StopParsing(HEADER_TOO_LARGE)

    def _is_too_large(self) -> bool:
        return self._head_bytes > self.limits.header_bytes or len(self.headers) > self.limits.header_count

    def on_headers_complete(self) -> None:
        method = self.parser.get_method()
        version = self.parser.get_http_version()
        self._head_bytes += len(method) + len(self.url) + 14
        if self._is_too_large():
            raise _StopParsing(HEADER_TOO_LARGE)
        self._uncounted = 0
        if version not in ("1.1", "1.0"):
            raise _StopParsing(malformed("This server speaks HTTP/1.1 and HTTP/1.0."))
        if self.parser.should_upgrade():
            self._decline_upgrade(method, version)
            return
        limit = self.limit_concurrency
        if limit is not None and limit <= max(len(self.connections), len(self.tasks)):
            raise _StopParsing(OVERLOADED)
        path, raw_path, query = _split_target(self.url)
        scope: HTTPScope = {
            "type": "http",
            "asgi": {"version": self.asgi_version, "spec_version": "2.3"},
            "http_version": version,
            "server": self.server,
            "client": self.client,
            "scheme": self.scheme or "http",
            "method": method.decode("ascii"),
            "path": self.root_path + path,
            "raw_path": self.root_path.encode() + raw_path,
            "query_string": query,
            "root_path": self.root_path,
            "headers": self.headers.copy(),
            "state": self.app_state.copy(),
        }
        self.cycle = exchange = Exchange(self, scope, version == "1.1" and self.parser.should_keep_alive())
        self._stage = _BODY
        if self._answering is None:
            self._answer(exchange)
        else:
            self._queue.append(exchange)
            self.flow.pause_reading()
            if len(self._queue) == MAX_PIPELINED:
                exchange.keep_alive = False

    def _decline_upgrade(self, method: bytes, version: str) -> None:
        if method == b"CONNECT":
            raise _StopParsing(malformed("CONNECT is for proxies, and this is none."))
        lines = [b"%b %b HTTP/%b" % (method, self.url, version.encode())]
        lines += [b"%b: %b" % field for field in self.headers if field[0] != b"upgrade"]
        self._without_upgrade = b"\r\n".join((*lines, b"", b""))

    def on_body(self, body: bytes) -> None:
        self._uncounted = 0
        self.cycle.add_body(body)
        if self.cycle.buffered > HIGH_WATER_LIMIT:
            self.flow.pause_reading()

    def on_message_complete(self) -> None:
        if self._stage == _BODY:  # else it is the stump of a request that offers an upgrade
            self._stage = _BETWEEN
            self._uncounted = 0
            self.cycle.end_body()

    # The exchanges' side

    def common_lines(self) -> bytes:
        """Return the header lines that every response carries."""
        return self._watch.common_lines(self.server_state.default_headers)

    def _answer(self, exchange: Exchange) -> None:
        self._answering = exchange
        context = contextvars.Context() if self.config.reset_contextvars else None
        exchange.task = self.loop.create_task(exchange.run_asgi(self.app), context=context)
        self.tasks.add(exchange.task)

    def on_response_complete(self) -> None:
        """Go on to the next request, or end the connection if that is due."""
        self.server_state.total_requests += 1
        exchange, self._answering = self._answering, None
        if exchange is None or self.transport.is_closing():
            return
        if exchange.more_body or not exchange.keep_alive:
            self._linger()
        elif self._queue:
            self._answer(self._queue.popleft())
        elif self._due is not None:
            self._send_problem(self._due)
        else:
            self.flow.resume_reading()
            if self._stage == _BETWEEN:
                self._deadline = self.loop.time() + self.limits.idle_timeout

    def give_up(self, exchange: Exchange) -> None:
        """End the connection, because the application did not answer."""
        if exchange is not self._answering or self.transport.is_closing():
            return
        self._answering = None
        self._queue.clear()
        if exchange.on_wire:
            self.transport.close()
        else:
            exchange.disconnected = True
            self._send_problem(INTERNAL_ERROR)

    def _refuse(self, problem: ConnectionProblem | None) -> None:
        """Parse no more; answer what was read before, then refuse, and close."""
        broken = self.cycle if self._stage == _BODY else None
        self._stage = _NOTHING
        if broken is not None and broken is self._answering:
            broken.disconnect()
            self._answering = None
            if broken.on_wire:
                self.transport.close()
                return
        elif broken is not None:
            self._queue.remove(broken)
        if self._answering is not None:
            self._due = problem
        elif problem is not None:
            self._send_problem(problem)

    def _send_problem(self, problem: ConnectionProblem) -> None:
        self.transport.write(problem_response(problem, self.common_lines()))
        self._linger()

    def _linger(self) -> None:
        """Close so that the client can read the answer while it still sends (RFC 9112 section 9.6)."""
        self._stage = _NOTHING
        if self.transport.can_write_eof():
            self.transport.write_eof()
            self.flow.resume_reading()
            self._deadline = self.loop.time() + min(_LINGER_SECONDS, self.limits.header_timeout)
        else:  # TLS
            self.transport.close()

    # The watch's side

    def check_deadlines(self, now: float) -> None:
        """End the connection if its client has been too slow."""
        transport = self.transport
        if self.flow.write_paused or transport.is_closing():
            unsent = transport.get_write_buffer_size()
            if unsent != self._unsent:
                self._unsent = unsent
                self._unsent_deadline = now + self.limits.idle_timeout
            elif now >= self._unsent_deadline:
                transport.abort()
        elif self.flow.read_paused:  # then it is not the client that is slow
            self._deadline = now + self.limits.idle_timeout
        elif now >= self._deadline and (self._answering is None or _BETWEEN < self._stage < _NOTHING):
            if self._stage in (_NEW_HEAD, _HEAD):
                self._refuse(REQUEST_TIMEOUT)
            elif self._stage == _NOTHING:
                transport.abort()
            else:
                transport.close()


def limited_protocol(limits: ConnectionLimits) -> type[HttpToolsProtocol]:
    """Make the protocol class to hand to uvicorn as `Config(http=...)`."""
    return type("LimitedProtocol", (LimitedProtocol,), {"limits": limits})
