"""Two organizations of one company, their recipes, and devices that register with this key or that."""

from __future__ import annotations

from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from heliograph.devices import actions as devices
from heliograph.devices.model import Device, Identity, Settings
from heliograph.eventlog.model import Actor
from heliograph.ids import Secret, new_uid
from heliograph.provisioning import actions
from heliograph.provisioning.claims import hash_code
from heliograph.provisioning.model import Draft, RecipePatch
from heliograph.provisioning.registration import REGISTER, OutOfDate, Registration, Wish, register, survey
from heliograph.references import actions as references
from heliograph.storage.sealing import Sealer
from heliograph.tenancy import store as tenancy
from heliograph.tenancy.access import SYSTEM
from heliograph.tenancy.actions import add_account, plant_tenant
from heliograph.tenancy.model import Caller, Kind, Scope, Tenant
from tests.conformance.stores import whole_log

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from heliograph.provisioning.recipes import Recipe
    from heliograph.storage.engine import Transaction
    from heliograph.storage.store import Store

SEALER = Sealer(bytes(32))
TURNS = 5
"""How often a registration is begun again, as over HTTP."""

CODE = "KEEP-2345-WXYZ"
_NUMBERS = count(1)


class Told(NamedTuple):
    """What the log says of one event, apart from id and time."""

    type: str
    body: dict[str, Any]
    related: tuple[str, ...] = ()
    """The uids of entities that it belongs to besides its target."""


class Fleet:
    """Two organizations, `here` and `there`, each with an account that acts there; `above` is their company."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.above, self.here, self.there = store.execute(_tenants)
        self._marks = dict.fromkeys((self.here.tenant_id, self.there.tenant_id), 0)
        self.forget()

    def write(self, action: Callable[..., Any], *given: Any, **more: Any) -> Any:
        """Carry out what may write to any of the logs."""
        tenants = [scope.tenant_id for scope in (self.above, self.here, self.there)]
        return self.store.execute(lambda tx: action(tx, *given, **more), tenants)

    def read(self, action: Callable[..., Any], *given: Any, **more: Any) -> Any:
        return self.store.read(lambda tx: action(tx, *given, **more))

    # -- what there is ----------------------------------------------------------------------------------------------

    def reference(self, kind: Any, scope: Scope | None = None) -> bytes:
        """Add a tag, policy or location."""
        made = self.write(references.create, scope or self.here, kind, name=f"{kind} {next(_NUMBERS)}")
        uid: bytes = made.uid
        return uid

    def recipe(self, who: Identity, scope: Scope | None = None, code: str | None = None, **more: Any) -> Recipe:
        """Register a device in advance; what is no field of the draft is one of the settings."""
        draft = self.draft(who, code, **more)
        made: Recipe = self.write(actions.create, scope or self.here, draft)
        return made

    def draft(self, who: Identity, code: str | None = None, **more: Any) -> Draft:
        uid = new_uid()
        settings = Settings(**{name: more.pop(name) for name in Settings.__struct_fields__ if name in more})
        claim = None if code is None else hash_code(SEALER, uid, code)
        return Draft(uid=uid, identity=who, settings=settings, claim_hash=claim, **more)

    def patch(self, recipe: Recipe, scope: Scope | None = None, version: int | None = None, **changes: Any) -> Recipe:
        changed: Recipe = self.write(
            actions.update, scope or self.here, recipe.uid, version, RecipePatch(**changes), {}
        )
        return changed

    def present(self, recipe: Recipe, scope: Scope | None = None) -> Recipe:
        """Return the recipe as it is now."""
        found: Recipe = self.read(actions.get, scope or self.here, recipe.uid)
        return found

    def device(self, uid: bytes | None, scope: Scope | None = None) -> Device | None:
        assert uid is not None
        found: Device | None = self.read(devices.find, scope or self.here, uid)
        return found

    def holders(self, who: Identity) -> dict[str, tuple[int, bytes]]:
        found: dict[str, tuple[int, bytes]] = self.read(devices.holders, who.identifiers)
        return found

    def attempts(self, scope: Scope | None = None, recipe: Recipe | None = None) -> list[tuple[str, int]]:
        """Return reason and number of tries of the attempts in vain."""
        uid = recipe.uid if recipe else None
        page, more = self.read(actions.list_attempts, scope or self.here, uid, (), b"", 1000)
        assert more is None
        return [(attempt.reason, attempt.tries) for attempt in page]

    # -- registering ------------------------------------------------------------------------------------------------

    def caller(self, *scopes: Scope) -> Caller:
        """Return a key that may register devices in these tenants and below, the first being its home."""
        scopes = scopes or (self.here,)
        rights = {scope.tenant_id: frozenset((REGISTER,)) for scope in scopes}
        key = new_uid()
        actor = msgspec.structs.replace(scopes[0].actor, key_uid=key.hex())
        return Caller(
            actor=actor, tenant_uid=scopes[0].tenant_uid, rights=rights, account_rights=rights, key_uid=key
        )  # fmt: skip

    def register(
        self,
        who: Identity,
        caller: Caller | None = None,
        code: str | None = None,
        token: Secret | None = None,
        at: Scope | None = None,
        store: Store | None = None,
    ) -> Registration:
        """Let a device register, as over HTTP."""
        store, caller = store or self.store, caller or self.caller()
        wish = Wish(identity=who, claim_code=None if code is None else Secret(code), device_token=token)
        tenant_uid = None if at is None else bytes.fromhex(at.tenant_uid)
        asked: Any = {"caller": caller, "wish": wish, "tenant_uid": tenant_uid}
        for _ in range(TURNS):
            found = store.read(partial(survey, hash_code=partial(hash_code, SEALER), **asked))
            outcome = store.execute(partial(register, found=found, **asked), found.tenants)
            if not isinstance(outcome, OutOfDate):
                return outcome
        raise AssertionError("The registration never ended.")

    def organizations(self, how_many: int) -> list[Scope]:
        """Add more organizations to the company."""

        def plant(tx: Transaction) -> list[Scope]:
            company = tenancy.tenant_of(tx, self.above)
            return [_organization(tx, company, f"more-{next(_NUMBERS)}") for _ in range(how_many)]

        made: list[Scope] = self.write(plant)
        return made

    # -- the log ----------------------------------------------------------------------------------------------------

    def forget(self) -> None:
        """Count what is told from here on."""
        for scope in (self.here, self.there):
            self._marks[scope.tenant_id] = len(whole_log(self.store, scope))

    def head(self, scope: Scope) -> int:
        """Return how many events an organization's log holds."""
        return len(whole_log(self.store, scope))

    def told(self, scope: Scope | None = None) -> list[Told]:
        """Return all that the log was told since the last `forget`, and forget it."""
        scope = scope or self.here
        log = whole_log(self.store, scope)
        news = log[self._marks[scope.tenant_id] :]
        self._marks[scope.tenant_id] = len(log)
        return [
            Told(
                event.envelope.type or "",
                msgspec.json.decode(event.payload or b""),
                tuple(one.id for one in event.envelope.related_entities or ()),
            )
            for event in news
        ]

    def types(self, scope: Scope | None = None) -> list[str]:
        """Return the types of all that the log was told since the last `forget`, and forget it."""
        return [one.type.removeprefix("Device.") for one in self.told(scope)]


def of_system(scope: Scope) -> Scope:
    """Return the same right in the hands of the platform itself."""
    return msgspec.structs.replace(scope, actor=SYSTEM)


def _tenants(tx: Transaction) -> list[Scope]:
    number = next(_NUMBERS)
    company, above = plant_tenant(tx, SYSTEM, None, Kind.COMPANY, "company", f"company-{number}")
    return [above, *(_organization(tx, company, name) for name in ("here", "there"))]


def _organization(tx: Transaction, company: Tenant, name: str) -> Scope:
    _, scope = plant_tenant(tx, SYSTEM, company, Kind.ORGANIZATION, name, name)
    account = add_account(tx, scope, "somebody", [])
    actor = Actor(account_id=account.id, uid=account.uid.hex(), key_uid=new_uid().hex())
    return msgspec.structs.replace(scope, actor=actor)


def somebody(**more: Any) -> Identity:
    """Return what nobody else is."""
    number = next(_NUMBERS)
    mac = ":".join(f"{number:012X}"[n : n + 2] for n in range(0, 12, 2))
    return Identity(**{"brand": "Samsung", "serial_number": f"SN-{number}", "mac_address": mac} | more)


def owner(scope: Scope) -> dict[str, Any]:
    """Return what every documented body begins with when the scope's account acted."""
    return owner_alone(scope) | {
        "originator": {"accountId": scope.actor.account_id, "organizationUid": scope.tenant_uid}
    }


def owner_alone(scope: Scope) -> dict[str, Any]:
    """Return what every documented body begins with when no account acted."""
    return {
        "owner": {
            "ownershipType": "organization",
            "organizationUid": scope.tenant_uid,
            "parentCompanyUid": scope.parent_uid,
        }
    }


def recipe_event(scope: Scope, name: str, recipe: Recipe, device: bytes | None = None, **fields: Any) -> Told:
    """Return a recipe's event as the account of the scope raises it; every body but StatusUpdated names the owner."""
    type = f"Device.ProvisioningRecipe{name}"
    body = owner(scope) | {"type": type, "uid": recipe.uid.hex()}
    if name != "StatusUpdated":
        body["organizationUid"] = scope.tenant_uid
    return Told(type, body | fields, () if device is None else (device.hex(),))


def status_event(scope: Scope, recipe: Recipe, device: bytes, status: str) -> Told:
    """Return the event that tells of a recipe's status when its device is known."""
    return recipe_event(scope, "StatusUpdated", recipe, device, deviceIdentityHash=device.hex(), status=status)


def names(told: Sequence[Told]) -> list[str]:
    """Return the types without the word that all have in common."""
    return [one.type.removeprefix("Device.") for one in told]
