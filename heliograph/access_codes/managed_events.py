"""What the log says about managed access codes; the shapes are those of Seam's public event reference.

There is one deviation: fields that hold a PIN in Seam's events are always null here. No event, and so no webhook and
no export, can give a PIN away; who may read one asks for it.
"""

from __future__ import annotations

from typing import Any, Literal

from msgspec import UNSET, UnsetType, field

from heliograph.access_codes.events import AccessCodeBody, FailureBody
from heliograph.catalog.definition import Body, EventDefinition, MillisecondTime
from heliograph.connected_accounts.conditions import ErrorItem, WarningItem


class AccessCodeCreated(AccessCodeBody, frozen=True, kw_only=True):
    """Body of `access_code.created`."""

    event_type: Literal["access_code.created"]


class ChangedProperty(Body, frozen=True, kw_only=True):
    """One property before and since, as text.

    Raises:
        ValueError: when it would tell a PIN.
    """

    from_: str | None = field(name="from")
    property: str
    to: str | None

    def __post_init__(self) -> None:
        if self.property == "code" and (self.from_ is not None or self.to is not None):
            raise ValueError("No event tells a PIN.")


class AccessCodeChanged(AccessCodeBody, frozen=True, kw_only=True):
    """Body of `access_code.changed`."""

    change_reason: str | UnsetType = UNSET
    changed_properties: tuple[ChangedProperty, ...] | UnsetType = UNSET
    event_type: Literal["access_code.changed"]


class NameThen(Body, frozen=True, kw_only=True):
    """The name at one moment."""

    name: str | None


class AccessCodeNameChanged(AccessCodeBody, frozen=True, kw_only=True):
    """Body of `access_code.name_changed`."""

    description: str
    event_type: Literal["access_code.name_changed"]
    from_: NameThen = field(name="from")
    to: NameThen


class PinThen(Body, frozen=True, kw_only=True):
    """The PIN at one moment, withheld."""

    code: None


class AccessCodeCodeChanged(AccessCodeBody, frozen=True, kw_only=True):
    """Body of `access_code.code_changed`."""

    description: str
    event_type: Literal["access_code.code_changed"]
    from_: PinThen = field(name="from")
    to: PinThen


class TimeFrameThen(Body, frozen=True, kw_only=True):
    """The time frame at one moment."""

    ends_at: MillisecondTime | None
    starts_at: MillisecondTime | None


class AccessCodeTimeFrameChanged(AccessCodeBody, frozen=True, kw_only=True):
    """Body of `access_code.time_frame_changed`."""

    description: str
    event_type: Literal["access_code.time_frame_changed"]
    from_: TimeFrameThen = field(name="from")
    to: TimeFrameThen


class AccessCodeScheduled(AccessCodeBody, frozen=True, kw_only=True):
    """Body of `access_code.scheduled_on_device`."""

    code: None
    event_type: Literal["access_code.scheduled_on_device"]


class AccessCodeSet(AccessCodeBody, frozen=True, kw_only=True):
    """Body of `access_code.set_on_device`."""

    code: None
    event_type: Literal["access_code.set_on_device"]


class AccessCodeNotSet(FailureBody, frozen=True, kw_only=True):
    """Body of `access_code.failed_to_set_on_device`."""

    event_type: Literal["access_code.failed_to_set_on_device"]


class AccessCodeRemoved(AccessCodeBody, frozen=True, kw_only=True):
    """Body of `access_code.removed_from_device`."""

    event_type: Literal["access_code.removed_from_device"]


class AccessCodeNotRemoved(FailureBody, frozen=True, kw_only=True):
    """Body of `access_code.failed_to_remove_from_device`."""

    event_type: Literal["access_code.failed_to_remove_from_device"]


class AccessCodeDeleted(AccessCodeBody, frozen=True, kw_only=True):
    """Body of `access_code.deleted`."""

    code: None
    event_type: Literal["access_code.deleted"]


class AccessCodeModifiedExternally(AccessCodeBody, frozen=True, kw_only=True):
    """Body of `access_code.modified_external_to_seam`."""

    event_type: Literal["access_code.modified_external_to_seam"]


class AccessCodeDeletedExternally(AccessCodeBody, frozen=True, kw_only=True):
    """Body of `access_code.deleted_external_to_seam`."""

    event_type: Literal["access_code.deleted_external_to_seam"]


def _event(
    type: str, code: int, struct: type[AccessCodeBody], meaning: str, /, criticality: int = 4, **fields: Any
) -> EventDefinition:
    # All samples tell of one code on one lock; the tests hold them against the schemas.
    sample = struct(
        access_code_id="0197b3a4-10c2-7d3e-8f40-5162738495a6",
        connected_account_custom_metadata={"region": "north"},
        connected_account_id="0197b39f-77a0-7b1c-9d2e-3f4051627384",
        created_at="2026-03-02T08:15:30.412Z",
        device_custom_metadata={"door": "B2-17", "guests": True},
        device_id="0197b3a0-4fe1-7c2d-8e3f-405162738495",
        event_id=f"0197b3a4-{code}-7a20-b1c2-d3e4f5061728",
        event_type=type,
        occurred_at="2026-03-02T08:15:28.000Z",
        workspace_id="0197a1c2-d3e4-7f50-8192-a3b4c5d6e7f8",
        **fields,
    )
    return EventDefinition(
        type=type,
        family="flat",
        code=code,
        criticality=criticality,
        target="AccessCode",
        struct=struct,
        sample=sample,
        meaning=meaning,
    )


def _failure(
    type: str, code: int, struct: type[FailureBody], meaning: str, error: ErrorItem, warning: WarningItem
) -> EventDefinition:
    return _event(
        type,
        code,
        struct,
        meaning,
        criticality=2,
        access_code_errors=(error,),
        access_code_warnings=(warning,),
        connected_account_errors=(),
        connected_account_warnings=(),
        device_errors=(),
        device_warnings=(),
    )


ACCESS_CODE_CREATED = _event(
    "access_code.created", 3000, AccessCodeCreated, "A managed code was created; the lock does not hold it yet."
)

ACCESS_CODE_CHANGED = _event(
    "access_code.changed",
    3001,
    AccessCodeChanged,
    "Something about a managed code is different; of name, PIN and time frame there are further events.",
    change_reason="A caller asked for it.",
    changed_properties=(
        ChangedProperty(property="name", from_="Guest", to="Guest of B2"),
        ChangedProperty(property="ends_at", from_=None, to="2026-03-09T11:00:00.000Z"),
        ChangedProperty(property="code", from_=None, to=None),
    ),
)

ACCESS_CODE_NAME_CHANGED = _event(
    "access_code.name_changed",
    3002,
    AccessCodeNameChanged,
    "A managed code has another name.",
    description="The name was changed.",
    from_=NameThen(name="Guest"),
    to=NameThen(name="Guest of B2"),
)

ACCESS_CODE_CODE_CHANGED = _event(
    "access_code.code_changed",
    3003,
    AccessCodeCodeChanged,
    "A managed code has another PIN; which one is not said.",
    description="The PIN was changed.",
    from_=PinThen(code=None),
    to=PinThen(code=None),
)

ACCESS_CODE_TIME_FRAME_CHANGED = _event(
    "access_code.time_frame_changed",
    3004,
    AccessCodeTimeFrameChanged,
    "A managed code opens the lock at other times.",
    description="The time frame was changed.",
    from_=TimeFrameThen(starts_at=None, ends_at=None),
    to=TimeFrameThen(starts_at="2026-03-02T14:00:00.000Z", ends_at="2026-03-09T11:00:00.000Z"),
)

ACCESS_CODE_SCHEDULED_ON_DEVICE = _event(
    "access_code.scheduled_on_device",
    3005,
    AccessCodeScheduled,
    "The lock holds a managed code and will let it open from its start on.",
    code=None,
)

ACCESS_CODE_SET_ON_DEVICE = _event(
    "access_code.set_on_device", 3006, AccessCodeSet, "The lock holds a managed code, which opens it.", code=None
)

ACCESS_CODE_FAILED_TO_SET_ON_DEVICE = _failure(
    "access_code.failed_to_set_on_device",
    3007,
    AccessCodeNotSet,
    "A managed code, or a change of it, could not be brought to the lock.",
    ErrorItem(
        created_at="2026-03-02T08:15:28.000Z",
        error_code="no_space_for_access_code_on_device",
        message="The lock has no room for another code.",
    ),
    WarningItem(
        created_at="2026-03-02T08:14:00.000Z",
        message="Setting the code takes longer than usual.",
        warning_code="delay_in_setting_on_device",
    ),
)

ACCESS_CODE_REMOVED_FROM_DEVICE = _event(
    "access_code.removed_from_device",
    3008,
    AccessCodeRemoved,
    "The lock no longer holds a managed code, as was asked for or as its time is over.",
)

ACCESS_CODE_FAILED_TO_REMOVE_FROM_DEVICE = _failure(
    "access_code.failed_to_remove_from_device",
    3009,
    AccessCodeNotRemoved,
    "A managed code could not be taken from the lock, and may still open it.",
    ErrorItem(
        created_at="2026-03-02T08:15:28.000Z",
        error_code="operation_timed_out",
        message="The lock did not confirm the change in time.",
    ),
    WarningItem(
        created_at="2026-03-02T08:14:00.000Z",
        message="Removing the code takes longer than usual.",
        warning_code="delay_in_removing_from_device",
    ),
)

ACCESS_CODE_DELETED = _event(
    "access_code.deleted", 3010, AccessCodeDeleted, "A managed code is gone from the platform.", code=None
)

ACCESS_CODE_MODIFIED_EXTERNALLY = _event(
    "access_code.modified_external_to_seam",
    3011,
    AccessCodeModifiedExternally,
    "Somebody changed a managed code at the lock, not through the platform.",
    criticality=3,
)

ACCESS_CODE_DELETED_EXTERNALLY = _event(
    "access_code.deleted_external_to_seam",
    3012,
    AccessCodeDeletedExternally,
    "Somebody took a managed code from the lock, not through the platform.",
    criticality=3,
)

EVENTS: tuple[EventDefinition, ...] = (
    ACCESS_CODE_CREATED,
    ACCESS_CODE_CHANGED,
    ACCESS_CODE_NAME_CHANGED,
    ACCESS_CODE_CODE_CHANGED,
    ACCESS_CODE_TIME_FRAME_CHANGED,
    ACCESS_CODE_SCHEDULED_ON_DEVICE,
    ACCESS_CODE_SET_ON_DEVICE,
    ACCESS_CODE_FAILED_TO_SET_ON_DEVICE,
    ACCESS_CODE_REMOVED_FROM_DEVICE,
    ACCESS_CODE_FAILED_TO_REMOVE_FROM_DEVICE,
    ACCESS_CODE_DELETED,
    ACCESS_CODE_MODIFIED_EXTERNALLY,
    ACCESS_CODE_DELETED_EXTERNALLY,
)
