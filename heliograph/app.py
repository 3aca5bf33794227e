"""Puts the platform together from its settings; the only module that knows all others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from heliograph import publish
from heliograph.access_codes.completing import expire
from heliograph.access_codes.forgetting import FORGETTING
from heliograph.access_codes.reporting import report_kind
from heliograph.clock import MICROSECONDS, Clock
from heliograph.delivery import actions as deliveries
from heliograph.delivery.backlog import CANCELLING
from heliograph.delivery.counters import Counters
from heliograph.delivery.guard import Networks
from heliograph.delivery.policy import parse_schedule
from heliograph.delivery.settling import Rules
from heliograph.dialects.seam.app import SEAM
from heliograph.errors import CannotStart
from heliograph.eventlog.follower import IndexFollower
from heliograph.eventlog.store import lock_heads
from heliograph.eventlog.upkeep import Upkeep
from heliograph.http.app import ROUTES
from heliograph.http.edge import Edge
from heliograph.http.services import Services
from heliograph.ids import Secret
from heliograph.jobs import actions as jobs
from heliograph.jobs.model import JobKind
from heliograph.jobs.recurring import Chore, Recurring
from heliograph.jobs.runner import Runner
from heliograph.operations import actions as operations
from heliograph.presence import actions as presence
from heliograph.provisioning import actions as provisioning
from heliograph.provisioning.importing import import_kind
from heliograph.provisioning.recipes import parse_demands
from heliograph.provisioning.releasing import DETACHING
from heliograph.settings import BadSetting, Settings
from heliograph.storage import instance, migrate
from heliograph.storage.engine import Engine, Transaction
from heliograph.storage.lockfile import LockFile
from heliograph.storage.sealing import Sealer, make_key_file, parse_master_key
from heliograph.storage.store import Store
from heliograph.tenancy import first_start
from heliograph.tenancy.access import all_tenants
from heliograph.tenancy.model import Scope, Tenant

DATABASE_FILE = "heliograph.db"
LOCK_FILE = "heliograph.lock"
KEY_FILE = "master.key"


class Unprepared(CannotStart):
    """The database is empty, and whoever opens it did not come to change that."""

    def __init__(self) -> None:
        super().__init__("The database is empty; 'heliograph serve' or 'heliograph init' prepares it.")


@dataclass(frozen=True, slots=True)
class FirstStart:
    """What an empty database was given: an organization, and the token of its first key."""

    organization: Tenant
    token: Secret


class Working(Protocol):
    """Something with a thread of its own."""

    def start(self) -> None:
        """Begin."""

    def stop(self) -> None:
        """End what is at hand, and the thread."""


class Platform:
    """Everything below HTTP, open and running: storage, master key and followers."""

    def __init__(self, settings: Settings, *, may_prepare: bool = True) -> None:
        """Open the database, and prepare it first when it is empty and that is allowed.

        Raises:
            CannotStart: when the data folder is in use, the schema is not this program's, the master key is missing
                or wrong, the database is empty or cannot be reached.
        """
        self.settings = settings
        clock = Clock(settings.largest_clock_jump * MICROSECONDS)
        with ExitStack() as resources:
            if not may_prepare and settings.database_url is None and not (settings.data / DATABASE_FILE).exists():
                raise Unprepared
            self.lock = resources.enter_context(_held(settings))
            engine = make_engine(settings)
            with plain_outages(engine):
                self.sealer, self.first_start = _ready(settings, engine, clock.now(), may_prepare)
            self.store = Store(
                engine, clock, append=publish.ingest, lock=lock_heads, readers=settings.readers,
                longest_queue=settings.write_queue,
            )  # fmt: skip
            self._resources = resources.pop_all()
        self.follower = IndexFollower(
            self.store, share=settings.index_share, soft_lag=settings.index_soft_lag, patience=1.0
        )
        self.upkeep = Upkeep(self.store, remember_days=settings.dedup_days)
        if self.lock is not None:
            self.store.execute(jobs.take_over)
        self.jobs = {kind.name: kind for kind in _job_kinds(settings, self.sealer)}
        self.runner = Runner(self.store, self.jobs, self.upkeep.technical_error)
        self.recurring = Recurring(self.store, _chores(settings))
        self.store.on_commit = self.follower.notice
        self.deliveries = Counters()
        self.wind_down: Callable[[], None] = lambda: None
        """Begins to end what takes longest; `close` waits for it."""
        self._workers: list[Working] = [self.follower, self.upkeep, self.runner, self.recurring]
        for worker in self._workers:
            worker.start()

    def deliver(self) -> None:
        """Begin to deliver to endpoints, until the platform is closed.

        Raises:
            CannotStart: when the proxy of the settings cannot be used.
        """
        # Commands that open the platform for a moment need no HTTP client.
        from heliograph.delivery.sender import Sender
        from heliograph.delivery.worker import Worker

        settings = self.settings
        sender = Sender(Networks.parse(settings.delivery_allow_networks), settings.delivery_proxy)
        rules = Rules(
            schedule=parse_schedule(settings.delivery_retry_schedule),
            warn_after=int(settings.delivery_warn_days * 86_400 * MICROSECONDS),
            disable_after=int(settings.delivery_disable_days * 86_400 * MICROSECONDS),
        )
        worker = Worker(
            self.store, self.sealer, sender, rules, slots=settings.delivery_concurrency,
            origin=settings.delivery_origin, counters=self.deliveries,
        )  # fmt: skip
        worker.start()
        self.wind_down = worker.retire
        self._workers.append(worker)

    def edge(self) -> Edge:
        """Return the ASGI application; the platform outlives it."""
        parts = (
            self.settings, self.store, self.sealer, self.follower, self.upkeep, self.runner, self.jobs, self.deliveries,
        )  # fmt: skip
        return Edge(ROUTES, lambda: Services(*parts, ROUTES.all), [SEAM])

    def close(self) -> None:
        """Finish what was begun, answer everybody, release the database."""
        for worker in reversed(self._workers):
            worker.stop()
        self.store.close()
        self._resources.close()


def _job_kinds(settings: Settings, sealer: Sealer) -> tuple[JobKind, ...]:
    """Return every kind of longer work that this platform does."""
    importing = import_kind(parse_demands(settings.brand_demands), sealer)
    return DETACHING, FORGETTING, CANCELLING, importing, report_kind(sealer)


OPERATIONS_ROUND_SECONDS = 5.0
SILENCE_ROUND_SECONDS = 10.0
ATTEMPTS_ROUND_SECONDS = 300.0
JOBS_ROUND_SECONDS = 3600.0
CHORE_ROWS = 100
MOST_ATTEMPTS = 10_000
"""Attempts to register in vain that one tenant keeps."""


def _chores(settings: Settings) -> list[Chore]:
    """Return the small work that comes round again."""
    silence = int(settings.device_silence * MICROSECONDS)
    attempts = settings.attempt_days * 86_400 * MICROSECONDS

    def with_old_attempts(tx: Transaction) -> list[int]:
        return provisioning.tenants_with_old_attempts(tx, tx.now - attempts, MOST_ATTEMPTS)

    def forget_attempts(tx: Transaction, scope: Scope) -> bool:
        return provisioning.forget_attempts(tx, scope, tx.now - attempts, MOST_ATTEMPTS, CHORE_ROWS)

    def with_silent_devices(tx: Transaction) -> list[int]:
        return presence.silent_tenants(tx, tx.now - silence)

    def end_silent(tx: Transaction, scope: Scope) -> bool:
        return presence.end_silent(tx, scope, tx.now - silence, CHORE_ROWS)

    forget_jobs = partial(jobs.forget, kept_days=settings.job_days)
    forget_operations = partial(operations.forget, kept_days=settings.operation_days, limit=CHORE_ROWS)
    forget_deliveries = partial(deliveries.forget, kept_days=settings.delivery_days, limit=CHORE_ROWS)
    chores = [
        Chore("expire-operations", OPERATIONS_ROUND_SECONDS, operations.overdue_tenants, expire),
        Chore("forget-operations", JOBS_ROUND_SECONDS, all_tenants, forget_operations),
        Chore("forget-attempts", ATTEMPTS_ROUND_SECONDS, with_old_attempts, forget_attempts),
        Chore("forget-deliveries", ATTEMPTS_ROUND_SECONDS, deliveries.tenants_with_deliveries, forget_deliveries),
        Chore("forget-jobs", JOBS_ROUND_SECONDS, all_tenants, forget_jobs),
    ]
    if silence:
        chores.append(Chore("end-silent", SILENCE_ROUND_SECONDS, with_silent_devices, end_silent))
    return chores


@contextmanager
def _held(settings: Settings) -> Iterator[LockFile | None]:
    """Keep other processes from writing to the data folder; a PostgreSQL is shared instead."""
    if settings.database_url is not None:
        yield None
        return
    try:
        settings.data.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = LockFile(settings.data / LOCK_FILE)
    except OSError as error:
        raise CannotStart(f"The data folder {settings.data} cannot be used: {error.strerror}.") from error
    try:
        yield lock
    finally:
        lock.release()


def make_engine(settings: Settings) -> Engine:
    """Choose the database that the settings name.

    Raises:
        CannotStart: when its version is too old or its address cannot be read.
    """
    # Each driver takes a while to load, and only one is needed.
    if settings.database_url is not None:
        from heliograph.storage.postgres import PostgresEngine

        return PostgresEngine(settings.database_url.reveal())
    from heliograph.storage.sqlite import SqliteEngine

    return SqliteEngine(settings.data / DATABASE_FILE, settings.synchronous)


@contextmanager
def plain_outages(engine: Engine) -> Iterator[None]:
    """Turn the database's own errors, while it is being opened, into one line for the operator.

    Raises:
        CannotStart: when the database cannot be reached or read.
    """
    try:
        yield
    except Exception as error:
        if not engine.is_outage(error):
            raise
        raise CannotStart(f"The database cannot be used: {' '.join(str(error).split())}") from error


def migrate_database(settings: Settings) -> list[str]:
    """Apply the migrations that the database lacks, and return their names.

    Raises:
        CannotStart: when the data folder is in use, or the database is newer or cannot be reached.
    """
    with _held(settings):
        engine = make_engine(settings)
        with plain_outages(engine):
            return migrate.migrate(engine, Clock().now())


def _ready(settings: Settings, engine: Engine, now: int, may_prepare: bool) -> tuple[Sealer, FirstStart | None]:
    """Make sure of schema and master key; give a database without any its schema, first tenants and key."""
    if settings.database_url is not None:
        master_key(settings)  # refused before anything is changed: nobody makes this one
    if migrate.is_empty(engine, now):
        if not may_prepare:
            raise Unprepared
        migrate.migrate(engine, now)
    migrate.verify(engine, now)
    connection = engine.connect(write=True)
    try:
        with connection.transaction(now, write=True) as tx:
            return _claim(tx, settings, may_prepare)
    finally:
        connection.close()


def _claim(tx: Transaction, settings: Settings, may_prepare: bool) -> tuple[Sealer, FirstStart | None]:
    if instance.proof_of(tx) is None:
        if not may_prepare:
            raise Unprepared
        # Only now: a database in use has its key, and a new one would merely hide that it was lost.
        if settings.master_key is None and settings.database_url is None:
            make_key_file(settings.data / KEY_FILE)
    sealer = Sealer(master_key(settings))
    return sealer, FirstStart(*first_start.bootstrap(tx)) if instance.claim(tx, sealer) else None


def master_key(settings: Settings) -> bytes:
    """Return the master key: the one given, else on SQLite the one in the data folder.

    Raises:
        BadSetting: when it is missing or unreadable.
    """
    try:
        if settings.master_key is not None:
            return parse_master_key(settings.master_key.reveal())
        if settings.database_url is None:
            return parse_master_key((settings.data / KEY_FILE).read_text())
    except OSError as error:
        raise BadSetting(f"The master key cannot be read: {error.strerror}: {error.filename}.") from None
    except ValueError as error:
        raise BadSetting(str(error)) from None
    raise BadSetting(
        "PostgreSQL needs HELIOGRAPH_MASTER_KEY or HELIOGRAPH_MASTER_KEY_FILE;"
        " 'heliograph init --print-key' makes a key."
    )
