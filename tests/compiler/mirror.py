"""A pytest plugin: under `-p tests.compiler.mirror` every call that tests of contracts make is run as WebAssembly, too.

`iov.testing.Chain` is replaced by one that lets CPython and the compiled contract start from the same state, and
compares result, failure, storage, events and money. What was compared is written as JSON where REPORT_VARIABLE says.
"""

import json
import os
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import iov.testing
from compiler import compile_source
from iov import Address, Contract, HostError, RevertError
from iov.packing import to_plain
from tests.compiler.wasm_host import Instance, Refused, Reverted, World

REPORT_VARIABLE = "CARLIVE_MIRROR_REPORT"
CONTRACTS = Path(__file__).parents[2] / "contracts"
BEFORE_THE_RUN = {"NOT_PAYABLE", "METHOD_NOT_FOUND", "REENTRANCY", "CALL_DEPTH", "BAD_ARGUMENTS"}
"""The chain refuses for these reasons before a contract runs."""
UNKNOWN_TO_THE_HOST = {"RECIPIENT_NOT_ALLOWED"}
"""The bare host knows no other contracts."""

compared: Counter[tuple[str, str, int]] = Counter()
"""Calls by contract, method and failure code, 0 for none."""


@cache
def load(kind: type[Contract]) -> Instance | None:
    """The compiled form of an example; None for a contract that a test made up."""
    package, _, module = kind.__module__.rpartition(".")
    if package != f"contracts.{module}":
        return None
    path = CONTRACTS / module / f"{module}.py"
    return Instance(compile_source(path.read_text(encoding="utf-8"), str(path)))


class MirroredChain(iov.testing.Chain):
    """Runs every call twice."""

    def enter(
        self,
        signer: Address,
        caller: Address,
        address: Address,
        name: str,
        arguments: list[Any],
        value_grains: int,
        *,
        is_view: bool,
    ) -> Any:
        """Run one method of one contract, and compare."""
        instance = load(type(self.get_contract(address)))
        world = self._build_world(signer, caller, address, value_grains)
        told = len(self.events)
        result, failure = None, None
        try:
            result = super().enter(signer, caller, address, name, arguments, value_grains, is_view=is_view)
        except (RevertError, HostError) as error:
            failure = error
        reason = failure.reason if isinstance(failure, HostError) else None
        if instance is not None and reason not in BEFORE_THE_RUN | UNKNOWN_TO_THE_HOST:
            code = int(failure.code) if isinstance(failure, RevertError) else reason
            seen = run_compiled(instance, world, name, [to_plain(each) for each in arguments])
            assert seen == (to_plain(result), code)
            self._compare_state(address, world, told, is_done=failure is None)
            compared[type(self.get_contract(address)).__name__, name, code or 0] += 1
        if failure is not None:
            raise failure
        return result

    def _build_world(self, signer: Address, caller: Address, address: Address, value_grains: int) -> World:
        """What the call starts from, with the money that comes along."""
        balances = {bytes(each): grains for each, grains in self.list_balances().items()}
        balances[bytes(caller)] = balances.get(bytes(caller), 0) - value_grains
        balances[bytes(address)] = balances.get(bytes(address), 0) + value_grains
        return World(
            address=bytes(address),
            caller=bytes(caller),
            signer=bytes(signer),
            signer_did=self.get_did(signer),
            value=value_grains,
            height=int(self.height),
            time_ms=int(self.time_ms),
            epoch=int(self.epoch),
            chain_id=self.chain_id,
            transaction_id=self.transaction_id(),
            balances=balances,
            storage=dict(self.get_storage(address)),
        )

    def _compare_state(self, address: Address, world: World, told: int, *, is_done: bool) -> None:
        assert world.storage == self.get_storage(address)
        events = [each.event for each in self.events[told:]]
        assert world.events == [
            (type(each).__name__, [to_plain(getattr(each, field)) for field in type(each).__slots__]) for each in events
        ]
        if is_done:  # otherwise the chain has also given back what came along
            assert world.balances == {each: self.balance(Address(each)) for each in world.balances}


def run_compiled(instance: Instance, world: World, name: str, arguments: list[Any]) -> tuple[Any, int | str | None]:
    """Result and failure."""
    try:
        return instance.run(world, name, arguments), None
    except Reverted as error:
        return None, error.code
    except Refused as error:
        return None, error.reason


def pytest_configure() -> None:
    """Before any test module imports it."""
    iov.testing.Chain = MirroredChain


def pytest_sessionfinish() -> None:
    """Tell what was compared."""
    report = [[*key, count] for key, count in sorted(compared.items())]
    Path(os.environ[REPORT_VARIABLE]).write_text(json.dumps(report), encoding="utf-8")
