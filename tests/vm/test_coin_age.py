"""Coin age: holdings times how long they are held, whatever moves in between."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.primitives import SUPPLY_GRAINS
from ledger.reasons import Reason, Rejected
from tests.builders import Draft, address_of, block_context, make_key, make_state, transfer
from vm.context import Moment
from vm.native.accounts import (
    DAY_MS,
    EMPTY_ACCOUNT,
    Account,
    add_to_balance,
    change_stake,
    compute_coin_age_grain_days,
    compute_coin_age_grain_ms,
    describe_account,
    get_account,
    put_account,
)
from vm.transition import apply_transaction

ALICE = make_key("alice")
A, B = address_of(ALICE), address_of(make_key("bob"))


def test_nothing_ages_without_coins_and_a_coin_a_day_is_a_grain_day():
    assert compute_coin_age_grain_ms(EMPTY_ACCOUNT, 10 * DAY_MS) == 0
    funded = EMPTY_ACCOUNT._replace(balance_grains=7, since_ms=1_000)
    assert compute_coin_age_grain_days(funded, 1_000 + 3 * DAY_MS) == 21
    assert compute_coin_age_grain_days(funded, 1_000 + 3 * DAY_MS - 1) == 20


def test_stake_counts_like_balance():
    account = change_stake(EMPTY_ACCOUNT._replace(balance_grains=10), 90, 0)
    assert compute_coin_age_grain_ms(account, 5) == 500


def test_the_supply_of_a_century_fits():
    state = make_state({A: SUPPLY_GRAINS})
    add_to_balance(state, A, 0, 36_500 * DAY_MS)
    account = get_account(state, A)
    assert compute_coin_age_grain_days(account, 36_500 * DAY_MS) == 36_500 * SUPPLY_GRAINS
    assert account.age_grain_ms[0] != 0


@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, SUPPLY_GRAINS), st.integers(0, SUPPLY_GRAINS))))
def test_coin_age_is_the_integral_of_holdings(steps):
    state = make_state({})
    account, now_ms, expected = EMPTY_ACCOUNT, 0, 0
    for pause_ms, balance_grains, staked_grains in steps:
        expected += pause_ms * (account.balance_grains + account.staked_grains)
        now_ms += pause_ms
        add_to_balance(state, A, balance_grains - account.balance_grains, now_ms)
        account = change_stake(get_account(state, A), staked_grains, now_ms)
        put_account(state, A, account)
        assert compute_coin_age_grain_ms(account, now_ms) == expected
    assert compute_coin_age_grain_ms(account, now_ms + 9) == expected + 9 * (
        account.balance_grains + account.staked_grains
    )


accounts = st.builds(
    Account,
    st.integers(0, 2**53),
    st.integers(0, SUPPLY_GRAINS),
    st.integers(0, SUPPLY_GRAINS),
    st.one_of(st.just(b""), st.integers(1, 2**120).map(lambda age: age.to_bytes((age.bit_length() + 7) // 8, "big"))),
    st.integers(0, 10**6),
    st.integers(0, 1),
)


@given(st.none() | accounts, st.integers(-SUPPLY_GRAINS, SUPPLY_GRAINS), st.integers(0, 10**6), st.integers(0, 1))
def test_adding_to_a_balance_changes_that_alone_and_settles_the_age(account, change_grains, passed_ms, sequences_used):
    state = make_state({})
    if account is not None:
        put_account(state, A, account)
    before, written = get_account(state, A), state.changes.copy()
    now_ms = before.since_ms + passed_ms
    left_grains = before.balance_grains + change_grains
    if left_grains < 0:
        with pytest.raises(Rejected) as refusal:
            add_to_balance(state, A, change_grains, now_ms, sequences_used=sequences_used)
        assert refusal.value.reason == Reason.INSUFFICIENT_BALANCE
        assert refusal.value.details == {"held": before.balance_grains, "needed": -change_grains}
        assert state.changes == written
        return
    add_to_balance(state, A, change_grains, now_ms, sequences_used=sequences_used)
    age = compute_coin_age_grain_ms(before, now_ms)
    assert get_account(state, A) == before._replace(
        sequence=before.sequence + sequences_used,
        balance_grains=left_grains,
        age_grain_ms=age.to_bytes((age.bit_length() + 7) // 8, "big"),
        since_ms=now_ms,
    )


def test_a_transfer_settles_both_sides_at_the_block_time():
    state = make_state({A: 10**6, B: 10})
    receipt = apply_transaction(state, block_context(time_ms=1_000), Draft(ALICE, [transfer(B, 500)]).sign())
    left = 10**6 - 500 - receipt.fee_grains
    assert compute_coin_age_grain_ms(get_account(state, A), 1_000) == 1_000 * 10**6
    assert compute_coin_age_grain_ms(get_account(state, A), 3_000) == 1_000 * 10**6 + 2_000 * left
    assert compute_coin_age_grain_ms(get_account(state, B), 3_000) == 1_000 * 10 + 2_000 * 510


def test_the_view_tells_it_for_its_own_moment():
    state = make_state({A: 5})
    described = describe_account(state, Moment(9, 4 * DAY_MS), A)
    assert (described.balance_grains, described.staked_grains, described.coin_age_grain_days) == (5, 0, 20)
