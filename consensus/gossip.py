"""What to say about a height, and what a peer lacks of it. Messages get lost; this is how they arrive all the same."""

from typing import Final

from consensus.height import ROUNDS_AHEAD_MAX, ROUNDS_BEHIND_MAX, Decision, HeightState
from consensus.messages import (
    NO_VALID_ROUND,
    SUMMARY_ROUNDS_MAX,
    MemberBitmap,
    Proposal,
    RoundSummary,
    RoundVotes,
    Step,
    Vote,
    VoteKind,
)
from ledger.block import CommitCertificate
from ledger.primitives import Round

MESSAGES_PER_SUMMARY_MAX: Final = 64  # the next summary brings the rest
_KINDS: Final = (VoteKind.PREVOTE, VoteKind.PRECOMMIT)


def build_summary(state: HeightState) -> RoundSummary:
    """What this member has heard of its height.

    A round whose proposal is here counts as unheard while two thirds want another block of it.
    """
    votes = tuple(
        RoundVotes(
            round_number,
            state.votes.get_voter_bitmap(round_number, VoteKind.PREVOTE),
            state.votes.get_voter_bitmap(round_number, VoteKind.PRECOMMIT),
        )
        for round_number in state.votes.get_rounds()
    )
    wanted_rounds = {number for number, block_hash in state.fetches if block_hash not in state.blocks}
    proposal_rounds = tuple(number for number in sorted(state.proposals) if number not in wanted_rounds)
    return RoundSummary(
        state.height, state.round, state.step, votes[-SUMMARY_ROUNDS_MAX:], proposal_rounds[-SUMMARY_ROUNDS_MAX:]
    )


def find_missing(state: HeightState, last_decision: Decision | None, summary: RoundSummary) -> list[Proposal | Vote]:
    """What a peer with this summary lacks, at most MESSAGES_PER_SUMMARY_MAX messages and one proposal."""
    for decision in (last_decision, state.decision):
        if decision is not None and decision.certificate.height == summary.height:
            return _find_missing_of_decision(decision, summary)
    if summary.height != state.height or summary.step is Step.DECIDED:
        return []
    missing: list[Proposal | Vote] = [
        *_find_missing_proposal(state, summary),
        *_find_hidden_polka(state, summary),
        *_find_missing_votes(state, summary),
    ]
    return missing[:MESSAGES_PER_SUMMARY_MAX]


def get_certificate_votes(certificate: CommitCertificate) -> list[Vote]:
    """The precommits that a certificate consists of."""
    return [
        Vote(VoteKind.PRECOMMIT, certificate.height, certificate.round, certificate.block_hash, index, signature)
        for index, signature in certificate.signatures
    ]


def _find_missing_of_decision(decision: Decision, summary: RoundSummary) -> list[Proposal | Vote]:
    """All of the certificate, whatever the peer says it has: it may have an equivocator's other vote."""
    if summary.step is Step.DECIDED:
        return []
    has_proposal = {decision.proposal.round, decision.certificate.round} <= set(summary.proposal_rounds)
    return [*([] if has_proposal else [decision.proposal]), *get_certificate_votes(decision.certificate)]


def _is_near(summary: RoundSummary, round_number: int) -> bool:
    """Whether the peer keeps messages of this round."""
    return summary.round - ROUNDS_BEHIND_MAX <= round_number <= summary.round + ROUNDS_AHEAD_MAX


def _find_missing_proposal(state: HeightState, summary: RoundSummary) -> list[Proposal]:
    """The proposal of the peer's round, or else of the latest round that it keeps."""
    lacking = [
        round_number
        for round_number in sorted(state.proposals, reverse=True)
        if round_number not in summary.proposal_rounds and _is_near(summary, round_number)
    ]
    chosen = summary.round if summary.round in lacking else next(iter(lacking), None)
    return [] if chosen is None else state.proposals[chosen][-1:]  # the last is the one that two thirds voted for


def _find_hidden_polka(state: HeightState, summary: RoundSummary) -> list[Vote]:
    """The prevotes that a re-proposal rests on, for a peer that has it and does not vote.

    The peer may count an equivocator's other vote, so what it says it has does not show what it lacks.
    """
    proposal = state.get_proposal(summary.round)
    if summary.step is not Step.PROPOSE or proposal is None or proposal.valid_round == NO_VALID_ROUND:
        return []
    valid_round = Round(proposal.valid_round)
    if not state.votes.has_quorum_for(valid_round, VoteKind.PREVOTE, proposal.block_hash):
        return []
    return state.votes.get_votes_for(valid_round, VoteKind.PREVOTE, proposal.block_hash)


def _find_missing_votes(state: HeightState, summary: RoundSummary) -> list[Vote]:
    """Votes the peer does not have: first of rounds that it keeps, then later ones that show it how far others are."""
    heard = {votes.round: votes for votes in summary.votes}
    rounds = sorted(state.votes.get_rounds(), reverse=True)
    near = [round_number for round_number in rounds if _is_near(summary, round_number) or round_number in heard]
    ahead = [round_number for round_number in rounds if round_number > summary.round + ROUNDS_AHEAD_MAX]
    return [
        vote
        for round_number in near + [round_number for round_number in ahead if round_number not in heard]
        for kind in _KINDS
        for vote in state.votes.get_first_votes(round_number, kind)
        if not _get_bitmap(heard.get(round_number), kind) >> vote.member_index & 1
    ]


def _get_bitmap(votes: RoundVotes | None, kind: VoteKind) -> MemberBitmap:
    if votes is None:
        return 0
    return votes.prevotes if kind is VoteKind.PREVOTE else votes.precommits
