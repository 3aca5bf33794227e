"""Requests arrive as they were given, answers are read within bounds, and every end has its class."""

from __future__ import annotations

import gc
import gzip
import socket
import threading
from collections.abc import Callable
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest

from heliograph.delivery.guard import Networks, read_url
from heliograph.delivery.outcome import CLASSES, MEANINGS, OURS, Outcome, by_status
from heliograph.delivery.sender import Attempt, Sender
from heliograph.delivery.transfer import Transfer
from heliograph.errors import CannotStart
from heliograph.ids import Secret
from tests.delivery.certificates import Pair, issue, server_context
from tests.delivery.conftest import TENANT, Post
from tests.delivery.receivers import (
    NO_CONTENT,
    PATIENCE,
    Connection,
    Receiver,
    answer,
    header_lines,
    unreachable,
    unused_port,
)

# -- the request ----------------------------------------------------------------------------------------------------


def test_request_arrives_as_it_was_given(post: Post) -> None:
    headers = (("Content-Type", "application/json"), ("webhook-id", "a b"), ("X-Empty", ""), ("X-Name", "Zoë"))
    with Receiver() as receiver:
        url = f"http://receiver.test:{receiver.port}/a/../b%2F?c=d&c=%20"
        outcome = post.send(url, headers=headers, body=b'{"n":1}\x00\xff')
    head, _, body = receiver.requests[0].partition(b"\r\n\r\n")
    assert head.split(b"\r\n")[0] == b"POST /a/../b%2F?c=d&c=%20 HTTP/1.1"
    assert body == b'{"n":1}\x00\xff'
    assert header_lines(head) == [
        ("Host", f"receiver.test:{receiver.port}"),
        ("Accept-Encoding", "identity"),
        ("User-Agent", "Heliograph"),
        *((name, value.encode().decode("latin-1")) for name, value in headers),
        ("Content-Length", "9"),
    ]
    assert (outcome.outcome, outcome.status, outcome.delivered) == ("delivered", 204, True)
    assert (outcome.key, outcome.address, outcome.http_version) == (url, "127.0.0.1", "1.1")


def test_connections_are_kept_as_far_as_there_are_descriptors(
    make_post: Callable[..., Post], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resource.getrlimit", lambda _: (16, 16))
    post = make_post()
    with Receiver() as receiver:
        for name in ("a", "b", "c", "d", "d", "e", "a"):
            post.send(f"http://{name}.test:{receiver.port}/")
    assert receiver.connections == 6


def test_attempt_does_not_show_what_may_be_secret() -> None:
    shown = repr(
        Attempt(
            key="k",
            tenant_uid=TENANT,
            destination=read_url("https://receiver.test/", "/url"),
            headers=(("authorization", "sesame"),),
            body=b"sesame",
            certificate="public",
            private_key=Secret("sesame"),
        )
    )
    assert "receiver.test" in shown
    assert "sesame" not in shown


def test_outcome_tells_what_the_receiver_answered_and_how_long_each_step_took(post: Post) -> None:
    with Receiver() as receiver:
        receiver.reply(answer("200 OK", "X-A: 1\r\nx-a:  2 \r\n", b"thanks"))
        outcome = post.send(f"http://receiver.test:{receiver.port}/")
    assert outcome.headers == (("content-length", "6"), ("X-A", "1"), ("x-a", "2"))
    assert (outcome.body, outcome.truncated, outcome.message) == (b"thanks", False, "The receiver answered 200.")
    timings = outcome.timings
    assert 0 < timings.resolve <= timings.first_byte <= timings.total
    assert timings.connect > 0
    assert timings.tls == 0


def test_body_may_be_empty_or_large(post: Post) -> None:
    with Receiver() as receiver:
        for body in (b"", b"x", b"y" * 3_000_000):
            assert post.send(f"http://receiver.test:{receiver.port}/", body=body).delivered
    assert [len(request.partition(b"\r\n\r\n")[2]) for request in receiver.requests] == [0, 1, 3_000_000]
    assert not any(b"Expect" in request[:1000] for request in receiver.requests)


def test_method_may_be_options_which_has_no_body(post: Post) -> None:
    with Receiver() as receiver:
        headers = (("WebHook-Request-Origin", "example.com"),)
        assert post.send(f"http://receiver.test:{receiver.port}/", method="OPTIONS", headers=headers).delivered
    assert receiver.requests[0].startswith(b"OPTIONS / HTTP/1.1\r\n")
    assert b"Content-Length" not in receiver.requests[0]


@pytest.mark.parametrize(
    "header",
    [("a\r\nb", "c"), ("a", "b\r\nc: d"), ("a", "b\x00"), ("a b", "c"), ("", "c"), ("a:", "c"), ("ä", "c"),
     ("Host", "other.test"), ("content-length", "0"), ("Transfer-Encoding", "chunked"), ("Accept-Encoding", "gzip")],
)  # fmt: skip
def test_header_that_would_change_the_message_is_not_sent(post: Post, header: tuple[str, str]) -> None:
    with Receiver() as receiver:
        assert post.send(f"http://receiver.test:{receiver.port}/", headers=(header,)).outcome == "sender_failed"
        assert receiver.connections == 0
        assert post.send(f"http://receiver.test:{receiver.port}/").delivered


# -- the answer -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        ("200 OK", "delivered"), ("201 Created", "delivered"), ("299 Odd", "delivered"),
        ("300 Multiple Choices", "redirect"), ("304 Not Modified", "redirect"),
        ("400 Bad Request", "client_error"), ("401 Unauthorized", "client_error"), ("404 Not Found", "client_error"),
        ("407 Proxy Authentication Required", "client_error"), ("410 Gone", "gone"),
        ("417 Expectation Failed", "client_error"), ("421 Misdirected Request", "client_error"),
        ("425 Too Early", "client_error"), ("429 Too Many Requests", "too_many_requests"),
        ("500 Internal Server Error", "server_error"), ("502 Bad Gateway", "bad_gateway"),
        ("503 Service Unavailable", "unavailable"), ("504 Gateway Timeout", "gateway_timeout"),
        ("599 Odd", "server_error"), ("600 Odd", "bad_response"),
    ],
)  # fmt: skip
def test_status_decides_the_class_of_a_complete_answer(post: Post, status: str, outcome: str) -> None:
    with Receiver() as receiver:
        receiver.reply(answer(status, "retry-after: 7\r\n"))
        found = post.send(f"http://receiver.test:{receiver.port}/")
    assert (found.outcome, found.status) == (outcome, int(status[:3]))
    assert ("retry-after", "7") in found.headers
    assert len(receiver.requests) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("place", ["http://10.0.0.1/", "http://127.0.0.1:{port}/other", "/other", "file:///etc/passwd"])
def test_redirect_is_not_followed(post: Post, status: int, place: str) -> None:
    with Receiver() as receiver:
        location = place.format(port=receiver.port)
        receiver.reply(answer(f"{status} Moved", f"location: {location}\r\n"))
        outcome = post.send(f"http://receiver.test:{receiver.port}/")
    assert (outcome.outcome, outcome.status) == ("redirect", status)
    assert ("location", location) in outcome.headers
    assert len(receiver.requests) == 1


def test_interim_answers_are_passed_over(post: Post) -> None:
    with Receiver() as receiver:
        interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n"
        receiver.reply(interim + answer("200 OK", "x: y\r\n"))
        outcome = post.send(f"http://receiver.test:{receiver.port}/")
    assert (outcome.outcome, outcome.headers) == ("delivered", (("content-length", "0"), ("x", "y")))


def test_chunked_answer_is_put_together(post: Post) -> None:
    with Receiver() as receiver:
        chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
        receiver.reply(chunked)
        assert post.send(f"http://receiver.test:{receiver.port}/").body == b"abcde"


@pytest.mark.parametrize(("status", "outcome"), [("200 OK", "delivered"), ("500 Oops", "server_error")])
@pytest.mark.parametrize("framing", ["", "content-length: 99999999999\r\n"])
def test_endless_body_is_cut_off_and_the_status_decides(post: Post, status: str, outcome: str, framing: str) -> None:
    cut = threading.Event()

    def script(connection: Connection) -> None:
        connection.read_request()
        connection.send(f"HTTP/1.1 {status}\r\n{framing}\r\n".encode())
        try:
            connection.flood(b"x" * 65536)
        except OSError:
            cut.set()

    with Receiver(script) as receiver:
        found = post.send(f"http://receiver.test:{receiver.port}/")
        assert cut.wait(PATIENCE)
    assert (found.outcome, len(found.body), found.truncated) == (outcome, 16 * 1024, True)


def test_body_that_is_longer_than_what_is_kept_is_read_to_its_end_for_the_connection_to_be_used_again(
    post: Post,
) -> None:
    with Receiver() as receiver:
        receiver.reply(answer("200 OK", body=b"x" * 40_000))
        outcomes = [post.send(f"http://receiver.test:{receiver.port}/") for _ in range(2)]
    assert [(len(found.body), found.truncated) for found in outcomes] == [(16 * 1024, True)] * 2
    assert receiver.connections == 1


def test_compressed_answer_is_not_decompressed(post: Post) -> None:
    bomb = gzip.compress(b"\0" * 20_000_000)
    with Receiver() as receiver:
        receiver.reply(answer("200 OK", "content-encoding: gzip\r\n", bomb))
        outcome = post.send(f"http://receiver.test:{receiver.port}/")
    assert (outcome.outcome, outcome.body) == ("delivered", bomb[: 16 * 1024])


@pytest.mark.parametrize(
    "flood",
    [b"x: y\r\n", b"x: " + b"y" * 5000 + b"\r\n", b"x" * 65536, b"\r\nHTTP/1.1 103 Early Hints\r\nx: y\r\n"],
    ids=["many", "large", "endless line", "interim"],
)
def test_endless_header_is_cut_off(post: Post, flood: bytes) -> None:
    cut = threading.Event()

    def script(connection: Connection) -> None:
        connection.read_request()
        connection.send(b"HTTP/1.1 103 Early Hints\r\n")
        try:
            connection.flood(flood)
        except OSError:
            cut.set()

    with Receiver(script) as receiver:
        found = post.send(f"http://receiver.test:{receiver.port}/")
        assert cut.wait(PATIENCE)
    assert found.outcome == "response_too_large"
    assert found.message == "The header of the answer is too large to be read."


def test_switch_of_protocols_that_nobody_asked_for_is_no_answer(post: Post) -> None:
    with Receiver() as receiver:
        receiver.reply(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n")
        found = post.send(f"http://receiver.test:{receiver.port}/", timeout=0.3)
    assert (found.outcome, found.status) == ("timeout", None)


@pytest.mark.parametrize(
    "reply",
    [
        b"hello\r\n\r\n",
        b"SSH-2.0-OpenSSH_9\r\n",
        b"\x16\x03\x01\x00\x00",
        b"HTTP/1.1 2\r\n\r\n",
        b"HTTP/1.1 099 Odd\r\n\r\n",
        b"HTTP/2 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx\0: y\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: -5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 7\r\n\r\nabcde",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_answer_that_is_not_http_is_a_bad_response(post: Post, reply: bytes) -> None:
    def script(connection: Connection) -> None:
        connection.read_request()
        connection.send(reply)

    with Receiver(script) as receiver:
        found = post.send(f"http://receiver.test:{receiver.port}/")
    assert found.outcome == "bad_response"


# -- connections that fail ------------------------------------------------------------------------------------------


def test_connection_is_refused_where_nobody_listens(post: Post) -> None:
    outcome = post.send(f"http://receiver.test:{unused_port()}/")
    assert (outcome.outcome, outcome.status, outcome.address) == ("connect_refused", None, "127.0.0.1")


def test_connection_that_is_not_accepted_times_out(post: Post) -> None:
    with unreachable() as port:
        assert post.send(f"http://receiver.test:{port}/", timeout=0.3).outcome == "connect_timeout"


def test_receiver_that_never_answers_times_out(post: Post) -> None:
    def script(connection: Connection) -> None:
        connection.read_request()
        connection.wait_until_closed()

    with Receiver(script) as receiver:
        found = post.send(f"http://receiver.test:{receiver.port}/", timeout=0.3)
    assert (found.outcome, found.status) == ("timeout", None)


@pytest.mark.parametrize(
    ("before", "status"),
    [(b"", None), (b"HTTP/1.1 200 OK\r\n", 200), (b"HTTP/1.1 200 OK\r\ncontent-length: 5000\r\n\r\n", 200)],
    ids=["in the status line", "in the header", "in the body"],
)
def test_answer_that_comes_byte_by_byte_times_out_as_a_whole(post: Post, before: bytes, status: int | None) -> None:
    def script(connection: Connection) -> None:
        connection.read_request()
        connection.send(before)
        connection.drip(b"HTTP/1.1 200 " + b"x" * 1000)

    with Receiver(script) as receiver:
        found = post.send(f"http://receiver.test:{receiver.port}/", timeout=0.4)
    assert (found.outcome, found.status) == ("timeout", status)


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize(
    ("before", "status"),
    [(b"", None), (b"HTTP/1.1 200 OK\r\nx: ", 200), (b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nabc", 200)],
    ids=["before the answer", "in the header", "in the body"],
)
def test_answer_that_breaks_off_is_a_failure_whatever_its_status(
    post: Post, before: bytes, status: int | None, how: str
) -> None:
    def script(connection: Connection) -> None:
        connection.read_request()
        connection.send(before)
        if how == "reset":
            connection.reset()

    with Receiver(script) as receiver:
        found = post.send(f"http://receiver.test:{receiver.port}/")
    assert found.outcome == "connection_reset"
    assert found.status in (status, None)
    assert not found.delivered


def test_connection_that_the_receiver_closed_meanwhile_is_replaced_without_a_failure(post: Post) -> None:
    closed = threading.Semaphore(0)

    def script(connection: Connection) -> None:
        connection.read_request()
        connection.send(NO_CONTENT)
        connection.socket.close()
        closed.release()

    with Receiver(script) as receiver:
        for _ in range(3):
            assert post.send(f"http://receiver.test:{receiver.port}/").delivered
            assert closed.acquire(timeout=PATIENCE)
    assert receiver.connections == 3


# -- one of many ----------------------------------------------------------------------------------------------------


def test_connection_is_used_again(post: Post) -> None:
    with Receiver() as receiver:
        for _ in range(5):
            assert post.send(f"http://receiver.test:{receiver.port}/").delivered
    assert receiver.connections == 1


def test_hundred_silent_receivers_delay_nobody(post: Post) -> None:
    silent = threading.Semaphore(0)

    def script(connection: Connection) -> None:
        connection.read_request()
        silent.release()
        connection.wait_until_closed()

    with Receiver(script) as slow, Receiver() as fast:
        for number in range(100):
            post.begin(f"http://slow.test:{slow.port}/{number}")
        for _ in range(100):
            assert silent.acquire(timeout=PATIENCE)
        outcomes = [post.send(f"http://fast.test:{fast.port}/") for _ in range(20)]
        assert [found.outcome for found in outcomes] == ["delivered"] * 20
        post.sender.close()
        assert {post.next().outcome for _ in range(100)} == {"shutdown"}


def test_thousand_requests_at_once_all_end(post: Post) -> None:
    with Receiver() as receiver:
        for number in range(1000):
            post.begin(f"http://receiver.test:{receiver.port}/{number % 20}", key=str(number))
        outcomes = [post.next() for _ in range(1000)]
    assert {found.outcome for found in outcomes} == {"delivered"}
    assert {found.key for found in outcomes} == {str(number) for number in range(1000)}


def test_outcome_that_cannot_be_handed_over_stops_nothing(post: Post, caplog: pytest.LogCaptureFixture) -> None:
    called = threading.Event()

    def faulty(outcome: Outcome) -> None:
        called.set()
        raise RuntimeError(outcome.key)

    with Receiver() as receiver:
        url = f"http://receiver.test:{receiver.port}/"
        attempt = Attempt(key="x", tenant_uid=TENANT, destination=read_url(url, "/url"), headers=())
        post.sender.send(attempt, faulty)
        assert called.wait(PATIENCE)
        assert post.send(url).delivered
    assert "could not be handed over" in caplog.text


def test_sender_begins_anew_when_its_loop_fails(
    post: Post, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    arrived, released = threading.Semaphore(0), threading.Event()
    with Receiver(held(arrived, released)) as receiver:
        url = f"http://receiver.test:{receiver.port}/"
        post.begin(url)
        assert arrived.acquire(timeout=PATIENCE)
        with monkeypatch.context() as broken:
            broken.setattr(post.sender, "_begin", lambda transfer: 1 / 0)
            post.begin(url)
            assert [post.next().outcome for _ in range(2)] == ["sender_failed"] * 2
        released.set()
        assert post.send(url).delivered
    assert "begins anew" in caplog.text


def test_want_of_descriptors_is_not_the_receivers_fault(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_more(*_: object) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr("heliograph.delivery.transfer._OwnSocket", no_more)
    with Receiver() as receiver:
        assert post.send(f"http://receiver.test:{receiver.port}/").outcome == "sender_failed"


def test_nothing_of_an_attempt_is_kept_once_it_has_ended(post: Post) -> None:
    with Receiver() as receiver:
        for url in (f"http://receiver.test:{receiver.port}/", f"http://localhost:{receiver.port}/"):
            assert post.send(url, body=b"x" * 1000).delivered
    gc.collect()
    assert [found for found in gc.get_objects() if isinstance(found, Transfer)] == []


# -- the end --------------------------------------------------------------------------------------------------------


def held(arrived: threading.Semaphore, released: threading.Event) -> Callable[[Connection], None]:
    def script(connection: Connection) -> None:
        connection.read_request()
        arrived.release()
        released.wait(PATIENCE)
        connection.send(NO_CONTENT)

    return script


def test_close_waits_for_what_is_under_way(post: Post) -> None:
    arrived, released = threading.Semaphore(0), threading.Event()
    with Receiver(held(arrived, released)) as receiver:
        post.begin(f"http://receiver.test:{receiver.port}/")
        assert arrived.acquire(timeout=PATIENCE)
        closing = threading.Thread(target=post.sender.close, args=(PATIENCE,))
        closing.start()
        released.set()
        assert post.next().delivered
        closing.join(PATIENCE)
        assert not closing.is_alive()


def test_close_cancels_what_takes_too_long(post: Post) -> None:
    arrived, released = threading.Semaphore(0), threading.Event()
    with Receiver(held(arrived, released)) as receiver:
        post.begin(f"http://receiver.test:{receiver.port}/")
        assert arrived.acquire(timeout=PATIENCE)
        post.sender.close(drain=0.05)
        found = post.next()
        released.set()
    assert (found.outcome, found.address) == ("shutdown", "127.0.0.1")


def test_nothing_is_sent_after_close(post: Post) -> None:
    post.sender.close()
    post.sender.close()
    with Receiver() as receiver:
        assert post.send(f"http://receiver.test:{receiver.port}/").outcome == "shutdown"
    assert receiver.connections == 0


def test_message_has_no_control_characters_of_the_receiver(post: Post) -> None:
    with Receiver() as receiver:
        receiver.reply(b"HTTP/1.1 200 OK\r\ntransfer-encoding: \x1b[2Jgzip\r\n\r\n")
        outcome = post.send(f"http://receiver.test:{receiver.port}/")
    assert outcome.outcome == "bad_response"
    assert outcome.message.isprintable()


# -- the operator's proxy -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("variable", ["http_proxy", "all_proxy", "ALL_PROXY"])
def test_proxy_of_the_environment_is_not_used(
    make_post: Callable[..., Post], monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, f"http://127.0.0.1:{unused_port()}")
    with Receiver() as receiver:
        assert make_post().send(f"http://receiver.test:{receiver.port}/").delivered


def test_proxy_of_the_operator_is_told_the_checked_address(
    make_post: Callable[..., Post], monkeypatch: pytest.MonkeyPatch, names: Any
) -> None:
    monkeypatch.setenv("no_proxy", "*")
    names.answers["receiver.test"] = [[IPv4Address("8.8.4.4")]]
    asked: list[bytes] = []

    def script(connection: Connection) -> None:
        asked.append(connection.read_request())
        connection.send(b"HTTP/1.1 200 Connection established\r\nx-proxy: yes\r\n\r\n")
        asked.append(connection.read_request())
        connection.send(answer("200 OK", "x: y\r\n"))

    with Receiver(script) as proxy:
        found = make_post(proxy=Secret(f"http://127.0.0.1:{proxy.port}")).send("http://receiver.test/hook")
    assert asked[0].startswith(b"CONNECT 8.8.4.4:80 HTTP/1.1\r\n")
    assert asked[1].startswith(b"POST /hook HTTP/1.1\r\nHost: receiver.test\r\n")
    assert (found.outcome, found.address) == ("delivered", "8.8.4.4")
    assert found.headers == (("content-length", "0"), ("x", "y"))


def test_proxy_of_the_operator_carries_tls_that_it_cannot_read(
    make_post: Callable[..., Post], issuer: Pair, tmp_path: Path
) -> None:
    context = server_context(issue(issuer, "receiver.test"), tmp_path)
    with Receiver(tls=context) as receiver:

        def script(connection: Connection) -> None:
            asked.append(connection.read_request())
            connection.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
            with socket.create_connection(("127.0.0.1", receiver.port)) as onward:
                connection.join(onward)

        asked: list[bytes] = []
        with Receiver(script) as proxy:
            post = make_post(proxy=Secret(f"http://127.0.0.1:{proxy.port}"))
            assert post.send(f"https://receiver.test:{receiver.port}/", ca=issuer.pem).delivered
            assert post.send(f"https://other.test:{receiver.port}/", ca=issuer.pem).outcome == "certificate_refused"
    assert asked[0].startswith(f"CONNECT 127.0.0.1:{receiver.port} HTTP/1.1\r\n".encode())
    assert len(receiver.requests) == 1


def test_address_is_checked_before_a_proxy_is_asked(make_post: Callable[..., Post]) -> None:
    with Receiver() as proxy:
        post = make_post(proxy=Secret(f"http://127.0.0.1:{proxy.port}"))
        assert post.send("http://10.0.0.1/").outcome == "address_refused"
    assert proxy.connections == 0


def test_proxy_that_does_not_carry_the_request_is_not_the_receivers_fault(make_post: Callable[..., Post]) -> None:
    with Receiver() as proxy:
        proxy.reply(answer("403 Forbidden"))
        refused = make_post(proxy=Secret(f"http://127.0.0.1:{proxy.port}")).send("http://8.8.4.4/")
    missing = make_post(proxy=Secret(f"http://127.0.0.1:{unused_port()}")).send("http://8.8.4.4/")
    for found in (refused, missing):
        assert (found.outcome, found.status, found.headers) == ("proxy_failed", None, ())
        assert "127.0.0.1" not in found.message


@pytest.mark.parametrize(
    "proxy",
    ["", "proxy.test:3128", "ftp://proxy.test", "://", "http://me:sesame@proxy.test:99999", "http://me:sesame@",
     "http://me:sesa/me@proxy.test", "http://me:ses me@proxy.test", "http://me:sesame@pro xy.test", "http://[::1"],
)  # fmt: skip
def test_proxy_that_is_none_keeps_the_sender_from_starting(proxy: str) -> None:
    with pytest.raises(CannotStart, match="delivery_proxy") as refused:
        Sender(Networks(), Secret(proxy))
    assert "ses" not in str(refused.value)


# -- the table ------------------------------------------------------------------------------------------------------


def test_every_class_has_one_row_with_a_meaning_and_a_remedy() -> None:
    assert tuple(row[0] for row in MEANINGS) == CLASSES
    assert all(text.endswith(".") for row in MEANINGS for text in row[1:])
    assert set(CLASSES) >= OURS


def test_only_200_to_299_is_delivered() -> None:
    assert [status for status in range(1000) if by_status(status) == "delivered"] == list(range(200, 300))


def test_nothing_is_sent_over_plain_http_where_https_is_demanded(make_post: Callable[..., Post]) -> None:
    with Receiver() as receiver:
        outcome = make_post(https_only=True).send(f"http://127.0.0.1:{receiver.port}/")
    assert (outcome.outcome, outcome.message) == ("address_refused", "Only https is allowed here.")
    assert receiver.connections == 0
