"""A type for every id, unit and hash. The annotations are the limits the codec enforces."""

from hashlib import sha256
from typing import Annotated, Final, NewType

from annotated_types import Interval, Len

HASH_BYTES: Final = 32
INTEGER_MAX: Final = 2**63 - 1  # every amount fits: the whole supply is 10^18 grains
JSON_INTEGER_MAX: Final = 2**53 - 1  # heights, gas and times stay exact in JavaScript

GRAINS_PER_IOV: Final = 100_000_000
SUPPLY_GRAINS: Final = 10**18

Height = NewType("Height", Annotated[int, Interval(ge=0, le=JSON_INTEGER_MAX)])
"""Number of a block; genesis is height 0."""
TimeMs = NewType("TimeMs", Annotated[int, Interval(ge=0, le=JSON_INTEGER_MAX)])
"""Milliseconds since 1970-01-01T00:00:00Z."""
Grains = NewType("Grains", Annotated[int, Interval(ge=0, le=INTEGER_MAX)])
"""Money: 10^-8 IOV."""
PositiveGrains = Annotated[Grains, Interval(ge=1, le=INTEGER_MAX)]
"""Money where nothing would say nothing: a limit, a lot, a payment."""
GrainDays = NewType("GrainDays", int)
"""Coin age: grains times whole days. The supply of a century outgrows 64 bits, so it is a decimal string in JSON."""
Gas = NewType("Gas", Annotated[int, Interval(ge=0, le=JSON_INTEGER_MAX)])
"""Work."""
Sequence = NewType("Sequence", Annotated[int, Interval(ge=0, le=JSON_INTEGER_MAX)])
"""How many ordered transactions an account has sent; the next one carries this number."""
Round = NewType("Round", Annotated[int, Interval(ge=0, le=2**31 - 1)])
"""Attempt at deciding a height, from 0."""

BlockHash = NewType("BlockHash", Annotated[bytes, Len(32, 32)])
"""SHA-256 of the encoded header."""
TransactionId = NewType("TransactionId", Annotated[bytes, Len(32, 32)])
"""SHA-256 of the encoded body: independent of the signatures."""
EnvelopeHash = NewType("EnvelopeHash", Annotated[bytes, Len(32, 32)])
"""RFC 6962 leaf hash of the whole encoded transaction, signatures included: what a block commits to."""
RootHash = NewType("RootHash", Annotated[bytes, Len(32, 32)])
"""Root of a Merkle tree."""
ConsensusKey = NewType("ConsensusKey", Annotated[bytes, Len(32, 32)])
"""Ed25519 public key that votes."""
NodeKey = NewType("NodeKey", Annotated[bytes, Len(32, 32)])
"""Ed25519 public key of a node's TLS certificate."""
Signature = NewType("Signature", Annotated[bytes, Len(64, 64)])

ChainId = NewType("ChainId", Annotated[str, Len(1, 32)])

EMPTY_ROOT: Final = RootHash(sha256(b"").digest())
"""RFC 6962 root of an empty list."""
