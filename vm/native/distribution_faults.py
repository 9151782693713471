"""What anybody can prove of a root with one or two leaves, and what that proves (rule D12).

Every check costs a few dozen hashes, however many beneficiaries there are. What stands here is all that the chain can
decide by itself; whether a lifetime total follows from the inputs, only who has the inputs can tell (rule D13).
"""

from enum import IntEnum, unique
from typing import assert_never

from ledger.merkle import InclusionPath
from vm.native.distribution_tree import (
    EMPTY_SHARD,
    Leaf,
    ProvenLeaf,
    ProvenShard,
    compute_shard_number,
    encode_key,
    is_before,
    is_first,
    is_last,
    is_next,
)


@unique
class Fault(IntEnum):
    """What is wrong with a root; wire number, never reused."""

    WRONG_SHARD = 1
    """A leaf stands in another shard than its beneficiary's."""
    WRONG_ORDER = 2
    """A leaf stands before another of the same shard that it does not precede, or whose beneficiary is the same."""
    WRONG_SUM = 3
    """Lifetime totals do not add up: at the first leaf, from a leaf to the next, or at the last to the total."""
    LOWERED = 4
    """A beneficiary has a lower lifetime total than under the root before."""
    LEFT_OUT = 5
    """A beneficiary of the root before is missing."""


def is_fault_shown(
    fault: Fault, leaves: tuple[ProvenLeaf, ...], base_leaf: ProvenLeaf | None, empty_shard: ProvenShard | None
) -> bool:
    """Whether leaves that stand under a root, and one that stands under the root before, show this fault."""
    match fault:
        case Fault.WRONG_SHARD:
            return len(leaves) == 1 and not is_at_home(leaves[0])
        case Fault.WRONG_ORDER:
            return len(leaves) == 2 and _is_wrong_order(*leaves)
        case Fault.WRONG_SUM:
            return _is_wrong_sum(*leaves) if len(leaves) == 2 else len(leaves) == 1 and _is_wrong_end(leaves[0])
        case Fault.LOWERED:
            return (
                base_leaf is not None
                and is_at_home(base_leaf)
                and len(leaves) == 1
                and _is_lower(leaves[0].leaf, base_leaf.leaf)
            )
        case Fault.LEFT_OUT:
            return base_leaf is not None and is_at_home(base_leaf) and _is_absent(base_leaf, leaves, empty_shard)
        case _:
            assert_never(fault)


def is_at_home(proven: ProvenLeaf) -> bool:
    """Whether a leaf stands in its beneficiary's shard."""
    return proven.shard.number == compute_shard_number(proven.leaf.kind, proven.leaf.id)


def _is_wrong_order(left: ProvenLeaf, right: ProvenLeaf) -> bool:
    is_left = left.shard.number == right.shard.number and is_before(left.path, right.path)
    return is_left and _get_key(left) >= _get_key(right)


def _is_wrong_sum(left: ProvenLeaf, right: ProvenLeaf) -> bool:
    return _are_neighbours(left, right) and _sum_through(left) != right.leaf.before_grains


def _is_wrong_end(proven: ProvenLeaf) -> bool:
    is_wrong_first = is_first(proven.path) and proven.leaf.before_grains != 0
    return is_wrong_first or (is_last(proven.path) and _sum_through(proven) != proven.shard.shard.total_grains)


def _is_lower(leaf: Leaf, base: Leaf) -> bool:
    is_same = encode_key(leaf.kind, leaf.id) == encode_key(base.kind, base.id)
    return is_same and leaf.lifetime_grains < base.lifetime_grains


def _is_absent(base: ProvenLeaf, leaves: tuple[ProvenLeaf, ...], empty_shard: ProvenShard | None) -> bool:
    """Leaves are in order, or else that is the fault to show: so a gap, an end or an empty shard shows an absence."""
    key, number = _get_key(base), base.shard.number
    if any(each.shard.number != number for each in leaves):
        return False
    if len(leaves) == 2:
        return _are_neighbours(*leaves) and _get_key(leaves[0]) < key < _get_key(leaves[1])
    if len(leaves) == 1:
        return _is_beyond(leaves[0].path, _get_key(leaves[0]), key)
    return empty_shard is not None and empty_shard.number == number and empty_shard.shard == EMPTY_SHARD


def _is_beyond(path: InclusionPath, end: bytes, key: bytes) -> bool:
    return (is_first(path) and key < end) or (is_last(path) and end < key)


def _are_neighbours(left: ProvenLeaf, right: ProvenLeaf) -> bool:
    return left.shard.number == right.shard.number and is_next(left.path, right.path)


def _sum_through(proven: ProvenLeaf) -> int:
    return proven.leaf.before_grains + proven.leaf.lifetime_grains


def _get_key(proven: ProvenLeaf) -> bytes:
    return encode_key(proven.leaf.kind, proven.leaf.id)
