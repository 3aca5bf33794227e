"""Which addresses a tenant's URL may lead to; pure, so that the rules can be tested without a network.

A URL is read strictly and put together anew from its parts, so that no two readers of it can disagree. Addresses are
judged by an explicit list and by number only: no name makes an exception.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

import idna

from heliograph.errors import Invalid
from heliograph.ids import Uid, parse_uid

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

URL_CHARACTERS = 2048
PORTS = {"http": 80, "https": 443}

_URL = re.compile(r"(?P<scheme>[^:/?#]+)://(?P<authority>[^/?#]*)(?P<path>[^?#]*)(?P<query>\?[^#]*)?(?P<fragment>#.*)?")
_AUTHORITY = re.compile(r"(?P<host>\[[^\]]*\]|[^:\[\]]*)(:(?P<port>[^:]*))?")
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"0x[0-9a-f]*|[0-9]+")


class AddressRefused(Exception):
    """The address may not be reached; the message says why and is fit for the tenant (it does not name the address)."""


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a request goes.

    `host` is an ASCII name in lower case, or an address in its usual notation without brackets; `target` is path and
    query. `address` is set when the host is an address, or a name that stands for one without being looked up.
    """

    scheme: str
    host: str
    port: int
    target: str
    address: Address | None = None

    @property
    def url(self) -> str:
        """The URL, put together from its parts."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{host}{port}{self.target}"


def read_url(text: str, pointer: str) -> Destination:
    """Read the URL of an endpoint (RFC 3986; hosts per UTS 46).

    Raises:
        Invalid: naming `pointer` and one of the rules url, length, characters, scheme, credentials, fragment, host
            and port.
    """
    if len(text) > URL_CHARACTERS:
        raise Invalid.at(pointer, "length", f"A URL has at most {URL_CHARACTERS} characters.")
    if re.search(r"[\x00-\x20\x7f-\xa0\\]|\s", text):
        raise Invalid.at(pointer, "characters", "A URL has no spaces, control characters or backslashes.")
    parts = _URL.fullmatch(text)
    if parts is None:
        raise Invalid.at(pointer, "url", "Expected a URL such as https://example.com/hook.")
    scheme = parts["scheme"].lower()
    if scheme not in PORTS:
        raise Invalid.at(pointer, "scheme", "The scheme must be http or https.")
    if "@" in parts["authority"]:
        raise Invalid.at(pointer, "credentials", "A URL holds no user name or password; use a header of the endpoint.")
    if parts["fragment"] is not None:
        raise Invalid.at(pointer, "fragment", "A URL to send to has no fragment (#...).")
    target = (parts["path"] or "/") + (parts["query"] or "")
    if not target.isascii():
        raise Invalid.at(pointer, "characters", "Characters other than ASCII are percent-encoded in path and query.")
    authority = _AUTHORITY.fullmatch(parts["authority"])
    if authority is None:
        raise Invalid.at(pointer, "host", "Expected a host name or an address; an IPv6 address stands in brackets.")
    host, address = _read_host(authority["host"], pointer)
    return Destination(scheme, host, _read_port(authority["port"], scheme, pointer), target, address)


def _read_port(text: str | None, scheme: str, pointer: str) -> int:
    if not text:  # RFC 3986 allows a colon without a number
        return PORTS[scheme]
    if re.fullmatch(r"[0-9]{1,5}", text) and 1 <= int(text) <= 65535:
        return int(text)
    raise Invalid.at(pointer, "port", "The port must lie between 1 and 65535.")


def _read_host(text: str, pointer: str) -> tuple[str, Address | None]:
    if text.startswith("["):
        try:
            # A zone identifier ("%eth0") is refused with the rest: it means this machine's own links only.
            six = IPv6Address(text[1:-1] if "%" not in text else "")
        except ValueError:
            raise Invalid.at(pointer, "host", "Expected an IPv6 address without a zone in the brackets.") from None
        return str(six), six
    name = _ascii_name(text, pointer)
    labels = name.split(".")
    # A name that ends in a number is an address to libcurl and to inet_aton, whatever notation it is in.
    if _NUMBER.fullmatch(labels[-1]):
        four = _old_notation(labels, pointer)
        return str(four), four
    if len(name) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise Invalid.at(pointer, "host", "Expected a host name of letters, digits, hyphens and dots.")
    return name, IPv4Address("127.0.0.1") if labels[-1] == "localhost" else None  # RFC 6761, section 6.3


def _ascii_name(text: str, pointer: str) -> str:
    try:
        name = text.lower() if text.isascii() else idna.encode(text, uts46=True).decode("ascii").lower()
    except UnicodeError:
        raise Invalid.at(pointer, "host", "This is not a valid international host name.") from None
    return name.removesuffix(".")


def _old_notation(parts: list[str], pointer: str) -> IPv4Address:
    """Read decimal, octal and hexadecimal numbers, the last of which fills the bytes that are left (inet_aton)."""
    try:
        *first, last = [_read_number(part) for part in parts]
        if len(first) > 3 or max(first, default=0) > 255 or last >= 256 ** (4 - len(first)):
            raise ValueError
    except ValueError:
        raise Invalid.at(pointer, "host", "A host that ends in a number must be an IPv4 address.") from None
    return IPv4Address(sum(number << (24 - 8 * place) for place, number in enumerate(first)) + last)


def _read_number(text: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise ValueError
    if text.startswith("0x"):
        return int(text, 16)
    return int(text, 8 if text.startswith("0") else 10)


# What no tenant may reach, with the words that complete "The address ...". The first match speaks.
BLOCKED: tuple[tuple[Network, str], ...] = tuple(
    (ipaddress.ip_network(network), reason)
    for network, reason in (
        ("0.0.0.0/8", "means this network (RFC 791)"),
        ("10.0.0.0/8", "is in a private network (RFC 1918)"),
        ("100.64.0.0/10", "is shared behind a carrier's NAT (RFC 6598)"),
        ("127.0.0.0/8", "is a loopback address (RFC 1122)"),
        ("168.63.129.16/32", "is the service address of a cloud platform"),
        ("169.254.0.0/16", "is link-local, as cloud metadata services are (RFC 3927)"),
        ("172.16.0.0/12", "is in a private network (RFC 1918)"),
        ("192.0.0.0/24", "is reserved for protocols (RFC 6890)"),
        ("192.0.2.0/24", "is reserved for documentation (RFC 5737)"),
        ("192.88.99.0/24", "was a relay for 6to4 (RFC 7526)"),
        ("192.168.0.0/16", "is in a private network (RFC 1918)"),
        ("198.18.0.0/15", "is reserved for benchmarks (RFC 2544)"),
        ("198.51.100.0/24", "is reserved for documentation (RFC 5737)"),
        ("203.0.113.0/24", "is reserved for documentation (RFC 5737)"),
        ("224.0.0.0/4", "is a multicast address (RFC 5771)"),
        ("255.255.255.255/32", "is the broadcast address (RFC 919)"),
        ("240.0.0.0/4", "is reserved (RFC 1112)"),
        ("::1/128", "is the loopback address (RFC 4291)"),
        ("::/128", "is the unspecified address (RFC 4291)"),
        ("::/96", "is an IPv4-compatible address (RFC 4291)"),
        ("64:ff9b:1::/48", "is for local translation to IPv4 (RFC 8215)"),
        ("100::/64", "leads nowhere (RFC 6666)"),
        ("2001::/32", "is a Teredo tunnel (RFC 4380)"),
        ("2001::/23", "is reserved for protocols (RFC 2928)"),
        ("2001:db8::/32", "is reserved for documentation (RFC 3849)"),
        ("2002::/16", "is a 6to4 tunnel (RFC 3056)"),
        ("3fff::/20", "is reserved for documentation (RFC 9637)"),
        ("5f00::/16", "is a segment routing identifier (RFC 9602)"),
        ("fc00::/7", "is in a private network (RFC 4193)"),
        ("fe80::/10", "is link-local (RFC 4291)"),
        ("fec0::/10", "is site-local (RFC 3879)"),
        ("ff00::/8", "is a multicast address (RFC 4291)"),
        # Global unicast is 2000::/3; what lies outside it is given to nobody (RFC 4291, section 2.4).
        ("::/3", "is in no assigned range"),
        ("4000::/2", "is in no assigned range"),
        ("8000::/1", "is in no assigned range"),
    )
)

_MAPPED = IPv6Network("::ffff:0:0/96")  # RFC 4291
_TRANSLATED = IPv6Network("64:ff9b::/96")  # NAT64, RFC 6052
_ENDS_IN_IPV4 = (IPv6Network("::/96"), IPv6Network("64:ff9b:1::/48"))


def readings(address: Address) -> tuple[Address, ...]:
    """Return all that an address may stand for: itself, and the IPv4 addresses that are written inside it.

    A mapped or translated address is nothing but the IPv4 address in it. Tunnels (6to4, Teredo) and the old compatible
    form are addresses of their own as well.
    """
    if isinstance(address, IPv4Address):
        return (address,)
    number = int(address)  # drops the zone
    plain = IPv6Address(number)
    last = IPv4Address(number & 0xFFFF_FFFF)
    if plain in _MAPPED or plain in _TRANSLATED:
        return (last,)
    if number > 1 and any(plain in network for network in _ENDS_IN_IPV4):
        return (plain, last)
    if plain.sixtofour is not None:
        return (plain, plain.sixtofour)
    if plain.teredo is not None:
        return (plain, *plain.teredo)
    return (plain,)


@dataclass(frozen=True, slots=True)
class Networks:
    """The operator's list of networks that may be reached although they are blocked, for all tenants or for one."""

    rows: tuple[tuple[Network, Uid | None], ...] = ()

    @classmethod
    def parse(cls, text: str) -> Networks:
        """Read a list such as `127.0.0.0/8,10.1.0.0/16@<tenant uid>`.

        Raises:
            ValueError: when an entry is no network, has bits set behind its prefix, or names no tenant after the `@`.
        """
        rows: list[tuple[Network, Uid | None]] = []
        for entry in filter(None, (part.strip() for part in text.split(","))):
            network, at, tenant = entry.partition("@")
            try:
                rows.append((ipaddress.ip_network(network), parse_uid(tenant, "") if at else None))
            except Invalid:
                raise ValueError(f"{tenant!r} is no tenant's uid") from None
        return cls(tuple(rows))

    def allow(self, address: Address, tenant_uid: Uid) -> bool:
        """Tell whether the list names the address for this tenant."""
        return any(tenant in (None, tenant_uid) and address in network for network, tenant in self.rows)


def check(address: Address, tenant_uid: Uid, networks: Networks) -> None:
    """Make sure that a tenant may reach an address, in every way that it can be read.

    Raises:
        AddressRefused: when one reading is blocked and the operator's list does not name it.
    """
    for reading in readings(address):
        reason = next((reason for network, reason in BLOCKED if reading in network), None)
        if reason is not None and not networks.allow(reading, tenant_uid):
            raise AddressRefused(f"The address {reason}.")
