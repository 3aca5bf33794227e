"""The first start makes the schema, the master key and the first tenants; it may be killed at any point of that."""

from __future__ import annotations

import random
import threading
from typing import TYPE_CHECKING

from tests.server import Server
from tests.whole_log import assert_stored_whole, rows_of

if TYPE_CHECKING:
    from tests.conftest import StoreUrl

ATTEMPTS = 12
LONGEST_START_SECONDS = 0.8


def test_first_start_is_made_once_and_whole_when_it_was_killed_before(store_url: StoreUrl) -> None:
    server = Server(store_url, {})
    chance = random.Random(ATTEMPTS)
    try:
        for _ in range(ATTEMPTS):
            server.begin()
            threading.Event().wait(chance.uniform(0.2, LONGEST_START_SECONDS))  # wherever it has got to by then
            server.kill()
        server.restart()
        assert server.request("GET", "/readyz", key="").json["status"] == "ready"
        assert len([line for line in server.output if line.startswith("key: ")]) <= 1
        tenants, keys = rows_of(store_url, "select kind from tenant order by id", "select name from api_key")
        assert tenants == [("company",), ("organization",)]
        assert keys == [("first key",)]
        assert_stored_whole(store_url)
    finally:
        server.stop()
