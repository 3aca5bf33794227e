"""The route table's row, and finding the row for a request."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

import msgspec
from starlette.routing import compile_path

from heliograph.http.messages import Request, Response
from heliograph.settings import Settings

Handler = Callable[[Request], Awaitable[Response]]
Refuse = Callable[[str], Response]
Size = Literal["request_bytes", "batch_bytes", "import_bytes", "report_bytes"]


@dataclass(frozen=True, slots=True)
class Example:
    """A documented request that a test sends: `body` as JSON, expected `status`; `parameters` fill the path."""

    body: Any = None
    query: str = ""
    status: int = 200
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One method on one path: what it needs, reads, answers and means.

    `permission` is what the caller needs ("" when any valid key will do, None when no key is needed). `body`,
    `query` and the values of `answers` are the types that requests are checked by and documentation is made from.
    Where no `body_required` is, an empty one stands for its defaults.
    The handler of a route that `streams` reads the body itself, by `Request.chunks`, and may answer before its end.
    """

    method: str
    path: str
    handler: Handler
    permission: str | None
    summary: str
    description: str = ""
    tag: str = "events"
    query: type[msgspec.Struct] | None = None
    body: Any = None
    body_required: bool = True
    content_types: tuple[str, ...] = ("application/json",)
    answers: dict[int, Any] = field(default_factory=dict)
    answer_types: tuple[str, ...] = ("application/json",)
    headers: tuple[str, ...] = ()
    idempotent_by_key: bool = False
    size: Size = "request_bytes"
    streams: bool = False
    example: Example | None = None

    def largest_body(self, settings: Settings) -> int:
        """Return how many bytes a body may have."""
        limit: int = getattr(settings, self.size)
        return limit


class Routes:
    """Finds routes: fixed paths by one look-up, the others by their pattern."""

    def __init__(
        self, routes: Sequence[Route], no_such_path: Refuse, wrong_method: Callable[[list[str], str], Response]
    ) -> None:
        self.all = tuple(routes)
        self._fixed = {(route.method, route.path): route for route in routes if "{" not in route.path}
        self._patterns = [(compile_path(route.path)[0], route) for route in routes if "{" in route.path]
        self._no_such_path = no_such_path
        self._wrong_method = wrong_method

    def find(self, method: str, path: str) -> tuple[Route | None, dict[str, str], Refuse | None]:
        """Return the route and its path parameters, or how to refuse the request. HEAD is answered like GET."""
        wanted = "GET" if method == "HEAD" else method
        fixed = self._fixed.get((wanted, path))
        if fixed is not None:
            return fixed, {}, None
        allowed = {known for known, known_path in self._fixed if known_path == path}
        # A fixed path is never read as another route's parameter.
        for pattern, route in () if allowed else self._patterns:
            match = pattern.match(path)
            if match is None:
                continue
            if route.method == wanted:
                return route, match.groupdict(), None
            allowed.add(route.method)
        if not allowed:
            return None, {}, self._no_such_path
        if "GET" in allowed:
            allowed.add("HEAD")
        return None, {}, partial(self._wrong_method, sorted(allowed))
