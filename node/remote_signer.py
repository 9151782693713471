"""The consensus key in another process: asks `carlive signer` for each signature, over one connection kept open.

Whatever goes wrong with the connection means "unavailable"; only the signer's own word means "refused".
"""

import asyncio
from typing import Final

from consensus.messages import Proposal, Vote, verify_consensus_signature
from ledger.primitives import BlockHash, ChainId, ConsensusKey, Signature
from node.signer import SignedSubject, SignerRefusedError, SignerUnavailableError
from node.signer_protocol import (
    SIGNER_PROTOCOL_VERSION,
    CertificateHash,
    HelloRequest,
    ProposalRequest,
    Refused,
    Request,
    Signed,
    SignerMessage,
    SignerProtocolError,
    Unavailable,
    VoteRequest,
    Welcome,
    encode_signer_message,
    read_signer_message,
)
from p2p.addresses import PeerAddress, format_peer_address
from p2p.certificate import CompactCertificate, expand_certificate, split_compact
from p2p.tls import build_contexts

CONNECT_SECONDS_MAX: Final = 2.0
ANSWER_SECONDS_MAX: Final = 3.0  # a signer's token may take 2


class RemoteSigner:
    """Asks one signer; one request at a time."""

    def __init__(
        self,
        address: PeerAddress,
        certificate: CompactCertificate,
        node_secret: bytes,
        public_key: ConsensusKey,
        chain_id: ChainId,
        genesis_hash: BlockHash,
    ) -> None:
        """`certificate`: the signer's; raises InvalidCertificateError. It connects with the first request."""
        self._address = address
        self._tls = build_contexts(node_secret, [expand_certificate(*split_compact(certificate))]).client
        self._public_key = public_key
        self._expected = Welcome(SIGNER_PROTOCOL_VERSION, chain_id, genesis_hash, public_key)
        self._stream: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._is_asking = asyncio.Lock()

    @property
    def public_key(self) -> ConsensusKey:
        """The key of this node's seat, as configured."""
        return self._public_key

    async def sign(self, subject: SignedSubject, message: bytes) -> Signature:
        """An Ed25519 signature; raises SignerUnavailableError or SignerRefusedError."""
        answer = await self._ask(_build_request(subject))
        match answer:
            case Signed(signature):
                if not verify_consensus_signature(self._public_key, message, signature):
                    raise SignerUnavailableError(f"{self._name} has signed something else than it was asked for")
                return signature
            case Refused(reason):
                raise SignerRefusedError(reason)
            case Unavailable(reason):
                raise SignerUnavailableError(f"{self._name} cannot sign now: {reason}")
            case _:
                self.close()
                raise SignerUnavailableError(f"{self._name} answers with {type(answer).__name__}")

    def close(self) -> None:
        """Let the connection go."""
        if self._stream is not None:
            self._stream[1].transport.abort()
            self._stream = None

    @property
    def _name(self) -> str:
        return f"the signer at {format_peer_address(self._address)}"

    async def _ask(self, request: Request) -> SignerMessage:
        async with self._is_asking:
            is_answered = False
            try:
                reader, writer = await self._connect()
                writer.write(encode_signer_message(request))
                answer = await _read(reader, ANSWER_SECONDS_MAX)
                is_answered = True
                return answer
            except (SignerProtocolError, TimeoutError, OSError) as error:
                raise SignerUnavailableError(f"{self._name}: {str(error) or type(error).__name__}") from None
            finally:
                if not is_answered:  # given up also by who waits: a late answer must not be taken for the next one's
                    self.close()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """The open connection, or a new one to a signer that signs for the same chain and key."""
        if self._stream is not None and not self._stream[0].at_eof() and not self._stream[1].is_closing():
            return self._stream
        self.close()
        async with asyncio.timeout(CONNECT_SECONDS_MAX):
            self._stream = await asyncio.open_connection(*self._address, ssl=self._tls)
        welcome = await _read(self._stream[0], CONNECT_SECONDS_MAX)
        if welcome != self._expected:
            raise SignerProtocolError("it is of another version, or signs for another chain or with another key")
        return self._stream


async def _read(reader: asyncio.StreamReader, wait_s: float) -> SignerMessage:
    message = await read_signer_message(reader, wait_s)
    if message is None:
        raise SignerProtocolError("the signer has ended the connection; it may not know this node's certificate")
    return message


def _build_request(subject: SignedSubject) -> Request:
    match subject:
        case Vote(kind, height, round_number, block_hash):
            return VoteRequest(kind, height, round_number, block_hash)
        case Proposal():
            return ProposalRequest(subject.height, subject.round, subject.valid_round, subject.block_hash)
        case _:
            return HelloRequest(CertificateHash(subject.peer_hash))
