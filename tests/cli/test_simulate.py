"""`heliograph simulate` against a real server: what it says that it did is what the log says."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from heliograph.access_codes.causes import CAUSES
from heliograph.cli import simulate as command
from heliograph.cli.client import Answer
from heliograph.cli.playbill import CAUSES as SHOWN_CAUSES
from heliograph.cli.playbill import CODES, LOCKS, OTHERS, PLAYERS
from heliograph.cli.simulate import Patience, Patient
from heliograph.simulation.api import Stopped
from heliograph.simulation.fleet import assemble
from heliograph.simulation.plan import Plan
from tests.cli.commands import PATIENCE_SECONDS, PROGRAM, Cli, Process
from tests.conftest import StoreUrl
from tests.server import ROOT, Server, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from heliograph.cli.client import Call

FLEET = ("--players", "12", "--locks", "5", "--rate", "0")


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Server]:
    """A server on which nobody has played."""
    server = Server.start(StoreUrl(None, tmp_path / "data"))
    yield server
    server.stop()


def cli_of(server: Server) -> Cli:
    return Cli({"HELIOGRAPH_URL": server.url, "HELIOGRAPH_KEY": server.key})


def environment_of(server: Server) -> dict[str, str]:
    return {"HELIOGRAPH_URL": server.url, "HELIOGRAPH_KEY": server.key, "COLUMNS": "200"}


def log_of(server: Server) -> Counter[str]:
    """Count the events of the log by type."""
    types: Counter[str] = Counter()
    query: dict[str, Any] = {"from": "2020-01-01T00:00:00Z", "to": "2250-01-01T00:00:00Z", "limit": 1000}
    while True:
        page = server.request("GET", "/v1/events", query=query).json
        types.update(event["type"] for event in page["data"])
        if page["nextCursor"] is None:
            return types
        query["cursor"] = page["nextCursor"]


def test_what_it_did_is_what_the_log_says(either_server: Server) -> None:
    before = log_of(either_server)
    summary = cli_of(either_server).json("simulate", *FLEET, "--seed", "3", "--actions", "500")
    assert summary["disagreements"] == 0, summary["faults"]
    grown = log_of(either_server) - before
    assert grown == {name: found["found"] for name, found in summary["events"].items()}
    assert all(found["found"] == found["expected"] for found in summary["events"].values())
    counts = Counter(summary["counts"])
    assert counts["registered"] + 5 == grown["Device.Added"]
    assert counts["guests came"] == grown["access_code.unmanaged.created"]
    assert counts["conversions succeeded"] == grown["access_code.unmanaged.converted_to_managed"] > 0
    failed = grown["access_code.unmanaged.failed_to_convert_to_managed"]
    assert counts["conversions failed"] + counts["conversions timed out"] == failed > 0
    assert counts["batteries ran low"] == grown["Device.BatteryLow"]


def test_same_seed_and_others_play_again_on_the_same_server(server: Server) -> None:
    cli = cli_of(server)
    first, again, other = (
        cli.json("simulate", *FLEET, "--seed", seed, "--actions", "300") for seed in ("21", "21", "22")
    )
    assert [run["faults"] for run in (first, again, other)] == [[], [], []]
    assert again["counts"]["registered"] == first["counts"]["registered"]
    assert "Device.Added" not in again["events"]
    assert other["events"]["Device.Added"]["found"] > 0


def test_ctrl_c_ends_it_with_a_summary(server: Server) -> None:
    words = ("simulate", "--players", "5", "--locks", "2", "--rate", "0", "--seed", "31")
    with Process(*words, environment=environment_of(server)) as process:
        process.wait_for("in place")
        process.popen.send_signal(signal.SIGINT)
        assert process.end() == 0, process.stderr
        assert "what the log says of it" in process.stdout
        assert "No disagreements." in process.stdout
    pending = server.request("GET", "/v1/access-codes", query={"status": ["setting", "removing"]}).json
    assert pending["data"] == []


def test_run_that_was_killed_leaves_nothing_that_the_next_one_cannot_put_right(server: Server) -> None:
    words = ("simulate", "--players", "5", "--locks", "3", "--rate", "0", "--seed", "32")
    with Process(*words, environment=environment_of(server)) as process:
        process.wait_for("in place")
        process.popen.kill()
        process.end()
    summary = cli_of(server).json(*words, "--actions", "100")
    assert summary["faults"] == []


def test_lost_server_ends_it_with_one_message(fresh: Server) -> None:
    with Process("simulate", *FLEET, environment=environment_of(fresh)) as process:
        process.wait_for("in place")
        fresh.kill()
        assert process.end() == 1
        assert process.stderr.startswith(f"heliograph: {fresh.url} does not answer")
        assert "Traceback" not in process.stderr


def test_event_that_nobody_expected_is_a_disagreement(fresh: Server) -> None:
    words = ("simulate", "--players", "3", "--locks", "1", "--rate", "200", "--seed", "4")
    with Process(*words, environment=environment_of(fresh)) as process:
        process.wait_for("in place")
        accounts = fresh.request("GET", "/v1/connected-accounts").json["data"]
        path = f"/v1/connected-accounts/{accounts[0]['uid']}"
        assert fresh.request("PATCH", path, body={"name": "Something else"}).status == 200
        process.popen.send_signal(signal.SIGINT)
        assert process.end() == 1
        assert "the log has 1 events ConnectedAccount.Updated, expected were 0" in process.stderr


def test_code_that_somebody_else_creates_on_its_locks_is_set(fresh: Server) -> None:
    words = ("simulate", "--players", "0", "--locks", "1", "--rate", "200", "--seed", "4")
    with Process(*words, environment=environment_of(fresh)) as process:
        process.wait_for("in place")
        lock = fresh.request("GET", "/v1/devices").json["data"][0]["uid"]
        made = fresh.request("POST", "/v1/access-codes", body={"deviceUid": lock, "name": "Mine"}).json
        operation = f"/v1/device-operations/{made['operation']['uid']}"
        deadline = time.monotonic() + PATIENCE_SECONDS
        while fresh.request("GET", operation).json["state"] == "pending":
            assert time.monotonic() < deadline
        assert fresh.request("GET", operation).json["state"] == "succeeded"
        process.popen.send_signal(signal.SIGINT)
        assert process.end() == 0, process.stderr
        assert "done for others" in process.stdout


def test_no_server_and_no_fleet_are_told(cli: Cli) -> None:
    assert "No server serves" in cli.refused("simulate", key="hg_x")
    wrong = cli.run("simulate", "--players", "0", "--locks", "0", key="hg_x")
    assert wrong.exit_code == 2
    assert "at least one player or lock" in wrong.stderr


def test_key_that_may_not_is_told_what_it_lacks(server: Server) -> None:
    cli = cli_of(server)
    key = cli.json("key", "create", "viewer", "--grant", "viewer")["token"]
    message = cli.refused("simulate", "--players", "1", "--locks", "0", "--json", key=key)
    assert message.startswith("POST /v1/provisioning-recipes/import was refused (403): ")
    assert "create recipe.tenant" in message


# -- a busy server --------------------------------------------------------------------------------------------------


class Busy:
    """Answers that it is too busy, some times, then 200."""

    url = "http://busy"

    def __init__(self, times: int | None) -> None:
        self.times = times
        self.calls: list[Call] = []

    def send(self, call: Call) -> Answer:
        self.calls.append(call)
        asked = sum(one.path != "/healthz" for one in self.calls)
        if call.path != "/healthz" and (self.times is None or asked <= self.times):
            return Answer(503, b'{"detail": "Busy."}', retry_after=7)
        return Answer(200, b'{"fine": true}')

    def close(self) -> None:
        """Hold nothing."""


class Time:
    """A clock that stands still but for sleeping."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Time:
    """The time as the command sees it."""
    found = Time()
    monkeypatch.setattr(command, "time", found)
    return found


def patient(server: Busy, *, ending: bool = False) -> tuple[Patient, list[str]]:
    noted: list[str] = []
    patience = Patience(lambda: ending, lambda: noted.append("again"))
    return Patient(server, None, patience), noted


def test_busy_server_is_asked_again_when_it_says(clock: Time) -> None:
    server = Busy(times=2)
    asks, noted = patient(server)
    assert asks.send("POST", "/v1/x", None, {"a": 1}).document == {"fine": True}
    assert clock.now == pytest.approx(14)
    assert [call.body for call in server.calls if call.body] == [b'{"a":1}'] * 3
    assert len(noted) == 2


def test_busy_server_is_given_up_when_the_play_is_to_end(clock: Time) -> None:
    asks, _ = patient(Busy(times=None), ending=True)
    with pytest.raises(Stopped):
        asks.send("POST", "/v1/x")
    assert clock.now == pytest.approx(command.GRACE_SECONDS, abs=0.2)


def test_connection_that_was_idle_is_tried_before_something_that_may_not_be_sent_twice(clock: Time) -> None:
    server = Busy(times=0)
    asks, _ = patient(server)
    clock.now += command.IDLE_SECONDS + 1
    asks.send("POST", "/v1/x")
    asks.send("POST", "/v1/y")
    assert [call.path for call in server.calls] == ["/healthz", "/v1/x", "/v1/y"]


# -- what is shown --------------------------------------------------------------------------------------------------


def test_every_counter_and_every_cause_is_shown() -> None:
    plan = Plan(assemble(20, 10, 1))
    steps = [*plan.opening(), *(step for step, _ in zip(plan.steps(), range(4000), strict=False))]
    counted = {name for step in steps for name in step.counts}
    assert counted <= {*PLAYERS, *LOCKS, *CODES, *SHOWN_CAUSES, *OTHERS}
    assert tuple(cause.error_code for cause in CAUSES) == SHOWN_CAUSES


# -- make demo ------------------------------------------------------------------------------------------------------


def demo(tmp_path: Path, port: int, *words: str) -> subprocess.Popen[bytes]:
    """Begin what `make demo` does, in a process group of its own and with a folder of its own for what is temporary."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("HELIOGRAPH_")}
    return subprocess.Popen(
        [ROOT / "demo.sh", PROGRAM.parent, "127.0.0.1", str(port), "--players", "3", "--locks", "1", *words],
        env=inherited | {"TMPDIR": str(tmp_path)}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip


def is_answering(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_demo_ends_fleet_and_server_on_ctrl_c_and_leaves_nothing(tmp_path: Path) -> None:
    port = free_port()
    with demo(tmp_path, port, "--rate", "100") as process:
        assert process.stdout is not None
        printed = []
        for line in process.stdout:
            printed.append(line.decode())
            if "in place" in printed[-1]:
                os.killpg(process.pid, signal.SIGINT)
        assert process.wait(PATIENCE_SECONDS) == 0
    text = "".join(printed)
    assert f"http://127.0.0.1:{port}" in text
    assert "key: hg_" in text
    assert "No disagreements." in text
    assert not is_answering(port)
    assert list(tmp_path.iterdir()) == []


def test_demo_says_why_it_cannot_serve(server: Server, tmp_path: Path) -> None:
    with demo(tmp_path, server.port) as process:
        _, complaints = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 1
    assert b"Cannot listen on 127.0.0.1" in complaints
    assert list(tmp_path.iterdir()) == []
