"""Mining: what behaviour of users and providers counts for, day by day, and what it is paid (docs/mining.md).

The formulas stand in mining_formulas.py, what the state holds and what is signed in mining_records.py, the end of a day
in mining_epochs.py. Whoever sends a transaction has no say in it.

Rules
* N1 An epoch is a day of UTC. Vehicles' records come in while it lasts, its batch when it is over and until it is
  closed: `settling_epochs` whole days later, yet not before SETTLING_BLOCKS blocks have been made since, so that a halt
  of the chain takes no day from anybody, and not within `challenge_ms` after a batch was posted or voided.
* N2 Attesters are identities with that role that are not suspended. `attesters_min` of them agree on whatever they say.
* N3 Attesters post a day's records as a batch: the root of their leaves, and what they come to. One batch of an epoch
  stands: gateways merge their records. It names the next number of its epoch, so it is posted once. Its totals are
  possible by the rules of that epoch: no count beyond `count_max`, no force beyond what such counts earn.
* N4 Another one takes its place as a correction while the epoch is open. At least as many attesters sign it, and more
  if none of them has signed the former one. As many as before correct CORRECTIONS_MAX times in a row; more always do.
  So those who are fewer can neither replace what stands nor use up what others may do.
* N5 User and vehicle record behaviour that vehicles vouch for without attesters: the vehicle has an attested number and
  is the user's, or the user may drive it. One record of a behaviour is an identity's on a day; one vehicle earns for
  one identity on a day.
* N6 Whoever shows two records of the standing batch that earn twice for one thing voids it and has those suspended who
  signed it, up to CHALLENGE_EPOCHS_MAX days after. What an open epoch counted of it is taken back.
* N7 Attesters lower the weight of a suspicious identity, and say why. It recovers by a hundredth every
  `weight_recovery_epochs`; they set it again, also to clear it. Days before a decision keep the weight they had.
* N8 The identity appeals once against each weight. An appeal that attesters do not answer by setting the weight again
  within `appeal_epochs` is granted: the weight is full. The answer is final until a later decision lowers the weight.
* N9 The first block at which an epoch may be closed (rule N1) closes it: force, budget, price (rules F3 to F6), and
  what it pays leaves the fund for the source of distributions that governance has named, through which it is claimed.
  What that source holds beyond what its roots promise and the last RESERVED_EPOCHS closed epochs have released comes
  back. Nothing else ever leaves the fund; before there is a source, days pay nothing.
* N10 Days without records release nothing. Fees, and what recognised platforms get for ads, count as revenue of the
  next epoch with force that is closed.
* N11 Governance changes rules and behaviours from the next day on; every version is kept. It also reinstates attesters,
  and voids the batch of an epoch that is not closed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import islice, pairwise
from typing import Annotated, Any, Final

from annotated_types import Len

from identity.did import DID_BYTES, Did
from identity.mining_record import InvalidMiningLeafError, MiningLeaf, decode_mining_leaf, is_same_act
from identity.signing import SigningPurpose
from ledger.codec import decode, encode
from ledger.merkle import compute_leaf_hash, compute_path_root
from ledger.primitives import Grains
from ledger.reasons import Reason, Rejected
from ledger.state import State, StateReader, end_of_prefix
from ledger.state_keys import (
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
    compute_most_force,
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
    BatchNumber,
    BatchPayload,
    BatchStatus,
    BehaviourTotal,
    LeafProof,
    MiningEpoch,
    RecordPayload,
    RulesVersion,
    Suspension,
    VehicleEarner,
    VouchedRecord,
    Weight,
    WeightPayload,
    WeightReason,
    begin_mining,
    find_behaviour,
    find_standing_batch,
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
    list_day_records,
    list_former_weights,
    list_rules_epochs,
    put_batch,
    put_mining_epoch,
    put_progress,
    put_weight,
    suspend,
    void_batch,
)
from vm.native.role_records import Role, holds_role
from vm.native.rules import CallRule, EventRule, ModuleRule, ViewRule
from vm.native.vehicle_records import AccessScope, get_active_vehicle, get_binding, get_vehicle
from vm.native.vehicles import is_granted

CHALLENGE_EPOCHS_MAX: Final = 30  # after that the records are no longer kept at hand
WEIGHTS_PAGE: Final = 200  # records of up to 600 bytes that one question reads
STATEMENT_EPOCHS: Final = 31  # days that a statement tells of

_GAS_EPOCH: Final = 4 * GAS_STATE_READ + 2 * GAS_STATE_WRITE
"""Progress, rules and the epoch's record, of which two may change."""
_GAS_ATTESTER: Final = GAS_DID_READ + 2 * GAS_STATE_READ
_GAS_BATCH: Final = _GAS_EPOCH + 3 * GAS_STATE_READ + 2 * GAS_STATE_WRITE
_GAS_RECORD: Final = _GAS_EPOCH + 3 * GAS_DID_READ + 12 * GAS_STATE_READ + 3 * GAS_STATE_WRITE
_GAS_CHALLENGE: Final = _GAS_EPOCH + 2 * GAS_STATE_READ + GAS_STATE_WRITE
_GAS_SUSPENSION: Final = GAS_STATE_READ + GAS_STATE_WRITE
_GAS_WEIGHT: Final = GAS_DID_READ + 5 * GAS_STATE_READ + GAS_STATE_WRITE


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
    """Show two records of a batch that earn twice for one thing."""

    epoch: Epoch
    number: BatchNumber
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
    """Whether it has begun and is not closed."""
    rules_from: Epoch
    """The first epoch of the rules that hold in it."""
    fund_grains: Grains
    """What is left now."""
    released_grains: Grains
    """All that has left the fund by now."""
    returned_grains: Grains
    """All that has come back to it."""
    revenue_grains: Grains
    """Counted for the next epoch with force that is closed."""
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
    batch: Batch | None
    """Under whose root the other records of that day are proven."""


# What calls do


def apply_post_batch(state: State, context: Context, call: PostBatch) -> None:
    """Rules N1 to N4."""
    given = call.payload
    record = _open_epoch(state, context, given.epoch)
    today = compute_epoch(context.block.time_ms)
    if given.epoch >= today:
        raise Rejected(Reason.MINING_EPOCH_CLOSED, "a day's batch comes when the day is over", maximum=today - 1)
    version = get_rules(state, given.epoch)
    _check_attesters(state, context, given.attesters, version.rules.attesters_min)
    if given.gateway not in given.attesters:
        raise Rejected(Reason.MINING_TOO_FEW_ATTESTERS, "who has built a batch signs it")
    if record.batches >= BATCHES_MAX:
        raise Rejected(Reason.MINING_BATCHES_LIMIT, f"an epoch has at most {BATCHES_MAX} batches", maximum=BATCHES_MAX)
    if given.number != record.batches + 1:
        raise Rejected(Reason.MINING_BAD_BATCH, "this is not the next number", expected=record.batches + 1)
    _check_totals(given, version)
    former = find_standing_batch(state, given.epoch)
    standing = 0 if former is None else former.payload.number
    if given.corrected != standing:
        raise Rejected(Reason.MINING_BATCH_STANDS, "a batch corrects the one that stands", standing=standing)
    corrections = 0 if former is None else _count_corrections(former, given.attesters)
    if given.force + record.vouched_force > FORCE_MAX:
        raise Rejected(Reason.MINING_BAD_BATCH, "so much force is nobody's", maximum=FORCE_MAX)
    check_signatures(context, SigningPurpose.MINING_BATCH, encode(given), call.signatures)
    parties = [get_party(state, context, each) for each in given.attesters]
    check_agreed(state, context, parties, call.signatures)
    if former is not None:
        put_batch(state, replace(former, status=BatchStatus.CORRECTED))
    put_batch(state, Batch(given, BatchStatus.STANDING, corrections, context.block.height))
    until_ms = context.block.time_ms + version.rules.challenge_ms
    updated = replace(record, batches=given.number, batch_force=given.force, challenged_until_ms=until_ms)
    put_mining_epoch(state, given.epoch, updated)
    fields = (given.epoch, given.number, given.root, given.records, given.force, given.corrected)
    context.emit(MODULE.name, BatchPosted.__name__, *fields)


def apply_record(state: State, context: Context, call: Record) -> None:
    """Rules N1 and N5."""
    given = call.payload
    epoch = _open_epoch(state, context, given.epoch)
    today = compute_epoch(context.block.time_ms)
    if given.epoch < today:  # whoever builds that day has all of its records at hand
        raise Rejected(Reason.MINING_EPOCH_CLOSED, "vehicles' records come on their day", minimum=today)
    version = get_rules(state, given.epoch)
    rule = find_behaviour(version, given.behaviour)
    if rule is None or rule.user is None or not rule.is_vehicle_vouched:
        raise Rejected(Reason.MINING_BAD_RECORD, "no vehicle vouches for this behaviour alone")
    if given.count > rule.user.count_max:
        raise Rejected(Reason.MINING_BAD_RECORD, "more does not count", maximum=rule.user.count_max)
    if get_active_did(state, given.did).current.content.kind in OWNED_KINDS:
        raise Rejected(Reason.MINING_BAD_RECORD, "vehicles and devices earn nothing for themselves")
    nullifier = _check_vehicle(state, context, given)
    vehicle_key, key = mining_vehicle_key(nullifier), mining_record_key(given.did, given.epoch, given.behaviour)
    mine = encode(VehicleEarner(given.epoch, given.did))
    if _is_earner_another(state.get(vehicle_key), given) or state.get(key) is not None:
        raise Rejected(Reason.MINING_EARNED_ALREADY, "identity or vehicle have earned for this on that day")
    _check_user_and_vehicle(state, context, call)
    force = _compute_added_force(state, version, given, rule.user)
    if epoch.force + force > FORCE_MAX:
        raise Rejected(Reason.MINING_BAD_RECORD, "so much force is nobody's", maximum=FORCE_MAX)
    vouched = VouchedRecord(given.vehicle, given.count, force, given.commitment, context.block.height)
    state.put(key, encode(vouched))
    state.put(vehicle_key, mine)
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
    batch = get_standing_batch(state, call.epoch, call.number)
    leaves = [_check_proof(batch, proof) for proof in (call.first, call.second)]
    places = [[sibling.is_left for sibling in proof.path.siblings] for proof in (call.first, call.second)]
    if places[0] == places[1] or not is_same_act(*leaves):
        raise Rejected(Reason.MINING_NOT_TWICE, "these are not two records that earn twice for one thing")
    void_batch(state, batch, context.block.time_ms)
    until = Epoch(today + get_rules(state, today).rules.suspension_epochs)
    for attester in batch.payload.attesters:
        context.gas.charge(_GAS_SUSPENSION)
        suspend(state, attester, until)
    context.emit(MODULE.name, BatchVoided.__name__, call.epoch, call.number, batch.payload.force, True)


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
        turn + 1,
        given.weight_hundredths,
        today,
        () if record is None else list_former_weights(record, today),
        given.reason,
        given.evidence_hash,
        given.attesters,
        granted_from=0,
        is_final=record is not None and _is_final(state, given, record, today),
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
    if record.is_final:
        raise Rejected(Reason.MINING_APPEAL_ANSWERED, "attesters have answered an appeal, and not lowered it since")
    purpose = SigningPurpose.MINING_APPEAL
    check_did_signatures(state, context, given.did, purpose, encode(given), call.signatures)
    granted_from = Epoch(today + rules.appeal_epochs)
    put_weight(state, given.did, replace(record, granted_from=granted_from))
    context.emit(MODULE.name, WeightAppealed.__name__, given.did, record.turn, granted_from)


def _open_epoch(state: State, context: Context, epoch: Epoch) -> MiningEpoch:
    """Rule N1: an epoch that is not closed; the first of all begins mining. Raises Rejected."""
    today = compute_epoch(context.block.time_ms)
    settling = get_rules(state, epoch).rules.settling_epochs
    progress = get_progress(state)
    earliest = Epoch(max(0, today - settling)) if progress is None else progress.next_epoch
    if not earliest <= epoch <= today:
        raise Rejected(
            Reason.MINING_EPOCH_CLOSED, f"records are of days {earliest} to {today}", minimum=earliest, maximum=today
        )
    if progress is None:
        put_progress(state, begin_mining(earliest, get_fund(state)))
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
    earning = None if rule is None else rule.user or rule.provider
    if rule is None or earning is None or not total.records <= total.times <= total.records * earning.count_max:
        return False
    most = [
        0 if side is None or total.records == 0 else compute_most_force(side, total.records, total.times)
        for side in (rule.user, rule.provider)
    ]
    return total.user_force <= most[0] and total.provider_force <= most[1]


def _count_corrections(former: Batch, attesters: Sequence[Did]) -> int:
    """Rule N4: how many corrections in a row by as many attesters this one makes; raises Rejected."""
    given, before = frozenset(attesters), frozenset(former.payload.attesters)
    corrections = 0 if len(given) > len(before) else former.corrections + 1
    if len(given) < len(before) or (len(given) == len(before) and not given & before) or corrections > CORRECTIONS_MAX:
        raise Rejected(
            Reason.MINING_NOT_CORRECTABLE,
            f"as many attesters, some of whom have signed it, correct a batch {CORRECTIONS_MAX} times in a row; "
            f"{len(before) + 1} or more at any time",
            minimum=len(before),
            maximum=CORRECTIONS_MAX,
        )
    return corrections


def _is_earner_another(encoded: bytes | None, given: RecordPayload) -> bool:
    """Rule N5: whether the vehicle has earned for somebody else on that day."""
    earner = None if encoded is None else decode(VehicleEarner, encoded)
    return earner is not None and earner.epoch == given.epoch and earner.did != given.did


def _is_final(state: StateReader, given: WeightPayload, record: Weight, today: Epoch) -> bool:
    """Rule N8: whether a decision answers an appeal, or lowers nothing after such an answer."""
    if today < record.granted_from:
        return True
    now = get_weight(state, given.did, today, get_rules(state, today).rules.weight_recovery_epochs)
    return record.is_final and given.weight_hundredths >= now


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


def _check_proof(batch: Batch, proof: LeafProof) -> MiningLeaf:
    """A record that stands in a batch; raises Rejected."""
    given = batch.payload
    try:
        leaf = decode_mining_leaf(proof.leaf)
    except InvalidMiningLeafError as error:
        raise Rejected(Reason.MINING_BAD_PROOF, str(error)) from None
    if leaf.epoch != given.epoch or compute_path_root(proof.path, compute_leaf_hash(proof.leaf)) != given.root:
        raise Rejected(Reason.MINING_BAD_PROOF, f"the record is not proven to stand in batch {given.number}")
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
    earliest = today - version.rules.settling_epochs if progress is None else progress.next_epoch
    return EpochDescription(
        epoch,
        get_mining_epoch(state, epoch),
        earliest <= epoch <= today,
        version.first_epoch,
        Grains(get_fund(state)),
        Grains(0) if progress is None else progress.released_grains,
        Grains(0) if progress is None else progress.returned_grains,
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
        find_standing_batch(state, epoch),
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
