"""Lock-ups: rules L1 to L6."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity.address import compute_module_address
from ledger.primitives import SUPPLY_GRAINS, Grains
from ledger.reasons import Reason, Rejected
from ledger.receipt import Status
from ledger.state_keys import LOCKUPS_WAITING_KEY
from tests.builders import Draft, address_of, block_context, make_key, make_state, transfer
from tests.lockup_scene import TEAM, TEAM_GRAINS, LockupScene, check_flags, linear, steps
from tests.stake_scene import HOLDER_GRAINS, HOLDERS, IOV, OPERATORS, check_books
from vm.native.accounts import get_account
from vm.native.iov import TREASURY_ADDRESSES
from vm.native.lockup_records import (
    ACCOUNT_STEPS_MAX,
    LOCKUPS_MAX,
    STEPS_MAX,
    Clock,
    Lockup,
    Lockups,
    build_cliff,
    check_schedule,
    compute_unlocked,
    get_lockups,
)
from vm.native.lockups import LockupDescription, check_grant, check_lockable, check_revocation
from vm.native.stake import get_holdings
from vm.transition import apply_transaction, check_admission

ALICE, BOB, CAROL = HOLDERS
FAR = 10**9
FREE = HOLDER_GRAINS


def refuse(reason: Reason, call, *arguments, **named):
    with pytest.raises(Rejected) as caught:
        call(*arguments, **named)
    assert caught.value.reason is reason
    return caught.value.details


@pytest.fixture
def scene():
    return LockupScene()


def lock(amount, schedule):
    """A lock-up by itself."""
    return Lockup(1, Grains(amount), schedule, TEAM, False, 0, False)


# L2


@pytest.mark.parametrize(
    ("now_ms", "unlocked"),
    [(0, 0), (1_000, 0), (1_999, 0), (2_000, 33), (2_500, 50), (3_999, 99), (4_000, 100), (FAR, 100)],
)
def test_an_even_schedule_unlocks_nothing_before_its_cliff_and_rounds_down(now_ms, unlocked):
    assert compute_unlocked(lock(100, linear(1_000, 2_000, 4_000)), now_ms) == unlocked


@pytest.mark.parametrize(("now_ms", "unlocked"), [(9, 0), (10, 33), (19, 33), (20, 99), (30, 100)])
def test_steps_unlock_shares_rounded_down_from_their_time_on(now_ms, unlocked):
    schedule = steps((10, 3_333), (20, 9_999), (30, 10_000))
    assert compute_unlocked(lock(100, schedule), now_ms) == unlocked


def test_steps_may_say_grains():
    schedule = steps((10, 7), (20, 11), is_in_grains=True)
    check_schedule(schedule, 11)
    assert [compute_unlocked(lock(11, schedule), now_ms) for now_ms in (9, 10, 20)] == [0, 7, 11]


def test_a_step_by_height_counts_after_its_block(scene):
    scene.grant(ALICE, 10 * IOV, steps((3, 4_000), (5, 10_000), clock=Clock.HEIGHT))
    seen = []
    for _ in range(5):
        seen.append((scene.height, scene.movable(ALICE) - FREE))
        scene.end_block()
    assert seen == [(1, 0), (2, 0), (3, 0), (4, 4 * IOV), (5, 4 * IOV)]
    assert scene.movable(ALICE) == FREE + 10 * IOV
    check_flags(scene.state, HOLDERS)


def test_steps_of_many_accounts_are_reached_some_in_each_block_in_the_order_of_heights_and_accounts(scene, monkeypatch):
    monkeypatch.setattr("vm.native.lockups.HEIGHTS_PER_BLOCK_MAX", 2)
    first, second, third = sorted(HOLDERS)
    for holder in HOLDERS:
        scene.grant(holder, 10, steps((1, 4_000), (2, 10_000), clock=Clock.HEIGHT))
    seen = []
    for _ in range(4):
        scene.end_block()
        seen.append([scene.movable(each) - FREE for each in (first, second, third)])
    # block 2 has room for the one that block 1 left, which is up to date with that, and for one of its own
    assert seen == [[4, 4, 0], [10, 4, 10], [10, 10, 10], [10, 10, 10]]
    assert scene.state.get(LOCKUPS_WAITING_KEY) is None
    check_flags(scene.state, [])


def test_a_step_that_a_block_reaches_by_itself_waits_for_those_before_it(scene, monkeypatch):
    monkeypatch.setattr("vm.native.lockups.HEIGHTS_PER_BLOCK_MAX", 1)
    first, second, third = sorted(HOLDERS)
    for holder in (second, third):
        scene.grant(holder, 10, steps((1, 10_000), clock=Clock.HEIGHT))
    scene.end_block()
    scene.grant(first, 10, steps((2, 10_000), clock=Clock.HEIGHT))
    seen = []
    for _ in range(2):
        scene.end_block()
        seen.append([scene.movable(each) - FREE for each in (first, second, third)])
    assert seen == [[0, 10, 10], [10, 10, 10]]


def test_a_step_by_height_in_the_past_is_reached_at_once_and_leaves_nothing_due(scene):
    scene.wait(4)
    scene.grant(ALICE, 10, steps((2, 5_000), (4, 10_000), clock=Clock.HEIGHT))
    assert scene.movable(ALICE) == FREE + 10
    check_flags(scene.state, [])


@pytest.mark.parametrize(
    "schedule",
    [
        steps(),
        steps((10, 9_999)),
        steps((10, 10_001)),
        steps((10, 5_000), (10, 10_000)),
        steps((10, 5_000), (20, 5_000), (30, 10_000)),
        steps((10, 99), is_in_grains=True),
        steps((10, 10_000), is_in_grains=True),
        linear(5, 5, 5),
        linear(5, 4, 9),
        linear(5, 10, 9),
        replace(linear(1, 2, 3), steps=steps((1, 10_000)).steps),
        replace(linear(1, 2, 3), clock=Clock.HEIGHT),
        replace(linear(1, 2, 3), is_in_grains=True),
    ],
)
def test_a_schedule_unlocks_exactly_everything_and_never_less_than_before(schedule):
    refuse(Reason.BAD_SCHEDULE, check_schedule, schedule, 100)


@given(st.integers(1, SUPPLY_GRAINS), st.integers(0, 50), st.integers(0, 50), st.integers(1, 50))
def test_an_even_schedule_never_falls_and_ends_with_everything(amount, start, cliff, length):
    schedule = linear(start, start + min(cliff, length), start + length)
    check_schedule(schedule, amount)
    seen = [compute_unlocked(lock(amount, schedule), now_ms) for now_ms in range(start + length + 1)]
    assert seen == sorted(seen)
    assert (seen[-1], min(seen)) == (amount, 0 if start or cliff else seen[0])


# L1, L3


def test_what_is_locked_does_not_move_and_what_is_free_does(scene):
    (event,) = scene.grant(ALICE, 100 * IOV, build_cliff(FAR))
    assert (event.module, event.name, event.fields) == ("lockups", "LockupAdded", [ALICE, 1, 100 * IOV, TEAM])
    assert scene.get_balance(TEAM) == TEAM_GRAINS - 100 * IOV
    assert refuse(Reason.FUNDS_LOCKED, scene.pay, ALICE, FREE + 1) == {"left": 100 * IOV - 1, "locked": 100 * IOV}
    scene.pay(ALICE, FREE)
    refuse(Reason.FUNDS_LOCKED, scene.pay, ALICE, 1)
    assert scene.answer("locked", ALICE) == 100 * IOV


def test_what_is_locked_is_staked_and_neither_stake_nor_its_release_unlocks_it(scene):
    scene.grant(ALICE, 100 * IOV, build_cliff(FAR))
    scene.pay(ALICE, FREE)
    scene.call(ALICE, "delegate", operator=OPERATORS[0], amount_grains=60 * IOV)
    refuse(Reason.FUNDS_LOCKED, scene.pay, ALICE, 1)
    scene.call(ALICE, "undelegate", operator=OPERATORS[0], amount_grains=60 * IOV)
    refuse(Reason.FUNDS_LOCKED, scene.pay, ALICE, 1)
    scene.wait(15)
    assert scene.get_balance(ALICE) == 100 * IOV
    refuse(Reason.FUNDS_LOCKED, scene.pay, ALICE, 1)
    check_books(scene.state)


def test_more_than_is_held_is_not_staked(scene):
    scene.grant(ALICE, IOV, build_cliff(FAR))
    details = refuse(
        Reason.INSUFFICIENT_BALANCE, scene.call, ALICE, "delegate", operator=OPERATORS[0], amount_grains=FREE + 2 * IOV
    )
    assert details == {"held": FREE + IOV, "needed": FREE + 2 * IOV}


def test_stake_stands_for_what_is_locked_so_that_free_coins_move(scene):
    scene.grant(ALICE, 100 * IOV, build_cliff(FAR))
    scene.call(ALICE, "delegate", operator=OPERATORS[0], amount_grains=100 * IOV)
    assert scene.movable(ALICE) == FREE
    scene.pay(ALICE, FREE)
    assert scene.get_balance(ALICE) == 0


def test_a_negative_amount_is_no_argument():
    state = make_state({address_of(make_key("alice")): 10**12})
    receipt = apply_transaction(state, block_context(), Draft(make_key("alice"), [transfer(BOB, -1)]).sign())
    assert (receipt.status, receipt.reason) == (Status.FAILED, Reason.BAD_ARGUMENTS)


@pytest.fixture
def locked_state():
    """Alice has a thousand grains for fees; the rest is locked."""
    scene = LockupScene()
    alice = make_key("alice")
    scene.grant(address_of(alice), 10**12, build_cliff(FAR))
    scene.apply(HOLDERS[0], "iov", "transfer", address_of(alice), 30_000)
    return scene.state


def test_fees_are_paid_from_what_is_free(locked_state):
    alice = make_key("alice")
    fits = Draft(alice, [transfer(BOB, 1)], gas_limit=30_000).sign()
    above = Draft(alice, [transfer(BOB, 1)], gas_limit=30_001).sign()
    with pytest.raises(Rejected) as caught:
        check_admission(locked_state, above, 1, 1_000, block_context().parameters)
    assert (caught.value.reason, caught.value.details) == (
        Reason.INSUFFICIENT_FUNDS,
        {"held": 30_000, "needed": 30_001},
    )
    assert apply_transaction(locked_state, block_context(), above).status is Status.SKIPPED
    receipt = apply_transaction(locked_state, block_context(), fits)
    # the whole fee is held back while the calls run, so not even one grain is left to move
    assert (receipt.status, receipt.reason) == (Status.FAILED, Reason.FUNDS_LOCKED)
    account = get_account(locked_state, address_of(alice))
    assert account.balance_grains == 10**12 + 30_000 - receipt.fee_grains


def test_a_fee_payer_pays_for_an_account_that_is_locked_altogether(locked_state):
    alice, bank = make_key("alice"), make_key("holder 1")
    draft = Draft(alice, [transfer(BOB, 30_000)], fee_payer_key=bank)
    assert apply_transaction(locked_state, block_context(), draft.sign()).status is Status.SUCCEEDED
    draft = Draft(alice, [transfer(BOB, 1)], sequence=1, fee_payer_key=bank)
    assert apply_transaction(locked_state, block_context(), draft.sign()).reason == Reason.FUNDS_LOCKED


def test_modules_take_no_locked_coins_and_nothing_is_granted_from_elsewhere(scene):
    refuse(Reason.RECIPIENT_NOT_ALLOWED, check_lockable, scene.state, compute_module_address("fees"))
    good = (ALICE, 1, build_cliff(FAR))
    refuse(Reason.UNKNOWN_ALLOCATION, check_grant, scene.state, "mining", *good)
    refuse(Reason.AMOUNT_ZERO, check_grant, scene.state, "team", ALICE, 0, build_cliff(FAR))
    check_grant(scene.state, "team", *good)
    refuse(Reason.INSUFFICIENT_BALANCE, scene.grant, ALICE, TEAM_GRAINS + 1, build_cliff(FAR))


# L4


def test_a_slash_unlocks_nothing_and_what_is_missing_has_to_come_in_first(scene):
    scene.grant(ALICE, 100 * IOV, build_cliff(FAR))
    scene.pay(ALICE, FREE)
    scene.call(ALICE, "delegate", operator=OPERATORS[0], amount_grains=100 * IOV)
    scene.slash(OPERATORS[0], 5_000)
    scene.call(ALICE, "undelegate", operator=OPERATORS[0], amount_grains=50 * IOV)
    scene.wait(15)
    assert (scene.get_balance(ALICE), scene.movable(ALICE)) == (50 * IOV, 0)
    scene.apply(BOB, "iov", "transfer", ALICE, 50 * IOV)
    refuse(Reason.FUNDS_LOCKED, scene.pay, ALICE, 1)
    scene.apply(BOB, "iov", "transfer", ALICE, 7)
    assert scene.movable(ALICE) == 7
    scene.pay(ALICE, 7)
    check_books(scene.state)


def test_a_slash_takes_locked_coins_and_leaves_free_what_is_free_while_the_delegation_is_not_touched(scene):
    scene.grant(ALICE, 100 * IOV, build_cliff(FAR))
    scene.pay(ALICE, FREE - 50 * IOV)
    scene.call(ALICE, "delegate", operator=OPERATORS[0], amount_grains=100 * IOV)
    scene.slash(OPERATORS[0], 5_000)
    assert (scene.get_balance(ALICE), scene.answer("locked", ALICE)) == (50 * IOV, 100 * IOV)
    assert scene.movable(ALICE) == 50 * IOV
    scene.pay(ALICE, 20 * IOV)
    scene.call(ALICE, "undelegate", operator=OPERATORS[0], amount_grains=50 * IOV)
    refuse(Reason.FUNDS_LOCKED, scene.pay, ALICE, 1)  # from the touch on 50 are in stake, of 100 that are locked
    scene.wait(15)
    assert (scene.get_balance(ALICE), scene.movable(ALICE)) == (80 * IOV, 0)
    check_books(scene.state)


# L5


def test_a_revocation_takes_what_has_not_unlocked_back_to_its_source(scene):
    scene.grant(ALICE, 100, linear(0, 0, 10_000))
    scene.wait(2)
    assert scene.height == 3
    events = scene.revoke(ALICE, 1)
    assert [(each.name, each.fields) for each in events] == [
        ("LockupRevoked", [ALICE, 1, 70]),
        ("LockupCollected", [ALICE, 1, 70, TEAM]),
    ]
    assert (scene.get_balance(ALICE), scene.get_balance(TEAM)) == (FREE + 30, TEAM_GRAINS - 30)
    assert scene.movable(ALICE) == FREE + 30
    assert get_lockups(scene.state, ALICE) == Lockups(2, ())
    check_flags(scene.state, HOLDERS)


def test_what_is_granted_for_good_unlocked_or_unknown_is_not_revoked(scene):
    scene.grant(ALICE, 100, build_cliff(FAR), is_revocable=False)
    scene.grant(ALICE, 100, build_cliff(2_000))
    refuse(Reason.LOCKUP_NOT_REVOCABLE, check_revocation, scene.state, ALICE, 1)
    refuse(Reason.UNKNOWN_LOCKUP, check_revocation, scene.state, ALICE, 3)
    scene.wait(1)
    refuse(Reason.LOCKUP_NOT_REVOCABLE, scene.revoke, ALICE, 2)


def test_what_lies_in_stake_is_taken_out_and_collected_when_it_comes_back(scene):
    scene.grant(ALICE, 100 * IOV, build_cliff(FAR))
    scene.pay(ALICE, FREE - 10 * IOV)
    for operator, amount in ((OPERATORS[0], 40), (OPERATORS[1], 70)):
        scene.call(ALICE, "delegate", operator=operator, amount_grains=amount * IOV)
    assert scene.get_balance(ALICE) == 0
    (event,) = scene.revoke(ALICE, 1)
    assert event.fields == [ALICE, 1, 100 * IOV]
    names = [each.operator for each in get_holdings(scene.state, ALICE).unbondings]
    assert names == [OPERATORS[0], OPERATORS[1]]
    scene.settle(ALICE)  # it is on its way already: nothing more is taken out
    assert get_account(scene.state, ALICE).staked_grains == 110 * IOV
    scene.wait(15)
    assert scene.get_balance(ALICE) == 100 * IOV
    assert scene.movable(ALICE) == 10 * IOV  # in stake there is as much as is her own
    scene.pay(ALICE, 1)
    scene.apply(BOB, "iov", "transfer", ALICE, 1)
    details = refuse(Reason.FUNDS_LOCKED, scene.call, ALICE, "delegate", operator=OPERATORS[0], amount_grains=IOV)
    assert details == {"owed": 100 * IOV}
    (event,) = scene.settle(ALICE)
    assert (event.name, event.fields) == ("LockupCollected", [ALICE, 1, 100 * IOV, TEAM])
    assert scene.get_balance(TEAM) == TEAM_GRAINS
    assert get_account(scene.state, ALICE).staked_grains == 10 * IOV
    check_books(scene.state)
    check_flags(scene.state, HOLDERS)


def test_what_a_slash_has_taken_stays_owed(scene):
    scene.grant(ALICE, 100 * IOV, build_cliff(FAR))
    scene.pay(ALICE, FREE)
    scene.call(ALICE, "delegate", operator=OPERATORS[0], amount_grains=100 * IOV)
    scene.slash(OPERATORS[0], 5_000)
    scene.revoke(ALICE, 1)
    scene.wait(15)
    scene.settle(ALICE)
    assert scene.get_balance(TEAM) == TEAM_GRAINS - 50 * IOV
    assert scene.answer("locked", ALICE) == 50 * IOV
    scene.apply(BOB, "iov", "transfer", ALICE, 60 * IOV)
    assert scene.movable(ALICE) == 10 * IOV
    scene.settle(ALICE)
    assert (scene.get_balance(TEAM), scene.get_balance(ALICE)) == (TEAM_GRAINS, 10 * IOV)
    assert sum(scene.get_balance(each) for each in TREASURY_ADDRESSES.values()) > 0


def test_as_much_is_taken_out_as_may_be_on_its_way_and_a_later_settlement_goes_on(scene, monkeypatch):
    monkeypatch.setattr("vm.native.stake.UNBONDINGS_MAX", 1)
    scene.grant(ALICE, 100 * IOV, build_cliff(FAR))
    scene.pay(ALICE, FREE)
    for operator in OPERATORS[:2]:
        scene.call(ALICE, "delegate", operator=operator, amount_grains=50 * IOV)
    scene.revoke(ALICE, 1)
    assert len(get_holdings(scene.state, ALICE).unbondings) == 1
    for _ in range(2):
        scene.wait(15)
        scene.settle(ALICE)
    assert scene.get_balance(TEAM) == TEAM_GRAINS
    check_books(scene.state)


def test_what_would_leave_too_little_in_stake_takes_all_of_it(scene):
    scene.grant(ALICE, 10 * IOV, build_cliff(FAR))
    scene.pay(ALICE, FREE - IOV // 2)
    scene.call(ALICE, "delegate", operator=OPERATORS[0], amount_grains=10 * IOV + IOV // 2)
    scene.revoke(ALICE, 1)
    assert get_holdings(scene.state, ALICE).delegations == 0
    scene.wait(15)
    scene.settle(ALICE)
    assert (scene.get_balance(TEAM), scene.get_balance(ALICE)) == (TEAM_GRAINS, IOV // 2)


# L6


def test_the_same_schedule_of_the_same_source_is_one_lockup(scene):
    for amount in (5, 7):
        scene.grant(ALICE, amount, build_cliff(FAR))
    scene.grant(ALICE, 1, build_cliff(FAR), is_revocable=False)
    found = [(each.number, each.amount_grains) for each in get_lockups(scene.state, ALICE).lockups]
    assert found == [(1, 12), (2, 1)]


def test_steps_in_grains_are_for_one_amount_and_stay_apart(scene):
    for _ in range(2):
        scene.grant(ALICE, 10, steps((2_000, 3), (FAR, 10), is_in_grains=True))
    assert [each.amount_grains for each in get_lockups(scene.state, ALICE).lockups] == [10, 10]
    scene.wait(1)
    assert scene.movable(ALICE) == FREE + 6


def test_what_was_revoked_stays_apart_from_a_new_grant(scene):
    scene.grant(ALICE, 10 * IOV, build_cliff(FAR))
    scene.pay(ALICE, FREE)
    scene.call(ALICE, "delegate", operator=OPERATORS[0], amount_grains=10 * IOV)
    scene.revoke(ALICE, 1)
    scene.grant(ALICE, 3, build_cliff(FAR))
    found = [(each.number, each.amount_grains, each.is_revoked) for each in get_lockups(scene.state, ALICE).lockups]
    assert found == [(1, 10 * IOV, True), (2, 3, False)]


def test_an_account_has_so_many_lockups_and_what_has_unlocked_makes_room(scene):
    for index in range(LOCKUPS_MAX):
        scene.grant(ALICE, 10, build_cliff(5_000 + index))
    refuse(Reason.LOCKUPS_LIMIT, scene.grant, ALICE, 10, build_cliff(FAR))
    scene.wait(4)
    scene.grant(ALICE, 10, build_cliff(FAR))
    numbers = [each.number for each in get_lockups(scene.state, ALICE).lockups]
    assert numbers == [*range(2, LOCKUPS_MAX + 2)]


def test_an_accounts_schedules_have_so_many_steps_together(scene):
    def many(first, count):
        return steps(*[(FAR + first + index, (index + 1) * 10_000 // count) for index in range(count)])

    for first in range(2):
        scene.grant(ALICE, 10, many(first, STEPS_MAX))
    left = ACCOUNT_STEPS_MAX - 2 * STEPS_MAX
    refuse(Reason.LOCKUPS_LIMIT, scene.grant, ALICE, 10, many(2, left + 1))


def test_settling_forgets_what_has_unlocked_and_never_a_number(scene):
    scene.grant(ALICE, 10, build_cliff(2_000))
    scene.wait(1)
    assert scene.settle(ALICE) == []
    assert get_lockups(scene.state, ALICE) == Lockups(2, ())
    check_flags(scene.state, HOLDERS)
    refuse(Reason.UNKNOWN_LOCKUP, scene.settle, ALICE)


# Views


def test_views_tell_what_is_locked_now_and_at_another_moment(scene):
    by_time, by_height = linear(0, 0, 10_000), steps((7, 10_000), clock=Clock.HEIGHT)
    scene.grant(ALICE, 100, by_time)
    scene.grant(ALICE, 50, by_height, is_revocable=False)
    assert scene.answer("locked", ALICE) == 140
    assert scene.answer("locked_at", ALICE, 6, 4_000) == 110
    assert scene.answer("locked_at", ALICE, 7, 4_000) == 60
    assert scene.answer("unlocked_at", ALICE, 7, 5_000) == [
        LockupDescription(1, Grains(100), Grains(50), by_time, TEAM, True, False),
        LockupDescription(2, Grains(50), Grains(50), by_height, TEAM, False, False),
    ]
    assert [each.unlocked_grains for each in scene.answer("lockups", ALICE)] == [10, 0]
    assert scene.answer("lockups", BOB) == []
