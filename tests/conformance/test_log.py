"""The log's contract: gapless, rising in time whatever the clock does, every byte kept, every envelope canonical."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heliograph import publish
from heliograph.errors import Conflict
from heliograph.eventlog import store as log
from heliograph.eventlog.events import CLOCK_BEHIND
from heliograph.eventlog.model import LARGEST_CODE, Actor, EventDraft, Receipt, RelatedEntity
from heliograph.ids import new_uid
from heliograph.storage import migrate
from heliograph.tenancy.access import SYSTEM, system_scope
from tests.conformance.stores import (
    PATIENCE,
    START_OF_TIME,
    Gate,
    Waiters,
    engine_of,
    open_log,
    open_logs,
    queue,
    whole_log,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from heliograph.eventlog.model import Event
    from heliograph.storage.engine import Connection, Engine, Transaction
    from heliograph.storage.store import Store
    from heliograph.tenancy.model import Scope
    from tests.conformance.stores import HandClock
    from tests.conftest import StoreUrl

PREPARER = publish.Preparer()
EXAMPLES = settings(max_examples=25, deadline=None)

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
DRAFTS = st.builds(
    EventDraft,
    type=st.none() | TEXTS,
    code=st.none() | st.integers(0, LARGEST_CODE),
    criticality=st.none() | st.integers(0, 5),
    target_type=st.none() | TEXTS,
    target_id=st.none() | TEXTS,
    source=st.none() | TEXTS,
    source_id=st.none() | TEXTS,
    occurred_at=st.none() | st.integers(1 - 2**53, 2**53 - 1),
    extensions=st.dictionaries(
        st.from_regex(r"[a-z0-9]{1,20}", fullmatch=True),
        TEXTS | st.booleans() | st.integers(-(2**31), 2**31 - 1),
        max_size=4,
    ),
    content_type=st.none() | TEXTS,
    payload=st.binary(max_size=50),
)


@pytest.fixture
def engine(shared_engine: Engine) -> Engine:
    return shared_engine


def _new_log(connection: Connection) -> Scope:
    with connection.transaction(START_OF_TIME, write=True) as tx:
        return open_log(tx)


def _store(
    connection: Connection, scope: Scope, drafts: Sequence[EventDraft], now: int = START_OF_TIME
) -> list[Receipt]:
    submission = publish.Submission(scope, [PREPARER.prepare(draft, SYSTEM) for draft in drafts], lambda _: b"")
    with connection.transaction(now, write=True) as tx:
        (answer,) = publish.ingest(tx, scope.tenant_id, [submission])
    assert all(isinstance(outcome, Receipt) for outcome in answer.outcomes)
    return [outcome for outcome in answer.outcomes if isinstance(outcome, Receipt)]


def _read(connection: Connection, scope: Scope) -> list[Event]:
    with connection.transaction(START_OF_TIME, write=False) as tx:
        return log.fetch(tx, scope, range(log.head_of(tx, scope)))


class Stored(NamedTuple):
    """The bytes that proofs are made over."""

    recorded_at: int
    envelope: bytes
    salt: bytes | None
    content: bytes | None


def _bytes_of(connection: Connection, scope: Scope) -> list[Stored]:
    with connection.transaction(START_OF_TIME, write=False) as tx:
        rows = tx.all(
            "select e.recorded_at, e.envelope, p.salt, p.content from event e"
            " left join payload p on p.tenant_id = e.tenant_id and p.seq = e.seq"
            " where e.tenant_id = :tenant_id order by e.seq",
            tenant_id=scope.tenant_id,
        )
    return [Stored(*row) for row in rows]


# -- order and time -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "steps",
    [(0, 0, 0, 0), (5, 5, 5), (-1, -1, -1), (10, -10_000_000, 10_000_000, 0), (1, -1, 1, -1)],
    ids=["stands still", "goes on", "goes back", "jumps", "trembles"],
)
def test_seq_is_gapless_and_recorded_at_rises_when_the_clock(connection: Connection, steps: tuple[int, ...]) -> None:
    scope = _new_log(connection)
    now, last, receipts = START_OF_TIME, 0, []
    for number, step in enumerate(steps):
        now += step
        group = _store(connection, scope, [EventDraft(code=number)] * (number + 1), now)
        assert group[0].recorded_at == max(now, last + 1)
        last = group[-1].recorded_at
        receipts += group
    assert [receipt.seq for receipt in receipts] == list(range(len(receipts)))
    times = [receipt.recorded_at for receipt in receipts]
    assert times == sorted(set(times))


def test_receipts_tell_what_is_read_later(connection: Connection) -> None:
    scope = _new_log(connection)
    receipts = _store(connection, scope, [EventDraft(code=code) for code in range(5)])
    events = _read(connection, scope)
    assert [Receipt(event.envelope.id, event.seq, event.recorded_at) for event in events] == receipts
    assert [event.envelope.event_code for event in events] == list(range(5))
    assert {event.tenant_uid for event in events} == {scope.tenant_uid}


def test_each_tenant_counts_for_itself(connection: Connection) -> None:
    first, second = _new_log(connection), _new_log(connection)
    assert [r.seq for r in _store(connection, first, [EventDraft(code=1)] * 2)] == [0, 1]
    assert [r.seq for r in _store(connection, second, [EventDraft(code=2)] * 2)] == [0, 1]
    assert [r.seq for r in _store(connection, first, [EventDraft(code=1)])] == [2]
    assert [event.envelope.event_code for event in _read(connection, second)] == [2, 2]


def test_log_that_was_never_opened_takes_no_event(connection: Connection) -> None:
    with pytest.raises(LookupError):
        _store(connection, system_scope(999_999, new_uid().hex()), [EventDraft(code=1)])


def test_events_survive_reopening(store_url: StoreUrl) -> None:
    first = engine_of(store_url)
    migrate.migrate(first, START_OF_TIME)
    connection = first.connect(write=True)
    scope = _new_log(connection)
    receipts = _store(connection, scope, [EventDraft(code=1, payload=b"x")] * 3)
    before = _bytes_of(connection, scope)
    connection.close()
    first.close()
    second = engine_of(store_url)
    connection = second.connect(write=True)
    assert _bytes_of(connection, scope) == before
    assert _store(connection, scope, [EventDraft(code=2)])[0].seq == receipts[-1].seq + 1
    connection.close()
    second.close()


# -- bytes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "payload",
    [b"", bytes(range(256)), b"\x00", b"\xff" * 1000, "ünïcödé \U0001f600".encode(), bytes(range(256)) * 1024],
    ids=["empty", "every byte", "zero", "no text", "text", "256 KiB"],
)
def test_payload_comes_back_byte_for_byte(connection: Connection, payload: bytes) -> None:
    scope = _new_log(connection)
    _store(connection, scope, [EventDraft(code=1, content_type="application/octet-stream", payload=payload)])
    (event,) = _read(connection, scope)
    assert event.payload == payload
    assert event.envelope.payload_length == len(payload)


def test_what_was_asked_for_comes_back_whole(connection: Connection) -> None:
    scope = _new_log(connection)

    @EXAMPLES
    @given(st.lists(DRAFTS, min_size=1, max_size=4))
    def check(drafts: list[EventDraft]) -> None:
        receipts = _store(connection, scope, drafts)
        with connection.transaction(START_OF_TIME, write=False) as tx:
            events = log.fetch(tx, scope, [receipt.seq for receipt in receipts])
        for draft, event in zip(drafts, events, strict=True):
            envelope = event.envelope
            kept = EventDraft(
                type=envelope.type,
                code=envelope.event_code,
                criticality=draft.criticality,
                target_type=envelope.target_entity_type,
                target_id=envelope.target_entity_id,
                source=envelope.source,
                source_id=envelope.source_id,
                occurred_at=envelope.occurred_at,
                extensions=envelope.extensions or {},
                content_type=envelope.payload_content_type,
                payload=event.payload or b"",
            )
            assert kept == draft
            # Rule R3: none is 0, which is "not applicable".
            assert envelope.criticality == (draft.criticality or 0)
            assert (envelope.actor, envelope.internal) == (SYSTEM, False)

    check()


def _canonical(document: Any) -> bytes:
    """Write canonical JSON (RFC 8785), for which Python's own writer will do: names are ASCII, numbers integers."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _no_float(text: str) -> None:
    raise AssertionError(f"a float: {text}")


def test_envelope_is_canonical_and_commits_to_salt_and_payload(connection: Connection) -> None:
    scope = _new_log(connection)
    actors = st.builds(Actor, account_id=st.none() | st.integers(1, 2**53), key_uid=st.none() | TEXTS, uid=TEXTS)

    @EXAMPLES
    @given(DRAFTS, actors)
    def check(draft: EventDraft, actor: Actor) -> None:
        event = PREPARER.prepare(draft, actor)
        with connection.transaction(START_OF_TIME, write=True) as tx:
            log.append(tx, scope, [event])
        stored = _bytes_of(connection, scope)[-1]
        document = json.loads(stored.envelope, parse_float=_no_float)
        assert stored.envelope == _canonical(document)
        assert stored.salt is not None
        assert stored.content is not None
        assert document["commitment"] == hashlib.sha256(stored.salt + stored.content).hexdigest()
        assert document["payloadLength"] == len(stored.content)
        assert document["actor"]["kind"] == "account"

    check()


def test_envelope_of_an_internal_event_is_canonical_too(connection: Connection) -> None:
    scope = _new_log(connection)
    target = '\x1f\b\f\n\r\t"\\/é'
    entities = (RelatedEntity("z", "Device"), RelatedEntity("ä\x7f\u2028", "Lock"))
    with connection.transaction(START_OF_TIME, write=True) as tx:
        publish.record(tx, scope, CLOCK_BEHIND, target, lambda _: CLOCK_BEHIND.sample, related=entities, occurred_at=-1)
    (stored,) = _bytes_of(connection, scope)
    document = json.loads(stored.envelope)
    assert stored.envelope == _canonical(document)
    assert document["internal"] is True
    assert document["relatedEntities"] == [{"id": "z", "type": "Device"}, {"id": "ä\x7f\u2028", "type": "Lock"}]


def test_no_two_events_share_a_salt(connection: Connection) -> None:
    scope = _new_log(connection)
    _store(connection, scope, [EventDraft(code=1, payload=b"same")] * 1200)
    stored = _bytes_of(connection, scope)
    assert len({row.salt for row in stored}) == 1200
    assert {len(row.salt or b"") for row in stored} == {publish.SALT_BYTES}


def test_what_proofs_cover_is_never_rewritten(connection: Connection) -> None:
    scope = _new_log(connection)
    _store(connection, scope, [EventDraft(type="a", code=1, occurred_at=1, payload=b"x")] * 3)
    with connection.transaction(START_OF_TIME, write=True) as tx:
        publish.record(tx, scope, CLOCK_BEHIND, "t", lambda _: CLOCK_BEHIND.sample)
    before = _bytes_of(connection, scope)
    with connection.transaction(START_OF_TIME + 1, write=True) as tx:
        for follower in log.FOLLOWERS:
            log.index_next(tx, scope, follower, 3)
    _store(connection, scope, [EventDraft(code=2)], START_OF_TIME - 5)
    assert _bytes_of(connection, scope)[: len(before)] == before


def test_event_whose_payload_was_erased_is_still_there(connection: Connection) -> None:
    scope = _new_log(connection)
    _store(connection, scope, [EventDraft(code=1, content_type="text/plain", payload=b"secret")] * 2)
    before = _bytes_of(connection, scope)
    with connection.transaction(START_OF_TIME, write=True) as tx:
        tx.run("delete from payload where tenant_id = :tenant_id and seq = 0", tenant_id=scope.tenant_id)
    erased, kept = _read(connection, scope)
    assert (erased.payload, kept.payload) == (None, b"secret")
    assert erased.envelope.payload_content_type == "text/plain"
    assert [row.envelope for row in _bytes_of(connection, scope)] == [row.envelope for row in before]


# -- record ---------------------------------------------------------------------------------------------------------


def test_record_shows_the_body_its_own_place_in_time(store: Store, time: HandClock) -> None:
    (scope,) = open_logs(store)
    time.wall += 7
    stamps: list[publish.Stamp] = []

    def build(stamp: publish.Stamp) -> Any:
        stamps.append(stamp)
        return CLOCK_BEHIND.sample

    receipt = store.execute(lambda tx: publish.record(tx, scope, CLOCK_BEHIND, "t", build), [scope.tenant_id])
    (event,) = whole_log(store, scope)
    assert stamps[-1].recorded_at == receipt.recorded_at == event.recorded_at == time.wall
    assert stamps[-1].uid.hex() == receipt.id.replace("-", "") == event.envelope.id.replace("-", "")
    assert (event.envelope.internal, event.envelope.type, event.envelope.actor) == (True, CLOCK_BEHIND.type, SYSTEM)


def test_record_inside_a_failing_function_leaves_nothing(store: Store) -> None:
    (scope,) = open_logs(store)

    def fails(tx: Transaction) -> None:
        for _ in range(3):
            publish.record(tx, scope, CLOCK_BEHIND, "t", lambda _: CLOCK_BEHIND.sample)
        raise Conflict("no")

    def succeeds(tx: Transaction) -> Receipt:
        return publish.record(tx, scope, CLOCK_BEHIND, "t", lambda _: CLOCK_BEHIND.sample)

    waiters = Waiters()
    gate = Gate(store, waiters, [scope.tenant_id])
    futures = [queue(store, waiters, function, [scope.tenant_id]) for function in (succeeds, fails, succeeds)]
    gate.open()
    assert [type(future.exception(PATIENCE)) for future in futures] == [type(None), Conflict, type(None)]
    assert [future.result().seq for future in (futures[0], futures[2])] == [0, 1]
    events = whole_log(store, scope)
    assert [event.seq for event in events] == [0, 1]
    assert events[1].recorded_at == events[0].recorded_at + 1
    rows = store.read(
        lambda tx: tx.all("select seq from payload where tenant_id = :id order by seq", id=scope.tenant_id)
    )
    assert [row[0] for row in rows] == [0, 1]


def test_body_that_cannot_be_built_stores_nothing(store: Store) -> None:
    (scope,) = open_logs(store)

    def build(stamp: publish.Stamp) -> Any:
        raise ZeroDivisionError(stamp.recorded_at)

    with pytest.raises(ZeroDivisionError):
        store.execute(lambda tx: publish.record(tx, scope, CLOCK_BEHIND, "t", build), [scope.tenant_id])
    assert whole_log(store, scope) == []
    assert store.read(lambda tx: log.head_of(tx, scope)) == 0
