"""From the genesis document to the first state and block 0."""

from dataclasses import fields
from typing import Final

from genesis.document import GenesisDocument, GenesisError, GenesisNode
from identity.address import ADDRESS_BYTES, Address, NetworkKind, compute_module_address, parse_address
from identity.did import parse_did
from identity.signing import SigningDomain
from ledger.block import HEADER_VERSION, Header
from ledger.chain import initialise_store
from ledger.codec import DecodeError, decode, from_plain
from ledger.committee import Committee, Member
from ledger.memory_store import MemoryStore
from ledger.primitives import (
    EMPTY_ROOT,
    HASH_BYTES,
    INTEGER_MAX,
    BlockHash,
    ChainId,
    ConsensusKey,
    Height,
    NodeKey,
    RootHash,
    Round,
    Signature,
    TimeMs,
    TransactionId,
)
from ledger.reasons import Rejected
from ledger.state import State
from ledger.store import Store
from vm.context import BlockContext, Context
from vm.gas import GasMeter
from vm.native.did_operations import create_unsigned
from vm.native.did_payloads import CreatePayload
from vm.native.election import begin_first_epoch
from vm.native.governance import BodyKind, put_body
from vm.native.iov import STAKING_ADDRESS, credit
from vm.native.lockups import add_lockup
from vm.native.network import NodeRole, Operator, RegisteredNode, is_operator, put_node, put_operator
from vm.native.recognition import Recognition, check_recognisable, put_recognised
from vm.native.stake import add_stake, build_candidate, put_candidate
from vm.parameters import Parameters, find_conflict, put_parameters

_NO_HASH: Final = BlockHash(bytes(HASH_BYTES))
_NO_PROPOSER: Final = ConsensusKey(bytes(HASH_BYTES))

FIRST_HEIGHT: Final = 1
GENESIS_COMMISSION_BPS: Final = 1_000
"""What the first operators keep of their pools' earnings until they set it."""


def build_parameters(document: GenesisDocument) -> Parameters:
    """The first parameters; raises GenesisError when one is out of bounds."""
    try:
        parameters = from_plain(Parameters, [getattr(document.parameters, field.name) for field in fields(Parameters)])
    except DecodeError as error:
        raise GenesisError(f"genesis parameters: {error}") from None
    conflict = find_conflict(parameters)
    if conflict is not None:
        raise GenesisError(f"genesis parameters: {conflict}")
    return parameters


def build_committee(document: GenesisDocument) -> Committee:
    """The first committee, in the document's order; raises GenesisError without super nodes."""
    members = []
    for node in document.super_nodes:
        consensus_key = _read_consensus_key(node)
        assert consensus_key is not None, "the document has checked it"
        members.append(Member(parse_address(node.operator, document.network_kind), consensus_key))
    if not members:
        raise GenesisError("genesis nodes: name at least one super node (carlive genesis add-node)")
    if document.network_kind is not NetworkKind.DEVNET and len(members) < 4:
        raise GenesisError(f"genesis nodes: {document.network} needs at least 4 super nodes, not {len(members)}")
    return Committee(tuple(members))


def build_first_state(document: GenesisDocument) -> dict[bytes, bytes | None]:
    """Every key of the first state."""
    state = State(lambda key: None, lambda start, stop: iter(()))
    put_parameters(state, build_parameters(document))
    begin_first_epoch(state, build_committee(document))
    for allocation in document.allocations:
        if allocation.module is not None:
            address = compute_module_address(allocation.module)
        else:
            assert allocation.account is not None, "the document has checked it"
            address = parse_address(allocation.account, document.network_kind)
        credit(state, address, int(allocation.amount_grains), document.time_ms)
        for lockup in allocation.lockups or ():
            add_lockup(
                state,
                *(FIRST_HEIGHT, document.time_ms, address, int(lockup.amount_grains), lockup.build_schedule()),
                compute_module_address(lockup.source),
                is_revocable=lockup.revocable,
            )
    for name, members in document.bodies.items():
        addresses = [parse_address(member, document.network_kind) for member in members]
        put_body(state, BodyKind[name.upper()], tuple(addresses))
    for node in document.nodes:
        operator = parse_address(node.operator, document.network_kind)
        if not is_operator(state, operator):
            put_operator(state, Operator(operator, node.name))
        put_node(
            state,
            RegisteredNode(
                key=NodeKey(bytes.fromhex(node.node_key[2:])),
                certificate_signature=Signature(bytes.fromhex(node.node_certificate_signature[2:])),
                operator=operator,
                role=NodeRole[node.role.upper()],
                consensus_key=_read_consensus_key(node),
                name=node.name,
                addresses=tuple(node.addresses),
            ),
        )
    for node in document.super_nodes:
        _add_candidate(state, document, node)
    _add_identities(state, document)
    return {key: value for key, value in state.changes.items() if value is not None}


def build_genesis_header(document: GenesisDocument, state_root: RootHash) -> Header:
    """Block 0's header; its hash is the genesis hash that every signature of this chain commits to."""
    committee_hash = build_committee(document).hash
    return Header(
        version=HEADER_VERSION,
        chain_id=ChainId(document.chain_id),
        height=Height(0),
        round=Round(0),
        time_ms=TimeMs(document.time_ms),
        previous_hash=_NO_HASH,
        proposer=_NO_PROPOSER,
        transactions_root=EMPTY_ROOT,
        evidence_root=EMPTY_ROOT,
        state_root=state_root,
        receipts_root=EMPTY_ROOT,
        committee_hash=committee_hash,
        next_committee_hash=committee_hash,
        parameters_hash=build_parameters(document).hash,
    )


def initialise_chain(store: Store, document: GenesisDocument) -> Header:
    """Fill an empty store with block 0 and the first state."""
    changes = build_first_state(document)
    return initialise_store(store, lambda state_root: build_genesis_header(document, state_root), changes)


def compute_genesis_hash(document: GenesisDocument) -> BlockHash:
    """The hash of block 0, without a store."""
    return initialise_chain(MemoryStore(), document).hash


def _add_candidate(state: State, document: GenesisDocument, node: GenesisNode) -> None:
    """A super node stands for election, with its bond in the staking module's account."""
    operator = parse_address(node.operator, document.network_kind)
    candidate = build_candidate(operator, GENESIS_COMMISSION_BPS, is_standing=True)
    put_candidate(state, candidate)
    bond_grains = int(node.bond_grains)
    if bond_grains:
        credit(state, STAKING_ADDRESS, bond_grains, document.time_ms)
        add_stake(state, operator, candidate, bond_grains, document.time_ms)


def _add_identities(state: State, document: GenesisDocument) -> None:
    """Identities that are there from the start, and what they are recognised for; raises GenesisError."""
    block = BlockContext(
        Height(0), TimeMs(document.time_ms), _NO_PROPOSER, build_parameters(document), SigningDomain(bytes(HASH_BYTES))
    )
    nobody = Address(bytes(ADDRESS_BYTES))
    gas = GasMeter(INTEGER_MAX, 0)
    context = Context(block, nobody, nobody, TransactionId(bytes(HASH_BYTES)), gas)
    for index, identity in enumerate(document.identities):
        try:
            create_unsigned(state, context, decode(CreatePayload, bytes.fromhex(identity.payload[2:])))
        except (DecodeError, Rejected) as error:
            raise GenesisError(f"genesis identities.{index}: {error}") from None
    for index, entry in enumerate(document.recognised):
        recognition, did = Recognition[entry.recognition.upper()], parse_did(entry.did, document.network_kind)
        try:
            check_recognisable(state, recognition, did)
        except Rejected as error:
            raise GenesisError(f"genesis recognised.{index}: {error}") from None
        put_recognised(state, recognition, did)


def _read_consensus_key(node: GenesisNode) -> ConsensusKey | None:
    return None if node.consensus_key is None else ConsensusKey(bytes.fromhex(node.consensus_key[2:]))
