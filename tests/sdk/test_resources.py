"""Devices, connected accounts and the workspace, as Seam's SDKs list, filter and show them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.sdk.site import ACCOUNT_METADATA, DEVICE_METADATA, as_id

if TYPE_CHECKING:
    from tests.sdk.sdks import Sdk
    from tests.sdk.site import Site


def ids(devices: list[dict[str, Any]]) -> list[str]:
    return [device["device_id"] for device in devices]


@pytest.fixture
def locks(site: Site) -> list[str]:
    """The site's first lock, and more of them: two of another account."""
    harbour = [site.lock, site.new_lock(name="Room 13", customMetadata={"floor": "1"}), site.new_lock(name="Room 14")]
    mill = site.new_account(name="Old Mill", provider="igloohome", customMetadata={"region": "south"})
    others = [site.new_lock(name=name, connectedAccountUid=mill, brand="igloohome") for name in ("Gate", "Barn")]
    return [as_id(lock) for lock in (*harbour, *others)]


def test_workspace_is_the_organization_of_the_key(sdk: Sdk, site: Site) -> None:
    workspace = sdk.call("workspaces.get")
    assert workspace["workspace_id"] == as_id(site.uid)
    assert workspace["name"].startswith("site-")


def test_device_is_shown_as_seam_shows_one(sdk: Sdk, site: Site) -> None:
    (device,) = sdk.call("devices.list")
    if sdk.kind.typed:
        assert sdk.types == ["Device"]
    assert device["device_id"] == as_id(site.lock)
    assert device["workspace_id"] == as_id(site.uid)
    assert device["connected_account_id"] == as_id(site.account)
    assert device["display_name"] == "Room 12"
    assert device["custom_metadata"] == DEVICE_METADATA
    assert device["is_managed"] is True
    assert (device["errors"], device["warnings"]) == ([], [])
    assert device["can_program_online_access_codes"] is True
    assert sdk.call("devices.get", device_id=device["device_id"]) == device
    assert sdk.call("devices.get", name="Room 12") == device


def test_devices_are_filtered_by_what_they_are(sdk: Sdk, site: Site, locks: list[str]) -> None:
    assert ids(sdk.call("devices.list")) == locks
    assert ids(sdk.call("devices.list", device_ids=[locks[0], locks[3]])) == [locks[0], locks[3]]
    assert ids(sdk.call("devices.list", connected_account_id=as_id(site.account))) == locks[:3]
    assert ids(sdk.call("devices.list", connected_account_id=as_id(site.account), device_ids=locks[2:])) == [locks[2]]
    assert ids(sdk.call("devices.list", custom_metadata_has={"floor": "1"})) == [locks[1]]
    assert ids(sdk.call("devices.list", custom_metadata_has=DEVICE_METADATA)) == [locks[0], *locks[2:]]
    assert ids(sdk.call("devices.list", created_before="2020-01-01T00:00:00Z")) == []


def test_empty_list_of_values_lets_nothing_pass(sdk: Sdk, locks: list[str]) -> None:
    assert sdk.call("devices.list", device_ids=[]) == []
    assert sdk.call("devices.list", device_types=[]) == []


def test_accounts_are_listed_filtered_and_shown(sdk: Sdk, site: Site, locks: list[str]) -> None:
    first, second = sdk.call("connected_accounts.list")
    if sdk.kind.typed:
        assert sdk.types == ["ConnectedAccount", "ConnectedAccount"]
    assert (first["connected_account_id"], first["custom_metadata"]) == (as_id(site.account), ACCOUNT_METADATA)
    assert (first["errors"], first["warnings"]) == ([], [])
    assert sdk.call("connected_accounts.list", custom_metadata_has={"region": "south"}) == [second]
    assert sdk.call("connected_accounts.list", custom_metadata_has={"paid": True}) == [first]
    assert sdk.call("connected_accounts.get", connected_account_id=second["connected_account_id"]) == second


def test_lost_connection_is_an_error_of_the_account_and_an_event(sdk: Sdk, site: Site) -> None:
    site.disconnect("The password was changed.")
    account = sdk.call("connected_accounts.get", connected_account_id=as_id(site.account))
    (error,) = account["errors"]
    assert (error["error_code"], error["message"]) == ("account_disconnected", "The password was changed.")
    (error,) = sdk.call("devices.get", device_id=as_id(site.lock))["errors"]
    assert (error["error_code"], error["is_device_error"]) == ("account_disconnected", False)
    (event,) = sdk.call("events.list", since="2020-01-01T00:00:00Z", event_type="connected_account.disconnected")
    assert [error["error_code"] for error in event["connected_account_errors"]] == ["account_disconnected"]


def test_pages_hold_everything_once_and_in_order(sdk: Sdk, locks: list[str]) -> None:
    if sdk.kind.pages:
        assert ids(sdk.pages("devices.list", limit=2)) == locks
        assert sdk.pages("devices.list", limit=2) == sdk.call("devices.list")
        assert len(sdk.pages("connected_accounts.list", limit=1)) == 2
    assert ids(sdk.call("devices.list", limit=2)) == locks[:2]


def test_cursor_fits_the_parameters_that_it_came_with(sdk: Sdk, site: Site, locks: list[str]) -> None:
    raw = site.server.request("GET", "/seam/devices/list", key=site.key, query={"limit": 2})
    cursor = raw.json["pagination"]["next_page_cursor"]
    assert ids(sdk.call("devices.list", limit=2, page_cursor=cursor)) == locks[2:4]
    assert sdk.refused("devices.list", limit=3, page_cursor=cursor).code == "mismatched_page_parameters"
    assert sdk.refused("connected_accounts.list", limit=2, page_cursor=cursor).code == "mismatched_page_parameters"
    assert sdk.refused("devices.list", page_cursor="nonsense").code == "invalid_input"
