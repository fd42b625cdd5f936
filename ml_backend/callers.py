"""Where a request comes from, also behind proxies that are trusted to say it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


@lru_cache(maxsize=4)
def networks_in(text: str) -> tuple[Network, ...]:
    """The addresses and networks of a comma-separated list. Raises ValueError, for people."""
    found = []
    for entry in filter(None, map(str.strip, text.split(","))):
        try:
            network = ip_network(entry)
        except ValueError:
            raise ValueError(
                f"{entry[:80]!r} is no address and no network: write them as 10.0.0.2 or "
                "10.0.0.0/24"
            ) from None
        if network.prefixlen == 0:
            raise ValueError(
                f"{entry!r} is everybody: any caller could then write the address it is counted by"
            )
        found.append(network)
    return tuple(found)


def caller(peer: str, forwarded: str, trusted: Sequence[Network]) -> str:
    """Whose attempts are counted together: an address, or what an IPv6 network of one home has.

    peer: who is connected; forwarded: the X-Forwarded-For header. Each proxy appends the address
    that it was called from: the last one that no trusted proxy has is the caller's, for what stands
    before it anybody could have written. Loopback is trusted always.
    """
    found = _address(peer)
    if found is None:
        return peer
    for hop in reversed(forwarded.split(",")):
        told = _address(hop.strip()) if _is_trusted(found, trusted) else None
        if told is None:
            break
        found = told
    if isinstance(found, IPv6Address):
        return str(ip_network((int(found), 64), strict=False))
    return str(found)


def _address(text: str) -> Address | None:
    try:
        found = ip_address(text)
    except ValueError:
        return None
    within = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return within or found


def _is_trusted(address: Address, trusted: Sequence[Network]) -> bool:
    return address.is_loopback or any(address in network for network in trusted)
