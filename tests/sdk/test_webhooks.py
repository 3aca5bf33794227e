"""Webhooks through Seam's SDKs, from the first call to a body that Seam's own verifier accepts."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import StoreUrl
from tests.delivery.receivers import Receiver
from tests.server import Server
from tests.webhooks.conftest import verify_with as verify_with
from tests.webhooks.scene import Capture, path_of, read_request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.sdk.sdks import Sdk
    from tests.sdk.site import Site
    from tests.webhooks.verifiers import Verify

CLEANING = {"externalId": "17", "code": "4711", "name": "Cleaning"}
GUEST = {"externalId": "18", "name": "Gäste 門", "cannotBeManaged": True}
CREATED = "access_code.unmanaged.created"
CONVERTED = "access_code.unmanaged.converted_to_managed"
FAILED = "access_code.unmanaged.failed_to_convert_to_managed"
REMOVED = "access_code.unmanaged.removed"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that may deliver to this machine."""
    running = Server.start(StoreUrl(None, tmp_path_factory.mktemp("data")), delivery_allow_networks="127.0.0.0/8")
    yield running
    running.stop()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running


def url_of(receiver: Receiver, path: str) -> str:
    return f"http://127.0.0.1:{receiver.port}{path}"


def live_through(site: Site, sdk: Sdk) -> None:
    """Let events of the four types happen that the platform began with."""
    cleaning, guest = site.holds(CLEANING, GUEST)
    sdk.call("access_codes.unmanaged.convert_to_managed", access_code_id=guest)
    sdk.call("access_codes.unmanaged.convert_to_managed", access_code_id=cleaning)
    site.complete()
    site.holds(CLEANING)


def received(receiver: Receiver, path: str, number: int) -> list[bytes]:
    """Wait until that many requests came to a path, and return them."""

    def found() -> list[bytes]:
        return [one for one in receiver.requests if path_of(one) == path]

    assert receiver.wait(lambda: len(found()) >= number), found()
    return found()


def test_webhook_is_created_listed_changed_and_deleted(sdk: Sdk, receiver: Receiver) -> None:
    webhook = sdk.call("webhooks.create", url=url_of(receiver, "/all"))
    if sdk.kind.typed:
        assert sdk.types == "Webhook"
    assert webhook["event_types"] == ["*"]
    assert webhook["secret"].startswith("whsec_")
    shown = sdk.call("webhooks.get", webhook_id=webhook["webhook_id"])
    assert {name: shown.get(name) for name in webhook} == webhook | {"secret": None}
    assert sdk.call("webhooks.list") == [shown]
    assert sdk.call("webhooks.update", webhook_id=webhook["webhook_id"], event_types=[REMOVED]) is None
    assert sdk.call("webhooks.get", webhook_id=webhook["webhook_id"])["event_types"] == [REMOVED]
    assert sdk.call("webhooks.delete", webhook_id=webhook["webhook_id"]) is None
    assert sdk.call("webhooks.list") == []
    refused = sdk.refused("webhooks.get", webhook_id=webhook["webhook_id"])
    assert (refused.status, refused.code) == (404, "webhook_not_found")


def test_refusals_are_seams(sdk: Sdk, receiver: Receiver) -> None:
    refused = sdk.refused("webhooks.create", url=url_of(receiver, "/"), event_types=["access_code.exploded"])
    assert (refused.status, refused.code) == (400, "invalid_event_types")
    assert "access_code.exploded" in refused.message
    refused = sdk.refused("webhooks.create", url="no address")
    assert (refused.status, refused.code) == (400, "invalid_input")
    if sdk.kind.fields:
        assert refused.fields is not None
        assert refused.fields["url"]


def test_events_of_all_four_types_arrive_and_pass_seams_own_verifier(
    sdk: Sdk, site: Site, receiver: Receiver, verify_with: Callable[[str], Verify]
) -> None:
    webhook = sdk.call("webhooks.create", url=url_of(receiver, "/all"))
    removals = sdk.call("webhooks.create", url=url_of(receiver, "/removals"), event_types=[REMOVED])
    live_through(site, sdk)
    verify = verify_with("seam" if sdk.kind.typed else "npm @seamapi/webhook")
    listed = {event["event_id"]: event for event in sdk.call("events.list", since="2020-01-01T00:00:00Z")}
    for path, hook, types in (
        ("/all", webhook, [CREATED, CREATED, FAILED, CONVERTED, REMOVED]), ("/removals", removals, [REMOVED]),
    ):  # fmt: skip
        captures = [
            Capture(hook["url"], *read_request(one), (hook["secret"],), ())
            for one in received(receiver, path, len(types))
        ]
        assert [verify(capture, hook["secret"]) for capture in captures] == [None] * len(types)
        bodies: list[Any] = [json.loads(capture.body) for capture in captures]
        assert sorted(body["event_type"] for body in bodies) == sorted(types)
        assert [capture.headers["svix-id"] for capture in captures] == [body["event_id"] for body in bodies]
        assert {capture.headers["content-type"] for capture in captures} == {"application/json"}
        if not sdk.kind.typed:
            assert [listed[body["event_id"]] for body in bodies] == bodies
