"""What can be done to endpoints: add, change and remove them; each change is an event in the log of their tenant.

Whatever changes which events an endpoint gets has to lock the log of every tenant that it reaches, so that it holds
from one seq on; `tenants` are those whose logs are locked.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import UNSET

from heliograph import publish
from heliograph.catalog.definition import EventDefinition
from heliograph.clock import MICROSECONDS
from heliograph.delivery import backlog
from heliograph.delivery.guard import read_url
from heliograph.endpoints import events, reach, store
from heliograph.endpoints.keys import Kind, new_key, rotated, with_asymmetric
from heliograph.endpoints.model import (
    MOST_ENDPOINTS,
    MOST_REACHED,
    Endpoint,
    EndpointSecrets,
    EndpointSettings,
    SigningKey,
    State,
    secret_text,
)
from heliograph.endpoints.sealed import seal, unseal
from heliograph.endpoints.wishes import EndpointPatch, EndpointWish, differences, read_headers
from heliograph.errors import Conflict, NotFound, Unavailable, require_version
from heliograph.eventlog.model import Receipt
from heliograph.ids import Secret, as_hex, new_uid
from heliograph.storage.engine import Transaction
from heliograph.storage.sealing import Sealer
from heliograph.tenancy.access import tenants_below
from heliograph.tenancy.model import Scope
from heliograph.times import print_time

MATCHED = frozenset(("event_types", "families", "criticalities", "target_types", "codes", "ordering"))
"""Settings that decide what an endpoint gets, and how it is written down for it."""


class TenantsAdded(Unavailable):
    """Tenants were added below the endpoint's own since the logs to lock were chosen; choose again."""


# -- adding ---------------------------------------------------------------------------------------------------------


def create(
    tx: Transaction, scope: Scope, sealer: Sealer, wish: EndpointWish, tenants: Sequence[int]
) -> tuple[Endpoint, Secret]:
    """Add an endpoint, and return it with its symmetric secret; it gets what is recorded from here on.

    Raises:
        Conflict: when the tenant has 1,000 endpoints, or is a company with more than 500 tenants below it.
        TenantsAdded: when `tenants` are not all that it would reach.
    """
    if store.count(tx, scope, MOST_ENDPOINTS) >= MOST_ENDPOINTS:
        raise Conflict(f"A tenant has at most {MOST_ENDPOINTS} endpoints.")
    if len(tenants) > MOST_REACHED + 1:
        raise Conflict(f"A company gets an endpoint only while at most {MOST_REACHED} tenants are below it.")
    require_locked(tx, scope, tenants)
    uid = new_uid()
    key = new_key("hmac", tx.now, wish.secret)
    secrets = EndpointSecrets(
        keys=with_asymmetric((key,), wish.settings.asymmetric, tx.now),
        headers=wish.headers,
        ca=wish.tls.ca,
        client_certificate=wish.tls.client_certificate,
        client_key=wish.tls.client_key,
    )
    endpoint = Endpoint(
        uid=uid,
        url=wish.url,
        settings=wish.settings,
        sealed_secrets=seal(sealer, scope.tenant_id, uid, secrets),
        created_at=tx.now,
        updated_at=tx.now,
    )
    record(
        tx, scope, events.CREATED, endpoint,
        event_types=wish.settings.event_types, format=wish.settings.format,
    )  # fmt: skip
    store.insert(tx, scope, endpoint)
    reach.begin(tx, scope, uid, tenants)
    return endpoint, secret_text(key)


def require_locked(tx: Transaction, scope: Scope, tenants: Sequence[int]) -> None:
    """Make sure that the logs of all tenants at or below the scope's are locked.

    Raises:
        TenantsAdded: when one of them was added since.
    """
    if not set(tenants_below(tx, scope)) <= set(tenants):
        raise TenantsAdded("Tenants are being added; try again.")


# -- reading --------------------------------------------------------------------------------------------------------


def get(tx: Transaction, scope: Scope, uid: bytes, *, lock: bool = False) -> Endpoint:
    """Return one of the tenant's own endpoints.

    With `lock`, nobody else changes it before this transaction ends: whoever is to change how it fares needs that, as
    workers note it without the lock of the log.

    Raises:
        NotFound: when it has no such endpoint.
    """
    endpoint = store.find(tx, scope, uid, lock=lock)
    if endpoint is None:
        raise NotFound("There is no such endpoint.")
    return endpoint


def list_endpoints(
    tx: Transaction, scope: Scope, states: tuple[State, ...], after: bytes, limit: int
) -> tuple[list[Endpoint], bytes | None]:
    """Return a page of the tenant's own endpoints, and the uid to go on after when there are more."""
    found = store.list_page(tx, scope, states, after, limit + 1)
    return found[:limit], found[limit - 1].uid if len(found) > limit else None


# -- changing -------------------------------------------------------------------------------------------------------


def update(
    tx: Transaction,
    scope: Scope,
    sealer: Sealer,
    uid: bytes,
    version: int | None,
    patch: EndpointPatch,
    tenants: Sequence[int],
) -> Endpoint:
    """Change an endpoint; what it gets changes exactly from the next event of each log on.

    Raises:
        NotFound, PreconditionFailed: as for every change of a resource.
        Invalid: when the headers cannot be used.
        TenantsAdded: when `tenants` are not all that it reaches.
    """
    before = get(tx, scope, uid, lock=True)
    require_version(version, before.version)
    secrets = unseal(sealer, scope.tenant_id, before)
    settings = patch.settings.onto(before.settings)
    new_secrets = _patched(secrets, patch, settings, tx.now)
    url = before.url if patch.url is UNSET else patch.url
    changed = _changed(before, url, settings, secrets, new_secrets)
    if not changed:
        return before
    sealed = before.sealed_secrets
    if new_secrets != secrets:
        sealed = seal(sealer, scope.tenant_id, uid, new_secrets)
    health = before.health
    if url != before.url:
        # What one receiver consented to, and how it fared, says nothing about another.
        health = msgspec.structs.replace(health.forgiven(), consented_at=None, allowed_rate=None)
        store.save_health(tx, scope, uid, health)
    after = save(tx, scope, before, url=url, settings=settings, sealed_secrets=sealed, health=health)
    if not MATCHED.isdisjoint(changed):
        require_locked(tx, scope, tenants)
        reach.renew(tx, scope, uid)
    record(tx, scope, events.UPDATED, after, changed=tuple(_public_name(name) for name in changed))
    return after


def _patched(secrets: EndpointSecrets, patch: EndpointPatch, settings: EndpointSettings, now: int) -> EndpointSecrets:
    given: dict[str, Any] = {"keys": with_asymmetric(secrets.keys, settings.asymmetric, now)}
    if patch.headers is not UNSET:
        given["headers"] = read_headers(patch.headers, secrets.headers)
    if patch.ca is not UNSET:
        given["ca"] = patch.ca
    if patch.client is not UNSET:
        given["client_certificate"], given["client_key"] = patch.client or (None, None)
    return msgspec.structs.replace(secrets, **given)


def _changed(
    before: Endpoint, url: str, settings: EndpointSettings, secrets: EndpointSecrets, new_secrets: EndpointSecrets
) -> list[str]:
    """Return the names of what changes; keys come and go with `asymmetric`, which tells of them."""
    names = ["url"] if url != before.url else []
    names += differences(before.settings, settings)
    return names + [name for name in differences(secrets, new_secrets) if name != "keys"]


_PUBLIC_NAMES = {"codes": "eventCodes", "target_types": "targetEntityTypes"}


def _public_name(name: str) -> str:
    first, *others = name.split("_")
    return _PUBLIC_NAMES.get(name) or first + "".join(part.capitalize() for part in others)


def save(tx: Transaction, scope: Scope, endpoint: Endpoint, **changes: Any) -> Endpoint:
    """Store an endpoint with these changes, as its next version."""
    after = msgspec.structs.replace(endpoint, **changes, updated_at=tx.now, version=endpoint.version + 1)
    store.update(tx, scope, after)
    return after


def rotate(
    tx: Transaction,
    scope: Scope,
    sealer: Sealer,
    uid: bytes,
    version: int | None,
    kind: Kind,
    overlap: int,
    secret: bytes | None = None,
) -> tuple[Endpoint, SigningKey]:
    """Give an endpoint a new key of that kind; the one before goes on to sign beside it for `overlap` seconds.

    Raises:
        NotFound, PreconditionFailed: as for every change of a resource.
        Invalid: when the secret is in use already.
        Conflict: when too many old keys would sign, or an Ed25519 key is wanted of an endpoint that has none.
    """
    before = get(tx, scope, uid)
    require_version(version, before.version)
    if kind == "ed25519" and not before.settings.asymmetric:
        raise Conflict("The endpoint has no Ed25519 key; set `asymmetric` to give it one.")
    secrets = unseal(sealer, scope.tenant_id, before)
    keys = rotated(secrets.keys, kind, tx.now, overlap, secret)
    sealed = seal(sealer, scope.tenant_id, uid, msgspec.structs.replace(secrets, keys=keys))
    after = save(tx, scope, before, sealed_secrets=sealed)
    ends_at = print_time(tx.now + overlap * MICROSECONDS)
    name = "symmetric" if kind == "hmac" else "asymmetric"
    record(tx, scope, events.SECRET_ROTATED, after, kind=name, overlap_ends_at=ends_at)
    return after, keys[0]


def send_test(tx: Transaction, scope: Scope, uid: bytes) -> Receipt:
    """Record an event that this endpoint alone gets, whatever it asks for; a paused one when it is resumed.

    Raises:
        NotFound: when the tenant has no such endpoint.
        Conflict: when the endpoint is disabled, or gets nothing but bodies of Seam's shape, which a test has not.
    """
    endpoint = get(tx, scope, uid)
    if endpoint.state == "disabled":
        raise Conflict("A disabled endpoint gets nothing; enable it first.")
    if endpoint.is_flat:
        raise Conflict("An endpoint for flat events in `wire` format gets nothing else, and a test is none.")
    body = events.EndpointTest(uid=as_hex(uid), message="A test of this endpoint.")
    return publish.record(tx, scope, events.TEST, body.uid, lambda _: body)


# -- removing -------------------------------------------------------------------------------------------------------


def delete(tx: Transaction, scope: Scope, uid: bytes, version: int | None, tenants: Sequence[int]) -> None:
    """Remove an endpoint; what it has yet to get is cancelled, its deliveries stay to be read until they expire.

    Raises:
        NotFound, PreconditionFailed: as for every change of a resource.
        TenantsAdded: when `tenants` are not all that it reaches.
    """
    endpoint = get(tx, scope, uid)
    require_version(version, endpoint.version)
    require_locked(tx, scope, tenants)
    many = backlog.cancel_some(tx, scope, uid, tenants)
    reach.end(tx, scope, uid)
    store.delete(tx, scope, uid)
    record(tx, scope, events.DELETED, endpoint)
    if many:
        backlog.cancel_rest(tx, scope, uid)


# -- telling --------------------------------------------------------------------------------------------------------


def record(tx: Transaction, scope: Scope, definition: EventDefinition, endpoint: Endpoint, **fields: Any) -> Receipt:
    """Put an event about an endpoint on record, in the log of the tenant that owns it.

    To be called when no change of what endpoints get is pending: see `reach.renew`.
    """
    uid = as_hex(endpoint.uid)
    body = definition.struct(uid=uid, host=host_of(endpoint), **fields)
    return publish.record(tx, scope, definition, uid, lambda _: body)


def host_of(endpoint: Endpoint) -> str:
    """Return where an endpoint's URL leads, without what may be secret in it."""
    return read_url(endpoint.url, "").host
