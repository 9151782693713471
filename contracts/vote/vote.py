"""A weighted vote: a list of voters with weights, proposals with a deadline, and a share that must agree."""

from typing import Final, Literal

from iov import (
    ROUND_UP,
    Address,
    Contract,
    List,
    Map,
    Var,
    call,
    context,
    emit,
    event,
    init,
    mul_div,
    range,
    replace,
    require,
    revert,
    struct,
    u8,
    u32,
    u64,
    u128,
    view,
)

NO_VOTERS: Final = 1
VOTER_TWICE: Final = 2
NO_WEIGHT: Final = 3
SHARE_OUT_OF_RANGE: Final = 4
NOT_A_VOTER: Final = 5
NO_SUCH_PROPOSAL: Final = 6
CLOSED: Final = 7
VOTED_ALREADY: Final = 8
STILL_OPEN: Final = 9
TOO_SHORT: Final = 10

PENDING: Final = u8(0)
ACCEPTED: Final = u8(1)
REJECTED: Final = u8(2)
BPS: Final = 10_000
VOTING_BLOCKS_MIN: Final = 10


@struct
class Voter:
    """Somebody with a say."""

    account: Address
    weight: u64


@struct
class Proposal:
    """What is voted on: the text's hash, how it stands, and how it ended."""

    proposer: Address
    text_hash: bytes
    closes_after: u64
    weight_for: u64
    weight_against: u64
    status: u8


@struct
class Ballot:
    """A voter's vote on a proposal."""

    proposal: u32
    voter: Address


Voters = List[Voter, Literal[100]]


@event
class Proposed:
    """Voting has begun."""

    number: u32
    proposer: Address
    closes_after: u64


@event
class Voted:
    """A vote was cast."""

    number: u32
    voter: Address
    is_for: bool
    weight: u64


@event
class Decided:
    """Voting is over."""

    number: u32
    status: u8


class Vote(Contract):
    """Accepted is what at least the quorum's share of all weight is for, and more is for than against."""

    weights: Map[Address, u64]
    weight_total: Var[u64]
    quorum_bps: Var[u64]
    proposals: Map[u32, Proposal]
    proposals_count: Var[u32]
    ballots: Map[Ballot, bool]

    @init
    def create(self, voters: Voters, quorum_bps: u64) -> None:
        """Who votes, and which share of all weight must be for it."""
        require(len(voters) != 0, NO_VOTERS)
        require(0 < quorum_bps <= BPS, SHARE_OUT_OF_RANGE)
        total = u64(0)
        for voter in voters:
            require(voter.account not in self.weights, VOTER_TWICE)
            require(voter.weight > 0, NO_WEIGHT)
            self.weights[voter.account] = voter.weight
            total += voter.weight
        self.weight_total = total
        self.quorum_bps = quorum_bps
        self.proposals_count = u32(0)

    @call
    def propose(self, text_hash: bytes, blocks: u64) -> u32:
        """Begin a vote that is open for so many blocks; gives its number."""
        require(context.caller in self.weights, NOT_A_VOTER)
        require(blocks >= VOTING_BLOCKS_MIN, TOO_SHORT)
        number = self.proposals_count
        self.proposals_count += 1
        closes_after = context.height + blocks
        self.proposals[number] = Proposal(context.caller, text_hash, closes_after, u64(0), u64(0), PENDING)
        emit(Proposed(number, context.caller, closes_after))
        return number

    @call
    def cast(self, number: u32, is_for: bool) -> None:
        """Vote once."""
        weight = self.weights.get(context.caller)
        if weight is None:
            revert(NOT_A_VOTER)
        proposal = self._get(number)
        require(proposal.status == PENDING and context.height <= proposal.closes_after, CLOSED)
        ballot = Ballot(number, context.caller)
        require(ballot not in self.ballots, VOTED_ALREADY)
        self.ballots[ballot] = is_for
        if is_for:
            proposal = replace(proposal, weight_for=proposal.weight_for + weight)
        else:
            proposal = replace(proposal, weight_against=proposal.weight_against + weight)
        self.proposals[number] = proposal
        emit(Voted(number, context.caller, is_for, weight))

    @call
    def close(self, number: u32) -> u8:
        """Anybody closes a vote whose time is over."""
        proposal = self._get(number)
        require(proposal.status == PENDING, CLOSED)
        require(context.height > proposal.closes_after, STILL_OPEN)
        needed = mul_div(u128(self.weight_total), u128(self.quorum_bps), u128(BPS), ROUND_UP)
        is_accepted = u128(proposal.weight_for) >= needed and proposal.weight_for > proposal.weight_against
        status = ACCEPTED if is_accepted else REJECTED
        self.proposals[number] = replace(proposal, status=status)
        emit(Decided(number, status))
        return status

    @view
    def get_proposal(self, number: u32) -> Proposal:
        """How it stands."""
        return self._get(number)

    @view
    def count_pending(self) -> u32:
        """How many votes are not closed."""
        pending = u32(0)
        for number in range(self.proposals_count):
            if self.proposals[number].status == PENDING:
                pending += 1
        return pending

    def _get(self, number: u32) -> Proposal:
        proposal = self.proposals.get(number)
        if proposal is None:
            revert(NO_SUCH_PROPOSAL)
        return proposal
