"""A state with funded accounts, and short ways to send transactions of the module `contracts`."""

from collections.abc import Sequence
from dataclasses import replace

from identity.address import Address
from ledger.receipt import Receipt, Status
from ledger.state import State
from ledger.state_keys import account_key, contract_storage_key
from ledger.transaction import Call
from node.contract_stack import ContractStack
from tests.builders import CHAIN_ID, PARAMETERS, Draft, address_of, block_context, make_key, make_state
from tests.vm.contracts.puppet import build_puppet, find_address, hash_code, pack_script
from vm.context import BlockContext
from vm.contracts.runtime import build_runtime
from vm.native.accounts import get_account
from vm.parameters import put_parameters
from vm.transition import apply_transaction

ALICE, BOB = make_key("alice"), make_key("bob")
A, B = address_of(ALICE), address_of(BOB)
START_GRAINS = 10**12
GAS = 2_000_000
RUNTIME = build_runtime(CHAIN_ID, ContractStack().run)
"""One for all tests: whatever ran in it before must not matter."""


class Scene:
    """Alice publishes, Bob calls."""

    def __init__(self, **parameters: int) -> None:
        self.state: State = make_state({A: START_GRAINS, B: START_GRAINS})
        self.parameters = replace(PARAMETERS, **parameters)
        put_parameters(self.state, self.parameters)
        self.height = 1
        self.trace: list[str] | None = None

    @property
    def block(self) -> BlockContext:
        """The block in which transactions are executed."""
        context = block_context(self.height)
        return replace(context, parameters=self.parameters, contracts=RUNTIME, trace=self.trace)

    def send(self, *calls: Call, key=ALICE, gas: int = GAS, price_grains: int = 1) -> Receipt:
        """Execute a transaction."""
        sequence = get_account(self.state, address_of(key)).sequence
        transaction = Draft(key, calls, sequence=sequence, gas_limit=gas, price_grains=price_grains).sign()
        receipt = apply_transaction(self.state, self.block, transaction)
        assert receipt.status is not Status.SKIPPED, receipt
        return receipt

    def publish(self, code: bytes | None = None, *steps: bytes, salt: bytes = b"", value: int = 0) -> Address:
        """Introduce and seal a puppet in one transaction."""
        code = build_puppet() if code is None else code
        address = find_address(A, code, salt)
        receipt = self.send(introduce(code, *steps, salt=salt, value=value), Call("contracts", "seal", [address]))
        assert receipt.status is Status.SUCCEEDED, receipt
        return address

    def run(self, contract: Address, *steps: bytes, method: str = "run", value: int = 0, gas: int = GAS) -> Receipt:
        """Bob has a puppet play a script."""
        return self.send(run(contract, *steps, method=method, value=value), key=BOB, gas=gas)

    def stored(self, contract: Address, key: int) -> bytes | None:
        """What a puppet holds under a key."""
        return self.state.get(contract_storage_key(contract, bytes([key])))

    def snapshot(self, *payers: Address) -> dict[bytes, bytes]:
        """All that the state holds, without the accounts of those who pay fees."""
        hidden = {account_key(payer) for payer in payers}
        return {key: value for key, value in self.state.changes.items() if value is not None and key not in hidden}


def introduce(code: bytes, *steps: bytes, salt: bytes = b"", value: int = 0) -> Call:
    """Introduce a puppet whose init plays a script."""
    return Call("contracts", "introduce", [salt, hash_code(code), code, pack_script(*steps), value])


def run(contract: Address, *steps: bytes, method: str = "run", value: int = 0) -> Call:
    """Have a puppet play a script."""
    return Call("contracts", "call", [contract, method, pack_script(*steps), value])


def emitted(receipt: Receipt) -> list[tuple[Address, int]]:
    """Who announced which number."""
    return [
        (event.fields[0], event.fields[2][0])
        for event in receipt.events
        if (event.module, event.name) == ("contracts", "Emitted")
    ]


def total_grains(state: State, addresses: Sequence[Address], fees: int) -> int:
    """What accounts hold, with what they have paid in fees."""
    return sum(get_account(state, address).balance_grains for address in addresses) + fees
