"""The same event again is stored once and answered as before; another one under the same identity is refused."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from heliograph.errors import Conflict
from heliograph.eventlog import store as log
from heliograph.eventlog.model import EventDraft, Receipt
from heliograph.publish import Answer, Contradicted, Identity, Preparer, Repeated, Submission, ingest, once
from heliograph.tenancy.access import SYSTEM
from tests.conformance.stores import PATIENCE, START_OF_TIME, Waiters, open_log, open_logs, store_on, whole_log

if TYPE_CHECKING:
    from collections.abc import Sequence

    from heliograph.publish import Outcome
    from heliograph.storage.engine import Connection, Engine, Transaction
    from heliograph.tenancy.model import Scope

PREPARER = Preparer()


@pytest.fixture
def engine(shared_engine: Engine) -> Engine:
    return shared_engine


@pytest.fixture
def scope(connection: Connection) -> Scope:
    with connection.transaction(START_OF_TIME, write=True) as tx:
        return open_log(tx)


def _identity(key: str, body: str = "body") -> Identity:
    return Identity(sha256(key.encode()).digest(), sha256(body.encode()).digest())


def _answer(outcomes: Sequence[Outcome]) -> bytes:
    """Write what each event got, as a handler does; a refusal of a lone event has no body."""
    if len(outcomes) == 1 and isinstance(outcomes[0], Contradicted):
        return b""
    return msgspec.json.encode([_seq(outcome) for outcome in outcomes])


def _seq(outcome: Outcome) -> int | None:
    if isinstance(outcome, Contradicted):
        return None
    return (outcome.receipt if isinstance(outcome, Repeated) else outcome).seq


def _events(
    scope: Scope, *identities: Identity | None, request: Identity | None = None, count: int | None = None
) -> Submission:
    """Make a request of one event for each identity, or of `count` events without any."""
    events = [PREPARER.prepare(EventDraft(code=1), SYSTEM) for _ in range(len(identities) if count is None else count)]
    return Submission(scope, events, _answer, identities or None, request)


def _ingest(connection: Connection, *submissions: Submission) -> list[Answer]:
    with connection.transaction(START_OF_TIME, write=True) as tx:
        return ingest(tx, submissions[0].scope.tenant_id, submissions)


def _receipt(answer: Answer) -> Receipt:
    """Return what the first event of a request got when it was stored just now."""
    outcome = answer.outcomes[0]
    assert isinstance(outcome, Receipt)
    return outcome


def _count(connection: Connection, scope: Scope) -> int:
    with connection.transaction(START_OF_TIME, write=False) as tx:
        head = log.head_of(tx, scope)
        assert [event.seq for event in log.fetch(tx, scope, range(head))] == list(range(head))
        return head


# -- by event -------------------------------------------------------------------------------------------------------


def test_event_sent_again_is_answered_with_the_first_receipt(connection: Connection, scope: Scope) -> None:
    (first,) = _ingest(connection, _events(scope, _identity("a")))
    (second,) = _ingest(connection, _events(scope, _identity("a")))
    assert second.outcomes == [Repeated(_receipt(first))]
    assert (first.repeated, second.repeated, second.conflict) == (False, True, False)
    assert first.body == second.body
    assert _count(connection, scope) == 1


def test_event_sent_twice_within_one_group_is_stored_once(connection: Connection, scope: Scope) -> None:
    first, other, second = _ingest(
        connection, _events(scope, _identity("a")), _events(scope, None), _events(scope, _identity("a"))
    )
    assert second.outcomes == [Repeated(_receipt(first))]
    assert [answer.repeated for answer in (first, other, second)] == [False, False, True]
    assert _count(connection, scope) == 2


@pytest.mark.parametrize("together", [False, True], ids=["later", "in one group"])
def test_other_event_under_the_same_identity_is_refused(connection: Connection, scope: Scope, together: bool) -> None:
    original, other = _events(scope, _identity("a")), _events(scope, _identity("a", "another body"))
    answers = _ingest(connection, original, other) if together else [
        *_ingest(connection, original), *_ingest(connection, other)
    ]  # fmt: skip
    assert answers[1].outcomes == [Contradicted()]
    assert not answers[1].repeated
    assert _count(connection, scope) == 1
    (again,) = _ingest(connection, _events(scope, _identity("a")))
    assert again.outcomes == [Repeated(_receipt(answers[0]))]


def test_items_of_a_batch_are_told_apart(connection: Connection, scope: Scope) -> None:
    (past,) = _ingest(connection, _events(scope, _identity("old"), _identity("contradicted")))
    (answer,) = _ingest(
        connection,
        _events(
            scope,
            _identity("new"),
            None,
            _identity("old"),
            _identity("new"),
            _identity("contradicted", "another body"),
            _identity("new", "another body"),
            _identity("newer"),
        ),
    )
    assert [_seq(outcome) for outcome in answer.outcomes] == [2, 3, 0, 2, None, None, 4]
    kinds = [type(outcome) for outcome in answer.outcomes]
    assert kinds == [Receipt, Receipt, Repeated, Repeated, Contradicted, Contradicted, Receipt]
    assert answer.outcomes[2] == Repeated(_receipt(past))
    assert not answer.repeated
    assert _count(connection, scope) == 5


def test_batch_of_repeats_alone_is_a_repeat(connection: Connection, scope: Scope) -> None:
    batch = (_identity("a"), _identity("b"))
    _ingest(connection, _events(scope, *batch))
    (answer,) = _ingest(connection, _events(scope, *batch))
    assert answer.repeated
    assert _count(connection, scope) == 2


def test_identity_belongs_to_one_tenant(connection: Connection, scope: Scope) -> None:
    with connection.transaction(START_OF_TIME, write=True) as tx:
        neighbour = open_log(tx)
    (mine,) = _ingest(connection, _events(scope, _identity("a")))
    (theirs,) = _ingest(connection, _events(neighbour, _identity("a", "another body")))
    assert [type(answer.outcomes[0]) for answer in (mine, theirs)] == [Receipt, Receipt]


# -- by request -----------------------------------------------------------------------------------------------------


def test_request_sent_again_gets_the_first_answer_whole(connection: Connection, scope: Scope) -> None:
    (first,) = _ingest(connection, _events(scope, count=3, request=_identity("r")))
    (second,) = _ingest(connection, _events(scope, count=3, request=_identity("r")))
    assert first.body == second.body == b"[0,1,2]"
    assert (first.repeated, second.repeated, second.conflict) == (False, True, False)
    assert _count(connection, scope) == 3


def test_request_sent_twice_within_one_group_is_carried_out_once(connection: Connection, scope: Scope) -> None:
    first, second = _ingest(connection, *(_events(scope, count=2, request=_identity("r")) for _ in range(2)))
    assert first.body == second.body == b"[0,1]"
    assert (first.repeated, second.repeated) == (False, True)
    assert _count(connection, scope) == 2


@pytest.mark.parametrize("together", [False, True], ids=["later", "in one group"])
def test_other_request_under_the_same_key_is_a_conflict(connection: Connection, scope: Scope, together: bool) -> None:
    original = _events(scope, count=1, request=_identity("r"))
    other = _events(scope, count=1, request=_identity("r", "another body"))
    answers = _ingest(connection, original, other) if together else [
        *_ingest(connection, original), *_ingest(connection, other)
    ]  # fmt: skip
    assert [answer.conflict for answer in answers] == [False, True]
    assert not answers[1].repeated
    assert _count(connection, scope) == 1


@pytest.mark.parametrize("together", [False, True], ids=["later", "in one group"])
def test_request_that_was_refused_is_refused_again(connection: Connection, scope: Scope, together: bool) -> None:
    _ingest(connection, _events(scope, _identity("a")))
    refused = [_events(scope, _identity("a", "another body"), request=_identity("r")) for _ in range(2)]
    answers = _ingest(connection, *refused) if together else [
        answer for submission in refused for answer in _ingest(connection, submission)
    ]  # fmt: skip
    assert [list(answer.outcomes) for answer in answers] == [[Contradicted()], [Contradicted()]]
    assert _count(connection, scope) == 1


def test_event_and_request_are_recognised_each_by_its_own_identity(connection: Connection, scope: Scope) -> None:
    (first,) = _ingest(connection, _events(scope, _identity("a"), request=_identity("r")))
    (same_event,) = _ingest(connection, _events(scope, _identity("a"), request=_identity("other request")))
    (same_both,) = _ingest(connection, _events(scope, _identity("a"), request=_identity("r")))
    (same_other,) = _ingest(connection, _events(scope, _identity("a"), request=_identity("other request")))
    (new_event,) = _ingest(connection, _events(scope, _identity("b"), request=_identity("r")))
    assert same_event.outcomes == [Repeated(_receipt(first))]
    assert [answer.repeated for answer in (same_event, same_both, same_other, new_event)] == [True] * 4
    assert {answer.body for answer in (first, same_event, same_both, same_other, new_event)} == {b"[0]"}
    assert _count(connection, scope) == 1


def test_request_and_event_within_one_group_share_one_place(connection: Connection, scope: Scope) -> None:
    answers = _ingest(
        connection,
        _events(scope, _identity("a"), request=_identity("r")),
        _events(scope, _identity("a"), request=_identity("s")),
        _events(scope, _identity("a"), request=_identity("r")),
        _events(scope, None, request=_identity("t")),
    )
    assert [answer.body for answer in answers] == [b"[0]", b"[0]", b"[0]", b"[1]"]
    assert [answer.repeated for answer in answers] == [False, True, True, False]
    assert _count(connection, scope) == 2


def test_undone_group_is_not_remembered(connection: Connection, scope: Scope) -> None:
    def undone() -> None:
        with connection.transaction(START_OF_TIME, write=True) as tx:
            ingest(tx, scope.tenant_id, [_events(scope, _identity("a"), request=_identity("r"))])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        undone()
    (answer,) = _ingest(connection, _events(scope, _identity("a"), request=_identity("r")))
    assert (answer.repeated, answer.body) == (False, b"[0]")


# -- functions ------------------------------------------------------------------------------------------------------


def _act(runs: list[int]) -> Any:
    def act(tx: Transaction) -> tuple[bytes, bytes]:
        del tx
        runs.append(1)
        return b"with the secret", b"without it"

    return act


def test_function_runs_once_and_its_repeat_shows_no_secret(connection: Connection, scope: Scope) -> None:
    runs: list[int] = []
    answers = []
    for _ in range(2):
        with connection.transaction(START_OF_TIME, write=True) as tx:
            answers.append(once(tx, scope, _identity("r"), _act(runs)))
    assert answers == [(True, b"with the secret"), (False, b"without it")]
    assert runs == [1]


def test_function_without_an_identity_runs_every_time(connection: Connection, scope: Scope) -> None:
    runs: list[int] = []
    with connection.transaction(START_OF_TIME, write=True) as tx:
        assert [once(tx, scope, None, _act(runs)) for _ in range(2)] == [(True, b"with the secret")] * 2
    assert len(runs) == 2


def test_function_with_another_body_under_the_same_key_is_a_conflict(connection: Connection, scope: Scope) -> None:
    runs: list[int] = []
    with connection.transaction(START_OF_TIME, write=True) as tx:
        once(tx, scope, _identity("r"), _act(runs))
        with pytest.raises(Conflict):
            once(tx, scope, _identity("r", "another body"), _act(runs))
    assert runs == [1]


# -- for how long ---------------------------------------------------------------------------------------------------


def test_only_what_is_older_than_asked_is_forgotten_piece_by_piece(connection: Connection, scope: Scope) -> None:
    for day in range(6):
        with connection.transaction(START_OF_TIME + day, write=True) as tx:
            ingest(tx, scope.tenant_id, [_events(scope, _identity(f"event {day}"))])
    after: bytes | None = b""
    pieces = 0
    with connection.transaction(START_OF_TIME, write=True) as tx:
        while after is not None:
            after = log.forget(tx, scope, START_OF_TIME + 3, after, 2)
            pieces += 1
        left = log.recall(tx, scope, [_identity(f"event {day}").key for day in range(6)])
    assert pieces >= 3
    assert set(left) == {_identity(f"event {day}").key for day in (3, 4, 5)}


# -- many at once ---------------------------------------------------------------------------------------------------


def test_writers_who_send_the_same_events_at_once_store_each_once(engine: Engine) -> None:
    """On PostgreSQL from two stores, which stand for two processes."""
    stores = [store_on(engine) for _ in range(1 if engine.dialect == "sqlite" else 2)]
    scopes = open_logs(stores[0], 2)
    start = threading.Barrier(2 * len(stores))
    futures: list[Future[Answer]] = []

    def send(number: int) -> None:
        store, waiters = stores[number % len(stores)], Waiters()
        start.wait(PATIENCE)
        for key in range(60):
            scope = scopes[key % 2]
            for submission in (
                _events(scope, _identity(f"event {key}")),
                _events(scope, count=2, request=_identity(f"request {key}")),
                _events(scope, None),
            ):
                future: Future[Answer] = Future()
                futures.append(future)
                store.append(scope.tenant_id, submission, future, waiters)

    threads = [threading.Thread(target=send, args=(number,)) for number in range(start.parties)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    answers = [future.result(PATIENCE) for future in futures]
    assert sum(answer.repeated for answer in answers) == 2 * 60 * (len(threads) - 1)
    for scope in scopes:
        events = whole_log(stores[0], scope)
        assert [event.seq for event in events] == list(range(30 * (1 + 2 + len(threads))))
        times = [event.recorded_at for event in events]
        assert times == sorted(set(times))
        assert len({event.envelope.id for event in events}) == len(events)
    for store in stores:
        store.close()
