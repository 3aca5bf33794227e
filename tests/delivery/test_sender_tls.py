"""TLS is checked against the name, with the issuers and the client certificate of the endpoint alone."""

from __future__ import annotations

import ssl
import warnings
from collections.abc import Callable
from ipaddress import IPv4Address
from pathlib import Path

import h2.config
import h2.connection
import h2.events
import pytest

from heliograph.delivery.transfer import trusted_issuers
from heliograph.ids import Secret
from tests.delivery.certificates import PAST, Pair, authority, issue, server_context
from tests.delivery.conftest import Names, Post
from tests.delivery.receivers import NO_CONTENT, Connection, Receiver

NAME = "receiver.test"
# In TLS 1.3 the receiver hangs up after the handshake, and its reason may be lost with the connection.
NOT_ACCEPTED = ("tls_failed", "connection_reset")


@pytest.fixture
def context(issuer: Pair, tmp_path: Path) -> ssl.SSLContext:
    return server_context(issue(issuer, NAME), tmp_path)


def test_receiver_with_a_certificate_of_the_given_issuer_is_trusted(
    post: Post, context: ssl.SSLContext, issuer: Pair
) -> None:
    asked: list[str | None] = []
    context.sni_callback = lambda connection, name, context: asked.append(name)
    with Receiver(tls=context) as receiver:
        found = [post.send(f"https://{NAME}:{receiver.port}/", ca=issuer.pem) for _ in range(3)]
    assert [outcome.outcome for outcome in found] == ["delivered"] * 3
    assert found[0].timings.tls > 0
    assert (asked, receiver.connections) == ([NAME], 1)


def test_receiver_at_an_address_needs_a_certificate_for_it(post: Post, issuer: Pair, tmp_path: Path) -> None:
    with Receiver(tls=server_context(issue(issuer, "127.0.0.1"), tmp_path)) as receiver:
        assert post.send(f"https://127.0.0.1:{receiver.port}/", ca=issuer.pem).delivered
        assert post.send(f"https://{NAME}:{receiver.port}/", ca=issuer.pem).outcome == "certificate_refused"


def test_issuers_of_the_system_are_trusted_where_none_is_given(
    make_post: Callable[..., Post],
    context: ssl.SSLContext,
    issuer: Pair,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = tmp_path / "issuers.pem"
    file.write_text(issuer.pem)
    monkeypatch.setattr("heliograph.delivery.transfer.trusted_issuers", lambda: (str(file), None))
    with Receiver(tls=context) as receiver:
        url = f"https://{NAME}:{receiver.port}/"
        post = make_post()
        assert post.send(url).delivered
        assert post.send(url, ca=authority("another").pem).outcome == "certificate_refused"


def test_issuers_of_the_system_are_looked_for_where_openssl_does(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, issuer: Pair
) -> None:
    file = tmp_path / "issuers.pem"
    file.write_text(issuer.pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    assert trusted_issuers.__wrapped__() == (str(file), None)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "missing"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    assert trusted_issuers.__wrapped__() == (None, str(tmp_path))


def test_certificate_of_an_unknown_issuer_is_refused(post: Post, context: ssl.SSLContext) -> None:
    with Receiver(tls=context) as receiver:
        for ca in (None, authority("another").pem):
            found = post.send(f"https://{NAME}:{receiver.port}/", ca=ca)
            assert (found.outcome, found.status) == ("certificate_refused", None)
    assert receiver.requests == []


def test_certificate_for_another_name_is_refused(post: Post, context: ssl.SSLContext, issuer: Pair) -> None:
    with Receiver(tls=context) as receiver:
        for host in ("other.test", "sub.receiver.test", "127.0.0.1"):
            assert post.send(f"https://{host}:{receiver.port}/", ca=issuer.pem).outcome == "certificate_refused"
    assert receiver.requests == []


def test_expired_certificate_is_refused(post: Post, issuer: Pair, tmp_path: Path) -> None:
    with Receiver(tls=server_context(issue(issuer, NAME, PAST), tmp_path)) as receiver:
        found = post.send(f"https://{NAME}:{receiver.port}/", ca=issuer.pem)
    assert found.outcome == "certificate_refused"
    assert "expired" in found.message


@pytest.mark.parametrize("ca", ["no certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_issuer_that_cannot_be_read_trusts_nobody(post: Post, context: ssl.SSLContext, ca: str) -> None:
    with Receiver(tls=context) as receiver:
        found = post.send(f"https://{NAME}:{receiver.port}/", ca=ca)
    assert found.outcome in ("tls_failed", "certificate_refused")
    assert receiver.requests == []


def test_receiver_without_tls_is_told_from_one_that_does_not_answer(post: Post, issuer: Pair) -> None:
    with Receiver(_answer_plainly) as receiver:
        assert post.send(f"https://{NAME}:{receiver.port}/", ca=issuer.pem).outcome == "tls_failed"
    with Receiver(_swallow) as receiver:
        assert post.send(f"https://{NAME}:{receiver.port}/", timeout=0.3).outcome == "connect_timeout"


def _answer_plainly(connection: Connection) -> None:
    connection.socket.recv(65536)
    connection.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")


def _swallow(connection: Connection) -> None:
    while connection.socket.recv(65536):
        pass


def test_tls_below_1_2_is_refused(post: Post, context: ssl.SSLContext, issuer: Pair) -> None:
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    with Receiver(tls=context) as receiver:
        assert post.send(f"https://{NAME}:{receiver.port}/", ca=issuer.pem).outcome == "tls_failed"


# -- client certificates --------------------------------------------------------------------------------------------


@pytest.fixture(params=[ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["TLS 1.2", "TLS 1.3"])
def demanding(issuer: Pair, tmp_path: Path, request: pytest.FixtureRequest) -> ssl.SSLContext:
    context = server_context(issue(issuer, NAME), tmp_path, clients=issuer)
    context.maximum_version = request.param
    return context


def shown(pair: Pair, key: Pair | None = None) -> dict[str, object]:
    return {"certificate": pair.pem, "private_key": Secret((key or pair).key_pem)}


def test_client_certificate_is_shown_where_it_is_demanded(post: Post, demanding: ssl.SSLContext, issuer: Pair) -> None:
    with Receiver(tls=demanding) as receiver:
        url = f"https://{NAME}:{receiver.port}/"
        for _ in range(2):
            assert post.send(url, ca=issuer.pem, **shown(issue(issuer, "client.test"))).delivered
        assert post.send(url, ca=issuer.pem).outcome in NOT_ACCEPTED
        stranger = authority("another")
        found = post.send(url, ca=issuer.pem, **shown(issue(stranger, "client.test")))
        assert found.outcome in NOT_ACCEPTED
    assert len(receiver.requests) == 2


def test_connection_of_one_client_certificate_serves_no_other(
    post: Post, demanding: ssl.SSLContext, issuer: Pair
) -> None:
    one, two = issue(issuer, "one.test"), issue(issuer, "two.test")
    seen: list[str] = []

    def script(connection: Connection) -> None:
        assert isinstance(connection.socket, ssl.SSLSocket)
        subject = dict(row[0] for row in (connection.socket.getpeercert() or {})["subject"])  # type: ignore[misc]  # tuples of pairs, typed loosely
        while connection.read_request():
            seen.append(subject["commonName"])
            connection.send(NO_CONTENT)

    with Receiver(script, tls=demanding) as receiver:
        url = f"https://{NAME}:{receiver.port}/"
        for pair in (one, two, one, two):
            assert post.send(url, ca=issuer.pem, **shown(pair)).delivered
        assert post.send(url, ca=issuer.pem).outcome in NOT_ACCEPTED
        # A certificate is public: whoever shows it without its key gets neither its connection nor its session.
        assert post.send(url, ca=issuer.pem, **shown(one, key=two)).outcome == "tls_failed"
        # With another issuer to trust it is another connection as well.
        assert post.send(url, ca=authority("another").pem, **shown(one)).outcome == "certificate_refused"
    assert seen == ["one.test", "two.test", "one.test", "two.test"]


@pytest.mark.parametrize("key", ["encrypted", "broken"])
def test_key_that_cannot_be_used_fails_at_once(post: Post, demanding: ssl.SSLContext, issuer: Pair, key: str) -> None:
    pair = issue(issuer, "client.test")
    text = {"encrypted": pair.encrypted_key_pem, "broken": "no key"}[key]
    with Receiver(tls=demanding) as receiver:
        found = post.send(
            f"https://{NAME}:{receiver.port}/", ca=issuer.pem, certificate=pair.pem, private_key=Secret(text)
        )
    assert found.outcome == "tls_failed"
    assert receiver.requests == []


def test_nothing_of_an_attempt_stays_with_the_handle_that_the_next_one_uses(
    post: Post, demanding: ssl.SSLContext, issuer: Pair, names: Names
) -> None:
    names.answers["second.test"] = [[IPv4Address("127.0.0.1")]]
    with Receiver(tls=demanding) as first, Receiver() as second:
        url = f"https://{NAME}:{first.port}/"
        assert post.send(url, ca=issuer.pem, headers=(("x-a", "b"),), **shown(issue(issuer, "client.test"))).delivered
        assert post.send(f"http://second.test:{second.port}/").delivered
        # Whose refusal comes first depends on the version of TLS: ours of its certificate, or its of none.
        assert post.send(url).outcome in ("certificate_refused", *NOT_ACCEPTED)
        assert post.send(url, ca=issuer.pem).outcome in NOT_ACCEPTED
    assert len(first.requests) == 1
    assert b"x-a" not in second.requests[0]


# -- HTTP/2 ---------------------------------------------------------------------------------------------------------


def two(requests: list[dict[str, str]], body: bytes = b"", padding: int = 0) -> Callable[[Connection], None]:
    """Make a script that answers every request in HTTP/2."""

    def script(connection: Connection) -> None:
        assert isinstance(connection.socket, ssl.SSLSocket)
        if connection.socket.selected_alpn_protocol() != "h2":
            while connection.read_request():
                connection.send(NO_CONTENT)
            return
        http = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        http.initiate_connection()
        connection.send(http.data_to_send())
        while data := connection.socket.recv(65536):
            for event in http.receive_data(data):
                if isinstance(event, h2.events.RequestReceived):
                    requests.append({str(name): str(value) for name, value in event.headers})
                elif isinstance(event, h2.events.DataReceived):
                    http.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                elif isinstance(event, h2.events.StreamEnded):
                    more = [(f"x-{number}", "y" * 100) for number in range(padding)]
                    http.send_headers(event.stream_id, [(":status", "200"), *more])
                    http.send_data(event.stream_id, body, end_stream=True)
            connection.send(http.data_to_send())

    return script


def test_http_2_is_spoken_over_tls_where_both_sides_want_it(post: Post, context: ssl.SSLContext, issuer: Pair) -> None:
    context.set_alpn_protocols(["h2", "http/1.1"])
    requests: list[dict[str, str]] = []
    with Receiver(two(requests, b"thanks"), tls=context) as receiver:
        url = f"https://{NAME}:{receiver.port}/hook?a=b"
        found = [post.send(url, ca=issuer.pem, body=b"{}", headers=(("webhook-id", "x"),)) for _ in range(2)]
        assert (found[1].outcome, found[1].http_version, found[1].body) == ("delivered", "2", b"thanks")
        assert receiver.connections == 1
        assert post.send(url, ca=issuer.pem, http2=False).http_version == "1.1"
    assert requests[0][":authority"] == f"{NAME}:{receiver.port}"
    assert (requests[0][":path"], requests[0]["webhook-id"]) == ("/hook?a=b", "x")
    assert requests[0]["accept-encoding"] == "identity"


def test_header_that_is_too_large_ends_its_request_over_http_2(
    post: Post, context: ssl.SSLContext, issuer: Pair
) -> None:
    context.set_alpn_protocols(["h2"])
    with Receiver(two([], padding=150), tls=context) as receiver:
        found = post.send(f"https://{NAME}:{receiver.port}/", ca=issuer.pem)
    assert found.outcome == "response_too_large"
    assert found.message == "The header of the answer is too large to be read."


def test_http_1_1_is_spoken_where_the_receiver_knows_no_other(
    post: Post, context: ssl.SSLContext, issuer: Pair
) -> None:
    with Receiver(tls=context) as receiver:
        assert post.send(f"https://{NAME}:{receiver.port}/", ca=issuer.pem).http_version == "1.1"
