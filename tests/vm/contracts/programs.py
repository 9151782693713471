"""Small programs in the text format, whose gas is pinned and whose speed is measured."""

from dataclasses import dataclass
from typing import Any

import wasmtime

from vm.contracts.instrumenter import GAS_EXPORT, TRAP_EXPORT

FIBONACCI = """(module (func $fib (export "run") (param i32) (result i32)
  (if (result i32) (i32.lt_u (local.get 0) (i32.const 2))
    (then (local.get 0))
    (else (i32.add (call $fib (i32.sub (local.get 0) (i32.const 1)))
                   (call $fib (i32.sub (local.get 0) (i32.const 2))))))))"""

SIEVE = """(module (memory 16 16)
  (func (export "run") (param $n i32) (result i32) (local $i i32) (local $j i32) (local $count i32)
    (local.set $i (i32.const 2))
    (block $done (loop $outer
      (br_if $done (i32.ge_u (local.get $i) (local.get $n)))
      (if (i32.eqz (i32.load8_u (local.get $i))) (then
        (local.set $count (i32.add (local.get $count) (i32.const 1)))
        (local.set $j (i32.mul (local.get $i) (i32.const 2)))
        (block $crossed (loop $inner
          (br_if $crossed (i32.ge_u (local.get $j) (local.get $n)))
          (i32.store8 (local.get $j) (i32.const 1))
          (local.set $j (i32.add (local.get $j) (local.get $i)))
          (br $inner)))))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br $outer)))
    (local.get $count)))"""

MIX = """(module (func (export "run") (param $n i32) (result i32) (local $x i64) (local $i i32)
  (local.set $x (i64.const 0x9e3779b97f4a7c15))
  (loop $again
    (local.set $x (i64.xor (local.get $x) (i64.shr_u (local.get $x) (i64.const 30))))
    (local.set $x (i64.mul (local.get $x) (i64.const 0xbf58476d1ce4e5b9)))
    (local.set $x (i64.xor (local.get $x) (i64.shr_u (local.get $x) (i64.const 27))))
    (local.set $x (i64.mul (local.get $x) (i64.const 0x94d049bb133111eb)))
    (local.set $x (i64.add (local.get $x) (i64.extend_i32_u (local.get $i))))
    (br_if $again (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (local.get $n))))
  (i32.wrap_i64 (local.get $x))))"""

GREATEST_DIVISORS = """(module
  (func $divisor (param i32 i32) (result i32) (local i32)
    (block (loop
      (br_if 1 (i32.eqz (local.get 1)))
      (local.set 2 (i32.rem_u (local.get 0) (local.get 1)))
      (local.set 0 (local.get 1))
      (local.set 1 (local.get 2))
      (br 0)))
    (local.get 0))
  (func (export "run") (param i32) (result i32) (local $sum i32) (local $i i32)
    (loop
      (local.set $sum (i32.add (local.get $sum) (call $divisor (local.get $i) (i32.const 360360))))
      (br_if 0 (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (local.get 0))))
    (local.get $sum)))"""

COLLATZ = """(module
  (func $step (param i64) (result i64)
    (select (i64.add (i64.mul (local.get 0) (i64.const 3)) (i64.const 1))
            (i64.shr_u (local.get 0) (i64.const 1))
            (i32.wrap_i64 (i64.and (local.get 0) (i64.const 1)))))
  (func (export "run") (param $n i32) (result i32) (local $i i32) (local $x i64) (local $count i32)
    (local.set $i (i32.const 1))
    (loop $outer
      (local.set $x (i64.extend_i32_u (local.get $i)))
      (block $one (loop $inner
        (br_if $one (i64.eq (local.get $x) (i64.const 1)))
        (local.set $x (call $step (local.get $x)))
        (local.set $count (i32.add (local.get $count) (i32.const 1)))
        (br $inner)))
      (br_if $outer (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (local.get $n))))
    (local.get $count)))"""

INTERPRETER = """(module (memory 1 1) (data (i32.const 0) "\\00\\01\\02\\03\\01\\00\\02\\02\\03\\01")
  (func (export "run") (param $n i32) (result i32) (local $at i32) (local $a i32) (local $b i32)
    (local.set $b (i32.const 7))
    (loop $next
      (block $end (block $swap (block $xor (block $multiply (block $add
        (br_table $add $multiply $xor $swap $end
          (i32.load8_u (i32.rem_u (local.get $at) (i32.const 10)))))
        (local.set $a (i32.add (local.get $a) (local.get $b)))
        (br $end))
        (local.set $b (i32.mul (local.get $b) (i32.const 3)))
        (br $end))
        (local.set $a (i32.xor (local.get $a) (local.get $b)))
        (br $end))
        (local.get $a) (local.set $a (local.get $b)) (local.set $b))
      (br_if $next (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 1))) (local.get $n))))
    (local.get $a)))"""

INDIRECT = """(module (type $binary (func (param i32 i32) (result i32))) (table 3 3 funcref)
  (global $calls (mut i32) (i32.const 0))
  (elem (i32.const 0) $add $subtract $recursive)
  (func $add (type $binary) (i32.add (local.get 0) (local.get 1)))
  (func $subtract (type $binary) (i32.sub (local.get 0) (local.get 1)))
  (func $recursive (type $binary)
    (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
    (if (result i32) (i32.gt_u (local.get 1) (i32.const 20))
      (then (call_indirect (type $binary) (local.get 0) (i32.shr_u (local.get 1) (i32.const 1)) (i32.const 2)))
      (else (local.get 0))))
  (func (export "run") (param $n i32) (result i32) (local $i i32) (local $x i32)
    (loop
      (local.set $x (call_indirect (type $binary) (local.get $x) (local.get $i)
        (i32.rem_u (local.get $i) (i32.const 3))))
      (br_if 0 (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (local.get $n))))
    (i32.add (local.get $x) (global.get $calls))))"""

PROGRAMS = {
    "fibonacci": (FIBONACCI, 20),
    "sieve": (SIEVE, 20_000),
    "mix": (MIX, 10_000),
    "greatest divisors": (GREATEST_DIVISORS, 1_000),
    "collatz": (COLLATZ, 1_000),
    "interpreter": (INTERPRETER, 5_000),
    "indirect": (INDIRECT, 2_000),
}
"""Text and argument of `run`."""

GAS_START_UNITS = 10**15


@dataclass
class Run:
    """How a call ended."""

    result: Any
    used_units: int
    trap: int
    trap_code: wasmtime.TrapCode | None = None


class Runner:
    """An instance of an instrumented module."""

    def __init__(
        self, code: bytes, imports: dict[str, Any] | None = None, config: wasmtime.Config | None = None
    ) -> None:
        engine = wasmtime.Engine(config) if config else wasmtime.Engine()
        self.store = wasmtime.Store(engine)
        linker = wasmtime.Linker(engine)
        for name, (kind, function) in (imports or {}).items():
            linker.define(self.store, "iov1", name, wasmtime.Func(self.store, kind, function))
        self.instance = linker.instantiate(self.store, wasmtime.Module(engine, code))
        self.gas = self.instance.exports(self.store)[GAS_EXPORT]
        self.trap = self.instance.exports(self.store)[TRAP_EXPORT]

    def run(self, *arguments: int, name: str = "run", gas_units: int = GAS_START_UNITS) -> Run:
        """Call a function with so much gas."""
        self.gas.set_value(self.store, gas_units)
        self.trap.set_value(self.store, 0)
        result, code = None, None
        try:
            result = self.instance.exports(self.store)[name](self.store, *arguments)
        except wasmtime.Trap as trap:
            code = trap.trap_code
        return Run(result, gas_units - self.gas.value(self.store), self.trap.value(self.store), code)
