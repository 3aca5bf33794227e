"""The routes of tags, locations and policies."""

from __future__ import annotations

from typing import Any

from heliograph.http import references
from heliograph.http.lists import TenantQuery
from heliograph.http.references import LOCATIONS, POLICIES, TAGS, Resource
from heliograph.http.routes import Example, Route


def _routes(
    resource: Resource, path: str, body: type, list_body: type, example: Any, patch_example: Any
) -> tuple[Route, ...]:  # fmt: skip
    """Return the rows of one kind; `path` is also the tag under which they are documented."""
    plural = path.rpartition("/")[2]
    one = resource.kind
    item = path + "/{uid}"
    return (
        Route(
            method="GET", path=path, handler=resource.list, permission=resource.permission("read"), tag=plural,
            summary=f"List {plural}", query=resource.query, answers={200: list_body},
            example=Example(query="namePrefix=lob"),
        ),
        Route(
            method="POST", path=path, handler=resource.create, permission=resource.permission("create"), tag=plural,
            summary=f"Add a {one}", query=TenantQuery, body=resource.new, answers={201: body},
            idempotent_by_key=True, example=Example(body=example, status=201),
        ),
        Route(
            method="GET", path=item, handler=resource.show, permission=resource.permission("read"), tag=plural,
            summary=f"Get a {one}", query=TenantQuery, answers={200: body},
        ),
        Route(
            method="PATCH", path=item, handler=resource.update, permission=resource.permission("update"), tag=plural,
            summary=f"Change a {one}", query=TenantQuery, body=resource.patch, answers={200: body},
            headers=("If-Match",), example=Example(body=patch_example),
        ),
        Route(
            method="DELETE", path=item, handler=resource.delete, permission=resource.permission("delete"), tag=plural,
            summary=f"Delete a {one}",
            description=f"Devices that have the {one} lose it; recipes that wait and name it become Invalid.",
            query=TenantQuery, answers={204: None}, headers=("If-Match",),
        ),
    )  # fmt: skip


REFERENCES: tuple[Route, ...] = (
    *_routes(
        TAGS, "/v1/tags", references.TagBody, references.TagList, {"name": "Lobby"}, {"name": "Reception"}
    ),
    *_routes(
        LOCATIONS, "/v1/locations", references.LocationBody, references.LocationList,
        {"name": "Harbour Hotel", "address": "Quay 4\n20457 Hamburg", "metadata": {"floors": 6}},
        {"metadata": {"floors": 7}},
    ),
    *_routes(
        POLICIES, "/v1/policies", references.PolicyBody, references.PolicyList,
        {"name": "Indoor screens", "items": [{"type": "brightness", "value": 70}]},
        {"items": [{"type": "brightness", "value": 60}]},
    ),
)  # fmt: skip
