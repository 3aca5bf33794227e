"""What the conformance tests are written with: time that a test moves itself, logs that need no tenancy, waiting."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from itertools import count
from typing import TYPE_CHECKING, Any

import msgspec

from heliograph import publish
from heliograph.clock import Clock
from heliograph.eventlog import store as log
from heliograph.eventlog.model import Event
from heliograph.ids import new_uid
from heliograph.storage.postgres import PostgresEngine
from heliograph.storage.sqlite import SqliteEngine
from heliograph.storage.store import Settled, Store
from heliograph.tenancy.access import system_scope

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from heliograph.storage.engine import Engine, Transaction
    from heliograph.tenancy.model import Scope
    from tests.conftest import StoreUrl

PATIENCE = 30.0
"""Seconds after which something that never comes fails its test instead of hanging it."""

START_OF_TIME = 1_790_000_000_000_000

_TENANT_NUMBERS = count(1)


class HandClock:
    """A wall clock that moves only when a test moves it, in microseconds UTC."""

    def __init__(self) -> None:
        self.wall = START_OF_TIME

    def now(self) -> int:
        return self.wall

    def clock(self) -> Clock:
        """Return the platform's clock reading this one; however it is moved, that is believed."""
        return Clock(2**62, self.now, lambda: 0)


class Waiters:
    """Takes the answers of the store's groups and hands them to futures, as an event loop would."""

    def __init__(self) -> None:
        self.deliveries: list[int] = []

    def deliver(self, settled: Settled) -> None:
        self.deliveries.append(len(settled))
        for future, succeeded, value in settled:
            if succeeded:
                future.set_result(value)
            else:
                future.set_exception(value)


class Gate:
    """A function that holds a writer until it is opened, so that what is queued meanwhile becomes one group."""

    def __init__(self, store: Store, waiters: Waiters, tenants: Sequence[int] = ()) -> None:
        self._entered = threading.Event()
        self._opened = threading.Event()
        self.passed: Future[Any] = Future()
        store.write(self._hold, self.passed, waiters, tenants)
        assert self._entered.wait(PATIENCE)

    def _hold(self, tx: Transaction) -> None:
        del tx
        self._entered.set()
        assert self._opened.wait(PATIENCE)

    def open(self) -> None:
        """Let the writer go on."""
        self._opened.set()


def engine_of(url: StoreUrl) -> Engine:
    """Return the engine for a fresh place."""
    if url.database_url is None:
        return SqliteEngine(url.data / "heliograph.db", "NORMAL")
    return PostgresEngine(url.database_url)


def store_on(engine: Engine, time: HandClock | None = None, **options: Any) -> Store:
    """Open a store with the platform's own handlers."""
    clock = (time or HandClock()).clock()
    return Store(engine, clock, **{"append": publish.ingest, "lock": log.lock_heads, "readers": 1, **options})


def open_log(tx: Transaction) -> Scope:
    """Make one more log, of a tenant that nobody else uses, and return the right to it."""
    scope = system_scope(next(_TENANT_NUMBERS), new_uid().hex())
    log.open_log(tx, scope)
    return scope


def open_logs(store: Store, how_many: int = 1) -> list[Scope]:
    """Make logs and return the right to each, in the order of their tenants' numbers."""
    return store.execute(lambda tx: [open_log(tx) for _ in range(how_many)])


def whole_log(store: Store, scope: Scope) -> list[Event]:
    """Read all events of a log, in their order."""
    return store.read(lambda tx: log.fetch(tx, scope, range(log.head_of(tx, scope))))


def queue(
    store: Store, waiters: Waiters, function: Callable[[Transaction], Any], tenants: Sequence[int] = ()
) -> Future[Any]:
    """Queue a function and return its future."""
    future: Future[Any] = Future()
    store.write(function, future, waiters, tenants)
    return future


def over(scopes: Sequence[Scope]) -> Scope:
    """Return the first scope widened to a subtree of all of them."""
    tenants = tuple((scope.tenant_id, scope.tenant_uid) for scope in scopes)
    return msgspec.structs.replace(scopes[0], tenants=tenants)
