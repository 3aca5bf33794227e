"""A request goes to an address that was checked, or nowhere; looking a name up delays nobody else."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address
from types import SimpleNamespace
from typing import Any

import pycurl
import pytest

from heliograph.delivery.guard import Address, AddressRefused, Networks, check, read_url
from heliograph.delivery.resolver import Resolver, look_up
from heliograph.delivery.transfer import Attempt, Transfer
from heliograph.ids import as_hex, new_uid
from tests.delivery.conftest import LOOPBACK, TENANT, Names, Post
from tests.delivery.receivers import PATIENCE, Receiver, unreachable, unused_port

MakePost = Callable[..., Post]
HERE, THERE, SIX = IPv4Address("127.0.0.1"), IPv4Address("127.0.0.2"), IPv6Address("::1")


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "2130706433", "0x7f.1", "0177.0.0.1", "127.1", "localhost", "a.localhost", "[::1]",
     "[::ffff:127.0.0.1]", "[64:ff9b::127.0.0.1]", "[2002:7f00:1::1]", "[2001:0:1:1:0:0:80ff:fffe]", "[::127.0.0.1]",
     "receiver.test"],
)  # fmt: skip
def test_loopback_is_not_reached_in_any_notation(make_post: MakePost, host: str) -> None:
    with Receiver() as receiver:
        outcome = make_post(Networks()).send(f"http://{host}:{receiver.port}/")
    assert (outcome.outcome, outcome.status, outcome.address) == ("address_refused", None, None)
    assert receiver.connections == 0


def test_listed_network_is_reached_by_the_tenant_that_it_is_listed_for(make_post: MakePost) -> None:
    post = make_post(Networks.parse(f"127.0.0.0/8@{as_hex(TENANT)}"))
    with Receiver() as receiver:
        assert post.send(f"http://localhost:{receiver.port}/").delivered
        found = post.send(f"http://localhost:{receiver.port}/", tenant_uid=new_uid())
    assert found.outcome == "address_refused"
    assert len(receiver.requests) == 1


@pytest.mark.parametrize("bad", ["10.0.0.1", "169.254.169.254", "::", "::ffff:10.0.0.1", "64:ff9b::a00:1", "fe80::1"])
@pytest.mark.parametrize("first", [True, False])
def test_one_bad_address_among_several_refuses_all(post: Post, names: Names, bad: str, first: bool) -> None:
    wrong: Address = IPv6Address(bad) if ":" in bad else IPv4Address(bad)
    names.answers["receiver.test"] = [[wrong, HERE] if first else [HERE, wrong]]
    with Receiver() as receiver:
        outcome = post.send(f"http://receiver.test:{receiver.port}/")
    assert outcome.outcome == "address_refused"
    assert bad not in outcome.message
    assert receiver.connections == 0


def test_name_that_changes_after_the_check_changes_nothing(post: Post, names: Names) -> None:
    names.answers["receiver.test"] = [[HERE], [IPv4Address("10.0.0.1")]]
    with Receiver() as receiver:
        assert post.send(f"http://receiver.test:{receiver.port}/").delivered
        assert names.asked == ["receiver.test"]
        assert post.send(f"http://receiver.test:{receiver.port}/").outcome == "address_refused"
    assert names.asked == ["receiver.test"] * 2
    assert len(receiver.requests) == 1


def test_open_connection_is_not_used_once_its_name_leads_elsewhere(post: Post, names: Names) -> None:
    names.answers["receiver.test"] = [[HERE], [THERE], [HERE]]
    with Receiver() as first, Receiver(address=("127.0.0.2", first.port)) as second:
        found = [post.send(f"http://receiver.test:{first.port}/").address for _ in range(3)]
    assert found == ["127.0.0.1", "127.0.0.2", "127.0.0.1"]
    assert (len(first.requests), first.connections) == (2, 1)
    assert len(second.requests) == 1


def test_connection_is_not_shared_between_names_at_one_address(post: Post) -> None:
    with Receiver() as receiver:
        for name in ("a.test", "b.test", "a.test", "b.test", "127.0.0.1", "localhost"):
            assert post.send(f"http://{name}:{receiver.port}/").delivered
    assert receiver.connections == 4


def test_next_address_is_tried_where_no_connection_comes_about(post: Post, names: Names) -> None:
    names.answers["receiver.test"] = [[THERE, SIX, HERE]]
    with Receiver() as receiver:
        outcome = post.send(f"http://receiver.test:{receiver.port}/")
    assert (outcome.outcome, outcome.address) == ("delivered", "127.0.0.1")


def test_next_address_is_tried_while_there_is_time_when_the_first_is_silent(post: Post, names: Names) -> None:
    names.answers["receiver.test"] = [[HERE, THERE]]
    with unreachable() as port, Receiver(address=("127.0.0.2", port)):
        assert post.send(f"http://receiver.test:{port}/", timeout=1.0).address == "127.0.0.2"


def test_next_address_is_not_tried_once_something_was_sent(post: Post, names: Names) -> None:
    names.answers["receiver.test"] = [[HERE, THERE]]
    with Receiver(lambda connection: None) as first, Receiver(address=("127.0.0.2", first.port)) as second:
        assert post.send(f"http://receiver.test:{first.port}/").outcome == "connection_reset"
    assert second.connections == 0


def test_mapped_address_is_reached_where_the_one_inside_it_may_be(post: Post) -> None:
    with Receiver() as receiver:
        found = post.send(f"http://[::ffff:127.0.0.1]:{receiver.port}/")
    assert (found.outcome, found.address) == ("delivered", "::ffff:7f00:1")


def test_ipv6_receiver_is_reached(post: Post) -> None:
    with Receiver(address=("::1", 0)) as receiver:
        found = post.send(f"http://[::1]:{receiver.port}/")
    assert (found.outcome, found.address) == ("delivered", "::1")
    assert f"Host: [::1]:{receiver.port}\r\n".encode() in receiver.requests[0]


@pytest.mark.parametrize(
    ("family", "address"),
    [(socket.AF_INET, ("127.0.0.2", 80)), (socket.AF_INET6, ("::1", 80, 0, 0)), (socket.AF_UNIX, "/run/some.sock")],
)
def test_socket_is_not_made_for_any_other_address(family: int, address: Any) -> None:
    # libcurl would have to be mistaken; the socket itself is the last place to notice it.
    attempt = Attempt(key="", tenant_uid=TENANT, destination=read_url("http://a.test/", ""), headers=())
    transfer = Transfer(attempt, lambda outcome: None)
    transfer.addresses = [HERE]
    curl = pycurl.Curl()
    transfer.begin(curl, proxied=False)
    try:
        assert transfer.open_socket(0, (family, socket.SOCK_STREAM, 0, address)) == pycurl.SOCKET_BAD
        assert transfer.ended(curl, pycurl.E_COULDNT_CONNECT, "").outcome == "address_refused"
        with transfer.open_socket(0, (socket.AF_INET, socket.SOCK_STREAM, 0, ("127.0.0.1", 80))) as right:
            assert right.fileno() >= 0
    finally:
        curl.close()


# -- names ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [socket.gaierror("no such name"), OSError("broken"), ValueError("a bug")])
def test_name_that_has_no_address_is_a_failure_of_dns(
    make_post: MakePost, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    def lookup(host: str) -> list[Address]:
        raise error

    assert make_post(resolver=Resolver(lookup)).send("http://receiver.test/").outcome == "dns_failed"
    assert ("could not be looked up" in caplog.text) == isinstance(error, ValueError)


def test_name_without_answers_is_a_failure_of_dns(post: Post, names: Names) -> None:
    names.answers["receiver.test"] = [[]]
    assert post.send("http://receiver.test/").outcome == "dns_failed"


class Held:
    """Name servers that answer for some names at once and for others when they are told to."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.begun = threading.Semaphore(0)
        self.released = threading.Event()

    def __call__(self, host: str) -> list[Address]:
        self.asked.append(host)
        if host.startswith("slow"):
            self.begun.release()
            self.released.wait(PATIENCE)
        return [HERE]


def test_name_server_that_does_not_answer_is_not_waited_for(make_post: MakePost) -> None:
    held = Held()
    post = make_post(resolver=Resolver(held))
    found = post.send("http://slow.test/", timeout=0.2)
    held.released.set()
    assert (found.outcome, found.status) == ("dns_failed", None)
    assert found.timings.resolve > 0


def test_tenant_whose_names_are_slow_delays_no_other(make_post: MakePost) -> None:
    held = Held()
    post = make_post(resolver=Resolver(held, threads=3, share=2))
    for number in range(10):
        post.begin(f"http://slow{number}.test:{unused_port()}/")
    for _ in range(2):
        assert held.begun.acquire(timeout=PATIENCE)
    with Receiver() as receiver:
        for number in range(5):
            assert post.send(f"http://name{number}.test:{receiver.port}/", tenant_uid=new_uid()).delivered
        assert len([host for host in held.asked if host.startswith("slow")]) == 2
    held.released.set()
    assert {post.next().outcome for _ in range(10)} == {"connect_refused"}


def test_several_tenants_whose_names_are_slow_delay_no_other(make_post: MakePost) -> None:
    held = Held()
    post = make_post(resolver=Resolver(held))
    for number in range(8):
        tenant_uid = new_uid()
        for name in "abcdef":
            post.begin(f"http://slow{name}.tenant{number}.test:{unused_port()}/", tenant_uid=tenant_uid)
    for _ in range(32):
        assert held.begun.acquire(timeout=PATIENCE)
    with Receiver() as receiver:
        assert post.send(f"http://name.test:{receiver.port}/", tenant_uid=new_uid()).delivered
    held.released.set()
    assert {post.next().outcome for _ in range(48)} == {"connect_refused"}


def test_threads_are_made_as_they_are_needed() -> None:
    held = Held()
    before = set(threading.enumerate())
    resolver = Resolver(held, share=2)
    answered = threading.Semaphore(0)

    def ask(host: str, times: int = 1) -> None:
        for number in range(times):
            resolver.resolve(f"{host}{number}", TENANT, lambda _: answered.release())

    def made() -> int:
        return len(set(threading.enumerate()) - before)

    assert made() == 0
    for _ in range(5):
        ask("name")
        assert answered.acquire(timeout=PATIENCE)
    assert made() == 1
    ask("slow", 5)
    for _ in range(2):
        assert held.begun.acquire(timeout=PATIENCE)
    assert made() == 2
    held.released.set()
    for _ in range(5):
        assert answered.acquire(timeout=PATIENCE)
    resolver.close()


def test_system_without_another_thread_to_give_lets_names_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    held = Held()
    resolver = Resolver(held)
    answered = threading.Semaphore(0)
    resolver.resolve("slow", TENANT, lambda _: answered.release())
    assert held.begun.acquire(timeout=PATIENCE)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", _refuse)
        resolver.resolve("name", TENANT, lambda _: answered.release())
    held.released.set()
    for _ in range(2):
        assert answered.acquire(timeout=PATIENCE)
    resolver.close()


def _refuse(thread: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


def test_requests_that_wait_for_the_same_name_share_the_answer(make_post: MakePost) -> None:
    held = Held()
    post = make_post(resolver=Resolver(held))
    with Receiver() as receiver:
        post.begin(f"http://slow.test:{receiver.port}/1")
        assert held.begun.acquire(timeout=PATIENCE)
        for number in range(5):
            post.begin(f"http://slow.test:{receiver.port}/{number}")
        post.begin("http://127.0.0.1:9/")  # comes after the others, and is told at once
        assert post.next().outcome == "connect_refused"
        held.released.set()
        assert [post.next().outcome for _ in range(6)] == ["delivered"] * 6
    assert held.asked == ["slow.test"]


def test_name_that_nobody_waits_for_any_more_is_not_looked_up(make_post: MakePost) -> None:
    held = Held()
    post = make_post(resolver=Resolver(held, threads=1))
    post.begin(f"http://slow.test:{unused_port()}/")
    assert held.begun.acquire(timeout=PATIENCE)
    assert post.send("http://late.test/", timeout=0.1).outcome == "dns_failed"
    held.released.set()
    post.next()
    assert post.send(f"http://last.test:{unused_port()}/").outcome == "connect_refused"
    assert held.asked == ["slow.test", "last.test"]


def test_close_does_not_wait_for_a_name_server(make_post: MakePost) -> None:
    held = Held()
    post = make_post(resolver=Resolver(held))
    post.begin("http://slow.test/")
    assert held.begun.acquire(timeout=PATIENCE)
    post.sender.close()
    assert post.next().outcome == "shutdown"
    held.released.set()


def test_systems_resolver_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [(socket.AF_INET6, 1, 6, "", ("fe80::1%eth0", 0, 0, 2)), (socket.AF_INET, 1, 6, "", ("8.8.8.8", 0))]
    monkeypatch.setattr("heliograph.delivery.resolver.socket", SimpleNamespace(
        getaddrinfo=lambda *args, **more: rows, SOCK_STREAM=socket.SOCK_STREAM))  # fmt: skip
    found = look_up("receiver.test")
    assert found == [IPv6Address("fe80::1%eth0"), IPv4Address("8.8.8.8")]
    with pytest.raises(AddressRefused):
        check(found[0], TENANT, LOOPBACK)
