"""Runs compiled contracts as a node does: the gate, the engine with gas, and the real host functions on a state."""

from dataclasses import replace
from typing import Any

from compiler import CompiledContract
from identity.address import Address
from ledger.primitives import ChainId, Grains, Height, TransactionId
from ledger.reasons import Rejected
from ledger.reasons import Reverted as RevertedOnChain
from ledger.state import State
from ledger.state_keys import account_key, contract_storage_key
from node.contract_stack import ContractStack
from tests.builders import block_context, make_state
from tests.compiler.wasm_host import Refused, Reverted, World
from vm.context import Context
from vm.contracts.abi import (
    MethodKind,
    Parameter,
    encode_interface,
    list_types,
    pack_values,
    resolve_structs,
    unpack_values,
)
from vm.contracts.calls import Request, call_contract
from vm.contracts.gate import check_contract
from vm.contracts.records import CodeFacts, CodeHash, Contract, ContractStatus, put_code, put_contract
from vm.contracts.runtime import build_runtime
from vm.gas import GasMeter
from vm.native.accounts import get_account

GAS = 10**9  # nothing that is tested here runs out of it
RUNTIME = build_runtime(ChainId("test"), ContractStack().run)


class ChainInstance:
    """One compiled contract; every call begins with a state made of a `World`."""

    def __init__(self, contract: CompiledContract) -> None:
        checked = check_contract(contract.code)
        self.code, self.checked = contract.code, checked
        self.interface = contract.interface
        self.structs = resolve_structs(contract.interface)
        assert checked.interface == contract.interface

    def run(self, world: World, name: str, arguments: list[Any]) -> Any:
        """Call a method; raises Reverted or Refused, and then the world is as it was."""
        method = next(each for each in self.interface.methods if each.name == name)
        packed = pack_values(list_types(method.parameters, self.structs), arguments)
        state = self._build_state(world)
        block = replace(block_context(world.height, world.time_ms), contracts=RUNTIME)
        caller = Address(world.caller)
        signer, transaction_id = Address(world.signer), TransactionId(world.transaction_id)
        context = Context(block, signer, signer, transaction_id, GasMeter(GAS, 0))
        request = Request(Address(world.address), name, packed, caller, world.value)
        try:
            result = call_contract(state, context, request, frozenset(MethodKind))
        except RevertedOnChain as error:
            raise Reverted(error.code, error.message) from None
        except Rejected as error:
            raise Refused(error.reason.name) from None
        self._read_state(world, state)
        for event in context.events:
            if event.name == "Emitted":
                _, kind, data = event.fields
                fields = next(each.fields for each in self.interface.events if each.name == kind)
                world.events.append((kind, unpack_values(list_types(fields, self.structs), data)))
        if not method.result:
            return None
        (value,) = unpack_values(list_types((Parameter("result", method.result),), self.structs), result)
        return value

    def _build_state(self, world: World) -> State:
        balances = {Address(address): grains for address, grains in world.balances.items()}
        if world.value:  # a world has paid already
            balances[Address(world.caller)] += world.value
            balances[Address(world.address)] -= world.value
        state = make_state({address: grains for address, grains in balances.items() if grains})
        code_hash = CodeHash(self.checked.code_hash)
        instrumented = self.checked.instrumented
        facts = CodeFacts(encode_interface(self.interface), len(instrumented), self.checked.memory_pages)
        put_code(state, code_hash, self.code, facts, instrumented)
        owner = Address(bytes(20))
        record = Contract(owner, owner, code_hash, ContractStatus.SEALED, Height(1), 1, b"", Grains(0))
        put_contract(state, Address(world.address), record)
        for key, value in world.storage.items():
            state.put(contract_storage_key(Address(world.address), key), value)
        return state

    def _read_state(self, world: World, state: State) -> None:
        prefix = contract_storage_key(Address(world.address), b"")
        world.storage = {key[len(prefix) :]: value for key, value in state.iterate_prefix(prefix)}
        accounts = account_key(Address(bytes(20)))[:-20]
        touched = {key[-20:] for key in state.changes if key.startswith(accounts)}
        for address in sorted(touched | set(world.balances)):
            grains = int(get_account(state, Address(address)).balance_grains)
            if grains or address in world.balances:
                world.balances[address] = grains
