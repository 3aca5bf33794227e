"""What the log says about tenants, accounts, keys and grants. None of it ever carries a secret."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType

from heliograph.catalog.definition import CamelBody, Change, EventDefinition, HexUid, MicrosecondTime


class GrantedRight(CamelBody, frozen=True, kw_only=True):
    """A role or a permission, and the tenant from which it reaches downwards."""

    tenant_uid: HexUid
    grant: str


class NameChange(Change[str], frozen=True, kw_only=True):
    """The name before and after."""


class SettingChange(Change[bool], frozen=True, kw_only=True):
    """A setting that is on or off, before and after."""


class TenantCreated(CamelBody, frozen=True, kw_only=True):
    """Payload of `Tenant.Created`; a root company has no `parentUid`."""

    uid: HexUid
    name: str
    short_name: str
    kind: Literal["company", "organization"]
    parent_uid: HexUid | UnsetType = UNSET


class TenantChanges(CamelBody, frozen=True, kw_only=True):
    """The fields that changed."""

    name: NameChange | UnsetType = UNSET
    reject_reserved_codes: SettingChange | UnsetType = UNSET


class TenantUpdated(CamelBody, frozen=True, kw_only=True):
    """Payload of `Tenant.Updated`."""

    uid: HexUid
    changes: TenantChanges


class AccountCreated(CamelBody, frozen=True, kw_only=True):
    """Payload of `Account.Created`."""

    uid: HexUid
    account_id: int
    name: str
    grants: tuple[GrantedRight, ...]


class AccountChanges(CamelBody, frozen=True, kw_only=True):
    """The fields that changed."""

    name: NameChange | UnsetType = UNSET


class AccountUpdated(CamelBody, frozen=True, kw_only=True):
    """Payload of `Account.Updated`."""

    uid: HexUid
    changes: AccountChanges


class AccountRevoked(CamelBody, frozen=True, kw_only=True):
    """Payload of `Account.Revoked`; `revokedKeys` counts the keys that ended with it."""

    uid: HexUid
    account_id: int
    revoked_keys: Annotated[int, Meta(ge=0)]


class KeyCreated(CamelBody, frozen=True, kw_only=True):
    """Payload of `Key.Created`; a key that never expires has no `expiresAt`."""

    uid: HexUid
    name: str
    account_uid: HexUid
    grants: tuple[GrantedRight, ...]
    expires_at: MicrosecondTime | UnsetType = UNSET


class KeyRevoked(CamelBody, frozen=True, kw_only=True):
    """Payload of `Key.Revoked`."""

    uid: HexUid
    name: str
    account_uid: HexUid


class GrantChanged(CamelBody, frozen=True, kw_only=True):
    """Payload of `Grant.Added` and `Grant.Revoked`: who has or had which right, from which tenant on."""

    holder: Literal["account", "key"]
    holder_uid: HexUid
    tenant_uid: HexUid
    grant: str


_COMPANY = "0197a1c2d3e07b119a2b3c4d5e6f7081"
_ORGANIZATION = "0197a1c2d3e47f508192a3b4c5d6e7f8"
_ACCOUNT = "0197a1c2d3e97c61a3b4c5d6e7f80912"
_KEY = "0197a1c2d3ee7d72b4c5d6e7f8091a2b"

TENANT_CREATED = EventDefinition(
    type="Tenant.Created",
    family="record",
    code=1000,
    criticality=4,
    target="Tenant",
    struct=TenantCreated,
    sample=TenantCreated(
        uid=_ORGANIZATION,
        name="Harbour Hotels",
        short_name="harbour",
        kind="organization",
        parent_uid=_COMPANY,
    ),
    meaning="A company or an organization was added to the tree.",
)

TENANT_UPDATED = EventDefinition(
    type="Tenant.Updated",
    family="record",
    code=1001,
    criticality=4,
    target="Tenant",
    struct=TenantUpdated,
    sample=TenantUpdated(
        uid=_ORGANIZATION,
        changes=TenantChanges(
            name=NameChange(from_="Harbour Hotel", to="Harbour Hotels"),
            reject_reserved_codes=SettingChange(from_=False, to=True),
        ),
    ),
    meaning="A tenant's name or one of its settings changed.",
)

ACCOUNT_CREATED = EventDefinition(
    type="Account.Created",
    family="record",
    code=1100,
    criticality=3,
    target="Account",
    struct=AccountCreated,
    sample=AccountCreated(
        uid=_ACCOUNT,
        account_id=1042,
        name="Ada Reyes",
        grants=(GrantedRight(tenant_uid=_ORGANIZATION, grant="operator"),),
    ),
    meaning="Somebody got an account.",
)

ACCOUNT_UPDATED = EventDefinition(
    type="Account.Updated",
    family="record",
    code=1101,
    criticality=4,
    target="Account",
    struct=AccountUpdated,
    sample=AccountUpdated(
        uid=_ACCOUNT, changes=AccountChanges(name=NameChange(from_="Ada Reyes", to="Ada Reyes-Holm"))
    ),
    meaning="An account's details changed; its rights did not.",
)

ACCOUNT_REVOKED = EventDefinition(
    type="Account.Revoked",
    family="record",
    code=1102,
    criticality=3,
    target="Account",
    struct=AccountRevoked,
    sample=AccountRevoked(uid=_ACCOUNT, account_id=1042, revoked_keys=2),
    meaning="An account ended, and all its keys with it.",
)

KEY_CREATED = EventDefinition(
    type="Key.Created",
    family="record",
    code=1200,
    criticality=3,
    target="Key",
    struct=KeyCreated,
    sample=KeyCreated(
        uid=_KEY,
        name="till system",
        account_uid=_ACCOUNT,
        grants=(GrantedRight(tenant_uid=_ORGANIZATION, grant="create event.tenant"),),
        expires_at="2027-01-01T00:00:00.000000Z",
    ),
    meaning="An account made a key.",
)

KEY_REVOKED = EventDefinition(
    type="Key.Revoked",
    family="record",
    code=1201,
    criticality=3,
    target="Key",
    struct=KeyRevoked,
    sample=KeyRevoked(uid=_KEY, name="till system", account_uid=_ACCOUNT),
    meaning="A key was withdrawn and no longer works.",
)

_GRANT = GrantChanged(holder="account", holder_uid=_ACCOUNT, tenant_uid=_ORGANIZATION, grant="read event.tenant")

GRANT_ADDED = EventDefinition(
    type="Grant.Added",
    family="record",
    code=1300,
    criticality=3,
    target="Tenant",
    struct=GrantChanged,
    sample=_GRANT,
    meaning="An account or a key got a right in the tenant.",
)

GRANT_REVOKED = EventDefinition(
    type="Grant.Revoked",
    family="record",
    code=1301,
    criticality=3,
    target="Tenant",
    struct=GrantChanged,
    sample=_GRANT,
    meaning="An account or a key lost a right in the tenant.",
)

EVENTS: tuple[EventDefinition, ...] = (
    TENANT_CREATED,
    TENANT_UPDATED,
    ACCOUNT_CREATED,
    ACCOUNT_UPDATED,
    ACCOUNT_REVOKED,
    KEY_CREATED,
    KEY_REVOKED,
    GRANT_ADDED,
    GRANT_REVOKED,
)
