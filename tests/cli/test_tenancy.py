"""`heliograph tenant`, `account` and `key`, on each database and through a server."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cli.commands import Cli


@pytest.fixture(params=["here", "server"])
def anywhere(request: pytest.FixtureRequest) -> Cli:
    """Commands on a database that they open, and on one that a server holds."""
    cli: Cli = request.getfixturevalue("cli" if request.param == "here" else "remote")
    return cli


def tenant_called(cli: Cli, short_name: str) -> Any:
    """Return the tenant with that short name."""
    return next(tenant for tenant in cli.lines("tenant", "list") if tenant["shortName"] == short_name)


def test_tenants_are_made_listed_and_renamed(anywhere: Cli) -> None:
    company = tenant_called(anywhere, "company")
    made = anywhere.json("tenant", "create", "Läden im Norden!")
    assert (made["kind"], made["shortName"]) == ("organization", "l-den-im-norden")
    assert made["parentUid"] == company["uid"]

    renamed = anywhere.json("tenant", "rename", made["uid"], "North stores")
    assert renamed == {**made, "name": "North stores"}
    assert renamed in anywhere.lines("tenant", "list")


def test_company_is_to_be_named_when_there_are_several(cli: Cli) -> None:
    root = tenant_called(cli, "company")["uid"]
    south = cli.json("tenant", "create", "South", "--kind", "company", "--parent", root)
    result = cli.run("tenant", "create", "Shop")
    assert result.exit_code == 2
    assert "--parent" in result.stderr
    made = cli.json("tenant", "create", "Shop", "--short-name", "shop-1", "--parent", south["uid"])
    assert (made["parentUid"], made["shortName"]) == (south["uid"], "shop-1")


def test_refusal_names_field_and_rule(anywhere: Cli) -> None:
    message = anywhere.refused("tenant", "create", "Bad", "--short-name", "Not Short")
    assert "/shortName" in message
    assert "[pattern]" in message


def test_taken_short_name_is_refused_in_plain_words(anywhere: Cli) -> None:
    message = anywhere.refused("tenant", "create", "Main again", "--short-name", "main")
    assert message == "The short name 'main' is taken within the root company."


def test_account_is_made_granted_and_revoked(anywhere: Cli) -> None:
    made = anywhere.json("account", "create", "Night shift", "--grant", "viewer")
    assert [grant["grant"] for grant in made["grants"]] == ["viewer"]

    anywhere.ok("account", "rename", made["uid"], "Late shift")
    granted = anywhere.json("account", "grant", made["uid"], "create event.tenant")
    assert granted["grant"] == "create event.tenant"
    anywhere.ok("account", "ungrant", made["uid"], "viewer")
    anywhere.ok("account", "revoke", made["uid"])

    found = next(account for account in anywhere.lines("account", "list") if account["uid"] == made["uid"])
    assert found["name"] == "Late shift"
    assert [grant["grant"] for grant in found["grants"]] == ["create event.tenant"]
    assert found["revokedAt"] is not None


def test_key_is_made_granted_used_and_revoked(anywhere: Cli) -> None:
    made = anywhere.json("key", "create", "gateway", "--grant", "connector", "--expires", "2100-01-01T00:00:00Z")
    assert made["expiresAt"] == "2100-01-01T00:00:00.000000Z"
    anywhere.ok("events", "send", "--code", "10001", "--key", made["token"])

    anywhere.ok("key", "grant", made["uid"], "viewer")
    assert anywhere.lines("events", "list", "--key", made["token"])
    viewer = next(
        grant
        for key in anywhere.lines("key", "list")
        for grant in key["grants"]
        if key["uid"] == made["uid"] and grant["grant"] == "viewer"
    )
    anywhere.ok("key", "ungrant", made["uid"], viewer["uid"])
    assert "read event.tenant" in anywhere.refused("events", "list", "--key", made["token"])

    anywhere.ok("key", "revoke", made["uid"])
    assert anywhere.refused("tenant", "list", "--key", made["token"]) == "The key is not valid."


def test_key_acts_for_another_account_when_told_so(cli: Cli) -> None:
    account = cli.json("account", "create", "Robot", "--grant", "viewer")
    made = cli.json("key", "create", "robot key", "--account", account["uid"], "--grant", "viewer")
    assert made["accountUid"] == account["uid"]


def test_grant_that_is_not_held_cannot_be_taken_back(cli: Cli) -> None:
    made = cli.json("account", "create", "Somebody")
    assert cli.refused("account", "ungrant", made["uid"], "viewer") == "It holds no such grant."


def test_grant_on_several_tenants_is_taken_back_where_it_is_meant(cli: Cli) -> None:
    company, main = tenant_called(cli, "company")["uid"], tenant_called(cli, "main")["uid"]
    made = cli.json("account", "create", "Two hats", "--grant", "viewer", "--on", main, "--tenant", company)
    cli.ok("account", "grant", made["uid"], "viewer", "--on", company, "--tenant", company)

    result = cli.run("account", "ungrant", made["uid"], "viewer", "--tenant", company)
    assert result.exit_code == 2
    assert "--on" in result.stderr

    cli.ok("account", "ungrant", made["uid"], "viewer", "--on", main, "--tenant", company)
    found = next(a for a in cli.lines("account", "list", "--tenant", company) if a["uid"] == made["uid"])
    assert [grant["tenantUid"] for grant in found["grants"]] == [company]


def test_key_needs_a_name_and_a_grant(cli: Cli) -> None:
    assert cli.run("key", "create").exit_code == 2
    assert cli.run("key", "create", "no rights").exit_code == 2


def test_key_for_clients_made_for_seam_begins_as_they_want_it(cli: Cli) -> None:
    made = cli.json("key", "create", "sdk", "--grant", "viewer", "--seam")
    assert made["token"].startswith("seam_hg_")
    assert made["hint"] == made["token"][: len("seam_hg_") + 4]


def test_people_get_tables_and_the_token_on_a_line_of_its_own(cli: Cli) -> None:
    heading, *rows = cli.ok("tenant", "list").splitlines()
    assert heading.split() == ["uid", "kind", "name", "shortName", "parentUid"]
    assert len(rows) == 2
    assert cli.ok("key", "create", "door", "--grant", "viewer").startswith("key: hg_")
    assert "owner on " in cli.ok("key", "list")
    assert cli.ok("account", "list") == ""


def test_names_are_shown_as_they_are(cli: Cli) -> None:
    """Square brackets would be markup to the library that draws the tables."""
    cli.ok("tenant", "create", "[red]Alarm[/red] [/]", "--short-name", "alarm")
    assert "[red]Alarm[/red] [/]" in cli.ok("tenant", "list")


def test_long_lists_are_shown_to_their_end(cli: Cli) -> None:
    for number in range(101):
        cli.ok("account", "create", f"Account {number}")
    assert len(cli.lines("account", "list")) == 101
