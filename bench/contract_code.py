"""Scenario `contract-code`: how long publication takes, what compiled Python gains, and what counting gas costs."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import wasmtime

from bench import primes
from bench.floor import measure_floor
from bench.report import Result
from compiler import compile_source
from iov import u64
from iov.testing import Chain
from node.contract_stack import ContractStack
from vm.contracts.engine import Engine, Guest, HostFunction
from vm.contracts.gate import check_contract
from vm.contracts.host_functions import HOST_FUNCTIONS, HOST_MODULE
from vm.contracts.opcodes import I32

Progress = Callable[[str], None]

METHODS: Final = 60  # of the large contract; what it took is scaled to 100 KiB
KIB_100: Final = 100 * 1024
LIMIT: Final = 200_000
LIMIT_CPYTHON: Final = 3_000  # CPython gets less to do; the rates are compared by steps
GAIN_MIN: Final = 50.0
COUNTING_MAX: Final = 1.6
ROUNDS: Final = 5
GAS_UNITS: Final = 10**15


async def run_contract_code(progress: Progress) -> list[Result]:
    """Best of several runs each: the machine does other things too."""
    floor = measure_floor()
    progress("compiling")
    results = [_measure_publication(floor)]
    progress("computing")
    results += _measure_computing(floor)
    return results


def _measure_publication(floor: float) -> Result:
    """The gate and the engine's compiler, for a large contract."""
    code = compile_source(_write_large_source(), "large.py").code
    started_s = time.perf_counter()
    checked = check_contract(code)
    gate_ms = (time.perf_counter() - started_s) * 1e3
    engine = Engine(ContractStack().run, {name: HostFunction(kind, _refuse) for name, kind in HOST_FUNCTIONS.items()})
    started_s = time.perf_counter()
    engine.enter(lambda: engine.compile(checked.code_hash, lambda: checked.instrumented))
    engine_ms = (time.perf_counter() - started_s) * 1e3
    scale = KIB_100 / len(code)
    details: dict[str, object] = {
        "KiB": round(len(code) / 1024, 1),
        "gate ms": round(gate_ms * scale),
        "engine ms": round(engine_ms * scale),
    }
    return Result("contract-publish", (gate_ms + engine_ms) * scale, "ms per 100 KiB", floor, None, details=details)


def _measure_computing(floor: float) -> list[Result]:
    """The same source under CPython, as a plain module, and with counters on the node's engine."""
    code = compile_source(Path(primes.__file__).read_text(), "primes.py").code
    chain = Chain()
    contract = chain.deploy(chain.account("author"), primes.Primes)
    cpython_s, found = _take_best(lambda: int(chain.view(contract.count_below, u64(LIMIT_CPYTHON))))
    per_step = cpython_s / _count_steps(LIMIT_CPYTHON)
    counted, plain = _Counted(code), _Plain(code)
    assert counted.run(LIMIT_CPYTHON) == plain.run(LIMIT_CPYTHON) == found, "all three agree"
    counted_s, _ = _take_best(lambda: counted.run(LIMIT))
    plain_s, _ = _take_best(lambda: plain.run(LIMIT))
    gain = per_step * _count_steps(LIMIT) / counted_s
    details: dict[str, object] = {"ns a step": round(counted_s / _count_steps(LIMIT) * 1e9, 2)}
    return [
        Result("contract-compute", gain, "x CPython", floor, None, GAIN_MIN, details=details),
        Result("contract-counting", counted_s / plain_s, "x plain", floor, None, COUNTING_MAX, at_most=True),
    ]


class _Counted:
    """The instrumented module on the node's engine."""

    def __init__(self, code: bytes) -> None:
        self._checked = check_contract(code)
        self._argument, self._result = b"", b""
        functions = {name: HostFunction(kind, _refuse) for name, kind in HOST_FUNCTIONS.items()}
        functions["input"] = HostFunction(HOST_FUNCTIONS["input"], lambda guest, register: None)
        functions["register_length"] = HostFunction(
            HOST_FUNCTIONS["register_length"], lambda guest, register: len(self._argument)
        )
        functions["register_read"] = HostFunction(
            HOST_FUNCTIONS["register_read"], lambda guest, register, pointer: guest.write(pointer, self._argument)
        )
        functions["return_value"] = HostFunction(HOST_FUNCTIONS["return_value"], self._return)
        self._engine = Engine(ContractStack().run, functions)

    def run(self, limit: int) -> int:
        """The answer of the view."""
        self._argument = limit.to_bytes(8, "little")
        self._engine.enter(self._run)
        return int.from_bytes(self._result, "little")

    def _run(self) -> None:
        program = self._engine.compile(self._checked.code_hash, lambda: self._checked.instrumented)
        self._engine.run(program, "count_below", Guest(GAS_UNITS))

    def _return(self, guest: Guest, pointer: int, length: int) -> None:
        self._result = guest.read(pointer, length)


class _Plain:
    """The compiler's module as it is, on wasmtime as it comes: no counters, no fuel."""

    def __init__(self, code: bytes) -> None:
        engine = wasmtime.Engine()
        self._store = wasmtime.Store(engine)
        self._argument, self._result = b"", b""
        linker = wasmtime.Linker(engine)
        answers: dict[str, Callable[..., Any]] = {
            "input": lambda register: None,
            "register_length": lambda register: len(self._argument),
            "register_read": self._read,
            "return_value": self._return,
        }
        for name, kind in HOST_FUNCTIONS.items():
            parameters, results = ([_name_type(each) for each in part] for part in (kind.parameters, kind.results))
            linker.define_func(HOST_MODULE, name, wasmtime.FuncType(parameters, results), answers.get(name, _refuse))
        exports = linker.instantiate(self._store, wasmtime.Module(engine, code)).exports(self._store)
        memory, method = exports["memory"], exports["count_below"]
        assert isinstance(memory, wasmtime.Memory) and isinstance(method, wasmtime.Func)
        self._memory, self._method = memory, method

    def run(self, limit: int) -> int:
        """The answer of the view."""
        self._argument = limit.to_bytes(8, "little")
        self._method(self._store)
        return int.from_bytes(self._result, "little")

    def _read(self, register: int, pointer: int) -> None:
        self._memory.write(self._store, self._argument, pointer)

    def _return(self, pointer: int, length: int) -> None:
        self._result = bytes(self._memory.read(self._store, pointer, pointer + length))


def _refuse(*_: object) -> None:
    raise AssertionError("the benchmark needs no other host function")


def _name_type(kind: int) -> wasmtime.ValType:
    return wasmtime.ValType.i32() if kind == I32 else wasmtime.ValType.i64()


def _take_best(work: Callable[[], int]) -> tuple[float, int]:
    """Seconds of the fastest run, and what it gave."""
    best_s, answer = float("inf"), 0
    for _ in range(ROUNDS):
        started_s = time.perf_counter()
        answer = work()
        best_s = min(best_s, time.perf_counter() - started_s)
    return best_s, answer


def _count_steps(limit: int) -> int:
    """How many divisors `Primes.count_below` tries."""
    steps = 0
    smallest = list(range(limit))  # smallest prime factor
    for number in range(2, int(limit**0.5) + 1):
        if smallest[number] == number:
            for multiple in range(number * number, limit, number):
                if smallest[multiple] == multiple:
                    smallest[multiple] = number
    for number in range(2, limit):
        last = smallest[number] if smallest[number] < number else int(number**0.5) + 1
        steps += last - 1
    return steps


def _write_large_source() -> str:
    """A contract with many methods of storage, lists and arithmetic, as a large application would have them."""
    methods = [_LARGE_METHOD.replace("NUMBER", str(number)) for number in range(METHODS)]
    return _LARGE_HEAD + "\n".join(methods)


_LARGE_HEAD: Final = '''"""Large."""

from typing import Literal

from iov import Address, Contract, List, Map, call, context, emit, event, require, struct, u64, u128

Amounts = List[u128, Literal[32]]


@struct
class Entry:
    """One line of an account."""

    amount: u128
    count: u64
    note: str


@event
class Booked:
    """Something was booked."""

    who: Address
    amount: u128
    note: str


class Large(Contract):
    """Many methods."""

    entries: Map[Address, Entry]
'''
_LARGE_METHOD: Final = '''
    @call
    def book_NUMBER(self, who: Address, amounts: Amounts, note: str) -> None:
        """Book some amounts."""
        require(len(amounts) != 0, NUMBER + 1)
        total = u128(0)
        for amount in amounts:
            require(amount > NUMBER, NUMBER + 100)
            total += amount * 3 + NUMBER
        if who in self.entries:
            entry = self.entries[who]
            self.entries[who] = Entry(entry.amount + total, entry.count + 1, note)
        else:
            self.entries[who] = Entry(total, u64(1), note + " NUMBER")
        if context.caller != who:
            emit(Booked(who, total, note))
'''
