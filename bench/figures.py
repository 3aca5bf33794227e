"""What a run of the bench has in common: its folder, its loads, and the tables of its figures."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from bench.load import Load, Result
from bench.paced import Paced
from bench.servers import CLIENT_CORE, Server

CONNECTIONS = 64
SEAM_CONNECTIONS = 16
BATCH = 100
BATCH_CONNECTIONS = 16


@dataclass(frozen=True)
class Measured:
    """One figure: events per second, their latency, and how many one CPU second of the server carries."""

    name: str
    rate: float
    p50: float | None = None
    p99: float | None = None
    per_cpu_second: float | None = None


class Bench:
    """One run, in a folder of its own; shows what it is doing."""

    def __init__(self, folder: Path, arguments: argparse.Namespace, progress: Progress) -> None:
        self.folder = folder
        self.seconds: float = arguments.seconds
        self.present: int = arguments.present
        self.imported: int = arguments.imported
        self.backlog: int = arguments.backlog
        self.progress = progress
        self.console = progress.console

    def load(self, server: Server, name: str, *, batch: int = 1, total: int | None = None) -> Measured:
        """Load a server and report what it carried."""
        connections = CONNECTIONS if batch == 1 else BATCH_CONNECTIONS
        load = Load(server.port, "/v1/events", server.key, connections, self.seconds, batch, CLIENT_CORE, total)
        return self._run(server, name, load)

    def read(self, server: Server, name: str, path: str) -> Measured:
        """Ask a server for one path over and over; `{}` in it makes each request another one."""
        load = Load(server.port, path, server.key, SEAM_CONNECTIONS, self.seconds, core=CLIENT_CORE, reads=True)
        return self._run(server, name, load)

    def _run(self, server: Server, name: str, load: Load) -> Measured:
        task = self.progress.add_task(name, total=None)
        before = server.cpu_seconds()
        command = [sys.executable, "-m", "bench.load", json.dumps(asdict(load))]
        output = subprocess.run(command, check=True, capture_output=True, text=True, timeout=600).stdout
        result = Result(**json.loads(output))
        self.progress.remove_task(task)
        if result.failed:
            raise SystemExit(f"{name}: {result.failed} requests failed.")
        used = server.cpu_seconds() - before
        return Measured(name, result.rate, result.p50, result.p99, result.all_events / used)

    def sub_folder(self, name: str) -> Path:
        """Make a fresh folder."""
        path = self.folder / name
        path.mkdir()
        return path

    def caught_up(self, server: Server) -> float:
        """Wait until the filter index has followed the log; return the seconds."""
        began = time.perf_counter()
        while server.get("/readyz")["indexLagEvents"]:
            time.sleep(0.1)
        return time.perf_counter() - began


def show(
    console: Console, title: str, rows: list[Measured], unit: str = "events", base: Measured | None = None
) -> None:
    """Print figures, each with its ratio to the first row or to `base`."""
    base = base or rows[0]
    table = Table(title=title, title_justify="left", title_style="bold")
    for column in ("", f"{unit}/s", "ratio", "p50 ms", "p99 ms", f"{unit} per CPU s"):
        table.add_column(column, justify="left" if not column else "right")
    for row in rows:
        table.add_row(
            row.name,
            f"{row.rate:,.0f}",
            f"{row.rate / base.rate:.2f}",
            "" if row.p50 is None else f"{row.p50:.1f}",
            "" if row.p99 is None else f"{row.p99:.1f}",
            "" if row.per_cpu_second is None else f"{row.per_cpu_second:,.0f}",
        )
    console.print(table)


def show_paced(console: Console, title: str, rows: dict[str, Paced]) -> None:
    """Print how long events took that came at a fixed rate, with the ratio to the first row."""
    table = Table(title=title, title_justify="left", title_style="bold")
    for column in ("", "events", "p50 ms", "p99 ms", "ratio", "slowest ms"):
        table.add_column(column, justify="left" if not column else "right")
    alone = next(iter(rows.values()))
    for name, paced in rows.items():
        ratio = f"{paced.p99 / alone.p99:.2f}"
        table.add_row(name, f"{paced.requests:,}", f"{paced.p50:.1f}", f"{paced.p99:.1f}", ratio, f"{paced.worst:.1f}")
    console.print(table)
