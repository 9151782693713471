"""Mining: what behaviour of users and providers counts for, day by day, and what it is paid (docs/mining.md).

The formulas stand in mining_formulas.py, what the state holds and what is signed in mining_records.py, the end of a day
in mining_epochs.py. Whoever sends a transaction has no say in it.

Rules
* N1 An epoch is a day of UTC. Its records come in while it lasts and for `settling_epochs` whole days after it.
* N2 Attesters are identities with that role that are not suspended. `attesters_min` of them agree on whatever they say.
* N3 Attesters post a day's records as a batch: the root of their leaves, and what they come to. A batch names the next
  number of its epoch, so it is posted once. Its totals are possible by the rules of that epoch.
* N4 Attesters correct a batch by another one, CORRECTIONS_MAX times, while its epoch is open; all who signed the former
  one sign the correction.
* N5 User and vehicle record behaviour that vehicles vouch for without attesters: the vehicle has an attested number and
  is the user's, or the user may drive it. One record of a behaviour is an identity's on a day; one vehicle earns for
  one identity on a day.
* N6 Whoever shows two records of standing batches that earn twice for one thing voids the later batch, up to
  CHALLENGE_EPOCHS_MAX days after; what an open epoch counted of it is taken back. If both stand in one batch, those who
  signed it are suspended.
* N7 Attesters lower the weight of a suspicious identity, and say why. It recovers by a hundredth every
  `weight_recovery_epochs`; they set it again, also to clear it.
* N8 The identity appeals once against each weight. An appeal that attesters do not answer by setting the weight again
  within `appeal_epochs` is granted: the weight is full.
* N9 The first block after an epoch's time closes it: force, budget, price (rules F3 to F6), and what it pays leaves the
  fund for the source of distributions that governance has named, through which it is claimed. Nothing else ever leaves
  the fund; before there is a source, days pay nothing.
* N10 Days without records release nothing. Fees and spent advertising count as revenue of the epoch that closes next.
* N11 Governance changes rules and behaviours from the next day on; every version is kept. It also reinstates attesters.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import islice, pairwise
from typing import Annotated, Any, Final

from annotated_types import Len

from identity.did import DID_BYTES, Did
from identity.mining_record import InvalidMiningLeafError, MiningLeaf, decode_mining_leaf, is_same_act
from identity.signing import SigningPurpose
from ledger.codec import encode
from ledger.merkle import compute_leaf_hash, compute_path_root
from ledger.primitives import Grains
from ledger.reasons import Reason, Rejected
from ledger.state import State, StateReader, end_of_prefix
from ledger.state_keys import (
    MINING_VEHICLE_PREFIX,
    MINING_WEIGHT_PREFIX,
    mining_record_key,
    mining_vehicle_key,
)
from vm.context import Context, Moment
from vm.gas import GAS_STATE_READ, GAS_STATE_WRITE
from vm.native.did_control import check_agreed, check_did_signatures, check_signatures, get_party
from vm.native.did_payloads import DidSignatures
from vm.native.did_records import GAS_DID_READ, OWNED_KINDS, SIGNED_GAS_WORDS, get_active_did, get_did_record
from vm.native.distribution_tree import GAS_PROOF_HASH
from vm.native.mining_epochs import EpochClosed
from vm.native.mining_formulas import (
    FORCE_MAX,
    NEW_MARKET,
    WEIGHT_FULL,
    Behaviour,
    Earning,
    Epoch,
    Market,
    compute_earned_force,
    compute_epoch,
    compute_identity_force,
    compute_reward,
    forecast_depletion,
    forecast_exhaustion,
)
from vm.native.mining_records import (
    BATCHES_MAX,
    CORRECTIONS_MAX,
    MODULE_NAME,
    AppealPayload,
    Batch,
    BatchPayload,
    BatchStatus,
    BehaviourTotal,
    LeafProof,
    MiningEpoch,
    Progress,
    RecordPayload,
    RulesVersion,
    Suspension,
    VouchedRecord,
    Weight,
    WeightPayload,
    WeightReason,
    find_behaviour,
    get_batch,
    get_fund,
    get_mining_epoch,
    get_progress,
    get_revenue,
    get_rules,
    get_standing_batch,
    get_suspension,
    get_weight,
    get_weight_record,
    list_batches,
    list_day_records,
    list_rules_epochs,
    put_batch,
    put_mining_epoch,
    put_progress,
    put_weight,
    suspend,
)
from vm.native.role_records import Role, holds_role
from vm.native.rules import CallRule, EventRule, ModuleRule, ViewRule
from vm.native.vehicle_records import AccessScope, get_active_vehicle, get_binding, get_vehicle
from vm.native.vehicles import is_granted

CHALLENGE_EPOCHS_MAX: Final = 30  # after that the records are no longer kept at hand
WEIGHTS_PAGE: Final = 200  # records of up to 300 bytes that one question reads
STATEMENT_EPOCHS: Final = 31  # days that a statement tells of
VEHICLES_CLEARED_MAX: Final = 2  # marks of past days that a record removes: more than it makes, so they do not pile up

_GAS_EPOCH: Final = 4 * GAS_STATE_READ + 2 * GAS_STATE_WRITE
"""Progress, rules and the epoch's record, of which two may change."""
_GAS_ATTESTER: Final = GAS_DID_READ + 2 * GAS_STATE_READ
_GAS_BATCH: Final = _GAS_EPOCH + 2 * GAS_STATE_READ + 2 * GAS_STATE_WRITE
_GAS_RECORD: Final = _GAS_EPOCH + 3 * GAS_DID_READ + 12 * GAS_STATE_READ + (3 + VEHICLES_CLEARED_MAX) * GAS_STATE_WRITE
_GAS_CHALLENGE: Final = _GAS_EPOCH + 2 * GAS_STATE_READ + GAS_STATE_WRITE
_GAS_SUSPENSION: Final = GAS_STATE_READ + GAS_STATE_WRITE
_GAS_WEIGHT: Final = GAS_DID_READ + 3 * GAS_STATE_READ + GAS_STATE_WRITE


@dataclass(frozen=True, slots=True)
class PostBatch:
    """Say what a day's records come to."""

    payload: BatchPayload
    signatures: DidSignatures


@dataclass(frozen=True, slots=True)
class Record:
    """Record behaviour that a vehicle vouches for."""

    payload: RecordPayload
    signatures: DidSignatures


@dataclass(frozen=True, slots=True)
class Challenge:
    """Show two records that earn twice for one thing."""

    epoch: Epoch
    first: LeafProof
    second: LeafProof


@dataclass(frozen=True, slots=True)
class SetWeight:
    """Let the force of an identity count for less, or for all again."""

    payload: WeightPayload
    signatures: DidSignatures


@dataclass(frozen=True, slots=True)
class Appeal:
    """Object to one's weight."""

    payload: AppealPayload
    signatures: DidSignatures


@dataclass(frozen=True, slots=True)
class BatchPosted:
    """A day's records are counted."""

    epoch: Epoch
    number: int
    root: bytes
    records: int
    force: int
    corrected: int
    """The batch whose place it takes; 0: none."""


@dataclass(frozen=True, slots=True)
class BatchVoided:
    """A batch counts no more."""

    epoch: Epoch
    number: int
    force: int
    is_suspended: bool
    """Whether those who signed it are."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """User and vehicle have recorded something."""

    did: Did
    vehicle: Did
    epoch: Epoch
    behaviour: Behaviour
    count: int
    force: int


@dataclass(frozen=True, slots=True)
class WeightSet:
    """The force of an identity counts for so much from this day on."""

    did: Did
    weight_hundredths: int
    reason: WeightReason
    turn: int


@dataclass(frozen=True, slots=True)
class WeightAppealed:
    """An identity objects; unanswered, the appeal is granted from an epoch on."""

    did: Did
    turn: int
    granted_from: Epoch


@dataclass(frozen=True, slots=True)
class Forecast:
    """How long the fund lasts, in epochs."""

    at_this_rate: int | None
    """If each released as much as the last one that was closed; None: it released nothing."""
    until_half: int
    """If each released its whole budget: until half of the allocation is left."""
    until_hundredth: int


@dataclass(frozen=True, slots=True)
class EpochDescription:
    """A day of mining as the view tells it."""

    epoch: Epoch
    record: MiningEpoch
    is_open: bool
    """Whether it takes records."""
    rules_from: Epoch
    """The first epoch of the rules that hold in it."""
    fund_grains: Grains
    """What is left now."""
    released_grains: Grains
    """All that has left the fund by now."""
    revenue_grains: Grains
    """Counted for the epoch that closes next."""
    market: Market
    forecast: Forecast


@dataclass(frozen=True, slots=True)
class LoweredWeight:
    """An identity whose force does not count in full."""

    did: Did
    weight_hundredths: int


@dataclass(frozen=True, slots=True)
class WeightPage:
    """Lowered weights, in order of the identities."""

    weights: tuple[LoweredWeight, ...]
    next_after: bytes | None
    """Where the next page begins; None on the last one."""


@dataclass(frozen=True, slots=True)
class RecordStatement:
    """A record that a vehicle vouched for, and what it is worth."""

    epoch: Epoch
    behaviour: Behaviour
    record: VouchedRecord
    price_micrograins: int | None
    """None while the epoch is open."""
    reward_grains: Grains | None


@dataclass(frozen=True, slots=True)
class Statement:
    """What the chain knows of an identity's mining; what attesters count stands in their files, under these roots."""

    did: Did
    weight_hundredths: int
    """Today."""
    weight: Weight | None
    """The last decision on it."""
    records: tuple[RecordStatement, ...]


@dataclass(frozen=True, slots=True)
class ClaimDescription:
    """What the chain knows of an identity's reward of one day."""

    epoch: Epoch
    did: Did
    weight_hundredths: int
    vouched_force: int
    """By records that vehicles vouched for."""
    price_micrograins: int | None
    """None while the epoch is open."""
    vouched_grains: Grains | None
    batches: tuple[Batch, ...]
    """Under whose roots the other records of that day are proven."""


# What calls do


def apply_post_batch(state: State, context: Context, call: PostBatch) -> None:
    """Rules N1 to N4."""
    given = call.payload
    record = _open_epoch(state, context, given.epoch)
    version = get_rules(state, given.epoch)
    _check_attesters(state, context, given.attesters, version.rules.attesters_min)
    if given.gateway not in given.attesters:
        raise Rejected(Reason.MINING_TOO_FEW_ATTESTERS, "who has built a batch signs it")
    if record.batches >= BATCHES_MAX:
        raise Rejected(Reason.MINING_BATCHES_LIMIT, f"an epoch has at most {BATCHES_MAX} batches", maximum=BATCHES_MAX)
    if given.number != record.batches + 1:
        raise Rejected(Reason.MINING_BAD_BATCH, "this is not the next number", expected=record.batches + 1)
    _check_totals(given, version)
    former = None
    if given.corrected:
        former = get_standing_batch(state, given.epoch, given.corrected)
        if former.corrections >= CORRECTIONS_MAX or not all(
            each in given.attesters for each in former.payload.attesters
        ):
            raise Rejected(
                Reason.MINING_NOT_CORRECTABLE,
                f"a batch is corrected by all who signed it, {CORRECTIONS_MAX} times",
                maximum=CORRECTIONS_MAX,
            )
    force = record.batch_force + given.force - (former.payload.force if former else 0)
    if force + record.vouched_force > FORCE_MAX:
        raise Rejected(Reason.MINING_BAD_BATCH, "so much force is nobody's", maximum=FORCE_MAX)
    check_signatures(context, SigningPurpose.MINING_BATCH, encode(given), call.signatures)
    parties = [get_party(state, context, each) for each in given.attesters]
    check_agreed(state, context, parties, call.signatures)
    if former is not None:
        put_batch(state, replace(former, status=BatchStatus.CORRECTED))
    corrections = 0 if former is None else former.corrections + 1
    put_batch(state, Batch(given, BatchStatus.STANDING, corrections, context.block.height))
    put_mining_epoch(state, given.epoch, replace(record, batches=given.number, batch_force=force))
    fields = (given.epoch, given.number, given.root, given.records, given.force, given.corrected)
    context.emit(MODULE.name, BatchPosted.__name__, *fields)


def apply_record(state: State, context: Context, call: Record) -> None:
    """Rules N1 and N5."""
    given = call.payload
    epoch = _open_epoch(state, context, given.epoch)
    version = get_rules(state, given.epoch)
    rule = find_behaviour(version, given.behaviour)
    if rule is None or rule.user is None or not rule.is_vehicle_vouched:
        raise Rejected(Reason.MINING_BAD_RECORD, "no vehicle vouches for this behaviour alone")
    if given.count > rule.user.count_max:
        raise Rejected(Reason.MINING_BAD_RECORD, "more does not count", maximum=rule.user.count_max)
    if get_active_did(state, given.did).current.content.kind in OWNED_KINDS:
        raise Rejected(Reason.MINING_BAD_RECORD, "vehicles and devices earn nothing for themselves")
    nullifier = _check_vehicle(state, context, given)
    vehicle_key = mining_vehicle_key(given.epoch, nullifier)
    earner = state.get(vehicle_key)
    key = mining_record_key(given.did, given.epoch, given.behaviour)
    if earner not in (None, given.did) or state.get(key) is not None:
        raise Rejected(Reason.MINING_EARNED_ALREADY, "identity or vehicle have earned for this on that day")
    _check_user_and_vehicle(state, context, call)
    force = _compute_added_force(state, version, given, rule.user)
    if epoch.force + force > FORCE_MAX:
        raise Rejected(Reason.MINING_BAD_RECORD, "so much force is nobody's", maximum=FORCE_MAX)
    vouched = VouchedRecord(given.vehicle, given.count, force, given.commitment, context.block.height)
    state.put(key, encode(vouched))
    state.put(vehicle_key, given.did)
    _clear_vehicles(state)
    put_mining_epoch(
        state,
        given.epoch,
        replace(epoch, vouched_force=epoch.vouched_force + force, vouched_records=epoch.vouched_records + 1),
    )
    fields = (given.did, given.vehicle, given.epoch, int(given.behaviour), given.count, force)
    context.emit(MODULE.name, Recorded.__name__, *fields)


def apply_challenge(state: State, context: Context, call: Challenge) -> None:
    """Rule N6; anybody may send it."""
    today = compute_epoch(context.block.time_ms)
    if call.epoch + CHALLENGE_EPOCHS_MAX < today:
        raise Rejected(Reason.MINING_EPOCH_CLOSED, f"a batch is challenged for {CHALLENGE_EPOCHS_MAX} days")
    leaves = [_check_proof(state, call.epoch, proof) for proof in (call.first, call.second)]
    places = [
        (proof.number, [sibling.is_left for sibling in proof.path.siblings]) for proof in (call.first, call.second)
    ]
    if places[0] == places[1] or not is_same_act(*leaves):
        raise Rejected(Reason.MINING_NOT_TWICE, "these are not two records that earn twice for one thing")
    number = max(call.first.number, call.second.number)
    batch = get_standing_batch(state, call.epoch, number)
    put_batch(state, replace(batch, status=BatchStatus.VOID))
    record = get_mining_epoch(state, call.epoch)
    if record.outcome is None:
        force = record.batch_force - batch.payload.force
        put_mining_epoch(state, call.epoch, replace(record, batch_force=force))
    is_suspended = call.first.number == call.second.number
    if is_suspended:
        until = Epoch(today + get_rules(state, today).rules.suspension_epochs)
        for attester in batch.payload.attesters:
            context.gas.charge(_GAS_SUSPENSION)
            suspend(state, attester, until)
    fields = (call.epoch, number, batch.payload.force, is_suspended)
    context.emit(MODULE.name, BatchVoided.__name__, *fields)


def apply_set_weight(state: State, context: Context, call: SetWeight) -> None:
    """Rules N2 and N7."""
    given, today = call.payload, compute_epoch(context.block.time_ms)
    _check_attesters(state, context, given.attesters, get_rules(state, today).rules.attesters_min)
    if (given.reason is WeightReason.CLEARED) is not (given.weight_hundredths == WEIGHT_FULL):
        raise Rejected(Reason.BAD_ARGUMENTS, "who is cleared has full weight, and nobody else")
    if get_did_record(state, given.did) is None:
        raise Rejected(Reason.UNKNOWN_DID, "the chain knows no such identity")
    record = get_weight_record(state, given.did)
    turn = 0 if record is None else record.turn
    if given.turn != turn:
        raise Rejected(Reason.MINING_WEIGHT_STALE, f"the weight was set {turn} times: sign for that", turn=turn)
    check_signatures(context, SigningPurpose.MINING_WEIGHT, encode(given), call.signatures)
    parties = [get_party(state, context, each) for each in given.attesters]
    check_agreed(state, context, parties, call.signatures)
    weight = Weight(
        turn + 1, given.weight_hundredths, today, given.reason, given.evidence_hash, given.attesters, granted_from=0
    )
    put_weight(state, given.did, weight)
    fields = (given.did, given.weight_hundredths, int(given.reason), weight.turn)
    context.emit(MODULE.name, WeightSet.__name__, *fields)


def apply_appeal(state: State, context: Context, call: Appeal) -> None:
    """Rule N8."""
    given, today = call.payload, compute_epoch(context.block.time_ms)
    record, rules = get_weight_record(state, given.did), get_rules(state, today).rules
    if record is None or get_weight(state, given.did, today, rules.weight_recovery_epochs) == WEIGHT_FULL:
        raise Rejected(Reason.MINING_NOTHING_TO_APPEAL, "the identity's force counts in full")
    if given.turn != record.turn:
        raise Rejected(Reason.MINING_WEIGHT_STALE, f"the weight is number {record.turn}", turn=record.turn)
    if record.granted_from:
        raise Rejected(Reason.MINING_NOTHING_TO_APPEAL, "an appeal waits already")
    purpose = SigningPurpose.MINING_APPEAL
    check_did_signatures(state, context, given.did, purpose, encode(given), call.signatures)
    granted_from = Epoch(today + rules.appeal_epochs)
    put_weight(state, given.did, replace(record, granted_from=granted_from))
    context.emit(MODULE.name, WeightAppealed.__name__, given.did, record.turn, granted_from)


def _open_epoch(state: State, context: Context, epoch: Epoch) -> MiningEpoch:
    """Rule N1: an epoch that takes records; the first of all begins mining. Raises Rejected."""
    today = compute_epoch(context.block.time_ms)
    settling = get_rules(state, epoch).rules.settling_epochs
    progress = get_progress(state)
    earliest = today - settling if progress is None else max(progress.next_epoch, today - settling)
    if not earliest <= epoch <= today:
        raise Rejected(
            Reason.MINING_EPOCH_CLOSED, f"records are of days {earliest} to {today}", minimum=earliest, maximum=today
        )
    if progress is None:
        begun = Epoch(max(0, earliest))
        put_progress(state, Progress(begun, begun, Grains(get_fund(state)), Grains(0), NEW_MARKET))
    return get_mining_epoch(state, epoch)


def _check_attesters(state: StateReader, context: Context, attesters: Sequence[Did], minimum: int) -> None:
    """Rule N2; raises Rejected. That they signed is checked by the caller."""
    if len(attesters) < minimum or not all(left < right for left, right in pairwise(attesters)):
        raise Rejected(
            Reason.MINING_TOO_FEW_ATTESTERS, f"{minimum} attesters agree, in order, each once", minimum=minimum
        )
    for attester in attesters:
        _check_attester(state, context, attester)


def _check_attester(state: StateReader, context: Context, did: Did) -> None:
    context.gas.charge(_GAS_ATTESTER)
    if not holds_role(state, did, Role.ATTESTER, context.block.height):
        raise Rejected(Reason.MINING_NOT_AN_ATTESTER, "the identity is no attester")
    suspension = get_suspension(state, did)
    if suspension is not None and compute_epoch(context.block.time_ms) < suspension.until_epoch:
        raise Rejected(Reason.MINING_NOT_AN_ATTESTER, "the attester is suspended", until_epoch=suspension.until_epoch)


def _check_totals(given: BatchPayload, version: RulesVersion) -> None:
    """Rule N3: possible totals; raises Rejected."""
    if not all(left.behaviour < right.behaviour for left, right in pairwise(given.totals)):
        raise Rejected(Reason.MINING_BAD_BATCH, "totals stand in order of the behaviours, each once")
    if not all(_is_possible(total, version) for total in given.totals):
        raise Rejected(Reason.MINING_BAD_BATCH, "no records of this behaviour come to that")
    records = sum(total.records for total in given.totals)
    force = sum(total.user_force + total.provider_force for total in given.totals)
    if given.records != records or given.force > force:
        raise Rejected(Reason.MINING_BAD_BATCH, "the totals do not add up", records=records, force=force)


def _is_possible(total: BehaviourTotal, version: RulesVersion) -> bool:
    rule = find_behaviour(version, total.behaviour)
    if rule is None or total.records > total.times:
        return False
    bases = [0 if earning is None else earning.base_force for earning in (rule.user, rule.provider)]
    return total.user_force <= total.times * bases[0] and total.provider_force <= total.times * bases[1]


def _check_vehicle(state: StateReader, context: Context, given: RecordPayload) -> bytes:
    """Rule N5: the nullifier of a vehicle that is the user's to drive; raises Rejected."""
    identity = get_active_vehicle(state, given.vehicle)
    record = get_vehicle(state, given.vehicle)
    if record.vin is None:
        raise Rejected(Reason.VIN_NOT_ATTESTED, "nobody has attested the vehicle's number")
    if get_binding(record, identity) is None:
        raise Rejected(Reason.VEHICLE_NOT_BOUND, "vehicle and present owner have not confirmed each other")
    is_owner = identity.current.content.owner == given.did
    if not is_owner and not is_granted(state, given.vehicle, given.did, AccessScope.DRIVING, context.block.height):
        raise Rejected(Reason.MINING_BAD_RECORD, "the user neither owns the vehicle nor may drive it")
    return record.vin.nullifier


def _check_user_and_vehicle(state: StateReader, context: Context, call: Record) -> None:
    """Rule N5: both sign, the vehicle with keys of its own; raises Rejected."""
    given = call.payload
    policy = get_active_vehicle(state, given.vehicle).current.content.control.keys.policy
    if policy is None:
        raise Rejected(Reason.VEHICLE_WITHOUT_KEYS, "the vehicle has no keys of its own that could sign")
    check_signatures(context, SigningPurpose.MINING_RECORD, encode(given), call.signatures)
    parties = [get_party(state, context, given.did), (given.vehicle, policy)]
    check_agreed(state, context, parties, call.signatures)


def _compute_added_force(state: StateReader, version: RulesVersion, given: RecordPayload, earning: Earning) -> int:
    """Rule F2: what a record adds to the day's force of its user."""
    rules = version.rules
    before = 0
    for behaviour, record in list_day_records(state, given.did, given.epoch):
        rule = find_behaviour(version, behaviour)
        assert rule is not None and rule.user is not None, "the rules of a day that has begun do not change"
        before += compute_earned_force(rule.user, record.count)
    weight = get_weight(state, given.did, given.epoch, rules.weight_recovery_epochs)
    after = before + compute_earned_force(earning, given.count)
    limits = rules.user_force_max, weight
    return compute_identity_force(after, *limits) - compute_identity_force(before, *limits)


def _clear_vehicles(state: State) -> None:
    """Remove marks of epochs that are closed: no record of theirs comes any more."""
    progress = get_progress(state)
    assert progress is not None, "a record has begun mining"
    past = state.iterate_range(MINING_VEHICLE_PREFIX, mining_vehicle_key(progress.next_epoch, b""))
    for key, _ in list(islice(past, VEHICLES_CLEARED_MAX)):
        state.delete(key)


def _check_proof(state: StateReader, epoch: Epoch, proof: LeafProof) -> MiningLeaf:
    """A record that stands in a standing batch; raises Rejected."""
    batch = get_standing_batch(state, epoch, proof.number)
    try:
        leaf = decode_mining_leaf(proof.leaf)
    except InvalidMiningLeafError as error:
        raise Rejected(Reason.MINING_BAD_PROOF, str(error)) from None
    if leaf.epoch != epoch or compute_path_root(proof.path, compute_leaf_hash(proof.leaf)) != batch.payload.root:
        raise Rejected(Reason.MINING_BAD_PROOF, f"the record is not proven to stand in batch {proof.number}")
    return leaf


# Questions


def forecast_fund(state: StateReader, epoch: Epoch) -> Forecast:
    """How long the fund lasts by the rules of an epoch."""
    progress, share = get_progress(state), get_rules(state, epoch).release_share
    fund_grains = get_fund(state)
    allocation = fund_grains if progress is None else progress.allocation_grains
    last = None
    if progress is not None and progress.next_epoch > progress.first_epoch:
        last = get_mining_epoch(state, progress.next_epoch - 1).outcome
    return Forecast(
        None if last is None else forecast_exhaustion(fund_grains, last.released_grains),
        forecast_depletion(fund_grains, allocation // 2, share),
        forecast_depletion(fund_grains, allocation // 100, share),
    )


def describe_epoch(state: StateReader, moment: Moment, epoch: Epoch) -> EpochDescription:
    """A day of mining, and how the fund does now."""
    version, progress = get_rules(state, epoch), get_progress(state)
    today = compute_epoch(moment.time_ms)
    record = get_mining_epoch(state, epoch)
    is_open = record.outcome is None and epoch <= today <= epoch + version.rules.settling_epochs
    return EpochDescription(
        epoch,
        record,
        is_open and (progress is None or epoch >= progress.next_epoch),
        version.first_epoch,
        Grains(get_fund(state)),
        Grains(0) if progress is None else progress.released_grains,
        Grains(get_revenue(state)),
        NEW_MARKET if progress is None else progress.market,
        forecast_fund(state, epoch),
    )


def describe_claim(state: StateReader, epoch: Epoch, did: Did) -> ClaimDescription:
    """What the chain knows of an identity's reward of one day."""
    outcome, rules = get_mining_epoch(state, epoch).outcome, get_rules(state, epoch).rules
    force = sum(record.force for _, record in list_day_records(state, did, epoch))
    price = None if outcome is None else outcome.price_micrograins
    return ClaimDescription(
        epoch,
        did,
        get_weight(state, did, epoch, rules.weight_recovery_epochs),
        force,
        price,
        None if price is None else Grains(compute_reward(force, price)),
        tuple(batch for batch in list_batches(state, epoch) if batch.status is BatchStatus.STANDING),
    )


def build_statement(state: StateReader, moment: Moment, did: Did) -> Statement:
    """What the chain knows of an identity's mining in the last STATEMENT_EPOCHS days, the newest first."""
    today = compute_epoch(moment.time_ms)
    records = [
        _state_record(state, Epoch(epoch), behaviour, record)
        for epoch in range(today, max(-1, today - STATEMENT_EPOCHS), -1)
        for behaviour, record in list_day_records(state, did, epoch)
    ]
    recovery = get_rules(state, today).rules.weight_recovery_epochs
    return Statement(did, get_weight(state, did, today, recovery), get_weight_record(state, did), tuple(records))


def _state_record(state: StateReader, epoch: Epoch, behaviour: Behaviour, record: VouchedRecord) -> RecordStatement:
    outcome = get_mining_epoch(state, epoch).outcome
    price = None if outcome is None else outcome.price_micrograins
    reward = None if price is None else Grains(compute_reward(record.force, price))
    return RecordStatement(epoch, behaviour, record, price, reward)


def answer_epoch(state: StateReader, moment: Moment, epoch: Epoch) -> EpochDescription:
    """The view of a day of mining."""
    return describe_epoch(state, moment, epoch)


def answer_claim(state: StateReader, _: Moment, epoch: Epoch, did: Did) -> ClaimDescription:
    """The view of an identity's reward of one day."""
    return describe_claim(state, epoch, did)


def answer_statement(state: StateReader, moment: Moment, did: Did) -> Statement:
    """The view of an identity's mining."""
    return build_statement(state, moment, did)


def answer_batch(state: StateReader, _: Moment, epoch: Epoch, number: int) -> Batch | None:
    """The view of one batch."""
    return get_batch(state, epoch, number) if 1 <= number <= BATCHES_MAX else None


def answer_rules(state: StateReader, _: Moment, epoch: Epoch) -> RulesVersion:
    """The view of the rules that hold in an epoch."""
    return get_rules(state, epoch)


def answer_rules_history(state: StateReader, _: Moment) -> list[Epoch]:
    """The view of the epochs from which on governance has changed the rules."""
    return list(list_rules_epochs(state))


def answer_weights(state: StateReader, _: Moment, epoch: Epoch, after: bytes) -> WeightPage:
    """The view of weights that are lowered in an epoch, of identities behind this one; nothing: from the first on.

    Looks at WEIGHTS_PAGE of those that ever were, so a page may be short, or empty, and yet not the last.
    """
    start = MINING_WEIGHT_PREFIX + after + (b"\0" if after else b"")
    found = list(islice(state.iterate_range(start, end_of_prefix(MINING_WEIGHT_PREFIX)), WEIGHTS_PAGE))
    dids = [Did(key[len(MINING_WEIGHT_PREFIX) :]) for key, _ in found]
    recovery = get_rules(state, epoch).rules.weight_recovery_epochs
    weights = [LoweredWeight(did, get_weight(state, did, epoch, recovery)) for did in dids]
    lowered = tuple([each for each in weights if each.weight_hundredths < WEIGHT_FULL])
    return WeightPage(lowered, dids[-1] if len(dids) == WEIGHTS_PAGE else None)


def answer_attester(state: StateReader, _: Moment, did: Did) -> Suspension | None:
    """The view of whether an attester is suspended."""
    return get_suspension(state, did)


def _compute_challenge_gas(call: Challenge) -> int:
    return _GAS_CHALLENGE + GAS_PROOF_HASH * (2 + len(call.first.path.siblings) + len(call.second.path.siblings))


_ATTESTER_WORDS: Final = f"{_GAS_ATTESTER} for each attester + {SIGNED_GAS_WORDS}"


def _rule(name: str, call: type, apply: Callable[..., None], gas: int, words: str) -> CallRule:
    return CallRule(name, call, apply, lambda _: gas, f"{gas} + {words}")


_CALLS: Final[tuple[tuple[Any, ...], ...]] = (
    ("post_batch", PostBatch, apply_post_batch, _GAS_BATCH, _ATTESTER_WORDS),
    ("record", Record, apply_record, _GAS_RECORD, SIGNED_GAS_WORDS),
    ("set_weight", SetWeight, apply_set_weight, _GAS_WEIGHT, _ATTESTER_WORDS),
    ("appeal", Appeal, apply_appeal, _GAS_WEIGHT, SIGNED_GAS_WORDS),
)
_EVENTS: Final = (BatchPosted, BatchVoided, Recorded, WeightSet, WeightAppealed, EpochClosed)
_EPOCH: Final = ("epoch", Epoch)
_DID: Final = ("did", Did)

MODULE = ModuleRule(
    name=MODULE_NAME,
    summary="Force of users and providers, day by day, and what it is paid",
    calls=(
        *(_rule(*call) for call in _CALLS),
        CallRule(
            "challenge",
            Challenge,
            apply_challenge,
            _compute_challenge_gas,
            f"{_GAS_CHALLENGE + 2 * GAS_PROOF_HASH} + {GAS_PROOF_HASH} for each hash of the proofs + "
            f"{_GAS_SUSPENSION} for each suspension",
        ),
    ),
    events=tuple(map(EventRule, _EVENTS)),
    views=(
        ViewRule("epoch", (_EPOCH,), answer_epoch),
        ViewRule("claim", (_EPOCH, _DID), answer_claim),
        ViewRule("statement", (_DID,), answer_statement),
        ViewRule("batch", (_EPOCH, ("number", int)), answer_batch),
        ViewRule("rules", (_EPOCH,), answer_rules),
        ViewRule("rules_history", (), answer_rules_history),
        ViewRule("weights", (_EPOCH, ("after", Annotated[bytes, Len(0, DID_BYTES)])), answer_weights),
        ViewRule("attester", (_DID,), answer_attester),
    ),
)
