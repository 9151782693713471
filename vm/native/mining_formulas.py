"""The formulas of mining: what behaviour earns, what a day releases, and what force is worth (docs/mining.md).

Integers only, no state: the chain, the builder of rewards, the simulation and the tests compute with these functions.

Rules
* F1 A behaviour earns its base force for each of the first `full_count` times of a day, half of that, rounded down, for
  each of the next `full_count`, and so on; nothing beyond `count_max`. User and provider earn by numbers of their own.
* F2 A day's force of an identity is at most `user_force_max` as a user and `provider_force_max` as a provider, each
  times its weight in hundredths, rounded down.
* F3 An epoch's budget is a fixed share of what is left in the fund, such that without other changes half of it is left
  after `half_life_epochs`; and a top-up that follows revenue, at most `topup_max_bps` of that share.
* F4 The quoted price is the budget over smoothed total force, moved from the last quotation by at most
  `price_change_bps`, then put between floor and ceiling. Smoothed force moves by one part in `smoothing_epochs` towards
  each day's, which counts for at most `smoothing_input_max` times what it was: so one day of false force is forgotten
  in weeks.
* F5 The price paid is the quotation, or what the budget bears if that is less. So no epoch pays more than its budget.
* F6 What is not released stays in the fund.
"""

from dataclasses import dataclass
from enum import IntEnum, unique
from typing import Annotated, Final, NewType

from annotated_types import Interval, Len

from ledger.primitives import GRAINS_PER_IOV, INTEGER_MAX, JSON_INTEGER_MAX, Grains
from vm.native.accounts import DAY_MS

MINING_FUND_GRAINS: Final = 3_000_000_000 * GRAINS_PER_IOV
"""Paper 12.3: 3 billion IOV."""

MICROGRAINS_PER_GRAIN: Final = 10**6
"""Prices are in millionths of a grain, so that they keep six digits when a day's force is in the tens of billions."""
PRICE_MICROGRAINS_MAX: Final = JSON_INTEGER_MAX  # 90 IOV for one force
BASIS_POINTS: Final = 10_000
WEIGHT_FULL: Final = 100  # hundredths
RELEASE_SCALE_BITS: Final = 52
"""Shares of the fund are in units of 2^-52, which JSON carries exactly: 67 grains of the whole fund."""
_LN2_BITS: Final = 128
_LN2: Final = 0xB17217F7D1CF79ABC9E3B39803F2F6AF
"""ln 2 in units of 2^-128, rounded down."""

BASE_FORCE_MAX: Final = 10_000
COUNT_MAX: Final = 10_000  # of one behaviour in a day: a day has 1,440 minutes, a busy provider thousands of customers
EPOCH_MAX: Final = 10**6 - 1  # days since 1970: until the year 4707
FORCE_MAX: Final = 10**15  # of all identities in a day: 10^10 of them with 10^5 each
ATTESTERS_MAX: Final = 8  # who agree on one thing: each of them signs
HALF_LIFE_EPOCHS_MAX: Final = 36_525  # a century

Epoch = NewType("Epoch", Annotated[int, Interval(ge=0, le=EPOCH_MAX)])
"""A day: days since 1970-01-01 in UTC."""
Force = Annotated[int, Interval(ge=0, le=FORCE_MAX)]
Micrograins = Annotated[int, Interval(ge=0, le=PRICE_MICROGRAINS_MAX)]
WeightHundredths = Annotated[int, Interval(ge=0, le=WEIGHT_FULL)]
Count = Annotated[int, Interval(ge=1, le=COUNT_MAX)]


@unique
class Behaviour(IntEnum):
    """What earns force; wire number, never reused. Times unless it says otherwise."""

    APP_OPENED = 1
    """The first one of the day is the day's first force."""
    CAR_STARTED = 2
    ONLINE_MINUTE = 3
    """Minutes."""
    POST = 4
    LIVE_MINUTE = 5
    """Minutes of watching; the provider is who broadcasts."""
    VIDEO = 6
    GUIDE = 7
    """A buyer's guide that was written."""
    COMMENT = 8
    FAN_INTERACTION = 9
    TIP = 10
    PURCHASE = 11
    MAINTENANCE = 12
    INSURANCE = 13
    RESCUE = 14
    REFUELLING = 15
    VEHICLE_TRADE = 16
    VIOLATION_HANDLING = 17
    DRIVING_BODY = 18
    """Records of the state of the body: doors, tyres, lights."""
    DRIVING_KILOMETRE = 19
    """Kilometres with their record."""
    DRIVING_SETTINGS = 20
    DRIVING_ENGINE = 21


@dataclass(frozen=True, slots=True)
class Earning:
    """What one side earns by a behaviour in a day (rule F1)."""

    base_force: Annotated[int, Interval(ge=1, le=BASE_FORCE_MAX)]
    full_count: Count
    count_max: Count


@dataclass(frozen=True, slots=True)
class BehaviourRule:
    """What a behaviour earns, and for whom."""

    behaviour: Behaviour
    user: Earning | None
    provider: Earning | None
    is_vehicle_vouched: bool
    """Whether a vehicle's own signature suffices for a record, without attesters."""


@dataclass(frozen=True, slots=True)
class MiningRules:
    """All numbers of mining but those of the behaviours."""

    half_life_epochs: Annotated[int, Interval(ge=2, le=HALF_LIFE_EPOCHS_MAX)]
    topup_bps: Annotated[int, Interval(ge=0, le=BASIS_POINTS)]
    """Part of an epoch's revenue that is added to its budget."""
    topup_max_bps: Annotated[int, Interval(ge=0, le=BASIS_POINTS)]
    """At most so much of the budget without it."""
    smoothing_epochs: Annotated[int, Interval(ge=1, le=365)]
    smoothing_input_max: Annotated[int, Interval(ge=2, le=1_000)]
    """A day's force counts for at most so many times the smoothed force before it."""
    price_floor_micrograins: Micrograins
    price_ceiling_micrograins: Annotated[int, Interval(ge=1, le=PRICE_MICROGRAINS_MAX)]
    """For one force."""
    price_change_bps: Annotated[int, Interval(ge=1, le=BASIS_POINTS)]
    user_force_max: Annotated[int, Interval(ge=1, le=10**6)]
    provider_force_max: Annotated[int, Interval(ge=1, le=10**8)]
    settling_epochs: Annotated[int, Interval(ge=1, le=7)]
    """Whole days after an epoch in which its batch comes in, is corrected and challenged."""
    challenge_ms: Annotated[int, Interval(ge=0, le=7 * DAY_MS)]
    """For so long every batch is open to challenges before its epoch is closed."""
    attesters_min: Annotated[int, Interval(ge=1, le=ATTESTERS_MAX)]
    """How many attesters must agree."""
    suspension_epochs: Annotated[int, Interval(ge=1, le=365)]
    """For how long attesters are not heard that signed a batch which was proven wrong."""
    weight_recovery_epochs: Annotated[int, Interval(ge=1, le=365)]
    """After so many epochs a lowered weight is one hundredth higher."""
    appeal_epochs: Annotated[int, Interval(ge=1, le=90)]
    """After so many epochs an appeal that nobody has answered is granted."""


BehaviourRules = Annotated[tuple[BehaviourRule, ...], Len(0, len(Behaviour))]
"""In order of the behaviours, each once."""

DEFAULT_RULES: Final = MiningRules(
    half_life_epochs=1_461,  # four years
    topup_bps=1_000,
    topup_max_bps=2_500,
    smoothing_epochs=7,  # weekends are not weekdays
    smoothing_input_max=4,  # smoothed force grows by 43 % a day at most, and falls by a seventh
    price_floor_micrograins=MICROGRAINS_PER_GRAIN,
    price_ceiling_micrograins=10**6 * MICROGRAINS_PER_GRAIN,  # 0.01 IOV
    price_change_bps=1_000,
    user_force_max=1_500,
    provider_force_max=50_000,
    settling_epochs=1,  # gateways count until midnight, and report the day after
    challenge_ms=DAY_MS // 4,  # attesters have all records at hand: building a day anew takes an hour or two
    attesters_min=2,
    suspension_epochs=30,
    weight_recovery_epochs=1,
    appeal_epochs=7,
)


def _rule(
    behaviour: Behaviour,
    user: tuple[int, int, int],
    provider: tuple[int, int, int] | None = None,
    *,
    is_vehicle_vouched: bool = False,
) -> BehaviourRule:
    return BehaviourRule(
        behaviour, Earning(*user), None if provider is None else Earning(*provider), is_vehicle_vouched
    )


DEFAULT_BEHAVIOURS: Final[tuple[BehaviourRule, ...]] = (
    _rule(Behaviour.APP_OPENED, (100, 1, 5)),
    _rule(Behaviour.CAR_STARTED, (100, 1, 5), is_vehicle_vouched=True),
    _rule(Behaviour.ONLINE_MINUTE, (2, 60, 240)),
    _rule(Behaviour.POST, (20, 3, 9)),
    _rule(Behaviour.LIVE_MINUTE, (1, 60, 120), (1, 2_000, 10_000)),
    _rule(Behaviour.VIDEO, (40, 2, 6)),
    _rule(Behaviour.GUIDE, (40, 2, 6)),
    _rule(Behaviour.COMMENT, (5, 10, 40)),
    _rule(Behaviour.FAN_INTERACTION, (5, 10, 40), (2, 1_000, 10_000)),
    _rule(Behaviour.TIP, (10, 5, 20), (5, 100, 1_000)),
    _rule(Behaviour.PURCHASE, (100, 2, 6), (50, 100, 1_000)),
    _rule(Behaviour.MAINTENANCE, (200, 1, 2), (100, 20, 100)),
    _rule(Behaviour.INSURANCE, (300, 1, 1), (100, 50, 200)),
    _rule(Behaviour.RESCUE, (150, 1, 2), (150, 10, 50)),
    _rule(Behaviour.REFUELLING, (50, 1, 3), (10, 200, 1_000)),
    _rule(Behaviour.VEHICLE_TRADE, (500, 1, 1), (300, 10, 40)),
    _rule(Behaviour.VIOLATION_HANDLING, (50, 1, 3), (20, 100, 400)),
    _rule(Behaviour.DRIVING_BODY, (30, 1, 4), is_vehicle_vouched=True),
    _rule(Behaviour.DRIVING_KILOMETRE, (1, 100, 300), is_vehicle_vouched=True),
    _rule(Behaviour.DRIVING_SETTINGS, (10, 1, 2), is_vehicle_vouched=True),
    _rule(Behaviour.DRIVING_ENGINE, (30, 1, 4), is_vehicle_vouched=True),
)


@dataclass(frozen=True, slots=True)
class Market:
    """What an epoch leaves to the next one."""

    smoothed_force: Force
    """0: there was no force yet."""
    quoted_micrograins: Micrograins
    """0: nothing was quoted yet."""


NEW_MARKET: Final = Market(0, 0)


@dataclass(frozen=True, slots=True)
class Closing:
    """What the end of an epoch decides."""

    market: Market
    force: Force
    topup_grains: Grains
    """The part of the budget that follows revenue."""
    budget_grains: Grains
    price_micrograins: Micrograins
    """What one force is paid: at most the quotation."""
    released_grains: Grains
    """All that this epoch pays."""


def compute_epoch(time_ms: int) -> Epoch:
    """The day of a time."""
    return Epoch(time_ms // DAY_MS)


def compute_earned_force(earning: Earning, count: int) -> int:
    """Rule F1: what so many times in a day earn."""
    left, base, force = min(count, earning.count_max), earning.base_force, 0
    while left > 0 and base > 0:
        times = min(left, earning.full_count)
        force += times * base
        left -= times
        base //= 2
    return force


def compute_most_force(earning: Earning, records: int, times: int) -> int:
    """What so many times earn at most: as much as if each record were another identity's, all with the same count."""
    each, rest = divmod(times, records)
    more = compute_earned_force(earning, each + 1) if rest else 0
    return (records - rest) * compute_earned_force(earning, each) + rest * more


def compute_identity_force(force: int, force_max: int, weight_hundredths: int) -> int:
    """Rule F2, for one side."""
    return min(force, force_max) * weight_hundredths // WEIGHT_FULL


def compute_weight(weight_hundredths: int, since: int, epoch: int, recovery_epochs: int) -> int:
    """A weight that was lowered in an epoch, as it has recovered since."""
    return min(WEIGHT_FULL, weight_hundredths + max(0, epoch - since) // recovery_epochs)


def compute_release_share(half_life_epochs: int) -> int:
    """1 - 2^(-1 / half life) in units of 2^-52, rounded down: the part of the fund that an epoch may release.

    With x = ln 2 / half life it is x - x^2/2! + x^3/3! - …, summed until the terms vanish.
    """
    step = _LN2 // half_life_epochs
    total, term, number = 0, step, 1
    while term:
        total += term if number % 2 else -term
        number += 1
        term = term * step // number >> _LN2_BITS
    return total >> (_LN2_BITS - RELEASE_SCALE_BITS)


def compute_budget(
    remaining_grains: int, release_share: int, revenue_grains: int, rules: MiningRules
) -> tuple[int, int]:
    """Rule F3: what an epoch may release, and the part of it that follows revenue."""
    decaying = remaining_grains * release_share >> RELEASE_SCALE_BITS
    wanted = revenue_grains * rules.topup_bps // BASIS_POINTS
    topup = min(wanted, decaying * rules.topup_max_bps // BASIS_POINTS, remaining_grains - decaying)
    return decaying + topup, topup


def compute_smoothed_force(smoothed: int, force: int, rules: MiningRules) -> int:
    """Part of rule F4; the first epoch's force is taken as it is."""
    if smoothed == 0:
        return force
    limited = min(force, smoothed * rules.smoothing_input_max)
    moved = (smoothed * (rules.smoothing_epochs - 1) + limited) // rules.smoothing_epochs
    return max(moved, smoothed + 1) if limited > smoothed else moved  # rounding must not hold little force down


def compute_quotation(budget_grains: int, smoothed_force: int, last_micrograins: int, rules: MiningRules) -> int:
    """Rule F4, in millionths of a grain for one force."""
    price = min(budget_grains * MICROGRAINS_PER_GRAIN // max(smoothed_force, 1), PRICE_MICROGRAINS_MAX)
    if last_micrograins > 0:
        step = max(1, last_micrograins * rules.price_change_bps // BASIS_POINTS)
        price = min(max(price, last_micrograins - step), last_micrograins + step)
    return max(min(price, rules.price_ceiling_micrograins), rules.price_floor_micrograins)


def compute_price(budget_grains: int, force: int, quoted_micrograins: int) -> int:
    """Rule F5."""
    if force == 0:
        return quoted_micrograins
    return min(quoted_micrograins, budget_grains * MICROGRAINS_PER_GRAIN // force)


def compute_reward(force: int, price_micrograins: int) -> int:
    """Grains for so much force, rounded down."""
    return force * price_micrograins // MICROGRAINS_PER_GRAIN


def close_epoch(
    remaining_grains: int, release_share: int, revenue_grains: int, force: int, market: Market, rules: MiningRules
) -> Closing:
    """Rules F3 to F6: everything that the end of an epoch decides."""
    assert 0 <= remaining_grains <= INTEGER_MAX, "what an account can hold"
    budget, topup = compute_budget(remaining_grains, release_share, revenue_grains, rules)
    smoothed = compute_smoothed_force(market.smoothed_force, force, rules)
    quoted = market.quoted_micrograins
    if smoothed > 0:
        quoted = compute_quotation(budget, smoothed, quoted, rules)
    price = compute_price(budget, force, quoted)
    released = compute_reward(force, price)
    assert 0 <= released <= budget <= remaining_grains, "no epoch pays more than its budget, nor that than there is"
    return Closing(Market(smoothed, quoted), force, Grains(topup), Grains(budget), price, Grains(released))


def compute_retained(amount: int, release_share: int, epochs: int) -> int:
    """About what is left of an amount after so many epochs that release their share; rounded down at each step."""
    kept, factor = 1 << RELEASE_SCALE_BITS, (1 << RELEASE_SCALE_BITS) - release_share
    while epochs:
        if epochs % 2:
            kept = kept * factor >> RELEASE_SCALE_BITS
        factor = factor * factor >> RELEASE_SCALE_BITS
        epochs //= 2
    return amount * kept >> RELEASE_SCALE_BITS


def forecast_depletion(remaining_grains: int, target_grains: int, release_share: int) -> int:
    """After how many epochs at most so much is left if each releases its whole share; JSON_INTEGER_MAX: never."""
    if remaining_grains <= target_grains:
        return 0
    low, high = 0, 1
    while compute_retained(remaining_grains, release_share, high) > target_grains:
        low, high = high, high * 2
        if high > JSON_INTEGER_MAX:
            return JSON_INTEGER_MAX
    while high - low > 1:
        middle = (low + high) // 2
        if compute_retained(remaining_grains, release_share, middle) > target_grains:
            low = middle
        else:
            high = middle
    return high


def forecast_exhaustion(remaining_grains: int, released_grains: int) -> int | None:
    """For how many epochs the fund would last if each released as much as this one, at most JSON_INTEGER_MAX.

    None: nothing is released.
    """
    return None if released_grains == 0 else min(remaining_grains // released_grains, JSON_INTEGER_MAX)
