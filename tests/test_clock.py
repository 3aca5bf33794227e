"""The clock follows small steps and steps back, and no jump forward that the steady clock does not explain."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.clock import MICROSECONDS, Clock, steady_microseconds, wall_microseconds

LARGEST_JUMP = 60 * MICROSECONDS
HOUR = 3600 * MICROSECONDS


class Time:
    """A wall clock and a steady clock that a test moves."""

    def __init__(self) -> None:
        self.wall = 1_790_000_000 * MICROSECONDS
        self.steady = 5 * HOUR
        self.clock = Clock(LARGEST_JUMP, lambda: self.wall, lambda: self.steady)

    def pass_by(self, microseconds: int) -> None:
        self.wall += microseconds
        self.steady += microseconds


@pytest.fixture
def time() -> Time:
    return Time()


def test_clock_tells_the_time_while_both_clocks_agree(time: Time) -> None:
    for _ in range(3):
        time.pass_by(24 * HOUR)
        assert time.clock.now() == time.wall
    assert time.clock.ignored_jump == 0


@pytest.mark.parametrize("step", [1, LARGEST_JUMP])
def test_small_step_forward_is_followed(time: Time, step: int) -> None:
    time.wall += step
    assert time.clock.now() == time.wall
    assert time.clock.ignored_jump == 0


def test_many_small_steps_never_add_up_to_a_jump(time: Time) -> None:
    for _ in range(100):
        time.pass_by(HOUR)
        time.wall += LARGEST_JUMP // 2
        assert time.clock.now() == time.wall
    assert time.clock.ignored_jump == 0


def test_jump_forward_is_not_followed_while_time_goes_on(time: Time) -> None:
    before = time.wall
    time.wall += LARGEST_JUMP + 1
    assert time.clock.now() == before
    assert time.clock.ignored_jump == LARGEST_JUMP + 1
    time.pass_by(HOUR)
    assert time.clock.now() == before + HOUR
    assert time.clock.ignored_jump == LARGEST_JUMP + 1


def test_jump_is_followed_once_somebody_confirms_it(time: Time) -> None:
    time.wall += 24 * HOUR
    time.clock.now()
    time.clock.confirm()
    assert time.clock.ignored_jump == 0
    assert time.clock.now() == time.wall
    time.pass_by(HOUR)
    assert time.clock.now() == time.wall


def test_jump_that_is_taken_back_is_forgotten(time: Time) -> None:
    time.wall += 24 * HOUR
    time.clock.now()
    time.wall -= 24 * HOUR
    time.pass_by(HOUR)
    assert time.clock.now() == time.wall
    assert time.clock.ignored_jump == 0


def test_step_back_is_followed(time: Time) -> None:
    time.wall -= 24 * HOUR
    assert time.clock.now() == time.wall
    time.pass_by(1)
    assert time.clock.now() == time.wall


@given(st.lists(st.tuples(st.integers(0, 10 * HOUR), st.integers(-HOUR, HOUR)), max_size=20))
def test_clock_is_never_further_ahead_than_time_passed_and_the_largest_step(moves: list[tuple[int, int]]) -> None:
    time = Time()
    highest = time.clock.now()
    for passed, step in moves:
        time.pass_by(passed)
        time.wall += step
        now = time.clock.now()
        # A time that was trusted once stays so: a clock that was set back may come back.
        highest += passed
        assert now <= highest + LARGEST_JUMP
        assert (now == time.wall) == (time.clock.ignored_jump == 0)
        highest = max(highest, now)


def test_clock_that_was_back_for_one_reading_is_trusted_again_when_it_returns(time: Time) -> None:
    time.wall -= HOUR
    time.clock.now()
    time.wall += HOUR
    time.pass_by(1)
    assert time.clock.now() == time.wall
    assert time.clock.ignored_jump == 0


def test_real_clocks_count_microseconds() -> None:
    assert wall_microseconds() > 1_750_000_000 * MICROSECONDS
    assert steady_microseconds() <= steady_microseconds()
    assert abs(Clock().now() - wall_microseconds()) < 60 * MICROSECONDS
