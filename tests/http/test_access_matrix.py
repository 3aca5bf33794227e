"""Every route, tried with every kind of key: the table below says what each is answered."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from heliograph.http.app import ROUTES
from heliograph.tenancy.model import PERMISSIONS, ROLES
from tests.http.inprocess import SINCE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from heliograph.storage.engine import Transaction
    from tests.http.inprocess import Answer, Api

_WORDS = {
    "r": "read", "c": "create", "u": "update", "d": "delete", "g": "register", "p": "report", "f": "confirm",
    "n": "read_pin", "s": "resend",
}  # fmt: skip
_ROLE_NAMES = ("owner", "operator", "integrator", "connector", "auditor", "viewer")
_ROLE_TABLE = {
    "event": ("rc", "rc", "rc", "c", "r", "r"),
    "event_type": ("rcud", "rcud", "rcud", "r", "r", "r"),
    "tenant": ("rcud", "r", "r", "", "r", "r"),
    "account": ("rcud", "r", "", "", "r", ""),
    "key": ("rcud", "r", "", "", "r", ""),
    "device": ("rcudgp", "rcudgp", "r", "rugp", "r", "r"),
    "tag": ("rcud", "rcud", "r", "", "r", "r"),
    "location": ("rcud", "rcud", "r", "", "r", "r"),
    "policy": ("rcud", "rcud", "r", "", "r", "r"),
    "connected_account": ("rcud", "rcud", "r", "", "r", "r"),
    "recipe": ("rcudf", "rcudf", "rcu", "", "r", "r"),
    "endpoint": ("rcuds", "rcuds", "rcuds", "", "r", ""),
    "delivery": ("rcuds", "rcuds", "rcuds", "", "r", ""),
    "access_code": ("rcudpn", "rcudp", "ru", "p", "r", "r"),
}
"""What the roles may do with the entities that have routes; on purpose not taken from the program."""

ROLES_WITH = {
    f"{_WORDS[letter]} {entity}.tenant": {
        role for role, held in zip(_ROLE_NAMES, letters, strict=True) if letter in held
    }
    for entity, letters in _ROLE_TABLE.items()
    for letter in _WORDS
}


@dataclass(frozen=True)
class Ground:
    """The tenant that a request is about, and tenants around it."""

    api: Api
    tenant: str
    sibling: str
    parent: str
    child: str | None = None
    """A tenant below, if it is a company."""

    def at(self, path: str) -> str:
        """Name the tenant."""
        return f"{path}{'&' if '?' in path else '?'}tenantUid={self.tenant}"

    def event(self) -> str:
        return str(self.api.made(self.at("/v1/events"), {"eventCode": 10001})["id"])

    def type(self) -> str:
        return str(self.api.made(self.at("/v1/event-types"), {"type": self.api.short_name()})["type"])

    def account(self) -> str:
        return self.api.account(self.tenant)

    def key(self) -> str:
        return str(self.api.key_for(self.api.account(self.tenant), self.tenant, "owner")["uid"])

    def reference(self, collection: str) -> str:
        return str(self.api.made(self.at(f"/v1/{collection}"), {"name": self.api.short_name()})["uid"])

    def connected_account(self) -> str:
        body = {"name": self.api.short_name(), "provider": "august"}
        return str(self.api.made(self.at("/v1/connected-accounts"), body)["uid"])

    def identity(self) -> dict[str, str]:
        return {"brand": "Samsung", "serialNumber": self.api.short_name()}

    def device(self) -> str:
        return str(self.api.made(self.at("/v1/devices"), self.identity())["uid"])

    def lock(self) -> str:
        """Enrol a device that can report access codes."""
        body = self.identity() | {"connectedAccountUid": self.connected_account()}
        return str(self.api.made(self.at("/v1/devices"), body)["uid"])

    def access_code(self) -> str:
        lock = self.lock()
        report = {"complete": True, "codes": [{"externalId": "17", "code": "4711"}]}
        target = self.at(f"/v1/devices/{lock}/access-code-report")
        assert self.api.send("PUT", target, self.api.root, report).status == 200
        (code,) = self.api.get(self.at(f"/v1/access-codes?deviceUid={lock}"), self.api.root).json()["data"]
        return str(code["uid"])

    def endpoint(self) -> str:
        body = {"url": "https://hooks.example.com/", "eventTypes": ["nothing.of.that.name"]}
        return str(self.api.made(self.at("/v1/endpoints"), body)["uid"])

    def operation(self) -> str:
        """Ask for something to be done about a code."""
        answer = self.api.post(self.at(f"/v1/access-codes/{self.access_code()}/convert"), self.api.root, {})
        assert answer.status == 202, answer
        return str(answer.json()["uid"])

    def delivery(self) -> str:
        answer = self.api.request("POST", self.at(f"/v1/endpoints/{self.endpoint()}/test"), self.api.root)
        assert answer.status == 202, answer
        return str(answer.json()["deliveryId"])

    def recipe(self) -> str:
        return str(self.api.made(self.at("/v1/provisioning-recipes"), self.identity())["uid"])

    def job(self) -> str:
        target = self.at("/v1/provisioning-recipes/import?dryRun=true")
        headers = [("content-type", "text/csv")]
        job = self.api.request("POST", target, self.api.root, b"brand,serial\nSamsung,1\n", headers).json()
        # Its end is an event of its own, which must not come between others.
        while job["state"] in ("queued", "running"):
            job = self.api.get(self.at(f"/v1/jobs/{job['uid']}"), self.api.root).json()
        return str(job["uid"])

    def grant_of(self, path: str) -> str:
        made = self.api.made(self.at(f"{path}/grants"), {"grant": "read device.tenant"})
        return f"{path}/grants/{made['uid']}"


Request = tuple[str, Any]
"""Target and body; None sends no body."""


@dataclass(frozen=True)
class Case:
    """What a route needs, and a request that is answered `status` when it may be made.

    `permission` is "" where any key will do, and None where no key is needed; `besides` is needed as well.
    """

    permission: str | None
    request: Callable[[Ground], Request]
    status: int = 200
    of_company: bool = False
    besides: tuple[str, ...] = ()


def _public(path: str) -> Case:
    return Case(None, lambda ground: (path, None))


TABLE: dict[tuple[str, str], Case] = {
    ("POST", "/v1/events"): Case(
        "create event.tenant", lambda g: (g.at("/v1/events"), {"eventCode": 10001}), 201
    ),
    ("GET", "/v1/events"): Case("read event.tenant", lambda g: (g.at(f"/v1/events?{SINCE}"), None)),
    ("GET", "/v1/events/{id}"): Case("read event.tenant", lambda g: (g.at(f"/v1/events/{g.event()}"), None)),
    ("GET", "/v1/event-types"): Case("read event_type.tenant", lambda g: (g.at("/v1/event-types"), None)),
    ("POST", "/v1/event-types"): Case(
        "create event_type.tenant", lambda g: (g.at("/v1/event-types"), {"type": g.api.short_name()}), 201
    ),
    ("GET", "/v1/event-types/{type}"): Case(
        "read event_type.tenant", lambda g: (g.at(f"/v1/event-types/{g.type()}"), None)
    ),
    ("PATCH", "/v1/event-types/{type}"): Case(
        "update event_type.tenant", lambda g: (g.at(f"/v1/event-types/{g.type()}"), {"defaultCriticality": 1})
    ),
    ("DELETE", "/v1/event-types/{type}"): Case(
        "delete event_type.tenant", lambda g: (g.at(f"/v1/event-types/{g.type()}"), None), 204
    ),
    ("GET", "/v1/tenants"): Case("", lambda g: ("/v1/tenants", None)),
    ("POST", "/v1/tenants"): Case(
        "create tenant.tenant",
        lambda g: (g.at("/v1/tenants"), {"kind": "organization", "name": "new", "shortName": g.api.short_name()}),
        201,
        of_company=True,
    ),
    ("GET", "/v1/tenants/{uid}"): Case("read tenant.tenant", lambda g: (f"/v1/tenants/{g.tenant}", None)),
    ("PATCH", "/v1/tenants/{uid}"): Case(
        "update tenant.tenant", lambda g: (f"/v1/tenants/{g.tenant}", {"name": g.api.short_name()})
    ),
    ("GET", "/v1/accounts"): Case("read account.tenant", lambda g: (g.at("/v1/accounts"), None)),
    ("POST", "/v1/accounts"): Case(
        "create account.tenant", lambda g: (g.at("/v1/accounts"), {"name": "new"}), 201
    ),
    ("GET", "/v1/accounts/{uid}"): Case(
        "read account.tenant", lambda g: (g.at(f"/v1/accounts/{g.account()}"), None)
    ),
    ("PATCH", "/v1/accounts/{uid}"): Case(
        "update account.tenant", lambda g: (g.at(f"/v1/accounts/{g.account()}"), {"name": "renamed"})
    ),
    ("DELETE", "/v1/accounts/{uid}"): Case(
        "delete account.tenant", lambda g: (g.at(f"/v1/accounts/{g.account()}"), None), 204
    ),
    ("POST", "/v1/accounts/{uid}/grants"): Case(
        "update account.tenant",
        lambda g: (g.at(f"/v1/accounts/{g.account()}/grants"), {"grant": "update account.tenant"}),
        201,
    ),
    ("DELETE", "/v1/accounts/{uid}/grants/{grantUid}"): Case(
        "update account.tenant", lambda g: (g.at(g.grant_of(f"/v1/accounts/{g.account()}")), None), 204
    ),
    ("GET", "/v1/keys"): Case("read key.tenant", lambda g: (g.at("/v1/keys"), None)),
    ("POST", "/v1/keys"): Case(
        "create key.tenant",
        lambda g: (g.at("/v1/keys"), {"name": "new", "grants": [{"grant": "create key.tenant"}]}),
        201,
    ),
    ("GET", "/v1/keys/{uid}"): Case("read key.tenant", lambda g: (g.at(f"/v1/keys/{g.key()}"), None)),
    ("DELETE", "/v1/keys/{uid}"): Case("delete key.tenant", lambda g: (g.at(f"/v1/keys/{g.key()}"), None), 204),
    ("POST", "/v1/keys/{uid}/grants"): Case(
        "update key.tenant", lambda g: (g.at(f"/v1/keys/{g.key()}/grants"), {"grant": "update key.tenant"}), 201
    ),
    ("DELETE", "/v1/keys/{uid}/grants/{grantUid}"): Case(
        "update key.tenant", lambda g: (g.at(g.grant_of(f"/v1/keys/{g.key()}")), None), 204
    ),
    ("GET", "/v1/devices"): Case("read device.tenant", lambda g: (g.at("/v1/devices"), None)),
    ("POST", "/v1/devices"): Case("create device.tenant", lambda g: (g.at("/v1/devices"), g.identity()), 201),
    ("POST", "/v1/devices/register"): Case(
        "register device.tenant", lambda g: (g.at("/v1/devices/register"), g.identity())
    ),
    ("GET", "/v1/devices/{uid}"): Case("read device.tenant", lambda g: (g.at(f"/v1/devices/{g.device()}"), None)),
    ("PATCH", "/v1/devices/{uid}"): Case(
        "update device.tenant", lambda g: (g.at(f"/v1/devices/{g.device()}"), {"name": "renamed"})
    ),
    ("DELETE", "/v1/devices/{uid}"): Case(
        "delete device.tenant", lambda g: (g.at(f"/v1/devices/{g.device()}"), None), 204
    ),
    ("POST", "/v1/devices/{uid}/deprovision"): Case(
        "update device.tenant", lambda g: (g.at(f"/v1/devices/{g.device()}/deprovision"), None)
    ),
    ("POST", "/v1/devices/{uid}/reports"): Case(
        "report device.tenant", lambda g: (g.at(f"/v1/devices/{g.device()}/reports"), {})
    ),
    ("GET", "/v1/connected-accounts"): Case(
        "read connected_account.tenant", lambda g: (g.at("/v1/connected-accounts"), None)
    ),
    ("POST", "/v1/connected-accounts"): Case(
        "create connected_account.tenant",
        lambda g: (g.at("/v1/connected-accounts"), {"name": "new", "provider": "august"}),
        201,
    ),
    ("GET", "/v1/connected-accounts/{uid}"): Case(
        "read connected_account.tenant", lambda g: (g.at(f"/v1/connected-accounts/{g.connected_account()}"), None)
    ),
    ("PATCH", "/v1/connected-accounts/{uid}"): Case(
        "update connected_account.tenant",
        lambda g: (g.at(f"/v1/connected-accounts/{g.connected_account()}"), {"name": "renamed"}),
    ),
    ("POST", "/v1/connected-accounts/{uid}/disconnect"): Case(
        "update connected_account.tenant",
        lambda g: (g.at(f"/v1/connected-accounts/{g.connected_account()}/disconnect"), None),
    ),
    # An account that is connected stays so.
    ("POST", "/v1/connected-accounts/{uid}/reconnect"): Case(
        "update connected_account.tenant",
        lambda g: (g.at(f"/v1/connected-accounts/{g.connected_account()}/reconnect"), None),
    ),
    ("DELETE", "/v1/connected-accounts/{uid}"): Case(
        "delete connected_account.tenant",
        lambda g: (g.at(f"/v1/connected-accounts/{g.connected_account()}"), None),
        204,
    ),
    ("PUT", "/v1/devices/{uid}/access-code-report"): Case(
        "report access_code.tenant",
        lambda g: (g.at(f"/v1/devices/{g.lock()}/access-code-report"), {"complete": True, "codes": []}),
    ),
    ("GET", "/v1/access-codes"): Case("read access_code.tenant", lambda g: (g.at("/v1/access-codes"), None)),
    ("GET", "/v1/access-codes/{id}"): Case(
        "read access_code.tenant", lambda g: (g.at(f"/v1/access-codes/{g.access_code()}"), None)
    ),
    ("POST", "/v1/access-codes"): Case(
        "create access_code.tenant", lambda g: (g.at("/v1/access-codes"), {"deviceUid": g.lock()}), 202
    ),
    # Only a managed code is changed so.
    ("PATCH", "/v1/access-codes/{id}"): Case(
        "update access_code.tenant", lambda g: (g.at(f"/v1/access-codes/{g.access_code()}"), {"name": "x"}), 409
    ),
    ("DELETE", "/v1/access-codes/{id}"): Case(
        "delete access_code.tenant", lambda g: (g.at(f"/v1/access-codes/{g.access_code()}"), None), 202
    ),
    ("POST", "/v1/access-codes/{id}/convert"): Case(
        "update access_code.tenant", lambda g: (g.at(f"/v1/access-codes/{g.access_code()}/convert"), {}), 202
    ),
    ("GET", "/v1/access-codes/{id}/operations"): Case(
        "read access_code.tenant", lambda g: (g.at(f"/v1/access-codes/{g.access_code()}/operations"), None)
    ),
    ("GET", "/v1/device-operations"): Case(
        "report access_code.tenant", lambda g: (g.at("/v1/device-operations"), None)
    ),
    ("GET", "/v1/device-operations/{id}"): Case(
        "report access_code.tenant", lambda g: (g.at(f"/v1/device-operations/{g.operation()}"), None)
    ),
    # Nobody has taken it.
    ("POST", "/v1/device-operations/{id}/complete"): Case(
        "report access_code.tenant",
        lambda g: (g.at(f"/v1/device-operations/{g.operation()}/complete"), {"outcome": "succeeded"}),
        409,
    ),
    ("GET", "/v1/provisioning-recipes"): Case(
        "read recipe.tenant", lambda g: (g.at("/v1/provisioning-recipes"), None)
    ),
    ("POST", "/v1/provisioning-recipes"): Case(
        "create recipe.tenant", lambda g: (g.at("/v1/provisioning-recipes"), g.identity()), 201
    ),
    # The right is asked for before the file is: JSON is none.
    ("POST", "/v1/provisioning-recipes/import"): Case(
        "create recipe.tenant", lambda g: (g.at("/v1/provisioning-recipes/import"), {}), 415
    ),
    ("GET", "/v1/provisioning-recipes/{uid}"): Case(
        "read recipe.tenant", lambda g: (g.at(f"/v1/provisioning-recipes/{g.recipe()}"), None)
    ),
    ("PATCH", "/v1/provisioning-recipes/{uid}"): Case(
        "update recipe.tenant", lambda g: (g.at(f"/v1/provisioning-recipes/{g.recipe()}"), {"deviceName": "Lobby"})
    ),
    ("DELETE", "/v1/provisioning-recipes/{uid}"): Case(
        "delete recipe.tenant", lambda g: (g.at(f"/v1/provisioning-recipes/{g.recipe()}"), None), 204
    ),
    # A recipe that waits is not retried.
    ("POST", "/v1/provisioning-recipes/{uid}/retry"): Case(
        "update recipe.tenant", lambda g: (g.at(f"/v1/provisioning-recipes/{g.recipe()}/retry"), None), 409
    ),
    ("POST", "/v1/provisioning-recipes/{uid}/claim-code"): Case(
        "confirm recipe.tenant", lambda g: (g.at(f"/v1/provisioning-recipes/{g.recipe()}/claim-code"), {}), 201
    ),
    ("GET", "/v1/provisioning-recipes/{uid}/attempts"): Case(
        "read recipe.tenant", lambda g: (g.at(f"/v1/provisioning-recipes/{g.recipe()}/attempts"), None)
    ),
    ("GET", "/v1/registration-attempts"): Case(
        "read recipe.tenant", lambda g: (g.at("/v1/registration-attempts"), None)
    ),
    ("GET", "/v1/endpoints"): Case("read endpoint.tenant", lambda g: (g.at("/v1/endpoints"), None)),
    ("POST", "/v1/endpoints"): Case(
        "create endpoint.tenant",
        lambda g: (g.at("/v1/endpoints"), {"url": "https://hooks.example.com/"}),
        201,
        besides=("read event.tenant",),
    ),
    ("GET", "/v1/endpoints/{uid}"): Case(
        "read endpoint.tenant", lambda g: (g.at(f"/v1/endpoints/{g.endpoint()}"), None)
    ),
    ("GET", "/v1/endpoints/{uid}/health"): Case(
        "read endpoint.tenant", lambda g: (g.at(f"/v1/endpoints/{g.endpoint()}/health"), None)
    ),
    ("PATCH", "/v1/endpoints/{uid}"): Case(
        "update endpoint.tenant", lambda g: (g.at(f"/v1/endpoints/{g.endpoint()}"), {"rate": 1})
    ),
    ("DELETE", "/v1/endpoints/{uid}"): Case(
        "delete endpoint.tenant", lambda g: (g.at(f"/v1/endpoints/{g.endpoint()}"), None), 204
    ),
    ("POST", "/v1/endpoints/{uid}/rotate-secret"): Case(
        "update endpoint.tenant", lambda g: (g.at(f"/v1/endpoints/{g.endpoint()}/rotate-secret"), None)
    ),
    ("POST", "/v1/endpoints/{uid}/test"): Case(
        "update endpoint.tenant", lambda g: (g.at(f"/v1/endpoints/{g.endpoint()}/test"), None), 202
    ),
    ("GET", "/v1/deliveries"): Case("read delivery.tenant", lambda g: (g.at("/v1/deliveries"), None)),
    ("GET", "/v1/deliveries/{deliveryId}"): Case(
        "read delivery.tenant", lambda g: (f"/v1/deliveries/{g.delivery()}", None)
    ),
    ("GET", "/v1/deliveries/{deliveryId}/attempts"): Case(
        "read delivery.tenant", lambda g: (f"/v1/deliveries/{g.delivery()}/attempts", None)
    ),
    ("POST", "/v1/deliveries/{deliveryId}/resend"): Case(
        "resend delivery.tenant", lambda g: (f"/v1/deliveries/{g.delivery()}/resend", None), 202
    ),
    ("GET", "/healthz"): _public("/healthz"),
    ("GET", "/readyz"): _public("/readyz"),
    ("GET", "/metrics"): _public("/metrics"),
    ("GET", "/openapi.json"): _public("/openapi.json"),
}  # fmt: skip


def _of_references(collection: str, entity: str) -> dict[tuple[str, str], Case]:
    """Return the rows of tags, locations or policies, which are all alike."""
    path = f"/v1/{collection}"

    def one(g: Ground) -> str:
        return g.at(f"{path}/{g.reference(collection)}")

    return {
        ("GET", path): Case(f"read {entity}.tenant", lambda g: (g.at(path), None)),
        ("POST", path): Case(f"create {entity}.tenant", lambda g: (g.at(path), {"name": g.api.short_name()}), 201),
        ("GET", path + "/{uid}"): Case(f"read {entity}.tenant", lambda g: (one(g), None)),
        ("PATCH", path + "/{uid}"): Case(f"update {entity}.tenant", lambda g: (one(g), {"name": g.api.short_name()})),
        ("DELETE", path + "/{uid}"): Case(f"delete {entity}.tenant", lambda g: (one(g), None), 204),
    }


def _of_switch(action: str) -> Case:
    return Case("update endpoint.tenant", lambda g: (g.at(f"/v1/endpoints/{g.endpoint()}/{action}"), None))


TABLE |= {
    ("POST", f"/v1/endpoints/{{uid}}/{action}"): _of_switch(action)
    for action in ("pause", "resume", "disable", "enable")
}
TABLE |= _of_references("tags", "tag")
TABLE |= _of_references("locations", "location")
TABLE |= _of_references("policies", "policy")

ELSEWHERE = {
    # Needs another permission in another tenant: tests/http/test_devices.py.
    ("POST", "/v1/devices/{uid}/move"): "update device.tenant",
    # What is needed depends on the kind of job: tests/http/test_jobs.py.
    ("GET", "/v1/jobs"): "",
    ("GET", "/v1/jobs/{uid}"): "",
    ("GET", "/v1/jobs/{uid}/rows"): "",
    ("POST", "/v1/jobs/{uid}/cancel"): "",
}
"""Routes whose rights do not fit one row, with the permission that they name, and where they are tried."""


class Keys:
    """One key of each kind around a ground; those of single permissions are made when they are asked for."""

    def __init__(self, ground: Ground) -> None:
        api = ground.api
        self._ground = ground
        self._made: dict[str, str] = {}
        self.useless = {"revoked": _revoked_key(ground), "expired": _expired_key(ground), "ended": _ended_key(ground)}
        self.sibling = api.key(ground.sibling, "owner")
        self.parent = api.key(ground.parent, "owner")
        self.child = api.key(ground.child, "owner") if ground.child else ""
        self.roles = {role: api.key(ground.tenant, role) for role in _ROLE_NAMES}

    def only(self, *permissions: str) -> str:
        """Return a key with these permissions, most often one."""
        name = ", ".join(permissions)
        if name not in self._made:
            self._made[name] = self._ground.api.key(self._ground.tenant, *permissions)
        return self._made[name]

    def all_but(self, permission: str) -> str:
        """Return a key with every permission but one."""
        name = f"all but {permission}"
        if name not in self._made:
            others = [other for other in PERMISSIONS if other != permission]
            self._made[name] = self._ground.api.key(self._ground.tenant, *others)
        return self._made[name]


def _revoked_key(ground: Ground) -> str:
    made = ground.api.key_for(ground.account(), ground.tenant, "owner")
    assert ground.api.delete(ground.at(f"/v1/keys/{made['uid']}"), ground.api.root).status == 204
    return str(made["token"])


def _expired_key(ground: Ground) -> str:
    made = ground.api.key_for(ground.api.account(ground.tenant, "owner"), ground.tenant, "owner")

    def expire(tx: Transaction) -> None:
        uid = bytes.fromhex(made["uid"])
        assert tx.run("update api_key set expires_at = :now where uid = :uid", now=tx.now, uid=uid) == 1

    ground.api.run(expire)
    return str(made["token"])


def _ended_key(ground: Ground) -> str:
    account = ground.api.account(ground.tenant, "owner")
    made = ground.api.key_for(account, ground.tenant, "owner")
    assert ground.api.delete(ground.at(f"/v1/accounts/{account}"), ground.api.root).status == 204
    return str(made["token"])


@pytest.fixture(scope="module")
def grounds(api: Api) -> dict[bool, tuple[Ground, Keys]]:
    """An organization among others, and (under True) the company above it, each with its keys."""
    region = api.tenant(kind="company")
    shop, other_shop = api.tenant(region), api.tenant(region)
    of_shop = Ground(api, shop, other_shop, region)
    of_region = Ground(api, region, api.tenant(kind="company"), api.company, shop)
    return {False: (of_shop, Keys(of_shop)), True: (of_region, Keys(of_region))}


def test_every_route_is_in_the_table_with_the_permission_it_asks_for() -> None:
    assert {(route.method, route.path): route.permission for route in ROUTES.all} == {
        name: case.permission for name, case in TABLE.items()
    } | ELSEWHERE


def test_roles_hold_what_the_table_says() -> None:
    for permission, names in ROLES_WITH.items():
        if permission in PERMISSIONS:
            assert {role for role, held in ROLES.items() if permission in held} == names, permission


UNAUTHENTICATED: dict[str, list[tuple[str, str]]] = {
    "no key": [],
    "no scheme": [("authorization", "hg_abc")],
    "another scheme": [("authorization", "Basic aGc6aGc=")],
    "no token": [("authorization", "Bearer ")],
    "a wrong key": [("authorization", "Bearer hg_" + "A" * 43)],
    "a key with a NUL": [("authorization", "Bearer hg_\x00")],
}


@pytest.mark.parametrize(("method", "path"), TABLE)
def test_route_answers_each_kind_of_key_as_the_table_says(
    grounds: dict[bool, tuple[Ground, Keys]], method: str, path: str
) -> None:
    case = TABLE[method, path]
    ground, keys = grounds[case.of_company]
    tried: dict[str, int] = {}
    pending = [case.request(ground)]

    def attempt(name: str, key: str | None, headers: list[tuple[str, str]] | None = None) -> Answer:
        target, body = pending[0]
        if body is None:
            answer = ground.api.request(method, target, key, headers=headers or [])
        else:
            answer = ground.api.send(method, target, key, body, headers=headers or [])
        tried[name] = answer.status
        if answer.status < 300:
            pending[0] = case.request(ground)
        return answer

    lacking = keys.all_but(case.permission) if case.permission else ""
    all_but = {besides: keys.all_but(besides) for besides in case.besides}
    before = ground.api.head(ground.tenant)
    for name, headers in UNAUTHENTICATED.items():
        attempt(name, None, headers)
    for name, key in keys.useless.items():
        attempt(name, key)
    if case.permission:
        beside = attempt("sibling", keys.sibling)
        assert "permission" not in beside.json()["detail"]
        refused = attempt("all but the permission", lacking)
        assert f"'{case.permission}'" in refused.json()["detail"]
        for besides in case.besides:
            refused = attempt(f"all but {besides}", all_but[besides])
            assert f"'{besides}'" in refused.json()["detail"]
        assert ground.api.head(ground.tenant) == before, "a refused request left something behind"
        attempt("only the permission", keys.only(case.permission, *case.besides))
    attempt("parent", keys.parent)
    for role, key in keys.roles.items():
        attempt(role, key)
    assert tried == dict(_expected(case, [*UNAUTHENTICATED, *keys.useless]))


def _expected(case: Case, unauthenticated: list[str]) -> Iterator[tuple[str, int]]:
    for name in unauthenticated:
        yield name, case.status if case.permission is None else 401
    if case.permission:
        yield "sibling", 404
        yield "all but the permission", 403
        yield from ((f"all but {besides}", 403) for besides in case.besides)
        yield "only the permission", case.status
    yield "parent", case.status
    for role in _ROLE_NAMES:
        allowed = not case.permission or all(role in ROLES_WITH[name] for name in (case.permission, *case.besides))
        yield role, case.status if allowed else 403


@pytest.mark.parametrize(("method", "path"), [name for name, case in TABLE.items() if case.permission])
def test_key_of_a_child_does_not_see_the_company_above(
    grounds: dict[bool, tuple[Ground, Keys]], method: str, path: str
) -> None:
    ground, keys = grounds[True]
    case = TABLE[method, path]
    # What only organizations own is asked for under its true name, but in the company.
    owner = grounds[case.of_company][0]
    target, body = case.request(owner)
    target = target.replace(owner.tenant, ground.tenant)
    before = ground.api.head(ground.tenant)
    answer = ground.api.send(method, target, keys.child, body)
    unknown = ground.api.send(method, target.replace(ground.tenant, "0" * 32), keys.child, body)
    assert answer.status == 404
    assert _without_id(answer) == _without_id(unknown)
    assert ground.api.head(ground.tenant) == before


def _without_id(answer: Answer) -> Any:
    document = answer.json()
    del document["requestId"]
    return document


_BY_UID: dict[tuple[str, str], Callable[[Ground], str]] = {
    ("GET", "/v1/events/{}"): Ground.event,
    ("GET", "/v1/event-types/{}"): Ground.type,
    ("PATCH", "/v1/event-types/{}"): Ground.type,
    ("DELETE", "/v1/event-types/{}"): Ground.type,
    ("GET", "/v1/tenants/{}"): lambda ground: ground.tenant,
    ("PATCH", "/v1/tenants/{}"): lambda ground: ground.tenant,
    ("GET", "/v1/accounts/{}"): Ground.account,
    ("PATCH", "/v1/accounts/{}"): Ground.account,
    ("DELETE", "/v1/accounts/{}"): Ground.account,
    ("POST", "/v1/accounts/{}/grants"): Ground.account,
    ("DELETE", "/v1/accounts/{}/grants/00000000000000000000000000000000"): Ground.account,
    ("GET", "/v1/keys/{}"): Ground.key,
    ("DELETE", "/v1/keys/{}"): Ground.key,
    ("POST", "/v1/keys/{}/grants"): Ground.key,
    ("DELETE", "/v1/keys/{}/grants/00000000000000000000000000000000"): Ground.key,
}
for _collection in ("tags", "locations", "policies"):
    for _method in ("GET", "PATCH", "DELETE"):
        _BY_UID[_method, f"/v1/{_collection}/{{}}"] = partial(Ground.reference, collection=_collection)
for _method, _action in (
    ("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/deprovision"), ("POST", "/reports"), ("POST", "/move"),
):  # fmt: skip
    _BY_UID[_method, "/v1/devices/{}" + _action] = Ground.device
for _method, _action in (
    ("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/disconnect"), ("POST", "/reconnect"),
):  # fmt: skip
    _BY_UID[_method, "/v1/connected-accounts/{}" + _action] = Ground.connected_account
for _method, _action in (
    ("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/retry"), ("POST", "/claim-code"), ("GET", "/attempts"),
):  # fmt: skip
    _BY_UID[_method, "/v1/provisioning-recipes/{}" + _action] = Ground.recipe
for _method, _action in (("GET", ""), ("GET", "/rows"), ("POST", "/cancel")):
    _BY_UID[_method, "/v1/jobs/{}" + _action] = Ground.job
for _method, _action in (
    ("GET", ""), ("GET", "/health"), ("PATCH", ""), ("DELETE", ""), ("POST", "/rotate-secret"), ("POST", "/test"),
    ("POST", "/pause"), ("POST", "/resume"), ("POST", "/disable"), ("POST", "/enable"),
):  # fmt: skip
    _BY_UID[_method, "/v1/endpoints/{}" + _action] = Ground.endpoint
for _method, _action in (("GET", ""), ("GET", "/attempts"), ("POST", "/resend")):
    _BY_UID[_method, "/v1/deliveries/{}" + _action] = Ground.delivery
_BY_UID["PUT", "/v1/devices/{}/access-code-report"] = Ground.lock
for _method, _action in (
    ("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/convert"), ("GET", "/operations"),
):  # fmt: skip
    _BY_UID[_method, "/v1/access-codes/{}" + _action] = Ground.access_code
for _method, _action in (("GET", ""), ("POST", "/complete")):
    _BY_UID[_method, "/v1/device-operations/{}" + _action] = Ground.operation
_BODIES: dict[str, Any] = {
    "/v1/devices/{}/access-code-report": {"complete": True, "codes": []},
    "/v1/access-codes/{}/convert": {},
    "/v1/device-operations/{}/complete": {"outcome": "succeeded"},
    "/v1/devices/{}/reports": {},
    "/v1/endpoints/{}": {"rate": 1},
    "/v1/endpoints/{}/rotate-secret": {},
    "/v1/devices/{}/move": {"tenantUid": "0" * 32},
    "/v1/connected-accounts/{}/disconnect": {},
    "/v1/provisioning-recipes/{}": {"deviceName": "taken over"},
    "/v1/provisioning-recipes/{}/claim-code": {},
    "/v1/event-types/{}": {"defaultCode": 1},
    "/v1/accounts/{}/grants": {"grant": "owner"},
    "/v1/keys/{}/grants": {"grant": "owner"},
}


def test_every_route_with_a_name_in_its_path_is_tried_with_names_of_others() -> None:
    assert len(_BY_UID) == sum("{" in route.path for route in ROUTES.all)


@pytest.mark.parametrize(("method", "path"), _BY_UID)
def test_what_belongs_to_another_tenant_looks_like_what_does_not_exist(
    grounds: dict[bool, tuple[Ground, Keys]], method: str, path: str
) -> None:
    ground, keys = grounds[False]
    theirs = _BY_UID[method, path](ground)
    unknown = "0" * len(theirs) if "-" not in theirs else "00000000-0000-0000-0000-000000000000"
    body = _BODIES.get(path, {"name": "taken over"})
    before = ground.api.head(ground.tenant)
    answers = [ground.api.send(method, path.format(name), keys.sibling, body) for name in (theirs, unknown)]
    assert [answer.status for answer in answers] == [404, 404]
    assert _without_id(answers[0]) == _without_id(answers[1])
    assert ground.api.head(ground.tenant) == before


def test_tenants_are_listed_to_those_who_may_read_them_and_to_nobody_else(api: Api) -> None:
    region = api.tenant(kind="company")
    shop, other_shop = api.tenant(region), api.tenant(region)
    seen_with = {
        api.root: {api.company, api.main, region, shop, other_shop},
        api.key(region, "viewer"): {region, shop, other_shop},
        api.key(shop, "auditor"): {shop},
        api.key(shop, "connector"): set(),
        api.key(shop, "read tenant.tenant", on=other_shop): {other_shop},
    }
    for key, expected in seen_with.items():
        listed = {tenant["uid"] for tenant in api.get("/v1/tenants?limit=1000", key).json()["data"]}
        assert listed & seen_with[api.root] == expected
        assert key == api.root or listed == expected


def test_key_is_refused_from_the_moment_it_expires(api: Api, tenant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = api.platform.store.clock
    expiry = clock.now() + 40_000_000
    key = api.key(tenant, "owner")

    def set_expiry(tx: Transaction) -> None:
        tx.run("update api_key set expires_at = :at where id = (select max(id) from api_key)", at=expiry)

    api.run(set_expiry)
    target = f"/v1/events?{SINCE}"
    monkeypatch.setattr(clock, "now", lambda: expiry - 1)
    assert api.get(target, key).status == 200
    monkeypatch.setattr(clock, "now", lambda: expiry)
    assert api.get(target, key).status == 401
