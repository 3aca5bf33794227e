"""`python -m bench`: each row of the targets, each beside its peer or limit, with the ratios of this one run.

Absolute figures depend on the machine and on what else it does; the ratios are what to compare.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TimeElapsedColumn
from rich.table import Table

from bench import delivering, importing, limits, reading, reporting, servers
from bench.load import Load, Result
from bench.paced import Paced
from bench.servers import CLIENT_CORE, Server

MILLION = 1_000_000
IMPORTED = 100_000
REPORTED = 10_000
BACKLOG = 60_000
REPEATS = 10
CONNECTIONS = 64
BATCH = 100
BATCH_CONNECTIONS = 16
SUBTREE = 20
ENDPOINTS = 200
FAN_OUT = 5
"""Endpoints that want an event, where there are 200."""

PEER_EVENTS = 2_000
PUBLISHED_PER_SECOND = 1_000


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
        task = self.progress.add_task(name, total=None)
        connections = CONNECTIONS if batch == 1 else BATCH_CONNECTIONS
        load = Load(server.port, "/v1/events", server.key, connections, self.seconds, batch, CLIENT_CORE, total)
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


def show(console: Console, title: str, rows: list[Measured], base: Measured | None = None) -> None:
    """Print figures, each with its ratio to the first row or to `base`."""
    base = base or rows[0]
    table = Table(title=title, title_justify="left", title_style="bold")
    for column in ("", "events/s", "ratio", "p50 ms", "p99 ms", "events per CPU s"):
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


def single_events(bench: Bench) -> None:
    """Row 1: one event a request, on SQLite."""
    with servers.heliograph(bench.sub_folder("nostore"), storing=False) as server:
        without = bench.load(server, "the same server, storing nothing")
    with servers.heliograph(bench.sub_folder("single")) as server:
        empty = bench.load(server, "Heliograph, empty log")
    with servers.heliograph(bench.folder / "million") as server:
        bench.caught_up(server)
        full = bench.load(server, f"Heliograph, {bench.present:,} events present")
    with servers.peer(bench.sub_folder("peer")) as server:
        usual = bench.load(server, "FastAPI + aiosqlite, a commit each")
    synced = limits.append_and_sync(bench.folder, CONNECTIONS // 2, min(bench.seconds, 3))
    limit = Measured(f"append {CONNECTIONS // 2} events to a file + fdatasync", synced)
    show(bench.console, "1. Durable single events, SQLite, 64 connections", [without, empty, full, usual, limit])


def batches(bench: Bench) -> None:
    """Row 2: batches of 100 on SQLite, sustained and as a burst."""
    with servers.heliograph(bench.sub_folder("nostore-batch"), storing=False) as server:
        without = bench.load(server, "the same server, storing nothing", batch=BATCH)
    with servers.heliograph(bench.sub_folder("batch")) as server:
        burst = bench.load(server, f"Heliograph, a burst of {bench.present:,}", batch=BATCH, total=bench.present)
        seconds = bench.caught_up(server)
        sustained = bench.load(server, "Heliograph, sustained after it", batch=BATCH)
    show(bench.console, "2. Durable batches of 100, SQLite, 16 connections", [without, burst, sustained])
    bench.console.print(f"   every filter had caught up {seconds:.1f} s after the burst\n")


def postgres(bench: Bench) -> None:
    """Row 3: the same on PostgreSQL, which shares both cores with server and client."""
    from tests.postgres import PostgresServer, PostgresUnavailable

    try:
        database = PostgresServer.start()
    except PostgresUnavailable as error:
        bench.console.print(f"3. PostgreSQL: not run: {error}")
        return
    try:
        folder = bench.sub_folder("postgres")
        with servers.heliograph(folder, database_url=database.create_database()) as server:
            single = bench.load(server, "Heliograph, single events")
            bench.caught_up(server)
            batch = bench.load(server, "Heliograph, batches of 100", batch=BATCH)
        rows = [single, batch]
        pgbench = shutil.which("pgbench")
        if pgbench:
            rate = limits.pgbench_one_row(pgbench, database.create_database(), folder, 16, int(max(2, bench.seconds)))
            rows.append(Measured("pgbench, one row a transaction, 16 clients", rate))
        show(bench.console, "3. PostgreSQL", rows)
    finally:
        database.stop()


def pages(bench: Bench) -> None:
    """Row 4: pages of 100 over HTTP from the large log."""
    with servers.heliograph(bench.folder / "million") as server:
        bench.caught_up(server)
        reader = reading.Reader(server)
        subtree = [("include", "subtree"), ("tenantUid", reader.plant(SUBTREE - 2, 20))]
        bench.caught_up(server)
        merged = {"no filter": subtree, "eventCode": [*subtree, ("eventCode", "10005")]}
        for title, names, deep in (
            (f"4. Pages of 100 of {bench.present:,} events over HTTP, median ms", reading.SINGLE, 5000),
            ("   pairs of filters", reading.PAIRS, 50),
            (f"   merged from a subtree of {SUBTREE} tenants", merged, 50),
        ):
            table = Table(title=title, title_justify="left", title_style="bold")
            for column in ("filter", "order", "first", "deep", "deep/first", "page"):
                table.add_column(column, justify="left" if column in ("filter", "order") else "right")
            for row in reader.timings(names, deep):
                deep_text = ("", "", "") if row.deep is None else (
                    f"{row.deep:.2f}", f"{row.deep / row.first:.2f}", f"{row.deep_page:,}"
                )  # fmt: skip
                table.add_row(row.name, row.order, f"{row.first:.2f}", *deep_text)
            bench.console.print(table)


def footprint(bench: Bench) -> None:
    """Row 5: bytes on disk, memory, start."""
    data = bench.folder / "million"
    with servers.heliograph(data) as server:
        bench.caught_up(server)
        events = reading.Reader(server).newest_seq() + 1
        memory, started_in = server.memory(), server.started_in
    size = sum(path.stat().st_size for path in data.glob("heliograph.db*"))
    bench.console.print(
        f"[bold]5.[/] {size / events:,.0f} bytes on disk an event ({events:,} events),"
        f" {memory / 2**20:.0f} MiB memory, {started_in:.2f} s from start to first answer\n"
    )


def bulk_import(bench: Bench) -> None:
    """Row 6: a file of recipes, and what it does to single events that come in meanwhile."""
    content = importing.fleet(bench.imported)
    with servers.heliograph(bench.sub_folder("import")) as server:
        with importing.events_meanwhile(server) as quiet:
            time.sleep(max(5.0, bench.seconds))
        before = server.memory()
        task = bench.progress.add_task(f"importing {bench.imported:,} rows", total=None)
        with importing.events_meanwhile(server) as busy:
            imported = importing.import_file(server, content)
        bench.progress.remove_task(task)
        most = server.most_memory()
    title = f"6. Import of {bench.imported:,} recipes, SQLite, with {importing.EVENTS_PER_SECOND} events/s meanwhile"
    show_paced(
        bench.console, title, {"single events alone": quiet.result, "single events during the import": busy.result}
    )
    bench.console.print(
        f"   {imported.seconds:.1f} s from the first byte to the end of the job,"
        f" {bench.imported / imported.seconds:,.0f} rows/s; {len(content) / 2**20:.0f} MiB of CSV;"
        f" memory {before / 2**20:.0f} MiB before, {most / 2**20:.0f} MiB at most\n"
    )


def report(bench: Bench) -> None:
    """Row 7: a lock that reports codes which nobody knew, and then the same again, with events meanwhile."""
    content = reporting.codes(REPORTED)
    with servers.heliograph(bench.sub_folder("report")) as server:
        lock = reporting.enrol_lock(server)
        with importing.events_meanwhile(server) as quiet:
            time.sleep(max(5.0, bench.seconds))
        task = bench.progress.add_task(f"reporting {REPORTED:,} codes", total=None)
        with importing.events_meanwhile(server) as busy:
            first = reporting.send_report(server, lock, content)
        with importing.events_meanwhile(server) as repeating:
            again = [reporting.send_report(server, lock, content) for _ in range(REPEATS)]
        bench.progress.remove_task(task)
    if first.answer["discovered"] != REPORTED or {one.answer["unchanged"] for one in again} != {REPORTED}:
        raise SystemExit(f"The reports were not applied as they should be: {first.answer}, {again[0].answer}")
    title = f"7. A lock reports {REPORTED:,} codes, SQLite, with {importing.EVENTS_PER_SECOND} events/s meanwhile"
    rows = {
        "single events alone": quiet.result,
        "single events while new codes are applied": busy.result,
        f"single events while the same comes {REPEATS} times again": repeating.result,
    }
    show_paced(bench.console, title, rows)
    bench.console.print(
        f"   {first.seconds:.1f} s from the first byte to the end of the job, {REPORTED / first.seconds:,.0f} codes/s;"
        f" {sum(one.seconds for one in again) / REPEATS:.2f} s for the same again; {len(content) / 2**20:.1f} MiB\n"
    )


def deliveries(bench: Bench) -> None:
    """Row 8: webhooks settled a second out of a backlog, while single events come in, and those of the peer."""
    rows, alone = [], {}
    for endpoints, each in ((1, 1), (ENDPOINTS, FAN_OUT)):
        folder = bench.sub_folder(f"deliveries-{endpoints}")
        with delivering.receiving() as receiver:
            with servers.heliograph(folder, settings=delivering.ONLY_STORE) as server:
                delivering.add_endpoints(server, receiver, endpoints)
                bench.load(server, "publishing the backlog", batch=BATCH, total=bench.backlog // each)
            with (
                servers.heliograph(folder, settings=delivering.ALLOW_LOOPBACK) as server,
                importing.events_meanwhile(server) as meanwhile,
            ):
                before, began = server.cpu_seconds(), time.perf_counter()
                rate = delivering.settled_per_second(partial(delivering.settled, folder), bench.backlog, bench.seconds)
                used = (server.cpu_seconds() - before) / (time.perf_counter() - began)
        name = f"Heliograph, {endpoints} endpoint{'s' * (endpoints > 1)}"
        rows.append(Measured(name, rate, per_cpu_second=rate / used))
        alone[f"single events meanwhile, {name[12:]}"] = meanwhile.result
    folder = bench.sub_folder("outbound")
    with delivering.receiving() as receiver, delivering.peer_relay(folder, receiver, PEER_EVENTS):
        rate = delivering.settled_per_second(partial(delivering.settled_by_peer, folder), PEER_EVENTS, bench.seconds)
        rows.append(Measured("django-outbound-webhooks, 1 endpoint, nothing meanwhile", rate))
    title = f"8. Webhooks delivered and settled, SQLite, with {importing.EVENTS_PER_SECOND} events/s meanwhile"
    show(bench.console, title, rows, rows[-1])
    show_paced(bench.console, "   and the events meanwhile", alone)


def latency(bench: Bench) -> None:
    """Row 9: from publishing to receiving."""
    with (
        delivering.receiving() as receiver,
        servers.heliograph(bench.sub_folder("latency"), settings=delivering.ALLOW_LOOPBACK) as server,
    ):
        delivering.add_endpoints(server, receiver, 1)
        with importing.events_meanwhile(server, PUBLISHED_PER_SECOND, stamped=True) as pacer:
            time.sleep(bench.seconds)
        time.sleep(1)
    heard = receiver.heard
    title = f"9. From publishing to receiving, SQLite, {PUBLISHED_PER_SECOND:,} events/s to one endpoint"
    received = Paced(heard.stamped, 0, heard.p50, heard.p99, heard.worst)
    show_paced(bench.console, title, {"published and answered": pacer.result, "received": received})


def isolation(bench: Bench) -> None:
    """Row 10: what endpoints that misbehave do to the others."""
    results = {}
    for name, good in ((f"{ENDPOINTS} that answer", ENDPOINTS), ("six of them misbehave", ENDPOINTS - 6)):
        with (
            delivering.receiving() as receiver,
            delivering.receiving() as bad_receiver,
            servers.heliograph(bench.sub_folder(f"isolation-{good}"), settings=delivering.ALLOW_LOOPBACK) as server,
        ):
            delivering.add_endpoints(server, receiver, good)
            if good < ENDPOINTS:
                delivering.add_bad_endpoints(server, bad_receiver)
            with importing.events_meanwhile(server, stamped=True):
                time.sleep(2 * bench.seconds)
            time.sleep(1)
        heard = receiver.heard
        results[name] = Paced(heard.stamped, 0, heard.p50, heard.p99, heard.worst)
    rate = importing.EVENTS_PER_SECOND
    title = f"10. From publishing to receiving, SQLite, {rate} events/s to {FAN_OUT} of {ENDPOINTS} endpoints each"
    show_paced(bench.console, title, results)


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


# The footprint comes before the pages, which add tenants with events of their own.
ROWS: dict[int, Callable[[Bench], None]] = {
    1: single_events,
    2: batches,
    3: postgres,
    5: footprint,
    4: pages,
    6: bulk_import,
    7: report,
    8: deliveries,
    9: latency,
    10: isolation,
}


def main() -> None:
    """Run the rows that the command line names, all by default."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("rows", nargs="*", type=int, choices=[*ROWS, []], help="rows to run; all by default")
    parser.add_argument("--seconds", type=float, default=6.0, help="length of each load (default 6)")
    parser.add_argument("--present", type=int, default=MILLION, help="events of the large log (default 1,000,000)")
    parser.add_argument("--imported", type=int, default=IMPORTED, help="rows of the import (default 100,000)")
    parser.add_argument("--backlog", type=int, default=BACKLOG, help="deliveries that wait (default 60,000)")
    arguments = parser.parse_args()
    rows = [row for row in ROWS if not arguments.rows or row in arguments.rows]
    console = Console(width=120)
    console.print(f"{os.cpu_count()} cores; server on core {servers.SERVER_CORE}, client on core {CLIENT_CORE}\n")
    with (
        tempfile.TemporaryDirectory(prefix="heliograph-bench-") as folder,
        Progress(
            SpinnerColumn(), "{task.description}", TimeElapsedColumn(), console=console, transient=True
        ) as progress,
    ):
        bench = Bench(Path(folder), arguments, progress)
        if {1, 4, 5} & set(rows):
            with servers.heliograph(bench.sub_folder("million")) as server:
                filled = bench.load(server, "filling the large log", batch=BATCH, total=arguments.present)
                waited = bench.caught_up(server)
            console.print(
                f"The large log was filled at {filled.rate:,.0f} events/s and indexed {waited:.1f} s later.\n"
            )
        for row in rows:
            ROWS[row](bench)


if __name__ == "__main__":
    main()
