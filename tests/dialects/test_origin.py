"""The address of the next page is one that the client can reach, also behind a proxy that speaks TLS for us."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.conftest import StoreUrl
from tests.dialects.house import SINCE, House
from tests.http.inprocess import Api, settings_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PROXY, STRANGER = "10.0.0.1", "192.0.2.1"
PATH = f"/seam/events/list?since={SINCE}&limit=1"


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """A house on a platform behind a proxy."""
    api = Api(settings_for(StoreUrl(None, tmp_path), trusted_proxies="10.0.0.0/8"))
    api.start()
    yield House.build(api)
    api.stop()


@pytest.mark.parametrize(
    ("client", "headers", "origin"),
    [
        (PROXY, {"x-forwarded-proto": "https", "x-forwarded-host": "locks.example"}, "https://locks.example"),
        (PROXY, {"x-forwarded-proto": "https"}, "https://localhost"),
        (PROXY, {"x-forwarded-proto": "http, https", "x-forwarded-host": "a.example, b.example"}, "https://b.example"),
        (PROXY, {}, "http://localhost"),
        (STRANGER, {"x-forwarded-proto": "https", "x-forwarded-host": "locks.example"}, "http://localhost"),
    ],
)
def test_trusted_proxy_tells_by_what_address_the_client_asked(
    house: House, client: str, headers: dict[str, str], origin: str
) -> None:
    answer = house.api.get(PATH, house.key, headers=[*headers.items()], client=client)
    assert answer.json()["pagination"]["next_page_url"].startswith(f"{origin}/seam/events/list?")
