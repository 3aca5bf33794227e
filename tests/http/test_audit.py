"""Every change to tenants, accounts, keys, grants and types tells of itself in the log of the tenant concerned."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

import psycopg
import pytest
from psycopg import sql

from heliograph.catalog.system import SYSTEM
from heliograph.tenancy.access import hash_token

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.http.inprocess import Api

NOBODY = "0" * 32
GRANT = "read event.tenant"


class Told(NamedTuple):
    """What one event says."""

    type: str
    code: int
    criticality: int
    target: tuple[str, str]
    payload: dict[str, Any]
    related: list[dict[str, str]]


class Desk:
    """An organization, and somebody with a key at the company above it who makes changes there."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.company = api.tenant(kind="company")
        self.tenant = api.tenant(self.company)
        self.account = api.account(self.company, "owner")
        made = api.key_for(self.account, self.company, "owner")
        self.key, self.key_uid = made["token"], made["uid"]
        self._seen = {uid: api.head(uid) for uid in (self.company, self.tenant)}

    def send(self, method: str, path: str, body: Any = None, status: int = 201) -> Any:
        """Make a change in the organization; return what is answered."""
        answer = self.api.send(method, f"{path}?tenantUid={self.tenant}", self.key, body)
        assert answer.status == status, answer
        return answer.json() if answer.body else None

    def told(self, tenant: str | None = None) -> list[Told]:
        """Return what the log of one tenant says since last asked; the other one must say nothing."""
        tenant = tenant or self.tenant
        other = self.company if tenant == self.tenant else self.tenant
        assert self._news(other) == []
        return self._news(tenant)

    def _news(self, tenant: str) -> list[Told]:
        events = [event for event in self.api.log(tenant) if event["seq"] >= self._seen[tenant]]
        self._seen[tenant] += len(events)
        return [self._checked(event) for event in events]

    def _checked(self, event: dict[str, Any]) -> Told:
        """Check what all these events have in common."""
        assert event["internal"] is True
        assert (event["family"], event["kind"], event["payloadContentType"]) == ("record", None, "application/json")
        assert isinstance(event["actor"].pop("accountId"), int)
        assert event["actor"] == {"kind": "account", "uid": self.account, "keyUid": self.key_uid}
        SYSTEM.check(event["type"], json.dumps(event["payload"]).encode())
        target = (event["targetEntityType"], event["targetEntityId"])
        related = event.get("relatedEntities", [])
        return Told(event["type"], event["eventCode"], event["criticality"], target, event["payload"], related)


@pytest.fixture
def desk(api: Api) -> Desk:
    return Desk(api)


def test_new_tenant_is_told_in_its_own_log(desk: Desk) -> None:
    body = {"kind": "organization", "name": "Harbour", "shortName": desk.api.short_name()}
    made = desk.api.made("/v1/tenants", body, desk.key)
    assert desk.told() == []
    [event] = desk.api.log(made["uid"])
    assert (event["seq"], event["type"], event["eventCode"], event["criticality"]) == (0, "Tenant.Created", 1000, 4)
    assert event["payload"] == {**body, "uid": made["uid"], "parentUid": desk.company}
    assert event["actor"]["keyUid"] == desk.key_uid


def test_change_of_a_tenant_is_told_with_what_was_before(desk: Desk) -> None:
    target, uid = f"/v1/tenants/{desk.tenant}", desk.tenant
    before = desk.api.get(target, desk.key).json()["name"]
    desk.api.patch(target, desk.key, {"name": "Harbour", "rejectReservedCodes": True})
    changes = {"name": {"from": before, "to": "Harbour"}, "rejectReservedCodes": {"from": False, "to": True}}
    assert desk.told() == [Told("Tenant.Updated", 1001, 4, ("Tenant", uid), {"uid": uid, "changes": changes}, [])]
    desk.api.patch(target, desk.key, {"rejectReservedCodes": False})
    changes = {"rejectReservedCodes": {"from": True, "to": False}}
    assert desk.told() == [Told("Tenant.Updated", 1001, 4, ("Tenant", uid), {"uid": uid, "changes": changes}, [])]


def test_life_of_an_account_is_told(desk: Desk) -> None:
    made = desk.send("POST", "/v1/accounts", {"name": "Ada", "grants": [{"grant": "viewer"}, {"grant": GRANT}]})
    uid, number = made["uid"], made["accountId"]
    grants = [{"tenantUid": desk.tenant, "grant": grant} for grant in ("viewer", GRANT)]
    created = {"uid": uid, "accountId": number, "name": "Ada", "grants": grants}
    assert desk.told() == [Told("Account.Created", 1100, 3, ("Account", uid), created, [])]

    desk.send("PATCH", f"/v1/accounts/{uid}", {"name": "Ada Reyes"}, 200)
    changes = {"name": {"from": "Ada", "to": "Ada Reyes"}}
    updated = {"uid": uid, "changes": changes}
    assert desk.told() == [Told("Account.Updated", 1101, 4, ("Account", uid), updated, [])]

    for _ in range(2):
        desk.send("POST", "/v1/keys", {"name": "k", "accountUid": uid, "grants": [{"grant": "viewer"}]})
    assert [told.type for told in desk.told()] == ["Key.Created", "Key.Created"]
    desk.send("DELETE", f"/v1/accounts/{uid}", status=204)
    revoked = {"uid": uid, "accountId": number, "revokedKeys": 2}
    assert desk.told() == [Told("Account.Revoked", 1102, 3, ("Account", uid), revoked, [])]


def test_life_of_a_key_is_told_without_its_token(desk: Desk) -> None:
    expiry = "2100-01-02T03:04:05.000006Z"
    body = {"name": "till", "expiresAt": expiry, "grants": [{"grant": GRANT}]}
    made = desk.send("POST", "/v1/keys", body)
    uid = made["uid"]
    assert (made["accountUid"], made["expiresAt"]) == (desk.account, expiry)
    created = {
        "uid": uid, "name": "till", "accountUid": desk.account, "expiresAt": expiry,
        "grants": [{"tenantUid": desk.tenant, "grant": GRANT}],
    }  # fmt: skip
    assert desk.told() == [Told("Key.Created", 1200, 3, ("Key", uid), created, [])]
    desk.send("DELETE", f"/v1/keys/{uid}", status=204)
    revoked = {"uid": uid, "name": "till", "accountUid": desk.account}
    assert desk.told() == [Told("Key.Revoked", 1201, 3, ("Key", uid), revoked, [])]


@pytest.mark.parametrize("holder", ["account", "key"])
def test_grants_are_told_in_the_tenant_they_are_about(desk: Desk, holder: str) -> None:
    body = {"name": "n", "grants": [{"grant": "viewer"}]}
    uid = desk.send("POST", f"/v1/{holder}s", body)["uid"]
    assert len(desk.told()) == 1
    for on in (desk.tenant, desk.company):
        grants = f"/v1/{holder}s/{uid}/grants"
        given = desk.send("POST", grants, {"grant": GRANT, "tenantUid": on})
        payload = {"holder": holder, "holderUid": uid, "tenantUid": on, "grant": GRANT}
        related = [{"id": uid, "type": holder.capitalize()}]
        assert desk.told(on) == [Told("Grant.Added", 1300, 3, ("Tenant", on), payload, related)]

        assert desk.send("POST", grants, {"grant": GRANT, "tenantUid": on}) == given, "given twice is given once"
        assert desk.told(on) == []

        desk.send("DELETE", f"{grants}/{given['uid']}", status=204)
        assert desk.told(on) == [Told("Grant.Revoked", 1301, 3, ("Tenant", on), payload, related)]
        found = desk.api.get(
            f"/v1/events?from=2020-01-01T00:00:00Z&relatedEntityId={uid}&eventCode=1301&tenantUid={on}", desk.key
        )
        assert [event["type"] for event in found.json()["data"]] == ["Grant.Revoked"]


def test_life_of_an_event_type_is_told(desk: Desk) -> None:
    schema = {"type": "object", "required": ["by"]}
    desk.send("POST", "/v1/event-types", {"type": "door.open", "schema": schema, "defaultCode": 10001})
    created = {"type": "door.open", "schema": schema, "defaultCode": 10001}
    target = ("EventType", "door.open")
    assert desk.told() == [Told("EventType.Created", 1400, 4, target, created, [])]

    patch = {"schema": None, "defaultCode": 10002, "defaultCriticality": 3}
    desk.send("PATCH", "/v1/event-types/door.open", patch, 200)
    changes = {"schema": {"from": schema}, "defaultCode": {"from": 10001, "to": 10002}, "defaultCriticality": {"to": 3}}
    updated = {"type": "door.open", "changes": changes}
    assert desk.told() == [Told("EventType.Updated", 1401, 4, target, updated, [])]

    desk.send("DELETE", "/v1/event-types/door.open", status=204)
    assert desk.told() == [Told("EventType.Deleted", 1402, 3, target, {"type": "door.open"}, [])]


def test_nothing_is_told_when_nothing_changes(desk: Desk) -> None:
    api = desk.api
    uid = desk.send("POST", "/v1/accounts", {"name": "Ada"})["uid"]
    desk.send("POST", "/v1/event-types", {"type": "door.open", "defaultCode": 10001})
    desk.send("DELETE", f"/v1/accounts/{uid}", status=204)
    assert len(desk.told()) == 3
    for _ in range(2):
        desk.send("PATCH", f"/v1/accounts/{uid}", {"name": "Ada"}, 200)
        desk.send("DELETE", f"/v1/accounts/{uid}", status=204)
        desk.send("PATCH", "/v1/event-types/door.open", {"defaultCode": 10001}, 200)
        desk.send("PATCH", "/v1/event-types/door.open", {}, 200)
        api.patch(f"/v1/tenants/{desk.tenant}", desk.key, {"rejectReservedCodes": False})
        desk.send("DELETE", f"/v1/accounts/{NOBODY}", status=404)
        desk.send("DELETE", f"/v1/keys/{NOBODY}", status=404)
        desk.send("DELETE", f"/v1/accounts/{uid}/grants/{NOBODY}", status=404)
        desk.send("POST", "/v1/event-types", {"type": "door.open"}, 409)
        desk.send("POST", "/v1/tenants", {"kind": "company", "name": "n", "shortName": "no-parent"}, 409)
    assert desk.told() == []


def test_no_stored_byte_holds_a_token(api: Api, tenant: str, owner: str) -> None:
    headers = [("idempotency-key", "once")]
    body = {"name": "gateway", "grants": [{"grant": "connector"}]}
    made = [api.post("/v1/keys", owner, body, headers=headers).json() for _ in range(2)]
    assert made[1] == {**made[0], "token": None}
    token = made[0]["token"]
    assert api.post("/v1/events", token, {"eventCode": 10001}).status == 201
    stored = b"".join(_stored(api))
    assert hash_token(token) in stored, "the search looks at the right bytes"
    assert made[0]["hint"] == token[:7]
    for secret in (token, owner, api.root):
        assert secret.encode() not in stored
        assert secret[len("hg_") :].encode() not in stored


def _stored(api: Api) -> Iterator[bytes]:
    """Yield all bytes that the platform has stored: its files, or the values of all its tables."""
    if api.settings.database_url is None:
        for path in api.settings.data.iterdir():
            yield path.read_bytes()
        return
    with psycopg.connect(api.settings.database_url.reveal()) as connection:
        tables = connection.execute("select tablename from pg_tables where schemaname = 'public'").fetchall()
        for (table,) in tables:
            for row in connection.execute(sql.SQL("select * from {}").format(sql.Identifier(table))):
                yield from (value if isinstance(value, bytes) else str(value).encode() for value in row)
