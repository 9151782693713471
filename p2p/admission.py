"""How many strangers may be at the door: connections that have not finished the greeting, in total and per address."""

from collections import Counter
from ipaddress import IPv6Address, ip_address
from typing import Final

_IPV6_SITE_BITS: Final = 64  # one host commands a whole /64, so it counts as one address


def compute_address_group(host: str) -> str:
    """What counts as one address: an IPv4 address, or the /64 of an IPv6 address."""
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if not isinstance(address, IPv6Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return f"{IPv6Address(int(address) >> _IPV6_SITE_BITS << _IPV6_SITE_BITS)}/{_IPV6_SITE_BITS}"


class Door:
    """Counts strangers in and out."""

    def __init__(self, *, strangers_max: int, strangers_per_address_max: int) -> None:
        self._strangers_max = strangers_max
        self._per_address_max = strangers_per_address_max
        self._total = 0
        self._by_group: Counter[str] = Counter()

    def enter(self, host: str) -> bool:
        """Let a stranger in, or say that there is no room."""
        group = compute_address_group(host)
        if self._total >= self._strangers_max or self._by_group[group] >= self._per_address_max:
            return False
        self._total += 1
        self._by_group[group] += 1
        return True

    def leave(self, host: str) -> None:
        """A stranger became a peer or went away."""
        group = compute_address_group(host)
        self._total -= 1
        self._by_group[group] -= 1
        if not self._by_group[group]:
            del self._by_group[group]
