"""Numbered forward migrations: `migrations/NNNN_what.sql`, each applied once, all that are missing together."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib import resources

from heliograph.errors import CannotStart
from heliograph.storage.engine import Connection, Engine, Transaction

_FILE_NAME = re.compile(r"(\d{4})_[a-z0-9_]+\.sql\Z")
_WORDS = {
    "sqlite": {"bytes": "blob", "clustered": "without rowid", "key": "text"},
    "postgres": {"bytes": "bytea", "clustered": "", "key": 'text collate "C"'},
}


class SchemaBehind(CannotStart):
    """The database has an older schema than the program; the message names the command that helps."""


class SchemaAhead(CannotStart):
    """The database was written by a newer program."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One step of the schema. `text` uses `{bytes}`, `{clustered}` and `{key}` where the engines' words differ.

    A `{key}` is text that both engines compare by its bytes, so that prefixes are ranges of it.
    """

    number: int
    name: str
    text: str


def migrations() -> list[Migration]:
    """Return all steps in order."""
    folder = resources.files("heliograph.storage") / "migrations"
    found = [
        Migration(int(match.group(1)), entry.name, entry.read_text())
        for entry in folder.iterdir()
        if (match := _FILE_NAME.match(entry.name))
    ]
    return sorted(found, key=lambda migration: migration.number)


def present_version(tx: Transaction) -> int:
    """Return the number of the newest applied step; 0 for an empty database."""
    if tx.dialect == "sqlite":
        table = tx.one("select 1 from sqlite_master where type = 'table' and name = 'schema_version'")
    else:
        table = tx.one("select 1 from pg_tables where schemaname = current_schema() and tablename = 'schema_version'")
    if table is None:
        return 0
    row = tx.one("select max(number) from schema_version")
    return int(row[0] or 0) if row else 0


def migrate(engine: Engine, now: int) -> list[str]:
    """Apply what is missing, all or nothing, and return the names of the applied steps.

    Raises:
        SchemaAhead: when the database is newer than this program.
    """
    connection = engine.connect(write=True)
    try:
        with connection.transaction(now, write=True) as tx:
            if tx.dialect == "postgres":
                # Two programs that start together must not apply the same step twice.
                tx.run("select pg_advisory_xact_lock(7263460921)")
            version = present_version(tx)
            _refuse_newer(version)
            missing = [step for step in migrations() if step.number > version]
            for step in missing:
                _apply(tx, step)
        return [step.name for step in missing]
    finally:
        connection.close()


def verify(engine: Engine, now: int) -> None:
    """Make sure that the schema is the one this program was written for.

    Raises:
        SchemaBehind: with the command to run.
        SchemaAhead: when the database is newer.
    """
    connection = engine.connect(write=False)
    try:
        version = _version(connection, now)
    finally:
        connection.close()
    _refuse_newer(version)
    wanted = migrations()[-1].number
    if version < wanted:
        raise SchemaBehind(
            f"The database has schema {version}, this program needs {wanted}."
            " Stop all servers and run: heliograph migrate"
        )


def is_empty(engine: Engine, now: int) -> bool:
    """Tell whether the database holds no schema at all, as before the first start."""
    connection = engine.connect(write=True)
    try:
        return _version(connection, now) == 0
    finally:
        connection.close()


def _refuse_newer(version: int) -> None:
    newest = migrations()[-1].number
    if version > newest:
        raise SchemaAhead(f"The database has schema {version}, this program knows {newest}: use a newer heliograph.")


def _version(connection: Connection, now: int) -> int:
    with connection.transaction(now, write=False) as tx:
        return present_version(tx)


def _apply(tx: Transaction, step: Migration) -> None:
    for statement in step.text.format(**_WORDS[tx.dialect]).split(";"):
        if statement.strip():
            tx.run(statement)
    tx.run(
        "insert into schema_version (number, name, applied_at) values (:number, :name, :now)",
        number=step.number, name=step.name, now=tx.now,
    )  # fmt: skip
