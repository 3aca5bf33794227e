"""`heliograph endpoint` and `delivery`: endpoints are added, changed, switched, tried and removed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.commands import Cli

URL = "https://hooks.example.com/heliograph"


def added(cli: Cli, *words: str) -> str:
    """Add an endpoint and return its uid."""
    uid: str = cli.json("endpoint", "create", URL, *words)["uid"]
    return uid


def test_endpoint_is_added_with_its_secret_and_removed(either_cli: Cli) -> None:
    result = either_cli.run("endpoint", "create", URL, "--type", "access_code.*", "--type", "Device.Removed")
    assert re.fullmatch(r"uid: [0-9a-f]{32}\nsecret: whsec_[A-Za-z0-9+/]{43}=\n", result.stdout)
    assert "once" in result.stderr
    (listed,) = either_cli.lines("endpoint", "list")
    assert (listed["url"], listed["eventTypes"]) == (URL, ["access_code.*", "Device.Removed"])
    assert either_cli.json("endpoint", "show", listed["uid"]) == listed
    either_cli.ok("endpoint", "delete", listed["uid"])
    assert either_cli.lines("endpoint", "list") == []


def test_every_option_of_an_endpoint_arrives(cli: Cli) -> None:
    uid = added(
        cli, "--criticality", "1", "--criticality", "2", "--code", "10001", "--target-type", "Device",
        "--event-family", "flat", "--event-family", "record",
        "--format", "cloudevents", "--ordering", "entity", "--header-family", "both", "--asymmetric",
        "--header", "Authorization: Basic abc:def", "--rate", "50", "--concurrency", "2", "--timeout", "20",
        "--retry-schedule", "0,5,60", "--description", "Bookings", "--consent", "bestEffort",
    )  # fmt: skip
    shown = cli.json("endpoint", "show", uid)
    expected = {
        "criticalities": [1, 2], "eventCodes": [10001], "targetEntityTypes": ["Device"], "format": "cloudevents",
        "families": ["flat", "record"],
        "ordering": "entity", "headerFamily": "both", "asymmetric": True, "headers": {"Authorization": "********"},
        "rate": 50, "concurrency": 2, "timeout": 20, "retrySchedule": [0, 5, 60], "description": "Bookings",
        "consent": "bestEffort",
    }  # fmt: skip
    assert {name: shown[name] for name in expected} == expected
    changed = cli.json("endpoint", "update", uid, "--rate", "0", "--symmetric", "--to", "https://other.example/")
    assert (changed["rate"], changed["asymmetric"], changed["url"]) == (None, False, "https://other.example/")
    assert changed["timeout"] == 20


def test_endpoint_is_switched_and_tells_its_health(cli: Cli) -> None:
    uid = added(cli)
    states = [cli.json("endpoint", action, uid)["state"] for action in ("pause", "resume", "disable", "enable")]
    assert states == ["paused", "active", "disabled", "active"]
    assert cli.lines("endpoint", "list", "--state", "paused") == []
    assert cli.json("endpoint", "health", uid)["failingSince"] is None


def test_secret_is_rotated_and_the_new_one_printed(cli: Cli) -> None:
    uid = added(cli, "--asymmetric")
    assert "secret: whsec_" in cli.ok("endpoint", "rotate-secret", uid, "--overlap", "60")
    printed = cli.ok("endpoint", "rotate-secret", uid, "--asymmetric")
    assert "public key: whpk_" in printed
    assert "secret" not in printed
    assert len(cli.json("endpoint", "show", uid)["keys"]) == 4


def test_secret_comes_from_a_file_when_one_is_given(cli: Cli, tmp_path: Path) -> None:
    secret, other = (f"whsec_{letter * 42}A=" for letter in "AB")
    file = tmp_path / "secret.txt"
    file.write_text(f"{secret}\n")
    made = cli.json("endpoint", "create", URL, "--secret-file", str(file))
    assert made["secret"] == secret
    file.write_text(other)
    assert cli.json("endpoint", "rotate-secret", made["uid"], "--secret-file", str(file))["secret"] == other


def test_test_event_becomes_a_delivery_that_is_found_and_sent_again(cli: Cli) -> None:
    uid = added(cli, "--type", "nothing.of.that.name")
    cli.ok("endpoint", "pause", uid)
    sent = cli.json("endpoint", "test", uid)
    (listed,) = cli.lines("delivery", "list", "--endpoint", uid)
    assert (listed["id"], listed["eventId"], listed["state"]) == (sent["deliveryId"], sent["eventId"], "pending")
    assert cli.lines("delivery", "list", "--event", sent["eventId"], "--state", "pending") == [listed]
    assert cli.lines("delivery", "list", "--state", "exhausted", "--error", "timeout") == []
    assert cli.json("delivery", "show", listed["id"]) == listed
    assert cli.lines("delivery", "attempts", listed["id"]) == []
    assert cli.json("delivery", "resend", listed["id"])["state"] == "pending"


def test_what_the_platform_refuses_is_told_with_its_place(cli: Cli, tmp_path: Path) -> None:
    assert "/url" in cli.refused("endpoint", "create", "ftp://example.com/")
    assert "/headers/Host" in cli.refused("endpoint", "create", URL, "--header", "Host: a")
    pem = tmp_path / "ca.pem"
    pem.write_text("no PEM")
    assert "/ca" in cli.refused("endpoint", "create", URL, "--ca", str(pem))
    wrong = ("--header", "no colon"), ("--retry-schedule", "a,b"), ("--ca", str(tmp_path / "none"))
    for words in wrong:
        assert cli.run("endpoint", "create", URL, *words).exit_code == 2
    assert cli.lines("endpoint", "list") == []
