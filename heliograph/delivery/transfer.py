"""One attempt on one libcurl handle: the request as it is set up, the answer as far as it is kept, what came of it.

The status decides once the answer is complete, or once it is longer than anybody will read. An answer that stops
before that, or is still under way at the deadline, is a failure whatever its status was: the receiver may have stopped
before it had taken the event, and a second delivery of the same event does no harm.
"""

from __future__ import annotations

import functools
import ipaddress
import logging
import re
import socket
import ssl
import time
from collections.abc import Callable
from typing import Any, Literal, Protocol

import msgspec
import pycurl

from heliograph.delivery.guard import Address, Destination
from heliograph.delivery.header_lines import header_lines
from heliograph.delivery.outcome import OURS, Outcome, OutcomeClass, Timings, by_status
from heliograph.ids import Secret, Uid

log = logging.getLogger(__name__)

HEADER_BYTES = 32 * 1024  # of all header blocks of one answer together, 1xx and trailers included
HEADER_COUNT = 100
BODY_BYTES_READ = 64 * 1024
BODY_BYTES_KEPT = 16 * 1024
CONNECT_SECONDS = 10.0
CONNECTION_SECONDS = 600  # a connection that is older is not used again
SCHEMES = pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS

_VERSIONS = {pycurl.CURL_HTTP_VERSION_1_0: "1.0", pycurl.CURL_HTTP_VERSION_1_1: "1.1", 3: "2"}

# libcurl's codes; those without a name in pycurl have theirs from libcurl-errors(3) beside them.
_BY_CODE: dict[int, OutcomeClass] = {
    pycurl.E_UNSUPPORTED_PROTOCOL: "bad_response",  # HTTP/0.9
    pycurl.E_COULDNT_RESOLVE_PROXY: "proxy_failed",
    pycurl.E_COULDNT_RESOLVE_HOST: "dns_failed",
    pycurl.E_COULDNT_CONNECT: "connect_refused",
    8: "bad_response",  # CURLE_WEIRD_SERVER_REPLY
    pycurl.E_HTTP2: "connection_reset",
    pycurl.E_PARTIAL_FILE: "connection_reset",
    pycurl.E_OPERATION_TIMEDOUT: "timeout",
    pycurl.E_SSL_CONNECT_ERROR: "tls_failed",
    43: "tls_failed",  # CURLE_BAD_FUNCTION_ARGUMENT: a key that is encrypted, broken, or not the certificate's
    pycurl.E_GOT_NOTHING: "connection_reset",
    pycurl.E_SEND_ERROR: "connection_reset",
    pycurl.E_RECV_ERROR: "connection_reset",
    pycurl.E_SSL_CERTPROBLEM: "tls_failed",
    pycurl.E_SSL_CIPHER: "tls_failed",
    pycurl.E_PEER_FAILED_VERIFICATION: "certificate_refused",
    pycurl.E_SSL_CACERT_BADFILE: "tls_failed",
    pycurl.E_SSL_ISSUER_ERROR: "certificate_refused",
    pycurl.E_BAD_CONTENT_ENCODING: "bad_response",
    92: "connection_reset",  # CURLE_HTTP2_STREAM
    97: "proxy_failed",  # CURLE_PROXY
    98: "tls_failed",  # CURLE_SSL_CLIENTCERT
    100: "response_too_large",  # CURLE_TOO_LARGE
}


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One request to make.

    `timeout` is in seconds and covers everything, looking the name up included. `ca` replaces the system's trusted
    issuers; `certificate` (with its chain) and `private_key` are what this side shows of itself; all are PEM.
    """

    key: str
    tenant_uid: Uid
    destination: Destination
    headers: tuple[tuple[str, str], ...]
    body: bytes = b""
    method: Literal["POST", "OPTIONS"] = "POST"
    timeout: float = 30.0
    http2: bool = True
    ca: str | None = None
    certificate: str | None = None
    private_key: Secret | None = None

    def __repr__(self) -> str:
        """Show no headers and no body: they may hold secrets."""
        return f"Attempt(key={self.key!r}, destination={self.destination!r}, method={self.method!r})"


class Sending(Protocol):
    """What makes requests: `heliograph.delivery.sender.Sender`."""

    def send(self, attempt: Attempt, done: Callable[[Outcome], None]) -> None:
        """Make one request, and call `done` once, on any thread, with what came of it."""

    def close(self, drain: float = 0.0) -> None:
        """End everything."""


def prepare(curl: Any, proxy: Secret | None) -> None:
    """Set a handle that is fresh or reset up with what all requests have in common."""
    curl.setopt(pycurl.PATH_AS_IS, 1)
    curl.setopt(pycurl.PROTOCOLS, SCHEMES)
    curl.setopt(pycurl.REDIR_PROTOCOLS, SCHEMES)
    curl.setopt(pycurl.FOLLOWLOCATION, 0)
    _set_proxy(curl, proxy)
    curl.setopt(pycurl.NOSIGNAL, 1)
    curl.setopt(pycurl.TCP_KEEPALIVE, 1)
    curl.setopt(pycurl.MAXLIFETIME_CONN, CONNECTION_SECONDS)
    curl.setopt(pycurl.HTTP09_ALLOWED, 0)
    curl.setopt(pycurl.HTTP_CONTENT_DECODING, 0)
    curl.setopt(pycurl.SSLVERSION, pycurl.SSLVERSION_TLSv1_2)
    curl.setopt(pycurl.SSL_VERIFYPEER, 1)
    curl.setopt(pycurl.SSL_VERIFYHOST, 2)
    _set_places(curl, pycurl.CAINFO, pycurl.CAPATH, trusted_issuers())


def clear(curl: Any) -> None:
    """Let a handle forget a plain request, whose headers and body may hold secrets."""
    for option in (pycurl.OPENSOCKETFUNCTION, pycurl.HEADERFUNCTION, pycurl.WRITEFUNCTION, pycurl.HTTPHEADER):
        curl.unsetopt(option)
    curl.setopt(pycurl.POSTFIELDS, b"")


class Transfer:
    """An attempt under way; made and used on the sender's thread only."""

    def __init__(self, attempt: Attempt, done: Callable[[Outcome], None]) -> None:
        self.attempt = attempt
        self.done = done
        self.addresses: list[Address] = []  # still to be tried, each of them checked
        self._started = time.monotonic()
        self.deadline = self._started + attempt.timeout
        self.resolved = self._started
        self._address: Address | None = None
        self._address_text: str | None = None
        self._proxied = False
        self._dialled = False
        self._fault: OutcomeClass | None = None
        self._begin_answer()

    def _begin_answer(self) -> None:
        self._headers: list[tuple[str, str]] = []
        self._header_bytes = 0
        self._header_count = 0
        self._header_ended = False
        self._body = bytearray()
        self._body_bytes = 0
        self._too_large: Literal["header", "body"] | None = None

    @property
    def is_plain(self) -> bool:
        """Whether its handle can carry another request once it has been cleared: it has nobody's certificates."""
        attempt = self.attempt
        return attempt.method == "POST" and attempt.ca is None and attempt.certificate is None

    def begin(self, curl: Any, *, proxied: bool) -> None:
        """Set a handle that is prepared up for the next address.

        Raises:
            ValueError: when the attempt has a header that cannot be sent.
        """
        left = max(self.deadline - time.monotonic(), 0.001)
        patience = min(CONNECT_SECONDS, left / len(self.addresses))
        self._address = self.addresses.pop(0)
        self._address_text = str(self._address)
        self._proxied = proxied
        self._begin_answer()
        attempt = self.attempt
        destination = attempt.destination
        curl.setopt(pycurl.URL, destination.url)
        # The name stays in the URL, for Host, SNI and the certificate; the connection goes to the checked address,
        # and libcurl uses a connection again for the same name and the same address only.
        curl.setopt(pycurl.CONNECT_TO, [f"::{self._bracketed()}:{destination.port}"])
        curl.setopt(pycurl.OPENSOCKETFUNCTION, self.open_socket)
        curl.setopt(pycurl.TIMEOUT_MS, max(1, int(left * 1000)))
        curl.setopt(pycurl.CONNECTTIMEOUT_MS, max(1, int(patience * 1000)))
        two = attempt.http2
        curl.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_2TLS if two else pycurl.CURL_HTTP_VERSION_1_1)
        curl.setopt(pycurl.HEADERFUNCTION, self._take_header)
        curl.setopt(pycurl.WRITEFUNCTION, self._take_body)
        curl.setopt(pycurl.HTTPHEADER, header_lines(attempt.headers))
        if attempt.method == "POST":
            curl.setopt(pycurl.POST, 1)
            curl.setopt(pycurl.POSTFIELDS, attempt.body)
        else:
            curl.setopt(pycurl.HTTPGET, 1)
            curl.setopt(pycurl.CUSTOMREQUEST, attempt.method)
        if attempt.ca is not None:
            _set_places(curl, pycurl.CAINFO, pycurl.CAPATH, (None, None))
            curl.setopt(pycurl.CAINFO_BLOB, attempt.ca.encode())
        if attempt.certificate is not None and attempt.private_key is not None:
            curl.setopt(pycurl.SSLCERT_BLOB, attempt.certificate.encode())
            curl.setopt(pycurl.SSLKEY_BLOB, attempt.private_key.reveal().encode())
            # Without a password, some builds of OpenSSL ask on the terminal for that of an encrypted key, and wait.
            curl.setopt(pycurl.KEYPASSWD, "")

    def _bracketed(self) -> str:
        if isinstance(self._address, ipaddress.IPv6Address):
            return f"[{ipaddress.IPv6Address(int(self._address))}]"  # without its zone
        return str(self._address_text)

    # -- what libcurl calls ------------------------------------------------------------------------------------------

    def open_socket(self, purpose: int, target: Any) -> Any:
        """Make the socket for a connection to the checked address, and for no other."""
        family, kind, protocol, sockaddr = target
        self._dialled = True
        if not self._proxied:  # an operator's proxy may be anywhere; it is told the checked address
            internet = family in (socket.AF_INET, socket.AF_INET6)
            if not internet or ipaddress.ip_address(sockaddr[0]) != self._address:
                self._fault = "address_refused"
                return pycurl.SOCKET_BAD
        try:
            return _OwnSocket(family, kind, protocol)
        except OSError:  # no more descriptors
            self._fault = "sender_failed"
            return pycurl.SOCKET_BAD

    def _take_header(self, line: bytes) -> int | None:
        self._header_bytes += len(line)
        self._header_count += 1
        if self._header_bytes > HEADER_BYTES or self._header_count > HEADER_COUNT:
            self._too_large = "header"
            return 0  # libcurl takes anything but the length as the wish to stop
        name, colon, value = line.decode("latin-1").partition(":")
        if line.startswith(b"HTTP/"):
            self._headers.clear()  # what came before was interim (1xx), or a proxy's
            self._header_ended = False
        elif colon:
            self._headers.append((name.strip(), value.strip()))
        elif not line.strip():
            self._header_ended = True
        return None

    def _take_body(self, data: bytes) -> int | None:
        self._body_bytes += len(data)
        self._body += data[: BODY_BYTES_KEPT - len(self._body)]
        if self._body_bytes > BODY_BYTES_READ:
            self._too_large = "body"
            return 0
        return None

    # -- how it ends -------------------------------------------------------------------------------------------------

    def may_go_on(self, curl: Any, code: int) -> bool:
        """Tell whether the next address is worth a try: no connection came about, so nothing has been sent."""
        failed = code == pycurl.E_COULDNT_CONNECT or (code == pycurl.E_OPERATION_TIMEDOUT and not self._connected(curl))
        return failed and self._fault is None and bool(self.addresses) and time.monotonic() < self.deadline

    def ended(self, curl: Any, code: int, message: str) -> Outcome:
        """Say what came of the attempt; `code` and `message` are libcurl's, 0 for a complete answer."""
        status = curl.getinfo(pycurl.RESPONSE_CODE)
        status = status if status >= 200 else None
        outcome = self._classify(curl, code, message, status)
        complete = self._complete(code)
        if complete:
            message = f"The receiver answered {status}"
        elif outcome == "response_too_large":
            message = "The header of the answer is too large to be read"
        elif outcome in OURS:
            # Details are the operator's: they may name its proxy.
            log.error("a request was not made: %s (libcurl error %d)", message, code)
            message = "The request did not leave the platform"
        return Outcome(
            key=self.attempt.key,
            outcome=outcome,
            message=_sentence(message or "The answer broke off"),
            status=status,
            headers=tuple(self._headers) if status else (),
            body=bytes(self._body),
            truncated=self._body_bytes > len(self._body) or (status is not None and not complete),
            address=self._address_text,
            http_version=_VERSIONS.get(curl.getinfo(pycurl.INFO_HTTP_VERSION)) if status else None,
            timings=self._timings(curl),
        )

    def failed(self, outcome: OutcomeClass, message: str) -> Outcome:
        """Say that nothing, or nothing more, was sent."""
        return Outcome(
            key=self.attempt.key,
            outcome=outcome,
            message=message,
            address=self._address_text,
            timings=Timings(resolve=self._since_start(self.resolved), total=self._since_start(time.monotonic())),
        )

    def _connected(self, curl: Any) -> bool:
        """Tell whether there was a connection to send on, one from before or a new one that is ready, TLS included."""
        tls = self.attempt.destination.scheme == "https"
        return not self._dialled or bool(curl.getinfo(pycurl.APPCONNECT_TIME if tls else pycurl.CONNECT_TIME))

    def _complete(self, code: int) -> bool:
        """Tell whether the answer is all there; libcurl lets a header pass that ends with the connection."""
        return self._header_ended and (code == 0 or self._too_large == "body")

    def _classify(self, curl: Any, code: int, message: str, status: int | None) -> OutcomeClass:
        if self._fault is not None:
            return self._fault
        if self._too_large == "header":
            return "response_too_large"
        if self._complete(code):
            return by_status(status or 0)
        if code == 0:
            return "connection_reset"
        if code == pycurl.E_OPERATION_TIMEDOUT and not self._connected(curl):
            return "connect_timeout"
        if self._proxied and (code == pycurl.E_COULDNT_CONNECT or curl.getinfo(pycurl.HTTP_CONNECTCODE) >= 300):
            return "proxy_failed"
        if code == pycurl.E_RECV_ERROR and status is None and "alert" in message:
            return "tls_failed"  # in TLS 1.3 the receiver judges the client's certificate after the handshake
        if code == pycurl.E_RECV_ERROR and "chunk" in message:
            return "bad_response"  # chunks that are none have no code of their own
        # What libcurl finds wrong once the receiver has spoken is the receiver's, whatever the code.
        return _BY_CODE.get(code) or ("sender_failed" if status is None else "bad_response")

    def _timings(self, curl: Any) -> Timings:
        connect, tls, first = (
            int(curl.getinfo(info) * 1_000_000)
            for info in (pycurl.CONNECT_TIME, pycurl.APPCONNECT_TIME, pycurl.STARTTRANSFER_TIME)
        )
        resolve = self._since_start(self.resolved)
        return Timings(
            resolve=resolve,
            connect=connect,
            tls=max(0, tls - connect),
            first_byte=resolve + first if first else 0,
            total=self._since_start(time.monotonic()),
        )

    def _since_start(self, moment: float) -> int:
        return int((moment - self._started) * 1_000_000)


class _OwnSocket(socket.socket):
    """Closes itself without a warning when it is dropped, as it is once pycurl has duplicated its descriptor."""

    def __del__(self) -> None:
        self.close()


@functools.cache
def trusted_issuers() -> tuple[str | None, str | None]:
    """Return the file, or else the folder, of issuers that this system trusts; the environment may name another.

    libcurl's own path is that of the system it was built on.
    """
    paths = ssl.get_default_verify_paths()
    return (paths.cafile, None) if paths.cafile else (None, paths.capath)


def _set_proxy(curl: Any, proxy: Secret | None) -> None:
    # Set even when empty: otherwise the environment's proxies would be used.
    curl.setopt(pycurl.PROXY, proxy.reveal() if proxy else "")
    curl.setopt(pycurl.NOPROXY, "")
    if proxy is not None:
        curl.setopt(pycurl.HTTPPROXYTUNNEL, 1)  # the checked address travels in CONNECT
        _set_places(curl, pycurl.PROXY_CAINFO, pycurl.PROXY_CAPATH, trusted_issuers())


def _set_places(curl: Any, file_option: int, folder_option: int, places: tuple[str | None, str | None]) -> None:
    for option, place in zip((file_option, folder_option), places, strict=True):
        if place is not None:
            curl.setopt(option, place)
        else:
            curl.unsetopt(option)


def _sentence(message: str) -> str:
    """Return libcurl's message, which may repeat what the receiver sent, as a sentence that is fit for a terminal."""
    return re.sub(r"[^ -~]", "?", message).strip().rstrip(".")[:300] + "."
