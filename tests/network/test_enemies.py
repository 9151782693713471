"""Strangers, liars and slow clients: refused, dropped, or simply not waited for."""

import asyncio
import os
import random
import ssl
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from consensus.messages import NO_VALID_ROUND, Message, Proposal, Vote, VoteKind, encode_message
from identity.keys import PrivateKey
from identity.signing import compute_signing_domain
from ledger.block import HEADER_VERSION, Header, compute_transactions_root
from ledger.codec import encode
from ledger.primitives import (
    EMPTY_ROOT,
    BlockHash,
    ChainId,
    ConsensusKey,
    EnvelopeHash,
    Height,
    RootHash,
    Round,
    Signature,
    TimeMs,
)
from node.messages import MessageKind, TransactionBatch
from p2p.certificate import build_certificate
from p2p.frames import FRAME_PAYLOAD_BYTES_MAX, MESSAGE_BYTES_MAX, Channel, FrameDecoder
from p2p.frames import encode_message as encode_frames
from p2p.hello import ControlKind, HelloFacts, SessionCertificates, build_hello, encode_hello
from p2p.settings import CHANNEL_LIMITS
from p2p.tls import build_contexts
from tests.builders import Draft, address_of, make_key, transfer
from tests.network.homes import HOST
from tests.network.load import TransferLoad, check_books
from tests.network.processes import CHAIN_ID, QUICK, CallFailedError, ProcessNetwork, running_network
from vm.native.network import NodeRole

pytestmark = [pytest.mark.network, pytest.mark.xdist_group("links")]

PATIENCE_S = 10.0
SLOW_CLIENTS = 60
ATTEMPTS = 6
"""Of what costs a fifth of a ban each."""
FLOOD_MESSAGE_BYTES = 60_000
SOCKET_BYTES_MAX = 32 * 2**20
"""Of both ends, and what a node has read before it pauses."""
FLOODED_MEMORY_BYTES_MAX = 64 * 2**20


class RawPeer:
    """A TLS connection to a node with a key of ours, on which anything may be said."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.flooded_bytes = 0

    async def greet(self, network: ProcessNetwork, key: PrivateKey, index: int) -> None:
        """HELLO and WELCOME, both ways."""
        facts = HelloFacts(ChainId(CHAIN_ID), network.genesis_hash, NodeRole.OBSERVER, Height(0), "", None)
        certificates = SessionCertificates(
            sha256(build_certificate(key.secret)).digest(),
            sha256(build_certificate(network.nodes[index].node_secret)).digest(),
        )
        hello = await build_hello(facts, certificates, None)
        self.write(*encode_frames(Channel.CONTROL, ControlKind.HELLO, encode_hello(hello)))
        decoder = FrameDecoder(MESSAGE_BYTES_MAX)
        kinds: list[int] = []
        async with asyncio.timeout(PATIENCE_S):
            while ControlKind.WELCOME not in kinds:
                data = await self._reader.read(65_536)
                assert data, "the node closed the connection during the greeting"
                kinds += [message.kind for message in decoder.feed(data, 0.0)]
        self.write(*encode_frames(Channel.CONTROL, ControlKind.WELCOME, b""))

    def write(self, *pieces: bytes) -> None:
        """Send bytes as they are."""
        self._writer.write(b"".join(pieces))

    def send(self, channel: Channel, kind: int, payload: bytes) -> None:
        """Send a message in sound frames."""
        self.write(*encode_frames(channel, kind, payload))

    async def flood(self, channel: Channel, kind: int, payload: bytes) -> None:
        """Send the same message as fast as the node takes it, until cancelled."""
        frames = b"".join(encode_frames(channel, kind, payload))
        while True:
            self._writer.write(frames)
            await self._writer.drain()
            self.flooded_bytes += len(frames)

    async def expect_end(self) -> bytes:
        """What comes before the node closes the connection, which it does soon."""
        received = b""
        async with asyncio.timeout(PATIENCE_S):
            with suppress(ssl.SSLError, ConnectionError):
                while data := await self._reader.read(65_536):
                    received += data
        return received

    async def close(self) -> None:
        """End it from this side."""
        self._writer.transport.abort()
        with suppress(ssl.SSLError, ConnectionError):
            await self._writer.wait_closed()


@asynccontextmanager
async def connected(network: ProcessNetwork, key: PrivateKey, index: int = 0) -> AsyncIterator[RawPeer]:
    """The TLS handshake, as far as this side sees it: in TLS 1.3 a client hears of its refusal afterwards."""
    node = network.nodes[index]
    context = build_contexts(key.secret, [build_certificate(node.node_secret)]).client
    peer = RawPeer(*await asyncio.open_connection(HOST, node.config.p2p_port, ssl=context))
    try:
        yield peer
    finally:
        await peer.close()


async def _check_still_alive(network: ProcessNetwork, height: int) -> None:
    """Nothing has changed, nobody died, nobody was dropped but the enemy."""
    await asyncio.sleep(0.5)
    assert [await network.get_height(index) for index in range(4)] == [height] * 4
    assert [(await network.get_readiness(index))[0] for index in range(4)] == [200] * 4
    assert await network.get_metric(0, "peers") == 3


async def test_strangers_and_liars_change_nothing(tmp_path: Path) -> None:
    keys = [make_key(f"enemy {index}") for index in range(8)]
    async with running_network(tmp_path, strangers=keys) as network:
        height = await network.wait_until_still()
        head_hash = BlockHash(bytes.fromhex((await network.get_head(0))[1].removeprefix("0x")))

        async with connected(network, make_key("a stranger")) as stranger:
            assert await stranger.expect_end() == b"", "an unknown key hears not a byte"

        noise = random.Random(8).randbytes(4_096)
        async with connected(network, keys[0]) as peer:
            peer.write(noise)
            await peer.expect_end()

        frames: Sequence[tuple[Channel, int, bytes]] = (
            (Channel.CONSENSUS, MessageKind.CONSENSUS, noise),
            (Channel.TRANSACTIONS, MessageKind.TRANSACTIONS, noise),
            (Channel.SYNC, MessageKind.BLOCKS_REQUEST, noise),
            (Channel.CONSENSUS, 65_535, b""),
        )
        for key, (channel, kind, payload) in zip(keys[1:], frames, strict=False):
            await _expect_dropped(network, key, encode_frames(channel, kind, payload))
        announced = (2**31).to_bytes(4, "big") + bytes([Channel.CONSENSUS]) + (400).to_bytes(2, "big")
        await _expect_dropped(network, keys[5], [announced])
        assert FRAME_PAYLOAD_BYTES_MAX < 2**31

        forged = _forge_messages(Height(height + 1), head_hash)
        lies = [encode_frames(Channel.CONSENSUS, MessageKind.CONSENSUS, encode_message(each)) for each in forged]
        await _expect_dropped(network, keys[6], [frame for lie in lies for frame in lie])

        await _check_still_alive(network, height)
        await _check_foreign_transactions(network, keys[7])
        await _check_still_alive(network, height)

        async with TransferLoad(network) as load:
            await load.wait_for(20)
        await network.wait_until_still()
        await network.check_same_chain()
        await check_books(network, 0, load.acknowledged)


async def _expect_dropped(network: ProcessNetwork, key: PrivateKey, frames: Sequence[bytes]) -> None:
    """The node ends the connection, and keeps the key away for a while."""
    bans = await network.get_metric(0, "peer_bans")
    async with connected(network, key) as peer:
        await peer.greet(network, key, 0)
        peer.write(*frames)
        await peer.expect_end()
    assert await network.get_metric(0, "peer_bans") == bans + 1
    async with connected(network, key) as again:
        with pytest.raises((AssertionError, ConnectionError, ssl.SSLError)):
            await again.greet(network, key, 0)


def _forge_messages(height: Height, previous_hash: BlockHash) -> list[Message]:
    """Votes and proposals of the right height in the names of members, from somebody without their keys."""
    names = tuple(EnvelopeHash(sha256(index.to_bytes(4, "big")).digest()) for index in range(10_000))
    root = RootHash(bytes(32))
    header = Header(
        HEADER_VERSION,
        ChainId(CHAIN_ID),
        height,
        Round(0),
        TimeMs(1),
        previous_hash,
        ConsensusKey(bytes(32)),
        compute_transactions_root(list(names)),
        EMPTY_ROOT,
        root,
        root,
        root,
        root,
        root,
    )
    signature = Signature(bytes(64))
    proposal = Proposal(header, Round(0), NO_VALID_ROUND, names, (), signature)
    proposals = [replace(proposal, header=replace(header, time_ms=TimeMs(1 + index))) for index in range(ATTEMPTS // 2)]
    votes = [Vote(VoteKind.PRECOMMIT, height, Round(0), header.hash, index % 4, signature) for index in range(ATTEMPTS)]
    return [*proposals, *votes]


async def _check_foreign_transactions(network: ProcessNetwork, key: PrivateKey) -> None:
    """Signed for a chain of another name, and for one of the same name and another genesis."""
    sender, recipient = network.accounts[:2]

    def sign(sequence: int, **other: Any) -> bytes:
        fields = {"chain_id": CHAIN_ID, "domain": network.domain, **other}
        return Draft(sender, [transfer(address_of(recipient), 1)], sequence, **fields).sign().raw

    other_domain = compute_signing_domain(CHAIN_ID, BlockHash(bytes(32)))
    for raw, reason in (
        (sign(0, chain_id="another-chain"), "WRONG_CHAIN"),
        (sign(0, domain=other_domain), "BAD_SIGNATURE"),
    ):
        with pytest.raises(CallFailedError) as refusal:
            await network.call(0, "tx_send", raw="0x" + raw.hex())
        assert refusal.value.reason == reason
    batch = TransactionBatch(tuple(sign(sequence, chain_id="another-chain") for sequence in range(60)))
    frames = encode_frames(Channel.TRANSACTIONS, MessageKind.TRANSACTIONS, encode(batch))
    await _expect_dropped(network, key, frames)


async def test_a_flood_of_a_registered_peer_takes_no_more_than_its_rate(tmp_path: Path) -> None:
    """Evidence that proves nothing is dropped without blame, so nothing but the channel's rate holds it back."""
    key = make_key("a flooder")
    limits = CHANNEL_LIMITS[Channel.CONSENSUS]
    async with running_network(tmp_path, strangers=[key]) as network:
        async with TransferLoad(network, pause_s=0.2) as load:
            await load.wait_for(10)
            memory_bytes, height = _get_memory_bytes(network, 0), await network.get_height(0)
            async with connected(network, key) as peer:
                await peer.greet(network, key, 0)
                started_s = time.monotonic()
                payload = bytes(FLOOD_MESSAGE_BYTES)
                flood = asyncio.create_task(peer.flood(Channel.CONSENSUS, MessageKind.EVIDENCE, payload))
                await network.wait_for_height(height + 10)
                flooded_s = time.monotonic() - started_s
                assert not flood.done(), "the connection stands"
                flood.cancel()
        flooded_bytes_max = limits.receive_bytes_per_second * (flooded_s + limits.burst_seconds) + SOCKET_BYTES_MAX
        assert FLOOD_MESSAGE_BYTES < peer.flooded_bytes <= flooded_bytes_max
        assert _get_memory_bytes(network, 0) - memory_bytes < FLOODED_MEMORY_BYTES_MAX
        assert await network.get_metric(0, "offences_seen") == 0
        await network.wait_until_still()
        await network.check_same_chain()
        await check_books(network, 0, load.acknowledged)


def _get_memory_bytes(network: ProcessNetwork, index: int) -> int:
    """What the node's process has in memory."""
    process = network.nodes[index].process
    assert process is not None
    pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


async def test_slow_clients_do_not_slow_the_chain(tmp_path: Path) -> None:
    """Each begins a request and never ends it, a byte now and then."""
    async with running_network(tmp_path) as network, AsyncExitStack() as stack:
        for index in range(4):
            for _ in range(SLOW_CLIENTS // 4):
                await stack.enter_async_context(_slow_client(network.nodes[index].config.rpc_port))
        async with TransferLoad(network) as load:
            await load.wait_for(50)
            started = await network.call(0, "chain_head")
            await network.wait_for_height(started["height"] + 10, 0)
            ended = await network.call(0, "chain_getBlock", height=started["height"] + 10)
            interval_ms = (ended["header"]["timeMs"] - started["timeMs"]) / 10
            assert interval_ms < 3 * QUICK["block_interval_ms"]
        await network.wait_until_still()
        await network.check_same_chain()
        await check_books(network, 0, load.acknowledged)


@asynccontextmanager
async def _slow_client(port: int) -> AsyncIterator[None]:
    _, writer = await asyncio.open_connection(HOST, port)
    writer.write(b"POST /rpc HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n")

    async def trickle() -> None:
        while True:
            await asyncio.sleep(0.2)
            writer.write(b"X")

    task = asyncio.create_task(trickle())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        writer.transport.abort()
