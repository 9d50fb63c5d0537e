"""Which IP addresses are somebody's on the internet, and which lead into our own network."""

from __future__ import annotations

import ipaddress
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

Address = IPv4Address | IPv6Address

_UNICAST = IPv6Network("2000::/3")
_NAT64 = IPv6Network("64:ff9b::/96")
# What the registries reserve and Python 3.11 takes for global.
_NEVER_PUBLIC = (
    IPv4Network("192.0.0.0/24"),
    IPv4Network("192.88.99.0/24"),
    IPv6Network("3fff::/20"),
)
# Clouds hand out a machine's credentials there, outside of the link-local range too; the first
# one is Azure's and looks like any public address.
_METADATA = (
    ipaddress.ip_address("168.63.129.16"),
    ipaddress.ip_address("100.100.100.200"),
    ipaddress.ip_address("fd00:ec2::254"),
    ipaddress.ip_address("fd20:ce::254"),
)


def is_public(address: Address) -> bool:
    """Whether an address, and every address inside it, belongs to the internet at large.

    Source
    ------
    The special-purpose address registries of IANA (RFC 6890), as the standard library knows them.

    Examples
    --------
    >>> is_public(ipaddress.ip_address("8.8.8.8"))
    True
    >>> is_public(ipaddress.ip_address("::ffff:127.0.0.1"))
    False
    """
    return all(_is_global(inner) for inner in _with_embedded(address))


def may_be_named(address: Address) -> bool:
    """Whether an address may be called if the operator named its host: also in a local network.

    Link-local addresses and those of cloud metadata services never may.
    """
    return all(
        _is_global(inner) or (not _is_odd(inner) and inner not in _METADATA)
        for inner in _with_embedded(address)
    )


def _is_global(address: Address) -> bool:
    if isinstance(address, IPv6Address) and address not in _UNICAST:
        return False
    if address in _METADATA or any(address in network for network in _NEVER_PUBLIC):
        return False
    return address.is_global and not address.is_multicast


def _is_odd(address: Address) -> bool:
    """Whether an address is no usual one of a local network or of this machine."""
    if isinstance(address, IPv4Address) and address.packed[0] in (0, 255):
        return True
    odd = address.is_link_local or address.is_multicast or address.is_unspecified
    return odd or (address.is_reserved and not address.is_loopback)


def _with_embedded(address: Address) -> list[Address]:
    """List the addresses that packets to one may end at: a gateway may unwrap an inner one."""
    if isinstance(address, IPv4Address):
        return [address]
    if address.ipv4_mapped:
        return [address.ipv4_mapped]
    if address in _NAT64:
        return [IPv4Address(address.packed[-4:])]
    if address.sixtofour:
        return [address, address.sixtofour]
    if address.teredo:
        return [address, *address.teredo]
    return [address]
