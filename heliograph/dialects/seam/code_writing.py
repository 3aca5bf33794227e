"""Changes of access codes, as the routes of managed and of unmanaged ones share them.

Each is taken over by the lock's connector; Seam's clients see it by the code's status and pending mutations.
"""

from __future__ import annotations

from functools import partial
from typing import Literal

import msgspec

from heliograph.access_codes import actions, requests
from heliograph.access_codes.history import was_removed
from heliograph.access_codes.model import AccessCode
from heliograph.dialects.seam.answers import SeamError, done, missing, no_such
from heliograph.dialects.seam.parameters import Id, Parameters, invalid_parameters
from heliograph.dialects.seam.workspace import scope_of
from heliograph.errors import Fault, NotFound, PreconditionFailed, Unavailable
from heliograph.http.code_changes import DELETE, patience_of
from heliograph.http.messages import Request, Response
from heliograph.ids import as_uuid, new_uid
from heliograph.operations.model import Operation
from heliograph.tenancy.model import Scope

TURNS = 5
"""How often a code is looked at anew when it changed before it could be removed."""


class RemoveCode(Parameters, frozen=True, kw_only=True):
    """The code to remove. `sync` is read and has no effect: the answer never waits for the lock."""

    access_code_id: Id
    device_id: Id | None = None
    sync: bool = False


class ActionAttemptBody(msgspec.Struct, frozen=True, kw_only=True):
    """A piece of work for the lock, and how it stands."""

    action_attempt_id: str
    action_type: Literal["DELETE_ACCESS_CODE"] = "DELETE_ACCESS_CODE"
    status: Literal["pending", "success"]
    result: dict[str, str] | None
    error: None = None


def one_flag(given: bool | None, other_name: bool | None) -> bool | None:
    """Return what two names of one flag say: `is_external_modification_allowed` and `allow_external_modification`.

    Raises:
        Invalid: when they contradict each other.
    """
    if given is not None and other_name is not None and given != other_name:
        words = "is_external_modification_allowed says otherwise."
        raise invalid_parameters([Fault("/allow_external_modification", "contradiction", words)])
    return other_name if given is None else given


async def present_code(
    request: Request, scope: Scope, uid: bytes, device_uid: bytes | None, *, managed: bool
) -> AccessCode:
    """Return the code that is to be changed.

    Raises:
        SeamError: when there is no such code, it is not of the kind that the route is about, or on another lock.
    """
    with missing("access_code"):
        code = await request.services.read(partial(actions.get, scope=scope, uid=uid))
    if code.managed != managed or device_uid not in (None, code.device_uid):
        raise no_such("access_code")
    return code


async def remove_code(request: Request, given: RemoveCode, *, managed: bool) -> Response:
    """Have a code removed from its lock; one that was removed before is not missed.

    Clients send a removal again when they lost its answer.

    Raises:
        SeamError: as `present_code`, unless such a code was here and was removed.
        Conflict: when the lock lets nobody remove it, or another change of it is under way.
    """
    services = request.services
    scope = await scope_of(request, DELETE)
    for _ in range(TURNS):
        try:
            code = await present_code(request, scope, given.access_code_id, given.device_id, managed=managed)
        except SeamError:
            if await services.read(partial(was_removed, scope=scope, uid=given.access_code_id, managed=managed)):
                return _removed(None)
            raise
        # With its version, so that a code that was converted meanwhile is not taken for an unmanaged one.
        step = partial(
            requests.remove, scope=scope, uid=code.uid, version=code.version, patience=patience_of(request)
        )  # fmt: skip
        try:
            operation = await services.write(step, [scope.tenant_id])
        except (NotFound, PreconditionFailed):
            continue
        services.operations.notice(scope.tenant_id)
        return _removed(operation)
    raise Unavailable("The access code changes too fast; send the request again.")


def _removed(operation: Operation | None) -> Response:
    if operation is None:
        return done(
            action_attempt=ActionAttemptBody(action_attempt_id=as_uuid(new_uid()), status="success", result={})
        )  # fmt: skip
    return done(
        action_attempt=ActionAttemptBody(action_attempt_id=as_uuid(operation.uid), status="pending", result=None)
    )  # fmt: skip
