"""`heliograph connected-accounts`: the vendors' accounts to which locks belong."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from heliograph.cli.client import path_of
from heliograph.cli.output import field, print_item, print_list
from heliograph.cli.session import Session, Tenant, with_session

app = typer.Typer(
    name="connected-accounts", help="The vendors' accounts to which locks belong.", no_args_is_help=True
)  # fmt: skip

Uid = Annotated[str, typer.Argument(metavar="UID", help="The account.")]

COLUMNS = {name: field(name) for name in ("uid", "state", "provider", "name", "createdAt", "updatedAt")}


class State(StrEnum):
    """Whether the vendor lets us in."""

    CONNECTED = "connected"
    DISCONNECTED = "disconnected"


@app.command("list")
@with_session
def list_accounts(
    session: Session,
    state: Annotated[list[State] | None, typer.Option("--state", help="In one of these states.")] = None,
    provider: Annotated[list[str] | None, typer.Option("--provider", metavar="TEXT", help="Of one of these.")] = None,
    name: Annotated[str | None, typer.Option("--name", metavar="TEXT", help="Whose name begins so.")] = None,
    tenant: Tenant = None,
) -> None:
    """List connected accounts; all filters must fit."""
    query = {"state": state, "provider": provider, "namePrefix": name, "tenantUid": tenant}
    print_list(session.client.pages("/v1/connected-accounts", query), COLUMNS, session.as_json)


@app.command()
@with_session
def get(session: Session, uid: Uid, tenant: Tenant = None) -> None:
    """Show one connected account."""
    answer = session.client.request("GET", path_of("connected-accounts", uid), {"tenantUid": tenant})
    print_item(answer.document, session.as_json)


@app.command()
@with_session
def create(
    session: Session,
    name: Annotated[str, typer.Argument(metavar="NAME", help="What people call it.")],
    provider: Annotated[str, typer.Option("--provider", metavar="TEXT", help="The vendor, in one word.")],
    tenant: Tenant = None,
) -> None:
    """Add a connected account; it is connected until somebody says that it is not."""
    body = {"name": name, "provider": provider}
    answer = session.client.request("POST", "/v1/connected-accounts", {"tenantUid": tenant}, body)
    print_item(answer.document, session.as_json)


@app.command()
@with_session
def disconnect(
    session: Session,
    uid: Uid,
    message: Annotated[str | None, typer.Option("--message", metavar="TEXT", help="Why, for people.")] = None,
    tenant: Tenant = None,
) -> None:
    """Note that the vendor no longer lets us in."""
    body = {} if message is None else {"message": message}
    answer = session.client.request(
        "POST", path_of("connected-accounts", uid, "disconnect"), {"tenantUid": tenant}, body
    )  # fmt: skip
    print_item(answer.document, session.as_json)


@app.command()
@with_session
def reconnect(session: Session, uid: Uid, tenant: Tenant = None) -> None:
    """Note that the vendor lets us in again: the account's errors end."""
    answer = session.client.request("POST", path_of("connected-accounts", uid, "reconnect"), {"tenantUid": tenant})
    print_item(answer.document, session.as_json)
