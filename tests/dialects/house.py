"""A tenant with locks, and Seam's view of it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlencode

from heliograph.ids import as_uuid

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.http.inprocess import Answer, Api

SINCE = "2020-01-01T00:00:00.000Z"
REQUEST_ID = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def hyphenated(uid: str) -> str:
    """Return a uid of the native API as Seam prints it."""
    return as_uuid(bytes.fromhex(uid))


def pairs_of(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Encode parameters as Seam's clients do: repeated names, dotted names, empty for nothing, names in order."""
    pairs: list[tuple[str, str]] = []
    for name, value in sorted(values.items()):
        if isinstance(value, dict):
            pairs += pairs_of({f"{name}.{key}": part for key, part in value.items()})
        elif isinstance(value, list | tuple):
            pairs += [(name, _text(part)) for part in value] or [(name, "")]
        else:
            pairs.append((name, _text(value)))
    return pairs


def query_of(values: Mapping[str, Any]) -> str:
    """Return the query string by which the newest clients send parameters."""
    return urlencode([*pairs_of(values), ("_strict", "true")]) if values else ""


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


@dataclass
class House:
    """An organization, a key of an owner's, and uids of what is in it, hyphenated as Seam prints them."""

    api: Api
    tenant: str
    key: str
    account: str = ""
    locks: list[str] = field(default_factory=list)
    codes: dict[str, str] = field(default_factory=dict)
    """PIN to access code."""
    webhook: str = ""

    @classmethod
    def build(cls, api: Api) -> Self:
        """Furnish a new tenant with two locks of one account and two codes on the first, one on the second."""
        tenant = api.tenant()
        house = cls(api, tenant, api.key(tenant, "owner"))
        house.account = house.new_account()
        house.locks = [house.new_lock(house.account) for _ in range(2)]
        house.report(house.locks[0], "4711", "4712")
        house.report(house.locks[1], "4713")
        return house

    @property
    def workspace(self) -> str:
        return hyphenated(self.tenant)

    # -- what happens there -----------------------------------------------------------------------------------------

    def new_account(self) -> str:
        return hyphenated(self._made("/v1/connected-accounts", {"name": self.api.short_name(), "provider": "august"}))

    def new_lock(self, account: str) -> str:
        body = {"brand": "August", "serialNumber": self.api.short_name(), "connectedAccountUid": account}
        return hyphenated(self._made("/v1/devices", body))

    def report(self, lock: str, *pins: str) -> None:
        """Let a lock tell that it holds just these codes."""
        body = {"complete": True, "codes": [{"code": pin, "name": f"guest {pin}"} for pin in pins]}
        answer = self.api.send("PUT", f"/v1/devices/{lock}/access-code-report", self.key, body)
        assert answer.status == 200, answer
        codes = self.api.get(f"/v1/access-codes?deviceUid={lock}", self.key).json()["data"]
        self.codes |= {code["name"].removeprefix("guest "): hyphenated(code["uid"]) for code in codes}

    def publish(self, **event: Any) -> str:
        """Put an event of the tenant's own on record; return its id."""
        return str(self.api.made("/v1/events", event, self.key)["id"])

    def log(self) -> list[Any]:
        """Return the native records of all flat events, oldest first."""
        return [record for record in self.api.log(self.tenant) if record["family"] == "flat"]

    def _made(self, target: str, body: Any) -> str:
        return str(self.api.made(target, body, self.key)["uid"])

    # -- Seam's way -------------------------------------------------------------------------------------------------

    def get(self, path: str, **parameters: Any) -> Answer:
        """Ask as the newest clients do, by GET."""
        return seam(self.api, "GET", path, self.key, parameters)

    def post(self, path: str, **parameters: Any) -> Answer:
        """Ask as older clients do, by POST."""
        return seam(self.api, "POST", path, self.key, parameters)

    def events(self, **parameters: Any) -> list[str]:
        """List events by both ways, which must agree; return their ids."""
        given = parameters if "between" in parameters else {"since": SINCE, **parameters}
        answers = [ask("/events/list", **given) for ask in (self.get, self.post)]
        assert [answer.status for answer in answers] == [200, 200], answers
        first, second = ([event["event_id"] for event in answer.json()["events"]] for answer in answers)
        assert first == second
        return first


def seam(
    api: Api,
    method: str,
    path: str,
    key: str | None,
    parameters: Mapping[str, Any] | None = None,
    headers: tuple[tuple[str, str], ...] = (),
) -> Answer:
    """Send a request to the dialect and check what it promises of every answer."""
    target = f"/seam{path}"
    body = b""
    if method in ("GET", "HEAD", "DELETE"):
        query = query_of(parameters or {})
        target += f"?{query}" if query else ""
    else:
        body = json.dumps(parameters or {}).encode()
        headers = (*headers, ("content-type", "application/json"))
    answer = api.request(method, target, key, body, headers)
    if method != "HEAD":
        check(answer)
    return answer


def check(answer: Answer) -> None:
    """Check what every answer of the dialect has: JSON, `ok`, request id, and the error object when it failed."""
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store", "PINs may be in any answer"
    request_id = answer.headers["seam-request-id"]
    assert REQUEST_ID.fullmatch(request_id)
    assert request_id.replace("-", "") == answer.headers["x-request-id"]
    body = answer.json()
    assert body["ok"] is (answer.status == 200), body
    if answer.status == 200:
        assert "error" not in body
        return
    error = body["error"]
    assert body.keys() == {"error", "ok"}
    assert error.keys() <= {"type", "message", "request_id", "validation_errors", "data"}
    assert isinstance(error["type"], str)
    assert isinstance(error["message"], str)
    assert error["type"]
    assert error["message"]
    assert error["request_id"] == request_id
    assert ("validation_errors" in error) == (answer.status == 400)
    assert ("retry-after" in answer.headers) == (answer.status in (429, 503))
    assert ("www-authenticate" in answer.headers) == (answer.status == 401)
    assert ("allow" in answer.headers) == (answer.status == 405)
    if answer.status == 400:
        _check_tree(error["validation_errors"])


def _check_tree(tree: Any) -> None:
    assert all(isinstance(message, str) for message in tree["_errors"])
    for name, inner in tree.items():
        if name != "_errors":
            _check_tree(inner)


def faults(answer: Answer) -> dict[str, list[str]]:
    """Return the messages of a refusal by parameter; `_errors` are those of the whole request."""
    tree = answer.json()["error"]["validation_errors"]
    return {name: part if name == "_errors" else part["_errors"] for name, part in tree.items()}
