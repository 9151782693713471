"""Signed transactions: `[body, [authorisation…]]`, where body is the very bytes that are signed.

The id is the hash of the body alone, so it does not depend on the signatures. The envelope hash covers everything
and is what blocks commit to and peers name on the wire.
"""

from dataclasses import dataclass
from hashlib import sha256
from itertools import pairwise
from typing import Annotated, Final, NewType

from annotated_types import Interval, Len

from identity.address import Address
from identity.keys import KeyType, PublicKey
from ledger.codec import Arguments, DecodeError, decode, encode, get_reader, pack, unpack
from ledger.primitives import ChainId, EnvelopeHash, Gas, Grains, Height, Sequence, Signature, TransactionId

TRANSACTION_VERSION: Final = 1
TRANSACTION_BYTES_MAX: Final = 65_536  # one transaction never dominates a block or a peer's queue
CALLS_MAX: Final = 64
AUTHORISATIONS_MAX: Final = 32  # two full policies of 16 keys: sender and fee payer
MEMO_BYTES_MAX: Final = 256
UNORDERED_HEIGHTS_MAX: Final = 600  # how far ahead an unordered transaction may expire; its id is kept that long
SALT_BYTES: Final = 8

UnorderedSalt = NewType("UnorderedSalt", Annotated[bytes, Len(SALT_BYTES, SALT_BYTES)])
"""Tells apart unordered transactions that are otherwise the same."""

SENDER: Final = 0
FEE_PAYER: Final = 1


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a native module or contract."""

    module: Annotated[str, Len(1, 32)]
    call: Annotated[str, Len(1, 32)]
    arguments: Arguments


@dataclass(frozen=True, slots=True)
class TransactionBody:
    """What is signed. All calls happen, or none."""

    version: Annotated[int, Interval(ge=TRANSACTION_VERSION, le=TRANSACTION_VERSION)]
    chain_id: ChainId
    sender: Address
    ordering: Sequence | UnorderedSalt
    """The sender's sequence number, or a salt: an unordered transaction is remembered until it expires instead."""
    valid_until: Height
    """The last block that may include it."""
    gas_limit: Annotated[Gas, Interval(ge=1, le=2**53 - 1)]
    fee_max_grains: Grains
    """Paid if all gas is used; the price per gas is this divided by the gas limit, rounded down."""
    fee_payer: Address | None
    """Another account that pays the fee and also signs; nil: the sender pays."""
    calls: Annotated[tuple[Call, ...], Len(1, CALLS_MAX)]
    memo: Annotated[str, Len(0, MEMO_BYTES_MAX)]

    @property
    def price_grains(self) -> int:
        """Grains offered per gas."""
        return self.fee_max_grains // self.gas_limit

    @property
    def is_unordered(self) -> bool:
        """Whether it is remembered until it expires, instead of using up a sequence."""
        return type(self.ordering) is bytes


@dataclass(frozen=True, slots=True)
class Authorisation:
    """A signature of one key for the sender (0) or the fee payer (1), over the body's bytes."""

    role: Annotated[int, Interval(ge=SENDER, le=FEE_PAYER)]
    key_type: KeyType
    key: Annotated[bytes, Len(32, 33)]
    signature: Signature

    @property
    def public_key(self) -> PublicKey:
        """The signing key."""
        return PublicKey(self.key_type, self.key)


@dataclass(frozen=True, slots=True)
class Transaction:
    """A decoded transaction that keeps the bytes it came in."""

    raw: bytes
    body_bytes: bytes
    body: TransactionBody
    authorisations: tuple[Authorisation, ...]
    id: TransactionId
    """SHA-256 of the body's bytes."""
    envelope_hash: EnvelopeHash
    """SHA-256(0x00 ‖ whole transaction), an RFC 6962 leaf."""


def compute_envelope_hash(raw: bytes) -> EnvelopeHash:
    """The RFC 6962 leaf hash of an encoded transaction."""
    return EnvelopeHash(sha256(b"\x00" + raw).digest())


def encode_body(body: TransactionBody) -> bytes:
    """The bytes that are signed and whose hash is the id."""
    return encode(body)


def build_transaction(body_bytes: bytes, authorisations: tuple[Authorisation, ...]) -> Transaction:
    """Put body and signatures together in the one accepted order: by role, then key."""
    ordered = sorted(authorisations, key=lambda each: (each.role, each.key_type, each.key))
    raw = pack([body_bytes, [[each.role, int(each.key_type), each.key, each.signature] for each in ordered]])
    return decode_transaction(raw)


def decode_transaction(raw: bytes) -> Transaction:
    """Read a transaction and check its form; raises DecodeError. Signatures are not checked here."""
    if len(raw) > TRANSACTION_BYTES_MAX:
        raise DecodeError(f"a transaction has at most {TRANSACTION_BYTES_MAX} bytes, not {len(raw)}")
    envelope = unpack(raw)
    if type(envelope) is not list or len(envelope) != 2:
        raise DecodeError("a transaction is [body, authorisations]")
    body_bytes, plain_authorisations = envelope
    if type(body_bytes) is not bytes or type(plain_authorisations) is not list:
        raise DecodeError("a transaction is [bytes, list]")
    if not 1 <= len(plain_authorisations) <= AUTHORISATIONS_MAX:
        raise DecodeError(f"a transaction has 1 to {AUTHORISATIONS_MAX} authorisations")
    body = decode(TransactionBody, body_bytes)
    if len(body.memo.encode()) > MEMO_BYTES_MAX:
        raise DecodeError(f"a memo has at most {MEMO_BYTES_MAX} bytes")
    if body.fee_payer == body.sender:
        raise DecodeError("the fee payer is nil when the sender pays")
    authorisations = tuple([_read_authorisation(plain) for plain in plain_authorisations])
    if len(authorisations) > 1:
        order = [(each.role, each.key_type, each.key) for each in authorisations]
        if any(left >= right for left, right in pairwise(order)):
            raise DecodeError("authorisations stand in order of role and key, each once")
    if authorisations[0].role != SENDER:
        raise DecodeError("the sender's signature is missing")
    if (authorisations[-1].role == FEE_PAYER) != (body.fee_payer is not None):
        raise DecodeError("the fee payer signs exactly when one is named")
    transaction_id = TransactionId(sha256(body_bytes).digest())
    return Transaction(raw, body_bytes, body, authorisations, transaction_id, compute_envelope_hash(raw))


_read_authorisation = get_reader(Authorisation)
