"""What a member has signed, so that it never signs against it: the last line of defence, whatever the core believes.

The state is on disk before a signature is asked for. It also holds the lock, so that even a lost log cannot make a
member forget what it precommitted. Its bytes are "CLSAFETY" ‖ SHA-256 of the rest, 32 bytes ‖ the encoded state.
"""

from dataclasses import dataclass, replace
from enum import IntEnum, unique
from hashlib import sha256
from typing import Annotated, Final

from annotated_types import Len

from consensus.messages import NO_VALID_ROUND, ValidRound
from ledger.codec import DecodeError, decode, encode
from ledger.primitives import BlockHash, Height, Round, Signature

SIGNED_BYTES_MAX: Final = 256  # prefix, purpose, domain, height, two rounds, hash: at most 110
SAFETY_BYTES_MAX: Final = 2_048
_MAGIC: Final = b"CLSAFETY"
_CHECKSUM_BYTES: Final = 32

assert 3 * (SIGNED_BYTES_MAX + 128) + 128 <= SAFETY_BYTES_MAX


@unique
class SignStep(IntEnum):
    """The order in which a member signs within a round. Number on disk; never reused."""

    NOTHING = 0
    PROPOSAL = 1
    PREVOTE = 2
    PRECOMMIT = 3


@dataclass(frozen=True, slots=True)
class SignedMessage:
    """What the signer was asked to sign last for one step, and its answer if that has come."""

    round: Round
    block_hash: BlockHash | None
    message: Annotated[bytes, Len(1, SIGNED_BYTES_MAX)]
    signature: Annotated[Signature, Len(64, 64)] | None


@dataclass(frozen=True, slots=True)
class SafetyState:
    """The last position signed, the lock, and the last message of each step at this height."""

    height: Height
    round: Round
    step: SignStep
    locked_round: ValidRound
    locked_hash: BlockHash | None
    proposal: SignedMessage | None
    prevote: SignedMessage | None
    precommit: SignedMessage | None

    def get_last(self, step: SignStep) -> SignedMessage | None:
        """The last message of a step at this height."""
        match step:
            case SignStep.PROPOSAL:
                return self.proposal
            case SignStep.PREVOTE:
                return self.prevote
            case SignStep.PRECOMMIT:
                return self.precommit
            case SignStep.NOTHING:
                return None


NOTHING_SIGNED: Final = SafetyState(Height(0), Round(0), SignStep.NOTHING, NO_VALID_ROUND, None, None, None, None)


@dataclass(frozen=True, slots=True)
class SignRequest:
    """A message the core wants signed."""

    height: Height
    round: Round
    step: SignStep
    block_hash: BlockHash | None
    message: bytes
    locked_round: int
    """The lock that must be durable with this message."""
    locked_hash: BlockHash | None


@dataclass(frozen=True, slots=True)
class MaySign:
    """Sign after this state is saved."""

    state: SafetyState


@dataclass(frozen=True, slots=True)
class AlreadySigned:
    """The very same message was signed before."""

    signature: Signature


@dataclass(frozen=True, slots=True)
class Refused:
    """Signing this would or could contradict what was signed before."""

    reason: str


def check_may_sign(state: SafetyState, request: SignRequest) -> MaySign | AlreadySigned | Refused:
    """Never two different messages for one height, round and step; never backwards."""
    if request.step is SignStep.NOTHING:
        return Refused("there is nothing to sign")
    last = state.get_last(request.step)
    if last is not None and (state.height, last.round) == (request.height, request.round):
        if last.message != request.message:
            return Refused("another message was signed for this round")
        return MaySign(state) if last.signature is None else AlreadySigned(last.signature)
    if (request.height, request.round, request.step) <= (state.height, state.round, state.step):
        return Refused("the member has signed for a later step already")
    return MaySign(_move_on(state, request))


def record_signature(
    state: SafetyState, step: SignStep, height: Height, message: bytes, signature: Signature
) -> SafetyState:
    """Keep the signer's answer beside the message it belongs to; without effect if that was replaced meanwhile."""
    last = state.get_last(step)
    if last is None or state.height != height or last.message != message:
        return state
    return _replace_last(state, step, replace(last, signature=signature))


def encode_safety(state: SafetyState) -> bytes:
    """The state's bytes with their checksum."""
    payload = encode(state)
    return _MAGIC + sha256(payload).digest() + payload


def decode_safety(encoded: bytes) -> SafetyState:
    """The state of these bytes; raises DecodeError if one of them is not what was written."""
    if len(encoded) > SAFETY_BYTES_MAX:
        raise DecodeError(f"a safety state has at most {SAFETY_BYTES_MAX} bytes")
    if not encoded.startswith(_MAGIC):
        raise DecodeError("this is not a safety state")
    checksum, payload = encoded[len(_MAGIC) :][:_CHECKSUM_BYTES], encoded[len(_MAGIC) + _CHECKSUM_BYTES :]
    if sha256(payload).digest() != checksum:
        raise DecodeError("the safety state is damaged: its checksum does not fit")
    return decode(SafetyState, payload)


def _move_on(state: SafetyState, request: SignRequest) -> SafetyState:
    is_same_height = request.height == state.height
    base = state if is_same_height else NOTHING_SIGNED
    if request.locked_round > base.locked_round:
        base = replace(base, locked_round=request.locked_round, locked_hash=request.locked_hash)
    moved = replace(base, height=request.height, round=request.round, step=request.step)
    return _replace_last(moved, request.step, SignedMessage(request.round, request.block_hash, request.message, None))


def _replace_last(state: SafetyState, step: SignStep, message: SignedMessage) -> SafetyState:
    match step:
        case SignStep.PROPOSAL:
            return replace(state, proposal=message)
        case SignStep.PREVOTE:
            return replace(state, prevote=message)
        case SignStep.PRECOMMIT:
            return replace(state, precommit=message)
        case SignStep.NOTHING:
            return state
