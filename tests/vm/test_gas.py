"""What a transaction costs, and that nothing is worked for free."""

import pytest

from identity.keys import KeyType
from ledger.codec import to_plain
from ledger.reasons import Reason, Rejected
from ledger.receipt import Status
from ledger.transaction import Call
from tests.builders import PARAMETERS, Draft, address_of, block_context, make_key, make_state, transfer
from tests.vectors.scene import POLICY
from vm.gas import GAS_KEY_CHECK, GAS_SIGNATURE, GAS_STATE_WRITE, GAS_TRANSACTION, GasMeter, compute_intrinsic_gas
from vm.native.accounts import RegisterPolicy, compute_policy_gas
from vm.native.iov import RECIPIENTS_MAX
from vm.native.registry import CALLS
from vm.transition import apply_transaction, check_stateless, compute_ordering_gas

ALICE = make_key("alice")
A, B = address_of(ALICE), address_of(make_key("bob"))


def test_a_meter_counts_to_its_limit_and_then_uses_all_of_it():
    meter = GasMeter(100, 40)
    meter.charge(60)
    assert meter.used == 100
    with pytest.raises(Rejected) as refusal:
        meter.charge(1)
    assert (refusal.value.reason, refusal.value.details) == (Reason.OUT_OF_GAS, {"needed": 101, "limit": 100})
    assert meter.used == 100


@pytest.mark.parametrize("key_type", KeyType)
def test_every_signature_is_paid_for_by_its_type(key_type):
    key = make_key("signer", key_type)
    transaction = Draft(key, [transfer(B, 1)]).sign()
    expected = GAS_TRANSACTION + len(transaction.raw) + GAS_SIGNATURE[key_type]
    assert compute_intrinsic_gas(transaction) == expected
    two = Draft(key, [transfer(B, 1)], fee_payer_key=ALICE).sign()
    expected = GAS_TRANSACTION + len(two.raw) + GAS_SIGNATURE[key_type] + GAS_SIGNATURE[KeyType.ED25519]
    assert compute_intrinsic_gas(two) == expected


def test_every_byte_is_paid_for_memo_included():
    short, long = (Draft(ALICE, [transfer(B, 1)], memo="x" * length).sign() for length in (1, 101))
    assert compute_intrinsic_gas(long) - compute_intrinsic_gas(short) == len(long.raw) - len(short.raw) >= 100


def test_remembering_and_forgetting_an_unordered_id_costs_two_writes():
    transaction = Draft(ALICE, [transfer(B, 1)], sequence=bytes(8)).sign()
    assert compute_ordering_gas(transaction) == compute_intrinsic_gas(transaction) + 2 * GAS_STATE_WRITE
    ordered = Draft(ALICE, [transfer(B, 1)]).sign()
    assert compute_ordering_gas(ordered) == compute_intrinsic_gas(ordered)


@pytest.mark.parametrize(("module", "name", "writes"), [("iov", "transfer", 2), ("iov", "batch_transfer", 4)])
def test_a_payment_costs_its_writes(module, name, writes):
    rule = CALLS[module, name]
    arguments = rule.read_arguments([B, 1] if name == "transfer" else [[[B, 1]] * 3])
    assert rule.rule.compute_gas(arguments) == writes * GAS_STATE_WRITE


def test_a_policy_costs_two_writes_and_a_check_of_each_key():
    assert compute_policy_gas(RegisterPolicy(POLICY)) == 2 * GAS_STATE_WRITE + 3 * GAS_KEY_CHECK
    state = make_state({A: 10**6})
    draft = Draft(ALICE, [Call("accounts", "register_policy", [to_plain(POLICY)])])
    receipt = apply_transaction(state, block_context(), draft.sign())
    assert receipt.status is Status.SUCCEEDED
    assert receipt.gas_used == compute_intrinsic_gas(draft.sign()) + 2 * GAS_STATE_WRITE + 3 * GAS_KEY_CHECK


def test_a_gas_limit_is_enough_from_the_intrinsic_gas_on():
    transaction = Draft(ALICE, [transfer(B, 1)]).sign()
    minimum = compute_intrinsic_gas(transaction)
    while True:  # the limit stands in the bytes that are paid for
        transaction = Draft(ALICE, [transfer(B, 1)], gas_limit=minimum).sign()
        if compute_intrinsic_gas(transaction) == minimum:
            break
        minimum = compute_intrinsic_gas(transaction)
    check_stateless(transaction, "test-chain", PARAMETERS)
    with pytest.raises(Rejected) as refusal:
        check_stateless(Draft(ALICE, [transfer(B, 1)], gas_limit=minimum - 1).sign(), "test-chain", PARAMETERS)
    assert (refusal.value.reason, refusal.value.details) == (Reason.GAS_LIMIT_TOO_LOW, {"minimum": minimum})


def test_the_largest_batch_fits_a_block_many_times():
    rule = CALLS["iov", "batch_transfer"]
    gas = rule.rule.compute_gas(rule.read_arguments([[[B, 1]] * RECIPIENTS_MAX]))
    assert gas * 10 < PARAMETERS.block_gas_max


def test_failing_calls_after_the_gas_is_spent_are_paid_for():
    """The work of earlier calls is undone but not given back."""
    state = make_state({A: 10**6})
    draft = Draft(ALICE, [transfer(B, 1), transfer(B, 2), Call("iov", "nothing", [])])
    receipt = apply_transaction(state, block_context(), draft.sign())
    assert receipt.reason == Reason.UNKNOWN_CALL
    assert receipt.gas_used == compute_intrinsic_gas(draft.sign()) + 4 * GAS_STATE_WRITE
