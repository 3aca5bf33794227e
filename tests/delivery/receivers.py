"""Receivers that behave as a test tells them to, each on a loopback address of its own and in threads of its own."""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl

PATIENCE = 10.0  # seconds after which a receiver gives up, so that no test hangs

NO_CONTENT = b"HTTP/1.1 204 No Content\r\n\r\n"


class Connection:
    """One connection that a receiver has accepted."""

    def __init__(self, plain: socket.socket, stopping: threading.Event) -> None:
        self.socket = plain
        self.stopping = stopping
        self._rest = b""

    def read_request(self) -> bytes:
        """Return the next request, header and body, or nothing when the sender has closed."""
        while b"\r\n\r\n" not in self._rest:
            if not self._read():
                return b""
        head, _, self._rest = self._rest.partition(b"\r\n\r\n")
        length = next((int(v) for n, v in header_lines(head) if n.lower() == "content-length"), 0)
        while len(self._rest) < length:
            if not self._read():
                return b""
        body, self._rest = self._rest[:length], self._rest[length:]
        return head + b"\r\n\r\n" + body

    def _read(self) -> bool:
        data = self.socket.recv(65536)
        self._rest += data
        return bool(data)

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def wait_until_closed(self, seconds: float = PATIENCE) -> bool:
        """Wait for the sender to go; tell whether it has."""
        self.socket.settimeout(seconds)
        try:
            return not self.socket.recv(1)
        except TimeoutError:
            return False

    def drip(self, data: bytes) -> None:
        """Send byte by byte, slowly, until the sender has gone."""
        for byte in data:
            self.send(bytes([byte]))
            if self.wait_until_closed(0.02):
                return

    def flood(self, data: bytes) -> None:
        """Send the same over and over until the sender has gone; bounded to 64 MiB, should it never go."""
        for _ in range(64 * 1024 * 1024 // len(data)):
            self.send(data)

    def join(self, onward: socket.socket) -> None:
        """Carry bytes both ways until one side closes."""
        onward.settimeout(PATIENCE)
        other = {self.socket: onward, onward: self.socket}
        while True:
            found = select.select(list(other), [], [], PATIENCE)[0]
            if not found:
                return
            for ready in found:
                data = ready.recv(65536)
                if not data:
                    return
                other[ready].sendall(data)

    def reset(self) -> None:
        """Close with RST instead of FIN."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


Script = Callable[[Connection], None]


def header_lines(head: bytes) -> list[tuple[str, str]]:
    lines = head.decode("latin-1").split("\r\n\r\n")[0].split("\r\n")[1:]
    return [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines)]


class Receiver:
    """Listens, and plays `script` on every connection. `requests` holds what `answering` has read."""

    def __init__(
        self,
        script: Script | None = None,
        tls: ssl.SSLContext | None = None,
        address: tuple[str, int] = ("127.0.0.1", 0),
    ) -> None:
        self.requests: list[bytes] = []
        self._came = threading.Condition()
        self.connections = 0
        self._script = script or self.answering(NO_CONTENT)
        self._tls = tls
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self._open: set[socket.socket] = set()
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self._listener = socket.create_server(address, family=family, backlog=256)
        self.port: int = self._listener.getsockname()[1]

    def answering(self, answer: bytes) -> Script:
        """Make a script that gives every request the same answer and keeps the connection."""

        def script(connection: Connection) -> None:
            while request := connection.read_request():
                self.take(request)
                connection.send(answer)

        return script

    def take(self, request: bytes) -> None:
        """Keep a request, and tell those who wait for it."""
        with self._came:
            self.requests.append(request)
            self._came.notify_all()

    def wait(self, done: Callable[[], bool], patience: float = PATIENCE) -> bool:
        """Wait until something is so, looking whenever a request comes; tell whether it came to be."""
        with self._came:
            return self._came.wait_for(done, patience)

    def reply(self, answer: bytes) -> None:
        """Give every request on connections from now on this answer."""
        self._script = self.answering(answer)

    def __enter__(self) -> Receiver:
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for plain in list(self._open):
            with contextlib.suppress(OSError):
                plain.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(PATIENCE)

    def _start(self, run: Callable[[], None]) -> None:
        thread = threading.Thread(target=run, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._stopping.is_set():
            try:
                plain, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._open.add(plain)
            self._start(lambda plain=plain: self._serve(plain))  # type: ignore[misc]  # mypy cannot infer its default

    def _serve(self, plain: socket.socket) -> None:
        plain.settimeout(PATIENCE)
        try:
            with contextlib.suppress(OSError):  # the sender has gone, or does not like the certificate
                if self._tls is None:
                    self._script(Connection(plain, self._stopping))
                else:
                    with self._tls.wrap_socket(plain, server_side=True) as wrapped:
                        self._open.add(wrapped)
                        self._script(Connection(wrapped, self._stopping))
                        self._open.discard(wrapped)
        finally:
            self._open.discard(plain)
            plain.close()


def answer(status: str, headers: str = "", body: bytes = b"") -> bytes:
    return f"HTTP/1.1 {status}\r\ncontent-length: {len(body)}\r\n{headers}\r\n".encode() + body


@contextlib.contextmanager
def unreachable() -> Iterator[int]:
    """Listen on a port whose queue is full: the system drops further connections silently."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener, contextlib.ExitStack() as stack:
        for _ in range(4):
            plain = stack.enter_context(socket.socket())
            plain.setblocking(False)
            plain.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


def unused_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as plain:
        plain.bind(("127.0.0.1", 0))
        port: int = plain.getsockname()[1]
        return port
