"""The command line."""

from __future__ import annotations

import os
from pathlib import Path

import typer
import uvicorn

from heliograph.app import Platform
from heliograph.http.protocol import ConnectionLimits, limited_protocol
from heliograph.settings import load

app = typer.Typer(no_args_is_help=True)


@app.command()
def serve(
    data: Path | None = None, host: str | None = None, port: int | None = None, database_url: str | None = None
) -> None:
    """Serve."""
    settings = load({"data": data, "host": host, "port": port, "database_url": database_url}, os.environ)

    platform = Platform(settings)
    if platform.first_start:
        print(f"key: {platform.first_start.token.reveal()}", flush=True)

    edge = platform.edge()
    limits = ConnectionLimits(
        settings.header_bytes, settings.header_count, settings.header_timeout, settings.idle_timeout
    )
    uvicorn.run(
        edge,
        host=settings.host,
        port=settings.port,
        http=limited_protocol(limits),
        loop="uvloop",
        lifespan="on",
        access_log=False,
        server_header=False,
        date_header=False,
        log_level="warning",
        ws="none", proxy_headers=False,
    )


@app.command()
def noop() -> None:
    """x"""


def main() -> None:
    app()
