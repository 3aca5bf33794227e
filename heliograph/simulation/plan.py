"""What happens to a fleet, step by step: a function of the numbers of players and locks and of the seed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from heliograph.simulation import changes, guests, presence, registration
from heliograph.simulation.fleet import Before, Fleet
from heliograph.simulation.steps import Step
from heliograph.simulation.world import World

_NOTHING = Before()


class Move(NamedTuple):
    """Something that can happen, how often it does, and whether there must be players or locks for it."""

    weight: int
    make: Callable[[World], Step | None]
    needs: str


_MOVES = (
    Move(14, registration.player_registers, "players"),
    Move(16, presence.player_reports, "players"),
    Move(8, presence.lock_reports, "locks"),
    Move(12, guests.guests_come_and_go, "locks"),
    Move(5, guests.guest_comes, "locks"),
    Move(2, guests.guest_is_renamed, "locks"),
    Move(1, guests.reported_late, "locks"),
    Move(2, guests.somebody_tampers, "locks"),
    Move(2, guests.account_changes, "locks"),
    Move(11, changes.convert, "locks"),
    Move(3, changes.create, "locks"),
    Move(5, changes.change, "locks"),
    Move(7, changes.remove, "locks"),
    Move(2, changes.ask_again, "locks"),
    Move(45, changes.complete, "locks"),
)


class Plan:
    """The steps of one run; `before` is what an earlier one left, and changes what is expected, not what is done."""

    def __init__(self, fleet: Fleet, before: Before = _NOTHING) -> None:
        self.world = World(fleet, before)

    def opening(self) -> Iterator[Step]:
        """Yield the steps that every run begins with: the recipes, then the locks with what they hold."""
        yield from registration.opening(self.world)
        for lock in self.world.locks:
            yield guests.first_report(self.world, lock)

    def steps(self) -> Iterator[Step]:
        """Yield the steps that follow, without end."""
        world = self.world
        present = {"players": world.players, "locks": world.locks}
        moves = [move for move in _MOVES if present[move.needs]]
        weights = [move.weight for move in moves]
        while moves:
            step = world.chance.choices(moves, weights)[0].make(world)
            if step is not None:
                world.steps += 1
                yield step

    def closing(self) -> Iterator[Step]:
        """Yield the steps that leave nothing under way, wherever the others were broken off."""
        while (step := changes.complete(self.world, last=True)) is not None:
            self.world.steps += 1
            yield step
