"""Fixtures that every test may use."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.postgres import PostgresServer
from tests.server import Server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytest_plugins = ["tests.programs"]


class StoreUrl(NamedTuple):
    """Where a store is to be opened: `database_url` is None for SQLite, and `data` is the data folder."""

    database_url: str | None
    data: Path


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A PostgreSQL of this session's own (with xdist: of this worker's own)."""
    server = PostgresServer.start()
    yield server
    server.stop()


@pytest.fixture
def postgres_dsn(postgres_server: PostgresServer) -> Iterator[str]:
    """The URL of a fresh, empty PostgreSQL database."""
    dsn = postgres_server.create_database()
    yield dsn
    postgres_server.drop_database(dsn)


@pytest.fixture(params=["sqlite", "postgres"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> StoreUrl:
    """A fresh place for a store, once on each database."""
    if request.param == "sqlite":
        return StoreUrl(None, tmp_path)
    return StoreUrl(request.getfixturevalue("postgres_dsn"), tmp_path)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A running server on SQLite, one for the tests of a module."""
    running = Server.start(StoreUrl(None, tmp_path_factory.mktemp("data")))
    yield running
    running.stop()


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def either_server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A running server, one on each database for the tests of a module."""
    if request.param == "sqlite":
        yield request.getfixturevalue("server")
        return
    databases: PostgresServer = request.getfixturevalue("postgres_server")
    dsn = databases.create_database()
    running = Server.start(StoreUrl(dsn, tmp_path_factory.mktemp("data")))
    yield running
    running.stop()
    databases.drop_database(dsn)
