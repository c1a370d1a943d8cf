"""Which addresses notifications may be sent to: public ones, and those of networks that the settings allow.

An address is judged when it is connected to, never by its name, so that a name which resolves to something else a
moment later, and any way of writing a number, gain nothing. Standard library only: the process that runs Apprise
loads it too.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import Final

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
_COMPATIBLE: Final = ipaddress.IPv6Network("::/96")


def is_allowed(text: str, allowed: Sequence[Network]) -> bool:
    """Tell whether a numeric address may be connected to; what is no such address may not."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    return all(_is_allowed(one, allowed) for one in (address, *_inside(address)))


def _is_allowed(address: Address, allowed: Sequence[Network]) -> bool:
    if any(address in network for network in allowed if network.version == address.version):
        return True
    if isinstance(address, ipaddress.IPv6Address) and (address.ipv4_mapped or address in _NAT64):
        return True  # it is the address inside that counts
    is_local = isinstance(address, ipaddress.IPv6Address) and address.is_site_local
    return address.is_global and not (address.is_multicast or address.is_reserved or is_local)


def _inside(address: Address) -> list[Address]:
    """Return the IPv4 addresses that packets to an IPv6 address may end at."""
    if not isinstance(address, ipaddress.IPv6Address):
        return []
    found: list[Address] = [one for one in (address.ipv4_mapped, address.sixtofour) if one is not None]
    if address.teredo is not None:
        found += address.teredo
    if address in _NAT64 or (address in _COMPATIBLE and int(address) > 1):
        found.append(ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF))
    return found


def networks_from_text(value: object) -> object:
    """Split networks that come in one variable, separated by commas."""
    return tuple([part.strip() for part in value.split(",") if part.strip()]) if isinstance(value, str) else value
