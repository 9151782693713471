"""What the state holds for mining, and what is signed for it; the rules stand in vm/native/mining.py.

| key                                     | value                                                        |
|-----------------------------------------|--------------------------------------------------------------|
| MINING_PROGRESS_KEY                     | Progress; absent before the first record                     |
| MINING_RULES_KEY                        | RulesHistory; absent: the defaults hold                      |
| mining_rules_key(first epoch)           | RulesVersion                                                 |
| mining_epoch_key(epoch)                 | MiningEpoch                                                  |
| mining_batch_key(epoch, number)         | Batch                                                        |
| mining_record_key(did, epoch, what)     | VouchedRecord; kept: it is the user's                        |
| mining_vehicle_key(nullifier)           | VehicleEarner: whom a vehicle has earned for last            |
| mining_weight_key(did)                  | Weight                                                       |
| mining_attester_key(did)                | Suspension                                                   |
| MINING_REVENUE_KEY                      | revenue that no epoch has had yet, 8 bytes big-endian        |
| MINING_SOURCE_KEY                       | source of distributions, 8 bytes big-endian; absent: none    |
"""

from dataclasses import dataclass, replace
from enum import IntEnum, unique
from functools import lru_cache
from typing import Annotated, Final

from annotated_types import Interval, Len

from identity.address import compute_module_address
from identity.did import Did
from identity.mining_record import LEAF_BYTES, RecordCommitment
from ledger.codec import decode, encode
from ledger.merkle import InclusionPath
from ledger.primitives import INTEGER_MAX, JSON_INTEGER_MAX, Grains, Height, RootHash
from ledger.reasons import Reason, Rejected
from ledger.state import State, StateReader
from ledger.state_keys import (
    MINING_PROGRESS_KEY,
    MINING_REVENUE_KEY,
    MINING_RULES_KEY,
    MINING_SOURCE_KEY,
    mining_attester_key,
    mining_batch_key,
    mining_epoch_key,
    mining_record_epoch_prefix,
    mining_rules_key,
    mining_weight_key,
)
from vm.native.distribution_records import (
    SourceId,
    compute_free_grains,
    fund_source,
    get_source,
    withdraw_source,
)
from vm.native.iov import get_balance
from vm.native.mining_formulas import (
    ATTESTERS_MAX,
    DEFAULT_BEHAVIOURS,
    DEFAULT_RULES,
    EPOCH_MAX,
    NEW_MARKET,
    WEIGHT_FULL,
    Behaviour,
    BehaviourRule,
    BehaviourRules,
    Count,
    Epoch,
    Force,
    Market,
    Micrograins,
    MiningRules,
    WeightHundredths,
    compute_release_share,
    compute_weight,
)

MODULE_NAME: Final = "mining"
MINING_ADDRESS: Final = compute_module_address(MODULE_NAME)

CORRECTIONS_MAX: Final = 3  # in a row by as many attesters: counting has to end
BATCHES_MAX: Final = 2 * ATTESTERS_MAX * (1 + CORRECTIONS_MAX)
"""Of an epoch: as many as corrections by ever more attesters can be, and as many again when one of them was void."""
SETTLING_BLOCKS: Final = 8  # after a halt too a batch or a challenge gets in, whoever proposes one of them
FORMER_WEIGHTS_MAX: Final = 32  # one for each day that statements tell of
RULES_MAX: Final = 4_096  # versions: a change a week for a lifetime
_NUMBER_BYTES: Final = 8
_VERSIONS_KEPT: Final = 8  # of decoded rules: those of the open days, and what views ask for

BatchNumber = Annotated[int, Interval(ge=1, le=BATCHES_MAX)]
RecordCount = Annotated[int, Interval(ge=0, le=2**40)]
Hash = Annotated[bytes, Len(32, 32)]
Attesters = Annotated[tuple[Did, ...], Len(1, ATTESTERS_MAX)]
"""In order, each once; all of them sign."""
Turn = Annotated[int, Interval(ge=0, le=JSON_INTEGER_MAX)]


@unique
class BatchStatus(IntEnum):
    """What a batch counts for; wire number, never reused."""

    STANDING = 1
    CORRECTED = 2
    """Another one has taken its place."""
    VOID = 3
    """It was proven to count something twice, or governance has decided so."""


@unique
class WeightReason(IntEnum):
    """Why an identity's force counts for less; wire number, never reused."""

    MANY_ACCOUNTS = 1
    """Signs of one person behind many identities."""
    AUTOMATED = 2
    """Behaviour that no person shows."""
    FALSE_RECORDS = 3
    """Services that were not done, readings that were changed."""
    CLEARED = 4
    """Looked into and found right."""


@dataclass(frozen=True, slots=True)
class DayBegun:
    """The first block of a day."""

    day: Epoch
    height: Height


@dataclass(frozen=True, slots=True)
class Progress:
    """How far mining has come."""

    first_epoch: Epoch
    next_epoch: Epoch
    """The earliest one that is not closed."""
    allocation_grains: Grains
    """What the fund held when mining began."""
    released_grains: Grains
    """All that has left it since."""
    returned_grains: Grains
    """All that has come back, of which nobody was owed anything."""
    reserved_grains: Grains
    """The part of what was released that roots of rewards may still be posted for."""
    market: Market
    settled_day: Epoch
    """The last day that began SETTLING_BLOCKS blocks ago: epochs that have settled before it are closed."""
    begun: Annotated[tuple[DayBegun, ...], Len(0, SETTLING_BLOCKS)]
    """Days that began since, in order."""


@dataclass(frozen=True, slots=True)
class RulesVersion:
    """Rules, and from when on they hold."""

    first_epoch: Epoch
    height: Height
    """Of the decision; 0: the defaults."""
    release_share: Annotated[int, Interval(ge=1, le=JSON_INTEGER_MAX)]
    """Computed from the half life when the rules were made, in units of 2^-52."""
    rules: MiningRules
    behaviours: BehaviourRules


@dataclass(frozen=True, slots=True)
class RulesHistory:
    """From which epochs on rules have changed, in order."""

    first_epochs: Annotated[tuple[Epoch, ...], Len(1, RULES_MAX)]


@dataclass(frozen=True, slots=True)
class BehaviourTotal:
    """What the records of one behaviour come to, before limits on all that an identity earns."""

    behaviour: Behaviour
    records: RecordCount
    times: RecordCount
    user_force: Force
    provider_force: Force


Totals = Annotated[tuple[BehaviourTotal, ...], Len(0, len(Behaviour))]
"""In order of the behaviours, each once."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the end of an epoch has decided."""

    height: Height
    revenue_grains: Grains
    topup_grains: Grains
    budget_grains: Grains
    smoothed_force: Force
    quoted_micrograins: Micrograins
    price_micrograins: Micrograins
    released_grains: Grains
    returned_grains: Grains
    """What came back to the fund: released for earlier days, and owed to nobody."""
    remaining_grains: Grains
    """What the fund held after it."""


@dataclass(frozen=True, slots=True)
class MiningEpoch:
    """A day of mining."""

    batches: Annotated[int, Interval(ge=0, le=BATCHES_MAX)]
    """How many there were, also those that do not count any more."""
    batch_force: Force
    """Of the batch that stands."""
    vouched_force: Force
    """Of records that vehicles vouched for."""
    vouched_records: RecordCount
    challenged_until_ms: Annotated[int, Interval(ge=0, le=INTEGER_MAX)]
    """It is not closed before; 0: there was no batch."""
    outcome: Outcome | None
    """None while it is open."""

    @property
    def force(self) -> int:
        """All of it."""
        return self.batch_force + self.vouched_force


NEW_EPOCH: Final = MiningEpoch(0, 0, 0, 0, 0, None)


@dataclass(frozen=True, slots=True)
class BatchPayload:
    """What attesters sign: the records of a day are these."""

    gateway: Did
    """Who has built it; one of the attesters."""
    epoch: Epoch
    number: BatchNumber
    """The next of its epoch, so that it is posted once."""
    corrected: Annotated[int, Interval(ge=0, le=BATCHES_MAX)]
    """The batch whose place it takes; 0: none."""
    attesters: Attesters
    root: RootHash
    """Of the records' leaves (identity/mining_record.py)."""
    records: Annotated[int, Interval(ge=1, le=2**40)]
    force: Annotated[int, Interval(ge=1, le=10**15)]
    """Of all identities, after limits and weights, without what vehicles have vouched for on the chain."""
    totals: Totals
    manifest_hash: Hash
    """Names the files from which anybody who has them and the key of the salts recomputes all this."""


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch, and what has become of it."""

    payload: BatchPayload
    status: BatchStatus
    corrections: Annotated[int, Interval(ge=0, le=CORRECTIONS_MAX)]
    """How many there were in a row by as many attesters."""
    height: Height


@dataclass(frozen=True, slots=True)
class RecordPayload:
    """What user and vehicle sign: on this day the user did this so many times."""

    did: Did
    vehicle: Did
    epoch: Epoch
    behaviour: Behaviour
    count: Count
    commitment: RecordCommitment
    """To the data behind it, which the user keeps."""


@dataclass(frozen=True, slots=True)
class VouchedRecord:
    """A record that a vehicle has vouched for."""

    vehicle: Did
    count: Count
    force: Force
    """What it counted for, weighed and limited."""
    commitment: RecordCommitment
    height: Height


@dataclass(frozen=True, slots=True)
class VehicleEarner:
    """Whom a vehicle has earned for last, and when."""

    epoch: Epoch
    did: Did


@dataclass(frozen=True, slots=True)
class WeightPayload:
    """What attesters sign: the force of this identity counts for so much from now on."""

    did: Did
    attesters: Attesters
    weight_hundredths: WeightHundredths
    reason: WeightReason
    evidence_hash: Hash
    turn: Turn
    """How often it was set before."""


@dataclass(frozen=True, slots=True)
class AppealPayload:
    """What an identity signs that finds its weight wrong."""

    did: Did
    statement_hash: Hash
    turn: Turn
    """Of the weight that it is about."""


@dataclass(frozen=True, slots=True)
class FormerWeight:
    """How much an identity's force counted from an epoch on, until the next decision."""

    weight_hundredths: WeightHundredths
    since: Epoch


@dataclass(frozen=True, slots=True)
class Weight:
    """How much an identity's force counts."""

    turn: Turn
    weight_hundredths: WeightHundredths
    since: Epoch
    former: Annotated[tuple[FormerWeight, ...], Len(0, FORMER_WEIGHTS_MAX)]
    """What held before, in order, at most one an epoch; before the first of them it was full."""
    reason: WeightReason
    evidence_hash: Hash
    attesters: Attesters
    granted_from: Annotated[int, Interval(ge=0, le=EPOCH_MAX)]
    """The epoch from which on an appeal is granted if nobody answers it; 0: there is none."""
    is_final: bool
    """Whether an appeal was answered, and the weight not been lowered since."""


@dataclass(frozen=True, slots=True)
class Suspension:
    """That an attester has signed what was proven wrong."""

    until_epoch: Epoch
    """The first one in which it is heard again."""
    times: Annotated[int, Interval(ge=1, le=2**32 - 1)]


@dataclass(frozen=True, slots=True)
class LeafProof:
    """That a record stands in a batch."""

    leaf: Annotated[bytes, Len(LEAF_BYTES, LEAF_BYTES)]
    path: InclusionPath


# Reading and writing


def get_progress(state: StateReader) -> Progress | None:
    """How far mining has come; None before the first record."""
    encoded = state.get(MINING_PROGRESS_KEY)
    return None if encoded is None else decode(Progress, encoded)


def put_progress(state: State, progress: Progress) -> None:
    """Replace it."""
    state.put(MINING_PROGRESS_KEY, encode(progress))


def begin_mining(first_epoch: Epoch, fund_grains: int) -> Progress:
    """How far mining has come when it begins with an epoch and so much in the fund."""
    none = Grains(0)
    return Progress(first_epoch, first_epoch, Grains(fund_grains), none, none, none, NEW_MARKET, first_epoch, ())


def list_rules_epochs(state: StateReader) -> tuple[Epoch, ...]:
    """From which epochs on governance has changed the rules, in order."""
    encoded = state.get(MINING_RULES_KEY)
    return () if encoded is None else decode(RulesHistory, encoded).first_epochs


def get_rules(state: StateReader, epoch: int) -> RulesVersion:
    """The rules that hold in an epoch."""
    first = max([each for each in list_rules_epochs(state) if each <= epoch], default=None)
    if first is None:
        return DEFAULT_VERSION
    encoded = state.get(mining_rules_key(first))
    assert encoded is not None, "the history lists what there is"
    return _decode_version(encoded)


@lru_cache(maxsize=_VERSIONS_KEPT)
def _decode_version(encoded: bytes) -> RulesVersion:
    """Asked for with every block of a day whose yesterday is still open, changed once in a while."""
    return decode(RulesVersion, encoded)


def put_rules(
    state: State, first_epoch: Epoch, height: Height, rules: MiningRules, behaviours: tuple[BehaviourRule, ...]
) -> None:
    """Let rules hold from an epoch on that has not begun; replaces what was decided for the same one."""
    epochs = list_rules_epochs(state)
    assert all(each <= first_epoch for each in epochs), "rules are changed for the next epoch"
    version = RulesVersion(first_epoch, height, compute_release_share(rules.half_life_epochs), rules, behaviours)
    state.put(mining_rules_key(first_epoch), encode(version))
    if first_epoch not in epochs:
        if len(epochs) >= RULES_MAX:
            raise Rejected(Reason.MINING_BAD_RULES, f"rules change at most {RULES_MAX} times", maximum=RULES_MAX)
        state.put(MINING_RULES_KEY, encode(RulesHistory((*epochs, first_epoch))))


def find_behaviour(version: RulesVersion, behaviour: Behaviour) -> BehaviourRule | None:
    """What a behaviour earns."""
    return next((rule for rule in version.behaviours if rule.behaviour is behaviour), None)


def check_mining_rules(rules: MiningRules) -> None:
    """Whether rules fit each other; raises Rejected."""
    if rules.price_floor_micrograins > rules.price_ceiling_micrograins:
        raise Rejected(Reason.MINING_BAD_RULES, "the least price is above the greatest")


def get_mining_epoch(state: StateReader, epoch: int) -> MiningEpoch:
    """A day of mining; one without records is empty."""
    encoded = state.get(mining_epoch_key(epoch))
    return NEW_EPOCH if encoded is None else decode(MiningEpoch, encoded)


def put_mining_epoch(state: State, epoch: Epoch, record: MiningEpoch) -> None:
    """Replace it."""
    state.put(mining_epoch_key(epoch), encode(record))


def get_batch(state: StateReader, epoch: int, number: int) -> Batch | None:
    """A batch by its number."""
    encoded = state.get(mining_batch_key(epoch, number))
    return None if encoded is None else decode(Batch, encoded)


def get_standing_batch(state: StateReader, epoch: int, number: int) -> Batch:
    """A batch that counts; raises Rejected."""
    batch = get_batch(state, epoch, number)
    if batch is None or batch.status is not BatchStatus.STANDING:
        raise Rejected(Reason.MINING_UNKNOWN_BATCH, f"batch {number} of epoch {epoch} is not there, or does not count")
    return batch


def put_batch(state: State, batch: Batch) -> None:
    """Write a batch."""
    state.put(mining_batch_key(batch.payload.epoch, batch.payload.number), encode(batch))


def find_standing_batch(state: StateReader, epoch: int) -> Batch | None:
    """The batch that counts of an epoch: the last one, if it does."""
    batch = get_batch(state, epoch, get_mining_epoch(state, epoch).batches)
    return batch if batch is not None and batch.status is BatchStatus.STANDING else None


def check_voidable(state: StateReader, epoch: int, number: int) -> None:
    """Whether a batch counts, and its epoch is not closed; raises Rejected."""
    get_standing_batch(state, epoch, number)
    if get_mining_epoch(state, epoch).outcome is not None:
        raise Rejected(Reason.MINING_EPOCH_CLOSED, "the epoch is closed, and what it paid was paid")


def void_batch(state: State, batch: Batch, time_ms: int) -> None:
    """Let a batch count no more; in an open epoch attesters have the time of a challenge to post another one."""
    epoch = batch.payload.epoch
    put_batch(state, replace(batch, status=BatchStatus.VOID))
    record = get_mining_epoch(state, epoch)
    if record.outcome is None:
        until_ms = time_ms + get_rules(state, epoch).rules.challenge_ms
        put_mining_epoch(state, epoch, replace(record, batch_force=0, challenged_until_ms=until_ms))


def list_day_records(state: StateReader, did: Did, epoch: int) -> list[tuple[Behaviour, VouchedRecord]]:
    """What vehicles have vouched for on one day of an identity."""
    prefix = mining_record_epoch_prefix(did, epoch)
    return [(Behaviour(key[-1]), decode(VouchedRecord, encoded)) for key, encoded in state.iterate_prefix(prefix)]


def get_weight_record(state: StateReader, did: Did) -> Weight | None:
    """The last decision on an identity's weight; None: there was none."""
    encoded = state.get(mining_weight_key(did))
    return None if encoded is None else decode(Weight, encoded)


def put_weight(state: State, did: Did, weight: Weight) -> None:
    """Replace it."""
    state.put(mining_weight_key(did), encode(weight))


def get_weight(state: StateReader, did: Did, epoch: int, recovery_epochs: int) -> int:
    """How much an identity's force counts in an epoch, in hundredths."""
    record = get_weight_record(state, did)
    if record is None or (record.granted_from and epoch >= record.granted_from):
        return WEIGHT_FULL
    steps = [*record.former, FormerWeight(record.weight_hundredths, record.since)]
    step = next((each for each in reversed(steps) if each.since <= epoch), None)
    return WEIGHT_FULL if step is None else compute_weight(step.weight_hundredths, step.since, epoch, recovery_epochs)


def list_former_weights(record: Weight, today: Epoch) -> tuple[FormerWeight, ...]:
    """What is kept of a decision that another one of today takes the place of; of one day the last decision counts."""
    steps = [*record.former, FormerWeight(record.weight_hundredths, record.since)]
    if record.granted_from:
        steps.append(FormerWeight(WEIGHT_FULL, Epoch(record.granted_from)))
    return tuple([each for each in steps if each.since < today][-FORMER_WEIGHTS_MAX:])


def get_suspension(state: StateReader, did: Did) -> Suspension | None:
    """Until when an attester is not heard; None: it never was suspended."""
    encoded = state.get(mining_attester_key(did))
    return None if encoded is None else decode(Suspension, encoded)


def put_suspension(state: State, did: Did, suspension: Suspension) -> None:
    """Suspend an attester, or end that."""
    state.put(mining_attester_key(did), encode(suspension))


def suspend(state: State, did: Did, until_epoch: Epoch) -> None:
    """Suspend an attester once more."""
    known = get_suspension(state, did)
    put_suspension(state, did, Suspension(until_epoch, 1 if known is None else known.times + 1))


def check_reinstatable(state: StateReader, did: Did) -> None:
    """Whether an attester was ever suspended; raises Rejected."""
    if get_suspension(state, did) is None:
        raise Rejected(Reason.MINING_NOT_SUSPENDED, "the identity is not suspended")


def reinstate(state: State, did: Did) -> None:
    """Hear an attester again; that it was suspended stays known."""
    known = get_suspension(state, did)
    assert known is not None, "this was checked"
    put_suspension(state, did, replace(known, until_epoch=Epoch(0)))


def get_revenue(state: StateReader) -> int:
    """Fees that no epoch has had as its revenue yet, in grains."""
    encoded = state.get(MINING_REVENUE_KEY)
    return 0 if encoded is None else int.from_bytes(encoded, "big")


def note_revenue(state: State, grains: int) -> None:
    """Count fees, and what recognised platforms get for ads, towards the budget of the next epoch that has force."""
    if grains > 0 and get_progress(state) is not None:
        state.put(MINING_REVENUE_KEY, min(get_revenue(state) + grains, INTEGER_MAX).to_bytes(_NUMBER_BYTES, "big"))


def take_revenue(state: State) -> int:
    """What was counted; it is counted anew from here on."""
    grains = get_revenue(state)
    if grains:
        state.delete(MINING_REVENUE_KEY)
    return grains


def get_fund(state: StateReader) -> int:
    """What is left of the fund, in grains."""
    return get_balance(state, MINING_ADDRESS)


def find_mining_source(state: StateReader) -> SourceId | None:
    """The source of distributions that mining pays through; None: governance has named none yet."""
    encoded = state.get(MINING_SOURCE_KEY)
    return None if encoded is None else SourceId(int.from_bytes(encoded, "big"))


def check_mining_source(state: StateReader, source: SourceId) -> None:
    """Whether mining may pay through a source: what nobody claims stays mining's. Raises Rejected."""
    if get_source(state, source).rules.owner != MINING_ADDRESS:
        raise Rejected(Reason.MINING_BAD_RULES, "the source is not owned by the module mining")


def put_mining_source(state: State, source: SourceId) -> None:
    """Let mining pay through a source."""
    state.put(MINING_SOURCE_KEY, source.to_bytes(_NUMBER_BYTES, "big"))


def release(state: State, source: SourceId, grains: int, time_ms: int) -> None:
    """Let grains leave the fund for those who claim them."""
    fund_source(state, source, MINING_ADDRESS, grains, time_ms)


def take_back(state: State, source: SourceId, reserved_grains: int, time_ms: int) -> int:
    """Let grains that are owed to nobody return to the fund, but for those that are reserved; how many they were."""
    grains = compute_free_grains(get_source(state, source)) - reserved_grains
    if grains <= 0:
        return 0
    withdraw_source(state, source, MINING_ADDRESS, grains, time_ms)
    return grains


DEFAULT_VERSION: Final = RulesVersion(
    Epoch(0), Height(0), compute_release_share(DEFAULT_RULES.half_life_epochs), DEFAULT_RULES, DEFAULT_BEHAVIOURS
)
"""What holds before governance decides otherwise."""
