"""`heliograph delivery`: events on their way to endpoints."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from heliograph.cli.client import path_of
from heliograph.cli.output import field, print_item, print_list
from heliograph.cli.session import Session, Tenant, with_session

app = typer.Typer(name="delivery", help="Events on their way to endpoints.", no_args_is_help=True)

Id = Annotated[str, typer.Argument(metavar="ID", help="The delivery.")]

COLUMNS = {name: field(name) for name in ("id", "state", "attempts", "errorClass", "eventId", "dueAt", "createdAt")}
ATTEMPTS = {name: field(name) for name in ("number", "startedAt", "errorClass", "status")} | {
    "milliseconds": lambda attempt: attempt["timing"]["total"] // 1000,
    "message": field("message"),
}


class State(StrEnum):
    """What became of a delivery."""

    PENDING = "pending"
    DELIVERED = "delivered"
    EXHAUSTED = "exhausted"
    CANCELLED = "cancelled"


@app.command("list")
@with_session
def list_deliveries(
    session: Session,
    endpoint: Annotated[str | None, typer.Option("--endpoint", metavar="UID", help="To this endpoint.")] = None,
    event: Annotated[str | None, typer.Option("--event", metavar="ID", help="Of this event.")] = None,
    state: Annotated[list[State] | None, typer.Option("--state", help="In this state; may repeat.")] = None,
    error: Annotated[
        list[str] | None,
        typer.Option("--error", metavar="CLASS", help="Whose last attempt ended so, such as timeout; may repeat."),
    ] = None,
    since: Annotated[
        str | None, typer.Option("--from", metavar="TIME", help="Of events from then on (RFC 3339).")
    ] = None,
    until: Annotated[str | None, typer.Option("--to", metavar="TIME", help="Of events before then.")] = None,
    subtree: Annotated[bool, typer.Option("--subtree", help="Of the tenants below as well.")] = False,
    tenant: Tenant = None,
) -> None:
    """List deliveries, those of the newest events first; all filters must fit."""
    query = {
        "endpointUid": endpoint, "eventId": event, "state": state, "errorClass": error, "from": since, "to": until,
        "include": "subtree" if subtree else None, "tenantUid": tenant,
    }  # fmt: skip
    print_list(session.client.pages("/v1/deliveries", query), COLUMNS, session.as_json)


@app.command()
@with_session
def show(session: Session, id: Id) -> None:
    """Show one delivery."""
    print_item(session.client.request("GET", path_of("deliveries", id)).document, session.as_json)


@app.command()
@with_session
def attempts(session: Session, id: Id) -> None:
    """List the attempts at a delivery, the first one first."""
    print_list(session.client.pages(path_of("deliveries", id, "attempts"), {}), ATTEMPTS, session.as_json)


@app.command()
@with_session
def resend(session: Session, id: Id) -> None:
    """Send a delivery again, by the whole schedule."""
    print_item(session.client.request("POST", path_of("deliveries", id, "resend")).document, session.as_json)
