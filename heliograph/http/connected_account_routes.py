"""The routes of connected accounts."""

from __future__ import annotations

from heliograph.http import connected_accounts as accounts
from heliograph.http.lists import TenantQuery
from heliograph.http.routes import Example, Route

_PATH = "/v1/connected-accounts"
_ITEM = _PATH + "/{uid}"
_TAG = "connected accounts"

CONNECTED_ACCOUNTS = (
    Route(
        method="GET", path=_PATH, handler=accounts.list_accounts, permission=accounts.READ, tag=_TAG,
        summary="List connected accounts", query=accounts.ConnectedAccountsQuery,
        answers={200: accounts.ConnectedAccountList}, example=Example(query="state=disconnected&provider=august"),
    ),
    Route(
        method="POST", path=_PATH, handler=accounts.create_account, permission=accounts.CREATE, tag=_TAG,
        summary="Add a connected account",
        description=(
            "Devices that are reached through the same vendor's account belong to it: see `connectedAccountUid` of"
            " devices. `customMetadata` is in the events about the account and its devices' access codes."
        ),
        query=TenantQuery, body=accounts.NewConnectedAccount, answers={201: accounts.ConnectedAccountBody},
        idempotent_by_key=True,
        example=Example(
            body={"name": "Harbour Hotel", "provider": "august", "customMetadata": {"region": "north"}}, status=201
        ),
    ),
    Route(
        method="GET", path=_ITEM, handler=accounts.show_account, permission=accounts.READ, tag=_TAG,
        summary="Get a connected account", query=TenantQuery, answers={200: accounts.ConnectedAccountBody},
    ),
    Route(
        method="PATCH", path=_ITEM, handler=accounts.update_account, permission=accounts.UPDATE, tag=_TAG,
        summary="Change a connected account", query=TenantQuery, body=accounts.ConnectedAccountPatch,
        answers={200: accounts.ConnectedAccountBody}, headers=("If-Match",),
        example=Example(
            body={"warnings": [{"code": "scheduled_maintenance_window", "message": "Tonight from ten to eleven."}]}
        ),
    ),
    Route(
        method="POST", path=_ITEM + "/disconnect", handler=accounts.disconnect_account, permission=accounts.UPDATE,
        tag=_TAG, summary="Note that an account lost its connection",
        description="The reason becomes one of the account's errors. Again, it changes nothing.",
        query=TenantQuery, body=accounts.Disconnection, body_required=False,
        answers={200: accounts.ConnectedAccountBody}, headers=("If-Match",),
        example=Example(body={"errorCode": "account_disconnected", "message": "The password was changed."}),
    ),
    Route(
        method="POST", path=_ITEM + "/reconnect", handler=accounts.reconnect_account, permission=accounts.UPDATE,
        tag=_TAG, summary="Note that an account has its connection again",
        description="The account's errors end, its warnings stay. Again, it changes nothing.",
        query=TenantQuery, answers={200: accounts.ConnectedAccountBody}, headers=("If-Match",), example=Example(),
    ),
    Route(
        method="DELETE", path=_ITEM, handler=accounts.delete_account, permission=accounts.DELETE, tag=_TAG,
        summary="Delete a connected account", description="Devices that belong to it lose it.",
        query=TenantQuery, answers={204: None}, headers=("If-Match",),
    ),
)  # fmt: skip
