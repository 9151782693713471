"""From two messages that no honest member signs both of, to evidence that anybody can check."""

from consensus.committee import proposer_index
from consensus.messages import Proposal, Vote, VoteKind
from ledger.codec import pack
from ledger.committee import Committee
from ledger.evidence import Evidence, OffenceKind, build_evidence
from ledger.primitives import Signature

_KINDS = {VoteKind.PREVOTE: OffenceKind.PREVOTE, VoteKind.PRECOMMIT: OffenceKind.PRECOMMIT}


def build_equivocation_evidence(
    first: Vote | Proposal, second: Vote | Proposal, committee: Committee, turns: tuple[int, ...]
) -> Evidence | None:
    """Evidence from two authentic messages of one step; None when they say the same, which is no offence."""
    if isinstance(first, Vote):
        assert isinstance(second, Vote), "an equivocation is two messages of one kind"
        kind = _KINDS[first.kind]
        member_index = first.member_index
    else:
        assert isinstance(second, Proposal), "an equivocation is two messages of one kind"
        kind = OffenceKind.PROPOSAL
        member_index = proposer_index(turns, first.round)
    one, other = _sign_off(first), _sign_off(second)
    if one[0] == other[0]:
        return None
    return build_evidence(kind, committee.members[member_index].consensus_key, one, other)


def _sign_off(message: Vote | Proposal) -> tuple[bytes, Signature]:
    """The payload that was signed, see `vote_signing_bytes` and `proposal_signing_bytes`, and its signature."""
    if isinstance(message, Vote):
        payload = pack([message.height, message.round, message.block_hash])
    else:
        payload = pack([message.height, message.round, message.valid_round, message.block_hash])
    return payload, message.signature
