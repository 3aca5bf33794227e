"""`/v1/device-operations` and what is asked of access codes: the connector's long poll, and both sides' answers."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

from heliograph.app import _chores
from heliograph.http import waiting
from heliograph.ids import new_uid
from heliograph.operations import actions as operations
from heliograph.tenancy.access import as_system
from heliograph.times import parse_time
from tests.conftest import StoreUrl
from tests.http.inprocess import SAFETY_SECONDS, Api, settings_for

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from concurrent.futures import Future
    from pathlib import Path

    from heliograph.storage.engine import Transaction
    from tests.http.inprocess import Answer

_NUMBERS = count(1)
CODES, OPERATIONS = "/v1/access-codes", "/v1/device-operations"
COMES, GOES = "2099-03-02T12:00:00.000000Z", "2099-03-02T13:00:00.000000Z"
NOON, ONE = "2026-03-02T12:00:00.000000Z", "2026-03-02T13:00:00.000000Z"
CANARY = "73519846207"
"""A PIN that nothing else contains."""

CLEANING = {"externalId": "17", "code": "4711", "name": "Cleaning"}


class House:
    """An organization with the keys of an owner and a connector, an account and locks."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.uid = api.tenant()
        self.key = api.key(self.uid, "owner")
        self.connector = api.key(self.uid, "connector")
        account = {"name": "Harbour Hotel", "provider": "august"}
        self.account = str(api.made("/v1/connected-accounts", account, self.key)["uid"])

    def lock(self, **fields: Any) -> str:
        body = {"brand": "Yale", "serialNumber": f"O-{next(_NUMBERS)}", "connectedAccountUid": self.account}
        return str(self.api.made("/v1/devices", body | fields, self.key)["uid"])

    def shown(self, lock: str, **code: Any) -> str:
        """Let a lock show one code; return its uid."""
        body = {"complete": True, "codes": [CLEANING | code]}
        answer = self.api.send("PUT", f"/v1/devices/{lock}/access-code-report", self.connector, body)
        assert answer.status == 200, answer
        (found,) = self.api.get(f"{CODES}?deviceUid={lock}", self.key).json()["data"]
        return str(found["uid"])

    def convert(self, code: str, body: Any = None, **more: Any) -> Answer:
        return self.api.post(f"{CODES}/{code}/convert", self.key, body or {}, **more)

    def create(self, lock: str, **fields: Any) -> Any:
        answer = self.api.post(CODES, self.key, {"deviceUid": lock, "code": "4711"} | fields)
        assert answer.status == 202, answer
        return answer.json()

    def managed(self, lock: str, **fields: Any) -> str:
        """Create a code that the lock then holds; return its uid."""
        made = self.create(lock, **fields)
        self.take()
        assert self.complete(made["operation"]["uid"], externalId=f"id-{next(_NUMBERS)}").status == 200
        return str(made["accessCode"]["uid"])

    def take(self, query: str = "", key: str | None = None) -> list[Any]:
        answer = self.api.get(f"{OPERATIONS}{query}", key or self.connector)
        assert answer.status == 200, answer
        return list(answer.json()["data"])

    def complete(self, operation: str, key: str | None = None, **said: Any) -> Answer:
        body = {"outcome": "succeeded"} | said
        return self.api.post(f"{OPERATIONS}/{operation}/complete", key or self.connector, body)

    def operation(self, uid: str) -> Any:
        return self.api.get(f"{OPERATIONS}/{uid}", self.connector).json()

    def log(self) -> list[str]:
        return [one["type"] for one in self.api.log(self.uid) if str(one["type"]).startswith("access_code.")]


@pytest.fixture
def house(api: Api) -> House:
    return House(api)


# -- bodies and statuses --------------------------------------------------------------------------------------------


def test_conversion_is_asked_for_taken_and_completed(house: House) -> None:
    lock = house.lock()
    code = house.shown(lock)
    answer = house.convert(code, {"force": True, "isExternalModificationAllowed": True})
    asked = answer.json()
    expected = {
        "uid": asked["uid"], "kind": "convert_access_code", "state": "pending", "deviceUid": lock,
        "connectedAccountUid": house.account, "accessCodeUid": code, "force": True,
        "isExternalModificationAllowed": True,
        "accessCode": {
            "externalId": "17", "name": "Cleaning", "type": "ongoing", "startsAt": None, "endsAt": None,
        },
        "createdAt": asked["createdAt"], "deadline": asked["deadline"], "leasedUntil": None, "attempts": 0,
        "completedAt": None, "occurredAt": None, "errors": [], "warnings": [],
    }  # fmt: skip
    assert (answer.status, asked) == (202, expected)
    assert _micros(asked["deadline"]) - _micros(asked["createdAt"]) == 600_000_000
    (taken,) = house.take("?limit=1")
    assert taken == expected | {"leasedUntil": taken["leasedUntil"], "attempts": 1}
    assert house.take() == []
    assert house.operation(asked["uid"]) == taken
    at, at_as_well = asked["createdAt"], asked["createdAt"].replace("Z", "+00:00")
    done = house.complete(asked["uid"], occurredAt=at, warnings=[{"warningCode": "slow"}])
    ended = done.json()
    warning = {"warningCode": "slow", "message": "", "createdAt": at}
    assert (done.status, ended) == (200, taken | {
        "state": "succeeded", "leasedUntil": None, "completedAt": ended["completedAt"], "occurredAt": at,
        "warnings": [warning],
    })  # fmt: skip
    assert house.complete(asked["uid"], occurredAt=at_as_well, warnings=[{"warningCode": "slow"}]).json() == ended
    assert house.complete(asked["uid"]).status == 409
    assert house.api.get(f"{CODES}/{code}/operations", house.key).json() == {"data": [ended], "nextCursor": None}
    shown = house.api.get(f"{CODES}/{code}", house.key).json()
    assert (shown["managed"], shown["status"]) == (True, "set")
    assert house.log() == ["access_code.unmanaged.created", "access_code.unmanaged.converted_to_managed"]


def _micros(text: str) -> int:
    return parse_time(text, "/time")


def test_conversion_without_a_body_is_one_without_wishes(house: House) -> None:
    answer = house.api.request("POST", f"{CODES}/{house.shown(house.lock())}/convert", house.key)
    assert (answer.status, answer.json()["force"], answer.json()["isExternalModificationAllowed"]) == (
        202,
        False,
        False,
    )


def test_conversion_that_cannot_be_is_answered_as_failed_with_its_causes(house: House) -> None:
    answer = house.convert(house.shown(house.lock(), cannotBeManaged=True, code=None))
    failed = answer.json()
    assert (answer.status, failed["state"], failed["attempts"]) == (202, "failed", 0)
    assert [one["errorCode"] for one in failed["errors"]] == ["cannot_be_managed", "code_unreadable"]
    assert all(one["message"] and one["createdAt"] == failed["completedAt"] for one in failed["errors"])
    assert house.take() == []


def test_failure_is_told_in_the_connectors_words(house: House) -> None:
    uid = house.convert(house.shown(house.lock())).json()["uid"]
    house.take()
    errors = [{"errorCode": "moon_phase", "message": "The digits 4711 wane."}, {"errorCode": "device_offline"}]
    failed = house.complete(uid, outcome="failed", errors=errors).json()
    assert (failed["state"], failed["occurredAt"]) == ("failed", None)
    assert [(one["errorCode"], one["message"]) for one in failed["errors"]] == [
        ("moon_phase", "The digits **** wane."), ("device_offline", "The lock is offline."),
    ]  # fmt: skip
    assert house.complete(uid, outcome="failed", errors=errors).json() == failed


def test_code_is_created_changed_and_removed(house: House) -> None:
    lock = house.lock()
    made = house.create(lock, name="Guest", startsAt=COMES, endsAt=GOES)
    code, asked = made["accessCode"], made["operation"]
    assert (code["managed"], code["status"], code["type"], code["hasPin"]) == (True, "setting", "time_bound", True)
    assert (asked["kind"], asked["accessCode"]) == (
        "set_access_code",
        {"externalId": None, "name": "Guest", "type": "time_bound", "startsAt": COMES, "endsAt": GOES},
    )
    (taken,) = house.take()
    assert taken["accessCode"] == asked["accessCode"] | {"code": "4711"}
    assert house.complete(asked["uid"], externalId="42").status == 200
    path = f"{CODES}/{code['uid']}"
    present = house.api.get(path, house.key)
    assert (present.json()["status"], present.json()["externalId"]) == ("set", "42")
    change = {"name": None, "code": "0815", "startsAt": None, "endsAt": None}
    stale = house.api.patch(path, house.key, change, headers=[("if-match", '"v1"')])
    assert stale.status == 412
    answer = house.api.patch(path, house.key, change, headers=[("if-match", present.headers["etag"])])
    assert (answer.status, answer.json()["accessCode"]["status"], answer.json()["accessCode"]["name"]) == (
        202, "setting", "Guest",
    )  # fmt: skip
    (taken,) = house.take()
    assert taken["accessCode"] == {
        "externalId": "42", "name": None, "type": "ongoing", "startsAt": None, "endsAt": None, "code": "0815",
    }  # fmt: skip
    house.complete(taken["uid"])
    after = house.api.get(f"{path}?pin=true", house.key).json()
    assert (after["code"], after["name"], after["type"]) == ("0815", None, "ongoing")
    unneeded = house.api.patch(path, house.key, {"isExternalModificationAllowed": True})
    assert (unneeded.status, unneeded.json()["operation"]) == (200, None)
    assert unneeded.json()["accessCode"]["isExternalModificationAllowed"] is True
    assert unneeded.headers["etag"] == house.api.get(path, house.key).headers["etag"]
    assert house.api.delete(path, house.key, headers=[("if-match", present.headers["etag"])]).status == 412
    removal = house.api.delete(path, house.key)
    assert (removal.status, removal.json()["kind"]) == (202, "remove_access_code")
    (taken,) = house.take()
    assert "code" not in taken["accessCode"]
    assert house.complete(taken["uid"]).status == 200
    assert house.api.get(path, house.key).status == 404
    kinds = [one["kind"] for one in house.api.get(f"{path}/operations", house.key).json()["data"]]
    assert kinds == ["remove_access_code", "update_access_code", "set_access_code"]


def test_code_that_the_lock_does_not_hold_is_deleted_with_204(house: House) -> None:
    made = house.create(house.lock())
    house.take()
    house.complete(made["operation"]["uid"], outcome="failed")
    assert house.api.delete(f"{CODES}/{made['accessCode']['uid']}", house.key).status == 204


def test_empty_change_is_one_that_the_lock_need_not_know(house: House) -> None:
    code = house.managed(house.lock())
    answer = house.api.patch(f"{CODES}/{code}", house.key, {})
    assert (answer.status, answer.json()["operation"], answer.json()["accessCode"]["uid"]) == (200, None, code)


def test_digits_are_in_answers_to_takers_only_and_only_when_needed(house: House) -> None:
    lock = house.lock()
    named = house.shown(lock)
    report = {"complete": False, "codes": [{"code": "0815"}]}
    house.api.send("PUT", f"/v1/devices/{lock}/access-code-report", house.connector, report)
    bare = house.api.get(f"{CODES}?deviceUid={lock}", house.key).json()["data"][1]["uid"]
    answers = [house.convert(named), house.convert(bare)]
    taken = {one["accessCodeUid"]: one["accessCode"] for one in house.take()}
    assert "code" not in taken[named]
    assert taken[bare]["code"] == "0815"
    answers += [house.api.get(f"{CODES}/{uid}/operations", house.key) for uid in (named, bare)]
    answers += [house.api.get(f"{OPERATIONS}/{one.json()['uid']}", house.connector) for one in answers[:2]]
    assert all(b'"0815"' not in one.body and b'"4711"' not in one.body for one in answers)


def test_lock_without_ids_is_told_which_digits_are_replaced(house: House) -> None:
    lock = house.lock()
    report = {"complete": True, "codes": [{"code": "0815"}]}
    house.api.send("PUT", f"/v1/devices/{lock}/access-code-report", house.connector, report)
    code = house.api.get(f"{CODES}?deviceUid={lock}", house.key).json()["data"][0]["uid"]
    house.convert(code)
    house.complete(house.take()[0]["uid"], outcome="succeeded")
    asked = house.api.patch(f"{CODES}/{code}", house.key, {"code": "0816"})
    # The digits that are being set are not to be found out by trying.
    answers = [house.api.patch(f"{CODES}/{code}", house.key, {"code": guess}) for guess in ("0816", "0817")]
    assert [(one.status, one.json()["detail"]) for one in answers] == [
        (409, "Another change of the access code is under way; wait until it has ended.")
    ] * 2
    assert asked.status == 202
    (taken,) = house.take()
    assert (taken["accessCode"]["code"], taken["accessCode"]["currentCode"]) == ("0816", "0815")
    ended = house.complete(taken["uid"], outcome="succeeded").json()
    assert "code" not in ended["accessCode"]
    assert "currentCode" not in ended["accessCode"]


def test_answers_with_digits_are_not_to_be_kept(house: House) -> None:
    code = house.managed(house.lock())
    shown = house.api.get(f"{CODES}/{code}?pin=true", house.key)
    assert shown.headers["cache-control"] == "no-store"
    assert house.api.get(OPERATIONS, house.connector).headers["cache-control"] == "no-store"


# -- the same again -------------------------------------------------------------------------------------------------


def test_creation_with_an_idempotency_key_is_made_once(house: House) -> None:
    lock, header = house.lock(), [("idempotency-key", "once")]
    body = {"deviceUid": lock, "code": "73519846207"}
    first, again = (house.api.post(CODES, house.key, body, headers=header) for _ in range(2))
    assert (first.status, again.status, first.json()) == (202, 200, again.json())
    assert house.api.post(CODES, house.key, body | {"name": "x"}, headers=header).status == 409
    assert len(house.take()) == 1
    assert house.api.post(CODES, house.key, body).status == 409


def test_conversion_with_an_idempotency_key_is_tried_once(house: House) -> None:
    code, header = house.shown(house.lock(), cannotBeManaged=True), [("idempotency-key", "once")]
    first, again = (house.convert(code, headers=header) for _ in range(2))
    assert (first.status, again.status, first.json()) == (202, 200, again.json())
    assert house.convert(code).json()["uid"] != first.json()["uid"]
    assert house.log().count("access_code.unmanaged.failed_to_convert_to_managed") == 2


# -- what is refused ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "faults"),
    [
        ({"code": "47a1"}, [("/code", "pin")]),
        ({"code": ""}, [("/code", "pin")]),
        ({"code": "1" * 21}, [("/code", "pin")]),
        ({"code": 4711}, [("/code", "type")]),
        ({"name": "x" * 256}, [("/name", "maxLength")]),
        ({"name": "a\u0000b"}, [("/name", "control-characters")]),
        ({"startsAt": "noon"}, [("/startsAt", "time")]),
        ({"startsAt": ONE, "endsAt": NOON}, [("/endsAt", "time-order")]),
        ({"startsAt": NOON, "endsAt": NOON}, [("/endsAt", "time-order")]),
        ({"endsAt": NOON}, [("/endsAt", "past")]),
        ({"isExternalModificationAllowed": 1}, [("/isExternalModificationAllowed", "type")]),
        ({"pin": "4711"}, [("/pin", "unknown-field")]),
        ({"managed": True}, [("/managed", "unknown-field")]),
    ],
)
def test_code_that_breaks_a_rule_is_neither_created_nor_changed(
    house: House, body: dict[str, Any], faults: list[tuple[str, str]]
) -> None:
    lock = house.lock()
    code = house.managed(lock, code="0815")
    before = house.log()
    answers = [
        house.api.post(CODES, house.key, {"deviceUid": lock} | body),
        house.api.patch(f"{CODES}/{code}", house.key, body),
    ]
    for answer in answers:
        assert (answer.status, answer.faults()) == (400, faults)
        assert "47a1" not in answer.body.decode()
    assert (house.take(), house.log()) == ([], before)


def test_patch_tells_null_from_nothing(house: House) -> None:
    path = f"{CODES}/{house.managed(house.lock())}"
    answer = house.api.patch(path, house.key, {"code": None})
    assert (answer.status, answer.faults()) == (400, [("/code", "type")])


@pytest.mark.parametrize(
    ("body", "faults"),
    [
        ({}, [("/outcome", "required")]),
        ({"outcome": "done"}, [("/outcome", "enum")]),
        ({"outcome": "succeeded", "errors": [{"errorCode": "device_rejected"}]}, [("/errors", "outcome")]),
        ({"outcome": "failed", "errors": [{"errorCode": "x"}] * 21}, [("/errors", "maxItems")]),
        ({"outcome": "failed", "warnings": [{"warningCode": "x"}] * 21}, [("/warnings", "maxItems")]),
        ({"outcome": "failed", "errors": [{}]}, [("/errors/0/errorCode", "required")]),
        ({"outcome": "failed", "errors": [{"errorCode": ""}]}, [("/errors/0/errorCode", "minLength")]),
        ({"outcome": "failed", "errors": [{"errorCode": "x" * 101}]}, [("/errors/0/errorCode", "maxLength")]),
        ({"outcome": "failed", "errors": [{"errorCode": "a\u0007"}]}, [("/errors/0/errorCode", "pattern")]),
        ({"outcome": "failed", "errors": [{"errorCode": "a\n"}]}, [("/errors/0/errorCode", "pattern")]),
        ({"outcome": "failed", "errors": [{"errorCode": "a", "text": "b"}]}, [("/errors/0/text", "unknown-field")]),
        (
            {"outcome": "failed", "errors": [{"errorCode": "a", "message": "x" * 501}]},
            [("/errors/0/message", "maxLength")],
        ),
        ({"outcome": "succeeded", "externalId": ""}, [("/externalId", "minLength")]),
        ({"outcome": "succeeded", "externalId": "x" * 256}, [("/externalId", "maxLength")]),
        ({"outcome": "succeeded", "externalId": "17\n"}, [("/externalId", "pattern")]),
        ({"outcome": "succeeded", "occurredAt": "now"}, [("/occurredAt", "time")]),
        ({"outcome": "succeeded", "extra": 1}, [("/extra", "unknown-field")]),
    ],
)
def test_completion_that_breaks_a_rule_is_refused(house: House, body: Any, faults: list[tuple[str, str]]) -> None:
    uid = house.convert(house.shown(house.lock())).json()["uid"]
    house.take()
    answer = house.api.post(f"{OPERATIONS}/{uid}/complete", house.connector, body)
    assert (answer.status, answer.faults()) == (400, faults)
    assert house.operation(uid)["state"] == "pending"


@pytest.mark.parametrize(
    ("query", "faults"),
    [
        ("wait=61", [("query/wait", "maximum")]),
        ("wait=-1", [("query/wait", "minimum")]),
        ("wait=soon", [("query/wait", "type")]),
        ("limit=0", [("query/limit", "minimum")]),
        ("limit=101", [("query/limit", "maximum")]),
        ("deviceUid=lock", [("query/deviceUid", "uid")]),
        ("connectedAccountUid=1", [("query/connectedAccountUid", "uid")]),
        ("state=pending", [("query/state", "unknown-field")]),
    ],
)
def test_query_that_breaks_a_rule_is_refused(house: House, query: str, faults: list[tuple[str, str]]) -> None:
    answer = house.api.get(f"{OPERATIONS}?{query}", house.connector)
    assert answer.status == 400
    assert [pointer for pointer, _ in answer.faults()] == [pointer for pointer, _ in faults]


@pytest.mark.parametrize("uid", ["lock", "0" * 31, "0" * 33, "g" * 32])
def test_uid_of_another_format_is_refused_by_its_place(house: House, uid: str) -> None:
    key = house.key
    answers = {
        "path/id": [
            house.api.get(f"{OPERATIONS}/{uid}", key),
            house.api.post(f"{OPERATIONS}/{uid}/complete", key, {"outcome": "succeeded"}),
            house.api.post(f"{CODES}/{uid}/convert", key, {}),
            house.api.patch(f"{CODES}/{uid}", key, {}),
            house.api.delete(f"{CODES}/{uid}", key),
            house.api.get(f"{CODES}/{uid}/operations", key),
        ],
        "/deviceUid": [house.api.post(CODES, key, {"deviceUid": uid})],
    }
    for place, refused in answers.items():
        for answer in refused:
            assert (answer.status, [pointer for pointer, _ in answer.faults()]) == (400, [place])


def test_foreign_and_unknown_devices_are_answered_alike_and_one_without_an_account_by_its_place(
    api: Api, house: House
) -> None:
    theirs = House(api).lock()
    answers = [api.post(CODES, house.key, {"deviceUid": uid}) for uid in (theirs, new_uid().hex())]
    problems = [{k: v for k, v in answer.json().items() if k != "requestId"} for answer in answers]
    assert [answer.status for answer in answers] == [404, 404]
    assert problems[0] == problems[1]
    apart = api.post(CODES, house.key, {"deviceUid": house.lock(connectedAccountUid=None)})
    assert (apart.status, apart.faults()) == (422, [("/deviceUid", "connected-account-required")])


def test_operation_is_completed_by_the_key_that_took_it(house: House) -> None:
    uid = house.convert(house.shown(house.lock())).json()["uid"]
    assert house.complete(uid).status == 409
    house.take()
    other = house.api.key(house.uid, "connector")
    assert house.complete(uid, other).status == 409
    assert house.complete(uid).status == 200
    assert house.complete(uid, other).status == 409


def test_key_without_rights_on_pins_sees_none_and_takes_none(house: House) -> None:
    house.create(house.lock())
    for role in ("integrator", "auditor", "viewer"):
        answer = house.api.get(OPERATIONS, house.api.key(house.uid, role))
        assert answer.status == 403
        assert b'"4711"' not in answer.body
    assert len(house.take()) == 1


def test_take_reaches_one_organization(api: Api, house: House) -> None:
    other = House(api)
    other.create(other.lock())
    mine = house.create(house.lock())
    assert [one["uid"] for one in house.take()] == [mine["operation"]["uid"]]
    assert house.take(f"?connectedAccountUid={other.account}") == []


def test_overdue_operation_is_answered_as_failed(house: House) -> None:
    uid = house.convert(house.shown(house.lock())).json()["uid"]
    house.take()
    tenant = _tenant_id(house)
    (chore,) = (one for one in _chores(house.api.settings) if one.name == "expire-operations")

    def run_out(tx: Transaction) -> None:
        tx.run("update device_operation set deadline = :now where uid = :uid", now=tx.now, uid=bytes.fromhex(uid))
        assert tenant in chore.due(tx)
        assert not chore.step(tx, as_system(tx, tenant))

    house.api.platform.store.execute(run_out, [tenant])
    ended = house.operation(uid)
    assert (ended["state"], [one["errorCode"] for one in ended["errors"]]) == ("failed", ["operation_timed_out"])
    assert house.complete(uid).status == 409


def _tenant_id(house: House) -> int:
    def read(tx: Transaction) -> int:
        row = tx.one("select id from tenant where uid = :uid", uid=bytes.fromhex(house.uid))
        assert row is not None
        return int(row[0])

    return house.api.platform.store.read(read)


def test_canary_pin_is_in_nothing_but_what_a_connector_takes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    api = Api(settings_for(StoreUrl(None, tmp_path)))
    api.start()
    words = {"errorCode": f"x_{CANARY}", "message": f"Not {CANARY}."}
    notes = [{"warningCode": "x", "message": f"Not {CANARY}."}]
    answers: list[Answer] = []
    try:
        house = House(api)
        lock, other = house.lock(), house.lock()
        code = house.shown(lock, code=CANARY, externalId=None)
        answers.append(house.convert(code))
        (taken,) = house.take()
        assert taken["accessCode"]["code"] == CANARY
        answers.append(house.complete(taken["uid"], outcome="succeeded", warnings=notes))
        headers = [("idempotency-key", "once")]
        wish = {"deviceUid": other, "code": CANARY}
        answers += [api.post(CODES, house.key, wish, headers=headers) for _ in range(2)]
        answers.append(api.post(CODES, house.key, {"deviceUid": other, "code": f"{CANARY}x"}))
        answers.append(api.patch(f"{CODES}/{code}", house.key, {"code": f"1{CANARY}", "name": "Night"}))
        for taken in house.take():
            assert CANARY in taken["accessCode"]["code"]
            answers.append(house.complete(taken["uid"], outcome="failed", errors=[words], warnings=notes))
        answers.append(api.get(f"{CODES}/{code}/operations", house.key))
        answers.append(api.get(f"{CODES}?limit=1000", house.key))
        log = json.dumps(api.log(house.uid))
    finally:
        api.stop()
    assert [answer.status for answer in answers] == [202, 200, 202, 200, 400, 202, 200, 200, 200, 200]
    written = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    for content in (*(answer.body for answer in answers), *written, log.encode()):
        assert CANARY.encode() not in content
    said = capfd.readouterr()
    assert CANARY not in caplog.text + said.out + said.err


# -- waiting --------------------------------------------------------------------------------------------------------


class Poll:
    """A request for operations whose client stays until it is told to leave."""

    def __init__(self, house: House, wait: int = 60, method: str = "GET", query: str = "") -> None:
        self._loop = house.api._loop
        self._edge = house.api.edge
        self._left: asyncio.Event
        self.answer: Future[Any] = asyncio.run_coroutine_threadsafe(
            self._run(house.connector, method, f"wait={wait}{query}"), self._loop
        )

    async def _run(self, key: str, method: str, query: str) -> Any:
        self._left = asyncio.Event()
        said: list[Any] = []
        asked = iter([{"type": "http.request", "body": b"", "more_body": False}])

        async def receive() -> Any:
            for message in asked:
                return message
            await self._left.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            said.append(message)

        scope = {
            "type": "http", "method": method, "path": OPERATIONS, "raw_path": OPERATIONS.encode(),
            "query_string": query.encode(), "headers": [(b"authorization", f"Bearer {key}".encode())],
            "client": ("127.0.0.1", 1), "http_version": "1.1", "scheme": "http", "server": ("127.0.0.1", 80),
            "root_path": "",
        }  # fmt: skip
        await self._edge(scope, receive, send)
        return said

    def leave(self) -> None:
        self._loop.call_soon_threadsafe(lambda: self._left.set())

    def status(self) -> int:
        """Return the status, once it is answered."""
        status: int = self.answer.result(SAFETY_SECONDS)[0]["status"]
        return status

    def uids(self) -> list[str]:
        """Return what was taken, once it is answered."""
        start, body = self.answer.result(SAFETY_SECONDS)
        assert start["status"] == 200
        return [one["uid"] for one in json.loads(body["body"])["data"]]


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> Waits:
    """Every request that waits, seen; none looks again by itself, so that it is woken or waits to the end."""
    monkeypatch.setattr(waiting, "LOOK_AGAIN", float("inf"))
    waits = Waits()
    real = waiting.Waiters.wait

    def wait(self: Any, *given: Any) -> Coroutine[Any, Any, None]:
        waits.begun.release()
        return real(self, *given)

    monkeypatch.setattr(waiting.Waiters, "wait", wait)
    return waits


class Waits:
    """Counts the requests that have begun to wait."""

    def __init__(self) -> None:
        self.begun = threading.Semaphore(0)

    def one_waits(self) -> None:
        assert self.begun.acquire(timeout=SAFETY_SECONDS)


@pytest.mark.parametrize("asks", ["convert", "create", "update", "delete"])
def test_connector_that_waits_is_woken_by_what_is_asked_for(house: House, waits: Waits, asks: str) -> None:
    lock = house.lock()
    code = house.shown(lock) if asks == "convert" else house.managed(lock, code="0815")
    poll = Poll(house)
    waits.one_waits()
    path = f"{CODES}/{code}"
    asked: Any
    if asks == "convert":
        asked = house.convert(code).json()
    elif asks == "create":
        asked = house.create(lock)["operation"]
    elif asks == "update":
        asked = house.api.patch(path, house.key, {"name": "Night"}).json()["operation"]
    else:
        asked = house.api.delete(path, house.key).json()
    assert poll.uids() == [asked["uid"]]
    assert house.operation(asked["uid"])["attempts"] == 1


def test_connector_that_waits_for_one_lock_goes_on_waiting_for_it(house: House, waits: Waits) -> None:
    lock, other = house.lock(), house.lock()
    poll = Poll(house, query=f"&deviceUid={lock}")
    waits.one_waits()
    house.create(other)
    waits.one_waits()
    wanted = house.create(lock)["operation"]["uid"]
    assert poll.uids() == [wanted]


def test_key_that_is_revoked_while_it_waits_is_given_nothing(house: House, waits: Waits) -> None:
    lock = house.lock()
    poll = Poll(house)
    waits.one_waits()
    keys = house.api.get("/v1/keys?limit=1000", house.key).json()["data"]
    (own,) = [one["uid"] for one in keys if house.connector.startswith(one["hint"])]
    assert house.api.delete(f"/v1/keys/{own}", house.key).status == 204
    asked = house.create(lock)["operation"]["uid"]
    assert poll.status() == 401
    assert house.api.get(f"{OPERATIONS}?limit=1", house.key).json()["data"][0]["uid"] == asked


@pytest.mark.usefixtures("waits")
def test_notice_between_look_and_wait_is_not_missed(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = house.lock()
    looked, asked = threading.Event(), threading.Event()
    real = operations.are_offered

    def slow(*given: Any, **more: Any) -> bool:
        found = real(*given, **more)
        if not looked.is_set():
            looked.set()
            assert asked.wait(SAFETY_SECONDS)
        return found

    monkeypatch.setattr(operations, "are_offered", slow)
    poll = Poll(house)
    assert looked.wait(SAFETY_SECONDS)
    wanted = house.create(lock)["operation"]["uid"]
    asked.set()
    assert poll.uids() == [wanted]


def test_one_of_two_that_wait_gets_it(house: House, waits: Waits) -> None:
    polls = [Poll(house), Poll(house)]
    waits.one_waits()
    waits.one_waits()
    lock = house.lock()
    first = house.create(lock)["operation"]["uid"]
    waits.one_waits()
    second = house.create(lock, code="0815")["operation"]["uid"]
    assert sorted(uid for poll in polls for uid in poll.uids()) == sorted([first, second])


def test_answer_is_empty_when_nothing_comes(house: House) -> None:
    assert Poll(house, wait=0).uids() == []
    assert Poll(house, wait=1).uids() == []


def test_nothing_is_given_to_a_client_that_left(house: House, waits: Waits) -> None:
    poll = Poll(house)
    waits.one_waits()
    poll.leave()
    assert poll.uids() == []
    wanted = house.create(house.lock())["operation"]["uid"]
    assert [one["uid"] for one in house.take()] == [wanted]


def test_head_takes_nothing_and_does_not_wait(house: House) -> None:
    wanted = house.create(house.lock())["operation"]["uid"]
    answer = house.api.request("HEAD", f"{OPERATIONS}?wait=60", house.connector)
    assert (answer.status, answer.body) == (200, b"")
    (taken,) = house.take()
    assert (taken["uid"], taken["attempts"]) == (wanted, 1)


def test_who_waits_is_answered_when_the_server_ends_and_nobody_waits_afterwards(
    house: House, waits: Waits, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(house.api.edge.services, "operations", waiting.Waiters())
    poll = Poll(house)
    waits.one_waits()
    house.api._loop.call_soon_threadsafe(house.api.edge.end_waiting)
    assert poll.uids() == []
    assert Poll(house).uids() == []
