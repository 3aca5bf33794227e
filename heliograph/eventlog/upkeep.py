"""What the platform does for its own sake: tell of its failures and its clock, and forget old repeats."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from functools import partial

import msgspec
from msgspec import UNSET

from heliograph import publish
from heliograph.catalog.definition import EventDefinition
from heliograph.clock import MICROSECONDS
from heliograph.errors import Refusal
from heliograph.eventlog import events, store
from heliograph.storage.engine import Transaction
from heliograph.storage.store import Settled, Store
from heliograph.tenancy.access import root_scopes, system_scope
from heliograph.tenancy.model import Scope

log = logging.getLogger(__name__)

ERROR_INTERVAL_SECONDS = 60.0
"""At most one event for each kind of technical error in this time."""

WATCH_SECONDS = 5.0
FORGET_SECONDS = 3600.0
FORGET_CHUNK = 500

TOLERATED_LAG = MICROSECONDS
"""Microseconds by which the clock may be behind the newest event, as several servers' clocks differ a little."""


class _Nobody:
    """Takes answers that nobody waits for; a failure to record is logged and never recorded in its turn."""

    def deliver(self, settled: Settled) -> None:
        for _, succeeded, error in settled:
            if not succeeded:
                log.error("an event about the platform could not be recorded: %r", error)


class Upkeep:
    """Records the platform's own events in the log of each root company, and runs the recurring small work."""

    def __init__(self, database: Store, *, remember_days: int) -> None:
        self._database = database
        self._remember = remember_days * 86_400 * MICROSECONDS
        self._nobody = _Nobody()
        self._lock = threading.Lock()
        self._last: dict[str, tuple[float, int]] = {}
        """For each kind of error: when it was last recorded, and how many were not since."""
        self._told: set[str] = set()
        """The types of clock trouble that the log already knows of."""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="upkeep", daemon=True)

    def start(self) -> None:
        """Begin the recurring work."""
        self._thread.start()

    def stop(self) -> None:
        """End it."""
        self._stop.set()
        self._thread.join()

    def technical_error(self, kind: str, detail: str, request_id: str | None = None) -> None:
        """Record that something failed inside the platform, outside the transaction that failed.

        `kind` and `detail` are our own words: an error's message may hold what a client sent.
        """
        with self._lock:
            last, suppressed = self._last.get(kind, (0.0, 0))
            now = time.monotonic()
            if last and now - last < ERROR_INTERVAL_SECONDS:
                self._last[kind] = (last, suppressed + 1)
                return
            self._last[kind] = (now, 0)
        body = events.TechnicalError(kind=kind, detail=detail, request_id=request_id or UNSET, suppressed=suppressed)
        self._record(events.TECHNICAL_ERROR, body)

    def watch_clock(self) -> None:
        """Record a clock that is behind the log or has jumped forward, once for each time that it happens."""
        jump = self._database.clock.ignored_jump
        behind = self._database.read(clock_lag)
        self._tell(events.CLOCK_JUMPED, jump, lambda: events.ClockJumped(ahead_microseconds=jump))
        late = behind if behind > TOLERATED_LAG else 0
        self._tell(events.CLOCK_BEHIND, late, lambda: events.ClockBehind(behind_microseconds=late))

    def forget_repeats(self) -> None:
        """Drop what was remembered of requests longer ago than repeats are recognised, in small steps."""
        before = self._database.clock.now() - self._remember
        for tenant_id, tenant_uid in self._database.read(store.logs):
            scope = system_scope(tenant_id, tenant_uid)
            after: bytes | None = b""
            while after is not None and not self._stop.is_set():
                step = partial(store.forget, scope=scope, before=before, after=after, limit=FORGET_CHUNK)
                after = self._database.execute(step, lane=("upkeep", tenant_id))

    def _tell(self, definition: EventDefinition, amount: int, body: Callable[[], msgspec.Struct]) -> None:
        if not amount:
            self._told.discard(definition.type)
        elif definition.type not in self._told and self._record(definition, body()):
            self._told.add(definition.type)

    def _record(self, definition: EventDefinition, body: msgspec.Struct) -> bool:
        """Queue the event; tell whether that was possible."""
        try:
            scopes = self._database.read(root_scopes)
            tenants = [scope.tenant_id for scope in scopes]
            step = partial(_record_in_each, scopes=scopes, definition=definition, body=body)
            self._database.write(step, None, self._nobody, tenants)
        except Refusal as refusal:
            log.error("an event about the platform could not be recorded: %s", refusal.detail)
            return False
        return True

    def _run(self) -> None:
        next_forgetting = 0.0
        while not self._stop.wait(WATCH_SECONDS):
            try:
                self.watch_clock()
                if time.monotonic() >= next_forgetting:
                    self.forget_repeats()
                    next_forgetting = time.monotonic() + FORGET_SECONDS
            except Refusal as refusal:
                log.warning("upkeep was put off: %s", refusal.detail)
            except Exception:
                log.exception("upkeep failed")


def _record_in_each(tx: Transaction, scopes: list[Scope], definition: EventDefinition, body: msgspec.Struct) -> None:
    for scope in scopes:
        publish.record(tx, scope, definition, scope.tenant_uid, lambda _: body)


def clock_lag(tx: Transaction) -> int:
    """Return by how many microseconds the clock is behind the newest event; negative when it is not."""
    return store.newest_time(tx) - tx.now
