"""A small chain, made block by block without consensus, and stand-ins for what surrounds it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from consensus.messages import VoteKind, vote_signing_bytes
from identity.address import Address
from ledger.block import HEADER_VERSION, Block, CertifiedBlock, CommitCertificate, Header
from ledger.chain import Chain, initialise_store
from ledger.codec import encode
from ledger.committee import Committee, Member
from ledger.memory_store import MemoryStore
from ledger.primitives import EMPTY_ROOT, BlockHash, ConsensusKey, Height, RootHash, Round, Signature, TimeMs
from ledger.receipt import Receipt
from ledger.state import State
from ledger.state_keys import NEXT_COMMITTEE_KEY
from ledger.store import Store
from ledger.transaction import Transaction
from node.contract_stack import ContractStack
from node.verify_worker import Check, is_good
from tests.builders import CHAIN_ID, DOMAIN, PARAMETERS, address_of, make_key
from vm.context import BlockContext
from vm.contracts.runtime import build_runtime
from vm.native.election import begin_first_epoch
from vm.native.iov import credit
from vm.parameters import Parameters, put_parameters
from vm.proposal import build_header, get_next_block_rules
from vm.transition import apply_block

GENESIS_TIME_MS = 1_000
BLOCK_TIME_MS = 500
MEMBER_KEYS = tuple(make_key(f"member {index}") for index in range(4))
COMMITTEE = Committee(
    tuple(
        Member(address_of(make_key(f"operator {index}")), ConsensusKey(key.public_key.key))
        for index, key in enumerate(MEMBER_KEYS)
    )
)
OTHER_COMMITTEE = Committee((COMMITTEE.members[0],))


@dataclass(slots=True)
class RecordingLogger:
    """Keeps what it is told: (level, event, fields)."""

    entries: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)

    def debug(self, event: str, **fields: Any) -> None:
        """Kept like the others."""
        self.entries.append(("debug", event, fields))

    def info(self, event: str, **fields: Any) -> None:
        """Kept like the others."""
        self.entries.append(("info", event, fields))

    def warning(self, event: str, **fields: Any) -> None:
        """Kept like the others."""
        self.entries.append(("warning", event, fields))

    def error(self, event: str, **fields: Any) -> None:
        """Kept like the others."""
        self.entries.append(("error", event, fields))

    def list_events(self, level: str) -> list[str]:
        """The events of one level."""
        return [event for entry_level, event, _ in self.entries if entry_level == level]


@dataclass(slots=True)
class FakeClock:
    """Clocks that stand still until told otherwise."""

    wall_ms: int = 10_000
    monotonic_s: float = 100.0
    offset_ms: int = 0

    def get_wall_ms(self) -> int:
        """The wall clock."""
        return self.wall_ms + self.offset_ms

    def get_monotonic_s(self) -> float:
        """The steady clock."""
        return self.monotonic_s


@dataclass
class DirectVerifier:
    """Checks signatures on the spot and counts them."""

    checked: int = 0

    async def verify_many(self, checks: Sequence[Check]) -> list[bool]:
        """One answer each."""
        self.checked += len(checks)
        return [is_good(check) for check in checks]


def sign_certificate(header: Header, members: Sequence[int] = (0, 1, 2), round_number: int = 0) -> CommitCertificate:
    """Precommits of these members."""
    message = vote_signing_bytes(DOMAIN, VoteKind.PRECOMMIT, header.height, Round(round_number), header.hash)
    signatures = tuple((index, Signature(MEMBER_KEYS[index].sign(message))) for index in members)
    return CommitCertificate(header.height, Round(round_number), header.hash, signatures)


class SmallChain:
    """A stored chain with four members, and a short way to make its next block."""

    def __init__(
        self,
        balances: dict[Address, int],
        store: Store | None = None,
        parameters: Parameters = PARAMETERS,
        committee: Committee = COMMITTEE,
        next_committee: Committee | None = None,
        prepare: Callable[[State], None] | None = None,
        genesis_time_ms: int = GENESIS_TIME_MS,
    ) -> None:
        next_committee = next_committee or committee
        self.store: Store = MemoryStore() if store is None else store
        state = State(lambda key: None, lambda start, stop: iter(()))
        put_parameters(state, parameters)
        begin_first_epoch(state, committee)
        state.put(NEXT_COMMITTEE_KEY, encode(next_committee))
        for address, grains in balances.items():
            credit(state, address, grains, 0)
        if prepare is not None:
            prepare(state)

        def build_genesis(state_root: RootHash) -> Header:
            return Header(
                version=HEADER_VERSION,
                chain_id=CHAIN_ID,
                height=Height(0),
                round=Round(0),
                time_ms=TimeMs(genesis_time_ms),
                previous_hash=BlockHash(bytes(32)),
                proposer=ConsensusKey(bytes(32)),
                transactions_root=EMPTY_ROOT,
                evidence_root=EMPTY_ROOT,
                state_root=state_root,
                receipts_root=EMPTY_ROOT,
                committee_hash=committee.hash,
                next_committee_hash=next_committee.hash,
                parameters_hash=parameters.hash,
            )

        self.genesis = initialise_store(self.store, build_genesis, state.changes)
        self.chain = Chain(self.store)
        self.contracts = build_runtime(CHAIN_ID, ContractStack().run)

    def build_block(self, transactions: Sequence[Transaction] = (), proposer: int = 0) -> CertifiedBlock:
        """The next block with its certificate, not yet executed."""
        rules = get_next_block_rules(self.chain.head, self.chain.open_state())
        time_ms = TimeMs(self.chain.head.header.time_ms + BLOCK_TIME_MS)
        hashes = [transaction.envelope_hash for transaction in transactions]
        header = build_header(rules, Round(0), time_ms, COMMITTEE.members[proposer].consensus_key, hashes)
        block = Block(header, tuple(transaction.raw for transaction in transactions), ())
        return CertifiedBlock(block, sign_certificate(header))

    def add_block(self, transactions: Sequence[Transaction] = ()) -> list[Receipt]:
        """Make, execute and store the next block."""
        certified = self.build_block(transactions)
        header = certified.block.header
        state = self.chain.open_state()
        parameters = get_next_block_rules(self.chain.head, state).parameters
        result = apply_block(
            state,
            BlockContext(
                header.height,
                header.time_ms,
                header.proposer,
                parameters,
                DOMAIN,
                header.round,
                contracts=self.contracts,
            ),
            transactions,
        )
        self.chain.commit(certified, result.receipts, result.events, result.changes)
        return result.receipts
