"""A real `heliograph serve` in a process of its own, and a client for it: to be killed, restarted and loaded."""

from __future__ import annotations

import http.client
import json
import os
import random
import select
import signal
import socket
import subprocess
import sysconfig
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlencode

if TYPE_CHECKING:
    from tests.conftest import StoreUrl

SAFETY_SECONDS = 30.0
"""A server that takes this long to start, answer or stop has failed the test."""

MASTER_KEY = "5e" * 32
ROOT = Path(__file__).parents[1]
COMMAND = (str(Path(sysconfig.get_path("scripts")) / "heliograph"), "serve")

# Below the ports that systems give to outgoing connections: such a connection could otherwise hold the port
# while the server is down, or even be connected to itself.
_PORTS = range(20_000, 30_000)
_PACE_SECONDS = 0.01

Query = Mapping[str, Any] | Iterable[tuple[str, Any]]


class Response(NamedTuple):
    """One answer; header names are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The document in the body."""
        return json.loads(self.body)


class Client:
    """One keep-alive connection to a server; for one thread, and closed by leaving its `with` block."""

    def __init__(self, server: Server, key: str | None = None) -> None:
        self._server = server
        self._key = key
        self._connection: http.client.HTTPConnection | None = None

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def request(
        self,
        method: str,
        path: str,
        *,
        key: str | None = None,
        query: Query | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        """Send a request and wait for its answer; `body` is bytes as they are, or a document to send as JSON.

        Without `key` the client's is sent, else the server's first one; an empty `key` sends none.

        Raises:
            OSError, http.client.HTTPException: when no whole answer came.
        """
        key = self._key if key is None else key
        sent = {"authorization": f"Bearer {self._server.key if key is None else key}"} if key != "" else {}
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            sent["content-type"] = "application/json"
        sent.update(headers or {})
        target = f"{path}?{urlencode(_pairs(query), doseq=True)}" if query else path
        if self._connection is None:
            self._connection = http.client.HTTPConnection("127.0.0.1", self._server.port, timeout=SAFETY_SECONDS)
        try:
            self._connection.request(method, target, body, sent)
            answer = self._connection.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders()}
            return Response(answer.status, found, answer.read())
        except BaseException:
            # What was begun on it may still be answered, and the next request must not get that answer.
            self.close()
            raise


class Server:
    """One `heliograph serve`: start it with `Server.start`, end it with `stop` or `kill`.

    Its own `request` is for one thread; others work with a `client` each.
    """

    def __init__(self, store: StoreUrl, settings: Mapping[str, object]) -> None:
        self.store = store
        self.settings = settings
        self.command: Sequence[str] = COMMAND
        """What begins with the next start; tests of failures run another program around the same one."""
        self.port = free_port()
        self.output: list[str] = []
        """The lines that it has printed on standard output, as far as they were read."""
        self._client = Client(self)
        self._process: subprocess.Popen[bytes]
        self._pipe: IO[bytes] | None = None
        self._unread = b""
        self.request = self._client.request

    def client(self, key: str | None = None) -> Client:
        """Return a client with a connection of its own."""
        return Client(self, key)

    @classmethod
    def start(cls, store: StoreUrl, **settings: object) -> Server:
        """Serve that store, with settings by their names in the settings table, and wait until it answers."""
        server = cls(store, settings)
        server.begin()
        try:
            server.wait_until_ready()
        except BaseException:
            server.kill()
            raise
        return server

    @property
    def url(self) -> str:
        """The address of its API."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """The process that serves, or served."""
        return self._process.pid

    @property
    def log(self) -> str:
        """What all its processes wrote to standard error."""
        return self._log.read_text(errors="replace")

    @property
    def key(self) -> str:
        """The key that the first start printed, which later starts keep."""
        deadline = time.monotonic() + SAFETY_SECONDS
        while True:
            keys = [line.removeprefix("key: ") for line in self.output if line.startswith("key: hg_")]
            if keys:
                return keys[0]
            if time.monotonic() > deadline or not self._read_output(_PACE_SECONDS):
                raise AssertionError(f"The server printed no key.\n{self.output}\n{self.log}")

    def begin(self) -> None:
        """Start the process without waiting for it."""
        options = {"data": self.store.data, "host": "127.0.0.1", "port": self.port, **self.settings}
        if self.store.database_url is not None:
            options = {"database_url": self.store.database_url, "master_key": MASTER_KEY, **options}
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("HELIOGRAPH_")}
        self.store.data.mkdir(parents=True, exist_ok=True)
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command,
                cwd=ROOT,
                env=inherited | {f"HELIOGRAPH_{name.upper()}": str(value) for name, value in options.items()},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
            )
        self._pipe = self._process.stdout

    def wait_until_ready(self) -> None:
        """Wait until the server answers; fail when its process ends, saying what it wrote."""
        deadline = time.monotonic() + SAFETY_SECONDS
        while not self._answers():
            alive = self._read_output(_PACE_SECONDS)
            if not alive or time.monotonic() > deadline:
                raise AssertionError(f"The server does not answer.\n{self.output}\n{self.log}")

    def wait_for_end(self) -> int:
        """Wait until the process ends by itself; return its exit status, negative when a signal ended it."""
        try:
            return self._process.wait(SAFETY_SECONDS)
        finally:
            self.kill()

    def kill(self) -> None:
        """End the process as `kill -9` does; a second call does nothing."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End the process in order; a second call does nothing."""
        self._end(signal.SIGTERM)

    def restart(self) -> None:
        """Start again what was killed or stopped, on the same store and port."""
        self.stop()
        self.begin()
        self.wait_until_ready()

    @property
    def _log(self) -> Path:
        return self.store.data / f"serve-{self.port}.log"

    def _answers(self) -> bool:
        try:
            return self.request("GET", "/healthz", key="").status == 200
        except (OSError, http.client.HTTPException):
            return False

    def _read_output(self, seconds: float) -> bool:
        """Take what is printed within that time; tell whether there may be more."""
        if self._pipe is None:
            return False
        ready, _, _ = select.select([self._pipe], [], [], seconds)
        if not ready:
            return True
        data = os.read(self._pipe.fileno(), 65536)
        *lines, self._unread = (self._unread + data).split(b"\n")
        self.output += [line.decode() for line in lines]
        return bool(data)

    def _end(self, how: signal.Signals) -> None:
        if self._pipe is None:
            return
        self._client.close()
        self._process.send_signal(how)
        try:
            self._process.wait(SAFETY_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise AssertionError(f"The server did not end in time.\n{self.log}") from None
        finally:
            while self._read_output(SAFETY_SECONDS):
                pass
            self._pipe.close()
            self._pipe = None


def _pairs(query: Query) -> list[tuple[str, Any]]:
    return list(query.items() if isinstance(query, Mapping) else query)


def free_port() -> int:
    """Return a port that nobody listens on."""
    for port in random.sample(_PORTS, 100):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("No free port was found.")
