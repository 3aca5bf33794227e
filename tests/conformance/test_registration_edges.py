"""Registrations off the usual way keep their promises too: repaired recipes, mixed identifiers, crowded ones."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest

from heliograph.devices.model import Settings
from heliograph.errors import Conflict
from heliograph.provisioning import actions, releasing
from heliograph.provisioning.registration import MOST_CANDIDATES
from heliograph.references import actions as references
from tests.conformance.provisioned import Fleet, names, somebody

if TYPE_CHECKING:
    from heliograph.provisioning.recipes import Recipe
    from heliograph.storage.engine import Engine
    from heliograph.storage.store import Store

CODE = "KEEP-2345-WXYZ"


@pytest.fixture
def engine(shared_engine: Engine) -> Engine:
    return shared_engine


@pytest.fixture
def fleet(store: Store) -> Fleet:
    return Fleet(store)


def failed(fleet: Fleet, code: str | None = None) -> Recipe:
    """Return a recipe whose device came, with the code if there is one, when its policy was gone already."""
    policy = fleet.reference("policy")
    recipe = fleet.recipe(somebody(), policy_uid=policy, code=code)
    fleet.write(references.delete, fleet.here, "policy", policy, None)
    assert fleet.register(recipe.identity, code=code).result == "pending"
    now = fleet.present(recipe)
    assert now.status == "Failed"
    return now


def test_device_that_a_repair_enrolled_gets_its_token_when_it_comes_again(fleet: Fleet) -> None:
    recipe = failed(fleet)
    assert fleet.patch(recipe, policy_uid=None).status == "Applied"
    first, second = fleet.register(recipe.identity), fleet.register(recipe.identity)
    assert (first.result, first.token is not None) == ("applied", True)
    assert (second.result, second.token) == ("applied", None)


def test_proof_by_claim_code_outlasts_the_time_until_a_repair(fleet: Fleet) -> None:
    recipe = failed(fleet, CODE)
    fleet.forget()
    now = fleet.patch(recipe, policy_uid=None)
    assert (now.status, now.confirmed_ownership, now.claim_used_at is not None) == ("Applied", True, True)
    assert names(fleet.told()) == [
        "ProvisioningRecipeUpdated", "ProvisioningRecipeStatusUpdated", "Verification.DevicePaired", "Added",
        "ProvisioningRecipeStatusUpdated",
    ]  # fmt: skip


def test_code_that_an_enrolled_device_presents_first_pairs_it(fleet: Fleet) -> None:
    recipe = fleet.recipe(somebody(), code=CODE, confirmed_ownership=True)
    assert fleet.register(recipe.identity).result == "applied"
    fleet.forget()
    assert fleet.register(recipe.identity, code=CODE).token is not None
    assert names(fleet.told()) == ["Verification.DevicePaired"]
    device = fleet.device(fleet.present(recipe).device_uid)
    assert device is not None
    fleet.write(releasing.deprovision, fleet.here, device.uid, None)
    assert names(fleet.told()) == ["Verification.DeviceUnpaired", "Removed"]


def test_enrolled_device_that_shows_anothers_identifier_warns_who_waits_for_that(fleet: Fleet) -> None:
    one, other = somebody(), somebody()
    fleet.recipe(one)
    fleet.register(one)
    waiting = fleet.recipe(other)
    mixed = somebody(serial_number=one.serial_number, mac_address=other.mac_address)
    assert fleet.register(mixed).reason == "identifier_mismatch"
    assert fleet.present(waiting).warning_message is not None
    assert fleet.attempts(recipe=waiting) == [("identifier_mismatch", 1)]


def test_wrong_code_counts_also_when_another_recipe_wins(fleet: Fleet) -> None:
    who = somebody()
    sure = fleet.recipe(somebody(serial_number=who.serial_number, mac_address=None), confirmed_ownership=True)
    guarded = fleet.recipe(somebody(serial_number=None, mac_address=who.mac_address), code=CODE)
    caller = fleet.caller()
    for number in range(10):
        assert fleet.register(who, caller, code=f"WRONG-{number:04}").result == "applied"
        device = fleet.present(sure).device_uid
        assert device is not None
        fleet.write(releasing.delete, fleet.here, device, None)
        fleet.write(actions.delete, fleet.here, sure.uid, None)
        sure = fleet.recipe(sure.identity, confirmed_ownership=True)
    fleet.write(actions.delete, fleet.here, sure.uid, None)
    assert fleet.register(guarded.identity, caller, code=CODE).reason == "claim_code_wrong"
    assert fleet.register(guarded.identity, fleet.caller(), code=CODE).result == "applied"


def test_identifier_that_too_many_wait_for_is_nobodys(fleet: Fleet) -> None:
    reached = [fleet.here, *fleet.organizations(MOST_CANDIDATES)]
    who = somebody(serial_number="N/A", mac_address=None)
    recipes = [(scope, fleet.recipe(who, scope)) for scope in reached]
    caller = fleet.caller(*reached)
    heads = {scope.tenant_id: fleet.head(scope) for scope in reached}
    assert fleet.register(who, caller).reason == "ambiguous"
    assert heads == {scope.tenant_id: fleet.head(scope) for scope in reached}
    assert fleet.attempts() == [("ambiguous", 1)]
    assert [fleet.present(recipe, scope).warning_message for scope, recipe in recipes] == [None] * len(reached)
    # One less, and each of them is told.
    scope, recipe = recipes.pop()
    fleet.write(actions.delete, scope, recipe.uid, None)
    assert fleet.register(who, fleet.caller(*reached[:-1])).reason == "ownership_unconfirmed"
    assert None not in [fleet.present(recipe, scope).warning_message for scope, recipe in recipes]


def test_device_that_waited_is_the_same_one_under_a_new_recipe(fleet: Fleet) -> None:
    old = failed(fleet)
    fleet.write(actions.delete, fleet.here, old.uid, None)
    fleet.recipe(old.identity)
    answer = fleet.register(old.identity)
    assert answer.device is not None
    assert answer.device.uid == old.device_uid


def test_recipe_forgets_a_waiting_device_that_is_deleted(fleet: Fleet) -> None:
    recipe = failed(fleet)
    fleet.forget()
    fleet.write(releasing.delete, fleet.here, recipe.device_uid, None)
    now = fleet.present(recipe)
    assert (now.status, now.device_uid) == ("Failed", None)
    assert fleet.told() == []


def test_device_for_which_a_recipe_waits_is_not_enrolled_by_hand(fleet: Fleet) -> None:
    recipe = fleet.recipe(somebody())
    enrol = partial(fleet.write, actions.enrol_by_hand, fleet.here, recipe.identity, Settings())
    with pytest.raises(Conflict, match=recipe.uid.hex()):
        enrol()
    fleet.write(actions.delete, fleet.here, recipe.uid, None)
    assert enrol()[0].state == "enrolled"


def test_attempts_tell_the_key_only_to_the_tenant_that_it_belongs_to(fleet: Fleet) -> None:
    fleet.register(somebody())
    [attempt], _ = fleet.read(actions.list_attempts, fleet.here, None, (), b"", 10)
    # The key of the harness is in no table: it might as well be another tenant's.
    assert attempt.own_key_uid is None


def test_chore_finds_the_tenants_with_something_to_forget(fleet: Fleet) -> None:
    fleet.register(somebody(), fleet.caller(fleet.there))
    due = fleet.read(actions.tenants_with_old_attempts, 0, 0)
    assert fleet.there.tenant_id in due
    assert fleet.here.tenant_id not in due
    assert fleet.there.tenant_id not in fleet.read(actions.tenants_with_old_attempts, 0, 1)
