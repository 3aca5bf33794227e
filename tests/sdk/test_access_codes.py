"""Codes on locks through Seam's SDKs: seen, taken over, changed and removed, while the test plays the connector."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.sdk.site import as_id

if TYPE_CHECKING:
    from tests.sdk.sdks import Sdk
    from tests.sdk.site import Site

CLEANING = {"externalId": "17", "code": "4711", "name": "Cleaning"}
GUEST = {
    "externalId": "18",
    "name": "Guest",
    "startsAt": "2026-03-02T14:00:00Z",
    "endsAt": "2026-03-05T10:00:00Z",
    "cannotBeManaged": True,
    "cannotDelete": True,
}
CONVERTED = "access_code.unmanaged.converted_to_managed"
FAILED = "access_code.unmanaged.failed_to_convert_to_managed"
REMOVED = "access_code.unmanaged.removed"
ARRAYS = [
    f"{place}_{kind}" for place in ("access_code", "device", "connected_account") for kind in ("errors", "warnings")
]


def ids(codes: list[dict[str, Any]]) -> list[str]:
    return [code["access_code_id"] for code in codes]


def history(sdk: Sdk, code: str) -> list[str]:
    """Return the types of the events of a code, oldest first."""
    events = sdk.call("events.list", since="2020-01-01T00:00:00Z", access_code_id=code)
    return [event["event_type"].removeprefix("access_code.") for event in events]


def last_event(sdk: Sdk, code: str) -> dict[str, Any]:
    event: dict[str, Any] = sdk.call("events.list", since="2020-01-01T00:00:00Z", access_code_ids=[code])[-1]
    return event


def causes(event: dict[str, Any]) -> dict[str, list[str]]:
    """Return the codes in each of the arrays that is not empty; all six must be there."""
    found = {name: [item.get("error_code") or item.get("warning_code") for item in event[name]] for name in ARRAYS}
    return {name: codes for name, codes in found.items() if codes}


@pytest.fixture
def code(site: Site) -> str:
    """The only code of the first lock, which can be taken over."""
    (code,) = site.holds(CLEANING)
    return code


@pytest.fixture
def managed(sdk: Sdk, site: Site, code: str) -> str:
    """That code, taken over."""
    sdk.call("access_codes.unmanaged.convert_to_managed", access_code_id=code)
    site.complete()
    return code


# -- unmanaged ------------------------------------------------------------------------------------------------------


def test_unmanaged_codes_are_listed_and_shown(sdk: Sdk, site: Site) -> None:
    cleaning, guest = site.holds(CLEANING, GUEST)
    listed = sdk.call("access_codes.unmanaged.list", device_id=as_id(site.lock))
    if sdk.kind.typed:
        assert sdk.types == ["UnmanagedAccessCode", "UnmanagedAccessCode"]
    first, second = sorted(listed, key=lambda shown: str(shown["name"]))
    assert ids([first, second]) == [cleaning, guest]
    assert (first["is_managed"], first["status"], first["type"]) == (False, "set", "ongoing")
    assert (first["name"], first["code"], first["errors"], first["warnings"]) == ("Cleaning", "4711", [], [])
    assert first.get("cannot_be_managed") is None
    assert (second["code"], second["type"], second["ends_at"]) == (None, "time_bound", "2026-03-05T10:00:00.000Z")
    assert (second["cannot_be_managed"], second["cannot_delete_unmanaged_access_code"]) == (True, True)
    assert sdk.call("access_codes.unmanaged.get", access_code_id=cleaning) == first
    assert sdk.call("access_codes.unmanaged.get", device_id=as_id(site.lock), code="4711") == first
    assert sdk.call("access_codes.list", device_id=as_id(site.lock)) == []
    assert sdk.refused("access_codes.get", access_code_id=cleaning).code == "access_code_not_found"


def test_pins_are_hidden_from_who_may_not_read_them(sdk: Sdk, site: Site, code: str) -> None:
    sdk.connect(f"{site.server.url}/seam", site.new_key("operator"))
    (shown,) = sdk.call("access_codes.unmanaged.list", device_id=as_id(site.lock))
    assert (shown["access_code_id"], shown["code"]) == (code, None)


def test_long_lists_of_codes_have_pages(sdk: Sdk, site: Site) -> None:
    codes = site.holds(*({"externalId": f"{number}", "name": f"Guest {number:02}"} for number in range(25)))
    lock = as_id(site.lock)
    listed = sdk.call("access_codes.unmanaged.list", device_id=lock)
    assert sorted(ids(listed)) == sorted(codes)
    if sdk.kind.pages:
        assert sdk.pages("access_codes.unmanaged.list", device_id=lock, limit=10) == listed
        assert len(sdk.pages("access_codes.unmanaged.list", device_id=lock, limit=25)) == 25
    assert ids(sdk.call("access_codes.unmanaged.list", device_id=lock, search="guest 07")) == [codes[7]]


# -- taking over ----------------------------------------------------------------------------------------------------


def test_code_moves_to_the_managed_ones_when_the_connector_has_taken_it_over(sdk: Sdk, site: Site, code: str) -> None:
    sdk.call("access_codes.unmanaged.convert_to_managed", access_code_id=code, is_external_modification_allowed=True)
    assert sdk.call("access_codes.unmanaged.get", access_code_id=code)["is_managed"] is False
    operation = site.complete(occurredAt="2026-03-02T08:15:28Z")
    assert (operation["kind"], operation["state"]) == ("convert_access_code", "succeeded")

    shown = sdk.call("access_codes.get", access_code_id=code)
    if sdk.kind.typed:
        assert sdk.types == "AccessCode"
    assert (shown["is_managed"], shown["status"], shown["name"], shown["code"]) == (True, "set", "Cleaning", "4711")
    assert (shown["is_external_modification_allowed"], shown["is_backup"]) == (True, False)
    assert shown["pending_mutations"] == []
    assert sdk.call("access_codes.list", device_id=as_id(site.lock)) == [shown]
    assert sdk.call("access_codes.list", access_code_ids=[code]) == [shown]
    assert sdk.call("access_codes.unmanaged.list", device_id=as_id(site.lock)) == []
    assert sdk.refused("access_codes.unmanaged.get", access_code_id=code).code == "access_code_not_found"

    assert history(sdk, code) == ["unmanaged.created", "unmanaged.converted_to_managed"]
    event = last_event(sdk, code)
    assert (event["event_type"], event["occurred_at"]) == (CONVERTED, "2026-03-02T08:15:28.000Z")
    assert not any(event.get(name) for name in ARRAYS)
    if not sdk.kind.typed:
        assert not set(ARRAYS) & set(event)


@pytest.mark.parametrize("switch", ["allow_external_modification", "is_external_modification_allowed"])
def test_update_takes_a_code_over_too(sdk: Sdk, site: Site, code: str, switch: str) -> None:
    sdk.call("access_codes.unmanaged.update", access_code_id=code, is_managed=True, force=True, **{switch: True})
    assert site.complete()["force"] is True
    assert sdk.call("access_codes.get", access_code_id=code)["is_external_modification_allowed"] is True


def test_code_that_is_unmanaged_cannot_be_made_so(sdk: Sdk, code: str) -> None:
    refused = sdk.refused("access_codes.unmanaged.update", access_code_id=code, is_managed=False)
    assert (refused.name, refused.code) == ("SeamHttpInvalidInputError", "invalid_input")


def test_failed_takeover_leaves_the_code_and_tells_why(sdk: Sdk, site: Site, code: str) -> None:
    sdk.call("access_codes.unmanaged.convert_to_managed", access_code_id=code)
    site.complete("failed", errors=[{"errorCode": "code_constraints_violated", "message": "Six digits are needed."}])
    assert sdk.call("access_codes.unmanaged.get", access_code_id=code)["is_managed"] is False
    event = last_event(sdk, code)
    assert event["event_type"] == FAILED
    assert causes(event) == {"access_code_errors": ["code_constraints_violated"]}
    (error,) = event["access_code_errors"]
    assert (error["message"], set(error)) == ("Six digits are needed.", {"created_at", "error_code", "message"})


def test_takeover_that_cannot_be_fails_at_once(sdk: Sdk, site: Site) -> None:
    (guest,) = site.holds(GUEST)
    sdk.call("access_codes.unmanaged.convert_to_managed", access_code_id=guest)
    event = last_event(sdk, guest)
    assert event["event_type"] == FAILED
    assert causes(event) == {"access_code_errors": ["cannot_be_managed", "code_unreadable"]}
    assert site.operations() == []


def test_lost_account_stands_in_its_own_array(sdk: Sdk, site: Site, code: str) -> None:
    site.disconnect("The password was changed.")
    sdk.call("access_codes.unmanaged.convert_to_managed", access_code_id=code)
    assert causes(last_event(sdk, code)) == {"connected_account_errors": ["account_disconnected"]}


def test_managed_code_cannot_be_taken_over_again(sdk: Sdk, managed: str) -> None:
    refused = sdk.refused("access_codes.unmanaged.convert_to_managed", access_code_id=managed)
    assert refused.name == "SeamHttpApiError"
    assert refused.status in (404, 409)


def test_unmanaged_code_is_removed_by_the_connector(sdk: Sdk, site: Site, code: str) -> None:
    sdk.call("access_codes.unmanaged.delete", access_code_id=code)
    assert site.complete()["kind"] == "remove_access_code"
    assert sdk.refused("access_codes.unmanaged.get", access_code_id=code).code == "access_code_not_found"
    assert last_event(sdk, code)["event_type"] == REMOVED


def test_code_that_the_lock_keeps_is_not_removed(sdk: Sdk, site: Site) -> None:
    (guest,) = site.holds(GUEST)
    refused = sdk.refused("access_codes.unmanaged.delete", access_code_id=guest)
    assert refused.name == "SeamHttpApiError"
    assert sdk.call("access_codes.unmanaged.get", access_code_id=guest)["name"] == "Guest"


# -- managed --------------------------------------------------------------------------------------------------------


def test_managed_code_is_created_set_and_deleted(sdk: Sdk, site: Site) -> None:
    created = sdk.call("access_codes.create", device_id=as_id(site.lock), name="Plumber", code="2468")
    code = created["access_code_id"]
    assert (created["is_managed"], created["status"], created["code"]) == (True, "setting", "2468")
    assert site.complete(externalId="99")["kind"] == "set_access_code"
    assert sdk.call("access_codes.get", access_code_id=code)["status"] == "set"
    sdk.call("access_codes.delete", access_code_id=code)
    assert sdk.call("access_codes.get", access_code_id=code)["status"] == "removing"
    site.complete()
    assert sdk.refused("access_codes.get", access_code_id=code).code == "access_code_not_found"
    assert history(sdk, code) == ["created", "set_on_device", "removed_from_device", "deleted"]


def test_digits_that_the_lock_knows_are_refused(sdk: Sdk, site: Site, code: str) -> None:
    refused = sdk.refused("access_codes.create", device_id=as_id(site.lock), name="Plumber", code="4711")
    assert (refused.name, refused.code, refused.status) == ("SeamHttpApiError", "duplicate_access_code", 409)


def test_managed_code_is_renamed_and_gets_a_time(sdk: Sdk, site: Site, managed: str) -> None:
    times = {"starts_at": "2030-03-02T14:00:00.000Z", "ends_at": "2030-03-05T10:00:00.000Z"}
    sdk.call("access_codes.update", access_code_id=managed, name="Cleaning crew", **times)
    operation = site.complete()
    assert (operation["kind"], operation["accessCode"]["name"]) == ("update_access_code", "Cleaning crew")
    shown = sdk.call("access_codes.get", access_code_id=managed)
    assert (shown["name"], shown["type"]) == ("Cleaning crew", "time_bound")
    assert {name: shown[name] for name in times} == times
    assert {"changed", "name_changed", "time_frame_changed"} <= set(history(sdk, managed))


def test_pins_are_in_no_event(sdk: Sdk, site: Site, managed: str) -> None:
    sdk.call("access_codes.update", access_code_id=managed, code="8642")
    site.complete()
    assert sdk.call("access_codes.get", access_code_id=managed)["code"] == "8642"
    events = sdk.call("events.list", since="2020-01-01T00:00:00Z", access_code_id=managed)
    assert not any(
        pin in str(event.get(field))
        for event in events
        for pin in ("4711", "8642")
        for field in ("code", "from", "from_", "to")
    )
    assert "code_changed" in history(sdk, managed)
