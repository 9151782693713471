"""Whom to ask for what while a state is downloaded. Pure: time, peers and answers come in, requests go out.

1. Every peer is asked for its newest snapshot. The highest offer is taken first; its peer must prove it.
2. Once it is proven, everybody is asked whether he serves the state of this very height, and whoever does is asked for
   parts. All that is asked for proves itself, so peers need not be trusted and need not agree beforehand.

A peer that stays silent or has not got what it offered gets a strike, and after some of them is left alone for a while.
One that lied is never asked again. What it was asked for goes to somebody else.
"""

from collections import OrderedDict
from dataclasses import dataclass
from enum import Enum, auto, unique
from typing import Final

from ledger.primitives import Height, NodeKey, TimeMs

REQUESTS_PER_PEER_MAX: Final = 3  # enough to keep a link busy while the next part is read
REQUEST_TIMEOUT_MS: Final = 10_000
OFFERS_WAIT_MS: Final = 2_000  # from the first offer on, for a higher one
ASK_AGAIN_MS: Final = 5_000  # a peer that offered nothing, or not this height
STRIKES_MAX: Final = 3
BENCH_MS: Final = 60_000
LOST_AFTER_MS: Final = 60_000  # nobody serves this height any more: begin with another
SNAPSHOT_PEERS_MAX: Final = 64


@dataclass(frozen=True, slots=True)
class OfferWanted:
    """Which snapshot does the peer serve: its newest, or the one of this height?"""

    height: Height | None


@dataclass(frozen=True, slots=True)
class TrustWanted:
    """The header of an operator's checkpoint, with the committee that it announces."""

    height: Height


@dataclass(frozen=True, slots=True)
class ChangesWanted:
    """Headers from this height on after which another committee rules."""

    first_height: Height


@dataclass(frozen=True, slots=True)
class BlockWanted:
    """The block after which the state was so, with its certificate."""

    height: Height


@dataclass(frozen=True, slots=True)
class ReceiptsWanted:
    """That block's receipts and events."""

    height: Height


@dataclass(frozen=True, slots=True)
class PartWanted:
    """What stands at this place of the state."""

    path: bytes


Wanted = TrustWanted | ChangesWanted | BlockWanted | ReceiptsWanted | PartWanted
"""What any peer that serves the snapshot can give."""


@dataclass(frozen=True, slots=True)
class SnapshotRequest:
    """A request to send."""

    peer: NodeKey
    wanted: OfferWanted | Wanted
    sent_ms: TimeMs


@unique
class _Serves(Enum):
    UNKNOWN = auto()
    NOT = auto()
    """It was asked and offered nothing."""
    OFFERS = auto()
    """It offers a height; nothing is proven."""
    CHOSEN = auto()
    """It serves the height that was chosen."""


@dataclass(slots=True)
class _Peer:
    serves: _Serves = _Serves.UNKNOWN
    height: int = 0
    asked_ms: int = 0
    strikes: int = 0
    benched_until_ms: int = 0


class SnapshotPlanner:
    """Plans one download. Tell it of peers and answers, and send what `plan_requests` returns."""

    def __init__(self) -> None:
        self._peers: dict[NodeKey, _Peer] = {}
        self._liars: set[NodeKey] = set()
        self._requests: list[SnapshotRequest] = []
        self._queue: OrderedDict[Wanted, None] = OrderedDict()
        self._chosen: Height | None = None
        self._is_proven = False
        self._first_offer_ms: int | None = None
        self._served_ms: int | None = None
        """When somebody was last known to serve what was chosen."""

    @property
    def requests(self) -> tuple[SnapshotRequest, ...]:
        """Requests under way, oldest first."""
        return tuple(self._requests)

    @property
    def peers_serving(self) -> int:
        """How many serve what was chosen."""
        return sum(peer.serves is _Serves.CHOSEN for peer in self._peers.values())

    @property
    def has_offer(self) -> bool:
        """Whether anybody offers anything."""
        return any(peer.serves in (_Serves.OFFERS, _Serves.CHOSEN) for peer in self._peers.values())

    def add_peer(self, key: NodeKey) -> None:
        """A peer can be asked. Liars and whoever is over SNAPSHOT_PEERS_MAX are not."""
        if key not in self._liars and len(self._peers) < SNAPSHOT_PEERS_MAX:
            self._peers.setdefault(key, _Peer())

    def remove_peer(self, key: NodeKey) -> None:
        """A peer is gone; what it was asked for goes to others."""
        self._peers.pop(key, None)
        self._take_back(key)

    # Offers

    def take_offer(self, key: NodeKey, asked: Height | None, offered: Height | None, now_ms: TimeMs) -> bool:
        """A peer offers a height, or nothing; whether it was asked."""
        if not self._close(key, OfferWanted(asked)):
            return False
        peer = self._peers[key]
        peer.strikes = 0
        peer.asked_ms = now_ms
        if asked is None and not self._is_proven:
            peer.serves = _Serves.NOT if offered is None else _Serves.OFFERS
            if offered is not None:
                peer.height = offered
                self._first_offer_ms = now_ms if self._first_offer_ms is None else self._first_offer_ms
        elif asked == self._chosen:
            peer.serves = _Serves.CHOSEN if offered == asked else _Serves.NOT
        return True

    def choose(self, now_ms: TimeMs) -> tuple[NodeKey, Height] | None:
        """The peer whose offer to prove next: the highest, once all have answered or have had time to."""
        assert self._chosen is None, "one height is chosen at a time"
        offers = [
            (peer.height, key)
            for key, peer in self._peers.items()
            if peer.serves is _Serves.OFFERS and peer.benched_until_ms <= now_ms
        ]
        if not offers or self._first_offer_ms is None:
            return None
        is_awaited = any(isinstance(request.wanted, OfferWanted) for request in self._requests)
        if is_awaited and now_ms - self._first_offer_ms < OFFERS_WAIT_MS:
            return None
        height, key = max(offers)
        self._chosen = Height(height)
        self._served_ms = now_ms
        self._peers[key].serves = _Serves.CHOSEN
        return key, Height(height)

    def set_proven(self) -> None:
        """The chosen height's header is proven: others may serve it too."""
        assert self._chosen is not None, "what is proven was chosen"
        self._is_proven = True
        for peer in self._peers.values():
            if peer.serves is not _Serves.CHOSEN:
                peer.serves = _Serves.UNKNOWN

    def abandon(self) -> None:
        """Begin anew with whatever is offered then."""
        self._queue.clear()
        self._requests.clear()
        self._chosen = None
        self._is_proven = False
        self._first_offer_ms = None
        self._served_ms = None
        for peer in self._peers.values():
            peer.serves = _Serves.UNKNOWN

    # What is wanted

    def want(self, wanted: Wanted) -> None:
        """Ask for this, last."""
        self._queue[wanted] = None

    def want_first(self, wanted: Wanted) -> None:
        """Ask for this before anything else: going deep first keeps the queue short."""
        self._queue[wanted] = None
        self._queue.move_to_end(wanted, last=False)

    def take_answer(self, key: NodeKey, wanted: Wanted) -> bool:
        """A peer answered; whether it was asked. The caller checks the answer, and rejects it if need be."""
        if not self._close(key, wanted):
            return False
        self._peers[key].strikes = 0
        return True

    def take_absence(self, key: NodeKey, wanted: Wanted, now_ms: TimeMs) -> bool:
        """A peer says that it has not got what it offered; whether it was asked. It serves the snapshot no more."""
        if not self._close(key, wanted):
            return False
        self.want_first(wanted)
        peer = self._peers[key]
        peer.serves, peer.asked_ms = _Serves.NOT, now_ms
        self._take_back(key)
        self._strike(key, now_ms)
        return True

    def reject(self, key: NodeKey, wanted: Wanted | None) -> None:
        """What this peer gave is a lie: ask others, and never this one again."""
        if wanted is not None and self._chosen is not None:
            self.want_first(wanted)
        self.remove_peer(key)
        self._liars.add(key)

    def is_lost(self, now_ms: TimeMs) -> bool:
        """Whether nobody serves what was chosen, and has not for so long that nobody will."""
        if self._chosen is None or self._served_ms is None:
            return False
        if self.peers_serving:
            self._served_ms = now_ms
            return False
        return not self._is_proven or now_ms - self._served_ms >= LOST_AFTER_MS

    def plan_requests(self, now_ms: TimeMs) -> list[SnapshotRequest]:
        """Give up on requests that are too old, and hand out what is wanted to peers that have it and are free."""
        for late in [request for request in self._requests if now_ms - request.sent_ms >= REQUEST_TIMEOUT_MS]:
            if late in self._requests:
                self._requests.remove(late)
                if not isinstance(late.wanted, OfferWanted):
                    self.want_first(late.wanted)
                self._strike(late.peer, now_ms)
        return [*self._plan_offers(now_ms), *self._plan_wanted(now_ms)]

    def _plan_offers(self, now_ms: TimeMs) -> list[SnapshotRequest]:
        if self._chosen is not None and not self._is_proven:
            return []
        planned = []
        for key, peer in sorted(self._peers.items()):
            is_due = peer.serves is _Serves.UNKNOWN or (
                peer.serves is _Serves.NOT and now_ms - peer.asked_ms >= ASK_AGAIN_MS
            )
            wanted = OfferWanted(self._chosen)
            if is_due and peer.benched_until_ms <= now_ms and not self._is_asked(key, wanted):
                planned.append(SnapshotRequest(key, wanted, now_ms))
        self._requests.extend(planned)
        return planned

    def _plan_wanted(self, now_ms: TimeMs) -> list[SnapshotRequest]:
        """The peer with the least strikes first, then the least busy; ties go by key, so a plan repeats."""
        planned = []
        while self._queue:
            free = [
                (peer.strikes, busy, key)
                for key, peer in self._peers.items()
                if peer.serves is _Serves.CHOSEN
                and peer.benched_until_ms <= now_ms
                and (busy := sum(request.peer == key for request in self._requests)) < REQUESTS_PER_PEER_MAX
            ]
            if not free:
                break
            wanted, _ = self._queue.popitem(last=False)
            request = SnapshotRequest(min(free)[2], wanted, now_ms)
            self._requests.append(request)
            planned.append(request)
        return planned

    def _is_asked(self, key: NodeKey, wanted: OfferWanted) -> bool:
        return any((request.peer, request.wanted) == (key, wanted) for request in self._requests)

    def _close(self, key: NodeKey, wanted: OfferWanted | Wanted) -> bool:
        for request in self._requests:
            if (request.peer, request.wanted) == (key, wanted):
                self._requests.remove(request)
                return key in self._peers
        return False

    def _take_back(self, key: NodeKey) -> None:
        """Whatever this peer was asked for is wanted again."""
        for request in [each for each in self._requests if each.peer == key]:
            self._requests.remove(request)
            if not isinstance(request.wanted, OfferWanted):
                self.want_first(request.wanted)

    def _strike(self, key: NodeKey, now_ms: TimeMs) -> None:
        peer = self._peers.get(key)
        if peer is None:
            return
        peer.strikes += 1
        if peer.strikes >= STRIKES_MAX:
            peer.strikes = 0
            peer.benched_until_ms = now_ms + BENCH_MS
            peer.serves = _Serves.UNKNOWN
            self._take_back(key)
