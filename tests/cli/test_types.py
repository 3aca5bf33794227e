"""`heliograph types`: the catalogue, and a type of one's own from beginning to end."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.commands import Cli

SCHEMA = {"type": "object", "required": ["by"]}


def test_own_type_is_made_enforced_shown_and_removed(either_cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "schema.json"
    file.write_text(json.dumps(SCHEMA))
    made = either_cli.json(
        "types", "create", "door.opened", "--schema", str(file), "--default-code", "10001", "--default-criticality", "4"
    )
    assert made["schema"] == SCHEMA
    assert either_cli.json("types", "show", "door.opened") == made

    message = either_cli.refused("events", "send", "--type", "door.opened", "--payload", "{}")
    assert "/payload/by" in message
    assert "[required]" in message
    sent = either_cli.json("events", "send", "--type", "door.opened", "--payload", '{"by":"me"}')
    event = either_cli.json("events", "get", sent["id"])
    assert (event["eventCode"], event["criticality"]) == (10001, 4)

    either_cli.ok("types", "delete", "door.opened")
    assert either_cli.refused("types", "show", "door.opened") == "There is no such event type."


def test_catalogue_is_listed_with_the_types_of_the_platform(cli: Cli) -> None:
    assert "access_code.unmanaged.created" in [found["type"] for found in cli.lines("types", "list")]
    assert "access_code.unmanaged.created" in cli.ok("types", "list")


def test_type_of_the_platform_is_shown_with_its_sample(cli: Cli) -> None:
    assert cli.json("types", "show", "Device.ProvisioningRecipeCreated")["sample"]


def test_schema_is_read_from_standard_input(cli: Cli) -> None:
    made = cli.json("types", "create", "door.shut", "--schema", "-", input=json.dumps(SCHEMA))
    assert made["schema"] == SCHEMA


def test_schema_that_is_no_json_is_wrong_usage(cli: Cli) -> None:
    assert cli.run("types", "create", "door.shut", "--schema", "-", input="{").exit_code == 2
