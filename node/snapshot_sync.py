"""Begins with the state after a recent block instead of executing all blocks: fetches it from peers, part by part.

Nothing is believed. The header that states the state's root is proven by following the committees from genesis, or from
the checkpoint that the operator names; the block, its receipts and every part of the state are checked against it.
Values and tree grow in the store as parts arrive; only the last write makes a chain of it. A process that ends before
begins anew.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from consensus.certificate import InvalidCertificateError
from consensus.committee import one_honest
from consensus.light import (
    Checkpoint,
    CommitteeChange,
    follow,
    follow_change,
    trust_checkpoint,
    trust_header,
)
from consensus.snapshot_rules import (
    BlockWanted,
    ChangesWanted,
    OfferWanted,
    PartWanted,
    ReceiptsWanted,
    SnapshotPlanner,
    TrustWanted,
    Wanted,
)
from identity.signing import SigningDomain
from ledger.block import (
    Block,
    CertifiedBlock,
    CertifiedHeader,
    CommitCertificate,
    compute_evidence_root,
    compute_transactions_root,
)
from ledger.chain import CACHED_NODES_MAX, clear_unfinished, compute_receipts_root, write_snapshot
from ledger.codec import DecodeError, decode, unpack
from ledger.committee import Committee
from ledger.primitives import Height, NodeKey, TimeMs
from ledger.receipt import BlockEvents, Receipt
from ledger.state_part import Entry, InvalidPartError, Place, check_entries, get_root_place, list_places, parse_entries
from ledger.store import Store
from ledger.store_keys import value_store_key
from ledger.transaction import compute_envelope_hash
from ledger.tree import WIDTH, StateTree
from node.clock import Clock
from node.messages import (
    COMMITTEE_CHANGES_MAX,
    BlocksAnswer,
    BlocksRequest,
    CommitteeChanges,
    CommitteeChangesRequest,
    HeaderAnswer,
    HeaderRequest,
    MessageKind,
    ReceiptsAnswer,
    ReceiptsRequest,
    SnapshotOffer,
    SnapshotRequest,
    StatePartAnswer,
    StatePartRequest,
)
from node.snapshot_server import Send

PLAN_INTERVAL_S: Final = 0.2
PROGRESS_INTERVAL_S: Final = 5.0
LIE_POINTS: Final = 100.0
FIRST_HEAD_HEIGHT: Final = 2  # the first snapshot is of block 1, sealed by block 2
_SHARE_DEPTH: Final = 12  # nibbles of a path that count for progress
_NIBBLE_BITS: Final = 4
_WHOLE_SHARE: Final = 1 << _NIBBLE_BITS * _SHARE_DEPTH


class _LieError(Exception):
    """What a peer sent is not what it should be."""


@dataclass(frozen=True, slots=True)
class SnapshotProgress:
    """How far the download has come."""

    height: Height
    keys_done: int
    keys_total: int
    """An estimate from the share of the tree that is done: the keys' hashes spread evenly."""


class SnapshotSync:
    """One download into a store that holds no chain."""

    def __init__(
        self,
        store: Store,
        genesis: CertifiedBlock,
        committee: Committee,
        domain: SigningDomain,
        checkpoint: Checkpoint | None,
        clock: Clock,
        send: Send,
        penalise: Callable[[NodeKey, float, str], None],
        logger: Any,
    ) -> None:
        """`committee` is the one that genesis announces."""
        self._store = store
        self._genesis = genesis
        self._domain = domain
        self._checkpoint = checkpoint
        self._clock = clock
        self._send = send
        self._penalise = penalise
        self._logger = logger
        self._planner = SnapshotPlanner()
        self._wake = asyncio.Event()
        self._beginners_enough = one_honest(len(committee.members))
        self._beginners: set[NodeKey] = set()
        """Peers that said they are at the beginning."""
        self._points = [trust_header(genesis.block.header, committee)] if checkpoint is None else []
        """The trusted point, and one for each change of the committee that was followed from it."""
        self._changes: list[CommitteeChange] = []
        self._offers: dict[NodeKey, CertifiedHeader] = {}
        self._begin_anew()

    def _begin_anew(self) -> None:
        """Forget the download, not whom to trust."""
        clear_unfinished(self._store)
        self._tree = StateTree(self._store.get, CACHED_NODES_MAX)
        self._source: NodeKey | None = None
        self._sealed: CertifiedHeader | None = None
        self._block: CertifiedBlock | None = None
        self._receipts: tuple[list[bytes], bytes | None] | None = None
        self._places: dict[bytes, Place] = {}
        self._has_begun = False
        self._keys_done = 0
        self._share_done = 0

    # What the node reports

    def add_peer(self, peer: NodeKey) -> None:
        """A peer can be asked."""
        self._planner.add_peer(peer)
        self._wake.set()

    def remove_peer(self, peer: NodeKey) -> None:
        """A peer is gone."""
        self._planner.remove_peer(peer)
        self._offers.pop(peer, None)
        self._wake.set()

    def received(self, peer: NodeKey, kind: MessageKind, payload: bytes) -> None:
        """An answer; raises DecodeError. Late answers to requests that were given up are no offence."""
        match kind:
            case MessageKind.SNAPSHOT_OFFER:
                self._take_offer(peer, decode(SnapshotOffer, payload))
            case MessageKind.HEADER_ANSWER:
                header = decode(HeaderAnswer, payload)
                self._take(peer, TrustWanted(header.height), header.header is None, lambda: self._trust(header))
            case MessageKind.COMMITTEE_CHANGES:
                changes = decode(CommitteeChanges, payload)
                wanted = ChangesWanted(changes.first_height)
                self._take(peer, wanted, False, lambda: self._follow_changes(changes))
            case MessageKind.BLOCKS_ANSWER:
                blocks = decode(BlocksAnswer, payload)
                wanted_block = BlockWanted(blocks.first_height)
                self._take(peer, wanted_block, not blocks.blocks, lambda: self._take_block(*blocks.blocks[0]))
            case MessageKind.RECEIPTS_ANSWER:
                receipts = decode(ReceiptsAnswer, payload)
                encoded = receipts.receipts
                wanted_receipts = ReceiptsWanted(receipts.height)
                self._take(
                    peer,
                    wanted_receipts,
                    encoded is None,
                    lambda: self._take_receipts(encoded or b"", receipts.events),
                )
            case MessageKind.STATE_PART:
                part = decode(StatePartAnswer, payload)
                if part.height == self._height:
                    is_absent = part.entries is None and part.children is None
                    self._take(peer, PartWanted(part.path), is_absent, lambda: self._take_part(part))
            case _:
                return
        self._wake.set()

    @property
    def progress(self) -> SnapshotProgress | None:
        """How far the download has come; None before it has begun."""
        if not self._has_begun or self._height is None:
            return None
        total = self._keys_done * _WHOLE_SHARE // self._share_done if self._share_done else 0
        return SnapshotProgress(self._height, self._keys_done, max(total, self._keys_done))

    # The work

    async def run(self) -> bool:
        """Download until the store holds a chain; False when the chain has just begun, and the store is empty.

        Raises StoreWriteError on a full disk.
        """
        said_s = self._clock.get_monotonic_s()
        while True:
            now_ms = self._now_ms()
            if self._has_begun and not self._places and self._block is not None and self._receipts is not None:
                self._finish()
                return True
            if self._planner.is_lost(now_ms):
                self._logger.warning("no peer serves the snapshot any more; beginning anew", height=self._height)
                self._abandon()
            if self._sealed is None:
                self._choose(now_ms)
            if self._sealed is None and not self._planner.has_offer and len(self._beginners) >= self._beginners_enough:
                self._logger.info("the chain has just begun: executing all blocks instead")
                return False
            for request in self._planner.plan_requests(now_ms):
                self._ask(request.peer, request.wanted)
            if self._clock.get_monotonic_s() - said_s > PROGRESS_INTERVAL_S:
                said_s = self._clock.get_monotonic_s()
                self._say_progress()
            self._wake.clear()
            try:
                await asyncio.wait_for(self._wake.wait(), PLAN_INTERVAL_S)
            except TimeoutError:
                continue

    def _say_progress(self) -> None:
        progress = self.progress
        if progress is None:
            self._logger.info("waiting for a peer with a snapshot")
            return
        self._logger.info(
            "downloading the state",
            height=progress.height,
            keys=progress.keys_done,
            of_about=progress.keys_total,
            peers=self._planner.peers_serving,
        )

    @property
    def _height(self) -> Height | None:
        return None if self._sealed is None else Height(self._sealed.header.height - 1)

    def _ask(self, peer: NodeKey, wanted: OfferWanted | Wanted) -> None:
        match wanted:
            case OfferWanted(height):
                self._send(peer, MessageKind.SNAPSHOT_REQUEST, SnapshotRequest(height))
            case TrustWanted(height):
                self._send(peer, MessageKind.HEADER_REQUEST, HeaderRequest(height))
            case ChangesWanted(height):
                self._send(peer, MessageKind.COMMITTEE_CHANGES_REQUEST, CommitteeChangesRequest(height))
            case BlockWanted(height):
                self._send(peer, MessageKind.BLOCKS_REQUEST, BlocksRequest(height, 1))
            case ReceiptsWanted(height):
                self._send(peer, MessageKind.RECEIPTS_REQUEST, ReceiptsRequest(height))
            case PartWanted(path):
                assert self._height is not None, "parts are wanted of a height"
                self._send(peer, MessageKind.STATE_PART_REQUEST, StatePartRequest(self._height, path))

    def _take(self, peer: NodeKey, wanted: Wanted, is_absent: bool, use: Callable[[], None]) -> None:
        """Use an answer if it was asked for; a lie costs the peer its connection."""
        if is_absent:
            self._planner.take_absence(peer, wanted, self._now_ms())
            return
        if not self._planner.take_answer(peer, wanted):
            return
        try:
            use()
        except (_LieError, InvalidCertificateError, InvalidPartError, DecodeError) as error:
            self._reject(peer, wanted, str(error))

    def _reject(self, peer: NodeKey, wanted: Wanted | None, reason: str) -> None:
        self._planner.reject(peer, wanted)
        self._offers.pop(peer, None)
        self._logger.warning("a peer lied about the state", peer=peer.hex(), reason=reason)
        self._penalise(peer, LIE_POINTS, f"snapshot: {reason}")

    def _abandon(self) -> None:
        self._planner.abandon()
        self._offers.clear()
        self._begin_anew()

    # Which snapshot

    def _take_offer(self, peer: NodeKey, offer: SnapshotOffer) -> None:
        sealed = offer.sealed
        height = None if sealed is None else Height(sealed.header.height - 1)
        lowest = 0 if self._checkpoint is None else self._checkpoint.height
        if height is not None and height <= lowest:
            height = None  # what lies before the checkpoint cannot be proven from it
        if sealed is not None and self._has_begun and self._sealed is not None and sealed.header != self._sealed.header:
            height = None  # another block of this height: its certificate is not even looked at
        if not self._planner.take_offer(peer, offer.asked_height, height, self._now_ms()):
            return
        if sealed is not None and height is not None:
            self._offers[peer] = sealed
        elif offer.head_height < FIRST_HEAD_HEIGHT:
            self._beginners.add(peer)

    def _choose(self, now_ms: TimeMs) -> None:
        chosen = self._planner.choose(now_ms)
        if chosen is None:
            return
        self._source, height = chosen
        self._sealed = self._offers[self._source]
        self._logger.info("a peer offers a snapshot", height=height, peer=self._source.hex())
        if self._points:
            self._want_changes()
        else:
            assert self._checkpoint is not None, "without a checkpoint genesis is trusted"
            self._planner.want(TrustWanted(self._checkpoint.height))

    def _trust(self, answer: HeaderAnswer) -> None:
        if self._points:
            return
        if answer.header is None or answer.next_committee is None or self._checkpoint is None:
            raise _LieError("the header of the checkpoint comes without its committee")
        self._points = [trust_checkpoint(self._checkpoint, answer.header.header, answer.next_committee)]
        self._want_changes()

    def _want_changes(self) -> None:
        self._planner.want(ChangesWanted(Height(self._points[-1].height + 1)))

    def _follow_changes(self, answer: CommitteeChanges) -> None:
        if answer.first_height != self._points[-1].height + 1:
            return
        for change in answer.changes:
            self._points.append(follow_change(self._points[-1], change, self._domain))
            self._changes.append(change)
        if len(answer.changes) == COMMITTEE_CHANGES_MAX:
            self._want_changes()
        else:
            self._prove_sealed()

    def _prove_sealed(self) -> None:
        """The offered header is final: everything else can be checked against it."""
        sealed = self._sealed
        assert sealed is not None, "changes are asked for to prove an offer"
        self._check_final(sealed)
        if sealed.header.chain_id != self._genesis.block.header.chain_id:
            raise _LieError("the header is of another chain")
        self._planner.set_proven()
        self._has_begun = True
        place = get_root_place(sealed.header.state_root)
        self._places = {place.path: place}
        self._planner.want(BlockWanted(Height(sealed.header.height - 1)))
        self._planner.want(PartWanted(place.path))
        self._logger.info("the snapshot is proven; downloading the state", height=self._height)

    def _check_final(self, certified: CertifiedHeader) -> None:
        earlier = [point for point in self._points if point.height < certified.header.height]
        if not earlier:
            raise _LieError("the header is not after what is trusted")
        follow(earlier[-1], (), certified.header, certified.certificate, self._domain)

    # What it holds

    def _take_block(self, encoded: bytes, encoded_certificate: bytes) -> None:
        assert self._sealed is not None and self._height is not None, "blocks are wanted of a proven height"
        block, certificate = decode(Block, encoded), decode(CommitCertificate, encoded_certificate)
        if block.header.hash != self._sealed.header.previous_hash:
            raise _LieError("it is not the block before the proven header")
        self._check_final(CertifiedHeader(block.header, certificate))
        hashes = [compute_envelope_hash(raw) for raw in block.transactions]
        if compute_transactions_root(hashes) != block.header.transactions_root:
            raise _LieError("the block holds other transactions than its header names")
        if compute_evidence_root(block.evidence) != block.header.evidence_root:
            raise _LieError("the block holds other evidence than its header names")
        self._block = CertifiedBlock(block, certificate)
        self._planner.want(ReceiptsWanted(self._height))

    def _take_receipts(self, packed: bytes, encoded_events: bytes | None) -> None:
        assert self._sealed is not None and self._block is not None, "receipts are wanted of a block"
        receipts = unpack(packed)
        if type(receipts) is not list or not all(type(each) is bytes for each in receipts):
            raise _LieError("receipts are a list of encoded ones")
        for each in receipts:
            decode(Receipt, each)
        if encoded_events is not None:
            decode(BlockEvents, encoded_events)
        if len(receipts) != len(self._block.block.transactions):
            raise _LieError("a block has as many receipts as transactions")
        if compute_receipts_root(receipts, encoded_events) != self._sealed.header.receipts_root:
            raise _LieError("the receipts do not lead to the proven root")
        self._receipts = (receipts, encoded_events)

    def _take_part(self, part: StatePartAnswer) -> None:
        place = self._places[part.path]
        if part.children is not None and part.entries is None:
            found = list_places(place, part.children)
            for inner in reversed(found):
                self._places[inner.path] = inner
                self._planner.want_first(PartWanted(inner.path))
            self._share_done += (WIDTH - len(found)) * _compute_share(len(place.path) + 1)
        elif part.entries is not None and part.children is None:
            entries = parse_entries(unpack(part.entries))
            check_entries(place, entries)
            self._store_entries(entries)
            self._share_done += _compute_share(len(place.path))
        else:
            raise _LieError("a part is either whole or a list of children")
        del self._places[part.path]

    def _store_entries(self, entries: list[Entry]) -> None:
        """Synced each time: no later sync covers a log that LevelDB has closed meanwhile."""
        update = self._tree.compute_update(dict(entries))
        writes: list[tuple[bytes, bytes | None]] = [(value_store_key(key), value) for key, value in entries]
        writes.extend(update.node_changes)
        self._store.write(writes, sync=True)
        self._tree.accept(update)
        self._keys_done += len(entries)

    def _finish(self) -> None:
        assert self._sealed is not None and self._block is not None and self._receipts is not None
        height = self._block.block.header.height
        changes = [change for change in self._changes if change.header.height < height]
        committees = [point.next_committee for point in self._points if point.height < self._sealed.header.height]
        receipts, events = self._receipts
        write_snapshot(
            self._store,
            self._genesis,
            self._block,
            receipts,
            events,
            self._sealed.header.state_root,
            [CertifiedHeader(change.header, change.certificate) for change in changes],
            committees,
        )
        self._logger.info("the state is downloaded", height=height, keys=self._keys_done)

    def _now_ms(self) -> TimeMs:
        return TimeMs(int(self._clock.get_monotonic_s() * 1000))


def _compute_share(depth: int) -> int:
    """What a slot at this depth is of the whole."""
    return 1 << _NIBBLE_BITS * max(_SHARE_DEPTH - depth, 0)
