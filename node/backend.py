"""The node as the RPC server sees it."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import Any, Final

import orjson

from consensus.light import CommitteeChange
from genesis.document import GenesisDocument, format_genesis
from identity.address import Address, NetworkKind, format_address
from identity.signing import SigningDomain
from ledger.block import CertifiedBlock, CommitCertificate, Header
from ledger.chain import Chain, StateView
from ledger.codec import DecodeError, encode
from ledger.committee import Committee
from ledger.history import get_indexed_height, list_contract_events, list_history
from ledger.mempool import Mempool
from ledger.merkle import InclusionPath, build_inclusion_path, compute_leaf_hash
from ledger.primitives import HASH_BYTES, BlockHash, ConsensusKey, Gas, Grains, Height, NodeKey, TransactionId
from ledger.primitives import Sequence as SequenceNumber
from ledger.reasons import Reason, Rejected, Reverted, get_reason
from ledger.receipt import Event, Receipt, Status
from ledger.state import State
from ledger.transaction import Transaction, decode_transaction
from node.config import NodeConfig
from node.errors import StoreWriteError
from node.execution import CommittedBlock, Finalised, FinalityWaiters
from node.history_indexer import HistoryIndexer
from node.intake import Admitted, Intake
from node.snapshot_sync import SnapshotProgress
from node.state_views import StateViews, StoreClosedError
from p2p.network import Network
from p2p.peer import PeerInfo
from rpc.backend import DevControl, PendingPage, ProvenReceipt, ProvenState, Simulated, TransactionStatus
from rpc.errors import (
    RpcError,
    bad_cursor,
    get_contract_code,
    get_reason_name,
    node_behind,
    node_syncing,
    not_ready,
    pruned,
)
from rpc.models import Estimate, Head, NodeInfo, NodeStatus, Peer
from rpc.namespaces.staking import get_candidate_status
from vm.context import BlockContext, Moment
from vm.contracts.calls import Runtime
from vm.native.accounts import get_account
from vm.native.network import NodeRole, get_node, get_nodes
from vm.native.punishment import get_absences
from vm.native.stake import Candidate, find_candidate, get_epoch
from vm.parameters import get_parameters
from vm.transition import apply_transaction, check_stateless, compute_ordering_gas

VERSION: Final = version("carlive")
ESTIMATE_MARGIN_PERCENT: Final = 10  # the state may have moved on when the transaction's turn comes
SEAL_SECONDS_MAX: Final = 15.0  # how long a proof waits for the next header


@dataclass(frozen=True, slots=True)
class _StateAt:
    """A frozen state with the block it belongs to, in the RPC layer's words."""

    view: StateView
    contracts: Runtime | None

    @property
    def height(self) -> int:
        return self.view.head.header.height

    @property
    def block_hash(self) -> BlockHash:
        return self.view.head.header.hash

    @property
    def moment(self) -> Moment:
        header = self.view.head.header
        return Moment(header.height, header.time_ms, self.contracts)

    def get(self, key: bytes) -> bytes | None:
        return self.view.get(key)

    def iterate_prefix(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        return self.view.iterate_prefix(prefix)

    def iterate_range(self, start: bytes, stop: bytes) -> Iterator[tuple[bytes, bytes]]:
        return self.view.iterate_range(start, stop)


@dataclass(frozen=True, slots=True)
class _Seat:
    """This node's place in the committee of the next block."""

    index: int
    operator: Address


@dataclass(slots=True)
class NodeParts:
    """What the backend reads of the node."""

    config: NodeConfig
    document: GenesisDocument
    genesis_hash: BlockHash
    domain: SigningDomain
    chain: Chain
    views: StateViews
    mempool: Mempool
    intake: Intake
    waiters: FinalityWaiters
    indexer: HistoryIndexer
    network: Network
    consensus_key: ConsensusKey | None
    get_target_height: Callable[[], int]
    """Highest final height that a peer claims."""
    get_peer_height: Callable[[NodeKey], int]
    explain_waiting: Callable[[], str | None]
    is_downloading: bool = False
    """Whether this is a node without a chain of its own, which downloads its first state."""
    contracts: Runtime | None = None
    """What contracts are run with; a node without a chain of its own runs none."""
    get_snapshot_progress: Callable[[], SnapshotProgress | None] = lambda: None
    """How far that download has come."""


class NodeBackend:
    """Implements rpc.backend.Backend."""

    def __init__(self, parts: NodeParts, dev: DevControl | None) -> None:
        self._parts = parts
        self._dev = dev
        self._document = orjson.loads(format_genesis(parts.document))
        self._block_watchers: list[Callable[[], None]] = []
        self._pending_watchers: list[Callable[[Sequence[Transaction]], None]] = []

    # Identity

    @property
    def network(self) -> NetworkKind:
        """Which addresses are ours."""
        return self._parts.document.network_kind

    @property
    def chain_id(self) -> str:
        """Name of the chain."""
        return self._parts.document.chain_id

    @property
    def genesis_hash(self) -> bytes:
        """Hash of block 0."""
        return self._parts.genesis_hash

    @property
    def dev(self) -> DevControl | None:
        """Present on a devnet that allows it."""
        return self._dev

    def get_genesis_document(self) -> dict[str, Any]:
        """The document as JSON values."""
        return dict(self._document)

    # What happened, for subscriptions

    def on_block(self, _committed: CommittedBlock) -> None:
        """Execution listener."""
        for watcher in list(self._block_watchers):
            watcher()

    def on_waiting(self, transactions: Sequence[Transaction]) -> None:
        """Transactions have entered the mempool."""
        for watcher in list(self._pending_watchers):
            watcher(transactions)

    def watch_blocks(self, on_block: Callable[[], None]) -> Callable[[], None]:
        """Call back after every block; returns what ends it."""
        self._block_watchers.append(on_block)
        return lambda: self._block_watchers.remove(on_block)

    def watch_pending(self, on_admitted: Callable[[Sequence[Transaction]], None]) -> Callable[[], None]:
        """Call back with newly waiting transactions; returns what ends it."""
        self._pending_watchers.append(on_admitted)
        return lambda: self._pending_watchers.remove(on_admitted)

    # Transactions

    async def submit_many(self, raws: Sequence[bytes]) -> Sequence[Admitted | Rejected]:
        """Admit transactions, one outcome each."""
        if self._parts.is_downloading:
            raise node_syncing(0)
        return await self._parts.intake.submit_many(raws)

    async def wait_final(self, transaction_id: TransactionId, timeout_ms: int) -> TransactionStatus:
        """The status once it is final, or what it is when the time is over."""
        status = self.get_transaction_status(transaction_id)
        if status.status != "pending":
            return status
        finalised = await self._parts.waiters.wait(transaction_id, timeout_ms)
        if finalised is None:
            return self.get_transaction_status(transaction_id)
        return _describe_final(transaction_id, finalised)

    def get_transaction_status(self, transaction_id: TransactionId) -> TransactionStatus:
        """Looks in the chain, the mempool and among those dropped."""
        position = self._parts.indexer.find(transaction_id)
        if position is not None:
            receipts = self._parts.chain.get_receipts(position[0])
            assert receipts is not None, "an indexed block has receipts"
            receipt = receipts[position[1]]
            if receipt.status is not Status.SKIPPED:
                return _describe_final(transaction_id, Finalised(*position, receipt))
        waiting = self._parts.mempool.get_by_id(transaction_id)
        if waiting is not None:
            detail = self._parts.mempool.explain(transaction_id, self._parts.intake)
            return TransactionStatus(transaction_id, "pending", raw=waiting.raw, detail=detail)
        dropped = self._parts.mempool.get_dropped_reason(transaction_id)
        if dropped is not None:
            return TransactionStatus(transaction_id, "dropped", reason=dropped.name)
        earliest_height = self._parts.chain.earliest_height
        detail = f"it is in no block from height {earliest_height} on; older ones are not kept here"
        return TransactionStatus(transaction_id, "unknown", detail=detail if earliest_height > 0 else None)

    def list_pending(self, sender: Address | None, after: bytes | None, limit: int) -> PendingPage:
        """A page of waiting transactions in the order of their ids."""
        if after is not None and len(after) != HASH_BYTES:
            raise bad_cursor()
        mempool = self._parts.mempool
        start = None if after is None else TransactionId(after)
        if sender is None:
            page = mempool.list_pending(start, limit + 1)
        else:
            page = sorted(mempool.pending_for(sender), key=lambda each: each.id)
            page = [each for each in page if start is None or each.id > start][: limit + 1]
        return PendingPage(page[:limit], page[limit - 1].id if len(page) > limit else None)

    def simulate(self, raw: bytes, at: int | None) -> Simulated:
        """Execute on the state after a block, without signatures and without effect."""
        transaction = _decode(raw)
        with self._open_view(at) as view:
            trace: list[str] = []
            receipt = self._execute(view, transaction, trace)
            if receipt.status is Status.SKIPPED:
                raise Rejected(get_reason(receipt.reason), "the transaction could not be included now")
            return Simulated(view.head.header.height, view.head.header.hash, receipt, trace)

    def estimate(self, raw: bytes) -> Estimate:
        """Execute with all the gas of a block, then add a margin."""
        transaction = _decode(raw)
        with self._open_view(None) as view:
            parameters = get_parameters(view)
            limit = Gas(parameters.block_gas_max)
            body = replace(transaction.body, gas_limit=limit, fee_max_grains=Grains(0))
            if not body.is_unordered:  # others of the same sender may still wait before it
                body = replace(body, ordering=SequenceNumber(get_account(view, body.sender).sequence))
            rich = replace(transaction, body=body)
            trace: list[str] = []
            receipt = self._execute(view, rich, trace, is_free=True)
            if receipt.status is Status.FAILED:
                raise _explain_failure(receipt, trace)
            if receipt.status is Status.SKIPPED:
                raise Rejected(get_reason(receipt.reason), "the transaction could not be included now")
            floor = compute_ordering_gas(transaction)
            gas_limit = max(floor, receipt.gas_used) * (100 + ESTIMATE_MARGIN_PERCENT) // 100
            return Estimate(gas_limit=gas_limit, fee_max=gas_limit * parameters.price_floor_grains)

    def _execute(
        self, view: StateView, transaction: Transaction, trace: list[str], *, is_free: bool = False
    ) -> Receipt:
        parameters = get_parameters(view)
        check_stateless(transaction, self.chain_id, parameters)
        if is_free:
            parameters = replace(parameters, price_floor_grains=0)
        header = view.head.header
        context = BlockContext(
            Height(header.height + 1),
            header.time_ms,
            header.proposer,
            parameters,
            self._parts.domain,
            contracts=self._parts.contracts,
            trace=trace,
            previous_hash=header.hash,
        )
        state = State(view.get, view.iterate_range)
        return apply_transaction(state, context, transaction)

    # The chain

    def get_head(self) -> Head:
        """The last final block."""
        header = self._parts.chain.head.header
        return Head(height=header.height, block_hash=header.hash, time_ms=header.time_ms)

    @contextmanager
    def open_state(self, at: int | None) -> Iterator[_StateAt]:
        """The state after a block, the head by default."""
        with self._open_view(at) as view:
            yield _StateAt(view, self._parts.contracts)

    def get_earliest_height(self) -> int:
        """The first block that is kept with everything about it."""
        return self._parts.chain.earliest_height

    def get_block(self, height: int) -> CertifiedBlock | None:
        """A final block with its certificate."""
        return None if height < self._parts.chain.earliest_height else self._parts.chain.get_block(height)

    def get_commit(self, height: int) -> tuple[Header, CommitCertificate] | None:
        """Header and certificate; of block 0 and where the committee changes even if the block is pruned."""
        certified = self._parts.chain.get_block(height)
        if certified is not None:
            return certified.block.header, certified.certificate
        changes = self._parts.chain.list_committee_changes(height, 1)
        return (changes[0].header, changes[0].certificate) if changes and changes[0].header.height == height else None

    def list_committee_changes(self, from_height: int, limit: int) -> Sequence[CommitteeChange]:
        """Where the committee changes, from a height on in rising order."""
        changes = []
        for change in self._parts.chain.list_committee_changes(from_height, limit):
            committee = self._parts.chain.get_committee(change.header.next_committee_hash)
            assert committee is not None, "announced committees are stored"
            changes.append(CommitteeChange(change.header, change.certificate, committee))
        return changes

    def find_height(self, block_hash: bytes) -> int | None:
        """The height of a final block."""
        return self._parts.chain.find_height(BlockHash(block_hash))

    def get_receipts(self, height: int) -> Sequence[Receipt] | None:
        """The receipts of a block in its order."""
        return self._parts.chain.get_receipts(height)

    def get_block_events(self, height: int) -> Sequence[Event]:
        """What happened at the end of a block."""
        return self._parts.chain.get_block_events(height)

    def get_committee(self, height: int) -> Committee | None:
        """Who finalises the block of this height."""
        head = self._parts.chain.head.header
        if height == head.height + 1:
            return self._parts.chain.get_committee(head.next_committee_hash)
        commit = self.get_commit(height)
        if commit is not None:
            return self._parts.chain.get_committee(commit[0].committee_hash)
        before = self.get_commit(height - 1) if height > 0 else None  # the block itself is pruned, not the change to it
        return None if before is None else self._parts.chain.get_committee(before[0].next_committee_hash)

    def list_history(
        self, address: Address, before: tuple[int, int] | None, limit: int
    ) -> Sequence[tuple[int, int, TransactionId]]:
        """An account's transactions, newest first."""
        return list_history(self._parts.chain.store, address, before, limit)

    def list_contract_events(
        self, contract: Address, start: tuple[int, int, int], limit: int
    ) -> Sequence[tuple[int, int, int]]:
        """Where a contract's events are, oldest first."""
        return list_contract_events(self._parts.chain.store, contract, start, limit)

    def get_indexed_height(self) -> int:
        """How far the history index has come."""
        return get_indexed_height(self._parts.chain.store)

    async def prove(self, key: bytes, at: int | None) -> ProvenState:
        """Prove a value after a block. The header that states the root is the next one, so wait for it."""
        with self._open_view(at) as view:
            height = view.head.header.height
            proof, value = view.prove(key), view.get(key)
            if height < self._parts.chain.head.header.height or not view.head.is_sealed:
                certified = await self._wait_for_block(height + 1)
                proven_height, proven_hash = height, view.head.header.hash
            else:
                # nothing has changed since the block before the head, and the head's own header says so
                sealed = self._parts.chain.get_block(height)
                assert sealed is not None, "the head is stored"
                certified, proven_height = sealed, Height(max(height - 1, 0))
                proven_hash = certified.block.header.previous_hash if height else certified.block.header.hash
        header = certified.block.header
        committee = self._parts.chain.get_committee(header.committee_hash)
        assert committee is not None, "committees of stored headers are stored"
        return ProvenState(
            height=proven_height,
            block_hash=proven_hash,
            value=value,
            proof=encode(proof),
            header=header.encoded,
            certificate=encode(certified.certificate),
            committee=encode(committee),
        )

    async def prove_receipt(self, transaction_id: TransactionId) -> ProvenReceipt | None:
        """Prove what became of a final transaction. The header that states the receipts root is the next one."""
        chain = self._parts.chain
        position = self._parts.indexer.find(transaction_id)
        if position is None:
            return None
        height, index = position
        leaves = chain.get_receipts_leaves(height)
        if leaves is None:
            raise pruned(chain.earliest_height)
        path = await asyncio.to_thread(_build_path, leaves, index)
        following = await self._wait_for_block(height + 1)
        header = following.block.header
        committee = chain.get_committee(header.committee_hash)
        assert committee is not None, "committees of stored headers are stored"
        return ProvenReceipt(
            height=height,
            block_hash=header.previous_hash,
            receipt=leaves[index],
            proof=encode(path),
            header=header.encoded,
            certificate=encode(following.certificate),
            committee=encode(committee),
        )

    async def _wait_for_block(self, height: int) -> CertifiedBlock:
        arrived = asyncio.Event()
        end_watch = self.watch_blocks(arrived.set)
        try:
            async with asyncio.timeout(SEAL_SECONDS_MAX):
                while (certified := self._parts.chain.get_block(height)) is None:
                    await arrived.wait()
                    arrived.clear()
        except TimeoutError:
            raise not_ready(f"block {height}, which certifies the state, did not come in time") from None
        finally:
            end_watch()
        return certified

    @contextmanager
    def _open_view(self, at: int | None) -> Iterator[StateView]:
        head_height = self._parts.chain.head.header.height
        if at is not None and at > head_height:
            raise node_behind(head_height)
        try:
            opened = self._parts.views.open(at)
            view = opened.__enter__()
        except KeyError:
            raise pruned(self._parts.views.earliest_height) from None
        except StoreClosedError:
            raise not_ready("the store is being reopened; try again in a moment") from None
        try:
            yield view
        except StoreWriteError:  # the store was reopened under the reader
            raise not_ready("the store is being reopened; try again in a moment") from None
        finally:
            opened.__exit__(None, None, None)

    # The node

    def get_node_info(self) -> NodeInfo:
        """Who this node is."""
        parts = self._parts
        seat = self._find_seat()
        return NodeInfo(
            version=VERSION,
            network=parts.document.network,
            chain_id=self.chain_id,
            genesis_hash=parts.genesis_hash,
            name=parts.config.node_name,
            node_key=parts.network.key,
            super_node=seat is not None,
            consensus_key=parts.consensus_key,
            operator=None if seat is None else format_address(seat.operator, self.network),
        )

    def get_node_status(self) -> NodeStatus:
        """How this node is doing."""
        parts = self._parts
        header = parts.chain.head.header
        target_height = parts.get_target_height()
        is_syncing = parts.is_downloading or target_height > header.height + 1
        progress = parts.get_snapshot_progress()
        seat = self._find_seat()
        return NodeStatus(
            height=header.height,
            block_hash=header.hash,
            time_ms=header.time_ms,
            syncing=is_syncing,
            target_height=target_height if is_syncing else None,
            earliest_height=parts.chain.earliest_height,
            peers=len(parts.network.list_peers()),
            version=VERSION,
            super_node=seat is not None,
            pending=len(parts.mempool),
            waiting_for=parts.explain_waiting(),
            snapshot_keys_done=None if progress is None else progress.keys_done,
            snapshot_keys_total=None if progress is None else progress.keys_total,
            **self._describe_membership(seat),
        )

    def _describe_membership(self, seat: "_Seat | None") -> dict[str, Any]:
        """The epoch, this node's seat, and how its operator's candidate is doing; a few point reads.

        Nothing while the store is being reopened: the rest of the status is known all the same.
        """
        parts = self._parts
        try:
            with self._open_view(None) as view:
                facts: dict[str, Any] = {"epoch": get_epoch(view).number}
                if parts.consensus_key is None:
                    return facts
                node = get_node(view, parts.network.key)
                operator = seat.operator if seat is not None else None if node is None else node.operator
                candidate = None if operator is None else find_candidate(view, operator)
                if seat is not None:
                    facts["seat"] = seat.index
                if candidate is not None:
                    facts["member"] = _describe_member(view, candidate, is_seated=seat is not None)
                return facts
        except RpcError:
            return {}

    def list_peers(self) -> list[Peer]:
        """Connected nodes, with the names of the registry."""
        with self._parts.views.open(None) as view:
            names = {node.key: node.name for node in get_nodes(view)}
        return [self._describe_peer(info, names) for info in self._parts.network.list_peers()]

    def _describe_peer(self, info: PeerInfo, names: dict[NodeKey, str]) -> Peer:
        return Peer(
            node_key=info.key,
            name=names.get(info.key, ""),
            address=info.remote_address,
            is_inbound=not info.is_dialed,
            super_node=info.role is NodeRole.SUPER_NODE,
            height=max(info.head_height, self._parts.get_peer_height(info.key)),
            score=int(info.score),
        )

    def _find_seat(self) -> "_Seat | None":
        if self._parts.consensus_key is None:
            return None
        committee = self.get_committee(self._parts.chain.head.header.height + 1)
        assert committee is not None, "the next committee is stored"
        index = committee.find(self._parts.consensus_key)
        return None if index is None else _Seat(index, committee.members[index].operator)


def _build_path(leaves: Sequence[bytes], index: int) -> InclusionPath:
    """On a thread: a full block has thousands of leaves."""
    return build_inclusion_path([compute_leaf_hash(leaf) for leaf in leaves], index)


def _describe_member(view: StateView, candidate: Candidate, *, is_seated: bool) -> str:
    """As NodeStatus.member has it, for the next block."""
    status = get_candidate_status(candidate, (candidate.operator,) if is_seated else ())
    if status != "member":
        return status
    height = view.head.header.height + 1
    is_put_off = any(
        each.operator == candidate.operator and each.put_off_until > height for each in get_absences(view).members
    )
    return "put_off" if is_put_off else "present"


def _explain_failure(receipt: Receipt, trace: Sequence[str]) -> Rejected:
    """Why a transaction would fail, with what it would have used."""
    message = f"the transaction would fail: {trace[-1]}" if trace else "the transaction would fail"
    code = get_contract_code(receipt.reason)
    failure = Rejected(get_reason(receipt.reason), message) if code is None else Reverted(code, message)
    failure.details["gas_used"] = receipt.gas_used
    return failure


def _decode(raw: bytes) -> Transaction:
    try:
        return decode_transaction(raw)
    except DecodeError as error:
        raise Rejected(Reason.DECODE, str(error)) from None


def _describe_final(transaction_id: TransactionId, finalised: Finalised) -> TransactionStatus:
    failed = finalised.receipt.status is Status.FAILED
    return TransactionStatus(
        transaction_id,
        "failed" if failed else "final",
        height=finalised.height,
        index=finalised.index,
        receipt=finalised.receipt,
        reason=get_reason_name(finalised.receipt.reason) if failed else None,
    )
