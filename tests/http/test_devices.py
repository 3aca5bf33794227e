"""`/v1/devices`: what callers can do with devices, what they are refused, and what none of them may learn."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

from heliograph.ids import new_uid
from tests.custom_metadata import LONGEST_METADATA, WRONG_METADATA

if TYPE_CHECKING:
    from tests.http.inprocess import Answer, Api

DEVICES = "/v1/devices"
NOBODY = new_uid().hex()
_NUMBERS = count(1)


def who(**more: Any) -> dict[str, Any]:
    """Return a device that nobody else is."""
    number = next(_NUMBERS)
    mac = f"{number:012X}"
    identity = {
        "brand": "Samsung",
        "serialNumber": f"SN-{number}",
        "macAddress": ":".join(mac[n : n + 2] for n in range(0, 12, 2)),
    }
    return identity | more


class Shop:
    """An organization with an owner's key, and what it makes."""

    def __init__(self, api: Api, company: str | None = None) -> None:
        self.api = api
        self.uid = api.tenant(company)
        self.key = api.key(self.uid, "owner")

    def enrolled(self, **more: Any) -> dict[str, Any]:
        made: dict[str, Any] = self.api.made(DEVICES, who(**more), self.key)
        return made

    def post(self, path: str, body: Any, **more: Any) -> Answer:
        return self.api.post(f"{DEVICES}{path}", self.key, body, **more)

    def patch(self, uid: str, body: Any, **more: Any) -> Answer:
        return self.api.patch(f"{DEVICES}/{uid}", self.key, body, **more)

    def get(self, path: str) -> Any:
        answer = self.api.get(f"{DEVICES}{path}", self.key)
        assert answer.status == 200, answer
        return answer.json()

    def reference(self, kind: str) -> str:
        plural = {"tag": "tags", "policy": "policies", "location": "locations"}[kind]
        body = {"name": f"{kind} {next(_NUMBERS)}"}
        return str(self.api.made(f"/v1/{plural}", body, self.key)["uid"])

    def told(self) -> list[tuple[str, Any]]:
        """Return type and payload of what the log says of devices."""
        log = self.api.log(self.uid, "&targetEntityType=Device")
        return [(event["type"], event["payload"]) for event in log]


@pytest.fixture
def shop(api: Api) -> Shop:
    return Shop(api)


# -- what works -----------------------------------------------------------------------------------------------------


def test_device_is_answered_with_all_that_it_is_and_its_token_once(shop: Shop) -> None:
    tag = shop.reference("tag")
    body = who(
        model=" QM55C ", macAddress="001b-44ab-3AB7", name="Lobby", tagUids=[tag, tag], customMetadata={"floor": "1"}
    )
    made = shop.api.made(DEVICES, body, shop.key)
    token = made.pop("token")
    assert token
    assert made == {
        "uid": made["uid"],
        "deviceIdentityHash": made["uid"],
        "organizationUid": shop.uid,
        "state": "enrolled",
        "brand": "Samsung",
        "model": "QM55C",
        "serialNumber": body["serialNumber"],
        "macAddress": "00:1B:44:AB:3A:B7",
        "name": "Lobby",
        "tagUids": [tag],
        "policyUid": None,
        "locationUid": None,
        "connectedAccountUid": None,
        "customMetadata": {"floor": "1"},
        "connected": False,
        "connectedAt": None,
        "lastSeenAt": None,
        "batteryLevel": None,
        "errors": [],
        "warnings": [],
        "recipeUid": None,
        "enrolledAt": made["createdAt"],
        "createdAt": made["createdAt"],
        "updatedAt": made["createdAt"],
    }
    assert shop.get(f"/{made['uid']}") == made
    assert shop.get("")["data"] == [made]


def test_repeat_of_an_enrolment_shows_the_device_again_but_not_its_token(shop: Shop) -> None:
    body, headers = who(), [("idempotency-key", "once")]
    first, second = (shop.post("", body, headers=headers) for _ in range(2))
    assert (first.status, second.status) == (201, 200)
    token = first.json()["token"]
    assert second.json() == first.json() | {"token": None}
    assert token is not None
    assert [type for type, _ in shop.told()] == ["Device.Added"]


def test_token_works_until_the_device_is_deprovisioned(shop: Shop) -> None:
    made = shop.enrolled()

    def report() -> int:
        return shop.api.post(f"{DEVICES}/{made['uid']}/reports", made["token"], {}).status

    assert report() == 200
    assert shop.get(f"/{made['uid']}")["lastSeenAt"] is not None
    answer = shop.post(f"/{made['uid']}/deprovision", None)
    assert (answer.status, answer.json()["state"]) == (200, "deprovisioned")
    assert report() == 401


def test_device_cannot_enrol_read_or_change_devices(shop: Shop) -> None:
    made = shop.enrolled()
    uid, token = made["uid"], made["token"]
    answers = [
        shop.api.get(f"{DEVICES}/{uid}", token),
        shop.api.get(DEVICES, token),
        shop.api.post(DEVICES, token, who()),
        shop.api.patch(f"{DEVICES}/{uid}", token, {"name": "x"}),
        shop.api.post(f"{DEVICES}/{uid}/deprovision", token, None),
        shop.api.delete(f"{DEVICES}/{uid}", token),
    ]
    assert {answer.status for answer in answers} == {403}


def test_patch_changes_what_it_names_and_null_removes(shop: Shop) -> None:
    policy = shop.reference("policy")
    made = shop.enrolled(name="Lobby", policyUid=policy, customMetadata={"floor": "1"})
    answer = shop.patch(made["uid"], {"name": "Bar", "policyUid": None}, headers=[("if-match", '"v1"')])
    assert (answer.status, answer.headers["etag"]) == (200, '"v2"')
    body = answer.json()
    assert (body["name"], body["policyUid"], body["customMetadata"]) == ("Bar", None, {"floor": "1"})
    assert shop.told()[-1] == (
        "Device.Updated",
        {
            "uid": made["uid"],
            "changes": {"name": {"from": "Lobby", "to": "Bar"}, "policyUid": {"from": policy}},
        },
    )


def test_deleted_device_is_gone_and_its_history_stays(shop: Shop) -> None:
    uid = shop.enrolled()["uid"]
    assert shop.api.delete(f"{DEVICES}/{uid}", shop.key).status == 204
    assert shop.api.get(f"{DEVICES}/{uid}", shop.key).status == 404
    assert [type for type, _ in shop.told()] == ["Device.Added", "Device.Removed"]


def test_events_name_the_account_that_acted(shop: Shop) -> None:
    uid = shop.enrolled()["uid"]
    shop.post(f"/{uid}/deprovision", None)
    log = shop.api.log(shop.uid, "&targetEntityType=Device")
    assert [event["actor"]["kind"] for event in log] == ["account", "account"]
    assert {event["targetEntityId"] for event in log} == {uid}


def test_history_of_a_device_is_found_by_the_related_entity(shop: Shop) -> None:
    first, second = shop.enrolled()["uid"], shop.enrolled()["uid"]
    shop.patch(first, {"name": "Lobby"})
    found = shop.api.log(shop.uid, f"&relatedEntityId={first}")
    assert [event["type"] for event in found] == ["Device.Added", "Device.Updated"]
    assert second not in {event["targetEntityId"] for event in found}


# -- moving ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def shops(api: Api) -> tuple[Shop, Shop, str]:
    """Two organizations of one company, and a key that owns both."""
    company = api.tenant(kind="company")
    here, there = Shop(api, company), Shop(api, company)
    return here, there, api.key(company, "owner")


def test_move_takes_the_device_and_gives_it_a_new_token(shops: tuple[Shop, Shop, str]) -> None:
    here, there, key = shops
    made = here.enrolled(name="Lobby")
    target = f"{DEVICES}/{made['uid']}/move?tenantUid={here.uid}"
    answer = here.api.post(target, key, {"tenantUid": there.uid})
    assert answer.status == 200, answer
    moved = answer.json()
    assert (moved["uid"], moved["organizationUid"], moved["state"]) == (made["uid"], there.uid, "enrolled")
    assert here.get(f"/{made['uid']}")["state"] == "deprovisioned"
    report = f"{DEVICES}/{made['uid']}/reports"
    assert [here.api.post(report, token, {}).status for token in (made["token"], moved["token"])] == [401, 200]
    assert [(type, payload.get("reason")) for type, payload in here.told()] == [
        ("Device.Added", None),
        ("Device.Removed", "moved"),
    ]
    assert there.told()[0][0] == "Device.Added"


def test_move_needs_the_right_on_both_sides(shops: tuple[Shop, Shop, str]) -> None:
    here, there, _ = shops
    api, uid = here.api, here.enrolled()["uid"]
    target = f"{DEVICES}/{uid}/move?tenantUid={here.uid}"
    only_here = api.post(target, here.key, {"tenantUid": there.uid})
    unknown = api.post(target, here.key, {"tenantUid": NOBODY})
    assert (only_here.status, unknown.status) == (404, 404)
    assert only_here.json()["detail"] == unknown.json()["detail"]
    company = api.get(f"/v1/tenants/{here.uid}", here.key).json()["parentUid"]
    grants = [
        {"grant": "owner", "tenantUid": here.uid},
        {"grant": "read device.tenant", "tenantUid": there.uid},
    ]
    body = {"name": "reader there", "accountUid": api.account(company, "owner"), "grants": grants}
    reader = api.made(f"/v1/keys?tenantUid={company}", body)["token"]
    visible = api.post(target, reader, {"tenantUid": there.uid})
    assert visible.status == 403
    assert "create device.tenant" in visible.json()["detail"]
    assert here.get(f"/{uid}")["state"] == "enrolled"


def test_move_to_a_company_or_a_malformed_tenant_is_refused(shops: tuple[Shop, Shop, str]) -> None:
    here, _, key = shops
    api, uid = here.api, here.enrolled()["uid"]
    target = f"{DEVICES}/{uid}/move?tenantUid={here.uid}"
    company = api.get(f"/v1/tenants/{here.uid}", key).json()["parentUid"]
    assert api.post(target, key, {"tenantUid": company}).status == 409
    assert api.post(target, key, {"tenantUid": here.uid}).status == 409
    malformed = api.post(target, key, {"tenantUid": "somewhere"})
    assert (malformed.status, malformed.faults()) == (400, [("/tenantUid", "uid")])


# -- lists ----------------------------------------------------------------------------------------------------------


def test_list_goes_on_where_the_page_ended(shop: Shop) -> None:
    uids = [shop.enrolled(name=f"Lobby {n}")["uid"] for n in range(5)]
    found: list[str] = []
    cursor = ""
    while True:
        page = shop.get(f"?limit=2&namePrefix=lobby{cursor}")
        found += [device["uid"] for device in page["data"]]
        if page["nextCursor"] is None:
            break
        cursor = f"&cursor={page['nextCursor']}"
    assert found == uids


def test_cursor_of_another_filter_is_refused(shop: Shop) -> None:
    for _ in range(2):
        shop.enrolled()
    cursor = shop.get("?limit=1&state=enrolled")["nextCursor"]
    answer = shop.api.get(f"{DEVICES}?limit=1&state=waiting&cursor={cursor}", shop.key)
    assert answer.status == 400


@pytest.mark.parametrize("prefix", ["001b44", "00:1b:44", "00-1B-4", "001b.44", "00%201b"])
def test_prefix_of_a_mac_address_is_understood_in_any_notation(shop: Shop, prefix: str) -> None:
    mac = f"00:1B:44:{next(_NUMBERS):06X}"
    wanted = shop.enrolled(macAddress=mac.replace(":", ""))["uid"]
    shop.enrolled()
    assert [device["uid"] for device in shop.get(f"?macAddressPrefix={prefix}")["data"]] == [wanted]


def test_filters_are_read_by_their_names(shop: Shop) -> None:
    top = shop.reference("tag")
    below = str(shop.api.made("/v1/tags", {"name": "below", "parentUid": top}, shop.key)["uid"])
    policy, location = shop.reference("policy"), shop.reference("location")
    wanted = shop.enrolled(
        brand="Philips", name="Äußerer Gang", tagUids=[below], policyUid=policy, locationUid=location,
        serialNumber=f"PH-{next(_NUMBERS)}",
    )["uid"]  # fmt: skip
    other = shop.enrolled()
    shop.api.post(f"{DEVICES}/{other['uid']}/reports", shop.key, {"session": {"state": "online", "sessionId": "boot"}})

    def found(query: str) -> list[str]:
        return [device["uid"] for device in shop.get(f"?{query}")["data"]]

    for query in (
        f"tagUid={below}", f"tagUid={top}&nestedTags=true", f"policyUid={policy}", f"locationUid={location}",
        f"locationUid={NOBODY}&locationUid={location}", "brand=PHILIPS", "namePrefix=%C3%A4USSER",
        "serialNumberPrefix=ph-", "connected=false", f"state=enrolled&state=waiting&brand=philips&tagUid={below}",
    ):  # fmt: skip
        assert found(query) == [wanted], query
    assert found("connected=true") == [other["uid"]]
    assert found(f"tagUid={top}") == []
    assert found(f"policyUid={policy}&connected=true") == []


@pytest.mark.parametrize(
    ("query", "place"),
    [
        ("state=lost", "query/state"),
        ("tagUid=door", "query/tagUid"),
        ("locationUid=1", "query/locationUid"),
        ("policyUid=1", "query/policyUid"),
        ("connected=yes", "query/connected"),
        ("macAddressPrefix=0G", "query/macAddressPrefix"),
        ("macAddressPrefix=00112233445566", "query/macAddressPrefix"),
        ("namePrefix=", "query/namePrefix"),
        ("namePrefix=a&namePrefix=b", "query/namePrefix"),
        ("name=a", "query/name"),
        ("limit=0", "query/limit"),
    ],
)
def test_query_that_makes_no_sense_is_refused_by_name(shop: Shop, query: str, place: str) -> None:
    answer = shop.api.get(f"{DEVICES}?{query}", shop.key)
    assert (answer.status, [pointer for pointer, _ in answer.faults()]) == (400, [place])


# -- what is refused ------------------------------------------------------------------------------------------------

OVER_LONG = "x" * 300


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"macAddress": "00:1B:44:11:3A"}, ("/macAddress", "mac-address")),
        ({"macAddress": "00:1B:44:11:3A:B7:00"}, ("/macAddress", "mac-address")),
        ({"macAddress": "00:1B:44:11:3A:GG"}, ("/macAddress", "mac-address")),
        ({"macAddress": "FF:FF:FF:FF:FF:FF"}, ("/macAddress", "mac-address")),
        ({"serialNumber": None, "macAddress": None}, ("", "identifier-required")),
        ({"serialNumber": "  ", "macAddress": ""}, ("", "identifier-required")),
        ({"brand": " "}, ("/brand", "required")),
        ({"brand": OVER_LONG}, ("/brand", "max-length")),
        ({"model": OVER_LONG}, ("/model", "max-length")),
        ({"serialNumber": OVER_LONG}, ("/serialNumber", "max-length")),
        ({"serialNumber": "SN\u00002"}, ("/serialNumber", "control-characters")),
        ({"model": "QM\t55"}, ("/model", "control-characters")),
        ({"tagUids": ["door"]}, ("/tagUids/0", "uid")),
        ({"policyUid": "door"}, ("/policyUid", "uid")),
        ({"tagUids": [NOBODY]}, ("/tagUids/0", "unknown-tag")),
        ({"policyUid": NOBODY}, ("/policyUid", "unknown-policy")),
        ({"locationUid": NOBODY}, ("/locationUid", "unknown-location")),
    ],
)
def test_device_that_breaks_a_rule_is_refused_by_place_and_rule(
    shop: Shop, change: dict[str, Any], fault: tuple[str, str]
) -> None:
    before = shop.api.head(shop.uid)
    answer = shop.post("", who(**change))
    assert (answer.status, answer.faults()) == (400, [fault])
    assert shop.api.head(shop.uid) == before
    assert shop.get("")["data"] == []


def test_unknown_tags_are_named_by_their_places_as_sent(shop: Shop) -> None:
    known, unknown = shop.reference("tag"), [new_uid().hex() for _ in range(2)]
    sent = [unknown[1], known, unknown[0], unknown[1]]
    faults = [("/tagUids/2", "unknown-tag"), ("/tagUids/0", "unknown-tag")]
    assert shop.post("", who(tagUids=sent)).faults() == faults
    made = shop.post("", who(tagUids=[known, known])).json()
    assert made["tagUids"] == [known]
    assert shop.patch(made["uid"], {"tagUids": sent}).faults() == faults


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"name": OVER_LONG}, "/name"),
        ({"name": "a\u0007b"}, "/name"),
        ({"metadata": {}}, "/metadata"),
        ({"tagUids": [NOBODY] * 101}, "/tagUids"),
        ({"colour": "red"}, "/colour"),
    ],
)
def test_name_tags_and_fields_out_of_bounds_are_refused_when_given_or_changed(
    shop: Shop, change: dict[str, Any], pointer: str
) -> None:
    refused = [shop.post("", who(**change)), shop.patch(shop.enrolled()["uid"], change)]
    assert [answer.status for answer in refused] == [400, 400]
    assert [[place for place, _ in answer.faults()] for answer in refused] == [[pointer], [pointer]]


@pytest.mark.parametrize(("metadata", "fault"), WRONG_METADATA)
def test_custom_metadata_that_breaks_a_rule_is_refused_when_given_or_changed(
    shop: Shop, metadata: Any, fault: tuple[str, str]
) -> None:
    made = shop.enrolled(customMetadata=LONGEST_METADATA)
    before = shop.api.head(shop.uid)
    change = {"customMetadata": metadata}
    refused = [shop.post("", who(**change)), shop.patch(made["uid"], change)]
    assert [(answer.status, answer.faults()) for answer in refused] == [(400, [fault])] * 2
    assert [device["customMetadata"] for device in shop.get("")["data"]] == [LONGEST_METADATA]
    assert shop.api.head(shop.uid) == before


@pytest.mark.parametrize("kind", ["tag", "policy", "location"])
def test_reference_of_another_organization_is_answered_as_one_that_does_not_exist(api: Api, kind: str) -> None:
    mine, other = Shop(api), Shop(api)
    device = mine.enrolled()["uid"]

    def wish(uid: str) -> dict[str, Any]:
        return {"tagUids": [uid]} if kind == "tag" else {f"{kind}Uid": uid}

    def refusal(answer: Answer, uid: str) -> Any:
        assert answer.status == 400
        return [{name: text.replace(uid, "...") for name, text in fault.items()} for fault in answer.json()["errors"]]

    foreign = other.reference(kind)
    told = [refusal(mine.post("", who(**wish(uid))), uid) for uid in (foreign, NOBODY)]
    told += [refusal(mine.patch(device, wish(uid)), uid) for uid in (foreign, NOBODY)]
    assert all(each == told[0] for each in told)


@pytest.mark.parametrize("shared", ["serialNumber", "macAddress"])
def test_identifier_that_is_enrolled_names_the_other_device_only_at_home(api: Api, shared: str) -> None:
    mine, other = Shop(api), Shop(api)
    first = mine.enrolled()
    twin = {shared: first[shared].lower()}
    at_home, elsewhere = mine.post("", who(**twin)), other.post("", who(**twin))
    assert (at_home.status, elsewhere.status) == (409, 409)
    assert first["uid"] in at_home.json()["detail"]
    assert first["uid"] not in elsewhere.body.decode()
    assert (len(mine.told()), other.told()) == (1, [])


def test_company_owns_no_devices(api: Api) -> None:
    company = api.tenant(kind="company")
    answer = api.post(f"{DEVICES}?tenantUid={company}", api.root, who())
    assert answer.status == 409
    assert api.get(f"{DEVICES}?tenantUid={company}", api.root).json()["data"] == []


@pytest.mark.parametrize("method", ["PATCH", "DELETE", "deprovision", "move"])
def test_change_of_another_version_is_refused(shop: Shop, method: str) -> None:
    uid = shop.enrolled()["uid"]
    body: Any = {"PATCH": {"name": "x"}, "move": {"tenantUid": shop.uid}}.get(method)
    verb, path = (method, f"{DEVICES}/{uid}") if method.isupper() else ("POST", f"{DEVICES}/{uid}/{method}")
    for tag, status in (('"v2"', 412), ("v1", 400)):
        assert shop.api.send(verb, path, shop.key, body, headers=[("if-match", tag)]).status == status
    assert len(shop.told()) == 1


def test_device_of_another_organization_is_not_there(api: Api) -> None:
    mine, other = Shop(api), Shop(api)
    uid = mine.enrolled()["uid"]
    path = f"{DEVICES}/{uid}"
    answers = [
        api.get(path, other.key),
        api.patch(path, other.key, {"name": "x"}),
        api.delete(path, other.key),
        api.post(f"{path}/deprovision", other.key, None),
        api.get(f"{DEVICES}/{NOBODY}", other.key),
    ]
    assert {(answer.status, answer.json()["detail"]) for answer in answers} == {(404, "There is no such device.")}
    assert api.get(f"{DEVICES}/door", other.key).faults() == [("path/uid", "uid")]
