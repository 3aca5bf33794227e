"""The bridge between the event loop and the synchronous core: reads in threads, writes in groups, scopes at hand."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from heliograph.catalog.types import TenantTypes
from heliograph.clock import MICROSECONDS
from heliograph.delivery.counters import Counters
from heliograph.errors import Invalid
from heliograph.eventlog.bodies import BodyCache
from heliograph.eventlog.follower import IndexFollower
from heliograph.eventlog.submission import EventLimits
from heliograph.eventlog.upkeep import Upkeep
from heliograph.http.callers import Callers, ClientAddress, KnownCaller, WrongKeys
from heliograph.http.messages import Request, Response
from heliograph.http.metrics import HttpMetrics
from heliograph.http.waiting import Waiters
from heliograph.ids import Uid, new_uid, parse_uid
from heliograph.jobs.model import JobKind
from heliograph.jobs.runner import Runner
from heliograph.provisioning.recipes import parse_demands
from heliograph.publish import Answer, Identity, Preparer, Submission, once
from heliograph.settings import Settings
from heliograph.storage.engine import Transaction
from heliograph.storage.sealing import Sealer
from heliograph.storage.store import Settled, Store
from heliograph.tenancy.access import authenticate, require
from heliograph.tenancy.model import Caller, Scope

if TYPE_CHECKING:
    from heliograph.http.routes import Route

T = TypeVar("T")

BODY_CACHE_BYTES = 16 * 2**20
"""Memory for pages of events that are likely to be asked for again."""


class LoopReplies:
    """Hands a whole group's results to its waiting futures, waking the loop once."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def deliver(self, settled: Settled) -> None:
        """Called by a writer thread."""
        self._loop.call_soon_threadsafe(_settle, settled)


def _settle(settled: Settled) -> None:
    for future, succeeded, value in settled:
        # A waiter that gave up must not keep the rest of its group from their answers.
        if future.done():
            continue
        if succeeded:
            future.set_result(value)
        else:
            future.set_exception(value)


class Services:
    """What the handlers work with; one for each event loop."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        sealer: Sealer,
        follower: IndexFollower,
        upkeep: Upkeep,
        runner: Runner,
        jobs: Mapping[str, JobKind],
        deliveries: Counters,
        routes: Sequence[Route],
    ) -> None:
        self.settings = settings
        self.store = store
        self.sealer = sealer
        self.follower = follower
        self.upkeep = upkeep
        self.runner = runner
        self.jobs = jobs
        self.deliveries = deliveries
        self.brand_demands = parse_demands(settings.brand_demands)
        self.instance_uid = new_uid().hex()
        """Names this process in the events of the connections that it takes up."""
        self.callers = Callers(store.clock, settings.requests_per_key)
        self.wrong_keys = WrongKeys(settings.wrong_keys_per_minute)
        self.addresses = ClientAddress(settings.trusted_proxies)
        self.preparer = Preparer()
        self.types = TenantTypes()
        self.bodies = BodyCache(BODY_CACHE_BYTES)
        self.operations = Waiters()
        """Connectors that wait for operations."""
        self.large_work = asyncio.Semaphore(1)
        """Held while a large body is taken apart, which needs several times its size in memory."""
        self.metrics = HttpMetrics()
        self.routes = routes
        self.openapi: bytes | None = None
        """The description of the API, made when it is first asked for; it cannot change while the process runs."""
        self.event_limits = EventLimits(
            settings.event_bytes,
            settings.payload_bytes,
            settings.occurred_ahead * MICROSECONDS,
            settings.occurred_behind * MICROSECONDS,
        )
        self._loop = asyncio.get_running_loop()
        self._replies = LoopReplies(self._loop)

    async def read(self, function: Callable[[Transaction], T]) -> T:
        """Run a function over one snapshot, in a reading thread."""
        return await self._loop.run_in_executor(self.store.reader_pool, self.store.read, function)

    async def compute(self, function: Callable[[], T]) -> T:
        """Run a function that needs no database but much time, in a reading thread."""
        return await self._loop.run_in_executor(self.store.reader_pool, function)

    async def write(self, function: Callable[[Transaction], T], tenants: Sequence[int] = ()) -> T:
        """Run a function in the next group and return its result after the commit."""
        future: asyncio.Future[T] = self._loop.create_future()
        self.store.write(function, future, self._replies, tenants)
        return await future

    async def submit(self, submission: Submission) -> Answer:
        """Put events into the next group and return its answer after the commit.

        Raises:
            TooLarge: when they would make more deliveries than one request may.
        """
        future: asyncio.Future[Answer] = self._loop.create_future()
        weight = max(1, len(submission.events))
        self.store.append(submission.scope.tenant_id, submission, future, self._replies, weight)
        answer = await future
        if answer.refusal is not None:
            raise answer.refusal
        return answer

    async def known_caller(self, token_hash: bytes) -> KnownCaller:
        """Find out who holds a token, asking the database at most every few seconds."""
        known = self.callers.find(token_hash)
        if known is None:
            changes = self.callers.changes
            caller = await self.read(partial(authenticate, token_hash=token_hash))
            known = self.callers.keep(token_hash, caller, changes)
        return known

    async def scope(
        self, known: KnownCaller, permission: str, tenant_uid: str | None = None, *, subtree: bool = False
    ) -> Scope:
        """Return the caller's right in a tenant; see `tenancy.access.require`."""
        uid = None if tenant_uid is None else parse_uid(tenant_uid, "query/tenantUid")
        name = (permission, uid, subtree)
        scope = known.scopes.get(name)
        if scope is None:
            scope = await self.read(
                partial(_require, caller=known.caller, permission=permission, uid=uid, subtree=subtree)
            )
            known.scopes[name] = scope
        return scope

    def tell_of(self, error: Exception, request_id: str) -> None:
        """Record a failure of the platform in its log; what the error says stays in the program's own log."""
        tell = partial(self.upkeep.technical_error, "request", f"A request failed: {type(error).__name__}.", request_id)
        self._loop.run_in_executor(self.store.reader_pool, tell)

    def rights_changed(self) -> None:
        """Forget what was known of callers, so that a change holds for the very next request."""
        self.callers.forget_all()


def _require(tx: Transaction, caller: Caller, permission: str, uid: Uid | None, subtree: bool) -> Scope:
    return require(tx, caller, permission, uid, subtree=subtree)


def request_identity(request: Request) -> Identity | None:
    """Return by what a repeat of this request is known: key, route and `Idempotency-Key`, if one was sent.

    Raises:
        Invalid: when the header is empty, longer than 255 characters or not printable ASCII.
    """
    value = request.header(b"idempotency-key")
    if value is None:
        return None
    if not 0 < len(value) <= 255 or not value.isprintable():
        raise Invalid.at("header/idempotency-key", "length", "An Idempotency-Key has 1 to 255 printable characters.")
    caller = request.caller.credential
    route = f"{request.scope['method']} {request.scope['path']}".encode()
    content_type = (request.header(b"content-type") or "").encode()
    key = hashlib.sha256(b"\0".join((b"request", caller, route, value.encode()))).digest()
    query = request.scope["query_string"]
    # The attributes of a CloudEvent in binary mode are headers, and as much a part of it as the body.
    attributes = sorted(b"%b: %b" % field for field in request.scope["headers"] if field[0].startswith(b"ce-"))
    parts = (content_type, query, *attributes, request.body)
    content = hashlib.sha256(b"".join(b"%d:%b" % (len(part), part) for part in parts)).digest()
    # A body may hold a claim code: with the bare hash, whoever reads the database could guess it at leisure.
    return Identity(key, request.services.sealer.mark(content))


async def change(
    request: Request,
    scope: Scope,
    act: Callable[[Transaction], tuple[bytes, bytes]],
    others: Sequence[Scope | int] = (),
    status: int = 201,
) -> Response:
    """Carry out a creation once, however often it is sent with the same `Idempotency-Key`.

    `act` returns the body to answer and the body to keep for repeats, which must hold no secret. `others` are the
    tenants beside the scope's whose logs it writes to, or must lock. `status` is that of the first answer; a
    repeat has 200.

    Raises:
        Conflict: when the key came before with another request.
    """
    identity = request_identity(request)
    numbers = (other if isinstance(other, int) else other.tenant_id for other in others)
    tenants = [scope.tenant_id, *numbers]
    fresh, body = await request.services.write(partial(once, scope=scope, identity=identity, act=act), tenants)
    return Response(status if fresh else 200, body)
