"""`kill -9` anywhere between an event and its receiver's answer: everybody gets everything, under one id."""

from __future__ import annotations

import http.client
import itertools
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from tests.conftest import StoreUrl
from tests.crash.felled import STEPS
from tests.delivery.receivers import NO_CONTENT, Receiver, answer, header_lines
from tests.server import MASTER_KEY, ROOT, SAFETY_SECONDS, Server
from tests.whole_log import Follower, assert_sound, assert_stored_whole, rows_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.delivery.receivers import Connection
    from tests.server import Client
    from tests.whole_log import Record

FELLED = (sys.executable, "-m", "tests.crash.felled")
RANDOM_ROUNDS = 100
ROUNDS = [*STEPS, *[None] * RANDOM_ROUNDS]
"""The steps to die in; None is a kill from outside at any moment."""

CONNECTIONS = 2
MOST_ANSWERS = 30
"""Answers after which a round that counts them is over at the latest."""

MOST_REQUESTS = 150
ENTITIES = 40
LARGEST_BATCH = 5
MOST_AGAIN = 60
"""Requests for each kill that receivers get again though they had taken the event before, on the average of a run: as
many as six endpoints may be sent at once."""

PENDING, DELIVERED, EXHAUSTED = range(3)
SERVER_ERROR, GONE = answer("500 No"), answer("410 Gone")

ENDPOINTS: dict[str, dict[str, Any]] = {
    "plain": {"eventTypes": ["load.*"]},
    "ordered": {"eventTypes": ["load.*"], "ordering": "entity"},
    "flaky": {"eventTypes": ["load.flaky"], "retrySchedule": [0] * 15},
    "broken": {"eventTypes": ["load.broken"], "retrySchedule": [0, 0]},
    "gone": {"eventTypes": ["load.gone"]},
    "told": {"eventTypes": ["Delivery.*", "Endpoint.*"]},
}
"""What each of the endpoints wants: `flaky` fails once for each event, `broken` always, `gone` wants no more of it."""


class Received(NamedTuple):
    """A request as an endpoint got it."""

    endpoint: str
    event: str
    body: bytes
    status: int


class Street:
    """All receivers, by the path of their URL; `hush` keeps them from answering."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.came = threading.Condition()
        self.hushed = False

    def script(self, connection: Connection) -> None:
        while request := connection.read_request():
            head, _, body = request.partition(b"\r\n\r\n")
            endpoint = head.split(b" ", 2)[1].decode().strip("/")
            event = dict(header_lines(head))["webhook-id"]
            with self.came:
                reply = self._reply(endpoint, event)
                status = int(reply.split(b" ", 2)[1])
                self.received.append(Received(endpoint, event, body, 0 if self.hushed else status))
                self.came.notify_all()
                hushed = self.hushed
            if hushed:
                connection.wait_until_closed()
                return
            connection.send(reply)

    def _reply(self, endpoint: str, event: str) -> bytes:
        if endpoint == "gone":
            return GONE
        fails = endpoint == "broken" or (
            endpoint == "flaky" and not any(one.endpoint == "flaky" and one.event == event for one in self.received)
        )
        return SERVER_ERROR if fails else NO_CONTENT

    def wait(self, done: Callable[[], bool], seconds: float = SAFETY_SECONDS) -> None:
        """Wait until something is true, looked at whenever a request comes and now and then."""
        deadline = time.monotonic() + seconds
        with self.came:
            while not done():
                assert time.monotonic() < deadline, "what was waited for does not come"
                self.came.wait(0.1)

    def pause(self) -> None:
        """Let somebody receive something first, but not for long."""
        with self.came:
            self.came.wait(0.02)

    def by_delivery(self) -> dict[tuple[str, str], list[Received]]:
        found: dict[tuple[str, str], list[Received]] = defaultdict(list)
        for one in self.received:
            found[one.endpoint, one.event].append(one)
        return found


class Post:
    """A server, the endpoints of one organization, and what was done to it."""

    def __init__(self, server: Server, street: Street, receiver: Receiver) -> None:
        self.server = server
        self.street = street
        self.uids: dict[str, str] = {}
        self.resent: Counter[str] = Counter()
        """How often each event was sent again to `plain`."""
        self.kills = 0
        self._url = f"http://127.0.0.1:{receiver.port}"

    def prepare(self, *names: str) -> None:
        for name in names:
            body = {"url": f"{self._url}/{name}", "timeout": 3, **ENDPOINTS[name]}
            made = self.server.request("POST", "/v1/endpoints", body=body)
            assert made.status == 201, made.body
            self.uids[name] = made.json["uid"]

    # -- the load ---------------------------------------------------------------------------------------------------

    def strike(self, round_: int, step: str | None) -> None:
        """Publish until the server dies; all that is left to do is left to the next one."""
        chance = random.Random(round_)
        doom = () if step is None else (step, str(chance.randint(0, 1 if step in SELDOM else 6)))
        self.server.command = (*FELLED, "serve", *doom)
        self.server.restart()
        answered = threading.Semaphore(0)
        with ThreadPoolExecutor(CONNECTIONS + 1) as threads:
            loads = [threads.submit(self._publish, f"{round_}/{n}", answered) for n in range(CONNECTIONS)]
            loads.append(threads.submit(self._switch_and_resend))
            if step is None:
                for _ in range(chance.randint(1, MOST_ANSWERS)):
                    assert answered.acquire(timeout=SAFETY_SECONDS)
                threading.Event().wait(chance.uniform(0, 0.05))
                self.server.kill()
            else:
                assert self.server.wait_for_end() == -signal.SIGKILL, step
            for load in loads:
                load.result()
        self.kills += 1

    def _publish(self, name: str, answered: threading.Semaphore) -> None:
        chance = random.Random(name)
        numbers = itertools.count()
        with self.server.client() as client:
            for _ in range(MOST_REQUESTS):
                types = chance.choices(TYPES, WEIGHTS, k=chance.randint(1, LARGEST_BATCH))
                events = [
                    {
                        "type": f"load.{type_}", "eventCode": 10_001, "targetEntityType": "Door",
                        "targetEntityId": f"door {chance.randrange(ENTITIES)}",
                        "payload": {"token": f"{name}/{next(numbers)}"},
                    }
                    for type_ in types
                ]  # fmt: skip
                reply = attempt(client, "/v1/events", events)
                if reply is None:
                    return
                assert reply.status == 201, reply.body
                answered.release()
                self.street.pause()

    def _switch_and_resend(self) -> None:
        """Enable what was disabled, and have deliveries sent again, until the server is gone."""
        gone, plain = self.uids["gone"], self.uids["plain"]
        wanted = {"endpointUid": plain, "state": "delivered", "limit": 1}
        with self.server.client() as client:
            for _ in range(MOST_REQUESTS):
                if attempt(client, f"/v1/endpoints/{gone}/enable") is None:
                    return
                try:
                    found = client.request("GET", "/v1/deliveries", query=wanted).json["data"]
                except (OSError, http.client.HTTPException):
                    return
                for delivery in found:
                    self.resent[delivery["eventId"]] += 1
                    if attempt(client, f"/v1/deliveries/{delivery['id']}/resend") is None:
                        return
                self.street.pause()

    # -- after it ---------------------------------------------------------------------------------------------------

    def finish(self) -> None:
        """Let everything come to its end."""
        self.server.command = (*FELLED, "serve")
        self.server.restart()
        self.street.wait(lambda: pending(self.server.store) == 0, 2 * SAFETY_SECONDS)


SELDOM = ("disabling an endpoint", "resending", "letting go")
"""Steps that a round comes to a few times only."""

TYPES, WEIGHTS = ("plain", "flaky", "broken", "gone"), (80, 8, 8, 4)


def attempt(client: Client, path: str, body: Any = None) -> Any:
    """Send a request to a server that may die; return the answer, or None when none came."""
    try:
        return client.request("POST", path, body=body)
    except (OSError, http.client.HTTPException):
        return None


def pending(store: StoreUrl) -> int:
    """Count what waits for endpoints that are not disabled."""
    (((count,),),) = rows_of(
        store,
        "select count(*) from delivery where state = 0"
        " and endpoint_uid in (select uid from endpoint where state <> 'disabled')",
    )
    return int(count)


# -- what must be true ----------------------------------------------------------------------------------------------


class Stored(NamedTuple):
    """A delivery in the database."""

    endpoint: str
    seq: int
    state: int
    attempts: int
    claim: bytes | None


def is_held(one: Stored) -> bool:
    """Tell whether a delivery waits for somebody to enable its endpoint."""
    return one.endpoint == "gone" and one.state == PENDING


def stored(post: Post) -> list[Stored]:
    names = {uid: name for name, uid in post.uids.items()}
    (rows,) = rows_of(post.server.store, "select endpoint_uid, seq, state, attempts, claim from delivery")
    return [Stored(names[row[0].hex()], *row[1:]) for row in rows]


def wants(endpoint: str, type_: str) -> bool:
    return any(
        type_ == pattern or (pattern.endswith("*") and type_.startswith(pattern[:-1]))
        for pattern in ENDPOINTS[endpoint]["eventTypes"]
    )


def assert_every_match_has_a_delivery(post: Post, log: list[Record], found: list[Stored]) -> None:
    names = {uid: name for name, uid in post.uids.items()}
    reaches, skipped = rows_of(
        post.server.store,
        "select endpoint_uid, from_seq from endpoint_reach",
        "select endpoint_uid, from_seq, to_seq from endpoint_gap",
    )
    assert {names[uid.hex()] for uid, _, _ in skipped} <= {"gone"}
    expected = {
        (names[uid.hex()], event["seq"])
        for uid, from_seq in reaches
        for event in log[from_seq:]
        if wants(names[uid.hex()], event["type"] or "")
        and not any(one == uid and low <= event["seq"] < (high or len(log)) for one, low, high in skipped)
    }
    assert {(one.endpoint, one.seq) for one in found} == expected


def assert_states_are_what_receivers_saw(post: Post, log: list[Record], found: list[Stored]) -> None:
    received = post.street.by_delivery()
    assert set(received) <= {(one.endpoint, log[one.seq]["id"]) for one in found}
    for one in found:
        requests = received[one.endpoint, log[one.seq]["id"]]
        assert len({request.body for request in requests}) == 1 or is_held(one)
        assert one.claim is None or is_held(one)
        # A claim is a request, or the end of the process that made it came first.
        assert len(requests) <= one.attempts
        taken = any(request.status == 204 for request in requests)
        assert one.state == (EXHAUSTED if one.endpoint in ("broken", "gone") else DELIVERED) or is_held(one)
        assert taken == (one.state == DELIVERED)
        # An attempt counts from its claim on, so that what makes a process die is not tried for ever.
        assert requests or is_held(one)
        assert one.endpoint != "broken" or one.attempts >= 2


def assert_attempts_are_numbered(post: Post, log: list[Record], found: list[Stored]) -> None:
    (rows,) = rows_of(
        post.server.store,
        "select endpoint_uid, seq, number, status, error_class from delivery_attempt"
        " order by endpoint_uid, seq, number",
    )
    by_delivery: dict[tuple[str, int], list[Any]] = defaultdict(list)
    names = {uid: name for name, uid in post.uids.items()}
    for row in rows:
        by_delivery[names[row[0].hex()], row[1]].append(row[2:])
    received = post.street.by_delivery()
    for one in found:
        attempts = by_delivery[one.endpoint, one.seq]
        requests = received[one.endpoint, log[one.seq]["id"]]
        event = log[one.seq]["id"]
        # Numbers are missing only of attempts that died with their process.
        assert len(attempts) <= len(requests) <= one.attempts
        assert (attempts[-1:] and attempts[-1][0] == one.attempts) or is_held(one)
        statuses = Counter(request.status for request in requests)
        assert Counter(status for _, status, _ in attempts) <= statuses
        # What one process was told, it does not send again.
        taken = [error_class for _, _, error_class in attempts].count("delivered")
        assert taken <= 1 + (post.resent[event] if one.endpoint == "plain" else 0)


def assert_order_was_kept(post: Post, log: list[Record]) -> None:
    seqs = {event["id"]: event["seq"] for event in log}
    doors = {event["id"]: event["targetEntityId"] for event in log}
    firsts: dict[str, list[int]] = defaultdict(list)
    for event in dict.fromkeys(one.event for one in post.street.received if one.endpoint == "ordered"):
        firsts[doors[event]].append(seqs[event])
    assert len(firsts) == ENTITIES
    assert all(came == sorted(came) for came in firsts.values())


def assert_told_once(post: Post, log: list[Record], found: list[Stored]) -> None:
    """Check that each delivery that was given up has one event, and each time an endpoint was disabled."""
    told = Counter(event["payload"]["eventId"] for event in log if event["type"] == "Delivery.Exhausted")
    assert told == Counter(log[one.seq]["id"] for one in found if one.state == EXHAUSTED)
    switched = [event["type"] for event in log if event["type"] in ("Endpoint.Disabled", "Endpoint.Enabled")]
    expected = itertools.cycle(("Endpoint.Disabled", "Endpoint.Enabled"))
    assert switched == list(itertools.islice(expected, len(switched)))
    assert switched


def repeats(post: Post) -> int:
    """Count the requests with which receivers got again what they had taken."""
    again = 0
    for (endpoint, event), requests in post.street.by_delivery().items():
        taken = sum(request.status == 204 for request in requests)
        again += max(0, taken - 1 - (post.resent[event] if endpoint == "plain" else 0))
    return again


def test_everybody_gets_everything_when_the_server_is_killed(store_url: StoreUrl) -> None:
    server = Server(store_url, {"delivery_allow_networks": "127.0.0.0/8"})
    server.command = (*FELLED, "serve")
    street, follower = Street(), Follower()
    with Receiver(street.script) as receiver:
        post = Post(server, street, receiver)
        try:
            server.restart()
            post.prepare(*ENDPOINTS)
            for round_, step in enumerate(ROUNDS):
                post.strike(round_, step)
            post.finish()
            follower.drain(server)
        finally:
            server.stop()
    log = follower.events
    assert_sound(log)
    assert_stored_whole(store_url)
    found = stored(post)
    assert_every_match_has_a_delivery(post, log, found)
    assert_states_are_what_receivers_saw(post, log, found)
    assert_attempts_are_numbered(post, log, found)
    assert_order_was_kept(post, log)
    assert_told_once(post, log, found)
    print(f"{post.kills} kills, {len(found)} deliveries, {repeats(post)} repeated, {sum(post.resent.values())} resent")
    # None at all would mean that no kill fell between an answer and its settling.
    assert 0 < repeats(post) <= MOST_AGAIN * post.kills


# -- several workers on one database --------------------------------------------------------------------------------


@contextmanager
def worker(store: StoreUrl) -> Iterator[subprocess.Popen[str]]:
    """Run a worker of its own; it delivers from here on."""
    assert store.database_url is not None
    environment = {
        **os.environ, "HELIOGRAPH_DATABASE_URL": store.database_url, "HELIOGRAPH_MASTER_KEY": MASTER_KEY,
        "HELIOGRAPH_DATA": str(store.data), "HELIOGRAPH_DELIVERY_ALLOW_NETWORKS": "127.0.0.0/8",
    }  # fmt: skip
    command = (*FELLED, "worker")
    with subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            assert any("delivering" in line for line in process.stderr), "the worker ended"
            yield process
        finally:
            process.kill()


def test_other_worker_goes_on_where_one_was_killed(postgres_dsn: str, tmp_path: Path) -> None:
    store = StoreUrl(postgres_dsn, tmp_path)
    server = Server.start(store, delivery_worker="off")
    street = Street()
    street.hushed = True
    event = {"type": "load.plain", "eventCode": 10_001}
    try:
        with Receiver(street.script) as receiver:
            post = Post(server, street, receiver)
            post.prepare("plain")
            receipts = server.request("POST", "/v1/events", body=[event] * 100).json["results"]
            with worker(store) as doomed:
                street.wait(lambda: bool(street.received))
                with worker(store) as other:
                    doomed.kill()
                    doomed.wait()
                    street.hushed = False
                    receipts += server.request("POST", "/v1/events", body=[event] * 100).json["results"]
                    street.wait(lambda: pending(store) == 0)
                    other.terminate()
                    assert other.wait(SAFETY_SECONDS) == 0
    finally:
        server.stop()
    received = post.street.by_delivery()
    assert set(received) == {("plain", receipt["id"]) for receipt in receipts}
    unanswered = {one.event for one in street.received if one.status == 0}
    assert unanswered
    for (_, id_), requests in received.items():
        *unheard, last = [request.status for request in requests]
        assert last == 204
        assert set(unheard) == ({0} if id_ in unanswered else set())
    assert {one.state for one in stored(post)} == {DELIVERED}
