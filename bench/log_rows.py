"""Rows 1 to 5: the log itself, on SQLite and PostgreSQL, written and read, and what it needs."""

from __future__ import annotations

import shutil

from rich.table import Table

from bench import limits, reading, servers
from bench.figures import BATCH, CONNECTIONS, Bench, Measured, show

SUBTREE = 20


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
