"""Decentralised identifiers of the method `iov`: 20 bytes inside, `did:iov:[network:]id` outside.

The id is base58btc of SHA-256(canonical create payload)[:20], so whoever has the payload checks the identifier without
the ledger. The network is left out on the mainnet, so each identifier has one text. See docs/did-iov.md.
"""

from hashlib import sha256
from typing import Annotated, Final, NewType

from annotated_types import Len

from identity.address import NetworkKind
from identity.base58 import InvalidBase58Error, decode_base58, encode_base58

DID_BYTES: Final = 20
DID_METHOD: Final = "iov"
DID_CHARACTERS_MAX: Final = 48  # "did:iov:testnet:" and at most 28 characters of base58; longer text is not looked at

Did = NewType("Did", Annotated[bytes, Len(20, 20)])

_NETWORKS: Final = {NetworkKind.MAINNET: "", NetworkKind.TESTNET: "testnet:", NetworkKind.DEVNET: "devnet:"}
_PREFIX: Final = f"did:{DID_METHOD}:"


class InvalidDidError(ValueError):
    """This text is not an identifier of this method and network; the message says why."""


def compute_did(create_payload: bytes) -> Did:
    """The identifier that a canonical create payload makes."""
    return Did(sha256(create_payload).digest()[:DID_BYTES])


def format_did(did: Did, network: NetworkKind) -> str:
    """The text of an identifier, for instance did:iov:devnet:3yQ…"""
    return _PREFIX + _NETWORKS[network] + encode_base58(did)


def parse_did(text: str, network: NetworkKind) -> Did:
    """The 20 bytes of an identifier of this network; raises InvalidDidError."""
    did, own_network = parse_did_of_any_network(text)
    if own_network is not network:
        raise InvalidDidError(
            f"{text} is an identifier of the {own_network.name.lower()}, not of the {network.name.lower()}"
        )
    return did


def parse_did_of_any_network(text: str) -> tuple[Did, NetworkKind]:
    """An identifier and the network it is for; raises InvalidDidError."""
    if len(text) > DID_CHARACTERS_MAX:
        raise InvalidDidError("the identifier is too long")
    if not text.startswith(_PREFIX):
        raise InvalidDidError(f"an identifier of this method starts with {_PREFIX}")
    network_name, separator, encoded = text.removeprefix(_PREFIX).rpartition(":")
    network = next((each for each, name in _NETWORKS.items() if name == network_name + separator), None)
    if network is None:
        raise InvalidDidError(
            f"there is no network {network_name!r}: it is testnet or devnet, and left out on the mainnet"
        )
    try:
        did = decode_base58(encoded)
    except InvalidBase58Error as error:
        raise InvalidDidError(str(error)) from None
    if len(did) != DID_BYTES:
        raise InvalidDidError(f"an identifier has {DID_BYTES} bytes, not {len(did)}")
    return Did(did), network
