"""Claims become jobs: every event is read once, and rendered once in each format."""

from __future__ import annotations

import logging
from functools import partial

from heliograph.clock import MICROSECONDS
from heliograph.delivery.channels import Job
from heliograph.delivery.counters import Counters
from heliograph.delivery.rendering import Message, render
from heliograph.delivery.roster import Roster
from heliograph.delivery.turn import Done
from heliograph.errors import Refusal
from heliograph.eventlog.paging import events_at
from heliograph.storage.store import Store

log = logging.getLogger(__name__)


def jobs_of(database: Store, roster: Roster, counters: Counters, done: Done, now: int) -> list[Job]:
    """Return the jobs for what a turn claimed.

    What cannot be read or rendered is left alone until its claim ends, and then claimed again.
    """
    scope = done.scope
    assert scope is not None
    seqs = sorted({claimed.seq for claimed, _ in done.claims})
    try:
        events = database.read(partial(events_at, scope=scope, seqs=seqs))
    except Refusal as refusal:
        log.warning("events to deliver could not be read: %s", refusal.detail)
        return []
    messages: dict[tuple[int, str], Message] = {}
    jobs = []
    for claimed, until in done.claims:
        channel = roster.channel(claimed.endpoint_uid)
        format = channel.endpoint.settings.format
        name = (claimed.seq, format)
        try:
            message = messages.get(name) or messages.setdefault(name, render(events[claimed.seq], format))
        except Exception:
            log.exception("event %d of tenant %s could not be rendered", claimed.seq, scope.tenant_uid)
            continue
        if claimed.attempts == 1:
            counters.count_claim((now - claimed.created_at) / MICROSECONDS)
        jobs.append(
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
    return jobs
