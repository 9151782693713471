"""The greeting: what two nodes tell and prove to each other before anything else is said.

HELLO    protocol version, 2 bytes big-endian ‖ encoded Hello; each side sends it once
WELCOME  empty; "your HELLO is accepted". A connection counts once both WELCOMEs are through
GOODBYE  encoded Goodbye; the sender closes after it
PING     8 bytes of the sender's choice, PONG repeats them
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import IntEnum, unique
from typing import Annotated, Final

from annotated_types import Interval, Len

from identity.keys import KeyType, PublicKey, verify_signature
from identity.signing import SigningPurpose, compute_signing_domain, signing_bytes
from ledger.codec import DecodeError, decode, encode
from ledger.primitives import BlockHash, ChainId, ConsensusKey, Height, Signature
from p2p.addresses import ADDRESS_CHARACTERS_MAX
from vm.native.network import NodeRole

PROTOCOL_VERSION: Final = 1
_VERSION_BYTES: Final = 2
PING_BYTES: Final = 8
APPLICATION_KIND_MIN: Final = 256  # kinds of CONTROL below it are the transport's own


@unique
class ControlKind(IntEnum):
    """Wire number of the transport's own messages on CONTROL; never reused."""

    HELLO = 1
    WELCOME = 2
    GOODBYE = 3
    PING = 4
    PONG = 5


@unique
class GoodbyeReason(IntEnum):
    """Wire number of why a connection ends; never reused."""

    SHUTDOWN = 1
    """The sender stops."""
    WRONG_VERSION = 2
    """Another protocol version."""
    WRONG_CHAIN = 3
    """Another chain id."""
    WRONG_GENESIS = 4
    """The same chain id with another genesis."""
    BAD_SEAT_SIGNATURE = 5
    """The consensus key did not sign this session's certificates."""
    DUPLICATE = 6
    """Another connection of the same two nodes is kept."""
    NOT_ALLOWED = 7
    """The node is not, or no longer, on the allow-list."""
    BANNED = 8
    """Too many penalty points; try again later."""
    TOO_MANY_PEERS = 9
    """No room for another inbound peer."""
    PROTOCOL_ERROR = 10
    """The receiver broke the protocol."""
    TIMED_OUT = 11
    """No answer to the greeting or to a PING in time."""
    WRONG_KEY = 12
    """The dialled address is answered by another node than the wanted one."""
    SIGNING_UNAVAILABLE = 13
    """The sender cannot reach its own consensus key."""


class HelloRefusedError(Exception):
    """A HELLO that cannot be accepted, with the reason the sender of it will be told."""

    def __init__(self, reason: GoodbyeReason) -> None:
        super().__init__(reason.name)
        self.reason = reason


class SigningUnavailableError(Exception):
    """The consensus key cannot be reached now; the connection is tried again later."""


@dataclass(frozen=True, slots=True)
class HelloFacts:
    """What the node says of itself, asked anew for every connection."""

    chain_id: ChainId
    genesis_hash: BlockHash
    role: NodeRole
    head_height: Height
    listen_address: str
    """host:port where others may dial this node; empty if nowhere."""
    consensus_key: ConsensusKey | None
    """The key of the node's seat, if it has one."""


@dataclass(frozen=True, slots=True)
class Seat:
    """A consensus key, proven to belong to whoever holds this session's TLS key."""

    consensus_key: ConsensusKey
    signature: Signature
    """Over compute_seat_message."""


@dataclass(frozen=True, slots=True)
class Hello:
    """The greeting after its version number."""

    chain_id: ChainId
    genesis_hash: BlockHash
    role: NodeRole
    head_height: Height
    listen_address: Annotated[str, Len(0, ADDRESS_CHARACTERS_MAX)]
    seat: Seat | None


@dataclass(frozen=True, slots=True)
class Goodbye:
    """The last frame."""

    reason: Annotated[int, Interval(ge=0, le=2**16 - 1)]
    """A GoodbyeReason; a number that a later version added is no error."""


@dataclass(frozen=True, slots=True)
class SessionCertificates:
    """SHA-256 of both DER certificates of a TLS session."""

    own_hash: bytes
    peer_hash: bytes


SignHello = Callable[[SessionCertificates, bytes], Awaitable[bytes]]
"""(session, seat message) -> its signature by the consensus key, wherever that is kept.

A key in another process builds the message itself, from the session. Raises SigningUnavailableError.
"""


def compute_seat_message(
    chain_id: ChainId, genesis_hash: BlockHash, signer_certificate_hash: bytes, other_certificate_hash: bytes
) -> bytes:
    """What a consensus key signs in its HELLO: the seat holds on this chain and between these two nodes alone."""
    domain = compute_signing_domain(chain_id, genesis_hash)
    return signing_bytes(SigningPurpose.HELLO, domain, encode([signer_certificate_hash, other_certificate_hash]))


async def build_hello(facts: HelloFacts, certificates: SessionCertificates, sign: SignHello | None) -> Hello:
    """Our greeting for one session; raises SigningUnavailableError."""
    seat = None
    if facts.consensus_key is not None:
        assert sign is not None, "a node that names a consensus key must be able to sign with it"
        message = compute_seat_message(
            facts.chain_id, facts.genesis_hash, certificates.own_hash, certificates.peer_hash
        )
        seat = Seat(facts.consensus_key, Signature(await sign(certificates, message)))
    return Hello(facts.chain_id, facts.genesis_hash, facts.role, facts.head_height, facts.listen_address, seat)


def encode_hello(hello: Hello) -> bytes:
    """The payload of a HELLO."""
    return PROTOCOL_VERSION.to_bytes(_VERSION_BYTES, "big") + encode(hello)


def decode_hello(payload: bytes) -> Hello:
    """The greeting in a payload; raises DecodeError, or HelloRefusedError if it speaks another version."""
    if len(payload) < _VERSION_BYTES:
        raise DecodeError("a HELLO starts with a version of 2 bytes")
    if int.from_bytes(payload[:_VERSION_BYTES], "big") != PROTOCOL_VERSION:
        raise HelloRefusedError(GoodbyeReason.WRONG_VERSION)
    return decode(Hello, payload[_VERSION_BYTES:])


def check_hello(hello: Hello, facts: HelloFacts, certificates: SessionCertificates) -> None:
    """Refuse a greeting from another chain or with an unproven seat; raises HelloRefusedError."""
    if hello.chain_id != facts.chain_id:
        raise HelloRefusedError(GoodbyeReason.WRONG_CHAIN)
    if hello.genesis_hash != facts.genesis_hash:
        raise HelloRefusedError(GoodbyeReason.WRONG_GENESIS)
    if hello.seat is None:
        return
    key = PublicKey(KeyType.ED25519, hello.seat.consensus_key)
    message = compute_seat_message(hello.chain_id, hello.genesis_hash, certificates.peer_hash, certificates.own_hash)
    if not verify_signature(key, message, hello.seat.signature):
        raise HelloRefusedError(GoodbyeReason.BAD_SEAT_SIGNATURE)


def name_reason(reason: int) -> str:
    """The word for a reason number; its number in text if this version does not know it."""
    return GoodbyeReason(reason).name if reason in GoodbyeReason._value2member_map_ else f"REASON_{reason}"
