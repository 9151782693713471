"""What a member knows about the height it is deciding: Algorithm 1's variables and its message log, with limits."""

from dataclasses import dataclass, field
from typing import Final

from consensus.committee import one_honest, proposer_index, quorum
from consensus.messages import NO_VALID_ROUND, SUMMARY_ROUNDS_MAX, Proposal, Step, VoteKind
from consensus.timeouts import Timeouts
from consensus.votes import VoteBook
from ledger.block import CommitCertificate, Header
from ledger.committee import Committee
from ledger.primitives import BlockHash, Height, Round, TimeMs

FIRST_ROUND: Final = Round(0)
ROUNDS_AHEAD_MAX: Final = 4  # messages further ahead only say how far their member is
ROUNDS_BEHIND_MAX: Final = 32  # what was decided in an older round comes by block sync
_PROPOSALS_PER_ROUND_MAX: Final = 2  # the first, and another that two thirds voted for

assert (
    ROUNDS_BEHIND_MAX + 1 + ROUNDS_AHEAD_MAX + 2 + _PROPOSALS_PER_ROUND_MAX * (ROUNDS_AHEAD_MAX + 1)
    <= SUMMARY_ROUNDS_MAX
)


@dataclass(frozen=True, slots=True)
class Decision:
    """A final block and its proof."""

    proposal: Proposal
    certificate: CommitCertificate


@dataclass(slots=True)
class HeightState:
    """The variables of one height; only the core's transitions write them."""

    height: Height
    committee: Committee
    turns: tuple[int, ...]
    """Member indices in the order in which they propose: the first in round 0."""
    previous_hash: BlockHash
    previous_time_ms: TimeMs
    timeouts: Timeouts
    own_index: int | None
    """None for an observer, who follows and never signs."""
    votes: VoteBook
    round: Round = FIRST_ROUND  # L3
    step: Step = Step.NEW_HEIGHT
    locked_round: int = NO_VALID_ROUND  # L7
    locked_hash: BlockHash | None = None  # L6
    valid_round: int = NO_VALID_ROUND  # L9
    valid_hash: BlockHash | None = None  # L8
    decision: Decision | None = None  # L5
    proposals: dict[Round, list[Proposal]] = field(default_factory=dict)
    blocks: dict[BlockHash, Proposal] = field(default_factory=dict)
    """A proposal of each block that is here. Any copy will do: two thirds of votes vouch for the proposer's word."""
    checks: dict[BlockHash, bool | None] = field(default_factory=dict)
    """Whether a block is valid; None while the node is checking it."""
    timely_rounds: set[Round] = field(default_factory=set)
    """Rounds whose first proposal is fresh and came in time."""
    farthest_rounds: dict[int, Round] = field(default_factory=dict)
    """The highest round each member has signed anything for."""
    fetches: set[tuple[Round, BlockHash]] = field(default_factory=set)
    """Blocks asked for because two thirds voted for them."""
    equivocations: set[tuple[Round, VoteKind | None, int]] = field(default_factory=set)
    """(round, kind or None for proposals, member) already reported."""
    is_polka_done: bool = False
    """The first-time rule of L36 has run in this round."""
    is_prevote_wait_scheduled: bool = False
    is_precommit_wait_scheduled: bool = False

    @property
    def size(self) -> int:
        """How many members there are."""
        return len(self.committee.members)

    @property
    def is_own_turn(self) -> bool:
        """Whether this member proposes in this round."""
        return self.own_index is not None and self.own_index == self.get_proposer(self.round)

    @property
    def is_running(self) -> bool:
        """Whether rounds are going on: neither idle nor decided."""
        return self.step is not Step.NEW_HEIGHT and self.step is not Step.DECIDED

    def get_proposer(self, round_number: Round) -> int:
        """Who proposes in a round."""
        return proposer_index(self.turns, round_number)

    def get_proposal(self, round_number: Round) -> Proposal | None:
        """The first proposal of a round."""
        proposals = self.proposals.get(round_number)
        return proposals[0] if proposals else None

    def is_round_ahead(self, round_number: Round) -> bool:
        """Whether messages of this round are too far ahead to be kept."""
        return round_number > self.round + ROUNDS_AHEAD_MAX

    def is_round_kept(self, round_number: Round) -> bool:
        """Whether messages of this round are kept: rounds around this one, and those that proposals rest on."""
        is_near = self.round - ROUNDS_BEHIND_MAX <= round_number <= self.round + ROUNDS_AHEAD_MAX
        return is_near or round_number in self.get_pinned_rounds()

    def get_pinned_rounds(self) -> set[int]:
        """Old rounds whose prevotes still matter: our lock and valid value, and those open proposals rest on."""
        open_proposals = [
            proposal
            for ahead in range(ROUNDS_AHEAD_MAX + 1)
            for proposal in self.proposals.get(Round(self.round + ahead), ())
        ]
        return {self.locked_round, self.valid_round, *(proposal.valid_round for proposal in open_proposals)}

    def is_vote_of_interest(self, round_number: Round, block_hash: BlockHash | None) -> bool:
        """Whether an equivocator's second vote may be what a block needs, so that it has to be counted too."""
        if block_hash is None:
            return False
        if (round_number, block_hash) in ((self.locked_round, self.locked_hash), (self.valid_round, self.valid_hash)):
            return True
        return any(
            proposal.block_hash == block_hash and round_number in (proposal.round, proposal.valid_round)
            for proposals in self.proposals.values()
            for proposal in proposals
        )

    def is_block_wanted(self, block_hash: BlockHash) -> bool:
        """Whether two thirds voted for this block and it is not here."""
        return block_hash not in self.blocks and any(wanted == block_hash for _, wanted in self.fetches)

    def find_block_fault(self, header: Header) -> str | None:
        """Why this block cannot follow the last one, as far as the core knows; None if nothing is wrong."""
        if header.previous_hash != self.previous_hash:
            return "it does not name the block before"
        if header.time_ms <= self.previous_time_ms:
            return "it is not later than the block before"
        if header.committee_hash != self.committee.hash:
            return "it names another committee"
        return None

    def compute_skip_round(self) -> Round | None:
        """The highest later round that f+1 members have reached, so that an honest one has; None if there is none.

        L55 wants f+1 messages of one round. Members that are in different later rounds show the same: an honest one
        is at least in the lowest of them. Counting each member's highest round alone needs no room for the rest.
        """
        needed = one_honest(self.size)
        reached = sorted(self.farthest_rounds.values(), reverse=True)
        if len(reached) < needed or reached[needed - 1] <= self.round:
            return None
        return reached[needed - 1]


@dataclass(frozen=True, slots=True)
class Waiting:
    """What a member is waiting for, for a watchdog's log line."""

    height: Height
    round: Round
    step: Step
    proposer_index: int
    is_proposal_missing: bool
    votes_needed: int
    prevoted: tuple[int, ...]
    """Members whose prevote of this round is here."""
    precommitted: tuple[int, ...]
    silent: tuple[int, ...]
    """Members without the vote that this step waits for."""
    missing_blocks: tuple[BlockHash, ...]
    """Blocks that two thirds voted for and that are not here."""
    unchecked_blocks: tuple[BlockHash, ...]
    """Blocks whose check the node has not answered."""
    refused_blocks: tuple[BlockHash, ...]
    """Blocks that two thirds precommitted and this node holds for invalid: it, or more than f members, is broken."""


def compute_waiting(state: HeightState) -> Waiting:
    """What stands between this member and the next block."""
    prevoted = state.votes.get_voters(state.round, VoteKind.PREVOTE)
    precommitted = state.votes.get_voters(state.round, VoteKind.PRECOMMIT)
    heard = precommitted if state.step is Step.PRECOMMIT else prevoted
    certified = [
        block_hash
        for round_number in state.votes.get_rounds()
        for block_hash in state.votes.get_quorum_blocks(round_number, VoteKind.PRECOMMIT)
    ]
    return Waiting(
        height=state.height,
        round=state.round,
        step=state.step,
        proposer_index=state.get_proposer(state.round),
        is_proposal_missing=state.get_proposal(state.round) is None,
        votes_needed=quorum(state.size),
        prevoted=tuple(prevoted),
        precommitted=tuple(precommitted),
        silent=tuple(index for index in range(state.size) if index not in heard),
        missing_blocks=tuple(block_hash for _, block_hash in sorted(state.fetches) if block_hash not in state.blocks),
        unchecked_blocks=tuple(block_hash for block_hash, is_valid in state.checks.items() if is_valid is None),
        refused_blocks=tuple(block_hash for block_hash in certified if state.checks.get(block_hash) is False),
    )


def format_waiting(waiting: Waiting) -> str:
    """One line for people."""
    where = f"height {waiting.height}, round {waiting.round}"
    if waiting.step is Step.NEW_HEIGHT:
        return f"{where}: idle, waiting for work"
    if waiting.step is Step.DECIDED:
        return f"{where}: decided, waiting for the block to be executed and persisted"
    parts = [f"{where}, step {waiting.step.name.lower()}"]
    if waiting.step is Step.PROPOSE and waiting.is_proposal_missing:
        parts.append(f"no proposal from member {waiting.proposer_index}")
    counts = f"{len(waiting.prevoted)} prevotes, {len(waiting.precommitted)} precommits"
    parts.append(f"{counts}, {waiting.votes_needed} needed")
    if waiting.silent:
        parts.append("silent: members " + ", ".join(str(index) for index in waiting.silent))
    for label, hashes in (
        ("blocks to fetch", waiting.missing_blocks),
        ("blocks being checked", waiting.unchecked_blocks),
        ("finalised by others but invalid here", waiting.refused_blocks),
    ):
        if hashes:
            parts.append(f"{label}: " + ", ".join(block_hash.hex() for block_hash in hashes))
    return "; ".join(parts)
