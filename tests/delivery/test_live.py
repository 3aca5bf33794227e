"""The whole way, over sockets: an event is published, the worker of `serve` delivers it, the receiver verifies it."""

from __future__ import annotations

import base64
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from heliograph.delivery.signing import signatures
from heliograph.endpoints.model import SigningKey
from tests.conftest import StoreUrl
from tests.delivery.receivers import PATIENCE, Receiver, header_lines
from tests.server import COMMAND, MASTER_KEY, Server


def wait_for(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_event_is_delivered_signed_and_on_record(store_url: StoreUrl) -> None:
    server = Server.start(store_url, delivery_allow_networks="127.0.0.0/8")
    try:
        with Receiver() as receiver, server.client() as client:
            url = f"http://127.0.0.1:{receiver.port}/hook"
            made = client.request("POST", "/v1/endpoints", body={"url": url, "eventTypes": ["door.*"]})
            assert made.status == 201, made.body
            event = client.request(
                "POST", "/v1/events", body={"type": "door.opened", "eventCode": 10_001, "payload": {"by": "badge"}}
            )
            wanted = {"endpointUid": made.json["uid"], "state": "delivered"}
            wait_for(lambda: len(client.request("GET", "/v1/deliveries", query=wanted).json["data"]) == 1)
            metrics = client.request("GET", "/metrics").body.decode()
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


def test_worker_of_its_own_is_refused_on_sqlite(tmp_path: Path) -> None:
    environment = {**os.environ, "HELIOGRAPH_DATA": str(tmp_path)}
    ended = subprocess.run([COMMAND[0], "worker"], env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "needs PostgreSQL" in ended.stderr
    assert list(tmp_path.iterdir()) == []


def test_worker_on_a_host_of_its_own_delivers_what_others_publish(postgres_dsn: str, tmp_path: Path) -> None:
    server = Server.start(StoreUrl(postgres_dsn, tmp_path), delivery_worker="off")
    environment = {
        **os.environ, "HELIOGRAPH_DATABASE_URL": postgres_dsn, "HELIOGRAPH_MASTER_KEY": MASTER_KEY,
        "HELIOGRAPH_DATA": str(tmp_path), "HELIOGRAPH_DELIVERY_ALLOW_NETWORKS": "127.0.0.0/8",
    }  # fmt: skip
    worker = subprocess.Popen([COMMAND[0], "worker"], env=environment, stderr=subprocess.DEVNULL)
    try:
        with Receiver() as receiver, server.client() as client:
            url = f"http://127.0.0.1:{receiver.port}/hook"
            client.request("POST", "/v1/endpoints", body={"url": url, "eventTypes": ["*"]})
            client.request("POST", "/v1/events", body={"eventCode": 10_001})
            wait_for(lambda: len(receiver.requests) >= 1)
        worker.terminate()
        assert worker.wait(PATIENCE) == 0
    finally:
        worker.kill()
        worker.wait()
        server.stop()
