"""Forwarded: how a client reached us, when there are proxies in between.

`X-Forwarded-Proto`, `-Host` and `-For` are text that anybody can send. They are believed from proxies we were told
of, and from nobody else; without one, what we see ourselves counts.
"""

from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

_ANY: Final = "*"


class Proxies:
    """The proxies that are believed."""

    def __init__(self, allowed: str = "") -> None:
        """Believe those in `allowed`: addresses and networks, separated by commas; `*` for all.

        Raises:
            ValueError: one is neither; the message goes behind the name of the setting.
        """
        self._all = False
        self._networks: list[IPv4Network | IPv6Network] = []
        for entry in filter(None, map(str.strip, allowed.split(","))):
            if entry == _ANY:
                self._all = True
                continue
            try:
                self._networks.append(ip_network(entry))
            except ValueError:
                raise ValueError(f'has an entry "{entry}" that is no address or network (10.0.0.0/8)') from None

    def base_url(self, scheme: str, host: str, headers: Mapping[str, str], peer: str) -> str:
        """Return scheme and host as the client reached us, for links.

        Args:
            scheme: as we see it.
            host: the same.
            headers: of the request, whose names are found in any case.
            peer: the address that the connection comes from; "" if it is gone.
        """
        if self._believes(peer):
            said = _first(headers, "X-Forwarded-Proto").lower()
            scheme = said if said in {"http", "https"} else scheme
            host = _first(headers, "X-Forwarded-Host") or host
        return f"{scheme}://{host}"

    def client_ip(self, headers: Mapping[str, str], peer: str) -> str:
        """Return the address of the client, from `X-Forwarded-For` if a proxy says so; `peer` as in `base_url`."""
        return (_first(headers, "X-Forwarded-For") if self._believes(peer) else "") or peer

    def _believes(self, peer: str) -> bool:
        if self._all or not (peer and self._networks):
            return self._all
        address = ip_address(peer.partition("%")[0])
        if isinstance(address, IPv6Address) and address.ipv4_mapped:
            address = address.ipv4_mapped
        return any(address in network for network in self._networks)


def _first(headers: Mapping[str, str], name: str) -> str:
    """Return what the outermost proxy said: each appends behind a comma."""
    return headers.get(name, "").partition(",")[0].strip()
