"""`python -m bench`: each row of the targets, each beside its peer or limit, with the ratios of this one run.

Absolute figures depend on the machine and on what else it does; the ratios are what to compare.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TimeElapsedColumn

from bench import delivery_rows, device_rows, log_rows, servers
from bench.figures import BATCH, Bench
from bench.servers import CLIENT_CORE

MILLION = 1_000_000
IMPORTED = 100_000
BACKLOG = 60_000

# The footprint comes before the pages, which add tenants with events of their own.
ROWS: dict[int, Callable[[Bench], None]] = {
    1: log_rows.single_events,
    2: log_rows.batches,
    3: log_rows.postgres,
    5: log_rows.footprint,
    4: log_rows.pages,
    6: device_rows.bulk_import,
    7: device_rows.report,
    8: device_rows.seam_events,
    9: delivery_rows.deliveries,
    10: delivery_rows.latency,
    11: delivery_rows.isolation,
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
