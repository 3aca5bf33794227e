"""How a simulation is shown: a table that follows it on a terminal, lines elsewhere, and a summary in the end."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from heliograph.cli.output import console, say

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table

    from heliograph.simulation.play import Play

LINE_SECONDS = 5.0
"""How often a line is printed where there is no terminal."""

FRAMES_PER_SECOND = 4
LATEST = 8
OTHER_LINES = 20
"""Lines of the screen beside those that tell what happened last."""

FULL_WIDTH = 118
"""Columns that all counters take; in narrower terminals the causes are left out."""

PLAYERS = ("registered", "registered again", "refused", "not listed", "came online", "went offline", "started again",
           "battery levels", "batteries ran low", "batteries changed", "warnings changed")  # fmt: skip
LOCKS = ("reports", "late reports", "guests came", "guests left", "guests renamed", "changed at the lock",
         "deleted at the lock", "accounts disconnected", "accounts reconnected")  # fmt: skip
CODES = ("conversions", "conversions succeeded", "conversions failed", "conversions timed out", "codes created",
         "codes changed", "removals", "asked again", "changes succeeded", "changes failed",
         "changes timed out")  # fmt: skip
CAUSES = ("cannot_be_managed", "code_unreadable", "duplicate_code_on_device", "managed_by_other_workspace",
          "account_disconnected", "device_offline", "device_rejected", "operation_timed_out",
          "no_space_for_access_code_on_device", "code_constraints_violated")  # fmt: skip
OTHERS = ("imports", "locks registered", "locks placed", "accounts connected", "signs of life", "done for others",
          "tried again")  # fmt: skip

GROUPS = {
    "players and presence": PLAYERS, "locks and accounts": LOCKS, "managed codes": CODES, "why it failed": CAUSES
}  # fmt: skip
"""The counters, as they stand beside each other."""


@contextmanager
def show(url: str, *, quiet: bool) -> Iterator[Callable[[Play], None]]:
    """Return what is to be called whenever a play has gone on."""
    if quiet:
        yield lambda play: None
    elif sys.stdout.isatty():
        with _live(url) as follow:
            yield follow
    else:
        typer.echo(f"Playing against {url} (Ctrl-C ends it)")
        yield _Lines()


class _Lines:
    """Prints how far a play is now and then, and each disagreement as it comes."""

    def __init__(self) -> None:
        self._next = 0.0
        self._told = 0
        self._was_in_place = False

    def __call__(self, play: Play) -> None:
        for fault in play.faults[self._told :]:
            say(f"disagreement: {fault}")
        self._told = len(play.faults)
        if play.in_place and not self._was_in_place:
            self._was_in_place = True
            typer.echo(f"The fleet is in place: {len(play.fleet.players)} players, {len(play.fleet.locks)} locks")
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + LINE_SECONDS
            typer.echo(_headline(play))


def _headline(play: Play) -> str:
    counts = play.counts
    parts = (
        f"{_clock(time.monotonic() - play.began)}  {play.actions} actions",
        f"{counts['registered']} of {len(play.fleet.players)} players registered",
        f"{counts['reports']} reports of {len(play.fleet.locks)} locks",
        f"{counts['conversions succeeded']} of {counts['conversions']} conversions",
        f"{play.disagreements} disagreements",
    )
    return ", ".join(parts)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes // 60:02}:{minutes % 60:02}:{rest:02}"


@contextmanager
def _live(url: str) -> Iterator[Callable[[Play], None]]:
    from rich.live import Live

    happened: list[str] = []
    shown = 0.0
    with Live(console=console(), refresh_per_second=FRAMES_PER_SECOND, transient=True) as live:

        def follow(play: Play) -> None:
            nonlocal shown
            if play.latest and happened[-1:] != [play.latest]:
                happened.append(play.latest)
                del happened[: -max(1, min(LATEST, live.console.height - OTHER_LINES))]
            # Drawing takes longer than a step; what would not be seen is not drawn.
            if time.monotonic() - shown >= 1 / FRAMES_PER_SECOND:
                shown = time.monotonic()
                live.update(_screen(play, url, happened, live.console.width >= FULL_WIDTH))

        yield follow


def _screen(play: Play, url: str, happened: Sequence[str], wide: bool) -> Group:
    from rich.console import Group
    from rich.text import Text

    told = [Text(f"  {text}", style="dim", no_wrap=True, overflow="ellipsis") for text in happened]
    faults = [Text(f"  {fault}", style="red") for fault in play.faults[-3:]]
    ending = Text("ending: what is under way comes to its end ..." if play.stopping else "Ctrl-C ends it", style="dim")
    title = Text(f"Seed {play.fleet.seed} plays against {url}", style="bold")
    gap = Text()
    return Group(
        title, Text(_headline(play)), _present(play), gap, _counters(play, wide), gap, *told, *faults, gap, ending
    )


def _present(play: Play) -> Table:
    """Draw what is the case now."""
    table = _grid()
    if play.plan is None:
        return table
    world = play.plan.world
    codes = [code for lock in world.locks for code in lock.codes.values()]
    devices = [player.presence for player in world.players] + [lock.presence for lock in world.locks]
    now = {
        "players enrolled": sum(player.enrolled for player in world.players),
        "online": sum(device.online for device in devices),
        "low batteries": sum(device.low for device in devices),
        "guests' codes": sum(not code.managed for code in codes),
        "managed codes": sum(code.managed for code in codes),
        "under way": len(world.pending),
        "events in the log": sum(found for _, found in play.events().values()),
    }
    table.add_row("  ".join(f"[bold]{number}[/] {name}" for name, number in now.items()))
    return table


def _counters(play: Play, wide: bool) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    groups = {title: names for title, names in GROUPS.items() if wide or names is not CAUSES}
    for title in groups:
        table.add_column(title, vertical="top", no_wrap=True)
    columns = []
    for names in groups.values():
        column = _grid()
        column.add_column(justify="right")
        for name in names:
            count = play.counts[name]
            column.add_row(name.replace("_", " "), str(count), style=None if count else "dim")
        columns.append(column)
    table.add_row(*columns)
    return table


def _grid() -> Table:
    from rich.table import Table

    grid = Table.grid(padding=(0, 1, 0, 0))
    grid.add_column(no_wrap=True)
    return grid


def tell(play: Play) -> None:
    """Print what was done, what the log holds of it, and where the two disagree."""
    from rich.table import Table

    screen = console()
    screen.print(f"\nSeed {play.fleet.seed}: {play.actions} actions in {_clock(time.monotonic() - play.began)}")
    done = Table(box=None, pad_edge=False, title="what it did", title_justify="left")
    done.add_column("counter")
    done.add_column("times", justify="right")
    for name in (*PLAYERS, *LOCKS, *CODES, *CAUSES, *OTHERS):
        if play.counts[name]:
            done.add_row(name, str(play.counts[name]))
    screen.print(done)
    log = Table(box=None, pad_edge=False, title="\nwhat the log says of it", title_justify="left")
    log.add_column("type")
    log.add_column("expected", justify="right")
    log.add_column("in the log", justify="right")
    for name, (expected, found) in play.events().items():
        log.add_row(name, str(expected), str(found), style="red" if expected != found else None)
    screen.print(log)
    # Where there is no terminal they were told as they came.
    for fault in play.faults if sys.stdout.isatty() else ():
        say(f"disagreement: {fault}")
    if play.disagreements > len(play.faults):
        say(f"... and {play.disagreements - len(play.faults)} more.")
    screen.print(f"\n{play.disagreements or 'No'} disagreements." if play.disagreements != 1 else "\n1 disagreement.")
