"""From two messages of a member to evidence."""

from dataclasses import replace

from consensus.equivocation import build_equivocation_evidence
from consensus.messages import VoteKind
from ledger.evidence import Offence, OffenceKind, check_evidence_signatures, decode_evidence, encode_evidence
from ledger.primitives import Round
from tests.consensus.builders import (
    DOMAIN,
    HEIGHT,
    make_committee,
    make_proposal,
    make_vote,
    propose_again,
    public_of,
    turns_of,
)

COMMITTEE, TURNS = make_committee(4), turns_of(4, HEIGHT)
BLOCK = b"\x07" * 32


def prove(first, second) -> Offence:
    evidence = build_equivocation_evidence(first, second, COMMITTEE, TURNS)
    assert evidence is not None
    assert evidence == build_equivocation_evidence(second, first, COMMITTEE, TURNS)
    decoded, offence = decode_evidence(encode_evidence(evidence))
    check_evidence_signatures(decoded, DOMAIN)
    return offence


def test_two_votes_prove_an_offence_of_their_kind():
    for kind, offence_kind in [
        (VoteKind.PREVOTE, OffenceKind.PREVOTE),
        (VoteKind.PRECOMMIT, OffenceKind.PRECOMMIT),
    ]:
        offence = prove(make_vote(2, kind, BLOCK, 1), make_vote(2, kind, None, 1))
        assert offence == Offence(offence_kind, public_of(2), HEIGHT, Round(1))


def test_two_proposals_prove_an_offence_of_their_round_s_proposer():
    offence = prove(make_proposal(round_number=2), make_proposal(round_number=2, tag=b"b"))
    assert offence == Offence(OffenceKind.PROPOSAL, public_of(TURNS[2]), HEIGHT, Round(2))


def test_one_block_proposed_with_two_valid_rounds_is_an_offence_too():
    fresh = make_proposal()
    offence = prove(propose_again(fresh, 3, 0), propose_again(fresh, 3, 1))
    assert offence == Offence(OffenceKind.PROPOSAL, public_of(TURNS[3]), HEIGHT, Round(3))


def test_one_message_with_two_signatures_is_no_offence():
    vote = make_vote(2, VoteKind.PREVOTE, BLOCK)
    assert build_equivocation_evidence(vote, replace(vote, signature=b"\x01" * 64), COMMITTEE, TURNS) is None
