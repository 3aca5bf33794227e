"""A sender that may reach loopback, and names that lead there."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import Any

import pytest

from heliograph.delivery.guard import Address, Networks, read_url
from heliograph.delivery.outcome import Outcome
from heliograph.delivery.resolver import Resolver
from heliograph.delivery.sender import Attempt, Sender
from heliograph.ids import new_uid
from tests.delivery.certificates import Pair, authority

TENANT = new_uid()
LOOPBACK = Networks.parse("127.0.0.0/8,::1/128")
WAIT = 20.0  # seconds after which an outcome that does not come fails the test


@dataclass
class Names:
    """Stands for the name servers: each name has a list of answers, the last of which stays."""

    answers: dict[str, list[list[Address]]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def __call__(self, host: str) -> list[Address]:
        self.asked.append(host)
        answers = self.answers.get(host, [[IPv4Address("127.0.0.1")]])
        return answers.pop(0) if len(answers) > 1 else answers[0]


@dataclass
class Post:
    """A sender with a letter box for outcomes."""

    sender: Sender
    outcomes: queue.SimpleQueue[Outcome] = field(default_factory=queue.SimpleQueue)

    def begin(self, url: str, **more: Any) -> None:
        given: dict[str, Any] = {"key": url, "tenant_uid": TENANT, "headers": (), "timeout": WAIT / 2, **more}
        self.sender.send(Attempt(destination=read_url(url, "/url"), **given), self.outcomes.put)

    def next(self) -> Outcome:
        return self.outcomes.get(timeout=WAIT)

    def send(self, url: str, **more: Any) -> Outcome:
        self.begin(url, **more)
        return self.next()


@pytest.fixture
def names() -> Names:
    return Names()


@pytest.fixture
def make_post(names: Names) -> Iterator[Callable[..., Post]]:
    senders: list[Sender] = []

    def make(networks: Networks = LOOPBACK, **more: Any) -> Post:
        senders.append(Sender(networks, **{"resolver": Resolver(names), **more}))
        return Post(senders[-1])

    yield make
    for sender in senders:
        sender.close()


@pytest.fixture
def post(make_post: Callable[..., Post]) -> Post:
    return make_post()


@pytest.fixture(scope="session")
def issuer() -> Pair:
    return authority()
