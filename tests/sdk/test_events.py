"""`events.list` and `events.get`, as Seam's SDKs ask and read them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from tests.sdk.site import ACCOUNT_METADATA, DEVICE_METADATA, as_id

if TYPE_CHECKING:
    from tests.sdk.sdks import Sdk
    from tests.sdk.site import Site

BEGINNING, END = "2020-01-01T00:00:00Z", "2100-01-01T00:00:00Z"
CREATED, REMOVED = "access_code.unmanaged.created", "access_code.unmanaged.removed"
CLEANING = {"externalId": "17", "name": "Cleaning"}
GUEST = {"externalId": "18", "name": "Guest"}


@pytest.fixture
def codes(site: Site) -> list[str]:
    """Two codes on the first lock: the second one has vanished again."""
    codes = site.holds(CLEANING, GUEST)
    site.holds(CLEANING)
    return codes


def moved(time: str, **by: int) -> str:
    """Return a time that much later."""
    return (datetime.fromisoformat(time) + timedelta(**by)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def test_events_of_codes_carry_what_seam_documents(sdk: Sdk, site: Site, codes: list[str]) -> None:
    events = sdk.call("events.list", since=BEGINNING, device_id=as_id(site.lock))
    assert [(event["event_type"], event["access_code_id"]) for event in events] == [
        (CREATED, codes[0]),
        (CREATED, codes[1]),
        (REMOVED, codes[1]),
    ]
    if sdk.kind.typed:
        assert sdk.types[0] in ("AccessCodeUnmanagedCreatedEvent", "SeamEvent")
    for event in events:
        assert event["workspace_id"] == as_id(site.uid)
        assert event["device_id"] == as_id(site.lock)
        assert event["connected_account_id"] == as_id(site.account)
        assert event["connected_account_custom_metadata"] == ACCOUNT_METADATA
        assert event["device_custom_metadata"] == DEVICE_METADATA


def test_one_event_is_found_by_its_id(sdk: Sdk, codes: list[str]) -> None:
    for event in sdk.call("events.list", since=BEGINNING, access_code_ids=codes):
        assert sdk.call("events.get", event_id=event["event_id"]) == event


def test_filters_leave_what_fits_all_of_them(sdk: Sdk, site: Site, codes: list[str]) -> None:
    other = site.new_lock()
    site.holds(GUEST, lock=other)
    assert len(sdk.call("events.list", since=BEGINNING, event_types=[CREATED, REMOVED])) == 4
    assert len(sdk.call("events.list", since=BEGINNING, event_type=CREATED)) == 3
    assert len(sdk.call("events.list", since=BEGINNING, event_type=CREATED, device_id=as_id(other))) == 1
    assert len(sdk.call("events.list", since=BEGINNING, device_ids=[as_id(other), as_id(site.lock)])) == 4
    assert len(sdk.call("events.list", since=BEGINNING, access_code_id=codes[1])) == 2
    assert len(sdk.call("events.list", since=BEGINNING, access_code_ids=codes, event_type=REMOVED)) == 1
    assert len(sdk.call("events.list", since=BEGINNING, connected_account_id=as_id(site.account))) >= 4
    assert sdk.call("events.list", since=BEGINNING, event_type="lock.unlocked") == []


def test_interval_leaves_out_what_was_recorded_outside_it(sdk: Sdk, codes: list[str]) -> None:
    events = sdk.call("events.list", between=[BEGINNING, END], access_code_ids=codes)
    assert len(events) == 3
    first, last = events[0]["created_at"], events[-1]["created_at"]
    around = [moved(first, seconds=-1), moved(last, seconds=1)]
    assert sdk.call("events.list", between=around, access_code_ids=codes) == events
    assert sdk.call("events.list", between=[moved(first, seconds=-1), first], access_code_ids=codes) == []
    assert sdk.call("events.list", between=[moved(last, milliseconds=1), END], access_code_ids=codes) == []


def test_poller_that_goes_on_from_the_last_event_misses_none(sdk: Sdk, site: Site, codes: list[str]) -> None:
    seen = {event["event_id"]: event for event in sdk.call("events.list", since=BEGINNING, access_code_ids=codes)}
    last = max(event["created_at"] for event in seen.values())
    site.holds(CLEANING, GUEST)
    news = sdk.call("events.list", since=last, device_id=as_id(site.lock))
    fresh = [event for event in news if event["event_id"] not in seen]
    assert [event["event_type"] for event in fresh] == [CREATED]
    assert sdk.call("events.list", since=moved(news[-1]["created_at"], milliseconds=1)) == []


def test_limit_and_offset_cut_a_piece_out_of_the_list(sdk: Sdk, site: Site) -> None:
    codes = site.holds(*({"externalId": f"{number}", "name": f"Guest {number}"} for number in range(9)))
    listed = sdk.call("events.list", since=BEGINNING, access_code_ids=codes)
    assert [event["access_code_id"] for event in listed] == codes
    assert sdk.call("events.list", since=BEGINNING, access_code_ids=codes, limit=4) == listed[:4]
    assert sdk.call("events.list", since=BEGINNING, access_code_ids=codes, limit=4, unstable_offset=4) == listed[4:8]
