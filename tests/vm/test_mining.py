"""Mining: rules N1 to N11."""

from dataclasses import replace

import pytest

from identity.mining_record import NO_TAG, TagKind, compute_tag
from ledger.codec import encode
from ledger.primitives import Grains, Height
from ledger.reasons import Reason, Rejected
from ledger.receipt import Event
from ledger.state_keys import MINING_SOURCE_KEY, Table, mining_vehicle_key
from tests.builders import block_context
from tests.mining_scene import COMMITMENT, HASH, TODAY, MiningScene, build_leaf, build_source_rules, build_tree
from vm.native import mining
from vm.native.accounts import DAY_MS
from vm.native.did_records import DidKind
from vm.native.distribution_records import (
    DISTRIBUTION_ADDRESS,
    create_source,
    get_source,
    put_source,
)
from vm.native.governance import (
    _DECISIONS_BY_CALL,
    Priority,
    ProposeMiningBatchVoid,
    ProposeMiningBehaviour,
    ProposeMiningBehaviourEnd,
    ProposeMiningReinstatement,
    ProposeMiningRules,
    ProposeMiningSource,
    Terms,
)
from vm.native.iov import get_balance
from vm.native.mining import CHALLENGE_EPOCHS_MAX, Forecast, LoweredWeight, WeightPage
from vm.native.mining_epochs import CLOSINGS_MAX, RESERVED_EPOCHS
from vm.native.mining_formulas import (
    DEFAULT_BEHAVIOURS,
    DEFAULT_RULES,
    MINING_FUND_GRAINS,
    NEW_MARKET,
    RELEASE_SCALE_BITS,
    Behaviour,
    BehaviourRule,
    Earning,
    Epoch,
    close_epoch,
    compute_release_share,
)
from vm.native.mining_records import (
    BATCHES_MAX,
    CORRECTIONS_MAX,
    FORMER_WEIGHTS_MAX,
    MINING_ADDRESS,
    NEW_EPOCH,
    SETTLING_BLOCKS,
    BatchStatus,
    BehaviourTotal,
    FormerWeight,
    Outcome,
    Suspension,
    VehicleEarner,
    VouchedRecord,
    Weight,
    WeightReason,
    find_mining_source,
    get_batch,
    get_mining_epoch,
    get_progress,
    get_revenue,
    get_rules,
    get_suspension,
    get_weight,
    note_revenue,
    put_mining_epoch,
    put_suspension,
)
from vm.native.role_records import Grant as RoleGrant
from vm.native.role_records import Role, end_grant, put_grant
from vm.native.vehicle_records import AccessScope, Binding, Grant, get_vehicle, put_vehicle


@pytest.fixture
def scene():
    return MiningScene()


@pytest.fixture
def settling(scene):
    """The same on the day after TODAY, whose batch comes in."""
    scene.day = Epoch(TODAY + 1)
    return scene


SHARE = compute_release_share(DEFAULT_RULES.half_life_epochs)


# N1


@pytest.mark.parametrize("epoch", [TODAY - 2, TODAY, TODAY + 1])
def test_a_batch_of_another_day_comes_too_late_or_too_early(scene, epoch):
    scene.refuse(scene.batch(epoch=epoch), Reason.MINING_EPOCH_CLOSED)


@pytest.mark.parametrize("epoch", [TODAY - 1, TODAY + 1])
def test_a_vehicles_record_comes_on_its_day(scene, epoch):
    scene.refuse(scene.record(epoch=epoch), Reason.MINING_EPOCH_CLOSED)


def test_a_batch_comes_on_the_day_after(settling):
    settling.accept(settling.batch())
    until_ms = (TODAY + 1) * DAY_MS + settling.height - 1 + DEFAULT_RULES.challenge_ms
    expected = replace(NEW_EPOCH, batches=1, batch_force=1_000, challenged_until_ms=until_ms)
    assert get_mining_epoch(settling.state, TODAY) == expected
    assert get_progress(settling.state).first_epoch == TODAY


def test_a_vehicle_does_not_earn_in_a_batch_and_again_by_a_record(settling):
    settling.accept(settling.batch())
    settling.refuse(settling.record(epoch=TODAY), Reason.MINING_EPOCH_CLOSED)


def test_a_car_earns_nothing_for_a_day_on_which_it_was_anothers(scene):
    car = scene.create("other", kind=DidKind.VEHICLE, owner=scene.bob, signers=[(scene.bob, "bob"), "other"])
    scene.attest_and_bind(car, b"\x0a" * 32)  # on this very day
    signers = ((scene.bob, "bob"), (car, "other"))
    scene.refuse(scene.record(*signers, did=scene.bob, vehicle=car, epoch=TODAY - 1), Reason.MINING_EPOCH_CLOSED)
    scene.accept(scene.record(*signers, did=scene.bob, vehicle=car))


def test_a_halt_of_the_chain_takes_no_day_from_anybody(scene):
    scene.accept(scene.record())
    assert scene.end_block(TODAY + 3) == []  # no block in between
    scene.accept(scene.batch(epoch=TODAY))
    events = scene.begin_day(TODAY + 3)
    assert [event.fields[:2] for event in events] == [[TODAY - 1, 0]]
    events = scene.begin_day(TODAY + 4)
    assert [event.fields[:2] for event in events] == [[TODAY, 1_100], [TODAY + 1, 0], [TODAY + 2, 0]]


def test_a_halt_of_the_chain_takes_no_challenge_from_anybody(settling):
    proofs = post_tree(settling, [build_leaf(settling.alice)] * 2)
    settling.end_block(TODAY + 9)
    settling.accept(settling.challenge(*proofs, epoch=TODAY))
    assert get_mining_epoch(settling.state, TODAY).batch_force == 0


def test_days_that_are_over_wait_for_blocks(settling):
    settling.accept(settling.batch())
    closed = [settling.end_block(TODAY + 2) for _ in range(SETTLING_BLOCKS + 1)]
    assert [len(events) for events in closed] == [0] * SETTLING_BLOCKS + [1]


def test_a_batch_is_open_to_challenges_before_its_day_is_closed(settling):
    settling.late_ms = DAY_MS - DEFAULT_RULES.challenge_ms // 2
    settling.accept(settling.batch())
    settling.late_ms = 0
    assert settling.begin_day(TODAY + 2) == []
    settling.late_ms = DEFAULT_RULES.challenge_ms
    assert [event.fields[0] for event in settling.begin_day(TODAY + 2)] == [TODAY]


def test_an_epoch_that_is_closed_takes_nothing(scene):
    scene.accept(scene.batch())
    scene.begin_day(TODAY + 2)
    scene.day = TODAY + 1  # as if its clock said so
    scene.refuse(scene.batch(epoch=TODAY), Reason.MINING_EPOCH_CLOSED)


# N2


def test_too_few_attesters_or_in_disorder(settling):
    for gates in (settling.gates[:1], settling.gates[1::-1], (settling.gates[0], settling.gates[0])):
        settling.refuse(settling.batch(gates), Reason.MINING_TOO_FEW_ATTESTERS)
        settling.refuse(settling.weigh(gates), Reason.MINING_TOO_FEW_ATTESTERS)


def test_who_has_built_a_batch_signs_it(settling):
    settling.refuse(settling.batch(gateway=settling.gates[2]), Reason.MINING_TOO_FEW_ATTESTERS)


def test_who_is_no_attester_is_not_heard(settling):
    gates = sorted([settling.gates[0], settling.bob])
    settling.refuse(settling.batch(gates), Reason.MINING_NOT_AN_ATTESTER)
    end_grant(settling.state, settling.gates[0], Role.ATTESTER)
    settling.refuse(settling.batch(), Reason.MINING_NOT_AN_ATTESTER)
    settling.refuse(settling.weigh(), Reason.MINING_NOT_AN_ATTESTER)


def test_all_attesters_sign(settling):
    settling.refuse(settling.batch(signers=settling.gates[:1]), Reason.DID_NOT_AUTHORISED)
    settling.refuse(settling.batch(signers=settling.gates), Reason.DID_FOREIGN_SIGNER)


# N3


def test_a_batch_is_told_of_and_kept(settling):
    receipt = settling.accept(settling.batch())
    assert receipt.events == (Event("mining", "BatchPosted", [TODAY, 1, HASH, 10, 1_000, 0]),)
    batch = get_batch(settling.state, TODAY, 1)
    assert (batch.payload.totals, batch.status, batch.corrections) == ((settling.total(),), BatchStatus.STANDING, 0)
    assert settling.answer("batch", TODAY, 1) == batch
    assert (settling.answer("batch", TODAY, 2), settling.answer("batch", TODAY, 0)) == (None, None)


def test_a_batch_is_posted_once(settling):
    call = settling.batch()
    settling.accept(call)
    settling.refuse(call, Reason.MINING_BAD_BATCH)
    settling.refuse(settling.batch(number=3), Reason.MINING_BAD_BATCH)
    settling.refuse(settling.batch(), Reason.MINING_BATCH_STANDS)


@pytest.mark.parametrize(
    "changes",
    [
        {"user_force": 1_001},
        {"provider_force": 1},
        {"records": 11},
        {"times": 9},
        {"times": 51},
        {"records": 2, "times": 3, "user_force": 251},
    ],
    ids=["force", "a provider", "records", "times", "most times", "halved"],
)
def test_totals_that_no_records_come_to(settling, changes):
    total = settling.total(**changes)
    call = settling.batch(totals=(total,), records=total.records, force=1)
    settling.refuse(call, Reason.MINING_BAD_BATCH)


def test_totals_add_up(settling):
    purchases = BehaviourTotal(Behaviour.PURCHASE, 2, 4, 400, 200)
    totals = (settling.total(), purchases)
    for changes in ({"records": 11}, {"force": 1_601}, {"totals": totals[::-1]}, {"totals": (totals[0], totals[0])}):
        settling.refuse(
            settling.batch(**{"totals": totals, "records": 12, "force": 1_600, **changes}), Reason.MINING_BAD_BATCH
        )
    settling.accept(settling.batch(totals=totals, records=12, force=1_600))


def test_an_epoch_has_so_many_batches(settling):
    put_mining_epoch(settling.state, TODAY, replace(NEW_EPOCH, batches=BATCHES_MAX))
    settling.refuse(settling.batch(number=BATCHES_MAX), Reason.MINING_BATCHES_LIMIT)


def test_more_force_than_all_the_world_has_is_refused(settling):
    put_mining_epoch(settling.state, TODAY, replace(NEW_EPOCH, vouched_force=10**15 - 999))
    settling.refuse(settling.batch(), Reason.MINING_BAD_BATCH)


# N4


def test_a_correction_takes_a_batchs_place(settling):
    settling.accept(settling.batch())
    settling.accept(settling.batch(corrected=1, force=700))
    record = get_mining_epoch(settling.state, TODAY)
    assert (record.batches, record.batch_force) == (2, 700)
    assert settling.answer("claim", TODAY, settling.alice).batch == get_batch(settling.state, TODAY, 2)
    assert get_batch(settling.state, TODAY, 1).status is BatchStatus.CORRECTED
    settling.refuse(settling.batch(corrected=1), Reason.MINING_BATCH_STANDS)
    settling.refuse(settling.batch(corrected=3), Reason.MINING_BATCH_STANDS)


def test_there_is_nothing_to_correct_without_a_batch(settling):
    settling.refuse(settling.batch(corrected=1), Reason.MINING_BATCH_STANDS)


def test_a_correction_is_signed_by_as_many_and_by_one_who_signed_before(settling):
    settling.accept(settling.batch())
    settling.accept(settling.batch(settling.gates[1:], corrected=1))
    settling.accept(settling.batch(settling.gates, corrected=2))
    settling.refuse(settling.batch(corrected=3), Reason.MINING_NOT_CORRECTABLE)


def test_others_correct_a_batch_when_they_are_more(settling):
    others = []
    for number in range(3, 6):
        gate = settling.create(f"gate{number}", kind=DidKind.ORGANISATION)
        settling.gate_names[gate] = f"gate{number}"
        put_grant(settling.state, gate, Role.ATTESTER, RoleGrant(Height(10**6), None), Height(1))
        others.append(gate)
    settling.accept(settling.batch())
    settling.refuse(settling.batch(sorted(others[:2]), corrected=1), Reason.MINING_NOT_CORRECTABLE)
    settling.accept(settling.batch(sorted(others), corrected=1))


def test_corrections_by_as_many_come_to_an_end_and_those_by_more_do_not(settling):
    settling.accept(settling.batch())
    for number in range(1, CORRECTIONS_MAX + 1):
        settling.accept(settling.batch(corrected=number))
    settling.refuse(settling.batch(corrected=CORRECTIONS_MAX + 1), Reason.MINING_NOT_CORRECTABLE)
    settling.accept(settling.batch(settling.gates, corrected=CORRECTIONS_MAX + 1))
    assert get_batch(settling.state, TODAY, CORRECTIONS_MAX + 2).corrections == 0


def test_a_few_attesters_do_not_take_the_day_of_all(settling):
    """Neither its numbers by batches of one record, nor its force by impossible totals."""
    one = settling.total(records=1, times=1, user_force=1)
    for number in range(CORRECTIONS_MAX + 1):
        settling.accept(settling.batch(records=1, force=1, totals=(one,), corrected=number))
    settling.accept(settling.batch(settling.gates, corrected=CORRECTIONS_MAX + 1))
    times = 2**40
    huge = settling.total(records=1, times=times, user_force=100 * times)
    call = settling.batch(settling.gates, records=1, force=10**14, totals=(huge,), corrected=CORRECTIONS_MAX + 2)
    settling.refuse(call, Reason.MINING_BAD_BATCH)


def test_limits_of_an_identity_hold_over_all_of_a_day(settling):
    total = settling.total(records=8, times=40, user_force=1_500)
    settling.accept(settling.batch(records=8, force=1_500, totals=(total,)))
    settling.refuse(settling.batch(records=8, force=1_500, totals=(total,)), Reason.MINING_BATCH_STANDS)
    assert get_mining_epoch(settling.state, TODAY).force == DEFAULT_RULES.user_force_max


# N5


def test_user_and_vehicle_record_together(scene):
    receipt = scene.accept(scene.record(count=2))
    fields = [scene.alice, scene.car, TODAY, int(Behaviour.CAR_STARTED), 2, 150]
    assert receipt.events == (Event("mining", "Recorded", fields),)
    assert get_mining_epoch(scene.state, TODAY) == replace(NEW_EPOCH, vouched_force=150, vouched_records=1)
    (statement,) = scene.answer("statement", scene.alice).records
    assert statement.record == VouchedRecord(scene.car, 2, 150, COMMITMENT, Height(scene.height - 1))


@pytest.mark.parametrize("signer", ["alice", "car"])
def test_both_sign_a_record(scene, signer):
    did = scene.alice if signer == "alice" else scene.car
    scene.refuse(scene.record((did, signer)), Reason.DID_NOT_AUTHORISED)


def test_one_record_of_a_behaviour_a_day(scene):
    scene.accept(scene.record())
    scene.refuse(scene.record(count=2), Reason.MINING_EARNED_ALREADY)
    scene.accept(scene.record(behaviour=Behaviour.DRIVING_KILOMETRE, count=100))
    scene.day = TODAY + 1
    scene.accept(scene.record())


def test_one_vehicle_earns_for_one_identity_a_day(scene):
    record = get_vehicle(scene.state, scene.car)
    grants = (Grant(scene.bob, (AccessScope.DRIVING,), Height(10**6)),)
    put_vehicle(scene.state, scene.car, replace(record, binding=replace(record.binding, grants=grants)))
    bobs = ((scene.bob, "bob"), (scene.car, "car"))
    scene.accept(scene.record())
    scene.refuse(scene.record(*bobs, did=scene.bob), Reason.MINING_EARNED_ALREADY)
    scene.refuse(
        scene.record(*bobs, did=scene.bob, behaviour=Behaviour.DRIVING_KILOMETRE), Reason.MINING_EARNED_ALREADY
    )
    scene.day = TODAY + 1
    scene.accept(scene.record(*bobs, did=scene.bob))


def test_a_vehicles_mark_follows_its_number(scene):
    other = scene.create("other", kind=DidKind.VEHICLE, owner=scene.bob, signers=[(scene.bob, "bob"), "other"])
    scene.attest_and_bind(other, HASH)  # as if the same number had moved to another identity within the day
    scene.accept(scene.record())
    call = scene.record((scene.bob, "bob"), (other, "other"), did=scene.bob, vehicle=other)
    scene.refuse(call, Reason.MINING_EARNED_ALREADY)


def test_a_vehicle_vouches_only_for_its_own_driver_and_behaviour(scene):
    call = scene.record((scene.bob, "bob"), (scene.car, "car"), did=scene.bob)
    scene.refuse(call, Reason.MINING_BAD_RECORD)
    scene.refuse(scene.record(behaviour=Behaviour.PURCHASE), Reason.MINING_BAD_RECORD)
    scene.refuse(scene.record(count=6), Reason.MINING_BAD_RECORD)
    scene.refuse(scene.record(did=scene.car), Reason.MINING_BAD_RECORD)
    scene.refuse(scene.record(vehicle=scene.bob), Reason.NOT_A_VEHICLE)


def test_a_vehicle_needs_its_number_and_its_owners_word(scene):
    record = get_vehicle(scene.state, scene.car)
    put_vehicle(scene.state, scene.car, replace(record, vin=None))
    scene.refuse(scene.record(), Reason.VIN_NOT_ATTESTED)
    put_vehicle(scene.state, scene.car, replace(record, binding=Binding(2, Height(1), ())))
    scene.refuse(scene.record(), Reason.VEHICLE_NOT_BOUND)


def test_a_days_force_is_limited_and_weighed(scene):
    scene.accept(scene.weigh())
    scene.accept(scene.record(count=5))
    assert get_mining_epoch(scene.state, TODAY).vouched_force == 193 * 40 // 100
    scene.accept(scene.record(behaviour=Behaviour.DRIVING_KILOMETRE, count=1))
    assert get_mining_epoch(scene.state, TODAY).vouched_force == 194 * 40 // 100


def test_a_vehicle_has_one_mark_however_many_days_it_earns(scene):
    for day in range(3):
        scene.day = Epoch(TODAY + day)
        scene.accept(scene.record())
    marks = {key: value for key, value in scene.state.changes.items() if key[0] == Table.MINING_VEHICLE}
    assert marks == {mining_vehicle_key(HASH): encode(VehicleEarner(Epoch(TODAY + 2), scene.alice))}


# N6


def post_tree(scene, leaves, **changes):
    root, proofs = build_tree(leaves)
    scene.accept(scene.batch(root=root, **changes))
    return proofs


def test_two_records_of_one_act_in_a_batch_void_it_and_suspend_its_attesters(settling):
    leaves = [build_leaf(settling.alice), build_leaf(settling.bob, vehicle=NO_TAG), build_leaf(settling.alice)]
    proofs = post_tree(settling, leaves)
    receipt = settling.accept(settling.challenge(proofs[0], proofs[2]))
    assert receipt.events == (Event("mining", "BatchVoided", [TODAY, 1, 1_000, True]),)
    until_ms = (TODAY + 1) * DAY_MS + settling.height - 1 + DEFAULT_RULES.challenge_ms
    assert get_mining_epoch(settling.state, TODAY) == replace(NEW_EPOCH, batches=1, challenged_until_ms=until_ms)
    until = Suspension(Epoch(TODAY + 1 + DEFAULT_RULES.suspension_epochs), 1)
    assert [get_suspension(settling.state, gate) for gate in settling.gates] == [until, until, None]
    settling.refuse(settling.challenge(proofs[0], proofs[2]), Reason.MINING_UNKNOWN_BATCH)
    settling.refuse(settling.batch(), Reason.MINING_NOT_AN_ATTESTER)
    settling.day = TODAY + 1 + DEFAULT_RULES.suspension_epochs
    settling.accept(settling.batch())


def test_one_vehicle_for_two_users_voids_a_batch(settling):
    proofs = post_tree(settling, [build_leaf(settling.alice), build_leaf(settling.bob)])
    settling.accept(settling.challenge(proofs[1], proofs[0]))
    assert get_batch(settling.state, TODAY, 1).status is BatchStatus.VOID


def test_who_holds_proofs_of_two_batches_voids_neither(settling):
    """A user of two honest gateways, whose batches were merged into a third one."""
    mine = build_leaf(settling.alice, vehicle=NO_TAG)
    first = post_tree(settling, [mine])
    second = post_tree(settling, [mine, build_leaf(settling.bob, vehicle=NO_TAG)], corrected=1)
    settling.refuse(settling.challenge(first[0], second[0]), Reason.MINING_UNKNOWN_BATCH)
    settling.refuse(settling.challenge(first[0], second[0], number=2), Reason.MINING_BAD_PROOF)
    assert get_mining_epoch(settling.state, TODAY).batch_force == 1_000


def test_after_a_challenge_in_the_last_block_another_batch_is_posted(settling):
    proofs = post_tree(settling, [build_leaf(settling.alice)] * 2, gates=settling.gates[:2])
    settling.late_ms = DAY_MS - 1_000
    settling.accept(settling.challenge(*proofs))
    settling.late_ms = 0
    put_suspension(settling.state, settling.gates[1], Suspension(Epoch(0), 1))
    assert settling.begin_day(TODAY + 2) == []
    settling.accept(settling.batch(settling.gates[1:], epoch=TODAY))


def test_a_record_is_not_twice_itself_nor_another(settling):
    phone = compute_tag(TagKind.PHONE, TODAY, HASH)
    leaves = [build_leaf(settling.alice), build_leaf(settling.bob, vehicle=NO_TAG, phone=phone)]
    proofs = post_tree(settling, leaves)
    settling.refuse(settling.challenge(proofs[0], proofs[0]), Reason.MINING_NOT_TWICE)
    settling.refuse(settling.challenge(proofs[0], proofs[1]), Reason.MINING_NOT_TWICE)


def test_records_are_proven(settling):
    proofs = post_tree(settling, [build_leaf(settling.alice), build_leaf(settling.alice, commitment=HASH)])
    forged = replace(proofs[1], leaf=bytes(len(proofs[1].leaf)))
    settling.refuse(settling.challenge(proofs[0], forged), Reason.MINING_BAD_PROOF)
    settling.refuse(settling.challenge(proofs[0], replace(proofs[1], path=proofs[0].path)), Reason.MINING_BAD_PROOF)
    settling.refuse(settling.challenge(*proofs, number=2), Reason.MINING_UNKNOWN_BATCH)
    yesterday = post_tree(settling, [build_leaf(settling.alice, TODAY - 1)] * 2, corrected=1)
    settling.refuse(settling.challenge(*yesterday, number=2), Reason.MINING_BAD_PROOF)


def test_a_batch_is_challenged_after_its_closing_without_changing_the_past(settling):
    proofs = post_tree(settling, [build_leaf(settling.alice)] * 2)
    settling.begin_day(TODAY + 2)
    settling.day = TODAY + CHALLENGE_EPOCHS_MAX + 1
    settling.refuse(settling.challenge(*proofs, epoch=TODAY), Reason.MINING_EPOCH_CLOSED)
    settling.day = TODAY + CHALLENGE_EPOCHS_MAX
    before = get_mining_epoch(settling.state, TODAY)
    settling.accept(settling.challenge(*proofs, epoch=TODAY))
    assert get_mining_epoch(settling.state, TODAY) == before
    assert get_batch(settling.state, TODAY, 1).status is BatchStatus.VOID


# N7 and N8


def weight_of(scene, epoch):
    return get_weight(scene.state, scene.alice, epoch, DEFAULT_RULES.weight_recovery_epochs)


def test_a_suspicious_identitys_weight_is_lowered_and_recovers(scene):
    receipt = scene.accept(scene.weigh())
    assert receipt.events == (Event("mining", "WeightSet", [scene.alice, 40, int(WeightReason.AUTOMATED), 1]),)
    expected = Weight(1, 40, TODAY, (), WeightReason.AUTOMATED, HASH, scene.gates[:2], 0, is_final=False)
    assert scene.answer("statement", scene.alice).weight == expected
    assert [weight_of(scene, TODAY + days) for days in (0, 1, 59, 60, 61)] == [40, 41, 99, 100, 100]


def test_days_before_a_decision_keep_the_weight_they_had(scene):
    scene.accept(scene.weigh())
    scene.accept(scene.appeal())
    granted = TODAY + DEFAULT_RULES.appeal_epochs
    scene.day = Epoch(granted + 2)
    scene.accept(scene.weigh(turn=1, weight_hundredths=10))
    scene.accept(scene.weigh(turn=2, weight_hundredths=20))  # of one day the last decision counts
    days = [TODAY - 1, TODAY, granted - 1, granted, granted + 1, granted + 2, granted + 3]
    assert [weight_of(scene, day) for day in days] == [100, 40, 46, 100, 100, 20, 21]
    expected = (FormerWeight(40, TODAY), FormerWeight(100, Epoch(granted)))
    assert scene.answer("statement", scene.alice).weight.former == expected


def test_a_bounded_number_of_former_weights_is_kept(scene):
    for number in range(FORMER_WEIGHTS_MAX + 2):
        scene.day = Epoch(TODAY + number)
        scene.accept(scene.weigh(turn=number))
    former = scene.answer("statement", scene.alice).weight.former
    assert [each.since for each in former] == list(range(TODAY + 1, TODAY + 1 + FORMER_WEIGHTS_MAX))


def test_a_weight_is_signed_for_once(scene):
    call = scene.weigh()
    scene.accept(call)
    scene.refuse(call, Reason.MINING_WEIGHT_STALE)
    scene.accept(scene.weigh(turn=1, weight_hundredths=100, reason=WeightReason.CLEARED))
    assert weight_of(scene, TODAY) == 100


@pytest.mark.parametrize(("weight", "reason"), [(100, WeightReason.AUTOMATED), (99, WeightReason.CLEARED)])
def test_full_weight_is_for_the_cleared_alone(scene, weight, reason):
    scene.refuse(scene.weigh(weight_hundredths=weight, reason=reason), Reason.BAD_ARGUMENTS)


def test_nobody_unknown_is_weighed(scene):
    scene.refuse(scene.weigh(did=bytes(20)), Reason.UNKNOWN_DID)


def test_an_appeal_that_nobody_answers_is_granted(scene):
    scene.accept(scene.weigh())
    granted = TODAY + DEFAULT_RULES.appeal_epochs
    receipt = scene.accept(scene.appeal())
    assert receipt.events == (Event("mining", "WeightAppealed", [scene.alice, 1, granted]),)
    assert [weight_of(scene, epoch) for epoch in (granted - 1, granted)] == [46, 100]
    scene.refuse(scene.appeal(), Reason.MINING_NOTHING_TO_APPEAL)


def test_attesters_answer_an_appeal_by_weighing_again(scene):
    scene.accept(scene.weigh())
    scene.accept(scene.appeal())
    scene.day = TODAY + 3
    scene.accept(scene.weigh(turn=1, weight_hundredths=30))
    assert weight_of(scene, TODAY + 3 + DEFAULT_RULES.appeal_epochs) == 37
    scene.refuse(scene.appeal(), Reason.MINING_WEIGHT_STALE)


def test_an_identity_appeals_once_until_its_weight_is_lowered_again(scene):
    scene.accept(scene.weigh())
    scene.accept(scene.appeal())
    for turn in range(1, 4):  # the answer, and two that lower nothing
        scene.accept(scene.weigh(turn=turn))
        scene.refuse(scene.appeal(turn=turn + 1), Reason.MINING_APPEAL_ANSWERED)
    scene.accept(scene.weigh(turn=4, weight_hundredths=39))
    scene.accept(scene.appeal(turn=5))


def test_an_appeal_is_its_holders_and_needs_a_reason(scene):
    scene.refuse(scene.appeal(), Reason.MINING_NOTHING_TO_APPEAL)
    scene.accept(scene.weigh())
    scene.refuse(scene.appeal((scene.bob, "bob")), Reason.DID_FOREIGN_SIGNER)
    scene.day = TODAY + 60
    scene.refuse(scene.appeal(), Reason.MINING_NOTHING_TO_APPEAL)


def test_lowered_weights_are_listed_page_by_page(scene, monkeypatch):
    monkeypatch.setattr(mining, "WEIGHTS_PAGE", 2)
    lowered = sorted([scene.alice, scene.bob, scene.car])
    for did in lowered:
        weight = 99 if did == lowered[1] else 40
        scene.accept(scene.weigh(did=did, weight_hundredths=weight))
    first = scene.answer("weights", TODAY + 1, b"")
    assert first == WeightPage((LoweredWeight(lowered[0], 41),), lowered[1])
    assert scene.answer("weights", TODAY + 1, first.next_after) == WeightPage((LoweredWeight(lowered[2], 41),), None)


# N9 and N10


def test_a_chain_without_mining_closes_nothing(scene):
    assert scene.end_block(TODAY) == scene.end_block(TODAY + 400) == []
    assert scene.list_stored() == {}


def test_an_epoch_is_closed_when_its_time_is_over(scene):
    scene.accept(scene.record())
    scene.day = Epoch(TODAY + 1)
    scene.accept(scene.batch())
    expected = close_epoch(MINING_FUND_GRAINS, SHARE, 0, 1_100, NEW_MARKET, DEFAULT_RULES)
    left = MINING_FUND_GRAINS
    assert scene.begin_day(TODAY + 1) == [Event("mining", "EpochClosed", [TODAY - 1, 0, 0, 0, 0, left])]
    left -= expected.released_grains
    height = Height(scene.height + SETTLING_BLOCKS)
    fields = [TODAY, 1_100, 10**12, 1_100 * 10**6, 0, left]
    assert scene.begin_day(TODAY + 2) == [Event("mining", "EpochClosed", fields)]
    assert scene.begin_day(TODAY + 2) == []
    outcome = Outcome(height, 0, 0, expected.budget_grains, 1_100, 10**12, 10**12, 1_100 * 10**6, 0, left)
    assert get_mining_epoch(scene.state, TODAY).outcome == outcome
    assert get_balance(scene.state, MINING_ADDRESS) == left
    assert get_balance(scene.state, DISTRIBUTION_ADDRESS) == 1_100 * 10**6


def test_blocks_in_the_middle_of_a_day_write_nothing_of_mining(scene):
    scene.accept(scene.batch())
    scene.end_block(TODAY + 1)
    before = scene.list_stored()
    assert scene.end_block(TODAY + 1) == []
    assert scene.list_stored() == before


def test_days_without_blocks_release_nothing_and_are_closed_in_portions(scene):
    scene.accept(scene.record())
    later = TODAY + 100
    first, second = scene.begin_day(later), scene.end_block(later)
    assert [event.fields[0] for event in first] == list(range(TODAY - 1, TODAY - 1 + CLOSINGS_MAX))
    assert second[0].fields[0] == TODAY - 1 + CLOSINGS_MAX
    assert [event.fields[3] > 0 for event in (*first, *second)] == [False, True] + [False] * (2 * CLOSINGS_MAX - 2)


def test_fees_count_for_the_next_epoch_with_force(scene):
    """The day before has none, and closes first."""
    scene.end_block(TODAY, fees_grains=5)
    assert get_revenue(scene.state) == 0
    scene.accept(scene.record())
    scene.begin_day(TODAY + 1, fees_grains=300)
    assert get_mining_epoch(scene.state, TODAY - 1).outcome.revenue_grains == 0
    note_revenue(scene.state, 700)
    assert get_revenue(scene.state) == 1_000
    scene.begin_day(TODAY + 2)
    outcome = get_mining_epoch(scene.state, TODAY).outcome
    plain = MINING_FUND_GRAINS * SHARE >> RELEASE_SCALE_BITS
    assert (outcome.revenue_grains, outcome.topup_grains, outcome.budget_grains) == (1_000, 100, plain + 100)
    assert get_revenue(scene.state) == 0


def test_what_nobody_is_owed_comes_back_to_the_fund(settling):
    """A batch is voided after its day, so no root promises what was released for it."""
    proofs = post_tree(settling, [build_leaf(settling.alice)] * 2)
    settling.begin_day(TODAY + 2)
    settling.accept(settling.challenge(*proofs, epoch=TODAY))
    for day in range(TODAY + 3, TODAY + 2 + RESERVED_EPOCHS):
        settling.begin_day(day)
    assert get_balance(settling.state, DISTRIBUTION_ADDRESS) == 10**9
    (event,) = settling.begin_day(TODAY + 2 + RESERVED_EPOCHS)
    assert event.fields == [TODAY + RESERVED_EPOCHS, 0, 10**12, 0, 10**9, MINING_FUND_GRAINS]
    assert get_balance(settling.state, DISTRIBUTION_ADDRESS) == 0


def test_what_roots_promise_does_not_come_back(settling):
    settling.accept(settling.batch())
    settling.begin_day(TODAY + 2)
    source = get_source(settling.state, settling.source)
    put_source(settling.state, settling.source, replace(source, roots=1, latest=1, promised_grains=Grains(10**9 - 7)))
    for day in range(TODAY + 3, TODAY + 3 + RESERVED_EPOCHS):
        settling.begin_day(day)
    assert get_progress(settling.state).returned_grains == 7


# N11


def decide(scene, call, day=TODAY):
    decision = _DECISIONS_BY_CALL[type(call)]
    decision.check(scene.state, call)
    return decision.apply(scene.state, block_context(scene.height, day * DAY_MS), call)


TERMS = Terms(Priority.NORMAL, Height(100), "Because")


def test_governance_changes_rules_from_the_next_day_on_and_keeps_the_old_ones(scene):
    rules = replace(DEFAULT_RULES, attesters_min=1, half_life_epochs=100)
    events = decide(scene, ProposeMiningRules(rules, TERMS))
    assert events == [Event("governance", "MiningRulesChanged", [TODAY + 1])]
    assert get_rules(scene.state, TODAY).rules == DEFAULT_RULES
    changed = get_rules(scene.state, TODAY + 1)
    assert (changed.rules, changed.behaviours) == (rules, DEFAULT_BEHAVIOURS)
    assert changed.release_share == compute_release_share(100)
    scene.day = TODAY + 1
    scene.refuse(scene.batch(scene.gates[:1]), Reason.MINING_TOO_FEW_ATTESTERS)
    scene.day = TODAY + 2
    scene.accept(scene.batch(scene.gates[:1]))
    decide(scene, ProposeMiningRules(DEFAULT_RULES, TERMS), TODAY + 7)
    assert get_rules(scene.state, TODAY + 7).rules == rules
    assert scene.answer("rules_history") == [TODAY + 1, TODAY + 8]


def test_rules_fit_each_other(scene):
    rules = replace(DEFAULT_RULES, price_floor_micrograins=10, price_ceiling_micrograins=9)
    with pytest.raises(Rejected, match="least price"):
        decide(scene, ProposeMiningRules(rules, TERMS))


def test_governance_changes_and_ends_behaviours(scene):
    rule = BehaviourRule(Behaviour.CAR_STARTED, Earning(7, 1, 1), None, is_vehicle_vouched=False)
    decide(scene, ProposeMiningBehaviour(rule, TERMS))
    decide(scene, ProposeMiningBehaviourEnd(Behaviour.APP_OPENED, TERMS))
    assert get_rules(scene.state, TODAY + 1).behaviours == (rule, *DEFAULT_BEHAVIOURS[2:])
    with pytest.raises(Rejected, match="earns nothing"):
        decide(scene, ProposeMiningBehaviourEnd(Behaviour.APP_OPENED, TERMS))
    with pytest.raises(Rejected, match="somebody"):
        decide(scene, ProposeMiningBehaviour(replace(rule, user=None), TERMS))
    scene.day = TODAY + 1
    scene.refuse(scene.record(), Reason.MINING_BAD_RECORD)


def test_governance_reinstates_an_attester(settling):
    with pytest.raises(Rejected, match="not suspended"):
        decide(settling, ProposeMiningReinstatement(settling.gates[0], TERMS))
    proofs = post_tree(settling, [build_leaf(settling.alice)] * 2)
    settling.accept(settling.challenge(*proofs))
    for gate in settling.gates[:2]:
        decide(settling, ProposeMiningReinstatement(gate, TERMS))
    assert settling.answer("attester", settling.gates[0]) == Suspension(Epoch(0), 1)
    settling.accept(settling.batch())


def test_governance_voids_the_batch_of_a_day_that_is_open(settling):
    settling.accept(settling.batch())
    with pytest.raises(Rejected, match="is not there"):
        decide(settling, ProposeMiningBatchVoid(TODAY, 2, TERMS))
    events = decide(settling, ProposeMiningBatchVoid(TODAY, 1, TERMS), TODAY + 1)
    assert events == [Event("mining", "BatchVoided", [TODAY, 1, 1_000, False])]
    assert get_suspension(settling.state, settling.gates[0]) is None
    settling.accept(settling.batch())
    settling.begin_day(TODAY + 2)
    with pytest.raises(Rejected, match="was paid"):
        decide(settling, ProposeMiningBatchVoid(TODAY, 2, TERMS))


def test_before_there_is_a_source_days_pay_nothing(scene):
    scene.state.delete(MINING_SOURCE_KEY)
    scene.accept(scene.batch())
    scene.begin_day(TODAY + 2)
    outcome = get_mining_epoch(scene.state, TODAY).outcome
    assert (outcome.price_micrograins, outcome.released_grains, outcome.quoted_micrograins) == (0, 0, 10**12)
    assert outcome.remaining_grains == MINING_FUND_GRAINS == get_balance(scene.state, MINING_ADDRESS)


def test_governance_names_a_source_that_mining_owns(scene):
    mine = create_source(scene.state, build_source_rules(scene))
    others = create_source(scene.state, build_source_rules(scene, owner=bytes(20)))
    assert decide(scene, ProposeMiningSource(mine, TERMS)) == [Event("governance", "MiningSourceSet", [mine])]
    assert find_mining_source(scene.state) == mine
    with pytest.raises(Rejected, match="owned"):
        decide(scene, ProposeMiningSource(others, TERMS))
    with pytest.raises(Rejected):
        decide(scene, ProposeMiningSource(others + 1, TERMS))


# Questions


def test_the_view_of_an_epoch_tells_how_long_the_fund_lasts(scene):
    described = scene.answer("epoch", TODAY)
    assert (described.is_open, described.forecast) == (True, Forecast(None, 1_461, 9_707))
    scene.accept(scene.record())
    scene.begin_day(TODAY + 2)
    described = scene.answer("epoch", TODAY)
    assert (described.is_open, described.released_grains) == (False, 10**8)
    assert described.forecast.at_this_rate == (MINING_FUND_GRAINS - 10**8) // 10**8


def test_the_view_of_a_claim_tells_what_records_are_worth(scene):
    scene.accept(scene.record())
    claim = scene.answer("claim", TODAY, scene.alice)
    assert (claim.vouched_force, claim.price_micrograins, claim.vouched_grains) == (100, None, None)
    scene.begin_day(TODAY + 2)
    claim = scene.answer("claim", TODAY, scene.alice)
    assert (claim.price_micrograins, claim.vouched_grains) == (10**12, 10**8)
    (statement,) = scene.answer("statement", scene.alice).records
    assert (statement.epoch, statement.price_micrograins, statement.reward_grains) == (TODAY, 10**12, 10**8)
