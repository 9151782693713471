"""The state transition: outcomes, fees, order, and that nothing is ever created or lost."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from identity.address import compute_module_address, compute_policy_address
from identity.keys import KeyType
from identity.policy import build_policy, policy_to_bytes
from ledger.codec import decode, encode, to_plain
from ledger.reasons import Reason, Rejected
from ledger.receipt import Receipt, Status
from ledger.state_keys import unordered_prefix
from ledger.transaction import Call
from tests.builders import PARAMETERS, Draft, address_of, block_context, make_key, make_state, transfer
from vm.gas import compute_intrinsic_gas
from vm.native.accounts import get_account, get_policy
from vm.native.iov import FEES_ADDRESS
from vm.transition import apply_block, apply_transaction, check_admission, check_stateless

ALICE, BOB, CAROL = make_key("alice"), make_key("bob"), make_key("carol")
A, B, C = address_of(ALICE), address_of(BOB), address_of(CAROL)
START = 1_000_000


def run(draft: Draft, balances: dict | None = None, height: int = 1):
    state = make_state({A: START} if balances is None else balances)
    return state, apply_transaction(state, block_context(height), draft.sign())


def total(state, *addresses) -> int:
    return sum(get_account(state, address).balance_grains for address in addresses)


def test_a_transfer_moves_the_amount_and_takes_the_gas_used_as_fee():
    draft = Draft(ALICE, [transfer(B, 500)], price_grains=3)
    state, receipt = run(draft)
    used = compute_intrinsic_gas(draft.sign()) + 400
    assert receipt.status is Status.SUCCEEDED
    assert (receipt.gas_used, receipt.fee_grains) == (used, 3 * used)
    assert get_account(state, A)[:2] == (1, START - 500 - 3 * used)
    assert get_account(state, B)[:2] == (0, 500)
    assert [to_plain(event) for event in receipt.events] == [["iov", "Transferred", [A, B, 500]]]


def test_a_failed_call_undoes_every_call_but_keeps_fee_and_sequence():
    state, receipt = run(Draft(ALICE, [transfer(B, 10), transfer(C, START)]))
    assert (receipt.status, receipt.reason) == (Status.FAILED, Reason.INSUFFICIENT_BALANCE)
    assert receipt.events == ()
    assert get_account(state, A)[:2] == (1, START - receipt.fee_grains)
    assert get_account(state, B).balance_grains == 0


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        (Call("nowhere", "transfer", [B, 1]), Reason.UNKNOWN_MODULE),
        (Call("iov", "mint", [B, 1]), Reason.UNKNOWN_CALL),
        (Call("iov", "transfer", [B]), Reason.BAD_ARGUMENTS),
        (Call("iov", "transfer", [B, -1]), Reason.BAD_ARGUMENTS),
        (Call("iov", "transfer", [B, "1"]), Reason.BAD_ARGUMENTS),
        (Call("iov", "transfer", [B, True]), Reason.BAD_ARGUMENTS),
        (Call("iov", "transfer", [B[:19], 1]), Reason.BAD_ARGUMENTS),
        (Call("iov", "transfer", [B, 0]), Reason.AMOUNT_ZERO),
        (transfer(compute_module_address("fees"), 1), Reason.RECIPIENT_NOT_ALLOWED),
        (Call("iov", "batch_transfer", [[]]), Reason.BAD_ARGUMENTS),
        (Call("iov", "batch_transfer", [[[B, 2**63 - 1], [C, 2**63 - 1]]]), Reason.AMOUNT_OVERFLOW),
        (Call("iov", "batch_transfer", [[[B, START], [C, 1]]]), Reason.INSUFFICIENT_BALANCE),
        (Call("iov", "batch_transfer", [[[B, 1]] * 100]), Reason.OUT_OF_GAS),
    ],
)
def test_a_bad_call_fails_with_its_reason_and_moves_nothing(call, reason):
    state, receipt = run(Draft(ALICE, [call], gas_limit=5_000))
    assert (receipt.status, receipt.reason) == (Status.FAILED, reason)
    assert total(state, A) == START - receipt.fee_grains
    assert total(state, B, C) == 0


def test_running_out_of_gas_uses_all_of_it():
    _, receipt = run(Draft(ALICE, [Call("iov", "batch_transfer", [[[B, 1]] * 100])], gas_limit=5_000))
    assert (receipt.gas_used, receipt.fee_grains) == (5_000, 5_000)


def test_a_transfer_to_oneself_changes_only_the_fee():
    state, receipt = run(Draft(ALICE, [transfer(A, 700)]))
    assert receipt.status is Status.SUCCEEDED
    assert get_account(state, A).balance_grains == START - receipt.fee_grains


@pytest.mark.parametrize(
    ("draft", "balances", "reason"),
    [
        (Draft(ALICE, [transfer(B, 1)], sequence=1), {A: START}, Reason.SEQUENCE_TOO_HIGH),
        (Draft(ALICE, [transfer(B, 1)]), {A: 19_999}, Reason.INSUFFICIENT_FUNDS),
        (Draft(ALICE, [transfer(B, 1)], valid_until=0), {A: START}, Reason.EXPIRED),
        (Draft(ALICE, [transfer(B, 1)], sequence=bytes(8), valid_until=602), {A: START}, Reason.VALID_UNTIL_TOO_FAR),
        (Draft(ALICE, [transfer(B, 1)], price_grains=0), {A: START}, Reason.FEE_TOO_LOW),
        (Draft(BOB, [transfer(B, 1)], sender=A), {A: START}, Reason.SENDER_NOT_ALLOWED),
        (Draft(ALICE, [transfer(B, 1)], more_keys=[BOB]), {A: START}, Reason.SENDER_NOT_ALLOWED),
    ],
)
def test_what_is_not_includable_is_skipped_without_fee_or_effect(draft, balances, reason):
    state = make_state(balances)
    before = dict(state.changes)
    receipt = apply_transaction(state, block_context(), draft.sign())
    assert (receipt.status, receipt.reason, receipt.fee_grains) == (Status.SKIPPED, reason, 0)
    assert state.changes == before


def test_a_replay_is_skipped_with_the_sequence_that_is_wanted():
    state, _ = run(Draft(ALICE, [transfer(B, 1)]))
    with pytest.raises(Rejected) as refusal:
        check_admission(state, Draft(ALICE, [transfer(B, 1)]).sign(), 2, 0, PARAMETERS)
    assert (refusal.value.reason, refusal.value.details) == (Reason.SEQUENCE_TOO_LOW, {"expected": 1})


def test_a_fee_payer_pays_and_the_sender_needs_nothing():
    draft = Draft(CAROL, [transfer(B, 5)], fee_payer_key=ALICE)
    state, receipt = run(draft, {A: START, C: 5})
    assert receipt.status is Status.SUCCEEDED
    assert get_account(state, A)[:2] == (0, START - receipt.fee_grains)
    assert get_account(state, C)[:2] == (1, 0)
    assert get_account(state, B).balance_grains == 5


def test_an_unordered_transaction_counts_once_and_is_forgotten_when_it_expires():
    draft = Draft(ALICE, [transfer(B, 5)], sequence=b"saltsalt", valid_until=3)
    transaction = draft.sign()
    state = make_state({A: START})
    first = apply_block(state, block_context(1), [transaction, transaction]).receipts
    assert [receipt.status for receipt in first] == [Status.SUCCEEDED, Status.SKIPPED]
    assert first[1].reason == Reason.DUPLICATE
    assert len(list(state.iterate_prefix(unordered_prefix(3)))) == 1
    assert apply_block(state, block_context(2), [transaction]).receipts[0].reason == Reason.DUPLICATE
    apply_block(state, block_context(3), [])
    assert list(state.iterate_prefix(unordered_prefix(3))) == []
    assert apply_block(state, block_context(4), [transaction]).receipts[0].reason == Reason.EXPIRED
    assert get_account(state, A).sequence == 0
    assert get_account(state, B).balance_grains == 5


def test_a_policy_takes_over_the_account_and_the_old_key_is_locked_out():
    policy = build_policy([(BOB.public_key, 1), (CAROL.public_key, 1)], threshold=2)
    state, receipt = run(Draft(ALICE, [Call("accounts", "set_policy", [to_plain(policy)])]))
    assert receipt.status is Status.SUCCEEDED
    assert get_policy(state, A) == policy
    skipped = apply_transaction(state, block_context(), Draft(ALICE, [transfer(B, 1)], sequence=1).sign())
    assert skipped.reason == Reason.SENDER_NOT_ALLOWED
    one_of_two = Draft(BOB, [transfer(B, 1)], sequence=1, sender=A)
    assert apply_transaction(state, block_context(), one_of_two.sign()).reason == Reason.SENDER_NOT_ALLOWED
    both = Draft(BOB, [transfer(B, 1)], sequence=1, sender=A, more_keys=[CAROL])
    assert apply_transaction(state, block_context(), both.sign()).status is Status.SUCCEEDED


def test_a_multi_signature_address_signs_once_its_policy_is_registered():
    policy = build_policy([(make_key(kind.name, kind).public_key, 1) for kind in KeyType], threshold=3)
    address = compute_policy_address(policy_to_bytes(policy))
    keys = [make_key(kind.name, kind) for kind in KeyType]
    spend = Draft(keys[0], [transfer(B, 9)], sender=address, more_keys=keys[1:]).sign()
    state = make_state({A: START, address: START})
    assert apply_transaction(state, block_context(), spend).reason == Reason.SENDER_NOT_ALLOWED
    register = Call("accounts", "register_policy", [to_plain(policy)])
    assert apply_transaction(state, block_context(), Draft(ALICE, [register]).sign()).status is Status.SUCCEEDED
    again = apply_transaction(state, block_context(), Draft(ALICE, [register], sequence=1).sign())
    assert again.reason == Reason.BAD_POLICY
    assert apply_transaction(state, block_context(), spend).status is Status.SUCCEEDED
    assert get_account(state, B).balance_grains == 9


def test_a_bad_policy_is_refused():
    policy = build_policy([(BOB.public_key, 1)], threshold=1)
    plain = to_plain(policy)
    plain[1] = 2
    _, receipt = run(Draft(ALICE, [Call("accounts", "set_policy", [plain])]))
    assert (receipt.status, receipt.reason) == (Status.FAILED, Reason.BAD_POLICY)


def test_stateless_checks_name_the_chain_and_the_gas():
    with pytest.raises(Rejected) as refusal:
        check_stateless(Draft(ALICE, [transfer(B, 1)], chain_id="other").sign(), "test-chain", PARAMETERS)
    assert refusal.value.reason is Reason.WRONG_CHAIN
    with pytest.raises(Rejected) as refusal:
        check_stateless(Draft(ALICE, [transfer(B, 1)], gas_limit=10).sign(), "test-chain", PARAMETERS)
    assert refusal.value.reason is Reason.GAS_LIMIT_TOO_LOW
    with pytest.raises(Rejected) as refusal:
        check_stateless(Draft(ALICE, [transfer(B, 1)], gas_limit=10**9).sign(), "test-chain", PARAMETERS)
    assert refusal.value.reason is Reason.GAS_LIMIT_TOO_HIGH


def test_receipts_have_one_byte_form():
    _, receipt = run(Draft(ALICE, [transfer(B, 500)]))
    assert decode(Receipt, encode(receipt)) == receipt


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([ALICE, BOB, CAROL]),
            st.sampled_from([A, B, C]),
            st.integers(0, 2 * START),
            st.integers(0, 3),
            st.sampled_from([None, ALICE, BOB]),
            st.integers(1_000, 5_000),
        ),
        max_size=12,
    )
)
def test_no_grain_is_made_or_lost(moves):
    state = make_state({A: START, B: START, C: START})
    transactions = [
        Draft(
            key,
            [transfer(recipient, amount)],
            sequence=sequence,
            gas_limit=gas_limit,
            fee_payer_key=None if payer is key else payer,
        ).sign()
        for key, recipient, amount, sequence, payer, gas_limit in moves
    ]
    result = apply_block(state, block_context(), transactions)
    assert total(state, A, B, C, FEES_ADDRESS) == 3 * START
    assert get_account(state, FEES_ADDRESS).balance_grains == sum(receipt.fee_grains for receipt in result.receipts)
