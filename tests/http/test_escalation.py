"""Nobody gets more than they were given: not by making keys, accounts or grants, and not by being late."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from tests.http.inprocess import SINCE

if TYPE_CHECKING:
    from tests.http.inprocess import Answer, Api

EVENTS = f"/v1/events?{SINCE}"
NEW_EVENT = {"eventCode": 10001}

MANAGER = (
    "read event.tenant", "read account.tenant", "create account.tenant", "update account.tenant",
    "delete account.tenant", "read key.tenant", "create key.tenant", "update key.tenant", "delete key.tenant",
)  # fmt: skip
"""Rights of somebody who manages accounts and keys and may otherwise only read events."""


class Shop(NamedTuple):
    """An organization with a sibling below one company, and a manager in it."""

    api: Api
    region: str
    tenant: str
    sibling: str
    manager: str


@pytest.fixture
def shop(api: Api) -> Shop:
    region = api.tenant(kind="company")
    tenant, sibling = api.tenant(region), api.tenant(region)
    return Shop(api, region, tenant, sibling, api.key(tenant, *MANAGER))


def _wishes(tenant: str | None, *grants: str) -> list[dict[str, str]]:
    return [{"grant": grant, **({"tenantUid": tenant} if tenant else {})} for grant in grants]


@pytest.mark.parametrize("grant", ["owner", "viewer", "create event.tenant", "read_pin access_code.tenant"])
@pytest.mark.parametrize("way", ["new account", "new key", "account", "key"])
def test_nobody_gives_what_they_do_not_hold(shop: Shop, way: str, grant: str) -> None:
    answer = _give(shop, way, grant)
    assert answer.status == 403
    assert answer.json()["detail"].startswith("You cannot give what you do not hold: '")


@pytest.mark.parametrize("way", ["new account", "new key", "account", "key"])
def test_what_is_held_can_be_given(shop: Shop, way: str) -> None:
    assert _give(shop, way, "read event.tenant").status == 201


@pytest.mark.parametrize("way", ["new account", "new key", "account", "key"])
@pytest.mark.parametrize("where", ["sibling", "region"])
def test_rights_are_not_given_where_one_holds_nothing(shop: Shop, way: str, where: str) -> None:
    answer = _give(shop, way, "read event.tenant", on=shop.sibling if where == "sibling" else shop.region)
    assert answer.status == 404


@pytest.mark.parametrize("way", ["new account", "new key", "account", "key"])
@pytest.mark.parametrize("grant", ["", "Owner", "root", "read everything.tenant", "*", "read event.tenant "])
def test_what_is_no_right_is_refused_at_its_place(shop: Shop, way: str, grant: str) -> None:
    answer = _give(shop, way, grant)
    assert answer.status == 400
    assert answer.faults() == [("/grants/1/grant" if way.startswith("new") else "/grant", "grant")]


def _give(shop: Shop, way: str, grant: str, on: str | None = None) -> Answer:
    """Try as the manager to give a right in one of the four ways; what is refused must leave nothing behind."""
    api = shop.api
    account = api.account(shop.tenant, "viewer")
    key = api.key_for(account, shop.tenant, "viewer")["uid"]
    heads = [api.head(tenant) for tenant in (shop.region, shop.tenant, shop.sibling)]
    if way.startswith("new"):
        wishes = [*_wishes(None, "read event.tenant"), *_wishes(on, grant)]
        answer = api.post(f"/v1/{way[4:]}s", shop.manager, {"name": "new", "grants": wishes})
    else:
        uid = account if way == "account" else key
        answer = api.post(f"/v1/{way}s/{uid}/grants", shop.manager, _wishes(on, grant)[0])
    if answer.status != 201:
        assert [api.head(tenant) for tenant in (shop.region, shop.tenant, shop.sibling)] == heads
    return answer


def test_key_cannot_raise_itself_to_all_that_its_account_holds(api: Api, tenant: str) -> None:
    account = api.account(tenant, "owner")
    made = api.key_for(account, tenant, "create key.tenant", "update key.tenant", "update account.tenant")
    weak, uid = made["token"], made["uid"]
    assert api.post(f"/v1/keys/{uid}/grants", weak, {"grant": "owner"}).status == 403
    assert api.post(f"/v1/accounts/{account}/grants", weak, {"grant": "owner"}).status == 403
    for name in ({}, {"accountUid": account}):
        assert api.post("/v1/keys", weak, {"name": "n", "grants": [{"grant": "owner"}], **name}).status == 403
    copy = api.made("/v1/keys", {"name": "n", "accountUid": account, "grants": [{"grant": "update key.tenant"}]}, weak)
    assert api.get(EVENTS, copy["token"]).status == 403


def test_key_for_another_account_holds_what_both_hold(shop: Shop) -> None:
    api = shop.api
    writer = api.account(shop.tenant, "create event.tenant")
    body = {"name": "n", "accountUid": writer, "grants": [{"grant": "read event.tenant"}]}
    token = api.made("/v1/keys", body, shop.manager)["token"]
    assert api.get(f"{EVENTS}&tenantUid={shop.tenant}", token).status == 404
    assert api.post("/v1/events", token, NEW_EVENT).status == 404


@pytest.mark.parametrize("account", ["of a sibling", "that ended", "that does not exist"])
def test_key_is_not_made_for_an_account(shop: Shop, account: str) -> None:
    api = shop.api
    uid = api.account(shop.sibling if account == "of a sibling" else shop.tenant, "owner")
    if account == "that ended":
        assert api.delete(f"/v1/accounts/{uid}", shop.manager).status == 204
    if account == "that does not exist":
        uid = "0" * 32
    body = {"name": "n", "accountUid": uid, "grants": [{"grant": "read event.tenant"}]}
    answer = api.post("/v1/keys", shop.manager, body)
    assert (answer.status, answer.faults()) == (400, [("/accountUid", "unknown-account")])


def test_key_never_exceeds_its_account_when_the_account_loses_a_right(api: Api, tenant: str, owner: str) -> None:
    account = api.account(tenant, "viewer")
    grants = [
        api.made(f"/v1/accounts/{account}/grants", {"grant": grant}, owner)["uid"]
        for grant in ("create event.tenant", "read event.tenant")
    ]
    token = api.key_for(account, tenant, "create event.tenant", "viewer")["token"]
    assert api.post("/v1/events", token, NEW_EVENT).status == 201
    assert api.delete(f"/v1/accounts/{account}/grants/{grants[0]}", owner).status == 204
    assert api.post("/v1/events", token, NEW_EVENT).status == 403
    assert api.get(EVENTS, token).status == 200
    role = api.get(f"/v1/accounts/{account}", owner).json()["grants"][0]
    assert role["grant"] == "viewer"
    assert api.delete(f"/v1/accounts/{account}/grants/{role['uid']}", owner).status == 204
    assert api.get(EVENTS, token).status == 200, "the same right was also granted on its own"
    assert api.get("/v1/event-types", token).status == 403
    assert api.delete(f"/v1/accounts/{account}/grants/{grants[1]}", owner).status == 204
    assert api.get(EVENTS, token).status == 404, "who holds nothing in a tenant does not see it"


def test_key_gains_nothing_from_a_grant_that_its_account_does_not_hold(api: Api, tenant: str, owner: str) -> None:
    account = api.account(tenant, "viewer")
    made = api.key_for(account, tenant, "viewer")
    api.made(f"/v1/keys/{made['uid']}/grants", {"grant": "create event.tenant"}, owner)
    assert api.post("/v1/events", made["token"], NEW_EVENT).status == 403
    api.made(f"/v1/accounts/{account}/grants", {"grant": "create event.tenant"}, owner)
    assert api.post("/v1/events", made["token"], NEW_EVENT).status == 201


def test_right_that_a_key_loses_is_gone_at_its_next_request(api: Api, tenant: str, owner: str) -> None:
    account = api.account(tenant, "owner")
    made = api.key_for(account, tenant, "viewer", "create event.tenant")
    uid, token = made["uid"], made["token"]
    assert api.post("/v1/events", token, NEW_EVENT).status == 201
    grant = next(grant for grant in made["grants"] if grant["grant"] == "create event.tenant")
    assert api.delete(f"/v1/keys/{uid}/grants/{grant['uid']}", owner).status == 204
    assert api.post("/v1/events", token, NEW_EVENT).status == 403
    assert api.delete(f"/v1/keys/{uid}/grants/{grant['uid']}", owner).status == 404


@pytest.mark.parametrize("ended", ["key", "account"])
def test_key_is_dead_at_its_next_request_after_it_was_revoked(api: Api, tenant: str, owner: str, ended: str) -> None:
    account = api.account(tenant, "viewer")
    made, other = (api.key_for(account, tenant, "viewer") for _ in range(2))
    assert api.get(EVENTS, made["token"]).status == api.get(EVENTS, other["token"]).status == 200
    target = f"/v1/keys/{made['uid']}" if ended == "key" else f"/v1/accounts/{account}"
    assert api.delete(target, owner).status == 204
    assert api.get(EVENTS, made["token"]).status == 401
    assert api.get(EVENTS, other["token"]).status == (200 if ended == "key" else 401)
    shown = {uid: api.get(f"/v1/keys/{uid}", owner).json() for uid in (made["uid"], other["uid"])}
    assert [uid for uid, key in shown.items() if key["revokedAt"]] == (
        [made["uid"]] if ended == "key" else [made["uid"], other["uid"]]
    )
    assert (api.get(f"/v1/accounts/{account}", owner).json()["revokedAt"] is None) == (ended == "key")


def test_keys_of_an_account_that_are_at_home_elsewhere_end_with_it(api: Api) -> None:
    region = api.tenant(kind="company")
    shop = api.tenant(region)
    account = api.account(region, "create key.tenant", "viewer")
    maker = api.key_for(account, region, "create key.tenant", "viewer")["token"]
    elsewhere = api.made(f"/v1/keys?tenantUid={shop}", {"name": "n", "grants": [{"grant": "viewer"}]}, maker)
    assert api.get(EVENTS, elsewhere["token"]).status == 200
    assert api.delete(f"/v1/accounts/{account}?tenantUid={region}", api.root).status == 204
    assert api.get(EVENTS, elsewhere["token"]).status == 401


@pytest.mark.parametrize("holder", ["account", "key"])
def test_who_was_revoked_gets_no_right_any_more(api: Api, tenant: str, owner: str, holder: str) -> None:
    account = api.account(tenant, "viewer")
    uid = account if holder == "account" else api.key_for(account, tenant, "viewer")["uid"]
    for _ in range(2):
        assert api.delete(f"/v1/{holder}s/{uid}", owner).status == 204
    before = api.head(tenant)
    assert api.post(f"/v1/{holder}s/{uid}/grants", owner, {"grant": "viewer"}).status == 409
    assert api.head(tenant) == before


def test_grant_on_a_tenant_out_of_reach_is_not_taken_back(api: Api) -> None:
    region = api.tenant(kind="company")
    shop, sibling = api.tenant(region), api.tenant(region)
    account = api.account(shop, "viewer", on=sibling)
    [grant] = api.get(f"/v1/accounts/{account}?tenantUid={shop}", api.root).json()["grants"]
    answer = api.delete(f"/v1/accounts/{account}/grants/{grant['uid']}", api.key(shop, "owner"))
    assert answer.status == 403
    assert sibling not in answer.json()["detail"]
    assert api.delete(f"/v1/accounts/{account}/grants/{grant['uid']}?tenantUid={shop}", api.root).status == 204


def test_right_reaches_all_tenants_below_and_none_beside(api: Api) -> None:
    region = api.tenant(kind="company")
    district = api.tenant(region, kind="company")
    shop, other = api.tenant(district), api.tenant(region)
    key = api.key(district, "viewer")
    reached = {uid: api.get(f"{EVENTS}&tenantUid={uid}", key).status for uid in (district, shop, region, other)}
    assert reached == {district: 200, shop: 200, region: 404, other: 404}


def test_tenant_added_below_is_reached_at_once(api: Api) -> None:
    region = api.tenant(kind="company")
    key = api.key(region, "owner")
    subtree = f"{EVENTS}&include=subtree&type=Tenant.Created&order=desc"
    assert [event["tenantUid"] for event in api.get(subtree, key).json()["data"]] == [region]
    shop = api.made("/v1/tenants", {"kind": "organization", "name": "n", "shortName": api.short_name()}, key)["uid"]
    assert [event["tenantUid"] for event in api.get(subtree, key).json()["data"]] == [shop, region]
    assert api.post(f"/v1/events?tenantUid={shop}", key, NEW_EVENT).status == 201


def test_answer_read_before_a_change_is_not_kept_after_it(
    api: Api, tenant: str, owner: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The key is revoked between the reading of its rights and the moment when they would be remembered."""
    account = api.account(tenant, "viewer")
    made = api.key_for(account, tenant, "viewer")
    services = api.edge.services
    read = services.read
    revoked: list[int] = []

    async def slow_read(function: Any) -> Any:
        found = await read(function)
        if not revoked:
            revoked.append(1)
            await api.call("DELETE", f"/v1/keys/{made['uid']}", owner)
        return found

    monkeypatch.setattr(services, "read", slow_read)
    assert api.get(EVENTS, made["token"]).status == 200, "it was asked before"
    assert revoked
    assert api.get(EVENTS, made["token"]).status == 401
