"""`heliograph account` and `heliograph key`: who may act, with which key, and what they were granted."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from heliograph.cli.client import path_of
from heliograph.cli.output import field, print_item, print_line, print_list, say
from heliograph.cli.session import Session, Tenant, open_platform, with_session
from heliograph.errors import CannotStart, NotFound

if TYPE_CHECKING:
    from heliograph.cli.output import Columns
    from heliograph.tenancy.model import KeyFormat

accounts = typer.Typer(name="account", help="Who may act.", no_args_is_help=True)
keys = typer.Typer(name="key", help="The keys that accounts act with.", no_args_is_help=True)

Uid = Annotated[str, typer.Argument(metavar="UID", help="The account or key.")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="What people call it.")]
Right = Annotated[str, typer.Argument(metavar="GRANT", help="A role such as viewer, or a permission.")]
Rights = Annotated[
    list[str] | None, typer.Option("--grant", metavar="GRANT", help="A role or permission; may be repeated.")
]
On = Annotated[str | None, typer.Option("--on", metavar="UID", help="The tenant that is granted, with all below it.")]


def _grants(item: Any) -> str:
    return ", ".join(f"{grant['grant']} on {grant['tenantUid']}" for grant in item["grants"])


ACCOUNTS: Columns = {
    "uid": field("uid"), "accountId": field("accountId"), "name": field("name"), "grants": _grants,
    "revokedAt": field("revokedAt"),
}  # fmt: skip
KEYS: Columns = {
    "uid": field("uid"), "name": field("name"), "hint": field("hint"), "accountUid": field("accountUid"),
    "grants": _grants, "expiresAt": field("expiresAt"), "revokedAt": field("revokedAt"),
}  # fmt: skip


@accounts.command("list")
@with_session
def list_accounts(session: Session, tenant: Tenant = None) -> None:
    """List the tenant's accounts."""
    print_list(session.client.pages("/v1/accounts", {"tenantUid": tenant}), ACCOUNTS, session.as_json)


@accounts.command("create")
@with_session
def create_account(session: Session, name: Name, grant: Rights = None, on: On = None, tenant: Tenant = None) -> None:
    """Add an account."""
    body = {"name": name, "grants": [_wish(right, on) for right in grant or []]}
    answer = session.client.request("POST", "/v1/accounts", {"tenantUid": tenant}, body)
    print_item(answer.document, session.as_json)


@accounts.command("rename")
@with_session
def rename_account(session: Session, uid: Uid, name: Name, tenant: Tenant = None) -> None:
    """Change an account's name."""
    answer = session.client.request("PATCH", path_of("accounts", uid), {"tenantUid": tenant}, {"name": name})
    print_item(answer.document, session.as_json)


@accounts.command("revoke")
@with_session
def revoke_account(session: Session, uid: Uid, tenant: Tenant = None) -> None:
    """End an account and all its keys, for good."""
    _revoke(session, "accounts", uid, tenant)


@accounts.command("grant")
@with_session
def grant_account(session: Session, uid: Uid, grant: Right, on: On = None, tenant: Tenant = None) -> None:
    """Give an account a right."""
    _grant(session, "accounts", uid, grant, on, tenant)


@accounts.command("ungrant")
@with_session
def ungrant_account(session: Session, uid: Uid, grant: Right, on: On = None, tenant: Tenant = None) -> None:
    """Take a right back from an account; GRANT may also be the grant's uid."""
    _ungrant(session, "accounts", uid, grant, on, tenant)


@keys.command("list")
@with_session
def list_keys(session: Session, tenant: Tenant = None) -> None:
    """List the tenant's keys, without their tokens."""
    print_list(session.client.pages("/v1/keys", {"tenantUid": tenant}), KEYS, session.as_json)


@keys.command("create")
@with_session
def create_key(
    session: Session,
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="What people call it.")] = None,
    grant: Rights = None,
    on: On = None,
    account: Annotated[
        str | None, typer.Option("--account", metavar="UID", help="The account it acts for; by default the caller's.")
    ] = None,
    expires: Annotated[str | None, typer.Option("--expires", metavar="TIME", help="When it ends (RFC 3339).")] = None,
    owner: Annotated[
        bool, typer.Option("--owner", help="Replace the first owner's lost key; nothing may have the database open.")
    ] = False,
    seam: Annotated[
        bool, typer.Option("--seam", help="Begin it with seam_, as clients made for Seam want it.")
    ] = False,
    tenant: Tenant = None,
) -> None:
    """Make a key and print it, once.

    With --owner no key is needed: whoever may open the database may also make a key for its first owner.
    """
    format: KeyFormat = "seam" if seam else "native"
    if owner:
        _print_key(session, {"token": _replace_owner_key(session, format)})
        return
    if not name or not grant:
        raise typer.BadParameter("give a NAME and at least one --grant, or --owner")
    grants = [_wish(right, on) for right in grant]
    body = {"name": name, "grants": grants, "accountUid": account, "expiresAt": expires, "format": format}
    _print_key(session, session.client.request("POST", "/v1/keys", {"tenantUid": tenant}, body).document)


def _replace_owner_key(session: Session, format: KeyFormat) -> str:
    from heliograph.storage.lockfile import Held
    from heliograph.tenancy.first_start import replace_owner_key

    try:
        platform = open_platform(session.settings(), may_prepare=False)
    except Held as held:
        raise CannotStart(f"{held} Stop it first.") from None
    try:
        return platform.store.execute(partial(replace_owner_key, format=format)).reveal()
    finally:
        platform.close()


def _print_key(session: Session, made: dict[str, Any]) -> None:
    if session.as_json:
        print_line(made)
        return
    typer.echo(f"key: {made['token']}")
    say("The key is shown this once.")


@keys.command("revoke")
@with_session
def revoke_key(session: Session, uid: Uid, tenant: Tenant = None) -> None:
    """End a key, for good."""
    _revoke(session, "keys", uid, tenant)


@keys.command("grant")
@with_session
def grant_key(session: Session, uid: Uid, grant: Right, on: On = None, tenant: Tenant = None) -> None:
    """Give a key a right."""
    _grant(session, "keys", uid, grant, on, tenant)


@keys.command("ungrant")
@with_session
def ungrant_key(session: Session, uid: Uid, grant: Right, on: On = None, tenant: Tenant = None) -> None:
    """Take a right back from a key; GRANT may also be the grant's uid."""
    _ungrant(session, "keys", uid, grant, on, tenant)


def _wish(grant: str, on: str | None) -> dict[str, str]:
    return {"grant": grant} if on is None else {"grant": grant, "tenantUid": on}


def _revoke(session: Session, holders: str, uid: str, tenant: str | None) -> None:
    session.client.request("DELETE", path_of(holders, uid), {"tenantUid": tenant})
    if not session.as_json:
        say("revoked")


def _grant(session: Session, holders: str, uid: str, grant: str, on: str | None, tenant: str | None) -> None:
    answer = session.client.request("POST", path_of(holders, uid, "grants"), {"tenantUid": tenant}, _wish(grant, on))
    print_item(answer.document, session.as_json)


def _ungrant(session: Session, holders: str, uid: str, grant: str, on: str | None, tenant: str | None) -> None:
    held = session.client.request("GET", path_of(holders, uid), {"tenantUid": tenant}).document["grants"]
    meant = [item["uid"] for item in held if grant in (item["uid"], item["grant"]) and on in (None, item["tenantUid"])]
    if not meant:
        raise NotFound("It holds no such grant.")
    if len(meant) > 1:
        raise typer.BadParameter(f"it is held on {len(meant)} tenants; name one", param_hint="--on")
    session.client.request("DELETE", path_of(holders, uid, "grants", meant[0]), {"tenantUid": tenant})
    if not session.as_json:
        say("taken back")
