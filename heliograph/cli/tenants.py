"""`heliograph tenant`: companies and organizations."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated

import typer

from heliograph.cli.client import path_of
from heliograph.cli.output import field, print_item, print_list
from heliograph.cli.session import Session, with_session

app = typer.Typer(name="tenant", help="Companies and organizations.", no_args_is_help=True)

Uid = Annotated[str, typer.Argument(metavar="UID", help="The tenant.")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="What people call it.")]


class Kind(StrEnum):
    """What a tenant is."""

    ORGANIZATION = "organization"
    COMPANY = "company"


@app.command("list")
@with_session
def list_tenants(session: Session) -> None:
    """List the tenants that can be seen."""
    columns = {name: field(name) for name in ("uid", "kind", "name", "shortName", "parentUid")}
    print_list(session.client.pages("/v1/tenants", {}), columns, session.as_json)


@app.command()
@with_session
def create(
    session: Session,
    name: Name,
    short_name: Annotated[
        str | None,
        typer.Option("--short-name", metavar="NAME", help="Unique and final; by default made from the name."),
    ] = None,
    kind: Annotated[Kind, typer.Option("--kind", help="What it is.")] = Kind.ORGANIZATION,
    parent: Annotated[
        str | None,
        typer.Option("--parent", metavar="UID", help="The company it belongs to; may be left out if single."),
    ] = None,
) -> None:
    """Add a tenant below a company."""
    short_name = short_name or re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    body = {"kind": kind.value, "name": name, "shortName": short_name}
    query = {"tenantUid": parent or _only_company(session)}
    print_item(session.client.request("POST", "/v1/tenants", query, body).document, session.as_json)


def _only_company(session: Session) -> str:
    pages = session.client.pages("/v1/tenants", {})
    companies = [str(tenant["uid"]) for page in pages for tenant in page if tenant["kind"] == "company"]
    if len(companies) != 1:
        raise typer.BadParameter(f"name the company; {len(companies)} of them can be seen", param_hint="--parent")
    return companies[0]


@app.command()
@with_session
def rename(session: Session, uid: Uid, name: Name) -> None:
    """Change a tenant's name."""
    answer = session.client.request("PATCH", path_of("tenants", uid), body={"name": name})
    print_item(answer.document, session.as_json)
