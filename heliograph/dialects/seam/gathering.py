"""Lists of Seam's can be asked for whole, however long: they are read and rendered part by part."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial
from typing import Any, TypeVar

import msgspec

from heliograph.http.services import Services

T = TypeVar("T")

PART = 1_000
"""Items that are read at once, from one snapshot."""

LARGE = 5_000
"""Items from which on a list is gathered only while no other large one is."""

_encode = msgspec.json.Encoder().encode


def as_json(body: Any) -> msgspec.Raw:
    """Render a body: as text it needs a fraction of the memory."""
    return msgspec.Raw(_encode(body))


async def gather(
    services: Services,
    read: Callable[..., tuple[T, bytes | None]],
    render: Callable[[T], list[msgspec.Raw]],
    after: bytes,
    limit: int,
) -> tuple[list[msgspec.Raw], bytes | None]:
    """Return `limit` items, or as many as there are, and the last one's uid when at least one more is there.

    `read` is an action that lists: given a transaction, `after` and `limit`, it returns some of the items behind a
    uid, and the uid to go on after when more are to be examined.
    """
    items: list[msgspec.Raw] = []
    last: bytes | None = after
    async with AsyncExitStack() as stack:
        is_large = False
        while last is not None and len(items) < limit:
            if len(items) >= LARGE and not is_large:
                await stack.enter_async_context(services.large_work)
                is_large = True
            found, last = await _read(services, partial(read, after=last, limit=min(PART, limit - len(items))))
            items += await services.compute(partial(render, found))
    # Where the database cannot tell what passes, more to be examined need not be more to be shown.
    following = last
    while following is not None:
        found, following = await _read(services, partial(read, after=following, limit=1))
        if render(found):
            return items, last
    return items, None


async def _read(services: Services, step: Callable[..., T]) -> T:
    # One step for each part: nothing is held between them, and a change in between is seen by the parts behind it.
    return await services.read(step)
