"""The smallest token as a contract, for benchmarks: two reads, two writes and an event a transfer."""

import wasmtime

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

MINTED = 10**15
_TEXT = """
(module
  (import "iov1" "input" (func $input (param i32)))
  (import "iov1" "register_read" (func $register_read (param i32 i32)))
  (import "iov1" "caller" (func $caller (param i32)))
  (import "iov1" "storage_get" (func $storage_get (param i32 i32 i32) (result i32)))
  (import "iov1" "storage_put" (func $storage_put (param i32 i32 i32 i32)))
  (import "iov1" "emit" (func $emit (param i32 i32 i32 i32)))
  (import "iov1" "revert" (func $revert (param i32 i32 i32)))
  (memory (export "memory") 1 1)
  (data (i32.const 0) "Moved")
  (func $balance (param $who i32) (result i64)
    (if (result i64) (call $storage_get (local.get $who) (i32.const 20) (i32.const 1))
      (then (call $register_read (i32.const 1) (i32.const 16)) (i64.load (i32.const 16)))
      (else (i64.const 0))))
  (func $store (param $who i32) (param $amount i64)
    (i64.store (i32.const 16) (local.get $amount))
    (call $storage_put (local.get $who) (i32.const 20) (i32.const 16) (i32.const 8)))
  (func (export "mint")
    (call $input (i32.const 0))
    (call $register_read (i32.const 0) (i32.const 96))
    (call $store (i32.const 96) (i64.load (i32.const 116))))
  (func (export "transfer") (local $held i64) (local $amount i64)
    (call $caller (i32.const 64))
    (call $input (i32.const 0))
    (call $register_read (i32.const 0) (i32.const 84))
    (local.set $amount (i64.load (i32.const 104)))
    (local.set $held (call $balance (i32.const 64)))
    (if (i64.lt_u (local.get $held) (local.get $amount))
      (then (call $revert (i32.const 1) (i32.const 0) (i32.const 0))))
    (call $store (i32.const 64) (i64.sub (local.get $held) (local.get $amount)))
    (call $store (i32.const 84) (i64.add (call $balance (i32.const 84)) (local.get $amount)))
    (call $emit (i32.const 0) (i32.const 5) (i32.const 64) (i32.const 48))))
"""
_PAYMENT = (Parameter("to", "Address"), Parameter("amount", "u64"))
_INTERFACE = Interface(
    "Token",
    "wat",
    bytes(32),
    UpgradeRule.NEVER,
    (),
    (
        Method("mint", MethodKind.CALL, False, False, _PAYMENT, ""),
        Method("transfer", MethodKind.CALL, False, False, _PAYMENT, ""),
    ),
    (EventType("Moved", (Parameter("sender", "Address"), *_PAYMENT)),),
    (),
)


def build_token() -> bytes:
    """The module as it is published."""
    return attach_interface(bytes(wasmtime.wat2wasm(_TEXT)), _INTERFACE)


def pack_payment(recipient: bytes, amount: int) -> bytes:
    """Arguments of both methods."""
    return recipient + amount.to_bytes(8, "little")


def attach_interface(code: bytes, interface: Interface) -> bytes:
    """A module with its interface in the custom section."""
    return code + encode_section(SECTION_CUSTOM, encode_name(SECTION_NAME) + encode_interface(interface))
