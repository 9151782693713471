"""Contracts from publication to upgrade, every way to fail, and what fails leaves behind: nothing but the gas used."""

from dataclasses import replace
from functools import partial

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from identity.address import Address
from ledger.primitives import Height, TimeMs
from ledger.reasons import CONTRACT_REASON_FIRST, Reason, Rejected
from ledger.receipt import Event, Status
from ledger.state import State
from ledger.state_keys import approved_code_key, developer_key
from ledger.transaction import Call
from tests.vm.contracts.puppet import (
    DIVE,
    LOOP,
    TRAP,
    attach_interface,
    build_puppet,
    call,
    call_native,
    compile_text,
    emit,
    find_address,
    give_back,
    give_stored,
    hash_code,
    mul_div,
    pack_script,
    pay,
    put,
    put_at,
    revert,
    touch,
    view_native,
)
from tests.vm.contracts.scene import BOB, GAS, RUNTIME, A, B, Scene, emitted, introduce, run
from vm.context import Moment
from vm.contracts.abi import Interface, Method, MethodKind, UpgradeRule
from vm.contracts.engine import CALL_DEPTH_MAX
from vm.contracts.lifecycle import APPROVED_CODE, CERTIFIED_DEVELOPERS
from vm.native.accounts import get_account
from vm.native.contracts import PART_BYTES_MAX, ContractDescription, ViewResult
from vm.native.pauses import Pause, put_pauses
from vm.native.registry import answer_view

MEMORY_OF_TWO_PAGES = b"\5\4\1\1\2\2"
MEMORY_OF_33_PAGES = b"\5\4\1\1\x21\x21"
NOBODY = Address(bytes(20))


def number(stored: bytes | None) -> int | None:
    """What a puppet has noted about a call."""
    return None if stored is None else int.from_bytes(stored, "little")


# Publishing


def test_a_contract_is_introduced_and_then_sealed():
    scene = Scene()
    code = build_puppet()
    address = find_address(A, code)
    introduced = scene.send(introduce(code, put(1, 2), emit(9)))
    assert (introduced.status, introduced.events) == (
        Status.SUCCEEDED,
        (Event("contracts", "Introduced", [address, A, hash_code(code)]),),
    )
    assert scene.stored(address, 1) is None, "the trial is undone"
    assert scene.run(address, put(1, 3)).reason == Reason.CONTRACT_NOT_SEALED
    sealed = scene.send(Call("contracts", "seal", [address]))
    assert sealed.events[-1] == Event("contracts", "Sealed", [address, hash_code(code)])
    assert emitted(sealed) == [(address, 9)]
    assert scene.stored(address, 1) == b"\2"
    assert scene.run(address, put(1, 3)).status is Status.SUCCEEDED
    assert scene.stored(address, 1) == b"\3"


def test_one_transaction_may_introduce_and_seal():
    scene = Scene()
    address = scene.publish(None, put(1, 2), value=77)
    assert scene.stored(address, 1) == b"\2"
    assert get_account(scene.state, address).balance_grains == 77


def test_a_contract_is_sealed_once_and_by_its_introducer():
    scene = Scene()
    code = build_puppet()
    address = find_address(A, code)
    seal = Call("contracts", "seal", [address])
    assert scene.send(seal).reason == Reason.CONTRACT_NOT_FOUND
    scene.send(introduce(code))
    assert scene.send(seal, key=BOB).reason == Reason.PUBLISHER_NOT_ALLOWED
    assert scene.send(seal).status is Status.SUCCEEDED
    assert scene.send(seal).reason == Reason.ALREADY_SEALED
    assert scene.send(introduce(code)).reason == Reason.CONTRACT_EXISTS
    assert scene.send(introduce(code, salt=b"2")).status is Status.SUCCEEDED


def test_an_init_that_fails_is_not_introduced():
    scene = Scene()
    before = scene.snapshot(A)
    assert scene.send(introduce(build_puppet(), revert(9))).reason == CONTRACT_REASON_FIRST + 9
    assert scene.send(introduce(build_puppet(), value=10**15)).reason == Reason.INSUFFICIENT_BALANCE
    assert scene.snapshot(A) == before


def test_code_is_checked_when_it_is_introduced():
    scene = Scene()
    good = build_puppet()
    greedy = good.replace(MEMORY_OF_TWO_PAGES, MEMORY_OF_33_PAGES)
    nameless = good.replace(b"look", b"lock", 1)  # the interface still says look
    assert good not in (greedy, nameless)
    for code, code_hash in (
        (greedy, None),
        (nameless, None),
        (good.replace(b"bytes", b"bites"), None),
        (b"\0asm\1\0\0\0", None),
        (good[:-1], None),
        (good, bytes(32)),
        (b"", hash_code(good)),
    ):
        arguments = [b"", code_hash or hash_code(code), code, pack_script(), 0]
        before = scene.snapshot(A)
        assert scene.send(Call("contracts", "introduce", arguments)).reason == Reason.BAD_CONTRACT
        assert scene.snapshot(A) == before


def test_code_that_is_hard_to_compile_is_paid_by_that_and_not_by_its_size():
    scene = Scene()

    def publish(branches: int, alive: int) -> int:
        names = " ".join("i64" for _ in range(alive))
        jumps = "(br_if 0 (i32.eqz (i32.load (i32.const 0))))" * branches
        text = f'(module (memory (export "memory") 1 1) (func (export "run") (local {names}) (block {jumps})))'
        method = Method("run", MethodKind.CALL, False, False, (), "")
        interface = Interface("Hard", "wat", bytes(32), UpgradeRule.NEVER, (), (method,), (), ())
        code = attach_interface(compile_text(text), interface)
        receipt = scene.send(Call("contracts", "introduce", [b"", hash_code(code), code, b"", 0]), gas=16_000_000)
        assert receipt.status is Status.SUCCEEDED
        return receipt.gas_used - 40 * len(code)

    assert publish(700, 100) - publish(700, 1) > 500**2 * 99 // 25


def test_code_that_is_published_already_needs_no_bytes():
    scene = Scene()
    code = build_puppet()
    first = scene.send(introduce(code))
    again = scene.send(Call("contracts", "introduce", [b"2", hash_code(code), b"", pack_script(), 0]), key=BOB)
    assert again.status is Status.SUCCEEDED
    assert again.gas_used < first.gas_used / 5, "it is not checked again"


def test_large_code_comes_in_parts():
    scene = Scene()
    code = build_puppet("x" * 64)
    code_hash = hash_code(code)
    halves = [code[:900], code[900:]]
    for index, part in enumerate(halves):
        assert scene.send(Call("contracts", "store_part", [code_hash, index, part])).status is Status.SUCCEEDED
    whole = Call("contracts", "introduce", [b"", code_hash, b"", pack_script(), 0])
    assert scene.send(whole, key=BOB).reason == Reason.BAD_CONTRACT, "parts are the uploader's"
    before = len(scene.snapshot())
    assert scene.send(whole).status is Status.SUCCEEDED
    assert len(scene.snapshot()) == before - 2 + 5, "parts gone; code, facts, module, contract and account are there"
    assert scene.send(Call("contracts", "store_part", [code_hash, 0, bytes(PART_BYTES_MAX + 1)])).reason == 102


def test_who_may_publish_is_a_parameter():
    code = build_puppet()
    address = find_address(A, code)
    for rule, allow in (
        (CERTIFIED_DEVELOPERS, developer_key(A)),
        (APPROVED_CODE, approved_code_key(hash_code(code))),
    ):
        scene = Scene(contract_publishers=rule)
        before = scene.snapshot(A)
        assert scene.send(introduce(code)).reason == Reason.PUBLISHER_NOT_ALLOWED
        part = Call("contracts", "store_part", [hash_code(code), 0, code])
        assert scene.send(part).reason == Reason.PUBLISHER_NOT_ALLOWED
        assert scene.snapshot(A) == before
        scene.state.put(allow, b"")
        assert scene.send(introduce(code)).status is Status.SUCCEEDED
        scene.state.delete(allow)
        assert scene.send(Call("contracts", "seal", [address])).reason == Reason.PUBLISHER_NOT_ALLOWED
        scene.state.put(allow, b"")
        assert scene.send(Call("contracts", "seal", [address])).status is Status.SUCCEEDED


def test_nothing_is_published_or_called_while_the_module_is_paused():
    scene = Scene()
    address = scene.publish()
    put_pauses(scene.state, [Pause("contracts", Height(50))])
    before = scene.snapshot(A, B)
    assert scene.send(introduce(build_puppet("Other"))).reason == Reason.MODULE_PAUSED
    assert scene.run(address).reason == Reason.MODULE_PAUSED
    assert scene.snapshot(A, B) == before


def test_a_pause_holds_for_contracts_too():
    scene = Scene()
    address = scene.publish(value=100)
    put_pauses(scene.state, [Pause("iov", Height(50))])
    assert scene.run(address, pay(B, 1)).reason == Reason.MODULE_PAUSED
    assert scene.run(address, value=1).reason == Reason.MODULE_PAUSED
    assert scene.run(address, call_native("iov", "transfer", B + bytes(8))).status is Status.SUCCEEDED
    assert number(scene.stored(address, 0xF1)) == Reason.MODULE_PAUSED


# Upgrades


def test_code_stays_as_the_interface_says():
    scene = Scene()
    address = scene.publish()
    code = build_puppet("Second")
    upgrade = Call("contracts", "upgrade", [address, hash_code(code), code, pack_script()])
    assert scene.send(upgrade).reason == Reason.UPGRADE_NOT_ALLOWED
    governed = scene.publish(build_puppet("Governed", UpgradeRule.GOVERNANCE))
    upgrade = Call("contracts", "upgrade", [governed, hash_code(code), code, pack_script()])
    assert scene.send(upgrade).reason == Reason.UPGRADE_NOT_ALLOWED


def test_an_owner_upgrades_and_hands_over():
    scene = Scene()
    first, second = build_puppet("First", UpgradeRule.OWNER), build_puppet("Second", UpgradeRule.OWNER)
    address = scene.publish(first, put(1, 1), value=50)
    scene.height = 7
    arguments = [address, hash_code(second), second, pack_script(put(2, 2))]
    upgrade = Call("contracts", "upgrade", arguments)
    assert scene.send(upgrade, key=BOB).reason == Reason.UPGRADE_NOT_ALLOWED
    failing = Call("contracts", "upgrade", [*arguments[:3], pack_script(put(2, 2), TRAP)])
    before = scene.snapshot(A)
    assert scene.send(failing).reason == Reason.UNREACHABLE
    assert scene.snapshot(A) == before
    receipt = scene.send(upgrade)
    assert receipt.events == (Event("contracts", "Upgraded", [address, hash_code(second), hash_code(first)]),)
    assert (scene.stored(address, 1), scene.stored(address, 2)) == (b"\1", b"\2"), "storage stays, migrate ran"
    assert get_account(scene.state, address).balance_grains == 50
    assert scene.send(upgrade).reason == Reason.UPGRADE_NOT_ALLOWED, "it has this code"
    history = answer_view(scene.state, Moment(Height(7), TimeMs(1)), "contracts", "history", [address])
    assert [(each.height, each.code_hash) for each in history] == [(1, hash_code(first)), (7, hash_code(second))]

    hand_over = Call("contracts", "set_owner", [address, B])
    assert scene.send(hand_over, key=BOB).reason == Reason.UPGRADE_NOT_ALLOWED
    assert scene.send(hand_over).events == (Event("contracts", "OwnerSet", [address, B]),)
    back = Call("contracts", "upgrade", [address, hash_code(first), b"", pack_script()])
    assert scene.send(back).reason == Reason.UPGRADE_NOT_ALLOWED
    assert scene.send(back, key=BOB).status is Status.SUCCEEDED


def test_nobody_calls_init_or_migrate():
    scene = Scene()
    address = scene.publish()
    for method in ("init", "migrate", "absent"):
        assert scene.run(address, method=method).reason == Reason.NO_SUCH_METHOD


# Faults: the reason, the gas, and nothing else


FAULTS = {
    "a loop without end": ([put(1, 1), LOOP], Reason.OUT_OF_GAS, GAS),
    "memory that is not there": ([put(1, 1), touch(2 * 65_536 - 3)], Reason.UNREACHABLE, None),
    "recursion without end": ([put(1, 1), DIVE], Reason.STACK_OVERFLOW, None),
    "unreachable": ([emit(1), TRAP], Reason.UNREACHABLE, None),
    "its own code": ([put(1, 1), emit(1), revert(65_535)], CONTRACT_REASON_FIRST + 65_535, None),
    "an event that is not declared": ([emit(1), emit(1, name_length=2)], Reason.EVENT_UNDECLARED, None),
    "a key outside the memory": ([put_at(2**32 - 1, 8, 0, 1)], Reason.BAD_POINTER, None),
    "a value outside the memory": ([put(1, 1), put_at(0, 1, 2**32 - 8, 16)], Reason.BAD_POINTER, None),
    "a huge key": ([put_at(0, 129, 0, 1)], Reason.HOST_LIMIT, None),
    "a huge value": ([put_at(0, 1, 0, 16_385)], Reason.HOST_LIMIT, None),
    "a quotient that does not fit": ([put(1, 1), mul_div(2**127, 2, 1)], Reason.ARITHMETIC, None),
    "division by zero": ([mul_div(1, 1, 0)], Reason.ARITHMETIC, None),
    "more coins than it has": ([emit(1), pay(B, 1)], Reason.INSUFFICIENT_BALANCE, None),
    "a result that is not declared": ([put(1, 1), give_back(b"x")], Reason.BAD_RESULT, None),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_has_a_number_and_leaves_nothing(name):
    steps, reason, gas_used = FAULTS[name]
    scene = Scene()
    address = scene.publish()
    before, balance = scene.snapshot(B), get_account(scene.state, B).balance_grains
    receipt = scene.run(address, *steps)
    assert (receipt.status, receipt.reason, receipt.events) == (Status.FAILED, reason, ())
    assert receipt.gas_used == (gas_used or scene.run(address, *steps).gas_used), "the same each time"
    assert scene.snapshot(B) == before
    paid = 2 * receipt.gas_used if gas_used is None else receipt.gas_used
    assert get_account(scene.state, B).balance_grains == balance - paid


@pytest.mark.parametrize(
    "arguments", [b"", b"\1\0\0\0", b"\xff\xff\xff\xff", pack_script() + b"\0", bytes(32_768)], ids=range(5)
)
def test_arguments_have_their_declared_types(arguments):
    scene = Scene()
    address = scene.publish()
    before = scene.snapshot(B)
    receipt = scene.send(Call("contracts", "call", [address, "run", arguments, 0]), key=BOB)
    assert (receipt.status, receipt.reason, receipt.events) == (Status.FAILED, Reason.BAD_ARGUMENTS, ())
    assert scene.snapshot(B) == before


def test_a_missing_contract_a_missing_method_and_coins_nobody_wants():
    scene = Scene()
    address = scene.publish()
    before = scene.snapshot(B)
    assert scene.run(NOBODY).reason == Reason.CONTRACT_NOT_FOUND
    assert scene.run(address, method="nothing").reason == Reason.NO_SUCH_METHOD
    assert scene.run(address, method="free", value=1).reason == Reason.NOT_PAYABLE
    assert scene.run(address, value=10**15).reason == Reason.INSUFFICIENT_BALANCE
    assert scene.snapshot(B) == before


def test_events_are_paid_by_their_size():
    scene = Scene()
    address = scene.publish()
    few, many = (scene.run(address, *[emit(1)] * count).gas_used for count in (1, 201))
    assert many - few > 200 * 50
    assert scene.run(address, *[emit(1)] * 201, gas=few).reason == Reason.OUT_OF_GAS


# Contracts that call contracts


@pytest.fixture
def pair() -> tuple[Scene, Address, Address]:
    """Two puppets."""
    scene = Scene()
    return scene, scene.publish(value=1_000), scene.publish(salt=b"2")


def test_a_contract_calls_another_and_goes_on(pair):
    scene, one, two = pair
    receipt = scene.run(one, emit(1), call(two, put(1, 5), emit(2), value=30), emit(3))
    assert emitted(receipt) == [(one, 1), (two, 2), (one, 3)]
    assert (number(scene.stored(one, 0xF0)), scene.stored(two, 1)) == (0, b"\5")
    assert get_account(scene.state, two).balance_grains == 30


@pytest.mark.parametrize(
    ("steps", "reason"),
    [
        ([TRAP], Reason.UNREACHABLE),
        ([revert(12)], CONTRACT_REASON_FIRST + 12),
        ([DIVE], Reason.STACK_OVERFLOW),
        ([pay(B, 10**9)], Reason.INSUFFICIENT_BALANCE),
        ([LOOP], Reason.OUT_OF_GAS),
    ],
)
def test_what_a_failed_call_did_is_undone_and_its_caller_goes_on(pair, steps, reason):
    scene, one, two = pair
    inner = call(two, put(1, 5), emit(2), pay(B, 3), *steps, value=30, gas=100_000)
    receipt = scene.run(one, emit(1), inner, emit(3))
    assert receipt.status is Status.SUCCEEDED
    assert emitted(receipt) == [(one, 1), (one, 3)]
    assert (number(scene.stored(one, 0xF0)), scene.stored(two, 1)) == (reason, None)
    assert get_account(scene.state, one).balance_grains == 1_000
    assert get_account(scene.state, two).balance_grains == 0


@pytest.mark.parametrize(
    ("step", "reason"),
    [
        (partial(call, NOBODY), Reason.CONTRACT_NOT_FOUND),
        (partial(call, method="nothing"), Reason.NO_SUCH_METHOD),
        (partial(call, method="init"), Reason.NO_SUCH_METHOD),
        (partial(call, method="free", value=1), Reason.NOT_PAYABLE),
        (partial(call, value=10**9), Reason.INSUFFICIENT_BALANCE),
        (partial(call, gas=1), Reason.OUT_OF_GAS),
    ],
)
def test_a_call_that_cannot_begin_has_its_number(pair, step, reason):
    scene, one, two = pair
    assert scene.run(one, step() if step.args else step(two)).status is Status.SUCCEEDED
    assert number(scene.stored(one, 0xF0)) == reason


def test_a_callee_gets_all_but_a_64th_of_the_gas(pair):
    scene, one, two = pair
    receipt = scene.run(one, call(two, LOOP), gas=1_000_000)
    assert receipt.status is Status.SUCCEEDED, "what was kept is enough to note the failure"
    assert number(scene.stored(one, 0xF0)) == Reason.OUT_OF_GAS
    assert 1_000_000 - 1_000_000 // 64 <= receipt.gas_used < 1_000_000


def test_out_of_gas_in_the_caller_after_the_call_undoes_both(pair):
    scene, one, two = pair
    before = scene.snapshot(B)
    receipt = scene.run(one, call(two, put(1, 1), emit(1)), LOOP, gas=50_000)
    assert (receipt.status, receipt.reason, receipt.gas_used, receipt.events) == (
        Status.FAILED,
        Reason.OUT_OF_GAS,
        50_000,
        (),
    )
    assert scene.snapshot(B) == before


def test_a_running_contract_is_entered_again_only_where_it_allows_it(pair):
    scene, one, two = pair
    assert scene.run(one, call(one)).status is Status.SUCCEEDED
    assert number(scene.stored(one, 0xF0)) == Reason.REENTRANCY, "calls itself"
    scene.run(one, call(two, call(one)))
    assert number(scene.stored(two, 0xF0)) == Reason.REENTRANCY
    scene.run(one, call(two, call(one, put(1, 9), method="rerun")))
    assert (number(scene.stored(two, 0xF0)), scene.stored(one, 1)) == (0, b"\x09")


def test_a_view_that_calls_something_else_than_a_view_fails(pair):
    scene, one, two = pair
    scene.run(one, call(two, call(one, give_back(b""), method="look"), method="look"))
    assert number(scene.stored(one, 0xF0)) == Reason.VIEW_WRITES, "it notes what came out, which is a write"
    assert scene.run(one, call(two, method="run"), method="look").reason == Reason.VIEW_WRITES


def test_contracts_run_inside_each_other_so_deep_and_no_deeper():
    scene = Scene()
    chain = [scene.publish(salt=bytes([index])) for index in range(CALL_DEPTH_MAX + 1)]
    step = put(1, 1)
    for address in reversed(chain[1:]):
        step = call(address, step, put(2, 2))
    assert scene.run(chain[0], step, gas=16_000_000).status is Status.SUCCEEDED
    assert [number(scene.stored(address, 0xF0)) for address in chain] == [0] * (CALL_DEPTH_MAX - 1) + [
        Reason.CALL_DEPTH,
        None,
    ]
    assert scene.stored(chain[-1], 1) is None
    assert scene.stored(chain[-2], 2) == b"\2", "its caller goes on"


def test_deep_recursion_in_the_innermost_contract_harms_nobody():
    scene = Scene()
    chain = [scene.publish(salt=bytes([index])) for index in range(CALL_DEPTH_MAX)]
    step = DIVE
    for address in reversed(chain[1:]):
        step = call(address, step)
    assert scene.run(chain[0], step, gas=16_000_000).status is Status.SUCCEEDED
    assert number(scene.stored(chain[-2], 0xF0)) == Reason.STACK_OVERFLOW


# Native modules from contracts


def test_a_contract_uses_native_modules_as_itself(pair):
    scene, one, _ = pair
    receipt = scene.run(one, call_native("iov", "transfer", B + (70).to_bytes(8, "little")))
    assert receipt.events == (Event("iov", "Transferred", [one, B, 70]),)
    assert number(scene.stored(one, 0xF1)) == 0
    scene.run(one, call_native("iov", "transfer", B + (10**6).to_bytes(8, "little")))
    assert number(scene.stored(one, 0xF1)) == Reason.INSUFFICIENT_BALANCE
    scene.run(one, call_native("contracts", "call", b""))
    assert number(scene.stored(one, 0xF1)) == Reason.UNKNOWN_CALL
    scene.run(one, view_native("iov", "balance", one))
    assert number(scene.stored(one, 0xFD)) == 930


# Views


def ask(scene: Scene, view: str, *arguments: object) -> object:
    """Answer a view of the module."""
    state = State(scene.state.get, scene.state.iterate_range)
    return answer_view(state, Moment(Height(5), TimeMs(6), RUNTIME), "contracts", view, list(arguments))


def test_views_tell_everything_about_a_contract():
    scene = Scene()
    code = build_puppet()
    address = scene.publish(code, put(1, 2))
    described = ask(scene, "contract", address)
    assert isinstance(described, ContractDescription)
    assert replace(described, interface=b"") == ContractDescription(A, A, hash_code(code), 2, 1, 1, b"")
    assert described.interface in code
    assert ask(scene, "code", hash_code(code)) == code
    assert ask(scene, "storage", address, b"\1") == b"\2"
    assert ask(scene, "storage", address, b"\2") is None
    assert [ask(scene, name, NOBODY) for name in ("contract", "history")] == [None, []]
    assert ask(scene, "code", bytes(32)) is None
    assert ask(scene, "developers") == []
    assert ask(scene, "is_approved", bytes(32)) is False


def test_the_view_call_answers_and_changes_nothing():
    scene = Scene()
    address = scene.publish(None, put(1, 2))
    before = scene.snapshot()
    answer = ask(scene, "call", address, "look", pack_script(give_stored(1)))
    assert isinstance(answer, ViewResult)
    assert answer.result == b"\1\0\0\0\2"
    assert 1_500 < answer.gas_used < 4_000
    for method, steps, reason in (
        ("look", [put(1, 1)], Reason.VIEW_WRITES),
        ("look", [LOOP], Reason.OUT_OF_GAS),
        ("look", [revert(4)], Reason.CONTRACT_CODE),
        ("run", [], Reason.VIEW_WRITES),
        ("absent", [], Reason.NO_SUCH_METHOD),
    ):
        with pytest.raises(Rejected) as caught:
            ask(scene, "call", address, method, pack_script(*steps))
        assert caught.value.reason is reason
    assert scene.snapshot() == before


# Trees of calls


@st.composite
def trees(draw: st.DrawFn, depth: int = 0) -> list[bytes]:
    """What one contract does: writes, payments, calls of the others, and perhaps a failure at the end."""
    steps: list[bytes] = []
    for _ in range(draw(st.integers(0, 3))):
        kind = draw(st.integers(0, 5 if depth < 3 else 3))
        if kind == 0:
            steps.append(put(draw(st.integers(0, 3)), draw(st.integers(0, 255))))
        elif kind == 1:
            steps.append(emit(draw(st.integers(0, 255))))
        elif kind == 2:
            steps.append(pay(draw(st.sampled_from([A, B])), draw(st.integers(0, 2_000))))
        elif kind == 3:
            amount = draw(st.integers(0, 3_000)).to_bytes(8, "little")
            steps.append(call_native("iov", "transfer", draw(st.sampled_from([A, B])) + amount))
        else:
            steps.append(
                call(
                    draw(st.sampled_from(CONTRACTS)),
                    *draw(trees(depth + 1)),
                    value=draw(st.sampled_from([0, 0, 1, 700, 5_000])),
                    gas=draw(st.sampled_from([0, 0, 3_000, 20_000])),
                    method=draw(st.sampled_from(["run", "run", "rerun", "free", "look"])),
                )
            )
    if draw(st.integers(0, 3)) == 0:
        steps.append(draw(st.sampled_from([TRAP, LOOP, DIVE, revert(3)])))
    return steps


CONTRACTS = [find_address(A, build_puppet(), bytes([index])) for index in range(3)]


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(trees(), st.sampled_from([3_000, 20_000, 200_000]), st.integers(0, 3_000))
def test_coins_are_conserved_and_failures_leave_nothing(tree, gas, value):
    scene = Scene()
    for index, contract in enumerate(CONTRACTS):
        assert scene.publish(salt=bytes([index]), value=1_000) == contract
    accounts = [A, B, *CONTRACTS]

    def count_grains() -> int:
        return sum(get_account(scene.state, address).balance_grains for address in accounts)

    before, grains = scene.snapshot(B), count_grains()
    held = get_account(scene.state, B).balance_grains
    receipt = scene.send(run(CONTRACTS[0], *tree, value=value), key=BOB, gas=gas)
    assert count_grains() == grains - receipt.fee_grains
    assert receipt.gas_used <= gas
    if receipt.status is Status.FAILED:
        assert receipt.events == ()
        assert scene.snapshot(B) == before
        assert get_account(scene.state, B).balance_grains == held - receipt.fee_grains
