"""Committees, blocks and signed messages for tests of the consensus."""

from dataclasses import dataclass, replace
from functools import cache
from hashlib import sha256

from consensus.committee import proposer_index
from consensus.core import Core
from consensus.effects import (
    AppendLog,
    Broadcast,
    BuildBlock,
    Effect,
    SaveSafety,
    SignProposal,
    SignVote,
)
from consensus.events import BlockBuilt, Event, HeightStarted, ProposalSigned, VoteReceived, VoteSigned
from consensus.messages import (
    UNSIGNED,
    Proposal,
    Vote,
    VoteKind,
    get_proposal_message,
    get_vote_message,
)
from consensus.safety import NOTHING_SIGNED, SafetyState
from consensus.timeouts import Timeouts
from identity.address import Address
from identity.keys import KeyType, PrivateKey
from identity.signing import SigningDomain, compute_signing_domain
from ledger.block import HEADER_VERSION, CommitCertificate, Header, compute_evidence_root, compute_transactions_root
from ledger.committee import Committee, Member
from ledger.primitives import (
    EMPTY_ROOT,
    BlockHash,
    ChainId,
    ConsensusKey,
    EnvelopeHash,
    Height,
    NodeKey,
    RootHash,
    Round,
    Signature,
    TimeMs,
)
from ledger.turns import NOBODY_ABSENT, compute_turns

CHAIN_ID = ChainId("consensus-test")
DOMAIN: SigningDomain = compute_signing_domain(CHAIN_ID, bytes(32))
PREVIOUS_HASH = BlockHash(b"\x11" * 32)
PREVIOUS_TIME_MS = TimeMs(1_000_000)
NOW_MS = TimeMs(1_000_500)
HEIGHT = Height(4)  # of four members, member 0 proposes in round 0
PEER = NodeKey(b"\x99" * 32)
TIMEOUTS = Timeouts(
    propose_ms=1000,
    propose_delta_ms=500,
    prevote_ms=400,
    prevote_delta_ms=200,
    precommit_ms=300,
    precommit_delta_ms=100,
    message_delay_ms=2000,
    message_delay_delta_ms=100,
    precision_ms=500,
)


@cache
def key_of(index: int) -> PrivateKey:
    """The consensus key of a member."""
    return PrivateKey(KeyType.ED25519, sha256(f"member {index}".encode()).digest())


def public_of(index: int) -> ConsensusKey:
    """A member's public key."""
    return ConsensusKey(key_of(index).public_key.key)


@cache
def make_committee(size: int) -> Committee:
    """Members 0 to size - 1."""
    return Committee(
        tuple(
            Member(Address(sha256(f"operator {index}".encode()).digest()[:20]), public_of(index))
            for index in range(size)
        )
    )


def turns_of(size: int, height: Height) -> tuple[int, ...]:
    """Who proposes when nobody was absent."""
    return compute_turns(make_committee(size), NOBODY_ABSENT, height)


def make_vote(
    index: int,
    kind: VoteKind,
    block_hash: BlockHash | None,
    round_number: int = 0,
    height: Height = HEIGHT,
    domain: SigningDomain = DOMAIN,
) -> Vote:
    """A vote signed by the member."""
    vote = Vote(kind, height, Round(round_number), block_hash, index, UNSIGNED)
    return sign_vote(vote, index, domain)


def sign_vote(vote: Vote, signer: int, domain: SigningDomain = DOMAIN) -> Vote:
    """The vote with a member's signature."""
    return replace(vote, signature=Signature(key_of(signer).sign(get_vote_message(domain, vote))))


def sign_proposal(proposal: Proposal, signer: int) -> Proposal:
    """The proposal with a member's signature."""
    return replace(proposal, signature=Signature(key_of(signer).sign(get_proposal_message(DOMAIN, proposal))))


def make_header(
    size: int = 4,
    round_number: int = 0,
    height: Height = HEIGHT,
    time_ms: int = NOW_MS,
    hashes: tuple[EnvelopeHash, ...] = (),
    evidence: tuple[bytes, ...] = (),
) -> Header:
    """A header that follows the rules for a fresh block of this round."""
    committee = make_committee(size)
    return Header(
        version=HEADER_VERSION,
        chain_id=CHAIN_ID,
        height=height,
        round=Round(round_number),
        time_ms=TimeMs(time_ms),
        previous_hash=PREVIOUS_HASH,
        proposer=committee.members[proposer_index(turns_of(size, height), round_number)].consensus_key,
        transactions_root=compute_transactions_root(list(hashes)),
        evidence_root=compute_evidence_root(evidence),
        state_root=EMPTY_ROOT,
        receipts_root=EMPTY_ROOT,
        committee_hash=committee.hash,
        next_committee_hash=committee.hash,
        parameters_hash=RootHash(bytes(32)),
    )


def make_proposal(
    size: int = 4,
    round_number: int = 0,
    tag: bytes = b"a",
    time_ms: int = NOW_MS,
    height: Height = HEIGHT,
) -> Proposal:
    """A fresh block of one transaction that depends on the tag, signed by the round's proposer."""
    hashes = (EnvelopeHash(sha256(tag).digest()),)
    header = make_header(size, round_number, height, time_ms, hashes)
    proposal = Proposal(header, Round(round_number), -1, hashes, (), UNSIGNED)
    return sign_proposal(proposal, proposer_index(turns_of(size, height), round_number))


def propose_again(proposal: Proposal, round_number: int, valid_round: int, size: int = 4) -> Proposal:
    """The same block in a later round, signed by that round's proposer."""
    again = replace(proposal, round=Round(round_number), valid_round=valid_round)
    return sign_proposal(again, proposer_index(turns_of(size, proposal.height), round_number))


def make_certificate(header: Header, signers: tuple[int, ...], round_number: int = 0) -> CommitCertificate:
    """Precommits of these members."""
    votes = [make_vote(index, VoteKind.PRECOMMIT, header.hash, round_number, header.height) for index in signers]
    signatures = tuple((vote.member_index, vote.signature) for vote in votes)
    return CommitCertificate(header.height, Round(round_number), header.hash, signatures)


def start_height(size: int = 4, height: Height = HEIGHT) -> HeightStarted:
    """The event that begins a height."""
    return HeightStarted(
        height, make_committee(size), turns_of(size, height), PREVIOUS_HASH, PREVIOUS_TIME_MS, TIMEOUTS
    )


@dataclass(slots=True)
class Seat:
    """A core at a member's seat with a signer that answers at once and keeps what was asked of it."""

    index: int | None
    size: int
    core: Core
    has_signer: bool = True

    def feed(self, *events: Event) -> list[Effect]:
        """The effects of these events, and of the signatures they lead to, in order."""
        effects: list[Effect] = []
        queue = list(events)
        while queue:
            news = self.core.handle(queue.pop(0))
            effects += news
            if self.has_signer:
                queue = [answer for effect in news for answer in self.answer(effect)] + queue
        return effects

    def answer(self, effect: Effect) -> list[Event]:
        """What the signer says to this effect."""
        if isinstance(effect, SignVote) and self.index is not None:
            return [VoteSigned(sign_vote(effect.vote, self.index))]
        if isinstance(effect, SignProposal) and self.index is not None:
            return [ProposalSigned(sign_proposal(effect.proposal, self.index))]
        return []

    def feed_votes(
        self, kind: VoteKind, block_hash: BlockHash | None, members: tuple[int, ...], round_number: int = 0
    ) -> list[Effect]:
        """Votes of these members arrive."""
        return self.feed(*[VoteReceived(make_vote(index, kind, block_hash, round_number), PEER) for index in members])


def take_seat(index: int | None = 1, size: int = 4, safety: SafetyState = NOTHING_SIGNED) -> Seat:
    """A core that has been told its height."""
    seat = Seat(index, size, Core(DOMAIN, None if index is None else public_of(index), safety))
    seat.feed(start_height(size))
    return seat


def sent_votes(effects: list[Effect]) -> list[tuple[VoteKind, int, BlockHash | None]]:
    """(kind, round, block) of the votes that were broadcast."""
    return [
        (effect.message.kind, effect.message.round, effect.message.block_hash)
        for effect in effects
        if isinstance(effect, Broadcast) and isinstance(effect.message, Vote)
    ]


def sent_proposals(effects: list[Effect]) -> list[Proposal]:
    """The proposals that were broadcast."""
    return [
        effect.message for effect in effects if isinstance(effect, Broadcast) and isinstance(effect.message, Proposal)
    ]


def without_records(effects: list[Effect]) -> list[Effect]:
    """The effects that are not about the log or the safety state."""
    return [effect for effect in effects if not isinstance(effect, AppendLog | SaveSafety)]


def build_for(effect: BuildBlock, size: int = 4, tag: bytes = b"own") -> BlockBuilt:
    """A node's answer to BuildBlock."""
    hashes = (EnvelopeHash(sha256(tag).digest()),)
    header = make_header(size, effect.round, effect.height, NOW_MS, hashes)
    return BlockBuilt(effect.height, effect.round, header, hashes, ())
