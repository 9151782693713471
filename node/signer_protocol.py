"""What a node and a remote signer say to each other, over TLS 1.3 with both certificates pinned.

A message is its length, 4 bytes big-endian ‖ its number, 1 byte ‖ the encoded value. The length counts what follows it.

| message         | number | from   | encoded as                                     |
|-----------------|--------|--------|------------------------------------------------|
| VoteRequest     | 1      | node   | [kind, height, round, block hash or nil]       |
| ProposalRequest | 2      | node   | [height, round, valid round or -1, block hash] |
| HelloRequest    | 3      | node   | [SHA-256 of the peer's certificate]            |
| Welcome         | 16     | signer | [version, chain id, genesis hash, public key]  |
| Signed          | 17     | signer | [signature]                                    |
| Refused         | 18     | signer | [reason]                                       |
| Unavailable     | 19     | signer | [reason]                                       |

The signer says Welcome once, then answers one request at a time, in order. It never signs bytes that it is given: it
builds the message from the request, its own chain and, in a greeting, the certificate that TLS has shown it. Anything
malformed, too long or out of turn ends the connection.
"""

import asyncio
from dataclasses import dataclass
from struct import Struct
from typing import Annotated, Final, NewType, TypeVar

from annotated_types import Interval, Len

from consensus.messages import ValidRound, VoteKind
from ledger.codec import DecodeError, decode, encode
from ledger.primitives import BlockHash, ChainId, ConsensusKey, Height, Round, Signature

SIGNER_PROTOCOL_VERSION: Final = 1
MESSAGE_BYTES_MAX: Final = 1_024  # the longest, a refusal, has about 300
REASON_CHARACTERS_MAX: Final = 256
ARRIVAL_SECONDS_MAX: Final = 2.0  # from the first byte of a message to its last
_LENGTH: Final = Struct(">I")

CertificateHash = NewType("CertificateHash", Annotated[bytes, Len(32, 32)])
Reason = Annotated[str, Len(0, REASON_CHARACTERS_MAX)]


class SignerProtocolError(Exception):
    """The other side broke the protocol; the connection ends."""


@dataclass(frozen=True, slots=True)
class VoteRequest:
    """Sign a prevote or precommit."""

    kind: VoteKind
    height: Height
    round: Round
    block_hash: BlockHash | None


@dataclass(frozen=True, slots=True)
class ProposalRequest:
    """Sign a proposal."""

    height: Height
    round: Round
    valid_round: ValidRound
    block_hash: BlockHash


@dataclass(frozen=True, slots=True)
class HelloRequest:
    """Sign that the seat belongs to the asking node's session with this peer."""

    peer_certificate_hash: CertificateHash


@dataclass(frozen=True, slots=True)
class Welcome:
    """What the signer signs for."""

    version: Annotated[int, Interval(ge=0, le=2**16 - 1)]
    chain_id: ChainId
    genesis_hash: BlockHash
    public_key: ConsensusKey


@dataclass(frozen=True, slots=True)
class Signed:
    """The signature that was asked for."""

    signature: Signature


@dataclass(frozen=True, slots=True)
class Refused:
    """Never: it would or could contradict what was signed."""

    reason: Reason


@dataclass(frozen=True, slots=True)
class Unavailable:
    """Not now: token or disk do not answer."""

    reason: Reason


Request = VoteRequest | ProposalRequest | HelloRequest
Answer = Signed | Refused | Unavailable
SignerMessage = Request | Welcome | Answer

_NUMBERS: Final[dict[type[SignerMessage], int]] = {
    VoteRequest: 1,
    ProposalRequest: 2,
    HelloRequest: 3,
    Welcome: 16,
    Signed: 17,
    Refused: 18,
    Unavailable: 19,
}
_TYPES: Final = {number: kind for kind, number in _NUMBERS.items()}

M = TypeVar("M")


def encode_signer_message(message: SignerMessage) -> bytes:
    """A message with its length."""
    body = bytes([_NUMBERS[type(message)]]) + encode(message)
    assert len(body) <= MESSAGE_BYTES_MAX, "the limits of the fields keep it short"
    return _LENGTH.pack(len(body)) + body


def decode_signer_message(body: bytes) -> SignerMessage:
    """The message after its length; raises SignerProtocolError."""
    kind = _TYPES.get(body[0]) if body else None
    if kind is None:
        raise SignerProtocolError("not the number of a message")
    try:
        return decode(kind, body[1:])
    except DecodeError as error:
        raise SignerProtocolError(str(error)) from None


async def read_signer_message(reader: asyncio.StreamReader, wait_s: float | None = None) -> SignerMessage | None:
    """The next message, None at the end of the stream; waits so long for its first byte, for ever without a limit.

    Raises SignerProtocolError, TimeoutError, OSError.
    """
    async with asyncio.timeout(wait_s):
        first = await reader.read(1)
    if not first:
        return None
    try:
        async with asyncio.timeout(ARRIVAL_SECONDS_MAX):
            (length,) = _LENGTH.unpack(first + await reader.readexactly(_LENGTH.size - 1))
            if not 1 <= length <= MESSAGE_BYTES_MAX:
                raise SignerProtocolError(f"a message has 1 to {MESSAGE_BYTES_MAX} bytes, not {length}")
            return decode_signer_message(await reader.readexactly(length))
    except asyncio.IncompleteReadError:
        raise SignerProtocolError("the connection ended within a message") from None
