"""Webhooks as Seam's clients make and see them are endpoints that get events of Seam's shape and nothing else."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import pytest

from heliograph.dialects.seam.events import FLAT_TYPES
from tests.dialects.house import House, faults, hyphenated, seam

if TYPE_CHECKING:
    from tests.http.inprocess import Answer, Api

URL = "https://hooks.example.com/seam"
CREATED, REMOVED = "access_code.unmanaged.created", "access_code.unmanaged.removed"
UNKNOWN = "0197b3a4-10c2-7d3e-8f40-5162738495a6"


def made(house: House, **parameters: Any) -> Any:
    """Create a webhook, and return how it is shown."""
    answer = house.post("/webhooks/create", **{"url": URL} | parameters)
    assert answer.status == 200, answer
    return answer.json()["webhook"]


def native(house: House, webhook: Any) -> Any:
    """Return the endpoint behind a webhook."""
    answer = house.api.get(f"/v1/endpoints/{webhook['webhook_id']}", house.key)
    assert answer.status == 200, answer
    return answer.json()


def sent_to(house: House, webhook: Any) -> list[str]:
    """Return the types of what is on its way to a webhook, oldest first."""
    found = house.api.get(f"/v1/deliveries?endpointUid={webhook['webhook_id']}&limit=1000", house.key).json()["data"]
    events = [house.api.get(f"/v1/events/{one['eventId']}", house.key).json() for one in reversed(found)]
    return [event["type"] for event in events]


def told(answer: Answer) -> tuple[int, str]:
    return answer.status, answer.json()["error"]["type"]


# -- what it is -----------------------------------------------------------------------------------------------------


def test_webhook_is_an_endpoint_with_seams_headers_and_schedule(house: House) -> None:
    webhook = made(house)
    assert webhook == {
        "webhook_id": webhook["webhook_id"], "url": URL, "event_types": ["*"], "secret": webhook["secret"],
    }  # fmt: skip
    assert len(base64.b64decode(webhook["secret"].removeprefix("whsec_"))) == 32
    endpoint = native(house, webhook)
    expected = {
        "url": URL, "state": "active", "eventTypes": ["*"], "families": ["flat"], "format": "wire",
        "headerFamily": "svix", "retrySchedule": [0, 5, 300, 1800, 7200, 18000, 36000, 36000],
    }  # fmt: skip
    assert {name: endpoint[name] for name in expected} == expected


def test_secret_is_shown_when_it_is_made_and_never_again(house: House) -> None:
    """Seam repeats it; here it is sealed, and whoever may read endpoints need not be able to forge deliveries."""
    webhook = made(house)
    for answer in (
        *(ask("/webhooks/get", webhook_id=webhook["webhook_id"]) for ask in (house.get, house.post)),
        *(ask("/webhooks/list") for ask in (house.get, house.post)),
    ):
        assert answer.status == 200
        assert b"secret" not in answer.body
        assert webhook["secret"].encode() not in answer.body


def test_webhooks_are_listed_shown_changed_and_deleted(house: House) -> None:
    first, second = made(house), made(house, url="https://other.example/", event_types=[CREATED, REMOVED, CREATED])
    assert second["event_types"] == [CREATED, REMOVED]
    without_secret = [{name: hook[name] for name in hook if name != "secret"} for hook in (first, second)]
    for ask in (house.get, house.post):
        assert ask("/webhooks/list").json()["webhooks"] == without_secret
        assert ask("/webhooks/get", webhook_id=second["webhook_id"]).json()["webhook"] == without_secret[1]
    for method, types in (("PUT", [REMOVED]), ("POST", ["*"])):
        given = {"webhook_id": second["webhook_id"], "event_types": types}
        answer = seam(house.api, method, "/webhooks/update", house.key, given)
        assert answer.json() == {"ok": True}
        assert native(house, second)["eventTypes"] == types
    for method, webhook in (("DELETE", first), ("POST", second)):
        given = {"webhook_id": webhook["webhook_id"]}
        answer = seam(house.api, method, "/webhooks/delete", house.key, given)
        assert answer.json() == {"ok": True}
        assert told(house.get("/webhooks/get", **given)) == (404, "webhook_not_found")
    assert house.get("/webhooks/list").json()["webhooks"] == []


# -- what it gets ---------------------------------------------------------------------------------------------------


def test_webhook_for_everything_gets_all_that_has_seams_shape_and_nothing_else(house: House) -> None:
    webhook = made(house)
    house.publish(type="access_code.of_our_own", payload={"event_id": "forged", "event_type": CREATED})
    house.publish(eventCode=10001)
    made(house)  # an event about an endpoint
    house.report(house.locks[0], "4711")
    assert sent_to(house, webhook) == [REMOVED]
    assert REMOVED in FLAT_TYPES


def test_webhook_gets_the_types_that_it_was_made_for_until_they_are_changed(house: House) -> None:
    webhook = made(house, event_types=[CREATED])
    house.report(house.locks[0], "4711", "4715")
    assert sent_to(house, webhook) == [CREATED]
    given = {"webhook_id": webhook["webhook_id"], "event_types": [REMOVED]}
    assert seam(house.api, "PUT", "/webhooks/update", house.key, given).status == 200
    house.report(house.locks[0], "4711", "4716")
    assert sent_to(house, webhook) == [CREATED, REMOVED]


def test_endpoint_for_other_events_is_no_webhook(house: House) -> None:
    for settings in ({}, {"families": ["flat", "record"]}, {"families": ["flat"], "format": "record"},
                     {"families": ["flat"], "headerFamily": "sos"}):  # fmt: skip
        uid = house.api.made("/v1/endpoints", {"url": URL, **settings}, house.key)["uid"]
        for path, more in (("get", {}), ("update", {"event_types": ["*"]}), ("delete", {})):
            answer = house.post(f"/webhooks/{path}", webhook_id=hyphenated(uid), **more)
            assert told(answer) == (404, "webhook_not_found")
        assert house.api.get(f"/v1/endpoints/{uid}", house.key).status == 200
    assert house.get("/webhooks/list").json()["webhooks"] == []


@pytest.mark.parametrize("family", ["svix", "webhook", "both"])
def test_endpoint_of_the_native_api_for_flat_events_is_a_webhook(house: House, family: str) -> None:
    wish = {"url": URL, "eventTypes": ["access_code.*"], "families": ["flat"], "headerFamily": family}
    uid = house.api.made("/v1/endpoints", wish, house.key)["uid"]
    (webhook,) = house.get("/webhooks/list").json()["webhooks"]
    assert (webhook["webhook_id"], webhook["event_types"]) == (hyphenated(uid), ["access_code.*"])


# -- what is refused ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("type", ["access_code.*", "access_code.unmanaged", "device.exploded", "Device.Removed", "**"])
def test_type_that_there_is_not_is_named(house: House, type: str) -> None:
    webhook = made(house)
    for path, given in (("create", {"url": URL}), ("update", {"webhook_id": webhook["webhook_id"]})):
        answer = house.post(f"/webhooks/{path}", event_types=[CREATED, type], **given)
        assert told(answer) == (400, "invalid_event_types")
        assert repr(type) in answer.json()["error"]["message"]
        assert "1" in answer.json()["error"]["validation_errors"]["event_types"]
    assert len(house.get("/webhooks/list").json()["webhooks"]) == 1


@pytest.mark.parametrize(
    "url",
    ["", "hooks.example.com", "ftp://hooks.example.com/", "https://user:secret@hooks.example.com/", "https://", 7],
)
def test_url_that_cannot_be_used_is_refused(house: House, url: Any) -> None:
    answer = house.post("/webhooks/create", url=url)
    assert told(answer) == (400, "invalid_input")
    assert faults(answer)["url"]


def test_nothing_is_changed_by_half_a_request(house: House) -> None:
    webhook = made(house)
    named, types = {"webhook_id": webhook["webhook_id"]}, {"event_types": ["*"]}
    for path, given, missing in (
        ("create", {}, "url"), ("get", {}, "webhook_id"), ("delete", {}, "webhook_id"),
        ("update", named, "event_types"), ("update", types, "webhook_id"),
    ):  # fmt: skip
        answer = house.post(f"/webhooks/{path}", **given)
        assert told(answer) == (400, "invalid_input")
        assert faults(answer)[missing] == ["Required."]
    for path in ("create", "update"):
        given = {"url": URL, "webhook_id": webhook["webhook_id"], "event_types": []}
        assert told(house.post(f"/webhooks/{path}", **given)) == (400, "invalid_input")
    assert native(house, webhook)["eventTypes"] == ["*"]


@pytest.mark.parametrize(("path", "more"), [("get", {}), ("update", {"event_types": ["*"]}), ("delete", {})])
def test_unknown_webhook_is_not_found(house: House, path: str, more: dict[str, Any]) -> None:
    assert told(house.post(f"/webhooks/{path}", webhook_id=UNKNOWN, **more)) == (404, "webhook_not_found")


def test_url_cannot_be_changed(house: House) -> None:
    """As with Seam, which ignores what it does not know."""
    webhook = made(house)
    given = {"webhook_id": webhook["webhook_id"], "event_types": ["*"], "url": "https://other.example/"}
    assert seam(house.api, "PUT", "/webhooks/update", house.key, given).status == 200
    assert native(house, webhook)["url"] == URL


def test_webhook_of_a_company_gets_the_events_of_its_organizations(api: Api) -> None:
    house = House.build(api)
    company = next(
        tenant["uid"]
        for tenant in api.get("/v1/tenants?limit=1000", api.root).json()["data"]
        if not tenant["parentUid"]
    )
    answer = seam(api, "POST", "/webhooks/create", api.root, {"url": URL}, (("seam-workspace", hyphenated(company)),))
    assert answer.status == 200, answer
    house.report(house.locks[0], "4711")
    uid = answer.json()["webhook"]["webhook_id"]
    listed = api.get(f"/v1/deliveries?tenantUid={house.tenant}&endpointUid={uid}", api.root).json()["data"]
    assert [one["tenantUid"] for one in listed] == [house.tenant]
    gone = seam(
        api, "POST", "/webhooks/delete", api.root, {"webhook_id": uid}, (("seam-workspace", hyphenated(company)),)
    )
    assert gone.status == 200
