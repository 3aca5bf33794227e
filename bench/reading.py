"""Pages of 100 from a log of a million events: every filter, both orders, the first page and a deep one."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlencode

from bench import bodies
from bench.servers import Server

SAMPLES = 15
RANGE = {"from": "2020-01-01T00:00:00Z", "to": "2200-01-01T00:00:00Z"}

SINGLE: dict[str, list[tuple[str, str]]] = {
    "no filter": [],
    "criticality": [("criticality", "3")],
    "criticality, none such": [("criticality", "5")],
    "maxCriticality=2": [("maxCriticality", "2")],
    "eventCode": [("eventCode", "10005")],
    "eventCode, none such": [("eventCode", "77777")],
    "type": [("type", bodies.TYPES[5])],
    "type, 3 values": [("type", kind) for kind in bodies.TYPES[5:8]],
    "targetEntityType": [("targetEntityType", "Device")],
    "targetEntityId": [("targetEntityId", "device-000007")],
    "relatedEntityId": [("relatedEntityId", "device-000007")],
    "internal=false": [("internal", "false")],
    "internal=true": [("internal", "true")],
}
PAIRS: dict[str, list[tuple[str, str]]] = {
    "type + eventCode that never meet": [("type", bodies.TYPES[5]), ("eventCode", "10009")],
    "type + criticality": [("type", bodies.TYPES[5]), ("criticality", "2")],
    "type + internal=true": [("type", bodies.TYPES[5]), ("internal", "true")],
    "target + criticality": [("targetEntityId", "device-000007"), ("criticality", "2")],
    "criticality + 3 types": [("maxCriticality", "2"), *[("type", kind) for kind in bodies.TYPES[5:8]]],
}


@dataclass(frozen=True)
class Timing:
    """Medians in milliseconds; `deep` is None where the answer has one page only."""

    name: str
    order: str
    first: float
    deep: float | None
    deep_page: int


class Reader:
    """One keep-alive connection that lists events."""

    def __init__(self, server: Server) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        self._headers = {"authorization": f"Bearer {server.key}"}

    def page(self, filters: list[tuple[str, str]], **more: str) -> tuple[float, int, str | None]:
        """Return milliseconds, how many events came, and the next cursor."""
        query = urlencode([*RANGE.items(), *filters, *more.items()])
        began = time.perf_counter()
        self._connection.request("GET", f"/v1/events?{query}", headers=self._headers)
        response = self._connection.getresponse()
        body = response.read()
        elapsed = (time.perf_counter() - began) * 1000
        answer = json.loads(body)
        if response.status != 200:
            raise SystemExit(f"A page was refused: {answer}")
        return elapsed, len(answer["data"]), answer["nextCursor"]

    def newest_seq(self) -> int:
        """Return the seq of the newest event, which is one less than there are events."""
        self._connection.request("GET", f"/v1/events?{urlencode(RANGE)}&limit=1", headers=self._headers)
        return int(json.loads(self._connection.getresponse().read())["data"][0]["seq"])

    def plant(self, tenants: int, batches: int) -> str:
        """Add organizations with some events each below the company; return the company's uid."""
        self._connection.request("GET", "/v1/tenants", headers=self._headers)
        found = json.loads(self._connection.getresponse().read())["data"]
        company = str(next(tenant["uid"] for tenant in found if tenant["kind"] == "company"))
        pool = bodies.batches(100, batches)
        for number in range(tenants):
            new = {"kind": "organization", "name": f"Branch {number}", "shortName": f"branch-{number}"}
            uid = self._post(f"/v1/tenants?tenantUid={company}", json.dumps(new).encode())["uid"]
            for batch in pool:
                self._post(f"/v1/events?tenantUid={uid}", batch)
        return company

    def _post(self, path: str, body: bytes) -> dict[str, str]:
        headers = {**self._headers, "content-type": "application/json"}
        self._connection.request("POST", path, body, headers)
        response = self._connection.getresponse()
        answer: dict[str, str] = json.loads(response.read())
        if response.status != 201:
            raise SystemExit(f"{path} was refused: {answer}")
        return answer

    def median(self, filters: list[tuple[str, str]], **more: str) -> float:
        """Ask for one page several times."""
        times = sorted(self.page(filters, **more)[0] for _ in range(SAMPLES))
        return times[SAMPLES // 2]

    def timings(self, names: dict[str, list[tuple[str, str]]], deep_page: int) -> Iterator[Timing]:
        """Time the first page of each question, and one up to `deep_page` pages on."""
        for name, filters in names.items():
            for order in ("desc", "asc"):
                first = self.median(filters, order=order)
                page, cursor = self._walk(filters, order, deep_page)
                deep = self.median(filters, order=order, cursor=cursor) if cursor else None
                yield Timing(name, order, first, deep, page)

    def _walk(self, filters: list[tuple[str, str]], order: str, pages: int) -> tuple[int, str | None]:
        """Follow the cursors in large pages; return where the walk ended and the last cursor but the end."""
        cursor: str | None = None
        events = 0
        while events < pages * 100:
            more = {"cursor": cursor} if cursor else {}
            _, count, following = self.page(filters, order=order, limit="1000", **more)
            if following is None:
                break
            events, cursor = events + count, following
        return events // 100, cursor
