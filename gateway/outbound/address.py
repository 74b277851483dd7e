"""Addresses: which of them the gateway never connects to on behalf of a client, and the operator's exceptions.

Pure: it sees the address that will be connected to, never a URL, so no spelling of a host matters. Whatever is not
plainly an address of the public internet is refused. Sources: the IANA special-purpose address registries for IPv4 and
IPv6 (RFC 6890 and its followers), and what clouds serve their secrets on.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_REFUSED_4: Final = tuple(
    map(
        IPv4Network,
        (
            "0.0.0.0/8",  # this network; 0.0.0.0 is this machine
            "10.0.0.0/8",  # private
            "100.64.0.0/10",  # carrier NAT; metadata of Alibaba Cloud
            "127.0.0.0/8",  # this machine
            "168.63.129.16/32",  # metadata of Azure, on a public address
            "169.254.0.0/16",  # link-local; metadata of most clouds
            "172.16.0.0/12",  # private
            "192.0.0.0/24",  # protocols; metadata of Oracle Cloud
            "192.0.2.0/24",  # documentation
            "192.88.99.0/24",  # relays of 6to4
            "192.168.0.0/16",  # private
            "198.18.0.0/15",  # benchmarks
            "198.51.100.0/24",  # documentation
            "203.0.113.0/24",  # documentation
            "224.0.0.0/4",  # multicast
            "240.0.0.0/4",  # reserved, and broadcast
        ),
    )
)
# All of IPv6 that is in use on the public internet; outside are ::1, ::, fc00::/7, fe80::/10, ff00::/8 and so on.
_PUBLIC_6: Final = IPv6Network("2000::/3")
_REFUSED_6: Final = tuple(
    map(
        IPv6Network,
        (
            "2001::/23",  # protocols, Teredo (an IPv4 address in disguise) among them
            "2001:db8::/32",  # documentation
            "2002::/16",  # 6to4: an IPv4 address in disguise
            "3fff::/20",  # documentation
        ),
    )
)
# An IPv4 address in its last 32 bits, which is where the packets go.
_CARRIERS_OF_4: Final = (IPv6Network("::ffff:0:0/96"), IPv6Network("64:ff9b::/96"))


def is_public(address: Address) -> bool:
    """Say whether `address` is one of the public internet."""
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _REFUSED_4)
    if address.scope_id is not None:
        return False
    if any(address in network for network in _CARRIERS_OF_4):
        return is_public(IPv4Address(int(address) & 0xFFFF_FFFF))
    return address in _PUBLIC_6 and not any(address in network for network in _REFUSED_6)


@dataclass(frozen=True, slots=True)
class AllowList:
    """What may be fetched from although it is not public. A port of None is every port."""

    hosts: frozenset[tuple[str, int | None]] = frozenset()
    networks: frozenset[tuple[Network, int | None]] = frozenset()

    def allows(self, host: str, port: int, address: Address) -> bool:
        """Say whether a URL that names `host` (ASCII) and `port` may lead to `address`."""
        name = _plain(host)
        if (name, port) in self.hosts or (name, None) in self.hosts:
            return True
        return any(address in network and allowed in {None, port} for network, allowed in self.networks)


def all_permitted(allow: AllowList, host: str, port: int, addresses: Iterable[str]) -> bool:
    """Say whether every one of `addresses`, to which `host` leads, may be connected to; there must be one.

    One that may not spoils the others: who gives both wants us to try until we hit it.
    """
    found = [_unwrapped(ip_address(address)) for address in addresses]
    return bool(found) and all(is_public(each) or allow.allows(host, port, each) for each in found)


def parse_allow_list(text: str) -> AllowList:
    """Return the list that a comma-separated `text` means: host, host:port, address, address:port, network (CIDR).

    IPv6 takes brackets before a port: `[fd00::5]:8080`.

    Raises:
        ValueError: an entry is none of these; the message is the end of a sentence that begins with the value.
    """
    hosts: set[tuple[str, int | None]] = set()
    networks: set[tuple[Network, int | None]] = set()
    for entry in filter(None, map(str.strip, text.split(","))):
        name, port = _split(entry)
        try:
            networks.add((ip_network(name), port))
            continue
        except ValueError:
            pass
        plain = _plain(name)
        if not plain or not plain.isascii() or not all(letter.isalnum() or letter in "-._" for letter in plain):
            raise ValueError(f'has an entry "{entry}" that is no host, host:port, address or network (10.0.0.0/8)')
        hosts.add((plain, port))
    return AllowList(frozenset(hosts), frozenset(networks))


def _split(entry: str) -> tuple[str, int | None]:
    """Split off the port of an entry, if it has one."""
    if entry.startswith("["):
        name, bracket, rest = entry[1:].partition("]")
        separator, digits = rest[:1], rest[1:]
        if not bracket or (rest and separator != ":"):
            return entry, None
    elif entry.count(":") == 1:
        name, separator, digits = entry.partition(":")
    else:
        return entry, None
    if not separator:
        return name, None
    if not (digits.isascii() and digits.isdecimal() and 0 < int(digits) < 65536):
        raise ValueError(f'has an entry "{entry}" whose port is not a number from 1 to 65535')
    return name, int(digits)


def _unwrapped(address: Address) -> Address:
    """Return the IPv4 address that an IPv4-mapped one is, as the system sees it too."""
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


def _plain(host: str) -> str:
    return host.lower().rstrip(".")
