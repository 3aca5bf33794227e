"""What only the package's source tells: which events are raised, and which rules faults name."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

PACKAGE = Path(__file__).parents[2] / "heliograph"


class Rule(NamedTuple):
    """A rule that a fault names, with the words that go with it in one place."""

    slug: str
    message: str


def modules() -> list[tuple[str, ast.Module]]:
    """Return the path below `heliograph/` and the syntax tree of every module."""
    paths = sorted(PACKAGE.rglob("*.py"))
    return [(path.relative_to(PACKAGE).as_posix(), ast.parse(path.read_text())) for path in paths]


def used_names() -> frozenset[str]:
    """Return every upper-case name that modules other than the catalogue's own use."""
    found: set[str] = set()
    for path, tree in modules():
        if path.endswith(("/events.py", "_events.py")) and not path.startswith(("http/", "cli/")):
            continue
        for node in ast.walk(tree):
            name = node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
            if name.isupper():
                found.add(name)
    return frozenset(found)


def rules() -> list[Rule]:
    """Return the rules that faults name, each with its messages, in the order of their names.

    Those of dialects are left out: what they answer has messages and no rules.
    """
    trees = [tree for path, tree in modules() if not path.startswith("dialects/")]
    return sorted({rule for tree in trees for scope in _scopes(tree) for rule in _rules_in(scope)})


def _scopes(tree: ast.Module) -> list[ast.AST]:
    """Return the module and each of its functions: what is assigned in a function is looked up there."""
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    return [tree, *functions]


def _rules_in(scope: ast.AST) -> Iterator[Rule]:
    assigned = [] if isinstance(scope, ast.Module) else sorted(_assigned(scope), key=lambda found: found[0])
    for node in ast.walk(scope):
        # A name may be given several texts one after the other: the one that counts was given last before.
        texts = {name: text for line, name, text in assigned if line < getattr(node, "lineno", 0)}
        if isinstance(node, ast.Call) and _makes_a_fault(node.func) and len(node.args) == 3:
            yield from _rule(node.args[1], node.args[2], texts)
        elif isinstance(node, ast.Return) and isinstance(node.value, ast.Tuple) and _returns_a_rule(scope):
            yield from _rule(node.value.elts[0], node.value.elts[1], texts)


def _assigned(scope: ast.AST) -> Iterator[tuple[int, str, ast.expr]]:
    """Return what names stand for in a function: line, name and text."""
    for node in ast.walk(scope):
        if isinstance(node, ast.Assign):
            yield from ((node.lineno, target.id, node.value) for target in node.targets if isinstance(target, ast.Name))


def _makes_a_fault(function: ast.expr) -> bool:
    """The second argument of `Fault`, `Invalid.at`, `Attributes.refuse` and `Grammar` is a rule."""
    match function:
        case ast.Name(id="Fault" | "Grammar") | ast.Attribute(attr="at" | "refuse"):
            return True
    return False


def _returns_a_rule(scope: ast.AST) -> bool:
    returns = getattr(scope, "returns", None)
    return returns is not None and ast.unparse(returns) == "tuple[str, str] | None"


def _rule(slug: ast.expr, message: ast.expr, texts: Mapping[str, ast.expr]) -> Iterator[Rule]:
    written = _words(slug, {})
    if written.strip("…"):
        yield Rule(written, _words(message, texts))


def _words(message: ast.expr, texts: Mapping[str, ast.expr]) -> str:
    """Return a text with `…` for what is put in when it is written; nothing when it is made elsewhere."""
    match message:
        case ast.Constant(value=str(text)):
            return text
        case ast.Name(id=name) if name in texts:
            return _words(texts[name], {})
        case ast.JoinedStr(values=parts):
            return "".join(_words(_put_in(part), texts) or "…" for part in parts)
    return ""


def _put_in(part: ast.expr) -> ast.expr:
    return part.value if isinstance(part, ast.FormattedValue) else part
