"""Claims become jobs: every event is read once, and rendered once in each format."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import partial

from heliograph.clock import MICROSECONDS
from heliograph.delivery.channels import Job
from heliograph.delivery.counters import Counters
from heliograph.delivery.rendering import Message, render
from heliograph.delivery.roster import Roster
from heliograph.delivery.turn import Done
from heliograph.endpoints.model import Format
from heliograph.errors import Refusal
from heliograph.eventlog.paging import events_at
from heliograph.storage.engine import Transaction
from heliograph.storage.store import Store
from heliograph.tenancy.model import Scope

log = logging.getLogger(__name__)


MOST_BYTES = 64 * 1024 * 1024
"""Bytes of messages that claimed deliveries may hold in one process, but for what one more may have too much."""

READ_AT_ONCE = 50
"""Events that are read together, so that few are in memory that turn out to be too much."""

_NOTHING = Message("", None, 0, False, None, (), b"")


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


def jobs_of(
    database: Store, roster: Roster, counters: Counters, done: Done, now: int, room: int
) -> tuple[list[Job], list[Job]]:
    """Return the jobs for what a turn claimed, and those to give back because their messages exceed `room` bytes.

    What cannot be read is given back, too. What cannot be rendered is left alone until its claim ends.
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
    jobs: list[Job] = []
    left: list[Job] = []
    for (claimed, until), channel, name in zip(done.claims, channels, names, strict=True):
        message = messages.get(name, _NOTHING)
        if message is None:
            continue
        if claimed.attempts == 1 and message is not _NOTHING:
            counters.count_claim((now - claimed.created_at) / MICROSECONDS)
        (left if message is _NOTHING else jobs).append(
            Job(
                channel,
                message,
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
    return jobs, left


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
