"""Events in every way that the API takes them, each to be recognised again in the log."""

from __future__ import annotations

import itertools
import json
import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.server import Client, Response, Server

LARGEST_BATCH = 20
TODAY = datetime.now(UTC)


class Sent(NamedTuple):
    """One event as it was sent, in the words of the native record; `token` is in its payload and in no other."""

    token: str
    type: str
    code: int
    criticality: int
    target_type: str
    target_id: str
    occurred_at: str | None

    @property
    def payload(self) -> dict[str, str]:
        """What its payload holds."""
        return {"token": self.token}

    def native(self) -> dict[str, Any]:
        """Write it in the native shape."""
        body = {
            "type": self.type, "eventCode": self.code, "criticality": self.criticality,
            "targetEntityType": self.target_type, "targetEntityId": self.target_id, "payload": self.payload,
        }  # fmt: skip
        return body if self.occurred_at is None else body | {"occurredAt": self.occurred_at}

    def cloud_event(self) -> dict[str, Any]:
        """Write it as a CloudEvent in the JSON format, with the token as id."""
        body = {
            "specversion": "1.0", "id": self.token, "source": "/load", "type": self.type, "eventcode": self.code,
            "criticality": self.criticality, "targettype": self.target_type, "subject": self.target_id,
            "data": self.payload,
        }  # fmt: skip
        return body if self.occurred_at is None else body | {"time": self.occurred_at}

    def is_in(self, record: dict[str, Any]) -> bool:
        """Tell whether a native record is of this event."""
        return self.native().items() <= record.items()


@dataclass
class Attempt:
    """One request with its events, and the answer when one came."""

    events: list[Sent]
    body: Any
    headers: dict[str, str] = field(default_factory=dict)
    repeatable: bool = False
    """Whether the platform can recognise it when it is sent again."""
    tenant: str | None = None
    answer: Response | None = None

    def send(self, client: Client | Server) -> Response:
        """Send it, again if it was sent before."""
        query = {} if self.tenant is None else {"tenantUid": self.tenant}
        answer = client.request("POST", "/v1/events", query=query, body=self.body, headers=self.headers)
        if self.answer is None:
            self.answer = answer
        return answer

    def receipts(self, answer: Response) -> list[dict[str, Any]]:
        """Return what was answered for each event; the whole must have been accepted."""
        assert answer.status in (200, 201), answer.body
        receipts: list[dict[str, Any]] = answer.json.get("results", [answer.json])
        assert len(receipts) == len(self.events), answer.body
        return receipts


class Writer:
    """Makes attempts of all kinds, the same ones for the same name."""

    def __init__(self, name: str, tenants: list[str] | None = None) -> None:
        self._name = name
        self._tenants = tenants
        self._random = random.Random(name)
        self._numbers = itertools.count()

    def next(self) -> Attempt:
        """Make the next one."""
        kinds = (self._single, self._keyed, self._named, self._cloud_event, self._batch, self._lines, self._cloud_batch)
        kind: Callable[[], Attempt] = self._random.choice(kinds)
        attempt = kind()
        if self._tenants is not None:
            attempt.tenant = self._random.choice(self._tenants)
        return attempt

    def event(self) -> Sent:
        """Make an event whose fields repeat those of others, so that every filter finds many."""
        choose = self._random
        moment = TODAY - timedelta(days=choose.randint(1, 9))
        return Sent(
            token=f"{self._name}/{next(self._numbers)}",
            type=f"load.{choose.randint(1, 7)}",
            code=choose.choice([0, 404, 9_999, 10_000, 10_001, 2**31 - 1]),
            criticality=choose.randint(0, 5),
            target_type=choose.choice(["Device", "Door", "Gateway"]),
            target_id=f"target-{choose.randint(1, 20)}",
            occurred_at=choose.choice([None, moment.strftime("%Y-%m-%dT00:00:00.000000Z")]),
        )

    def _key(self) -> dict[str, str]:
        return {"idempotency-key": f"{self._name}/{next(self._numbers)}"}

    def _several(self) -> list[Sent]:
        return [self.event() for _ in range(self._random.randint(1, LARGEST_BATCH))]

    def _single(self) -> Attempt:
        event = self.event()
        return Attempt([event], event.native())

    def _keyed(self) -> Attempt:
        event = self.event()
        return Attempt([event], event.native(), self._key(), repeatable=True)

    def _named(self) -> Attempt:
        event = self.event()
        return Attempt([event], event.native() | {"source": "/native", "sourceId": event.token}, repeatable=True)

    def _cloud_event(self) -> Attempt:
        event = self.event()
        headers = {"content-type": "application/cloudevents+json"}
        return Attempt([event], event.cloud_event(), headers, repeatable=True)

    def _batch(self) -> Attempt:
        events = self._several()
        return Attempt(events, [event.native() for event in events], self._key(), repeatable=True)

    def _lines(self) -> Attempt:
        events = self._several()
        body = "\n".join(json.dumps(event.native()) for event in events).encode()
        return Attempt(events, body, {"content-type": "application/x-ndjson"})

    def _cloud_batch(self) -> Attempt:
        events = self._several()
        headers = {"content-type": "application/cloudevents-batch+json"}
        return Attempt(events, [event.cloud_event() for event in events], headers, repeatable=True)
