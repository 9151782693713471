"""An observer inside the test: connects to every node with a registered key and keeps what each member signs."""

import asyncio
import random
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from consensus.messages import Message, Proposal, Vote, decode_message
from identity.keys import PrivateKey
from ledger.primitives import ChainId, Height, NodeKey
from node.messages import MessageKind
from p2p.addresses import PeerAddress
from p2p.certificate import build_certificate, compact_certificate
from p2p.frames import Channel
from p2p.hello import HelloFacts
from p2p.network import Network
from p2p.peer import PeerInfo
from p2p.settings import NetworkSettings
from tests.network.homes import HOST
from tests.network.processes import CHAIN_ID, ProcessNetwork
from tests.p2p.nodes import SilentLogger
from vm.native.network import NodeRole


class Recorder:
    """Hears all consensus messages that the nodes send to everybody."""

    def __init__(self, network: ProcessNetwork, key: PrivateKey, *, backoff_max_s: float = 0.3) -> None:
        self.signed: defaultdict[tuple[object, ...], set[bytes | None]] = defaultdict(set)
        """What was signed, by (height, round, what, member)."""
        self.left: list[tuple[NodeKey, str]] = []
        self.messages: list[tuple[NodeKey, Message]] = []
        """Those that may be of interest in full: the latest 2,000."""
        facts = HelloFacts(ChainId(CHAIN_ID), network.genesis_hash, NodeRole.OBSERVER, Height(0), "", None)
        self.network = Network(
            NetworkSettings(PeerAddress(HOST, 0), backoff_first_s=0.1, backoff_max_s=backoff_max_s),
            key.secret,
            lambda: facts,
            self,
            time.monotonic,
            random.Random(1),
            SilentLogger(),
        )
        certificates = {}
        addresses = {}
        for node in network.nodes:
            node_key, signature = compact_certificate(build_certificate(node.node_secret))
            certificates[node_key] = signature
            addresses[node_key] = (PeerAddress(HOST, node.config.p2p_port),)
        self.network.set_allowed(certificates)
        self.network.set_addresses(addresses)

    def list_contradictions(self) -> list[tuple[object, ...]]:
        """Where a member signed two different things."""
        return [where for where, what in self.signed.items() if len(what) > 1]

    # NetworkHandler

    def peer_joined(self, info: PeerInfo) -> None:
        """Nothing to say."""

    def peer_left(self, key: NodeKey, reason: str) -> None:
        """Kept."""
        self.left.append((key, reason))

    def received(self, peer: NodeKey, channel: Channel, kind: int, payload: bytes) -> None:
        """Keep what was signed."""
        if kind != MessageKind.CONSENSUS:
            return
        message = decode_message(payload)
        self.messages = [*self.messages[-1_999:], (peer, message)]
        match message:
            case Vote():
                place = (message.height, message.round, message.kind, message.member_index)
                self.signed[place].add(message.block_hash)
            case Proposal():
                self.signed[message.height, message.round, "proposal"].add(message.block_hash)


@asynccontextmanager
async def recording(network: ProcessNetwork, key: PrivateKey) -> AsyncIterator[Recorder]:
    """A recorder that runs."""
    recorder = Recorder(network, key)
    task = asyncio.create_task(recorder.network.run())
    try:
        yield recorder
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
