"""Longer work on both databases: every chunk counts once, whatever crashes, is cancelled, or runs at the same time."""

from __future__ import annotations

import itertools
import threading
from dataclasses import dataclass, field
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from heliograph.catalog.definition import Catalog
from heliograph.errors import Conflict, Invalid, NotFound, TooMany
from heliograph.ids import Uid, new_uid
from heliograph.jobs import actions
from heliograph.jobs.events import EVENTS
from heliograph.jobs.model import Advance, JobKind, JobRow
from heliograph.jobs.runner import Runner
from heliograph.tenancy import access, first_start
from heliograph.tenancy import store as tenancy
from heliograph.tenancy.access import SYSTEM
from heliograph.tenancy.actions import plant_tenant
from heliograph.tenancy.model import Kind
from tests.conformance.stores import PATIENCE, whole_log

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from heliograph.jobs.model import Chunk, Job, JobContext
    from heliograph.storage.engine import Transaction
    from heliograph.storage.store import Store
    from heliograph.tenancy.model import Scope
    from tests.conformance.stores import HandClock

SECOND = 1_000_000
DAY = 86_400 * SECOND
CHANGE = "create recipe.tenant"


class Killed(BaseException):
    """Ends a runner in the middle, as the end of its process would: nothing is cleaned up."""


@dataclass
class Count:
    """A chunk of the toy kind: writes one row for each number; the same number twice would break the table's key."""

    job: Job
    first: int
    refuse: Callable[[int], None]

    def apply(self, tx: Transaction, scope: Scope) -> Advance:
        last = min(self.first + 1, self.job.parameters["to"])
        self.refuse(self.first)
        rows = [JobRow(n, "odd" if n % 2 else "even", {"n": n}) for n in range(self.first, last + 1)]
        actions.report(tx, scope, self.job.uid, rows)
        return Advance(last, last, result={"last": last})


@dataclass
class Counting:
    """The toy kind: counts from 1 to a number, two at a time; a test can act before and in any chunk."""

    name: str = "count"
    before: Callable[[Job, int], None] = lambda job, first: None
    within: Callable[[int], None] = lambda first: None
    opened_at: list[Any] = field(default_factory=list)
    served: list[bytes] = field(default_factory=list)

    def open(self, context: JobContext) -> Iterator[Chunk]:
        self.opened_at.append(context.job.position)
        for first in range((context.job.position or 0) + 1, context.job.parameters["to"] + 1, 2):
            self.before(context.job, first)
            self.served.append(context.job.uid)
            yield Count(context.job, first, self.within)

    def kind(self) -> JobKind:
        return JobKind(self.name, "read recipe.tenant", CHANGE, self.open)


@dataclass
class Works:
    """A store with tenants in it, and what a test does with jobs there."""

    store: Store
    company: Scope
    organization: Scope
    told: list[tuple[str, str]] = field(default_factory=list)

    def runner(self, *kinds: Counting, **options: Any) -> Runner:
        known = {kind.name: kind.kind() for kind in kinds}
        return Runner(self.store, known, lambda *told: self.told.append(told), **{"pause_seconds": 0.0, **options})

    def start(self, to: int, scope: Scope | None = None, kind: str = "count", uid: Uid | None = None) -> bytes:
        scope = scope or self.organization
        begin = partial(actions.start, scope=scope, kind=kind, parameters={"to": to}, total=to, uid=uid)
        return self.store.execute(begin, [scope.tenant_id]).uid

    def job(self, uid: bytes, scope: Scope | None = None) -> Job:
        return self.store.read(partial(actions.get, scope=scope or self.organization, uid=uid))

    def cancel(self, uid: bytes) -> Job:
        scope = self.organization
        return self.store.execute(partial(actions.cancel, scope=scope, uid=uid), [scope.tenant_id])

    def numbers(self, uid: bytes, scope: Scope | None = None) -> list[int]:
        read = partial(actions.rows, scope=scope or self.organization, job_uid=uid, outcomes=None, after=0, limit=1000)
        return [row.number for row in self.store.read(read)[0]]

    def add_organization(self, short_name: str) -> Scope:
        def plant(tx: Transaction) -> Scope:
            company = tenancy.tenant_of(tx, self.company)
            return plant_tenant(tx, SYSTEM, company, Kind.ORGANIZATION, short_name, short_name)[1]

        return self.store.execute(plant, [self.company.tenant_id])

    def events(self, uid: bytes) -> list[tuple[str, Any]]:
        """Return what the log says of a job, each payload checked against its definition."""
        found = []
        for event in whole_log(self.store, self.organization):
            if event.envelope.target_entity_id == uid.hex() and event.payload is not None:
                assert event.envelope.type is not None
                Catalog(EVENTS).check(event.envelope.type, event.payload)
                found.append((event.envelope.type, msgspec.json.decode(event.payload)))
        return found


@pytest.fixture
def works(store: Store) -> Works:
    """A platform after its first start."""

    def begin(tx: Transaction) -> tuple[Scope, Scope]:
        organization, _ = first_start.bootstrap(tx)
        scope = access.require(tx, first_start.local_operator(tx), CHANGE, Uid(organization.uid))
        return access.root_scopes(tx)[0], scope

    return Works(store, *store.execute(begin))


def test_job_is_done_chunk_by_chunk_and_both_ends_are_on_record(works: Works) -> None:
    seen = []
    counting = Counting(before=lambda job, _: seen.append(works.job(job.uid)))
    uid = works.start(5)
    assert works.job(uid).state == "queued"
    works.runner(counting).run_pending()
    assert [(job.state, job.done, job.position, job.total) for job in seen] == [
        ("running", 0, None, 5),
        ("running", 2, 2, 5),
        ("running", 4, 4, 5),
    ]
    job = works.job(uid)
    assert (job.state, job.done, job.result, job.error) == ("succeeded", 5, {"last": 5}, None)
    assert job.finished_at is not None
    assert works.numbers(uid) == [1, 2, 3, 4, 5]
    assert works.events(uid) == [
        ("Job.Started", {"uid": uid.hex(), "kind": "count", "total": 5}),
        ("Job.Finished", {"uid": uid.hex(), "kind": "count", "state": "succeeded", "done": 5, "total": 5}),
    ]


def test_job_is_cancelled_between_two_chunks(works: Works) -> None:
    counting = Counting(before=lambda job, first: (works.cancel(job.uid), None)[1] if first == 3 else None)
    uid = works.start(9)
    works.runner(counting).run_pending()
    job = works.job(uid)
    assert (job.state, job.done, job.cancel_requested) == ("cancelled", 2, True)
    assert works.numbers(uid) == [1, 2]
    assert works.events(uid)[-1][1]["state"] == "cancelled"
    assert works.cancel(uid) == job


def test_job_is_cancelled_at_once_when_it_has_not_begun(works: Works) -> None:
    uid = works.start(9)
    assert works.cancel(uid).state == "cancelled"
    works.runner(Counting()).run_pending()
    assert works.numbers(uid) == []
    assert [type for type, _ in works.events(uid)] == ["Job.Started", "Job.Finished"]


def test_job_cannot_be_cancelled_when_it_is_over(works: Works) -> None:
    uid = works.start(1)
    works.runner(Counting()).run_pending()
    with pytest.raises(Conflict, match="succeeded already"):
        works.cancel(uid)


def test_job_of_another_tenant_does_not_exist(works: Works) -> None:
    uid = works.start(1)
    other = works.add_organization("other")
    with pytest.raises(NotFound):
        works.job(uid, other)
    with pytest.raises(NotFound):
        works.store.execute(partial(actions.cancel, scope=other, uid=uid), [other.tenant_id])


def die_at(place: int) -> Callable[[Job, int], None]:
    def before(job: Job, first: int) -> None:
        if first == place:
            raise Killed

    return before


def test_others_go_on_where_a_dead_runner_stopped_once_its_lease_has_ended(works: Works, time: HandClock) -> None:
    uid = works.start(8)
    with pytest.raises(Killed):
        works.runner(Counting(before=die_at(5))).run_pending()
    heir = Counting()
    works.runner(heir).run_pending()
    assert heir.opened_at == []
    time.wall += 31 * SECOND
    works.runner(heir).run_pending()
    assert heir.opened_at == [4]
    assert works.numbers(uid) == list(range(1, 9))
    assert works.job(uid).state == "succeeded"


def test_heir_that_has_the_database_alone_goes_on_at_once(works: Works) -> None:
    uid = works.start(8)
    with pytest.raises(Killed):
        works.runner(Counting(before=die_at(5))).run_pending()
    works.store.execute(actions.take_over)
    works.runner(Counting()).run_pending()
    assert works.numbers(uid) == list(range(1, 9))
    assert works.job(uid).state == "succeeded"


def test_every_chunk_renews_the_lease(works: Works, time: HandClock) -> None:
    def later(job: Job, first: int) -> None:
        time.wall += 20 * SECOND
        works.runner(thief).run_pending()

    thief = Counting()
    uid = works.start(8)
    works.runner(Counting(before=later)).run_pending()
    assert thief.opened_at == []
    assert works.numbers(uid) == list(range(1, 9))


def test_runner_that_lost_its_lease_writes_nothing(works: Works, time: HandClock) -> None:
    def lose(job: Job, first: int) -> None:
        if first == 3:
            time.wall += 31 * SECOND
            works.runner(heir).run_pending()

    heir, loser = Counting(), Counting(before=lose)
    uid = works.start(8)
    works.runner(loser).run_pending()
    assert (loser.opened_at, heir.opened_at) == ([None], [2])
    assert works.numbers(uid) == list(range(1, 9))
    assert [type for type, _ in works.events(uid)] == ["Job.Started", "Job.Finished"]


def test_runner_that_lost_its_lease_does_not_end_the_job(works: Works, time: HandClock) -> None:
    """The thief is still at work when the loser comes to the end of its chunks."""

    def lose(job: Job, first: int) -> None:
        time.wall += 31 * SECOND
        with pytest.raises(Killed):
            works.runner(Counting(before=die_at(1))).run_pending()
        raise Invalid("The loser refuses.")

    uid = works.start(2)
    works.runner(Counting(before=lose)).run_pending()
    assert works.job(uid).state == "running"


def test_two_runners_at_once_do_each_chunk_once(works: Works) -> None:
    scopes = [works.organization, works.add_organization("second"), works.add_organization("third")]
    jobs = [(works.start(21, scope, kind), scope) for scope in scopes for kind in ("count", "tally", "count")]
    kinds = [[Counting(), Counting("tally")] for _ in range(2)]
    together = threading.Barrier(2, timeout=PATIENCE)
    errors: list[BaseException] = []

    def run(mine: list[Counting]) -> None:
        together.wait()
        try:
            works.runner(*mine, turn_seconds=0.0).run_pending()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(mine,)) for mine in kinds]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    # One may have seen nothing left to claim while the other held the last job of a kind.
    works.runner(*kinds[0]).run_pending()
    assert errors == []
    assert works.told == []
    for uid, scope in jobs:
        assert works.job(uid, scope).state == "succeeded"
        assert works.numbers(uid, scope) == list(range(1, 22))


def test_second_job_of_a_kind_waits_while_the_first_runs(works: Works) -> None:
    def look(job: Job, first: int) -> None:
        if job.uid == one:
            works.runner(Counting(), Counting("tally")).run_pending()
            states.append([works.job(uid).state for uid in (two, other)])

    states: list[list[str]] = []
    one, two, other = works.start(1), works.start(1), works.start(1, kind="tally")
    works.runner(Counting(before=look)).run_pending()
    assert states == [["queued", "succeeded"]]
    assert works.job(two).state == "succeeded"


def test_abandoned_job_goes_before_one_of_its_kind_that_has_not_begun(works: Works, time: HandClock) -> None:
    older, younger = sorted((new_uid(), new_uid()))
    works.start(4, uid=younger)
    with pytest.raises(Killed):
        works.runner(Counting(before=die_at(3))).run_pending()
    works.start(2, uid=older)
    time.wall += 31 * SECOND
    counting = Counting()
    works.runner(counting).run_pending()
    assert counting.served == [younger, older]


def test_tenants_take_turns_when_one_of_them_has_much_to_do(works: Works) -> None:
    other = works.add_organization("other")
    mine = [works.start(1) for _ in range(3)]
    theirs = works.start(1, other)
    counting = Counting()
    works.runner(counting).run_pending()
    assert counting.served == [mine[0], theirs, mine[1], mine[2]]


def test_long_job_leaves_turns_to_others(works: Works) -> None:
    other = works.add_organization("other")
    long, short = works.start(8), works.start(2, other)
    counting = Counting()
    works.runner(counting, turn_seconds=0.0).run_pending()
    assert counting.served == [long, short, long, long, long]
    assert works.numbers(long) == list(range(1, 9))


def test_long_job_lets_others_wait_for_two_seconds_and_the_chunk_at_hand(
    works: Works, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = itertools.count()
    monkeypatch.setattr("heliograph.jobs.runner.time", SimpleNamespace(monotonic=lambda: float(next(ticks))))
    other = works.add_organization("other")
    long, short = works.start(12), works.start(2, other)
    counting = Counting()
    works.runner(counting).run_pending()
    assert counting.served[:4] == [long, long, short, long]


def test_stopped_runner_ends_after_its_chunk_and_the_next_goes_on_at_once(works: Works) -> None:
    uid = works.start(8)
    counting = Counting(before=lambda job, first: runner.stop() if first == 3 else None)
    runner = works.runner(counting)
    runner.run_pending()
    assert works.numbers(uid) == [1, 2, 3, 4]
    heir = Counting()
    works.runner(heir).run_pending()
    assert heir.opened_at == [4]
    assert works.numbers(uid) == list(range(1, 9))


def test_thread_takes_up_a_job_when_it_is_told_of_it(works: Works) -> None:
    done = threading.Event()
    begun = threading.Event()
    counting = Counting(before=lambda job, first: done.set() if job.uid == uid else begun.set())
    uid = b""
    works.start(1)
    runner = works.runner(counting)
    runner.start()
    assert begun.wait(PATIENCE)
    uid = new_uid()
    works.start(1, uid=uid)
    runner.notice()
    assert done.wait(PATIENCE)
    runner.stop()


def test_job_of_a_revoked_account_fails(works: Works) -> None:
    def revoke(job: Job, first: int) -> None:
        account = works.organization.actor.account_id
        assert account is not None
        if first == 3:
            works.store.execute(lambda tx: tenancy.revoke_account(tx, works.company, account))

    uid = works.start(8)
    works.runner(Counting(before=revoke)).run_pending()
    job = works.job(uid)
    assert (job.state, job.done, job.error) == ("failed", 2, "The account that began this was revoked.")
    assert works.told == []


def test_job_of_an_account_that_lost_the_right_fails(works: Works) -> None:
    def withdraw(job: Job, first: int) -> None:
        account = works.organization.actor.account_id
        taken = "delete from access_grant where holder = 'account' and holder_id = :account"
        if first == 3:
            works.store.execute(lambda tx: tx.run(taken, account=account))

    uid = works.start(8)
    works.runner(Counting(before=withdraw)).run_pending()
    job = works.job(uid)
    assert (job.state, job.done) == ("failed", 2)
    assert job.error == f"The account that began this no longer holds the permission '{CHANGE}'."


@pytest.mark.parametrize("place", ["before", "within"])
def test_refusal_ends_the_job_and_is_told(works: Works, place: str) -> None:
    def refuse(*where: Any) -> None:
        if where[-1] == 3:
            raise Invalid("Row 3 is beyond help.")

    uid = works.start(8)
    counting = Counting(before=refuse) if place == "before" else Counting(within=refuse)
    works.runner(counting).run_pending()
    job = works.job(uid)
    assert (job.state, job.done, job.error) == ("failed", 2, "Row 3 is beyond help.")
    assert works.events(uid)[-1][1]["error"] == "Row 3 is beyond help."
    assert works.numbers(uid) == [1, 2]


@pytest.mark.parametrize("place", ["before", "within"])
def test_chunk_that_fails_twice_is_tried_again_from_the_stored_position(works: Works, place: str) -> None:
    def fail(*where: Any) -> None:
        if where[-1] == 3 and len(counting.opened_at) < 3:
            raise ZeroDivisionError

    uid = works.start(8)
    counting = Counting(before=fail) if place == "before" else Counting(within=fail)
    works.runner(counting).run_pending()
    assert counting.opened_at == [None, 2, 2]
    assert works.numbers(uid) == list(range(1, 9))
    assert works.told == []


def test_chunk_that_always_fails_ends_the_job_as_a_technical_error(works: Works) -> None:
    def fail(first: int) -> None:
        if first == 3:
            raise ZeroDivisionError("with a secret")

    uid = works.start(8)
    counting = Counting(within=fail)
    works.runner(counting).run_pending()
    job = works.job(uid)
    assert (job.state, job.done) == ("failed", 2)
    assert job.error is not None
    assert "secret" not in job.error
    assert counting.opened_at == [None, 2, 2]
    assert works.told == [("job", "A job of kind count failed: ZeroDivisionError.")]


def test_job_of_an_unknown_kind_waits_for_a_process_that_knows_it(works: Works) -> None:
    uid = works.start(1, kind="tally")
    works.runner(Counting()).run_pending()
    assert works.job(uid).state == "queued"


def test_uid_can_be_begun_once(works: Works) -> None:
    uid = new_uid()
    works.start(1, uid=uid)
    with pytest.raises(Conflict, match="begun before"):
        works.start(1, uid=uid)


def test_too_many_unfinished_jobs_are_refused(works: Works, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(actions, "MOST_UNFINISHED", 2)
    works.start(1)
    works.start(1)
    with pytest.raises(TooMany):
        works.start(1)
    works.runner(Counting()).run_pending()
    works.start(1)


def test_work_of_the_platform_itself_is_begun_however_much_waits(works: Works, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(actions, "MOST_UNFINISHED", 1)
    works.start(1)
    begin = partial(actions.start, scope=works.organization, kind="count", parameters={"to": 1}, limited=False)
    assert works.store.execute(begin, [works.organization.tenant_id]).state == "queued"


def test_rows_are_paged_by_outcome(works: Works) -> None:
    uid = works.start(9)
    works.runner(Counting()).run_pending()

    def page(outcomes: list[str] | None, after: int) -> tuple[list[int], int | None]:
        read = partial(actions.rows, scope=works.organization, job_uid=uid, outcomes=outcomes, after=after, limit=3)
        found, last = works.store.read(read)
        assert all(row.detail == {"n": row.number} for row in found)
        return [row.number for row in found], last

    assert page(None, 0) == ([1, 2, 3], 3)
    assert page(["even"], 0) == ([2, 4, 6], 6)
    assert page(["even"], 6) == ([8], None)
    assert page(["odd", "even", "odd"], 6) == ([7, 8, 9], None)
    assert page(["neither"], 0) == ([], None)


def test_jobs_are_listed_by_kind_and_state(works: Works) -> None:
    one, two, other = works.start(1), works.start(1), works.start(1, kind="tally")
    works.cancel(two)

    def listed(kinds: list[str], states: list[Any], after: bytes = b"", limit: int = 10) -> Any:
        read = partial(actions.list_jobs, scope=works.organization, kinds=kinds, states=states, after=after)
        jobs, last = works.store.read(partial(read, limit=limit))
        return [job.uid for job in jobs], last

    assert listed(["count", "tally"], []) == ([one, two, other], None)
    assert listed(["count"], ["queued", "running"]) == ([one], None)
    assert listed([], []) == ([], None)
    assert listed(["count", "tally"], [], limit=1) == ([one], one)
    assert listed(["count", "tally"], [], after=one, limit=2) == ([two, other], None)


def test_input_is_read_part_by_part(works: Works) -> None:
    uid, scope = new_uid(), works.organization
    for part in (2, 0, 1, 1):
        content = b"\0part %d" % part
        works.store.execute(partial(actions.put_input, scope=scope, job_uid=uid, part=part, content=content))
    found = list(actions.read_inputs(works.store.read, scope, uid, 1))
    assert found == [(1, b"\0part 1"), (2, b"\0part 2")]
    assert not works.store.execute(partial(actions.drop_input, scope=scope, job_uid=uid))
    assert list(actions.read_inputs(works.store.read, scope, uid, 0)) == []


def test_marks_belong_to_one_job(works: Works) -> None:
    scope, uid, other = works.organization, new_uid(), new_uid()

    def put(job_uid: bytes, marks: dict[str, bytes]) -> None:
        works.store.execute(partial(actions.put_marks, scope=scope, job_uid=job_uid, marks=marks))

    def find(job_uid: bytes, marks: list[str]) -> dict[str, bytes]:
        return works.store.read(partial(actions.find_marks, scope=scope, job_uid=job_uid, marks=marks))

    many = {f"serial:{n}": b"%d" % n for n in range(450)}
    put(uid, many)
    put(other, {"serial:1": b"other"})
    put(uid, {"serial:1": b"changed", "new": b""})
    assert find(uid, [*many, "new", "never"]) == many | {"serial:1": b"changed", "new": b""}
    assert find(other, [*many, "new"]) == {"serial:1": b"other"}
    assert find(uid, []) == {}


def test_input_and_marks_go_as_soon_as_the_job_is_over(works: Works) -> None:
    scope, begun, waiting = works.organization, works.start(3), works.start(1, kind="never")
    for uid in (begun, waiting):
        works.store.execute(partial(actions.put_input, scope=scope, job_uid=uid, part=0, content=b"x"))
        works.store.execute(partial(actions.put_marks, scope=scope, job_uid=uid, marks={"a": b"x"}))
        assert not works.store.execute(partial(actions.clear, scope=scope, job_uid=uid))
        assert not works.store.execute(partial(actions.abandon_input, scope=scope, job_uid=uid))
    works.runner(Counting()).run_pending()

    def left(uid: bytes) -> tuple[int, int]:
        parts = len(list(actions.read_inputs(works.store.read, scope, uid, 0)))
        return parts, len(works.store.read(partial(actions.find_marks, scope=scope, job_uid=uid, marks=["a"])))

    assert (left(begun), left(waiting)) == ((0, 0), (1, 1))


def forget(works: Works) -> int:
    """Remove all that is old; return in how many steps."""
    step = partial(actions.forget, scope=works.organization, kept_days=30)
    steps = 1
    while works.store.execute(step):
        steps += 1
    return steps


def test_finished_job_is_forgotten_after_its_days_in_small_steps(
    works: Works, time: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(actions, "CHUNK", 4)
    monkeypatch.setattr(actions, "CHUNK_OF_INPUT", 2)
    scope, uid = works.organization, works.start(9)
    waiting = works.start(1, kind="never")
    works.runner(Counting()).run_pending()
    # As if the process had ended before it could clear up.
    for part in range(5):
        works.store.execute(partial(actions.put_input, scope=scope, job_uid=uid, part=part, content=b"x"))
    marks = {str(n): b"" for n in range(9)}
    works.store.execute(partial(actions.put_marks, scope=scope, job_uid=uid, marks=marks))
    assert forget(works) == 4
    assert list(actions.read_inputs(works.store.read, scope, uid, 0)) == []
    time.wall += 30 * DAY
    assert forget(works) == 1
    assert works.numbers(uid) == list(range(1, 10))
    time.wall += DAY
    assert forget(works) > 5
    with pytest.raises(NotFound):
        works.job(uid)
    assert works.job(waiting).state == "queued"
    assert works.numbers(uid) == []
    assert works.store.read(partial(actions.find_marks, scope=scope, job_uid=uid, marks=marks)) == {}
    assert list(actions.read_inputs(works.store.read, scope, uid, 0)) == []


def test_input_whose_job_was_never_begun_is_forgotten_after_a_day(works: Works, time: HandClock) -> None:
    scope = works.organization
    abandoned, begun = ((time.wall // 1000).to_bytes(6, "big") + bytes([n] * 10) for n in (1, 2))
    for uid in (abandoned, begun):
        works.store.execute(partial(actions.put_input, scope=scope, job_uid=uid, part=0, content=b"x"))
    begin = partial(actions.start, scope=scope, kind="never", parameters={}, uid=begun)
    works.store.execute(begin, [scope.tenant_id])
    time.wall += DAY
    assert forget(works) == 1
    time.wall += SECOND
    assert forget(works) == 2
    assert list(actions.read_inputs(works.store.read, scope, abandoned, 0)) == []
    assert list(actions.read_inputs(works.store.read, scope, begun, 0)) == [(0, b"x")]
