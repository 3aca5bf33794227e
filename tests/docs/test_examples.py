"""What the pages tell people to type works, and prints what they say it prints."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import psycopg
import pytest

from tests.conftest import StoreUrl
from tests.docs.pages import ROOT, blocks
from tests.docs.runner import matches, require, run_blocks
from tests.postgres import PostgresServer
from tests.sdk.sdks import NODE, PYTHON
from tests.server import Server, free_port
from tests.webhooks.verifiers import NODE as VERIFIERS

# Pages that expect a running server, fresh from its first start, on the data folder `data`.
ON_A_SERVER = [
    "README.md",
    "docs/tutorial.md",
    "docs/rules.md",
    "docs/log-format.md",
    "docs/how-to/cloudevents.md",
    "docs/how-to/permissions.md",
    "docs/how-to/provision-a-fleet.md",
    "docs/how-to/report-from-devices.md",
    "docs/how-to/report-access-codes.md",
    "docs/how-to/take-over-access-codes.md",
    "docs/how-to/write-a-connector.md",
    "docs/how-to/longer-work.md",
    "docs/how-to/simulate.md",
]

DELIVERING = {"delivery_allow_networks": "127.0.0.0/8"}
"""Settings of a server that may deliver to this machine."""


@pytest.mark.parametrize("name", ON_A_SERVER)
def test_examples_do_what_the_page_says_on_a_fresh_server(name: str, tmp_path: Path) -> None:
    check_on_a_server(name, tmp_path)


@pytest.mark.node
@pytest.mark.parametrize(("python", "node"), [("python-2", "node-1"), ("python-3", "node-2")])
def test_examples_of_seams_sdk_run_with_both_of_its_majors(python: str, node: str, tmp_path: Path) -> None:
    for installed in (PYTHON[python].installed, NODE[node].installed):
        assert installed.exists(), f"{installed} is missing; `make setup` installs it."
    (tmp_path / "sdk").symlink_to(PYTHON[python].installed.parent)
    packages = tmp_path / "node_modules" / "@seamapi"
    packages.mkdir(parents=True)
    (packages / "http").symlink_to(NODE[node].installed)
    check_on_a_server("docs/how-to/use-seams-sdk.md", tmp_path, DELIVERING, {"9000": str(free_port())})


@pytest.mark.node
def test_examples_of_receivers_verify_what_was_delivered(tmp_path: Path) -> None:
    require("openssl")
    (tmp_path / "node_modules").symlink_to(VERIFIERS / "node_modules")
    check_on_a_server("docs/how-to/receive-webhooks.md", tmp_path, DELIVERING, {"9000": str(free_port())})


def test_examples_of_operation_start_servers_of_their_own(tmp_path: Path) -> None:
    require("curl", "bash")
    port = str(free_port())
    check("docs/how-to/operate.md", tmp_path, {"8080": port}, {"HELIOGRAPH_PORT": port})


def test_examples_of_postgresql_make_and_restore_a_database(tmp_path: Path, postgres_server: PostgresServer) -> None:
    require("curl", "bash")
    name = "docs/how-to/postgresql.md"
    statements = [block.text for block in blocks((ROOT / name).read_text()) if block.language == "sql"]
    address = f"postgresql://heliograph:secret@/heliograph?host={postgres_server.home}"
    exchanges = {
        "postgresql://heliograph:secret@127.0.0.1:5432/heliograph": address,
        "8080": str(free_port()),
        "8081": str(free_port()),
    }
    with psycopg.connect(postgres_server.dsn("postgres"), autocommit=True) as administrator:
        for statement in "".join(statements).split(";\n"):
            administrator.execute(statement.encode())
        row = administrator.execute("select setting from pg_config where name = 'BINDIR'").fetchone()
        assert row is not None
        try:
            check(name, tmp_path, exchanges, extra_path=row[0])
        finally:
            administrator.execute("drop database heliograph with (force)")
            administrator.execute("drop role heliograph")


def check_on_a_server(
    name: str, folder: Path, settings: Mapping[str, str] | None = None, more: Mapping[str, str] | None = None
) -> None:
    """Run the examples of a page with a running server, fresh from its first start; `more` are other exchanges."""
    require("curl", "bash")
    server = Server.start(StoreUrl(None, folder / "data"), **(settings or {}))
    try:
        exchanges = {
            **(more or {}),
            "127.0.0.1:8080": f"127.0.0.1:{server.port}",
            "hg_...": server.key,
            "docs/examples/": f"{ROOT}/docs/examples/",
        }
        check(name, folder, exchanges)
    finally:
        server.stop()


def check(
    name: str, folder: Path, exchanges: Mapping[str, str], settings: Mapping[str, str] | None = None,
    extra_path: str = "",
) -> None:  # fmt: skip
    """Run the examples of a page; fail with all that went wrong."""
    faults = run_blocks(list(blocks((ROOT / name).read_text())), folder, exchanges, settings or {}, extra_path)
    assert not faults, "\n\n".join(faults)


@pytest.mark.parametrize(
    ("documented", "printed"),
    [
        ('{"seq": 2, "id": "..."}', '{"seq":2,"id":"01a1fc7a-c0a2-7068-a6e8-a1246826569a"}'),
        ("key: hg_...", "key: hg_PNoGHNz2poPyKVZaEm4XKECuhJ7H9lPANzgRTKzLSY8\n"),
        ("at 2026-11-21T05:01:05.570999Z ... done", "at 2031-01-02T03:04:05.000006Z, at last, done"),
    ],
)
def test_output_that_differs_in_form_only_is_as_documented(documented: str, printed: str) -> None:
    assert matches(documented, printed)


@pytest.mark.parametrize(
    ("documented", "printed"),
    [('{"seq": 2}', '{"seq":3}'), ('{"seq": 2}', '{"seq":2,"more":1}'), ("exit code 0", ""), ("1 ... 3", "1 2")],
)
def test_output_that_says_something_else_is_recognised(documented: str, printed: str) -> None:
    assert not matches(documented, printed)


def test_command_that_fails_is_named_with_its_line(tmp_path: Path) -> None:
    require("bash")
    page = list(blocks("```sh\ntrue\n```\n\n```sh\necho so far; false\n```\n\n```sh\ntouch never\n```\n"))
    faults = run_blocks(page, tmp_path, {})
    assert len(faults) == 1
    assert faults[0].startswith("line 5: exit code 1\necho so far; false")
    assert not (tmp_path / "never").exists()
