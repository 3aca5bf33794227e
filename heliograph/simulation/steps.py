"""One step of a plan: a request, what must be answered, and which events must follow from it."""

from __future__ import annotations

from typing import Any

import msgspec


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One request of the public API, and what is expected of it.

    The server gives uids that no plan can know: `{lock 3}` in `path` or `body` stands for what the server calls
    lock 3. `learns` says by what names the answer's uids are known from then on, each with where it stands in the
    answer. `text` tells people what happens, `counts` names the counters that go up by it.

    `answer` is a part of what must be answered. `events` are the types, in any order, of the events about `actor`
    that the step must lead to, and no other. `offered` names an operation that a connector must have been given
    before, and `awaits_job` says that the answer is a job whose end has to come first; `answer` is then a part of
    that job.
    """

    actor: str
    text: str
    counts: tuple[str, ...]
    method: str
    path: str
    body: Any = None
    content_type: str = "application/json"
    status: tuple[int, ...] = (200,)
    answer: dict[str, Any] = {}
    learns: dict[str, str] = {}
    events: tuple[str, ...] = ()
    offered: str = ""
    awaits_job: bool = False


def missing(expected: Any, found: Any, place: str = "") -> list[str]:
    """Say in which places an answer lacks what is expected of it; what it has beyond that does not matter.

    Lists must be of one length, and texts that begin with `{` stand for uids and are not compared.
    """
    if isinstance(expected, dict) and isinstance(found, dict):
        return [
            fault
            for name, part in expected.items()
            for fault in (
                missing(part, found[name], f"{place}/{name}") if name in found else [f"{place}/{name} is missing"]
            )
        ]
    if isinstance(expected, list | tuple) and isinstance(found, list) and len(expected) == len(found):
        pairs = enumerate(zip(expected, found, strict=True))
        return [fault for number, (one, other) in pairs for fault in missing(one, other, f"{place}/{number}")]
    return [] if expected == found else [f"{place or 'the answer'} is {found!r} instead of {expected!r}"]
