"""`/v1/devices`: enrol by hand, list, change, deprovision, move and delete devices."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, UnsetType

from heliograph.devices import actions
from heliograph.devices.model import (
    MOST_TAGS,
    Condition,
    CustomMetadata,
    Device,
    DeviceFilter,
    GivenMetadata,
    Identity,
    Presence,
    Settings,
    State,
    fold_prefix,
    mac_prefix,
    read_identity,
)
from heliograph.errors import Invalid
from heliograph.http.fields import optional_uid, path_uid, read_tags, tags_as_sent
from heliograph.http.lists import (
    ListQuery,
    TenantQuery,
    UidText,
    etag,
    resume_after_uid,
    uid_list_response,
    wanted_version,
)
from heliograph.http.messages import Request, Response, json_response
from heliograph.http.services import change
from heliograph.http.tenants import Name
from heliograph.ids import Uid, as_hex, as_optional_hex, parse_uid
from heliograph.provisioning import actions as provisioning
from heliograph.provisioning import releasing
from heliograph.provisioning.recipes import Demands, missing_demands
from heliograph.storage.engine import Transaction
from heliograph.tenancy.access import require
from heliograph.tenancy.model import Scope
from heliograph.times import print_optional_time, print_time

CREATE, READ = "create device.tenant", "read device.tenant"
UPDATE, DELETE = "update device.tenant", "delete device.tenant"
DELETE_CODES = "delete access_code.tenant"

_encode = msgspec.json.Encoder().encode

TagUids = Annotated[list[UidText], msgspec.Meta(max_length=MOST_TAGS)]
Prefix = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]


class NewDevice(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """A device to enrol by hand. At least one of `serialNumber` and `macAddress` is needed."""

    brand: str
    model: str | None = None
    serial_number: str | None = None
    mac_address: str | None = None
    name: Name | None = None
    tag_uids: TagUids = []
    policy_uid: UidText | None = None
    location_uid: UidText | None = None
    connected_account_uid: UidText | None = None
    custom_metadata: GivenMetadata = {}


class DevicePatch(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """What to change; null removes a value, what is left out stays.

    Tags and custom metadata are replaced as a whole.
    """

    name: Name | UnsetType | None = UNSET
    tag_uids: TagUids | UnsetType = UNSET
    policy_uid: UidText | UnsetType | None = UNSET
    location_uid: UidText | UnsetType | None = UNSET
    connected_account_uid: UidText | UnsetType | None = UNSET
    custom_metadata: GivenMetadata | UnsetType = UNSET


class DeviceMove(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """Where a device is to go: another organization of the same company."""

    tenant_uid: UidText


class DevicesQuery(ListQuery, frozen=True, kw_only=True, rename="camel"):
    """Which devices to list: those that pass every filter. One named several times is passed by any of its values.

    `nestedTags` includes devices that have only a tag below one of those named, of which there may be 20 then.
    """

    tag_uid: tuple[UidText, ...] = ()
    nested_tags: bool = False
    location_uid: tuple[UidText, ...] = ()
    policy_uid: tuple[UidText, ...] = ()
    connected_account_uid: tuple[UidText, ...] = ()
    state: tuple[State, ...] = ()
    connected: bool | None = None
    brand: tuple[str, ...] = ()
    name_prefix: Prefix | None = None
    serial_number_prefix: Prefix | None = None
    mac_address_prefix: Prefix | None = None


class DeviceBody(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A device. `deviceIdentityHash` is its uid, by the name that it has in event bodies; `batteryLevel` is 0 to 1."""

    uid: str
    device_identity_hash: str
    organization_uid: str
    state: State
    brand: str
    model: str | None
    serial_number: str | None
    mac_address: str | None
    name: str | None
    tag_uids: list[str]
    policy_uid: str | None
    location_uid: str | None
    connected_account_uid: str | None
    custom_metadata: CustomMetadata
    connected: bool
    connected_at: str | None
    last_seen_at: str | None
    battery_level: float | None
    errors: tuple[Condition, ...]
    warnings: tuple[Condition, ...]
    recipe_uid: str | None
    enrolled_at: str | None
    created_at: str
    updated_at: str


class NewDeviceBody(DeviceBody, frozen=True, kw_only=True, rename="camel"):
    """A device just enrolled. `token` is shown this once; a repeat by Idempotency-Key has null in its place."""

    token: str | None


class DeviceList(msgspec.Struct, frozen=True, rename="camel"):
    """A page of devices."""

    data: list[DeviceBody]
    next_cursor: str | None


# -- rendering ------------------------------------------------------------------------------------------------------


def body_of(scope: Scope, device: Device) -> DeviceBody:
    """Render a device of the scope's organization."""
    return DeviceBody(**_fields(scope, device))


def new_body_of(scope: Scope, device: Device, token: str | None) -> NewDeviceBody:
    """Render a device that was just enrolled, with its token unless it may not be shown again."""
    return NewDeviceBody(**_fields(scope, device), token=token)


def _fields(scope: Scope, device: Device) -> dict[str, Any]:
    identity, settings = device.identity, device.settings
    return {
        "uid": as_hex(device.uid),
        "device_identity_hash": as_hex(device.uid),
        "organization_uid": scope.tenant_uid,
        "state": device.state,
        "brand": identity.brand,
        "model": identity.model,
        "serial_number": identity.serial_number,
        "mac_address": identity.mac_address,
        "name": settings.name,
        "tag_uids": [as_hex(uid) for uid in settings.tag_uids],
        "policy_uid": as_optional_hex(settings.policy_uid),
        "location_uid": as_optional_hex(settings.location_uid),
        "connected_account_uid": as_optional_hex(settings.connected_account_uid),
        "custom_metadata": settings.custom_metadata,
        "recipe_uid": as_optional_hex(device.recipe_uid),
        "enrolled_at": print_optional_time(device.enrolled_at),
        "created_at": print_time(device.created_at),
        "updated_at": print_time(device.updated_at),
        **_presence_fields(device.presence),
    }


def _presence_fields(presence: Presence | None) -> dict[str, Any]:
    if presence is None:
        presence = Presence(last_seen_at=0)
    return {
        "connected": presence.connection_uid is not None,
        "connected_at": print_optional_time(presence.connected_at),
        "last_seen_at": print_optional_time(presence.last_seen_at or None),
        "battery_level": None if presence.battery_level is None else presence.battery_level / 100,
        "errors": presence.errors,
        "warnings": presence.warnings,
    }


def _response(scope: Scope, device: Device) -> Response:
    return json_response(200, body_of(scope, device), [etag(device.version)])


# -- reading requests -----------------------------------------------------------------------------------------------


def _identity(new: NewDevice, demands: Demands) -> Identity:
    identity, faults = read_identity(new.brand, new.model, new.serial_number, new.mac_address)
    if identity is not None and not faults:
        faults = missing_demands(identity, demands)
    if faults or identity is None:
        raise Invalid("The device cannot be told from others by these fields.", tuple(faults))
    return identity


def _settings(new: NewDevice) -> Settings:
    return Settings(
        name=new.name,
        tag_uids=read_tags(new.tag_uids),
        policy_uid=optional_uid(new.policy_uid, "/policyUid"),
        location_uid=optional_uid(new.location_uid, "/locationUid"),
        connected_account_uid=optional_uid(new.connected_account_uid, "/connectedAccountUid"),
        custom_metadata=new.custom_metadata,
    )


def _patch(patch: DevicePatch) -> actions.SettingsPatch:
    return actions.SettingsPatch(
        name=patch.name,
        tag_uids=UNSET if patch.tag_uids is UNSET else read_tags(patch.tag_uids),
        policy_uid=optional_uid(patch.policy_uid, "/policyUid"),
        location_uid=optional_uid(patch.location_uid, "/locationUid"),
        connected_account_uid=optional_uid(patch.connected_account_uid, "/connectedAccountUid"),
        custom_metadata=patch.custom_metadata,
    )


def _filter(given: DevicesQuery) -> DeviceFilter:
    return DeviceFilter(
        tag_uids=tuple(parse_uid(text, "query/tagUid") for text in given.tag_uid),
        nested_tags=given.nested_tags,
        location_uids=tuple(parse_uid(text, "query/locationUid") for text in given.location_uid),
        policy_uids=tuple(parse_uid(text, "query/policyUid") for text in given.policy_uid),
        connected_account_uids=tuple(
            parse_uid(text, "query/connectedAccountUid") for text in given.connected_account_uid
        ),
        states=given.state,
        connected=given.connected,
        brands=given.brand,
        name_prefix=None if given.name_prefix is None else fold_prefix(given.name_prefix),
        serial_prefix=None if given.serial_number_prefix is None else fold_prefix(given.serial_number_prefix),
        mac_prefix=read_mac_prefix(given.mac_address_prefix),
    )


def read_mac_prefix(text: str | None) -> str | None:
    """Read the beginning of a MAC address, in any usual notation.

    Raises:
        Invalid: when no address begins so.
    """
    if text is None:
        return None
    prefix = mac_prefix(text)
    if prefix is None:
        words = "Expected the first of the 12 hexadecimal digits of a MAC address."
        raise Invalid.at("query/macAddressPrefix", "mac-address", words)
    return prefix


async def _scope(request: Request, permission: str) -> Scope:
    return await request.services.scope(request.known, permission, request.query(TenantQuery).tenant_uid)


# -- handlers -------------------------------------------------------------------------------------------------------


async def list_devices(request: Request) -> Response:
    """List the organization's devices in the order in which they were first seen."""
    given = request.query(DevicesQuery)
    scope = await request.services.scope(request.known, READ, given.tenant_uid)
    after, wanted = resume_after_uid(request, given), _filter(given)
    step = partial(actions.list_devices, scope=scope, wanted=wanted, after=after, limit=given.limit)
    return uid_list_response(request, given, await request.services.read(step), partial(body_of, scope))


async def create_device(request: Request) -> Response:
    """Enrol a device by hand and show its token, once."""
    scope = await _scope(request, CREATE)
    new = request.json(NewDevice)
    identity, settings = _identity(new, request.services.brand_demands), _settings(new)

    def act(tx: Transaction) -> tuple[bytes, bytes]:
        device, token = provisioning.enrol_by_hand(tx, scope, identity, settings)
        shown, kept = (new_body_of(scope, device, text) for text in (token.reveal(), None))
        return _encode(shown), _encode(kept)

    with tags_as_sent(new.tag_uids):
        return await change(request, scope, act)


async def show_device(request: Request) -> Response:
    """Return one device."""
    scope = await _scope(request, READ)
    return _response(scope, await request.services.read(partial(actions.get, scope=scope, uid=path_uid(request))))


async def update_device(request: Request) -> Response:
    """Change a device's name, tags, policy, location, connected account or custom metadata."""
    scope = await _scope(request, UPDATE)
    uid, version = path_uid(request), wanted_version(request)
    given = request.json(DevicePatch)
    patch = _patch(given)

    def act(tx: Transaction) -> Device:
        before, after = actions.get(tx, scope, uid).settings.connected_account_uid, patch.connected_account_uid
        # A lock without its account has no codes either: changing devices alone is not the right to remove them.
        if before is not None and after is not UNSET and after != before:
            require(tx, request.caller, DELETE_CODES, Uid(bytes.fromhex(scope.tenant_uid)))
        return releasing.update(tx, scope, uid, version, patch)

    with tags_as_sent(given.tag_uids):
        return _response(scope, await request.services.write(act, [scope.tenant_id]))


async def delete_device(request: Request) -> Response:
    """Remove a device; its events stay."""
    scope = await _scope(request, DELETE)
    step = partial(releasing.delete, scope=scope, uid=path_uid(request), version=wanted_version(request))
    await request.services.write(step, [scope.tenant_id])
    request.services.rights_changed()
    return Response(204)


async def deprovision_device(request: Request) -> Response:
    """Return a device to nobody."""
    scope = await _scope(request, UPDATE)
    step = partial(releasing.deprovision, scope=scope, uid=path_uid(request), version=wanted_version(request))
    device = await request.services.write(step, [scope.tenant_id])
    request.services.rights_changed()
    return _response(scope, device)


async def move_device(request: Request) -> Response:
    """Give a device to another organization of the company, and show its new token, once."""
    scope = await _scope(request, UPDATE)
    uid, version = path_uid(request), wanted_version(request)
    target = parse_uid(request.json(DeviceMove).tenant_uid, "/tenantUid").hex()
    to = await request.services.scope(request.known, CREATE, target)
    step = partial(releasing.move, scope=scope, to=to, uid=uid, version=version)
    device, token = await request.services.write(step, [scope.tenant_id, to.tenant_id])
    request.services.rights_changed()
    return json_response(200, new_body_of(to, device, token.reveal()), [etag(device.version)])
