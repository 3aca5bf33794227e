"""Lists of Seam's can be asked for whole, however long: they are read and rendered part by part."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

import msgspec

from heliograph.http.services import Services
from heliograph.storage.engine import Transaction

PART = 1_000
"""Items that are read at once, from one snapshot."""

LARGE = 5_000
"""Items from which on a list is gathered only while no other large one is."""

Part = tuple[list[msgspec.Raw], bytes | None]
"""Items as JSON, and the uid to go on after when more is to be examined."""

ReadPart = Callable[[Transaction, bytes, int], Part]
"""Reads and renders at most so many items behind a uid."""

_encode = msgspec.json.Encoder().encode


def as_json(body: Any) -> msgspec.Raw:
    """Render a body: as text it needs a fraction of the memory."""
    return msgspec.Raw(_encode(body))


async def gather(services: Services, read: ReadPart, after: bytes, limit: int) -> Part:
    """Return `limit` items, or as many as there are; the uid is there only when at least one more is."""
    items: list[msgspec.Raw] = []
    last: bytes | None = after
    async with AsyncExitStack() as stack:
        is_large = False
        while last is not None and len(items) < limit:
            if len(items) >= LARGE and not is_large:
                await stack.enter_async_context(services.large_work)
                is_large = True
            part, last = await _read(services, read, last, min(PART, limit - len(items)))
            items += part
    return items, last if await _is_another(services, read, last) else None


async def _is_another(services: Services, read: ReadPart, last: bytes | None) -> bool:
    """Tell whether something is behind a uid; where the database cannot tell what passes, that is to be looked for."""
    while last is not None:
        part, last = await _read(services, read, last, 1)
        if part:
            return True
    return False


async def _read(services: Services, read: ReadPart, after: bytes, limit: int) -> Part:
    return await services.read(partial(_in_order, read=read, after=after, limit=limit))


def _in_order(tx: Transaction, read: ReadPart, after: bytes, limit: int) -> Part:
    return read(tx, after, limit)
