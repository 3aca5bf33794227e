"""What the machine itself can do: append and sync a file, and PostgreSQL's own one-row benchmark."""

from __future__ import annotations

import os
import re
import subprocess
import time
from pathlib import Path

from bench import bodies

_TPS = re.compile(r"tps = ([0-9.]+)")


def append_and_sync(folder: Path, group: int, seconds: float) -> float:
    """Append groups of events to a file, syncing after each; return events per second."""
    pool = bodies.events()
    group_bytes = b"".join(pool[:group])
    descriptor = os.open(folder / "append.bin", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    done, began = 0, time.perf_counter()
    try:
        while time.perf_counter() - began < seconds:
            os.write(descriptor, group_bytes)
            os.fdatasync(descriptor)
            done += group
        return done / (time.perf_counter() - began)
    finally:
        os.close(descriptor)
        os.unlink(folder / "append.bin")


def pgbench_one_row(pgbench: str, dsn: str, folder: Path, clients: int, seconds: int) -> float:
    """Insert one row a transaction with pgbench; return transactions per second."""
    script = folder / "one_row.sql"
    script.write_text("insert into one_row (body) values (repeat('x', 800));\n")
    psql = Path(pgbench).with_name("psql")
    subprocess.run(
        [str(psql), "-q", "-c", "create table if not exists one_row (id bigserial primary key, body text)", dsn],
        check=True,
    )
    command = [pgbench, "-n", "-f", str(script), "-c", str(clients), "-T", str(seconds), dsn]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    match = _TPS.search(output)
    assert match, output
    return float(match[1])
