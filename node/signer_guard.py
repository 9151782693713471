"""A signer's own guard: it never signs two messages for one height, round and step, whoever asks and however often.

Its state has the form of a node's (`consensus/safety.py`, `node/safety_file.py`), so a key moves with what it has
signed. It is on disk before a signature leaves. It knows nothing of locks: to keep those stays the node's duty.
"""

import asyncio
from typing import assert_never

from consensus.messages import NO_VALID_ROUND, VoteKind, proposal_signing_bytes, vote_signing_bytes
from consensus.safety import (
    AlreadySigned,
    MaySign,
    Refused,
    SafetyState,
    SignRequest,
    SignStep,
    check_may_sign,
    encode_safety,
    record_signature,
)
from identity.signing import SigningDomain
from ledger.primitives import Height, Signature
from node.disk_full import DiskFullError
from node.safety_file import SafetyFile
from node.signer import ConsensusKeyHolder, SignerRefusedError, SignerUnavailableError
from node.signer_protocol import ProposalRequest, VoteRequest


class SigningGuard:
    """The key's only user. One request at a time, so that what is checked still holds when it is signed."""

    def __init__(
        self, holder: ConsensusKeyHolder, safety_file: SafetyFile, state: SafetyState, domain: SigningDomain
    ) -> None:
        """`state` is what the file holds."""
        self._holder = holder
        self._safety_file = safety_file
        self._state = state
        self._domain = domain
        self._is_signing = asyncio.Lock()

    @property
    def height(self) -> Height:
        """The last height that something was signed for."""
        return self._state.height

    async def sign(self, request: VoteRequest | ProposalRequest) -> Signature:
        """The signature; the one from before if this very message was signed.

        Raises SignerRefusedError, SignerUnavailableError; SafetyFileError when the disk can no longer be trusted.
        """
        async with self._is_signing:
            asked = _describe(self._domain, request)
            match check_may_sign(self._state, asked):
                case AlreadySigned(signature):
                    return signature
                case Refused(reason):
                    raise SignerRefusedError(reason)
                case MaySign(state):
                    self._save(state)
                case unknown:
                    assert_never(unknown)
            signature = await self._holder.sign_message(asked.message)
            self._state = record_signature(self._state, asked.step, asked.height, asked.message, signature)
            return signature

    def _save(self, state: SafetyState) -> None:
        if state == self._state:
            return  # saved when it was asked for before; the key did not answer then
        try:
            self._safety_file.save(encode_safety(state))
        except DiskFullError as error:
            raise SignerUnavailableError(str(error.strerror)) from None
        self._state = state


def _describe(domain: SigningDomain, request: VoteRequest | ProposalRequest) -> SignRequest:
    height, round_number, block_hash = request.height, request.round, request.block_hash
    if isinstance(request, ProposalRequest):
        step = SignStep.PROPOSAL
        message = proposal_signing_bytes(domain, height, round_number, request.valid_round, request.block_hash)
    else:
        step = SignStep.PREVOTE if request.kind is VoteKind.PREVOTE else SignStep.PRECOMMIT
        message = vote_signing_bytes(domain, request.kind, height, round_number, block_hash)
    return SignRequest(height, round_number, step, block_hash, message, NO_VALID_ROUND, None)
