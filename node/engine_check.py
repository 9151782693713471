"""Tries the WebAssembly engine in a process of its own: it ends the whole process when something is wrong with it."""

import asyncio
import sys
from typing import Final

from node.contract_stack import ContractStack
from node.errors import ConfigurationError
from vm.contracts.engine import Engine, Guest, HostFunction
from vm.contracts.module import FunctionType
from vm.contracts.opcodes import I32, I64

GAS_UNITS: Final = 1_000_000
_MODULE: Final = """
(module
  (import "iov1" "probe" (func $probe (param i64 i32 i64) (result i64 i32)))
  (memory (export "memory") 1 1)
  (global (export "iov_gas") (mut i64) (i64.const 0))
  (global (export "iov_trap") (mut i32) (i32.const 0))
  (data (i32.const 16) "carlive")
  (func (export "run")
    (call $probe (global.get 0) (i32.const 16) (i64.const 7))
    (i32.store8 (i32.const 16))
    (global.set 0)))
"""
"""As the gate would make it: calls the host, which reads its memory and takes gas."""


async def check_engine() -> None:
    """Raise ConfigurationError when contracts would not run on this machine as they do on others."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", __name__),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        lines = output.decode(errors="replace").strip().splitlines() or [f"it ended with {process.returncode}"]
        raise ConfigurationError(
            f"the WebAssembly engine does not work here ({lines[-1]}): install the packages of constraints.txt exactly"
        )


def probe_engine() -> None:
    """Compile and run a module that uses everything the engine binds beneath wasmtime's public interface."""
    import wasmtime

    seen = []

    def probe(guest: Guest, pointer: int, length: int) -> int:
        seen.append(guest.read(pointer, length))
        guest.charge(5)
        return ord("C")

    engine = Engine(ContractStack().run, {"probe": HostFunction(FunctionType(bytes((I32, I64)), bytes((I32,))), probe)})
    guest = Guest(GAS_UNITS)
    module = bytes(wasmtime.wat2wasm(_MODULE))
    engine.enter(lambda: engine.run(engine.compile(b"probe", lambda: module), "run", guest))
    assert seen == [b"carlive"], f"the host read {seen} from the module's memory"
    assert guest.gas_units == GAS_UNITS - 5, f"{GAS_UNITS - guest.gas_units} units were used instead of 5"


if __name__ == "__main__":
    probe_engine()
