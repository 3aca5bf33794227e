"""The process that only delivers: `heliograph worker`."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING

import structlog

from heliograph import logs
from heliograph.cli.session import open_platform
from heliograph.errors import CannotStart

if TYPE_CHECKING:
    from heliograph.settings import Settings

log = structlog.get_logger("heliograph")


def run(settings: Settings) -> None:
    """Deliver until SIGTERM or SIGINT.

    Raises:
        CannotStart: when the database is an SQLite file, which one process alone has open, or cannot be opened.
    """
    if settings.database_url is None:
        raise CannotStart(
            "A worker of its own needs PostgreSQL (--database-url); with SQLite, 'heliograph serve' delivers."
        )
    logs.configure(settings.log_format)
    platform = open_platform(settings, may_prepare=False)
    stop = threading.Event()
    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stop.set())
        platform.deliver()
        log.info("delivering", database=platform.store.engine.version())
        stop.wait()
    finally:
        platform.close()
    log.info("stopped")
