"""Runs compiled contracts on a bare engine with the host functions they need: no gas, no limits of the chain.

`Outcome` is all that a call shows; `tests/compiler/both.py` compares it with CPython's.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from typing import Any

import wasmtime

from compiler import CompiledContract
from compiler.compilation import IMPORTS
from identity.keccak import keccak256
from identity.keys import KeyType, PublicKey, verify_signature
from ledger.merkle import ListProof, compute_leaf_hash, is_proof_valid
from vm.contracts.abi import Parameter, list_types, pack_values, resolve_structs, unpack_values
from vm.contracts.host_functions import HOST_MODULE

_TYPES = {"i32": wasmtime.ValType.i32(), "i64": wasmtime.ValType.i64()}
_NAMES = {"call": "call_other"}
_WORD = 0xFFFF_FFFF
_LONG = 0xFFFF_FFFF_FFFF_FFFF


class Reverted(Exception):
    """The guest called `revert`."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message


class Refused(Exception):
    """The host refuses what the guest wants."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass
class World:
    """What the host functions read and change."""

    address: bytes = bytes(20)
    caller: bytes = bytes(20)
    signer: bytes = bytes(20)
    signer_did: bytes | None = None
    value: int = 0
    height: int = 1
    time_ms: int = 1_700_000_000_000
    epoch: int = 0
    gas_left: int = 10_000_000
    chain_id: str = "test"
    transaction_id: bytes = bytes(32)
    balances: dict[bytes, int] = field(default_factory=dict)
    storage: dict[bytes, bytes] = field(default_factory=dict)
    events: list[tuple[str, list[Any]]] = field(default_factory=list)
    others: Callable[[bytes | str, str, bytes, int, bool], tuple[int, bytes]] | None = None
    """Answers calls of other contracts and native modules: reason number and packed result."""


@cache
def _engine() -> wasmtime.Engine:
    return wasmtime.Engine()


class Instance:
    """One compiled contract; every call gets fresh memory."""

    def __init__(self, contract: CompiledContract) -> None:
        self.interface = contract.interface
        self.structs = resolve_structs(contract.interface)
        self.module = wasmtime.Module(_engine(), contract.code)

    def run(self, world: World, name: str, arguments: list[Any]) -> Any:
        """Call a method; raises Reverted or Refused, and then the world is as it was."""
        method = next(each for each in self.interface.methods if each.name == name)
        packed = pack_values(list_types(method.parameters, self.structs), arguments)
        before = dict(world.storage), list(world.events), dict(world.balances)
        host = _Host(self, world, packed)
        try:
            host.call(name)
        except (Reverted, Refused):
            world.storage, world.events, world.balances = before
            raise
        finally:
            host.store.close()
        if not method.result:
            assert host.result == b""
            return None
        result_types = list_types((Parameter("result", method.result),), self.structs)
        (value,) = unpack_values(result_types, host.result)
        return value


class _Host:
    def __init__(self, instance: Instance, world: World, packed: bytes) -> None:
        self.instance = instance
        self.world = world
        self.packed = packed
        self.result = b""
        self.registers: dict[int, bytes] = {}
        self.failure: Exception | None = None
        self.store = wasmtime.Store(_engine())
        linker = wasmtime.Linker(_engine())
        for name, signature in IMPORTS.items():
            kind = wasmtime.FuncType(
                [_TYPES[each] for each in signature.parameters],
                [_TYPES[signature.result]] if signature.result else [],
            )
            if not hasattr(self, _NAMES.get(name, name)):
                continue  # compiled Python asks for neither storage_scan nor log
            linker.define_func(HOST_MODULE, name, kind, self._guard(getattr(self, _NAMES.get(name, name)), signature))
        self.exports = linker.instantiate(self.store, instance.module).exports(self.store)
        self.memory = self.exports["memory"]

    def call(self, name: str) -> None:
        try:
            self.exports[name](self.store)
        except (wasmtime.Trap, wasmtime.WasmtimeError) as error:
            raise (self.failure or Refused(f"UNREACHABLE {error}")) from None
        except (Reverted, Refused):
            raise

    def _guard(self, function: Callable[..., Any], signature: Any) -> Callable[..., Any]:
        masks = [_WORD if each == "i32" else _LONG for each in signature.parameters]

        def run(*arguments: int) -> Any:
            try:
                result = function(*[each & mask for each, mask in zip(arguments, masks, strict=True)])
            except (Reverted, Refused) as error:
                self.failure = error
                raise
            if signature.result == "i32" and result >= 1 << 31:
                return result - (1 << 32)
            if signature.result == "i64" and result >= 1 << 63:
                return result - (1 << 64)
            return result

        return run

    def get(self, place: int, length: int) -> bytes:
        if place + length > self.memory.data_len(self.store):
            raise Refused("BAD_POINTER")
        return bytes(self.memory.read(self.store, place, place + length))

    def put(self, place: int, data: bytes) -> None:
        if place + len(data) > self.memory.data_len(self.store):
            raise Refused("BAD_POINTER")
        self.memory.write(self.store, data, place)

    def register_length(self, register):
        return len(self.registers[register]) if register in self.registers else _WORD

    def register_read(self, register, place):
        self.put(place, self.registers[register])

    def input(self, register):
        self.registers[register] = self.packed

    def return_value(self, place, length):
        self.result = self.get(place, length)

    def revert(self, code, place, length):
        raise Reverted(code, self.get(place, length).decode())

    def storage_get(self, place, length, register):
        value = self.world.storage.get(self.get(place, length))
        if value is not None:
            self.registers[register] = value
        return int(value is not None)

    def storage_has(self, place, length):
        return int(self.get(place, length) in self.world.storage)

    def storage_put(self, key, key_length, value, value_length):
        if key_length > 128 or value_length > 16_384:
            raise Refused("HOST_LIMIT")
        self.world.storage[self.get(key, key_length)] = self.get(value, value_length)

    def storage_delete(self, place, length):
        return int(self.world.storage.pop(self.get(place, length), None) is not None)

    def self_address(self, place):
        self.put(place, self.world.address)

    def caller(self, place):
        self.put(place, self.world.caller)

    def signer(self, place):
        self.put(place, self.world.signer)

    def signer_did(self, place):
        if self.world.signer_did is None:
            return 0
        self.put(place, self.world.signer_did)
        return 1

    def value(self):
        return self.world.value

    def block_height(self):
        return self.world.height

    def block_time_ms(self):
        return self.world.time_ms

    def epoch(self):
        return self.world.epoch

    def gas_left(self):
        return self.world.gas_left

    def chain_id(self, register):
        self.registers[register] = self.world.chain_id.encode()

    def transaction_id(self, place):
        self.put(place, self.world.transaction_id)

    def balance(self, place):
        return self.world.balances.get(self.get(place, 20), 0)

    def transfer(self, place, amount):
        held = self.world.balances.get(self.world.address, 0)
        if amount > held:
            raise Refused("INSUFFICIENT_BALANCE")
        recipient = self.get(place, 20)
        self.world.balances[self.world.address] = held - amount
        self.world.balances[recipient] = self.world.balances.get(recipient, 0) + amount

    def _call_other(self, target, method, arguments, grains, register, is_view):
        reason, result = self.world.others(target, method, arguments, grains, is_view)
        self.registers[register] = result
        return reason

    def call_other(self, address, method, method_length, arguments, length, grains, gas, register):
        target, name = self.get(address, 20), self.get(method, method_length).decode()
        return self._call_other(target, name, self.get(arguments, length), grains, register, False)

    def view(self, address, method, method_length, arguments, length, gas, register):
        target, name = self.get(address, 20), self.get(method, method_length).decode()
        return self._call_other(target, name, self.get(arguments, length), 0, register, True)

    def call_native(self, module, module_length, call, call_length, arguments, length, register):
        target, name = self.get(module, module_length).decode(), self.get(call, call_length).decode()
        return self._call_other(target, name, self.get(arguments, length), 0, register, False)

    def view_native(self, module, module_length, call, call_length, arguments, length, register):
        target, name = self.get(module, module_length).decode(), self.get(call, call_length).decode()
        return self._call_other(target, name, self.get(arguments, length), 0, register, True)

    def sha256(self, place, length, out):
        self.put(out, sha256(self.get(place, length)).digest())

    def keccak256(self, place, length, out):
        self.put(out, keccak256(self.get(place, length)))

    def _verify(self, key_type, key, message, length, signature):
        public_key = PublicKey(key_type, self.get(key, 32 if key_type is KeyType.ED25519 else 33))
        return int(verify_signature(public_key, self.get(message, length), self.get(signature, 64)))

    def ed25519_verify(self, *arguments):
        return self._verify(KeyType.ED25519, *arguments)

    def secp256k1_verify(self, *arguments):
        return self._verify(KeyType.SECP256K1, *arguments)

    def p256_verify(self, *arguments):
        return self._verify(KeyType.P256, *arguments)

    def merkle_verify(self, root, leaf, leaf_length, index, count, proof, proof_length):
        raw = self.get(proof, proof_length)
        if len(raw) % 32:
            return 0
        path = tuple(raw[start : start + 32] for start in range(0, len(raw), 32))
        leaf_hash = compute_leaf_hash(self.get(leaf, leaf_length))
        return int(is_proof_valid(ListProof(index, count, path), leaf_hash, self.get(root, 32)))

    def mul_div(self, a, b, c, rounding, out):
        x, y, z = (int.from_bytes(self.get(each, 16), "little") for each in (a, b, c))
        if z == 0:
            raise Refused("ARITHMETIC")
        result = (x * y // z, -(-x * y // z), (2 * x * y + z) // (2 * z))[rounding]
        if result >> 128:
            raise Refused("ARITHMETIC")
        self.put(out, result.to_bytes(16, "little"))

    def emit(self, name, name_length, data, length):
        event = next(
            each for each in self.instance.interface.events if each.name == self.get(name, name_length).decode()
        )
        fields = unpack_values(list_types(event.fields, self.instance.structs), self.get(data, length))
        self.world.events.append((event.name, fields))
