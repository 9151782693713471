"""What a fresh node is while it downloads its first state: it talks to peers, says how far it has come, and no more."""

from dataclasses import dataclass
from typing import Final

from consensus.committee import fault_limit
from ledger.codec import decode, encode
from ledger.primitives import Height, NodeKey
from node.backend import VERSION
from node.messages import CHANNELS, BlocksAnswer, BlocksRequest, MessageKind, SnapshotOffer, SnapshotRequest, Status
from node.ops import Measure
from node.snapshot_sync import SnapshotSync
from p2p.frames import Channel, PeerProtocolError
from p2p.network import Network
from p2p.peer import PeerInfo

_BEGINNING: Final = Height(0)


class SnapshotExchange:
    """The network's handler during the download: a node that has nothing yet."""

    _network: Network
    _sync: SnapshotSync

    def __init__(self, committee_size: int) -> None:
        self._liars_max = fault_limit(committee_size)
        self._heads: dict[NodeKey, Height] = {}

    def attach(self, network: Network, sync: SnapshotSync) -> None:
        """Set once: both need their handler first."""
        self._network = network
        self._sync = sync

    def send(self, peer: NodeKey, kind: MessageKind, message: object) -> bool:
        """Ask a peer."""
        return self._network.send(peer, CHANNELS[kind], kind, encode(message))

    @property
    def target_height(self) -> int:
        """How far the chain is, as far as peers can be believed."""
        claims = sorted(self._heads.values(), reverse=True)
        return claims[min(self._liars_max, len(claims) - 1)] if claims else 0

    def get_peer_height(self, peer: NodeKey) -> int:
        """What a peer has said last of its head."""
        return self._heads.get(peer, _BEGINNING)

    # NetworkHandler

    def peer_joined(self, info: PeerInfo) -> None:
        """Say that there is nothing to have from us, and ask it."""
        self._heads[info.key] = info.head_height
        self.send(info.key, MessageKind.STATUS, Status(_BEGINNING, _BEGINNING))
        self._sync.add_peer(info.key)

    def peer_left(self, key: NodeKey, reason: str) -> None:
        """Ask others."""
        self._heads.pop(key, None)
        self._sync.remove_peer(key)

    def received(self, peer: NodeKey, channel: Channel, kind: int, payload: bytes) -> None:
        """One message; votes and transactions are of no use yet."""
        if CHANNELS.get(kind) is not channel:
            raise PeerProtocolError(f"there is no message of kind {kind} on {channel.name}")
        match kind:
            case MessageKind.STATUS:
                self._heads[peer] = decode(Status, payload).head_height
            case MessageKind.BLOCKS_REQUEST:
                request = decode(BlocksRequest, payload)
                self.send(peer, MessageKind.BLOCKS_ANSWER, BlocksAnswer(request.first_height, ()))
            case MessageKind.SNAPSHOT_REQUEST:
                asked = decode(SnapshotRequest, payload).height
                self.send(peer, MessageKind.SNAPSHOT_OFFER, SnapshotOffer(asked, _BEGINNING, None))
            case _:
                self._sync.received(peer, MessageKind(kind), payload)


@dataclass(slots=True)
class SnapshotOps:
    """The operators' port during the download: the process lives, and is not ready."""

    chain_id: str
    genesis_hash: str
    sync: SnapshotSync

    def why_not_ready(self) -> str | None:
        """Always something."""
        progress = self.sync.progress
        if progress is None:
            return "waiting for a peer with a snapshot"
        return f"downloading the state: {progress.keys_done} of about {progress.keys_total} keys"

    def list_measures(self) -> list[Measure]:
        """How far it has come."""
        progress = self.sync.progress
        done, total = (0, 0) if progress is None else (progress.keys_done, progress.keys_total)
        return [
            Measure("snapshot_keys_done", "Keys of the state that have been downloaded.", done),
            Measure("snapshot_keys_total", "Keys of the state, estimated.", total),
        ]

    def get_version(self) -> dict[str, str | int]:
        """Version, chain id, genesis hash."""
        return {"version": VERSION, "chainId": self.chain_id, "genesisHash": "0x" + self.genesis_hash}
