"""The servers under test, each a process of its own on the first core, with its CPU time at hand."""

from __future__ import annotations

import http.client
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

SERVER_CORE = 0
CLIENT_CORE = 1
START_SECONDS = 60
FAKE = Path(__file__).parent / "fake"
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Server:
    """A running server."""

    process: subprocess.Popen[str]
    port: int
    key: str
    started_in: float
    """Seconds from the start of the process to its first answer."""

    def get(self, path: str) -> Any:
        """Send one GET with the key and return the decoded JSON."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request("GET", path, headers={"authorization": f"Bearer {self.key}"})
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()

    def post(self, path: str, body: Any) -> Any:
        """Send one POST with the key and return the decoded JSON."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            headers = {"authorization": f"Bearer {self.key}", "content-type": "application/json"}
            connection.request("POST", path, json.dumps(body), headers)
            answer = connection.getresponse()
            document = json.loads(answer.read())
        finally:
            connection.close()
        if answer.status >= 400:
            raise SystemExit(f"POST {path}: {document}")
        return document

    def cpu_seconds(self) -> float:
        """Return the user and system time that the process has used."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def memory(self) -> int:
        """Return the resident memory in bytes."""
        return self._memory("VmRSS")

    def most_memory(self) -> int:
        """Return the most bytes that have been resident so far."""
        return self._memory("VmHWM")

    def _memory(self, name: str) -> int:
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))


def free_port() -> int:
    """Return a port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def heliograph(
    data: Path,
    *,
    storing: bool = True,
    database_url: str | None = None,
    settings: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[Server]:
    """Serve Heliograph; without `storing` it does all but the storing, and answers made-up receipts.

    `settings` are variables of the environment.
    """
    module = "heliograph.cli.main" if storing else "bench.nostore"
    command = [sys.executable, "-c", f"from {module} import main; main()", "serve", "--data", str(data)]
    environment = {**os.environ, **settings}
    if database_url is not None:
        command += ["--database-url", database_url]
        environment["HELIOGRAPH_MASTER_KEY"] = _master_key(data)
    with _running(command, "/healthz", environment, data / "key.txt") as server:
        yield server


@contextmanager
def peer(data: Path) -> Iterator[Server]:
    """Serve the usual design: FastAPI with pydantic over aiosqlite, one commit a request."""
    command = [sys.executable, "-m", "bench.peer", str(data / "peer.db")]
    with _running(command, "/healthz", dict(os.environ), None) as server:
        yield server


@contextmanager
def fake_seam(events: int) -> Iterator[Server]:
    """Serve fake-seam-connect, Seam's stand-in for its own API, which keeps so many events in memory."""
    command = ["node", str(FAKE / "fake.js"), str(events)]
    with _running(command, "/health", dict(os.environ), None) as server:
        server.key = "seam_apikey1_token"
        yield server


def _master_key(data: Path) -> str:
    path = data / "bench.key"
    if not path.exists():
        path.write_text(secrets.token_hex(32))
    return path.read_text()


@contextmanager
def _running(command: list[str], probe: str, environment: dict[str, str], key_file: Path | None) -> Iterator[Server]:
    port = free_port()
    began = time.perf_counter()
    process = subprocess.Popen(
        [*command, "--port", str(port)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment,
        preexec_fn=_pin,
    )
    try:
        started_in = _wait_for_answer(process, port, probe, began)
        yield Server(process, port, _key(process, key_file), started_in)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def _pin() -> None:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {SERVER_CORE})


def _wait_for_answer(process: subprocess.Popen[str], port: int, probe: str, began: float) -> float:
    while time.perf_counter() - began < START_SECONDS:
        if process.poll() is not None:
            raise SystemExit(f"The server ended with {process.returncode} before it answered.")
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", probe)
            connection.getresponse().read()
            return time.perf_counter() - began
        except ConnectionError:
            time.sleep(0.005)
    raise SystemExit("The server did not answer in time.")


def _key(process: subprocess.Popen[str], key_file: Path | None) -> str:
    """Return the key that the first start printed, or the one kept from it."""
    if key_file is None:
        return "none"
    if not key_file.exists():
        assert process.stdout is not None
        line = next(line for line in process.stdout if line.startswith("key: "))
        key_file.write_text(line.removeprefix("key: ").strip())
    return key_file.read_text()
