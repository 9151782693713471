"""Epochs, elections, terms and fees."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consensus.committee import quorum
from identity.address import Address
from ledger.codec import decode, to_plain
from ledger.committee import COMMITTEE_MEMBERS_MAX, Committee, Member
from ledger.evidence import Offence, OffenceKind
from ledger.primitives import ConsensusKey, Height, Round
from ledger.reasons import Reason, Rejected
from ledger.state import State
from ledger.state_keys import EARNINGS_KEY, KEY_CHANGES_KEY, OFFENCE_PREFIX, TERM_PREFIX, offence_key, operator_key
from tests.builders import make_key
from tests.stake_scene import (
    BOND_GRAINS,
    HOLDERS,
    IOV,
    KEYS,
    OPERATORS,
    STAKING_PARAMETERS,
    StakeScene,
    build_node,
    check_books,
    jail,
)
from vm.native.accounts import get_account
from vm.native.election import (
    AWAY_ROTATIONS,
    compute_quorum,
    elect,
    get_committee,
    get_next_committee,
    replace_member_key,
)
from vm.native.iov import FEES_ADDRESS
from vm.native.network import NodeRole, put_node
from vm.native.punishment import get_absences
from vm.native.stake import find_candidate, get_epoch, put_candidate, slash_stake
from vm.offences import Term, find_culprit

NEW_KEY = ConsensusKey(make_key("new consensus").public_key.key)


def list_terms(scene: StakeScene) -> dict[int, tuple[int, list[int]]]:
    """First height -> epoch and members by index."""
    terms = {}
    for key, encoded in scene.state.iterate_prefix(TERM_PREFIX):
        term = decode(Term, encoded)
        members = [OPERATORS.index(member.operator) for member in term.committee.members]
        terms[int.from_bytes(key[1:], "big")] = (term.epoch, members)
    return terms


def list_plain(events, *names: str) -> list:
    return [to_plain(event)[1:] for event in events if event.name in names]


def list_elected(scene: StakeScene) -> list[int]:
    return [OPERATORS.index(member.operator) for member in elect(scene.state, scene.parameters)]


def test_the_quorum_is_that_of_the_consensus():
    sizes = range(1, COMMITTEE_MEMBERS_MAX + 1)
    assert [compute_quorum(size) for size in sizes] == [quorum(size) for size in sizes]


def test_an_epoch_ends_with_its_last_block_and_an_unchanged_committee_stays_as_it_is():
    scene = StakeScene()
    before = get_next_committee(scene.state)
    for height in range(1, 5):
        assert scene.end_block() == [], height
    assert [to_plain(event) for event in scene.end_block()] == [["staking", "EpochEnded", [0]]]
    assert to_plain(get_epoch(scene.state)) == [1, 6, 2]
    assert get_next_committee(scene.state) == before
    assert list_terms(scene) == {1: (0, [0, 1, 2, 3]), 7: (1, [0, 1, 2, 3])}


def test_a_block_for_which_nothing_is_due_writes_nothing():
    scene = StakeScene()
    scene.end_epoch()
    committed = dict(scene.state.changes)
    scene.state = State(committed.get, lambda start, stop: iter(()))
    assert scene.end_block() == []
    assert scene.state.changes == {}


def test_an_epoch_that_was_shortened_ends_with_the_next_block():
    scene = StakeScene()
    for _ in range(3):
        scene.end_block()
    scene.parameters = replace(scene.parameters, epoch_heights=2)
    assert list_plain(scene.end_block(), "EpochEnded") == [["EpochEnded", [0]]]
    assert get_epoch(scene.state).first_height == 5


def test_the_largest_pools_are_elected_and_rule_from_the_block_after_the_next():
    scene = StakeScene()
    scene.stand(4, 300 * IOV)
    scene.stand(5, 200 * IOV)
    scene.call(HOLDERS[0], "delegate", operator=OPERATORS[3], amount_grains=IOV)
    events = scene.end_epoch()
    elected = [OPERATORS[index] for index in (0, 3, 4, 5)]
    assert list_plain(events, "CommitteeElected") == [["CommitteeElected", [7, elected]]]
    assert scene.list_operators() == [0, 1, 2, 3], "block 6"
    assert [OPERATORS.index(each.operator) for each in get_next_committee(scene.state).members] == [0, 3, 4, 5]
    assert list_terms(scene) == {1: (0, [0, 1, 2, 3]), 7: (1, [0, 3, 4, 5])}
    scene.end_block()
    assert scene.list_operators() == [0, 3, 4, 5], "block 7"


def test_of_equal_pools_the_lesser_address_comes_first():
    scene = StakeScene()
    for index in (7, 6, 5):
        scene.stand(index)
    assert list_elected(scene) == [0, 1, 2, 3, 5, 6, 7]


def remove_operator(scene: StakeScene) -> None:
    scene.state.delete(operator_key(OPERATORS[0]))


def remove_key(scene: StakeScene) -> None:
    put_node(scene.state, replace(build_node(0, OPERATORS[0]), consensus_key=None))


def make_observer(scene: StakeScene) -> None:
    put_node(scene.state, replace(build_node(0, OPERATORS[0]), role=NodeRole.OBSERVER))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda scene: scene.call(OPERATORS[0], "retire"),
        lambda scene: jail(scene, 0, 1),
        remove_operator,
        remove_key,
        make_observer,
        lambda scene: scene.call(OPERATORS[0], "unbond", amount_grains=BOND_GRAINS - 10 * IOV + 1),
    ],
    ids=["retired", "jailed", "not admitted", "without a key", "an observer", "bond too small"],
)
def test_who_is_not_eligible_is_not_elected(spoil):
    scene = StakeScene()
    scene.call(HOLDERS[0], "delegate", operator=OPERATORS[0], amount_grains=500 * IOV)
    assert list_elected(scene) == [0, 1, 2, 3]
    spoil(scene)
    assert list_elected(scene) == [1, 2, 3]


def test_the_least_bond_is_enough():
    scene = StakeScene()
    scene.call(OPERATORS[0], "unbond", amount_grains=BOND_GRAINS - 10 * IOV)
    assert list_elected(scene) == [1, 2, 3, 0]


def test_a_spare_node_does_not_take_the_seat_of_the_key_that_sits():
    scene = StakeScene()
    for index in (4, 5, 6, 7):
        put_node(scene.state, build_node(index, OPERATORS[0]))
    keys = {member.operator: member.consensus_key for member in elect(scene.state, scene.parameters)}
    assert keys[OPERATORS[0]] == KEYS[0]


def test_too_small_a_committee_is_refused():
    scene = StakeScene()
    for index in (0, 1):
        scene.call(OPERATORS[index], "retire")
    events = scene.end_epoch()
    assert list_plain(events, "CommitteeKept", "CommitteeElected") == [["CommitteeKept", [2, 2]]]
    assert [OPERATORS.index(each.operator) for each in get_next_committee(scene.state).members] == [0, 1, 2, 3]
    assert list_terms(scene)[7] == (1, [0, 1, 2, 3])


def test_a_committee_that_could_not_go_on_is_refused():
    scene = StakeScene(replace(STAKING_PARAMETERS, epoch_heights=AWAY_ROTATIONS * 4 + 2, absence_heights_max=100))
    scene.call(OPERATORS[0], "retire")
    scene.end_block(proposer=2, round_number=1)
    (absent,) = [each for each in range(4) if OPERATORS[each] in list_absent(scene)]
    assert absent == 1, "whose turn was round 0 of height 1"
    events = scene.end_epoch_without(1)
    assert list_plain(events, "CommitteeKept", "CommitteeElected") == [["CommitteeKept", [3, 2]]]


def test_who_has_missed_a_turn_a_moment_ago_is_not_away():
    scene = StakeScene(replace(STAKING_PARAMETERS, epoch_heights=AWAY_ROTATIONS * 4 + 1, absence_heights_max=100))
    scene.call(OPERATORS[0], "retire")
    scene.end_block(proposer=2, round_number=1)
    events = scene.end_epoch_without(1)
    assert [event.name for event in events if event.name.startswith("Committee")] == ["CommitteeElected"]


def list_absent(scene: StakeScene) -> list[Address]:
    return [each.operator for each in get_absences(scene.state).members]


def test_a_jailed_members_seat_is_filled_at_once_by_the_next_in_rank():
    scene = StakeScene()
    scene.stand(5, 50 * IOV)
    scene.stand(6, 60 * IOV)
    scene.end_block()
    offence = Offence(OffenceKind.PREVOTE, KEYS[1], Height(1), Round(0))
    events = scene.end_block(offences=[offence])
    elected = [OPERATORS[index] for index in (0, 2, 3, 6)]
    assert list_plain(events, "CommitteeElected") == [["CommitteeElected", [4, elected]]]
    assert get_epoch(scene.state).number == 0
    assert scene.list_operators() == [0, 1, 2, 3]
    scene.end_block()
    assert scene.list_operators() == [0, 2, 3, 6]
    assert list_terms(scene) == {1: (0, [0, 1, 2, 3]), 4: (0, [0, 2, 3, 6])}


def test_without_a_candidate_the_seat_is_lost_unless_too_few_remain():
    scene = StakeScene()
    scene.end_block()
    offences = [Offence(OffenceKind.PREVOTE, KEYS[index], Height(1), Round(0)) for index in (1, 2)]
    events = scene.end_block(offences=offences[:1])
    assert list_plain(events, "CommitteeElected")[0][1][1] == [OPERATORS[index] for index in (0, 2, 3)]
    events = scene.end_block(offences=offences[1:])
    assert list_plain(events, "CommitteeKept", "CommitteeElected") == [["CommitteeKept", [2, 2]]]
    scene.end_block()
    assert scene.list_operators() == [0, 2, 3]


def test_terms_and_punished_offences_are_forgotten_when_stake_of_their_time_is_free():
    scene = StakeScene()
    offence = Offence(OffenceKind.PREVOTE, NEW_KEY, Height(1), Round(0))
    scene.state.put(offence_key(1, offence.id), b"\x01")
    member = Offence(OffenceKind.PREVOTE, KEYS[0], Height(3), Round(0))
    for _ in range(2):
        scene.end_epoch()
    assert list(list_terms(scene)) == [1, 7, 12]
    assert find_culprit(scene.state, member).term_height == 1
    scene.end_epoch()
    assert list(list_terms(scene)) == [7, 12, 17]
    assert find_culprit(scene.state, member) is None
    assert list(scene.state.iterate_prefix(OFFENCE_PREFIX)) == []


def test_the_header_after_next_gets_the_committee_the_next_one_promised():
    """Whatever is decided with a block, the committee of the next one is the one its predecessor named."""
    scene = StakeScene()
    scene.stand(5, 500 * IOV)
    for step in range(12):
        promised = get_next_committee(scene.state)
        if step == 5:
            replace_member_key(scene.state, scene.build_block(), OPERATORS[0], NEW_KEY)
        if step in (4, 7):
            offence = Offence(OffenceKind.PREVOTE, KEYS[step % 3], Height(scene.height - 1), Round(0))
            scene.end_block(offences=[offence] if find_culprit(scene.state, offence) else [])
        else:
            scene.end_block()
        assert get_committee(scene.state) == promised
    assert scene.list_operators() != [0, 1, 2, 3]


def test_a_sitting_members_key_changes_two_blocks_later_and_once_an_epoch():
    scene = StakeScene()
    replace_member_key(scene.state, scene.build_block(), OPERATORS[7], NEW_KEY)
    assert scene.state.get(KEY_CHANGES_KEY) is None, "it has no seat"
    replace_member_key(scene.state, scene.build_block(), OPERATORS[1], NEW_KEY)
    with pytest.raises(Rejected) as refusal:
        replace_member_key(scene.state, scene.build_block(), OPERATORS[1], KEYS[1])
    assert (refusal.value.reason, refusal.value.details) == (Reason.KEY_CHANGE_TOO_SOON, {"epoch": 1})
    before = get_committee(scene.state)
    events = scene.end_block()
    assert [to_plain(event) for event in events] == [["staking", "MemberKeyReplaced", [OPERATORS[1], NEW_KEY, 3]]]
    assert get_committee(scene.state) == before
    members = list(before.members)
    members[1] = Member(OPERATORS[1], NEW_KEY)
    assert get_next_committee(scene.state) == Committee(tuple(members))
    assert scene.end_block() == []
    assert get_committee(scene.state) == Committee(tuple(members))
    assert list_terms(scene) == {1: (0, [0, 1, 2, 3]), 3: (0, [0, 1, 2, 3])}
    old = Offence(OffenceKind.PREVOTE, KEYS[1], Height(2), Round(0))
    assert find_culprit(scene.state, old).operator == OPERATORS[1]
    assert find_culprit(scene.state, replace(old, height=Height(3))) is None
    scene.end_epoch()
    replace_member_key(scene.state, scene.build_block(), OPERATORS[1], KEYS[1])


def test_fees_go_to_proposers_and_in_equal_parts_to_the_committee():
    scene = StakeScene()
    scene.end_block(proposer=0, fees_grains=1_003)
    assert scene.state.get(EARNINGS_KEY) is not None
    scene.end_block(proposer=0, fees_grains=1_000)
    scene.end_block(proposer=2, fees_grains=7)
    events = scene.end_epoch()
    # proposers: 300 + 300, and 2; the pot: 2010 - 602 = 1408, 352 each
    shares = {0: 952, 1: 352, 2: 354, 3: 352}
    expected = [
        ["FeesShared", [OPERATORS[index], shares[index] // 10, shares[index] - shares[index] // 10]]
        for index in (0, 2, 1, 3)
    ]
    assert list_plain(events, "FeesShared") == expected
    assert scene.get_balance(FEES_ADDRESS) == 0
    assert find_candidate(scene.state, OPERATORS[0]).pool_grains == BOND_GRAINS + 857
    assert scene.state.get(EARNINGS_KEY) is None
    check_books(scene.state)


def test_delegators_share_what_their_pool_earns():
    scene = StakeScene()
    alice = HOLDERS[0]
    scene.call(alice, "delegate", operator=OPERATORS[0], amount_grains=BOND_GRAINS)
    scene.end_epoch(fees_grains=40 * IOV)
    pool = find_candidate(scene.state, OPERATORS[0]).pool_grains
    earned = pool - 2 * BOND_GRAINS
    assert earned > 0
    scene.call(alice, "undelegate", operator=OPERATORS[0], amount_grains=BOND_GRAINS + earned // 2)
    account = get_account(scene.state, alice)
    assert account.staked_grains == BOND_GRAINS + earned // 2
    check_books(scene.state)


def test_who_is_jailed_or_without_stake_gets_nothing_and_the_next_epoch_shares_it():
    scene = StakeScene()
    jail(scene, 0, 9)
    scene.call(OPERATORS[1], "unbond", amount_grains=BOND_GRAINS)
    events = scene.end_epoch(fees_grains=10_000)
    assert [OPERATORS.index(event.fields[0]) for event in events if event.name == "FeesShared"] == [2, 3]
    left = scene.get_balance(FEES_ADDRESS)
    assert left >= 2 * 1_750
    events = scene.end_epoch()
    assert sum(event.fields[1] + event.fields[2] for event in events if event.name == "FeesShared") == left // 4 * 2
    check_books(scene.state)


@settings(max_examples=40, deadline=None)
@given(
    fees=st.lists(st.tuples(st.integers(0, 10**9), st.integers(0, 3)), min_size=5, max_size=5),
    proposer_fee_bps=st.integers(0, 10_000),
    commissions=st.lists(st.integers(0, 10_000), min_size=4, max_size=4),
    slash_bps=st.integers(0, 10_000),
)
def test_fees_are_shared_to_the_last_grain(fees, proposer_fee_bps, commissions, slash_bps):
    scene = StakeScene(replace(STAKING_PARAMETERS, proposer_fee_bps=proposer_fee_bps))
    for operator, commission in zip(OPERATORS, commissions, strict=False):
        put_candidate(scene.state, replace(find_candidate(scene.state, operator), commission_bps=commission))
    slash_stake(scene.state, OPERATORS[0], slash_bps, 0, 0)
    events = []
    for grains, proposer in fees:
        events += scene.end_block(proposer=proposer, fees_grains=grains)
        check_books(scene.state)
    shared = sum(event.fields[1] + event.fields[2] for event in events if event.name == "FeesShared")
    proposer_parts = sum(grains * proposer_fee_bps // 10_000 for grains, _ in fees)
    total = sum(grains for grains, _ in fees)
    assert shared == proposer_parts + (total - proposer_parts) // 4 * 4
    assert scene.get_balance(FEES_ADDRESS) == total - shared
