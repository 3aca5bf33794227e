"""The connector of the documentation carries out what is asked for, whatever happens on the way, and fits on a page."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.conftest import StoreUrl
from tests.docs.pages import ROOT, blocks
from tests.server import SAFETY_SECONDS, Server

EXAMPLE = ROOT / "docs" / "examples" / "connector.py"
PAGE = ROOT / "docs" / "how-to" / "write-a-connector.md"
CLEANING = {"code": "4711", "name": "Cleaning", "type": "ongoing", "startsAt": None, "endsAt": None}


class Site(NamedTuple):
    """A server with a lock that is enrolled there, and a key for its connector."""

    server: Server
    lock: str
    key: str
    folder: Path

    def holds(self, codes: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return what the lock holds, after it was given other codes if there are any."""
        file = self.folder / "lock.json"
        if codes is not None:
            file.write_text(json.dumps(codes))
        found: dict[str, Any] = json.loads(file.read_text())
        return found

    def codes(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.server.request("GET", "/v1/access-codes").json["data"]
        return found

    def ask(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        """Ask for a change; return the operation."""
        answer = self.server.request(method, f"/v1/access-codes{path}", body=body)
        assert answer.status == 202, answer.body
        asked: dict[str, Any] = answer.json.get("operation", answer.json)
        return asked

    def ended(self, operation: dict[str, Any]) -> dict[str, Any]:
        """Wait until an operation has ended."""
        path = f"/v1/device-operations/{operation['uid']}"
        eventually(lambda: self.server.request("GET", path).json["state"] != "pending")
        found: dict[str, Any] = self.server.request("GET", path).json
        return found

    def log(self) -> Counter[str]:
        """Count the events about access codes by type."""
        query = {"from": "2026-01-01T00:00:00Z", "relatedEntityId": self.lock, "limit": 200}
        events = self.server.request("GET", "/v1/events", query=query).json["data"]
        return Counter(event["type"] for event in events if event["type"].startswith("access_code."))


def eventually(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SAFETY_SECONDS
    while not is_so():
        assert time.monotonic() < deadline, "It has not happened in time."
        threading.Event().wait(0.02)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    server = Server.start(StoreUrl(None, tmp_path / "data"))
    try:
        account = server.request("POST", "/v1/connected-accounts", body={"name": "Hotel", "provider": "august"}).json
        lock = {"brand": "Yale", "serialNumber": "SN-12", "connectedAccountUid": account["uid"]}
        device = server.request("POST", "/v1/devices", body=lock).json
        grants = [{"grant": "report access_code.tenant"}]
        key = server.request("POST", "/v1/keys", body={"name": "connector", "grants": grants}).json
        yield Site(server, device["uid"], key["token"], tmp_path)
    finally:
        server.stop()


@contextmanager
def connector(site: Site, url: str | None = None) -> Iterator[None]:
    """Run the connector of the documentation as long as the block takes."""
    settings = {
        "HELIOGRAPH_URL": url or site.server.url, "HELIOGRAPH_KEY": site.key, "LOCK_UID": site.lock,
        "REPORT_EVERY": "1",
    }  # fmt: skip
    with (site.folder / "connector.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, str(EXAMPLE)], cwd=site.folder, env=dict(os.environ) | settings, stdout=log, stderr=log
        )
    try:
        yield
        assert process.poll() is None, (site.folder / "connector.log").read_text()
    finally:
        process.kill()
        process.wait()


def test_connector_fits_on_a_page_and_is_what_the_page_shows() -> None:
    source = EXAMPLE.read_text()
    assert len(source.splitlines()) <= 60
    assert source in [block.text for block in blocks(PAGE.read_text()) if block.language == "py"]


def test_code_is_taken_over_changed_and_removed_and_others_are_set_by_the_connector(site: Site) -> None:
    site.holds({"1": CLEANING})
    with connector(site):
        eventually(lambda: len(site.codes()) == 1)
        (found,) = site.codes()
        assert site.ended(site.ask("POST", f"/{found['uid']}/convert", {}))["state"] == "succeeded"
        assert site.ended(site.ask("PATCH", f"/{found['uid']}", {"code": "4712"}))["state"] == "succeeded"
        assert site.holds()["1"]["code"] == "4712"
        guest = {"deviceUid": site.lock, "name": "Guest", "code": "2580"}
        assert site.ended(site.ask("POST", "", guest))["state"] == "succeeded"
        assert site.ended(site.ask("DELETE", f"/{found['uid']}"))["state"] == "succeeded"
        assert site.holds() == {"2": {**CLEANING, "name": "Guest", "code": "2580"}}
    assert site.log() == {
        "access_code.unmanaged.created": 1, "access_code.unmanaged.converted_to_managed": 1, "access_code.changed": 1,
        "access_code.code_changed": 1, "access_code.created": 1, "access_code.set_on_device": 2,
        "access_code.removed_from_device": 1, "access_code.deleted": 1,
    }  # fmt: skip


def test_refusal_of_the_lock_is_the_cause_that_the_operation_names(site: Site) -> None:
    site.holds({str(number): {**CLEANING, "code": str(1000 + number)} for number in range(1, 6)})
    with connector(site):
        eventually(lambda: len(site.codes()) == 5)
        failed = site.ended(site.ask("POST", "", {"deviceUid": site.lock, "code": "2580"}))
    assert failed["state"] == "failed"
    assert [error["errorCode"] for error in failed["errors"]] == ["no_space_for_access_code_on_device"]
    assert site.log()["access_code.failed_to_set_on_device"] == 1


def test_connector_goes_on_when_the_server_was_killed_and_started_again(site: Site) -> None:
    site.holds({"1": CLEANING})
    with connector(site):
        eventually(lambda: len(site.codes()) == 1)
        (found,) = site.codes()
        site.server.kill()
        site.server.restart()
        assert site.ended(site.ask("POST", f"/{found['uid']}/convert", {}))["state"] == "succeeded"
    assert site.log() == {"access_code.unmanaged.created": 1, "access_code.unmanaged.converted_to_managed": 1}


def test_completion_whose_answer_was_lost_is_sent_again_and_counts_once(site: Site) -> None:
    site.holds({})
    with losing_first_completion(site.server) as (url, lost), connector(site, url):
        done = site.ended(site.ask("POST", "", {"deviceUid": site.lock, "code": "2580"}))
        eventually(lambda: len(lost) == 2)
    assert lost[0] == lost[1]
    assert (done["state"], done["attempts"]) == ("succeeded", 1)
    assert site.log()["access_code.set_on_device"] == 1


@contextmanager
def losing_first_completion(server: Server) -> Iterator[tuple[str, list[bytes]]]:
    """Put somebody between connector and server who does not hand on the answer to the first completion."""
    completions: list[bytes] = []

    class Between(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=SAFETY_SECONDS)
            connection.request(self.command, self.path, body or None, dict(self.headers))
            answer = connection.getresponse()
            document = answer.read()
            connection.close()
            if self.path.endswith("/complete"):
                completions.append(body)
                if len(completions) == 1:
                    return
            self.send_response(answer.status)
            self.send_header("content-length", str(len(document)))
            self.end_headers()
            self.wfile.write(document)

        do_POST = do_PUT = do_GET

        def log_message(self, *_: object) -> None:
            pass

    between = ThreadingHTTPServer(("127.0.0.1", 0), Between)
    thread = threading.Thread(target=between.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{between.server_port}", completions
    finally:
        between.shutdown()
        between.server_close()
        thread.join()
