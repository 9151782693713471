"""Which blocks to ask of which peer while catching up. Pure: time and answers come in, requests go out.

A peer's word about its head is only worth what it delivers: one that does not answer, has less than it said, or sends
blocks that do not verify, is not asked again for a while, and its range goes to somebody else.
"""

from dataclasses import dataclass, replace
from typing import Final

from ledger.primitives import Height, NodeKey, TimeMs

REQUEST_BLOCKS_MAX: Final = 32  # in one request
REQUESTS_IN_FLIGHT_MAX: Final = 8
BLOCKS_AHEAD_MAX: Final = 256  # received and not yet applied; they wait in memory
SYNC_PEERS_MAX: Final = 256
REQUEST_TIMEOUT_MS: Final = 10_000
STRIKES_MAX: Final = 3  # unanswered or empty requests in a row
BENCH_MS: Final = 60_000  # how long a peer that failed is not asked


@dataclass(frozen=True, slots=True)
class BlocksWanted:
    """A request to send: blocks from `first` to `last`, both included."""

    peer: NodeKey
    first: Height
    last: Height
    sent_ms: TimeMs


@dataclass(frozen=True, slots=True)
class SyncPeer:
    """What a peer says it has, and how it has behaved."""

    earliest: Height
    head: Height
    strikes: int = 0
    benched_until_ms: int = 0


class SyncPlanner:
    """Plans block sync. Tell it of peers, answers and progress, and send what `plan_requests` returns."""

    def __init__(self, head: Height) -> None:
        """`head` is the own head."""
        self._head = head
        self._peers: dict[NodeKey, SyncPeer] = {}
        self._requests: list[BlocksWanted] = []
        self._received: set[Height] = set()

    @property
    def requests(self) -> tuple[BlocksWanted, ...]:
        """Requests under way, oldest first."""
        return tuple(self._requests)

    def update_peer(self, peer: NodeKey, earliest: Height, head: Height) -> None:
        """A peer says what it has. Whoever is over SYNC_PEERS_MAX is not asked."""
        known = self._peers.get(peer)
        if known is not None:
            self._peers[peer] = replace(known, earliest=earliest, head=head)
        elif len(self._peers) < SYNC_PEERS_MAX:
            self._peers[peer] = SyncPeer(earliest, head)

    def remove_peer(self, peer: NodeKey) -> None:
        """A peer is gone; what it was asked for goes to others."""
        self._peers.pop(peer, None)
        self._requests = [request for request in self._requests if request.peer != peer]

    def find_request(self, peer: NodeKey, first: Height) -> BlocksWanted | None:
        """The open request that an answer belongs to; whoever answers what was not asked is wrong."""
        return next((request for request in self._requests if (request.peer, request.first) == (peer, first)), None)

    def take_answer(self, peer: NodeKey, first: Height, count: int, now_ms: TimeMs) -> bool:
        """A peer answered with `count` blocks from `first` on; whether that was asked for.

        None at all is a strike: it does not have what it said.
        """
        request = self.find_request(peer, first)
        if request is None or not 0 <= count <= request.last - first + 1:
            return False
        self._requests.remove(request)
        if count == 0:
            self._strike(peer, now_ms)
        else:
            self._received.update(Height(height) for height in range(first, first + count) if height > self._head)
            self._forgive(peer)
        return True

    def reject_blocks(self, peer: NodeKey, first: Height, count: int, now_ms: TimeMs) -> None:
        """Blocks of this answer did not verify: ask others, and not this peer for a while."""
        self._received.difference_update(Height(height) for height in range(first, first + count))
        self._bench(peer, now_ms)

    def set_head(self, head: Height) -> None:
        """Blocks up to here are applied, whether by sync or by consensus."""
        self._head = max(self._head, head)
        self._received = {height for height in self._received if height > self._head}
        self._requests = [request for request in self._requests if request.last > self._head]

    def is_caught_up(self, now_ms: TimeMs) -> bool:
        """Whether no peer that is trusted to answer has more than one block that we lack: consensus brings that one."""
        return self._head + 1 >= max((peer.head for peer in self._get_usable(now_ms).values()), default=0)

    def get_target(self, now_ms: TimeMs) -> Height:
        """The highest head that a usable peer claims, or our own."""
        return max((peer.head for peer in self._get_usable(now_ms).values()), default=self._head)

    def plan_requests(self, now_ms: TimeMs) -> list[BlocksWanted]:
        """Give up on requests that are too old, and hand out what is missing to peers that have it and are free."""
        for late in [request for request in self._requests if now_ms - request.sent_ms >= REQUEST_TIMEOUT_MS]:
            self._requests.remove(late)
            self._strike(late.peer, now_ms)
        planned: list[BlocksWanted] = []
        for height in self._get_missing(now_ms):
            if len(self._requests) >= REQUESTS_IN_FLIGHT_MAX:
                break
            if not self._is_asked(height):
                request = self._plan_request(height, now_ms)
                if request is not None:
                    self._requests.append(request)
                    planned.append(request)
        return planned

    def _plan_request(self, first: Height, now_ms: TimeMs) -> BlocksWanted | None:
        """Ask the free peer that has this block and the least strikes; ties go by key, so a plan repeats."""
        busy = {request.peer for request in self._requests}
        able = [
            (peer.strikes, key)
            for key, peer in self._get_usable(now_ms).items()
            if key not in busy and peer.earliest <= first <= peer.head
        ]
        if not able:
            return None
        _, key = min(able)
        limit = min(self._peers[key].head, first + REQUEST_BLOCKS_MAX - 1, self._head + BLOCKS_AHEAD_MAX)
        last = first
        while last < limit and not self._is_here_or_asked(Height(last + 1)):
            last = Height(last + 1)
        return BlocksWanted(key, first, last, now_ms)

    def _get_missing(self, now_ms: TimeMs) -> list[Height]:
        stop = min(self.get_target(now_ms), self._head + BLOCKS_AHEAD_MAX)
        return [Height(height) for height in range(self._head + 1, stop + 1) if height not in self._received]

    def _is_asked(self, height: Height) -> bool:
        return any(request.first <= height <= request.last for request in self._requests)

    def _is_here_or_asked(self, height: Height) -> bool:
        return height in self._received or self._is_asked(height)

    def _get_usable(self, now_ms: TimeMs) -> dict[NodeKey, SyncPeer]:
        return {key: peer for key, peer in self._peers.items() if peer.benched_until_ms <= now_ms}

    def _forgive(self, peer: NodeKey) -> None:
        if peer in self._peers:
            self._peers[peer] = replace(self._peers[peer], strikes=0)

    def _strike(self, peer: NodeKey, now_ms: TimeMs) -> None:
        known = self._peers.get(peer)
        if known is None:
            return
        if known.strikes + 1 >= STRIKES_MAX:
            self._bench(peer, now_ms)
        else:
            self._peers[peer] = replace(known, strikes=known.strikes + 1)

    def _bench(self, peer: NodeKey, now_ms: TimeMs) -> None:
        known = self._peers.get(peer)
        if known is not None:
            self._peers[peer] = replace(known, strikes=0, benched_until_ms=now_ms + BENCH_MS)
        self._requests = [request for request in self._requests if request.peer != peer]
