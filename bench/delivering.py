"""Webhooks: how many are settled a second, how long they take, and what endpoints that misbehave do to the others."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from bench import bodies
from bench.receiver import BAD, Heard
from bench.servers import CLIENT_CORE, Server

ALLOW_LOOPBACK = {"HELIOGRAPH_DELIVERY_ALLOW_NETWORKS": "127.0.0.0/8"}
ONLY_STORE = {**ALLOW_LOOPBACK, "HELIOGRAPH_DELIVERY_WORKER": "off"}
CONCURRENCY = 100
TIMEOUT = 30
_POLL_SECONDS = 0.1
_START_SECONDS = 30.0
_LATEST_SECONDS = 60
_LEAST_SHARE = 0.95
"""How much of the backlog is measured: the very end is not as busy."""


class Receiver:
    """The process that receives; `heard` is there once it has ended."""

    port: int
    heard: Heard


@contextmanager
def receiving(core: int | None = CLIENT_CORE) -> Iterator[Receiver]:
    """Receive as long as the block takes."""
    command = [sys.executable, "-m", "bench.receiver", *([] if core is None else [str(core)])]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    receiver = Receiver()
    try:
        assert process.stdout is not None
        receiver.port = int(process.stdout.readline())
        yield receiver
        output, _ = process.communicate(timeout=60)
        receiver.heard = Heard(**json.loads(output))
    finally:
        process.kill()
        process.wait()


def add_endpoints(server: Server, receiver: Receiver, count: int) -> list[str]:
    """Add endpoints, and return their uids: a single one gets everything, each of several gets one event type."""
    uids = []
    for number in range(count):
        types = ["*"] if count == 1 else [bodies.TYPES[number % len(bodies.TYPES)]]
        concurrency = CONCURRENCY if count == 1 else 10
        url = f"http://127.0.0.1:{receiver.port}/good/{number}"
        made = server.post("/v1/endpoints", {"url": url, "eventTypes": types, "concurrency": concurrency})
        uids.append(made["uid"])
    return uids


def wait_until_delivered(server: Server, uids: list[str]) -> None:
    """Wait until nothing is left to be delivered to these endpoints, so that what came late counts, too."""
    limit = time.perf_counter() + _LATEST_SECONDS
    for uid in uids:
        while server.get(f"/v1/endpoints/{uid}/health")["backlog"]:
            if time.perf_counter() > limit:
                raise SystemExit(f"Not everything was delivered within {_LATEST_SECONDS} s.")
            time.sleep(_POLL_SECONDS)


def add_bad_endpoints(server: Server, receiver: Receiver) -> None:
    """Add one endpoint of each kind that misbehaves; each gets every event, many times what one of the others gets."""
    for how in BAD:
        url = f"http://127.0.0.1:{receiver.port}/{how}"
        server.post("/v1/endpoints", {"url": url, "eventTypes": ["*"], "timeout": TIMEOUT})


def settled(data: Path) -> int:
    """Return how many deliveries have succeeded and are durably settled."""
    # The count is written in the transaction that settles.
    return _count(data / "heliograph.db", "select sum(attempts) from delivery_count where error_class = 'delivered'")


def settled_by_peer(folder: Path) -> int:
    """Return how many deliveries of the peer have succeeded."""
    query = "select count(*) from django_domain_events_deliveryrecord where status = 'succeeded'"
    return _count(folder / "outbound.db", query)


def _count(database: Path, query: str) -> int:
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=10)) as connection:
        return int(connection.execute(query).fetchone()[0] or 0)


def settled_per_second(count: Callable[[], int], backlog: int, seconds: float) -> float:
    """Return how many are settled a second once the first is, for so long or until a backlog is almost worked off."""
    limit = time.perf_counter() + _START_SECONDS
    while not count() and time.perf_counter() < limit:
        time.sleep(_POLL_SECONDS)
    first, began = count(), time.perf_counter()
    last, now = first, began
    while now - began < seconds and last < _LEAST_SHARE * backlog:
        time.sleep(_POLL_SECONDS)
        last, now = count(), time.perf_counter()
    return (last - first) / (now - began)


@contextmanager
def peer_relay(folder: Path, receiver: Receiver, events: int) -> Iterator[None]:
    """Run the relay of django-outbound-webhooks, with so many events in its outbox."""
    module = [sys.executable, "-m", "bench.outbound", str(folder)]
    subprocess.run([*module, "publish", str(receiver.port), str(events)], check=True)
    relay = subprocess.Popen([*module, "relay"])
    try:
        yield
    finally:
        relay.kill()
        relay.wait()
