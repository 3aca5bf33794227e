"""What the log says about connected accounts.

The shapes of the `connected_account.*` events are those of Seam's public event reference; it documents none for a
change of name, metadata, errors or warnings, which the platform's own audit record tells.
"""

from __future__ import annotations

from typing import Literal

from msgspec import UNSET, UnsetType

from heliograph.catalog.definition import (
    Body,
    CamelBody,
    Change,
    EventDefinition,
    HexUid,
    MicrosecondTime,
    MillisecondTime,
    UuidText,
)
from heliograph.connected_accounts.conditions import ErrorItem, WarningItem
from heliograph.devices.model import CustomMetadata

# In each body the fields stand in the documented order, by their names. What the reference marks as optional and the
# platform does not have, a webview and a customer's key, is part of the shape and never sent.


class AccountConnected(Body, frozen=True, kw_only=True):
    """Body of `connected_account.connected`."""

    connect_webview_id: UuidText | UnsetType = UNSET
    connected_account_custom_metadata: CustomMetadata
    connected_account_id: UuidText
    created_at: MillisecondTime
    customer_key: str | UnsetType = UNSET
    event_id: UuidText
    event_type: Literal["connected_account.connected"]
    occurred_at: MillisecondTime
    workspace_id: UuidText


class AccountDisconnected(Body, frozen=True, kw_only=True):
    """Body of `connected_account.disconnected`; at least one error says why."""

    connected_account_custom_metadata: CustomMetadata
    connected_account_errors: tuple[ErrorItem, ...]
    connected_account_id: UuidText
    connected_account_warnings: tuple[WarningItem, ...]
    created_at: MillisecondTime
    event_id: UuidText
    event_type: Literal["connected_account.disconnected"]
    occurred_at: MillisecondTime
    workspace_id: UuidText


class AccountDeleted(Body, frozen=True, kw_only=True):
    """Body of `connected_account.deleted`."""

    connected_account_custom_metadata: CustomMetadata
    connected_account_id: UuidText
    created_at: MillisecondTime
    customer_key: str | UnsetType = UNSET
    event_id: UuidText
    event_type: Literal["connected_account.deleted"]
    occurred_at: MillisecondTime
    workspace_id: UuidText


class AccountNameChange(Change[str], frozen=True, kw_only=True):
    """The name before and after."""


class AccountMetadataChange(Change[CustomMetadata], frozen=True, kw_only=True):
    """The custom metadata before and after."""


class AccountError(CamelBody, frozen=True, kw_only=True):
    """An error of an account."""

    error_code: str
    message: str
    created_at: MicrosecondTime


class AccountWarning(CamelBody, frozen=True, kw_only=True):
    """A warning of an account."""

    warning_code: str
    message: str
    created_at: MicrosecondTime


class AccountErrorsChange(Change[tuple[AccountError, ...]], frozen=True, kw_only=True):
    """All errors before and after."""


class AccountWarningsChange(Change[tuple[AccountWarning, ...]], frozen=True, kw_only=True):
    """All warnings before and after."""


class AccountChanges(CamelBody, frozen=True, kw_only=True):
    """The fields that changed."""

    name: AccountNameChange | UnsetType = UNSET
    custom_metadata: AccountMetadataChange | UnsetType = UNSET
    errors: AccountErrorsChange | UnsetType = UNSET
    warnings: AccountWarningsChange | UnsetType = UNSET


class ConnectedAccountUpdated(CamelBody, frozen=True, kw_only=True):
    """Payload of `ConnectedAccount.Updated`."""

    uid: HexUid
    changes: AccountChanges


_ACCOUNT = "0197b39f-77a0-7b1c-9d2e-3f4051627384"
_WORKSPACE = "0197a1c2-d3e4-7f50-8192-a3b4c5d6e7f8"
_METADATA: CustomMetadata = {"region": "north"}

CONNECTED = EventDefinition(
    type="connected_account.connected",
    family="flat",
    code=3200,
    criticality=4,
    target="ConnectedAccount",
    struct=AccountConnected,
    sample=AccountConnected(
        connected_account_custom_metadata=_METADATA,
        connected_account_id=_ACCOUNT,
        created_at="2026-03-02T07:58:11.208Z",
        event_id="0197b39f-77a4-7e10-a1b2-c3d4e5f60718",
        event_type="connected_account.connected",
        occurred_at="2026-03-02T07:58:11.208Z",
        workspace_id=_WORKSPACE,
    ),
    meaning="A vendor's account was connected, for the first time or again.",
)

DISCONNECTED = EventDefinition(
    type="connected_account.disconnected",
    family="flat",
    code=3201,
    criticality=2,
    target="ConnectedAccount",
    struct=AccountDisconnected,
    sample=AccountDisconnected(
        connected_account_custom_metadata=_METADATA,
        connected_account_errors=(
            ErrorItem(
                created_at="2026-03-04T11:20:45.310Z",
                error_code="account_disconnected",
                message="The vendor no longer accepts the account's password.",
            ),
        ),
        connected_account_id=_ACCOUNT,
        connected_account_warnings=(
            WarningItem(
                created_at="2026-03-03T22:00:00.000Z",
                message="The vendor announced maintenance for the night.",
                warning_code="scheduled_maintenance_window",
            ),
        ),
        created_at="2026-03-04T11:20:45.310Z",
        event_id="0197bea5-3d0e-7f21-b2c3-d4e5f6071829",
        event_type="connected_account.disconnected",
        occurred_at="2026-03-04T11:20:45.310Z",
        workspace_id=_WORKSPACE,
    ),
    meaning="The connection to a vendor's account was lost, and its devices cannot be reached.",
)

DELETED = EventDefinition(
    type="connected_account.deleted",
    family="flat",
    code=3202,
    criticality=3,
    target="ConnectedAccount",
    struct=AccountDeleted,
    sample=AccountDeleted(
        connected_account_custom_metadata=_METADATA,
        connected_account_id=_ACCOUNT,
        created_at="2026-03-09T18:02:33.940Z",
        event_id="0197d9b5-f9d4-7a32-83d4-e5f607182930",
        event_type="connected_account.deleted",
        occurred_at="2026-03-09T18:02:33.940Z",
        workspace_id=_WORKSPACE,
    ),
    meaning="A vendor's account was removed, and taken from the devices that belonged to it.",
)

UPDATED = EventDefinition(
    type="ConnectedAccount.Updated",
    family="record",
    code=3210,
    criticality=4,
    target="ConnectedAccount",
    struct=ConnectedAccountUpdated,
    sample=ConnectedAccountUpdated(
        uid="0197b39f77a07b1c9d2e3f4051627384",
        changes=AccountChanges(
            name=AccountNameChange(from_="Harbour Hotel", to="Harbour Hotel North"),
            custom_metadata=AccountMetadataChange(from_={}, to=_METADATA),
            errors=AccountErrorsChange(
                from_=(
                    AccountError(
                        error_code="insufficient_permissions",
                        message="The account may not set codes.",
                        created_at="2026-03-02T08:00:00.000000Z",
                    ),
                ),
                to=(),
            ),
            warnings=AccountWarningsChange(
                from_=(),
                to=(
                    AccountWarning(
                        warning_code="scheduled_maintenance_window",
                        message="The vendor announced maintenance for the night.",
                        created_at="2026-03-03T22:00:00.000000Z",
                    ),
                ),
            ),
        ),
    ),
    meaning="The name, custom metadata, errors or warnings of a connected account changed.",
)

EVENTS: tuple[EventDefinition, ...] = (CONNECTED, DISCONNECTED, DELETED, UPDATED)
