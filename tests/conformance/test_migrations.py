"""The schema goes forward in numbered steps, each once, and a program never works on another schema than its own."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import msgspec
import pytest

from heliograph.devices import store as devices
from heliograph.ids import new_uid
from heliograph.provisioning import store as recipes
from heliograph.storage import instance, migrate
from heliograph.storage.engine import Table
from heliograph.storage.migrate import Migration, SchemaAhead, SchemaBehind
from heliograph.storage.sealing import Sealer, WrongMasterKey
from heliograph.tenancy.access import system_scope
from tests.conformance.stores import START_OF_TIME, engine_of, store_on
from tests.rules.source import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from heliograph.storage.engine import ColumnType, Engine, Transaction
    from tests.conftest import StoreUrl

STEPS = migrate.migrations()
NAMES = [step.name for step in STEPS]
NEXT = Migration(
    STEPS[-1].number + 1, "more", "create table more (id bigint primary key, data {bytes}); create table most (id text)"
)


@pytest.fixture
def empty(store_url: StoreUrl) -> Iterator[Engine]:
    """An engine over a database without any schema."""
    engine = engine_of(store_url)
    yield engine
    engine.close()


@pytest.fixture
def newer_program(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """The program has one more step; undone by `undo()` it is the present one again."""
    monkeypatch.setattr(migrate, "migrations", lambda: [*STEPS, NEXT])
    return monkeypatch


def _tables(engine: Engine) -> set[str]:
    catalogue = {
        "sqlite": "select name from sqlite_master where type = 'table'",
        "postgres": "select tablename from pg_tables where schemaname = current_schema()",
    }
    connection = engine.connect(write=False)
    with connection.transaction(START_OF_TIME, write=False) as tx:
        names = {row[0] for row in tx.all(catalogue[engine.dialect])}
    connection.close()
    return names


def test_steps_are_numbered_from_one_without_gaps() -> None:
    assert [step.number for step in STEPS] == list(range(1, len(STEPS) + 1))
    assert len(set(NAMES)) == len(NAMES)


def test_empty_database_gets_every_step_once(empty: Engine) -> None:
    assert migrate.is_empty(empty, START_OF_TIME)
    assert migrate.migrate(empty, START_OF_TIME) == NAMES
    assert not migrate.is_empty(empty, START_OF_TIME)
    assert migrate.migrate(empty, START_OF_TIME) == []
    migrate.verify(empty, START_OF_TIME)


def test_database_without_a_schema_is_refused_with_the_command_to_run(empty: Engine) -> None:
    with pytest.raises(SchemaBehind, match="heliograph migrate"):
        migrate.verify(empty, START_OF_TIME)


def test_older_database_is_refused_until_only_what_is_missing_was_applied(
    engine: Engine, newer_program: pytest.MonkeyPatch
) -> None:
    del newer_program
    with pytest.raises(SchemaBehind, match="heliograph migrate"):
        migrate.verify(engine, START_OF_TIME)
    assert migrate.migrate(engine, START_OF_TIME) == [NEXT.name]
    migrate.verify(engine, START_OF_TIME)
    assert _tables(engine) >= {"more", "most"}


def test_newer_database_is_refused_for_work_and_for_migration(
    engine: Engine, newer_program: pytest.MonkeyPatch
) -> None:
    migrate.migrate(engine, START_OF_TIME)
    newer_program.undo()
    for act in (migrate.verify, migrate.migrate):
        with pytest.raises(SchemaAhead, match="newer"):
            act(engine, START_OF_TIME)


def test_step_that_fails_half_way_leaves_nothing_behind(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = Migration(NEXT.number, "broken", "create table more (id bigint); create table more (id bigint)")
    monkeypatch.setattr(migrate, "migrations", lambda: [*STEPS, broken])
    with pytest.raises(Exception, match="already exists"):
        migrate.migrate(engine, START_OF_TIME)
    assert "more" not in _tables(engine)
    monkeypatch.setattr(migrate, "migrations", lambda: [*STEPS, NEXT])
    assert migrate.migrate(engine, START_OF_TIME) == [NEXT.name]


# Each says that it is ready, waits for a line, migrates, and prints what it applied.
_RACER = """
import sys
from heliograph.storage import migrate
from heliograph.storage.postgres import PostgresEngine
print("ready", flush=True)
sys.stdin.readline()
print(",".join(migrate.migrate(PostgresEngine(sys.argv[1]), 1)), flush=True)
"""


def test_processes_that_migrate_at_the_same_time_apply_each_step_once(postgres_dsn: str) -> None:
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", _RACER, postgres_dsn],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for _ in range(3)
    ]  # fmt: skip
    assert [racer.stdout.readline() for racer in racers if racer.stdout] == ["ready\n"] * 3
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("\n")
        racer.stdin.flush()
    printed = [racer.communicate()[0].strip() for racer in racers]
    assert [racer.returncode for racer in racers] == [0, 0, 0]
    assert sorted(printed) == ["", "", ",".join(NAMES)]


# -- what a step finds ----------------------------------------------------------------------------------------------

_SHARED: dict[str, ColumnType] = {
    "tenant_id": "bigint", "uid": "bytes", "brand": "text", "brand_key": "text", "metadata": "bytes",
    "created_at": "bigint", "updated_at": "bigint", "version": "bigint",
}  # fmt: skip
_OLD_DEVICE = Table("device", _SHARED | {"state": "text"})
_OLD_RECIPE = Table(
    "recipe",
    _SHARED | {"status": "text", "confirmed_ownership": "bigint", "on_repeat": "text", "faulty_fields": "bytes"},
)


def test_metadata_of_any_shape_from_before_is_read_as_texts_and_truth_values(
    empty: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrate, "migrations", lambda: [step for step in STEPS if step.number < 5])
    migrate.migrate(empty, START_OF_TIME)
    scope, uid = system_scope(1, new_uid().hex()), new_uid()
    kept = {"note": "north", "on": True, "k" * 60: "x" * 600}
    shared = (1, uid, "LG", "lg", msgspec.json.encode(kept | {"floor": 3, "none": None, "deep": {"a": [1.5]}}), 1, 1, 1)
    connection = empty.connect(write=True)
    with connection.transaction(START_OF_TIME, write=True) as tx:
        tx.insert(_OLD_DEVICE, [(*shared, "enrolled")])
        tx.insert(_OLD_RECIPE, [(*shared, "Invalid", 0, "keep", b'["brand","metadata"]')])
    connection.close()
    monkeypatch.undo()
    migrate.migrate(empty, START_OF_TIME)
    connection = empty.connect(write=False)
    with connection.transaction(START_OF_TIME, write=False) as tx:
        device, [recipe] = devices.find_device(tx, scope, uid), recipes.find_recipes(tx, scope, [uid])
    connection.close()
    assert device is not None
    read = kept | {"floor": "3", "none": "null", "deep": '{"a":[1.5]}'}
    assert [device.settings.custom_metadata, recipe.settings.custom_metadata] == [read, read]
    assert recipe.faulty_fields == ("brand", "customMetadata")


# -- whose database it is -------------------------------------------------------------------------------------------


def test_database_belongs_to_the_master_key_that_came_first(engine: Engine) -> None:
    first, other = Sealer(bytes(32)), Sealer(bytes([1]) * 32)
    store = store_on(engine)

    def claim(sealer: Sealer) -> bool:
        def act(tx: Transaction) -> bool:
            return instance.claim(tx, sealer)

        return store.execute(act)

    assert [claim(first), claim(first)] == [True, False]
    with pytest.raises(WrongMasterKey):
        claim(other)
    assert claim(Sealer(bytes(32))) is False
    store.close()
