"""A stored chain whose certificates are good in the domain of its own genesis, with committees that change on schedule.

What a light client needs that `SmallChain` cannot give; behind a real RPC backend it is a node without a network.
"""

from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

from consensus.light import Checkpoint
from consensus.messages import VoteKind, vote_signing_bytes
from genesis.presets import build_preset
from identity.address import Address, NetworkKind
from identity.signing import compute_signing_domain
from ledger.block import Block, CertifiedBlock, CommitCertificate
from ledger.codec import encode
from ledger.committee import Committee, Member
from ledger.primitives import ConsensusKey, Height, Round, Signature, TimeMs
from ledger.receipt import Event, Receipt
from ledger.state import State
from ledger.state_keys import COMMITTEE_KEY, NEXT_COMMITTEE_KEY
from ledger.store import Store
from ledger.transaction import Call, Transaction
from node.backend import NodeBackend, NodeParts
from node.config import NodeConfig
from node.execution import FinalityWaiters
from node.history_indexer import HistoryIndexer
from node.state_views import StateViews
from rpc.proofs import GenesisTrust
from tests.builders import CHAIN_ID, Draft, address_of, make_key
from tests.chains import BLOCK_TIME_MS, COMMITTEE, RecordingLogger, SmallChain
from vm.context import BlockContext
from vm.proposal import build_header, get_next_block_rules
from vm.transition import apply_block

MEMBER_NAMES = [f"member {index}" for index in range(7)]
_KEYS = {make_key(name).public_key.key: make_key(name) for name in MEMBER_NAMES}
FUNDED_GRAINS = 10**12


def make_committee(*members: int) -> Committee:
    """These of the seven members."""
    keys = [make_key(MEMBER_NAMES[index]) for index in members]
    operators = [address_of(make_key(f"operator {index}")) for index in members]
    return Committee(
        tuple(Member(operator, ConsensusKey(key.public_key.key)) for operator, key in zip(operators, keys, strict=True))
    )


class ProvenChain(SmallChain):
    """`schedule`: first height -> committee that finalises from there on; genesis names COMMITTEE."""

    def __init__(
        self,
        balances: dict[Address, int],
        schedule: Mapping[int, Committee] | None = None,
        store: Store | None = None,
        prepare: Callable[[State], None] | None = None,
    ) -> None:
        super().__init__(balances, store, prepare=prepare)
        self._schedule = {0: COMMITTEE, **(schedule or {})}
        self.domain = compute_signing_domain(CHAIN_ID, self.genesis.hash)

    @property
    def trust(self) -> GenesisTrust:
        """What a wallet is told of this chain."""
        return GenesisTrust(CHAIN_ID, self.genesis.hash, COMMITTEE)

    def get_checkpoint(self, height: int) -> Checkpoint:
        """A block as somebody would name it."""
        certified = self.chain.get_block(height)
        assert certified is not None
        return Checkpoint(Height(height), certified.block.header.hash)

    def get_ruling(self, height: int) -> Committee:
        """Who finalises this height."""
        return self._schedule[max(first for first in self._schedule if first <= height)]

    def draft(self, name: str, calls: Sequence[Call], sequence: int = 0, **options: Any) -> Transaction:
        """A transaction signed for this chain."""
        options.setdefault("valid_until", 500)
        return Draft(make_key(name), calls, sequence, domain=self.domain, **options).sign()

    def build_block(self, transactions: Sequence[Transaction] = (), proposer: int = 0) -> CertifiedBlock:
        """The next block, finalised by who rules its height."""
        rules = get_next_block_rules(self.chain.head, self.chain.open_state())
        committee = self.get_ruling(rules.height)
        time_ms = TimeMs(self.chain.head.header.time_ms + BLOCK_TIME_MS)
        hashes = [transaction.envelope_hash for transaction in transactions]
        header = build_header(rules, Round(0), time_ms, committee.members[proposer].consensus_key, hashes)
        message = vote_signing_bytes(self.domain, VoteKind.PRECOMMIT, header.height, Round(0), header.hash)
        needed = len(committee.members) * 2 // 3 + 1
        signatures = tuple(
            (index, Signature(_KEYS[member.consensus_key].sign(message)))
            for index, member in enumerate(committee.members[:needed])
        )
        certificate = CommitCertificate(header.height, Round(0), header.hash, signatures)
        return CertifiedBlock(Block(header, tuple(each.raw for each in transactions), ()), certificate)

    def add_block(self, transactions: Sequence[Transaction] = (), events: Sequence[Event] = ()) -> list[Receipt]:
        """Make, execute and store the next block; the state names the committees of the schedule.

        `events` are said to have happened at the block's end.
        """
        certified = self.build_block(transactions)
        header = certified.block.header
        state = self.chain.open_state()
        parameters = get_next_block_rules(self.chain.head, state).parameters
        context = BlockContext(header.height, header.time_ms, header.proposer, parameters, self.domain, header.round)
        result = apply_block(state, context, transactions)
        changes = dict(result.changes)
        for key, height in ((COMMITTEE_KEY, header.height + 1), (NEXT_COMMITTEE_KEY, header.height + 2)):
            changes[key] = encode(self.get_ruling(height))
        self.chain.commit(certified, result.receipts, [*result.events, *events], changes)
        return list(result.receipts)


class ProvenNode:
    """A backend over such a chain, for the RPC server or for calls without one."""

    def __init__(self, small: ProvenChain) -> None:
        self.small = small
        self.views = StateViews(small.chain)
        self.indexer = HistoryIndexer(small.chain, RecordingLogger())
        self._transactions: dict[int, Sequence[Transaction]] = {}
        mempool = SimpleNamespace(get_by_id=lambda _: None, get_dropped_reason=lambda _: None)
        self.parts = NodeParts(
            NodeConfig(),
            build_preset(NetworkKind.DEVNET, CHAIN_ID, 0, [], {}),
            small.genesis.hash,
            small.domain,
            small.chain,
            self.views,
            mempool,  # type: ignore[arg-type]  # nothing waits here
            None,  # type: ignore[arg-type]  # nothing is sent here
            FinalityWaiters(),
            self.indexer,
            None,  # type: ignore[arg-type]  # there are no peers
            None,
            get_target_height=lambda: small.chain.head.header.height,
            get_peer_height=lambda _: 0,
            explain_waiting=lambda: None,
        )
        self.backend = NodeBackend(self.parts, None)

    def add_block(self, *transactions: Transaction, events: Sequence[Event] = ()) -> list[Receipt]:
        """The next block, known to all who ask."""
        receipts = self.small.add_block(transactions, events)
        self.views.add_head()
        self.indexer.add_block(self.small.chain.head.header.height, transactions, receipts)
        self.backend.on_block(None)  # type: ignore[arg-type]  # it looks at the chain
        return receipts

    def close(self) -> None:
        """Let go of the views."""
        self.views.close()
