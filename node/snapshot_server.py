"""Serves the state of a recent block to peers: in parts, from views that stay frozen while somebody downloads."""

import asyncio
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Final

from consensus.light import CommitteeChange
from consensus.snapshot_rules import REQUESTS_PER_PEER_MAX
from ledger.block import Block, CertifiedHeader, CommitCertificate
from ledger.chain import Chain, StateView
from ledger.codec import decode, pack
from ledger.primitives import Height, NodeKey
from ledger.state_part import StatePart, UnknownPlaceError, build_state_part, is_path, list_flat
from ledger.tree import TreeDamagedError
from node.clock import Clock
from node.errors import StoreWriteError
from node.messages import (
    COMMITTEE_CHANGES_MAX,
    EVENTS_BYTES_MAX,
    RECEIPTS_BYTES_MAX,
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
from node.state_views import StateViews, StoreClosedError
from p2p.frames import PeerProtocolError

PINS_MAX: Final = 4  # heights served at one time; each keeps old versions on disk
PIN_IDLE_S: Final = 120.0  # nobody has asked for a part of it
PIN_S_MAX: Final = 3_600.0  # 10^7 accounts at 300 kB/s
SHARED_BLOCKS_MAX: Final = 64  # whoever asks for the newest gets one that is served already and no older
PARTS_WAITING_MAX: Final = 64
PARTS_PER_PEER_MAX: Final = REQUESTS_PER_PEER_MAX + 1  # one that was given up may still wait here
_EXPIRE_INTERVAL_S: Final = 10.0

Send = Callable[[NodeKey, MessageKind, object], bool]


@dataclass(slots=True)
class _Pin:
    view: StateView
    sealed: CertifiedHeader
    opened: ExitStack
    since_s: float
    used_s: float


class SnapshotServer:
    """Answers what downloading peers ask. Values and nodes are read in a thread, one part at a time."""

    def __init__(self, chain: Chain, views: StateViews, clock: Clock, send: Send, logger: Any) -> None:
        self._chain = chain
        self._views = views
        self._clock = clock
        self._send = send
        self._logger = logger
        self._pins: dict[Height, _Pin] = {}
        self._waiting: dict[NodeKey, int] = {}
        self._reading = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Let go of views that nobody asks for any more, until cancelled."""
        try:
            while True:
                await asyncio.sleep(_EXPIRE_INTERVAL_S)
                self.expire()
        finally:
            for height in list(self._pins):
                self._unpin(height)

    def received(self, peer: NodeKey, kind: MessageKind, payload: bytes) -> None:
        """A request; raises DecodeError or PeerProtocolError."""
        match kind:
            case MessageKind.SNAPSHOT_REQUEST:
                offer = self._build_offer(decode(SnapshotRequest, payload))
                self._send(peer, MessageKind.SNAPSHOT_OFFER, offer)
            case MessageKind.COMMITTEE_CHANGES_REQUEST:
                changes = self._build_changes(decode(CommitteeChangesRequest, payload))
                self._send(peer, MessageKind.COMMITTEE_CHANGES, changes)
            case MessageKind.HEADER_REQUEST:
                header = self._build_header(decode(HeaderRequest, payload))
                self._send(peer, MessageKind.HEADER_ANSWER, header)
            case MessageKind.RECEIPTS_REQUEST:
                receipts = self._build_receipts(decode(ReceiptsRequest, payload))
                self._send(peer, MessageKind.RECEIPTS_ANSWER, receipts)
            case MessageKind.STATE_PART_REQUEST:
                self._start_part(peer, decode(StatePartRequest, payload))
            case _:
                raise PeerProtocolError(f"{kind.name} is no request")

    def expire(self) -> None:
        """Let go of what was not used for long, or was served for too long."""
        now_s = self._clock.get_monotonic_s()
        for height, pin in list(self._pins.items()):
            if now_s - pin.used_s >= PIN_IDLE_S or now_s - pin.since_s >= PIN_S_MAX:
                self._unpin(height)

    @property
    def heights(self) -> tuple[Height, ...]:
        """The heights that are served now."""
        return tuple(self._pins)

    # Offers

    def _build_offer(self, request: SnapshotRequest) -> SnapshotOffer:
        self.expire()
        height = self._choose_newest() if request.height is None else request.height
        pin = self._pin(height)
        head_height = self._chain.head.header.height
        return SnapshotOffer(request.height, head_height, None if pin is None else pin.sealed)

    def _choose_newest(self) -> Height:
        newest = self._chain.head.header.height - 1
        pinned = max(self._pins, default=None)
        if pinned is not None and (len(self._pins) >= PINS_MAX or newest - pinned <= SHARED_BLOCKS_MAX):
            return pinned
        return Height(max(newest, 0))

    def _pin(self, height: Height) -> _Pin | None:
        """Keep the state after a height for as long as it is asked for; None if it is not to be had."""
        pin = self._pins.get(height)
        now_s = self._clock.get_monotonic_s()
        if pin is not None:
            pin.used_s = now_s
            return pin
        sealed = self._find_sealed(height)
        if sealed is None or len(self._pins) >= PINS_MAX:
            return None
        opened = ExitStack()
        for at in (height, sealed.header.height):
            try:
                view = opened.enter_context(self._views.open(at))
            except (KeyError, StoreClosedError):
                continue
            if view.head.state_root == sealed.header.state_root:
                self._pins[height] = pin = _Pin(view, sealed, opened, now_s, now_s)
                return pin
        opened.close()
        return None

    def _find_sealed(self, height: Height) -> CertifiedHeader | None:
        """The header that states the roots after this height. There is nothing to download of genesis."""
        certified = self._chain.get_block(height + 1)
        if height < 1 or certified is None or self._chain.get_encoded_block(height) is None:
            return None
        return CertifiedHeader(certified.block.header, certified.certificate)

    def _unpin(self, height: Height) -> None:
        self._pins.pop(height).opened.close()

    # Headers and receipts

    def _build_changes(self, request: CommitteeChangesRequest) -> CommitteeChanges:
        changes = []
        for found in self._chain.list_committee_changes(request.first_height, COMMITTEE_CHANGES_MAX):
            next_committee = self._chain.get_committee(found.header.next_committee_hash)
            assert next_committee is not None, "committees of kept headers are kept"
            changes.append(CommitteeChange(found.header, found.certificate, next_committee))
        return CommitteeChanges(request.first_height, tuple(changes))

    def _build_header(self, request: HeaderRequest) -> HeaderAnswer:
        height = request.height
        encoded = self._chain.get_encoded_block(height)
        if encoded is not None:
            header = decode(Block, encoded[0]).header
            found = CertifiedHeader(header, decode(CommitCertificate, encoded[1]))
        else:
            changes = self._chain.list_committee_changes(height, 1)
            if not changes or changes[0].header.height != height:
                return HeaderAnswer(height, None, None)
            found = changes[0]
        return HeaderAnswer(height, found, self._chain.get_committee(found.header.next_committee_hash))

    def _build_receipts(self, request: ReceiptsRequest) -> ReceiptsAnswer:
        receipts = self._chain.get_encoded_receipts(request.height)
        if receipts is None:
            return ReceiptsAnswer(request.height, None, None)
        encoded, events = receipts
        if len(encoded) > RECEIPTS_BYTES_MAX or len(events or b"") > EVENTS_BYTES_MAX:
            return ReceiptsAnswer(request.height, None, None)
        return ReceiptsAnswer(request.height, encoded, events)

    # Parts

    def _start_part(self, peer: NodeKey, request: StatePartRequest) -> None:
        """What comes on top of what is allowed is not answered; the peer asks again."""
        if not is_path(request.path):
            raise PeerProtocolError("a path of the state tree is made of nibbles")
        waiting = self._waiting.get(peer, 0)
        if waiting >= PARTS_PER_PEER_MAX or len(self._tasks) >= PARTS_WAITING_MAX:
            return
        self._waiting[peer] = waiting + 1
        task = asyncio.get_running_loop().create_task(self._answer_part(peer, request))
        self._tasks.add(task)
        task.add_done_callback(self._finish)

    async def _answer_part(self, peer: NodeKey, request: StatePartRequest) -> None:
        try:
            async with self._reading:
                part = await self._read_part(request)
        finally:
            self._waiting[peer] -= 1
            if not self._waiting[peer]:
                del self._waiting[peer]
        entries = None
        if part.entries is not None:
            entries = pack(list_flat(part.entries))
        answer = StatePartAnswer(request.height, request.path, entries, part.children)
        self._send(peer, MessageKind.STATE_PART, answer)

    async def _read_part(self, request: StatePartRequest) -> StatePart:
        """The part; an empty one when this height is not served."""
        pin = self._pins.get(request.height)
        if pin is None:
            return StatePart(None, None)
        pin.used_s = self._clock.get_monotonic_s()
        try:
            return await asyncio.to_thread(build_state_part, pin.view.load, request.path)
        except UnknownPlaceError:  # nobody who has the parts above asks for it
            return StatePart(None, None)
        except StoreWriteError:  # the store was reopened, which has closed the view
            if self._pins.get(request.height) is pin:
                self._unpin(request.height)
            return StatePart(None, None)
        except TreeDamagedError as error:
            self._logger.error("the own state cannot be served", reason=str(error))
            return StatePart(None, None)

    def _finish(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self._logger.error("serving a part of the state failed", error=repr(task.exception()))
