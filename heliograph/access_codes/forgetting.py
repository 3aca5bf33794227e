"""What follows for its codes when a lock leaves, or its account does: they go, and the log says so."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from heliograph import publish
from heliograph.access_codes import events, managed_events, store
from heliograph.access_codes.actions import MOST_AT_ONCE, REMOVAL_JOB
from heliograph.access_codes.model import AccessCode, Footing
from heliograph.access_codes.telling import occurrence, remove_codes
from heliograph.devices.model import CustomMetadata
from heliograph.ids import as_hex
from heliograph.jobs import actions as jobs
from heliograph.jobs.model import Advance, Chunk, JobContext, JobKind
from heliograph.storage.engine import Transaction
from heliograph.tenancy.access import as_system
from heliograph.tenancy.model import Scope

CODES_AT_ONCE = 40
"""Codes of one transaction of the job."""


class _Order(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Where codes stood that are to go: with its custom metadata, which may be gone by then."""

    device_uid: str
    device_metadata: CustomMetadata
    account_uid: str
    account_metadata: CustomMetadata


def forget_codes(tx: Transaction, scope: Scope, footing: Footing) -> None:
    """Remove the codes of a lock that loses its account or leaves; a job does many of them.

    The events say where the codes were before that.
    """
    if forget_some(tx, scope, footing, MOST_AT_ONCE) == MOST_AT_ONCE:
        order = _Order(
            device_uid=as_hex(footing.device_uid), device_metadata=footing.device_metadata,
            account_uid=as_hex(footing.account_uid), account_metadata=footing.account_metadata,
        )  # fmt: skip
        parameters = msgspec.to_builtins(order)
        # The platform's own work: a lock must be able to leave however much else there is to do.
        jobs.start(tx, as_system(tx, scope.tenant_id), REMOVAL_JOB, parameters, limited=False)


def forget_some(tx: Transaction, scope: Scope, footing: Footing, limit: int) -> int:
    """Remove at most `limit` codes of a lock, each with its event, and end its reports; return how many."""
    _end_reports(tx, scope, footing.device_uid)
    codes = store.some_codes_on(tx, scope, footing.device_uid, limit)
    remove_codes(tx, scope, [code.uid for code in codes])
    publish.record_all(tx, scope, [_gone(scope, footing, code) for code in codes])
    return len(codes)


def forget_lock(tx: Transaction, scope: Scope, device_uid: bytes) -> None:
    """Forget how far the reports of a lock have come that never returns under its uid."""
    store.delete_lock(tx, scope, device_uid)


def _gone(scope: Scope, footing: Footing, code: AccessCode) -> publish.Occurrence:
    if code.managed:
        return occurrence(scope, managed_events.ACCESS_CODE_DELETED, code.uid, footing, None, code=None)
    return occurrence(scope, events.UNMANAGED_REMOVED, code.uid, footing, None)


def _end_reports(tx: Transaction, scope: Scope, device_uid: bytes) -> None:
    """Overtake the reports that jobs have still to apply."""
    lock = store.find_lock(tx, scope, device_uid)
    if lock is not None:
        version = lock.version + 1
        ended = msgspec.structs.replace(lock, version=version, complete_version=version)
        store.save_lock(tx, scope, device_uid, ended)


class _RemovalChunk:
    """Some of the codes; `more` tells afterwards whether there may be others."""

    def __init__(self, footing: Footing, done: int) -> None:
        self._footing = footing
        self._before = done
        self.done = done
        self.more = True

    def apply(self, tx: Transaction, scope: Scope) -> Advance:
        """Remove the next codes, which are what is counted."""
        removed = forget_some(tx, scope, self._footing, CODES_AT_ONCE)
        self.done = self._before + removed
        self.more = removed == CODES_AT_ONCE
        return Advance(position=None, done=self.done)


def _chunks(context: JobContext) -> Iterator[Chunk]:
    order = msgspec.convert(context.job.parameters, _Order)
    footing = Footing(
        device_uid=bytes.fromhex(order.device_uid), device_metadata=order.device_metadata,
        account_uid=bytes.fromhex(order.account_uid), account_metadata=order.account_metadata,
    )  # fmt: skip
    done, more = context.job.done, True
    while more:
        chunk = _RemovalChunk(footing, done)
        yield chunk
        done, more = chunk.done, chunk.more


FORGETTING = JobKind(
    name=REMOVAL_JOB,
    read="read access_code.tenant",
    change="delete access_code.tenant",
    open=_chunks,
    cancellable=False,
)
"""The job that goes on where `forget_codes` stopped."""
