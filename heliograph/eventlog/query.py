"""Finding events: the index up to its position, the short tail behind it, never a count and never an offset page.

Every statement has one shape per kind of question and bounds on each side, so that no plan depends on statistics.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from heliograph.eventlog import store
from heliograph.eventlog.criteria import NAME, Criterion, are_exact, followers_of, likely_common
from heliograph.eventlog.filters import EventQuery
from heliograph.eventlog.model import Span
from heliograph.eventlog.store import IN_ENVELOPE, OCCURRED_AT
from heliograph.storage.engine import Transaction
from heliograph.tenancy.model import Scope

SCAN_BUDGET = 4000
"""Index rows that one step may examine per part of its leading filter."""

RARITY = 20
"""A filter is rare when each of its parts has less than this part of the budget ahead."""

TAIL_BUDGET = 40_000
"""Unindexed events that one step may examine."""


class Found(msgspec.Struct, frozen=True):
    """Seqs in the order asked for, and the span that was really examined for them.

    When they are `certain`, those events fit, and there is nothing left to compare.
    """

    seqs: list[int]
    examined: Span
    certain: bool = False


def seq_at(tx: Transaction, scope: Scope, moment: int, head: int) -> int:
    """Return the first seq recorded at `moment` or later: a binary search, because recordedAt rises with seq."""
    row = tx.one(
        "with recursive search (low, high) as ("
        " select cast(0 as bigint), cast(:head as bigint)"
        " union all"
        " select case when e.recorded_at < :moment then e.seq + 1 else s.low end,"
        " case when e.recorded_at < :moment then s.high else e.seq end"
        " from search s join event e on e.tenant_id = :tenant_id and e.seq = (s.low + s.high) / 2"
        " where s.low < s.high"
        ") select max(low) from search",
        tenant_id=scope.tenant_id, moment=moment, head=head,
    )  # fmt: skip
    return row[0] if row else 0


def span_of(tx: Transaction, scope: Scope, query: EventQuery, head: int) -> Span:
    """Return the part of the log below `head` that was recorded in the query's range of time."""
    high = head if query.until is None else seq_at(tx, scope, query.until, head)
    return Span(seq_at(tx, scope, query.since, head), high)


def find(
    tx: Transaction, scope: Scope, criteria: Sequence[Criterion], span: Span, ascending: bool, limit: int
) -> Found:
    """Find up to `limit` candidates in `span`, examining a bounded number of rows.

    Candidates fit by their keys; the caller compares the texts. What lies beyond `examined` is not yet known.
    """
    if span.empty:
        return Found([], span)
    if not criteria:
        return _run_of_seqs(span, ascending, limit)
    indexed = store.indexed_up_to(tx, scope, followers_of(criteria))
    body, tail = span.before(indexed), span.onward(indexed)
    steps = ((_search_index, body), (_scan_tail, tail))
    found: list[int] = []
    edge = span.low if ascending else span.high
    for search, part in steps if ascending else reversed(steps):
        if part.empty:
            continue
        step = search(tx, scope, criteria, part, ascending, limit - len(found))
        found += step.seqs
        edge = step.examined.high if ascending else step.examined.low
        if len(found) >= limit or step.examined != part:
            break
    examined = Span(span.low, edge) if ascending else Span(edge, span.high)
    return Found(found, examined, are_exact(criteria) and max(found, default=-1) < indexed)


def _run_of_seqs(span: Span, ascending: bool, limit: int) -> Found:
    if ascending:
        examined = Span(span.low, min(span.high, span.low + limit))
        return Found(list(range(examined.low, examined.high)), examined, True)
    examined = Span(max(span.low, span.high - limit), span.high)
    return Found(list(range(examined.high - 1, examined.low - 1, -1)), examined, True)


def _scan_tail(
    tx: Transaction, scope: Scope, criteria: Sequence[Criterion], span: Span, ascending: bool, limit: int
) -> Found:
    window = Span(span.low, min(span.high, span.low + TAIL_BUDGET))
    if not ascending:
        window = Span(max(span.low, span.high - TAIL_BUDGET), span.high)
    conditions, values = tail_conditions(criteria)
    rows = tx.all(
        "select seq from event where tenant_id = :tenant_id and seq >= :low and seq < :high"
        f"{conditions} order by seq {_direction(ascending)} limit :limit",
        tenant_id=scope.tenant_id, low=window.low, high=window.high, limit=limit, **values,
    )  # fmt: skip
    return _found([row[0] for row in rows], window, ascending, limit)


def _search_index(
    tx: Transaction, scope: Scope, criteria: Sequence[Criterion], span: Span, ascending: bool, limit: int
) -> Found:
    leading, window = _choose_leading(tx, scope, criteria, span, ascending)
    others = [criterion for criterion in criteria if criterion is not leading]
    conditions, values = index_conditions(others, "d.seq")
    part = (
        "select * from (select d.seq from event_facet d where d.tenant_id = :tenant_id and d.facet = :f{n}"
        " and d.value = :v{n} and d.seq >= :low and d.seq < :high{conditions}"
        " order by d.seq {direction} limit :limit) p{n}"
    )
    direction = _direction(ascending)
    parts = [part.format(n=n, conditions=conditions, direction=direction) for n in range(len(leading))]
    for n, (facet, value) in enumerate(leading):
        values |= {f"f{n}": facet, f"v{n}": value}
    rows = tx.all(
        " union all ".join(parts) + f" order by 1 {direction} limit :limit",
        tenant_id=scope.tenant_id, low=window.low, high=window.high, limit=limit, **values,
    )  # fmt: skip
    found = _found([row[0] for row in rows], window, ascending, limit)
    # Only now: an event that fits by two values fills two of the rows, and says nothing of those behind the limit.
    return Found(list(dict.fromkeys(found.seqs)), found.examined)


def _choose_leading(
    tx: Transaction, scope: Scope, criteria: Sequence[Criterion], span: Span, ascending: bool
) -> tuple[Criterion, Span]:
    """Choose the filter with the fewest events ahead, and the window in which it stays within the budget."""
    if len(criteria) == 1:
        return criteria[0], span
    whole = span.high if ascending else span.low
    # A filter that is rare at once spares looking at those with many values, each of which costs a look.
    for criterion in sorted(criteria, key=likely_common)[:-1]:
        if _reach(tx, scope, criterion, span, ascending, SCAN_BUDGET // RARITY) == whole:
            return criterion, span
    reached = [(criterion, _reach(tx, scope, criterion, span, ascending)) for criterion in criteria]
    leading, reach = (max if ascending else min)(reached, key=lambda pair: pair[1])
    return leading, Span(span.low, reach) if ascending else Span(reach, span.high)


def _reach(
    tx: Transaction, scope: Scope, criterion: Criterion, span: Span, ascending: bool, budget: int | None = None
) -> int:
    """Return how far the span can be examined before one part of the criterion uses up the budget."""
    reach = span.high if ascending else span.low
    for facet, value in criterion:
        row = tx.one(
            "select seq from event_facet where tenant_id = :tenant_id and facet = :facet and value = :value"
            f" and seq >= :low and seq < :high order by seq {_direction(ascending)} limit 1 offset :budget",
            tenant_id=scope.tenant_id, facet=facet, value=value, low=span.low, high=span.high,
            budget=SCAN_BUDGET if budget is None else budget,
        )  # fmt: skip
        if row:
            reach = min(reach, row[0]) if ascending else max(reach, row[0] + 1)
    return reach


def _found(seqs: list[int], window: Span, ascending: bool, limit: int) -> Found:
    """Say how far a search got: to the end of its window, or to the last seq when it stopped at its limit."""
    if len(seqs) < limit:
        return Found(seqs, window)
    return Found(seqs, Span(window.low, seqs[-1] + 1) if ascending else Span(seqs[-1], window.high))


def tail_conditions(criteria: Sequence[Criterion]) -> tuple[str, dict[str, int]]:
    """Write the criteria as conditions on columns of `event`; what stands in envelopes the caller has to compare."""
    text = ""
    values: dict[str, int] = {}
    for criterion in criteria:
        alternatives = [
            IN_ENVELOPE[NAME[facet]][0]
            if NAME[facet] in IN_ENVELOPE
            else f"{NAME[facet]} in ({_names(facet, parts, values)})"
            for facet, parts in _by_facet(criterion).items()
        ]
        text += f" and ({' or '.join(alternatives)})"
    return text, values


def index_conditions(criteria: Sequence[Criterion], seq: str) -> tuple[str, dict[str, int]]:
    """Write the criteria as look-ups of one seq in the index."""
    text = ""
    values: dict[str, int] = {}
    for criterion in criteria:
        alternatives = [
            "exists (select 1 from event_facet x where x.tenant_id = :tenant_id"
            f" and x.facet = {facet} and x.value in ({_names(facet, parts, values)}) and x.seq = {seq})"
            for facet, parts in _by_facet(criterion).items()
        ]
        text += f" and ({' or '.join(alternatives)})"
    return text, values


def _by_facet(criterion: Criterion) -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for facet, value in criterion:
        found.setdefault(facet, []).append(value)
    return found


def _names(facet: int, parts: Sequence[int], values: dict[str, int]) -> str:
    names = [f"c{len(values) + n}_{facet}" for n in range(len(parts))]
    values.update(zip(names, parts, strict=True))
    return ", ".join(f":{name}" for name in names)


def _direction(ascending: bool) -> str:
    return "asc" if ascending else "desc"


# -- ordered by the source's own time -------------------------------------------------------------------------------

Moment = tuple[int, int]
"""(occurredAt in microseconds UTC, seq): the order of a listing by `timeField=occurredAt`."""


class Moments(msgspec.Struct, frozen=True):
    """Moments in order; `edge` is the last one examined, or None when nothing lies beyond them."""

    moments: list[Moment]
    edge: Moment | None


def find_by_time(
    tx: Transaction,
    scope: Scope,
    criteria: Sequence[Criterion],
    span: tuple[Moment, Moment],
    head: int,
    ascending: bool,
    limit: int,
) -> Moments:
    """Find candidates strictly between two moments among the events below `head` that carry an occurredAt."""
    indexed = min(store.indexed_up_to(tx, scope, (OCCURRED_AT, *followers_of(criteria))), head)
    leading = _sparse(tx, scope, criteria, Span(0, indexed), ascending)
    if leading is not None:
        body = _moments_of(tx, scope, criteria, leading, span, indexed, ascending, limit)
    else:
        body = _moments_in_index(tx, scope, criteria, span, indexed, ascending, limit)
    tail = _moments_in_tail(tx, scope, criteria, span, Span(indexed, head), ascending, limit)
    if body.edge is not None:
        edge = body.edge
        tail = [moment for moment in tail if (moment <= edge if ascending else moment >= edge)]
    merged = sorted({*body.moments, *tail}, reverse=not ascending)
    if len(merged) >= limit:
        return Moments(merged[:limit], merged[limit - 1])
    return Moments(merged, body.edge)


def _sparse(
    tx: Transaction, scope: Scope, criteria: Sequence[Criterion], span: Span, ascending: bool
) -> Criterion | None:
    """Return a filter that is rare enough to be gathered and sorted whole."""
    whole = span.high if ascending else span.low
    for criterion in criteria:
        if _reach(tx, scope, criterion, span, ascending) == whole:
            return criterion
    return None


def _moments_of(
    tx: Transaction, scope: Scope, criteria: Sequence[Criterion], leading: Criterion,
    span: tuple[Moment, Moment], indexed: int, ascending: bool, limit: int,
) -> Moments:  # fmt: skip
    conditions, values = index_conditions([c for c in criteria if c is not leading], "d.seq")
    for n, (facet, value) in enumerate(leading):
        values |= {f"f{n}": facet, f"v{n}": value}
    parts = [
        "select e.occurred_at, e.seq from event_facet d"
        " join event e on e.tenant_id = :tenant_id and e.seq = d.seq"
        f" where d.tenant_id = :tenant_id and d.facet = :f{n} and d.value = :v{n} and d.seq < :indexed"
        " and (e.occurred_at, e.seq) > (:low_at, :low_seq)"
        f" and (e.occurred_at, e.seq) < (:high_at, :high_seq){conditions}"
        for n in range(len(leading))
    ]
    direction = _direction(ascending)
    rows = tx.all(
        " union ".join(parts) + f" order by 1 {direction}, 2 {direction} limit :limit",
        tenant_id=scope.tenant_id, indexed=indexed, limit=limit, **_bounds(span), **values,
    )  # fmt: skip
    return Moments([(row[0], row[1]) for row in rows], None)


def _moments_in_index(
    tx: Transaction, scope: Scope, criteria: Sequence[Criterion],
    span: tuple[Moment, Moment], indexed: int, ascending: bool, limit: int,
) -> Moments:  # fmt: skip
    conditions, values = index_conditions(criteria, "d.seq")
    direction = _direction(ascending)
    window = (
        "select occurred_at, seq from event_time where tenant_id = :tenant_id and seq < :indexed"
        " and (occurred_at, seq) > (:low_at, :low_seq) and (occurred_at, seq) < (:high_at, :high_seq)"
        f" order by occurred_at {direction}, seq {direction} limit :budget"
    )
    bounds = {"tenant_id": scope.tenant_id, "indexed": indexed, "budget": SCAN_BUDGET, **_bounds(span)}
    rows = tx.all(
        f"select d.occurred_at, d.seq from ({window}) d where true{conditions}"
        f" order by d.occurred_at {direction}, d.seq {direction} limit :limit",
        limit=limit,
        **bounds,
        **values,
    )
    last = tx.one(
        f"select occurred_at, seq from ({window}) d order by occurred_at {direction}, seq {direction}"
        " limit 1 offset :last",
        last=SCAN_BUDGET - 1,
        **bounds,
    )
    return Moments([(row[0], row[1]) for row in rows], (last[0], last[1]) if last else None)


def _moments_in_tail(
    tx: Transaction, scope: Scope, criteria: Sequence[Criterion],
    span: tuple[Moment, Moment], tail: Span, ascending: bool, limit: int,
) -> list[Moment]:  # fmt: skip
    if tail.empty:
        return []
    conditions, values = tail_conditions(criteria)
    direction = _direction(ascending)
    rows = tx.all(
        "select occurred_at, seq from event where tenant_id = :tenant_id and seq >= :from_seq and seq < :to_seq"
        " and occurred_at is not null"
        f" and (occurred_at, seq) > (:low_at, :low_seq) and (occurred_at, seq) < (:high_at, :high_seq){conditions}"
        f" order by occurred_at {direction}, seq {direction} limit :limit",
        tenant_id=scope.tenant_id, from_seq=tail.low, to_seq=tail.high, limit=limit, **_bounds(span), **values,
    )  # fmt: skip
    return [(row[0], row[1]) for row in rows]


def _bounds(span: tuple[Moment, Moment]) -> dict[str, int]:
    (low_at, low_seq), (high_at, high_seq) = span
    return {"low_at": low_at, "low_seq": low_seq, "high_at": high_at, "high_seq": high_seq}
