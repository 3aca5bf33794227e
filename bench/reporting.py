"""A lock that reports many codes, while single events come in at a fixed rate."""

from __future__ import annotations

import http.client
import json
import time
from dataclasses import dataclass
from typing import Any

from bench.importing import wait_for_job
from bench.servers import Server


@dataclass(frozen=True)
class Reported:
    """How a report went; `seconds` from its first byte until it was applied, by a job if there was one."""

    seconds: float
    answer: dict[str, Any]


def codes(count: int) -> bytes:
    """Write the report of a lock with so many codes, each with an id, a PIN, a name and every other one a time."""
    listed = [
        {"externalId": f"slot-{n}", "code": f"{n:06d}", "name": f"Guest {n}"}
        | ({"startsAt": "2026-03-02T14:00:00Z", "endsAt": "2026-03-05T10:00:00Z"} if n % 2 else {})
        for n in range(count)
    ]
    return json.dumps({"complete": True, "codes": listed}).encode()


def enrol_lock(server: Server) -> str:
    """Make an account and a lock that belongs to it; return the lock's uid."""
    return enrol_locks(server, 1)[0]


def enrol_locks(server: Server, count: int) -> list[str]:
    """Make an account and locks that belong to it; return the locks' uids."""
    account = _send(server, "POST", "/v1/connected-accounts", {"name": "Harbour Hotel", "provider": "august"})
    new = (
        {"brand": "Yale", "serialNumber": f"SN-{12 + n}", "connectedAccountUid": account["uid"]} for n in range(count)
    )
    return [str(_send(server, "POST", "/v1/devices", lock)["uid"]) for lock in new]


def fill_locks(server: Server, events: int) -> str:
    """Cause so many events that Seam knows: an account's, a lock's with all codes but one, and the one of another lock.

    Returns the other lock's uid.
    """
    crowded, quiet = enrol_locks(server, 2)
    send_report(server, crowded, codes(events - 2))
    send_report(server, quiet, codes(1))
    return quiet


def send_report(server: Server, lock: str, content: bytes) -> Reported:
    """Send a report and wait until it is applied."""
    began = time.perf_counter()
    answer = _send(server, "PUT", f"/v1/devices/{lock}/access-code-report", content)
    if "kind" in answer:
        answer = wait_for_job(server, answer)["result"]
    return Reported(time.perf_counter() - began, answer)


def _send(server: Server, method: str, path: str, body: dict[str, Any] | bytes) -> dict[str, Any]:
    headers = {"authorization": f"Bearer {server.key}", "content-type": "application/json"}
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    connection.request(method, path, body if isinstance(body, bytes) else json.dumps(body), headers)
    answer = connection.getresponse()
    document: dict[str, Any] = json.loads(answer.read())
    connection.close()
    if answer.status >= 400:
        raise SystemExit(f"{method} {path}: {document}")
    return document
