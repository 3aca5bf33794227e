"""What one attempt came to: a closed list of classes, with what each means and what helps; pure."""

from __future__ import annotations

from typing import Literal, get_args

import msgspec

OutcomeClass = Literal[
    "delivered",
    "redirect",
    "client_error",
    "gone",
    "too_many_requests",
    "server_error",
    "bad_gateway",
    "unavailable",
    "gateway_timeout",
    "address_refused",
    "dns_failed",
    "connect_refused",
    "connect_timeout",
    "connection_reset",
    "tls_failed",
    "certificate_refused",
    "timeout",
    "response_too_large",
    "bad_response",
    "proxy_failed",
    "sender_failed",
    "shutdown",
]

CLASSES: tuple[OutcomeClass, ...] = get_args(OutcomeClass)

OURS: frozenset[OutcomeClass] = frozenset({"proxy_failed", "sender_failed", "shutdown"})
"""Not the receiver's doing: such an attempt says nothing about the endpoint."""

MEANINGS: tuple[tuple[OutcomeClass, str, str], ...] = (
    ("delivered", "The receiver answered 2xx.", "Nothing is to be done."),
    ("redirect", "The receiver answered 3xx. Redirects are not followed.", "Give the endpoint the final URL."),
    ("client_error", "The receiver answered 4xx: it refuses the request.", "Look at its answer, then at its log."),
    ("gone", "The receiver answered 410: it wants no more events.", "Enable the endpoint when it wants them again."),
    ("too_many_requests", "The receiver answered 429.", "Lower the endpoint's rate, or raise the receiver's limit."),
    ("server_error", "The receiver answered 5xx: it failed.", "Look at the receiver's log."),
    ("bad_gateway", "The receiver's proxy answered 502.", "See whether the program behind that proxy runs."),
    ("unavailable", "The receiver answered 503.", "See whether it is overloaded or under maintenance."),
    ("gateway_timeout", "The receiver's proxy answered 504.", "Answer first and do the work afterwards."),
    (
        "address_refused",
        "The URL leads to an address that is not public, if only among others.",
        "Use a public address, or have the operator allow the network (HELIOGRAPH_DELIVERY_ALLOW_NETWORKS).",
    ),
    ("dns_failed", "The host name has no address, or its name server did not answer.", "Check the name in the DNS."),
    ("connect_refused", "No connection: nothing listens there, or no route leads there.", "Check port and firewall."),
    ("connect_timeout", "No connection in time.", "See whether a firewall drops the packets silently."),
    (
        "connection_reset",
        "The connection ended before the answer was complete.",
        "Look at the receiver's log: it, or a proxy before it, may have a shorter time-out, or refuse the certificate "
        "that the endpoint shows.",
    ),
    ("tls_failed", "TLS could not be agreed on.", "Offer TLS 1.2 or 1.3; check the endpoint's client certificate."),
    (
        "certificate_refused",
        "The receiver's certificate is expired, for another name, or from an unknown issuer.",
        "Renew it, send its whole chain, or give the endpoint the issuer's certificate (CA).",
    ),
    ("timeout", "No complete answer within the endpoint's time-out.", "Answer first and do the work afterwards."),
    ("response_too_large", "The answer's header is too large to be read.", "Send fewer and smaller headers."),
    ("bad_response", "The answer is not HTTP.", "Check that the port speaks HTTP, and that http and https match."),
    ("proxy_failed", "The operator's proxy did not carry the request.", "The operator checks the proxy."),
    ("sender_failed", "The request could not be made; a fault of the platform.", "The operator looks at the log."),
    ("shutdown", "The platform was stopped while the request was under way.", "It is sent again after the start."),
)
"""Rows of class, meaning and remedy, for the documentation."""

_BY_STATUS: dict[int, OutcomeClass] = {
    410: "gone",
    429: "too_many_requests",
    502: "bad_gateway",
    503: "unavailable",
    504: "gateway_timeout",
}
_BY_HUNDRED: dict[int, OutcomeClass] = {2: "delivered", 3: "redirect", 4: "client_error", 5: "server_error"}


def by_status(status: int) -> OutcomeClass:
    """Return the class of a complete answer with this status."""
    return _BY_STATUS.get(status) or _BY_HUNDRED.get(status // 100, "bad_response")


class Timings(msgspec.Struct, frozen=True, kw_only=True):
    """Durations in microseconds from the start of their own step; `first_byte` and `total` from the very start.

    0 where the step was not needed (a connection that was open already) or not reached.
    """

    resolve: int = 0
    connect: int = 0
    tls: int = 0
    first_byte: int = 0
    total: int = 0


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """The end of one attempt.

    `status` is set as soon as the receiver sent one, though the attempt may have failed after it. `headers` and `body`
    are what was kept of the answer; `truncated` tells that there was or may have been more. A body in some encoding
    is kept as it came. `address` is the one that was connected to.
    """

    key: str
    outcome: OutcomeClass
    message: str
    status: int | None = None
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    truncated: bool = False
    address: str | None = None
    http_version: str | None = None
    timings: Timings = Timings()

    @property
    def delivered(self) -> bool:
        """Whether the receiver took the event."""
        return self.outcome == "delivered"
