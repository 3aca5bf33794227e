"""`/connected_accounts/list` and `/connected_accounts/get`."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Literal

import msgspec

from heliograph.connected_accounts import actions
from heliograph.connected_accounts.model import AccountFilter, ConnectedAccount
from heliograph.devices.model import CustomMetadata, WantedMetadata
from heliograph.dialects.seam.answers import done, missing
from heliograph.dialects.seam.conditions import ErrorBody, WarningBody, account_errors, warnings
from heliograph.dialects.seam.gathering import as_json, gather
from heliograph.dialects.seam.pages import Paged, uid_after, uid_page
from heliograph.dialects.seam.parameters import NOT_HERE, Id, Parameters, read_parameters
from heliograph.dialects.seam.routes import reading
from heliograph.dialects.seam.workspace import scope_of
from heliograph.http.messages import Request, Response
from heliograph.ids import as_uuid
from heliograph.times import print_milliseconds

READ = "read connected_account.tenant"

MOST_ITEMS = 500
"""Items of a page of accounts or devices, unless another number is asked for."""

MetadataHas = Annotated[dict[str, str | bool | None], msgspec.Meta(max_length=50)]
Search = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
Limit = Annotated[int, msgspec.Meta(ge=1, le=10_000)]


class AccountsQuery(Paged, frozen=True, kw_only=True):
    """Which accounts to list: those that pass every filter."""

    custom_metadata_has: MetadataHas = msgspec.field(default_factory=dict)
    search: Search | None = None
    limit: Limit = MOST_ITEMS


class AccountQuery(Parameters, frozen=True, kw_only=True):
    """Which account to show; Heliograph knows no e-mail addresses."""

    unavailable = NOT_HERE | {"email"}

    connected_account_id: Id


class AccountBody(msgspec.Struct, frozen=True, kw_only=True):
    """A connected account as Seam shows it."""

    connected_account_id: str
    account_type: str
    account_type_display_name: str
    display_name: str
    user_identifier: dict[str, str] = {}
    automatically_manage_new_devices: Literal[True] = True
    accepted_capabilities: tuple[str, ...] = ("lock",)
    custom_metadata: CustomMetadata
    errors: tuple[ErrorBody, ...]
    warnings: tuple[WarningBody, ...]
    created_at: str


def body_of(account: ConnectedAccount) -> AccountBody:
    """Render an account."""
    return AccountBody(
        connected_account_id=as_uuid(account.uid),
        account_type=account.provider,
        account_type_display_name=account.provider.replace("_", " ").title(),
        display_name=account.name,
        custom_metadata=account.custom_metadata,
        errors=account_errors(account),
        warnings=warnings(account.warnings),
        created_at=print_milliseconds(account.created_at),
    )


def metadata_wanted(given: dict[str, str | bool | None]) -> WantedMetadata:
    """Return what metadata must have; an empty text asks for nothing.

    A query string cannot tell a truth value from its text, so both of them do.
    """
    wanted: WantedMetadata = {}
    for name, value in given.items():
        if value != "":
            wanted[name] = (value, str(value).lower()) if isinstance(value, bool) else (value,)
    return wanted


async def list_accounts(request: Request) -> Response:
    """List the accounts of the workspace."""
    scope = await scope_of(request, READ)
    given = read_parameters(request, AccountsQuery)
    wanted = AccountFilter(metadata_has=metadata_wanted(given.custom_metadata_has), search=given.search)
    page = partial(actions.list_accounts, scope=scope, wanted=wanted)
    items, last = await gather(request.services, page, _rendered, uid_after(request, scope, given), given.limit)
    return uid_page(request, scope, given, "connected_accounts", items, last)


def _rendered(accounts: list[ConnectedAccount]) -> list[msgspec.Raw]:
    return [as_json(body_of(account)) for account in accounts]


async def get_account(request: Request) -> Response:
    """Return one account."""
    scope = await scope_of(request, READ)
    given = read_parameters(request, AccountQuery)
    with missing("connected_account"):
        step = partial(actions.get, scope=scope, uid=given.connected_account_id)
        account = await request.services.read(step)
    return done(connected_account=body_of(account))


CONNECTED_ACCOUNTS = (
    *reading("/connected_accounts/list", list_accounts, READ, AccountsQuery, "List connected accounts"),
    *reading("/connected_accounts/get", get_account, READ, AccountQuery, "Get a connected account"),
)
"""The routes of connected accounts."""
