"""Runs instrumented modules in wasmtime: one fresh instance a call, gas and stack counted by the module itself.

What decides a result is in the module (see the gate) and in the host functions. The engine's own limits are wider than
those by construction; should one of them ever be hit, or memory run out, the result would depend on this machine, so
`EngineFailedError` is raised and the node stops.

This file uses wasmtime beneath its public Python API, which spends 40 us a call on conversions: host functions are
bound unchecked (`wasmtime_linker_define_func_unchecked`: arguments and results in one array of 16-byte slots), and
memory is read at its address. The exact version is pinned and asserted, and node/engine_check.py tries all of it in a
process of its own.
"""

import ctypes
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from struct import Struct
from typing import Any, Final, Protocol, TypeVar

from ledger.reasons import Reason, Rejected
from vm.contracts.instrumenter import GAS_EXPORT, STACK_UNITS_MAX, TRAP_CALL_DEPTH, TRAP_EXPORT, TRAP_OUT_OF_GAS
from vm.contracts.module import MEMORY_PAGES_MAX, FunctionType
from vm.contracts.opcodes import I32

T = TypeVar("T")

ENGINE_VERSION: Final = "50.0.1"
CALL_DEPTH_MAX: Final = 8  # contracts that are running inside each other
WASM_STACK_BYTES: Final = 2**20  # of one contract; the gate's stack counter ends a run at half of it
HOST_STACK_BYTES: Final = 2**19  # of Python and the host functions between two contracts
STACK_BYTES: Final = CALL_DEPTH_MAX * (WASM_STACK_BYTES + HOST_STACK_BYTES) + 2 * HOST_STACK_BYTES
"""What the thread that runs contracts must have. The halves that contracts never reach are there for a compilation."""
STACK_BYTES_PER_UNIT: Final = 8  # a unit is a value: what a compiler may keep in the native frame
MEMORY_BYTES_MAX: Final = MEMORY_PAGES_MAX * 65_536
FUEL_PER_UNIT: Final = 8  # instructions, those of the counters included, that one gas unit pays at most
FUEL_BASE: Final = 1_000_000  # what is begun before the first counter sees it

assert STACK_BYTES_PER_UNIT * STACK_UNITS_MAX * 2 <= WASM_STACK_BYTES, "the module's own counter ends a run first"

CACHED_CODE_BYTES_MAX: Final = 64 * 2**20  # of instrumented code; compiled it is about five times as large

_TRAP_REASONS: Final = {
    0: Reason.UNREACHABLE,
    TRAP_OUT_OF_GAS: Reason.OUT_OF_GAS,
    TRAP_CALL_DEPTH: Reason.STACK_OVERFLOW,
}
"""By what the module has written to its global `iov_trap` before it trapped."""


class EngineFailedError(AssertionError):
    """The engine hit a limit of its own or of this machine: whatever followed could differ from other nodes."""


class RunOnStack(Protocol):
    """Runs a function on one thread with STACK_BYTES of stack, at once if it is that thread that asks.

    Gives back or raises what the function does.
    """

    def __call__(self, function: Callable[[], T], /) -> T: ...


class Guest:
    """A module while it runs, as host functions see it."""

    __slots__ = ("failure", "gas_units", "memory_address", "memory_bytes")

    def __init__(self, gas_units: int) -> None:
        self.gas_units = gas_units
        """What is left."""
        self.failure: BaseException | None = None
        """Why a host function has ended the run."""
        self.memory_address = 0
        self.memory_bytes = 0

    def charge(self, units: int) -> None:
        """Use gas; raises Rejected when there is not enough, and uses up what there is."""
        self.gas_units -= units
        if self.gas_units < 0:
            self.gas_units = 0
            raise Rejected(Reason.OUT_OF_GAS)

    def read(self, pointer: int, length: int) -> bytes:
        """Bytes of the guest's memory; raises Rejected out of bounds."""
        if pointer + length > self.memory_bytes:
            raise Rejected(Reason.BAD_POINTER)
        return ctypes.string_at(self.memory_address + pointer, length)

    def write(self, pointer: int, value: bytes) -> None:
        """Write to the guest's memory; raises Rejected out of bounds."""
        if pointer + len(value) > self.memory_bytes:
            raise Rejected(Reason.BAD_POINTER)
        ctypes.memmove(self.memory_address + pointer, value, len(value))


@dataclass(frozen=True, slots=True)
class HostFunction:
    """An import of the module `iov1`, without the gas that comes first in its real type."""

    type: FunctionType
    """Integers arrive unsigned."""
    run: Callable[..., int | None]
    """Called with the guest and the arguments."""


@dataclass(frozen=True, slots=True)
class Program:
    """A compiled module, ready to be instantiated."""

    instance_pre: Any
    code_bytes: int
    """Of the instrumented module."""


class Engine:
    """The one engine of a node. It runs one call at a time, with the calls nested in it, on the thread it is given."""

    def __init__(self, run_on_stack: RunOnStack, functions: Mapping[str, HostFunction]) -> None:
        self._run_on_stack = run_on_stack
        self._functions = functions
        self._guests: list[Guest] = []
        self._programs: OrderedDict[bytes, Program] = OrderedDict()
        self._cached_bytes = 0
        self._machine: _Machine | None = None

    def enter(self, function: Callable[[], T]) -> T:
        """Run what calls `run` where there is enough stack for it, one after the other whichever threads ask."""
        return self._run_on_stack(function)

    def compile(self, code_hash: bytes, load: Callable[[], bytes]) -> Program:
        """The program of a code hash; compiled when it is not cached. `load` gives the instrumented module."""
        program = self._programs.get(code_hash)
        if program is not None:
            self._programs.move_to_end(code_hash)
            return program
        if self._machine is None:
            self._machine = _Machine(self._functions, self._guests)
        program = self._machine.compile(load())
        self._programs[code_hash] = program
        self._cached_bytes += program.code_bytes
        while self._cached_bytes > CACHED_CODE_BYTES_MAX and len(self._programs) > 1:
            self._cached_bytes -= self._programs.popitem(last=False)[1].code_bytes
        return program

    def run(self, program: Program, method: str, guest: Guest) -> None:
        """Run a method to its end. The guest's gas is what is left, also when this raises Rejected."""
        assert len(self._guests) < CALL_DEPTH_MAX, "whoever calls counts the depth"
        assert self._machine is not None, "a program was compiled"
        self._guests.append(guest)
        try:
            self._machine.run(program, method, guest)
        finally:
            self._guests.pop()


class _Machine:
    """What is made with the first contract: importing and starting wasmtime takes longer than most nodes ever need."""

    def __init__(self, functions: Mapping[str, HostFunction], guests: list[Guest]) -> None:
        installed = version("wasmtime")
        assert installed == ENGINE_VERSION, (
            f"wasmtime {installed} is installed; contracts need exactly {ENGINE_VERSION}"
        )
        import wasmtime
        from wasmtime import _ffi

        self._wasmtime: Any = wasmtime
        self._ffi: Any = _ffi
        self._guests = guests
        self._engine = wasmtime.Engine(_build_config(wasmtime, _ffi))
        self._linker = wasmtime.Linker(self._engine)
        self._no_finalizer: Any = ctypes.cast(0, ctypes.CFUNCTYPE(None, ctypes.c_void_p))
        self._callbacks = [self._define(name, function) for name, function in functions.items()]
        codes = _ffi.wasmtime_trap_code_enum
        self._guest_traps: Final = frozenset(
            int(getattr(codes, f"WASMTIME_TRAP_CODE_{name}").value)
            for name in (
                "MEMORY_OUT_OF_BOUNDS",
                "TABLE_OUT_OF_BOUNDS",
                "INDIRECT_CALL_TO_NULL",
                "BAD_SIGNATURE",
                "INTEGER_OVERFLOW",
                "INTEGER_DIVISION_BY_ZERO",
                "UNREACHABLE_CODE_REACHED",
            )
        )

    def compile(self, instrumented: bytes) -> Program:
        try:
            module = self._wasmtime.Module(self._engine, instrumented)
            instance_pre = self._linker.instantiate_pre(module)
        except self._wasmtime.WasmtimeError as error:
            raise EngineFailedError(f"the engine refuses a module that the gate has let pass: {error}") from None
        return Program(instance_pre, len(instrumented))

    def run(self, program: Program, method: str, guest: Guest) -> None:
        ffi = self._ffi
        store = ffi.wasmtime_store_new(self._engine.ptr(), None, self._no_finalizer)
        try:
            self._run_in(ffi.wasmtime_store_context(store), program, method.encode(), guest)
        finally:
            ffi.wasmtime_store_delete(store)

    def _run_in(self, context: Any, program: Program, method: bytes, guest: Guest) -> None:
        ffi = self._ffi
        self._check(ffi.wasmtime_context_set_fuel(context, guest.gas_units * FUEL_PER_UNIT + FUEL_BASE))
        instance, trap = ffi.wasmtime_instance_t(), ctypes.POINTER(ffi.wasm_trap_t)()
        self._check(
            ffi.wasmtime_instance_pre_instantiate(
                program.instance_pre.ptr(), context, ctypes.byref(instance), ctypes.byref(trap)
            )
        )
        if trap:
            raise Rejected(self._take_trap(trap, 0))
        memory = self._find(context, instance, b"memory").of.memory
        guest.memory_address = (
            ctypes.cast(ffi.wasmtime_memory_data(context, ctypes.byref(memory)), ctypes.c_void_p).value or 0
        )
        guest.memory_bytes = ffi.wasmtime_memory_data_size(context, ctypes.byref(memory))
        gas = self._find(context, instance, GAS_EXPORT.encode()).of.global_
        value = ffi.wasmtime_val_t()
        value.kind, value.of.i64 = ffi.WASMTIME_I64.value, guest.gas_units
        self._check(ffi.wasmtime_global_set(context, ctypes.byref(gas), ctypes.byref(value)))
        function = self._find(context, instance, method).of.func
        self._check(
            ffi.wasmtime_func_call_unchecked(context, ctypes.byref(function), None, 0, ctypes.byref(trap)), guest
        )
        failure, guest.failure = guest.failure, None
        if failure is not None:
            ffi.wasm_trap_delete(trap)
            raise failure
        ffi.wasmtime_global_get(context, ctypes.byref(gas), ctypes.byref(value))
        guest.gas_units = max(0, value.of.i64)
        if trap:
            stopped = self._find(context, instance, TRAP_EXPORT.encode()).of.global_
            ffi.wasmtime_global_get(context, ctypes.byref(stopped), ctypes.byref(value))
            reason = self._take_trap(trap, value.of.i32)
            if reason is Reason.OUT_OF_GAS:
                guest.gas_units = 0
            raise Rejected(reason)

    def _find(self, context: Any, instance: Any, name: bytes) -> Any:
        item = self._ffi.wasmtime_extern_t()
        found = self._ffi.wasmtime_instance_export_get(
            context, ctypes.byref(instance), name, len(name), ctypes.byref(item)
        )
        assert found, f"the gate lets no module pass that does not export {name!r}"
        return item

    def _take_trap(self, trap: Any, number: int) -> Reason:
        code = ctypes.c_uint8()
        has_code = self._ffi.wasmtime_trap_code(trap, ctypes.byref(code))
        self._ffi.wasm_trap_delete(trap)
        if not has_code or code.value not in self._guest_traps:
            raise EngineFailedError(f"the engine stopped a contract by a limit of its own (trap code {code.value})")
        return _TRAP_REASONS[number]

    def _check(self, error: Any, guest: Guest | None = None) -> None:
        """Errors of the engine are no traps: it had no memory, or was used wrongly."""
        if error:
            if guest is not None and guest.failure is not None:
                raise guest.failure
            raise EngineFailedError(str(self._wasmtime.WasmtimeError._from_ptr(error)))

    def _define(self, name: str, function: HostFunction) -> Any:
        """Bind a host function; what is returned must live as long as the engine."""
        callback = self._build_callback(function)
        wide, narrow = self._wasmtime.ValType.i64, self._wasmtime.ValType.i32
        parameters = [wide(), *(narrow() if each == I32 else wide() for each in function.type.parameters)]
        results = [wide(), *(narrow() if each == I32 else wide() for each in function.type.results)]
        kind = self._wasmtime.FuncType(parameters, results)  # must outlive the call that borrows its pointer
        encoded = name.encode()
        self._check(
            self._ffi.wasmtime_linker_define_func_unchecked(
                self._linker.ptr(),
                ctypes.create_string_buffer(b"iov1"),
                4,
                ctypes.create_string_buffer(encoded),
                len(encoded),
                kind.ptr(),
                ctypes.cast(callback, self._ffi.wasmtime_func_unchecked_callback_t),
                None,
                self._no_finalizer,
            )
        )
        return callback

    def _build_callback(self, function: HostFunction) -> Any:
        arguments = _build_slots(function.type.parameters)
        results = _build_slots(function.type.results)
        unpack, pack, run = arguments.unpack, results.pack, function.run
        size, result_size = arguments.size, results.size
        guests, new_trap, string_at, memmove = self._guests, self._new_trap, ctypes.string_at, ctypes.memmove
        has_result = bool(function.type.results)

        def answer(_environment: int, _caller: int, slots: int, _count: int) -> int:
            guest = guests[-1]
            try:
                guest.gas_units, *given = unpack(string_at(slots, size))
                result = run(guest, *given)
                if has_result:
                    memmove(slots, pack(guest.gas_units, result), result_size)
                else:
                    memmove(slots, pack(guest.gas_units), result_size)
            except BaseException as failure:  # it may not pass through the engine's frames
                guest.failure = failure
                return new_trap()
            return 0

        prototype = ctypes.CFUNCTYPE(
            ctypes.c_size_t, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t
        )
        return prototype(answer)

    def _new_trap(self) -> int:
        trap = self._ffi.wasmtime_trap_new(b"host", 4)
        return ctypes.cast(trap, ctypes.c_void_p).value or 0


def _build_slots(kinds: bytes) -> Struct:
    """The gas and then values of these types, each at the start of 16 bytes."""
    return Struct("<q8x" + "".join("I12x" if each == I32 else "Q8x" for each in kinds))


def _build_config(wasmtime: Any, ffi: Any) -> Any:
    """Frozen: wasmtime ends the whole process on a combination that contradicts itself."""
    config = wasmtime.Config()
    pointer = config.ptr()
    for proposal in (
        "component_model",
        "component_model_async",
        "component_model_map",
        "custom_page_sizes",
        "exceptions",
        "function_references",
        "gc",
        "memory64",
        "multi_memory",
        "reference_types",
        "relaxed_simd",
        "simd",
        "stack_switching",
        "tail_call",
        "threads",
        "wide_arithmetic",
    ):
        getattr(ffi, f"wasmtime_config_wasm_{proposal}_set")(pointer, False)
    ffi.wasmtime_config_concurrency_support_set(pointer, False)
    config.wasm_bulk_memory = False
    config.wasm_multi_value = True  # host functions give back the gas that is left beside their result
    config.gc_support = False
    config.strategy = "cranelift"
    config.cranelift_opt_level = "speed"
    config.cranelift_nan_canonicalization = True  # no float ever gets here; should one, it would be the same everywhere
    config.parallel_compilation = False
    config.consume_fuel = True
    config.max_wasm_stack = WASM_STACK_BYTES
    config.memory_reservation = MEMORY_BYTES_MAX
    config.memory_reservation_for_growth = 0
    config.memory_may_move = False
    config.memory_guard_size = 65_536
    return config
