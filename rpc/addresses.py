"""Addresses between text and bytes, remembered: a bech32m checksum costs more than the read it is for."""

from functools import lru_cache
from typing import Final

from identity import address as _address
from identity.address import Address, NetworkKind

ADDRESSES_CACHED_MAX: Final = 16_384  # about 4 MB each way


@lru_cache(maxsize=ADDRESSES_CACHED_MAX)
def format_address(address: Address, network: NetworkKind) -> str:
    """Bech32m text; always lower case."""
    return _address.format_address(address, network)


@lru_cache(maxsize=ADDRESSES_CACHED_MAX)
def parse_address(text: str, network: NetworkKind) -> Address:
    """The 20 bytes of a text address of this network; raises InvalidAddressError."""
    return _address.parse_address(text, network)
