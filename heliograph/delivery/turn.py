"""One transaction of the worker in one tenant: what ended is settled, what is due is claimed."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence

import msgspec

from heliograph.clock import MICROSECONDS
from heliograph.delivery import settling, store
from heliograph.delivery.channels import Channel, Job
from heliograph.delivery.due import store as due
from heliograph.delivery.model import Claimed, Prospect
from heliograph.delivery.settling import Ended, Rules
from heliograph.endpoints.model import Health
from heliograph.storage.engine import Transaction
from heliograph.tenancy.access import as_system
from heliograph.tenancy.model import Scope

LEASE = 30 * MICROSECONDS
"""How long a worker sees to a tenant without a sign of life; then others may."""

MOST_CLAIMS = 1000
"""Deliveries that one turn claims, so that no transaction is long and no tenant keeps the others waiting."""

TOGETHER = 20
"""Deliveries of one endpoint that are claimed together where many wait: they lie together on disk."""

RECHECK = MICROSECONDS
"""When to look again for room, should nothing of the tenant that ends give occasion to."""

CLAIM_BYTES = 16


class Offer(msgspec.Struct, frozen=True):
    """What the worker knows of an endpoint: its version, for how many deliveries it has room, and how it claims."""

    version: int
    room: int
    lease: int
    in_order: bool
    held_until: int


class Done(msgspec.Struct):
    """What a turn came to. `next_due` is when the tenant is to be looked at again, None while it is being worked on.

    `strangers` are endpoints that have something due and that the worker does not know, or not as they are now.
    """

    is_held: bool = True
    held_until: int = 0
    scope: Scope | None = None
    claim: bytes = b""
    claims: list[tuple[Claimed, int]] = []
    strangers: list[Prospect] = []
    next_due: int | None = None
    oldest_due: int | None = None
    let_go: bool = False
    health: dict[Channel, Health] = {}
    active: frozenset[tuple[bytes, int]] | None = None
    """The endpoints, with their versions, that get what is pending in the tenant; None when nobody looked."""
    is_over: bool = True
    """Whether there is nothing to do in the tenant before `next_due`."""


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """What a turn starts from; nothing else changes while it waits for its transaction.

    `holder` names the worker, `held_until` is when its lease of the tenant ends. `idle` when nothing of the tenant is
    claimed or under way. `limit` is how many deliveries may be claimed in all. `offers` is asked inside of the
    transaction, on a writer's thread, for how much an endpoint has room at that time: few of many are asked about.
    """

    tenant_id: int
    holder: bytes
    held_until: int
    rules: Rules
    ended: Sequence[Ended]
    released: Sequence[Job]
    offers: Callable[[bytes, int], Offer | None]
    limit: int
    idle: bool
    stopping: bool

    def owners(self) -> list[int]:
        """Return the tenants whose logs have to be locked: those of endpoints about which an event may be raised."""
        return sorted({e.job.channel.owner_id for e in self.ended if settling.may_raise_events(self.rules, e)})

    def take(self, tx: Transaction) -> Done:
        """Do it all in one transaction."""
        scope = as_system(tx, self.tenant_id)
        done = Done(scope=scope, held_until=self.held_until)
        if self.ended:
            settling.settle(tx, scope, self.rules, self.ended)
            done.health = settling.fare(tx, self.ended)
        if self.released:
            store.release(tx, scope, [(j.channel.endpoint.uid, j.seq, j.claim) for j in self.released])
        if self.stopping:
            if self.idle:
                self._let_go(tx, scope, done, tx.now)
            return done
        if not self._hold(tx, scope, done, LEASE // 2):
            return done
        self._claim(tx, scope, done)
        if self.idle and done.is_over:
            # Whoever publishes in another process waits for this row, or is seen by the second look.
            self._hold(tx, scope, done, 2 * LEASE)
            self._claim(tx, scope, done)
            if done.is_over:
                self._let_go(tx, scope, done, due.NEVER if done.next_due is None else done.next_due)
        return done

    def _hold(self, tx: Transaction, scope: Scope, done: Done, at_least: int) -> bool:
        """Make sure that the tenant is this worker's for a while."""
        if done.held_until <= tx.now + at_least:
            done.held_until = tx.now + LEASE
            done.is_held = due.hold(tx, scope, self.holder, done.held_until)
        return done.is_held

    def _let_go(self, tx: Transaction, scope: Scope, done: Done, next_due: int) -> None:
        due.let_go(tx, scope, self.holder, next_due)
        done.let_go = True
        done.held_until = 0

    def _claim(self, tx: Transaction, scope: Scope, done: Done) -> None:
        active = [one for one in due.prospects(tx, scope) if one.state == "active"]
        done.active = frozenset((one.endpoint_uid, one.version) for one in active)
        ready: list[tuple[Prospect, Offer]] = []
        later: list[int] = []
        held = self._held_since(done)
        for one in active:
            offer = self.offers(one.endpoint_uid, tx.now)
            if one.first_due > tx.now:
                later.append(one.first_due)
            elif offer is None or offer.version != one.version:
                done.strangers.append(one)
            elif (until := max(offer.held_until, held.get(one.endpoint_uid, 0))) > tx.now:
                later.append(until)
            elif offer.room > 0:
                ready.append((one, offer))
            else:
                later.append(tx.now + RECHECK)
        done.next_due = min(later, default=None)
        done.oldest_due = min((one.first_due for one in active), default=None)
        if ready and self.limit > 0:
            self._claim_due(tx, scope, done, sorted(ready, key=lambda pair: pair[0].first_due)[: self.limit])
        if ready and not done.claims:
            # There is no slot for it; or all that was looked at waits for others, and more lies behind it.
            done.next_due = tx.now if self.limit > 0 else min([tx.now + RECHECK, *later])
        done.is_over = not (done.strangers or (ready and self.limit > 0))

    def _held_since(self, done: Done) -> dict[bytes, int]:
        """Return until when endpoints are left alone by what was settled in this very transaction."""
        held = {channel.endpoint.uid: health.slowed_until or 0 for channel, health in done.health.items()}
        gone = [one for one in self.ended if one.outcome.outcome == "gone"]
        return held | {one.job.channel.endpoint.uid: one.at + RECHECK for one in gone}

    def _claim_due(self, tx: Transaction, scope: Scope, done: Done, ready: list[tuple[Prospect, Offer]]) -> None:
        """Claim of the endpoints in turn as much as they have room for, those first that have waited longest."""
        done.claim = secrets.token_bytes(CLAIM_BYTES)
        until = {one.endpoint_uid: tx.now + offer.lease for one, offer in ready}
        left = self.limit
        while ready and left > 0:
            some = ready[: max(1, left // TOGETHER)]
            ready = ready[len(some) :]
            claimed = self._claim_of(tx, scope, done.claim, some, max(1, left // len(some)))
            done.claims += [(one, until[one.endpoint_uid]) for one in claimed]
            left -= len(claimed)

    def _claim_of(
        self, tx: Transaction, scope: Scope, token: bytes, some: Sequence[tuple[Prospect, Offer]], each: int
    ) -> list[Claimed]:
        plain = [
            (one.endpoint_uid, min(offer.room, each), tx.now + offer.lease) for one, offer in some if not offer.in_order
        ]
        claimed = store.claim(tx, scope, plain, token) if plain else []
        for one, offer in some:
            if offer.in_order:
                until = tx.now + offer.lease
                claimed += store.claim_in_order(tx, scope, one.endpoint_uid, min(offer.room, each), until, token)
        return claimed
