"""A node without a network: it makes blocks on demand, and executes and proves nothing."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from consensus.light import CommitteeChange
from identity.address import Address, NetworkKind, compute_key_address, format_address
from identity.keys import KeyType, PrivateKey
from identity.signing import SigningPurpose, compute_signing_domain, signing_bytes
from ledger.block import Block, CertifiedBlock, CommitCertificate, Header, compute_transactions_root
from ledger.codec import DecodeError, encode, pack
from ledger.committee import Committee, Member
from ledger.history import get_indexed_height, list_contract_events
from ledger.memory_store import MemoryStore
from ledger.primitives import EMPTY_ROOT, Height, RootHash, TimeMs, TransactionId
from ledger.reasons import Reason, Rejected
from ledger.receipt import Event, Receipt, Status
from ledger.state_keys import PARAMETERS_KEY, account_key
from ledger.transaction import (
    SENDER,
    Authorisation,
    Call,
    Transaction,
    TransactionBody,
    build_transaction,
    decode_transaction,
    encode_body,
)
from rpc.backend import PendingPage, ProvenReceipt, ProvenState, Simulated, TransactionStatus
from rpc.errors import bad_cursor, node_behind, pruned
from rpc.models import DevAccount, Estimate, Head, NodeInfo, NodeStatus, Peer
from tests.builders import PARAMETERS
from vm.context import Moment
from vm.contracts.calls import Runtime

CHAIN_ID = "carlive-test"
GENESIS_HASH = sha256(b"genesis").digest()
NETWORK = NetworkKind.DEVNET
KEY = PrivateKey(KeyType.ED25519, b"\x01" * 32)
SENDER_ADDRESS = compute_key_address(KEY.public_key)
SENDER_TEXT = format_address(SENDER_ADDRESS, NETWORK)
RECIPIENT = Address(b"\x22" * 20)
RECIPIENT_TEXT = format_address(RECIPIENT, NETWORK)
BALANCE_GRAINS = 10**17 + 1
DOMAIN = compute_signing_domain(CHAIN_ID, GENESIS_HASH)
TIME_MS = 1_700_000_000_000


def build_transfer(sequence: int, *, amount: int = 5, chain_id: str = CHAIN_ID, memo: str = "") -> Transaction:
    """A signed transfer."""
    body = TransactionBody(
        version=1,
        chain_id=chain_id,
        sender=SENDER_ADDRESS,
        ordering=sequence,
        valid_until=1_000,
        gas_limit=10_000,
        fee_max_grains=10_000,
        fee_payer=None,
        calls=(Call("iov", "transfer", [RECIPIENT, amount]),),
        memo=memo,
    )
    encoded = encode_body(body)
    signature = KEY.sign(signing_bytes(SigningPurpose.TRANSACTION, DOMAIN, encoded))
    return build_transaction(encoded, (Authorisation(SENDER, KEY.public_key.key_type, KEY.public_key.key, signature),))


def build_committee(seed: int) -> Committee:
    """One member whose key depends on the seed."""
    return Committee((Member(SENDER_ADDRESS, sha256(bytes([seed])).digest()),))


@dataclass
class FakeState:
    """State after a block; blocks change nothing but the sender's sequence."""

    height: int
    block_hash: bytes
    values: dict[bytes, bytes]
    contracts: Runtime | None = None

    @property
    def moment(self) -> Moment:
        return Moment(Height(self.height), TimeMs(TIME_MS), self.contracts)

    def get(self, key: bytes) -> bytes | None:
        return self.values.get(key)

    def iterate_prefix(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        yield from ((key, value) for key, value in sorted(self.values.items()) if key.startswith(prefix))

    def iterate_range(self, start: bytes, stop: bytes) -> Iterator[tuple[bytes, bytes]]:
        yield from ((key, value) for key, value in sorted(self.values.items()) if start <= key < stop)


@dataclass(frozen=True)
class FakeAdmitted:
    """What submit_many gives back."""

    id: TransactionId
    known: bool


class FakeDev:
    """Records what it was asked."""

    def __init__(self, backend: "FakeBackend") -> None:
        self.backend = backend
        self.calls: list[tuple[Any, ...]] = []

    async def accounts(self) -> list[DevAccount]:
        return [
            DevAccount(address=SENDER_TEXT, key_type="ed25519", public_key=KEY.public_key.key, secret_key=KEY.secret)
        ]

    async def fund(self, address: Address, amount_grains: int) -> TransactionStatus:
        self.calls.append(("fund", address, amount_grains))
        return TransactionStatus(TransactionId(b"\x07" * 32), "final", 1, 0)

    async def mine(self, blocks: int) -> Head:
        for _ in range(blocks):
            self.backend.make_block()
        return self.backend.get_head()

    async def set_time(self, time_ms: int) -> Head:
        self.calls.append(("set_time", time_ms))
        return self.backend.get_head()

    async def advance_epoch(self) -> Head:
        # a fault of the node itself, on purpose: tests look whether its text reaches a client
        raise NotImplementedError("secret path /srv/node/epoch.py")

    async def crash(self, node: int) -> None:
        self.calls.append(("crash", node))

    async def restart(self, node: int) -> None:
        self.calls.append(("restart", node))

    async def partition(self, groups: Sequence[Sequence[int]]) -> None:
        self.calls.append(("partition", groups))

    async def heal(self) -> None:
        self.calls.append(("heal",))

    async def snapshot(self) -> str:
        return "snapshot-1"

    async def revert(self, snapshot: str) -> Head:
        self.calls.append(("revert", snapshot))
        return self.backend.get_head()


class FakeBackend:
    """Implements rpc.backend.Backend in memory."""

    def __init__(self) -> None:
        self.network = NETWORK
        self.chain_id = CHAIN_ID
        self.genesis_hash = GENESIS_HASH
        self.dev: FakeDev | None = None
        self.earliest_height = 0
        self.blocks: list[CertifiedBlock] = []
        self.receipts: list[list[Receipt]] = []
        self.changes: list[CommitteeChange] = []
        self.block_events: dict[int, tuple[Event, ...]] = {}
        self.state_values: dict[bytes, bytes] = {}
        """What tests put into the state, at every height."""
        self.committees: list[Committee] = [build_committee(0)]
        self.pending: dict[TransactionId, Transaction] = {}
        self.final: dict[TransactionId, tuple[int, int]] = {}
        self.submitted_runs: list[int] = []
        self.submit_delay_seconds = 0.0
        self.read_hook: Callable[[], None] | None = None
        self._block_listeners: list[Callable[[], None]] = []
        self._pending_listeners: list[Callable[[Sequence[Transaction]], None]] = []
        self._finality = asyncio.Event()
        self.contracts: Runtime | None = None
        """For views of contracts."""
        self.known_receipts: dict[TransactionId, Receipt] = {}
        """What became of transactions that tests have executed themselves."""
        self.index = MemoryStore()
        """Where tests put a history index."""
        self.make_block()

    # making history

    def make_block(
        self,
        transactions: Sequence[Transaction] = (),
        *,
        committee_seed: int | None = None,
        next_committee_seed: int | None = None,
        events: Sequence[Event] = (),
    ) -> int:
        """Finalise a block and tell the listeners; returns its height."""
        height = len(self.blocks)
        self.block_events[height] = tuple(events)
        if committee_seed is not None:
            self.committees[height] = build_committee(committee_seed)
        committee = self.committees[height]
        next_committee = committee if next_committee_seed is None else build_committee(next_committee_seed)
        previous = self.blocks[-1].block.header.hash if self.blocks else b"\x00" * 32
        header = Header(
            version=1,
            chain_id=CHAIN_ID,
            height=height,
            round=0,
            time_ms=TIME_MS + height * 500,
            previous_hash=previous,
            proposer=committee.members[0].consensus_key,
            transactions_root=compute_transactions_root([each.envelope_hash for each in transactions]),
            evidence_root=EMPTY_ROOT,
            state_root=RootHash(sha256(b"state%d" % height).digest()),
            receipts_root=EMPTY_ROOT,
            committee_hash=committee.hash,
            next_committee_hash=next_committee.hash,
            parameters_hash=PARAMETERS.hash,
        )
        certificate = CommitCertificate(height, 0, header.hash, ((0, b"\x05" * 64),) if height else ())
        block = Block(header, tuple(each.raw for each in transactions), ())
        self.receipts.append([self._build_receipt(each) for each in transactions])
        for index, each in enumerate(transactions):
            self.pending.pop(each.id, None)
            self.final[each.id] = (height, index)
        self.committees.append(next_committee)
        self.blocks.append(CertifiedBlock(block, certificate))
        for listener in list(self._block_listeners):
            listener()
        finality, self._finality = self._finality, asyncio.Event()
        finality.set()
        return height

    def admit(self, transaction: Transaction) -> None:
        """Put a transaction into the mempool and tell the listeners."""
        self.pending[transaction.id] = transaction
        for listener in list(self._pending_listeners):
            listener([transaction])

    @property
    def listeners_total(self) -> int:
        return len(self._block_listeners) + len(self._pending_listeners)

    def _build_receipt(self, transaction: Transaction) -> Receipt:
        if transaction.id in self.known_receipts:
            return self.known_receipts[transaction.id]
        amount = transaction.body.calls[0].arguments[1]
        if amount == 0:
            return Receipt(transaction.id, Status.FAILED, Reason.AMOUNT_ZERO, 700, 700, ())
        event = Event("iov", "Transferred", [SENDER_ADDRESS, RECIPIENT, amount])
        return Receipt(transaction.id, Status.SUCCEEDED, 0, 700, 700, (event,))

    # the protocol

    async def submit_many(self, raws: Sequence[bytes]) -> list[FakeAdmitted | Rejected]:
        self.submitted_runs.append(len(raws))
        if self.submit_delay_seconds:
            await asyncio.sleep(self.submit_delay_seconds)
        return [self._submit(raw) for raw in raws]

    def _submit(self, raw: bytes) -> FakeAdmitted | Rejected:
        try:
            transaction = decode_transaction(raw)
        except DecodeError as error:
            return Rejected(Reason.DECODE, str(error))
        body = transaction.body
        if body.chain_id != CHAIN_ID:
            return Rejected(Reason.WRONG_CHAIN, f"this chain is {CHAIN_ID}", expected=CHAIN_ID)
        if body.memo == "poor":
            return Rejected(Reason.INSUFFICIENT_FUNDS, "too little", held=3, needed=10**17)
        if body.memo == "explode":
            raise RuntimeError("secret path /srv/node/intake.py")
        known = transaction.id in self.pending or transaction.id in self.final
        if not known:
            if body.ordering == 999:
                return Rejected(Reason.SEQUENCE_TOO_HIGH, "the next sequence is 7", expected=7)
            self.admit(transaction)
        return FakeAdmitted(transaction.id, known)

    async def wait_final(self, transaction_id: TransactionId, timeout_ms: int) -> TransactionStatus:
        try:
            async with asyncio.timeout(timeout_ms / 1000):
                while transaction_id not in self.final:
                    await self._finality.wait()
        except TimeoutError:
            pass
        return self.get_transaction_status(transaction_id)

    async def prove(self, key: bytes, at: int | None) -> ProvenState:
        state = self._get_state(at)
        certified = self.blocks[state.height]
        committee = encode(self.committees[state.height])
        return ProvenState(
            state.height,
            state.block_hash,
            state.get(key),
            b"proof",
            certified.block.header.encoded,
            encode(certified.certificate),
            committee,
        )

    def get_head(self) -> Head:
        header = self.blocks[-1].block.header
        return Head(height=header.height, block_hash=header.hash, time_ms=header.time_ms)

    def get_transaction_status(self, transaction_id: TransactionId) -> TransactionStatus:
        if transaction_id in self.final:
            height, index = self.final[transaction_id]
            receipt = self.receipts[height][index]
            settled = "final" if receipt.status is Status.SUCCEEDED else "failed"
            return TransactionStatus(transaction_id, settled, height, index, receipt)
        if transaction_id in self.pending:
            raw = self.pending[transaction_id].raw
            return TransactionStatus(transaction_id, "pending", raw=raw, detail="waits for the next block")
        if transaction_id == b"\x0d" * 32:
            return TransactionStatus(transaction_id, "dropped", reason="EVICTED")
        return TransactionStatus(transaction_id, "unknown")

    def list_pending(self, sender: Address | None, after: bytes | None, limit: int) -> PendingPage:
        if after is not None and len(after) != 32:
            raise bad_cursor()
        found = [
            each
            for identifier, each in sorted(self.pending.items())
            if (after is None or identifier > after) and sender in (None, each.body.sender)
        ]
        page = found[:limit]
        return PendingPage(page, page[-1].id if len(found) > limit else None)

    def get_node_info(self) -> NodeInfo:
        return NodeInfo(
            version="0.1.0",
            network="devnet",
            chain_id=CHAIN_ID,
            genesis_hash=GENESIS_HASH,
            name="node-0",
            node_key=b"\x03" * 32,
            super_node=True,
        )

    def get_node_status(self) -> NodeStatus:
        head = self.get_head()
        return NodeStatus(
            height=head.height,
            block_hash=head.block_hash,
            time_ms=head.time_ms,
            syncing=False,
            earliest_height=self.earliest_height,
            peers=1,
            version="0.1.0",
            super_node=True,
            pending=len(self.pending),
        )

    def list_peers(self) -> list[Peer]:
        return [
            Peer(node_key=b"\x04" * 32, name="node-1", address="[::1]:8646", is_inbound=True, super_node=True, height=0)
        ]

    def watch_blocks(self, on_block: Callable[[], None]) -> Callable[[], None]:
        self._block_listeners.append(on_block)
        return lambda: self._block_listeners.remove(on_block)

    def watch_pending(self, on_admitted: Callable[[Sequence[Transaction]], None]) -> Callable[[], None]:
        self._pending_listeners.append(on_admitted)
        return lambda: self._pending_listeners.remove(on_admitted)

    @contextmanager
    def open_state(self, at: int | None) -> Iterator[FakeState]:
        if self.read_hook is not None:
            self.read_hook()
        yield self._get_state(at)

    def _get_state(self, at: int | None) -> FakeState:
        head_height = len(self.blocks) - 1
        height = head_height if at is None else at
        if height > head_height:
            raise node_behind(head_height)
        if height < self.earliest_height:
            raise pruned(self.earliest_height)
        sequence = sum(len(receipts) for receipts in self.receipts[: height + 1])
        values = {
            account_key(SENDER_ADDRESS): pack((sequence, BALANCE_GRAINS, 0, b"", 0, 0)),
            PARAMETERS_KEY: encode(PARAMETERS),
            **self.state_values,
        }
        return FakeState(height, self.blocks[height].block.header.hash, values, self.contracts)

    def get_earliest_height(self) -> int:
        return self.earliest_height

    def get_block(self, height: int) -> CertifiedBlock | None:
        if self.read_hook is not None:
            self.read_hook()
        return self.blocks[height] if self.earliest_height <= height < len(self.blocks) else None

    def get_commit(self, height: int) -> tuple[Header, CommitCertificate] | None:
        certified = self.get_block(height)
        return None if certified is None else (certified.block.header, certified.certificate)

    def list_committee_changes(self, from_height: int, limit: int) -> list[CommitteeChange]:
        return [each for each in self.changes if each.header.height >= from_height][:limit]

    async def prove_receipt(self, transaction_id: TransactionId) -> ProvenReceipt | None:
        if transaction_id not in self.final:
            return None
        height, index = self.final[transaction_id]
        header = self.blocks[height].block.header
        parts = (b"proof", header.encoded, encode(self.blocks[height].certificate), encode(self.committees[height]))
        return ProvenReceipt(height, header.hash, encode(self.receipts[height][index]), *parts)

    def find_height(self, block_hash: bytes) -> int | None:
        return next((each.block.header.height for each in self.blocks if each.block.header.hash == block_hash), None)

    def get_receipts(self, height: int) -> list[Receipt] | None:
        return self.receipts[height] if self.earliest_height <= height < len(self.receipts) else None

    def get_block_events(self, height: int) -> tuple[Event, ...]:
        return self.block_events[height]

    def get_committee(self, height: int) -> Committee | None:
        return self.committees[height] if self.earliest_height <= height < len(self.committees) else None

    def list_history(
        self, address: Address, before: tuple[int, int] | None, limit: int
    ) -> list[tuple[int, int, TransactionId]]:
        if address not in (SENDER_ADDRESS, RECIPIENT):
            return []
        entries = sorted([(height, index, each) for each, (height, index) in self.final.items()], reverse=True)
        return [entry for entry in entries if before is None or entry[:2] < before][:limit]

    def list_contract_events(
        self, contract: Address, start: tuple[int, int, int], limit: int
    ) -> list[tuple[int, int, int]]:
        return list_contract_events(self.index, contract, start, limit)

    def get_indexed_height(self) -> int:
        return get_indexed_height(self.index)

    def get_genesis_document(self) -> dict[str, Any]:
        return {"chain_id": CHAIN_ID}

    def simulate(self, raw: bytes, at: int | None) -> Simulated:
        outcome = self._submit_check(raw)
        state = self._get_state(at)
        return Simulated(state.height, state.block_hash, self._build_receipt(outcome))

    def estimate(self, raw: bytes) -> Estimate:
        self._submit_check(raw)
        return Estimate(gas_limit=1_000, fee_max=1_000)

    def _submit_check(self, raw: bytes) -> Transaction:
        try:
            return decode_transaction(raw)
        except DecodeError as error:
            raise Rejected(Reason.DECODE, str(error)) from None
