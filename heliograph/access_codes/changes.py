"""What callers want of access codes, and what connectors are asked to do for it; pure."""

from __future__ import annotations

from typing import Any, Literal, Protocol

import msgspec
from msgspec import UNSET, UnsetType

from heliograph.access_codes.managed_events import ChangedProperty
from heliograph.access_codes.model import AccessCode, CodeType
from heliograph.errors import Conflict, Invalid
from heliograph.ids import Secret
from heliograph.times import print_milliseconds

OperationKind = Literal["convert_access_code", "set_access_code", "update_access_code", "remove_access_code"]
"""`set` brings a code to a lock that does not hold it, `update` changes one that it holds."""


class DuplicatePin(Conflict):
    """The lock holds another code with the same digits."""


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """A code as a lock should hold it, or holds it when it is to be converted or removed; times in microseconds UTC."""

    external_id: str | None = None
    name: str | None = None
    type: CodeType = "ongoing"
    starts_at: int | None = None
    ends_at: int | None = None
    sealed_pin: bytes | None = None
    pin_index: bytes | None = None


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What an operation asks for; `force` takes a code over that somebody else manages.

    `unsure` when it was not known before either whether the lock holds the code.
    """

    code: Target
    force: bool = False
    external_modification_allowed: bool = False
    unsure: bool = False

    def to_keep(self) -> dict[str, Any]:
        """Return it as the operation keeps it."""
        kept: dict[str, Any] = msgspec.to_builtins(self)
        return kept

    def without_pin(self) -> Request:
        """Return what is kept when the operation has ended: nobody needs the PIN any more."""
        return msgspec.structs.replace(self, code=msgspec.structs.replace(self.code, sealed_pin=None, pin_index=None))

    def is_same(self, other: Request, kind: str) -> bool:
        """Tell whether two requests ask for the same, made by people who cannot see what a lock said in between."""
        return self._question(kind) == other._question(kind)

    def _question(self, kind: str) -> Request:
        # Digits sealed twice are the same digits, and an id is for the lock to give.
        code = msgspec.structs.replace(self.code, external_id=None, sealed_pin=None)
        if kind in ("convert_access_code", "remove_access_code"):
            # The caller names the code alone; how the lock shows it may have changed since.
            code = Target()
        return msgspec.structs.replace(self, code=code, unsure=False)


def read_request(kept: dict[str, Any]) -> Request:
    """Return what an operation asks for."""
    return msgspec.convert(kept, Request)


def needs_pin(kind: str, request: Request) -> bool:
    """Tell whether a connector cannot do its work without the PIN: to program it, or as the code's only name."""
    return kind in ("set_access_code", "update_access_code") or request.code.external_id is None


class PinKeeper(Protocol):
    """Seals PINs, and tells which are the same."""

    def index(self, device_uid: bytes, pin: str) -> bytes:
        """Return what is the same for the same digits on the same lock."""

    def seal(self, code_uid: bytes, pin: Secret | None) -> bytes | None:
        """Return a code's PIN as it is kept."""


class CodeWish(msgspec.Struct, frozen=True, kw_only=True):
    """A managed code to be; without a PIN one is chosen. Times in microseconds UTC."""

    name: str | None = None
    pin: Secret | None = None
    starts_at: int | None = None
    ends_at: int | None = None
    external_modification_allowed: bool = False


class CodePatch(msgspec.Struct, frozen=True, kw_only=True):
    """What to change of a managed code; None removes, what is UNSET stays. Times in microseconds UTC."""

    name: str | UnsetType | None = UNSET
    pin: Secret | UnsetType = UNSET
    starts_at: int | UnsetType | None = UNSET
    ends_at: int | UnsetType | None = UNSET
    external_modification_allowed: bool | UnsetType = UNSET

    def onto(self, code: AccessCode, pins: PinKeeper) -> Target:
        """Return the code as the lock should hold it.

        Raises:
            Invalid: when its time would end before it begins.
        """
        now = target_of(code)
        fields = ("name", "starts_at", "ends_at")
        given = {name: getattr(self, name) for name in fields if getattr(self, name) is not UNSET}
        if self.pin is not UNSET:
            index = pins.index(code.device_uid, self.pin.reveal())
            # The same digits sealed anew would be a change where there is none.
            if index != code.pin_index:
                given |= {"pin_index": index, "sealed_pin": pins.seal(code.uid, self.pin)}
        wanted = msgspec.structs.replace(now, **given)
        if wanted.starts_at is not None and wanted.ends_at is not None and wanted.starts_at >= wanted.ends_at:
            raise Invalid.at("/endsAt", "time-order", "The end must be later than the start.")
        bounded = wanted.starts_at is not None or wanted.ends_at is not None
        return msgspec.structs.replace(wanted, type="time_bound" if bounded else "ongoing")


def target_of(code: AccessCode) -> Target:
    """Return a code as it is known."""
    return Target(
        external_id=code.external_id, name=code.name, type=code.type, starts_at=code.starts_at, ends_at=code.ends_at,
        sealed_pin=code.sealed_pin, pin_index=code.pin_index,
    )  # fmt: skip


def with_target(code: AccessCode, target: Target, **more: Any) -> AccessCode:
    """Return the code as it is when the lock holds what was asked for; an id that it has got since stays."""
    return msgspec.structs.replace(
        code, name=target.name, type=target.type, starts_at=target.starts_at, ends_at=target.ends_at,
        sealed_pin=target.sealed_pin, pin_index=target.pin_index, **more,
    )  # fmt: skip


def changed_properties(before: Target, after: Target) -> tuple[ChangedProperty, ...]:
    """Name what is different, with its values but for the PIN's."""
    found: list[ChangedProperty] = []
    if before.name != after.name:
        found.append(ChangedProperty(property="name", from_=before.name, to=after.name))
    if before.pin_index != after.pin_index:
        found.append(ChangedProperty(property="code", from_=None, to=None))
    if before.type != after.type:
        found.append(ChangedProperty(property="type", from_=before.type, to=after.type))
    for name in ("starts_at", "ends_at"):
        old, new = shown_time(getattr(before, name)), shown_time(getattr(after, name))
        if getattr(before, name) != getattr(after, name):
            found.append(ChangedProperty(property=name, from_=old, to=new))
    return tuple(found)


def shown_time(at: int | None) -> str | None:
    """Return a time as the events about access codes show it."""
    return None if at is None else print_milliseconds(at)
