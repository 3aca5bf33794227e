"""The harness for a served store: what other tests rely on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.server import Server

if TYPE_CHECKING:
    from tests.conftest import StoreUrl

EVENT = {"eventCode": 10_001, "payload": {"by": "badge 4711"}}


def test_request_is_answered_on_either_database(either_server: Server) -> None:
    created = either_server.request("POST", "/v1/events", body=EVENT)
    assert created.status == 201, created.body
    listed = either_server.request("GET", "/v1/events", query={"from": created.json["recordedAt"], "eventCode": 10_001})
    assert [event["id"] for event in listed.json["data"]] == [created.json["id"]]
    assert listed.headers["content-type"] == "application/json"


def test_request_without_a_key_is_refused(server: Server) -> None:
    assert server.request("GET", "/v1/tenants", key="").status == 401


@pytest.mark.parametrize("end", [Server.kill, Server.stop])
def test_restart_serves_the_same_store_with_the_same_key(store_url: StoreUrl, end: object) -> None:
    server = Server.start(store_url)
    try:
        created = server.request("POST", "/v1/events", body=EVENT).json
        assert callable(end)
        end(server)
        with pytest.raises(OSError, match="refused"):
            server.request("GET", f"/v1/events/{created['id']}")
        server.restart()
        assert server.request("GET", f"/v1/events/{created['id']}").json["seq"] == created["seq"]
        assert len([line for line in server.output if line.startswith("key: ")]) == 1
    finally:
        server.stop()


def test_server_that_cannot_start_says_why(store_url: StoreUrl) -> None:
    with pytest.raises(AssertionError, match="readers"):
        Server.start(store_url, readers=0)
