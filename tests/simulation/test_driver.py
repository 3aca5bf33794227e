"""Steps against a server that is none: what is sent, what is learned, and where the answer is not the expected one."""

from __future__ import annotations

import time
from typing import Any

import pytest

from heliograph.simulation import driver as driving
from heliograph.simulation.api import Reply, Unexpected, ask, items
from heliograph.simulation.connector import Connector
from heliograph.simulation.driver import Driver
from heliograph.simulation.ledger import Ledger
from heliograph.simulation.steps import Step, missing


class Script:
    """Answers by method and path, each time with the next of the answers; remembers what was asked."""

    def __init__(self, answers: dict[str, list[Reply]]) -> None:
        self.answers = {"GET /v1/events": [Reply(200, {"data": [], "nextCursor": None})], **answers}
        self.asked: list[tuple[str, Any]] = []

    def send(
        self, method: str, path: str, query: dict[str, Any] | None = None, body: Any = None, content_type: str = ""
    ) -> Reply:
        self.asked.append((f"{method} {path}", query if body is None else body))
        answers = self.answers[f"{method} {path}"]
        return answers.pop(0) if len(answers) > 1 else answers[0]


def step(path: str, **fields: Any) -> Step:
    return Step(**{"actor": "lock 1", "text": "Lock 1 acts", "counts": (), "method": "POST", "path": path, **fields})


def driver(script: Script, **names: str) -> Driver:
    return Driver(script, Ledger(script), {name.replace("_", " "): uid for name, uid in names.items()})


def listing(*items: dict[str, Any]) -> Reply:
    return Reply(200, {"data": list(items), "nextCursor": None})


def event(seq: int, type_name: str, target: str, **payload: str) -> dict[str, Any]:
    return {"seq": seq, "recordedAt": "t", "type": type_name, "targetEntityId": target, "payload": payload}


# -- steps ----------------------------------------------------------------------------------------------------------


def test_names_are_replaced_by_uids_in_path_body_and_answer() -> None:
    script = Script({"POST /v1/locks/aa": [Reply(200, {"account": "bb", "more": 1})]})
    acts = step("/v1/locks/{lock 1}", body={"in": ["{account 2}"]}, answer={"account": "{account 2}"})
    assert driver(script, lock_1="aa", account_2="bb").perform(acts) == []
    assert script.asked[-1] == ("POST /v1/locks/aa", {"in": ["bb"]})


def test_names_are_learned_from_answers() -> None:
    script = Script({"POST /v1/locks": [Reply(200, {"lock": {"uid": "cc"}})]})
    drives = driver(script)
    drives.perform(step("/v1/locks", learns={"lock 1": "lock/uid", "nothing": "lock/uid/deeper"}))
    assert drives.names == {"lock 1": "cc"}


def test_code_is_found_in_the_list_of_its_lock() -> None:
    codes = listing({"uid": "dd", "externalId": "slot-12"}, {"uid": "ee", "externalId": None})
    script = Script({"GET /v1/access-codes": [codes], "POST /v1/access-codes/dd/convert": [Reply(202, {})]})
    assert driver(script, lock_1="aa").perform(step("/v1/access-codes/{code 1/12}/convert", status=(202,))) == []


def test_what_the_server_does_not_know_is_a_disagreement() -> None:
    script = Script({"GET /v1/access-codes": [listing()]})
    faults = driver(script, lock_1="aa").perform(step("/v1/access-codes/{code 1/12}/convert"))
    assert faults == ["Lock 1 acts: the server knows no code 1/12"]


def test_another_status_and_another_answer_are_disagreements() -> None:
    problem = {"detail": "It is busy.", "errors": [{"pointer": "/a", "rule": "b", "message": "c"}]}
    script = Script({"POST /v1/x": [Reply(409, problem), Reply(200, {"state": "failed"})]})
    drives = driver(script)
    acts = step("/v1/x", answer={"state": "pending"}, events=("a.b",))
    assert drives.perform(acts) == ["Lock 1 acts: answered 409 instead of 200: It is busy. /a [b]"]
    assert drives.perform(acts) == ["Lock 1 acts: /state is 'failed' instead of 'pending'"]


def test_of_locks_that_others_work_on_nothing_is_expected() -> None:
    script = Script({"POST /v1/x": [Reply(500, None)]})
    drives = driver(script)
    drives.shared.add("lock 1")
    assert drives.perform(step("/v1/x")) == []


def test_job_is_awaited_before_its_result_is_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driving, "JOB_POLL_SECONDS", 0)
    running, done = {"uid": "j", "state": "running"}, {"uid": "j", "state": "succeeded", "result": 3}
    script = Script(
        {"POST /v1/import": [Reply(202, running)], "GET /v1/jobs/j": [Reply(200, running), Reply(200, done)]}
    )
    imports = step("/v1/import", status=(202,), awaits_job=True, answer={"result": 3})
    assert driver(script).perform(imports) == []


@pytest.mark.parametrize(
    ("expected", "found", "faults"),
    [
        ({}, {"a": 1}, []),
        ({"a": {"b": [1, {"c": 2}]}}, {"a": {"b": [1, {"c": 2, "d": 3}]}}, []),
        ({"a": 1}, {}, ["/a is missing"]),
        ({"a": [1]}, {"a": [1, 2]}, ["/a is [1, 2] instead of [1]"]),
        ({"a": {"b": 1}}, {"a": None}, ["/a is None instead of {'b': 1}"]),
        (1, 2, ["the answer is 2 instead of 1"]),
    ],
)
def test_answer_is_held_against_what_is_expected_of_it(expected: Any, found: Any, faults: list[str]) -> None:
    assert missing(expected, found) == faults


# -- presence and operations ----------------------------------------------------------------------------------------


def test_connected_device_that_was_silent_says_that_it_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    path = "/v1/devices/{lock 1}/reports"
    connected = [Reply(200, {"connected": True}), Reply(200, {"connected": True}), Reply(200, {"connected": False})]
    script = Script({"POST /v1/devices/aa/reports": connected})
    drives = driver(script, lock_1="aa")
    drives.perform(step(path))
    assert drives.signs_of_life() == 0
    now[0] += driving.SILENCE_SECONDS + 1
    assert drives.signs_of_life() == 1
    assert drives.signs_of_life() == 0
    drives.perform(step(path))
    now[0] += driving.SILENCE_SECONDS + 1
    assert drives.signs_of_life() == 0


class Offers:
    """Offers one operation; the connector that fetches it is then told to end."""

    def __init__(self, operation: dict[str, Any]) -> None:
        self.operation = operation
        self.connector: Connector | None = None

    def send(self, method: str, path: str, query: dict[str, Any] | None = None, body: Any = None, *_: str) -> Reply:
        assert self.connector is not None
        self.connector._ending = True
        return Reply(200, {"data": [self.operation]})


def connector_with(operation: dict[str, Any]) -> Connector:
    offers = Offers(operation)
    offers.connector = Connector(offers, ["acc"])
    offers.connector.start()
    offers.connector.stop()
    return offers.connector


def test_operation_is_completed_only_after_it_was_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driving, "OFFER_SECONDS", 0)
    script = Script({"POST /v1/complete": [Reply(200, {})]})
    drives = driver(script)
    drives.names |= {"operation 1": "o1", "operation 2": "o2"}
    drives.connector = connector_with({"uid": "o1"})
    assert drives.perform(step("/v1/complete", offered="operation 1")) == []
    assert drives.perform(step("/v1/complete", offered="operation 2")) == [
        "Lock 1 acts: the operation was not offered within 0 seconds"
    ]


def test_operation_of_somebody_else_is_done_and_its_lock_is_shared_from_then_on() -> None:
    theirs = {"uid": "o9", "deviceUid": "aa", "kind": "set_access_code", "accessCodeUid": "cc"}
    script = Script({
        "GET /v1/device-operations/o9": [Reply(200, {"state": "pending"})],
        "POST /v1/device-operations/o9/complete": [Reply(200, {})],
    })  # fmt: skip
    drives = driver(script, lock_1="aa")
    drives.connector = connector_with(theirs)
    assert drives.serve_others() == 1
    assert script.asked[-1][1] == {"outcome": "succeeded", "externalId": "guest-cc"}
    assert drives.shared == {"lock 1"}


def test_operation_that_has_ended_meanwhile_is_nobody_elses() -> None:
    script = Script({"GET /v1/device-operations/o9": [Reply(200, {"state": "succeeded"})]})
    drives = driver(script, lock_1="aa")
    drives.connector = connector_with({"uid": "o9", "deviceUid": "aa"})
    assert drives.serve_others() == 0
    assert drives.shared == set()


def test_what_ends_the_connector_ends_the_play() -> None:
    script = Script({"GET /v1/device-operations": [Reply(403, {"detail": "No."})]})
    connector = Connector(script, ["acc"])
    connector.start()
    with pytest.raises(Unexpected, match="No"):
        connector.wait_for("o1", 30)


# -- the log --------------------------------------------------------------------------------------------------------


def test_events_since_the_beginning_are_counted_by_whom_they_are_about() -> None:
    newest = {"data": [event(4, "x", "aa")], "nextCursor": "c"}
    page = [event(4, "x", "aa"), event(5, "x", "aa"), event(6, "y", "cc", device_id="a-a"), event(7, "x", "stranger")]
    script = Script({
        "GET /v1/events": [
            Reply(200, newest),
            Reply(200, {"data": page, "nextCursor": "d"}),
            Reply(200, {"data": [], "nextCursor": "d"}),
        ]
    })  # fmt: skip
    ledger = Ledger(script)
    ledger.know("aa", "lock 1")
    ledger.expect("lock 1", ("x", "z"))
    ledger.read()
    assert ledger.by_type() == {"x": (1, 1), "y": (0, 1), "z": (1, 0)}
    assert ledger.faults() == [
        "lock 1: the log has 1 events y, expected were 0", "lock 1: the log has 0 events z, expected were 1"
    ]  # fmt: skip
    assert ledger.by_type({"lock 1"}) == {}
    assert ledger.faults({"lock 1"}) == []


def test_all_pages_of_a_list_are_read_and_a_refusal_is_told() -> None:
    pages = [Reply(200, {"data": [1], "nextCursor": "c"}), Reply(200, {"data": [2], "nextCursor": None})]
    script = Script({"GET /v1/things": pages, "GET /v1/none": [Reply(403, {"detail": "Not yours."})]})
    assert list(items(script, "/v1/things", {"a": 1})) == [1, 2]
    with pytest.raises(Unexpected, match="Not yours"):
        ask(script, "GET", "/v1/none")
