"""What an earlier run of the same seed left on the server: found, and put back to where a run begins."""

from __future__ import annotations

from typing import Any

from heliograph.simulation.api import Api, Unexpected, ask, items
from heliograph.simulation.fleet import Before, Fleet
from heliograph.simulation.registration import RECIPES, metadata_of

_HOME: dict[str, Any] = {"session": {"state": "offline"}, "battery": {"level": 1}, "errors": [], "warnings": []}


def tidy(api: Api, fleet: Fleet) -> tuple[Before, dict[str, str]]:
    """Reconnect accounts, put devices offline with full batteries, and take all codes from the locks.

    Returns what is there, and the uids of the accounts by their names in the plan.

    Raises:
        Unexpected: when the server refuses any of it.
    """
    accounts = _accounts(api, fleet)
    devices = {
        device["serialNumber"]: device
        for device in items(api, "/v1/devices", {"serialNumberPrefix": fleet.serials, "state": "enrolled"})
    }
    for device in devices.values():
        if device["connected"] or device["warnings"]:
            ask(api, "POST", f"/v1/devices/{device['uid']}/reports", None, _HOME)
    placed = set()
    for lock in fleet.locks:
        device = devices.get(lock.serial)
        if device is not None and device["connectedAccountUid"] is not None:
            _empty(api, device["uid"])
            if device["connectedAccountUid"] == accounts.get(f"account {lock.account}"):
                placed |= {lock.serial} if device["customMetadata"] == metadata_of(lock) else set()
    recipes = list(items(api, RECIPES, {"serialNumberPrefix": fleet.serials}))
    before = Before(
        listed=frozenset(recipe["serialNumber"] for recipe in recipes),
        warned=frozenset(
            recipe["serialNumber"] for recipe in recipes if recipe["unsuccessfulRegisterAttemptStatus"] is not None
        ),
        enrolled=frozenset(devices),
        placed=frozenset(placed),
    )
    return before, accounts


def _accounts(api: Api, fleet: Fleet) -> dict[str, str]:
    names = {account.name: f"account {account.number}" for account in fleet.accounts}
    found: dict[str, str] = {}
    for account in items(api, "/v1/connected-accounts", {"namePrefix": fleet.account_names}):
        name = names.get(account["name"])
        if name is not None and name not in found:
            found[name] = account["uid"]
            if account["state"] == "disconnected":
                ask(api, "POST", f"/v1/connected-accounts/{account['uid']}/reconnect")
    return found


def _empty(api: Api, lock_uid: str) -> None:
    """Take all codes from a lock: ours by asking for that, those of guests by a report without them."""
    for code in list(items(api, "/v1/access-codes", {"deviceUid": lock_uid, "managed": True})):
        path = f"/v1/access-codes/{code['uid']}"
        if code["status"] in ("setting", "removing"):
            for operation in ask(api, "GET", f"{path}/operations")["data"]:
                if operation["state"] == "pending":
                    _complete(api, operation, "failed")
        reply = api.send("DELETE", path)
        if reply.status == 202:
            _complete(api, reply.document, "succeeded")
        elif reply.status not in (204, 404):
            words = "is still at work for an earlier run; begin again when that is over, in some minutes"
            raise Unexpected(f"The lock {lock_uid} {words}.")
    ask(api, "PUT", f"/v1/devices/{lock_uid}/access-code-report", None, {"complete": True, "codes": []})


def _complete(api: Api, operation: dict[str, Any], outcome: str) -> None:
    query = {"wait": 0, "limit": 100, "deviceUid": operation["deviceUid"]}
    ask(api, "GET", "/v1/device-operations", query)
    # One that somebody else holds, or that has ended meanwhile, is refused; what is left then shows.
    api.send("POST", f"/v1/device-operations/{operation['uid']}/complete", None, {"outcome": outcome})
