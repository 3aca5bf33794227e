"""`heliograph doctor`: looks at everything that an installation stands on, and says what to do."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from operator import attrgetter
from typing import TYPE_CHECKING, Literal

import typer

from heliograph.cli.output import print_line, print_table
from heliograph.cli.session import AsJson, Data, DatabaseUrl, load_settings, plain_errors
from heliograph.errors import CannotStart

if TYPE_CHECKING:
    from pathlib import Path

    from heliograph.settings import Settings
    from heliograph.storage.engine import Engine

LITTLE_SPACE = 1 << 30
TOO_LITTLE_SPACE = 100 << 20


@dataclass(frozen=True)
class Finding:
    """What one check found; `remedy` is empty where there is nothing to do."""

    check: str
    level: Literal["ok", "warning", "failure"]
    message: str
    remedy: str = ""


@plain_errors
def doctor(data: Data = None, database_url: DatabaseUrl = None, as_json: AsJson = False) -> None:
    """Check what the installation stands on.

    Looks at settings, data folder, keys, database, clock and disk, and tells what to do. It changes nothing, and a
    server may run meanwhile. Exit code 1 means that something must be mended.
    """
    findings = []
    try:
        settings = load_settings(data=data, database_url=database_url)
    except CannotStart as error:
        findings.append(Finding("settings", "failure", str(error), "Correct the setting."))
    else:
        findings.append(Finding("settings", "ok", "All can be used."))
        findings += examine(settings)
    if as_json:
        for finding in findings:
            print_line(asdict(finding))
    else:
        print_table(findings, {name: attrgetter(name) for name in ("check", "level", "message", "remedy")})
    if any(finding.level == "failure" for finding in findings):
        raise typer.Exit(1)


def examine(settings: Settings) -> Iterator[Finding]:
    """Look at everything but the settings themselves."""
    if settings.database_url is None:
        if not settings.data.is_dir():
            yield Finding(
                "data folder",
                "failure",
                f"{settings.data} is not there.",
                "Name another by --data, or run: heliograph init",
            )
            return
        folder = _folder(settings.data)
        yield folder
        if folder.level == "failure":
            return
        yield _lock(settings.data)
        yield _disk(settings.data)
    yield _master_key(settings)
    yield from _database(settings)


def _folder(folder: Path) -> Finding:
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        return Finding(
            "data folder", "failure", f"{folder} cannot be written to.", f"chown it, or: chmod u+rwx {folder}"
        )
    if folder.stat().st_mode & 0o077:
        return Finding("data folder", "warning", f"Others may look into {folder}.", f"chmod 700 {folder}")
    return Finding("data folder", "ok", f"{folder} is ours alone.")


def _lock(folder: Path) -> Finding:
    from heliograph.app import LOCK_FILE
    from heliograph.storage.lockfile import find_holder

    holder = find_holder(folder / LOCK_FILE)
    if holder is None:
        return Finding("lock", "ok", "No process has the data folder open.")
    where = f" and serves {holder.url}" if holder.url else ""
    return Finding("lock", "ok", f"Process {holder.pid} has the data folder open{where}.")


def _disk(folder: Path) -> Finding:
    free = shutil.disk_usage(folder).free
    message = f"{free >> 20} MiB are free."
    if free < LITTLE_SPACE:
        level: Literal["failure", "warning"] = "failure" if free < TOO_LITTLE_SPACE else "warning"
        return Finding("disk", level, message, "Make room: nothing can be stored on a full disk.")
    return Finding("disk", "ok", message)


def _master_key(settings: Settings) -> Finding:
    from heliograph.app import KEY_FILE, master_key

    try:
        master_key(settings)
    except CannotStart as error:
        return Finding("master key", "failure", str(error), "Restore it: without it sealed values are lost.")
    path = settings.data / KEY_FILE
    if settings.master_key is not None:
        return Finding("master key", "ok", "It comes from the settings.")
    if path.stat().st_mode & 0o077:
        return Finding("master key", "failure", f"Others may read {path}.", f"chmod 600 {path}")
    return Finding("master key", "ok", f"{path} is ours alone.")


def _database(settings: Settings) -> Iterator[Finding]:
    from heliograph.app import DATABASE_FILE, Unprepared, make_engine, plain_outages

    try:
        if settings.database_url is None and not (settings.data / DATABASE_FILE).exists():
            raise Unprepared
        engine = make_engine(settings)
        with plain_outages(engine):
            yield Finding("database", "ok", engine.version())
            yield from _contents(settings, engine)
    except CannotStart as error:
        yield Finding("database", "failure", str(error))


def _contents(settings: Settings, engine: Engine) -> Iterator[Finding]:
    from heliograph.app import master_key
    from heliograph.clock import Clock
    from heliograph.eventlog.upkeep import TOLERATED_LAG, clock_lag
    from heliograph.storage import instance, migrate
    from heliograph.storage.sealing import Sealer

    now = Clock().now()
    migrate.verify(engine, now)
    yield Finding("schema", "ok", "It is the one of this program.")
    connection = engine.connect(write=False)
    try:
        with connection.transaction(now, write=False) as tx:
            proof, behind = instance.proof_of(tx), clock_lag(tx)
    finally:
        connection.close()
    if proof is not None:
        Sealer(master_key(settings)).check(proof)
        yield Finding("seal", "ok", "The master key is the one of this database.")
    if behind > TOLERATED_LAG:
        message = f"The clock is {behind // 1_000_000} s behind the newest event."
        yield Finding("clock", "warning", message, "Set the clock; until then, times go on rising from there.")
    else:
        yield Finding("clock", "ok", "It is not behind the newest event.")
