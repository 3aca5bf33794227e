"""The few pieces of Markdown that the generated pages are made of."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

NOTHING = "-"
"""What stands in a cell that has nothing to say."""


def yes(fact: bool) -> str:
    """Write a cell that says yes or nothing."""
    return "yes" if fact else NOTHING


def heading(level: int, text: str) -> str:
    """Write a heading."""
    return f"{'#' * level} {text}"


def code(text: str) -> str:
    """Write a piece of code inside a line."""
    return f"`{text}`"


def codes(texts: Iterable[str]) -> str:
    """Write several pieces of code, with commas between them."""
    return ", ".join(map(code, texts))


def either(texts: Iterable[str]) -> str:
    """Write alternatives: "a, b or c", each once."""
    *others, last = dict.fromkeys(texts)
    return f"{', '.join(others)} or {last}" if others else last


def cell(text: str) -> str:
    """Make a text fit into one cell of a table."""
    return re.sub(r"\s+", " ", text).strip().replace("|", r"\|")


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Write a table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(map(cell, line)) + " |" for line in lines)


def fence(language: str, text: str) -> str:
    """Write a block of code."""
    return f"```{language}\n{text}\n```"


def json_block(value: Any) -> str:
    """Write a JSON document as a block."""
    return fence("json", json.dumps(value, indent=2, ensure_ascii=False))


def anchor(title: str) -> str:
    """Return the name under which GitHub finds a heading: lower case, blanks as hyphens, punctuation left out."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def document(source: str, *parts: str) -> str:
    """Put a page together; `source` says from what it was made."""
    note = f"<!-- Written by `make docs` from {source}. Change that, not this page. -->"
    return "\n\n".join((note, *(part for part in parts if part))) + "\n"
