"""Who counts as one caller among those without a key."""

from __future__ import annotations

import ipaddress

OWN_BITS = 64


def caller_address(address: str | None) -> str:
    """Name the caller that an address belongs to.

    Parameters
    ----------
    address : str or None
        Network address; None if the server does not know it.

    Returns
    -------
    str
        An IPv4 address as it is. Of an IPv6 address its network of 64 bits: everybody has a whole
        one, and could use another address of it for every request.

    Examples
    --------
    >>> caller_address("2001:db8:1:2::77"), caller_address("::ffff:192.0.2.7")
    ('2001:db8:1:2::/64', '192.0.2.7')
    """
    try:
        found = ipaddress.ip_address((address or "").partition("%")[0])
    except ValueError:
        return address or ""
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    if found.ipv4_mapped:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((found, OWN_BITS), strict=False))
