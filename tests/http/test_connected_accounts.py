"""Connected accounts over HTTP: what goes in comes out, exact events tell it, and bad input is named by its place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from heliograph.ids import as_uuid, new_uid
from tests.custom_metadata import LONGEST_METADATA, WRONG_METADATA
from tests.http.test_devices import DEVICES, Shop, who

if TYPE_CHECKING:
    from tests.http.inprocess import Answer, Api

ACCOUNTS = "/v1/connected-accounts"
NOBODY = new_uid().hex()


class Agency(Shop):
    """An organization with an owner's key, and its connected accounts."""

    def connected(self, **more: Any) -> dict[str, Any]:
        body = {"name": "Harbour Hotel", "provider": "august"} | more
        made: dict[str, Any] = self.api.made(ACCOUNTS, body, self.key)
        return made

    def account(self, uid: str) -> Answer:
        return self.api.get(f"{ACCOUNTS}/{uid}", self.key)

    def change(self, uid: str, body: Any, **more: Any) -> Answer:
        return self.api.patch(f"{ACCOUNTS}/{uid}", self.key, body, **more)

    def act(self, uid: str, action: str, body: Any = None, **more: Any) -> Answer:
        target = f"{ACCOUNTS}/{uid}/{action}"
        if body is None:
            return self.api.request("POST", target, self.key, **more)
        return self.api.post(target, self.key, body, **more)

    def listed(self, query: str) -> list[str]:
        answer = self.api.get(f"{ACCOUNTS}?{query}", self.key)
        assert answer.status == 200, answer
        return [account["name"] for account in answer.json()["data"]]

    def news(self) -> list[dict[str, Any]]:
        """Return the records of what the log says of accounts."""
        return self.api.log(self.uid, "&targetEntityType=ConnectedAccount")

    def refused(self, answer: Answer, status: int = 400) -> list[tuple[str, str]]:
        assert answer.status == status, answer
        return answer.faults()


@pytest.fixture
def agency(api: Api) -> Agency:
    return Agency(api)


# -- what works -----------------------------------------------------------------------------------------------------


def test_account_is_made_shown_changed_and_deleted(agency: Agency) -> None:
    metadata = {"region": "north", "guests": True, "note": ""}
    made = agency.connected(customMetadata=metadata)
    uid = made["uid"]
    assert made == {
        "uid": uid,
        "name": "Harbour Hotel",
        "provider": "august",
        "state": "connected",
        "customMetadata": metadata,
        "errors": [],
        "warnings": [],
        "createdAt": made["createdAt"],
        "updatedAt": made["createdAt"],
    }
    shown = agency.account(uid)
    assert (shown.json(), shown.headers["etag"]) == (made, '"v1"')
    warning = {"code": "any_code_at_all", "message": "Look at it."}
    changed = agency.change(uid, {"customMetadata": {}, "warnings": [warning]}, headers=[("if-match", '"v1"')])
    assert (changed.status, changed.headers["etag"]) == (200, '"v2"')
    now = changed.json()
    assert now["warnings"] == [warning | {"createdAt": now["updatedAt"]}]
    assert (now["customMetadata"], now["name"]) == ({}, "Harbour Hotel")
    assert agency.account(uid).json() == now
    assert agency.api.delete(f"{ACCOUNTS}/{uid}", agency.key, headers=[("if-match", '"v2"')]).status == 204
    assert agency.account(uid).status == 404
    assert agency.listed("") == []


def test_account_without_metadata_has_an_empty_object(agency: Agency) -> None:
    assert agency.connected()["customMetadata"] == {}


def test_life_of_an_account_is_told_in_bodies_as_documented(agency: Agency) -> None:
    uid = agency.connected(customMetadata={"region": "north"})["uid"]
    lost = agency.act(uid, "disconnect", {"errorCode": "salto_ks_subscription_limit_exceeded", "message": "Full."})
    assert (lost.status, lost.json()["state"], lost.headers["etag"]) == (200, "disconnected", '"v2"')
    assert agency.act(uid, "reconnect").json()["state"] == "connected"
    agency.api.delete(f"{ACCOUNTS}/{uid}", agency.key)
    news = agency.news()
    assert [(record["type"], record["eventCode"], record["criticality"]) for record in news] == [
        ("connected_account.connected", 3200, 4), ("connected_account.disconnected", 3201, 2),
        ("connected_account.connected", 3200, 4), ("connected_account.deleted", 3202, 3),
    ]  # fmt: skip
    for record in news:
        assert (record["targetEntityId"], record["internal"], record["actor"]["kind"]) == (uid, True, "account")
        wire = agency.api.get(f"/v1/events/{record['id']}?format=wire", agency.key).json()
        at = f"{record['recordedAt'][:-4]}Z"
        body = {
            "connected_account_custom_metadata": {"region": "north"},
            "connected_account_id": as_uuid(bytes.fromhex(uid)),
            "created_at": at,
            "event_id": record["id"],
            "event_type": record["type"],
            "occurred_at": at,
            "workspace_id": as_uuid(bytes.fromhex(agency.uid)),
        }
        if record["type"] == "connected_account.disconnected":
            began = f"{lost.json()['errors'][0]['createdAt'][:-4]}Z"
            error = {"created_at": began, "error_code": "salto_ks_subscription_limit_exceeded", "message": "Full."}
            body |= {"connected_account_errors": [error], "connected_account_warnings": []}
        assert wire == body
        assert list(wire) == sorted(wire)


@pytest.mark.parametrize("body", [None, {}])
def test_disconnection_needs_no_reason(agency: Agency, body: Any) -> None:
    uid = agency.connected()["uid"]
    gone = agency.act(uid, "disconnect", body).json()
    assert (gone["state"], [error["code"] for error in gone["errors"]]) == ("disconnected", ["account_disconnected"])
    assert agency.act(uid, "disconnect", {"errorCode": "other"}).json() == gone
    assert len(agency.news()) == 2


def test_creation_that_is_repeated_under_its_key_happens_once(agency: Agency) -> None:
    body = {"name": "n", "provider": "august"}
    first, again = (
        agency.api.post(ACCOUNTS, agency.key, body, headers=[("idempotency-key", "once")]) for _ in range(2)
    )
    assert (first.status, again.status, first.body) == (201, 200, again.body)
    assert len(agency.news()) == 1


def test_list_is_filtered_and_goes_on_from_page_to_page(agency: Agency) -> None:
    for n in range(3):
        agency.connected(name=f"Lobby {n}")
        uid = agency.connected(name=f"Bar {n}", provider="yale")["uid"]
        agency.act(uid, "disconnect")
    assert agency.listed("state=disconnected") == ["Bar 0", "Bar 1", "Bar 2"]
    assert agency.listed("provider=august&provider=salto_ks") == ["Lobby 0", "Lobby 1", "Lobby 2"]
    assert agency.listed("namePrefix=LOBBY%20&state=connected") == ["Lobby 0", "Lobby 1", "Lobby 2"]
    assert agency.listed("provider=august&state=disconnected") == []
    target = f"{ACCOUNTS}?provider=yale&limit=2"
    first = agency.api.get(target, agency.key).json()
    second = agency.api.get(f"{target}&cursor={first['nextCursor']}", agency.key).json()
    assert [one["name"] for one in first["data"] + second["data"]] == ["Bar 0", "Bar 1", "Bar 2"]
    assert second["nextCursor"] is None
    foreign = agency.api.get(f"{ACCOUNTS}?provider=august&limit=2&cursor={first['nextCursor']}", agency.key)
    assert [pointer for pointer, _ in agency.refused(foreign)] == ["query/cursor"]


# -- devices --------------------------------------------------------------------------------------------------------


def test_device_is_given_an_account_found_by_it_and_loses_it(agency: Agency) -> None:
    uid = agency.connected()["uid"]
    hyphenated = as_uuid(bytes.fromhex(uid))
    device = agency.enrolled(connectedAccountUid=hyphenated)
    other = agency.enrolled()
    assert (device["connectedAccountUid"], other["connectedAccountUid"]) == (uid, None)
    query = f"?connectedAccountUid={NOBODY}&connectedAccountUid={hyphenated}"
    assert [each["uid"] for each in agency.get(query)["data"]] == [device["uid"]]
    assert agency.patch(other["uid"], {"connectedAccountUid": uid}).json()["connectedAccountUid"] == uid
    assert agency.patch(other["uid"], {"name": "stays"}).json()["connectedAccountUid"] == uid
    assert agency.patch(other["uid"], {"connectedAccountUid": None}).json()["connectedAccountUid"] is None
    assert agency.api.delete(f"{ACCOUNTS}/{uid}", agency.key).status == 204
    assert agency.get(f"/{device['uid']}")["connectedAccountUid"] is None
    changes = [body["changes"] for type, body in agency.told() if type == "Device.Updated"]
    given, taken = {"connectedAccountUid": {"to": uid}}, {"connectedAccountUid": {"from": uid}}
    assert changes == [given, {"name": {"to": "stays"}}, taken, taken]


def test_account_of_another_organization_is_for_a_device_as_unknown_as_any(api: Api) -> None:
    mine, theirs = Agency(api), Agency(api).connected()["uid"]
    device = mine.enrolled()["uid"]
    before = api.head(mine.uid)
    told = []
    for uid in (theirs, NOBODY):
        wish = {"connectedAccountUid": uid}
        for answer in (mine.post("", who(**wish)), mine.patch(device, wish)):
            assert mine.refused(answer) == [("/connectedAccountUid", "unknown-connected-account")]
            told.append((answer.json()["detail"], answer.json()["errors"]))
    assert all(each == told[0] for each in told)
    assert mine.refused(mine.patch(device, {"connectedAccountUid": "door"})) == [("/connectedAccountUid", "uid")]
    assert mine.refused(mine.api.get(f"{DEVICES}?connectedAccountUid=1", mine.key)) == [
        ("query/connectedAccountUid", "uid")
    ]
    assert mine.get(f"?connectedAccountUid={theirs}")["data"] == []
    assert api.head(mine.uid) == before


# -- what is refused ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "value", "fault"),
    [
        ("name", "", ("/name", "minLength")),
        ("name", "n" * 256, ("/name", "maxLength")),
        ("name", "a\nb", ("/name", "pattern")),
        ("name", None, ("/name", "type")),
        ("provider", "", ("/provider", "minLength")),
        ("provider", "p" * 101, ("/provider", "maxLength")),
        ("provider", "two words", ("/provider", "pattern")),
        ("provider", "a\n", ("/provider", "pattern")),
        ("provider", 7, ("/provider", "type")),
        ("state", "disconnected", ("/state", "unknown-field")),
        ("errors", [], ("/errors", "unknown-field")),
    ],
)
def test_account_that_breaks_a_rule_is_not_made(agency: Agency, field: str, value: Any, fault: tuple[str, str]) -> None:
    before = agency.api.head(agency.uid)
    answer = agency.api.post(ACCOUNTS, agency.key, {"name": "n", "provider": "august"} | {field: value})
    assert fault in agency.refused(answer)
    assert agency.api.head(agency.uid) == before
    assert agency.listed("") == []


@pytest.mark.parametrize(("metadata", "fault"), WRONG_METADATA)
def test_metadata_that_breaks_a_rule_is_refused(agency: Agency, metadata: Any, fault: tuple[str, str]) -> None:
    uid = agency.connected(customMetadata=LONGEST_METADATA)["uid"]
    before = agency.api.head(agency.uid)
    body = {"name": "n", "provider": "august", "customMetadata": metadata}
    assert agency.refused(agency.api.post(ACCOUNTS, agency.key, body)) == [fault]
    assert agency.refused(agency.change(uid, {"customMetadata": metadata})) == [fault]
    assert agency.account(uid).json()["customMetadata"] == LONGEST_METADATA
    assert agency.api.head(agency.uid) == before


@pytest.mark.parametrize("place", ["errors", "warnings"])
@pytest.mark.parametrize(
    ("value", "pointer", "rule"),
    [
        ([{"code": "", "message": "m"}], "/0/code", "minLength"),
        ([{"code": "c" * 101, "message": "m"}], "/0/code", "maxLength"),
        ([{"code": "c\n", "message": "m"}], "/0/code", "pattern"),
        ([{"code": "c", "message": "m" * 1001}], "/0/message", "maxLength"),
        ([{"code": "c", "message": 1}], "/0/message", "type"),
        ([{"code": "c"}], "/0/message", "required"),
        ([{"code": "c", "message": "m", "createdAt": "2026-01-01T00:00:00Z"}], "/0/createdAt", "unknown-field"),
        ([{"code": "c", "message": "m"}, {"code": "c", "message": "n"}], "/1/code", "unique"),
        ([{"code": str(n), "message": "m"} for n in range(101)], "", "maxItems"),
        ({}, "", "type"),
        (None, "", "type"),
    ],
)
def test_condition_that_breaks_a_rule_is_refused(
    agency: Agency, place: str, value: Any, pointer: str, rule: str
) -> None:
    uid = agency.connected()["uid"]
    assert (f"/{place}{pointer}", rule) in agency.refused(agency.change(uid, {place: value}))
    assert agency.account(uid).headers["etag"] == '"v1"'
    assert len(agency.news()) == 1


@pytest.mark.parametrize("field", ["provider", "state", "uid", "connect_webview_id"])
def test_what_does_not_change_is_refused_by_its_name(agency: Agency, field: str) -> None:
    uid = agency.connected()["uid"]
    assert agency.refused(agency.change(uid, {field: "x"})) == [(f"/{field}", "unknown-field")]


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ({"errorCode": ""}, ("/errorCode", "minLength")),
        ({"errorCode": "c" * 101}, ("/errorCode", "maxLength")),
        ({"errorCode": None}, ("/errorCode", "type")),
        ({"message": "m" * 1001}, ("/message", "maxLength")),
        ({"code": "x"}, ("/code", "unknown-field")),
        ([], ("", "type")),
    ],
)
def test_reason_that_breaks_a_rule_is_refused(agency: Agency, body: Any, fault: tuple[str, str]) -> None:
    uid = agency.connected()["uid"]
    assert fault in agency.refused(agency.act(uid, "disconnect", body))
    assert agency.account(uid).json()["state"] == "connected"


def test_change_of_another_version_is_refused(agency: Agency) -> None:
    uid = agency.connected()["uid"]
    for tag, status in (('"v2"', 412), ("v1", 400)):
        headers = [("if-match", tag)]
        answers = [
            agency.change(uid, {"name": "x"}, headers=headers),
            agency.act(uid, "disconnect", headers=headers),
            agency.act(uid, "reconnect", headers=headers),
            agency.api.delete(f"{ACCOUNTS}/{uid}", agency.key, headers=headers),
        ]
        assert [answer.status for answer in answers] == [status] * 4
    assert len(agency.news()) == 1


def test_another_organization_s_is_as_unknown_as_any(api: Api) -> None:
    mine, other = Agency(api), Agency(api)
    theirs = other.connected()["uid"]
    told = set()
    for uid in (theirs, NOBODY):
        for answer in (
            mine.account(uid),
            mine.change(uid, {"name": "mine"}),
            mine.act(uid, "disconnect"),
            mine.act(uid, "reconnect"),
            api.delete(f"{ACCOUNTS}/{uid}", mine.key),
        ):
            told.add((answer.status, answer.json()["detail"]))
    assert told == {(404, "There is no such connected account.")}
    assert (mine.listed(""), mine.news()) == ([], [])
    assert other.account(theirs).headers["etag"] == '"v1"'
    assert mine.refused(mine.account("lobby")) == [("path/uid", "uid")]


def test_company_has_none(api: Api) -> None:
    company = api.tenant(kind="company")
    target = f"{ACCOUNTS}?tenantUid={company}"
    assert api.post(target, api.root, {"name": "n", "provider": "august"}).status == 409
    assert api.get(target, api.root).json()["data"] == []


@pytest.mark.parametrize(
    ("query", "place"),
    [
        ("state=lost", "query/state"), ("state=", "query/state"), (f"namePrefix={'n' * 256}", "query/namePrefix"),
        ("namePrefix=a%00", "query/namePrefix"), ("namePrefix=a&namePrefix=b", "query/namePrefix"),
        ("provider=a%00", "query/provider"), ("limit=0", "query/limit"), ("name=a", "query/name"),
        ("cursor=abc", "query/cursor"),
    ],
)  # fmt: skip
def test_query_that_makes_no_sense_is_refused_by_name(agency: Agency, query: str, place: str) -> None:
    answer = agency.api.get(f"{ACCOUNTS}?{query}", agency.key)
    assert [pointer for pointer, _ in agency.refused(answer)] == [place]
