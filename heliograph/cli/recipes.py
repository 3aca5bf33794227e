"""`heliograph recipes`: devices registered in advance."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer

from heliograph.cli.client import path_of
from heliograph.cli.devices import Brand, Location, MacPrefix, NamePrefix, Policy, SerialPrefix, Tag
from heliograph.cli.output import field, print_item, print_line, print_list, say
from heliograph.cli.recipe_import import import_recipes
from heliograph.cli.session import Session, Tenant, with_session

app = typer.Typer(name="recipes", help="Devices registered in advance.", no_args_is_help=True)

Uid = Annotated[str, typer.Argument(metavar="UID", help="The recipe.")]

COLUMNS = {
    name: field(name)
    for name in ("uid", "status", "brand", "model", "serialNumber", "macAddress", "deviceName", "deviceIdentityHash")
}


ATTEMPTS = {
    name: field(name)
    for name in ("lastAt", "tries", "result", "reason", "brand", "model", "serialNumber", "macAddress", "recipeUid")
}


class Status(StrEnum):
    """What became of a recipe."""

    PENDING = "Pending"
    APPLIED = "Applied"
    FAILED = "Failed"
    INVALID = "Invalid"


class OnRepeat(StrEnum):
    """What happens when an enrolled device registers again."""

    KEEP = "keep"
    RESET = "reset"
    REJECT = "reject"


@app.command("list")
@with_session
def list_recipes(
    session: Session,
    status: Annotated[list[Status] | None, typer.Option("--status", help="With one of these statuses.")] = None,
    brand: Brand = None,
    tag: Tag = None,
    location: Location = None,
    policy: Policy = None,
    name: NamePrefix = None,
    serial: SerialPrefix = None,
    mac: MacPrefix = None,
    tenant: Tenant = None,
) -> None:
    """List recipes; all filters must fit."""
    query = {
        "status": status, "brand": brand, "tagUid": tag, "locationUid": location, "policyUid": policy,
        "namePrefix": name, "serialNumberPrefix": serial, "macAddressPrefix": mac, "tenantUid": tenant,
    }  # fmt: skip
    print_list(session.client.pages("/v1/provisioning-recipes", query), COLUMNS, session.as_json)


@app.command()
@with_session
def get(session: Session, uid: Uid, tenant: Tenant = None) -> None:
    """Show one recipe."""
    answer = session.client.request("GET", path_of("provisioning-recipes", uid), {"tenantUid": tenant})
    print_item(answer.document, session.as_json)


@app.command()
@with_session
def create(
    session: Session,
    brand: Annotated[str, typer.Argument(metavar="BRAND", help="Who made the device.")],
    serial: Annotated[str | None, typer.Option("--serial", metavar="TEXT", help="Its serial number.")] = None,
    mac: Annotated[str | None, typer.Option("--mac", metavar="MAC", help="Its MAC address.")] = None,
    model: Annotated[str | None, typer.Option("--model", metavar="TEXT", help="Its model, if that must fit.")] = None,
    name: Annotated[str | None, typer.Option("--name", metavar="TEXT", help="The name it will have.")] = None,
    tag: Annotated[list[str] | None, typer.Option("--tag", metavar="UID", help="A tag it will have.")] = None,
    location: Annotated[str | None, typer.Option("--location", metavar="UID", help="Where it will be.")] = None,
    policy: Annotated[str | None, typer.Option("--policy", metavar="UID", help="The policy it will have.")] = None,
    confirm: Annotated[bool, typer.Option("--confirm", help="Confirm that the device is yours.")] = False,
    on_repeat: Annotated[OnRepeat | None, typer.Option(help="When the device registers again.")] = None,
    claim_code: Annotated[
        str | None, typer.Option("--claim-code", metavar="TEXT", help="What the device must present, once.")
    ] = None,
    tenant: Tenant = None,
) -> None:
    """Register a device in advance, by its serial number or its MAC address or both."""
    fields: dict[str, Any] = {
        "brand": brand, "serialNumber": serial, "macAddress": mac, "model": model, "deviceName": name, "tagUids": tag,
        "locationUid": location, "policyUid": policy, "confirmedOwnership": confirm or None, "onRepeat": on_repeat,
        "claimCode": claim_code,
    }  # fmt: skip
    body = {field_name: value for field_name, value in fields.items() if value is not None}
    answer = session.client.request("POST", "/v1/provisioning-recipes", {"tenantUid": tenant}, body)
    print_item(answer.document, session.as_json)


@app.command()
@with_session
def retry(session: Session, uid: Uid, tenant: Tenant = None) -> None:
    """Try a recipe again that is Failed or Invalid."""
    answer = session.client.request("POST", path_of("provisioning-recipes", uid, "retry"), {"tenantUid": tenant})
    print_item(answer.document, session.as_json)


@app.command()
@with_session
def delete(session: Session, uid: Uid, tenant: Tenant = None) -> None:
    """Remove a recipe; a device that it enrolled stays enrolled."""
    session.client.request("DELETE", path_of("provisioning-recipes", uid), {"tenantUid": tenant})
    if not session.as_json:
        say("removed")


@app.command()
@with_session
def confirm(session: Session, uid: Uid, tenant: Tenant = None) -> None:
    """Confirm that the device of a recipe is yours, so that it is enrolled without a claim code."""
    path = path_of("provisioning-recipes", uid)
    answer = session.client.request("PATCH", path, {"tenantUid": tenant}, {"confirmedOwnership": True})
    print_item(answer.document, session.as_json)


@app.command("claim-code")
@with_session
def claim_code(
    session: Session,
    uid: Uid,
    expires_at: Annotated[
        str | None, typer.Option("--expires-at", metavar="TIME", help="When it ends to work (RFC 3339).")
    ] = None,
    tenant: Tenant = None,
) -> None:
    """Make a claim code for a recipe and print it, once; any other code of the recipe ends."""
    path = path_of("provisioning-recipes", uid, "claim-code")
    made = session.client.request("POST", path, {"tenantUid": tenant}, {"expiresAt": expires_at}).document
    if session.as_json:
        print_line(made)
        return
    typer.echo(f"claim code: {made['claimCode']}")
    say("The code is shown this once.")


@app.command()
@with_session
def attempts(
    session: Session,
    uid: Annotated[str | None, typer.Argument(metavar="UID", help="The recipe; without it, all attempts.")] = None,
    reason: Annotated[
        list[str] | None, typer.Option("--reason", metavar="WORD", help="With one of these reasons.")
    ] = None,
    tenant: Tenant = None,
) -> None:
    """List registrations that were tried in vain."""
    path = "/v1/registration-attempts" if uid is None else path_of("provisioning-recipes", uid, "attempts")
    query = {"reason": reason, "tenantUid": tenant}
    print_list(session.client.pages(path, query), ATTEMPTS, session.as_json)


app.command("import")(import_recipes)
