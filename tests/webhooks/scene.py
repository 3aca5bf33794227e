"""Deliveries as a receiver got them from a running server: for each situation and family of headers, byte for byte.

Each situation has an organization of its own, in which one event of the tenant's own and one of Seam's shape happen.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.delivery.receivers import NO_CONTENT, Connection, Receiver, answer, header_lines
from tests.sdk.site import Site

if TYPE_CHECKING:
    from tests.server import Server

FAMILIES = ("webhook", "svix", "both", "sos")
TYPES = ("matrix.event", "access_code.unmanaged.created")
LARGEST_PAYLOAD = 256 * 1024
PATIENCE_SECONDS = 30.0

ODD_TEXT = "Tür 7 — 門 😀 e\u0301 \u2028 \ud7ff \x7f"
ODD = {"z": ODD_TEXT, "a": 2**63, "exact": 1.10, "escaped": '\\u00fc </script> "'}
METADATA = {"door": ODD_TEXT}
LARGE_METADATA = {f"{number:040}": "門" * 500 for number in range(50)}


@dataclass(frozen=True)
class Capture:
    """One request; header names are in lower case. `secrets` and `publics` are the keys that it is signed with."""

    url: str
    headers: dict[str, str]
    body: bytes
    secrets: tuple[str, ...]
    publics: tuple[str, ...]

    @property
    def has_seams_shape(self) -> bool:
        """Whether the body is an event as Seam's SDK knows them."""
        return b'"event_type":' in self.body


@dataclass(frozen=True, kw_only=True)
class Situation:
    """What the endpoints of an organization ask for, what happens there, and how many requests each of them gets."""

    payload: bytes = b'{"name":"Front door"}'
    metadata: dict[str, str] = field(default_factory=dict)
    endpoint: dict[str, Any] = field(default_factory=dict)
    requests: int = len(TYPES)


SITUATIONS = {
    "normal": Situation(),
    # The second attempt comes in another second, so that its timestamp is another one.
    "retry": Situation(endpoint={"retrySchedule": [0, 1]}, requests=2 * len(TYPES)),
    "overlap": Situation(),
    "unicode": Situation(payload=json.dumps(ODD, ensure_ascii=False).encode(), metadata=METADATA),
    "one byte": Situation(payload=b"7", endpoint={"format": "cloudevents-binary"}),
    "largest": Situation(payload=b'"%b"' % (b"x" * (LARGEST_PAYLOAD - 2)), metadata=LARGE_METADATA),
    "resent": Situation(requests=2 * len(TYPES)),
}


class Scene:
    """Plays all situations at once, and keeps what the receiver got."""

    def __init__(self, server: Server, receiver: Receiver) -> None:
        self.captures: dict[tuple[str, str], list[Capture]] = {}
        self.requests: list[bytes] = []
        self.server = server
        self._receiver = receiver
        self._keys: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {}
        self._expected: Counter[str] = Counter()

    def play(self) -> None:
        """Let everything happen and be delivered."""
        for name, situation in SITUATIONS.items():
            self._prepare(Site(self.server), name, situation)
        self._resend()
        came = self._receiver.wait(lambda: self._got() >= self._expected, PATIENCE_SECONDS)
        assert came, self._expected - self._got()
        self.requests = list(self._receiver.requests)
        for request in self.requests:
            capture = self._read(request)
            _, name, family = capture.url.rsplit("/", 2)
            self.captures.setdefault((name.replace("-", " "), family), []).append(capture)

    def _prepare(self, site: Site, name: str, situation: Situation) -> None:
        account = site.new_account(customMetadata=situation.metadata)
        lock = site.new_lock(connectedAccountUid=account, customMetadata=situation.metadata)
        for family in FAMILIES:
            path = f"/{name.replace(' ', '-')}/{family}"
            wish = {"url": self._url(path), "eventTypes": TYPES, "headerFamily": family, "asymmetric": True}
            made = self._sent("POST", "/v1/endpoints", wish | situation.endpoint, site.uid)
            secrets = [made["secret"]]
            if name == "overlap":
                for kind in ("asymmetric", "symmetric"):
                    turned = self._sent("POST", f"/v1/endpoints/{made['uid']}/rotate-secret", {"key": kind}, site.uid)
                    made["keys"] = turned["keys"]
                secrets.insert(0, turned["secret"])
            publics = [key["publicKey"] for key in made["keys"] if key["kind"] == "ed25519"]
            self._keys[path] = (tuple(secrets), tuple(publics))
            self._expected[path] = situation.requests
        event = b'{"type": "matrix.event", "eventCode": 10001, "payload": %b}' % situation.payload
        self._sent("POST", "/v1/events", event, site.uid)
        site.holds({"externalId": "17", "code": "4711", "name": "Cleaning"}, lock=lock)

    def _resend(self) -> None:
        """Ask for everything once more that was to be sent again, when it has arrived."""
        for tenant in self._sent("GET", "/v1/tenants?limit=1000")["data"]:
            listed = f"/v1/deliveries?tenantUid={tenant['uid']}&limit=1000"
            urls = {one["uid"]: one["url"] for one in self._sent("GET", "/v1/endpoints", tenant=tenant["uid"])["data"]}
            if not any("/resent/" in url for url in urls.values()):
                continue
            self._wait_until_settled(listed, len(TYPES) * len(FAMILIES))
            for delivery in self._sent("GET", listed)["data"]:
                self._sent("POST", f"/v1/deliveries/{delivery['id']}/resend", {})

    def _wait_until_settled(self, listed: str, number: int) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        # Nothing tells a client that a delivery was settled, which is after the receiver's answer.
        while sum(one["state"] == "delivered" for one in self._sent("GET", listed)["data"]) < number:
            assert time.monotonic() < deadline, self._expected - self._got()
            time.sleep(0.01)

    def _read(self, request: bytes) -> Capture:
        path = path_of(request)
        return Capture(self._url(path), *read_request(request), *self._keys[path])

    def _url(self, path: str) -> str:
        return f"http://127.0.0.1:{self._receiver.port}{path}"

    def _got(self) -> Counter[str]:
        return Counter(map(path_of, self._receiver.requests))

    def _sent(self, method: str, path: str, body: Any = None, tenant: str | None = None) -> Any:
        headers = {"content-type": "application/json"} if isinstance(body, bytes) else None
        query = {"tenantUid": tenant} if tenant else None
        response = self.server.request(method, path, query=query, body=body, headers=headers)
        assert 200 <= response.status < 300, response
        return response.json


class Reluctant(Receiver):
    """A receiver that fails on the first attempt at whatever is to be tried again."""

    def __init__(self) -> None:
        super().__init__(self._play)

    def _play(self, connection: Connection) -> None:
        while request := connection.read_request():
            before = [one for one in self.requests if path_of(one) == path_of(request) and _body(one) == _body(request)]
            self.take(request)
            failing = path_of(request).startswith("/retry/") and not before
            connection.send(answer("500 Internal Server Error") if failing else NO_CONTENT)


def path_of(request: bytes) -> str:
    """Return the path that a request is for."""
    return request.split(b" ", 2)[1].decode()


def read_request(request: bytes) -> tuple[dict[str, str], bytes]:
    """Return headers, their names in lower case, and body of a request."""
    head, _, body = request.partition(b"\r\n\r\n")
    return {name.lower(): value for name, value in header_lines(head)}, body


def _body(request: bytes) -> bytes:
    return request.partition(b"\r\n\r\n")[2]
