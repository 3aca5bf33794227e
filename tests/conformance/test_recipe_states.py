"""The life of a recipe, state by state on both databases: where it may go, and exactly what the log says of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from heliograph.devices import actions as devices
from heliograph.errors import Conflict, Invalid, NotFound, PreconditionFailed
from heliograph.ids import new_uid
from heliograph.jobs.runner import Runner
from heliograph.provisioning import actions, releasing
from heliograph.provisioning.applying import save
from heliograph.provisioning.model import RecipeFilter
from heliograph.provisioning.recipes import EXPLANATIONS, Recipe
from heliograph.references import actions as references
from heliograph.tenancy.actions import revoke_account
from tests.conformance.provisioned import (
    CODE,
    Fleet,
    Told,
    names,
    of_system,
    owner,
    owner_alone,
    recipe_event,
    somebody,
    status_event,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from heliograph.devices.model import Identity
    from heliograph.storage.engine import Engine
    from heliograph.storage.store import Store

LOST_POLICY = EXPLANATIONS["policy_missing"]
KINDS = ("tag", "policy", "location")
STATES = ("Pending", "Applied", "Failed", "Invalid")


@pytest.fixture
def engine(shared_engine: Engine) -> Engine:
    return shared_engine


@pytest.fixture
def fleet(store: Store) -> Fleet:
    return Fleet(store)


def referring(kind: str, uid: bytes) -> dict[str, Any]:
    """Return settings that refer to a tag, policy or location."""
    return {"tag_uids": (uid,)} if kind == "tag" else {f"{kind}_uid": uid}


def pending(fleet: Fleet, **more: Any) -> Recipe:
    return fleet.recipe(somebody(), **more)


def applied(fleet: Fleet, **more: Any) -> Recipe:
    recipe = pending(fleet, **more)
    fleet.register(recipe.identity)
    return fleet.present(recipe)


def failed(fleet: Fleet, **more: Any) -> Recipe:
    """Return a recipe whose device came when its policy was gone and nobody had said so yet."""
    policy = fleet.reference("policy")
    recipe = pending(fleet, policy_uid=policy, **more)
    fleet.write(references.delete, fleet.here, "policy", policy, None)
    fleet.register(recipe.identity)
    return fleet.present(recipe)


def invalid(fleet: Fleet, **more: Any) -> Recipe:
    """Return a recipe that lost its policy before its device came."""
    policy = fleet.reference("policy")
    recipe = pending(fleet, policy_uid=policy, **more)
    fleet.write(releasing.delete_reference, fleet.here, "policy", policy, None)
    return fleet.present(recipe)


def in_state(fleet: Fleet, status: str, **more: Any) -> Recipe:
    makers: dict[str, Callable[..., Recipe]] = {
        "Pending": pending, "Applied": applied, "Failed": failed, "Invalid": invalid
    }  # fmt: skip
    recipe = makers[status](fleet, **more)
    assert recipe.status == status
    fleet.forget()
    return recipe


def device_added(recipe: Recipe, device: bytes, **more: Any) -> Told:
    body: dict[str, Any] = {
        "uid": device.hex(), "brand": recipe.identity.brand, "serialNumber": recipe.identity.serial_number,
        "macAddress": recipe.identity.mac_address, "tagUids": [], "customMetadata": {}, "recipeUid": recipe.uid.hex(),
    }  # fmt: skip
    return Told("Device.Added", body | more, (recipe.uid.hex(),))


# -- making ---------------------------------------------------------------------------------------------------------


def test_new_recipe_waits_and_the_log_says_all_of_it(fleet: Fleet) -> None:
    tags = sorted((fleet.reference("tag"), fleet.reference("tag")))
    policy, location = fleet.reference("policy"), fleet.reference("location")
    fleet.forget()
    recipe = fleet.recipe(
        somebody(brand="LG", model="55XF"), name="Lobby", tag_uids=tuple(tags), policy_uid=policy,
        location_uid=location, custom_metadata={"floor": "1"}, confirmed_ownership=True, on_repeat="reset", code=CODE,
    )  # fmt: skip
    assert (recipe.status, recipe.version) == ("Pending", 1)
    assert fleet.present(recipe) == recipe
    assert fleet.told() == [
        recipe_event(
            fleet.here, "Created", recipe, status="Pending", confirmedOwnership=True, brand="LG", model="55XF",
            serialNumber=recipe.identity.serial_number, macAddress=recipe.identity.mac_address, deviceName="Lobby",
            tagUids=[tag.hex() for tag in tags], policyUid=policy.hex(), locationUid=location.hex(),
        )
    ]  # fmt: skip


def test_new_recipe_with_a_serial_number_alone_says_no_more(fleet: Fleet) -> None:
    recipe = fleet.recipe(somebody(mac_address=None))
    assert fleet.told() == [
        recipe_event(
            fleet.here, "Created", recipe, status="Pending", confirmedOwnership=False, brand="Samsung",
            serialNumber=recipe.identity.serial_number,
        )
    ]  # fmt: skip


def test_recipe_of_the_platform_itself_has_no_originator(fleet: Fleet) -> None:
    recipe = fleet.recipe(somebody(), of_system(fleet.here))
    (told,) = fleet.told()
    assert "originator" not in told.body
    assert told.body | owner_alone(fleet.here) == told.body
    fleet.write(actions.delete, of_system(fleet.here), recipe.uid, None)
    (told,) = fleet.told()
    assert "originator" not in told.body


def test_invalid_row_that_is_kept_waits_for_nothing(fleet: Fleet) -> None:
    who = somebody()
    (recipe,) = fleet.write(actions.create_all, fleet.here, [fleet.draft(who, error_message="No such policy.")])
    assert fleet.told() == [
        recipe_event(
            fleet.here, "Created", recipe, status="Invalid", confirmedOwnership=False, brand=who.brand,
            serialNumber=who.serial_number, macAddress=who.mac_address, errorMessage="No such policy.",
        )
    ]  # fmt: skip
    assert fleet.register(who).result == "noRecipe"
    assert fleet.told() == []
    # It is not live, so another may be made for the same device, and then it cannot be repaired.
    fleet.recipe(who)
    fleet.forget()
    with pytest.raises(Conflict):
        fleet.write(actions.retry, fleet.here, recipe.uid, None)
    assert fleet.told() == []


# -- applying -------------------------------------------------------------------------------------------------------


def test_matched_recipe_is_applied(fleet: Fleet) -> None:
    policy = fleet.reference("policy")
    recipe = in_state(fleet, "Pending", policy_uid=policy, name="Lobby")
    answer = fleet.register(recipe.identity)
    assert answer.device is not None
    device = answer.device.uid
    assert (answer.result, answer.fresh, answer.organization_uid) == ("applied", True, fleet.here.tenant_uid)
    assert fleet.told() == [
        device_added(recipe, device, policyUid=policy.hex(), name="Lobby"),
        status_event(fleet.here, recipe, device, "Applied"),
    ]
    now = fleet.present(recipe)
    assert (now.status, now.device_uid, now.version) == ("Applied", device, 2)


def test_claim_code_pairs_the_device_before_it_is_added(fleet: Fleet) -> None:
    recipe = in_state(fleet, "Pending", code=CODE)
    answer = fleet.register(recipe.identity, code=CODE)
    assert answer.device is not None
    assert recipe.claim_hash is not None
    device = answer.device.uid
    paired = "Device.Verification.DevicePaired"
    body = {"type": paired, "deviceIdentityHash": device.hex(), "verificationHash": recipe.claim_hash.hex()}
    assert fleet.told() == [
        Told(paired, owner(fleet.here) | body, (recipe.uid.hex(),)),
        device_added(recipe, device),
        status_event(fleet.here, recipe, device, "Applied"),
    ]
    now = fleet.present(recipe)
    assert now.confirmed_ownership
    assert now.claim_used_at is not None


@pytest.mark.parametrize("kind", KINDS)
def test_applying_fails_when_a_reference_is_gone(fleet: Fleet, kind: Any) -> None:
    lost = fleet.reference(kind)
    recipe = pending(fleet, **referring(kind, lost))
    fleet.write(references.delete, fleet.here, kind, lost, None)
    fleet.forget()
    answer = fleet.register(recipe.identity)
    assert (answer.result, answer.reason, answer.device, answer.token) == ("pending", f"{kind}_missing", None, None)
    now = fleet.present(recipe)
    assert (now.status, now.error_message) == ("Failed", EXPLANATIONS[f"{kind}_missing"])  # type: ignore[index]
    assert now.device_uid is not None
    assert fleet.told() == [status_event(fleet.here, recipe, now.device_uid, "Failed")]
    device = fleet.device(now.device_uid)
    assert device is not None
    assert device.state == "waiting"
    assert fleet.holders(recipe.identity) == {}
    assert fleet.attempts(recipe=recipe) == [(f"{kind}_missing", 1)]


def test_device_of_a_failed_recipe_that_comes_again_is_told_the_same_and_warned_of_once(fleet: Fleet) -> None:
    recipe = in_state(fleet, "Failed")
    assert recipe.device_uid is not None
    for _ in range(3):
        assert fleet.register(recipe.identity).reason == "policy_missing"
    warning = {"warningMessage": LOST_POLICY}
    assert fleet.told() == [
        recipe_event(fleet.here, "Updated", recipe, recipe.device_uid, unsuccessfulRegisterAttemptStatus=warning)
    ]
    assert fleet.present(recipe).status == "Failed"


# -- becoming invalid -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_pending_recipe_becomes_invalid_with_its_reference(fleet: Fleet, kind: Any) -> None:
    lost = fleet.reference(kind)
    recipe = in_state(fleet, "Pending", **referring(kind, lost))
    fleet.write(releasing.delete_reference, fleet.here, kind, lost, None)
    words = EXPLANATIONS[f"{kind}_missing"]  # type: ignore[index]
    assert fleet.told()[1:] == [recipe_event(fleet.here, "Updated", recipe, status="Invalid", errorMessage=words)]
    now = fleet.present(recipe)
    assert (now.status, now.error_message, now.device_uid) == ("Invalid", words, None)
    assert fleet.register(recipe.identity).result == "noRecipe"


@pytest.mark.parametrize("kind", KINDS)
def test_failed_recipe_becomes_invalid_and_keeps_its_device(fleet: Fleet, kind: Any) -> None:
    lost = fleet.reference(kind)
    recipe = pending(fleet, **referring(kind, lost))
    fleet.write(references.delete, fleet.here, kind, lost, None)
    fleet.register(recipe.identity)
    device = fleet.present(recipe).device_uid
    assert device is not None
    fleet.forget()
    assert fleet.write(releasing.detach, fleet.here, kind, lost, releasing.AT_ONCE) is False
    assert fleet.told() == [status_event(fleet.here, recipe, device, "Invalid")]
    now = fleet.present(recipe)
    assert (now.status, now.device_uid) == ("Invalid", device)
    assert fleet.device(device) is not None


@pytest.mark.parametrize("kind", KINDS)
def test_applied_recipe_stays_applied_when_its_reference_goes_and_only_its_device_changes(
    fleet: Fleet, kind: Any
) -> None:
    lost = fleet.reference(kind)
    recipe = in_state(fleet, "Applied", **referring(kind, lost))
    fleet.write(releasing.delete_reference, fleet.here, kind, lost, None)
    assert fleet.types()[1:] == ["Updated"]
    assert fleet.present(recipe) == recipe
    device = fleet.device(recipe.device_uid)
    assert device is not None
    assert (device.settings.tag_uids, device.settings.policy_uid, device.settings.location_uid) == ((), None, None)


@pytest.mark.parametrize("by_job", [False, True])
def test_recipes_that_one_change_cannot_take_are_done_behind_it(fleet: Fleet, by_job: bool) -> None:
    policy = fleet.reference("policy")
    drafts = [fleet.draft(somebody(), policy_uid=policy) for _ in range(2 * releasing.AT_ONCE + 3)]
    recipes = fleet.write(actions.create_all, fleet.here, drafts)
    fleet.forget()
    fleet.write(releasing.delete_reference, fleet.here, "policy", policy, None)
    assert fleet.types() == ["Policy.Deleted"] + ["ProvisioningRecipeUpdated"] * releasing.AT_ONCE + ["Job.Started"]
    # A device that comes in between meets a recipe whose policy is gone already.
    last = recipes[-1]
    assert fleet.register(last.identity).reason == "policy_missing"
    assert fleet.present(last).status == "Failed"
    fleet.forget()
    if by_job:
        failures: list[tuple[str, str]] = []
        kinds = {releasing.DETACHING.name: releasing.DETACHING}
        Runner(fleet.store, kinds, lambda *told: failures.append(told), pause_seconds=0.0).run_pending()
        assert failures == []
    else:
        more = [fleet.write(releasing.detach, fleet.here, "policy", policy, releasing.AT_ONCE) for _ in range(2)]
        assert more == [True, False]
    told = [one for one in fleet.told() if one.type.startswith("Device.")]
    assert names(told) == ["ProvisioningRecipeUpdated"] * (releasing.AT_ONCE + 2) + ["ProvisioningRecipeStatusUpdated"]
    # The job goes on for the platform, whoever deleted the policy.
    assert all(("originator" in one.body) is not by_job for one in told)
    left, _ = fleet.read(actions.list_recipes, fleet.here, RecipeFilter(statuses=("Pending", "Failed")), b"", 10)
    assert left == []


def test_policy_is_deleted_however_many_jobs_of_the_tenant_wait(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("heliograph.jobs.actions.MOST_UNFINISHED", 0)
    policy = fleet.reference("policy")
    drafts = [fleet.draft(somebody(), policy_uid=policy) for _ in range(releasing.AT_ONCE + 1)]
    fleet.write(actions.create_all, fleet.here, drafts)
    fleet.forget()
    fleet.write(releasing.delete_reference, fleet.here, "policy", policy, None)
    assert fleet.types()[-1] == "Job.Started"


def test_recipes_are_done_also_when_who_deleted_the_policy_is_revoked_meanwhile(fleet: Fleet) -> None:
    policy = fleet.reference("policy")
    drafts = [fleet.draft(somebody(), policy_uid=policy) for _ in range(releasing.AT_ONCE + 1)]
    fleet.write(actions.create_all, fleet.here, drafts)
    fleet.write(releasing.delete_reference, fleet.here, "policy", policy, None)
    fleet.write(revoke_account, fleet.here, bytes.fromhex(fleet.here.actor.uid or ""))
    Runner(fleet.store, {releasing.DETACHING.name: releasing.DETACHING}, print, pause_seconds=0.0).run_pending()
    left, _ = fleet.read(actions.list_recipes, fleet.here, RecipeFilter(statuses=("Pending",)), b"", 10)
    assert left == []


# -- repairing ------------------------------------------------------------------------------------------------------


def test_repaired_invalid_recipe_waits_again(fleet: Fleet) -> None:
    recipe = in_state(fleet, "Invalid")
    assert fleet.patch(recipe, policy_uid=None).status == "Pending"
    assert fleet.told() == [
        recipe_event(fleet.here, "Updated", recipe, status="Pending", policyUid=None, errorMessage=None)
    ]
    assert fleet.register(recipe.identity).result == "applied"


def test_repaired_failed_recipe_is_applied_at_once_because_its_device_is_known(fleet: Fleet) -> None:
    recipe, policy = failed(fleet), fleet.reference("policy")
    device = recipe.device_uid
    assert device is not None
    fleet.forget()
    now = fleet.patch(recipe, policy_uid=policy)
    assert (now.status, now.error_message, now.device_uid) == ("Applied", None, device)
    assert fleet.told() == [
        recipe_event(fleet.here, "Updated", recipe, device, policyUid=policy.hex()),
        status_event(fleet.here, recipe, device, "Pending"),
        device_added(recipe, device, policyUid=policy.hex()),
        status_event(fleet.here, recipe, device, "Applied"),
    ]
    enrolled = fleet.device(device)
    assert enrolled is not None
    assert enrolled.state == "enrolled"
    assert fleet.holders(recipe.identity) == dict.fromkeys(recipe.identity.identifiers, (fleet.here.tenant_id, device))


def test_repaired_invalid_recipe_whose_device_is_known_is_applied_at_once(fleet: Fleet) -> None:
    recipe = failed(fleet)
    device = recipe.device_uid
    assert device is not None
    assert recipe.settings.policy_uid is not None
    fleet.write(releasing.detach, fleet.here, "policy", recipe.settings.policy_uid, 10)
    fleet.forget()
    assert fleet.patch(recipe, policy_uid=None).status == "Applied"
    assert fleet.told() == [
        recipe_event(fleet.here, "Updated", recipe, device, policyUid=None),
        status_event(fleet.here, recipe, device, "Pending"),
        device_added(recipe, device),
        status_event(fleet.here, recipe, device, "Applied"),
    ]


def test_patch_that_repairs_nothing_changes_no_status(fleet: Fleet) -> None:
    for status in ("Failed", "Invalid"):
        recipe = in_state(fleet, status)
        assert fleet.patch(recipe, device_name="Lobby").status == status
        assert fleet.told() == [
            recipe_event(fleet.here, "Updated", recipe, recipe.device_uid, deviceName="Lobby"),
        ]


def repaired_unseen(fleet: Fleet, recipe: Recipe) -> None:
    """Let what was wrong with a recipe be right again, without a word to the recipe."""
    settings = msgspec.structs.replace(recipe.settings, policy_uid=None)
    fleet.write(save, fleet.here, recipe, msgspec.structs.replace(recipe, settings=settings), None)


def test_retried_failed_recipe_is_applied(fleet: Fleet) -> None:
    recipe = in_state(fleet, "Failed")
    device = recipe.device_uid
    assert device is not None
    repaired_unseen(fleet, recipe)
    assert fleet.write(actions.retry, fleet.here, recipe.uid, recipe.version + 1).status == "Applied"
    assert fleet.told() == [
        status_event(fleet.here, recipe, device, "Pending"),
        device_added(recipe, device),
        status_event(fleet.here, recipe, device, "Applied"),
    ]


def test_retried_invalid_recipe_waits_again(fleet: Fleet) -> None:
    recipe = in_state(fleet, "Invalid")
    repaired_unseen(fleet, recipe)
    assert fleet.write(actions.retry, fleet.here, recipe.uid, None).status == "Pending"
    assert fleet.told() == [recipe_event(fleet.here, "Updated", recipe, status="Pending", errorMessage=None)]


def test_retried_recipe_only_waits_when_its_device_was_deleted_meanwhile(fleet: Fleet) -> None:
    recipe = in_state(fleet, "Failed")
    assert recipe.device_uid is not None
    fleet.write(releasing.delete, fleet.here, recipe.device_uid, None)
    repaired_unseen(fleet, recipe)
    fleet.forget()
    assert fleet.write(actions.retry, fleet.here, recipe.uid, None).status == "Pending"
    assert fleet.told() == [status_event(fleet.here, recipe, recipe.device_uid, "Pending")]
    answer = fleet.register(recipe.identity)
    assert answer.device is not None
    assert answer.device.uid != recipe.device_uid
    assert names(fleet.told()) == ["Added", "ProvisioningRecipeStatusUpdated"]


def test_retried_recipe_only_waits_when_another_organization_has_enrolled_its_device(fleet: Fleet) -> None:
    recipe = in_state(fleet, "Failed")
    assert recipe.device_uid is not None
    fleet.recipe(recipe.identity, fleet.there)
    assert fleet.register(recipe.identity, fleet.caller(fleet.there)).result == "applied"
    repaired_unseen(fleet, recipe)
    fleet.forget()
    now = fleet.write(actions.retry, fleet.here, recipe.uid, None)
    assert (now.status, now.device_uid) == ("Pending", None)
    # The device was never told of as added, so nothing tells that it was removed.
    assert names(fleet.told()) == ["ProvisioningRecipeStatusUpdated"]
    assert fleet.told(fleet.there) == []


def test_recipe_repaired_for_another_device_lets_the_one_it_met_go(fleet: Fleet) -> None:
    recipe, other = failed(fleet), somebody()
    assert recipe.device_uid is not None
    now = fleet.patch(recipe, policy_uid=None, serial_number=other.serial_number, mac_address=other.mac_address)
    assert (now.status, now.device_uid) == ("Pending", None)
    assert fleet.device(recipe.device_uid) is None
    assert fleet.register(recipe.identity).result == "noRecipe"
    assert fleet.register(other).result == "applied"


# -- attempts in vain -----------------------------------------------------------------------------------------------


def test_attempt_in_vain_is_told_once_and_cleared_by_the_next_success(fleet: Fleet) -> None:
    recipe = in_state(fleet, "Pending", code=CODE)
    for _ in range(3):
        assert fleet.register(recipe.identity).reason == "ownership_unconfirmed"
    warning = {"warningMessage": EXPLANATIONS["ownership_unconfirmed"]}
    assert fleet.told() == [recipe_event(fleet.here, "Updated", recipe, unsuccessfulRegisterAttemptStatus=warning)]
    assert fleet.register(recipe.identity, code="WRONG-CODE").reason == "claim_code_wrong"
    warning = {"warningMessage": EXPLANATIONS["claim_code_wrong"]}
    assert fleet.told() == [recipe_event(fleet.here, "Updated", recipe, unsuccessfulRegisterAttemptStatus=warning)]
    assert fleet.present(recipe).status == "Pending"
    assert fleet.register(recipe.identity, code=CODE).result == "applied"
    assert fleet.present(recipe).warning_message is None


# -- patching and deleting in any state -----------------------------------------------------------------------------


@pytest.mark.parametrize("status", STATES)
def test_settings_change_in_any_state_and_the_log_says_only_what_changed(fleet: Fleet, status: str) -> None:
    recipe, tag = in_state(fleet, status, name="Lobby"), fleet.reference("tag")
    fleet.forget()
    now = fleet.patch(
        recipe, version=recipe.version, device_name=None, tag_uids=(tag,), confirmed_ownership=True, model="QM"
    )
    assert (now.status, now.version) == (status, recipe.version + 1)
    assert fleet.present(recipe) == now
    changed = {"deviceName": None, "tagUids": [tag.hex()], "confirmedOwnership": True, "model": "QM"}
    assert fleet.told() == [recipe_event(fleet.here, "Updated", recipe, recipe.device_uid, **changed)]


@pytest.mark.parametrize("change", [{"custom_metadata": {"floor": "1"}}, {"on_repeat": "reject"}])
def test_change_of_what_the_documented_events_do_not_carry_is_told_without_it(
    fleet: Fleet, change: dict[str, Any]
) -> None:
    recipe = in_state(fleet, "Pending")
    fleet.patch(recipe, **change)
    assert fleet.told() == [recipe_event(fleet.here, "Updated", recipe)]


def test_new_claim_code_is_told_without_it(fleet: Fleet) -> None:
    recipe = in_state(fleet, "Pending")
    now = fleet.write(actions.set_claim_code, fleet.here, recipe.uid, recipe.version, b"x" * 32, None)
    assert (now.claim_hash, now.version) == (b"x" * 32, recipe.version + 1)
    assert fleet.told() == [recipe_event(fleet.here, "Updated", recipe)]


@pytest.mark.parametrize("status", STATES)
def test_patch_that_changes_nothing_is_silent(fleet: Fleet, status: str) -> None:
    recipe = in_state(fleet, status, name="Lobby")
    same: dict[str, Any] = {
        "brand": " Samsung ",
        "device_name": "Lobby",
        "serial_number": recipe.identity.serial_number,
    }
    assert fleet.patch(recipe, **same) == recipe
    assert fleet.told() == []


def test_pending_recipe_may_become_another_devices(fleet: Fleet) -> None:
    recipe, other = in_state(fleet, "Pending"), somebody()
    fleet.patch(recipe, serial_number=other.serial_number, mac_address=None)
    assert fleet.told() == [
        recipe_event(fleet.here, "Updated", recipe, serialNumber=other.serial_number, macAddress=None)
    ]
    assert fleet.register(recipe.identity).result == "noRecipe"
    # What it no longer waits for is free for others.
    fleet.recipe(recipe.identity)
    assert fleet.register(other).device is not None


@pytest.mark.parametrize("status", STATES)
def test_deleted_recipe_is_told_with_its_last_status_and_its_device_stays(fleet: Fleet, status: str) -> None:
    recipe = in_state(fleet, status)
    fleet.write(actions.delete, fleet.here, recipe.uid, recipe.version)
    assert fleet.told() == [
        recipe_event(
            fleet.here, "Deleted", recipe, recipe.device_uid, status=status, brand="Samsung",
            serialNumber=recipe.identity.serial_number, macAddress=recipe.identity.mac_address,
        )
    ]  # fmt: skip
    if recipe.device_uid is not None:
        assert fleet.device(recipe.device_uid) is not None
    with pytest.raises(NotFound):
        fleet.present(recipe)


def test_deprovisioned_device_leaves_its_recipe_applied_and_its_identifiers_to_a_new_one(fleet: Fleet) -> None:
    recipe = in_state(fleet, "Applied")
    fleet.write(releasing.deprovision, fleet.here, recipe.device_uid, None)
    assert fleet.types() == ["Removed"]
    assert fleet.present(recipe) == recipe
    assert fleet.register(recipe.identity).result == "noRecipe"
    fleet.recipe(recipe.identity)
    assert fleet.register(recipe.identity).result == "applied"


def test_moved_device_leaves_its_recipe_and_both_logs_say_so(fleet: Fleet) -> None:
    recipe = in_state(fleet, "Applied")
    fleet.write(releasing.move, fleet.here, fleet.there, recipe.device_uid, None)
    assert fleet.types() == ["Removed"]
    assert fleet.types(fleet.there) == ["Added"]
    fleet.recipe(recipe.identity)
    assert fleet.register(recipe.identity).result == "noRecipe"
    assert fleet.register(recipe.identity, fleet.caller(fleet.there)).result == "applied"


# -- what is refused ------------------------------------------------------------------------------------------------


class Refused:
    """Checks that a change is refused and leaves neither a trace in the recipe nor in the log."""

    def __init__(self, fleet: Fleet, recipe: Recipe) -> None:
        self._fleet = fleet
        self._recipe = recipe
        fleet.forget()

    def __call__(self, error: type[Exception], words: str, action: Callable[..., Any], *given: Any) -> None:
        with pytest.raises(error, match=words):
            self._fleet.write(action, *given)
        assert self._fleet.told() == []
        assert self._fleet.present(self._recipe) == self._recipe

    def patch(self, error: type[Exception], words: str, **changes: Any) -> None:
        with pytest.raises(error, match=words):
            self._fleet.patch(self._recipe, **changes)
        assert self._fleet.told() == []
        assert self._fleet.present(self._recipe) == self._recipe


@pytest.mark.parametrize("status", ["Pending", "Applied"])
def test_retry_is_refused_where_nothing_went_wrong(fleet: Fleet, status: str) -> None:
    recipe = in_state(fleet, status)
    Refused(fleet, recipe)(Conflict, f"this one is {status}", actions.retry, fleet.here, recipe.uid, None)


@pytest.mark.parametrize("status", ["Failed", "Invalid"])
def test_retry_is_refused_while_something_is_still_wrong(fleet: Fleet, status: str) -> None:
    recipe = in_state(fleet, status)
    Refused(fleet, recipe)(Conflict, "policy no longer exists", actions.retry, fleet.here, recipe.uid, None)


@pytest.mark.parametrize(
    "change",
    [{"serial_number": "another"}, {"mac_address": "02:00:00:00:00:01"}, {"mac_address": None}, {"brand": "LG"}],
)
@pytest.mark.parametrize("by_mac", [False, True])
def test_applied_recipe_stays_its_devices(fleet: Fleet, change: dict[str, Any], by_mac: bool) -> None:
    recipe = fleet.recipe(somebody(serial_number=None) if by_mac else somebody())
    fleet.register(recipe.identity)
    if by_mac and change == {"mac_address": None}:
        change = change | {"serial_number": "another"}
    Refused(fleet, fleet.present(recipe)).patch(Conflict, "can no longer change", **change)


@pytest.mark.parametrize("status", STATES)
def test_change_of_another_version_is_refused(fleet: Fleet, status: str) -> None:
    recipe = in_state(fleet, status)
    refused = Refused(fleet, recipe)
    stale = recipe.version + 1
    refused.patch(PreconditionFailed, "changed since", version=stale, device_name="Lobby")
    for action in (actions.retry, actions.delete):
        refused(PreconditionFailed, "changed since", action, fleet.here, recipe.uid, stale)
    refused(PreconditionFailed, "changed since", actions.set_claim_code, fleet.here, recipe.uid, stale, b"x", None)


@pytest.mark.parametrize("status", ["Pending", "Failed", "Invalid"])
@pytest.mark.parametrize("field", ["serial_number", "mac_address"])
def test_patch_to_the_identifiers_of_another_is_refused_naming_it(fleet: Fleet, status: str, field: str) -> None:
    recipe, other, taken = in_state(fleet, status), pending(fleet), applied(fleet)
    refused = Refused(fleet, recipe)
    refused.patch(Conflict, f"recipe {other.uid.hex()}", **{field: getattr(other.identity, field)})
    assert taken.device_uid is not None
    refused.patch(Conflict, f"(recipe|device) ({taken.uid.hex()}|{taken.device_uid.hex()})",
                  **{field: getattr(taken.identity, field)})  # fmt: skip


@pytest.mark.parametrize("status", STATES)
def test_patch_to_something_unknown_is_refused_by_its_place(fleet: Fleet, status: str) -> None:
    recipe = in_state(fleet, status)
    theirs = fleet.reference("policy", fleet.there)
    refused = Refused(fleet, recipe)
    for kind, change in (
        ("tag", {"tag_uids": (new_uid(),)}),
        ("location", {"location_uid": new_uid()}),
        ("policy", {"policy_uid": theirs}),
    ):
        with pytest.raises(Invalid) as caught:
            fleet.patch(recipe, **change)
        assert [fault.rule for fault in caught.value.faults] == [f"unknown-{kind}"]
    refused.patch(Invalid, "could not tell", mac_address="02:00")
    refused.patch(Invalid, "could not tell", serial_number=None, mac_address=None)


@pytest.mark.parametrize("status", ["Pending", "Failed", "Applied"])
@pytest.mark.parametrize("share", ["serial_number", "mac_address"])
def test_second_recipe_for_the_device_of_a_live_one_is_refused_naming_it(fleet: Fleet, status: str, share: str) -> None:
    recipe = in_state(fleet, status)
    shared: Identity = somebody(**{share: getattr(recipe.identity, share)})
    named = recipe.uid.hex() if status != "Applied" else f"{recipe.uid.hex()}|{(recipe.device_uid or b'').hex()}"
    Refused(fleet, recipe)(Conflict, named, actions.create, fleet.here, fleet.draft(shared))
    # Elsewhere nobody knows of it.
    fleet.recipe(shared, fleet.there)


def test_recipe_for_a_device_enrolled_by_hand_is_refused_naming_it(fleet: Fleet) -> None:
    who = somebody()
    device, _ = fleet.write(devices.create, fleet.here, who, fleet.draft(who).settings)
    with pytest.raises(Conflict, match=device.uid.hex()):
        fleet.recipe(who)
    fleet.recipe(who, fleet.there)


def test_company_cannot_have_recipes(fleet: Fleet) -> None:
    with pytest.raises(Conflict, match="Only organizations"):
        fleet.recipe(somebody(), fleet.above)


@pytest.mark.parametrize("kind", KINDS)
def test_new_recipe_that_names_something_unknown_is_refused(fleet: Fleet, kind: Any) -> None:
    fleet.forget()
    for uid in (new_uid(), fleet.reference(kind, fleet.there)):
        with pytest.raises(Invalid) as caught:
            fleet.recipe(somebody(), **referring(kind, uid))
        assert [fault.rule for fault in caught.value.faults] == [f"unknown-{kind}"]
    assert fleet.told() == []


def test_recipe_of_another_organization_does_not_exist(fleet: Fleet) -> None:
    recipe = in_state(fleet, "Pending")
    refused = Refused(fleet, recipe)
    for action in (actions.retry, actions.delete):
        refused(NotFound, "no such", action, fleet.there, recipe.uid, None)
    refused(NotFound, "no such", actions.set_claim_code, fleet.there, recipe.uid, None, b"x", None)
    with pytest.raises(NotFound):
        fleet.patch(recipe, fleet.there, device_name="ours")
    assert fleet.told(fleet.there) == []


def test_claim_code_that_has_expired_already_is_refused(fleet: Fleet) -> None:
    recipe = in_state(fleet, "Pending")
    Refused(fleet, recipe)(Invalid, "future", actions.set_claim_code, fleet.here, recipe.uid, None, b"x", 1)
