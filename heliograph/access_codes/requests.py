"""What callers ask for: take a code over, create, change or remove one. What needs the lock becomes an operation.

One operation about a code is under way at a time; the same request again returns it.
"""

from __future__ import annotations

import secrets

import msgspec
from msgspec import UNSET

from heliograph import publish
from heliograph.access_codes import managed_events, store
from heliograph.access_codes.actions import footing_of, get, raise_version
from heliograph.access_codes.applying import occurrences, remove_codes
from heliograph.access_codes.causes import checks_before
from heliograph.access_codes.changes import (
    CodePatch,
    CodeWish,
    DuplicatePin,
    OperationKind,
    Request,
    read_request,
    target_of,
)
from heliograph.access_codes.completing import fail
from heliograph.access_codes.model import AccessCode, Footing, Status
from heliograph.access_codes.pins import Pins
from heliograph.access_codes.settling import Fact, deleted
from heliograph.connected_accounts import actions as connected_accounts
from heliograph.devices import actions as devices
from heliograph.errors import Conflict, require_version
from heliograph.ids import Secret, new_uid
from heliograph.operations import actions as operations
from heliograph.operations.model import Operation
from heliograph.storage.engine import Transaction
from heliograph.tenancy.model import Scope

CHOSEN_DIGITS = 6
TRIES = 20
_SWITCH = "is_external_modification_allowed"


def convert(
    tx: Transaction, scope: Scope, uid: bytes, *, force: bool, external_modification_allowed: bool, patience: int
) -> Operation:
    """Ask the lock's connector to take an unmanaged code over; with `force` also from somebody else who manages it.

    What is known without the lock to be in the way makes it fail at once: then the operation has failed already.
    `patience` is how many microseconds it may take.

    Raises:
        NotFound: when the organization has no such code.
        Conflict: when the code is managed, or something else is to be done about it first.
    """
    code = get(tx, scope, uid)
    if code.managed:
        raise Conflict("The access code is managed already.")
    request = Request(
        code=target_of(code), force=force, external_modification_allowed=external_modification_allowed
    )  # fmt: skip
    pending = _pending(tx, scope, code, "convert_access_code", request)
    if pending is not None:
        return pending
    footing = footing_of(tx, scope, code.device_uid)
    operation = _begin(tx, scope, "convert_access_code", footing, code.uid, request, patience)
    device, account = devices.get(tx, scope, code.device_uid), connected_accounts.find(tx, scope, footing.account_uid)
    same = [] if code.pin_index is None else store.codes_with_pin(tx, scope, code.device_uid, code.pin_index)
    causes = checks_before(code, device, account, same)
    return fail(tx, scope, operation, causes, at=None) if causes else operation


def create(
    tx: Transaction, scope: Scope, device_uid: bytes, wish: CodeWish, pins: Pins, patience: int
) -> tuple[AccessCode, Operation]:
    """Create a managed code, and ask the lock's connector to set it.

    Raises:
        NotFound: when the organization has no such device.
        Conflict: when the device is not enrolled.
        DuplicatePin: when the lock holds a code with these digits.
        Unprocessable: when the device belongs to no connected account.
    """
    footing = footing_of(tx, scope, device_uid, "/deviceUid")
    uid = new_uid()
    pin = wish.pin or _free_pin(tx, scope, device_uid, pins)
    pin_index = pins.index(device_uid, pin.reveal())
    _require_free_pin(tx, scope, device_uid, pin_index)
    bounded = wish.starts_at is not None or wish.ends_at is not None
    code = AccessCode(
        uid=uid, device_uid=device_uid, managed=True, status="setting", type="time_bound" if bounded else "ongoing",
        name=wish.name, sealed_pin=pins.seal(uid, pin), pin_index=pin_index, starts_at=wish.starts_at,
        ends_at=wish.ends_at,
        external_modification_allowed=wish.external_modification_allowed, created_at=tx.now, updated_at=tx.now,
    )  # fmt: skip
    store.insert_codes(tx, scope, [code])
    raise_version(tx, scope, device_uid)
    _tell(tx, scope, footing, code, Fact(managed_events.ACCESS_CODE_CREATED))
    request = Request(code=target_of(code), external_modification_allowed=code.external_modification_allowed)
    return code, _begin(tx, scope, "set_access_code", footing, uid, request, patience)


def update(
    tx: Transaction, scope: Scope, uid: bytes, version: int | None, patch: CodePatch, pins: Pins, patience: int
) -> tuple[AccessCode, Operation | None]:
    """Ask the lock's connector to change a managed code, or to set it again when the lock does not hold it.

    There is no operation when the lock need not know.

    Raises:
        NotFound, PreconditionFailed: as for every change of a resource.
        Conflict: when the code is not managed, or something else is to be done about it first.
        DuplicatePin: when the lock holds another code with the new digits.
        Invalid: when its time would end before it begins.
    """
    code = get(tx, scope, uid)
    if not code.managed:
        raise Conflict("The access code is not managed; convert it first.")
    target = patch.onto(code, pins)
    allowed = code.external_modification_allowed
    if patch.external_modification_allowed is not UNSET:
        allowed = patch.external_modification_allowed
    kind: OperationKind = "set_access_code" if code.status == "unset" else "update_access_code"
    request = Request(code=target, external_modification_allowed=allowed, unsure=code.status == "unknown")
    pending = operations.pending_about(tx, scope, [uid]).get(uid)
    if pending is not None:
        # By now a code that is being set is known as one that the lock holds.
        return code, _same(pending, "set_access_code" if pending.kind == "set_access_code" else kind, request)
    require_version(version, code.version)
    footing = footing_of(tx, scope, code.device_uid)
    needs_lock = target != target_of(code) or code.is_missed
    if not needs_lock and allowed == code.external_modification_allowed:
        return code, None
    if target.pin_index is not None and target.pin_index != code.pin_index:
        _require_free_pin(tx, scope, code.device_uid, target.pin_index)
    status: Status = "setting" if needs_lock else code.status
    after = _save(tx, scope, msgspec.structs.replace(code, external_modification_allowed=allowed, status=status))
    if allowed != code.external_modification_allowed:
        _tell(tx, scope, footing, code, _switched(allowed))
    return after, _begin(tx, scope, kind, footing, uid, request, patience) if needs_lock else None


def remove(tx: Transaction, scope: Scope, uid: bytes, version: int | None, patience: int) -> Operation | None:
    """Ask the lock's connector to remove a code; None when the lock did not hold it, so that it is gone at once.

    Raises:
        NotFound, PreconditionFailed: as for every change of a resource.
        Conflict: when the lock lets nobody remove the code, or something else is to be done about it first.
    """
    code = get(tx, scope, uid)
    request = Request(code=target_of(code), unsure=code.status == "unknown")
    pending = _pending(tx, scope, code, "remove_access_code", request)
    if pending is not None:
        return pending
    require_version(version, code.version)
    if code.cannot_delete and not code.managed:
        raise Conflict("The lock does not let this code be removed by anybody but itself.")
    footing = footing_of(tx, scope, code.device_uid)
    if code.status == "unset":
        remove_codes(tx, scope, [uid])
        raise_version(tx, scope, code.device_uid)
        _tell(tx, scope, footing, code, deleted())
        return None
    if code.managed:
        _save(tx, scope, msgspec.structs.replace(code, status="removing"))
    return _begin(tx, scope, "remove_access_code", footing, uid, request, patience)


def list_operations(
    tx: Transaction, scope: Scope, uid: bytes, before: bytes, limit: int
) -> tuple[list[Operation], bytes | None]:
    """Return a page of the operations about a code, the newest first, and the uid to go on after.

    `before` is empty for the first page.

    Raises:
        NotFound: when the organization has no such code, and nothing is known of one that it had.
    """
    found = operations.list_about(tx, scope, uid, before, limit)
    if not found[0] and not before:
        get(tx, scope, uid)
    return found


# -- parts ----------------------------------------------------------------------------------------------------------


def _pending(
    tx: Transaction, scope: Scope, code: AccessCode, kind: OperationKind, request: Request
) -> Operation | None:
    pending = operations.pending_about(tx, scope, [code.uid]).get(code.uid)
    return None if pending is None else _same(pending, kind, request)


def _same(pending: Operation, kind: str, request: Request) -> Operation:
    """Return the operation under way when it is the one that is asked for again.

    Raises:
        Conflict: when it is another one.
    """
    if pending.kind != kind or not read_request(pending.request).is_same(request, kind):
        raise Conflict("Another change of the access code is under way; wait until it has ended.")
    return pending


def _begin(
    tx: Transaction, scope: Scope, kind: OperationKind, footing: Footing, uid: bytes, request: Request, patience: int
) -> Operation:
    return operations.begin(
        tx, scope, kind, device_uid=footing.device_uid, account_uid=footing.account_uid, subject_uid=uid,
        request=request.to_keep(), patience=patience,
    )  # fmt: skip


def _save(tx: Transaction, scope: Scope, code: AccessCode) -> AccessCode:
    changed = msgspec.structs.replace(code, updated_at=tx.now, version=code.version + 1)
    store.update_code(tx, scope, changed)
    raise_version(tx, scope, code.device_uid)
    return changed


def _tell(tx: Transaction, scope: Scope, footing: Footing, code: AccessCode, *facts: Fact) -> None:
    publish.record_all(tx, scope, occurrences(scope, facts, code.uid, footing, None))


def _switched(allowed: bool) -> Fact:
    after = str(allowed).lower()
    before = str(not allowed).lower()
    change = managed_events.ChangedProperty(property=_SWITCH, from_=before, to=after)
    return Fact(managed_events.ACCESS_CODE_CHANGED, {"changed_properties": (change,)})


def _require_free_pin(tx: Transaction, scope: Scope, device_uid: bytes, pin_index: bytes) -> None:
    if store.codes_with_pin(tx, scope, device_uid, pin_index):
        raise DuplicatePin("The lock holds another access code with these digits.")


def _free_pin(tx: Transaction, scope: Scope, device_uid: bytes, pins: Pins) -> Secret:
    """Choose digits that no other code of the lock has."""
    for _ in range(TRIES):
        pin = Secret(f"{secrets.randbelow(10**CHOSEN_DIGITS):0{CHOSEN_DIGITS}}")
        if not store.codes_with_pin(tx, scope, device_uid, pins.index(device_uid, pin.reveal())):
            return pin
    raise Conflict("The lock holds so many codes that no free digits were found; choose them yourself.")
