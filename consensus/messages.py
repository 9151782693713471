"""What members say to each other: proposals, votes, and summaries of what they have heard.

| message      | number | encoded as                                                                             |
|--------------|--------|----------------------------------------------------------------------------------------|
| Proposal     | 1      | [header, round, valid round or -1, [envelope hash…], [evidence…], signature]           |
| Vote         | 2      | [kind, height, round, block hash or nil, member index, signature]                      |
| RoundSummary | 3      | [height, round, step, [[round, prevotes, precommits]…], [round of a known proposal…]]  |

A proposer signs [height, round, valid round, block hash]; a voter signs [height, round, block hash or nil], without its
index, so that all precommits of a certificate are over the same bytes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum, unique
from typing import Annotated, Final

from annotated_types import Interval, Len

from consensus.committee import proposer_index
from identity.keys import KeyType, PublicKey, verify_signature
from identity.signing import SigningDomain, SigningPurpose, signing_bytes
from ledger.block import (
    BLOCK_TRANSACTIONS_MAX,
    EVIDENCE_BYTES_MAX,
    EVIDENCE_MAX,
    Header,
    compute_evidence_root,
    compute_transactions_root,
)
from ledger.codec import DecodeError, decode, encode, pack
from ledger.committee import COMMITTEE_MEMBERS_MAX, Committee
from ledger.primitives import BlockHash, ConsensusKey, EnvelopeHash, Height, Round, Signature

SUMMARY_ROUNDS_MAX: Final = 64  # more than a member keeps of one height
PROPOSAL_BYTES_MAX: Final = 512 * 1024  # 10,000 hashes and 32 pieces of evidence of the largest size fit
MESSAGE_BYTES_MAX: Final = PROPOSAL_BYTES_MAX + 1
NO_VALID_ROUND: Final = -1
UNSIGNED: Final = Signature(b"")
"""Stands in a message that is still to be signed; no decoded message has it."""

assert BLOCK_TRANSACTIONS_MAX * 34 + EVIDENCE_MAX * (EVIDENCE_BYTES_MAX + 3) + 1024 <= PROPOSAL_BYTES_MAX

MemberIndex = Annotated[int, Interval(ge=0, le=COMMITTEE_MEMBERS_MAX - 1)]
ValidRound = Annotated[int, Interval(ge=NO_VALID_ROUND, le=2**31 - 1)]
MemberBitmap = Annotated[int, Interval(ge=0, le=2**COMMITTEE_MEMBERS_MAX - 1)]
"""Bit i stands for member i."""

Verify = Callable[[ConsensusKey, bytes, bytes], bool]
"""(key, message, signature) -> whether the signature is good."""


@unique
class MessageKind(IntEnum):
    """Wire number of a message; never reused."""

    PROPOSAL = 1
    VOTE = 2
    SUMMARY = 3


@unique
class VoteKind(IntEnum):
    """Wire number of the two votes of a round; never reused."""

    PREVOTE = 1
    PRECOMMIT = 2


@unique
class Step(IntEnum):
    """Where in a round a member stands. Wire and log number; never reused."""

    NEW_HEIGHT = 0
    """Idle: nothing to do yet."""
    PROPOSE = 1
    PREVOTE = 2
    PRECOMMIT = 3
    DECIDED = 4


@dataclass(frozen=True, slots=True)
class Vote:
    """A prevote or precommit for a block, or for none (nil)."""

    kind: VoteKind
    height: Height
    round: Round
    block_hash: BlockHash | None
    member_index: MemberIndex
    signature: Signature


@dataclass(frozen=True, slots=True)
class Proposal:
    """A block put forward in a round: header and transaction names; whoever lacks transactions fetches them."""

    header: Header
    """Its round is the one in which this block was first proposed."""
    round: Round
    """The round this proposal is for."""
    valid_round: ValidRound
    """The round in which two thirds prevoted this block, or -1 for a block that is proposed for the first time."""
    envelope_hashes: Annotated[tuple[EnvelopeHash, ...], Len(0, BLOCK_TRANSACTIONS_MAX)]
    evidence: Annotated[tuple[Annotated[bytes, Len(1, EVIDENCE_BYTES_MAX)], ...], Len(0, EVIDENCE_MAX)]
    signature: Signature

    @property
    def height(self) -> Height:
        """The height it is for."""
        return self.header.height

    @property
    def block_hash(self) -> BlockHash:
        """What votes name."""
        return self.header.hash


@dataclass(frozen=True, slots=True)
class RoundVotes:
    """Whose votes of a round a member has."""

    round: Round
    prevotes: MemberBitmap
    precommits: MemberBitmap


@dataclass(frozen=True, slots=True)
class RoundSummary:
    """What a member has heard of a height, said from time to time, so that peers send what is missing."""

    height: Height
    round: Round
    step: Step
    votes: Annotated[tuple[RoundVotes, ...], Len(0, SUMMARY_ROUNDS_MAX)]
    proposal_rounds: Annotated[tuple[Round, ...], Len(0, SUMMARY_ROUNDS_MAX)]


Message = Proposal | Vote | RoundSummary

_KINDS: Final[dict[type, MessageKind]] = {
    Proposal: MessageKind.PROPOSAL,
    Vote: MessageKind.VOTE,
    RoundSummary: MessageKind.SUMMARY,
}


def encode_message(message: Message) -> bytes:
    """The message's number, 1 byte ‖ the encoded message."""
    return bytes([_KINDS[type(message)]]) + encode(message)


def decode_message(encoded: bytes) -> Message:
    """The message of these bytes; raises DecodeError."""
    if len(encoded) > MESSAGE_BYTES_MAX:
        raise DecodeError(f"a message of the consensus has at most {MESSAGE_BYTES_MAX} bytes")
    kind, body = encoded[:1], encoded[1:]
    if kind == bytes([MessageKind.PROPOSAL]):
        return decode(Proposal, body)
    if kind == bytes([MessageKind.VOTE]):
        return decode(Vote, body)
    if kind == bytes([MessageKind.SUMMARY]):
        return decode(RoundSummary, body)
    raise DecodeError("not the number of a message of the consensus")


def vote_signing_bytes(
    domain: SigningDomain, kind: VoteKind, height: Height, round_number: Round, block_hash: BlockHash | None
) -> bytes:
    """What a voter signs; the kind is in the purpose."""
    purpose = SigningPurpose.PREVOTE if kind is VoteKind.PREVOTE else SigningPurpose.PRECOMMIT
    return signing_bytes(purpose, domain, pack([height, round_number, block_hash]))


def proposal_signing_bytes(
    domain: SigningDomain, height: Height, round_number: Round, valid_round: int, block_hash: BlockHash
) -> bytes:
    """What a proposer signs; the block hash covers the rest."""
    return signing_bytes(SigningPurpose.PROPOSAL, domain, pack([height, round_number, valid_round, block_hash]))


def get_vote_message(domain: SigningDomain, vote: Vote) -> bytes:
    """What the signature of this vote is over."""
    return vote_signing_bytes(domain, vote.kind, vote.height, vote.round, vote.block_hash)


def get_proposal_message(domain: SigningDomain, proposal: Proposal) -> bytes:
    """What the signature of this proposal is over."""
    return proposal_signing_bytes(domain, proposal.height, proposal.round, proposal.valid_round, proposal.block_hash)


def verify_consensus_signature(key: ConsensusKey, message: bytes, signature: bytes) -> bool:
    """Whether this Ed25519 signature is good. Never raises."""
    return verify_signature(PublicKey(KeyType.ED25519, key), message, signature)


def is_vote_authentic(vote: Vote, committee: Committee, domain: SigningDomain, verify: Verify) -> bool:
    """Whether the member it names has signed this vote."""
    if vote.member_index >= len(committee.members):
        return False
    key = committee.members[vote.member_index].consensus_key
    return verify(key, get_vote_message(domain, vote), vote.signature)


def is_proposal_authentic(
    proposal: Proposal, committee: Committee, turns: Sequence[int], domain: SigningDomain, verify: Verify
) -> bool:
    """Whether the proposer of its round has signed this proposal."""
    key = committee.members[proposer_index(turns, proposal.round)].consensus_key
    return verify(key, get_proposal_message(domain, proposal), proposal.signature)


def find_proposal_fault(proposal: Proposal, committee: Committee, turns: Sequence[int]) -> str | None:
    """Why no honest member sends this proposal, whatever the chain's state; None if nothing is wrong."""
    header = proposal.header
    if proposal.valid_round >= proposal.round:
        return "the valid round is not an earlier one"
    if proposal.valid_round == NO_VALID_ROUND:
        if header.round != proposal.round:
            return "a fresh block does not name its own round"
    elif header.round > proposal.valid_round:
        return "the block was first proposed after its valid round"
    index = proposer_index(turns, header.round)
    if header.proposer != committee.members[index].consensus_key:
        return "the header does not name the proposer of its round"
    if header.transactions_root != compute_transactions_root(list(proposal.envelope_hashes)):
        return "the transactions are not those of the header"
    if header.evidence_root != compute_evidence_root(proposal.evidence):
        return "the evidence is not that of the header"
    return None
