"""Delivers: one thread that claims what is due under leases, has it sent, and settles it.

It waits neither for the database to write nor for a receiver: transactions are queued in the store, requests are the
sender's, and both put what came of them into an inbox. In each tenant there is at most one transaction at a time,
which settles and claims together; what ends meanwhile is settled by the next one, so that the busier it is the more
each one does.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Sequence
from functools import partial

from heliograph.clock import MICROSECONDS
from heliograph.delivery.channels import Channel, Job, Slots, is_stale
from heliograph.delivery.concerns import Concerns
from heliograph.delivery.counters import Counters
from heliograph.delivery.due import store as due
from heliograph.delivery.fanout import WAKE
from heliograph.delivery.outcome import Outcome
from heliograph.delivery.preparing import UNFIT, Cargo, attempt_of, jobs_of
from heliograph.delivery.rendering import shown
from heliograph.delivery.roster import Roster
from heliograph.delivery.settling import Ended, Rules, Sent, ended
from heliograph.delivery.transfer import Sending
from heliograph.delivery.turn import LEASE, MOST_CLAIMS, Done, Turn
from heliograph.errors import Refusal
from heliograph.ids import new_uid
from heliograph.storage.sealing import Sealer
from heliograph.storage.store import Settled, Store

log = logging.getLogger(__name__)

POLL = MICROSECONDS
"""How often to look for what other processes published, or left behind; microseconds."""

PACE_SECONDS = 0.005
"""The least time between two transactions in one tenant, unless much waits to be settled."""

BREATH_SECONDS = 0.002
"""The least time between two looks into the inbox: to wake up for each note would cost more than to see to it."""

BUSY_SECONDS = 0.03
"""The same where much is claimed already: more at a time costs less, and what is due waits for slots anyway."""

MUCH = 200
AGAIN = MICROSECONDS
DRAIN_SECONDS = 15.0
"""How long requests under way may take to end once the worker was told to stop; the rest is sent again later."""

FAREWELL_SECONDS = 5.0
"""How long settling may take once nothing is under way any more."""


class _Tenant:
    """A tenant that the worker sees to, and what waits for its next transaction."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.held_until = 0
        self.look_at: int | None = 0
        self.is_turning = False
        self.not_before = 0.0
        """By the monotonic clock: when the next transaction may be queued at the earliest."""
        self.much_may_come_before = True
        self.ended: list[Ended] = []
        self.released: list[Job] = []
        self.outstanding = 0
        """Deliveries that are claimed and not yet settled or released."""
        self.oldest_due: int | None = None
        self.active: frozenset[tuple[bytes, int]] | None = None


class Worker:
    """Sees to the deliveries of the tenants that are due, as one of any number of workers on one database."""

    def __init__(
        self, database: Store, sealer: Sealer, sender: Sending, rules: Rules, *, slots: int, origin: str,
        counters: Counters | None = None,
    ) -> None:  # fmt: skip
        self._database = database
        self._sender = sender
        self._rules = rules
        self._origin = origin
        self._holder = new_uid()
        self._roster = Roster(database, sealer)
        self._slots = Slots(slots)
        self._cargo = Cargo()
        self._concerns = Concerns(database, rules, sender, origin, self._later, self._change_of_heart)
        self._tenants: dict[int, _Tenant] = {}
        self._poll_at = 0
        self._draining = False
        self.counters = counters or Counters()
        # Shared with other threads.
        self._inbox: deque[Callable[[], None]] = deque()
        self._alarm = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="delivery", daemon=True)
        database.read(lambda tx: tx.memory.update({WAKE: self.wake}))

    # -- called on any thread ----------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin; what is due already is found at once."""
        self._thread.start()

    def retire(self) -> None:
        """Begin to stop, and return at once."""
        self._stop.set()
        self._alarm.set()

    def stop(self) -> None:
        """Claim nothing more, wait a while for what is under way, settle all, and end the sender."""
        self.retire()
        if self._thread.is_alive():
            self._thread.join()

    @property
    def is_resting(self) -> bool:
        """Whether nothing waits to be looked at, and no transaction is under way."""
        turning = any(tenant.is_turning for tenant in self._tenants.values())
        return not (self._inbox or turning or self._concerns.writing)

    def wake(self, tenant_id: int) -> None:
        """Take note that something is due in a tenant."""
        self._later(partial(self._look_into, tenant_id))

    def deliver(self, settled: Settled) -> None:
        """Take what became of transactions; called by a writer of the store."""
        for (tenant, turn), succeeded, value in settled:
            self._later(partial(self._turned if succeeded else self._failed, tenant, turn, value))

    def _later(self, note: Callable[[], None]) -> None:
        """Put a note into the inbox."""
        self._inbox.append(note)
        if not self._alarm.is_set():
            self._alarm.set()

    # -- the loop ----------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._stop.is_set():
            wait = self._safely()
            time.sleep(BREATH_SECONDS)
            self._alarm.wait(wait)
        self._drain()

    def _safely(self) -> float:
        try:
            return self.step()
        except Refusal as refusal:
            log.warning("deliveries are put off: %s", refusal.detail)
        except Exception:
            log.exception("the delivery worker failed and goes on")
        return AGAIN / MICROSECONDS

    def step(self) -> float:
        """Do all that can be done now, in the calling thread; return after how many seconds to do so again."""
        self._alarm.clear()
        while self._inbox:
            self._inbox.popleft()()
        now = self._database.clock.now()
        if now >= self._poll_at and not self._draining:
            self._poll_at = now + POLL
            self._roster.forget(now)
            for tenant_id in self._database.read(partial(due.tenants_to_see_to, now=now, holder=self._holder)):
                self._look_into(tenant_id)
        self._send(now)
        wait = self._begin_turns(now)
        counters, slots = self.counters, self._slots
        counters.in_flight, counters.waiting, counters.tenants = slots.in_flight, slots.waiting, len(self._tenants)
        overdue = [one.oldest_due for one in self._tenants.values() if one.oldest_due is not None]
        counters.oldest_due_seconds = max(0.0, (now - min(overdue, default=now)) / MICROSECONDS)
        return wait

    def _drain(self) -> None:
        self._draining = True
        for channel in self._roster:
            self._release(self._slots.drop(channel))
        self._until(lambda: not self._slots.in_flight, DRAIN_SECONDS)
        self._sender.close()
        self._until(lambda: not self._tenants and self.is_resting, FAREWELL_SECONDS)
        self._database.read(lambda tx: tx.memory.pop(WAKE, None))

    def _until(self, done: Callable[[], bool], seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not done() and time.monotonic() < deadline:
            self._alarm.wait(min(self._safely(), 0.1))

    def _look_into(self, tenant_id: int) -> None:
        if not self._draining:
            self._tenants.setdefault(tenant_id, _Tenant(tenant_id)).look_at = 0

    def _change_of_heart(self, channel: Channel) -> None:
        """See to everything again: an endpoint gives, or refuses, what it did not before."""
        if channel.is_held(self._database.clock.now()) or not channel.has_consent:
            self._release(self._slots.drop(channel))
        for tenant in self._tenants.values():
            tenant.look_at = 0

    # -- transactions ------------------------------------------------------------------------------------------------

    def _begin_turns(self, now: int) -> float:
        """Queue the transactions that are wanted now; return the seconds until the next one may be."""
        # Nobody polls while draining, so that the time for it would always be over.
        waits = [(AGAIN if self._draining else self._poll_at - now) / MICROSECONDS]
        pace = self._slots.next_pace()
        if pace is not None:
            waits.append((pace - now) / MICROSECONDS)
        for tenant in list(self._tenants.values()):
            if tenant.is_turning:
                continue
            at = self._next_turn(tenant, now)
            if at is None:
                continue
            paced = tenant.not_before - time.monotonic()
            if at <= now and (paced <= 0 or (tenant.much_may_come_before and len(tenant.ended) >= MUCH)):
                self._turn(tenant, now)
            else:
                waits.append(max((at - now) / MICROSECONDS, paced))
        return max(0.0, min(waits))

    def _next_turn(self, tenant: _Tenant, now: int) -> int | None:
        if tenant.ended or tenant.released:
            return now
        if self._draining:
            return None if tenant.outstanding else now
        moments = [] if tenant.look_at is None else [tenant.look_at]
        if tenant.held_until:
            moments.append(tenant.held_until - LEASE // 2)
        return min(moments, default=None)

    def _turn(self, tenant: _Tenant, now: int) -> None:
        over, tenant.ended = tenant.ended, []
        released, tenant.released = tenant.released, []
        self._cargo.unload(released + [one.job for one in over])
        claimed = tenant.outstanding - len(over) - len(released)
        turn = Turn(
            tenant_id=tenant.number,
            holder=self._holder,
            held_until=tenant.held_until,
            rules=self._rules,
            ended=over,
            released=released,
            offers=self._roster.offer,
            limit=self._cargo.limit(tenant.number, min(MOST_CLAIMS, self._slots.room(claimed))),
            idle=not claimed,
            stopping=self._draining,
        )
        tenant.look_at = None
        tenant.is_turning = True
        tenant.not_before = time.monotonic() + (PACE_SECONDS if tenant.outstanding < 2 * MUCH else BUSY_SECONDS)
        tenant.much_may_come_before = True
        self.counters.turns += 1
        try:
            self._database.write(turn.take, (tenant, turn), self, turn.owners(), ("deliver", tenant.number))
        except Refusal as refusal:
            self._failed(tenant, turn, refusal)

    def _failed(self, tenant: _Tenant, turn: Turn, error: Exception) -> None:
        """Put back what a transaction that was undone would have settled."""
        if isinstance(error, Refusal):
            log.warning("deliveries could not be settled or claimed: %s", error.detail)
        else:
            log.error("deliveries could not be settled or claimed", exc_info=error)
        tenant.is_turning = False
        tenant.ended[:0] = turn.ended
        tenant.released[:0] = turn.released
        self._cargo.load([*turn.released, *(one.job for one in turn.ended)])
        tenant.look_at = 0
        tenant.not_before = time.monotonic() + AGAIN / MICROSECONDS
        tenant.much_may_come_before = False

    def _turned(self, tenant: _Tenant, turn: Turn, done: Done) -> None:
        """Take over what a transaction settled and claimed."""
        now = self._database.clock.now()
        tenant.is_turning = False
        tenant.outstanding -= len(turn.ended) + len(turn.released)
        tenant.held_until = done.held_until if done.is_held else 0
        tenant.oldest_due = done.oldest_due
        if done.next_due is not None:
            tenant.look_at = done.next_due if tenant.look_at is None else min(tenant.look_at, done.next_due)
        self._fare(turn, done, now)
        if not done.is_held:
            self._release_of(tenant, ())
        elif done.active is not None and done.active != tenant.active:
            tenant.active = done.active
            self._release_of(tenant, done.active)
        if done.strangers:
            for channel in self._roster.learn(done.strangers, now):
                self._concerns.take_up(channel, now)
            tenant.look_at = 0
        if done.claims:
            tenant.look_at = 0 if len(done.claims) >= turn.limit else tenant.look_at
            room = self._cargo.room(tenant.number)
            jobs = jobs_of(self._database, self._roster, self.counters, done, now, room)
            tenant.outstanding += len(done.claims)
            tenant.released += jobs.left
            self._cargo.load(jobs.ready)
            if self._draining:
                tenant.released += jobs.ready
            else:
                self._slots.add(jobs.ready)
            for job in jobs.unfit:
                self._note(job, Sent(job.channel.endpoint.url, (), now), UNFIT, now)
        if (done.let_go or not done.is_held) and not tenant.outstanding and not (tenant.ended or tenant.released):
            # Somebody may have told of something new while the transaction was under way.
            if tenant.look_at == 0 and done.let_go and not self._draining:
                return
            del self._tenants[tenant.number]

    def _fare(self, turn: Turn, done: Done, now: int) -> None:
        for channel, health in done.health.items():
            channel.health = health
            if channel.is_held(now):
                self._release(self._slots.drop(channel))
        by_channel: dict[Channel, list[Ended]] = {}
        for one in turn.ended:
            if not one.outcome.delivered:
                by_channel.setdefault(one.job.channel, []).append(one)
        for channel, failed in by_channel.items():
            channel.failures -= len(failed)
            if not all(one.is_ours for one in failed):
                self._concerns.see_to(channel, now)
            self._slots.resume(channel)

    # -- requests ----------------------------------------------------------------------------------------------------

    def _send(self, now: int) -> None:
        if self._draining:
            return
        for job in self._slots.take(now):
            if is_stale(job, now) or job.channel.is_held(now):
                self._slots.withdraw(job)
                self._release([job])
                continue
            sent = Sent(job.channel.endpoint.url, (), now)
            try:
                attempt = attempt_of(job, now, self._origin)
                sent = Sent(sent.url, shown(attempt.headers, job.channel.secrets), now)
                self._sender.send(attempt, partial(self._answered, job, sent))
            except Exception:
                log.exception("a delivery to %s could not be sent", job.channel.endpoint.uid.hex())
                failure = Outcome(key="", outcome="sender_failed", message="The request could not be made.")
                self._answered(job, sent, failure)

    def _answered(self, job: Job, sent: Sent, outcome: Outcome) -> None:
        """Take what came of a request; called on the sender's thread."""
        self._later(partial(self._end, job, sent, outcome))

    def _end(self, job: Job, sent: Sent, outcome: Outcome) -> None:
        now = self._database.clock.now()
        self._slots.ended(job, now, outcome.timings.total / MICROSECONDS, success=outcome.delivered)
        if outcome.outcome == "shutdown":
            self._release([job])
        else:
            self._note(job, sent, outcome, now)

    def _note(self, job: Job, sent: Sent, outcome: Outcome, now: int) -> None:
        """Have the end of an attempt settled by the next transaction in its tenant."""
        self.counters.count_attempt(outcome.outcome)
        job.channel.failures += not outcome.delivered
        self._tenant_of(job).ended.append(ended(job, sent, outcome, now))

    def _release(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            self._tenant_of(job).released.append(job)

    def _release_of(self, tenant: _Tenant, active: Collection[tuple[bytes, int]]) -> None:
        """Give back what waits in a tenant for endpoints that were changed, or are not to get it any more."""
        for channel in self._roster:
            endpoint = channel.endpoint
            if channel.queue and (endpoint.uid, endpoint.version) not in active:
                jobs = self._slots.drop(channel)
                self._slots.add(job for job in jobs if job.tenant_id != tenant.number)
                self._release([job for job in jobs if job.tenant_id == tenant.number])

    def _tenant_of(self, job: Job) -> _Tenant:
        return self._tenants[job.tenant_id]
