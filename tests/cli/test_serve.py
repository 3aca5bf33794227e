"""`heliograph serve`: the first minute, the last one, and every way in which it cannot begin."""

from __future__ import annotations

import http.client
import json
import shlex
import signal
import socket
import stat
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from heliograph.cli.server import _url_of
from heliograph.storage import migrate
from heliograph.storage.migrate import Migration
from tests.cli.commands import MASTER_KEY, PATIENCE_SECONDS, Cli, Process, environment_for
from tests.conftest import StoreUrl


@pytest.fixture
def store(tmp_path: Path) -> StoreUrl:
    """A data folder that is not there yet."""
    return StoreUrl(None, tmp_path / "data")


def serving(store: StoreUrl, **settings: str) -> Process:
    """Start a server on a free port."""
    added = {f"HELIOGRAPH_{name.upper()}": value for name, value in settings.items()}
    return Process("serve", "--port", "0", environment=environment_for(store) | added)


def start_line(server: Process) -> dict[str, Any]:
    """Wait for the line that tells where a server answers."""
    line: dict[str, Any] = json.loads(server.wait_for('"serving"', "stderr"))
    return line


def run_curl(line: str) -> tuple[int, Any]:
    """Do what a curl command line says, in the few words of it that are used here."""
    words = shlex.split(line)
    assert words[:2] == ["curl", "-sS"]
    given = {option: words[place + 1] for place, option in enumerate(words) if option == "-d"}
    headers = dict(words[place + 1].split(": ") for place, word in enumerate(words) if word == "-H")
    url = urlsplit(words[2])
    connection = http.client.HTTPConnection(url.netloc, timeout=PATIENCE_SECONDS)
    connection.request("POST" if given else "GET", f"{url.path}?{url.query}", given.get("-d"), headers)
    answer = connection.getresponse()
    document = json.loads(answer.read())
    connection.close()
    return answer.status, document


# -- the first minute -----------------------------------------------------------------------------------------------


def test_first_start_prints_a_key_and_two_commands_that_work(store_url: StoreUrl) -> None:
    with serving(store_url) as server:
        key = server.wait_for("key: hg_").removeprefix("key: ")
        server.wait_for("from=")
        post, list_ = [line.strip() for line in server.stdout.splitlines() if "curl" in line]

        status, receipt = run_curl(post)
        assert status == 201
        status, page = run_curl(list_)

        assert status == 200
        assert receipt["id"] in [event["id"] for event in page["data"]]
        assert key in post
        assert key in list_


def test_key_is_printed_at_the_first_start_only(store: StoreUrl) -> None:
    with serving(store) as server:
        server.wait_for("key: hg_")
        server.popen.terminate()
        server.end()
    with serving(store) as again:
        start_line(again)
        again.popen.terminate()
        assert again.end() == 0
        assert again.stdout == ""


def test_start_is_told_in_one_line_without_the_password(postgres_dsn: str, tmp_path: Path) -> None:
    with_password = postgres_dsn.replace("postgres@", "postgres:not-for-the-log@")
    assert with_password != postgres_dsn
    with serving(StoreUrl(with_password, tmp_path)) as server:
        line = start_line(server)
        server.popen.terminate()
        server.end()
        assert line["url"].startswith("http://127.0.0.1:")
        assert line["database"].startswith("PostgreSQL ")
        assert line["data"] == str(tmp_path)
        assert "not-for-the-log" not in server.stderr + server.stdout


def test_log_is_text_when_the_settings_say_so(store: StoreUrl) -> None:
    with serving(store, log_format="text") as server:
        assert "url=http://127.0.0.1:" in server.wait_for("serving", "stderr")


def test_data_is_for_its_owner_alone(store: StoreUrl) -> None:
    with serving(store) as server:
        start_line(server)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in [store.data, *store.data.iterdir()]}
    assert {name: oct(mode) for name, mode in modes.items() if mode & 0o077} == {}


def test_address_for_this_machine_is_told_when_all_are_listened_on() -> None:
    with socket.create_server(("0.0.0.0", 0)) as listener:  # noqa: S104 - which is what this is about
        assert _url_of(listener) == f"http://127.0.0.1:{listener.getsockname()[1]}"
    if socket.has_ipv6:
        with socket.create_server(("::1", 0), family=socket.AF_INET6) as listener:
            assert _url_of(listener) == f"http://[::1]:{listener.getsockname()[1]}"


# -- signals --------------------------------------------------------------------------------------------------------


def is_refused(port: int) -> bool:
    """Tell whether nobody listens there any more."""
    try:
        socket.create_connection(("127.0.0.1", port), PATIENCE_SECONDS).close()
    except ConnectionRefusedError:
        return True
    except ConnectionResetError:
        return False
    return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_request_that_has_begun_is_answered_when_the_server_is_told_to_stop(
    store: StoreUrl, number: signal.Signals
) -> None:
    with serving(store) as server:
        key = server.wait_for("key: hg_").removeprefix("key: ")
        port = int(start_line(server)["url"].rpartition(":")[2])
        body = b'{"type":"door.opened"}'
        head = (
            f"POST /v1/events HTTP/1.1\r\nhost: here\r\nauthorization: Bearer {key}\r\nexpect: 100-continue\r\n"
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        with socket.create_connection(("127.0.0.1", port), PATIENCE_SECONDS) as client:
            client.sendall(head.encode())
            assert client.recv(100).startswith(b"HTTP/1.1 100 ")

            server.popen.send_signal(number)
            deadline = time.monotonic() + PATIENCE_SECONDS
            while not is_refused(port):
                assert time.monotonic() < deadline
            client.sendall(body)

            assert client.recv(100).startswith(b"HTTP/1.1 201 ")
        assert server.end() == 0
        assert json.loads(server.stderr.splitlines()[-1])["event"] == "stopped"
    stored = Cli(environment_for(store)).lines("events", "list", "--no-internal")
    assert [event["type"] for event in stored] == ["door.opened"]


def test_clock_is_confirmed_and_the_server_goes_on_when_it_is_hung_up(store: StoreUrl) -> None:
    with serving(store) as server:
        url = start_line(server)["url"]
        server.popen.send_signal(signal.SIGHUP)
        server.wait_for("the clock was confirmed", "stderr")
        assert run_curl(f"curl -sS {url}/healthz")[0] == 200


def test_data_folder_is_free_again_after_the_server_was_killed(store: StoreUrl) -> None:
    with serving(store) as server:
        start_line(server)
        server.popen.kill()
        server.end()
    assert Cli(environment_for(store)).lines("tenant", "list")


# -- it cannot begin ------------------------------------------------------------------------------------------------


def test_second_server_is_refused_with_the_process_that_has_the_folder(store: StoreUrl) -> None:
    with serving(store) as server:
        start_line(server)
        with serving(store) as second:
            assert second.end() == 1
            assert second.stdout == ""
            assert second.stderr == f"heliograph: The data folder is in use by process {server.popen.pid}.\n"


def test_key_is_not_lost_when_the_port_of_the_first_start_is_taken(empty: Cli) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        result = empty.run("serve", port=str(taken.getsockname()[1]))
    assert result.exit_code == 1
    assert "Cannot listen on 127.0.0.1" in result.stderr
    assert "Traceback" not in result.output
    key = result.stdout.strip().removeprefix("key: ")
    assert empty.lines("tenant", "list", "--key", key)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"log_format": "loud"}, "log_format (HELIOGRAPH_LOG_FORMAT) must be one of auto, text, json."),
        ({"port": "70000"}, "port (HELIOGRAPH_PORT) must lie between 0 and 65535."),
        ({"master_key": "short"}, "The master key must be 32 bytes, written as 64 hexadecimal digits or as base64."),
        ({"data": "/proc/none"}, "The data folder /proc/none cannot be used: No such file or directory."),
        ({"database_url": "user:hidden@host"}, "The database address is not one of PostgreSQL."),
        (
            {"database_url": "postgresql://user:hidden@127.0.0.1:1/db"},
            "PostgreSQL needs HELIOGRAPH_MASTER_KEY or HELIOGRAPH_MASTER_KEY_FILE;"
            " 'heliograph init --print-key' makes a key.",
        ),
    ],
)
def test_bad_setting_is_told_in_one_line(empty: Cli, settings: dict[str, str], message: str) -> None:
    assert empty.refused("serve", **settings) == message


def test_setting_that_the_file_misspells_is_told_in_one_line(cli: Cli) -> None:
    Path(cli.environment["HELIOGRAPH_DATA"], "heliograph.toml").write_text("prot = 80\n")
    assert cli.refused("serve") == "heliograph.toml names an unknown setting: prot."


def test_database_that_is_away_is_told_in_one_line_without_the_password(empty: Cli) -> None:
    url = "postgresql://user:hidden@127.0.0.1:1/db"
    message = empty.refused("serve", database_url=url, master_key=MASTER_KEY)
    assert message.startswith("The database cannot be used: ")
    assert "\n" not in message
    assert "hidden" not in message


def test_file_that_is_no_database_is_told_in_one_line(empty: Cli) -> None:
    folder = Path(empty.environment["HELIOGRAPH_DATA"])
    folder.mkdir()
    (folder / "heliograph.db").write_bytes(b"something else entirely" * 1000)
    assert empty.refused("serve") == "The database cannot be used: file is not a database"


def test_master_key_of_another_database_is_refused(either_cli: Cli) -> None:
    message = "The master key is not the one that this database was made with."
    assert either_cli.refused("serve", master_key="11" * 32) == message


def test_lost_master_key_is_missed_and_not_replaced(cli: Cli) -> None:
    key_file = Path(cli.environment["HELIOGRAPH_DATA"], "master.key")
    key_file.unlink()
    assert cli.refused("serve").startswith("The master key cannot be read: No such file or directory")
    assert not key_file.exists()


def test_older_schema_is_refused_until_it_was_migrated(either_cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = migrate.migrations()
    added = Migration(steps[-1].number + 1, "9999_more.sql", "create table more (id bigint primary key)")
    monkeypatch.setattr(migrate, "migrations", lambda: [*steps, added])

    for command in (["serve"], ["tenant", "list"], ["key", "create", "--owner"]):
        assert either_cli.refused(*command).endswith("Stop all servers and run: heliograph migrate")
    assert either_cli.ok("migrate") == "applied 9999_more.sql\n"
    assert either_cli.ok("migrate") == "The schema is up to date.\n"
    assert either_cli.json("migrate") == {"applied": []}
    assert either_cli.lines("tenant", "list")

    monkeypatch.undo()
    for command in (["serve"], ["migrate"]):
        assert either_cli.refused(*command).endswith("use a newer heliograph.")


def test_migration_waits_for_nobody_when_a_server_has_the_folder(store: StoreUrl) -> None:
    with serving(store) as server:
        start_line(server)
        message = Cli(environment_for(store)).refused("migrate")
        assert message == f"The data folder is in use by process {server.popen.pid}."


def test_port_that_is_no_number_is_wrong_usage(empty: Cli) -> None:
    assert empty.run("serve", "--port", "eighty").exit_code == 2


# -- without serving ------------------------------------------------------------------------------------------------


def test_database_is_prepared_once_without_serving(store_url: StoreUrl) -> None:
    cli = Cli(environment_for(store_url))
    key = cli.ok("init").strip().removeprefix("key: ")
    assert cli.lines("tenant", "list", "--key", key)
    message = "The database is in use already; 'heliograph key create --owner' replaces a lost key."
    assert cli.refused("init") == message


def test_preparation_is_told_as_json_when_asked_for(empty: Cli) -> None:
    made = empty.json("init")
    main = next(tenant for tenant in empty.lines("tenant", "list") if tenant["shortName"] == "main")
    assert made["tenantUid"] == main["uid"]
    assert made["key"].startswith("hg_")


def test_printed_master_key_opens_a_database_and_nothing_else_is_done(empty: Cli) -> None:
    key = empty.ok("init", "--print-key").strip()
    assert not Path(empty.environment["HELIOGRAPH_DATA"]).exists()
    assert key != empty.ok("init", "--print-key").strip()
    empty.ok("init", master_key=key)
    assert empty.lines("tenant", "list", master_key=key)


def test_nothing_is_made_when_a_command_finds_no_database(empty: Cli) -> None:
    message = (
        "The database is empty; 'heliograph serve' or 'heliograph init' prepares it."
        f" Looked for in the data folder {empty.environment['HELIOGRAPH_DATA']}."
        " A server that runs is named by --url or HELIOGRAPH_URL."
    )
    for command in (["tenant", "list"], ["events", "list"], ["key", "create", "--owner"]):
        assert empty.refused(*command) == message
    assert not Path(empty.environment["HELIOGRAPH_DATA"]).exists()


def test_empty_postgres_stays_empty_when_a_command_finds_nothing_in_it(postgres_dsn: str, tmp_path: Path) -> None:
    cli = Cli(environment_for(StoreUrl(postgres_dsn, tmp_path)))
    message = cli.refused("tenant", "list")
    assert message.startswith("The database is empty")
    assert message.endswith("prepares it. A server that runs is named by --url or HELIOGRAPH_URL.")
    assert cli.ok("init").startswith("key: hg_")


def test_schema_alone_is_no_prepared_database(empty: Cli) -> None:
    assert empty.ok("migrate").startswith("applied 0001_")
    assert empty.refused("tenant", "list").startswith("The database is empty")
    assert empty.ok("init").startswith("key: hg_")


def test_description_of_the_api_is_printed_without_a_database(empty: Cli) -> None:
    document = json.loads(empty.ok("openapi"))
    assert document["openapi"] == "3.1.0"
    assert "/v1/events" in document["paths"]
    assert not Path(empty.environment["HELIOGRAPH_DATA"]).exists()
