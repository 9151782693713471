"""From two messages that the core reports to evidence that the chain accepts.

Members sign with a stand-in here, and the chain's rules ask for Ed25519: what was signed twice is signed for real.
"""

from consensus.messages import Proposal, Vote, VoteKind, get_proposal_message, get_vote_message
from identity.signing import SigningDomain
from ledger.codec import pack
from ledger.evidence import OffenceKind, build_evidence, encode_evidence
from ledger.primitives import ConsensusKey, Signature
from tests.simulation.cast import get_consensus_key, get_consensus_secret

SEATS_MAX = 32
_VOTES = {VoteKind.PREVOTE: OffenceKind.PREVOTE, VoteKind.PRECOMMIT: OffenceKind.PRECOMMIT}


def build_evidence_of(
    domain: SigningDomain, signer: ConsensusKey, first: Vote | Proposal, second: Vote | Proposal
) -> bytes:
    """Encoded evidence that this member signed both."""
    kind = _VOTES[first.kind] if isinstance(first, Vote) else OffenceKind.PROPOSAL
    return encode_evidence(
        build_evidence(kind, signer, _sign_for_real(domain, signer, first), _sign_for_real(domain, signer, second))
    )


def _sign_for_real(domain: SigningDomain, signer: ConsensusKey, message: Vote | Proposal) -> tuple[bytes, Signature]:
    seat = next(seat for seat in range(SEATS_MAX) if get_consensus_key(seat) == signer)
    secret = get_consensus_secret(seat)
    if isinstance(message, Vote):
        payload = pack([message.height, message.round, message.block_hash])
        return payload, Signature(secret.sign(get_vote_message(domain, message)))
    payload = pack([message.height, message.round, message.valid_round, message.block_hash])
    return payload, Signature(secret.sign(get_proposal_message(domain, message)))
