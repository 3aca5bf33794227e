"""Who may send now: slots for each endpoint, for its owner and for the process, and rates; no thread, no clock.

Three limits keep endpoints from delaying each other. An endpoint begins with one request at a time and gets more, up
to its concurrency, as requests succeed; a failure takes it back to one. One owner has at most half of the slots, and
all endpoints that answer slowly have at most half of them together. Everybody else takes turns: owner by owner, and
endpoint by endpoint of each.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable
from math import ceil
from typing import Literal

from heliograph.clock import MICROSECONDS
from heliograph.delivery.guard import Destination
from heliograph.delivery.rendering import Message
from heliograph.endpoints.model import Endpoint, EndpointSecrets, Health
from heliograph.ids import Uid

MOST_AHEAD = 500
"""Deliveries of one endpoint that are claimed and neither sent nor settled."""

MARGIN_SECONDS = 30
"""How much longer a claim lasts than the endpoint's time-out."""

SPARE_SECONDS = 5
"""What has to be left of a claim when its attempt's time is out, to settle it."""

ROUNDING = 1e-6
"""What may be missing of the right to send one, since times are whole microseconds."""

CLAIMED_PER_SLOT = 10
"""Deliveries that may be claimed by the process for each slot that it has."""

SLOW_SECONDS = 1.0
_WEIGHT = 0.2
"""How much the last answer counts in an endpoint's usual time to answer."""


class Job:
    """A claimed delivery; `until` is when the claim ends, microseconds UTC."""

    __slots__ = (
        "attempt", "channel", "claim", "entity_key", "exhausted_at", "forgiven", "message", "seq", "tenant_id",
        "tenant_uid", "until",
    )  # fmt: skip

    def __init__(
        self, channel: Channel, message: Message, *, tenant_id: int, tenant_uid: str, seq: int, attempt: int,
        forgiven: int, entity_key: int | None, exhausted_at: int | None, claim: bytes, until: int,
    ) -> None:  # fmt: skip
        self.channel = channel
        self.message = message
        self.tenant_id = tenant_id
        self.tenant_uid = tenant_uid
        self.seq = seq
        self.attempt = attempt
        self.forgiven = forgiven
        self.entity_key = entity_key
        self.exhausted_at = exhausted_at
        self.claim = claim
        self.until = until


class Channel:
    """An endpoint as this process sends to it, for all the tenants whose events it gets."""

    def __init__(
        self, owner_id: int, owner_uid: Uid, endpoint: Endpoint, secrets: EndpointSecrets, destination: Destination
    ) -> None:
        self.owner_id = owner_id
        self.owner_uid = owner_uid
        self.queue: deque[Job] = deque()
        self.in_flight = 0
        self.failures = 0
        """Attempts that failed and are not yet settled: what follows from them is not known, so nothing is sent."""
        self._window = 1
        self._usual_seconds = 0.0
        self._tokens = 1.0
        self._tokens_at = 0
        self._taken = 0
        self._taken_since = 0
        self._per_second = 0.0
        self._answered_at = 0
        self.read_at = 0
        self.learn(endpoint, secrets, destination)

    def learn(self, endpoint: Endpoint, secrets: EndpointSecrets, destination: Destination) -> None:
        """Take over what was changed of the endpoint."""
        self.endpoint = endpoint
        self.secrets = secrets
        self.destination = destination
        self.health: Health = endpoint.health
        self.consent: Literal["unknown", "asked", "given"] = "unknown" if self.health.consented_at is None else "given"
        self.leaving = False
        """Being disabled: nothing more is claimed or sent."""
        self.is_proven = False
        """Whether it has taken anything as it is now."""

    @property
    def lease(self) -> int:
        """How long a claim lasts, in microseconds."""
        return (self.endpoint.settings.timeout + MARGIN_SECONDS) * MICROSECONDS

    @property
    def is_slow(self) -> bool:
        """Whether it usually takes long to answer."""
        return self._usual_seconds > SLOW_SECONDS

    @property
    def has_consent(self) -> bool:
        """Whether events may be sent as far as the receiver's consent goes."""
        return self.endpoint.settings.consent == "off" or self.consent == "given"

    @property
    def is_busy(self) -> bool:
        """Whether something waits to be sent, is under way, or failed and is not yet settled."""
        return bool(self.queue or self.in_flight or self.failures)

    def is_held(self, now: int) -> bool:
        """Tell whether nothing may be sent now: the receiver asked for less, or is to be disabled."""
        return self.is_leaving or (self.health.slowed_until or 0) > now

    @property
    def is_leaving(self) -> bool:
        """Whether it is being disabled, or is to be."""
        return self.leaving or self.health.gone_at is not None

    def room(self, now: int) -> int:
        """Return how many more deliveries are worth claiming: about what the endpoint takes in a second.

        One that is silent, or new, takes little away from the others.
        """
        if self.is_held(now) or not self.has_consent:
            return 0
        ahead = 2 * self._window + 2
        if self._answered_at + MICROSECONDS > now:
            ahead = max(ahead, int(self._per_second))
        rate = self._rate()
        if rate is not None:
            ahead = min(ahead, max(1, int(rate)))
        return max(0, min(ahead, MOST_AHEAD) - len(self.queue) - self.in_flight)

    def may_send(self) -> bool:
        """Tell whether there is something to send, and a slot of the endpoint's own for it."""
        return bool(self.queue) and self.in_flight < self._window and not self.failures

    def pace(self, now: int) -> int:
        """Return when the rate next allows an event: at once, or a time ahead."""
        rate = self._rate()
        if rate is None:
            return now
        # A clock that was set back takes nothing away.
        passed = max(0, now - self._tokens_at)
        self._tokens = min(max(1.0, rate), self._tokens + passed * rate / MICROSECONDS)
        self._tokens_at = now
        missing = 1 - self._tokens
        return now if missing < ROUNDING else now + ceil(missing * MICROSECONDS / rate)

    def _rate(self) -> float | None:
        rates = [float(self.endpoint.settings.rate)] if self.endpoint.settings.rate is not None else []
        if self.health.allowed_rate is not None:
            rates.append(self.health.allowed_rate / 60)
        return min(rates, default=None)

    def sent(self, now: int) -> None:
        """Note that a request was made."""
        self.in_flight += 1
        self._tokens -= 1
        if self._taken_since + MICROSECONDS <= now:
            elapsed = (now - self._taken_since) / MICROSECONDS
            self._per_second = self._taken / elapsed if elapsed < 10 else 0.0
            self._taken, self._taken_since = 0, now
        self._taken += 1
        self._per_second = max(self._per_second, float(self._taken))

    def withdrawn(self) -> None:
        """Note that a request was not made after all: what the rate allowed is still allowed."""
        self._tokens += 1

    def answered(self, now: int, seconds: float, *, success: bool) -> None:
        """Note that a request ended: more at a time after a success, one after a failure."""
        self._answered_at = now
        self.is_proven = self.is_proven or success
        self._usual_seconds += (seconds - self._usual_seconds) * _WEIGHT
        self._window = min(self._window * 2, self.endpoint.settings.concurrency) if success else 1


class Slots:
    """The slots of the process, and whose turn it is."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.in_flight = 0
        self.waiting = 0
        self._share = max(1, capacity // 2)
        self._unproven_share = max(2, capacity // 8)
        self._slow = 0
        self._of_owner: dict[int, int] = {}
        self._ready: OrderedDict[int, OrderedDict[Channel, None]] = OrderedDict()
        self._paced: dict[Channel, int] = {}
        self._slow_ones: set[Job] = set()
        self._unproven: dict[Job, int] = {}
        """Jobs in flight of endpoints that have not taken anything yet, with the owners of these."""

    def room(self, claimed: int) -> int:
        """Return how many deliveries more a tenant may claim that has so many: at most as many as it leaves to others.

        One that has none may always claim one.
        """
        left = self.capacity * CLAIMED_PER_SLOT - self.in_flight - self.waiting
        return max((left - claimed + 1) // 2, 0 if claimed else 1)

    def add(self, jobs: Iterable[Job]) -> None:
        """Put jobs behind those that wait."""
        for job in jobs:
            job.channel.queue.append(job)
            self.waiting += 1
            self._make_ready(job.channel)

    def _make_ready(self, channel: Channel) -> None:
        if channel.may_send() and channel not in self._paced:
            self._ready.setdefault(channel.owner_id, OrderedDict())[channel] = None

    def resume(self, channel: Channel) -> None:
        """Let an endpoint's turn come again, after what kept it from sending is over."""
        self._make_ready(channel)

    def next_pace(self) -> int | None:
        """Return when the first of those is to be looked at that wait for their rate."""
        return min(self._paced.values(), default=None)

    def take(self, now: int) -> list[Job]:
        """Return the jobs that are to be sent now, or released where `is_stale` says so."""
        for channel in [channel for channel, at in self._paced.items() if at <= now]:
            del self._paced[channel]
            self._make_ready(channel)
        taken: list[Job] = []
        passed = 0
        while self._ready and passed < len(self._ready) and self.in_flight < self.capacity:
            owner_id, channels = self._ready.popitem(last=False)
            job = self._next_of(owner_id, channels, now)
            if channels:
                self._ready[owner_id] = channels
            if job is not None:
                taken.append(job)
                passed = 0
            elif channels:
                passed += 1
        return taken

    def _next_of(self, owner_id: int, channels: OrderedDict[Channel, None], now: int) -> Job | None:
        if self._of_owner.get(owner_id, 0) >= self._share:
            return None
        for _ in range(len(channels)):
            channel, _ = channels.popitem(last=False)
            if not channel.may_send():
                continue
            if self._has_its_share(channel):
                channels[channel] = None
                continue
            at = channel.pace(now)
            if at > now:
                self._paced[channel] = at
                continue
            job = self._send(channel, now)
            if channel.may_send():
                channels[channel] = None
            return job
        return None

    def _has_its_share(self, channel: Channel) -> bool:
        """Tell whether endpoints like this one take up as many slots as they may."""
        if channel.is_slow and self._slow >= self._share:
            return True
        if channel.is_proven:
            return False
        return sum(owner == channel.owner_id for owner in self._unproven.values()) >= self._unproven_share

    def _send(self, channel: Channel, now: int) -> Job:
        job = channel.queue.popleft()
        self.waiting -= 1
        self.in_flight += 1
        self._of_owner[channel.owner_id] = self._of_owner.get(channel.owner_id, 0) + 1
        if channel.is_slow:
            self._slow += 1
            self._slow_ones.add(job)
        if not channel.is_proven:
            self._unproven[job] = channel.owner_id
        channel.sent(now)
        return job

    def ended(self, job: Job, now: int, seconds: float, *, success: bool) -> None:
        """Free the slot of a job after that long."""
        job.channel.answered(now, seconds, success=success)
        self._free(job)

    def withdraw(self, job: Job) -> None:
        """Free the slot of a job that was taken and not sent."""
        job.channel.withdrawn()
        self._free(job)

    def _free(self, job: Job) -> None:
        channel = job.channel
        channel.in_flight -= 1
        self.in_flight -= 1
        self._of_owner[channel.owner_id] -= 1
        self._unproven.pop(job, None)
        if job in self._slow_ones:
            self._slow_ones.remove(job)
            self._slow -= 1
        self._make_ready(channel)

    def drop(self, channel: Channel) -> list[Job]:
        """Return what waits for an endpoint, and let it wait no more."""
        jobs = list(channel.queue)
        channel.queue.clear()
        self.waiting -= len(jobs)
        self._paced.pop(channel, None)
        return jobs


def is_stale(job: Job, now: int) -> bool:
    """Tell whether a claim may end before an attempt that begins now has been settled."""
    return now + (job.channel.endpoint.settings.timeout + SPARE_SECONDS) * MICROSECONDS > job.until
