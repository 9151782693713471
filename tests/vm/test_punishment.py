"""Offences, absence, jail."""

from dataclasses import replace

from identity.address import compute_module_address
from ledger.codec import to_plain
from ledger.evidence import Offence, OffenceKind
from ledger.primitives import Height, Round
from ledger.state_keys import ABSENCES_KEY, offence_key
from ledger.turns import Absence, compute_turns
from tests.stake_scene import BOND_GRAINS, HOLDERS, IOV, KEYS, OPERATORS, STAKING_PARAMETERS, StakeScene, check_books
from vm.native.election import get_committee
from vm.native.iov import TREASURY_PERCENT
from vm.native.punishment import get_absences
from vm.native.stake import find_candidate


def list_plain(events, *names: str) -> list:
    return [to_plain(event)[1:] for event in events if event.name in names]


def make_offence(index: int, height: int, kind: OffenceKind = OffenceKind.PREVOTE) -> Offence:
    return Offence(kind, KEYS[index], Height(height), Round(0))


def test_an_offence_is_slashed_jailed_and_remembered():
    scene = StakeScene()
    scene.end_block()
    offence = make_offence(3, 1)
    events = scene.end_block(offences=[offence])
    slash = BOND_GRAINS * 500 // 10_000
    assert list_plain(events, "Slashed", "Jailed") == [
        ["Slashed", [OPERATORS[3], slash, "double_sign"]],
        ["Jailed", [OPERATORS[3], 2, "double_sign"]],
    ]
    candidate = find_candidate(scene.state, OPERATORS[3])
    assert (candidate.pool_grains, candidate.jailed_until_epoch) == (BOND_GRAINS - slash, 2)
    assert scene.state.get(offence_key(1, offence.id)) == b"\x02"
    core = scene.get_balance(compute_module_address("treasury_core"))
    assert core == slash * TREASURY_PERCENT["core"] // 100
    check_books(scene.state)


def test_each_offence_of_a_block_counts_and_jail_only_grows():
    scene = StakeScene(replace(STAKING_PARAMETERS, jail_epochs=5))
    scene.end_block()
    scene.end_block(offences=[make_offence(3, 1)])
    scene.parameters = STAKING_PARAMETERS
    kinds = (OffenceKind.PROPOSAL, OffenceKind.PRECOMMIT)
    events = scene.end_block(offences=[make_offence(3, 1, kind) for kind in kinds])
    assert [event.name for event in events if event.name in ("Slashed", "Jailed")] == ["Slashed", "Jailed"] * 2
    assert find_candidate(scene.state, OPERATORS[3]).jailed_until_epoch == 6
    pool = BOND_GRAINS
    for _ in range(3):
        pool -= pool * 500 // 10_000
    assert find_candidate(scene.state, OPERATORS[3]).pool_grains == pool


def test_a_culprit_that_has_left_is_slashed_on_its_way_out_and_cannot_begin_anew():
    scene = StakeScene()
    scene.stand(4)
    scene.call(OPERATORS[3], "retire")
    scene.call(OPERATORS[3], "unbond", amount_grains=BOND_GRAINS)
    scene.end_epoch()
    scene.end_block()
    assert find_candidate(scene.state, OPERATORS[3]) is None
    events = scene.end_block(offences=[make_offence(3, 2)])
    slash = BOND_GRAINS * 500 // 10_000
    assert list_plain(events, "Slashed", "Jailed") == [
        ["Slashed", [OPERATORS[3], slash, "double_sign"]],
        ["Jailed", [OPERATORS[3], 3, "double_sign"]],
    ]
    assert find_candidate(scene.state, OPERATORS[3]).jailed_until_epoch == 3
    scene.stand(3)
    assert find_candidate(scene.state, OPERATORS[3]).jailed_until_epoch == 3
    check_books(scene.state)


def test_missed_turns_put_off_and_a_block_of_its_own_clears_them():
    scene = StakeScene()
    scene.end_block(proposer=3, round_number=2)
    first = Absence(OPERATORS[1], 1, Height(1 + 8), Height(1))
    second = Absence(OPERATORS[2], 1, Height(1 + 8), Height(1))
    assert get_absences(scene.state).members == (first, second)
    scene.end_block(proposer=2)
    assert get_absences(scene.state).members == (first,)
    scene.end_block(proposer=1)
    assert scene.state.get(ABSENCES_KEY) is None


def test_each_further_miss_puts_off_for_twice_as_long_and_keeps_the_first_height():
    scene = StakeScene(replace(STAKING_PARAMETERS, epoch_heights=1_000, absence_heights_max=1_000))
    seen = []
    for _ in range(40):
        turn = get_turns(scene)[0]
        scene.end_block(proposer=0 if turn == 1 else turn, round_number=1 if turn == 1 else 0)
        seen += [
            each for each in get_absences(scene.state).members if each not in seen and each.operator == OPERATORS[1]
        ]
    assert [(each.misses, each.away_since) for each in seen] == [(1, 1), (2, 1), (3, 1)]
    assert [each.put_off_until for each in seen] == [9, 9 + 16, 25 + 32]


def get_turns(scene: StakeScene) -> tuple[int, ...]:
    return compute_turns(get_committee(scene.state), get_absences(scene.state), Height(scene.height))


def test_the_proposer_of_a_later_round_has_not_missed_its_own_turn_and_nobody_misses_two_a_block():
    scene = StakeScene()
    scene.end_block(proposer=1, round_number=9)
    assert [(each.operator, each.misses) for each in get_absences(scene.state).members] == [
        (OPERATORS[index], 1) for index in (0, 2, 3)
    ]


def test_at_an_epochs_end_turns_come_back_but_who_is_away_stays_away():
    scene = StakeScene()
    scene.end_block(proposer=3, round_number=2)
    scene.end_block(proposer=2)
    for proposer in (3, 0, 2):
        scene.end_block(proposer=proposer)
    assert get_absences(scene.state).members == (Absence(OPERATORS[1], 0, Height(0), Height(1)),)


def test_a_former_member_is_forgotten():
    scene = StakeScene()
    scene.stand(4, 500 * IOV)
    scene.call(OPERATORS[1], "retire")
    scene.end_block(proposer=3, round_number=2)
    for proposer in (2, 3, 0, 2):
        scene.end_block(proposer=proposer)
    assert [each.operator for each in get_absences(scene.state).members] == [OPERATORS[1]]
    scene.end_block(proposer=2)
    assert scene.state.get(ABSENCES_KEY) is None


def test_a_long_absence_is_slashed_and_jailed_once_in_its_time():
    scene = StakeScene(replace(STAKING_PARAMETERS, epoch_heights=1_000, committee_members_min=4))
    scene.call(HOLDERS[0], "delegate", operator=OPERATORS[1], amount_grains=BOND_GRAINS)
    punished = []
    for _ in range(60):
        turn = get_turns(scene)[0]
        height = scene.height
        events = scene.end_block(proposer=0 if turn == 1 else turn, round_number=1 if turn == 1 else 0)
        punished += [(height, plain) for plain in list_plain(events, "Slashed", "Jailed", "CommitteeKept")]
        check_books(scene.state)
    slash = 2 * BOND_GRAINS * 10 // 10_000
    assert punished[:3] == [
        (25, ["Slashed", [OPERATORS[1], slash, "absence"]]),
        (25, ["Jailed", [OPERATORS[1], 2, "absence"]]),
        (25, ["CommitteeKept", [3, 3]]),
    ]
    assert [height for height, plain in punished if plain[0] == "Jailed"] == [25, 57]
