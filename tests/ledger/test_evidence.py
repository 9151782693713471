"""Evidence: what proves an offence, and everything that does not."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity.signing import SigningDomain, SigningPurpose, compute_signing_domain, signing_bytes
from ledger.codec import encode, pack
from ledger.evidence import (
    Evidence,
    InvalidEvidenceError,
    Offence,
    OffenceKind,
    build_evidence,
    check_evidence_signatures,
    decode_evidence,
    encode_evidence,
)
from ledger.primitives import ConsensusKey, Height, Round, Signature
from tests.builders import DOMAIN, make_key

KEY = make_key("super node")
PUBLIC = ConsensusKey(KEY.public_key.key)
PURPOSES = {
    OffenceKind.PROPOSAL: SigningPurpose.PROPOSAL,
    OffenceKind.PREVOTE: SigningPurpose.PREVOTE,
    OffenceKind.PRECOMMIT: SigningPurpose.PRECOMMIT,
}
ONE, OTHER = b"\x01" * 32, b"\x02" * 32


def sign(kind: OffenceKind, payload: bytes, domain: SigningDomain = DOMAIN) -> tuple[bytes, Signature]:
    return payload, Signature(KEY.sign(signing_bytes(PURPOSES[kind], domain, payload)))


def make_votes(kind=OffenceKind.PREVOTE, one=ONE, other=OTHER, heights=(7, 7), rounds=(2, 2)) -> Evidence:
    named = zip(heights, rounds, (one, other), strict=True)
    payloads = [pack([height, number, block_hash]) for height, number, block_hash in named]
    return build_evidence(kind, PUBLIC, *[sign(kind, payload) for payload in payloads])


@pytest.mark.parametrize("kind", [OffenceKind.PREVOTE, OffenceKind.PRECOMMIT])
@pytest.mark.parametrize("other", [OTHER, None])
def test_two_votes_of_one_step_are_an_offence(kind, other):
    evidence, offence = decode_evidence(encode_evidence(make_votes(kind, other=other)))
    assert offence == Offence(kind, PUBLIC, Height(7), Round(2))
    check_evidence_signatures(evidence, DOMAIN)


def test_two_proposals_of_one_round_are_an_offence():
    payloads = [pack([7, 2, valid_round, ONE]) for valid_round in (-1, 0)]
    made = build_evidence(OffenceKind.PROPOSAL, PUBLIC, *[sign(OffenceKind.PROPOSAL, each) for each in payloads])
    evidence, offence = decode_evidence(encode_evidence(made))
    assert offence == Offence(OffenceKind.PROPOSAL, PUBLIC, Height(7), Round(2))
    check_evidence_signatures(evidence, DOMAIN)


def test_whoever_finds_them_first_builds_the_same_evidence():
    kind = OffenceKind.PREVOTE
    one, other = sign(kind, pack([7, 2, ONE])), sign(kind, pack([7, 2, None]))
    assert build_evidence(kind, PUBLIC, one, other) == build_evidence(kind, PUBLIC, other, one)


def test_different_proofs_of_one_offence_have_one_id():
    offences = [decode_evidence(encode_evidence(make_votes(other=other)))[1] for other in (OTHER, None)]
    assert offences[0].id == offences[1].id
    assert offences[0].id != replace(offences[0], round=Round(3)).id


@pytest.mark.parametrize(
    ("evidence", "why"),
    [
        (make_votes(other=ONE), "the same, or not in order"),
        (make_votes(heights=(7, 8)), "not of the same step"),
        (make_votes(rounds=(2, 3)), "not of the same step"),
        (make_votes(one=b"short"), "block hash"),
        (make_votes(heights=(0, 0)), "height"),
        (make_votes(rounds=(-1, -1)), "round"),
        (replace(make_votes(), kind=OffenceKind.PROPOSAL), "items of its kind"),
        (replace(make_votes(), first=make_votes().second, second=make_votes().first), "not in order"),
        (replace(make_votes(), first=b"\xc1"), "does not decode"),
    ],
)
def test_what_proves_nothing_is_refused(evidence, why):
    with pytest.raises(InvalidEvidenceError, match=why):
        decode_evidence(encode(evidence))


def test_signatures_are_those_of_the_key_on_this_chain_for_this_purpose():
    evidence = make_votes()
    for changed, domain in [
        (replace(evidence, first_signature=evidence.second_signature), DOMAIN),
        (replace(evidence, second_signature=Signature(bytes(64))), DOMAIN),
        (replace(evidence, key=ConsensusKey(make_key("another").public_key.key)), DOMAIN),
        (replace(evidence, kind=OffenceKind.PRECOMMIT), DOMAIN),
        (evidence, compute_signing_domain("another-chain", bytes(32))),
    ]:
        with pytest.raises(InvalidEvidenceError, match="signature"):
            check_evidence_signatures(changed, domain)


@given(st.binary(max_size=400))
def test_random_bytes_raise_one_error_or_are_evidence(encoded):
    try:
        evidence, _ = decode_evidence(encoded)
    except InvalidEvidenceError:
        return
    assert encode_evidence(evidence) == encoded


@given(st.integers(0, 400), st.integers(0, 7))
def test_any_flipped_bit_is_noticed(position, bit):
    encoded = bytearray(encode_evidence(make_votes()))
    encoded[position % len(encoded)] ^= 1 << bit
    with pytest.raises(InvalidEvidenceError):
        check_evidence_signatures(decode_evidence(bytes(encoded))[0], DOMAIN)
