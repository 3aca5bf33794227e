"""`heliograph doctor`: silent about what is well, and plain about what is not."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from heliograph.storage import migrate
from heliograph.storage.migrate import Migration
from tests.cli.commands import Cli

if TYPE_CHECKING:
    from tests.server import Server


class Diagnosis(NamedTuple):
    """What the doctor said: exit code, and the findings by their check."""

    exit_code: int
    findings: dict[str, Any]

    def level(self, check: str) -> str:
        """Return how bad one finding is."""
        return str(self.findings[check]["level"])


def examine(cli: Cli, **settings: str) -> Diagnosis:
    """Ask the doctor."""
    result = cli.run("doctor", "--json", **settings)
    findings = [json.loads(line) for line in result.stdout.splitlines()]
    return Diagnosis(result.exit_code, {finding["check"]: finding for finding in findings})


def folder_of(cli: Cli) -> Path:
    """Return the data folder."""
    return Path(cli.environment["HELIOGRAPH_DATA"])


def test_sound_installation_has_nothing_to_mend(either_cli: Cli) -> None:
    diagnosis = examine(either_cli)
    assert diagnosis.exit_code == 0
    assert {check: finding["level"] for check, finding in diagnosis.findings.items() if finding["level"] != "ok"} in (
        {},
        {"data folder": "warning"},  # made by the test, and not for its owner alone
    )
    assert diagnosis.findings["database"]["message"].startswith(("SQLite 3.", "PostgreSQL 1"))


def test_running_server_is_no_obstacle_and_is_named(server: Server) -> None:
    diagnosis = examine(Cli({"HELIOGRAPH_DATA": str(server.store.data)}))
    assert diagnosis.exit_code == 0
    assert diagnosis.findings["lock"]["message"] == (
        f"Process {server.pid} has the data folder open and serves {server.url}."
    )


def test_people_get_a_table(cli: Cli) -> None:
    heading, *rows = cli.ok("doctor").splitlines()
    assert heading.split() == ["check", "level", "message", "remedy"]
    assert rows[0].split()[:2] == ["settings", "ok"]


def test_bad_setting_is_a_failure(cli: Cli) -> None:
    diagnosis = examine(cli, readers="0")
    assert diagnosis.exit_code == 1
    assert "readers" in diagnosis.findings["settings"]["message"]


def test_missing_folder_is_a_failure_and_is_not_made(empty: Cli) -> None:
    diagnosis = examine(empty)
    assert diagnosis.exit_code == 1
    assert "heliograph init" in diagnosis.findings["data folder"]["remedy"]
    assert not folder_of(empty).exists()


def test_folder_without_a_database_is_a_failure_and_stays_empty(empty: Cli) -> None:
    folder_of(empty).mkdir(mode=0o700)
    diagnosis = examine(empty)
    assert diagnosis.exit_code == 1
    assert diagnosis.findings["database"]["message"].startswith("The database is empty")
    assert list(folder_of(empty).iterdir()) == []


def test_folder_that_others_may_read_is_a_warning(cli: Cli) -> None:
    folder_of(cli).chmod(0o755)
    diagnosis = examine(cli)
    assert diagnosis.exit_code == 0
    assert diagnosis.level("data folder") == "warning"
    assert diagnosis.findings["data folder"]["remedy"] == f"chmod 700 {folder_of(cli)}"


def test_master_key_that_others_may_read_is_a_failure(cli: Cli) -> None:
    path = folder_of(cli) / "master.key"
    path.chmod(0o644)
    diagnosis = examine(cli)
    assert diagnosis.exit_code == 1
    assert diagnosis.findings["master key"]["remedy"] == f"chmod 600 {path}"


def test_missing_master_key_is_a_failure_and_is_not_made(cli: Cli) -> None:
    (folder_of(cli) / "master.key").unlink()
    diagnosis = examine(cli)
    assert diagnosis.exit_code == 1
    assert diagnosis.level("master key") == "failure"
    assert not (folder_of(cli) / "master.key").exists()


def test_master_key_of_another_database_is_a_failure(either_cli: Cli) -> None:
    diagnosis = examine(either_cli, master_key="11" * 32)
    assert diagnosis.exit_code == 1
    assert diagnosis.findings["database"]["message"] == (
        "The master key is not the one that this database was made with."
    )


def test_older_schema_is_a_failure_with_the_command_that_helps(
    either_cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = migrate.migrations()
    added = Migration(steps[-1].number + 1, "9999_more.sql", "create table more (id bigint primary key)")
    monkeypatch.setattr(migrate, "migrations", lambda: [*steps, added])
    diagnosis = examine(either_cli)
    assert diagnosis.exit_code == 1
    assert "heliograph migrate" in diagnosis.findings["database"]["message"]


def test_database_that_is_away_is_a_failure_without_its_password(empty: Cli) -> None:
    settings = {"database_url": "postgresql://user:hidden@127.0.0.1:1/db", "master_key": "11" * 32}
    diagnosis = examine(empty, **settings)
    assert diagnosis.exit_code == 1
    assert diagnosis.level("database") == "failure"
    assert "hidden" not in str(diagnosis)


@pytest.mark.parametrize(("free", "level", "exit_code"), [(500 << 20, "warning", 0), (50 << 20, "failure", 1)])
def test_little_space_is_told_in_time(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, free: int, level: str, exit_code: int
) -> None:
    usage = shutil.disk_usage(folder_of(cli))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=free))
    diagnosis = examine(cli)
    assert (diagnosis.exit_code, diagnosis.level("disk")) == (exit_code, level)


def test_clock_behind_the_log_is_a_warning(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    from heliograph import clock

    now = clock.wall_microseconds()
    monkeypatch.setattr(clock.Clock, "now", lambda self: now - 3600 * clock.MICROSECONDS)
    diagnosis = examine(cli)
    assert diagnosis.exit_code == 0
    assert "behind the newest event" in diagnosis.findings["clock"]["message"]
    assert diagnosis.level("clock") == "warning"
