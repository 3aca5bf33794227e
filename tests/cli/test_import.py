"""`heliograph events import`: all of a file, once, in its order, and an account of what was not taken."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest

from heliograph.cli.client import Answer, Call, Refused
from heliograph.cli.importing import BATCH_BYTES, BATCH_EVENTS, IN_FLIGHT, TRIES, Importer, Totals
from heliograph.cli.records import Record
from tests.cli.commands import PATIENCE_SECONDS, Cli, Process
from tests.conftest import StoreUrl
from tests.server import Server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


OWN = ("events", "list", "--no-internal", "--all", "--order", "asc")


def line_of(number: int) -> str:
    """Return one event as a line."""
    return json.dumps({"type": "imported", "eventCode": 10_001, "payload": number}) + "\n"


def file_of(path: Path, numbers: range) -> str:
    """Write these events to a file and return its name."""
    path.write_text("".join(map(line_of, numbers)))
    return str(path)


def payloads(cli: Cli) -> list[Any]:
    """Return the payloads of all own events, in the order of the log."""
    return [event["payload"] for event in cli.lines(*OWN)]


@pytest.fixture(params=["sqlite", "postgres"])
def fresh_server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    """A server with an empty log that takes small batches only, on each database."""
    dsn = request.getfixturevalue("postgres_dsn") if request.param == "postgres" else None
    server = Server.start(StoreUrl(dsn, tmp_path / "data"), synchronous="NORMAL")
    yield server
    server.stop()


def access_to(server: Server) -> dict[str, str]:
    """Return the settings by which commands reach a server."""
    return {"HELIOGRAPH_URL": server.url, "HELIOGRAPH_KEY": server.key}


# -- all of it, once ------------------------------------------------------------------------------------------------


def test_file_is_stored_in_its_order_and_only_once(either_cli: Cli, tmp_path: Path) -> None:
    file = file_of(tmp_path / "events.ndjson", range(1234))
    assert either_cli.json("events", "import", file) == {"stored": 1234, "repeated": 0, "refused": 0}
    assert either_cli.json("events", "import", file) == {"stored": 0, "repeated": 1234, "refused": 0}
    assert payloads(either_cli) == list(range(1234))


def test_import_that_was_killed_half_way_is_completed_by_running_it_again(fresh_server: Server) -> None:
    access = access_to(fresh_server)
    cli = Cli(access)
    words = ("events", "import", "-", "--name", "nightly")
    with Process(*words, environment=access, stdin=subprocess.PIPE) as importer:
        assert importer.popen.stdin is not None
        # Two batches and a half: the importer waits for the rest of the third when it is killed.
        importer.popen.stdin.write("".join(map(line_of, range(1250))).encode())
        importer.popen.stdin.flush()
        deadline = time.monotonic() + PATIENCE_SECONDS
        while len(cli.lines(*OWN)) < 1000:
            assert time.monotonic() < deadline
        importer.popen.kill()
        importer.end()

    summary = cli.json(*words, input="".join(map(line_of, range(2000))))
    assert summary == {"stored": 1000, "repeated": 1000, "refused": 0}
    assert payloads(cli) == list(range(2000))


def test_import_whose_server_was_killed_is_completed_by_running_it_again(fresh_server: Server) -> None:
    access = access_to(fresh_server)
    cli = Cli(access)
    words = ("events", "import", "-", "--name", "nightly")
    with Process(*words, environment=access, stdin=subprocess.PIPE) as importer:
        assert importer.popen.stdin is not None
        importer.popen.stdin.write("".join(map(line_of, range(750))).encode())
        importer.popen.stdin.flush()
        deadline = time.monotonic() + PATIENCE_SECONDS
        while len(cli.lines(*OWN)) < 500:
            assert time.monotonic() < deadline
        fresh_server.kill()
        importer.popen.stdin.write("".join(map(line_of, range(750, 2000))).encode())
        importer.popen.stdin.close()
        assert importer.end() == 1
        assert importer.stdout == ""
        assert "The import broke off; 500 events are stored. Run it again to go on" in importer.stderr
        assert f"{fresh_server.url} does not answer" in importer.stderr
        assert "Traceback" not in importer.stderr

    fresh_server.restart()
    summary = cli.json(*words, input="".join(map(line_of, range(2000))))
    assert summary == {"stored": 1500, "repeated": 500, "refused": 0}
    assert payloads(cli) == list(range(2000))


def test_interrupted_import_says_how_to_go_on(fresh_server: Server) -> None:
    words = ("events", "import", "-", "--name", "nightly")
    with Process(*words, environment=access_to(fresh_server), stdin=subprocess.PIPE) as importer:
        assert importer.popen.stdin is not None
        importer.popen.stdin.write("".join(map(line_of, range(600))).encode())
        importer.popen.stdin.flush()
        deadline = time.monotonic() + PATIENCE_SECONDS
        while len(Cli(access_to(fresh_server)).lines(*OWN)) < 500:
            assert time.monotonic() < deadline
        importer.popen.send_signal(signal.SIGINT)
        assert importer.end() == 130
        assert "Run it again to go on: none is stored twice." in importer.stderr


def test_file_is_known_by_its_content_whatever_it_is_called(cli: Cli, tmp_path: Path) -> None:
    cli.ok("events", "import", file_of(tmp_path / "a.ndjson", range(3)))
    assert cli.json("events", "import", file_of(tmp_path / "b.ndjson", range(3)))["repeated"] == 3
    assert cli.json("events", "import", file_of(tmp_path / "b.ndjson", range(4)))["stored"] == 4


def test_file_that_grows_is_known_by_the_name_of_the_import(cli: Cli, tmp_path: Path) -> None:
    words = ("events", "import", str(tmp_path / "a.ndjson"), "--name", "gate 7/north")
    file_of(tmp_path / "a.ndjson", range(3))
    assert cli.json(*words) == {"stored": 3, "repeated": 0, "refused": 0}
    file_of(tmp_path / "a.ndjson", range(5))
    assert cli.json(*words) == {"stored": 2, "repeated": 3, "refused": 0}
    assert {event["source"] for event in cli.lines(*OWN)} == {"urn:heliograph:import:gate%207%2Fnorth"}


def test_line_that_changed_since_is_refused_as_another_event(cli: Cli) -> None:
    words = ("events", "import", "-", "--name", "n")
    cli.ok(*words, input=line_of(1))
    result = cli.run(*words, "--json", input=line_of(2))
    assert json.loads(result.stdout) == {"stored": 0, "repeated": 0, "refused": 1}
    assert result.stderr == "line 1: Another event was stored before under the same source and id.\n"


def test_standard_input_needs_a_name(cli: Cli) -> None:
    result = cli.run("events", "import", "-", input=line_of(1))
    assert result.exit_code == 2
    assert "--name" in result.stderr


def test_file_that_is_not_there_is_wrong_usage(cli: Cli, tmp_path: Path) -> None:
    assert cli.run("events", "import", str(tmp_path / "none")).exit_code == 2
    assert cli.run("events", "import", str(tmp_path / "none"), "--name", "n").exit_code == 2
    file = file_of(tmp_path / "events.ndjson", range(1))
    assert cli.run("events", "import", file, "--errors", str(tmp_path / "none" / "e")).exit_code == 2


def test_key_that_may_not_store_ends_the_import_at_once(cli: Cli, tmp_path: Path) -> None:
    key = cli.json("key", "create", "reader", "--grant", "viewer")["token"]
    result = cli.run("events", "import", file_of(tmp_path / "e.ndjson", range(5000)), "--key", key)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "This needs the permission 'create event.tenant'" in result.stderr
    assert payloads(cli) == []


# -- what is not taken ----------------------------------------------------------------------------------------------

MIXED = b"""\xef\xbb\xbf{"type":"first","payload":1}

{"type":"second","criticality":9}
{"specversion":"1.0","id":"a","source":"/gate","type":"third","data":3}
{"specversion":"1.0","source":"/gate","type":"fourth"}
nonsense
{"type":"fifth","type":"sixth"}
{"type":"last","payload":8}
"""


def test_refused_lines_are_told_with_place_and_rule_and_the_others_stored(either_cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "mixed.ndjson").write_bytes(MIXED)
    errors = tmp_path / "errors.ndjson"
    result = either_cli.run("events", "import", str(tmp_path / "mixed.ndjson"), "--errors", str(errors), "--json")

    assert result.exit_code == 1
    assert json.loads(result.stdout) == {"stored": 3, "repeated": 0, "refused": 4}
    assert [event["type"] for event in either_cli.lines(*OWN)] == ["first", "third", "last"]
    told = result.stderr.splitlines()
    assert told[0] == "line 3: /criticality: The value is greater than the maximum of 5. [maximum]"
    assert told[1] == "line 5: /id: The attribute 'id' is required. [required]"
    assert told[2].startswith("line 6: ")
    assert told[3] == "line 7: /type: The name 'type' occurs twice in one object. [duplicate-name]"

    kept = [json.loads(line) for line in errors.read_text().splitlines()]
    assert [(record["line"], record["status"]) for record in kept] == [(3, 400), (5, 400), (6, 400), (7, 400)]
    assert kept[0]["text"] == '{"type":"second","criticality":9}'
    assert [(fault["pointer"], fault["rule"]) for fault in kept[0]["errors"]] == [("/criticality", "maximum")]


def test_many_refused_lines_are_told_in_part_and_kept_in_full(cli: Cli, tmp_path: Path) -> None:
    errors = tmp_path / "errors.ndjson"
    result = cli.run("events", "import", "-", "--name", "n", "--errors", str(errors), input="{}\n" * 600)
    assert result.exit_code == 1
    assert len(result.stderr.splitlines()) == 101
    assert result.stderr.endswith("... and more; --errors FILE keeps them all.\n")
    assert len(errors.read_text().splitlines()) == 600


def test_csv_is_told_by_its_name_or_by_the_format(cli: Cli, tmp_path: Path) -> None:
    text = 'type;eventCode;payload\nfrom.csv;10001;{""n"": 1}\nfrom.csv;x;2\nfrom.csv;10001;some text\n'
    (tmp_path / "events.csv").write_text(text.replace('{""n"": 1}', '"{""n"": 1}"'))
    result = cli.run("events", "import", str(tmp_path / "events.csv"), "--json")
    assert json.loads(result.stdout) == {"stored": 2, "repeated": 0, "refused": 1}
    assert result.stderr.startswith("line 3: /eventCode: ")
    first, second = cli.lines(*OWN)
    assert first["payload"] == {"n": 1}
    assert second["payloadContentType"] == "text/plain; charset=utf-8"
    assert cli.json("events", "import", "-", "--name", "n", "--format", "csv", input="type\na\nb\n")["stored"] == 2


def test_csv_with_an_unknown_column_is_refused_as_a_whole(cli: Cli) -> None:
    result = cli.run("events", "import", "-", "--name", "n", "--format", "csv", input="type,colour\na,red\n")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "The header names an unknown field: 'colour'." in result.stderr


def test_batches_become_smaller_where_the_platform_takes_less(cli: Cli, tmp_path: Path) -> None:
    file = file_of(tmp_path / "events.ndjson", range(300))
    assert cli.json("events", "import", file, batch_events="7")["stored"] == 300
    assert payloads(cli) == list(range(300))
    assert cli.json("events", "import", file, batch_bytes="1024")["repeated"] == 300


def test_event_that_is_too_large_is_refused_alone(cli: Cli) -> None:
    large = json.dumps({"type": "large", "payload": "x" * 300_000}) + "\n"
    result = cli.run("events", "import", "-", "--name", "n", "--json", input=line_of(1) + large + line_of(3))
    assert json.loads(result.stdout) == {"stored": 2, "repeated": 0, "refused": 1}
    assert result.stderr.startswith("line 2: /payload: At most 262144 bytes.")


def test_people_get_the_totals_as_a_table(cli: Cli) -> None:
    printed = cli.ok("events", "import", "-", "--name", "n", input=line_of(1) + line_of(2))
    assert [line.split() for line in printed.splitlines()] == [["stored", "2"], ["repeated", "0"], ["refused", "0"]]


# -- on its way -----------------------------------------------------------------------------------------------------


class Platform:
    """Stands in for a platform: stores each batch, after the answers that it was told to give first."""

    def __init__(self, *first: Answer) -> None:
        self.first = list(first)
        self.calls: list[Call] = []
        self.stored = 0

    def send(self, call: Call) -> Answer:
        self.calls.append(call)
        if self.first:
            return self.first.pop(0)
        assert isinstance(call.body, bytes)
        count = call.body.count(b"\n") + 1
        self.stored += count
        results = [{"index": index, "status": 201} for index in range(count)]
        return Answer(201, json.dumps({"results": results}).encode())

    def close(self) -> None:
        """Nothing is open."""


def importer_to(platform: Platform) -> Importer:
    """Return an importer that tells nobody."""
    return Importer(platform, "", lambda refused: None, lambda place: None)


def test_batch_is_sent_again_when_the_platform_was_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    monkeypatch.setattr("time.sleep", waited.append)
    platform = Platform(Answer(503, b"", retry_after=7), Answer(429, b""))
    importer = importer_to(platform)
    importer.run([Record(1, 2, b"{}", b"{}")])
    assert importer.totals == Totals(stored=1)
    assert waited == [7, 1]
    assert len({call.body for call in platform.calls}) == 1


def test_import_ends_when_the_platform_stays_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    problem = json.dumps({"detail": "Too many writes are waiting.", "errors": []}).encode()
    with pytest.raises(Refused, match="Too many writes are waiting"):
        importer_to(Platform(*[Answer(503, problem)] * TRIES)).run([Record(1, 2, b"{}", b"{}")])


def test_file_is_read_only_a_little_ahead_of_what_is_stored() -> None:
    platform = Platform()
    ahead = []

    def endless() -> Iterator[Record]:
        for number in range(20 * BATCH_EVENTS):
            ahead.append(number - platform.stored)
            yield Record(number, number, b"{}", b"{}")

    importer = importer_to(platform)
    importer.run(endless())
    assert importer.totals.stored == 20 * BATCH_EVENTS
    assert max(ahead) <= (IN_FLIGHT + 1) * BATCH_EVENTS


def test_batches_are_bounded_in_bytes_too() -> None:
    platform = Platform()
    importer_to(platform).run([Record(n, n, b"", b" " * (BATCH_BYTES // 2)) for n in range(5)])
    bodies = [call.body for call in platform.calls if isinstance(call.body, bytes)]
    assert [len(body) <= BATCH_BYTES + 2 for body in bodies] == [True, True, True]
