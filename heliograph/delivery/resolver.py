"""Host names to addresses, in a few threads of its own, so that a slow name server holds up nobody else.

The system's own resolver is asked (`getaddrinfo`), because operators expect `/etc/hosts` and their DNS settings to
hold. It cannot be interrupted: the caller waits no longer than it wants, and a thread is busy until its answer comes.
"""

from __future__ import annotations

import ipaddress
import logging
import socket
import threading
from collections import deque
from collections.abc import Callable

from heliograph.delivery.guard import Address

log = logging.getLogger(__name__)

Lookup = Callable[[str], list[Address]]
"""Asks for the addresses of a host name, in order of preference; raises OSError when there are none."""

Answer = Callable[[tuple[Address, ...] | OSError], None]

THREADS = 64  # at most; they are made as they are needed, and stay
SHARE = 4  # of the threads that one asker may occupy


def look_up(host: str) -> list[Address]:
    """Ask the system's resolver; the answers are in the order of RFC 6724."""
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return [ipaddress.ip_address(str(sockaddr[0])) for _, _, _, _, sockaddr in found]


class Resolver:
    """Looks names up for several askers (tenants), none of which can occupy all threads.

    Whoever asks for a name that the same asker is already waiting for, shares the answer; nothing is remembered
    beyond that.
    """

    def __init__(self, lookup: Lookup = look_up, threads: int = THREADS, share: int = SHARE) -> None:
        self._lookup = lookup
        self._most_threads = threads
        self._share = share
        self._changed = threading.Condition()
        self._waiting: dict[bytes, deque[str]] = {}  # the askers take turns: whose turn it was goes to the end
        self._busy: dict[bytes, int] = {}
        self._asked: dict[tuple[bytes, str], list[Answer]] = {}
        self._closed = False
        self._threads = 0
        self._idle = 0  # of the threads: those that have no name to look up, or have yet to take it

    def resolve(self, host: str, asker: bytes, answer: Answer) -> None:
        """Have `answer` called with the addresses or the error, on a thread of the resolver; it must not block."""
        with self._changed:
            answers = self._asked.get((asker, host))
            if answers is not None:
                answers.append(answer)
                return
            self._asked[asker, host] = [answer]
            self._waiting.setdefault(asker, deque()).append(host)
            if self._threads < self._most_threads and self._ready() > self._idle:
                self._add_thread()
            self._changed.notify()

    def forget(self, host: str, asker: bytes, answer: Answer) -> None:
        """Keep nothing of one who no longer waits; a name that nobody waits for is not looked up."""
        with self._changed:
            answers = self._asked.get((asker, host), [])
            if answer in answers:
                answers.remove(answer)
            if not answers and host in self._waiting.get(asker, ()):
                self._waiting[asker].remove(host)
                if not self._waiting[asker]:
                    del self._waiting[asker]
                del self._asked[asker, host]

    def close(self) -> None:
        """End the threads, each when the lookup that it is busy with returns; what still waits is not answered."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _ready(self) -> int:
        """Count the names that could be looked up at this moment; the lock is held."""
        return sum(min(len(names), self._share - self._busy.get(asker, 0)) for asker, names in self._waiting.items())

    def _add_thread(self) -> None:
        # A daemon: a name server that does not answer must not keep the process from ending.
        thread = threading.Thread(target=self._work, name=f"resolver-{self._threads}", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the system gives no more threads: the name waits for one of those that there are
            log.warning("there are only %d threads to look names up", self._threads)
            return
        self._threads += 1
        self._idle += 1

    def _work(self) -> None:
        while True:
            with self._changed:
                while (turn := self._next()) is None and not self._closed:
                    self._changed.wait()
                if turn is None or self._closed:
                    return
                self._idle -= 1
            self._answer(*turn)  # on its own, so that this frame keeps nothing of it while it waits

    def _answer(self, asker: bytes, host: str) -> None:
        result = self._look_up(host)
        with self._changed:
            answers = self._asked.pop((asker, host))
            self._busy[asker] -= 1
            if not self._busy[asker]:
                del self._busy[asker]
            self._idle += 1
            self._changed.notify()  # the asker may have been waiting for its share only
        for answer in answers:
            answer(result)

    def _next(self) -> tuple[bytes, str] | None:
        """Take the next name of the first asker who has not used up its share; the lock is held."""
        asker = next((asker for asker in self._waiting if self._busy.get(asker, 0) < self._share), None)
        if asker is None:
            return None
        names = self._waiting.pop(asker)
        host = names.popleft()
        if names:
            self._waiting[asker] = names
        self._busy[asker] = self._busy.get(asker, 0) + 1
        return asker, host

    def _look_up(self, host: str) -> tuple[Address, ...] | OSError:
        try:
            return tuple(dict.fromkeys(self._lookup(host)))
        except (OSError, UnicodeError) as error:  # UnicodeError: a name that getaddrinfo cannot encode
            return error if isinstance(error, OSError) else OSError(str(error))
        except Exception as error:
            log.exception("a name could not be looked up")
            return OSError(str(error))
