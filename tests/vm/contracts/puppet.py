"""A contract that plays the script it is given, and short ways to publish and call it in tests."""

from functools import cache
from hashlib import sha256

import wasmtime

from identity.address import Address, compute_contract_address
from vm.contracts.abi import (
    SECTION_NAME,
    EventType,
    Interface,
    Method,
    MethodKind,
    Parameter,
    UpgradeRule,
    encode_interface,
)
from vm.contracts.encoder import encode_name, encode_section
from vm.contracts.parser import SECTION_CUSTOM

SCRIPT = (Parameter("script", "bytes"),)
METHODS = (
    Method("init", MethodKind.INIT, True, False, SCRIPT, ""),
    Method("migrate", MethodKind.MIGRATE, False, False, SCRIPT, ""),
    Method("run", MethodKind.CALL, True, False, SCRIPT, ""),
    Method("rerun", MethodKind.CALL, True, True, SCRIPT, ""),
    Method("free", MethodKind.CALL, False, False, SCRIPT, "bytes"),
    Method("look", MethodKind.VIEW, False, True, SCRIPT, "bytes"),
)
EVENTS = (EventType("Did", (Parameter("number", "u8"),)),)

WAT = """
(module
  (import "iov1" "input" (func $input (param i32)))
  (import "iov1" "register_read" (func $register_read (param i32 i32)))
  (import "iov1" "register_length" (func $register_length (param i32) (result i32)))
  (import "iov1" "return_value" (func $return_value (param i32 i32)))
  (import "iov1" "revert" (func $revert (param i32 i32 i32)))
  (import "iov1" "storage_put" (func $storage_put (param i32 i32 i32 i32)))
  (import "iov1" "storage_get" (func $storage_get (param i32 i32 i32) (result i32)))
  (import "iov1" "transfer" (func $transfer (param i32 i64)))
  (import "iov1" "call" (func $call (param i32 i32 i32 i32 i32 i64 i64 i32) (result i32)))
  (import "iov1" "view" (func $view (param i32 i32 i32 i32 i32 i64 i32) (result i32)))
  (import "iov1" "call_native" (func $call_native (param i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (import "iov1" "view_native" (func $view_native (param i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (import "iov1" "emit" (func $emit (param i32 i32 i32 i32)))
  (import "iov1" "mul_div" (func $mul_div (param i32 i32 i32 i32 i32)))
  (import "iov1" "log" (func $log (param i32 i32)))
  (memory (export "memory") 2 2)
  (data (i32.const 0) "Did")
  (func (export "init") (call $begin))
  (func (export "migrate") (call $begin))
  (func (export "run") (call $begin))
  (func (export "rerun") (call $begin))
  (func (export "free") (call $begin))
  (func (export "look") (call $begin))
  (func $begin
    (call $input (i32.const 0))
    (call $register_read (i32.const 0) (i32.const 1024))
    (call $play (i32.const 1028)))
  (func $dive (param i32) (result i32)
    (i32.add (call $dive (i32.add (local.get 0) (i32.const 1))) (i32.const 1)))
  (func $note (param $key i32) (param $result i32)
    (i32.store8 (i32.const 16) (local.get $key))
    (i32.store (i32.const 20) (local.get $result))
    (call $storage_put (i32.const 16) (i32.const 1) (i32.const 20) (i32.const 4)))
  (func $play (param $p i32) (local $op i32) (local $n i32) (local $m i32)
    (loop $next
      (local.set $op (i32.load8_u (local.get $p)))
      (local.set $p (i32.add (local.get $p) (i32.const 1)))
      (if (i32.eqz (local.get $op)) (then (return)))
      (if (i32.eq (local.get $op) (i32.const 1)) (then ;; put: key u8, value u8
        (call $storage_put (local.get $p) (i32.const 1) (i32.add (local.get $p) (i32.const 1)) (i32.const 1))
        (local.set $p (i32.add (local.get $p) (i32.const 2)))
        (br $next)))
      (if (i32.eq (local.get $op) (i32.const 2)) (then ;; emit: name length u8, number u8
        (call $emit (i32.const 0) (i32.load8_u (local.get $p)) (i32.add (local.get $p) (i32.const 1)) (i32.const 1))
        (local.set $p (i32.add (local.get $p) (i32.const 2)))
        (br $next)))
      (if (i32.eq (local.get $op) (i32.const 3)) (then ;; pay: address, amount u64
        (call $transfer (local.get $p) (i64.load (i32.add (local.get $p) (i32.const 20))))
        (local.set $p (i32.add (local.get $p) (i32.const 28)))
        (br $next)))
      (if (i32.eq (local.get $op) (i32.const 4)) (then ;; call: key u8, address, value u64, gas u64, method, arguments
        (local.set $n (i32.load8_u (i32.add (local.get $p) (i32.const 37))))
        (local.set $m (i32.load (i32.add (local.get $p) (i32.add (local.get $n) (i32.const 38)))))
        (call $note (i32.load8_u (local.get $p))
          (call $call (i32.add (local.get $p) (i32.const 1))
            (i32.add (local.get $p) (i32.const 38)) (local.get $n)
            (i32.add (local.get $p) (i32.add (local.get $n) (i32.const 42))) (local.get $m)
            (i64.load (i32.add (local.get $p) (i32.const 21))) (i64.load (i32.add (local.get $p) (i32.const 29)))
            (i32.const 1)))
        (local.set $p (i32.add (local.get $p) (i32.add (i32.const 42) (i32.add (local.get $n) (local.get $m)))))
        (br $next)))
      (if (i32.eq (local.get $op) (i32.const 5)) (then ;; revert: code u32
        (call $revert (i32.load (local.get $p)) (i32.const 0) (i32.const 3))))
      (if (i32.eq (local.get $op) (i32.const 6)) (then (unreachable)))
      (if (i32.eq (local.get $op) (i32.const 7)) (then (loop $ever (br $ever))))
      (if (i32.eq (local.get $op) (i32.const 8)) (then (drop (call $dive (i32.const 0)))))
      (if (i32.eq (local.get $op) (i32.const 9)) (then ;; call_native: key u8, module, call, arguments
        (local.set $n (i32.load8_u (i32.add (local.get $p) (i32.const 1))))
        (local.set $op (i32.add (local.get $p) (i32.add (local.get $n) (i32.const 2))))
        (local.set $m (i32.load8_u (local.get $op)))
        (call $note (i32.load8_u (local.get $p))
          (call $call_native (i32.add (local.get $p) (i32.const 2)) (local.get $n)
            (i32.add (local.get $op) (i32.const 1)) (local.get $m)
            (i32.add (local.get $op) (i32.add (local.get $m) (i32.const 5)))
            (i32.load (i32.add (local.get $op) (i32.add (local.get $m) (i32.const 1))))
            (i32.const 1)))
        (local.set $p (i32.add (local.get $op) (i32.add (i32.add (local.get $m) (i32.const 5))
          (i32.load (i32.add (local.get $op) (i32.add (local.get $m) (i32.const 1)))))))
        (br $next)))
      (if (i32.eq (local.get $op) (i32.const 10)) (then ;; return: length u32, bytes
        (local.set $n (i32.add (i32.load (local.get $p)) (i32.const 4)))
        (call $return_value (local.get $p) (local.get $n))
        (local.set $p (i32.add (local.get $p) (local.get $n)))
        (br $next)))
      (if (i32.eq (local.get $op) (i32.const 11)) (then ;; put with any pointers: key, length, value, length
        (call $storage_put (i32.load (local.get $p)) (i32.load (i32.add (local.get $p) (i32.const 4)))
          (i32.load (i32.add (local.get $p) (i32.const 8))) (i32.load (i32.add (local.get $p) (i32.const 12))))
        (local.set $p (i32.add (local.get $p) (i32.const 16)))
        (br $next)))
      (if (i32.eq (local.get $op) (i32.const 12)) (then ;; mul_div: a, b, c of 16 bytes, rounding u8; result to key 0xfe
        (call $mul_div (local.get $p) (i32.add (local.get $p) (i32.const 16)) (i32.add (local.get $p) (i32.const 32))
          (i32.load8_u (i32.add (local.get $p) (i32.const 48))) (i32.const 32))
        (i32.store8 (i32.const 16) (i32.const 0xfe))
        (call $storage_put (i32.const 16) (i32.const 1) (i32.const 32) (i32.const 16))
        (local.set $p (i32.add (local.get $p) (i32.const 49)))
        (br $next)))
      (if (i32.eq (local.get $op) (i32.const 13)) (then ;; view_native: module, view, arguments; answer to key 0xfd
        (local.set $n (i32.load8_u (local.get $p)))
        (local.set $op (i32.add (local.get $p) (i32.add (local.get $n) (i32.const 1))))
        (local.set $m (i32.load8_u (local.get $op)))
        (call $note (i32.const 0xfc)
          (call $view_native (i32.add (local.get $p) (i32.const 1)) (local.get $n)
            (i32.add (local.get $op) (i32.const 1)) (local.get $m)
            (i32.add (local.get $op) (i32.add (local.get $m) (i32.const 5)))
            (i32.load (i32.add (local.get $op) (i32.add (local.get $m) (i32.const 1))))
            (i32.const 2)))
        (local.set $p (i32.add (local.get $op) (i32.add (i32.add (local.get $m) (i32.const 5))
          (i32.load (i32.add (local.get $op) (i32.add (local.get $m) (i32.const 1)))))))
        (if (i32.ne (call $register_length (i32.const 2)) (i32.const -1)) (then
          (call $register_read (i32.const 2) (i32.const 64))
          (i32.store8 (i32.const 16) (i32.const 0xfd))
          (call $storage_put (i32.const 16) (i32.const 1) (i32.const 64) (call $register_length (i32.const 2)))))
        (br $next)))
      (if (i32.eq (local.get $op) (i32.const 14)) (then ;; store at an address: pointer u32
        (i32.store (i32.load (local.get $p)) (i32.const 1))
        (local.set $p (i32.add (local.get $p) (i32.const 4)))
        (br $next)))
      (if (i32.eq (local.get $op) (i32.const 15)) (then ;; give back what is stored under a key u8
        (if (call $storage_get (local.get $p) (i32.const 1) (i32.const 3)) (then
          (i32.store (i32.const 512) (call $register_length (i32.const 3)))
          (call $register_read (i32.const 3) (i32.const 516))
          (call $return_value (i32.const 512) (i32.add (i32.const 4) (call $register_length (i32.const 3))))))
        (local.set $p (i32.add (local.get $p) (i32.const 1)))
        (br $next)))
      (unreachable))))
"""


def attach_interface(code: bytes, interface: Interface) -> bytes:
    """A module with its interface in the custom section."""
    return code + encode_section(SECTION_CUSTOM, encode_name(SECTION_NAME) + encode_interface(interface))


@cache
def compile_text(text: str) -> bytes:
    """WAT to WASM."""
    return bytes(wasmtime.wat2wasm(text))


@cache
def build_puppet(name: str = "Puppet", upgrade: UpgradeRule = UpgradeRule.NEVER) -> bytes:
    """The contract as it is published; another name is another code hash."""
    return attach_interface(compile_text(WAT), Interface(name, "wat", bytes(32), upgrade, (), METHODS, EVENTS, ()))


def hash_code(code: bytes) -> bytes:
    """What names the code."""
    return sha256(code).digest()


def find_address(introducer: Address, code: bytes, salt: bytes = b"") -> Address:
    """Where the contract will be."""
    return compute_contract_address(introducer, hash_code(code), salt)


def pack_script(*steps: bytes) -> bytes:
    """The packed argument of all methods."""
    script = b"".join(steps) + b"\0"
    return len(script).to_bytes(4, "little") + script


def put(key: int, value: int) -> bytes:
    """Store a byte under a byte."""
    return bytes([1, key, value])


def emit(number: int, name_length: int = 3) -> bytes:
    """Announce the event Did."""
    return bytes([2, name_length, number])


def pay(recipient: bytes, grains: int) -> bytes:
    """Pay from the contract's account."""
    return b"\3" + recipient + grains.to_bytes(8, "little")


def call(contract: bytes, *steps: bytes, key: int = 0xF0, value: int = 0, gas: int = 0, method: str = "run") -> bytes:
    """Call a puppet, and store the number of what became of it under a key."""
    arguments = pack_script(*steps)
    return (
        bytes([4, key])
        + contract
        + value.to_bytes(8, "little")
        + gas.to_bytes(8, "little")
        + _text(method)
        + len(arguments).to_bytes(4, "little")
        + arguments
    )


def revert(code: int) -> bytes:
    """Fail with a code of its own."""
    return b"\5" + code.to_bytes(4, "little")


TRAP = b"\6"
LOOP = b"\7"
DIVE = b"\x08"


def call_native(module: str, name: str, arguments: bytes, key: int = 0xF1) -> bytes:
    """Call a native module, and store the number of what became of it under a key."""
    return bytes([9, key]) + _text(module) + _text(name) + len(arguments).to_bytes(4, "little") + arguments


def give_back(value: bytes) -> bytes:
    """Return bytes."""
    return b"\x0a" + len(value).to_bytes(4, "little") + value


def put_at(key_pointer: int, key_length: int, value_pointer: int, value_length: int) -> bytes:
    """Store with any pointers."""
    return b"\x0b" + b"".join(
        each.to_bytes(4, "little") for each in (key_pointer, key_length, value_pointer, value_length)
    )


def mul_div(a: int, b: int, c: int, rounding: int = 0) -> bytes:
    """Store a * b / c under 0xfe."""
    return b"\x0c" + b"".join(each.to_bytes(16, "little") for each in (a, b, c)) + bytes([rounding])


def view_native(module: str, name: str, arguments: bytes) -> bytes:
    """Ask a native module; the number of what became of it is stored under 0xfc, the answer under 0xfd."""
    return b"\x0d" + _text(module) + _text(name) + len(arguments).to_bytes(4, "little") + arguments


def touch(pointer: int) -> bytes:
    """Write to the contract's own memory."""
    return b"\x0e" + pointer.to_bytes(4, "little")


def give_stored(key: int) -> bytes:
    """Return what is stored under a key."""
    return bytes([15, key])


def _text(text: str) -> bytes:
    return bytes([len(text)]) + text.encode()
