"""The calls of the module `staking`, and what stake is worth when pools gain and lose."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity.address import compute_module_address
from ledger.codec import encode, to_plain
from ledger.primitives import INTEGER_MAX, Height, TimeMs
from ledger.reasons import Reason, Rejected
from tests.builders import address_of, make_key
from tests.stake_scene import (
    BOND_GRAINS,
    HOLDER_GRAINS,
    HOLDERS,
    IOV,
    OPERATORS,
    STAKING_PARAMETERS,
    StakeScene,
    check_books,
    jail,
)
from vm.context import Moment
from vm.native import stake
from vm.native.accounts import get_account
from vm.native.iov import TREASURY_PERCENT, deposit_treasury
from vm.native.registry import answer_view
from vm.native.stake import find_candidate, get_delegation, slash_stake
from vm.native.staking import Retire, UnbondingDescription

ALICE, BOB, CAROL = HOLDERS
FIRST, SECOND, NEWCOMER = OPERATORS[0], OPERATORS[1], OPERATORS[5]
MOMENT = Moment(Height(1), TimeMs(1_000))


def refuse(scene: StakeScene, reason: Reason, sender, name: str, **arguments) -> dict:
    before = dict(scene.state.changes)
    with pytest.raises(Rejected) as refusal:
        scene.call(sender, name, **arguments)
    assert refusal.value.reason is reason
    assert scene.state.changes == before
    return refusal.value.details


def list_unbonding_values(scene: StakeScene, holder) -> list[int]:
    return [each.value_grains for each in answer_view(scene.state, MOMENT, "staking", "unbondings", [holder])]


def value_of(scene: StakeScene, delegator, operator) -> int:
    candidate = find_candidate(scene.state, operator)
    return 0 if candidate is None else stake.compute_delegation_value(scene.state, delegator, candidate)


def test_an_admitted_operator_stands_with_its_bond():
    scene = StakeScene()
    events = scene.call(NEWCOMER, "stand", commission_bps=500, bond_grains=BOND_GRAINS)
    assert [to_plain(event) for event in events] == [
        ["staking", "Stood", [NEWCOMER, 500]],
        ["staking", "Delegated", [NEWCOMER, NEWCOMER, BOND_GRAINS]],
    ]
    assert to_plain(answer_view(scene.state, MOMENT, "staking", "candidate", [NEWCOMER])) == [
        NEWCOMER,
        BOND_GRAINS,
        BOND_GRAINS,
        500,
        500,
        True,
        0,
    ]
    account = get_account(scene.state, NEWCOMER)
    assert (account.balance_grains, account.staked_grains) == (HOLDER_GRAINS - BOND_GRAINS, BOND_GRAINS)
    check_books(scene.state)


def test_who_may_not_stand_is_told_why():
    scene = StakeScene()
    terms = {"commission_bps": 0, "bond_grains": BOND_GRAINS}
    refuse(scene, Reason.NOT_AN_OPERATOR, ALICE, "stand", **terms)
    refuse(scene, Reason.ALREADY_STANDING, FIRST, "stand", **terms)
    details = refuse(scene, Reason.STAKE_TOO_SMALL, NEWCOMER, "stand", commission_bps=0, bond_grains=10 * IOV - 1)
    assert details == {"minimum": 10 * IOV, "held": 10 * IOV - 1}
    refuse(scene, Reason.INSUFFICIENT_BALANCE, NEWCOMER, "stand", commission_bps=0, bond_grains=HOLDER_GRAINS + 1)


def test_the_number_of_candidates_is_bounded(monkeypatch):
    monkeypatch.setattr("vm.native.staking.CANDIDATES_MAX", 5)
    scene = StakeScene()
    scene.stand(4)
    refuse(scene, Reason.TOO_MANY_CANDIDATES, NEWCOMER, "stand", commission_bps=0, bond_grains=BOND_GRAINS)


def test_who_retires_keeps_its_bond_and_may_stand_again_with_it():
    scene = StakeScene()
    assert [to_plain(event) for event in scene.call(FIRST, "retire")] == [["staking", "Retired", [FIRST]]]
    refuse(scene, Reason.NOT_STANDING, FIRST, "retire")
    refuse(scene, Reason.NOT_STANDING, FIRST, "bond", amount_grains=IOV)
    refuse(scene, Reason.NOT_STANDING, ALICE, "delegate", operator=FIRST, amount_grains=IOV)
    scene.call(FIRST, "stand", commission_bps=7, bond_grains=0)
    candidate = find_candidate(scene.state, FIRST)
    assert (candidate.is_standing, candidate.commission_bps, candidate.next_commission_bps) == (True, 1_000, 7)
    assert candidate.pool_grains == BOND_GRAINS


def test_a_retired_candidate_without_stake_is_forgotten_at_the_epochs_end():
    scene = StakeScene()
    scene.stand(5)
    scene.call(NEWCOMER, "retire")
    scene.call(NEWCOMER, "unbond", amount_grains=BOND_GRAINS)
    assert find_candidate(scene.state, NEWCOMER).pool_shares == 0
    scene.end_epoch()
    assert find_candidate(scene.state, NEWCOMER) is None
    check_books(scene.state)


def test_stake_moves_from_the_balance_and_back_after_whole_epochs():
    scene = StakeScene()
    scene.call(ALICE, "delegate", operator=FIRST, amount_grains=50 * IOV)
    (event,) = scene.call(ALICE, "undelegate", operator=FIRST, amount_grains=20 * IOV)
    assert to_plain(event) == ["staking", "Undelegated", [ALICE, FIRST, 20 * IOV, 3]]
    assert answer_view(scene.state, MOMENT, "staking", "unbondings", [ALICE]) == (
        UnbondingDescription(FIRST, 3, 20 * IOV),
    )
    assert get_account(scene.state, ALICE).staked_grains == 50 * IOV, "on its way out it still counts as stake"
    for _ in range(2):
        assert all(event.name != "Released" for event in scene.end_epoch())
        check_books(scene.state)
    events = scene.end_epoch()
    assert to_plain(events[-1]) == ["staking", "Released", [ALICE, FIRST, 20 * IOV]]
    account = get_account(scene.state, ALICE)
    assert (account.balance_grains, account.staked_grains) == (HOLDER_GRAINS - 30 * IOV, 30 * IOV)
    check_books(scene.state)


def test_amounts_have_a_minimum_and_a_maximum():
    scene = StakeScene()
    scene.call(ALICE, "delegate", operator=FIRST, amount_grains=5 * IOV)
    for amount in (0, IOV - 1):
        refuse(scene, Reason.STAKE_TOO_SMALL, BOB, "delegate", operator=FIRST, amount_grains=amount)
        refuse(scene, Reason.STAKE_TOO_SMALL, FIRST, "bond", amount_grains=amount)
        refuse(scene, Reason.STAKE_TOO_SMALL, ALICE, "undelegate", operator=FIRST, amount_grains=amount)
        refuse(scene, Reason.STAKE_TOO_SMALL, ALICE, "redelegate", source=FIRST, target=SECOND, amount_grains=amount)
    details = refuse(scene, Reason.STAKE_TOO_SMALL, ALICE, "undelegate", operator=FIRST, amount_grains=4 * IOV + 1)
    assert details == {"minimum": IOV, "held": 5 * IOV}
    details = refuse(scene, Reason.STAKE_INSUFFICIENT, ALICE, "undelegate", operator=FIRST, amount_grains=5 * IOV + 1)
    assert details == {"held": 5 * IOV, "needed": 5 * IOV + 1}
    refuse(scene, Reason.STAKE_INSUFFICIENT, BOB, "undelegate", operator=FIRST, amount_grains=IOV)
    refuse(scene, Reason.INSUFFICIENT_BALANCE, BOB, "delegate", operator=FIRST, amount_grains=HOLDER_GRAINS + 1)
    refuse(scene, Reason.NO_SUCH_CANDIDATE, BOB, "delegate", operator=NEWCOMER, amount_grains=IOV)
    refuse(scene, Reason.NO_SUCH_CANDIDATE, ALICE, "bond", amount_grains=IOV)
    scene.call(ALICE, "undelegate", operator=FIRST, amount_grains=5 * IOV)
    assert get_delegation(scene.state, ALICE, FIRST).shares == 0


def test_delegations_and_unbondings_of_a_holder_are_bounded(monkeypatch):
    monkeypatch.setattr("vm.native.stake.DELEGATIONS_MAX", 2)
    monkeypatch.setattr("vm.native.stake.UNBONDINGS_MAX", 1)
    scene = StakeScene()
    for operator in OPERATORS[:2]:
        scene.call(ALICE, "delegate", operator=operator, amount_grains=9 * IOV)
    refuse(scene, Reason.TOO_MANY_DELEGATIONS, ALICE, "delegate", operator=OPERATORS[2], amount_grains=IOV)
    scene.call(ALICE, "undelegate", operator=FIRST, amount_grains=IOV)
    scene.call(ALICE, "undelegate", operator=FIRST, amount_grains=IOV)
    refuse(scene, Reason.TOO_MANY_UNBONDINGS, ALICE, "undelegate", operator=SECOND, amount_grains=IOV)
    check_books(scene.state)


def test_stake_moves_to_another_candidate_at_once_but_does_not_run():
    scene = StakeScene()
    third = OPERATORS[2]
    scene.call(ALICE, "delegate", operator=FIRST, amount_grains=50 * IOV)
    move = {"source": FIRST, "target": SECOND, "amount_grains": 20 * IOV}
    (event,) = scene.call(ALICE, "redelegate", **move)
    assert to_plain(event) == ["staking", "Redelegated", [ALICE, FIRST, SECOND, 20 * IOV]]
    assert [value_of(scene, ALICE, operator) for operator in (FIRST, SECOND)] == [30 * IOV, 20 * IOV]
    onward = {"source": SECOND, "target": third, "amount_grains": 20 * IOV}
    assert refuse(scene, Reason.REDELEGATION_TOO_SOON, ALICE, "redelegate", **onward) == {"epoch": 3}
    refuse(scene, Reason.REDELEGATION_TOO_SOON, ALICE, "redelegate", **move)
    for _ in range(3):
        scene.end_epoch()
    scene.call(ALICE, "redelegate", **onward)
    refuse(scene, Reason.SAME_CANDIDATE, ALICE, "redelegate", source=FIRST, target=FIRST, amount_grains=IOV)
    refuse(scene, Reason.OWN_BOND, FIRST, "redelegate", source=FIRST, target=third, amount_grains=IOV)
    jail(scene, 0, 9)
    refuse(scene, Reason.CANDIDATE_JAILED, ALICE, "redelegate", source=FIRST, target=SECOND, amount_grains=IOV)
    refuse(scene, Reason.CANDIDATE_JAILED, BOB, "redelegate", source=third, target=FIRST, amount_grains=IOV)
    check_books(scene.state)


def test_a_commission_begins_with_the_next_epoch():
    scene = StakeScene()
    (event,) = scene.call(FIRST, "set_commission", commission_bps=9_000)
    assert to_plain(event) == ["staking", "CommissionSet", [FIRST, 9_000]]
    assert find_candidate(scene.state, FIRST).commission_bps == 1_000
    scene.end_epoch()
    assert find_candidate(scene.state, FIRST).commission_bps == 9_000


def test_a_jailed_candidate_comes_back_by_its_own_call_when_its_time_is_over():
    scene = StakeScene()
    refuse(scene, Reason.NOT_JAILED, FIRST, "unjail")
    jail(scene, 0, 2)
    refuse(scene, Reason.CANDIDATE_JAILED, ALICE, "delegate", operator=FIRST, amount_grains=IOV)
    scene.call(FIRST, "bond", amount_grains=IOV)
    scene.end_epoch()
    assert refuse(scene, Reason.JAIL_NOT_OVER, FIRST, "unjail") == {"epoch": 2}
    scene.end_epoch()
    assert [to_plain(event) for event in scene.call(FIRST, "unjail")] == [["staking", "Unjailed", [FIRST]]]
    scene.call(ALICE, "delegate", operator=FIRST, amount_grains=IOV)


def test_a_slash_takes_the_same_part_from_all_and_from_what_left_since():
    scene = StakeScene()
    scene.call(ALICE, "delegate", operator=FIRST, amount_grains=100 * IOV)
    scene.call(BOB, "delegate", operator=FIRST, amount_grains=100 * IOV)
    scene.call(BOB, "undelegate", operator=FIRST, amount_grains=100 * IOV)
    scene.end_epoch()
    scene.call(ALICE, "undelegate", operator=FIRST, amount_grains=50 * IOV)
    taken = slash_stake(scene.state, FIRST, 1_000, 1, 9_000)
    assert taken == 20 * IOV, "a tenth of 150 in the pool and of the 50 that left in epoch 1; not of Bob's 100"
    assert value_of(scene, ALICE, FIRST) == 45 * IOV
    assert [each.value_grains for each in answer_view(scene.state, MOMENT, "staking", "unbondings", [ALICE])] == [
        45 * IOV
    ]
    assert [each.value_grains for each in answer_view(scene.state, MOMENT, "staking", "unbondings", [BOB])] == [
        100 * IOV
    ]
    treasury = [get_account(scene.state, compute_module_address(f"treasury_{name}")) for name in TREASURY_PERCENT]
    assert sum(account.balance_grains for account in treasury) == taken
    assert get_account(scene.state, ALICE).staked_grains == 100 * IOV, "until she touches it"
    scene.call(ALICE, "undelegate", operator=FIRST, amount_grains=45 * IOV)
    assert get_account(scene.state, ALICE).staked_grains == 95 * IOV
    check_books(scene.state)


def test_worthless_shares_are_given_up_and_a_depleted_pool_takes_nothing_more():
    scene = StakeScene()
    scene.call(ALICE, "delegate", operator=FIRST, amount_grains=5 * IOV)
    slash_stake(scene.state, FIRST, 10_000, 0, 9_000)
    refuse(scene, Reason.POOL_DEPLETED, BOB, "delegate", operator=FIRST, amount_grains=IOV)
    scene.call(ALICE, "undelegate", operator=FIRST, amount_grains=0)
    assert answer_view(scene.state, MOMENT, "staking", "unbondings", [ALICE]) == ()
    assert answer_view(scene.state, MOMENT, "staking", "delegations", [ALICE]) == ()
    scene.call(FIRST, "unbond", amount_grains=0)
    scene.call(FIRST, "bond", amount_grains=IOV)
    assert find_candidate(scene.state, FIRST).pool_shares == IOV, "counted anew"
    check_books(scene.state)


def test_shares_never_outgrow_their_records():
    scene = StakeScene()
    with pytest.raises(Rejected) as refusal:
        for _ in range(200):
            slash_stake(scene.state, FIRST, 5_000, 0, 9_000)
            scene.call(ALICE, "delegate", operator=FIRST, amount_grains=IOV)
    assert refusal.value.reason is Reason.POOL_DEPLETED
    assert 0 < find_candidate(scene.state, FIRST).pool_shares <= INTEGER_MAX
    check_books(scene.state)


def test_what_is_due_is_released_in_order_and_so_many_a_block(monkeypatch):
    monkeypatch.setattr("vm.native.stake.RELEASES_PER_BLOCK_MAX", 3)
    scene = StakeScene()
    for operator in OPERATORS[:3]:
        for holder in HOLDERS:
            scene.call(holder, "delegate", operator=operator, amount_grains=2 * IOV)
            scene.call(holder, "undelegate", operator=operator, amount_grains=IOV)
    expected = [[holder, operator, IOV] for operator in OPERATORS[:3] for holder in sorted(HOLDERS)]
    for _ in range(2):
        scene.end_epoch()
    blocks = [[event for event in scene.end_epoch() if event.name == "Released"]]
    while blocks[-1]:
        blocks.append([event for event in scene.end_block() if event.name == "Released"])
        check_books(scene.state)
    assert [len(block) for block in blocks] == [3, 3, 3, 0]
    assert [event.fields for block in blocks for event in block] == expected


def test_who_leaves_last_takes_what_the_divisions_left():
    scene = StakeScene()
    scene.call(ALICE, "delegate", operator=FIRST, amount_grains=IOV + 1)
    scene.call(ALICE, "undelegate", operator=FIRST, amount_grains=IOV + 1)
    scene.call(BOB, "delegate", operator=FIRST, amount_grains=IOV + 2)
    scene.call(BOB, "undelegate", operator=FIRST, amount_grains=IOV + 2)
    taken = slash_stake(scene.state, FIRST, 333, 0, 1_000)
    for _ in range(3):
        events = scene.end_epoch()
    amounts = [event.fields[2] for event in events if event.name == "Released"]
    pool_taken = (BOND_GRAINS * 333) // 10_000
    assert sum(amounts) == 2 * IOV + 3 - (taken - pool_taken)
    check_books(scene.state)


@given(st.integers(0, 10**18))
def test_the_treasurys_budgets_get_all_of_it(amount):
    scene = StakeScene()
    deposit_treasury(scene.state, amount, 0)
    parts = {
        name: get_account(scene.state, compute_module_address(f"treasury_{name}")).balance_grains
        for name in TREASURY_PERCENT
    }
    assert sum(parts.values()) == amount
    assert all(parts[name] == amount * percent // 100 for name, percent in list(TREASURY_PERCENT.items())[1:]), (
        "the remainder is the first one's"
    )


def test_views_tell_epoch_delegations_and_absences():
    scene = StakeScene()
    scene.state.put(b"\x01", encode(STAKING_PARAMETERS))
    scene.call(ALICE, "delegate", operator=FIRST, amount_grains=IOV)
    assert to_plain(answer_view(scene.state, MOMENT, "staking", "epoch", [])) == [0, 1, 5]
    assert to_plain(answer_view(scene.state, MOMENT, "staking", "delegations", [ALICE])) == [[FIRST, IOV, IOV, 0]]
    assert answer_view(scene.state, MOMENT, "staking", "absences", []) == ()
    assert answer_view(scene.state, MOMENT, "staking", "candidate", [address_of(make_key("nobody"))]) is None
    assert [each.operator for each in answer_view(scene.state, MOMENT, "staking", "candidates", [])] == list(
        OPERATORS[:4]
    )


def test_a_call_without_arguments_has_a_byte_form():
    assert encode(Retire()) == b"\x90"


def test_a_longer_unbonding_applies_to_what_leaves_from_then_on():
    scene = StakeScene()
    scene.call(ALICE, "delegate", operator=FIRST, amount_grains=9 * IOV)
    scene.call(ALICE, "undelegate", operator=FIRST, amount_grains=IOV)
    scene.parameters = replace(scene.parameters, unbonding_epochs=4)
    scene.call(ALICE, "undelegate", operator=FIRST, amount_grains=IOV)
    unbondings = answer_view(scene.state, MOMENT, "staking", "unbondings", [ALICE])
    assert [each.release_epoch for each in unbondings] == [3, 5]
