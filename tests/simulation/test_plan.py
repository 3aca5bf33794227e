"""What happens in a simulated fleet: the same for the same seed, and in itself without contradiction."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from itertools import chain, islice

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heliograph.access_codes.causes import CAUSES
from heliograph.simulation.fleet import LARGEST_SEED, Before, assemble, listed, spreadsheet
from heliograph.simulation.plan import Plan
from heliograph.simulation.steps import Step
from heliograph.simulation.world import LockState

NOTHING = Before()


def played(players: int, locks: int, seed: int, count: int, before: Before = NOTHING) -> list[Step]:
    """Return all steps of a run that is broken off after `count`."""
    plan = Plan(assemble(players, locks, seed), before)
    return [*plan.opening(), *islice(plan.steps(), count), *plan.closing()]


def decisions(steps: list[Step]) -> list[tuple[object, ...]]:
    """Return what is done, without what must follow from it."""
    return [(step.actor, step.method, step.path, msgspec.json.encode(step.body)) for step in steps]


def test_same_seed_makes_the_same_steps() -> None:
    assert played(30, 8, 7, 2000) == played(30, 8, 7, 2000)


def test_another_seed_or_another_number_makes_other_steps() -> None:
    sequences = [played(30, 8, 7, 300), played(30, 8, 8, 300), played(31, 8, 7, 300), played(30, 9, 7, 300)]
    texts = [[step.text for step in steps] for steps in sequences]
    assert all(one != other for number, one in enumerate(texts) for other in texts[:number])


def test_what_an_earlier_run_left_changes_what_is_expected_and_not_what_is_done() -> None:
    fleet = assemble(30, 8, 7)
    everybody = frozenset(listed(fleet))
    before = Before(listed=everybody, warned=everybody, enrolled=everybody, placed=everybody)
    first, second = played(30, 8, 7, 1000), played(30, 8, 7, 1000, before)
    assert decisions(first) == decisions(second)
    again = Counter(event for step in second for event in step.events)
    assert again["Device.Added"] == again["Device.ProvisioningRecipeCreated"] == again["Device.Updated"] == 0


def test_every_cause_and_every_outcome_occurs() -> None:
    counted = Counter(name for step in played(20, 10, 1, 4000) for name in step.counts)
    assert {cause.error_code for cause in CAUSES} <= set(counted)
    outcomes = {
        f"{about} {end}" for about in ("conversions", "changes") for end in ("succeeded", "failed", "timed out")
    }
    assert outcomes | {"refused", "not listed", "registered again", "batteries ran low", "late reports"} <= set(counted)


@pytest.mark.parametrize(("one", "other"), [(1, 2), (1, 11), (7, 70), (0, 256), (255, LARGEST_SEED)])
def test_fleets_of_two_seeds_share_no_identifier(one: int, other: int) -> None:
    first, second = assemble(50, 20, one), assemble(50, 20, other)
    for fleet, stranger in ((first, second), (second, first)):
        assert not {player.mac for player in fleet.players} & {player.mac for player in stranger.players}
        assert not any(serial.startswith(fleet.serials) for serial in listed(stranger))
        assert not any(account.name.startswith(fleet.account_names) for account in stranger.accounts)


def test_addresses_are_ones_that_no_manufacturer_gives_away() -> None:
    addresses = {player.mac for player in assemble(500, 0, LARGEST_SEED).players}
    assert len(addresses) == 500
    assert all(re.fullmatch(r"02(:[0-9A-F]{2}){5}", address) for address in addresses)


def test_spreadsheet_lists_all_but_the_unlisted() -> None:
    fleet = assemble(200, 5, 3)
    rows = spreadsheet(fleet).splitlines()[1:]
    unlisted = [player for player in fleet.players if player.fate == "unlisted"]
    assert unlisted
    assert len(rows) == len(listed(fleet)) == 205 - len(unlisted)


@pytest.mark.parametrize(
    ("players", "locks", "seed"), [(-1, 0, 1), (0, 10**6, 1), (1, 1, -1), (1, 1, LARGEST_SEED + 1)]
)
def test_numbers_out_of_range_are_refused(players: int, locks: int, seed: int) -> None:
    with pytest.raises(ValueError, match="0 to"):
        assemble(players, locks, seed)


def test_fleet_of_nobody_does_nothing() -> None:
    assert not list(islice(Plan(assemble(0, 0, 1)).steps(), 1))


# -- what holds of every plan ---------------------------------------------------------------------------------------

FLEETS = st.tuples(st.integers(0, 6), st.integers(1, 5), st.integers(0, LARGEST_SEED))


@settings(max_examples=25, deadline=None)
@given(fleet=FLEETS, count=st.integers(0, 600))
def test_every_report_says_each_thing_once(fleet: tuple[int, int, int], count: int) -> None:
    for step in played(*fleet, count):
        if step.method == "PUT":
            for field in ("externalId", "code", "name"):
                said = [code[field] for code in step.body["codes"] if field in code]
                assert len(said) == len(set(said))


@settings(max_examples=25, deadline=None)
@given(fleet=FLEETS, count=st.integers(0, 600))
def test_every_operation_is_asked_for_before_it_is_completed_and_completed_once(
    fleet: tuple[int, int, int], count: int
) -> None:
    open_operations: set[str] = set()
    for step in played(*fleet, count):
        if step.offered:
            open_operations.remove(step.offered)
        open_operations |= {name for name in step.learns if name.startswith("operation")}
    assert not open_operations


@settings(max_examples=25, deadline=None)
@given(fleet=FLEETS, count=st.integers(0, 600))
def test_events_tell_of_as_many_codes_as_there_are(fleet: tuple[int, int, int], count: int) -> None:
    plan = Plan(assemble(*fleet))
    steps = chain(plan.opening(), islice(plan.steps(), count), plan.closing())
    told = Counter((step.actor, event.removeprefix("access_code.")) for step in steps for event in step.events)
    for lock in plan.world.locks:
        assert len(lock.guests) == _sum(told, lock, ("unmanaged.created",), _LOST_GUESTS)
        assert len(lock.managed) == _sum(told, lock, ("unmanaged.converted_to_managed", "created"), ("deleted",))


_LOST_GUESTS = ("unmanaged.removed", "unmanaged.converted_to_managed")


def _sum(told: Counter[tuple[str, str]], lock: LockState, more: tuple[str, ...], less: tuple[str, ...]) -> int:
    return sum(told[lock.actor, name] for name in more) - sum(told[lock.actor, name] for name in less)


@settings(max_examples=25, deadline=None)
@given(fleet=FLEETS, count=st.integers(0, 600))
def test_no_step_names_what_nobody_can_know(fleet: tuple[int, int, int], count: int) -> None:
    known = {f"account {number}" for number in range(1, 9)}
    for step in played(*fleet, count):
        names = set(_names(step.path)) | set(_names(msgspec.json.encode([step.body, step.answer]).decode()))
        # The codes of a lock are found in its list.
        assert {name for name in names if not name.startswith("code ")} <= known
        known |= set(step.learns)


def _names(text: str) -> Iterator[str]:
    return (found[1] for found in re.finditer(r"\{([a-z]+ [0-9/]+)\}", text))
