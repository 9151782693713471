"""contract_: contracts by their declared interfaces."""

from typing import Final, Literal

from identity.address import ADDRESS_BYTES, Address
from identity.signing import SigningDomain
from ledger.history import BLOCK_END_INDEX
from ledger.primitives import HASH_BYTES, ConsensusKey, TransactionId
from ledger.reasons import Reason, Rejected
from ledger.receipt import Event
from ledger.state import State
from ledger.state_keys import code_key, contract_storage_key
from rpc.addresses import format_address
from rpc.arguments import ArgumentError
from rpc.backend import StateAt
from rpc.contract_interfaces import load_interface, make_finder, read_interface
from rpc.contract_values import pack_from_json
from rpc.errors import execution_failed, invalid_params, not_found, pruned
from rpc.interface_views import build_interface_view
from rpc.models import (
    AddressAtParams,
    CodeParams,
    CodeResult,
    ContractCallParams,
    ContractCallResult,
    ContractEvents,
    ContractEventsParams,
    ContractEventView,
    ContractResult,
    ContractStorageParams,
    ContractStorageResult,
    ContractVersion,
    StoredValue,
)
from rpc.session import Session
from vm.context import BlockContext, Context
from vm.contracts.abi import MethodKind
from vm.contracts.calls import Request, call_contract
from vm.contracts.records import Contract, ContractStatus, get_code_facts, get_versions
from vm.contracts.records import get_contract as get_record
from vm.gas import VIEW_GAS_MAX, GasMeter
from vm.native.iov import get_balance
from vm.parameters import get_parameters

_NOBODY: Final = Address(bytes(ADDRESS_BYTES))
_STATUSES: Final[dict[ContractStatus, Literal["introduced", "sealed"]]] = {
    ContractStatus.INTRODUCED: "introduced",
    ContractStatus.SEALED: "sealed",
}


def call(session: Session, params: ContractCallParams) -> ContractCallResult:
    """Ask a view of a contract; a failure is error 3 with its reason, or the contract's own code."""
    network = session.backend.network
    with session.open_state(params.at) as state:
        address, contract = _find(session, state, params.address)
        interface = load_interface(state, contract)
        method = interface.find_method(params.method)
        if method is None or method.kind is not MethodKind.VIEW:
            views = ", ".join(each.name for each in interface.declared.methods if each.kind is MethodKind.VIEW)
            raise not_found(f"the contract has no view of this name; it has: {views or 'none'}")
        try:
            packed = pack_from_json(interface.list_fields(method.parameters), params.args, network)
        except ArgumentError as error:
            raise invalid_params(f"args: {error}") from None
        gas = GasMeter(VIEW_GAS_MAX, 0)
        try:
            result = _run_view(state, Request(address, method.name, packed, _NOBODY, is_view=True), gas)
        except Rejected as failure:
            raise execution_failed(failure.number, gas.used, failure.message) from None
        return ContractCallResult(
            height=state.height,
            block_hash=state.block_hash,
            result=interface.decode_result(method, result, network),
            gas_used=gas.used,
        )


def get_contract(session: Session, params: AddressAtParams) -> ContractResult:
    """A contract: status, owner, code, declared interface, balance and the codes it has had."""
    network = session.backend.network
    with session.open_state(params.at) as state:
        address, contract = _find(session, state, params.address)
        return ContractResult(
            height=state.height,
            block_hash=state.block_hash,
            address=params.address.lower(),
            status=_STATUSES[contract.status],
            introducer=format_address(contract.introducer, network),
            owner=format_address(contract.owner, network),
            code_hash=contract.code_hash,
            since_height=contract.height,
            balance=get_balance(state, address),
            interface=build_interface_view(load_interface(state, contract)),
            history=[
                ContractVersion(height=version.height, code_hash=version.code_hash)
                for version in get_versions(state, address)
            ],
        )


def get_code(session: Session, params: CodeParams) -> CodeResult:
    """Code as it was published, with the interface it carries."""
    with session.open_state("final") as state:
        code, facts = state.get(code_key(params.hash)), get_code_facts(state, params.hash)
        if code is None or facts is None:
            raise not_found("no code of this hash was published")
        return CodeResult(
            height=state.height,
            block_hash=state.block_hash,
            hash=params.hash,
            code=code,
            interface=build_interface_view(read_interface(facts.interface)),
        )


def get_storage(session: Session, params: ContractStorageParams) -> ContractStorageResult:
    """What a contract keeps under a raw key, decoded when its storage schema tells how."""
    with session.open_state(params.at) as state:
        address, contract = _find(session, state, params.address)
        value = state.get(contract_storage_key(address, params.key))
        decoded = load_interface(state, contract).decode_stored(params.key, value, session.backend.network)
        return ContractStorageResult(
            height=state.height,
            block_hash=state.block_hash,
            address=params.address.lower(),
            key=params.key,
            value=value,
            decoded=None if decoded is None else StoredValue(item=decoded[0], key=decoded[1], value=decoded[2]),
        )


def list_events(session: Session, params: ContractEventsParams) -> ContractEvents:
    """What a contract has announced, oldest first, a page at a time."""
    backend = session.backend
    address = session.parse_address(params.address)
    scope = f"contract_events:{address.hex()}"
    earliest_height = backend.get_earliest_height()
    start = (max(params.from_height, earliest_height), 0, 0)
    if params.cursor is not None:
        height, index, event_index = session.decode_cursor(scope, params.cursor, (int, int, int))
        assert isinstance(height, int)
        assert isinstance(index, int)
        assert isinstance(event_index, int)
        start = (height, index, event_index)
        if height < earliest_height:
            raise pruned(earliest_height)
    indexed_height = backend.get_indexed_height()
    positions = backend.list_contract_events(address, start, params.limit + 1)
    page = positions[: params.limit]
    events: list[ContractEventView] = []
    for height in dict.fromkeys(height for height, _, _ in page):
        events += _load_events(session, address, height, [each[1:] for each in page if each[0] == height])
    return ContractEvents(
        events=events,
        indexed_height=indexed_height,
        earliest_height=earliest_height,
        cursor=session.encode_cursor(scope, [*positions[params.limit]]) if len(positions) > params.limit else None,
    )


def _find(session: Session, state: StateAt, text: str) -> tuple[Address, Contract]:
    address = session.parse_address(text)
    contract = get_record(state, address)
    if contract is None:
        raise not_found("there is no contract at this address")
    return address, contract


def _run_view(state: StateAt, request: Request, gas: GasMeter) -> bytes:
    """The packed result; raises Rejected. The state is the caller's own copy: nothing is written back."""
    moment = state.moment
    if moment.contracts is None:
        raise Rejected(Reason.UNKNOWN_CALL, "this node runs no contracts")
    block = BlockContext(
        moment.height,
        moment.time_ms,
        ConsensusKey(bytes(HASH_BYTES)),
        get_parameters(state),
        SigningDomain(bytes(HASH_BYTES)),
        contracts=moment.contracts,
    )
    context = Context(block, _NOBODY, _NOBODY, TransactionId(bytes(HASH_BYTES)), gas)
    return call_contract(State(state.get, state.iterate_range), context, request, frozenset({MethodKind.VIEW}))


def _load_events(
    session: Session, contract: Address, height: int, positions: list[tuple[int, int]]
) -> list[ContractEventView]:
    """A block's events at (transaction's index, event's index)."""
    backend = session.backend
    receipts = backend.get_receipts(height)
    if receipts is None:
        raise pruned(backend.get_earliest_height())
    find = make_finder(backend, height)
    interface = find(contract)
    views = []
    for index, event_index in positions:
        is_block_end = index == BLOCK_END_INDEX
        happened = backend.get_block_events(height) if is_block_end else receipts[index].events
        name, packed = _read_emitted(happened[event_index])
        views.append(
            ContractEventView(
                height=height,
                index=None if is_block_end else index,
                transaction_id=None if is_block_end else receipts[index].transaction_id,
                name=name,
                fields=None if interface is None else interface.decode_event(name, packed, backend.network),
                packed=packed,
            )
        )
    return views


def _read_emitted(event: Event) -> tuple[str, bytes]:
    _, name, packed = event.fields
    assert isinstance(name, str)
    assert isinstance(packed, bytes)
    return name, packed
