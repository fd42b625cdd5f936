"""Which IP addresses lie in the open internet, and which inside the network.

Named here and not asked of `ipaddress`, whose answers differ from one Python version to the next.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def _networks(*texts: str) -> tuple[Network, ...]:
    return tuple(map(ipaddress.ip_network, texts))


# Loopback, and what is for private networks: RFC 1918, 6598 (carriers'), 2544 (benchmarks'), 4193.
_INSIDE = _networks(
    "127.0.0.0/8",
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "100.64.0.0/10",
    "198.18.0.0/15",
    "::1/128",
    "fc00::/7",
)
# Of IANA's registries of special addresses, what else is nobody's in the open internet.
_SPECIAL = _networks(
    "0.0.0.0/8",
    "169.254.0.0/16",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.88.99.0/24",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/3",
    "2001::/23",
    "2001:db8::/32",
    "3fff::/20",
)
_UNICAST = ipaddress.IPv6Network("2000::/3")  # all that is given out in IPv6
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
# RFC 5214, section 6.1: the upper half of the last 64 bits, its universal/local bit either way.
_ISATAP = frozenset({0x00005EFE, 0x02005EFE})
# What clouds tell a machine about itself, credentials among it, where that is not link-local.
_METADATA = frozenset(
    map(ipaddress.ip_address, ("fd00:ec2::254", "100.100.100.200", "168.63.129.16"))
)


def is_public(address: Address) -> bool:
    """Whether it lies in the open internet, and so does each address that it carries."""
    return all(_is_public(each) for each in _meant(address))


def is_inside(address: Address) -> bool:
    """Loopback, or a private network's; never what is only this link's, nobody's or a cloud's."""
    return all(_is_in(each, _INSIDE) and each not in _METADATA for each in _meant(address))


def _is_public(address: Address) -> bool:
    if address.version == 6 and address not in _UNICAST:
        return False
    return address not in _METADATA and not _is_in(address, _INSIDE + _SPECIAL)


def _is_in(address: Address, networks: tuple[Network, ...]) -> bool:
    return any(address in network for network in networks)


def _meant(address: Address) -> Iterator[Address]:
    """The IPv4 address that an IPv6 one carries, and itself where it leads to itself too.

    Mapped, 6to4, Teredo, NAT64 (RFC 4291, 3056, 4380, 6052) lead to what they carry alone. Other
    forms (::/96, ::ffff:0:0:0/96, 64:ff9b:1::/48) are not read: none is in `_UNICAST`.
    """
    if isinstance(address, ipaddress.IPv4Address):
        yield address
        return
    last = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    if address in _NAT64:
        yield last
        return
    carried = address.ipv4_mapped or address.sixtofour
    if carried is None and address.teredo is not None:
        carried = address.teredo[1]
    if carried is not None:
        yield carried
        return
    yield address
    if int(address) >> 32 & 0xFFFFFFFF in _ISATAP:
        yield last
