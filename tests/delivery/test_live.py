"""The whole way, over sockets: an event is published, the worker of `serve` delivers it, the receiver verifies it."""

from __future__ import annotations

import base64
import time
from typing import TYPE_CHECKING

import pytest

from heliograph.delivery.signing import signatures
from heliograph.endpoints.model import SigningKey
from tests.delivery.receivers import PATIENCE, Receiver, header_lines
from tests.server import Server

if TYPE_CHECKING:
    from tests.conftest import StoreUrl


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
def test_event_is_delivered_signed_and_on_record(store_url: StoreUrl, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HELIOGRAPH_DELIVERY_ALLOW_NETWORKS", "127.0.0.0/8")
    server = Server.start(store_url)
    try:
        with Receiver() as receiver, server.client() as client:
            url = f"http://127.0.0.1:{receiver.port}/hook"
            made = client.post("/v1/endpoints", {"url": url, "eventTypes": ["door.*"]})
            assert made.status == 201, made.body
            event = client.post("/v1/events", {"type": "door.opened", "eventCode": 10_001, "payload": {"by": "badge"}})
            deadline = time.monotonic() + PATIENCE
            while not receiver.requests:
                assert time.monotonic() < deadline
                time.sleep(0.005)
            deliveries = []
            while not deliveries or deliveries[0]["state"] != "delivered":
                assert time.monotonic() < deadline
                deliveries = client.get("/v1/deliveries", [("endpointUid", made.json["uid"])]).json["data"]
            metrics = client.get("/metrics").body.decode()
        head, _, body = receiver.requests[0].partition(b"\r\n\r\n")
        headers = dict(header_lines(head))
        assert headers["webhook-id"] == event.json["id"]
        secret = base64.b64decode(made.json["secret"].removeprefix("whsec_"))
        key = SigningKey(kind="hmac", secret=secret, created_at=0)
        expected = signatures([key], headers["webhook-id"], int(headers["webhook-timestamp"]), body)
        assert headers["webhook-signature"] == expected
        assert 'heliograph_delivery_attempts_total{outcome="delivered"} 1.0' in metrics
    finally:
        server.stop()
