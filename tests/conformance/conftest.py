"""Fixtures of the conformance tests: a migrated database, a store on it, and tables to scribble in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from heliograph.storage import migrate
from tests.conformance.stores import START_OF_TIME, HandClock, engine_of, store_on

if TYPE_CHECKING:
    from collections.abc import Iterator

    from heliograph.storage.engine import Engine
    from heliograph.storage.store import Store
    from tests.conftest import StoreUrl


@pytest.fixture
def engine(store_url: StoreUrl) -> Iterator[Engine]:
    """An engine over a database with the present schema."""
    engine = engine_of(store_url)
    migrate.migrate(engine, START_OF_TIME)
    yield engine
    engine.close()


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
