"""Each construct, run under CPython and as WebAssembly with results that are written down here."""

from hashlib import sha256

import pytest

from identity.keccak import keccak256
from identity.keys import KeyType, PrivateKey
from iov import Panic
from ledger.merkle import build_proof, compute_leaf_hash, compute_root
from tests.compiler.both import Both

U64_MAX = 2**64 - 1
U128_MAX = 2**128 - 1

HEADER = """\
from typing import Final, Literal, Optional

from iov import (
    ROUND_DOWN, ROUND_NEAREST, ROUND_UP, Address, Contract, ContractInterface, Did, IndexedMap, List, Map, NativeModule,
    Var, balance, call, context, ed25519_verify, emit, event, init, keccak256, merkle_verify, migrate, mul_div,
    p256_verify, pack, payable, range, reentrant, replace, require, revert, secp256k1_verify, sha256, struct, transfer,
    u8, u16, u32, u64, u128, view,
)

Numbers = List[u64, Literal[4]]


@struct
class Pair:
    first: u64
    second: bytes


@event
class Seen:
    number: u64
    text: str


"""


def build(body: str, storage: str = "total: Var[u64]", extra: str = "") -> Both:
    """A contract with a method or several."""
    indented = "\n".join(f"    {line}" for line in body.strip("\n").splitlines())
    return Both(f"{HEADER}{extra}\n\nclass Sample(Contract):\n    {storage}\n\n{indented}\n")


def expression(parameters: str, result: str, text: str) -> Both:
    """A view that gives the value of an expression."""
    return build(f"@view\ndef run(self, {parameters}) -> {result}:\n    return {text}")


OVERFLOW, ZERO, INDEX = int(Panic.OVERFLOW), int(Panic.DIVISION_BY_ZERO), int(Panic.INDEX)
MISSING, LIMIT = int(Panic.MISSING), int(Panic.LIMIT)


@pytest.mark.parametrize("bits", [8, 16, 32, 64, 128])
def test_arithmetic_of_each_width_traps_at_its_borders(bits):
    largest, kind = (1 << bits) - 1, f"u{bits}"
    cases = [
        ("+", largest - 1, 1, largest),
        ("+", largest, 1, OVERFLOW),
        ("+", largest, largest, OVERFLOW),
        ("-", 5, 5, 0),
        ("-", 5, 6, OVERFLOW),
        ("-", 0, largest, OVERFLOW),
        ("*", largest, 1, largest),
        ("*", largest // 2, 2, largest - 1),
        ("*", largest // 2 + 1, 2, OVERFLOW),
        ("*", largest, largest, OVERFLOW),
        ("*", 0, largest, 0),
        ("//", largest, 2, largest // 2),
        ("//", largest, largest, 1),
        ("//", 1, 0, ZERO),
        ("%", largest, 10, largest % 10),
        ("%", largest, 0, ZERO),
        ("<<", 1, bits - 1, 1 << (bits - 1)),
        ("<<", 1, bits, OVERFLOW),
        ("<<", 3, bits - 1, OVERFLOW),
        ("<<", 0, largest, 0),
        (">>", largest, bits - 1, 1),
        (">>", largest, bits, 0),
        (">>", largest, largest, 0),
        ("&", largest, 6, 6),
        ("|", 5, 2, 7),
        ("^", largest, 1, largest - 1),
    ]
    contracts = {
        operator: expression(f"a: {kind}, b: {kind}", kind, f"a {operator} b")
        for operator in {case[0] for case in cases}
    }
    for operator, a, b, expected in cases:
        outcome = contracts[operator].run("run", a, b)
        assert (outcome.result if outcome.failure is None else outcome.failure) == expected, (operator, a, b)


@pytest.mark.parametrize("divisor", [1, 3, 2**31, 2**32 - 1, 2**32, 2**63 + 1, 2**64 - 1, 2**64, 2**100 + 7, U128_MAX])
def test_a_u128_is_divided_by_any_divisor(divisor):
    quotient, remainder = (
        expression("a: u128, b: u128", "u128", "a // b"),
        expression("a: u128, b: u128", "u128", "a % b"),
    )
    for dividend in (0, 1, divisor - 1, divisor, 2**64, 2**96 - 1, 2**127, U128_MAX - 1, U128_MAX):
        assert quotient.run("run", dividend, divisor).result == dividend // divisor
        assert remainder.run("run", dividend, divisor).result == dividend % divisor


@pytest.mark.parametrize(
    ("source", "target", "value", "expected"),
    [
        ("u8", "u128", 255, 255),
        ("u128", "u8", 255, 255),
        ("u128", "u8", 256, OVERFLOW),
        ("u128", "u64", 2**64, OVERFLOW),
        ("u64", "u32", 2**32 - 1, 2**32 - 1),
        ("u64", "u32", 2**32, OVERFLOW),
        ("u32", "u16", 65_536, OVERFLOW),
        ("u16", "u64", 65_535, 65_535),
    ],
)
def test_a_conversion_keeps_the_number_or_traps(source, target, value, expected):
    outcome = expression(f"x: {source}", target, f"{target}(x)").run("run", value)
    assert (outcome.result if outcome.failure is None else outcome.failure) == expected


@pytest.mark.parametrize(
    ("parameters", "result", "text", "cases"),
    [
        (
            "a: u64, b: u64",
            "bool",
            "a < b <= 7 != a",
            [((1, 5), True), ((5, 5), False), ((7, 7), False), ((8, 9), False)],
        ),
        ("a: bool, b: bool", "bool", "a and not b or b and not a", [((True, True), False), ((True, False), True)]),
        ("a: u64, b: u64", "bool", "b != 0 and a // b == 2", [((4, 0), False), ((4, 2), True)]),
        ("a: u64, b: u64", "u64", "a if a < b else b", [((1, 2), 1), ((3, 2), 2)]),
        ("a: u128, b: u128", "u128", "max(min(a, b), u128(5))", [((1, 2**100), 5), ((2**99, 2**100), 2**99)]),
        ("a: bytes, b: bytes", "bytes", "a + b", [((b"ab", b"c"), b"abc"), ((b"", b""), b"")]),
        ("a: bytes, i: u8, j: u128", "bytes", "a[i:u64(j)]", [((b"abcdef", 2, 4), b"cd"), ((b"ab", 9, 1), b"")]),
        ("a: bytes", "bytes", "a[2:]", [((b"abcdef",), b"cdef"), ((b"a",), b"")]),
        ("a: bytes, i: u64", "u8", "u8(a[i])", [((b"ab", 1), 98), ((b"ab", 2), INDEX)]),
        ("a: str, b: str", "str", 'a + "-" + b', [(("ä", "b"), "ä-b")]),
        ("a: str", "u64", "u64(len(a.encode()))", [(("ä",), 2)]),
        ("a: bytes", "Address", "Address(a)", [((bytes(20),), bytes(20)), ((bytes(21),), LIMIT)]),
        ("a: Address, b: Did", "bytes", "bytes(a) + bytes(b)", [((b"a" * 20, b"b" * 20), b"a" * 20 + b"b" * 20)]),
        ("a: u32 | None", "bool", "a is not None and a > 5", [((None,), False), ((6,), True), ((5,), False)]),
        ("a: u128 | None", "u128", "u128(1) if a is None else a", [((None,), 1), ((2**100,), 2**100)]),
        ("a: Optional[Address]", "Address | None", "a", [((None,), None), ((bytes(20),), bytes(20))]),
        ("a: u16, b: bytes", "bytes", "pack(a) + pack(b) + pack(True)", [((513, b"x"), b"\x01\x02\x01\0\0\0x\x01")]),
        ("a: bytes", "bytes", "sha256(a)", [((b"abc",), sha256(b"abc").digest())]),
        ("a: bytes", "bytes", "keccak256(a)", [((b"abc",), keccak256(b"abc"))]),
        ("a: u64", "Pair", 'replace(Pair(a, b"x"), first=a + 1)', [((5,), [6, b"x"])]),
        ("a: u64", "bool", 'Pair(a, b"x") == Pair(u64(5), b"x")', [((5,), True), ((6,), False)]),
        ("a: List[bytes, Literal[3]]", "bool", 'b"x" in a', [(([b"y", b"x"],), True), (([],), False)]),
        (
            "a: Numbers, b: Numbers",
            "bool",
            "a == b",
            [(([1, 2], [1, 2]), True), (([1], [2]), False), (([], [1]), False)],
        ),
        ("a: Numbers, i: u8", "u64", "a[i]", [(([7, 8], 1), 8), (([7, 8], 2), INDEX)]),
        ("a: u64", "u64", 'a + len(b"abc")', [((1,), 4), ((U64_MAX,), OVERFLOW)]),
    ],
)
def test_an_expression_gives_what_python_gives(parameters, result, text, cases):
    contract = expression(parameters, result, text)
    for arguments, expected in cases:
        outcome = contract.run("run", *arguments)
        assert (outcome.result if outcome.failure is None else outcome.failure) == expected


@pytest.mark.parametrize(("rounding", "expected"), [("ROUND_DOWN", 3), ("ROUND_UP", 4), ("ROUND_NEAREST", 4)])
def test_mul_div_rounds_as_it_is_told(rounding, expected):
    contract = expression("a: u128, b: u128, c: u128", "u128", f"mul_div(a, b, c, {rounding})")
    assert contract.run("run", 7, 1, 2).result == expected
    assert contract.run("run", U128_MAX, U128_MAX, U128_MAX).result == U128_MAX
    assert contract.run("run", U128_MAX, 2, 1).failure == "ARITHMETIC"
    assert contract.run("run", 1, 1, 0).failure == "ARITHMETIC"


def test_loops_break_continue_and_nest():
    contract = build(
        """
@view
def run(self, stop: u32) -> u64:
    total = u64(0)
    for i in range(u32(1), stop):
        if i % 3 == 0:
            continue
        for j in range(i):
            if j > 4:
                break
            total += u64(i) * 100 + j_or(u64(j))
        if i > 7:
            break
    turns = u8(0)
    while True:
        turns += 1
        if turns == 5:
            break
    return total + u64(turns)
""",
        extra="def j_or(j: u64) -> u64:\n    return j | 1\n",
    )
    total = sum(i * 100 + (j | 1) for i in (1, 2, 4, 5, 7, 8) for j in range(min(i, 5)))
    assert contract.run("run", 100).result == total + 5
    assert contract.run("run", 0).result == 5


def test_what_was_checked_for_none_is_used_until_it_changes():
    contract = build(
        """
@view
def run(self, x: u64 | None, link: Link | None) -> u64:
    if x is None or link is None or not (link.pair is not None and link.number is not None):
        return u64(0)
    total = x + link.number + link.pair.first
    while x is not None:
        total += x
        x = link.number if x == 1 else None
    x = u64(3)
    return total + x
""",
        extra="@struct\nclass Link:\n    pair: Pair | None\n    number: u64 | None\n",
    )
    assert contract.run("run", 1, [[10, b""], 100]).result == 111 + 1 + 100 + 3
    for arguments in ((None, [[10, b""], 100]), (1, None), (1, [None, 100]), (1, [[10, b""], None])):
        assert contract.run("run", *arguments).result == 0


def test_a_list_is_a_reference_and_bounded():
    contract = build(
        """
def _fill(self, items: Numbers) -> None:
    items.append(u64(9))

@view
def run(self, items: Numbers) -> Numbers:
    other = items
    other[0] += 1
    self._fill(other)
    last = items.pop()
    items.append(last * 2)
    for item in items:
        if item > 100:
            items[1] = item
    return items
"""
    )
    assert contract.run("run", [1]).result == [2, 18]
    assert contract.run("run", [1, 2, 300]).result == [2, 300, 300, 18]
    assert contract.run("run", [1, 2, 3, 4]).failure == LIMIT
    assert contract.run("run", []).failure == INDEX


def test_an_event_a_stored_value_and_a_result_are_copies():
    contract = build(
        """
@call
def run(self, items: Numbers) -> Numbers:
    emit(Told(items))
    self.numbers = items
    items.append(u64(9))
    self.numbers.append(u64(8))
    return items
""",
        storage="numbers: Var[Numbers]",
        extra="@event\nclass Told:\n    items: Numbers\n",
    )
    outcome = contract.run("run", [1])
    packed = b"\1\0\0\0" + (1).to_bytes(8, "little")
    assert (outcome.result, outcome.events, outcome.storage) == ([1, 9], [("Told", [[1]])], {b"\0": packed})


def test_an_event_and_a_result_have_a_longest_length():
    contract = build(
        """
@call
def tell(self, first: bytes, second: bytes) -> None:
    emit(Told(first + first, second))

@view
def give(self, part: bytes) -> bytes:
    return part + part
""",
        extra="@event\nclass Told:\n    first: bytes\n    second: bytes\n",
    )
    assert contract.run("tell", bytes(10_000), bytes(12_760)).failure is None
    assert contract.run("tell", bytes(10_000), bytes(12_761)).failure == LIMIT
    assert contract.run("give", bytes(16_382)).result == bytes(32_764)
    assert contract.run("give", bytes(16_383)).failure == LIMIT


def test_storage_lies_where_the_documentation_says():
    contract = build(
        """
@call
def run(self) -> None:
    self.names[u16(258)] = "x"
    self.members[b"a"] = u64(1)
    self.members[b"bc"] = u64(2)
""",
        storage="total: Var[u64]\n    names: Map[u16, str]\n    members: IndexedMap[bytes, u64]",
    )
    assert contract.run("run").storage == {
        b"\x01\x02\x01": b"\x01\0\0\0x",
        b"\x02\x00\x01\0\0\0a": b"\0\0\0\0" + (1).to_bytes(8, "little"),
        b"\x02\x00\x02\0\0\0bc": b"\1\0\0\0" + (2).to_bytes(8, "little"),
        b"\x02\x01\0\0\0\0": b"\x01\0\0\0a",
        b"\x02\x01\1\0\0\0": b"\x02\0\0\0bc",
        b"\x02\x02": b"\x02\0\0\0",
    }


def test_maps_are_read_written_counted_listed_and_deleted():
    contract = build(
        """
@call
def put(self, key: u8, value: u128) -> None:
    self.plain[key] = value
    self.listed[key] = value

@call
def add(self, key: u8, value: u128) -> None:
    self.plain[key] += value
    self.listed[key] += value

@call
def drop(self, key: u8) -> None:
    del self.plain[key]
    del self.listed[key]

@view
def keys(self) -> List[u8, Literal[9]]:
    found = List[u8, Literal[9]]()
    for key in self.listed:
        require(key in self.plain and key in self.listed, 1)
        require(self.plain[key] == self.listed.get(key, u128(0)), 2)
        found.append(key)
    require(len(found) == len(self.listed), 3)
    return found

@view
def at(self, index: u64) -> u8:
    return self.listed.key_at(index)
""",
        storage="plain: Map[u8, u128]\n    listed: IndexedMap[u8, u128]",
    )
    for key in (5, 6, 7, 6):
        contract.run("put", key, 2**100 + key)
    assert contract.run("keys").result == [5, 6, 7]
    assert contract.run("at", 2).result == 7
    assert contract.run("at", 3).failure == INDEX
    assert contract.run("drop", 5).failure is None
    assert contract.run("keys").result == [7, 6]
    assert contract.run("add", 6, 2**127).failure is None
    assert contract.run("add", 6, 2**127).failure == OVERFLOW
    assert contract.run("add", 5, 1).failure == MISSING
    assert contract.run("drop", 5).failure == MISSING
    assert contract.run("drop", 6).failure is None
    assert contract.run("drop", 7).storage == {b"\x01\x02": b"\0\0\0\0"}


def test_what_was_never_set_is_missing():
    contract = expression("x: u64", "u64", "self.total + x")
    assert contract.run("run", 1).failure == MISSING


def test_keys_and_values_have_a_longest_length():
    contract = build(
        """
@call
def key(self, key: bytes) -> None:
    self.by_data[key] = u8(1)

@call
def value(self, part: bytes, times: u32) -> None:
    whole = b""
    for _i in range(times):
        whole += part
    self.data = whole
""",
        storage="data: Var[bytes]\n    by_data: Map[bytes, u8]",
    )
    assert contract.run("key", bytes(123)).failure is None
    assert contract.run("key", bytes(124)).failure == LIMIT
    assert contract.run("value", bytes(4095), 4).failure is None
    assert contract.run("value", bytes(4096), 4).failure == LIMIT


def test_a_failed_call_undoes_everything_and_tells_its_code():
    contract = build(
        """
@call
def run(self, x: u64) -> None:
    self.total = x
    emit(Seen(x, "ä"))
    require(x != 7, 1234, "seven")
    if x == 8:
        revert(64_999)
"""
    )
    assert contract.run("run", 1).events == [("Seen", [1, "ä"])]
    for x, code in ((7, 1234), (8, 64_999)):
        outcome = contract.run("run", x)
        assert (outcome.failure, outcome.events) == (code, [("Seen", [1, "ä"])])
        assert outcome.storage == {b"\x00": (1).to_bytes(8, "little")}


def test_the_context_is_told():
    contract = build(
        """
@view
def addresses(self) -> List[Address, Literal[3]]:
    return List[Address, Literal[3]]([context.address, context.caller, context.signer])

@view
def numbers(self) -> List[u64, Literal[9]]:
    block = List[u64, Literal[9]]([context.height, context.time_ms, context.epoch, context.value])
    block.append(balance(context.caller))
    return block

@view
def rest(self) -> Pair:
    require(context.signer_did is None and context.gas_left > 1_000_000, 1)
    return Pair(u64(1), context.transaction_id + context.chain_id.encode())
"""
    )
    address, sender = bytes(contract.address), bytes(contract.sender)
    assert contract.run("addresses").result == [address, sender, sender]
    assert contract.run("numbers").result == [1, 1_700_000_000_000, 0, 0, 1_000_000]
    assert contract.run("rest").result == [1, contract.world.transaction_id + b"test"]


@pytest.mark.parametrize("key_type", [KeyType.ED25519, KeyType.SECP256K1, KeyType.P256])
def test_signatures_are_checked(key_type):
    name = f"{key_type.name.lower()}_verify"
    contract = expression("key: bytes, message: bytes, signature: bytes", "bool", f"{name}(key, message, signature)")
    private = PrivateKey(key_type, bytes(31) + b"\x05")
    key, signature = private.public_key.key, private.sign(b"message")
    assert contract.run("run", key, b"message", signature).result is True
    assert contract.run("run", key, b"massage", signature).result is False
    assert contract.run("run", key[:-1], b"message", signature).failure == LIMIT
    assert contract.run("run", key, b"message", signature + b"x").failure == LIMIT


def test_merkle_proofs_are_checked():
    contract = expression(
        "root: bytes, leaf: bytes, index: u64, count: u64, proof: bytes",
        "bool",
        "merkle_verify(root, leaf, index, count, proof)",
    )
    leaves = [bytes([each]) for each in range(5)]
    hashes = [compute_leaf_hash(each) for each in leaves]
    proof = b"".join(build_proof(hashes, 3).path)
    assert contract.run("run", compute_root(hashes), leaves[3], 3, 5, proof).result is True
    assert contract.run("run", compute_root(hashes), leaves[2], 3, 5, proof).result is False
    assert contract.run("run", compute_root(hashes), leaves[3], 3, 5, proof[1:]).result is False
    assert contract.run("run", b"short", leaves[3], 3, 5, proof).failure == LIMIT


def test_a_transfer_pays_or_fails():
    contract = build("@call\ndef run(self, amount: u64) -> None:\n    transfer(context.caller, amount)")
    contract.give(500)
    assert contract.run("run", 400).failure is None
    assert contract.run("run", 101).failure == "INSUFFICIENT_BALANCE"
    assert contract.chain.balance(contract.sender) == contract.world.balances[bytes(contract.sender)] == 1_000_400


def test_memory_can_be_used_up():
    contract = build(
        """
@view
def run(self, part: bytes) -> u64:
    whole = part
    while True:
        whole += whole
        if len(whole) > 10_000_000:
            break
    return u64(len(whole))
"""
    )
    assert contract.run_wasm("run", (bytes(1000),)).failure == int(Panic.MEMORY)


def test_a_loop_over_storage_does_not_use_up_memory():
    contract = build(
        """
@call
def run(self, times: u32) -> u64:
    self.total = u64(0)
    for i in range(times):
        self.by_number[i % 16] = self.by_number.get(i % 16, u128(0)) + 1
        self.total += 1
    return self.total
""",
        storage="total: Var[u64]\n    by_number: IndexedMap[u32, u128]",
    )
    assert contract.run("run", 5_000).result == 5_000


INTERFACES = """\
class Other(ContractInterface):
    @call
    def pay(self, to: Address, amount: u128) -> u64:
        raise NotImplementedError  # the language: its code is in another contract or module

    @view
    def ask(self, pair: Pair) -> Pair | None:
        raise NotImplementedError  # the language: its code is in another contract or module


class Iov(NativeModule, module="iov"):
    @call
    def burn(self, amount_grains: u64) -> None:
        raise NotImplementedError  # the language: its code is in another contract or module

    @view
    def supply(self) -> u64:
        raise NotImplementedError  # the language: its code is in another contract or module
"""


def test_other_contracts_and_native_modules_are_called():
    contract = build(
        """
@call
def pay(self, other: Address, amount: u128) -> u64:
    return Other(other, u64(77)).pay(context.caller, amount) + 1

@view
def ask(self, other: Address, x: u64) -> Pair | None:
    return Other(other).ask(Pair(x, b"?"))

@call
def burn(self, amount: u64) -> u64:
    Iov().burn(amount)
    return Iov().supply()
""",
        extra=INTERFACES,
    )
    asked = []

    def answer(target, method, arguments, grains, is_view):
        asked.append((target, method, arguments, grains, is_view))
        return {
            "pay": (0, (41).to_bytes(8, "little")),
            "ask": (0, b"\x01" + bytes(8) + b"\x01\0\0\0!"),
            "burn": (0, b""),
            "supply": (0, bytes(7)),
        }[method]

    contract.world.others = answer
    other, sender = b"o" * 20, bytes(contract.sender)
    assert contract.run_wasm("pay", (other, 2**100)).result == 42
    assert contract.run_wasm("ask", (other, 5)).result == [0, b"!"]
    assert contract.run_wasm("burn", (6,)).failure == int(Panic.MALFORMED)
    assert asked == [
        (other, "pay", sender + (2**100).to_bytes(16, "little"), 77, False),
        (other, "ask", (5).to_bytes(8, "little") + b"\x01\0\0\0?", 0, True),
        ("iov", "burn", (6).to_bytes(8, "little"), 0, False),
        ("iov", "supply", b"", 0, True),
    ]
    contract.world.others = lambda *_: (180, b"")
    assert contract.run_wasm("burn", (6,)).failure == int(Panic.CALL_FAILED)


def test_evaluation_goes_from_left_to_right_and_stops_where_python_stops():
    contract = build(
        """
def _note(self, x: u64) -> u64:
    self.total = self.total * 10 + x
    return x

@call
def run(self) -> u64:
    self.total = u64(0)
    self.by_number[self._note(u64(1))] = self._note(u64(2))
    self.by_number[self._note(u64(1))] += self._note(u64(3))
    pair = Pair(self._note(u64(4)), b"")
    is_small = self._note(u64(5)) < self._note(u64(6)) < self._note(u64(1)) < self._note(u64(9))
    both = self._note(u64(7)) == 0 and self._note(u64(8)) == 8
    require(not is_small and not both, 1)
    return self.total + pair.first
""",
        storage="total: Var[u64]\n    by_number: Map[u64, u64]",
    )
    assert contract.run("run").result == 2_113_456_17 + 4
