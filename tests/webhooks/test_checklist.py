"""What Standard Webhooks 1.0.0 asks of a sender, in 27 rules; each is a test here, or where this list says.

6: `v1` is HMAC-SHA256 in base64
    tests/delivery/test_signing.py test_symmetric_vector_that_svix_published
7: `v1a` is Ed25519 over the same
    tests/delivery/test_signing.py test_asymmetric_vector_that_standard_webhooks_published
14: 2xx alone is success
    tests/delivery/test_policy.py test_only_2xx_is_success
15: redirects are not followed
    tests/delivery/test_sender.py test_redirect_is_not_followed
16: 410 disables
    tests/conformance/test_delivery.py test_receiver_that_wants_nothing_more_is_disabled_at_once
17: 429 slows down
    tests/conformance/test_delivery.py test_receiver_that_asks_for_less_is_left_alone_for_longer_each_time
18: 502 and 504 slow down
    tests/delivery/test_policy.py test_only_2xx_is_success
19: `Retry-After`, also of a 503
    tests/conformance/test_delivery.py test_receiver_names_when_to_come_again
21: random jitter
    tests/delivery/test_policy.py test_failure_is_tried_again_after_the_scheduled_wait_and_at_most_the_jitter
22: long failure is told, then disables
    tests/conformance/test_delivery.py test_endpoint_that_fails_for_days_is_warned_about_and_then_disabled
24: no way into private networks
    tests/delivery/test_guard.py test_no_blocked_address_passes_in_any_disguise_that_the_list_does_not_name
25: HTTPS, demanded and verified, and one source address by way of a proxy
    tests/delivery/test_sender.py test_nothing_is_sent_over_plain_http_where_https_is_demanded
    tests/delivery/test_sender_tls.py test_certificate_of_an_unknown_issuer_is_refused
    tests/delivery/test_sender.py test_proxy_of_the_operator_is_told_the_checked_address
26: many endpoints, their failures listed, replay
    tests/http/test_endpoints.py test_tenant_has_a_thousand_endpoints_at_most
    tests/http/test_deliveries.py test_every_filter_finds_what_it_names
    tests/conformance/test_delivery.py test_delivery_that_was_given_up_is_sent_again_by_the_whole_schedule_and_recovers
27: receivers compare in constant time, look at the clock, and know an id again
    tests/docs/test_examples.py test_examples_of_receivers_verify_what_was_delivered

Two rules are recommendations that other descriptions overrule. A body (11) has the shape that the description of its
event demands; the format `cloudevents` has type, time and data by name. Its size (12) is bounded by a setting.
"""

from __future__ import annotations

import ast
import base64
import json
import re
from datetime import datetime
from itertools import chain
from typing import TYPE_CHECKING, Any

import pytest

from heliograph.catalog.system import SYSTEM
from heliograph.delivery.policy import STANDARD_SCHEDULE
from heliograph.delivery.signing import LONGEST_SECRET, SHORTEST_SECRET
from heliograph.endpoints.model import LONGEST_TIMEOUT, EndpointSecrets, EndpointSettings, SigningKey
from tests.server import ROOT
from tests.webhooks.scene import FAMILIES, LARGEST_PAYLOAD, SITUATIONS, Capture, Scene
from tests.webhooks.verifiers import VERIFIERS

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.webhooks.verifiers import Verify

ELSEWHERE = {
    int(number): re.findall(r"^    (tests/\S+) (\w+)$", tests, re.MULTILINE)
    for number, tests in re.findall(r"^(\d+): .+\n((?:    .+\n)+)", str(__doc__), re.MULTILINE)
}


def attempts(scene: Scene, situation: str) -> dict[tuple[str, bytes], list[Capture]]:
    """Return the attempts at each delivery of a situation, by family and body, in their order."""
    found: dict[tuple[str, bytes], list[Capture]] = {}
    for family in ("webhook", "svix", "both"):
        for capture in scene.captures[situation, family]:
            found.setdefault((family, capture.body), []).append(capture)
    return found


def named(capture: Capture, name: str) -> str:
    """Return `id`, `timestamp` or `signature`, whichever family it is of."""
    return capture.headers.get(f"webhook-{name}") or capture.headers[f"svix-{name}"]


@pytest.fixture
def captures(scene: Scene) -> list[Capture]:
    return list(chain.from_iterable(scene.captures.values()))


@pytest.fixture
def signed(scene: Scene) -> list[Capture]:
    """What has the headers of Standard Webhooks, under either name."""
    return [one for (_, family), some in scene.captures.items() if family != "sos" for one in some]


# -- the wire -------------------------------------------------------------------------------------------------------


def test_rule_01_delivery_is_a_post_whose_body_is_the_payload(scene: Scene, captures: list[Capture]) -> None:
    assert {request.split(b" ")[0] for request in scene.requests} == {b"POST"}
    assert all(int(one.headers["content-length"]) == len(one.body) > 0 for one in captures)


def test_rule_02_headers_have_exactly_these_names(scene: Scene) -> None:
    names = {"webhook-id", "webhook-timestamp", "webhook-signature"}
    of_svix = {name.replace("webhook", "svix") for name in names}
    expected = {"webhook": names, "svix": of_svix, "both": names | of_svix, "sos": set[str]()}
    for (_, family), captures in scene.captures.items():
        for capture in captures:
            assert {name for name in capture.headers if name.startswith(("webhook-", "svix-"))} == expected[family]


def test_rule_03_timestamp_is_of_the_attempt_and_in_seconds(scene: Scene, signed: list[Capture]) -> None:
    assert all(re.fullmatch(r"\d{10}", named(one, "timestamp")) for one in signed)
    for first, second in attempts(scene, "retry").values():
        assert int(named(second, "timestamp")) > int(named(first, "timestamp"))
        assert named(second, "signature") != named(first, "signature")
        assert second.body == first.body


@pytest.mark.parametrize("situation", ["retry", "resent"])
def test_rule_04_id_is_the_same_on_every_attempt_and_has_no_dot(scene: Scene, situation: str) -> None:
    for first, second in attempts(scene, situation).values():
        assert named(first, "id") == named(second, "id")
        assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", named(first, "id"))


def test_rule_04_id_is_not_chosen_by_a_caller(scene: Scene) -> None:
    """The id that a caller gives a CloudEvent stays in the body; `webhook-id` is the platform's."""
    event = {"specversion": "1.0", "id": "a.b", "source": "/doors", "type": "matrix.chosen"}
    answer = scene.server.request(
        "POST", "/v1/events", body=json.dumps(event).encode(), headers={"content-type": "application/cloudevents+json"}
    )
    assert answer.status == 201, answer
    assert "." not in answer.json["id"]


def test_rule_05_signature_is_over_the_bytes_that_were_sent(scene: Scene) -> None:
    """The matrix verifies raw bytes; these were not written anew on the way, key order and numbers included."""
    payload = SITUATIONS["unicode"].payload
    own = [one for one in scene.captures["unicode", "webhook"] if not one.has_seams_shape]
    assert [payload in one.body for one in own] == [True]


def test_rule_08_several_signatures_have_one_space_between_them(scene: Scene, signed: list[Capture]) -> None:
    assert all(re.fullmatch(r"v1a?,[\w+/=]+( v1a?,[\w+/=]+)*", named(one, "signature")) for one in signed)
    for family in ("webhook", "svix", "both"):
        for capture in scene.captures["overlap", family]:
            versions = [entry.split(",")[0] for entry in named(capture, "signature").split(" ")]
            assert versions == ["v1", "v1", "v1a", "v1a"]


def test_rule_08_key_that_was_replaced_signs_until_its_overlap_ends() -> None:
    new = SigningKey(kind="hmac", secret=b"n" * 32, created_at=100)
    old = SigningKey(kind="hmac", secret=b"o" * 32, created_at=0, expires_at=200)
    secrets = EndpointSecrets(keys=(new, old))
    assert [secrets.keys_at(now) for now in (150, 199, 200, 201)] == [(new, old), (new, old), (new,), (new,)]


def test_rule_09_keys_are_long_enough_and_written_as_agreed(scene: Scene, captures: list[Capture]) -> None:
    assert (SHORTEST_SECRET, LONGEST_SECRET) == (24, 64)
    for capture in captures:
        assert all(secret.startswith("whsec_") for secret in capture.secrets)
        assert all(SHORTEST_SECRET <= len(_decoded(secret)) <= LONGEST_SECRET for secret in capture.secrets)
        assert all(public.startswith("whpk_") for public in capture.publics)
        assert all(len(_decoded(public)) == 32 for public in capture.publics)
    for size in (SHORTEST_SECRET - 1, LONGEST_SECRET + 1):
        wish = {"url": "https://hooks.example.com/", "secret": "whsec_" + base64.b64encode(bytes(size)).decode()}
        assert scene.server.request("POST", "/v1/endpoints", body=wish).status == 400


def _decoded(key: str) -> bytes:
    return base64.b64decode(key.partition("_")[2])


def test_rule_10_no_two_endpoints_share_a_key(scene: Scene) -> None:
    keys = [(*some[0].secrets, *some[0].publics) for some in scene.captures.values()]
    assert len(set(chain.from_iterable(keys))) == sum(map(len, keys)) > len(SITUATIONS) * len(FAMILIES)


def test_rule_11_record_says_type_time_and_data_under_the_names_of_its_own_description(scene: Scene) -> None:
    own = [one for one in scene.captures["normal", "webhook"] if not one.has_seams_shape]
    body: Any = json.loads(own[0].body)
    assert (body["type"], body["payload"]) == ("matrix.event", {"name": "Front door"})
    assert datetime.fromisoformat(body["recordedAt"]).tzinfo is not None


def test_rule_11_types_are_words_with_dots_between_them() -> None:
    types = [definition.type for definition in SYSTEM]
    assert [type for type in types if not re.fullmatch(r"[a-zA-Z0-9_]+(\.[a-zA-Z0-9_]+)*", type)] == []


def test_rule_12_payload_is_bounded(scene: Scene) -> None:
    event = b'{"type": "matrix.large", "payload": "%b"}' % (b"x" * (LARGEST_PAYLOAD - 1))
    answer = scene.server.request("POST", "/v1/events", body=event, headers={"content-type": "application/json"})
    assert answer.status == 413


def test_rule_13_older_headers_stand_beside_the_standard_ones(scene: Scene) -> None:
    for capture in scene.captures["normal", "both"]:
        for name in ("id", "timestamp", "signature"):
            assert capture.headers[f"svix-{name}"] == capture.headers[f"webhook-{name}"]


# -- behaviour ------------------------------------------------------------------------------------------------------


def test_rule_20_schedule_goes_over_days() -> None:
    assert STANDARD_SCHEDULE == (0, 5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)
    assert sum(STANDARD_SCHEDULE) == 75 * 3600 + 35 * 60 + 5


def test_rule_23_time_out_is_15_to_30_seconds_unless_an_endpoint_wants_less() -> None:
    assert EndpointSettings(event_types=("*",)).timeout == 15
    assert LONGEST_TIMEOUT == 30


# -- all of them ----------------------------------------------------------------------------------------------------


def test_every_rule_has_a_test() -> None:
    here = {
        int(number)
        for number in re.findall(r"def test_rule_(\d\d)_", (ROOT / "tests/webhooks/test_checklist.py").read_text())
    }
    assert here | set(ELSEWHERE) == set(range(1, 28))
    assert all(ELSEWHERE.values())


@pytest.mark.parametrize(("file", "name"), sorted(set(chain.from_iterable(ELSEWHERE.values()))))
def test_tests_that_are_elsewhere_are_there(file: str, name: str) -> None:
    found = {node.name for node in ast.walk(ast.parse((ROOT / file).read_text())) if isinstance(node, ast.FunctionDef)}
    assert name in found


# -- and what must never arrive -------------------------------------------------------------------------------------


def test_no_library_ends_with_an_error_of_its_own(
    scene: Scene, verify_with: Callable[[str], Verify], captures: list[Capture]
) -> None:
    """Whatever is refused is refused as a signature, an absent header or a shape: a 4xx at the receiver, no 500."""
    known = re.compile("WebhookVerificationError|SeamInvalidWebhookPayloadError|Missing required headers")
    for capture in captures:
        for name in ("standardwebhooks", "svix", "seam"):
            refusal = verify_with(name)(capture, capture.secrets[0])
            assert refusal is None or known.match(refusal), VERIFIERS[name]


def test_bodies_are_utf_8_wherever_they_are_json(captures: list[Capture]) -> None:
    for capture in captures:
        assert capture.headers["content-type"] == "application/json"
        json.loads(capture.body.decode())


def test_every_header_that_was_sent_is_in_the_table_for_receivers(captures: list[Capture]) -> None:
    page = (ROOT / "docs" / "how-to" / "receive-webhooks.md").read_text()
    table = page.partition("## Every header")[2].partition("\n## ")[0].lower()
    first_column = [line.split("|")[1] for line in table.splitlines() if line.startswith("|")]
    documented = {name for cell in first_column for name in re.findall(r"`([\w-]+)`", cell)}
    sent = {"ce-*" if name.startswith("ce-") else name for capture in captures for name in capture.headers}
    assert sent - documented - {"ce-*"} == set()
    assert documented - sent == {"origin"}
