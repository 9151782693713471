"""The consensus key, wherever it is kept. The driver saves the safety state before it asks for a signature."""

from typing import Protocol

from identity.keys import KeyType, PrivateKey
from ledger.primitives import ConsensusKey, Signature


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

    async def sign(self, message: bytes) -> Signature:
        """An Ed25519 signature; raises SignerUnavailableError or SignerRefusedError."""
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

    async def sign(self, message: bytes) -> Signature:
        """An Ed25519 signature; 25 µs, never fails."""
        return Signature(self._key.sign(message))
