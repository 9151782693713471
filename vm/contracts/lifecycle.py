"""How code becomes a contract, and how a contract gets other code.

Rules
* P1 Code enters the chain once the gate has let it pass; from then on its hash names it, and it is never checked again.
* P2 Who may publish is a parameter. The rule holds when a contract is introduced, sealed and upgraded.
* P3 An introduction is tried: init runs and is undone. Nothing can be called before the contract is sealed.
* P4 Sealing runs init for real. From then on the code is replaced only as the interface of the code in force says, and
  every code a contract has had stands in its history.
* P5 An upgrade keeps address, storage and coins; the new code's `migrate` runs once, at once.
"""

from dataclasses import replace
from hashlib import sha256
from typing import Final

from identity.address import Address, compute_contract_address
from ledger.primitives import Grains, Height
from ledger.reasons import Reason, Rejected
from ledger.state import State, StateReader
from vm.context import Context
from vm.contracts.abi import MethodKind, UpgradeRule, decode_interface, encode_interface
from vm.contracts.calls import Request, call_contract, compile_code, resolve_interface
from vm.contracts.gate import RefusedError, check_contract
from vm.contracts.module import MODULE_BYTES_MAX
from vm.contracts.records import (
    INSTRUMENTED_BYTES_MAX,
    CodeFacts,
    CodeHash,
    Contract,
    ContractStatus,
    add_version,
    get_code_facts,
    get_contract,
    is_approved_code,
    is_developer,
    put_code,
    put_contract,
    take_parts,
)
from vm.gas import COMPILE_WORK_OF_GAS, GAS_BYTE, GAS_CODE_CHECK_BYTE, GAS_STATE_READ, GAS_STATE_WRITE
from vm.native.accounts import IS_CONTRACT, get_account, put_account
from vm.parameters import Parameters

EVERYBODY: Final = 0
CERTIFIED_DEVELOPERS: Final = 1
APPROVED_CODE: Final = 2
"""Values of the parameter `contract_publishers`."""


def check_publisher(state: StateReader, parameters: Parameters, publisher: Address, code_hash: bytes) -> None:
    """Rule P2; raises Rejected."""
    rule = parameters.contract_publishers
    if rule == CERTIFIED_DEVELOPERS and not is_developer(state, publisher):
        raise Rejected(Reason.PUBLISHER_NOT_ALLOWED, "only developers that governance has certified publish contracts")
    if rule == APPROVED_CODE and not is_approved_code(state, code_hash):
        raise Rejected(Reason.PUBLISHER_NOT_ALLOWED, "governance has not approved this code")


def publish_code(state: State, context: Context, code_hash: CodeHash, code: bytes) -> CodeFacts:
    """Rule P1: the facts of a code, which is given, or was stored in parts, or is published already."""
    context.gas.charge(GAS_STATE_READ)
    facts = get_code_facts(state, code_hash)
    if facts is not None:
        return facts
    code = code or take_parts(state, context.sender, code_hash)
    if not code:
        raise Rejected(Reason.BAD_CONTRACT, "there is no code of this hash")
    if len(code) > MODULE_BYTES_MAX:
        raise Rejected(Reason.BAD_CONTRACT, f"code has at most {MODULE_BYTES_MAX} bytes", maximum=MODULE_BYTES_MAX)
    context.gas.charge(GAS_CODE_CHECK_BYTE * len(code) + 3 * GAS_STATE_WRITE)
    if sha256(code).digest() != code_hash:
        raise Rejected(Reason.BAD_CONTRACT, "the code does not have this hash")
    try:
        checked = check_contract(code)
    except RefusedError as error:
        raise Rejected(Reason.BAD_CONTRACT, str(error)) from None
    if len(checked.instrumented) > INSTRUMENTED_BYTES_MAX:
        raise Rejected(Reason.BAD_CONTRACT, f"with its counters the code has more than {INSTRUMENTED_BYTES_MAX} bytes")
    context.gas.charge(GAS_BYTE * (len(code) + len(checked.instrumented)) + checked.compile_work // COMPILE_WORK_OF_GAS)
    facts = CodeFacts(encode_interface(checked.interface), len(checked.instrumented), checked.memory_pages)
    put_code(state, code_hash, code, facts, checked.instrumented)
    compile_code(context, code_hash, checked.instrumented)
    return facts


def introduce(
    state: State, context: Context, salt: bytes, code_hash: CodeHash, code: bytes, arguments: bytes, value_grains: int
) -> Address:
    """Rules P1 to P3: the address of the new contract."""
    sender, block = context.sender, context.block
    check_publisher(state, block.parameters, sender, code_hash)
    address = compute_contract_address(sender, code_hash, salt)
    if get_contract(state, address) is not None:
        raise Rejected(Reason.CONTRACT_EXISTS, "the sender has introduced this code with this salt already")
    facts = publish_code(state, context, code_hash, code)
    contract = Contract(
        sender, sender, code_hash, ContractStatus.INTRODUCED, block.height, 0, arguments, Grains(value_grains)
    )
    put_contract(state, address, contract)
    account = get_account(state, address)
    put_account(state, address, account._replace(flags=account.flags | IS_CONTRACT))
    mark, events = state.get_mark(), len(context.events)
    _run_once(state, context, address, facts, MethodKind.INIT, arguments, value_grains)
    state.undo_to(mark)
    del context.events[events:]
    return address


def seal(state: State, context: Context, address: Address) -> Contract:
    """Rules P2 to P4: the contract, sealed."""
    contract = _require_contract(state, address)
    if contract.status is ContractStatus.SEALED:
        raise Rejected(Reason.ALREADY_SEALED, "the contract is sealed already")
    if contract.introducer != context.sender:
        raise Rejected(Reason.PUBLISHER_NOT_ALLOWED, "a contract is sealed by whoever has introduced it")
    check_publisher(state, context.block.parameters, context.sender, contract.code_hash)
    facts = _require_facts(state, contract.code_hash)
    _run_once(state, context, address, facts, MethodKind.INIT, contract.init_arguments, contract.init_value_grains)
    sealed = replace(
        contract,
        status=ContractStatus.SEALED,
        height=context.block.height,
        versions=0,
        init_arguments=b"",
        init_value_grains=Grains(0),
    )
    return _put_version(state, address, sealed, context.block.height)


def upgrade_by_owner(
    state: State, context: Context, address: Address, code_hash: CodeHash, code: bytes, arguments: bytes
) -> CodeHash:
    """Rules P1, P2, P4 and P5: the hash of the code it had."""
    contract = check_upgrade(state, address, UpgradeRule.OWNER)
    if contract.owner != context.sender:
        raise Rejected(Reason.UPGRADE_NOT_ALLOWED, "only the contract's owner replaces its code")
    check_publisher(state, context.block.parameters, context.sender, code_hash)
    publish_code(state, context, code_hash, code)
    replace_code(state, context, address, contract, code_hash, arguments)
    return contract.code_hash


def check_upgrade(state: StateReader, address: Address, rule: UpgradeRule) -> Contract:
    """Rule P4: the contract, which may get other code in this way; raises Rejected."""
    contract = _require_contract(state, address)
    if contract.status is not ContractStatus.SEALED:
        raise Rejected(Reason.CONTRACT_NOT_SEALED, "its introducer has not sealed it yet")
    declared = decode_interface(_require_facts(state, contract.code_hash).interface).upgrade
    if declared is not rule:
        raise Rejected(Reason.UPGRADE_NOT_ALLOWED, f"the interface says who replaces the code: {declared.name.lower()}")
    return contract


def replace_code(
    state: State, context: Context, address: Address, contract: Contract, code_hash: CodeHash, arguments: bytes
) -> None:
    """Rule P5."""
    facts = _require_facts(state, code_hash)
    if code_hash == contract.code_hash:
        raise Rejected(Reason.UPGRADE_NOT_ALLOWED, "the contract has this code already")
    _put_version(state, address, replace(contract, code_hash=code_hash), context.block.height)
    _run_once(state, context, address, facts, MethodKind.MIGRATE, arguments, 0)


def _put_version(state: State, address: Address, contract: Contract, height: Height) -> Contract:
    add_version(state, address, contract, height)
    counted = replace(contract, versions=contract.versions + 1)
    put_contract(state, address, counted)
    return counted


def _run_once(
    state: State,
    context: Context,
    address: Address,
    facts: CodeFacts,
    kind: MethodKind,
    arguments: bytes,
    value_grains: int,
) -> None:
    """Run init or migrate, if the code has one."""
    method = resolve_interface(facts.interface).find_special(kind)
    if method is None:
        if arguments or value_grains:
            raise Rejected(Reason.BAD_ARGUMENTS, f"the contract has no {kind.name.lower()} method to take them")
        return
    request = Request(address, method.name, arguments, context.sender, value_grains)
    call_contract(state, context, request, frozenset({kind}))


def _require_contract(state: StateReader, address: Address) -> Contract:
    contract = get_contract(state, address)
    if contract is None:
        raise Rejected(Reason.CONTRACT_NOT_FOUND, "there is no contract at this address")
    return contract


def _require_facts(state: StateReader, code_hash: bytes) -> CodeFacts:
    facts = get_code_facts(state, code_hash)
    if facts is None:
        raise Rejected(Reason.BAD_CONTRACT, "no code of this hash was published")
    return facts
