"""Plays a plan against a server, at a pace, and tells in the end what came of it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import chain
from typing import NamedTuple

from heliograph.simulation.api import Api, items
from heliograph.simulation.connector import Connector
from heliograph.simulation.driver import Driver
from heliograph.simulation.fleet import Fleet
from heliograph.simulation.ledger import Ledger
from heliograph.simulation.leftovers import tidy
from heliograph.simulation.plan import Plan
from heliograph.simulation.registration import RECIPES, connect_account
from heliograph.simulation.steps import Step

MOST_FAULTS = 100
"""Disagreements that are kept, and after which the play ends: what follows from them says nothing new."""

_LOOK_SECONDS = 1.0
_NAP_SECONDS = 0.1


class Limits(NamedTuple):
    """How fast and how long: actions per second (0: as fast as can be), seconds, actions; None is without end."""

    rate: float
    seconds: float | None = None
    actions: int | None = None


class Play:
    """One run. What it has come to so far can be read at any time.

    `counts` has the counters by name, `faults` the disagreements of which `disagreements` is the number, `latest` the
    last step. `began` is when, on the monotonic clock; `in_place` once all is there that the play begins with.
    """

    def __init__(self, api: Api, connector_api: Api, fleet: Fleet, show: Callable[[Play], None]) -> None:
        self.fleet = fleet
        self.counts: Counter[str] = Counter()
        self.actions = 0
        self.faults: list[str] = []
        self.disagreements = 0
        self.latest = ""
        self.began = time.monotonic()
        self.plan: Plan | None = None
        self.ledger: Ledger | None = None
        self.in_place = False
        self.stopping = False
        self._api = api
        self._connector_api = connector_api
        self._show = show
        self._shared: set[str] = set()
        self._looked = self.began

    def stop(self) -> None:
        """Let the play come to its end after the step that is being carried out."""
        self.stopping = True

    def run(self, limits: Limits) -> None:
        """Play to the limit or until it is stopped, then let everything that is under way come to its end.

        Raises:
            Unexpected: when the server refuses what no play can do without.
            Stopped: when the play is to end, and the server is too busy for that.
        """
        before, names = tidy(self._api, self.fleet)
        ledger = self.ledger = Ledger(self._api)
        driver = Driver(self._api, ledger, names)
        plan = self.plan = Plan(self.fleet, before)
        accounts = [connect_account(one) for one in plan.world.accounts if one.actor not in names]
        try:
            for step in chain(accounts, plan.opening()):
                if self.stopping:
                    break
                self._carry_out(driver, step)
                self._look(driver)
                if step.awaits_job:
                    self._know_recipes(ledger)
            uids = [uid for name, uid in driver.names.items() if name.startswith("account ")]
            if uids:
                driver.connector = Connector(self._connector_api, uids)
                driver.connector.start()
            self.in_place = not self.stopping
            for step in self._paced(plan, limits, driver):
                self._carry_out(driver, step)
            for step in plan.closing():
                self._carry_out(driver, step)
            self._settle(driver, ledger)
        finally:
            if driver.connector is not None:
                driver.connector.stop()

    def _paced(self, plan: Plan, limits: Limits, driver: Driver) -> Iterator[Step]:
        """Yield steps when it is their time; in between, see to what is not in the plan."""
        steps, taken = plan.steps(), 0
        began = time.monotonic()
        while taken != limits.actions and not self.stopping:
            self._look(driver)
            now = time.monotonic()
            if limits.seconds is not None and now - began >= limits.seconds:
                return
            due = began + (taken / limits.rate if limits.rate else 0)
            if now < due:
                time.sleep(min(_NAP_SECONDS, due - now))
                continue
            # A step that is taken from the plan has to be carried out: the plan goes on from there.
            taken += 1
            yield next(steps)

    def _carry_out(self, driver: Driver, step: Step) -> None:
        faults = driver.perform(step)
        self.actions += 1
        self.counts.update(step.counts)
        self.latest = step.text
        self._note(faults)
        self._show(self)

    def _look(self, driver: Driver) -> None:
        """See to what is not in the plan, if that was some time ago."""
        if time.monotonic() - self._looked < _LOOK_SECONDS:
            return
        self._looked = time.monotonic()
        self.counts["signs of life"] += driver.signs_of_life()
        self.counts["done for others"] += driver.serve_others()
        self._shared = driver.shared
        if self.ledger is not None:
            self.ledger.read()
        self._show(self)

    def _note(self, faults: list[str]) -> None:
        self.disagreements += len(faults)
        self.faults += faults[: MOST_FAULTS - len(self.faults)]
        if self.disagreements >= MOST_FAULTS:
            self.stop()

    def _know_recipes(self, ledger: Ledger) -> None:
        actors = {player.serial: f"player {player.number}" for player in self.fleet.players}
        actors |= {lock.serial: f"lock {lock.number}" for lock in self.fleet.locks}
        for recipe in items(self._api, RECIPES, {"serialNumberPrefix": self.fleet.serials}):
            if recipe["serialNumber"] in actors:
                ledger.know(recipe["uid"], actors[recipe["serialNumber"]])

    def _settle(self, driver: Driver, ledger: Ledger) -> None:
        """Hold the whole log against what was expected."""
        self._shared = driver.shared
        ledger.read()
        self._note(ledger.faults(self._shared))
        self._show(self)

    def events(self) -> dict[str, tuple[int, int]]:
        """Return, for each type of event, how many were expected so far and how many the log has."""
        return {} if self.ledger is None else self.ledger.by_type(self._shared)
