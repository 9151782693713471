"""What a lying machine makes of its own messages. Its twin, another machine with the same key, lies in its own way.

A liar runs the real node, and its mouth changes what that says: other blocks for other peers, signatures that fit
nothing, words of rounds long over, blocks that do not exist, certificates with too few votes, heights out of the air.
"""

from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING, Any

from consensus.committee import one_honest
from consensus.messages import (
    NO_VALID_ROUND,
    Message,
    Proposal,
    RoundSummary,
    Vote,
    VoteKind,
    get_proposal_message,
    get_vote_message,
)
from ledger.block import Block, CommitCertificate, compute_transactions_root
from ledger.codec import decode, encode
from ledger.primitives import BlockHash, EnvelopeHash, Height, RootHash, Round, Signature, TimeMs
from tests.simulation.cast import SIGNATURE_BYTES, sign

if TYPE_CHECKING:
    from tests.simulation.world import Machine, World

THOUSAND = 1_000
HEIGHT_CLAIMED_MAX = 40
KNOWN_MAX = 8
BLOCKS_LIE_SHARE = 600
"""Of a thousand answers to who catches up: few ask, and a liar that is found out is not asked again for long."""


class Mouth:
    """Changes some of a liar's messages, each receiver's on its own."""

    def __init__(self, world: "World", machine: "Machine", random: Random) -> None:
        self._world = world
        self._machine = machine
        self._random = random
        self._hashes: list[BlockHash] = []
        self._said: list[Message] = []
        self._other: dict[tuple[int, int], Proposal] = {}

    def change_consensus(self, message: Message) -> Message | None:
        """What is said instead, or None for silence."""
        if isinstance(message, RoundSummary):
            return message if not self._is_lying() else replace(message, votes=(), proposal_rounds=())
        if isinstance(message, Proposal):
            self._hashes = [*self._hashes, message.block_hash][-KNOWN_MAX:]
        self._said = [*self._said, message][-KNOWN_MAX:]
        if not self._is_lying():
            return message
        choice = self._random.randrange(6)
        if choice == 0:
            return None
        if choice == 1:
            return replace(message, signature=Signature(self._random.randbytes(SIGNATURE_BYTES)))
        if choice == 2:
            return self._random.choice(self._said)
        if isinstance(message, Proposal):
            return self._change_proposal(message)
        return self._change_vote(message)

    def change_payload(self, kind: str, payload: Any) -> Any | None:
        """The same for what is not about votes."""
        is_rare = kind == "blocks"
        if not self._is_lying() and not (is_rare and self._random.randrange(THOUSAND) < BLOCKS_LIE_SHARE):
            return payload
        match kind:
            case "status":
                return payload + self._random.randrange(HEIGHT_CLAIMED_MAX)
            case "blocks":
                first, blocks = payload
                return first, tuple([self._spoil_block(*each) for each in blocks])
            case "answer" | "transactions":
                return (*payload, self._random.randbytes(100))
            case _:
                return None

    def _is_lying(self) -> bool:
        return self._random.randrange(THOUSAND) < self._world.climate.lie_share

    def _change_vote(self, vote: Vote) -> Vote:
        key = self._machine.key
        assert key is not None, "liars are members"
        if self._world.checks.find_signer(vote) != key:
            return replace(vote, round=Round(vote.round + 1))
        other = self._random.choice([None, BlockHash(self._random.randbytes(32)), *self._hashes])
        kind = self._random.choice((vote.kind, VoteKind.PREVOTE, VoteKind.PRECOMMIT))
        far = self._random.choice((vote.round, vote.round, vote.round + 1, self._random.randrange(2**31)))
        changed = replace(vote, block_hash=other, kind=kind, round=Round(far))
        if changed.kind is VoteKind.PREVOTE:
            self._world.checks.note_prevote(changed)
        return replace(changed, signature=sign(key, get_vote_message(self._world.domain, changed)))

    def _change_proposal(self, proposal: Proposal) -> Proposal:
        """Another block of the same round; the same other one for all that are lied to, so that it may find votes."""
        key = self._machine.key
        assert key is not None, "liars are members"
        if self._world.checks.find_signer(proposal) != key:
            return replace(proposal, round=Round(proposal.round + 1))
        step = (proposal.height, proposal.round)
        if step not in self._other:
            self._other[step] = self._build_other(proposal)
        changed = self._other[step]
        return replace(changed, signature=sign(key, get_proposal_message(self._world.domain, changed)))

    def _build_other(self, proposal: Proposal) -> Proposal:
        header = proposal.header
        choice = self._random.randrange(5)
        if choice == 0:
            header = replace(header, state_root=RootHash(self._random.randbytes(32)))
        elif choice == 1:
            names = (EnvelopeHash(self._random.randbytes(32)),)
            header = replace(header, transactions_root=compute_transactions_root(list(names)))
            return replace(proposal, header=header, envelope_hashes=names, valid_round=NO_VALID_ROUND)
        elif choice == 2:
            valid_round = self._random.choice((NO_VALID_ROUND, proposal.round - 1, proposal.round))
            return replace(proposal, valid_round=max(NO_VALID_ROUND, valid_round))
        elif choice == 3:
            return replace(
                proposal,
                header=replace(header, transactions_root=compute_transactions_root([])),
                envelope_hashes=(),
                valid_round=NO_VALID_ROUND,
            )
        return replace(proposal, header=replace(header, time_ms=TimeMs(header.time_ms + 1)))

    def _spoil_block(self, encoded_block: bytes, encoded_certificate: bytes) -> tuple[bytes, bytes]:
        certificate = decode(CommitCertificate, encoded_certificate)
        block = decode(Block, encoded_block)
        choice = self._random.choice((0, 0, 0, 1, 2, 3))
        if choice == 0:
            few = certificate.signatures[: one_honest(len(certificate.signatures) * 3 // 2)]
            return encoded_block, encode(replace(certificate, signatures=few))
        if choice == 1:
            forged = tuple([(index, Signature(self._random.randbytes(64))) for index, _ in certificate.signatures])
            return encoded_block, encode(replace(certificate, signatures=forged))
        if choice == 2:
            return encode(replace(block, transactions=block.transactions[1:])), encoded_certificate
        header = replace(block.header, height=Height(block.header.height + 1))
        return encode(replace(block, header=header)), encoded_certificate
