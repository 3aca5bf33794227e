"""`heliograph devices`: the devices of an organization."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from heliograph.cli.client import path_of
from heliograph.cli.output import field, print_item, print_list
from heliograph.cli.session import Session, Tenant, with_session

app = typer.Typer(name="devices", help="The devices of an organization.", no_args_is_help=True)

Uid = Annotated[str, typer.Argument(metavar="UID", help="The device.")]

COLUMNS = {
    name: field(name)
    for name in ("uid", "state", "connected", "brand", "model", "serialNumber", "macAddress", "name", "lastSeenAt")
}


class State(StrEnum):
    """What a device is to its organization."""

    ENROLLED = "enrolled"
    WAITING = "waiting"
    DEPROVISIONED = "deprovisioned"


Brand = Annotated[list[str] | None, typer.Option("--brand", metavar="TEXT", help="Of one of these brands.")]
Tag = Annotated[list[str] | None, typer.Option("--tag", metavar="UID", help="With one of these tags.")]
Location = Annotated[list[str] | None, typer.Option("--location", metavar="UID", help="At one of these locations.")]
Policy = Annotated[list[str] | None, typer.Option("--policy", metavar="UID", help="With one of these policies.")]
NamePrefix = Annotated[str | None, typer.Option("--name", metavar="TEXT", help="Whose name begins so.")]
SerialPrefix = Annotated[str | None, typer.Option("--serial", metavar="TEXT", help="Whose serial number begins so.")]
MacPrefix = Annotated[str | None, typer.Option("--mac", metavar="TEXT", help="Whose MAC address begins so.")]


@app.command("list")
@with_session
def list_devices(
    session: Session,
    state: Annotated[list[State] | None, typer.Option("--state", help="In one of these states.")] = None,
    connected: Annotated[bool | None, typer.Option("--connected/--not-connected", help="On line, or not.")] = None,
    brand: Brand = None,
    tag: Tag = None,
    location: Location = None,
    policy: Policy = None,
    name: NamePrefix = None,
    serial: SerialPrefix = None,
    mac: MacPrefix = None,
    tenant: Tenant = None,
) -> None:
    """List devices; all filters must fit."""
    query = {
        "state": state, "connected": connected, "brand": brand, "tagUid": tag, "locationUid": location,
        "policyUid": policy, "namePrefix": name, "serialNumberPrefix": serial, "macAddressPrefix": mac,
        "tenantUid": tenant,
    }  # fmt: skip
    print_list(session.client.pages("/v1/devices", query), COLUMNS, session.as_json)


@app.command()
@with_session
def get(session: Session, uid: Uid, tenant: Tenant = None) -> None:
    """Show one device."""
    answer = session.client.request("GET", path_of("devices", uid), {"tenantUid": tenant})
    print_item(answer.document, session.as_json)


@app.command()
@with_session
def deprovision(session: Session, uid: Uid, tenant: Tenant = None) -> None:
    """Return a device to nobody: its token and its settings end."""
    answer = session.client.request("POST", path_of("devices", uid, "deprovision"), {"tenantUid": tenant})
    print_item(answer.document, session.as_json)


@app.command()
@with_session
def move(
    session: Session,
    uid: Uid,
    to: Annotated[str, typer.Option("--to", metavar="UID", help="The organization that gets it, of the same company.")],
    tenant: Tenant = None,
) -> None:
    """Give a device to another organization of the company; its new token is shown this once."""
    answer = session.client.request("POST", path_of("devices", uid, "move"), {"tenantUid": tenant}, {"tenantUid": to})
    print_item(answer.document, session.as_json)
