"""The tables of deliveries, of attempts at them, and of what is due where."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec

from heliograph.clock import MICROSECONDS
from heliograph.delivery.model import (
    STATES,
    AttemptDetail,
    AttemptRecord,
    Claimed,
    Delivery,
    DeliveryFilter,
    Settlement,
    State,
)
from heliograph.eventlog.model import Prepared
from heliograph.storage.engine import Row, Table, Transaction
from heliograph.tenancy.model import Scope

PENDING, DELIVERED, EXHAUSTED, CANCELLED = range(4)
"""States of a delivery as they are stored."""

_DELIVERIES = Table(
    "delivery",
    {
        "tenant_id": "bigint", "endpoint_uid": "bytes", "seq": "bigint", "event_uid": "bytes", "state": "bigint",
        "due_at": "bigint", "entity_key": "bigint", "attempts": "bigint", "created_at": "bigint",
    },
)  # fmt: skip

PERIOD = 300 * MICROSECONDS
"""Attempts are counted by periods of this length."""

LOOKED_AT = 200
"""Deliveries that are looked at for some that nothing of the same entity precedes."""

_encode = msgspec.json.Encoder().encode
_detail = msgspec.json.Decoder(AttemptDetail).decode
_DELIVERY = (
    "select endpoint_uid, seq, event_uid, state, due_at, attempts, error_class, created_at, settled_at from delivery"
    " where tenant_id = :tenant_id"
)


def new_delivery(scope: Scope, endpoint_uid: bytes, seq: int, event: Prepared, now: int, *, keeps_order: bool) -> Row:
    """Return the row of a delivery that is due at once."""
    entity = event.target_id_key if keeps_order else None
    return (scope.tenant_id, endpoint_uid, seq, event.uid, PENDING, now, entity, 0, now)


def insert_deliveries(tx: Transaction, scope: Scope, rows: Sequence[Row]) -> None:
    """Add deliveries of the tenant's events, with one write for all."""
    assert rows[0][0] == scope.tenant_id
    tx.insert(_DELIVERIES, rows)


# -- claims ---------------------------------------------------------------------------------------------------------

_DUE = "tenant_id = :tenant_id and endpoint_uid = :endpoint_uid and state = 0 and due_at <= :now"
# The plus keeps SQLite from going through all that is due instead of looking up the few that were chosen.
# Who held it until now never told what came of it, so that attempt is forgiven.
_CLAIM = (
    "update delivery set due_at = :until, attempts = attempts + 1, claim = :claim,"
    " forgiven = forgiven + case when claim is null then 0 else 1 end where tenant_id = :tenant_id"
    " and endpoint_uid = :endpoint_uid and +state = 0 and +due_at <= :now and seq in ({chosen})"
    " returning endpoint_uid, seq, attempts, forgiven, entity_key, exhausted_at, created_at"
)
_CLAIM_DUE = _CLAIM.format(chosen=f"select seq from delivery where {_DUE} order by due_at, seq limit :limit")


def claim(
    tx: Transaction, scope: Scope, wanted: Sequence[tuple[bytes, int, int]], token: bytes
) -> list[Claimed]:  # fmt: skip
    """Take what is due first of each of `wanted`: (endpoint, how many, until when), under one token."""
    rows = tx.run_many(
        _CLAIM_DUE,
        [
            {"tenant_id": scope.tenant_id, "endpoint_uid": uid, "limit": limit, "until": until, "claim": token,
             "now": tx.now}
            for uid, limit, until in wanted
        ],
    )  # fmt: skip
    return sorted((Claimed(*row) for row in rows), key=lambda one: one.seq)


def claim_in_order(
    tx: Transaction, scope: Scope, endpoint_uid: bytes, limit: int, until: int, token: bytes
) -> list[Claimed]:
    """Take what is due first, of each target entity only the first that is pending.

    Those behind it are put off until it is due again, so that they are not looked at before; `hand_on` calls them. It
    looks beyond the limit, so that many of one entity do not keep the others from being found.
    """
    values: dict[str, Any] = {"tenant_id": scope.tenant_id, "endpoint_uid": endpoint_uid}
    earlier = (
        "select e.{column} from delivery e where e.tenant_id = :tenant_id and e.endpoint_uid = :endpoint_uid"
        " and e.entity_key = d.entity_key and e.state = 0 and e.seq < d.seq order by e.seq limit 1"
    )
    rows = tx.all(
        f"select d.seq, ({earlier.format(column='due_at')}), d.is_new from (select seq, due_at, entity_key,"
        " case when attempts = forgiven then 1 else 0 end as is_new from delivery"
        f" where {_DUE} order by due_at, seq limit :limit) as d order by d.due_at, d.seq",
        **values, now=tx.now, limit=max(limit, LOOKED_AT),
    )  # fmt: skip
    first = [seq for seq, due, _ in rows if due is None]
    tx.run_many(
        "update delivery set due_at = :later where tenant_id = :tenant_id and endpoint_uid = :endpoint_uid"
        " and seq = :seq and state = 0",
        # The first may be due now as well, and is then taken right here. One that failed before it had to wait is
        # called by nobody: it cannot be told from one that waits for its next attempt.
        [
            {**values, "seq": seq, "later": max(due, until) if is_new else until}
            for seq, due, is_new in rows
            if due is not None
        ],
    )
    claimed = tx.run_many(
        _CLAIM.format(chosen=":seq"),
        [{**values, "seq": seq, "until": until, "claim": token, "now": tx.now} for seq in first[:limit]],
    )
    return sorted((Claimed(*row) for row in claimed), key=lambda one: one.seq)


_SETTLE = (
    "update delivery set state = :state, due_at = :due_at, error_class = :error_class, claim = null,"
    " settled_at = :settled_at, forgiven = forgiven + :forgiven,"
    " exhausted_at = case when :state = 2 then :settled_at when :state = 1 then null else exhausted_at end"
    " where tenant_id = :tenant_id and endpoint_uid = :endpoint_uid and seq = :seq and claim = :claim and state = 0"
)


def settle(tx: Transaction, scope: Scope, settlements: Sequence[Settlement]) -> None:
    """Note what becomes of deliveries that are still held by the claim given.

    A claim is gone with its settlement, so that a settlement counts once.
    """
    tx.run_many(_SETTLE, [_settled(tx, scope, one) for one in settlements])


def settle_and_tell(tx: Transaction, scope: Scope, settlements: Sequence[Settlement]) -> set[tuple[bytes, int]]:
    """Do as `settle` does, and return (endpoint, seq) of those that were still held, which takes longer."""
    rows = tx.run_many(f"{_SETTLE} returning endpoint_uid, seq", [_settled(tx, scope, one) for one in settlements])
    return {(row[0], row[1]) for row in rows}


def _settled(tx: Transaction, scope: Scope, one: Settlement) -> dict[str, Any]:
    return {
        "tenant_id": scope.tenant_id, "endpoint_uid": one.endpoint_uid, "seq": one.seq, "claim": one.claim,
        "state": STATES.index(one.state), "due_at": one.due_at, "error_class": one.error_class,
        "settled_at": None if one.state == "pending" else tx.now, "forgiven": int(one.forgive),
    }  # fmt: skip


def release(tx: Transaction, scope: Scope, held: Sequence[tuple[bytes, int, bytes]]) -> None:
    """Give back deliveries (endpoint, seq, claim) that were not tried; they are due at once."""
    tx.run_many(
        "update delivery set due_at = :now, attempts = attempts - 1, claim = null where tenant_id = :tenant_id"
        " and endpoint_uid = :endpoint_uid and seq = :seq and claim = :claim and state = 0",
        [
            {"tenant_id": scope.tenant_id, "endpoint_uid": uid, "seq": seq, "claim": token, "now": tx.now}
            for uid, seq, token in held
        ],
    )  # fmt: skip


def hand_on(tx: Transaction, scope: Scope, entities: Sequence[tuple[bytes, int]]) -> None:
    """Let the next pending delivery of each (endpoint, entity) be due now, as the one before it is settled."""
    tx.run_many(
        "update delivery set due_at = :now where tenant_id = :tenant_id and endpoint_uid = :endpoint_uid"
        " and state = 0 and attempts = forgiven and due_at > :now and seq = (select min(seq) from delivery"
        " where tenant_id = :tenant_id and endpoint_uid = :endpoint_uid and entity_key = :entity_key and state = 0)",
        [
            {"tenant_id": scope.tenant_id, "endpoint_uid": uid, "entity_key": key, "now": tx.now}
            for uid, key in dict.fromkeys(entities)
        ],
    )  # fmt: skip


def add_counts(tx: Transaction, scope: Scope, outcomes: Sequence[tuple[bytes, str]]) -> None:
    """Count attempts at (endpoint) that ended so (class)."""
    tx.run_many(
        "insert into delivery_count (tenant_id, period, endpoint_uid, error_class, attempts)"
        " values (:tenant_id, :period, :endpoint_uid, :error_class, :attempts)"
        " on conflict (tenant_id, period, endpoint_uid, error_class)"
        " do update set attempts = delivery_count.attempts + excluded.attempts",
        [
            {"tenant_id": scope.tenant_id, "period": tx.now // PERIOD, "endpoint_uid": uid, "error_class": outcome,
             "attempts": attempts}
            for (uid, outcome), attempts in sorted(Counter(outcomes).items())
        ],
    )  # fmt: skip


def forget_counts(tx: Transaction, scope: Scope, before: int) -> None:
    """Forget what was counted before that time."""
    tx.run(
        "delete from delivery_count where tenant_id = :tenant_id and period < :period",
        tenant_id=scope.tenant_id, period=before // PERIOD,
    )  # fmt: skip


def insert_attempts(tx: Transaction, scope: Scope, attempts: Sequence[tuple[bytes, int, AttemptRecord]]) -> None:
    """Keep (endpoint, seq, attempt); one that is there already stays, one whose delivery is forgotten is left out."""
    tx.run_many(
        "insert into delivery_attempt (tenant_id, endpoint_uid, seq, number, started_at, error_class, status, detail)"
        " select tenant_id, endpoint_uid, seq, :number, :started_at, :error_class, :status, :detail from delivery"
        " where tenant_id = :tenant_id and endpoint_uid = :endpoint_uid and seq = :seq on conflict do nothing",
        [
            {"tenant_id": scope.tenant_id, "endpoint_uid": uid, "seq": seq, "number": one.number,
             "started_at": one.started_at, "error_class": one.error_class, "status": one.status,
             "detail": _encode(one.detail)}
            for uid, seq, one in attempts
        ],
    )  # fmt: skip


# -- reading --------------------------------------------------------------------------------------------------------

Place = tuple[int, bytes]
"""(seq, endpoint): where a list of deliveries goes on; it runs from the newest event to the oldest."""


def find(tx: Transaction, scope: Scope, endpoint_uid: bytes, seq: int) -> Delivery | None:
    """Read one delivery."""
    row = tx.one(
        f"{_DELIVERY} and endpoint_uid = :endpoint_uid and seq = :seq",
        tenant_id=scope.tenant_id, endpoint_uid=endpoint_uid, seq=seq,
    )  # fmt: skip
    return None if row is None else _delivery(scope, row)


def list_some(
    tx: Transaction, scope: Scope, wanted: DeliveryFilter, seqs: tuple[int, int], before: Place, limit: int
) -> list[Delivery]:
    """Read deliveries of events in `seqs` (half-open) that come behind a place, by the best index that there is.

    Of the filters those are left to the caller that no index knows: the error class, the event, and which of the
    usual states it is.
    """
    values: dict[str, Any] = {"low": seqs[0], "high": min(seqs[1], before[0] + 1), "limit": limit}
    condition = " and seq >= :low and seq < :high"
    states = dict.fromkeys(wanted.states)
    failed = [STATES.index(state) for state in states if state in ("exhausted", "cancelled")]
    only_failed = bool(failed) and len(failed) == len(states)
    index = "delivery_failed" if only_failed else None
    if wanted.endpoint_uid is not None:
        condition += " and endpoint_uid = :endpoint_uid and seq < :before"
        values |= {"endpoint_uid": wanted.endpoint_uid, "before": before[0] + (wanted.endpoint_uid < before[1])}
        index = "delivery_failed_of_endpoint" if only_failed else "delivery_of_endpoint"
    else:
        condition += " and (seq, endpoint_uid) < (:before, :before_uid)"
        values |= {"before": before[0], "before_uid": before[1]}
    # Without statistics SQLite would rather go through all that the tenant has, by the primary key.
    hint = f"from delivery indexed by {index} where" if index and tx.dialect == "sqlite" else "from delivery where"
    text = _DELIVERY.replace("from delivery where", hint) + condition
    order = "order by seq desc, endpoint_uid desc limit :limit"
    if only_failed:
        parts = [f"select * from ({text} and state = {state} and state > 1 {order}) as s{state}" for state in failed]
        text, order = " union all ".join(parts), "order by 2 desc, 1 desc limit :limit"
    return [_delivery(scope, row) for row in tx.all(f"{text} {order}", tenant_id=scope.tenant_id, **values)]


def list_attempts(
    tx: Transaction, scope: Scope, endpoint_uid: bytes, seq: int, after: int, limit: int
) -> list[AttemptRecord]:
    """Read the attempts at one delivery whose numbers are higher than `after`, in their order."""
    rows = tx.all(
        "select number, started_at, error_class, status, detail from delivery_attempt where tenant_id = :tenant_id"
        " and endpoint_uid = :endpoint_uid and seq = :seq and number > :after order by number limit :limit",
        tenant_id=scope.tenant_id, endpoint_uid=endpoint_uid, seq=seq, after=after, limit=limit,
    )  # fmt: skip
    return [
        AttemptRecord(number=row[0], started_at=row[1], error_class=row[2], status=row[3], detail=_detail(row[4]))
        for row in rows
    ]


def renew(tx: Transaction, scope: Scope, endpoint_uid: bytes, seq: int) -> None:
    """Let a delivery be tried again as if it never had been; its attempts stay and their numbers go on.

    Where another of its entity is being tried, it waits for that one.
    """
    under_way = (
        "select max(o.due_at) from delivery o where o.tenant_id = :tenant_id and o.endpoint_uid = :endpoint_uid"
        " and o.entity_key = delivery.entity_key and o.state = 0 and o.claim is not null and o.due_at > :now"
    )
    tx.run(
        f"update delivery set state = 0, due_at = coalesce(({under_way}), :now), forgiven = attempts, claim = null,"
        " settled_at = null"
        " where tenant_id = :tenant_id and endpoint_uid = :endpoint_uid and seq = :seq"
        # One that is being tried is left to whoever tries it.
        " and (state <> 0 or claim is null)",
        tenant_id=scope.tenant_id, endpoint_uid=endpoint_uid, seq=seq, now=tx.now,
    )  # fmt: skip


def head_of(tx: Transaction, scope: Scope) -> int:
    """Return the seq that the next event of the tenant's log will have."""
    row = tx.one("select next_seq from head where tenant_id = :tenant_id", tenant_id=scope.tenant_id)
    return row[0] if row else 0


def is_reached(tx: Transaction, scope: Scope, endpoint_uid: bytes) -> bool:
    """Tell whether there is an endpoint with that uid that gets the tenant's events."""
    row = tx.one(
        "select 1 from endpoint_reach where tenant_id = :tenant_id and endpoint_uid = :endpoint_uid",
        tenant_id=scope.tenant_id, endpoint_uid=endpoint_uid,
    )  # fmt: skip
    return row is not None


def forget(tx: Transaction, scope: Scope, before: int, after: Place, limit: int) -> Place | None:
    """Remove, among the next `limit` deliveries behind a place, those that were settled before that time.

    Returns the place to go on behind, or None where the rest is younger.
    """
    rows = tx.all(
        "select seq, endpoint_uid, state, settled_at, created_at from delivery where tenant_id = :tenant_id"
        " and (seq, endpoint_uid) > (:seq, :endpoint_uid) order by seq, endpoint_uid limit :limit",
        tenant_id=scope.tenant_id, seq=after[0], endpoint_uid=after[1], limit=limit,
    )  # fmt: skip
    old = [row for row in rows if row[2] != PENDING and row[3] is not None and row[3] < before]
    for table in ("delivery_attempt", "delivery"):
        tx.run_many(
            # Somebody may have had it sent again since it was read.
            f"delete from {table} where tenant_id = :tenant_id and endpoint_uid = :endpoint_uid and seq = :seq"
            + (" and state <> 0" if table == "delivery" else ""),
            [{"tenant_id": scope.tenant_id, "endpoint_uid": row[1], "seq": row[0]} for row in old],
        )
    more = len(rows) == limit and rows[-1][4] < before
    return (rows[-1][0], rows[-1][1]) if more else None


def _delivery(scope: Scope, row: Row) -> Delivery:
    state: State = STATES[row[3]]
    return Delivery(
        tenant_uid=scope.tenant_uid, endpoint_uid=row[0], seq=row[1], event_uid=row[2], state=state, due_at=row[4],
        attempts=row[5], error_class=row[6], created_at=row[7], settled_at=row[8],
    )  # fmt: skip


# -- all that belongs to one endpoint -------------------------------------------------------------------------------


def cancel_pending(tx: Transaction, scope: Scope, endpoint_uid: bytes, limit: int) -> int:
    """Cancel at most `limit` pending deliveries of the tenant's events to one endpoint, and return how many."""
    return tx.run(
        "update delivery set state = :cancelled, claim = null, settled_at = :now where tenant_id = :tenant_id"
        " and endpoint_uid = :endpoint_uid and state = 0 and seq in (select seq from delivery where"
        " tenant_id = :tenant_id and endpoint_uid = :endpoint_uid and state = 0 order by due_at, seq limit :limit)",
        tenant_id=scope.tenant_id, endpoint_uid=endpoint_uid, cancelled=CANCELLED, now=tx.now, limit=limit,
    )  # fmt: skip


_OF_ENDPOINT = "from endpoint_reach r join {table} on {table}.tenant_id = r.tenant_id and {table}.endpoint_uid ="
_OF_ENDPOINT += " r.endpoint_uid where r.owner_id = :owner_id and r.endpoint_uid = :endpoint_uid"


def count_pending(tx: Transaction, scope: Scope, endpoint_uid: bytes, most: int) -> int:
    """Return how many deliveries to an endpoint of the tenant are pending in all its logs, at most `most`."""
    row = tx.one(
        f"select count(*) from (select 1 {_OF_ENDPOINT.format(table='delivery')} and state = 0 limit :most) as found",
        owner_id=scope.tenant_id, endpoint_uid=endpoint_uid, most=most,
    )  # fmt: skip
    return row[0] if row else 0


def oldest_due(tx: Transaction, scope: Scope, endpoint_uid: bytes) -> int | None:
    """Return when the delivery to an endpoint of the tenant is due that is due first, in all its logs."""
    row = tx.one(
        "select min(first) from (select (select due_at from delivery d where d.tenant_id = r.tenant_id"
        " and d.endpoint_uid = r.endpoint_uid and d.state = 0 order by d.due_at limit 1) as first"
        " from endpoint_reach r where r.owner_id = :owner_id and r.endpoint_uid = :endpoint_uid) as firsts",
        owner_id=scope.tenant_id, endpoint_uid=endpoint_uid,
    )  # fmt: skip
    return row[0] if row else None


def count_attempts(tx: Transaction, scope: Scope, endpoint_uid: bytes, since: int) -> dict[str, int]:
    """Return how many attempts at an endpoint of the tenant ended how since the period in which that time lies."""
    rows = tx.all(
        "select c.error_class, sum(c.attempts) from endpoint_reach r join delivery_count c"
        " on c.tenant_id = r.tenant_id and c.endpoint_uid = r.endpoint_uid and c.period >= :period"
        " where r.owner_id = :owner_id and r.endpoint_uid = :endpoint_uid group by c.error_class"
        " order by c.error_class",
        owner_id=scope.tenant_id, endpoint_uid=endpoint_uid, period=since // PERIOD,
    )  # fmt: skip
    return {row[0]: int(row[1]) for row in rows}
