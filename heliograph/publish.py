"""The one door for events: `record` for what the platform itself raises, `ingest` for what callers send.

Both run inside a transaction that their caller commits, so that state and event are durable together.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from heliograph.catalog.definition import EventDefinition
from heliograph.delivery import fanout
from heliograph.errors import Conflict, Refusal, TooLarge
from heliograph.eventlog import store
from heliograph.eventlog.model import Actor, EventDraft, Prepared, Receipt, RelatedEntity, prepare
from heliograph.ids import Uid, new_uid
from heliograph.storage.engine import Transaction
from heliograph.tenancy.model import Scope

SALT_BYTES = 32
_SALTS_PER_CALL = 512
_encode = msgspec.json.Encoder().encode


class Stamp(msgspec.Struct, frozen=True):
    """What the log gives an event before its body is built; `recorded_at` in microseconds UTC."""

    uid: Uid
    recorded_at: int


class _Salts:
    """Random salts, asked of the system many at a time; used by one thread."""

    def __init__(self) -> None:
        self._pool: list[bytes] = []

    def next(self) -> bytes:
        if not self._pool:
            bytes_at_once = os.urandom(SALT_BYTES * _SALTS_PER_CALL)
            self._pool = [bytes_at_once[n : n + SALT_BYTES] for n in range(0, len(bytes_at_once), SALT_BYTES)]
        return self._pool.pop()


def open_log(tx: Transaction, scope: Scope) -> None:
    """Give a new tenant its log."""
    store.open_log(tx, scope)


class Occurrence(msgspec.Struct, frozen=True, kw_only=True):
    """Something of a catalogued type that happened to the entity `target_id`.

    `build` makes the stored payload once id and time are known; a transaction that is run again builds it again.
    """

    definition: EventDefinition
    target_id: str
    build: Callable[[Stamp], Any]
    related: tuple[RelatedEntity, ...] = ()
    occurred_at: int | None = None


def record(
    tx: Transaction,
    scope: Scope,
    definition: EventDefinition,
    target_id: str,
    build: Callable[[Stamp], Any],
    *,
    related: tuple[RelatedEntity, ...] = (),
    occurred_at: int | None = None,
) -> Receipt:
    """Put one internal event of a catalogued type into the scope's log; see `Occurrence`."""
    occurrence = Occurrence(
        definition=definition, target_id=target_id, build=build, related=related, occurred_at=occurred_at
    )
    return record_all(tx, scope, [occurrence])[0]


def record_all(tx: Transaction, scope: Scope, occurrences: Sequence[Occurrence]) -> list[Receipt]:
    """Put internal events into the scope's log, in their order and with one write for all."""
    if not occurrences:
        return []
    place = store.reserve(tx, scope, len(occurrences))
    stamps = [Stamp(new_uid(), place.recorded_at + n) for n in range(len(occurrences))]
    events = [_internal(scope, occurrence, stamp) for occurrence, stamp in zip(occurrences, stamps, strict=True)]
    store.place(tx, scope, place.seq, place.recorded_at, events)
    return _placed(tx, scope, place, events)


def _append(tx: Transaction, scope: Scope, events: Sequence[Prepared]) -> list[Receipt]:
    return _placed(tx, scope, store.append(tx, scope, events), events) if events else []


def _placed(tx: Transaction, scope: Scope, place: store.Place, events: Sequence[Prepared]) -> list[Receipt]:
    """Let every endpoint have what is for it, in the transaction that stores it."""
    fanout.fan_out(tx, scope, place.endpoints, place.seq, events)
    return [Receipt(event.id, place.seq + n, place.recorded_at + n) for n, event in enumerate(events)]


def _internal(scope: Scope, occurrence: Occurrence, stamp: Stamp) -> Prepared:
    definition = occurrence.definition
    draft = EventDraft(
        type=definition.type,
        code=definition.code,
        criticality=definition.criticality,
        target_type=definition.target,
        target_id=occurrence.target_id,
        occurred_at=occurrence.occurred_at,
        content_type="application/json",
        payload=_encode(occurrence.build(stamp)),
    )
    return prepare(
        draft,
        uid=stamp.uid,
        salt=os.urandom(SALT_BYTES),
        actor=scope.actor,
        internal=True,
        family=definition.family,
        kind=definition.kind,
        related=occurrence.related,
    )


class Preparer:
    """Turns callers' drafts into events ready to be written; belongs to one thread."""

    def __init__(self) -> None:
        self._salts = _Salts()

    def prepare(self, draft: EventDraft, actor: Actor) -> Prepared:
        """Give a draft its id, salt, commitment and envelope; it can never become internal."""
        return prepare(draft, uid=new_uid(), salt=self._salts.next(), actor=actor)


class Identity(msgspec.Struct, frozen=True):
    """By what a repeat is known (`key`), and by what it is told from a different request (`fingerprint`)."""

    key: bytes
    fingerprint: bytes


class Repeated(msgspec.Struct, frozen=True):
    """The event was stored before; this is what was answered then."""

    receipt: Receipt


class Contradicted(msgspec.Struct, frozen=True):
    """Another event was stored before under the same source and id."""


Outcome = Receipt | Repeated | Contradicted


class Submission(msgspec.Struct, frozen=True):
    """One request's events, already validated, with what identifies each of them and the whole request.

    `answer` renders the response body from one outcome per event; it is kept for repeats of the request.
    """

    scope: Scope
    events: Sequence[Prepared]
    answer: Callable[[Sequence[Outcome]], bytes]
    identities: Sequence[Identity | None] | None = None
    request: Identity | None = None


class Answer(msgspec.Struct, frozen=True):
    """What the caller gets; `repeated` when nothing new was stored, `conflict` when its key stands for others.

    There are no outcomes when the whole request is a repeat. With a `refusal`, nothing was stored.
    """

    body: bytes
    outcomes: Sequence[Outcome] = ()
    repeated: bool = False
    conflict: bool = False
    refusal: Refusal | None = None


def ingest(tx: Transaction, tenant_id: int, submissions: Sequence[Submission]) -> list[Answer]:
    """Write all events that one group holds for one tenant, together, and answer each request.

    This is the append handler of `storage.store.Store`: its items are validated before, and none fails by an exception.
    """
    scope = submissions[0].scope
    assert scope.tenant_id == tenant_id
    if all(s.request is None and s.identities is None for s in submissions):
        return _answer_new(tx, scope, submissions)
    return _Deduplication(tx, scope).ingest(submissions)


def _answer_new(tx: Transaction, scope: Scope, submissions: Sequence[Submission]) -> list[Answer]:
    refused = [_is_too_much(tx, scope, submission.events) for submission in submissions]
    taken = [submission for submission, no in zip(submissions, refused, strict=True) if not no]
    receipts = _append(tx, scope, [event for submission in taken for event in submission.events])
    answers = []
    start = 0
    for submission, no in zip(submissions, refused, strict=True):
        if no:
            answers.append(_too_much())
            continue
        own = receipts[start : start + len(submission.events)]
        start += len(submission.events)
        answers.append(Answer(submission.answer(own), own))
    return answers


def _is_too_much(tx: Transaction, scope: Scope, events: Sequence[Prepared]) -> bool:
    return len(events) > 1 and fanout.is_too_much(tx, scope, store.endpoints_of(tx, scope), events)


def _too_much() -> Answer:
    words = f"One request makes at most {fanout.MOST_DELIVERIES} deliveries to endpoints; send fewer events at a time."
    return Answer(b"", refusal=TooLarge.at("", "max-deliveries", words))


class _Deduplication:
    """One group's events of one tenant, with the repeats among them and against the past taken out."""

    def __init__(self, tx: Transaction, scope: Scope) -> None:
        self._tx = tx
        self._scope = scope
        self._new: list[Prepared] = []
        self._own: dict[bytes, tuple[bytes, int]] = {}
        """Identity → fingerprint and index in `_new`, of events first seen in this group."""

    def ingest(self, submissions: Sequence[Submission]) -> list[Answer]:
        # Of two processes that get the same event at once, the second must see what the first has stored.
        store.lock_heads(self._tx, [self._scope.tenant_id])
        past = store.recall(self._tx, self._scope, _identities(submissions))
        own_requests: dict[bytes, int] = {}
        plans: list[Answer | int | list[int | Repeated | Contradicted]] = []
        for number, submission in enumerate(submissions):
            request = submission.request
            if request and request.key in past:
                known = past[request.key]
                conflict = known.fingerprint != request.fingerprint
                plans.append(Answer(known.receipt, repeated=not conflict, conflict=conflict))
            elif request and request.key in own_requests:
                plans.append(own_requests[request.key])
            else:
                plan = self._plan_all(submission, past)
                if request and isinstance(plan, list):
                    own_requests[request.key] = number
                plans.append(plan)
        receipts = _append(self._tx, self._scope, self._new)
        answers = self._answers(submissions, plans, receipts)
        self._remember(submissions, plans, answers, receipts)
        return answers

    def _plan_all(
        self, submission: Submission, past: dict[bytes, store.Remembered]
    ) -> Answer | list[int | Repeated | Contradicted]:
        """Say what becomes of each event of a request, or refuse it for the deliveries that the new ones would make."""
        start = len(self._new)
        plan = [self._plan(submission, n, past) for n in range(len(submission.events))]
        if not _is_too_much(self._tx, self._scope, self._new[start:]):
            return plan
        del self._new[start:]
        self._own = {key: known for key, known in self._own.items() if known[1] < start}
        return _too_much()

    def _plan(
        self, submission: Submission, n: int, past: dict[bytes, store.Remembered]
    ) -> int | Repeated | Contradicted:
        identity = submission.identities[n] if submission.identities else None
        if identity is None:
            self._new.append(submission.events[n])
            return len(self._new) - 1
        if identity.key in past:
            known = past[identity.key]
            if known.fingerprint != identity.fingerprint:
                return Contradicted()
            return Repeated(msgspec.json.decode(known.receipt, type=Receipt))
        if identity.key in self._own:
            fingerprint, index = self._own[identity.key]
            return index if fingerprint == identity.fingerprint else Contradicted()
        self._new.append(submission.events[n])
        self._own[identity.key] = (identity.fingerprint, len(self._new) - 1)
        return len(self._new) - 1

    def _answers(
        self,
        submissions: Sequence[Submission],
        plans: Sequence[Answer | int | list[int | Repeated | Contradicted]],
        receipts: Sequence[Receipt],
    ) -> list[Answer]:
        answers: list[Answer] = []
        taken: set[int] = set()
        for submission, plan in zip(submissions, plans, strict=True):
            if isinstance(plan, Answer):
                answers.append(plan)
            elif isinstance(plan, int):
                answers.append(_repeat_of(submissions[plan], answers[plan], submission))
            else:
                outcomes = [_outcome(step, receipts, taken) for step in plan]
                repeated = bool(outcomes) and all(isinstance(outcome, Repeated) for outcome in outcomes)
                answers.append(Answer(submission.answer(outcomes), outcomes, repeated=repeated))
        return answers

    def _remember(
        self,
        submissions: Sequence[Submission],
        plans: Sequence[object],
        answers: Sequence[Answer],
        receipts: Sequence[Receipt],
    ) -> None:
        entries = [(key, fingerprint, _encode(receipts[index])) for key, (fingerprint, index) in self._own.items()]
        for submission, plan, answer in zip(submissions, plans, answers, strict=True):
            # A refusal has no body: there is nothing to repeat, and the same request is refused again.
            if submission.request and isinstance(plan, list) and answer.body:
                entries.append((submission.request.key, submission.request.fingerprint, answer.body))
        store.remember(self._tx, self._scope, entries)


def _identities(submissions: Sequence[Submission]) -> list[bytes]:
    keys = [s.request.key for s in submissions if s.request]
    keys += [identity.key for s in submissions for identity in s.identities or () if identity]
    return keys


def _outcome(step: int | Repeated | Contradicted, receipts: Sequence[Receipt], taken: set[int]) -> Outcome:
    if not isinstance(step, int):
        return step
    if step in taken:
        return Repeated(receipts[step])
    taken.add(step)
    return receipts[step]


def _repeat_of(first: Submission, answer: Answer, second: Submission) -> Answer:
    assert first.request is not None
    assert second.request is not None
    conflict = first.request.fingerprint != second.request.fingerprint
    # A refusal has no body to repeat: its outcome tells the second as it told the first.
    return Answer(answer.body, () if answer.body else answer.outcomes, repeated=not conflict, conflict=conflict)


def once(
    tx: Transaction, scope: Scope, identity: Identity | None, act: Callable[[Transaction], tuple[bytes, bytes]]
) -> tuple[bool, bytes]:
    """Run `act` unless its request was carried out before; return whether it ran, and the body to answer.

    `act` returns the body to answer and the body to keep for repeats, which must hold no secret.

    Raises:
        Conflict: when the same identity came before with other content.
    """
    if identity is None:
        return True, act(tx)[0]
    known = store.recall(tx, scope, [identity.key]).get(identity.key)
    if known is None:
        body, kept = act(tx)
        store.remember(tx, scope, [(identity.key, identity.fingerprint, kept)])
        return True, body
    if known.fingerprint != identity.fingerprint:
        raise Conflict("The Idempotency-Key was used before for a different request.")
    return False, known.receipt
