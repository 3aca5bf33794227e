"""`/v1/provisioning-recipes`: what callers can do with recipes, what they are refused, and what none may learn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from heliograph.ids import new_uid
from tests.conftest import StoreUrl
from tests.custom_metadata import LONGEST_METADATA, WRONG_METADATA
from tests.http.inprocess import Api, settings_for
from tests.http.test_devices import Shop, who

if TYPE_CHECKING:
    from pathlib import Path

    from tests.http.inprocess import Answer

RECIPES = "/v1/provisioning-recipes"
REGISTER = "/v1/devices/register"
NOBODY = new_uid().hex()
KINDS = ("tag", "policy", "location")


class Desk(Shop):
    """An organization with an owner's key, and its recipes."""

    def recipe(self, **more: Any) -> dict[str, Any]:
        made: dict[str, Any] = self.api.made(RECIPES, who(**more), self.key)
        return made

    def present(self, recipe: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = self.api.get(f"{RECIPES}/{recipe['uid']}", self.key).json()
        return found

    def list(self, query: str = "") -> list[str]:
        """Return the uids of a list's page."""
        answer = self.api.get(f"{RECIPES}?{query}", self.key)
        assert answer.status == 200, answer
        return [recipe["uid"] for recipe in answer.json()["data"]]

    def register(self, recipe: dict[str, Any], **more: Any) -> dict[str, Any]:
        shown = {name: recipe[name] for name in ("brand", "model", "serialNumber", "macAddress")} | more
        answer = self.api.post(REGISTER, self.key, shown)
        assert answer.status in (200, 201), answer
        found: dict[str, Any] = answer.json()
        return found

    def refused(self, method: str, path: str, body: Any, status: int = 400, **more: Any) -> Answer:
        """Send what must be refused, and check that the log was not told."""
        before = self.api.head(self.uid)
        answer = self.api.send(method, f"{RECIPES}{path}", more.pop("key", self.key), body, **more)
        assert answer.status == status, answer
        assert self.api.head(self.uid) == before
        return answer


@pytest.fixture
def desk(api: Api) -> Desk:
    return Desk(api)


def naming(kind: str, uid: str) -> dict[str, Any]:
    return {"tagUids": [uid]} if kind == "tag" else {f"{kind}Uid": uid}


# -- what works -----------------------------------------------------------------------------------------------------


def test_recipe_is_answered_with_all_that_it_is(desk: Desk) -> None:
    tags = sorted((desk.reference("tag"), desk.reference("tag")))
    location = desk.reference("location")
    body = who(
        brand=" Samsung ", model="QM55C", macAddress="001b-44ab-3ac7", deviceName="Lobby", locationUid=location,
        tagUids=[*tags, tags[0]], customMetadata={"floor": "1"}, onRepeat="reset", confirmedOwnership=True,
        claimCode="keep-2345-wxyz", claimCodeExpiresAt="2200-01-01T00:00:00Z",
    )  # fmt: skip
    made = desk.api.made(RECIPES, body, desk.key)
    assert made == {
        "uid": made["uid"],
        "organizationUid": desk.uid,
        "status": "Pending",
        "brand": "Samsung",
        "model": "QM55C",
        "serialNumber": body["serialNumber"],
        "macAddress": "00:1B:44:AB:3A:C7",
        "deviceName": "Lobby",
        "tagUids": tags,
        "policyUid": None,
        "locationUid": location,
        "customMetadata": {"floor": "1"},
        "confirmedOwnership": True,
        "onRepeat": "reset",
        "unsuccessfulRegisterAttemptStatus": None,
        "errorMessage": None,
        "deviceIdentityHash": None,
        "claimCodeSet": True,
        "claimCodeExpiresAt": "2200-01-01T00:00:00.000000Z",
        "createdAt": made["createdAt"],
        "updatedAt": made["createdAt"],
    }
    assert desk.present(made) == made
    assert desk.list() == [made["uid"]]


def test_claim_code_is_nowhere_in_answers_or_log(desk: Desk) -> None:
    made = desk.api.made(RECIPES, who(claimCode="SECRET-99-CODE"), desk.key)
    log = desk.api.log(desk.uid)
    assert "SECRET" not in str((made, log))
    assert made["claimCodeSet"] is True


def test_repeat_of_a_creation_with_its_idempotency_key_makes_nothing(desk: Desk) -> None:
    body, headers = who(), [("idempotency-key", "once")]
    first = desk.api.post(RECIPES, desk.key, body, headers=headers)
    second = desk.api.post(RECIPES, desk.key, body, headers=headers)
    assert (first.status, second.status) == (201, 200)
    assert first.json() == second.json()
    assert len(desk.list()) == 1
    assert desk.refused("POST", "", who(), 409, headers=headers)


def test_recipe_is_changed_and_deleted_under_its_version(desk: Desk) -> None:
    made = desk.recipe(deviceName="Lobby", model="QM55C")
    path = f"/{made['uid']}"
    shown = desk.api.get(f"{RECIPES}{path}", desk.key)
    changed = desk.api.patch(
        f"{RECIPES}{path}", desk.key, {"deviceName": "Foyer", "model": None},
        headers=[("if-match", shown.headers["etag"])],
    )  # fmt: skip
    assert changed.status == 200
    assert changed.json() == made | {"deviceName": "Foyer", "model": None, "updatedAt": changed.json()["updatedAt"]}
    stale = [("if-match", shown.headers["etag"])]
    desk.refused("PATCH", path, {"deviceName": "Bar"}, 412, headers=stale)
    desk.refused("POST", f"{path}/retry", None, 412, headers=stale)
    desk.refused("POST", f"{path}/claim-code", {}, 412, headers=stale)
    desk.refused("DELETE", path, None, 412, headers=stale)
    current = [("if-match", changed.headers["etag"])]
    assert desk.api.delete(f"{RECIPES}{path}", desk.key, headers=current).status == 204
    desk.refused("DELETE", path, None, 404)
    assert desk.api.get(f"{RECIPES}{path}", desk.key).status == 404


def test_failed_recipe_tells_what_helps(desk: Desk) -> None:
    policy = desk.reference("policy")
    made = desk.recipe(policyUid=policy)
    assert desk.api.delete(f"/v1/policies/{policy}", desk.key).status == 204
    now = desk.present(made)
    assert (now["status"], now["policyUid"]) == ("Invalid", policy)
    assert "policy" in now["errorMessage"]
    answer = desk.refused("POST", f"/{made['uid']}/retry", None, 409)
    assert "policy" in answer.json()["detail"]
    repaired = desk.api.patch(f"{RECIPES}/{made['uid']}", desk.key, {"policyUid": None})
    assert (repaired.json()["status"], repaired.json()["errorMessage"]) == ("Pending", None)
    assert desk.refused("POST", f"/{made['uid']}/retry", None, 409)


def test_new_claim_code_is_shown_once_and_works(desk: Desk) -> None:
    made = desk.recipe(claimCode="FIRST-CODE-1")
    answer = desk.api.post(f"{RECIPES}/{made['uid']}/claim-code", desk.key, {"expiresAt": "2200-01-01T00:00:00Z"})
    assert answer.status == 201
    assert answer.json()["expiresAt"] == "2200-01-01T00:00:00.000000Z"
    assert answer.headers["etag"] == desk.api.get(f"{RECIPES}/{made['uid']}", desk.key).headers["etag"]
    assert desk.register(made, claimCode="FIRST-CODE-1")["reason"] == "claim_code_wrong"
    assert desk.register(made, claimCode=answer.json()["claimCode"])["result"] == "applied"
    assert desk.present(made)["claimCodeSet"] is False
    assert desk.present(made)["unsuccessfulRegisterAttemptStatus"] is None


# -- lists ----------------------------------------------------------------------------------------------------------


def test_recipes_are_listed_by_every_filter(desk: Desk) -> None:
    tag, other_tag = desk.reference("tag"), desk.reference("tag")
    policy, location, lost = desk.reference("policy"), desk.reference("location"), desk.reference("policy")
    one = desk.recipe(brand="LG", serialNumber="Ab-1", macAddress="02:AB:00:00:00:01", tagUids=[tag])["uid"]
    two = desk.recipe(serialNumber="AB-2%", policyUid=policy, deviceName="Lobby left")["uid"]
    three = desk.recipe(serialNumber=None, macAddress="02-ac-00-00-00-02", locationUid=location, tagUids=[other_tag])
    four = desk.recipe(policyUid=lost, deviceName="lobby RIGHT")["uid"]
    five = desk.recipe()
    three = three["uid"]
    assert desk.api.delete(f"/v1/policies/{lost}", desk.key).status == 204
    desk.register(five)
    for query, expected in {
        "": [one, two, three, four, five["uid"]],
        "status=Pending": [one, two, three],
        "status=Applied": [five["uid"]],
        "status=Failed": [],
        "status=Invalid&status=Applied": [four, five["uid"]],
        "brand=lg": [one],
        "brand=LG&brand=samsung": [one, two, three, four, five["uid"]],
        f"locationUid={location}": [three],
        f"policyUid={policy}&policyUid={lost}": [two, four],
        f"tagUid={tag}&tagUid={other_tag}": [one, three],
        f"tagUid={tag}&brand=Samsung": [],
        f"tagUid={NOBODY}": [],
        "serialNumberPrefix=ab-": [one, two],
        "serialNumberPrefix=ab-2%25": [two],
        "serialNumberPrefix=ab-_": [],
        "macAddressPrefix=02a": [one, three],
        "macAddressPrefix=02-AB": [one],
        "namePrefix=LOBBY": [two, four],
        "namePrefix=lobby%20l": [two],
        "namePrefix=obby": [],
    }.items():
        assert desk.list(query) == expected, query


def test_pages_together_are_the_list_and_a_cursor_is_bound_to_its_filters(desk: Desk) -> None:
    made = [desk.recipe(brand="LG" if n % 2 else "Samsung")["uid"] for n in range(7)]
    found: list[str] = []
    cursor: str | None = ""
    cursors: list[str | None] = []
    while cursor is not None:
        page = desk.api.get(f"{RECIPES}?limit=2{cursor and f'&cursor={cursor}'}", desk.key).json()
        found += [recipe["uid"] for recipe in page["data"]]
        cursor = page["nextCursor"]
        cursors.append(cursor)
    assert found == made
    assert len(cursors) == 4
    answer = desk.api.get(f"{RECIPES}?brand=LG&cursor={cursors[0]}", desk.key)
    assert answer.status == 400
    assert answer.faults()[0][0] == "query/cursor"
    assert desk.api.get(f"{RECIPES}?cursor={cursors[0]}", Desk(desk.api).key).status == 400


def test_recipes_of_others_are_in_no_list(desk: Desk) -> None:
    theirs = Desk(desk.api).recipe(serialNumber="THEIRS")
    assert desk.list("serialNumberPrefix=theirs") == []
    for method, path, body in (
        ("GET", "", None), ("GET", "/attempts", None), ("PATCH", "", {"deviceName": "ours"}), ("DELETE", "", None),
        ("POST", "/retry", None), ("POST", "/claim-code", {}),
    ):  # fmt: skip
        answers = [
            desk.refused(method, f"/{uid}{path}", body, 404).json() | {"requestId": None, "instance": None}
            for uid in (theirs["uid"], NOBODY)
        ]
        assert answers[0] == answers[1]


# -- what is refused ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "fault"),
    [
        ({"brand": None}, ("/brand", "type")),
        ({"brand": "  "}, ("/brand", "required")),
        ({"brand": "x" * 101}, ("/brand", "max-length")),
        ({"brand": "a\tb"}, ("/brand", "control-characters")),
        ({"model": "x" * 101}, ("/model", "max-length")),
        ({"serialNumber": "x" * 201}, ("/serialNumber", "max-length")),
        ({"serialNumber": "a\nb"}, ("/serialNumber", "control-characters")),
        ({"serialNumber": 7}, ("/serialNumber", "type")),
        ({"serialNumber": None, "macAddress": None}, ("", "identifier-required")),
        ({"serialNumber": " ", "macAddress": ""}, ("", "identifier-required")),
        ({"macAddress": "02:00:00:00:00"}, ("/macAddress", "mac-address")),
        ({"macAddress": "02:00:00:00:00:00:01"}, ("/macAddress", "mac-address")),
        ({"macAddress": "02:00:00:00:00:0G"}, ("/macAddress", "mac-address")),
        ({"macAddress": "02:00-00:00:00:01"}, ("/macAddress", "mac-address")),
        ({"macAddress": "00:00:00:00:00:00"}, ("/macAddress", "mac-address")),
        ({"deviceName": "a\nb"}, ("/deviceName", "pattern")),
        ({"deviceName": "x" * 256}, ("/deviceName", "maxLength")),
        ({"tagUids": ["no"]}, ("/tagUids/0", "uid")),
        ({"tagUids": [NOBODY]}, ("/tagUids/0", "unknown-tag")),
        ({"policyUid": NOBODY}, ("/policyUid", "unknown-policy")),
        ({"locationUid": NOBODY}, ("/locationUid", "unknown-location")),
        ({"metadata": {}}, ("/metadata", "unknown-field")),
        ({"onRepeat": "maybe"}, ("/onRepeat", "enum")),
        ({"confirmedOwnership": 1}, ("/confirmedOwnership", "type")),
        ({"claimCode": "SHORT"}, ("/claimCode", "pattern")),
        ({"claimCode": "x" * 65}, ("/claimCode", "maxLength")),
        ({"claimCode": "KEEP_2345"}, ("/claimCode", "pattern")),
        ({"claimCode": "- - - - -"}, ("/claimCode", "pattern")),
        ({"claimCode": "A------------7"}, ("/claimCode", "pattern")),
        ({"claimCodeExpiresAt": "2200-01-01T00:00:00Z"}, ("/claimCodeExpiresAt", "claim-code-required")),
        ({"claimCode": "KEEP-2345", "claimCodeExpiresAt": "soon"}, ("/claimCodeExpiresAt", "time")),
        ({"claimCode": "KEEP-2345", "claimCodeExpiresAt": "2001-01-01T00:00:00Z"}, ("/claimCodeExpiresAt", "future")),
        ({"status": "Applied"}, ("/status", "unknown-field")),
    ],
)
def test_wrong_recipe_is_refused_by_place_and_rule(desk: Desk, wrong: dict[str, Any], fault: tuple[str, str]) -> None:
    answer = desk.refused("POST", "", who(**wrong))
    assert answer.faults() == [fault]
    assert desk.list() == []


@pytest.mark.parametrize(("metadata", "fault"), WRONG_METADATA)
def test_custom_metadata_that_breaks_a_rule_is_refused_when_given_or_changed(
    desk: Desk, metadata: Any, fault: tuple[str, str]
) -> None:
    recipe = desk.recipe(customMetadata=LONGEST_METADATA)
    change = {"customMetadata": metadata}
    assert desk.refused("POST", "", who(**change)).faults() == [fault]
    assert desk.refused("PATCH", f"/{recipe['uid']}", change).faults() == [fault]
    assert desk.list() == [recipe["uid"]]
    assert desk.present(recipe) == recipe


def test_unknown_tags_are_named_by_their_places_as_sent(desk: Desk) -> None:
    known, unknown = desk.reference("tag"), [new_uid().hex() for _ in range(2)]
    sent = [unknown[1], known, unknown[0], unknown[1]]
    faults = [("/tagUids/2", "unknown-tag"), ("/tagUids/0", "unknown-tag")]
    assert desk.refused("POST", "", who(tagUids=sent)).faults() == faults
    made = desk.recipe(tagUids=[known, known])
    assert made["tagUids"] == [known]
    assert desk.refused("PATCH", f"/{made['uid']}", {"tagUids": sent}).faults() == faults


def test_every_fault_of_an_identity_is_named_at_once(desk: Desk) -> None:
    answer = desk.refused("POST", "", {"brand": "", "serialNumber": "x" * 201, "macAddress": "no"})
    assert sorted(answer.faults()) == [
        ("/brand", "required"), ("/macAddress", "mac-address"), ("/serialNumber", "max-length")
    ]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_reference_of_another_organization_is_as_unknown_as_none(desk: Desk, kind: str) -> None:
    recipe, theirs = desk.recipe(), Desk(desk.api).reference(kind)
    for method, path, body in (("POST", "", who()), ("PATCH", f"/{recipe['uid']}", {})):
        answers = []
        for uid in (theirs, NOBODY):
            answer = desk.refused(method, path, body | naming(kind, uid)).json()
            answers.append(str(answer | {"requestId": None}).replace(uid, "UID"))
        assert answers[0] == answers[1]


@pytest.mark.parametrize("status", ["Pending", "Applied"])
@pytest.mark.parametrize("shared", ["serialNumber", "macAddress"])
def test_second_recipe_for_one_device_is_refused_naming_the_first(desk: Desk, status: str, shared: str) -> None:
    first = desk.recipe()
    if status == "Applied":
        desk.register(first)
    first = desk.present(first)
    second = who(**{shared: first[shared].lower()})
    detail = desk.refused("POST", "", second, 409).json()["detail"]
    assert first["uid"] in detail or first["deviceIdentityHash"] in detail
    other = desk.recipe()
    desk.refused("PATCH", f"/{other['uid']}", {shared: first[shared]}, 409)
    # Another organization is told nothing of it.
    assert Desk(desk.api).api.post(RECIPES, Desk(desk.api).key, second).status == 201


def test_change_with_unknown_fields_or_values_is_refused(desk: Desk) -> None:
    recipe = desk.recipe()
    path = f"/{recipe['uid']}"
    for body, fault in (
        ({"status": "Applied"}, ("/status", "unknown-field")),
        ({"claimCode": "KEEP-2345"}, ("/claimCode", "unknown-field")),
        ({"brand": None}, ("/brand", "type")),
        ({"macAddress": "no"}, ("/macAddress", "mac-address")),
        ({"serialNumber": None, "macAddress": None}, ("", "identifier-required")),
    ):
        assert desk.refused("PATCH", path, body).faults() == [fault], body
    assert desk.refused("POST", f"{path}/claim-code", {"expiresAt": "2001-01-01T00:00:00Z"}).faults() == [
        ("/expiresAt", "future")
    ]
    desk.refused("PATCH", "/no-uid", {"deviceName": "x"})
    assert desk.present(recipe) == recipe


@pytest.mark.parametrize(
    ("query", "place"),
    [
        ("status=Lost", "query/status"), ("tagUid=no", "query/tagUid"), ("policyUid=no", "query/policyUid"),
        ("locationUid=no", "query/locationUid"), ("macAddressPrefix=0g", "query/macAddressPrefix"),
        ("serialNumberPrefix=", "query/serialNumberPrefix"), ("limit=0", "query/limit"), ("limit=1001", "query/limit"),
        ("cursor=no", "query/cursor"), ("color=red", "query/color"),
    ],
)  # fmt: skip
def test_list_with_a_wrong_filter_is_refused_by_its_name(desk: Desk, query: str, place: str) -> None:
    answer = desk.api.get(f"{RECIPES}?{query}", desk.key)
    assert answer.status == 400, answer
    assert answer.faults()[0][0].startswith(place)


def test_company_has_no_recipes(desk: Desk) -> None:
    answer = desk.api.post(f"{RECIPES}?tenantUid={desk.api.company}", desk.api.root, who())
    assert answer.status == 409
    assert "organization" in answer.json()["detail"]


def test_brand_that_demands_more_is_refused_without_it(tmp_path: Path) -> None:
    api = Api(settings_for(StoreUrl(None, tmp_path), brand_demands="Samsung=macAddress+model,LG=serialNumber"))
    api.start()
    try:
        desk = Desk(api)
        answer = desk.refused("POST", "", who(brand="SAMSUNG", macAddress=None))
        assert answer.faults() == [("/macAddress", "brand-demands"), ("/model", "brand-demands")]
        assert desk.refused("POST", "", who(brand="lg", serialNumber=None)).faults() == [
            ("/serialNumber", "brand-demands")
        ]
        made = desk.recipe(model="QM55C")
        assert desk.refused("PATCH", f"/{made['uid']}", {"macAddress": None}).faults() == [
            ("/macAddress", "brand-demands")
        ]
        assert desk.recipe(brand="Philips", macAddress=None)
    finally:
        api.stop()


# -- permissions ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("confirm", [True, False])
def test_ownership_is_confirmed_only_with_the_permission_for_it(desk: Desk, confirm: bool) -> None:
    key = desk.api.key(desk.uid, "create recipe.tenant", "update recipe.tenant")
    recipe = desk.recipe()
    body = {"confirmedOwnership": confirm}
    assert (
        desk.refused("PATCH", f"/{recipe['uid']}", body, 403, key=key).json()["detail"].count("confirm recipe.tenant")
    )
    if confirm:
        answer = desk.refused("POST", "", who(**body), 403, key=key)
        assert "'confirm recipe.tenant'" in answer.json()["detail"]
    assert "confirm recipe.tenant" in desk.refused(
        "POST", f"/{recipe['uid']}/claim-code", {}, 403, key=key
    ).json()["detail"]  # fmt: skip
    assert desk.api.post(RECIPES, key, who(confirmedOwnership=False)).status == 201
    operator = desk.api.key(desk.uid, "operator")
    assert desk.api.patch(f"{RECIPES}/{recipe['uid']}", operator, body).json()["confirmedOwnership"] is confirm


def test_device_may_neither_see_nor_change_recipes_with_its_token(desk: Desk) -> None:
    recipe = desk.recipe()
    token = desk.register(recipe)["token"]
    for method, path, body, permission in (
        ("GET", "", None, "read"), ("GET", f"/{recipe['uid']}", None, "read"), ("POST", "", who(), "create"),
        ("PATCH", f"/{recipe['uid']}", {"deviceName": "mine"}, "update"),
        ("DELETE", f"/{recipe['uid']}", None, "delete"),
        ("GET", f"/{recipe['uid']}/attempts", None, "read"),
    ):  # fmt: skip
        answer = desk.refused(method, path, body, 403, key=token)
        assert f"'{permission} recipe.tenant'" in answer.json()["detail"]


# -- history --------------------------------------------------------------------------------------------------------


def test_events_of_a_recipe_and_of_its_device_are_their_history(desk: Desk) -> None:
    desk.recipe()
    recipe = desk.recipe(deviceName="Lobby", claimCode="KEEP-2345-WXYZ")
    desk.register(recipe)
    device = desk.register(recipe, claimCode="KEEP-2345-WXYZ")["deviceIdentityHash"]
    assert desk.api.patch(f"{RECIPES}/{recipe['uid']}", desk.key, {"deviceName": "Foyer"}).status == 200
    assert desk.api.patch(f"/v1/devices/{device}", desk.key, {"name": "Foyer"}).status == 200
    assert desk.api.post(f"/v1/devices/{device}/deprovision", desk.key, None).status == 200
    assert desk.api.delete(f"{RECIPES}/{recipe['uid']}", desk.key).status == 204

    def history(uid: str) -> list[str]:
        return [event["type"].removeprefix("Device.") for event in desk.api.log(desk.uid, f"&relatedEntityId={uid}")]

    met = [
        "Verification.DevicePaired", "Added", "ProvisioningRecipeStatusUpdated", "ProvisioningRecipeUpdated",
        "Updated", "Verification.DeviceUnpaired", "Removed", "ProvisioningRecipeDeleted",
    ]  # fmt: skip
    assert history(recipe["uid"]) == ["ProvisioningRecipeCreated", "ProvisioningRecipeUpdated", *met]
    assert history(device) == met
