"""Where the SDKs find the dialect: below `/seam`, and at the root, for one of them drops the path of its endpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from heliograph.dialects.seam.app import SEAM
from heliograph.http.app import ROUTES
from tests.sdk.site import as_id

if TYPE_CHECKING:
    from tests.sdk.sdks import Sdk
    from tests.sdk.site import Site
    from tests.server import Server


@pytest.mark.parametrize("path", ["/seam", "/seam/", "", "/"])
def test_endpoint_may_have_the_path_and_a_slash_or_not(sdk: Sdk, site: Site, path: str) -> None:
    sdk.connect(site.server.url + path, site.key)
    assert [device["device_id"] for device in sdk.call("devices.list")] == [as_id(site.lock)]


def test_root_answers_as_the_dialect_where_that_has_routes_and_natively_elsewhere(server: Server) -> None:
    answer = server.request("GET", "/devices/list", key="")
    assert (answer.status, answer.json["error"]["type"]) == (401, "unauthorized")
    assert server.request("GET", "/devices/nothing").json["error"]["type"] == "route_not_found"
    assert server.request("GET", "/device").headers["content-type"] == "application/problem+json"


def test_no_native_route_is_hidden_behind_the_dialect() -> None:
    assert [route.path for route in ROUTES.all if SEAM.path_of(route.path) is not None] == []
