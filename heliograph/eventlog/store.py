"""The log's tables: append in order, remember what was already seen, fetch by place."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, NamedTuple

import msgspec

from heliograph.eventlog.model import Envelope, Event, Prepared, decode_envelope, grade_of, key_of
from heliograph.storage.engine import Dialect, Row, Table, Transaction
from heliograph.tenancy.model import Scope

EVENT = Table(
    "event",
    {
        "tenant_id": "bigint", "seq": "bigint", "recorded_at": "bigint", "id_key": "bigint", "occurred_at": "bigint",
        "grade": "bigint", "code": "bigint", "type_key": "bigint", "target_type_key": "bigint",
        "target_id_key": "bigint", "actor_key": "bigint", "related": "bigint", "envelope": "bytes",
    },
)  # fmt: skip
PAYLOAD = Table("payload", {"tenant_id": "bigint", "seq": "bigint", "salt": "bytes", "content": "bytes"})
DEDUP = Table(
    "dedup",
    {"tenant_id": "bigint", "identity": "bytes", "fingerprint": "bytes", "receipt": "bytes", "stored_at": "bigint"},
)

_ADVANCE_HEAD = """
    update head set next_seq = next_seq + :count,
        last_recorded_at = case when last_recorded_at < :now then :now else last_recorded_at + 1 end + :count - 1
    where tenant_id = :tenant_id
    returning next_seq - :count, last_recorded_at - :count + 1, endpoints
"""

# PostgreSQL does in one round trip what SQLite does in three calls without any.
_APPEND_IN_ONE_STATEMENT = f"""
    with place (seq, recorded_at, endpoints) as ({_ADVANCE_HEAD}
    ), incoming as (
        select * from unnest(
            cast(:id_key as bigint[]), cast(:occurred_at as bigint[]), cast(:grade as bigint[]),
            cast(:code as bigint[]), cast(:type_key as bigint[]), cast(:target_type_key as bigint[]),
            cast(:target_id_key as bigint[]), cast(:actor_key as bigint[]), cast(:related as bigint[]),
            cast(:envelope as bytea[]), cast(:salt as bytea[]), cast(:payload as bytea[])
        ) with ordinality as r (id_key, occurred_at, grade, code, type_key, target_type_key, target_id_key,
            actor_key, related, envelope, salt, payload, n)
    ), stored as (
        insert into event (tenant_id, seq, recorded_at, id_key, occurred_at, grade, code, type_key, target_type_key,
            target_id_key, actor_key, related, envelope)
        select :tenant_id, place.seq + n - 1, place.recorded_at + n - 1, id_key, occurred_at, grade, code, type_key,
            target_type_key, target_id_key, actor_key, related, envelope
        from incoming, place order by n
    ), stored_payloads as (
        insert into payload (tenant_id, seq, salt, content)
        select :tenant_id, place.seq + n - 1, salt, payload from incoming, place order by n
    )
    select seq, recorded_at, endpoints from place
"""
_COLUMNS = ("id_key", "occurred_at", "grade", "code", "type_key", "target_type_key", "target_id_key", "actor_key",
            "related", "envelope", "salt", "payload")  # fmt: skip


RECALLED_AT_ONCE = 200
"""Identities looked up by one statement."""


class Remembered(msgspec.Struct, frozen=True):
    """What the log answered to an earlier request with the same identity."""

    fingerprint: bytes
    receipt: bytes


def open_log(tx: Transaction, scope: Scope) -> None:
    """Give a new tenant its log; every follower starts at its beginning."""
    tx.run(
        "insert into head (tenant_id, next_seq, last_recorded_at) values (:tenant_id, 0, 0)",
        tenant_id=scope.tenant_id,
    )
    tx.insert(FOLLOWER, [(scope.tenant_id, name, 0) for name in FOLLOWERS])


def lock_heads(tx: Transaction, tenant_ids: Sequence[int]) -> None:
    """Lock the logs of several tenants in one order, so that two transactions never wait for each other."""
    if tx.dialect == "postgres":
        for tenant_id in tenant_ids:
            tx.one("select 1 from head where tenant_id = :tenant_id for update", tenant_id=tenant_id)


class Place(NamedTuple):
    """Where events were put: the first seq and its recordedAt, the others follow in steps of one.

    `endpoints` is the version of the set of endpoints that get the log's events.
    """

    seq: int
    recorded_at: int
    endpoints: int


def reserve(tx: Transaction, scope: Scope, count: int) -> Place:
    """Take the next `count` places."""
    row = tx.one(_ADVANCE_HEAD, tenant_id=scope.tenant_id, count=count, now=tx.now)
    if row is None:
        raise LookupError(f"tenant {scope.tenant_id} has no log")
    return Place(*row)


def place(tx: Transaction, scope: Scope, seq: int, recorded_at: int, events: Sequence[Prepared]) -> None:
    """Write events into places that `reserve` gave."""
    tenant_id = scope.tenant_id
    tx.insert(
        EVENT,
        [
            (tenant_id, seq + n, recorded_at + n, e.id_key, e.occurred_at, e.grade, e.code, e.type_key,
             e.target_type_key, e.target_id_key, e.actor_key, e.related, e.envelope)
            for n, e in enumerate(events)
        ],
    )  # fmt: skip
    tx.insert(PAYLOAD, [(tenant_id, seq + n, e.salt, e.payload) for n, e in enumerate(events)])


def append(tx: Transaction, scope: Scope, events: Sequence[Prepared]) -> Place:
    """Put events at the end of the tenant's log, in their order.

    `seq` rises by one without gaps and `recordedAt` by at least one microsecond, whatever the clock does.
    """
    if tx.dialect == "postgres":
        columns = {name: [getattr(event, name) for event in events] for name in _COLUMNS}
        row = tx.one(_APPEND_IN_ONE_STATEMENT, tenant_id=scope.tenant_id, count=len(events), now=tx.now, **columns)
        if row is None:
            raise LookupError(f"tenant {scope.tenant_id} has no log")
        return Place(*row)
    taken = reserve(tx, scope, len(events))
    place(tx, scope, taken.seq, taken.recorded_at, events)
    return taken


def endpoints_of(tx: Transaction, scope: Scope) -> int:
    """Return the present version of the set of endpoints that get the log's events; see `Place`."""
    row = tx.one("select endpoints from head where tenant_id = :tenant_id", tenant_id=scope.tenant_id)
    if row is None:
        raise LookupError(f"tenant {scope.tenant_id} has no log")
    version: int = row[0]
    return version


def head_of(tx: Transaction, scope: Scope) -> int:
    """Return the seq that the next event will have."""
    row = tx.one("select next_seq from head where tenant_id = :tenant_id", tenant_id=scope.tenant_id)
    return row[0] if row else 0


def recorded_at(tx: Transaction, scope: Scope, seq: int) -> int:
    """Return when the event at that place was recorded; 0 when there is none."""
    row = tx.one(
        "select recorded_at from event where tenant_id = :tenant_id and seq = :seq",
        tenant_id=scope.tenant_id,
        seq=seq,
    )
    return row[0] if row else 0


# -- what was already seen ------------------------------------------------------------------------------------------


def recall(tx: Transaction, scope: Scope, identities: Sequence[bytes]) -> dict[bytes, Remembered]:
    """Find which identities the tenant has used before."""
    found: dict[bytes, Remembered] = {}
    for start in range(0, len(identities), RECALLED_AT_ONCE):
        names = {f"i{n}": identity for n, identity in enumerate(identities[start : start + RECALLED_AT_ONCE])}
        rows = tx.all(
            "select identity, fingerprint, receipt from dedup where tenant_id = :tenant_id"
            f" and identity in ({', '.join(':' + name for name in names)})",
            tenant_id=scope.tenant_id,
            **names,
        )
        found |= {row[0]: Remembered(row[1], row[2]) for row in rows}
    return found


def remember(tx: Transaction, scope: Scope, entries: Sequence[tuple[bytes, bytes, bytes]]) -> None:
    """Keep (identity, fingerprint, receipt) for repeats."""
    tx.insert(DEDUP, [(scope.tenant_id, *entry, tx.now) for entry in entries])


def forget(tx: Transaction, scope: Scope, before: int, after: bytes, limit: int) -> bytes | None:
    """Drop remembered answers older than `before`, looking at `limit` of them; return where to go on, or None."""
    rows = tx.all(
        "select identity, stored_at from dedup where tenant_id = :tenant_id and identity > :after"
        " order by identity limit :limit",
        tenant_id=scope.tenant_id, after=after, limit=limit,
    )  # fmt: skip
    for identity, stored_at in rows:
        if stored_at < before:
            tx.run(
                "delete from dedup where tenant_id = :tenant_id and identity = :identity",
                tenant_id=scope.tenant_id,
                identity=identity,
            )
    return rows[-1][0] if len(rows) == limit else None


# -- reading --------------------------------------------------------------------------------------------------------


def fetch(tx: Transaction, scope: Scope, seqs: Sequence[int]) -> list[Event]:
    """Read the events at the given places, in the given order."""
    if not seqs:
        return []
    among, places = _among(tx.dialect, seqs)
    rows = tx.all(
        "select e.seq, e.recorded_at, e.envelope, p.content from event e"
        " left join payload p on p.tenant_id = e.tenant_id and p.seq = e.seq"
        f" where e.tenant_id = :tenant_id and e.seq {among}",
        tenant_id=scope.tenant_id,
        **places,
    )
    by_seq = {row[0]: event_of(scope.tenant_uid, row) for row in rows}
    return [by_seq[seq] for seq in seqs if seq in by_seq]


def fetch_payloads(tx: Transaction, scope: Scope, seqs: Sequence[int]) -> list[tuple[int, bytes]]:
    """Read (seq, payload) of the events at the given places, in the given order; erased payloads are left out."""
    if not seqs:
        return []
    among, places = _among(tx.dialect, seqs)
    rows = tx.all(
        f"select seq, content from payload where tenant_id = :tenant_id and seq {among}",
        tenant_id=scope.tenant_id,
        **places,
    )
    by_seq: dict[int, bytes] = dict(rows)
    return [(seq, by_seq[seq]) for seq in seqs if seq in by_seq]


def _among(dialect: Dialect, seqs: Sequence[int]) -> tuple[str, dict[str, Any]]:
    """Return the condition of being one of some seqs, and its values: one for each seq would cost more than its row."""
    low, high = min(seqs), max(seqs)
    if high - low < len(seqs):
        return "between :low and :high", {"low": low, "high": high}
    if dialect == "postgres":
        return "= any(cast(:seqs as bigint[]))", {"seqs": list(seqs)}
    return "in (select value from json_each(:seqs))", {"seqs": msgspec.json.encode(list(seqs)).decode()}


def event_of(tenant_uid: str, row: Row) -> Event:
    """Build an event from (seq, recorded_at, envelope, payload)."""
    return Event(tenant_uid, row[0], row[1], decode_envelope(row[2]), row[3])


# -- the filter index, which follows the log ------------------------------------------------------------------------

FACETS: dict[str, int] = {
    "id_key": 1,
    "grade": 2,
    "code": 3,
    "type_key": 4,
    "target_type_key": 5,
    "target_id_key": 6,
    "actor_key": 7,
    "related": 8,
    "flat": 9,
}
"""What can be searched, by number in the index: columns of `event`, and what stands in its envelope only."""

FLAT = 1
"""The only value of the facet of events of the flat family."""


def _keys_of_related(envelope: Envelope) -> set[int]:
    return {key_of(entity.id) for entity in envelope.related_entities}


def _flat_or_nothing(envelope: Envelope) -> set[int]:
    return {FLAT} if envelope.family == "flat" else set()


IN_ENVELOPE: dict[str, tuple[str, Callable[[Envelope], set[int]]]] = {
    "related": ("related > 0", _keys_of_related),
    # Of the flat family are events of the platform's own, and only some of them.
    "flat": (f"grade >= {grade_of(0, True)}", _flat_or_nothing),
}
"""Facets that no column holds: by which columns events may have them, and the values that an envelope has."""

OCCURRED_AT = "occurred_at"
"""The follower that writes `event_time`, the order by the source's own time."""

FOLLOWERS: tuple[str, ...] = (*FACETS, OCCURRED_AT)
"""Each facet follows the log on its own, so that indexing many events takes many short transactions."""

EVENT_FACET = Table("event_facet", {"tenant_id": "bigint", "facet": "bigint", "value": "bigint", "seq": "bigint"})
FOLLOWER = Table("follower", {"tenant_id": "bigint", "name": "text", "position": "bigint"})


def indexed_up_to(tx: Transaction, scope: Scope, followers: Iterable[str]) -> int:
    """Return the seq up to which (exclusive) all of the named followers have indexed the tenant's log."""
    rows = tx.all("select name, position from follower where tenant_id = :tenant_id", tenant_id=scope.tenant_id)
    positions: dict[str, int] = dict(rows)
    return min(positions[name] for name in followers)


def index_next(tx: Transaction, scope: Scope, follower: str, limit: int) -> int:
    """Let one follower index at most `limit` more events; return how many are still ahead of it.

    Rows are written in the index's own order, so that a chunk touches each page once.
    """
    # Taking the position also locks it, so that two processes never index the same events.
    row = tx.one(
        "update follower set position = position where tenant_id = :tenant_id and name = :name returning position",
        tenant_id=scope.tenant_id,
        name=follower,
    )
    assert row is not None
    head: int = head_of(tx, scope)
    start, stop = row[0], min(row[0] + limit, head)
    if follower == OCCURRED_AT:
        _index_times(tx, scope, start, stop)
    elif follower in IN_ENVELOPE:
        _index_envelopes(tx, scope, start, stop, follower)
    else:
        _index_column(tx, scope, start, stop, follower)
    tx.run(
        "update follower set position = :stop where tenant_id = :tenant_id and name = :name",
        tenant_id=scope.tenant_id,
        name=follower,
        stop=stop,
    )
    return head - int(stop)


def _index_column(tx: Transaction, scope: Scope, start: int, stop: int, column: str) -> None:
    tx.run(
        "insert into event_facet (tenant_id, facet, value, seq)"
        f" select tenant_id, {FACETS[column]}, {column}, seq from event"
        f" where tenant_id = :tenant_id and seq >= :start and seq < :stop and {column} is not null"
        f" order by {column}, seq",
        tenant_id=scope.tenant_id, start=start, stop=stop,
    )  # fmt: skip


def _index_times(tx: Transaction, scope: Scope, start: int, stop: int) -> None:
    tx.run(
        "insert into event_time (tenant_id, occurred_at, seq) select tenant_id, occurred_at, seq from event"
        " where tenant_id = :tenant_id and seq >= :start and seq < :stop and occurred_at is not null"
        " order by occurred_at, seq",
        tenant_id=scope.tenant_id, start=start, stop=stop,
    )  # fmt: skip


def _index_envelopes(tx: Transaction, scope: Scope, start: int, stop: int, facet: str) -> None:
    some, values_in = IN_ENVELOPE[facet]
    rows = tx.all(
        f"select seq, envelope from event where tenant_id = :tenant_id and seq >= :start and seq < :stop and {some}",
        tenant_id=scope.tenant_id, start=start, stop=stop,
    )  # fmt: skip
    found = ((value, seq) for seq, envelope in rows for value in values_in(decode_envelope(envelope)))
    tx.insert(EVENT_FACET, [(scope.tenant_id, FACETS[facet], *place) for place in sorted(found)])


def backlogs(tx: Transaction, tenant_ids: Collection[int] | None) -> list[tuple[int, str, int]]:
    """Return (tenant, uid, events not yet indexed) of those tenants, or of all, whose index is behind their log."""
    if tenant_ids is not None and not tenant_ids:
        return []
    some = "" if tenant_ids is None else f" and h.tenant_id in ({', '.join(map(str, map(int, tenant_ids)))})"
    rows = tx.all(
        "select h.tenant_id, t.uid, max(h.next_seq - f.position) from head h"
        " join follower f on f.tenant_id = h.tenant_id join tenant t on t.id = h.tenant_id"
        f" where h.next_seq > f.position{some} group by h.tenant_id, t.uid"
    )
    return [(row[0], row[1].hex(), row[2]) for row in rows]


def newest_time(tx: Transaction) -> int:
    """Return the highest recordedAt of all tenants, microseconds UTC."""
    row = tx.one("select max(last_recorded_at) from head")
    return row[0] or 0 if row else 0


def logs(tx: Transaction) -> list[tuple[int, str]]:
    """Return (tenant, uid) of every log."""
    rows = tx.all("select h.tenant_id, t.uid from head h join tenant t on t.id = h.tenant_id order by h.tenant_id")
    return [(row[0], row[1].hex()) for row in rows]
