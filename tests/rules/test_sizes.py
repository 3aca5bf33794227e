"""A module fits in one sitting, a function on one screen."""

from __future__ import annotations

import ast

from tests.rules.source import MODULES

MODULE_LINES = 400
FUNCTION_LINES = 60


def test_no_module_is_longer_than_400_lines() -> None:
    lengths = {module.name: len(module.text.splitlines()) for module in MODULES}
    assert {name: lines for name, lines in lengths.items() if lines > MODULE_LINES} == {}


def test_no_function_is_longer_than_60_lines() -> None:
    lengths = {
        f"{module.name}:{node.lineno} {node.name}": (node.end_lineno or node.lineno) - node.lineno + 1
        for module in MODULES
        for node in module.nodes
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert {name: lines for name, lines in lengths.items() if lines > FUNCTION_LINES} == {}
