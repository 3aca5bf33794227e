"""Fixtures of the conformance tests: migrated databases, and a store on one."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from heliograph.storage import migrate
from tests.conformance.stores import START_OF_TIME, HandClock, engine_of, store_on
from tests.conftest import StoreUrl

if TYPE_CHECKING:
    from collections.abc import Iterator

    from heliograph.storage.engine import Connection, Engine
    from heliograph.storage.store import Store
    from tests.postgres import PostgresServer


@contextmanager
def _migrated(url: StoreUrl) -> Iterator[Engine]:
    engine = engine_of(url)
    migrate.migrate(engine, START_OF_TIME)
    yield engine
    engine.close()


@pytest.fixture
def engine(store_url: StoreUrl) -> Iterator[Engine]:
    """An engine over a database of this test's own."""
    with _migrated(store_url) as engine:
        yield engine


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def shared_engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """An engine over one database for a whole module, which names it `engine`: its tests open logs of their own."""
    data = tmp_path_factory.mktemp("data")
    if request.param == "sqlite":
        with _migrated(StoreUrl(None, data)) as engine:
            yield engine
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    dsn = server.create_database()
    with _migrated(StoreUrl(dsn, data)) as engine:
        yield engine
    server.drop_database(dsn)


@pytest.fixture
def connection(engine: Engine) -> Iterator[Connection]:
    """A writing connection."""
    connection = engine.connect(write=True)
    yield connection
    connection.close()


@pytest.fixture
def time() -> HandClock:
    """The clock of the `store` fixture."""
    return HandClock()


@pytest.fixture
def store(engine: Engine, time: HandClock) -> Iterator[Store]:
    """A running store."""
    store = store_on(engine, time)
    yield store
    store.close()
