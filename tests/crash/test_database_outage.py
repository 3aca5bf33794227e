"""PostgreSQL itself is killed under a running server, and comes back."""

from __future__ import annotations

import shutil
import signal
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

from heliograph.storage.postgres import PARALLEL_WRITERS
from tests.conftest import StoreUrl
from tests.load import Writer
from tests.postgres import RunAs, find_binaries
from tests.server import SAFETY_SECONDS, Server
from tests.whole_log import Follower, assert_filters_agree, assert_sound, assert_stored_whole

if TYPE_CHECKING:
    from collections.abc import Iterator


class Mortal:
    """A PostgreSQL of this test's own: its child, so that no trace of a killed one keeps the next from starting."""

    def __init__(self) -> None:
        self._run_as = RunAs.someone_allowed()
        self._home = Path(tempfile.mkdtemp(prefix="heliograph-pg-", dir="/tmp"))
        self._run_as.take(self._home)
        self.dsn = f"postgresql://postgres@/postgres?host={self._home}"
        binaries = find_binaries(self._run_as, self._home)
        options = [
            "--auth=trust",
            "--username=postgres",
            "--encoding=UTF8",
            "--no-sync",
            "--pgdata",
            str(self._home / "data"),
        ]
        self._run_as.output([str(binaries / "initdb"), *options], self._home)
        self._command = [str(binaries / "postgres"), "-D", str(self._home / "data"), "--listen_addresses="]
        self._command.append(f"--unix_socket_directories={self._home}")
        self.start()

    def start(self) -> None:
        """Start it on its files, and wait until it has recovered what there is."""
        self._process = self._run_as.popen(self._command, self._home, subprocess.DEVNULL)
        deadline = time.monotonic() + SAFETY_SECONDS
        while not self._accepts():
            assert time.monotonic() < deadline, "PostgreSQL does not answer"
            # It refuses to start while a process of the killed one still ends.
            if self._process.poll() is not None:
                self._process = self._run_as.popen(self._command, self._home, subprocess.DEVNULL)

    def kill(self) -> None:
        """End it as `kill -9` does, with whatever it was about to write."""
        self._process.kill()
        self._process.communicate()

    def stop(self) -> None:
        """End it and remove its files."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGQUIT)
            self._process.communicate(timeout=SAFETY_SECONDS)
        shutil.rmtree(self._home)

    def _accepts(self) -> bool:
        try:
            psycopg.connect(self.dsn).close()
        except psycopg.OperationalError:
            return False
        return True


@pytest.fixture
def mortal() -> Iterator[Mortal]:
    postgres = Mortal()
    yield postgres
    postgres.stop()


def test_server_refuses_politely_while_postgresql_is_dead_and_goes_on_when_it_is_back(
    mortal: Mortal, tmp_path: Path
) -> None:
    server = Server.start(StoreUrl(mortal.dsn, tmp_path))
    writer, follower = Writer("outage"), Follower()
    try:
        answered = [writer.next() for _ in range(30)]
        for attempt in answered:
            assert attempt.send(server).status == 201
        pid = server.pid
        mortal.kill()

        # Processes of the killed one may still store and answer something before they notice, one for each writer.
        deadline = time.monotonic() + SAFETY_SECONDS
        refused_in_a_row = 0
        while refused_in_a_row < 2 * PARALLEL_WRITERS:
            assert time.monotonic() < deadline, "PostgreSQL is not dead"
            if (attempt := writer.next()).send(server).status == 201:
                answered.append(attempt)
                refused_in_a_row = 0
            else:
                refused_in_a_row += 1
        unanswered = [attempt for attempt in (writer.next() for _ in range(20)) if attempt.repeatable]
        for attempt in unanswered:
            refusal = attempt.send(server)
            assert (refusal.status, refusal.headers["content-type"]) == (503, "application/problem+json")
            assert int(refusal.headers["retry-after"]) > 0
        listing = server.request("GET", "/v1/events", query={"from": "2020-01-01T00:00:00Z"})
        assert (listing.status, listing.headers["content-type"]) == (503, "application/problem+json")
        assert server.request("GET", "/readyz", key="").status == 503
        assert server.request("GET", "/healthz", key="").status == 200

        mortal.start()
        for attempt in unanswered:
            deadline = time.monotonic() + SAFETY_SECONDS
            while attempt.send(server).status == 503:
                assert time.monotonic() < deadline, "the server does not recover"
            attempt.answer = attempt.send(server)
            assert attempt.answer.status == 200
        assert server.pid == pid
        assert server.request("GET", "/readyz", key="").status == 200

        follower.drain(server)
        assert_sound(follower.events)
        for attempt in (*answered, *unanswered):
            assert attempt.answer is not None
            for sent, receipt in zip(attempt.events, attempt.receipts(attempt.answer), strict=True):
                stored = follower.events[receipt["seq"]]
                assert stored["id"] == receipt["id"]
                assert sent.is_in(stored)
        assert_stored_whole(server.store)
        assert_filters_agree(server, follower.events)
    finally:
        server.stop()


def use(server: Server, number: int) -> list[int]:
    """Read and write over a connection of one's own; return the answers' statuses."""
    found = []
    with server.client() as client:
        for _ in range(5):
            found.append(client.request("GET", "/v1/tenants").status)
            body = {"eventCode": number, "type": "restarted"}
            found.append(client.request("POST", "/v1/events", body=body).status)
    return found


def test_nobody_notices_that_postgresql_was_restarted_while_nobody_asked(mortal: Mortal, tmp_path: Path) -> None:
    server = Server.start(StoreUrl(mortal.dsn, tmp_path))
    try:
        with ThreadPoolExecutor(8) as threads:
            for _ in range(2):
                statuses = [status for found in threads.map(partial(use, server), range(8)) for status in found]
                assert set(statuses) == {200, 201}
                mortal.kill()
                mortal.start()
        assert set(use(server, 8)) == {200, 201}
    finally:
        server.stop()
