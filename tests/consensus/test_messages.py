from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus.messages import (
    MESSAGE_BYTES_MAX,
    PROPOSAL_BYTES_MAX,
    Message,
    MessageKind,
    Proposal,
    RoundSummary,
    RoundVotes,
    Step,
    Vote,
    VoteKind,
    decode_message,
    encode_message,
    find_proposal_fault,
    is_proposal_authentic,
    is_vote_authentic,
    proposal_signing_bytes,
    verify_consensus_signature,
    vote_signing_bytes,
)
from identity.signing import compute_signing_domain
from ledger.block import (
    BLOCK_TRANSACTIONS_MAX,
    EVIDENCE_BYTES_MAX,
    EVIDENCE_MAX,
    compute_evidence_root,
    compute_transactions_root,
)
from ledger.codec import DecodeError, encode
from ledger.merkle import compute_leaf_hash
from ledger.primitives import EMPTY_ROOT, BlockHash, EnvelopeHash, Height, RootHash, Round, Signature
from tests.consensus.builders import (
    CHAIN_ID,
    DOMAIN,
    HEIGHT,
    make_committee,
    make_header,
    make_proposal,
    make_vote,
    propose_again,
    public_of,
    sign_proposal,
    turns_of,
)

COMMITTEE = make_committee(4)
TURNS = turns_of(4, HEIGHT)
HASH = BlockHash(b"\x07" * 32)
OTHER_DOMAIN = compute_signing_domain(CHAIN_ID, b"\x01" * 32)

hashes = st.binary(min_size=32, max_size=32)
rounds = st.integers(0, 2**31 - 1)
heights = st.integers(0, 2**53 - 1)
bitmaps = st.integers(0, 2**21 - 1)
votes = st.builds(
    Vote,
    st.sampled_from(VoteKind),
    heights,
    rounds,
    st.none() | hashes,
    st.integers(0, 20),
    st.binary(min_size=64, max_size=64),
)
summaries = st.builds(
    RoundSummary,
    heights,
    rounds,
    st.sampled_from(Step),
    st.lists(st.builds(RoundVotes, rounds, bitmaps, bitmaps), max_size=64).map(tuple),
    st.lists(rounds, max_size=64).map(tuple),
)
proposals = st.builds(
    Proposal,
    st.builds(make_header, round_number=st.integers(0, 9), time_ms=st.integers(0, 2**53 - 1)),
    rounds,
    st.integers(-1, 2**31 - 1),
    st.lists(hashes, max_size=5).map(tuple),
    st.lists(st.binary(min_size=1, max_size=9), max_size=3).map(tuple),
    st.binary(min_size=64, max_size=64),
)


@given(votes | summaries | proposals)
def test_a_message_comes_back_as_it_was(message: Message) -> None:
    encoded = encode_message(message)
    assert decode_message(encoded) == message
    assert encode_message(decode_message(encoded)) == encoded


@given(st.binary(max_size=300))
def test_bad_bytes_raise_decode_error_and_nothing_else(encoded: bytes) -> None:
    with pytest.raises(DecodeError):
        decode_message(encoded)


@given(votes | summaries | proposals, st.data())
def test_a_changed_message_is_refused_or_is_another_message(message: Message, data: st.DataObject) -> None:
    encoded = encode_message(message)
    position = data.draw(st.integers(0, len(encoded) - 1))
    changed = encoded[:position] + bytes([encoded[position] ^ data.draw(st.integers(1, 255))]) + encoded[position + 1 :]
    try:
        decoded = decode_message(changed)
    except DecodeError:
        return
    assert decoded != message
    assert encode_message(decoded) == changed


def test_an_oversized_message_is_refused_before_it_is_read() -> None:
    with pytest.raises(DecodeError, match="at most"):
        decode_message(b"\x01" * (MESSAGE_BYTES_MAX + 1))


def test_the_largest_proposal_fits_its_limit() -> None:
    largest = replace(
        make_proposal(),
        envelope_hashes=(EnvelopeHash(HASH),) * BLOCK_TRANSACTIONS_MAX,
        evidence=(b"\xff" * EVIDENCE_BYTES_MAX,) * EVIDENCE_MAX,
    )
    encoded = encode_message(largest)
    assert len(encoded) <= PROPOSAL_BYTES_MAX
    assert decode_message(encoded) == largest


def test_one_transaction_more_than_the_limit_is_refused() -> None:
    too_large = replace(make_proposal(), envelope_hashes=(EnvelopeHash(HASH),) * (BLOCK_TRANSACTIONS_MAX + 1))
    with pytest.raises(DecodeError, match="envelope_hashes"):
        decode_message(bytes([MessageKind.PROPOSAL]) + encode(too_large))


@pytest.mark.parametrize(
    ("vote", "field"),
    [
        (make_vote(0, VoteKind.PREVOTE, HASH, 2**31), "round"),
        (replace(make_vote(0, VoteKind.PREVOTE, HASH), member_index=21), "member_index"),
        (replace(make_vote(0, VoteKind.PREVOTE, HASH), height=Height(-1)), "height"),
        (replace(make_vote(0, VoteKind.PREVOTE, HASH), block_hash=BlockHash(b"short")), "block_hash"),
        (replace(make_vote(0, VoteKind.PREVOTE, HASH), signature=Signature(b"")), "signature"),
    ],
)
def test_a_vote_outside_its_limits_is_refused(vote: Vote, field: str) -> None:
    with pytest.raises(DecodeError, match=field):
        decode_message(encode_message(vote))


def test_wire_numbers_never_change() -> None:
    assert {kind.name: kind.value for kind in MessageKind} == {"PROPOSAL": 1, "VOTE": 2, "SUMMARY": 3}
    assert {kind.name: kind.value for kind in VoteKind} == {"PREVOTE": 1, "PRECOMMIT": 2}
    assert {step.name: step.value for step in Step} == {
        "NEW_HEIGHT": 0,
        "PROPOSE": 1,
        "PREVOTE": 2,
        "PRECOMMIT": 3,
        "DECIDED": 4,
    }


def test_no_signed_message_is_taken_for_another() -> None:
    height, round_number = HEIGHT, Round(1)
    messages = [
        vote_signing_bytes(domain, kind, height, round_number, block_hash)
        for domain in (DOMAIN, OTHER_DOMAIN)
        for kind in VoteKind
        for block_hash in (None, HASH)
    ]
    messages.append(vote_signing_bytes(DOMAIN, VoteKind.PREVOTE, Height(height + 1), round_number, HASH))
    messages.append(vote_signing_bytes(DOMAIN, VoteKind.PREVOTE, height, Round(2), HASH))
    messages.append(proposal_signing_bytes(DOMAIN, height, round_number, -1, HASH))
    messages.append(proposal_signing_bytes(DOMAIN, height, round_number, 0, HASH))
    assert len(set(messages)) == len(messages)


def test_a_vote_is_authentic_only_from_its_member_on_its_chain() -> None:
    vote = make_vote(2, VoteKind.PRECOMMIT, HASH)
    assert is_vote_authentic(vote, COMMITTEE, DOMAIN, verify_consensus_signature)
    forgeries = [
        replace(vote, member_index=1),
        replace(vote, member_index=4),
        replace(vote, kind=VoteKind.PREVOTE),
        replace(vote, round=Round(1)),
        replace(vote, height=Height(5)),
        replace(vote, block_hash=None),
        replace(vote, signature=Signature(bytes(64))),
    ]
    assert not any(is_vote_authentic(forged, COMMITTEE, DOMAIN, verify_consensus_signature) for forged in forgeries)
    assert not is_vote_authentic(vote, COMMITTEE, OTHER_DOMAIN, verify_consensus_signature)


def test_a_proposal_is_authentic_only_from_the_proposer_of_its_round() -> None:
    proposal = make_proposal(round_number=1)
    assert is_proposal_authentic(proposal, COMMITTEE, TURNS, DOMAIN, verify_consensus_signature)
    forgeries = [
        sign_proposal(proposal, 0),
        replace(proposal, round=Round(2)),
        replace(proposal, valid_round=0),
        replace(proposal, header=replace(proposal.header, state_root=RootHash(HASH))),
    ]
    assert not any(
        is_proposal_authentic(forged, COMMITTEE, TURNS, DOMAIN, verify_consensus_signature) for forged in forgeries
    )
    assert not is_proposal_authentic(proposal, COMMITTEE, TURNS, OTHER_DOMAIN, verify_consensus_signature)


def test_fresh_and_repeated_proposals_that_follow_the_rules_have_no_fault() -> None:
    fresh = make_proposal(round_number=1)
    assert find_proposal_fault(fresh, COMMITTEE, TURNS) is None
    assert find_proposal_fault(propose_again(fresh, 3, 1), COMMITTEE, TURNS) is None
    assert find_proposal_fault(propose_again(fresh, 3, 2), COMMITTEE, TURNS) is None


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda fresh: replace(fresh, valid_round=1), "not an earlier one"),
        (lambda fresh: replace(fresh, valid_round=7), "not an earlier one"),
        (lambda fresh: replace(fresh, round=Round(2)), "does not name its own round"),
        (lambda fresh: propose_again(fresh, 3, 0), "after its valid round"),
        (
            lambda fresh: replace(fresh, header=replace(fresh.header, proposer=public_of(3))),
            "does not name the proposer",
        ),
        (lambda fresh: replace(fresh, envelope_hashes=()), "transactions"),
        (lambda fresh: replace(fresh, evidence=(b"x",)), "evidence"),
    ],
)
def test_a_proposal_against_the_rules_has_a_fault(change: Callable[[Proposal], Proposal], fault: str) -> None:
    found = find_proposal_fault(change(make_proposal(round_number=1)), COMMITTEE, TURNS)
    assert found is not None
    assert fault in found


def test_evidence_root_is_the_tree_of_leaves() -> None:
    assert compute_evidence_root(()) == EMPTY_ROOT
    leaves = [EnvelopeHash(compute_leaf_hash(piece)) for piece in (b"a", b"b")]
    assert compute_evidence_root((b"a", b"b")) == compute_transactions_root(leaves)
