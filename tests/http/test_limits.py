"""How often a client may ask: wrong keys by the client's address, requests by the key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from heliograph.http import callers
from tests.conftest import StoreUrl
from tests.http.inprocess import SINCE, Api, settings_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.http.inprocess import Answer

EVENTS = f"/v1/events?{SINCE}"


class Time:
    """Stands for the module `time`; moves when it is told to."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def monotonic(self) -> float:
        return self.seconds


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    stopped = Time()
    monkeypatch.setattr(callers, "time", stopped)
    return stopped


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Api]]:
    """Start a platform with settings of the test's own; what is limited here never reaches a database."""
    started: list[Api] = []

    def start_with(**settings: Any) -> Api:
        api = Api(settings_for(StoreUrl(None, tmp_path), **settings))
        api.start()
        started.append(api)
        return api

    yield start_with
    for api in started:
        api.stop()


def _wrong(api: Api, client: str = "192.0.2.1", forwarded: str | None = None) -> Answer:
    headers = [] if forwarded is None else [("x-forwarded-for", forwarded)]
    return api.request("GET", EVENTS, "hg_wrong", headers=headers, client=client)


def test_wrong_keys_of_one_address_are_refused_for_the_rest_of_a_minute(start: Callable[..., Api], time: Time) -> None:
    api = start(wrong_keys_per_minute=3)
    assert [_wrong(api).status for _ in range(5)] == [401, 401, 401, 429, 429]
    time.seconds += 45
    late = _wrong(api)
    assert (late.status, 0 < int(late.headers["retry-after"]) <= 16) == (429, True)
    time.seconds += int(late.headers["retry-after"])
    assert [_wrong(api).status for _ in range(4)] == [401, 401, 401, 429]


def test_another_address_and_a_good_key_are_not_hindered(start: Callable[..., Api], time: Time) -> None:
    api = start(wrong_keys_per_minute=1)
    assert api.request("GET", EVENTS, api.root, client="192.0.2.1").status == 200
    assert [_wrong(api).status for _ in range(2)] == [401, 429]
    assert _wrong(api, "192.0.2.2").status == 401
    assert api.request("GET", EVENTS, api.root, client="192.0.2.1").status == 200, "this key is known"
    assert api.request("GET", EVENTS, api.root, client="192.0.2.3").status == 200


def test_requests_without_a_key_are_not_counted(start: Callable[..., Api], time: Time) -> None:
    api = start(wrong_keys_per_minute=1)
    assert {api.request("GET", EVENTS, client="192.0.2.1").status for _ in range(5)} == {401}
    assert [_wrong(api).status for _ in range(2)] == [401, 429]


@pytest.mark.parametrize(
    ("forwarded", "counted"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("192.0.2.9, 192.0.2.7", "192.0.2.7"),
        ("192.0.2.7, 10.1.2.3", "192.0.2.7"),
        ("192.0.2.7 ,10.1.2.3 , 10.9.9.9", "192.0.2.7"),
        ("10.1.1.1, 192.0.2.7", "192.0.2.7"),
        ("2001:db8::7", "2001:db8::7"),
    ],
)
def test_client_is_who_the_trusted_proxies_name(
    start: Callable[..., Api], time: Time, forwarded: str, counted: str
) -> None:
    api = start(wrong_keys_per_minute=1, trusted_proxies="10.0.0.0/8, 2001:db8:ffff::/48")
    assert [_wrong(api, "10.0.0.1", forwarded).status for _ in range(2)] == [401, 429]
    assert _wrong(api, counted).status == 429, "the same client, without a proxy"
    assert _wrong(api, "10.0.0.1", "192.0.2.8").status == 401
    assert _wrong(api, "2001:db8:ffff::1", counted).status == 429, "the same client, through another proxy"


def test_client_cannot_choose_its_address_where_no_proxy_is_trusted(start: Callable[..., Api], time: Time) -> None:
    api = start(wrong_keys_per_minute=2)
    assert [_wrong(api, forwarded=f"192.0.2.{n}").status for n in range(3)] == [401, 401, 429]


def test_client_cannot_choose_its_address_behind_a_trusted_proxy(start: Callable[..., Api], time: Time) -> None:
    """The proxy adds its client at the end; what stands before is the client's own invention."""
    api = start(wrong_keys_per_minute=2, trusted_proxies="10.0.0.1/32")
    invented = ["192.0.2.1", "10.0.0.1, 10.0.0.1", "unknown"]
    answers = [_wrong(api, "10.0.0.1", f"{address}, 203.0.113.5").status for address in invented]
    assert answers == [401, 401, 429]


@pytest.mark.parametrize("forwarded", ["", " ", ",", "unknown", "10.0.0.300", "[2001:db8::1]:80", "x" * 1000, "é"])
def test_odd_forwarding_header_is_no_failure(start: Callable[..., Api], time: Time, forwarded: str) -> None:
    api = start(wrong_keys_per_minute=1, trusted_proxies="10.0.0.0/8")
    assert [_wrong(api, "10.0.0.1", forwarded).status for _ in range(2)] == [401, 429]


def test_key_may_make_so_many_requests_in_a_second(start: Callable[..., Api], time: Time) -> None:
    api = start(requests_per_key=3)
    time.seconds += 1
    key = api.key(api.main, "viewer")
    time.seconds += 1
    assert [api.get(EVENTS, key).status for _ in range(4)] == [200, 200, 200, 429]
    assert api.get(EVENTS, key).headers["retry-after"] == "1"
    assert api.get(EVENTS, api.root).status == 200, "another key has its own count"
    time.seconds += 1
    assert api.get(EVENTS, key).status == 200


def test_requests_are_counted_on_though_rights_are_changed(start: Callable[..., Api], time: Time) -> None:
    api = start(requests_per_key=3)
    time.seconds += 1
    key = api.key(api.main, "owner")
    time.seconds += 1
    statuses = [api.post("/v1/accounts", key, {"name": "n"}).status for _ in range(5)]
    assert statuses == [201, 201, 201, 429, 429]


def test_requests_per_key_are_unlimited_unless_the_operator_says_so(start: Callable[..., Api], time: Time) -> None:
    api = start()
    assert {api.get(EVENTS, api.root).status for _ in range(100)} == {200}


def test_limit_of_requests_is_a_setting(start: Callable[..., Api], time: Time) -> None:
    api = start(requests_per_key=2)  # what the start itself asks counts as well
    assert [api.get(EVENTS, api.root).status for _ in range(2)] == [200, 429]
