"""Carries the steps of a plan out against a server, and finds where it answers something else than expected."""

from __future__ import annotations

import re
import time
from collections import OrderedDict
from typing import Any

from heliograph.simulation.api import Api, Reply, Unexpected, ask, items, reason
from heliograph.simulation.connector import Connector
from heliograph.simulation.ledger import Ledger
from heliograph.simulation.steps import Step, missing

OFFER_SECONDS = 20.0
"""How long it may take until an operation is offered to its connector."""

JOB_POLL_SECONDS = 0.1
SILENCE_SECONDS = 100.0
"""A connected device says that it is alive when it has been silent for so long; servers wait for some minutes."""

_NAME = re.compile(r"\{([^{}]+)\}")


class Unknown(Exception):
    """The server has nothing by that name."""


class Driver:
    """Sends requests in the names of all who play. `names` has the uids of those who are known.

    Actors in `shared` are those whose locks somebody else works on as well; of them nothing can be expected.
    """

    def __init__(self, api: Api, ledger: Ledger, names: dict[str, str]) -> None:
        self.names = dict(names)
        self.shared: set[str] = set()
        self.connector: Connector | None = None
        self._api = api
        self._ledger = ledger
        self._online: OrderedDict[str, float] = OrderedDict()
        for name, uid in names.items():
            ledger.know(uid, name)

    # -- steps ------------------------------------------------------------------------------------------------------

    def perform(self, step: Step) -> list[str]:
        """Carry a step out; return what was not as expected.

        Raises:
            Stopped: when the play is to end and the server asked to try again later.
            Unexpected: when the key may not do it.
        """
        try:
            faults = self._offer(step) if step.offered else []
            reply = self._send(step)
        except Unknown as unknown:
            return self._judged(step, [f"the server knows no {unknown}"])
        if reply.status in (401, 403):
            raise Unexpected(f"{step.method} {step.path} was refused ({reply.status}): {reason(reply)}")
        if reply.status not in step.status:
            faults.append(f"answered {reply.status} instead of {step.status[0]}: {reason(reply)}")
            return self._judged(step, faults)
        self._ledger.expect(step.actor, step.events)
        if reply.status < 400:
            self._learn(step, reply.document)
            document = self._finished(reply.document) if step.awaits_job else reply.document
            faults += missing(self._named(step.answer), document) if step.answer else []
        return self._judged(step, faults)

    def _judged(self, step: Step, faults: list[str]) -> list[str]:
        return [] if step.actor in self.shared else [f"{step.text}: {fault}" for fault in faults]

    def _send(self, step: Step) -> Reply:
        path = _NAME.sub(lambda name: self._uid(name[1]), step.path)
        reply = self._api.send(step.method, path, None, self._named(step.body), step.content_type)
        self._note_presence(step, reply)
        return reply

    def _learn(self, step: Step, document: Any) -> None:
        for name, place in step.learns.items():
            found = document
            for part in place.split("/"):
                found = found.get(part) if isinstance(found, dict) else None
            if isinstance(found, str):
                self.names[name] = found
                if name in (step.actor, "import"):
                    self._ledger.know(found, step.actor)

    def _named(self, value: Any) -> Any:
        """Put uids in the places of names."""
        if isinstance(value, dict):
            return {name: self._named(part) for name, part in value.items()}
        if isinstance(value, list):
            return [self._named(part) for part in value]
        name = _NAME.fullmatch(value) if isinstance(value, str) else None
        return value if name is None else self._uid(name[1])

    def _uid(self, name: str) -> str:
        if name not in self.names and name.startswith("code "):
            self._find_codes(name.removeprefix("code ").split("/")[0])
        if name not in self.names:
            raise Unknown(name)
        return self.names[name]

    def _find_codes(self, lock: str) -> None:
        """Learn what the server calls the codes of a lock: reports are answered with numbers alone."""
        for code in items(self._api, "/v1/access-codes", {"deviceUid": self._uid(f"lock {lock}")}):
            if code["externalId"] is not None:
                self.names[f"code {lock}/{code['externalId'].removeprefix('slot-')}"] = code["uid"]

    def _finished(self, job: Any) -> Any:
        while job["state"] in ("queued", "running"):
            time.sleep(JOB_POLL_SECONDS)
            job = ask(self._api, "GET", f"/v1/jobs/{job['uid']}")
        return job

    # -- operations -------------------------------------------------------------------------------------------------

    def _offer(self, step: Step) -> list[str]:
        """Wait until the connector has been given the operation that it is to answer for."""
        if self.connector is None:
            return []
        offered = self.connector.wait_for(self._uid(step.offered), OFFER_SECONDS)
        return [f"the operation was not offered within {OFFER_SECONDS:g} seconds"] if offered is None else []

    def serve_others(self) -> int:
        """Do what somebody else asked of a lock that plays, as a lock that works would; return how much."""
        if self.connector is None:
            return 0
        operations = self.connector.others(set(self.names.values()))
        done_for_them = 0
        actors = {uid: name for name, uid in self.names.items() if name.startswith("lock ")}
        for operation in operations:
            # One of ours that was offered once more while it was being completed is none of theirs.
            if ask(self._api, "GET", f"/v1/device-operations/{operation['uid']}")["state"] != "pending":
                continue
            self.shared.add(actors.get(operation["deviceUid"], ""))
            done: dict[str, str] = {"outcome": "succeeded"}
            if operation["kind"] == "set_access_code":
                done["externalId"] = f"guest-{operation['accessCodeUid']}"
            self._api.send("POST", f"/v1/device-operations/{operation['uid']}/complete", None, done)
            done_for_them += 1
        return done_for_them

    # -- signs of life ----------------------------------------------------------------------------------------------

    def _note_presence(self, step: Step, reply: Reply) -> None:
        if step.path.endswith("/reports") and reply.status == 200:
            self._online.pop(step.actor, None)
            if reply.document["connected"]:
                self._online[step.actor] = time.monotonic()

    def signs_of_life(self) -> int:
        """Let connected devices that have said nothing for long say that they are there; return how many did."""
        silent_since = time.monotonic() - SILENCE_SECONDS
        sent = 0
        while self._online and next(iter(self._online.values())) < silent_since:
            actor, _ = self._online.popitem(last=False)
            self._api.send("POST", f"/v1/devices/{self.names[actor]}/reports", None, {})
            self._online[actor] = time.monotonic()
            sent += 1
        return sent
