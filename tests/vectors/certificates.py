"""carlive_certificates.json: a chain from its genesis document to a certified header, and certificates refused."""

from dataclasses import replace
from typing import Any

import orjson

from consensus.messages import (
    Proposal,
    RoundSummary,
    RoundVotes,
    Step,
    Vote,
    VoteKind,
    encode_message,
    proposal_signing_bytes,
    vote_signing_bytes,
)
from genesis.document import format_genesis
from identity.signing import SigningDomain
from ledger.block import CommitCertificate, Header
from ledger.codec import encode, to_plain
from ledger.committee import Committee
from ledger.primitives import BlockHash, Height, Round, Signature
from ledger.state_keys import PARAMETERS_KEY
from tests.vectors.notation import to_notation
from tests.vectors.scene import CONSENSUS_KEYS, Scene, build_scene

_ROUND = Round(1)
"""The certificate's round: the block was proposed in round 0 and decided in the next."""


def build_certificate_vectors() -> dict[str, Any]:
    """The whole file."""
    scene = build_scene()
    first, second = scene.headers
    certificate = certify(scene.domain, second, (0, 1, 3))
    return {
        "about": "Four super nodes, from the genesis document to the certified header of block 2. Headers, the "
        "committee and certificates are also written out in the notation of carlive_codec.json. "
        "See docs/protocol.md, Blocks and Finality.",
        "genesis_document": orjson.loads(format_genesis(scene.document)),
        "first_state": [[key.hex(), value.hex()] for key, value in scene.first_state.items()],
        "signing_domain": scene.domain.hex(),
        "committee": _describe_committee(scene.committee),
        "parameters": {
            "encoded": scene.first_state[PARAMETERS_KEY].hex(),
            "hash": first.parameters_hash.hex(),
        },
        "consensus_secrets": [key.secret.hex() for key in CONSENSUS_KEYS],
        "headers": [_describe_header(header) for header in (scene.genesis, first, second)],
        "receipts_root": second.receipts_root.hex(),
        "votes": [_describe_vote(scene.domain, vote) for vote in _list_votes(scene)],
        "proposal": _describe_proposal(scene),
        "summary": _describe_summary(),
        "certificates": [
            {"name": name, "plain": to_notation(to_plain(each)), "encoded": encode(each).hex()}
            for name, each in {
                "three of four, in round 1": certificate,
                "all four, in round 0": certify(scene.domain, second, (0, 1, 2, 3), Round(0)),
            }.items()
        ],
        "refused": _list_refused(scene, second, certificate),
    }


def certify(
    domain: SigningDomain, header: Header, members: tuple[int, ...], round_number: Round = _ROUND
) -> CommitCertificate:
    """The precommits of these members for a header."""
    message = vote_signing_bytes(domain, VoteKind.PRECOMMIT, header.height, round_number, header.hash)
    signatures = tuple((member, Signature(CONSENSUS_KEYS[member].sign(message))) for member in members)
    return CommitCertificate(header.height, round_number, header.hash, signatures)


def _describe_committee(committee: Committee) -> dict[str, Any]:
    return {
        "plain": to_notation(to_plain(committee)),
        "encoded": encode(committee).hex(),
        "hash": committee.hash.hex(),
    }


def _describe_header(header: Header) -> dict[str, Any]:
    named = {
        name: value.hex() if isinstance(value, bytes) else value
        for name, value in ((name, getattr(header, name)) for name in Header.__dataclass_fields__)
    }
    return {"fields": named, "encoded": header.encoded.hex(), "hash": header.hash.hex()}


def sign_vote(
    domain: SigningDomain, kind: VoteKind, height: int, round_number: int, block_hash: BlockHash | None, member: int
) -> Vote:
    """A vote of a member."""
    message = vote_signing_bytes(domain, kind, Height(height), Round(round_number), block_hash)
    signature = Signature(CONSENSUS_KEYS[member].sign(message))
    return Vote(kind, Height(height), Round(round_number), block_hash, member, signature)


def _list_votes(scene: Scene) -> list[Vote]:
    block_hash = scene.headers[1].hash
    return [
        sign_vote(scene.domain, VoteKind.PREVOTE, 2, 0, block_hash, 0),
        sign_vote(scene.domain, VoteKind.PREVOTE, 2, 0, None, 1),
        sign_vote(scene.domain, VoteKind.PRECOMMIT, 2, 0, None, 2),
        sign_vote(scene.domain, VoteKind.PRECOMMIT, 2, 1, block_hash, 3),
    ]


def _describe_vote(domain: SigningDomain, vote: Vote) -> dict[str, Any]:
    message = vote_signing_bytes(domain, vote.kind, vote.height, vote.round, vote.block_hash)
    return {
        "plain": to_notation(to_plain(vote)),
        "signing_bytes": message.hex(),
        "message": encode_message(vote).hex(),
    }


def build_proposal(scene: Scene) -> Proposal:
    """Block 1 as its proposer put it forward."""
    header = scene.headers[0]
    message = proposal_signing_bytes(scene.domain, header.height, header.round, -1, header.hash)
    proposer = scene.committee.find(header.proposer)
    assert proposer is not None
    signature = Signature(CONSENSUS_KEYS[proposer].sign(message))
    hashes = tuple(transaction.envelope_hash for transaction in scene.transactions)
    return Proposal(header, header.round, -1, hashes, (), signature)


def _describe_proposal(scene: Scene) -> dict[str, Any]:
    proposal = build_proposal(scene)
    message = proposal_signing_bytes(scene.domain, proposal.height, proposal.round, -1, proposal.block_hash)
    return {"signing_bytes": message.hex(), "message": encode_message(proposal).hex()}


def _describe_summary() -> dict[str, Any]:
    votes = (RoundVotes(Round(0), 0b0111, 0b0100), RoundVotes(Round(1), 0b1111, 0b1000))
    summary = RoundSummary(Height(2), Round(1), Step.PRECOMMIT, votes, (Round(0), Round(1)))
    return {"plain": to_notation(to_plain(summary)), "message": encode_message(summary).hex()}


def _list_refused(scene: Scene, header: Header, certificate: CommitCertificate) -> list[dict[str, str]]:
    """Certificates that do not prove the header of block 2 final."""
    (first_index, first_signature), second, third = certificate.signatures
    prevote = vote_signing_bytes(scene.domain, VoteKind.PREVOTE, header.height, _ROUND, header.hash)
    as_prevote = Signature(CONSENSUS_KEYS[first_index].sign(prevote))
    flipped = Signature(bytes([first_signature[0] ^ 1]) + first_signature[1:])
    elsewhere = certify(SigningDomain(bytes(32)), header, (0, 1, 3))
    cases = {
        "two of four": replace(certificate, signatures=(second, third)),
        "no signature": replace(certificate, signatures=()),
        "a member twice": replace(certificate, signatures=(second, second, third)),
        "indices out of order": replace(certificate, signatures=(second, (first_index, first_signature), third)),
        "an index outside the committee": replace(certificate, signatures=(second, third, (4, first_signature))),
        "a flipped bit in a signature": replace(certificate, signatures=((first_index, flipped), second, third)),
        "a member's signature under another index": replace(
            certificate, signatures=((first_index, first_signature), second, (2, third[1]))
        ),
        "a prevote among the precommits": replace(certificate, signatures=((first_index, as_prevote), second, third)),
        "another round than was signed": replace(certificate, round=Round(2)),
        "another block": replace(certificate, block_hash=scene.headers[0].hash),
        "another height": replace(certificate, height=Height(3)),
        "signed on another chain": elsewhere,
        "a bad signature beside enough good ones": replace(
            certify(scene.domain, header, (0, 1, 2, 3)),
            signatures=((0, flipped), *certify(scene.domain, header, (1, 2, 3)).signatures),
        ),
    }
    return [{"encoded": encode(each).hex(), "why": why} for why, each in cases.items()]
