"""The receiver of webhooks: answers 204 at once, on kept connections, and misbehaves on some paths.

Run as a process of its own: `python -m bench.receiver [core]`; it prints its port, ends when its standard input does,
and prints the json of `Heard`.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import sys
import time
from dataclasses import asdict, dataclass
from typing import cast

import uvloop

GOOD = b"/good/"
STAMP = b'"publishedAt":'
SLOW_SECONDS = 29.0
BAD = ("silent", "slow", "endless", "bomb", "reset", "failing")
"""Paths that never answer, answer late, send a body without end, send a gzip bomb, reset the connection, answer 500."""

_NO_CONTENT = b"HTTP/1.1 204 No Content\r\n\r\n"
_FAILED = b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n"
_CHUNK = b"4000\r\n" + bytes(0x4000) + b"\r\n"
_CHUNK_SECONDS = 0.02
_ENDLESS_SECONDS = 60.0
_BOMB = gzip.compress(bytes(200_000_000), compresslevel=6)


@dataclass(frozen=True)
class Heard:
    """What came: requests on good paths and on the others, and from publishing to receiving, in milliseconds.

    Only what bears a time counts for the latency, and only what came on good paths.
    """

    good: int
    bad: int
    stamped: int
    p50: float
    p99: float
    worst: float


class _Receiver:
    def __init__(self) -> None:
        self.good = 0
        self.bad = 0
        self.latencies: list[float] = []

    def heard(self) -> Heard:
        ordered = sorted(self.latencies) or [0.0]
        return Heard(
            good=self.good,
            bad=self.bad,
            stamped=len(self.latencies),
            p50=ordered[len(ordered) // 2] * 1000,
            p99=ordered[int(len(ordered) * 0.99)] * 1000,
            worst=ordered[-1] * 1000,
        )

    def note(self, request: bytes) -> None:
        self.good += 1
        at = request.find(STAMP)
        if at >= 0:
            began = at + len(STAMP)
            published = float(request[began : request.index(b",", began)])
            self.latencies.append(time.perf_counter() - published)


class _Connection(asyncio.Protocol):
    def __init__(self, receiver: _Receiver) -> None:
        self._receiver = receiver
        self._buffer = b""
        self._transport: asyncio.Transport
        self._task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (head := self._buffer.find(b"\r\n\r\n")) >= 0:
            at = self._buffer.lower().find(b"content-length:", 0, head) + 15
            length = int(self._buffer[at : self._buffer.index(b"\r\n", at)])
            end = head + 4 + length
            if len(self._buffer) < end:
                return
            request, self._buffer = self._buffer[:end], self._buffer[end:]
            path = request[5 : request.index(b" ", 5)]
            if path.startswith(GOOD):
                self._receiver.note(request)
                self._transport.write(_NO_CONTENT)
            else:
                self._receiver.bad += 1
                self._misbehave(path[1:].decode())

    def _misbehave(self, how: str) -> None:
        if how == "failing":
            self._transport.write(_FAILED)
        elif how == "reset":
            self._transport.abort()
        elif how == "slow":
            asyncio.get_running_loop().call_later(SLOW_SECONDS, self._transport.write, _NO_CONTENT)
        elif how == "bomb":
            length = f"content-encoding: gzip\r\ncontent-length: {len(_BOMB)}\r\n\r\n".encode()
            self._transport.write(b"HTTP/1.1 200 OK\r\n" + length + _BOMB)
        elif how == "endless":
            self._task = asyncio.get_running_loop().create_task(self._send_without_end())

    async def _send_without_end(self) -> None:
        self._transport.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        until = time.perf_counter() + _ENDLESS_SECONDS
        while not self._transport.is_closing() and time.perf_counter() < until:
            self._transport.write(_CHUNK)
            await asyncio.sleep(_CHUNK_SECONDS)


async def _receive() -> Heard:
    loop = asyncio.get_running_loop()
    receiver = _Receiver()
    over = asyncio.Event()
    server = await loop.create_server(lambda: _Connection(receiver), "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    loop.add_reader(sys.stdin.fileno(), over.set)
    await over.wait()
    server.close()
    return receiver.heard()


def main() -> None:
    """Receive until the standard input ends."""
    if len(sys.argv) > 1 and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {int(sys.argv[1])})
    print(json.dumps(asdict(uvloop.run(_receive()))), flush=True)


if __name__ == "__main__":
    main()
