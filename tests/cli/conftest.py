"""Fixtures for commands: on a database that was just prepared, and on one that a server holds."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

import pytest
import structlog

from tests.cli.commands import Cli, environment_for
from tests.conftest import StoreUrl

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.server import Server


@pytest.fixture(autouse=True)
def process_as_it_was() -> Iterator[None]:
    """Undo what a command changes of the process it runs in, which is its own in real life."""
    root = logging.getLogger()
    mask, level, handlers = os.umask(0o022), root.level, root.handlers
    os.umask(mask)
    yield
    os.umask(mask)
    root.level, root.handlers = level, handlers
    structlog.reset_defaults()


@pytest.fixture
def empty(tmp_path: Path) -> Cli:
    """Commands on a data folder that is not there yet."""
    return Cli(environment_for(StoreUrl(None, tmp_path / "data")))


@pytest.fixture
def cli(empty: Cli) -> Cli:
    """Commands on a prepared data folder that no server holds."""
    empty.ok("init")
    return empty


@pytest.fixture
def either_cli(store_url: StoreUrl) -> Cli:
    """Commands on a prepared database that no server holds, once on each kind of database."""
    cli = Cli(environment_for(store_url))
    cli.ok("init")
    return cli


@pytest.fixture
def remote(server: Server) -> Cli:
    """Commands that find the server by the data folder, and hold its first key."""
    return Cli({"HELIOGRAPH_DATA": str(server.store.data), "HELIOGRAPH_KEY": server.key})
