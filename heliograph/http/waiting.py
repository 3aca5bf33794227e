"""Requests that wait for something to happen in their tenant."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

LOOK_AGAIN = 1.0
"""Seconds after which a request that waits looks by itself: other processes wake nobody here, nor does time."""


class Waiters:
    """Wakes the requests that wait in a tenant; used by the event loop's thread only."""

    def __init__(self) -> None:
        self._signals: dict[int, asyncio.Event] = {}
        self.closing = False

    def notice(self, tenant_id: int) -> None:
        """Wake all that wait in a tenant."""
        signal = self._signals.pop(tenant_id, None)
        if signal is not None:
            signal.set()

    def close(self) -> None:
        """Wake everybody for good, because the server ends."""
        self.closing = True
        for tenant_id in list(self._signals):
            self.notice(tenant_id)

    def signal(self, tenant_id: int) -> asyncio.Event:
        """Return what is set at the next notice; to be asked for before looking, lest a notice between be missed."""
        return self._signals.setdefault(tenant_id, asyncio.Event())

    async def wait(self, signal: asyncio.Event, seconds: float, gone: asyncio.Task[None]) -> None:
        """Return when something may have happened, `seconds` are over, or the client is gone."""
        woken = asyncio.ensure_future(signal.wait())
        try:
            await asyncio.wait((woken, gone), timeout=min(seconds, LOOK_AGAIN), return_when=asyncio.FIRST_COMPLETED)
        finally:
            woken.cancel()


async def until_gone(receive: Callable[[], Awaitable[MutableMapping[str, Any]]]) -> None:
    """Return when the client of a request without a body has left."""
    while (await receive())["type"] != "http.disconnect":
        pass
