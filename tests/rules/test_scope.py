"""Nothing reads or writes a tenant's data without the right to: a Scope, which only `tenancy.access` makes."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

import pytest

from tests.rules.source import MODULES, Module

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WITHOUT_SCOPE = {
    "tenancy/store.py": {
        # How a Scope comes to be: what `authenticate` and `require` read to decide.
        "find_key_by_hash",
        "working_key",
        "grants_of",
        "find_tenant",
        "path_of",
        "subtree_of",
        "tenant_numbered",
        "find_device_by_token",
        "account_works",
        "key_was_revoked",
        # The caller's rights stand in for it: only tenants at or below the given ones are read.
        "list_tenants",
        # There is no tenant yet whose right it could be.
        "insert_tenant",
        "next_number",
        # For the operator who holds the data folder, and for the platform's own events.
        "first_organization",
        "root_companies",
        "all_tenants",
    },
    "delivery/due/store.py": {
        # Whose turn it is, of all tenants; what is due there is then claimed with a Scope.
        "tenants_to_see_to",
        "tenants_with_deliveries",
    },
    "devices/store.py": {
        # Who has enrolled a device, anywhere: how the platform keeps it from belonging to two.
        "holders",
    },
    "operations/store.py": {
        # Where operations are out of time; what follows is done with a Scope.
        "overdue_tenants",
    },
    "presence/store.py": {
        # Where devices are silent; what follows is done with a Scope.
        "silent_tenants",
    },
    "provisioning/store.py": {
        # The recipes that a device's identifiers may mean, at and below the tenants where the caller may register.
        "waiting_below",
        # Where there is something to forget; that is then done with a Scope.
        "tenants_with_old_attempts",
    },
    "eventlog/store.py": {
        # Locks of a whole group, and what the platform's own workers look at across tenants.
        "lock_heads",
        "backlogs",
        "newest_time",
        "logs",
    },
    "jobs/store.py": {
        # Whose turn it is can only be told by looking at all tenants; what is found is claimed with a Scope.
        "waiting",
        # Of all tenants, by whoever holds the only lock of the whole database.
        "end_leases",
        # Leases belong to the platform's own recurring work, not to a tenant.
        "take_lease",
        "lease_end",
        "hold_lease",
    },
}
"""Functions on control tables, which are read across tenants (design of storage), each group with its reason."""


def functions_with_tx(module: Module) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Yield the functions that take a transaction: name, and (parameter, annotation) in order, `self` left out."""
    for node in module.nodes:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            parameters = [
                (argument.arg, ast.unparse(argument.annotation) if argument.annotation else "")
                for argument in arguments
                if argument.arg != "self"
            ]
            if any(name == "tx" or "Transaction" in annotation for name, annotation in parameters):
                yield node.name, parameters


def unscoped(module: Module) -> set[str]:
    """Return the functions that take a transaction without a Scope right behind it."""
    wanted = [("tx", "Transaction"), ("scope", "Scope")]
    return {name for name, parameters in functions_with_tx(module) if parameters[:2] != wanted}


def makers_of_scopes(module: Module) -> list[int]:
    """Return the lines on which a Scope is made, or one is changed into another tenant's."""
    found = []
    for node in module.nodes:
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func).split(".")[-1]
            changed = {keyword.arg for keyword in node.keywords}
            if name == "Scope" or (name == "replace" and changed & {"tenant_id", "tenants", "permission"}):
                found.append(node.lineno)
    return found


STORES = [module for module in MODULES if module.path.name == "store.py" or module.name == "eventlog/query.py"]
STORES = [module for module in STORES if not module.name.startswith("storage/")]


def test_stores_are_found() -> None:
    assert {module.name for module in STORES} >= {"eventlog/store.py", "eventlog/query.py", "tenancy/store.py"}
    assert all(list(functions_with_tx(module)) for module in STORES)


@pytest.mark.parametrize("module", STORES, ids=lambda module: module.name)
def test_every_function_of_a_store_takes_a_scope_behind_its_transaction(module: Module) -> None:
    assert unscoped(module) - WITHOUT_SCOPE.get(module.name, set()) == set()


def test_no_exception_is_kept_longer_than_it_is_needed() -> None:
    present = {module.name: unscoped(module) for module in STORES}
    assert {name: kept - present[name] for name, kept in WITHOUT_SCOPE.items() if kept - present[name]} == {}


def test_scopes_are_made_in_one_module() -> None:
    found = {module.name: makers_of_scopes(module) for module in MODULES}
    # A Scope narrows itself to a tenant of its own subtree.
    allowed = {"tenancy/access.py", "tenancy/model.py"}
    assert {name: lines for name, lines in found.items() if lines and name not in allowed} == {}
    assert len(found["tenancy/model.py"]) == 1


def test_function_without_scope_is_recognised(tmp_path: Path) -> None:
    file = tmp_path / "store.py"
    file.write_text(
        "def good(tx: Transaction, scope: Scope, limit: int): ...\n"
        "def other(limit: int): ...\n"
        "def late(tx: Transaction, limit: int, scope: Scope): ...\n"
        "def bare(tx: Transaction): ...\n"
        "async def renamed(t: Transaction, scope: Scope): ...\n"
        "class Repository:\n"
        "    def method(self, tx: Transaction): ...\n"
    )
    assert unscoped(Module(file)) == {"late", "bare", "renamed", "method"}


@pytest.mark.parametrize(
    "text",
    [
        "Scope(1)",
        "model.Scope(tenant_id=1)",
        "msgspec.structs.replace(scope, tenant_id=2)",
        "replace(mine, permission=x)",
    ],
)
def test_making_of_a_scope_is_recognised(text: str, tmp_path: Path) -> None:
    file = tmp_path / "actions.py"
    file.write_text(f"def f(scope: Scope) -> Scope:\n    return {text}\n")
    assert makers_of_scopes(Module(file)) == [2]
