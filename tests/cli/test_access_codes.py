"""`heliograph access-codes` and `connected-accounts`: what locks hold, from the shell."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.commands import Cli
    from tests.server import Server


@pytest.fixture
def account(remote: Cli) -> str:
    """The account of the lock."""
    uid: str = remote.json("connected-accounts", "create", "Harbour Hotel", "--provider", "august")["uid"]
    return uid


@pytest.fixture
def lock(server: Server, account: str) -> str:
    """A lock that holds a code for cleaning and one whose digits it hides."""
    body = {"brand": "Yale", "serialNumber": account, "connectedAccountUid": account}
    uid: str = server.request("POST", "/v1/devices", body=body).json["uid"]
    codes = [{"externalId": "17", "code": "4711", "name": "Cleaning"}, {"externalId": "18", "name": "Guest"}]
    report = {"complete": True, "codes": codes}
    assert server.request("PUT", f"/v1/devices/{uid}/access-code-report", body=report).status == 200
    return uid


def code_of(remote: Cli, lock: str, name: str) -> str:
    (code,) = remote.lines("access-codes", "list", "--device", lock, "--name", name)
    uid: str = code["uid"]
    return uid


def test_codes_are_listed_by_lock_management_and_status(remote: Cli, lock: str) -> None:
    listed = ("access-codes", "list", "--device", lock)
    assert [code["name"] for code in remote.lines(*listed, "--unmanaged", "--status", "set")] == ["Cleaning", "Guest"]
    assert remote.lines(*listed, "--managed") == []
    assert remote.lines(*listed, "--status", "unset", "--status", "unknown") == []
    assert "4711" not in remote.ok(*listed)


def test_pin_is_shown_when_it_is_asked_for(remote: Cli, lock: str) -> None:
    uid = code_of(remote, lock, "clean")
    assert "code" not in remote.json("access-codes", "get", uid)
    assert remote.json("access-codes", "get", uid, "--pin")["code"] == "4711"


def test_code_is_converted_once_the_connector_is_done(remote: Cli, server: Server, lock: str) -> None:
    uid = code_of(remote, lock, "clean")
    operation = remote.json("access-codes", "convert", uid, "--force", "--allow-external-modification")
    assert (operation["state"], operation["force"]) == ("pending", True)
    assert operation["isExternalModificationAllowed"] is True
    server.request("GET", f"/v1/device-operations?deviceUid={lock}")
    done = {"outcome": "succeeded"}
    assert server.request("POST", f"/v1/device-operations/{operation['uid']}/complete", body=done).status == 200
    assert remote.json("access-codes", "get", uid)["managed"] is True
    assert [one["state"] for one in remote.lines("access-codes", "operations", uid)] == ["succeeded"]
    assert "managed already" in remote.refused("access-codes", "convert", uid)


def test_conversion_that_fails_at_once_tells_why_and_exits_with_1(remote: Cli, lock: str) -> None:
    result = remote.run("access-codes", "convert", code_of(remote, lock, "guest"))
    assert result.exit_code == 1
    assert "code_unreadable: The lock does not show this code's digits." in result.stderr


def test_account_is_disconnected_and_connected_again(remote: Cli, account: str) -> None:
    lost = remote.json("connected-accounts", "disconnect", account, "--message", "The password was changed.")
    assert (lost["state"], lost["errors"][0]["message"]) == ("disconnected", "The password was changed.")
    listed = ("connected-accounts", "list", "--state", "disconnected", "--provider", "august", "--name", "harb")
    assert account in [one["uid"] for one in remote.lines(*listed)]
    assert remote.json("connected-accounts", "reconnect", account)["errors"] == []
    assert remote.json("connected-accounts", "get", account)["state"] == "connected"
    assert account not in [one["uid"] for one in remote.lines(*listed)]


def test_account_without_a_connection_says_so_when_no_reason_is_given(remote: Cli, account: str) -> None:
    assert remote.json("connected-accounts", "disconnect", account)["errors"][0]["code"] == "account_disconnected"
