"""`/v1/devices/register`: a device says who it is and becomes what its recipe says."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import msgspec

from heliograph.devices.model import Settings, read_identity
from heliograph.errors import Invalid, Unavailable
from heliograph.http.lists import TenantQuery
from heliograph.http.messages import Request, Response, json_response
from heliograph.ids import Secret, as_hex, as_optional_hex, parse_uid
from heliograph.provisioning.claims import hash_code
from heliograph.provisioning.recipes import Reason, Result
from heliograph.provisioning.registration import OutOfDate, Registration, Wish, register, survey
from heliograph.strict_json import END_OF_TEXT

TRIES = 5
"""How often a registration is begun again because others changed the recipes or devices that it is about."""

# Any code that could be meant is compared; one that is no code at all is refused before it costs anything.
PresentedCode = Annotated[str, msgspec.Meta(max_length=200, pattern=r"^[^\x00-\x1f\x7f-\x9f]*" + END_OF_TEXT)]


class NewRegistration(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """What a device presents: who it is, and the claim code or its present token if it wants a new token."""

    brand: str
    model: str | None = None
    serial_number: str | None = None
    mac_address: str | None = None
    claim_code: PresentedCode | None = None
    device_token: PresentedCode | None = None


class DeviceSettings(msgspec.Struct, frozen=True, rename="camel"):
    """What the device was given."""

    name: str | None
    tag_uids: list[str]
    policy_uid: str | None
    location_uid: str | None


class RegistrationBody(msgspec.Struct, frozen=True, rename="camel"):
    """What became of the registration.

    `applied`: the device is enrolled; `pending`: try again later; `noRecipe`: nobody waits for it; `refused`: trying
    again will not help. `token` is the device's own, there only when it is new.
    """

    result: Result
    reason: Reason | None
    device_identity_hash: str | None
    organization_uid: str | None
    settings: DeviceSettings | None
    token: str | None


async def register_device(request: Request) -> Response:
    """Register a device, in whatever tenant within the key's reach has a recipe for it."""
    text = request.query(TenantQuery).tenant_uid
    tenant_uid = None if text is None else parse_uid(text, "query/tenantUid")
    wish = _wish(request.json(NewRegistration))
    services = request.services
    for _ in range(TRIES):
        found = await services.read(
            partial(
                survey, caller=request.caller, wish=wish, tenant_uid=tenant_uid,
                hash_code=partial(hash_code, services.sealer),
            )
        )  # fmt: skip
        step = partial(register, caller=request.caller, wish=wish, tenant_uid=tenant_uid, found=found)
        outcome = await services.write(step, found.tenants)
        if not isinstance(outcome, OutOfDate):
            # A token in place of another one ends that one.
            if outcome.token is not None and not outcome.fresh:
                services.rights_changed()
            return json_response(201 if outcome.fresh else 200, _body_of(outcome))
    raise Unavailable("Too much changes around this device; try again.")


def _wish(given: NewRegistration) -> Wish:
    identity, faults = read_identity(given.brand, given.model, given.serial_number, given.mac_address)
    if identity is not None and identity.identifiers:
        # A device cannot help that nobody gave it a serial number: "0" with a MAC address is that address alone.
        faults = [fault for fault in faults if fault.rule != "placeholder"]
    if identity is None or faults:
        raise Invalid("The device cannot be told from others by these fields.", tuple(faults))
    return Wish(identity=identity, claim_code=_secret(given.claim_code), device_token=_secret(given.device_token))


def _secret(text: str | None) -> Secret | None:
    """Return what was presented; an empty text is nothing, so that it never equals anything."""
    return Secret(text) if text and text.strip() else None


def _body_of(outcome: Registration) -> RegistrationBody:
    return RegistrationBody(
        result=outcome.result,
        reason=outcome.reason,
        device_identity_hash=as_hex(outcome.device.uid) if outcome.device else None,
        organization_uid=outcome.organization_uid,
        settings=_settings_of(outcome.device.settings) if outcome.device else None,
        token=outcome.token.reveal() if outcome.token else None,
    )


def _settings_of(settings: Settings) -> DeviceSettings:
    return DeviceSettings(
        name=settings.name,
        tag_uids=[as_hex(uid) for uid in settings.tag_uids],
        policy_uid=as_optional_hex(settings.policy_uid),
        location_uid=as_optional_hex(settings.location_uid),
    )
