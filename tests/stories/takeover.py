"""The story of `locksmiths` as it is played against a live server: locks report, owners ask, connectors carry out."""

from __future__ import annotations

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from tests.server import SAFETY_SECONDS, Client, Response, Server
from tests.stories.locksmiths import (
    ACCOUNTS,
    CHAPTER,
    CHAPTERS,
    COMPLETED,
    LOCKS,
    PLACES,
    REPORTED,
    UNITS,
    Step,
    Unit,
    account_of,
    after,
    living,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

THREADS = 3
CONNECTORS = 2
WAIT = 10
"""Seconds for which a connector lets the server hold its question."""

CODES, OPERATIONS = "/v1/access-codes", "/v1/device-operations"
LATER = "2126-03-09T11:00:00.000000Z"

HEIR: dict[str, object] = {"operation_lease": 1}
SILENCE: dict[str, object] = {"operation_deadline": 5}
"""Settings of the chapters in which connectors die."""


class Story:
    """One organization through the whole story; what it noted on the way is what the tests look at."""

    def __init__(self, server: Server) -> None:
        self.server = server
        tenants = server.request("GET", "/v1/tenants").json["data"]
        company = next(one["uid"] for one in tenants if one["kind"] == "company" and one["parentUid"] is None)
        new = {"kind": "organization", "name": "locks", "shortName": "locks"}
        self.uid = self._made(server.request, "/v1/tenants", new, tenantUid=company)["uid"]
        self.key = self._new_key("owner")
        self.connectors = [self._new_key("connector") for _ in range(CONNECTORS)]
        self.owner = server.client(self.key)
        self.accounts: list[str] = []
        self.locks: list[str] = []
        self.held: dict[int, dict[str, Any]] = {unit.number: dict(unit.shown) for unit in UNITS if unit.fate.found}
        """What the locks show, by the number of the code."""
        self.uids: dict[int, str] = {}
        self.by_uid: dict[str, Unit] = {}
        self.began: dict[str, datetime] = {}
        """When each chapter began, by the clocks of the locks."""
        self.jobs: list[str] = []
        self.operations: list[str] = []
        self.statuses: Counter[tuple[str, int]] = Counter()
        """How attempts to complete once more, or in another's place, were answered."""

    def _new_key(self, role: str) -> str:
        wish = {"name": role, "grants": [{"grant": role, "tenantUid": self.uid}]}
        return str(self._made(self.server.request, "/v1/keys", wish, tenantUid=self.uid)["token"])

    def _made(self, request: Callable[..., Response], path: str, body: Any, **query: str) -> Any:
        answer = request("POST", path, query=query, body=body)
        assert answer.status == 201, answer.body
        return answer.json

    def all(self, path: str, **query: Any) -> list[Any]:
        """Read all pages of a list."""
        found: list[Any] = []
        cursor: dict[str, str] = {}
        while True:
            answer = self.server.request("GET", path, key=self.key, query={"limit": 1000, **query, **cursor})
            assert answer.status == 200, answer.body
            found += answer.json["data"]
            if answer.json["nextCursor"] is None:
                return found
            cursor = {"cursor": answer.json["nextCursor"]}

    # -- the chapters -----------------------------------------------------------------------------------------------

    def tell(self) -> None:
        """Do everything, from the first account to the last report."""
        with self.owner:
            self._tell()

    def _tell(self) -> None:
        for number in range(ACCOUNTS):
            new = {"name": f"House {number}", "provider": "august"}
            self.accounts.append(self._made(self.owner.request, "/v1/connected-accounts", new)["uid"])
        self.locks = self._each(self._new_lock, range(LOCKS))
        for chapter in CHAPTERS:
            # Whole seconds, as the bodies of events hold no microseconds.
            now = datetime.now(UTC).replace(microsecond=0)
            self.began[chapter] = max([now, *(one + CHAPTER for one in self.began.values())])
            for uid in self.accounts:
                body = {"customMetadata": {"chapter": chapter}}
                answer = self.owner.request("PATCH", f"/v1/connected-accounts/{uid}", body=body)
                assert answer.status == 200, answer.body
            getattr(self, f"_{chapter}")()

    def _discover(self) -> None:
        self._report("discover", range(LOCKS))
        self._report("discover", range(0, LOCKS, 10))
        self._learn()

    def _convert(self) -> None:
        self._disturb("offline", "disconnect")
        self._live("convert")

    def _mend(self) -> None:
        self._disturb("online", "reconnect")
        late = [unit for unit in UNITS if unit.fate.late]
        for lock in {unit.lock for unit in late}:
            codes = [self.held[unit.number] for unit in late if unit.lock == lock]
            self._send(self.owner, "mend", lock, codes, complete=False)
        for unit in late:
            # A report tells no PIN twice.
            del self.held[unit.number]["code"]
        self._learn()
        self._live("mend")

    def _change(self) -> None:
        self._live("change")

    def _again(self) -> None:
        self._live("again")

    def _lose(self) -> None:
        self._live("lose")
        self._report("lose", range(LOCKS), seconds=REPORTED)

    def _heir(self) -> None:
        """Let one connector die with all that it took; the other gets it when the lease has run out."""
        self._restart(HEIR)
        self._each(partial(self._ask, "heir"), living("heir"))
        left = sum(1 for unit in living("heir") if unit.fate.steps["heir"].says)
        with self.server.client(self.connectors[0]) as dead, self.server.client(self.connectors[1]) as heir:
            taken = self._take(dead, left)
            inherited = self._take(heir, left)
            assert {one["uid"] for one in taken} == {one["uid"] for one in inherited}
            for operation in inherited:
                assert operation["attempts"] == 2
                self._complete(heir, "heir", operation)
            late = self._say(dead, taken[0], {"outcome": "failed"})
            self.statuses["late heir", late.status] += 1

    def _silence(self) -> None:
        """Let the time of operations run out, of some before anybody took them."""
        self._restart(SILENCE)
        fetched = [unit for unit in living("silence") if "fetch" in unit.fate.steps["silence"].act]
        self._each(partial(self._ask, "silence"), fetched)
        with self.server.client(self.connectors[0]) as client:
            taken = self._take(client, len(fetched))
            for operation in taken:
                self._do(self.by_uid[operation["accessCodeUid"]], "silence", operation)
            others = [unit for unit in living("silence") if unit not in fetched]
            self._each(partial(self._ask, "silence"), others)
            for uid in self.operations[-len(others) - len(fetched) :]:
                self._wait(client, f"{OPERATIONS}/{uid}", "pending")
            for operation in taken:
                self.statuses["after the end", self._say(client, operation, {"outcome": "succeeded"}).status] += 1

    def _end(self) -> None:
        self._report("end", range(LOCKS), seconds=REPORTED)

    def _restart(self, settings: dict[str, object]) -> None:
        self.owner.close()
        self.server.settings = settings
        self.server.restart()

    # -- locks ------------------------------------------------------------------------------------------------------

    def _new_lock(self, client: Client, number: int) -> str:
        new = {"brand": "Yale", "serialNumber": f"LOCK-{number}", "customMetadata": {"door": str(number)}}
        account = {"connectedAccountUid": self.accounts[account_of(number)]}
        return str(self._made(client.request, "/v1/devices", new | account)["uid"])

    def _report(self, chapter: str, locks: Iterable[int], seconds: int = 0) -> None:
        """Let locks report all that they hold."""
        held: dict[int, list[Any]] = {lock: [] for lock in range(LOCKS)}
        for unit in UNITS:
            if unit.number in self.held and (chapter != "discover" or not unit.fate.late):
                held[unit.lock].append(self.held[unit.number])

        def report(client: Client, lock: int) -> None:
            self._send(client, chapter, lock, held[lock], seconds=seconds)

        self._each(report, locks)

    def _send(
        self, client: Client, chapter: str, lock: int, codes: list[Any], *, complete: bool = True, seconds: int = 0
    ) -> None:
        body = {"complete": complete, "reportedAt": self._time(chapter, lock, seconds), "codes": codes}
        path = f"/v1/devices/{self.locks[lock]}/access-code-report"
        answer = client.request("PUT", path, key=self.connectors[0], body=body)
        assert answer.status in (200, 202), answer.body
        if answer.status == 202:
            self.jobs.append(answer.json["uid"])
            assert self._wait(client, f"/v1/jobs/{self.jobs[-1]}", "queued", "running")["state"] == "succeeded"
        else:
            assert answer.json["applied"], answer.body

    def _learn(self) -> None:
        """Find out what the codes on the locks are called by the platform."""
        numbers = {unit.name: unit for unit in UNITS if unit.fate.found}
        for code in self.all(CODES):
            if code["uid"] not in self.by_uid:
                self._know(numbers[code["name"]], code["uid"])

    def _know(self, unit: Unit, uid: str) -> None:
        assert self.uids.setdefault(unit.number, uid) == uid
        self.by_uid[uid] = unit

    def _disturb(self, state: str, act: str) -> None:
        for lock in (*PLACES["offline"], *PLACES["both"]):
            body = {"session": {"state": state}}
            answer = self.owner.request("POST", f"/v1/devices/{self.locks[lock]}/reports", body=body)
            assert answer.status == 200, answer.body
        answer = self.owner.request("POST", f"/v1/connected-accounts/{self.accounts[-1]}/{act}", body={})
        assert answer.status == 200, answer.body

    # -- owners -----------------------------------------------------------------------------------------------------

    def _live(self, chapter: str) -> None:
        """Let owners ask and connectors carry out, until all has been done that this chapter asks for."""
        units = living(chapter)
        share = Counter(account_of(unit.lock) % CONNECTORS for unit in units if unit.fate.steps[chapter].says)
        with ThreadPoolExecutor(CONNECTORS) as threads:
            serving = [threads.submit(self._serve, chapter, one, share[one]) for one in range(CONNECTORS)]
            self._each(partial(self._ask, chapter), units)
            for one in serving:
                one.result()

    def _ask(self, chapter: str, client: Client, unit: Unit) -> None:
        step = unit.fate.steps[chapter]
        if step.is_done_at_lock:
            self._meddle(unit, step)
            return
        answer = self._request(client, unit, step)
        assert answer.status == step.status, answer.body
        if answer.status == 204:
            return
        operation = answer.json if "kind" in answer.json else answer.json["operation"]
        if operation is None:
            return
        self.operations.append(operation["uid"])
        failed_at_once = step.is_conversion and bool(step.at_once) and chapter != "silence"
        assert operation["state"] == ("failed" if failed_at_once else "pending")
        if step.act == "convert twice and vanish":
            again = self._request(client, unit, step)
            assert again.json == operation
            del self.held[unit.number]

    def _request(self, client: Client, unit: Unit, step: Step) -> Response:
        if step.act == "create":
            body = {"deviceUid": self.locks[unit.lock], "name": unit.name, "code": unit.pin}
            answer = client.request("POST", CODES, body=body)
            self._know(unit, answer.json["accessCode"]["uid"])
            return answer
        path = f"{CODES}/{self.uids[unit.number]}"
        if step.is_conversion:
            wish = {"force": "force" in step.act, "isExternalModificationAllowed": "leave" in step.act}
            return client.request("POST", f"{path}/convert", body=wish)
        if step.act == "remove":
            return client.request("DELETE", path)
        return client.request("PATCH", path, body=_patch(unit, step.act))

    def _meddle(self, unit: Unit, step: Step) -> None:
        """Let somebody at the lock do it."""
        if step.act == "guest removes":
            del self.held[unit.number]
        elif step.act == "guest renames":
            self.held[unit.number]["name"] += " of a guest"

    # -- connectors -------------------------------------------------------------------------------------------------

    def _take(self, client: Client, count: int, **query: Any) -> list[Any]:
        """Fetch that many operations, waiting for them."""
        found: list[Any] = []
        deadline = time.monotonic() + SAFETY_SECONDS
        while len(found) < count:
            assert time.monotonic() < deadline, f"{len(found)} of {count}"
            answer = client.request("GET", OPERATIONS, query={"wait": WAIT, "limit": 100, **query})
            assert answer.status == 200, answer.body
            found += answer.json["data"]
        return found

    def _serve(self, chapter: str, number: int, count: int) -> None:
        """Carry out what is asked for at some accounts, until that many operations have been completed."""
        accounts = [uid for place, uid in enumerate(self.accounts) if place % CONNECTORS == number]
        with self.server.client(self.connectors[number]) as client:
            while count:
                taken = self._take(client, 1, connectedAccountUid=accounts)
                assert {one["connectedAccountUid"] for one in taken} <= set(accounts)
                for operation in taken:
                    self._complete(client, chapter, operation)
                count -= len(taken)

    def _complete(self, client: Client, chapter: str, operation: Any) -> None:
        unit = self.by_uid[operation["accessCodeUid"]]
        step = unit.fate.steps[chapter]
        said: dict[str, Any] = {
            "outcome": "succeeded" if step.says == "done" else "failed",
            "occurredAt": self._time(chapter, unit.number, COMPLETED),
            "errors": [{"errorCode": code} for code in step.errors],
            "warnings": [{"warningCode": code, "message": "Look!"} for code in step.warnings],
        }
        if step.says == "done":
            self._do(unit, chapter, operation)
            if operation["kind"] == "set_access_code":
                said["externalId"] = self.held[unit.number]["externalId"]
        if unit.number % 11 == 0 and chapter != "heir":
            other = self.connectors[1 - account_of(unit.lock) % CONNECTORS]
            self.statuses["another's", self._say(client, operation, said, key=other).status] += 1
        answer = self._say(client, operation, said)
        assert answer.status == 200, answer.body
        assert answer.json["state"] == said["outcome"]
        if unit.number % 7 == 0:
            again = self._say(client, operation, said)
            assert again.json == answer.json
            self.statuses["again", again.status] += 1
            other_words = said | {"warnings": [{"warningCode": "second_thoughts"}]}
            self.statuses["otherwise", self._say(client, operation, other_words).status] += 1

    def _say(self, client: Client, operation: Any, said: dict[str, Any], key: str | None = None) -> Response:
        return client.request("POST", f"{OPERATIONS}/{operation['uid']}/complete", key=key, body=said)

    def _do(self, unit: Unit, chapter: str, operation: Any) -> None:
        """Make the lock do what it is asked for."""
        wanted = operation["accessCode"]
        if operation["kind"] == "remove_access_code":
            del self.held[unit.number]
        elif operation["kind"] != "convert_access_code":
            shown = {name: wanted[name] for name in ("name", "code", "startsAt", "endsAt")}
            own = self.held.get(unit.number, {"externalId": f"{chapter} {unit.number}"})
            self.held[unit.number] = own | shown

    def _time(self, chapter: str, number: int, seconds: int) -> str:
        return (self.began[chapter] + after(number, seconds)).isoformat()

    # -- means ------------------------------------------------------------------------------------------------------

    def _each(self, work: Callable[[Client, Any], Any], items: Iterable[Any]) -> list[Any]:
        """Work on all items, several at once, each thread with a connection of its own; keep their order."""
        items = list(items)
        with ThreadPoolExecutor(THREADS) as threads:
            done = threads.map(partial(self._several, work), (items[n::THREADS] for n in range(THREADS)))
            found: dict[int, Any] = {}
            for start, results in enumerate(done):
                found |= {start + THREADS * place: result for place, result in enumerate(results)}
        return [found[place] for place in sorted(found)]

    def _several(self, work: Callable[[Client, Any], Any], items: Sequence[Any]) -> list[Any]:
        with self.server.client(self.key) as client:
            return [work(client, item) for item in items]

    def _wait(self, client: Client, path: str, *states: str) -> Any:
        """Wait until what is there is in none of the states."""
        deadline = time.monotonic() + SAFETY_SECONDS
        while True:
            answer = client.request("GET", path, key=self.connectors[0])
            if answer.json["state"] not in states:
                return answer.json
            assert time.monotonic() < deadline, answer.body


def _patch(unit: Unit, act: str) -> dict[str, Any]:
    """Return the change that an act asks for."""
    name, code = {"name": f"{unit.name} renamed"}, {"code": str(500_000 + unit.number)}
    acts: dict[str, dict[str, Any]] = {
        "rename": name, "rename and fetch": name, "retime": {"endsAt": LATER}, "schedule": {"startsAt": LATER},
        "renumber": code, "change": name | code | {"endsAt": LATER}, "set again": {},
        "give leave": {"isExternalModificationAllowed": True},
    }  # fmt: skip
    return acts[act]
