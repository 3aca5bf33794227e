"""The command line: `heliograph <command>`.

Exit codes: 0 when it worked, 1 when the platform refused, 2 when the command was used wrongly.
"""

from __future__ import annotations

import typer

from heliograph.cli import (
    access_codes,
    accounts,
    connected_accounts,
    deliveries,
    devices,
    doctor,
    endpoints,
    events,
    jobs,
    operate,
    recipes,
    simulate,
    tenants,
    types,
)

HELP = """An event platform for connected devices.

Commands ask the server that --url names, else the one that serves the data folder; both want a key (--key or
HELIOGRAPH_KEY). Where no server runs, they open the database themselves, as its owner and without a key.

Exit codes: 0 it worked, 1 the platform refused, 2 the command was used wrongly. With --json, standard output is
JSON and nothing else. Completion for your shell: heliograph --install-completion.
"""

# Plain help and plain messages: the same on a terminal, in a log and in a pipe.
app = typer.Typer(
    name="heliograph", help=HELP, no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False
)
app.command()(operate.serve)
app.command()(operate.worker)
app.command()(operate.init)
app.command()(operate.migrate)
for group in (
    tenants.app, accounts.accounts, accounts.keys, events.app, types.app, recipes.app, devices.app,
    connected_accounts.app, access_codes.app, endpoints.app, deliveries.app, jobs.app,
):  # fmt: skip
    app.add_typer(group)
app.command()(simulate.simulate)
app.command()(operate.openapi)
app.command()(doctor.doctor)


def main() -> None:
    """Run the command that the process was started with."""
    app()
