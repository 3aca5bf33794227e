"""Endpoints over HTTP: what goes in comes out but for secrets, exact events tell it, and bad input is named."""

from __future__ import annotations

import base64
import datetime
import re
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from heliograph.ids import new_uid
from tests.conftest import StoreUrl
from tests.http.inprocess import Api, settings_for
from tests.http.test_devices import Shop

if TYPE_CHECKING:
    from pathlib import Path

    from heliograph.storage.engine import Transaction
    from tests.http.inprocess import Answer

ENDPOINTS = "/v1/endpoints"
NOBODY = new_uid().hex()
URL = "https://hooks.example.com/heliograph"
SECRET = "whsec_" + base64.b64encode(b"s" * 24).decode()
MASK = "********"


class Owner(Shop):
    """An organization with an owner's key, and its endpoints."""

    def endpoint(self, **more: Any) -> dict[str, Any]:
        made: dict[str, Any] = self.api.made(ENDPOINTS, {"url": URL} | more, self.key)
        return made

    def create(self, **more: Any) -> Answer:
        return self.api.post(ENDPOINTS, self.key, {"url": URL} | more)

    def show(self, uid: str) -> Any:
        answer = self.api.get(f"{ENDPOINTS}/{uid}", self.key)
        assert answer.status == 200, answer
        return answer.json()

    def change(self, uid: str, body: Any, **more: Any) -> Answer:
        return self.api.patch(f"{ENDPOINTS}/{uid}", self.key, body, **more)

    def act(self, uid: str, action: str, body: Any = None, **more: Any) -> Answer:
        target = f"{ENDPOINTS}/{uid}/{action}"
        if body is None:
            return self.api.request("POST", target, self.key, **more)
        return self.api.post(target, self.key, body, **more)

    def news(self, uid: str) -> list[tuple[str, Any]]:
        """Return type and payload of what the log says of an endpoint."""
        found = self.api.log(self.uid, f"&targetEntityType=Endpoint&targetEntityId={uid}")
        return [(event["type"], event["payload"]) for event in found]

    def deliveries(self, uid: str) -> list[int]:
        """Return the states of all deliveries to an endpoint, as they are stored."""

        def read(tx: Transaction) -> list[int]:
            rows = tx.all(
                "select state from delivery where endpoint_uid = :uid order by tenant_id, seq", uid=bytes.fromhex(uid)
            )
            return [row[0] for row in rows]

        return self.api.platform.store.read(read)


@pytest.fixture
def owner_of(api: Api) -> Owner:
    return Owner(api)


# -- what works -----------------------------------------------------------------------------------------------------


def test_endpoint_is_made_shown_changed_and_deleted(owner_of: Owner) -> None:
    given = {
        "eventTypes": ["access_code.*", "Device.Removed", "access_code.*"],
        "families": ["flat", "domain"],
        "criticalities": [1, 2, 1],
        "targetEntityTypes": ["Device"],
        "eventCodes": [10001],
        "format": "cloudevents",
        "ordering": "entity",
        "headerFamily": "both",
        "rate": 50,
        "concurrency": 3,
        "timeout": 30,
        "consent": "bestEffort",
        "retrySchedule": [0, 5, 60],
        "description": "Bookings",
        "customMetadata": {"team": "north", "vip": True},
    }
    made = owner_of.endpoint(**given, headers={"Authorization": "Basic aGVsaW86Z3JhcGg="})
    uid, secret = made["uid"], made.pop("secret")
    assert len(base64.b64decode(secret.removeprefix("whsec_"))) == 32
    assert made == given | {
        "uid": uid,
        "url": URL,
        "state": "active",
        "disabledReason": None,
        "eventTypes": ["access_code.*", "Device.Removed"],
        "criticalities": [1, 2],
        "asymmetric": False,
        "keys": [{"kind": "hmac", "createdAt": made["createdAt"], "expiresAt": None, "publicKey": None}],
        "headers": {"Authorization": MASK},
        "ca": None,
        "clientCertificate": None,
        "createdAt": made["createdAt"],
        "updatedAt": made["createdAt"],
    }
    assert owner_of.show(uid) == made
    assert owner_of.api.get(ENDPOINTS, owner_of.key).json() == {"data": [made], "nextCursor": None}
    changed = owner_of.change(uid, {"rate": None, "eventTypes": ["*"], "url": "HTTPS://Other.example"})
    assert changed.headers["etag"] == '"v2"'
    body = changed.json()
    assert (body["rate"], body["eventTypes"], body["url"]) == (None, ["*"], "https://other.example/")
    assert owner_of.change(uid, {"rate": 1}, headers=[("if-match", '"v1"')]).status == 412
    assert owner_of.api.delete(f"{ENDPOINTS}/{uid}", owner_of.key).status == 204
    assert owner_of.api.get(f"{ENDPOINTS}/{uid}", owner_of.key).status == 404
    assert owner_of.news(uid) == [
        (
            "Endpoint.Created",
            {
                "uid": uid, "host": "hooks.example.com", "eventTypes": ["access_code.*", "Device.Removed"],
                "format": "cloudevents",
            },
        ),
        ("Endpoint.Updated", {"uid": uid, "host": "other.example", "changed": ["url", "eventTypes", "rate"]}),
        ("Endpoint.Deleted", {"uid": uid, "host": "other.example"}),
    ]  # fmt: skip


def test_change_that_changes_nothing_is_no_event_and_no_version(owner_of: Owner) -> None:
    uid = owner_of.endpoint(headers={"X-Key": "abc"})["uid"]
    same = {"url": URL, "eventTypes": ["*"], "headers": {"X-Key": MASK}, "clientKey": None, "clientCertificate": None}
    assert owner_of.change(uid, same).headers["etag"] == '"v1"'
    assert [type for type, _ in owner_of.news(uid)] == ["Endpoint.Created"]


def test_secret_is_shown_once_and_no_repeat_has_it(owner_of: Owner) -> None:
    headers = [("idempotency-key", "one")]
    first = owner_of.api.post(ENDPOINTS, owner_of.key, {"url": URL, "secret": SECRET}, headers=headers)
    again = owner_of.api.post(ENDPOINTS, owner_of.key, {"url": URL, "secret": SECRET}, headers=headers)
    assert (first.status, first.json()["secret"]) == (201, SECRET)
    assert (again.status, again.json()["secret"]) == (200, None)
    assert again.json() | {"secret": SECRET} == first.json()
    uid = first.json()["uid"]
    rotated = owner_of.act(uid, "rotate-secret", headers=headers)
    repeated = owner_of.act(uid, "rotate-secret", headers=headers)
    assert re.fullmatch(r"whsec_[A-Za-z0-9+/]{43}=", rotated.json()["secret"])
    assert repeated.json() == rotated.json() | {"secret": None}
    assert len(owner_of.show(uid)["keys"]) == 2
    everything = str(owner_of.api.log(owner_of.uid)) + str(owner_of.show(uid))
    assert SECRET not in everything
    assert rotated.json()["secret"] not in everything


def test_value_of_a_header_stays_where_its_mask_comes_back(owner_of: Owner) -> None:
    uid = owner_of.endpoint(headers={"X-Key": "abc"})["uid"]
    changed = owner_of.change(uid, {"headers": {"x-key": MASK, "X-Other": "d"}})
    assert changed.json()["headers"] == {"x-key": MASK, "X-Other": MASK}
    refused = owner_of.change(uid, {"headers": {"X-New": MASK}})
    assert refused.faults() == [("/headers/X-New", "hidden-value")]


# -- keys -----------------------------------------------------------------------------------------------------------


def test_old_keys_sign_until_their_overlap_ends_and_ten_at_most(owner_of: Owner) -> None:
    uid = owner_of.endpoint()["uid"]
    for _ in range(10):
        assert owner_of.act(uid, "rotate-secret", {"overlap": 604_800}).status == 200
    keys = owner_of.show(uid)["keys"]
    assert [key["expiresAt"] is None for key in keys] == [True] + [False] * 10
    assert owner_of.act(uid, "rotate-secret", {"overlap": 604_800}).status == 409
    assert owner_of.act(uid, "rotate-secret", {"overlap": 0}).status == 200
    (key,) = owner_of.show(uid)["keys"]
    assert key["expiresAt"] is None


def test_shorter_overlap_ends_the_keys_before_as_well(owner_of: Owner) -> None:
    uid = owner_of.endpoint()["uid"]
    owner_of.act(uid, "rotate-secret", {"overlap": 604_800})
    owner_of.act(uid, "rotate-secret", {"overlap": 60})
    newest, second, oldest = owner_of.show(uid)["keys"]
    assert newest["expiresAt"] is None
    assert second["expiresAt"] == oldest["expiresAt"]


def test_asymmetric_key_comes_and_goes_and_its_private_half_is_never_shown(owner_of: Owner) -> None:
    made = owner_of.endpoint(asymmetric=True)
    uid = made["uid"]
    assert [key["kind"] for key in made["keys"]] == ["hmac", "ed25519"]
    assert re.fullmatch(r"whpk_[A-Za-z0-9+/]{43}=", made["keys"][1]["publicKey"])
    rotated = owner_of.act(uid, "rotate-secret", {"key": "asymmetric"}).json()
    assert rotated["secret"] is None
    assert sorted(key["kind"] for key in rotated["keys"]) == ["ed25519", "ed25519", "hmac"]
    assert "whsk_" not in str(rotated)
    without = owner_of.change(uid, {"asymmetric": False}).json()
    assert [key["kind"] for key in without["keys"]] == ["hmac"]
    assert owner_of.act(uid, "rotate-secret", {"key": "asymmetric"}).status == 409
    assert owner_of.news(uid)[1][1]["kind"] == "asymmetric"
    assert owner_of.news(uid)[2][1]["changed"] == ["asymmetric"]


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ({"overlap": -1}, ("/overlap", "minimum")),
        ({"overlap": 604_801}, ("/overlap", "maximum")),
        ({"secret": SECRET}, ("/secret", "same-secret")),
        ({"secret": "whsec_" + base64.b64encode(b"x" * 23).decode()}, ("/secret", "length")),
        ({"secret": SECRET, "key": "asymmetric"}, ("/secret", "made-by-platform")),
    ],
)
def test_rotation_against_a_rule_is_refused(owner_of: Owner, body: Any, fault: tuple[str, str]) -> None:
    uid = owner_of.endpoint(secret=SECRET)["uid"]
    refused = owner_of.act(uid, "rotate-secret", body)
    assert (refused.status, refused.faults()) == (400, [fault])
    assert len(owner_of.show(uid)["keys"]) == 1


# -- states ---------------------------------------------------------------------------------------------------------


def test_endpoint_is_paused_resumed_disabled_and_enabled(owner_of: Owner) -> None:
    uid = owner_of.endpoint(eventTypes=["nothing.of.that.name"])["uid"]
    states = []
    for action in ("pause", "pause", "resume", "resume", "disable", "disable", "enable", "enable"):
        answer = owner_of.act(uid, action)
        states.append((answer.json()["state"], answer.headers["etag"]))
    assert states == [
        ("paused", '"v2"'), ("paused", '"v2"'), ("active", '"v3"'), ("active", '"v3"'),
        ("disabled", '"v4"'), ("disabled", '"v4"'), ("active", '"v5"'), ("active", '"v5"'),
    ]  # fmt: skip
    told = [(type, payload.get("reason")) for type, payload in owner_of.news(uid)]
    assert told[1:] == [
        ("Endpoint.Paused", None), ("Endpoint.Resumed", None), ("Endpoint.Disabled", "caller"),
        ("Endpoint.Enabled", None),
    ]  # fmt: skip


def test_disabled_endpoint_is_neither_paused_nor_resumed_nor_tried(owner_of: Owner) -> None:
    uid = owner_of.endpoint()["uid"]
    assert owner_of.act(uid, "disable").json()["disabledReason"] == "caller"
    assert [owner_of.act(uid, action).status for action in ("pause", "resume", "test")] == [409, 409, 409]
    assert owner_of.act(uid, "enable", headers=[("if-match", '"v1"')]).status == 412


def test_endpoints_are_listed_by_state_and_in_pages(owner_of: Owner) -> None:
    uids = [owner_of.endpoint(description=str(n))["uid"] for n in range(3)]
    owner_of.act(uids[1], "pause")
    page = owner_of.api.get(f"{ENDPOINTS}?limit=2", owner_of.key).json()
    rest = owner_of.api.get(f"{ENDPOINTS}?limit=2&cursor={page['nextCursor']}", owner_of.key).json()
    assert [one["uid"] for one in page["data"] + rest["data"]] == uids
    assert rest["nextCursor"] is None
    paused = owner_of.api.get(f"{ENDPOINTS}?state=paused&state=disabled", owner_of.key).json()["data"]
    assert [one["uid"] for one in paused] == [uids[1]]


def test_test_event_goes_to_its_endpoint_alone_whatever_that_asks_for(owner_of: Owner) -> None:
    wanting_nothing = owner_of.endpoint(eventTypes=["nothing.of.that.name"])["uid"]
    wanting_all = owner_of.endpoint()["uid"]
    before = owner_of.deliveries(wanting_all)
    sent = owner_of.act(wanting_nothing, "test", headers=[("idempotency-key", "once")])
    assert owner_of.act(wanting_nothing, "test", headers=[("idempotency-key", "once")]).json() == sent.json()
    assert sent.status == 202
    assert len(owner_of.deliveries(wanting_nothing)) == 1
    assert owner_of.deliveries(wanting_all) == before
    (event,) = owner_of.api.log(owner_of.uid, "&type=Endpoint.Test")
    assert sent.json() == {
        "eventId": event["id"],
        "deliveryId": f"{wanting_nothing}-{owner_of.uid}-{event['seq']}",
    }


def test_endpoint_that_gets_seams_bodies_alone_is_sent_no_test(owner_of: Owner) -> None:
    flat = {"families": ["flat"]}
    webhook, plain = owner_of.endpoint(**flat)["uid"], owner_of.endpoint(**flat, format="record")["uid"]
    refused = owner_of.act(webhook, "test")
    assert refused.status == 409, refused
    assert "gets nothing else" in refused.json()["detail"]
    assert owner_of.deliveries(webhook) == []
    assert owner_of.act(plain, "test").status == 202


def test_deleting_an_endpoint_cancels_what_it_had_yet_to_get(owner_of: Owner) -> None:
    uid = owner_of.endpoint(eventTypes=["door.opened"])["uid"]
    owner_of.act(uid, "pause")
    for _ in range(3):
        owner_of.api.made("/v1/events", {"type": "door.opened"}, owner_of.key)
    assert owner_of.deliveries(uid) == [0, 0, 0]
    assert owner_of.api.delete(f"{ENDPOINTS}/{uid}", owner_of.key).status == 204
    owner_of.api.made("/v1/events", {"type": "door.opened"}, owner_of.key)
    assert owner_of.deliveries(uid) == [3, 3, 3]


def test_health_tells_backlog_and_failures(owner_of: Owner) -> None:
    uid = owner_of.endpoint(eventTypes=["door.opened"])["uid"]
    owner_of.act(uid, "pause")
    for _ in range(2):
        owner_of.api.made("/v1/events", {"type": "door.opened"}, owner_of.key)
    health = owner_of.api.get(f"{ENDPOINTS}/{uid}/health", owner_of.key).json()
    assert (health["backlog"], health["state"], health["lastHour"], health["failingSince"]) == (2, "paused", {}, None)
    assert health["oldestDueAt"] is not None


def test_tenant_has_a_thousand_endpoints_at_most(owner_of: Owner) -> None:
    uid = bytes.fromhex(owner_of.endpoint()["uid"])

    def fill(tx: Transaction) -> None:
        columns = "url, state, settings, secrets, health, created_at, updated_at, version"
        for n in range(999):
            tx.run(
                f"insert into endpoint (tenant_id, uid, {columns})"  # noqa: S608  # a constant
                f" select tenant_id, :new, {columns} from endpoint"
                " where uid = :uid",
                new=n.to_bytes(16, "big"), uid=uid,
            )  # fmt: skip

    owner_of.api.run(fill)
    refused = owner_of.create()
    assert (refused.status, refused.json()["detail"]) == (409, "A tenant has at most 1000 endpoints.")


# -- bad input ------------------------------------------------------------------------------------------------------


def test_url_is_required(owner_of: Owner) -> None:
    refused = owner_of.api.post(ENDPOINTS, owner_of.key, {})
    assert (refused.status, refused.faults()) == (400, [("/url", "required")])


@pytest.mark.parametrize(
    ("field", "value", "fault"),
    [
        ("url", "ftp://example.com/", ("/url", "scheme")),
        ("url", "example.com", ("/url", "url")),
        ("url", "https://user:word@example.com/", ("/url", "credentials")),
        ("url", "https://example.com/#part", ("/url", "fragment")),
        ("url", "https://example.com/a b", ("/url", "characters")),
        ("url", "https://example.com/\r\nHost: other", ("/url", "characters")),
        ("url", "https://", ("/url", "host")),
        ("url", "https://example.com:99999/", ("/url", "port")),
        ("url", "https://example.com/" + "a" * 2100, ("/url", "length")),
        ("url", 7, ("/url", "type")),
        ("eventTypes", [], ("/eventTypes", "minItems")),
        ("eventTypes", [f"type.{n}" for n in range(10_000)], ("/eventTypes", "maxItems")),
        ("eventTypes", ["*.created"], ("/eventTypes/0", "pattern")),
        ("eventTypes", ["a", "dev*"], ("/eventTypes/1", "pattern")),
        ("eventTypes", ["a\nb"], ("/eventTypes/0", "pattern")),
        ("eventTypes", ["a" * 256], ("/eventTypes/0", "maxLength")),
        ("eventTypes", [""], ("/eventTypes/0", "minLength")),
        ("families", ["seam"], ("/families/0", "enum")),
        ("criticalities", [6], ("/criticalities/0", "maximum")),
        ("eventCodes", [-1], ("/eventCodes/0", "minimum")),
        ("eventCodes", list(range(101)), ("/eventCodes", "maxItems")),
        ("format", "xml", ("/format", "enum")),
        ("ordering", "device", ("/ordering", "enum")),
        ("headerFamily", "x", ("/headerFamily", "enum")),
        ("consent", "on", ("/consent", "enum")),
        ("rate", 0, ("/rate", "minimum")),
        ("rate", 10_001, ("/rate", "maximum")),
        ("concurrency", 0, ("/concurrency", "minimum")),
        ("concurrency", 101, ("/concurrency", "maximum")),
        ("timeout", 0, ("/timeout", "minimum")),
        ("timeout", 31, ("/timeout", "maximum")),
        ("retrySchedule", [], ("/retrySchedule", "minItems")),
        ("retrySchedule", [0] * 21, ("/retrySchedule", "maxItems")),
        ("retrySchedule", [0, -5], ("/retrySchedule/1", "minimum")),
        ("retrySchedule", [60, 300], ("/retrySchedule/0", "first-wait")),
        ("retrySchedule", [604_801], ("/retrySchedule/0", "maximum")),
        ("description", "a\x00b", ("/description", "pattern")),
        ("description", "a" * 501, ("/description", "maxLength")),
        ("secret", "whsec_" + base64.b64encode(b"x" * 23).decode(), ("/secret", "length")),
        ("secret", "whsec_" + base64.b64encode(b"x" * 65).decode(), ("/secret", "length")),
        ("secret", "whsec_%%%", ("/secret", "base64")),
        ("customMetadata", {"a": 1}, ("/customMetadata/a", "type")),
        ("state", "paused", ("/state", "unknown-field")),
        ("keys", [], ("/keys", "unknown-field")),
    ],
)  # fmt: skip
def test_field_against_its_rule_is_named(owner_of: Owner, field: str, value: Any, fault: tuple[str, str]) -> None:
    refused = owner_of.create(**{field: value})
    assert (refused.status, refused.faults()[:1]) == (400, [fault])
    assert owner_of.api.get(ENDPOINTS, owner_of.key).json()["data"] == []


@pytest.mark.parametrize(
    ("headers", "fault"),
    [
        ({"Host": "a"}, ("/headers/Host", "forbidden-header")),
        ({"Content-Type": "a"}, ("/headers/Content-Type", "forbidden-header")),
        ({"CONTENT-LENGTH": "1"}, ("/headers/CONTENT-LENGTH", "forbidden-header")),
        ({"Transfer-Encoding": "chunked"}, ("/headers/Transfer-Encoding", "forbidden-header")),
        ({"Proxy-Authorization": "a"}, ("/headers/Proxy-Authorization", "forbidden-header")),
        ({"Sec-Fetch-Mode": "a"}, ("/headers/Sec-Fetch-Mode", "forbidden-header")),
        ({"Cookie": "a"}, ("/headers/Cookie", "forbidden-header")),
        ({"webhook-id": "a"}, ("/headers/webhook-id", "forbidden-header")),
        ({"Svix-Signature": "a"}, ("/headers/Svix-Signature", "forbidden-header")),
        ({"X-SOS-Timestamp": "a"}, ("/headers/X-SOS-Timestamp", "forbidden-header")),
        ({"ce-id": "a"}, ("/headers/ce-id", "forbidden-header")),
        ({"User-Agent": "a"}, ("/headers/User-Agent", "forbidden-header")),
        ({"X-Forwarded-For": "10.0.0.1"}, ("/headers/X-Forwarded-For", "forbidden-header")),
        ({"X A": "a"}, ("/headers/X A", "header-name")),
        ({"": "a"}, ("/headers/", "header-name")),
        ({"X-A:": "a"}, ("/headers/X-A:", "header-name")),
        ({"X-A\r\nHost": "a"}, ("/headers/X-A\r\nHost", "header-name")),
        ({"X-A": "a\r\nHost: b"}, ("/headers/X-A", "header-value")),
        ({"X-A": "a\n"}, ("/headers/X-A", "header-value")),
        ({"X-A": "a\x00"}, ("/headers/X-A", "header-value")),
        ({"X-A": " a"}, ("/headers/X-A", "header-value")),
        ({"X-A": ""}, ("/headers/X-A", "header-value")),
        ({"X-A": "ä"}, ("/headers/X-A", "header-value")),
        ({"X-A": "a" * 4096}, ("/headers/X-A", "length")),
        ({"X-A": "1", "x-a": "2"}, ("/headers/x-a", "duplicate-name")),
        ({"X-A": MASK}, ("/headers/X-A", "hidden-value")),
        ({f"X-{n}": "a" for n in range(21)}, ("/headers", "max-items")),
    ],
)
def test_header_that_may_not_be_sent_is_named(owner_of: Owner, headers: Any, fault: tuple[str, str]) -> None:
    uid = owner_of.endpoint()["uid"]
    for answer in (owner_of.create(headers=headers), owner_of.change(uid, {"headers": headers})):
        assert (answer.status, answer.faults()) == (400, [fault])


def test_authorization_is_a_header_like_any_other(owner_of: Owner) -> None:
    assert owner_of.endpoint(headers={"authorization": "Bearer abc"})["headers"] == {"authorization": MASK}


# -- certificates ---------------------------------------------------------------------------------------------------


@cache
def client_key() -> EllipticCurvePrivateKey:
    return generate_private_key(SECP256R1())


def certificate(days: int = 30, since: int = -1) -> str:
    """Return a certificate of `client_key` that is valid for so many days from now."""
    now = datetime.datetime.now(datetime.UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "heliograph")])
    built = x509.CertificateBuilder(
        name, name, client_key().public_key(), x509.random_serial_number(),
        now + datetime.timedelta(days=since), now + datetime.timedelta(days=days),
    ).sign(client_key(), SHA256())  # fmt: skip
    return built.public_bytes(Encoding.PEM).decode()


def key_text(key: EllipticCurvePrivateKey, password: bytes = b"") -> str:
    kept = BestAvailableEncryption(password) if password else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, kept).decode()


def key_with_numbers_too_large() -> str:
    """Return a Diffie-Hellman key (RFC 5208, PKCS #3) with a prime of 12,000 bits."""

    def der(tag: int, content: bytes) -> bytes:
        return bytes((tag, 0x82)) + len(content).to_bytes(2, "big") + content

    numbers = der(0x30, der(2, b"\x00" + b"\xff" * 1500) + der(2, b"\x02"))
    algorithm = der(0x30, bytes.fromhex("06092a864886f70d010301") + numbers)
    content = der(0x30, der(2, b"\x00") + algorithm + der(4, der(2, b"\x07")))
    return f"-----BEGIN PRIVATE KEY-----\n{base64.encodebytes(content).decode()}-----END PRIVATE KEY-----\n"


def test_certificates_are_shown_and_the_key_never(owner_of: Owner) -> None:
    pem, key = certificate(), key_text(client_key())
    made = owner_of.endpoint(ca=pem + pem, clientCertificate=pem, clientKey=key)
    assert (made["ca"], made["clientCertificate"]) == (pem + pem, pem)
    assert "PRIVATE" not in str(made)
    removed = owner_of.change(made["uid"], {"ca": None, "clientCertificate": None, "clientKey": None}).json()
    assert (removed["ca"], removed["clientCertificate"]) == (None, None)
    assert set(owner_of.news(made["uid"])[1][1]["changed"]) == {"ca", "clientCertificate", "clientKey"}


def test_certificate_that_cannot_work_is_refused(owner_of: Owner) -> None:
    pem, key = certificate(), key_text(client_key())
    uid = owner_of.endpoint()["uid"]
    for body, fault in (
        ({"ca": "no PEM"}, ("/ca", "pem")),
        ({"ca": ""}, ("/ca", "pem")),
        ({"ca": pem.replace("M", "N", 1)}, ("/ca", "pem")),
        ({"ca": "x" * 70_000}, ("/ca", "length")),
        ({"ca": certificate(days=-1, since=-2)}, ("/ca", "expired")),
        ({"ca": certificate(days=9, since=8)}, ("/ca", "not-yet-valid")),
        ({"clientCertificate": pem}, ("/clientKey", "pair")),
        ({"clientKey": key}, ("/clientCertificate", "pair")),
        ({"clientCertificate": pem, "clientKey": "no PEM"}, ("/clientKey", "pem")),
        ({"clientCertificate": pem, "clientKey": "x" * 5000}, ("/clientKey", "length")),
        ({"clientCertificate": pem, "clientKey": key_with_numbers_too_large()}, ("/clientKey", "pem")),
        (
            {"clientCertificate": pem, "clientKey": key_text(generate_private_key(SECP256R1()))},
            ("/clientKey", "key-mismatch"),
        ),
        ({"clientCertificate": pem, "clientKey": key_text(client_key(), b"word")}, ("/clientKey", "encrypted")),
        ({"clientCertificate": key, "clientKey": key}, ("/clientCertificate", "pem")),
    ):
        for answer in (owner_of.create(**body), owner_of.change(uid, body)):
            assert (answer.status, answer.faults()) == (400, [fault]), body


def test_endpoint_that_is_not_there_is_not_found(owner_of: Owner) -> None:
    answers = [owner_of.act(NOBODY, action).status for action in ("test", "pause", "enable", "rotate-secret")]
    assert answers == [404, 404, 404, 404]
    assert owner_of.api.get(f"{ENDPOINTS}/{NOBODY}/health", owner_of.key).status == 404


def test_nobody_says_where_events_go_who_may_not_read_them(owner_of: Owner) -> None:
    api, uid = owner_of.api, owner_of.endpoint()["uid"]
    blind = api.key(owner_of.uid, "create endpoint.tenant", "update endpoint.tenant")
    seeing = api.key(owner_of.uid, "update endpoint.tenant", "read event.tenant")
    elsewhere = {"url": "https://elsewhere.example.com/"}
    for refused in (
        api.post(ENDPOINTS, blind, elsewhere),
        api.post("/seam/webhooks/create", blind, elsewhere),
        api.patch(f"{ENDPOINTS}/{uid}", blind, elsewhere),
    ):
        assert refused.status == 403
        assert "'read event.tenant'" in refused.body.decode()
    assert [one["url"] for one in api.get(ENDPOINTS, owner_of.key).json()["data"]] == [URL]
    assert api.patch(f"{ENDPOINTS}/{uid}", blind, {"rate": 1}).status == 200
    assert api.patch(f"{ENDPOINTS}/{uid}", seeing, elsewhere).status == 200


def test_only_https_is_allowed_where_the_operator_demands_it(tmp_path: Path) -> None:
    api = Api(settings_for(StoreUrl(None, tmp_path), delivery_https="required"))
    api.start()
    try:
        refused = api.post(ENDPOINTS, api.root, {"url": "http://hooks.example.com/"})
        assert (refused.status, refused.faults()) == (400, [("/url", "https")])
        uid = api.made(ENDPOINTS, {"url": URL}, api.root)["uid"]
        refused = api.send("PATCH", f"{ENDPOINTS}/{uid}", api.root, {"url": "http://hooks.example.com/"})
        assert (refused.status, refused.faults()) == (400, [("/url", "https")])
        assert api.post("/seam/webhooks/create", api.root, {"url": "http://hooks.example.com/"}).status == 400
        assert api.post("/seam/webhooks/create", api.root, {"url": URL}).status == 200
    finally:
        api.stop()
