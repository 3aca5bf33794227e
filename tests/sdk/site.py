"""An organization with locks that the tests prepare through the native API, and the connector that plays its vendor."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any
from uuid import UUID

if TYPE_CHECKING:
    from tests.server import Response, Server

_NUMBERS = count(1)
ACCOUNT_METADATA = {"region": "north", "paid": True}
DEVICE_METADATA = {"door": "B2-12"}


def as_id(uid: str) -> str:
    """Return a uid as Seam prints it."""
    return str(UUID(uid))


class Site:
    """One organization; `key` is for the SDK, everything else happens through the native API."""

    def __init__(self, server: Server) -> None:
        self.server = server
        tenants = server.request("GET", "/v1/tenants").json["data"]
        company = next(tenant["uid"] for tenant in tenants if tenant["parentUid"] is None)
        name = f"site-{next(_NUMBERS)}"
        tenant = {"kind": "organization", "name": name, "shortName": name}
        self.uid: str = self._sent("POST", "/v1/tenants", tenant, company)["uid"]
        self.key: str = self.new_key("owner")
        self.account = self.new_account()
        self.lock = self.new_lock()

    def new_key(self, grant: str) -> str:
        """Return a new key for an SDK."""
        wish = {"name": grant, "format": "seam", "grants": [{"grant": grant, "tenantUid": self.uid}]}
        return str(self._sent("POST", "/v1/keys", wish)["token"])

    def new_account(self, **fields: Any) -> str:
        """Add a connected account."""
        wish = {"name": "Harbour Hotel", "provider": "august", "customMetadata": ACCOUNT_METADATA}
        return str(self._sent("POST", "/v1/connected-accounts", wish | fields)["uid"])

    def new_lock(self, **fields: Any) -> str:
        """Add a lock of the first account."""
        wish = {
            "brand": "Yale",
            "serialNumber": f"SN-{next(_NUMBERS)}",
            "name": "Room 12",
            "connectedAccountUid": self.account,
            "customMetadata": DEVICE_METADATA,
        }
        return str(self._sent("POST", "/v1/devices", wish | fields)["uid"])

    def holds(self, *codes: dict[str, Any], lock: str | None = None) -> list[str]:
        """Report all that a lock holds, by default the first one; return the ids of its codes in the order of names."""
        lock = lock or self.lock
        answer = self._sent("PUT", f"/v1/devices/{lock}/access-code-report", {"complete": True, "codes": codes})
        assert (answer["applied"], answer["refused"]) == (True, [])
        listed = self._sent("GET", f"/v1/access-codes?deviceUid={lock}&limit=1000")["data"]
        return [as_id(code["uid"]) for code in sorted(listed, key=lambda code: code["name"] or "")]

    def disconnect(self, message: str) -> None:
        """Report that the vendor no longer lets us into the first account."""
        self._sent("POST", f"/v1/connected-accounts/{self.account}/disconnect", {"message": message})

    def operations(self) -> list[Any]:
        """Take the next operation that the connector is to carry out, if there is one."""
        return list(self._sent("GET", "/v1/device-operations?limit=1")["data"])

    def complete(self, outcome: str = "succeeded", **fields: Any) -> Any:
        """Take the next operation, and tell that it is done, or that it failed and why."""
        (operation,) = self.operations()
        return self._sent("POST", f"/v1/device-operations/{operation['uid']}/complete", {"outcome": outcome, **fields})

    def _sent(self, method: str, path: str, body: Any = None, tenant: str | None = None) -> Any:
        path, _, query = path.partition("?")
        answer: Response = self.server.request(
            method, f"{path}?tenantUid={tenant or self.uid}&{query}".rstrip("&"), body=body
        )
        assert 200 <= answer.status < 300, answer
        return answer.json
