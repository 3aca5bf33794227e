"""What the routes share that change access codes.

Each change is taken over by the lock's connector; Seam's clients see it by the code's status and pending mutations.
"""

from __future__ import annotations

from functools import partial
from typing import Literal

import msgspec

from heliograph.access_codes import kinds
from heliograph.dialects.seam.answers import done, missing
from heliograph.dialects.seam.parameters import Id, Parameters, invalid_parameters, read_parameters
from heliograph.dialects.seam.workspace import scope_of
from heliograph.errors import Fault
from heliograph.http.code_changes import DELETE, patience_of
from heliograph.http.messages import Request, Response
from heliograph.ids import as_uuid, new_uid
from heliograph.operations.model import Operation


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


async def remove_code(request: Request, *, managed: bool) -> Response:
    """Have a code removed from its lock; one that was removed before is not missed.

    Raises:
        SeamError: when there is no such code and never was, or it is not of the kind that the route is about.
        Conflict: when the lock lets nobody remove it, or another change of it is under way.
    """
    services = request.services
    scope = await scope_of(request, DELETE)
    given = read_parameters(request, RemoveCode)
    step = partial(
        kinds.remove, scope=scope, uid=given.access_code_id, device_uid=given.device_id, managed=managed,
        patience=patience_of(request),
    )  # fmt: skip
    with missing("access_code"):
        operation = await services.write(step, [scope.tenant_id])
    services.operations.notice(scope.tenant_id)
    return done(action_attempt=_attempt(operation))


def _attempt(operation: Operation | None) -> ActionAttemptBody:
    if operation is None:
        return ActionAttemptBody(action_attempt_id=as_uuid(new_uid()), status="success", result={})
    return ActionAttemptBody(action_attempt_id=as_uuid(operation.uid), status="pending", result=None)
