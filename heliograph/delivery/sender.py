"""The only way out: requests to URLs that tenants gave, by libcurl, all of them on one thread.

Each attempt looks its host up once, has every answer checked, and connects to a checked address; see `guard`. Nothing
waits for anybody else: names are looked up in threads of their own, everything else is an event of the one loop.
"""

from __future__ import annotations

import heapq
import logging
import re
import resource
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import pycurl

from heliograph.delivery.guard import Address, AddressRefused, Networks, check, read_url
from heliograph.delivery.outcome import Outcome, OutcomeClass
from heliograph.delivery.resolver import Answer, Resolver
from heliograph.delivery.transfer import Attempt, Transfer, clear, prepare
from heliograph.errors import CannotStart, Invalid
from heliograph.ids import Secret

__all__ = ["Attempt", "Sender"]

log = logging.getLogger(__name__)

IDLE_CONNECTIONS = 1024
IDLE_SHARE = 4  # they take up this part of the descriptors that the process may have, or less
SPARE_HANDLES = 256
KNOWN_ADDRESSES = 4096

_PROXY = re.compile(r"(https?|socks5)://(([A-Za-z0-9_.~!$&'()*+,;=:-]|%[0-9A-Fa-f]{2})*@)?(?P<place>[^@]+)")


@dataclass(slots=True)
class _Deadline:
    """When an attempt no longer waits for its name; emptied when it need not."""

    moment: float
    transfer: Transfer | None
    answer: Answer | None

    def __lt__(self, other: _Deadline) -> bool:
        return self.moment < other.moment


class Sender:
    """Makes requests; `send` may be called on any thread."""

    def __init__(
        self, networks: Networks, proxy: Secret | None = None, resolver: Resolver | None = None, *,
        https_only: bool = False,
    ) -> None:  # fmt: skip
        """Start the thread; `proxy` is the URL of an http, https or socks5 proxy that all requests go through.

        Raises:
            CannotStart: when `proxy` is no such URL.
        """
        if proxy is not None and not _is_proxy(proxy.reveal()):
            raise CannotStart("delivery_proxy must be a URL such as http://proxy.example:3128.")
        # Only what may be reached is remembered, and what may depends on nothing else.
        self._check = lru_cache(KNOWN_ADDRESSES)(partial(check, networks=networks))
        self._proxy = proxy
        self._https_only = https_only
        self._resolver = resolver or Resolver()
        # Shared with other threads: these queues, the lock, and the socket a byte in which wakes the loop.
        self._new: deque[tuple[Attempt, Callable[[Outcome], None]]] = deque()
        self._answers: deque[tuple[Transfer, tuple[Address, ...] | OSError]] = deque()
        self._lock = threading.Lock()
        self._open = True
        self._woken = False
        self._stop_at: float | None = None
        self._ear, self._mouth = socket.socketpair()
        self._ear.setblocking(False)
        self._mouth.setblocking(False)
        # The loop's own.
        self._resolving: dict[Transfer, _Deadline] = {}
        self._deadlines: list[_Deadline] = []  # a heap, with what has been resolved meanwhile still in it, but empty
        self._active: dict[Any, Transfer] = {}
        self._spare: list[Any] = []
        self._watched: set[int] = set()
        self._timer: float | None = None
        self._thread = threading.Thread(target=self._run, name="sender", daemon=True)
        self._thread.start()

    def send(self, attempt: Attempt, done: Callable[[Outcome], None]) -> None:
        """Make one request; `done` is called once with what came of it.

        `done` runs on the sender's thread, which carries all requests: it must not block. After `close` it is called
        at once, with the class shutdown.
        """
        with self._lock:
            if self._open:
                self._new.append((attempt, done))
                self._wake()
                return
        done(Outcome(key=attempt.key, outcome="shutdown", message="The sender is closed."))

    def close(self, drain: float = 0.0) -> None:
        """Take nothing more, wait up to `drain` seconds for what is under way, cancel the rest, end the thread."""
        with self._lock:
            self._open = False
            self._stop_at = time.monotonic() + drain
            self._wake()
        self._thread.join()
        self._resolver.close()

    def _wake(self) -> None:
        if self._woken:  # the loop has not yet looked at what came since
            return
        self._woken = True
        with suppress(OSError):  # full: the loop is about to wake anyway; closed: it has ended
            self._mouth.send(b"\0")

    # -- the loop ----------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        with self._ear, self._mouth:
            while not self._finished():
                with selectors.DefaultSelector() as self._selector, closing(self._make_multi()) as self._multi:
                    self._watched.clear()
                    self._selector.register(self._ear, selectors.EVENT_READ)
                    try:
                        while not self._finished():
                            self._turn()
                        self._abandon("shutdown", "The platform was stopped before the answer was complete.")
                    except Exception:
                        log.exception("the sender failed and begins anew")
                        self._abandon("sender_failed", "The sender failed.")

    def _finished(self) -> bool:
        if self._stop_at is None:
            return False
        return time.monotonic() >= self._stop_at or not (self._new or self._resolving or self._active)

    def _make_multi(self) -> Any:
        # Its select() knows no descriptor above 1,023, hence the socket interface and a selector of our own.
        multi = pycurl.CurlMulti()
        multi.setopt(pycurl.M_SOCKETFUNCTION, self._watch)
        multi.setopt(pycurl.M_TIMERFUNCTION, self._set_timer)
        multi.setopt(pycurl.M_MAXCONNECTS, _most_idle())
        return multi

    def _turn(self) -> None:
        for key, events in self._selector.select(self._patience()):
            if key.fileobj is self._ear:
                with suppress(BlockingIOError):
                    self._ear.recv(4096)
                self._woken = False
                continue
            readable = pycurl.CSELECT_IN if events & selectors.EVENT_READ else 0
            writable = pycurl.CSELECT_OUT if events & selectors.EVENT_WRITE else 0
            self._multi.socket_action(key.fd, readable | writable)
        if self._timer is not None and self._timer <= time.monotonic():
            self._timer = None
            self._multi.socket_action(pycurl.SOCKET_TIMEOUT, 0)
        self._settle()
        while self._new:
            self._begin(Transfer(*self._new[0]))
            self._new.popleft()  # not before: whatever fails in here, each attempt is told its end
        while self._answers:
            self._use(*self._answers.popleft())
        while self._deadlines and self._deadlines[0].moment <= time.monotonic():
            self._give_up(heapq.heappop(self._deadlines))

    def _patience(self) -> float | None:
        """Return how many seconds may pass before the loop has to turn."""
        moments = [moment for moment in (self._timer, self._stop_at) if moment is not None]
        if self._deadlines:
            moments.append(self._deadlines[0].moment)
        return max(0.0, min(moments) - time.monotonic()) if moments else None

    def _watch(self, event: int, descriptor: int, multi: object, data: object) -> None:
        """Watch a socket as libcurl says."""
        known = descriptor in self._watched
        if event == pycurl.POLL_REMOVE:
            if known:
                self._watched.remove(descriptor)
                self._selector.unregister(descriptor)
            return
        self._watched.add(descriptor)
        readable = selectors.EVENT_READ if event & pycurl.POLL_IN else 0
        writable = selectors.EVENT_WRITE if event & pycurl.POLL_OUT else 0
        change = self._selector.modify if known else self._selector.register
        change(descriptor, readable | writable)

    def _set_timer(self, milliseconds: int) -> None:
        """Remember when libcurl wants to be called, whatever happens on its sockets."""
        self._timer = None if milliseconds < 0 else time.monotonic() + milliseconds / 1000

    # -- one attempt -------------------------------------------------------------------------------------------------

    def _begin(self, transfer: Transfer) -> None:
        attempt = transfer.attempt
        if self._https_only and attempt.destination.scheme != "https":
            self._tell(transfer, transfer.failed("address_refused", "Only https is allowed here."))
            return
        if attempt.destination.address is not None:
            self._connect(transfer, (attempt.destination.address,))
            return

        def answer(found: tuple[Address, ...] | OSError) -> None:
            self._answers.append((transfer, found))
            self._wake()

        deadline = _Deadline(transfer.deadline, transfer, answer)
        self._resolving[transfer] = deadline
        heapq.heappush(self._deadlines, deadline)
        self._resolver.resolve(attempt.destination.host, attempt.tenant_uid, answer)

    def _use(self, transfer: Transfer, found: tuple[Address, ...] | OSError) -> None:
        deadline = self._resolving.pop(transfer, None)
        if deadline is None:
            return  # its time was up
        deadline.transfer = deadline.answer = None
        transfer.resolved = time.monotonic()
        if isinstance(found, OSError) or not found:
            self._tell(transfer, transfer.failed("dns_failed", "The host name has no address."))
        else:
            self._connect(transfer, found)

    def _give_up(self, deadline: _Deadline) -> None:
        transfer, answer = deadline.transfer, deadline.answer
        if transfer is None or answer is None:
            return
        del self._resolving[transfer]
        self._resolver.forget(transfer.attempt.destination.host, transfer.attempt.tenant_uid, answer)
        transfer.resolved = time.monotonic()
        self._tell(transfer, transfer.failed("dns_failed", "The host name could not be looked up in time."))

    def _connect(self, transfer: Transfer, addresses: tuple[Address, ...]) -> None:
        """Begin the request, unless a single one of the addresses may not be reached."""
        try:
            for address in addresses:
                self._check(address, transfer.attempt.tenant_uid)
        except AddressRefused as refused:
            self._tell(transfer, transfer.failed("address_refused", str(refused)))
            return
        transfer.addresses = list(addresses)
        self._request(transfer)

    def _request(self, transfer: Transfer) -> None:
        curl = self._spare.pop() if self._spare else self._make_handle()
        try:
            transfer.begin(curl, proxied=self._proxy is not None)
            self._multi.add_handle(curl)
        except Exception:
            log.exception("a request could not be made")
            curl.close()
            self._tell(transfer, transfer.failed("sender_failed", "The request could not be made."))
            return
        self._active[curl] = transfer

    def _settle(self) -> None:
        left = 1
        while left:
            left, good, bad = self._multi.info_read()
            for curl in good:
                self._end(curl, 0, "")
            for curl, code, message in bad:
                self._end(curl, code, message)

    def _end(self, curl: Any, code: int, message: str) -> None:
        transfer = self._active[curl]
        self._multi.remove_handle(curl)
        outcome = None if transfer.may_go_on(curl, code) else transfer.ended(curl, code, message)
        del self._active[curl]
        if transfer.is_plain and len(self._spare) < SPARE_HANDLES:
            clear(curl)
            self._spare.append(curl)
        else:
            curl.close()
        if outcome is None:
            self._request(transfer)
        else:
            self._tell(transfer, outcome)

    def _make_handle(self) -> Any:
        curl = pycurl.Curl()
        prepare(curl, self._proxy)
        return curl

    def _abandon(self, outcome: OutcomeClass, message: str) -> None:
        """End everything that is waiting or under way."""
        waiting = [Transfer(*self._new.popleft()) for _ in range(len(self._new))]
        for curl in self._active:
            with suppress(pycurl.error):  # it is removed already
                self._multi.remove_handle(curl)
            curl.close()
        transfers = [*waiting, *self._resolving, *self._active.values()]
        self._resolving.clear()
        self._deadlines.clear()
        self._active.clear()
        self._timer = None
        for transfer in transfers:
            self._tell(transfer, transfer.failed(outcome, message))

    def _tell(self, transfer: Transfer, outcome: Outcome) -> None:
        try:
            transfer.done(outcome)
        except Exception:
            log.exception("the outcome of a request could not be handed over")


def _most_idle() -> int:
    """Return how many connections may be kept, so that no tenant's many receivers leave others without descriptors."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return IDLE_CONNECTIONS if limit == resource.RLIM_INFINITY else max(1, min(IDLE_CONNECTIONS, limit // IDLE_SHARE))


def _is_proxy(text: str) -> bool:
    """Tell whether libcurl can read the URL of a proxy; one that it cannot read it repeats, password and all."""
    parts = _PROXY.fullmatch(text)
    try:
        return parts is not None and bool(read_url(f"http://{parts['place']}", ""))
    except Invalid:
        return False
