"""Keys that were seen lately, the scopes they opened, and how often wrong ones were tried."""

from __future__ import annotations

import ipaddress
import time

from heliograph.clock import Clock
from heliograph.errors import TooMany, Unauthenticated
from heliograph.tenancy.model import Caller, Scope

FRESH_SECONDS = 5.0
"""How long another process may go on accepting a key that was revoked here (design 5.3)."""

LARGEST_CACHE = 10_000
MINUTE = 60.0

ScopeName = tuple[str, bytes | None, bool]
"""Permission, tenant (None is the key's own), whether the subtree is meant."""


class KnownCaller:
    """A caller as the database last described it, with the scopes that were granted since."""

    __slots__ = ("caller", "loaded_at", "scopes")

    def __init__(self, caller: Caller, loaded_at: float) -> None:
        self.caller = caller
        self.loaded_at = loaded_at
        self.scopes: dict[ScopeName, Scope] = {}


class Callers:
    """A cache of callers by the hash of their token; used by the event loop's thread only."""

    def __init__(self, clock: Clock, requests_per_key: int) -> None:
        self._clock = clock
        self._requests_per_key = requests_per_key
        self._known: dict[bytes, KnownCaller] = {}
        # Apart from what is known of a caller, which every change of rights makes forgotten.
        self._second = 0
        self._requests: dict[bytes, int] = {}
        self.changes = 0
        """How often rights have changed; what was read before the latest change is not kept after it."""

    def find(self, token_hash: bytes) -> KnownCaller | None:
        """Return a caller that is fresh enough to be trusted.

        Raises:
            Unauthenticated: when its key has expired since.
        """
        known = self._known.get(token_hash)
        if known is None:
            return None
        if time.monotonic() - known.loaded_at > FRESH_SECONDS:
            del self._known[token_hash]
            return None
        expires_at = known.caller.expires_at
        if expires_at is not None and expires_at <= self._clock.now():
            raise Unauthenticated("The key is not valid.")
        return known

    def keep(self, token_hash: bytes, caller: Caller, changes: int) -> KnownCaller:
        """Remember a caller that the database has just described, asked when there had been so many `changes`."""
        known = KnownCaller(caller, time.monotonic())
        if changes != self.changes:
            return known
        if len(self._known) >= LARGEST_CACHE:
            self._known.clear()
        self._known[token_hash] = known
        return known

    def forget_all(self) -> None:
        """Drop everything, because rights have changed."""
        self.changes += 1
        self._known.clear()

    def count(self, known: KnownCaller) -> None:
        """Count a request against the key's rate.

        Raises:
            TooMany: when the second's requests are used up.
        """
        if not self._requests_per_key:
            return
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._requests = second, {}
        key = known.caller.credential
        self._requests[key] = self._requests.get(key, 0) + 1
        if self._requests[key] > self._requests_per_key:
            raise TooMany(f"The key may make {self._requests_per_key} requests per second.", retry_after=1)


class WrongKeys:
    """Counts wrong keys per client address and minute, so that guessing costs the database nothing."""

    def __init__(self, per_minute: int) -> None:
        self._per_minute = per_minute
        self._counts: dict[str, tuple[float, int]] = {}

    def refuse_if_too_many(self, address: str) -> None:
        """Raise for an address that has used up its minute.

        Raises:
            TooMany: with the seconds until the minute ends.
        """
        began, count = self._counts.get(address, (0.0, 0))
        left = began + MINUTE - time.monotonic()
        if count >= self._per_minute and left > 0:
            raise TooMany("Too many wrong keys came from this address.", retry_after=int(left) + 1)

    def note(self, address: str) -> None:
        """Count one wrong key."""
        if len(self._counts) >= LARGEST_CACHE:
            self._counts.clear()
        now = time.monotonic()
        began, count = self._counts.get(address, (now, 0))
        self._counts[address] = (began, count + 1) if now - began < MINUTE else (now, 1)


class ClientAddress:
    """Tells who is really asking when trusted proxies stand in between."""

    def __init__(self, trusted_proxies: str) -> None:
        self._trusted = [ipaddress.ip_network(part.strip()) for part in trusted_proxies.split(",") if part.strip()]

    def of(self, peer: str, forwarded_for: str) -> str:
        """Return the peer, or the last address in X-Forwarded-For that no trusted proxy has."""
        address = peer
        hops = forwarded_for.split(",") if forwarded_for else []
        while hops and self.is_trusted(address):
            address = hops.pop().strip()
        return address

    def is_trusted(self, address: str) -> bool:
        """Tell whether an address is that of a trusted proxy."""
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(parsed in network for network in self._trusted)
