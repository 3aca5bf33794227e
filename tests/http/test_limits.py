"""How much one client may ask for: wrong keys, requests of a key, bytes of a body, writes that wait."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from heliograph.http import callers
from tests.conftest import StoreUrl
from tests.http.inprocess import Answer, Api, settings_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from heliograph.storage.engine import Transaction

EVENT = {"eventCode": 10001, "criticality": 3, "targetEntityType": "Device", "targetEntityId": "door-7"}
WRONG = "hg_" + "0" * 64
PROXY = "10.0.0.1"


class Steady:
    """A steady clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.seconds = time.monotonic()

    def monotonic(self) -> float:
        return self.seconds


@pytest.fixture
def steady(monkeypatch: pytest.MonkeyPatch) -> Steady:
    """The time by which keys are remembered and requests counted."""
    steady = Steady()
    monkeypatch.setattr(callers, "time", SimpleNamespace(monotonic=steady.monotonic))
    return steady


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Api]]:
    """Start a platform with settings of the test's own; no limit here depends on the database."""
    running: list[Api] = []

    def begin(**changed: Any) -> Api:
        api = Api(settings_for(StoreUrl(None, tmp_path), **changed))
        api.start()
        running.append(api)
        return api

    yield begin
    for api in running:
        api.stop()


def ask(api: Api, key: str, client: str = "192.0.2.1", forwarded_for: str | None = None) -> Answer:
    """Send the cheapest request that needs a key."""
    headers = [] if forwarded_for is None else [("x-forwarded-for", forwarded_for)]
    return api.get("/v1/tenants", key, client=client, headers=headers)


def use_up(api: Api, client: str = "192.0.2.1", forwarded_for: str | None = None) -> None:
    """Send wrong keys until the client's minute is used up; there are three in these tests."""
    assert [ask(api, WRONG, client, forwarded_for).status for _ in range(4)] == [401, 401, 401, 429]


# -- wrong keys -----------------------------------------------------------------------------------------------------


def test_address_that_tried_too_many_wrong_keys_is_refused_for_the_rest_of_the_minute(
    start: Callable[..., Api], steady: Steady
) -> None:
    api = start(wrong_keys_per_minute=3)
    use_up(api)
    steady.seconds += 45.0
    answer = ask(api, WRONG)
    assert answer.status == 429
    assert 15 <= int(answer.headers["retry-after"]) <= 16
    steady.seconds += int(answer.headers["retry-after"])
    assert ask(api, WRONG).status == 401


def test_refused_address_does_not_make_the_database_work(
    start: Callable[..., Api], steady: Steady, monkeypatch: pytest.MonkeyPatch
) -> None:
    del steady
    api = start(wrong_keys_per_minute=3)
    use_up(api)
    monkeypatch.setattr(api.edge.services, "known_caller", None)
    assert ask(api, WRONG).status == 429


def test_other_address_is_served_while_one_is_refused(start: Callable[..., Api], steady: Steady) -> None:
    del steady
    api = start(wrong_keys_per_minute=3)
    use_up(api)
    assert ask(api, WRONG, "192.0.2.2").status == 401
    assert ask(api, api.root, "192.0.2.2").status == 200


def test_key_that_was_good_lately_works_on_from_a_refused_address(start: Callable[..., Api], steady: Steady) -> None:
    del steady
    api = start(wrong_keys_per_minute=3)
    assert ask(api, api.root).status == 200
    use_up(api)
    assert ask(api, api.root).status == 200


def test_request_without_a_key_is_no_wrong_key(start: Callable[..., Api], steady: Steady) -> None:
    del steady
    api = start(wrong_keys_per_minute=3)
    assert {api.get("/v1/tenants", client="192.0.2.1").status for _ in range(10)} == {401}
    assert ask(api, api.root).status == 200


def test_clients_behind_a_trusted_proxy_are_told_apart(start: Callable[..., Api], steady: Steady) -> None:
    del steady
    api = start(wrong_keys_per_minute=3, trusted_proxies="10.0.0.0/8")
    use_up(api, PROXY, "198.51.100.7")
    assert ask(api, WRONG, PROXY, "198.51.100.8").status == 401


def test_address_is_not_changed_by_what_the_client_itself_forwards(start: Callable[..., Api], steady: Steady) -> None:
    del steady
    api = start(wrong_keys_per_minute=3, trusted_proxies="10.0.0.0/8")
    use_up(api, PROXY, "198.51.100.7")
    # The proxy appends the address that it saw; all to the left of it is the client's invention.
    assert ask(api, WRONG, PROXY, "203.0.113.1, 198.51.100.7").status == 429
    assert ask(api, WRONG, PROXY, "10.0.0.2, 198.51.100.7").status == 429
    two_headers = [("x-forwarded-for", "203.0.113.1"), ("x-forwarded-for", "198.51.100.7")]
    assert api.get("/v1/tenants", WRONG, client=PROXY, headers=two_headers).status == 429


def test_forwarded_address_counts_for_nothing_when_no_proxy_is_trusted(
    start: Callable[..., Api], steady: Steady
) -> None:
    del steady
    api = start(wrong_keys_per_minute=3)
    answers = [ask(api, WRONG, "192.0.2.1", f"198.51.100.{number}").status for number in range(4)]
    assert answers == [401, 401, 401, 429]


# -- requests of one key --------------------------------------------------------------------------------------------


def test_key_beyond_its_requests_is_refused_until_the_second_is_over(start: Callable[..., Api], steady: Steady) -> None:
    api = start(requests_per_key=10)
    busy, quiet = api.key(api.main, "viewer"), api.key(api.main, "viewer")
    steady.seconds += 1.0
    assert [ask(api, busy).status for _ in range(11)] == [200] * 10 + [429]
    assert ask(api, busy).headers["retry-after"] == "1"
    assert ask(api, quiet).status == 200
    steady.seconds += 1.0
    assert ask(api, busy).status == 200


def test_requests_are_counted_on_while_the_key_itself_changes_rights(start: Callable[..., Api], steady: Steady) -> None:
    api = start(requests_per_key=10)
    steady.seconds += 1.0
    wish = {"name": "somebody", "grants": []}
    assert [api.post("/v1/accounts", api.root, wish).status for _ in range(11)] == [201] * 10 + [429]


# -- bodies ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def narrow(start: Callable[..., Api]) -> Api:
    """A platform that reads 4096 bytes of events and 2048 of anything else."""
    return start(batch_bytes=4096, event_bytes=4096, request_bytes=2048)


LIMITED = pytest.mark.parametrize(("target", "limit"), [("/v1/events", 4096), ("/v1/event-types", 2048)])
JSON = [("content-type", "application/json")]


@LIMITED
def test_body_of_the_largest_size_is_read(narrow: Api, target: str, limit: int) -> None:
    assert narrow.request("POST", target, narrow.root, b"[1]".ljust(limit), JSON).status not in (401, 413)


@LIMITED
@pytest.mark.parametrize("parts", [1, 7], ids=["in one part", "in several parts"])
def test_body_over_the_limit_is_refused_naming_the_limit(narrow: Api, target: str, limit: int, parts: int) -> None:
    body = b"[1]".ljust(limit + 1)
    size = -(-len(body) // parts)
    head = narrow.head(narrow.main)
    answer = narrow.request(
        "POST", target, narrow.root, [body[at : at + size] for at in range(0, len(body), size)], JSON
    )
    assert answer.status == 413
    assert str(limit) in answer.json()["detail"]
    assert narrow.head(narrow.main) == head


@LIMITED
def test_body_is_refused_by_the_length_it_announces_before_it_has_come(narrow: Api, target: str, limit: int) -> None:
    announced = [*JSON, ("content-length", str(limit + 1))]
    assert narrow.request("POST", target, narrow.root, [b"[", b"]"], announced).status == 413


@LIMITED
@pytest.mark.parametrize("key", [None, WRONG], ids=["no key", "wrong key"])
def test_body_is_not_read_for_a_caller_without_a_key(narrow: Api, target: str, limit: int, key: str | None) -> None:
    assert narrow.request("POST", target, key, [b"[" * limit, b"["], JSON).status == 401


# -- writes that wait -----------------------------------------------------------------------------------------------


@contextmanager
def held_writer(api: Api) -> Iterator[None]:
    """Keep the writer busy with one transaction for as long as the block lasts."""
    begun, go_on = threading.Event(), threading.Event()

    def hold(tx: Transaction) -> None:
        del tx
        begun.set()
        assert go_on.wait(30)

    holder = threading.Thread(target=api.run, args=(hold,))
    holder.start()
    try:
        assert begun.wait(30)
        yield
    finally:
        go_on.set()
        holder.join()


def test_write_is_refused_while_the_queue_is_full_and_accepted_afterwards(start: Callable[..., Api]) -> None:
    api = start(write_queue=2)
    answers: list[Answer] = []

    def wait_in_line() -> None:
        answers.append(api.post("/v1/events", api.root, EVENT))

    waiting = [threading.Thread(target=wait_in_line) for _ in range(2)]
    with held_writer(api):
        head = api.head(api.main)
        for thread in waiting:
            thread.start()
        deadline = time.monotonic() + 30
        while api.platform.store.waiting < 2:
            assert time.monotonic() < deadline
        event = api.post("/v1/events", api.root, EVENT)
        account = api.post("/v1/accounts", api.root, {"name": "somebody", "grants": []})
        assert ask(api, api.root).status == 200
    for thread in waiting:
        thread.join()
    assert [event.status, account.status] == [503, 503]
    assert (event.headers["retry-after"], account.headers["retry-after"]) == ("1", "1")
    # Who waited in the queue was served; who was refused left nothing behind.
    assert [answer.status for answer in answers] == [201, 201]
    assert api.head(api.main) == head + 2
    assert api.post("/v1/events", api.root, EVENT).status == 201
