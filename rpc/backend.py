"""What the RPC server asks of the node it runs in.

Functions marked *loop* are called on the event loop and return at once; the others may be called from any thread and
must work on frozen views. All may raise RpcError (`rpc.errors` builds them); any other exception is logged as the
node's own fault and reaches the client as an id only.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from consensus.light import CommitteeChange
from identity.address import Address, NetworkKind
from ledger.block import CertifiedBlock, CommitCertificate, Header
from ledger.committee import Committee
from ledger.primitives import BlockHash, TransactionId
from ledger.reasons import Rejected
from ledger.receipt import Event, Receipt
from ledger.state import StateReader
from ledger.transaction import Transaction
from rpc.models import DevAccount, Estimate, Head, NodeInfo, NodeStatus, Peer
from vm.context import Moment


class Submitted(Protocol):
    """A transaction that waits for a block, or did so already."""

    @property
    def id(self) -> TransactionId:
        """Hash of the body."""
        ...

    @property
    def known(self) -> bool:
        """Whether it had been admitted before."""
        ...


class StateAt(StateReader, Protocol):
    """The state after one final block."""

    @property
    def height(self) -> int:
        """That block's height."""
        ...

    @property
    def block_hash(self) -> BlockHash:
        """That block's hash."""
        ...

    @property
    def moment(self) -> Moment:
        """That block's height and time, for views."""
        ...


@dataclass(frozen=True, slots=True)
class TransactionStatus:
    """Where a transaction stands."""

    id: TransactionId
    status: Literal["pending", "final", "failed", "dropped", "unknown"]
    height: int | None = None
    index: int | None = None
    receipt: Receipt | None = None
    """With final and failed."""
    raw: bytes | None = None
    """With pending."""
    reason: str | None = None
    """With dropped."""
    detail: str | None = None
    """For people."""


@dataclass(frozen=True, slots=True)
class PendingPage:
    """Waiting transactions; `after` asks for the next page and is None on the last."""

    transactions: Sequence[Transaction]
    after: bytes | None


@dataclass(frozen=True, slots=True)
class Simulated:
    """What a transaction would have done after this block."""

    height: int
    block_hash: BlockHash
    receipt: Receipt
    trace: Sequence[str] = ()
    """What contracts logged, and why calls failed."""


@dataclass(frozen=True, slots=True)
class ProvenState:
    """A value, and the encoded pieces that prove it to somebody who knows the committee."""

    height: int
    """Block after which the value held."""
    block_hash: BlockHash
    value: bytes | None
    proof: bytes
    """Encoded StateProof against the header's state root."""
    header: bytes
    """Encoded header of the next block, which states the root."""
    certificate: bytes
    """Encoded certificate of that header."""
    committee: bytes
    """Encoded committee that signed it."""


@dataclass(frozen=True, slots=True)
class ProvenReceipt:
    """A receipt, and the encoded pieces that prove it to somebody who knows the committee."""

    height: int
    """Block that holds the transaction."""
    block_hash: BlockHash
    receipt: bytes
    proof: bytes
    """Encoded InclusionPath to the header's receipts root."""
    header: bytes
    """Encoded header of the next block, which states the root."""
    certificate: bytes
    """Encoded certificate of that header."""
    committee: bytes
    """Encoded committee that signed it."""


class DevControl(Protocol):
    """What a devnet lets developers do; what it does not offer raises `method_disabled`. All *loop*."""

    async def accounts(self) -> list[DevAccount]:
        """Funded accounts with their public keys and not so secret keys."""
        ...

    async def fund(self, address: Address, amount_grains: int) -> TransactionStatus:
        """Send IOV from the devnet's own account and wait until it is final."""
        ...

    async def mine(self, blocks: int) -> Head:
        """Make blocks now."""
        ...

    async def set_time(self, time_ms: int) -> Head:
        """Set the clock that block times are taken from."""
        ...

    async def advance_epoch(self) -> Head:
        """Go on to the first block of the next epoch."""
        ...

    async def crash(self, node: int) -> None:
        """Kill a node without warning."""
        ...

    async def restart(self, node: int) -> None:
        """Start a killed node."""
        ...

    async def partition(self, groups: Sequence[Sequence[int]]) -> None:
        """Cut the network into groups."""
        ...

    async def heal(self) -> None:
        """Join all groups again."""
        ...

    async def snapshot(self) -> str:
        """Remember the state under a name."""
        ...

    async def revert(self, snapshot: str) -> Head:
        """Return to a remembered state."""
        ...


class Backend(Protocol):
    """The node, as the RPC server sees it."""

    @property
    def network(self) -> NetworkKind:
        """Which addresses are ours."""
        ...

    @property
    def chain_id(self) -> str:
        """Name of the chain."""
        ...

    @property
    def genesis_hash(self) -> bytes:
        """Hash that signatures are bound to."""
        ...

    @property
    def dev(self) -> DevControl | None:
        """None switches all dev_ methods off."""
        ...

    async def submit_many(self, raws: Sequence[bytes]) -> Sequence[Submitted | Rejected]:
        """Admit transactions, one outcome each in the order given. *loop*"""
        ...

    async def wait_final(self, transaction_id: TransactionId, timeout_ms: int) -> TransactionStatus:
        """The status once it is final, failed or dropped, or what it is when the time is over. *loop*"""
        ...

    async def prove(self, key: bytes, at: int | None) -> ProvenState:
        """Prove a value after a block, the head by default; waits until the state's root is certified. *loop*"""
        ...

    async def prove_receipt(self, transaction_id: TransactionId) -> ProvenReceipt | None:
        """Prove what became of a final transaction; waits until its block's receipts root is certified. *loop*"""
        ...

    def get_head(self) -> Head:
        """The last final block. *loop*, and any thread"""
        ...

    def get_transaction_status(self, transaction_id: TransactionId) -> TransactionStatus:
        """Looks in mempool, recently dropped transactions and the history index. *loop*"""
        ...

    def list_pending(self, sender: Address | None, after: bytes | None, limit: int) -> PendingPage:
        """A page of the mempool. `after` comes from an earlier page but may be forged: `bad_cursor`. *loop*"""
        ...

    def get_node_info(self) -> NodeInfo:
        """Who this node is. *loop*"""
        ...

    def get_node_status(self) -> NodeStatus:
        """How this node is doing. *loop*"""
        ...

    def list_peers(self) -> list[Peer]:
        """Connected nodes. *loop*"""
        ...

    def watch_blocks(self, on_block: Callable[[], None]) -> Callable[[], None]:
        """Call back on the loop whenever the head has moved; returns what ends it. *loop*"""
        ...

    def watch_pending(self, on_admitted: Callable[[Sequence[Transaction]], None]) -> Callable[[], None]:
        """Call back on the loop with newly admitted transactions; returns what ends it. *loop*"""
        ...

    def open_state(self, at: int | None) -> AbstractContextManager[StateAt]:
        """The state after a block, the head by default; raises `pruned` or `node_behind`."""
        ...

    def get_earliest_height(self) -> int:
        """The first block this node still keeps."""
        ...

    def get_block(self, height: int) -> CertifiedBlock | None:
        """A final block with its certificate."""
        ...

    def get_commit(self, height: int) -> tuple[Header, CommitCertificate] | None:
        """Header and certificate; of block 0 and where the committee changes even if the block is pruned."""
        ...

    def list_committee_changes(self, from_height: int, limit: int) -> Sequence[CommitteeChange]:
        """Where the committee changes, from a height on in rising order."""
        ...

    def find_height(self, block_hash: bytes) -> int | None:
        """The height of a final block."""
        ...

    def get_receipts(self, height: int) -> Sequence[Receipt] | None:
        """The receipts of a block in its order."""
        ...

    def get_block_events(self, height: int) -> Sequence[Event]:
        """What happened at the end of a kept block, in its order."""
        ...

    def get_committee(self, height: int) -> Committee | None:
        """Who finalises the block of this height: known up to one above the head."""
        ...

    def list_history(
        self, address: Address, before: tuple[int, int] | None, limit: int
    ) -> Sequence[tuple[int, int, TransactionId]]:
        """An account's transactions before (height, index), newest first."""
        ...

    def list_contract_events(
        self, contract: Address, start: tuple[int, int, int], limit: int
    ) -> Sequence[tuple[int, int, int]]:
        """Where a contract's events are, from (height, transaction's index, event's index) on, oldest first."""
        ...

    def get_indexed_height(self) -> int:
        """The last block whose transactions and events the history index has."""
        ...

    def get_genesis_document(self) -> dict[str, Any]:
        """The genesis document as JSON values."""
        ...

    def simulate(self, raw: bytes, at: int | None) -> Simulated:
        """Execute without signatures and without effect; raises Rejected when it is not includable."""
        ...

    def estimate(self, raw: bytes) -> Estimate:
        """A sufficient gas limit at the head and the least fee for it; raises Rejected."""
        ...
