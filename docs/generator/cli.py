"""`reference/cli.md`: every command with its help, as the program prints it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import typer.main

from docs.generator import markdown
from heliograph.cli.main import app

NAME = "heliograph"
WIDTH = 100

_INTRODUCTION = """\
# Commands

What `heliograph <command> --help` prints. Installed by `make run` in `.venv/bin`."""


def page() -> str:
    """Return the whole page."""
    parts = [_INTRODUCTION]
    for path, text in _helps(typer.main.get_command(app), NAME, None):
        parts += [markdown.heading(2, markdown.code(path)), markdown.fence("text", text)]
    return markdown.document("the commands (`heliograph/cli`)", *parts)


def _helps(command: Any, path: str, parent: Any) -> Iterator[tuple[str, str]]:
    """Return the path and the help of a command and of all below it."""
    context = command.make_context(
        path.split()[-1], [], parent=parent, resilient_parsing=True, terminal_width=WIDTH, max_content_width=WIDTH
    )
    help_text = "\n".join(line.rstrip() for line in command.get_help(context).splitlines())
    yield path, help_text
    for name, inner in getattr(command, "commands", {}).items():
        yield from _helps(inner, f"{path} {name}", context)
