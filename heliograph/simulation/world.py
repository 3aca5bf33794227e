"""What is the case in a simulated fleet at one moment of the plan, and what the server has to believe of it."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from heliograph.simulation.fleet import Account, Before, Fleet, Lock, Player, dice

Kind = Literal["convert_access_code", "set_access_code", "update_access_code", "remove_access_code"]
"""What a connector may be asked to do."""

Outcome = Literal["succeeded", "failed", "silent"]
"""What becomes of it; a connector that is silent lets the time run out."""

BATTERY_LOW, BATTERY_RECOVERED = 20, 30
"""Percent at which the platform, unless it is set otherwise, calls a battery low, and no longer so."""


@dataclass
class Presence:
    """What a device says of itself; `session` counts its connections."""

    online: bool = False
    session: int = 0
    battery: int = 100
    low: bool = False
    hot: bool = False


@dataclass
class PlayerState:
    """A player; `tried` counts how often it registered in vain, `warned` tells that its recipe's operator knows."""

    player: Player
    enrolled: bool = False
    tried: int = 0
    warned: bool = False
    presence: Presence = field(default_factory=Presence)

    @property
    def actor(self) -> str:
        """Its name in the plan."""
        return f"player {self.player.number}"


@dataclass
class Pending:
    """An operation that a connector has to complete, and how it will; `since` is the step that asked for it.

    `wish` has the fields of the code as they will be when it succeeds.
    """

    name: str
    kind: Kind
    outcome: Outcome
    error: str
    since: int
    wish: dict[str, Any]


@dataclass
class CodeState:
    """An access code.

    `hidden` are codes whose PIN the lock does not show, `on_lock` is whether the lock has it, and `named` whether the
    server knows what the lock calls it.
    """

    number: int
    name: str
    pin: str
    frame: tuple[str, str] | None = None
    hidden: bool = False
    cannot_be_managed: bool = False
    managed: bool = False
    on_lock: bool = True
    named: bool = True
    operations: int = 0
    pending: Pending | None = None

    @property
    def external_id(self) -> str:
        """What the lock calls it."""
        return f"slot-{self.number}"

    def reported(self) -> dict[str, Any]:
        """Return what the lock says of it; of managed codes the PIN is left out, for it is known."""
        start, end = self.frame or (None, None)
        said = {
            "externalId": self.external_id,
            "name": self.name,
            "type": "time_bound" if self.frame else "ongoing",
            "code": None if self.hidden or self.managed else self.pin,
            "startsAt": start,
            "endsAt": end,
            "cannotBeManaged": self.cannot_be_managed or None,
        }
        return {name: value for name, value in said.items() if value is not None}


@dataclass
class LockState:
    """A lock and the codes on it by their numbers."""

    lock: Lock
    codes: dict[int, CodeState] = field(default_factory=dict)
    numbered: int = 0
    presence: Presence = field(default_factory=Presence)

    @property
    def actor(self) -> str:
        """Its name in the plan."""
        return f"lock {self.lock.number}"

    @property
    def guests(self) -> list[CodeState]:
        """The codes that were made at the lock."""
        return [code for code in self.codes.values() if not code.managed]

    @property
    def managed(self) -> list[CodeState]:
        """The codes that are managed."""
        return [code for code in self.codes.values() if code.managed]

    @property
    def is_busy(self) -> bool:
        """Whether its connector is about to answer for one of its codes."""
        return any(code.pending is not None and code.pending.outcome != "silent" for code in self.codes.values())

    @property
    def shown(self) -> list[CodeState]:
        """The codes that it reports."""
        return [code for code in self.codes.values() if code.on_lock]

    def name_of(self, code: CodeState) -> str:
        """Return a code's name in the plan."""
        return f"code {self.lock.number}/{code.number}"


def at_rest(codes: Iterable[CodeState]) -> list[CodeState]:
    """Return the codes to which nothing is being done."""
    return [code for code in codes if code.pending is None]


@dataclass
class AccountState:
    """An account at a vendor."""

    account: Account
    connected: bool = True

    @property
    def actor(self) -> str:
        """Its name in the plan."""
        return f"account {self.account.number}"


DRAWS = 10
"""How often somebody is drawn by lot before it is taken that nobody fits; a large fleet is never searched through."""

One = TypeVar("One")


class World:
    """All of it; `steps` counts what has happened, `chance` decides what happens next.

    `arriving` are the players that have never tried to register, the next one last. `pending` are the codes about
    which an operation is under way, with their locks, the oldest operation first.
    """

    def __init__(self, fleet: Fleet, before: Before) -> None:
        self.fleet = fleet
        self.before = before
        self.chance: random.Random = dice(fleet.seed, "plan", len(fleet.players), len(fleet.locks))
        self.steps = 0
        self.players = [PlayerState(player, warned=player.serial in before.warned) for player in fleet.players]
        self.locks = [LockState(lock) for lock in fleet.locks]
        self.accounts = [AccountState(account) for account in fleet.accounts]
        self.arriving = [*self.players]
        self.chance.shuffle(self.arriving)
        self.pending: dict[str, tuple[LockState, CodeState, Pending]] = {}

    def account_of(self, lock: LockState) -> AccountState:
        """Return the account that a lock belongs to."""
        return self.accounts[lock.lock.account - 1]

    def draw(self, among: Sequence[One], fits: Callable[[One], bool]) -> One | None:
        """Return one by lot that fits, or None when none was found."""
        for _ in range(DRAWS if among else 0):
            one = self.chance.choice(among)
            if fits(one):
                return one
        return None

    def draw_lock(self, fits: Callable[[LockState], bool] = lambda _: True) -> LockState | None:
        """Return a lock by lot that fits and can be talked to, or None when none was found."""
        return self.draw(self.locks, lambda lock: self.is_reachable(lock) and fits(lock))

    def is_reachable(self, lock: LockState) -> bool:
        """Tell whether a lock can be talked to."""
        return lock.presence.online and self.account_of(lock).connected

    def doubled_pin(self, lock: LockState) -> str | None:
        """Return the digits of a managed code that a guest may type in too; a lock tells the two apart by their ids."""
        guests = {code.pin for code in lock.guests}
        pins = [code.pin for code in lock.managed if code.named and code.pin not in guests]
        return self.chance.choice(pins) if pins else None

    def free_pin(self, lock: LockState) -> str:
        """Return digits that no code on a lock has."""
        taken = {code.pin for code in lock.codes.values()}
        while (pin := f"{self.chance.randrange(10**6):06}") in taken:
            pass
        return pin
