"""Compiled contracts in real transactions: published, sealed, called, calling each other."""

from pathlib import Path

from compiler import compile_source
from contracts.token.token import BALANCE_TOO_SMALL
from iov import Panic
from ledger.reasons import CONTRACT_REASON_FIRST
from ledger.receipt import Status
from ledger.state_keys import contract_storage_key
from ledger.transaction import Call
from tests.vm.contracts.puppet import find_address, hash_code
from tests.vm.contracts.scene import BOB, A, B, Scene
from vm.contracts.abi import list_types, pack_values, resolve_structs
from vm.native.accounts import get_account

TOKEN = compile_source(
    (Path(__file__).parent.parent.parent / "contracts" / "token" / "token.py").read_text(encoding="utf-8"), "token.py"
)
SHOP = compile_source(
    """
from iov import Address, Contract, ContractInterface, Var, call, context, init, payable, transfer, u64, u128, view


class Token(ContractInterface):
    @call
    def transfer_from(self, owner: Address, recipient: Address, amount: u128) -> None:
        raise NotImplementedError  # the language: its code is in another contract or module

    @view
    def balance_of(self, owner: Address) -> u128:
        raise NotImplementedError  # the language: its code is in another contract or module


class Shop(Contract):
    token: Var[Address]
    taken: Var[u128]

    @init
    def create(self, token: Address) -> None:
        self.token = token
        self.taken = u128(0)

    @call
    def buy(self, amount: u128) -> None:
        self.taken += amount
        Token(self.token).transfer_from(context.caller, context.address, amount)
        self.taken = Token(self.token).balance_of(context.address)

    @call
    @payable
    def change(self, back: u64) -> None:
        transfer(context.caller, back)
""",
    "shop.py",
)


def pack(contract, method, *arguments):
    interface = contract.interface
    parameters = next(each.parameters for each in interface.methods if each.name == method)
    return pack_values(list_types(parameters, resolve_structs(interface)), list(arguments))


def publish(scene, contract, *arguments):
    address = find_address(A, contract.code, b"")
    packed = pack(contract, "create", *arguments)
    introduce = Call("contracts", "introduce", [b"", hash_code(contract.code), contract.code, packed, 0])
    receipt = scene.send(introduce, Call("contracts", "seal", [address]))
    assert receipt.status is Status.SUCCEEDED, receipt
    return address


def call(scene, address, contract, method, *arguments, value=0, **options):
    packed = pack(contract, method, *arguments)
    return scene.send(Call("contracts", "call", [address, method, packed, value]), **options)


def get_taken(scene, shop):
    return int.from_bytes(scene.state.get(contract_storage_key(shop, b"\x01")), "little")


def test_a_shop_takes_tokens_it_was_allowed_to_take():
    scene = Scene()
    token = publish(scene, TOKEN, "Points", "P", 0, 1_000)
    shop = publish(scene, SHOP, bytes(token))
    assert call(scene, token, TOKEN, "transfer", bytes(B), 100).status is Status.SUCCEEDED
    assert call(scene, token, TOKEN, "approve", bytes(shop), 70, key=BOB).status is Status.SUCCEEDED
    assert call(scene, shop, SHOP, "buy", 60, key=BOB).status is Status.SUCCEEDED
    assert get_taken(scene, shop) == 60
    assert scene.state.get(contract_storage_key(token, b"\x04" + B)) == (40).to_bytes(16, "little")


def test_a_failure_of_the_token_fails_the_shop_and_undoes_both():
    scene = Scene()
    token = publish(scene, TOKEN, "Points", "P", 0, 1_000)
    shop = publish(scene, SHOP, bytes(token))
    receipt = call(scene, shop, SHOP, "buy", 60, key=BOB)
    assert receipt.reason == CONTRACT_REASON_FIRST + Panic.CALL_FAILED
    assert get_taken(scene, shop) == 0


def test_a_contract_s_own_code_stands_in_the_receipt():
    scene = Scene()
    token = publish(scene, TOKEN, "Points", "P", 0, 1_000)
    receipt = call(scene, token, TOKEN, "transfer", bytes(B), 1_001)
    assert receipt.reason == CONTRACT_REASON_FIRST + BALANCE_TOO_SMALL


def test_money_comes_with_a_call_and_goes_back():
    scene = Scene()
    shop = publish(scene, SHOP, bytes(20))
    assert call(scene, shop, SHOP, "change", 300, value=1_000).status is Status.SUCCEEDED
    assert get_account(scene.state, shop).balance_grains == 700
    assert call(scene, shop, SHOP, "change", 701).status is Status.FAILED
