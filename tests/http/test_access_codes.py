"""`/v1/access-codes` and the reports of locks: what callers can do, what they are refused, and who sees a PIN."""

from __future__ import annotations

import json
import logging
import time
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

from heliograph.access_codes import actions
from heliograph.ids import new_uid
from heliograph.jobs import actions as jobs
from heliograph.tenancy.access import as_system
from heliograph.times import print_time
from tests.conftest import StoreUrl
from tests.http.inprocess import Api, settings_for

if TYPE_CHECKING:
    from pathlib import Path

    from heliograph.access_codes.model import CodeReport
    from heliograph.jobs.model import Job
    from heliograph.storage.engine import Transaction
    from tests.http.inprocess import Answer

_NUMBERS = count(1)
CODES = "/v1/access-codes"
CANARY = "73519846207"
"""A PIN that nothing else contains."""


class House:
    """An organization with an owner's key, a connector's key, an account and locks."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.uid = api.tenant()
        self.key = api.key(self.uid, "owner")
        self.connector = api.key(self.uid, "connector")
        account = {"name": "Harbour Hotel", "provider": "august", "customMetadata": {"region": "north"}}
        self.account = str(api.made("/v1/connected-accounts", account, self.key)["uid"])

    def lock(self, **fields: Any) -> str:
        body = {"brand": "Yale", "serialNumber": f"L-{next(_NUMBERS)}", "connectedAccountUid": self.account}
        return str(self.api.made("/v1/devices", body | fields, self.key)["uid"])

    def send(self, lock: str, body: Any, key: str | None = None) -> Answer:
        return self.api.send("PUT", f"/v1/devices/{lock}/access-code-report", key or self.connector, body)

    def report(self, lock: str, *codes: dict[str, Any], complete: bool = True, **more: Any) -> Any:
        """Report what must be taken at once."""
        answer = self.send(lock, {"complete": complete, "codes": list(codes), **more})
        assert answer.status == 200, answer
        return answer.json()

    def codes(self, query: str = "") -> list[Any]:
        answer = self.api.get(f"{CODES}?limit=1000{query}", self.key)
        assert answer.status == 200, answer
        return list(answer.json()["data"])

    def finished(self, job: Any) -> Any:
        while job["state"] in ("queued", "running"):
            time.sleep(0.01)
            job = self.api.get(f"/v1/jobs/{job['uid']}", self.connector).json()
        return job


@pytest.fixture
def house(api: Api) -> House:
    return House(api)


def several(count: int, **fields: Any) -> list[dict[str, Any]]:
    return [{"externalId": f"id-{n:06}"} | fields for n in range(count)]


# -- reporting ------------------------------------------------------------------------------------------------------


def test_report_is_counted_by_what_became_of_its_codes(house: House) -> None:
    lock = house.lock()
    none = {"discovered": 0, "vanished": 0, "changed": 0, "unchanged": 0, "refused": []}
    answer = house.report(lock, {"externalId": "1", "code": "4711"}, {"code": "0815"}, {"name": "neither"})
    refused = [
        {
            "pointer": "/codes/2",
            "rule": "identifier-required",
            "message": "The lock's own id or the PIN is required.",
        }
    ]
    assert answer == none | {"applied": True, "discovered": 2, "refused": refused}
    answer = house.report(lock, {"externalId": "1", "code": "4712"}, {"externalId": "2"})
    assert answer == none | {"applied": True, "discovered": 1, "vanished": 1, "changed": 1}
    answer = house.report(lock, {"externalId": "2"}, complete=False)
    assert answer == none | {"applied": True, "unchanged": 1}


def test_late_report_is_answered_with_the_reason(house: House) -> None:
    lock = house.lock()
    house.report(lock, {"externalId": "1"}, reportedAt="2026-03-02T08:00:00Z")
    answer = house.report(lock, reportedAt="2026-03-02T07:59:59.999999Z")
    assert (answer["applied"], answer["reason"]) == (False, "late_report")
    assert answer["latestReportedAt"] == "2026-03-02T08:00:00.000000Z"
    assert len(house.codes(f"&deviceUid={lock}")) == 1


def test_time_that_is_far_ahead_is_replaced_by_ours(house: House) -> None:
    lock = house.lock()
    house.report(lock, {"externalId": "1"}, reportedAt="2200-01-01T00:00:00Z")
    assert house.report(lock)["vanished"] == 1


def test_long_report_is_a_job_that_the_connector_can_watch(house: House) -> None:
    lock = house.lock()
    answer = house.send(lock, {"complete": True, "codes": [*several(150), {"name": "neither"}]})
    assert answer.status == 202
    job = house.finished(answer.json())
    assert (job["kind"], job["state"], job["done"], job["total"]) == ("access-code-report", "succeeded", 150, 150)
    assert (job["result"]["discovered"], job["result"]["refused"]) == (150, 1)
    (row,) = house.api.get(f"/v1/jobs/{job['uid']}/rows", house.connector).json()["data"]
    assert (row["number"], row["outcome"], row["detail"]["pointer"]) == (151, "refused", "/codes/150")
    assert len(house.codes(f"&deviceUid={lock}")) == 150


def test_foreign_and_unknown_devices_are_answered_alike(api: Api, house: House) -> None:
    other = House(api)
    answers = [house.send(uid, {"complete": True, "codes": []}) for uid in (other.lock(), new_uid().hex())]
    problems = [{k: v for k, v in answer.json().items() if k != "requestId"} for answer in answers]
    assert [answer.status for answer in answers] == [404, 404]
    assert problems[0] == problems[1]


def test_device_without_an_account_is_unprocessable_and_one_that_left_a_conflict(house: House) -> None:
    body = {"complete": True, "codes": []}
    assert house.send(house.lock(connectedAccountUid=None), body).status == 422
    gone = house.lock()
    assert house.api.post(f"/v1/devices/{gone}/deprovision", house.key, {}).status == 200
    assert house.send(gone, body).status == 409


@pytest.mark.parametrize(
    ("codes", "faults"),
    [
        ([{"externalId": "1"}, {"externalId": "1"}], [("/codes/1/externalId", "repeated")]),
        ([{"code": "4711"}, {"externalId": "1", "code": "4711"}], [("/codes/1/code", "repeated")]),
        ([{"code": "47a1"}], [("/codes/0/code", "pin")]),
        ([{"code": "1" * 21}], [("/codes/0/code", "pin")]),
        ([{"code": "٤٧١١"}], [("/codes/0/code", "pin")]),
        ([{"code": 4711}], [("/codes/0/code", "type")]),
        (
            [{"code": "1", "startsAt": "2026-03-02T08:00:00Z", "endsAt": "2026-03-02T07:00:00Z"}],
            [("/codes/0/endsAt", "time-order")],
        ),
        ([{"code": "1", "startsAt": "yesterday"}], [("/codes/0/startsAt", "time")]),
        ([{"code": "1", "type": "forever"}], [("/codes/0/type", "enum")]),
        ([{"code": "1", "pin": "2"}], [("/codes/0/pin", "unknown-field")]),
        ([{"externalId": "\u0000"}], [("/codes/0/externalId", "control-characters")]),
        ([{"externalId": "x" * 256}], [("/codes/0/externalId", "max-length")]),
    ],
)
def test_report_that_breaks_a_rule_is_refused_as_a_whole(
    house: House, codes: list[dict[str, Any]], faults: list[tuple[str, str]]
) -> None:
    lock = house.lock()
    answer = house.send(lock, {"complete": True, "codes": [{"externalId": "good"}, *codes]})
    shifted = [
        (pointer.replace(f"/codes/{n}", f"/codes/{n + 1}"), rule)
        for pointer, rule in faults
        for n in [int(pointer.split("/")[2])]
    ]
    assert (answer.status, answer.faults()) == (400, shifted)
    assert house.codes(f"&deviceUid={lock}") == []


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ({"codes": []}, ("/complete", "required")),
        ({"complete": True}, ("/codes", "required")),
        ({"complete": True, "codes": [], "reportedAt": "now"}, ("/reportedAt", "time")),
        ({"complete": True, "codes": [], "extra": 1}, ("/extra", "unknown-field")),
    ],
)
def test_report_of_another_shape_is_refused(house: House, body: Any, fault: tuple[str, str]) -> None:
    answer = house.send(house.lock(), body)
    assert (answer.status, answer.faults()) == (400, [fault])


def test_one_code_too_many_is_refused(house: House) -> None:
    lock = house.lock()
    answer = house.send(lock, {"complete": True, "codes": several(100_001)})
    assert (answer.status, answer.faults()) == (400, [("/codes", "maxItems")])
    assert house.codes(f"&deviceUid={lock}") == []


def test_report_may_have_32_mebibytes_and_no_byte_more(house: House) -> None:
    lock, most = house.lock(), house.api.settings.report_bytes
    body = b'{"complete":true,"codes":[]}'
    for size, status in ((most, 200), (most + 1, 413)):
        sent = body + b" " * (size - len(body))
        target, headers = f"/v1/devices/{lock}/access-code-report", [("content-type", "application/json")]
        assert house.api.request("PUT", target, house.connector, sent, headers).status == status


def test_removal_of_the_codes_of_a_lock_that_left_is_not_cancelled(house: House) -> None:
    order = {"deviceUid": new_uid().hex(), "deviceMetadata": {}, "accountUid": house.account, "accountMetadata": {}}

    def begin(tx: Transaction) -> Job:
        row = tx.one("select id from tenant where uid = :uid", uid=bytes.fromhex(house.uid))
        assert row is not None
        return jobs.start(tx, as_system(tx, row[0]), "access-code-removal", order)

    uid = house.api.run(begin).uid.hex()
    answer = house.api.post(f"/v1/jobs/{uid}/cancel", house.key, None)
    assert (answer.status, "cannot be cancelled" in answer.json()["detail"]) == (409, True)


def test_report_without_a_time_counts_though_the_lock_s_clock_was_ahead(house: House) -> None:
    lock = house.lock()
    ahead = print_time(time.time_ns() // 1000 + 120_000_000)
    house.report(lock, {"externalId": "1"}, reportedAt=ahead)
    for more in ({}, {"reportedAt": "2200-01-01T00:00:00Z"}):
        answer = house.send(lock, {"complete": True, "codes": [{"externalId": "2"}], **more})
        assert (answer.status, answer.json()["applied"]) == (200, True)
    assert [code["externalId"] for code in house.codes()] == ["2"]


def test_only_who_may_remove_codes_takes_a_lock_from_its_account(house: House) -> None:
    lock, bare = house.lock(), house.lock(connectedAccountUid=None)
    house.report(lock, {"externalId": "1"})
    other = house.api.made("/v1/connected-accounts", {"name": "Villa", "provider": "august"}, house.key)["uid"]

    def patched(device: str, account: str | None, key: str) -> Answer:
        return house.api.send("PATCH", f"/v1/devices/{device}", key, {"connectedAccountUid": account})

    for account in (None, other):
        refused = patched(lock, account, house.connector)
        assert refused.status == 403
        assert "delete access_code.tenant" in refused.json()["detail"]
    assert len(house.codes()) == 1
    for device, account in ((lock, house.account), (bare, None), (bare, other)):
        assert patched(device, account, house.connector).status == 200
    assert [patched(lock, account, house.key).status for account in (other, None)] == [200, 200]
    assert house.codes() == []


# -- reading --------------------------------------------------------------------------------------------------------


def test_list_shows_codes_that_pass_every_filter_page_by_page(house: House) -> None:
    one, other = house.lock(), house.lock()
    for lock in (one, other):
        codes = [
            {"externalId": name, "name": name, "code": f"{n:04}"}
            for n, name in enumerate(("Guest 1", "guest 2", "Bar"))
        ]
        house.report(lock, *codes)
    assert [code["name"] for code in house.codes(f"&deviceUid={one}&namePrefix=GUEST")] == ["Guest 1", "guest 2"]
    assert len(house.codes(f"&deviceUid={one}&deviceUid={other}&managed=false&status=set")) == 6
    assert house.codes("&managed=true") == house.codes("&status=unset&status=removing") == []
    found: list[Any] = []
    cursor: str | None = ""
    while cursor is not None:
        page = house.api.get(f"{CODES}?limit=4{cursor}", house.key).json()
        found += page["data"]
        cursor = None if page["nextCursor"] is None else f"&cursor={page['nextCursor']}"
    assert found == house.codes()
    assert len(found) == 6


def test_pin_is_shown_to_those_who_ask_for_it_and_may_read_it(house: House) -> None:
    lock = house.lock()
    house.report(lock, {"externalId": "1", "code": "4711"}, {"externalId": "2"})
    with_pin, without = (code["uid"] for code in house.codes())
    assert all("code" not in code for code in house.codes())
    assert [code["hasPin"] for code in house.codes()] == [True, False]
    path = f"{CODES}/{with_pin}"
    assert "code" not in house.api.get(path, house.key).json()
    assert "code" not in house.api.get(f"{path}?pin=false", house.key).json()
    assert house.api.get(f"{path}?pin=true", house.key).json()["code"] == "4711"
    assert house.api.get(f"{CODES}/{without}?pin=true", house.key).json()["code"] is None
    for role in ("operator", "integrator", "auditor", "viewer"):
        key = house.api.key(house.uid, role)
        assert house.api.get(path, key).status == 200
        refused = house.api.get(f"{path}?pin=true", key)
        assert refused.status == 403
        assert "read_pin access_code.tenant" in refused.json()["detail"]


# -- secrecy --------------------------------------------------------------------------------------------------------


def test_canary_pin_is_in_nothing_that_the_program_wrote(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    api = Api(settings_for(StoreUrl(None, tmp_path)))
    api.start()
    answers: list[bytes] = []
    try:
        house = House(api)
        lock = house.lock()
        held = [{"externalId": "1", "code": CANARY}, {"code": f"1{CANARY}"}]
        for codes in (
            held,
            held,
            [{"externalId": "1", "code": f"2{CANARY}"}, *held[1:]],
            [*held, {"externalId": "2", "code": CANARY}],
            [{"code": f"{CANARY}x"}],
            [{"code": CANARY, "startsAt": "x"}],
            [{"code": int(CANARY)}],
            [{"code": CANARY, "type": CANARY}],
            [],
            [*({"code": f"{CANARY}{n}"} for n in range(150)), {"name": "neither"}],
        ):
            answer = house.send(lock, {"complete": True, "codes": codes})
            answers.append(answer.body)
            if answer.status == 202:
                job = house.finished(answer.json())
                answers += [json.dumps(job).encode(), api.get(f"/v1/jobs/{job['uid']}/rows", house.key).body]
        answers.append(json.dumps(house.codes()).encode())
        answers.append(json.dumps(api.log(house.uid)).encode())
        answers.append(api.get(f"{CODES}/{house.codes()[0]['uid']}", house.key).body)
        shown = api.get(f"{CODES}/{house.codes()[0]['uid']}?pin=true", house.key)
        assert CANARY in shown.json()["code"]
    finally:
        api.stop()
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any(path.name == "heliograph.db" for path in written)
    for content in (*answers, *(path.read_bytes() for path in written)):
        assert CANARY.encode() not in content
    said = capfd.readouterr()
    assert CANARY not in caplog.text + said.out + said.err


def test_only_complete_reports_of_large_locks_are_compared_one_at_a_time(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[tuple[bool, int]] = []

    def noted(surveyed: actions.Survey, report: CodeReport) -> actions.Plan:
        held.append((house.api.edge.services.large_work.locked(), len(surveyed.known)))
        return plan(surveyed, report)

    plan = actions.plan
    monkeypatch.setattr(actions, "plan", noted)
    monkeypatch.setattr(actions, "LARGE_LOCK", 2)
    lock = house.lock()
    codes = [{"externalId": str(number)} for number in range(3)]
    house.report(lock, *codes[:2])
    house.report(lock, codes[2])
    house.report(lock, *codes)
    house.report(lock, *codes)
    house.report(lock, codes[0], complete=False)
    assert held == [(False, 0), (False, 2), (False, 1), (True, 3), (False, 1)]
    assert not house.api.edge.services.large_work.locked()
