"""Rows of the dialect's route table: what Seam offers by two methods is two rows."""

from __future__ import annotations

from heliograph.dialects.seam.parameters import Parameters
from heliograph.http.routes import Handler, Route

PREFIX = "/seam"


def reading(
    path: str, handler: Handler, permission: str, parameters: type[Parameters], summary: str
) -> tuple[Route, ...]:
    """Return the rows of a route that changes nothing: GET with a query, POST with JSON."""
    return writing("GET", path, handler, permission, parameters, summary)


def writing(
    method: str, path: str, handler: Handler, permission: str, parameters: type[Parameters], summary: str
) -> tuple[Route, ...]:
    """Return the rows of a route that changes something: by its own method, and by POST."""
    return tuple(
        Route(
            method=name,
            path=PREFIX + path,
            handler=handler,
            permission=permission,
            summary=summary,
            tag="seam",
            query=parameters,
            body=None if name == "GET" else parameters,
            body_required=False,
        )
        for name in dict.fromkeys((method, "POST"))
    )
