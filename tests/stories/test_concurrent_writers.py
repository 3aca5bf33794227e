"""Many write and many read at once: no gap, no duplicate, nothing missed, nothing twice."""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import StoreUrl
from tests.load import Attempt, Writer
from tests.server import Client, Server
from tests.whole_log import END, Follower, assert_filters_agree, assert_sound, assert_stored_whole, listed, pages

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.postgres import PostgresServer
    from tests.whole_log import Record

WRITERS = 6
REQUESTS = 60
"""Requests of each writer."""

SHARED = 150
"""Cloud events that all writers send, so that each is on its way several times at once."""


class Cluster:
    """Servers of one database, and tenants to write to."""

    def __init__(self, servers: list[Server]) -> None:
        self.servers = servers
        tenants = servers[0].request("GET", "/v1/tenants").json["data"]
        self.company = next(tenant["uid"] for tenant in tenants if tenant["kind"] == "company")
        self.tenants = [self._organization(name) for name in ("north", "east", "south")]

    def _organization(self, name: str) -> str:
        body = {"kind": "organization", "name": name, "shortName": name}
        made = self.servers[0].request("POST", "/v1/tenants", query={"tenantUid": self.company}, body=body)
        assert made.status == 201, made.body
        return str(made.json["uid"])


@pytest.fixture(scope="module", params=["sqlite", "postgres", "two_processes_on_postgres"])
def cluster(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One server on each database, and two on one PostgreSQL."""
    databases: PostgresServer | None = None
    dsn = None
    if request.param != "sqlite":
        databases = request.getfixturevalue("postgres_server")
        dsn = databases.create_database()
    servers = [Server.start(StoreUrl(dsn, tmp_path_factory.mktemp("data")))]
    if request.param == "two_processes_on_postgres":
        servers.append(Server.start(StoreUrl(dsn, tmp_path_factory.mktemp("data"))))
        servers[1].output += [f"key: {servers[0].key}"]
    yield Cluster(servers)
    for server in servers:
        server.stop()
    if databases is not None and dsn is not None:
        databases.drop_database(dsn)


class Turns:
    """A client of every server, whose requests go to each of them in turn."""

    def __init__(self, servers: list[Server], first: int = 0) -> None:
        self._clients = [server.client() for server in servers]
        self._turn = first

    def __enter__(self) -> Turns:
        return self

    def __exit__(self, *_: object) -> None:
        for client in self._clients:
            client.close()

    @property
    def next(self) -> Client:
        """The client whose turn it is."""
        self._turn += 1
        return self._clients[self._turn % len(self._clients)]

    def request(self, *arguments: Any, **more: Any) -> Any:
        """Send a request to the server whose turn it is."""
        return self.next.request(*arguments, **more)


def write(cluster: Cluster, number: int) -> list[Attempt]:
    """Send events of all kinds to all tenants, and each shared event once."""
    writer, shared = Writer(f"writer {number}", cluster.tenants), Writer("shared")
    own = [writer.next() for _ in range(REQUESTS)]
    for n in range(SHARED):
        event = shared.event()
        attempt = Attempt([event], event.cloud_event(), {"content-type": "application/cloudevents+json"})
        attempt.tenant = cluster.tenants[n % len(cluster.tenants)]
        own.append(attempt)
    # In an order of its own, but the shared ones in the same, so that they meet.
    order = sorted(range(len(own)), key=lambda n: n % REQUESTS if n < REQUESTS else (n - REQUESTS) * REQUESTS / SHARED)
    with Turns(cluster.servers, number) as clients:
        for n in order:
            answer = own[n].send(clients.next)
            assert answer.status in (200, 201), answer.body
    return own


def follow(cluster: Cluster, query: dict[str, Any], done: threading.Event) -> list[Record]:
    """Read upward with one cursor, at each server in turn, until nobody writes any more and nothing is left."""
    follower = Follower(query)
    with Turns(cluster.servers) as clients:
        while not done.is_set():
            follower.poll(clients)
        follower.drain(clients)
    return follower.events


def leaf_through(cluster: Cluster, query: dict[str, Any], done: threading.Event) -> list[tuple[int, list[Record]]]:
    """Read page after page, again and again; return each reading with the number of events that were there before."""
    readings = []
    with Turns(cluster.servers) as clients:
        while not done.is_set():
            newest = next(pages(clients, {"tenantUid": query["tenantUid"], "limit": 1}))
            readings.append((newest[0]["seq"] + 1, listed(clients, query)))
    return readings


def in_the_background(
    threads: ThreadPoolExecutor, cluster: Cluster, done: threading.Event
) -> tuple[list[Future[list[Record]]], list[tuple[dict[str, Any], Future[list[tuple[int, list[Record]]]]]]]:
    """Start followers of every tenant and of the subtree, and readers of pages with and without a filter."""
    queries: list[dict[str, Any]] = [{"tenantUid": tenant} for tenant in cluster.tenants]
    queries.append({"tenantUid": cluster.company, "include": "subtree"})
    followers = [threads.submit(follow, cluster, query, done) for query in queries]
    page = {"tenantUid": cluster.tenants[0], "limit": 37}
    listings: list[dict[str, Any]] = [
        page,
        {**page, "order": "asc", "to": END},
        {**page, "targetEntityType": ["Device", "Door"]},
        {**page, "order": "asc", "to": END, "criticality": 3},
    ]
    readers = [(query, threads.submit(leaf_through, cluster, query, done)) for query in listings]
    return followers, readers


def meaning_of(query: dict[str, Any]) -> Callable[[Record], bool]:
    """Say in plain words what the queries of `in_the_background` ask for."""
    if "criticality" in query:
        return lambda event: bool(event["criticality"] == query["criticality"])
    if "targetEntityType" in query:
        return lambda event: event["targetEntityType"] in query["targetEntityType"]
    return lambda event: True


def test_log_stays_whole_and_readers_miss_nothing_while_many_write(cluster: Cluster) -> None:
    done = threading.Event()
    with ThreadPoolExecutor(WRITERS + 8) as threads:
        followers, readers = in_the_background(threads, cluster, done)
        try:
            writers = [threads.submit(write, cluster, number) for number in range(WRITERS)]
            attempts = [attempt for writer in writers for attempt in writer.result()]
        finally:
            done.set()
    server = cluster.servers[-1]
    logs = {uid: listed(server, {"tenantUid": uid, "order": "asc", "to": END}) for uid in cluster.tenants}

    for log in logs.values():
        assert_sound(log)
    assert_stored_whole(server.store)
    for attempt in attempts:
        assert attempt.answer is not None
        assert attempt.tenant is not None
        for sent, receipt in zip(attempt.events, attempt.receipts(attempt.answer), strict=True):
            stored = logs[attempt.tenant][receipt["seq"]]
            assert (stored["id"], stored["recordedAt"]) == (receipt["id"], receipt["recordedAt"])
            assert sent.is_in(stored)
    first_time = sum(len(a.events) for a in attempts if a.answer is not None and a.answer.status == 201)
    assert first_time == sum(not event["internal"] for log in logs.values() for event in log)

    *single, subtree = [follower.result() for follower in followers]
    assert single == list(logs.values())
    for uid, log in logs.items():
        assert [event for event in subtree if event["tenantUid"] == uid] == log
    for query, reader in readers:
        assert_readings_have_no_hole(query, reader.result(), logs[cluster.tenants[0]])


def assert_readings_have_no_hole(
    query: dict[str, Any], readings: list[tuple[int, list[Record]]], log: list[Any]
) -> None:
    """Check that each reading is all that fits, from the log's beginning to some place after it was begun."""
    assert readings
    fits = meaning_of(query)
    fitting = [event for event in log if fits(event)]
    for there_before, reading in readings:
        upward = reading if query.get("order") == "asc" else reading[::-1]
        assert upward == fitting[: len(upward)]
        assert len(upward) >= sum(event["seq"] < there_before for event in fitting)


def test_every_filter_finds_what_a_plain_look_finds_after_the_load(cluster: Cluster) -> None:
    for uid in cluster.tenants:
        log = listed(cluster.servers[0], {"tenantUid": uid, "order": "asc", "to": END})
        assert_filters_agree(cluster.servers[-1], log, {"tenantUid": uid})
