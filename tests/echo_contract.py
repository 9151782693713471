"""A contract that does with its packed arguments what tests of tools want to see: gives back, tells, keeps, fails."""

from tests.vm.contracts.puppet import attach_interface, compile_text
from vm.contracts.abi import (
    EventType,
    Interface,
    Method,
    MethodKind,
    Parameter,
    StorageItem,
    StorageKind,
    Struct,
    UpgradeRule,
)

WAT = """
(module
  (import "iov1" "input" (func $input (param i32)))
  (import "iov1" "register_read" (func $register_read (param i32 i32)))
  (import "iov1" "register_length" (func $register_length (param i32) (result i32)))
  (import "iov1" "return_value" (func $return_value (param i32 i32)))
  (import "iov1" "revert" (func $revert (param i32 i32 i32)))
  (import "iov1" "storage_put" (func $storage_put (param i32 i32 i32 i32)))
  (import "iov1" "emit" (func $emit (param i32 i32 i32 i32)))
  (import "iov1" "log" (func $log (param i32 i32)))
  (memory (export "memory") 2 2)
  (data (i32.const 0) "Announced")
  (data (i32.const 16) "too bad")
  (func $read (result i32)
    (call $input (i32.const 0))
    (call $register_read (i32.const 0) (i32.const 1024))
    (call $register_length (i32.const 0)))
  (func (export "create") (call $emit (i32.const 0) (i32.const 9) (i32.const 1024) (call $read)))
  (func (export "renew") (call $emit (i32.const 0) (i32.const 9) (i32.const 1024) (call $read)))
  (func (export "announce") (call $emit (i32.const 0) (i32.const 9) (i32.const 1024) (call $read)))
  (func (export "keep") (local $length i32)
    (local.set $length (call $read))
    (i32.store8 (i32.const 1023) (i32.const 1))
    (call $storage_put (i32.const 1023) (i32.const 21) (i32.const 1044)
      (i32.sub (local.get $length) (i32.const 20))))
  (func (export "fail")
    (drop (call $read))
    (call $log (i32.const 16) (i32.const 7))
    (call $revert (i32.load16_u (i32.const 1024)) (i32.const 16) (i32.const 7)))
  (func (export "echo") (call $return_value (i32.const 1024) (call $read)))
  (func (export "refuse")
    (drop (call $read))
    (call $revert (i32.load16_u (i32.const 1024)) (i32.const 16) (i32.const 7))))
"""
ANNOUNCED = (Parameter("to", "Address"), Parameter("amount", "u128"))
PAIR = Struct("Pair", (Parameter("small", "u32"), Parameter("large", "Option[u64]")))
THINGS = (
    Parameter("flag", "bool"),
    Parameter("pairs", "List[Pair, 3]"),
    Parameter("who", "Option[Address]"),
    Parameter("did", "Did"),
    Parameter("text", "str"),
    Parameter("raw", "bytes"),
)
METHODS = (
    Method("create", MethodKind.INIT, True, False, ANNOUNCED, ""),
    Method("renew", MethodKind.MIGRATE, False, False, ANNOUNCED, ""),
    Method("announce", MethodKind.CALL, True, False, ANNOUNCED, ""),
    Method("keep", MethodKind.CALL, False, False, ANNOUNCED, ""),
    Method("fail", MethodKind.CALL, False, False, (Parameter("code", "u16"),), ""),
    Method("echo", MethodKind.VIEW, False, True, (Parameter("things", "Things"),), "Things"),
    Method("refuse", MethodKind.VIEW, False, True, (Parameter("code", "u16"),), ""),
)
STORAGE = (
    StorageItem("total", StorageKind.VAR, "", "u128"),
    StorageItem("balances", StorageKind.MAP, "Address", "u128"),
)


def build_interface(name: str = "Echo", upgrade: UpgradeRule = UpgradeRule.OWNER) -> Interface:
    """What the contract declares."""
    structs = (PAIR, Struct("Things", THINGS))
    return Interface(name, "wat", bytes(32), upgrade, structs, METHODS, (EventType("Announced", ANNOUNCED),), STORAGE)


def build_echo(name: str = "Echo", upgrade: UpgradeRule = UpgradeRule.OWNER) -> bytes:
    """The contract as it is published; another name is another code hash."""
    return attach_interface(compile_text(WAT), build_interface(name, upgrade))


def announcement(to: bytes, amount: int) -> bytes:
    """The packed arguments of create, renew, announce and keep, and the packed fields of the event."""
    return to + amount.to_bytes(16, "little")
