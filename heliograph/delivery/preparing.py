"""Claims become jobs, and jobs requests: every event is read once, and rendered once in each format."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import partial

import msgspec

from heliograph.clock import MICROSECONDS
from heliograph.delivery.channels import Job
from heliograph.delivery.counters import Counters
from heliograph.delivery.outcome import Outcome
from heliograph.delivery.rendering import Message, render, request_headers
from heliograph.delivery.roster import Roster
from heliograph.delivery.transfer import Attempt
from heliograph.delivery.turn import Done
from heliograph.endpoints.model import Format
from heliograph.errors import Refusal
from heliograph.eventlog.paging import events_at
from heliograph.ids import Secret
from heliograph.storage.engine import Transaction
from heliograph.storage.store import Store
from heliograph.tenancy.model import Scope

log = logging.getLogger(__name__)


MOST_BYTES = 64 * 1024 * 1024
"""Bytes of messages that claimed deliveries may hold in one process, but for what one more may have too much."""

READ_AT_ONCE = 50
"""Events that are read together, so that few are in memory that turn out to be too much."""

UNFIT = Outcome(
    key="", outcome="sender_failed", message="The event could not be put into the endpoint's format."
)  # fmt: skip

_NOTHING = Message("", None, 0, False, None, (), b"")


class Jobs(msgspec.Struct, frozen=True):
    """What claims became: jobs to be sent, those to give back untried, and those whose attempt ends as `UNFIT`."""

    ready: list[Job]
    left: list[Job]
    unfit: list[Job]


class Cargo:
    """What the messages of claimed deliveries take up; one that several deliveries share counts once."""

    def __init__(self) -> None:
        self._holders: dict[int, int] = {}
        self._bytes = 0
        self._of_tenant: Counter[int] = Counter()

    def room(self, tenant_id: int) -> int:
        """Return how many bytes more a tenant may have: it never takes more than it leaves to the others.

        There is always room for a message of one that has none.
        """
        own = self._of_tenant[tenant_id]
        return max((MOST_BYTES - self._bytes - own) // 2, 0 if own else 1)

    def limit(self, tenant_id: int, wanted: int) -> int:
        """Return how many of so many deliveries a tenant may claim, going by the usual size of a message."""
        room = self.room(tenant_id)
        if room == 0 or not self._bytes:
            return wanted if room else 0
        return min(wanted, max(1, room * len(self._holders) // self._bytes))

    def load(self, jobs: Iterable[Job]) -> None:
        """Count jobs in."""
        for job in jobs:
            if job.message is _NOTHING:
                continue
            holders = self._holders.get(id(job.message), 0)
            self._holders[id(job.message)] = holders + 1
            if not holders:
                self._count(job, len(job.message.body))

    def unload(self, jobs: Iterable[Job]) -> None:
        """Count jobs out that are settled or given back, also those that never were counted in."""
        for job in jobs:
            holders = self._holders.pop(id(job.message), 0)
            if holders > 1:
                self._holders[id(job.message)] = holders - 1
            elif holders:
                self._count(job, -len(job.message.body))

    def _count(self, job: Job, size: int) -> None:
        self._bytes += size
        self._of_tenant[job.tenant_id] += size
        if not self._of_tenant[job.tenant_id]:
            del self._of_tenant[job.tenant_id]


def jobs_of(database: Store, roster: Roster, counters: Counters, done: Done, now: int, room: int) -> Jobs:
    """Return the jobs for what a turn claimed.

    Those are to be given back whose messages exceed `room` bytes, or whose events cannot be read now.
    """
    scope = done.scope
    assert scope is not None
    channels = [roster.channel(claimed.endpoint_uid) for claimed, _ in done.claims]
    names = [
        (claimed.seq, channel.endpoint.settings.format)
        for (claimed, _), channel in zip(done.claims, channels, strict=True)
    ]
    try:
        messages = database.read(partial(_messages, scope=scope, names=sorted(set(names)), room=room))
    except Refusal as refusal:
        log.warning("events to deliver could not be read: %s", refusal.detail)
        messages = {}
    jobs = Jobs([], [], [])
    for (claimed, until), channel, name in zip(done.claims, channels, names, strict=True):
        message = messages.get(name, _NOTHING)
        if claimed.attempts == 1 and message is not _NOTHING:
            counters.count_claim((now - claimed.created_at) / MICROSECONDS)
        (jobs.unfit if message is None else jobs.left if message is _NOTHING else jobs.ready).append(
            Job(
                channel,
                message or _NOTHING,
                tenant_id=scope.tenant_id,
                tenant_uid=scope.tenant_uid,
                seq=claimed.seq,
                attempt=claimed.attempts,
                forgiven=claimed.forgiven,
                entity_key=claimed.entity_key,
                exhausted_at=claimed.exhausted_at,
                claim=done.claim,
                until=until,
            )
        )
    return jobs


def _messages(
    tx: Transaction, scope: Scope, names: Sequence[tuple[int, Format]], room: int
) -> dict[tuple[int, Format], Message | None]:
    """Read and render events by (seq, format) until `room` bytes are used up; None for one that cannot be rendered."""
    messages: dict[tuple[int, Format], Message | None] = {}
    for start in range(0, len(names), READ_AT_ONCE):
        some = names[start : start + READ_AT_ONCE]
        events = events_at(tx, scope, dict.fromkeys(seq for seq, _ in some))
        for seq, format in some:
            if room <= 0:
                return messages
            try:
                message = messages[seq, format] = render(events[seq], format)
            except Exception:
                log.exception("event %d of tenant %s could not be rendered", seq, scope.tenant_uid)
                messages[seq, format] = None
            else:
                room -= len(message.body)
    return messages


def attempt_of(job: Job, now: int, origin: str) -> Attempt:
    """Return the request for a job as it is made at that time; for `origin` see `request_headers`."""
    channel = job.channel
    secrets, endpoint = channel.secrets, channel.endpoint
    return Attempt(
        key=job.message.id,
        tenant_uid=channel.owner_uid,
        destination=channel.destination,
        headers=request_headers(job.message, endpoint, secrets, now, origin),
        body=job.message.body,
        timeout=endpoint.settings.timeout,
        ca=secrets.ca,
        certificate=secrets.client_certificate,
        private_key=None if secrets.client_key is None else Secret(secrets.client_key),
    )
