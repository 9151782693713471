"""The votes of one height, counted by members: whoever votes twice is counted once for each thing it voted for."""

from collections.abc import Iterable

from consensus.committee import quorum
from consensus.messages import MemberBitmap, Vote, VoteKind
from ledger.primitives import BlockHash, Round

_Ballot = tuple[Round, VoteKind]


class VoteBook:
    """Verified votes. Algorithm 1 counts members for a value: an equivocator's second vote counts for its block too."""

    def __init__(self, committee_size: int) -> None:
        self._quorum = quorum(committee_size)
        self._tallies: dict[_Ballot, dict[BlockHash | None, dict[int, Vote]]] = {}
        self._voters: dict[_Ballot, set[int]] = {}

    def add(self, vote: Vote) -> None:
        """Count a vote; a second one for the same thing changes nothing."""
        ballot = (vote.round, vote.kind)
        self._tallies.setdefault(ballot, {}).setdefault(vote.block_hash, {}).setdefault(vote.member_index, vote)
        self._voters.setdefault(ballot, set()).add(vote.member_index)

    def find(self, round_number: Round, kind: VoteKind, block_hash: BlockHash | None, member_index: int) -> Vote | None:
        """A member's vote for exactly this."""
        return self._tallies.get((round_number, kind), {}).get(block_hash, {}).get(member_index)

    def find_any(self, round_number: Round, kind: VoteKind, member_index: int) -> Vote | None:
        """A member's first vote of this kind in this round."""
        for tally in self._tallies.get((round_number, kind), {}).values():
            if member_index in tally:
                return tally[member_index]
        return None

    def has_quorum_for(self, round_number: Round, kind: VoteKind, block_hash: BlockHash | None) -> bool:
        """Whether 2f+1 members voted for this."""
        return len(self._tallies.get((round_number, kind), {}).get(block_hash, ())) >= self._quorum

    def has_quorum_any(self, round_number: Round, kind: VoteKind) -> bool:
        """Whether 2f+1 members voted for anything."""
        return len(self._voters.get((round_number, kind), ())) >= self._quorum

    def get_quorum_blocks(self, round_number: Round, kind: VoteKind) -> list[BlockHash]:
        """Blocks with 2f+1 votes: at most one while no more than f members lie."""
        tallies = self._tallies.get((round_number, kind), {})
        return [
            block_hash for block_hash, tally in tallies.items() if block_hash is not None and len(tally) >= self._quorum
        ]

    def get_votes_for(self, round_number: Round, kind: VoteKind, block_hash: BlockHash | None) -> list[Vote]:
        """The votes for this, by member."""
        tally = self._tallies.get((round_number, kind), {}).get(block_hash, {})
        return [tally[index] for index in sorted(tally)]

    def get_first_votes(self, round_number: Round, kind: VoteKind) -> list[Vote]:
        """One vote of each member that voted, by member."""
        votes = (self.find_any(round_number, kind, index) for index in self.get_voters(round_number, kind))
        return [vote for vote in votes if vote is not None]

    def get_voters(self, round_number: Round, kind: VoteKind) -> list[int]:
        """Who voted."""
        return sorted(self._voters.get((round_number, kind), ()))

    def get_voter_bitmap(self, round_number: Round, kind: VoteKind) -> MemberBitmap:
        """Who voted, bit i for member i."""
        return sum(1 << index for index in self._voters.get((round_number, kind), ()))

    def get_rounds(self) -> list[Round]:
        """Rounds with votes, ascending."""
        return sorted({round_number for round_number, _ in self._voters})

    def keep_rounds(self, rounds: Iterable[Round]) -> None:
        """Forget the votes of all other rounds."""
        kept = set(rounds)
        self._tallies = {ballot: tally for ballot, tally in self._tallies.items() if ballot[0] in kept}
        self._voters = {ballot: voters for ballot, voters in self._voters.items() if ballot[0] in kept}
