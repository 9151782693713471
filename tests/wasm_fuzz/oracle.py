"""What must hold for any bytes at all."""

import time
from dataclasses import dataclass

import wasmtime

from vm.contracts.gate import RefusalKind, RefusedError, check_module
from vm.contracts.host_functions import HOST_FUNCTIONS
from vm.contracts.instrumenter import GAS_EXPORT
from vm.contracts.opcodes import I32

RUN_UNITS = 200_000
OVERDRAW_UNITS_MAX = 50_000_000  # frames that return without looking, see instrumenter


@dataclass
class Checked:
    """What the gate said and how long it took."""

    kind: RefusalKind | None
    seconds: float


class Oracle:
    """Compares the gate with wasmtime, and runs what both accept."""

    def __init__(self) -> None:
        config = wasmtime.Config()
        config.wasm_memory64 = False  # or numbers of 64 bits would be read where WASM 1.0 has 32
        self.engine = wasmtime.Engine(config)
        kinds = {I32: wasmtime.ValType.i32()}
        self.types = {
            name: wasmtime.FuncType(
                [wasmtime.ValType.i64(), *(kinds.get(each, wasmtime.ValType.i64()) for each in kind.parameters)],
                [wasmtime.ValType.i64(), *(kinds.get(each, wasmtime.ValType.i64()) for each in kind.results)],
            )
            for name, kind in HOST_FUNCTIONS.items()
        }

    def is_valid(self, code: bytes) -> bool:
        """Whether wasmtime would take it."""
        try:
            wasmtime.Module.validate(self.engine, code)
        except wasmtime.WasmtimeError:
            return False
        return True

    def check(self, code: bytes) -> Checked:
        """Raises AssertionError if the gate is wrong, and whatever the gate raises that is no refusal."""
        start = time.process_time()
        try:
            instrumented = check_module(code)
        except RefusedError as error:
            seconds = time.process_time() - start
            if error.kind in (RefusalKind.MALFORMED, RefusalKind.INVALID):
                assert not self.is_valid(code), f"the gate calls it {error.kind.value}: {error}"
            return Checked(error.kind, seconds)
        seconds = time.process_time() - start
        assert self.is_valid(code), "the gate takes what wasmtime does not"
        assert check_module(code) == instrumented
        self._run(wasmtime.Module(self.engine, instrumented))
        return Checked(None, seconds)

    def _run(self, module: wasmtime.Module) -> None:
        """Every exported function ends: by itself, by a trap of its own, or by one of ours."""
        store = wasmtime.Store(self.engine)
        imports = [wasmtime.Func(store, self.types[each.name], self.build_host(each.name)) for each in module.imports]
        instance = wasmtime.Instance(store, module, imports)
        gas = instance.exports(store)[GAS_EXPORT]
        for export in module.exports:
            if isinstance(export.type, wasmtime.FuncType):
                gas.set_value(store, RUN_UNITS)
                try:
                    instance.exports(store)[export.name](store, *([3] * len(export.type.params)))
                except wasmtime.Trap as trap:
                    assert trap.trap_code is not wasmtime.TrapCode.STACK_OVERFLOW
                assert -OVERDRAW_UNITS_MAX < gas.value(store) <= RUN_UNITS

    def build_host(self, name: str):  # type: ignore[no-untyped-def]
        has_result = len(HOST_FUNCTIONS[name].results) > 0

        def answer(left: int, *_: int) -> int | list[int]:
            return [left - 100, 1] if has_result else left - 100

        return answer
