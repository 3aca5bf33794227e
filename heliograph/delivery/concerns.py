"""What is done about an endpoint beside delivering to it: ask for its consent, warn its owner, disable it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import msgspec

from heliograph.delivery import policy
from heliograph.delivery.channels import Channel
from heliograph.delivery.outcome import OURS, Outcome
from heliograph.delivery.rendering import Consent, consent_headers, read_consent
from heliograph.delivery.settling import TIMED_OUT, Rules, concern
from heliograph.delivery.transfer import Attempt, Sending
from heliograph.endpoints import faring
from heliograph.endpoints.model import Health
from heliograph.errors import Refusal
from heliograph.ids import Secret
from heliograph.storage.engine import Transaction
from heliograph.storage.store import Settled, Store
from heliograph.tenancy.access import as_system

log = logging.getLogger(__name__)

Later = Callable[[Callable[[], None]], None]
"""Has something done on the worker's thread."""


class Concerns:
    """Writes in transactions of its own, and has the worker told of what came of them."""

    def __init__(
        self, database: Store, rules: Rules, sender: Sending, origin: str, later: Later,
        changed: Callable[[Channel], None],
    ) -> None:  # fmt: skip
        self._database = database
        self._rules = rules
        self._sender = sender
        self._origin = origin
        self._later = later
        self._changed = changed
        self.writing = 0
        """Transactions under way, as far as the worker's thread has been told."""

    def deliver(self, settled: Settled) -> None:
        """Take what became of transactions; called by a writer of the store."""
        for settle, succeeded, value in settled:
            self._later(partial(self._settle, settle, succeeded, value))

    def _settle(self, settle: Callable[[bool, Any], None], succeeded: bool, value: Any) -> None:
        self.writing -= 1
        settle(succeeded, value)

    # -- warning and disabling ---------------------------------------------------------------------------------------

    def take_up(self, channel: Channel, now: int) -> None:
        """Do what is called for with an endpoint that has just been read."""
        if channel.health.gone_at is not None:
            # Whoever was told so did not live to disable it, or could not.
            self.see_to(channel, now)
        else:
            self._ask(channel)

    def see_to(self, channel: Channel, now: int) -> None:
        """Do what is called for after failed attempts."""
        wanted = concern(self._rules, channel.health, now)
        if wanted is None or channel.leaving:
            return
        owner_id, uid = channel.owner_id, channel.endpoint.uid
        if wanted == "warn":
            self._write(partial(_warn, owner_id=owner_id, uid=uid), [owner_id], partial(self._warned, channel))
            return
        channel.leaving = True
        reason = "gone" if wanted == "gone" else "failing"
        try:
            tenants = self._database.read(partial(faring.touched, owner_id=owner_id))
        except Refusal:
            channel.leaving = False
            return
        step = partial(_give_up, owner_id=owner_id, uid=uid, tenants=tenants, reason=reason)
        self._write(step, tenants, partial(self._gave_up, channel))

    def _write(self, step: Callable[[Transaction], Any], tenants: Sequence[int], settle: Any) -> None:
        self.writing += 1
        try:
            self._database.write(step, settle, self, tenants)
        except Refusal as refusal:
            self._settle(settle, False, refusal)

    def _warned(self, channel: Channel, succeeded: bool, value: Any) -> None:
        if not succeeded:
            log.error("an endpoint's owner could not be warned: %r", value)
        elif value is not None:
            channel.health = value

    def _gave_up(self, channel: Channel, succeeded: bool, value: Any) -> None:
        if not succeeded:
            log.error("an endpoint could not be disabled: %r", value)
        if not succeeded or not value:
            channel.leaving = False
        else:
            # What is read of it next says that it is disabled.
            channel.read_at = 0
        self._changed(channel)

    # -- consent -----------------------------------------------------------------------------------------------------

    def _ask(self, channel: Channel) -> None:
        """Ask for a receiver's consent, where it is wanted and not under way or had."""
        if channel.has_consent or channel.consent == "asked":
            return
        channel.consent = "asked"
        secrets = channel.secrets
        attempt = Attempt(
            key="consent",
            tenant_uid=channel.owner_uid,
            destination=channel.destination,
            headers=(*consent_headers(channel.endpoint, self._origin), *secrets.headers),
            method="OPTIONS",
            timeout=channel.endpoint.settings.timeout,
            ca=secrets.ca,
            certificate=secrets.client_certificate,
            private_key=None if secrets.client_key is None else Secret(secrets.client_key),
        )
        self._sender.send(attempt, partial(self._answered, channel, channel.endpoint.url))

    def _answered(self, channel: Channel, url: str, outcome: Outcome) -> None:
        """Take the answer of the receiver that was asked at that URL; called on the sender's thread."""
        self._later(partial(self._judge, channel, url, outcome))

    def _judge(self, channel: Channel, url: str, outcome: Outcome) -> None:
        if channel.endpoint.url != url:
            return  # another receiver is asked by now
        consent = read_consent(outcome.headers, self._origin)
        if outcome.outcome in OURS:
            channel.consent = "unknown"
        elif consent.given or channel.endpoint.settings.consent == "required":
            change = partial(_consented, consent) if consent.given else partial(_refused, outcome)
            step = partial(_note, owner_id=channel.owner_id, uid=channel.endpoint.uid, url=url, change=change)
            self._write(step, (), partial(self._noted, channel, url, consent.given))
        else:
            channel.consent = "given"
            self._changed(channel)

    def _noted(self, channel: Channel, url: str, given: bool, succeeded: bool, value: Any) -> None:
        if channel.endpoint.url != url:
            return
        noted = succeeded and value is not None
        channel.consent = "given" if given and noted else "unknown"
        if noted:
            channel.health = value
        self._changed(channel)
        if not given:
            self.see_to(channel, self._database.clock.now())


def _warn(tx: Transaction, owner_id: int, uid: bytes) -> Health | None:
    return faring.warn(tx, as_system(tx, owner_id), uid)


def _give_up(tx: Transaction, owner_id: int, uid: bytes, tenants: Sequence[int], reason: Any) -> bool:
    return faring.give_up(tx, as_system(tx, owner_id), uid, tenants, reason)


def _note(
    tx: Transaction, owner_id: int, uid: bytes, url: str, change: Callable[[int, Health], Health]
) -> Health | None:
    return faring.note(tx, as_system(tx, owner_id), uid, partial(change, tx.now), url)


def _consented(consent: Consent, now: int, health: Health) -> Health:
    return msgspec.structs.replace(health, consented_at=now, allowed_rate=consent.per_minute)


def _refused(outcome: Outcome, now: int, health: Health) -> Health:
    """Leave a receiver alone for a while that gave no consent, longer each time, as if it had asked for less."""
    reply = policy.Reply(status=503, timed_out=outcome.outcome in TIMED_OUT)
    last_error = "consent_refused" if outcome.status is not None else outcome.outcome
    return msgspec.structs.replace(policy.after(health, reply, now), last_error=last_error)
