"""Who takes part in a simulated network: keys by name, signatures that stand in for Ed25519, and the first state."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from hashlib import blake2b

from genesis.build import build_first_state, build_genesis_header
from genesis.document import GENESIS_FORMAT, Allocation, GenesisDocument, GenesisNode, GenesisParameters
from identity.address import Address, NetworkKind, compute_key_address, format_address
from identity.keys import PrivateKey
from identity.signing import SigningDomain, compute_signing_domain
from ledger.block import Header
from ledger.chain import initialise_store
from ledger.memory_store import MemoryStore
from ledger.primitives import SUPPLY_GRAINS, ConsensusKey, NodeKey, RootHash, Signature
from ledger.state import State
from ledger.transaction import Transaction, decode_transaction
from node.verify_worker import Check
from tests.builders import make_key
from tests.simulation.economy_founders import found_economy
from tests.simulation.identities import found_identities
from tests.simulation.promoters import FIRST_ACCOUNT, PROMOTERS, found_promoters

CHAIN_ID = "simulation"
START_MS = 1_700_006_396_000
"""Four seconds before midnight UTC, when free quotas begin anew and a day of mining is closed, a little sooner or later
by each machine's clock."""
SIGNATURE_BYTES = 64
ACCOUNTS = 12
"""Of clients."""
ALL_ACCOUNTS = FIRST_ACCOUNT + len(PROMOTERS)
"""Those of people who advertise stand behind them."""
ACCOUNT_GRAINS = 10**12
OPERATOR_GRAINS = 10**12
BOND_GRAINS = 10**11
NEWCOMERS_MAX = 2
"""Operators with means to join who have no seat at first."""


def sign(key: bytes, message: bytes) -> Signature:
    """A stand-in for Ed25519 that is fast: whoever knows a public key can sign, and only liars do so for others."""
    return Signature(blake2b(message, digest_size=SIGNATURE_BYTES, key=key).digest())


def verify(key: ConsensusKey, message: bytes, signature: bytes) -> bool:
    """Whether `sign` gave this signature."""
    return blake2b(message, digest_size=SIGNATURE_BYTES, key=key).digest() == signature


class StandInVerifier:
    """Checks signatures of transactions on the spot."""

    async def verify_many(self, checks: Sequence[Check]) -> list[bool]:
        """One answer each; never waits."""
        return [verify(ConsensusKey(key), message, signature) for _, key, message, signature in checks]


@cache
def get_consensus_secret(seat: int) -> PrivateKey:
    """The real key of a super node."""
    return make_key(f"simulated consensus key {seat}")


@cache
def get_consensus_key(seat: int) -> ConsensusKey:
    """Its public part, which stands in committees."""
    return ConsensusKey(get_consensus_secret(seat).public_key.key)


@cache
def get_node_secret(number: int, generation: int = 0) -> PrivateKey:
    """The key a machine connects with; a rotation begins the next generation."""
    return make_key(f"simulated node {number}" + (f" generation {generation}" if generation else ""))


@cache
def get_node_key(number: int, generation: int = 0) -> NodeKey:
    """How peers name a machine."""
    return NodeKey(get_node_secret(number, generation).public_key.key)


@cache
def get_operator_secret(seat: int) -> PrivateKey:
    """The key of a super node's operator."""
    return make_key(f"simulated operator {seat}")


@cache
def get_operator(seat: int) -> Address:
    """The account of a super node's operator."""
    return compute_key_address(get_operator_secret(seat).public_key)


@cache
def get_account_secret(index: int) -> PrivateKey:
    """The key of a client."""
    return make_key(f"simulated account {index}")


@cache
def get_account_address(index: int) -> Address:
    """The account of a client."""
    return compute_key_address(get_account_secret(index).public_key)


@lru_cache(maxsize=8_192)
def decode_once(raw: bytes) -> Transaction:
    """Every node decodes the same bytes; once is enough."""
    return decode_transaction(raw)


@dataclass(frozen=True, slots=True)
class Genesis:
    """Block 0, the state after it, and what signatures commit to."""

    header: Header
    domain: SigningDomain
    writes: tuple[tuple[bytes, bytes], ...]
    """Everything in the store."""

    def fill(self, store: MemoryStore) -> None:
        """Make an empty store a chain of one block."""
        store.write(self.writes, sync=True)


@lru_cache(maxsize=64)
def build_genesis(seats: int, others: int, first_bodies: int, parameters: GenesisParameters) -> Genesis:
    """A network whose first committee are all seats, and whose bodies of governance are the first few accounts.

    So many others may connect from the start: liars' twins, and an observer.
    """
    document = _build_document(seats, others, first_bodies, parameters)
    first = build_first_state(document)
    state = State(first.get, lambda start, stop: iter(()))
    accounts = [get_account_address(index) for index in range(ALL_ACCOUNTS)]
    found_identities(state, accounts)
    found_economy(state, accounts, document.time_ms)
    found_promoters(state, accounts, document.time_ms)
    changes = {**first, **state.changes}

    def build_header(state_root: RootHash) -> Header:
        return build_genesis_header(document, state_root)

    store = MemoryStore()
    header = initialise_store(store, build_header, changes)
    domain = compute_signing_domain(CHAIN_ID, header.hash)
    return Genesis(header, domain, tuple(store.iterate(b"", b"\xff" * 300)))


def _build_document(seats: int, others: int, bodies: int, parameters: GenesisParameters) -> GenesisDocument:
    kind = NetworkKind.DEVNET
    funded = {format_address(get_account_address(index), kind): ACCOUNT_GRAINS for index in range(ALL_ACCOUNTS)}
    funded |= {format_address(get_operator(seat), kind): OPERATOR_GRAINS for seat in range(seats + NEWCOMERS_MAX)}
    rest_grains = SUPPLY_GRAINS - sum(funded.values()) - seats * BOND_GRAINS
    allocations = [Allocation(module="subscription", amount_grains=str(rest_grains))]
    allocations += [Allocation(account=address, amount_grains=str(grains)) for address, grains in funded.items()]
    nodes = [
        GenesisNode(
            name=f"node-{seat}",
            operator=format_address(get_operator(seat), kind),
            consensus_key="0x" + get_consensus_key(seat).hex(),
            node_key="0x" + get_node_key(seat).hex(),
            node_certificate_signature="0x" + bytes(64).hex(),
            bond_grains=str(BOND_GRAINS),
        )
        for seat in range(seats)
    ]
    nodes += [
        GenesisNode(
            name=f"node-{number}",
            role="observer",
            operator=format_address(get_operator(seats + NEWCOMERS_MAX), kind),
            node_key="0x" + get_node_key(number).hex(),
            node_certificate_signature="0x" + bytes(64).hex(),
        )
        for number in range(seats, seats + others)
    ]
    sitting = [format_address(get_account_address(index), kind) for index in range(bodies)]
    return GenesisDocument(
        format=GENESIS_FORMAT,
        chain_id=CHAIN_ID,
        network="devnet",
        time_ms=START_MS - 1,
        parameters=parameters,
        allocations=allocations,
        nodes=nodes,
        bodies={"foundation": sitting, "technical": sitting, "financial": sitting} if bodies else {},
    )
