"""The package's own source, as the rules read it."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Module:
    """One Python file of the package; `name` is its path below `heliograph/`."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.relative_to(ROOT / "heliograph").as_posix()

    @cached_property
    def text(self) -> str:
        return self.path.read_text()

    @cached_property
    def nodes(self) -> list[ast.AST]:
        return list(ast.walk(ast.parse(self.text)))


MODULES = [Module(path) for path in sorted((ROOT / "heliograph").rglob("*.py"))]
