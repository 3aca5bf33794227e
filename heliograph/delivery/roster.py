"""The endpoints that a worker knows: read when something is due for them, and again when they were changed."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from functools import partial

from heliograph.clock import MICROSECONDS
from heliograph.delivery.channels import Channel
from heliograph.delivery.guard import read_url
from heliograph.delivery.model import Prospect
from heliograph.delivery.turn import Offer
from heliograph.endpoints import faring
from heliograph.endpoints.model import Endpoint, EndpointSecrets
from heliograph.endpoints.sealed import unseal
from heliograph.errors import Refusal
from heliograph.ids import Uid
from heliograph.storage.engine import Transaction
from heliograph.storage.sealing import Sealer
from heliograph.storage.store import Store
from heliograph.tenancy.access import as_system
from heliograph.tenancy.model import Scope

log = logging.getLogger(__name__)

FRESH = 10 * MICROSECONDS
"""How long what was read of an endpoint is believed: how it fares is changed by other processes, too."""

LEAVING = 5 * MICROSECONDS
"""How long an endpoint is left alone that is being disabled."""

KEPT = 300 * MICROSECONDS
"""How long an endpoint is known after something was last due for it: it may be gone since, and has secrets."""


class Roster:
    """The channels of a worker, by the uid of their endpoint."""

    def __init__(self, database: Store, sealer: Sealer) -> None:
        self._database = database
        self._sealer = sealer
        self._channels: dict[bytes, Channel] = {}
        self._unusable: dict[bytes, Offer] = {}
        self._learned_at: dict[bytes, int] = {}
        """When each of them was last read, the one first that was read the longest ago."""

    def __iter__(self) -> Iterator[Channel]:
        return iter(list(self._channels.values()))

    def channel(self, uid: bytes) -> Channel:
        """Return the channel of an endpoint that an offer was made for."""
        return self._channels[uid]

    def offer(self, uid: bytes, now: int) -> Offer | None:
        """Return for how much an endpoint has room, None when it must be read first; may be called on any thread."""
        unusable, channel = self._unusable.get(uid), self._channels.get(uid)
        if unusable is not None or channel is None:
            return unusable
        is_asked = channel.consent != "unknown" or channel.has_consent or channel.is_held(now)
        return _offer(channel, now) if is_asked and channel.read_at + FRESH > now else None

    def learn(self, strangers: Sequence[Prospect], now: int) -> list[Channel]:
        """Read endpoints, and return their channels; one that is no more is forgotten at once.

        When the database cannot be read nothing is learned: they stay strangers.
        """
        try:
            read = self._database.read(partial(self._read, strangers=strangers))
        except Refusal as refusal:
            log.warning("endpoints could not be read: %s", refusal.detail)
            return []
        found = []
        for one, owner, endpoint in read:
            if endpoint is None:
                self._drop(one.endpoint_uid)
                continue
            self._keep(one.endpoint_uid, now)
            try:
                channel = self._know(owner, endpoint)
            except Exception:
                # A master key that does not open it, or a URL from before a rule: nobody else must suffer for it.
                log.exception("the endpoint %s cannot be used", one.endpoint_uid.hex())
                self._unusable[one.endpoint_uid] = Offer(one.version, 0, 0, False, 0)
                continue
            self._unusable.pop(one.endpoint_uid, None)
            channel.read_at = now
            found.append(channel)
        return found

    def forget(self, now: int) -> None:
        """Forget the endpoints for which nothing was due for a while, and nothing is under way."""
        while self._learned_at:
            uid, learned_at = next(iter(self._learned_at.items()))
            if learned_at + KEPT > now:
                return
            channel = self._channels.get(uid)
            if channel is not None and channel.is_busy:
                self._keep(uid, now)
            else:
                self._drop(uid)

    def _keep(self, uid: bytes, now: int) -> None:
        self._learned_at.pop(uid, None)
        self._learned_at[uid] = now

    def _drop(self, uid: bytes) -> None:
        for known in (self._channels, self._unusable, self._learned_at):
            known.pop(uid, None)

    def _read(
        self, tx: Transaction, strangers: Sequence[Prospect]
    ) -> list[tuple[Prospect, Scope, Endpoint | None]]:  # fmt: skip
        owners = {owner_id: as_system(tx, owner_id) for owner_id in {one.owner_id for one in strangers}}
        return [
            (one, owners[one.owner_id], faring.find(tx, owners[one.owner_id], one.endpoint_uid)) for one in strangers
        ]

    def _know(self, owner: Scope, endpoint: Endpoint) -> Channel:
        channel = self._channels.get(endpoint.uid)
        if channel is not None and channel.endpoint.version == endpoint.version:
            channel.health = endpoint.health
            return channel
        secrets: EndpointSecrets = unseal(self._sealer, owner.tenant_id, endpoint)
        destination = read_url(endpoint.url, "/url")
        if channel is None:
            owner_uid = Uid(bytes.fromhex(owner.tenant_uid))
            channel = Channel(owner.tenant_id, owner_uid, endpoint, secrets, destination)
            self._channels[endpoint.uid] = channel
        else:
            channel.learn(endpoint, secrets, destination)
        return channel


def _offer(channel: Channel, now: int) -> Offer:
    held_until = now + LEAVING if channel.is_leaving else channel.health.slowed_until or 0
    settings = channel.endpoint.settings
    return Offer(
        channel.endpoint.version, channel.room(now), channel.lease, settings.ordering == "entity", held_until
    )  # fmt: skip
