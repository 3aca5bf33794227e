"""What becomes of a delivery and of its endpoint after an attempt."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.clock import MICROSECONDS
from heliograph.delivery.policy import (
    JITTER,
    LONGEST_SLOWNESS,
    STANDARD_SCHEDULE,
    Reply,
    after,
    after_our_fault,
    classify,
    decide,
    retry_after,
    verdict,
)
from heliograph.endpoints.model import Health

NOW = 1_790_000_000_000_000
DAY = 86_400 * MICROSECONDS


@pytest.mark.parametrize(
    ("status", "answer"),
    [
        (200, "success"), (204, "success"), (299, "success"), (199, "failure"), (300, "failure"), (304, "failure"),
        (400, "failure"), (404, "failure"), (410, "gone"), (429, "less"), (500, "failure"), (501, "failure"),
        (502, "less"), (503, "less"), (504, "less"), (None, "failure"),
    ],
)  # fmt: skip
def test_only_2xx_is_success(status: int | None, answer: str) -> None:
    assert classify(Reply(status=status)) == answer


def test_time_out_asks_for_less() -> None:
    assert classify(Reply(status=None, timed_out=True)) == "less"


@given(st.integers(1, len(STANDARD_SCHEDULE) - 1), st.floats(0, 1))
def test_failure_is_tried_again_after_the_scheduled_wait_and_at_most_the_jitter(attempt: int, luck: float) -> None:
    fate = decide(Reply(status=500), attempt, STANDARD_SCHEDULE, NOW, luck)
    wait = STANDARD_SCHEDULE[attempt] * MICROSECONDS
    assert fate.state == "pending"
    assert fate.due_at is not None
    assert NOW + wait <= fate.due_at <= NOW + wait * (1 + JITTER)


def test_last_attempt_that_fails_is_the_end() -> None:
    assert decide(Reply(status=500), len(STANDARD_SCHEDULE), STANDARD_SCHEDULE, NOW, 0.5).state == "exhausted"


@pytest.mark.parametrize("attempt", [1, len(STANDARD_SCHEDULE), 50])
def test_success_is_a_success_whenever_it_comes(attempt: int) -> None:
    assert decide(Reply(status=201), attempt, STANDARD_SCHEDULE, NOW, 0.5).state == "delivered"


def test_gone_is_not_tried_again() -> None:
    assert decide(Reply(status=410), 1, STANDARD_SCHEDULE, NOW, 0.5).state == "exhausted"


def test_fault_of_ours_makes_the_next_attempt_wait_longer_each_time_up_to_15_minutes() -> None:
    waits = [(after_our_fault(forgiven, NOW) - NOW) // MICROSECONDS for forgiven in (0, 1, 2, 3, 4, 5, 100_000)]
    assert waits == [60, 120, 240, 480, 900, 900, 900]


def test_receiver_may_put_off_but_not_hasten() -> None:
    late, soon = NOW + DAY, NOW + 1
    assert decide(Reply(status=503, retry_after=late), 1, STANDARD_SCHEDULE, NOW, 0).due_at == late
    assert decide(Reply(status=429, retry_after=soon), 1, STANDARD_SCHEDULE, NOW, 0).due_at == NOW + 5 * MICROSECONDS
    assert decide(Reply(status=500, retry_after=late), 1, STANDARD_SCHEDULE, NOW, 0).due_at == NOW + 5 * MICROSECONDS


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("120", 120), (" 0 ", 0), ("99999999999999999999", 86_400), ("Mon, 21 Sep 2026 14:13:21 GMT", 1),
     ("Mon, 21 Sep 2020 14:13:21 GMT", 0), ("Fri, 31 Dec 9999 23:59:59 GMT", 86_400)],
)  # fmt: skip
def test_retry_after_is_seconds_or_a_date_and_at_most_a_day(text: str, seconds: int) -> None:
    assert retry_after(text, NOW) == NOW + seconds * MICROSECONDS


def test_date_without_a_zone_is_utc_wherever_the_platform_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("TZ", "America/New_York")
        time.tzset()
        found = retry_after("Mon Sep 21 14:13:21 2026", NOW)
    time.tzset()
    assert found == NOW + MICROSECONDS


@pytest.mark.parametrize("text", [None, "", "soon", "-5", "1.5", "٣", "Mon, 99 Foo 2026 99:99:99 GMT"])
def test_retry_after_that_cannot_be_read_is_none(text: str | None) -> None:
    assert retry_after(text, NOW) is None


@given(st.text(max_size=60))
def test_no_retry_after_is_too_odd_to_be_read(text: str) -> None:
    at = retry_after(text, NOW)
    assert at is None or NOW <= at <= NOW + DAY


def test_slowness_doubles_up_to_an_hour_and_ends_with_a_success() -> None:
    health, now = Health(), NOW
    waits = []
    for _ in range(15):
        health = after(health, Reply(status=429), now)
        assert health.slowed_until is not None
        waits.append((health.slowed_until - now) // MICROSECONDS)
        now = health.slowed_until
    assert waits[:3] == [5, 10, 20]
    assert all(later >= earlier for earlier, later in pairwise(waits))
    assert waits[-1] == LONGEST_SLOWNESS
    health = after(health, Reply(status=200), now)
    assert (health.slowed_until, health.slow_step, health.failing_since) == (None, 0, None)


def test_endpoint_is_warned_about_once_and_disabled_when_nothing_changes() -> None:
    health = after(Health(), Reply(status=500), NOW)
    health = after(health, Reply(status=500), NOW + DAY)
    assert health.failing_since == NOW
    verdicts = [verdict(health, NOW + days * DAY, 2 * DAY, 5 * DAY) for days in (0, 1, 2, 4, 9)]
    assert verdicts == ["fine", "fine", "warn", "warn", "warn"]
    warned = Health(failing_since=NOW, warned_at=NOW + 3 * DAY)
    verdicts = [verdict(warned, NOW + days * DAY, 2 * DAY, 5 * DAY) for days in (3, 5, 6, 9)]
    assert verdicts == ["fine", "fine", "disable", "disable"]
    assert verdict(after(health, Reply(status=200), NOW + 4 * DAY), NOW + 9 * DAY, 2 * DAY, 5 * DAY) == "fine"
