"""A refused event leaves nothing behind that a repeat of its request could be answered with."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from tests.server import SAFETY_SECONDS

if TYPE_CHECKING:
    from tests.server import Response, Server

FIRST = {"eventCode": 1, "source": "/repeats", "sourceId": "7"}
OTHER = {**FIRST, "eventCode": 2}


def test_contradicting_event_is_refused_again_when_its_request_is_repeated(either_server: Server) -> None:
    assert either_server.request("POST", "/v1/events", body=FIRST).status in (200, 201)
    for _ in range(3):
        answer = either_server.request("POST", "/v1/events", body=OTHER, headers={"idempotency-key": "again"})
        assert (answer.status, answer.headers["content-type"]) == (409, "application/problem+json")


def test_contradicting_event_is_refused_each_time_when_its_request_comes_several_times_at_once(
    either_server: Server,
) -> None:
    assert either_server.request("POST", "/v1/events", body=FIRST).status in (200, 201)
    barrier = threading.Barrier(4)

    def send(number: int) -> Response:
        with either_server.client() as client:
            client.request("GET", "/healthz")
            barrier.wait(SAFETY_SECONDS)
            return client.request("POST", "/v1/events", body=OTHER, headers={"idempotency-key": f"{number // 4}"})

    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(send, range(40)))
    assert {answer.status for answer in answers} == {409}
