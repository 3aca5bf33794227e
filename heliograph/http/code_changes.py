"""Changes of access codes that callers ask for; what needs the lock is answered with the operation that does it."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import msgspec
from msgspec import UNSET, UnsetType

from heliograph.access_codes import requests
from heliograph.access_codes.changes import CodePatch, CodeWish
from heliograph.access_codes.model import LONGEST_NAME, AccessCode, CodeParts, GivenCode, read_parts
from heliograph.access_codes.pins import Pins
from heliograph.clock import MICROSECONDS
from heliograph.errors import Fault, Invalid
from heliograph.http.access_codes import AccessCodeBody, body_of
from heliograph.http.lists import TenantQuery, UidText, etag, wanted_version
from heliograph.http.messages import Request, Response, json_response
from heliograph.http.operations import OperationBody
from heliograph.http.operations import body_of as operation_body_of
from heliograph.http.reports import TimeText
from heliograph.http.services import change
from heliograph.ids import parse_uid
from heliograph.operations.model import Operation
from heliograph.storage.engine import Transaction

CREATE, UPDATE, DELETE = "create access_code.tenant", "update access_code.tenant", "delete access_code.tenant"

_encode = msgspec.json.Encoder().encode
Name = Annotated[str, msgspec.Meta(max_length=LONGEST_NAME)]


class NewAccessCode(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """A managed access code to set on a lock. `code` is its PIN; without one six digits are chosen."""

    device_uid: UidText
    code: str | None = None
    name: Name | None = None
    starts_at: TimeText | None = None
    ends_at: TimeText | None = None
    is_external_modification_allowed: bool = False

    def __repr__(self) -> str:
        return "NewAccessCode(...)"


class AccessCodePatch(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """What to change of a managed code; null removes, what is left out stays."""

    code: str | UnsetType = UNSET
    name: Name | UnsetType | None = UNSET
    starts_at: TimeText | UnsetType | None = UNSET
    ends_at: TimeText | UnsetType | None = UNSET
    is_external_modification_allowed: bool | UnsetType = UNSET

    def __repr__(self) -> str:
        return "AccessCodePatch(...)"


class Conversion(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """How to take a code over: with `force` also from somebody else who manages it.

    With `isExternalModificationAllowed` the code may be changed at the lock afterwards.
    """

    force: bool = False
    is_external_modification_allowed: bool = False


class AccessCodeChange(msgspec.Struct, frozen=True, rename="camel"):
    """The code, and the operation that brings the change to the lock; null when the lock need not know."""

    access_code: AccessCodeBody
    operation: OperationBody | None


async def convert_access_code(request: Request) -> Response:
    """Ask the connector to take an unmanaged code over."""
    services = request.services
    scope = await services.scope(request.known, UPDATE, request.query(TenantQuery).tenant_uid)
    uid = parse_uid(request.parameters["id"], "path/id")
    given = request.json(Conversion) if request.body else Conversion()

    def act(tx: Transaction) -> tuple[bytes, bytes]:
        operation = requests.convert(
            tx, scope, uid, force=given.force,
            external_modification_allowed=given.is_external_modification_allowed, patience=patience_of(request),
        )  # fmt: skip
        body = _encode(operation_body_of(operation))
        return body, body

    answer = await change(request, scope, act, status=202)
    services.operations.notice(scope.tenant_id)
    return answer


async def create_access_code(request: Request) -> Response:
    """Create a managed code and have it set on the lock."""
    services = request.services
    scope = await services.scope(request.known, CREATE, request.query(TenantQuery).tenant_uid)
    given = request.json(NewAccessCode)
    device_uid = parse_uid(given.device_uid, "/deviceUid")
    pins = Pins(services.sealer, scope)
    wish = wish_of(given)

    def act(tx: Transaction) -> tuple[bytes, bytes]:
        made = requests.create(tx, scope, device_uid, wish, pins, patience_of(request))
        body = _encode(_change(*made))
        return body, body

    answer = await change(request, scope, act, status=202)
    services.operations.notice(scope.tenant_id)
    return answer


async def update_access_code(request: Request) -> Response:
    """Have a managed code changed on its lock."""
    services = request.services
    scope = await services.scope(request.known, UPDATE, request.query(TenantQuery).tenant_uid)
    uid = parse_uid(request.parameters["id"], "path/id")
    patch = patch_of(request.json(AccessCodePatch))
    step = partial(
        requests.update, scope=scope, uid=uid, version=wanted_version(request), patch=patch,
        pins=Pins(services.sealer, scope), patience=patience_of(request),
    )  # fmt: skip
    code, operation = await services.write(step, [scope.tenant_id])
    services.operations.notice(scope.tenant_id)
    return json_response(200 if operation is None else 202, _change(code, operation), [etag(code.version)])


async def delete_access_code(request: Request) -> Response:
    """Have a code removed from its lock."""
    services = request.services
    scope = await services.scope(request.known, DELETE, request.query(TenantQuery).tenant_uid)
    uid = parse_uid(request.parameters["id"], "path/id")
    step = partial(
        requests.remove, scope=scope, uid=uid, version=wanted_version(request), patience=patience_of(request)
    )  # fmt: skip
    operation = await services.write(step, [scope.tenant_id])
    services.operations.notice(scope.tenant_id)
    return Response(204) if operation is None else json_response(202, operation_body_of(operation))


def patience_of(request: Request) -> int:
    """Return how many microseconds an operation may take until it counts as failed."""
    return request.services.settings.operation_deadline * MICROSECONDS


def _change(code: AccessCode, operation: Operation | None) -> AccessCodeChange:
    return AccessCodeChange(body_of(code), None if operation is None else operation_body_of(operation))


def wish_of(given: NewAccessCode) -> CodeWish:
    """Read a code by the rules of those that locks report.

    Raises:
        Invalid: with a fault for every broken rule.
    """
    code = _checked(
        GivenCode(code=given.code, name=given.name, starts_at=given.starts_at, ends_at=given.ends_at)
    )  # fmt: skip
    return CodeWish(
        name=code.name, pin=code.pin, starts_at=code.starts_at, ends_at=code.ends_at,
        external_modification_allowed=given.is_external_modification_allowed,
    )  # fmt: skip


def patch_of(given: AccessCodePatch) -> CodePatch:
    """Read what is to be changed of a code, by the same rules.

    Raises:
        Invalid: with a fault for every broken rule.
    """
    texts = {name: getattr(given, name) for name in ("code", "name", "starts_at", "ends_at")}
    code = _checked(GivenCode(**{name: text for name, text in texts.items() if text is not UNSET}))
    return CodePatch(
        name=UNSET if given.name is UNSET else code.name,
        pin=UNSET if code.pin is None else code.pin,
        starts_at=UNSET if given.starts_at is UNSET else code.starts_at,
        ends_at=UNSET if given.ends_at is UNSET else code.ends_at,
        external_modification_allowed=given.is_external_modification_allowed,
    )


def _checked(given: GivenCode) -> CodeParts:
    # An empty text is a mistake here; in a report it stands for a PIN that the lock does not show.
    faults: list[Fault] = []
    if given.code == "":
        faults.append(Fault("/code", "pin", "A PIN has 1 to 20 digits and nothing else."))
    parts = read_parts(given, "", faults)
    if parts is None or faults:
        raise Invalid("The access code breaks the rules.", tuple(faults))
    return parts
