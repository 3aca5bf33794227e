"""Each kind of code has its place: SQL, database drivers, and reading the clock."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

import pytest

from tests.rules.source import MODULES, Module

if TYPE_CHECKING:
    from pathlib import Path

# Statements are written all in one case; prose for people starts with a capital and is none.
_WORDS = (
    r"select\b.+\bfrom",
    r"insert\s+into",
    r"update\s+\w+\s+set",
    r"delete\s+from",
    r"with\s+(recursive\s+)?\w+(\s*\([^)]*\))?\s+as\s*(materialized\s*)?\(",
    r"(create|alter|drop)\s+(unique\s+)?(table|index|view)",
    r"(pragma|savepoint|rollback\s+to)\s+\w+",
)
_LOWER = "|".join(_WORDS)
_UPPER = re.sub(r"(?<!\\)[a-z]+", lambda word: word[0].upper(), _LOWER)
SQL = re.compile(rf"\s*(?:{_LOWER}|{_UPPER})", re.DOTALL)

CLOCK = re.compile(r"(?:.*\.)?(?:date|datetime|time)\.(?:now|utcnow|today|time(?:_ns)?|monotonic(?:_ns)?)")
# Of a feature; heliograph.http and heliograph.cli name modules after resources, `events` among them.
PURE = {"model.py", "events.py", "definition.py", "recipes.py", "reconcile.py", "policy.py", "signing.py"}


def may_hold_sql(name: str) -> bool:
    return name.startswith("storage/") or name.endswith("/store.py") or name == "eventlog/query.py"


def sql_lines(module: Module) -> list[int]:
    """Return the lines on which a text that is an SQL statement begins, parts of f-strings included."""
    prose = {id(node.value) for node in module.nodes if isinstance(node, ast.Expr)}
    return [
        node.lineno
        for node in module.nodes
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and id(node) not in prose
        and SQL.match(node.value)
    ]


def imported_packages(module: Module) -> set[str]:
    """Return the top-level packages that a module imports by absolute name, wherever in it."""
    names: set[str] = set()
    for node in module.nodes:
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module)
    return {name.split(".")[0] for name in names}


def clock_readings(module: Module) -> list[str]:
    """Return the calls such as `datetime.now()` that a module makes."""
    called = [(node.lineno, ast.unparse(node.func)) for node in module.nodes if isinstance(node, ast.Call)]
    return [f"{line} {function}" for line, function in called if CLOCK.fullmatch(function)]


def test_sql_is_only_in_stores_the_query_and_storage() -> None:
    found = {module.name: sql_lines(module) for module in MODULES if not may_hold_sql(module.name)}
    assert {name: lines for name, lines in found.items() if lines} == {}


def test_database_drivers_are_imported_in_storage_only() -> None:
    drivers = {"apsw", "psycopg", "psycopg_pool", "sqlite3"}
    found = {
        module.name: drivers & imported_packages(module) for module in MODULES if not module.name.startswith("storage/")
    }
    assert {name: used for name, used in found.items() if used} == {}


def test_pure_modules_read_no_clock() -> None:
    outer = ("http/", "cli/")
    pure = [m for m in MODULES if m.path.name in PURE and not m.name.startswith(outer)]
    found = {module.name: clock_readings(module) for module in pure}
    assert {name: calls for name, calls in found.items() if calls} == {}


@pytest.mark.parametrize(
    "statement",
    [
        "select 1 from head",
        "SELECT seq\n  FROM event",
        "insert into event values (?)",
        "update head set seq = ?",
        "delete from dedup",
        "\n    with page as (\n select 1) select * from page",
        "CREATE UNIQUE INDEX i ON t (a)",
        "pragma journal_mode",
    ],
)
def test_statement_is_recognised_in_a_plain_text_and_in_an_f_string(tmp_path: Path, statement: str) -> None:
    file = tmp_path / "module.py"
    file.write_text(f'plain = """{statement}"""\ndef f(x):\n    return f"""{statement} {{x}}"""\n')
    assert len(sql_lines(Module(file))) == 2


@pytest.mark.parametrize(
    "prose", ["Select the events from one tenant.", "update the tenant", "Delete from the list", "with as"]
)
def test_prose_is_not_taken_for_a_statement(tmp_path: Path, prose: str) -> None:
    file = tmp_path / "module.py"
    file.write_text(f'"""delete from, in a docstring"""\nhelp = "{prose}"\n')
    assert sql_lines(Module(file)) == []


def test_clock_reading_is_recognised(tmp_path: Path) -> None:
    file = tmp_path / "model.py"
    file.write_text("time.time()\ndt.datetime.now(UTC)\ndate.today()\ndatetime.fromtimestamp(1)\n")
    assert clock_readings(Module(file)) == ["1 time.time", "2 dt.datetime.now", "3 date.today"]
