"""A dialect parses and renders: no statement of a database, no rule of the domain, nothing but actions behind it."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.rules.source import MODULES, Module
from tests.rules.test_layout import clock_readings, imported_packages, sql_lines

DIALECTS = [module for module in MODULES if module.name.startswith("dialects/")]

ALLOWED = re.compile(
    r"heliograph\.(?:dialects|http|errors|ids|times|strict_json|catalog\.system|eventlog\.(?:bodies|cursors|filters)"
    r"|\w+\.(?:actions|changes|conditions|kinds|model|pins|surroundings))\b.*"
)
"""What may be asked, and in which words."""

STATES = frozenset(
    (
        "setting", "set", "unset", "removing", "unknown", "pending", "succeeded", "failed", "cancelled", "enrolled",
        "deprovisioned", "connected", "disconnected", "managed", "unmanaged",
    )
)  # fmt: skip
"""Words for states of the domain: what follows from one is decided where the state is kept."""

FORBIDDEN_WORDS = re.compile(r"\b(select|insert|update|delete)\b.+\b(from|into|set|where)\b", re.IGNORECASE | re.DOTALL)


def foreign_imports(module: Module) -> set[str]:
    """Return the modules of ours that a dialect imports although they are neither actions nor words for them."""
    found: set[str] = set()
    for node in module.nodes:
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("heliograph"):
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name for name in names if not ALLOWED.fullmatch(name)}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.startswith("heliograph")}
    return found


def statements(module: Module) -> list[int]:
    """Return the lines of texts, outside docstrings, that look like parts of SQL."""
    prose = {id(node.value) for node in module.nodes if isinstance(node, ast.Expr)}
    found = [
        node.lineno
        for node in module.nodes
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and id(node) not in prose
        and FORBIDDEN_WORDS.search(node.value)
    ]
    return sorted({*found, *sql_lines(module)})


def compared_states(module: Module) -> list[str]:
    """Return the comparisons, and the patterns of `match`, with words for states of the domain."""
    found = []
    for node in module.nodes:
        if isinstance(node, ast.Compare | ast.MatchValue):
            words = {part.value for part in ast.walk(node) if isinstance(part, ast.Constant)}
            if words & STATES:
                found.append(f"{node.lineno} {ast.unparse(node)}")
    return found


def steps_of(function: ast.AsyncFunctionDef) -> list[str]:
    """Return the calls by which a function reads from the platform or writes to it."""
    called = [ast.unparse(node.func) for node in ast.walk(function) if isinstance(node, ast.Call)]
    step = r"\.services\.(read|write|submit|compute)$|^services\.\w+$|^ask(_to_remove)?$"
    return [name for name in called if re.search(step, name)]


def busy_functions(module: Module) -> list[str]:
    """Return the functions that take more than one step: what belongs together is one action in one transaction."""
    functions = [node for node in module.nodes if isinstance(node, ast.AsyncFunctionDef)]
    return [function.name for function in functions if len(steps_of(function)) > 1]


def reached_below(module: Module) -> list[int]:
    """Return the lines on which a clock or a store is reached through something that has one."""
    return [node.lineno for node in module.nodes if isinstance(node, ast.Attribute) and node.attr in ("clock", "store")]


def transactions(module: Module) -> list[int]:
    """Return the lines on which a transaction is handled directly."""
    return [node.lineno for node in module.nodes if isinstance(node, ast.arg | ast.Name) and _name(node) == "tx"]


def _name(node: ast.arg | ast.Name) -> str:
    return node.arg if isinstance(node, ast.arg) else node.id


def test_dialects_are_found() -> None:
    assert {"dialects/seam/app.py", "dialects/seam/events.py"} <= {module.name for module in DIALECTS}


@pytest.mark.parametrize("module", DIALECTS, ids=lambda module: module.name)
def test_dialect_asks_actions_and_nothing_below_them(module: Module) -> None:
    assert foreign_imports(module) == set()
    assert imported_packages(module) <= {
        "__future__", "collections", "contextlib", "dataclasses", "functools", "hashlib", "heliograph", "msgspec", "re",
        "typing", "urllib",
    }  # fmt: skip


@pytest.mark.parametrize("module", DIALECTS, ids=lambda module: module.name)
def test_dialect_holds_no_statement_and_no_transaction(module: Module) -> None:
    assert statements(module) == []
    assert transactions(module) == []
    assert clock_readings(module) == []
    assert reached_below(module) == []


@pytest.mark.parametrize("module", DIALECTS, ids=lambda module: module.name)
def test_dialect_decides_nothing_by_the_state_of_a_thing(module: Module) -> None:
    assert compared_states(module) == []


@pytest.mark.parametrize("module", DIALECTS, ids=lambda module: module.name)
def test_request_takes_one_step_at_most(module: Module) -> None:
    assert busy_functions(module) == []


BROKEN = """
import sqlite3
import heliograph.eventlog.store
from heliograph.access_codes import store
from heliograph.access_codes.reconcile import diff
from heliograph.publish import record
from heliograph.access_codes import actions

async def handler(request):
    def act(tx):
        return tx.all("Select uid FROM access_code")
    code = await request.services.read(actions.get)
    if request.services.store.clock.now() > code.ends_at:
        await ask(request, scope, actions.remove)
    if code.status == "setting" or code.state in ("pending", "failed"):
        await request.services.write(actions.remove)
    match code.status:
        case "unset":
            return f"delete from {code}"
"""


def test_each_breach_is_recognised(tmp_path: Path) -> None:
    file = tmp_path / "handlers.py"
    file.write_text(BROKEN)
    module = Module(file)
    assert foreign_imports(module) == {
        "heliograph.eventlog.store",
        "heliograph.access_codes.store",
        "heliograph.access_codes.reconcile.diff",
        "heliograph.publish.record",
    }
    assert "sqlite3" in imported_packages(module)
    assert statements(module) == [11, 19]
    assert transactions(module) == [10, 11]
    assert [text.split(" ", 1)[0] for text in compared_states(module)] == ["15", "15", "18"]
    assert reached_below(module) == [13, 13]
    assert busy_functions(module) == ["handler"]
