"""The wall clock, distrusted: a jump forward is not followed until somebody confirms it."""

from __future__ import annotations

import time
from collections.abc import Callable

MICROSECONDS = 1_000_000
_STEADY = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""Counts through a suspended machine as well, where the system has such a clock."""


def wall_microseconds() -> int:
    """Return the system's wall clock, microseconds UTC."""
    return time.time_ns() // 1000


def steady_microseconds() -> int:
    """Return microseconds since some fixed moment; never goes back, never jumps."""
    return time.clock_gettime_ns(_STEADY) // 1000


class Clock:
    """Microseconds UTC, bounded by what the steady clock allows.

    The log's times only rise, so following one wrong jump forward would pin them in the future for good. A jump of
    more than `largest_jump` microseconds is therefore ignored until `confirm()`; a clock that goes back is followed
    here, and the log keeps its own times rising.
    """

    def __init__(
        self,
        largest_jump: int = 60 * MICROSECONDS,
        wall: Callable[[], int] = wall_microseconds,
        steady: Callable[[], int] = steady_microseconds,
    ) -> None:
        self._largest_jump = largest_jump
        self._wall = wall
        self._steady = steady
        self.confirm()

    def confirm(self) -> None:
        """Take the present wall time as right."""
        self._ahead_of_steady = self._wall() - self._steady()
        self.ignored_jump = 0
        """The jump forward, in microseconds, that is not being followed; 0 when the clock is trusted."""

    def now(self) -> int:
        """Return the time, microseconds UTC."""
        wall, steady = self._wall(), self._steady()
        expected = steady + self._ahead_of_steady
        jump = wall - expected
        if jump > self._largest_jump:
            self.ignored_jump = jump
            return expected
        self.ignored_jump = 0
        # Small steps forward are followed, so that weeks of honest drift never add up to a jump; a step back is not
        # remembered, so that the way back to a time that was trusted before is no jump.
        self._ahead_of_steady = max(self._ahead_of_steady, wall - steady)
        return wall
