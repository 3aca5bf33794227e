"""What commands print: tables for people, one JSON document a line for scripts, messages on standard error."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import msgspec
import typer

if TYPE_CHECKING:
    from rich.console import Console

Columns = Mapping[str, Callable[[Any], Any]]
"""Heading of each column, and how its cell is taken from an item."""


class Failed(Exception):
    """A command cannot be carried out; the message tells the person why."""


WIDE = 1000
"""Columns of output that is no terminal: nothing is ever folded there."""


def say(message: str) -> None:
    """Tell the person something that is no result."""
    typer.echo(message, err=True)


def field(name: str) -> Callable[[Any], Any]:
    """Return what takes the field of that name from an item."""
    return itemgetter(name)


def print_line(document: Any) -> None:
    """Print a document as JSON on a line of its own."""
    typer.echo(msgspec.json.encode(document))


def print_raw_line(document: bytes) -> None:
    """Print JSON as it came, but for the white space between its parts."""
    typer.echo(msgspec.json.format(document, indent=-1))


def print_list(pages: Iterable[Sequence[Any]], columns: Columns, as_json: bool) -> None:
    """Print all items of all pages, for scripts as each page comes."""
    if as_json:
        for page in pages:
            for item in page:
                print_line(item)
        return
    print_table([item for page in pages for item in page], columns)


def print_item(item: Mapping[str, Any], as_json: bool) -> None:
    """Print one resource."""
    if as_json:
        print_line(item)
    else:
        print_table([*item.items()], {"field": lambda pair: pair[0], "value": lambda pair: pair[1]}, headings=False)


def print_table(items: Sequence[Any], columns: Columns, headings: bool = True) -> None:
    """Print a table; instead of an empty one, say so."""
    from rich.table import Table
    from rich.text import Text

    if not items:
        say("(none)")
        return
    table = Table(box=None, show_header=headings, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in columns:
        # What has to be copied stays in one piece.
        table.add_column(heading, overflow="fold", no_wrap=heading in ("id", "uid"))
    for item in items:
        # Text, so that nothing in the data is taken for markup.
        table.add_row(*(Text(cell_text(take(item))) for take in columns.values()))
    console().print(table)


def console(stderr: bool = False) -> Console:
    """Return where tables and progress are drawn."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    return Console(file=stream, width=None if stream.isatty() else WIDE, highlight=False)


def cell_text(value: Any) -> str:
    """Write a value as the text of one cell."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str | int):
        return str(value)
    return msgspec.json.encode(value).decode()
