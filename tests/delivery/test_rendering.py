"""Bodies, content types and headers of what is sent, and the question for consent."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

import msgspec
import pytest

from heliograph import __version__
from heliograph.delivery.rendering import consent_headers, read_consent, render, request_headers, shown
from heliograph.endpoints.model import Endpoint, EndpointSecrets, EndpointSettings, SigningKey
from heliograph.eventlog.model import Actor, Envelope, Event
from heliograph.eventlog.render import RENDERERS
from heliograph.ids import new_uid

NOW = 1_790_000_000_000_000
ORIGIN = "events.example"


def event(payload: bytes | None = b'{"n":1}', **fields: Any) -> Event:
    given = {
        "actor": Actor(), "commitment": "", "criticality": 1, "id": "0197b3a4-10c2-7d3e-8f40-5162738495a6",
        "internal": False, "payload_length": 7, "type": "door.opened", "payload_content_type": "application/json",
        **fields,
    }  # fmt: skip
    return Event("0" * 32, 17, NOW, Envelope(**given), payload)


def endpoint(**settings: Any) -> tuple[Endpoint, EndpointSecrets]:
    wanted = EndpointSettings(event_types=("*",), **settings)
    one = Endpoint(
        uid=new_uid(), url="https://a.example/", settings=wanted, sealed_secrets=b"", created_at=0, updated_at=0
    )  # fmt: skip
    key = SigningKey(kind="hmac", secret=bytes(32), created_at=0)
    return one, EndpointSecrets(keys=(key,), headers=(("Authorization", "Bearer x"),))


@pytest.mark.parametrize("format", ["wire", "record", "cloudevents"])
def test_body_is_what_the_log_shows_in_that_format(format: Any) -> None:
    message = render(event(), format)
    assert message.body == RENDERERS[format](event())
    expected = "application/cloudevents+json" if format == "cloudevents" else "application/json"
    assert (message.content_type, message.id, message.seq) == (expected, event().envelope.id, 17)


def test_flat_event_is_sent_as_it_is_stored() -> None:
    message = render(event(b'{"event_id":"x"}', family="flat"), "wire")
    assert (message.body, message.content_type) == (b'{"event_id":"x"}', "application/json")


def test_binary_message_has_the_payload_as_its_body_and_the_rest_as_headers() -> None:
    message = render(event(b"\x00\xff", payload_content_type="image/png", target_entity_id="Tür 7%\n"),
                     "cloudevents-binary")  # fmt: skip
    headers = dict(message.headers)
    assert (message.body, message.content_type) == (b"\x00\xff", "image/png")
    assert headers["ce-specversion"] == "1.0"
    assert headers["ce-id"] == event().envelope.id
    assert "ce-datacontenttype" not in headers
    subject = headers["ce-subject"]
    assert subject.isascii()
    assert "\n" not in subject
    assert unquote(subject) == "Tür 7%\n"


@pytest.mark.parametrize("format", ["wire", "record", "cloudevents", "cloudevents-binary"])
def test_erased_payload_leaves_the_rest(format: Any) -> None:
    message = render(event(None), format)
    if format == "cloudevents-binary":
        assert (message.body, message.content_type) == (b"", None)
    else:
        assert "payload" not in msgspec.json.decode(message.body)


def test_headers_name_the_sender_and_carry_the_callers_own_and_the_signature() -> None:
    one, secrets = endpoint()
    headers = request_headers(render(event(), "wire"), one, secrets, NOW, ORIGIN)
    names = [name for name, _ in headers]
    assert names == [
        "user-agent", "content-type", "Authorization", "webhook-id", "webhook-timestamp", "webhook-signature",
    ]  # fmt: skip
    assert dict(headers)["user-agent"] == f"Heliograph/{__version__}"
    assert dict(headers)["webhook-timestamp"] == str(NOW // 1_000_000)


def test_attempts_show_the_names_of_the_callers_headers_only() -> None:
    one, secrets = endpoint()
    headers = shown(request_headers(render(event(), "wire"), one, secrets, NOW, ORIGIN), secrets)
    assert dict(headers)["Authorization"] == "(hidden)"
    assert dict(headers)["webhook-id"] == event().envelope.id


@pytest.mark.parametrize(
    ("internal", "code", "operational"), [(True, 4010, True), (False, 4010, False), (True, 100, False)]
)
def test_event_about_deliveries_is_known_as_one(internal: bool, code: int, operational: bool) -> None:
    assert render(event(internal=internal, event_code=code), "wire").is_operational is operational


@pytest.mark.parametrize(
    ("headers", "given", "per_minute"),
    [
        ((("WebHook-Allowed-Origin", "*"),), True, None),
        ((("webhook-allowed-origin", "Events.Example"), ("webhook-allowed-rate", "120")), True, 120),
        ((("webhook-allowed-origin", "*"), ("webhook-allowed-rate", "*")), True, None),
        ((("webhook-allowed-origin", "*"), ("webhook-allowed-rate", "many")), True, 1),
        ((("webhook-allowed-origin", "*"), ("webhook-allowed-rate", "0")), True, 1),
        ((("webhook-allowed-origin", "other.example"),), False, None),
        ((("webhook-allowed-rate", "120"),), False, None),
        ((), False, None),
    ],
)
def test_consent_is_given_by_a_header_alone(headers: Any, given: bool, per_minute: int | None) -> None:
    consent = read_consent(headers, ORIGIN)
    assert (consent.given, consent.per_minute) == (given, per_minute)


def test_question_names_who_asks_and_how_much_is_coming() -> None:
    one, _ = endpoint(rate=3)
    headers = dict(consent_headers(one, ORIGIN))
    assert (headers["webhook-request-origin"], headers["webhook-request-rate"]) == (ORIGIN, "180")
