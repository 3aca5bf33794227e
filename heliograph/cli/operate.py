"""`heliograph serve`, `worker`, `init`, `migrate` and `openapi`: what whoever runs the platform needs."""

from __future__ import annotations

from typing import Annotated

import msgspec
import typer

from heliograph.cli.output import print_line, say
from heliograph.cli.session import AsJson, Data, DatabaseUrl, load_settings, open_platform, plain_errors
from heliograph.errors import CannotStart


@plain_errors
def serve(
    data: Data = None,
    host: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="The address to listen on. [env: HELIOGRAPH_HOST; default: 127.0.0.1]"),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="The port to listen on; 0 takes a free one. [env: HELIOGRAPH_PORT; default: 8080]"
        ),
    ] = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Serve the API.

    An empty database is prepared first, and its first key printed. SIGTERM and Ctrl-C end it once all requests are
    answered; SIGHUP makes it believe a clock that jumped forward.
    """
    settings = load_settings(data=data, host=host, port=port, database_url=database_url)
    from heliograph.cli import server

    server.serve(settings)


@plain_errors
def worker(database_url: DatabaseUrl = None) -> None:
    """Deliver to endpoints, beside other servers and workers on the same PostgreSQL.

    With SQLite, serve delivers. SIGTERM and Ctrl-C end it once the requests under way are answered.
    """
    settings = load_settings(data=None, database_url=database_url)
    from heliograph.cli import delivering

    delivering.run(settings)


@plain_errors
def init(
    data: Data = None,
    database_url: DatabaseUrl = None,
    print_key: Annotated[
        bool, typer.Option("--print-key", help="Only make a master key and print it, as PostgreSQL needs one.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Prepare an empty database and print its key."""
    if print_key:
        from heliograph.storage.sealing import new_master_key

        typer.echo(new_master_key())
        return
    platform = open_platform(load_settings(data=data, database_url=database_url), may_prepare=True)
    platform.close()
    first = platform.first_start
    if first is None:
        raise CannotStart("The database is in use already; 'heliograph key create --owner' replaces a lost key.")
    if as_json:
        print_line({"key": first.token.reveal(), "tenantUid": first.organization.uid.hex()})
    else:
        typer.echo(f"key: {first.token.reveal()}")
        say("The key is shown this once. 'heliograph serve' serves.")


@plain_errors
def migrate(data: Data = None, database_url: DatabaseUrl = None, as_json: AsJson = False) -> None:
    """Bring the database's schema up to date.

    Stop all servers first; none starts on an older schema.
    """
    from heliograph.app import migrate_database

    applied = migrate_database(load_settings(data=data, database_url=database_url))
    if as_json:
        print_line({"applied": applied})
        return
    for name in applied:
        typer.echo(f"applied {name}")
    if not applied:
        typer.echo("The schema is up to date.")


@plain_errors
def openapi() -> None:
    """Print the API's description (OpenAPI 3.1)."""
    from heliograph.http.app import ROUTES
    from heliograph.http.openapi import document

    typer.echo(msgspec.json.format(msgspec.json.encode(document(ROUTES.all))))
