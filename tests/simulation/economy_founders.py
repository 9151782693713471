"""The economy of a simulated network's first state: funds, sources, days of mining, a sale, coins that are locked.

Governance takes longer to decide on all of it than a simulation lasts.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from identity.address import Address, compute_module_address
from identity.mining_record import MiningLeaf, RecordCommitment, TagKind, compute_tag
from identity.vin import VinCommitment, VinNullifier
from ledger.codec import encode
from ledger.primitives import Grains, Height, RootHash, TimeMs
from ledger.state import State
from ledger.state_keys import dividend_key, vin_nullifier_key
from tests.builders import block_context
from tests.mining_scene import build_tree
from tests.simulation.identities import CARS, FAR, INSTITUTIONS, MAKER, SHOP
from vm.native.acceptors import AcceptorRules, set_rules
from vm.native.accounts import DAY_MS
from vm.native.did_records import get_did_record
from vm.native.distribution_records import Breaker, SourceId, SourceRules, create_source, fund_source
from vm.native.dividend import DividendRules
from vm.native.dividends import CLAIMS_MS_MIN, DeclaredDividend, DividendTerms
from vm.native.iov import TREASURY_ADDRESSES, credit, debit
from vm.native.lockup_records import Clock, Linear, Schedule, Step, build_cliff
from vm.native.lockups import apply_grant
from vm.native.mining_formulas import (
    DEFAULT_BEHAVIOURS,
    DEFAULT_RULES,
    Behaviour,
    Epoch,
    compute_epoch,
)
from vm.native.mining_records import (
    MINING_ADDRESS,
    Batch,
    BatchPayload,
    BatchStatus,
    BehaviourTotal,
    MiningEpoch,
    begin_mining,
    get_fund,
    put_batch,
    put_mining_epoch,
    put_mining_source,
    put_progress,
    put_rules,
)
from vm.native.role_records import Grant, Role, put_grant
from vm.native.sale import open_sale
from vm.native.sale_records import SaleTerms, Tier
from vm.native.vehicle_records import (
    Binding,
    VehicleRecord,
    VinAttestation,
    put_vehicle,
)

ALLOCATION: Final = compute_module_address("subscription")
"""Where everything comes from."""
ALLOCATION_GRAINS: Final = 2 * 10**14
"""What it has to hold at least."""
FUND_GRAINS: Final = 10**14
SOURCE_GRAINS: Final = 10**9
LOCKED_GRAINS: Final = 10**11
MINING_SOURCE: Final = SourceId(1)
OWNED_SOURCE: Final = SourceId(2)
GOVERNORS: Final = (0, 1)
"""Numbers of the accounts that sit in bodies of governance, where there are some."""
LAST_DIVIDEND: Final = SourceId(4)
"""Source of the dividend of the first state that is claimed for longest."""
OWNER_ACCOUNT: Final = 0
"""Number of the account that owns the second source."""
LOCKED_ACCOUNTS: Final = (6, 7, 8)
DIVIDEND_CATEGORY: Final = "community"
DIVIDEND_GRAINS: Final = 10**8
BUDGET_GRAINS: Final = 10**6
"""Of that budget at first: some dividends can be paid."""
DIVIDENDS_LAST_MS: Final = (3_000, 9_000)
"""How long those are claimed that were declared long ago: what is left then is given back."""
HOLDINGS_MIN_GRAINS: Final = 10**7
"""Of acceptors."""
CHALLENGE_MS: Final = 1_200
MINING_CHALLENGE_MS: Final = 300
BREAKER: Final = Breaker(24_000, Grains(3 * 10**7), 2_000, Grains(10**6))
ATTESTERS: Final = tuple(sorted(INSTITUTIONS))
"""Any two of them agree, on roots and on batches."""
SALE_MS: Final = 7_000
"""How long the sale lasts unless it is sold out: some runs are over by then."""
SALE_TIERS: Final = (
    Tier(Grains(90_000), 3, Grains(1_000), build_cliff(0)),
    Tier(Grains(2_000_000), 7, Grains(20_000), Schedule(None, Clock.HEIGHT, False, (Step(9, Grains(10_000)),))),
)
BATCH_RECORDS: Final = 2
CAR_FORCE: Final = 100
"""What the first start of a car in a day counts for."""
_NULLIFIER: Final = VinNullifier(b"\x77" * 32)


def found_economy(state: State, accounts: Sequence[Address], time_ms: int, height: int = 0) -> None:
    """Write all of it; the identities are there already (identities.found_identities)."""
    block = block_context(height, time_ms)
    _move(state, MINING_ADDRESS, FUND_GRAINS, time_ms)
    for did in ATTESTERS:
        put_grant(state, did, Role.ATTESTER, Grant(FAR, None), height)
    for owner in (MINING_ADDRESS, accounts[OWNER_ACCOUNT]):
        rules = SourceRules("a source", Address(owner), ATTESTERS, 2, CHALLENGE_MS, BREAKER)
        fund_source(state, create_source(state, rules), ALLOCATION, SOURCE_GRAINS, time_ms)
    put_mining_source(state, MINING_SOURCE)
    for last_ms in DIVIDENDS_LAST_MS:
        _found_dividend(state, time_ms, last_ms)
    _move(state, TREASURY_ADDRESSES[DIVIDEND_CATEGORY], BUDGET_GRAINS, time_ms)
    set_rules(state, AcceptorRules(Grains(HOLDINGS_MIN_GRAINS), 0))
    _begin_mining(state, compute_epoch(time_ms))
    _number_car(state, Height(height))
    terms = SaleTerms(
        *(SHOP.did, "EUR", TimeMs(time_ms), TimeMs(time_ms + SALE_MS), Grains(900_000), ("CN", "US"), SALE_TIERS)
    )
    open_sale(state, block, terms)
    schedules = (
        Schedule(Linear(TimeMs(time_ms), TimeMs(time_ms + 2_000), TimeMs(time_ms + 9_000)), Clock.TIME, False, ()),
        build_cliff(time_ms + 3_000),
        Schedule(None, Clock.HEIGHT, True, (Step(8, Grains(1)), Step(25, Grains(9)), Step(FAR, Grains(LOCKED_GRAINS)))),
    )
    for number, schedule in zip(LOCKED_ACCOUNTS, schedules, strict=True):
        apply_grant(state, block, "subscription", accounts[number], LOCKED_GRAINS, schedule, is_revocable=True)


def build_dividend(time_ms: int, late_ms: int, pool_grains: int) -> DividendTerms:
    """For the time up to now, claimed so long after the soonest end of its claims."""
    return DividendTerms(
        label="a dividend",
        category=DIVIDEND_CATEGORY,
        rules=DividendRules(Grains(pool_grains), 3_000, 2_000, 1),
        starts_ms=TimeMs(time_ms - DAY_MS),
        ends_ms=TimeMs(time_ms),
        claims_end_ms=TimeMs(time_ms + CLAIMS_MS_MIN + late_ms),
        attesters=ATTESTERS,
        threshold=2,
        challenge_ms=CHALLENGE_MS,
        breaker=BREAKER,
    )


def _found_dividend(state: State, time_ms: int, last_ms: int) -> None:
    """As if it had been declared long ago."""
    declared_ms = time_ms - CLAIMS_MS_MIN
    terms = build_dividend(declared_ms, last_ms, DIVIDEND_GRAINS)
    owner = TREASURY_ADDRESSES[DIVIDEND_CATEGORY]
    rules = SourceRules(terms.label, owner, terms.attesters, terms.threshold, terms.challenge_ms, terms.breaker)
    source = create_source(state, rules)
    fund_source(state, source, ALLOCATION, DIVIDEND_GRAINS, time_ms)
    declared = DeclaredDividend(terms, TimeMs(declared_ms), Grains(0))
    state.put(dividend_key(source), encode(declared))


def build_batch_leaves(epoch: Epoch, seed: bytes) -> list[MiningLeaf]:
    """Records of cars that were started, by nobody we know."""
    nobody = compute_tag(TagKind.PROVIDER, epoch, None)
    return [
        MiningLeaf(
            Behaviour.CAR_STARTED,
            epoch,
            compute_tag(TagKind.USER, epoch, seed + bytes([index])),
            nobody,
            compute_tag(TagKind.VEHICLE, epoch, seed + bytes([index])),
            nobody,
            RecordCommitment(bytes(32)),
        )
        for index in range(BATCH_RECORDS)
    ]


def build_total(records: int) -> BehaviourTotal:
    """What so many of them come to."""
    return BehaviourTotal(Behaviour.CAR_STARTED, records, records, records * CAR_FORCE, 0)


def _begin_mining(state: State, today: Epoch) -> None:
    """As if it had begun the day before yesterday, the records of which count from the first block on."""
    first = Epoch(today - 2)
    rules = replace(
        DEFAULT_RULES, suspension_epochs=1, price_ceiling_micrograins=10**12, challenge_ms=MINING_CHALLENGE_MS
    )
    put_rules(state, first, Height(0), rules, DEFAULT_BEHAVIOURS)
    put_progress(state, begin_mining(first, get_fund(state)))
    for epoch in (first, Epoch(first + 1)):
        root, _ = build_tree(build_batch_leaves(epoch, b"founders"))
        force = BATCH_RECORDS * CAR_FORCE
        totals = (build_total(BATCH_RECORDS),)
        payload = BatchPayload(
            *(ATTESTERS[0], epoch, 1, 0, ATTESTERS[:2], RootHash(root), BATCH_RECORDS, force, totals, bytes(32))
        )
        put_batch(state, Batch(payload, BatchStatus.STANDING, 0, Height(0)))
        put_mining_epoch(state, epoch, MiningEpoch(1, force, 0, 0, 0, None))


def _number_car(state: State, height: Height) -> None:
    """The first person's first car vouches for records."""
    car = CARS[0].did
    record = get_did_record(state, car)
    assert record is not None, "a founder"
    vin = VinAttestation(VinCommitment(bytes(32)), _NULLIFIER, MAKER.did, 0, height)
    put_vehicle(state, car, VehicleRecord(2, vin, Binding(record.ownership, height, ())))
    state.put(vin_nullifier_key(_NULLIFIER), car)


def _move(state: State, recipient: Address, grains: int, time_ms: int) -> None:
    debit(state, ALLOCATION, grains, time_ms)
    credit(state, recipient, grains, time_ms)
