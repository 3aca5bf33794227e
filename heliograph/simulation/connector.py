"""A connector that fetches operations by long poll, and keeps them until the plan says what becomes of them."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

from heliograph.simulation.api import Api, Stopped, ask

WAIT_SECONDS = 2
"""How long one request for operations stays open, and so how long it takes at most to end."""


class Connector:
    """Asks for operations in a thread of its own, over a connection of its own."""

    def __init__(self, api: Api, account_uids: Sequence[str]) -> None:
        self._api = api
        self._query = {"wait": WAIT_SECONDS, "limit": 100, "connectedAccountUid": list(account_uids)}
        self._offered: dict[str, dict[str, Any]] = {}
        self._change = threading.Condition()
        self._failure: Exception | None = None
        self._ending = False
        self._thread = threading.Thread(target=self._run, name="connector", daemon=True)

    def start(self) -> None:
        """Begin to ask."""
        self._thread.start()

    def stop(self) -> None:
        """Ask no more, and wait for the last answer."""
        self._ending = True
        if self._thread.is_alive():
            self._thread.join()

    def wait_for(self, uid: str, seconds: float) -> dict[str, Any] | None:
        """Return the operation once the connector has been offered it, None when that takes too long.

        Raises:
            Exception: what put an end to the connector.
        """
        with self._change:
            self._change.wait_for(lambda: uid in self._offered or self._failure, seconds)
            self._check()
            return self._offered.pop(uid, None)

    def others(self, ours: set[str]) -> list[dict[str, Any]]:
        """Return, and forget, the operations that are none of ours: somebody else asked for them.

        Raises:
            Exception: what put an end to the connector.
        """
        with self._change:
            self._check()
            return [self._offered.pop(uid) for uid in [*self._offered] if uid not in ours]

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        try:
            while not self._ending:
                operations = ask(self._api, "GET", "/v1/device-operations", self._query)["data"]
                with self._change:
                    self._offered |= {operation["uid"]: operation for operation in operations}
                    self._change.notify_all()
        except Stopped:
            return
        except Exception as error:
            # It is told to whoever plays, in whose thread it can end the play.
            with self._change:
                self._failure = error
                self._change.notify_all()
