"""An SDK whose answer got lost asks again; what was done already must not look like a failure then."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.sdk.lossy import LossyWay
from tests.sdk.site import as_id

if TYPE_CHECKING:
    from tests.sdk.sdks import Sdk
    from tests.sdk.site import Site


def asked_again(sdk: Sdk, way: LossyWay, name: str, **parameters: Any) -> Any:
    """Call a method whose first answer gets lost: the SDK asks again by itself, or leaves that to its caller."""
    if not sdk.kind.retries:
        assert sdk.refused(name, **parameters).name == "ConnectionError"
    value = sdk.call(name, **parameters)
    assert len(way.passed) == 2, way.passed
    return value


@pytest.fixture
def code(site: Site) -> str:
    (code,) = site.holds({"externalId": "17", "name": "Cleaning"})
    return code


def test_list_whose_answer_got_lost_is_read_again(sdk: Sdk, site: Site) -> None:
    with LossyWay(site.server) as way:
        sdk.connect(f"{way.url}/seam", site.key)
        (device,) = asked_again(sdk, way, "devices.list")
    assert device["device_id"] == as_id(site.lock)


def test_deletion_that_is_under_way_can_be_asked_for_again(sdk: Sdk, site: Site, code: str) -> None:
    with LossyWay(site.server) as way:
        sdk.connect(f"{way.url}/seam", site.key)
        asked_again(sdk, way, "access_codes.unmanaged.delete", access_code_id=code)
    assert site.complete()["kind"] == "remove_access_code"
    assert site.operations() == []


def test_deletion_that_is_done_can_be_asked_for_again(sdk: Sdk, site: Site) -> None:
    code = sdk.call("access_codes.create", device_id=as_id(site.lock), name="Plumber")["access_code_id"]
    site.complete("failed", errors=[{"errorCode": "no_space_for_access_code_on_device"}])
    with LossyWay(site.server) as way:
        sdk.connect(f"{way.url}/seam", site.key)
        asked_again(sdk, way, "access_codes.delete", access_code_id=code)
        assert sdk.refused("access_codes.get", access_code_id=code).code == "access_code_not_found"
        events = sdk.call("events.list", since="2020-01-01T00:00:00Z", access_code_id=code)
    assert [event["event_type"] for event in events].count("access_code.deleted") == 1
