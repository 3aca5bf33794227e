"""Nobody learns or changes anything of another workspace: every route, asked with everything that the other has.

It runs over the route table itself. A parameter that is new to it fails the tests until `given_by` knows what to try.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from heliograph.dialects.seam.app import ROUTES, SEAM
from tests.dialects.house import SINCE, House, hyphenated, seam
from tests.http.inprocess import Api

if TYPE_CHECKING:
    from collections.abc import Iterator

    from heliograph.http.routes import Route
    from tests.http.inprocess import Answer

NOBODY = "00000000-0000-0000-0000-000000000000"
CANARY = "73915"
"""A PIN that nothing else contains."""

MANAGED = "58206"


@pytest.fixture(scope="module")
def victim(api: Api) -> House:
    """Whose things are tried; one lock and one code have names that are looked for in every answer."""
    house = House.build(api)
    house.report(house.locks[0], CANARY, "4711")
    return furnished(house)


@pytest.fixture(scope="module")
def attacker(api: Api) -> House:
    """Another organization of the same company, with things of its own."""
    return furnished(House.build(api))


def furnished(house: House) -> House:
    """Add a code that the house manages, and a webhook."""
    answer = house.api.post("/v1/access-codes", house.key, {"deviceUid": house.locks[0], "code": MANAGED})
    assert answer.status == 202, answer
    house.codes[MANAGED] = hyphenated(answer.json()["accessCode"]["uid"])
    made = house.post("/webhooks/create", url="https://hooks.example.com/")
    assert made.status == 200, made
    house.webhook = made.json()["webhook"]["webhook_id"]
    return house


def given_by(house: House, route: Route) -> dict[str, Any]:
    """Return a value for each parameter of the dialect, naming what is in the house where it names anything."""
    code, lock = house.codes.get(CANARY, house.codes["4711"]), house.locks[0]
    if route.path.startswith(f"{SEAM.prefix}/access_codes/") and "/unmanaged/" not in route.path:
        code = house.codes[MANAGED]
    return {
        "access_code_id": code, "access_code_ids": [code], "allow_external_modification": True,
        "attempt_for_offline_device": True, "created_before": "2200-01-01T00:00:00Z", "is_offline_access_code": False,
        "is_one_time_use": False, "prefer_native_scheduling": True, "use_backup_access_code_pool": False,
        "use_offline_access_code": False, "between": [SINCE, "2200-01-01T00:00:00Z"], "code": CANARY,
        "connected_account_id": house.account,
        "connected_account_ids": [house.account], "custom_metadata_has": {}, "device_id": lock, "device_ids": [lock],
        "device_type": "unknown", "device_types": [], "ends_at": "2200-01-01T00:00:00Z", "email": "a@example.com",
        "event_id": house.log()[-1]["id"], "event_ids": [record["id"] for record in house.log()],
        "event_type": "access_code.unmanaged.created", "event_types": ["access_code.unmanaged.created"],
        "exclude_if": [], "force": True, "include_if": [], "is_external_modification_allowed": True,
        "is_managed": True, "limit": 100, "manufacturer": "august", "name": "taken over", "page_cursor": None,
        "search": CANARY, "since": SINCE, "starts_at": "2100-01-01T00:00:00Z", "sync": False, "type": "ongoing",
        "unstable_offset": 0, "url": "https://hooks.example.com/", "webhook_id": house.webhook,
    }  # fmt: skip


def parameters_of(route: Route) -> tuple[list[str], list[str]]:
    """Return the names of a route's parameters: all, and those that are required."""
    assert route.query is not None
    fields = msgspec.structs.fields(route.query)
    return [field.encode_name for field in fields], [field.encode_name for field in fields if field.required]


def attempts(route: Route, values: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield parameters to try: none, each alone, each pair and all together, always with those that are required."""
    names, required = parameters_of(route)
    always = {name: values[name] for name in required}
    pairs = [(one, other) for n, one in enumerate(names) for other in names[n + 1 :]]
    for chosen in [(), *((name,) for name in names), *pairs, tuple(names)]:
        yield always | {name: values[name] for name in chosen}


def secrets_of(house: House) -> set[str]:
    """Return what must be in no answer to others."""
    uids = [
        house.workspace,
        house.account,
        house.webhook,
        *house.locks,
        *house.codes.values(),
        *(e["id"] for e in house.log()),
    ]
    return {*uids, *(uid.replace("-", "") for uid in uids), f"guest {CANARY}"}


def shown(answer: Answer) -> str:
    """Return a body without what it merely repeats of the question."""
    body = answer.json()
    body.pop("pagination", None)
    return msgspec.json.encode(body).decode()


ROUTE = pytest.mark.parametrize("route", ROUTES.all, ids=lambda route: f"{route.method} {route.path}")


@ROUTE
def test_every_parameter_of_every_route_has_something_to_try(victim: House, route: Route) -> None:
    assert set(parameters_of(route)[0]) <= given_by(victim, route).keys()


@ROUTE
def test_nothing_of_another_workspace_is_shown_or_changed(victim: House, attacker: House, route: Route) -> None:
    secrets, values = secrets_of(victim), given_by(victim, route)
    head, log = victim.api.head(victim.tenant), victim.log()
    path = route.path.removeprefix(SEAM.prefix)
    for parameters in attempts(route, values):
        answer = seam(attacker.api, route.method, path, attacker.key, parameters)
        assert answer.status in (200, 400, 404), (parameters, answer)
        assert not [secret for secret in secrets if secret in shown(answer)], (parameters, answer)
    assert (victim.api.head(victim.tenant), victim.log()) == (head, log)


@ROUTE
def test_things_of_others_look_like_things_that_do_not_exist(victim: House, attacker: House, route: Route) -> None:
    theirs = given_by(victim, route)
    unknown = {name: _nobody(value) if name.endswith(("_id", "_ids")) else value for name, value in theirs.items()}
    path = route.path.removeprefix(SEAM.prefix)
    for tried, untrue in zip(attempts(route, theirs), attempts(route, unknown), strict=True):
        answers = [seam(attacker.api, route.method, path, attacker.key, given) for given in (tried, untrue)]
        assert _without_request(answers[0]) == _without_request(answers[1]), tried


def _nobody(value: Any) -> Any:
    return [NOBODY] * len(value) if isinstance(value, list) else NOBODY


def _without_request(answer: Answer) -> tuple[int, str]:
    body = answer.json()
    body.get("error", {}).pop("request_id", None)
    body.pop("pagination", None)
    # What was just made is the attacker's own, and another one each time.
    if "secret" in body.get("webhook", {}):
        body.pop("webhook")
    return answer.status, msgspec.json.encode(body).decode()


@pytest.mark.parametrize(
    "route", [route for route in ROUTES.all if route.method == "GET"], ids=lambda route: str(route.path)
)
def test_owner_finds_with_the_same_parameters_what_others_do_not(attacker: House, route: Route) -> None:
    """Else the tests above could pass because nobody finds anything."""
    path = route.path.removeprefix(SEAM.prefix)
    values, secrets = given_by(attacker, route), secrets_of(attacker)
    answers = [seam(attacker.api, "GET", path, attacker.key, given) for given in attempts(route, values)]
    assert any(secret in shown(answer) for answer in answers if answer.status == 200 for secret in secrets)
