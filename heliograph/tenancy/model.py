"""Tenants, permissions and roles, and the two values that stand for a right: Caller and Scope."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

import msgspec

from heliograph.eventlog.model import Actor


class Kind(StrEnum):
    """What a tenant is: only organizations own devices, only companies have children."""

    COMPANY = "company"
    ORGANIZATION = "organization"


KeyFormat = Literal["native", "seam"]
"""How a key's token begins; it works on every API all the same."""

KEY_PREFIXES: dict[KeyFormat, str] = {"native": "hg_", "seam": "seam_hg_"}
"""Seam's own clients take no key that does not begin with `seam_`."""

_ACTIONS = {
    "event": "read create",
    "event_type": "read create update delete",
    "device": "read create update delete register report",
    "tag": "read create update delete",
    "location": "read create update delete",
    "policy": "read create update delete",
    "connected_account": "read create update delete",
    "recipe": "read create update delete confirm",
    "access_code": "read create update delete report read_pin",
    "endpoint": "read create update delete resend",
    "delivery": "read create update delete resend",
    "tenant": "read create update delete",
    "account": "read create update delete",
    "key": "read create update delete",
    "log": "verify export redact",
}

PERMISSIONS: tuple[str, ...] = tuple(
    f"{action} {entity}.tenant" for entity, actions in _ACTIONS.items() for action in actions.split()
)
"""Every permission, written `<action> <entity>.tenant`."""


def _of(entities: str, actions: str | None = None) -> set[str]:
    return {
        f"{action} {entity}.tenant" for entity in entities.split() for action in (actions or _ACTIONS[entity]).split()
    }


_PLACES = "device tag location policy connected_account"
_SETUP = _PLACES + " recipe event_type endpoint delivery"

ROLES: dict[str, frozenset[str]] = {
    "owner": frozenset(PERMISSIONS),
    "operator": frozenset(
        _of("event " + _SETUP)
        | _of("access_code", "read create update delete report")
        | _of("tenant account key", "read")
        | _of("log", "export")
    ),
    "integrator": frozenset(
        _of("event event_type endpoint delivery")
        | _of(_PLACES + " access_code tenant", "read")
        | _of("recipe", "read create update")
        | _of("access_code", "update")
    ),
    "connector": frozenset(
        _of("event", "create")
        | _of("event_type", "read")
        | _of("device", "read update register report")
        | _of("access_code", "report")
    ),
    "auditor": frozenset(_of("event access_code tenant account key " + _SETUP, "read") | _of("log", "verify export")),
    "viewer": frozenset(_of("event event_type recipe access_code tenant " + _PLACES, "read")),
}
"""What each role may do; the table of the design, as data."""


def permissions_of(grant: str) -> frozenset[str]:
    """Return the permissions that a grant's name stands for: a role's, or the one permission itself.

    Raises:
        KeyError: when it is neither.
    """
    if grant in ROLES:
        return ROLES[grant]
    if grant in PERMISSIONS:
        return frozenset((grant,))
    raise KeyError(grant)


Holder = Literal["account", "key"]
"""What can hold a grant."""


class Tenant(msgspec.Struct, frozen=True, kw_only=True):
    """A node of the tree. `created_at` in microseconds UTC; `version` rises with every change."""

    id: int
    uid: bytes
    parent_uid: bytes | None
    root_id: int
    kind: str
    name: str
    short_name: str
    reject_reserved_codes: bool
    created_at: int
    version: int


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody or something that acts; `id` is the numeric accountId. Times in microseconds UTC."""

    id: int
    uid: bytes
    tenant_id: int
    name: str
    created_at: int
    revoked_at: int | None
    version: int


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """A bearer key without its secret; `hint` is the beginning of the token. Times in microseconds UTC."""

    id: int
    uid: bytes
    tenant_id: int
    account_id: int
    account_uid: bytes
    name: str
    hint: str
    created_at: int
    expires_at: int | None
    revoked_at: int | None


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """A role or a single permission, held by an account or a key, on a tenant and all below it."""

    uid: bytes
    tenant_id: int
    tenant_uid: bytes
    name: str
    created_at: int


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is asking: an account through one of its keys, a device with its own token, or the system itself.

    `rights` maps a tenant's internal number to the permissions granted there; they reach the tenants below.
    """

    actor: Actor
    tenant_uid: str
    rights: dict[int, frozenset[str]]
    account_rights: dict[int, frozenset[str]]
    key_uid: bytes | None = None
    account_uid: bytes | None = None
    account_id: int | None = None
    device_uid: bytes | None = None
    expires_at: int | None = None

    @property
    def credential(self) -> bytes:
        """What tells this caller from others: the uid of its key or of its device; empty for the system."""
        return self.key_uid or self.device_uid or b""

    def permissions_at(self, path: Iterable[int]) -> frozenset[str]:
        """Return what the caller may do in a tenant, given the numbers of that tenant and of all above it.

        A key never exceeds its account, also when the account's grants were cut after the key was made.
        """
        path = tuple(path)
        return _union(self.rights, path) & _union(self.account_rights, path)


def _union(rights: dict[int, frozenset[str]], path: tuple[int, ...]) -> frozenset[str]:
    return frozenset().union(*(rights[tenant_id] for tenant_id in path if tenant_id in rights))


class Scope(msgspec.Struct, frozen=True):
    """The right to act in one tenant; made by `tenancy.access` alone and asked for by every store function.

    `tenants` lists the tenants of a subtree as (number, uid), the tenant itself first; outside `include=subtree`
    it holds just the tenant itself.
    """

    tenant_id: int
    tenant_uid: str
    permission: str
    actor: Actor
    kind: str = "organization"
    parent_uid: str | None = None
    reject_reserved_codes: bool = False
    tenants: tuple[tuple[int, str], ...] = ()

    def narrowed(self, tenant_id: int, tenant_uid: str) -> Scope:
        """Return the same right for one tenant of the subtree.

        Raises:
            LookupError: when the tenant is not part of this scope.
        """
        if (tenant_id, tenant_uid) not in self.tenants:
            raise LookupError("that tenant is outside this scope")
        return msgspec.structs.replace(
            self, tenant_id=tenant_id, tenant_uid=tenant_uid, tenants=((tenant_id, tenant_uid),)
        )
