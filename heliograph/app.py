"""Puts the platform together from its settings; the only module that knows all others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from heliograph import publish
from heliograph.clock import MICROSECONDS, Clock
from heliograph.eventlog.follower import IndexFollower
from heliograph.eventlog.store import lock_heads
from heliograph.http.app import ROUTES
from heliograph.http.edge import Edge
from heliograph.http.services import Services
from heliograph.ids import Secret
from heliograph.settings import BadSetting, Settings
from heliograph.storage import instance, migrate
from heliograph.storage.engine import Engine, Transaction
from heliograph.storage.lockfile import LockFile
from heliograph.storage.postgres import PostgresEngine
from heliograph.storage.sealing import Sealer, load_or_make_key, parse_master_key
from heliograph.storage.sqlite import SqliteEngine
from heliograph.storage.store import Store
from heliograph.tenancy import first_start
from heliograph.tenancy.model import Tenant

DATABASE_FILE = "heliograph.db"
LOCK_FILE = "heliograph.lock"
KEY_FILE = "master.key"


@dataclass(frozen=True, slots=True)
class FirstStart:
    """What an empty database was given: an organization, and the token of its first key."""

    organization: Tenant
    token: Secret


class Platform:
    """Everything below HTTP, open and running: storage, master key and followers."""

    def __init__(self, settings: Settings, *, migrate_empty: bool = True) -> None:
        """Open the database, and prepare it when it is empty.

        Raises:
            Held: when another process has the data folder open.
            SchemaBehind, SchemaAhead: when the schema is not this program's.
            WrongMasterKey: when the database was made with another key.
            BadSetting: when the master key is missing or unreadable.
        """
        self.settings = settings
        self.lock = _lock(settings)
        self.first_start: FirstStart | None = None
        clock = Clock(settings.largest_clock_jump * MICROSECONDS)
        engine = make_engine(settings)
        if migrate_empty and migrate.is_empty(engine, clock.now()):
            migrate.migrate(engine, clock.now())
        migrate.verify(engine, clock.now())
        self.sealer = Sealer(master_key(settings))
        self.store = Store(
            engine, clock, append=publish.ingest, lock=lock_heads, readers=settings.readers,
            longest_queue=settings.write_queue,
        )  # fmt: skip
        self.follower = IndexFollower(
            self.store, share=settings.index_share, soft_lag=settings.index_soft_lag, linger=0.02, poll=1.0
        )
        self.store.on_commit = self.follower.notice
        try:
            self.first_start = self.store.execute(partial(_prepare, sealer=self.sealer))
        except BaseException:
            self.close()
            raise
        self.follower.start()

    def close(self) -> None:
        """Finish what was begun, answer everybody, release the database."""
        self.follower.stop()
        self.store.close()
        if self.lock is not None:
            self.lock.release()


def _lock(settings: Settings) -> LockFile | None:
    if settings.database_url is not None:
        return None
    settings.data.mkdir(parents=True, exist_ok=True, mode=0o700)
    return LockFile(settings.data / LOCK_FILE)


def make_engine(settings: Settings) -> Engine:
    """Choose the database that the settings name."""
    if settings.database_url is not None:
        return PostgresEngine(settings.database_url.reveal())
    return SqliteEngine(settings.data / DATABASE_FILE, settings.synchronous)


def master_key(settings: Settings) -> bytes:
    """Return the master key: given, else from the data folder on SQLite, where it is made when missing.

    Raises:
        BadSetting: when it is missing or unreadable.
    """
    try:
        if settings.master_key is not None:
            return parse_master_key(settings.master_key.reveal())
        if settings.database_url is None:
            return load_or_make_key(Path(settings.data) / KEY_FILE)
    except ValueError as error:
        raise BadSetting(str(error)) from None
    raise BadSetting("PostgreSQL needs HELIOGRAPH_MASTER_KEY or HELIOGRAPH_MASTER_KEY_FILE; make one with"
                     " 'heliograph init --print-key'.")  # fmt: skip


def _prepare(tx: Transaction, sealer: Sealer) -> FirstStart | None:
    """Check the master key, and fill an empty database with a company, an organization and a key."""
    if not instance.claim(tx, sealer):
        return None
    return FirstStart(*first_start.bootstrap(tx))


def make_edge(settings: Settings, opened: Callable[[Platform], None]) -> Edge:
    """Make the ASGI application; the platform is opened when the server starts, and closed when it stops."""
    platforms: list[Platform] = []

    async def start() -> Services:
        platform = Platform(settings)
        platforms.append(platform)
        opened(platform)
        return Services(settings, platform.store, platform.sealer, platform.follower, ROUTES.all)

    def stop() -> None:
        for platform in platforms:
            platform.close()

    return Edge(ROUTES, start, stop)
