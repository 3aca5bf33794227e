"""`heliograph access-codes`: the codes that locks hold, and how they are taken over."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer

from heliograph.cli.client import path_of
from heliograph.cli.output import field, print_item, print_list, say
from heliograph.cli.session import Session, Tenant, with_session

app = typer.Typer(name="access-codes", help="The access codes that locks hold.", no_args_is_help=True)

Uid = Annotated[str, typer.Argument(metavar="UID", help="The access code.")]

COLUMNS = {
    name: field(name) for name in ("uid", "deviceUid", "managed", "status", "type", "name", "startsAt", "endsAt")
}
OPERATIONS = {
    name: field(name) for name in ("uid", "kind", "state", "createdAt", "deadline", "attempts", "completedAt")
}


class Status(StrEnum):
    """How an access code stands on its lock."""

    SETTING = "setting"
    SET = "set"
    UNSET = "unset"
    REMOVING = "removing"
    UNKNOWN = "unknown"


@app.command("list")
@with_session
def list_codes(
    session: Session,
    device: Annotated[list[str] | None, typer.Option("--device", metavar="UID", help="On one of these locks.")] = None,
    managed: Annotated[bool | None, typer.Option("--managed/--unmanaged", help="Managed here, or not.")] = None,
    status: Annotated[list[Status] | None, typer.Option("--status", help="With one of these statuses.")] = None,
    name: Annotated[str | None, typer.Option("--name", metavar="TEXT", help="Whose name begins so.")] = None,
    tenant: Tenant = None,
) -> None:
    """List access codes; all filters must fit. PINs are in no list."""
    query = {"deviceUid": device, "managed": managed, "status": status, "namePrefix": name, "tenantUid": tenant}
    print_list(session.client.pages("/v1/access-codes", query), COLUMNS, session.as_json)


@app.command()
@with_session
def get(
    session: Session,
    uid: Uid,
    pin: Annotated[bool, typer.Option("--pin", help="With its PIN, which takes a permission of its own.")] = False,
    tenant: Tenant = None,
) -> None:
    """Show one access code."""
    query = {"pin": pin or None, "tenantUid": tenant}
    print_item(session.client.request("GET", path_of("access-codes", uid), query).document, session.as_json)


@app.command()
@with_session
def convert(
    session: Session,
    uid: Uid,
    force: Annotated[bool, typer.Option("--force", help="Also from somebody else who manages it.")] = False,
    modifiable: Annotated[
        bool, typer.Option("--allow-external-modification", help="It may be changed at the lock afterwards.")
    ] = False,
    tenant: Tenant = None,
) -> None:
    """Ask the lock's connector to take a code over, and show the operation; exit code 1 when it failed at once."""
    body: dict[str, Any] = {"force": force, "isExternalModificationAllowed": modifiable}
    answer = session.client.request("POST", path_of("access-codes", uid, "convert"), {"tenantUid": tenant}, body)
    print_item(answer.document, session.as_json)
    if answer.document["state"] == "failed":
        for error in answer.document["errors"]:
            say(f"{error['errorCode']}: {error['message']}")
        raise typer.Exit(1)


@app.command("operations")
@with_session
def list_operations(session: Session, uid: Uid, tenant: Tenant = None) -> None:
    """List what connectors were asked to do about a code, the newest first."""
    path = path_of("access-codes", uid, "operations")
    print_list(session.client.pages(path, {"tenantUid": tenant}), OPERATIONS, session.as_json)
