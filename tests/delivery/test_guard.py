"""A URL is what libcurl would make of it, and no address that is not public passes unless the operator lists it."""

from __future__ import annotations

import ipaddress
import socket
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.delivery.guard import BLOCKED, Address, AddressRefused, Networks, check, read_url, readings
from heliograph.errors import Invalid
from heliograph.ids import as_hex, as_uuid, new_uid

TENANT = new_uid()
OTHER = new_uid()
NOBODY = Networks()


def passes(address: Address | str, networks: Networks = NOBODY) -> bool:
    try:
        check(ipaddress.ip_address(address) if isinstance(address, str) else address, TENANT, networks)
    except AddressRefused:
        return False
    return True


# -- URLs -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("https://example.com", "https://example.com/"),
        ("HTTPS://Example.COM:443/Hook", "https://example.com/Hook"),
        ("http://example.com:/hook?a=b&c", "http://example.com/hook?a=b&c"),
        ("http://example.com?a=/b", "http://example.com/?a=/b"),
        ("https://example.com:8443/a/../b%2F", "https://example.com:8443/a/../b%2F"),
        ("https://example.com./", "https://example.com/"),
        ("https://my_receiver-1/", "https://my_receiver-1/"),
        ("https://bücher.example/", "https://xn--bcher-kva.example/"),
        ("https://BÜCHER。example/", "https://xn--bcher-kva.example/"),
        ("https://xn--bcher-kva.example/", "https://xn--bcher-kva.example/"),
        ("http://8.8.8.8/", "http://8.8.8.8/"),
        ("http://[2001:4860:4860:0::8888]:8080/", "http://[2001:4860:4860::8888]:8080/"),
    ],
)
def test_url_is_put_together_anew_from_its_parts(text: str, url: str) -> None:
    assert read_url(text, "/url").url == url


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("", "url"),
        ("example.com/hook", "url"),
        ("//example.com/hook", "url"),
        ("https:/example.com", "url"),
        ("ftp://example.com", "scheme"),
        ("file:///etc/passwd", "scheme"),
        ("gopher://example.com", "scheme"),
        ("https://user@example.com", "credentials"),
        ("https://user:password@example.com", "credentials"),
        ("https://@example.com", "credentials"),
        ("https://example.com@10.0.0.1/", "credentials"),
        ("https://example.com/#part", "fragment"),
        ("https://example.com#", "fragment"),
        ("https://", "host"),
        ("https://:443/", "host"),
        ("https:///hook", "host"),
        ("https://./", "host"),
        ("https://a..b/", "host"),
        ("https://-a.example/", "host"),
        ("https://ex%61mple.com/", "host"),
        ("https://%31%32%37.0.0.1/", "host"),
        ("https://a,b/", "host"),
        ("https://" + "a" * 64 + ".example/", "host"),
        ("https://" + "a." * 127 + "example/", "host"),
        ("https://xn--a\u0301.example/", "host"),
        ("https://example.com\uff1a80/", "host"),
        ("https://[::1/", "host"),
        ("https://[::1]x/", "host"),
        ("https://::1/", "host"),
        ("https://[127.0.0.1]/", "host"),
        ("https://[v1.a]/", "host"),
        ("https://[fe80::1%eth0]/", "host"),
        ("https://[fe80::1%25eth0]/", "host"),
        ("https://example.com:0/", "port"),
        ("https://example.com:65536/", "port"),
        ("https://example.com:+80/", "port"),
        ("https://example.com:\uff18\uff10/", "port"),
        ("https://example.com:80:80/", "host"),
        ("https://example.com/a b", "characters"),
        (" https://example.com/", "characters"),
        ("https://example.com/\r\nx: y", "characters"),
        ("https://exam\tple.com/", "characters"),
        ("https://example.com\\@10.0.0.1/", "characters"),
        ("https://example.com/\x00", "characters"),
        ("https://example.com/\u2028", "characters"),
        ("https://example.com/ü", "characters"),
        ("https://example.com/" + "a" * 2048, "length"),
    ],
)
def test_url_that_breaks_a_rule_is_refused_by_that_rule(text: str, rule: str) -> None:
    with pytest.raises(Invalid) as refused:
        read_url(text, "/url")
    assert [(fault.pointer, fault.rule) for fault in refused.value.faults] == [("/url", rule)]


@given(st.text(max_size=60) | st.from_regex(r"https?://[^\s]{0,40}", fullmatch=True))
def test_any_text_is_read_or_refused_and_what_was_read_reads_the_same_again(text: str) -> None:
    try:
        found = read_url(text, "/url")
    except Invalid:
        return
    assert read_url(found.url, "/url") == found
    assert found.url.isascii()


# -- addresses in disguise ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.0.0.1.",
        "127.1",
        "127.0.1",
        "2130706433",
        "0x7f000001",
        "0X7F.0x0.0x0.0x1",
        "0x7f.1",
        "017700000001",
        "0177.0.0.01",
        "0177.0x0.1",
        "\uff11\uff12\uff17.0.0.1",
        "127。0。0。1",
        "①②⑦.1",
        "localhost",
        "LOCALHOST.",
        "anything.localhost",
        "ⓛocalhost",
    ],
)
def test_loopback_is_recognised_in_every_notation(host: str) -> None:
    found = read_url(f"http://{host}/", "/url")
    assert found.address == IPv4Address("127.0.0.1")
    assert not passes(found.address)


@pytest.mark.parametrize(
    "host", ["256.1", "1.2.3.256", "1.2.3.4.5", "4294967296", "0x", "08.1", "1.2.3.0x100", "a.1", "1..2"]
)
def test_host_that_ends_in_a_number_but_is_no_address_is_refused(host: str) -> None:
    with pytest.raises(Invalid):
        read_url(f"http://{host}/", "/url")


@given(st.lists(st.integers(0, 255), min_size=0, max_size=3), st.integers(0, 2**32 - 1), st.data())
def test_old_notations_mean_what_inet_aton_makes_of_them(first: list[int], last: int, data: st.DataObject) -> None:
    forms = (str, hex, lambda number: f"0{number:o}")
    numbers = [*first, last % 256 ** (4 - len(first))]
    host = ".".join(data.draw(st.sampled_from(forms))(number) for number in numbers)
    assert read_url(f"http://{host}/", "/url").address == IPv4Address(socket.inet_aton(host))


@pytest.mark.parametrize("host", ["localhost.example.com", "notlocalhost", "127.0.0.1.example.com", "0x7f.com"])
def test_name_that_only_looks_like_an_address_is_a_name(host: str) -> None:
    assert read_url(f"http://{host}/", "/url").address is None


# -- which addresses pass -------------------------------------------------------------------------------------------

BAD_IPV4 = [
    str(IPv4Address(0)), "0.1.2.3", "10.0.0.1", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.255.255.254",
    "168.63.129.16", "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.1", "192.0.0.192", "192.0.2.1",
    "192.88.99.1", "192.168.1.1", "198.18.0.1", "198.19.255.255", "198.51.100.7", "203.0.113.7", "224.0.0.1",
    "239.255.255.255", "240.0.0.1", "255.255.255.255",
]  # fmt: skip
GOOD_IPV4 = ["1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "172.15.255.255",
             "172.32.0.0", "192.0.1.0", "198.17.255.255", "198.20.0.0", "223.255.255.255"]  # fmt: skip


def embedded(pattern: str, address: str) -> str:
    number = int(IPv4Address(address))
    return pattern.format(high=f"{number >> 16:x}", low=f"{number & 0xFFFF:x}", dotted=address,
                          flip_high=f"{number >> 16 ^ 0xFFFF:x}", flip_low=f"{number & 0xFFFF ^ 0xFFFF:x}")  # fmt: skip


@pytest.mark.parametrize("address", BAD_IPV4)
def test_ipv4_address_that_is_not_public_is_refused(address: str) -> None:
    assert not passes(address)


@pytest.mark.parametrize("address", GOOD_IPV4)
def test_public_ipv4_address_passes(address: str) -> None:
    assert passes(address)


@pytest.mark.parametrize("address", BAD_IPV4)
@pytest.mark.parametrize(
    "pattern",
    [
        "::ffff:{dotted}",
        "::{dotted}",
        "64:ff9b::{dotted}",
        "64:ff9b:1::{dotted}",
        "2002:{high}:{low}::1",
        "2001:0:808:808:0:0:{flip_high}:{flip_low}",
        "2001:0:{high}:{low}:0:0:f7f7:f7f7",
    ],
    ids=["mapped", "compatible", "nat64", "nat64-local", "6to4", "teredo-client", "teredo-server"],
)
def test_ipv4_address_that_is_not_public_is_refused_inside_an_ipv6_address(pattern: str, address: str) -> None:
    found = ipaddress.ip_address(embedded(pattern, address))
    assert IPv4Address(address) in readings(found) or found in (IPv6Address("::"), IPv6Address("::1"))
    assert not passes(found)


@pytest.mark.parametrize("pattern", ["::ffff:{dotted}", "64:ff9b::{dotted}"], ids=["mapped", "nat64"])
def test_public_ipv4_address_passes_where_it_is_merely_translated(pattern: str) -> None:
    assert passes(embedded(pattern, "8.8.8.8"))


@pytest.mark.parametrize(
    "address",
    ["::", "::1", "::8.8.8.8", "64:ff9b:1::8.8.8.8", "100::1", "2001::1", "2001:2::1", "2001:10::1", "2001:db8::1",
     "2002:808:808::1", "3fff::1", "5f00::1", "fc00::1", "fd00:ec2::254", "fe80::1", "fe80::1%eth0", "fec0::1",
     "ff02::1", "1::1", "4000::1", "e000::1"],
)  # fmt: skip
def test_ipv6_address_that_is_not_public_is_refused(address: str) -> None:
    assert not passes(address)


@pytest.mark.parametrize("address", ["2606:4700:4700::1111", "2001:4860:4860::8888", "2a00::1", "2001:200::1"])
def test_public_ipv6_address_passes(address: str) -> None:
    assert passes(address)


@pytest.mark.parametrize("row", BLOCKED, ids=lambda row: str(row[0]))
def test_blocked_range_is_refused_to_its_edges_in_words_that_do_not_name_the_address(row: tuple[object, str]) -> None:
    network = ipaddress.ip_network(str(row[0]))
    for address in {network[0], network[-1], network[network.num_addresses // 2]}:
        if address not in ipaddress.ip_network("::ffff:0:0/96" if network.version == 6 else "255.0.0.0/32"):
            with pytest.raises(AddressRefused, match=r"^The address \w+ .*\.$") as refused:
                check(address, TENANT, NOBODY)
            assert str(address) not in str(refused.value)


ANY_ADDRESS = st.ip_addresses() | st.ip_addresses(network="2000::/3") | st.ip_addresses(network="64:ff9b::/96")


@given(ANY_ADDRESS)
def test_address_that_passes_is_global_to_the_standard_library_too(address: Address) -> None:
    if passes(address):
        assert all(reading.is_global and not reading.is_multicast for reading in readings(address))


@given(ANY_ADDRESS)
def test_address_that_is_refused_is_not_global_or_of_a_kind_that_the_standard_library_lets_pass(
    address: Address,
) -> None:
    # Relays of 6to4, tunnels, addresses that contain others, and ranges that are not given to anybody yet.
    lenient = ["168.63.129.16/32", "192.0.0.0/24", "192.88.99.0/24", "224.0.0.0/4", "2001::/23", "2002::/16",
               "3fff::/20", "ff00::/8", "::/3", "4000::/2", "8000::/1"]  # fmt: skip
    if not passes(address) and all(reading.is_global for reading in readings(address)):
        assert any(reading in ipaddress.ip_network(network) for reading in readings(address) for network in lenient)


@given(st.sampled_from(BLOCKED), st.data())
def test_no_blocked_address_passes_in_any_disguise_that_the_list_does_not_name(
    row: tuple[ipaddress.IPv4Network, str], data: st.DataObject
) -> None:
    address = data.draw(st.ip_addresses(network=row[0]))
    if len(readings(address)) == 1 and readings(address)[0] != address:
        return  # mapped or translated: it is judged by what it stands for
    assert not passes(address)
    if address.version == 4:
        assert not passes(embedded("::ffff:{dotted}", str(address)))
        assert not passes(embedded("64:ff9b::{dotted}", str(address)))
    assert passes(address, Networks.parse(",".join(f"{reading}" for reading in readings(address))))


# -- the operator's list --------------------------------------------------------------------------------------------


def test_listed_network_may_be_reached_by_all_tenants() -> None:
    networks = Networks.parse(" 127.0.0.0/8, fd00::/8 ,")
    assert passes("127.0.0.1", networks)
    assert passes("fd00::1", networks)
    assert passes("::ffff:127.0.0.1", networks)
    assert not passes("10.0.0.1", networks)


@pytest.mark.parametrize("form", [as_hex, as_uuid])
def test_network_that_is_listed_for_a_tenant_may_be_reached_by_it_alone(form: type[str]) -> None:
    networks = Networks.parse(f"10.1.0.0/16@{form(TENANT)}")
    assert passes("10.1.2.3", networks)
    assert not passes("10.2.2.3", networks)
    with pytest.raises(AddressRefused):
        check(IPv4Address("10.1.2.3"), OTHER, networks)


def test_tunnel_needs_both_itself_and_what_is_inside_it_listed() -> None:
    inside = embedded("2002:{high}:{low}::1", "10.0.0.1")
    assert not passes(inside, Networks.parse("2002::/16"))
    assert not passes(inside, Networks.parse("10.0.0.0/8"))
    assert passes(inside, Networks.parse("2002::/16,10.0.0.0/8"))


@pytest.mark.parametrize(
    "text", ["10.0.0.0/33", "10.0.0.1/8", "receiver", "10.0.0.0/8@", "10.0.0.0/8@me", "@", "10.0.0.0/8@a@b"]
)
def test_list_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        Networks.parse(text)
