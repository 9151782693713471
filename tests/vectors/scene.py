"""The small chain the vectors tell of: four super nodes, a few accounts with every kind of key, two blocks.

Everything follows from fixed secrets and deterministic signatures, so the same bytes come out everywhere.
"""

from dataclasses import dataclass
from functools import cache
from typing import Final

from genesis.build import build_committee, build_first_state, build_genesis_header, build_parameters
from genesis.document import Allocation, GenesisDocument, GenesisNode, GenesisParameters
from identity.address import Address, NetworkKind, compute_policy_address, format_address
from identity.keys import KeyType, PrivateKey
from identity.policy import KeyPolicy, build_policy, policy_to_bytes
from identity.signing import SigningDomain, compute_signing_domain
from ledger.block import HEADER_VERSION, Header, compute_transactions_root
from ledger.chain import compute_receipts_root
from ledger.codec import encode, to_plain
from ledger.committee import Committee
from ledger.primitives import EMPTY_ROOT, SUPPLY_GRAINS, ConsensusKey, Height, RootHash, Round, TimeMs
from ledger.receipt import BlockEvents, Receipt
from ledger.state import State
from ledger.transaction import Call, Transaction
from ledger.tree import StateTree
from p2p.certificate import build_certificate, compact_certificate
from tests.builders import Draft, address_of, make_key, transfer
from vm.context import BlockContext
from vm.transition import apply_block

NETWORK: Final = NetworkKind.DEVNET
SUPER_NODES: Final = 4
START_GRAINS: Final = 10**15
BONDS_GRAINS: Final = (10**14, 2 * 10**14 + 1, 0, 10**14)
"""Of the super nodes; one has none."""
BLOCK_INTERVAL_MS: Final = 500

ALICE: Final = make_key("alice")
BOB: Final = make_key("bob", KeyType.SECP256K1)
CAROL: Final = make_key("carol", KeyType.P256)
DAVE: Final = make_key("dave")
ERIN: Final = make_key("erin")
PAYER: Final = make_key("payer")
ACCOUNTS: Final = (ALICE, BOB, CAROL, DAVE, PAYER)
"""Funded at genesis; Erin is not."""

POLICY_KEYS: Final = (make_key("first"), make_key("second", KeyType.SECP256K1), make_key("third", KeyType.P256))
POLICY: Final[KeyPolicy] = build_policy([(key.public_key, index + 1) for index, key in enumerate(POLICY_KEYS)], 4)
"""Weights 1, 2, 3 and threshold 4: the third key and any other."""
POLICY_ADDRESS: Final = compute_policy_address(policy_to_bytes(POLICY))

CONSENSUS_KEYS: Final = tuple(make_key(f"consensus {index}") for index in range(SUPER_NODES))
NODE_KEYS: Final = tuple(make_key(f"node {index}") for index in range(SUPER_NODES))


@dataclass(frozen=True, slots=True)
class Scene:
    """The chain after block 1, and the header of block 2 that certifies it."""

    document: GenesisDocument
    committee: Committee
    genesis: Header
    domain: SigningDomain
    transactions: tuple[Transaction, ...]
    """Block 1."""
    receipts: tuple[Receipt, ...]
    headers: tuple[Header, Header]
    """Of blocks 1 and 2; block 2 is empty and states the roots after block 1."""
    first_state: dict[bytes, bytes]
    state: dict[bytes, bytes]
    """After block 1."""


def build_document() -> GenesisDocument:
    """A devnet with the preset's parameters: tuning them changes the vectors."""
    funded = [format_address(address_of(key), NETWORK) for key in ACCOUNTS]
    funded.append(format_address(POLICY_ADDRESS, NETWORK))
    rest_grains = SUPPLY_GRAINS - START_GRAINS * len(funded) - sum(BONDS_GRAINS)
    allocations = [Allocation(module="subscription", amount_grains=str(rest_grains))]
    allocations += [Allocation(account=account, amount_grains=str(START_GRAINS)) for account in funded]
    return GenesisDocument(
        format="carlive-genesis/1",
        chain_id="carlive-vectors",
        network="devnet",
        time_ms=1_700_000_000_000,
        parameters=GenesisParameters(
            block_interval_ms=BLOCK_INTERVAL_MS,
            block_gas_max=16_000_000,
            block_bytes_max=2_097_152,
            block_transactions_max=5_000,
            price_floor_grains=1,
            propose_timeout_ms=1_000,
            propose_timeout_step_ms=500,
            vote_timeout_ms=500,
            vote_timeout_step_ms=250,
            clock_precision_ms=500,
            message_delay_ms=2_000,
            epoch_heights=100,
            committee_seats=21,
            committee_members_min=1,
            candidate_bond_min_grains=10**13,
            unbonding_epochs=2,
            double_sign_slash_bps=500,
            absence_slash_bps=10,
            absence_heights_max=150,
            jail_epochs=1,
            proposer_fee_bps=3_000,
            voting_heights_normal=40,
            voting_heights_urgent=20,
            voting_heights_emergency=10,
            pause_heights_max=1_000,
            contract_publishers=0,
            recovery_delay_heights=10,
            free_quota_gas_daily=0,
            free_quota_block_gas_max=0,
        ),
        allocations=allocations,
        nodes=[_build_node(index) for index in range(SUPER_NODES)],
    )


def list_block_drafts(domain: SigningDomain, chain_id: str) -> dict[str, Draft]:
    """The transactions of block 1 by name: every key type, both orderings, fee payer, policies, a batch, a failure."""
    erin = address_of(ERIN)
    chain = {"chain_id": chain_id, "domain": domain}
    third, second = POLICY_KEYS[2], POLICY_KEYS[1]
    payments = [[address_of(BOB), 1], [address_of(CAROL), 10**9], [erin, 2**40]]
    new_policy = build_policy([(DAVE.public_key, 1), (ERIN.public_key, 1)], 1)
    return {
        "transfer signed with ed25519": Draft(ALICE, [transfer(erin, 150_000_000)], **chain),
        "transfer signed with secp256k1": Draft(BOB, [transfer(erin, 1)], **chain),
        "transfer signed with P-256": Draft(CAROL, [transfer(erin, 127)], gas_limit=2**16, **chain),
        "unordered transfer": Draft(ALICE, [transfer(erin, 128)], sequence=b"\x00salt\xff\x7f\x80", **chain),
        "batch of three payments with a memo": Draft(
            ALICE, [Call("iov", "batch_transfer", [payments])], sequence=1, memo="Ölwechsel 换油", **chain
        ),
        "two calls in one": Draft(
            ALICE, [transfer(erin, 255), transfer(address_of(DAVE), 256)], sequence=2, price_grains=70_000, **chain
        ),
        "fee paid by another account": Draft(BOB, [transfer(erin, 65_535)], sequence=1, fee_payer_key=PAYER, **chain),
        "a policy is registered": Draft(
            PAYER, [Call("accounts", "register_policy", [to_plain(POLICY)])], valid_until=2**53 - 1, **chain
        ),
        "signed by two keys of a policy": Draft(
            third, [transfer(erin, 2**32)], sender=POLICY_ADDRESS, more_keys=[second], **chain
        ),
        "an account changes its keys": Draft(DAVE, [Call("accounts", "set_policy", [to_plain(new_policy)])], **chain),
        "signed by a new key": Draft(ERIN, [transfer(erin, 65_536)], sender=address_of(DAVE), sequence=1, **chain),
        "fails: more than the sender has": Draft(CAROL, [transfer(erin, 10**18)], sequence=1, **chain),
        "skipped: the sequence is too high": Draft(CAROL, [transfer(erin, 1)], sequence=9, **chain),
    }


@cache
def build_scene() -> Scene:
    """Run the chain; the same every time."""
    document = build_document()
    committee = build_committee(document)
    first_state = _drop_deleted(build_first_state(document))
    genesis = build_genesis_header(document, compute_state_root(first_state))
    domain = compute_signing_domain(document.chain_id, genesis.hash)
    drafts = list_block_drafts(domain, document.chain_id)
    transactions = tuple(draft.sign() for draft in drafts.values())
    parameters = build_parameters(document)

    first = _build_header(genesis, committee, transactions, genesis.state_root, EMPTY_ROOT)
    overlay = State(first_state.get, lambda start, stop: iter(()))
    context = BlockContext(first.height, first.time_ms, first.proposer, parameters, domain)
    result = apply_block(overlay, context, transactions)
    state = _drop_deleted({**first_state, **result.changes})
    receipts_root = compute_receipts_root(
        [encode(receipt) for receipt in result.receipts], encode(BlockEvents(result.events)) if result.events else None
    )
    second = _build_header(first, committee, (), compute_state_root(state), receipts_root)
    return Scene(
        document, committee, genesis, domain, transactions, tuple(result.receipts), (first, second), first_state, state
    )


def compute_state_root(state: dict[bytes, bytes]) -> RootHash:
    """The root over a whole state."""
    return StateTree(lambda store_key: None).compute_update(state).root


def address_text(key: PrivateKey) -> str:
    """The key's address on this network."""
    return format_address(address_of(key), NETWORK)


def get_address_text(address: Address) -> str:
    """An address as text of this network."""
    return format_address(address, NETWORK)


def _build_node(index: int) -> GenesisNode:
    key, signature = compact_certificate(build_certificate(NODE_KEYS[index].secret))
    return GenesisNode(
        name=f"node-{index}",
        operator=format_address(address_of(make_key(f"operator {index}")), NETWORK),
        consensus_key="0x" + CONSENSUS_KEYS[index].public_key.key.hex(),
        node_key="0x" + key.hex(),
        node_certificate_signature="0x" + signature.hex(),
        addresses=[f"127.0.0.1:{8646 + 10 * index}"],
        bond_grains=str(BONDS_GRAINS[index]),
    )


def _build_header(
    previous: Header,
    committee: Committee,
    transactions: tuple[Transaction, ...],
    state_root: RootHash,
    receipts_root: RootHash,
) -> Header:
    height = Height(previous.height + 1)
    return Header(
        version=HEADER_VERSION,
        chain_id=previous.chain_id,
        height=height,
        round=Round(0),
        time_ms=TimeMs(previous.time_ms + BLOCK_INTERVAL_MS),
        previous_hash=previous.hash,
        proposer=ConsensusKey(committee.members[height % SUPER_NODES].consensus_key),
        transactions_root=compute_transactions_root([transaction.envelope_hash for transaction in transactions]),
        evidence_root=EMPTY_ROOT,
        state_root=state_root,
        receipts_root=receipts_root,
        committee_hash=committee.hash,
        next_committee_hash=committee.hash,
        parameters_hash=previous.parameters_hash,
    )


def _drop_deleted(changes: dict[bytes, bytes | None]) -> dict[bytes, bytes]:
    return {key: value for key, value in sorted(changes.items()) if value is not None}
