"""The platform's own upkeep, on both databases: its failures and its clock become events, old repeats are forgotten."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from heliograph.catalog.system import SYSTEM
from heliograph.eventlog import store as log
from heliograph.eventlog.upkeep import Upkeep
from heliograph.tenancy import first_start
from heliograph.tenancy.access import root_scopes

if TYPE_CHECKING:
    from heliograph.storage.store import Store
    from tests.conformance.stores import HandClock

DAY = 86_400_000_000
SECOND = 1_000_000


@pytest.fixture
def upkeep(store: Store) -> Upkeep:
    """The upkeep of a platform after its first start; its thread is not running."""
    store.execute(first_start.bootstrap)
    return Upkeep(store, remember_days=30)


def events_of(store: Store, type: str) -> list[dict[str, Any]]:
    """Return the payloads of one type in the root company's log, each checked against the catalogue."""
    scope = store.read(root_scopes)[0]
    # What is queued for one tenant is written in order, so this read comes after all of it.
    store.execute(lambda tx: None, [scope.tenant_id])
    head = store.read(partial(log.head_of, scope=scope))
    found = store.read(partial(log.fetch, scope=scope, seqs=range(head)))
    payloads = [event.payload for event in found if event.envelope.type == type and event.payload is not None]
    for payload in payloads:
        SYSTEM.check(type, payload)
    return [msgspec.json.decode(payload) for payload in payloads]


def test_technical_error_is_recorded_once_while_it_repeats(store: Store, upkeep: Upkeep) -> None:
    for _ in range(5):
        upkeep.technical_error("request", "A request failed: ZeroDivisionError.", "ab" * 16)
    upkeep.technical_error("storage", "The disk is full.")
    assert events_of(store, "Platform.TechnicalError") == [
        {
            "kind": "request",
            "detail": "A request failed: ZeroDivisionError.",
            "requestId": "ab" * 16,
            "suppressed": 0,
        },
        {"kind": "storage", "detail": "The disk is full.", "suppressed": 0},
    ]


def test_next_technical_error_tells_how_many_were_left_out(
    store: Store, upkeep: Upkeep, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        upkeep.technical_error("request", "first")
    monkeypatch.setattr("heliograph.eventlog.upkeep.ERROR_INTERVAL_SECONDS", -1.0)
    upkeep.technical_error("request", "second")
    assert [body["suppressed"] for body in events_of(store, "Platform.TechnicalError")] == [0, 2]


def test_error_that_cannot_be_recorded_is_not_recorded_in_its_turn(
    store: Store, upkeep: Upkeep, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as broken:
        broken.setattr("heliograph.publish.record", fail)
        upkeep.technical_error("request", "never arrives")
        store.execute(lambda tx: None, [store.read(root_scopes)[0].tenant_id])
    assert events_of(store, "Platform.TechnicalError") == []


def test_clock_behind_the_log_is_told_once_until_it_is_right_again(
    store: Store, upkeep: Upkeep, time: HandClock
) -> None:
    upkeep.watch_clock()
    assert events_of(store, "Platform.ClockBehind") == []
    time.wall -= 90 * SECOND
    upkeep.watch_clock()
    upkeep.watch_clock()
    told = events_of(store, "Platform.ClockBehind")
    assert [body["behindMicroseconds"] // SECOND for body in told] == [90]
    time.wall += 100 * SECOND
    upkeep.watch_clock()
    time.wall -= 200 * SECOND
    upkeep.watch_clock()
    assert len(events_of(store, "Platform.ClockBehind")) == 2


def test_clock_that_jumped_is_told_once(store: Store, upkeep: Upkeep) -> None:
    store.clock.ignored_jump = 3600 * SECOND
    upkeep.watch_clock()
    upkeep.watch_clock()
    assert events_of(store, "Platform.ClockJumped") == [{"aheadMicroseconds": 3600 * SECOND}]


def test_repeats_are_forgotten_after_their_days_and_not_before(
    store: Store, upkeep: Upkeep, time: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("heliograph.eventlog.upkeep.FORGET_CHUNK", 2)
    scope = store.read(root_scopes)[0]
    old = [bytes([n]) * 32 for n in range(7)]
    new = [bytes([100 + n]) * 32 for n in range(3)]
    store.execute(lambda tx: log.remember(tx, scope, [(key, key, b"") for key in old]))
    time.wall += 20 * DAY
    store.execute(lambda tx: log.remember(tx, scope, [(key, key, b"") for key in new]))
    upkeep.forget_repeats()
    assert set(store.read(lambda tx: log.recall(tx, scope, [*old, *new]))) == {*old, *new}
    time.wall += 11 * DAY
    upkeep.forget_repeats()
    assert set(store.read(lambda tx: log.recall(tx, scope, [*old, *new]))) == set(new)
