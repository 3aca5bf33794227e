"""What must be in the log, held against what is there: for every player, lock and account, by type of event."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from heliograph.simulation.api import Api, ask

_EVENTS = "/v1/events"
_PAGE = 1000
_IMPORTED = "Device.ProvisioningRecipeCreated"


class Ledger:
    """Counts the events that steps must lead to, and those that the log has, from one moment on.

    Events about nobody who plays are not counted.
    """

    def __init__(self, api: Api) -> None:
        """Begin after the newest event that there is.

        Raises:
            Unexpected: when the log may not be read.
        """
        self.expected: Counter[tuple[str, str]] = Counter()
        self.found: Counter[tuple[str, str]] = Counter()
        self._api = api
        self._actors: dict[str, str] = {}
        newest = ask(api, "GET", _EVENTS, {"from": "1970-01-01T00:00:00Z", "limit": 1})["data"]
        self._seq = newest[0]["seq"] if newest else -1
        self._query = {
            "from": newest[0]["recordedAt"] if newest else "1970-01-01T00:00:00Z", "order": "asc", "limit": _PAGE,
        }  # fmt: skip
        self._cursor: str | None = None

    def know(self, uid: str, actor: str) -> None:
        """Note that events about `uid` are about that actor."""
        self._actors[uid] = actor

    def expect(self, actor: str, types: Iterable[str]) -> None:
        """Note events that must be in the log."""
        self.expected.update((actor, type_name) for type_name in types)

    def read(self) -> None:
        """Count what the log has got since it was last read."""
        while True:
            page = ask(self._api, "GET", _EVENTS, {**self._query, "cursor": self._cursor})
            self._cursor = page["nextCursor"]
            for event in page["data"]:
                actor = self._actor(event) if event["seq"] > self._seq else None
                if actor is not None:
                    self.found[actor, event["type"]] += 1
            if not page["data"]:
                return

    def _actor(self, event: dict[str, object]) -> str | None:
        payload = event.get("payload")
        device = payload.get("device_id") if isinstance(payload, dict) else None
        target = str(device).replace("-", "") if device else str(event["targetEntityId"])
        actor = self._actors.get(target)
        # That a recipe was made is the import's doing, all else its device's.
        return "fleet" if actor is not None and event["type"] == _IMPORTED else actor

    def by_type(self, shared: Iterable[str] = ()) -> dict[str, tuple[int, int]]:
        """Return, for each type, how many events must be there and how many are; `shared` actors are left out."""
        left_out = set(shared)
        totals: dict[str, list[int]] = {}
        for place, counts in enumerate((self.expected, self.found)):
            for (actor, type_name), count in counts.items():
                if actor not in left_out:
                    totals.setdefault(type_name, [0, 0])[place] += count
        return {name: (one, other) for name, (one, other) in sorted(totals.items()) if one or other}

    def faults(self, shared: Iterable[str] = ()) -> list[str]:
        """Say of whom the log tells too much or too little; `shared` actors are left out."""
        left_out = set(shared)
        return [
            f"{actor}: the log has {self.found[actor, name]} events {name}, expected were {self.expected[actor, name]}"
            for actor, name in sorted(self.expected.keys() | self.found.keys())
            if actor not in left_out and self.expected[actor, name] != self.found[actor, name]
        ]
