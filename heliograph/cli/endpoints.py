"""`heliograph endpoint`: where events are delivered to."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from heliograph.cli.client import path_of
from heliograph.cli.output import field, print_item, print_line, print_list, say
from heliograph.cli.session import Session, Tenant, with_session

app = typer.Typer(name="endpoint", help="Where events are delivered to.", no_args_is_help=True)

Uid = Annotated[str, typer.Argument(metavar="UID", help="The endpoint.")]

COLUMNS = {name: field(name) for name in ("uid", "state", "url", "eventTypes", "format", "createdAt")}


class State(StrEnum):
    """Whether it gets what is for it."""

    ACTIVE = "active"
    PAUSED = "paused"
    DISABLED = "disabled"


class Format(StrEnum):
    """What the body of a delivery is."""

    WIRE = "wire"
    RECORD = "record"
    CLOUDEVENTS = "cloudevents"
    CLOUDEVENTS_BINARY = "cloudevents-binary"


class Ordering(StrEnum):
    """Whether deliveries about one entity follow one another."""

    NONE = "none"
    ENTITY = "entity"


class Consent(StrEnum):
    """Whether the receiver is asked before anything is sent."""

    REQUIRED = "required"
    BEST_EFFORT = "bestEffort"
    OFF = "off"


class EventFamily(StrEnum):
    """Families of events, which decide the shape of their bodies."""

    DOMAIN = "domain"
    FLAT = "flat"
    RECORD = "record"


class Family(StrEnum):
    """How the headers are named that prove where a delivery comes from."""

    WEBHOOK = "webhook"
    SVIX = "svix"
    BOTH = "both"
    SOS = "sos"


Types = Annotated[
    list[str] | None,
    typer.Option("--type", metavar="PATTERN", help="An event type, 'prefix.*', or '*', usually; may repeat."),
]
Criticalities = Annotated[
    list[int] | None, typer.Option("--criticality", metavar="NUMBER", help="Only events of this one; may repeat.")
]
Codes = Annotated[
    list[int] | None, typer.Option("--code", metavar="NUMBER", help="Only events with this code; may repeat.")
]
Targets = Annotated[
    list[str] | None, typer.Option("--target-type", metavar="TEXT", help="Only events about such; may repeat.")
]
EventFamilies = Annotated[
    list[EventFamily] | None, typer.Option("--event-family", help="Only events of this family; may repeat.")
]
Formats = Annotated[Format | None, typer.Option("--format", help="What the body is; usually wire.")]
Orderings = Annotated[Ordering | None, typer.Option("--ordering", help="One after the other for each entity, or not.")]
Families = Annotated[
    Family | None, typer.Option("--header-family", help="Names of the signature headers; usually webhook.")
]
Asymmetric = Annotated[
    bool | None, typer.Option("--asymmetric/--symmetric", help="Sign with an Ed25519 key as well, or not.")
]
Headers = Annotated[
    list[str] | None,
    typer.Option("--header", metavar="'NAME: VALUE'", help="A header to send; may repeat, and replaces all others."),
]
Rate = Annotated[int | None, typer.Option("--rate", metavar="NUMBER", help="Requests per second; 0 for no limit.")]
Concurrency = Annotated[
    int | None, typer.Option("--concurrency", metavar="NUMBER", help="Requests at the same time; usually 10.")
]
Timeout = Annotated[
    int | None, typer.Option("--timeout", metavar="SECONDS", help="For one request, 1 to 30; usually 15.")
]
Consents = Annotated[
    Consent | None, typer.Option("--consent", help="Ask the receiver whether it wants events; usually off.")
]
Schedule = Annotated[
    str | None,
    typer.Option("--retry-schedule", metavar="SECONDS,...", help="Seconds before each attempt, such as 0,5,300."),
]
SecretFile = Annotated[
    Path | None,
    typer.Option("--secret-file", metavar="FILE", help="The secret, base64, from a file; else one is made."),
]
Ca = Annotated[Path | None, typer.Option("--ca", metavar="FILE", help="PEM: who vouches for the receiver.")]
Certificate = Annotated[
    Path | None, typer.Option("--client-certificate", metavar="FILE", help="PEM: who we are to the receiver.")
]
ClientKey = Annotated[Path | None, typer.Option("--client-key", metavar="FILE", help="PEM: the key of that.")]
Description = Annotated[str | None, typer.Option("--description", metavar="TEXT", help="What it is for.")]


def _fields(given: dict[str, Any]) -> dict[str, Any]:
    """Return the body that options stand for: what was not given is left out."""
    fields: dict[str, Any] = {
        "url": given["address"], "eventTypes": given["types"], "families": given["event_family"],
        "criticalities": given["criticality"],
        "eventCodes": given["code"], "targetEntityTypes": given["target"], "format": given["format"],
        "ordering": given["ordering"], "headerFamily": given["family"], "asymmetric": given["asymmetric"],
        "headers": _headers(given["header"]), "rate": given["rate"], "concurrency": given["concurrency"],
        "timeout": given["timeout"], "consent": given["consent"],
        "retrySchedule": _seconds(given["schedule"]), "ca": _text(given["ca"]),
        "clientCertificate": _text(given["certificate"]), "clientKey": _text(given["client_key"]),
        "description": given["description"],
    }  # fmt: skip
    body = {name: value for name, value in fields.items() if value is not None}
    return body | ({"rate": None} if given["rate"] == 0 else {})


def _headers(lines: list[str] | None) -> dict[str, str] | None:
    if lines is None:
        return None
    parts = [line.partition(":") for line in lines]
    if not all(colon for _, colon, _ in parts):
        raise typer.BadParameter("write 'NAME: VALUE'", param_hint="--header")
    return {name.strip(): value.strip() for name, _, value in parts}


def _seconds(text: str | None) -> list[int] | None:
    if text is None:
        return None
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise typer.BadParameter("write whole seconds, separated by commas", param_hint="--retry-schedule") from None


def _text(path: Path | None) -> str | None:
    if path is None:
        return None
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise typer.BadParameter(f"{path} cannot be read: {error}") from None


def _secret(path: Path | None) -> dict[str, str]:
    text = _text(path)
    return {} if text is None else {"secret": text.strip()}


def _print_with_secret(session: Session, made: dict[str, Any]) -> None:
    if session.as_json:
        print_line(made)
        return
    typer.echo(f"uid: {made['uid']}")
    if made["secret"] is not None:
        typer.echo(f"secret: {made['secret']}")
        say("The secret is shown this once.")
    for key in made["keys"]:
        if key["publicKey"] is not None and key["expiresAt"] is None:
            typer.echo(f"public key: {key['publicKey']}")


@app.command("list")
@with_session
def list_endpoints(
    session: Session,
    state: Annotated[list[State] | None, typer.Option("--state", help="In one of these states.")] = None,
    tenant: Tenant = None,
) -> None:
    """List endpoints."""
    query = {"state": state, "tenantUid": tenant}
    print_list(session.client.pages("/v1/endpoints", query), COLUMNS, session.as_json)


@app.command()
@with_session
def show(session: Session, uid: Uid, tenant: Tenant = None) -> None:
    """Show one endpoint; secrets and the values of its headers stay hidden."""
    answer = session.client.request("GET", path_of("endpoints", uid), {"tenantUid": tenant})
    print_item(answer.document, session.as_json)


@app.command()
@with_session
def create(
    session: Session,
    address: Annotated[str, typer.Argument(metavar="URL", help="Where to send to.")],
    types: Types = None,
    criticality: Criticalities = None,
    code: Codes = None,
    target: Targets = None,
    event_family: EventFamilies = None,
    format: Formats = None,
    ordering: Orderings = None,
    family: Families = None,
    asymmetric: Asymmetric = None,
    header: Headers = None,
    rate: Rate = None,
    concurrency: Concurrency = None,
    timeout: Timeout = None,
    consent: Consents = None,
    schedule: Schedule = None,
    ca: Ca = None,
    certificate: Certificate = None,
    client_key: ClientKey = None,
    description: Description = None,
    secret_file: SecretFile = None,
    tenant: Tenant = None,
) -> None:
    """Add an endpoint and print its secret, once; it gets what is recorded from here on."""
    body = _fields(locals()) | _secret(secret_file)
    made = session.client.request("POST", "/v1/endpoints", {"tenantUid": tenant}, body).document
    _print_with_secret(session, made)


@app.command()
@with_session
def update(
    session: Session,
    uid: Uid,
    address: Annotated[str | None, typer.Option("--to", metavar="URL", help="Where to send to.")] = None,
    types: Types = None,
    criticality: Criticalities = None,
    code: Codes = None,
    target: Targets = None,
    event_family: EventFamilies = None,
    format: Formats = None,
    ordering: Orderings = None,
    family: Families = None,
    asymmetric: Asymmetric = None,
    header: Headers = None,
    rate: Rate = None,
    concurrency: Concurrency = None,
    timeout: Timeout = None,
    consent: Consents = None,
    schedule: Schedule = None,
    ca: Ca = None,
    certificate: Certificate = None,
    client_key: ClientKey = None,
    description: Description = None,
    tenant: Tenant = None,
) -> None:
    """Change an endpoint; what is not given stays. Filters, files and texts are taken away by the API alone."""
    body = _fields(locals())
    answer = session.client.request("PATCH", path_of("endpoints", uid), {"tenantUid": tenant}, body)
    print_item(answer.document, session.as_json)


@app.command()
@with_session
def delete(session: Session, uid: Uid, tenant: Tenant = None) -> None:
    """Remove an endpoint; what it had yet to get is cancelled."""
    session.client.request("DELETE", path_of("endpoints", uid), {"tenantUid": tenant})
    if not session.as_json:
        say("removed")


@app.command("rotate-secret")
@with_session
def rotate_secret(
    session: Session,
    uid: Uid,
    asymmetric: Annotated[bool, typer.Option("--asymmetric", help="The Ed25519 key, not the secret.")] = False,
    overlap: Annotated[
        int | None, typer.Option("--overlap", metavar="SECONDS", help="How long the old key signs too; else a day.")
    ] = None,
    secret_file: SecretFile = None,
    tenant: Tenant = None,
) -> None:
    """Replace a key of an endpoint and print the new secret, or the new public key."""
    body: dict[str, Any] = {"key": "asymmetric" if asymmetric else "symmetric"}
    body |= _secret(secret_file) | ({} if overlap is None else {"overlap": overlap})
    path = path_of("endpoints", uid, "rotate-secret")
    _print_with_secret(session, session.client.request("POST", path, {"tenantUid": tenant}, body).document)


@app.command("test")
@with_session
def send_test(session: Session, uid: Uid, tenant: Tenant = None) -> None:
    """Send an endpoint a test event, which no other endpoint gets."""
    _act(session, uid, "test", tenant)


@app.command()
@with_session
def pause(session: Session, uid: Uid, tenant: Tenant = None) -> None:
    """Hold back what is for an endpoint."""
    _act(session, uid, "pause", tenant)


@app.command()
@with_session
def resume(session: Session, uid: Uid, tenant: Tenant = None) -> None:
    """Let a paused endpoint have what was held back."""
    _act(session, uid, "resume", tenant)


@app.command()
@with_session
def enable(session: Session, uid: Uid, tenant: Tenant = None) -> None:
    """Let a disabled endpoint have what comes from now on."""
    _act(session, uid, "enable", tenant)


@app.command()
@with_session
def disable(session: Session, uid: Uid, tenant: Tenant = None) -> None:
    """Let an endpoint get nothing of what comes from now on."""
    _act(session, uid, "disable", tenant)


def _act(session: Session, uid: str, action: str, tenant: str | None) -> None:
    answer = session.client.request("POST", path_of("endpoints", uid, action), {"tenantUid": tenant})
    print_item(answer.document, session.as_json)


@app.command()
@with_session
def health(session: Session, uid: Uid, tenant: Tenant = None) -> None:
    """Tell how an endpoint fares: what waits for it, and how the attempts of the last hour and day ended."""
    answer = session.client.request("GET", path_of("endpoints", uid, "health"), {"tenantUid": tenant})
    print_item(answer.document, session.as_json)
