"""Scenarios `apply` and `growth`: verify, execute, hash and persist blocks of transfers on one node, no network."""

import asyncio
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from bench.floor import measure_floor
from bench.report import Result
from bench.transfers import BenchAccount, list_pairs, sign_transfer
from genesis.build import initialise_chain
from genesis.document import GenesisDocument, GenesisNode
from genesis.presets import build_preset
from identity.address import Address, NetworkKind, format_address
from identity.keys import KeyType, PrivateKey
from identity.signing import SigningDomain, SigningPurpose, compute_signing_domain, signing_bytes
from ledger.block import Block, CertifiedBlock, CommitCertificate
from ledger.chain import Chain
from ledger.primitives import ConsensusKey, Round, TimeMs
from ledger.receipt import Receipt
from ledger.transaction import Transaction, decode_transaction
from node.collector import calm_collector
from node.execution import Execution
from node.leveldb_store import LevelDbStore
from node.verifier import Verifier
from vm.native.iov import credit
from vm.proposal import build_header, get_next_block_rules

BENCH_CHAIN_ID = "bench"
BLOCK_TRANSFERS = 2_000
TRANSFERS = 100_000
SENDERS_MAX = 20_000
BLOCKS_AHEAD = 2
Progress = Callable[[str], None]


async def run_apply(progress: Progress) -> list[Result]:
    """100,000 signed transfers among 10^5 accounts."""
    floor = measure_floor()
    rate, details = await measure_apply(100_000, TRANSFERS, progress)
    return [Result("apply", rate, "transfers/s", floor, rate / floor, 0.4, details=details)]


async def run_growth(progress: Progress) -> list[Result]:
    """The cost of a transfer at 10^4, 10^5 and 10^6 accounts."""
    floor = measure_floor()
    rates = {}
    for accounts in (10_000, 100_000, 1_000_000):
        rates[accounts], _ = await measure_apply(accounts, 40_000, progress)
    factor = rates[10_000] / rates[1_000_000]
    details = {f"transfers/s at {accounts} accounts": round(rate) for accounts, rate in rates.items()}
    return [Result("growth", factor, "x cost from 10^4 to 10^6", floor, None, 2.0, at_most=True, details=details)]


def make_document() -> GenesisDocument:
    """A chain of one super node, for benchmarks."""
    key = PrivateKey(KeyType.ED25519, sha256(b"bench").digest())
    node = GenesisNode(
        name="bench",
        operator=format_address(Address(bytes(20)), NetworkKind.DEVNET),
        consensus_key="0x" + key.public_key.key.hex(),
        node_key="0x" + PrivateKey(KeyType.ED25519, sha256(b"node").digest()).public_key.key.hex(),
        node_certificate_signature="0x" + bytes(64).hex(),
    )
    return build_preset(NetworkKind.DEVNET, BENCH_CHAIN_ID, 1, [node])


async def measure_apply(accounts: int, transfers: int, progress: Progress) -> tuple[float, dict[str, object]]:
    """Transfers a second among so many accounts, and where the time went."""
    with open_funded_chain(accounts, progress) as funded:
        progress(f"signing {transfers:,} transfers")
        senders, domain = funded.senders, funded.domain
        sequences = [0] * len(senders)
        raws = []
        for number, recipient in list_pairs(senders, funded.addresses, transfers):
            raws.append(sign_transfer(senders[number], sequences[number], recipient, 5, BENCH_CHAIN_ID, domain))
            sequences[number] += 1
        return await apply_all(funded, raws, BLOCK_TRANSFERS, progress)


@dataclass(frozen=True, slots=True)
class FundedChain:
    """A chain on disk whose accounts have coins."""

    chain: Chain
    domain: SigningDomain
    senders: list[BenchAccount]
    addresses: list[Address]
    """Of all accounts; those of the senders come first."""


@contextmanager
def open_funded_chain(accounts: int, progress: Progress) -> Iterator[FundedChain]:
    """A chain with so many accounts, of which at most SENDERS_MAX have keys; it is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="carlive-bench-") as directory:
        store = LevelDbStore(Path(directory) / "data")
        try:
            genesis_hash = initialise_chain(store, make_document()).hash
            chain = Chain(store)
            progress(f"funding {accounts:,} accounts")
            senders = [BenchAccount(f"sender {index}") for index in range(min(SENDERS_MAX, accounts))]
            addresses = [sender.address for sender in senders]
            addresses += [Address(sha256(b"%d" % index).digest()[:20]) for index in range(accounts - len(senders))]
            fund_accounts(chain, addresses)
            store.compact()  # the state of a chain that has grown over time, not of one filled a moment ago
            yield FundedChain(chain, compute_signing_domain(BENCH_CHAIN_ID, genesis_hash), senders, addresses)
        finally:
            store.close()


def fund_accounts(chain: Chain, addresses: list[Address]) -> None:
    """Write balances in blocks of state alone, before the clock starts."""
    for start in range(0, len(addresses), 50_000):
        state = chain.open_state()
        for address in addresses[start : start + 50_000]:
            credit(state, address, 10**11, 0)
        commit_state(chain, state.changes)


def commit_state(chain: Chain, changes: dict[bytes, bytes | None], receipts: Sequence[Receipt] = ()) -> None:
    """A block that changes the state and holds nothing."""
    certified = build_block(chain, [])
    chain.commit(certified, receipts, (), changes)


def build_block(chain: Chain, transactions: list[Transaction]) -> CertifiedBlock:
    """The next block."""
    rules = get_next_block_rules(chain.head, chain.open_state())
    time_ms = TimeMs(chain.head.header.time_ms + 1)
    names = [transaction.envelope_hash for transaction in transactions]
    header = build_header(rules, Round(0), time_ms, ConsensusKey(bytes(32)), names)
    block = Block(header, tuple(transaction.raw for transaction in transactions), ())
    return CertifiedBlock(block, CommitCertificate(header.height, Round(0), header.hash, ()))


async def apply_all(
    funded: FundedChain, raws: list[bytes], block_transactions: int, progress: Progress
) -> tuple[float, dict[str, object]]:
    """Transactions a second in blocks of so many, and where the time went."""
    calm_collector()
    async with Verifier(processes=1) as verifier:
        progress("applying")
        return await _apply_verified(funded, verifier, raws, block_transactions, progress)


async def _apply_verified(
    funded: FundedChain, verifier: Verifier, raws: list[bytes], block_transactions: int, progress: Progress
) -> tuple[float, dict[str, object]]:
    """The signatures of the next blocks are checked while a block is executed, as in a node."""
    chain, domain = funded.chain, funded.domain

    async def prepare(start: int) -> list[Transaction]:
        transactions = [decode_transaction(raw) for raw in raws[start : start + block_transactions]]
        checks = [
            (
                int(each.authorisations[0].key_type),
                each.authorisations[0].key,
                signing_bytes(SigningPurpose.TRANSACTION, domain, each.body_bytes),
                each.authorisations[0].signature,
            )
            for each in transactions
        ]
        assert all(await verifier.verify_many(checks)), "every transaction of the benchmark is signed"
        return transactions

    execution = Execution(chain, domain, None)
    started_s = time.perf_counter()
    busy_ms = 0.0
    starts = range(0, len(raws), block_transactions)
    upcoming = [asyncio.create_task(prepare(start)) for start in starts[:BLOCKS_AHEAD]]
    for number, start in enumerate(starts):
        transactions = await upcoming.pop(0)
        if number + BLOCKS_AHEAD < len(starts):
            upcoming.append(asyncio.create_task(prepare(starts[number + BLOCKS_AHEAD])))
        committed = await execution.execute(build_block(chain, transactions), transactions)
        assert all(receipt.status == 0 for receipt in committed.receipts), "every transaction of the benchmark succeeds"
        busy_ms += committed.executed_ms
        progress(f"applied {start + len(transactions):,} of {len(raws):,}")
    seconds = time.perf_counter() - started_s
    details: dict[str, object] = {
        "seconds": round(seconds, 2),
        "execute and commit, us each": round(busy_ms * 1e3 / len(raws), 1),
        "gas each": round(sum(receipt.gas_used for receipt in committed.receipts) / len(committed.receipts)),
    }
    return len(raws) / seconds, details
