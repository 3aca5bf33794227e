"""What an empty installation begins with, and the way back in for whoever holds its data."""

from __future__ import annotations

from heliograph.errors import NotFound
from heliograph.eventlog.model import Actor
from heliograph.ids import Secret, Uid
from heliograph.storage.engine import Transaction
from heliograph.tenancy import store
from heliograph.tenancy.access import SYSTEM, scope_of_new
from heliograph.tenancy.actions import add_account, issue_key, plant_tenant
from heliograph.tenancy.model import ROLES, Account, Caller, Grant, KeyFormat, Kind, Scope, Tenant


def bootstrap(tx: Transaction) -> tuple[Tenant, Secret]:
    """Make a root company, an organization, an owner account and its first key; return organization and token."""
    company, company_scope = plant_tenant(tx, SYSTEM, None, Kind.COMPANY, "My company", "company")
    organization, scope = plant_tenant(tx, SYSTEM, company, Kind.ORGANIZATION, "My organization", "main")
    account = add_account(tx, company_scope, "Owner", [(company_scope, "owner")])
    _, token = issue_key(tx, scope, account, "first key", [(company_scope, "owner")], None)
    return organization, token


def replace_owner_key(tx: Transaction, format: KeyFormat = "native") -> Secret:
    """Make another key for the first owner, for an operator who lost it and holds the data folder.

    Raises:
        NotFound: when no account is left that works.
    """
    found = store.first_organization(tx)
    if found is None:
        raise NotFound("There is no organization with an account that still works.")
    tenant, account = found
    scope = scope_of_new(tenant, SYSTEM)
    grants = [(scope_of_tenant, grant.name) for scope_of_tenant, grant in _scopes_of(tx, account)]
    return issue_key(tx, scope, account, "owner key made on the server", grants, None, format)[1]


def local_operator(tx: Transaction) -> Caller:
    """Return whoever holds the data folder: the first owner, without a key.

    Raises:
        NotFound: when the database was never started.
    """
    found = store.first_organization(tx)
    if found is None:
        raise NotFound("The database is empty; run 'heliograph serve' or 'heliograph init' first.")
    tenant, account = found
    rights = {grant.tenant_id: ROLES["owner"] for grant in store.grants_of(tx, "account", account.id)}
    return Caller(
        actor=Actor(account_id=account.id, uid=account.uid.hex()),
        tenant_uid=tenant.uid.hex(),
        rights=rights,
        account_rights=rights,
        account_uid=account.uid,
        account_id=account.id,
    )


def _scopes_of(tx: Transaction, account: Account) -> list[tuple[Scope, Grant]]:
    found = []
    for grant in store.grants_of(tx, "account", account.id):
        tenant = store.find_tenant(tx, Uid(grant.tenant_uid))
        if tenant is not None:
            found.append((scope_of_new(tenant, SYSTEM), grant))
    return found
