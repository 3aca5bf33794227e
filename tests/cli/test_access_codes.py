"""`heliograph access-codes` and `connected-accounts`: what locks hold, from the shell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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
    codes = [{"externalId": "17", "code": "4711471147", "name": "Cleaning"}, {"externalId": "18", "name": "Guest"}]
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
    assert "4711471147" not in remote.ok(*listed)


def test_pin_is_shown_when_it_is_asked_for(remote: Cli, lock: str) -> None:
    uid = code_of(remote, lock, "clean")
    assert "code" not in remote.json("access-codes", "get", uid)
    assert remote.json("access-codes", "get", uid, "--pin")["code"] == "4711471147"


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


def carry_out(server: Server, operation: dict[str, Any], outcome: str = "succeeded") -> None:
    """Do as a connector what is asked of it."""
    server.request("GET", f"/v1/device-operations?deviceUid={operation['deviceUid']}")
    path = f"/v1/device-operations/{operation['uid']}/complete"
    assert server.request("POST", path, body={"outcome": outcome}).status == 200


def test_code_is_created_changed_and_deleted_by_way_of_the_lock(remote: Cli, server: Server, lock: str) -> None:
    times = ("--starts-at", "2099-03-02T12:00:00Z", "--ends-at", "2099-03-02T13:00:00Z")
    made = remote.json("access-codes", "create", "--device", lock, "--code", "2580", "--name", "Porter", *times)
    code, operation = made["accessCode"], made["operation"]
    assert (code["name"], code["status"], code["type"]) == ("Porter", "setting", "time_bound")
    assert (operation["kind"], code["isExternalModificationAllowed"]) == ("set_access_code", False)
    carry_out(server, operation)
    assert remote.json("access-codes", "get", code["uid"], "--pin")["code"] == "2580"

    wish = ("--code", "1470", "--name", "", "--starts-at", "", "--ends-at", "", "--allow-external-modification")
    changed = remote.json("access-codes", "update", code["uid"], *wish)
    assert changed["accessCode"]["isExternalModificationAllowed"] is True
    carry_out(server, changed["operation"])
    after = remote.json("access-codes", "get", code["uid"], "--pin")
    assert (after["code"], after["name"], after["type"]) == ("1470", None, "ongoing")
    assert remote.json("access-codes", "update", code["uid"], "--no-external-modification")["operation"] is None

    removal = remote.json("access-codes", "delete", code["uid"])
    assert removal["kind"] == "remove_access_code"
    carry_out(server, removal)
    assert "no such access code" in remote.refused("access-codes", "get", code["uid"])


def test_created_code_is_shown_with_its_operation(remote: Cli, lock: str) -> None:
    shown = remote.ok("access-codes", "create", "--device", lock, "--code", "3690", "--name", "Night porter")
    assert "Night porter" in shown
    assert "3690" not in shown
    assert "operation" in shown


def test_code_that_was_never_set_is_deleted_at_once_or_set_again(remote: Cli, server: Server, lock: str) -> None:
    made = remote.json("access-codes", "create", "--device", lock)
    carry_out(server, made["operation"], "failed")
    uid = made["accessCode"]["uid"]
    again = remote.json("access-codes", "update", uid)
    assert again["operation"]["kind"] == "set_access_code"
    carry_out(server, again["operation"], "failed")
    assert remote.ok("access-codes", "delete", uid, "--json") == ""
    assert "no such access code" in remote.refused("access-codes", "delete", uid)


def test_what_is_wrong_with_a_new_code_is_told(remote: Cli, lock: str) -> None:
    created = ("access-codes", "create", "--device", lock)
    assert "1 to 20 digits" in remote.refused(*created, "--code", "12a4")
    assert "must be in the future" in remote.refused(*created, "--ends-at", "2001-01-01T00:00:00Z")
    assert "holds another access code" in remote.refused(*created, "--code", "4711471147")
