"""A request of many events for many endpoints is refused as a whole, before one transaction has to write it all."""

from __future__ import annotations

from concurrent.futures import Future
from hashlib import sha256
from typing import TYPE_CHECKING

import msgspec
import pytest

from heliograph.delivery import fanout
from heliograph.errors import TooLarge
from heliograph.eventlog.model import EventDraft
from heliograph.publish import Answer, Identity, Preparer, Repeated, Submission, ingest
from heliograph.tenancy.access import SYSTEM
from tests.conformance.stores import PATIENCE, Gate, Waiters, whole_log
from tests.conformance.test_endpoints import Tree

if TYPE_CHECKING:
    from collections.abc import Sequence

    from heliograph.publish import Outcome
    from heliograph.storage.engine import Engine, Transaction
    from heliograph.storage.store import Store

PREPARER = Preparer()


@pytest.fixture
def engine(shared_engine: Engine) -> Engine:
    return shared_engine


class Crowd(Tree):
    """An organization with three endpoints, one of them its company's, where six deliveries are enough."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.create(self.above)
        for _ in range(2):
            self.create(self.here)

    def sent(self, *types: str, sources: bool = False, key: str | None = None) -> Submission:
        """Make a request of events, each with its type for its identity if there are `sources`."""
        events = [PREPARER.prepare(EventDraft(type=type), SYSTEM) for type in types]
        identities = [_identity(type) for type in types] if sources else None
        return Submission(self.here, events, _count, identities, None if key is None else _identity(key))

    def ingest(self, *submissions: Submission) -> list[Answer]:
        """Write requests in one group."""
        tenant_id = self.here.tenant_id
        return self.store.execute(lambda tx: ingest(tx, tenant_id, submissions), [tenant_id])

    def stored(self) -> tuple[list[str], int]:
        """Return the types of the callers' events, in the order of the log, and the number of their deliveries."""

        def read(tx: Transaction) -> int:
            row = tx.one("select count(*) from delivery where tenant_id = :id", id=self.here.tenant_id)
            assert row is not None
            return int(row[0])

        types = [event.envelope.type or "" for event in whole_log(self.store, self.here)]
        return [type for type in types if type.startswith(("door.", "window."))], self.store.read(read)


def _identity(name: str) -> Identity:
    digest = sha256(name.encode()).digest()
    return Identity(digest, digest)


def _count(outcomes: Sequence[Outcome]) -> bytes:
    return msgspec.json.encode(len(outcomes))


def _is_refused(answer: Answer) -> bool:
    if answer.refusal is None:
        return False
    assert isinstance(answer.refusal, TooLarge)
    assert [(fault.pointer, fault.rule) for fault in answer.refusal.faults] == [("", "max-deliveries")]
    return answer.outcomes == () and answer.body == b""


@pytest.fixture
def crowd(store: Store, monkeypatch: pytest.MonkeyPatch) -> Crowd:
    monkeypatch.setattr(fanout, "MOST_DELIVERIES", 6)
    return Crowd(store)


DOORS = ("door.a", "door.b", "door.c")


@pytest.mark.parametrize("sources", [False, True])
def test_request_of_too_many_deliveries_is_refused_and_those_beside_it_are_stored(crowd: Crowd, sources: bool) -> None:
    # An event of the refused request is also in the one behind it, which is to store it all the same.
    beside = crowd.sent("door.c", "door.d", sources=sources)
    answers = crowd.ingest(crowd.sent("door.x"), crowd.sent(*DOORS, sources=sources), beside)
    assert [_is_refused(answer) for answer in answers] == [False, True, False]
    assert [answer.body for answer in answers] == [b"1", b"", b"2"]
    assert crowd.stored() == (["door.x", "door.c", "door.d"], 9)


def test_deliveries_count_and_not_events(crowd: Crowd) -> None:
    (answer,) = crowd.ingest(crowd.sent("door.a", "window.a", "window.b", "door.b", "window.c"))
    assert answer.refusal is None
    assert crowd.stored()[1] == 6


def test_single_event_is_never_refused(crowd: Crowd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fanout, "MOST_DELIVERIES", 2)
    answers = crowd.ingest(*(crowd.sent(type) for type in DOORS))
    assert not any(map(_is_refused, answers))
    assert crowd.stored() == ([*DOORS], 9)


def test_events_that_were_stored_before_do_not_count(crowd: Crowd) -> None:
    crowd.ingest(crowd.sent("door.a", "door.b", sources=True))
    (answer,) = crowd.ingest(crowd.sent(*DOORS, sources=True))
    assert [isinstance(outcome, Repeated) for outcome in answer.outcomes] == [True, True, False]
    assert crowd.stored() == ([*DOORS], 9)


def test_refused_request_does_not_use_its_key_up(crowd: Crowd) -> None:
    same = [crowd.sent(*DOORS, key="once") for _ in range(2)]
    assert all(map(_is_refused, crowd.ingest(*same)))
    assert crowd.stored() == ([], 0)
    (answer,) = crowd.ingest(crowd.sent("door.a", key="once"))
    assert (answer.body, answer.repeated) == (b"1", False)


def test_set_of_endpoints_is_that_of_the_moment(crowd: Crowd) -> None:
    assert crowd.ingest(crowd.sent("door.a", "door.b"))[0].refusal is None
    crowd.create(crowd.above)
    assert _is_refused(crowd.ingest(crowd.sent("door.a", "door.b"))[0])


def test_tenant_whose_events_make_many_rows_gets_more_and_smaller_groups(
    crowd: Crowd, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(5):
        crowd.create(crowd.here)
    waiters, tenant_id = Waiters(), crowd.here.tenant_id

    def send() -> Future[Answer]:
        future: Future[Answer] = Future()
        crowd.store.append(tenant_id, crowd.sent("door.a"), future, waiters)
        return future

    groups = []
    for most_rows in (20_000, 40):
        monkeypatch.setattr("heliograph.storage.store.MOST_ROWS", most_rows)
        assert send().result(PATIENCE).refusal is None
        gate = Gate(crowd.store, waiters, [tenant_id])
        before = crowd.store.groups_committed
        sent = [send() for _ in range(20)]
        gate.open()
        assert all(future.result(PATIENCE).refusal is None for future in sent)
        groups.append(crowd.store.groups_committed - before)
    # The first is that of the gate. Each event is a few rows of its own, and eight deliveries.
    assert groups[0] == 2
    assert groups[1] >= 5
    assert crowd.stored()[1] == 42 * 8
