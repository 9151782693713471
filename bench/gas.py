"""Scenario `gas`: what an operation of a contract takes, in ns for each gas it costs.

Where one operation takes many times the time of another that costs the same, a block full of it takes longer than
blocks may, or everybody pays for time that nobody takes. So the dearest of them is set against the cheapest. What an
operation leaves behind counts until it is on the disk: values, their tree, and events in receipts.
"""

import asyncio
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from statistics import median

import wasmtime

from bench.apply import commit_state, make_document
from bench.floor import measure_floor
from bench.report import Result
from bench.token import attach_interface
from genesis.build import initialise_chain
from identity.address import Address
from identity.keys import KeyType, PrivateKey
from identity.signing import SigningDomain
from ledger.chain import Chain
from ledger.merkle import build_proof, compute_leaf_hash, compute_root
from ledger.primitives import ConsensusKey, Gas, Grains, Height, TimeMs, TransactionId
from ledger.receipt import Receipt, Status
from ledger.state import State
from node.contract_stack import ContractStack
from node.leveldb_store import LevelDbStore
from vm.context import BlockContext, Context
from vm.contracts.abi import EventType, Interface, Method, MethodKind, Parameter, UpgradeRule
from vm.contracts.calls import Request, Runtime, call_contract
from vm.contracts.host_functions import HOST_FUNCTIONS
from vm.contracts.lifecycle import introduce, seal
from vm.contracts.opcodes import I32
from vm.contracts.records import CodeHash
from vm.contracts.runtime import build_runtime
from vm.gas import GasMeter
from vm.native.iov import credit
from vm.parameters import get_parameters

Progress = Callable[[str], None]
SPREAD_MAX = 10.0
ROUNDS = 3  # the fastest counts: whatever else the machine did is not the operation's fault
STORED_KEYS = 40_000
LARGE_KEYS = 1_000
GAS_LIMIT = 10**10
COINS_GRAINS = 10**9
PUBLISHER = Address(sha256(b"publisher").digest()[:20])
CALLABLE = frozenset({MethodKind.CALL, MethodKind.VIEW})

NAME, EMPTY, MODULE, TRANSFER, BALANCE, KEY, DATA, TURNS, OTHER = 0, 16, 24, 27, 35, 64, 96, 156, 160
"""Where things stand in the contract's memory; it is given how many turns to make, and the address of another."""
ROOT, LEAF, PROOF, SIGNED = 6_000, 6_032, 6_040, 7_000
LARGE = 16_384
COUNT = f"(i64.store (i32.const {KEY}) (i64.extend_i32_u (local.get $i)))"
COUNT_LARGE = f"(i64.store (i32.const {KEY}) (i64.extend_i32_u (i32.sub (i32.const -1) (local.get $i))))"
MIX = "(i32.mul (i32.add (local.get $a) (local.get $i)) (i32.const 0x9e3779b1))"
SCATTER = f"(local.set $a {MIX})"
WIDE = "(local.set $w (i64.add (i64.mul (local.get $w) (i64.const 0x5851f42d4c957f2d)) (i64.const 11)))"
FLIP = "(if (i64.lt_s (local.get $w) (i64.const 0)) (then (local.set $a (i32.add (local.get $a) (i32.const 1)))))"


@dataclass(frozen=True)
class Case:
    """An operation in a loop."""

    name: str
    turns: int
    body: str
    setup: str = ""
    is_written: bool = False
    """Whether writing to the disk what it changed and told counts too."""


def _use(name: str, *arguments: int) -> str:
    """A call of a host function."""
    kind = HOST_FUNCTIONS[name]
    given = " ".join(
        f"(i32.const {value})" if letter == I32 else f"(i64.const {value})"
        for letter, value in zip(kind.parameters, arguments, strict=True)
    )
    called = f"(call ${name} {given})"
    return f"(drop {called})" if kind.results else called


HOLD_8 = _use("storage_put", KEY, 8, DATA, 8) + _use("storage_get", KEY, 8, 1)
HOLD_LARGE = _use("storage_put", KEY, 8, DATA, LARGE) + _use("storage_get", KEY, 8, 1)
LONG_EVENT = f"(i32.store (i32.const {DATA}) (i32.const {LARGE}))"

CASES = [
    Case("add", 500_000, 8 * "(local.set $a (i32.xor (i32.add (local.get $a) (local.get $i)) (local.get $b)))"),
    Case("multiply", 500_000, 8 * WIDE),
    Case("divide", 500_000, 8 * "(local.set $w (i64.div_u (i64.const -3) (i64.or (local.get $w) (i64.const 1))))"),
    Case("load", 500_000, 8 * f"(local.set $a (i32.load (i32.and {MIX} (i32.const 0x1fffc))))"),
    Case(
        "store",
        500_000,
        8 * f"(local.set $a {MIX}) (i32.store (i32.and (local.get $a) (i32.const 0x1fffc)) (local.get $i))",
    ),
    Case("branch", 500_000, 8 * (WIDE + FLIP)),
    Case("call", 500_000, 8 * "(local.set $a (call $recurse (i32.const 2)))"),
    Case("call_indirect", 500_000, 8 * "(local.set $a (call_indirect (type $unary) (i32.const 1) (i32.const 0)))"),
    Case("register_length", 10_000, _use("register_length", 0)),
    Case("register_read 8", 10_000, _use("register_read", 1, DATA), HOLD_8),
    Case("register_read 16384", 5_000, _use("register_read", 1, DATA), HOLD_LARGE),
    Case("input", 10_000, _use("input", 0)),
    Case("return_value 16384", 5_000, _use("return_value", 0, LARGE)),
    Case("storage_get 8", 20_000, COUNT + _use("storage_get", KEY, 8, 0)),
    Case("storage_get 16384", LARGE_KEYS, COUNT_LARGE + _use("storage_get", KEY, 8, 0)),
    Case("storage_has", 20_000, COUNT + _use("storage_has", KEY, 8)),
    Case("storage_put 8", 20_000, COUNT + _use("storage_put", KEY, 8, DATA, 8), is_written=True),
    Case("storage_put 16384", LARGE_KEYS, COUNT + _use("storage_put", KEY, 8, DATA, LARGE), is_written=True),
    Case("storage_delete", 20_000, COUNT + _use("storage_delete", KEY, 8), is_written=True),
    Case("storage_scan 1", 3_000, COUNT + _use("storage_scan", KEY, 0, KEY, 8, 1, 0)),
    Case("storage_scan 100", 300, COUNT + _use("storage_scan", KEY, 0, KEY, 8, 100, 0)),
    *(Case(name, 10_000, _use(name, DATA)) for name in ("self_address", "caller", "signer", "signer_did")),
    *(Case(name, 10_000, _use(name)) for name in ("value", "block_height", "block_time_ms", "epoch", "gas_left")),
    Case("chain_id", 10_000, _use("chain_id", 0)),
    Case("transaction_id", 10_000, _use("transaction_id", DATA)),
    Case("balance", 10_000, COUNT + _use("balance", KEY)),
    Case("transfer", 5_000, COUNT + _use("transfer", KEY, 1), is_written=True),
    Case("call a contract", 3_000, _use("call", OTHER, EMPTY, 4, DATA, 0, 0, 0, 0)),
    Case("call, all memory", 3_000, _use("call", OTHER, EMPTY + 4, 4, DATA, 0, 0, 0, 0)),
    Case("call nobody", 3_000, _use("call", DATA, EMPTY, 4, DATA, 0, 0, 0, 0)),
    Case("view a contract", 3_000, _use("view", OTHER, EMPTY, 4, DATA, 0, 0, 0)),
    Case("call_native", 3_000, COUNT + _use("call_native", MODULE, 3, TRANSFER, 8, KEY, 28, 0), "", is_written=True),
    Case("view_native", 3_000, _use("view_native", MODULE, 3, BALANCE, 7, OTHER, 20, 0)),
    Case("emit 8", 5_000, _use("emit", NAME, 4, DATA, 12), is_written=True),
    Case("emit 16384", LARGE_KEYS, _use("emit", NAME, 4, DATA, LARGE + 4), LONG_EVENT, is_written=True),
    Case("log", 5_000, _use("log", 0, 256)),
    Case("sha256 32", 10_000, _use("sha256", 0, 32, DATA)),
    Case("sha256 65536", 300, _use("sha256", 0, 65_536, DATA)),
    Case("keccak256 32", 300, _use("keccak256", 0, 32, DATA)),
    Case("keccak256 4096", 20, _use("keccak256", 0, 4_096, DATA)),
    Case("mul_div", 10_000, _use("mul_div", ROOT, KEY, SIGNED, 2, DATA)),
    Case("merkle_verify", 2_000, _use("merkle_verify", ROOT, LEAF, 4, 77, 1_024, PROOF, 320)),
    Case("ed25519_verify", 200, _use("ed25519_verify", SIGNED, 0, 32, SIGNED + 32)),
    Case("secp256k1_verify", 200, _use("secp256k1_verify", SIGNED + 200, 0, 32, SIGNED + 233)),
    Case("p256_verify", 200, _use("p256_verify", SIGNED + 400, 0, 32, SIGNED + 433)),
]
_TYPES = (Parameter("turns", "u32"), Parameter("other", "Address"))
_TAKE = _use("input", 15) + _use("register_read", 15, TURNS)


def build_module() -> bytes:
    """One method for each case, one that does nothing, and one that fills the storage."""
    imports = "".join(
        f'(import "iov1" "{name}" (func ${name} (param {_name(kind.parameters)}) (result {_name(kind.results)})))'
        for name, kind in HOST_FUNCTIONS.items()
    )
    put_large = COUNT_LARGE + _use("storage_put", KEY, 8, DATA, LARGE)
    fill = {
        "fill": Case("fill", STORED_KEYS, COUNT + _use("storage_put", KEY, 8, DATA, 8)),
        "fill_large": Case("fill_large", LARGE_KEYS, put_large),
    }
    methods = "".join(
        f"""(func (export "{name}") (local $i i32) (local $a i32) (local $b i32) (local $w i64)
              {_TAKE} {case.setup}
              (local.set $i (i32.load (i32.const {TURNS})))
              (block $done (loop $more
                (br_if $done (i32.eqz (local.get $i)))
                (local.set $i (i32.sub (local.get $i) (i32.const 1)))
                {case.body}
                (br $more)))
              (i32.store (i32.const 48) (local.get $a)) (i64.store (i32.const 52) (local.get $w))
              {_use("return_value", 0, 0)})"""
        for name, case in [*_name_cases(), *fill.items()]
    )
    text = f"""(module
      (type $unary (func (param i32) (result i32)))
      {imports}
      (memory (export "memory") 2 2)
      (table 1 1 funcref) (elem (i32.const 0) $recurse)
      {_place(NAME, b"Told")} {_place(EMPTY, b"nonefull")} {_place(MODULE, b"iovtransferbalance")}
      {_place(DATA, bytes([8]))} {_place(KEY + 20, bytes([1]))} {_place(ROOT, _prove())} {_place(SIGNED, _sign())}
      (func $recurse (type $unary)
        (if (result i32) (local.get 0)
          (then (call $recurse (i32.sub (local.get 0) (i32.const 1)))) (else (i32.const 1))))
      (func (export "none"))
      (func (export "full") (local $at i32)
        (local.set $at (i32.const 65536))
        (loop $more
          (local.set $at (i32.sub (local.get $at) (i32.const 4096)))
          (i32.store (local.get $at) (i32.const 1))
          (i32.store offset=65536 (local.get $at) (i32.const 1))
          (br_if $more (local.get $at))))
      {methods})"""
    names = [*(name for name, _ in _name_cases()), *fill]
    interface = Interface(
        "Gas",
        "wat",
        bytes(32),
        UpgradeRule.NEVER,
        (),
        (
            Method("none", MethodKind.VIEW, False, False, (), ""),
            Method("full", MethodKind.CALL, False, False, (), ""),
            *(Method(name, MethodKind.CALL, False, False, _TYPES, "") for name in names),
        ),
        (EventType("Told", (Parameter("text", "bytes"),)),),
        (),
    )
    return attach_interface(bytes(wasmtime.wat2wasm(text)), interface)


def _name_cases() -> list[tuple[str, Case]]:
    return [(f"case{index}", case) for index, case in enumerate(CASES)]


def _name(letters: bytes) -> str:
    return " ".join("i32" if letter == I32 else "i64" for letter in letters)


def _place(start: int, data: bytes) -> str:
    return f'(data (i32.const {start}) "{"".join(f"{chr(92)}{byte:02x}" for byte in data)}")'


def _prove() -> bytes:
    """A root, a leaf of four bytes, and ten hashes that prove it is the 77th of 1,024."""
    hashes = [compute_leaf_hash(index.to_bytes(4, "little")) for index in range(1_024)]
    path = b"".join(build_proof(hashes, 77).path)
    return compute_root(hashes) + (77).to_bytes(4, "little").ljust(PROOF - LEAF, b"\0") + path


def _sign() -> bytes:
    """Of each kind a key and its signature of the memory's first 32 bytes, 200 bytes apart."""
    message = (b"Told".ljust(EMPTY, b"\0") + b"nonefull").ljust(MODULE, b"\0") + b"iovtrans"
    keys = [PrivateKey(key_type, sha256(b"signer").digest()) for key_type in KeyType]
    return b"".join((key.public_key.key + key.sign(message)).ljust(200, b"\0") for key in keys)


class _Stage:
    """A chain on disk with two copies of the contract, whose storage is full."""

    def __init__(self, directory: str) -> None:
        self.store = LevelDbStore(Path(directory) / "data")
        initialise_chain(self.store, make_document())
        self.chain = Chain(self.store)
        self.runtime: Runtime = build_runtime(self.chain.head.header.chain_id, ContractStack().run)
        state = self.chain.open_state()
        credit(state, PUBLISHER, 2 * COINS_GRAINS, 0)
        code = build_module()
        code_hash = CodeHash(sha256(code).digest())
        context = self.build_context(state)
        self.contract = introduce(state, context, b"", code_hash, code, b"", 0)
        self.other = introduce(state, context, b"2", code_hash, b"", b"", 0)
        for address in (self.contract, self.other):
            seal(state, context, address)
            credit(state, address, COINS_GRAINS, 0)
        commit_state(self.chain, state.changes)
        for method, turns in (("fill", STORED_KEYS), ("fill_large", LARGE_KEYS)):
            state = self.chain.open_state()
            self.run(state, method, turns)
            commit_state(self.chain, state.changes)

    def build_context(self, state: State) -> Context:
        """A transaction with more gas than blocks have."""
        header = self.chain.head.header
        block = BlockContext(
            Height(header.height + 1),
            TimeMs(header.time_ms + 1),
            ConsensusKey(bytes(32)),
            get_parameters(state),
            SigningDomain(bytes(32)),
            contracts=self.runtime,
        )
        return Context(block, PUBLISHER, PUBLISHER, TransactionId(bytes(32)), GasMeter(GAS_LIMIT, 0))

    def run(self, state: State, method: str, turns: int) -> Context:
        """The transaction, with its gas and events."""
        context = self.build_context(state)
        arguments = turns.to_bytes(4, "little") + self.other
        call_contract(state, context, Request(self.contract, method, arguments, PUBLISHER), CALLABLE)
        return context

    def measure(self, method: str, case: Case) -> float:
        """ns a gas, at best."""
        best = float("inf")
        for _ in range(ROUNDS):
            idle_s, idle_gas = self._time(method, 0, case.is_written)
            busy_s, busy_gas = self._time(method, case.turns, case.is_written)
            best = min(best, (busy_s - idle_s) * 1e9 / (busy_gas - idle_gas))
        return best

    def _time(self, method: str, turns: int, is_written: bool) -> tuple[float, int]:
        """Seconds and gas of a transaction of a chain that has just been opened, so that it has read nothing yet."""
        self.chain = Chain(self.store)
        state = self.chain.open_state()
        started_s = time.perf_counter()
        context = self.run(state, method, turns)
        if is_written:
            receipt = Receipt(
                context.transaction_id, Status.SUCCEEDED, 0, Gas(context.gas.used), Grains(0), tuple(context.events)
            )
            commit_state(self.chain, state.changes, [receipt])
        return time.perf_counter() - started_s, context.gas.used


async def run_gas(progress: Progress) -> list[Result]:
    """Every host function and every class of instructions."""
    floor = measure_floor()
    measured = await asyncio.to_thread(_measure_all, progress)
    cheapest, dearest = min(measured.values()), max(measured.values())
    details: dict[str, object] = {"ns a gas, middle": round(median(measured.values()), 1)}
    details |= {name: round(value, 1) for name, value in sorted(measured.items(), key=lambda each: -each[1])}
    for name, value in details.items():
        print(f"{value:>8} {name}")
    return [Result("gas", dearest / cheapest, "x dearest to cheapest", floor, None, SPREAD_MAX, True, details)]


def _measure_all(progress: Progress) -> dict[str, float]:
    with tempfile.TemporaryDirectory(prefix="carlive-bench-") as directory:
        stage = _Stage(directory)
        try:
            measured = {}
            for method, case in _name_cases():
                progress(case.name)
                measured[case.name] = stage.measure(method, case)
            return measured
        finally:
            stage.store.close()
