"""Group commit: everything that waits is written in one transaction, and everybody is answered after its commit.

The design note is `docs/decisions/0003-group-commit.md`.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol, TypeVar

import msgspec

from heliograph.clock import Clock
from heliograph.errors import Refusal, Unavailable
from heliograph.storage.engine import Connection, Engine, Transaction

T = TypeVar("T")
log = logging.getLogger(__name__)

LARGEST_GROUP = 4000
"""Rows and functions per commit; more wait for the next group, which bounds the time of one commit."""

MOST_ROWS = 20_000
"""Rows that a commit is to insert, going by what items of the same tenant came to before: an event may make many."""

TRIES = 5
"""How often a group is run again after a deadlock or serialization failure."""

Settled = list[tuple[Any, bool, Any]]
"""For each waiter: itself, whether its work succeeded, and the result or the exception."""


class Replies(Protocol):
    """Takes the answers of a whole group at once, so that a loop in another thread is woken only once."""

    def deliver(self, settled: Settled) -> None:
        """Hand each result to its waiter."""


class AppendHandler(Protocol):
    """Writes the append items that one group holds for one tenant."""

    def __call__(self, tx: Transaction, tenant_id: int, items: Sequence[Any], /) -> list[Any]:
        """Return one result for each item, in their order."""


class _Work(msgspec.Struct, gc=False):
    waiter: Any
    replies: Replies
    tenant_id: int = 0
    item: Any = None
    function: Callable[[Transaction], Any] | None = None
    tenants: tuple[int, ...] = ()
    weight: int = 1


class _Futures:
    """Answers waiters that are threads."""

    def deliver(self, settled: Settled) -> None:
        for future, succeeded, value in settled:
            if succeeded:
                future.set_result(value)
            else:
                future.set_exception(value)


class Store:
    """The database as the platform uses it: grouped writes, snapshot reads.

    `append` writes the append items of a group; `lock` takes the locks of the tenants that a group's functions
    touch, in one order. Both run inside the group's transaction.
    """

    def __init__(
        self,
        engine: Engine,
        clock: Clock,
        *,
        append: AppendHandler,
        lock: Callable[[Transaction, Sequence[int]], None],
        readers: int = 4,
        longest_queue: int = 100_000,
    ) -> None:
        self.engine = engine
        self.clock = clock
        self.groups_committed = 0
        self.on_commit: Callable[[Iterable[int]], None] = lambda _: None
        """Told the tenants of each group after its commit; runs in a writer's thread and must be quick."""
        self.reader_pool = ThreadPoolExecutor(readers, thread_name_prefix="reader")
        self._append = append
        self._lock_tenants = lock
        self._longest_queue = longest_queue
        self._futures = _Futures()
        self._local = threading.local()
        self._readers: list[Connection] = []
        self._changed = threading.Condition()
        self._lanes: dict[Hashable, deque[_Work]] = {}
        self._ready: deque[Hashable] = deque()
        self._busy: set[Hashable] = set()
        self._waiting = 0
        self._rows: dict[int, float] = {}
        """For each tenant whose items make more rows than usual: how many for each unit of their weight."""
        self._closing = False
        self._writers = [
            threading.Thread(target=self._write_forever, name=f"writer-{number}", daemon=True)
            for number in range(engine.parallel_writers)
        ]
        for writer in self._writers:
            writer.start()

    # -- writing ------------------------------------------------------------------------------------------------

    @property
    def waiting(self) -> int:
        """How much waits for a commit: rows to append and functions to run."""
        return self._waiting

    def append(self, tenant_id: int, item: Any, waiter: Any, replies: Replies, weight: int = 1) -> None:
        """Queue an append item: already validated, unable to fail alone; `weight` is how many events it holds.

        Raises:
            Unavailable: when the queue is full or the store is closing; nothing was queued.
        """
        self._submit(tenant_id, _Work(waiter, replies, tenant_id, item, weight=weight))

    def write(
        self,
        function: Callable[[Transaction], Any],
        waiter: Any,
        replies: Replies,
        tenants: Sequence[int] = (),
        lane: Hashable = None,
    ) -> None:
        """Queue a function; it runs in a savepoint of its group and is undone alone when it raises.

        `tenants` are those whose logs it writes to. Functions of one `lane` (by default their tenant) never run at
        the same time; those of different lanes may, where the database allows it.

        Raises:
            Unavailable: as for `append`.
        """
        work = _Work(waiter, replies, function=function, tenants=tuple(sorted(set(tenants))))
        self._submit(lane if lane is not None else (work.tenants[0] if work.tenants else "control"), work)

    def execute(self, function: Callable[[Transaction], T], tenants: Sequence[int] = (), lane: Hashable = None) -> T:
        """Run a function as `write` does and wait for its commit; for threads, never for an event loop."""
        future: Future[T] = Future()
        self.write(function, future, self._futures, tenants, lane)
        return future.result()

    def _submit(self, lane: Hashable, work: _Work) -> None:
        if self.engine.parallel_writers == 1:
            lane = 0
        with self._changed:
            if self._closing:
                raise Unavailable("The server is stopping.")
            if self._waiting >= self._longest_queue:
                raise Unavailable("Too many writes are waiting.")
            self._waiting += work.weight
            queue = self._lanes.get(lane)
            if queue is not None:
                queue.append(work)
                return
            self._lanes[lane] = deque((work,))
            if lane not in self._busy:
                self._ready.append(lane)
                self._changed.notify()

    def _write_forever(self) -> None:
        connection: Connection | None = None
        while (taken := self._take_group()) is not None:
            lane, group = taken
            connection = self._commit(connection, group)
            with self._changed:
                self._busy.discard(lane)
                if lane in self._lanes:
                    self._ready.append(lane)
                    self._changed.notify()
        if connection is not None:
            connection.close()

    def _take_group(self) -> tuple[Hashable, list[_Work]] | None:
        with self._changed:
            while not self._ready:
                if self._closing and not self._lanes:
                    self._changed.notify_all()
                    return None
                self._changed.wait()
            lane = self._ready.popleft()
            queue = self._lanes[lane]
            group: list[_Work] = []
            weight = 0
            rows = 0.0
            while queue and weight < LARGEST_GROUP and rows < MOST_ROWS:
                work = queue.popleft()
                group.append(work)
                weight += work.weight
                rows += work.weight * self._rows.get(work.tenant_id, 1.0)
            if not queue:
                del self._lanes[lane]
            self._busy.add(lane)
            self._waiting -= weight
            return lane, group

    def _commit(self, connection: Connection | None, group: list[_Work]) -> Connection | None:
        for attempt in range(1, TRIES + 1):
            settled: list[tuple[_Work, bool, Any]] = []
            kept = connection is not None
            try:
                connection = connection or self.engine.connect(write=True)
                with connection.transaction(self.clock.now(), write=True) as tx:
                    settled = self._run(tx, group)
            except Exception as error:
                if self.engine.is_transient(error) and attempt < TRIES:
                    continue
                if self.engine.is_outage(error):
                    _discard(connection)
                    connection = None
                    # One that was kept may date from before a restart; nothing is stored before the commit begins.
                    if kept and not settled and attempt < TRIES:
                        continue
                log.exception("a group of writes was undone")
                settled = [(work, False, self._public(error)) for work in group]
            else:
                self._note_commit(group)
            break
        _deliver(settled)
        return connection

    def _note_commit(self, group: list[_Work]) -> None:
        self.groups_committed += 1
        touched = {work.tenant_id for work in group if work.function is None}
        try:
            self.on_commit(touched.union(*(work.tenants for work in group)))
        except Exception:
            # What is durable must not look undone.
            log.exception("nobody could be told of a commit")

    def _run(self, tx: Transaction, group: list[_Work]) -> list[tuple[_Work, bool, Any]]:
        appends: dict[int, list[_Work]] = {}
        functions: list[_Work] = []
        touched: set[int] = set()
        for work in group:
            if work.function is None:
                appends.setdefault(work.tenant_id, []).append(work)
            else:
                functions.append(work)
                touched.update(work.tenants)
        touched.update(appends)
        # What a function reads before it writes must not change in between, by another process either.
        if functions or len(touched) > 1:
            self._lock_tenants(tx, sorted(touched))
        settled: list[tuple[_Work, bool, Any]] = []
        for tenant_id, works in appends.items():
            before = tx.inserted
            results = self._append(tx, tenant_id, [work.item for work in works])
            self._note_rows(tenant_id, (tx.inserted - before) / sum(work.weight for work in works))
            settled.extend((work, True, result) for work, result in zip(works, results, strict=True))
        settled.extend(self._call(tx, work) for work in functions)
        return settled

    def _note_rows(self, tenant_id: int, rows: float) -> None:
        if rows > MOST_ROWS / LARGEST_GROUP:
            self._rows[tenant_id] = rows
        else:
            self._rows.pop(tenant_id, None)

    def _call(self, tx: Transaction, work: _Work) -> tuple[_Work, bool, Any]:
        assert work.function is not None
        try:
            with tx.savepoint():
                return work, True, work.function(tx)
        except Refusal as refusal:
            return work, False, refusal
        except Exception as error:
            if self.engine.is_transient(error) or self.engine.is_outage(error):
                raise
            log.exception("a write failed and was undone alone")
            return work, False, error

    def _public(self, error: Exception) -> Exception:
        if self.engine.is_outage(error) or self.engine.is_transient(error):
            return Unavailable("The database cannot be written now.", retry_after=2)
        return error

    # -- reading ------------------------------------------------------------------------------------------------

    def read(self, function: Callable[[Transaction], T]) -> T:
        """Run a function over one snapshot, in the calling thread.

        Raises:
            Unavailable: when the database cannot be reached.
        """
        kept = getattr(self._local, "connection", None) is not None
        try:
            with self._reader().transaction(self.clock.now(), write=False) as tx:
                return function(tx)
        except Refusal:
            raise
        except Exception as error:
            if not self.engine.is_outage(error):
                raise
            _discard(self._local.connection)
            self._local.connection = None
            if kept:
                return self.read(function)
            raise Unavailable("The database cannot be read now.", retry_after=2) from error

    def _reader(self) -> Connection:
        connection: Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            self._local.connection = None
            connection = self.engine.connect(write=False)
            self._local.connection = connection
            self._readers.append(connection)
        return connection

    # -- stopping -----------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Commit what waits, answer everybody, and release the database."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        for writer in self._writers:
            writer.join()
        self.reader_pool.shutdown()
        for connection in self._readers:
            connection.close()
        self.engine.close()


def _deliver(settled: list[tuple[_Work, bool, Any]]) -> None:
    by_replies: dict[int, tuple[Replies, Settled]] = {}
    for work, succeeded, value in settled:
        entry = by_replies.setdefault(id(work.replies), (work.replies, []))
        entry[1].append((work.waiter, succeeded, value))
    for replies, answers in by_replies.values():
        try:
            replies.deliver(answers)
        except Exception:
            # Waiters that are gone, with their loop, must stop neither the writer nor the answers to others.
            log.exception("a group's answers could not be delivered")


def _discard(connection: Connection | None) -> None:
    if connection is not None:
        try:
            connection.close()
        except Exception:
            log.debug("a broken connection could not be closed", exc_info=True)
