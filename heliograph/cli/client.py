"""One way to ask the platform for something, whether it answers over HTTP or inside this process."""

from __future__ import annotations

import asyncio
import http.client
import io
import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote, unquote, urlencode, urlsplit

import msgspec

from heliograph import __version__
from heliograph.cli.output import Failed
from heliograph.ids import new_uid

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, MutableMapping
    from typing import BinaryIO

    from heliograph.app import Platform
    from heliograph.ids import Secret

TIMEOUT_SECONDS = 60.0
PART_BYTES = 256 * 1024
"""How much of a body is handed on at once within this process."""

JSON = "application/json"

_NEXT_PAGE = re.compile(r'<[^<>?]*\?([^<>]*)>; *rel="?next\b')

Query = dict[str, Any]
"""Parameters by name; None is left out, and a list or tuple repeats its name."""


class NoAnswer(Failed):
    """The server cannot be reached, or what answered is not the platform."""


@dataclass(frozen=True)
class Answer:
    """What came back for one request."""

    status: int
    body: bytes
    retry_after: int = 0
    """Seconds after which to ask again, when the platform named them."""
    next_page: str | None = None
    """The query of the next page, where a header leads to it (RFC 8288)."""

    @cached_property
    def document(self) -> Any:
        """The body as JSON; None when it is empty.

        Raises:
            NoAnswer: when the body is something else.
        """
        try:
            return msgspec.json.decode(self.body) if self.body else None
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise NoAnswer(f"What answered (HTTP status {self.status}) is not a heliograph server.") from None


class Refused(Failed):
    """The platform said no; the message is its problem document in plain words."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(describe(answer.document))
        self.answer = answer


def describe(problem: Any) -> str:
    """Say in plain words what a problem document says: each place, the rule it breaks, and what helps."""
    if not isinstance(problem, dict) or "detail" not in problem:
        return "The server answered with an error that is no problem document."
    errors = problem.get("errors", [])
    faults = [describe_fault(**fault) for fault in errors]
    if len(faults) == 1 and errors[0]["message"] == problem["detail"]:
        return faults[0]
    request = f" (request {problem['requestId']})" if problem.get("status", 0) >= 500 else ""
    return "\n  ".join([problem["detail"] + request, *faults])


def describe_fault(pointer: str, rule: str, message: str) -> str:
    """Say where one rule is broken; an empty pointer means the whole."""
    return f"{pointer}: {message} [{rule}]" if pointer else f"{message} [{rule}]"


@dataclass(frozen=True)
class Call:
    """One request; `path` is percent-encoded, and a body that is a file is sent as it is read."""

    method: str
    path: str
    query: str = ""
    body: bytes | BinaryIO | None = None
    content_type: str = JSON
    headers: tuple[tuple[str, str], ...] = ()
    repeatable: bool = False
    """Whether it may be sent again when no answer came: sending it twice must do no more than once."""


class Transport(Protocol):
    """Carries calls to a platform, one after the other."""

    def send(self, call: Call) -> Answer:
        """Return the platform's answer, whatever it is.

        Raises:
            NoAnswer: when there is none.
        """

    def close(self) -> None:
        """Release what the transport holds."""


class Client:
    """Asks for resources of the API by their paths."""

    def __init__(self, transport: Transport) -> None:
        self.transport = transport

    def request(
        self,
        method: str,
        path: str,
        query: Query | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send one request, with `body` as JSON, and return an answer that says yes.

        Raises:
            Refused: when the platform says no.
            NoAnswer: when it does not answer.
        """
        sent = None if body is None else msgspec.json.encode(body)
        call = Call(method, path, encode_query(query), sent, JSON, tuple((headers or {}).items()), method == "GET")
        answer = self.transport.send(call)
        if answer.status >= 400:
            raise Refused(answer)
        return answer

    def pages(self, path: str, query: Query) -> Iterator[list[Any]]:
        """Return each page of a list, to its end."""
        cursor = None
        while True:
            page = self.request("GET", path, {**query, "cursor": cursor}).document
            yield page["data"]
            cursor = page["nextCursor"]
            if cursor is None:
                return


def path_of(*parts: str) -> str:
    """Write a path below `/v1`, each part encoded."""
    return "/v1/" + "/".join(quote(part, safe="") for part in parts)


def encode_query(query: Query | None) -> str:
    """Write a query string."""
    given = {name: _text(value) for name, value in (query or {}).items() if value is not None}
    return urlencode(given, doseq=True)


def _next_page(link: str) -> str | None:
    found = _NEXT_PAGE.search(link)
    return found[1] if found else None


def _text(value: Any) -> Any:
    return str(value).lower() if isinstance(value, bool) else value


class HttpTransport:
    """A platform at an address, over one connection that is kept open."""

    def __init__(self, url: str, key: Secret) -> None:
        """Prepare for the server at `url`, which may have a path that all others stand below.

        Raises:
            ValueError: when `url` is not an http or https address.
        """
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{url} is not an http:// or https:// address.")
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._connection = kind(parts.hostname, parts.port, timeout=TIMEOUT_SECONDS)
        self._prefix = parts.path.rstrip("/")
        self._url = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
        self._key = key

    @property
    def url(self) -> str:
        """Where the server answers, without what may be secret in the address."""
        return self._url

    def send(self, call: Call) -> Answer:
        """Send the call, once more when a connection that was kept open has gone meanwhile."""
        kept = self._connection.sock is not None
        try:
            try:
                return self._exchange(call)
            except (ConnectionError, http.client.BadStatusLine):
                if not (kept and call.repeatable):
                    raise
                return self._exchange(call)
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise NoAnswer(f"{self._url} does not answer: {reason}.") from error

    def _exchange(self, call: Call) -> Answer:
        headers = {
            "accept": JSON,
            "authorization": f"Bearer {self._key.reveal()}",
            "user-agent": f"heliograph/{__version__}",
            **dict(call.headers),
        }
        if call.body is not None:
            headers["content-type"] = call.content_type
        target = self._prefix + call.path + (f"?{call.query}" if call.query else "")
        try:
            try:
                self._connection.request(call.method, target, call.body, headers)
            except ConnectionError:
                # A server that refuses a file need not read it to its end; its answer says why.
                if call.body is None or isinstance(call.body, bytes) or self._connection.sock is None:
                    raise
            response = self._connection.getresponse()
            retry_after = response.getheader("retry-after") or ""
            seconds = int(retry_after) if retry_after.isdigit() else 0
            return Answer(response.status, response.read(), seconds, _next_page(response.getheader("link") or ""))
        except BaseException:
            # An answer that is still on its way must not be taken for the next call's.
            self._connection.close()
            raise

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


class LocalTransport:
    """The platform opened by this process; no server needs to run.

    Without a key the caller is whoever may open the database: the local operator.
    """

    def __init__(self, platform: Platform, key: Secret | None) -> None:
        """Take over an open platform, which `close` closes.

        Raises:
            NotFound: when no account is left for the local operator to act as.
        """
        from heliograph.tenancy.first_start import local_operator

        self._platform = platform
        self._key = key
        self._runner = asyncio.Runner()
        try:
            self._caller = None if key else platform.store.read(local_operator)
            self._edge = platform.edge()
            self._runner.run(self._start())
        except BaseException:
            self.close()
            raise

    async def _start(self) -> None:
        self._edge.start()

    def send(self, call: Call) -> Answer:
        """Let the edge answer the call, as it would a server's."""
        return self._runner.run(self._handle(call))

    async def _handle(self, call: Call) -> Answer:
        headers = [(name.lower(), value) for name, value in call.headers]
        if call.body is not None:
            headers.append(("content-type", call.content_type))
        if self._key is not None:
            headers.append(("authorization", f"Bearer {self._key.reveal()}"))
        scope = {
            "type": "http",
            "method": call.method,
            "path": unquote(call.path),
            "query_string": call.query.encode(),
            "headers": [(name.encode(), value.encode("latin-1", "replace")) for name, value in headers],
            "client": None,
        }

        body = io.BytesIO(call.body or b"") if call.body is None or isinstance(call.body, bytes) else call.body

        async def receive() -> MutableMapping[str, Any]:
            part = body.read(PART_BYTES)
            return {"type": "http.request", "body": part, "more_body": bool(part)}

        response = await self._edge.handle(scope, receive, new_uid().hex(), self._caller)
        sent = dict(response.headers)
        link = sent.get(b"link", b"").decode("latin-1")
        return Answer(response.status, response.body, int(sent.get(b"retry-after", b"0")), _next_page(link))

    def close(self) -> None:
        """Close the platform, and the event loop after it."""
        self._platform.close()
        self._runner.close()
