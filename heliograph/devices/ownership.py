"""The parts that the payloads of all `Device.*` events share: whose event it is, and who brought it about.

The shapes are those of signageOS's public event reference.
"""

from __future__ import annotations

from typing import Literal

from msgspec import UNSET, UnsetType

from heliograph.catalog.definition import CamelBody
from heliograph.tenancy.model import Scope


class Owner(CamelBody, frozen=True, kw_only=True):
    """The organization whose log holds the event."""

    ownership_type: Literal["organization"]
    organization_uid: str
    parent_company_uid: str


class Originator(CamelBody, frozen=True, kw_only=True):
    """The account that acted; left out when the system or a device did."""

    account_id: int | UnsetType = UNSET
    organization_uid: str | UnsetType = UNSET
    policy_uid: str | UnsetType = UNSET


def owner_of(scope: Scope) -> Owner:
    """Name the scope's organization and its company."""
    assert scope.parent_uid is not None
    return Owner(ownership_type="organization", organization_uid=scope.tenant_uid, parent_company_uid=scope.parent_uid)


def originator_of(scope: Scope) -> Originator | UnsetType:
    """Name the account that acts, and the organization in which it does."""
    if scope.actor.account_id is None:
        return UNSET
    return Originator(account_id=scope.actor.account_id, organization_uid=scope.tenant_uid)
