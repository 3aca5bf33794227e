"""The filter index follows the log; wherever a `kill -9` stopped it, every filter still finds all."""

from __future__ import annotations

import signal
import sys
import time
from typing import TYPE_CHECKING

import pytest

from tests.load import Writer
from tests.server import COMMAND, SAFETY_SECONDS, Server
from tests.whole_log import assert_filters_agree, assert_sound, listed, rows_of

if TYPE_CHECKING:
    from tests.conftest import StoreUrl

REQUESTS = 40


def hobbled(how: str) -> tuple[str, ...]:
    return (sys.executable, "-m", "tests.crash.hobbled", how)


def wait_until_indexed(server: Server) -> None:
    deadline = time.monotonic() + SAFETY_SECONDS
    while server.request("GET", "/readyz", key="").json["indexLagEvents"]:
        assert time.monotonic() < deadline, "the index never reaches the log's end"


def assert_left_midway(store: StoreUrl, *, begun: bool) -> None:
    (rows,) = rows_of(
        store,
        "select f.position, h.next_seq from follower f join head h on h.tenant_id = f.tenant_id"
        " where h.next_seq = (select max(next_seq) from head)",
    )
    assert min(position for position, _ in rows) < rows[0][1]
    assert (max(position for position, _ in rows) > 0) == begun


@pytest.mark.parametrize("chunks", [0, 13, 40])
def test_every_filter_finds_all_when_the_server_is_killed_between_log_and_index(
    store_url: StoreUrl, chunks: int
) -> None:
    server = Server(store_url, {})
    writer = Writer("indexed")
    try:
        server.command = hobbled("never")
        server.restart()
        for _ in range(REQUESTS):
            assert writer.next().send(server).status == 201
        whole = listed(server, {"order": "asc", "to": "2100-01-01T00:00:00Z"})
        assert_sound(whole)
        assert_filters_agree(server, whole)
        server.kill()

        server.command = hobbled(str(chunks))
        server.begin()
        assert server.wait_for_end() == -signal.SIGKILL, server.log

        assert_left_midway(store_url, begun=chunks > 0)
        # At the very place where it was left.
        server.command = hobbled("never")
        server.restart()
        assert_filters_agree(server, whole)
        server.kill()

        server.command = COMMAND
        server.restart()
        wait_until_indexed(server)
        assert_filters_agree(server, whole)
    finally:
        server.kill()
