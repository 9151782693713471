"""Contracts call each other: who may enter what, with how much gas, and what is undone when a call fails.

Rules
* C1 At most CALL_DEPTH_MAX contracts run inside each other.
* C2 A call gets at most 63/64 of the gas that is left, so that its caller can still deal with its failure.
* C3 A contract that is running is entered again only by a method whose interface allows it.
* C4 A failed call leaves nothing but the gas it used: no state, no coins, no events.
* C5 A view changes nothing, and neither does anything it calls; it calls views alone.
* C6 Arguments, results and event fields have their declared types. Coins come only to methods that take them.
* C7 What fails is numbered: by the rule it broke, or by the contract's own code. Nothing the engine says is kept.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from identity.address import Address
from ledger.primitives import ChainId
from ledger.reasons import Reason, Rejected
from ledger.state import State
from ledger.state_keys import contract_storage_key, instrumented_code_key
from vm.context import Context
from vm.contracts.abi import (
    AbiType,
    InvalidValueError,
    Method,
    MethodKind,
    decode_interface,
    list_types,
    parse_type,
    resolve_structs,
    unpack_values,
)
from vm.contracts.check_price import CheckPrice, compute_check_price
from vm.contracts.engine import CALL_DEPTH_MAX, Engine, Guest, Program
from vm.contracts.native_bridge import Natives
from vm.contracts.prices import CODE_BYTE, CONTRACT_CALL, HOST_BYTE, MEMORY_PAGE, to_gas, to_units
from vm.contracts.records import ContractStatus, get_code_facts, get_contract
from vm.native.iov import move_grains
from vm.native.pauses import check_not_paused

REGISTERS: Final = 16
GAS_KEPT_DIVISOR: Final = 64  # rule C2
INTERFACES_CACHED: Final = 256


@dataclass(frozen=True, slots=True)
class Runtime:
    """What a node runs contracts with."""

    chain_id: ChainId
    engine: Engine
    natives: Natives


@dataclass(frozen=True, slots=True)
class Request:
    """A call of a contract's method."""

    contract: Address
    method: str
    arguments: bytes
    """Packed."""
    caller: Address
    value_grains: int = 0
    is_view: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a call ended."""

    failure: Rejected | None
    """None when it succeeded."""
    result: bytes
    """Packed."""
    units_left: int


@dataclass(frozen=True, slots=True)
class PackedTypes:
    """The types of values that are packed together, and what checking them costs."""

    types: tuple[AbiType, ...]
    price: CheckPrice


@dataclass(frozen=True, slots=True)
class MethodTypes:
    """A method with its types resolved."""

    method: Method
    parameters: PackedTypes
    result: PackedTypes


@dataclass(frozen=True, slots=True)
class TypedInterface:
    """An interface with its types resolved."""

    methods: Mapping[str, MethodTypes]
    events: Mapping[str, PackedTypes]

    def find_special(self, kind: MethodKind) -> Method | None:
        """The method of a kind of which there is at most one."""
        return next((each.method for each in self.methods.values() if each.method.kind is kind), None)


NO_INTERFACE: Final = TypedInterface({}, {})


class Frame(Guest):
    """A contract that is running, or about to."""

    __slots__ = ("is_view", "registers", "request", "result", "run", "storage_prefix", "types")

    def __init__(self, run: "Run", request: Request, units: int) -> None:
        super().__init__(units)
        self.run = run
        self.request = request
        self.is_view = request.is_view
        self.registers: list[bytes | None] = [None] * REGISTERS
        self.result = b""
        self.storage_prefix = contract_storage_key(request.contract, b"")
        self.types = NO_INTERFACE


@dataclass(slots=True)
class Run:
    """One call from outside and everything it leads to."""

    runtime: Runtime
    state: State
    context: Context
    frames: list[Frame] = field(default_factory=list)
    """The contracts that are running, the innermost last."""


def call_contract(state: State, context: Context, request: Request, kinds: frozenset[MethodKind]) -> bytes:
    """Call a contract's method from outside all contracts: its packed result. Its gas is the transaction's.

    `kinds` are the kinds of methods that may be entered. Raises Rejected when it fails.
    """
    runtime = context.block.contracts
    assert runtime is not None, "whoever executes contracts gives the block an engine"
    run = Run(runtime, state, context)
    units = to_units(context.gas.limit - context.gas.used)
    outcome = runtime.engine.enter(lambda: run_call(run, request, units, kinds))
    context.gas.charge(to_gas(units - outcome.units_left))
    if outcome.failure is not None:
        raise outcome.failure
    return outcome.result


def compile_code(context: Context, code_hash: bytes, instrumented: bytes) -> None:
    """Have the engine compile code that has just been published, and was paid for."""
    runtime = context.block.contracts
    assert runtime is not None, "whoever executes contracts gives the block an engine"
    runtime.engine.enter(lambda: runtime.engine.compile(code_hash, lambda: instrumented))


def run_call(run: Run, request: Request, units: int, kinds: frozenset[MethodKind]) -> Outcome:
    """Call a contract; a failure is undone (rule C4)."""
    state, events = run.state, run.context.events
    mark, events_before = state.get_mark(), len(events)
    frame = Frame(run, request, units)
    try:
        program, method = _enter(frame, kinds)
        run.frames.append(frame)
        try:
            run.runtime.engine.run(program, request.method, frame)
        finally:
            run.frames.pop()
        check_packed(frame, method.result, frame.result, Reason.BAD_RESULT)
        return Outcome(None, frame.result, frame.gas_units)
    except Rejected as failure:
        state.undo_to(mark)
        del events[events_before:]
        return Outcome(failure, b"", frame.gas_units)


def limit_gas(left: int, wanted: int) -> int:
    """Rule C2: the units a call gets; all it may have when it wants 0."""
    most = left - left // GAS_KEPT_DIVISOR
    return min(wanted, most) if wanted else most


def check_packed(frame: Frame, kinds: PackedTypes, packed: bytes, reason: Reason) -> None:
    """Rule C6: that these are values of these types, which the contract pays for; raises Rejected."""
    frame.charge(kinds.price.compute(packed))
    try:
        unpack_values(kinds.types, packed)
    except InvalidValueError as error:
        raise Rejected(reason, str(error)) from None


def _resolve(types: tuple[AbiType, ...]) -> PackedTypes:
    return PackedTypes(types, compute_check_price(types))


@lru_cache(maxsize=INTERFACES_CACHED)
def resolve_interface(encoded: bytes) -> TypedInterface:
    """An interface that was checked when it was published, with its types resolved."""
    interface = decode_interface(encoded)
    structs = resolve_structs(interface)
    return TypedInterface(
        {
            method.name: MethodTypes(
                method,
                _resolve(list_types(method.parameters, structs)),
                _resolve((parse_type(method.result, structs),) if method.result else ()),
            )
            for method in interface.methods
        },
        {event.name: _resolve(list_types(event.fields, structs)) for event in interface.events},
    )


def _enter(frame: Frame, kinds: frozenset[MethodKind]) -> tuple[Program, MethodTypes]:
    """Rules C1, C3, C5 and C6: what is to run. Everything is paid before it is done."""
    run, request, state = frame.run, frame.request, frame.run.state
    frame.charge(CONTRACT_CALL + HOST_BYTE * len(request.arguments))
    if len(run.frames) >= CALL_DEPTH_MAX:
        raise Rejected(Reason.CALL_DEPTH, f"at most {CALL_DEPTH_MAX} contracts run inside each other")
    contract = get_contract(state, request.contract)
    if contract is None:
        raise Rejected(Reason.CONTRACT_NOT_FOUND, "there is no contract at this address")
    if contract.status is not ContractStatus.SEALED and MethodKind.INIT not in kinds:
        raise Rejected(Reason.CONTRACT_NOT_SEALED, "its introducer has not sealed it yet")
    facts = get_code_facts(state, contract.code_hash)
    assert facts is not None, "a contract's code is never removed"
    frame.types = resolve_interface(facts.interface)
    method = frame.types.methods.get(request.method)
    if method is None or method.method.kind not in kinds:
        raise Rejected(Reason.NO_SUCH_METHOD, "the contract has no such method, or none that may be called")
    is_view = method.method.kind is MethodKind.VIEW
    if request.is_view and not is_view:
        raise Rejected(Reason.VIEW_WRITES, "a view calls views alone")
    frame.is_view = is_view
    if request.value_grains and not method.method.is_payable:
        raise Rejected(Reason.NOT_PAYABLE, "the method takes no IOV")
    if not method.method.is_reentrant and any(each.request.contract == request.contract for each in run.frames):
        raise Rejected(Reason.REENTRANCY, "the contract is running already")
    check_packed(frame, method.parameters, request.arguments, Reason.BAD_ARGUMENTS)
    frame.charge(CODE_BYTE * facts.instrumented_bytes + MEMORY_PAGE * facts.memory_pages)
    program = run.runtime.engine.compile(contract.code_hash, lambda: _load(state, contract.code_hash))
    if request.value_grains:
        check_not_paused(state, ("iov",), run.context.block.height)
        move_grains(state, run.context, request.caller, request.contract, request.value_grains)
    return program, method


def _load(state: State, code_hash: bytes) -> bytes:
    instrumented = state.get(instrumented_code_key(code_hash))
    assert instrumented is not None, "a contract's code is never removed"
    return instrumented
