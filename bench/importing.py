"""A large file of recipes, imported while single events come in at a fixed rate."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from bench.paced import WARM_UP_SECONDS, Pace, Paced
from bench.servers import CLIENT_CORE, Server

EVENTS_PER_SECOND = 200
CONNECTIONS = 32
LONGEST_SECONDS = 600
_POLL_SECONDS = 0.25


@dataclass(frozen=True)
class Imported:
    """How an import went."""

    job: dict[str, Any]

    seconds: float
    """From the first byte of the file until the job had succeeded."""


class Pacer:
    """The process that sends events; `result` is there once it has ended."""

    result: Paced


@contextmanager
def events_meanwhile(server: Server, rate: float = EVENTS_PER_SECOND, *, stamped: bool = False) -> Iterator[Pacer]:
    """Send single events at the fixed rate as long as the block takes."""
    pace = Pace(server.port, server.key, rate, CONNECTIONS, CLIENT_CORE, stamped)
    command = [sys.executable, "-m", "bench.paced", json.dumps(asdict(pace))]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    pacer = Pacer()
    try:
        time.sleep(2 * WARM_UP_SECONDS)
        yield pacer
        output, _ = process.communicate(timeout=60)
        pacer.result = Paced(**json.loads(output))
    finally:
        process.kill()
        process.wait()
    if pacer.result.failed:
        raise SystemExit(f"{pacer.result.failed} events were refused.")


def fleet(rows: int) -> bytes:
    """Write a file of so many devices, each with serial number, MAC address, model, name and two columns of its own."""
    lines = ["Brand,Model,Serial Number,MAC Address,Device Name,customMetadata.floor,customMetadata.contract"]
    lines += [
        f"Samsung,QM55C,SN-{n:08d},02:00:{n >> 24 & 255:02X}:{n >> 16 & 255:02X}:{n >> 8 & 255:02X}:{n & 255:02X},"
        f'"Lobby {n}, left",{n % 40},C-{n % 977:04d}'
        for n in range(rows)
    ]
    return "\r\n".join(lines).encode()


def import_file(server: Server, content: bytes) -> Imported:
    """Send a file and wait until its job is over."""
    headers = {"authorization": f"Bearer {server.key}", "content-type": "text/csv"}
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    began = time.perf_counter()
    connection.request("POST", "/v1/provisioning-recipes/import", content, headers)
    job = json.loads(connection.getresponse().read())
    connection.close()
    return Imported(wait_for_job(server, job), time.perf_counter() - began)


def wait_for_job(server: Server, job: dict[str, Any]) -> dict[str, Any]:
    """Return a job when it has succeeded."""
    began = time.perf_counter()
    while job["state"] in ("queued", "running") and time.perf_counter() - began < LONGEST_SECONDS:
        time.sleep(_POLL_SECONDS)
        job = server.get(f"/v1/jobs/{job['uid']}")
    if job["state"] != "succeeded":
        raise SystemExit(f"The job has not succeeded: {job}")
    return job
