"""What a client may send on a connection, how slowly, and what it is told when it does otherwise."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from heliograph.http import connection_problems, problems
from heliograph.http.connection_problems import MAX_URL_BYTES, ConnectionProblem, malformed
from heliograph.http.protocol import MAX_PIPELINED, ConnectionLimits
from tests.http.wire import SAFETY_SECONDS, Loopback, Wire, running_server

if TYPE_CHECKING:
    from collections.abc import Iterator

GET = b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n"
CHUNKED = b"POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
PATIENT = ConnectionLimits(header_bytes=2000, header_count=8)
HASTY = ConnectionLimits(header_timeout=0.2, idle_timeout=0.2)


@pytest.fixture(scope="module")
def patient_server() -> Iterator[Loopback]:
    """A server with low limits on size and high ones on time."""
    with running_server(PATIENT) as server:
        yield server


@pytest.fixture
def patient(patient_server: Loopback) -> Iterator[Loopback]:
    """The server with low limits on size; the test fails if it logs an error."""
    patient_server.app.served.clear()
    yield patient_server
    assert patient_server.errors.records == []


@pytest.fixture
def wire(patient: Loopback) -> Wire:
    return patient.connect()


@pytest.fixture
def hasty() -> Iterator[Loopback]:
    """A server of the test's own with short time limits; the test fails if it logs an error."""
    with running_server(HASTY) as server:
        yield server
    assert server.errors.records == []


def post(path: str, body: bytes) -> bytes:
    return b"POST %b HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%b" % (path.encode(), len(body), body)


def head_of_size(size: int) -> bytes:
    start = b"GET /a HTTP/1.1\r\nX: "
    return start + b"x" * (size - len(start) - 4) + b"\r\n\r\n"


def send_without_end(wire: Wire) -> None:
    while True:
        wire.send(b"x" * 65536)


# Sizes


def test_header_block_is_served_when_it_has_exactly_the_permitted_size(wire: Wire) -> None:
    assert wire.ask(head_of_size(PATIENT.header_bytes)).status == 200


def test_header_block_is_refused_when_it_is_one_byte_too_large(wire: Wire) -> None:
    wire.ask(head_of_size(PATIENT.header_bytes + 1)).assert_problem(431, "header-too-large")
    wire.assert_closed()


def test_header_block_is_refused_when_it_follows_a_good_request_in_the_same_write(wire: Wire) -> None:
    wire.send(post("/a", b"x" * 5000) + head_of_size(PATIENT.header_bytes + 1))
    assert wire.read().status == 200
    wire.read().assert_problem(431, "header-too-large")


def test_20_megabyte_header_is_refused_when_it_comes_in_one_write(wire: Wire) -> None:
    wire.ask(head_of_size(20_000_000)).assert_problem(431, "header-too-large")
    wire.assert_closed()


@pytest.mark.parametrize(
    "start",
    [
        b"GET /a HTTP/1.1\r\nX: ",
        b"GET /a HTTP/1.1\r\nX",
        b"GET /a HTTP/1.1\r\nX:" + b" " * 200,
        CHUNKED + b"3;extension=",
        CHUNKED + b"0\r\nTrailer: ",
        CHUNKED + b"1\r\na\r\n0\r\nTrailer",
    ],
)
def test_endless_element_is_refused_when_it_comes_in_small_pieces(wire: Wire, start: bytes) -> None:
    wire.send(start)
    with contextlib.suppress(ConnectionError):
        for _ in range(600):  # more than the server reads at once, twice
            wire.send(b"x" * 1000)
    wire.read().assert_problem(431, "header-too-large")


@pytest.mark.parametrize("excess", [0, 1])
def test_headers_are_counted_when_they_are_small(wire: Wire, excess: int) -> None:
    headers = b"X: x\r\n" * (PATIENT.header_count + excess)
    answer = wire.ask(b"GET /a HTTP/1.1\r\n" + headers + b"\r\n")
    assert answer.status == (431 if excess else 200)


@pytest.mark.parametrize("excess", [0, 1])
def test_trailers_are_counted_with_the_headers(wire: Wire, excess: int) -> None:
    trailers = b"T: t\r\n" * (PATIENT.header_count - 2 + excess)
    answer = wire.ask(CHUNKED + b"1\r\na\r\n0\r\n" + trailers + b"\r\n")
    assert answer.status == (431 if excess else 200)


def test_trailers_are_refused_when_they_are_too_large_together_with_the_headers(wire: Wire) -> None:
    half = b"x" * (PATIENT.header_bytes // 2)
    head = CHUNKED.replace(b"Host: h", b"Host: " + half)
    wire.ask(head + b"0\r\nT: " + half + b"\r\n\r\n").assert_problem(431, "header-too-large")


def test_trailers_do_not_become_headers(wire: Wire) -> None:
    shown = wire.ask(CHUNKED + b"1\r\na\r\n0\r\nAuthorization: Bearer x\r\n\r\n").json()
    assert shown["body"] == "a"
    assert "authorization" not in shown["headers"]


def test_large_body_is_not_counted_as_headers(wire: Wire) -> None:
    body = b"x" * 1_000_000
    assert wire.ask(post("/a", body)).json()["body"] == body.decode()
    assert wire.ask(CHUNKED + b"a\r\n0123456789\r\n" * 50_000 + b"0\r\n\r\n").status == 200


def test_url_is_refused_when_it_is_too_long() -> None:
    with running_server(ConnectionLimits()) as server:
        fits = b"/" + b"u" * (MAX_URL_BYTES - 1)
        assert server.connect().ask(b"GET %b HTTP/1.1\r\n\r\n" % fits).status == 200
        wire = server.connect()
        wire.ask(b"GET %bu HTTP/1.1\r\n\r\n" % fits).assert_problem(414, "uri-too-long")
        wire.assert_closed()


# Times


def test_connection_is_closed_silently_when_nothing_was_sent(hasty: Loopback) -> None:
    hasty.connect().assert_closed()


@pytest.mark.parametrize("start", [b"G", GET[:-2], GET[:20]])
def test_request_times_out_when_its_headers_stay_unfinished(hasty: Loopback, start: bytes) -> None:
    wire = hasty.connect()
    wire.ask(start).assert_problem(408, "request-timeout")
    wire.assert_closed()


def test_second_request_times_out_when_its_headers_stay_unfinished(hasty: Loopback) -> None:
    wire = hasty.connect()
    wire.send(GET + GET[:-2])
    assert wire.read().status == 200
    wire.read().assert_problem(408, "request-timeout")


def test_connection_is_closed_silently_when_no_second_request_comes(hasty: Loopback) -> None:
    wire = hasty.connect()
    assert wire.ask(GET).status == 200
    wire.assert_closed()


@pytest.mark.parametrize("start", [post("/a", b"body")[:-2], CHUNKED, CHUNKED + b"4\r\nbo"])
def test_connection_is_closed_when_the_body_stalls(hasty: Loopback, start: bytes) -> None:
    wire = hasty.connect()
    wire.send(start)
    wire.assert_closed()
    assert hasty.app.disconnected.wait(SAFETY_SECONDS)


def test_slow_application_is_not_interrupted(hasty: Loopback) -> None:
    slow, idle = hasty.connect(), hasty.connect()
    slow.send(b"GET /wait HTTP/1.1\r\n\r\n")
    assert hasty.app.waiting.wait(SAFETY_SECONDS)
    assert idle.ask(GET).status == 200
    idle.assert_closed()  # so the idle time is over, for the other connection too
    assert hasty.connect().ask(b"GET /open HTTP/1.1\r\n\r\n").status == 200
    assert slow.read().body == b"waited"


def test_connection_is_cut_when_the_client_does_not_read(hasty: Loopback) -> None:
    wire = hasty.connect()
    wire.send(b"GET /flood HTTP/1.1\r\n\r\n")
    assert hasty.app.disconnected.wait(SAFETY_SECONDS)


def test_connection_ends_after_a_refusal_when_the_client_keeps_it_open(hasty: Loopback) -> None:
    wire = hasty.connect()
    wire.ask(b"?\r\n\r\n").assert_problem(400, "malformed-http")
    with pytest.raises(ConnectionError):
        send_without_end(wire)


# Malformed requests


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"?\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET / HTTP/2.0\r\n\r\n",
        b"GET / HTTP/1.9\r\n\r\n",
        b"GET /\r\n\r\n",
        b"BREW / HTTP/1.1\r\n\r\n",
        b"CONNECT host:80 HTTP/1.1\r\n\r\n",
        b"CONNECT /a HTTP/1.1\r\n\r\n",
        b"GET /caf\xc3\xa9 HTTP/1.1\r\n\r\n",
        b"GET /a\x00b HTTP/1.1\r\n\r\n",
        b"GET a HTTP/1.1\r\n\r\n",
        b"GET http:///a HTTP/1.1\r\n\r\n",
        b"GET http://host:port/ HTTP/1.1\r\n\r\n",
        b"GET http://host:99999/ HTTP/1.1\r\n\r\n",
        b"GET http://[::1/ HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\nHost: h\n\n",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET / HTTP/1.1\r\nX : space\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: a\x00b\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: folded\r\n line\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na",
        b"POST / HTTP/1.1\r\nContent-Length: 1, 1\r\n\r\na",
        b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\na",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
        CHUNKED + b"size\r\n",
        CHUNKED + b"fffffffffffffffff\r\n",
        CHUNKED + b"1\r\nab\r\n",
        CHUNKED + b"0\r\nContent-Length: 1\r\n\r\n",
    ],
)
def test_malformed_request_is_refused(wire: Wire, patient: Loopback, request_bytes: bytes) -> None:
    wire.ask(request_bytes).assert_problem(400, "malformed-http")
    wire.assert_closed()
    assert patient.connect().ask(GET).status == 200


def test_refusal_comes_after_the_answers_to_the_requests_before_it(wire: Wire) -> None:
    wire.send(post("/1", b"one") + post("/2", b"two") + b"?\r\n\r\n" + post("/4", b"four"))
    assert wire.read().json()["body"] == "one"
    assert wire.read().json()["body"] == "two"
    wire.read().assert_problem(400, "malformed-http")
    wire.assert_closed()


def test_refusal_of_a_queued_body_leaves_the_request_before_it_alone(wire: Wire, patient: Loopback) -> None:
    wire.send(post("/1", b"one") + CHUNKED + b"size\r\n")
    assert wire.read().json()["body"] == "one"
    wire.read().assert_problem(400, "malformed-http")
    assert patient.app.served == ["/1"]


def test_titles_are_the_documented_ones() -> None:
    documented = {problem.slug: (problem.status, problem.title) for problem in problems.all_problems()}
    own = [value for value in vars(connection_problems).values() if isinstance(value, ConnectionProblem)]
    own.append(malformed(""))
    assert {problem.slug: (problem.status, problem.title) for problem in own}.items() <= documented.items()


# What HTTP/1.1 permits


def test_pipelined_requests_are_answered_in_order(wire: Wire) -> None:
    wire.send(post("/1", b"one") + GET.replace(b"/a", b"/2") + CHUNKED + b"5\r\nthree\r\n0\r\n\r\n")
    shown = [wire.read().json() for _ in range(3)]
    assert [(one["path"], one["body"]) for one in shown] == [("/1", "one"), ("/2", ""), ("/a", "three")]


def test_connection_ends_when_too_many_requests_are_pipelined(wire: Wire) -> None:
    wire.send(GET * (MAX_PIPELINED + 50))
    answers = [wire.read() for _ in range(MAX_PIPELINED + 1)]
    assert [answer.headers.get("connection") for answer in answers] == [None] * MAX_PIPELINED + ["close"]
    wire.assert_closed()


def test_request_is_understood_when_it_comes_byte_by_byte(wire: Wire) -> None:
    head = b"PUT /a%20b?q=1 HTTP/1.1\r\nX-Name: value\r\nTransfer-Encoding: chunked\r\n\r\n"
    data = head + b"3\r\nabc\r\n0\r\n\r\n"
    for position in range(len(data)):
        wire.send(data[position : position + 1])
    assert wire.read().json() == {
        "method": "PUT",
        "path": "/a b",
        "http_version": "1.1",
        "query": "q=1",
        "headers": {"x-name": "value", "transfer-encoding": "chunked"},
        "body": "abc",
    }


def test_connection_is_used_again_when_the_response_is_complete(wire: Wire) -> None:
    for number in range(3):
        answer = wire.ask(post(f"/{number}", b"body"))
        assert answer.json()["path"] == f"/{number}"
        assert "connection" not in answer.headers


def test_connection_ends_when_the_client_asks_for_it(wire: Wire) -> None:
    answer = wire.ask(b"GET /a HTTP/1.1\r\nConnection: close\r\n\r\n" + GET)
    assert (answer.status, answer.headers["connection"]) == (200, "close")
    wire.assert_closed()


def test_head_is_answered_without_a_body(wire: Wire) -> None:
    answer = wire.ask(GET.replace(b"GET", b"HEAD"))
    assert int(answer.headers["content-length"]) > 0
    assert wire.ask(GET).status == 200


def test_http_1_0_is_answered_and_closed(wire: Wire) -> None:
    answer = wire.ask(b"GET /a HTTP/1.0\r\n\r\n")
    assert answer.json()["http_version"] == "1.0"
    wire.assert_closed()


@pytest.mark.parametrize(("version", "framing"), [("1.0", None), ("1.1", "chunked")])
def test_response_of_unknown_length_is_framed_as_the_client_understands(
    wire: Wire, version: str, framing: str | None
) -> None:
    answer = wire.ask(f"GET /parts HTTP/{version}\r\n\r\n".encode())
    assert answer.body == b"one two"
    assert answer.headers.get("transfer-encoding") == framing


def test_absolute_url_without_a_path_means_the_root(wire: Wire) -> None:
    shown = wire.ask(b"GET http://host?q HTTP/1.1\r\n\r\n").json()
    assert (shown["path"], shown["query"]) == ("/", "q")


def test_client_is_told_to_continue_when_the_application_wants_the_body(wire: Wire) -> None:
    head = b"POST /a HTTP/1.1\r\nContent-Length: 4\r\nExpect: 100-Continue\r\n\r\n"
    assert wire.ask(head).status == 100
    assert wire.ask(b"body").json()["body"] == "body"


@pytest.mark.parametrize(
    "framed", [b"Content-Length: 4\r\n\r\nbody", b"Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n"]
)
@pytest.mark.parametrize("connection", [b"Upgrade", b"close, Upgrade"])
def test_offer_to_upgrade_is_ignored_and_the_body_read(wire: Wire, framed: bytes, connection: bytes) -> None:
    wire.send(b"POST /a HTTP/1.1\r\nConnection: %b\r\nUpgrade: h2c\r\n%b" % (connection, framed))
    shown = wire.read().json()
    assert shown["body"] == "body"
    assert "upgrade" not in shown["headers"]


def test_early_answer_ends_the_connection_when_body_is_missing(wire: Wire, patient: Loopback) -> None:
    wire.send(b"POST /early HTTP/1.1\r\nContent-Length: 5000\r\n\r\n")
    answer = wire.read()
    assert (answer.status, answer.headers["connection"]) == (413, "close")
    wire.send(GET * 50)
    wire.assert_closed()
    assert patient.app.served == ["/early"]


def test_early_answer_leaves_the_connection_open_when_the_body_has_come(wire: Wire) -> None:
    assert wire.ask(post("/early", b"body")).status == 413
    assert wire.ask(GET).status == 200


# The server's own failures


@pytest.mark.parametrize("path", ["/crash", "/short"])
def test_failure_of_the_application_is_a_problem_document(patient_server: Loopback, path: str) -> None:
    wire = patient_server.connect()
    wire.ask(f"GET {path} HTTP/1.1\r\n\r\n".encode()).assert_problem(500, "internal-error")
    wire.assert_closed()
    assert patient_server.errors.records == ["Exception in ASGI application"]
    patient_server.errors.records.clear()


def test_request_is_refused_when_the_server_has_no_room() -> None:
    with running_server(PATIENT, limit_concurrency=1) as server:
        server.connect().ask(GET).assert_problem(503, "unavailable")


def test_running_request_is_answered_when_the_server_stops() -> None:
    with running_server(PATIENT) as server:
        idle, wire = server.connect(), server.connect()
        assert idle.ask(GET).status == 200
        wire.send(b"GET /wait HTTP/1.1\r\n\r\n")
        assert server.app.waiting.wait(SAFETY_SECONDS)
        opener = server.connect()
        opener.send(post("/open", b"body")[:-1])
        server.server.should_exit = True
        idle.assert_closed()
        opener.send(b"y")
        answer = wire.read()
        assert (answer.body, answer.headers["connection"]) == (b"waited", "close")
        wire.assert_closed()


def joined(*parts: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    return st.tuples(*parts).map(b"".join)


METHODS = [b"GET ", b"POST ", b"CONNECT ", b"OPTIONS ", b"get ", b" "]
TARGETS = [b"/a", b"/early", b"*", b"http://h", b"http://h:x/", b"//", b"/%", b"/#?", b"", b"\xff"]
VERSIONS = [b" HTTP/1.1\r\n", b" HTTP/1.0\r\n", b" HTTP/2.0\r\n", b"\r\n", b"\n", b" HTTP/1.1"]
LENGTHS = [b"Content-Length: 3\r\n", b"Content-Length: 9\r\n", b"Transfer-Encoding: chunked\r\n"]
OPTIONS = [b"Connection: upgrade\r\n", b"Upgrade: x\r\n", b"Connection: close\r\n"]
OTHERS = [b"Expect: 100-continue\r\n", b"X: " + b"x" * 700 + b"\r\n", b"X: \xff\x00\r\n", b"X\r\n", b":\r\n"]
# As the size of a chunk, "abc" would announce 2,748 bytes that never come; "xyz" is none.
BODIES = [b"", b"xyz", b"3\r\nabc\r\n0\r\n\r\n", b"0\r\nT: t\r\n\r\n", b"3;x=y\r\nabc\r\n"]
REQUESTS = joined(
    *map(st.sampled_from, (METHODS, TARGETS, VERSIONS)),
    st.lists(st.sampled_from(LENGTHS + OPTIONS + OTHERS), max_size=5).map(b"".join),
    *map(st.sampled_from, ([b"\r\n", b""], BODIES)),
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(writes=st.lists(REQUESTS | joined(st.just(GET), REQUESTS) | st.binary(), min_size=1, max_size=5))
def test_any_bytes_get_answers_and_at_most_one_refusal(patient: Loopback, writes: list[bytes]) -> None:
    wire = patient.connect()
    with contextlib.suppress(ConnectionError):
        for data in writes:
            wire.send(data)
        wire.send(b"\r\n\r\n? this is no request, and no body that was announced\r\n\r\n")
    answer = wire.read()
    while answer.headers.get("connection") != "close":
        assert answer.status in (100, 200, 413)
        answer = wire.read()
    if answer.status not in (200, 413):
        slug = {400: "malformed-http", 431: "header-too-large"}[answer.status]
        answer.assert_problem(answer.status, slug)
    wire.assert_closed()
    wire.close()
    assert patient.errors.records == []
