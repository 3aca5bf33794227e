"""`/access_codes/create`, `/access_codes/update` and `/access_codes/delete`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Annotated

import msgspec
from msgspec import UNSET, UnsetType

from heliograph.access_codes import kinds
from heliograph.access_codes.changes import DuplicatePin
from heliograph.access_codes.model import CodeType
from heliograph.access_codes.pins import Pins
from heliograph.dialects.seam.answers import SeamError, done, missing
from heliograph.dialects.seam.code_reading import codes_for
from heliograph.dialects.seam.code_writing import RemoveCode, one_flag, remove_code
from heliograph.dialects.seam.parameters import NOT_HERE, Id, Parameters, invalid_parameters, read_parameters
from heliograph.dialects.seam.routes import writing
from heliograph.dialects.seam.workspace import scope_of
from heliograph.errors import Fault, Unprocessable
from heliograph.http.code_changes import (
    CREATE,
    DELETE,
    UPDATE,
    AccessCodePatch,
    Name,
    NewAccessCode,
    patch_of,
    patience_of,
    wish_of,
)
from heliograph.http.messages import Request, Response
from heliograph.ids import as_hex

Digits = Annotated[str, msgspec.Meta(min_length=1)]

_OTHER_KINDS = ("is_offline_access_code", "is_one_time_use", "use_backup_access_code_pool", "use_offline_access_code")
"""Kinds of codes that Heliograph does not have; that none is wanted may be said."""


class CreateCode(Parameters, frozen=True, kw_only=True):
    """The code to set on a lock; without `code`, six digits are chosen.

    `attempt_for_offline_device` and `prefer_native_scheduling` are read and have no effect: the operation waits for
    the lock, and how a time frame is kept is up to the connector.
    """

    unavailable = NOT_HERE | {"common_code_key", "max_time_rounding", "preferred_code_length"}

    device_id: Id
    code: Digits | None = None
    name: Name | None = None
    starts_at: str | None = None
    ends_at: str | None = None
    is_external_modification_allowed: bool | None = None
    allow_external_modification: bool | None = None
    attempt_for_offline_device: bool | None = None
    prefer_native_scheduling: bool | None = None
    is_offline_access_code: bool | None = None
    is_one_time_use: bool | None = None
    use_backup_access_code_pool: bool | None = None
    use_offline_access_code: bool | None = None

    def __repr__(self) -> str:
        return "CreateCode(...)"


class UpdateCode(Parameters, frozen=True, kw_only=True):
    """What to change of a code: null removes a name or a time, what is left out stays.

    With `type` "ongoing" the code loses its time frame.
    """

    access_code_id: Id
    device_id: Id | None = None
    code: Digits | UnsetType = UNSET
    name: Name | UnsetType | None = UNSET
    starts_at: str | UnsetType | None = UNSET
    ends_at: str | UnsetType | None = UNSET
    type: CodeType | None = None
    is_managed: bool | None = None
    is_external_modification_allowed: bool | None = None
    allow_external_modification: bool | None = None
    attempt_for_offline_device: bool | None = None

    def __repr__(self) -> str:
        return "UpdateCode(...)"


async def create_code(request: Request) -> Response:
    """Create a managed code and have it set on the lock."""
    codes = await codes_for(request, CREATE)
    given = read_parameters(request, CreateCode)
    faults = [
        Fault(f"/{name}", "unavailable", "Heliograph has no such access codes.")
        for name in _OTHER_KINDS
        if getattr(given, name)
    ]
    if faults:
        raise invalid_parameters(faults)
    allowed = one_flag(given.is_external_modification_allowed, given.allow_external_modification)
    wish = wish_of(
        NewAccessCode(
            device_uid=as_hex(given.device_id), code=given.code, name=given.name, starts_at=given.starts_at,
            ends_at=given.ends_at, is_external_modification_allowed=bool(allowed),
        )
    )  # fmt: skip
    services = request.services
    if wish.ends_at is not None and wish.ends_at <= services.store.clock.now():
        raise invalid_parameters([Fault("/ends_at", "past", "The end must be in the future.")])
    step = partial(
        kinds.create, scope=codes.scope, device_uid=given.device_id, wish=wish, pins=codes.pins,
        patience=patience_of(request),
    )  # fmt: skip
    with _in_seam_s_words(), missing("device"):
        made = await services.write(step, [codes.scope.tenant_id])
    services.operations.notice(codes.scope.tenant_id)
    return done(access_code=codes.render(made)[0])


async def update_code(request: Request) -> Response:
    """Have a managed code changed on its lock."""
    scope = await scope_of(request, UPDATE)
    given = read_parameters(request, UpdateCode)
    if given.is_managed is False:
        words = "A managed access code cannot be given up; delete it."
        raise invalid_parameters([Fault("/is_managed", "unavailable", words)])
    allowed = one_flag(given.is_external_modification_allowed, given.allow_external_modification)
    patch = patch_of(
        AccessCodePatch(
            code=given.code, name=given.name, starts_at=_time(given, "starts_at"), ends_at=_time(given, "ends_at"),
            is_external_modification_allowed=UNSET if allowed is None else allowed,
        )
    )  # fmt: skip
    services = request.services
    step = partial(
        kinds.update, scope=scope, uid=given.access_code_id, device_uid=given.device_id, patch=patch, type=given.type,
        pins=Pins(services.sealer, scope), patience=patience_of(request),
    )  # fmt: skip
    with _in_seam_s_words(), missing("access_code"):
        await services.write(step, [scope.tenant_id])
    services.operations.notice(scope.tenant_id)
    return done()


def _time(given: UpdateCode, name: str) -> str | UnsetType | None:
    """Return a time to set, None for none: an ongoing code has neither.

    Raises:
        Invalid: when the code is to be ongoing and to have a time.
    """
    time: str | UnsetType | None = getattr(given, name)
    if given.type != "ongoing":
        return time
    if time is not UNSET and time is not None:
        raise invalid_parameters([Fault(f"/{name}", "time-frame", "An ongoing access code has no time frame.")])
    return None


async def delete_code(request: Request) -> Response:
    """Have a managed code removed from its lock."""
    return await remove_code(request, managed=True)


@contextmanager
def _in_seam_s_words() -> Iterator[None]:
    """Name refusals for which Seam has types of its own.

    Raises:
        SeamError: in place of those.
    """
    try:
        yield
    except DuplicatePin as refusal:
        raise SeamError(409, "duplicate_access_code", refusal.detail) from None
    except Unprocessable as refusal:
        raise SeamError(400, "device_type_not_supported", refusal.detail) from None


ACCESS_CODE_CHANGES = (
    *writing("POST", "/access_codes/create", create_code, CREATE, CreateCode, "Create an access code"),
    *writing("PATCH", "/access_codes/update", update_code, UPDATE, UpdateCode, "Update a managed access code"),
    *writing("DELETE", "/access_codes/delete", delete_code, DELETE, RemoveCode, "Delete a managed access code"),
)
"""The routes that change managed codes."""
