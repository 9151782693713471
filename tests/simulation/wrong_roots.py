"""Roots that are wrong, each in one way that a challenge can show, and the proof of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from random import Random
from typing import Final

from identity.address import ADDRESS_BYTES
from ledger.primitives import Grains
from tests.distribution_scene import Distribution, Key, distribute
from vm.native.distribution_faults import Fault
from vm.native.distribution_tree import (
    SHARDS,
    BeneficiaryKind,
    ProvenLeaf,
    ProvenShard,
    build_shard,
    compute_shard_number,
)

CROWD_SHARD: Final = 7
CROWD_SIZE: Final = 4


@dataclass(frozen=True, slots=True)
class WrongRoot:
    """A distribution with a fault, and what shows it."""

    built: Distribution
    fault: Fault
    leaves: tuple[ProvenLeaf, ...]
    base_key: Key | None = None
    """Whose leaf under the root before has to be shown besides."""
    empty_shard: ProvenShard | None = None


def _find_crowd() -> tuple[Key, ...]:
    """Accounts of nobody that belong to one shard: other beneficiaries are so few that each is alone in its own."""
    crowd: list[Key] = []
    number = 0
    while len(crowd) < CROWD_SIZE:
        number += 1
        key = int(BeneficiaryKind.ACCOUNT), number.to_bytes(ADDRESS_BYTES, "big")
        if compute_shard_number(*key) == CROWD_SHARD:
            crowd.append(key)
    return tuple(crowd)


CROWD: Final = _find_crowd()


def spoil(random: Random, fault: Fault, lifetimes: Mapping[Key, int], base: Mapping[Key, int]) -> WrongRoot | None:
    """What should be distributed, with this fault; None: this fault is not possible here. No total is lower for it."""
    made = _SPOILERS[fault](random, dict(lifetimes), dict(base))
    assert made is None or made.fault is fault, "as asked for"
    return made


def prove_somewhere(built: Distribution, key: Key) -> ProvenLeaf:
    """That a beneficiary has a leaf, wherever it stands; the last one, if a wrong root has two."""
    places = [
        (number, index)
        for number in range(SHARDS)
        for index, leaf in enumerate(built.leaves[number])
        if (int(leaf.kind), leaf.id) == key
    ]
    return built.prove(*places[-1])


def _misplace(random: Random, lifetimes: dict[Key, int], base: dict[Key, int]) -> WrongRoot | None:
    """A leaf stands in a shard that nobody belongs to."""
    key = random.choice(list(lifetimes))
    empty = next(
        number for number in range(SHARDS) if number not in {compute_shard_number(*each) for each in lifetimes}
    )
    _, leaves = build_shard([(*key, lifetimes.pop(key))])
    built = distribute(lifetimes).replace_shard(empty, leaves)
    return WrongRoot(built, Fault.WRONG_SHARD, (built.prove(empty, 0),))


def _disorder(random: Random, lifetimes: dict[Key, int], base: dict[Key, int]) -> WrongRoot | None:
    """Two leaves have changed places, or one beneficiary has two."""
    crowd = [key for key in CROWD if key in lifetimes]
    if len(crowd) < 2:
        return None
    built = distribute(lifetimes)
    index = random.randrange(len(crowd) - 1)
    if random.randrange(2):
        crowd[index], crowd[index + 1] = crowd[index + 1], crowd[index]
        listed = [(*key, lifetimes[key]) for key in crowd]
    else:
        listed = [(*key, lifetimes[key]) for key in crowd]
        listed.insert(index, (*crowd[index], 1))
    _, leaves = build_shard(listed)
    built = built.replace_shard(CROWD_SHARD, leaves)
    shown = built.prove(CROWD_SHARD, index), built.prove(CROWD_SHARD, index + 1)
    return WrongRoot(built, Fault.WRONG_ORDER, shown)


def _miscount(random: Random, lifetimes: dict[Key, int], base: dict[Key, int]) -> WrongRoot | None:
    """Sums do not begin with nothing, do not go on from leaf to leaf, or do not end with the total."""
    built = distribute(lifetimes)
    kind = random.randrange(3)
    number = compute_shard_number(*random.choice(list(lifetimes)))
    if kind == 0:
        leaves = [replace(leaf, before_grains=Grains(leaf.before_grains + 1)) for leaf in built.leaves[number]]
        built = built.replace_shard(number, leaves)
        return WrongRoot(built, Fault.WRONG_SUM, (built.prove(number, 0),))
    if kind == 1:
        total_grains = built.shards[number].total_grains + 1
        built = built.replace_shard(number, built.leaves[number], total_grains)
        return WrongRoot(built, Fault.WRONG_SUM, (built.prove(number, len(built.leaves[number]) - 1),))
    crowd = list(built.leaves[CROWD_SHARD])
    if len(crowd) < 2:
        return None
    crowd[1] = replace(crowd[1], before_grains=Grains(crowd[1].before_grains + 1))
    built = built.replace_shard(CROWD_SHARD, crowd)
    return WrongRoot(built, Fault.WRONG_SUM, (built.prove(CROWD_SHARD, 0), built.prove(CROWD_SHARD, 1)))


def _lower(random: Random, lifetimes: dict[Key, int], base: dict[Key, int]) -> WrongRoot | None:
    """Somebody has less than before, and somebody else the rest."""
    loser = _take_from_one(random, lifetimes, base, left_grains=1)
    if loser is None:
        return None
    built = distribute(lifetimes)
    return WrongRoot(built, Fault.LOWERED, (built.prove_key(loser),), base_key=loser)


def _leave_out(random: Random, lifetimes: dict[Key, int], base: dict[Key, int]) -> WrongRoot | None:
    """Somebody is missing, and somebody else has all of it."""
    missing = _take_from_one(random, lifetimes, base, left_grains=0)
    if missing is None:
        return None
    built = distribute(lifetimes)
    number = compute_shard_number(*missing)
    keys = [(int(leaf.kind), bytes(leaf.id)) for leaf in built.leaves[number]]
    if not keys:
        return WrongRoot(built, Fault.LEFT_OUT, (), missing, built.prove_shard(number))
    before = sum(key < missing for key in keys)
    neighbours = [index for index in (before - 1, before) if 0 <= index < len(keys)]
    shown = tuple([built.prove(number, index) for index in neighbours])
    return WrongRoot(built, Fault.LEFT_OUT, shown, missing)


def _take_from_one(random: Random, lifetimes: dict[Key, int], base: dict[Key, int], left_grains: int) -> Key | None:
    """Leave so much to somebody who has had more, and give the rest to another; None: nobody has had more."""
    rich = [key for key in lifetimes if base.get(key, 0) > left_grains]
    if not rich or len(lifetimes) < 2:
        return None
    loser = random.choice(rich)
    winner = random.choice([key for key in lifetimes if key != loser])
    lifetimes[winner] += lifetimes.pop(loser) - left_grains
    if left_grains:
        lifetimes[loser] = left_grains
    return loser


_SPOILERS: Final[Mapping[Fault, Callable[[Random, dict[Key, int], dict[Key, int]], WrongRoot | None]]] = {
    Fault.WRONG_SHARD: _misplace,
    Fault.WRONG_ORDER: _disorder,
    Fault.WRONG_SUM: _miscount,
    Fault.LOWERED: _lower,
    Fault.LEFT_OUT: _leave_out,
}
