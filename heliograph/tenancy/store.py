"""The control tables of tenancy: tenants and their tree, accounts, keys and grants.

They are small and read across tenants by `authenticate` and `require`, which is how a Scope comes to be; every
function that serves a request takes that Scope.
"""

from __future__ import annotations

from collections.abc import Sequence

from heliograph.ids import Uid
from heliograph.storage.engine import Row, Transaction
from heliograph.tenancy.model import Account, Grant, Holder, Key, Scope, Tenant

_TENANT = (
    "select t.id, t.uid, p.uid, t.root_id, t.kind, t.name, t.short_name, t.reject_reserved_codes, t.created_at,"
    " t.version from tenant t left join tenant p on p.id = t.parent_id"
)
_ACCOUNT = "select id, uid, tenant_id, name, created_at, revoked_at, version from account"
_KEY = (
    "select k.id, k.uid, k.tenant_id, k.account_id, a.uid, k.name, k.hint, k.created_at, k.expires_at, k.revoked_at"
    " from api_key k join account a on a.id = k.account_id"
)
_GRANT = (
    "select g.uid, g.tenant_id, t.uid, g.name, g.created_at from access_grant g join tenant t on t.id = g.tenant_id"
)


def next_number(tx: Transaction, name: str) -> int:
    """Take the next number of a named counter, from 1 on; small numbers keep the log's rows small."""
    row = tx.one(
        "insert into counter (name, value) values (:name, 1)"
        " on conflict (name) do update set value = counter.value + 1 returning value",
        name=name,
    )
    assert row is not None
    return int(row[0])


# -- tenants --------------------------------------------------------------------------------------------------------


def insert_tenant(tx: Transaction, tenant: Tenant, parent_id: int | None) -> bool:
    """Add a node to the tree, below its parent and all that are above it; tell whether its short name was free."""
    inserted = tx.run(
        "insert into tenant (id, uid, parent_id, root_id, kind, name, short_name, reject_reserved_codes, created_at,"
        " version) values (:id, :uid, :parent_id, :root_id, :kind, :name, :short_name, :reject, :created_at, 1)"
        " on conflict (root_id, short_name) do nothing",
        id=tenant.id, uid=tenant.uid, parent_id=parent_id, root_id=tenant.root_id, kind=tenant.kind, name=tenant.name,
        short_name=tenant.short_name, reject=int(tenant.reject_reserved_codes), created_at=tenant.created_at,
    )  # fmt: skip
    if not inserted:
        return False
    tx.run(
        "insert into tenant_closure (ancestor_id, descendant_id, depth)"
        " select ancestor_id, :id, depth + 1 from tenant_closure where descendant_id = :parent_id",
        id=tenant.id, parent_id=parent_id or 0,
    )  # fmt: skip
    tx.run("insert into tenant_closure (ancestor_id, descendant_id, depth) values (:id, :id, 0)", id=tenant.id)
    return True


def find_tenant(tx: Transaction, uid: Uid) -> Tenant | None:
    """Read a tenant by uid, for `require` to decide whether the caller may know of it."""
    row = tx.one(f"{_TENANT} where t.uid = :uid", uid=uid)
    return _tenant(row) if row else None


def tenant_of(tx: Transaction, scope: Scope) -> Tenant:
    """Read the scope's own tenant."""
    return tenant_numbered(tx, scope.tenant_id)


def tenant_numbered(tx: Transaction, tenant_id: int) -> Tenant:
    """Read a tenant by its number, which never leaves the platform."""
    row = tx.one(f"{_TENANT} where t.id = :id", id=tenant_id)
    assert row is not None
    return _tenant(row)


def path_of(tx: Transaction, tenant_id: int) -> tuple[int, ...]:
    """Return the numbers of a tenant and of all above it."""
    rows = tx.all("select ancestor_id from tenant_closure where descendant_id = :id", id=tenant_id)
    return tuple(row[0] for row in rows)


def subtree_of(tx: Transaction, tenant_id: int, limit: int) -> list[tuple[int, str]]:
    """Return (number, uid) of a tenant and of those below it, itself first, at most `limit`."""
    rows = tx.all(
        "select t.id, t.uid from tenant_closure c join tenant t on t.id = c.descendant_id"
        " where c.ancestor_id = :id order by c.depth, t.id limit :limit",
        id=tenant_id, limit=limit,
    )  # fmt: skip
    return [(row[0], row[1].hex()) for row in rows]


def list_tenants(tx: Transaction, roots: Sequence[int], after: int, limit: int) -> list[Tenant]:
    """Read the tenants at or below `roots` in the order of their numbers."""
    if not roots:
        return []
    names = {f"r{n}": root for n, root in enumerate(roots)}
    rows = tx.all(
        f"{_TENANT} where t.id > :after and exists (select 1 from tenant_closure c where c.descendant_id = t.id"
        f" and c.ancestor_id in ({', '.join(':' + name for name in names)})) order by t.id limit :limit",
        after=after, limit=limit, **names,
    )  # fmt: skip
    return [_tenant(row) for row in rows]


def root_companies(tx: Transaction) -> list[tuple[int, str]]:
    """Return (number, uid) of the tenants that have no parent."""
    return [(row[0], row[1].hex()) for row in tx.all("select id, uid from tenant where parent_id is null order by id")]


def all_tenants(tx: Transaction) -> list[int]:
    """Return the numbers of all tenants, oldest first."""
    return [row[0] for row in tx.all("select id from tenant order by id")]


def update_tenant(tx: Transaction, scope: Scope, name: str, reject_reserved_codes: bool) -> None:
    """Change what can change of a tenant; its version rises."""
    tx.run(
        "update tenant set name = :name, reject_reserved_codes = :reject, version = version + 1 where id = :id",
        id=scope.tenant_id, name=name, reject=int(reject_reserved_codes),
    )  # fmt: skip


def first_organization(tx: Transaction) -> tuple[Tenant, Account] | None:
    """Return the oldest organization and the oldest account that still works, as the first start made them."""
    tenant = tx.one(f"{_TENANT} where t.kind = 'organization' order by t.id limit 1")
    account = tx.one(f"{_ACCOUNT} where revoked_at is null order by id limit 1")
    return (_tenant(tenant), _account(account)) if tenant and account else None


def _tenant(row: Row) -> Tenant:
    return Tenant(
        id=row[0], uid=row[1], parent_uid=row[2], root_id=row[3], kind=row[4], name=row[5], short_name=row[6],
        reject_reserved_codes=bool(row[7]), created_at=row[8], version=row[9],
    )  # fmt: skip


# -- accounts -------------------------------------------------------------------------------------------------------


def insert_account(tx: Transaction, scope: Scope, account: Account) -> None:
    """Add an account at home in the scope's tenant."""
    tx.run(
        "insert into account (id, uid, tenant_id, name, created_at, version)"
        " values (:id, :uid, :tenant_id, :name, :created_at, 1)",
        id=account.id, uid=account.uid, tenant_id=scope.tenant_id, name=account.name, created_at=account.created_at,
    )  # fmt: skip


def find_account(tx: Transaction, scope: Scope, uid: Uid) -> Account | None:
    """Read one of the tenant's accounts."""
    row = tx.one(f"{_ACCOUNT} where tenant_id = :tenant_id and uid = :uid", tenant_id=scope.tenant_id, uid=uid)
    return _account(row) if row else None


def key_was_revoked(tx: Transaction, uid: bytes) -> bool:
    """Tell whether a key was withdrawn; one that merely expired was not."""
    return tx.one("select 1 from api_key where uid = :uid and revoked_at is not null", uid=uid) is not None


def account_works(tx: Transaction, account_id: int) -> bool:
    """Tell whether an account was never revoked."""
    return tx.one("select 1 from account where id = :id and revoked_at is null", id=account_id) is not None


def list_accounts(tx: Transaction, scope: Scope, after: int, limit: int) -> list[Account]:
    """Read the tenant's accounts in the order of their numbers."""
    rows = tx.all(
        f"{_ACCOUNT} where tenant_id = :tenant_id and id > :after order by id limit :limit",
        tenant_id=scope.tenant_id, after=after, limit=limit,
    )  # fmt: skip
    return [_account(row) for row in rows]


def rename_account(tx: Transaction, scope: Scope, account_id: int, name: str) -> None:
    """Change an account's name; its version rises."""
    tx.run(
        "update account set name = :name, version = version + 1 where tenant_id = :tenant_id and id = :id",
        tenant_id=scope.tenant_id, id=account_id, name=name,
    )  # fmt: skip


def revoke_account(tx: Transaction, scope: Scope, account_id: int) -> int:
    """End an account and all its keys, wherever they are at home; return how many keys ended."""
    tx.run(
        "update account set revoked_at = :now, version = version + 1"
        " where tenant_id = :tenant_id and id = :id and revoked_at is null",
        tenant_id=scope.tenant_id, id=account_id, now=tx.now,
    )  # fmt: skip
    return tx.run(
        "update api_key set revoked_at = :now where account_id = :id and revoked_at is null", id=account_id, now=tx.now
    )


def _account(row: Row) -> Account:
    return Account(
        id=row[0], uid=row[1], tenant_id=row[2], name=row[3], created_at=row[4], revoked_at=row[5], version=row[6]
    )


# -- keys -----------------------------------------------------------------------------------------------------------


def insert_key(tx: Transaction, scope: Scope, key: Key, token_hash: bytes) -> None:
    """Add a key at home in the scope's tenant; only the hash of its token is kept."""
    tx.run(
        "insert into api_key (id, uid, tenant_id, account_id, name, hash, hint, created_at, expires_at)"
        " values (:id, :uid, :tenant_id, :account_id, :name, :hash, :hint, :created_at, :expires_at)",
        id=key.id, uid=key.uid, tenant_id=scope.tenant_id, account_id=key.account_id, name=key.name, hash=token_hash,
        hint=key.hint, created_at=key.created_at, expires_at=key.expires_at,
    )  # fmt: skip


def find_key(tx: Transaction, scope: Scope, uid: Uid) -> Key | None:
    """Read one of the tenant's keys."""
    row = tx.one(f"{_KEY} where k.tenant_id = :tenant_id and k.uid = :uid", tenant_id=scope.tenant_id, uid=uid)
    return Key(**dict(zip(Key.__struct_fields__, row, strict=True))) if row else None


def find_key_by_hash(tx: Transaction, token_hash: bytes) -> tuple[Key, Account, str] | None:
    """Read the key with that token, its account, and the uid of its tenant, for `authenticate`."""
    row = tx.one(
        f"{_KEY.replace(' from api_key k', ', t.uid from api_key k')} join tenant t on t.id = k.tenant_id"
        " where k.hash = :hash",
        hash=token_hash,
    )
    if row is None:
        return None
    key = Key(**dict(zip(Key.__struct_fields__, row[:10], strict=True)))
    account = tx.one(f"{_ACCOUNT} where id = :id", id=key.account_id)
    assert account is not None
    return key, _account(account), row[10].hex()


def working_key(tx: Transaction, uid: bytes) -> tuple[int, int] | None:
    """Return the numbers of a key and its account while both still work, for `renewed`."""
    row = tx.one(
        "select k.id, k.account_id from api_key k join account a on a.id = k.account_id where k.uid = :uid"
        " and k.revoked_at is null and a.revoked_at is null and (k.expires_at is null or k.expires_at > :now)",
        uid=uid,
        now=tx.now,
    )
    return (row[0], row[1]) if row else None


def list_keys(tx: Transaction, scope: Scope, after: int, limit: int) -> list[Key]:
    """Read the tenant's keys in the order of their numbers, revoked ones included."""
    rows = tx.all(
        f"{_KEY} where k.tenant_id = :tenant_id and k.id > :after order by k.id limit :limit",
        tenant_id=scope.tenant_id, after=after, limit=limit,
    )  # fmt: skip
    return [Key(**dict(zip(Key.__struct_fields__, row, strict=True))) for row in rows]


def has_room_for_key(tx: Transaction, scope: Scope, quota: int) -> bool:
    """Tell whether the tenant has fewer than `quota` keys, without counting them all."""
    row = tx.one(
        "select 1 from api_key where tenant_id = :tenant_id and revoked_at is null order by id limit 1 offset :last",
        tenant_id=scope.tenant_id, last=quota - 1,
    )  # fmt: skip
    return row is None


def revoke_key(tx: Transaction, scope: Scope, key_id: int) -> None:
    """End one key."""
    tx.run(
        "update api_key set revoked_at = :now where tenant_id = :tenant_id and id = :id and revoked_at is null",
        tenant_id=scope.tenant_id, id=key_id, now=tx.now,
    )  # fmt: skip


# -- grants ---------------------------------------------------------------------------------------------------------


def insert_grant(tx: Transaction, scope: Scope, holder: Holder, holder_id: int, grant: Grant) -> bool:
    """Give a right on the scope's tenant; tell whether it is new."""
    return tx.run(
        "insert into access_grant (uid, holder, holder_id, tenant_id, name, created_at)"
        " values (:uid, :holder, :holder_id, :tenant_id, :name, :created_at)"
        " on conflict (holder, holder_id, tenant_id, name) do nothing",
        uid=grant.uid, holder=holder, holder_id=holder_id, tenant_id=scope.tenant_id, name=grant.name,
        created_at=grant.created_at,
    ) == 1  # fmt: skip


def grants_of(tx: Transaction, holder: Holder, holder_id: int) -> list[Grant]:
    """Read all that an account or key was granted, oldest first."""
    rows = tx.all(
        f"{_GRANT} where g.holder = :holder and g.holder_id = :holder_id order by g.created_at, g.uid",
        holder=holder, holder_id=holder_id,
    )  # fmt: skip
    return [Grant(uid=row[0], tenant_id=row[1], tenant_uid=row[2], name=row[3], created_at=row[4]) for row in rows]


def delete_grant(tx: Transaction, scope: Scope, uid: bytes) -> None:
    """Take a right on the scope's tenant back."""
    tx.run("delete from access_grant where tenant_id = :tenant_id and uid = :uid", tenant_id=scope.tenant_id, uid=uid)


# -- tokens of devices ----------------------------------------------------------------------------------------------


def insert_device_token(tx: Transaction, scope: Scope, device_uid: bytes, token_hash: bytes) -> None:
    """Let one of the tenant's devices act for itself; only the hash of its token is kept."""
    tx.run(
        "insert into device_token (hash, tenant_id, device_uid, created_at)"
        " values (:hash, :tenant_id, :device_uid, :now)",
        hash=token_hash, tenant_id=scope.tenant_id, device_uid=device_uid, now=tx.now,
    )  # fmt: skip


def device_token_hashes(tx: Transaction, scope: Scope, device_uid: bytes) -> list[bytes]:
    """Return the hashes of the tokens that work for one of the tenant's devices."""
    rows = tx.all(
        "select hash from device_token where tenant_id = :tenant_id and device_uid = :device_uid",
        tenant_id=scope.tenant_id, device_uid=device_uid,
    )  # fmt: skip
    return [row[0] for row in rows]


def delete_device_tokens(tx: Transaction, scope: Scope, device_uid: bytes) -> None:
    """End every token of one of the tenant's devices."""
    tx.run(
        "delete from device_token where tenant_id = :tenant_id and device_uid = :device_uid",
        tenant_id=scope.tenant_id, device_uid=device_uid,
    )  # fmt: skip


def find_device_by_token(tx: Transaction, token_hash: bytes) -> tuple[int, str, bytes] | None:
    """Return tenant number, tenant uid and device uid of a device's token, for `authenticate`."""
    row = tx.one(
        "select d.tenant_id, t.uid, d.device_uid from device_token d join tenant t on t.id = d.tenant_id"
        " where d.hash = :hash",
        hash=token_hash,
    )
    return (row[0], row[1].hex(), row[2]) if row else None
