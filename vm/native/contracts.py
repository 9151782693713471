"""Contracts: code that anyone whom the chain lets publishes in three steps, and that everyone may call.

Keys and records are in vm/contracts/records.py, the rules of publication in vm/contracts/lifecycle.py, those of calls
in vm/contracts/calls.py.

1. The author's tools check the code against its declared interface.
2. `introduce`: every node checks it again and tries its init method; code that does not fit one transaction comes
   before, in parts.
3. `seal`: init runs for real, the code hash is on record, and the contract can be called.
"""

from dataclasses import dataclass, replace
from typing import Annotated, Final

from annotated_types import Interval, Len

from identity.address import ADDRESS_BYTES, Address
from identity.signing import SigningDomain
from ledger.primitives import HASH_BYTES, ConsensusKey, Grains, Height, TransactionId
from ledger.reasons import Reason, Rejected
from ledger.state import State, StateReader
from ledger.state_keys import (
    CODE_PARTS_MAX,
    CONTRACT_KEY_BYTES_MAX,
    DEVELOPER_PREFIX,
    code_key,
    code_part_key,
    contract_storage_key,
)
from vm.context import BlockContext, Context, Moment
from vm.contracts.abi import MethodKind, Name
from vm.contracts.calls import Request, call_contract
from vm.contracts.lifecycle import check_publisher, introduce, seal, upgrade_by_owner
from vm.contracts.records import (
    SALT_BYTES_MAX,
    CodeHash,
    ContractStatus,
    PackedArguments,
    Version,
    get_code_facts,
    get_contract,
    get_versions,
    is_approved_code,
    put_contract,
)
from vm.gas import GAS_BYTE, GAS_STATE_READ, GAS_STATE_WRITE, VIEW_GAS_MAX, GasMeter
from vm.native.rules import CallRule, EventRule, ModuleRule, ViewRule
from vm.parameters import get_parameters

PART_BYTES_MAX: Final = 49_152  # leaves room for the rest of a transaction

Salt = Annotated[bytes, Len(0, SALT_BYTES_MAX)]
CodeText = Annotated[bytes, Len(0, PART_BYTES_MAX)]


@dataclass(frozen=True, slots=True)
class StorePart:
    """Keep a part of code that is too large for one transaction, until the sender introduces it."""

    code_hash: CodeHash
    index: Annotated[int, Interval(ge=0, le=CODE_PARTS_MAX - 1)]
    part: Annotated[bytes, Len(1, PART_BYTES_MAX)]


@dataclass(frozen=True, slots=True)
class Introduce:
    """Have code checked and its init method tried; it is given, or was stored in parts, or is published already."""

    salt: Salt
    code_hash: CodeHash
    code: CodeText
    """Empty: the parts that the sender has stored, or code that is published already."""
    arguments: PackedArguments
    """Of the init method, packed."""
    value_grains: Grains
    """IOV that comes with init."""


@dataclass(frozen=True, slots=True)
class Seal:
    """Run a contract's init method and let everyone call it."""

    contract: Address


@dataclass(frozen=True, slots=True)
class CallContract:
    """Call a contract's method."""

    contract: Address
    method: Name
    arguments: PackedArguments
    value_grains: Grains
    """IOV that comes with the call."""


@dataclass(frozen=True, slots=True)
class Upgrade:
    """Give a contract other code, if its interface lets its owner; the new code's migrate method runs."""

    contract: Address
    code_hash: CodeHash
    code: CodeText
    arguments: PackedArguments


@dataclass(frozen=True, slots=True)
class SetOwner:
    """Hand a contract over to another owner."""

    contract: Address
    owner: Address


@dataclass(frozen=True, slots=True)
class Introduced:
    """A contract was checked and tried; its introducer may seal it."""

    contract: Address
    introducer: Address
    code_hash: CodeHash


@dataclass(frozen=True, slots=True)
class Sealed:
    """A contract may be called."""

    contract: Address
    code_hash: CodeHash


@dataclass(frozen=True, slots=True)
class Upgraded:
    """A contract has other code."""

    contract: Address
    code_hash: CodeHash
    previous_code_hash: CodeHash


@dataclass(frozen=True, slots=True)
class OwnerSet:
    """A contract has another owner."""

    contract: Address
    owner: Address


@dataclass(frozen=True, slots=True)
class Emitted:
    """A contract announced something of its own."""

    contract: Address
    name: str
    """Of an event of its interface."""
    fields: bytes
    """Packed."""


@dataclass(frozen=True, slots=True)
class ContractDescription:
    """A contract as the view tells it."""

    introducer: Address
    owner: Address
    code_hash: CodeHash
    status: ContractStatus
    height: Height
    versions: int
    interface: bytes
    """Encoded; see vm/contracts/abi.py."""


@dataclass(frozen=True, slots=True)
class ViewResult:
    """What a view of a contract answered."""

    result: bytes
    """Packed."""
    gas_used: int


def apply_store_part(state: State, context: Context, call: StorePart) -> None:
    """Rule P2; a part that is stored again takes the place of the old one."""
    check_publisher(state, context.block.parameters, context.sender, call.code_hash)
    state.put(code_part_key(context.sender, call.code_hash, call.index), call.part)


def apply_introduce(state: State, context: Context, call: Introduce) -> None:
    """Rules P1 to P3."""
    address = introduce(state, context, call.salt, call.code_hash, call.code, call.arguments, call.value_grains)
    context.emit(MODULE.name, Introduced.__name__, address, context.sender, call.code_hash)


def apply_seal(state: State, context: Context, call: Seal) -> None:
    """Rules P2 to P4."""
    contract = seal(state, context, call.contract)
    context.emit(MODULE.name, Sealed.__name__, call.contract, contract.code_hash)


def apply_call(state: State, context: Context, call: CallContract) -> None:
    """Rules C1 to C7."""
    request = Request(call.contract, call.method, call.arguments, context.sender, call.value_grains)
    call_contract(state, context, request, _CALLABLE)


def apply_upgrade(state: State, context: Context, call: Upgrade) -> None:
    """Rules P1, P2, P4 and P5."""
    previous = upgrade_by_owner(state, context, call.contract, call.code_hash, call.code, call.arguments)
    context.emit(MODULE.name, Upgraded.__name__, call.contract, call.code_hash, previous)


def apply_set_owner(state: State, context: Context, call: SetOwner) -> None:
    """The owner alone hands over."""
    contract = get_contract(state, call.contract)
    if contract is None:
        raise Rejected(Reason.CONTRACT_NOT_FOUND, "there is no contract at this address")
    if contract.owner != context.sender:
        raise Rejected(Reason.UPGRADE_NOT_ALLOWED, "only the contract's owner hands it over")
    put_contract(state, call.contract, replace(contract, owner=call.owner))
    context.emit(MODULE.name, OwnerSet.__name__, call.contract, call.owner)


def answer_contract(state: StateReader, _: Moment, contract: Address) -> ContractDescription | None:
    """The view of a contract."""
    found = get_contract(state, contract)
    if found is None:
        return None
    facts = get_code_facts(state, found.code_hash)
    assert facts is not None, "a contract's code is never removed"
    return ContractDescription(
        found.introducer,
        found.owner,
        found.code_hash,
        found.status,
        found.height,
        found.versions,
        facts.interface,
    )


def answer_code(state: StateReader, _: Moment, code_hash: CodeHash) -> bytes | None:
    """The view of code as it was published."""
    return state.get(code_key(code_hash))


def answer_history(state: StateReader, _: Moment, contract: Address) -> list[Version]:
    """The view of all codes a contract has had, the first one first."""
    return get_versions(state, contract)


def answer_call(
    state: StateReader, moment: Moment, contract: Address, method: Name, arguments: PackedArguments
) -> ViewResult:
    """The view of what a view method of a contract answers; raises Rejected with what it fails for."""
    block = BlockContext(
        moment.height,
        moment.time_ms,
        ConsensusKey(bytes(HASH_BYTES)),
        get_parameters(state),
        SigningDomain(bytes(HASH_BYTES)),
        contracts=moment.contracts,
    )
    nobody = Address(bytes(ADDRESS_BYTES))
    context = Context(block, nobody, nobody, TransactionId(bytes(HASH_BYTES)), GasMeter(VIEW_GAS_MAX, 0))
    request = Request(contract, method, arguments, nobody, is_view=True)
    result = call_contract(State(state.get, state.iterate_range), context, request, _CALLABLE)
    return ViewResult(result, context.gas.used)


def answer_storage(
    state: StateReader, _: Moment, contract: Address, key: Annotated[bytes, Len(0, CONTRACT_KEY_BYTES_MAX)]
) -> bytes | None:
    """The view of what a contract has stored under a key."""
    return state.get(contract_storage_key(contract, key))


def answer_developers(state: StateReader, _: Moment) -> list[Address]:
    """The view of certified developers."""
    return [Address(key[len(DEVELOPER_PREFIX) :]) for key, _ in state.iterate_prefix(DEVELOPER_PREFIX)]


def answer_is_approved(state: StateReader, _: Moment, code_hash: CodeHash) -> bool:
    """The view of whether governance lets a code be published."""
    return is_approved_code(state, code_hash)


_CALLABLE: Final = frozenset({MethodKind.CALL, MethodKind.VIEW})
_INTRODUCE_GAS: Final = 3 * GAS_STATE_WRITE + 3 * GAS_STATE_READ
_SEAL_GAS: Final = 2 * GAS_STATE_WRITE + 2 * GAS_STATE_READ
_UPGRADE_GAS: Final = 2 * GAS_STATE_WRITE + 4 * GAS_STATE_READ
_SET_OWNER_GAS: Final = GAS_STATE_WRITE + GAS_STATE_READ

MODULE = ModuleRule(
    name="contracts",
    summary="Contracts: publish, call and upgrade them",
    calls=(
        CallRule(
            "store_part",
            StorePart,
            apply_store_part,
            lambda call: 2 * GAS_STATE_WRITE + GAS_STATE_READ + GAS_BYTE * len(call.part),
            f"{2 * GAS_STATE_WRITE + GAS_STATE_READ} + {GAS_BYTE} for each byte",
        ),
        CallRule(
            "introduce",
            Introduce,
            apply_introduce,
            lambda call: _INTRODUCE_GAS + GAS_BYTE * len(call.arguments),
            f"{_INTRODUCE_GAS} + {GAS_BYTE} for each byte of arguments + what checking the code and init use",
        ),
        CallRule("seal", Seal, apply_seal, lambda _: _SEAL_GAS, f"{_SEAL_GAS} + what init uses"),
        CallRule("call", CallContract, apply_call, lambda _: 0, "what the call uses"),
        CallRule(
            "upgrade",
            Upgrade,
            apply_upgrade,
            lambda _: _UPGRADE_GAS,
            f"{_UPGRADE_GAS} + what checking the code costs, and what migrate uses",
        ),
        CallRule("set_owner", SetOwner, apply_set_owner, lambda _: _SET_OWNER_GAS, str(_SET_OWNER_GAS)),
    ),
    events=tuple(map(EventRule, (Introduced, Sealed, Upgraded, OwnerSet, Emitted))),
    views=(
        ViewRule("contract", (("contract", Address),), answer_contract),
        ViewRule("code", (("code_hash", CodeHash),), answer_code),
        ViewRule("history", (("contract", Address),), answer_history),
        ViewRule("call", (("contract", Address), ("method", Name), ("arguments", PackedArguments)), answer_call),
        ViewRule(
            "storage",
            (("contract", Address), ("key", Annotated[bytes, Len(0, CONTRACT_KEY_BYTES_MAX)])),
            answer_storage,
        ),
        ViewRule("developers", (), answer_developers),
        ViewRule("is_approved", (("code_hash", CodeHash),), answer_is_approved),
    ),
)
