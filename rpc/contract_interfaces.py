"""What is known of a contract by its interface: its methods' and events' values, the code in force at a height."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, Final

from identity.address import ADDRESS_BYTES, Address, NetworkKind
from ledger.history import EMITTED
from ledger.receipt import Event
from ledger.state import StateReader
from ledger.transaction import Call
from rpc.backend import Backend
from rpc.contract_values import NamedTypes, unpack_to_json
from rpc.errors import RpcError
from vm.contracts.abi import (
    Interface,
    InvalidValueError,
    Method,
    MethodKind,
    Parameter,
    StorageKind,
    StructOf,
    decode_interface,
    parse_type,
    resolve_structs,
)
from vm.contracts.records import Contract, get_code_facts, get_contract, get_versions

INTERFACES_CACHED: Final = 256
_CALL: Final = ("contracts", "call")
_RECORD: Final = b"\x00"  # how the keys of an indexed map's values go on, after the item's position
_RECORD_INDEX_BYTES: Final = 4  # before such a value


@dataclass(frozen=True, slots=True)
class ReadableInterface:
    """An interface whose types can be looked up."""

    declared: Interface
    structs: dict[str, StructOf]

    def find_method(self, name: str) -> Method | None:
        """The method of that name."""
        return next((method for method in self.declared.methods if method.name == name), None)

    def find_special(self, kind: MethodKind) -> Method | None:
        """The init or migrate method."""
        return next((method for method in self.declared.methods if method.kind is kind), None)

    def list_fields(self, parameters: tuple[Parameter, ...]) -> NamedTypes:
        """Names and types of parameters."""
        return [(each.name, parse_type(each.type, self.structs)) for each in parameters]

    def decode_event(self, name: str, packed: bytes, network: NetworkKind) -> dict[str, Any] | None:
        """An event's fields by name; None when they are not what the interface declares."""
        event = next((event for event in self.declared.events if event.name == name), None)
        return None if event is None else self._decode(event.fields, packed, network)

    def decode_arguments(self, method: str, packed: bytes, network: NetworkKind) -> dict[str, Any] | None:
        """A call's arguments by name; None when they are not what the interface declares."""
        found = self.find_method(method)
        return None if found is None else self._decode(found.parameters, packed, network)

    def decode_result(self, method: Method, packed: bytes, network: NetworkKind) -> Any:
        """What a method gave back; None when it gives nothing back."""
        if not method.result:
            return None
        return unpack_to_json([("result", parse_type(method.result, self.structs))], packed, network)["result"]

    def decode_stored(self, key: bytes, value: bytes | None, network: NetworkKind) -> tuple[str, Any, Any] | None:
        """Storage item, key and value; None when the schema does not tell, or they are not what it tells."""
        position = key[0] if key else len(self.declared.storage)
        if position >= len(self.declared.storage):
            return None
        item = self.declared.storage[position]
        key = key[1:]
        if item.kind is StorageKind.INDEXED_MAP:
            if not key.startswith(_RECORD):
                return None  # the order of its keys, and how many there are
            key = key[len(_RECORD) :]
            value = None if value is None else value[_RECORD_INDEX_BYTES:]
        keys = (Parameter("key", item.key),) if item.key else ()
        named = self._decode(keys, key, network)
        stored = {"value": None} if value is None else self._decode((Parameter("value", item.value),), value, network)
        return None if named is None or stored is None else (item.name, named.get("key"), stored["value"])

    def _decode(self, parameters: tuple[Parameter, ...], packed: bytes, network: NetworkKind) -> dict[str, Any] | None:
        try:
            return unpack_to_json(self.list_fields(parameters), packed, network)
        except InvalidValueError:
            return None


FindInterface = Callable[[Address], ReadableInterface | None]
"""Looks up the interface of a contract."""


def find_no_interface(_: Address) -> ReadableInterface | None:
    """For whoever has no state at hand: values of contracts stay packed."""
    return None


@lru_cache(maxsize=INTERFACES_CACHED)
def read_interface(encoded: bytes) -> ReadableInterface:
    """An interface that passed the gate."""
    interface = decode_interface(encoded)
    return ReadableInterface(interface, resolve_structs(interface))


def load_interface(state: StateReader, contract: Contract) -> ReadableInterface:
    """The interface of the code a contract has now."""
    return _load(state, contract.code_hash)


def make_finder(backend: Backend, height: int | None = None) -> FindInterface:
    """Looks up interfaces of the code that was in force in a block; of the present one by default.

    The state at the head tells: it has every code a contract has ever had. A contract without an interface there,
    or a state that cannot be read at this moment, gives None, and its values stay packed.
    """

    def find(address: Address) -> ReadableInterface | None:
        try:
            with backend.open_state(None) as state:
                contract = get_contract(state, address)
                return None if contract is None else _load(state, _find_code(state, address, contract, height))
        except RpcError:
            return None

    return cache(find)


def decode_event(event: Event, find: FindInterface, network: NetworkKind) -> dict[str, Any] | None:
    """The fields of the event that a contract announced by its interface; None for any other event."""
    if (event.module, event.name) != EMITTED:
        return None
    match event.fields:
        case [bytes(contract), str(name), bytes(packed)] if len(contract) == ADDRESS_BYTES:
            interface = find(Address(contract))
            return None if interface is None else interface.decode_event(name, packed, network)
    return None


def decode_call(call: Call, find: FindInterface, network: NetworkKind) -> dict[str, Any] | None:
    """The arguments of a contract's method by its interface; None for any other call."""
    if (call.module, call.call) != _CALL:
        return None
    match call.arguments:
        case [bytes(contract), str(method), bytes(packed), *_] if len(contract) == ADDRESS_BYTES:
            interface = find(Address(contract))
            return None if interface is None else interface.decode_arguments(method, packed, network)
    return None


def _find_code(state: StateReader, address: Address, contract: Contract, height: int | None) -> bytes:
    """The hash of the code in force in a block; in the block of an upgrade, the new one."""
    if height is None or contract.versions <= 1:
        return contract.code_hash
    before = [version for version in get_versions(state, address) if version.height <= height]
    return before[-1].code_hash if before else contract.code_hash


def _load(state: StateReader, code_hash: bytes) -> ReadableInterface:
    facts = get_code_facts(state, code_hash)
    assert facts is not None, "a contract's code is never removed"
    return read_interface(facts.interface)
