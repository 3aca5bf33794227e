"""Group commit keeps its promises on both databases: one commit, everybody answered, failures undone alone."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

import apsw
import psycopg
import pytest

from heliograph.errors import Conflict, Unavailable
from heliograph.eventlog import store as log
from heliograph.eventlog.model import EventDraft, Receipt
from heliograph.publish import Answer, Preparer, Submission
from heliograph.storage import migrate
from heliograph.storage.postgres import PostgresEngine
from heliograph.storage.store import LARGEST_GROUP, TRIES
from heliograph.tenancy.access import SYSTEM
from tests.conformance.stores import PATIENCE, START_OF_TIME, Gate, Waiters, open_logs, queue, store_on, whole_log

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from heliograph.storage.engine import Engine, Transaction
    from heliograph.storage.store import Settled, Store
    from heliograph.tenancy.model import Scope

PREPARER = Preparer()


@pytest.fixture
def engine(shared_engine: Engine) -> Engine:
    return shared_engine


def _submit(store: Store, waiters: Waiters, scope: Scope, code: int = 10_000) -> Future[Answer]:
    future: Future[Answer] = Future()
    event = PREPARER.prepare(EventDraft(code=code), SYSTEM)
    store.append(scope.tenant_id, Submission(scope, [event], lambda _: b""), future, waiters)
    return future


def _seq(future: Future[Answer]) -> int:
    outcome = future.result(PATIENCE).outcomes[0]
    assert isinstance(outcome, Receipt)
    return outcome.seq


def _append(scope: Scope, code: int) -> Callable[[Transaction], int]:
    """Return a function that puts one event into the log and returns its seq."""
    event = PREPARER.prepare(EventDraft(code=code), SYSTEM)
    return lambda tx: log.append(tx, scope, [event]).seq


def _codes(store: Store, scope: Scope) -> list[int | None]:
    events = whole_log(store, scope)
    assert [event.seq for event in events] == list(range(len(events)))
    return [event.envelope.event_code for event in events]


def _transient(store: Store) -> Exception:
    """Return an error by which the database says "again"."""
    return apsw.BusyError() if store.engine.dialect == "sqlite" else psycopg.errors.SerializationFailure()


# -- one group ------------------------------------------------------------------------------------------------------


def test_items_of_several_tenants_that_wait_together_are_committed_together(store: Store) -> None:
    scopes = open_logs(store, 3)
    waiters = Waiters()
    gates = [Gate(store, waiters, [scope.tenant_id]) for scope in scopes[: store.engine.parallel_writers]]
    before = store.groups_committed
    futures = {scope.tenant_id: [_submit(store, waiters, scope) for _ in range(50)] for scope in scopes}
    for gate in gates:
        gate.open()
    assert [[_seq(future) for future in futures[scope.tenant_id]] for scope in scopes] == [list(range(50))] * 3
    # Where the database has one writer a group holds what all tenants wait for, else what one tenant waits for.
    groups = 1 if store.engine.parallel_writers == 1 else 3
    assert store.groups_committed - before == len(gates) + groups


def test_items_and_functions_of_one_tenant_share_a_group(store: Store) -> None:
    (scope,) = open_logs(store)
    waiters = Waiters()
    gate = Gate(store, waiters, [scope.tenant_id])
    before = store.groups_committed
    item = _submit(store, waiters, scope, 1)
    function = queue(store, waiters, _append(scope, 2), [scope.tenant_id])
    last = _submit(store, waiters, scope, 3)
    gate.open()
    assert {_seq(item), function.result(PATIENCE), _seq(last)} == {0, 1, 2}
    assert store.groups_committed - before == 2
    assert sorted(waiters.deliveries) == [1, 3]


def test_waiters_are_answered_only_after_the_commit(store: Store) -> None:
    (scope,) = open_logs(store)
    seen: list[int] = []
    answered = threading.Event()

    class Reads:
        def deliver(self, settled: Settled) -> None:
            del settled
            seen.extend(event.seq for event in whole_log(store, scope))
            answered.set()

    event = PREPARER.prepare(EventDraft(code=1), SYSTEM)
    store.append(scope.tenant_id, Submission(scope, [event], lambda _: b""), None, Reads())
    assert answered.wait(PATIENCE)
    assert seen == [0]


def test_more_work_than_fits_one_group_is_done_in_several(store: Store) -> None:
    (scope,) = open_logs(store)
    waiters = Waiters()
    gate = Gate(store, waiters, [scope.tenant_id])
    before = store.groups_committed
    futures = [_submit(store, waiters, scope) for _ in range(LARGEST_GROUP + 1)]
    gate.open()
    assert [_seq(future) for future in futures] == list(range(LARGEST_GROUP + 1))
    assert store.groups_committed - before == 3


def test_listener_learns_the_tenants_of_a_group_after_its_commit(store: Store) -> None:
    first, second, _ = open_logs(store, 3)
    told: list[tuple[set[int], int]] = []
    store.on_commit = lambda tenants: told.append((set(tenants), len(whole_log(store, first))))
    store.execute(_append(first, 1), [second.tenant_id, first.tenant_id])
    (tenants, length) = told[-1]
    assert tenants >= {first.tenant_id, second.tenant_id}
    assert length == 1


# -- functions that fail --------------------------------------------------------------------------------------------


def test_function_that_raises_is_undone_alone_and_gives_its_seqs_back(store: Store) -> None:
    (scope,) = open_logs(store)
    waiters = Waiters()

    def fails(tx: Transaction) -> None:
        for code in (90, 91, 92):
            _append(scope, code)(tx)
        raise Conflict("It was not to be.")

    gate = Gate(store, waiters, [scope.tenant_id])
    item = _submit(store, waiters, scope, 1)
    before = queue(store, waiters, _append(scope, 2), [scope.tenant_id])
    failed = queue(store, waiters, fails, [scope.tenant_id])
    after = queue(store, waiters, _append(scope, 3), [scope.tenant_id])
    gate.open()
    assert (_seq(item), before.result(PATIENCE), after.result(PATIENCE)) == (0, 1, 2)
    assert isinstance(failed.exception(PATIENCE), Conflict)
    assert _codes(store, scope) == [1, 2, 3]


@pytest.mark.parametrize("error", [Conflict("refused"), ZeroDivisionError("a fault of ours")])
def test_error_of_a_function_reaches_its_waiter_and_nobody_else(store: Store, error: Exception) -> None:
    (scope,) = open_logs(store)
    waiters = Waiters()

    def fails(tx: Transaction) -> None:
        _append(scope, 90)(tx)
        raise error

    gate = Gate(store, waiters, [scope.tenant_id])
    failed = queue(store, waiters, fails, [scope.tenant_id])
    kept = queue(store, waiters, _append(scope, 1), [scope.tenant_id])
    gate.open()
    assert failed.exception(PATIENCE) is error
    assert kept.result(PATIENCE) == 0


def test_statement_that_fails_spoils_only_its_own_function(store: Store) -> None:
    (scope,) = open_logs(store)
    waiters = Waiters()
    gate = Gate(store, waiters, [scope.tenant_id])
    failed = queue(store, waiters, lambda tx: tx.run("select no_such_column from head"), [scope.tenant_id])
    kept = queue(store, waiters, _append(scope, 1), [scope.tenant_id])
    gate.open()
    assert isinstance(failed.exception(PATIENCE), Exception)
    assert not isinstance(failed.exception(), Unavailable)
    assert kept.result(PATIENCE) == 0


def test_effects_run_for_the_functions_that_were_kept(store: Store) -> None:
    seen: list[str] = []

    def kept(tx: Transaction) -> None:
        tx.after_commit(lambda: seen.append("kept"))

    def undone(tx: Transaction) -> None:
        tx.after_commit(lambda: seen.append("undone"))
        raise Conflict("no")

    waiters = Waiters()
    gate = Gate(store, waiters)
    futures = [queue(store, waiters, function) for function in (kept, undone, kept)]
    gate.open()
    assert [future.exception(PATIENCE) is None for future in futures] == [True, False, True]
    assert seen == ["kept", "kept"]


def test_failing_append_answers_all_of_its_group_and_stores_nothing(engine: Engine) -> None:
    def broken(tx: Transaction, tenant_id: int, items: Sequence[Any]) -> list[Any]:
        tx.run("update head set next_seq = next_seq + 1 where tenant_id = :tenant_id", tenant_id=tenant_id)
        raise ZeroDivisionError(str(len(items)))

    store = store_on(engine, append=broken)
    (scope,) = open_logs(store)
    waiters = Waiters()
    gate = Gate(store, waiters, [scope.tenant_id])
    futures = [_submit(store, waiters, scope) for _ in range(3)]
    futures.append(queue(store, waiters, _append(scope, 1), [scope.tenant_id]))
    gate.open()
    assert [type(future.exception(PATIENCE)) for future in futures] == [ZeroDivisionError] * 4
    assert store.read(lambda tx: log.head_of(tx, scope)) == 0
    assert store.execute(_append(scope, 2)) == 0
    store.close()


def test_waiter_that_cannot_be_answered_keeps_neither_the_others_nor_the_writer(store: Store) -> None:
    (scope,) = open_logs(store)

    class Gone:
        def deliver(self, settled: Settled) -> None:
            raise RuntimeError("the loop is closed")

    waiters = Waiters()
    gate = Gate(store, waiters, [scope.tenant_id])
    store.write(_append(scope, 1), None, Gone(), [scope.tenant_id])
    other = queue(store, waiters, _append(scope, 2), [scope.tenant_id])
    gate.open()
    assert other.result(PATIENCE) == 1
    assert store.execute(_append(scope, 3), [scope.tenant_id]) == 2


# -- "again" --------------------------------------------------------------------------------------------------------


def test_group_that_must_be_run_again_is_stored_once(store: Store) -> None:
    (scope,) = open_logs(store)
    runs: list[str] = []
    effects: list[str] = []

    def steady(tx: Transaction) -> int:
        tx.after_commit(lambda: effects.append("steady"))
        return _append(scope, 1)(tx)

    def unlucky(tx: Transaction) -> int:
        runs.append("unlucky")
        if len(runs) < TRIES:
            raise _transient(store)
        return _append(scope, 2)(tx)

    waiters = Waiters()
    gate = Gate(store, waiters, [scope.tenant_id])
    first = queue(store, waiters, steady, [scope.tenant_id])
    item = _submit(store, waiters, scope, 3)
    second = queue(store, waiters, unlucky, [scope.tenant_id])
    gate.open()
    assert (_seq(item), first.result(PATIENCE), second.result(PATIENCE)) == (0, 1, 2)
    assert _codes(store, scope) == [3, 1, 2]
    assert (len(runs), effects) == (TRIES, ["steady"])


def test_group_that_never_succeeds_is_given_up_with_nothing_stored(store: Store) -> None:
    (scope,) = open_logs(store)
    runs: list[int] = []

    def doomed(tx: Transaction) -> None:
        del tx
        runs.append(1)
        raise _transient(store)

    waiters = Waiters()
    gate = Gate(store, waiters, [scope.tenant_id])
    kept = queue(store, waiters, _append(scope, 1), [scope.tenant_id])
    failed = queue(store, waiters, doomed, [scope.tenant_id])
    gate.open()
    assert isinstance(failed.exception(PATIENCE), Unavailable)
    assert isinstance(kept.exception(PATIENCE), Unavailable)
    assert (len(runs), _codes(store, scope)) == (TRIES, [])
    assert store.execute(_append(scope, 2), [scope.tenant_id]) == 0


def test_functions_that_lock_in_opposite_order_both_succeed(store: Store) -> None:
    first, second = open_logs(store, 2)
    met = threading.Barrier(2) if store.engine.parallel_writers > 1 else None
    runs: list[int] = []

    def append_to_both(one: Scope, other: Scope) -> Callable[[Transaction], None]:
        tries: list[int] = []

        def act(tx: Transaction) -> None:
            tries.append(1)
            runs.append(1)
            if tx.dialect == "postgres":
                tx.run("set local deadlock_timeout = '10ms'")
            _append(one, 1)(tx)
            if met is not None and len(tries) == 1:
                met.wait(PATIENCE)
            _append(other, 2)(tx)

        return act

    # They do not declare what they touch, so that nothing locks it for them.
    waiters = Waiters()
    futures: list[Future[Any]] = [Future(), Future()]
    store.write(append_to_both(first, second), futures[0], waiters, lane="one")
    store.write(append_to_both(second, first), futures[1], waiters, lane="other")
    assert [future.result(PATIENCE) for future in futures] == [None, None]
    assert [sorted(code or 0 for code in _codes(store, scope)) for scope in (first, second)] == [[1, 2]] * 2
    assert len(runs) == 2 if met is None else len(runs) > 2


def test_functions_with_the_same_tenants_in_any_order_never_collide(store: Store) -> None:
    first, second = open_logs(store, 2)
    waiters = Waiters()
    runs: list[int] = []

    def append_to_both(one: Scope, other: Scope) -> Callable[[Transaction], None]:
        def act(tx: Transaction) -> None:
            runs.append(1)
            _append(one, 1)(tx)
            _append(other, 1)(tx)

        return act

    futures: list[Future[Any]] = []
    for number in range(40):
        one, other = (first, second) if number % 2 else (second, first)
        future: Future[Any] = Future()
        store.write(append_to_both(one, other), future, waiters, [one.tenant_id, other.tenant_id], lane=number % 4)
        futures.append(future)
        futures.append(_submit(store, waiters, one))
    assert [future.exception(PATIENCE) for future in futures] == [None] * 80
    assert len(runs) == 40
    assert [len(_codes(store, scope)) for scope in (first, second)] == [60, 60]


def test_logs_are_locked_before_a_function_that_declares_them_reads(postgres_dsn: str) -> None:
    """On PostgreSQL another process may write at the same time; on SQLite there is none."""
    engine = PostgresEngine(postgres_dsn)
    migrate.migrate(engine, START_OF_TIME)
    store = store_on(engine)
    scopes = open_logs(store, 3)
    declared = [scope.tenant_id for scope in scopes[:2]]

    def logs_that_others_can_lock(tx: Transaction) -> set[int]:
        del tx
        stranger = engine.connect(write=True)
        with stranger.transaction(START_OF_TIME, write=True) as other:
            rows = other.all(
                "select tenant_id from head where tenant_id in (:a, :b, :c) for update skip locked",
                **{name: scope.tenant_id for name, scope in zip("abc", scopes, strict=True)},
            )
        stranger.close()
        return {row[0] for row in rows}

    assert store.execute(logs_that_others_can_lock, declared) == {scopes[2].tenant_id}
    assert store.execute(logs_that_others_can_lock, declared[:1]) == {scopes[1].tenant_id, scopes[2].tenant_id}
    store.close()


# -- the queue ------------------------------------------------------------------------------------------------------


def test_full_queue_refuses_and_works_again_once_it_is_emptied(engine: Engine) -> None:
    store = store_on(engine, longest_queue=2)
    (scope,) = open_logs(store)
    waiters = Waiters()
    gate = Gate(store, waiters, [scope.tenant_id])
    item = _submit(store, waiters, scope, 1)
    function = queue(store, waiters, _append(scope, 2), [scope.tenant_id])
    with pytest.raises(Unavailable):
        _submit(store, waiters, scope, 90)
    with pytest.raises(Unavailable):
        queue(store, waiters, _append(scope, 91), [scope.tenant_id])
    assert store.waiting == 2
    gate.open()
    assert (_seq(item), function.result(PATIENCE)) == (0, 1)
    assert _seq(_submit(store, waiters, scope, 3)) == 2
    assert _codes(store, scope) == [1, 2, 3]
    store.close()


def test_close_commits_and_answers_all_that_waits(engine: Engine) -> None:
    store = store_on(engine)
    scopes = open_logs(store, 6)
    waiters = Waiters()
    gate = Gate(store, waiters, [scopes[0].tenant_id])
    futures = [_submit(store, waiters, scope) for scope in scopes for _ in range(20)]
    futures += [queue(store, waiters, _append(scope, 2), [scope.tenant_id]) for scope in scopes]
    closing = threading.Thread(target=store.close)
    closing.start()
    gate.open()
    closing.join(PATIENCE)
    assert not closing.is_alive()
    assert gate.passed.done()
    assert [future.exception(0) for future in futures] == [None] * len(futures)
    with pytest.raises(Unavailable):
        _submit(store, waiters, scopes[0])
    reopened = store_on(engine)
    assert [len(_codes(reopened, scope)) for scope in scopes] == [21] * 6
    reopened.close()


def test_read_sees_what_was_answered_and_runs_beside_a_waiting_writer(store: Store) -> None:
    (scope,) = open_logs(store)
    waiters = Waiters()
    assert _seq(_submit(store, waiters, scope)) == 0
    gate = Gate(store, waiters, [scope.tenant_id])
    assert len(whole_log(store, scope)) == 1
    gate.open()
    gate.passed.result(PATIENCE)


def test_refusal_inside_a_read_is_passed_on_and_the_reader_stays_usable(store: Store) -> None:
    (scope,) = open_logs(store)

    def refuse(tx: Transaction) -> None:
        log.head_of(tx, scope)
        raise Conflict("no")

    with pytest.raises(Conflict):
        store.read(refuse)
    assert store.read(lambda tx: log.head_of(tx, scope)) == 0
