"""Devices, connected accounts and the workspace, as Seam's clients list and get them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest

from heliograph.ids import new_uid
from tests.dialects.premises import Premises, uuid

if TYPE_CHECKING:
    from tests.http.inprocess import Api

DEVICES = "/devices/list"
ACCOUNTS = "/connected_accounts/list"
UNKNOWN = uuid(new_uid().hex())


@pytest.fixture
def house(api: Api) -> Premises:
    return Premises(api)


def ids(house: Premises, path: str = DEVICES, **parameters: Any) -> list[str]:
    name = path.split("/")[1]
    return [one[f"{name[:-1]}_id"] for one in house.shown(path, name, **parameters)]


# -- devices --------------------------------------------------------------------------------------------------------


def test_lock_is_shown_with_every_field(house: Premises) -> None:
    place = house.api.made("/v1/locations", {"name": "Pier 3"}, house.key)["uid"]
    lock = house.lock(brand="Yale Home", model="Linus", serialNumber="L-0", name="Front Door", locationUid=place)
    house.tell(lock, session={"state": "online"}, battery={"level": 0.07})
    shown = house.shown("/devices/get", "device", device_id=uuid(lock))
    created_at = shown.pop("created_at")
    assert len(created_at) == len("2026-01-31T23:59:59.123Z")
    warning = shown.pop("warnings")[0]
    assert (warning["warning_code"], set(warning)) == ("battery_low", {"warning_code", "message", "created_at"})
    assert shown == {
        "device_id": uuid(lock),
        "workspace_id": uuid(house.uid),
        "connected_account_id": uuid(house.account),
        "device_type": "yale_home_lock",
        "display_name": "Front Door",
        "nickname": "Front Door",
        "capabilities_supported": ["access_code"],
        "can_program_online_access_codes": True,
        "can_program_offline_access_codes": False,
        "can_remotely_lock": False,
        "can_remotely_unlock": False,
        "properties": {
            "name": "Yale Home Linus",
            "online": True,
            "manufacturer": "yale_home",
            "model": {"display_name": "Linus", "manufacturer_display_name": "Yale Home Linus"},
            "appearance": {"name": "Yale Home Linus"},
            "serial_number": "L-0",
            "battery_level": 0.07,
            "battery": {"level": 0.07, "status": "critical"},
            "online_access_codes_enabled": True,
            "supports_offline_access_codes": False,
        },
        "location": {"location_name": "Pier 3"},
        "space_ids": [],
        "custom_metadata": {},
        "errors": [],
        "is_managed": True,
    }


@pytest.mark.parametrize(("percent", "status"), [(10, "critical"), (20, "low"), (21, "good"), (95, "full")])
def test_battery_is_told_in_words(house: Premises, percent: int, status: str) -> None:
    lock = house.lock()
    house.tell(lock, battery={"level": percent / 100})
    shown = house.shown("/devices/get", "device", device_id=uuid(lock))
    assert shown["properties"]["battery"] == {"level": percent / 100, "status": status}


def test_device_shows_that_it_is_offline_and_what_is_wrong_with_its_account(house: Premises) -> None:
    account = house.an_account()
    lock = house.lock(connectedAccountUid=account)
    house.tell(lock, session={"state": "offline"}, errors=[{"code": "hub_disconnected", "message": "No hub."}])
    house.api.patch(
        f"/v1/connected-accounts/{account}", house.key,
        {"errors": [{"code": "insufficient_permissions", "message": "No."}]},
    )  # fmt: skip
    shown = house.shown("/devices/get", "device", device_id=uuid(lock))
    assert shown["properties"]["online"] is False
    for error in shown["errors"]:
        error.pop("created_at")
        error.pop("message")
    assert shown["errors"] == [
        {"error_code": "hub_disconnected", "is_device_error": True},
        {"error_code": "device_offline", "is_device_error": True},
        {"error_code": "insufficient_permissions", "is_device_error": False, "is_connected_account_error": True},
    ]


def test_devices_are_found_by_every_filter(house: Premises) -> None:
    other = house.an_account()
    door = house.lock(name="Front Door", brand="August", customMetadata={"wing": "north", "spare": True})
    gate = house.lock(name="Gate", connectedAccountUid=other)
    screen = house.device(name="Lobby", brand="Samsung")
    everything = [uuid(door), uuid(gate), uuid(screen)]
    assert ids(house) == everything
    assert ids(house, device_ids=[uuid(gate), UNKNOWN]) == [uuid(gate)]
    assert ids(house, connected_account_id=uuid(other)) == [uuid(gate)]
    assert ids(house, connected_account_ids=[uuid(other), uuid(house.account)]) == everything[:2]
    assert ids(house, device_type="yale_lock") == [uuid(gate)]
    assert ids(house, device_types=["august_lock", "samsung_device"]) == [uuid(door), uuid(screen)]
    assert ids(house, manufacturer="august") == [uuid(door)]
    assert ids(house, search="front") == [uuid(door)]
    assert ids(house, created_before="2000-01-01T00:00:00.000Z") == []
    for pair in ({"wing": "north"}, {"spare": True}, {"wing": "north", "spare": True}, {"wing": "north", "x": None}):
        assert [one["device_id"] for one in house.post(DEVICES, custom_metadata_has=pair).json()["devices"]] == [
            uuid(door)
        ]
    query = "custom_metadata_has.spare=true&custom_metadata_has.wing=north&_strict=true"
    assert house.call("GET", DEVICES, query=query).json()["devices"][0]["device_id"] == uuid(door)


def test_no_device_passes_an_empty_array(house: Premises) -> None:
    house.lock()
    assert house.call("GET", DEVICES, query="device_ids=&_strict=true").json()["devices"] == []
    assert house.post(DEVICES, connected_account_ids=[]).json()["devices"] == []
    assert house.post(DEVICES, device_id=[], device_types=[]).json()["devices"] == []


@pytest.mark.parametrize("wanted", [{"space_id": "s"}, {"include_if": ["x"]}, {"limit": 0}, {"limit": 10_001}])
def test_filter_that_would_have_no_effect_is_refused(house: Premises, wanted: dict[str, Any]) -> None:
    assert house.refused(DEVICES, **wanted) == (400, "invalid_input")


def test_device_is_got_by_its_name_whatever_the_case(house: Premises) -> None:
    door, _ = house.lock(name="Front Door"), house.lock(name="Front Door 2")
    assert house.shown("/devices/get", "device", name="front door")["device_id"] == uuid(door)
    assert house.refused("/devices/get", name="front") == (404, "device_not_found")


def test_device_that_left_is_no_more(house: Premises) -> None:
    lock = house.lock()
    assert house.api.post(f"/v1/devices/{lock}/deprovision", house.key, {}).status == 200
    assert ids(house) == []
    assert house.refused("/devices/get", device_id=uuid(lock)) == (404, "device_not_found")


def test_another_workspace_s_is_as_unknown_as_any(house: Premises) -> None:
    other = Premises(house.api)
    lock = other.lock(name="Theirs")
    assert ids(house) == []
    assert ids(house, device_ids=[uuid(lock)]) == []
    assert ids(house, ACCOUNTS) == [uuid(house.account)]
    for path, name, foreign in (
        ("/devices/get", "device", lock),
        ("/connected_accounts/get", "connected_account", other.account),
    ):
        refusals = [house.post(path, **{f"{name}_id": uid}).json()["error"] for uid in (uuid(foreign), UNKNOWN)]
        for refusal in refusals:
            refusal.pop("request_id")
        assert refusals[0] == refusals[1]
        assert refusals[0]["type"] == f"{name}_not_found"


@pytest.mark.parametrize("wanted", [{}, {"device_id": "no uuid"}, {"device_id": 7}, {"name": ["a"]}])
def test_device_must_be_named_rightly(house: Premises, wanted: dict[str, Any]) -> None:
    assert house.refused("/devices/get", **wanted) == (400, "invalid_input")


# -- pages ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("more", [{}, {"search": "door"}])
def test_pages_are_turned_by_cursor_and_by_url_and_end_when_nothing_follows(
    house: Premises, more: dict[str, Any]
) -> None:
    made = [uuid(house.lock(name=f"Door {number}")) for number in range(5)]
    house.lock(name="Gate")
    if not more:
        made.append(ids(house)[-1])
    seen: list[str] = []
    pagination: dict[str, Any] = {"has_next_page": True, "next_page_cursor": None}
    while pagination["has_next_page"]:
        cursor = pagination["next_page_cursor"]
        answer = house.post(DEVICES, limit=2, page_cursor=cursor, **more).json()
        if cursor is not None:
            parts = urlsplit(pagination["next_page_url"])
            assert (parts.scheme, parts.netloc, parts.path) == ("http", "localhost:8080", "/seam/devices/list")
            assert parse_qs(parts.query)["page_cursor"] == [cursor]
            assert house.call("GET", DEVICES, query=parts.query).json() == answer
        assert 0 < len(answer["devices"]) <= 2
        seen += [device["device_id"] for device in answer["devices"]]
        pagination = answer["pagination"]
    assert seen == made
    assert (pagination["next_page_cursor"], pagination["next_page_url"]) == (None, None)


def test_page_fits_only_the_parameters_that_it_came_with(house: Premises) -> None:
    house.lock(), house.lock()
    cursor = house.post(DEVICES, limit=1).json()["pagination"]["next_page_cursor"]
    mismatch = (400, "mismatched_page_parameters")
    assert house.post(DEVICES, limit=1, page_cursor=cursor).status == 200
    assert house.refused(DEVICES, limit=2, page_cursor=cursor) == mismatch
    assert house.refused(DEVICES, limit=1, search="door", page_cursor=cursor) == mismatch
    assert Premises(house.api).refused(DEVICES, limit=1, page_cursor=cursor) == mismatch
    assert house.refused(DEVICES, limit=1, page_cursor="rubbish") == (400, "invalid_input")


# -- accounts and the workspace -------------------------------------------------------------------------------------


def test_account_is_shown_with_every_field(house: Premises) -> None:
    answer = house.api.post(f"/v1/connected-accounts/{house.account}/disconnect", house.key, {})
    assert answer.status == 200, answer
    shown = house.shown("/connected_accounts/get", "connected_account", connected_account_id=uuid(house.account))
    assert len(shown.pop("created_at")) == len(shown["errors"][0].pop("created_at")) == 24
    assert shown == {
        "connected_account_id": uuid(house.account),
        "account_type": "august",
        "account_type_display_name": "August",
        "display_name": "Harbour Hotel",
        "user_identifier": {},
        "automatically_manage_new_devices": True,
        "accepted_capabilities": ["lock"],
        "custom_metadata": {"region": "north"},
        "errors": [
            {
                "error_code": "account_disconnected",
                "message": "The account is disconnected.",
                "is_connected_account_error": True,
            }
        ],
        "warnings": [],
    }


def test_accounts_are_found_by_metadata_and_text(house: Premises) -> None:
    south = uuid(house.an_account(name="Hill Hotel", customMetadata={"region": "south"}))
    assert ids(house, ACCOUNTS) == [uuid(house.account), south]
    assert ids(house, ACCOUNTS, search="hill") == [south]
    found = house.post(ACCOUNTS, custom_metadata_has={"region": "south"}).json()["connected_accounts"]
    assert [account["connected_account_id"] for account in found] == [south]
    found = house.post(ACCOUNTS, custom_metadata_has={"region": ""}).json()["connected_accounts"]
    assert len(found) == 2


def test_e_mail_addresses_are_not_known(house: Premises) -> None:
    wanted = {"connected_account_id": uuid(house.account), "email": "a@b.example"}
    assert house.refused("/connected_accounts/get", **wanted) == (400, "invalid_input")


def test_workspace_is_the_key_s_own(house: Premises) -> None:
    shown = house.shown("/workspaces/get", "workspace")
    name = house.api.get(f"/v1/tenants/{house.uid}", house.key).json()["name"]
    assert (shown["workspace_id"], shown["name"], shown["company_name"]) == (uuid(house.uid), name, name)
    assert (shown["is_sandbox"], shown["is_suspended"], shown["connect_partner_name"]) == (False, False, None)


@pytest.mark.parametrize("path", ["/devices/list", "/connected_accounts/list", "/workspaces/get"])
def test_key_without_the_permission_is_told_which_one_is_missing(house: Premises, path: str) -> None:
    answer = house.get(path, house.limited("report access_code.tenant"))
    assert answer.status == 403
    assert "read " in answer.json()["error"]["message"]
