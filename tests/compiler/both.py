"""Runs one source under CPython, on a bare engine and as a node does, call by call, and compares all that shows."""

import sys
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from itertools import count
from types import ModuleType
from typing import Any

from compiler import compile_source
from iov import Contract, HostError, RevertError
from iov.contract import list_parameter_types
from iov.packing import from_plain, to_plain
from iov.testing import Chain
from iov.values import Address
from tests.compiler.chain_host import ChainInstance
from tests.compiler.wasm_host import Instance, Refused, Reverted, World
from vm.contracts.abi import MethodKind

_numbers = count()


@dataclass(frozen=True)
class Outcome:
    """What a call shows to the outside."""

    result: Any
    failure: int | str | None
    storage: dict[bytes, bytes]
    events: list[tuple[str, list[Any]]]


@cache
def load_module(source: str) -> ModuleType:
    """Run a source under CPython."""
    module = ModuleType(f"contract_{next(_numbers)}")
    sys.modules[module.__name__] = module
    exec(compile(source, f"<{module.__name__}>", "exec", dont_inherit=True), module.__dict__)
    return module


@cache
def load_wasm(source: str) -> Instance:
    """Compile a source for the bare engine."""
    return Instance(compile_source(source, "contract.py"))


@cache
def load_on_chain(source: str) -> ChainInstance:
    """Compile a source for the chain's engine."""
    return ChainInstance(compile_source(source, "contract.py"))


def get_contract_class(module: ModuleType) -> type[Contract]:
    """The contract of a module."""
    (found,) = [
        each
        for each in vars(module).values()
        if isinstance(each, type) and issubclass(each, Contract) and each is not Contract
    ]
    return found


class Both:
    """One contract on both sides, with one account that calls."""

    def __init__(self, source: str) -> None:
        """Deploy without running the init method."""
        self.instance, self.chain_instance = load_wasm(source), load_on_chain(source)
        self.chain = Chain()
        self.sender = self.chain.account("sender", grains=1_000_000)
        kind = get_contract_class(load_module(source))
        self.contract = kind()
        self.address = Address(bytes(19) + b"\x07")
        self.chain.place(self.address, self.contract)
        self.world = World(
            address=bytes(self.address),
            caller=bytes(self.sender),
            signer=bytes(self.sender),
            transaction_id=self.chain.transaction_id(),
            balances={bytes(self.sender): 1_000_000},
        )

    def run(self, name: str, *arguments: Any) -> Outcome:
        """Call a method on all sides; all must show the same. Arguments are plain values."""
        before = deepcopy(self.world)
        python = self.run_python(name, arguments)
        wasm = self.run_wasm(name, arguments)
        assert wasm == python
        assert self._run_in(self.chain_instance, before, name, arguments) == python
        return wasm

    def give(self, grains: int) -> None:
        """Let the contract have money."""
        self.chain.move(self.chain.account("giver", grains), self.address, grains)
        self.world.balances[bytes(self.address)] = self.world.balances.get(bytes(self.address), 0) + grains

    def run_python(self, name: str, arguments: tuple[Any, ...]) -> Outcome:
        """One side."""
        method = getattr(self.contract, name)
        kinds, _ = list_parameter_types(method)
        typed = [from_plain(kind, each) for kind, each in zip(kinds, arguments, strict=True)]
        is_view = method.__iov_kind__ is MethodKind.VIEW
        result, failure = None, None
        try:
            answer = self.chain.enter(self.sender, self.sender, self.address, name, typed, 0, is_view=is_view)
            result = to_plain(answer)
        except RevertError as error:
            failure = int(error.code)
        except HostError as error:
            failure = error.reason
        events = [(type(each.event).__name__, _list_fields(each.event)) for each in self.chain.events]
        return Outcome(result, failure, self.chain.storage(self.contract), events)

    def run_wasm(self, name: str, arguments: tuple[Any, ...]) -> Outcome:
        """The other side."""
        return self._run_in(self.instance, self.world, name, arguments)

    def _run_in(
        self, instance: Instance | ChainInstance, world: World, name: str, arguments: tuple[Any, ...]
    ) -> Outcome:
        result, failure = None, None
        try:
            result = instance.run(world, name, list(arguments))
        except Reverted as error:
            failure = error.code
        except Refused as error:
            failure = error.reason
        return Outcome(result, failure, dict(sorted(world.storage.items())), list(world.events))


def _list_fields(event: Any) -> list[Any]:
    return [to_plain(getattr(event, name)) for name in event.__dataclass_fields__]
