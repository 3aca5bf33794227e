"""An organization with locks, and Seam's routes as its client calls them."""

from __future__ import annotations

import json
from itertools import count
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from heliograph.dialects.seam.routes import PREFIX
from heliograph.ids import as_uuid
from tests.http.inprocess import Answer

if TYPE_CHECKING:
    from tests.http.inprocess import Api

_NUMBERS = count(1)


def uuid(uid: str) -> str:
    """Return a uid as Seam prints it."""
    return as_uuid(bytes.fromhex(uid))


class Premises:
    """An organization with an owner's key, a connector's, and a connected account."""

    def __init__(self, api: Api, *grants: str) -> None:
        self.api = api
        self.uid = api.tenant()
        self.key = api.key(self.uid, "owner")
        self.connector = api.key(self.uid, "connector")
        self.account = self.an_account(customMetadata={"region": "north"})

    def an_account(self, **fields: Any) -> str:
        body = {"name": "Harbour Hotel", "provider": "august"} | fields
        return str(self.api.made("/v1/connected-accounts", body, self.key)["uid"])

    def lock(self, **fields: Any) -> str:
        return self.device(**{"connectedAccountUid": self.account} | fields)

    def device(self, **fields: Any) -> str:
        body = {"brand": "Yale", "serialNumber": f"S-{next(_NUMBERS)}"}
        return str(self.api.made("/v1/devices", body | fields, self.key)["uid"])

    def report(self, lock: str, *codes: dict[str, Any], complete: bool = True) -> None:
        body = {"complete": complete, "codes": list(codes)}
        answer = self.api.send("PUT", f"/v1/devices/{lock}/access-code-report", self.connector, body)
        assert answer.status == 200, answer

    def tell(self, lock: str, **report: Any) -> None:
        """Let a device report of itself."""
        answer = self.api.post(f"/v1/devices/{lock}/reports", self.connector, report)
        assert answer.status == 200, answer

    def limited(self, *grants: str) -> str:
        """Return a key that holds no more than these grants."""
        return self.api.key(self.uid, *grants)

    # -- Seam's routes ----------------------------------------------------------------------------------------------

    def call(self, method: str, path: str, key: str | None = None, *, query: str = "", body: Any = None) -> Answer:
        """Call a route of the dialect, and check what holds for every answer of it."""
        headers = [("authorization", f"Bearer {key or self.key}"), ("host", "localhost:8080")]
        content = b"" if body is None else json.dumps(body).encode()
        if body is not None:
            headers += [("content-type", "application/json"), ("content-length", str(len(content)))]
        sent = [(name.encode(), value.encode()) for name, value in headers]
        target = f"{PREFIX}{path}?{query}" if query else PREFIX + path
        raw = self.api._on_loop(self.api._call(method, target, sent, [content], "127.0.0.1"))
        answer = Answer(raw.status, {name.decode(): value.decode() for name, value in raw.headers}, raw.body)
        assert answer.json()["ok"] is (answer.status == 200), answer
        return answer

    def get(self, path: str, key: str | None = None, **parameters: Any) -> Answer:
        return self.call("GET", path, key, query=urlencode(parameters, doseq=True))

    def post(self, path: str, key: str | None = None, **parameters: Any) -> Answer:
        return self.call("POST", path, key, body=parameters)

    def shown(self, path: str, name: str, /, **parameters: Any) -> Any:
        """Return what a route answers under a name, the same by GET as by POST."""
        answers = [asking(path, **parameters) for asking in (self.get, self.post)]
        assert [answer.status for answer in answers] == [200, 200], answers
        got, posted = (answer.json() for answer in answers)
        assert got == posted
        return got[name]

    def refused(self, path: str, key: str | None = None, **parameters: Any) -> tuple[int, str]:
        """Return status and type of the refusal that POST is answered with."""
        answer = self.post(path, key, **parameters)
        return answer.status, answer.json()["error"]["type"]

    def codes(self, lock: str, kind: str = "unmanaged/") -> dict[str | None, Any]:
        """Return the codes of a lock by their names."""
        found = self.shown(f"/access_codes/{kind}list", "access_codes", device_id=uuid(lock))
        return {code["name"]: code for code in found}
