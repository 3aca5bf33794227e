"""The machine's clock is wrong, and the log is not."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from heliograph.clock import MICROSECONDS, Clock, steady_microseconds, wall_microseconds
from heliograph.times import parse_time
from tests.http.inprocess import Api, settings_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import StoreUrl
    from tests.server import Server

HOUR = 3600 * MICROSECONDS
BEGINNING = "from=2020-01-01T00:00:00Z"


class Hands:
    """A clock that a test sets: `wall` and `steady` in microseconds."""

    def __init__(self) -> None:
        self.wall = wall_microseconds()
        self.steady = steady_microseconds()

    def pass_by(self, microseconds: int) -> None:
        """Let time go by as it should."""
        self.wall += microseconds
        self.steady += microseconds


class Story:
    """A platform whose clock the test holds."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.hands = Hands()
        self.clock = Clock(60 * MICROSECONDS, wall=lambda: self.hands.wall, steady=lambda: self.hands.steady)
        api.platform.store.clock = self.clock

    def post(self) -> int:
        """Store an event and return its recordedAt, microseconds UTC."""
        answer = self.api.post("/v1/events", self.api.root, {"eventCode": 10_001})
        assert answer.status == 201, answer
        return parse_time(answer.json()["recordedAt"], "")

    def warnings(self) -> list[str]:
        """Return what /readyz warns of; it must be ready."""
        answer = self.api.get("/readyz")
        assert answer.status == 200, answer
        found: list[str] = answer.json()["warnings"]
        return found


@pytest.fixture
def story(store_url: StoreUrl) -> Iterator[Story]:
    api = Api(settings_for(store_url))
    api.start()
    yield Story(api)
    api.stop()


def test_clock_that_went_back_is_warned_of_and_stops_no_write(story: Story) -> None:
    story.hands.pass_by(HOUR)
    first = story.post()
    assert first == story.hands.wall
    assert story.warnings() == []

    story.hands.wall -= HOUR
    assert [story.post() for _ in range(5)] == [first + n for n in range(1, 6)]
    assert "3600 s behind the newest event" in story.warnings()[0]
    listed = story.api.get(f"/v1/events?{BEGINNING}&eventCode=10001", story.api.root).json()["data"]
    assert [parse_time(event["recordedAt"], "") for event in listed] == [first + n for n in range(5, -1, -1)]

    story.hands.pass_by(HOUR + MICROSECONDS)
    assert story.warnings() == []
    assert story.post() == story.hands.wall


def test_small_step_back_is_no_reason_for_a_warning(story: Story) -> None:
    first = story.post()
    story.hands.wall -= MICROSECONDS // 2
    assert story.post() == first + 1
    assert story.warnings() == []


def test_clock_that_jumped_forward_is_not_followed_until_confirmed(story: Story) -> None:
    first = story.post()
    story.hands.pass_by(MICROSECONDS)
    story.hands.wall += HOUR
    assert story.post() == first + MICROSECONDS
    assert "jumped forward by 3600 s" in story.warnings()[0]

    story.clock.confirm()
    assert story.post() == story.hands.wall
    assert story.warnings() == []


def test_hangup_signal_confirms_the_clock_and_ends_nothing(server: Server) -> None:
    pid = server.pid
    os.kill(pid, signal.SIGHUP)
    assert server.request("POST", "/v1/events", body={"eventCode": 10_001}).status == 201
    assert server.request("GET", "/readyz", key="").json["warnings"] == []
    assert server.pid == pid
