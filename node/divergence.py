"""Where this node's state and the network's part: asks peers for the tree, along the path on which hashes differ.

Called when a final block contradicts this node. The block's header states the root that the network has; whatever peers
answer is checked against it, so what is found is certain: either this node is wrong, or the committee is.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ledger.block import Header
from ledger.chain import Chain, StateView
from ledger.codec import DecodeError, decode, unpack
from ledger.primitives import NodeKey
from ledger.state_keys import Table
from ledger.state_part import (
    Entry,
    InvalidPartError,
    check_entries,
    get_root_place,
    list_children,
    parse_entries,
)
from ledger.tree import EMPTY_CHILD, PATH_NIBBLES, TreeDamagedError, compute_path, find_child, iterate_path
from node.messages import MessageKind, SnapshotOffer, SnapshotRequest, StatePartAnswer, StatePartRequest
from node.snapshot_server import Send

ANSWER_TIMEOUT_S: Final = 5.0
SEARCH_TIMEOUT_S: Final = 30.0  # the node does nothing else meanwhile
PEERS_ASKED_MAX: Final = 21
SHOWN_BYTES_MAX: Final = 128  # of a key or value, in a message for people


class _UnhelpfulError(Exception):
    """This peer cannot say, or does not; the message says why."""


@dataclass(frozen=True, slots=True)
class Difference:
    """The first key, in the order of the tree, whose value is another one here."""

    key: bytes
    own_value: bytes | None
    certified_value: bytes | None


class DivergenceFinder:
    """Compares this node's tree with that of the network, one question at a time."""

    def __init__(self, chain: Chain, list_peers: Callable[[], Sequence[NodeKey]], send: Send, logger: Any) -> None:
        self._chain = chain
        self._list_peers = list_peers
        self._send = send
        self._logger = logger
        self._asked: tuple[NodeKey, MessageKind] | None = None
        self._answer: asyncio.Future[bytes] | None = None

    def received(self, peer: NodeKey, kind: MessageKind, payload: bytes) -> None:
        """An answer; what nobody waits for is dropped."""
        if (peer, kind) == self._asked and self._answer is not None and not self._answer.done():
            self._answer.set_result(payload)

    async def explain(self, header: Header) -> str:
        """One sentence on where the state that this final header certifies differs from the one after the head."""
        head = self._chain.head
        if header.state_root == head.state_root:
            if header.receipts_root != head.receipts_root:
                return f"the state after block {head.header.height} is right, but not its receipts"
            return "the state is the one that the network has"
        view = self._chain.take_view()
        try:
            async with asyncio.timeout(SEARCH_TIMEOUT_S):
                return await self._search(view, header)
        except TimeoutError:
            return "peers did not say in time which value differs"
        except TreeDamagedError as error:
            return str(error)
        finally:
            view.close()

    async def _search(self, view: StateView, header: Header) -> str:
        why = "no peer is connected"
        for peer in self._list_peers()[:PEERS_ASKED_MAX]:
            try:
                return describe_difference(await self._compare(view, header, peer))
            except (_UnhelpfulError, DecodeError, InvalidPartError) as error:
                why = str(error)
                self._logger.warning("a peer does not help to find what differs", peer=peer.hex(), reason=why)
        return f"which value differs cannot be said: {why}"

    async def _compare(self, view: StateView, header: Header, peer: NodeKey) -> Difference:
        height = self._chain.head.header.height
        request = SnapshotRequest(height)
        offer = decode(SnapshotOffer, await self._ask(peer, request, MessageKind.SNAPSHOT_OFFER))
        if offer.sealed is None:
            raise _UnhelpfulError(f"the state after block {height} is not served any more")
        if offer.sealed.header != header:
            raise _UnhelpfulError("the peer has another chain")
        place = get_root_place(header.state_root)
        while len(place.path) < PATH_NIBBLES:
            part_request = StatePartRequest(height, place.path)
            part = decode(StatePartAnswer, await self._ask(peer, part_request, MessageKind.STATE_PART))
            if (part.height, part.path) != (height, place.path):
                raise _UnhelpfulError("the peer answers something else")
            if part.entries is not None:
                entries = parse_entries(unpack(part.entries))
                check_entries(place, entries)
                return _find_difference(_list_entries(view, place.path), entries)
            if part.children is None:
                raise _UnhelpfulError(f"the state after block {height} is not served any more")
            differing = [
                inner
                for inner in list_children(place, part.children)
                if find_child(view.load, inner.path) != inner.child
            ]
            if not differing:
                raise TreeDamagedError("the state tree's nodes do not have the hashes that are stored above them")
            place = differing[0]
            if place.child == EMPTY_CHILD:
                return _find_difference(_list_entries(view, place.path), [])
        raise InvalidPartError("a path has an end")

    async def _ask(self, peer: NodeKey, request: SnapshotRequest | StatePartRequest, answer_kind: MessageKind) -> bytes:
        kind = MessageKind.SNAPSHOT_REQUEST if isinstance(request, SnapshotRequest) else MessageKind.STATE_PART_REQUEST
        self._asked, self._answer = (peer, answer_kind), asyncio.get_running_loop().create_future()
        if not self._send(peer, kind, request):
            raise _UnhelpfulError("the peer is gone")
        try:
            return await asyncio.wait_for(self._answer, ANSWER_TIMEOUT_S)
        except TimeoutError:
            raise _UnhelpfulError("the peer does not answer") from None


def describe_difference(difference: Difference) -> str:
    """For people: module table, key and both values."""
    return (
        f"the first difference is in table {_name_table(difference.key)}, key {_show(difference.key)}: "
        f"here {_show(difference.own_value)}, on the network {_show(difference.certified_value)}"
    )


def _find_difference(own: Sequence[Entry], certified: Sequence[Entry]) -> Difference:
    own_values, certified_values = dict(own), dict(certified)
    for key in sorted(own_values.keys() | certified_values.keys(), key=compute_path):
        if own_values.get(key) != certified_values.get(key):
            return Difference(key, own_values.get(key), certified_values.get(key))
    raise TreeDamagedError("the stored values are the network's, but the state tree is not: the store was damaged")


def _list_entries(view: StateView, path: bytes) -> list[Entry]:
    """The own values beneath a path."""
    entries = []
    for key in iterate_path(view.load, path):
        value = view.get(key)
        if value is not None:
            entries.append((key, value))
    return entries


def _name_table(key: bytes) -> str:
    number = key[0] if key else -1
    return Table(number).name if number in [table.value for table in Table] else f"{number} (unknown)"


def _show(content: bytes | None) -> str:
    if content is None:
        return "nothing"
    shown = "0x" + content[:SHOWN_BYTES_MAX].hex()
    return shown if len(content) <= SHOWN_BYTES_MAX else f"{shown}… ({len(content)} bytes)"
