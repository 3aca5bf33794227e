"""What was answered is stored: `kill -9` in the middle of the load, fifty times on each database."""

from __future__ import annotations

import http.client
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import TYPE_CHECKING

from tests.load import Attempt, Writer
from tests.server import SAFETY_SECONDS, Server
from tests.whole_log import Follower, assert_filters_agree, assert_sound, assert_stored_whole, listed

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import StoreUrl
    from tests.whole_log import Record

ROUNDS = 50
CONNECTIONS = 4
MOST_ANSWERS = 40
"""Answers after which a round is over at the latest."""


def load_until_end(
    server: Server, threads: ThreadPoolExecutor, number: int, end: Callable[[Server], None]
) -> list[Attempt]:
    """Load the server from several connections, end it at some moment, and return all that was sent."""
    answered = threading.Semaphore(0)
    chance = random.Random(number)
    loads = [
        threads.submit(load, server, Writer(f"round {number}, connection {n}"), answered) for n in range(CONNECTIONS)
    ]
    for _ in range(chance.randint(1, MOST_ANSWERS)):
        assert answered.acquire(timeout=SAFETY_SECONDS)
    # Anywhere in the next commits: between two answers a server is always at the same point of its work.
    threading.Event().wait(chance.uniform(0, 0.01))
    end(server)
    return [attempt for load in loads for attempt in load.result()]


def load(server: Server, writer: Writer, answered: threading.Semaphore) -> list[Attempt]:
    """Send what `writer` makes until the server is gone."""
    attempts = []
    with server.client() as client:
        for _ in range(10 * MOST_ANSWERS):
            attempts.append(writer.next())
            try:
                attempts[-1].send(client)
            except (OSError, http.client.HTTPException):
                break
            answered.release()
    return attempts


def assert_kept(log: list[Record], attempts: list[Attempt]) -> None:
    """Check that all that was answered is in the log as it was answered, and the rest whole or not at all."""
    tokens = {event["payload"]["token"] for event in log if "token" in event.get("payload", {})}
    for attempt in attempts:
        if attempt.answer is None:
            assert len({event.token in tokens for event in attempt.events}) == 1
            continue
        assert attempt.answer.status == 201
        receipts = attempt.receipts(attempt.answer)
        for sent, receipt in zip(attempt.events, receipts, strict=True):
            stored = log[receipt["seq"]]
            assert (stored["id"], stored["recordedAt"]) == (receipt["id"], receipt["recordedAt"])
            assert sent.is_in(stored)
        assert all(one["seq"] + 1 == next_one["seq"] for one, next_one in pairwise(receipts))


def repeat(server: Server, attempts: list[Attempt], stored: int) -> list[bool]:
    """Send the unanswered requests again, and some of the answered; `stored` events were in the log after the kill.

    Returns which of the unanswered had been stored.
    """
    outcomes = []
    unanswered = [attempt for attempt in attempts if attempt.repeatable and attempt.answer is None]
    answered = [attempt for attempt in attempts if attempt.repeatable and attempt.answer is not None]
    with server.client() as client:
        for attempt in unanswered:
            answer = attempt.send(client)
            was_stored = [receipt["seq"] < stored for receipt in attempt.receipts(answer)]
            assert set(was_stored) == {answer.status == 200}
            outcomes.append(was_stored[0])
        for attempt in (*unanswered, *answered[-5:]):
            assert attempt.answer is not None
            first, again = attempt.receipts(attempt.answer), attempt.send(client)
            assert again.status == 200
            assert [receipt["id"] for receipt in attempt.receipts(again)] == [receipt["id"] for receipt in first]
    return outcomes


def test_nothing_that_was_answered_is_lost_and_no_repeat_is_stored_twice_when_the_server_is_killed(
    store_url: StoreUrl,
) -> None:
    server = Server.start(store_url)
    follower = Follower()  # one cursor for the whole time: it outlives the processes that made it
    outcomes = []
    try:
        with ThreadPoolExecutor(CONNECTIONS) as threads:
            for number in range(ROUNDS):
                attempts = load_until_end(server, threads, number, Server.kill)
                server.restart()
                follower.drain(server)
                assert_kept(follower.events, attempts)
                outcomes += repeat(server, attempts, len(follower.events))
                follower.drain(server)
                assert_sound(follower.events)
                assert_stored_whole(store_url)
        whole = listed(server, {"order": "asc", "to": "2100-01-01T00:00:00Z"})
        assert whole == follower.events
        assert_filters_agree(server, whole)
    finally:
        server.stop()
    # Some of the unanswered had been stored and some had not, or the kills did not fall into the commits.
    assert set(outcomes) == {True, False}


def test_what_was_stored_was_answered_when_the_server_is_stopped_under_load(store_url: StoreUrl) -> None:
    server = Server.start(store_url)
    follower = Follower()
    try:
        with ThreadPoolExecutor(CONNECTIONS) as threads:
            for number in range(3):
                attempts = load_until_end(server, threads, number, Server.stop)
                server.restart()
                follower.drain(server)
                assert_kept(follower.events, attempts)
                tokens = {event["payload"].get("token") for event in follower.events}
                left_open = [attempt for attempt in attempts if attempt.answer is None]
                assert not any(event.token in tokens for attempt in left_open for event in attempt.events)
    finally:
        server.stop()
