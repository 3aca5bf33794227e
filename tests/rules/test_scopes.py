"""Whoever touches a tenant's data shows the right to: store functions take a Scope, and few are excepted."""

from __future__ import annotations

import ast

from tests.rules.source import MODULES, Module

CONTROL = {
    # Who is asking, and where in the tree: what a Scope is made from.
    "tenancy/store.py": {
        "find_key_by_hash", "find_tenant", "first_organization", "grants_of", "insert_tenant", "list_tenants",
        "next_number", "path_of", "root_companies", "subtree_of",
    },
    # The platform's own view of all logs: locks, positions and clocks, never an event.
    "eventlog/store.py": {"backlogs", "lock_heads", "logs", "newest_time"},
}  # fmt: skip
"""Functions that read control tables, and so work across tenants."""

STORES = [m for m in MODULES if m.path.name == "store.py" and not m.name.startswith("storage/")]


def functions(module: Module) -> dict[str, list[str]]:
    """Return the public functions of a module that run statements, with the types of their first parameters."""
    return {
        node.name: [ast.unparse(argument.annotation) for argument in node.args.args[:2] if argument.annotation]
        for node in ast.parse(module.text).body
        if isinstance(node, ast.FunctionDef)
        and not node.name.startswith("_")
        and node.args.args
        and node.args.args[0].arg == "tx"
    }


def test_every_store_function_takes_a_scope_but_those_of_control_tables() -> None:
    unscoped = {
        module.name: {name for name, types in functions(module).items() if types != ["Transaction", "Scope"]}
        for module in STORES
    }
    assert {name: found for name, found in unscoped.items() if found} == CONTROL


def test_every_search_of_the_log_takes_a_scope() -> None:
    (query,) = (module for module in MODULES if module.name == "eventlog/query.py")
    found = functions(query)
    assert {"find", "find_by_time", "seq_at"} <= found.keys()
    assert {types[1] for types in found.values()} == {"Scope"}
