"""Rows 6 to 8: imports of recipes, reports of locks, and lists in Seam's dialect."""

from __future__ import annotations

import time

from bench import importing, reporting, servers
from bench.figures import Bench, show, show_paced
from bench.servers import Server

REPORTED = 10_000
REPEATS = 10


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


def seam_events(bench: Bench) -> None:
    """Row 8: Seam's `/events/list`, beside the stand-in that Seam's SDKs are tested with."""
    if not (servers.FAKE / "node_modules").exists():
        bench.console.print("8. Seam's /events/list: not run: fake-seam-connect is not installed, for want of npm\n")
        return
    for stored, returned in ((500, 500), (10_000, 1)):
        with servers.fake_seam(stored) as server:
            path = _listing(server, "", "lock-of-one", returned)
            rows = [bench.read(server, "fake-seam-connect 1.86.0, in memory", path)]
        with servers.heliograph(bench.sub_folder(f"seam-{stored}")) as server:
            lock = reporting.fill_locks(server, stored)
            bench.caught_up(server)
            path = _listing(server, "/seam", lock, returned)
            rows.append(bench.read(server, "Heliograph, the same asked again", path))
            fresh = path.replace("00Z", "00.{}Z")
            rows.append(bench.read(server, "Heliograph, each request another question", fresh))
        title = f"8. Seam's /events/list, {stored:,} events stored, {returned} returned, 16 connections"
        show(bench.console, title, rows, "requests")


def _listing(server: Server, prefix: str, lock: str, returned: int) -> str:
    """Return the path that lists the events of a lock that has one, or of all; the answer is looked at once."""
    path = f"{prefix}/events/list?since=2020-01-01T00:00:00Z" + (f"&device_id={lock}" if returned == 1 else "")
    listed = len(server.get(path)["events"])
    if listed != returned:
        raise SystemExit(f"{path} lists {listed} events.")
    return path
