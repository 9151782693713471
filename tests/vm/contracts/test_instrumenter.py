"""Counters: what each program pays to the unit, where it stops, and that the stack is bounded by frames."""

import base64
import json
import shutil
import subprocess

import pytest
import wasmtime

from tests.vm.contracts.golden_files import GOLDEN_FILES
from tests.vm.contracts.programs import PROGRAMS, Run, Runner
from vm.contracts.gate import check_module
from vm.contracts.instrumenter import (
    ADVANCE_UNITS_MAX,
    FLAT_UNITS_MAX,
    FRAME_UNITS,
    SHALLOW_UNITS_MAX,
    STACK_UNITS_MAX,
    TRAP_CALL_DEPTH,
    TRAP_OUT_OF_GAS,
    UNCHECKED_UNITS_MAX,
    Frame,
    compute_frames,
)
from vm.contracts.opcodes import (
    PRICE_BRANCH,
    PRICE_BRANCH_TABLE,
    PRICE_CALL,
    PRICE_DIVIDE,
    PRICE_JUMP,
    PRICE_LOAD,
    PRICE_LOOP,
    PRICE_MOVE,
    PRICE_MULTIPLY,
    PRICE_SIMPLE,
)
from vm.contracts.parser import parse_module
from vm.contracts.validator import validate_module

NATIVE_STACK_BYTES_A_UNIT = 16  # 8 for a value, and as much again for what a compiler adds


def compile_text(text: str) -> bytes:
    return check_module(bytes(wasmtime.wat2wasm(text)))


def run(text: str, *arguments: int, gas_units: int = 10**9) -> Run:
    return Runner(compile_text(text)).run(*arguments, gas_units=gas_units)


def get_frames(text: str) -> list[Frame]:
    module = parse_module(bytes(wasmtime.wat2wasm(text)))
    return compute_frames(module, validate_module(module, {}))


def wrap(body: str, more: str = "") -> str:
    return f'(module {more} (func (export "run") (param i32) (result i32) {body}))'


@pytest.mark.parametrize(("path", "produce"), GOLDEN_FILES, ids=[path.stem for path, _ in GOLDEN_FILES])
def test_gas_and_bytes_are_pinned(path, produce):
    assert path.read_text(encoding="utf-8") == produce()


@pytest.mark.parametrize("name", PROGRAMS)
def test_instrumented_programs_do_what_plain_ones_do(name: str) -> None:
    text, argument = PROGRAMS[name]
    engine = wasmtime.Engine()
    for each in (0, 1, 2, 17, argument):
        store = wasmtime.Store(engine)
        plain = wasmtime.Instance(store, wasmtime.Module(engine, wasmtime.wat2wasm(text)), [])
        assert run(text, each).result == plain.exports(store)["run"](store, each), each


# Gas

ENTRY = PRICE_CALL


@pytest.mark.parametrize(
    ("body", "argument", "units"),
    [
        ("(local.get 0)", 5, PRICE_MOVE),
        ("(i32.div_u (local.get 0) (i32.const 2))", 5, 2 * PRICE_MOVE + PRICE_DIVIDE),
        ("(return (i32.mul (local.get 0) (i32.const 2)))", 5, 2 * PRICE_MOVE + PRICE_MULTIPLY + PRICE_JUMP),
        # the small part after `if` is paid in advance, whether it runs or not; `else` only if it runs
        (
            "(if (result i32) (local.get 0) (then (i32.const 1)) (else (i32.div_u (i32.const 9) (i32.const 2))))",
            1,
            PRICE_MOVE + PRICE_BRANCH + PRICE_MOVE,
        ),
        (
            "(if (result i32) (local.get 0) (then (i32.const 1)) (else (i32.div_u (i32.const 9) (i32.const 2))))",
            0,
            PRICE_MOVE + PRICE_BRANCH + PRICE_MOVE + 2 * PRICE_MOVE + PRICE_DIVIDE,
        ),
        # three loads are too much to be paid in advance
        (
            "(if (local.get 0) (then (local.set 0 (i32.load (i32.load (i32.load (i32.const 0))))))) (i32.const 1)",
            0,
            PRICE_MOVE + PRICE_BRANCH + PRICE_MOVE,
        ),
        (
            "(if (local.get 0) (then (local.set 0 (i32.load (i32.load (i32.load (i32.const 0))))))) (i32.const 1)",
            1,
            PRICE_MOVE + PRICE_BRANCH + PRICE_MOVE + 2 * PRICE_MOVE + 3 * PRICE_LOAD,
        ),
        # each turn pays
        (
            "(loop (br_if 0 (local.tee 0 (i32.sub (local.get 0) (i32.const 1))))) (local.get 0)",
            7,
            7 * (PRICE_LOOP + 3 * PRICE_MOVE + PRICE_SIMPLE + PRICE_BRANCH) + PRICE_MOVE,
        ),
        # what stands behind an untaken way is not paid
        (
            "(block (block (br_table 0 1 (local.get 0))) (return (i32.load (i32.load (i32.const 0))))) (i32.const 3)",
            1,
            PRICE_MOVE + PRICE_BRANCH_TABLE + PRICE_MOVE,
        ),
        # nor is dead code
        ("(return (local.get 0)) (drop (i32.load (i32.const 0)))", 1, PRICE_MOVE + PRICE_JUMP),
    ],
)
def test_price_of(body: str, argument: int, units: int) -> None:
    ended = run(wrap(body, "(memory 1 1)"), argument)
    assert (ended.trap, ended.trap_code) == (0, None)
    assert ended.used_units == ENTRY + units


def test_flat_functions_are_paid_by_their_caller():
    text = """(module (func $leaf (param i32) (result i32) (i32.mul (local.get 0) (i32.const 3)))
      (func $middle (param i32) (result i32) (call $leaf (call $leaf (local.get 0))))
      (func (export "run") (param i32) (result i32) (call $middle (local.get 0))))"""
    leaf = 2 * PRICE_MOVE + PRICE_MULTIPLY
    middle = PRICE_MOVE + 2 * (PRICE_CALL + leaf)
    assert [frame.flat_price for frame in get_frames(text)] == [leaf, middle, PRICE_MOVE + PRICE_CALL + middle]
    assert run(text, 2) == Run(18, ENTRY + PRICE_MOVE + PRICE_CALL + middle, 0)
    branching = "(func $leaf (param i32) (result i32) (if (local.get 0) (then nop)) (local.get 0))"
    assert get_frames(f"(module {branching})")[0].flat_price is None
    listed = '(module (table 1 1 funcref) (elem (i32.const 0) $leaf) (func $leaf (export "a")))'
    assert get_frames(listed)[0].flat_price is None
    doubling = "".join(f"(func $f{index} call $f{index + 1} call $f{index + 1})" for index in range(40))
    prices = [frame.flat_price for frame in get_frames(f"(module {doubling} (func $f40))")]
    assert prices[:34] == [None] * 34 and max(price for price in prices if price is not None) <= FLAT_UNITS_MAX


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_stops_where_its_gas_ends(name: str) -> None:
    """With exactly enough it ends; with one unit less it does not; with less, it overdraws only a little."""
    text, _ = PROGRAMS[name]
    runner = Runner(compile_text(text))
    needed = runner.run(15).used_units
    assert Runner(compile_text(text)).run(15, gas_units=needed).trap == 0
    for gas_units in (needed - 1, needed // 2, 10, 0):
        ended = Runner(compile_text(text)).run(15, gas_units=gas_units)
        assert (ended.trap, ended.trap_code) == (TRAP_OUT_OF_GAS, wasmtime.TrapCode.UNREACHABLE), gas_units
        assert gas_units < ended.used_units <= gas_units + 2 * UNCHECKED_UNITS_MAX


@pytest.mark.parametrize(
    "body",
    [
        "(loop (br 0))",
        "(loop (br_if 0 (i32.const 1)))",
        "(loop (block (br 1)))",
        "(loop (if (i32.const 1) (then (br 1))))",
        "(loop (br_table 0 0 (i32.const 7)))",
        "(loop (loop (br 1)))",
        "(call $again)",
        "(call_indirect (i32.const 0))",
    ],
)
def test_nothing_runs_for_ever(body: str) -> None:
    text = f"""(module (table 1 1 funcref) (elem (i32.const 0) $again)
      (func $again (loop (br 0))) (func (export "run") {body}))"""
    ended = run(text, gas_units=100_000)
    assert ended.trap == TRAP_OUT_OF_GAS
    assert ended.used_units < 100_000 + 2 * UNCHECKED_UNITS_MAX


def test_straight_code_is_checked_now_and_then():
    """Long functions without loops do not run on empty."""
    step = "(if (local.get 0) (then " + "(local.set 0 (i32.div_u (local.get 0) (i32.const 1)))" * 10 + "))"
    ended = run(wrap(step * 100 + "(local.get 0)"), 5, gas_units=10_000)
    assert ended.trap == TRAP_OUT_OF_GAS
    assert ended.used_units < 10_000 + 3 * UNCHECKED_UNITS_MAX


def test_a_guest_s_trap_is_told_from_ours():
    ended = run(wrap("unreachable"), 0)
    assert (ended.trap, ended.trap_code) == (0, wasmtime.TrapCode.UNREACHABLE)
    ended = run(wrap("(i32.div_u (i32.const 1) (local.get 0))"), 0)
    assert (ended.trap, ended.trap_code) == (0, wasmtime.TrapCode.INTEGER_DIVISION_BY_ZERO)


def test_advance_is_small_beside_what_runs_unchecked():
    assert ADVANCE_UNITS_MAX < UNCHECKED_UNITS_MAX < 1_001


# The host's functions

HOST = """(module (import "iov1" "gas_left" (func $gas_left (result i64)))
  (import "iov1" "storage_has" (func $has (param i32 i32) (result i32)))
  (import "iov1" "log" (func $log (param i32 i32)))
  (table 1 1 funcref) (elem (i32.const 0) $has) (memory 1 1)
  (func (export "run") (param i32) (result i32)
    (call $log (i32.const 1) (i32.const 2))
    (drop (call $gas_left))
    (call_indirect (param i32 i32) (result i32) (i32.const 30) (local.get 0) (i32.const 0))))"""
I32, I64 = wasmtime.ValType.i32(), wasmtime.ValType.i64()


def build_host(price_units: int, seen: list[tuple[int, ...]]) -> dict[str, tuple[wasmtime.FuncType, object]]:
    def answer(*arguments: int):
        seen.append(arguments)
        left = arguments[0] - price_units
        return left if len(arguments) == 3 and arguments[1] == 1 else [left, 77]

    return {
        "gas_left": (wasmtime.FuncType([I64], [I64, I64]), answer),
        "storage_has": (wasmtime.FuncType([I64, I32, I32], [I64, I32]), answer),
        "log": (wasmtime.FuncType([I64, I32, I32], [I64]), answer),
    }


def test_the_host_gets_the_gas_and_gives_back_what_is_left():
    seen: list[tuple[int, ...]] = []
    ended = Runner(compile_text(HOST), build_host(1_000, seen)).run(4, gas_units=10_000)
    assert (ended.result, ended.trap) == (77, 0)
    first = seen[0][0]
    assert seen == [(first, 1, 2), (first - 1_000,), (first - 2_000, 30, 4)]
    assert ended.used_units == 10_000 - (first - 3_000)


def test_the_host_s_price_ends_the_run():
    seen: list[tuple[int, ...]] = []
    ended = Runner(compile_text(HOST), build_host(6_000, seen)).run(4, gas_units=10_000)
    assert (ended.trap, len(seen)) == (TRAP_OUT_OF_GAS, 2)
    assert ended.used_units > 10_000


def test_the_host_is_not_called_with_nothing_left():
    seen: list[tuple[int, ...]] = []
    text = """(module (import "iov1" "log" (func $log (param i32 i32)))
      (func (export "run") (call $log (i32.const 1) (i32.const 2))))"""
    ended = Runner(compile_text(text), build_host(1, seen)).run(gas_units=PRICE_CALL)
    assert (ended.trap, seen) == (TRAP_OUT_OF_GAS, [])


# The stack

MANY = 900
DEEP = {
    "small frames": '(func $f (export "run") (param i32) (call $f (local.get 0)))',
    "many parameters": f"(func $f (param {'i64 ' * 32}) (call $f {'(local.get 3)' * 32}))"
    f'(func (export "run") (param i32) (call $f {"(i64.extend_i32_u (local.get 0))" * 32}))',
    "locals alive over the call": '(func $f (export "run") (param i32) '
    + "".join(f"(local $x{index} i64)" for index in range(MANY))
    + "".join(f"(local.set $x{index} (i64.load (local.get 0)))" for index in range(MANY))
    + "(call $f (local.get 0))"
    + "".join(f"(i64.store (i32.const {8 * index}) (local.get $x{index}))" for index in range(MANY))
    + ")",
    "operands alive over the call": '(func $f (export "run") (param i32) '
    + "(i64.load (local.get 0))" * MANY
    + "(call $f (local.get 0))"
    + "(i64.add)" * (MANY - 1)
    + "drop)",
    "values moved out of a loop": '(func $f (export "run") (param i32) (local $sum i64) (local $k i64)'
    "(local.set $k (i64.load (local.get 0))) (loop (call $f (local.get 0))"
    + "".join(
        f"(local.set $sum (i64.xor (local.get $sum) (i64.mul (local.get $k) (i64.const {2 * index + 3}))))"
        for index in range(2_000)
    )
    + "(br_if 0 (i64.ne (local.get $sum) (i64.const 1)))))",
    "through a table": '(func $f (export "run") (param i32) '
    "(call_indirect (type $t) (local.get 0) (i32.const 1)) (call_indirect (type $t) (local.get 0) (i32.const 0)))"
    f"(func $leaf (param i32) {'(local i64)' * 200} (i64.store (i32.const 0) (local.get 100)))",
    "two that call each other": '(func $f (export "run") (param i32) (call $g (local.get 0) (i32.const 1)))'
    "(func $g (param i32 i32) (call $f (local.get 1)))",
}


@pytest.mark.parametrize("name", DEEP)
def test_recursion_ends_by_our_count_long_before_the_engine_s(name: str) -> None:
    table = "(type $t (func (param i32))) (table 2 2 funcref) (elem (i32.const 0) $f $leaf)"
    is_indirect = "call_indirect" in DEEP[name]
    config = wasmtime.Config()
    config.max_wasm_stack = STACK_UNITS_MAX * NATIVE_STACK_BYTES_A_UNIT
    code = compile_text(f"(module {table if is_indirect else ''} (memory 1 1) {DEEP[name]})")
    ended = Runner(code, config=config).run(0)
    assert (ended.trap, ended.trap_code) == (TRAP_CALL_DEPTH, wasmtime.TrapCode.UNREACHABLE)


def test_the_depth_is_what_the_frames_say():
    text = """(module (func $f (export "run") (param i32) (result i32)
      (if (result i32) (local.get 0) (then (call $f (i32.sub (local.get 0) (i32.const 1)))) (else (i32.const 0)))))"""
    units = FRAME_UNITS + 1 + 2 + 2  # a parameter, two operands, a difference and a result
    assert get_frames(text) == [Frame(None, units, is_counted=True)]
    deepest = STACK_UNITS_MAX // units - 1
    runner = Runner(compile_text(text))
    assert runner.run(deepest).trap == 0
    assert runner.run(deepest + 1).trap == TRAP_CALL_DEPTH


def test_every_way_out_of_a_function_gives_its_frame_back():
    text = """(module (func $f (param i32) (result i32)
        (if (i32.eq (local.get 0) (i32.const 1)) (then (return (i32.const 1))))
        (if (i32.eq (local.get 0) (i32.const 2)) (then (br 1 (i32.const 2))))
        (block (br_table 0 0 1 (i32.const 3) (i32.sub (local.get 0) (i32.const 3))) )
        (if (i32.eq (local.get 0) (i32.const 99)) (then (drop (call $f (i32.const 0)))))
        (i32.const 4))
      (func (export "run") (param $n i32) (result i32) (local $sum i32)
        (loop (local.set $sum (i32.add (local.get $sum) (call $f (i32.and (local.get $n) (i32.const 7)))))
          (br_if 0 (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
        (local.get $sum)))"""
    text = text.replace("(block (br_table 0 0 1 (i32.const 3) (i32.sub (local.get 0) (i32.const 3))) )", "")
    ended = run(text, 100_000)
    assert (ended.result, ended.trap) == ((1 + 2 + 6 * 4) * 12_500, 0)


def test_each_entry_begins_with_an_empty_stack():
    runner = Runner(compile_text(f'(module {DEEP["small frames"]} (func (export "other")))'))
    assert runner.run(0).trap == TRAP_CALL_DEPTH
    assert runner.run(name="other").trap == 0


def test_small_functions_that_call_nothing_recursive_are_not_counted():
    chain = "".join(f"(func $f{index} (call $f{index + 1}))" for index in range(30))
    frames = get_frames(f"(module {chain} (func $f30))")
    assert [frame.units for frame in frames[-16:]] == [FRAME_UNITS * index for index in range(16, 0, -1)]
    assert [frame.is_counted for frame in frames] == [True] * 15 + [False] * 16
    assert frames[-17] == Frame(frames[-17].flat_price, FRAME_UNITS + SHALLOW_UNITS_MAX, is_counted=True)


# Other engines


NODE_SCRIPT = """
const programs = JSON.parse(require('fs').readFileSync(0, 'utf8'));
const lines = [];
for (const [code, argument, gas] of programs) {
  const instance = new WebAssembly.Instance(new WebAssembly.Module(Buffer.from(code, 'base64')));
  instance.exports.iov_gas.value = BigInt(gas);
  let result = null;
  try { result = instance.exports.run(argument); } catch (error) { }
  lines.push([result, Number(BigInt(gas) - instance.exports.iov_gas.value), instance.exports.iov_trap.value]);
}
console.log(JSON.stringify(lines));
"""


@pytest.mark.skipif(shutil.which("node") is None, reason="needs Node.js")
def test_another_engine_counts_the_same():
    """V8 runs the same bytes to the same result, the same unit of gas and the same trap."""
    cases = [(text, argument, gas) for text, argument in PROGRAMS.values() for gas in (10**12, 1_000, 0)]
    cases += [(f"(module (memory 1 1) {text})", 0, 10**12) for text in DEEP.values() if "call_indirect" not in text]
    codes = [(base64.b64encode(compile_text(text)).decode(), argument, gas) for text, argument, gas in cases]
    ended = subprocess.run(
        ["node", "-e", NODE_SCRIPT], input=json.dumps(codes), capture_output=True, text=True, check=True, timeout=60
    )
    expected = []
    for text, argument, gas in cases:
        ours = Runner(compile_text(text)).run(argument, gas_units=gas)
        expected.append([ours.result, ours.used_units, ours.trap])
    assert json.loads(ended.stdout) == expected
