"""The gas of a corpus of programs: it may not depend on the engine, so it may not change without being noticed."""

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import wasmtime

from tests.vm.contracts.programs import PROGRAMS, Runner
from vm.contracts.gate import check_module

GAS_FILE = Path(__file__).parent / "golden" / "gas.txt"


def build_gas() -> str:
    """One line a program: result, units, hashes of the raw and of the instrumented module."""
    lines = ["program argument result units raw instrumented"]
    for name, (text, argument) in PROGRAMS.items():
        raw = bytes(wasmtime.wat2wasm(text))
        instrumented = check_module(raw)
        run = Runner(instrumented).run(argument)
        assert run.trap == 0 and run.trap_code is None
        hashes = f"{sha256(raw).hexdigest()} {sha256(instrumented).hexdigest()}"
        lines.append(f"{name.replace(' ', '_')} {argument} {run.result} {run.used_units} {hashes}")
    return "\n".join(lines) + "\n"


GOLDEN_FILES: list[tuple[Path, Callable[[], str]]] = [(GAS_FILE, build_gas)]
