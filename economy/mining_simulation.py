"""Years of mining, day by day, with the very formulas of the chain and people who are counted in cohorts.

A cohort is a kind of user: what one of them does on a day gives its force by the rules. How many there are follows the
scenario; how many of them come on a day follows the weekday, chance, and what the day before has paid.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import exp
from typing import Final

from vm.native.mining_formulas import (
    FORCE_MAX,
    MINING_FUND_GRAINS,
    NEW_MARKET,
    Behaviour,
    Closing,
    close_epoch,
    compute_earned_force,
    compute_identity_force,
    compute_reward,
)
from vm.native.mining_records import DEFAULT_VERSION, RulesVersion

DAYS_PER_YEAR: Final = 365
USERS_AT_FULL_ADOPTION: Final = 68_000_000
"""Paper 12.6: as many the platform had."""
FEE_GRAINS_PER_USER: Final = 20_000  # a day, fees and advertising: 0.0002 IOV
_REFERENCE_GRAINS: Final = 10_000_000  # a reward of 0.1 IOV a day neither draws people nor bores them
_ELASTICITY: Final = 0.08  # how much more of them come if it is e times as much

Report = Callable[[int, int], None]
Acts = dict[Behaviour, int]


@dataclass(frozen=True, slots=True)
class Cohort:
    """A kind of user."""

    name: str
    share: float
    """Of all users."""
    comes: float
    """Part of them that comes on an ordinary day."""
    acts: Acts
    """What one does as a user on a day."""
    served: Acts
    """How often one serves others on a day."""


COHORTS: Final = (
    Cohort("passers-by", 0.55, 0.30, {Behaviour.APP_OPENED: 1, Behaviour.ONLINE_MINUTE: 5}, {}),
    Cohort(
        "drivers",
        0.35,
        0.65,
        {
            Behaviour.APP_OPENED: 2,
            Behaviour.CAR_STARTED: 2,
            Behaviour.DRIVING_KILOMETRE: 35,
            Behaviour.DRIVING_ENGINE: 2,
            Behaviour.ONLINE_MINUTE: 20,
        },
        {},
    ),
    Cohort(
        "enthusiasts",
        0.097,
        0.80,
        {
            Behaviour.APP_OPENED: 5,
            Behaviour.CAR_STARTED: 3,
            Behaviour.DRIVING_KILOMETRE: 60,
            Behaviour.ONLINE_MINUTE: 90,
            Behaviour.POST: 2,
            Behaviour.COMMENT: 12,
            Behaviour.LIVE_MINUTE: 40,
            Behaviour.FAN_INTERACTION: 10,
            Behaviour.TIP: 1,
        },
        {},
    ),
    Cohort(
        "businesses",
        0.003,
        0.90,
        {Behaviour.APP_OPENED: 3, Behaviour.POST: 3, Behaviour.ONLINE_MINUTE: 120},
        {
            Behaviour.MAINTENANCE: 4,
            Behaviour.PURCHASE: 12,
            Behaviour.FAN_INTERACTION: 150,
            Behaviour.LIVE_MINUTE: 900,
            Behaviour.REFUELLING: 10,
        },
    ),
)
FAKE_ACTS: Final[Acts] = {
    Behaviour.APP_OPENED: 5,
    Behaviour.ONLINE_MINUTE: 240,
    Behaviour.COMMENT: 40,
    Behaviour.POST: 9,
}
"""What a program does in the name of nobody: all that pays and costs nothing."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """How adoption goes."""

    name: str
    summary: str
    count_users: Callable[[int], float]
    """Users on a day, from 0 on."""
    count_new_fakes: Callable[[int], float]
    """Fake identities that appear on a day."""
    get_false_force: Callable[[int], int] = lambda _: 0
    """Force that attesters who lie post for a day, and nobody corrects."""


@dataclass(frozen=True, slots=True)
class Day:
    """One day of a simulation."""

    users: int
    active: int
    fakes: int
    """Fake identities whose force counts."""
    closing: Closing
    fund_grains: int
    """After it."""
    reward_grains: int
    """Of a real user who came, on average."""
    fake_share: float
    """Part of what was paid that went to fake identities, or for false force."""
    gini: float
    """Of the day's rewards among real users who came: 0 all the same, 1 all to one."""


def _grow(day: int, middle: float, steepness_days: float) -> float:
    return USERS_AT_FULL_ADOPTION / (1 + exp((middle - day) / steepness_days))


def _crash(day: int) -> float:
    before = _grow(day, 500, 150)
    if day < 1_500:
        return before
    return before * max(0.2, 1 - (day - 1_500) / 150) * (1 + max(0, day - 2_000) / 4_000)


def _attack(day: int) -> float:
    """A wave of a fortnight, a long one that comes back, and noise that never ends."""
    if 800 <= day < 814:
        return 4_000_000
    if 1_800 <= day < 2_400 and day % 60 < 20:
        return 1_000_000
    return 5_000 if day > 300 else 0


def _lie(day: int) -> int:
    """Once forty times the force of such a day, once nearly all that there can be."""
    return {2_700: 4 * 10**11, 3_200: FORCE_MAX - 10**12}.get(day, 0)


SCENARIOS: Final = (
    Scenario(
        "slow",
        "Half of 68 million users are reached in the seventh year.",
        lambda day: _grow(day, 2_400, 420),
        lambda _: 0,
    ),
    Scenario("boom", "Nearly all of them come within the second year.", lambda day: _grow(day, 450, 45), lambda _: 0),
    Scenario(
        "attack",
        "Growth over three years, waves of fake identities, 56 million in the largest, and two days of false force.",
        lambda day: _grow(day, 700, 180),
        _attack,
        _lie,
    ),
    Scenario(
        "crash",
        "After four years four fifths of the users leave within five months, and some come back.",
        _crash,
        lambda _: 0,
    ),
)


def simulate(
    scenario: Scenario, days: int, seed: int, report: Report, version: RulesVersion = DEFAULT_VERSION
) -> list[Day]:
    """Play a scenario; asserts after every day that not a grain was lost or paid too much."""
    chance = random.Random(f"{seed} {scenario.name}")  # noqa: S311  # a simulation, to be repeated
    forces = [_compute_cohort_force(cohort, version) for cohort in COHORTS]
    fake_force = _compute_force(FAKE_ACTS, {}, version)
    fund_grains, market, reward_grains, fakes = MINING_FUND_GRAINS, NEW_MARKET, _REFERENCE_GRAINS, 0.0
    played: list[Day] = []
    released_grains = 0
    for number in range(days):
        users = scenario.count_users(number)
        mood = min(max(reward_grains / _REFERENCE_GRAINS, 1e-3), 1e3) ** _ELASTICITY
        weekday = 1.12 if number % 7 in (5, 6) else 0.95
        counts = [
            int(users * cohort.share * min(1.0, cohort.comes * mood * weekday * chance.gauss(1, 0.02)))
            for cohort in COHORTS
        ]
        fakes = fakes * chance.uniform(0.93, 0.97) + scenario.count_new_fakes(number)  # attesters find some every day
        false_force = int(fakes) * fake_force + scenario.get_false_force(number)
        force = sum(count * each for count, each in zip(counts, forces, strict=True)) + false_force
        revenue_grains = int(sum(counts) * FEE_GRAINS_PER_USER * chance.uniform(0.8, 1.2))
        closing = close_epoch(fund_grains, version.release_share, revenue_grains, force, market, version.rules)
        fund_grains -= closing.released_grains
        released_grains += closing.released_grains
        assert fund_grains + released_grains == MINING_FUND_GRAINS, "nothing is lost"
        assert closing.released_grains <= closing.budget_grains, "no day pays more than its budget"
        market = closing.market
        rewards = [compute_reward(each, closing.price_micrograins) for each in forces]
        active = sum(counts)
        paid = sum(count * reward for count, reward in zip(counts, rewards, strict=True))
        reward_grains = paid // active if active else 0
        fake_paid = compute_reward(false_force, closing.price_micrograins)
        played.append(
            Day(
                users=int(users),
                active=active,
                fakes=int(fakes),
                closing=closing,
                fund_grains=fund_grains,
                reward_grains=reward_grains,
                fake_share=fake_paid / (paid + fake_paid) if paid + fake_paid else 0.0,
                gini=compute_gini(list(zip(counts, rewards, strict=True))),
            )
        )
        report(number + 1, days)
    return played


def compute_gini(groups: Sequence[tuple[int, int]]) -> float:
    """Inequality among people in groups of (how many, how much each has)."""
    ordered = sorted(groups, key=lambda group: group[1])
    people = sum(count for count, _ in ordered)
    total = sum(count * each for count, each in ordered)
    if people == 0 or total == 0:
        return 0.0
    below, area = 0, 0
    for count, each in ordered:  # under the Lorenz curve, a trapezium for each group, times 2
        area += count * (2 * below + count * each)
        below += count * each
    return 1 - area / (people * total)


def list_columns() -> tuple[str, ...]:
    """Of the CSV of a scenario."""
    return (
        *("day", "users", "active", "fakes", "force", "smoothed_force", "revenue_topup_grains", "budget_grains"),
        *("quoted_micrograins", "price_micrograins", "released_grains", "fund_grains", "reward_grains"),
        *("fake_share", "gini"),
    )


def list_rows(days: Sequence[Day]) -> Iterator[tuple[str | int, ...]]:
    """A row for each day."""
    for number, day in enumerate(days):
        closing = day.closing
        yield (
            *(number, day.users, day.active, day.fakes, closing.force, closing.market.smoothed_force),
            *(closing.topup_grains, closing.budget_grains, closing.market.quoted_micrograins),
            *(closing.price_micrograins, closing.released_grains, day.fund_grains, day.reward_grains),
            *(f"{day.fake_share:.4f}", f"{day.gini:.4f}"),
        )


def _compute_cohort_force(cohort: Cohort, version: RulesVersion) -> int:
    return _compute_force(cohort.acts, cohort.served, version)


def _compute_force(acts: Acts, served: Acts, version: RulesVersion) -> int:
    """Rules F1 and F2 for one identity of full weight."""
    rules = {rule.behaviour: rule for rule in version.behaviours}
    user = provider = 0
    for behaviour, count in acts.items():
        earning = rules[behaviour].user
        user += 0 if earning is None else compute_earned_force(earning, count)
    for behaviour, count in served.items():
        earning = rules[behaviour].provider
        provider += 0 if earning is None else compute_earned_force(earning, count)
    limits = version.rules
    return compute_identity_force(user, limits.user_force_max, 100) + compute_identity_force(
        provider, limits.provider_force_max, 100
    )
