"""`heliograph events send`, `list` and `get`."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.cli.commands import Cli, Process, environment_for
from tests.conftest import StoreUrl

if TYPE_CHECKING:
    from pathlib import Path

    from tests.server import Server

OWN = ("events", "list", "--no-internal")


def get(cli: Cli, receipt: Any) -> Any:
    """Return the stored event."""
    return cli.json("events", "get", receipt["id"])


# -- send -----------------------------------------------------------------------------------------------------------


def test_every_field_of_an_event_can_be_given(either_cli: Cli) -> None:
    given = {
        "type": "door.opened", "eventCode": 10001, "criticality": 2, "targetEntityType": "Door",
        "targetEntityId": "door-7", "source": "urn:gateway:1", "sourceId": "17",
        "occurredAt": "2026-01-31T23:59:59.500000Z", "payloadContentType": "application/vnd.door+json",
        "payload": {"by": "badge 4711"},
    }  # fmt: skip
    words = ["--type", "door.opened", "--code", "10001", "--criticality", "2", "--target-type", "Door"]
    words += ["--target-id", "door-7", "--source", "urn:gateway:1", "--source-id", "17"]
    words += ["--occurred-at", "2026-01-31T23:59:59.5Z", "--content-type", "application/vnd.door+json"]
    sent = either_cli.json("events", "send", *words, "--payload", '{"by":"badge 4711"}')
    event = get(either_cli, sent)
    assert {name: event[name] for name in given} == given
    assert (event["seq"], event["recordedAt"]) == (sent["seq"], sent["recordedAt"])


def test_binary_payload_comes_from_a_file_byte_for_byte(cli: Cli, tmp_path: Path) -> None:
    data = bytes(range(256))
    (tmp_path / "picture").write_bytes(data)
    words = ["--code", "10001", "--payload-file", str(tmp_path / "picture"), "--content-type", "image/png"]
    event = get(cli, cli.json("events", "send", *words))
    assert base64.b64decode(event["payloadData"]) == data
    assert event["payloadContentType"] == "image/png"


def test_payload_comes_from_standard_input(cli: Cli) -> None:
    sent = cli.json("events", "send", "--code", "10001", "--payload-file", "-", input=b'{"n": [1, 2.50]}')
    printed = cli.ok("events", "get", sent["id"], "--json")
    assert '"payload":{"n":[1,2.50]}' in printed


def test_repeat_is_told_as_such(cli: Cli) -> None:
    words = ("events", "send", "--code", "10001", "--idempotency-key", "once")
    first = cli.json(*words)
    again = cli.run(*words, "--json")
    assert json.loads(again.stdout) == first
    assert again.stderr == "It was stored before.\n"


def test_refused_event_names_field_and_rule(either_cli: Cli) -> None:
    message = either_cli.refused("events", "send", "--type", "door.opened", "--criticality", "9")
    assert "/criticality: The value is greater than the maximum of 5. [maximum]" in message


@pytest.mark.parametrize(
    "words",
    [["--payload", "{"], ["--payload", "{}", "--payload-file", "-"], ["--payload-file", "/none"], ["--code", "x"]],
)
def test_payload_that_cannot_be_read_is_wrong_usage(cli: Cli, words: list[str]) -> None:
    assert cli.run("events", "send", "--type", "door.opened", *words, input=b"").exit_code == 2


# -- list -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Cli:
    """Commands on a log with 120 own events, which differ in each filter."""
    cli = Cli(environment_for(StoreUrl(None, tmp_path_factory.mktemp("filled") / "data")))
    cli.ok("init")
    lines = [
        {
            "type": f"type.{n % 3}", "eventCode": 10_000 + n % 4, "criticality": n % 6,
            "targetEntityType": f"Kind{n % 2}", "targetEntityId": f"thing-{n}", "payload": n,
            "occurredAt": f"2026-01-01T00:{n // 60:02}:{n % 60:02}Z",
        }
        for n in range(120)
    ]  # fmt: skip
    cli.ok("events", "import", "-", "--name", "filled", input="\n".join(map(json.dumps, lines)))
    return cli


def numbers(events: list[Any]) -> list[int]:
    """Return which of the 120 events these are."""
    return [event["payload"] for event in events]


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["--type", "type.1", "--type", "type.2"], [n for n in range(120) if n % 3]),
        (["--code", "10003"], [n for n in range(120) if n % 4 == 3]),
        (["--criticality", "0", "--criticality", "5"], [n for n in range(120) if n % 6 in (0, 5)]),
        (["--max-criticality", "2"], [n for n in range(120) if n % 6 in (1, 2)]),
        (["--target-type", "Kind1"], [n for n in range(120) if n % 2]),
        (["--target-id", "thing-7", "--target-id", "thing-9"], [7, 9]),
        (["--related-id", "thing-8"], [8]),
        (
            ["--time-field", "occurredAt", "--from", "2026-01-01T00:01:00Z", "--to", "2026-01-01T00:01:03Z"],
            [60, 61, 62],
        ),
        (["--to", "2020-01-01T00:00:00Z"], list(range(120))),
        (["--from", "2020-01-01T00:00:00Z", "--to", "2020-01-02T00:00:00Z"], []),
        (["--subtree"], list(range(120))),
    ],
)
def test_filters_find_what_they_name(filled: Cli, words: list[str], wanted: list[int]) -> None:
    assert numbers(filled.lines(*OWN, "--order", "asc", "--all", *words)) == wanted


def test_filter_by_who_raised_it(filled: Cli) -> None:
    actor = filled.lines(*OWN)[0]["actor"]["uid"]
    assert len(filled.lines(*OWN, "--all", "--actor", actor)) == 120
    assert filled.lines(*OWN, "--actor", "0" * 32) == []


def test_newest_hundred_come_first_unless_told_otherwise(filled: Cli) -> None:
    assert numbers(filled.lines(*OWN)) == list(range(119, 19, -1))
    assert numbers(filled.lines(*OWN, "--limit", "3")) == [119, 118, 117]
    assert len(filled.lines(*OWN, "--limit", "5000")) == 120


def test_internal_events_are_told_from_own_ones(filled: Cli) -> None:
    internal = filled.lines("events", "list", "--internal")
    assert {event["internal"] for event in internal} == {True}
    assert len(filled.lines("events", "list", "--all")) == len(internal) + 120


def test_other_formats_are_printed_as_json(filled: Cli) -> None:
    events = [json.loads(line) for line in filled.ok(*OWN, "--limit", "2", "--format", "cloudevents").splitlines()]
    assert [event["specversion"] for event in events] == ["1.0", "1.0"]
    event_id = filled.lines(*OWN)[0]["id"]
    assert json.loads(filled.ok("events", "get", event_id, "--format", "cloudevents"))["data"] == 119


def test_people_get_a_table_with_one_heading(filled: Cli) -> None:
    heading, *rows = filled.ok(*OWN, "--all").splitlines()
    assert heading.split() == ["recordedAt", "id", "type", "code", "criticality", "target", "payload"]
    assert len(rows) == 120
    assert "Kind1 thing-119" in rows[0]
    assert filled.run(*OWN, "--code", "5").stderr == "(none)\n"


def test_unknown_event_is_refused(filled: Cli) -> None:
    assert filled.refused("events", "get", "0" * 32) == "There is no such event."
    assert "[uid]" in filled.refused("events", "get", "nonsense")


def test_bad_range_names_the_parameters(filled: Cli) -> None:
    message = filled.refused("events", "list", "--from", "yesterday")
    assert message.startswith("query/from: ")


@pytest.mark.parametrize("words", [["--to", "2026-01-01T00:00:00Z"], ["--time-field", "occurredAt"]])
def test_what_has_an_end_cannot_be_followed(filled: Cli, words: list[str]) -> None:
    assert filled.run("events", "list", "--follow", *words).exit_code == 2


def test_follower_sees_what_is_stored_after_it_began(either_server: Server) -> None:
    environment = {"HELIOGRAPH_URL": either_server.url, "HELIOGRAPH_KEY": either_server.key}
    cli = Cli(environment)
    cli.ok("events", "send", "--type", "follow.me", "--payload", "1")
    cli.ok("events", "send", "--type", "follow.me", "--payload", "2")
    words = ("events", "list", "--follow", "--type", "follow.me", "--json")
    with Process(*words, environment=environment) as follower:
        follower.wait_for('"payload":2')
        cli.ok("events", "send", "--type", "somebody.else", "--payload", "3")
        cli.ok("events", "send", "--type", "follow.me", "--payload", "4")
        follower.wait_for('"payload":4')
        follower.popen.send_signal(2)
        assert follower.end() == 130
        assert numbers([json.loads(line) for line in follower.stdout.splitlines()]) == [2, 4]
        assert follower.stderr == "heliograph: interrupted\n"
