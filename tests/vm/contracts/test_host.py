"""Each host function, through small contracts that hand everything back."""

from functools import cache
from hashlib import sha256
from struct import pack
from typing import Any

import pytest

from identity.address import Address, compute_module_address
from identity.keccak import keccak256
from identity.keys import KeyType
from ledger.merkle import build_proof, compute_leaf_hash, compute_root
from ledger.reasons import CONTRACT_REASON_FIRST, Reason
from ledger.receipt import Event, Receipt, Status
from ledger.state_keys import did_of_account_key
from ledger.transaction import Call
from tests.builders import CHAIN_ID, make_key
from tests.vm.contracts.puppet import attach_interface, compile_text, find_address, hash_code
from tests.vm.contracts.scene import BOB, A, B, Scene
from vm.contracts.abi import EventType, Interface, Method, MethodKind, Parameter, UpgradeRule
from vm.contracts.host import HOST_FUNCTIONS, KEY_BYTES_MAX, SCAN_PAIRS_MAX, VALUE_BYTES_MAX
from vm.contracts.host_functions import HOST_FUNCTIONS as HOST_TYPES
from vm.contracts.opcodes import I32
from vm.contracts.records import get_contract
from vm.native.accounts import get_account

SPACE = 1024
"""Where the argument stands in the contract's memory: its length, then its bytes."""
DATA = SPACE + 4
OUT = 40_000
INTERFACE_EVENTS = (EventType("Told", (Parameter("text", "bytes"),)),)


@cache
def build_probe(body: str, kind: MethodKind = MethodKind.CALL, result: str = "bytes") -> bytes:
    """A contract with one method `run`, which takes and gives bytes; its body uses all imports by name."""
    imports = []
    for name, each in HOST_TYPES.items():
        parameters = " ".join("i32" if letter == I32 else "i64" for letter in each.parameters)
        results = " ".join("i32" if letter == I32 else "i64" for letter in each.results)
        given = f"(param {parameters})" if parameters else ""
        imports.append(f'(import "iov1" "{name}" (func ${name} {given} {f"(result {results})" if results else ""}))')
    text = f"""
    (module {"".join(imports)}
      (memory (export "memory") 2 2)
      (data (i32.const 0) "Told")
      (func $give (param $pointer i32) (param $length i32)
        (i32.store (i32.sub (local.get $pointer) (i32.const 4)) (local.get $length))
        (call $return_value (i32.sub (local.get $pointer) (i32.const 4)) (i32.add (local.get $length) (i32.const 4))))
      (func $give_register (param $register i32)
        (call $register_read (local.get $register) (i32.const {OUT}))
        (call $give (i32.const {OUT}) (call $register_length (local.get $register))))
      (func $give_i32 (param i32)
        (i32.store (i32.const {OUT}) (local.get 0)) (call $give (i32.const {OUT}) (i32.const 4)))
      (func $give_i64 (param i64)
        (i64.store (i32.const {OUT}) (local.get 0)) (call $give (i32.const {OUT}) (i32.const 8)))
      (func (export "run")
        (call $input (i32.const 0))
        (call $register_read (i32.const 0) (i32.const {SPACE}))
        {body}))
    """
    method = Method("run", kind, kind is MethodKind.CALL, False, (Parameter("given", "bytes"),), result)
    interface = Interface("Probe", "wat", bytes(32), UpgradeRule.NEVER, (), (method,), INTERFACE_EVENTS, ())
    return attach_interface(compile_text(text), interface)


class Probe:
    """A published probe."""

    def __init__(self, body: str, scene: Scene | None = None, **options: Any) -> None:
        self.scene = scene or Scene()
        code = build_probe(body, **options)
        self.address = find_address(A, code)
        if get_contract(self.scene.state, self.address) is not None:
            return
        sealed = self.scene.send(
            Call("contracts", "introduce", [b"", hash_code(code), code, b"", 0]),
            Call("contracts", "seal", [self.address]),
        )
        assert sealed.status is Status.SUCCEEDED, sealed

    def send(self, given: bytes = b"", value: int = 0) -> Receipt:
        """Call it in a transaction."""
        packed = len(given).to_bytes(4, "little") + given
        return self.scene.send(Call("contracts", "call", [self.address, "run", packed, value]), key=BOB)

    def ask(self, given: bytes = b"", value: int = 0) -> bytes:
        """What it gives back, called by another contract that tells it as an event."""
        teller = Probe(
            f"""(drop (call $call (i32.const {DATA}) (i32.const {DATA + 20}) (i32.const 3) (i32.const {DATA + 23})
                 (i32.const {len(given) + 4}) (i64.const {value}) (i64.const 0) (i32.const 5)))
                (call $register_read (i32.const 5) (i32.const {OUT}))
                (call $emit (i32.const 0) (i32.const 4) (i32.const {OUT}) (call $register_length (i32.const 5)))""",
            self.scene,
            result="",
        )
        receipt = teller.send(self.address + b"run" + len(given).to_bytes(4, "little") + given, value)
        assert receipt.status is Status.SUCCEEDED, receipt
        (told,) = [event for event in receipt.events if event.name == "Emitted"]
        self.teller = teller.address
        answer: bytes = told.fields[2][4:]
        return answer


def test_the_gate_and_the_host_have_the_same_table():
    assert {name: function.type for name, function in HOST_FUNCTIONS.items()} == HOST_TYPES


# Registers, arguments and results


def test_arguments_come_and_results_go_through_registers():
    assert Probe("(call $give_register (i32.const 0))").ask(b"hello") == b"\x05\0\0\0hello"


def test_a_register_that_was_never_set_has_no_length():
    assert Probe("(call $give_i32 (call $register_length (i32.const 7)))").ask() == b"\xff" * 4


@pytest.mark.parametrize(
    "body",
    [
        "(drop (call $register_length (i32.const 16)))",
        "(call $register_read (i32.const 7) (i32.const 0))",
        "(call $input (i32.const 16))",
        "(call $register_read (i32.const 0) (i32.const 131069))",
        "(call $return_value (i32.const 131072) (i32.const 1))",
        "(call $return_value (i32.const -1) (i32.const 2))",
        "(call $caller (i32.const 131060))",
        "(drop (call $balance (i32.const 131060)))",
        "(call $sha256 (i32.const 0) (i32.const -1) (i32.const 0))",
        "(call $transaction_id (i32.const -32))",
    ],
)
def test_a_place_outside_the_memory_or_the_registers_ends_the_call(body):
    probe = Probe(body)
    before = probe.scene.snapshot(B)
    receipt = probe.send(b"1234")
    assert (receipt.status, receipt.reason, receipt.events) == (
        Status.FAILED,
        Reason.OUT_OF_GAS if "sha256" in body else Reason.BAD_POINTER,
        (),
    )
    assert probe.scene.snapshot(B) == before


def test_the_last_result_counts():
    assert Probe("(call $give_i32 (i32.const 1)) (call $give_i32 (i32.const 2))").ask() == b"\2\0\0\0"


@pytest.mark.parametrize(("code", "reason"), [(7, CONTRACT_REASON_FIRST + 7), (0, 192), (65_536, 192)])
def test_a_contract_fails_with_its_own_code(code, reason):
    receipt = Probe(f"(call $revert (i32.const {code}) (i32.const 0) (i32.const 4))").send()
    assert (receipt.status, receipt.reason) == (Status.FAILED, reason)


def test_whoever_simulates_sees_messages_and_logs():
    probe = Probe("(call $log (i32.const 0) (i32.const 4)) (call $revert (i32.const 7) (i32.const 0) (i32.const 2))")
    trace: list[str] = []
    probe.scene.trace = trace
    probe.send()
    assert trace == ["Told", "To"]


# Storage


def test_stored_values_are_found_changed_and_removed():
    scene = Scene()
    key = f"(i32.const {DATA}) (i32.const 2)"
    probe = Probe(
        f"""(if (i32.eqz (i32.load8_u (i32.const {DATA + 2}))) (then
              (call $give_i32 (i32.add (i32.mul (i32.const 10) (call $storage_has {key}))
                (call $storage_get {key} (i32.const 3))))))
            (if (i32.eq (i32.load8_u (i32.const {DATA + 2})) (i32.const 1)) (then
              (call $storage_put {key} (i32.const {DATA + 3}) (i32.const 3)) (call $give_i32 (i32.const 0))))
            (if (i32.eq (i32.load8_u (i32.const {DATA + 2})) (i32.const 2)) (then
              (call $give_i32 (call $storage_delete {key}))))
            (if (i32.eq (i32.load8_u (i32.const {DATA + 2})) (i32.const 3)) (then
              (drop (call $storage_get {key} (i32.const 3))) (call $give_register (i32.const 3))))""",
        scene,
    )
    absent, present = b"\0\0\0\0", b"\x0b\0\0\0"
    assert probe.ask(b"ab\0") == absent
    assert probe.ask(b"ab\2") == absent
    assert probe.ask(b"ab\1xyz") == absent
    assert probe.ask(b"ab\0") == present
    assert probe.ask(b"ab\3") == b"xyz"
    assert probe.ask(b"ab\2") == b"\1\0\0\0"
    assert probe.ask(b"ab\0") == absent


@pytest.mark.parametrize(
    ("key_bytes", "value_bytes", "reason"),
    [(KEY_BYTES_MAX, VALUE_BYTES_MAX, 0), (KEY_BYTES_MAX + 1, 1, 192), (1, VALUE_BYTES_MAX + 1, 192), (0, 0, 0)],
)
def test_keys_and_values_have_a_largest_size(key_bytes, value_bytes, reason):
    put = f"(call $storage_put (i32.const 0) (i32.const {key_bytes}) (i32.const 0) (i32.const {value_bytes}))"
    assert Probe(put, result="").send().reason == reason


def test_a_scan_gives_pairs_in_byte_order_after_a_key():
    scene = Scene()
    filled = "".join(
        f"""(i32.store8 (i32.const 64) (i32.const {ord(first)})) (i32.store8 (i32.const 65) (i32.const {ord(second)}))
            (call $storage_put (i32.const 64) (i32.const 2) (i32.const 65) (i32.const 1))"""
        for first, second in ("ba", "ac", "ab", "aa", "ad")
    )
    gone = """(i32.store8 (i32.const 64) (i32.const 97)) (i32.store8 (i32.const 65) (i32.const 98))
              (drop (call $storage_delete (i32.const 64) (i32.const 2)))"""
    # given: prefix length, after length, limit, prefix, after
    scan = f"""(i32.store (i32.const 128)
                 (call $storage_scan (i32.const {DATA + 3}) (i32.load8_u (i32.const {DATA}))
                   (i32.add (i32.const {DATA + 3}) (i32.load8_u (i32.const {DATA})))
                   (i32.load8_u (i32.const {DATA + 1})) (i32.load8_u (i32.const {DATA + 2})) (i32.const 4)))
               (call $register_read (i32.const 4) (i32.const {OUT + 4}))
               (i32.store (i32.const {OUT}) (i32.load (i32.const 128)))
               (call $give (i32.const {OUT}) (i32.add (i32.const 4) (call $register_length (i32.const 4))))"""
    probe = Probe(filled + gone + scan, scene)

    def pairs(*keys: str) -> bytes:
        return pack("<I", len(keys)) + b"".join(pack("<I2sI1s", 2, key.encode(), 1, key[1:].encode()) for key in keys)

    assert probe.ask(b"\1\0\x0aa") == pairs("aa", "ac", "ad")
    assert probe.ask(b"\0\0\x0a") == pairs("aa", "ac", "ad", "ba")
    assert probe.ask(b"\1\2\x0aaab") == pairs("ac", "ad")
    assert probe.ask(b"\1\0\2a") == pairs("aa", "ac")
    assert probe.ask(b"\1\0\0a") == pairs()
    assert probe.ask(b"\1\2\x0aaad") == pairs()
    assert probe.ask(b"\1\1\x0abc") == pairs()
    assert probe.ask(b"\1\1\x0aba") == pairs("ba")
    assert probe.send(bytes([1, 0, SCAN_PAIRS_MAX + 1]) + b"a").reason == Reason.HOST_LIMIT


def test_an_event_has_a_largest_size():
    emit = f"(call $emit (i32.const 0) (i32.const 4) (i32.const {OUT}) (i32.const 32769))"
    assert Probe(emit, result="").send().reason == Reason.HOST_LIMIT


def test_a_contract_sees_its_own_storage_only():
    scene = Scene()
    put = "(call $storage_put (i32.const 0) (i32.const 4) (i32.const 0) (i32.const 4)) (call $give_i32 (i32.const 0))"
    assert Probe(put, scene).send().status is Status.SUCCEEDED
    assert Probe("(call $give_i32 (call $storage_has (i32.const 0) (i32.const 4)))", scene).ask() == bytes(4)


# Where the contract is


def test_a_contract_knows_who_calls_what_and_when():
    scene = Scene()
    scene.height = 9
    names = ("self_address", "caller", "signer")
    filled = "".join(f"(call ${name} (i32.const {OUT + 20 * index}))" for index, name in enumerate(names))
    probe = Probe(filled + f"(call $give (i32.const {OUT}) (i32.const 60))", scene)
    seen = probe.ask()
    assert seen == probe.address + probe.teller + B
    for name, expected in (("value", 3), ("block_height", 9), ("block_time_ms", 1_000), ("epoch", 0)):
        assert Probe(f"(call $give_i64 (call ${name}))", scene).ask(value=3) == pack("<Q", expected)
    assert Probe("(call $chain_id (i32.const 1)) (call $give_register (i32.const 1))", scene).ask() == CHAIN_ID.encode()
    assert Probe("(call $give_i32 (call $signer_did (i32.const 0)))", scene).ask() == bytes(4)


def test_a_contract_knows_the_identity_its_signer_acts_for():
    scene = Scene()
    did = bytes(range(20))
    scene.state.put(did_of_account_key(B), did)
    asked = f"(drop (call $signer_did (i32.const {OUT}))) (call $give (i32.const {OUT}) (i32.const 20))"
    assert Probe(asked, scene).ask() == did
    assert Probe(f"(call $give_i32 (call $signer_did (i32.const {OUT})))", scene).ask() == pack("<I", 1)


def test_a_contract_knows_its_transaction():
    probe = Probe(
        f"""(i32.store (i32.const {OUT - 4}) (i32.const 32)) (call $transaction_id (i32.const {OUT}))
            (call $emit (i32.const 0) (i32.const 4) (i32.const {OUT - 4}) (i32.const 36))""",
        result="",
    )
    receipt = probe.send()
    assert receipt.events == (
        Event("contracts", "Emitted", [probe.address, "Told", pack("<I", 32) + receipt.transaction_id]),
    )


def test_gas_left_falls_by_what_is_used():
    probe = Probe(
        """(i64.store (i32.const 64) (call $gas_left))
           (call $give_i64 (i64.sub (i64.load (i32.const 64)) (call $gas_left)))"""
    )
    assert int.from_bytes(probe.ask(), "little") == 60


# Money


def test_a_contract_pays_from_its_own_account():
    scene = Scene()
    probe = Probe(f"(call $transfer (i32.const {DATA}) (i64.load (i32.const {DATA + 20})))", scene, result="")
    carol = Address(bytes(19) + b"\7")
    receipt = probe.send(carol + pack("<Q", 60), value=100)
    assert receipt.status is Status.SUCCEEDED
    assert [event.fields for event in receipt.events] == [[B, probe.address, 100], [probe.address, carol, 60]]
    assert get_account(scene.state, probe.address).balance_grains == 40
    assert get_account(scene.state, carol).balance_grains == 60
    before = scene.snapshot(B)
    for recipient, grains, reason in (
        (carol, 41, Reason.INSUFFICIENT_BALANCE),
        (carol, 2**64 - 1, Reason.INSUFFICIENT_BALANCE),
        (carol, 0, Reason.AMOUNT_ZERO),
        (compute_module_address("fees"), 1, Reason.RECIPIENT_NOT_ALLOWED),
    ):
        assert probe.send(recipient + pack("<Q", grains)).reason == reason
    assert scene.snapshot(B) == before


def test_a_contract_takes_no_direct_transfers():
    scene = Scene()
    probe = Probe(f"(call $transfer (i32.const {DATA}) (i64.const 1))", scene, result="")
    other = Probe("(drop (i32.const 0))", scene, result="")
    assert scene.send(Call("iov", "transfer", [probe.address, 1])).reason == Reason.RECIPIENT_NOT_ALLOWED
    assert scene.send(Call("iov", "batch_transfer", [[[probe.address, 1]]])).reason == Reason.RECIPIENT_NOT_ALLOWED
    assert probe.send(other.address, value=5).reason == Reason.RECIPIENT_NOT_ALLOWED


def test_a_contract_knows_balances():
    scene = Scene()
    probe = Probe(f"(call $give_i64 (call $balance (i32.const {DATA})))", scene)
    held = get_account(scene.state, A).balance_grains
    assert int.from_bytes(probe.ask(A), "little") < held
    assert probe.ask(bytes(20)) == bytes(8)


# Cryptography and arithmetic


@pytest.mark.parametrize("length", [0, 1, 135, 136, 137, 300])
def test_hashes(length):
    for name, compute in (("sha256", lambda data: sha256(data).digest()), ("keccak256", keccak256)):
        probe = Probe(
            f"""(call ${name} (i32.const {DATA}) (i32.load (i32.const {SPACE})) (i32.const {OUT}))
                (call $give (i32.const {OUT}) (i32.const 32))"""
        )
        assert probe.ask(bytes(range(256)) * 2)[:0] == b""
        assert probe.ask((bytes(range(256)) * 2)[:length]) == compute((bytes(range(256)) * 2)[:length])


@pytest.mark.parametrize(
    ("message", "digest"),
    [
        (b"", "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"),
        (b"abc", "4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45"),
        (bytes(136), "3a5912a7c5faa06ee4fe906253e339467a9ce87d533c65be3c15cb231cdb25f9"),
    ],
)
def test_keccak_has_its_original_padding(message, digest):
    assert keccak256(message).hex() == digest


@pytest.mark.parametrize("key_type", list(KeyType))
def test_signatures_follow_the_rules_of_the_chain(key_type):
    name = {KeyType.ED25519: "ed25519", KeyType.SECP256K1: "secp256k1", KeyType.P256: "p256"}[key_type]
    key = make_key("signer", key_type)
    public = key.public_key.key
    size = len(public)
    probe = Probe(
        f"""(call $give_i32 (call ${name}_verify (i32.const {DATA}) (i32.const {DATA + size + 64}) (i32.const 5)
              (i32.const {DATA + size})))"""
    )
    signature = key.sign(b"hello")
    assert probe.ask(public + signature + b"hello") == b"\1\0\0\0"
    assert probe.ask(public + signature + b"hullo") == bytes(4)
    assert probe.ask(bytes(size) + signature + b"hello") == bytes(4)


def test_inclusion_in_a_list():
    leaves = [bytes([index]) * 3 for index in range(7)]
    hashes = [compute_leaf_hash(leaf) for leaf in leaves]
    proof = b"".join(build_proof(hashes, 5).path)
    probe = Probe(
        f"""(call $give_i32 (call $merkle_verify (i32.const {DATA}) (i32.const {DATA + 32}) (i32.const 3)
              (i64.load (i32.const {DATA + 35})) (i64.load (i32.const {DATA + 43})) (i32.const {DATA + 51})
              (i32.sub (i32.load (i32.const {SPACE})) (i32.const 51))))"""
    )
    root = compute_root(hashes)
    for leaf, index, count, path, expected in (
        (leaves[5], 5, 7, proof, 1),
        (leaves[4], 5, 7, proof, 0),
        (leaves[5], 4, 7, proof, 0),
        (leaves[5], 5, 5, proof, 0),
        (leaves[5], 5, 2**63, proof, 0),
        (leaves[5], 5, 7, proof[:-1], 0),
        (leaves[5], 5, 7, proof + bytes(32 * 40), 0),
        (leaves[5], 5, 7, b"", 0),
    ):
        assert probe.ask(root + leaf + pack("<QQ", index, count) + path) == pack("<I", expected)


@pytest.mark.parametrize(
    ("a", "b", "c", "rounding", "expected"),
    [
        (10, 10, 7, 0, 14),
        (10, 10, 7, 1, 15),
        (10, 10, 7, 2, 14),
        (10, 10, 8, 2, 13),
        (9, 1, 6, 2, 2),
        (5, 1, 3, 2, 2),
        (2**128 - 1, 2**128 - 1, 2**128 - 1, 0, 2**128 - 1),
        (2**127, 2, 1, 0, None),
        (2**128 - 1, 2**128 - 1, 2**128 - 2, 1, None),
        (1, 1, 0, 0, None),
        (1, 1, 1, 3, None),
    ],
)
def test_mul_div(a, b, c, rounding, expected):
    probe = Probe(
        f"""(call $mul_div (i32.const {DATA}) (i32.const {DATA + 16}) (i32.const {DATA + 32})
              (i32.load8_u (i32.const {DATA + 48})) (i32.const {OUT})) (call $give (i32.const {OUT}) (i32.const 16))"""
    )
    given = b"".join(each.to_bytes(16, "little") for each in (a, b, c)) + bytes([rounding])
    if expected is None:
        assert probe.send(given).reason == Reason.ARITHMETIC
    else:
        assert int.from_bytes(probe.ask(given), "little") == expected


# Native modules


def ask_native(function: str, module: str, name: str, arguments: bytes, then: str, scene: Scene, **options: Any):
    """A probe that uses a native module."""
    start = DATA
    return Probe(
        f"""(i32.store (i32.const 64) (call ${function} (i32.const {start}) (i32.const {len(module)})
              (i32.const {start + len(module)}) (i32.const {len(name)})
              (i32.const {start + len(module) + len(name)}) (i32.const {len(arguments)}) (i32.const 6)))
            {then}""",
        scene,
        **options,
    ), module.encode() + name.encode() + arguments


def test_a_native_call_has_the_contract_as_its_sender():
    scene = Scene()
    carol = Address(bytes(19) + b"\7")
    probe, given = ask_native(
        "call_native", "iov", "transfer", carol + pack("<Q", 30), "(call $give_i32 (i32.load (i32.const 64)))", scene
    )
    receipt = probe.send(given, value=50)
    assert receipt.status is Status.SUCCEEDED
    assert [event.fields for event in receipt.events] == [[B, probe.address, 50], [probe.address, carol, 30]]


@pytest.mark.parametrize(
    ("module", "name", "arguments", "reason"),
    [
        ("iov", "transfer", A + pack("<Q", 10**9), Reason.INSUFFICIENT_BALANCE),
        ("iov", "transfer", A + b"\0", Reason.BAD_ARGUMENTS),
        ("iov", "transfer", A + pack("<Q", 2**63), Reason.BAD_ARGUMENTS),
        ("iov", "mint", b"", Reason.UNKNOWN_CALL),
        ("accounts", "set_policy", b"", Reason.UNKNOWN_CALL),
        ("contracts", "call", b"", Reason.UNKNOWN_CALL),
        ("nowhere", "call", b"", Reason.UNKNOWN_CALL),
        ("governance", "donate", pack("<Q", 0), Reason.AMOUNT_ZERO),
    ],
)
def test_a_native_call_that_fails_has_its_number_and_leaves_nothing(module, name, arguments, reason):
    scene = Scene()
    probe, given = ask_native(
        "call_native", module, name, arguments, "(call $give_i32 (i32.load (i32.const 64)))", scene
    )
    before = scene.snapshot(A, B)
    assert probe.ask(given) == pack("<I", reason)
    left = {key: value for key, value in scene.snapshot(A, B).items() if key in before}
    assert left == before


def test_a_native_call_pays_what_it_costs():
    scene = Scene()
    payments = b"".join(Address(bytes(19) + bytes([index])) + pack("<Q", 1) for index in range(1, 21))
    few, given_few = ask_native(
        "call_native", "iov", "batch_transfer", pack("<I", 1) + payments[:28], "", scene, result=""
    )
    many, given_many = ask_native(
        "call_native", "iov", "batch_transfer", pack("<I", 20) + payments, "", scene, result=""
    )
    used = [probe.send(given, value=100).gas_used for probe, given in ((few, given_few), (many, given_many))]
    assert used[1] - used[0] >= 19 * 200


def test_a_native_view_is_packed_and_paid_by_what_it_reads():
    scene = Scene()
    probe, given = ask_native("view_native", "iov", "balance", A, "(call $give_register (i32.const 6))", scene)
    assert len(probe.ask(given)) == 8
    probe, given = ask_native("view_native", "network", "operator", A, "(call $give_register (i32.const 6))", scene)
    assert probe.ask(given) == b"\0"
    probe, given = ask_native(
        "view_native", "governance", "proposals", b"", "(call $give_i32 (i32.load (i32.const 64)))", scene
    )
    assert probe.ask(given) == pack("<I", Reason.UNKNOWN_CALL), "a proposal's arguments have no type"


# Events


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        (b"Told", pack("<I", 2) + b"ok", 0),
        (b"Tol", pack("<I", 2) + b"ok", Reason.EVENT_UNDECLARED),
        (b"Told", pack("<I", 3) + b"ok", Reason.EVENT_UNDECLARED),
        (b"Told", b"", Reason.EVENT_UNDECLARED),
        (b"\xff\xfe", b"", Reason.BAD_ARGUMENTS),
    ],
)
def test_an_event_is_one_of_the_interface(name, data, reason):
    probe = Probe(
        f"""(call $emit (i32.const {DATA}) (i32.const {len(name)}) (i32.const {DATA + len(name)})
             (i32.const {len(data)}))""",
        result="",
    )
    assert probe.send(name + data).reason == reason


# Views


@pytest.mark.parametrize(
    "body",
    [
        "(call $storage_put (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 1))",
        "(drop (call $storage_delete (i32.const 0) (i32.const 1)))",
        "(call $transfer (i32.const 0) (i64.const 1))",
        "(call $emit (i32.const 0) (i32.const 4) (i32.const 0) (i32.const 0))",
        """(drop (call $call_native (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 0)
           (i32.const 0)))""",
        """(drop (call $call (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 0) (i64.const 1)
           (i64.const 0) (i32.const 0)))""",
    ],
)
def test_a_view_changes_nothing(body):
    assert Probe(body, kind=MethodKind.VIEW, result="").send().reason == Reason.VIEW_WRITES
