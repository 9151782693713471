"""Mining: rules N1 to N11."""

from dataclasses import replace

import pytest

from identity.mining_record import NO_TAG, TagKind, compute_tag
from ledger.primitives import Height
from ledger.reasons import Reason, Rejected
from ledger.receipt import Event
from ledger.state_keys import MINING_SOURCE_KEY
from tests.builders import block_context
from tests.mining_scene import COMMITMENT, HASH, TODAY, MiningScene, build_leaf, build_source_rules, build_tree
from vm.native import mining
from vm.native.accounts import DAY_MS
from vm.native.did_records import DidKind
from vm.native.distribution_records import DISTRIBUTION_ADDRESS, create_source
from vm.native.governance import (
    _DECISIONS_BY_CALL,
    Priority,
    ProposeMiningBehaviour,
    ProposeMiningBehaviourEnd,
    ProposeMiningReinstatement,
    ProposeMiningRules,
    ProposeMiningSource,
    Terms,
)
from vm.native.iov import get_balance
from vm.native.mining import CHALLENGE_EPOCHS_MAX, Forecast, LoweredWeight, WeightPage
from vm.native.mining_epochs import CLOSINGS_MAX
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
    MINING_ADDRESS,
    NEW_EPOCH,
    BatchStatus,
    BehaviourTotal,
    Outcome,
    Suspension,
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
)
from vm.native.role_records import Role, end_grant
from vm.native.vehicle_records import AccessScope, Binding, Grant, get_vehicle, put_vehicle


@pytest.fixture
def scene():
    return MiningScene()


SHARE = compute_release_share(DEFAULT_RULES.half_life_epochs)


# N1


@pytest.mark.parametrize("epoch", [TODAY - 2, TODAY + 1])
def test_records_of_other_days_come_too_late_or_too_early(scene, epoch):
    scene.refuse(scene.batch(epoch=epoch), Reason.MINING_EPOCH_CLOSED)
    scene.refuse(scene.record(epoch=epoch), Reason.MINING_EPOCH_CLOSED)


@pytest.mark.parametrize("epoch", [TODAY - 1, TODAY])
def test_records_come_in_on_their_day_and_the_one_after(scene, epoch):
    scene.accept(scene.batch(epoch=epoch))
    assert get_mining_epoch(scene.state, epoch) == replace(NEW_EPOCH, batches=1, batch_force=1_000)
    assert get_progress(scene.state).first_epoch == TODAY - 1


def test_an_epoch_that_is_closed_takes_nothing(scene):
    scene.accept(scene.batch())
    scene.end_block(TODAY + 2)
    scene.day = TODAY + 1  # as if its clock said so
    scene.refuse(scene.batch(epoch=TODAY), Reason.MINING_EPOCH_CLOSED)


# N2


def test_too_few_attesters_or_in_disorder(scene):
    for gates in (scene.gates[:1], scene.gates[1::-1], (scene.gates[0], scene.gates[0])):
        scene.refuse(scene.batch(gates), Reason.MINING_TOO_FEW_ATTESTERS)
        scene.refuse(scene.weigh(gates), Reason.MINING_TOO_FEW_ATTESTERS)


def test_who_has_built_a_batch_signs_it(scene):
    scene.refuse(scene.batch(gateway=scene.gates[2]), Reason.MINING_TOO_FEW_ATTESTERS)


def test_who_is_no_attester_is_not_heard(scene):
    gates = sorted([scene.gates[0], scene.bob])
    scene.refuse(scene.batch(gates), Reason.MINING_NOT_AN_ATTESTER)
    end_grant(scene.state, scene.gates[0], Role.ATTESTER)
    scene.refuse(scene.batch(), Reason.MINING_NOT_AN_ATTESTER)
    scene.refuse(scene.weigh(), Reason.MINING_NOT_AN_ATTESTER)


def test_all_attesters_sign(scene):
    scene.refuse(scene.batch(signers=scene.gates[:1]), Reason.DID_NOT_AUTHORISED)
    scene.refuse(scene.batch(signers=scene.gates), Reason.DID_FOREIGN_SIGNER)


# N3


def test_a_batch_is_told_of_and_kept(scene):
    receipt = scene.accept(scene.batch())
    assert receipt.events == (Event("mining", "BatchPosted", [TODAY, 1, HASH, 10, 1_000, 0]),)
    batch = get_batch(scene.state, TODAY, 1)
    assert (batch.payload.totals, batch.status, batch.corrections) == ((scene.total(),), BatchStatus.STANDING, 0)
    assert scene.answer("batch", TODAY, 1) == batch
    assert (scene.answer("batch", TODAY, 2), scene.answer("batch", TODAY, 0)) == (None, None)


def test_a_batch_is_posted_once(scene):
    call = scene.batch()
    scene.accept(call)
    scene.refuse(call, Reason.MINING_BAD_BATCH)
    scene.refuse(scene.batch(number=3), Reason.MINING_BAD_BATCH)
    scene.accept(scene.batch())
    assert get_mining_epoch(scene.state, TODAY).batch_force == 2_000


@pytest.mark.parametrize(
    "changes",
    [
        {"user_force": 1_001},
        {"provider_force": 1},
        {"records": 11},
        {"times": 9},
    ],
)
def test_totals_that_no_records_come_to(scene, changes):
    total = scene.total(**changes)
    call = scene.batch(totals=(total,), records=total.records, force=1)
    scene.refuse(call, Reason.MINING_BAD_BATCH)


def test_totals_add_up(scene):
    purchases = BehaviourTotal(Behaviour.PURCHASE, 2, 4, 400, 200)
    totals = (scene.total(), purchases)
    for changes in ({"records": 11}, {"force": 1_601}, {"totals": totals[::-1]}, {"totals": (totals[0], totals[0])}):
        scene.refuse(
            scene.batch(**{"totals": totals, "records": 12, "force": 1_600, **changes}), Reason.MINING_BAD_BATCH
        )
    scene.accept(scene.batch(totals=totals, records=12, force=1_600))


def test_an_epoch_has_so_many_batches(scene):
    put_mining_epoch(scene.state, TODAY, replace(NEW_EPOCH, batches=BATCHES_MAX))
    scene.refuse(scene.batch(number=BATCHES_MAX), Reason.MINING_BATCHES_LIMIT)


def test_more_force_than_all_the_world_has_is_refused(scene):
    put_mining_epoch(scene.state, TODAY, replace(NEW_EPOCH, vouched_force=10**15 - 999))
    scene.refuse(scene.batch(), Reason.MINING_BAD_BATCH)


# N4


def test_a_correction_takes_a_batchs_place(scene):
    scene.accept(scene.batch())
    scene.accept(scene.batch(corrected=1, force=700))
    assert get_mining_epoch(scene.state, TODAY) == replace(NEW_EPOCH, batches=2, batch_force=700)
    assert [batch.status for batch in scene.answer("claim", TODAY, scene.alice).batches] == [BatchStatus.STANDING]
    assert get_batch(scene.state, TODAY, 1).status is BatchStatus.CORRECTED
    scene.refuse(scene.batch(corrected=1), Reason.MINING_UNKNOWN_BATCH)


def test_a_correction_is_signed_by_all_who_signed_before(scene):
    scene.accept(scene.batch())
    scene.refuse(scene.batch(scene.gates[1:], corrected=1), Reason.MINING_NOT_CORRECTABLE)
    scene.accept(scene.batch(scene.gates, corrected=1))


def test_corrections_come_to_an_end(scene):
    scene.accept(scene.batch())
    for number in range(1, CORRECTIONS_MAX + 1):
        scene.accept(scene.batch(corrected=number))
    scene.refuse(scene.batch(corrected=CORRECTIONS_MAX + 1), Reason.MINING_NOT_CORRECTABLE)


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


def test_marks_of_vehicles_are_cleared_after_their_day(scene):
    scene.accept(scene.record())
    scene.end_block(TODAY + 2)
    scene.accept(scene.record())
    marks = [key for key, value in scene.state.changes.items() if key[0] == 165 and value is not None]
    assert [key[1:5] for key in marks] == [(TODAY + 2).to_bytes(4, "big")]


# N6


def post_tree(scene, leaves, number=1, **changes):
    root, proofs = build_tree(leaves, number)
    scene.accept(scene.batch(root=root, **changes))
    return proofs


def test_two_records_of_one_act_in_a_batch_void_it_and_suspend_its_attesters(scene):
    leaves = [build_leaf(scene.alice), build_leaf(scene.bob, vehicle=NO_TAG), build_leaf(scene.alice)]
    proofs = post_tree(scene, leaves)
    receipt = scene.accept(scene.challenge(proofs[0], proofs[2]))
    assert receipt.events == (Event("mining", "BatchVoided", [TODAY, 1, 1_000, True]),)
    assert get_mining_epoch(scene.state, TODAY) == replace(NEW_EPOCH, batches=1)
    until = Suspension(Epoch(TODAY + DEFAULT_RULES.suspension_epochs), 1)
    assert [get_suspension(scene.state, gate) for gate in scene.gates] == [until, until, None]
    scene.refuse(scene.challenge(proofs[0], proofs[2]), Reason.MINING_UNKNOWN_BATCH)
    scene.refuse(scene.batch(), Reason.MINING_NOT_AN_ATTESTER)
    scene.day = TODAY + DEFAULT_RULES.suspension_epochs
    scene.end_block(scene.day)
    scene.end_block(scene.day)
    scene.accept(scene.batch())


def test_one_vehicle_for_two_users_in_two_batches_voids_the_later(scene):
    first = post_tree(scene, [build_leaf(scene.alice)])
    second = post_tree(scene, [build_leaf(scene.bob), build_leaf(scene.gates[2], vehicle=NO_TAG)], 2)
    receipt = scene.accept(scene.challenge(second[0], first[0]))
    assert receipt.events == (Event("mining", "BatchVoided", [TODAY, 2, 1_000, False]),)
    assert [get_batch(scene.state, TODAY, n).status for n in (1, 2)] == [BatchStatus.STANDING, BatchStatus.VOID]
    assert get_suspension(scene.state, scene.gates[0]) is None


def test_a_record_is_not_twice_itself_nor_another(scene):
    phone = compute_tag(TagKind.PHONE, TODAY, HASH)
    leaves = [build_leaf(scene.alice), build_leaf(scene.bob, vehicle=NO_TAG, phone=phone)]
    proofs = post_tree(scene, leaves)
    scene.refuse(scene.challenge(proofs[0], proofs[0]), Reason.MINING_NOT_TWICE)
    scene.refuse(scene.challenge(proofs[0], proofs[1]), Reason.MINING_NOT_TWICE)


def test_records_are_proven(scene):
    proofs = post_tree(scene, [build_leaf(scene.alice), build_leaf(scene.alice, commitment=HASH)])
    forged = replace(proofs[1], leaf=bytes(len(proofs[1].leaf)))
    scene.refuse(scene.challenge(proofs[0], forged), Reason.MINING_BAD_PROOF)
    scene.refuse(scene.challenge(proofs[0], replace(proofs[1], path=proofs[0].path)), Reason.MINING_BAD_PROOF)
    scene.refuse(scene.challenge(proofs[0], replace(proofs[1], number=2)), Reason.MINING_UNKNOWN_BATCH)
    yesterday = post_tree(scene, [build_leaf(scene.alice, TODAY - 1)] * 2, 2)
    scene.refuse(scene.challenge(*yesterday), Reason.MINING_BAD_PROOF)


def test_a_batch_is_challenged_after_its_closing_without_changing_the_past(scene):
    proofs = post_tree(scene, [build_leaf(scene.alice)] * 2)
    scene.end_block(TODAY + 2)
    scene.day = TODAY + CHALLENGE_EPOCHS_MAX + 1
    scene.refuse(scene.challenge(*proofs, epoch=TODAY), Reason.MINING_EPOCH_CLOSED)
    scene.day = TODAY + CHALLENGE_EPOCHS_MAX
    before = get_mining_epoch(scene.state, TODAY)
    scene.accept(scene.challenge(*proofs, epoch=TODAY))
    assert get_mining_epoch(scene.state, TODAY) == before
    assert get_batch(scene.state, TODAY, 1).status is BatchStatus.VOID


# N7 and N8


def weight_of(scene, epoch):
    return get_weight(scene.state, scene.alice, epoch, DEFAULT_RULES.weight_recovery_epochs)


def test_a_suspicious_identitys_weight_is_lowered_and_recovers(scene):
    receipt = scene.accept(scene.weigh())
    assert receipt.events == (Event("mining", "WeightSet", [scene.alice, 40, int(WeightReason.AUTOMATED), 1]),)
    expected = Weight(1, 40, TODAY, WeightReason.AUTOMATED, HASH, scene.gates[:2], 0)
    assert scene.answer("statement", scene.alice).weight == expected
    assert [weight_of(scene, TODAY + days) for days in (0, 1, 59, 60, 61)] == [40, 41, 99, 100, 100]


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
    scene.accept(scene.appeal(turn=2))


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


def test_an_epoch_is_closed_by_the_first_block_after_its_time(scene):
    scene.accept(scene.batch())
    scene.accept(scene.record())
    expected = close_epoch(MINING_FUND_GRAINS, SHARE, 0, 1_100, NEW_MARKET, DEFAULT_RULES)
    assert scene.end_block(TODAY) == []
    left = MINING_FUND_GRAINS
    assert scene.end_block(TODAY + 1) == [Event("mining", "EpochClosed", [TODAY - 1, 0, 0, 0, left])]
    left -= expected.released_grains
    height = Height(scene.height)
    fields = [TODAY, 1_100, 10**12, 1_100 * 10**6, left]
    assert scene.end_block(TODAY + 2) == [Event("mining", "EpochClosed", fields)]
    assert scene.end_block(TODAY + 2) == []
    outcome = Outcome(height, 0, 0, expected.budget_grains, 1_100, 10**12, 10**12, 1_100 * 10**6, left)
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
    scene.accept(scene.batch(epoch=TODAY))
    later = TODAY + 100
    first, second = scene.end_block(later), scene.end_block(later)
    assert [event.fields[0] for event in first] == list(range(TODAY - 1, TODAY - 1 + CLOSINGS_MAX))
    assert second[0].fields[0] == TODAY - 1 + CLOSINGS_MAX
    assert [event.fields[3] > 0 for event in (*first, *second)] == [False, True] + [False] * (2 * CLOSINGS_MAX - 2)


def test_fees_and_advertising_count_for_the_epoch_that_closes_next(scene):
    scene.end_block(TODAY, fees_grains=5)
    assert get_revenue(scene.state) == 0
    scene.accept(scene.batch())
    scene.end_block(TODAY, fees_grains=300)
    note_revenue(scene.state, 700)
    assert get_revenue(scene.state) == 1_000
    scene.end_block(TODAY + 1, fees_grains=40)
    outcome = get_mining_epoch(scene.state, TODAY - 1).outcome
    plain = MINING_FUND_GRAINS * SHARE >> RELEASE_SCALE_BITS
    assert (outcome.revenue_grains, outcome.topup_grains, outcome.budget_grains) == (1_000, 100, plain + 100)
    assert get_revenue(scene.state) == 40


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
    scene.refuse(scene.batch(scene.gates[:1]), Reason.MINING_TOO_FEW_ATTESTERS)
    scene.day = TODAY + 1
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


def test_governance_reinstates_an_attester(scene):
    with pytest.raises(Rejected, match="not suspended"):
        decide(scene, ProposeMiningReinstatement(scene.gates[0], TERMS))
    proofs = post_tree(scene, [build_leaf(scene.alice)] * 2)
    scene.accept(scene.challenge(*proofs))
    for gate in scene.gates[:2]:
        decide(scene, ProposeMiningReinstatement(gate, TERMS))
    assert scene.answer("attester", scene.gates[0]) == Suspension(Epoch(0), 1)
    scene.accept(scene.batch())


def test_before_there_is_a_source_days_pay_nothing(scene):
    scene.state.delete(MINING_SOURCE_KEY)
    scene.accept(scene.batch())
    scene.end_block(TODAY + 2)
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
    scene.accept(scene.batch())
    scene.end_block(TODAY + 2)
    described = scene.answer("epoch", TODAY)
    assert (described.is_open, described.released_grains) == (False, 10**9)
    assert described.forecast.at_this_rate == (MINING_FUND_GRAINS - 10**9) // 10**9


def test_the_view_of_a_claim_tells_what_records_are_worth(scene):
    scene.accept(scene.record())
    claim = scene.answer("claim", TODAY, scene.alice)
    assert (claim.vouched_force, claim.price_micrograins, claim.vouched_grains) == (100, None, None)
    scene.end_block(TODAY + 2)
    claim = scene.answer("claim", TODAY, scene.alice)
    assert (claim.price_micrograins, claim.vouched_grains) == (10**12, 10**8)
    (statement,) = scene.answer("statement", scene.alice).records
    assert (statement.epoch, statement.price_micrograins, statement.reward_grains) == (TODAY, 10**12, 10**8)
