"""`/devices/list` and `/devices/get`."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from heliograph.devices.model import CustomMetadata, Device, DeviceFilter
from heliograph.devices.surroundings import DeviceSurroundings, list_around
from heliograph.dialects.seam.answers import done, no_such
from heliograph.dialects.seam.conditions import ErrorBody, WarningBody, device_errors, is_online, warnings
from heliograph.dialects.seam.connected_accounts import MOST_ITEMS, Limit, MetadataHas, Search, metadata_wanted
from heliograph.dialects.seam.gathering import as_json, gather
from heliograph.dialects.seam.pages import Paged, uid_after, uid_page
from heliograph.dialects.seam.parameters import NOT_HERE, Id, Moment, Parameters, invalid_parameters, read_parameters
from heliograph.dialects.seam.routes import reading
from heliograph.dialects.seam.workspace import scope_of
from heliograph.errors import Fault
from heliograph.http.messages import Request, Response
from heliograph.ids import as_uuid
from heliograph.tenancy.model import Scope
from heliograph.times import print_milliseconds

T = TypeVar("T")

READ = "read device.tenant"

MOST_IDS = 1_000
CRITICAL, FULL = 10, 95
"""Percent of charge up to which a battery is critical, and from which on it is full."""

Ids = Annotated[tuple[Id, ...], msgspec.Meta(max_length=MOST_IDS)]
Words = Annotated[tuple[str, ...], msgspec.Meta(max_length=MOST_IDS)]


class DevicesQuery(Paged, frozen=True, kw_only=True):
    """Which devices to list: those that pass every filter; none passes an array that is empty."""

    unavailable = NOT_HERE | {"exclude_if", "include_if"}

    device_ids: Ids | None = None
    connected_account_id: Id | None = None
    connected_account_ids: Ids | None = None
    device_type: str | None = None
    device_types: Words | None = None
    manufacturer: str | None = None
    created_before: Moment | None = None
    custom_metadata_has: MetadataHas = msgspec.field(default_factory=dict)
    search: Search | None = None
    limit: Limit = MOST_ITEMS


class DeviceQuery(Parameters, frozen=True, kw_only=True):
    """Which device to show: by its id or by its name, the oldest when several have it."""

    device_id: Id | None = None
    name: str | None = None


class Named(msgspec.Struct, frozen=True):
    """The name that a device itself has."""

    name: str


class Battery(msgspec.Struct, frozen=True):
    """The charge, 0 to 1, and what that means."""

    level: float
    status: Literal["critical", "low", "good", "full"]


class Model(msgspec.Struct, frozen=True):
    """What the maker calls it."""

    display_name: str
    manufacturer_display_name: str


class Properties(msgspec.Struct, frozen=True, kw_only=True):
    """What a device is and said of itself last."""

    name: str
    online: bool
    manufacturer: str
    model: Model
    appearance: Named
    serial_number: str | UnsetType = UNSET
    battery_level: float | UnsetType = UNSET
    battery: Battery | UnsetType = UNSET
    online_access_codes_enabled: bool
    supports_offline_access_codes: Literal[False] = False


class Place(msgspec.Struct, frozen=True):
    """Where a device is."""

    location_name: str


class DeviceBody(msgspec.Struct, frozen=True, kw_only=True):
    """A device as Seam shows it."""

    device_id: str
    workspace_id: str
    connected_account_id: str | None
    device_type: str
    display_name: str
    nickname: str | None
    capabilities_supported: tuple[str, ...]
    can_program_online_access_codes: bool
    can_program_offline_access_codes: Literal[False] = False
    can_remotely_lock: Literal[False] = False
    can_remotely_unlock: Literal[False] = False
    properties: Properties
    location: Place | None
    space_ids: tuple[str, ...] = ()
    custom_metadata: CustomMetadata
    errors: tuple[ErrorBody, ...]
    warnings: tuple[WarningBody, ...]
    created_at: str
    is_managed: Literal[True] = True


def body_of(scope: Scope, device: Device, beside: DeviceSurroundings, low_battery: int) -> DeviceBody:
    """Render a device; `low_battery` is the percentage down to which a battery is low."""
    account_uid, place = device.settings.connected_account_uid, beside.location_of(device)
    return DeviceBody(
        device_id=as_uuid(device.uid),
        workspace_id=as_uuid(bytes.fromhex(scope.tenant_uid)),
        connected_account_id=None if account_uid is None else as_uuid(account_uid),
        device_type=device.type_name,
        display_name=device.display_name,
        nickname=device.settings.name,
        capabilities_supported=() if account_uid is None else ("access_code",),
        can_program_online_access_codes=account_uid is not None,
        properties=_properties(device, low_battery),
        location=None if place is None else Place(place),
        custom_metadata=device.settings.custom_metadata,
        errors=device_errors(device, beside.account_of(device)),
        warnings=() if device.presence is None else warnings(device.presence.warnings),
        created_at=print_milliseconds(device.created_at),
    )


def _properties(device: Device, low_battery: int) -> Properties:
    identity = device.identity
    own_name = device.own_name
    percent = None if device.presence is None else device.presence.battery_level
    return Properties(
        name=own_name,
        online=is_online(device),
        manufacturer=identity.maker,
        model=Model(display_name=identity.model or identity.brand, manufacturer_display_name=own_name),
        appearance=Named(own_name),
        serial_number=UNSET if identity.serial_number is None else identity.serial_number,
        battery_level=UNSET if percent is None else percent / 100,
        battery=UNSET if percent is None else _battery(percent, low_battery),
        online_access_codes_enabled=device.settings.connected_account_uid is not None,
    )


def _battery(percent: int, low: int) -> Battery:
    if percent <= min(CRITICAL, low):
        return Battery(percent / 100, "critical")
    if percent <= low:
        return Battery(percent / 100, "low")
    return Battery(percent / 100, "full" if percent >= FULL else "good")


# -- handlers -------------------------------------------------------------------------------------------------------


def _filter(given: DevicesQuery) -> DeviceFilter | None:
    """Return what is asked for, or None when an empty list of values lets nothing pass."""
    accounts = _both(given.connected_account_id, given.connected_account_ids)
    types = _both(given.device_type, given.device_types)
    if () in (given.device_ids, accounts, types):
        return None
    return DeviceFilter(
        uids=given.device_ids or (),
        connected_account_uids=accounts or (),
        type_names=types or (),
        makers=() if given.manufacturer is None else (given.manufacturer,),
        created_before=given.created_before,
        metadata_has=metadata_wanted(given.custom_metadata_has),
        search=given.search,
        states=("enrolled",),
    )


def _both(one: T | None, several: tuple[T, ...] | None) -> tuple[T, ...] | None:
    """Return the values that fit a parameter in the singular and in the plural, or None when neither is given."""
    if one is None:
        return several
    return (one,) if several is None or one in several else ()


async def list_devices(request: Request) -> Response:
    """List the devices of the workspace."""
    scope = await scope_of(request, READ)
    given = read_parameters(request, DevicesQuery)
    after, wanted = uid_after(request, scope, given), _filter(given)
    if wanted is None:
        return uid_page(request, scope, given, "devices", [], None)
    items, last = await _gather(request, scope, wanted, after, given.limit)
    return uid_page(request, scope, given, "devices", items, last)


async def _gather(
    request: Request, scope: Scope, wanted: DeviceFilter, after: bytes, limit: int
) -> tuple[list[msgspec.Raw], bytes | None]:
    low_battery = request.services.settings.low_battery

    def render(found: tuple[list[Device], DeviceSurroundings]) -> list[msgspec.Raw]:
        devices, beside = found
        return [as_json(body_of(scope, device, beside, low_battery)) for device in devices]

    return await gather(request.services, partial(list_around, scope=scope, wanted=wanted), render, after, limit)


async def get_device(request: Request) -> Response:
    """Return one device."""
    scope = await scope_of(request, READ)
    given = read_parameters(request, DeviceQuery)
    if given.device_id is None and given.name is None:
        words = "Specify device_id or name."
        raise invalid_parameters([Fault("/device_id", "required", words)])
    wanted = DeviceFilter(
        uids=() if given.device_id is None else (given.device_id,),
        names=() if given.name is None else (given.name,),
        states=("enrolled",),
    )
    found, _ = await _gather(request, scope, wanted, b"", 1)
    if not found:
        raise no_such("device")
    return done(device=found[0])


DEVICES = (
    *reading("/devices/list", list_devices, READ, DevicesQuery, "List devices"),
    *reading("/devices/get", get_device, READ, DeviceQuery, "Get a device"),
)
"""The routes of devices."""
