"""Work that comes round again, on both databases: for every organization, and by one process at a time."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from heliograph.errors import Conflict
from heliograph.jobs.recurring import Chore, Recurring
from heliograph.tenancy import first_start
from heliograph.tenancy import store as tenancy
from heliograph.tenancy.access import SYSTEM, all_tenants, root_scopes
from heliograph.tenancy.actions import plant_tenant
from heliograph.tenancy.model import Kind
from tests.conformance.stores import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable

    from heliograph.storage.engine import Transaction
    from heliograph.storage.store import Store
    from heliograph.tenancy.model import Scope
    from tests.conformance.stores import HandClock

SECOND = 1_000_000


def organizations_of(tx: Transaction) -> list[int]:
    """Return what a chore that visits organizations finds due."""
    company = root_scopes(tx)[0].tenant_id
    return [tenant_id for tenant_id in all_tenants(tx) if tenant_id != company]


@pytest.fixture
def tenants(store: Store) -> list[int]:
    """Two organizations below a company."""

    def begin(tx: Transaction) -> list[int]:
        first_start.bootstrap(tx)
        company = tenancy.tenant_of(tx, root_scopes(tx)[0])
        plant_tenant(tx, SYSTEM, company, Kind.ORGANIZATION, "second", "second")
        return organizations_of(tx)

    found = store.execute(begin)
    assert len(found) == 2
    return found


class Rounds:
    """A chore that counts its steps; `times` is how many there are in each organization."""

    def __init__(self, times: int = 1, within: Callable[[int], None] = lambda tenant_id: None) -> None:
        self.steps: list[int] = []
        self.times = times
        self.within = within
        self.chore = Chore("test", 60.0, organizations_of, self.step)

    def step(self, tx: Transaction, scope: Scope) -> bool:
        assert scope.kind == "organization"
        self.steps.append(scope.tenant_id)
        self.within(scope.tenant_id)
        return self.steps.count(scope.tenant_id) % self.times != 0


def test_chore_is_done_in_every_organization_until_nothing_is_left_there(store: Store, tenants: list[int]) -> None:
    rounds = Rounds(times=3)
    assert Recurring(store, []).run(rounds.chore) == 60.0
    assert rounds.steps == [tenant_id for tenant_id in tenants for _ in range(3)]


def test_round_is_done_by_one_process_until_it_is_due_again(store: Store, tenants: list[int], time: HandClock) -> None:
    rounds = Rounds()
    one, other = Recurring(store, []), Recurring(store, [])
    one.run(rounds.chore)
    time.wall += 20 * SECOND
    assert other.run(rounds.chore) == 40.0
    assert rounds.steps == tenants
    time.wall += 40 * SECOND
    other.run(rounds.chore)
    one.run(rounds.chore)
    assert rounds.steps == tenants * 2


def test_failure_in_one_organization_leaves_the_others_alone(store: Store, tenants: list[int]) -> None:
    def fail(tenant_id: int) -> None:
        if tenant_id == tenants[0]:
            raise ZeroDivisionError

    rounds = Rounds(within=fail)
    Recurring(store, []).run(rounds.chore)
    assert rounds.steps == tenants


def test_process_whose_lease_ended_leaves_the_round_to_the_next(
    store: Store, tenants: list[int], time: HandClock
) -> None:
    lost, taken_over = Recurring(store, []), Rounds()
    read = store.read

    def late(function: Callable[[Transaction], list[int]]) -> list[int]:
        """Let the other process do its round between taking the lease and the first step."""
        found = read(function)
        store.read = read  # type: ignore[method-assign]  # for the other process
        time.wall += 31 * SECOND
        Recurring(store, []).run(taken_over.chore)
        return found

    rounds = Rounds()
    store.read = late  # type: ignore[method-assign,assignment]  # a moment between two transactions
    with pytest.raises(Conflict):
        lost.run(rounds.chore)
    assert rounds.steps == []
    assert taken_over.steps == tenants


def test_thread_runs_chores_and_ends(store: Store, tenants: list[int]) -> None:
    reached = threading.Event()
    rounds = Rounds(within=lambda tenant_id: reached.set() if tenant_id == tenants[-1] else None)
    recurring = Recurring(store, [rounds.chore])
    recurring.start()
    assert reached.wait(PATIENCE)
    recurring.stop()
    assert rounds.steps == tenants


def test_stopped_process_leaves_the_round_to_others_at_once(store: Store, tenants: list[int]) -> None:
    rounds = Rounds(within=lambda tenant_id: stopped.stop())
    stopped = Recurring(store, [])
    stopped.run(rounds.chore)
    assert rounds.steps == tenants[:1]
    heir = Rounds()
    Recurring(store, []).run(heir.chore)
    assert heir.steps == tenants
