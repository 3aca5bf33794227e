"""A query's filters as lists of the index: what a search looks up, and what it may leave unlooked at."""

from __future__ import annotations

from collections.abc import Sequence

from heliograph.eventlog.filters import EventQuery
from heliograph.eventlog.model import grade_of, id_key_of, key_of
from heliograph.eventlog.store import FACETS, FLAT

Part = tuple[int, int]
"""(facet, value): one ordered list of seqs in the index."""

Criterion = tuple[Part, ...]
"""Alternatives of which an event must have one."""

_ENTITY_FACETS = (FACETS["target_id_key"], FACETS["related"])
NAME = {facet: name for name, facet in FACETS.items()}
"""The facets' names, by their numbers."""

_EXACT = frozenset(FACETS[name] for name in ("grade", "code", "flat"))
"""Facets whose values are what is asked for, not keys that texts may share."""


def criteria_of(query: EventQuery) -> tuple[Criterion, ...]:
    """Translate a query's filters into lists of the index."""
    if query.ids:
        # Nothing narrows a search as much as the events' own ids; the other filters compare what those lead to.
        ids = {bytes.fromhex(text.replace("-", "")) for text in query.ids}
        return (tuple((FACETS["id_key"], key) for key in sorted({id_key_of(uid) for uid in ids})),)
    grades = tuple((FACETS["grade"], grade_of(*pair)) for pair in query.grades())
    codes = tuple((FACETS["code"], code) for code in query.codes)
    flat = ((FACETS["flat"], FLAT),) if query.flat else ()
    texts = (
        (query.types, (FACETS["type_key"],)),
        (query.target_types, (FACETS["target_type_key"],)),
        (query.target_ids, (FACETS["target_id_key"],)),
        (query.actor_uids, (FACETS["actor_key"],)),
        (query.related_ids, _ENTITY_FACETS),
        *((wanted.ids, _ENTITY_FACETS) for wanted in query.entities),
    )
    keyed = (tuple((facet, key_of(value)) for value in values for facet in facets) for values, facets in texts)
    return tuple(criterion for criterion in (grades, codes, flat, *keyed) if criterion)


def followers_of(criteria: Sequence[Criterion]) -> set[str]:
    """Name the followers whose index the criteria are looked up in."""
    return {NAME[facet] for criterion in criteria for facet, _ in criterion}


def are_exact(criteria: Sequence[Criterion]) -> bool:
    """Tell whether an event that the index has for the criteria needs no further comparison."""
    return all(facet in _EXACT for criterion in criteria for facet, _ in criterion)


def likely_common(criterion: Criterion) -> tuple[bool, int]:
    """Order filters by how little can be hoped from looking at them: a whole family is the least rare of all."""
    return criterion[0][0] == FACETS["flat"], len(criterion)
