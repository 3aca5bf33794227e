"""The index follower's rounds, with a database that only notes what it was asked."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from heliograph.errors import Unavailable
from heliograph.eventlog import follower
from heliograph.eventlog.follower import IndexFollower

PATIENCE = 20.0


class Rounds:
    """Stands in for the database: notes which tenants each round asks about, and fails when told to."""

    waiting = 0

    def __init__(self) -> None:
        self.asked: list[set[int] | None] = []
        self.changed = threading.Condition()
        self.failures = 0

    def read(self, function: Any) -> list[Any]:
        with self.changed:
            self.asked.append(function.keywords["tenant_ids"])
            self.changed.notify_all()
            if self.failures:
                self.failures -= 1
                raise Unavailable("gone")
        return []

    def wait_for_round(self, number: int) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.asked) >= number, PATIENCE)

    def wait_for(self, wanted: set[int] | None, times: int = 1) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: self.asked.count(wanted) >= times, PATIENCE)


@pytest.fixture
def rounds() -> Rounds:
    return Rounds()


def running(rounds: Rounds) -> IndexFollower:
    """Start a follower that waits for nothing."""
    following = IndexFollower(rounds, share=1.0, soft_lag=1, patience=0.0)  # type: ignore[arg-type]  # see Rounds
    following.start()
    return following


def test_first_round_looks_at_every_tenant_and_later_ones_at_those_that_wrote(rounds: Rounds) -> None:
    following = running(rounds)
    rounds.wait_for(None)
    following.notice([3, 5])
    rounds.wait_for({3, 5})
    following.stop()


def test_follower_that_is_stopped_asks_nothing_more_and_fails_at_nothing(
    rounds: Rounds, caplog: pytest.LogCaptureFixture
) -> None:
    following = running(rounds)
    rounds.wait_for(None)
    following.stop()
    asked = len(rounds.asked)
    following.notice([1])
    assert len(rounds.asked) == asked
    assert not caplog.records


def test_commit_that_touched_no_log_wakes_nobody(rounds: Rounds) -> None:
    following = running(rounds)
    rounds.wait_for(None)
    following.notice([])
    following.notice([4])
    rounds.wait_for({4})
    following.stop()
    assert set() not in rounds.asked


def test_every_tenant_is_looked_at_now_and_then_however_busy_one_is(
    rounds: Rounds, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follower, "SWEEP_SECONDS", 0.05)
    following = running(rounds)
    rounds.wait_for(None, 1)
    while rounds.asked.count(None) < 3:
        done = len(rounds.asked)
        following.notice([7])
        rounds.wait_for_round(done + 1)
    following.stop()


def test_round_that_failed_is_followed_by_one_over_every_tenant(
    rounds: Rounds, monkeypatch: pytest.MonkeyPatch
) -> None:
    following = running(rounds)
    rounds.wait_for(None, 1)
    rounds.failures = 1
    following.notice([9])
    rounds.wait_for({9})
    rounds.wait_for(None, 2)
    following.stop()
