"""Access codes as Seam shows them, managed and not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from heliograph.access_codes.changes import Target, read_request, target_of
from heliograph.access_codes.model import AccessCode, CodeType, Status
from heliograph.access_codes.surroundings import CodeSurroundings
from heliograph.dialects.seam.conditions import ErrorBody, WarningBody, access_code_errors, device_errors, warnings
from heliograph.ids import as_uuid
from heliograph.operations.model import Operation
from heliograph.times import print_milliseconds

DISPLAYED: dict[Status, str] = {
    "setting": "Setting",
    "set": "Active",
    "unset": "Not active",
    "removing": "Removing",
    "unknown": "Unknown",
}

ShowPin = Callable[[bytes, bytes | None], str | None]
"""Returns the PIN that was sealed for a code, given by its uid, or None to those who may not read it."""


class UnmanagedBody(msgspec.Struct, frozen=True, kw_only=True):
    """A code that somebody set at the lock. `code` is its PIN; null to who may not read it, or when the lock hides it.

    The two `cannot_...` are there only when they are so.
    """

    access_code_id: str
    device_id: str
    workspace_id: str
    is_managed: Literal[False] = False
    name: str | None
    code: str | None
    type: CodeType
    status: Status
    display_status: str
    starts_at: str | None
    ends_at: str | None
    created_at: str
    errors: tuple[ErrorBody, ...]
    warnings: tuple[WarningBody, ...]
    cannot_be_managed: Literal[True] | UnsetType = UNSET
    cannot_delete_unmanaged_access_code: Literal[True] | UnsetType = UNSET


class MutationBody(msgspec.Struct, frozen=True, kw_only=True):
    """A change that is on its way to the lock; `from` and `to` are left out when the code comes or goes as a whole."""

    mutation_code: str
    message: str
    created_at: str
    from_: dict[str, str | None] | UnsetType = msgspec.field(name="from", default=UNSET)
    to: dict[str, str | None] | UnsetType = UNSET


class ManagedBody(msgspec.Struct, frozen=True, kw_only=True):
    """A code that Heliograph manages. `code` is its PIN; null to who may not read it.

    Heliograph has no backup, offline or one-time codes, and none that share their digits.
    """

    access_code_id: str
    device_id: str
    workspace_id: str
    is_managed: Literal[True] = True
    name: str | None
    code: str | None
    common_code_key: None = None
    type: CodeType
    status: Status
    display_status: str
    starts_at: str | None
    ends_at: str | None
    created_at: str
    pending_mutations: tuple[MutationBody, ...]
    errors: tuple[ErrorBody, ...]
    warnings: tuple[WarningBody, ...]
    is_external_modification_allowed: bool
    is_scheduled_on_device: bool
    is_backup: Literal[False] = False
    is_backup_access_code_available: Literal[False] = False
    is_offline_access_code: Literal[False] = False
    is_one_time_use: Literal[False] = False
    is_waiting_for_code_assignment: Literal[False] = False
    pulled_backup_access_code_id: None = None


class CodeRenderer:
    """Renders codes of one workspace; what is wrong with a lock and its account is so for each of its codes."""

    def __init__(self, tenant_uid: str, beside: CodeSurroundings, show_pin: ShowPin) -> None:
        self._workspace_id = as_uuid(bytes.fromhex(tenant_uid))
        self._beside = beside
        self._show_pin = show_pin
        self._inherited = {
            uid: device_errors(device, beside.account_of(device)) for uid, device in beside.devices.items()
        }

    def __call__(self, code: AccessCode) -> ManagedBody | UnmanagedBody:
        """Render a code as what it is."""
        return self._managed(code) if code.managed else self._unmanaged(code)

    def _unmanaged(self, code: AccessCode) -> UnmanagedBody:
        return UnmanagedBody(
            access_code_id=as_uuid(code.uid),
            device_id=as_uuid(code.device_uid),
            workspace_id=self._workspace_id,
            name=code.name,
            code=self._show_pin(code.uid, code.sealed_pin),
            type=code.type,
            status=code.status,
            display_status=DISPLAYED[code.status],
            starts_at=_optional(code.starts_at),
            ends_at=_optional(code.ends_at),
            created_at=print_milliseconds(code.created_at),
            errors=self._errors(code),
            warnings=warnings(code.warnings),
            cannot_be_managed=True if code.cannot_be_managed else UNSET,
            cannot_delete_unmanaged_access_code=True if code.cannot_delete else UNSET,
        )

    def _managed(self, code: AccessCode) -> ManagedBody:
        return ManagedBody(
            access_code_id=as_uuid(code.uid),
            device_id=as_uuid(code.device_uid),
            workspace_id=self._workspace_id,
            name=code.name,
            code=self._show_pin(code.uid, code.sealed_pin),
            type=code.type,
            status=code.status,
            display_status=DISPLAYED[code.status],
            starts_at=_optional(code.starts_at),
            ends_at=_optional(code.ends_at),
            created_at=print_milliseconds(code.created_at),
            pending_mutations=self._mutations(code),
            errors=self._errors(code),
            warnings=warnings(code.warnings),
            is_external_modification_allowed=code.external_modification_allowed,
            is_scheduled_on_device=code.is_scheduled,
        )

    def _mutations(self, code: AccessCode) -> tuple[MutationBody, ...]:
        operation = self._beside.operations.get(code.uid)
        if operation is None:
            return ()
        since = print_milliseconds(operation.created_at)
        if operation.kind == "remove_access_code":
            words = "The access code is being removed from the device."
            return (MutationBody(mutation_code="deleting", message=words, created_at=since),)
        before, after = self._parts(code.uid, target_of(code)), self._parts(code.uid, _wanted(operation))
        same_pin = target_of(code).pin_index == _wanted(operation).pin_index
        changed = tuple(
            MutationBody(
                mutation_code=f"updating_{part}",
                message=f"The {part.replace('_', ' ')} is being updated on the device.",
                created_at=since,
                from_=before[part],
                to=after[part],
            )
            for part in before
            if (not same_pin if part == "code" else before[part] != after[part])
        )
        if operation.kind == "update_access_code" and changed:
            return changed
        words = "The access code is being set on the device."
        return (MutationBody(mutation_code="creating", message=words, created_at=since),)

    def _parts(self, uid: bytes, target: Target) -> dict[str, dict[str, str | None]]:
        return {
            "name": {"name": target.name},
            "code": {"code": self._show_pin(uid, target.sealed_pin)},
            "time_frame": {"starts_at": _optional(target.starts_at), "ends_at": _optional(target.ends_at)},
        }

    def _errors(self, code: AccessCode) -> tuple[ErrorBody, ...]:
        return (*access_code_errors(code.errors), *self._inherited.get(code.device_uid, ()))


def _wanted(operation: Operation) -> Target:
    return read_request(operation.request).code


def _optional(at: int | None) -> str | None:
    return None if at is None else print_milliseconds(at)
