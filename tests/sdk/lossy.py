"""A way to a server on which answers get lost."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType

    from tests.server import Server

_POLL_SECONDS = 0.05
_KEPT = ("authorization", "content-type")


class LossyWay:
    """Passes requests on to a server; the first answer does not arrive."""

    def __init__(self, server: Server) -> None:
        self.passed: list[str] = []
        """The requests that the server was sent, in order."""
        way = self

        class Handler(BaseHTTPRequestHandler):
            def _pass(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                sent = {name: self.headers[name] for name in _KEPT if name in self.headers}
                with server.client(key="") as client:
                    answer = client.request(self.command, self.path, body=body or None, headers=sent)
                way.passed.append(f"{self.command} {self.path}")
                if len(way.passed) == 1:
                    return
                self.send_response(answer.status)
                for name in ("content-type", "seam-request-id"):
                    self.send_header(name, answer.headers[name])
                self.send_header("content-length", str(len(answer.body)))
                self.end_headers()
                self.wfile.write(answer.body)

            do_GET = do_POST = do_PATCH = do_DELETE = _pass

            def log_message(self, format: str, *values: object) -> None:
                """Say nothing."""

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._http.serve_forever, args=(_POLL_SECONDS,))

    @property
    def url(self) -> str:
        """Its own address."""
        return f"http://127.0.0.1:{self._http.server_port}"

    def __enter__(self) -> LossyWay:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()
