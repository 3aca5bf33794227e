"""`heliograph types`: the catalogue of event types, and the tenant's own."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import typer

from heliograph.cli.client import path_of
from heliograph.cli.output import field, print_item, print_list, say
from heliograph.cli.session import Session, Tenant, with_session

app = typer.Typer(name="types", help="The types that events can have.", no_args_is_help=True)

Type = Annotated[str, typer.Argument(metavar="TYPE", help="Its name, such as door.opened.")]

COLUMNS = {
    "type": field("type"), "internal": field("internal"), "code": field("eventCode"),
    "criticality": field("criticality"), "target": field("targetEntityType"), "meaning": field("meaning"),
}  # fmt: skip


@app.command("list")
@with_session
def list_types(session: Session, tenant: Tenant = None) -> None:
    """List the platform's types and the tenant's own."""
    print_list(session.client.pages("/v1/event-types", {"tenantUid": tenant}), COLUMNS, session.as_json)


@app.command()
@with_session
def show(session: Session, type_name: Type, tenant: Tenant = None) -> None:
    """Show one type with its JSON Schema and sample."""
    answer = session.client.request("GET", path_of("event-types", type_name), {"tenantUid": tenant})
    print_item(answer.document, session.as_json)


@app.command()
@with_session
def create(
    session: Session,
    type_name: Type,
    schema: Annotated[
        typer.FileBinaryRead | None,
        typer.Option("--schema", metavar="FILE", help="A JSON Schema that payloads must obey; - is standard input."),
    ] = None,
    code: Annotated[
        int | None, typer.Option("--default-code", metavar="N", help="Event code where an event names none.")
    ] = None,
    criticality: Annotated[
        int | None,
        typer.Option("--default-criticality", metavar="N", help="Criticality where an event names none, 0 to 5."),
    ] = None,
    tenant: Tenant = None,
) -> None:
    """Register one of the tenant's own types."""
    body: dict[str, Any] = {"type": type_name, "defaultCode": code, "defaultCriticality": criticality}
    if schema is not None:
        try:
            body["schema"] = msgspec.json.decode(schema.read())
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise typer.BadParameter(f"it is no JSON: {error}", param_hint="--schema") from None
    print_item(session.client.request("POST", "/v1/event-types", {"tenantUid": tenant}, body).document, session.as_json)


@app.command()
@with_session
def delete(session: Session, type_name: Type, tenant: Tenant = None) -> None:
    """Remove one of the tenant's own types; its events stay."""
    session.client.request("DELETE", path_of("event-types", type_name), {"tenantUid": tenant})
    if not session.as_json:
        say("removed")
