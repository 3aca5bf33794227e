"""What the log says about unmanaged access codes; the shapes are those of Seam's public event reference.

What all events of access codes share is here too; those of managed ones are in `managed_events`.
"""

from __future__ import annotations

from typing import Literal

from heliograph.catalog.definition import Body, EventDefinition, MillisecondTime, UuidText
from heliograph.connected_accounts.conditions import ErrorItem, WarningItem
from heliograph.devices.model import CustomMetadata


# Every field is required. The reference marks none as optional; it only says that each metadata object is
# present when the id beside it is. `device_id` is always there, because a code is on a device, and so is
# `connected_account_id`, because a report for a device without one is refused. Hence both objects are too.
class AccessCodeBody(Body, frozen=True, kw_only=True):
    """The fields that the events of all access codes share, in the documented order."""

    access_code_id: UuidText
    connected_account_custom_metadata: CustomMetadata
    connected_account_id: UuidText
    created_at: MillisecondTime
    device_custom_metadata: CustomMetadata
    device_id: UuidText
    event_id: UuidText
    event_type: str
    occurred_at: MillisecondTime
    workspace_id: UuidText


class UnmanagedCreated(AccessCodeBody, frozen=True, kw_only=True):
    """Body of `access_code.unmanaged.created`."""

    event_type: Literal["access_code.unmanaged.created"]


class UnmanagedRemoved(AccessCodeBody, frozen=True, kw_only=True):
    """Body of `access_code.unmanaged.removed`."""

    event_type: Literal["access_code.unmanaged.removed"]


class UnmanagedConverted(AccessCodeBody, frozen=True, kw_only=True):
    """Body of `access_code.unmanaged.converted_to_managed`."""

    event_type: Literal["access_code.unmanaged.converted_to_managed"]


class FailureBody(AccessCodeBody, frozen=True, kw_only=True):
    """The fields of an event that tells of a failure; as documented, each array may be empty, even all of them."""

    access_code_errors: tuple[ErrorItem, ...]
    access_code_warnings: tuple[WarningItem, ...]
    connected_account_errors: tuple[ErrorItem, ...]
    connected_account_warnings: tuple[WarningItem, ...]
    device_errors: tuple[ErrorItem, ...]
    device_warnings: tuple[WarningItem, ...]


class UnmanagedConversionFailed(FailureBody, frozen=True, kw_only=True):
    """Body of `access_code.unmanaged.failed_to_convert_to_managed`."""

    event_type: Literal["access_code.unmanaged.failed_to_convert_to_managed"]


_ACCESS_CODE = "0197b3a4-10c2-7d3e-8f40-5162738495a6"
_ACCOUNT = "0197b39f-77a0-7b1c-9d2e-3f4051627384"
_DEVICE = "0197b3a0-4fe1-7c2d-8e3f-405162738495"
_WORKSPACE = "0197a1c2-d3e4-7f50-8192-a3b4c5d6e7f8"
_ACCOUNT_METADATA: CustomMetadata = {"region": "north"}
_DEVICE_METADATA: CustomMetadata = {"door": "B2-17", "guests": True}

UNMANAGED_CREATED = EventDefinition(
    type="access_code.unmanaged.created",
    family="flat",
    code=3100,
    criticality=4,
    target="AccessCode",
    struct=UnmanagedCreated,
    sample=UnmanagedCreated(
        access_code_id=_ACCESS_CODE,
        connected_account_custom_metadata=_ACCOUNT_METADATA,
        connected_account_id=_ACCOUNT,
        created_at="2026-03-02T08:15:30.412Z",
        device_custom_metadata=_DEVICE_METADATA,
        device_id=_DEVICE,
        event_id="0197b3a4-11f6-7a20-b1c2-d3e4f5061728",
        event_type="access_code.unmanaged.created",
        occurred_at="2026-03-02T08:15:28.000Z",
        workspace_id=_WORKSPACE,
    ),
    meaning="A lock was found to hold a code that was not set through the platform.",
)

UNMANAGED_REMOVED = EventDefinition(
    type="access_code.unmanaged.removed",
    family="flat",
    code=3101,
    criticality=4,
    target="AccessCode",
    struct=UnmanagedRemoved,
    sample=UnmanagedRemoved(
        access_code_id=_ACCESS_CODE,
        connected_account_custom_metadata=_ACCOUNT_METADATA,
        connected_account_id=_ACCOUNT,
        created_at="2026-03-09T17:40:02.057Z",
        device_custom_metadata=_DEVICE_METADATA,
        device_id=_DEVICE,
        event_id="0197d9a1-5e49-7b31-a2d3-e4f506172839",
        event_type="access_code.unmanaged.removed",
        occurred_at="2026-03-09T17:40:00.000Z",
        workspace_id=_WORKSPACE,
    ),
    meaning="A code that was not set through the platform is no longer on its lock.",
)

UNMANAGED_CONVERTED = EventDefinition(
    type="access_code.unmanaged.converted_to_managed",
    family="flat",
    code=3102,
    criticality=4,
    target="AccessCode",
    struct=UnmanagedConverted,
    sample=UnmanagedConverted(
        access_code_id=_ACCESS_CODE,
        connected_account_custom_metadata=_ACCOUNT_METADATA,
        connected_account_id=_ACCOUNT,
        created_at="2026-03-02T09:00:11.803Z",
        device_custom_metadata=_DEVICE_METADATA,
        device_id=_DEVICE,
        event_id="0197b3cc-eb8b-7c42-93e4-f50617283940",
        event_type="access_code.unmanaged.converted_to_managed",
        occurred_at="2026-03-02T09:00:11.240Z",
        workspace_id=_WORKSPACE,
    ),
    meaning="An unmanaged code was taken over and is managed from now on.",
)

UNMANAGED_CONVERSION_FAILED = EventDefinition(
    type="access_code.unmanaged.failed_to_convert_to_managed",
    family="flat",
    code=3103,
    criticality=2,
    target="AccessCode",
    struct=UnmanagedConversionFailed,
    sample=UnmanagedConversionFailed(
        access_code_errors=(
            ErrorItem(
                created_at="2026-03-02T09:05:00.000Z",
                error_code="operation_timed_out",
                message="The lock did not confirm the change in time.",
            ),
        ),
        access_code_id=_ACCESS_CODE,
        access_code_warnings=(
            WarningItem(
                created_at="2026-03-02T09:00:10.000Z",
                message="The lock does not show this code's digits.",
                warning_code="code_unreadable",
            ),
        ),
        connected_account_custom_metadata=_ACCOUNT_METADATA,
        connected_account_errors=(),
        connected_account_id=_ACCOUNT,
        connected_account_warnings=(),
        created_at="2026-03-02T09:05:00.117Z",
        device_custom_metadata=_DEVICE_METADATA,
        device_errors=(
            ErrorItem(
                created_at="2026-03-02T09:01:30.000Z",
                error_code="device_offline",
                message="The lock has not been heard of since 08:58.",
            ),
        ),
        device_id=_DEVICE,
        device_warnings=(),
        event_id="0197b3d1-5275-7d53-84f5-061728394051",
        event_type="access_code.unmanaged.failed_to_convert_to_managed",
        occurred_at="2026-03-02T09:05:00.000Z",
        workspace_id=_WORKSPACE,
    ),
    meaning="An unmanaged code was asked to be taken over, and that did not succeed.",
)

EVENTS: tuple[EventDefinition, ...] = (
    UNMANAGED_CREATED,
    UNMANAGED_REMOVED,
    UNMANAGED_CONVERTED,
    UNMANAGED_CONVERSION_FAILED,
)
