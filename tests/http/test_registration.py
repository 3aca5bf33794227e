"""`/v1/devices/register`: what a device is answered, what its key may not do, and what is kept of attempts in vain."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from heliograph.ids import new_uid
from tests.http.test_devices import who
from tests.http.test_recipes import RECIPES, REGISTER, Desk

if TYPE_CHECKING:
    from tests.http.inprocess import Answer, Api

ATTEMPTS = "/v1/registration-attempts"
NO_RECIPE = {
    "result": "noRecipe", "reason": "no_recipe", "deviceIdentityHash": None, "organizationUid": None,
    "settings": None, "token": None,
}  # fmt: skip


@pytest.fixture
def desk(api: Api) -> Desk:
    return Desk(api)


@pytest.fixture
def connector(desk: Desk) -> str:
    """A key that may register devices and hardly anything else."""
    return desk.api.key(desk.uid, "connector")


def enrol(desk: Desk, shown: Any, key: str | None = None, **more: Any) -> Answer:
    return desk.api.post(REGISTER, key or desk.key, shown, **more)


# -- what works -----------------------------------------------------------------------------------------------------


def test_device_gets_what_its_recipe_says_and_a_token_that_reports(desk: Desk, connector: str) -> None:
    tag, location = desk.reference("tag"), desk.reference("location")
    shown = who(model="QM55C")
    recipe = desk.api.made(
        RECIPES, shown | {"deviceName": "Lobby", "tagUids": [tag], "locationUid": location}, desk.key
    )
    answer = enrol(desk, shown, connector)
    assert answer.status == 201
    body = answer.json()
    token, device = body["token"], body["deviceIdentityHash"]
    settings = {"name": "Lobby", "tagUids": [tag], "policyUid": None, "locationUid": location}
    assert body == {
        "result": "applied", "reason": None, "deviceIdentityHash": device, "organizationUid": desk.uid,
        "settings": settings, "token": token,
    }  # fmt: skip
    assert desk.present(recipe)["deviceIdentityHash"] == device
    assert desk.get(f"/{device}")["recipeUid"] == recipe["uid"]
    again = enrol(desk, shown, connector)
    assert (again.status, again.json()) == (200, body | {"token": None})
    assert desk.api.post(f"/v1/devices/{device}/reports", token, {}).status < 300


def test_token_is_replaced_against_itself_and_ends_with_the_device(desk: Desk, connector: str) -> None:
    recipe = desk.recipe()
    first = desk.register(recipe)
    device = first["deviceIdentityHash"]
    reports = f"/v1/devices/{device}/reports"
    second = desk.register(recipe, deviceToken=first["token"])
    assert second["token"] not in (None, first["token"])
    assert desk.api.post(reports, first["token"], {}).status == 401
    assert desk.api.post(reports, second["token"], {}).status < 300
    for wrong in ("", " ", first["token"], "hgd_nothing", connector):
        assert desk.register(recipe, deviceToken=wrong)["token"] is None
    assert desk.api.post(f"/v1/devices/{device}/deprovision", desk.key, None).status == 200
    assert desk.api.post(reports, second["token"], {}).status == 401
    assert enrol(desk, {"brand": recipe["brand"], "serialNumber": recipe["serialNumber"]}).json() == NO_RECIPE


def test_device_is_told_short_reasons_and_the_operator_long_ones(desk: Desk, connector: str) -> None:
    recipe = desk.recipe(claimCode="KEEP-2345-WXYZ")
    shown = {name: recipe[name] for name in ("brand", "serialNumber", "macAddress")}
    for more, result, reason in (
        ({}, "pending", "ownership_unconfirmed"),
        ({"claimCode": "WRONG"}, "refused", "claim_code_wrong"),
        ({"claimCode": "---- ----"}, "refused", "claim_code_wrong"),
        ({"macAddress": "02:00:00:00:00:09"}, "refused", "identifier_mismatch"),
    ):
        answer = enrol(desk, shown | more, connector)
        assert (answer.status, answer.json()) == (200, NO_RECIPE | {"result": result, "reason": reason})
        warning = desk.present(recipe)["unsuccessfulRegisterAttemptStatus"]["warningMessage"]
        assert warning not in answer.body.decode()
        assert len(warning) > 40
    assert enrol(desk, shown | {"claimCode": "keep 2345 wxyz"}, connector).status == 201


def test_claim_code_and_token_are_in_no_event_and_no_attempt(desk: Desk) -> None:
    recipe = desk.recipe(claimCode="SECRET-99-CODE")
    desk.register(recipe, claimCode="SECRET-98-CODE", deviceToken="hgd_SECRET")
    token = desk.register(recipe, claimCode="SECRET-99-CODE")["token"]
    seen = str((desk.api.log(desk.uid), desk.api.get(ATTEMPTS, desk.key).json()))
    assert "SECRET" not in seen
    assert token not in seen


def test_device_enrolled_elsewhere_is_answered_like_one_that_nobody_knows(desk: Desk, connector: str) -> None:
    other = Desk(desk.api)
    other.register(other.recipe(serialNumber="ELSEWHERE-1", macAddress=None))
    shown = {"brand": "Samsung", "serialNumber": "ELSEWHERE-1"}
    enrolled, unknown = (enrol(desk, shown | {"serialNumber": s}, connector) for s in ("ELSEWHERE-1", "NOWHERE-1"))
    assert (enrolled.status, enrolled.json()) == (unknown.status, unknown.json()) == (200, NO_RECIPE)
    differing = {"x-request-id", "date"}
    assert {name for name in enrolled.headers if enrolled.headers[name] != unknown.headers.get(name)} <= differing
    other.register(other.recipe(serialNumber="ELSEWHERE-2", macAddress=None))
    # Also when the organization waits for it itself.
    desk.recipe(serialNumber="ELSEWHERE-2", macAddress=None)
    assert enrol(desk, shown | {"serialNumber": "ELSEWHERE-2"}, connector).json() == NO_RECIPE


def test_key_of_a_company_registers_into_its_organizations_and_only_below_the_named_tenant(desk: Desk) -> None:
    api = desk.api
    company = api.tenant(kind="company")
    one, other = Desk(api, company), Desk(api, company)
    key = api.key(company, "register device.tenant")
    recipe = one.recipe()
    shown = {"brand": recipe["brand"], "serialNumber": recipe["serialNumber"]}
    assert api.post(f"{REGISTER}?tenantUid={other.uid}", key, shown).json() == NO_RECIPE
    assert api.post(f"{REGISTER}?tenantUid={desk.uid}", key, shown).status == 404
    answer = api.post(REGISTER, key, shown).json()
    assert (answer["result"], answer["organizationUid"]) == ("applied", one.uid)
    assert api.post(f"{REGISTER}?tenantUid={company}", key, shown).json()["organizationUid"] == one.uid


# -- what is refused ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "fault"),
    [
        ({"brand": " "}, ("/brand", "required")),
        ({"brand": None}, ("/brand", "type")),
        ({"brand": "x" * 101}, ("/brand", "max-length")),
        ({"model": "x" * 101}, ("/model", "max-length")),
        ({"serialNumber": None, "macAddress": None}, ("", "identifier-required")),
        ({"serialNumber": "x" * 201}, ("/serialNumber", "max-length")),
        ({"macAddress": "02:00:00:00:00"}, ("/macAddress", "mac-address")),
        ({"macAddress": "FF:FF:FF:FF:FF:FF"}, ("/macAddress", "mac-address")),
        ({"macAddress": "zz:00:00:00:00:01"}, ("/macAddress", "mac-address")),
        ({"claimCode": "x" * 201}, ("/claimCode", "maxLength")),
        ({"claimCode": "a\nb"}, ("/claimCode", "pattern")),
        ({"claimCode": 12345678}, ("/claimCode", "type")),
        ({"deviceToken": "x" * 201}, ("/deviceToken", "maxLength")),
        ({"tagUids": []}, ("/tagUids", "unknown-field")),
    ],
)
def test_wrong_registration_is_refused_by_place_and_rule_and_not_kept(
    desk: Desk, connector: str, wrong: dict[str, Any], fault: tuple[str, str]
) -> None:
    answer = enrol(desk, who(**wrong), connector)
    assert (answer.status, answer.faults()) == (400, [fault])
    assert desk.api.get(ATTEMPTS, desk.key).json()["data"] == []


def test_only_a_key_with_the_permission_registers(desk: Desk) -> None:
    recipe = desk.recipe()
    shown = {"brand": recipe["brand"], "serialNumber": recipe["serialNumber"]}
    token = desk.register(desk.recipe())["token"]
    for key in (desk.api.key(desk.uid, "viewer"), desk.api.key(desk.uid, "integrator"), token):
        for query in ("", f"?tenantUid={desk.uid}"):
            answer = desk.api.post(f"{REGISTER}{query}", key, shown)
            assert answer.status == 403
            assert "'register device.tenant'" in answer.json()["detail"]
    assert desk.present(recipe)["status"] == "Pending"
    assert desk.api.get(ATTEMPTS, desk.key).json()["data"] == []


def test_device_may_not_list_devices_or_attempts_with_its_token(desk: Desk) -> None:
    token = desk.register(desk.recipe())["token"]
    for target in ("/v1/devices", ATTEMPTS, RECIPES, "/v1/events?from=2020-01-01T00:00:00Z"):
        assert desk.api.get(target, token).status == 403, target


def test_organization_without_grants_sees_no_attempt_of_others(desk: Desk) -> None:
    desk.api.post(REGISTER, desk.key, who())
    assert len(desk.api.get(ATTEMPTS, desk.key).json()["data"]) == 1
    assert Desk(desk.api).api.get(ATTEMPTS, Desk(desk.api).key).json()["data"] == []
    assert desk.api.get(f"{ATTEMPTS}?tenantUid={desk.uid}", Desk(desk.api).key).status == 404


# -- attempts -------------------------------------------------------------------------------------------------------


def test_attempts_are_listed_of_all_and_of_one_recipe_by_reason_and_page(desk: Desk, connector: str) -> None:
    recipe = desk.recipe(claimCode="KEEP-2345-WXYZ")
    shown = {"brand": recipe["brand"], "serialNumber": recipe["serialNumber"]}
    stranger = who(model="QM55C")
    for body, times in ((stranger, 2), (shown, 3), (shown | {"claimCode": "WRONG"}, 1)):
        for _ in range(times):
            enrol(desk, body, connector)
    listed = desk.api.get(ATTEMPTS, desk.key).json()["data"]
    assert [(one["reason"], one["result"], one["recipeUid"], one["tries"]) for one in listed] == [
        ("no_recipe", "noRecipe", None, 2),
        ("ownership_unconfirmed", "pending", recipe["uid"], 3),
        ("claim_code_wrong", "refused", recipe["uid"], 1),
    ]
    first = listed[0]
    assert {name: first[name] for name in stranger} == stranger
    assert first["firstAt"] <= first["lastAt"]
    assert first["message"] == "No recipe waits for a device with these identifiers."

    def uids(target: str) -> list[str]:
        answer = desk.api.get(target, desk.key)
        assert answer.status == 200, answer
        return [one["uid"] for one in answer.json()["data"]]

    every = [one["uid"] for one in listed]
    assert uids(f"{RECIPES}/{recipe['uid']}/attempts") == every[1:]
    assert uids(f"{RECIPES}/{recipe['uid']}/attempts?reason=claim_code_wrong") == every[2:]
    assert uids(f"{ATTEMPTS}?reason=no_recipe&reason=claim_code_wrong") == [every[0], every[2]]
    assert uids(f"{ATTEMPTS}?reason=tag_missing") == []
    page = desk.api.get(f"{ATTEMPTS}?limit=2", desk.key).json()
    rest = desk.api.get(f"{ATTEMPTS}?limit=2&cursor={page['nextCursor']}", desk.key).json()
    assert [one["uid"] for one in page["data"] + rest["data"]] == every
    assert rest["nextCursor"] is None
    assert desk.api.get(f"{ATTEMPTS}?reason=no_recipe&cursor={page['nextCursor']}", desk.key).status == 400
    assert desk.api.get(f"{ATTEMPTS}?reason=bad_luck", desk.key).status == 400
    assert desk.api.get(f"{RECIPES}/{new_uid().hex()}/attempts", desk.key).status == 404


def test_device_that_nobody_gave_a_serial_number_is_known_by_its_mac(desk: Desk, connector: str) -> None:
    desk.api.made(RECIPES, {"brand": "Acme", "macAddress": "00:1B:44:00:0A:01"}, desk.key)
    shown = {"brand": "Acme", "serialNumber": "0"}
    refused = enrol(desk, shown, connector)
    assert (refused.status, refused.faults()) == (400, [("/serialNumber", "placeholder")])
    answer = enrol(desk, shown | {"macAddress": "00:1B:44:00:0A:01"}, connector)
    assert (answer.status, answer.json()["result"]) == (201, "applied")
