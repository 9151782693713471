"""What the engine does by itself: it runs, it counts, and it never decides."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from struct import pack

import pytest

import vm.contracts.engine as engine_module
from identity.address import Address
from ledger.reasons import Reason, Rejected
from ledger.receipt import Status
from ledger.transaction import Call
from node.contract_stack import ContractStack
from tests.vm.contracts.puppet import attach_interface, compile_text, find_address, hash_code
from tests.vm.contracts.scene import A, Scene
from vm.contracts.abi import Interface, Method, MethodKind, Parameter, UpgradeRule
from vm.contracts.engine import CALL_DEPTH_MAX, Engine, EngineFailedError, Guest, HostFunction
from vm.contracts.gate import check_module
from vm.contracts.module import FunctionType
from vm.contracts.opcodes import I32, I64, PRICE_CALL, PRICE_LOAD, PRICE_MOVE

STACK = ContractStack()
GAS_UNITS = 10_000_000

UNCOUNTED = """
(module
  (memory (export "memory") 1 1)
  (global (export "iov_gas") (mut i64) (i64.const 0))
  (global (export "iov_trap") (mut i32) (i32.const 0))
  (func (export "spin") (loop $ever (br $ever)))
  (func $dive (export "dive") (call $dive)))
"""
"""What the gate would never give: nothing in it counts."""

COUNTED = """
(module
  (memory (export "memory") 1 1)
  (func (export "spin") (loop $ever (br $ever)))
  (func (export "outside") (i32.store (i32.const 65536) (i32.const 1)))
  (func (export "stop") (unreachable))
  (func (export "work") (drop (i32.load (i32.const 0)))))
"""


def run(module: bytes, method: str, units: int = GAS_UNITS) -> int:
    """What is left of the gas after a run."""
    engine = Engine(STACK.run, {})
    guest = Guest(units)
    engine.enter(lambda: engine.run(engine.compile(module, lambda: module), method, guest))
    return guest.gas_units


@pytest.mark.parametrize("method", ["spin", "dive"])
def test_limits_of_the_engine_itself_are_failures_of_this_node(method):
    with pytest.raises(EngineFailedError):
        run(compile_text(UNCOUNTED), method, 1_000)


def test_a_run_uses_what_its_instructions_cost():
    assert GAS_UNITS - run(check_module(compile_text(COUNTED)), "work") == PRICE_CALL + 2 * PRICE_MOVE + PRICE_LOAD


@pytest.mark.parametrize(
    "body",
    [
        "(loop $a (br $a))",
        "(loop $a (loop $b (br $a)))",
        "(loop $a (block $b (br_if $b (i32.const 0))) (br $a))",
        "(loop $a (nop) (block (nop)) (nop) (block (nop)) (nop) (block (nop)) (br $a))",
        "(loop $a (if (i32.const 1) (then (nop)) (else (nop))) (br $a))",
        "(loop $a (call $nothing) (br $a))",
        "(loop $a (call $loops) (br $a))",
        "(loop $a (call $counted (i32.const 3)) (br $a))",
        "(loop $a (call_indirect (i32.const 0)) (br $a))",
        "(loop $a (br_table $a $a (i32.const 1)))",
    ],
)
def test_the_modules_own_counter_ends_it_before_the_engines_fuel_does(body):
    """Each with as little to pay for as possible between counters."""
    text = f"""
    (module
      (memory (export "memory") 1 1)
      (table 1 1 funcref) (elem (i32.const 0) $nothing)
      (func $nothing)
      (func $loops (loop))
      (func $counted (param i32)
        (if (local.get 0) (then (call $counted (i32.sub (local.get 0) (i32.const 1))))))
      (func (export "run") {body}))
    """
    with pytest.raises(Rejected) as caught:
        run(check_module(compile_text(text)), "run", 50_000_000)
    assert caught.value.reason is Reason.OUT_OF_GAS


@pytest.mark.parametrize(
    ("method", "reason"),
    [("spin", Reason.OUT_OF_GAS), ("outside", Reason.UNREACHABLE), ("stop", Reason.UNREACHABLE)],
)
def test_a_trap_has_a_number(method, reason):
    with pytest.raises(Rejected) as caught:
        run(check_module(compile_text(COUNTED)), method)
    assert caught.value.reason is reason


def test_what_a_host_function_raises_comes_out_unchanged():
    failure = MemoryError("of this machine")

    def fail(guest: Guest, wide: int) -> int:
        raise failure

    text = """
    (module (import "iov1" "fail" (func $fail (param i64 i64) (result i64 i32)))
      (memory (export "memory") 1 1)
      (global (export "iov_gas") (mut i64) (i64.const 0))
      (global (export "iov_trap") (mut i32) (i32.const 0))
      (func (export "run") (call $fail (i64.const 9) (i64.const -1)) (drop) (drop)))
    """
    engine = Engine(STACK.run, {"fail": HostFunction(FunctionType(bytes((I64,)), bytes((I32,))), fail)})
    with pytest.raises(MemoryError) as caught:
        engine.enter(lambda: engine.run(engine.compile(b"", lambda: compile_text(text)), "run", Guest(5)))
    assert caught.value is failure


def test_the_cache_is_bounded_by_the_size_of_code(monkeypatch):
    module = check_module(compile_text(COUNTED))
    monkeypatch.setattr(engine_module, "CACHED_CODE_BYTES_MAX", 2 * len(module))
    engine, loaded = Engine(STACK.run, {}), []

    def compile_named(name: bytes) -> None:
        def load() -> bytes:
            loaded.append(name)
            return module

        engine.enter(lambda: engine.compile(name, load))

    for name in (b"a", b"b", b"a", b"c", b"a", b"b"):
        compile_named(name)
    assert loaded == [b"a", b"b", b"c", b"b"]


def test_contracts_run_on_the_thread_with_the_large_stack():
    seen = [STACK.run(threading.current_thread) for _ in range(2)]
    assert seen[0] is seen[1]
    assert seen[0] is not threading.current_thread()


def test_threads_that_ask_at_once_are_served_one_after_the_other():
    """Each run must read its own guest's memory, also while another thread is in the middle of a run."""
    text = """
    (module
      (import "iov1" "probe" (func $probe (param i64) (result i64)))
      (memory (export "memory") 1 1)
      (global (export "iov_gas") (mut i64) (i64.const 0))
      (global (export "iov_trap") (mut i32) (i32.const 0))
      (func (export "run") (global.set 0 (call $probe (global.get 0)))))
    """
    running, most, threads = [], [], []

    def probe(guest: Guest) -> None:
        running.append(guest)
        threads.append(threading.current_thread())
        time.sleep(0.005)  # lets the other threads go on
        most.append(len(running))
        running.remove(guest)
        guest.charge(guest.gas_units // 2)

    engine = Engine(STACK.run, {"probe": HostFunction(FunctionType(b"", b""), probe)})
    module = compile_text(text)

    def ask(units: int) -> int:
        guest = Guest(units)
        engine.enter(lambda: engine.run(engine.compile(b"", lambda: module), "run", guest))
        return guest.gas_units

    with ThreadPoolExecutor(4) as pool:
        left = list(pool.map(ask, range(1_000, 1_040, 2)))
    assert left == [units // 2 for units in range(1_000, 1_040, 2)]
    assert (set(most), len(set(threads))) == ({1}, 1)


def test_the_engine_of_another_version_is_refused(monkeypatch):
    monkeypatch.setattr(engine_module, "ENGINE_VERSION", "0.0.0")
    with pytest.raises(AssertionError, match=r"contracts need exactly 0\.0\.0"):
        run(compile_text(UNCOUNTED), "spin")


# The stack


def build_diver(values: int) -> bytes:
    """Calls itself as deep as it is told, with so many values alive in each frame, and from there the next one."""
    loads = "".join(f"(local.set $v{index} (i64.load offset={8 * index} (i32.const 0)))" for index in range(values))
    sums = "".join(f"(local.get $v{index}) (i64.add)" for index in range(values))
    names = "".join(f"(local $v{index} i64)" for index in range(values))
    text = f"""
    (module
      (import "iov1" "input" (func $input (param i32)))
      (import "iov1" "register_read" (func $register_read (param i32 i32)))
      (import "iov1" "revert" (func $revert (param i32 i32 i32)))
      (import "iov1" "call" (func $call (param i32 i32 i32 i32 i32 i64 i64 i32) (result i32)))
      (memory (export "memory") 1 1)
      (data (i32.const 60000) "deep")
      (func (export "deep")
        (call $input (i32.const 0))
        (call $register_read (i32.const 0) (i32.const 4096))
        (drop (call $dive (i32.load (i32.const 4096)))))
      (func $dive (param $left i32) (result i64) {names}
        {loads}
        (if (result i64) (local.get $left)
          (then (call $dive (i32.sub (local.get $left) (i32.const 1))))
          (else (call $next) (i64.const 0)))
        {sums})
      (func $next (local $count i32)
        (local.set $count (i32.load (i32.const 4100)))
        (if (local.get $count) (then (call $pass (local.get $count)))))
      (func $pass (param $count i32) (local $result i32)
        ;; the next one's arguments stand behind its address: depth, count - 1, the rest
        (i32.store (i32.const 61000) (i32.load (i32.const 4096)))
        (i32.store (i32.const 61004) (i32.sub (local.get $count) (i32.const 1)))
        (call $copy (i32.const 4124) (i32.const 61008)
          (i32.mul (i32.const 20) (i32.sub (local.get $count) (i32.const 1))))
        (local.set $result (call $call (i32.const 4104) (i32.const 60000) (i32.const 4) (i32.const 61000)
          (i32.add (i32.const 8) (i32.mul (i32.const 20) (i32.sub (local.get $count) (i32.const 1))))
          (i64.const 0) (i64.const 0) (i32.const 1)))
        (if (local.get $result) (then (call $revert (local.get $result) (i32.const 0) (i32.const 0)))))
      (func $copy (param $from i32) (param $to i32) (param $left i32)
        (block $done (loop $more
          (br_if $done (i32.eqz (local.get $left)))
          (i32.store8 (local.get $to) (i32.load8_u (local.get $from)))
          (local.set $from (i32.add (local.get $from) (i32.const 1)))
          (local.set $to (i32.add (local.get $to) (i32.const 1)))
          (local.set $left (i32.sub (local.get $left) (i32.const 1)))
          (br $more)))))
    """
    method = Method("deep", MethodKind.CALL, False, False, DIVER_TYPES, "")
    return attach_interface(
        compile_text(text),
        Interface("Diver", "wat", bytes(32), UpgradeRule.NEVER, (), (method,), (), ()),
    )


DIVER_TYPES = (Parameter("depth", "u32"), Parameter("next", "List[Address, 8]"))


def dive(scene: Scene, depth: int, first: Address, *others: Address) -> int:
    """The reason it failed for, or 0."""
    arguments = pack("<II", depth, len(others)) + b"".join(others)
    return scene.send(Call("contracts", "call", [first, "deep", arguments, 0]), gas=16_000_000).reason


def find_deepest(scene: Scene, diver: Address) -> int:
    """How often it may call itself; one more overflows the stack that the gate counts."""
    low, high = 0, 2**14
    while high - low > 1:
        middle = (low + high) // 2
        if dive(scene, middle, diver) == 0:
            low = middle
        else:
            high = middle
    assert dive(scene, high, diver) == Reason.STACK_OVERFLOW
    return low


@pytest.mark.parametrize("values", [0, 1, 12, 100])
def test_every_nested_contract_may_use_all_of_its_stack(values):
    scene = Scene()
    code = build_diver(values)
    divers = []
    for index in range(CALL_DEPTH_MAX):
        salt = bytes([index])
        address = find_address(A, code, salt)
        call = Call("contracts", "introduce", [salt, hash_code(code), code, b"", 0])
        assert scene.send(call, Call("contracts", "seal", [address])).status is Status.SUCCEEDED
        divers.append(address)
    deepest = find_deepest(scene, divers[0])
    assert dive(scene, deepest, *divers) == 0
    assert dive(scene, deepest, *divers, find_address(A, code, b"absent")) != 0
