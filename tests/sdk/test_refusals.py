"""What is wrong with a request comes out of each SDK as its own exception, with all that it can tell."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.sdk.sdks import PYTHON
from tests.sdk.site import Site, as_id

if TYPE_CHECKING:
    from typing import Any

    from tests.sdk.sdks import Sdk
    from tests.server import Server

NOBODY = "0190d1c4-7b1a-7e3e-8f0a-1c2d3e4f5a6b"
INVALID, UNAUTHORIZED, OTHER = "SeamHttpInvalidInputError", "SeamHttpUnauthorizedError", "SeamHttpApiError"

BAD_INPUT: list[tuple[str, dict[str, Any], set[str]]] = [
    ("events.list", {"since": "yesterday"}, {"since"}),
    ("events.list", {"between": ["2026-01-02T00:00:00Z", "2026-01-01T00:00:00Z"]}, {"between"}),
    ("events.list", {"between": ["2026-01-01T00:00:00Z"]}, {"between"}),
    ("events.list", {"since": "2026-01-01T00:00:00Z", "limit": 0}, {"limit"}),
    ("events.list", {"since": "now", "device_id": "no id"}, {"since", "device_id"}),
    ("events.list", {"since": "2026-01-01T00:00:00Z", "customer_key": "c"}, {"customer_key"}),
    ("events.get", {"event_id": "no id"}, {"event_id"}),
    ("devices.list", {"limit": -1}, {"limit"}),
    ("devices.get", {"device_id": "no id"}, {"device_id"}),
    ("connected_accounts.get", {"connected_account_id": "no id"}, {"connected_account_id"}),
    ("access_codes.list", {"device_id": "no id"}, {"device_id"}),
    ("access_codes.get", {"access_code_id": "no id"}, {"access_code_id"}),
    ("access_codes.create", {"device_id": NOBODY, "code": "47a1"}, {"code"}),
    ("access_codes.create", {"device_id": NOBODY, "name": "x" * 1000}, {"name"}),
    ("access_codes.update", {"access_code_id": NOBODY, "is_managed": False}, {"is_managed"}),
    ("access_codes.delete", {"access_code_id": "no id"}, {"access_code_id"}),
    ("access_codes.unmanaged.list", {"device_id": "no id"}, {"device_id"}),
    ("access_codes.unmanaged.get", {"access_code_id": "no id"}, {"access_code_id"}),
    ("access_codes.unmanaged.update", {"access_code_id": NOBODY, "is_managed": "perhaps"}, {"is_managed"}),
    ("access_codes.unmanaged.convert_to_managed", {"access_code_id": "no id"}, {"access_code_id"}),
    ("access_codes.unmanaged.delete", {"access_code_id": "no id"}, {"access_code_id"}),
]

UNKNOWN: list[tuple[str, str, str]] = [
    ("events.get", "event_id", "event_not_found"),
    ("devices.get", "device_id", "device_not_found"),
    ("connected_accounts.get", "connected_account_id", "connected_account_not_found"),
    ("access_codes.list", "device_id", "device_not_found"),
    ("access_codes.get", "access_code_id", "access_code_not_found"),
    ("access_codes.update", "access_code_id", "access_code_not_found"),
    ("access_codes.delete", "access_code_id", "access_code_not_found"),
    ("access_codes.unmanaged.list", "device_id", "device_not_found"),
    ("access_codes.unmanaged.get", "access_code_id", "access_code_not_found"),
    ("access_codes.unmanaged.convert_to_managed", "access_code_id", "access_code_not_found"),
    ("access_codes.unmanaged.delete", "access_code_id", "access_code_not_found"),
]


@pytest.fixture(scope="module")
def site(server: Server) -> Site:
    """One for all: what is refused changes nothing."""
    return Site(server)


@pytest.mark.parametrize(("call", "parameters", "fields"), BAD_INPUT)
def test_bad_parameters_are_named_with_their_reasons(
    sdk: Sdk, call: str, parameters: dict[str, Any], fields: set[str]
) -> None:
    refused = sdk.refused(call, **parameters)
    assert (refused.name, refused.code, refused.status) == (INVALID, "invalid_input", 400), refused
    assert refused.message
    assert refused.request_id
    if sdk.kind.fields:
        assert refused.fields is not None
        assert {name for name, messages in refused.fields.items() if messages} == fields


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"limit": 5, "device_id": NOBODY}, "Must specify either since or between"),
        (
            {"since": "2026-01-01T00:00:00Z", "between": ["2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"]},
            "Cannot specify both since and between",
        ),
    ],
)
def test_events_want_one_beginning(sdk: Sdk, parameters: dict[str, Any], message: str) -> None:
    refused = sdk.refused("events.list", **parameters)
    assert (refused.name, refused.message) == (INVALID, message)


@pytest.mark.parametrize(("call", "parameter", "code"), UNKNOWN)
def test_what_is_not_there_is_named(sdk: Sdk, call: str, parameter: str, code: str) -> None:
    refused = sdk.refused(call, **{parameter: NOBODY})
    assert (refused.name, refused.code, refused.status) == (OTHER, code, 404), refused
    assert refused.request_id


def test_things_of_another_workspace_look_as_if_they_were_not_there(sdk: Sdk, server: Server) -> None:
    other = Site(server)
    (code,) = other.holds({"externalId": "17", "name": "Cleaning", "code": "4711"})
    ours = {"device_id": as_id(other.lock), "connected_account_id": as_id(other.account), "access_code_id": code}
    for call, parameter, expected in UNKNOWN[1:]:
        refused = sdk.refused(call, **{parameter: ours[parameter]})
        assert (refused.name, refused.code, refused.status) == (OTHER, expected, 404), (call, refused)
    assert sdk.call("events.list", since="2020-01-01T00:00:00Z", device_id=as_id(other.lock)) == []
    assert sdk.call("devices.list", device_ids=[as_id(other.lock)]) == []


def test_key_that_nobody_holds_is_unauthorized(sdk: Sdk, server: Server) -> None:
    sdk.connect(f"{server.url}/seam", "seam_hg_nobody")
    for call in ("devices.list", "workspaces.get", "connected_accounts.list"):
        refused = sdk.refused(call)
        assert (refused.name, refused.code, refused.status) == (UNAUTHORIZED, "unauthorized", 401)
        assert refused.request_id


def test_key_without_the_permission_is_told_which_one(sdk: Sdk, server: Server, site: Site) -> None:
    sdk.connect(f"{server.url}/seam", site.new_key("read event.tenant"))
    assert sdk.call("events.list", since="2020-01-01T00:00:00Z", device_id=as_id(site.lock)) == []
    refused = sdk.refused("devices.list")
    assert (refused.name, refused.status) == (OTHER, 403)
    assert "read device.tenant" in refused.message


def test_what_heliograph_does_not_have_is_a_route_that_is_not_there(sdk: Sdk) -> None:
    refused = sdk.refused("thermostats.list")
    if sdk.kind is PYTHON["python-2"]:
        # It asks at the root, where only what the dialect has is the dialect's.
        assert (refused.name, refused.message[:3]) == ("HTTPError", "404")
    else:
        assert (refused.name, refused.code, refused.status) == (OTHER, "route_not_found", 404)
