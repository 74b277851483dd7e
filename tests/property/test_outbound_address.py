"""No address but those of the public internet is connected to, however it is dressed."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.outbound.address import AllowList, all_permitted, is_public, parse_allow_list

NOWHERE_4 = (
    *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24"),
    *("192.0.2.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4"),
    *("240.0.0.0/4", "168.63.129.16/32", "192.88.99.0/24"),
)
NOWHERE_6 = (
    *("::/128", "::1/128", "::/96", "100::/64", "64:ff9b:1::/48", "2001::/32", "2001:2::/48", "2001:10::/28"),
    *("2001:20::/28", "2001:db8::/32", "2002::/16", "3fff::/20", "5f00::/16", "fc00::/7", "fe80::/10", "fec0::/10"),
    *("ff00::/8", "::ffff:0:0:0/96"),
)
# Where clouds serve the secrets of a machine.
METADATA = (
    *("169.254.169.254", "169.254.170.2", "100.100.100.200", "192.0.0.192", "168.63.129.16"),
    *("fd00:ec2::254", "fd20:ce::254", "fe80::a9fe:a9fe"),
)
PUBLIC = (
    *("1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255"),
    *("128.0.0.0", "169.253.255.255", "172.15.255.255", "172.32.0.0", "192.167.255.255", "192.169.0.0"),
    *("198.17.255.255", "198.20.0.0", "223.255.255.255", "2606:4700::1111", "2a00:1450:4001:81b::200e"),
    *("::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "2001:4860:4860::8888"),
)


def _within(networks, kind):
    """A network, and an address in it; often its first or its last."""

    def addresses(network):
        first, last = int(network.network_address), int(network.broadcast_address)
        return st.one_of(st.just(first), st.just(last), st.integers(first, last)).map(kind)

    return st.sampled_from(networks).flatmap(addresses)


refused_4 = _within([IPv4Network(each) for each in NOWHERE_4], IPv4Address)
refused_6 = _within([IPv6Network(each) for each in NOWHERE_6], IPv6Address)


@given(refused_4)
def test_no_special_ipv4_address_is_public(address):
    assert not is_public(address)


@given(refused_6)
def test_no_special_ipv6_address_is_public(address):
    assert not is_public(address)


@given(refused_4, st.sampled_from(["::ffff:{0}", "64:ff9b::{0}", "::{0}", "64:ff9b:1::{0}", "::ffff:0:{0}"]))
def test_an_ipv4_address_inside_an_ipv6_one_is_what_it_is(address, shape):
    assert not is_public(IPv6Address(shape.format(address)))


@given(refused_4, st.integers(0, 2**80 - 1))
def test_an_ipv4_address_in_a_6to4_or_teredo_address_is_refused(address, rest):
    teredo = 0x2001_0000 << 96 | (rest & 0xFFFF_FFFF_FFFF_FFFF) << 32 | int(address) ^ 0xFFFF_FFFF

    assert not is_public(IPv6Address(0x2002 << 112 | int(address) << 80 | rest))
    assert not is_public(IPv6Address(teredo))


@given(st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)))
def test_nothing_is_public_that_the_standard_library_calls_special(address):
    if is_public(address):
        carried = getattr(address, "ipv4_mapped", None)
        assert (carried or address).is_global or address in IPv6Network("64:ff9b::/96")
        assert not address.is_multicast
        assert not address.is_loopback
        assert not address.is_link_local


@pytest.mark.parametrize("address", METADATA)
def test_the_metadata_of_clouds_are_refused(address):
    assert not is_public(ip_address(address))
    if "." in address:
        assert not is_public(ip_address(f"::ffff:{address}"))


@pytest.mark.parametrize("address", PUBLIC)
def test_the_neighbours_of_special_networks_are_public(address):
    assert is_public(ip_address(address))


def test_an_address_with_a_scope_is_of_this_link():
    assert not is_public(ip_address("2a00::1%eth0"))


@given(refused_4, st.lists(st.sampled_from(PUBLIC), max_size=4), st.integers(0, 4))
def test_one_address_that_is_refused_spoils_the_others(address, others, place):
    addresses = [*others[:place], str(address), *others[place:]]

    assert not all_permitted(AllowList(), "example.com", 80, addresses)


def test_a_host_that_leads_nowhere_is_refused():
    assert not all_permitted(AllowList(), "example.com", 80, [])


@pytest.mark.parametrize(
    ("entry", "host", "port", "address", "permitted"),
    [
        ("files.internal", "files.internal", 80, "10.0.0.5", True),
        ("Files.Internal.", "files.internal", 443, "10.0.0.5", True),
        ("files.internal", "FILES.internal.", 80, "10.0.0.5", True),
        ("files.internal", "x.files.internal", 80, "10.0.0.5", False),
        ("files.internal:8080", "files.internal", 8080, "10.0.0.5", True),
        ("files.internal:8080", "files.internal", 80, "10.0.0.5", False),
        ("10.0.0.0/24", "anything", 80, "10.0.0.255", True),
        ("10.0.0.0/24", "anything", 80, "10.0.1.0", False),
        ("10.0.0.0/24", "anything", 80, "::ffff:10.0.0.1", True),
        ("10.0.0.5", "10.0.0.5", 80, "10.0.0.5", True),
        ("10.0.0.5:9000", "10.0.0.5", 9000, "10.0.0.5", True),
        ("10.0.0.5:9000", "10.0.0.5", 9001, "10.0.0.5", False),
        ("fd00::5", "fd00::5", 80, "fd00::5", True),
        ("[fd00::5]:8080", "fd00::5", 8080, "fd00::5", True),
        ("[fd00::5]:8080", "fd00::5", 80, "fd00::5", False),
        ("[fd00::5]", "fd00::5", 80, "fd00::5", True),
        ("fd00::/8", "anything", 80, "fd12::1", True),
        ("a, b:1 ,,10.0.0.0/8", "b", 1, "127.0.0.1", True),
        ("", "localhost", 80, "127.0.0.1", False),
    ],
)
def test_what_the_operator_lists_is_permitted_and_nothing_else(entry, host, port, address, permitted):
    assert all_permitted(parse_allow_list(entry), host, port, [address]) is permitted


@pytest.mark.parametrize(
    "text",
    *[["http://files.internal/", "files.internal/path", "a b", "host:0", "host:65536", "host:port", "10.0.0.1/8", "*"]],
)
def test_an_entry_that_means_nothing_is_named(text):
    with pytest.raises(ValueError, match="has an entry"):
        parse_allow_list(f"good.internal,{text}")
