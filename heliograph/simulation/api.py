"""The server as a simulated fleet sees it: its public API."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol


class Reply(NamedTuple):
    """What was answered; `document` is the body as JSON, None when it is empty."""

    status: int
    document: Any


class Unexpected(Exception):
    """The server refused something without which there can be no play; the message says what."""


class Stopped(Exception):
    """There is no time to wait for the server any longer, for the play is to end."""


class Api(Protocol):
    """Sends requests, one after the other, with the key of whoever plays."""

    def send(
        self, method: str, path: str, query: dict[str, Any] | None = None, body: Any = None,
        content_type: str = "application/json",
    ) -> Reply:  # fmt: skip
        """Return the answer, whatever it is, but for those that ask to try again later: then that is done.

        A `body` that is a text is sent as it is, any other as JSON.

        Raises:
            Stopped: when it should be tried again, and the play is to end.
        """


def ask(api: Api, method: str, path: str, query: dict[str, Any] | None = None, body: Any = None) -> Any:
    """Return the document of an answer that says yes.

    Raises:
        Unexpected: when it says no.
    """
    reply = api.send(method, path, query, body)
    if reply.status >= 400:
        raise Unexpected(f"{method} {path} was refused ({reply.status}): {reason(reply)}")
    return reply.document


def items(api: Api, path: str, query: dict[str, Any]) -> Iterator[Any]:
    """Yield the items of all pages of a list.

    Raises:
        Unexpected: as `ask` does.
    """
    cursor = None
    while True:
        page = ask(api, "GET", path, {**query, "limit": 1000, "cursor": cursor})
        yield from page["data"]
        cursor = page["nextCursor"]
        if cursor is None:
            return


def reason(reply: Reply) -> str:
    """Return what an answer that says no gives as its reason."""
    if not isinstance(reply.document, dict):
        return ""
    faults = [f"{fault['pointer']} [{fault['rule']}]" for fault in reply.document.get("errors", ())]
    return " ".join([str(reply.document.get("detail", "")), *faults])
