"""`/v1/provisioning-recipes`: devices registered in advance."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import msgspec
from msgspec import UNSET, UnsetType

from heliograph.devices.model import CustomMetadata, GivenMetadata, Settings, fold, fold_prefix, read_identity
from heliograph.errors import Invalid
from heliograph.http.devices import Prefix, TagUids, read_mac_prefix
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
from heliograph.ids import as_hex, as_optional_hex, new_uid, parse_uid
from heliograph.provisioning import actions
from heliograph.provisioning.claims import CODE_PATTERN, LONGEST_CODE, hash_code, new_code
from heliograph.provisioning.events import Status, UnsuccessfulRegisterAttempt
from heliograph.provisioning.model import Attempt, Draft, RecipeFilter, RecipePatch
from heliograph.provisioning.recipes import EXPLANATIONS, RESULT_OF, OnRepeat, Reason, Recipe, Result, missing_demands
from heliograph.storage.engine import Transaction
from heliograph.strict_json import END_OF_TEXT
from heliograph.tenancy.model import Scope
from heliograph.times import parse_time, print_time

READ, CREATE = "read recipe.tenant", "create recipe.tenant"
UPDATE, DELETE = "update recipe.tenant", "delete recipe.tenant"
CONFIRM = "confirm recipe.tenant"

_encode = msgspec.json.Encoder().encode

ClaimCode = Annotated[str, msgspec.Meta(max_length=LONGEST_CODE, pattern="^" + CODE_PATTERN + END_OF_TEXT)]


class NewRecipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """A device to register in advance: the brand, a serial number or MAC address or both, and what it will be given.

    `claimCode` is what the device must present; it is kept as a hash only.
    """

    brand: str
    model: str | None = None
    serial_number: str | None = None
    mac_address: str | None = None
    device_name: Name | None = None
    tag_uids: TagUids = []
    policy_uid: UidText | None = None
    location_uid: UidText | None = None
    custom_metadata: GivenMetadata = {}
    confirmed_ownership: bool = False
    on_repeat: OnRepeat = "keep"
    claim_code: ClaimCode | None = None
    claim_code_expires_at: str | None = None


class RecipeChanges(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """What to change; null takes a value away, what is left out stays."""

    brand: str | UnsetType = UNSET
    model: str | UnsetType | None = UNSET
    serial_number: str | UnsetType | None = UNSET
    mac_address: str | UnsetType | None = UNSET
    device_name: Name | UnsetType | None = UNSET
    tag_uids: TagUids | UnsetType = UNSET
    policy_uid: UidText | UnsetType | None = UNSET
    location_uid: UidText | UnsetType | None = UNSET
    custom_metadata: GivenMetadata | UnsetType = UNSET
    confirmed_ownership: bool | UnsetType = UNSET
    on_repeat: OnRepeat | UnsetType = UNSET


class RecipeBody(msgspec.Struct, frozen=True, rename="camel"):
    """A recipe. `deviceIdentityHash` is the device that it met; `claimCodeSet` tells of a code not yet used."""

    uid: str
    organization_uid: str
    status: Status
    brand: str
    model: str | None
    serial_number: str | None
    mac_address: str | None
    device_name: str | None
    tag_uids: list[str]
    policy_uid: str | None
    location_uid: str | None
    custom_metadata: CustomMetadata
    confirmed_ownership: bool
    on_repeat: OnRepeat
    unsuccessful_register_attempt_status: UnsuccessfulRegisterAttempt | None
    error_message: str | None
    device_identity_hash: str | None
    claim_code_set: bool
    claim_code_expires_at: str | None
    created_at: str
    updated_at: str


class RecipeList(msgspec.Struct, frozen=True, rename="camel"):
    """A page of recipes."""

    data: list[RecipeBody]
    next_cursor: str | None


class RecipesQuery(ListQuery, frozen=True, kw_only=True, rename="camel"):
    """Filters of the list; several of one name mean any of them, several names mean all of them."""

    status: tuple[Status, ...] = ()
    brand: tuple[str, ...] = ()
    location_uid: tuple[UidText, ...] = ()
    policy_uid: tuple[UidText, ...] = ()
    tag_uid: tuple[UidText, ...] = ()
    serial_number_prefix: Prefix | None = None
    mac_address_prefix: Prefix | None = None
    name_prefix: Prefix | None = None


class ClaimCodeWish(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """When the new claim code ends to work; without it, never."""

    expires_at: str | None = None


class ClaimCodeBody(msgspec.Struct, frozen=True, rename="camel"):
    """A new claim code: in this answer and never again."""

    claim_code: str
    expires_at: str | None


class AttemptsQuery(ListQuery, frozen=True, kw_only=True, rename="camel"):
    """Which attempts in vain to list, by their reason."""

    reason: tuple[Reason, ...] = ()


class AttemptBody(msgspec.Struct, frozen=True, rename="camel"):
    """Attempts of a device that did not succeed, alike and from one caller: how many and when first and last.

    `keyUid` is the key that was used, when it is one of the tenant's own.
    """

    uid: str
    recipe_uid: str | None
    result: Result
    reason: Reason
    message: str
    brand: str
    model: str | None
    serial_number: str | None
    mac_address: str | None
    key_uid: str | None
    first_at: str
    last_at: str
    tries: int


class AttemptList(msgspec.Struct, frozen=True, rename="camel"):
    """A page of attempts, in the order in which they were first made."""

    data: list[AttemptBody]
    next_cursor: str | None


def body_of(scope: Scope, recipe: Recipe) -> RecipeBody:
    """Render a recipe."""
    identity, settings = recipe.identity, recipe.settings
    warning = recipe.warning_message
    return RecipeBody(
        uid=as_hex(recipe.uid), organization_uid=scope.tenant_uid, status=recipe.status, brand=identity.brand,
        model=identity.model, serial_number=identity.serial_number, mac_address=identity.mac_address,
        device_name=settings.name, tag_uids=[as_hex(uid) for uid in settings.tag_uids],
        policy_uid=as_optional_hex(settings.policy_uid),
        location_uid=as_optional_hex(settings.location_uid), custom_metadata=settings.custom_metadata,
        confirmed_ownership=recipe.confirmed_ownership, on_repeat=recipe.on_repeat,
        unsuccessful_register_attempt_status=UnsuccessfulRegisterAttempt(warning_message=warning) if warning else None,
        error_message=recipe.error_message, device_identity_hash=as_optional_hex(recipe.device_uid),
        claim_code_set=recipe.claim_hash is not None and recipe.claim_used_at is None,
        claim_code_expires_at=None if recipe.claim_expires_at is None else print_time(recipe.claim_expires_at),
        created_at=print_time(recipe.created_at), updated_at=print_time(recipe.updated_at),
    )  # fmt: skip


async def _scope(request: Request, permission: str, tenant_uid: str | None = None) -> Scope:
    return await request.services.scope(request.known, permission, tenant_uid)


def _settings(new: NewRecipe) -> Settings:
    return Settings(
        name=new.device_name,
        tag_uids=read_tags(new.tag_uids),
        policy_uid=optional_uid(new.policy_uid, "/policyUid"),
        location_uid=optional_uid(new.location_uid, "/locationUid"),
        custom_metadata=new.custom_metadata,
    )


async def create_recipe(request: Request) -> Response:
    """Register a device in advance."""
    tenant_uid = request.query(TenantQuery).tenant_uid
    scope = await _scope(request, CREATE, tenant_uid)
    new = request.json(NewRecipe)
    if new.confirmed_ownership:
        await _scope(request, CONFIRM, tenant_uid)
    identity, faults = read_identity(new.brand, new.model, new.serial_number, new.mac_address)
    if identity is not None and not faults:
        faults = missing_demands(identity, request.services.brand_demands)
    if identity is None or faults:
        raise Invalid("The recipe could not tell its device from others.", tuple(faults))
    if new.claim_code is None and new.claim_code_expires_at is not None:
        words = "An expiry needs a claim code that expires."
        raise Invalid.at("/claimCodeExpiresAt", "claim-code-required", words)
    expires_at = _expiry(new.claim_code_expires_at, "/claimCodeExpiresAt", request)
    uid = new_uid()
    claim = None if new.claim_code is None else await _hashed(request, uid, new.claim_code)
    draft = Draft(
        uid=uid, identity=identity, settings=_settings(new), confirmed_ownership=new.confirmed_ownership,
        on_repeat=new.on_repeat, claim_hash=claim, claim_expires_at=expires_at,
    )  # fmt: skip

    def act(tx: Transaction) -> tuple[bytes, bytes]:
        body = _encode(body_of(scope, actions.create(tx, scope, draft)))
        return body, body

    with tags_as_sent(new.tag_uids):
        return await change(request, scope, act)


def _expiry(text: str | None, pointer: str, request: Request) -> int | None:
    if text is None:
        return None
    expires_at = parse_time(text, pointer)
    if expires_at <= request.services.store.clock.now():
        raise Invalid.at(pointer, "future", "The expiry must lie in the future.")
    return expires_at


async def _hashed(request: Request, uid: bytes, code: str) -> bytes:
    """Hash a code in a thread: it takes as long as many requests."""
    sealer = request.services.sealer
    return await request.services.compute(partial(hash_code, sealer, uid, code))


async def list_recipes(request: Request) -> Response:
    """List recipes, oldest first."""
    given = request.query(RecipesQuery)
    scope = await _scope(request, READ, given.tenant_uid)
    step = partial(
        actions.list_recipes, scope=scope, wanted=_filter(given), after=resume_after_uid(request, given),
        limit=given.limit,
    )  # fmt: skip
    page = await request.services.read(step)
    return uid_list_response(request, given, page, partial(body_of, scope))


def _filter(given: RecipesQuery) -> RecipeFilter:
    return RecipeFilter(
        statuses=given.status,
        brand_keys=tuple(fold(brand) for brand in given.brand),
        location_uids=tuple(parse_uid(text, "query/locationUid") for text in given.location_uid),
        policy_uids=tuple(parse_uid(text, "query/policyUid") for text in given.policy_uid),
        tag_uids=tuple(parse_uid(text, "query/tagUid") for text in given.tag_uid),
        serial_prefix=fold_prefix(given.serial_number_prefix or ""),
        mac_prefix=read_mac_prefix(given.mac_address_prefix) or "",
        name_prefix=fold_prefix(given.name_prefix or ""),
    )


async def show_recipe(request: Request) -> Response:
    """Return one recipe."""
    scope = await _scope(request, READ, request.query(TenantQuery).tenant_uid)
    return _answer(scope, await request.services.read(partial(actions.get, scope=scope, uid=path_uid(request))))


def _answer(scope: Scope, recipe: Recipe) -> Response:
    return json_response(200, body_of(scope, recipe), [etag(recipe.version)])


async def update_recipe(request: Request) -> Response:
    """Change a recipe; confirming the ownership has a permission of its own."""
    tenant_uid = request.query(TenantQuery).tenant_uid
    scope = await _scope(request, UPDATE, tenant_uid)
    uid, version = path_uid(request), wanted_version(request)
    given = request.json(RecipeChanges)
    if given.confirmed_ownership is not UNSET:
        await _scope(request, CONFIRM, tenant_uid)
    step = partial(
        actions.update, scope=scope, uid=uid, version=version, patch=_patch(given),
        demands=request.services.brand_demands,
    )  # fmt: skip
    with tags_as_sent(given.tag_uids):
        return _answer(scope, await request.services.write(step, [scope.tenant_id]))


def _patch(given: RecipeChanges) -> RecipePatch:
    return RecipePatch(
        brand=given.brand, model=given.model, serial_number=given.serial_number, mac_address=given.mac_address,
        device_name=given.device_name,
        tag_uids=UNSET if given.tag_uids is UNSET else read_tags(given.tag_uids),
        policy_uid=optional_uid(given.policy_uid, "/policyUid"),
        location_uid=optional_uid(given.location_uid, "/locationUid"),
        custom_metadata=given.custom_metadata,
        confirmed_ownership=given.confirmed_ownership, on_repeat=given.on_repeat,
    )  # fmt: skip


async def retry_recipe(request: Request) -> Response:
    """Let a Failed or Invalid recipe wait again."""
    scope = await _scope(request, UPDATE, request.query(TenantQuery).tenant_uid)
    step = partial(actions.retry, scope=scope, uid=path_uid(request), version=wanted_version(request))
    return _answer(scope, await request.services.write(step, [scope.tenant_id]))


async def delete_recipe(request: Request) -> Response:
    """Remove a recipe."""
    scope = await _scope(request, DELETE, request.query(TenantQuery).tenant_uid)
    step = partial(actions.delete, scope=scope, uid=path_uid(request), version=wanted_version(request))
    await request.services.write(step, [scope.tenant_id])
    return Response(204)


async def create_claim_code(request: Request) -> Response:
    """Make a new claim code for a recipe; any other ends."""
    scope = await _scope(request, CONFIRM, request.query(TenantQuery).tenant_uid)
    uid = path_uid(request)
    expires_at = _expiry(request.json(ClaimCodeWish).expires_at, "/expiresAt", request)
    code = new_code()
    hashed = await _hashed(request, uid, code.reveal())
    step = partial(
        actions.set_claim_code, scope=scope, uid=uid, version=wanted_version(request), claim_hash=hashed,
        expires_at=expires_at,
    )  # fmt: skip
    recipe = await request.services.write(step, [scope.tenant_id])
    shown = None if expires_at is None else print_time(expires_at)
    return json_response(201, ClaimCodeBody(code.reveal(), shown), [etag(recipe.version)])


async def list_recipe_attempts(request: Request) -> Response:
    """List the attempts that were made in vain with one recipe."""
    return await _attempts(request, path_uid(request))


async def list_attempts(request: Request) -> Response:
    """List all attempts to register that were made in vain, with a recipe or with none."""
    return await _attempts(request, None)


async def _attempts(request: Request, recipe_uid: bytes | None) -> Response:
    given = request.query(AttemptsQuery)
    scope = await _scope(request, READ, given.tenant_uid)
    step = partial(
        actions.list_attempts, scope=scope, recipe_uid=recipe_uid, reasons=given.reason,
        after=resume_after_uid(request, given), limit=given.limit,
    )  # fmt: skip
    page = await request.services.read(step)
    return uid_list_response(request, given, page, _attempt_body)


def _attempt_body(attempt: Attempt) -> AttemptBody:
    identity = attempt.identity
    return AttemptBody(
        uid=as_hex(attempt.uid), recipe_uid=as_optional_hex(attempt.recipe_uid),
        result=RESULT_OF[attempt.reason], reason=attempt.reason, message=EXPLANATIONS[attempt.reason],
        brand=identity.brand, model=identity.model, serial_number=identity.serial_number,
        mac_address=identity.mac_address, key_uid=as_optional_hex(attempt.own_key_uid),
        first_at=print_time(attempt.first_at), last_at=print_time(attempt.last_at), tries=attempt.tries,
    )  # fmt: skip
