"""A load generator: keep-alive connections on one core, each sending its next request when the answer is there.

Run as a process of its own: `python -m bench.load '<json of Load>'`; prints the json of `Result`.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from dataclasses import asdict, dataclass
from functools import partial
from typing import cast

import uvloop

from bench import bodies

WARM_UP_SHARE = 0.15


@dataclass(frozen=True)
class Load:
    """What to send: `seconds` of `connections` posting to `path`, `batch` events a request (1: single events).

    With `reads` they get it instead, and a `{}` in it is a number that no other request has.
    """

    port: int
    path: str
    key: str
    connections: int
    seconds: float
    batch: int = 1
    core: int | None = None
    total: int | None = None
    reads: bool = False


@dataclass(frozen=True)
class Result:
    """What came back; `events` and the latencies (milliseconds) are those after the warm-up."""

    events: int
    all_events: int
    seconds: float
    failed: int
    p50: float
    p99: float

    @property
    def rate(self) -> float:
        """Events per second."""
        return self.events / self.seconds


class _Connection(asyncio.Protocol):
    def __init__(self, run: _Run, first: int) -> None:
        self._run = run
        self._next = first
        self._head = b""
        self._missing = 0
        self._sent = 0.0
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._send()

    def _send(self) -> None:
        self._next += 7
        self._sent = time.perf_counter()
        self._transport.write(self._run.request(self._next))

    def data_received(self, data: bytes) -> None:
        if self._missing:
            self._missing -= len(data)
        else:
            self._head += data
            end = self._head.find(b"\r\n\r\n")
            if end < 0:
                return
            head = self._head[:end].lower()
            at = head.find(b"content-length: ") + 16
            self._missing = end + 4 + int(head[at:].partition(b"\r\n")[0]) - len(self._head)
        if self._missing:
            return
        self._run.note(self._head[9:12] in (b"200", b"201"), time.perf_counter() - self._sent)
        self._head = b""
        if self._run.running:
            self._send()
        else:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._run.ended()


class _Run:
    def __init__(self, load: Load) -> None:
        self.load = load
        self._requests = [] if load.reads else _posts(load)
        self.running = True
        self._started = 0
        self.done = 0
        self.counted = 0
        self.failed = 0
        self.latencies: list[float] = []
        self.counting_since = 0.0
        self._open = load.connections
        self._ended = asyncio.Event()

    def request(self, number: int) -> bytes:
        """Return one of the prepared requests; or, for reads, the next one."""
        if self._requests:
            return self._requests[number % len(self._requests)]
        self._started += 1
        path = self.load.path.replace("{}", f"{self._started:06}")
        return f"GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {self.load.key}\r\n\r\n".encode()

    def note(self, succeeded: bool, latency: float) -> None:
        self.done += 1
        if not succeeded:
            self.failed += 1
        if self.counting_since:
            self.counted += 1
            self.latencies.append(latency)
        if self.load.total is not None and self.done * self.load.batch >= self.load.total:
            self.running = False

    def ended(self) -> None:
        self._open -= 1
        if not self._open:
            self._ended.set()

    async def go(self) -> Result:
        loop = asyncio.get_running_loop()
        began = time.perf_counter()
        if self.load.total is not None:
            self.counting_since = began
        for number in range(self.load.connections):
            await loop.create_connection(partial(_Connection, self, number * 13), "127.0.0.1", self.load.port)
        if self.load.total is None:
            await asyncio.sleep(self.load.seconds * WARM_UP_SHARE)
            self.counting_since = time.perf_counter()
            await asyncio.sleep(self.load.seconds * (1 - WARM_UP_SHARE))
            seconds = time.perf_counter() - self.counting_since
            counted = self.counted
            self.running = False
        await asyncio.wait_for(self._ended.wait(), 60)
        if self.load.total is not None:
            seconds, counted = time.perf_counter() - began, self.counted
        ordered = sorted(self.latencies)
        return Result(
            events=counted * self.load.batch,
            all_events=self.done * self.load.batch,
            seconds=seconds,
            failed=self.failed,
            p50=ordered[len(ordered) // 2] * 1000,
            p99=ordered[int(len(ordered) * 0.99)] * 1000,
        )


def _posts(load: Load) -> list[bytes]:
    pool = bodies.events() if load.batch == 1 else bodies.batches(load.batch)
    head = (
        f"POST {load.path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {load.key}\r\n"
        "content-type: application/json\r\ncontent-length: "
    ).encode()
    return [b"%s%d\r\n\r\n%s" % (head, len(body), body) for body in pool]


def main() -> None:
    """Run the load that the first argument describes."""
    load = Load(**json.loads(sys.argv[1]))
    if load.core is not None and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {load.core})
    print(json.dumps(asdict(uvloop.run(_Run(load).go()))))


if __name__ == "__main__":
    main()
