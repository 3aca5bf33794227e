"""What an attempt's end changes: the delivery, what is kept of the attempt, how the endpoint fares, the log."""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import partial
from typing import Literal

import msgspec
from msgspec import UNSET

from heliograph import publish
from heliograph.catalog.definition import EventDefinition
from heliograph.clock import MICROSECONDS
from heliograph.delivery import events, policy, store
from heliograph.delivery.channels import Channel, Job
from heliograph.delivery.model import AttemptDetail, AttemptRecord, Headers, Settlement, State, Timing, first_headers
from heliograph.delivery.outcome import OURS, Outcome
from heliograph.endpoints import faring
from heliograph.endpoints.model import Health
from heliograph.eventlog.model import RelatedEntity
from heliograph.ids import as_hex
from heliograph.storage.engine import Transaction
from heliograph.tenancy.access import as_system
from heliograph.tenancy.model import Scope

SUCCESS_SECONDS = 10
"""How far behind the stored time of an endpoint's last success may be, so that not every success is a write."""

TIMED_OUT = frozenset(("timeout", "connect_timeout", "gateway_timeout"))

Concern = Literal["warn", "disable", "gone"]
"""What is to be done about an endpoint beside noting how it fares."""


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """How often and how long an endpoint is tried. `warn_after` and `disable_after` in microseconds of failure."""

    schedule: tuple[int, ...] = policy.STANDARD_SCHEDULE
    warn_after: int = 2 * 86_400 * MICROSECONDS
    disable_after: int = 5 * 86_400 * MICROSECONDS


class Sent(msgspec.Struct, frozen=True):
    """What was sent, whatever becomes of the endpoint meanwhile: `headers` as they may be shown; microseconds UTC."""

    url: str
    headers: Headers
    at: int


class Ended(msgspec.Struct, frozen=True):
    """An attempt that is over; `at` in microseconds UTC."""

    job: Job
    sent: Sent
    outcome: Outcome
    reply: policy.Reply
    at: int

    @property
    def is_ours(self) -> bool:
        """Whether it failed through no fault of the receiver."""
        return self.outcome.outcome in OURS


def ended(job: Job, sent: Sent, outcome: Outcome, now: int) -> Ended:
    """Judge the end of an attempt."""
    return Ended(job, sent, outcome, _reply(outcome, now), now)


def _reply(outcome: Outcome, now: int) -> policy.Reply:
    """Return what the receiver's reply came to."""
    if outcome.delivered:
        return policy.Reply(status=outcome.status)
    value = next((text for name, text in outcome.headers if name.lower() == "retry-after"), None)
    # A status that came with an answer which then broke off is neither a success nor a farewell.
    usable = outcome.outcome == "gone" or (
        outcome.status is not None and outcome.status >= 300 and outcome.status != 410
    )
    return policy.Reply(
        status=outcome.status if usable else None,
        timed_out=outcome.outcome in TIMED_OUT,
        retry_after=policy.retry_after(value, now),
    )


def may_raise_events(rules: Rules, ended: Ended) -> bool:
    """Tell whether settling an attempt may have to lock its owner's log, for an event about the delivery."""
    job = ended.job
    if ended.outcome.delivered:
        return job.exhausted_at is not None
    return ended.outcome.outcome == "gone" or job.attempt - job.forgiven >= len(_schedule(rules, job.channel))


def _schedule(rules: Rules, channel: Channel) -> Sequence[int]:
    return channel.endpoint.settings.retry_schedule or rules.schedule


def settle(tx: Transaction, scope: Scope, rules: Rules, ended: Sequence[Ended]) -> None:
    """Store what became of attempts at deliveries of the tenant's events.

    One whose claim is another's by now changes nothing, and is kept as an attempt all the same.
    """
    settled = [(one, _settlement(rules, one, tx.now)) for one in ended]
    quiet = [settlement for one, settlement in settled if not may_raise_events(rules, one)]
    telling = [(one, settlement) for one, settlement in settled if may_raise_events(rules, one)]
    store.settle(tx, scope, quiet)
    store.insert_attempts(tx, scope, [(one.job.channel.endpoint.uid, one.job.seq, _record(one)) for one in ended])
    store.add_counts(tx, scope, [(one.job.channel.endpoint.uid, one.outcome.outcome) for one in ended])
    counted = store.settle_and_tell(tx, scope, [settlement for _, settlement in telling]) if telling else set()
    in_order = [
        (settlement.endpoint_uid, one.job.entity_key)
        for one, settlement in settled
        if settlement.state != "pending" and one.job.entity_key is not None
    ]
    if in_order:
        store.hand_on(tx, scope, in_order)
    for one, settlement in telling:
        if (settlement.endpoint_uid, settlement.seq) not in counted:
            continue
        if settlement.state == "exhausted":
            _tell(tx, scope, events.EXHAUSTED, one)
        elif settlement.state == "delivered":
            _tell(tx, scope, events.RECOVERED, one)


def _settlement(rules: Rules, ended: Ended, now: int) -> Settlement:
    job = ended.job
    state: State = "pending"
    if ended.outcome.delivered:
        state, due_at = "delivered", now
    elif ended.is_ours:
        due_at = policy.after_our_fault(job.forgiven, now)
    else:
        luck = random.random()  # noqa: S311 - spreads retries, guards nothing
        fate = policy.decide(ended.reply, job.attempt - job.forgiven, _schedule(rules, job.channel), now, luck)
        state, due_at = fate.state, fate.due_at or now
    return Settlement(
        endpoint_uid=job.channel.endpoint.uid, seq=job.seq, attempt=job.attempt, claim=job.claim, state=state,
        due_at=due_at, error_class=None if state == "delivered" else ended.outcome.outcome, forgive=ended.is_ours,
    )  # fmt: skip


def _record(ended: Ended) -> AttemptRecord:
    outcome = ended.outcome
    timings = outcome.timings
    detail = AttemptDetail(
        message=outcome.message,
        url=ended.sent.url,
        request_headers=ended.sent.headers,
        response_headers=first_headers(outcome.headers),
        body=outcome.body,
        truncated=outcome.truncated,
        address=outcome.address,
        http_version=outcome.http_version,
        timing=Timing(timings.resolve, timings.connect, timings.tls, timings.first_byte, timings.total),
    )
    return AttemptRecord(
        number=ended.job.attempt, started_at=ended.sent.at, error_class=outcome.outcome, status=outcome.status,
        detail=detail,
    )  # fmt: skip


def _tell(tx: Transaction, scope: Scope, definition: EventDefinition, ended: Ended) -> None:
    """Put on record what became of a delivery, in the log of its endpoint's owner; see `Message.is_operational`."""
    job, message = ended.job, ended.job.message
    if message.is_operational:
        return
    uid = as_hex(job.channel.endpoint.uid)
    fields = {
        "delivery_id": f"{uid}-{scope.tenant_uid}-{job.seq}",
        "endpoint_uid": uid,
        "tenant_uid": scope.tenant_uid,
        "event_id": message.id,
        "event_type": UNSET if message.type is None else message.type,
        "attempts": job.attempt,
    }
    if definition is events.EXHAUSTED:
        status = ended.outcome.status
        fields |= {"last_error": ended.outcome.outcome, "last_status": UNSET if status is None else status}
    body = definition.struct(**fields)
    related = (RelatedEntity(message.id, "Event"),)
    publish.record(tx, as_system(tx, job.channel.owner_id), definition, uid, lambda _: body, related=related)


# -- how endpoints fare ---------------------------------------------------------------------------------------------


def fare(tx: Transaction, ended: Sequence[Ended]) -> dict[Channel, Health]:
    """Note how endpoints fare, and return it; written only where it changes, or the last success is old.

    What the receiver at another URL answered, where the endpoint led before, says nothing about this one.
    """
    by_channel: dict[tuple[bytes, str], list[Ended]] = {}
    for one in ended:
        if not one.is_ours:
            by_channel.setdefault((one.job.channel.endpoint.uid, one.sent.url), []).append(one)
    known: dict[Channel, Health] = {}
    # In one order, so that two transactions never wait for each other.
    for (uid, url), ends in sorted(by_channel.items(), key=lambda pair: pair[0]):
        channel = ends[0].job.channel
        change = partial(_after, ends=ends)
        if _is_worth_a_write(channel.health, change(channel.health)):
            stored = faring.note(tx, as_system(tx, channel.owner_id), uid, change, url)
            if stored is not None:
                known[channel] = stored
    return known


def _after(health: Health, ends: Sequence[Ended]) -> Health:
    for one in ends:
        health = policy.after(health, one.reply, one.at)
        if not one.outcome.delivered:
            health = msgspec.structs.replace(health, last_error=one.outcome.outcome)
    return health


def _is_worth_a_write(old: Health, new: Health) -> bool:
    if new.last_failure_at != old.last_failure_at or new.failing_since != old.failing_since:
        return True
    return (new.last_success_at or 0) - (old.last_success_at or 0) >= SUCCESS_SECONDS * MICROSECONDS


def concern(rules: Rules, health: Health, now: int) -> Concern | None:
    """Tell what is to be done about an endpoint that fares like this."""
    if health.gone_at is not None:
        return "gone"
    verdict = policy.verdict(health, now, rules.warn_after, rules.disable_after)
    return None if verdict == "fine" else verdict
