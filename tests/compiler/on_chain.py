"""One contract as a node runs it: through the gate, on the node's engine, undone when it fails."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from identity.address import Address
from ledger.primitives import Grains, Height, TimeMs, TransactionId
from ledger.reasons import Rejected, Reverted
from ledger.state_keys import contract_storage_key
from tests.builders import PARAMETERS, block_context, make_state
from tests.compiler.both import Outcome
from tests.vm.contracts.puppet import find_address, hash_code
from tests.vm.contracts.scene import RUNTIME
from vm.context import Context
from vm.contracts.abi import Method, MethodKind, Parameter, list_types, pack_values, resolve_structs, unpack_values
from vm.contracts.calls import Request, call_contract
from vm.contracts.gate import check_contract
from vm.gas import GasMeter
from vm.native.accounts import get_account
from vm.native.contracts import Introduce, Seal, apply_introduce, apply_seal
from vm.parameters import put_parameters

GAS = 10_000_000
KINDS = frozenset([MethodKind.CALL, MethodKind.VIEW])


class OnChain:
    """Published by the first of the people."""

    def __init__(self, code: bytes, people: Sequence[bytes], grains: int = 0) -> None:
        """Published, but not sealed yet: that is what `seal` is for."""
        self.code = code
        self.interface = check_contract(code).interface
        self.structs = resolve_structs(self.interface)
        self.people = [Address(each) for each in people]
        self.address = find_address(self.people[0], code)
        self.state = make_state({each: Grains(grains) for each in self.people})
        put_parameters(self.state, PARAMETERS)
        self.height, self.time_ms = 1, 1_700_000_000_000
        self.events: list[tuple[str, list[Any]]] = []
        self.gas_used = 0
        """By the last call."""

    def seal(self, *arguments: Any) -> None:
        """Introduce and seal; init gets the arguments."""
        method = next(each for each in self.interface.methods if each.kind is MethodKind.INIT)
        context = self._enter_block(self.people[0])
        introduced = Introduce(b"", hash_code(self.code), self.code, self._pack(method, arguments), Grains(0))
        apply_introduce(self.state, context, introduced)
        apply_seal(self.state, context, Seal(self.address))
        self._take_events(context)

    def run(self, sender: int, name: str, *arguments: Any, value: int = 0) -> Outcome:
        """Call a method; arguments are plain values."""
        method = next(each for each in self.interface.methods if each.name == name)
        context = self._enter_block(self.people[sender])
        is_view = method.kind is MethodKind.VIEW
        request = Request(
            self.address, name, self._pack(method, arguments), self.people[sender], Grains(value), is_view=is_view
        )
        mark = self.state.get_mark()
        result, failure = None, None
        try:
            packed = call_contract(self.state, context, request, KINDS)
        except Rejected as rejected:
            self.state.undo_to(mark)
            failure = rejected.code if isinstance(rejected, Reverted) else rejected.reason.name
        else:
            self._take_events(context)
            if method.result:
                (result,) = unpack_values(list_types((Parameter("result", method.result),), self.structs), packed)
        self.gas_used = context.gas.used
        return Outcome(result, failure, self.list_storage(), list(self.events))

    def list_storage(self) -> dict[bytes, bytes]:
        """What the contract has stored."""
        prefix = contract_storage_key(self.address, b"")
        return {key.removeprefix(prefix): value for key, value in self.state.iterate_prefix(prefix)}

    def get_grains(self, account: bytes) -> int:
        """Money of an account."""
        return int(get_account(self.state, Address(account)).balance_grains)

    def _enter_block(self, sender: Address) -> Context:
        block = replace(block_context(), height=Height(self.height), time_ms=TimeMs(self.time_ms), contracts=RUNTIME)
        return Context(block, sender, sender, TransactionId(bytes(32)), GasMeter(GAS, 0))

    def _pack(self, method: Method, arguments: Sequence[Any]) -> bytes:
        return pack_values(list_types(method.parameters, self.structs), list(arguments))

    def _take_events(self, context: Context) -> None:
        for event in context.events:
            if event.name == "Emitted":
                _, name, packed = event.fields
                declared = next(each for each in self.interface.events if each.name == name)
                self.events.append((name, unpack_values(list_types(declared.fields, self.structs), packed)))
