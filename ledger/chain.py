"""The chain as it is stored: blocks, certificates, receipts, state and its tree, committed one atomic write a block."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

from ledger.block import Block, CertifiedBlock, CertifiedHeader, CommitCertificate, Header
from ledger.codec import decode, encode, pack, unpack
from ledger.committee import Committee
from ledger.merkle import compute_leaf_hash, compute_root
from ledger.primitives import EMPTY_ROOT, BlockHash, Height, RootHash, Round
from ledger.receipt import BlockEvents, Event, Receipt, encode_receipt
from ledger.state import State, end_of_prefix
from ledger.state_keys import COMMITTEE_KEY, NEXT_COMMITTEE_KEY
from ledger.state_proof import StateProof, build_state_proof
from ledger.store import Change, ReadView, Store
from ledger.store_keys import (
    COMMITTEE_CHANGE_PREFIX,
    EARLIEST_HEIGHT_KEY,
    FORMAT_KEY,
    HEAD_KEY,
    INDEXED_HEIGHT_KEY,
    VALUE_PREFIX,
    block_events_store_key,
    block_hash_store_key,
    block_store_key,
    certificate_store_key,
    committee_change_store_key,
    committee_store_key,
    receipts_store_key,
)
from ledger.tree import StateTree

STORE_FORMAT: Final = 1
CACHED_VALUES_MAX: Final = 150_000  # state values kept in memory, about 35 MB
CACHED_NODES_MAX: Final = 131_072  # tree node records kept, about 80 MB: all of them at 10^6 accounts

_CLEARED_AT_ONCE: Final = 10_000


class UnknownFormatError(Exception):
    """The store was written by another version of this software."""


@dataclass(frozen=True, slots=True)
class Head:
    """The last final block and what the next header must say about it."""

    header: Header
    state_root: RootHash
    """Root after this block."""
    receipts_root: RootHash
    """Root of this block's receipts."""
    is_sealed: bool
    """Whether nothing is left to certify: this block changed nothing, so its header states the root of the state."""


@dataclass(frozen=True, slots=True)
class _StoredHead:
    height: Height
    state_root: RootHash
    receipts_root: RootHash
    is_sealed: bool


class Chain:
    """Reads and extends one stored chain. Reads of blocks may come from any thread, all else from one."""

    def __init__(self, store: Store) -> None:
        """Open a store that `initialise_store` or an earlier run has filled."""
        stored_format = store.get(FORMAT_KEY)
        if stored_format != bytes([STORE_FORMAT]):
            raise UnknownFormatError(f"the store has format {stored_format!r}, this version reads {STORE_FORMAT}")
        self._store = store
        self.reload()

    def reload(self) -> None:
        """Forget everything in memory and read the head again: after a write that may or may not have got through."""
        self._tree = StateTree(self._store.get, CACHED_NODES_MAX)
        self._values = _ValueCache(self._store, CACHED_VALUES_MAX)
        encoded_head = self._store.get(HEAD_KEY)
        assert encoded_head is not None, "a store with a format has a head"
        stored = decode(_StoredHead, encoded_head)
        header = self._load_block(stored.height).header
        self._earliest_height = Height(int.from_bytes(self._store.get(EARLIEST_HEIGHT_KEY) or b"", "big"))
        self._head = Head(header, stored.state_root, stored.receipts_root, stored.is_sealed)

    @property
    def head(self) -> Head:
        """The last final block."""
        return self._head

    @property
    def earliest_height(self) -> Height:
        """The lowest height whose block is here."""
        return self._earliest_height

    @property
    def store(self) -> Store:
        """The store beneath, for the history index."""
        return self._store

    def open_state(self) -> State:
        """An overlay on the state after the head."""
        return State(self._values.get, self._iterate_values)

    def commit(
        self,
        certified: CertifiedBlock,
        receipts: Sequence[Receipt],
        events: Sequence[Event],
        changes: dict[bytes, bytes | None],
    ) -> Head:
        """Make an executed block the head: values, tree, receipts, block and height in one synced write."""
        header = certified.block.header
        assert header.height == self._head.header.height + 1, "blocks are committed in order"
        encoded_receipts = [encode_receipt(receipt) for receipt in receipts]
        update = self._tree.compute_update(changes)
        encoded_events = encode(BlockEvents(tuple(events))) if events else None
        receipts_root = compute_receipts_root(encoded_receipts, encoded_events)
        is_sealed = update.root == header.state_root and not encoded_receipts and not events
        head = Head(header, update.root, receipts_root, is_sealed)
        writes = _list_block_writes(certified, encoded_receipts, encoded_events, head)
        writes.extend(_list_state_writes(changes))
        writes.extend(update.node_changes)
        self._store.write(writes, sync=True)
        self._tree.accept(update)
        self._values.update(changes)
        self._head = head
        return head

    def forget_blocks(self, deletions: Sequence[Change], earliest_height: Height) -> None:
        """Delete what lies below a height, as `ledger.pruning` lists it, with the new earliest height."""
        assert self._earliest_height < earliest_height <= self._head.header.height, "the head stays"
        record = (EARLIEST_HEIGHT_KEY, earliest_height.to_bytes(8, "big"))
        self._store.write([*deletions, record], sync=False)  # lost in a crash, it is done again
        self._earliest_height = earliest_height

    def get_block(self, height: int) -> CertifiedBlock | None:
        """A final block with its certificate."""
        encoded = self._store.get(block_store_key(height))
        encoded_certificate = self._store.get(certificate_store_key(height))
        if encoded is None or encoded_certificate is None:
            return None
        return CertifiedBlock(decode(Block, encoded), decode(CommitCertificate, encoded_certificate))

    def get_encoded_block(self, height: int) -> tuple[bytes, bytes] | None:
        """Block and certificate as stored, for peers that catch up."""
        encoded = self._store.get(block_store_key(height))
        encoded_certificate = self._store.get(certificate_store_key(height))
        return None if encoded is None or encoded_certificate is None else (encoded, encoded_certificate)

    def get_receipts(self, height: int) -> list[Receipt] | None:
        """The receipts of a block, in its order."""
        encoded = self._store.get(receipts_store_key(height))
        return None if encoded is None else [decode(Receipt, each) for each in unpack(encoded)]

    def get_encoded_receipts(self, height: int) -> tuple[bytes, bytes | None] | None:
        """Receipts and events of a block as stored, for peers that begin with it."""
        encoded = self._store.get(receipts_store_key(height))
        return None if encoded is None else (encoded, self._store.get(block_events_store_key(height)))

    def get_receipts_leaves(self, height: int) -> list[bytes] | None:
        """What stands beneath a block's receipts root: encoded receipts, then the events of the block's end, if any."""
        encoded = self._store.get(receipts_store_key(height))
        if encoded is None:
            return None
        receipts: list[bytes] = unpack(encoded)
        encoded_events = self._store.get(block_events_store_key(height))
        return receipts if encoded_events is None else [*receipts, encoded_events]

    def get_block_events(self, height: int) -> tuple[Event, ...]:
        """What happened at the end of a block."""
        encoded = self._store.get(block_events_store_key(height))
        return () if encoded is None else decode(BlockEvents, encoded).events

    def find_height(self, block_hash: BlockHash) -> Height | None:
        """The height of a final block."""
        encoded = self._store.get(block_hash_store_key(block_hash))
        return None if encoded is None else Height(int.from_bytes(encoded, "big"))

    def get_committee(self, committee_hash: RootHash) -> Committee | None:
        """A committee of the past or present, by the hash in headers."""
        encoded = self._store.get(committee_store_key(committee_hash))
        return None if encoded is None else decode(Committee, encoded)

    def list_committee_changes(self, first_height: int, count_max: int) -> list[CertifiedHeader]:
        """Final headers from a height on after which another committee rules, in order; genesis is not among them."""
        start = committee_change_store_key(first_height)
        found = self._store.iterate(start, end_of_prefix(COMMITTEE_CHANGE_PREFIX))
        return [decode(CertifiedHeader, encoded) for _, encoded in islice(found, count_max)]

    def take_view(self) -> "StateView":
        """The state after the head, frozen, for any thread; whoever takes it closes it."""
        return StateView(self._store.take_view(), self._head)

    def _iterate_values(self, start: bytes, stop: bytes) -> Iterator[tuple[bytes, bytes]]:
        for key, value in self._store.iterate(VALUE_PREFIX + start, VALUE_PREFIX + stop):
            yield key[1:], value

    def _load_block(self, height: int) -> Block:
        encoded = self._store.get(block_store_key(height))
        assert encoded is not None, f"block {height} is missing from the store"
        return decode(Block, encoded)


class StateView:
    """The state after one block, frozen."""

    def __init__(self, view: ReadView, head: Head) -> None:
        self._view = view
        self.head = head
        """The block after which the state was so."""

    def get(self, key: bytes) -> bytes | None:
        """The value, or None."""
        return self._view.get(VALUE_PREFIX + key)

    def iterate_prefix(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Pairs whose key starts with the prefix, in byte order."""
        return self.iterate_range(prefix, end_of_prefix(prefix))

    def iterate_range(self, start: bytes, stop: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Pairs whose key is at least `start` and below `stop`, in byte order."""
        for key, value in self._view.iterate(VALUE_PREFIX + start, VALUE_PREFIX + stop):
            yield key[1:], value

    def load(self, store_key: bytes) -> bytes | None:
        """A record of the store as it was: a value or a node of the tree."""
        return self._view.get(store_key)

    def prove(self, key: bytes) -> StateProof:
        """Proof of a value, or of its absence, against `head.state_root`."""
        return build_state_proof(self._view.get, key, self.get(key))

    def close(self) -> None:
        """Let go of the old versions."""
        self._view.close()


class _ValueCache:
    """Recently used state values in two generations: when the young one is full it becomes the old one.

    A block's changes are taken over at once and may make a generation larger by as many.
    """

    def __init__(self, store: Store, size_max: int) -> None:
        self._store = store
        self._generation_max = size_max // 2
        self._young: dict[bytes, bytes | None] = {}
        self._old: dict[bytes, bytes | None] = {}

    def get(self, key: bytes) -> bytes | None:
        """The cached value, else the store's."""
        young = self._young
        if key in young:
            return young[key]
        value = self._old[key] if key in self._old else self._store.get(VALUE_PREFIX + key)
        young[key] = value
        self._turn_if_full()
        return value

    def update(self, changes: dict[bytes, bytes | None]) -> None:
        """Take over what was committed."""
        self._young.update(changes)
        self._turn_if_full()

    def _turn_if_full(self) -> None:
        if len(self._young) >= self._generation_max:
            self._old, self._young = self._young, {}


def initialise_store(
    store: Store, build_header: Callable[[RootHash], Header], changes: dict[bytes, bytes | None]
) -> Header:
    """Write block 0 and the first state; the header is built from the first state's root."""
    assert store.get(FORMAT_KEY) is None, "the store holds a chain already"
    update = StateTree(store.get, CACHED_NODES_MAX).compute_update(changes)
    header = build_header(update.root)
    certificate = CommitCertificate(Height(0), Round(0), header.hash, ())
    certified = CertifiedBlock(Block(header, (), ()), certificate)
    writes = _list_block_writes(certified, [], None, Head(header, update.root, EMPTY_ROOT, is_sealed=True))
    writes.append((FORMAT_KEY, bytes([STORE_FORMAT])))
    writes.extend(_list_state_writes(changes))
    writes.extend(update.node_changes)
    store.write(writes, sync=True)
    return header


def write_snapshot(
    store: Store,
    genesis: CertifiedBlock,
    certified: CertifiedBlock,
    encoded_receipts: list[bytes],
    encoded_events: bytes | None,
    state_root: RootHash,
    committee_changes: Sequence[CertifiedHeader],
    committees: Sequence[Committee],
) -> None:
    """Make a chain of a store that holds the state after a block, values and tree, and nothing that names it yet.

    Whoever calls has proven all of it. Before this one write the store is no chain, after it, it is whole.
    """
    assert store.get(FORMAT_KEY) is None, "the store holds a chain already"
    header = certified.block.header
    assert StateTree(store.get, CACHED_NODES_MAX).root == state_root, "the whole state is there"
    receipts_root = compute_receipts_root(encoded_receipts, encoded_events)
    is_sealed = state_root == header.state_root and not encoded_receipts and encoded_events is None
    first_head = Head(genesis.block.header, genesis.block.header.state_root, EMPTY_ROOT, is_sealed=True)
    writes = _list_block_writes(genesis, [], None, first_head)
    for change in committee_changes:
        writes.append((committee_change_store_key(change.header.height), encode(change)))
    writes.extend((committee_store_key(committee.hash), encode(committee)) for committee in committees)
    for key in (COMMITTEE_KEY, NEXT_COMMITTEE_KEY):
        encoded = store.get(VALUE_PREFIX + key)
        assert encoded is not None, "every state names its committees"
        writes.append((committee_store_key(decode(Committee, encoded).hash), encoded))
    head = Head(header, state_root, receipts_root, is_sealed)
    writes.extend(_list_block_writes(certified, encoded_receipts, encoded_events, head))
    writes.append((EARLIEST_HEIGHT_KEY, header.height.to_bytes(8, "big")))
    writes.append((INDEXED_HEIGHT_KEY, (header.height - 1).to_bytes(8, "big")))
    writes.append((FORMAT_KEY, bytes([STORE_FORMAT])))
    store.write(writes, sync=True)


def clear_unfinished(store: Store) -> None:
    """Remove what a download that did not come to its end has left in a store."""
    assert store.get(FORMAT_KEY) is None, "a chain is not removed"
    leftovers = store.iterate(b"\x00", b"\xff")
    while batch := list(islice(leftovers, _CLEARED_AT_ONCE)):
        store.write([(key, None) for key, _ in batch], sync=False)


def is_initialised(store: Store) -> bool:
    """Whether the store holds a chain."""
    return store.get(FORMAT_KEY) is not None


def compute_receipts_root(encoded_receipts: Sequence[bytes], encoded_events: bytes | None) -> RootHash:
    """RFC 6962 root whose leaves are the receipts and, if there are any, the events of the block's end."""
    leaves = [*encoded_receipts] if encoded_events is None else [*encoded_receipts, encoded_events]
    return compute_root([compute_leaf_hash(encoded) for encoded in leaves])


def _list_block_writes(
    certified: CertifiedBlock, encoded_receipts: list[bytes], encoded_events: bytes | None, head: Head
) -> list[Change]:
    header = certified.block.header
    height = header.height
    stored = _StoredHead(height, head.state_root, head.receipts_root, head.is_sealed)
    optional: list[Change] = [] if encoded_events is None else [(block_events_store_key(height), encoded_events)]
    if header.next_committee_hash != header.committee_hash and height > 0:
        change = CertifiedHeader(header, certified.certificate)
        optional.append((committee_change_store_key(height), encode(change)))
    return [
        *optional,
        (block_store_key(height), encode(certified.block)),
        (certificate_store_key(height), encode(certified.certificate)),
        (receipts_store_key(height), pack(encoded_receipts)),
        (block_hash_store_key(header.hash), height.to_bytes(8, "big")),
        (HEAD_KEY, encode(stored)),
    ]


def _list_state_writes(changes: dict[bytes, bytes | None]) -> list[Change]:
    """The values, and every committee under its hash as well, for those who verify old headers."""
    writes: list[Change] = [(VALUE_PREFIX + key, value) for key, value in changes.items()]
    for key in (COMMITTEE_KEY, NEXT_COMMITTEE_KEY):
        encoded = changes.get(key)
        if encoded is not None:
            writes.append((committee_store_key(decode(Committee, encoded).hash), encoded))
    return writes
