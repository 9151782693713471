"""The consensus key, wherever it is kept. The driver saves the safety state before it asks for a signature.

| kept                 | by                        | guards itself against signing twice          |
|----------------------|---------------------------|----------------------------------------------|
| in a file            | `LocalSigner`             | no: the node's safety directory does         |
| in a PKCS#11 token   | `node/token_signer.py`    | no: the node's safety directory does         |
| in another process   | `node/remote_signer.py`   | yes: `node/signer_guard.py` in that process  |
"""

from typing import Protocol

from consensus.messages import Proposal, Vote
from identity.keys import KeyType, PrivateKey
from ledger.primitives import ConsensusKey, Signature
from p2p.hello import SessionCertificates

SignedSubject = Vote | Proposal | SessionCertificates
"""What a consensus key signs while a node runs: votes, proposals, and that its seat belongs to a TLS session."""


class SignerUnavailableError(Exception):
    """The key cannot be reached now; silence for this message, and try again with the next."""


class SignerRefusedError(Exception):
    """The keeper of the key says that signing this would contradict what was signed before."""


class ConsensusSigner(Protocol):
    """Signs votes, proposals and greetings with the consensus key."""

    @property
    def public_key(self) -> ConsensusKey:
        """The key of this node's seat."""
        ...

    async def sign(self, subject: SignedSubject, message: bytes) -> Signature:
        """An Ed25519 signature of the message; a keeper that trusts nobody builds the message from the subject itself.

        Raises SignerUnavailableError or SignerRefusedError.
        """
        ...


class ConsensusKeyHolder(Protocol):
    """Signs any message with the consensus key: for whoever has built the message and may be trusted with that."""

    @property
    def public_key(self) -> ConsensusKey:
        """The key that is held."""
        ...

    async def sign_message(self, message: bytes) -> Signature:
        """An Ed25519 signature; raises SignerUnavailableError."""
        ...


class LocalSigner:
    """The key in this process's memory."""

    def __init__(self, key: PrivateKey) -> None:
        assert key.key_type is KeyType.ED25519, "consensus keys are Ed25519"
        self._key = key
        self._public_key = ConsensusKey(key.public_key.key)

    @property
    def public_key(self) -> ConsensusKey:
        """The key of this node's seat."""
        return self._public_key

    async def sign(self, subject: SignedSubject, message: bytes) -> Signature:
        """An Ed25519 signature; 25 µs, never fails."""
        return await self.sign_message(message)

    async def sign_message(self, message: bytes) -> Signature:
        """The same, whatever the message says."""
        return Signature(self._key.sign(message))
