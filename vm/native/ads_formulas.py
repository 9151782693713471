"""Numbers of advertising: shares, rewards, deposits, credit, panels. Integers only; docs/ads.md has an example of each.

Formulas
* G1 Of a gross amount the publisher gets publisher_bps / 10,000 and the platform platform_bps / 10,000, both rounded
  down; the rest, with what rounding leaves, is the user's. So the three shares are the amount, always.
* G2 By item: gross = price x units. By fixed total: delivery number n of N is worth
  floor(T n / N) - floor(T (n-1) / N), so all N together are the total T.
* G3 Points of an advertiser are halved with every half-life; within one they fall along a straight line. Its score is
  10,000 less its points, and never below 0.
* G4 deposit_bps = min + (max - min) (10,000 - score) / 10,000, rounded down; the deposit is that part of what was paid
  in, rounded up. The rest is the budget.
* G5 A complaint that is upheld takes penalty_bps / 10,000 of the deposit, rounded down; the complainer gets of it at
  most the stake of a first complaint, the treasury the rest.
* G6 A panel: of n candidates in order, number SHA-256(seed, i) mod (n - i) of those that are left, for i = 0, 1, ...
* G7 A complaint's stake is that of a first one, times one more than the campaign has open complaints.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Annotated, Final, TypeVar

from annotated_types import Interval

from ledger.primitives import Grains, PositiveGrains

BPS: Final = 10_000
SCORE_MAX: Final = 10_000
POINTS_MAX: Final = 100 * SCORE_MAX  # forty complaints at once; a score of 0 long before
HALVINGS_MAX: Final = 32  # after so many half-lives nothing is left of that
DELIVERIES_MAX: Final = 10**9
UNITS_MAX: Final = 1_440  # minutes of a day
_PANEL_DOMAIN: Final = b"carlive ads panel\0"

Bps = Annotated[int, Interval(ge=0, le=BPS)]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Split:
    """Who gets which part of what a delivery is worth; 10,000 together."""

    user_bps: Bps
    publisher_bps: Bps
    """An influencer's or publisher's."""
    platform_bps: Bps


@dataclass(frozen=True, slots=True)
class Shares:
    """The parts of an amount."""

    user_grains: Grains
    publisher_grains: Grains
    platform_grains: Grains


@dataclass(frozen=True, slots=True)
class FixedReward:
    """A total that is shared by so many deliveries."""

    total_grains: PositiveGrains
    deliveries: Annotated[int, Interval(ge=1, le=DELIVERIES_MAX)]


def compute_shares(split: Split, gross_grains: int) -> Shares:
    """Formula G1."""
    publisher_grains = gross_grains * split.publisher_bps // BPS
    platform_grains = gross_grains * split.platform_bps // BPS
    user_grains = gross_grains - publisher_grains - platform_grains
    return Shares(Grains(user_grains), Grains(publisher_grains), Grains(platform_grains))


def compute_fixed_reward(reward: FixedReward, number: int) -> int:
    """Formula G2: what delivery `number`, from 1, is worth; nothing after the last one."""
    if number > reward.deliveries:
        return 0
    before = reward.total_grains * (number - 1) // reward.deliveries
    return reward.total_grains * number // reward.deliveries - before


def decay_points(points: int, elapsed_ms: int, half_life_ms: int) -> int:
    """Formula G3: what is left of points."""
    halvings, rest_ms = divmod(elapsed_ms, half_life_ms)
    if halvings > HALVINGS_MAX:
        return 0
    halved = points >> halvings
    return halved - halved * rest_ms // (2 * half_life_ms)


def compute_score(points: int) -> int:
    """Formula G3."""
    return max(0, SCORE_MAX - points)


def compute_deposit_bps(low_bps: int, high_bps: int, score: int) -> int:
    """Formula G4: the better the score, the lower."""
    return low_bps + (high_bps - low_bps) * (SCORE_MAX - score) // SCORE_MAX


def compute_deposit(funded_grains: int, deposit_bps: int) -> int:
    """Formula G4."""
    return -(-funded_grains * deposit_bps // BPS)


def compute_stake(first_grains: int, complaints_open: int) -> int:
    """Formula G7: so that whoever holds places against others pays for it with the square of their number."""
    return first_grains * (1 + complaints_open)


def compute_penalty(deposit_grains: int, penalty_bps: int, reward_grains_max: int) -> tuple[int, int]:
    """Formula G5: what goes to the complainer, and what to the treasury."""
    penalty_grains = deposit_grains * penalty_bps // BPS
    reward_grains = min(penalty_grains, reward_grains_max)
    return reward_grains, penalty_grains - reward_grains


def draw_panel(candidates: Sequence[T], seed: bytes, size: int) -> tuple[T, ...]:
    """Formula G6: `size` of the candidates, or all if there are fewer; an odd number, so somebody has more."""
    left, drawn = list(candidates), []
    for index in range(compute_panel_size(len(candidates), size)):
        number = int.from_bytes(sha256(_PANEL_DOMAIN + seed + bytes([index])).digest(), "big")
        drawn.append(left.pop(number % len(left)))
    return tuple(drawn)


def compute_panel_size(candidates: int, wanted: int) -> int:
    """How many are drawn of so many candidates."""
    size = min(candidates, wanted)
    return size if size % 2 or size == 0 else size - 1
