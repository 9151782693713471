"""Addresses: 20 bytes inside, bech32m text outside (BIP-350).

A key's address is SHA-256(key type ‖ public key)[:20]. Modules, policies and contracts have addresses of their own;
their first hashed byte differs from every key type, so the kinds can never collide by construction.
"""

from enum import Enum
from hashlib import sha256
from typing import Annotated, Final, NewType

from annotated_types import Len

from identity.keys import PublicKey

ADDRESS_BYTES: Final = 20
Address = NewType("Address", Annotated[bytes, Len(20, 20)])

_POLICY_DOMAIN: Final = b"\x80"
_MODULE_DOMAIN: Final = b"\x81"
_CONTRACT_DOMAIN: Final = b"\x82"


class NetworkKind(Enum):
    """Which network an address text is for; the value is its bech32m human-readable part."""

    MAINNET = "iov"
    TESTNET = "iovt"
    DEVNET = "iovd"


class InvalidAddressError(ValueError):
    """This text is not an address of this network; the message says why."""


def compute_key_address(public_key: PublicKey) -> Address:
    """The address of an account ruled by this one key."""
    return Address(sha256(bytes([public_key.key_type]) + public_key.key).digest()[:ADDRESS_BYTES])


def compute_policy_address(policy_bytes: bytes) -> Address:
    """The address of an account born with a multi-signature policy."""
    return Address(sha256(_POLICY_DOMAIN + policy_bytes).digest()[:ADDRESS_BYTES])


def compute_module_address(name: str) -> Address:
    """The address that holds a native module's money; no key leads to it."""
    return Address(sha256(_MODULE_DOMAIN + name.encode()).digest()[:ADDRESS_BYTES])


def compute_contract_address(introducer: Address, code_hash: bytes, salt: bytes) -> Address:
    """The address of a contract: known before it is introduced, and never another introducer's or another code's."""
    return Address(sha256(_CONTRACT_DOMAIN + introducer + code_hash + salt).digest()[:ADDRESS_BYTES])


_CHARSET: Final = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_CHARSET_INDEX: Final = {character: index for index, character in enumerate(_CHARSET)}
_GENERATOR: Final = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
BECH32_CONSTANT: Final = 1
BECH32M_CONSTANT: Final = 0x2BC830A3
_CHECKSUM_CHARACTERS: Final = 6
_TEXT_CHARACTERS_MAX: Final = 90


def format_address(address: Address, network: NetworkKind) -> str:
    """Bech32m text, for instance iovd1…; always lower case."""
    return encode_bech32m(network.value, address)


def parse_address(text: str, network: NetworkKind) -> Address:
    """The 20 bytes of a text address of this network; raises InvalidAddressError."""
    prefix, payload = decode_bech32m(text)
    if prefix != network.value:
        raise InvalidAddressError(f"the address starts with {prefix}1, this network's addresses with {network.value}1")
    if len(payload) != ADDRESS_BYTES:
        raise InvalidAddressError(f"an address has {ADDRESS_BYTES} bytes, not {len(payload)}")
    return Address(payload)


def encode_bech32m(prefix: str, payload: bytes) -> str:
    """BIP-350 text of any payload."""
    return encode_bech32(prefix, regroup_bits(payload, from_bits=8, to_bits=5), BECH32M_CONSTANT)


def decode_bech32m(text: str) -> tuple[str, bytes]:
    """The prefix and payload of a BIP-350 text; raises InvalidAddressError on any other form."""
    prefix, values = decode_bech32(text, BECH32M_CONSTANT)
    return prefix, bytes(regroup_bits(values, from_bits=5, to_bits=8))


def encode_bech32(prefix: str, values: list[int], checksum_constant: int) -> str:
    """Text of groups of five bits; the constant tells BIP-173 from BIP-350."""
    polymod = _polymod(_expand(prefix) + values + [0] * _CHECKSUM_CHARACTERS) ^ checksum_constant
    checksum = [(polymod >> 5 * (5 - index)) & 31 for index in range(_CHECKSUM_CHARACTERS)]
    return prefix + "1" + "".join(_CHARSET[value] for value in values + checksum)


def decode_bech32(text: str, checksum_constant: int) -> tuple[str, list[int]]:
    """The prefix and the groups of five bits; raises InvalidAddressError on any other form."""
    if len(text) > _TEXT_CHARACTERS_MAX:
        raise InvalidAddressError("the address is too long")
    if not text.isascii():  # before any change of case: the Kelvin sign, for one, turns into a plain k
        raise InvalidAddressError("the address holds a character that bech32 does not use")
    if text.lower() != text and text.upper() != text:
        raise InvalidAddressError("the address mixes upper and lower case")
    text = text.lower()
    prefix, separator, data = text.rpartition("1")
    if not separator or not prefix or any(not 33 <= ord(character) <= 126 for character in prefix):
        raise InvalidAddressError("the address has no prefix such as iov1")
    if len(data) < _CHECKSUM_CHARACTERS or any(character not in _CHARSET_INDEX for character in data):
        raise InvalidAddressError("the address is too short or holds a character that bech32 does not use")
    values = [_CHARSET_INDEX[character] for character in data]
    if _polymod(_expand(prefix) + values) != checksum_constant:
        raise InvalidAddressError("the address has a typing error (its checksum does not match)")
    return prefix, values[:-_CHECKSUM_CHARACTERS]


def _expand(prefix: str) -> list[int]:
    return [ord(character) >> 5 for character in prefix] + [0] + [ord(character) & 31 for character in prefix]


def _polymod(values: list[int]) -> int:
    checksum = 1
    for value in values:
        top = checksum >> 25
        checksum = (checksum & 0x1FFFFFF) << 5 ^ value
        for index, generator in enumerate(_GENERATOR):
            checksum ^= generator if (top >> index) & 1 else 0
    return checksum


def regroup_bits(values: bytes | list[int], *, from_bits: int, to_bits: int) -> list[int]:
    """Cut a bit string into groups of another width; encoding pads with zeros, decoding refuses any other padding."""
    accumulator, bits, regrouped = 0, 0, []
    for value in values:
        accumulator = accumulator << from_bits | value
        bits += from_bits
        while bits >= to_bits:
            bits -= to_bits
            regrouped.append(accumulator >> bits & ((1 << to_bits) - 1))
    padding = accumulator & ((1 << bits) - 1)
    if to_bits < from_bits:
        if bits:
            regrouped.append(padding << (to_bits - bits))
    elif bits >= from_bits or padding:
        raise InvalidAddressError("the address has stray bits at its end")
    return regrouped
