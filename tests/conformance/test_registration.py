"""Devices that register, on both databases: who gets them, what everybody is told, and what nobody may learn."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from heliograph.clock import MICROSECONDS
from heliograph.devices import actions as devices
from heliograph.devices.model import Settings
from heliograph.errors import Denied
from heliograph.ids import Secret
from heliograph.provisioning import actions, claims, releasing
from heliograph.provisioning.claims import hash_code
from heliograph.provisioning.recipes import EXPLANATIONS
from heliograph.provisioning.registration import OutOfDate, Registration, Wish, register, survey
from heliograph.references import actions as references
from heliograph.tenancy import device_tokens
from heliograph.tenancy.access import authenticate, hash_token
from tests.conformance.provisioned import CODE, SEALER, Fleet, recipe_event, somebody
from tests.conformance.stores import HandClock

if TYPE_CHECKING:
    from heliograph.devices.model import Device, Identity
    from heliograph.provisioning.recipes import Reason, Recipe
    from heliograph.storage.engine import Engine, Row, Transaction
    from heliograph.storage.store import Store
    from heliograph.tenancy.model import Caller, Scope

TABLES = (
    "recipe", "recipe_identifier", "recipe_tag", "device", "device_identifier", "device_tag", "device_token",
    "device_presence", "claim_try", "registration_attempt", "event", "payload", "head", "job",
)  # fmt: skip
NO_RECIPE = Registration(result="noRecipe", reason="no_recipe")


@pytest.fixture
def engine(shared_engine: Engine) -> Engine:
    return shared_engine


@pytest.fixture
def fleet(store: Store) -> Fleet:
    return Fleet(store)


def refusal(result: Any, reason: Reason) -> Registration:
    return Registration(result=result, reason=reason)


def enrolled(answer: Registration) -> Device:
    assert answer.result == "applied"
    assert answer.device is not None
    return answer.device


def warned(scope: Scope, recipe: Recipe, reason: Reason) -> Any:
    warning = {"warningMessage": EXPLANATIONS[reason]}
    return recipe_event(scope, "Updated", recipe, recipe.device_uid, unsuccessfulRegisterAttemptStatus=warning)


def everything(store: Store) -> dict[str, set[Row]]:
    """Return every row of every table that a registration could leave a trace in, in all tenants."""

    def read(tx: Transaction) -> dict[str, set[Row]]:
        return {table: set(tx.all(f"select * from {table}")) for table in TABLES}  # noqa: S608 - names of our own

    return store.read(read)


# -- the first time -------------------------------------------------------------------------------------------------


def test_device_becomes_what_its_recipe_says(fleet: Fleet) -> None:
    tag, location = fleet.reference("tag"), fleet.reference("location")
    recipe = fleet.recipe(
        somebody(model="QM55C"), name="Lobby", tag_uids=(tag,), location_uid=location, custom_metadata={"floor": "1"}
    )
    fleet.forget()
    answer = fleet.register(recipe.identity)
    device = enrolled(answer)
    assert (answer.fresh, answer.reason, answer.organization_uid) == (True, None, fleet.here.tenant_uid)
    assert (device.settings, device.recipe_uid) == (recipe.settings, recipe.uid)
    assert device == fleet.device(device.uid)
    assert fleet.types() == ["Added", "ProvisioningRecipeStatusUpdated"]
    assert fleet.attempts() == []


def test_device_and_recipe_know_each_other_by_one_identifier_and_complete_each_other(fleet: Fleet) -> None:
    who = somebody(model="QM55C")
    fleet.recipe(msgspec.structs.replace(who, mac_address=None))
    device = enrolled(fleet.register(msgspec.structs.replace(who, brand="samsung", model="qm55c")))
    assert device.identity == msgspec.structs.replace(who, model="qm55c")
    assert set(fleet.holders(who)) == set(who.identifiers)


def test_device_without_any_recipe_is_counted_where_the_key_is_at_home(fleet: Fleet) -> None:
    who, caller = somebody(), fleet.caller(fleet.there, fleet.here)
    fleet.forget()
    for _ in range(3):
        assert fleet.register(who, caller) == NO_RECIPE
    assert fleet.attempts(fleet.there) == [("no_recipe", 3)]
    assert fleet.attempts(fleet.here) == []
    assert (fleet.told(fleet.here), fleet.told(fleet.there)) == ([], [])


def test_attempts_are_counted_apart_by_reason_device_and_caller(fleet: Fleet) -> None:
    recipe, caller = fleet.recipe(somebody(), code=CODE), fleet.caller()
    half = msgspec.structs.replace(recipe.identity, mac_address="02:00:00:00:00:01")
    for who, code, times in ((recipe.identity, None, 2), (recipe.identity, "WRONG", 3), (half, None, 1)):
        for _ in range(times):
            fleet.register(who, caller, code)
    fleet.register(recipe.identity, fleet.caller())
    counted = [("ownership_unconfirmed", 2), ("claim_code_wrong", 3), ("identifier_mismatch", 1)]
    assert fleet.attempts(recipe=recipe) == [*counted, ("ownership_unconfirmed", 1)]
    page, _ = fleet.read(actions.list_attempts, fleet.here, None, ("claim_code_wrong",), b"", 10)
    assert [(attempt.recipe_uid, attempt.identity, attempt.tries) for attempt in page] == [
        (recipe.uid, recipe.identity, 3)
    ]


@pytest.mark.parametrize(
    "half",
    [{"mac_address": "02:00:00:00:00:01"}, {"serial_number": "another"}, {"brand": "LG"}],
)
def test_device_that_half_matches_is_refused_and_its_recipe_warned_once(fleet: Fleet, half: dict[str, Any]) -> None:
    recipe = fleet.recipe(somebody(), confirmed_ownership=True)
    fleet.forget()
    caller = fleet.caller()
    for _ in range(2):
        answer = fleet.register(msgspec.structs.replace(recipe.identity, **half), caller)
        assert answer == refusal("refused", "identifier_mismatch")
    assert fleet.told() == [warned(fleet.here, recipe, "identifier_mismatch")]
    assert fleet.attempts(recipe=recipe) == [("identifier_mismatch", 2)]
    assert enrolled(fleet.register(recipe.identity))


@pytest.mark.parametrize("model", [None, "another"])
def test_device_of_another_model_is_refused(fleet: Fleet, model: str | None) -> None:
    recipe = fleet.recipe(somebody(model="QM55C"))
    fleet.forget()
    answer = fleet.register(msgspec.structs.replace(recipe.identity, model=model))
    assert answer == refusal("refused", "model_mismatch")
    assert fleet.told() == [warned(fleet.here, recipe, "model_mismatch")]


def test_device_between_two_recipes_of_one_organization_waits_and_both_are_warned(fleet: Fleet) -> None:
    who = somebody()
    by_serial = fleet.recipe(msgspec.structs.replace(who, mac_address=None))
    by_mac = fleet.recipe(msgspec.structs.replace(who, serial_number=None))
    fleet.forget()
    assert fleet.register(who) == refusal("pending", "ambiguous")
    assert fleet.told() == [warned(fleet.here, recipe, "ambiguous") for recipe in (by_serial, by_mac)]


# -- several organizations ------------------------------------------------------------------------------------------


def test_device_that_two_organizations_wait_for_waits_until_one_has_confirmed(fleet: Fleet) -> None:
    who = somebody()
    ours, theirs = fleet.recipe(who), fleet.recipe(who, fleet.there)
    caller = fleet.caller(fleet.above)
    fleet.forget()
    assert fleet.register(who, caller) == refusal("pending", "ownership_unconfirmed")
    for scope, recipe in ((fleet.here, ours), (fleet.there, theirs)):
        (told,) = fleet.told(scope)
        expected = warned(scope, recipe, "ownership_unconfirmed")
        assert (told.type, told.body | {"originator": None}) == (expected.type, expected.body | {"originator": None})
        assert fleet.attempts(scope) == [("ownership_unconfirmed", 1)]
    fleet.patch(theirs, fleet.there, confirmed_ownership=True)
    fleet.forget()
    answer = fleet.register(who, caller)
    assert answer.organization_uid == fleet.there.tenant_uid
    assert fleet.types(fleet.there) == ["Added", "ProvisioningRecipeStatusUpdated"]
    assert fleet.told(fleet.here) == []
    assert fleet.present(ours).status == "Pending"


def test_device_that_two_organizations_have_confirmed_waits(fleet: Fleet) -> None:
    who = somebody()
    for scope in (fleet.here, fleet.there):
        fleet.recipe(who, scope, confirmed_ownership=True)
    assert fleet.register(who, fleet.caller(fleet.above)) == refusal("pending", "ambiguous")


def test_recipes_out_of_reach_and_outside_the_named_tenant_do_not_count(fleet: Fleet) -> None:
    who = somebody()
    fleet.recipe(who)
    theirs = fleet.recipe(who, fleet.there)
    fleet.forget()
    caller = fleet.caller(fleet.above)
    assert fleet.register(who, caller, at=fleet.there).organization_uid == fleet.there.tenant_uid
    assert fleet.told(fleet.here) == []
    assert fleet.present(theirs, fleet.there).status == "Applied"
    other = somebody()
    fleet.recipe(other)
    fleet.recipe(other, fleet.there)
    assert fleet.register(other, fleet.caller(fleet.here)).organization_uid == fleet.here.tenant_uid


def test_originator_is_the_caller_and_the_organization_is_the_recipes(fleet: Fleet) -> None:
    recipe = fleet.recipe(somebody(), fleet.there)
    fleet.forget()
    caller = fleet.caller(fleet.here, fleet.there)
    enrolled(fleet.register(recipe.identity, caller))
    status = fleet.told(fleet.there)[-1].body
    assert status["owner"]["organizationUid"] == fleet.there.tenant_uid
    assert status["originator"] == {
        "accountId": fleet.here.actor.account_id, "organizationUid": fleet.there.tenant_uid
    }  # fmt: skip


def test_caller_who_may_register_nowhere_is_denied(fleet: Fleet) -> None:
    rights = {fleet.here.tenant_id: frozenset(("read device.tenant",))}
    caller = replace(fleet.caller(), rights=rights, account_rights=rights)
    with pytest.raises(Denied, match="register device"):
        fleet.register(somebody(), caller)


# -- what nobody may learn ------------------------------------------------------------------------------------------


def traces(fleet: Fleet, who: Identity, caller: Caller) -> tuple[Registration, dict[str, list[Any]]]:
    """Register, and return the answer and what it left anywhere, without what names the moment or the device."""
    before = everything(fleet.store)
    answer = fleet.register(who, caller)
    after = everything(fleet.store)
    assert all(before[table] <= after[table] for table in TABLES), "something was changed or taken away"
    left = {table: sorted(after[table] - before[table]) for table in TABLES if after[table] - before[table]}
    attempts, _ = fleet.read(actions.list_attempts, fleet.here, None, (), b"", 1000)
    (own,) = [attempt for attempt in attempts if attempt.identity == who]
    assert list(left) == ["registration_attempt"]
    assert len(left["registration_attempt"]) == 1
    plain = msgspec.structs.asdict(own) | dict.fromkeys(("uid", "identity", "first_at", "last_at"))
    return answer, {"registration_attempt": [plain]}


@pytest.mark.parametrize("own_recipe", [None, "confirmed", "with a code", "half matching"])
@pytest.mark.parametrize("by_hand", [False, True])
@pytest.mark.parametrize("presented", ["both", "serial_number", "mac_address"])
def test_device_enrolled_elsewhere_looks_exactly_like_one_that_nobody_waits_for(
    fleet: Fleet, own_recipe: str | None, by_hand: bool, presented: str
) -> None:
    unknown, known, caller = somebody(), somebody(), fleet.caller(fleet.here)
    if by_hand:
        fleet.write(devices.create, fleet.there, known, Settings())
    else:
        fleet.recipe(known, fleet.there)
        enrolled(fleet.register(known, fleet.caller(fleet.there)))
    if own_recipe is not None:
        ours = msgspec.structs.replace(known, model="QM55C") if own_recipe == "half matching" else known
        code = CODE if own_recipe == "with a code" else None
        fleet.recipe(ours, code=code, confirmed_ownership=own_recipe == "confirmed")
    lacking = {"both": {}, "serial_number": {"mac_address": None}, "mac_address": {"serial_number": None}}[presented]
    shown = [msgspec.structs.replace(who, **lacking) for who in (unknown, known)]
    assert traces(fleet, shown[1], caller) == traces(fleet, shown[0], caller)


@pytest.mark.parametrize(("shown", "taken"), [("serial_number", "mac_address"), ("mac_address", "serial_number")])
def test_device_is_not_enrolled_while_its_recipe_names_an_identifier_enrolled_elsewhere(
    fleet: Fleet, shown: str, taken: str
) -> None:
    who, caller = somebody(), fleet.caller(fleet.here)
    fleet.write(devices.create, fleet.there, msgspec.structs.replace(who, **{shown: None}), Settings())
    fleet.recipe(who)
    assert traces(fleet, msgspec.structs.replace(who, **{taken: None}), caller) == traces(fleet, somebody(), caller)


# -- again ----------------------------------------------------------------------------------------------------------


def test_device_that_registers_again_is_known_and_nothing_is_recorded(fleet: Fleet) -> None:
    recipe = fleet.recipe(somebody(), name="Lobby")
    first = enrolled(fleet.register(recipe.identity))
    fleet.forget()
    before = everything(fleet.store)
    for more in ({}, {"model": "says something new"}, {"mac_address": None}, {"serial_number": None}):
        answer = fleet.register(msgspec.structs.replace(recipe.identity, **more))
        assert answer == Registration(result="applied", device=first, organization_uid=fleet.here.tenant_uid)
    assert everything(fleet.store) == before


@pytest.mark.parametrize("on_repeat", ["keep", "reset", "reject"])
def test_recipe_says_what_a_repeat_does(fleet: Fleet, on_repeat: Any) -> None:
    recipe = fleet.recipe(somebody(), name="Lobby", on_repeat=on_repeat)
    device = enrolled(fleet.register(recipe.identity))
    fleet.write(devices.update, fleet.here, device.uid, None, devices.SettingsPatch(name="Elsewhere"))
    fleet.forget()
    answer = fleet.register(recipe.identity)
    if on_repeat == "reject":
        assert answer == refusal("refused", "rejected_repeat")
        assert fleet.told() == []
        assert fleet.attempts(recipe=recipe) == [("rejected_repeat", 1)]
        return
    name, told = ("Lobby", ["Updated"]) if on_repeat == "reset" else ("Elsewhere", [])
    assert enrolled(answer).settings.name == name
    assert fleet.types() == told
    assert enrolled(fleet.register(recipe.identity)).settings.name == name
    assert fleet.types() == []


@pytest.mark.parametrize("kind", ["tag", "policy", "location"])
def test_reset_gives_a_device_only_what_still_exists(fleet: Fleet, kind: Any) -> None:
    lost, kept = fleet.reference(kind), fleet.reference("tag")
    settings: dict[str, Any] = {"tag_uids": (kept,), f"{kind}_uid": lost}
    if kind == "tag":
        settings = {"tag_uids": tuple(sorted((kept, lost)))}
    recipe = fleet.recipe(somebody(), on_repeat="reset", **settings)
    fleet.register(recipe.identity)
    fleet.write(releasing.delete_reference, fleet.here, kind, lost, None)
    fleet.forget()
    found = enrolled(fleet.register(recipe.identity)).settings
    assert (found.tag_uids, found.policy_uid, found.location_uid) == ((kept,), None, None)
    assert fleet.types() == []


def test_device_enrolled_by_hand_is_known_when_it_registers(fleet: Fleet) -> None:
    who = somebody()
    device, _ = fleet.write(devices.create, fleet.here, who, Settings(name="Lobby"))
    fleet.forget()
    answer = fleet.register(who)
    assert (enrolled(answer), answer.token, answer.fresh) == (device, None, False)
    assert fleet.told() == []


@pytest.mark.parametrize("half", [{"mac_address": "02:00:00:00:00:01"}, {"serial_number": "another"}, {"brand": "LG"}])
def test_enrolled_device_that_contradicts_itself_is_refused(fleet: Fleet, half: dict[str, Any]) -> None:
    recipe = fleet.recipe(somebody())
    enrolled(fleet.register(recipe.identity))
    fleet.forget()
    answer = fleet.register(msgspec.structs.replace(recipe.identity, **half))
    assert answer == refusal("refused", "identifier_mismatch")
    assert fleet.told() == []


def test_device_made_of_two_enrolled_ones_is_refused(fleet: Fleet) -> None:
    one, other = fleet.recipe(somebody()), fleet.recipe(somebody())
    for recipe in (one, other):
        enrolled(fleet.register(recipe.identity))
    mixed = msgspec.structs.replace(one.identity, mac_address=other.identity.mac_address)
    assert fleet.register(mixed) == refusal("refused", "identifier_mismatch")


def test_device_whose_recipe_was_deleted_or_changed_is_known_all_the_same(fleet: Fleet) -> None:
    recipe = fleet.recipe(somebody(), on_repeat="reject")
    device = enrolled(fleet.register(recipe.identity))
    fleet.patch(recipe, on_repeat="reset", device_name="Foyer")
    assert enrolled(fleet.register(recipe.identity)).settings.name == "Foyer"
    fleet.write(actions.delete, fleet.here, recipe.uid, None)
    fleet.forget()
    answer = fleet.register(recipe.identity, code="ANY-CODE-77")
    assert (enrolled(answer).uid, answer.token) == (device.uid, None)
    assert fleet.told() == []


# -- claim codes ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spelling", [CODE, CODE.lower(), CODE.replace("-", " "), CODE.replace("-", "")])
def test_right_claim_code_enrols_however_it_is_spelled(fleet: Fleet, spelling: str) -> None:
    recipe = fleet.recipe(somebody(), code=CODE)
    assert (
        enrolled(fleet.register(recipe.identity, code=spelling)).verification_hash == (recipe.claim_hash or b"").hex()
    )


def test_absent_claim_code_waits_and_a_wrong_one_is_refused(fleet: Fleet) -> None:
    recipe = fleet.recipe(somebody(), code=CODE)
    fleet.forget()
    assert fleet.register(recipe.identity) == refusal("pending", "ownership_unconfirmed")
    assert fleet.register(recipe.identity, code="KEEP-2345-WXYA") == refusal("refused", "claim_code_wrong")
    reasons: tuple[Reason, ...] = ("ownership_unconfirmed", "claim_code_wrong")
    assert fleet.told() == [warned(fleet.here, recipe, reason) for reason in reasons]


def test_claim_code_of_another_recipe_is_wrong(fleet: Fleet) -> None:
    one, other = fleet.recipe(somebody(), code=CODE), fleet.recipe(somebody(), code="ANOTHER-CODE")
    assert fleet.register(one.identity, code="ANOTHER-CODE").reason == "claim_code_wrong"
    assert enrolled(fleet.register(other.identity, code="ANOTHER-CODE"))


def test_expired_claim_code_is_refused(fleet: Fleet, time: HandClock) -> None:
    recipe = fleet.recipe(somebody(), code=CODE, claim_expires_at=time.wall + MICROSECONDS)
    time.wall += MICROSECONDS
    assert fleet.register(recipe.identity, code=CODE) == refusal("refused", "claim_code_wrong")
    assert fleet.present(recipe).status == "Pending"


def test_claim_code_is_needless_once_an_operator_has_confirmed_and_is_then_still_unused(fleet: Fleet) -> None:
    recipe = fleet.recipe(somebody(), code=CODE, confirmed_ownership=True)
    assert enrolled(fleet.register(recipe.identity)).verification_hash is None
    assert fleet.present(recipe).claim_used_at is None


def test_claim_code_decides_between_two_organizations(fleet: Fleet) -> None:
    who = somebody()
    fleet.recipe(who, confirmed_ownership=True)
    fleet.recipe(who, fleet.there, code=CODE)
    answer = fleet.register(who, fleet.caller(fleet.above), CODE)
    assert answer.organization_uid == fleet.there.tenant_uid


def test_stranger_who_guesses_1000_times_does_not_keep_the_owner_out(fleet: Fleet) -> None:
    recipe, stranger, rightful = fleet.recipe(somebody(), code=CODE), fleet.caller(), fleet.caller()
    for guess in range(1000):
        answer = fleet.register(recipe.identity, stranger, f"GUESS-{guess:04}")
        assert answer == refusal("refused", "claim_code_wrong")
    # Whoever guessed too often is refused even with the right code, and not told so.
    assert fleet.register(recipe.identity, stranger, CODE) == refusal("refused", "claim_code_wrong")
    assert fleet.attempts(recipe=recipe) == [("claim_code_wrong", 1001)]
    assert enrolled(fleet.register(recipe.identity, rightful, CODE))


def test_caller_may_guess_again_after_an_hour(fleet: Fleet, time: HandClock) -> None:
    recipe, caller = fleet.recipe(somebody(), code=CODE), fleet.caller()
    for _ in range(claims.MOST_TRIES):
        fleet.register(recipe.identity, caller, "WRONG-CODE")
    assert fleet.register(recipe.identity, caller, CODE).reason == "claim_code_wrong"
    time.wall += (claims.TRIES_WINDOW_SECONDS + 1) * MICROSECONDS
    assert enrolled(fleet.register(recipe.identity, caller, CODE))


def test_last_try_that_is_left_may_be_the_right_one(fleet: Fleet) -> None:
    recipe, caller = fleet.recipe(somebody(), code=CODE), fleet.caller()
    for _ in range(claims.MOST_TRIES - 1):
        fleet.register(recipe.identity, caller, "WRONG-CODE")
    assert enrolled(fleet.register(recipe.identity, caller, CODE))


def test_registration_begins_again_when_the_code_came_between_look_and_write(fleet: Fleet) -> None:
    recipe, caller = fleet.recipe(somebody()), fleet.caller()
    asked: Any = {
        "caller": caller, "wish": Wish(identity=recipe.identity, claim_code=Secret(CODE)), "tenant_uid": None
    }  # fmt: skip

    def keep(uid: bytes, code: str) -> bytes:
        return hash_code(SEALER, uid, code)

    found = fleet.read(survey, hash_code=keep, **asked)
    fleet.write(actions.set_claim_code, fleet.here, recipe.uid, None, keep(recipe.uid, CODE), None)
    assert isinstance(fleet.write(register, found=found, **asked), OutOfDate)
    found = fleet.read(survey, hash_code=keep, **asked)
    assert enrolled(fleet.write(register, found=found, **asked))


# -- tokens ---------------------------------------------------------------------------------------------------------


def device_of(fleet: Fleet, token: Secret | None) -> bytes | None:
    """Return whose token that is."""
    assert token is not None
    caller: Caller = fleet.read(authenticate, hash_token(token.reveal()))
    return caller.device_uid


def works(fleet: Fleet, device: Device, token: Secret | None) -> bool:
    assert token is not None
    found: bool = fleet.read(device_tokens.is_token_of, fleet.here, device.uid, token.reveal())
    return found


def test_token_is_given_once(fleet: Fleet) -> None:
    recipe = fleet.recipe(somebody())
    first = fleet.register(recipe.identity)
    assert device_of(fleet, first.token) == enrolled(first).uid
    assert fleet.register(recipe.identity).token is None
    assert works(fleet, enrolled(first), first.token)


def test_token_is_replaced_by_itself_and_ends_then(fleet: Fleet) -> None:
    recipe = fleet.recipe(somebody())
    first = fleet.register(recipe.identity)
    second = fleet.register(recipe.identity, token=first.token)
    assert device_of(fleet, second.token) == enrolled(first).uid
    assert not works(fleet, enrolled(first), first.token)
    assert fleet.register(recipe.identity, token=first.token).token is None
    other = fleet.register(fleet.recipe(somebody()).identity)
    assert fleet.register(recipe.identity, token=other.token).token is None
    assert works(fleet, enrolled(first), second.token)


def test_lost_token_is_replaced_for_a_new_claim_code_once(fleet: Fleet) -> None:
    recipe = fleet.recipe(somebody(), code=CODE)
    first = fleet.register(recipe.identity, code=CODE)
    # The code that was used to enrol is used up.
    assert fleet.register(recipe.identity, code=CODE).token is None
    new = hash_code(SEALER, recipe.uid, "NEW-CODE-1")
    fleet.write(actions.set_claim_code, fleet.here, recipe.uid, None, new, None)
    assert fleet.register(recipe.identity, code=CODE) == refusal("refused", "claim_code_wrong")
    fleet.forget()
    second = fleet.register(recipe.identity, code="NEW-CODE-1")
    assert device_of(fleet, second.token) == enrolled(first).uid
    assert not works(fleet, enrolled(first), first.token)
    assert fleet.register(recipe.identity, code="NEW-CODE-1").token is None
    assert fleet.told() == []


def test_token_is_not_taken_over_by_guessing_the_new_claim_code(fleet: Fleet) -> None:
    recipe, stranger = fleet.recipe(somebody()), fleet.caller()
    first = fleet.register(recipe.identity)
    new = hash_code(SEALER, recipe.uid, "NEW-CODE-1")
    fleet.write(actions.set_claim_code, fleet.here, recipe.uid, None, new, None)
    for guess in range(claims.MOST_TRIES):
        assert fleet.register(recipe.identity, stranger, f"GUESS-{guess:04}").reason == "claim_code_wrong"
    assert fleet.register(recipe.identity, stranger, "NEW-CODE-1").reason == "claim_code_wrong"
    assert works(fleet, enrolled(first), first.token)
    assert fleet.register(recipe.identity, code="NEW-CODE-1").token is not None


def test_token_ends_with_deprovisioning_and_a_new_enrolment_has_a_new_one(fleet: Fleet) -> None:
    recipe = fleet.recipe(somebody())
    first = fleet.register(recipe.identity)
    fleet.write(releasing.deprovision, fleet.here, enrolled(first).uid, None)
    assert not works(fleet, enrolled(first), first.token)
    assert fleet.register(recipe.identity, token=first.token) == NO_RECIPE
    fleet.recipe(recipe.identity)
    second = fleet.register(recipe.identity)
    assert second.fresh
    assert device_of(fleet, second.token) == enrolled(second).uid != enrolled(first).uid


def test_refused_repeat_gives_no_token(fleet: Fleet) -> None:
    recipe = fleet.recipe(somebody(), on_repeat="reject")
    first = fleet.register(recipe.identity)
    assert fleet.register(recipe.identity, token=first.token) == refusal("refused", "rejected_repeat")
    assert works(fleet, enrolled(first), first.token)


# -- attempts are bounded -------------------------------------------------------------------------------------------


def test_attempts_that_are_old_or_too_many_are_forgotten(fleet: Fleet, time: HandClock) -> None:
    for _ in range(4):
        fleet.register(somebody())
    time.wall += 10
    for _ in range(4):
        fleet.register(somebody())
    assert fleet.write(actions.forget_attempts, fleet.here, time.wall, 7, 2) is True
    assert len(fleet.attempts()) == 6
    assert fleet.write(actions.forget_attempts, fleet.here, time.wall, 7, 10) is False
    assert len(fleet.attempts()) == 4
    fleet.write(actions.forget_attempts, fleet.here, 0, 3, 10)
    assert len(fleet.attempts()) == 3


def test_reference_that_goes_between_two_registrations_changes_the_answer(fleet: Fleet) -> None:
    policy = fleet.reference("policy")
    one, other = (fleet.recipe(somebody(), policy_uid=policy) for _ in range(2))
    enrolled(fleet.register(one.identity))
    fleet.write(references.delete, fleet.here, "policy", policy, None)
    assert fleet.register(other.identity) == refusal("pending", "policy_missing")
    # An enrolled one does not mind.
    enrolled(fleet.register(one.identity))
