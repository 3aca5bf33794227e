"""Tenants with endpoints, a worker that a test drives step by step, and receivers that answer as they are told."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NamedTuple

from heliograph import publish
from heliograph.clock import MICROSECONDS
from heliograph.delivery import actions, policy
from heliograph.delivery.model import DeliveryFilter
from heliograph.delivery.outcome import Outcome, OutcomeClass, Timings, by_status
from heliograph.delivery.settling import Rules
from heliograph.delivery.worker import Worker
from heliograph.endpoints import actions as endpoints
from heliograph.endpoints import switching
from heliograph.endpoints.model import EndpointSettings
from heliograph.endpoints.wishes import EndpointPatch, EndpointWish
from heliograph.eventlog.model import Actor, EventDraft
from heliograph.storage.sealing import Sealer
from heliograph.tenancy.access import SYSTEM, tenants_below
from heliograph.tenancy.actions import plant_tenant
from heliograph.tenancy.model import Kind, Scope
from tests.conformance.stores import PATIENCE, whole_log

if TYPE_CHECKING:
    from collections.abc import Callable

    from heliograph.delivery.model import AttemptRecord, Delivery
    from heliograph.delivery.sender import Attempt
    from heliograph.endpoints.model import Endpoint
    from heliograph.eventlog.model import Event
    from heliograph.storage.engine import Transaction
    from heliograph.storage.store import Store
    from tests.conformance.stores import HandClock

SEALER = Sealer(bytes(32))
ORIGIN = "events.example"
SECONDS = MICROSECONDS
DAYS = 86_400 * MICROSECONDS


class Answer(NamedTuple):
    """How a receiver answers: by a status, or by not coming about."""

    status: int | None = 204
    outcome: OutcomeClass | None = None
    headers: tuple[tuple[str, str], ...] = ()
    seconds: float = 0.0


OK = Answer()
SILENT = None
"""The receiver does not answer before the test says so."""


class Request(NamedTuple):
    """An attempt that was made, and what to call with its outcome."""

    attempt: Attempt
    done: Callable[[Outcome], None]

    @property
    def host(self) -> str:
        return self.attempt.destination.host

    @property
    def event(self) -> str:
        return dict(self.attempt.headers).get("webhook-id", "")

    def answer(self, answer: Answer = OK) -> None:
        outcome = answer.outcome or by_status(answer.status or 0)
        self.done(
            Outcome(
                key=self.attempt.key, outcome=outcome, message="Told so.", status=answer.status,
                headers=answer.headers, timings=Timings(total=int(answer.seconds * SECONDS)),
            )
        )  # fmt: skip


class Receivers:
    """Stands for the sender and all receivers: `answers` by host, everybody else is content."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.open: list[Request] = []
        self.most_open = 0
        self.answers: dict[str, Answer | None] = {}
        self.closed = False

    def send(self, attempt: Attempt, done: Callable[[Outcome], None]) -> None:
        request = Request(attempt, done)
        self.requests.append(request)
        answer = self.answers.get(request.host, OK)
        if answer is None:
            self.open.append(request)
            self.most_open = max(self.most_open, len(self.open))
        else:
            request.answer(answer)

    def close(self, drain: float = 0.0) -> None:
        del drain
        self.closed = True
        for request in self.open:
            request.answer(Answer(None, "shutdown"))
        self.open.clear()

    def answer_all(self, answer: Answer = OK) -> None:
        """Let everybody who was silent answer."""
        waiting, self.open = self.open, []
        for request in waiting:
            request.answer(answer)

    def events_at(self, host: str) -> list[str]:
        """Return the ids of the events that a receiver was sent, in their order."""
        return [request.event for request in self.requests if request.host == host]


def plant(store: Store) -> tuple[Scope, Scope, Scope]:
    """Make a company with two organizations."""

    def step(tx: Transaction) -> tuple[Scope, Scope, Scope]:
        company, above = plant_tenant(tx, SYSTEM, None, Kind.COMPANY, "Above", "above")
        here, there = (plant_tenant(tx, SYSTEM, company, Kind.ORGANIZATION, name, name)[1] for name in ("a", "b"))
        return above, here, there

    return store.execute(step)


class Postroom:
    """A company `above` the organizations `here` and `there`, with receivers at made-up hosts."""

    def __init__(self, store: Store, time: HandClock) -> None:
        self.store = store
        self.time = time
        self.above, self.here, self.there = plant(store)
        self.receivers = Receivers()
        self.rules = Rules()
        self._workers: list[Worker] = []

    # -- what there is -----------------------------------------------------------------------------------------------

    def endpoint(self, host: str, scope: Scope | None = None, headers: Any = (), **settings: Any) -> Endpoint:
        """Add an endpoint that gets everything of type `test`, unless it is told otherwise."""
        owner = scope or self.here
        wish = EndpointWish(
            url=f"https://{host}/hook", headers=headers,
            settings=EndpointSettings(**{"event_types": ("test",), **settings}),
        )  # fmt: skip
        tenants = self.store.read(lambda tx: tenants_below(tx, owner))
        return self.store.execute(lambda tx: endpoints.create(tx, owner, SEALER, wish, tenants)[0], tenants)

    def switch(self, action: str, endpoint: Endpoint, scope: Scope | None = None) -> None:
        """Pause, resume, disable, enable or delete an endpoint."""
        owner = scope or self.here
        tenants = self.store.read(lambda tx: tenants_below(tx, owner))
        more = () if action in ("pause", "resume") else (tenants,)
        act: Any = endpoints.delete if action == "delete" else getattr(switching, action)
        self.store.execute(lambda tx: act(tx, owner, endpoint.uid, None, *more), tenants)

    def move(self, endpoint: Endpoint, host: str) -> None:
        """Give an endpoint the URL of another receiver."""
        self.change(endpoint, EndpointPatch(url=f"https://{host}/hook"))

    def change(self, endpoint: Endpoint, patch: EndpointPatch) -> None:
        """Change an endpoint."""
        tenants = [self.here.tenant_id]
        self.store.execute(
            lambda tx: endpoints.update(tx, self.here, SEALER, endpoint.uid, None, patch, tenants), tenants
        )  # fmt: skip

    def look_at(self, endpoint: Endpoint, scope: Scope | None = None) -> Endpoint:
        return self.store.read(lambda tx: endpoints.get(tx, scope or self.here, endpoint.uid))

    def publish(self, count: int = 1, scope: Scope | None = None, **draft: Any) -> list[str]:
        """Record events of type `test`, and return their ids."""
        preparer = publish.Preparer()
        fields = {"type": "test", "content_type": "application/json", "payload": b'{"n":1}', **draft}
        events = [preparer.prepare(EventDraft(**fields), Actor(uid="1" * 32)) for _ in range(count)]
        owner = scope or self.here
        submission = publish.Submission(owner, events, lambda _: b"")
        self.store.execute(lambda tx: publish.ingest(tx, owner.tenant_id, [submission]), [owner.tenant_id])
        return [event.id for event in events]

    # -- the worker --------------------------------------------------------------------------------------------------

    def worker(self, slots: int = 200, receivers: Receivers | None = None) -> Worker:
        """Make a worker; nothing happens before it is told to work."""
        worker = Worker(
            self.store, SEALER, receivers or self.receivers, self.rules, slots=slots, origin=ORIGIN
        )  # fmt: skip
        self._workers.append(worker)
        return worker

    def work(self, *workers: Worker) -> None:
        """Let workers do all that can be done at this moment of the hand-moved clock."""
        deadline = time.monotonic() + PATIENCE
        busy = True
        while busy:
            assert time.monotonic() < deadline, "the worker does not come to rest"
            busy = False
            for worker in workers:
                wait = worker.step()
                if not worker.is_resting or wait < 0.02:
                    busy = True
            if busy:
                time.sleep(0.001)

    def later(self, seconds: float) -> None:
        """Let time pass."""
        self.time.wall += int(seconds * SECONDS)

    # -- what came of it ---------------------------------------------------------------------------------------------

    def deliveries(self, scope: Scope | None = None, limit: int = 1000, **wanted: Any) -> list[Delivery]:
        """Return deliveries, the oldest event first."""
        found, place = self.store.read(
            lambda tx: actions.list_deliveries(tx, scope or self.here, DeliveryFilter(**wanted), None, limit)
        )
        assert place is None or len(found) == limit
        return found[::-1]

    def states(self, **wanted: Any) -> list[str]:
        return [one.state for one in self.deliveries(**wanted)]

    def attempts(self, delivery: Delivery, scope: Scope | None = None) -> list[AttemptRecord]:
        return self.store.read(
            lambda tx: actions.list_attempts(tx, scope or self.here, delivery.endpoint_uid, delivery.seq, 0, 1000)[0]
        )

    def resend(self, delivery: Delivery) -> Delivery:
        return self.store.execute(
            lambda tx: actions.resend(tx, self.here, delivery.endpoint_uid, delivery.seq), [self.here.tenant_id]
        )

    def told(self, type: str, scope: Scope | None = None) -> list[Event]:
        """Return the events of a type in a log."""
        return [event for event in whole_log(self.store, scope or self.here) if event.envelope.type == type]


SCHEDULE = policy.STANDARD_SCHEDULE
