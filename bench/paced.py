"""Single events at a fixed rate, to see how long they take while the server has other work to do.

Run as a process of its own: `python -m bench.paced '<json of Pace>'`; it ends when its standard input does, and prints
the json of `Paced`.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from dataclasses import asdict, dataclass

import uvloop

from bench import bodies

WARM_UP_SECONDS = 1.0
_PAYLOAD = b'"payload":{'


@dataclass(frozen=True)
class Pace:
    """What to send: `rate` requests a second, over so many connections in turn.

    `stamped` events tell in their payload when they were due; those of the warm-up do not.
    """

    port: int
    key: str
    rate: float
    connections: int
    core: int | None = None
    stamped: bool = False


@dataclass(frozen=True)
class Paced:
    """What came back after the warm-up; latencies in milliseconds."""

    requests: int
    failed: int
    p50: float
    p99: float
    worst: float


class _Run:
    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._pool = bodies.events()
        self._latencies: list[float] = []
        self._failed = 0
        self._running = True

    async def go(self) -> Paced:
        loop = asyncio.get_running_loop()
        began = time.perf_counter() + 0.1
        loop.add_reader(sys.stdin.fileno(), self._stop)
        await asyncio.gather(*(self._connection(number, began) for number in range(self._pace.connections)))
        ordered = sorted(self._latencies)
        return Paced(
            requests=len(ordered),
            failed=self._failed,
            p50=ordered[len(ordered) // 2] * 1000,
            p99=ordered[int(len(ordered) * 0.99)] * 1000,
            worst=ordered[-1] * 1000,
        )

    def _stop(self) -> None:
        self._running = False
        asyncio.get_running_loop().remove_reader(sys.stdin.fileno())

    async def _connection(self, number: int, began: float) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._pace.port)
        while self._running:
            # From when it was due, not from when it was sent: a slow answer must not hide the wait of those behind it.
            due = began + number / self._pace.rate
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            is_warm = due - began >= WARM_UP_SECONDS
            writer.write(self._request(number, due if is_warm and self._pace.stamped else None))
            head = await reader.readuntil(b"\r\n\r\n")
            at = head.index(b"content-length: ") + 16
            await reader.readexactly(int(head[at : head.index(b"\r\n", at)]))
            if head[9:12] != b"201":
                self._failed += 1
            if is_warm:
                self._latencies.append(time.perf_counter() - due)
            number += self._pace.connections
        writer.close()

    def _request(self, number: int, stamp: float | None) -> bytes:
        body = self._pool[number * 7 % len(self._pool)]
        if stamp is not None:
            body = body.replace(_PAYLOAD, b'%b"publishedAt":%.6f,' % (_PAYLOAD, stamp))
        head = (
            f"POST /v1/events HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {self._pace.key}\r\n"
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body


def main() -> None:
    """Run at the pace that the first argument describes."""
    pace = Pace(**json.loads(sys.argv[1]))
    if pace.core is not None and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {pace.core})
    print(json.dumps(asdict(uvloop.run(_Run(pace).go()))))


if __name__ == "__main__":
    main()
