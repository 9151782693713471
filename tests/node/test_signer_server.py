"""A node's end and the signer's end over real TLS on loopback."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

import node.remote_signer as client_module
import node.signer_server as server_module
from consensus.messages import (
    Proposal,
    Vote,
    VoteKind,
    get_proposal_message,
    get_vote_message,
    verify_consensus_signature,
)
from identity.keys import PrivateKey
from identity.signing import compute_signing_domain
from ledger.primitives import BlockHash, ChainId, ConsensusKey, Height, Round, Signature
from node.clock import Clock
from node.remote_signer import RemoteSigner
from node.safety_file import SafetyFile, SafetyFileError, initialise_safety_directory
from node.signer import LocalSigner, SignerRefusedError, SignerUnavailableError
from node.signer_guard import SigningGuard
from node.signer_process import load_safety_state
from node.signer_protocol import MESSAGE_BYTES_MAX, Signed, Welcome, encode_signer_message, read_signer_message
from node.signer_server import SignerIdentity, SignerServer
from p2p.addresses import PeerAddress
from p2p.certificate import CompactCertificate, build_certificate, compact_certificate, join_compact
from p2p.hello import SessionCertificates, compute_seat_message
from p2p.tls import build_contexts
from tests.builders import make_key
from tests.consensus.builders import make_proposal
from tests.node.disk_faults import failing_call
from tests.p2p.nodes import SilentLogger

HOST = "127.0.0.1"
KEY, SIGNER_TLS = make_key("consensus"), make_key("signer")
NODE, STANDBY, STRANGER = make_key("node"), make_key("standby"), make_key("stranger")
PUBLIC_KEY = ConsensusKey(KEY.public_key.key)
IDENTITY = SignerIdentity(ChainId("carlive-test"), BlockHash(b"\x0a" * 32))
DOMAIN = compute_signing_domain(IDENTITY.chain_id, IDENTITY.genesis_hash)
BLOCK, OTHER = BlockHash(b"\x01" * 32), BlockHash(b"\x02" * 32)
VOTE = Vote(VoteKind.PREVOTE, Height(5), Round(0), BLOCK, 2, Signature(b""))


def certify(key: PrivateKey) -> CompactCertificate:
    return join_compact(*compact_certificate(build_certificate(key.secret)))


class Signer:
    """The signer's process without the process."""

    def __init__(self, directory: Path, port: int = 0) -> None:
        initialise_safety_directory(directory / "safety")
        self.safety_file = SafetyFile(directory / "safety")
        self.holder = LocalSigner(KEY)
        self.guard = SigningGuard(self.holder, self.safety_file, load_safety_state(self.safety_file), DOMAIN)
        self.logger = RecordingLogger()
        self.server = SignerServer(
            PeerAddress(HOST, port),
            SIGNER_TLS.secret,
            [certify(NODE), certify(STANDBY)],
            IDENTITY,
            self.holder,
            self.guard,
            Clock(),
            self.logger,
        )
        self.server.listen()

    @property
    def address(self) -> PeerAddress:
        return PeerAddress(HOST, self.server.port)


class RecordingLogger(SilentLogger):
    """Errors too."""

    error = SilentLogger.debug


@asynccontextmanager
async def running(directory: Path, port: int = 0) -> AsyncIterator[Signer]:
    signer = Signer(directory, port)
    task = asyncio.create_task(signer.server.run())
    try:
        yield signer
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        signer.safety_file.close()


@asynccontextmanager
async def asking(signer: Signer, node: PrivateKey = NODE, **given: Any) -> AsyncIterator[RemoteSigner]:
    facts = {
        "address": signer.address,
        "certificate": certify(SIGNER_TLS),
        "node_secret": node.secret,
        "public_key": PUBLIC_KEY,
        "chain_id": IDENTITY.chain_id,
        "genesis_hash": IDENTITY.genesis_hash,
    }
    remote = RemoteSigner(**{**facts, **given})
    try:
        yield remote
    finally:
        remote.close()


async def sign(remote: RemoteSigner, vote: Vote) -> Signature:
    return await remote.sign(vote, get_vote_message(DOMAIN, vote))


@asynccontextmanager
async def speaking(
    signer: Signer, node: PrivateKey = NODE
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """An allowed node that says what it likes."""
    contexts = build_contexts(node.secret, [build_certificate(SIGNER_TLS.secret)])
    reader, writer = await asyncio.open_connection(*signer.address, ssl=contexts.client)
    try:
        assert isinstance(await read_signer_message(reader), Welcome)
        yield reader, writer
    finally:
        writer.transport.abort()


async def test_votes_proposals_and_greetings_are_signed(tmp_path: Path) -> None:
    proposal: Proposal = make_proposal()
    hashes = SessionCertificates(sha256(build_certificate(NODE.secret)).digest(), bytes(32))
    greeting = compute_seat_message(IDENTITY.chain_id, IDENTITY.genesis_hash, hashes.own_hash, hashes.peer_hash)
    async with running(tmp_path) as signer, asking(signer) as remote:
        later = replace(VOTE, height=Height(proposal.height + 1))
        for subject, message in (
            (proposal, get_proposal_message(DOMAIN, proposal)),
            (later, get_vote_message(DOMAIN, later)),
            (hashes, greeting),
        ):
            assert verify_consensus_signature(PUBLIC_KEY, message, await remote.sign(subject, message))


async def test_a_greeting_is_signed_for_the_asking_nodes_own_certificate_alone(tmp_path: Path) -> None:
    """The certificate of TLS counts: a node cannot get the seat for another one."""
    hashes = SessionCertificates(sha256(build_certificate(STRANGER.secret)).digest(), bytes(32))
    message = compute_seat_message(IDENTITY.chain_id, IDENTITY.genesis_hash, hashes.own_hash, hashes.peer_hash)
    async with running(tmp_path) as signer, asking(signer) as remote:
        with pytest.raises(SignerUnavailableError, match="something else"):
            await remote.sign(hashes, message)


async def test_two_nodes_never_get_contradicting_signatures(tmp_path: Path) -> None:
    async with running(tmp_path) as signer, asking(signer) as first, asking(signer, STANDBY) as second:
        signature = await sign(first, VOTE)
        assert await sign(second, VOTE) == signature
        with pytest.raises(SignerRefusedError, match="another message was signed"):
            await sign(second, replace(VOTE, block_hash=OTHER))
        with pytest.raises(SignerRefusedError):
            await sign(second, replace(VOTE, height=Height(4)))
        await sign(second, replace(VOTE, kind=VoteKind.PRECOMMIT))
        with pytest.raises(SignerRefusedError):
            await sign(first, replace(VOTE, kind=VoteKind.PRECOMMIT, block_hash=None))


async def test_a_node_that_is_not_on_the_list_is_refused_by_tls(tmp_path: Path) -> None:
    async with running(tmp_path) as signer, asking(signer, STRANGER) as stranger, asking(signer) as remote:
        with pytest.raises(SignerUnavailableError):
            await sign(stranger, VOTE)
        assert signer.guard.height == 0
        await sign(remote, VOTE)


async def test_a_signer_with_another_certificate_is_not_believed(tmp_path: Path) -> None:
    async with running(tmp_path) as signer, asking(signer, certificate=certify(STRANGER)) as remote:
        with pytest.raises(SignerUnavailableError):
            await sign(remote, VOTE)
        assert signer.guard.height == 0


@pytest.mark.parametrize(
    "given",
    [
        {"chain_id": ChainId("another")},
        {"genesis_hash": BlockHash(b"\x0b" * 32)},
        {"public_key": ConsensusKey(STRANGER.public_key.key)},
    ],
)
async def test_a_signer_for_another_chain_or_key_is_asked_nothing(tmp_path: Path, given: dict[str, Any]) -> None:
    async with running(tmp_path) as signer, asking(signer, **given) as remote:
        with pytest.raises(SignerUnavailableError, match="another chain"):
            await sign(remote, VOTE)
        assert signer.guard.height == 0


async def test_a_signature_of_something_else_is_not_handed_on(tmp_path: Path) -> None:
    async with running(tmp_path) as signer, asking(signer) as remote:
        with pytest.raises(SignerUnavailableError, match="something else"):
            await remote.sign(VOTE, b"another message")


async def test_nobody_there_is_unavailable_and_a_signer_that_comes_back_is_found(tmp_path: Path) -> None:
    async with running(tmp_path) as signer, asking(signer) as remote:
        await sign(remote, VOTE)
        port = signer.server.port
    with pytest.raises(SignerUnavailableError):
        await sign(remote, VOTE)
    async with running(tmp_path, port):
        await sign(remote, VOTE)
    remote.close()


async def test_a_signer_that_does_not_answer_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(tmp_path) as signer, asking(signer) as remote:
        await sign(remote, VOTE)
        monkeypatch.setattr(client_module, "ANSWER_SECONDS_MAX", 0.05)
        answering = signer.holder.sign_message

        async def sleep(_message: bytes) -> Signature:
            await asyncio.sleep(0.3)
            return await answering(_message)

        monkeypatch.setattr(signer.holder, "sign_message", sleep)
        with pytest.raises(SignerUnavailableError, match="Timeout"):
            await sign(remote, replace(VOTE, round=Round(1)))
        monkeypatch.undo()
        signature = await sign(remote, replace(VOTE, kind=VoteKind.PRECOMMIT, round=Round(1)))
        message = get_vote_message(DOMAIN, replace(VOTE, kind=VoteKind.PRECOMMIT, round=Round(1)))
        assert verify_consensus_signature(PUBLIC_KEY, message, signature), "not the late answer"


async def test_an_answer_that_nobody_waits_for_is_not_taken_for_the_next(tmp_path: Path) -> None:
    async with running(tmp_path) as signer, asking(signer) as remote:
        await sign(remote, VOTE)
        given_up = asyncio.create_task(sign(remote, replace(VOTE, round=Round(1))))
        await asyncio.sleep(0)
        given_up.cancel()
        await asyncio.gather(given_up, return_exceptions=True)
        await sign(remote, replace(VOTE, round=Round(2)))


async def test_a_key_out_of_reach_is_told_apart_from_a_refusal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(_message: bytes) -> Signature:
        raise SignerUnavailableError("the token is out")

    async with running(tmp_path) as signer, asking(signer) as remote:
        monkeypatch.setattr(signer.holder, "sign_message", fail)
        with pytest.raises(SignerUnavailableError, match="the token is out"):
            await sign(remote, VOTE)
        monkeypatch.undo()
        await sign(remote, VOTE)


@pytest.mark.parametrize(
    "stream",
    [
        (MESSAGE_BYTES_MAX + 1).to_bytes(4, "big"),
        b"\x00\x00\x00\x01\x63",
        b"\x00\x00\x00\x02\x01\xc0",
        encode_signer_message(Signed(Signature(bytes(64)))),
        b"GET / HTTP/1.1\r\n\r\n",
    ],
)
async def test_malformed_input_ends_the_connection_and_no_other(tmp_path: Path, stream: bytes) -> None:
    async with running(tmp_path) as signer, asking(signer, STANDBY) as remote:
        await sign(remote, VOTE)
        async with speaking(signer) as (reader, writer):
            writer.write(stream)
            with suppress(ConnectionError):
                assert await reader.read() == b""
        assert "a connection was ended" in [event for event, _ in signer.logger.lines]
        await sign(remote, VOTE)


async def test_a_node_has_one_connection_and_the_newer_one_stays(tmp_path: Path) -> None:
    async with running(tmp_path) as signer, speaking(signer) as (older, _), asking(signer) as newer:
        await sign(newer, VOTE)
        with suppress(ConnectionError):
            assert await older.read() == b""
        await sign(newer, replace(VOTE, round=Round(1)))


async def test_requests_beyond_the_rate_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "REQUESTS_PER_SECOND", 20.0)
    monkeypatch.setattr(server_module, "REQUESTS_BURST", 2.0)
    loop = asyncio.get_running_loop()
    async with running(tmp_path) as signer, asking(signer) as remote:
        start_s = loop.time()
        for number in range(7):
            await sign(remote, replace(VOTE, round=Round(number)))
        assert loop.time() - start_s >= 5 / 20.0


async def test_strangers_beyond_the_limit_are_sent_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "STRANGERS_PER_ADDRESS_MAX", 2)
    async with running(tmp_path) as signer:
        waiting = [await asyncio.open_connection(*signer.address) for _ in range(2)]
        await asyncio.sleep(0.05)
        reader, writer = await asyncio.open_connection(*signer.address)
        with suppress(ConnectionError):
            assert await reader.read() == b""
        for _, each in [*waiting, (reader, writer)]:
            each.transport.abort()
        await asyncio.sleep(0.05)
        async with asking(signer) as remote:
            await sign(remote, VOTE)


async def test_a_stranger_that_says_nothing_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "HANDSHAKE_SECONDS_MAX", 0.05)
    async with running(tmp_path) as signer:
        reader, writer = await asyncio.open_connection(*signer.address)
        async with asyncio.timeout(3.0):
            with suppress(ConnectionError):
                assert await reader.read() == b""
        writer.transport.abort()


async def test_what_can_no_longer_be_kept_ends_the_signer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    signer = Signer(tmp_path)
    task = asyncio.create_task(signer.server.run())
    async with asking(signer) as remote:
        with failing_call(monkeypatch, "fdatasync"), pytest.raises(SignerUnavailableError):
            await sign(remote, VOTE)
        with pytest.raises(ExceptionGroup) as failure:
            await task
    assert failure.group_contains(SafetyFileError)
    signer.safety_file.close()
