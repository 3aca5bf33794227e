"""`reference/seam.md`: which of Seam's routes are there, with which parameters, and which events."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from docs.generator import markdown
from heliograph.catalog.system import SYSTEM
from heliograph.dialects.seam.app import ROUTES
from heliograph.dialects.seam.events import FLAT_TYPES
from heliograph.dialects.seam.parameters import NOT_HERE, Parameters
from heliograph.dialects.seam.routes import PREFIX
from heliograph.http.routes import Route

_INTRODUCTION = f"""\
# Seam's routes

What answers as Seam does, below `{PREFIX}`. All else there is a 404 in Seam's shape. How to use it, and in what it
differs: [Use Seam's SDK](../how-to/use-seams-sdk.md). The native API has more: [HTTP API](api.md).

What a route reads comes in the query of `GET` and `DELETE`, in the JSON body of the others, or in both. A parameter is
required where a star stands. Names that Seam does not know are ignored, as Seam does."""

_REFUSED = """\
## Parameters that are refused

They ask for things that are not here. To ignore them would answer more than was asked for, so a value for one of them
is a 400 that names it. Empty ones are ignored. On every route:"""

_EVENTS = """\
## Events

Types that `/events/list` and `/events/get` know; asking for another finds nothing. What each says: [event
types](events.md)."""


def page() -> str:
    """Return the whole page."""
    routes: dict[str, list[Route]] = {}
    for route in ROUTES.all:
        routes.setdefault(route.path, []).append(route)
    more = [
        (markdown.code(path), markdown.codes(sorted(_model(found).unavailable - NOT_HERE)))
        for path, found in routes.items()
        if _model(found).unavailable - NOT_HERE
    ]
    described = {definition.type: definition.meaning for definition in SYSTEM}
    return markdown.document(
        "`heliograph/dialects/seam`",
        _INTRODUCTION,
        markdown.heading(2, "Routes"),
        markdown.table(
            ("Path", "Methods", "Parameters", "Permission"), [_row(path, found) for path, found in routes.items()]
        ),
        _REFUSED,
        markdown.codes(sorted(NOT_HERE)) + ".",
        "And on some:",
        markdown.table(("Path", "Parameters"), more),
        _EVENTS,
        markdown.table(("Type", "Meaning"), [(markdown.code(type), described[type]) for type in FLAT_TYPES]),
    )


def _model(routes: Iterable[Route]) -> type[Parameters]:
    model = next(iter(routes)).query
    assert model is not None
    assert issubclass(model, Parameters)
    return model


def _row(path: str, routes: list[Route]) -> tuple[str, ...]:
    fields = msgspec.structs.fields(_model(routes))
    parameters = ", ".join(f"{markdown.code(field.encode_name)}{'*' * field.required}" for field in fields)
    methods = ", ".join(route.method for route in routes)
    return (markdown.code(path), methods, parameters or markdown.NOTHING, markdown.code(str(routes[0].permission)))
