"""What the worker counts: plain numbers, made into samples only when somebody asks."""

from __future__ import annotations

from bisect import bisect_left

LATENCY_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)
"""Upper bounds in seconds, of the time from publishing to the first claim."""


class Counters:
    """Attempts by their class, how long events waited to be claimed, what is under way and what is behind."""

    def __init__(self) -> None:
        self.attempts: dict[str, int] = {}
        self.latency = [0] * (len(LATENCY_BUCKETS) + 1)
        self.latency_seconds = 0.0
        self.in_flight = 0
        self.waiting = 0
        self.tenants = 0
        self.turns = 0
        self.oldest_due_seconds = 0.0

    def count_attempt(self, outcome: str) -> None:
        """Count an attempt that is over."""
        self.attempts[outcome] = self.attempts.get(outcome, 0) + 1

    def count_claim(self, seconds: float) -> None:
        """Count a first claim, so long after its event was published."""
        self.latency[bisect_left(LATENCY_BUCKETS, seconds)] += 1
        self.latency_seconds += seconds
