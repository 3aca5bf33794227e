"""The pages of the documentation, and what stands in them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]

_FENCE = re.compile(r"^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE)
_OUTPUTS = ("text", "json")


@dataclass(frozen=True)
class Block:
    """A block of code and, where another follows it directly, what it prints."""

    line: int
    language: str
    text: str
    output: str | None


def name_of(page: Path) -> str:
    """Return a page's path below the repository."""
    return page.relative_to(ROOT).as_posix()


def blocks(text: str) -> Iterator[Block]:
    """Yield the blocks of a page; a block of output right behind a command belongs to the command."""
    found = list(_FENCE.finditer(text))
    for number, match in enumerate(found):
        following = found[number + 1] if number + 1 < len(found) else None
        output = None
        if following and following["language"] in _OUTPUTS and not text[match.end() : following.start()].strip():
            output = following["text"]
        yield Block(text.count("\n", 0, match.start()) + 1, match["language"], match["text"], output)


def without_code(text: str) -> str:
    """Return a page without its blocks and pieces of code, in which a bracket is no link and a # no heading."""
    return re.sub(r"`[^`\n]*`", lambda code: re.sub(r"[\[\]()#]", "", code[0]), _FENCE.sub("", text))
