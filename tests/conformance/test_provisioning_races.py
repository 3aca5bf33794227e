"""Whatever is done to recipes and devices, in any order or at once: no device twice, and the log tells the truth."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from heliograph.devices import actions as devices
from heliograph.devices.model import Device, DeviceFilter, Identity, Settings
from heliograph.errors import Refusal
from heliograph.provisioning import actions, releasing
from heliograph.provisioning.claims import hash_code
from heliograph.provisioning.model import RecipeFilter
from heliograph.provisioning.recipes import Recipe
from heliograph.provisioning.registration import OutOfDate, Registration, Wish, register, survey
from heliograph.references import actions as references
from tests.conformance.provisioned import SEALER, Fleet, somebody
from tests.conformance.stores import PATIENCE, store_on, whole_log

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from heliograph.storage.engine import Engine, Transaction
    from heliograph.storage.store import Store
    from heliograph.tenancy.model import Caller, Scope


@pytest.fixture
def engine(shared_engine: Engine) -> Engine:
    return shared_engine


@pytest.fixture
def fleet(store: Store) -> Fleet:
    return Fleet(store)


# -- one after the other --------------------------------------------------------------------------------------------


class Doings:
    """A few devices whose identifiers overlap, and everything that can be done to them in two organizations."""

    def __init__(self, store: Store) -> None:
        self.fleet = Fleet(store)
        one, other = somebody(), somebody()
        mixed = msgspec.structs.replace(one, mac_address=other.mac_address)
        self.identities = (
            one, other, mixed, msgspec.structs.replace(one, mac_address=None),
            msgspec.structs.replace(one, serial_number=None),
        )  # fmt: skip
        self.scopes = (self.fleet.here, self.fleet.there)
        self.callers = [self.fleet.caller(scope) for scope in (*self.scopes, self.fleet.above)]
        self.policies = [(scope, self.fleet.reference("policy", scope)) for scope in self.scopes for _ in range(2)]
        self.gone: list[tuple[Scope, bytes]] = []
        self.fleet.forget()

    def do(self, step: tuple[str, int, int]) -> None:
        """Do one thing; that it may be refused is part of the game."""
        what, one, other = step
        try:
            getattr(self, what)(one, other)
        except Refusal:
            return

    def _scope(self, number: int) -> Scope:
        return self.scopes[number % 2]

    def _identity(self, number: int) -> Identity:
        return self.identities[number % len(self.identities)]

    def recipes(self, scope: Scope) -> list[Recipe]:
        found, _ = self.fleet.read(actions.list_recipes, scope, RecipeFilter(), b"", 1000)
        return list(found)

    def devices(self, scope: Scope) -> list[Device]:
        found, _ = self.fleet.read(devices.list_devices, scope, DeviceFilter(), b"", 1000)
        return list(found)

    def create(self, one: int, other: int) -> None:
        scope, policy = self.policies[one % len(self.policies)]
        self.fleet.recipe(
            self._identity(other),
            scope,
            policy_uid=policy if one % 3 else None,
            confirmed_ownership=one % 2 == 0,
            on_repeat=("keep", "reset", "reject")[other % 3],
        )

    def enrol_by_hand(self, one: int, other: int) -> None:
        self.fleet.write(devices.create, self._scope(one), self._identity(other), Settings())

    def _some(self, one: int, other: int) -> tuple[Scope, Recipe] | None:
        scope = self._scope(one)
        found = self.recipes(scope)
        return (scope, found[other % len(found)]) if found else None

    def _with_recipe(self, one: int, other: int, act: Callable[[Scope, Recipe], Any]) -> None:
        some = self._some(one, other)
        if some is not None:
            act(*some)

    def patch_identity(self, one: int, other: int) -> None:
        new = self._identity(other)
        self._with_recipe(one, other, lambda scope, recipe: self.fleet.patch(
            recipe, scope, serial_number=new.serial_number, mac_address=new.mac_address))  # fmt: skip

    def repair(self, one: int, other: int) -> None:
        self._with_recipe(one, other, lambda scope, recipe: self.fleet.patch(recipe, scope, policy_uid=None))

    def rename(self, one: int, other: int) -> None:
        self._with_recipe(one, other, lambda scope, recipe: self.fleet.patch(recipe, scope, device_name=f"n{other}"))

    def retry(self, one: int, other: int) -> None:
        self._with_recipe(one, other, lambda scope, recipe: self.fleet.write(actions.retry, scope, recipe.uid, None))

    def delete_recipe(self, one: int, other: int) -> None:
        self._with_recipe(one, other, lambda scope, recipe: self.fleet.write(actions.delete, scope, recipe.uid, None))

    def register(self, one: int, other: int) -> None:
        self.fleet.register(self._identity(other), self.callers[one % len(self.callers)])

    def _some_device(self, one: int, other: int) -> tuple[Scope, bytes]:
        scope = self._scope(one)
        found = self.devices(scope)
        return scope, found[other % len(found)].uid if found else bytes(16)

    def deprovision(self, one: int, other: int) -> None:
        self.fleet.write(releasing.deprovision, *self._some_device(one, other), None)

    def delete_device(self, one: int, other: int) -> None:
        self.fleet.write(releasing.delete, *self._some_device(one, other), None)

    def move(self, one: int, other: int) -> None:
        scope, uid = self._some_device(one, other)
        self.fleet.write(releasing.move, scope, self._scope(one + 1), uid, None)

    def delete_policy(self, one: int, other: int) -> None:
        scope, policy = self.policies[other % len(self.policies)]
        self.fleet.write(releasing.delete_reference, scope, "policy", policy, None)

    def delete_policy_first(self, one: int, other: int) -> None:
        """Delete a policy without taking it from anybody yet, as when there are too many for one change."""
        scope, policy = self.policies[other % len(self.policies)]
        self.fleet.write(references.delete, scope, "policy", policy, None)
        self.gone.append((scope, policy))

    def detach(self, one: int, other: int) -> None:
        for scope, policy in self.gone:
            self.fleet.write(releasing.detach, scope, "policy", policy, 1)


STEPS = sorted(
    name for name, value in vars(Doings).items()
    if callable(value) and not name.startswith("_") and name not in ("do", "recipes", "devices")
)  # fmt: skip
# What makes recipes meet devices is done more often than what takes them apart.
OFTEN = [*STEPS, "create", "create", "register", "register", "register", "delete_policy_first"]
step = st.tuples(st.sampled_from(OFTEN), st.integers(0, 5), st.integers(0, 5))


def identifiers_of(tx: Transaction, table: str, owner: str) -> set[tuple[int, str, bytes]]:
    return {(row[0], row[1], row[2]) for row in tx.all(f"select tenant_id, identifier, {owner} from {table}")}  # noqa: S608 - names of our own


def check(doings: Doings) -> None:
    """Hold everything that is stored against the rules, and against what the logs say."""
    fleet = doings.fleet
    tenants = {scope.tenant_id for scope in doings.scopes}
    claimed = fleet.store.read(partial(identifiers_of, table="device_identifier", owner="device_uid"))
    waiting = fleet.store.read(partial(identifiers_of, table="recipe_identifier", owner="recipe_uid"))
    enrolled_by: set[tuple[int, str, bytes]] = set()
    live: list[tuple[int, str, bytes]] = []
    for scope in doings.scopes:
        present = {device.uid: device for device in doings.devices(scope)}
        recipes = doings.recipes(scope)
        enrolled = {uid for uid, device in present.items() if device.state == "enrolled"}
        enrolled_by |= {(scope.tenant_id, name, uid) for uid in enrolled for name in present[uid].identity.identifiers}
        for recipe in recipes:
            its_device = present.get(recipe.device_uid or b"")
            holds = its_device is not None and its_device.state == "enrolled" and its_device.recipe_uid == recipe.uid
            assert not holds or recipe.status == "Applied"
            if recipe.status in ("Pending", "Failed") or (recipe.status == "Applied" and holds):
                live += [(scope.tenant_id, name, recipe.uid) for name in recipe.identity.identifiers]
            assert (recipe.error_message is not None) == (recipe.status in ("Failed", "Invalid"))
        told_recipes, told_devices = folded(fleet.store, scope)
        assert told_recipes == {recipe.uid.hex(): recipe.status for recipe in recipes}
        assert told_devices == {uid.hex() for uid in enrolled}
    assert {row for row in claimed if row[0] in tenants} == enrolled_by
    assert len({name for _, name, _ in enrolled_by}) == len(enrolled_by), "a device is enrolled twice"
    assert {row for row in waiting if row[0] in tenants} == set(live)
    assert len({(tenant, name) for tenant, name, _ in live}) == len(live), "two live recipes share a device"


def folded(store: Store, scope: Scope) -> tuple[dict[str, str], set[str]]:
    """Return the status of each recipe and the enrolled devices, as an integrator would know them from the events."""
    statuses: dict[str, str] = {}
    enrolled: set[str] = set()
    for event in whole_log(store, scope):
        body = msgspec.json.decode(event.payload or b"")
        match (event.envelope.type or "").removeprefix("Device."):
            case "ProvisioningRecipeCreated":
                statuses[body["uid"]] = body["status"]
            case "ProvisioningRecipeUpdated" | "ProvisioningRecipeStatusUpdated":
                assert body["uid"] in statuses
                statuses[body["uid"]] = body.get("status", statuses[body["uid"]])
                if body.get("status") == "Applied":
                    assert body["deviceIdentityHash"] in enrolled, "applied before the device was added"
            case "ProvisioningRecipeDeleted":
                assert statuses.pop(body["uid"]) == body["status"]
            case "Added":
                assert body["uid"] not in enrolled
                enrolled.add(body["uid"])
            case "Removed":
                enrolled.discard(body["uid"])
    return statuses, enrolled


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(step, min_size=5, max_size=40))
def test_log_and_rules_hold_whatever_is_done(store: Store, steps: list[tuple[str, int, int]]) -> None:
    doings = Doings(store)
    for number, one in enumerate(steps):
        doings.do(one)
        if number % 5 == 4:
            check(doings)
    check(doings)


# -- at once --------------------------------------------------------------------------------------------------------


@pytest.fixture
def stores(engine: Engine, store: Store) -> Iterator[list[Store]]:
    """Two stores over one database, as two processes have; SQLite has one process, and so one store."""
    if engine.dialect == "sqlite":
        yield [store, store]
        return
    second = store_on(engine)
    yield [store, second]
    second.close()


def at_once(stores: Sequence[Store], wishes: Sequence[tuple[Identity, Caller]]) -> list[Registration]:
    """Let devices register in the same moment, each after a look at what was there before any of them."""
    barrier = threading.Barrier(len(wishes))

    def one(number: int) -> Registration:
        who, caller = wishes[number]
        store = stores[number % len(stores)]
        asked: Any = {"caller": caller, "wish": Wish(identity=who), "tenant_uid": None}
        look = partial(survey, hash_code=partial(hash_code, SEALER), **asked)
        found = store.read(look)
        barrier.wait(PATIENCE)
        for _ in range(5):
            outcome = store.execute(partial(register, found=found, **asked), found.tenants)
            if not isinstance(outcome, OutOfDate):
                return outcome
            found = store.read(look)
        raise AssertionError("The registration never ended.")

    with ThreadPoolExecutor(len(wishes)) as threads:
        return list(threads.map(one, range(len(wishes))))


ROUNDS = 15


def test_device_that_registers_many_times_at_once_is_enrolled_once(fleet: Fleet, stores: list[Store]) -> None:
    for _ in range(ROUNDS):
        recipe = fleet.recipe(somebody())
        fleet.forget()
        answers = at_once(stores, [(recipe.identity, fleet.caller()) for _ in range(6)])
        assert {answer.result for answer in answers} == {"applied"}
        assert sum(answer.fresh for answer in answers) == 1
        assert sum(answer.token is not None for answer in answers) == 1
        assert len({answer.device.uid for answer in answers if answer.device}) == 1
        assert fleet.types() == ["Added", "ProvisioningRecipeStatusUpdated"]


@pytest.mark.parametrize("shared", ["both", "serial_number", "mac_address"])
def test_device_that_two_organizations_register_at_once_becomes_one_ones(
    fleet: Fleet, stores: list[Store], shared: str
) -> None:
    callers = {scope.tenant_uid: fleet.caller(scope) for scope in (fleet.here, fleet.there)}
    for _ in range(ROUNDS):
        ours = somebody()
        theirs = ours if shared == "both" else somebody(**{shared: getattr(ours, shared)})
        recipes = [fleet.recipe(ours), fleet.recipe(theirs, fleet.there)]
        fleet.forget()
        wishes = [(ours, callers[fleet.here.tenant_uid]), (theirs, callers[fleet.there.tenant_uid])]
        answers = at_once(stores, wishes * 2)
        winners = {answer.organization_uid for answer in answers if answer.result == "applied"}
        assert len(winners) == 1
        assert sum(answer.fresh for answer in answers) == 1
        lost = [answer for answer in answers if answer.result != "applied"]
        assert lost == [Registration(result="noRecipe", reason="no_recipe")] * 2
        told = [fleet.types(scope) for scope in (fleet.here, fleet.there)]
        assert sorted(told) == [[], ["Added", "ProvisioningRecipeStatusUpdated"]]
        scopes = (fleet.here, fleet.there)
        statuses = sorted(fleet.present(recipe, scope).status for recipe, scope in zip(recipes, scopes, strict=True))
        assert statuses == ["Applied", "Pending"]


def test_device_that_a_key_for_all_and_a_key_for_one_register_at_once_becomes_one_ones(
    fleet: Fleet, stores: list[Store]
) -> None:
    everywhere, theirs = fleet.caller(fleet.above), fleet.caller(fleet.there)
    for _ in range(ROUNDS):
        who = somebody()
        fleet.recipe(who, confirmed_ownership=True)
        fleet.recipe(who, fleet.there)
        fleet.forget()
        answers = at_once(stores, [(who, everywhere), (who, theirs)] * 2)
        assert sum(answer.fresh for answer in answers) == 1
        assert sum(kinds.count("Added") for kinds in (fleet.types(), fleet.types(fleet.there))) == 1
        assert len(fleet.holders(who)) == 2
        assert len(set(fleet.holders(who).values())) == 1
