"""The serving process: from opening the platform to the last answer."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import socket
from collections.abc import Iterator
from typing import TYPE_CHECKING

import structlog
import uvicorn

from heliograph import logs
from heliograph.cli.session import open_platform
from heliograph.errors import CannotStart
from heliograph.http.protocol import ConnectionLimits, limited_protocol
from heliograph.times import print_time

if TYPE_CHECKING:
    from heliograph.app import FirstStart, Platform
    from heliograph.http.edge import Edge
    from heliograph.settings import Settings

GRACE_SECONDS = 20
"""How long requests that have begun may take to end once the server was told to stop."""

BACKLOG = 2048
"""Connections that may wait to be accepted."""

_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - recognised here, bound only when asked for

log = structlog.get_logger("heliograph")


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; SIGHUP confirms the clock.

    Raises:
        CannotStart: when the platform cannot be opened, or the address cannot be listened on.
    """
    logs.configure(settings.log_format)
    platform = open_platform(settings, may_prepare=True)
    try:
        first = platform.first_start
        if first is not None:
            # Before anything else can fail: it is shown this once.
            print_key(first)
        if settings.delivery_worker == "on":
            platform.deliver()
        with _listen(settings.host, settings.port) as listener:
            _Server(platform, _url_of(listener)).run(sockets=[listener])
    finally:
        platform.close()
    log.info("stopped")


def print_key(first: FirstStart) -> None:
    """Print the key of a first start on standard output, where whatever reads it sees it at once."""
    print(f"key: {first.token.reveal()}", flush=True)


class _Server(uvicorn.Server):
    def __init__(self, platform: Platform, url: str) -> None:
        edge = platform.edge()
        super().__init__(_config(platform.settings, edge))
        self._edge = edge
        self._platform = platform
        self._url = url

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to answer, and only then tell where: whoever reads it may ask, or send signals, at once."""
        await super().startup(sockets)
        # What is there by now stays; a full collection, which holds up every request, need not look at it.
        gc.freeze()
        platform = self._platform
        if platform.first_start is not None:
            print(_first_steps(self._url, platform.first_start, platform.store.clock.now()), flush=True)
        if platform.lock is not None:
            platform.lock.announce(self._url)
        database = platform.store.engine.version()
        log.info("serving", url=self._url, database=database, data=str(platform.settings.data))

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End; requests that wait for something are answered first, for they might wait longer than the grace."""
        self._edge.end_waiting()
        # At the same time, or its own grace would come on top.
        self._platform.wind_down()
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take signals as requests to end; uvicorn would raise them again before the database is closed."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        loop.add_signal_handler(signal.SIGHUP, self._confirm)
        yield

    def _confirm(self) -> None:
        self._platform.store.clock.confirm()
        log.info("the clock was confirmed")


def _config(settings: Settings, edge: Edge) -> uvicorn.Config:
    limits = ConnectionLimits(
        settings.header_bytes, settings.header_count, settings.header_timeout, settings.idle_timeout
    )
    return uvicorn.Config(
        edge,
        http=limited_protocol(limits),
        loop="uvloop",
        ws="none",
        lifespan="on",
        backlog=BACKLOG,
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        log_config=None,
        log_level="warning",
        timeout_graceful_shutdown=GRACE_SECONDS,
    )


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        reason = str(error.strerror).partition(" (")[0]
        raise CannotStart(f"Cannot listen on {host}, port {port}: {reason}.") from None


def _url_of(listener: socket.socket) -> str:
    """Return where programs on this machine reach the listener."""
    host, port = listener.getsockname()[:2]
    host = _EVERYWHERE.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _first_steps(url: str, first: FirstStart, now: int) -> str:
    key = f"-H 'Authorization: Bearer {first.token.reveal()}'"
    event = '{"type":"door.opened","eventCode":10001,"payload":{"by":"badge 4711"}}'
    return f"""
The key is shown this once. Put an event on record, then list what is there:

  curl -sS {url}/v1/events {key} -H 'Content-Type: application/json' -d '{event}'

  curl -sS '{url}/v1/events?from={print_time(now)[:10]}T00:00:00Z' {key}
"""
