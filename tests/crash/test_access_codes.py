"""`kill -9` in the middle of reports and conversions: state and events agree, and nothing is told twice."""

from __future__ import annotations

import http.client
import random
import signal
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.crash.struck import STEPS
from tests.server import SAFETY_SECONDS, Response, Server
from tests.stories.locksmiths import CREATED, FOUND, NAMED, NOT_SET, NOT_TAKEN, SCHEDULED, SET, TAKEN, state_after
from tests.whole_log import Follower, assert_sound, assert_stored_whole, rows_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import StoreUrl
    from tests.server import Client
    from tests.whole_log import Record

IMPATIENT = (sys.executable, "-m", "tests.crash.impatient")
LAST = {
    "report": 5, "long report": 0, "part of a long report": 5, "conversion": 25, "change": 4, "taking": 4,
    "completion": 20, "answer": 24,
}  # fmt: skip
"""How often at most a step is done before the kill: no more often than each round's load does it."""

RANDOM_ROUNDS = 4
ROUNDS = [*STEPS, *[None] * RANDOM_ROUNDS]
"""The steps to die in; None is a kill from outside at any moment."""

LOCKS = 4
WINDOWS = {"small": (24, 6), "large": (240, 120)}
"""How many codes a lock holds, and how many others it holds in the next round; the changes of a large one are a job."""

MOST_ANSWERS = 70
"""Answers after which a round that counts them is over at the latest."""

CONVERSIONS, CHANGES = 30, 8
CODES, OPERATIONS = "/v1/access-codes", "/v1/device-operations"
PREFIX = "access_code."


def window(size: str, round_: int) -> range:
    """Return the numbers of the codes that a lock holds in a round."""
    held, moved = WINDOWS[size]
    return range(round_ * moved, round_ * moved + held)


def holds(size: str, round_: int) -> dict[str, Any]:
    """Return the report of such a lock; it does not say names, so that none is taken for a change at the lock."""
    codes = [{"externalId": f"{n:05}", "code": str(100_000 + n)} for n in window(size, round_)]
    return {"complete": True, "codes": codes}


@dataclass
class Sent:
    """One request and the answer, if one came."""

    method: str
    path: str
    body: Any
    headers: dict[str, str] = field(default_factory=dict)
    answer: Response | None = None

    def go(self, client: Client | Server) -> Response:
        """Send it to a server that answers."""
        self.answer = client.request(self.method, self.path, body=self.body, headers=self.headers)
        return self.answer

    def attempt(self, client: Client) -> Response | None:
        """Send it to a server that may die."""
        try:
            return self.go(client)
        except (OSError, http.client.HTTPException):
            return None


class House:
    """The locks of one organization and all that was asked and said about them."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.locks: dict[str, str] = {}
        """The size of each lock."""
        self.cut: Counter[str] = Counter()
        """What the kills fell into."""

    def prepare(self) -> None:
        made = self.server.request("POST", "/v1/connected-accounts", body={"name": "House", "provider": "august"})
        for number in range(LOCKS + 1):
            lock = {"brand": "Yale", "serialNumber": f"LOCK-{number}", "connectedAccountUid": made.json["uid"]}
            uid = self.server.request("POST", "/v1/devices", body=lock).json["uid"]
            self.locks[uid] = "large" if number == 0 else "small"
        self.report(0)

    # -- the load ---------------------------------------------------------------------------------------------------

    def strike(self, round_: int, step: str | None) -> list[Sent]:
        """Let locks report, owners ask and a connector work until the server dies; return what was completed."""
        chance = random.Random(round_)
        self.server.command = IMPATIENT
        if step is not None:
            number = str(chance.randint(0, LAST[step]))
            self.server.command = (sys.executable, "-m", "tests.crash.struck", step, number)
            self.server.restart()
        asked = self._questions(round_, chance)
        answered = threading.Semaphore(0)
        with ThreadPoolExecutor(4) as threads:
            lives = [threads.submit(self._send, some, answered) for some in (self._reports(round_), asked)]
            working = threads.submit(self._work, answered)
            if step is None:
                for _ in range(chance.randint(1, MOST_ANSWERS)):
                    assert answered.acquire(timeout=SAFETY_SECONDS)
                threading.Event().wait(chance.uniform(0, 0.01))
                self.server.kill()
            else:
                assert self.server.wait_for_end() == -signal.SIGKILL
            for life in lives:
                life.result()
            completions = working.result()
        (begun,) = rows_of(self.server.store, "select done, total from job where state in ('queued', 'running')")
        self.cut["report"] += sum(0 < done < total for done, total in begun)
        self.server.command = IMPATIENT
        self.server.restart()
        self._repeat(completions)
        for sent in asked:
            if sent.answer is None and "idempotency-key" in sent.headers:
                self.cut["conversion"] += 1
                answer = sent.go(self.server)
                assert answer.status in (200, 202, 404, 409), answer.body
        return completions

    def _reports(self, round_: int) -> list[Sent]:
        paths = {f"/v1/devices/{uid}/access-code-report": size for uid, size in self.locks.items()}
        once = [Sent("PUT", path, holds(size, round_)) for path, size in paths.items()]
        again = [Sent("PUT", path, holds(size, round_)) for path, size in paths.items() if size == "small"]
        return once + again

    def _questions(self, round_: int, chance: random.Random) -> list[Sent]:
        """Return requests to take codes over and to rename those that are managed, in any order."""
        codes = self.all(CODES)
        staying = [
            one for one in codes if int(one["externalId"]) in window(self.locks[one["deviceUid"]], round_)
        ]  # fmt: skip
        free = chance.sample([one["uid"] for one in staying if not one["managed"]], CONVERSIONS)
        managed = [one["uid"] for one in staying if one["managed"] and one["status"] == "set"]
        found = [
            Sent("POST", f"{CODES}/{uid}/convert", {}, {"idempotency-key": f"{round_} {uid}"}) for uid in free
        ] + [
            Sent("PATCH", f"{CODES}/{uid}", {"name": f"Round {round_}"})
            for uid in chance.sample(managed, min(CHANGES, len(managed)))
        ]  # fmt: skip
        chance.shuffle(found)
        return found

    def _send(self, asked: list[Sent], answered: threading.Semaphore) -> None:
        with self.server.client() as client:
            for one in asked:
                answer = one.attempt(client)
                if answer is None:
                    return
                assert answer.status in (200, 202, 404), answer.body
                answered.release()

    def _work(self, answered: threading.Semaphore) -> list[Sent]:
        """Take operations and complete them until the server is gone."""
        sent: list[Sent] = []
        with self.server.client() as client:
            while True:
                taken = Sent("GET", f"{OPERATIONS}?wait=10&limit=5", None).attempt(client)
                if taken is None:
                    return sent
                for operation in taken.json["data"]:
                    sent.append(completion_of(operation))
                    if sent[-1].attempt(client) is None:
                        return sent
                    answered.release()

    # -- after it ---------------------------------------------------------------------------------------------------

    def _repeat(self, completions: list[Sent]) -> None:
        """Say again what a connector said: each is answered with the first result."""
        for sent in completions:
            first = sent.answer
            if first is None:
                self.cut["completion"] += 1
                first = sent.go(self.server)
            if first.status == 409:
                assert b"cancelled" in first.body
                continue
            assert first.status == 200, first.body
            assert sent.go(self.server).json == first.json

    def finish(self, round_: int) -> None:
        """Let all that was begun come to its end."""
        self.wait_for_jobs()
        if len(self.all("/v1/jobs")) > round_:
            # The long report was taken; nothing but its job was needed.
            self.assert_held("large", round_)
        while rows_of(self.server.store, "select count(*) from device_operation where state = 'pending'") != [[(0,)]]:
            answer = self.server.request("GET", OPERATIONS, query={"wait": 5, "limit": 100})
            for operation in answer.json["data"]:
                completion_of(operation).go(self.server)
        self.report(round_)

    def report(self, round_: int) -> None:
        for sent in self._reports(round_):
            answer = sent.go(self.server)
            assert answer.status in (200, 202), answer.body
        self.wait_for_jobs()

    def wait_for_jobs(self) -> None:
        """Wait until no report is left to apply."""
        wait_until(lambda: all(job["state"] == "succeeded" for job in self.all("/v1/jobs")))

    def assert_held(self, size: str, round_: int) -> None:
        """Check that the locks of a size are known to hold what they reported in a round."""
        shown = self.all(CODES)
        for uid in (uid for uid, one in self.locks.items() if one == size):
            held = [one["externalId"] for one in shown if one["deviceUid"] == uid and one["status"] != "unset"]
            assert sorted(held) == [f"{n:05}" for n in window(size, round_)]

    def all(self, path: str) -> list[Any]:
        found: list[Any] = []
        cursor: dict[str, str] = {}
        while True:
            answer = self.server.request("GET", path, query={"limit": 1000, **cursor})
            assert answer.status == 200, answer.body
            found += answer.json["data"]
            if answer.json["nextCursor"] is None:
                return found
            cursor = {"cursor": answer.json["nextCursor"]}


def completion_of(operation: Any) -> Sent:
    """Return what the connector says of an operation, the same whenever it is asked; a quarter of them fail."""
    fails = int(operation["uid"][-2:], 16) % 4 == 0
    said = {"outcome": "failed", "errors": [{"errorCode": "device_rejected"}]} if fails else {"outcome": "succeeded"}
    return Sent("POST", f"{OPERATIONS}/{operation['uid']}/complete", said)


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SAFETY_SECONDS
    while not condition():
        assert time.monotonic() < deadline


# -- what must be true ----------------------------------------------------------------------------------------------


def told_of_codes(log: list[Record]) -> dict[str, list[Record]]:
    found: dict[str, list[Record]] = {}
    for event in log:
        if event["type"].startswith(PREFIX):
            found.setdefault(event["targetEntityId"], []).append(event["payload"])
    return found


def types_of(told: list[Record]) -> list[str]:
    return [payload["event_type"].removeprefix(PREFIX) for payload in told]


def assert_codes_are_what_was_told(house: House, told: dict[str, list[Record]]) -> None:
    states = {uid: state_after(types_of(payloads)) for uid, payloads in told.items()}
    names: dict[str, str | None] = dict.fromkeys(told)
    for uid, payloads in told.items():
        for payload in payloads:
            if payload["event_type"] == PREFIX + NAMED:
                assert payload["from"]["name"] == names[uid]
                names[uid] = payload["to"]["name"]
    shown = house.all(CODES)
    assert {one["uid"]: one["status"] if one["managed"] else "unmanaged" for one in shown} == {
        uid: state for uid, state in states.items() if state != "gone"
    }
    assert {one["uid"]: one["name"] for one in shown} == {one["uid"]: names[one["uid"]] for one in shown}


def assert_locks_are_known_as_without_a_crash(house: House, told: dict[str, list[Record]], last: int) -> None:
    for size in WINDOWS:
        house.assert_held(size, last)
    assert {one["status"] for one in house.all(CODES)} == {"set", "unset"}
    for uid, size in house.locks.items():
        created = sum(
            payload["event_type"] == PREFIX + FOUND and payload["device_id"].replace("-", "") == uid
            for payloads in told.values()
            for payload in payloads
        )
        assert created == window(size, last).stop


def assert_every_operation_has_one_outcome(house: House, told: dict[str, list[Record]]) -> None:
    (rows,) = rows_of(house.server.store, "select subject_uid, kind, state from device_operation")
    done = Counter((subject.hex(), kind != "convert_access_code", state) for subject, kind, state in rows)
    assert {state for _, _, state in done} <= {"succeeded", "failed", "cancelled"}
    outcomes = {TAKEN: (False, "succeeded"), NOT_TAKEN: (False, "failed")}
    outcomes |= {SET: (True, "succeeded"), SCHEDULED: (True, "succeeded"), NOT_SET: (True, "failed")}
    found: Counter[tuple[str, bool, str]] = Counter()
    for uid, payloads in told.items():
        found.update((uid, *outcomes[type_]) for type_ in types_of(payloads) if type_ in outcomes)
    assert found == Counter({one: count for one, count in done.items() if one[2] != "cancelled"})


def assert_long_reports_were_done_once(house: House, log: list[Record]) -> None:
    jobs = house.all("/v1/jobs")
    held, moved = WINDOWS["large"]
    discovered = sorted(job["result"]["discovered"] for job in jobs)
    assert discovered == [*[moved] * len(ROUNDS), held]
    for type_ in ("Job.Started", "Job.Finished"):
        uids = [event["payload"]["uid"] for event in log if event["type"] == type_]
        assert sorted(uids) == sorted(job["uid"] for job in jobs)


def test_codes_are_what_was_told_when_the_server_is_killed(store_url: StoreUrl) -> None:
    server = Server(store_url, {"operation_lease": 1})
    server.command = IMPATIENT
    house, follower = House(server), Follower()
    try:
        server.restart()
        house.prepare()
        for round_, step in enumerate(ROUNDS, start=1):
            house.strike(round_, step)
            house.finish(round_)
        follower.drain(server)
        assert_sound(follower.events)
        assert_stored_whole(store_url)
        told = told_of_codes(follower.events)
        assert_codes_are_what_was_told(house, told)
        assert_locks_are_known_as_without_a_crash(house, told, len(ROUNDS))
        assert_every_operation_has_one_outcome(house, told)
        assert_long_reports_were_done_once(house, follower.events)
    finally:
        server.stop()
    assert CREATED not in {type_ for payloads in told.values() for type_ in types_of(payloads)}
    # Some kills fell into a job, a conversion and a completion, or this would show nothing.
    assert min(house.cut[kind] for kind in ("report", "conversion", "completion")) > 0, house.cut
