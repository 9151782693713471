"""The year-end dividend's formula (paper 12.1, 12.3): holdings, coin age and contribution decide who gets how much.

Pure arithmetic on integers, for the chain, for builders of payouts and for whoever checks one.

Rules
* Y1 Only those take part whose force of contribution in the period is at least the least that the rules ask for.
* Y2 The pool is cut into three parts by the rules' weights: for holdings, for coin age and for force. The first two are
  rounded down; the third takes the rest.
* Y3 Each part is shared in proportion: to average holdings of the period, to coin age gained in it, to force. A share
  is rounded down to whole grains.
* Y4 What rounding leaves, and a part that nobody has a claim to, stays in the pool.

Because every part is shared in proportion, splitting coins or force among several identities gains nothing, up to the
least force, which it loses.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Final

from annotated_types import Interval

from ledger.primitives import INTEGER_MAX, GrainDays, Grains
from ledger.reasons import Reason, Rejected
from vm.native.accounts import DAY_MS
from vm.parameters import BPS

FORCE_MAX: Final = INTEGER_MAX

Force = Annotated[int, Interval(ge=0, le=FORCE_MAX)]
"""Contribution of one identity in the period."""
WeightBps = Annotated[int, Interval(ge=0, le=BPS)]


@dataclass(frozen=True, slots=True)
class DividendRules:
    """What is shared, and by what."""

    pool_grains: Grains
    holdings_bps: WeightBps
    age_bps: WeightBps
    """Of coin age; what is left of 10,000 is that of force."""
    force_min: Force


@dataclass(frozen=True, slots=True)
class Merit:
    """What one identity has to show for the period."""

    average_holdings_grains: Grains
    """Balance and stake, averaged over the time of the period, rounded down."""
    coin_age_grain_days: GrainDays
    """What its holdings have gained in the period, in whole grain-days, rounded down."""
    force: Force


NO_MERIT: Final = Merit(Grains(0), GrainDays(0), 0)


@dataclass(frozen=True, slots=True)
class Pools:
    """The three parts of a pool."""

    holdings_grains: int
    age_grains: int
    force_grains: int


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over all who take part."""

    holdings_grains: int
    age_grain_days: int
    force: int


def check_rules(rules: DividendRules) -> None:
    """Whether the weights make one whole; raises Rejected."""
    if rules.holdings_bps + rules.age_bps > BPS:
        raise Rejected(Reason.BAD_PARAMETER, f"holdings and coin age weigh at most {BPS} together")


def compute_merit(age_before_grain_ms: int, age_after_grain_ms: int, period_ms: int, force: int) -> Merit:
    """From coin age at the beginning and at the end of a period (rule A4 of vm/native/accounts.py)."""
    assert period_ms > 0, "a period lasts"
    gained = age_after_grain_ms - age_before_grain_ms
    assert gained >= 0, "coin age never falls"
    return Merit(Grains(gained // period_ms), GrainDays(gained // DAY_MS), force)


def takes_part(rules: DividendRules, merit: Merit) -> bool:
    """Rule Y1."""
    return merit.force >= rules.force_min


def compute_pools(rules: DividendRules) -> Pools:
    """Rule Y2."""
    holdings_grains = rules.pool_grains * rules.holdings_bps // BPS
    age_grains = rules.pool_grains * rules.age_bps // BPS
    return Pools(holdings_grains, age_grains, rules.pool_grains - holdings_grains - age_grains)


def compute_totals(rules: DividendRules, merits: Sequence[Merit]) -> Totals:
    """Sums over those who take part."""
    counted = [merit for merit in merits if takes_part(rules, merit)]
    return Totals(
        sum([merit.average_holdings_grains for merit in counted]),
        sum([merit.coin_age_grain_days for merit in counted]),
        sum([merit.force for merit in counted]),
    )


def compute_dividend(rules: DividendRules, totals: Totals, merit: Merit) -> Grains:
    """What one identity is paid (rules Y1 to Y4)."""
    if not takes_part(rules, merit):
        return Grains(0)
    pools = compute_pools(rules)
    return Grains(
        _share(pools.holdings_grains, merit.average_holdings_grains, totals.holdings_grains)
        + _share(pools.age_grains, merit.coin_age_grain_days, totals.age_grain_days)
        + _share(pools.force_grains, merit.force, totals.force)
    )


def _share(pool_grains: int, part: int, whole: int) -> int:
    """In proportion, rounded down; nothing of what nobody has."""
    return 0 if whole == 0 else pool_grains * part // whole
