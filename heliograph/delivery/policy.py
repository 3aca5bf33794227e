"""What becomes of a delivery and of its endpoint after an attempt; pure decisions.

The rules are those of Standard Webhooks 1.0.0, "Operational considerations": 2xx alone is success, 410 ends the
subscription, 429, 502, 503 and 504 ask for less, and long failure disables.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Literal

import msgspec

from heliograph.clock import MICROSECONDS
from heliograph.endpoints.model import Health

STANDARD_SCHEDULE = (0, 5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)
"""Seconds before each attempt, counted from the one before: ten attempts in a little more than three days."""

JITTER = 0.2
"""A delay is stretched by up to this part of it, so that what failed together does not come again together."""

LONGEST_RETRY_AFTER = 86_400
SLOW_STEP = 5
LONGEST_SLOWNESS = 3600
"""Seconds for which an endpoint that asked for less is left alone: doubled each time it asks again, up to an hour."""

MOST_STEPS = 12
"""Steps after which a time that doubles is the longest for certain, and need not be counted on."""

OUR_FAULT_SECONDS = 60
LONGEST_OUR_FAULT = 900
"""Seconds until a delivery is tried again that failed through no fault of the receiver: doubled each time."""

ASKS_FOR_LESS = frozenset((429, 502, 503, 504))
MAY_NAME_A_TIME = frozenset((429, 503))

Answer = Literal["success", "gone", "less", "failure"]


def parse_schedule(text: str) -> tuple[int, ...]:
    """Read a schedule such as `0,5,300`.

    Raises:
        ValueError: when it is none.
    """
    return tuple(int(part) for part in text.split(","))


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """What an attempt came to: the status, None when none came, and whether time ran out. Microseconds UTC."""

    status: int | None
    timed_out: bool = False
    retry_after: int | None = None


class Fate(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of a delivery: `due_at` is when it is tried again, microseconds UTC."""

    state: Literal["delivered", "pending", "exhausted"]
    due_at: int | None = None


def classify(reply: Reply) -> Answer:
    """Tell what a receiver's reply means."""
    status = reply.status
    if status is not None and 200 <= status < 300:
        return "success"
    if status == 410:
        return "gone"
    return "less" if status in ASKS_FOR_LESS or reply.timed_out else "failure"


def decide(reply: Reply, attempt: int, schedule: Sequence[int], now: int, luck: float) -> Fate:
    """Return what becomes of a delivery after its attempt number `attempt`, from 1; `luck` is between 0 and 1."""
    answer = classify(reply)
    if answer == "success":
        return Fate(state="delivered")
    if answer == "gone" or attempt >= len(schedule):
        return Fate(state="exhausted")
    wait = schedule[attempt] * (1 + JITTER * luck)
    due_at = now + int(wait * MICROSECONDS)
    if reply.status in MAY_NAME_A_TIME and reply.retry_after is not None:
        due_at = max(due_at, reply.retry_after)
    return Fate(state="pending", due_at=due_at)


def after_our_fault(forgiven: int, now: int) -> int:
    """Return when a delivery is tried again that failed through no fault of the receiver, microseconds UTC.

    `forgiven` are its attempts before that one which count for nothing; those before a `resend` are among them.
    """
    wait: int = min(OUR_FAULT_SECONDS * 2 ** min(forgiven, MOST_STEPS), LONGEST_OUR_FAULT)
    return now + wait * MICROSECONDS


def after(health: Health, reply: Reply, now: int) -> Health:
    """Return how the endpoint fares after a reply."""
    answer = classify(reply)
    if answer == "success":
        return msgspec.structs.replace(
            health, failing_since=None, warned_at=None, last_success_at=now, slowed_until=None, slow_step=0
        )  # fmt: skip
    since = now if health.failing_since is None else health.failing_since
    health = msgspec.structs.replace(
        health, failing_since=since, last_failure_at=now, gone_at=now if answer == "gone" else health.gone_at
    )
    if answer != "less":
        return health
    until, step = health.slowed_until, health.slow_step
    # Several that were under way together ask for less together; that counts once.
    if until is None or until <= now:
        until = now + min(SLOW_STEP * 2**step, LONGEST_SLOWNESS) * MICROSECONDS
        step = min(step + 1, MOST_STEPS)
    if reply.status in MAY_NAME_A_TIME and reply.retry_after is not None:
        until = max(until, reply.retry_after)
    return msgspec.structs.replace(health, slowed_until=until, slow_step=step)


def verdict(health: Health, now: int, warn_after: int, disable_after: int) -> Literal["fine", "warn", "disable"]:
    """Tell whether an endpoint has failed for so long that its owner is warned, or that it is disabled.

    `warn_after` and `disable_after` are microseconds without a single success. However seldom it is tried, its owner
    is warned first and then has the time between the two.
    """
    if health.failing_since is None:
        return "fine"
    failing = now - health.failing_since
    if health.warned_at is None:
        return "warn" if failing >= warn_after else "fine"
    warned = now - health.warned_at
    return "disable" if failing >= disable_after and warned >= disable_after - warn_after else "fine"


def retry_after(value: str | None, now: int) -> int | None:
    """Read a `Retry-After` header (RFC 9110 section 10.2.3) as a time, microseconds UTC; at most a day ahead.

    Returns None when there is none, or it cannot be read.
    """
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        seconds = min(int(text[:10]), LONGEST_RETRY_AFTER)
        return now + seconds * MICROSECONDS
    try:
        moment = parsedate_to_datetime(text)
        # The oldest of the three forms names no zone, and means UTC all the same.
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        at = int(moment.timestamp() * MICROSECONDS)
    except (ValueError, OverflowError, TypeError):
        return None
    return min(max(at, now), now + LONGEST_RETRY_AFTER * MICROSECONDS)
